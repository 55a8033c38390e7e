/*
 * Virtual-8086 mode and its extensions, protected-mode virtual interrupts, and
 * alignment checks of programs. (SDM vol. 3, chapter 21; 6.15)
 */
#include "cpu_bench.h"

#define VM_FLAGS (FLAG_1 | FLAG_VM)

/* Virtual-8086 mode at 0:8000h, stack 0:6000h; #GP at 9000h, an interrupt
 * gate for 21h at A000h. The redirection bitmap is all clear. */
static struct cpu_state *prepare(struct cpu_bench *b, const char *code, unsigned bytes,
                                 uint64_t flags)
{
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
    bench_gate(b, 0x21, CODE0, 0xa000, 0xee);
    bench_put(b, 0x21 * 4, 0x00001234, 4);
    bench_put(b, TSS + 0x66, 0x88, 2);
    s->tr.limit = 0x2fff;
    s->rflags = VM_FLAGS | flags;
    s->cr4 = CR4_VME;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        segment_load_real(b->cpu, i, 0);
    bench_code(b, 0x8000, code, bytes);
    cpu_restored(b->cpu);
    return s;
}

static void int_n_is_redirected_with_vif_as_if(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcd\x21", 2, FLAG_VIF | FLAG_IF);

    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x1234);
    assert_int_equal(s->gpr[RSP], 0x5ffa);
    assert_int_equal(bench_get(b, 0x5ffa, 2), 0x8002);
    assert_int_equal(bench_get(b, 0x5ffe, 2), FLAG_1 | FLAG_IF | FLAG_IOPL);
    assert_int_equal(s->rflags, VM_FLAGS | FLAG_IF);
    assert_int_equal(s->cpl, 3);
}

static void int_n_is_redirected_with_iopl_3(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcd\x21", 2, FLAG_VIF | FLAG_IF | FLAG_IOPL);

    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x1234);
    assert_int_equal(bench_get(b, 0x5ffe, 2), FLAG_1 | FLAG_IF | FLAG_IOPL);
    assert_int_equal(s->rflags, VM_FLAGS | FLAG_VIF | FLAG_IOPL);
}

static void int_n_with_its_bit_set_goes_to_the_monitor(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcd\x21", 2, 0);

    bench_put(b, TSS + 0x68 + 0x21 / 8, 1 << 1, 1);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000); /* IOPL < 3: #GP(0) */
    assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0);
    prepare(b, "\xcd\x21", 2, FLAG_IOPL);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0xa000);
}

static void without_vme_int_n_needs_iopl_3(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcd\x21", 2, 0);

    s->cr4 = 0;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    prepare(b, "\xcd\x21", 2, FLAG_IOPL);
    s->cr4 = 0;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0xa000);
}

static void bitmap_beyond_the_tss_is_gp(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcd\x21", 2, FLAG_IOPL);

    s->tr.limit = 0x6b;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    prepare(b, "\xcd\x21", 2, FLAG_IOPL);
    s->tr.limit = 0x6c;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x1234);
}

static void int3_is_never_redirected(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcc", 1, 0);

    bench_gate(b, VECTOR_BP, CODE0, 0xb000, 0xee);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0xb000);
}

static void put_frame(struct cpu_bench *b, unsigned flags)
{
    b->cpu->s.gpr[RSP] = 0x5ff0;
    bench_put(b, 0x5ff0, 0x4321, 2);
    bench_put(b, 0x5ff2, 0x0000, 2);
    bench_put(b, 0x5ff4, flags, 2);
}

static void iret_loads_vif(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcf", 1, 0);

    put_frame(b, FLAG_1 | FLAG_IF | FLAG_CF | FLAG_IOPL);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x4321);
    assert_int_equal(s->rflags, VM_FLAGS | FLAG_VIF | FLAG_CF);
}

static void iret_may_not_enable_what_waits_nor_step(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\xcf", 1, FLAG_VIP);

    put_frame(b, FLAG_1 | FLAG_IF);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    prepare(b, "\xcf", 1, 0);
    put_frame(b, FLAG_1 | FLAG_TF);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    prepare(b, "\x66\xcf", 2, 0); /* 32 bits */
    put_frame(b, FLAG_1);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
}

static void both_virtual_flags_stop_the_program(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = prepare(b, "\x90", 1, FLAG_VIF | FLAG_VIP);

    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(bench_get(b, s->gpr[RSP] + 4, 4), 0x8000);
    prepare(b, "\x90", 1, FLAG_VIF | FLAG_VIP | FLAG_IOPL);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x8001);
}

static void pvi_gives_cli_and_sti_the_virtual_flag(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
    bench_code(b, 0x8000, "\xfb\xfa\xfb\xfb", 4);
    s->cr4 = CR4_PVI;
    s->rflags = FLAG_1 | FLAG_IF;
    cpu_restored(b->cpu);
    bench_run(b, 1);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF | FLAG_VIF);
    bench_run(b, 1);
    assert_int_equal(s->rflags, FLAG_1 | FLAG_IF);
    s->rflags |= FLAG_VIP;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(bench_get(b, s->gpr[RSP] + 4, 4), 0x8002);
}

/* IRET, POPF and PUSHF of a program: which flags they move, by IOPL and size, and when
 * they are forbidden. (SDM vol. 2, IRET, POPF, PUSHF) */
static void flags_by_iopl(void **state)
{
    struct cpu_bench *b = *state;
    static const char *const codes[] = { "\xcf", "\x9d", "\x9c" }; /* IRET, POPF, PUSHF */

    for (unsigned n = 0; n < 3 * 1024; n++) {
        unsigned way = n % 3, iopl = n / 3 & 3, size = n / 12 & 1 ? 4 : 2, bits = n / 24;
        bool vme = bits & 1;
        const uint64_t plain = FLAGS_ARITHMETIC | FLAG_DF | FLAG_NT;
        uint64_t old = (bits & 2 ? FLAG_IF : 0) | (bits & 4 ? FLAG_VIF : 0) | (bits & 4 ? plain : 0);
        uint64_t new = FLAG_1 | (bits & 8 ? FLAG_IF : 0) | (bits & 16 ? FLAG_IOPL : 0)
                       | (bits & 32 ? FLAG_TF : 0) | (bits & 64 ? plain : 0)
                       | (bits & 2 ? FLAG_AC | FLAG_ID : 0);
        if (bits & 8 && !(bits & 4) && way < 2)
            old |= FLAG_VIP; /* without VIF: both would stop the program before */
        struct cpu_state *s = prepare(b, size == 4 ? "\x66" : "", size == 4, old | iopl << 12);
        bench_code(b, size == 4 ? 0x8001 : 0x8000, codes[way], 1);
        s->cr4 = vme ? CR4_VME : 0;
        s->gpr[RSP] = 0x5ff0;
        bench_put(b, 0x5fe8, 0, 8);
        bench_put(b, 0x5ff0, way ? new : 0x4321, size);
        bench_put(b, 0x5ff0 + size, 0, size);
        bench_put(b, 0x5ff0 + 2 * size, new, size);
        cpu_restored(b->cpu);
        uint64_t before = s->rflags;
        bench_run(b, 1);
        bool virtual = iopl < 3 && vme && size == 2;
        bool stops = way < 2 && (new & FLAG_TF || (new & FLAG_IF && before & FLAG_VIP));
        if ((iopl < 3 && !virtual) || (virtual && stops)) {
            assert_int_equal(s->gpr[RIP], 0x9000);
            assert_int_equal(bench_get(b, s->gpr[RSP] + 12, 4), before | FLAG_RF);
            continue;
        }
        if (way == 2) {
            uint64_t image = before & 0xfcffff & (size == 4 ? ~0ull : 0xffff);
            if (virtual)
                image = (image & ~FLAG_IF) | FLAG_IOPL | (before & FLAG_VIF ? FLAG_IF : 0);
            assert_int_equal(bench_get(b, 0x5ff0 - size, size), image);
            assert_int_equal(s->rflags, before);
            continue;
        }
        uint64_t may = plain | FLAG_TF | (virtual ? 0 : FLAG_IF) | (size == 4 ? FLAG_AC | FLAG_ID : 0);
        uint64_t want = (before & ~may) | (new & may);
        if (virtual)
            want = (want & ~FLAG_VIF) | (new & FLAG_IF ? FLAG_VIF : 0);
        assert_int_equal(s->rflags, want);
        assert_int_equal(s->gpr[RIP], way == 0 ? 0x4321 : 0x8000 + size / 2);
        assert_int_equal(s->gpr[RSP], 0x5ff0 + (way == 0 ? 3 * size : size));
    }
}

/* IRET of 32 bits at privilege 0 with VM in its flags: all of the frame. Otherwise VM is
 * no flag of it. */
static void iret_enters_with_the_whole_frame(void **state)
{
    static const uint32_t offsets[] = { 0x4321, 0xffff, 0x10000, 0x10001, 0x80004321 };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(offsets) * 3; n++) {
        uint32_t offset = offsets[n % ARRAY_SIZE(offsets)];
        unsigned kind = n / ARRAY_SIZE(offsets); /* privilege 0, 3, or 0 with 16 bits */
        uint32_t all = 0xffffffff & ~(FLAG_TF | FLAG_NT);
        unsigned size = kind == 2 ? 2 : 4, cs = kind == 0 ? 0x1111 : kind == 1 ? CODE3 : CODE0;
        uint32_t frame[] = { offset, cs, all, 0x87654321, 0x2222, 0x3333, 0x4444, 0x5555, 0x6666 };
        bench_protected(b, kind == 1 ? 3 : 0);
        bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
        s->gpr[RSP] = 0x5800;
        s->rflags = FLAG_1;
        for (unsigned i = 0; i < ARRAY_SIZE(frame); i++)
            bench_put(b, 0x5800 + size * i, frame[i], size);
        bench_code(b, 0x8000, kind == 2 ? "\x66\xcf" : "\xcf", 2);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        if (kind) {
            assert_int_equal(s->gpr[RIP], size == 4 ? offset : offset & 0xffff);
            assert_false(s->rflags & FLAG_VM);
            assert_int_equal(s->gpr[RSP], 0x5800 + 3 * size);
            continue;
        }
        if (offset > 0xffff) {
            assert_int_equal(s->gpr[RIP], 0x9000);
            assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0);
            assert_int_equal(s->gpr[RSP], 0x5800 - 16);
            continue;
        }
        assert_int_equal(s->gpr[RIP], offset);
        assert_int_equal(s->gpr[RSP], 0x87654321);
        assert_int_equal(s->rflags, all & 0x3f7fd7);
        assert_int_equal(s->cpl, 3);
        static const uint8_t order[] = { CS, SS, ES, DS, FS, GS };
        for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
            assert_int_equal(s->seg[order[i]].selector, 0x1111 * (i + 1));
            assert_int_equal(s->seg[order[i]].base, 0x11110 * (i + 1));
            assert_int_equal(s->seg[order[i]].limit, 0xffff);
            assert_int_equal(s->seg[order[i]].attributes, 0xf3);
        }
    }
}

/* Alignment */

struct access {
    const char *name;
    const char *code;
    uint8_t bytes;
    uint8_t good; /* the access is at RDI; a place where it may be, */
    uint8_t bad;  /* and one where it may not: #AC */
};

/* 64-bit code; the operand is at (%rdi). */
static const struct access accesses[] = {
    { "mov 16", "\x66\x8b\x07", 3, 2, 1 },
    { "mov 32", "\x8b\x07", 2, 4, 2 },
    { "mov 64", "\x48\x8b\x07", 3, 8, 4 },
    { "store 32", "\x89\x07", 2, 4, 1 },
    { "modify 32", "\xff\x07", 2, 4, 3 },
    { "movups", "\x0f\x10\x07", 3, 8, 4 },
    { "fld m80", "\xdb\x2f", 2, 8, 4 },
    { "fnstenv", "\xd9\x37", 2, 4, 2 },
    { "fnstenv 16", "\x66\xd9\x37", 3, 2, 1 },
    { "fnsave", "\xdd\x37", 2, 4, 2 },
    { "lgs 16:32", "\x0f\xb5\x07", 3, 4, 2 },
    { "lgs 16:16", "\x66\x0f\xb5\x07", 4, 2, 1 },
    { "cmpxchg8b", "\x0f\xc7\x0f", 3, 8, 4 },
    { "stosd", "\xab", 1, 4, 2 },
    { "push", "\x48\x8d\x67\x08\x50", 5, 8, 4 },
    { "verr", "\x0f\x00\x27", 3, 2, 1 },
};

static void run_access(struct cpu_bench *b, const struct access *access, unsigned at, bool am,
                       unsigned cpl)
{
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, cpl);
    bench_gate64(b, VECTOR_AC, CODE64, 0x9000, 0, 0x8e);
    bench_gate64(b, VECTOR_GP, CODE64, 0xa000, 0, 0x8e);
    bench_gate64(b, VECTOR_NP, CODE64, 0xb000, 0, 0x8e);
    bench_code(b, 0x8000, access->code, access->bytes);
    bench_put(b, 0x14000, 0, 8);
    bench_put(b, 0x14008, 0, 8);
    s->cr4 |= CR4_OSFXSR;
    s->cr0 |= am ? CR0_AM : 0;
    s->rflags = FLAG_1 | FLAG_AC;
    s->gpr[RDI] = 0x14000 + at;
    cpu_restored(b->cpu);
    bench_run(b, access->code[0] == 0x48 && access->bytes == 5 ? 2 : 1);
}

static void misaligned_accesses_of_programs_are_faults(void **state)
{
    struct cpu_bench *b = *state;
    const struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(accesses); i++) {
        const struct access *access = &accesses[i];
        run_access(b, access, access->good, true, 3);
        if (s->gpr[RIP] != 0x8000u + access->bytes)
            fail_msg("%s: refused where it may be", access->name);
        run_access(b, access, access->bad, true, 3);
        if (s->gpr[RIP] != 0x9000)
            fail_msg("%s: allowed where it may not be", access->name);
        assert_int_equal(bench_get(b, s->gpr[RSP], 8), 0);
        run_access(b, access, access->bad, false, 3);
        if (s->gpr[RIP] != 0x8000u + access->bytes)
            fail_msg("%s: refused without CR0.AM", access->name);
        run_access(b, access, access->bad, true, 0);
        if (s->gpr[RIP] != 0x8000u + access->bytes)
            fail_msg("%s: refused at privilege 0", access->name);
    }
}

static void alignment_comes_behind_gp_and_before_pf(void **state)
{
    struct cpu_bench *b = *state;
    static const struct access load = { "mov", "\x8b\x07", 2, 0, 0 };
    static const struct access movaps = { "movaps", "\x0f\x28\x07", 3, 0, 0 };

    run_access(b, &load, 0x800001 - 0x14000, true, 3); /* not mapped */
    assert_int_equal(b->cpu->s.gpr[RIP], 0x9000);
    run_access(b, &movaps, 8, true, 3);
    assert_int_equal(b->cpu->s.gpr[RIP], 0xa000);
}

/* Each offset, by the size of what is popped; privilege 0 may do it. */
static void misaligned_iret_of_a_program_is_a_fault(void **state)
{
    static const char *const codes[] = { "\x66\xcf", "\xcf", "\x48\xcf" };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 3 * 8 * 2; n++) {
        unsigned size = 2u << n / 16, offset = n & 7, cpl = n & 8 ? 0 : 3;
        const uint64_t frame[] = { 0x8100, cpl ? CODE64_3 : CODE64, FLAG_1, 0x4000, cpl ? DATA3 : DATA64 };
        bench_long(b, cpl);
        bench_gate64(b, VECTOR_AC, CODE64, 0x9000, 0, 0x8e);
        bench_code(b, 0x8000, codes[n / 16], 2);
        for (unsigned i = 0; i < 5; i++)
            bench_put(b, 0x5000 + offset + size * i, frame[i], size);
        s->cr0 |= CR0_AM;
        s->rflags = FLAG_1 | FLAG_AC;
        s->gpr[RSP] = 0x5000 + offset;
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], cpl && offset % size ? 0x9000 : 0x8100);
    }
}

static void popf_starts_the_checks(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 3);
    bench_gate64(b, VECTOR_AC, CODE64, 0x9000, 0, 0x8e);
    bench_code(b, 0x8000, "\x8b\x07\x9d\x8b\x07", 5); /* mov (%rdi), %eax; popfq; the same */
    s->cr0 |= CR0_AM;
    s->gpr[RDI] = 0x14001;
    bench_put(b, 0x6000, FLAG_1 | FLAG_AC, 8);
    cpu_restored(b->cpu);
    bench_run(b, 3);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(bench_get(b, s->gpr[RSP] + 8, 8), 0x8003);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(int_n_is_redirected_with_vif_as_if),
        BENCH_TEST(int_n_is_redirected_with_iopl_3),
        BENCH_TEST(int_n_with_its_bit_set_goes_to_the_monitor),
        BENCH_TEST(without_vme_int_n_needs_iopl_3),
        BENCH_TEST(bitmap_beyond_the_tss_is_gp),
        BENCH_TEST(int3_is_never_redirected),
        BENCH_TEST(iret_loads_vif),
        BENCH_TEST(iret_may_not_enable_what_waits_nor_step),
        BENCH_TEST(flags_by_iopl),
        BENCH_TEST(iret_enters_with_the_whole_frame),
        BENCH_TEST(both_virtual_flags_stop_the_program),
        BENCH_TEST(pvi_gives_cli_and_sti_the_virtual_flag),
        BENCH_TEST(misaligned_accesses_of_programs_are_faults),
        BENCH_TEST(alignment_comes_behind_gp_and_before_pf),
        BENCH_TEST(misaligned_iret_of_a_program_is_a_fault),
        BENCH_TEST(popf_starts_the_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
