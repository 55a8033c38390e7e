/*
 * A random program run by two vCPUs side by side, one interpreted and one
 * translated, in slices of random length; after each slice their states must be
 * equal, now and then their memory, too. A difference is narrowed down to the
 * shortest last slice that shows it, and the way there is printed.
 *
 * A test defines struct program with at least the members `fuzz`, `at` and
 * `limit` (the code is written from `at` on), includes this file, and defines the
 * functions that are only declared here.
 */
#ifndef TESTS_FUZZ_PAIR_H
#define TESTS_FUZZ_PAIR_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "../unit/cpu_bench.h"
#include "fuzz.h"
#include "translator/internal.h"

#define MEMORY_BYTES (2u << 20)
#define SLICES_MAXIMUM 150

struct pair {
    struct cpu_bench *a, *b; /* interpreted, translated */
    struct translator *translator;
    unsigned slices;
    uint64_t budget[SLICES_MAXIMUM];
    uint64_t rip; /* at which the last slice began */
};

/* What the test defines: a vCPU before its program's start; what happens when the
 * pair is complete, and before each slice. */
static struct cpu_bench *make_bench(const struct program *program);
static void pair_made(struct pair *pair, uint64_t seed);
static void before_slice(struct pair *pair, unsigned slice);

/* Code */

static inline void put(struct program *p, const void *bytes, unsigned count)
{
    if (p->at + count <= p->limit)
        memcpy(p->at, bytes, count), p->at += count;
}

static inline void put_number(struct program *p, uint64_t value, unsigned count)
{
    put(p, &value, count);
}

static inline void put8(struct program *p, unsigned value)
{
    put_number(p, value, 1);
}

static inline void put32(struct program *p, uint32_t value)
{
    put_number(p, value, 4);
}

/* The bus */

static uint64_t pair_port_read(void *context, struct cpu *cpu, uint16_t port, unsigned bytes)
{
    (void)context, (void)cpu, (void)bytes;
    return port * 0x01010101u;
}
static void pair_port_write(void *context, struct cpu *cpu, uint16_t port, uint64_t value, unsigned bytes)
{
    (void)context, (void)port, (void)value, (void)bytes;
    if (value & 1)
        cpu_end_slice(cpu);
}
static uint64_t pair_mmio_read(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    (void)context, (void)cpu, (void)bytes;
    return address;
}
static void pair_mmio_write(void *context, struct cpu *cpu, uint64_t address, uint64_t value, unsigned bytes)
{
    (void)context, (void)cpu, (void)address, (void)value, (void)bytes;
}
static uint64_t pair_zero(void *context, struct cpu *cpu)
{
    (void)context, (void)cpu;
    return 0;
}
static void pair_ignore(void *context, struct cpu *cpu, uint64_t value)
{
    (void)context, (void)cpu, (void)value;
}
static void pair_ignore_tsc(void *context, struct cpu *cpu)
{
    (void)context, (void)cpu;
}

/* For make_bench. */
static inline void pair_bus(struct cpu_bench *b)
{
    struct cpu_bus *bus = &b->cpu->bus;
    bus->port_read = pair_port_read;
    bus->port_write = pair_port_write;
    bus->mmio_read = pair_mmio_read;
    bus->mmio_write = pair_mmio_write;
    bus->tpr_read = bus->random = pair_zero;
    bus->tpr_write = pair_ignore;
    bus->tsc_changed = pair_ignore_tsc;
}

/* Of `data_pages` pages from `data` on every sixth is read-only and every sixth not
 * present; above them nothing is, if `rest_absent`. */
static inline void pair_map_pages(struct cpu_bench *b, uint32_t data, unsigned data_pages, bool rest_absent)
{
    bench_put(b, TABLES + 0x2000, (TABLES + 0x3000) | 7, 8);
    for (unsigned i = 0; i < MEMORY_BYTES >> PAGE_SHIFT; i++) {
        uint32_t linear = i << PAGE_SHIFT, rights = 7;
        if (linear >= data && linear < data + data_pages * PAGE_BYTES)
            rights = i % 6 == 5 ? 0 : i % 6 == 3 ? 5 : 7;
        else if (linear >= data && rest_absent)
            rights = 0;
        bench_put(b, TABLES + 0x3000 + 8 * i, linear | rights, 8);
    }
}

/* Runs */

static bool state_equal(const struct pair *pair, bool memory)
{
    const struct cpu_bench *a = pair->a, *b = pair->b;
    return memcmp(&a->cpu->s, &b->cpu->s, sizeof a->cpu->s) == 0
           && (!memory || memcmp(a->memory.bytes, b->memory.bytes, MEMORY_BYTES) == 0);
}

/* The number of the slice after which the engines differ (pair->slices: none). */
static unsigned play(struct pair *pair, const struct program *program, uint64_t seed, unsigned slices)
{
    pair->a = make_bench(program);
    pair->b = make_bench(program);
    pair->translator = translator_create(pair->b->engine, 4 << 20, 1 + seed % 3);
    if (!pair->translator)
        fuzz_fail("no translator");
    if (seed % 4 == 1)
        pair->a->engine->young.size = pair->b->engine->young.size = 4096; /* they go all the time */
    if (seed % 2)
        translator_sample(pair->translator, 0);
    pair_made(pair, seed);
    for (unsigned slice = 0; slice < slices; slice++) {
        pair->rip = pair->a->cpu->s.gpr[RIP];
        before_slice(pair, slice);
        enum cpu_exit x = cpu_run(pair->a->cpu, pair->budget[slice]);
        enum cpu_exit y = cpu_run(pair->b->cpu, pair->budget[slice]);
        pair->a->ns += pair->budget[slice];
        pair->b->ns += pair->budget[slice];
        if (x != y || !state_equal(pair, slice % 8 == 7 || slice + 1 == slices))
            return slice;
        if (x != CPU_EXIT_BUDGET)
            break;
        if (slice % 10 == seed % 10)
            mmu_flush_all(pair->b->engine);
    }
    return pair->slices;
}

static void pair_close(struct pair *pair)
{
    translator_destroy(pair->translator);
    bench_teardown((void **)&pair->a);
    bench_teardown((void **)&pair->b);
}

/* Differences */

static void show_vectors(const struct cpu_state *x, const struct cpu_state *y)
{
    for (unsigned i = 0; i < 16; i++)
        if (memcmp(x->vector[i], y->vector[i], 32) != 0)
            for (unsigned k = 0; k < 4; k++)
                printf("vector %u: %016" PRIx64 " %016" PRIx64 "\n", i, load64(x->vector[i] + 8 * k),
                       load64(y->vector[i] + 8 * k));
    for (unsigned i = 0; i < 8; i++)
        if (memcmp(&x->x87[i], &y->x87[i], sizeof x->x87[i]) != 0)
            printf("x87 %u: %04x %016" PRIx64 ", %04x %016" PRIx64 "\n", i, x->x87[i].sign_exponent,
                   x->x87[i].significand, y->x87[i].sign_exponent, y->x87[i].significand);
    if (x->fsw != y->fsw || x->ftw != y->ftw || x->fcw != y->fcw || x->fip != y->fip || x->fop != y->fop
        || x->fdp != y->fdp)
        printf("fcw %04x %04x, fsw %04x %04x, ftw %04x %04x, fip %" PRIx64 " %" PRIx64 ", fop %x %x\n", x->fcw,
               y->fcw, x->fsw, y->fsw, x->ftw, y->ftw, x->fip, y->fip, x->fop, y->fop);
}

static void show(const struct pair *pair)
{
    const struct cpu_state *x = &pair->a->cpu->s, *y = &pair->b->cpu->s;
    for (unsigned i = 0; i < REGISTER_COUNT; i++)
        if (x->gpr[i] != y->gpr[i])
            printf("register %u: interpreted %" PRIx64 ", translated %" PRIx64 "\n", i, x->gpr[i], y->gpr[i]);
    if (x->rflags != y->rflags)
        printf("rflags: interpreted %" PRIx64 ", translated %" PRIx64 "\n", x->rflags, y->rflags);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        if (memcmp(&x->seg[i], &y->seg[i], sizeof x->seg[i]) != 0)
            printf("segment %u: %x %x\n", i, x->seg[i].selector, y->seg[i].selector);
    show_vectors(x, y);
    if (x->mxcsr != y->mxcsr || x->cr2 != y->cr2)
        printf("mxcsr %x %x, cr2 %" PRIx64 " %" PRIx64 "\n", x->mxcsr, y->mxcsr, x->cr2, y->cr2);
    for (unsigned i = 0; i < sizeof *x; i++)
        if (((const uint8_t *)x)[i] != ((const uint8_t *)y)[i]) {
            printf("first difference of the states at byte %u (x87 from %zu, FIP at %zu, vectors from %zu)\n", i,
                   offsetof(struct cpu_state, x87), offsetof(struct cpu_state, fip),
                   offsetof(struct cpu_state, vector));
            break;
        }
    for (uint32_t i = 0; i < MEMORY_BYTES; i++)
        if (pair->a->memory.bytes[i] != pair->b->memory.bytes[i]) {
            printf("memory at %x: %02x %02x\n", i, pair->a->memory.bytes[i], pair->b->memory.bytes[i]);
            break;
        }
}

/* The last `count` instructions before the end of `slice`, as the interpreter runs
 * them. */
static void show_way(struct pair pair, const struct program *program, uint64_t seed, unsigned slice,
                     unsigned count)
{
    uint64_t last = pair.budget[slice];
    play(&pair, program, seed, slice);
    before_slice(&pair, slice);
    for (uint64_t n = 0; n < last; n++) {
        uint64_t linear = pair.a->cpu->access[CS].base + pair.a->cpu->s.gpr[RIP];
        if (n + count > last) {
            printf("%" PRIx64 ":", linear);
            for (unsigned i = 0; i < 12; i++)
                printf(" %02x", pair.a->memory.bytes[(linear + i) & (MEMORY_BYTES - 1)]);
            printf("  sp %" PRIx64 "\n", pair.a->cpu->s.gpr[RSP]);
        }
        cpu_run(pair.a->cpu, 1);
    }
    pair_close(&pair);
}

/* Plays the program; the budgets are drawn from its generator. */
static void pair_run(struct program *program, uint64_t seed, unsigned slices, const char *name)
{
    static struct pair pair;
    pair.slices = slices;
    for (unsigned i = 0; i < slices; i++)
        pair.budget[i] = 1 + fuzz_below(&program->fuzz, fuzz_one_in(&program->fuzz, 3) ? 40 : 400);
    unsigned slice = play(&pair, program, seed, slices);
    if (getenv("FUZZ_VERBOSE")) {
        char *text = translator_report(pair.translator);
        printf("%s:\n%s", name, text);
        free(text);
    }
    if (slice < slices) {
        uint64_t whole = pair.budget[slice];
        for (uint64_t n = 1; n <= whole; n++) {
            pair_close(&pair);
            pair.budget[slice] = n;
            if (play(&pair, program, seed, slice + 1) == slice)
                break;
        }
        show_way(pair, program, seed, slice, 30);
        printf("%s: slice %u after %" PRIu64 " of %" PRIu64 " instructions, from %" PRIx64 "\n", name, slice,
               pair.budget[slice], whole, pair.rip);
        show(&pair);
        fuzz_fail("the engines differ");
    }
    pair_close(&pair);
}

#endif
