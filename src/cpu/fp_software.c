/*
 * x87 operations that are computed with integers on every host: loads from
 * other formats, FPREM, FPREM1, FXTRACT. (SDM vol. 2)
 *
 * Ours: an incomplete FPREM reduces the exponent difference D by
 * 32 + D mod 32 (the manual allows 32 to 63) and clears C0, C1, C3.
 */
#include "cpu/fp.h"

#define INTEGER_BIT (1ull << 63)
#define QUIET_BIT (1ull << 62)

static struct x87_register make(bool negative, int exponent, uint64_t significand)
{
    return (struct x87_register){ significand, (uint16_t)(exponent | (negative ? 0x8000 : 0)), { 0 } };
}

uint16_t fp_x87_from_f32(struct x87_register *r, uint32_t v)
{
    uint32_t exponent = v >> 23 & 0xff, fraction = v & 0x7fffff;
    bool negative = v >> 31;
    uint64_t significand = INTEGER_BIT | (uint64_t)fraction << 40;
    if (exponent == 0xff) {
        *r = make(negative, 0x7fff, significand);
        return fraction && !(significand & QUIET_BIT) ? FP_IE : 0;
    }
    if (exponent) {
        *r = make(negative, (int)exponent + 16383 - 127, significand);
        return 0;
    }
    if (!fraction) {
        *r = make(negative, 0, 0);
        return 0;
    }
    int shift = __builtin_clz(fraction) - 8;
    *r = make(negative, 1 - shift + 16383 - 127, (uint64_t)fraction << (40 + shift));
    return FP_DE;
}

uint16_t fp_x87_from_f64(struct x87_register *r, uint64_t v)
{
    uint64_t exponent = v >> 52 & 0x7ff, fraction = v & 0xfffffffffffffull;
    bool negative = v >> 63;
    uint64_t significand = INTEGER_BIT | fraction << 11;
    if (exponent == 0x7ff) {
        *r = make(negative, 0x7fff, significand);
        return fraction && !(significand & QUIET_BIT) ? FP_IE : 0;
    }
    if (exponent) {
        *r = make(negative, (int)exponent + 16383 - 1023, significand);
        return 0;
    }
    if (!fraction) {
        *r = make(negative, 0, 0);
        return 0;
    }
    int shift = __builtin_clzll(fraction) - 11;
    *r = make(negative, 1 - shift + 16383 - 1023, fraction << (11 + shift));
    return FP_DE;
}

uint16_t fp_x87_from_i64(struct x87_register *r, int64_t v)
{
    uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
    if (!magnitude) {
        *r = make(false, 0, 0);
        return 0;
    }
    int shift = __builtin_clzll(magnitude);
    *r = make(v < 0, 16383 + 63 - shift, magnitude << shift);
    return 0;
}

/* A finite number that is not zero, normalized: significand has its integer
 * bit, value = significand * 2^(exponent - 63). */
struct number {
    bool negative;
    int exponent;
    uint64_t significand;
};

static bool is_nan_or_unsupported(const struct x87_register *a)
{
    unsigned exponent = a->sign_exponent & 0x7fff;
    if (exponent && !(a->significand & INTEGER_BIT))
        return true;
    return exponent == 0x7fff && a->significand != INTEGER_BIT;
}

static bool is_infinity(const struct x87_register *a)
{
    return (a->sign_exponent & 0x7fff) == 0x7fff && a->significand == INTEGER_BIT;
}

static bool is_zero(const struct x87_register *a)
{
    return !(a->sign_exponent & 0x7fff) && !a->significand;
}

static bool is_denormal(const struct x87_register *a)
{
    return !(a->sign_exponent & 0x7fff) && a->significand;
}

static struct number unpack(const struct x87_register *a)
{
    int exponent = a->sign_exponent & 0x7fff, shift = __builtin_clzll(a->significand);
    return (struct number){ a->sign_exponent >> 15, (exponent ? exponent : 1) - 16383 - shift,
                            a->significand << shift };
}

/* Back to the register format; the value fits, a tiny one exactly. With
 * underflow unmasked a tiny one is scaled up and raises UE. */
static unsigned pack(struct x87_register *r, bool negative, int exponent, uint64_t significand,
                     uint32_t fcw)
{
    if (!significand) {
        *r = make(negative, 0, 0);
        return 0;
    }
    int shift = __builtin_clzll(significand), biased = exponent - shift + 16383;
    significand <<= shift;
    if (biased >= 1) {
        *r = make(negative, biased, significand);
        return 0;
    }
    if (!(fcw & FP_UE)) {
        *r = make(negative, biased + 24576, significand);
        return FP_UE;
    }
    *r = make(negative, 0, significand >> (1 - biased));
    return 0;
}

/* The quotient's low bits where FPREM reports them. */
static unsigned quotient_bits(uint64_t quotient)
{
    return (quotient & 1 ? FSW_C1 : 0) | (quotient & 2 ? FSW_C3 : 0) | (quotient & 4 ? FSW_C0 : 0);
}

/* a and b are finite, not zero. */
static unsigned reduce(struct x87_register *r, const struct number *a, const struct number *b,
                       bool nearest, uint32_t fcw)
{
    int difference = a->exponent - b->exponent;
    uint64_t rest = a->significand, quotient = 0;
    bool negative = a->negative, carry = false;
    if (difference < -1 || (difference == -1 && (!nearest || rest <= b->significand)))
        return pack(r, negative, a->exponent, rest, fcw);
    if (difference == -1)
        return pack(r, !negative, a->exponent, 2 * b->significand - rest, fcw) | quotient_bits(1);
    int steps = difference < 64 ? difference : 32 + difference % 32;
    for (int i = 0;; i++) {
        if (carry || rest >= b->significand) {
            rest -= b->significand;
            quotient |= 1;
        }
        if (i == steps)
            break;
        carry = rest >> 63;
        rest <<= 1;
        quotient <<= 1;
    }
    if (difference >= 64)
        return pack(r, negative, b->exponent + difference - steps, rest, fcw) | FSW_C2;
    uint64_t other = b->significand - rest;
    if (nearest && (rest > other || (rest == other && quotient & 1))) {
        rest = other;
        negative = !negative;
        quotient++;
    }
    return pack(r, negative, b->exponent, rest, fcw) | quotient_bits(quotient);
}

uint16_t fp_x87_remainder(struct x87_register *r, const struct x87_register *a,
                          const struct x87_register *b, bool nearest, uint32_t fcw)
{
    if (is_nan_or_unsupported(a) || is_nan_or_unsupported(b))
        return fp_x87_add(r, a, b, fcw); /* the same rules for NaNs */
    if (is_infinity(a) || is_zero(b)) {
        if (fcw & FP_IE)
            *r = make(true, 0x7fff, INTEGER_BIT | QUIET_BIT);
        return FP_IE;
    }
    unsigned status = is_denormal(a) || is_denormal(b) ? FP_DE : 0;
    if (status & ~fcw)
        return (uint16_t)status;
    if (is_zero(a)) {
        *r = *a;
        return (uint16_t)status;
    }
    struct number x = unpack(a);
    if (is_infinity(b))
        return (uint16_t)(status | pack(r, x.negative, x.exponent, x.significand, fcw));
    struct number y = unpack(b);
    return (uint16_t)(status | reduce(r, &x, &y, nearest, fcw));
}

uint16_t fp_x87_extract(struct x87_register *exponent, struct x87_register *significand,
                        const struct x87_register *a, uint32_t fcw)
{
    if (is_nan_or_unsupported(a)) {
        struct x87_register zero = { 0, 0, { 0 } };
        uint16_t status = fp_x87_add(significand, a, &zero, fcw);
        *exponent = *significand;
        return status & FP_EXCEPTIONS;
    }
    bool negative = a->sign_exponent >> 15;
    if (is_infinity(a)) {
        *significand = *a;
        *exponent = make(false, 0x7fff, INTEGER_BIT);
        return 0;
    }
    if (is_zero(a)) {
        *significand = *a;
        *exponent = make(true, 0x7fff, INTEGER_BIT);
        return FP_ZE;
    }
    struct number x = unpack(a);
    *significand = make(negative, 16383, x.significand);
    fp_x87_from_i64(exponent, x.exponent);
    return is_denormal(a) ? FP_DE : 0;
}
