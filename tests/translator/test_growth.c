/*
 * Ever new code, and a small code cache: a million translations (eight
 * million with GROUNDHOG_LONG=1) take no more memory than the first ones did.
 *
 * 4096 slots of code in 64 pages jump to each other at random. Between two slices
 * slots are written anew from outside; others are written by the code itself, and all
 * of it is seen at 512 linear addresses in turn.
 */
#include "../unit/cpu_bench.h"

#include <stdio.h>

#include "translator/internal.h"

#define SLOTS_START 0x100000u
#define SLOT_BYTES 64u
#define SLOTS 4096u
#define ALIASES 512u
#define DATA_AT 0x40000u
#define SLICE 3000u

struct growth {
    struct cpu_bench *bench;
    struct translator *translator;
    uint64_t random;
};

static uint32_t below(struct growth *g, uint32_t limit)
{
    g->random = g->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((g->random >> 32) * limit >> 32);
}

struct slot {
    uint8_t bytes[SLOT_BYTES];
    unsigned at, number;
};

static void add(struct slot *slot, const void *bytes, unsigned count)
{
    memcpy(slot->bytes + slot->at, bytes, count);
    slot->at += count;
}

/* A displacement to the byte `offset` of slot `to`, from behind it and `more` bytes. */
static void add_distance(struct slot *slot, unsigned to, unsigned offset, unsigned more)
{
    uint32_t from = slot->number * SLOT_BYTES + slot->at + 4 + more;
    uint32_t distance = to * SLOT_BYTES + offset - from;
    add(slot, &distance, 4);
}

/* MOV with a constant that others write, some work, a branch that may be taken, and
 * a jump. */
static void write_slot(struct growth *g, unsigned number)
{
    static const struct {
        const char *bytes;
        unsigned count;
    } work[] = {
        { "\x01\xc3", 2 },             /* addl %eax, %ebx */
        { "\x48\x8b\x0e", 3 },         /* movq (%rsi), %rcx */
        { "\x48\x89\x4e\x08", 4 },     /* movq %rcx, 8(%rsi) */
        { "\x0f\xaf\xd8", 3 },         /* imull %eax, %ebx */
        { "\x66\x0f\xfe\xc1", 4 },     /* paddd %xmm1, %xmm0 */
        { "\x31\xc1", 2 },             /* xorl %eax, %ecx */
        { "\x99", 1 },                 /* cltd */
    };
    struct slot slot = { .number = number };
    uint32_t constant = below(g, UINT32_MAX);
    add(&slot, "\xb8", 1);
    add(&slot, &constant, 4);
    for (unsigned n = below(g, 5); n; n--) {
        unsigned i = below(g, sizeof work / sizeof *work);
        add(&slot, work[i].bytes, work[i].count);
    }
    if (below(g, 20) == 0) { /* movb $..., into another slot's constant */
        add(&slot, "\xc6\x05", 2);
        add_distance(&slot, below(g, SLOTS), 1 + below(g, 4), 1);
        add(&slot, &constant, 1);
    }
    if (below(g, 3) == 0) {
        add(&slot, "\x0f", 1);
        add(&slot, &(uint8_t){ (uint8_t)(0x80 + below(g, 16)) }, 1);
        add_distance(&slot, below(g, SLOTS), 0, 0);
    }
    if (below(g, 8) == 0) { /* through a register */
        add(&slot, "\x48\x8d\x05", 3);
        add_distance(&slot, below(g, SLOTS), 0, 0);
        add(&slot, "\xff\xe0", 2);
    } else {
        add(&slot, "\xe9", 1);
        add_distance(&slot, below(g, SLOTS), 0, 0);
    }
    physmem_write(&g->bench->memory, SLOTS_START + number * SLOT_BYTES, slot.bytes, slot.at);
}

/* Pages of the process: all, and in memory. */
struct size {
    unsigned long all, resident;
};

static struct size size_now(void)
{
    struct size size = { 0, 0 };
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size.all, &size.resident), 2);
    fclose(file);
    return size;
}

/* All linear memory is the same 2 MiB. */
static void map_aliases(struct cpu_bench *b)
{
    for (unsigned i = 0; i < ALIASES; i++)
        bench_put(b, TABLES + 0x2000 + 8 * i, 0xe7, 8); /* accessed and dirty */
}

static void slice(struct growth *g)
{
    struct cpu *cpu = g->bench->cpu;
    uint64_t alias = (uint64_t)below(g, ALIASES) << 21;
    for (unsigned n = below(g, 30); n; n--)
        write_slot(g, below(g, SLOTS));
    cpu->s.gpr[RIP] = alias + SLOTS_START + below(g, SLOTS) * SLOT_BYTES;
    cpu->s.gpr[RSI] = alias + DATA_AT;
    assert_int_equal(cpu_run(cpu, SLICE), CPU_EXIT_BUDGET);
    cpu->s.gpr[RSI] = 0;
}

static void takes_no_more(void **state)
{
    struct growth g = { .random = 1 };
    uint64_t wanted = getenv("GROUNDHOG_LONG") ? 8000000 : 1000000;
    (void)state;
    bench_setup((void **)&g.bench);
    bench_long(g.bench, 0);
    map_aliases(g.bench);
    g.bench->cpu->s.cr4 |= CR4_OSFXSR;
    cpu_restored(g.bench->cpu);
    for (unsigned i = 0; i < SLOTS; i++)
        write_slot(&g, i);
    g.translator = translator_create(g.bench->engine, 1 << 20, 1);
    assert_non_null(g.translator);
    const struct translator_statistics *s = translator_statistics(g.translator);

    while (s->blocks < wanted / 4)
        slice(&g);
    struct size warm = size_now();
    uint64_t flushes = s->flushes, stale = s->stale_pages;
    size_t arena = 0;
    while (s->blocks < wanted) {
        slice(&g);
        if (g.bench->engine->old.used > arena)
            arena = g.bench->engine->old.used;
        assert_true(g.translator->at <= g.translator->write + g.translator->bytes);
    }
    struct size end = size_now();
    printf("%llu translations, %llu flushes, %llu stale pages; %lu and then %lu pages, %lu and then %lu resident; "
           "at most %zu KiB of decoded blocks\n",
           (unsigned long long)s->blocks, (unsigned long long)s->flushes, (unsigned long long)s->stale_pages,
           warm.all, end.all, warm.resident, end.resident, arena >> 10);
    assert_true(s->flushes > flushes + 10);
    assert_true(s->stale_pages > stale + 1000);
#ifndef __SANITIZE_ADDRESS__
    assert_int_equal(end.all, warm.all);
    assert_true(end.resident < warm.resident + 256); /* 1 MiB */
#endif
    translator_destroy(g.translator);
    bench_teardown((void **)&g.bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(takes_no_more) };
    return translator_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
