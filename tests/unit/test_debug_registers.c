/*
 * Debug exceptions: breakpoints on instructions, data and ports, single steps
 * of instructions and branches, RF, DR6, and what the shadow of MOV SS holds
 * back. (SDM vol. 3, chapter 18; 6.8.3)
 */
#include "cpu_bench.h"

#define HANDLER 0x9000
#define FRAME 0x6ff4 /* EIP, CS, EFLAGS of a handler without error code */
#define DR7_ALWAYS 0x400u
#define ENABLE(n) (2u << 2 * (n))
#define ON_WRITE(n, length) ((1u | ((length) - 1u) << 2) << (16 + 4 * (n)))
#define ON_ACCESS(n, length) ((3u | ((length) - 1u) << 2) << (16 + 4 * (n)))
#define ON_PORT(n, length) ((2u | ((length) - 1u) << 2) << (16 + 4 * (n)))

static uint64_t port_read(void *context, struct cpu *cpu, uint16_t port, unsigned bytes)
{
    (void)context, (void)cpu, (void)port, (void)bytes;
    return 0x55;
}

static void port_write(void *context, struct cpu *cpu, uint16_t port, uint64_t value, unsigned bytes)
{
    (void)context, (void)cpu, (void)port, (void)value, (void)bytes;
}

static struct cpu_state *prepare(struct cpu_bench *b, const char *code, unsigned bytes)
{
    bench_protected(b, 0);
    bench_gate(b, VECTOR_DB, CODE0, HANDLER, 0x8e);
    bench_gate(b, VECTOR_BP, CODE0, 0xa000, 0x8e);
    bench_gate(b, VECTOR_GP, CODE0, 0xb000, 0x8e);
    bench_code(b, 0x8000, code, bytes);
    bench_code(b, HANDLER, "\x90\x90", 2);
    bench_code(b, 0xa000, "\x90\x90", 2);
    bench_code(b, 0xb000, "\x90\x90", 2);
    b->cpu->bus.port_read = port_read;
    b->cpu->bus.port_write = port_write;
    b->cpu->s.dr[6] = 0xffff0ff0;
    b->cpu->s.dr[7] = DR7_ALWAYS;
    return &b->cpu->s;
}

/* Runs until the handler of #DB is entered; where it is to return to. */
static uint64_t run_to_debug(struct cpu_bench *b, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        bench_run(b, 1);
        if (b->cpu->s.gpr[RIP] == HANDLER)
            return bench_get(b, b->cpu->s.gpr[RSP], 4);
    }
    fail_msg("no #DB; EIP is %llx", (unsigned long long)b->cpu->s.gpr[RIP]);
    return 0;
}

static uint64_t pushed_rf(struct cpu_bench *b)
{
    return bench_get(b, b->cpu->s.gpr[RSP] + 8, 4) & FLAG_RF;
}

static void instruction_breakpoint_is_a_fault_without_rf(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x90\x90\x90", 3);

    s->dr[2] = 0x8001;
    s->dr[7] |= ENABLE(2);
    s->dr[6] |= 1 | DR6_BS; /* hits are replaced, the rest is kept */
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 3), 0x8001);
    assert_int_equal(pushed_rf(b), 0);
    assert_int_equal(s->dr[6], 0xffff0ff0 | DR6_BS | 4);
}

static void hits_are_replaced(void **state)
{
    struct cpu_bench *b = *state;

    for (unsigned n = 0; n < 4; n++) {
        struct cpu_state *s = prepare(b, "\x90\x90\x90", 3);
        s->dr[n] = 0x8001;
        s->dr[7] |= ENABLE(n);
        s->dr[6] |= 15;
        cpu_restored(b->cpu);
        run_to_debug(b, 3);
        assert_int_equal(s->dr[6], 0xffff0ff0 | 1u << n);
    }
}

static void iret_with_rf_passes_the_breakpoint_once(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcf", 1);

    s->dr[0] = 0x8100;
    s->dr[7] |= ENABLE(0);
    s->gpr[RSP] = 0x6ff4;
    bench_put(b, 0x6ff4, 0x8100, 4);
    bench_put(b, 0x6ff8, CODE0, 4);
    bench_put(b, 0x6ffc, FLAG_1 | FLAG_RF, 4);
    bench_code(b, 0x8100, "\xeb\xfe", 2);
    cpu_restored(b->cpu);
    bench_run(b, 1);
    assert_true(s->rflags & FLAG_RF);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x8100);
    assert_false(s->rflags & FLAG_RF);
    assert_int_equal(run_to_debug(b, 1), 0x8100);
}

static void rf_is_kept_without_breakpoints(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcf", 1);

    s->gpr[RSP] = 0x6ff4;
    bench_put(b, 0x6ff4, 0x8100, 4);
    bench_put(b, 0x6ff8, CODE0, 4);
    bench_put(b, 0x6ffc, FLAG_1 | FLAG_RF, 4);
    bench_code(b, 0x8100, "\x90\x90", 2);
    bench_run(b, 1);
    assert_true(s->rflags & FLAG_RF);
    cpu_deliver_interrupt(b->cpu, VECTOR_BP);
    assert_true(pushed_rf(b));
}

static void data_breakpoint_traps_behind_the_write(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xa2\x03\x20\x01\x00\x90", 6); /* mov %al, 0x12003 */

    s->dr[1] = 0x12000;
    s->dr[7] |= ENABLE(1) | ON_WRITE(1, 4);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 2), 0x8005);
    assert_int_equal(s->dr[6], 0xffff0ff2);
}

/* What the guest enables counts at once, also for a page that it has just written. */
static void watch_begins_with_mov_dr7(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x0f\x23\xc1\x88\x01\x88\x01" /* MOV dr0, ecx; [ecx], al */
                                     "\x0f\x23\xfb\x88\x01\x90", 13); /* dr7, ebx; [ecx], al */

    s->gpr[RCX] = 0x12000;
    s->gpr[RBX] = DR7_ALWAYS | ENABLE(0) | ON_WRITE(0, 1);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 6), 0x800c);
}

static void reads_hit_only_access_breakpoints(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xa0\x00\x20\x01\x00\xa0\x10\x20\x01\x00\x90", 11);

    s->dr[0] = 0x12000;
    s->dr[3] = 0x12010;
    s->dr[7] |= ENABLE(0) | ON_WRITE(0, 1) | ENABLE(3) | ON_ACCESS(3, 1);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 4), 0x800a);
    assert_int_equal(s->dr[6], 0xffff0ff8);
}

static void faulting_instruction_has_no_data_breakpoint(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "", 0);

    bench_protected(b, 3);
    bench_gate(b, VECTOR_SS, CODE0, 0xb000, 0x8e);
    bench_code(b, 0x8000, "\x60", 1); /* pushal, the last of whose pushes is below the limit */
    bench_descriptor(b, SPARE, 0, 0x13fff, 0xf7 | SEGMENT_DB);
    bench_segment(b, &s->seg[SS], SPARE | 3);
    s->gpr[RSP] = 0x1401c;
    s->dr[0] = 0x14018;
    s->dr[7] |= ENABLE(0) | ON_WRITE(0, 4);
    cpu_restored(b->cpu);
    bench_run(b, 2);
    assert_int_equal(s->gpr[RIP], 0xb001);
    assert_int_equal(s->dr[6], 0xffff0ff0);
}

static void pushes_of_a_delivery_hit_breakpoints(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcc", 1);

    s->dr[0] = 0x6ff8; /* where CS goes */
    s->dr[7] |= ENABLE(0) | ON_WRITE(0, 4);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 2), 0xa000);
    assert_int_equal(s->dr[6], 0xffff0ff1);
}

static void port_breakpoints_need_de(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xe4\x80\xe6\x81\x90", 5);

    s->dr[0] = 0x80;
    s->dr[1] = 0x81;
    s->dr[7] |= ENABLE(0) | ON_PORT(0, 1);
    cpu_restored(b->cpu);
    bench_run(b, 2);
    assert_int_equal(s->gpr[RIP], 0x8004);
    s->cr4 |= CR4_DE;
    s->gpr[RIP] = 0x8000;
    assert_int_equal(run_to_debug(b, 2), 0x8002);
    assert_int_equal(s->dr[6], 0xffff0ff1);
    s->dr[7] = DR7_ALWAYS | ENABLE(1) | ON_PORT(1, 1);
    s->gpr[RIP] = 0x8000;
    assert_int_equal(run_to_debug(b, 3), 0x8004);
    assert_int_equal(s->dr[6], 0xffff0ff2);
}

/* Every instruction that takes a port, by immediate, in DX and of strings. */
static void all_port_instructions_hit(void **state)
{
    static const struct { char code[3]; unsigned length; } cases[] = {
        { "\xe4\x80", 2 }, { "\xe5\x80", 2 }, { "\xe6\x80", 2 }, { "\xe7\x80", 2 },
        { "\xec", 1 }, { "\xed", 1 }, { "\xee", 1 }, { "\xef", 1 },
        { "\x6c", 1 }, { "\x6d", 1 }, { "\x6e", 1 }, { "\x6f", 1 },
    };
    struct cpu_bench *b = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cpu_state *s = prepare(b, "\x90\x90\x90", 3);
        bench_code(b, 0x8000, cases[i].code, cases[i].length);
        s->dr[0] = 0x80;
        s->dr[7] |= ENABLE(0) | ON_PORT(0, 1);
        s->cr4 |= CR4_DE;
        s->gpr[RDX] = 0x80;
        s->gpr[RSI] = s->gpr[RDI] = 0x12000;
        cpu_restored(b->cpu);
        assert_int_equal(run_to_debug(b, 2), 0x8000 + cases[i].length);
        assert_int_equal(s->dr[6], 0xffff0ff1);
    }
}

static void rep_outs_of_nothing_hits_no_port_breakpoint(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xf3\x6e\x90\x90", 4);

    s->dr[0] = 0x80;
    s->dr[7] |= ENABLE(0) | ON_PORT(0, 1);
    s->cr4 |= CR4_DE;
    s->gpr[RDX] = 0x80;
    s->gpr[RCX] = 0;
    cpu_restored(b->cpu);
    bench_run(b, 3);
    assert_int_equal(s->gpr[RIP], 0x8004);
}

static void steps_of_rep_push_rf_until_the_last(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xf3\xaa\x90", 3);

    s->gpr[RCX] = 2;
    s->gpr[RDI] = 0x12000;
    s->rflags |= FLAG_TF;
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 2), 0x8000);
    assert_true(pushed_rf(b));
    assert_int_equal(s->dr[6], 0xffff4ff0);
    s->gpr[RIP] = 0x8000;
    s->rflags |= FLAG_TF;
    assert_int_equal(run_to_debug(b, 2), 0x8002);
    assert_false(pushed_rf(b));
}

static void interrupt_between_iterations_pushes_rf(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xf3\xaa\x90", 3);

    s->gpr[RCX] = 100;
    s->gpr[RDI] = 0x12000;
    cpu_restored(b->cpu);
    bench_run(b, 10);
    assert_int_equal(s->gpr[RCX], 90);
    cpu_deliver_interrupt(b->cpu, VECTOR_BP);
    assert_int_equal(bench_get(b, FRAME, 4), 0x8000);
    assert_true(pushed_rf(b));
    s->gpr[RIP] = 0x8000;
    bench_run(b, 90);
    assert_int_equal(s->gpr[RIP], 0x8002);
    assert_false(s->rflags & FLAG_RF);
}

static void shadow_of_sti_covers_one_iteration(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xaa\xfb\xf3\xaa\x90", 5);

    bench_gate(b, VECTOR_NMI, CODE0, 0xa000, 0x8e);
    s->gpr[RCX] = 100;
    s->gpr[RDI] = 0x12000;
    cpu_restored(b->cpu);
    bench_run(b, 2);
    s->nmi_pending = 1;
    bench_run(b, 2);
    assert_int_equal(s->gpr[RCX], 99);
    assert_int_equal(s->gpr[RIP], 0xa000);
}

static void data_breakpoint_stops_rep_after_its_iteration(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xf3\xaa\x90", 3);

    s->gpr[RCX] = 8;
    s->gpr[RDI] = 0x12000;
    s->dr[0] = 0x12003;
    s->dr[7] |= ENABLE(0) | ON_WRITE(0, 1);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 9), 0x8000);
    assert_int_equal(s->gpr[RCX], 4);
    assert_true(pushed_rf(b));
}

static void mov_ss_drops_the_step_and_keeps_the_watch(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\x15\x00\x20\x01\x00\x90\x90", 8); /* mov 0x12000, %ss */

    bench_put(b, 0x12000, DATA0, 2);
    s->dr[0] = 0x12000;
    s->dr[7] |= ENABLE(0) | ON_ACCESS(0, 2);
    s->rflags |= FLAG_TF;
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 3), 0x8007);
    assert_int_equal(s->dr[6], 0xffff4ff1);
}

static void watch_of_mov_ss_comes_inside_the_handler_of_int3(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\x15\x00\x20\x01\x00\xcc", 7);

    bench_put(b, 0x12000, DATA0, 2);
    s->dr[0] = 0x12000;
    s->dr[7] |= ENABLE(0) | ON_ACCESS(0, 2);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 3), 0xa000);
    assert_int_equal(s->dr[6], 0xffff0ff1);
}

static void watch_of_mov_ss_comes_inside_the_handler_of_a_fault(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\x15\x00\x20\x01\x00\xcd\x77", 8);

    bench_put(b, 0x12000, DATA0, 2);
    s->dr[0] = 0x12000;
    s->dr[7] |= ENABLE(0) | ON_ACCESS(0, 2);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 3), 0xb000);
    assert_int_equal(s->shadow_mov_ss, 0);
}

static void int1_reports_the_watch_of_mov_ss(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\x15\x00\x20\x01\x00\xf1", 7);

    bench_put(b, 0x12000, DATA0, 2);
    s->dr[0] = 0x12000;
    s->dr[7] |= ENABLE(0) | ON_ACCESS(0, 2);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 2), 0x8007);
    assert_int_equal(s->dr[6], 0xffff0ff1);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], HANDLER + 1);
}

static void amd_breakpoint_reports_the_watch_of_mov_ss(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\x15\x00\x20\x01\x00\x90", 7);

    assert_int_equal(cpu_model_parse(&b->model, "max,vendor=AuthenticAMD", 1, NULL), 0);
    bench_put(b, 0x12000, DATA0, 2);
    s->dr[0] = 0x12000;
    s->dr[1] = 0x8006;
    s->dr[7] |= ENABLE(0) | ENABLE(1) | ON_ACCESS(0, 2);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 2), 0x8006);
    assert_int_equal(s->dr[6], 0xffff0ff3);
    assert_int_equal(s->shadow_mov_ss, 0);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], HANDLER + 1);
}

static void int1_leaves_dr6_alone(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xf1", 1);

    s->dr[6] = 0xffff4ff2;
    s->debugctl = DEBUGCTL_BTF;
    assert_int_equal(run_to_debug(b, 1), 0x8001);
    assert_int_equal(s->dr[6], 0xffff4ff2);
    assert_int_equal(s->debugctl, 0);
}

static void only_the_first_of_several_loads_of_ss_has_a_shadow(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\xd0\x8e\xd0\x90", 5);

    s->gpr[RAX] = DATA0;
    s->rflags |= FLAG_TF;
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 3), 0x8004);
}

static void shadow_hides_the_breakpoint_behind_mov_ss(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\xd0\x90\x90", 4);

    s->gpr[RAX] = DATA0;
    s->dr[0] = 0x8002;
    s->dr[1] = 0x8003;
    s->dr[7] |= ENABLE(0) | ENABLE(1);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 3), 0x8003);
}

static void amd_shows_the_breakpoint_behind_mov_ss(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x8e\xd0\x90\x90", 4);

    assert_int_equal(cpu_model_parse(&b->model, "max,vendor=AuthenticAMD", 1, NULL), 0);
    s->gpr[RAX] = DATA0;
    s->dr[0] = 0x8002;
    s->dr[7] |= ENABLE(0);
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 2), 0x8002);
}

static void general_detect_pushes_rf(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x0f\x23\xf0", 3); /* mov %eax, %dr6 */

    s->dr[7] |= DR7_GD;
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 1), 0x8000);
    assert_true(pushed_rf(b));
    assert_int_equal(s->dr[6], 0xffff2ff0);
    assert_int_equal(s->dr[7], DR7_ALWAYS);
}

static void branch_steps_stop_behind_taken_branches_only(void **state)
{
    struct cpu_bench *b = *state;
    /* nop; jne +1 (not taken); nop; jmp +1; int3; nop */
    struct cpu_state *s = prepare(b, "\x90\x75\x01\x90\xeb\x01\xcc\x90", 8);

    s->rflags |= FLAG_TF | FLAG_ZF;
    s->debugctl = DEBUGCTL_BTF;
    cpu_restored(b->cpu);
    assert_int_equal(run_to_debug(b, 5), 0x8007);
    assert_int_equal(s->dr[6], 0xffff4ff0);
    assert_int_equal(s->debugctl, 0);
}

static void sysret_traps_by_the_flag_that_it_sets(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "", 0);

    bench_long(b, 0);
    bench_gate64(b, VECTOR_DB, CODE64, HANDLER, 0, 0x8e);
    bench_code(b, 0x8000, "\x48\x0f\x07", 3);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)(CODE64_3 - 16) << 48;
    s->gpr[RCX] = 0xc000;
    s->gpr[R11] = FLAG_1 | FLAG_TF;
    cpu_restored(b->cpu);
    bench_run(b, 2);
    assert_int_equal(s->gpr[RIP], HANDLER);
    assert_int_equal(bench_get(b, s->gpr[RSP], 8), 0xc000);
    assert_int_equal(s->dr[6], 0xffff4ff0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(instruction_breakpoint_is_a_fault_without_rf),
        BENCH_TEST(hits_are_replaced),
        BENCH_TEST(iret_with_rf_passes_the_breakpoint_once),
        BENCH_TEST(rf_is_kept_without_breakpoints),
        BENCH_TEST(data_breakpoint_traps_behind_the_write),
        BENCH_TEST(watch_begins_with_mov_dr7),
        BENCH_TEST(reads_hit_only_access_breakpoints),
        BENCH_TEST(faulting_instruction_has_no_data_breakpoint),
        BENCH_TEST(pushes_of_a_delivery_hit_breakpoints),
        BENCH_TEST(port_breakpoints_need_de),
        BENCH_TEST(rep_outs_of_nothing_hits_no_port_breakpoint),
        BENCH_TEST(all_port_instructions_hit),
        BENCH_TEST(steps_of_rep_push_rf_until_the_last),
        BENCH_TEST(interrupt_between_iterations_pushes_rf),
        BENCH_TEST(shadow_of_sti_covers_one_iteration),
        BENCH_TEST(data_breakpoint_stops_rep_after_its_iteration),
        BENCH_TEST(mov_ss_drops_the_step_and_keeps_the_watch),
        BENCH_TEST(watch_of_mov_ss_comes_inside_the_handler_of_int3),
        BENCH_TEST(watch_of_mov_ss_comes_inside_the_handler_of_a_fault),
        BENCH_TEST(int1_reports_the_watch_of_mov_ss),
        BENCH_TEST(amd_breakpoint_reports_the_watch_of_mov_ss),
        BENCH_TEST(int1_leaves_dr6_alone),
        BENCH_TEST(only_the_first_of_several_loads_of_ss_has_a_shadow),
        BENCH_TEST(shadow_hides_the_breakpoint_behind_mov_ss),
        BENCH_TEST(amd_shows_the_breakpoint_behind_mov_ss),
        BENCH_TEST(general_detect_pushes_rf),
        BENCH_TEST(branch_steps_stop_behind_taken_branches_only),
        BENCH_TEST(sysret_traps_by_the_flag_that_it_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
