/*
 * What SSE floating point handlers share: taking exceptions. (SDM vol. 1,
 * section 11.5)
 */
#ifndef CPU_EXEC_SSE_FLOAT_H
#define CPU_EXEC_SSE_FLOAT_H

#include "cpu/exec_vector.h"
#include "cpu/fp.h"

/* Records `flags` of which one is unmasked and raises #XM (or #UD). */
int sse_float_fault(struct cpu *cpu, uint32_t flags);

/* Records the flags that an operation raised: 0, or CPU_FAULT when one is
 * unmasked; the destination must then stay as it was. */
static inline int sse_float_flags(struct cpu *cpu, uint32_t flags)
{
    if (unlikely(flags & ~(cpu->s.mxcsr >> MXCSR_MASK_SHIFT)))
        return sse_float_fault(cpu, flags);
    cpu->s.mxcsr |= flags;
    return 0;
}

/* exec_name_r and exec_name_m of the fp_vector_function fp_name. */
#define SSE_FLOAT_HANDLERS(name, read)                                                             \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm d = *xmm_register(cpu, insn->reg);                                               \
        uint32_t flags = fp_##name(&d, xmm_register(cpu, insn->rm), cpu->s.mxcsr);                 \
        if (sse_float_flags(cpu, flags))                                                           \
            return CPU_FAULT;                                                                      \
        *xmm_register(cpu, insn->reg) = d;                                                         \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        union xmm d = *xmm_register(cpu, insn->reg);                                               \
        if (sse_float_flags(cpu, fp_##name(&d, &s, cpu->s.mxcsr)))                                 \
            return CPU_FAULT;                                                                      \
        *xmm_register(cpu, insn->reg) = d;                                                         \
        return 0;                                                                                  \
    }

/* The same for operations with an immediate:
 * uint32_t imm_name(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm). */
#define SSE_FLOAT_HANDLERS_IMM(name, read)                                                         \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm d = *xmm_register(cpu, insn->reg), s = *xmm_register(cpu, insn->rm);             \
        if (sse_float_flags(cpu, imm_##name(&d, &s, cpu->s.mxcsr, (uint8_t)insn->imm)))            \
            return CPU_FAULT;                                                                      \
        *xmm_register(cpu, insn->reg) = d;                                                         \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        union xmm d = *xmm_register(cpu, insn->reg);                                               \
        if (sse_float_flags(cpu, imm_##name(&d, &s, cpu->s.mxcsr, (uint8_t)insn->imm)))            \
            return CPU_FAULT;                                                                      \
        *xmm_register(cpu, insn->reg) = d;                                                         \
        return 0;                                                                                  \
    }

#endif
