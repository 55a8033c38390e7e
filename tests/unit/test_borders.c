/*
 * The last place that is still allowed, and the first that is not: targets of
 * far transfers and gates, descriptor tables, IDTs, and TSSs. A fault leaves
 * RIP, CS, RSP and SS of the program as they were. (SDM vol. 2: JMP, CALL, RET,
 * IRET, INT n; vol. 3: 3.5, 5.8, 6.10 to 6.14, 8.2)
 */
#include "cpu_bench.h"

#define HANDLER 0xa000u
#define STACK 0x6000u
#define INNER 0x7000u
#define POINTER 0x14000u
#define GATE SPARE2  /* 16 bytes in long mode */
#define LDT 0x80u    /* 16 bytes in long mode */
#define TARGET 0x90u /* 16 bytes */
#define NEW_TASK 0xa0u
#define NEW_TSS 0x3200u
#define NONE 0x100u

struct fault {
    unsigned vector, error; /* NONE: it succeeds */
};

static void enter(struct cpu_bench *b, bool wide, unsigned cpl)
{
    cpu_reset(b->cpu);
    if (wide)
        bench_long(b, cpl);
    else
        bench_protected(b, cpl);
    for (unsigned vector = 0; vector < 32; vector++) {
        if (wide)
            bench_gate64(b, vector, CODE64, HANDLER + 16 * vector, 0, 0x8e);
        else
            bench_gate(b, vector, CODE0, HANDLER + 16 * vector, 0x8e);
    }
    b->cpu->s.gpr[RSP] = STACK;
    b->cpu->s.gpr[RDI] = POINTER;
}

/* After one instruction or event: the fault, with all of the program saved, or RIP. */
static void check(struct cpu_bench *b, const char *what, struct fault want, uint64_t rip)
{
    const struct cpu_state *s = &b->cpu->s;
    bool wide = cpu_long_mode(b->cpu);
    unsigned size = wide ? 8 : 4;
    bool faulted = s->gpr[RIP] >= HANDLER && s->gpr[RIP] < HANDLER + 16 * 32;
    struct fault seen = { NONE, 0 };

    if (faulted)
        seen = (struct fault){ (unsigned)(s->gpr[RIP] - HANDLER) / 16,
                               (unsigned)bench_get(b, s->gpr[RSP], size) };
    if (seen.vector != want.vector || seen.error != want.error || (!faulted && s->gpr[RIP] != rip))
        fail_msg("%s: vector %x error %x at %llx, wanted %x %x (%llx)", what, seen.vector,
                 seen.error, (unsigned long long)s->gpr[RIP], want.vector, want.error,
                 (unsigned long long)rip);
    if (!faulted)
        return;
    uint16_t cs = (uint16_t)bench_get(b, s->gpr[RSP] + 2 * size, 2);
    assert_int_equal(bench_get(b, s->gpr[RSP] + size, size), 0x8000);
    assert_true(cs == CODE0 || cs == CODE3 || cs == CODE64 || cs == CODE64_3);
    if (wide || (cs & 3)) {
        assert_int_equal(bench_get(b, s->gpr[RSP] + 4 * size, size), STACK);
        assert_int_equal(bench_get(b, s->gpr[RSP] + 5 * size, 2), cs & 3 ? DATA3 : DATA64);
    } else {
        assert_int_equal(s->gpr[RSP], STACK - 4 * size);
    }
}

/* Targets in code segments with a limit */

enum way { JMP, CALL, JMP_MEMORY, CALL_MEMORY, JMP_GATE, CALL_GATE, CALL_INNER, RETF, RETF_OUTER,
           IRET, IRET_OUTER, INT, INT_INNER, INTERRUPT, TASK_JMP, WAYS };
static const char *const way_names[] = {
    "jmp", "call", "jmp m16:32", "call m16:32", "jmp to a gate", "call of a gate",
    "call of an inner gate", "retf", "retf outwards", "iret", "iret outwards", "int", "int inwards",
    "interrupt", "jmp to a task",
};

static bool is_inner(enum way way)
{
    return way == CALL_INNER || way == INT_INNER || way == INTERRUPT;
}

static unsigned privilege_before(enum way way)
{
    return way == RETF_OUTER || way == IRET_OUTER || way == TASK_JMP ? 0 : 3;
}

static unsigned privilege_behind(enum way way)
{
    return is_inner(way) || way == TASK_JMP ? 0 : 3;
}

static void put_task(struct cpu_bench *b, uint32_t eip, unsigned cs, unsigned ss)
{
    for (unsigned i = 0; i < 104; i += 4)
        bench_put(b, NEW_TSS + i, 0, 4);
    bench_put(b, NEW_TSS + 32, eip, 4);
    bench_put(b, NEW_TSS + 36, FLAG_1, 4);
    bench_put(b, NEW_TSS + 40 + 4 * RSP, STACK, 4);
    bench_put(b, NEW_TSS + 76, cs, 4);
    bench_put(b, NEW_TSS + 80, ss, 4);
    bench_descriptor(b, NEW_TASK, NEW_TSS, 0x67, 0x89);
    bench_descriptor(b, TASK, TSS, 0x67, 0x8b);
}

static void put_way(struct cpu_bench *b, enum way way, uint32_t offset)
{
    static const char *const codes[WAYS] = {
        "\xea", "\x9a", "\xff\x2f", "\xff\x1f", "\xea", "\x9a", "\x9a", "\xcb", "\xcb", "\xcf",
        "\xcf", "\xcd\x40", "\xcd\x40", "\x90", "\xea",
    };
    unsigned rpl = privilege_behind(way), selector = TARGET | rpl;
    bool gate = way >= JMP_GATE && way <= CALL_INNER;
    uint64_t frame[] = { offset, selector, FLAG_1, 0x5000, DATA3 };

    bench_put(b, 0x8001, gate || way == TASK_JMP ? 0x55555555 : offset, 4);
    bench_put(b, 0x8005, gate ? GATE : way == TASK_JMP ? NEW_TASK : selector, 2);
    bench_code(b, 0x8000, codes[way], (unsigned)strlen(codes[way]));
    bench_put(b, POINTER, offset, 4);
    bench_put(b, POINTER + 4, selector, 2);
    bench_put(b, GDT + GATE, (offset & 0xffff) | (uint64_t)selector << 16 | 0xecull << 40
                                 | (uint64_t)(offset >> 16) << 48, 8);
    bench_gate(b, 0x40, selector, offset, 0xee);
    bool iret = way == IRET || way == IRET_OUTER;
    for (unsigned i = 0, at = STACK; i < 5; i++) {
        if (i == 2 && !iret)
            continue;
        bench_put(b, at, frame[i], 4);
        at += 4;
    }
    put_task(b, offset, selector, DATA0);
}

static void targets_by_limit(void **state)
{
    static const uint32_t limits[] = { 0xcfff, 0xfffe, 0x1cfff, 0x5a5a5fff, 0xa5a5afff };
    struct cpu_bench *b = *state;

    for (unsigned n = 0; n < WAYS * 2 * ARRAY_SIZE(limits); n++) {
        enum way way = (enum way)(n % WAYS);
        unsigned beyond = n / WAYS & 1, dpl = privilege_behind(way);
        uint32_t limit = limits[n / WAYS / 2];
        enter(b, false, privilege_before(way));
        bool pages = limit > 0xfffff;
        bench_descriptor(b, TARGET, 0, pages ? limit >> 12 : limit,
                         0x9b | SEGMENT_DB | dpl << 5 | (pages ? SEGMENT_G : 0));
        put_way(b, way, limit + beyond);
        if (way == INTERRUPT)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct fault want = { beyond ? VECTOR_GP : NONE, way == INTERRUPT && beyond };
        if (way == TASK_JMP && beyond) { /* of the new task, by its stack */
            assert_int_equal(b->cpu->s.gpr[RIP], HANDLER + 16 * VECTOR_GP);
            assert_int_equal(bench_get(b, STACK - 12, 4), limit + 1);
            continue;
        }
        check(b, way_names[way], want, limit);
        if (beyond)
            continue;
        assert_int_equal(b->cpu->s.cpl, dpl);
        assert_int_equal(b->cpu->s.seg[CS].selector, TARGET | dpl);
    }
}

/* No room for what is pushed: #SS, before the target's limit is looked at, and
 * nothing of RSP is changed. */
static void stacks_without_room(void **state)
{
    static const enum way ways[] = { CALL, CALL_MEMORY, CALL_GATE, INT };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(ways) * 2; n++) {
        enum way way = ways[n / 2];
        enter(b, false, 3);
        bench_descriptor(b, TARGET, 0, 0xcfff, 0xfb | SEGMENT_DB);
        bench_descriptor(b, SPARE, 0, STACK - 5 - 4 * (n & 1), 0xf7 | SEGMENT_DB); /* expand-down */
        bench_segment(b, &s->seg[SS], SPARE | 3);
        cpu_restored(b->cpu);
        put_way(b, way, n & 1 ? 0xcfff : 0xd000);
        if (n & 1) { /* 8 bytes: enough for CALL */
            bench_run(b, 1);
            assert_int_equal(s->gpr[RIP], way == INT ? HANDLER + 16 * VECTOR_SS : 0xcfff);
            continue;
        }
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], HANDLER + 16 * VECTOR_SS);
        assert_int_equal(bench_get(b, INNER - 24, 4), 0);
        assert_int_equal(bench_get(b, INNER - 20, 4), 0x8000);
        assert_int_equal(bench_get(b, INNER - 8, 4), STACK);
        assert_int_equal(bench_get(b, INNER - 4, 4), SPARE | 3);
    }
}

/* Canonical borders of 64-bit targets */

static void put_wide(struct cpu_bench *b, enum way way, uint64_t offset)
{
    static const char *const codes[WAYS] = {
        [JMP_MEMORY] = "\x48\xff\x2f", [CALL_MEMORY] = "\x48\xff\x1f", [JMP_GATE] = "\xff\x2f",
        [CALL_GATE] = "\xff\x1f", [CALL_INNER] = "\xff\x1f", [RETF] = "\x48\xcb",
        [RETF_OUTER] = "\x48\xcb", [IRET] = "\x48\xcf", [IRET_OUTER] = "\x48\xcf",
        [INT] = "\xcd\x40", [INT_INNER] = "\xcd\x40", [INTERRUPT] = "\x90",
    };
    unsigned rpl = privilege_behind(way), selector = TARGET | rpl;
    bool gate = way >= JMP_GATE && way <= CALL_INNER;
    bool iret = way == IRET || way == IRET_OUTER;
    uint64_t frame[] = { offset, selector, FLAG_1, 0x5000, DATA3 };

    bench_code(b, 0x8000, codes[way], (unsigned)strlen(codes[way]));
    bench_put(b, POINTER, gate ? 0x55555555 : offset, 8);
    bench_put(b, POINTER + (gate ? 4 : 8), gate ? GATE : selector, 2);
    bench_put(b, GDT + GATE, (offset & 0xffff) | (uint64_t)selector << 16 | 0xecull << 40
                                 | (offset >> 16 & 0xffff) << 48, 8);
    bench_put(b, GDT + GATE + 8, offset >> 32, 8);
    bench_gate64(b, 0x40, selector, offset, 0, 0xee);
    for (unsigned i = 0, at = STACK; i < 5; i++) {
        if (i == 2 && !iret)
            continue;
        bench_put(b, at, frame[i], 8);
        at += 8;
    }
}

static void targets_by_canonical_form(void **state)
{
    static const struct { uint64_t place; bool good; } places[] = {
        { 0x7fffffffffff, true }, { 0x800000000000, false }, { 0xffff7fffffffffff, false },
        { 0xffff800000000000, true }, { 0x0100000000008100, false }, { 0x123458100, true },
    };
    struct cpu_bench *b = *state;

    for (unsigned n = 0; n < WAYS * ARRAY_SIZE(places); n++) {
        enum way way = (enum way)(n % WAYS);
        uint64_t place = places[n / WAYS].place;
        bool good = places[n / WAYS].good;
        unsigned dpl = privilege_behind(way);
        if (way < JMP_MEMORY || way == TASK_JMP)
            continue;
        enter(b, true, privilege_before(way));
        bench_descriptor(b, TARGET, 0, 0, 0x9b | SEGMENT_L | dpl << 5);
        put_wide(b, way, place);
        if (way == INTERRUPT)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct fault want = { good ? NONE : VECTOR_GP, way == INTERRUPT && !good };
        check(b, way_names[way], want, place);
        if (good)
            assert_int_equal(b->cpu->s.cpl, dpl);
    }
}

/* From 64-bit code to code of compatibility mode its limit counts. */
static void compatibility_targets_by_limit(void **state)
{
    static const enum way ways[] = { JMP_MEMORY, CALL_MEMORY, RETF, IRET };
    struct cpu_bench *b = *state;

    for (unsigned n = 0; n < ARRAY_SIZE(ways) * 2; n++) {
        enum way way = ways[n / 2];
        enter(b, true, 3);
        bench_descriptor(b, TARGET, 0, 0xcfff, 0xfb | SEGMENT_DB);
        put_wide(b, way, 0xcfff + (n & 1));
        bench_run(b, 1);
        struct fault want = { n & 1 ? VECTOR_GP : NONE, 0 };
        check(b, way_names[way], want, 0xcfff);
    }
}

/* Near branches: the limit of CS, or the canonical form; RSP and rCX stay. */
static void near_branches_by_limit(void **state)
{
    /* to CX's target: relative ones have it as their last 4 bytes or 1 */
    static const struct { const char *code; uint8_t length, relative; bool wide; } forms[] = {
        { "\xe9\0\0\0\0", 5, 4, false }, { "\x0f\x84\0\0\0\0", 6, 4, false },
        { "\xe8\0\0\0\0", 5, 4, false }, { "\xeb\0", 2, 1, false }, { "\x74\0", 2, 1, false },
        { "\xe2\0", 2, 1, false },          { "\xe1\0", 2, 1, false }, { "\xff\xe0", 2, 0, true },
        { "\xff\xd0", 2, 0, true },         { "\xff\x27", 2, 0, true }, { "\xff\x17", 2, 0, true },
        { "\xc3", 1, 0, true },             { "\xc2\x08\0", 3, 0, true },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(forms) * 4; n++) {
        bool wide = n & 1, bad = n & 2;
        unsigned form = n / 4, length = forms[form].length, relative = forms[form].relative;
        uint64_t target = wide ? (bad ? 0x800000000000 : 0x7fffffffffff) : bad ? 0x8051 : 0x8050;
        if (wide && !forms[form].wide)
            continue;
        enter(b, wide, 3);
        s->seg[CS].limit = 0x8050;
        s->gpr[RCX] = 5;
        s->gpr[RAX] = target;
        s->rflags |= FLAG_ZF;
        bench_put(b, POINTER, target, 8);
        bench_put(b, STACK, target, 8);
        bench_code(b, 0x8000, forms[form].code, length);
        if (relative)
            bench_put(b, 0x8000 + length - relative, target - 0x8000 - length, relative);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        check(b, "near branch", (struct fault){ bad ? VECTOR_GP : NONE, 0 }, target);
        if (bad)
            assert_int_equal(s->gpr[RCX], 5);
    }
}

/* All of an instruction must lie within the limit: its last byte may be the last. */
static void code_by_limit(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 2 * 2 * 6; n++) {
        bool crossing = n & 1, alone = n & 2;
        unsigned room = n / 4;
        uint64_t rip = crossing ? 0x8ffe : 0x8000;
        enter(b, false, 3);
        bench_code(b, rip - 2, "\x90\x90\xb8\x11\x22\x33\x44\x90", 8); /* NOPs, MOV eax: 5 bytes */
        s->seg[CS].limit = (uint32_t)rip + room - 1;
        s->gpr[RIP] = alone ? rip : rip - 2;
        s->gpr[RAX] = 0;
        cpu_restored(b->cpu);
        bench_run(b, alone ? 1 : 3);
        if (room >= 5) {
            assert_int_equal(s->gpr[RIP], rip + 5);
            assert_int_equal(s->gpr[RAX], 0x44332211);
            continue;
        }
        assert_int_equal(s->gpr[RIP], HANDLER + 16 * VECTOR_GP);
        assert_int_equal(bench_get(b, INNER - 24, 4), 0);
        assert_int_equal(bench_get(b, INNER - 20, 4), rip);
        assert_int_equal(s->gpr[RAX], 0);
    }
}

/* Real mode: CS's limit stays whatever it is. */
static void real_mode_targets_by_limit(void **state)
{
    static const char *const codes[] = { "\x66\xea", "\x66\x9a", "\x66\xcb", "\x66\xcf" };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(codes) * 4; n++) {
        uint32_t limit = n & 2 ? 0x1ffff : 0xffff, offset = limit + (n & 1);
        cpu_reset(b->cpu);
        for (unsigned vector = 0; vector < 32; vector++)
            bench_put(b, 4 * vector, HANDLER + 16 * vector, 4);
        s->seg[CS].base = s->seg[CS].selector = 0;
        s->seg[CS].limit = limit;
        s->gpr[RSP] = STACK;
        s->gpr[RIP] = 0x8000;
        bench_code(b, 0x8000, codes[n / 4], 2);
        bench_put(b, 0x8002, offset, 4);
        bench_put(b, 0x8006, 0x10, 2);
        bench_put(b, STACK, offset, 4);
        bench_put(b, STACK + 4, 0x10, 4);
        bench_put(b, STACK + 8, FLAG_1, 4);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        if (n & 1) {
            assert_int_equal(s->gpr[RIP], HANDLER + 16 * VECTOR_GP);
            assert_int_equal(s->gpr[RSP], STACK - 6);
            assert_int_equal(bench_get(b, STACK - 6, 4), 0x8000);
        } else {
            assert_int_equal(s->gpr[RIP], limit);
            assert_int_equal(s->seg[CS].base, 0x100);
            assert_int_equal(s->seg[CS].limit, limit);
        }
    }
}

/* RSM can leave real mode a CS that is not present, of 32 bits: a transfer makes it
 * one of 16. */
static void real_mode_code_that_was_not_present(void **state)
{
    static const char *const codes[] = { "\xea", "\x9a", "\xcb", "\xcf", "\xcd" };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(codes); n++) {
        cpu_reset(b->cpu);
        s->seg[CS] = (struct segment){ 0, 0xffff, 0, 0x1b | SEGMENT_DB };
        s->gpr[RSP] = STACK;
        s->gpr[RIP] = 0x8000;
        bench_code(b, 0x8000, codes[n], 1);
        bench_put(b, 0x8001, n == 4 ? 0x40 : 0x9000, 4);
        bench_put(b, 0x8005, 0x10, 2);
        bench_put(b, STACK, 0x9000, 4);
        bench_put(b, STACK + 4, 0x10, 4);
        bench_put(b, STACK + 8, FLAG_1, 4);
        bench_put(b, 4 * 0x40, 0x00109000, 4);
        cpu_restored(b->cpu);
        assert_int_equal(b->cpu->code_bytes, 4);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9000);
        assert_int_equal(s->seg[CS].base, 0x100);
        assert_int_equal(s->seg[CS].attributes, 0x93);
        assert_int_equal(b->cpu->code_bytes, 2);
    }
}

/* Tables */

/* A vector's gate must lie wholly inside the IDT: #GP with the gate as error
 * code, whatever lies behind the limit. */
static void gates_by_the_limit_of_the_idt(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 2 * 2 * 2; n++) {
        bool wide = n & 4, external = n & 1, missing = n & 2;
        enter(b, wide, 3);
        if (wide)
            bench_gate64(b, 0x40, CODE64, 0xc000, 0, 0xee);
        else
            bench_gate(b, 0x40, CODE0, 0xc000, 0xee);
        s->idtr.limit = (wide ? 0x410 : 0x208) - 1 - missing;
        bench_code(b, 0x8000, "\xcd\x40", 2);
        if (external)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct fault want = { NONE, 0 };
        if (missing)
            want = (struct fault){ VECTOR_GP, 0x40 * 8 + 2 + external };
        check(b, wide ? "64-bit gate" : "gate", want, 0xc000);
    }
    /* The page behind the limit is not there. */
    enter(b, true, 3);
    s->idtr.base = 0x200000 - 0x400;
    s->idtr.limit = 0x3ff;
    physmem_write(&b->memory, 0x200000 - 0x400, physmem_host(&b->memory, IDT >> 12), 0x400);
    bench_code(b, 0x8000, "\xcd\xff", 2);
    bench_run(b, 1);
    struct fault want = { VECTOR_GP, 0xff * 8 + 2 };
    check(b, "last vector", want, 0);
    /* Real mode's table of vectors. */
    for (unsigned n = 0; n < 2; n++) {
        cpu_reset(b->cpu);
        for (unsigned vector = 0; vector < 32; vector++)
            bench_put(b, 4 * vector, HANDLER + 16 * vector, 4);
        bench_put(b, 4 * 0x40, 0xc000, 4);
        s->idtr.limit = 0x103 - n;
        s->seg[CS].base = s->seg[CS].selector = 0;
        s->gpr[RSP] = STACK;
        s->gpr[RIP] = 0x8000;
        bench_code(b, 0x8000, "\xcd\x40", 2);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], n ? HANDLER + 16 * VECTOR_GP : 0xc000);
        assert_int_equal(bench_get(b, STACK - 6, 2), n ? 0x8000 : 0x8002);
        assert_int_equal(s->gpr[RSP], STACK - 6);
    }
}

enum reader { READ_DATA, READ_STACK, READ_CODE, READ_TASK, READ_LDT, READ_GATE, READ_INNER_STACK,
              READERS };
static const char *const reader_names[] = { "mov fs", "mov ss", "call", "ltr", "lldt", "call gate",
                                            "inner stack" };

/* The table ends `left` bytes behind the selector's beginning; `size` are needed. */
static void read_at_the_end(struct cpu_bench *b, enum reader reader, bool wide, bool local,
                            unsigned left)
{
    static const char *const codes[] = { "\x8e\xe0", "\x8e\xd0", "\xff\x1f", "\x0f\x00\xd8",
                                         "\x0f\x00\xd0", "\xff\x1f", "\xcd\x40" };
    struct cpu_state *s = &b->cpu->s;
    bool system = reader == READ_TASK || reader == READ_LDT;
    unsigned size = wide && (system || reader == READ_GATE) ? 16 : 8;
    unsigned cpl = system || reader == READ_STACK ? 0 : 3;
    unsigned at = local ? 0x48 : TARGET, selector = at | (local ? SELECTOR_TI : 0);
    uint64_t table = local ? 0x1800 : GDT;

    enter(b, wide, cpl);
    bench_put(b, GDT + TARGET, 0, 8);
    static const unsigned rights[] = { 0xf3, 0x93 | SEGMENT_DB, 0xfb, 0x89, 0x82, 0xec, 0x93 };
    bench_descriptor(b, TARGET, reader == READ_CODE ? 0 : TSS, 0xffff,
                     rights[reader] | (reader == READ_CODE ? wide ? SEGMENT_L : SEGMENT_DB : 0));
    if (reader == READ_GATE)
        bench_put(b, GDT + TARGET, 0xc000 | (wide ? CODE64 : CODE0) << 16 | 0xecull << 40, 8);
    bench_put(b, table + at, bench_get(b, GDT + TARGET, 8), 8);
    bench_put(b, table + at + 8, 0, 8);
    s->ldtr = (struct segment){ 0x1800, 0x7f, LDT, 0x82 };
    if (local)
        s->ldtr.limit = at + left - 1;
    else
        s->gdtr.limit = (uint16_t)(at + left - 1);
    s->gpr[RAX] = selector;
    bench_put(b, POINTER, 0xc000, 4);
    bench_put(b, POINTER + 4, selector, 2);
    if (reader == READ_INNER_STACK) {
        bench_put(b, TSS + 8 + 8, selector | 1, 4);
        bench_put(b, TSS + 4 + 8, INNER, 4);
        bench_descriptor(b, SPARE, 0, 0xfffff, RIGHTS_CODE32 | 0x20);
        bench_descriptor(b, TARGET, 0, 0xffff, 0x93 | 0x20);
        bench_put(b, table + at, bench_get(b, GDT + TARGET, 8), 8);
        bench_gate(b, 0x40, SPARE | 1, 0xc000, 0xee);
    }
    bench_code(b, 0x8000, codes[reader], 3);
    bench_run(b, 1);
    bool jumps = reader == READ_CODE || reader == READ_GATE || reader == READ_INNER_STACK;
    bool in_gdt_only = system && local;
    struct fault want = { NONE, 0 };
    if (left < size || in_gdt_only)
        want = (struct fault){ reader == READ_INNER_STACK ? VECTOR_TS : VECTOR_GP, selector };
    check(b, reader_names[reader], want, jumps ? 0xc000 : system ? 0x8003 : 0x8002);
}

static void descriptors_by_the_limit_of_their_table(void **state)
{
    for (unsigned n = 0; n < READERS * 4; n++) {
        enum reader reader = (enum reader)(n / 4);
        bool wide = n & 1, local = n & 2;
        if (wide && reader == READ_INNER_STACK)
            continue;
        for (unsigned left = 1; left <= 16; left++)
            read_at_the_end(*state, reader, wide, local, left);
    }
}

/* Without an LDT no selector of it is any good; the queries only say so. */
static void without_local_table(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    enter(b, false, 3);
    s->ldtr = (struct segment){ GDT, 0xffff, 0, 0 };
    s->gpr[RAX] = DATA3 | SELECTOR_TI;
    bench_code(b, 0x8000, "\x8e\xe0", 2);
    bench_run(b, 1);
    check(b, "mov fs", (struct fault){ VECTOR_GP, (DATA3 & 0xfffc) | SELECTOR_TI }, 0);
    enter(b, false, 3);
    s->rflags = FLAG_1 | FLAG_ZF;
    bench_code(b, 0x8000, "\x0f\x02\xd8", 3);
    s->gpr[RBX] = 0x5555;
    cpu_restored(b->cpu);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x8003);
    assert_int_equal(s->gpr[RBX], 0x5555);
    assert_false(flags_to_rflags(b->cpu) & FLAG_ZF);
}

/* Task state segments */

/* The TSS must hold the inner stack that is asked for: all types of it. */
static void inner_stacks_by_the_limit_of_the_tss(void **state)
{
    static const struct { bool wide; unsigned type, cpl, ist, last; } cases[] = {
        { false, 0x8b, 0, 0, 9 }, { false, 0x8b, 1, 0, 17 }, { false, 0x8b, 2, 0, 25 },
        { false, 0x83, 0, 0, 5 }, { false, 0x83, 1, 0, 9 }, { false, 0x83, 2, 0, 13 },
        { true, 0x8b, 0, 0, 11 }, { true, 0x8b, 1, 0, 19 }, { true, 0x8b, 2, 0, 27 },
        { true, 0x8b, 0, 1, 0x2b }, { true, 0x8b, 0, 2, 0x33 }, { true, 0x8b, 1, 7, 0x5b },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 2; n++) {
        unsigned cpl = cases[n / 2].cpl, ist = cases[n / 2].ist;
        bool wide = cases[n / 2].wide, missing = n & 1, word = cases[n / 2].type == 0x83;
        enter(b, wide, 3);
        bench_descriptor(b, SPARE, 0, 0xfffff, (wide ? RIGHTS_CODE64 : RIGHTS_CODE32) | cpl << 5);
        bench_descriptor(b, TARGET, 0, 0xfffff, RIGHTS_DATA32 | cpl << 5);
        s->tr.attributes = (uint16_t)cases[n / 2].type;
        s->tr.limit = cases[n / 2].last - missing;
        for (unsigned i = 0; i < 104; i++)
            bench_put(b, TSS + i, 0, 1);
        uint64_t at = TSS + cases[n / 2].last - (wide ? 7 : word ? 3 : 5);
        bench_put(b, at, 0x4800, wide ? 8 : 2);
        if (!wide)
            bench_put(b, at + (word ? 2 : 4), TARGET | cpl, 2);
        if (wide)
            bench_gate64(b, 0x40, SPARE, 0xc000, ist, 0xee);
        else
            bench_gate(b, 0x40, SPARE, 0xc000, 0xee);
        /* #TS by a gate of the same privilege: no stack of the TSS. */
        bench_descriptor(b, GATE, 0, 0xfffff, (wide ? RIGHTS_CODE64 : RIGHTS_CODE32) | 0x60);
        if (wide)
            bench_gate64(b, VECTOR_TS, GATE | 3, HANDLER + 16 * VECTOR_TS, 0, 0x8e);
        else
            bench_gate(b, VECTOR_TS, GATE | 3, HANDLER + 16 * VECTOR_TS, 0x8e);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        bench_run(b, 1);
        if (missing) {
            assert_int_equal(s->gpr[RIP], HANDLER + 16 * VECTOR_TS);
            assert_int_equal(bench_get(b, s->gpr[RSP], 4), TASK);
            continue;
        }
        assert_int_equal(s->gpr[RIP], 0xc000);
        assert_int_equal(s->cpl, cpl);
        assert_int_equal(s->gpr[RSP], 0x4800 - (wide ? 40 : 20));
    }
}

/* An inner stack without room for all that is pushed: #SS with its selector. One
 * that is misaligned is none of the program's alignment checks. */
static void inner_stacks_without_room(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 3 * 3 * 2 * 2; n++) {
        unsigned cpl = n % 3, way = n / 3 % 3, missing = n / 9 & 1; /* ways: INT, interrupt, CALL */
        bool aligned = n / 18;
        unsigned bytes = way == 2 ? 16 : 20, top = 0x4800 + !aligned;
        enter(b, false, 3);
        s->cr0 |= CR0_AM;
        s->rflags |= FLAG_AC;
        bench_descriptor(b, SPARE, 0, 0xfffff, RIGHTS_CODE32 | cpl << 5);
        bench_descriptor(b, TARGET, 0, top - bytes - 1 + missing, 0x97 | SEGMENT_DB | cpl << 5);
        bench_put(b, TSS + 4 + 8 * cpl, top, 4);
        bench_put(b, TSS + 8 + 8 * cpl, TARGET | cpl, 4);
        bench_gate(b, 0x40, SPARE, 0xc000, 0xee);
        bench_put(b, GDT + GATE, 0xc000 | SPARE << 16 | 0xecull << 40, 8);
        bench_code(b, 0x8000, way == 2 ? "\x9a\0\0\0\0\x68\0" : "\xcd\x40", way == 2 ? 7 : 2);
        bench_descriptor(b, NEW_TASK, 0, 0xfffff, RIGHTS_CODE32 | 0x60); /* #SS on the stack of now */
        bench_gate(b, VECTOR_SS, NEW_TASK | 3, HANDLER + 16 * VECTOR_SS, 0x8e);
        cpu_restored(b->cpu);
        if (way == 1)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        if (missing) {
            assert_int_equal(s->gpr[RIP], HANDLER + 16 * VECTOR_SS);
            assert_int_equal(bench_get(b, s->gpr[RSP], 4), TARGET | (way == 1));
            assert_int_equal(s->gpr[RSP], STACK - 16);
        } else {
            assert_int_equal(s->gpr[RIP], 0xc000);
            assert_int_equal(s->cpl, cpl);
            assert_int_equal(s->gpr[RSP], top - bytes);
        }
    }
}

/* What a task switch demands of both TSSs. */
static void task_switches_by_limit(void **state)
{
    static const struct { unsigned old_type, old_limit, new_type, new_limit; struct fault want; }
    cases[] = {
        { 0x8b, 0x5f, 0x89, 0x67, { NONE, 0 } },
        { 0x8b, 0x5e, 0x89, 0x67, { VECTOR_TS, TASK } },
        { 0x8b, 0x67, 0x89, 0x66, { VECTOR_TS, NEW_TASK } },
        { 0x83, 0x29, 0x89, 0x67, { NONE, 0 } },
        { 0x83, 0x28, 0x89, 0x67, { VECTOR_TS, TASK } },
        { 0x8b, 0x67, 0x81, 0x2b, { NONE, 0 } },
        { 0x8b, 0x67, 0x81, 0x2a, { VECTOR_TS, NEW_TASK } },
        { 0x83, 0x2b, 0x81, 0x2b, { NONE, 0 } },
        { 0x8b, 0x67, 0x8b, 0x67, { VECTOR_GP, NEW_TASK } }, /* busy */
        { 0x8b, 0x67, 0x83, 0x67, { VECTOR_GP, NEW_TASK } },
        { 0x8b, 0x67, 0x09, 0x67, { VECTOR_NP, NEW_TASK } },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(cases); n++) {
        bool word = (cases[n].new_type & 8) == 0;
        enter(b, false, 0);
        put_task(b, 0xc000, CODE0, DATA0);
        if (word) {
            for (unsigned i = 0; i < 44; i++)
                bench_put(b, NEW_TSS + i, 0, 1);
            bench_put(b, NEW_TSS + 14, 0xc000, 2);
            bench_put(b, NEW_TSS + 16, FLAG_1, 2);
            bench_put(b, NEW_TSS + 26, 0x5000, 2);
            bench_put(b, NEW_TSS + 36, CODE0, 2);
            bench_put(b, NEW_TSS + 38, DATA0, 2);
        }
        bench_descriptor(b, NEW_TASK, NEW_TSS, cases[n].new_limit, cases[n].new_type);
        bench_descriptor(b, TASK, TSS, cases[n].old_limit, cases[n].old_type);
        bench_segment(b, &s->tr, TASK);
        bench_code(b, 0x8000, "\xea\0\0\0\0\xa0\0", 7);
        bench_run(b, 1);
        check(b, "task switch", cases[n].want, 0xc000);
        assert_int_equal(s->tr.selector, cases[n].want.vector == NONE ? NEW_TASK : TASK);
        if (cases[n].want.vector == NONE && word)
            assert_int_equal(s->gpr[RSP], 0xffff5000);
    }
}

/* All that loads a segment sets its accessed bit, in memory too: code by every
 * way, and the stacks that come with an inner or outer privilege. */
static void descriptors_are_marked_accessed(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < WAYS * 2; n++) {
        enum way way = (enum way)(n % WAYS);
        bool wide = n / WAYS;
        if (wide && (way < JMP_MEMORY || way == TASK_JMP))
            continue;
        unsigned dpl = privilege_behind(way);
        bool outer = way == RETF_OUTER || way == IRET_OUTER;
        enter(b, wide, privilege_before(way));
        bench_descriptor(b, TARGET, 0, 0xfffff,
                         0x9a | SEGMENT_G | (wide ? SEGMENT_L : SEGMENT_DB) | dpl << 5);
        if (wide)
            put_wide(b, way, 0xc000);
        else
            put_way(b, way, 0xc000);
        bench_descriptor(b, DATA3, 0, 0xfffff, 0xf2 | SEGMENT_DB | SEGMENT_G);
        bench_descriptor(b, DATA0, 0, 0xfffff, 0x92 | SEGMENT_DB | SEGMENT_G);
        if (way == INTERRUPT)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        check(b, way_names[way], (struct fault){ NONE, 0 }, 0xc000);
        assert_int_equal(bench_get(b, GDT + TARGET + 5, 1), 0x9b | dpl << 5);
        assert_int_equal(s->seg[CS].attributes & 0xff, 0x9b | dpl << 5);
        bool pops = outer || (wide && way == IRET);
        assert_int_equal(bench_get(b, GDT + (DATA3 & ~3) + 5, 1), pops ? 0xf3 : 0xf2);
        bool inner = (is_inner(way) && !wide) || way == TASK_JMP;
        assert_int_equal(bench_get(b, GDT + DATA0 + 5, 1), inner ? 0x93 : 0x92);
        if (pops || inner)
            assert_int_equal(s->seg[SS].attributes & 0xff, pops ? 0xf3 : 0x93);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(targets_by_limit),
        BENCH_TEST(stacks_without_room),
        BENCH_TEST(targets_by_canonical_form),
        BENCH_TEST(compatibility_targets_by_limit),
        BENCH_TEST(near_branches_by_limit),
        BENCH_TEST(code_by_limit),
        BENCH_TEST(real_mode_targets_by_limit),
        BENCH_TEST(real_mode_code_that_was_not_present),
        BENCH_TEST(descriptors_are_marked_accessed),
        BENCH_TEST(gates_by_the_limit_of_the_idt),
        BENCH_TEST(descriptors_by_the_limit_of_their_table),
        BENCH_TEST(without_local_table),
        BENCH_TEST(inner_stacks_by_the_limit_of_the_tss),
        BENCH_TEST(inner_stacks_without_room),
        BENCH_TEST(task_switches_by_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
