/*
 * Selectors from wherever they come (instructions, gates, frames, TSSs) that are null or lie
 * beyond their table: the vector and error code of each. Call gates: parameters, and their
 * use from compatibility mode. (SDM vol. 2: JMP, CALL, RET, IRET, INT n, MOV, LTR, LLDT;
 * vol. 3: 5.8.4, 5.8.5, 8.2)
 */
#include "cpu_bench.h"

#define HANDLER 0xa000u
#define STACK 0x6000u
#define GATE 0x80u
#define LDT 0x88u
#define CODE1 0x90u
#define HANDLER_TASK 0x98u
#define NEW_TASK 0xa0u
#define TARGET 0xf8u /* the last of its table */
#define LOCAL_TABLE 0x1800u
#define NEW_TSS 0x3200u
#define HANDLER_TSS 0x3400u
#define NONE 0x100u

enum source { JMP, CALL, GATE_CODE, INT_CODE, INTERRUPT_CODE, CALL_STACK, INT_STACK, INTERRUPT_STACK,
              RETF_CODE, RETF_STACK, IRET_CODE, IRET_STACK, JMP_TASK, CALL_TASK, TASK_GATE,
              INT_TASK, INTERRUPT_TASK, LINK, NEW_CODE, NEW_STACK, NEW_DATA, NEW_LOCAL, MOV_DATA,
              MOV_STACK, LOAD_FAR, LOAD_STACK, LOAD_LOCAL, LOAD_TASK, SOURCES };

/* `kind`: what the selector should name. The vector when it lies beyond its table, and the one
 * when it is null (NONE: that is allowed); `external`: the error code says so. */
static const struct row {
    const char *name, *code;
    enum { TO_CODE3, TO_CODE0, TO_DATA3, TO_DATA0, TO_DATA1, TO_TASK, TO_LDT } kind;
    unsigned vector, null_vector, external, cpl;
} rows[SOURCES] = {
    [JMP] = { "jmp", "\xea", TO_CODE3, VECTOR_GP, VECTOR_GP, 0, 3 },
    [CALL] = { "call", "\x9a", TO_CODE3, VECTOR_GP, VECTOR_GP, 0, 3 },
    [GATE_CODE] = { "call gate", "\x9a", TO_CODE3, VECTOR_GP, VECTOR_GP, 0, 3 },
    [INT_CODE] = { "int", "\xcd\x40", TO_CODE3, VECTOR_GP, VECTOR_GP, 0, 3 },
    [INTERRUPT_CODE] = { "interrupt", "", TO_CODE3, VECTOR_GP, VECTOR_GP, 1, 3 },
    [CALL_STACK] = { "inner stack of call", "\x9a", TO_DATA1, VECTOR_TS, VECTOR_TS, 0, 3 },
    [INT_STACK] = { "inner stack of int", "\xcd\x40", TO_DATA1, VECTOR_TS, VECTOR_TS, 0, 3 },
    [INTERRUPT_STACK] = { "inner stack of interrupt", "", TO_DATA1, VECTOR_TS, VECTOR_TS, 1, 3 },
    [RETF_CODE] = { "retf", "\xcb", TO_CODE3, VECTOR_GP, VECTOR_GP, 0, 0 },
    [RETF_STACK] = { "ss of retf", "\xcb", TO_DATA3, VECTOR_GP, VECTOR_GP, 0, 0 },
    [IRET_CODE] = { "iret", "\xcf", TO_CODE3, VECTOR_GP, VECTOR_GP, 0, 0 },
    [IRET_STACK] = { "ss of iret", "\xcf", TO_DATA3, VECTOR_GP, VECTOR_GP, 0, 0 },
    [JMP_TASK] = { "jmp to a task", "\xea", TO_TASK, VECTOR_GP, VECTOR_GP, 0, 0 },
    [CALL_TASK] = { "call of a task", "\x9a", TO_TASK, VECTOR_GP, VECTOR_GP, 0, 0 },
    [TASK_GATE] = { "jmp to a task gate", "\xea", TO_TASK, VECTOR_GP, VECTOR_GP, 0, 0 },
    [INT_TASK] = { "int with a task gate", "\xcd\x40", TO_TASK, VECTOR_GP, VECTOR_GP, 0, 0 },
    [INTERRUPT_TASK] = { "interrupt with a task gate", "", TO_TASK, VECTOR_GP, VECTOR_GP, 1, 0 },
    [LINK] = { "link", "\xcf", TO_TASK, VECTOR_TS, VECTOR_TS, 0, 0 },
    [NEW_CODE] = { "cs of a task", "\xea", TO_CODE0, VECTOR_TS, VECTOR_TS, 0, 0 },
    [NEW_STACK] = { "ss of a task", "\xea", TO_DATA0, VECTOR_TS, VECTOR_TS, 0, 0 },
    [NEW_DATA] = { "fs of a task", "\xea", TO_DATA0, VECTOR_TS, NONE, 0, 0 },
    [NEW_LOCAL] = { "ldt of a task", "\xea", TO_LDT, VECTOR_TS, NONE, 0, 0 },
    [MOV_DATA] = { "mov fs", "\x8e\xe0", TO_DATA3, VECTOR_GP, NONE, 0, 3 },
    [MOV_STACK] = { "mov ss", "\x8e\xd0", TO_DATA3, VECTOR_GP, VECTOR_GP, 0, 3 },
    [LOAD_FAR] = { "lfs", "\x0f\xb4\x07", TO_DATA3, VECTOR_GP, NONE, 0, 3 },
    [LOAD_STACK] = { "lss", "\x0f\xb2\x07", TO_DATA3, VECTOR_GP, VECTOR_GP, 0, 3 },
    [LOAD_LOCAL] = { "lldt", "\x0f\x00\xd0", TO_LDT, VECTOR_GP, NONE, 0, 0 },
    [LOAD_TASK] = { "ltr", "\x0f\x00\xd8", TO_TASK, VECTOR_GP, VECTOR_GP, 0, 0 },
};

static void put_task(struct cpu_bench *b, uint32_t tss, uint32_t eip)
{
    for (unsigned i = 0; i < 104; i += 4)
        bench_put(b, tss + i, 0, 4);
    bench_put(b, tss + 32, eip, 4);
    bench_put(b, tss + 36, FLAG_1, 4);
    bench_put(b, tss + 40 + 4 * RSP, 0x5000, 4);
    bench_put(b, tss + 76, CODE0, 4);
    bench_put(b, tss + 80, DATA0, 4);
}

/* The selector itself, and where it is looked up. */
static void put_selector(struct cpu_bench *b, enum source source, unsigned selector)
{
    struct cpu_state *s = &b->cpu->s;
    bool gate = source == GATE_CODE || source == CALL_STACK || source == TASK_GATE;
    bool stack = source == CALL_STACK || source == INT_STACK || source == INTERRUPT_STACK;
    bool in_frame = source == RETF_STACK || source == IRET_STACK;
    bool task_gate = source == TASK_GATE || source == INT_TASK || source == INTERRUPT_TASK;
    unsigned code = stack ? CODE1 : in_frame ? CODE3 : selector;
    static const uint8_t fields[] = { 76, 80, 88, 96 };

    bench_put(b, 0x8001, 0xc000, 4);
    bench_put(b, 0x8005, gate ? GATE : source >= NEW_CODE && source <= NEW_LOCAL ? NEW_TASK : selector, 2);
    bench_code(b, 0x8000, rows[source].code, (unsigned)strlen(rows[source].code));
    if (source >= LOAD_LOCAL)
        bench_code(b, 0x8000, rows[source].code, 3);
    bench_put(b, GDT + GATE, 0xc000 | (uint64_t)code << 16 | (task_gate ? 0xe5ull : 0xecull) << 40, 8);
    bench_gate(b, 0x40, code, task_gate ? 0 : 0xc000, task_gate ? 0xe5 : 0xee);
    if (stack)
        bench_put(b, TSS + 16, selector, 4);
    bench_put(b, STACK, 0xc000, 4);
    bench_put(b, STACK + 4, code, 4);
    bool iret = rows[source].code[0] == '\xcf';
    if (iret)
        bench_put(b, STACK + 8, FLAG_1, 4);
    bench_put(b, STACK + (iret ? 12 : 8), 0x5000, 4);
    bench_put(b, STACK + (iret ? 16 : 12), in_frame ? selector : DATA3, 4);
    if (source >= NEW_CODE && source <= NEW_LOCAL)
        bench_put(b, NEW_TSS + fields[source - NEW_CODE], selector, 2);
    if (source == LINK)
        bench_put(b, TSS, selector, 2);
    s->rflags = FLAG_1 | (source == LINK ? FLAG_NT : 0);
    s->gpr[RAX] = selector;
    s->gpr[RDI] = 0x8001;
    if (source == LOAD_FAR || source == LOAD_STACK) {
        s->gpr[RDI] = 0x14000;
        bench_put(b, 0x14004, selector, 2);
    }
}

static void put_target(struct cpu_bench *b, enum source source, bool local)
{
    static const unsigned rights[] = { 0xfb | SEGMENT_DB | SEGMENT_G, 0x9b | SEGMENT_DB | SEGMENT_G,
                                       0xf3 | SEGMENT_DB | SEGMENT_G, 0x93 | SEGMENT_DB | SEGMENT_G,
                                       0xb3 | SEGMENT_DB | SEGMENT_G, 0x89, 0x82 };
    unsigned kind = rows[source].kind;
    bool task = kind == TO_TASK;

    bench_descriptor(b, TARGET, task ? NEW_TSS : kind == TO_LDT ? LOCAL_TABLE : 0,
                     task || kind == TO_LDT ? 0xff : 0xfffff,
                     rights[kind] | (source == LINK ? TYPE_BUSY : 0));
    if (local) {
        bench_put(b, LOCAL_TABLE + TARGET, bench_get(b, GDT + TARGET, 8), 8);
        bench_put(b, GDT + TARGET, 0, 8);
    }
}

static void enter(struct cpu_bench *b, enum source source, bool tasks)
{
    struct cpu_state *s = &b->cpu->s;

    cpu_reset(b->cpu);
    bench_protected(b, rows[source].cpl);
    for (unsigned vector = 0; vector < 32; vector++)
        bench_gate(b, vector, tasks ? HANDLER_TASK : CODE0, tasks ? 0 : HANDLER + 16 * vector,
                   tasks ? 0x85 : 0x8e);
    bench_descriptor(b, LDT, LOCAL_TABLE, 0xff, 0x82);
    bench_descriptor(b, CODE1, 0, 0xfffff, RIGHTS_CODE32 | 0x20);
    bench_descriptor(b, HANDLER_TASK, HANDLER_TSS, 0x67, 0x89);
    bench_descriptor(b, NEW_TASK, NEW_TSS, 0x67, 0x89);
    bench_descriptor(b, TASK, TSS, 0x67, 0x8b);
    put_task(b, NEW_TSS, 0xc000);
    put_task(b, HANDLER_TSS, 0xd000);
    bench_put(b, TSS + 12, 0x6800, 4); /* stack of privilege 1 */
    s->ldtr = (struct segment){ LOCAL_TABLE, 0xff, LDT, 0x82 };
    s->gdtr.limit = 0xff;
    s->gpr[RSP] = STACK;
}

/* Runs it; the error code and vector, or NONE. In a new task only #TS is looked for. */
static unsigned run(struct cpu_bench *b, enum source source, bool tasks, unsigned *error)
{
    struct cpu_state *s = &b->cpu->s;
    unsigned vector = NONE;

    cpu_restored(b->cpu);
    if (rows[source].external)
        cpu_deliver_interrupt(b->cpu, 0x40);
    else
        bench_run(b, 1);
    if (tasks && s->tr.selector == HANDLER_TASK)
        vector = VECTOR_TS;
    else if (s->gpr[RIP] >= HANDLER && s->gpr[RIP] < HANDLER + 16 * 32)
        vector = (unsigned)(s->gpr[RIP] - HANDLER) / 16;
    *error = vector == NONE ? 0 : (unsigned)bench_get(b, s->gpr[RSP], 4);
    return vector;
}

static void try_selector(struct cpu_bench *b, enum source source, unsigned selector, unsigned missing,
                         unsigned want, unsigned want_error)
{
    const struct row *row = &rows[source];
    bool tasks = source >= NEW_CODE && source <= NEW_LOCAL;
    unsigned error;

    enter(b, source, tasks);
    put_target(b, source, selector & SELECTOR_TI);
    put_selector(b, source, selector);
    if (selector & SELECTOR_TI)
        b->cpu->s.ldtr.limit -= missing;
    else
        b->cpu->s.gdtr.limit = (uint16_t)(b->cpu->s.gdtr.limit - missing);
    if (tasks) /* the new task has that LDT, too */
        bench_descriptor(b, LDT, LOCAL_TABLE, b->cpu->s.ldtr.limit, 0x82);
    if (tasks && source != NEW_LOCAL)
        bench_put(b, NEW_TSS + 96, LDT, 2);
    unsigned vector = run(b, source, tasks, &error);
    if (vector != want || error != (want == NONE ? 0 : want_error))
        fail_msg("%s, selector %x, %u bytes missing: vector %x error %x, wanted %x %x", row->name,
                 selector, missing, vector, error, want, want_error);
}

static void selectors_at_the_end_of_their_table(void **state)
{
    for (unsigned n = 0; n < SOURCES * 2; n++) {
        enum source source = (enum source)(n / 2);
        const struct row *row = &rows[source];
        static const uint8_t rpl[] = { 3, 0, 3, 0, 1, 0, 0 };
        bool local = n & 1, system = row->kind >= TO_TASK;
        unsigned selector = TARGET | (local ? SELECTOR_TI : 0) | rpl[row->kind];
        unsigned error = (selector & ~3u) + row->external;
        /* LDTs and TSSs are in the GDT only. */
        try_selector(*state, source, selector, 0, local && system ? row->vector : NONE, error);
        for (unsigned missing = 1; missing < 8; missing++)
            try_selector(*state, source, selector, missing, row->vector, error);
    }
}

static void null_selectors(void **state)
{
    for (unsigned n = 0; n < SOURCES * 4; n++) {
        enum source source = (enum source)(n / 4);
        try_selector(*state, source, n & 3, 0, rows[source].null_vector, rows[source].external);
    }
}

/* Gates */

/* All of the parameters are copied and nothing behind them is looked at: the caller's stack
 * ends there. */
static void parameters_of_call_gates(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 32 * 2 * 2; n++) {
        unsigned count = n & 31, bytes = n & 32 ? 4 : 2, missing = n >> 6;
        unsigned room = count * bytes;
        enter(b, JMP, false);
        bench_put(b, GDT + GATE, 0xc000 | CODE0 << 16 | (uint64_t)(0xe0 | count) << 32
                                     | (bytes == 4 ? 0xecull : 0xe4ull) << 40, 8);
        bench_descriptor(b, SPARE, 0, STACK + room - 1 - missing, 0xf3 | SEGMENT_DB);
        bench_segment(b, &s->seg[SS], SPARE | 3);
        for (unsigned i = 0; i < 31; i++)
            bench_put(b, STACK + i * bytes, 0x11110000 * i + 0x0101 * i, bytes);
        bench_code(b, 0x8000, "\x9a\0\0\0\0\x80\0", 7);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        if (missing && count) {
            assert_int_equal(s->gpr[RIP], HANDLER + 16 * VECTOR_SS);
            assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0);
            assert_int_equal(bench_get(b, s->gpr[RSP] + 16, 4), STACK);
            continue;
        }
        assert_int_equal(s->gpr[RIP], 0xc000);
        assert_int_equal(s->gpr[RSP], 0x7000 - 4 * bytes - room);
        assert_int_equal(bench_get(b, s->gpr[RSP], bytes), 0x8007);
        assert_int_equal(bench_get(b, s->gpr[RSP] + bytes, bytes), CODE3);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(bench_get(b, s->gpr[RSP] + (2 + i) * bytes, bytes),
                             (0x11110000 * i + 0x0101 * i) & (bytes == 4 ? ~0u : 0xffff));
        assert_int_equal(bench_get(b, 0x7000 - 2 * bytes, bytes), STACK);
        assert_int_equal(bench_get(b, 0x7000 - bytes, bytes), SPARE | 3);
    }
}

/* From compatibility mode a gate leads to 64-bit code: RSP counts as a whole, also when the
 * stack segment has 16 bits. */
static void call_gates_from_compatibility_mode(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 2; n++) {
        cpu_reset(b->cpu);
        bench_long(b, 0);
        bench_descriptor(b, SPARE, 0, 0xffff, 0x93);
        bench_put(b, GDT + GATE, 0xc000 | CODE64 << 16 | 0xecull << 40, 8);
        bench_put(b, GDT + GATE + 8, 0x12, 8);
        bench_segment(b, &s->seg[CS], CODE0);
        bench_segment(b, &s->seg[SS], SPARE);
        s->gpr[RSP] = 0x16008;
        bench_code(b, 0x8000, n ? "\xea\0\0\0\0\x80\0" : "\x9a\0\0\0\0\x80\0", 7);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_true(s->gpr[RIP] == 0x120000c000);
        assert_int_equal(s->seg[CS].selector, CODE64);
        assert_int_equal(s->seg[SS].selector, SPARE);
        assert_int_equal(s->gpr[RSP], n ? 0x16008 : 0x15ff8);
        if (!n) {
            assert_int_equal(bench_get(b, 0x15ff8, 8), 0x8007);
            assert_int_equal(bench_get(b, 0x16000, 8), CODE0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(selectors_at_the_end_of_their_table),
        BENCH_TEST(null_selectors),
        BENCH_TEST(parameters_of_call_gates),
        BENCH_TEST(call_gates_from_compatibility_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
