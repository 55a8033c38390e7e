/*
 * The x87's transcendental functions against MPFR, over all ranges and edges, in
 * all rounding modes, with overflow and underflow masked and not:
 *
 *     transcendental [--cases N] [--seed N]
 *
 * Compared are the value (its error in units of the last place; one place is the
 * limit, and the rounding mode tells the side), PE, C1, OE and UE. FSIN, FCOS and
 * FPTAN reduce with pi to 66 bits (SDM vol. 1, section 8.3.8): so does the reference.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mpfr.h>

#include "cpu/cpu.h"
#include "cpu/fp.h"

#define PRECISION 320
#define SHOWN 10
#define WRAP 24576 /* of the exponent, with OE or UE unmasked */

enum function { SIN, COS, TAN, F2XM1, YL2X, YL2XP1, PATAN, FUNCTIONS };
static const char *const names[FUNCTIONS] = { "FSIN", "FCOS", "FPTAN", "F2XM1", "FYL2X", "FYL2XP1",
                                              "FPATAN" };

struct test {
    uint64_t random;
    unsigned failures;
    uint64_t compared[FUNCTIONS], out_of_range[FUNCTIONS];
    double largest[FUNCTIONS][2]; /* to the nearest; directed */
    mpfr_t a, b, exact, result, difference, half_pi;
};

static uint64_t next_random(struct test *test)
{
    uint64_t z = (test->random += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static unsigned below(struct test *test, unsigned limit)
{
    return (unsigned)((next_random(test) >> 32) * limit >> 32);
}

/* ---- arguments ---- */

static struct x87_register make(struct test *test, int exponent, uint64_t significand)
{
    unsigned sign = (unsigned)(next_random(test) & 0x8000);
    if (exponent < 1) {
        exponent = 0;
        significand >>= 1 + below(test, 62);
        significand += !significand;
    }
    return (struct x87_register){ significand, (uint16_t)(sign | (unsigned)exponent), { 0 } };
}

/* Finite and not 0: of any size, near 1, near powers of 2, with few bits. */
static struct x87_register argument(struct test *test)
{
    uint64_t significand = next_random(test) | 1ull << 63;
    int exponent = 16383;
    switch (below(test, 12)) {
    case 0: return make(test, (int)below(test, 0x7fff), significand);
    case 1: return make(test, (int)below(test, 80), significand);
    case 2: return make(test, 0x7ffe - (int)below(test, 80), significand);
    case 3: return make(test, exponent - (int)below(test, 2), 1ull << 63 | below(test, 64));
    case 4: return make(test, exponent - (int)below(test, 2), ~0ull - below(test, 64));
    case 5: return make(test, exponent - (int)below(test, 140), significand);
    case 6: return make(test, exponent + (int)below(test, 63), significand);
    case 7: return make(test, exponent - 5 + (int)below(test, 10), significand & ~0ull << below(test, 63));
    case 8: return make(test, exponent + (int)below(test, 64), 0xc90fdaa22168c235ull >> 2 * below(test, 2)
                                                                  | 1ull << 63);
    default: return make(test, exponent - 4 + (int)below(test, 5), significand);
    }
}

static void to_mpfr(mpfr_t to, const struct x87_register *from)
{
    int exponent = from->sign_exponent & 0x7fff;
    mpfr_set_uj_2exp(to, from->significand, (exponent ? exponent : 1) - 16383 - 63, MPFR_RNDN);
    if (from->sign_exponent >> 15)
        mpfr_neg(to, to, MPFR_RNDN);
}

/* ---- references ---- */

/* Keeps a result that needed rounding to PRECISION off the numbers of 64 bits:
 * `ternary` says on which side of the true value it lies. */
static void keep_side(mpfr_t value, int ternary)
{
    if (ternary && mpfr_min_prec(value) <= 64)
        (ternary > 0 ? mpfr_nextbelow : mpfr_nextabove)(value);
}

/* exact = f(a) where a is reduced by quarters of the 66-bit pi's circle. */
static void reference_angle(struct test *test, enum function f)
{
    mpfr_t quotient, rest;
    mpfr_inits2(PRECISION, quotient, rest, (mpfr_ptr)0);
    mpfr_div(quotient, test->a, test->half_pi, MPFR_RNDN);
    mpfr_rint(quotient, quotient, MPFR_RNDN);
    unsigned quadrant = (unsigned)mpfr_get_sj(quotient, MPFR_RNDN) & 3;
    mpfr_mul(rest, quotient, test->half_pi, MPFR_RNDN);
    mpfr_sub(rest, test->a, rest, MPFR_RNDN);
    if (f == TAN) {
        keep_side(test->exact, mpfr_tan(test->exact, rest, MPFR_RNDN));
        if (quadrant & 1)
            mpfr_si_div(test->exact, -1, test->exact, MPFR_RNDN);
    } else {
        if (f == COS)
            quadrant = (quadrant + 1) & 3;
        keep_side(test->exact, (quadrant & 1 ? mpfr_cos : mpfr_sin)(test->exact, rest, MPFR_RNDN));
        if (quadrant & 2)
            mpfr_neg(test->exact, test->exact, MPFR_RNDN);
    }
    mpfr_clears(quotient, rest, (mpfr_ptr)0);
}

static void reference(struct test *test, enum function f)
{
    switch (f) {
    case F2XM1:
        mpfr_const_log2(test->exact, MPFR_RNDN);
        mpfr_mul(test->exact, test->exact, test->a, MPFR_RNDN);
        mpfr_expm1(test->exact, test->exact, MPFR_RNDN);
        break;
    case YL2X:
        mpfr_log2(test->exact, test->a, MPFR_RNDN);
        mpfr_mul(test->exact, test->exact, test->b, MPFR_RNDN);
        break;
    case YL2XP1:
        mpfr_add_ui(test->difference, test->a, 1, MPFR_RNDZ);
        if (mpfr_min_prec(test->difference) == 1 && mpfr_get_exp(test->a) > -70) { /* exact */
            mpfr_log2(test->exact, test->difference, MPFR_RNDN);
            mpfr_mul(test->exact, test->exact, test->b, MPFR_RNDN);
            break;
        }
        mpfr_const_log2(test->difference, MPFR_RNDN);
        mpfr_log1p(test->exact, test->a, MPFR_RNDN);
        mpfr_div(test->exact, test->exact, test->difference, MPFR_RNDN);
        mpfr_mul(test->exact, test->exact, test->b, MPFR_RNDN);
        break;
    case PATAN:
        keep_side(test->exact, mpfr_atan2(test->exact, test->b, test->a, MPFR_RNDN));
        break;
    default:
        reference_angle(test, f);
        break;
    }
}

/* ---- comparison ---- */

static uint16_t compute(enum function f, struct x87_register *r, const struct x87_register *a,
                        const struct x87_register *b, uint32_t fcw)
{
    switch (f) {
    case SIN: return fp_x87_sin(r, a, fcw);
    case COS: return fp_x87_cos(r, a, fcw);
    case TAN: return fp_x87_tan(r, a, fcw);
    case F2XM1: return fp_x87_2xm1(r, a, fcw);
    case YL2X: return fp_x87_yl2x(r, a, b, fcw);
    case YL2XP1: return fp_x87_yl2xp1(r, a, b, fcw);
    default: return fp_x87_patan(r, a, b, fcw);
    }
}

static void report(struct test *test, enum function f, const struct x87_register *a,
                   const struct x87_register *b, uint32_t fcw, const struct x87_register *r,
                   unsigned status, const char *what)
{
    if (test->failures++ >= SHOWN)
        return;
    printf("%s %04x_%016" PRIx64 " %04x_%016" PRIx64 " fcw %04x: %04x_%016" PRIx64
           " status %04x: %s; exact ", names[f], a->sign_exponent, a->significand, b->sign_exponent,
           b->significand, (unsigned)fcw, r->sign_exponent, r->significand, status, what);
    mpfr_out_str(stdout, 16, 40, test->exact, MPFR_RNDN);
    putchar('\n');
}

/* Largest finite and smallest normal magnitudes: |exact| beyond them, rounded to 64 bits. */
static int range_of(struct test *test, uint32_t fcw)
{
    static const mpfr_rnd_t modes[4] = { MPFR_RNDN, MPFR_RNDD, MPFR_RNDU, MPFR_RNDZ };
    mpfr_t rounded;
    mpfr_init2(rounded, 64);
    mpfr_set(rounded, test->exact, modes[fcw >> FCW_RC_SHIFT & 3]);
    mpfr_exp_t exponent = mpfr_get_exp(rounded) - 1;
    mpfr_clear(rounded);
    return exponent > 16383 ? 1 : exponent < -16382 ? -1 : 0;
}

/* The value that an infinite result stands for is not compared: it is right for
 * rounding that goes there. */
static const char *overflowed(struct test *test, const struct x87_register *r, unsigned status,
                              uint32_t fcw)
{
    unsigned rc = fcw >> FCW_RC_SHIFT & 3;
    bool minus = mpfr_signbit(test->exact), infinite = rc == 0 || rc == (minus ? 1u : 2u);
    bool is_infinite = (r->sign_exponent & 0x7fff) == 0x7fff && r->significand == 1ull << 63;
    bool is_largest = (r->sign_exponent & 0x7fff) == 0x7ffe && r->significand == ~0ull;
    if ((status & (FP_OE | FP_PE)) != (FP_OE | FP_PE))
        return "OE, PE";
    if (r->sign_exponent >> 15 != minus || !(infinite ? is_infinite : is_largest))
        return "overflow's result";
    return !(status & FSW_C1) == infinite ? "C1 of an overflow" : NULL;
}

static const char *judge(struct test *test, enum function f, const struct x87_register *r,
                         unsigned status, uint32_t fcw)
{
    unsigned rc = fcw >> FCW_RC_SHIFT & 3;
    int range = range_of(test, fcw), exponent = r->sign_exponent & 0x7fff;
    if (range > 0 && fcw & FP_OE)
        return overflowed(test, r, status, fcw);
    bool wrapped = (range > 0 && !(fcw & FP_OE)) || (range < 0 && !(fcw & FP_UE));
    to_mpfr(test->result, r);
    if (wrapped)
        mpfr_mul_2si(test->result, test->result, range * WRAP, MPFR_RNDN);
    mpfr_sub(test->difference, test->result, test->exact, MPFR_RNDZ);
    int side = mpfr_sgn(test->difference), bigger = mpfr_cmpabs(test->result, test->exact);
    mpfr_exp_t place = (exponent ? exponent : 1) - 16383 - 63 + (wrapped ? range * WRAP : 0);
    mpfr_mul_2si(test->difference, test->difference, -place, MPFR_RNDN);
    double error = mpfr_get_d(test->difference, MPFR_RNDA);
    error = error < 0 ? -error : error;
    if (error > test->largest[f][rc != 0])
        test->largest[f][rc != 0] = error;
    if (!mpfr_number_p(test->difference) || mpfr_cmp_si(test->difference, 1) >= 0
        || mpfr_cmp_si(test->difference, -1) <= 0)
        return "error";
    if ((rc == 1 && side > 0) || (rc == 2 && side < 0) || (rc == 3 && bigger > 0))
        return "the wrong side";
    if (!(status & FP_PE) != (side == 0))
        return "PE";
    if (!(status & FSW_C1) != (bigger <= 0))
        return "C1";
    if (!(status & FP_OE) != (range <= 0))
        return "OE";
    bool under = range < 0 && (!(fcw & FP_UE) || side);
    return !(status & FP_UE) != !under ? "UE" : NULL;
}

static bool in_range(enum function f, const struct x87_register *a)
{
    int exponent = a->sign_exponent & 0x7fff;
    bool minus = a->sign_exponent >> 15;
    switch (f) {
    case SIN: case COS: case TAN: return exponent < 16383 + 63;
    case F2XM1: return exponent < 16383;
    case YL2X: return !minus;
    case YL2XP1: return !minus || exponent < 16383;
    default: return true;
    }
}

static void one(struct test *test, enum function f)
{
    static const struct x87_register untouched = { 0x1234, 0x5678, { 0 } };
    struct x87_register a = argument(test), b = argument(test), r = untouched;
    bool angle = f == SIN || f == COS || f == TAN;
    if (!in_range(f, &a)) {
        test->out_of_range[f]++;
        if (angle && (compute(f, &r, &a, &b, FCW_DEFAULT) != FSW_C2 || r.significand != 0x1234))
            report(test, f, &a, &b, FCW_DEFAULT, &r, 0, "C2");
        return;
    }
    to_mpfr(test->a, &a);
    to_mpfr(test->b, &b);
    reference(test, f);
    for (unsigned rc = 0; rc < 4; rc++) {
        uint32_t fcw = FCW_DEFAULT | rc << FCW_RC_SHIFT;
        if (below(test, 8) == 0)
            fcw &= ~(uint32_t)(FP_OE | FP_UE);
        r = untouched;
        unsigned status = compute(f, &r, &a, &b, fcw);
        const char *what = mpfr_zero_p(test->exact)
                               ? (r.significand || r.sign_exponent & 0x7fff ? "not 0" : NULL)
                               : judge(test, f, &r, status, fcw);
        test->compared[f]++;
        if (what)
            report(test, f, &a, &b, fcw, &r, status, what);
    }
}

int main(int argc, char **argv)
{
    static struct test test;
    uint64_t cases = 20000;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--cases") == 0)
            cases = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            test.random = strtoull(argv[i + 1], NULL, 0);
    }
    mpfr_inits2(PRECISION, test.a, test.b, test.exact, test.result, test.difference, test.half_pi,
                (mpfr_ptr)0);
    mpfr_set_str(test.half_pi, "3.243f6a8885a308d3", 16, MPFR_RNDN);
    mpfr_div_ui(test.half_pi, test.half_pi, 2, MPFR_RNDN);
    for (uint64_t i = 0; i < cases; i++)
        for (unsigned f = 0; f < FUNCTIONS; f++)
            one(&test, (enum function)f);
    for (unsigned f = 0; f < FUNCTIONS; f++)
        printf("%-8s %9" PRIu64 " results, largest error %.9f ulp to the nearest, %.9f directed; %"
               PRIu64 " arguments out of range\n", names[f], test.compared[f], test.largest[f][0],
               test.largest[f][1], test.out_of_range[f]);
    printf("%u failures\n", test.failures);
    return test.failures != 0;
}
