/*
 * MMX: moves, packing, shuffles, EMMS. Operations that work lane by lane are
 * in exec_vector_integer.c. (SDM vol. 1, chapter 9; vol. 3, chapter 12)
 *
 * MMn is the significand of physical x87 register n. Each instruction clears
 * TOP and marks all registers valid; a written register gets FFFFh as its sign
 * and exponent.
 */
#include "cpu/exec_vector.h"
#include "cpu/exec_x87.h"

int mmx_unavailable(struct cpu *cpu)
{
    if (cpu->s.cr0 & CR0_EM)
        return cpu_raise(cpu, VECTOR_UD);
    if (cpu->s.cr0 & CR0_TS)
        return cpu_raise(cpu, VECTOR_NM);
    return x87_report(cpu);
}

static int mmx_read_memory(struct cpu *cpu, const struct insn *insn, uint64_t *value)
{
    return memory_read64(cpu, insn->seg, insn_address(cpu, insn), value);
}

/* Moves. */

int exec_mmx_movd_r(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    uint64_t value = register_read64(cpu, insn->rm);
    mmx_write(cpu, insn->reg, insn->operand_bytes == 8 ? value : (uint32_t)value);
    return 0;
}

int exec_mmx_movd_m(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value;
    uint64_t wide;
    if (mmx_check(cpu))
        return CPU_FAULT;
    if (insn->operand_bytes == 8) {
        if (mmx_read_memory(cpu, insn, &wide))
            return CPU_FAULT;
    } else {
        if (memory_read32(cpu, insn->seg, insn_address(cpu, insn), &value))
            return CPU_FAULT;
        wide = value;
    }
    mmx_write(cpu, insn->reg, wide);
    return 0;
}

int exec_mmx_movd_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    uint64_t value = mmx_read(cpu, insn->reg);
    register_write64(cpu, insn->rm, insn->operand_bytes == 8 ? value : (uint32_t)value);
    mmx_enter(cpu);
    return 0;
}

int exec_mmx_movq_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu)
        || memory_write64(cpu, insn->seg, insn_address(cpu, insn), mmx_read(cpu, insn->reg)))
        return CPU_FAULT;
    mmx_enter(cpu);
    return 0;
}

int exec_mmx_movd_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (insn->operand_bytes == 8)
        return exec_mmx_movq_store_m(cpu, insn);
    if (mmx_check(cpu)
        || memory_write32(cpu, insn->seg, insn_address(cpu, insn),
                          (uint32_t)mmx_read(cpu, insn->reg)))
        return CPU_FAULT;
    mmx_enter(cpu);
    return 0;
}

int exec_mmx_movq_r(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    mmx_write(cpu, insn->reg, mmx_read(cpu, insn->rm));
    return 0;
}

int exec_mmx_movq_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    mmx_write(cpu, insn->rm, mmx_read(cpu, insn->reg));
    return 0;
}

int exec_mmx_movq_m(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value;
    if (mmx_check(cpu) || mmx_read_memory(cpu, insn, &value))
        return CPU_FAULT;
    mmx_write(cpu, insn->reg, value);
    return 0;
}

int exec_movq2dq(struct cpu *cpu, const struct insn *insn)
{
    if (sse_mmx_check(cpu))
        return CPU_FAULT;
    *xmm_register(cpu, insn->reg) = (union xmm){ .u64 = { mmx_read(cpu, insn->rm), 0 } };
    mmx_enter(cpu);
    return 0;
}

int exec_movdq2q(struct cpu *cpu, const struct insn *insn)
{
    if (sse_mmx_check(cpu))
        return CPU_FAULT;
    mmx_write(cpu, insn->reg, xmm_register(cpu, insn->rm)->u64[0]);
    return 0;
}

int exec_mmx_maskmovq(struct cpu *cpu, const struct insn *insn)
{
    uint8_t value[8];
    if (mmx_check(cpu))
        return CPU_FAULT;
    store64(value, mmx_read(cpu, insn->reg));
    if (sse_masked_store(cpu, insn, value, sizeof value, byte_signs(mmx_read(cpu, insn->rm))))
        return CPU_FAULT;
    mmx_enter(cpu);
    return 0;
}

int exec_mmx_pmovmskb(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    register_write32(cpu, insn->reg, byte_signs(mmx_read(cpu, insn->rm)));
    mmx_enter(cpu);
    return 0;
}

/* All registers empty; TOP too is cleared. */
int exec_emms(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    if (mmx_check(cpu))
        return CPU_FAULT;
    mmx_enter(cpu);
    cpu->s.ftw = 0xffff;
    return 0;
}

/* Unpacking and packing within 8 bytes. The low unpacks read only 4 bytes of
 * their second source, which matters for memory operands at a page's end. */

#define MMX_UNPACK(name, lane, first)                                                              \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        union xmm r = *d;                                                                          \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane) / 4; i++) {                                   \
            r.lane[2 * i] = d->lane[(first) + i];                                                  \
            r.lane[2 * i + 1] = s->lane[(first) + i];                                              \
        }                                                                                          \
        *d = r;                                                                                    \
    }
#define MMX_UNPACK_LOW(name, lane)                                                                 \
    MMX_UNPACK(name, lane, 0)                                                                      \
    int exec_mmx_##name##_r(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        if (mmx_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm d = { .u64 = { mmx_read(cpu, insn->reg), 0 } };                                  \
        union xmm s = { .u64 = { mmx_read(cpu, insn->rm), 0 } };                                   \
        op_##name(&d, &s);                                                                         \
        mmx_write(cpu, insn->reg, d.u64[0]);                                                       \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_mmx_##name##_m(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        uint32_t low;                                                                              \
        if (mmx_check(cpu) || memory_read32(cpu, insn->seg, insn_address(cpu, insn), &low))        \
            return CPU_FAULT;                                                                      \
        union xmm d = { .u64 = { mmx_read(cpu, insn->reg), 0 } }, s = { .u64 = { low, 0 } };       \
        op_##name(&d, &s);                                                                         \
        mmx_write(cpu, insn->reg, d.u64[0]);                                                       \
        return 0;                                                                                  \
    }
#define MMX_UNPACK_HIGH(name, lane, first)                                                         \
    MMX_UNPACK(name, lane, first)                                                                  \
    MMX_HANDLERS(name)
MMX_UNPACK_LOW(punpcklbw, u8)
MMX_UNPACK_LOW(punpcklwd, u16)
MMX_UNPACK_LOW(punpckldq, u32)
MMX_UNPACK_HIGH(punpckhbw, u8, 4)
MMX_UNPACK_HIGH(punpckhwd, u16, 2)
MMX_UNPACK_HIGH(punpckhdq, u32, 1)

#define MMX_PACK(name, from, to, low, high)                                                        \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        const unsigned count = ARRAY_SIZE(d->from) / 2;                                            \
        union xmm r = *d;                                                                          \
        for (unsigned i = 0; i < 2 * count; i++) {                                                 \
            int32_t v = i < count ? d->from[i] : s->from[i - count];                               \
            r.to[i] = (__typeof__(r.to[0]))(v < (low) ? (low) : v > (high) ? (high) : v);          \
        }                                                                                          \
        *d = r;                                                                                    \
    }                                                                                              \
    MMX_HANDLERS(name)
MMX_PACK(packsswb, i16, i8, -128, 127)
MMX_PACK(packuswb, i16, u8, 0, 255)
MMX_PACK(packssdw, i32, i16, -32768, 32767)

static inline void op_pshufb(union xmm *d, const union xmm *s)
{
    union xmm r = *d;
    for (unsigned i = 0; i < 8; i++)
        r.u8[i] = s->u8[i] & 0x80 ? 0 : d->u8[s->u8[i] & 7];
    *d = r;
}
MMX_HANDLERS(pshufb)

/* With an immediate: the source from register or memory. */
#define MMX_HANDLERS_IMM(name)                                                                     \
    int exec_mmx_##name##_r(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        if (mmx_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        uint64_t d = mmx_read(cpu, insn->reg), s = mmx_read(cpu, insn->rm);                        \
        mmx_write(cpu, insn->reg, imm_##name(d, s, (uint8_t)insn->imm));                           \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_mmx_##name##_m(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        uint64_t s;                                                                                \
        if (mmx_check(cpu) || mmx_read_memory(cpu, insn, &s))                                      \
            return CPU_FAULT;                                                                      \
        mmx_write(cpu, insn->reg, imm_##name(mmx_read(cpu, insn->reg), s, (uint8_t)insn->imm));    \
        return 0;                                                                                  \
    }

static uint64_t imm_pshufw(uint64_t d, uint64_t s, uint8_t imm)
{
    (void)d;
    uint64_t r = 0;
    for (unsigned i = 0; i < 4; i++)
        r |= (s >> 16 * (imm >> 2 * i & 3) & 0xffff) << 16 * i;
    return r;
}

static uint64_t imm_palignr(uint64_t d, uint64_t s, uint8_t imm)
{
    if (imm >= 16)
        return 0;
    if (imm >= 8)
        return d >> 8 * (imm - 8);
    return imm ? s >> 8 * imm | d << (64 - 8 * imm) : s;
}

MMX_HANDLERS_IMM(pshufw)
MMX_HANDLERS_IMM(palignr)

static uint64_t insert_word(uint64_t d, uint16_t word, uint64_t imm)
{
    unsigned shift = 16 * (imm & 3);
    return (d & ~(0xffffull << shift)) | (uint64_t)word << shift;
}

int exec_mmx_pinsrw_r(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    mmx_write(cpu, insn->reg, insert_word(mmx_read(cpu, insn->reg),
                                          register_read16(cpu, insn->rm), insn->imm));
    return 0;
}

int exec_mmx_pinsrw_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t word;
    if (mmx_check(cpu) || memory_read16(cpu, insn->seg, insn_address(cpu, insn), &word))
        return CPU_FAULT;
    mmx_write(cpu, insn->reg, insert_word(mmx_read(cpu, insn->reg), word, insn->imm));
    return 0;
}

int exec_mmx_pextrw(struct cpu *cpu, const struct insn *insn)
{
    if (mmx_check(cpu))
        return CPU_FAULT;
    register_write32(cpu, insn->reg,
                     (uint16_t)(mmx_read(cpu, insn->rm) >> 16 * (insn->imm & 3)));
    mmx_enter(cpu);
    return 0;
}
