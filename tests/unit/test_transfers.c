/*
 * Far transfers, enumerated: every descriptor type, DPL, presence, RPL and CPL
 * against what the manual's pseudo-code says. (SDM vol. 2: JMP, CALL, RET, IRET,
 * INT n; vol. 3: 5.8, 6.12, table 7-1)
 */
#include "frames.h"

#define CODE_OF(dpl) (0x170u + 8 * (dpl))
#define DATA_OF(dpl) (0x190u + 8 * (dpl))
#define TARGET 0x1b0u /* the descriptor that is varied; 16 bytes */
#define GATE_TARGET 0x1c0u
#define NEW_TASK 0x1d0u
#define NEW_TSS 0x3200u
#define PLACE 0xc000u
#define NONE 0x100u

enum op { OP_JMP, OP_CALL, OP_RETF, OP_IRET, OP_COUNT };
static const char *const op_names[] = { "jmp", "call", "retf", "iret" };

/* What is to come of it. */
struct outcome {
    unsigned vector; /* NONE: it succeeds */
    unsigned error;
    unsigned cpl;    /* of the success */
    bool task;
};

static struct outcome fault(unsigned vector, unsigned error)
{
    return (struct outcome){ vector, error, 0, false };
}
static struct outcome success(unsigned cpl)
{
    return (struct outcome){ NONE, 0, cpl, false };
}

#define IS_CODE(rights) (((rights) & 0x18) == 0x18)
#define IS_CONFORMING(rights) (((rights) & 0x1c) == 0x1c)
#define IS_PRESENT(rights) ((rights) & 0x80)
#define DPL(rights) ((rights) >> 5 & 3)

static void put_tss(struct cpu_bench *b, bool wide)
{
    for (unsigned i = 0; i < 104; i += 4)
        bench_put(b, NEW_TSS + i, 0, 4);
    if (wide) {
        bench_put(b, NEW_TSS + 32, PLACE, 4);
        bench_put(b, NEW_TSS + 36, FLAG_1, 4);
        bench_put(b, NEW_TSS + 56, 0x5000, 4);
        bench_put(b, NEW_TSS + 76, CODE_OF(0), 2);
        bench_put(b, NEW_TSS + 80, DATA_OF(0), 2);
    } else {
        bench_put(b, NEW_TSS + 14, PLACE, 2);
        bench_put(b, NEW_TSS + 16, FLAG_1, 2);
        bench_put(b, NEW_TSS + 26, 0x5000, 2);
        bench_put(b, NEW_TSS + 36, CODE_OF(0), 2);
        bench_put(b, NEW_TSS + 38, DATA_OF(0), 2);
    }
}

static void put_segments(struct cpu_bench *b)
{
    for (unsigned dpl = 0; dpl < 4; dpl++) {
        bench_descriptor(b, CODE_OF(dpl), 0, 0xfffff, RIGHTS_CODE32 | dpl << 5);
        bench_descriptor(b, DATA_OF(dpl), 0, 0xfffff, RIGHTS_DATA32 | dpl << 5);
    }
    for (unsigned vector = 0; vector < 32; vector++)
        bench_gate(b, vector, CODE_OF(0), 0xa000 + 16 * vector, 0x8e);
    for (unsigned cpl = 0; cpl < 3; cpl++) {
        bench_put(b, TSS + 4 + 8 * cpl, 0x7000 - 0x400 * cpl, 4);
        bench_put(b, TSS + 8 + 8 * cpl, DATA_OF(cpl) | cpl, 4);
    }
}

/* Protected mode at 8000h with stack 6000h. */
static void enter(struct cpu_bench *b, unsigned cpl)
{
    struct cpu_state *s = &b->cpu->s;

    s->gpr[RIP] = 0x8000;
    s->gpr[RSP] = 0x6000;
    s->rflags = FLAG_1;
    s->cpl = (uint8_t)cpl;
    s->activity = CPU_RUNNING;
    bench_descriptor(b, TASK, TSS, 0x67, 0x8b);
    bench_segment(b, &s->tr, TASK);
    bench_segment(b, &s->seg[CS], CODE_OF(cpl) | cpl);
    bench_segment(b, &s->seg[SS], DATA_OF(cpl) | cpl);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        if (i != CS && i != SS)
            bench_segment(b, &s->seg[i], DATA_OF(3) | 3);
    cpu_restored(b->cpu);
}

static void put_operation(struct cpu_bench *b, enum op op, unsigned selector)
{
    static const uint8_t opcodes[] = { 0xea, 0x9a, 0xcb, 0xcf };
    unsigned at = 0x6000, rpl = selector & 3;

    bench_put(b, 0x8000, opcodes[op], 1);
    bench_put(b, 0x8001, PLACE, 4);
    bench_put(b, 0x8005, selector, 2);
    bench_put(b, at, PLACE, 4);
    bench_put(b, at + 4, selector, 4);
    at += 8;
    if (op == OP_IRET) {
        bench_put(b, at, FLAG_1, 4);
        at += 4;
    }
    bench_put(b, at, 0x5800, 4);
    bench_put(b, at + 4, DATA_OF(rpl) | rpl, 4);
}

static const char *const way_names[] = { "jmp", "call", "retf", "iret", "through a gate", "event" };

/* The transfer was made of `code_bytes` bytes of code, and pushes or pops `bytes` at a time. */
static void check_frame(const struct cpu_bench *b, enum way way, unsigned code_bytes, unsigned bytes,
                        unsigned cpl, const struct outcome *want)
{
    struct transfer_case c = { way, bytes, cpl, want->cpl, CODE_OF(cpl) | cpl, DATA_OF(cpl) | cpl,
                               DATA_OF(want->cpl) | want->cpl, DATA_OF(want->cpl) | want->cpl,
                               0x8000 + code_bytes, 0x7000 - 0x400 * want->cpl, false };
    if (want->vector == NONE && !want->task && !frame_found(b, &c))
        fail_msg("%s from CPL %u to %u: the stack", way_names[way], cpl, want->cpl);
}

static void check(struct cpu_bench *b, const struct outcome *want, const char *what, unsigned cpl,
                  unsigned selector, unsigned rights)
{
    struct cpu_state *s = &b->cpu->s;
    unsigned vector = s->gpr[RIP] >= 0xa000 && s->gpr[RIP] < 0xa200
                          ? (unsigned)(s->gpr[RIP] - 0xa000) / 16 : NONE;
    unsigned error = vector == NONE ? 0 : (unsigned)bench_get(b, s->gpr[RSP], 4);
    bool right = vector == want->vector && error == want->error;

    if (right && vector == NONE)
        right = s->gpr[RIP] == PLACE && s->cpl == want->cpl && (s->seg[CS].selector & 3) == s->cpl
                && want->task == (s->tr.selector != TASK);
    else if (right)
        right = bench_get(b, s->gpr[RSP] + 4, 4) == 0x8000
                && bench_get(b, s->gpr[RSP] + 8, 4) == (CODE_OF(cpl) | cpl);
    if (!right)
        fail_msg("%s, CPL %u, selector %x, rights %02x: vector %x error %x at %llx CPL %u, "
                 "wanted vector %x error %x CPL %u",
                 what, cpl, selector, rights, vector, error, (unsigned long long)s->gpr[RIP],
                 s->cpl, want->vector, want->error, want->cpl);
}

/* JMP and CALL to `rights`; a gate leads to a present code segment of DPL 0. */
static struct outcome want_jump(enum op op, unsigned rights, unsigned rpl, unsigned cpl)
{
    unsigned dpl = DPL(rights), type = rights & 0x1f;
    bool gate = type == 4 || type == 12, task = type == 1 || type == 9 || type == 5;

    if (IS_CODE(rights)) {
        if (IS_CONFORMING(rights) ? dpl > cpl : rpl > cpl || dpl != cpl)
            return fault(VECTOR_GP, TARGET);
        return IS_PRESENT(rights) ? success(cpl) : fault(VECTOR_NP, TARGET);
    }
    if ((!gate && !task) || dpl < cpl || rpl > dpl)
        return fault(VECTOR_GP, TARGET);
    if (!IS_PRESENT(rights))
        return fault(VECTOR_NP, TARGET);
    if (task)
        return (struct outcome){ NONE, 0, 0, true };
    if (op == OP_JMP && cpl != 0)
        return fault(VECTOR_GP, CODE_OF(0));
    return success(0);
}

static struct outcome want_return(unsigned rights, unsigned rpl, unsigned cpl)
{
    unsigned dpl = DPL(rights);

    if (!IS_CODE(rights) || rpl < cpl || (IS_CONFORMING(rights) ? dpl > rpl : dpl != rpl))
        return fault(VECTOR_GP, TARGET);
    return IS_PRESENT(rights) ? success(rpl) : fault(VECTOR_NP, TARGET);
}

/* A segment, a TSS at NEW_TSS, or a gate to `code`. */
static void put_target(struct cpu_bench *b, unsigned rights, unsigned code)
{
    unsigned type = rights & 0x1f;

    if (type & 0x10)
        bench_descriptor(b, TARGET, 0, 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
    else if (type == 4 || type == 5 || type == 12)
        bench_put(b, GDT + TARGET,
                  PLACE | (uint64_t)(type == 5 ? NEW_TASK : code) << 16 | (uint64_t)rights << 40, 8);
    else
        bench_descriptor(b, TARGET, NEW_TSS, 0x67, rights);
}

static void transfers_by_descriptor(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < OP_COUNT * 256 * 16; n++) {
        enum op op = (enum op)(n / 4096);
        unsigned rights = n & 0xff, rpl = n >> 8 & 3, cpl = n >> 10 & 3;
        put_tss(b, (rights & 0x1f) != 1);
        bench_descriptor(b, NEW_TASK, NEW_TSS, 0x67, 0x89);
        put_target(b, rights, CODE_OF(0));
        put_operation(b, op, TARGET | rpl);
        enter(b, cpl);
        bench_run(b, 1);
        struct outcome want = op < OP_RETF ? want_jump(op, rights, rpl, cpl)
                                           : want_return(rights, rpl, cpl);
        check(b, &want, op_names[op], cpl, TARGET | rpl, rights);
        bool gate = op == OP_CALL && !IS_CODE(rights);
        check_frame(b, gate ? WAY_GATE : (enum way)op, 7, gate && !(rights & 8) ? 2 : 4, cpl, &want);
    }
}

/* What a call or interrupt gate of DPL 3 may lead to. */
static struct outcome want_gate(unsigned rights, unsigned cpl, bool jump, unsigned external)
{
    unsigned dpl = DPL(rights);

    if (!IS_CODE(rights) || dpl > cpl || (jump && !IS_CONFORMING(rights) && dpl != cpl))
        return fault(VECTOR_GP, GATE_TARGET + external);
    if (!IS_PRESENT(rights))
        return fault(VECTOR_NP, GATE_TARGET + external);
    return success(IS_CONFORMING(rights) ? cpl : dpl);
}

static void call_gates_by_target(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < 4 * 256 * 4; n++) {
        unsigned rights = n & 0xff, cpl = n >> 8 & 3;
        bool jump = n >> 10 & 1, wide = n >> 11 & 1;
        bench_descriptor(b, GATE_TARGET, 0, 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
        put_target(b, wide ? 0xec : 0xe4, GATE_TARGET | (n & 3));
        put_operation(b, jump ? OP_JMP : OP_CALL, TARGET);
        enter(b, cpl);
        bench_run(b, 1);
        struct outcome want = want_gate(rights, cpl, jump, 0);
        check(b, &want, jump ? "jmp through a gate" : "call through a gate", cpl, GATE_TARGET, rights);
        check_frame(b, jump ? WAY_JMP : WAY_GATE, 7, wide ? 4 : 2, cpl, &want);
    }
}

static void interrupt_gates_by_target(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < 4 * 256 * 2; n++) {
        unsigned rights = n & 0xff, cpl = n >> 8 & 3;
        bool external = n >> 10 & 1;
        bench_descriptor(b, GATE_TARGET, 0, 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
        bench_gate(b, 0x40, GATE_TARGET | (n & 3), PLACE, 0xee);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        enter(b, cpl);
        if (external)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct outcome want = want_gate(rights, cpl, false, external);
        check(b, &want, "interrupt gate", cpl, GATE_TARGET, rights);
        check_frame(b, WAY_EVENT, external ? 0 : 2, 4, cpl, &want);
    }
}

static void interrupts_by_gate(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < 4 * 256 * 2; n++) {
        unsigned rights = n & 0xff, cpl = n >> 8 & 3, type = rights & 0x1f;
        bool external = n >> 10 & 1, task = type == 5;
        put_tss(b, true);
        bench_descriptor(b, NEW_TASK, NEW_TSS, 0x67, 0x89);
        bench_gate(b, 0x40, task ? NEW_TASK : CODE_OF(0), PLACE, rights);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        enter(b, cpl);
        if (external)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct outcome want = success(0);
        want.task = task;
        bool gate = task || type == 6 || type == 7 || type == 14 || type == 15;
        if (!gate || (!external && DPL(rights) < cpl))
            want = fault(VECTOR_GP, 0x40 * 8 + 2 + external);
        else if (!IS_PRESENT(rights))
            want = fault(VECTOR_NP, 0x40 * 8 + 2 + external);
        check(b, &want, external ? "interrupt" : "int n", cpl, 0, rights);
        check_frame(b, WAY_EVENT, external ? 0 : 2, type & 8 ? 4 : 2, cpl, &want);
    }
}

/* Stacks: SS0 in the TSS, or the SS that is popped. */
static struct outcome want_stack(unsigned rights, unsigned rpl, unsigned cpl, unsigned vector,
                                 unsigned external)
{
    bool fits = (rights & 0x1a) == 0x12 && DPL(rights) == cpl && rpl == cpl;

    if (!fits)
        return fault(vector, TARGET + external);
    return IS_PRESENT(rights) ? success(cpl) : fault(VECTOR_SS, TARGET + external);
}

static void inner_stacks_by_descriptor(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    bench_put(b, TSS + 8 + 8 * 1, TARGET, 2);
    bench_put(b, GDT + GATE_TARGET, PLACE | CODE_OF(1) << 16 | 0xecull << 40, 8);
    bench_gate(b, 0x40, CODE_OF(1), PLACE, 0xee);
    bench_gate(b, 0x41, CODE_OF(1), PLACE, 0x8e);
    for (unsigned n = 0; n < 256 * 4 * 3; n++) {
        unsigned rights = n & 0xff, rpl = n >> 8 & 3, way = n >> 10;
        /* expand-down ones above limit 0 have room everywhere, too */
        bool down = (rights & 0x1c) == 0x14;
        bench_descriptor(b, TARGET, 0, down ? 0 : 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
        if (down)
            bench_descriptor(b, TARGET, 0, 0, rights | SEGMENT_DB);
        bench_put(b, TSS + 8 + 8 * 1, TARGET | rpl, 2);
        put_operation(b, OP_CALL, GATE_TARGET);
        if (way == 1)
            bench_code(b, 0x8000, "\xcd\x40", 2);
        enter(b, 3);
        if (way == 2)
            cpu_deliver_interrupt(b->cpu, 0x41);
        else
            bench_run(b, 1);
        struct outcome want = want_stack(rights, rpl, 1, VECTOR_TS, way == 2);
        check(b, &want, "inner stack", 3, TARGET | rpl, rights);
    }
}

static void outer_stacks_by_descriptor(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < 256 * 4 * 2; n++) {
        unsigned rights = n & 0xff, rpl = n >> 8 & 3;
        enum op op = n >> 10 ? OP_IRET : OP_RETF;
        bench_descriptor(b, TARGET, 0, 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
        put_operation(b, op, CODE_OF(2) | 2);
        bench_put(b, op == OP_IRET ? 0x6010 : 0x600c, TARGET | rpl, 4);
        enter(b, 1);
        bench_run(b, 1);
        struct outcome want = want_stack(rights, rpl, 2, VECTOR_GP, 0);
        check(b, &want, op_names[op], 1, TARGET | rpl, rights);
    }
}

/* What a return leaves in ESP: a stack of 16 bits gets SP, and keeps the upper half of
 * the inner one. RETF n releases from both. */
static void outer_stacks_by_size(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < 3 * 2 * 2 * 2; n++) {
        static const char *const codes[] = { "\xcb", "\xca\x06\x01", "\xcf" };
        unsigned way = n % 3, release = way == 1 ? 0x106 : 0;
        bool big = n / 3 & 1, word = n / 6 & 1, wraps = n / 12;
        unsigned bytes = word ? 2 : 4, at = 0x16000;
        uint32_t esp = wraps ? 0x5432ff00 : 0x54325800;
        uint32_t frame[] = { PLACE, CODE_OF(3) | 3, FLAG_1, esp, TARGET | 3 };
        bench_descriptor(b, TARGET, 0, 0xfffff, 0xf3 | SEGMENT_G | (big ? SEGMENT_DB : 0));
        enter(b, 0);
        s->gpr[RSP] = at;
        for (unsigned i = 0; i < ARRAY_SIZE(frame); i++) {
            if (i == 2 && way != 2)
                continue;
            if (i == 3)
                at += release;
            bench_put(b, at, frame[i], bytes);
            at += bytes;
        }
        bench_code(b, 0x8000, "\x66", 1);
        bench_code(b, word ? 0x8001 : 0x8000, codes[way], way == 1 ? 3 : 1);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], PLACE);
        assert_int_equal(s->seg[SS].selector, TARGET | 3);
        uint32_t popped = word ? esp & 0xffff : esp;
        if (big)
            assert_int_equal(s->gpr[RSP], popped + release);
        else
            assert_int_equal(s->gpr[RSP], 0x10000 | ((popped + release) & 0xffff));
    }
}

/* Loads of segment registers: MOV to SS, DS, ES, FS, GS. */
static struct outcome want_load(unsigned seg, unsigned rights, unsigned rpl, unsigned cpl)
{
    if (seg == SS) {
        struct outcome want = want_stack(rights, rpl, cpl, VECTOR_GP, 0);
        return want;
    }
    bool readable = rights & 0x10 && (!(rights & 8) || rights & 2);
    unsigned weakest = rpl > cpl ? rpl : cpl;
    if (!readable || (!IS_CONFORMING(rights) && DPL(rights) < weakest))
        return fault(VECTOR_GP, TARGET);
    return IS_PRESENT(rights) ? success(cpl) : fault(VECTOR_NP, TARGET);
}

static void loads_by_descriptor(void **state)
{
    static const uint8_t segments[] = { ES, SS, DS, FS, GS };
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    put_segments(b);
    for (unsigned n = 0; n < ARRAY_SIZE(segments) * 4096; n++) {
        unsigned rights = n & 0xff, rpl = n >> 8 & 3, cpl = n >> 10 & 3, seg = segments[n >> 12];
        bench_descriptor(b, TARGET, 0, 0xfffff, rights | SEGMENT_DB | SEGMENT_G);
        bench_put(b, PLACE - 2, 0xc08e | seg << 11, 2); /* mov %eax, %seg */
        enter(b, cpl);
        bench_put(b, 0x8000, 0xc08e | seg << 11, 2);
        b->cpu->s.gpr[RAX] = TARGET | rpl;
        bench_run(b, 1);
        struct outcome want = want_load(seg, rights, rpl, cpl);
        if (want.vector == NONE) {
            assert_int_equal(b->cpu->s.gpr[RIP], 0x8002);
            assert_int_equal(b->cpu->s.seg[seg].selector, TARGET | rpl);
            assert_int_equal(b->cpu->s.seg[seg].attributes & 0xff, rights | 1);
            continue;
        }
        check(b, &want, "mov to a segment register", cpl, TARGET | rpl, rights);
    }
}

#define SELECTOR_PLACE 0xd000u

/* LAR, LSL, VERR, VERW, of registers and memory: ZF by descriptor, RPL and CPL. */
static bool want_query(unsigned opcode, unsigned rights, unsigned rpl, unsigned cpl, bool long_mode)
{
    unsigned type = rights & 0x1f, weakest = rpl > cpl ? rpl : cpl;
    uint32_t lar = long_mode ? 0x1a04 : 0x1a3e, lsl = long_mode ? 0x0a04 : 0x0a0e;

    if (!IS_CONFORMING(rights) && DPL(rights) < weakest)
        return false;
    switch (opcode) {
    case 0x02: return type & 0x10 || lar >> type & 1;
    case 0x03: return type & 0x10 || lsl >> type & 1;
    case 4: return type & 0x10 && (!(type & 8) || type & 2);
    default: return (type & 0x1a) == 0x12;
    }
}

static void queries_by_descriptor(void **state)
{
    struct cpu_bench *b = *state;
    static const uint8_t opcodes[] = { 0x02, 0x03, 4, 5 };

    for (unsigned n = 0; n < 4 * 4096 * 4; n++) {
        unsigned rights = n & 0xff, rpl = n >> 8 & 3, cpl = n >> 10 & 3;
        unsigned opcode = opcodes[n >> 12 & 3];
        bool memory = n >> 14 & 1, long_mode = n >> 15;
        if (n % 32768 == 0 && long_mode)
            bench_long(b, 0);
        else if (n % 32768 == 0)
            bench_protected(b, 0);
        if (n % 32768 == 0)
            put_segments(b);
        bench_descriptor(b, TARGET, 0, 0x12345, rights | SEGMENT_DB);
        bench_put(b, GDT + TARGET + 8, 0, 8);
        enter(b, cpl);
        bench_put(b, 0x8000, opcode >= 4 ? 0x0f | opcode << 19 : 0x18000f | opcode << 8, 3);
        bench_put(b, 0x8002, bench_get(b, 0x8002, 1) | (memory ? 0 : 0xc0), 1);
        bench_put(b, SELECTOR_PLACE, TARGET | rpl, 2);
        b->cpu->s.gpr[RAX] = memory ? SELECTOR_PLACE : TARGET | rpl;
        b->cpu->s.gpr[RBX] = 0x5555;
        bench_run(b, 1);
        assert_int_equal(b->cpu->s.gpr[RIP], 0x8003);
        bool want = want_query(opcode, rights, rpl, cpl, long_mode);
        if (want != !!(b->cpu->s.rflags & FLAG_ZF))
            fail_msg("opcode %x, CPL %u, RPL %u, rights %02x: ZF is %u", opcode, cpl, rpl, rights,
                     !want);
        uint64_t value = opcode == 2 ? 0x410000 | rights << 8 : 0x12345;
        assert_int_equal(b->cpu->s.gpr[RBX], want && opcode < 4 ? value : 0x5555);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(transfers_by_descriptor),
        BENCH_TEST(call_gates_by_target),
        BENCH_TEST(interrupt_gates_by_target),
        BENCH_TEST(interrupts_by_gate),
        BENCH_TEST(inner_stacks_by_descriptor),
        BENCH_TEST(outer_stacks_by_descriptor),
        BENCH_TEST(outer_stacks_by_size),
        BENCH_TEST(loads_by_descriptor),
        BENCH_TEST(queries_by_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
