/*
 * Accesses around the borders of segments: expand-up and expand-down, both
 * sizes and granularities, in protected, real and virtual-8086 mode; and what
 * outer returns, call gates and NMIs do to segments, stacks and blocking.
 * (SDM vol. 3, 5.3, 5.8.5, 5.8.6, 6.7.1)
 */
#include "cpu_bench.h"

#define HANDLER 0xa000
#define NONE 0x100u

/* 32-bit code; EDI has the offset, and the access is to ES or (36) to SS. */
struct form {
    const char *code;
    uint8_t length, bytes;
    bool write;
};
static const struct form forms[] = {
    { "\x26\x8a\x07", 3, 1, false },     { "\x26\x88\x07", 3, 1, true },
    { "\x66\x26\x8b\x07", 4, 2, false }, { "\x66\x26\x89\x07", 4, 2, true },
    { "\x26\x8b\x07", 3, 4, false },     { "\x26\x89\x07", 3, 4, true },
    { "\x26\x0f\x6f\x07", 4, 8, false }, { "\x26\x0f\x7f\x07", 4, 8, true },
    { "\x26\x0f\x10\x07", 4, 16, false },
};

static void put_form(struct cpu_bench *b, const struct form *form, bool stack)
{
    bench_code(b, 0x8000, form->code, form->length);
    for (unsigned i = 0; i < form->length; i++)
        if (stack && (uint8_t)form->code[i] == 0x26)
            bench_put(b, 0x8000 + i, 0x36, 1);
}

static unsigned run_form(struct cpu_bench *b, const struct form *form, uint32_t offset)
{
    b->cpu->s.gpr[RIP] = 0x8000;
    b->cpu->s.gpr[RSP] = 0x7000;
    b->cpu->s.gpr[RDI] = offset;
    b->cpu->s.activity = CPU_RUNNING;
    bench_run(b, 1);
    if (b->cpu->s.gpr[RIP] == 0x8000u + form->length)
        return NONE;
    return (unsigned)(b->cpu->s.gpr[RIP] - HANDLER) / 16;
}

static void check_form(struct cpu_bench *b, const struct form *form, uint32_t offset, unsigned want,
                       const char *what, uint32_t limit)
{
    unsigned seen = run_form(b, form, offset);
    if (seen != want)
        fail_msg("%s, limit %x, %u bytes %s at %x: vector %x, wanted %x", what, limit, form->bytes,
                 form->write ? "written" : "read", offset, seen, want);
}

/* Handlers on a stack of their own: the segment under test may be SS. */
static void prepare_program(struct cpu_bench *b)
{
    bench_protected(b, 3);
    for (unsigned vector = 0; vector < 32; vector++)
        bench_gate(b, vector, CODE0, HANDLER + 16 * vector, 0x8e);
    b->cpu->s.cr4 |= CR4_OSFXSR;
}

static void borders_in_protected_mode(void **state)
{
    static const uint32_t limits[] = { 0, 1, 7, 0xffe, 0xfff, 0xfffe, 0xffff };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(limits) * 16 * ARRAY_SIZE(forms); n++) {
        const struct form *form = &forms[n % ARRAY_SIZE(forms)];
        unsigned k = n / ARRAY_SIZE(forms);
        bool down = k & 1, wide = k & 2, pages = k & 4, stack = k & 8;
        uint32_t limit = limits[k / 16], last = pages ? limit << 12 | 0xfff : limit;
        uint32_t border = down ? last + 1 : last;
        if (pages && limit > 0x40)
            continue;
        prepare_program(b);
        bench_descriptor(b, SPARE, 0x100000, limit, (down ? 0xf7 : 0xf3) | (wide ? SEGMENT_DB : 0)
                                                        | (pages ? SEGMENT_G : 0));
        bench_segment(b, &s->seg[stack ? SS : ES], SPARE | 3);
        put_form(b, form, stack);
        for (int64_t at = (int64_t)border - 20; at < (int64_t)border + 20; at++) {
            uint64_t offset = (uint32_t)at, end = offset + form->bytes - 1;
            uint64_t top = wide ? 0xffffffff : 0xffff;
            bool fits = down ? offset > last && end <= top : end <= last;
            s->cpl = 3;
            bench_segment(b, &s->seg[CS], CODE3);
            bench_segment(b, &s->seg[SS], stack ? SPARE | 3 : DATA3);
            cpu_restored(b->cpu);
            check_form(b, form, (uint32_t)offset, fits ? NONE : stack ? VECTOR_SS : VECTOR_GP,
                       down ? "expand-down" : "expand-up", last);
        }
    }
}

static void rights_in_protected_mode(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    prepare_program(b);
    for (unsigned n = 0; n < 16 * 2 * ARRAY_SIZE(forms); n++) {
        const struct form *form = &forms[n % ARRAY_SIZE(forms)];
        unsigned type = n / ARRAY_SIZE(forms) & 15;
        bool null = n / ARRAY_SIZE(forms) / 16;
        bool readable = !(type & 8) || type & 2, writable = !(type & 8) && type & 2;
        bench_descriptor(b, SPARE, 0, type & 4 && !(type & 8) ? 0 : 0xfffff,
                         0xf0 | type | SEGMENT_DB | SEGMENT_G);
        if (type & 4 && !(type & 8))
            bench_descriptor(b, SPARE, 0, 0, 0xf0 | type | SEGMENT_DB);
        bench_segment(b, &s->seg[ES], SPARE | 3);
        if (null)
            segment_load_null(b->cpu, ES, 3);
        put_form(b, form, false);
        s->cpl = 3;
        bench_segment(b, &s->seg[CS], CODE3);
        bench_segment(b, &s->seg[SS], DATA3);
        cpu_restored(b->cpu);
        bool allowed = !null && (form->write ? writable : readable);
        check_form(b, form, 0x14000, allowed ? NONE : VECTOR_GP, "type", type);
    }
}

static void borders_in_v86_mode(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 2 * ARRAY_SIZE(forms); n++) {
        const struct form *form = &forms[n / 2];
        bool stack = n & 1;
        char code[8] = { 0x67 };
        for (uint32_t offset = 0xffe0; offset < 0x10004; offset++) {
            prepare_program(b);
            s->rflags = FLAG_1 | FLAG_VM;
            for (unsigned i = 0; i < SEGMENT_COUNT; i++)
                segment_load_real(b->cpu, i, 0);
            memcpy(code + 1, form->code, form->length);
            for (unsigned i = 1; i <= form->length; i++)
                if (stack && code[i] == 0x26)
                    code[i] = 0x36;
            bench_code(b, 0x8000, code, form->length + 1u);
            cpu_restored(b->cpu);
            struct form with_prefix = *form;
            with_prefix.length++;
            if (form->bytes == 2 || form->bytes == 4) /* the operand size is the other one */
                with_prefix.bytes = (uint8_t)(6 - form->bytes);
            unsigned want = offset + with_prefix.bytes - 1 <= 0xffff ? NONE
                            : stack ? VECTOR_SS : VECTOR_GP;
            check_form(b, &with_prefix, offset, want, "virtual-8086 mode", 0xffff);
        }
    }
}

/* A return to privilege 3 makes null what that may not see. */
static void outer_return_drops_inner_segments(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 16 * 4 * 2; n++) {
        unsigned type = n & 15, dpl = n >> 4 & 3;
        bool iret = n >> 6;
        bench_protected(b, 0);
        bench_descriptor(b, SPARE, 0, 0xfffff, 0x90 | type | dpl << 5 | SEGMENT_DB);
        bench_segment(b, &s->seg[FS], SPARE | dpl);
        bench_code(b, 0x8000, iret ? "\xcf" : "\xcb", 1);
        s->gpr[RSP] = 0x6f00;
        bench_put(b, 0x6f00, 0x9000, 4);
        bench_put(b, 0x6f04, CODE3, 4);
        bench_put(b, 0x6f08, iret ? FLAG_1 : 0x5000, 4);
        bench_put(b, 0x6f0c, iret ? 0x5000 : DATA3, 4);
        bench_put(b, 0x6f10, DATA3, 4);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9000);
        assert_int_equal(s->gpr[RSP], 0x5000);
        bool kept = (type & 12) == 12 || dpl == 3;
        assert_int_equal(s->seg[FS].selector, kept ? SPARE | dpl : 0);
        assert_int_equal(!!segment_is_present(&s->seg[FS]), kept);
    }
}

/* A null selector's low bits do not survive a return to privilege 3, though
 * FS's base does; a return to the same privilege leaves both. */
static void outer_return_clears_null_selectors(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    static const uint8_t data_segments[] = { ES, DS, FS, GS };

    for (unsigned n = 0; n < 4 * 2 * 2; n++) {
        bool iret = n & 4, outer = n & 8;
        bench_protected(b, 0);
        for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++)
            segment_load_null(b->cpu, data_segments[i], n & 3);
        s->seg[FS].base = 0x12345678;
        bench_code(b, 0x8000, iret ? "\xcf" : "\xcb", 1);
        s->gpr[RSP] = 0x6f00;
        bench_put(b, 0x6f00, 0x9000, 4);
        bench_put(b, 0x6f04, outer ? CODE3 : CODE0, 4);
        bench_put(b, 0x6f08, iret ? FLAG_1 : 0x5000, 4);
        bench_put(b, 0x6f0c, iret ? 0x5000 : DATA3, 4);
        bench_put(b, 0x6f10, DATA3, 4);
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9000);
        for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++)
            assert_int_equal(s->seg[data_segments[i]].selector, outer ? 0 : n & 3);
        assert_int_equal(s->seg[FS].base, 0x12345678);
    }
}

static void call_gates_copy_parameters(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 32 * 2; n++) {
        unsigned count = n & 31, bytes = n >> 5 ? 4 : 2;
        bench_protected(b, 3);
        bench_put(b, GDT + SPARE, 0x9000 | CODE0 << 16 | (uint64_t)count << 32
                                      | (bytes == 4 ? 0xecull : 0xe4ull) << 40, 8);
        bench_code(b, 0x8000, "\x9a\0\0\0\0\x60\0", 7);
        for (unsigned i = 0; i < count; i++)
            bench_put(b, 0x6000 + i * bytes, 0x12340000 + 0x101 * i, bytes);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9000);
        assert_int_equal(s->cpl, 0);
        assert_int_equal(s->gpr[RSP], 0x7000 - bytes * (4 + count));
        uint64_t at = s->gpr[RSP];
        assert_int_equal(bench_get(b, at, bytes), 0x8007);
        assert_int_equal(bench_get(b, at + bytes, bytes), CODE3);
        for (unsigned i = 0; i < count; i++)
            assert_int_equal(bench_get(b, at + bytes * (2 + i), 2), 0x101 * i);
        assert_int_equal(bench_get(b, at + bytes * (2 + count), bytes), 0x6000);
        assert_int_equal(bench_get(b, at + bytes * (3 + count), bytes), DATA3);
    }
}

/* An inner stack of 16 bits: pushes wrap in SP, and ESP is all of the TSS's. */
static void inner_stack_of_16_bits(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 3);
    bench_descriptor(b, SPARE, 0x100000, 0xffff, 0x93);
    bench_put(b, TSS + 4, 0x10004, 4);
    bench_put(b, TSS + 8, SPARE, 4);
    bench_gate(b, 0x80, CODE0, 0x9000, 0xee);
    bench_code(b, 0x8000, "\xcd\x80", 2);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(s->gpr[RSP], 0x1fff0);
    assert_int_equal(bench_get(b, 0x100000, 4), DATA3);
    assert_int_equal(bench_get(b, 0x10fffc, 4), 0x6000);
    assert_int_equal(bench_get(b, 0x10fff0, 4), 0x8002);
}

static void iret_lets_nmis_in_even_when_it_faults(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    bench_gate(b, VECTOR_NMI, CODE0, 0x9000, 0x8e);
    bench_gate(b, VECTOR_GP, CODE0, 0x9800, 0x8e);
    bench_code(b, 0x8000, "\x90\x90\x90", 3);
    bench_code(b, 0x9000, "\x90\xcf", 2);
    bench_code(b, 0x9800, "\x90", 1);
    s->nmi_pending = 1;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(s->nmi_blocked, 1);
    s->nmi_pending = 1; /* waits */
    bench_put(b, s->gpr[RSP] + 4, DATA0, 4);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9001);
    bench_run(b, 1); /* IRET to a data segment */
    assert_int_equal(s->gpr[RIP], 0x9800);
    assert_int_equal(s->nmi_blocked, 0);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0x9800);
}

static void nmi_waits_for_both_shadows(void **state)
{
    static const char *const codes[] = { "\xfb\x90\x90", "\x16\x17\x90\x90" };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < 2; i++) {
        bench_protected(b, 0);
        bench_gate(b, VECTOR_NMI, CODE0, 0x9000, 0x8e);
        bench_code(b, 0x8000, codes[i], 3 + i);
        s->nmi_blocked = 0;
        s->rflags = FLAG_1;
        bench_run(b, 1 + i);
        s->nmi_pending = 1;
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x8002 + i);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0x9000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(borders_in_protected_mode),
        BENCH_TEST(rights_in_protected_mode),
        BENCH_TEST(borders_in_v86_mode),
        BENCH_TEST(outer_return_drops_inner_segments),
        BENCH_TEST(outer_return_clears_null_selectors),
        BENCH_TEST(call_gates_copy_parameters),
        BENCH_TEST(inner_stack_of_16_bits),
        BENCH_TEST(iret_lets_nmis_in_even_when_it_faults),
        BENCH_TEST(nmi_waits_for_both_shadows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
