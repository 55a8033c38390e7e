/*
 * Fused multiply-add and half precision, exactly, by integers of 128 bits.
 * (SDM vol. 1, sections 14.4 and 14.5; IEEE 754-2008)
 *
 * A finite number here is significand * 2^(exponent - 127), with bit 127 of
 * the significand set: its exponent is that of the format, without bias. Its
 * lowest bit is sticky: set when anything was lost below.
 */
#include "cpu/fp_fused.h"

#include "cpu/cpu.h"

typedef unsigned __int128 wide;

struct format {
    unsigned fraction, bias;
};
static const struct format half = { 10, 15 }, single = { 23, 127 }, dual = { 52, 1023 };

static uint64_t infinity_of(const struct format *f)
{
    return (uint64_t)(2 * f->bias + 1) << f->fraction;
}

static uint64_t sign_of(const struct format *f)
{
    return (uint64_t)(2 * f->bias + 2) << f->fraction;
}

static uint64_t quiet_of(const struct format *f)
{
    return 1ull << (f->fraction - 1);
}

static bool is_nan(uint64_t v, const struct format *f)
{
    return (v & ~sign_of(f)) > infinity_of(f);
}

static bool is_denormal(uint64_t v, const struct format *f)
{
    uint64_t magnitude = v & ~sign_of(f);
    return magnitude && magnitude < 1ull << f->fraction;
}

static wide shift_sticky(wide v, unsigned n)
{
    if (n == 0)
        return v;
    if (n > 127)
        return v != 0;
    return v >> n | ((v & (((wide)1 << n) - 1)) != 0);
}

static unsigned leading_zeros(wide v)
{
    uint64_t high = (uint64_t)(v >> 64);
    return high ? (unsigned)__builtin_clzll(high) : 64 + (unsigned)__builtin_clzll((uint64_t)v);
}

/* The significand as an integer with its hidden bit at bit 63, and the
 * exponent, of a finite number that is not 0. */
static uint64_t unpack(uint64_t v, const struct format *f, int *exponent)
{
    uint64_t magnitude = v & ~sign_of(f);
    int biased = (int)(magnitude >> f->fraction);
    uint64_t significand = magnitude & ((1ull << f->fraction) - 1);
    if (biased)
        significand |= 1ull << f->fraction;
    else
        biased = 1;
    unsigned shift = (unsigned)__builtin_clzll(significand);
    *exponent = biased - (int)f->bias + 63 - (int)shift - (int)f->fraction;
    return significand << shift;
}

/* The upper bits of m, above `shift`, rounded. */
static uint64_t round_off(wide m, unsigned shift, bool negative, unsigned rounding, bool *inexact)
{
    wide unit = (wide)1 << shift, rest = m & (unit - 1);
    uint64_t kept = (uint64_t)(m >> shift);
    *inexact = rest != 0;
    if (rounding == 0)
        return kept + (rest > unit / 2 || (rest == unit / 2 && kept & 1));
    return kept + (rest && rounding == (negative ? 1 : 2));
}

static uint64_t overflow(bool negative, unsigned rounding, const struct format *f)
{
    bool to_infinity = rounding == 0 || rounding == (negative ? 1 : 2);
    return infinity_of(f) - !to_infinity;
}

/* The number in a format, without its sign. `mxcsr`: FTZ and the masks. */
static uint64_t pack(bool negative, int exponent, wide m, const struct format *f, unsigned rounding,
                     uint32_t mxcsr, uint32_t *flags)
{
    unsigned shift = 127 - f->fraction;
    int lowest = 1 - (int)f->bias;
    bool inexact;
    uint64_t kept = round_off(m, shift, negative, rounding, &inexact);
    bool carry = kept >> (f->fraction + 1);
    if (exponent >= lowest) {
        *flags |= inexact ? FP_PE : 0;
        if (exponent + carry > (int)f->bias) {
            *flags |= FP_OE | (mxcsr & FP_OE << MXCSR_MASK_SHIFT ? FP_PE : 0);
            return overflow(negative, rounding, f);
        }
        return ((uint64_t)(exponent - lowest) << f->fraction) + kept;
    }
    bool tiny = exponent + carry < lowest;
    if (tiny && !(mxcsr & MXCSR_UM)) { /* no result; inexact with an unbounded exponent? */
        *flags |= FP_UE | (inexact ? FP_PE : 0);
        return 0;
    }
    if (tiny && mxcsr & MXCSR_FTZ) {
        *flags |= FP_UE | FP_PE;
        return 0;
    }
    kept = round_off(shift_sticky(m, (unsigned)(lowest - exponent)), shift, negative, rounding,
                     &inexact);
    if (inexact)
        *flags |= FP_PE | (tiny ? FP_UE : 0);
    return kept;
}

/* NaNs and infinities: true if they decide the result. The first NaN of the
 * factors, then the addend, wins. */
static bool special(uint64_t a, uint64_t b, uint64_t c, bool product_sign, bool addend_sign,
                    const struct format *f, uint64_t *result, uint32_t *flags)
{
    uint64_t infinity = infinity_of(f), mask = ~sign_of(f), quiet = quiet_of(f);
    uint64_t am = a & mask, bm = b & mask, cm = c & mask;
    bool undefined = (am == infinity && bm == 0) || (am == 0 && bm == infinity);
    if (is_nan(a, f) || is_nan(b, f) || is_nan(c, f)) {
        if ((is_nan(a, f) && !(a & quiet)) || (is_nan(b, f) && !(b & quiet))
            || (is_nan(c, f) && !(c & quiet)))
            *flags |= FP_IE;
        *result = (is_nan(a, f) ? a : is_nan(b, f) ? b : c) | quiet;
        return true;
    }
    bool infinite = am == infinity || bm == infinity;
    if (undefined || (infinite && cm == infinity && product_sign != addend_sign)) {
        *flags |= FP_IE;
        *result = sign_of(f) | infinity | quiet;
        return true;
    }
    if (!infinite && cm != infinity)
        return false;
    *result = infinity | ((infinite ? product_sign : addend_sign) ? sign_of(f) : 0);
    return true;
}

/* product + addend, of significands below 2^126 with the same meaning of
 * `exponent`: bit 124 has it. */
static uint64_t sum(wide product, int product_exponent, bool product_sign, wide addend,
                    int addend_exponent, bool addend_sign, const struct format *f, uint32_t mxcsr,
                    uint32_t *flags)
{
    unsigned rounding = (mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT;
    int exponent = product_exponent, distance = product_exponent - addend_exponent;
    bool sign = product_sign;
    wide total;
    if (!product || !addend) {
        exponent = product ? product_exponent : addend_exponent;
    } else if (distance >= 0) {
        addend = shift_sticky(addend, (unsigned)distance);
    } else {
        product = shift_sticky(product, (unsigned)-distance);
        exponent = addend_exponent;
    }
    if (product_sign == addend_sign) {
        total = product + addend;
    } else {
        sign = product > addend ? product_sign : addend_sign;
        total = product > addend ? product - addend : addend - product;
    }
    if (!total) {
        if (product_sign != addend_sign)
            sign = rounding == 1;
        return sign ? sign_of(f) : 0;
    }
    unsigned shift = leading_zeros(total);
    return pack(sign, exponent + 3 - (int)shift, total << shift, f, rounding, mxcsr, flags)
           | (sign ? sign_of(f) : 0);
}

static uint64_t fused(uint64_t a, uint64_t b, uint64_t c, unsigned negate, const struct format *f,
                      uint32_t mxcsr, uint32_t *flags)
{
    uint64_t mask = ~sign_of(f), result;
    bool product_sign = ((a ^ b) & sign_of(f)) != 0, addend_sign = (c & sign_of(f)) != 0;
    product_sign ^= negate & FP_NEGATE_PRODUCT;
    addend_sign ^= (negate & FP_NEGATE_ADDEND) != 0;
    uint32_t denormal = 0;
    uint64_t *operands[3] = { &a, &b, &c };
    for (unsigned i = 0; i < 3; i++) {
        if (!is_denormal(*operands[i], f))
            continue;
        if (mxcsr & MXCSR_DAZ)
            *operands[i] &= sign_of(f);
        else
            denormal = FP_DE;
    }
    uint32_t raised = 0;
    if (special(a, b, c, product_sign, addend_sign, f, &result, &raised)) {
        bool nan = is_nan(result, f);
        *flags |= raised | (nan ? 0 : denormal);
        return result;
    }
    int a_exponent = 0, b_exponent = 0, c_exponent = 0;
    wide product = 0, addend = 0;
    if (a & mask && b & mask)
        product = (wide)unpack(a, f, &a_exponent) * unpack(b, f, &b_exponent);
    if (c & mask)
        addend = (wide)unpack(c, f, &c_exponent) << 61;
    /* Factors of at most 53 bits: the low 22 bits of their product are 0. */
    product >>= 2;
    *flags |= denormal;
    return sum(product, a_exponent + b_exponent, product_sign, addend, c_exponent, addend_sign, f,
               mxcsr, flags);
}

uint32_t fp_fused32(uint32_t a, uint32_t b, uint32_t c, unsigned negate, uint32_t mxcsr,
                    uint32_t *flags)
{
    return (uint32_t)fused(a, b, c, negate, &single, mxcsr, flags);
}

uint64_t fp_fused64(uint64_t a, uint64_t b, uint64_t c, unsigned negate, uint32_t mxcsr,
                    uint32_t *flags)
{
    return fused(a, b, c, negate, &dual, mxcsr, flags);
}

uint32_t fp_from_half(uint16_t v, uint32_t *flags)
{
    uint32_t sign = (uint32_t)(v & 0x8000) << 16, magnitude = v & 0x7fff;
    int exponent;
    if (is_nan(v, &half)) {
        if (!(v & quiet_of(&half)))
            *flags |= FP_IE;
        return sign | 0x7fc00000 | magnitude << 13;
    }
    if (magnitude == 0x7c00)
        return sign | 0x7f800000;
    if (magnitude == 0)
        return sign;
    uint64_t significand = unpack(v, &half, &exponent);
    return sign | (((uint32_t)(exponent + 126) << 23) + (uint32_t)(significand >> 40));
}

uint16_t fp_to_half(uint32_t v, unsigned rounding, uint32_t mxcsr, uint32_t *flags)
{
    bool negative = v >> 31;
    uint16_t sign = negative ? 0x8000 : 0;
    uint32_t magnitude = v & 0x7fffffff;
    int exponent;
    if (is_nan(v, &single)) {
        if (!(v & quiet_of(&single)))
            *flags |= FP_IE;
        return sign | 0x7e00 | (uint16_t)(magnitude >> 13 & 0x3ff);
    }
    if (magnitude == 0x7f800000)
        return sign | 0x7c00;
    if (is_denormal(v, &single)) {
        if (mxcsr & MXCSR_DAZ)
            magnitude = 0;
        else
            *flags |= FP_DE;
    }
    if (magnitude == 0)
        return sign;
    wide significand = (wide)unpack(magnitude, &single, &exponent) << 64;
    return sign
           | (uint16_t)pack(negative, exponent, significand, &half, rounding, mxcsr & ~MXCSR_FTZ,
                            flags);
}
