/*
 * BMI1 and BMI2: bit manipulation in general registers with a VEX prefix. (SDM
 * vol. 2)
 *
 * Undefined by the manual, and here: AF and PF, and SF of BEXTR, are those of
 * the result as AND would set them.
 */
#include "cpu/exec.h"

/* The source in ModRM.rm, zero-extended. There is no VEX without protected mode. */
static int bmi_source(struct cpu *cpu, const struct insn *insn, uint64_t *value)
{
    uint32_t low;
    if (!cpu_uses_descriptors(cpu))
        return cpu_raise(cpu, VECTOR_UD);
    if (insn->modrm >= 0xc0) {
        *value = insn->operand_bytes == 8 ? cpu->s.gpr[insn->rm] : (uint32_t)cpu->s.gpr[insn->rm];
        return 0;
    }
    if (insn->operand_bytes == 8)
        return OPERAND_READ(64, value);
    if (OPERAND_READ(32, &low))
        return CPU_FAULT;
    *value = low;
    return 0;
}

static unsigned bits_of(const struct insn *insn)
{
    return 8u * insn->operand_bytes;
}

static uint64_t cut(const struct insn *insn, uint64_t value)
{
    return insn->operand_bytes == 8 ? value : (uint32_t)value;
}

/* The operand that vvvv names. */
static uint64_t bmi_v(const struct cpu *cpu, const struct insn *insn)
{
    return cut(insn, cpu->s.gpr[insn->vvvv]);
}

static void set_flags(struct cpu *cpu, const struct insn *insn, uint64_t result, bool cf)
{
    flags_set_logic(cpu, result, bits_of(insn));
    flags_set_cf_of(cpu, cf, false);
}

HANDLER(andn)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    uint64_t result = ~bmi_v(cpu, insn) & s;
    set_flags(cpu, insn, result, false);
    register_write64(cpu, insn->reg, result);
    return 0;
}

HANDLER(blsr)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    uint64_t result = s & (s - 1);
    set_flags(cpu, insn, result, s == 0);
    register_write64(cpu, insn->vvvv, result);
    return 0;
}

HANDLER(blsmsk)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    uint64_t result = cut(insn, s ^ (s - 1));
    set_flags(cpu, insn, result, s == 0);
    register_write64(cpu, insn->vvvv, result);
    return 0;
}

HANDLER(blsi)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    uint64_t result = s & -s;
    set_flags(cpu, insn, result, s != 0);
    register_write64(cpu, insn->vvvv, result);
    return 0;
}

HANDLER(bextr)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    unsigned start = bmi_v(cpu, insn) & 0xff, length = bmi_v(cpu, insn) >> 8 & 0xff;
    uint64_t result = start < 64 ? s >> start : 0;
    if (length < 64)
        result &= (1ull << length) - 1;
    set_flags(cpu, insn, result, false);
    register_write64(cpu, insn->reg, result);
    return 0;
}

HANDLER(bzhi)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    unsigned from = bmi_v(cpu, insn) & 0xff;
    uint64_t result = from < bits_of(insn) ? s & ((1ull << from) - 1) : s;
    set_flags(cpu, insn, result, from >= bits_of(insn));
    register_write64(cpu, insn->reg, result);
    return 0;
}

HANDLER(pext)
{
    uint64_t mask, v = bmi_v(cpu, insn), result = 0;
    TRY_FAULT(bmi_source(cpu, insn, &mask));
    for (unsigned place = 0; mask; mask &= mask - 1, place++)
        result |= (v >> __builtin_ctzll(mask) & 1) << place;
    register_write64(cpu, insn->reg, result);
    return 0;
}

HANDLER(pdep)
{
    uint64_t mask, v = bmi_v(cpu, insn), result = 0;
    TRY_FAULT(bmi_source(cpu, insn, &mask));
    for (; mask; mask &= mask - 1, v >>= 1)
        if (v & 1)
            result |= mask & -mask;
    register_write64(cpu, insn->reg, result);
    return 0;
}

/* The high half is written last: it stays when both are the same register. */
HANDLER(mulx)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    unsigned __int128 product = (unsigned __int128)s * cut(insn, cpu->s.gpr[RDX]);
    register_write64(cpu, insn->vvvv, cut(insn, (uint64_t)product));
    register_write64(cpu, insn->reg, cut(insn, (uint64_t)(product >> bits_of(insn))));
    return 0;
}

/* Shifts by the operand that vvvv names; no flags. */
#define SHIFT(name, expression)                                                                    \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        uint64_t s;                                                                                \
        TRY_FAULT(bmi_source(cpu, insn, &s));                                                      \
        unsigned n = bmi_v(cpu, insn) & (bits_of(insn) - 1);                                       \
        register_write64(cpu, insn->reg, cut(insn, expression));                                   \
        return 0;                                                                                  \
    }
SHIFT(shlx, s << n)
SHIFT(shrx, s >> n)
SHIFT(sarx, (uint64_t)((insn->operand_bytes == 8 ? (int64_t)s : (int32_t)s) >> n))

HANDLER(rorx)
{
    uint64_t s;
    TRY_FAULT(bmi_source(cpu, insn, &s));
    unsigned bits = bits_of(insn), n = (unsigned)insn->imm & (bits - 1);
    register_write64(cpu, insn->reg, cut(insn, n ? s >> n | s << (bits - n) : s));
    return 0;
}
