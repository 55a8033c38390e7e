/* Delivery of exceptions and interrupts, and IRET. */
#include "cpu_bench.h"

#include "cpu/exceptions.h"

static void raise_error(struct cpu_bench *b, unsigned vector, uint32_t error)
{
    b->cpu->exception = (struct exception){ (uint8_t)vector, true, error, 0 };
    cpu_deliver_exception(b->cpu);
}

static void raise(struct cpu_bench *b, unsigned vector, uint64_t address)
{
    b->cpu->exception = (struct exception){ (uint8_t)vector, false, 0, address };
    cpu_deliver_exception(b->cpu);
}

static uint64_t run(struct cpu_bench *b, unsigned count)
{
    bench_run(b, count);
    return b->cpu->s.gpr[RIP];
}

/* Real mode */

static void real_mode_uses_the_vector_table(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_put(b, 0x21 * 4, 0x20001234, 4);
    bench_code(b, 0x8000, "\xcd\x21", 2);
    bench_code(b, 0x21234, "\xcf", 1);
    s->seg[CS].base = 0;
    s->seg[CS].selector = 0;
    s->seg[SS].base = 0x5000;
    s->seg[SS].selector = 0x500;
    s->gpr[RSP] = 0xabcd0100;
    s->gpr[RIP] = 0x8000;
    s->rflags = FLAG_1 | FLAG_IF | FLAG_CF | FLAG_AC;
    cpu_restored(b->cpu);
    assert_int_equal(run(b, 1), 0x1234);
    assert_int_equal(s->seg[CS].selector, 0x2000);
    assert_int_equal(s->seg[CS].base, 0x20000);
    assert_int_equal(s->gpr[RSP], 0xabcd00fa);
    assert_int_equal(bench_get(b, 0x50fa, 2), 0x8002);
    assert_int_equal(bench_get(b, 0x50fc, 2), 0);
    assert_int_equal(bench_get(b, 0x50fe, 2), 0x203);
    assert_int_equal(s->rflags & (FLAG_IF | FLAG_AC), 0);
    assert_int_equal(run(b, 1), 0x8002);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF | FLAG_CF);
    assert_int_equal(s->gpr[RSP], 0xabcd0100);
}

static void real_mode_without_table_shuts_down(void **state)
{
    struct cpu_bench *b = *state;

    b->cpu->s.idtr.limit = 0;
    raise(b, VECTOR_UD, 0);
    assert_int_equal(b->cpu->s.activity, CPU_SHUTDOWN);
}

/* Protected mode */

static void fault_pushes_error_and_rf(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
    s->rflags |= FLAG_IF | FLAG_NT;
    raise_error(b, VECTOR_GP, 0x1234);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(s->gpr[RSP], 0x7000 - 16);
    assert_int_equal(bench_get(b, 0x6ff0, 4), 0x1234);
    assert_int_equal(bench_get(b, 0x6ff4, 4), 0x8000);
    assert_int_equal(bench_get(b, 0x6ff8, 4), CODE0);
    assert_int_equal(bench_get(b, 0x6ffc, 4), FLAG_1 | FLAG_IF | FLAG_NT | FLAG_RF);
    assert_int_equal(s->rflags & (FLAG_IF | FLAG_NT | FLAG_RF), 0);
}

static void trap_gate_keeps_if(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_gate(b, 0x40, CODE0, 0x9000, 0x8f);
    b->cpu->s.rflags |= FLAG_IF;
    cpu_deliver_interrupt(b->cpu, 0x40);
    assert_int_equal(b->cpu->s.gpr[RIP], 0x9000);
    assert_true(b->cpu->s.rflags & FLAG_IF);
    assert_int_equal(bench_get(b, 0x6ffc, 4), FLAG_1 | FLAG_IF);
}

static void int_enters_ring_0_and_iret_leaves(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    bench_gate(b, 0x80, CODE0, 0x9000, 0xee);
    bench_code(b, 0x8000, "\xcd\x80", 2);
    bench_code(b, 0x9000, "\xcf", 1);
    s->rflags |= FLAG_IF;
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[CS].selector, CODE0);
    assert_int_equal(s->seg[SS].selector, DATA0);
    assert_int_equal(s->gpr[RSP], 0x7000 - 20);
    assert_int_equal(bench_get(b, 0x6fec, 4), 0x8002);
    assert_int_equal(bench_get(b, 0x6ff0, 4), CODE3);
    assert_int_equal(bench_get(b, 0x6ff4, 4), FLAG_1 | FLAG_IF);
    assert_int_equal(bench_get(b, 0x6ff8, 4), 0x6000);
    assert_int_equal(bench_get(b, 0x6ffc, 4), DATA3);
    bench_segment(b, &s->seg[FS], DATA0); /* may not be seen by ring 3 */
    assert_int_equal(run(b, 1), 0x8002);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[SS].selector, DATA3);
    assert_int_equal(s->gpr[RSP], 0x6000);
    assert_int_equal(s->seg[FS].selector, 0);
    assert_int_equal(s->seg[GS].selector, DATA3);
    assert_true(s->rflags & FLAG_IF);
}

static void software_interrupts_check_the_gate(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 3);
    bench_gate(b, 0x81, CODE0, 0xa000, 0x8e);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
    bench_code(b, 0x8000, "\xcd\x81", 2);
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(bench_get(b, 0x7000 - 24, 4), 0x81 * 8 + 2);
    assert_int_equal(bench_get(b, 0x7000 - 20, 4), 0x8000);
}

static void benign_then_contributory_is_delivered(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_UD, CODE0, 0x9000, 0x0e);
    bench_gate(b, VECTOR_NP, CODE0, 0xa000, 0x8e);
    raise(b, VECTOR_UD, 0);
    assert_int_equal(b->cpu->s.gpr[RIP], 0xa000);
    assert_int_equal(bench_get(b, 0x6ff0, 4), VECTOR_UD * 8 + 3);
}

static void double_fault_has_error_0(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x0e);
    bench_gate(b, VECTOR_DF, CODE0, 0xb000, 0x8e);
    raise_error(b, VECTOR_GP, 0);
    assert_int_equal(b->cpu->s.gpr[RIP], 0xb000);
    assert_int_equal(bench_get(b, 0x6ff0, 4), 0);
    assert_int_equal(bench_get(b, 0x6ff4, 4), 0x8000);
}

static void triple_fault_shuts_down(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    raise_error(b, VECTOR_GP, 0);
    assert_int_equal(b->cpu->s.activity, CPU_SHUTDOWN);
    assert_int_equal(b->cpu->s.gpr[RIP], 0x8000);
    assert_int_equal(b->cpu->s.gpr[RSP], 0x7000);
    assert_int_equal(bench_run(b, 10), CPU_EXIT_SHUTDOWN);
}

static void page_fault_sets_cr2(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_PF, CODE0, 0x9000, 0x8e);
    b->cpu->exception = (struct exception){ VECTOR_PF, true, 6, 0x12345678 };
    cpu_deliver_exception(b->cpu);
    assert_int_equal(b->cpu->s.cr2, 0x12345678);
    assert_int_equal(bench_get(b, 0x6ff0, 4), 6);
}

static void debug_exception_sets_dr6(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_DB, CODE0, 0x9000, 0x8e);
    b->cpu->s.dr[7] = 0x400 | 1 << 13;
    raise(b, VECTOR_DB, 1 << 14);
    assert_int_equal(b->cpu->s.dr[6], 0xffff4ff0);
    assert_int_equal(b->cpu->s.dr[7], 0x400);
    assert_int_equal(bench_get(b, 0x6ffc, 4), FLAG_1); /* a trap: no RF */
}

static void bad_inner_stack_is_ts(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 3);
    bench_put(b, TSS + 8, DATA3, 4);
    bench_gate(b, 0x80, CODE0, 0x9000, 0xee);
    bench_gate(b, VECTOR_TS, CODE3, 0xa000, 0x8e);
    cpu_deliver_interrupt(b->cpu, 0x80);
    assert_int_equal(b->cpu->s.gpr[RIP], 0xa000);
    assert_int_equal(bench_get(b, 0x6000 - 16, 4), (DATA3 & 0xfffc) | 1);
}

static void nmi_is_blocked_until_iret(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_NMI, CODE0, 0x9000, 0x8e);
    bench_code(b, 0x9000, "\x90\xcf", 2);
    bench_code(b, 0x8000, "\x90\x90\x90", 3);
    s->nmi_pending = 1;
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(s->nmi_blocked, 1);
    s->nmi_pending = 1;
    assert_int_equal(run(b, 1), 0x9001);
    assert_int_equal(run(b, 1), 0x8000);
    assert_int_equal(s->nmi_blocked, 0);
    assert_int_equal(run(b, 1), 0x9000);
}

static void single_step_skips_int(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_DB, CODE0, 0x9000, 0x8e);
    bench_gate(b, 0x40, CODE0, 0xa000, 0x8e);
    bench_code(b, 0x8000, "\x90\xcd\x40\x90", 4);
    bench_code(b, 0xa000, "\x90\xcf", 2);
    s->rflags |= FLAG_TF;
    cpu_restored(b->cpu);
    assert_int_equal(run(b, 2), 0x9000); /* NOP, then its trap */
    assert_int_equal(s->dr[6], 0xffff4ff0);
    assert_int_equal(bench_get(b, 0x7000 - 12, 4), 0x8001);
    s->gpr[RIP] = 0x8001;
    s->gpr[RSP] = 0x7000;
    s->rflags |= FLAG_TF;
    assert_int_equal(run(b, 2), 0xa001); /* no trap at the handler */
    assert_int_equal(run(b, 1), 0x8003);
    assert_int_equal(run(b, 2), 0x9000); /* the NOP after it */
    assert_int_equal(bench_get(b, 0x7000 - 12, 4), 0x8004);
}

static void inner_stack_of_16_bits_loads_all_of_esp(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 3);
    bench_descriptor(b, SPARE, 0, 0xffff, 0x93);
    bench_put(b, TSS + 4, 0x56787000, 4);
    bench_put(b, TSS + 8, SPARE, 4);
    bench_gate(b, 0x40, CODE0, 0x9000, 0x8e);
    b->cpu->s.gpr[RSP] = 0x12346000;
    cpu_deliver_interrupt(b->cpu, 0x40);
    assert_int_equal(b->cpu->s.gpr[RSP], 0x56786fec);
    assert_int_equal(bench_get(b, 0x6ff8, 4), 0x12346000);
}

/* Gates of 16 bits */

static void sixteen_bit_gate_pushes_words(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_gate(b, 0x40, CODE0, 0x9000, 0x86);
    cpu_deliver_interrupt(b->cpu, 0x40);
    assert_int_equal(b->cpu->s.gpr[RSP], 0x7000 - 6);
    assert_int_equal(bench_get(b, 0x6ffa, 2), 0x8000);
    assert_int_equal(bench_get(b, 0x6ffc, 2), CODE0);
}

/* Virtual-8086 mode */

static void enter_v86(struct cpu_bench *b, unsigned iopl)
{
    struct cpu_state *s = &b->cpu->s;
    static const uint32_t frame[] = { 0x100, 0x800, 0, 0x200, 0x900, 0x11, 0x22, 0x33, 0x44 };

    bench_protected(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(frame); i++)
        bench_put(b, 0x6f00 + 4 * i, frame[i], 4);
    bench_put(b, 0x6f08, FLAG_VM | FLAG_1 | FLAG_IF | iopl << 12, 4);
    s->gpr[RSP] = 0x6f00;
    bench_code(b, 0x8000, "\xcf", 1);
    assert_int_equal(run(b, 1), 0x100);
}

static void iret_enters_v86(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    enter_v86(b, 0);
    assert_true(s->rflags & FLAG_VM);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].base, 0x8000);
    assert_int_equal(s->seg[SS].base, 0x9000);
    assert_int_equal(s->gpr[RSP], 0x200);
    assert_int_equal(s->seg[ES].base, 0x110);
    assert_int_equal(s->seg[GS].selector, 0x44);
    assert_int_equal(b->cpu->code_bytes, 2);
}

static void interrupt_leaves_v86(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    static const uint32_t wanted[] = { 0x100, 0x800, FLAG_VM | FLAG_IF | FLAG_1, 0x200, 0x900,
                                       0x11, 0x22, 0x33, 0x44 };

    enter_v86(b, 0);
    bench_gate(b, 0x40, CODE0, 0x9000, 0x8e);
    cpu_deliver_interrupt(b->cpu, 0x40);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(s->cpl, 0);
    assert_false(s->rflags & FLAG_VM);
    assert_int_equal(s->gpr[RSP], 0x7000 - 36);
    for (unsigned i = 0; i < ARRAY_SIZE(wanted); i++)
        assert_int_equal(bench_get(b, 0x7000 - 36 + 4 * i, 4), wanted[i]);
    assert_int_equal(s->seg[DS].selector, 0);
    assert_int_equal(b->cpu->code_bytes, 4);
}

static void int_n_in_v86_needs_iopl_3(void **state)
{
    struct cpu_bench *b = *state;

    enter_v86(b, 0);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
    bench_gate(b, 0x40, CODE0, 0xa000, 0xee);
    bench_code(b, 0x8100, "\xcd\x40", 2);
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(bench_get(b, 0x7000 - 40, 4), 0);

    enter_v86(b, 3);
    bench_gate(b, 0x40, CODE0, 0xa000, 0xee);
    assert_int_equal(run(b, 1), 0xa000);
}

/* Task gates */

static void task_gate_switches(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint32_t tss2 = 0x3200;

    bench_protected(b, 0);
    bench_put(b, GDT + TASK + 5, 0x8b, 1); /* busy, as LTR left it */
    bench_descriptor(b, TASK2, tss2, 0x67, 0x89);
    bench_put(b, tss2 + 32, 0xc000, 4);
    bench_put(b, tss2 + 36, FLAG_1, 4);
    bench_put(b, tss2 + 40 + 4 * RBX, 0x1111, 4);
    bench_put(b, tss2 + 40 + 4 * RSP, 0x5000, 4);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        bench_put(b, tss2 + 72 + 4 * i, i == CS ? CODE0 : DATA0, 4);
    bench_gate(b, VECTOR_DF, TASK2, 0, 0x85);
    bench_code(b, 0xc000, "\xcf", 1);
    s->gpr[RBX] = 0x2222;
    raise_error(b, VECTOR_DF, 0);
    assert_int_equal(s->gpr[RIP], 0xc000);
    assert_int_equal(s->gpr[RBX], 0x1111);
    assert_int_equal(s->tr.selector, TASK2);
    assert_true(s->rflags & FLAG_NT);
    assert_int_equal(bench_get(b, tss2, 2), TASK);
    assert_int_equal(bench_get(b, GDT + TASK2 + 5, 1), 0x8b);
    assert_int_equal(bench_get(b, GDT + TASK + 5, 1), 0x8b);
    assert_int_equal(bench_get(b, TSS + 32, 4), 0x8000);
    assert_int_equal(bench_get(b, TSS + 40 + 4 * RBX, 4), 0x2222);
    assert_int_equal(s->gpr[RSP], 0x4ffc);
    assert_int_equal(bench_get(b, 0x4ffc, 4), 0);
    assert_true(s->cr0 & CR0_TS);
    assert_int_equal(run(b, 1), 0x8000); /* IRET goes back to the old task */
    assert_int_equal(s->gpr[RBX], 0x2222);
    assert_int_equal(s->tr.selector, TASK);
    assert_int_equal(bench_get(b, GDT + TASK2 + 5, 1), 0x89);
    assert_int_equal(bench_get(b, tss2 + 36, 4) & FLAG_NT, 0);
}

/* Long mode */

static void long_mode_aligns_and_pushes_five(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 3);
    bench_gate64(b, 0x40, CODE64, 0xffff800000009000, 0, 0x8e);
    cpu_deliver_interrupt(b->cpu, 0x40);
    assert_int_equal(s->gpr[RIP], 0xffff800000009000);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[SS].selector, 0);
    assert_int_equal(s->gpr[RSP], 0x7000 - 40);
    assert_int_equal(bench_get(b, 0x7000 - 40, 8), 0x8000);
    assert_int_equal(bench_get(b, 0x7000 - 32, 8), CODE64_3);
    assert_int_equal(bench_get(b, 0x7000 - 16, 8), 0x6000);
    assert_int_equal(bench_get(b, 0x7000 - 8, 8), DATA3);
}

static void long_mode_ist_and_same_privilege(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    bench_put(b, TSS + 0x24 + 8 * 2, 0x500c, 8);
    bench_gate64(b, VECTOR_GP, CODE64, 0x9000, 3, 0x8e);
    bench_gate64(b, VECTOR_UD, CODE64, 0xa000, 0, 0x8e);
    s->gpr[RSP] = 0x6fff;
    raise_error(b, VECTOR_GP, 5);
    assert_int_equal(s->gpr[RSP], 0x5000 - 48);
    assert_int_equal(bench_get(b, 0x5000 - 48, 8), 5);
    assert_int_equal(bench_get(b, 0x5000 - 16, 8), 0x6fff);
    assert_int_equal(s->seg[SS].selector, DATA64);
    raise(b, VECTOR_UD, 0);
    assert_int_equal(s->gpr[RSP], 0x5000 - 48 - 40);
}

static void iretq_returns_to_ring_3(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t frame[] = { 0x8100, CODE64_3, 0x202 | FLAG_ZF, 0x1ffff8, DATA3 };

    bench_long(b, 0);
    for (unsigned i = 0; i < 5; i++)
        bench_put(b, 0x6f00 + 8 * i, frame[i], 8);
    s->gpr[RSP] = 0x6f00;
    bench_code(b, 0x8000, "\x48\xcf", 2);
    assert_int_equal(run(b, 1), 0x8100);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->gpr[RSP], 0x1ffff8);
    assert_int_equal(s->seg[SS].selector, DATA3);
    assert_int_equal(s->rflags, 0x202 | FLAG_ZF);
    assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[MMU_USER]);
}

/* GS of privilege 0 becomes null, and its base stays (unlike after MOV). */
static void iretq_keeps_bases(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t frame[] = { 0x8100, CODE64_3, 0x202, 0x1ffff8, DATA3 };

    bench_long(b, 0);
    for (unsigned i = 0; i < 5; i++)
        bench_put(b, 0x6f00 + 8 * i, frame[i], 8);
    s->gpr[RSP] = 0x6f00;
    s->gpr[RAX] = DATA64;
    bench_code(b, 0x8000, "\x8e\xe8\x48\xcf", 4); /* mov gs, ax; iretq */
    run(b, 1);
    assert_int_equal(s->seg[GS].selector, DATA64);
    s->seg[GS].base = 0x100000;
    cpu_update_segment(b->cpu, GS);
    bench_put(b, 0x108000, 0x1234, 8);
    bench_code(b, 0x8100, "\x65\x8b\x03", 3); /* mov eax, gs:[rbx] */
    s->gpr[RBX] = 0x8000;
    run(b, 2);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[GS].selector, 0);
    assert_int_equal(s->gpr[RAX], 0x1234);
}

/* A stack above 4 GiB, in memory of its own. */
static void iretq_from_a_high_stack(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t frame[] = { 0x8100, CODE64_3, 0x202, 0x6000, DATA3 };

    bench_long(b, 0);
    bench_put(b, TABLES + 0x1000 + 8 * 4, (TABLES + 0x4000) | 7, 8);
    bench_put(b, TABLES + 0x4000, (TABLES + 0x5000) | 7, 8);
    bench_put(b, TABLES + 0x5000 + 8 * 6, 0x9000 | 7, 8); /* 100006000h */
    for (unsigned i = 0; i < 5; i++)
        bench_put(b, 0x9f00 + 8 * i, frame[i], 8);
    s->gpr[RSP] = 0x100006f00;
    bench_code(b, 0x8000, "\x48\xcf", 2);
    assert_int_equal(run(b, 1), 0x8100);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->gpr[RSP], 0x6000);
}

static void iretq_to_compatibility_mode(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t frame[] = { 0x8100, CODE3, 0x202, 0x100006000, DATA3 };

    bench_long(b, 0);
    for (unsigned i = 0; i < 5; i++)
        bench_put(b, 0x6f00 + 8 * i, frame[i], 8);
    s->gpr[RSP] = 0x6f00;
    bench_code(b, 0x8000, "\x48\xcf", 2);
    assert_int_equal(run(b, 1), 0x8100);
    assert_int_equal(b->cpu->code_bytes, 4);
    assert_int_equal(s->gpr[RSP], 0x6000);
}

static void iretq_faults_leave_everything(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    static const uint64_t frames[][5] = {
        { 0x8100, 0, 0x202, 0x6000, DATA3 },               /* null CS */
        { 1ull << 60, CODE64_3, 0x202, 0x6000, DATA3 },    /* not canonical */
        { 0x8100, CODE64_3, 0x202, 0x6000, 0 },            /* null SS for ring 3 */
        { 0x8100, CODE64_3, 0x202, 0x6000, DATA64 },       /* wrong privilege */
        { 0x8100, 0xfff8, 0x202, 0x6000, DATA3 },          /* outside of the GDT */
        { 0x8100, CODE64_3 & ~3, 0x202, 0x6000, DATA64 },  /* RPL differs from DPL */
    };

    for (unsigned k = 0; k < ARRAY_SIZE(frames); k++) {
        bench_long(b, 0);
        bench_gate64(b, VECTOR_GP, CODE64, 0x9000, 1, 0x8e);
        bench_put(b, TSS + 0x24, 0x5000, 8);
        for (unsigned i = 0; i < 5; i++)
            bench_put(b, 0x6f00 + 8 * i, frames[k][i], 8);
        s->gpr[RSP] = 0x6f00;
        bench_code(b, 0x8000, "\x48\xcf", 2);
        assert_int_equal(run(b, 1), 0x9000);
        assert_int_equal(bench_get(b, 0x5000 - 40, 8), 0x8000);
        assert_int_equal(bench_get(b, 0x5000 - 16, 8), 0x6f00);
    }
}

static void syscall_and_sysret(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 3);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)CODE64 << 32 | (uint64_t)(CODE64_3 - 16) << 48;
    s->lstar = 0x9000;
    s->sfmask = FLAG_IF | FLAG_CF;
    s->rflags = FLAG_1 | FLAG_IF | FLAG_CF | FLAG_ZF;
    bench_code(b, 0x8000, "\x0f\x05", 2);
    bench_code(b, 0x9000, "\x48\x0f\x07", 3);
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(s->gpr[RCX], 0x8002);
    assert_int_equal(s->gpr[R11], FLAG_1 | FLAG_IF | FLAG_CF | FLAG_ZF);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_ZF);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[CS].selector, CODE64);
    assert_int_equal(s->seg[SS].selector, CODE64 + 8);
    assert_int_equal(run(b, 1), 0x8002);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].selector, CODE64_3);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF | FLAG_CF | FLAG_ZF);
}

/* What lets events in: the one that waits comes at the next boundary, though no
 * slice ends there. */

static int acknowledge(void *context, struct cpu *cpu)
{
    (void)context;
    cpu->interrupt_line = false;
    return 0x40;
}

static void events_come_at_once(void **state)
{
    enum { INTERRUPT, NMI, STEP };
    static const struct {
        const char *code; /* and NOPs behind it */
        uint8_t event;
        uint64_t rflags;  /* before */
        uint64_t popped;  /* flags on the stack */
        uint64_t rip;     /* that is pushed */
    } cases[] = {
        { "\x9d", INTERRUPT, 0, FLAG_IF, 0x8001 },             /* POPF */
        { "\x9d", STEP, 0, FLAG_TF, 0x8002 },
        { "\xfb", INTERRUPT, 0, 0, 0x8002 },                   /* STI */
        { "\xfb", INTERRUPT, FLAG_IF, 0, 0x8000 },
        { "\xcf", INTERRUPT, 0, FLAG_IF, 0x8100 },             /* IRET */
        { "\xcf", NMI, 0, 0, 0x8100 },
        { "\xcf", STEP, 0, FLAG_TF, 0x8101 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    b->cpu->bus.interrupt_acknowledge = acknowledge;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        static const uint8_t vectors[] = { 0x40, VECTOR_NMI, VECTOR_DB };
        unsigned event = cases[i].event, vector = vectors[event];
        bool iret = cases[i].code[0] == '\xcf';
        cpu_reset(b->cpu);
        bench_protected(b, 0);
        bench_gate(b, vector, CODE0, 0x9000, 0x8e);
        for (unsigned k = 0; k < 0x120; k++)
            bench_put(b, 0x8000 + k, 0x90, 1);
        for (unsigned k = 0; k < 16; k++)
            bench_put(b, 0x9000 + k, 0x90, 1);
        bench_code(b, 0x8000, cases[i].code, 1);
        s->gpr[RSP] = 0x6f00;
        bench_put(b, 0x6f00, iret ? 0x8100 : cases[i].popped | FLAG_1, 4);
        bench_put(b, 0x6f04, CODE0, 4);
        bench_put(b, 0x6f08, cases[i].popped | FLAG_1, 4);
        s->rflags = FLAG_1 | cases[i].rflags;
        s->nmi_blocked = s->nmi_pending = event == NMI;
        cpu_restored(b->cpu);
        b->cpu->interrupt_line = event == INTERRUPT;
        bench_run(b, 6);
        assert_in_range(s->gpr[RIP], 0x9000, 0x900f);
        uint64_t at = bench_get(b, s->gpr[RSP], 4);
        if (at != cases[i].rip)
            fail_msg("case %u: at %llx, wanted %llx", i, (unsigned long long)at,
                     (unsigned long long)cases[i].rip);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(real_mode_uses_the_vector_table),
        BENCH_TEST(real_mode_without_table_shuts_down),
        BENCH_TEST(fault_pushes_error_and_rf),
        BENCH_TEST(trap_gate_keeps_if),
        BENCH_TEST(int_enters_ring_0_and_iret_leaves),
        BENCH_TEST(software_interrupts_check_the_gate),
        BENCH_TEST(benign_then_contributory_is_delivered),
        BENCH_TEST(double_fault_has_error_0),
        BENCH_TEST(triple_fault_shuts_down),
        BENCH_TEST(page_fault_sets_cr2),
        BENCH_TEST(debug_exception_sets_dr6),
        BENCH_TEST(bad_inner_stack_is_ts),
        BENCH_TEST(nmi_is_blocked_until_iret),
        BENCH_TEST(single_step_skips_int),
        BENCH_TEST(inner_stack_of_16_bits_loads_all_of_esp),
        BENCH_TEST(sixteen_bit_gate_pushes_words),
        BENCH_TEST(iret_enters_v86),
        BENCH_TEST(interrupt_leaves_v86),
        BENCH_TEST(int_n_in_v86_needs_iopl_3),
        BENCH_TEST(task_gate_switches),
        BENCH_TEST(long_mode_aligns_and_pushes_five),
        BENCH_TEST(long_mode_ist_and_same_privilege),
        BENCH_TEST(iretq_returns_to_ring_3),
        BENCH_TEST(iretq_keeps_bases),
        BENCH_TEST(iretq_from_a_high_stack),
        BENCH_TEST(iretq_to_compatibility_mode),
        BENCH_TEST(iretq_faults_leave_everything),
        BENCH_TEST(syscall_and_sysret),
        BENCH_TEST(events_come_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
