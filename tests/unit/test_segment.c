/*
 * Segment loads, limits, far transfers, and two properties under random
 * descriptor tables: a fault leaves the state as it was, and after whatever
 * succeeds the derived state is in line with the architectural one.
 */
#include "cpu_bench.h"

#include "cpu/exceptions.h"

static uint64_t run(struct cpu_bench *b, unsigned count)
{
    bench_run(b, count);
    return b->cpu->s.gpr[RIP];
}

/* 0 when the load succeeds, else vector << 16 | error code. */
static uint32_t load(struct cpu_bench *b, unsigned seg, uint16_t selector)
{
    if (cpu_load_segment(b->cpu, seg, selector) == 0)
        return 0;
    return (uint32_t)b->cpu->exception.vector << 16 | b->cpu->exception.error;
}

#define GP(error) ((uint32_t)VECTOR_GP << 16 | (error))
#define NP(error) ((uint32_t)VECTOR_NP << 16 | (error))
#define SSF(error) ((uint32_t)VECTOR_SS << 16 | (error))

static void data_loads_check_privilege(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 3);
    assert_int_equal(load(b, DS, DATA3), 0);
    assert_int_equal(load(b, DS, DATA0), GP(DATA0));
    assert_int_equal(load(b, DS, DATA3 & ~3), 0);
    assert_int_equal(load(b, DS, 0), 0);
    assert_int_equal(load(b, DS, 3), 0);
    assert_int_equal(b->cpu->s.seg[DS].selector, 3);
    assert_int_equal(load(b, DS, 0xfff8), GP(0xfff8));
    assert_int_equal(load(b, DS, DATA3 | 4), GP((DATA3 & ~3) | 4)); /* no LDT */
    assert_int_equal(load(b, DS, TASK), GP(TASK));
    assert_int_equal(load(b, DS, CODE3), 0); /* readable code */
    bench_descriptor(b, SPARE, 0, 0xfffff, 0x98 | 0x60); /* execute-only */
    assert_int_equal(load(b, DS, SPARE | 3), GP(SPARE));
    bench_descriptor(b, SPARE, 0, 0xfffff, 0x9e); /* conforming: any privilege */
    assert_int_equal(load(b, DS, SPARE | 3), 0);
    bench_descriptor(b, SPARE, 0, 0xfffff, 0x12 | 0x60);
    assert_int_equal(load(b, DS, SPARE | 3), NP(SPARE));
}

static void stack_loads_are_stricter(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    assert_int_equal(load(b, SS, DATA0), 0);
    assert_int_equal(load(b, SS, 0), GP(0));
    assert_int_equal(load(b, SS, DATA0 | 3), GP(DATA0));
    assert_int_equal(load(b, SS, DATA3), GP(DATA3 & ~3));
    assert_int_equal(load(b, SS, CODE0), GP(CODE0));
    bench_descriptor(b, SPARE, 0, 0xfffff, 0x91); /* read-only */
    assert_int_equal(load(b, SS, SPARE), GP(SPARE));
    bench_descriptor(b, SPARE, 0, 0xfffff, 0x13);
    assert_int_equal(load(b, SS, SPARE), SSF(SPARE));
    bench_long(b, 0);
    assert_int_equal(load(b, SS, 0), 0);
    assert_int_equal(load(b, SS, 3), GP(0));
    bench_long(b, 3);
    assert_int_equal(load(b, SS, 3), GP(0));
}

static void loads_set_the_accessed_bit(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_descriptor(b, SPARE, 0x12345678, 0xfffff, 0x92);
    assert_int_equal(load(b, ES, SPARE), 0);
    assert_int_equal(bench_get(b, GDT + SPARE + 5, 1), 0x93);
    assert_int_equal(b->cpu->s.seg[ES].base, 0x12345678);
    assert_int_equal(b->cpu->s.seg[ES].limit, 0xfffff);
    assert_int_equal(b->cpu->access[ES].write_end, 0x100000);
}

static void local_table_is_used(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    b->cpu->s.ldtr = (struct segment){ 0x4000, 15, SPARE, 0x82 };
    bench_put(b, 0x4008, bench_get(b, GDT + DATA0, 8), 8);
    assert_int_equal(load(b, ES, 0x0c), 0);
    assert_int_equal(load(b, ES, 0x14), GP(0x14));
}

static void limits_are_kept(void **state)
{
    struct cpu_bench *b = *state;
    uint8_t value8;
    uint32_t value;

    bench_protected(b, 0);
    bench_descriptor(b, SPARE, 0x5000, 0xfff, 0x93 | SEGMENT_DB);
    assert_int_equal(load(b, ES, SPARE), 0);
    assert_int_equal(memory_read32(b->cpu, ES, 0xffc, &value), 0);
    assert_int_equal(memory_read32(b->cpu, ES, 0xffd, &value), CPU_FAULT);
    assert_int_equal(b->cpu->exception.vector, VECTOR_GP);
    assert_int_equal(memory_read8(b->cpu, ES, 0xffff, &value8), CPU_FAULT);
    assert_int_equal(memory_read32(b->cpu, ES, 0xfffffffe, &value), CPU_FAULT);

    bench_descriptor(b, SPARE, 0x5000, 0xfff, 0x97 | SEGMENT_DB); /* expand-down */
    assert_int_equal(load(b, ES, SPARE), 0);
    assert_int_equal(memory_read32(b->cpu, ES, 0xfff, &value), CPU_FAULT);
    assert_int_equal(memory_read32(b->cpu, ES, 0x1000, &value), 0);
    assert_int_equal(memory_write32(b->cpu, ES, 0x1000, 5), 0);
    bench_descriptor(b, SPARE, 0x5000, 0xfff, 0x97); /* of 16 bits */
    assert_int_equal(load(b, ES, SPARE), 0);
    assert_int_equal(memory_read32(b->cpu, ES, 0xfffc, &value), 0);
    assert_int_equal(memory_read32(b->cpu, ES, 0xfffd, &value), CPU_FAULT);

    bench_descriptor(b, SPARE, 0x5000, 0xfff, 0x91 | SEGMENT_DB);
    assert_int_equal(load(b, ES, SPARE), 0);
    assert_int_equal(memory_write32(b->cpu, ES, 0, 1), CPU_FAULT);
    assert_int_equal(memory_write32(b->cpu, CS, 0, 1), CPU_FAULT);
    assert_int_equal(load(b, ES, 0), 0);
    assert_int_equal(memory_read32(b->cpu, ES, 0, &value), CPU_FAULT);
}

static void addresses_wrap_at_4_gib(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t value;

    bench_protected(b, 0);
    bench_descriptor(b, SPARE, 0x6000, 0xfffff, RIGHTS_DATA32);
    assert_int_equal(load(b, GS, SPARE), 0);
    bench_put(b, 0x5ff0, 0xcafe, 4);
    assert_int_equal(memory_read32(b->cpu, GS, 0xfffffff0, &value), 0);
    assert_int_equal(value, 0xcafe);
}

static void real_mode_keeps_the_limit(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t value;

    bench_protected(b, 0);
    b->cpu->s.cr0 &= ~CR0_PE;
    cpu_restored(b->cpu);
    assert_int_equal(load(b, DS, 0x123), 0);
    assert_int_equal(b->cpu->s.seg[DS].base, 0x1230);
    assert_int_equal(memory_read32(b->cpu, DS, 0x100000, &value), 0);
    /* Real mode knows no null: a segment that was has the ordinary limit then. */
    b->cpu->s.seg[ES] = (struct segment){ .limit = 0x123 };
    assert_int_equal(load(b, ES, 0), 0);
    assert_int_equal(b->cpu->s.seg[ES].limit, 0xffff);
    assert_int_equal(memory_read32(b->cpu, ES, 0xfffc, &value), 0);
}

/* Far transfers */

static void far_call_and_return(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    bench_code(b, 0x8000, "\x9a\x00\x90\x00\x00\x50\x00", 7); /* CALLF 50h:9000h */
    bench_code(b, 0x9000, "\x66\xca\x04\x00", 4);             /* RETF 4, 32-bit */
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(b->cpu->code_bytes, 2);
    assert_int_equal(bench_get(b, 0x6ff8, 8), (uint64_t)CODE0 << 32 | 0x8007);
    assert_int_equal(run(b, 1), 0x8007);
    assert_int_equal(b->cpu->code_bytes, 4);
    assert_int_equal(s->gpr[RSP], 0x7004);
}

static void call_gate_changes_privilege(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    bench_put(b, GDT + SPARE, 0x0000ec0200080000 | 0x9000, 8); /* 32-bit, DPL 3, 2 parameters */
    bench_code(b, 0x8000, "\x9a\x00\x00\x00\x00\x63\x00", 7);
    bench_code(b, 0x9000, "\xca\x08\x00", 3);
    bench_put(b, 0x6000, 0x11111111, 4);
    bench_put(b, 0x6004, 0x22222222, 4);
    assert_int_equal(run(b, 1), 0x9000);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->gpr[RSP], 0x7000 - 24);
    assert_int_equal(bench_get(b, 0x7000 - 24, 4), 0x8007);
    assert_int_equal(bench_get(b, 0x7000 - 20, 4), CODE3);
    assert_int_equal(bench_get(b, 0x7000 - 16, 4), 0x11111111);
    assert_int_equal(bench_get(b, 0x7000 - 12, 4), 0x22222222);
    assert_int_equal(bench_get(b, 0x7000 - 8, 4), 0x6000);
    assert_int_equal(bench_get(b, 0x7000 - 4, 4), DATA3);
    assert_int_equal(run(b, 1), 0x8007);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->gpr[RSP], 0x6008);
}

static void mode_switch_by_hand(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    /* From real mode: LGDT was done; MOV CR0 with PE, JMPF to 32-bit code. */
    bench_tables(b);
    bench_code(b, 0x8000, "\x0f\x20\xc0\x0c\x01\x0f\x22\xc0\x66\xea\x00\x90\x00\x00\x08\x00", 16);
    s->seg[CS].base = 0;
    s->seg[CS].selector = 0;
    s->gpr[RIP] = 0x8000;
    cpu_restored(b->cpu);
    assert_int_equal(run(b, 4), 0x9000);
    assert_int_equal(b->cpu->code_bytes, 4);
    assert_int_equal(s->seg[CS].selector, CODE0);
    /* To long mode: CR4.PAE, CR3, EFER.LME, CR0.PG, JMPF to 64-bit code. */
    bench_long(b, 0);
    bench_protected(b, 0);
    s->efer = 0;
    s->gpr[RAX] = CR4_PAE;
    s->gpr[RBX] = TABLES;
    s->gpr[RCX] = 0xc0000080;
    s->gpr[RIP] = 0x9000;
    cpu_restored(b->cpu);
    bench_code(b, 0x9000,
               "\x0f\x22\xe0\x0f\x22\xdb\xb8\x00\x01\x00\x00\x31\xd2\x0f\x30"
               "\xb8\x11\x00\x00\x80\x0f\x22\xc0\xea\x00\xa0\x00\x00\x38\x00", 30);
    assert_int_equal(run(b, 8), 0xa000);
    assert_int_equal(b->cpu->code_bytes, 8);
    assert_int_equal(s->efer, EFER_LME | EFER_LMA);
}

static void wrong_control_bits_fault(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;

    bench_protected(b, 0);
    assert_int_equal(control_write_cr0(cpu, CR0_PG), CPU_FAULT);
    assert_int_equal(control_write_cr0(cpu, CR0_PE | CR0_NW), CPU_FAULT);
    assert_int_equal(control_write_cr0(cpu, CR0_PE | 1ull << 32), CPU_FAULT);
    assert_int_equal(control_write_cr4(cpu, 1ull << 31), CPU_FAULT);
    assert_int_equal(control_write_cr4(cpu, CR4_PCIDE), CPU_FAULT);
    assert_int_equal(control_write_efer(cpu, 2), CPU_FAULT);
    assert_int_equal(control_write_efer(cpu, EFER_LME), 0);
    assert_int_equal(control_write_cr0(cpu, CR0_PE | CR0_PG), CPU_FAULT); /* no PAE */
    bench_long(b, 0);
    assert_int_equal(control_write_cr0(cpu, CR0_PE), CPU_FAULT); /* PG off in 64-bit code */
    assert_int_equal(control_write_cr4(cpu, 0), CPU_FAULT);
    assert_int_equal(control_write_efer(cpu, 0), CPU_FAULT);
    assert_int_equal(control_write_cr3(cpu, 1ull << 40), CPU_FAULT);
    assert_int_equal(control_write_cr3(cpu, TABLES), 0);
    assert_int_equal(cpu->s.efer, EFER_LME | EFER_LMA);
}

/* Random tables */

struct random { uint64_t state; };

static uint32_t next(struct random *random, uint32_t below)
{
    random->state = random->state * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)(random->state >> 33) % below;
}

/* Selectors and numbers that are likely to matter. */
static uint64_t pick(struct random *random)
{
    static const uint64_t values[] = {
        0, 3, CODE0, DATA0, CODE3, DATA3, TASK, CODE64, DATA64, CODE64_3, CODE16, TASK2, SPARE,
        SPARE | 3, SPARE2, SPARE2 | 3, SPARE | 4, 0x8000, 0x9000, 0xffff, 0x6000, 0x7000,
        0x1ffff0, 0xffffffff, 1ull << 47, ~0ull, FLAG_VM | 2, FLAG_NT | 2, 0x3202,
    };
    return values[next(random, ARRAY_SIZE(values))];
}

static void scramble(struct cpu_bench *b, struct random *random)
{
    static const uint8_t rights[] = { 0x9b, 0xfb, 0x93, 0xf3, 0x9f, 0x97, 0x91, 0x98, 0x8c, 0xec,
                                      0x85, 0xe5, 0x89, 0x8b, 0x82, 0x84, 0xe4, 0x1b, 0x81, 0x83 };
    static const uint8_t gates[] = { 0x8e, 0xee, 0x8f, 0xef, 0x86, 0xe7, 0x85, 0xe5, 0x0e, 0x8c };

    bench_tables(b);
    for (unsigned k = 0; k < 3; k++) {
        unsigned selector = 8 * (1 + next(random, GDT_BYTES / 8 - 1));
        unsigned attributes = rights[next(random, ARRAY_SIZE(rights))] | next(random, 16) << 12;
        bench_descriptor(b, selector, next(random, 4) ? 0 : TSS, next(random, 0x200000), attributes);
        if (next(random, 2)) /* a gate to somewhere */
            bench_put(b, GDT + selector, (pick(random) & 0xffff) << 16 | next(random, 0xffff), 4);
    }
    for (unsigned i = 0; i < 26; i++)
        bench_put(b, TSS + 4 * i, next(random, 3) ? 0x7000 : pick(random), 4);
    for (unsigned i = 0; i < 4; i++)
        bench_put(b, IDT + 8 * 0x40 + 8 * i,
                  (pick(random) & 0xffff) << 16 | (uint64_t)next(random, 3) << 32
                      | (uint64_t)gates[next(random, ARRAY_SIZE(gates))] << 40 | 0x9000, 8);
    for (unsigned i = 0; i < 10; i++) {
        bench_put(b, 0x6f00 + 4 * i, pick(random), 4);
        bench_put(b, 0x5f00 + 8 * i, pick(random), 8);
    }
}

struct derived {
    struct segment_access access[SEGMENT_COUNT + 1];
    struct tlb *tlb;
    uint64_t stack_mask, rip_mask;
    uint8_t code_bytes;
};

static void collect(const struct cpu *cpu, struct derived *d)
{
    memset(d, 0, sizeof *d);
    memcpy(d->access, cpu->access, sizeof d->access);
    d->tlb = cpu->tlb;
    d->stack_mask = cpu->stack_mask;
    d->rip_mask = cpu->rip_mask;
    d->code_bytes = cpu->code_bytes;
}

insn_handler exec_jmpf_indirect, exec_callf_indirect, exec_retf, exec_iret, exec_int_n, exec_lss,
    exec_ltr_r, exec_lldt_r, exec_mov_sreg_r, exec_pop_fs, exec_sysret, exec_sysexit, exec_lsl_r,
    exec_verw_r, exec_rsm, exec_sysenter;

/* One random instruction or event; returns its result. */
static int step(struct cpu_bench *b, struct random *random)
{
    static insn_handler *const handlers[] = {
        exec_jmpf_indirect, exec_callf_indirect, exec_retf, exec_iret, exec_int_n, exec_lss,
        exec_ltr_r, exec_lldt_r, exec_mov_sreg_r, exec_pop_fs, exec_sysret, exec_sysexit,
        exec_lsl_r, exec_verw_r, exec_sysenter,
    };
    static const uint8_t sizes[] = { 2, 4, 8 };
    struct cpu *cpu = b->cpu;
    unsigned which = next(random, ARRAY_SIZE(handlers) + 1);
    struct insn insn = {
        .base = REGISTER_ZERO, .index = REGISTER_ZERO, .end = 3, .length = 3, .segment = DS,
        .seg = (uint8_t)memory_segment(cpu, DS), .disp = 0x5f00 + next(random, 8),
        .operand_bytes = sizes[next(random, cpu_code64(cpu) ? 3 : 2)], .rm = RBX,
        .reg = (uint8_t)next(random, 4), .imm = 0x40 + next(random, 4), .opcode = 0xca,
    };

    cpu->s.gpr[RBX] = pick(random);
    cpu->current = &insn;
    if (handlers[which % ARRAY_SIZE(handlers)] == exec_mov_sreg_r) {
        static const uint8_t segments[] = { ES, DS, FS, GS };
        insn.reg = segments[insn.reg];
    }
    int result;
    if (which == ARRAY_SIZE(handlers)) {
        struct event event = { (uint8_t)(0x40 + next(random, 4)), (uint8_t)next(random, 4),
                               next(random, 2), next(random, 2), 0x55, 0x8123 };
        result = exceptions_enter(cpu, &event);
    } else {
        result = handlers[which](cpu, &insn);
    }
    cpu->current = NULL;
    return result;
}

enum bench_mode { MODE_REAL, MODE_PROTECTED, MODE_V86, MODE_LONG };

static void start(struct cpu_bench *b, struct random *random, enum bench_mode mode)
{
    struct cpu_state *s = &b->cpu->s;
    unsigned cpl = next(random, 2) ? 3 : 0;

    if (mode == MODE_LONG) {
        bench_long(b, cpl);
        if (next(random, 4) == 0)
            bench_segment(b, &s->seg[CS], cpl ? CODE3 : CODE0);
    } else {
        bench_protected(b, cpl);
        s->efer = 0;
    }
    if (mode == MODE_REAL) {
        s->cr0 = CR0_ET;
        s->cpl = 0;
    }
    s->rflags = FLAG_1 | next(random, 4) << 12 | (next(random, 8) ? 0 : FLAG_NT);
    if (mode == MODE_V86) {
        s->rflags = (s->rflags & ~FLAG_NT) | FLAG_VM;
        s->cpl = 3;
        for (unsigned i = 0; i < SEGMENT_COUNT; i++)
            segment_load_real(b->cpu, i, 0);
    }
    s->gpr[RSP] = 0x6f00;
    s->gpr[RCX] = pick(random);
    s->gpr[RDX] = pick(random);
    s->gpr[R11] = pick(random);
    s->efer |= EFER_SCE;
    s->star = pick(random) << 48 | pick(random) << 32;
    s->sysenter_cs = pick(random);
    s->activity = CPU_RUNNING;
    s->pending_debug = 0;
    b->cpu->attention = false;
    flags_put(b->cpu, s->rflags);
    cpu_update_mode(b->cpu);
}

static void random_tables(struct cpu_bench *b, enum bench_mode mode, unsigned rounds)
{
    struct random random = { mode };
    unsigned succeeded = 0;

    for (unsigned k = 0; k < rounds; k++) {
        struct derived before, after;
        start(b, &random, mode);
        scramble(b, &random);
        b->cpu->s.idtr.limit = 4095;
        struct cpu_state s = b->cpu->s;
        collect(b->cpu, &before);
        int result = step(b, &random);
        collect(b->cpu, &after);
        if (result == CPU_FAULT) {
            s.gpr[RBX] = b->cpu->s.gpr[RBX];
            assert_memory_equal(&s, &b->cpu->s, sizeof s);
            assert_memory_equal(&before, &after, sizeof before);
            continue;
        }
        succeeded += result == 0;
        cpu_update_mode(b->cpu);
        collect(b->cpu, &before);
        assert_memory_equal(&before, &after, sizeof before);
    }
    assert_true(succeeded > rounds / 20);
}

static void random_tables_real(void **state) { random_tables(*state, MODE_REAL, 2000); }
static void random_tables_protected(void **state) { random_tables(*state, MODE_PROTECTED, 20000); }
static void random_tables_v86(void **state) { random_tables(*state, MODE_V86, 3000); }
static void random_tables_long(void **state) { random_tables(*state, MODE_LONG, 20000); }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(data_loads_check_privilege),
        BENCH_TEST(stack_loads_are_stricter),
        BENCH_TEST(loads_set_the_accessed_bit),
        BENCH_TEST(local_table_is_used),
        BENCH_TEST(limits_are_kept),
        BENCH_TEST(addresses_wrap_at_4_gib),
        BENCH_TEST(real_mode_keeps_the_limit),
        BENCH_TEST(far_call_and_return),
        BENCH_TEST(call_gate_changes_privilege),
        BENCH_TEST(mode_switch_by_hand),
        BENCH_TEST(wrong_control_bits_fault),
        BENCH_TEST(random_tables_real),
        BENCH_TEST(random_tables_protected),
        BENCH_TEST(random_tables_v86),
        BENCH_TEST(random_tables_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
