/*
 * Floating point with the unit of an x86-64 host; see fp.h. SSE2 and x87
 * arithmetic is defined to the last bit by IEEE 754 and the manual, so that
 * any x86-64 host gives the same results. (SDM vol. 1, chapters 8 and 11)
 *
 * Invariant: outside these functions the host's MXCSR has default control
 * bits, FCW is 037Fh, and the x87 stack is empty. Status flags may be stale.
 */
#include "cpu/fp.h"

#include "cpu/cpu.h"

/* Control bits to compute with: the guest's rounding, DAZ and FTZ, all masked.
 * FTZ acts only while underflow is masked. */
static inline uint32_t host_control(uint32_t mxcsr)
{
    uint32_t control = MXCSR_DEFAULT | (mxcsr & (MXCSR_RC | MXCSR_DAZ));
    if ((mxcsr & (MXCSR_FTZ | MXCSR_UM)) == (MXCSR_FTZ | MXCSR_UM))
        control |= MXCSR_FTZ;
    return control;
}

static inline uint32_t host_done(uint32_t control, uint32_t status)
{
    if (unlikely(control != MXCSR_DEFAULT)) {
        uint32_t standard = MXCSR_DEFAULT;
        __asm__ volatile("ldmxcsr %0" : : "m"(standard));
    }
    return status & FP_EXCEPTIONS;
}

/* UE for exact tiny results, which only an unmasked underflow reports. */
static inline bool tiny32(uint32_t v) { return (v & 0x7fffffff) - 1 < 0x007fffff; }
static inline bool tiny64(uint64_t v) { return (v & ~(1ull << 63)) - 1 < (1ull << 52) - 1; }
static inline uint32_t never_tiny(const union xmm *d) { (void)d; return 0; }
static inline uint32_t tiny_ss(const union xmm *d) { return tiny32(d->u32[0]) ? FP_UE : 0; }
static inline uint32_t tiny_sd(const union xmm *d) { return tiny64(d->u64[0]) ? FP_UE : 0; }
static inline uint32_t tiny_pd(const union xmm *d)
{
    return tiny64(d->u64[0]) || tiny64(d->u64[1]) ? FP_UE : 0;
}
static inline uint32_t tiny_ps(const union xmm *d)
{
    return tiny32(d->u32[0]) || tiny32(d->u32[1]) || tiny32(d->u32[2]) || tiny32(d->u32[3])
               ? FP_UE : 0;
}

#define HOST_VECTOR(name, instruction, tiny)                                                       \
    uint32_t fp_##name(union xmm *d, const union xmm *s, uint32_t mxcsr)                           \
    {                                                                                              \
        uint32_t control = host_control(mxcsr), status = control;                                  \
        lanes_u8 a = d->vu8, b = s->vu8;                                                           \
        __asm__ volatile("ldmxcsr %[status]\n\t" instruction " %[b], %[a]\n\tstmxcsr %[status]"    \
                         : [a] "+x"(a), [status] "+m"(status) : [b] "x"(b));                       \
        d->vu8 = a;                                                                                \
        status = host_done(control, status);                                                       \
        if (unlikely(!(mxcsr & MXCSR_UM)))                                                         \
            status |= tiny(d);                                                                     \
        return status;                                                                             \
    }
#define HOST_TINY(name)                                                                            \
    HOST_VECTOR(name##ps, #name "ps", tiny_ps)                                                     \
    HOST_VECTOR(name##pd, #name "pd", tiny_pd)                                                     \
    HOST_VECTOR(name##ss, #name "ss", tiny_ss)                                                     \
    HOST_VECTOR(name##sd, #name "sd", tiny_sd)
#define HOST_FOUR(name)                                                                            \
    HOST_VECTOR(name##ps, #name "ps", never_tiny)                                                  \
    HOST_VECTOR(name##pd, #name "pd", never_tiny)                                                  \
    HOST_VECTOR(name##ss, #name "ss", never_tiny)                                                  \
    HOST_VECTOR(name##sd, #name "sd", never_tiny)
HOST_TINY(add)
HOST_TINY(sub)
HOST_TINY(mul)
HOST_TINY(div)
HOST_FOUR(min)
HOST_FOUR(max)
HOST_FOUR(sqrt)
HOST_FOUR(cmpeq)
HOST_FOUR(cmplt)
HOST_FOUR(cmple)
HOST_FOUR(cmpunord)
HOST_FOUR(cmpneq)
HOST_FOUR(cmpnlt)
HOST_FOUR(cmpnle)
HOST_FOUR(cmpord)
HOST_VECTOR(cvtps2pd, "cvtps2pd", never_tiny)
HOST_VECTOR(cvtpd2ps, "cvtpd2ps", tiny_ps)
HOST_VECTOR(cvtss2sd, "cvtss2sd", never_tiny)
HOST_VECTOR(cvtsd2ss, "cvtsd2ss", tiny_ss)
HOST_VECTOR(cvtdq2ps, "cvtdq2ps", never_tiny)
HOST_VECTOR(cvtdq2pd, "cvtdq2pd", never_tiny)
HOST_VECTOR(cvtps2dq, "cvtps2dq", never_tiny)
HOST_VECTOR(cvttps2dq, "cvttps2dq", never_tiny)
HOST_VECTOR(cvtpd2dq, "cvtpd2dq", never_tiny)
HOST_VECTOR(cvttpd2dq, "cvttpd2dq", never_tiny)

#define HOST_COMPARE(name)                                                                         \
    uint32_t fp_##name(const union xmm *a, const union xmm *b, uint32_t mxcsr, uint64_t *result)   \
    {                                                                                              \
        uint32_t control = host_control(mxcsr), status = control;                                  \
        bool zf, pf, cf;                                                                           \
        __asm__ volatile("ldmxcsr %[status]\n\t" #name " %[b], %[a]\n\tstmxcsr %[status]"          \
                         : [status] "+m"(status), "=@ccz"(zf), "=@ccp"(pf), "=@ccc"(cf)            \
                         : [a] "x"(a->vu8), [b] "x"(b->vu8));                                      \
        *result = (zf ? FLAG_ZF : 0) | (pf ? FLAG_PF : 0) | (cf ? FLAG_CF : 0);                    \
        return host_done(control, status);                                                         \
    }
HOST_COMPARE(comiss)
HOST_COMPARE(ucomiss)
HOST_COMPARE(comisd)
HOST_COMPARE(ucomisd)

#define HOST_TO_INTEGER(name, type, bits, suffix)                                                  \
    uint32_t fp_##name##bits(const union xmm *s, uint32_t mxcsr, uint64_t *result)                 \
    {                                                                                              \
        uint32_t control = host_control(mxcsr), status = control;                                  \
        type r;                                                                                    \
        __asm__ volatile("ldmxcsr %[status]\n\t" #name suffix " %[s], %[r]\n\tstmxcsr %[status]"   \
                         : [r] "=r"(r), [status] "+m"(status) : [s] "x"(s->vu8));                  \
        *result = r;                                                                               \
        return host_done(control, status);                                                         \
    }
#define HOST_TO_INTEGERS(name)                                                                     \
    HOST_TO_INTEGER(name, uint32_t, 32, "l")                                                       \
    HOST_TO_INTEGER(name, uint64_t, 64, "q")
HOST_TO_INTEGERS(cvtss2si)
HOST_TO_INTEGERS(cvttss2si)
HOST_TO_INTEGERS(cvtsd2si)
HOST_TO_INTEGERS(cvttsd2si)

#define HOST_FROM_INTEGER(name)                                                                    \
    uint32_t fp_##name(union xmm *d, int64_t value, uint32_t mxcsr)                                \
    {                                                                                              \
        uint32_t control = host_control(mxcsr), status = control;                                  \
        lanes_u8 a = d->vu8;                                                                       \
        __asm__ volatile("ldmxcsr %[status]\n\t" #name "q %[value], %[a]\n\tstmxcsr %[status]"     \
                         : [a] "+x"(a), [status] "+m"(status) : [value] "r"(value));               \
        d->vu8 = a;                                                                                \
        return host_done(control, status);                                                         \
    }
HOST_FROM_INTEGER(cvtsi2ss)
HOST_FROM_INTEGER(cvtsi2sd)

/*
 * x87. The guest's masks are given to the host too: an exception that it would
 * take shows as ES and is cleared before the next waiting instruction.
 */

#define X87_BEGIN                                                                                  \
    "fnstsw %%ax\n\t"                                                                              \
    "testb $0x3f, %%al\n\t"                                                                        \
    "jz 1f\n\t"                                                                                    \
    "fnclex\n"                                                                                     \
    "1:\tfldcw %[cw]\n\t"
#define X87_STATUS                                                                                 \
    "fnstsw %%ax\n\t"                                                                              \
    "testb $0x80, %%al\n\t"                                                                        \
    "jz 2f\n\t"                                                                                    \
    "fnclex\n"                                                                                     \
    "2:\t"
#define X87_CLOBBERS "cc", "st", "st(1)", "st(2)"
#define X87_RESULT (FP_EXCEPTIONS | FSW_C0 | FSW_C1 | FSW_C2 | FSW_C3)

static inline uint16_t x87_control(uint16_t fcw)
{
    return (fcw & 0x0f3f) | FCW_RESERVED;
}

static inline void x87_done(uint16_t control)
{
    if (unlikely(control != FCW_DEFAULT)) {
        uint16_t standard = FCW_DEFAULT;
        __asm__ volatile("fldcw %0" : : "m"(standard));
    }
}

/* An 80-bit memory operand: only the first 10 bytes are the value. */
#define X87_IN(p) "m"(*(const struct x87_register *)(p))

/* True if the status says that no result was made. */
static inline bool x87_suppressed(uint16_t status, uint16_t fcw)
{
    return status & ~fcw & FP_PRECOMPUTATION;
}

#define HOST_X87(name, instruction, keep)                                                          \
    uint16_t fp_x87_##name(struct x87_register *r, const struct x87_register *a,                   \
                           const struct x87_register *b, uint16_t fcw)                             \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        struct x87_register result = { 0, 0, { 0 } };                                              \
        __asm__ volatile(X87_BEGIN "fldt %[b]\n\tfldt %[a]\n\t" instruction "\n\t" X87_STATUS      \
                         "fstpt %[r]\n\tfstp %%st(0)"                                              \
                         : [r] "+m"(result), "=&a"(status)                                         \
                         : [cw] "m"(control), [a] X87_IN(a), [b] X87_IN(b) : X87_CLOBBERS);        \
        x87_done(control);                                                                         \
        if (!x87_suppressed(status, fcw))                                                          \
            *r = result;                                                                           \
        return status & (keep);                                                                    \
    }
HOST_X87(add, "fadd %%st(1), %%st", FP_EXCEPTIONS | FSW_C1)
HOST_X87(sub, "fsub %%st(1), %%st", FP_EXCEPTIONS | FSW_C1)
HOST_X87(mul, "fmul %%st(1), %%st", FP_EXCEPTIONS | FSW_C1)
HOST_X87(div, "fdiv %%st(1), %%st", FP_EXCEPTIONS | FSW_C1)
HOST_X87(scale, "fscale", FP_EXCEPTIONS | FSW_C1)

#define HOST_X87_UNARY(name, instruction)                                                          \
    uint16_t fp_x87_##name(struct x87_register *r, const struct x87_register *a, uint16_t fcw)     \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        struct x87_register result = { 0, 0, { 0 } };                                              \
        __asm__ volatile(X87_BEGIN "fldt %[a]\n\t" instruction "\n\t" X87_STATUS "fstpt %[r]"      \
                         : [r] "+m"(result), "=&a"(status)                                         \
                         : [cw] "m"(control), [a] X87_IN(a) : X87_CLOBBERS);                       \
        x87_done(control);                                                                         \
        if (!x87_suppressed(status, fcw))                                                          \
            *r = result;                                                                           \
        return status & (FP_EXCEPTIONS | FSW_C1);                                                  \
    }
HOST_X87_UNARY(sqrt, "fsqrt")
HOST_X87_UNARY(round, "frndint")

#define HOST_X87_COMPARE(name, instruction)                                                        \
    uint16_t fp_x87_##name(const struct x87_register *a, const struct x87_register *b,             \
                           uint16_t fcw)                                                           \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        __asm__ volatile(X87_BEGIN "fldt %[b]\n\tfldt %[a]\n\t" instruction "\n\t" X87_STATUS      \
                         "fstp %%st(0)\n\tfstp %%st(0)"                                            \
                         : "=&a"(status)                                                           \
                         : [cw] "m"(control), [a] X87_IN(a), [b] X87_IN(b) : X87_CLOBBERS);        \
        x87_done(control);                                                                         \
        return status & (X87_RESULT & ~FSW_C1);                                                    \
    }
HOST_X87_COMPARE(compare, "fcom %%st(1)")
HOST_X87_COMPARE(compare_quiet, "fucom %%st(1)")

/* Stores do not pop on the host when suppressed: EMMS empties the stack. */
#define HOST_X87_STORE(name, type, instruction)                                                    \
    uint16_t fp_x87_to_##name(type *r, const struct x87_register *a, uint16_t fcw)                 \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        type result = *r;                                                                          \
        __asm__ volatile(X87_BEGIN "fldt %[a]\n\t" instruction " %[r]\n\t"                         \
                         "fnstsw %%ax\n\ttestb $0x80, %%al\n\tjz 2f\n\tfnclex\n\temms\n2:"         \
                         : [r] "+m"(result), "=&a"(status)                                         \
                         : [cw] "m"(control), [a] X87_IN(a) : X87_CLOBBERS);                       \
        x87_done(control);                                                                         \
        *r = result;                                                                               \
        return status & (FP_EXCEPTIONS | FSW_C1);                                                  \
    }
HOST_X87_STORE(f32, uint32_t, "fstps")
HOST_X87_STORE(f64, uint64_t, "fstpl")
HOST_X87_STORE(i16, int16_t, "fistps")
HOST_X87_STORE(i32, int32_t, "fistpl")
HOST_X87_STORE(i64, int64_t, "fistpll")
