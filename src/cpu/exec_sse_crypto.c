/*
 * AES-NI, PCLMULQDQ and the SHA extensions. (SDM vol. 2; FIPS 197, FIPS 180-4)
 *
 * SHA's memory operands must be aligned to 16 bytes, but not on AMD's CPUs.
 */
#include "cpu/cpuid.h"
#include "cpu/exec_vector.h"

/* FIPS 197, figures 7 and 14. */
static const uint8_t sbox[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};
static const uint8_t inverse_sbox[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};

/* The state is stored by columns: byte 4 * column + row. `direction` 1 rotates
 * row r left by r (ShiftRows), 3 right (InvShiftRows). */
static void substitute_shift(union xmm *state, const uint8_t *box, unsigned direction)
{
    union xmm r;
    for (unsigned column = 0; column < 4; column++)
        for (unsigned row = 0; row < 4; row++)
            r.u8[4 * column + row] = box[state->u8[4 * ((column + direction * row) & 3) + row]];
    *state = r;
}

static inline uint32_t rotate_right(uint32_t v, unsigned n)
{
    return v >> n | v << (32 - n);
}

/* Each byte times 2 in the field. */
static inline uint32_t times2(uint32_t v)
{
    return (v & 0x7f7f7f7f) << 1 ^ (v >> 7 & 0x01010101) * 0x1b;
}

/* MixColumns: row r becomes 2 r ^ 3 (r+1) ^ (r+2) ^ (r+3). */
static void mix_columns(union xmm *state)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t v = state->u32[i], v2 = times2(v);
        state->u32[i] = v2 ^ rotate_right(v ^ v2, 8) ^ rotate_right(v, 16) ^ rotate_right(v, 24);
    }
}

/* InvMixColumns: 14 r ^ 11 (r+1) ^ 13 (r+2) ^ 9 (r+3). */
static void inverse_mix_columns(union xmm *state)
{
    for (unsigned i = 0; i < 4; i++) {
        uint32_t v = state->u32[i], v2 = times2(v), v4 = times2(v2), v8 = times2(v4);
        state->u32[i] = (v8 ^ v4 ^ v2) ^ rotate_right(v8 ^ v2 ^ v, 8) ^ rotate_right(v8 ^ v4 ^ v, 16)
                        ^ rotate_right(v8 ^ v, 24);
    }
}

static void op_aesenclast(union xmm *d, const union xmm *s)
{
    substitute_shift(d, sbox, 1);
    d->vu64 ^= s->vu64;
}

static void op_aesenc(union xmm *d, const union xmm *s)
{
    substitute_shift(d, sbox, 1);
    mix_columns(d);
    d->vu64 ^= s->vu64;
}

static void op_aesdeclast(union xmm *d, const union xmm *s)
{
    substitute_shift(d, inverse_sbox, 3);
    d->vu64 ^= s->vu64;
}

static void op_aesdec(union xmm *d, const union xmm *s)
{
    substitute_shift(d, inverse_sbox, 3);
    inverse_mix_columns(d);
    d->vu64 ^= s->vu64;
}

static void op_aesimc(union xmm *d, const union xmm *s)
{
    *d = *s;
    inverse_mix_columns(d);
}

static uint32_t substitute_word(uint32_t v)
{
    return sbox[v & 0xff] | (uint32_t)sbox[v >> 8 & 0xff] << 8
           | (uint32_t)sbox[v >> 16 & 0xff] << 16 | (uint32_t)sbox[v >> 24] << 24;
}

static void op_aeskeygenassist(union xmm *d, const union xmm *s, uint8_t imm)
{
    uint32_t x1 = substitute_word(s->u32[1]), x3 = substitute_word(s->u32[3]);
    *d = (union xmm){ .u32 = { x1, rotate_right(x1, 8) ^ imm, x3, rotate_right(x3, 8) ^ imm } };
}

SSE_HANDLERS(aesenc)
SSE_HANDLERS(aesenclast)
SSE_HANDLERS(aesdec)
SSE_HANDLERS(aesdeclast)
SSE_HANDLERS(aesimc)
SSE_HANDLERS_IMM(aeskeygenassist)

static void op_pclmulqdq(union xmm *d, const union xmm *s, uint8_t imm)
{
    uint64_t a = d->u64[imm & 1], b = s->u64[imm >> 4 & 1], low = 0, high = 0;
    for (unsigned i = 0; i < 64; i++) {
        if (!(b >> i & 1))
            continue;
        low ^= a << i;
        high ^= i ? a >> (64 - i) : 0;
    }
    *d = (union xmm){ .u64 = { low, high } };
}
SSE_HANDLERS_IMM(pclmulqdq)

static int sha_read(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    if (!cpu_model_is_amd(cpu->model))
        return sse_read_aligned(cpu, insn, value);
    return sse_read_unaligned(cpu, insn, value);
}

/* SHA-1. Word 0 of the algorithm is in the highest lane. */

static uint32_t sha1_f(uint32_t b, uint32_t c, uint32_t d, unsigned phase)
{
    switch (phase) {
    case 0: return (b & c) ^ (~b & d);
    case 2: return (b & c) ^ (b & d) ^ (c & d);
    default: return b ^ c ^ d;
    }
}

static void op_sha1rnds4(union xmm *d, const union xmm *s, uint8_t imm)
{
    static const uint32_t constants[4] = { 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6 };
    uint32_t a = d->u32[3], b = d->u32[2], c = d->u32[1], e = 0, x = d->u32[0];
    for (unsigned i = 0; i < 4; i++) {
        uint32_t next = sha1_f(b, c, x, imm & 3) + rotate_right(a, 27) + s->u32[3 - i] + e
                        + constants[imm & 3];
        e = x;
        x = c;
        c = rotate_right(b, 2);
        b = a;
        a = next;
    }
    *d = (union xmm){ .u32 = { x, c, b, a } };
}

static void op_sha1nexte(union xmm *d, const union xmm *s)
{
    uint32_t e = rotate_right(d->u32[3], 2);
    *d = *s;
    d->u32[3] += e;
}

static void op_sha1msg1(union xmm *d, const union xmm *s)
{
    *d = (union xmm){ .u32 = { d->u32[0] ^ s->u32[2], d->u32[1] ^ s->u32[3],
                               d->u32[2] ^ d->u32[0], d->u32[3] ^ d->u32[1] } };
}

static void op_sha1msg2(union xmm *d, const union xmm *s)
{
    uint32_t w16 = rotate_right(d->u32[3] ^ s->u32[2], 31);
    uint32_t w17 = rotate_right(d->u32[2] ^ s->u32[1], 31);
    uint32_t w18 = rotate_right(d->u32[1] ^ s->u32[0], 31);
    *d = (union xmm){ .u32 = { rotate_right(d->u32[0] ^ w16, 31), w18, w17, w16 } };
}

/* SHA-256 */

static uint32_t sigma0(uint32_t v)
{
    return rotate_right(v, 7) ^ rotate_right(v, 18) ^ v >> 3;
}

static uint32_t sigma1(uint32_t v)
{
    return rotate_right(v, 17) ^ rotate_right(v, 19) ^ v >> 10;
}

static void op_sha256msg1(union xmm *d, const union xmm *s)
{
    *d = (union xmm){ .u32 = { d->u32[0] + sigma0(d->u32[1]), d->u32[1] + sigma0(d->u32[2]),
                               d->u32[2] + sigma0(d->u32[3]), d->u32[3] + sigma0(s->u32[0]) } };
}

static void op_sha256msg2(union xmm *d, const union xmm *s)
{
    uint32_t w16 = d->u32[0] + sigma1(s->u32[2]), w17 = d->u32[1] + sigma1(s->u32[3]);
    *d = (union xmm){ .u32 = { w16, w17, d->u32[2] + sigma1(w16), d->u32[3] + sigma1(w17) } };
}

/* Two rounds: d holds C D G H, s holds A B E F, highest lane first. */
static void sha256_rounds(union xmm *d, const union xmm *s, const union xmm *wk)
{
    uint32_t a = s->u32[3], b = s->u32[2], e = s->u32[1], f = s->u32[0];
    uint32_t c = d->u32[3], x = d->u32[2], g = d->u32[1], h = d->u32[0];
    for (unsigned i = 0; i < 2; i++) {
        uint32_t t1 = h + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25))
                      + ((e & f) ^ (~e & g)) + wk->u32[i];
        uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22))
                      + ((a & b) ^ (a & c) ^ (b & c));
        h = g;
        g = f;
        f = e;
        e = x + t1;
        x = c;
        c = b;
        b = a;
        a = t1 + t2;
    }
    *d = (union xmm){ .u32 = { f, e, b, a } };
}

SSE_HANDLERS_IMM_READ(sha1rnds4, sha_read, 0)
SSE_HANDLERS_READ(sha1nexte, sha_read)
SSE_HANDLERS_READ(sha1msg1, sha_read)
SSE_HANDLERS_READ(sha1msg2, sha_read)
SSE_HANDLERS_READ(sha256msg1, sha_read)
SSE_HANDLERS_READ(sha256msg2, sha_read)

int exec_sha256rnds2_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    union xmm s = *xmm_register(cpu, insn->rm), wk = *xmm_register(cpu, 0);
    sha256_rounds(xmm_register(cpu, insn->reg), &s, &wk);
    return 0;
}

int exec_sha256rnds2_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sha_read(cpu, insn, &s))
        return CPU_FAULT;
    union xmm wk = *xmm_register(cpu, 0);
    sha256_rounds(xmm_register(cpu, insn->reg), &s, &wk);
    return 0;
}
