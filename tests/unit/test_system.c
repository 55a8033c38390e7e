/* Control and debug registers, descriptor tables, I/O permission, reset. */
#include <stdio.h>

#include "execute.h"

/* Privilege and modes */

static void rdtsc_obeys_tsd(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 3);
    b->ns = 0x100000005;
    b->cpu->s.tsc_aux = 9;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xf9"), 0); /* RDTSCP */
    assert_int_equal(b->cpu->s.gpr[RAX], 5);
    assert_int_equal(b->cpu->s.gpr[RDX], 1);
    assert_int_equal(b->cpu->s.gpr[RCX], 9);
    b->cpu->s.cr4 |= CR4_TSD;
    assert_int_equal(EXECUTE(b, "\x0f\x31"), RAISED(GP));
}

static void privileged_instructions_fault_in_ring_3(void **state)
{
    struct cpu_bench *b = *state;
    static const struct { const char *bytes; unsigned count; } cases[] = {
        { "\xf4", 1 },             /* HLT */
        { "\x0f\x20\xc0", 3 },     /* MOV from CR0 */
        { "\x0f\x22\xd8", 3 },     /* MOV to CR3 */
        { "\x0f\x21\xf8", 3 },     /* MOV from DR7 */
        { "\x0f\x23\xf8", 3 },     /* MOV to DR7 */
        { "\x0f\x06", 2 },         /* CLTS */
        { "\x0f\x08", 2 },         /* INVD */
        { "\x0f\x09", 2 },         /* WBINVD */
        { "\x0f\x30", 2 },         /* WRMSR */
        { "\x0f\x32", 2 },         /* RDMSR */
        { "\x0f\x33", 2 },         /* RDPMC */
        { "\x0f\x01\x10", 3 },     /* LGDT */
        { "\x0f\x01\x18", 3 },     /* LIDT */
        { "\x0f\x01\x38", 3 },     /* INVLPG */
        { "\x0f\x01\xf0", 3 },     /* LMSW */
        { "\x0f\x01\xf8", 3 },     /* SWAPGS */
        { "\x0f\x00\xd0", 3 },     /* LLDT */
        { "\x0f\x00\xd8", 3 },     /* LTR */
        { "\x48\x0f\x07", 3 },     /* SYSRET */
        { "\x0f\x35", 2 },         /* SYSEXIT */
        { "\x66\x0f\x38\x82\x00", 5 }, /* INVPCID */
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bench_long(b, 3);
        b->cpu->s.efer |= EFER_SCE;
        b->cpu->s.gpr[RAX] = 0x1000;
        assert_int_equal(execute(b, cases[i].bytes, cases[i].count), RAISED(GP));
        assert_int_equal(bench_get(b, 0x7000 - 48, 8), 0);
    }
    bench_long(b, 3);
    assert_int_equal(EXECUTE(b, "\x0f\x01\xca"), RAISED(UD)); /* CLAC */
    assert_int_equal(EXECUTE(b, "\x0f\xaa"), RAISED(UD));     /* RSM */
}

static void umip_hides_the_tables(void **state)
{
    struct cpu_bench *b = *state;
    static const char *const cases[] = { "\x0f\x00\xc0", "\x0f\x00\xc8", "\x0f\x01\xe0" };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bench_long(b, 3);
        assert_int_equal(execute(b, cases[i], 3), 0);
        b->cpu->s.cr4 |= CR4_UMIP;
        bench_segment(b, &b->cpu->s.seg[CS], CODE64_3);
        b->cpu->s.cpl = 3;
        assert_int_equal(execute(b, cases[i], 3), RAISED(GP));
    }
}

static void descriptor_instructions_need_protected_mode(void **state)
{
    struct cpu_bench *b = *state;
    static const char *const cases[] = { "\x0f\x00\xc0", "\x0f\x00\xd0", "\x0f\x00\xe0",
                                         "\x0f\x02\xc0", "\x0f\x03\xc0" };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        cpu_reset(b->cpu);
        bench_put(b, 6 * 4, 0x00007777, 4);
        b->cpu->s.seg[CS].base = 0;
        b->cpu->s.seg[CS].selector = 0;
        b->cpu->s.gpr[RSP] = 0x7000;
        bench_code(b, 0x8000, cases[i], 3);
        b->cpu->s.gpr[RIP] = 0x8000;
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(b->cpu->s.gpr[RIP], 0x7777);
    }
}

/* Tables */

static void tables_are_loaded_and_stored(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    b->cpu->s.gpr[RBX] = 0x5000;
    assert_int_equal(EXECUTE(b, "\x0f\x01\x03"), 0); /* SGDT [rbx] */
    assert_int_equal(bench_get(b, 0x5000, 2), GDT_BYTES - 1);
    assert_int_equal(bench_get(b, 0x5002, 8), GDT);
    bench_put(b, 0x5000, 0x0fff, 2);
    bench_put(b, 0x5002, IDT, 8);
    assert_int_equal(EXECUTE(b, "\x0f\x01\x1b"), 0); /* LIDT [rbx] */
    assert_int_equal(b->cpu->s.idtr.limit, 0xfff);
    bench_put(b, 0x5002, 1ull << 56, 8);
    assert_int_equal(EXECUTE(b, "\x0f\x01\x13"), RAISED(GP)); /* LGDT [rbx] */
    assert_int_equal(b->cpu->s.gdtr.base, GDT);
}

static void ltr_makes_the_task_busy(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    b->cpu->s.tr.selector = 0;
    b->cpu->s.gpr[RAX] = TASK;
    assert_int_equal(EXECUTE(b, "\x0f\x00\xd8"), 0);
    assert_int_equal(bench_get(b, GDT + TASK + 5, 1), 0x8b);
    assert_int_equal(b->cpu->s.tr.base, TSS);
    assert_int_equal(segment_type(&b->cpu->s.tr), TYPE_TSS32_BUSY);
    assert_int_equal(EXECUTE(b, "\x0f\x00\xd8"), RAISED(GP)); /* busy now */
}

static void lar_lsl_verr_verw(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    s->gpr[RBX] = DATA3;
    assert_int_equal(EXECUTE(b, "\x0f\x03\xc3"), 0); /* LSL eax, ebx */
    assert_int_equal(s->gpr[RAX], 0xffffffff);
    assert_true(s->rflags & FLAG_ZF);
    assert_int_equal(EXECUTE(b, "\x0f\x02\xc3"), 0); /* LAR */
    assert_int_equal(s->gpr[RAX], 0x00cff300);
    assert_int_equal(EXECUTE(b, "\x0f\x00\xeb"), 0); /* VERW */
    assert_true(s->rflags & FLAG_ZF);
    s->gpr[RBX] = CODE3;
    assert_int_equal(EXECUTE(b, "\x0f\x00\xeb"), 0);
    assert_false(s->rflags & FLAG_ZF);
    assert_int_equal(EXECUTE(b, "\x0f\x00\xe3"), 0); /* VERR */
    assert_true(s->rflags & FLAG_ZF);
    s->gpr[RBX] = DATA0; /* not for ring 3 */
    s->gpr[RAX] = 77;
    assert_int_equal(EXECUTE(b, "\x0f\x03\xc3"), 0);
    assert_int_equal(s->gpr[RAX], 77);
    assert_false(s->rflags & FLAG_ZF);
}

/* Each bit of a descriptor's base and limit belongs to one of them only. */
static void bases_and_limits_by_bit(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    for (unsigned bit = 0; bit < 52; bit++) {
        uint32_t base = bit < 32 ? 1u << bit : 0, limit = bit < 32 ? 0 : 1u << (bit - 32);
        bench_descriptor(b, SPARE, base, limit, 0x93);
        s->gpr[RAX] = SPARE;
        assert_int_equal(EXECUTE(b, "\x8e\xe0"), 0); /* MOV fs, ax */
        assert_int_equal(s->seg[FS].base, base);
        assert_int_equal(s->seg[FS].limit, limit);
        assert_int_equal(s->seg[FS].attributes, 0x93);
    }
}

/* GDT, IDT and TSS above 4 GiB, where nothing lies at the lower half of the address. */
static void tables_lie_in_the_upper_half(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t high = 0xffff800040000000;

    bench_long(b, 3);
    bench_put(b, TABLES + 256 * 8, (TABLES + 0x3000) | 7, 8);
    bench_put(b, TABLES + 0x3008, (TABLES + 0x2000) | 7, 8);
    s->gdtr.base = high + GDT;
    s->idtr.base = high + IDT;
    s->tr.base = high + TSS;
    assert_int_equal(EXECUTE(b, "\x0f\x0b"), RAISED(UD)); /* by the stack of the TSS */
    assert_int_equal(s->cpl, 0);
    assert_int_equal(EXECUTE(b, "\x0f\x0b"), RAISED(UD));
}

/* SLDT, STR, LLDT, LTR, VERR, VERW, LAR, LSL and ARPL, of registers and memory. */
static void real_mode_has_no_descriptors(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    s->seg[CS].base = s->seg[CS].selector = 0;
    bench_put(b, 4 * VECTOR_UD, 0x9000, 4);
    for (unsigned n = 0; n < 9 * 2; n++) {
        unsigned which = n / 2, modrm = n % 2 ? 0xc0 : 7; /* AX, or [BX] */
        if (which < 6)
            bench_put(b, 0x8000, 0x0f | (which << 3 | modrm) << 16, 3);
        else if (which < 8)
            bench_put(b, 0x8000, 0x0f | (which - 4) << 8 | modrm << 16, 3);
        else
            bench_put(b, 0x8000, 0x63 | modrm << 8, 3);
        s->gpr[RBX] = 0xffff; /* beyond the limit: that would come later */
        s->gpr[RSP] = 0x7000;
        s->gpr[RIP] = 0x8000;
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9000);
        assert_int_equal(bench_get(b, 0x6ffa, 2), 0x8000);
    }
}

static void arpl_raises_rpl(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    s->gpr[RAX] = 0x10;
    s->gpr[RBX] = 3;
    assert_int_equal(EXECUTE(b, "\x63\xd8"), 0);
    assert_int_equal(s->gpr[RAX], 0x13);
    assert_true(s->rflags & FLAG_ZF);
    assert_int_equal(EXECUTE(b, "\x63\xd8"), 0);
    assert_false(s->rflags & FLAG_ZF);
}

/* Segment registers */

static void selectors_move_in_every_width(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->gpr[RAX] = ~0ull;
    assert_int_equal(EXECUTE(b, "\x66\x8c\xd0"), 0); /* MOV ax, ss */
    assert_int_equal(s->gpr[RAX], 0xffffffffffff0000 | DATA64);
    assert_int_equal(EXECUTE(b, "\x8c\xd0"), 0);
    assert_int_equal(s->gpr[RAX], DATA64);
    s->gpr[RBX] = 0x5000;
    bench_put(b, 0x5000, ~0ull, 8);
    assert_int_equal(EXECUTE(b, "\x48\x8c\x13"), 0); /* MOV [rbx], ss: 16 bits */
    assert_int_equal(bench_get(b, 0x5000, 8), 0xffffffffffff0000 | DATA64);
    bench_put(b, 0x5000, 0x123456789abcdef0, 8);
    bench_put(b, 0x5008, DATA0, 2);
    assert_int_equal(EXECUTE(b, "\x48\x0f\xb4\x03"), 0); /* LFS rax, [rbx] */
    assert_int_equal(s->gpr[RAX], 0x123456789abcdef0);
    assert_int_equal(s->seg[FS].selector, DATA0);
    assert_int_equal(EXECUTE(b, "\x8e\xc8"), RAISED(UD)); /* MOV cs, ax */
}

static void mov_ss_shadows_interrupts(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    s->gpr[RAX] = DATA0;
    assert_int_equal(EXECUTE(b, "\x8e\xd0\x90"), 0);
    assert_int_equal(s->shadow_mov_ss, 1);
    bench_run(b, 1);
    assert_int_equal(s->shadow_mov_ss, 0);
}

static void pop_segment_keeps_the_stack_on_faults(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    bench_put(b, 0x6ffc, 0xfff8, 4);
    s->gpr[RSP] = 0x6ffc;
    assert_int_equal(EXECUTE(b, "\x0f\xa1"), RAISED(GP));
    assert_int_equal(s->gpr[RSP], 0x6ffc - 16);
    bench_put(b, 0x6ffc, 0xabcd0000 | DATA3, 4);
    s->gpr[RSP] = 0x6ffc;
    assert_int_equal(EXECUTE(b, "\x0f\xa1"), 0);
    assert_int_equal(s->gpr[RSP], 0x7000);
    assert_int_equal(s->seg[FS].selector, DATA3);
}

/* Control and debug registers */

static void msw_sets_but_never_clears_pe(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    s->gpr[RAX] = 0xfffe;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xf0"), 0); /* LMSW ax */
    assert_int_equal(s->cr0, CR0_PE | CR0_ET | CR0_MP | CR0_EM | CR0_TS);
    assert_int_equal(EXECUTE(b, "\x0f\x06"), 0); /* CLTS */
    assert_int_equal(EXECUTE(b, "\x0f\x01\xe0"), 0); /* SMSW eax */
    assert_int_equal(s->gpr[RAX], CR0_PE | CR0_ET | CR0_MP | CR0_EM);
}

static void clflush_touches_one_byte(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    s->seg[DS].limit = 0xafff;
    s->gpr[RBX] = 0xafff;
    assert_int_equal(EXECUTE(b, "\x0f\xae\x3b"), 0);
    s->gpr[RBX] = 0xb000;
    assert_int_equal(EXECUTE(b, "\x0f\xae\x3b"), RAISED(GP));
}

static void debug_registers_have_fixed_bits(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->gpr[RAX] = 0;
    assert_int_equal(EXECUTE(b, "\x0f\x23\xf0"), 0); /* MOV dr6, rax */
    assert_int_equal(s->dr[6], 0xffff0ff0);
    assert_int_equal(EXECUTE(b, "\x0f\x23\xf8"), 0); /* MOV dr7, rax */
    assert_int_equal(s->dr[7], 0x400);
    s->gpr[RAX] = 0xffffffff;
    assert_int_equal(EXECUTE(b, "\x0f\x23\xf0"), 0);
    assert_int_equal(s->dr[6], 0xffffefff);
    s->dr[6] = 0xffff0ff0;
    s->gpr[RAX] = 0xffffdfff; /* all but GD */
    s->cr4 &= ~CR4_DE;
    assert_int_equal(EXECUTE(b, "\x0f\x23\xe8"), 0); /* MOV dr5: DR7 */
    assert_int_equal(s->dr[7], 0xffff07ff);
    s->dr[7] = 0x400;
    s->cr4 |= CR4_DE;
    assert_int_equal(EXECUTE(b, "\x0f\x23\xe8"), RAISED(UD));
    s->gpr[RAX] = 1ull << 32;
    assert_int_equal(EXECUTE(b, "\x0f\x23\xf8"), RAISED(GP));
    s->dr[7] = 0x2400;
    assert_int_equal(EXECUTE(b, "\x0f\x21\xf8"), RAISED(DB)); /* general detect */
    assert_int_equal(s->dr[6], 0xffff2ff0);
    assert_int_equal(s->dr[7], 0x400);
}

static void breakpoints_stop(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->dr[0] = 0x8000;
    s->dr[7] = 0x401;
    assert_int_equal(EXECUTE(b, "\x90"), RAISED(DB));
    assert_int_equal(s->dr[6] & 15, 1);
    bench_long(b, 0);
    s->dr[0] = 0x5004;
    s->dr[7] = 0x401 | 0xd << 16; /* 4 bytes, writes */
    s->gpr[RBX] = 0x5000;
    assert_int_equal(EXECUTE(b, "\x48\x89\x03"), 0); /* MOV [rbx], rax: a trap, after it */
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9010);
    assert_int_equal(bench_get(b, 0x7000 - 40, 8), 0x8003);
}

static void io_permission_follows_the_bitmap(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 3);
    b->cpu->s.tr.limit = 0x68 + 8;
    bench_put(b, TSS + 0x66, 0x68, 2);
    bench_put(b, TSS + 0x68, 0xffffffffffffff5f, 8);
    bench_put(b, TSS + 0x70, 0xff, 1);
    assert_int_equal(cpu_check_io(b->cpu, 5, 1), 0);
    assert_int_equal(cpu_check_io(b->cpu, 5, 2), CPU_FAULT);
    assert_int_equal(cpu_check_io(b->cpu, 7, 1), 0);
    assert_int_equal(cpu_check_io(b->cpu, 7, 2), CPU_FAULT);
    assert_int_equal(cpu_check_io(b->cpu, 0x3f8, 1), CPU_FAULT); /* beyond the limit */
    b->cpu->s.rflags |= FLAG_IOPL;
    assert_int_equal(cpu_check_io(b->cpu, 0x3f8, 1), 0);
    b->cpu->s.rflags |= FLAG_VM;
    assert_int_equal(cpu_check_io(b->cpu, 0x3f8, 1), CPU_FAULT);
}

/* The rest */

static void swapgs_and_bases(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->kernel_gs_base = 0xffff888000001000;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xf8"), 0);
    assert_int_equal(s->seg[GS].base, 0xffff888000001000);
    assert_int_equal(b->cpu->access[GS].base, 0xffff888000001000);
    assert_int_equal(s->kernel_gs_base, 0);
    assert_int_equal(EXECUTE(b, "\xf3\x48\x0f\xae\xc8"), RAISED(UD)); /* RDGSBASE rax */
    s->cr4 |= CR4_FSGSBASE;
    assert_int_equal(EXECUTE(b, "\xf3\x48\x0f\xae\xc8"), 0);
    assert_int_equal(s->gpr[RAX], 0xffff888000001000);
    s->gpr[RAX] = 1ull << 58;
    assert_int_equal(EXECUTE(b, "\xf3\x48\x0f\xae\xd0"), RAISED(GP)); /* WRFSBASE rax */
    assert_int_equal(EXECUTE(b, "\xf3\x0f\xae\xd0"), 0);              /* WRFSBASE eax */
    assert_int_equal(s->seg[FS].base, 0);
}

static void stac_changes_the_tlb(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    assert_int_equal(EXECUTE(b, "\x0f\x01\xcb"), 0);
    assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[MMU_SUPERVISOR_AC]);
    assert_int_equal(EXECUTE(b, "\x0f\x01\xca"), 0);
    assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[MMU_SUPERVISOR]);
}

static void xcr0_takes_only_what_exists(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->gpr[RAX] = 3;
    s->gpr[RCX] = s->gpr[RDX] = 0;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xd1"), RAISED(UD));
    s->cr4 |= CR4_OSXSAVE;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xd1"), 0);
    assert_int_equal(s->xcr0, 3);
    s->gpr[RAX] = 7;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xd1"), 0);
    assert_int_equal(s->xcr0, 7);
    static const uint64_t refused[] = { 2, 5 /* AVX without SSE */, 0x0f /* MPX */, 0xe7 /* AVX-512 */ };
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        s->gpr[RAX] = refused[i];
        assert_int_equal(EXECUTE(b, "\x0f\x01\xd1"), RAISED(GP));
    }
    assert_int_equal(EXECUTE(b, "\x0f\x01\xd0"), 0); /* XGETBV */
    assert_int_equal(s->gpr[RAX], 7);
}

/* MONITOR and MWAIT */

static void monitor_arms_and_mwait_lets_others_run(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->gpr[RAX] = 0x100005040;
    bench_put(b, TABLES + 0x1000 + 8 * 4, (TABLES + 0x2000) | 7, 8); /* 4 GiB and up, too */
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc8"), 0);
    assert_int_equal(s->monitor_armed, 1);
    assert_int_equal(s->monitor_address, 0x100005040);
    assert_int_equal(EXECUTE(b, "\x67\x0f\x01\xc8"), 0);
    assert_int_equal(s->monitor_address, 0x5040);
    s->seg[FS].base = 1ull << 40; /* the address is read, by its segment */
    assert_int_equal(EXECUTE(b, "\x64\x0f\x01\xc8"), RAISED(PF));
    assert_int_equal(s->cr2, 1ull << 40 | 0x100005040);
    bench_long(b, 0);
    s->gpr[RCX] = 1ull << 32; /* ECX tells of extensions */
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc8"), 0);
    s->gpr[RCX] = 1;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc8"), RAISED(GP));
    bench_long(b, 0);
    assert_int_equal(s->monitor_armed, 1);
    s->gpr[RCX] = 1ull << 32 | 1; /* interrupts end it even if masked */
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc9"), 0);
    assert_int_equal(s->gpr[RIP], 0x8003);
    assert_int_equal(s->monitor_armed, 0);
    s->gpr[RCX] = 2;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc9"), RAISED(GP));
    bench_long(b, 3);
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc8"), RAISED(UD));
    bench_long(b, 3);
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc9"), RAISED(UD));
    bench_protected(b, 0);
    s->efer = 0;
    s->gpr[RAX] = 0x5000;
    s->gpr[RCX] = 0;
    s->seg[DS].limit = s->seg[ES].limit = 0x4fff;
    assert_int_equal(EXECUTE(b, "\x0f\x01\xc8"), RAISED(GP));
    assert_int_equal(EXECUTE(b, "\x36\x0f\x01\xc8"), 0); /* through SS */
    assert_int_equal(s->monitor_address, 0x5000);
}

/* CPU_EXIT_YIELD comes once, and what was asked for is forgotten. */
static void requests_are_looked_at_once(void **state)
{
    struct cpu_bench *b = *state;

    bench_protected(b, 0);
    bench_code(b, 0x8000, "\xf3\x90\x0f\x01\xc9\x90\x90\x90", 8);
    b->cpu->s.gpr[RCX] = 0;
    assert_int_equal(bench_run(b, 3), CPU_EXIT_BUDGET); /* there is no other one */
    assert_int_equal(b->cpu->s.gpr[RIP], 0x8006);
    b->cpu->multiprocessor = true;
    b->cpu->s.gpr[RIP] = 0x8000;
    for (unsigned rip = 0x8002; rip <= 0x8005; rip += 3) { /* PAUSE, MWAIT */
        assert_int_equal(bench_run(b, 4), CPU_EXIT_YIELD);
        assert_int_equal(b->cpu->s.gpr[RIP], rip);
        assert_int_equal(cpu_retired(b->cpu), 1);
    }
    assert_int_equal(bench_run(b, 1), CPU_EXIT_BUDGET);
    assert_int_equal(b->cpu->s.gpr[RIP], 0x8006);
    cpu_attention(b->cpu);
    bench_run(b, 1);
    assert_false(b->cpu->attention); /* or each block would be looked at */
}

static char noticed[256];
static void note(void *context, struct cpu *cpu, const char *text)
{
    (void)context, (void)cpu;
    snprintf(noticed, sizeof noticed, "%s", text);
}

/* The user hears of an undefined instruction, with its bytes, once. */
static void undefined_instructions_are_told(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    b->cpu->bus.notice = note;
    assert_int_equal(EXECUTE(b, "\x0f\x04\x12\x34\x56\x78\x9a\xbc"), RAISED(UD));
    assert_string_equal(noticed, "undefined instruction raises #UD: 0f 04 12 34 56 78 9a bc "
                                 "(64-bit code)");
    noticed[0] = 0;
    assert_int_equal(EXECUTE(b, "\x0f\x04\x12\x34\x56\x78\x9a\xbc"), RAISED(UD));
    assert_string_equal(noticed, "");
    bench_protected(b, 0);
    b->cpu->s.efer = 0;
    assert_int_equal(EXECUTE(b, "\x0f\x04\x11\x34\x56\x78\x9a\xbc"), RAISED(UD));
    assert_string_equal(noticed, "undefined instruction raises #UD: 0f 04 11 34 56 78 9a bc "
                                 "(32-bit code)");
}

static void into_by_flag(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    s->rflags = FLAGS_ARITHMETIC & ~FLAG_OF;
    assert_int_equal(EXECUTE(b, "\xce"), 0);
    assert_int_equal(s->gpr[RIP], 0x8001);
    assert_int_equal(s->gpr[RSP], 0x7000);
    s->rflags |= FLAG_OF;
    assert_int_equal(EXECUTE(b, "\xce"), RAISED(OF));
    assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0x8001);
}

/* Everything but what makes this vCPU this one is as after power-on. */
static void reset_leaves_no_trace(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s, fresh = *s;

    memset(s, 0xa5, sizeof *s);
    s->index = 0;
    s->yield = 0;
    s->pad_x87 = 0;
    memset(s->pad_vector, 0, sizeof s->pad_vector);
    memset(s->pad, 0, sizeof s->pad);
    cpu_reset(b->cpu);
    for (size_t i = 0; i < sizeof *s; i++)
        if (((uint8_t *)s)[i] != ((uint8_t *)&fresh)[i])
            fail_msg("byte %zu of the state is not reset", i);
}

/* SDM vol. 3, table 9-1; what is not named here is 0. */
static void reset_values(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state want;

    memset(&want, 0, sizeof want);
    want.gpr[RIP] = 0xfff0;
    want.gpr[RDX] = b->model.signature;
    want.rflags = 2;
    want.cr0 = 0x60000010;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        want.seg[i] = (struct segment){ 0, 0xffff, 0, 0x93 };
    want.seg[CS] = (struct segment){ 0xffff0000, 0xffff, 0xf000, 0x9b };
    want.ldtr = (struct segment){ 0, 0xffff, 0, 0x82 };
    want.tr = (struct segment){ 0, 0xffff, 0, 0x8b };
    want.gdtr.limit = want.idtr.limit = 0xffff;
    want.dr[6] = 0xffff0ff0;
    want.dr[7] = 0x400;
    want.fcw = 0x40;
    want.ftw = 0x5555;
    want.mxcsr = 0x1f80;
    want.xcr0 = 1;
    want.pat = 0x0007040600070406;
    want.misc_enable = 1; /* fast strings */
    want.smbase = 0x30000;
    for (size_t i = 0; i < sizeof want; i++)
        if (((uint8_t *)&b->cpu->s)[i] != ((uint8_t *)&want)[i])
            fail_msg("byte %zu of the state", i);
}

/* INIT: registers as after power-on; CD and NW, MSRs, FPU and vectors stay. */
static void init_keeps_some(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s, before;
    const struct cpu_state fresh = *s;

    memset(s, 0xa5, sizeof *s);
    s->index = 0;
    s->cr0 = CR0_PG | CR0_PE | CR0_CD;
    before = *s;
    cpu_init_signal(b->cpu);
    assert_int_equal(s->cr0, CR0_ET | CR0_CD);
    assert_memory_equal(s->gpr, fresh.gpr, sizeof s->gpr);
    assert_memory_equal(s->seg, fresh.seg, sizeof s->seg);
    assert_memory_equal(&s->ldtr, &fresh.ldtr, sizeof s->ldtr);
    assert_memory_equal(&s->gdtr, &fresh.gdtr, sizeof s->gdtr);
    assert_memory_equal(s->dr, fresh.dr, sizeof s->dr);
    assert_int_equal(s->rflags, fresh.rflags);
    assert_int_equal(s->cr2 | s->cr3 | s->cr4 | s->efer | s->debugctl | s->pending_debug, 0);
    assert_int_equal(s->cpl | s->shadow_sti | s->shadow_mov_ss | s->nmi_blocked | s->nmi_pending, 0);
    assert_int_equal(s->smi_pending | s->init_pending | s->smm | s->monitor_armed, 0);
    assert_memory_equal(s->x87, before.x87, sizeof s->x87);
    assert_memory_equal(s->vector, before.vector, sizeof s->vector);
    assert_int_equal(s->fcw, before.fcw);
    assert_int_equal(s->xcr0, before.xcr0);
    assert_int_equal(s->star, before.star);
    assert_int_equal(s->pat, before.pat);
    assert_int_equal(s->tsc_offset, before.tsc_offset);
    assert_int_equal(s->mtrr_def_type, before.mtrr_def_type);
    assert_int_equal(s->smbase, before.smbase);
}

/* An operand whose last byte lies beyond the canonical half. */
static void operands_across_the_canonical_border(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->gpr[RBX] = s->gpr[RBP] = 0x7fffffffffff;
    assert_int_equal(EXECUTE(b, "\x8a\x03"), RAISED(PF)); /* MOV al, [rbx] */
    s->gpr[RBX] = s->gpr[RBP] = 0x7fffffffffff;
    assert_int_equal(EXECUTE(b, "\x66\x8b\x03"), RAISED(GP)); /* MOV ax, [rbx] */
    assert_int_equal(EXECUTE(b, "\x66\x8b\x45\x00"), RAISED(SS)); /* MOV ax, [rbp] */
    assert_int_equal(EXECUTE(b, "\x66\x89\x03"), RAISED(GP)); /* MOV [rbx], ax */
    assert_int_equal(EXECUTE(b, "\x66\xff\x03"), RAISED(GP)); /* INC word [rbx] */
    s->gpr[RBX] = 0x7fffffffffff - 6;
    assert_int_equal(EXECUTE(b, "\x48\x8b\x03"), RAISED(GP)); /* MOV rax, [rbx] */
    s->gpr[RBX]--;
    assert_int_equal(EXECUTE(b, "\x48\x8b\x03"), RAISED(PF));
}

static void reset_init_and_startup(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    assert_int_equal(s->seg[CS].base + s->gpr[RIP], 0xfffffff0);
    assert_int_equal(s->gpr[RDX], b->model.signature);
    assert_int_equal(s->activity, CPU_RUNNING);
    s->lstar = 5;
    s->mxcsr = 0x1fa0;
    cpu_init_signal(b->cpu);
    assert_int_equal(s->lstar, 5);
    assert_int_equal(s->mxcsr, 0x1fa0);
    s->index = 1;
    cpu_init_signal(b->cpu);
    assert_int_equal(s->activity, CPU_WAIT_SIPI);
    cpu_startup(b->cpu, 0x9a);
    assert_int_equal(s->activity, CPU_RUNNING);
    assert_int_equal(s->seg[CS].base, 0x9a000);
    assert_int_equal(s->seg[CS].selector, 0x9a00);
    assert_int_equal(s->gpr[RIP], 0);
    cpu_startup(b->cpu, 0x10); /* ignored: it does not wait */
    assert_int_equal(s->seg[CS].base, 0x9a000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(rdtsc_obeys_tsd),
        BENCH_TEST(privileged_instructions_fault_in_ring_3),
        BENCH_TEST(umip_hides_the_tables),
        BENCH_TEST(descriptor_instructions_need_protected_mode),
        BENCH_TEST(tables_are_loaded_and_stored),
        BENCH_TEST(ltr_makes_the_task_busy),
        BENCH_TEST(lar_lsl_verr_verw),
        BENCH_TEST(bases_and_limits_by_bit),
        BENCH_TEST(tables_lie_in_the_upper_half),
        BENCH_TEST(real_mode_has_no_descriptors),
        BENCH_TEST(arpl_raises_rpl),
        BENCH_TEST(selectors_move_in_every_width),
        BENCH_TEST(mov_ss_shadows_interrupts),
        BENCH_TEST(pop_segment_keeps_the_stack_on_faults),
        BENCH_TEST(msw_sets_but_never_clears_pe),
        BENCH_TEST(clflush_touches_one_byte),
        BENCH_TEST(debug_registers_have_fixed_bits),
        BENCH_TEST(breakpoints_stop),
        BENCH_TEST(io_permission_follows_the_bitmap),
        BENCH_TEST(swapgs_and_bases),
        BENCH_TEST(stac_changes_the_tlb),
        BENCH_TEST(xcr0_takes_only_what_exists),
        BENCH_TEST(monitor_arms_and_mwait_lets_others_run),
        BENCH_TEST(requests_are_looked_at_once),
        BENCH_TEST(undefined_instructions_are_told),
        BENCH_TEST(into_by_flag), BENCH_TEST(reset_leaves_no_trace),
        BENCH_TEST(reset_values),
        BENCH_TEST(init_keeps_some),
        BENCH_TEST(operands_across_the_canonical_border),
        BENCH_TEST(reset_init_and_startup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
