/*
 * What guards paging: the rules of control registers, MSRs and INVPCID, the
 * forms of addresses (canonical, masked, 32 bits), PDPTEs, addresses beyond 4
 * GiB, and which accesses are implicit. The rights are in test_paging.c.
 */
#include "cpu_bench.h"

#include "cpu/msr.h"

#define CODE 0x8000u
#define HANDLERS 0x9000u

static uint64_t mmio_address; /* of the last access to no memory */

static uint64_t no_memory(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    (void)context, (void)cpu, (void)bytes;
    mmio_address = address;
    return 0;
}

static void use_model(struct cpu_bench *b, const char *text)
{
    assert_int_equal(cpu_model_parse(&b->model, text, 1, NULL), 0);
    cpu_reset(b->cpu);
    b->cpu->bus.mmio_read = no_memory;
    bench_long(b, 0);
}

/* The same, and instructions are decoded for it. */
static void use_decoder(struct cpu_bench *b, const char *text)
{
    use_model(b, text);
    engine_destroy(b->engine);
    b->engine = engine_create(&b->memory, &b->model);
    engine_add_cpu(b->engine, b->cpu);
}

/* 0, or the vector that was raised; #GP must be #GP(0). */
static unsigned raised(struct cpu_bench *b, int fault)
{
    if (!fault)
        return 0;
    if (b->cpu->exception.vector == VECTOR_GP)
        assert_int_equal(b->cpu->exception.error, 0);
    return b->cpu->exception.vector;
}

/* Runs one instruction in 64-bit code: 0, or its exception's vector. */
static unsigned execute(struct cpu_bench *b, const char *bytes, unsigned count)
{
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < 20; i++)
        bench_gate64(b, i, CODE64, HANDLERS + 16 * i, 0, 0x8e);
    bench_code(b, CODE, bytes, count);
    s->gpr[RIP] = CODE;
    cpu_restored(b->cpu);
    bench_run(b, 1);
    return s->gpr[RIP] >= HANDLERS ? (unsigned)(s->gpr[RIP] - HANDLERS) / 16 : 0;
}
#define EXECUTE(b, text) execute(b, text, sizeof(text) - 1)

/* ---- control registers ---------------------------------------------------- */

static void cr0_has_rules(void **state)
{
    static const struct { uint64_t set, clear; unsigned vector; } cases[] = {
        { 0, 0, 0 }, { 1ull << 32, 0, VECTOR_GP }, { 1ull << 63, 0, VECTOR_GP },
        { 0, CR0_PE, VECTOR_GP }, { CR0_NW, 0, VECTOR_GP }, { CR0_NW | CR0_CD, 0, 0 },
        { CR0_CD, 0, 0 }, { 0, CR0_PG, VECTOR_GP /* in 64-bit code */ }, { 0x1ffaffc0, 0, 0 },
    };
    struct cpu_bench *b = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        use_model(b, "max");
        uint64_t cr0 = b->cpu->s.cr0, value = (cr0 | cases[i].set) & ~cases[i].clear;
        assert_int_equal(raised(b, control_write_cr0(b->cpu, value)), cases[i].vector);
        if (cases[i].vector)
            assert_int_equal(b->cpu->s.cr0, cr0);
        else
            assert_int_equal(b->cpu->s.cr0, value & 0xe005003f);
    }
}

static void cr4_takes_the_models_bits(void **state)
{
    static const struct { const char *model; uint64_t missing; } models[] = {
        { "max", 0 }, { "max,-pcid", CR4_PCIDE }, { "max,-pku", CR4_PKE }, { "max,-pks", CR4_PKS },
        { "max,-lam", CR4_LAM_SUP }, { "max,-smep", CR4_SMEP }, { "max,-smap", CR4_SMAP },
        { "max,-umip", CR4_UMIP }, { "max,-fsgsbase", CR4_FSGSBASE }, { "max,-xsave", CR4_OSXSAVE },
        { "x86-64-v2", CR4_PCIDE | CR4_PKE | CR4_PKS | CR4_LAM_SUP },
    };
    const uint64_t valid = CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_MCE | CR4_PGE
                           | CR4_PCE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE
                           | CR4_PCIDE | CR4_OSXSAVE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS
                           | CR4_LAM_SUP;
    struct cpu_bench *b = *state;

    for (unsigned m = 0; m < ARRAY_SIZE(models); m++)
        for (unsigned n = 0; n < 64; n++) {
            uint64_t bit = 1ull << n;
            if (bit == CR4_PAE || (bit & (CR4_VME | CR4_PVI)))
                continue;
            use_model(b, models[m].model);
            bool good = valid & bit & ~models[m].missing;
            assert_int_equal(raised(b, control_write_cr4(b->cpu, CR4_PAE | bit)),
                             good ? 0 : VECTOR_GP); /* LA57 cannot change in long mode */
            assert_int_equal(b->cpu->s.cr4, CR4_PAE | (good ? bit : 0));
        }
}

static void modes_bind_cr4(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;

    use_model(b, "max");
    assert_int_equal(raised(b, control_write_cr4(cpu, 0)), VECTOR_GP); /* PAE stays */
    cpu->s.cr3 |= 1;
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE | CR4_PCIDE)), VECTOR_GP);
    cpu->s.cr3 &= ~1ull;
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE | CR4_PCIDE)), 0);
    assert_int_equal(raised(b, control_write_cr3(cpu, TABLES | 0x123)), 0);
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE | CR4_PCIDE | CR4_PGE)), 0);
    /* In compatibility mode PG can be cleared, but not under PCIDE. */
    bench_segment(b, &cpu->s.seg[CS], CODE0);
    cpu_restored(cpu);
    assert_int_equal(raised(b, control_write_cr0(cpu, cpu->s.cr0 & ~CR0_PG)), VECTOR_GP);
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE)), 0);
    assert_int_equal(raised(b, control_write_cr0(cpu, cpu->s.cr0 & ~CR0_PG)), 0);
    assert_int_equal(cpu->s.efer & EFER_LMA, 0);
    /* Outside of long mode: no PCIDE, but LA57 may be set, with which it returns. */
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE | CR4_PCIDE)), VECTOR_GP);
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE | CR4_LA57)), 0);
    assert_int_equal(raised(b, control_write_cr0(cpu, cpu->s.cr0 | CR0_PG)), 0);
    assert_int_equal(cpu->s.efer & EFER_LMA, EFER_LMA);
    assert_int_equal(raised(b, control_write_cr4(cpu, CR4_PAE)), VECTOR_GP);
}

static void cr3_has_reserved_bits(void **state)
{
    static const struct { const char *model; uint64_t cr4, value; unsigned vector; } cases[] = {
        { "max", 0, TABLES | 0xfff, 0 }, { "max", 0, TABLES | 1ull << 39, 0 },
        { "max", 0, TABLES | 1ull << 40, VECTOR_GP }, { "max", 0, TABLES | 1ull << 60, VECTOR_GP },
        { "max", 0, TABLES | CR3_LAM_U57 | CR3_LAM_U48, 0 },
        { "max", 0, TABLES | 1ull << 63, VECTOR_GP },
        { "max", CR4_PCIDE, TABLES | 1ull << 63, 0 }, { "max", CR4_PCIDE, 5ull << 61 | TABLES, 0 },
        { "max,-lam", 0, TABLES | CR3_LAM_U57, VECTOR_GP },
        { "max,-lam", 0, TABLES | CR3_LAM_U48, VECTOR_GP },
        { "max,phys-bits=36", 0, TABLES | 1ull << 36, VECTOR_GP },
        { "max,phys-bits=52", 0, TABLES | 1ull << 51, 0 },
        { "max,phys-bits=52", 0, TABLES | 1ull << 52, VECTOR_GP },
    };
    struct cpu_bench *b = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        use_model(b, cases[i].model);
        b->cpu->s.cr4 |= cases[i].cr4;
        assert_int_equal(raised(b, control_write_cr3(b->cpu, cases[i].value)), cases[i].vector);
        uint64_t kept = cases[i].vector ? TABLES : cases[i].value & ~(1ull << 63);
        assert_int_equal(b->cpu->s.cr3, kept);
    }
}

static void efer_has_reserved_bits(void **state)
{
    struct cpu_bench *b = *state;

    for (unsigned n = 0; n < 64; n++) {
        use_model(b, "max");
        uint64_t efer = b->cpu->s.efer, bit = 1ull << n;
        bool good = n == 0 || n == 8 || n == 10 || n == 11;
        assert_int_equal(raised(b, control_write_efer(b->cpu, efer | bit)), good ? 0 : VECTOR_GP);
        assert_int_equal(b->cpu->s.efer, good ? efer | bit : efer);
    }
    use_model(b, "max,-nx");
    assert_int_equal(raised(b, control_write_efer(b->cpu, EFER_LME | EFER_NXE)), VECTOR_GP);
    assert_int_equal(raised(b, control_write_efer(b->cpu, 0)), VECTOR_GP); /* LME under PG */
    assert_int_equal(raised(b, control_write_efer(b->cpu, EFER_LME)), 0);  /* LMA is not written */
    assert_int_equal(b->cpu->s.efer, EFER_LME | EFER_LMA);
}

static void registers_that_do_not_exist(void **state)
{
    static const char *const moves[] = { "\x0f\x20\xc8", "\x0f\x22\xc8", "\x0f\x20\xe8",
                                         "\x0f\x22\xf0", "\x0f\x20\xf8" };
    struct cpu_bench *b = *state;

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(moves); i++) {
        use_model(b, "max");
        bench_long(b, i % 2 ? 3 : 0);
        assert_int_equal(execute(b, moves[i / 2], 3), VECTOR_UD);
    }
}

/* ---- keys ----------------------------------------------------------------- */

static void pkru_has_instructions(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint32_t out[4];

    use_model(b, "max");
    assert_int_equal(EXECUTE(b, "\x0f\x01\xee"), VECTOR_UD); /* RDPKRU */
    use_model(b, "max");
    cpu_cpuid(b->cpu, 7, 0, out);
    assert_int_equal(out[2] >> 3 & 3, 1);
    s->cr4 |= CR4_PKE;
    cpu_cpuid(b->cpu, 7, 0, out);
    assert_int_equal(out[2] >> 3 & 3, 3); /* OSPKE */
    s->gpr[RAX] = 0xffffffff12345678;
    s->gpr[RCX] = s->gpr[RDX] = 0xff00000000;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xef"), 0); /* WRPKRU looks at 32 bits */
    assert_int_equal(s->pkru, 0x12345678);
    s->gpr[RAX] = s->gpr[RDX] = ~0ull;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xee"), 0);
    assert_int_equal(s->gpr[RAX], 0x12345678);
    assert_int_equal(s->gpr[RDX], 0);
    s->gpr[RDX] = 1;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xef"), VECTOR_GP);
    bench_long(b, 3);
    s->cr4 |= CR4_PKE;
    s->gpr[RDX] = 0;
    s->gpr[RCX] = 1;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xee"), VECTOR_GP);
    bench_long(b, 3);
    s->cr4 |= CR4_PKE;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xef"), VECTOR_GP);
    assert_int_equal(s->pkru, 0x12345678);
    use_decoder(b, "max,-pku");
    s->cr4 |= CR4_PKE;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xee"), VECTOR_UD);
}

/* XSAVE has PKRU at 2688, compacted behind what else there is. */
static void pkru_is_saved(void **state)
{
    static const struct { const char *save; uint64_t mask; unsigned at; } cases[] = {
        { "\x0f\xae\x23", 0x207, 2688 }, { "\x0f\xc7\x23", 0x201, 576 },
        { "\x0f\xc7\x23", 0x207, 832 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        use_model(b, "max");
        s->cr4 |= CR4_OSXSAVE | CR4_OSFXSR;
        s->xcr0 = 0x207;
        s->pkru = 0x55555554;
        s->gpr[RBX] = 0x20000;
        s->gpr[RAX] = cases[i].mask;
        for (unsigned offset = 0; offset < 4096; offset += 8)
            bench_put(b, 0x20000 + offset, 0, 8);
        assert_int_equal(execute(b, cases[i].save, 3), 0); /* XSAVE, XSAVEC [rbx] */
        assert_int_equal(bench_get(b, 0x20000 + cases[i].at, 8), 0x55555554);
        assert_int_equal(bench_get(b, 0x20000 + 512, 8) & 0x200, 0x200);
        s->pkru = 0;
        assert_int_equal(EXECUTE(b, "\x0f\xae\x2b"), 0); /* XRSTOR [rbx] */
        assert_int_equal(s->pkru, 0x55555554);
        bench_put(b, 0x20000 + 512, 1, 8);
        assert_int_equal(EXECUTE(b, "\x0f\xae\x2b"), 0);
        assert_int_equal(s->pkru, 0);
    }
}

static void pkrs_has_32_bits(void **state)
{
    struct cpu_bench *b = *state;
    uint64_t value;

    use_model(b, "max");
    assert_int_equal(raised(b, msr_write(b->cpu, MSR_PKRS, 0xffffffff)), 0);
    assert_int_equal(raised(b, msr_write(b->cpu, MSR_PKRS, 1ull << 32)), VECTOR_GP);
    assert_int_equal(msr_read(b->cpu, MSR_PKRS, &value), 0);
    assert_int_equal(value, 0xffffffff);
    use_model(b, "max,-pks");
    assert_int_equal(raised(b, msr_write(b->cpu, MSR_PKRS, 0)), VECTOR_GP);
    assert_int_equal(raised(b, msr_read(b->cpu, MSR_PKRS, &value)), VECTOR_GP);
}

/* ---- INVPCID -------------------------------------------------------------- */

static void invpcid_has_rules(void **state)
{
    static const struct { uint64_t type, low, high; bool pcide; unsigned vector; } cases[] = {
        { 0, 0, 0x1000, false, 0 }, { 0, 1, 0x1000, false, VECTOR_GP }, { 0, 1, 0x1000, true, 0 },
        { 0, 0, 1ull << 50, false, 0 /* canonical for 57 bits */ },
        { 0, 0, 1ull << 56, false, VECTOR_GP }, { 1, 0, 1ull << 60, false, 0 },
        { 1, 1, 0, false, VECTOR_GP }, { 1, 0xfff, 0, true, 0 }, { 1, 0x1000, 0, true, VECTOR_GP },
        { 2, 0xfff, 1ull << 60, false, 0 }, { 2, 1ull << 12, 0, true, VECTOR_GP },
        { 3, 5, 1ull << 60, true, 0 }, { 3, 1ull << 63, 0, true, VECTOR_GP },
        { 4, 0, 0, true, VECTOR_GP }, { 1ull << 32, 0, 0, true, VECTOR_GP },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        use_model(b, "max");
        s->cr4 |= cases[i].pcide ? CR4_PCIDE : 0;
        bench_put(b, 0x5000, cases[i].low, 8);
        bench_put(b, 0x5008, cases[i].high, 8);
        s->gpr[RAX] = 0x5000;
        s->gpr[RBX] = cases[i].type;
        assert_int_equal(EXECUTE(b, "\x66\x0f\x38\x82\x18"), cases[i].vector);
    }
    use_decoder(b, "max,-invpcid");
    s->gpr[RAX] = 0x5000;
    assert_int_equal(EXECUTE(b, "\x66\x0f\x38\x82\x18"), VECTOR_UD);
}

/* ---- addresses ------------------------------------------------------------ */

/* Bases may be as wide as the processor's widest mode, accesses as the present one's. */
static void bases_are_canonical(void **state)
{
    static const uint32_t msrs[] = { MSR_LSTAR, MSR_CSTAR, MSR_FS_BASE, MSR_GS_BASE,
                                     MSR_KERNEL_GS_BASE, MSR_SYSENTER_ESP, MSR_SYSENTER_EIP };
    static const struct { const char *model; uint64_t value; unsigned vector; } cases[] = {
        { "max", 0x00007fffffffffff, 0 }, { "max", 0x00ffffffffffffff, 0 },
        { "max", 0xff00000000000000, 0 }, { "max", 0x0100000000000000, VECTOR_GP },
        { "max", 0xfeffffffffffffff, VECTOR_GP }, { "max,-la57", 0x0000800000000000, VECTOR_GP },
        { "max,-la57", 0xffff800000000000, 0 }, { "max,-la57", 0xffff7fffffffffff, VECTOR_GP },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        use_model(b, cases[i].model);
        for (unsigned k = 0; k < ARRAY_SIZE(msrs); k++)
            assert_int_equal(raised(b, msr_write(b->cpu, msrs[k], cases[i].value)),
                             cases[i].vector);
        s->cr4 |= CR4_FSGSBASE;
        s->gpr[RAX] = cases[i].value;
        assert_int_equal(EXECUTE(b, "\xf3\x48\x0f\xae\xd8"), cases[i].vector); /* WRGSBASE */
        use_model(b, cases[i].model);
        bench_put(b, 0x5000, 0xffff, 2);
        bench_put(b, 0x5002, cases[i].value, 8);
        s->gpr[RBX] = 0x5000;
        assert_int_equal(EXECUTE(b, "\x0f\x01\x13"), cases[i].vector); /* LGDT [rbx] */
        use_model(b, cases[i].model);
        bench_descriptor(b, SPARE, cases[i].value, 0xfff, SEGMENT_P | 2); /* LDT */
        bench_put(b, GDT + SPARE + 8, cases[i].value >> 32, 8);
        s->gpr[RAX] = SPARE;
        assert_int_equal(EXECUTE(b, "\x0f\x00\xd0"), cases[i].vector); /* LLDT ax */
    }
    use_model(b, "max");
    s->seg[FS].base = 0x0000800000000000; /* taken, but of no use with 4 levels */
    s->cr2 = 0x1234;
    assert_int_equal(EXECUTE(b, "\x64\x8a\x04\x25\x00\x00\x00\x00"), VECTOR_GP);
    assert_int_equal(s->cr2, 0x1234);
}

static void non_canonical_accesses(void **state)
{
    static const struct {
        const char *code;
        unsigned bytes, vector;
        uint64_t value;
    } cases[] = {
        { "\x8a\x00", 2, VECTOR_GP, 0x0000800000000000 },         /* MOV al, [rax] */
        { "\x48\x8b\x00", 3, VECTOR_GP, 0x00007ffffffffff9 },     /* the last byte */
        { "\x48\x8b\x00", 3, VECTOR_PF, 0x00007ffffffffff8 },
        { "\x48\x8b\x45\x00", 4, VECTOR_SS, 0xffff7fffffffffff }, /* MOV rax, [rbp] */
        { "\x48\x8b\x04\x24", 4, VECTOR_SS, 0x8000000000000000 }, /* MOV rax, [rsp] */
        { "\x36\x8a\x00", 3, VECTOR_GP, 0x0000800000000000 },     /* SS: means nothing */
        { "\x50", 1, VECTOR_SS, 0x0000800000000008 },             /* PUSH rax */
        { "\xff\xe0", 2, VECTOR_GP, 0x0000800000000000 },         /* JMP rax */
        { "\xff\xe0", 2, VECTOR_GP, 0x0080000000000000 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        use_model(b, "max");
        s->gpr[RAX] = s->gpr[RBP] = cases[i].value;
        if (cases[i].vector == VECTOR_SS) {
            s->gpr[RSP] = cases[i].value;
            bench_put(b, TSS + 0x24, 0x7000, 8); /* IST 1, for a stack to deliver on */
        }
        s->cr2 = 0x1234;
        for (unsigned n = 0; n < 20; n++)
            bench_gate64(b, n, CODE64, HANDLERS + 16 * n, 1, 0x8e);
        bench_put(b, TSS + 0x24, 0x7000, 8);
        bench_code(b, CODE, cases[i].code, cases[i].bytes);
        s->gpr[RIP] = CODE;
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal((s->gpr[RIP] - HANDLERS) / 16, cases[i].vector);
        assert_int_equal(bench_get(b, 0x7000 - 40, 8), CODE); /* at the instruction */
        if (cases[i].vector != VECTOR_PF)
            assert_int_equal(s->cr2, 0x1234);
    }
}

/* 5000h, from both halves of the linear space, in both long modes. */
static void map_halves(struct cpu_bench *b, bool five)
{
    b->cpu->s.cr4 |= five ? CR4_LA57 : 0;
    bench_put(b, TABLES + 8 * 256, (TABLES + 0x1000) | 7, 8);
    if (five) {
        bench_put(b, TABLES + 0x3000, TABLES | 7, 8);
        bench_put(b, TABLES + 0x3000 + 8 * 256, TABLES | 7, 8);
        b->cpu->s.cr3 = TABLES + 0x3000;
    }
    cpu_restored(b->cpu);
}

static void pointers_are_masked(void **state)
{
    enum { U48 = 1, U57 = 2, SUP = 4, FIVE = 8 };
    static const struct {
        unsigned on;
        uint64_t pointer;
        unsigned vector;
        uint64_t linear;
    } cases[] = {
        { 0, 0x0001000000005000, VECTOR_GP, 0 }, { SUP, 0x7fff000000005000, VECTOR_GP, 0 },
        { U48, 0x7fff000000005000, 0, 0x5000 }, { U48, 0x0000800000005000, VECTOR_GP, 0 },
        { U48 | FIVE, 0x7fff000000005000, 0, 0x5000 },
        { U48 | FIVE, 0x7fff800000005000, VECTOR_GP, 0 },
        { U48 | FIVE, 0x0000800000005000, VECTOR_GP, 0 },
        { U57, 0x7e00000000005000, 0, 0x5000 }, { U57, 0x7f00000000005000, VECTOR_GP, 0 },
        { U57, 0x7e01000000005000, VECTOR_GP, 0 }, { U57 | U48, 0x0001000000005000, VECTOR_GP, 0 },
        { U57 | FIVE, 0x7e00000000005000, 0, 0x5000 },
        { U57 | FIVE, 0x7e01000000005000, VECTOR_PF, 0x0001000000005000 },
        { U57 | U48, 0xfffe800000005000, VECTOR_GP, 0 },
        { 0, 0xffff800000005000, 0, 0x5000 }, { SUP, 0x8000800000005000, 0, 0x5000 },
        { SUP, 0x8000000000005000, VECTOR_GP, 0 },
        { SUP, 0xabcd800000200000, VECTOR_PF, 0xffff800000200000 },
        { SUP | FIVE, 0x8100000000005000, 0, 0x5000 },
        { SUP | FIVE, 0x8000800000005000, VECTOR_GP, 0 },
        { U48, 0x1234000000200000, VECTOR_PF, 0x200000 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned on = cases[i].on;
        uint8_t value = 0;
        use_model(b, "max");
        map_halves(b, on & FIVE);
        s->cr3 |= (on & U48 ? CR3_LAM_U48 : 0) | (on & U57 ? CR3_LAM_U57 : 0);
        s->cr4 |= on & SUP ? CR4_LAM_SUP : 0;
        bench_put(b, 0x5000, 0xa5, 1);
        s->gpr[RAX] = cases[i].pointer;
        assert_int_equal(EXECUTE(b, "\x8a\x18"), cases[i].vector); /* MOV bl, [rax] */
        if (cases[i].vector == 0)
            assert_int_equal(s->gpr[RBX] & 0xff, 0xa5);
        if (cases[i].vector == VECTOR_PF)
            assert_int_equal(s->cr2, cases[i].linear);
        if (cases[i].pointer == cases[i].linear || cases[i].vector || cases[i].on == 0)
            continue;
        /* The processor's own accesses and jumps know no masking. */
        assert_int_equal(raised(b, memory_system_read(b->cpu, cases[i].pointer, &value, 1)),
                         VECTOR_GP);
        s->gpr[RAX] = cases[i].pointer;
        assert_int_equal(EXECUTE(b, "\xff\xe0"), VECTOR_GP);
    }
}

/* Outside of 64-bit code linear addresses have 32 bits, in long mode too. */
static void compatibility_mode_wraps(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    uint16_t value;

    use_model(b, "max");
    bench_segment(b, &cpu->s.seg[CS], CODE0);
    bench_segment(b, &cpu->s.seg[DS], DATA0);
    cpu->s.seg[DS].base = 0xfffff000;
    cpu_restored(cpu);
    bench_put(b, 0x1000, 0x77, 1);
    assert_int_equal(memory_read16(cpu, DS, 0x2000, &value), 0);
    assert_int_equal(value & 0xff, 0x77);
    /* The bytes at FFFFFFFFh and 0. */
    assert_int_equal(raised(b, memory_read16(cpu, DS, 0xfff, &value)), VECTOR_PF);
    assert_int_equal(cpu->exception.address, 0xffffffff);
}

/* ---- PDPTEs, and addresses beyond 4 GiB ----------------------------------- */

static void pdptes_are_checked_when_loaded(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t table = TABLES + 0x4000;

    for (unsigned n = 1; n < 64; n++) {
        bool reserved = n <= 2 || (n >= 5 && n <= 8) || n >= 40;
        for (unsigned present = 0; present < 2; present++) {
            use_model(b, "max");
            bench_protected(b, 0);
            s->efer = 0;
            s->cr4 = CR4_PAE;
            for (unsigned i = 0; i < 4; i++)
                bench_put(b, table + 8 * i, (TABLES + 0x2000) | 1, 8);
            s->cr3 = table;
            assert_int_equal(raised(b, control_write_cr0(b->cpu, s->cr0 | CR0_PG)), 0);
            uint64_t raw = ((TABLES + 0x2000) | 1ull << n) & ~1ull;
            bench_put(b, table + 16, raw | present, 8);
            unsigned vector = reserved && present ? VECTOR_GP : 0;
            assert_int_equal(raised(b, control_write_cr3(b->cpu, table)), vector);
            assert_int_equal(s->pdpte[2] & 1, vector ? 1 : present);
            assert_int_equal(raised(b, control_write_cr4(b->cpu, CR4_PAE | CR4_SMEP)), vector);
            assert_int_equal(raised(b, control_write_cr4(b->cpu, s->cr4 | CR4_SMAP)), 0);
            assert_int_equal(raised(b, control_write_cr0(b->cpu, s->cr0 | CR0_CD)), vector);
        }
    }
}

/* SDM vol. 3, 4.4.1: which changes of CR0 and CR4 load them anew. */
static void pdptes_are_loaded_by_some_bits(void **state)
{
    static const struct { bool cr4; uint64_t bit; bool loads; } cases[] = {
        { false, CR0_MP, false }, { false, CR0_EM, false }, { false, CR0_TS, false },
        { false, CR0_NE, false }, { false, CR0_WP, false }, { false, CR0_AM, false },
        { false, CR0_CD, true }, { false, CR0_CD | CR0_NW, true }, { true, CR4_VME, false },
        { true, CR4_PVI, false }, { true, CR4_TSD, false }, { true, CR4_DE, false },
        { true, CR4_PSE, true }, { true, CR4_MCE, false }, { true, CR4_PGE, true },
        { true, CR4_PCE, false }, { true, CR4_OSFXSR, false }, { true, CR4_OSXMMEXCPT, false },
        { true, CR4_UMIP, false }, { true, CR4_FSGSBASE, false }, { true, CR4_OSXSAVE, false },
        { true, CR4_SMEP, true }, { true, CR4_SMAP, false }, { true, CR4_PKE, false },
        { true, CR4_PKS, false }, { true, 0, false }, { false, 0, false },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t table = TABLES + 0x4020, old = (TABLES + 0x2000) | 1, new = (TABLES + 0x3000) | 1;

    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 2; n++) {
        bool back = n & 1; /* the bit is cleared */
        uint64_t bit = cases[n / 2].bit;
        use_model(b, "max");
        bench_protected(b, 0);
        s->efer = 0;
        s->cr4 = CR4_PAE | (back && cases[n / 2].cr4 ? bit : 0);
        s->cr0 |= back && !cases[n / 2].cr4 ? bit : 0;
        for (unsigned i = 0; i < 4; i++)
            bench_put(b, table + 8 * i, old, 8);
        s->cr3 = table;
        assert_int_equal(raised(b, control_write_cr0(b->cpu, s->cr0 | CR0_PG)), 0);
        assert_int_equal(s->pdpte[3], old);
        for (unsigned i = 0; i < 4; i++)
            bench_put(b, table + 8 * i, new, 8);
        int fault = cases[n / 2].cr4 ? control_write_cr4(b->cpu, s->cr4 ^ bit)
                                     : control_write_cr0(b->cpu, s->cr0 ^ bit);
        assert_int_equal(raised(b, fault), 0);
        for (unsigned i = 0; i < 4; i++)
            if (s->pdpte[i] != (cases[n / 2].loads ? new : old))
                fail_msg("CR%u, bits %llx: entry %u is %llx", cases[n / 2].cr4 ? 4 : 0,
                         (unsigned long long)bit, i, (unsigned long long)s->pdpte[i]);
    }
    use_model(b, "max"); /* not in long mode, nor without PAE */
    s->pdpte[0] = 0x5555;
    assert_int_equal(raised(b, control_write_cr4(b->cpu, s->cr4 | CR4_PGE)), 0);
    assert_int_equal(raised(b, control_write_cr3(b->cpu, TABLES)), 0);
    assert_int_equal(s->pdpte[0], 0x5555);
}

static void pages_lie_beyond_4_gib(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    uint8_t value;

    use_model(b, "max");
    const uint64_t frame = 0xab00000000;
    bench_put(b, TABLES + 0x2000 + 8, frame | 0x87, 8);         /* 2 MiB */
    bench_put(b, TABLES + 0x1000 + 8, (frame & ~0x3fffffffull) | 0x87, 8); /* 1 GiB */
    assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, 0x312345, &value), 0);
    assert_int_equal(mmio_address, frame | 0x112345);
    assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, 0x72345678, &value), 0);
    assert_int_equal(mmio_address, (frame & ~0x3fffffffull) | 0x32345678);
    bench_protected(b, 0);
    cpu->s.efer = 0;
    cpu->s.cr4 = CR4_PSE;
    cpu->s.cr0 |= CR0_PG;
    bench_put(b, TABLES + 4 * 2, 0x00c00000 | 0xcd << 13 | 0x87, 4); /* 4 MiB, PSE-36 */
    cpu_restored(cpu);
    assert_int_equal(memory_read8(cpu, DS, 0xa45678, &value), 0);
    assert_int_equal(mmio_address, 0xcd00e45678);
    use_model(b, "max,-pse36"); /* without it bits 21 to 13 are reserved, each */
    bench_protected(b, 0);
    cpu->s.efer = 0;
    cpu->s.cr4 = CR4_PSE;
    cpu->s.cr0 |= CR0_PG;
    for (unsigned bit = 13; bit <= 21; bit++) {
        bench_put(b, TABLES + 4 * 2, 0x00c00087 | 1u << bit, 4);
        cpu_restored(cpu);
        assert_int_equal(memory_read8(cpu, DS, 0xa45678, &value), CPU_FAULT);
        assert_int_equal(cpu->exception.error, 9);
    }
}

/* ---- implicit accesses ---------------------------------------------------- */

static void smap_knows_implicit_accesses(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint64_t value;

    for (unsigned n = 0; n < 8; n++) {
        bool smap = n & 1, ac = n & 2, user = n & 4;
        use_model(b, "max");
        s->cr4 |= smap ? CR4_SMAP : 0;
        s->rflags |= ac ? FLAG_AC : 0;
        s->cpl = user ? 3 : 0;
        cpu_restored(b->cpu);
        /* All pages of the bench are the user's. Descriptor tables: always implicit. */
        assert_int_equal(raised(b, memory_system_read(b->cpu, 0x5000, &value, 8)),
                         smap ? VECTOR_PF : 0);
        if (smap)
            assert_int_equal(b->cpu->exception.error, 1);
        /* An inner stack: implicit when the transfer begins in user mode. */
        bool explicit_access = ac && !user;
        assert_int_equal(raised(b, memory_write_as(b->cpu, 0, 0x5000, &value, 8)),
                         smap && !explicit_access ? VECTOR_PF : 0);
        assert_int_equal(raised(b, memory_read_as(b->cpu, 0, 0x5000, &value, 8)),
                         smap && !explicit_access ? VECTOR_PF : 0);
        assert_int_equal(raised(b, memory_write_as(b->cpu, 3, 0x5000, &value, 8)), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(cr0_has_rules),
        BENCH_TEST(cr4_takes_the_models_bits),
        BENCH_TEST(modes_bind_cr4),
        BENCH_TEST(cr3_has_reserved_bits),
        BENCH_TEST(efer_has_reserved_bits),
        BENCH_TEST(registers_that_do_not_exist),
        BENCH_TEST(pkru_has_instructions),
        BENCH_TEST(pkru_is_saved),
        BENCH_TEST(pkrs_has_32_bits),
        BENCH_TEST(invpcid_has_rules),
        BENCH_TEST(bases_are_canonical),
        BENCH_TEST(non_canonical_accesses),
        BENCH_TEST(pointers_are_masked),
        BENCH_TEST(compatibility_mode_wraps),
        BENCH_TEST(pdptes_are_checked_when_loaded),
        BENCH_TEST(pdptes_are_loaded_by_some_bits),
        BENCH_TEST(pages_lie_beyond_4_gib),
        BENCH_TEST(smap_knows_implicit_accesses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
