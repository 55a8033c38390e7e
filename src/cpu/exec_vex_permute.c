/*
 * AVX and AVX2: permutations, blends, variable shifts, extension and tests of
 * whole vectors. (SDM vol. 2)
 */
#include "cpu/exec.h"
#include "cpu/exec_vex.h"

/* Permutations inside halves. */

static void op_permilps(union xmm *d, const union xmm *s)
{
    union xmm a = *d;
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = a.u32[s->u32[i] & 3];
}

static void op_permilpd(union xmm *d, const union xmm *s)
{
    union xmm a = *d;
    for (unsigned i = 0; i < 2; i++)
        d->u64[i] = a.u64[s->u64[i] >> 1 & 1];
}

static void op_permilpd_i(union xmm *d, const union xmm *s, uint8_t imm)
{
    *d = (union xmm){ .u64 = { s->u64[imm & 1], s->u64[imm >> 1 & 1] } };
}
VEX_HANDLER(permilps, sse_read_aligned)
VEX_HANDLER(permilpd, sse_read_aligned)
VEX_HANDLER_IMM(permilpd_i, sse_read_aligned, 2)

/* Permutations across halves. */

HANDLER(vex_perm128)
{
    union ymm s, d, r;
    TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));
    d = *ymm_register(cpu, insn->vvvv);
    for (unsigned i = 0; i < 2; i++) {
        unsigned select = insn->imm >> 4 * i & 15;
        r.x[i] = select & 2 ? s.x[select & 1] : d.x[select & 1];
        if (select & 8)
            r.x[i] = (union xmm){ .u64 = { 0, 0 } };
    }
    *ymm_register(cpu, insn->reg) = r;
    return 0;
}

HANDLER(vex_permd)
{
    union ymm s, r;
    TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));
    const union ymm *index = ymm_register(cpu, insn->vvvv);
    for (unsigned i = 0; i < 8; i++)
        r.u32[i] = s.u32[index->u32[i] & 7];
    *ymm_register(cpu, insn->reg) = r;
    return 0;
}

HANDLER(vex_permq)
{
    union ymm s, r;
    TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));
    for (unsigned i = 0; i < 4; i++)
        r.u64[i] = s.u64[insn->imm >> 2 * i & 3];
    *ymm_register(cpu, insn->reg) = r;
    return 0;
}

/* Blends: by immediate bits; by the signs of the register in imm8[7:4]. */

#define BLEND_IMMEDIATE(name, lane, shift)                                                         \
    static void op_##name(union xmm *d, const union xmm *s, uint8_t imm)                           \
    {                                                                                              \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++)                                         \
            if (imm >> i & 1)                                                                      \
                d->lane[i] = s->lane[i];                                                           \
    }                                                                                              \
    VEX_HANDLER_IMM(name, sse_read_aligned, shift)
BLEND_IMMEDIATE(blend32, u32, 4)
BLEND_IMMEDIATE(blend64, u64, 2)

#define BLEND_VARIABLE(name, lane, signed_lane)                                                    \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        union ymm s, r;                                                                            \
        TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));                                    \
        const union ymm *mask = ymm_register(cpu, insn->imm >> 4 & (cpu_code64(cpu) ? 15 : 7));    \
        r = *ymm_register(cpu, insn->vvvv);                                                        \
        for (unsigned half = 0; half < (insn->vex_l ? 2 : 1); half++)                              \
            for (unsigned i = 0; i < ARRAY_SIZE(r.x[0].lane); i++)                                 \
                if (mask->x[half].signed_lane[i] < 0)                                              \
                    r.x[half].lane[i] = s.x[half].lane[i];                                         \
        vex_put(cpu, insn, insn->reg, &r);                                                         \
        return 0;                                                                                  \
    }
BLEND_VARIABLE(pblendvb, u8, i8)
BLEND_VARIABLE(blendvps, u32, i32)
BLEND_VARIABLE(blendvpd, u64, i64)

/* Shifts of each lane by a count of its own. */
#define SHIFT(name, lane, count_lane, bits, expression)                                            \
    static void op_##name(union xmm *d, const union xmm *s)                                        \
    {                                                                                              \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++) {                                       \
            uint64_t n = s->count_lane[i];                                                         \
            d->lane[i] = (__typeof__(d->lane[0]))(expression);                                     \
        }                                                                                          \
    }                                                                                              \
    VEX_HANDLER(name, sse_read_aligned)
SHIFT(psllvd, u32, u32, 32, n < 32 ? d->u32[i] << n : 0)
SHIFT(psllvq, u64, u64, 64, n < 64 ? d->u64[i] << n : 0)
SHIFT(psrlvd, u32, u32, 32, n < 32 ? d->u32[i] >> n : 0)
SHIFT(psrlvq, u64, u64, 64, n < 64 ? d->u64[i] >> n : 0)
SHIFT(psravd, i32, u32, 32, (int64_t)d->i32[i] >> (n < 32 ? n : 32))

/* Shifts of whole halves by bytes, of rm to vvvv. */
#define BYTE_SHIFT(name, condition, from)                                                          \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        TRY_FAULT(avx_check(cpu));                                                                 \
        union ymm s = *ymm_register(cpu, insn->rm), r;                                             \
        unsigned n = (uint8_t)insn->imm;                                                           \
        for (unsigned half = 0; half < 2; half++)                                                  \
            for (unsigned i = 0; i < 16; i++)                                                      \
                r.x[half].u8[i] = condition ? s.x[half].u8[from] : 0;                              \
        vex_put(cpu, insn, insn->vvvv, &r);                                                        \
        return 0;                                                                                  \
    }
BYTE_SHIFT(pslldq_i, i >= n, i - n)
BYTE_SHIFT(psrldq_i, i + n < 16, i + n)

/* 256-bit forms of extensions, and MOVDDUP. */
#define EXTEND(name, from, to, read)                                                               \
    HANDLER(vex_##name##_256)                                                                      \
    {                                                                                              \
        union ymm s, r;                                                                            \
        TRY_FAULT(vex_source(cpu, insn, read, &s));                                                \
        const unsigned half = ARRAY_SIZE(r.x[0].to);                                               \
        for (unsigned i = 0; i < 2 * half; i++)                                                    \
            r.x[i / half].to[i % half] = s.x[0].from[i];                                           \
        *ymm_register(cpu, insn->reg) = r;                                                         \
        return 0;                                                                                  \
    }
EXTEND(pmovsxbw, i8, i16, sse_read_unaligned)
EXTEND(pmovsxbd, i8, i32, sse_read64)
EXTEND(pmovsxbq, i8, i64, sse_read32)
EXTEND(pmovsxwd, i16, i32, sse_read_unaligned)
EXTEND(pmovsxwq, i16, i64, sse_read64)
EXTEND(pmovsxdq, i32, i64, sse_read_unaligned)
EXTEND(pmovzxbw, u8, u16, sse_read_unaligned)
EXTEND(pmovzxbd, u8, u32, sse_read64)
EXTEND(pmovzxbq, u8, u64, sse_read32)
EXTEND(pmovzxwd, u16, u32, sse_read_unaligned)
EXTEND(pmovzxwq, u16, u64, sse_read64)
EXTEND(pmovzxdq, u32, u64, sse_read_unaligned)

HANDLER(vex_movddup_256)
{
    union ymm s;
    TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));
    s.u64[1] = s.u64[0];
    s.u64[3] = s.u64[2];
    *ymm_register(cpu, insn->reg) = s;
    return 0;
}

/* Tests: ZF of s AND d, CF of s AND NOT d, of the bits of `mask`. */
static int test_bits(struct cpu *cpu, const struct insn *insn, uint64_t mask)
{
    union ymm s;
    uint64_t both = 0, only = 0;
    TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));
    const union ymm *d = ymm_register(cpu, insn->reg);
    for (unsigned i = 0; i < (insn->vex_l ? 4 : 2); i++) {
        both |= s.u64[i] & d->u64[i] & mask;
        only |= s.u64[i] & ~d->u64[i] & mask;
    }
    flags_put(cpu, (both ? 0 : FLAG_ZF) | (only ? 0 : FLAG_CF));
    return 0;
}

HANDLER(vex_ptest)
{
    return test_bits(cpu, insn, ~0ull);
}

HANDLER(vex_testps)
{
    return test_bits(cpu, insn, 0x8000000080000000ull);
}

HANDLER(vex_testpd)
{
    return test_bits(cpu, insn, 1ull << 63);
}
