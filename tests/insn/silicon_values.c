/*
 * Values for the silicon test's registers and memory: integers and floating point
 * numbers with edges, pairs that cancel, and control words.
 */
#include "silicon_values.h"

#include <string.h>

#include "cpu/cpu.h"

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

uint64_t value_integer(struct random *random)
{
    static const uint64_t values[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, 0x7fffffffffffffff, 0x8000000000000000, ~0ull,
    };
    uint64_t value = random_next(random);
    switch (random_below(random, 5)) {
    case 0: return values[random_below(random, COUNT(values))];
    case 1: return value & 0xff;
    case 2: return (uint64_t)(int64_t)(int32_t)value;
    default: return value;
    }
}

/* A float of 64 bits with some chance of being a special one. */
static uint64_t floating64(struct random *random)
{
    static const uint64_t special[] = {
        0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
        0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8000000001234, 1,
        0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x41dfffffffc00000,
        0xc1e0000000000000, 0x43e0000000000000, 0x3fe0000000000000, 0x4004000000000000,
    };
    uint64_t value = random_next(random), exponent = 1023 - 40 + random_below(random, 80);
    switch (random_below(random, 12)) {
    case 0: case 1: case 2: return special[random_below(random, COUNT(special))];
    case 3: return value;
    case 4: exponent = random_below(random, 60); break;         /* tiny */
    case 5: exponent = 0x7fe - random_below(random, 60); break; /* huge */
    case 6: exponent = 1023 - 540 + random_below(random, 60); break; /* its square is tiny */
    case 7: /* few bits: exact results and ties */
        value &= 0x8000000000000000 | ~0ull << (40 + random_below(random, 12));
        break;
    case 8: return (value & 0x800000000000001f) | 0x3ff0000000000000; /* close to 1 */
    case 9: exponent = 0x7ff; break;                                  /* NaN, mostly */
    default: break;
    }
    return (value & 0x800fffffffffffff) | exponent << 52;
}

static uint32_t floating32(struct random *random)
{
    static const uint32_t special[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
        0xffc01234, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000,
        0x40200000, 0x5f000000,
    };
    uint32_t value = (uint32_t)random_next(random), exponent = 127 - 20 + random_below(random, 40);
    switch (random_below(random, 12)) {
    case 0: case 1: case 2: return special[random_below(random, COUNT(special))];
    case 3: return value;
    case 4: exponent = random_below(random, 30); break;
    case 5: exponent = 0xfe - random_below(random, 30); break;
    case 6: exponent = 127 - 80 + random_below(random, 30); break;
    case 7: value &= 0x80000000 | ~0u << (13 + random_below(random, 10)); break;
    case 8: return (value & 0x8000001f) | 0x3f800000;
    case 9: exponent = 0xff; break;
    default: break;
    }
    return (value & 0x807fffff) | exponent << 23;
}

static uint64_t pattern(struct random *random, enum value_kind kind)
{
    switch (kind) {
    case VALUE_F64: return floating64(random);
    case VALUE_F32: return floating32(random) | (uint64_t)floating32(random) << 32;
    case VALUE_INTEGER: return value_integer(random);
    default: return random_next(random);
    }
}

/* The significand and exponent of an x87 register, of any of its classes. */
static void fill_x87(struct random *random, uint8_t bytes[10])
{
    uint64_t significand = random_next(random) | 1ull << 63;
    uint16_t exponent = (uint16_t)(16383 - 40 + random_below(random, 80));
    switch (random_below(random, 24)) {
    case 0: significand = exponent = 0; break;
    case 1: exponent = 0x7fff, significand = 1ull << 63; break;
    case 2: exponent = 0x7fff; break;                            /* NaN */
    case 3: exponent = 0x7fff, significand &= ~(1ull << 62); break;
    case 4: exponent = 0, significand &= ~(1ull << 63); break;   /* denormal */
    case 5: exponent = 0; break;                                 /* pseudo-denormal */
    case 6: significand = 1ull << 63, exponent = 16383; break;
    case 7: case 8: significand &= ~0ull << random_below(random, 63); break;
    case 9: exponent = (uint16_t)random_below(random, 0x8000); break;
    case 10: exponent = (uint16_t)random_below(random, 70); break;
    case 11: exponent = (uint16_t)(0x7ffe - random_below(random, 70)); break;
    case 12: significand &= ~(1ull << 63); break;                /* unsupported */
    case 13: exponent = 0x7fff, significand &= ~(1ull << 63); break;
    case 14: exponent = (uint16_t)(16383 + random_below(random, 70)); break;
    case 15: exponent = (uint16_t)(16383 - 1030 + random_below(random, 70)); break;
    case 16: exponent = (uint16_t)(16383 + 1000 + random_below(random, 50)); break;
    case 17: exponent = (uint16_t)(16383 - 160 + random_below(random, 70)); break;
    case 18: significand = 1ull << 63 | random_below(random, 16); break;
    default: break;
    }
    exponent |= (uint16_t)(random_below(random, 2) << 15);
    memcpy(bytes, &significand, 8);
    memcpy(bytes + 8, &exponent, 2);
}

static void fill_control(struct random *random, struct fx_image *fx)
{
    static const uint16_t precisions[] = { 0x300, 0x300, 0x300, 0x200, 0 };
    fx->mxcsr = 0x1f80;
    if (random_percent(random, 30))
        fx->mxcsr |= random_below(random, 4) << 13;
    if (random_percent(random, 10))
        fx->mxcsr |= (random_below(random, 2) << 15) | (random_below(random, 2) << 6);
    if (random_percent(random, 10))
        fx->mxcsr ^= random_below(random, 64) << 7;
    if (random_percent(random, 20))
        fx->mxcsr |= random_below(random, 64);
    fx->fcw = (uint16_t)(0x7f | precisions[random_below(random, 5)]);
    if (random_percent(random, 30))
        fx->fcw |= (uint16_t)(random_below(random, 4) << 10);
    if (random_percent(random, 15))
        fx->fcw ^= (uint16_t)random_below(random, 64);
    unsigned top = random_below(random, 8);
    fx->fsw = (uint16_t)(top << 11 | (random_below(random, 16) & 7) << 8);
    if (random_percent(random, 5))
        fx->fsw |= 0x4000;
    if (random_percent(random, 15)) /* sticky flags, mostly masked ones */
        fx->fsw |= (uint16_t)(random_below(random, 128) & (random_percent(random, 80) ? fx->fcw : 0x7f));
    if (fx->fsw & ~fx->fcw & 0x3f)
        fx->fsw |= 0x8080;
    fx->ftw = random_percent(random, 80) ? 0xff : (uint8_t)random_next(random);
}

void value_fill_fx(struct random *random, struct fx_image *fx, enum value_kind kind)
{
    if (kind == VALUE_ANY)
        kind = random_below(random, VALUE_BYTES);
    memset(fx, 0, sizeof *fx);
    fill_control(random, fx);
    for (unsigned i = 0; i < 8; i++)
        fill_x87(random, fx->st[i].bytes);
    if (random_percent(random, 10)) { /* ST(1) equals ST(0) but for sign or last bits */
        fx->st[1] = fx->st[0];
        fx->st[1].bytes[random_percent(random, 50) ? 9 : 0] ^= random_percent(random, 50) ? 0x80 : 1;
    }
    for (unsigned i = 0; i < 16; i++) {
        uint64_t pair[2] = { pattern(random, kind), pattern(random, kind) };
        memcpy(fx->xmm[i], pair, 16);
    }
}

/* A header of XSAVE at each place where XRSTOR may look. */
static void fill_xsave_headers(struct random *random, uint8_t *data)
{
    for (unsigned at = 512; at + 64 <= DATA_BYTES; at += 1024) {
        uint64_t header[8] = { random_below(random, 8) };
        if (random_percent(random, 40))
            header[1] = 1ull << 63 | (random_percent(random, 80) ? 7 : random_below(random, 16));
        if (random_percent(random, 5))
            header[random_below(random, 8)] |= 1ull << random_below(random, 64) & ~host_avx512();
        memcpy(data + at, header, sizeof header);
        uint32_t mxcsr = random_percent(random, 90) ? random_below(random, 0x10000)
                                                    : (uint32_t)random_next(random);
        memcpy(data + at - 512 + 24, &mxcsr, 4);
    }
}

/* The first PERIOD bytes, which then repeat. */
#define PERIOD 1072u

void value_fill_data(struct random *random, uint8_t *data, enum value_kind kind, bool xsave)
{
    if (kind == VALUE_ANY)
        kind = random_below(random, VALUE_ANY);
    if (kind == VALUE_BYTES)
        memset(data, (uint8_t)random_next(random), PERIOD);
    for (unsigned i = 0; kind < VALUE_BYTES && i < PERIOD; i += 8) {
        uint64_t value = pattern(random, kind);
        memcpy(data + i, &value, 8);
    }
    for (unsigned i = 0; kind > VALUE_BYTES && i < PERIOD; i += 16) {
        uint8_t *bytes = data + i;
        fill_x87(random, bytes);
        for (unsigned k = 0; kind == VALUE_DECIMAL && k < 10; k++)
            bytes[k] = (uint8_t)(random_below(random, 10) << 4 | random_below(random, 10));
        memcpy(bytes + 10, bytes, 6);
    }
    for (unsigned i = PERIOD; i < DATA_BYTES; i += PERIOD)
        memcpy(data + i, data, DATA_BYTES - i < PERIOD ? DATA_BYTES - i : PERIOD);
    if (xsave)
        fill_xsave_headers(random, data);
}
