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

/* A value that is tiny and not zero: UE even when exact, if that is unmasked. */
static inline bool tiny32(uint32_t v) { return (v & 0x7fffffff) - 1 < 0x007fffff; }
static inline bool tiny64(uint64_t v) { return (v & ~(1ull << 63)) - 1 < (1ull << 52) - 1; }

/* Whether OE or UE was raised that is not masked. */
static inline bool range_unmasked(uint32_t status, uint32_t mxcsr)
{
    return status & (FP_OE | FP_UE) & ~(mxcsr >> MXCSR_MASK_SHIFT);
}

/*
 * With overflow or underflow unmasked, PE tells whether the result is inexact
 * with an unbounded exponent. The x87's exponent is wide enough: these redo an
 * operation there with the precision of the format.
 */
static uint16_t wide_control(uint32_t mxcsr, bool is_double)
{
    unsigned rounding = (mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT;
    return (uint16_t)(FP_EXCEPTIONS | FCW_RESERVED | (is_double ? 0x200 : 0)
                      | rounding << FCW_RC_SHIFT);
}

static void wide32(struct x87_register *r, uint32_t v, uint32_t mxcsr)
{
    fp_x87_from_f32(r, mxcsr & MXCSR_DAZ && tiny32(v) ? v & 0x80000000 : v);
}

static void wide64(struct x87_register *r, uint64_t v, uint32_t mxcsr)
{
    fp_x87_from_f64(r, mxcsr & MXCSR_DAZ && tiny64(v) ? v & 1ull << 63 : v);
}

static uint32_t wide_pe_ss(fp_x87_function *f, const union xmm *a, const union xmm *b, uint32_t mxcsr)
{
    struct x87_register x, y, r;
    wide32(&x, a->u32[0], mxcsr);
    wide32(&y, b->u32[0], mxcsr);
    return f(&r, &x, &y, wide_control(mxcsr, false)) & FP_PE;
}

static uint32_t wide_pe_sd(fp_x87_function *f, const union xmm *a, const union xmm *b, uint32_t mxcsr)
{
    struct x87_register x, y, r;
    wide64(&x, a->u64[0], mxcsr);
    wide64(&y, b->u64[0], mxcsr);
    return f(&r, &x, &y, wide_control(mxcsr, true)) & FP_PE;
}

#define HOST_COMPUTE(instruction)                                                                  \
    uint32_t control = host_control(mxcsr), status = control;                                      \
    lanes_u8 a = d->vu8, b = s->vu8;                                                               \
    __asm__ volatile("ldmxcsr %[status]\n\t" instruction " %[b], %[a]\n\tstmxcsr %[status]"        \
                     : [a] "+x"(a), [status] "+m"(status) : [b] "x"(b));                           \
    status = host_done(control, status);

/* Operations that neither overflow nor underflow. */
#define HOST_VECTOR(name)                                                                          \
    uint32_t fp_##name(union xmm *d, const union xmm *s, uint32_t mxcsr)                           \
    {                                                                                              \
        HOST_COMPUTE(#name)                                                                        \
        d->vu8 = a;                                                                                \
        return status;                                                                             \
    }
#define HOST_FOUR(name)                                                                            \
    HOST_VECTOR(name##ps) HOST_VECTOR(name##pd) HOST_VECTOR(name##ss) HOST_VECTOR(name##sd)

/* Arithmetic that can. The packed forms ask lane by lane for the flags. */
#define HOST_SCALAR(name, type, lane, tiny)                                                        \
    uint32_t fp_##name##type(union xmm *d, const union xmm *s, uint32_t mxcsr)                     \
    {                                                                                              \
        HOST_COMPUTE(#name #type)                                                                  \
        union xmm before = *d;                                                                     \
        d->vu8 = a;                                                                                \
        if (unlikely(!(mxcsr & MXCSR_UM)) && tiny(d->lane[0]))                                     \
            status |= FP_UE;                                                                       \
        if (unlikely(range_unmasked(status, mxcsr)))                                               \
            status = (status & ~FP_PE) | wide_pe_##type(fp_x87_##name, &before, s, mxcsr);         \
        return status;                                                                             \
    }
#define HOST_PACKED(name, type, scalar, lane)                                                      \
    static uint32_t lane_flags_##name##type(const union xmm *d, const union xmm *s, uint32_t mxcsr) \
    {                                                                                              \
        uint32_t status = 0;                                                                       \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++) {                                       \
            union xmm x = { .lane = { d->lane[i] } }, y = { .lane = { s->lane[i] } };              \
            status |= fp_##name##scalar(&x, &y, mxcsr);                                            \
        }                                                                                          \
        return status;                                                                             \
    }                                                                                              \
    uint32_t fp_##name##type(union xmm *d, const union xmm *s, uint32_t mxcsr)                     \
    {                                                                                              \
        HOST_COMPUTE(#name #type)                                                                  \
        if (unlikely((mxcsr & (FP_OE | FP_UE) << MXCSR_MASK_SHIFT)                                 \
                     != (FP_OE | FP_UE) << MXCSR_MASK_SHIFT))                                      \
            status = lane_flags_##name##type(d, s, mxcsr);                                         \
        d->vu8 = a;                                                                                \
        return status;                                                                             \
    }
#define HOST_RANGED(name)                                                                          \
    HOST_SCALAR(name, ss, u32, tiny32)                                                             \
    HOST_SCALAR(name, sd, u64, tiny64)                                                             \
    HOST_PACKED(name, ps, ss, u32)                                                                 \
    HOST_PACKED(name, pd, sd, u64)
HOST_RANGED(add)
HOST_RANGED(sub)
HOST_RANGED(mul)
HOST_RANGED(div)
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
HOST_VECTOR(cvtps2pd)
HOST_VECTOR(cvtss2sd)
HOST_VECTOR(cvtdq2ps)
HOST_VECTOR(cvtdq2pd)
HOST_VECTOR(cvtps2dq)
HOST_VECTOR(cvttps2dq)
HOST_VECTOR(cvtpd2dq)
HOST_VECTOR(cvttpd2dq)

/* Narrowing: the same as arithmetic, with a product with 1 as the wide form. */
uint32_t fp_cvtsd2ss(union xmm *d, const union xmm *s, uint32_t mxcsr)
{
    HOST_COMPUTE("cvtsd2ss")
    d->vu8 = a;
    if (unlikely(!(mxcsr & MXCSR_UM)) && tiny32(d->u32[0]))
        status |= FP_UE;
    if (unlikely(range_unmasked(status, mxcsr))) {
        static const struct x87_register one = { 1ull << 63, 0x3fff, { 0 } };
        struct x87_register x, r;
        wide64(&x, s->u64[0], mxcsr);
        status = (status & ~FP_PE) | (fp_x87_mul(&r, &x, &one, wide_control(mxcsr, false)) & FP_PE);
    }
    return status;
}

uint32_t fp_cvtpd2ps(union xmm *d, const union xmm *s, uint32_t mxcsr)
{
    HOST_COMPUTE("cvtpd2ps")
    if (unlikely((mxcsr & (FP_OE | FP_UE) << MXCSR_MASK_SHIFT)
                 != (FP_OE | FP_UE) << MXCSR_MASK_SHIFT)) {
        union xmm r, low = { .u64 = { s->u64[0] } }, high = { .u64 = { s->u64[1] } };
        r.u64[0] = r.u64[1] = 0;
        status = fp_cvtsd2ss(&r, &low, mxcsr) | fp_cvtsd2ss(&r, &high, mxcsr);
    }
    d->vu8 = a;
    return status;
}

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
    "testb %b[fresh], %%al\n\t"                                                                    \
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

static inline uint16_t x87_control(uint32_t fcw)
{
    return (uint16_t)((fcw & 0x0f3f) | FCW_RESERVED);
}

/* The host's flags that must be clear beforehand. */
static inline uint8_t x87_fresh(uint32_t fcw)
{
    return (fcw & FP_EXCEPTIONS) == FP_EXCEPTIONS ? ~(fcw >> 16) & FP_EXCEPTIONS : FP_EXCEPTIONS;
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
static inline bool x87_suppressed(uint16_t status, uint32_t fcw)
{
    return status & ~fcw & FP_PRECOMPUTATION;
}

#define HOST_X87(name, instruction, keep)                                                          \
    uint16_t fp_x87_##name(struct x87_register *r, const struct x87_register *a,                   \
                           const struct x87_register *b, uint32_t fcw)                             \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        struct x87_register result = { 0, 0, { 0 } };                                              \
        __asm__ volatile(X87_BEGIN "fldt %[b]\n\tfldt %[a]\n\t" instruction "\n\t" X87_STATUS      \
                         "fstpt %[r]\n\tfstp %%st(0)"                                              \
                         : [r] "+m"(result), "=&a"(status)                                         \
                         : [cw] "m"(control), [fresh] "q"(x87_fresh(fcw)), [a] X87_IN(a), [b] X87_IN(b) : X87_CLOBBERS);        \
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
    uint16_t fp_x87_##name(struct x87_register *r, const struct x87_register *a, uint32_t fcw)     \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        struct x87_register result = { 0, 0, { 0 } };                                              \
        __asm__ volatile(X87_BEGIN "fldt %[a]\n\t" instruction "\n\t" X87_STATUS "fstpt %[r]"      \
                         : [r] "+m"(result), "=&a"(status)                                         \
                         : [cw] "m"(control), [fresh] "q"(x87_fresh(fcw)), [a] X87_IN(a) : X87_CLOBBERS);                       \
        x87_done(control);                                                                         \
        if (!x87_suppressed(status, fcw))                                                          \
            *r = result;                                                                           \
        return status & (FP_EXCEPTIONS | FSW_C1);                                                  \
    }
HOST_X87_UNARY(sqrt, "fsqrt")
HOST_X87_UNARY(round, "frndint")

#define HOST_X87_COMPARE(name, instruction)                                                        \
    uint16_t fp_x87_##name(const struct x87_register *a, const struct x87_register *b,             \
                           uint32_t fcw)                                                           \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        __asm__ volatile(X87_BEGIN "fldt %[b]\n\tfldt %[a]\n\t" instruction "\n\t" X87_STATUS      \
                         "fstp %%st(0)\n\tfstp %%st(0)"                                            \
                         : "=&a"(status)                                                           \
                         : [cw] "m"(control), [fresh] "q"(x87_fresh(fcw)), [a] X87_IN(a), [b] X87_IN(b) : X87_CLOBBERS);        \
        x87_done(control);                                                                         \
        return status & (X87_RESULT & ~FSW_C1);                                                    \
    }
HOST_X87_COMPARE(compare, "fcom %%st(1)")
HOST_X87_COMPARE(compare_quiet, "fucom %%st(1)")

/* Stores do not pop on the host when suppressed: EMMS empties the stack. */
#define HOST_X87_STORE(name, type, instruction)                                                    \
    uint16_t fp_x87_to_##name(type *r, const struct x87_register *a, uint32_t fcw)                 \
    {                                                                                              \
        uint16_t control = x87_control(fcw), status;                                               \
        type result = *r;                                                                          \
        __asm__ volatile(X87_BEGIN "fldt %[a]\n\t" instruction " %[r]\n\t"                         \
                         "fnstsw %%ax\n\ttestb $0x80, %%al\n\tjz 2f\n\tfnclex\n\temms\n2:"         \
                         : [r] "+m"(result), "=&a"(status)                                         \
                         : [cw] "m"(control), [fresh] "q"(x87_fresh(fcw)), [a] X87_IN(a) : X87_CLOBBERS);                       \
        x87_done(control);                                                                         \
        *r = result;                                                                               \
        return status & (FP_EXCEPTIONS | FSW_C1);                                                  \
    }
HOST_X87_STORE(f32, uint32_t, "fstps")
HOST_X87_STORE(f64, uint64_t, "fstpl")
HOST_X87_STORE(i16, int16_t, "fistps")
HOST_X87_STORE(i32, int32_t, "fistpl")
HOST_X87_STORE(i64, int64_t, "fistpll")
