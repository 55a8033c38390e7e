/*
 * Rearranging XMM lanes: unpack, pack, shuffle, blend, insert, extract,
 * extension, PTEST. (SDM vol. 2)
 */
#include "cpu/exec_vector.h"
#include "cpu/flags.h"

/* Interleaves the low (or high) halves. */
#define UNPACK(name, lane, first)                                                                  \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        union xmm r;                                                                               \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane) / 2; i++) {                                   \
            r.lane[2 * i] = d->lane[(first) + i];                                                  \
            r.lane[2 * i + 1] = s->lane[(first) + i];                                              \
        }                                                                                          \
        *d = r;                                                                                    \
    }                                                                                              \
    SSE_HANDLERS(name)
UNPACK(punpcklbw, u8, 0)
UNPACK(punpcklwd, u16, 0)
UNPACK(punpckldq, u32, 0)
UNPACK(punpcklqdq, u64, 0)
UNPACK(punpckhbw, u8, 8)
UNPACK(punpckhwd, u16, 4)
UNPACK(punpckhdq, u32, 2)
UNPACK(punpckhqdq, u64, 1)

/* Narrows with saturation: d's lanes, then s's. */
#define PACK(name, from, to, low, high)                                                            \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        const unsigned count = ARRAY_SIZE(d->from);                                                \
        union xmm r;                                                                               \
        for (unsigned i = 0; i < 2 * count; i++) {                                                 \
            int32_t v = i < count ? d->from[i] : s->from[i - count];                               \
            r.to[i] = (__typeof__(r.to[0]))(v < (low) ? (low) : v > (high) ? (high) : v);          \
        }                                                                                          \
        *d = r;                                                                                    \
    }                                                                                              \
    SSE_HANDLERS(name)
PACK(packsswb, i16, i8, -128, 127)
PACK(packuswb, i16, u8, 0, 255)
PACK(packssdw, i32, i16, -32768, 32767)
PACK(packusdw, i32, u16, 0, 65535)

/* Shuffles. */

static inline void op_pshufd(union xmm *d, const union xmm *s, uint8_t imm)
{
    *d = (union xmm){ .u32 = { s->u32[imm & 3], s->u32[imm >> 2 & 3], s->u32[imm >> 4 & 3],
                               s->u32[imm >> 6] } };
}

static inline void op_pshuflw(union xmm *d, const union xmm *s, uint8_t imm)
{
    union xmm r = *s;
    for (unsigned i = 0; i < 4; i++)
        r.u16[i] = s->u16[imm >> 2 * i & 3];
    *d = r;
}

static inline void op_pshufhw(union xmm *d, const union xmm *s, uint8_t imm)
{
    union xmm r = *s;
    for (unsigned i = 0; i < 4; i++)
        r.u16[4 + i] = s->u16[4 + (imm >> 2 * i & 3)];
    *d = r;
}

static inline void op_shufps(union xmm *d, const union xmm *s, uint8_t imm)
{
    *d = (union xmm){ .u32 = { d->u32[imm & 3], d->u32[imm >> 2 & 3], s->u32[imm >> 4 & 3],
                               s->u32[imm >> 6] } };
}

static inline void op_shufpd(union xmm *d, const union xmm *s, uint8_t imm)
{
    *d = (union xmm){ .u64 = { d->u64[imm & 1], s->u64[imm >> 1 & 1] } };
}

static inline void op_palignr(union xmm *d, const union xmm *s, uint8_t imm)
{
    uint8_t both[32];
    memcpy(both, s, 16);
    memcpy(both + 16, d, 16);
    union xmm r;
    for (unsigned i = 0; i < 16; i++)
        r.u8[i] = imm + i < 32 ? both[imm + i] : 0;
    *d = r;
}

static inline void op_pshufb(union xmm *d, const union xmm *s)
{
    union xmm r;
    for (unsigned i = 0; i < 16; i++)
        r.u8[i] = (uint8_t)(d->u8[s->u8[i] & 15] & ~(s->i8[i] >> 7));
    *d = r;
}

SSE_HANDLERS_IMM(pshufd)
SSE_HANDLERS_IMM(pshuflw)
SSE_HANDLERS_IMM(pshufhw)
SSE_HANDLERS_IMM(shufps)
SSE_HANDLERS_IMM_READ(shufpd, sse_read_aligned, 2)
SSE_HANDLERS_IMM(palignr)
SSE_HANDLERS(pshufb)

/* Blends: by immediate bits, and by the signs of XMM0's lanes. */

#define BLEND_IMMEDIATE(name, lane)                                                                \
    static inline void op_##name(union xmm *d, const union xmm *s, uint8_t imm)                    \
    {                                                                                              \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++)                                         \
            if (imm >> i & 1)                                                                      \
                d->lane[i] = s->lane[i];                                                           \
    }                                                                                              \
    SSE_HANDLERS_IMM(name)
BLEND_IMMEDIATE(pblendw, u16)
BLEND_IMMEDIATE(blendps, u32)
BLEND_IMMEDIATE(blendpd, u64)

#define BLEND_VARIABLE(name, lane, signed_lane)                                                    \
    static void blend_##name(struct cpu *cpu, unsigned reg, const union xmm *s)                    \
    {                                                                                              \
        union xmm mask = *xmm_register(cpu, 0), *d = xmm_register(cpu, reg);                       \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++)                                         \
            if (mask.signed_lane[i] < 0)                                                           \
                d->lane[i] = s->lane[i];                                                           \
    }                                                                                              \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        blend_##name(cpu, insn->reg, xmm_register(cpu, insn->rm));                                 \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || sse_read_aligned(cpu, insn, &s))                                     \
            return CPU_FAULT;                                                                      \
        blend_##name(cpu, insn->reg, &s);                                                          \
        return 0;                                                                                  \
    }
BLEND_VARIABLE(pblendvb, u8, i8)
BLEND_VARIABLE(blendvps, u32, i32)
BLEND_VARIABLE(blendvpd, u64, i64)

/* Insertion and extraction of one lane. */

int exec_pinsrw_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u16[insn->imm & 7] = register_read16(cpu, insn->rm);
    return 0;
}

int exec_pinsrw_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t v;
    if (sse_check(cpu) || memory_read16(cpu, insn->seg, insn_address(cpu, insn), &v))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u16[insn->imm & 7] = v;
    return 0;
}

int exec_pinsrb_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u8[insn->imm & 15] = (uint8_t)register_read32(cpu, insn->rm);
    return 0;
}

int exec_pinsrb_m(struct cpu *cpu, const struct insn *insn)
{
    uint8_t v;
    if (sse_check(cpu) || memory_read8(cpu, insn->seg, insn_address(cpu, insn), &v))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u8[insn->imm & 15] = v;
    return 0;
}

int exec_pinsrd_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    if (insn->operand_bytes == 8)
        xmm_register(cpu, insn->reg)->u64[insn->imm & 1] = register_read64(cpu, insn->rm);
    else
        xmm_register(cpu, insn->reg)->u32[insn->imm & 3] = register_read32(cpu, insn->rm);
    return 0;
}

int exec_pinsrd_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu)
        || (insn->operand_bytes == 8 ? sse_read64(cpu, insn, &s) : sse_read32(cpu, insn, &s)))
        return CPU_FAULT;
    if (insn->operand_bytes == 8)
        xmm_register(cpu, insn->reg)->u64[insn->imm & 1] = s.u64[0];
    else
        xmm_register(cpu, insn->reg)->u32[insn->imm & 3] = s.u32[0];
    return 0;
}

/* 0F C5: to reg from rm; the 0F 3A forms go to rm from reg. */
int exec_pextrw_reg(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    register_write32(cpu, insn->reg, xmm_register(cpu, insn->rm)->u16[insn->imm & 7]);
    return 0;
}

int exec_pextrw_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    register_write32(cpu, insn->rm, xmm_register(cpu, insn->reg)->u16[insn->imm & 7]);
    return 0;
}

int exec_pextrw_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write16(cpu, insn->seg, insn_address(cpu, insn),
                          xmm_register(cpu, insn->reg)->u16[insn->imm & 7]);
}

int exec_pextrb_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    register_write32(cpu, insn->rm, xmm_register(cpu, insn->reg)->u8[insn->imm & 15]);
    return 0;
}

int exec_pextrb_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write8(cpu, insn->seg, insn_address(cpu, insn),
                         xmm_register(cpu, insn->reg)->u8[insn->imm & 15]);
}

int exec_pextrd_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *s = xmm_register(cpu, insn->reg);
    register_write64(cpu, insn->rm,
                     insn->operand_bytes == 8 ? s->u64[insn->imm & 1] : s->u32[insn->imm & 3]);
    return 0;
}

int exec_pextrd_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *s = xmm_register(cpu, insn->reg);
    uint64_t address = insn_address(cpu, insn);
    if (insn->operand_bytes == 8)
        return memory_write64(cpu, insn->seg, address, s->u64[insn->imm & 1]);
    return memory_write32(cpu, insn->seg, address, s->u32[insn->imm & 3]);
}

int exec_extractps_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    register_write32(cpu, insn->rm, xmm_register(cpu, insn->reg)->u32[insn->imm & 3]);
    return 0;
}

int exec_extractps_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write32(cpu, insn->seg, insn_address(cpu, insn),
                          xmm_register(cpu, insn->reg)->u32[insn->imm & 3]);
}

static void insertps(union xmm *d, uint32_t value, unsigned imm)
{
    d->u32[imm >> 4 & 3] = value;
    for (unsigned i = 0; i < 4; i++)
        if (imm >> i & 1)
            d->u32[i] = 0;
}

int exec_insertps_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    insertps(xmm_register(cpu, insn->reg), xmm_register(cpu, insn->rm)->u32[insn->imm >> 6 & 3],
             (unsigned)insn->imm);
    return 0;
}

int exec_insertps_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read32(cpu, insn, &s))
        return CPU_FAULT;
    insertps(xmm_register(cpu, insn->reg), s.u32[0], (unsigned)insn->imm);
    return 0;
}

/* PMOVSX, PMOVZX: the operand in memory is as wide as the lanes need. */

static inline int sse_read16(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    value->u64[0] = value->u64[1] = 0;
    return memory_read16(cpu, insn->seg, insn_address(cpu, insn), &value->u16[0]);
}

#define EXTEND(name, from, to, read)                                                               \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        union xmm r;                                                                               \
        for (unsigned i = 0; i < ARRAY_SIZE(r.to); i++)                                            \
            r.to[i] = s->from[i];                                                                  \
        *d = r;                                                                                    \
    }                                                                                              \
    SSE_HANDLERS_READ(name, read)
EXTEND(pmovsxbw, i8, i16, sse_read64)
EXTEND(pmovsxbd, i8, i32, sse_read32)
EXTEND(pmovsxbq, i8, i64, sse_read16)
EXTEND(pmovsxwd, i16, i32, sse_read64)
EXTEND(pmovsxwq, i16, i64, sse_read32)
EXTEND(pmovsxdq, i32, i64, sse_read64)
EXTEND(pmovzxbw, u8, u16, sse_read64)
EXTEND(pmovzxbd, u8, u32, sse_read32)
EXTEND(pmovzxbq, u8, u64, sse_read16)
EXTEND(pmovzxwd, u16, u32, sse_read64)
EXTEND(pmovzxwq, u16, u64, sse_read32)
EXTEND(pmovzxdq, u32, u64, sse_read64)

/* PTEST: ZF of s AND d, CF of s AND NOT d; the other flags are cleared. */

static void ptest(struct cpu *cpu, const union xmm *d, const union xmm *s)
{
    bool zf = !((s->u64[0] & d->u64[0]) | (s->u64[1] & d->u64[1]));
    bool cf = !((s->u64[0] & ~d->u64[0]) | (s->u64[1] & ~d->u64[1]));
    flags_put(cpu, (zf ? FLAG_ZF : 0) | (cf ? FLAG_CF : 0));
}

int exec_ptest_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    ptest(cpu, xmm_register(cpu, insn->reg), xmm_register(cpu, insn->rm));
    return 0;
}

int exec_ptest_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read_aligned(cpu, insn, &s))
        return CPU_FAULT;
    ptest(cpu, xmm_register(cpu, insn->reg), &s);
    return 0;
}
