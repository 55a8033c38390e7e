/*
 * Shifts and rotates: ROL ROR RCL RCR SHL SHR SAR SHLD SHRD (SDM vol. 2).
 *
 * The count is taken modulo 32 (64 for 64-bit operands); a count of 0 changes
 * no flag. What the manual leaves undefined is here:
 *   OF for counts other than 1: by the same formula as for 1 (left: top bit
 *     XOR CF; right and rotates right: the top two bits of the result differ)
 *   AF after a shift: 0
 *   SHL, SHR, SAR by more than the width: CF as if shifted bit by bit
 *   SHLD, SHRD of 16 bits by more than 16: the second operand's bits are
 *     followed by the first's again
 */
#include "cpu/exec.h"

/* The width's bits of `value`. */
static ALWAYS_INLINE uint64_t cut(uint64_t value, unsigned bits)
{
    return value & (~0ull >> (64 - bits));
}
static ALWAYS_INLINE bool bit(uint64_t value, unsigned number)
{
    return value >> number & 1;
}

/* The flags of a result: SF, ZF, PF from it, AF = 0. */
static ALWAYS_INLINE void flags_set_shift(struct cpu *cpu, uint64_t r, bool cf, bool of, unsigned bits)
{
    cpu->flags_result = flags_extend(r, bits);
    cpu->flags_aux = (cf ? AUX_CF : 0) | (cf != of ? AUX_CF_XOR_OF : 0);
}

/* Each gets a zero-extended operand and a count of 1..31 (1..63). */
static ALWAYS_INLINE uint64_t shift_shl(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    uint64_t r = cut(a << count, bits);
    bool cf = count <= bits && bit(a, bits - count);
    flags_set_shift(cpu, r, cf, bit(r, bits - 1) ^ cf, bits);
    return r;
}
static ALWAYS_INLINE uint64_t shift_shr(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    uint64_t r = a >> count;
    flags_set_shift(cpu, r, bit(a, count - 1), bit(r << 1 ^ r, bits - 1), bits);
    return r;
}
static ALWAYS_INLINE uint64_t shift_sar(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    int64_t wide = (int64_t)flags_extend(a, bits);
    uint64_t r = cut((uint64_t)(wide >> count), bits);
    flags_set_shift(cpu, r, (wide >> (count - 1)) & 1, false, bits);
    return r;
}
static ALWAYS_INLINE uint64_t shift_rol(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned n = count & (bits - 1);
    uint64_t r = n ? cut(a << n | a >> (bits - n), bits) : a;
    bool cf = r & 1;
    flags_set_cf_of(cpu, cf, bit(r, bits - 1) ^ cf);
    return r;
}
static ALWAYS_INLINE uint64_t shift_ror(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned n = count & (bits - 1);
    uint64_t r = n ? cut(a >> n | a << (bits - n), bits) : a;
    flags_set_cf_of(cpu, bit(r, bits - 1), bit(r << 1 ^ r, bits - 1));
    return r;
}
/* Rotates through CF: of bits + 1 bits. */
static ALWAYS_INLINE uint64_t shift_rcl(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned n = count % (bits + 1);
    uint64_t carry = flags_cf(cpu);
    if (n == 0)
        return a;
    uint64_t r = carry << (n - 1) | (n < 64 ? a << n : 0) | (n > 1 ? a >> (bits + 1 - n) : 0);
    bool cf = bit(a, bits - n);
    r = cut(r, bits);
    flags_set_cf_of(cpu, cf, bit(r, bits - 1) ^ cf);
    return r;
}
static ALWAYS_INLINE uint64_t shift_rcr(struct cpu *cpu, uint64_t a, unsigned count, unsigned bits)
{
    unsigned n = count % (bits + 1);
    uint64_t carry = flags_cf(cpu);
    if (n == 0)
        return a;
    uint64_t r = carry << (bits - n) | (n < 64 ? a >> n : 0) | (n > 1 ? a << (bits + 1 - n) : 0);
    r = cut(r, bits);
    flags_set_cf_of(cpu, bit(a, n - 1), bit(r << 1 ^ r, bits - 1));
    return r;
}

#define SHIFT_BY(name, suffix, bits, count_expression)                                             \
    HANDLER(name##suffix##_r##bits)                                                                \
    {                                                                                              \
        unsigned count = (count_expression) & (bits == 64 ? 63 : 31);                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm);                                     \
        if (count)                                                                                 \
            a = (uint##bits##_t)shift_##name(cpu, a, count, bits);                                 \
        register_write##bits(cpu, insn->rm, a);                                                    \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##suffix##_m##bits)                                                                \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t a;                                                                          \
        unsigned count = (count_expression) & (bits == 64 ? 63 : 31);                              \
        if (OPERAND_MODIFY(bits, &modify, &a))                                                     \
            return CPU_FAULT;                                                                      \
        if (count)                                                                                 \
            a = (uint##bits##_t)shift_##name(cpu, a, count, bits);                                 \
        memory_modified##bits(cpu, &modify, a);                                                    \
        return 0;                                                                                  \
    }
#define SHIFT(name, bits)                                                                          \
    SHIFT_BY(name, _1, bits, 1)                                                                    \
    SHIFT_BY(name, _i, bits, (unsigned)insn->imm)                                                  \
    SHIFT_BY(name, _cl, bits, (unsigned)cpu->s.gpr[RCX])
EACH_WIDTH_OF(SHIFT, rol)
EACH_WIDTH_OF(SHIFT, ror)
EACH_WIDTH_OF(SHIFT, rcl)
EACH_WIDTH_OF(SHIFT, rcr)
EACH_WIDTH_OF(SHIFT, shl)
EACH_WIDTH_OF(SHIFT, shr)
EACH_WIDTH_OF(SHIFT, sar)
#undef SHIFT
#undef SHIFT_BY

/* Double shifts: `a` is shifted, bits of `b` come in. Count 1..31 (1..63). */
static ALWAYS_INLINE uint64_t shift_shld(struct cpu *cpu, uint64_t a, uint64_t b, unsigned count,
                                         unsigned bits)
{
    uint64_t r;
    bool cf;
    if (bits == 16) {
        uint64_t wide = a << 32 | b << 16 | a;
        r = cut(wide << count >> 32, 16);
        cf = bit(wide, 48 - count);
    } else {
        r = cut(a << count | b >> (bits - count), bits);
        cf = bit(a, bits - count);
    }
    flags_set_shift(cpu, r, cf, bit(r, bits - 1) ^ cf, bits);
    return r;
}
static ALWAYS_INLINE uint64_t shift_shrd(struct cpu *cpu, uint64_t a, uint64_t b, unsigned count,
                                         unsigned bits)
{
    uint64_t r;
    bool cf;
    if (bits == 16) {
        uint64_t wide = a << 32 | b << 16 | a;
        r = cut(wide >> count, 16);
        cf = bit(wide, count - 1);
    } else {
        r = cut(a >> count | b << (bits - count), bits);
        cf = bit(a, count - 1);
    }
    flags_set_shift(cpu, r, cf, bit(r << 1 ^ r, bits - 1), bits);
    return r;
}

#define DOUBLE_BY(name, suffix, bits, count_expression)                                            \
    HANDLER(name##suffix##_r##bits)                                                                \
    {                                                                                              \
        unsigned count = (count_expression) & (bits == 64 ? 63 : 31);                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm);                                     \
        uint##bits##_t b = register_read##bits(cpu, insn->reg);                                    \
        if (count)                                                                                 \
            a = (uint##bits##_t)shift_##name(cpu, a, b, count, bits);                              \
        register_write##bits(cpu, insn->rm, a);                                                    \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##suffix##_m##bits)                                                                \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t a, b = register_read##bits(cpu, insn->reg);                                 \
        unsigned count = (count_expression) & (bits == 64 ? 63 : 31);                              \
        if (OPERAND_MODIFY(bits, &modify, &a))                                                     \
            return CPU_FAULT;                                                                      \
        if (count)                                                                                 \
            a = (uint##bits##_t)shift_##name(cpu, a, b, count, bits);                              \
        memory_modified##bits(cpu, &modify, a);                                                    \
        return 0;                                                                                  \
    }
#define DOUBLE(name, bits)                                                                         \
    DOUBLE_BY(name, _i, bits, (unsigned)insn->imm)                                                 \
    DOUBLE_BY(name, _cl, bits, (unsigned)cpu->s.gpr[RCX])
EACH_SIZE_OF(DOUBLE, shld)
EACH_SIZE_OF(DOUBLE, shrd)
#undef DOUBLE
#undef DOUBLE_BY
