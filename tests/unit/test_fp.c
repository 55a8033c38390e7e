/*
 * The floating point primitives (cpu/fp.h). Transcendental functions against
 * values that were worked out with 300 bits (angles reduced by pi to 66 bits)
 * and rounded to nearest; the rest against hand-made cases.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cpu/fp.h"
#include "cpu/fp_fused.h"
#include "util/bits.h"

#define NEAREST FCW_DEFAULT
#define DOWN (FCW_DEFAULT | 1 << FCW_RC_SHIFT)
#define UP (FCW_DEFAULT | 2 << FCW_RC_SHIFT)
#define CUT (FCW_DEFAULT | 3 << FCW_RC_SHIFT)
#define QNAN { 0xc000000000000000, 0x7fff, { 0 } }
#define ONE { 0x8000000000000000, 0x3fff, { 0 } }

/* a, b, result */
struct sample {
    struct x87_register a, b, r;
};

static const struct sample sines[] = {
    { { 0xd351d2286513270e, 0x3ffe, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xbc2018a39b823827, 0x3ffe, { 0 } } },
    { { 0x8c0c7408892f902b, 0xbff9, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x8c0ab4f5a6f04e1c, 0xbff9, { 0 } } },
    { { 0xc0f3a77ae8e25d94, 0x3ffe, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xaf31d903546f7049, 0x3ffe, { 0 } } },
    { { 0xb586aa4d6f03675a, 0xbffc, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xb493a7e239228a34, 0xbffc, { 0 } } },
    { { 0xb656a5138d116ece, 0xc008, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xf768b7fdeaea29ef, 0xbffd, { 0 } } },
    { { 0xf946082e1fb17c23, 0x4007, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xd29b15e4bd31b68b, 0x3ffe, { 0 } } },
    { { 0xf94e86d4953f48f1, 0x4012, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xfde8028d0530efc0, 0xbffe, { 0 } } },
    { { 0x8658f14e658cda14, 0x4007, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xfefe67e27e271ed3, 0xbffe, { 0 } } },
};
static const struct sample cosines[] = {
    { { 0xd351d2286513270e, 0x3ffe, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xad9f6972f5b493cd, 0x3ffe, { 0 } } },
    { { 0x8c0c7408892f902b, 0xbff9, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xfff66c5b58b8a735, 0x3ffe, { 0 } } },
    { { 0xc0f3a77ae8e25d94, 0x3ffe, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xbaa98be90911c2e5, 0x3ffe, { 0 } } },
    { { 0xb586aa4d6f03675a, 0xbffc, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xfbfcf4015e538074, 0x3ffe, { 0 } } },
    { { 0xb656a5138d116ece, 0xc008, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xe020aba25e3665e8, 0x3ffe, { 0 } } },
    { { 0xf946082e1fb17c23, 0x4007, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x9189a0c905d3c16d, 0xbffe, { 0 } } },
    { { 0xf94e86d4953f48f1, 0x4012, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x82b245cde4e7296d, 0xbffc, { 0 } } },
    { { 0x8658f14e658cda14, 0x4007, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xb56750e069fb6a10, 0x3ffb, { 0 } } },
};
static const struct sample tangents[] = {
    { { 0xd351d2286513270e, 0x3ffe, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x8ab11aeb85d82488, 0x3fff, { 0 } } },
    { { 0x8c0c7408892f902b, 0xbff9, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x8c0ff24c697e8d27, 0xbff9, { 0 } } },
    { { 0xc0f3a77ae8e25d94, 0x3ffe, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xf045cdec694e76d6, 0x3ffe, { 0 } } },
    { { 0xb586aa4d6f03675a, 0xbffc, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xb773a56b47364db0, 0xbffc, { 0 } } },
    { { 0xb656a5138d116ece, 0xc008, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x8d4bcd792b88ef53, 0xbffe, { 0 } } },
    { { 0xf946082e1fb17c23, 0x4007, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xb93a3242794b2fe8, 0xbfff, { 0 } } },
    { { 0xf94e86d4953f48f1, 0x4012, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xf8ab011ecdf69512, 0x4001, { 0 } } },
    { { 0x8658f14e658cda14, 0x4007, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xb3ed081b22fbbdc7, 0xc002, { 0 } } },
};
static const struct sample powers[] = {
    { { 0x910bdf56dbc496cb, 0xbff2, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xc9113cd758f9a9a8, 0xbff1, { 0 } } },
    { { 0x8f13d0e08a6a63ec, 0xbff4, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xc64f54bb68732c33, 0xbff3, { 0 } } },
    { { 0xd74bdd4ad0eda82f, 0xbffd, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x81738d589cf094e4, 0xbffd, { 0 } } },
    { { 0xd1c7eaa3923a7369, 0xbff0, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x916812b685a1809a, 0xbff0, { 0 } } },
    { { 0xdb2672118c38fb29, 0xbff1, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0x97e5d7f9463a05ec, 0xbff1, { 0 } } },
    { { 0x9a5cdaef9e7769b1, 0x3fed, { 0 } }, { 0x0000000000000000, 0x0000, { 0 } }, { 0xd5fe14b5f84ca319, 0x3fec, { 0 } } },
};
static const struct sample logarithms[] = {
    { { 0x8000000000000001, 0x3fff, { 0 } }, { 0xe37c3b8c6d76b07e, 0x4001, { 0 } }, { 0xa4188fdedc62d1de, 0x3fc3, { 0 } } },
    { { 0x9fcc713b4cbd87ad, 0x400d, { 0 } }, { 0x8a7a399f3e7d1bfb, 0x3ffc, { 0 } }, { 0xf7e0650b4d9bd283, 0x3fff, { 0 } } },
    { { 0xb973661dbabced20, 0x400b, { 0 } }, { 0x8f1cc78812bd4ace, 0x3ffe, { 0 } }, { 0xe03cc2eeac063f4c, 0x4001, { 0 } } },
    { { 0xbe9657c1eeeacbe2, 0x3fff, { 0 } }, { 0x89ef77c3ab1031d0, 0xc000, { 0 } }, { 0x9e6f511f290e4a3f, 0xbfff, { 0 } } },
    { { 0xd8ff704757124242, 0x400a, { 0 } }, { 0xe6008e6e9474031b, 0x3fff, { 0 } }, { 0xa912dd2692a68369, 0x4003, { 0 } } },
    { { 0xd938aca2795e8229, 0x4007, { 0 } }, { 0xd9ca7d9bbb2d420f, 0xc004, { 0 } }, { 0xee903b154709f632, 0xc007, { 0 } } },
    { { 0xdbba75a948db40af, 0x4012, { 0 } }, { 0x82e3578358d5563d, 0x4000, { 0 } }, { 0xa1ce90e97071a655, 0x4004, { 0 } } },
    { { 0x9bee3b7d0f17a300, 0x4015, { 0 } }, { 0xb2ee4fa83f63af83, 0xbffe, { 0 } }, { 0xf936ea921d1d7322, 0xc002, { 0 } } },
};
static const struct sample logarithms_plus_1[] = {
    { { 0xba01f218ec66a787, 0xbfeb, { 0 } }, { 0xe37c3b8c6d76b07e, 0x4001, { 0 } }, { 0xee763a73973b91b3, 0xbfee, { 0 } } },
    { { 0xf00481637ebff206, 0xbff3, { 0 } }, { 0x8a7a399f3e7d1bfb, 0x3ffc, { 0 } }, { 0xbb59de205c9af638, 0xbff1, { 0 } } },
    { { 0xabc87c17c1d3fcff, 0xbff1, { 0 } }, { 0x8f1cc78812bd4ace, 0x3ffe, { 0 } }, { 0x8a8d1a2ff13f4c8c, 0xbff1, { 0 } } },
    { { 0xf00fa82bca02135e, 0x3ff9, { 0 } }, { 0x89ef77c3ab1031d0, 0xc000, { 0 } }, { 0xb7ed4a26113fe944, 0xbffb, { 0 } } },
    { { 0xf8eb4f6b17f5e837, 0xbfef, { 0 } }, { 0xe6008e6e9474031b, 0x3fff, { 0 } }, { 0xa1532aaf5649b2bf, 0xbff1, { 0 } } },
    { { 0xd732c799fe3b890b, 0x3fea, { 0 } }, { 0xd9ca7d9bbb2d420f, 0xc004, { 0 } }, { 0x84104a5804a5432d, 0xbff1, { 0 } } },
    { { 0x8efcfebc9c653938, 0xbfef, { 0 } }, { 0x82e3578358d5563d, 0x4000, { 0 } }, { 0xd2f1d97b8a2d887b, 0xbff0, { 0 } } },
    { { 0x8a507cf37f1b103c, 0x3fed, { 0 } }, { 0xb2ee4fa83f63af83, 0xbffe, { 0 } }, { 0x8b78c8d0597eecc6, 0xbfed, { 0 } } },
};
static const struct sample angles[] = {
    { { 0xa3903b8f8ca81811, 0xbffd, { 0 } }, { 0xc66d982fdd2e1609, 0x3ffd, { 0 } }, { 0x90a6bdca5d6a38a1, 0x4000, { 0 } } },
    { { 0xadec36a0fc891b4a, 0x3ffe, { 0 } }, { 0x9d8943fff52ddf5d, 0x4001, { 0 } }, { 0xb7822e8aea29e6ea, 0x3fff, { 0 } } },
    { { 0x9db0c33b26bb7dbd, 0xbffd, { 0 } }, { 0xea6146177c26847f, 0xc001, { 0 } }, { 0xce70ef1744927985, 0xbfff, { 0 } } },
    { { 0x808623ac482c9cbc, 0xc000, { 0 } }, { 0xce0e557b5e8766ed, 0xbffd, { 0 } }, { 0xbc6753b25fa53a4c, 0xc000, { 0 } } },
    { { 0xd862189620203626, 0xc000, { 0 } }, { 0xd3d5f0e19e1a8ef4, 0x4002, { 0 } }, { 0xe9109e32804676a1, 0x3fff, { 0 } } },
    { { 0xf323e5c774e69a5d, 0x4001, { 0 } }, { 0xd71d15bfdfe01893, 0x4002, { 0 } }, { 0x87382478da239d52, 0x3fff, { 0 } } },
    { { 0xb311bd0265e7e423, 0x4002, { 0 } }, { 0xb341b443a260cd0b, 0xbfff, { 0 } }, { 0xfef15914de99dfbe, 0xbffb, { 0 } } },
    { { 0x9ab8c085fc132d0d, 0xbffc, { 0 } }, { 0xcce4a184570dc195, 0xbfff, { 0 } }, { 0xd51bbe9e4b0e723f, 0xbfff, { 0 } } },
};

static void same(const struct x87_register *r, uint16_t sign_exponent, uint64_t significand)
{
    assert_int_equal(r->significand, significand);
    assert_int_equal(r->sign_exponent, sign_exponent);
}

static struct x87_register value(uint16_t sign_exponent, uint64_t significand)
{
    return (struct x87_register){ significand, sign_exponent, { 0 } };
}

static struct x87_register integer(int64_t v)
{
    struct x87_register r;
    assert_int_equal(fp_x87_from_i64(&r, v), 0);
    return r;
}

/* Every directed rounding gives the nearest value or its neighbour on the
 * right side, and C1 tells which; truncation agrees with the sign. */
static void check_roundings(const struct x87_register r[4], const uint16_t status[4])
{
    bool negative = r[0].sign_exponent >> 15;
    for (unsigned i = 0; i < 4; i++)
        assert_true(status[i] & FP_PE);
    const struct x87_register *up = &r[negative ? 1 : 2], *down = &r[negative ? 2 : 1];
    assert_int_equal(down->significand + 1, up->significand ? up->significand : 1ull << 63);
    assert_memory_equal(&r[3], down, sizeof *down);
    assert_true(r[0].significand == up->significand || r[0].significand == down->significand);
    assert_int_equal(!!(status[0] & FSW_C1), r[0].significand == up->significand);
    assert_int_equal(status[negative ? 1 : 2] & FSW_C1, FSW_C1);
    assert_int_equal(status[3] & FSW_C1, 0);
}

static void check_unary(const struct sample *samples, unsigned count, fp_x87_unary *f)
{
    for (unsigned i = 0; i < count; i++) {
        struct x87_register r[4];
        uint16_t status[4];
        for (unsigned rounding = 0; rounding < 4; rounding++) {
            memset(&r[rounding], 0, sizeof r[rounding]);
            status[rounding] = f(&r[rounding], &samples[i].a,
                                 (uint16_t)(NEAREST | rounding << FCW_RC_SHIFT));
        }
        same(&r[0], samples[i].r.sign_exponent, samples[i].r.significand);
        check_roundings(r, status);
    }
}

static void check_binary(const struct sample *samples, unsigned count, fp_x87_function *f)
{
    for (unsigned i = 0; i < count; i++) {
        struct x87_register r[4];
        uint16_t status[4];
        for (unsigned rounding = 0; rounding < 4; rounding++) {
            memset(&r[rounding], 0, sizeof r[rounding]);
            status[rounding] = f(&r[rounding], &samples[i].a, &samples[i].b,
                                 (uint16_t)(NEAREST | rounding << FCW_RC_SHIFT));
        }
        same(&r[0], samples[i].r.sign_exponent, samples[i].r.significand);
        check_roundings(r, status);
    }
}

static void test_transcendental_values(void **state)
{
    (void)state;
    check_unary(sines, ARRAY_SIZE(sines), fp_x87_sin);
    check_unary(cosines, ARRAY_SIZE(cosines), fp_x87_cos);
    check_unary(tangents, ARRAY_SIZE(tangents), fp_x87_tan);
    check_unary(powers, ARRAY_SIZE(powers), fp_x87_2xm1);
    check_binary(logarithms, ARRAY_SIZE(logarithms), fp_x87_yl2x);
    check_binary(logarithms_plus_1, ARRAY_SIZE(logarithms_plus_1), fp_x87_yl2xp1);
    check_binary(angles, ARRAY_SIZE(angles), fp_x87_patan);
}

static void test_exact_transcendentals(void **state)
{
    (void)state;
    struct x87_register r, zero = value(0, 0), minus_zero = value(0x8000, 0), one = ONE;
    struct x87_register eight = integer(8), three = integer(3), infinity = value(0x7fff, 1ull << 63);
    assert_int_equal(fp_x87_sin(&r, &minus_zero, NEAREST), 0);
    same(&r, 0x8000, 0);
    assert_int_equal(fp_x87_cos(&r, &zero, NEAREST), 0);
    same(&r, 0x3fff, 1ull << 63);
    assert_int_equal(fp_x87_yl2x(&r, &eight, &three, NEAREST), 0);
    same(&r, 0x4002, 0x9000000000000000); /* 9 */
    assert_int_equal(fp_x87_yl2x(&r, &zero, &three, NEAREST), FP_ZE);
    same(&r, 0xffff, 1ull << 63);
    assert_int_equal(fp_x87_yl2x(&r, &one, &infinity, NEAREST), FP_IE);
    same(&r, 0xffff, 0xc000000000000000);
    struct x87_register minus = value(0xbfff, 1ull << 63);
    assert_int_equal(fp_x87_2xm1(&r, &minus, NEAREST), 0);
    same(&r, 0xbffe, 1ull << 63);
    /* arctan of +-1 and of the axes */
    fp_x87_patan(&r, &one, &one, NEAREST);
    same(&r, 0x3ffe, 0xc90fdaa22168c235);
    fp_x87_patan(&r, &minus, &zero, NEAREST);
    same(&r, 0x4000, 0xc90fdaa22168c235);
    assert_int_equal(fp_x87_patan(&r, &one, &zero, NEAREST), 0);
    same(&r, 0, 0);
    fp_x87_patan(&r, &minus_zero, &infinity, CUT);
    same(&r, 0x3fff, 0xc90fdaa22168c234);
}

/* Results beyond the format's ends, masked by rounding and sign, and unmasked with
 * their exponents wrapped. */
static void test_transcendental_ends(void **state)
{
    (void)state;
    struct x87_register r, eight = integer(8), two = integer(2), five_fourths = value(0x3fff, 0xa000000000000000);
    for (unsigned n = 0; n < 8; n++) {
        unsigned rounding = n & 3;
        uint16_t sign = n & 4 ? 0x8000 : 0, control = (uint16_t)(NEAREST | rounding << FCW_RC_SHIFT);
        bool away = rounding == 0 || rounding == (sign ? 1 : 2);
        struct x87_register most = value(0x7ffe | sign, ~0ull), least = value(sign, 8);
        assert_int_equal(fp_x87_yl2x(&r, &eight, &most, control),
                         FP_OE | FP_PE | (away ? FSW_C1 : 0));
        same(&r, (away ? 0x7fff : 0x7ffe) | sign, away ? 1ull << 63 : ~0ull);
        uint16_t status = fp_x87_yl2x(&r, &eight, &most, control & ~FP_OE);
        assert_int_equal(status & ~FSW_C1, FP_OE | FP_PE);
        same(&r, (0x8000 - 24576) | sign, (3ull << 62) - !(status & FSW_C1));
        assert_int_equal(!!(status & FSW_C1), away && rounding != 0); /* 3 * 2^62 - 0.75 */
        struct x87_register large = value(0x7ffe | sign, 1ull << 63); /* not beyond */
        assert_int_equal(fp_x87_yl2x(&r, &two, &large, control), 0);
        same(&r, 0x7ffe | sign, 1ull << 63);
        /* 8 * 0.3219 = 2.575 of the smallest numbers */
        assert_int_equal(fp_x87_yl2x(&r, &five_fourths, &least, control),
                         FP_DE | FP_UE | FP_PE | (away ? FSW_C1 : 0));
        same(&r, sign, away ? 3 : 2);
        assert_int_equal(fp_x87_yl2x(&r, &five_fourths, &least, control & ~FP_UE) & ~FSW_C1,
                         FP_DE | FP_UE | FP_PE);
        assert_int_equal(r.sign_exponent, (24576 - 61) | sign);
        assert_int_equal(r.significand >> 32, 0xa4d3c25e);
    }
}

static void test_angles_out_of_range(void **state)
{
    (void)state;
    struct x87_register r = ONE, large = value(0x403e, 1ull << 63), infinity = value(0xffff, 1ull << 63);
    assert_int_equal(fp_x87_sin(&r, &large, NEAREST), FSW_C2);
    same(&r, 0x3fff, 1ull << 63);
    assert_int_equal(fp_x87_tan(&r, &infinity, NEAREST), FP_IE);
    same(&r, 0xffff, 0xc000000000000000);
    large.sign_exponent = 0x403d;
    assert_true(fp_x87_cos(&r, &large, NEAREST) & FP_PE);
}

/* For tiny x: sin x is just below x, tan x just above. */
static void test_tiny_angles(void **state)
{
    (void)state;
    struct x87_register r, x = value(0x3f00, 0x8000000000000000);
    assert_int_equal(fp_x87_sin(&r, &x, NEAREST), FP_PE | FSW_C1);
    same(&r, 0x3f00, 0x8000000000000000);
    assert_int_equal(fp_x87_sin(&r, &x, DOWN), FP_PE);
    same(&r, 0x3eff, 0xffffffffffffffff);
    assert_int_equal(fp_x87_tan(&r, &x, UP), FP_PE | FSW_C1);
    same(&r, 0x3f00, 0x8000000000000001);
    struct x87_register denormal = value(0, 4);
    assert_int_equal(fp_x87_sin(&r, &denormal, CUT), FP_DE | FP_UE | FP_PE);
    same(&r, 0, 3);
}

static void test_loads(void **state)
{
    (void)state;
    struct x87_register r;
    assert_int_equal(fp_x87_from_f32(&r, 0xc0490fdb), 0);
    same(&r, 0xc000, 0xc90fdb0000000000);
    assert_int_equal(fp_x87_from_f32(&r, 1), FP_DE);
    same(&r, 0x3fff - 149, 1ull << 63);
    assert_int_equal(fp_x87_from_f32(&r, 0x7f800001), FP_IE);
    same(&r, 0x7fff, 0x8000010000000000);
    assert_int_equal(fp_x87_from_f64(&r, 0x8000000000000003), FP_DE);
    same(&r, 0xbfff - 1073, 0xc000000000000000);
    assert_int_equal(fp_x87_from_f64(&r, 0x7ff0000000000000), 0);
    same(&r, 0x7fff, 1ull << 63);
    assert_int_equal(fp_x87_from_i64(&r, INT64_MIN), 0);
    same(&r, 0xc03e, 1ull << 63);
    /* Zeros, over whatever was there. */
    for (unsigned sign = 0; sign < 2; sign++) {
        r = value(0x1234, ~0ull);
        assert_int_equal(fp_x87_from_f32(&r, sign << 31), 0);
        same(&r, (uint16_t)(sign << 15), 0);
        r = value(0x1234, ~0ull);
        assert_int_equal(fp_x87_from_f64(&r, (uint64_t)sign << 63), 0);
        same(&r, (uint16_t)(sign << 15), 0);
    }
    r = value(0x1234, ~0ull);
    assert_int_equal(fp_x87_from_i64(&r, 0), 0);
    same(&r, 0, 0);
}

static void test_stores(void **state)
{
    (void)state;
    uint32_t f32 = 7;
    uint64_t f64 = 7;
    int16_t i16 = 7;
    int64_t i64 = 7;
    struct x87_register x = value(0x3fff, 0xffffffffffffffff); /* just below 2 */
    assert_int_equal(fp_x87_to_f32(&f32, &x, NEAREST), FP_PE | FSW_C1);
    assert_int_equal(f32, 0x40000000);
    assert_int_equal(fp_x87_to_f64(&f64, &x, CUT), FP_PE);
    assert_int_equal(f64, 0x3fffffffffffffff);
    assert_int_equal(fp_x87_to_i64(&i64, &x, DOWN), FP_PE);
    assert_int_equal(i64, 1);
    struct x87_register large = integer(40000), tiny = value(0x3f80, 1ull << 63);
    assert_int_equal(fp_x87_to_i16(&i16, &large, NEAREST), FP_IE);
    assert_int_equal(i16, INT16_MIN);
    i16 = 7;
    assert_int_equal(fp_x87_to_i16(&i16, &large, NEAREST & ~FP_IE), FP_IE);
    assert_int_equal(i16, 7);
    assert_int_equal(fp_x87_to_f32(&f32, &tiny, NEAREST), 0); /* 2^-127, exact */
    assert_int_equal(f32, 0x00400000);
    f32 = 7;
    assert_int_equal(fp_x87_to_f32(&f32, &tiny, NEAREST & ~FP_UE), FP_UE);
    assert_int_equal(f32, 7);
}

static void test_arithmetic(void **state)
{
    (void)state;
    struct x87_register r, one = ONE, three = integer(3), zero = value(0, 0);
    assert_int_equal(fp_x87_div(&r, &one, &three, NEAREST), FP_PE | FSW_C1);
    same(&r, 0x3ffd, 0xaaaaaaaaaaaaaaab);
    assert_int_equal(fp_x87_div(&r, &one, &three, DOWN), FP_PE);
    same(&r, 0x3ffd, 0xaaaaaaaaaaaaaaaa);
    assert_int_equal(fp_x87_div(&r, &one, &three, NEAREST & ~0x300), FP_PE | FSW_C1); /* single */
    same(&r, 0x3ffd, 0xaaaaab0000000000);
    r = three;
    assert_int_equal(fp_x87_div(&r, &one, &zero, NEAREST & ~FP_ZE), FP_ZE);
    same(&r, three.sign_exponent, three.significand);
    /* Unmasked overflow and underflow wrap the exponent. */
    struct x87_register huge = value(0x7ffe, 1ull << 63), small = value(1, 1ull << 63);
    assert_int_equal(fp_x87_mul(&r, &huge, &huge, NEAREST & ~FP_OE), FP_OE);
    same(&r, (uint16_t)(2 * 0x7ffe - 0x3fff - 24576), 1ull << 63);
    assert_int_equal(fp_x87_mul(&r, &small, &small, NEAREST & ~FP_UE), FP_UE);
    same(&r, (uint16_t)(2 - 0x3fff + 24576), 1ull << 63);
    assert_int_equal(fp_x87_mul(&r, &huge, &huge, CUT), FP_OE | FP_PE);
    same(&r, 0x7ffe, ~0ull);
    /* The NaN with the larger significand wins. */
    struct x87_register n1 = value(0xffff, 0xc000000000000005), n2 = value(0x7fff, 0xc000000000000007);
    assert_int_equal(fp_x87_add(&r, &n1, &n2, NEAREST), 0);
    same(&r, 0x7fff, 0xc000000000000007);
}

static void test_compare(void **state)
{
    (void)state;
    struct x87_register one = ONE, three = integer(3), nan = QNAN;
    assert_int_equal(fp_x87_compare(&one, &three, NEAREST), FSW_C0);
    assert_int_equal(fp_x87_compare(&three, &one, NEAREST), 0);
    assert_int_equal(fp_x87_compare(&one, &one, NEAREST), FSW_C3);
    assert_int_equal(fp_x87_compare(&one, &nan, NEAREST), FP_IE | FSW_C0 | FSW_C2 | FSW_C3);
    assert_int_equal(fp_x87_compare_quiet(&one, &nan, NEAREST), FSW_C0 | FSW_C2 | FSW_C3);
}

static void test_remainder(void **state)
{
    (void)state;
    struct x87_register r, a = integer(17), b = integer(5), c = integer(-18);
    assert_int_equal(fp_x87_remainder(&r, &a, &b, false, NEAREST), FSW_C1 | FSW_C3); /* 3 */
    same(&r, 0x4000, 1ull << 63);                                                 /* 2 */
    fp_x87_remainder(&r, &c, &b, true, NEAREST); /* -18 = -4 * 5 + 2 */
    same(&r, 0x4000, 1ull << 63);
    /* A difference of 64 or more takes several steps. */
    struct x87_register large = value(0x3fff + 1000, 0x8000000000000001);
    unsigned steps = 0;
    r = large;
    while (fp_x87_remainder(&r, &(struct x87_register){ r.significand, r.sign_exponent, { 0 } }, &b,
                            false, NEAREST) & FSW_C2)
        steps++;
    assert_in_range(steps, 1000 / 64, 1000 / 32);
    /* 2^1000 * (1 + 2^-63) mod 5: 2^937 * (2^63 + 1); 2^63 + 1 = 4, 2^937 = 2 mod 5 */
    same(&r, 0x4000, 0xc000000000000000); /* 3 */
    struct x87_register zero = value(0, 0);
    assert_int_equal(fp_x87_remainder(&r, &a, &zero, false, NEAREST), FP_IE);
}

static void test_extract(void **state)
{
    (void)state;
    struct x87_register exponent, significand, x = value(0xc005, 0xb000000000000000);
    assert_int_equal(fp_x87_extract(&exponent, &significand, &x, NEAREST), 0);
    same(&exponent, 0x4001, 0xc000000000000000); /* 6 */
    same(&significand, 0xbfff, 0xb000000000000000);
    x = value(0x8000, 0);
    assert_int_equal(fp_x87_extract(&exponent, &significand, &x, NEAREST), FP_ZE);
    same(&exponent, 0xffff, 1ull << 63);
    same(&significand, 0x8000, 0);
    x = value(0, 1);
    assert_int_equal(fp_x87_extract(&exponent, &significand, &x, NEAREST), FP_DE);
    same(&significand, 0x3fff, 1ull << 63);
}

/* SSE */

static union xmm singles(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
    return (union xmm){ .u32 = { a, b, c, d } };
}

static void test_vector_flags(void **state)
{
    (void)state;
    union xmm a = singles(0x3f800000, 0x3f800000, 0x7f7fffff, 0x7f800001);
    union xmm b = singles(0x40400000, 0, 0x3e800000, 0x3f800000);
    uint32_t flags = fp_divps(&a, &b, MXCSR_DEFAULT);
    assert_int_equal(flags, FP_PE | FP_ZE | FP_OE | FP_IE);
    assert_int_equal(a.u32[0], 0x3eaaaaab);
    assert_int_equal(a.u32[1], 0x7f800000);
    assert_int_equal(a.u32[2], 0x7f800000);
    assert_int_equal(a.u32[3], 0x7fc00001);
    a = singles(0x3f800000, 1, 2, 3);
    assert_int_equal(fp_divss(&a, &b, MXCSR_DEFAULT | 1u << MXCSR_RC_SHIFT), FP_PE);
    assert_int_equal(a.u32[0], 0x3eaaaaaa);
    assert_int_equal(a.u32[3], 3);
    /* The control bits of before are in force again. */
    a.u32[0] = 0x3f800000;
    fp_divss(&a, &b, MXCSR_DEFAULT);
    assert_int_equal(a.u32[0], 0x3eaaaaab);
}

static void test_vector_denormals(void **state)
{
    (void)state;
    union xmm a = singles(0x00400000, 0, 0, 0), half = singles(0x3f000000, 0, 0, 0);
    assert_int_equal(fp_mulss(&a, &half, MXCSR_DEFAULT), FP_DE);
    assert_int_equal(a.u32[0], 0x00200000);
    a.u32[0] = 0x00400000;
    assert_int_equal(fp_mulss(&a, &half, MXCSR_DEFAULT | MXCSR_DAZ), 0);
    assert_int_equal(a.u32[0], 0);
    a.u32[0] = 0x00800000;
    assert_int_equal(fp_mulss(&a, &half, MXCSR_DEFAULT | MXCSR_FTZ), FP_UE | FP_PE);
    assert_int_equal(a.u32[0], 0);
    /* Unmasked, even an exact tiny result underflows; FTZ has no say. */
    a.u32[0] = 0x00800000;
    assert_int_equal(fp_mulss(&a, &half, (MXCSR_DEFAULT | MXCSR_FTZ) & ~MXCSR_UM), FP_UE);
    a = singles(0x00800000, 0x00800000, 0, 0);
    half.u32[1] = 0x3f000000;
    assert_int_equal(fp_mulps(&a, &half, MXCSR_DEFAULT & ~MXCSR_UM), FP_UE);
}

static void test_conversions(void **state)
{
    (void)state;
    uint64_t v;
    union xmm x = { .u64 = { 0x4004000000000000, 0 } }; /* 2.5 */
    assert_int_equal(fp_cvtsd2si32(&x, MXCSR_DEFAULT, &v), FP_PE);
    assert_int_equal(v, 2);
    assert_int_equal(fp_cvtsd2si64(&x, MXCSR_DEFAULT | 2u << MXCSR_RC_SHIFT, &v), FP_PE);
    assert_int_equal(v, 3);
    x.u64[0] = 0xc3f0000000000000;
    assert_int_equal(fp_cvttsd2si32(&x, MXCSR_DEFAULT, &v), FP_IE);
    assert_int_equal(v, 0x80000000);
    assert_int_equal(fp_cvttsd2si64(&x, MXCSR_DEFAULT, &v), FP_IE);
    assert_int_equal(v, 1ull << 63);
    assert_int_equal(fp_cvtsi2ss(&x, 0x1000001, MXCSR_DEFAULT), FP_PE);
    assert_int_equal(x.u32[0], 0x4b800000);
}

/* An exact result that is tiny: an underflow only where that is unmasked. */
static void test_tiny_conversions(void **state)
{
    (void)state;
    const uint32_t masks = 0x1f80, of = FP_OE << MXCSR_MASK_SHIFT, uf = FP_UE << MXCSR_MASK_SHIFT;
    union xmm d = { { 0 } }, s = { .u64 = { 0, 0x3730000000000000 } }; /* 2^-140 */

    assert_int_equal(fp_cvtpd2ps(&d, &s, masks), 0);
    assert_int_equal(d.u32[1], 0x200);
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~of), 0);
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~uf), FP_UE);
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~of & ~uf), FP_UE);
    /* Whether it is inexact is asked of an unbounded exponent then. */
    s.u64[1] = 0x3730000000000001;
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~uf), FP_UE | FP_PE);
    s.u64[1] = 0x3730000020000000;
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~uf), FP_UE);
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks), FP_UE | FP_PE);
    s.u64[1] = 0x4ff0000000000000; /* 2^256 */
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~of), FP_OE);
    s.u64[1] = 0x4ff0000000000001;
    assert_int_equal(fp_cvtpd2ps(&d, &s, masks & ~of), FP_OE | FP_PE);
}

/* Each half is a single. */
static void test_halves(void **state)
{
    (void)state;
    for (uint32_t v = 0; v < 0x10000; v++) {
        uint32_t flags = 0, magnitude = v & 0x7fff, exponent = magnitude >> 10, fraction = v & 0x3ff;
        uint32_t sign = (v & 0x8000) << 16, want = fraction << 13 | (exponent + 112) << 23;
        bool nan = magnitude > 0x7c00;
        if (exponent == 31) {
            want = 0x7f800000 | fraction << 13 | (nan ? 0x400000 : 0);
        } else if (exponent == 0) {
            float small = (float)fraction / 16777216; /* of 2^-24 */
            memcpy(&want, &small, sizeof want);
        }
        assert_int_equal(fp_from_half((uint16_t)v, &flags), sign | want);
        assert_int_equal(flags, nan && !(fraction & 0x200) ? FP_IE : 0);
    }
}

static void test_vector_compare(void **state)
{
    (void)state;
    uint64_t flags;
    union xmm one = singles(0x3f800000, 0, 0, 0), nan = singles(0x7fc00000, 0, 0, 0);
    assert_int_equal(fp_ucomiss(&one, &nan, MXCSR_DEFAULT, &flags), 0);
    assert_int_equal(flags, 0x45);
    assert_int_equal(fp_comiss(&one, &nan, MXCSR_DEFAULT, &flags), FP_IE);
    assert_int_equal(fp_comiss(&one, &one, MXCSR_DEFAULT, &flags), 0);
    assert_int_equal(flags, 0x40);
    union xmm d = one;
    assert_int_equal(fp_cmpltss(&d, &nan, MXCSR_DEFAULT), FP_IE);
    assert_int_equal(d.u32[0], 0);
    d = one;
    assert_int_equal(fp_cmpunordss(&d, &nan, MXCSR_DEFAULT), 0);
    assert_int_equal(d.u32[0], 0xffffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_transcendental_values), cmocka_unit_test(test_exact_transcendentals),
        cmocka_unit_test(test_transcendental_ends), cmocka_unit_test(test_angles_out_of_range),
        cmocka_unit_test(test_tiny_angles),
        cmocka_unit_test(test_loads), cmocka_unit_test(test_stores),
        cmocka_unit_test(test_arithmetic), cmocka_unit_test(test_compare),
        cmocka_unit_test(test_remainder), cmocka_unit_test(test_extract),
        cmocka_unit_test(test_vector_flags), cmocka_unit_test(test_vector_denormals),
        cmocka_unit_test(test_conversions), cmocka_unit_test(test_tiny_conversions),
        cmocka_unit_test(test_vector_compare), cmocka_unit_test(test_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
