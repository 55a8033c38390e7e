/*
 * SYSCALL, SYSRET, SYSENTER, SYSEXIT: both vendors' rules. (SDM vol. 2; AMD64
 * manual vol. 3)
 */
#include "execute.h"

static void sysenter_and_sysexit(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 3);
    assert_int_equal(EXECUTE(b, "\x0f\x34"), RAISED(GP)); /* no SYSENTER_CS */
    bench_long(b, 3);
    s->sysenter_cs = CODE64;
    s->sysenter_esp = 0x6800;
    s->sysenter_eip = 0xa000;
    s->rflags |= FLAG_IF;
    bench_code(b, 0xa000, "\x48\x0f\x35", 3);
    assert_int_equal(EXECUTE(b, "\x0f\x34"), 0);
    assert_int_equal(s->gpr[RIP], 0xa000);
    assert_int_equal(s->gpr[RSP], 0x6800);
    assert_int_equal(s->cpl, 0);
    assert_false(s->rflags & FLAG_IF);
    s->gpr[RCX] = 0x6000;
    s->gpr[RDX] = 0x8100;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x8100);
    assert_int_equal(s->gpr[RSP], 0x6000);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].selector, CODE64 + 35);
}

static int setup_amd(void **state)
{
    struct cpu_bench *b;

    assert_int_equal(bench_setup(state), 0);
    b = *state;
    assert_int_equal(cpu_model_parse(&b->model, "max,vendor=AuthenticAMD", 1, NULL), 0);
    decoder_init(&b->engine->decoder, &b->model);
    return 0;
}

/* On AMD's CPUs SYSCALL is for every code but real-mode, SYSENTER not for long
 * mode. */
static void system_calls_of_amd(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    s->efer = EFER_SCE;
    s->star = (uint64_t)CODE0 << 32 | (uint64_t)CODE3 << 48 | 0xa000;
    s->rflags |= FLAG_IF;
    bench_code(b, 0xa000, "\x0f\x07", 2);
    assert_int_equal(EXECUTE(b, "\x0f\x05"), 0);
    assert_int_equal(s->gpr[RIP], 0xa000);
    assert_int_equal(s->gpr[RCX], 0x8002);
    assert_int_equal(s->cpl, 0);
    assert_int_equal(s->seg[CS].selector, CODE0);
    assert_int_equal(s->seg[SS].selector, CODE0 + 8);
    assert_false(s->rflags & FLAG_IF);
    s->gpr[R11] = 0;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x8002);
    assert_int_equal(s->cpl, 3);
    assert_true(s->rflags & FLAG_IF);

    bench_long(b, 3);
    s->efer |= EFER_SCE;
    bench_segment(b, &s->seg[CS], CODE3); /* compatibility mode */
    s->star = (uint64_t)CODE64 << 32;
    s->lstar = 0xb000;
    s->cstar = 0xc000;
    s->sfmask = FLAG_IF;
    assert_int_equal(EXECUTE(b, "\x0f\x05"), 0);
    assert_int_equal(s->gpr[RIP], 0xc000);
    assert_int_equal(s->gpr[R11] & FLAG_IF, FLAG_IF);
    assert_false(s->rflags & FLAG_IF);
    assert_true(cpu_code64(b->cpu));

    s->sysenter_cs = CODE64;
    assert_int_equal(EXECUTE(b, "\x0f\x34"), RAISED(UD));
    bench_long(b, 0);
    assert_int_equal(EXECUTE(b, "\x0f\x35"), RAISED(UD));
    bench_protected(b, 0);
    s->efer = 0;
    assert_int_equal(EXECUTE(b, "\x0f\x05"), RAISED(UD)); /* SCE is clear */
}

/* AMD64 manual vol. 3, SYSRET: base, limit and attributes of SS are not changed,
 * so that a null one stays unusable; a non-canonical RCX is fetched from in
 * ring 3. */
static void sysret_of_amd(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)(CODE3 & ~3) << 48;
    s->seg[SS] = (struct segment){ 0x1234, 0x5678, 0, 0 };
    s->gpr[RCX] = 0xa000;
    s->gpr[R11] = FLAG_1;
    bench_code(b, 0xa000, "\x58", 1); /* POP */
    assert_int_equal(EXECUTE(b, "\x0f\x07"), 0);
    assert_int_equal(s->gpr[RIP], 0xa000);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].selector, CODE3);
    assert_int_equal(s->seg[SS].selector, CODE3 + 8);
    assert_int_equal(s->seg[SS].base, 0x1234);
    assert_int_equal(s->seg[SS].limit, 0x5678);
    assert_int_equal(s->seg[SS].attributes, 0);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000 + 16 * VECTOR_SS);

    bench_long(b, 0);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)(CODE64_3 - 16) << 48;
    s->gpr[RCX] = 1ull << 47;
    assert_int_equal(EXECUTE(b, "\x48\x0f\x07"), 0);
    assert_int_equal(s->gpr[RIP], 1ull << 47);
    assert_int_equal(s->cpl, 3);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000 + 16 * VECTOR_GP);
    assert_int_equal(bench_get(b, s->gpr[RSP], 8), 0); /* error code */
    assert_int_equal(bench_get(b, s->gpr[RSP] + 8, 8), 1ull << 47);
    assert_int_equal(bench_get(b, s->gpr[RSP] + 16, 8), CODE64_3);
}

/* The RPL of SS is STAR's behind SYSCALL, and 3 behind SYSRET. */
static void selectors_of_system_calls(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 3);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)(CODE64 | 1) << 32 | (uint64_t)(CODE64_3 - 16 - 3) << 48;
    s->lstar = 0xa000;
    bench_code(b, 0xa000, "\x48\x0f\x07", 3);
    assert_int_equal(EXECUTE(b, "\x0f\x05"), 0);
    assert_int_equal(s->seg[CS].selector, CODE64);
    assert_int_equal(s->seg[SS].selector, CODE64 + 9);
    assert_int_equal(s->seg[SS].attributes, RIGHTS_DATA32);
    bench_run(b, 1);
    assert_int_equal(s->cpl, 3);
    assert_int_equal(s->seg[CS].selector, CODE64_3);
    assert_int_equal(s->seg[SS].selector, CODE64_3 - 8);
    assert_int_equal(s->seg[SS].attributes, RIGHTS_DATA32 | 0x60);
}

static void system_calls_of_intel(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 3);
    b->cpu->s.efer |= EFER_SCE;
    bench_segment(b, &b->cpu->s.seg[CS], CODE3);
    assert_int_equal(EXECUTE(b, "\x0f\x05"), RAISED(UD));
    bench_protected(b, 0);
    b->cpu->s.efer = EFER_SCE;
    assert_int_equal(EXECUTE(b, "\x0f\x07"), RAISED(UD));
}

/* CS and SS of every entry and exit: nothing of them is read from a table. */
static void segments_are_flat(void **state)
{
    enum { SYSCALL, SYSRET, SYSENTER, SYSEXIT };
    static const struct {
        const char *code;
        unsigned length, op;
        bool long_mode, wide; /* wide: to 64-bit code */
        unsigned cs, ss;
    } cases[] = {
        { "\x0f\x05", 2, SYSCALL, true, true, 0x1230, 0x1238 },
        { "\x48\x0f\x07", 3, SYSRET, true, true, 0x4553, 0x454b },
        { "\x0f\x07", 2, SYSRET, true, false, 0x4543, 0x454b },
        { "\x0f\x34", 2, SYSENTER, true, true, 0x2340, 0x2348 },
        { "\x0f\x34", 2, SYSENTER, false, false, 0x2340, 0x2348 },
        { "\x48\x0f\x35", 3, SYSEXIT, true, true, 0x2363, 0x236b },
        { "\x0f\x35", 2, SYSEXIT, true, false, 0x2353, 0x235b },
        { "\x0f\x35", 2, SYSEXIT, false, false, 0x2353, 0x235b },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bool enters = cases[i].op == SYSCALL || cases[i].op == SYSENTER, wide = cases[i].wide;
        unsigned dpl = enters ? 0 : 3;
        cpu_reset(b->cpu);
        if (cases[i].long_mode)
            bench_long(b, enters ? 3 : 0);
        else
            bench_protected(b, enters ? 3 : 0);
        s->efer |= EFER_SCE;
        s->star = 0x4543123055555555;
        s->lstar = s->sysenter_eip = 0xffff8000ffff1234;
        s->sysenter_esp = 0xffff8000ffff5678;
        s->sysenter_cs = 0xfff12343;
        s->gpr[RCX] = s->gpr[RDX] = 0x7ff0ffff1234;
        s->gpr[R11] = ~(uint64_t)FLAG_TF;
        s->sfmask = FLAG_CF | FLAG_DF;
        s->rflags = FLAG_1 | FLAG_CF | FLAG_ZF | FLAG_DF | FLAG_AC | FLAG_IF | FLAG_ID;
        uint64_t before = s->rflags, rsp = s->gpr[RSP];
        assert_int_equal(execute(b, cases[i].code, cases[i].length), 0);
        assert_int_equal(s->cpl, dpl);
        const struct segment cs = { 0, 0xffffffff, (uint16_t)cases[i].cs,
                                    (uint16_t)(0x9b | dpl << 5 | SEGMENT_G
                                               | (wide ? SEGMENT_L : SEGMENT_DB)) };
        const struct segment ss = { 0, 0xffffffff, (uint16_t)cases[i].ss,
                                    (uint16_t)(0x93 | dpl << 5 | SEGMENT_G | SEGMENT_DB) };
        assert_memory_equal(&s->seg[CS], &cs, sizeof cs);
        assert_memory_equal(&s->seg[SS], &ss, sizeof ss);
        assert_int_equal(b->cpu->code_bytes, wide ? 8 : 4);
        assert_true(b->cpu->stack_mask == (wide ? ~0ull : 0xffffffff));
        uint64_t target = enters ? 0xffff8000ffff1234 : 0x7ff0ffff1234;
        assert_int_equal(s->gpr[RIP], wide ? target : target & 0xffffffff);
        uint64_t stack = cases[i].op == SYSENTER ? 0xffff8000ffff5678 : 0x7ff0ffff1234;
        assert_int_equal(s->gpr[RSP], cases[i].op < SYSENTER ? rsp : wide ? stack : stack & 0xffffffff);
        static const uint64_t cleared[] = { FLAG_CF | FLAG_DF, 0, FLAG_IF, 0 };
        if (cases[i].op == SYSRET) /* of R11, but RF and VM */
            assert_int_equal(s->rflags, 0x3c7ed7);
        else
            assert_int_equal(s->rflags, before & ~cleared[cases[i].op]);
        if (cases[i].op == SYSCALL) {
            assert_int_equal(s->gpr[RCX], 0x8002);
            assert_int_equal(s->gpr[R11], before);
        }
        assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[dpl          ? MMU_USER
                                                    : s->rflags & FLAG_AC ? MMU_SUPERVISOR_AC
                                                                          : MMU_SUPERVISOR]);
    }
}

/* What forbids them, with nothing changed. */
static void system_calls_that_fault(void **state)
{
    static const struct {
        const char *code;
        unsigned length, cpl;
        bool long_mode;
        uint64_t efer, cs, rcx, rdx; /* EFER bits to set, SYSENTER_CS */
        unsigned vector;
    } cases[] = {
        { "\x0f\x05", 2, 3, true, 0, 8, 0, 0, VECTOR_UD },             /* SCE is clear */
        { "\x48\x0f\x07", 3, 0, true, 0, 8, 0, 0, VECTOR_UD },
        { "\x48\x0f\x07", 3, 3, true, 0, 8, 0, 0, VECTOR_UD },
        { "\x48\x0f\x07", 3, 3, true, 1, 8, 0, 0, VECTOR_GP },
        { "\x48\x0f\x07", 3, 0, true, 1, 8, 1ull << 60, 0, VECTOR_GP },
        { "\x0f\x07", 2, 0, true, 1, 8, 1ull << 60, 0, 0 },            /* 32 bits of RCX */
        { "\x0f\x05", 2, 3, false, 1, 8, 0, 0, VECTOR_UD },            /* Intel: 64-bit code only */
        { "\x0f\x07", 2, 0, false, 1, 8, 0, 0, VECTOR_UD },
        { "\x0f\x34", 2, 3, true, 0, 0, 0, 0, VECTOR_GP },
        { "\x0f\x34", 2, 3, true, 0, 3, 0, 0, VECTOR_GP },
        { "\x0f\x34", 2, 3, true, 0, 0xffff0000, 0, 0, VECTOR_GP },
        { "\x0f\x34", 2, 3, true, 0, 4, 0, 0, 0 },
        { "\x0f\x34", 2, 3, false, 0, 0, 0, 0, VECTOR_GP },
        { "\x0f\x35", 2, 0, true, 0, 0, 0, 0, VECTOR_GP },
        { "\x0f\x35", 2, 3, true, 0, 8, 0, 0, VECTOR_GP },
        { "\x48\x0f\x35", 3, 0, true, 0, 8, 1ull << 47, 0, VECTOR_GP },
        { "\x48\x0f\x35", 3, 0, true, 0, 8, 0, 1ull << 47, VECTOR_GP },
        { "\x0f\x35", 2, 0, true, 0, 8, 1ull << 47, 1ull << 47, 0 },
        { "\x0f\x01\xf8", 3, 3, true, 0, 0, 0, 0, VECTOR_GP },         /* SWAPGS */
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        cpu_reset(b->cpu);
        if (cases[i].long_mode)
            bench_long(b, cases[i].cpl);
        else
            bench_protected(b, cases[i].cpl);
        s->efer |= cases[i].efer;
        s->sysenter_cs = cases[i].cs;
        s->star = (uint64_t)CODE64 << 32 | (uint64_t)CODE64 << 48;
        s->gpr[RCX] = cases[i].rcx;
        s->gpr[RDX] = cases[i].rdx;
        s->gpr[R11] = FLAG_1;
        s->seg[GS].base = 0x1234;
        unsigned result = execute(b, cases[i].code, cases[i].length);
        if (result != (cases[i].vector ? 0x1000 | cases[i].vector : 0))
            fail_msg("case %u: %x", i, result);
        if (!cases[i].vector)
            continue;
        unsigned size = cases[i].long_mode ? 8 : 4;
        unsigned skip = cases[i].vector == VECTOR_GP ? size : 0;
        assert_int_equal(bench_get(b, s->gpr[RSP] + skip, size), 0x8000);
        assert_int_equal(bench_get(b, s->gpr[RSP] + skip + size, 2) & 3, cases[i].cpl);
        assert_int_equal(s->gpr[RCX], cases[i].rcx);
        assert_int_equal(s->seg[GS].base, 0x1234);
    }
}

/* RDFSBASE and its kin: 32 and 64 bits, for each segment. */
static void bases_by_width(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 4; n++) {
        bool gs = n & 1, wide = n & 2;
        unsigned seg = gs ? GS : FS, other = gs ? FS : GS;
        char read[] = { (char)0xf3, 0x48, 0x0f, (char)0xae, (char)(gs ? 0xca : 0xc2) };
        char write[] = { (char)0xf3, 0x48, 0x0f, (char)0xae, (char)(gs ? 0xda : 0xd2) };
        if (!wide)
            read[1] = write[1] = 0x40;
        bench_long(b, 3);
        s->cr4 |= CR4_FSGSBASE;
        s->seg[seg].base = 0xffff812345678000;
        s->seg[other].base = 0x5555;
        s->gpr[RDX] = ~0ull;
        assert_int_equal(execute(b, read, 5), 0);
        assert_int_equal(s->gpr[RDX], wide ? 0xffff812345678000 : 0x45678000);
        s->gpr[RDX] = 0xffff8fedcba98000;
        assert_int_equal(execute(b, write, 5), 0);
        assert_int_equal(s->seg[seg].base, wide ? 0xffff8fedcba98000 : 0xcba98000);
        assert_int_equal(b->cpu->access[seg].base, s->seg[seg].base);
        assert_int_equal(s->seg[other].base, 0x5555);
        s->cr4 &= ~CR4_FSGSBASE;
        assert_int_equal(execute(b, write, 5), RAISED(UD));
    }
}

static int acknowledge(void *context, struct cpu *cpu)
{
    (void)context;
    cpu->interrupt_line = false;
    return 0x40;
}

/* The IF that SYSRET loads lets an interrupt in at once. */
static void interrupts_come_behind_sysret(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned legacy = 0; legacy < 2; legacy++) {
        cpu_reset(b->cpu);
        bench_long(b, 0);
        bench_gate64(b, 0x40, CODE64, 0xc000, 0, 0x8e);
        for (unsigned i = 0; i < 8; i++) {
            bench_put(b, 0x8100 + i, 0x90, 1);
            bench_put(b, 0xc000 + i, 0x90, 1);
        }
        bench_code(b, 0x8000, legacy ? "\x0f\x07" : "\x48\x0f\x07", 3);
        s->efer |= EFER_SCE;
        s->star = (uint64_t)(CODE64_3 - 16) << 48;
        s->gpr[RCX] = 0x8100;
        s->gpr[R11] = FLAG_1 | FLAG_IF;
        b->cpu->bus.interrupt_acknowledge = acknowledge;
        b->cpu->interrupt_line = true;
        cpu_restored(b->cpu);
        bench_run(b, 4);
        assert_in_range(s->gpr[RIP], 0xc000, 0xc004);
        assert_int_equal(bench_get(b, s->gpr[RSP], 8), 0x8100);
        assert_int_equal(bench_get(b, s->gpr[RSP] + 8, 2) & 3, 3);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(sysenter_and_sysexit),
        cmocka_unit_test_setup_teardown(system_calls_of_amd, setup_amd, bench_teardown),
        cmocka_unit_test_setup_teardown(sysret_of_amd, setup_amd, bench_teardown),
        BENCH_TEST(system_calls_of_intel),
        BENCH_TEST(selectors_of_system_calls),
        BENCH_TEST(segments_are_flat),
        BENCH_TEST(system_calls_that_fault),
        BENCH_TEST(bases_by_width),
        BENCH_TEST(interrupts_come_behind_sysret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
