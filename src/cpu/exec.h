/*
 * What the instruction handlers (exec_*.c) share: how one is declared, the
 * widths they are made for, and the stack.
 *
 * Names: exec_<what>_r<bits> and exec_<what>_m<bits> have their ModRM.rm
 * operand in a register and in memory; `_g_` in the name: ModRM.reg is the
 * destination; `_i_`: the source is the immediate; `_a_`: the destination is
 * the accumulator. Whatever can fault comes before any change of state.
 */
#ifndef CPU_EXEC_H
#define CPU_EXEC_H

#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/memory.h"
#include "cpu/system.h"

#define HANDLER(name)                                                                              \
    int exec_##name(struct cpu *cpu __attribute__((unused)),                                       \
                    const struct insn *insn __attribute__((unused)))

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* Expands X for each operand size, and for bytes too. */
#define EACH_SIZE(X) X(16) X(32) X(64)
#define EACH_WIDTH(X) X(8) EACH_SIZE(X)
#define EACH_SIZE_OF(X, ...) X(__VA_ARGS__, 16) X(__VA_ARGS__, 32) X(__VA_ARGS__, 64)
#define EACH_WIDTH_OF(X, ...) X(__VA_ARGS__, 8) EACH_SIZE_OF(X, __VA_ARGS__)

/* The sixteen conditions, by their number in the opcode. */
#define EACH_CONDITION(X)                                                                          \
    X(o, 0) X(no, 1) X(b, 2) X(ae, 3) X(e, 4) X(ne, 5) X(be, 6) X(a, 7)                            \
    X(s, 8) X(ns, 9) X(p, 10) X(np, 11) X(l, 12) X(ge, 13) X(le, 14) X(g, 15)

/* The memory operand of `insn`. */
#define OPERAND_READ(bits, value) memory_read##bits(cpu, insn->seg, insn_address(cpu, insn), value)
#define OPERAND_WRITE(bits, value) memory_write##bits(cpu, insn->seg, insn_address(cpu, insn), value)
#define OPERAND_MODIFY(bits, modify, value)                                                        \
    memory_modify##bits(cpu, insn->seg, insn_address(cpu, insn), modify, value)

/* An access to the stack at a non-canonical address is #SS(0), where the
 * flat segment of 64-bit code makes it #GP(0). */
static __attribute__((cold, noinline, unused)) int stack_fault(struct cpu *cpu)
{
    if (cpu_code64(cpu) && cpu->exception.vector == VECTOR_GP)
        cpu->exception.vector = VECTOR_SS;
    return CPU_FAULT;
}

/* Sets as much of rSP as the stack's size has. */
static inline void stack_set(struct cpu *cpu, uint64_t offset)
{
    cpu->s.gpr[RSP] = (cpu->s.gpr[RSP] & ~cpu->stack_mask) | (offset & cpu->stack_mask);
}

/* stack_pushN: one push. stack_readN: what a pop would give, `above` bytes
 * above the top; the caller moves rSP by stack_set when nothing more can
 * fault. */
#define STACK(bits)                                                                                \
    static inline int stack_push##bits(struct cpu *cpu, uint##bits##_t value)                      \
    {                                                                                              \
        uint64_t top = (cpu->s.gpr[RSP] - bits / 8) & cpu->stack_mask;                             \
        if (unlikely(memory_write##bits(cpu, memory_segment(cpu, SS), top, value)))                \
            return stack_fault(cpu);                                                               \
        stack_set(cpu, top);                                                                       \
        return 0;                                                                                  \
    }                                                                                              \
    static inline int stack_read##bits(struct cpu *cpu, uint64_t above, uint##bits##_t *value)     \
    {                                                                                              \
        uint64_t place = (cpu->s.gpr[RSP] + above) & cpu->stack_mask;                              \
        if (unlikely(memory_read##bits(cpu, memory_segment(cpu, SS), place, value)))               \
            return stack_fault(cpu);                                                               \
        return 0;                                                                                  \
    }
STACK(16)
STACK(32)
#undef STACK

/* A push or pop of 64 bits is in 64-bit code: all of RSP, no segment. */
static inline int stack_push64(struct cpu *cpu, uint64_t value)
{
    if (unlikely(memory_write64(cpu, SEGMENT_FLAT, cpu->s.gpr[RSP] - 8, value)))
        return stack_fault(cpu);
    cpu->s.gpr[RSP] -= 8;
    return 0;
}
static inline int stack_read64(struct cpu *cpu, uint64_t above, uint64_t *value)
{
    if (unlikely(memory_read64(cpu, SEGMENT_FLAT, cpu->s.gpr[RSP] + above, value)))
        return stack_fault(cpu);
    return 0;
}

#endif
