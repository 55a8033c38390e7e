/*
 * SSE conversions and the comparisons that set flags: CVTxx2xx, COMISS,
 * UCOMISS, COMISD, UCOMISD. (SDM vol. 2)
 */
#include "cpu/exec_sse_float.h"
#include "cpu/flags.h"

SSE_FLOAT_HANDLERS(cvtps2pd, sse_read64)
SSE_FLOAT_HANDLERS(cvtpd2ps, sse_read_aligned)
SSE_FLOAT_HANDLERS(cvtss2sd, sse_read32)
SSE_FLOAT_HANDLERS(cvtsd2ss, sse_read64)
SSE_FLOAT_HANDLERS(cvtdq2ps, sse_read_aligned)
SSE_FLOAT_HANDLERS(cvtdq2pd, sse_read64)
SSE_FLOAT_HANDLERS(cvtps2dq, sse_read_aligned)
SSE_FLOAT_HANDLERS(cvttps2dq, sse_read_aligned)
SSE_FLOAT_HANDLERS(cvtpd2dq, sse_read_aligned)
SSE_FLOAT_HANDLERS(cvttpd2dq, sse_read_aligned)

#define FLAG_COMPARE(name, read)                                                                   \
    static inline int compare_##name(struct cpu *cpu, unsigned reg, const union xmm *s)            \
    {                                                                                              \
        uint64_t result;                                                                           \
        uint32_t flags = fp_##name(xmm_register(cpu, reg), s, cpu->s.mxcsr, &result);              \
        if (sse_float_flags(cpu, flags))                                                           \
            return CPU_FAULT;                                                                      \
        flags_put(cpu, result);                                                                    \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        return compare_##name(cpu, insn->reg, xmm_register(cpu, insn->rm));                        \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        return compare_##name(cpu, insn->reg, &s);                                                 \
    }
FLAG_COMPARE(comiss, sse_read32)
FLAG_COMPARE(ucomiss, sse_read32)
FLAG_COMPARE(comisd, sse_read64)
FLAG_COMPARE(ucomisd, sse_read64)

/* To a general register of 4 or 8 bytes. */
#define TO_INTEGER(name, read)                                                                     \
    static inline int convert_##name(struct cpu *cpu, const struct insn *insn, const union xmm *s) \
    {                                                                                              \
        uint64_t result;                                                                           \
        uint32_t flags = insn->operand_bytes == 8 ? fp_##name##64(s, cpu->s.mxcsr, &result)        \
                                                  : fp_##name##32(s, cpu->s.mxcsr, &result);       \
        if (sse_float_flags(cpu, flags))                                                           \
            return CPU_FAULT;                                                                      \
        register_write64(cpu, insn->reg, result);                                                  \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        return convert_##name(cpu, insn, xmm_register(cpu, insn->rm));                             \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        return convert_##name(cpu, insn, &s);                                                      \
    }
TO_INTEGER(cvtss2si, sse_read32)
TO_INTEGER(cvttss2si, sse_read32)
TO_INTEGER(cvtsd2si, sse_read64)
TO_INTEGER(cvttsd2si, sse_read64)

/* From a general register or memory of 4 or 8 bytes. */
#define FROM_INTEGER(name)                                                                         \
    static inline int convert_##name(struct cpu *cpu, unsigned reg, int64_t value)                 \
    {                                                                                              \
        union xmm d = *xmm_register(cpu, reg);                                                     \
        if (sse_float_flags(cpu, fp_##name(&d, value, cpu->s.mxcsr)))                              \
            return CPU_FAULT;                                                                      \
        *xmm_register(cpu, reg) = d;                                                               \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        uint64_t value = register_read64(cpu, insn->rm);                                           \
        return convert_##name(cpu, insn->reg,                                                      \
                              insn->operand_bytes == 8 ? (int64_t)value : (int32_t)value);         \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu)                                                                         \
            || (insn->operand_bytes == 8 ? sse_read64(cpu, insn, &s) : sse_read32(cpu, insn, &s))) \
            return CPU_FAULT;                                                                      \
        return convert_##name(cpu, insn->reg, insn->operand_bytes == 8 ? s.i64[0] : s.i32[0]);     \
    }
FROM_INTEGER(cvtsi2ss)
FROM_INTEGER(cvtsi2sd)

/* Between MMX and XMM registers. */

static int cvtpi2ps(struct cpu *cpu, const struct insn *insn, uint64_t value)
{
    union xmm s = { .u64 = { value, 0 } }, d = s;
    if (sse_float_flags(cpu, fp_cvtdq2ps(&d, &s, cpu->s.mxcsr)))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u64[0] = d.u64[0];
    return 0;
}

int exec_cvtpi2ps_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_mmx_check(cpu) || cvtpi2ps(cpu, insn, mmx_read(cpu, insn->rm)))
        return CPU_FAULT;
    mmx_enter(cpu);
    return 0;
}

/* With memory operands CVTPI2PS and CVTPI2PD do not touch the x87 state. */

int exec_cvtpi2ps_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    return sse_check(cpu) || sse_read64(cpu, insn, &s) ? CPU_FAULT
                                                       : cvtpi2ps(cpu, insn, s.u64[0]);
}

int exec_cvtpi2pd_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_mmx_check(cpu))
        return CPU_FAULT;
    union xmm s = { .u64 = { mmx_read(cpu, insn->rm), 0 } };
    mmx_enter(cpu);
    fp_cvtdq2pd(xmm_register(cpu, insn->reg), &s, cpu->s.mxcsr);
    return 0;
}

int exec_cvtpi2pd_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read64(cpu, insn, &s))
        return CPU_FAULT;
    fp_cvtdq2pd(xmm_register(cpu, insn->reg), &s, cpu->s.mxcsr);
    return 0;
}

static int to_mmx(struct cpu *cpu, const struct insn *insn, const union xmm *s,
                  fp_vector_function *convert)
{
    union xmm d = *s;
    if (sse_float_flags(cpu, convert(&d, s, cpu->s.mxcsr)))
        return CPU_FAULT;
    mmx_write(cpu, insn->reg, d.u64[0]);
    return 0;
}

/* The upper lanes are 0, which converts without any flag. */
#define TO_MMX(name, convert, half, read)                                                          \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_mmx_check(cpu))                                                                    \
            return CPU_FAULT;                                                                      \
        union xmm s = *xmm_register(cpu, insn->rm);                                                \
        if (half)                                                                                  \
            s.u64[1] = 0;                                                                          \
        return to_mmx(cpu, insn, &s, convert);                                                     \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_mmx_check(cpu) || read(cpu, insn, &s))                                             \
            return CPU_FAULT;                                                                      \
        return to_mmx(cpu, insn, &s, convert);                                                     \
    }
TO_MMX(cvtps2pi, fp_cvtps2dq, true, sse_read64)
TO_MMX(cvttps2pi, fp_cvttps2dq, true, sse_read64)
TO_MMX(cvtpd2pi, fp_cvtpd2dq, false, sse_read_aligned)
TO_MMX(cvttpd2pi, fp_cvttpd2dq, false, sse_read_aligned)
