/* Loads that only compute: integers, floating point, an interpreter, memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "loads.h"

/* SHA-256's rounds with a message of its own state, and 64-bit mixing beside them. */

#define HASH_BLOCKS 1000000
#define HASH_ROUNDS 64

static uint32_t rotate32(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint64_t rotate64(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

uint64_t load_hash(void)
{
    uint32_t a = 0x6a09e667, b = 0xbb67ae85, c = 0x3c6ef372, d = 0xa54ff53a;
    uint32_t e = 0x510e527f, f = 0x9b05688c, g = 0x1f83d9ab, h = 0x5be0cd19;
    uint64_t mix = 0x9e3779b97f4a7c15;
    for (unsigned i = 0; i < HASH_BLOCKS * HASH_ROUNDS; i++) {
        uint32_t word = (uint32_t)(mix >> 32) + i;
        uint32_t t1 = h + (rotate32(e, 6) ^ rotate32(e, 11) ^ rotate32(e, 25)) +
                      ((e & f) ^ (~e & g)) + word;
        uint32_t t2 = (rotate32(a, 2) ^ rotate32(a, 13) ^ rotate32(a, 22)) +
                      ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
        mix = rotate64(mix ^ e, 29) * 0xbf58476d1ce4e5b9 + a;
    }
    return mix ^ ((uint64_t)a << 32 | h);
}

#define QSORT_COUNT 1000000

static uint64_t *sorted;

void prepare_qsort(void)
{
    uint64_t state = 1;
    sorted = bench_memory(QSORT_COUNT * sizeof *sorted, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < QSORT_COUNT; i++)
        sorted[i] = bench_random(&state);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t load_qsort(void)
{
    qsort(sorted, QSORT_COUNT, sizeof *sorted, compare);
    uint64_t result = 0;
    for (unsigned i = 0; i < QSORT_COUNT; i += 1000)
        result = rotate64(result, 7) ^ sorted[i];
    return result;
}

/* One cycle through all lines of half a MiB, in random order. */

#define CHASE_LINES (512 * 1024 / 64)
#define CHASE_STEPS 40000000

static struct line {
    struct line *next;
    uint64_t number, unused[6];
} *lines;

void prepare_chase(void)
{
    static unsigned order[CHASE_LINES];
    uint64_t state = 2;
    lines = bench_memory(CHASE_LINES * sizeof *lines, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < CHASE_LINES; i++) {
        unsigned other = (unsigned)(bench_random(&state) % (i + 1));
        order[i] = order[other];
        order[other] = i;
    }
    for (unsigned i = 0; i < CHASE_LINES; i++)
        lines[order[i]] = (struct line){&lines[order[(i + 1) % CHASE_LINES]], i, {0}};
}

uint64_t load_chase(void)
{
    const struct line *line = lines;
    for (unsigned i = 0; i < CHASE_STEPS; i++)
        line = line->next;
    return line->number;
}

#define BODIES 5
#define NBODY_STEPS 4000000

struct body {
    double x, y, z, vx, vy, vz, mass;
};

static void attract(struct body *a, struct body *b, double dt)
{
    double x = a->x - b->x, y = a->y - b->y, z = a->z - b->z;
    double square = x * x + y * y + z * z + 0.01;
    double force = dt / (square * sqrt(square));
    a->vx -= x * b->mass * force;
    a->vy -= y * b->mass * force;
    a->vz -= z * b->mass * force;
    b->vx += x * a->mass * force;
    b->vy += y * a->mass * force;
    b->vz += z * a->mass * force;
}

uint64_t load_nbody(void)
{
    struct body bodies[BODIES];
    for (unsigned i = 0; i < BODIES; i++)
        bodies[i] = (struct body){1.5 * i, 2.5 - i, 0.25 * i * i, 0.1 * i, 0.3, -0.05 * i,
                                  1.0 / (1 + i)};
    for (unsigned step = 0; step < NBODY_STEPS; step++) {
        for (unsigned i = 0; i < BODIES; i++)
            for (unsigned j = i + 1; j < BODIES; j++)
                attract(&bodies[i], &bodies[j], 1e-3);
        for (unsigned i = 0; i < BODIES; i++) {
            bodies[i].x += 1e-3 * bodies[i].vx;
            bodies[i].y += 1e-3 * bodies[i].vy;
            bodies[i].z += 1e-3 * bodies[i].vz;
        }
    }
    uint64_t result = 0, bits;
    for (unsigned i = 0; i < BODIES; i++) {
        memcpy(&bits, &bodies[i].x, sizeof bits);
        result = rotate64(result, 9) ^ bits;
    }
    return result;
}

/* The exponential by its series, at many places, in long double. */

#define X87_PLACES 6000000
#define X87_TERMS 24

uint64_t load_x87(void)
{
    long double sum = 0;
    for (unsigned i = 0; i < X87_PLACES; i++) {
        long double x = (long double)(i & 1023) / 1024, term = 1, value = 1;
        for (unsigned n = 1; n <= X87_TERMS; n++) {
            term *= x / n;
            value += term;
        }
        sum += value;
    }
    uint64_t mantissa;
    memcpy(&mantissa, &sum, sizeof mantissa);
    return mantissa;
}

/*
 * A register machine with a byte an operation, which jumps from operation to
 * operation as fast interpreters do. Its program adds up a sieve's primes.
 */

#define BYTECODE_ROUNDS 600
#define SIEVE_SIZE 8192

enum operation { SET, MOVE, ADD, ADD_ONE, LOAD, STORE, LESS, JUMP, IF_ZERO, END };

struct instruction {
    uint8_t operation, a, b;
    int8_t way;
    uint32_t value;
};

/* r0 i, r1 j, r2 limit, r3 sum, r4 flag, r5 one, r6 zero */
static const struct instruction program[] = {
    {SET, 2, 0, 0, SIEVE_SIZE}, {SET, 5, 0, 0, 1}, {SET, 6, 0, 0, 0}, {SET, 0, 0, 0, 0},
    {STORE, 6, 0, 0, 0},        {ADD_ONE, 0, 0, 0, 0}, {LESS, 0, 2, 0, 0}, {IF_ZERO, 4, 0, 2, 0},
    {JUMP, 0, 0, -4, 0},        {SET, 0, 0, 0, 2},
    {LOAD, 7, 0, 0, 0},         {IF_ZERO, 7, 0, 2, 0}, {JUMP, 0, 0, 9, 0},
    {ADD, 3, 0, 0, 0},          {MOVE, 1, 0, 0, 0},    {ADD, 1, 0, 0, 0},
    {LESS, 1, 2, 0, 0},         {IF_ZERO, 4, 0, 4, 0}, {STORE, 5, 1, 0, 0}, {ADD, 1, 0, 0, 0},
    {JUMP, 0, 0, -4, 0},        {ADD_ONE, 0, 0, 0, 0}, {LESS, 0, 2, 0, 0}, {IF_ZERO, 4, 0, 2, 0},
    {JUMP, 0, 0, -14, 0},       {END, 3, 0, 0, 0},
};

static uint64_t interpret(uint8_t *memory)
{
    static const void *const labels[] = {&&set, &&move, &&add, &&add_one, &&load, &&store,
                                         &&less, &&jump, &&if_zero, &&end};
    const struct instruction *at = program;
    uint64_t r[8] = {0};
#define NEXT(n) at += (n); goto *labels[at->operation]
    NEXT(0);
set:
    r[at->a] = at->value;
    NEXT(1);
move:
    r[at->a] = r[at->b];
    NEXT(1);
add:
    r[at->a] += r[at->b];
    NEXT(1);
add_one:
    r[at->a]++;
    NEXT(1);
load:
    r[at->a] = memory[r[at->b]];
    NEXT(1);
store:
    memory[r[at->b]] = (uint8_t)r[at->a];
    NEXT(1);
less:
    r[4] = r[at->a] < r[at->b];
    NEXT(1);
jump:
    NEXT(at->way);
if_zero:
    NEXT(r[at->a] ? 1 : at->way);
end:
    return r[at->a];
#undef NEXT
}

uint64_t load_bytecode(void)
{
    static uint8_t memory[SIEVE_SIZE];
    uint64_t result = 0;
    for (unsigned i = 0; i < BYTECODE_ROUNDS; i++)
        result = result * 31 + interpret(memory);
    return result;
}

#define MEMCPY_SIZE (4u << 20)
#define MEMCPY_ROUNDS 2000

static uint8_t *from, *to;

void prepare_memcpy(void)
{
    uint64_t state = 3;
    from = bench_memory(MEMCPY_SIZE, PROT_READ | PROT_WRITE);
    to = bench_memory(MEMCPY_SIZE, PROT_READ | PROT_WRITE);
    for (unsigned i = 0; i < MEMCPY_SIZE; i += 8) {
        uint64_t word = bench_random(&state);
        memcpy(from + i, &word, sizeof word);
    }
}

uint64_t load_memcpy(void)
{
    for (unsigned i = 0; i < MEMCPY_ROUNDS; i++) {
        memcpy(to, from, MEMCPY_SIZE);
        __asm__ volatile("" : : : "memory");
        from[i] ^= to[MEMCPY_SIZE - 1 - i];
    }
    uint64_t result = 0;
    for (unsigned i = 0; i < MEMCPY_SIZE; i += 509)
        result = rotate64(result, 5) ^ to[i];
    return result;
}
