/*
 * RDMSR and WRMSR: each bit of each register, what absent features take away,
 * the time-stamp counter. Numbers are literal here. (SDM vol. 4; vol. 3, 11.11,
 * 11.12, 15.3, 17.17)
 */
#include "execute.h"

#include "cpu/msr.h"

static int write(struct cpu_bench *b, uint32_t number, uint64_t value)
{
    return msr_write(b->cpu, number, value);
}

static uint64_t read(struct cpu_bench *b, uint32_t number)
{
    uint64_t value = 0x5555;
    assert_int_equal(msr_read(b->cpu, number, &value), 0);
    return value;
}

static void plain_msrs_keep_what_is_written(void **state)
{
    struct cpu_bench *b = *state;
    static const struct { uint32_t number; uint64_t value; } cases[] = {
        { MSR_STAR, 0x123456789abcdef0 }, { MSR_LSTAR, 0xffff800000001234 },
        { MSR_CSTAR, 0x7fffffffffff }, { MSR_SFMASK, 0x47700 }, { MSR_KERNEL_GS_BASE, 0x1000 },
        { MSR_FS_BASE, 0xffff888000000000 }, { MSR_TSC_AUX, 7 }, { MSR_PAT, 0x0407010600070106 },
        { MSR_MTRR_DEF_TYPE, 0xc06 }, { MSR_MTRR_BASE0, 0x80000000 },
        { MSR_MTRR_BASE0 + 1, 0xff80000800 }, { MSR_MTRR_FIX64K, 0x0606060606060606 },
        { MSR_MTRR_FIX4K_C0000 + 7, 0x0505050505050505 }, { MSR_SYSENTER_CS, 8 },
        { MSR_SYSENTER_ESP, 0x7000 }, { MSR_MISC_ENABLE, 1 }, { MSR_MC0_CTL, ~0ull },
        { MSR_TSC_ADJUST, 0 }, { MSR_MCG_STATUS, 0 }, { MSR_MISC_ENABLE, 0x400c50809 },
        { MSR_MC0_CTL + 2, ~0ull }, { MSR_MC0_CTL + 3, 1ull << 63 },
    };

    bench_long(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(write(b, cases[i].number, cases[i].value), 0);
        assert_int_equal(read(b, cases[i].number), cases[i].value);
    }
    assert_int_equal(b->cpu->access[FS].base, 0xffff888000000000);
}

static void wrong_msr_values_fault(void **state)
{
    struct cpu_bench *b = *state;
    static const struct { uint32_t number; uint64_t value; } cases[] = {
        { MSR_LSTAR, 1ull << 56 }, { MSR_GS_BASE, 1ull << 63 }, { MSR_PAT, 2 },
        { MSR_PAT, 0x0800000000000000 }, { MSR_MTRR_DEF_TYPE, 2 }, { MSR_MTRR_DEF_TYPE, 0x1000 },
        { MSR_MTRR_BASE0, 1ull << 40 }, { MSR_MTRR_BASE0, 3 }, { MSR_MTRR_FIX64K, 7 },
        { MSR_SFMASK, 1ull << 32 }, { MSR_TSC_AUX, 1ull << 32 }, { MSR_EFER, 1ull << 15 },
        { MSR_MTRR_CAP, 0 }, { MSR_MC0_CTL, 2 }, { MSR_MC0_CTL + 1, 1 }, { MSR_PLATFORM_INFO, 0 }, { 0x12345, 0 },
    };

    bench_long(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct cpu_state before = b->cpu->s;
        assert_int_equal(write(b, cases[i].number, cases[i].value), CPU_FAULT);
        assert_int_equal(b->cpu->exception.vector, VECTOR_GP);
        assert_memory_equal(&before, &b->cpu->s, sizeof before);
    }
    assert_int_equal(b->notices, 1); /* only of the unknown one */
}

/* Without the feature, reads and writes fault as of an unknown register. */
static void msrs_of_absent_features_fault(void **state)
{
    struct cpu_bench *b = *state;
    static const struct { const char *model; uint32_t number; } cases[] = {
        { "max,-mtrr", MSR_MTRR_CAP }, { "max,-mtrr", MSR_MTRR_DEF_TYPE },
        { "max,-mtrr", MSR_MTRR_BASE0 }, { "max,-mtrr", MSR_MTRR_BASE0 + 15 },
        { "max,-mtrr", MSR_MTRR_FIX64K }, { "max,-mtrr", MSR_MTRR_FIX16K_80000 },
        { "max,-mtrr", MSR_MTRR_FIX16K_A0000 }, { "max,-mtrr", MSR_MTRR_FIX4K_C0000 },
        { "max,-mtrr", MSR_MTRR_FIX4K_C0000 + 7 }, { "max,-pat", MSR_PAT },
        { "max,-pks", MSR_PKRS }, { "max,-tsc-adjust", MSR_TSC_ADJUST }, { "max,-xsaves", MSR_XSS },
        { "max", MSR_LAST_BRANCH_FROM }, { "max", MSR_LAST_BRANCH_TO }, { "max", MSR_LAST_INT_TO },
    };
    uint64_t value;

    bench_long(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(cpu_model_parse(&b->model, cases[i].model, 1, NULL), 0);
        assert_int_equal(msr_read(b->cpu, cases[i].number, &value), CPU_FAULT);
        assert_int_equal(b->cpu->exception.vector, VECTOR_GP);
        assert_int_equal(write(b, cases[i].number, 0), CPU_FAULT);
    }
    assert_int_equal(cpu_model_parse(&b->model, "max,-mtrr", 1, NULL), 0);
    write(b, MSR_PAT, 0x0407010600070106); /* in the middle of the ranges' numbers, and none of them */
    assert_int_equal(read(b, MSR_PAT), 0x0407010600070106);
}

/* DEBUGCTL.LBR can be written and stays clear; BTF is kept. */
static void no_branches_are_recorded(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    assert_int_equal(write(b, MSR_DEBUGCTL, DEBUGCTL_LBR), 0);
    assert_int_equal(read(b, MSR_DEBUGCTL), 0);
    assert_int_equal(write(b, MSR_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_BTF), 0);
    assert_int_equal(read(b, MSR_DEBUGCTL), DEBUGCTL_BTF);
    assert_int_equal(write(b, MSR_DEBUGCTL, 4), CPU_FAULT);
    assert_int_equal(read(b, MSR_DEBUGCTL), DEBUGCTL_BTF);
    assert_int_equal(cpu_model_parse(&b->model, "max,vendor=AuthenticAMD", 1, NULL), 0);
    for (unsigned i = MSR_LAST_BRANCH_FROM; i <= MSR_LAST_INT_TO; i++) {
        assert_int_equal(read(b, i), 0);
        assert_int_equal(write(b, i, 0), CPU_FAULT);
    }
}

static int take_msr(void *context, struct cpu *cpu, uint32_t number, uint64_t value)
{
    (void)cpu, (void)number, (void)value;
    ++*(unsigned *)context;
    return 0;
}

/* The device keeps the register; the CPU knows which values it cannot have, and
 * that CPUID tells of no APIC when it is off. */
static void apic_base_is_checked(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t leaf[4];
    unsigned taken = 0;

    bench_long(b, 0);
    b->cpu->bus.context = &taken;
    b->cpu->bus.msr_write = take_msr;
    assert_int_equal(cpu_model_parse(&b->model, "qemu64,-x2apic", 1, NULL), 0);
    assert_int_equal(write(b, MSR_APIC_BASE, 0xfee00d00), CPU_FAULT); /* no x2APIC */
    assert_int_equal(write(b, MSR_APIC_BASE, 1ull << 40 | 0xfee00900), CPU_FAULT);
    assert_int_equal(taken, 0);
    assert_int_equal(write(b, MSR_APIC_BASE, 0xfee00100), 0);
    cpu_cpuid(b->cpu, 1, 0, leaf);
    assert_false(leaf[3] >> 9 & 1);
    cpu_init_signal(b->cpu); /* the register keeps its value, so CPUID does */
    cpu_cpuid(b->cpu, 1, 0, leaf);
    assert_false(leaf[3] >> 9 & 1);
    assert_int_equal(write(b, MSR_APIC_BASE, 0xfee00900), 0);
    cpu_cpuid(b->cpu, 1, 0, leaf);
    assert_true(leaf[3] >> 9 & 1);
    assert_int_equal(taken, 2);
}

static void tsc_follows_virtual_time(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    b->ns = 1000;
    assert_int_equal(read(b, MSR_TSC), 1000);
    assert_int_equal(write(b, MSR_TSC, 5000), 0);
    b->ns = 1500;
    assert_int_equal(read(b, MSR_TSC), 5500);
    assert_int_equal(read(b, MSR_TSC_ADJUST), 4000);
    assert_int_equal(write(b, MSR_TSC_ADJUST, 1), 0);
    assert_int_equal(cpu_tsc(b->cpu), 1501);
    cpu_reset(b->cpu);
    assert_int_equal(cpu_tsc(b->cpu), 0);
}

static int give_msr(void *context, struct cpu *cpu, uint32_t number, uint64_t *value)
{
    (void)context, (void)cpu;
    *value = number + 1;
    return 0;
}

/* Those of the local APIC are the device's, if the model has them; else nobody's. */
static void device_msrs_by_feature(void **state)
{
    static const struct { const char *without; uint32_t number; bool there; } cases[] = {
        { "max,-apic", 0x1b, true }, { "max,-tsc-deadline", 0x6e0, true }, { "max,-x2apic", 0x800, true },
        { "max,-x2apic", 0x802, true }, { "max,-x2apic", 0x8ff, true }, { "max", 0x7ff, false },
        { "max", 0x900, false }, { "max", 0x1a, false }, { "max", 0x1c, false }, { "max", 0x6df, false },
    };
    struct cpu_bench *b = *state;
    uint64_t value;

    bench_long(b, 0);
    b->cpu->bus.msr_read = give_msr;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        for (unsigned with = 0; with < 2; with++) {
            bool there = with && cases[i].there;
            assert_int_equal(cpu_model_parse(&b->model, with ? "max" : cases[i].without, 1, NULL), 0);
            b->notices = 0;
            if (msr_read(b->cpu, cases[i].number, &value) != (there ? 0 : CPU_FAULT))
                fail_msg("MSR %x, %s", cases[i].number, with ? "max" : cases[i].without);
            assert_int_equal(b->notices, !there);
            if (there)
                assert_int_equal(value, cases[i].number + 1);
        }
    }
}

static void note_tsc(void *context, struct cpu *cpu)
{
    (void)cpu;
    ((struct cpu_bench *)context)->notices++;
}

/* Timers that the counter drives hear of each write. */
static void changes_of_the_tsc_are_told(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    b->cpu->bus.tsc_changed = note_tsc;
    assert_int_equal(write(b, 0x10, 5), 0);
    assert_int_equal(b->notices, 1);
    assert_int_equal(write(b, 0x3b, 7), 0);
    assert_int_equal(b->notices, 2);
    assert_int_equal(read(b, 0x10), 7);
    assert_int_equal(b->notices, 2);
}

/* Bit by bit: `valid` are those that a write may change against `base`, others are
 * #GP; of what is written, `ignored` is not kept. */
struct row {
    uint32_t first, last; /* numbers, by `step` */
    uint32_t step;
    uint64_t base, valid, ignored;
};

#define ALL (~0ull)
#define CANONICAL 0x00ffffffffffffffull

static const struct row rows[] = {
    { 0x10, 0x10, 1, 0, ALL, 0 },                       /* TSC */
    { 0x17, 0x17, 1, 0, ALL, ALL },                     /* PLATFORM_ID */
    { 0x3b, 0x3b, 1, 0, ALL, 0 },                       /* TSC_ADJUST */
    { 0x8b, 0x8b, 1, 0, ALL, ALL },                     /* BIOS_SIGN_ID */
    { 0x140, 0x140, 1, 0, 0, 0 },                       /* MISC_FEATURES_ENABLES */
    { 0x174, 0x174, 1, 0, 0xffffffff, 0 },              /* SYSENTER_CS */
    { 0x175, 0x176, 1, 0, CANONICAL, 0 },               /* SYSENTER_ESP, EIP */
    { 0x17a, 0x17a, 1, 0, 7, 0 },                       /* MCG_STATUS */
    { 0x17b, 0x17b, 1, 0, ALL, 0 },                     /* MCG_CTL */
    { 0x1a0, 0x1a0, 1, 1, 0x400c51889, 0 },             /* MISC_ENABLE */
    { 0x1d9, 0x1d9, 1, 0, 3, 1 },                       /* DEBUGCTL: LBR stays clear */
    { 0x200, 0x20e, 2, 0, 0xfffffff005, 0 },            /* MTRR bases: types 1 and 4 */
    { 0x200, 0x20e, 2, 4, 0xfffffff007, 0 },            /* 5, 6 and 0 */
    { 0x201, 0x20f, 2, 0x800, 0xfffffff800, 0 },        /* MTRR masks */
    { 0x250, 0x250, 1, 0, 0x0505050505050505, 0 },
    { 0x258, 0x259, 1, 0, 0x0505050505050505, 0 },
    { 0x268, 0x26f, 1, 0, 0x0505050505050505, 0 },
    { 0x268, 0x26f, 1, 0x0606060606060606, 0x0202020202020202, 0 },
    { 0x277, 0x277, 1, 0, 0x0505050505050505, 0 },      /* PAT: 7 is a type, too */
    { 0x277, 0x277, 1, 0x0606060606060606, 0x0303030303030303, 0 },
    { 0x2ff, 0x2ff, 1, 0, 0xc05, 0 },                   /* MTRR_DEF_TYPE */
    { 0x2ff, 0x2ff, 1, 0xc06, 0xc02, 0 },
    { 0x400, 0x40c, 4, 0, 0, 0 },                       /* MC0_CTL: all or nothing */
    { 0x400, 0x40c, 4, ALL, 0x401, 0 },                 /* ... but bits 0 and 10 */
    { 0x401, 0x40d, 4, 0, 0, 0 },                       /* MC0_STATUS */
    { 0x402, 0x40e, 4, 0, ALL, 0 },                     /* MC0_ADDR */
    { 0x403, 0x40f, 4, 0, ALL, 0 },                     /* MC0_MISC */
    { 0x6e1, 0x6e1, 1, 0, 0xffffffff, 0 },              /* PKRS */
    { 0xda0, 0xda0, 1, 0, 0, 0 },                       /* XSS */
    { 0xc0000080, 0xc0000080, 1, 0x500, 0xc01, 0x400 }, /* EFER: LMA is not written */
    { 0xc0000081, 0xc0000081, 1, 0, ALL, 0 },           /* STAR */
    { 0xc0000082, 0xc0000083, 1, 0, CANONICAL, 0 },     /* LSTAR, CSTAR */
    { 0xc0000084, 0xc0000084, 1, 0, 0xffffffff, 0 },    /* SFMASK */
    { 0xc0000100, 0xc0000102, 1, 0, CANONICAL, 0 },     /* FS, GS, KERNEL_GS */
    { 0xc0000103, 0xc0000103, 1, 0, 0xffffffff, 0 },    /* TSC_AUX */
};

static void check_bit(struct cpu_bench *b, const struct row *row, uint32_t number, unsigned bit)
{
    uint64_t value = row->base ^ 1ull << bit, before;

    write(b, number, row->base);
    before = read(b, number);
    bool taken = write(b, number, value) == 0;
    if (taken != (row->valid >> bit & 1))
        fail_msg("MSR %x: bit %u is %s", number, bit, taken ? "taken" : "refused");
    if (!taken)
        assert_int_equal(b->cpu->exception.vector, VECTOR_GP);
    uint64_t want = taken ? (value & ~row->ignored) | (before & row->ignored) : before;
    if (read(b, number) != want)
        fail_msg("MSR %x, bit %u: %llx, wanted %llx", number, bit,
                 (unsigned long long)read(b, number), (unsigned long long)want);
}

/* Physical addresses have 40 bits, linear ones 57. */
static void registers_by_bit(void **state)
{
    struct cpu_bench *b = *state;

    assert_int_equal(cpu_model_parse(&b->model, "max,phys-bits=40", 1, NULL), 0);
    bench_long(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        for (uint32_t number = rows[i].first; number <= rows[i].last; number += rows[i].step)
            for (unsigned bit = 0; bit < 64; bit++)
                check_bit(b, &rows[i], number, bit);
}

/* Each has a place of its own: all hold a number at once. */
static void registers_are_apart(void **state)
{
    struct cpu_bench *b = *state;
    unsigned count = 0;

    bench_long(b, 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        uint64_t k = 1;
        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
            bool types = rows[i].first >= 0x250 && rows[i].first <= 0x277, tsc = rows[i].first < 0x80;
            bool again = rows[i].first == 0x200 && rows[i].base == 0;
            uint64_t usable = rows[i].valid & ~rows[i].ignored & 0xfff000;
            for (uint32_t n = rows[i].first; n <= rows[i].last; n += rows[i].step, k++) {
                uint64_t value = (k << 12 & usable) | (rows[i].base & ~usable);
                if (!usable || types || tsc || again)
                    continue;
                assert_int_equal(pass ? 0 : write(b, n, value), 0);
                if (pass && read(b, n) != value)
                    fail_msg("MSR %x is another one, too", n);
                count++;
            }
        }
    }
    assert_int_equal(count, 2 * 38);
}

/* The values that no write changes, and which numbers there are. */
static void numbers_and_constants(void **state)
{
    static const struct { uint32_t number; uint64_t value; } constants[] = {
        { 0x17, 0 }, { 0x3a, 1 }, { 0xce, 0xa0000000a00 }, { 0xfe, 0x508 }, { 0x140, 0 },
        { 0x179, 0x104 },
    };
    static const uint32_t none[] = {
        0, 0x11, 0x16, 0x18, 0x39, 0x3c, 0x48, 0x49, 0x8a, 0x8c, 0x9e, 0xcd, 0xcf, 0xfd, 0xff,
        0x10a, 0x13f, 0x141, 0x173, 0x177, 0x178, 0x17c, 0x19f, 0x1a1, 0x1d8, 0x1da, 0x1db, 0x1de,
        0x1ff, 0x210, 0x24f, 0x251, 0x257, 0x25a, 0x267, 0x270, 0x276, 0x278, 0x2fe, 0x300, 0x3ff,
        0x410, 0x6e0, 0x6e2, 0x7ff, 0x900, 0xd9f, 0xda1, 0xc000007f, 0xc0000085, 0xc00000ff,
        0xc0000104,
    };
    struct cpu_bench *b = *state;
    uint64_t value;

    bench_long(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(constants); i++) {
        assert_int_equal(read(b, constants[i].number), constants[i].value);
        if (constants[i].number != 0x17 && constants[i].number != 0x140)
            assert_int_equal(write(b, constants[i].number, constants[i].value), CPU_FAULT);
    }
    assert_int_equal(b->notices, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(none); i++) {
        bool device = none[i] == 0x6e0;
        b->notices = 0;
        if (msr_read(b->cpu, none[i], &value) != CPU_FAULT)
            fail_msg("MSR %x can be read", none[i]);
        assert_int_equal(b->notices, !device);
        if (write(b, none[i], 0) != CPU_FAULT)
            fail_msg("MSR %x can be written", none[i]);
        assert_int_equal(b->notices, device ? 0 : 2 - (none[i] == 0x9e && b->cpu->s.smm));
    }
    b->notices = 0; /* AMD's are probed by kernels: without a word */
    assert_int_equal(msr_read(b->cpu, 0xc0010015, &value), CPU_FAULT);
    assert_int_equal(write(b, 0xc001ffff, 0), CPU_FAULT);
    assert_int_equal(b->notices, 0);
    assert_int_equal(msr_read(b->cpu, 0xc0020000, &value), CPU_FAULT);
    assert_int_equal(b->notices, 1);
    assert_int_equal(write(b, 0x79, 5), 0); /* an update that does not fit */
    assert_int_equal(msr_read(b->cpu, 0x79, &value), CPU_FAULT);
    b->cpu->s.microcode_version = 0x1234;
    assert_int_equal(read(b, 0x8b), 0x1234);
    b->cpu->s.smm = 1;
    assert_int_equal(read(b, 0x9e), 0x30000);
    assert_int_equal(write(b, 0x9e, 0x30000), CPU_FAULT);
}

/* FS and GS at once, KERNEL_GS by SWAPGS only; LBR and BTF by their numbers. */
static void writes_take_effect(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    assert_int_equal(write(b, 0xc0000100, 0x11000), 0);
    assert_int_equal(write(b, 0xc0000101, 0x12000), 0);
    assert_int_equal(write(b, 0xc0000102, 0x13000), 0);
    assert_int_equal(b->cpu->access[FS].base, 0x11000);
    assert_int_equal(b->cpu->access[GS].base, 0x12000);
    assert_int_equal(s->seg[FS].base, 0x11000);
    assert_int_equal(s->seg[GS].base, 0x12000);
    assert_int_equal(s->kernel_gs_base, 0x13000);
    assert_int_equal(write(b, 0x1d9, 3), 0);
    assert_int_equal(s->debugctl, 2);
}

/* RDMSR and WRMSR: ECX alone chooses, and all of RAX and RDX is replaced. */
static void instructions_take_halves(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->gpr[RCX] = 0xffffffffc0000081;
    s->gpr[RAX] = 0xaaaaaaaa12345678;
    s->gpr[RDX] = 0xbbbbbbbb9abcdef0;
    assert_int_equal(EXECUTE(b, "\x0f\x30"), 0);
    assert_int_equal(s->star, 0x9abcdef012345678);
    s->gpr[RAX] = s->gpr[RDX] = ~0ull;
    assert_int_equal(EXECUTE(b, "\x0f\x32"), 0);
    assert_int_equal(s->gpr[RAX], 0x12345678);
    assert_int_equal(s->gpr[RDX], 0x9abcdef0);
    s->gpr[RCX] = 0xc0000103;
    s->gpr[RDX] = 0;
    s->gpr[RAX] = 0x87654321;
    assert_int_equal(EXECUTE(b, "\x0f\x30"), 0);
    s->gpr[RBX] = ~0ull;
    assert_int_equal(EXECUTE(b, "\xf3\x0f\xc7\xfb"), 0); /* RDPID */
    assert_int_equal(s->gpr[RBX], 0x87654321);
    s->gpr[RCX] = ~0ull;
    b->ns = 0x123456789a;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xf9"), 0); /* RDTSCP */
    assert_int_equal(s->gpr[RCX], 0x87654321);
    assert_int_equal(s->gpr[RDX], 0x12);
    assert_int_equal(s->gpr[RAX], 0x3456789a);
    assert_int_equal(EXECUTE(b, "\x0f\x33"), RAISED(GP)); /* RDPMC */
    s->cr4 |= CR4_TSD; /* not for privilege 0 */
    assert_int_equal(EXECUTE(b, "\x0f\x31"), 0);
    assert_int_equal(EXECUTE(b, "\x0f\x01\xf9"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(registers_by_bit),
        BENCH_TEST(registers_are_apart),
        BENCH_TEST(numbers_and_constants),
        BENCH_TEST(writes_take_effect),
        BENCH_TEST(instructions_take_halves),
        BENCH_TEST(plain_msrs_keep_what_is_written),
        BENCH_TEST(wrong_msr_values_fault),
        BENCH_TEST(msrs_of_absent_features_fault),
        BENCH_TEST(no_branches_are_recorded),
        BENCH_TEST(apic_base_is_checked),
        BENCH_TEST(tsc_follows_virtual_time),
        BENCH_TEST(device_msrs_by_feature),
        BENCH_TEST(changes_of_the_tsc_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
