/*
 * Task switches field by field: what is saved in the old TSS and loaded from
 * the new one, in both sizes, and what else changes. Faults and gates are in
 * tests/guest/tasks.S, limits in test_borders.c. (SDM vol. 3, 8.2, 8.3, 8.6)
 */
#include "cpu_bench.h"

#define OLD 0x3200u
#define NEW 0x3400u
#define OLD_TASK 0x80u
#define NEW_TASK 0x88u
#define LOCAL 0x90u
#define DATA(n) (0xa0u + 8 * (n)) /* one for each data segment */
#define CODE 0xd0u
#define HANDLER_TASK 0xe0u

enum way { JUMP, CALL, RETURN };

/* Offset and size of a field, in TSSs of 16 and 32 bits; 0: it is not there. */
struct field {
    uint8_t narrow, wide, wide_bytes;
};
static const struct field general[8] = {
    { 18, 40, 4 }, { 20, 44, 4 }, { 22, 48, 4 }, { 24, 52, 4 },
    { 26, 56, 4 }, { 28, 60, 4 }, { 30, 64, 4 }, { 32, 68, 4 },
};
static const struct field segments[SEGMENT_COUNT] = {
    { 34, 72, 2 }, { 36, 76, 2 }, { 38, 80, 2 }, { 40, 84, 2 }, { 0, 88, 2 }, { 0, 92, 2 },
};
static const struct field ip = { 14, 32, 4 }, flags = { 16, 36, 4 }, local = { 42, 96, 2 };

static void put(struct cpu_bench *b, uint32_t tss, bool wide, const struct field *field, uint64_t value)
{
    unsigned at = wide ? field->wide : field->narrow;
    if (at)
        bench_put(b, tss + at, value, wide ? field->wide_bytes : 2);
}

static uint64_t get(struct cpu_bench *b, uint32_t tss, bool wide, const struct field *field)
{
    return bench_get(b, tss + (wide ? field->wide : field->narrow), wide ? field->wide_bytes : 2);
}

/* What the old TSS has at first: no two bytes are the same. */
static uint64_t old_bytes(unsigned at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)(0x80 + at + i) << 8 * i;
    return value;
}

static void prepare(struct cpu_bench *b, bool old_wide, bool new_wide, enum way way)
{
    struct cpu_state *s = &b->cpu->s;

    cpu_reset(b->cpu);
    bench_protected(b, 0);
    bench_descriptor(b, OLD_TASK, OLD, 0x67, old_wide ? 0x8b : 0x83);
    bench_descriptor(b, NEW_TASK, NEW, 0x67, (new_wide ? 0x89 : 0x81) | (way == RETURN ? 2 : 0));
    bench_descriptor(b, LOCAL, 0x1800, 0x7f, 0x82);
    bench_descriptor(b, CODE, 0x100, 0xfffff, RIGHTS_CODE32);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        bench_descriptor(b, DATA(i), 0x1000 * i, 0xfffff, RIGHTS_DATA32);
    for (unsigned i = 0; i < 0x70; i += 4) {
        bench_put(b, OLD + i, old_bytes(i, 4), 4);
        bench_put(b, NEW + i, 0xdddddddd, 4);
    }
    bench_segment(b, &s->tr, OLD_TASK);
    for (unsigned i = 0; i < 8; i++) {
        s->gpr[i] = 0x01010101 * (i + 1);
        put(b, NEW, new_wide, &general[i], 0x11111111 * (i + 1) + 0x7000);
    }
    for (unsigned i = R8; i <= R15; i++)
        s->gpr[i] = 0xabc0 + i;
    s->rflags = FLAG_1 | FLAG_CF | FLAG_DF;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
        s->seg[i].selector = (uint16_t)(i == CS ? CODE0 : 0x1230 + i);
        put(b, NEW, new_wide, &segments[i], i == CS ? CODE : DATA(i));
    }
    put(b, NEW, new_wide, &ip, 0x8765);
    put(b, NEW, new_wide, &flags, FLAG_1 | FLAG_ZF | FLAG_IF);
    put(b, NEW, new_wide, &local, LOCAL);
    if (new_wide) {
        bench_put(b, NEW + 28, TABLES, 4);
        bench_put(b, NEW + 100, 0xfffe, 2); /* T is clear */
    }
    s->dr[7] = 0x4ff;
    s->ldtr = (struct segment){ 0x5000, 0x1f, 0x78, 0x82 };
    bench_put(b, OLD, NEW_TASK, 2); /* the link */
    bench_put(b, 0x8001, 0, 4);
    bench_put(b, 0x8005, NEW_TASK, 2);
    bench_put(b, 0x8000, way == JUMP ? 0xea : way == CALL ? 0x9a : 0xcf, 1);
    s->dr[0] = s->dr[1] = s->dr[2] = s->dr[3] = 0x1ff000;
    if (way == RETURN)
        s->rflags |= FLAG_NT;
    cpu_restored(b->cpu);
}

static void check_saved(struct cpu_bench *b, bool wide, enum way way, uint64_t rflags)
{
    static const unsigned read_only[] = { 4, 8, 28, 100 }; /* ESP0, SS0, CR3, T: not written */
    uint64_t mask = wide ? 0xffffffff : 0xffff;

    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(get(b, OLD, wide, &general[i]), 0x01010101 * (i + 1) & mask);
    for (unsigned i = 0; i < (wide ? SEGMENT_COUNT : FS); i++) {
        assert_int_equal(get(b, OLD, wide, &segments[i]), i == CS ? CODE0 : 0x1230 + i);
        if (wide)
            assert_int_equal(bench_get(b, OLD + segments[i].wide + 2, 2), old_bytes(segments[i].wide + 2, 2));
    }
    assert_int_equal(get(b, OLD, wide, &ip), way == RETURN ? 0x8001 : 0x8007);
    assert_int_equal(get(b, OLD, wide, &flags), rflags & ~FLAG_NT & mask);
    assert_int_equal(get(b, OLD, wide, &local), old_bytes(wide ? 96 : 42, 2));
    for (unsigned i = 0; wide && i < ARRAY_SIZE(read_only); i++)
        assert_int_equal(bench_get(b, OLD + read_only[i], 4), old_bytes(read_only[i], 4));
    if (!wide)
        assert_int_equal(bench_get(b, OLD + 44, 4), old_bytes(44, 4));
}

static void check_loaded(struct cpu_bench *b, bool wide, enum way way)
{
    const struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < 8; i++) {
        uint32_t value = 0x11111111 * (i + 1) + 0x7000;
        assert_int_equal(s->gpr[i], wide ? value : 0xffff0000 | (value & 0xffff));
    }
    for (unsigned i = R8; i <= R15; i++)
        assert_int_equal(s->gpr[i], 0xabc0 + i);
    assert_int_equal(s->gpr[RIP], 0x8765);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_ZF | FLAG_IF | (way == CALL ? FLAG_NT : 0));
    for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
        if (i >= FS && !wide) {
            assert_int_equal(s->seg[i].selector, 0);
            assert_int_equal(s->seg[i].attributes, 0);
            continue;
        }
        assert_int_equal(s->seg[i].selector, i == CS ? CODE : DATA(i));
        assert_int_equal(s->seg[i].base, i == CS ? 0x100 : 0x1000 * i);
        assert_int_equal(b->cpu->access[i].base, s->seg[i].base);
    }
    assert_int_equal(s->ldtr.selector, LOCAL);
    assert_int_equal(s->ldtr.base, 0x1800);
    assert_int_equal(s->ldtr.limit, 0x7f);
    assert_int_equal(s->tr.selector, NEW_TASK);
    assert_int_equal(s->tr.base, NEW);
    assert_int_equal(s->tr.attributes, wide ? 0x8b : 0x83);
}

static void fields_are_saved_and_loaded(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 3 * 4; n++) {
        bool old_wide = n & 1, new_wide = n & 2;
        enum way way = (enum way)(n / 4);
        prepare(b, old_wide, new_wide, way);
        uint64_t rflags = s->rflags;
        bench_run(b, 1);
        check_saved(b, old_wide, way, rflags);
        check_loaded(b, new_wide, way);
        assert_int_equal(bench_get(b, GDT + NEW_TASK + 5, 1), new_wide ? 0x8b : 0x83);
        unsigned old = way == CALL ? 2 : 0;
        assert_int_equal(bench_get(b, GDT + OLD_TASK + 5, 1), (old_wide ? 0x89 : 0x81) | old);
        assert_int_equal(bench_get(b, NEW, 2), way == CALL ? OLD_TASK : 0xdddd);
        assert_true(s->cr0 & CR0_TS);
        assert_int_equal(s->dr[7], 0x4aa);
        assert_int_equal(s->cr3, 0); /* no paging: it stays */
        assert_int_equal(s->pending_debug, 0);
    }
}

/* Flags that the image has: what is reserved is dropped; VM enters virtual-8086
 * mode, T traps, and CR3 is loaded under paging. */
static void what_else_an_image_says(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    prepare(b, true, true, JUMP);
    bench_put(b, NEW + 36, 0xffffffff & ~(FLAG_VM | FLAG_TF), 4);
    bench_run(b, 1);
    assert_int_equal(s->rflags, 0x3f7fd7 & ~(FLAG_VM | FLAG_TF));
    prepare(b, true, true, JUMP);
    bench_put(b, NEW + 36, FLAG_VM | FLAG_1, 4);
    bench_run(b, 1);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->rflags, FLAG_VM | FLAG_1);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
        assert_int_equal(s->seg[i].base, (i == CS ? CODE : DATA(i)) << 4);
        assert_int_equal(s->seg[i].limit, 0xffff);
    }
    assert_int_equal(b->cpu->code_bytes, 2);
    prepare(b, true, true, JUMP);
    bench_put(b, NEW + 100, 1, 1);
    bench_run(b, 1);
    assert_int_equal(s->pending_debug, 1ull << 15);

    prepare(b, true, true, JUMP);
    bench_put(b, 0x20000, 0x87, 4); /* 4 MiB pages, one to one */
    bench_put(b, 0x21000, 0x87, 4);
    bench_put(b, NEW + 28, 0x21018, 4);
    s->cr3 = 0x20000;
    s->cr4 = CR4_PSE;
    s->cr0 |= CR0_PG;
    cpu_restored(b->cpu);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x8765);
    assert_int_equal(s->cr3, 0x21018);
}

/* The LDT must be one, present, and in the GDT: #TS in the new task. */
static void local_tables_are_checked(void **state)
{
    static const struct { unsigned selector, rights, error; } cases[] = {
        { LOCAL | 4, 0x82, LOCAL | 4 }, { LOCAL, 0x02, LOCAL }, { LOCAL, 0x89, LOCAL },
        { LOCAL, 0x92, LOCAL }, { 0x100, 0x82, 0x100 }, { LOCAL | 3, 0x82, 0 }, { 0, 0x82, 0 },
        { 2, 0x82, 0 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        prepare(b, true, true, JUMP);
        bench_gate(b, VECTOR_TS, HANDLER_TASK, 0, 0x85);
        bench_descriptor(b, LOCAL, 0x1800, 0x7f, cases[i].rights);
        put(b, NEW, true, &local, cases[i].selector);
        bench_descriptor(b, HANDLER_TASK, 0x3600, 0x67, 0x89);
        for (unsigned k = 0; k < 0x68; k += 4)
            bench_put(b, 0x3600 + k, 0, 4);
        bench_put(b, 0x3600 + 32, 0xc000, 4);
        bench_put(b, 0x3600 + 36, FLAG_1, 4);
        bench_put(b, 0x3600 + 56, 0x5000, 4);
        bench_put(b, 0x3600 + 76, CODE0, 2);
        bench_put(b, 0x3600 + 80, DATA0, 2);
        bench_run(b, 1);
        if (!cases[i].error) {
            assert_int_equal(s->gpr[RIP], 0x8765);
            assert_int_equal(s->ldtr.selector, cases[i].selector);
            assert_int_equal(segment_is_present(&s->ldtr), cases[i].selector > 3);
            continue;
        }
        assert_int_equal(s->gpr[RIP], 0xc000);
        assert_int_equal(bench_get(b, 0x4ffc, 4), cases[i].error);
        assert_int_equal(bench_get(b, 0x3600, 2), NEW_TASK);
        assert_int_equal(bench_get(b, NEW + 32, 4), 0x8765); /* it is the new task's fault */
    }
}

static const uint8_t handled[] = { VECTOR_TS, VECTOR_NP, VECTOR_SS, VECTOR_GP };

/* A task for each of the vectors above, which begins at C000h + 100h * vector. */
static void put_handlers(struct cpu_bench *b)
{
    for (unsigned i = 0; i < ARRAY_SIZE(handled); i++) {
        uint32_t tss = 0x3600 + 0x80 * i;
        bench_gate(b, handled[i], HANDLER_TASK + 8 * i, 0, 0x85);
        bench_descriptor(b, HANDLER_TASK + 8 * i, tss, 0x67, 0x89);
        for (unsigned k = 0; k < 0x68; k += 4)
            bench_put(b, tss + k, 0, 4);
        bench_put(b, tss + 32, 0xc000 + 0x100 * handled[i], 4);
        bench_put(b, tss + 36, FLAG_1, 4);
        bench_put(b, tss + 56, 0x5000, 4);
        bench_put(b, tss + 76, CODE0, 2);
        bench_put(b, tss + 80, DATA0, 2);
    }
}

/* What comes of a segment of a new task: 0, or the vector. The task runs at `cpl`. */
static unsigned want_segment(unsigned seg, unsigned rights, unsigned rpl, unsigned cpl)
{
    unsigned dpl = rights >> 5 & 3, type = rights & 0x1f;
    bool code = (type & 0x18) == 0x18, conforming = (type & 0x1c) == 0x1c, present = rights & 0x80;

    if (seg == CS && (!code || (conforming ? dpl > rpl : dpl != rpl)))
        return VECTOR_TS;
    if (seg == SS && ((type & 0x1a) != 0x12 || dpl != cpl || rpl != cpl))
        return VECTOR_TS;
    if (seg == FS && (!(type & 0x10) || (code && !(type & 2))
                      || (!conforming && dpl < (rpl > cpl ? rpl : cpl))))
        return VECTOR_TS;
    return present ? 0 : seg == SS ? VECTOR_SS : VECTOR_NP;
}

static void segments_are_checked(void **state)
{
    static const unsigned segs[] = { CS, SS, FS };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(segs) * 4096; n++) {
        unsigned rights = n & 0xff, rpl = n >> 8 & 3, seg = segs[n >> 12], cpl = n >> 10 & 3;
        if (seg == CS && cpl != rpl) /* the privilege is CS's RPL */
            continue;
        prepare(b, true, true, JUMP);
        put_handlers(b);
        bench_descriptor(b, CODE, 0x100, 0xfffff, RIGHTS_CODE32 | cpl << 5);
        bench_descriptor(b, DATA(SS), 0, 0xfffff, RIGHTS_DATA32 | cpl << 5);
        put(b, NEW, true, &segments[CS], CODE | cpl);
        put(b, NEW, true, &segments[SS], DATA(SS) | cpl);
        for (unsigned i = ES; i <= GS; i++)
            if (i != CS && i != SS)
                bench_descriptor(b, DATA(i), 0, 0xfffff, RIGHTS_DATA32 | 0x60);
        unsigned selector = seg == CS ? CODE : DATA(seg);
        bench_descriptor(b, selector, 0, 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
        put(b, NEW, true, &segments[seg], selector | rpl);
        bench_run(b, 1);
        unsigned want = want_segment(seg, rights, rpl, cpl);
        uint64_t rip = want ? 0xc000 + 0x100 * want : 0x8765;
        if (s->gpr[RIP] != rip || (want && bench_get(b, 0x4ffc, 4) != selector))
            fail_msg("segment %u, rights %02x, RPL %u, CPL %u: at %llx, error %x; wanted %llx", seg,
                     rights, rpl, cpl, (unsigned long long)s->gpr[RIP],
                     (unsigned)bench_get(b, 0x4ffc, 4), (unsigned long long)rip);
        if (want)
            continue;
        assert_int_equal(s->cpl, cpl);
        assert_int_equal(s->seg[seg].attributes & 0xff, rights | 1);
        assert_int_equal(bench_get(b, GDT + selector + 5, 1), rights | 1);
    }
}

/* The way back needs a TSS that holds the link. */
static void links_by_the_limit_of_the_tss(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned limit = 0; limit < 2; limit++) {
        prepare(b, false, true, RETURN);
        put_handlers(b);
        s->tr.limit = limit;
        bench_gate(b, VECTOR_TS, CODE0, 0xc000, 0x8e);
        s->gpr[RSP] = 0x7000;
        bench_segment(b, &s->seg[SS], DATA0);
        cpu_restored(b->cpu);
        bench_put(b, OLD, DATA0, 2); /* a bad one: then it was looked at */
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0xc000);
        assert_int_equal(bench_get(b, s->gpr[RSP], 4), limit ? DATA0 : OLD_TASK);
        assert_int_equal(bench_get(b, s->gpr[RSP] + 4, 4), 0x8000);
    }
}

/* Runs one instruction with the pointers at 0x20000, of which the first is loaded as 0x21001. */
static void run_with_pae(struct cpu_bench *b, uint64_t cr0)
{
    struct cpu_state *s = &b->cpu->s;

    s->cr3 = 0x20000;
    s->cr4 = CR4_PAE;
    s->cr0 |= CR0_PG | cr0;
    s->pdpte[0] = 0x21001;
    bench_segment(b, &s->seg[SS], DATA0);
    s->gpr[RSP] = 0x7000;
    cpu_restored(b->cpu);
    bench_run(b, 1);
}

/* With PAE, CR3 brings four pointers, whose reserved bits are looked at before the
 * switch. */
static void pointers_are_loaded_with_pae(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 3; n++) {
        prepare(b, n != 2, n != 2, JUMP); /* 16 bits: no CR3 */
        bench_gate(b, VECTOR_GP, CODE0, 0xc000, 0x8e);
        bench_put(b, 0x20000, 0x21001, 8);
        bench_put(b, 0x21000, 0x87, 8);
        bench_put(b, 0x20020, n == 0 ? 0x22001 : 0x22003, 8);
        bench_put(b, 0x22000, 0x87, 8);
        if (n != 2)
            bench_put(b, NEW + 28, 0x20020, 4);
        run_with_pae(b, 0);
        assert_int_equal(s->gpr[RIP], n == 1 ? 0xc000 : 0x8765);
        assert_int_equal(s->cr3, n == 0 ? 0x20020 : 0x20000);
        assert_int_equal(s->pdpte[0], n == 0 ? 0x22001 : 0x21001);
        assert_int_equal(s->tr.selector, n == 1 ? OLD_TASK : NEW_TASK);
    }
}

/* They are those of the space that is left when CR3 stays, whatever the table says now, and
 * when the switch fails at its last writes, which are still made there. */
static void pointers_stay(void **state)
{
    enum { BELOW = 0x24000, OTHER_TOP = 0x20020, READ_ONLY = 0x5400 };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned fails = 0; fails < 2; fails++) {
        prepare(b, true, true, CALL);
        bench_gate(b, VECTOR_PF, CODE0, 0xc000, 0x8e);
        bench_put(b, 0x20000, 0x22001, 8);
        bench_put(b, 0x21000, BELOW | 3, 8);
        for (unsigned i = 0; i < 64; i++)
            bench_put(b, BELOW + 8 * i, i << 12 | (fails && i == READ_ONLY >> 12 ? 1 : 3), 8);
        bench_put(b, OTHER_TOP, 0x22001, 8); /* maps nothing */
        bench_put(b, 0x22000, 0, 8);
        bench_put(b, NEW + 28, fails ? OTHER_TOP : 0x20000, 4);
        for (unsigned i = 0; i < 0x68; i += 4)
            bench_put(b, READ_ONLY + i, bench_get(b, NEW + i, 4), 4);
        bench_descriptor(b, NEW_TASK, READ_ONLY, 0x67, 0x89);
        run_with_pae(b, CR0_WP);
        assert_int_equal(s->gpr[RIP], fails ? 0xc000 : 0x8765);
        assert_int_equal(s->cr3, 0x20000);
        assert_int_equal(s->pdpte[0], 0x21001);
        assert_int_equal(s->tr.selector, fails ? OLD_TASK : NEW_TASK);
        assert_int_equal(s->cr2, fails ? READ_ONLY : 0);
    }
}

static int acknowledge(void *context, struct cpu *cpu)
{
    (void)context;
    cpu->interrupt_line = false;
    return 0x40;
}

/* What the new task's flags let in comes before its first instruction. */
static void events_come_with_the_new_flags(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 2; n++) {
        prepare(b, true, true, JUMP);
        bench_gate(b, n ? VECTOR_DB : 0x40, CODE0, 0xc000, 0x8e);
        put(b, NEW, true, &flags, FLAG_1 | (n ? FLAG_TF : FLAG_IF));
        put(b, NEW, true, &general[RSP], 0x5000);
        put(b, NEW, true, &segments[SS], DATA0);
        put(b, NEW, true, &segments[CS], CODE0);
        for (unsigned i = 0; i < 8; i++) {
            bench_put(b, 0x8765 + i, 0x90, 1);
            bench_put(b, 0xc000 + i, 0x90, 1);
        }
        b->cpu->bus.interrupt_acknowledge = acknowledge;
        b->cpu->interrupt_line = !n;
        s->dr[7] = 0x400; /* else each instruction is watched */
        bench_run(b, 4);
        assert_in_range(s->gpr[RIP], 0xc000, 0xc004);
        assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0x8765 + n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(fields_are_saved_and_loaded),
        BENCH_TEST(what_else_an_image_says),
        BENCH_TEST(local_tables_are_checked),
        BENCH_TEST(segments_are_checked),
        BENCH_TEST(links_by_the_limit_of_the_tss),
        BENCH_TEST(pointers_are_loaded_with_pae),
        BENCH_TEST(pointers_stay),
        BENCH_TEST(events_come_with_the_new_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
