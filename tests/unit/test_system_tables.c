/*
 * Loads and stores of GDTR, IDTR, LDTR, TR, of control and debug registers in
 * each width, and the flags that IRET, CLI and STI may change at each
 * privilege. (SDM vol. 2: LGDT, LLDT, LTR, MOV, IRET, CLI, STI)
 */
#include "execute.h"

#define TARGET 0x90u /* 16 bytes */
#define AREA 0x14000u

/* LLDT and LTR by every descriptor, in both modes. */

static void system_loads_by_descriptor(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 256 * 8; n++) {
        unsigned rights = n & 0xff, type = rights & 0x1f, size;
        bool task = n >> 8 & 1, wide = n >> 9 & 1, memory = n >> 10 & 1;
        cpu_reset(b->cpu);
        if (wide)
            bench_long(b, 0);
        else
            bench_protected(b, 0);
        size = wide ? 8 : 4;
        bench_descriptor(b, TARGET, 0x12345678, 0x54321, rights);
        bench_put(b, GDT + TARGET + 8, 0xffff8765, 8);
        bench_put(b, AREA, TARGET, 2);
        s->gpr[RBX] = AREA;
        s->gpr[RAX] = TARGET;
        struct segment before = task ? s->tr : s->ldtr;
        unsigned modrm = (memory ? 0x03 : 0xc0) | (task ? 3 << 3 : 2 << 3);
        char code[3] = { 0x0f, 0x00, (char)modrm };
        unsigned result = execute(b, code, 3);
        const struct segment *loaded = task ? &s->tr : &s->ldtr;
        bool fits = task ? type == 9 || (type == 1 && !wide) : type == 2;
        unsigned vector = !fits ? VECTOR_GP : rights & 0x80 ? 0 : VECTOR_NP;
        if (result != (vector ? 0x1000 | vector : 0))
            fail_msg("rights %02x, task %u, long %u: %x", rights, task, wide, result);
        uint8_t now = (uint8_t)bench_get(b, GDT + TARGET + 5, 1);
        if (vector) {
            assert_int_equal(bench_get(b, s->gpr[RSP], size), TARGET);
            assert_memory_equal(loaded, &before, sizeof before);
            assert_int_equal(now, rights);
            continue;
        }
        assert_int_equal(loaded->selector, TARGET);
        assert_int_equal(loaded->base, wide ? 0xffff876512345678 : 0x12345678);
        assert_int_equal(loaded->limit, 0x54321);
        assert_int_equal(loaded->attributes, rights | (task ? TYPE_BUSY : 0));
        assert_int_equal(now, rights | (task ? TYPE_BUSY : 0));
    }
}

static void system_loads_by_selector(void **state)
{
    static const struct { bool task; unsigned selector; uint64_t high; unsigned vector, error; } cases[] = {
        { false, 0, 0, 0, 0 }, { false, 3, 0, 0, 0 }, { true, 0, 0, VECTOR_GP, 0 },
        { true, 2, 0, VECTOR_GP, 0 },
        { false, TARGET | 4, 0, VECTOR_GP, TARGET | 4 }, { true, TARGET | 7, 0, VECTOR_GP, TARGET | 4 },
        { false, 0x100, 0, VECTOR_GP, 0x100 }, { true, 0x103, 0, VECTOR_GP, 0x100 },
        { false, TARGET | 3, 0, 0, 0 }, { true, TARGET | 1, 0, 0, 0 },
        { false, TARGET, 0x01000000, VECTOR_GP, TARGET }, /* not canonical, with 57 bits neither */
        { true, TARGET, 0xfeffffff, VECTOR_GP, TARGET },
        { false, TARGET, 0x00ffffff, 0, 0 },
        { true, TARGET, 1ull << 40, VECTOR_GP, TARGET }, /* a type in the upper half */
        { false, TARGET, 1ull << 44, VECTOR_GP, TARGET },
        { false, TARGET, 1ull << 45, 0, 0 },
        { false, TARGET, 1ull << 39, 0, 0 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bench_long(b, 0);
        bench_descriptor(b, TARGET, 0x1000, 0x67, cases[i].task ? 0x89 : 0x82);
        bench_put(b, GDT + TARGET + 8, cases[i].high, 8);
        s->ldtr = (struct segment){ GDT, 0xff, 0x80, 0x82 };
        s->gpr[RAX] = cases[i].selector;
        unsigned result = cases[i].task ? EXECUTE(b, "\x0f\x00\xd8") : EXECUTE(b, "\x0f\x00\xd0");
        if (result != (cases[i].vector ? 0x1000 | cases[i].vector : 0))
            fail_msg("case %u: %x", i, result);
        if (result)
            assert_int_equal(bench_get(b, s->gpr[RSP], 8), cases[i].error);
        else
            assert_int_equal(cases[i].task ? s->tr.selector : s->ldtr.selector, cases[i].selector);
        if (!result && cases[i].selector < 4) {
            assert_int_equal(s->ldtr.attributes, 0);
            assert_int_equal(s->ldtr.limit, 0);
        }
    }
}

/* GDTR and IDTR: 24, 32 or 64 bits of base; stores have them all. */
static void table_registers_by_width(void **state)
{
    static const struct { bool wide; const char *prefix; uint64_t base, stored; unsigned size; } cases[] = {
        { false, "", 0xfedcba98, 0xfedcba98, 6 }, { false, "\x66", 0xdcba98, 0xdcba98, 6 },
        { true, "", 0xfffffffffedcba98, 0xfffffffffedcba98, 10 },
        { true, "\x66", 0xfffffffffedcba98, 0xfffffffffedcba98, 10 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 2; n++) {
        bool idt = n & 1;
        char code[4] = { 0 };
        unsigned length = (unsigned)strlen(cases[n / 2].prefix);
        memcpy(code, cases[n / 2].prefix, length);
        memcpy(code + length, "\x0f\x01", 2);
        cpu_reset(b->cpu);
        if (cases[n / 2].wide)
            bench_long(b, 0);
        else
            bench_protected(b, 0);
        s->gpr[RBX] = AREA;
        bench_put(b, AREA, 0x1234, 2);
        bench_put(b, AREA + 2, 0xfffffffffedcba98, 8);
        code[length + 2] = idt ? 0x1b : 0x13; /* LGDT, LIDT */
        struct descriptor_table other = idt ? s->gdtr : s->idtr;
        assert_int_equal(execute(b, code, length + 3), 0);
        const struct descriptor_table *table = idt ? &s->idtr : &s->gdtr;
        assert_int_equal(table->limit, 0x1234);
        assert_int_equal(table->base, cases[n / 2].base);
        assert_memory_equal(idt ? &s->gdtr : &s->idtr, &other, sizeof other);
        for (unsigned i = 0; i < 16; i += 8)
            bench_put(b, AREA + i, ~0ull, 8);
        code[length + 2] = idt ? 0x0b : 0x03; /* SGDT, SIDT */
        assert_int_equal(execute(b, code, length + 3), 0);
        assert_int_equal(bench_get(b, AREA, 2), 0x1234);
        assert_int_equal(bench_get(b, AREA + 2, cases[n / 2].size - 2), cases[n / 2].stored);
        assert_int_equal(bench_get(b, AREA + cases[n / 2].size, 2), 0xffff);
    }
}

/* SLDT, STR, SMSW, LAR, LSL: registers by width, 16 bits of memory. */
static void stores_by_width(void **state)
{
    static const struct { const char *code; unsigned length; uint64_t value, size; } cases[] = {
        { "\x0f\x00\xc0", 3, 0x80, 4 },     { "\x66\x0f\x00\xc0", 4, 0x80, 2 },
        { "\x48\x0f\x00\xc0", 4, 0x80, 8 }, { "\x0f\x00\xc8", 3, TASK, 4 },
        { "\x66\x0f\x00\xc8", 4, TASK, 2 }, { "\x0f\x01\xe0", 3, 0x80050031, 4 },
        { "\x66\x0f\x01\xe0", 4, 0x31, 2 }, { "\x48\x0f\x01\xe0", 4, 0x80050031, 8 },
        { "\x0f\x02\xc1", 3, 0xcff300, 4 }, { "\x66\x0f\x02\xc1", 4, 0xf300, 2 },
        { "\x48\x0f\x02\xc1", 4, 0xcff300, 8 }, { "\x0f\x03\xc1", 3, 0xffffffff, 4 },
        { "\x66\x0f\x03\xc1", 4, 0xffff, 2 }, { "\x48\x0f\x03\xc1", 4, 0xffffffff, 8 },
    };
    static const char *const memory_forms[] = { "\x0f\x00\x03", "\x0f\x00\x0b", "\x0f\x01\x23" };
    static const uint16_t memory_values[] = { 0x80, TASK, 0x31 };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    s->cr0 = 0x80050031;
    s->ldtr.selector = 0x80;
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        s->gpr[RAX] = 0x5555555555555555;
        s->gpr[RCX] = DATA3;
        assert_int_equal(execute(b, cases[i].code, cases[i].length), 0);
        assert_int_equal(s->gpr[RAX], cases[i].size == 2 ? 0x5555555555550000 | cases[i].value
                                                         : cases[i].value);
    }
    s->gpr[RBX] = AREA;
    for (unsigned i = 0; i < ARRAY_SIZE(memory_forms); i++) {
        bench_put(b, AREA, 0x5555555555555555, 8);
        assert_int_equal(execute(b, memory_forms[i], 3), 0);
        assert_int_equal(bench_get(b, AREA, 8), 0x5555555555550000 | memory_values[i]);
    }
    bench_put(b, AREA, 0x0e, 2); /* LMSW from memory: 16 bits of it, PE stays */
    assert_int_equal(EXECUTE(b, "\x0f\x01\x33"), 0);
    assert_int_equal(s->cr0, 0x8005003f);
}

static void arpl_in_memory(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    for (unsigned n = 0; n < 16; n++) {
        unsigned rpl = n & 3, least = n >> 2;
        bench_put(b, AREA, 0xabcd1230 | rpl, 4);
        s->gpr[RBX] = AREA;
        s->gpr[RCX] = 0xfffc | least;
        s->rflags = FLAG_1 | FLAG_CF | (rpl < least ? 0 : FLAG_ZF);
        bench_segment(b, &s->seg[CS], CODE3);
        assert_int_equal(EXECUTE(b, "\x63\x0b"), 0);
        assert_int_equal(bench_get(b, AREA, 4), 0xabcd1230 | (rpl < least ? least : rpl));
        assert_int_equal(s->rflags, FLAG_1 | FLAG_CF | (rpl < least ? FLAG_ZF : 0));
    }
}

/* MOV of control and debug registers: 64 bits in 64-bit code, else 32. */

static uint64_t tpr;
static uint64_t tpr_read(void *context, struct cpu *cpu)
{
    (void)context, (void)cpu;
    return tpr;
}
static void tpr_write(void *context, struct cpu *cpu, uint64_t value)
{
    (void)context, (void)cpu;
    tpr = value;
}

static void registers_move_by_width(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned wide = 0; wide < 2; wide++) {
        uint64_t mask = wide ? ~0ull : 0xffffffff;
        cpu_reset(b->cpu);
        if (wide)
            bench_long(b, 0);
        else
            bench_protected(b, 0);
        for (unsigned n = 0; n < 4; n++) {
            char store[] = { 0x0f, 0x23, (char)(0xc1 | n << 3) }, load[] = { 0x0f, 0x21, (char)(0xc2 | n << 3) };
            s->gpr[RCX] = 0x123456789abcdef0 + n; /* need not be canonical */
            assert_int_equal(execute(b, store, 3), 0);
            assert_int_equal(s->dr[n], (0x123456789abcdef0 + n) & mask);
            s->dr[n] = 0xfedcba9876543210 + n;
            s->gpr[RDX] = ~0ull;
            assert_int_equal(execute(b, load, 3), 0);
            assert_int_equal(s->gpr[RDX], (0xfedcba9876543210 + n) & mask);
        }
        s->gpr[RCX] = 0x123456789abcdef0;
        assert_int_equal(EXECUTE(b, "\x0f\x22\xd1"), 0); /* MOV cr2, rcx */
        assert_int_equal(s->cr2, 0x123456789abcdef0 & mask);
        s->cr2 = 0xfedcba9876543210;
        assert_int_equal(EXECUTE(b, "\x0f\x20\xd2"), 0);
        assert_int_equal(s->gpr[RDX], 0xfedcba9876543210 & mask);
        assert_int_equal(EXECUTE(b, "\x0f\x20\x9a"), 0); /* mod is ignored: MOV rdx, cr3 */
        assert_int_equal(s->gpr[RDX], s->cr3);
        assert_int_equal(EXECUTE(b, "\x0f\x20\xe2"), 0);
        assert_int_equal(s->gpr[RDX], s->cr4);
    }
    b->cpu->bus.tpr_read = tpr_read;
    b->cpu->bus.tpr_write = tpr_write;
    tpr = 0xf5;
    assert_int_equal(EXECUTE(b, "\x44\x0f\x20\xc2"), 0); /* MOV rdx, cr8 */
    assert_int_equal(s->gpr[RDX], 5);
    s->gpr[RDX] = 15;
    b->cpu->attention = false;
    assert_int_equal(EXECUTE(b, "\x44\x0f\x22\xc2"), 0);
    assert_int_equal(tpr, 15);
    s->gpr[RDX] = 16;
    assert_int_equal(EXECUTE(b, "\x44\x0f\x22\xc2"), RAISED(GP));
    assert_int_equal(tpr, 15);
}

/* MOV DR: privilege before everything, then DE, then GD. */
static void debug_register_faults_in_order(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 16 * 2; n++) {
        bool store = n & 1;
        unsigned number = n / 2;
        char code[] = { 0x0f, store ? 0x23 : 0x21, (char)(0xc0 | (number & 7) << 3) };
        char extended[] = { 0x44, 0x0f, code[1], code[2] };
        const char *bytes = number > 7 ? extended : code;
        unsigned length = number > 7 ? 4 : 3;
        bench_long(b, 3);
        s->dr[7] = 0x2400;
        s->cr4 |= CR4_DE;
        assert_int_equal(execute(b, bytes, length), number > 7 ? 0x1000 | VECTOR_UD : RAISED(GP));
        bench_long(b, 0);
        s->cr4 |= CR4_DE;
        s->dr[7] = 0x2400;
        s->gpr[RAX] = 1ull << 32;
        bool exists = number < 8 && number != 4 && number != 5;
        assert_int_equal(execute(b, bytes, length), exists ? RAISED(DB) : RAISED(UD));
        s->dr[7] = 0x400;
        s->dr[6] = 0xffff0ff0;
    }
}

/* LES and its kin: the offset in each width, all of the pointer within the limit,
 * and nothing loaded by a fault. */
static void far_pointers_by_width(void **state)
{
    static const struct { uint8_t seg, length; const char *code; } forms[] = {
        { ES, 2, "\xc4\x0b" }, { DS, 2, "\xc5\x0b" }, { SS, 3, "\x0f\xb2\x0b" },
        { FS, 3, "\x0f\xb4\x0b" }, { GS, 3, "\x0f\xb5\x0b" },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(forms) * 2 * 3; n++) {
        unsigned seg = forms[n % 5].seg, bytes = n / 5 & 1 ? 2 : 4, what = n / 10;
        char code[4] = { 0x66 };
        memcpy(code + (bytes == 2), forms[n % 5].code, forms[n % 5].length);
        cpu_reset(b->cpu);
        bench_protected(b, 0);
        bench_descriptor(b, SPARE, 0x2000, 0xfffff, RIGHTS_DATA32);
        s->seg[DS].limit = AREA + bytes + 1 - (what == 1); /* what 1: the last byte is beyond it */
        s->gpr[RBX] = AREA;
        s->gpr[RCX] = 0x5555555555555555;
        bench_put(b, AREA, 0x89abcdef, 4);
        bench_put(b, AREA + bytes, what == 2 ? 0xfff8 : SPARE, 2);
        unsigned result = execute(b, code, forms[n % 5].length + (bytes == 2));
        assert_int_equal(result, what ? RAISED(GP) : 0);
        if (what) {
            assert_int_equal(s->gpr[RCX], 0x5555555555555555);
            assert_int_equal(s->seg[seg].selector, DATA0);
            assert_int_equal(bench_get(b, s->gpr[RSP], 4), what == 2 ? 0xfff8 : 0);
            continue;
        }
        assert_int_equal(s->gpr[RCX], bytes == 2 ? 0x555555555555cdef : 0x89abcdef);
        assert_int_equal(s->seg[seg].selector, SPARE);
        assert_int_equal(s->seg[seg].base, 0x2000);
        assert_int_equal(b->cpu->access[seg].base, 0x2000);
        assert_int_equal(s->shadow_mov_ss, 0); /* LSS has no shadow */
    }
}

/* POP and MOV of segment registers: what they read, and which has a shadow. */
static void segment_registers_from_memory(void **state)
{
    static const struct { const char *code; uint8_t length, seg, bytes; bool shadow; } forms[] = {
        { "\x07", 1, ES, 4, false }, { "\x17", 1, SS, 4, true }, { "\x1f", 1, DS, 4, false },
        { "\x0f\xa1", 2, FS, 4, false }, { "\x0f\xa9", 2, GS, 4, false },
        { "\x66\x07", 2, ES, 2, false }, { "\x66\x17", 2, SS, 2, true },
        { "\x66\x0f\xa9", 3, GS, 2, false }, { "\x8e\x03", 2, ES, 0, false },
        { "\x8e\x13", 2, SS, 0, true }, { "\x8e\x1b", 2, DS, 0, false }, { "\x8e\x23", 2, FS, 0, false },
        { "\x8e\x2b", 2, GS, 0, false }, { "\x8e\xc0", 2, ES, 0, false }, { "\x8e\xd0", 2, SS, 0, true },
        { "\x8e\xe8", 2, GS, 0, false },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
        cpu_reset(b->cpu);
        bench_protected(b, 0);
        bench_descriptor(b, SPARE, 0, 0xfffff, RIGHTS_DATA32);
        bench_put(b, AREA, 0xabcd0000 | SPARE, 4);
        s->gpr[RBX] = AREA;
        s->gpr[RAX] = 0x12340000 | SPARE;
        if (forms[i].bytes)
            s->gpr[RSP] = AREA;
        uint64_t rsp = s->gpr[RSP];
        assert_int_equal(execute(b, forms[i].code, forms[i].length), 0);
        for (unsigned seg = 0; seg < SEGMENT_COUNT; seg++)
            assert_int_equal(s->seg[seg].selector,
                             seg == forms[i].seg ? SPARE : seg == CS ? CODE0 : DATA0);
        assert_int_equal(s->gpr[RSP], rsp + forms[i].bytes);
        assert_int_equal(s->shadow_mov_ss, forms[i].shadow);
    }
}

/* Flags */

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

/* IRET to the same privilege: which flags it may change. (SDM vol. 2, IRET) */
static void iret_changes_what_it_may(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint64_t seed = 1;

    for (unsigned n = 0; n < 20000; n++) {
        unsigned cpl = n & 1 ? 3 : 0, size = n & 2 ? 4 : 2, iopl = n >> 2 & 3;
        const uint64_t all = 0x3f7fd7 & ~(FLAG_VM | FLAG_TF);
        uint64_t old = (draw(&seed) & all & ~(FLAG_NT | FLAG_RF | FLAG_IOPL)) | FLAG_1 | iopl << 12;
        uint64_t new = (draw(&seed) & all & ~FLAG_RF) | FLAG_1 | (n & 16 ? FLAG_RF : 0);
        uint64_t may = FLAGS_ARITHMETIC | FLAG_DF | FLAG_NT;
        if (size == 4)
            may |= FLAG_RF | FLAG_AC | FLAG_ID;
        if (cpl <= iopl)
            may |= FLAG_IF;
        if (cpl == 0)
            may |= FLAG_IOPL | (size == 4 ? FLAG_VIF | FLAG_VIP : 0);
        bench_protected(b, cpl);
        s->rflags = old;
        s->gpr[RSP] = 0x5000;
        bench_put(b, 0x5000, 0x8100, size);
        bench_put(b, 0x5000 + size, cpl ? CODE3 : CODE0, size);
        bench_put(b, 0x5000 + 2 * size, new, size);
        bench_code(b, 0x8000, size == 2 ? "\x66\xcf" : "\xcf", 2);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x8100);
        uint64_t want = (old & ~may) | (new & may);
        if (s->rflags != want)
            fail_msg("CPL %u, IOPL %u, %u bytes: %llx to %llx gives %llx, wanted %llx", cpl, iopl, size,
                     (unsigned long long)old, (unsigned long long)new, (unsigned long long)s->rflags,
                     (unsigned long long)want);
    }
}

/* CLI and STI: IF, VIF under PVI and VME, or #GP. */
static void interrupt_flag_by_privilege(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 1 << 9; n++) {
        bool sti = n & 1, pvi = n & 2, vme = n & 4, vip = n & 8, v86 = n & 16;
        unsigned iopl = n >> 5 & 3, cpl = v86 ? 3 : n >> 7 & 3;
        bench_protected(b, cpl ? 3 : 0);
        bench_gate(b, VECTOR_GP, CODE0, 0x9000, 0x8e);
        s->cpl = (uint8_t)cpl;
        bool interrupts = !sti;
        s->rflags = FLAG_1 | iopl << 12 | (vip ? FLAG_VIP : 0) | (interrupts ? FLAG_IF | FLAG_VIF : 0)
                    | (v86 ? FLAG_VM : 0);
        if (sti && vip && !v86 && pvi)
            s->rflags &= ~FLAG_VIF;
        if (!sti && vip)
            s->rflags &= ~FLAG_VIF; /* both would stop the program before */
        s->cr4 = (pvi ? CR4_PVI : 0) | (vme ? CR4_VME : 0);
        for (unsigned i = 0; v86 && i < SEGMENT_COUNT; i++)
            segment_load_real(b->cpu, i, 0);
        s->gpr[RIP] = 0x8000;
        bench_code(b, 0x8000, sti ? "\xfb" : "\xfa", 1);
        uint64_t before = s->rflags;
        s->shadow_sti = 0;
        cpu_restored(b->cpu);
        bench_run(b, 1);
        uint64_t flag = cpl <= iopl ? FLAG_IF : cpl == 3 && (v86 ? vme : pvi) ? FLAG_VIF : 0;
        if (!flag || (flag == FLAG_VIF && sti && vip)) {
            assert_int_equal(s->gpr[RIP], 0x9000);
            continue;
        }
        assert_int_equal(s->gpr[RIP], 0x8001);
        assert_int_equal(s->rflags, sti ? before | flag : before & ~flag);
        assert_int_equal(s->shadow_sti, sti && flag == FLAG_IF);
    }
    bench_protected(b, 0); /* IF was set: no shadow */
    s->rflags = FLAG_1 | FLAG_IF;
    assert_int_equal(EXECUTE(b, "\xfb"), 0);
    assert_int_equal(s->shadow_sti, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(system_loads_by_descriptor),
        BENCH_TEST(system_loads_by_selector),
        BENCH_TEST(table_registers_by_width),
        BENCH_TEST(stores_by_width),
        BENCH_TEST(arpl_in_memory),
        BENCH_TEST(registers_move_by_width),
        BENCH_TEST(debug_register_faults_in_order),
        BENCH_TEST(far_pointers_by_width),
        BENCH_TEST(segment_registers_from_memory),
        BENCH_TEST(iret_changes_what_it_may),
        BENCH_TEST(interrupt_flag_by_privilege),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
