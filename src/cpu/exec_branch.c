/*
 * Near control transfers: JMP, CALL, RET, Jcc, LOOPcc, JCXZ (SDM vol. 2). Far
 * ones are in the system files.
 *
 * The operand size is that of the target: 16 bits cut it; 64 bits demand a
 * canonical one; otherwise it must lie within the limit of CS. All of that is
 * #GP(0) at the branch, and comes before any change of state.
 */
#include "cpu/exec.h"

static ALWAYS_INLINE int branch_check(struct cpu *cpu, uint64_t target, unsigned bits)
{
    if (bits == 64 ? unlikely(!cpu_canonical(cpu, target)) : unlikely(target > cpu->s.seg[CS].limit))
        return cpu_raise_gp0(cpu);
    return 0;
}

static ALWAYS_INLINE int branch_to(struct cpu *cpu, uint64_t target, unsigned bits)
{
    if (branch_check(cpu, target, bits))
        return CPU_FAULT;
    cpu->s.gpr[RIP] = target;
    return 0;
}

/* The target of a relative branch. */
#define RELATIVE(bits) ((uint##bits##_t)(insn_next(cpu, insn) + insn->imm))

#define JCC_SIZE(cc, number, bits)                                                                 \
    HANDLER(j##cc##_##bits)                                                                        \
    {                                                                                              \
        if (flags_condition(cpu, number))                                                          \
            return branch_to(cpu, RELATIVE(bits), bits);                                           \
        cpu->s.gpr[RIP] = insn_next(cpu, insn);                                                    \
        return 0;                                                                                  \
    }
#define JCC(cc, number) JCC_SIZE(cc, number, 16) JCC_SIZE(cc, number, 32) JCC_SIZE(cc, number, 64)
EACH_CONDITION(JCC)
#undef JCC
#undef JCC_SIZE

#define JUMP_CALL(bits)                                                                            \
    HANDLER(jmp_##bits)                                                                            \
    {                                                                                              \
        return branch_to(cpu, RELATIVE(bits), bits);                                               \
    }                                                                                              \
    HANDLER(jmp_e_r##bits)                                                                         \
    {                                                                                              \
        return branch_to(cpu, register_read##bits(cpu, insn->rm), bits);                           \
    }                                                                                              \
    HANDLER(jmp_e_m##bits)                                                                         \
    {                                                                                              \
        uint##bits##_t target;                                                                     \
        if (OPERAND_READ(bits, &target))                                                           \
            return CPU_FAULT;                                                                      \
        return branch_to(cpu, target, bits);                                                       \
    }                                                                                              \
    static ALWAYS_INLINE int call##bits(struct cpu *cpu, const struct insn *insn,                  \
                                        uint##bits##_t target)                                     \
    {                                                                                              \
        if (branch_check(cpu, target, bits)                                                        \
            || stack_push##bits(cpu, (uint##bits##_t)insn_next(cpu, insn)))                        \
            return CPU_FAULT;                                                                      \
        cpu->s.gpr[RIP] = target;                                                                  \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(call_##bits)                                                                           \
    {                                                                                              \
        return call##bits(cpu, insn, RELATIVE(bits));                                              \
    }                                                                                              \
    HANDLER(call_e_r##bits)                                                                        \
    {                                                                                              \
        return call##bits(cpu, insn, register_read##bits(cpu, insn->rm));                          \
    }                                                                                              \
    HANDLER(call_e_m##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t target;                                                                     \
        if (OPERAND_READ(bits, &target))                                                           \
            return CPU_FAULT;                                                                      \
        return call##bits(cpu, insn, target);                                                      \
    }                                                                                              \
    static ALWAYS_INLINE int ret##bits(struct cpu *cpu, uint64_t release)                          \
    {                                                                                              \
        uint##bits##_t target;                                                                     \
        if (stack_read##bits(cpu, 0, &target) || branch_check(cpu, target, bits))                  \
            return CPU_FAULT;                                                                      \
        stack_set(cpu, cpu->s.gpr[RSP] + bits / 8 + release);                                      \
        cpu->s.gpr[RIP] = target;                                                                  \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(ret_##bits)                                                                            \
    {                                                                                              \
        return ret##bits(cpu, 0);                                                                  \
    }                                                                                              \
    HANDLER(ret_i_##bits)                                                                          \
    {                                                                                              \
        return ret##bits(cpu, insn->imm);                                                          \
    }
EACH_SIZE(JUMP_CALL)
#undef JUMP_CALL

/* rCX of the address size, `less` subtracted. */
static inline uint64_t counter(const struct cpu *cpu, const struct insn *insn, unsigned less)
{
    return (cpu->s.gpr[RCX] - less) & (~0ull >> insn->address_shift);
}
static inline void counter_set(struct cpu *cpu, const struct insn *insn, uint64_t value)
{
    if (insn->address_shift == 48)
        register_write16(cpu, RCX, (uint16_t)value);
    else
        cpu->s.gpr[RCX] = value;
}

#define LOOP(name, condition, bits)                                                                \
    HANDLER(name##_##bits)                                                                         \
    {                                                                                              \
        uint64_t count = counter(cpu, insn, 1);                                                    \
        uint64_t target = insn_next(cpu, insn);                                                    \
        if (count != 0 && (condition)) {                                                           \
            target = RELATIVE(bits);                                                               \
            if (branch_check(cpu, target, bits))                                                   \
                return CPU_FAULT;                                                                  \
        }                                                                                          \
        counter_set(cpu, insn, count);                                                             \
        cpu->s.gpr[RIP] = target;                                                                  \
        return 0;                                                                                  \
    }
EACH_SIZE_OF(LOOP, loop, true)
EACH_SIZE_OF(LOOP, loope, flags_zf(cpu))
EACH_SIZE_OF(LOOP, loopne, !flags_zf(cpu))
#undef LOOP

#define JCXZ(bits)                                                                                 \
    HANDLER(jcxz_##bits)                                                                           \
    {                                                                                              \
        if (counter(cpu, insn, 0) == 0)                                                            \
            return branch_to(cpu, RELATIVE(bits), bits);                                           \
        cpu->s.gpr[RIP] = insn_next(cpu, insn);                                                    \
        return 0;                                                                                  \
    }
EACH_SIZE(JCXZ)
#undef JCXZ
