/*
 * GFNI: bytes as elements of GF(2^8) modulo x^8 + x^4 + x^3 + x + 1, and affine
 * maps of bytes by matrices of 8 x 8 bits. (SDM vol. 2, GF2P8AFFINEQB,
 * GF2P8AFFINEINVQB, GF2P8MULB)
 */
#include "cpu/exec_vector.h"

#define POLYNOMIAL 0x1bu /* without x^8 */

static uint8_t field_multiply(uint8_t a, uint8_t b)
{
    unsigned product = 0, term = a;
    for (; b; b >>= 1) {
        if (b & 1)
            product ^= term;
        term = (term << 1 ^ (term & 0x80 ? POLYNOMIAL : 0)) & 0xff;
    }
    return (uint8_t)product;
}

/* a^254: the inverse, and 0 of 0. */
static uint8_t field_inverse(uint8_t a)
{
    uint8_t square = a, product = 1;
    for (unsigned i = 0; i < 7; i++) {
        square = field_multiply(square, square);
        product = field_multiply(product, square);
    }
    return product;
}

/* Bit i of the result is the parity of x with the matrix's byte 7 - i. */
static uint8_t affine(uint64_t matrix, uint8_t x, uint8_t constant)
{
    uint8_t r = constant;
    for (unsigned i = 0; i < 8; i++)
        r ^= (uint8_t)(__builtin_parity((matrix >> 8 * (7 - i) & 0xff) & x) << i);
    return r;
}

static void op_gf2p8mulb(union xmm *d, const union xmm *s)
{
    for (unsigned i = 0; i < 16; i++)
        d->u8[i] = field_multiply(d->u8[i], s->u8[i]);
}

static void op_gf2p8affineqb(union xmm *d, const union xmm *s, uint8_t imm)
{
    for (unsigned i = 0; i < 16; i++)
        d->u8[i] = affine(s->u64[i / 8], d->u8[i], imm);
}

static void op_gf2p8affineinvqb(union xmm *d, const union xmm *s, uint8_t imm)
{
    for (unsigned i = 0; i < 16; i++)
        d->u8[i] = affine(s->u64[i / 8], field_inverse(d->u8[i]), imm);
}

SSE_HANDLERS(gf2p8mulb)
SSE_HANDLERS_IMM(gf2p8affineqb)
SSE_HANDLERS_IMM(gf2p8affineinvqb)
