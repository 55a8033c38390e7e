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
    cpu_run(b->cpu, 1);
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
    cpu_run(b->cpu, 1);
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
    cpu_run(b->cpu, 1);
    assert_int_equal(s->gpr[RIP], 0x9000 + 16 * VECTOR_SS);

    bench_long(b, 0);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)(CODE64_3 - 16) << 48;
    s->gpr[RCX] = 1ull << 47;
    assert_int_equal(EXECUTE(b, "\x48\x0f\x07"), 0);
    assert_int_equal(s->gpr[RIP], 1ull << 47);
    assert_int_equal(s->cpl, 3);
    cpu_run(b->cpu, 1);
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
    cpu_run(b->cpu, 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(sysenter_and_sysexit),
        cmocka_unit_test_setup_teardown(system_calls_of_amd, setup_amd, bench_teardown),
        cmocka_unit_test_setup_teardown(sysret_of_amd, setup_amd, bench_teardown),
        BENCH_TEST(system_calls_of_intel),
        BENCH_TEST(selectors_of_system_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
