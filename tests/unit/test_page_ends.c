/*
 * What the processor reads of tables for itself: all bytes of it, and no more. Each
 * structure is put where a page that is there ends, once whole and once with its last
 * byte behind it. (SDM vol. 3: 3.4.5, 5.8.5, 6.10, 6.14, 7.2, 8.3, 21.3.3; vol. 1: 19.5.2)
 */
#include "cpu_bench.h"

#define END 0x200000u /* the end of memory, and of what is mapped */
#define STACK0 0x6800u
#define HANDLER 0x9000u
#define PLACE 0xc000u

/* Linear addresses up to END in 4 KiB pages, or in 2 MiB by bench_long. */
static void prepare(struct cpu_bench *b, bool wide, unsigned cpl)
{
    struct cpu_state *s = &b->cpu->s;

    cpu_reset(b->cpu);
    if (wide) {
        bench_long(b, cpl);
        bench_gate64(b, VECTOR_PF, CODE64, HANDLER, 1, 0x8e);
        bench_put(b, TSS + 0x24, STACK0, 8);
        return;
    }
    bench_protected(b, cpl);
    bench_put(b, TABLES, (TABLES + 0x1000) | 7, 4);
    for (unsigned i = 0; i < 1024; i++)
        bench_put(b, TABLES + 0x1000 + 4 * i, i < END >> 12 ? i << 12 | 7 : 0, 4);
    s->cr3 = TABLES;
    s->cr0 |= CR0_PG;
    bench_gate(b, VECTOR_PF, CODE0, HANDLER, 0x8e);
    cpu_restored(b->cpu);
}

static void move(struct cpu_bench *b, uint64_t to, uint64_t from, unsigned bytes)
{
    for (unsigned i = 0; i < bytes && to + i < END; i++)
        bench_put(b, to + i, bench_get(b, from + i, 1), 1);
}

/* Runs the instruction at 8000h; `reads` bytes that end at `end` are needed. */
static void check(struct cpu_bench *b, uint64_t end, uint64_t want, const char *what)
{
    struct cpu_state *s = &b->cpu->s;

    cpu_restored(b->cpu);
    bench_run(b, 1);
    if (end <= END && s->gpr[RIP] != want)
        fail_msg("%s: at %llx", what, (unsigned long long)s->gpr[RIP]);
    if (end > END && (s->gpr[RIP] != HANDLER || s->cr2 != END))
        fail_msg("%s, one byte too long: at %llx, CR2 %llx", what, (unsigned long long)s->gpr[RIP],
                 (unsigned long long)s->cr2);
    if (end > END)
        assert_int_equal(bench_get(b, s->gpr[RSP], 4), 0);
}

static void gates(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 4; n++) {
        bool wide = n & 1;
        unsigned bytes = wide ? 16 : 8;
        uint64_t end = END + (n >> 1);
        prepare(b, wide, 0);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        if (wide)
            bench_gate64(b, 0x40, CODE64, PLACE, 0, 0x8e);
        else
            bench_gate(b, 0x40, CODE0, PLACE, 0x8e);
        s->idtr.base = end - 0x41 * bytes;
        move(b, s->idtr.base, IDT, 0x41 * bytes);
        check(b, end, PLACE, "a gate");
    }
}

/* MOV to a segment register, and the upper half of what LTR and a call gate read. */
static void descriptors(void **state)
{
    static const struct { const char *code; unsigned length, selector, bytes; bool wide; } cases[] = {
        { "\x8e\xd8", 2, SPARE, 8, false }, { "\x8e\xd8", 2, SPARE, 8, true },
        { "\x0f\x00\xd8", 3, SPARE, 8, false }, { "\x0f\x00\xd8", 3, SPARE, 16, true },
        { "\x0f\x00\xd0", 3, SPARE, 16, true }, { "\xff\x1b", 2, SPARE, 16, true },
        { "\x0f\x02\xd8", 3, SPARE, 8, true }, { "\x0f\x00\xe0", 3, SPARE, 8, false },
    };
    static const uint16_t rights[] = { 0x93, 0x93, 0x89, 0x89, 0x82, 0x8c, 0x93, 0x93 };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 2; n++) {
        uint64_t end = END + (n & 1);
        prepare(b, cases[n / 2].wide, 0);
        bench_code(b, 0x8000, cases[n / 2].code, cases[n / 2].length);
        bench_put(b, GDT + SPARE + 8, 0, 8);
        bool gate = rights[n / 2] == 0x8c;
        if (gate)
            bench_put(b, GDT + SPARE, PLACE | CODE64 << 16 | 0x8cull << 40, 8);
        else
            bench_descriptor(b, SPARE, 0x4000, 0x67, rights[n / 2]);
        s->gdtr.base = end - SPARE - cases[n / 2].bytes;
        s->gdtr.limit = SPARE + cases[n / 2].bytes - 1;
        move(b, s->gdtr.base, GDT, SPARE + cases[n / 2].bytes);
        s->gpr[RAX] = SPARE;
        s->gpr[RBX] = 0x14000;
        bench_put(b, 0x14004, SPARE, 2);
        check(b, end, gate ? PLACE : 0x8000 + cases[n / 2].length, "a descriptor");
    }
}

/* The stack of privilege 0, of both kinds of TSS and of long mode; IST. */
static void stacks(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    static const struct { unsigned offset, bytes, rights; } cases[] = {
        { 4, 6, 0x8b }, { 2, 4, 0x83 }, { 4, 8, 0x8b }, { 0x24, 8, 0x8b },
    };

    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 2; n++) {
        bool wide = n / 2 >= 2;
        unsigned offset = cases[n / 2].offset, bytes = cases[n / 2].bytes;
        uint64_t end = END + (n & 1), base = end - offset - bytes;
        prepare(b, wide, 3);
        bench_code(b, 0x8000, "\xcd\x40", 2);
        if (wide) {
            bench_gate64(b, 0x40, CODE64, PLACE, offset == 0x24, 0xee);
            bench_gate64(b, VECTOR_PF, CODE64_3, HANDLER, 0, 0x8e); /* needs no inner stack */
        } else {
            bench_gate(b, 0x40, CODE0, PLACE, 0xee);
            bench_gate(b, VECTOR_PF, CODE3, HANDLER, 0x8e);
        }
        s->tr = (struct segment){ base, 0x67, TASK, (uint16_t)cases[n / 2].rights };
        if (bytes == 4) {
            bench_put(b, 0x14000, 0x6800 | DATA0 << 16, 4);
        } else {
            bench_put(b, 0x14000, 0x6800, 8);
            if (bytes == 6)
                bench_put(b, 0x14004, DATA0, 2);
        }
        move(b, end - bytes, 0x14000, bytes);
        check(b, end, PLACE, "a stack in the TSS");
    }
}

/* The dynamic part of a TSS, the link of an old one, and its map of ports. */
static void tasks(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 4; n++) {
        bool big = n & 1;
        unsigned bytes = big ? 104 : 44, tss = 0x14000;
        uint64_t end = END + (n >> 1);
        prepare(b, false, 0);
        for (unsigned i = 0; i < bytes; i += 4)
            bench_put(b, tss + i, 0, 4);
        bench_put(b, tss + (big ? 32 : 14), PLACE, 2);
        bench_put(b, tss + (big ? 36 : 16), 2, 2);
        bench_put(b, tss + (big ? 76 : 36), CODE0, 2);
        bench_put(b, tss + (big ? 80 : 38), DATA0, 2);
        if (big)
            bench_put(b, tss + 28, TABLES, 4);
        move(b, end - bytes, tss, bytes);
        bench_descriptor(b, SPARE, (uint32_t)end - bytes, big ? 0x67 : 0x2b, big ? 0x89 : 0x81);
        bench_code(b, 0x8000, "\xea\x00\x00\x00\x00\x60\x00", 7);
        check(b, end, PLACE, "a TSS");
    }
    for (unsigned n = 0; n < 2; n++) {
        prepare(b, false, 3);
        bench_code(b, 0x8000, "\xe4\x80", 2); /* in $80h, %al: the last two bytes are bits 80h to 8fh */
        s->tr.base = END + n - 0x68 - 18;
        s->tr.limit = 0x68 + 17;
        bench_put(b, s->tr.base + 0x66, 0x68, 2);
        for (unsigned i = 0; i < 17; i++)
            bench_put(b, s->tr.base + 0x68 + i, 0, 1);
        if (n == 0)
            bench_put(b, END - 1, 0xff, 1);
        bench_put(b, s->tr.base + 0x78, 1, 1); /* refused: no device is asked */
        bench_gate(b, VECTOR_PF, CODE3, HANDLER, 0x8e);
        bench_gate(b, VECTOR_GP, CODE3, PLACE, 0x8e);
        check(b, END + n, PLACE, "a map of ports");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(gates), BENCH_TEST(descriptors), BENCH_TEST(stacks), BENCH_TEST(tasks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
