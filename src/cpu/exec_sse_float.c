/*
 * SSE floating point arithmetic: ADDPS .. SQRTSD, CMPPS, logic, horizontal
 * forms, dot products, rounding, RCPPS and RSQRTPS. (SDM vol. 2; vol. 1,
 * chapter 11)
 *
 * Ours: RCPPS and RSQRTPS give the exact value rounded to nearest at 12 bits of
 * fraction (relative error below 2^-12.9; the manual allows 1.5 * 2^-12).
 */
#include "cpu/exec_sse_float.h"

int sse_float_fault(struct cpu *cpu, uint32_t flags)
{
    uint32_t unmasked = flags & ~(cpu->s.mxcsr >> MXCSR_MASK_SHIFT);
    /* Operations stop before results are made, and so before their flags. */
    if (unmasked & FP_PRECOMPUTATION)
        flags &= FP_PRECOMPUTATION;
    cpu->s.mxcsr |= flags;
    return cpu_raise(cpu, cpu->s.cr4 & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD);
}

#define FLOAT_FOUR(name)                                                                           \
    SSE_FLOAT_HANDLERS(name##ps, sse_read_aligned)                                                 \
    SSE_FLOAT_HANDLERS(name##pd, sse_read_aligned)                                                 \
    SSE_FLOAT_HANDLERS(name##ss, sse_read32)                                                       \
    SSE_FLOAT_HANDLERS(name##sd, sse_read64)
FLOAT_FOUR(add)
FLOAT_FOUR(sub)
FLOAT_FOUR(mul)
FLOAT_FOUR(div)
FLOAT_FOUR(min)
FLOAT_FOUR(max)
FLOAT_FOUR(sqrt)

/* CMPPS, CMPPD, CMPSS, CMPSD: the low three bits choose the predicate. */
#define COMPARE(type)                                                                              \
    static uint32_t imm_cmp##type(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)   \
    {                                                                                              \
        static fp_vector_function *const predicate[8] = {                                          \
            fp_cmpeq##type, fp_cmplt##type, fp_cmple##type, fp_cmpunord##type,                     \
            fp_cmpneq##type, fp_cmpnlt##type, fp_cmpnle##type, fp_cmpord##type,                    \
        };                                                                                         \
        return predicate[imm & 7](d, s, mxcsr);                                                    \
    }
COMPARE(ps)
COMPARE(pd)
COMPARE(ss)
COMPARE(sd)
SSE_FLOAT_HANDLERS_IMM(cmpps, sse_read_aligned)
SSE_FLOAT_HANDLERS_IMM(cmppd, sse_read_aligned)
SSE_FLOAT_HANDLERS_IMM(cmpss, sse_read32)
SSE_FLOAT_HANDLERS_IMM(cmpsd, sse_read64)

/* SSE3: ADDSUB subtracts in even lanes; lanes that one operation does not own
 * are zero in it, so that they raise nothing. */

static uint32_t fp_addsubps(union xmm *d, const union xmm *s, uint32_t mxcsr)
{
    union xmm even = { .u32 = { d->u32[0], 0, d->u32[2], 0 } };
    union xmm even_s = { .u32 = { s->u32[0], 0, s->u32[2], 0 } };
    union xmm odd = { .u32 = { 0, d->u32[1], 0, d->u32[3] } };
    union xmm odd_s = { .u32 = { 0, s->u32[1], 0, s->u32[3] } };
    uint32_t flags = fp_subps(&even, &even_s, mxcsr) | fp_addps(&odd, &odd_s, mxcsr);
    *d = (union xmm){ .u32 = { even.u32[0], odd.u32[1], even.u32[2], odd.u32[3] } };
    return flags;
}

static uint32_t fp_addsubpd(union xmm *d, const union xmm *s, uint32_t mxcsr)
{
    union xmm high = { .u64 = { d->u64[1], 0 } }, high_s = { .u64 = { s->u64[1], 0 } };
    uint32_t flags = fp_subsd(d, s, mxcsr) | fp_addsd(&high, &high_s, mxcsr);
    d->u64[1] = high.u64[0];
    return flags;
}

#define HORIZONTAL(name)                                                                           \
    static uint32_t fp_h##name##ps(union xmm *d, const union xmm *s, uint32_t mxcsr)               \
    {                                                                                              \
        union xmm a = { .u32 = { d->u32[0], d->u32[2], s->u32[0], s->u32[2] } };                   \
        union xmm b = { .u32 = { d->u32[1], d->u32[3], s->u32[1], s->u32[3] } };                   \
        uint32_t flags = fp_##name##ps(&a, &b, mxcsr);                                             \
        *d = a;                                                                                    \
        return flags;                                                                              \
    }                                                                                              \
    static uint32_t fp_h##name##pd(union xmm *d, const union xmm *s, uint32_t mxcsr)               \
    {                                                                                              \
        union xmm a = { .u64 = { d->u64[0], s->u64[0] } };                                         \
        union xmm b = { .u64 = { d->u64[1], s->u64[1] } };                                         \
        uint32_t flags = fp_##name##pd(&a, &b, mxcsr);                                             \
        *d = a;                                                                                    \
        return flags;                                                                              \
    }                                                                                              \
    SSE_FLOAT_HANDLERS(h##name##ps, sse_read_aligned)                                              \
    SSE_FLOAT_HANDLERS(h##name##pd, sse_read_aligned)
HORIZONTAL(add)
HORIZONTAL(sub)
SSE_FLOAT_HANDLERS(addsubps, sse_read_aligned)
SSE_FLOAT_HANDLERS(addsubpd, sse_read_aligned)

/* SSE4.1 dot products: each stage may raise exceptions of its own. */

static bool stops(uint32_t flags, uint32_t mxcsr)
{
    return flags & ~(mxcsr >> MXCSR_MASK_SHIFT);
}

static uint32_t imm_dpps(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)
{
    union xmm a = *d, b = *s;
    for (unsigned i = 0; i < 4; i++)
        if (!(imm >> (4 + i) & 1))
            a.u32[i] = b.u32[i] = 0;
    uint32_t flags = fp_mulps(&a, &b, mxcsr);
    if (stops(flags, mxcsr))
        return flags;
    union xmm low = { .u32 = { a.u32[0], a.u32[2], 0, 0 } };
    union xmm high = { .u32 = { a.u32[1], a.u32[3], 0, 0 } };
    flags |= fp_addps(&low, &high, mxcsr);
    if (stops(flags, mxcsr))
        return flags;
    union xmm sum = { .u32 = { low.u32[0], 0, 0, 0 } }, rest = { .u32 = { low.u32[1], 0, 0, 0 } };
    flags |= fp_addps(&sum, &rest, mxcsr);
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = imm >> i & 1 ? sum.u32[0] : 0;
    return flags;
}

static uint32_t imm_dppd(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)
{
    union xmm a = *d, b = *s;
    for (unsigned i = 0; i < 2; i++)
        if (!(imm >> (4 + i) & 1))
            a.u64[i] = b.u64[i] = 0;
    uint32_t flags = fp_mulpd(&a, &b, mxcsr);
    if (stops(flags, mxcsr))
        return flags;
    union xmm sum = { .u64 = { a.u64[0], 0 } }, rest = { .u64 = { a.u64[1], 0 } };
    flags |= fp_addpd(&sum, &rest, mxcsr);
    for (unsigned i = 0; i < 2; i++)
        d->u64[i] = imm >> i & 1 ? sum.u64[0] : 0;
    return flags;
}

SSE_FLOAT_HANDLERS_IMM(dpps, sse_read_aligned)
SSE_FLOAT_HANDLERS_IMM(dppd, sse_read_aligned)

/*
 * SSE4.1 rounding to an integral value, on the bits: `fraction` bits of
 * significand, exponent bias `bias`. Only SNaNs are invalid; denormals raise
 * nothing but inexact.
 */
static uint64_t round_bits(uint64_t v, unsigned fraction, unsigned bias, uint32_t mxcsr,
                           uint8_t imm, uint32_t *flags)
{
    uint64_t sign = v & (bias == 127 ? 1ull << 31 : 1ull << 63), magnitude = v ^ sign;
    uint64_t infinity = (uint64_t)(2 * bias + 1) << fraction, one = 1ull << fraction;
    unsigned rounding = imm & 4 ? (mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT : imm & 3;
    if (magnitude > infinity) {
        if (!(magnitude & one >> 1))
            *flags |= FP_IE;
        return v | one >> 1;
    }
    if (magnitude < one && mxcsr & MXCSR_DAZ)
        magnitude = 0;
    if (magnitude == 0 || magnitude >= (uint64_t)(bias + fraction) << fraction)
        return sign | magnitude;
    uint64_t rounded, unit = 0, rest;
    if (magnitude < (uint64_t)bias << fraction) { /* below 1: the result is 0 or 1 */
        uint64_t half = (uint64_t)(bias - 1) << fraction;
        bool up = rounding == 0 ? magnitude > half : rounding == 1 ? sign != 0
                  : rounding == 2 ? sign == 0 : false;
        rounded = up ? (uint64_t)bias << fraction : 0;
    } else {
        /* In [1, 2) the unit's bit is the exponent's lowest, which is 1 there
         * as the hidden bit is. */
        unit = 1ull << (fraction - ((magnitude >> fraction) - bias));
        rest = magnitude & (unit - 1);
        rounded = magnitude - rest;
        if (rest == 0)
            return v;
        bool up = rounding == 0   ? rest > unit / 2 || (rest == unit / 2 && (rounded & unit))
                  : rounding == 1 ? sign != 0
                  : rounding == 2 ? sign == 0 : false;
        rounded += up ? unit : 0;
    }
    if (!(imm & 8))
        *flags |= FP_PE;
    return sign | rounded;
}

static uint32_t round32(uint32_t v, uint32_t mxcsr, uint8_t imm, uint32_t *flags)
{
    return (uint32_t)round_bits(v, 23, 127, mxcsr, imm, flags);
}

static uint32_t imm_roundps(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)
{
    uint32_t flags = 0;
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = round32(s->u32[i], mxcsr, imm, &flags);
    return flags;
}

static uint32_t imm_roundpd(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)
{
    uint32_t flags = 0;
    for (unsigned i = 0; i < 2; i++)
        d->u64[i] = round_bits(s->u64[i], 52, 1023, mxcsr, imm, &flags);
    return flags;
}

static uint32_t imm_roundss(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)
{
    uint32_t flags = 0;
    d->u32[0] = round32(s->u32[0], mxcsr, imm, &flags);
    return flags;
}

static uint32_t imm_roundsd(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)
{
    uint32_t flags = 0;
    d->u64[0] = round_bits(s->u64[0], 52, 1023, mxcsr, imm, &flags);
    return flags;
}

SSE_FLOAT_HANDLERS_IMM(roundps, sse_read_aligned)
SSE_FLOAT_HANDLERS_IMM(roundpd, sse_read_aligned)
SSE_FLOAT_HANDLERS_IMM(roundss, sse_read32)
SSE_FLOAT_HANDLERS_IMM(roundsd, sse_read64)

/* Approximations. They raise nothing; denormals count as zeros. */

static uint32_t reciprocal(uint32_t v)
{
    uint32_t sign = v & 0x80000000, magnitude = v ^ sign;
    if (magnitude > 0x7f800000)
        return v | 0x00400000;
    if (magnitude == 0x7f800000)
        return sign;
    if (magnitude < 0x00800000)
        return sign | 0x7f800000;
    uint32_t significand = (magnitude & 0x007fffff) | 0x00800000;
    uint32_t quotient = (uint32_t)((1ull << 47) / significand); /* 2^23 .. 2^24 */
    int exponent = 253 - (int)(magnitude >> 23);
    quotient = (quotient + 0x400) & ~0x7ffu;
    if (quotient == 1u << 24) {
        quotient >>= 1;
        exponent++;
    }
    return exponent <= 0 ? sign : sign | (uint32_t)exponent << 23 | (quotient & 0x007fffff);
}

static uint32_t integer_root(uint64_t v)
{
    uint64_t root = 0;
    for (uint64_t bit = 1ull << 20; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= v)
            root |= bit;
    return (uint32_t)root;
}

static uint32_t reciprocal_root(uint32_t v)
{
    uint32_t sign = v & 0x80000000, magnitude = v ^ sign;
    if (magnitude > 0x7f800000)
        return v | 0x00400000;
    if (magnitude < 0x00800000)
        return sign | 0x7f800000;
    if (sign)
        return 0xffc00000;
    if (magnitude == 0x7f800000)
        return 0;
    int exponent = (int)(magnitude >> 23) - 127, odd = exponent & 1;
    uint64_t significand = (uint64_t)((magnitude & 0x007fffff) | 0x00800000) << odd;
    uint32_t root = integer_root((1ull << 63) / significand); /* 2^19 .. 2^20 */
    int result = 126 - (exponent - odd) / 2;
    root = (root + 0x40) & ~0x7fu;
    if (root == 1u << 20) {
        root >>= 1;
        result++;
    }
    return (uint32_t)result << 23 | (root << 4 & 0x007fffff);
}

static inline void op_rcpps(union xmm *d, const union xmm *s)
{
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = reciprocal(s->u32[i]);
}
static inline void op_rcpss(union xmm *d, const union xmm *s)
{
    d->u32[0] = reciprocal(s->u32[0]);
}
static inline void op_rsqrtps(union xmm *d, const union xmm *s)
{
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = reciprocal_root(s->u32[i]);
}
static inline void op_rsqrtss(union xmm *d, const union xmm *s)
{
    d->u32[0] = reciprocal_root(s->u32[0]);
}
SSE_HANDLERS(rcpps)
SSE_HANDLERS(rsqrtps)
SSE_HANDLERS_READ(rcpss, sse_read32)
SSE_HANDLERS_READ(rsqrtss, sse_read32)
