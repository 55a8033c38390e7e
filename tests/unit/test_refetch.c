/*
 * A change of privilege within a code page: whether the page may be executed is found out
 * anew. Outwards from a page of the supervisor's, inwards under SMEP to a page of the
 * user's. (SDM vol. 3: 5.6, 5.7, 6.15)
 */
#include "cpu_bench.h"

#define CODE_PAGE 0x8000u
#define PLACE 0x8100u
#define HANDLER 0x9000u
#define STACK 0x6000u
#define GATE 0x80u /* 16 bytes in long mode */
#define NEW_TASK 0x90u
#define NEW_TSS 0x3200u

enum way { RETF, IRET, IRET_V86, TASK_JMP, SYSEXIT, RETF64, IRET64, SYSRET64, SYSEXIT64, INT, CALL_GATE,
           SYSENTER, TASK_CALL, INT64, CALL_GATE64, SYSENTER64, SYSCALL64, WAYS };
static const struct { const char *name, *code; } ways[WAYS] = {
    { "retf", "\xcb" }, { "iret", "\xcf" }, { "iret to virtual-8086 mode", "\xcf" },
    { "jmp to a task", "\xea" }, { "sysexit", "\x0f\x35" }, { "64-bit retf", "\x48\xcb" },
    { "64-bit iret", "\x48\xcf" }, { "64-bit sysret", "\x48\x0f\x07" },
    { "64-bit sysexit", "\x48\x0f\x35" }, { "int", "\xcd\x40" }, { "call gate", "\x9a" },
    { "sysenter", "\x0f\x34" }, { "call of a task", "\x9a" }, { "64-bit int", "\xcd\x40" },
    { "64-bit call gate", "\xff\x1f" }, { "64-bit sysenter", "\x0f\x34" },
    { "64-bit syscall", "\x0f\x05" },
};

static bool is_wide(enum way way)
{
    return (way >= RETF64 && way <= SYSEXIT64) || way >= INT64;
}

/* 4 KiB pages one to one; `user`: a set of those that are the user's. */
static void put_pages(struct cpu_bench *b, bool wide, uint32_t user)
{
    unsigned bytes = wide ? 8 : 4;
    uint32_t table = TABLES + 0x3000;

    for (unsigned i = 0; i < 512; i++)
        bench_put(b, table + bytes * i, i << 12 | 3 | (i >= 32 || user >> i & 1 ? 4 : 0), bytes);
    if (wide)
        bench_put(b, TABLES + 0x2000, table | 7, 8);
    else
        bench_put(b, TABLES, table | 7, 4);
}

static void put_task(struct cpu_bench *b, unsigned cpl)
{
    for (unsigned i = 0; i < 104; i += 4)
        bench_put(b, NEW_TSS + i, 0, 4);
    bench_put(b, NEW_TSS + 4, 0x7000, 4);
    bench_put(b, NEW_TSS + 8, DATA0, 4);
    bench_put(b, NEW_TSS + 28, TABLES, 4);
    bench_put(b, NEW_TSS + 32, PLACE, 4);
    bench_put(b, NEW_TSS + 36, FLAG_1, 4);
    bench_put(b, NEW_TSS + 40 + 4 * RSP, STACK, 4);
    bench_put(b, NEW_TSS + 76, cpl ? CODE3 : CODE0, 4);
    bench_put(b, NEW_TSS + 80, cpl ? DATA3 : DATA0, 4);
    bench_descriptor(b, NEW_TASK, NEW_TSS, 0x67, 0xe9);
}

static void put_frame(struct cpu_bench *b, enum way way)
{
    bool wide = is_wide(way), iret = way == IRET || way == IRET_V86 || way == IRET64;
    unsigned bytes = wide ? 8 : 4, at = STACK;
    uint32_t flags = way == IRET_V86 ? FLAG_1 | FLAG_VM : FLAG_1;
    uint32_t cs = way == IRET_V86 ? 0 : wide ? CODE64_3 : CODE3;
    uint32_t frame[] = { PLACE, cs, flags, STACK, way == IRET_V86 ? 0 : DATA3, 0, 0, 0, 0 };

    for (unsigned i = 0; i < ARRAY_SIZE(frame); i++) {
        if (i == 2 && !iret)
            continue;
        bench_put(b, at, frame[i], bytes);
        at += bytes;
    }
}

static void enter(struct cpu_bench *b, enum way way, bool outward)
{
    struct cpu_state *s = &b->cpu->s;
    bool wide = is_wide(way), task = way == TASK_JMP || way == TASK_CALL;

    cpu_reset(b->cpu);
    if (wide) {
        bench_long(b, outward ? 0 : 3);
        bench_gate64(b, VECTOR_PF, CODE64, HANDLER, 0, 0x8e);
        bench_gate64(b, 0x40, CODE64, PLACE, 0, 0xee);
        bench_put(b, GDT + GATE + 8, 0, 8);
    } else {
        bench_protected(b, outward ? 0 : 3);
        bench_gate(b, VECTOR_PF, CODE0, HANDLER, 0x8e);
        bench_gate(b, 0x40, CODE0, PLACE, 0xee);
        s->cr3 = TABLES;
        s->cr0 |= CR0_PG;
    }
    bench_put(b, GDT + GATE, PLACE | (wide ? CODE64 : CODE0) << 16 | 0xecull << 40, 8);
    put_task(b, outward ? 3 : 0);
    put_frame(b, way);
    s->efer |= EFER_SCE;
    s->star = (uint64_t)CODE64 << 32 | (uint64_t)CODE64 << 48;
    s->lstar = s->sysenter_eip = PLACE;
    s->sysenter_cs = CODE0;
    s->sysenter_esp = 0x7000;
    s->gpr[RSP] = STACK;
    s->gpr[RCX] = s->gpr[RDX] = PLACE;
    s->gpr[RDI] = 0x5100;
    bench_put(b, 0x5104, GATE, 2);
    bench_put(b, CODE_PAGE + 1, PLACE, 4);
    bench_put(b, CODE_PAGE + 5, task ? NEW_TASK : GATE, 2);
    bench_code(b, CODE_PAGE, ways[way].code, (unsigned)strlen(ways[way].code));
    bench_code(b, PLACE, "\x90\x90", 2);
}

static void code_pages_are_looked_at_anew(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < WAYS * 2; n++) {
        enum way way = (enum way)(n / 2);
        bool outward = way < INT, allowed = n & 1;
        unsigned bytes = is_wide(way) ? 8 : 4, code = 1u << 8, stacks = 3u << 5;
        enter(b, way, outward);
        if (outward)
            put_pages(b, is_wide(way), allowed ? ~0u : ~code);
        else
            put_pages(b, is_wide(way), code | stacks);
        if (!outward && !allowed)
            s->cr4 |= CR4_SMEP;
        cpu_restored(b->cpu);
        bench_run(b, 2);
        if (allowed) {
            if (s->gpr[RIP] != PLACE + 1)
                fail_msg("%s: at %llx", ways[way].name, (unsigned long long)s->gpr[RIP]);
            continue;
        }
        if (s->gpr[RIP] != HANDLER || s->cr2 != PLACE)
            fail_msg("%s: at %llx, CR2 %llx", ways[way].name, (unsigned long long)s->gpr[RIP],
                     (unsigned long long)s->cr2);
        assert_int_equal(bench_get(b, s->gpr[RSP], bytes), outward ? 5 : 0x11);
        assert_int_equal(bench_get(b, s->gpr[RSP] + bytes, bytes), PLACE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(code_pages_are_looked_at_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
