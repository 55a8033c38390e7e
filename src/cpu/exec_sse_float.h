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

/* The VEX form. */
ALWAYS_INLINE_VEX int vex_apply_float(struct cpu *cpu, const struct insn *insn, vex_float *op,
                                      vex_reader *read)
{
    union ymm s, d;
    if (vex_source(cpu, insn, read, &s))
        return CPU_FAULT;
    d = *ymm_register(cpu, insn->vvvv);
    uint32_t flags = op(&d.x[0], &s.x[0], cpu->s.mxcsr);
    if (vex_upper(insn, read))
        flags |= op(&d.x[1], &s.x[1], cpu->s.mxcsr);
    else
        d.x[1] = (union xmm){ .u64 = { 0, 0 } };
    if (sse_float_flags(cpu, flags))
        return CPU_FAULT;
    *ymm_register(cpu, insn->reg) = d;
    return 0;
}

ALWAYS_INLINE_VEX int vex_apply_float_imm(struct cpu *cpu, const struct insn *insn,
                                          vex_float_imm *op, vex_reader *read)
{
    union ymm s, d;
    if (vex_source(cpu, insn, read, &s))
        return CPU_FAULT;
    d = *ymm_register(cpu, insn->vvvv);
    uint32_t flags = op(&d.x[0], &s.x[0], cpu->s.mxcsr, (uint8_t)insn->imm);
    if (vex_upper(insn, read))
        flags |= op(&d.x[1], &s.x[1], cpu->s.mxcsr, (uint8_t)insn->imm);
    else
        d.x[1] = (union xmm){ .u64 = { 0, 0 } };
    if (sse_float_flags(cpu, flags))
        return CPU_FAULT;
    *ymm_register(cpu, insn->reg) = d;
    return 0;
}

#define VEX_FLOAT_HANDLER(name, read)                                                              \
    int exec_vex_##name(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        return vex_apply_float(cpu, insn, fp_##name, read);                                        \
    }
#define VEX_FLOAT_HANDLER_IMM(name, read)                                                          \
    int exec_vex_##name(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        return vex_apply_float_imm(cpu, insn, imm_##name, read);                                   \
    }

/* exec_name_r and exec_name_m (and exec_vex_name) of the fp_vector_function fp_name. */
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
    }                                                                                              \
    VEX_FLOAT_HANDLER(name, read)

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
    }                                                                                              \
    VEX_FLOAT_HANDLER_IMM(name, read)

#endif
