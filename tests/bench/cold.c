/*
 * The load whose code runs once: copies of a function, each on fresh pages, each
 * called a single time. A translator that must translate all of it shows how fast
 * it translates; one that may choose shows what code costs before it is hot.
 */
#include <string.h>
#include <sys/mman.h>

#include "loads.h"

#define COLD_BYTES (64u << 20)

/* The template stands alone in a section, whose ends the linker names. */
#define TEMPLATE __attribute__((section("cold_template"), used, noinline, aligned(64)))
extern const unsigned char __start_cold_template[], __stop_cold_template[];

struct cold {
    uint64_t a, b, c, d;
    uint32_t word[32];
    uint8_t byte[64];
};

/* Arithmetic, loads, stores and branches in about the proportions of common code,
 * without a loop, a call or a constant in memory, so that it runs at any address.
 * Hardly any branch is taken: whoever calls it reaches all of it. */
#define STEP(i, m)                                                                                 \
    x->a += x->word[(i) % 32] ^ (x->b >> ((i) % 13 + 1));                                          \
    if (x->a != (m))                                                                     \
        x->b = x->b * 5 + x->byte[(i) % 64];                                                       \
    x->word[((i) + 7) % 32] = (uint32_t)x->b - (m);                                                \
    x->c ^= x->a << 3 | x->d >> 61;                                                                \
    if (x->c != x->d)                                                             \
        x->d += x->c & 0xffff;                                                                     \
    x->byte[((i) + 11) % 64] = (uint8_t)(x->d >> 8);
#define STEPS4(i) STEP(i, 17) STEP(i + 1, 255) STEP(i + 2, 4099) STEP(i + 3, 77)
#define STEPS16(i) STEPS4(i) STEPS4(i + 4) STEPS4(i + 8) STEPS4(i + 12)

TEMPLATE static void step(struct cold *x)
{
    STEPS16(0) STEPS16(16)
}

static unsigned char *copies;
static uint64_t size, count;

void prepare_cold(void)
{
    size = (uint64_t)(__stop_cold_template - __start_cold_template + 63) & ~63ull;
    count = COLD_BYTES / size;
    copies = bench_memory(COLD_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC);
    for (uint64_t i = 0; i < count; i++)
        memcpy(copies + i * size, __start_cold_template, size);
}

uint64_t load_cold(void)
{
    struct cold state = {1, 2, 3, 4, {5}, {6}};
    for (uint64_t i = 0; i < count; i++) {
        void (*copy)(struct cold *);
        unsigned char *at = copies + i * size;
        memcpy(&copy, &at, sizeof copy);
        copy(&state);
    }
    return state.a ^ state.b ^ state.c ^ state.d;
}
