/*
 * The x87's transcendental functions, in software so that their bits are the
 * same on every host: series in 128-bit fixed point, the rest in IEEE quadruple
 * precision from the compiler's library (113 bits, integer code), then one
 * rounding to 64 bits as FCW says. The error before it is below 2^-105 of the
 * result, which makes nearly all results correctly rounded: against MPFR
 * (tests/insn/transcendental.c) none was off by more than 0.5000001 ulp to the
 * nearest, or 1 in the directed modes. (SDM vol. 1, section 8.3.10)
 *
 * Ours: FSIN, FCOS, FSINCOS and FPTAN reduce their argument with pi to 66 bits,
 * as the manual describes (section 8.3.8). Results are rounded to 64 bits
 * whatever the precision control. Out of range F2XM1 (beyond 1) and FYL2XP1 (-1
 * and below) give ST(0) back; FYL2XP1 computes everywhere else. PE is set for
 * every result that is not known to be exact.
 */
#include "cpu/fp.h"

#if defined __SIZEOF_FLOAT128__
typedef __float128 quad;
#elif __LDBL_MANT_DIG__ == 113
typedef long double quad;
#else
#error "no quadruple precision type"
#endif

typedef unsigned __int128 uint128;

union quad_bits {
    quad value;
    uint64_t half[2];
};

static inline quad quad_of(uint64_t low, uint64_t high)
{
    union quad_bits u = { .half = { low, high } };
    return u.value;
}

#define QUAD_PI quad_of(0x8469898cc51701b8, 0x4000921fb54442d1)
#define QUAD_HALF_PI quad_of(0x8469898cc51701b8, 0x3fff921fb54442d1)
#define QUAD_LN2 quad_of(0xf35793c7673007e6, 0x3ffe62e42fefa39e)
#define QUAD_LOG2E quad_of(0xe1777d0ffda0d23a, 0x3fff71547652b82f)

#define INTEGER_BIT (1ull << 63)
#define QUIET_BIT (1ull << 62)
#define EXPONENT_WRAP 24576 /* of results with OE or UE unmasked */
#define TINY (-120)          /* exponent below which a function equals its first term */
#define INDEFINITE ((struct x87_register){ INTEGER_BIT | QUIET_BIT, 0xffff, { 0 } })

static struct x87_register make(bool negative, int exponent, uint64_t significand)
{
    return (struct x87_register){ significand, (uint16_t)(exponent | (negative ? 0x8000 : 0)), { 0 } };
}

static bool negative(const struct x87_register *a) { return a->sign_exponent >> 15; }

enum class { ZERO, DENORMAL, NORMAL, INFINITE, NAN_ };

/* Unsupported encodings count as NaNs here: fp_x87_add tells them apart. */
static enum class classify(const struct x87_register *a)
{
    unsigned exponent = a->sign_exponent & 0x7fff;
    if (exponent == 0)
        return a->significand ? DENORMAL : ZERO;
    if (!(a->significand & INTEGER_BIT))
        return NAN_;
    if (exponent == 0x7fff)
        return a->significand == INTEGER_BIT ? INFINITE : NAN_;
    return NORMAL;
}

/* The NaN that an operation on NaNs gives, by the rules of addition. */
static uint16_t nan_result(struct x87_register *r, const struct x87_register *a,
                           const struct x87_register *b, uint32_t fcw)
{
    return fp_x87_add(r, a, b, fcw) & FP_EXCEPTIONS;
}

static uint16_t invalid(struct x87_register *r, uint32_t fcw)
{
    if (fcw & FP_IE)
        *r = INDEFINITE;
    return FP_IE;
}

/* |a|, exactly; a is finite. */
static quad magnitude(const struct x87_register *a)
{
    uint128 bits = (uint128)(a->significand & ~INTEGER_BIT) << 49;
    unsigned exponent = a->sign_exponent & 0x7fff;
    if (!exponent)
        exponent = a->significand >> 63; /* pseudo-denormal */
    bits |= (uint128)exponent << 112;
    return quad_of((uint64_t)bits, (uint64_t)(bits >> 64));
}

/* |a| = the result * 2^*exponent with 1 <= result < 2, exactly; a is finite and not 0. */
static quad normalized(const struct x87_register *a, int *exponent)
{
    int shift = __builtin_clzll(a->significand), biased = a->sign_exponent & 0x7fff;
    struct x87_register m = make(false, 16383, a->significand << shift);
    *exponent = (biased ? biased : 1) - shift - 16383;
    return magnitude(&m);
}

/*
 * Fixed point for the series: 1 bit before the point, 127 behind it.
 */
#define FIXED_ONE ((uint128)1 << 127)

static inline uint128 fixed_multiply(uint128 a, uint128 b)
{
    uint64_t ah = (uint64_t)(a >> 64), al = (uint64_t)a, bh = (uint64_t)(b >> 64), bl = (uint64_t)b;
    uint128 middle1 = (uint128)ah * bl, middle2 = (uint128)al * bh;
    uint128 carry = ((uint128)al * bl >> 64) + (uint64_t)middle1 + (uint64_t)middle2;
    return ((uint128)ah * bh + (middle1 >> 64) + (middle2 >> 64) + (carry >> 64)) << 1
           | (carry >> 63 & 1);
}

/* v / n for small n. */
static inline uint128 fixed_divide(uint128 v, unsigned n)
{
#define R(n) FIXED_ONE / (n)
    static const uint128 reciprocal[31] = { /* 1 / 1, 1 / 2, ... */
        FIXED_ONE, R(2), R(3), R(4), R(5), R(6), R(7), R(8), R(9), R(10), R(11), R(12), R(13),
        R(14), R(15), R(16), R(17), R(18), R(19), R(20), R(21), R(22), R(23), R(24), R(25), R(26),
        R(27), R(28), R(29), R(30), R(31),
    };
#undef R
    return fixed_multiply(v, reciprocal[n - 1]);
}

/* 1 / (2k + 1) */
static inline uint128 odd_reciprocal(unsigned k)
{
#define R(n) FIXED_ONE / (n)
    static const uint128 table[25] = {
        FIXED_ONE, R(3), R(5), R(7), R(9), R(11), R(13), R(15), R(17), R(19), R(21), R(23), R(25),
        R(27), R(29), R(31), R(33), R(35), R(37), R(39), R(41), R(43), R(45), R(47), R(49),
    };
#undef R
    return table[k];
}

/* |v| below 2, cut. */
static uint128 fixed_of(quad v)
{
    union quad_bits u = { .value = v };
    int shift = 16383 - (int)(u.half[1] >> 48 & 0x7fff);
    uint128 significand = (uint128)(u.half[1] & 0xffffffffffff) << 64 | u.half[0] | (uint128)1 << 112;
    return shift > 127 ? 0 : significand << 15 >> shift;
}

/* v is not 0; cut. */
static quad quad_of_fixed(uint128 v)
{
    int shift = v >> 64 ? __builtin_clzll((uint64_t)(v >> 64)) : 64 + __builtin_clzll((uint64_t)v);
    uint128 fraction = v << shift << 1 >> 16;
    return quad_of((uint64_t)fraction,
                   (uint64_t)(fraction >> 64) | (uint64_t)(16383 - shift) << 48);
}

/* Decides by the bits below the last place; returns whether to round up. */
static bool rounds_up(bool minus, bool odd, uint64_t rest, uint64_t half, bool sticky, uint32_t fcw)
{
    switch (fcw >> FCW_RC_SHIFT & 3) {
    case 0: return rest > half || (rest == half && (sticky || odd));
    case 1: return minus && (rest || sticky);
    case 2: return !minus && (rest || sticky);
    default: return false;
    }
}

/* A result before rounding: +-|v| * 2^scale, v normal or 0. */
struct unrounded {
    quad v;
    int scale;
    bool minus;
    int nudge; /* on which side of it the true magnitude lies when it fits exactly: -1
                * below, 1 above, 0 it is exact */
};

/* The exponent and the significand (bit 112 set) of |u|, which is not 0. */
static uint128 take_apart(const struct unrounded *u, int *exponent)
{
    union quad_bits bits = { .value = u->v };
    uint128 significand = (uint128)(bits.half[1] & 0xffffffffffff) << 64 | bits.half[0];
    *exponent = (int)(bits.half[1] >> 48 & 0x7fff);
    if (*exponent)
        significand |= (uint128)1 << 112;
    else
        *exponent = 1;
    *exponent += u->scale;
    for (; !(significand >> 112); significand <<= 1)
        --*exponent;
    if (u->nudge && !(significand & ((1ull << 49) - 1))) {
        significand = u->nudge < 0 ? significand - 1 : significand + 1;
        if (!(significand >> 112)) {
            significand = significand << 1 | 1;
            --*exponent;
        }
    }
    return significand;
}

/* 64 bits of `significand` (113, and `sticky`), rounded; *top is 0 after a carry. */
static uint16_t round_significand(uint64_t *top, uint128 significand, bool sticky, bool minus,
                                  uint32_t fcw)
{
    uint64_t rest = (uint64_t)significand & ((1ull << 49) - 1);
    *top = (uint64_t)(significand >> 49);
    if (!rest && !sticky)
        return 0;
    if (!rounds_up(minus, *top & 1, rest, 1ull << 48, sticky, fcw))
        return FP_PE;
    ++*top;
    return FP_PE | FSW_C1;
}

/* A masked overflow: infinity or the largest number. */
static uint16_t overflow(struct x87_register *r, bool minus, uint32_t fcw)
{
    unsigned rounding = fcw >> FCW_RC_SHIFT & 3;
    if (rounding == 3 || rounding == (minus ? 2u : 1u)) {
        *r = make(minus, 0x7ffe, ~0ull);
        return FP_OE | FP_PE;
    }
    *r = make(minus, 0x7fff, INTEGER_BIT);
    return FP_OE | FP_PE | FSW_C1;
}

/* A masked underflow: a denormal, 0 or the smallest normal number. */
static uint16_t underflow(struct x87_register *r, uint128 significand, int exponent, bool minus,
                          uint32_t fcw)
{
    unsigned shift = exponent < -112 ? 113 : (unsigned)(1 - exponent);
    bool sticky = significand & (((uint128)1 << shift) - 1);
    uint64_t top;
    uint16_t status = round_significand(&top, significand >> shift, sticky, minus, fcw);
    *r = make(minus, top >> 63, top);
    return status & FP_PE ? status | FP_UE : status;
}

/* Rounds to the register format. */
static uint16_t finish_scaled(struct x87_register *r, const struct unrounded *u, uint32_t fcw)
{
    int exponent;
    uint64_t top;
    if (u->v == 0) {
        *r = make(u->minus, 0, 0);
        return 0;
    }
    uint128 significand = take_apart(u, &exponent);
    uint16_t status = round_significand(&top, significand, false, u->minus, fcw);
    int tiny = exponent;
    if (!top) {
        top = INTEGER_BIT;
        exponent++;
    }
    if (exponent < 1 && fcw & FP_UE)
        return underflow(r, significand, tiny, u->minus, fcw);
    if (exponent > 0x7ffe && fcw & FP_OE)
        return overflow(r, u->minus, fcw);
    if (exponent < 1) {
        status |= FP_UE;
        exponent += EXPONENT_WRAP;
    } else if (exponent > 0x7ffe) {
        status |= FP_OE;
        exponent -= EXPONENT_WRAP;
    }
    *r = make(u->minus, exponent, top);
    return status;
}

static uint16_t finish(struct x87_register *r, bool minus, quad v, int nudge, uint32_t fcw)
{
    struct unrounded u = { v, 0, minus, nudge };
    return finish_scaled(r, &u, fcw);
}

/* FSIN, FCOS, FPTAN */

/* |a| = (quadrant * pi/2) + *rest with |*rest| <= pi/4; a is below 2^63. */
static unsigned reduce(const struct x87_register *a, quad *rest)
{
    /* In units of 2^-65, pi/2 is pi's 66 bits as an integer. */
    const uint128 half_pi = (uint128)3 << 64 | 0x243f6a8885a308d3ull;
    int shift = (a->sign_exponent & 0x7fff) - 16383 - 63 + 65;
    *rest = magnitude(a);
    if (shift < 1) /* below 1/2 */
        return 0;
    uint128 remainder = a->significand;
    unsigned quotient = 0;
    for (int i = 0; i < shift; i++) {
        remainder <<= 1;
        quotient <<= 1;
        if (remainder >= half_pi) {
            remainder -= half_pi;
            quotient |= 1;
        }
    }
    bool below = remainder > half_pi / 2;
    if (below) {
        remainder = half_pi - remainder;
        quotient++;
    }
    quad unit = quad_of(0, (uint64_t)(16383 - 65) << 48);
    *rest = ((quad)(uint64_t)(remainder >> 32) * 4294967296 + (quad)(uint32_t)remainder) * unit;
    if (below)
        *rest = -*rest;
    return quotient & 3;
}

/* Taylor series on [-pi/4, pi/4]. Each step is 1 - x2 / (n (n+1)) * sum. */
static uint128 alternating_series(quad x, unsigned last)
{
    uint128 x2 = fixed_of(x), sum = FIXED_ONE;
    x2 = fixed_multiply(x2, x2);
    for (unsigned n = last; n <= last && n > 0; n -= 2)
        sum = FIXED_ONE - fixed_divide(fixed_divide(fixed_multiply(sum, x2), n), n + 1);
    return sum;
}

static quad sine(quad x)
{
    return x * quad_of_fixed(alternating_series(x, 28));
}

static quad cosine(quad x)
{
    return quad_of_fixed(alternating_series(x, 29));
}

/* On which side of v = sine(x) or cosine(x) the true magnitude lies if v fits the
 * format: that of the first term which v has lost. */
static int series_side(quad v, quad x)
{
    return v == x || v == 1 ? -1 : 1;
}

/* What the three functions do alike with arguments they do not compute; true
 * when *status is the answer. */
static bool special_angle(struct x87_register *r, const struct x87_register *a, uint32_t fcw,
                          uint16_t *status)
{
    *status = 0;
    switch (classify(a)) {
    case NAN_:
        *status = nan_result(r, a, a, fcw);
        return true;
    case INFINITE:
        *status = invalid(r, fcw);
        return true;
    case DENORMAL:
        *status = FP_DE;
        return !(fcw & FP_DE);
    default:
        if ((a->sign_exponent & 0x7fff) >= 16383 + 63) {
            *status = FSW_C2;
            return true;
        }
        return false;
    }
}

uint16_t fp_x87_sin(struct x87_register *r, const struct x87_register *a, uint32_t fcw)
{
    uint16_t status;
    quad x;
    if (special_angle(r, a, fcw, &status))
        return status;
    if (classify(a) == ZERO) {
        *r = *a;
        return 0;
    }
    unsigned quadrant = reduce(a, &x);
    quad v = quadrant & 1 ? cosine(x) : sine(x);
    bool minus = negative(a) ^ (quadrant >> 1) ^ (v < 0);
    return status | finish(r, minus, v, series_side(v, x), fcw);
}

uint16_t fp_x87_cos(struct x87_register *r, const struct x87_register *a, uint32_t fcw)
{
    uint16_t status;
    quad x;
    if (special_angle(r, a, fcw, &status))
        return status;
    if (classify(a) == ZERO) {
        *r = make(false, 16383, INTEGER_BIT);
        return 0;
    }
    unsigned quadrant = reduce(a, &x);
    quad v = quadrant & 1 ? sine(x) : cosine(x);
    bool minus = (quadrant == 1 || quadrant == 2) ^ (v < 0);
    return status | finish(r, minus, v, series_side(v, x), fcw);
}

uint16_t fp_x87_tan(struct x87_register *r, const struct x87_register *a, uint32_t fcw)
{
    uint16_t status;
    quad x;
    if (special_angle(r, a, fcw, &status))
        return status;
    if (classify(a) == ZERO) {
        *r = *a;
        return 0;
    }
    unsigned quadrant = reduce(a, &x);
    quad s = sine(x), c = cosine(x);
    quad v = quadrant & 1 ? c / s : s / c;
    bool minus = negative(a) ^ (quadrant & 1) ^ (v < 0);
    return status | finish(r, minus, v, quadrant & 1 ? -1 : 1, fcw);
}

/* F2XM1 */

uint16_t fp_x87_2xm1(struct x87_register *r, const struct x87_register *a, uint32_t fcw)
{
    uint16_t status = 0;
    switch (classify(a)) {
    case NAN_:
        return nan_result(r, a, a, fcw);
    case INFINITE:
        *r = negative(a) ? make(true, 16383, INTEGER_BIT) : *a;
        return 0;
    case ZERO:
        *r = *a;
        return 0;
    case DENORMAL:
        status = FP_DE;
        if (!(fcw & FP_DE))
            return status;
        break;
    default:
        break;
    }
    if ((a->sign_exponent & 0x7fff) >= 16383) {
        *r = *a;
        if ((a->sign_exponent & 0x7fff) != 16383 || a->significand != INTEGER_BIT)
            return FP_PE; /* out of range */
        if (negative(a))
            r->sign_exponent = 0x8000 | 16382;
        return 0;
    }
    int exponent, nudge = negative(a) ? -1 : 1;
    quad m = normalized(a, &exponent);
    if (exponent < TINY) {
        struct unrounded u = { m * QUAD_LN2, exponent, negative(a), nudge };
        return status | finish_scaled(r, &u, fcw);
    }
    /* (exp x - 1) / x = 1 + x/2 (1 + x/3 (...)) */
    quad x = magnitude(a) * QUAD_LN2;
    uint128 fixed = fixed_of(x), sum = FIXED_ONE;
    for (unsigned n = 30; n >= 2; n--) {
        uint128 term = fixed_divide(fixed_multiply(sum, fixed), n);
        sum = negative(a) ? FIXED_ONE - term : FIXED_ONE + term;
    }
    return status | finish(r, negative(a), x * quad_of_fixed(sum), nudge, fcw);
}

/* Logarithms */

/* 2 * atanh(z) / ln 2 for |z| < 0.18. */
static quad log2_of_ratio(quad z)
{
    uint128 z2 = fixed_of(z), sum = 0;
    z2 = fixed_multiply(z2, z2);
    for (unsigned k = 24; k < 25; k--)
        sum = fixed_multiply(sum, z2) + odd_reciprocal(k);
    return 2 * z * quad_of_fixed(sum) * QUAD_LOG2E;
}

/* log2 of a positive finite register; *exact when it is an integer. */
static quad log2_of(const struct x87_register *a, bool *exact)
{
    int shift = __builtin_clzll(a->significand), exponent = a->sign_exponent & 0x7fff;
    exponent = (exponent ? exponent : 1) - shift - 16383;
    struct x87_register m = make(false, 16383, a->significand << shift);
    *exact = m.significand == INTEGER_BIT;
    if (*exact)
        return (quad)exponent;
    if (m.significand > 0xb504f333f9de6484) { /* sqrt 2 */
        m.sign_exponent--;
        exponent++;
    }
    quad v = magnitude(&m);
    return (quad)exponent + log2_of_ratio((v - 1) / (v + 1));
}

static quad absolute(quad v) { return v < 0 ? -v : v; }

/* y * log * 2^scale for finite y (not 0) and log. */
static uint16_t multiply_log(struct x87_register *r, const struct x87_register *y, quad log,
                             int scale, bool exact, uint32_t fcw)
{
    int exponent;
    quad m = normalized(y, &exponent);
    struct unrounded u = { m * absolute(log), exponent + scale, negative(y) ^ (log < 0), exact ? 0 : 1 };
    if (log == 0) {
        *r = make(negative(y), 0, 0);
        return 0;
    }
    return finish_scaled(r, &u, fcw);
}

/* y * a logarithm that is 0, or of a known sign and infinite; or y is 0 or
 * infinite. `sign` of the logarithm: -1, 0, 1. */
static uint16_t special_log(struct x87_register *r, const struct x87_register *y, int sign,
                            bool infinite, uint32_t fcw)
{
    enum class class = classify(y);
    if ((class == ZERO && infinite) || (class == INFINITE && sign == 0))
        return invalid(r, fcw);
    bool minus = negative(y) ^ (sign < 0);
    if (class == INFINITE || infinite)
        *r = make(minus, 0x7fff, INTEGER_BIT);
    else
        *r = make(minus, 0, 0);
    return 0;
}

uint16_t fp_x87_yl2x(struct x87_register *r, const struct x87_register *a,
                     const struct x87_register *b, uint32_t fcw)
{
    enum class x = classify(a), y = classify(b);
    if (x == NAN_ || y == NAN_)
        return nan_result(r, a, b, fcw);
    if (x == ZERO && (y == NORMAL || y == DENORMAL)) {
        if (fcw & FP_ZE)
            *r = make(!negative(b), 0x7fff, INTEGER_BIT);
        return FP_ZE;
    }
    if (x == ZERO)
        return special_log(r, b, -1, true, fcw);
    if (negative(a))
        return invalid(r, fcw);
    uint16_t status = x == DENORMAL || y == DENORMAL ? FP_DE : 0;
    if (status & ~fcw)
        return status;
    if (x == INFINITE)
        return status | special_log(r, b, 1, true, fcw);
    bool exact;
    quad log = log2_of(a, &exact);
    if (y == ZERO || y == INFINITE)
        return status | special_log(r, b, log < 0 ? -1 : log > 0, false, fcw);
    return status | multiply_log(r, b, log, 0, exact, fcw);
}

/* log2(1 + v) for v > -1; *exact when it is an integer. */
static quad log2_above_1(quad v, bool *exact)
{
    int exponent = 0;
    *exact = false;
    if (absolute(v) < (quad)0.4375)
        return log2_of_ratio(v / (2 + v));
    v += 1;
    for (; v >= (quad)1.5; exponent++)
        v /= 2;
    for (; v < (quad)0.75; exponent--)
        v *= 2;
    *exact = v == 1;
    return *exact ? (quad)exponent : (quad)exponent + log2_of_ratio((v - 1) / (v + 1));
}

uint16_t fp_x87_yl2xp1(struct x87_register *r, const struct x87_register *a,
                       const struct x87_register *b, uint32_t fcw)
{
    enum class x = classify(a), y = classify(b);
    if (x == NAN_ || y == NAN_)
        return nan_result(r, a, b, fcw);
    if ((x == INFINITE && negative(a)) || (x == ZERO && y == INFINITE))
        return invalid(r, fcw);
    uint16_t status = x == DENORMAL || y == DENORMAL ? FP_DE : 0;
    if (status & ~fcw)
        return status;
    if (x == INFINITE)
        return status | special_log(r, b, 1, true, fcw);
    if (x == ZERO) {
        *r = make(negative(a) ^ negative(b), 0, 0);
        return status;
    }
    quad v = magnitude(a);
    if (negative(a))
        v = -v;
    if (v <= -1) {
        *r = *a;
        return status | FP_PE;
    }
    if (y == ZERO || y == INFINITE)
        return status | special_log(r, b, v < 0 ? -1 : 1, false, fcw);
    int scale;
    quad m = normalized(a, &scale);
    if (scale < TINY)
        return status | multiply_log(r, b, (negative(a) ? -m : m) * QUAD_LOG2E, scale, false, fcw);
    bool exact;
    quad log = log2_above_1(v, &exact);
    return status | multiply_log(r, b, log, 0, exact, fcw);
}

/* FPATAN */

/* arctan of t in [0, 1]: from the nearest k/8 by the addition formula. */
static quad arctangent(quad t)
{
    static const union quad_bits table[9] = {
        { .half = { 0, 0 } },
        { .half = { 0xdc65912f313e7d11, 0x3ffbfd5ba9aac2f6 } },
        { .half = { 0xd62adb8f3debef44, 0x3ffcf5b75f92c80d } },
        { .half = { 0x08e715464245b9fd, 0x3ffd6f61941e4def } },
        { .half = { 0xf68adfc88bd97875, 0x3ffddac670561bb4 } },
        { .half = { 0x3f36b906bc2ccb88, 0x3ffe1e00babdefeb } },
        { .half = { 0x12483350fe548afb, 0x3ffe4978fa3269ee } },
        { .half = { 0x3ce7965b4aa42149, 0x3ffe700a7c578463 } },
        { .half = { 0x8469898cc51701b8, 0x3ffe921fb54442d1 } },
    };
    int k = (int)(t * 8 + (quad)0.5);
    quad c = (quad)k / 8, z = k ? (t - c) / (1 + t * c) : t;
    uint128 z2 = fixed_of(z), sum = 0;
    z2 = fixed_multiply(z2, z2);
    for (unsigned k = 15; k < 16; k--)
        sum = odd_reciprocal(k) - fixed_multiply(sum, z2);
    return table[k].value + z * quad_of_fixed(sum);
}

/* The angle when one of the sides is 0 or infinite. */
static uint16_t special_arctangent(struct x87_register *r, const struct x87_register *a,
                                   const struct x87_register *b, uint32_t fcw)
{
    enum class x = classify(a), y = classify(b);
    quad angle;
    if (y == INFINITE)
        angle = x != INFINITE ? QUAD_HALF_PI : QUAD_PI * (negative(a) ? (quad)0.75 : (quad)0.25);
    else if (y == ZERO || x == INFINITE)
        angle = negative(a) ? QUAD_PI : 0;
    else
        angle = QUAD_HALF_PI;
    return finish(r, negative(b), angle, 0, fcw);
}

uint16_t fp_x87_patan(struct x87_register *r, const struct x87_register *a,
                      const struct x87_register *b, uint32_t fcw)
{
    enum class x = classify(a), y = classify(b);
    if (x == NAN_ || y == NAN_)
        return nan_result(r, a, b, fcw);
    uint16_t status = x == DENORMAL || y == DENORMAL ? FP_DE : 0;
    if (status & ~fcw)
        return status;
    if (x == ZERO || y == ZERO || x == INFINITE || y == INFINITE)
        return status | special_arctangent(r, a, b, fcw);
    int h_exponent, v_exponent;
    quad h = normalized(a, &h_exponent), v = normalized(b, &v_exponent);
    if (v_exponent - h_exponent < TINY && !negative(a)) {
        struct unrounded u = { v / h, v_exponent - h_exponent, negative(b), -1 };
        return status | finish_scaled(r, &u, fcw);
    }
    h = magnitude(a);
    v = magnitude(b);
    quad angle = v <= h ? arctangent(v / h) : QUAD_HALF_PI - arctangent(h / v);
    if (negative(a))
        angle = QUAD_PI - angle;
    return status | finish(r, negative(b), angle, -1, fcw);
}
