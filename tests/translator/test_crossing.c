/*
 * Instructions that lie across a page border, in loops that the interpreter and
 * the translator run side by side while the second page goes, changes its rights,
 * is another one, or is written to. They must agree on everything; and as long
 * as nothing changes, translated code is not left for the border's sake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "../unit/cpu_bench.h"
#include "translator/translator.h"

#define FIRST 0x40000u  /* the two pages */
#define SECOND 0x41000u
#define OTHER 0x61000u  /* may be mapped in place of the second */
#define AGAIN 0x60000u  /* a copy of the first */
#define HANDLER 0x3f000u
#define STACK 0x38000u
#define OTHER_TABLES 0x18000u
#define LEVEL1(tables) ((tables) + 0x3000)
#define STRETCH 960u /* whole turns of each loop */

struct shape {
    const char *name;
    int start;          /* from the border; where the crossing instruction begins, but for `before` */
    unsigned before;    /* bytes before it */
    unsigned count;
    const char *code;
    unsigned change;    /* offset in the second page of a byte that makes it another instruction */
    uint8_t other;
};

static const struct shape shapes[] = {
    /* x: add eax, 1; dec ecx; jnz x */
    { "entered from the second page", -3, 0, 10, "\x81\xc0\x01\x00\x00\x00\xff\xc9\x75\xf6", 2, 5 },
    /* x: nop; add eax, 1; dec ecx; jnz x */
    { "entered from the first page", -3, 1, 11, "\x90\x81\xc0\x01\x00\x00\x00\xff\xc9\x75\xf5", 2, 5 },
    /* x: add eax, 1; dec ecx; jz over; jmp rdx */
    { "entered through a register", -3, 0, 12, "\x81\xc0\x01\x00\x00\x00\xff\xc9\x74\x02\xff\xe2", 2, 5 },
    /* x: add eax, 1; dec ecx; jnz x, or 256 bytes before, where there is jmp x */
    { "a jump", -3, 5, 11, "\x83\xc0\x01\xff\xc9\x0f\x85\xf5\xff\xff\xff", 0, 0xfe },
    /* x: add eax, 1; mov cr3, rsi; xchg rsi, rdi; dec ecx; jnz x */
    { "address spaces", -3, 0, 16, "\x81\xc0\x01\x00\x00\x00\x0f\x22\xde\x48\x87\xf7\xff\xc9\x75\xf0", 2, 5 },
};
#define SHAPES (sizeof shapes / sizeof *shapes)

struct pair {
    struct cpu_bench *bench[2]; /* interpreted, translated */
    struct translator *translator;
    const struct shape *shape;
    uint64_t rip;
};

static void put_tables(struct cpu_bench *b, uint32_t tables)
{
    for (unsigned level = 0; level < 3; level++)
        bench_put(b, tables + level * 0x1000, (tables + (level + 1) * 0x1000) | 7, 8);
    for (unsigned i = 0; i < 512; i++)
        bench_put(b, LEVEL1(tables) + 8 * i, (uint64_t)i << 12 | 7, 8);
}

/* Makes the page at `linear` what `entry` says, in both machines. */
static void map(struct pair *p, uint32_t tables, uint32_t linear, uint64_t entry)
{
    for (unsigned i = 0; i < 2; i++)
        bench_put(p->bench[i], LEVEL1(tables) + 8 * (linear >> 12), entry, 8);
}

static void put_code(struct cpu_bench *b, const struct shape *shape)
{
    uint64_t start = (uint64_t)(SECOND + shape->start) - shape->before;
    bench_code(b, start, shape->code, shape->count);
    for (unsigned copy = 0; copy < 2; copy++) { /* the jump's other target; both may be 5 bytes further down */
        uint64_t at = start + (copy ? AGAIN - FIRST : 0);
        bench_code(b, at - 5, "\x90\x90\x90\x90\x90", 5);
        bench_code(b, at - 261, "\x90\x90\x90\x90\x90\xe9\xfb\x00\x00\x00", 10);
    }
    bench_code(b, AGAIN + (start - FIRST), shape->code, SECOND - (unsigned)start);
    bench_code(b, OTHER, shape->code + (SECOND - start), shape->count - (unsigned)(SECOND - start));
    bench_put(b, OTHER + shape->change, shape->other, 1);
}

static void set_up(struct pair *p, const struct shape *shape)
{
    p->shape = shape;
    p->rip = (uint64_t)(SECOND + shape->start) - shape->before;
    for (unsigned i = 0; i < 2; i++) {
        void *state;
        bench_setup(&state);
        struct cpu_bench *b = p->bench[i] = state;
        bench_long(b, 0);
        put_tables(b, TABLES);
        put_tables(b, OTHER_TABLES);
        bench_put(b, LEVEL1(OTHER_TABLES) + 8 * (SECOND >> 12), OTHER | 7, 8);
        b->cpu->s.efer |= EFER_NXE;
        put_code(b, shape);
        bench_code(b, HANDLER, "\xeb\xfe", 2);
        bench_gate64(b, 14, CODE64, HANDLER, 0, 0x8e);
        b->cpu->s.gpr[RIP] = b->cpu->s.gpr[RDX] = p->rip;
        b->cpu->s.gpr[RCX] = 0x7fffffff;
        b->cpu->s.gpr[RSP] = STACK;
        b->cpu->s.gpr[RSI] = OTHER_TABLES;
        b->cpu->s.gpr[RDI] = TABLES;
        cpu_restored(b->cpu);
    }
    p->translator = translator_create(p->bench[1]->engine, 4 << 20, 2);
    assert_non_null(p->translator);
}

static void tear_down(struct pair *p)
{
    translator_destroy(p->translator);
    for (unsigned i = 0; i < 2; i++)
        bench_teardown((void **)&p->bench[i]);
}

static void run(struct pair *p, unsigned count)
{
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(cpu_run(p->bench[i]->cpu, count), CPU_EXIT_BUDGET);
    assert_memory_equal(&p->bench[0]->cpu->s, &p->bench[1]->cpu->s, sizeof p->bench[0]->cpu->s);
    assert_memory_equal(p->bench[0]->memory.bytes, p->bench[1]->memory.bytes, 2 << 20);
}

/* What EAX gained in a stretch, so that it is seen that a change took place. */
static uint32_t gain(struct pair *p)
{
    uint64_t before = p->bench[1]->cpu->s.gpr[RAX];
    run(p, STRETCH);
    return (uint32_t)(p->bench[1]->cpu->s.gpr[RAX] - before);
}

/* The page fault that the second page gave, and back to the loop. */
static void expect_fault(struct pair *p, unsigned error)
{
    for (unsigned i = 0; i < 2; i++)
        p->bench[i]->cpu->s.gpr[RIP] = p->rip;
    run(p, STRETCH);
    struct cpu_bench *b = p->bench[1];
    uint64_t frame = b->cpu->s.gpr[RSP];
    assert_int_equal(b->cpu->s.gpr[RIP], HANDLER);
    assert_int_equal(b->cpu->s.cr2, SECOND);
    assert_int_equal(bench_get(b, frame, 8), error);
    assert_int_equal(bench_get(b, frame + 8, 8), SECOND + p->shape->start);
    for (unsigned i = 0; i < 2; i++) {
        p->bench[i]->cpu->s.gpr[RIP] = p->rip;
        p->bench[i]->cpu->s.gpr[RSP] = STACK;
    }
}

static bool has_spaces(const struct pair *p)
{
    return p->shape == &shapes[SHAPES - 1];
}

/* After each change the loop goes on until all is translated and linked again. */
static void changes(struct pair *p)
{
    bool spaces = has_spaces(p);
    uint32_t first = gain(p);
    for (unsigned round = 0; round < 6; round++) {
        map(p, TABLES, SECOND, OTHER | 7);
        uint32_t other = gain(p);
        if (!spaces)
            assert_int_not_equal(first, other);
        map(p, TABLES, SECOND, SECOND | 7);
        assert_int_equal(gain(p), spaces ? (uint32_t)gain(p) : first);
        map(p, TABLES, FIRST, AGAIN | 7);
        gain(p);
        map(p, TABLES, FIRST, FIRST | 7);
        gain(p);
    }
}

static void written(struct pair *p)
{
    uint32_t at = SECOND + p->shape->change;
    uint64_t original = bench_get(p->bench[0], at, 1);
    for (unsigned round = 0; round < 6; round++) {
        uint32_t before = gain(p);
        for (unsigned i = 0; i < 2; i++)
            bench_put(p->bench[i], at, round & 1 ? original : p->shape->other, 1);
        assert_int_not_equal(gain(p), before);
        /* And in the first page. */
        for (unsigned i = 0; i < 2; i++)
            bench_put(p->bench[i], SECOND - 1, bench_get(p->bench[i], SECOND - 1, 1) ^ 5, 1);
        gain(p);
        for (unsigned i = 0; i < 2; i++)
            bench_put(p->bench[i], SECOND - 1, bench_get(p->bench[i], SECOND - 1, 1) ^ 5, 1);
        gain(p);
    }
}

static void faults(struct pair *p)
{
    for (unsigned round = 0; round < 4; round++) {
        run(p, STRETCH);
        map(p, TABLES, SECOND, 0);
        expect_fault(p, 0x10);
        map(p, TABLES, SECOND, SECOND | 7);
        run(p, STRETCH);
        map(p, TABLES, SECOND, SECOND | 7 | 1ull << 63);
        expect_fault(p, 0x11);
        map(p, TABLES, SECOND, SECOND | 7);
    }
}

/* Once it is hot, the loop runs without help. */
static void stays(struct pair *p)
{
    if (has_spaces(p))
        return; /* loads of CR3 leave */
    run(p, 5000);
    struct translator_statistics before = *translator_statistics(p->translator);
    run(p, 100000);
    const struct translator_statistics *now = translator_statistics(p->translator);
    assert_true(now->entries - before.entries < 3);
    assert_true(now->searches - before.searches < 3);
    assert_int_equal(now->fallbacks, before.fallbacks);
}

static void each(void (*test)(struct pair *p))
{
    if (!translator_available())
        skip();
    for (unsigned i = 0; i < SHAPES; i++) {
        struct pair p;
        print_message("- %s\n", shapes[i].name);
        set_up(&p, &shapes[i]);
        test(&p);
        tear_down(&p);
    }
}

static void second_page_is_another(void **state)
{
    (void)state;
    each(changes);
}

static void code_is_written(void **state)
{
    (void)state;
    each(written);
}

static void second_page_faults(void **state)
{
    (void)state;
    each(faults);
}

static void loop_stays_translated(void **state)
{
    (void)state;
    each(stays);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_page_is_another), cmocka_unit_test(code_is_written),
        cmocka_unit_test(second_page_faults), cmocka_unit_test(loop_stays_translated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
