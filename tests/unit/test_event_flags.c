/*
 * Flags around events: what is pushed, with RF by the kind of exception, and what a handler
 * starts with, through every gate and in every mode; the redirection bitmap of virtual-8086
 * mode. (SDM vol. 3: 6.8, 6.12.1.2, 17.3.1.1, 20.1.4, 21.3)
 */
#include "cpu_bench.h"

#define STACK 0x6000u
#define PLACE 0xc000u
#define NEW_TASK 0x90u
#define NEW_TSS 0x3200u
#define ALL_FLAGS (0x3f7fd7u & ~FLAG_VM)

enum gate { REAL, GATE16, TRAP16, GATE32, TRAP32, TASK_GATE, GATE64, TRAP64, GATES };

static void enter(struct cpu_bench *b, enum gate gate)
{
    static const uint8_t types[GATES] = { 0, 0x86, 0x87, 0x8e, 0x8f, 0x85, 0x8e, 0x8f };
    struct cpu_state *s = &b->cpu->s;

    cpu_reset(b->cpu);
    if (gate >= GATE64)
        bench_long(b, 0);
    else if (gate != REAL)
        bench_protected(b, 0);
    for (unsigned vector = 0; vector < 32; vector++) {
        if (gate >= GATE64)
            bench_gate64(b, vector, CODE64, PLACE, 0, types[gate]);
        else if (gate == REAL)
            bench_put(b, 4 * vector, PLACE, 4);
        else
            bench_gate(b, vector, gate == TASK_GATE ? NEW_TASK : CODE0, PLACE, types[gate]);
    }
    for (unsigned i = 0; i < 104; i += 4)
        bench_put(b, NEW_TSS + i, 0, 4);
    bench_put(b, NEW_TSS + 32, PLACE, 4);
    bench_put(b, NEW_TSS + 36, FLAG_1, 4);
    bench_put(b, NEW_TSS + 56, 0x5000, 4);
    bench_put(b, NEW_TSS + 76, CODE0, 2);
    bench_put(b, NEW_TSS + 80, DATA0, 2);
    bench_descriptor(b, NEW_TASK, NEW_TSS, 0x67, 0x89);
    bench_descriptor(b, TASK, TSS, 0x67, 0x8b);
    s->seg[CS].base = gate == REAL ? 0 : s->seg[CS].base;
    s->gpr[RSP] = STACK;
    s->gpr[RIP] = 0x8000;
}

/* The flags that the handler finds saved. */
static uint64_t saved_flags(struct cpu_bench *b, enum gate gate, bool error)
{
    static const uint8_t widths[GATES] = { 2, 2, 2, 4, 4, 4, 8, 8 };
    unsigned width = widths[gate];

    if (gate == TASK_GATE)
        return bench_get(b, TSS + 36, 4);
    return bench_get(b, b->cpu->s.gpr[RSP] + width * (error && gate != REAL ? 3 : 2), width);
}

static uint64_t handler_flags(enum gate gate, uint64_t before)
{
    bool interrupts_stay = gate == TRAP16 || gate == TRAP32 || gate == TRAP64;

    switch (gate) {
    case REAL: return before & ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    case TASK_GATE: return FLAG_1 | FLAG_NT;
    default: return before & ~(FLAG_TF | FLAG_NT | FLAG_RF | (interrupts_stay ? 0 : FLAG_IF));
    }
}

static void flags_by_exception_and_gate(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < GATES * 21 * 3; n++) {
        enum gate gate = (enum gate)(n % GATES);
        unsigned vector = n / GATES % 21, which = n / GATES / 21; /* flags: none, all but RF, all */
        bool error = vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
        uint64_t before = which == 0 ? FLAG_1 : which == 1 ? ALL_FLAGS & ~FLAG_RF : ALL_FLAGS;
        bool detected = vector == VECTOR_DB && which == 1; /* MOV DR under general detect */
        if (vector == 2 || vector == 15)
            continue;
        enter(b, gate);
        s->rflags = before;
        s->dr[6] = 0xffff0ff0 | 5;
        s->dr[7] = 0x400 | DR7_GD;
        s->debugctl = DEBUGCTL_BTF;
        b->cpu->exception = (struct exception){ (uint8_t)vector, error, 0, detected ? DR6_BD : 0 };
        cpu_restored(b->cpu);
        cpu_deliver_exception(b->cpu);
        assert_int_equal(s->gpr[RIP], PLACE);
        bool none = vector == 3 || vector == 4 || vector == 8 || vector == 18
                    || (vector == VECTOR_DB && !detected);
        uint64_t want = before | (none ? 0 : FLAG_RF), saved = saved_flags(b, gate, error);
        if (gate < GATE32)
            want &= 0xffff;
        if (saved != want || s->rflags != handler_flags(gate, before))
            fail_msg("vector %u, gate %u, flags %llx: saved %llx, wanted %llx; then %llx", vector, gate,
                     (unsigned long long)before, (unsigned long long)saved, (unsigned long long)want,
                     (unsigned long long)s->rflags);
        bool debug = vector == VECTOR_DB;
        assert_int_equal(s->dr[6], debug ? 0xffff0ff0 | (detected ? DR6_BD : 0) : 0xffff0ff5);
        assert_int_equal(s->dr[7] & DR7_GD, debug ? 0 : DR7_GD);
        assert_int_equal(s->debugctl, debug ? 0 : DEBUGCTL_BTF);
        if (vector == VECTOR_PF)
            assert_int_equal(s->cr2, 0);
    }
}

/* Interrupts and INT n: flags are pushed as they are. */
static void flags_by_interrupt_and_gate(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < GATES * 2 * 2; n++) {
        enum gate gate = (enum gate)(n % GATES);
        bool external = n / GATES & 1, all = n / GATES & 2;
        uint64_t before = all ? ALL_FLAGS & ~FLAG_RF & ~FLAG_TF : FLAG_1;
        enter(b, gate);
        s->rflags = before;
        bench_code(b, 0x8000, "\xcd\x14", 2);
        cpu_restored(b->cpu);
        if (external)
            cpu_deliver_interrupt(b->cpu, 0x14);
        else
            bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], PLACE);
        assert_int_equal(saved_flags(b, gate, false), gate < GATE32 ? before & 0xffff : before);
        assert_int_equal(s->rflags, handler_flags(gate, before));
    }
}

/* Virtual-8086 mode at 8000h; #GP leads to 9000h, all other vectors to PLACE. */
static void enter_v86(struct cpu_bench *b, uint64_t flags)
{
    struct cpu_state *s = &b->cpu->s;

    enter(b, GATE32);
    bench_protected(b, 3);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
    for (unsigned vector = 32; vector < 256; vector++)
        bench_gate(b, vector, CODE0, PLACE, 0xee);
    for (unsigned vector = 0; vector < 32; vector++)
        if (vector != VECTOR_GP)
            bench_gate(b, vector, CODE0, PLACE, 0xee);
    s->rflags = FLAG_1 | FLAG_VM | flags;
    s->cr4 = CR4_VME;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        segment_load_real(b->cpu, i, 0);
}

/* A bit of the map before the I/O map sends its vector to the monitor, no other does. */
static void redirection_by_vector(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 256 * 2; n++) {
        unsigned vector = n / 2;
        bool set = n & 1;
        enter_v86(b, FLAG_IOPL);
        s->tr.limit = 0x200;
        bench_put(b, TSS + 0x66, 0x100, 2);
        for (unsigned i = 0; i < 64; i++)
            bench_put(b, TSS + 0xd0 + i, 0xff, 1); /* what is beside the map */
        for (unsigned i = 0; i < 32; i++)
            bench_put(b, TSS + 0xe0 + i, set ? 0 : 0xff, 1);
        bench_put(b, TSS + 0xe0 + vector / 8, (set ? 0 : 0xff) ^ 1u << (vector & 7), 1);
        bench_put(b, 4 * vector, 0x00051234, 4);
        bench_put(b, 0x8000, 0xcd | vector << 8, 2);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        if (set) {
            assert_int_equal(s->gpr[RIP], vector == VECTOR_GP ? 0x9000 : PLACE);
            assert_int_equal(s->cpl, 0);
        } else {
            assert_int_equal(s->gpr[RIP], 0x1234);
            assert_int_equal(s->seg[CS].selector, 5);
            assert_int_equal(s->seg[CS].base, 0x50);
        }
    }
}

/* The bit must be inside the TSS, which must be one of 32 bits and hold the map's place. */
static void redirection_by_limit(void **state)
{
    static const struct { unsigned type, limit, map, vector; bool good; } cases[] = {
        { 0x8b, 0x200, 0x100, 0x40, true },  { 0x8b, 0xe8, 0x100, 0x40, true },
        { 0x8b, 0xe7, 0x100, 0x40, false },  { 0x8b, 0xe8, 0x100, 0x47, true },
        { 0x8b, 0xe8, 0x100, 0x48, false },  { 0x8b, 0xff, 0x100, 0xff, true },
        { 0x8b, 0xfe, 0x100, 0xff, false },  { 0x8b, 0x67, 0x30, 0x40, true },
        { 0x8b, 0x66, 0x30, 0x40, false },   { 0x83, 0x200, 0x100, 0x40, false },
        { 0x8b, 0x200, 0x17, 0x40, false },  { 0x8b, 0x200, 0x18, 0x40, true },
        { 0x89, 0x200, 0x100, 0x40, true },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        enter_v86(b, 0);
        s->tr.limit = cases[i].limit;
        s->tr.attributes = (uint16_t)cases[i].type;
        for (unsigned k = 0x68; k < 0x200; k++)
            bench_put(b, TSS + k, 0, 1);
        bench_put(b, TSS + 0x66, cases[i].map, 2);
        if (cases[i].type == 0x83)
            bench_put(b, TSS + 2, 0x7000 | DATA0 << 16, 4);
        bench_put(b, 4 * cases[i].vector, 0x1234, 4);
        bench_put(b, 0x8000, 0xcd | cases[i].vector << 8, 2);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        if (s->gpr[RIP] != (cases[i].good ? 0x1234 : 0x9000))
            fail_msg("case %u: at %llx", i, (unsigned long long)s->gpr[RIP]);
        if (!cases[i].good)
            assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(flags_by_exception_and_gate),
        BENCH_TEST(flags_by_interrupt_and_gate),
        BENCH_TEST(redirection_by_vector),
        BENCH_TEST(redirection_by_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
