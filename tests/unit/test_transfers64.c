/*
 * Far transfers and event delivery in long mode, enumerated against the
 * manual's pseudo-code, and which two faults make a double fault. (SDM vol. 2:
 * JMP, CALL, RET, IRET; vol. 3: 6.14, table 6-5)
 */
#include "frames.h"

#define CODE_OF(dpl) (0x170u + 8 * (dpl))
#define DATA_OF(dpl) (0x190u + 8 * (dpl))
#define TARGET 0x1b0u /* the descriptor that is varied; 16 bytes */
#define GATE_TARGET 0x1c0u
#define PLACE 0xc000u
#define POINTER 0x14000u
#define NONE 0x100u

enum op { OP_JMP, OP_CALL, OP_RETF, OP_IRET, OP_COUNT };
static const char *const op_names[] = { "jmp", "call", "retf", "iret" };

struct outcome {
    unsigned vector, error, cpl;
};

static struct outcome fault(unsigned vector, unsigned error)
{
    return (struct outcome){ vector, error, 0 };
}
static struct outcome success(unsigned cpl)
{
    return (struct outcome){ NONE, 0, cpl };
}

#define IS_CODE(rights) (((rights) & 0x18) == 0x18)
#define IS_CONFORMING(rights) (((rights) & 0x1c) == 0x1c)
#define IS_PRESENT(rights) ((rights) & 0x80)
#define DPL(rights) ((rights) >> 5 & 3)

static void prepare(struct cpu_bench *b)
{
    bench_long(b, 0);
    for (unsigned dpl = 0; dpl < 4; dpl++) {
        bench_descriptor(b, CODE_OF(dpl), 0, 0xfffff, RIGHTS_CODE64 | dpl << 5);
        bench_descriptor(b, DATA_OF(dpl), 0, 0xfffff, RIGHTS_DATA32 | dpl << 5);
    }
    for (unsigned vector = 0; vector < 32; vector++)
        bench_gate64(b, vector, CODE_OF(0), 0xa000 + 16 * vector, 0, 0x8e);
    for (unsigned cpl = 0; cpl < 3; cpl++)
        bench_put(b, TSS + 4 + 8 * cpl, 0x7000 - 0x400 * cpl, 8);
}

static void enter(struct cpu_bench *b, unsigned cpl)
{
    struct cpu_state *s = &b->cpu->s;

    s->gpr[RIP] = 0x8000;
    s->gpr[RSP] = 0x6000;
    s->gpr[RDI] = POINTER;
    s->rflags = FLAG_1;
    s->cpl = (uint8_t)cpl;
    s->activity = CPU_RUNNING;
    bench_segment(b, &s->seg[CS], CODE_OF(cpl) | cpl);
    bench_segment(b, &s->seg[SS], DATA_OF(cpl) | cpl);
    cpu_restored(b->cpu);
}

static void put_operation(struct cpu_bench *b, enum op op, unsigned selector)
{
    static const char *const codes[] = { "\xff\x2f", "\xff\x1f", "\x48\xcb", "\x48\xcf" };
    unsigned at = 0x6000, rpl = selector & 3;

    bench_code(b, 0x8000, codes[op], 2);
    bench_put(b, POINTER, PLACE, 4);
    bench_put(b, POINTER + 4, selector, 2);
    bench_put(b, at, PLACE, 8);
    bench_put(b, at + 8, selector, 8);
    at += 16;
    if (op == OP_IRET) {
        bench_put(b, at, FLAG_1, 8);
        at += 8;
    }
    bench_put(b, at, 0x5800, 8);
    bench_put(b, at + 8, DATA_OF(rpl) | rpl, 8);
}

static unsigned vector_seen(const struct cpu_bench *b)
{
    uint64_t rip = b->cpu->s.gpr[RIP];
    return rip >= 0xa000 && rip < 0xa200 ? (unsigned)(rip - 0xa000) / 16 : NONE;
}

static const char *const way_names[] = { "jmp", "call", "retf", "iret", "through a gate", "event" };

/* The transfer was made of `code_bytes` bytes of code, and pushes or pops `bytes` at a time. */
static void check_frame(const struct cpu_bench *b, enum way way, unsigned code_bytes, unsigned bytes,
                        unsigned cpl, const struct outcome *want)
{
    struct transfer_case c = { way, bytes, cpl, want->cpl, CODE_OF(cpl) | cpl, DATA_OF(cpl) | cpl,
                               want->cpl, DATA_OF(want->cpl) | want->cpl, 0x8000 + code_bytes,
                               0x7000 - 0x400 * want->cpl, true };
    if (want->vector == NONE && !frame_found(b, &c))
        fail_msg("%s from CPL %u to %u: the stack", way_names[way], cpl, want->cpl);
}

static void check(struct cpu_bench *b, const struct outcome *want, const char *what, unsigned cpl,
                  unsigned selector, unsigned rights)
{
    const struct cpu_state *s = &b->cpu->s;
    unsigned vector = vector_seen(b);
    unsigned error = vector == NONE ? 0 : (unsigned)bench_get(b, s->gpr[RSP], 8);
    bool right = vector == want->vector && error == want->error;

    if (right && vector == NONE)
        right = s->gpr[RIP] == PLACE && s->cpl == want->cpl && (s->seg[CS].selector & 3) == s->cpl;
    else if (right)
        right = bench_get(b, s->gpr[RSP] + 8, 8) == 0x8000
                && bench_get(b, s->gpr[RSP] + 16, 8) == (CODE_OF(cpl) | cpl)
                && bench_get(b, s->gpr[RSP] + 32, 8) == 0x6000;
    if (!right)
        fail_msg("%s, CPL %u, selector %x, rights %04x: vector %x error %x at %llx CPL %u, "
                 "wanted vector %x error %x CPL %u",
                 what, cpl, selector, rights, vector, error, (unsigned long long)s->gpr[RIP],
                 s->cpl, want->vector, want->error, want->cpl);
}

static struct outcome want_jump(enum op op, unsigned rights, unsigned rpl, unsigned cpl)
{
    unsigned dpl = DPL(rights);
    bool both = (rights & (SEGMENT_L | SEGMENT_DB)) == (SEGMENT_L | SEGMENT_DB);

    if (IS_CODE(rights)) {
        if (both || (IS_CONFORMING(rights) ? dpl > cpl : rpl > cpl || dpl != cpl))
            return fault(VECTOR_GP, TARGET);
        return IS_PRESENT(rights) ? success(cpl) : fault(VECTOR_NP, TARGET);
    }
    if ((rights & 0x1f) != 12 || dpl < cpl || rpl > dpl)
        return fault(VECTOR_GP, TARGET);
    if (!IS_PRESENT(rights))
        return fault(VECTOR_NP, TARGET);
    if (op == OP_JMP && cpl != 0)
        return fault(VECTOR_GP, CODE_OF(0));
    return success(0);
}

static struct outcome want_return(unsigned rights, unsigned rpl, unsigned cpl)
{
    unsigned dpl = DPL(rights);
    bool both = (rights & (SEGMENT_L | SEGMENT_DB)) == (SEGMENT_L | SEGMENT_DB);

    if (!IS_CODE(rights) || both || rpl < cpl || (IS_CONFORMING(rights) ? dpl > rpl : dpl != rpl))
        return fault(VECTOR_GP, TARGET);
    return IS_PRESENT(rights) ? success(rpl) : fault(VECTOR_NP, TARGET);
}

static void put_target(struct cpu_bench *b, unsigned rights, unsigned code)
{
    bench_put(b, GDT + TARGET + 8, 0, 8);
    if ((rights & 0x1f) == 12)
        bench_put(b, GDT + TARGET, PLACE | (uint64_t)code << 16 | (uint64_t)(rights & 0xff) << 40, 8);
    else
        bench_descriptor(b, TARGET, 0, 0xfffff, rights | SEGMENT_G);
}

/* Bits of a case's number as rights: the low byte, L and D. */
static unsigned rights_of(unsigned n)
{
    return (n & 0xff) | (n & 0x100 ? SEGMENT_L : 0) | (n & 0x200 ? SEGMENT_DB : 0);
}

static void transfers_by_descriptor(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b);
    for (unsigned n = 0; n < OP_COUNT << 14; n++) {
        enum op op = (enum op)(n >> 14);
        unsigned rights = rights_of(n), rpl = n >> 10 & 3, cpl = n >> 12 & 3;
        put_target(b, rights, CODE_OF(0));
        put_operation(b, op, TARGET | rpl);
        enter(b, cpl);
        bench_run(b, 1);
        struct outcome want = op < OP_RETF ? want_jump(op, rights, rpl, cpl)
                                           : want_return(rights, rpl, cpl);
        check(b, &want, op_names[op], cpl, TARGET | rpl, rights);
        bool gate = op == OP_CALL && !IS_CODE(rights);
        check_frame(b, gate ? WAY_GATE : (enum way)op, 2, op == OP_CALL && !gate ? 4 : 8, cpl, &want);
    }
}

/* Gates lead to 64-bit code only. */
static struct outcome want_gate(unsigned rights, unsigned cpl, bool jump, unsigned external)
{
    unsigned dpl = DPL(rights);

    if (!IS_CODE(rights) || dpl > cpl || (jump && !IS_CONFORMING(rights) && dpl != cpl))
        return fault(VECTOR_GP, GATE_TARGET + external);
    if ((rights & (SEGMENT_L | SEGMENT_DB)) != SEGMENT_L) /* before presence in CALL */
        return fault(VECTOR_GP, GATE_TARGET + external);
    if (!IS_PRESENT(rights))
        return fault(VECTOR_NP, GATE_TARGET + external);
    return success(IS_CONFORMING(rights) ? cpl : dpl);
}

static void call_gates_by_target(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b);
    for (unsigned n = 0; n < 1 << 13; n++) {
        unsigned rights = rights_of(n), cpl = n >> 10 & 3;
        bool jump = n >> 12 & 1;
        bench_descriptor(b, GATE_TARGET, 0, 0xfffff, rights | SEGMENT_G);
        put_target(b, 0xec, GATE_TARGET | (n & 3));
        put_operation(b, jump ? OP_JMP : OP_CALL, TARGET);
        enter(b, cpl);
        bench_run(b, 1);
        struct outcome want = want_gate(rights, cpl, jump, 0);
        check(b, &want, jump ? "jmp through a gate" : "call through a gate", cpl, GATE_TARGET, rights);
        check_frame(b, jump ? WAY_JMP : WAY_GATE, 2, 8, cpl, &want);
    }
}

/* The stack need not be aligned: a call to the same privilege pushes where RSP is. */
static void gates_push_where_rsp_is(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b);
    bench_descriptor(b, GATE_TARGET, 0, 0xfffff, RIGHTS_CODE64 | SEGMENT_G);
    put_target(b, 0xec, GATE_TARGET);
    put_operation(b, OP_CALL, TARGET);
    for (unsigned odd = 1; odd < 8; odd++) {
        enter(b, 0);
        b->cpu->s.gpr[RSP] = 0x6000 + odd;
        bench_run(b, 1);
        assert_int_equal(vector_seen(b), NONE);
        assert_int_equal(b->cpu->s.gpr[RSP], 0x6000 + odd - 16);
        assert_int_equal(bench_get(b, 0x6000 + odd - 16, 8), 0x8002);
    }
}

static void interrupt_gates_by_target(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b);
    for (unsigned n = 0; n < 1 << 13; n++) {
        unsigned rights = rights_of(n), cpl = n >> 10 & 3;
        bool external = n >> 12 & 1;
        bench_descriptor(b, GATE_TARGET, 0, 0xfffff, rights | SEGMENT_G);
        bench_gate64(b, 0x40, GATE_TARGET | (n & 3), PLACE, 0, 0xee);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        enter(b, cpl);
        if (external)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct outcome want = want_gate(rights, cpl, false, external);
        check(b, &want, "interrupt gate", cpl, GATE_TARGET, rights);
        check_frame(b, WAY_EVENT, external ? 0 : 2, 8, cpl, &want);
    }
}

static void interrupts_by_gate(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b);
    for (unsigned n = 0; n < 1 << 11; n++) {
        unsigned rights = n & 0xff, cpl = n >> 8 & 3, type = rights & 0x1f;
        bool external = n >> 10 & 1;
        bench_gate64(b, 0x40, CODE_OF(0), PLACE, 0, rights);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        enter(b, cpl);
        if (external)
            cpu_deliver_interrupt(b->cpu, 0x40);
        else
            bench_run(b, 1);
        struct outcome want = success(0);
        if ((type != 14 && type != 15) || (!external && DPL(rights) < cpl))
            want = fault(VECTOR_GP, 0x40 * 8 + 2 + external);
        else if (!IS_PRESENT(rights))
            want = fault(VECTOR_NP, 0x40 * 8 + 2 + external);
        check(b, &want, external ? "interrupt" : "int n", cpl, 0, rights);
        check_frame(b, WAY_EVENT, external ? 0 : 2, 8, cpl, &want);
    }
}

/* IRET pops SS always; a null one is for 64-bit code at privilege 0 to 2. */
static void null_stack_segments_of_iret(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b);
    for (unsigned n = 0; n < 4 * 4 * 4 * 2; n++) {
        unsigned cpl = n & 3, to = n >> 2 & 3, rpl = n >> 4 & 3;
        bool wide = n >> 6;
        if (to < cpl)
            continue;
        bench_descriptor(b, TARGET, 0, 0xfffff,
                         (wide ? RIGHTS_CODE64 : RIGHTS_CODE32) | to << 5);
        put_operation(b, OP_IRET, TARGET | to);
        bench_put(b, 0x6020, rpl, 8);
        enter(b, cpl);
        bench_run(b, 1);
        struct outcome want = wide && to != 3 && rpl == to ? success(to) : fault(VECTOR_GP, 0);
        check(b, &want, "iret with a null SS", cpl, rpl, wide);
        if (want.vector == NONE) {
            assert_int_equal(b->cpu->s.seg[SS].selector, rpl);
            assert_true(is_loaded(b, SS));
        }
    }
}

/* Targets and stacks that are not canonical. */
static void places_not_canonical(void **state)
{
    struct cpu_bench *b = *state;
    const uint64_t bad = 0x800000000000;

    prepare(b);
    put_operation(b, OP_IRET, CODE_OF(3) | 3);
    bench_put(b, 0x6000, bad, 8);
    enter(b, 0);
    bench_run(b, 1);
    struct outcome want = fault(VECTOR_GP, 0);
    check(b, &want, "iret", 0, 0, 0);
    put_target(b, 0xec, CODE_OF(0));
    bench_put(b, GDT + TARGET + 8, bad >> 32, 8);
    put_operation(b, OP_CALL, TARGET);
    enter(b, 3);
    bench_run(b, 1);
    check(b, &want, "call gate", 3, TARGET, 0);
    bench_put(b, GDT + TARGET + 8, 1ull << 40, 8); /* the upper half has a type */
    want = fault(VECTOR_GP, TARGET);
    enter(b, 3);
    bench_run(b, 1);
    check(b, &want, "call gate's upper half", 3, TARGET, 0);
    bench_put(b, TSS + 4 + 8, bad, 8);
    bench_gate64(b, 0x40, CODE_OF(1), PLACE, 0, 0xee);
    bench_code(b, 0x8000, "\xcd\x40", 2);
    want = fault(VECTOR_SS, 0);
    enter(b, 3);
    bench_run(b, 1);
    check(b, &want, "inner stack", 3, 0, 0);
    bench_gate64(b, 0x40, CODE_OF(1), bad, 0, 0xee);
    bench_put(b, TSS + 4 + 8, 0x6c00, 8);
    want = fault(VECTOR_GP, 0);
    enter(b, 3);
    bench_run(b, 1);
    check(b, &want, "gate's offset", 3, 0, 0);
}

/* RSP as it is, where no other stack is asked for: each end of the frame must
 * be canonical. */
static void frames_across_the_canonical_border(void **state)
{
    static const struct { uint64_t rsp; bool good; } cases[] = {
        { 0x800000000000, true }, { 0x80000000000f, true }, { 0x800000000010, false },
        { 0x800000000020, false }, { 0x800000000030, false }, { 0xffff800000000000, false },
        { 0xffff800000000020, false }, { 0xffff800000000030, true },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        prepare(b);
        bench_put(b, TABLES + 8 * 255, (TABLES + 0x3000) | 7, 8); /* the last page below the border */
        bench_put(b, TABLES + 0x3000 + 8 * 511, (TABLES + 0x4000) | 7, 8);
        bench_put(b, TABLES + 0x4000 + 8 * 511, 0x87, 8);
        bench_put(b, TABLES + 8 * 256, (TABLES + 0x1000) | 7, 8);
        bench_put(b, TSS + 0x24, 0x6c00, 8);
        bench_gate64(b, VECTOR_SS, CODE_OF(0), 0xa000 + 16 * VECTOR_SS, 1, 0x8e);
        bench_gate64(b, 0x40, CODE_OF(0), PLACE, 0, 0xee);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        enter(b, 0);
        s->gpr[RSP] = cases[i].rsp;
        bench_run(b, 1);
        if (cases[i].good) {
            assert_int_equal(s->gpr[RIP], PLACE);
            assert_true(s->gpr[RSP] == (cases[i].rsp & ~15ull) - 40);
            continue;
        }
        assert_int_equal(vector_seen(b), VECTOR_SS);
        assert_int_equal(bench_get(b, 0x6c00 - 48, 8), 0);
        assert_int_equal(bench_get(b, 0x6c00 - 40, 8), 0x8000);
        assert_true(bench_get(b, 0x6c00 - 16, 8) == cases[i].rsp);
    }
}

/* Double faults */

enum second { SECOND_NP, SECOND_GP, SECOND_PF, SECOND_SS, SECOND_TS, SECOND_COUNT };

static bool is_contributory(unsigned vector)
{
    return vector == VECTOR_DE || (vector >= VECTOR_TS && vector <= VECTOR_GP);
}

/* A gate whose use raises the second fault. */
static void spoil_gate(struct cpu_bench *b, unsigned vector, enum second second)
{
    unsigned rights = second == SECOND_NP ? 0x0e : second == SECOND_GP ? 0x82 : 0x8e;
    unsigned ist = second == SECOND_PF ? 1 : second == SECOND_SS ? 2 : second == SECOND_TS ? 7 : 0;

    bench_gate64(b, vector, CODE_OF(0), 0xa000 + 16 * vector, ist, rights);
}

static void second_faults_by_the_first(void **state)
{
    static const uint8_t firsts[] = { 0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19 };
    static const uint8_t vectors[] = { VECTOR_NP, VECTOR_GP, VECTOR_PF, VECTOR_SS, VECTOR_TS };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(firsts); i++) {
        for (unsigned second = 0; second < SECOND_COUNT; second++) {
            unsigned first = firsts[i], vector = vectors[second];
            prepare(b);
            s->tr.limit = 0x53; /* cuts IST7 off */
            bench_put(b, TSS + 0x24, 0x40001000, 8);
            bench_put(b, TSS + 0x2c, 0x800000000000, 8);
            spoil_gate(b, first, (enum second)second);
            enter(b, 0);
            bool has_error = first == 8 || (first >= 10 && first <= 14) || first == 17;
            b->cpu->exception = (struct exception){ (uint8_t)first, has_error, 0, 0 };
            cpu_deliver_exception(b->cpu);
            bool doubled = (is_contributory(first) && is_contributory(vector))
                           || (first == VECTOR_PF && (is_contributory(vector) || vector == VECTOR_PF));
            if (first == VECTOR_DF) {
                assert_int_equal(s->activity, CPU_SHUTDOWN);
                continue;
            }
            if (vector_seen(b) != (doubled ? VECTOR_DF : vector))
                fail_msg("%u while %u is delivered: %u", vector, first, vector_seen(b));
            static const unsigned errors[] = { 3, 3, 2, 1, TASK | 1 };
            unsigned error = errors[second] + (second < SECOND_PF ? 8 * first : 0);
            assert_int_equal(bench_get(b, s->gpr[RSP], 8), doubled ? 0 : error);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(transfers_by_descriptor),
        BENCH_TEST(call_gates_by_target),
        BENCH_TEST(gates_push_where_rsp_is),
        BENCH_TEST(interrupt_gates_by_target),
        BENCH_TEST(interrupts_by_gate),
        BENCH_TEST(null_stack_segments_of_iret),
        BENCH_TEST(places_not_canonical),
        BENCH_TEST(frames_across_the_canonical_border),
        BENCH_TEST(second_faults_by_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
