/*
 * What comes between two instructions: every combination of requests, masks and
 * shadows, by SDM vol. 3, table 6-2, and what each leaves waiting.
 */
#include "cpu_bench.h"

static unsigned acknowledged;
static int acknowledge(void *context, struct cpu *cpu)
{
    (void)context;
    acknowledged++;
    cpu->interrupt_line = false;
    return 0x40;
}

enum {
    INIT = 1, SMI = 2, TRAP = 4, NMI = 8, INTERRUPT = 16, FLAG_SET = 32, STI = 64, MOV_SS = 128,
    BLOCKED = 256, SMM = 512, HALTED = 1024, YIELD = 2048, ALL = 4095,
};
enum came { NOTHING, CAME_INIT, CAME_SMI, CAME_TRAP, CAME_NMI, CAME_INTERRUPT, CAME_YIELD, CAME_HALT };

static enum came want(unsigned n)
{
    bool inhibited = n & (STI | MOV_SS);

    if (n & INIT && !(n & SMM))
        return CAME_INIT;
    if (n & SMI && !(n & SMM) && !inhibited)
        return CAME_SMI;
    if (n & TRAP && !(n & MOV_SS))
        return CAME_TRAP;
    if (n & NMI && !(n & BLOCKED) && !inhibited)
        return CAME_NMI;
    if (n & INTERRUPT && n & FLAG_SET && !inhibited)
        return CAME_INTERRUPT;
    return n & HALTED ? CAME_HALT : n & YIELD ? CAME_YIELD : NOTHING;
}

static void prepare(struct cpu_bench *b, unsigned n)
{
    struct cpu_state *s = &b->cpu->s;

    cpu_reset(b->cpu);
    bench_protected(b, 0);
    bench_gate(b, VECTOR_DB, CODE0, 0x9000, 0x8f); /* trap gates: IF stays */
    bench_gate(b, VECTOR_NMI, CODE0, 0x9100, 0x8f);
    bench_gate(b, 0x40, CODE0, 0x9200, 0x8f);
    bench_code(b, 0x8000, "\x90\x90", 2);
    s->init_pending = !!(n & INIT);
    s->smi_pending = !!(n & SMI);
    s->pending_debug = n & TRAP ? DR6_BS : 0;
    s->nmi_pending = n & NMI ? 2 : 0;
    s->rflags = FLAG_1 | (n & FLAG_SET ? FLAG_IF : 0);
    s->shadow_sti = !!(n & STI);
    s->shadow_mov_ss = !!(n & MOV_SS);
    s->nmi_blocked = !!(n & BLOCKED);
    s->smm = !!(n & SMM);
    s->activity = n & HALTED ? CPU_HALTED : CPU_RUNNING;
    s->yield = !!(n & YIELD);
    cpu_restored(b->cpu);
    b->cpu->interrupt_line = n & INTERRUPT;
    b->cpu->bus.interrupt_acknowledge = acknowledge;
    acknowledged = 0;
}

static void requests_by_priority(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n <= ALL; n++) {
        prepare(b, n);
        enum cpu_exit exit = bench_run(b, 1);
        enum came came = s->seg[CS].selector == 0xf000         ? CAME_INIT
                         : s->smm && !(n & SMM)                ? CAME_SMI
                         : s->gpr[RIP] == 0x9000               ? CAME_TRAP
                         : s->gpr[RIP] == 0x9100               ? CAME_NMI
                         : s->gpr[RIP] == 0x9200               ? CAME_INTERRUPT
                         : exit == CPU_EXIT_YIELD              ? CAME_YIELD
                         : exit == CPU_EXIT_HALTED             ? CAME_HALT
                                                               : NOTHING;
        if (came != want(n))
            fail_msg("%x: %u, wanted %u", n, came, want(n));
        if (came == CAME_INIT)
            continue;
        bool event = came >= CAME_SMI && came <= CAME_INTERRUPT;
        assert_int_equal(cpu_retired(b->cpu), event || came == NOTHING);
        if (came == NOTHING)
            assert_int_equal(s->gpr[RIP], 0x8001);
        if (came == CAME_YIELD || came == CAME_HALT)
            assert_int_equal(s->gpr[RIP], 0x8000);
        if (event)
            assert_int_equal(s->activity, CPU_RUNNING);
        assert_int_equal(s->init_pending, !!(n & INIT)); /* what did not come waits */
        assert_int_equal(s->smi_pending, n & SMI && came != CAME_SMI);
        assert_int_equal(s->nmi_pending, (n & NMI ? 2 : 0) - (came == CAME_NMI));
        assert_int_equal(acknowledged, came == CAME_INTERRUPT);
        assert_int_equal(s->nmi_blocked, n & BLOCKED || came == CAME_NMI || came == CAME_SMI);
        assert_int_equal(s->yield, n & YIELD && came != CAME_YIELD);
        if (came == NOTHING || came == CAME_TRAP)
            assert_int_equal(s->shadow_sti | s->shadow_mov_ss, 0);
    }
}

/* Nothing but INIT ends the wait for a startup IPI, and nothing a shutdown. */
static void vcpus_that_do_not_run(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    prepare(b, SMI | TRAP | NMI | INTERRUPT | FLAG_SET);
    s->activity = CPU_WAIT_SIPI;
    assert_int_equal(bench_run(b, 5), CPU_EXIT_HALTED);
    assert_int_equal(cpu_retired(b->cpu), 0);
    assert_int_equal(s->gpr[RIP], 0x8000);
    s->activity = CPU_SHUTDOWN;
    assert_int_equal(bench_run(b, 5), CPU_EXIT_SHUTDOWN);
    assert_int_equal(cpu_retired(b->cpu), 0);
    s->init_pending = 1;
    s->index = 1;
    assert_int_equal(bench_run(b, 5), CPU_EXIT_HALTED);
    assert_int_equal(s->activity, CPU_WAIT_SIPI);
    s->index = 0;
}

/* The interrupt that went away between the line and the acknowledgement. */
static int no_vector(void *context, struct cpu *cpu)
{
    (void)context;
    acknowledged++;
    cpu->interrupt_line = false;
    return -1;
}

static void interrupts_may_go_away(void **state)
{
    struct cpu_bench *b = *state;

    prepare(b, INTERRUPT | FLAG_SET);
    b->cpu->bus.interrupt_acknowledge = no_vector;
    assert_int_equal(bench_run(b, 1), CPU_EXIT_BUDGET);
    assert_int_equal(acknowledged, 1);
    assert_int_equal(b->cpu->s.gpr[RIP], 0x8001);
}

/* An exception's delivery ends the shadows: its handler can be interrupted at once. */
static void exceptions_end_shadows(void **state)
{
    static const char *const codes[] = { "\xfb\x0f\x0b", "\x16\x17\x0f\x0b" }; /* STI, POP SS; UD2 */
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 2; n++) {
        prepare(b, n ? FLAG_SET : 0);
        bench_gate(b, VECTOR_UD, CODE0, 0x9300, 0x8f);
        bench_code(b, 0x8000, codes[n], 3 + n);
        bench_run(b, 1 + n);
        assert_int_equal(s->shadow_sti + s->shadow_mov_ss, 1);
        b->cpu->interrupt_line = true;
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9300);
        assert_int_equal(s->shadow_sti + s->shadow_mov_ss, 0);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9200);
        assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0x9300);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(requests_by_priority),
        BENCH_TEST(vcpus_that_do_not_run),
        BENCH_TEST(interrupts_may_go_away),
        BENCH_TEST(exceptions_end_shadows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
