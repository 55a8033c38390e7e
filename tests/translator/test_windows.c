/*
 * Windows of translated code (src/translator/window.c) in a loop that the interpreter and
 * the translator run side by side: whatever takes away what a window was opened over, and
 * what is to be noticed of writes through it.
 */
#include "../unit/cpu_bench.h"
#include "translator/translator.h"

#define CODE_AT 0x40000u
#define OTHER_TABLES 0x18000u /* for the lower half, another page; the upper half's may differ, too */
#define UPPER_TABLES 0x20000u
#define OTHER_UPPER 0x28000u
#define LOWER 0x62000u
#define UPPER 0xffffff8000062000ull
#define SPARE_PAGE 0x66000u /* what the places become */
#define EMBEDDED 0x100u     /* in the page at LOWER: mov ebp, ...; jmp to the loop */

struct loop {
    const char *code;
    unsigned bytes, count; /* instructions */
};

struct twins {
    const struct loop *loop;
    struct cpu_bench *bench[2]; /* interpreted, translated */
    struct translator *translator;
};

/* Four levels below the entry `top` of a PML4: the first 2 MiB under it as they are. */
static void put_tables(struct cpu_bench *b, uint32_t pml4, unsigned top, uint32_t below)
{
    bench_put(b, pml4 + 8 * top, (below + 0x1000) | 7, 8);
    bench_put(b, below + 0x1000, (below + 0x2000) | 7, 8);
    bench_put(b, below + 0x2000, (below + 0x3000) | 7, 8);
    for (unsigned i = 0; i < 512; i++)
        bench_put(b, below + 0x3000 + 8 * i, (uint64_t)i << 12 | 7, 8);
}

static void map(struct twins *t, uint32_t below, uint32_t entry)
{
    for (unsigned i = 0; i < 2; i++)
        bench_put(t->bench[i], below + 0x3000 + 8 * (LOWER >> 12), entry | 7, 8);
}

/* After so many rounds, or several times as many, the interpreter has nothing to do at
 * the end of a slice. */
#define WHOLE 8
#define CODE(text) text, sizeof text - 1
/* Loops at CODE_AT. In the second one accesses of several rounds share no check, and so each
 * has a narrow window. */
static const struct loop loops[] = {
    /* inc dword [rdi]; add rax, [r8]; inc rcx; add [r9], rcx; jmp to it */
    { CODE("\xff\x07\x49\x03\x00\x48\xff\xc1\x49\x01\x09\xeb\xf3"), 5 },
    /* the same with two bswap of rdi, r8, r9 behind their use */
    { CODE("\xff\x07\x48\x0f\xcf\x48\x0f\xcf\x49\x03\x00\x49\x0f\xc8\x49\x0f\xc8\x48\xff\xc1\x49\x01\x09"
           "\x49\x0f\xc9\x49\x0f\xc9\xeb\xe1"), 11 },
};
/* inc dword [rdi]; add rax, [r8]; mov cr3, rdx; xchg rdx, rcx; jmp to it */
static const struct loop switches = { CODE("\xff\x07\x49\x03\x00\x0f\x22\xda\x48\x87\xca\xeb\xf3"), 5 };

static void set_up(struct twins *t, const struct loop *loop, bool same_upper)
{
    t->loop = loop;
    for (unsigned i = 0; i < 2; i++) {
        void *state;
        bench_setup(&state);
        struct cpu_bench *b = t->bench[i] = state;
        struct cpu_state *s = &b->cpu->s;
        bench_long(b, 0);
        put_tables(b, TABLES, 0, TABLES);
        put_tables(b, OTHER_TABLES, 0, OTHER_TABLES);
        put_tables(b, TABLES, 511, UPPER_TABLES);
        put_tables(b, OTHER_TABLES, 511, OTHER_UPPER);
        if (same_upper)
            bench_put(b, OTHER_TABLES + 8 * 511, (UPPER_TABLES + 0x1000) | 7, 8);
        bench_put(b, OTHER_TABLES + 0x3000 + 8 * (LOWER >> 12), SPARE_PAGE | 7, 8);
        bench_put(b, OTHER_UPPER + 0x3000 + 8 * (LOWER >> 12), (SPARE_PAGE + 0x1000) | 7, 8);
        for (uint32_t at = LOWER; at < SPARE_PAGE + 0x2000; at += 8)
            bench_put(b, at, 0x9e3779b97f4a7c15ull * at, 8);
        bench_code(b, CODE_AT, loop->code, loop->bytes);
        bench_code(b, LOWER + EMBEDDED, "\xbd\x01\x00\x00\x00\xe9", 6);
        bench_put(b, LOWER + EMBEDDED + 6, CODE_AT - (LOWER + EMBEDDED + 10), 4);
        s->gpr[RIP] = CODE_AT;
        s->gpr[RDI] = LOWER + EMBEDDED + 1;
        s->gpr[R8] = UPPER + 0x2008;
        s->gpr[R9] = UPPER + 0x2010;
        s->gpr[RDX] = OTHER_TABLES;
        s->gpr[RCX] = TABLES;
        cpu_restored(b->cpu);
    }
    t->translator = translator_create(t->bench[1]->engine, 4 << 20, 2);
    assert_non_null(t->translator);
    translator_sample(t->translator, 0);
}

static void tear_down(struct twins *t)
{
    translator_destroy(t->translator);
    for (unsigned i = 0; i < 2; i++)
        bench_teardown((void **)&t->bench[i]);
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void run(struct twins *t, unsigned count)
{
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(cpu_run(t->bench[i]->cpu, count), CPU_EXIT_BUDGET);
        qsort(t->bench[i]->memory.dirty, t->bench[i]->memory.dirty_count, sizeof(uint32_t), by_number);
    }
    const struct cpu_bench *a = t->bench[0], *b = t->bench[1];
    assert_memory_equal(&a->cpu->s, &b->cpu->s, sizeof a->cpu->s);
    assert_memory_equal(a->memory.bytes, b->memory.bytes, 2 << 20);
    assert_int_equal(a->memory.dirty_count, b->memory.dirty_count);
    assert_memory_equal(a->memory.dirty, b->memory.dirty, a->memory.dirty_count * sizeof(uint32_t));
}

static void run_rounds(struct twins *t, unsigned rounds)
{
    run(t, rounds * t->loop->count);
}

/* Runs the loop until its windows are open, and after each of two changes. */
static void changes(void change(struct twins *t, unsigned turn))
{
    for (unsigned i = 0; i < ARRAY_SIZE(loops); i++) {
        struct twins t;
        set_up(&t, &loops[i], true);
        run_rounds(&t, 5 * WHOLE);
        assert_true(translator_statistics(t.translator)->windows[0] > 0);
        for (unsigned turn = 0; turn < 2; turn++) {
            change(&t, turn);
            run_rounds(&t, 5 * WHOLE);
        }
        tear_down(&t);
    }
}

static void lower_mapping(struct twins *t, unsigned turn)
{
    map(t, TABLES, turn ? LOWER : SPARE_PAGE);
}

static void upper_mapping(struct twins *t, unsigned turn)
{
    for (unsigned i = 0; i < 2; i++)
        bench_put(t->bench[i], UPPER_TABLES + 0x3000 + 8 * ((LOWER >> 12) + 2),
                  (turn ? LOWER + 0x2000 : SPARE_PAGE) | 7, 8);
}

/* The windows are shut, and the TLB has nothing to open them over. */
static void mapping_after_flush(struct twins *t, unsigned turn)
{
    for (unsigned i = 0; !turn && i < 2; i++)
        mmu_flush(t->bench[i]->cpu);
    if (turn)
        map(t, TABLES, SPARE_PAGE);
}

static void pages_clean(struct twins *t, unsigned turn)
{
    (void)turn;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_not_equal(t->bench[i]->memory.dirty_count, 0);
        physmem_clean(&t->bench[i]->memory, 0);
    }
}

static void run_embedded(struct twins *t)
{
    for (unsigned i = 0; i < 2; i++)
        t->bench[i]->cpu->s.gpr[RIP] = LOWER + EMBEDDED;
    run(t, 2);
}

/* Code in the page that the loop writes to, and its last value. */
static void page_of_code(struct twins *t, unsigned turn)
{
    (void)turn;
    run_embedded(t);
    assert_int_equal(t->bench[1]->cpu->s.gpr[RBP], bench_get(t->bench[1], LOWER + EMBEDDED + 1, 4));
    run_rounds(t, 5 * WHOLE);
    run_embedded(t);
}

static void changes_are_seen(void **state)
{
    (void)state;
    changes(lower_mapping);
    changes(upper_mapping);
    changes(mapping_after_flush);
    changes(pages_clean);
    changes(page_of_code);
}

static void address_spaces_differ(void **state)
{
    (void)state;
    for (unsigned same_upper = 0; same_upper < 2; same_upper++) {
        struct twins t;
        set_up(&t, &switches, same_upper);
        for (unsigned i = 0; i < 40; i++)
            run(&t, 1 + i % 9);
        assert_true(translator_statistics(t.translator)->windows[0] > 0);
        tear_down(&t);
    }
}

/* Two pages that fight for a slot of the TLB: the loop gets windows though slices seldom
 * end there, and walks no longer; also when each access finds that its entry is gone. */
static void a_slot_is_shared(void **state)
{
    (void)state;
    for (unsigned at_once = 0; at_once < 2; at_once++) {
        struct twins t;
        set_up(&t, &loops[0], true);
        translator_sample(t.translator, at_once ? 0 : 255);
        for (unsigned i = 0; i < 2; i++) {
            bench_put(t.bench[i], TABLES + 0x2000 + 8 * (TLB_ENTRIES >> 9), (TABLES + 0x3000) | 7, 8);
            t.bench[i]->cpu->s.gpr[R9] = LOWER + TLB_ENTRIES * PAGE_BYTES + 0x20;
        }
        for (unsigned i = 0; i < 5; i++)
            run_rounds(&t, 40 * WHOLE);
        uint64_t before = translator_statistics(t.translator)->slow_paths;
        run_rounds(&t, 40 * WHOLE);
        assert_int_equal(translator_statistics(t.translator)->slow_paths, before);
        tear_down(&t);
    }
}

/* Addresses with and without a remainder, at the ends of a page that lies elsewhere than the next one, and 0:
 * each after each other, so that windows are taken and opened over one and used with the other. */
static void addresses_are_all_over(void **state)
{
    static const uint64_t place[] = {
        LOWER + 0x18, LOWER + 0x15, LOWER + 0x1b, LOWER + 0xff8, LOWER + 0xffc, LOWER + 0xffd, LOWER + 0xfff,
        LOWER + 0x1000, LOWER - 3, LOWER - 5, LOWER - 8, 0,
    };
    (void)state;
    for (unsigned opened = 0; opened < 2; opened++) {
        struct twins t;
        set_up(&t, &loops[1], true);
        map(&t, TABLES, SPARE_PAGE);
        for (unsigned k = 0; k < ARRAY_SIZE(place) * ARRAY_SIZE(place); k++)
            for (unsigned turn = 0; turn < 2; turn++) {
                for (unsigned i = 0; i < 2; i++) {
                    struct cpu *cpu = t.bench[i]->cpu;
                    if (!turn && !opened)
                        mmu_flush(cpu);
                    cpu->s.gpr[RDI] = cpu->s.gpr[R8] = place[turn ? k % ARRAY_SIZE(place) : k / ARRAY_SIZE(place)];
                }
                run_rounds(&t, WHOLE);
            }
        tear_down(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_seen),
        cmocka_unit_test(address_spaces_differ),
        cmocka_unit_test(a_slot_is_shared),
        cmocka_unit_test(addresses_are_all_over),
    };
    return translator_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
