/*
 * Accesses that share one check (src/translator/group.c), in loops that the
 * interpreter and the translator run side by side: at places about a page
 * border whose pages are there, absent, or not writable; with what comes between
 * the accesses and takes their common ground away.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include "../unit/cpu_bench.h"
#include "translator/translator.h"

#define CODE_AT 0x40000u
#define PRELUDE 7u      /* lock or byte [rdi - 80h], 0; jmp to the loop: the TLB has a page; before it
                         * the same with + 7fh */
#define BORDER 0x62000u /* of the data's pages */
#define HANDLER 0x3f000u
#define STACK 0x38000u
#define LEVEL1 (TABLES + 0x3000)
#define SLICES 6 /* every other with both pages there and writable */

struct shape {
    const char *name;
    const char *code; /* a loop; RDI walks about the border, RSI is the PTE of the second page */
    unsigned count;
};
#define SHAPE(name, code) { name, code, sizeof(code) - 1 }

static const struct shape shapes[] = {
    /* x: mov rax, [rdi]; add rax, [rdi + 8]; mov [rdi + 16], rax; jmp x */
    SHAPE("loads and a store", "\x48\x8b\x07\x48\x03\x47\x08\x48\x89\x47\x10\xeb\xf3"),
    /* x: mov rax, [rdi]; add rdi, 8; mov [rdi], rax; sub rdi, 8; jmp x */
    SHAPE("a base that moves", "\x48\x8b\x07\x48\x83\xc7\x08\x48\x89\x07\x48\x83\xef\x08\xeb\xf0"),
    /* x: mov rax, [rdi]; sub rdi, 8; mov [rdi], rax; add rdi, 8; jmp x */
    SHAPE("a base that moves down", "\x48\x8b\x07\x48\x83\xef\x08\x48\x89\x07\x48\x83\xc7\x08\xeb\xf0"),
    /* x: mov rax, [rdi + 16]; mov rcx, [rdi]; jmp x */
    SHAPE("the highest first", "\x48\x8b\x47\x10\x48\x8b\x0f\xeb\xf7"),
    /* x: movaps xmm0, [rdi]; movaps [rdi + 16], xmm0; movups xmm1, [rdi + 3]; jmp x */
    SHAPE("aligned vectors", "\x0f\x28\x07\x0f\x29\x47\x10\x0f\x10\x4f\x03\xeb\xf3"),
    /* x: fld qword [rdi]; fstp tbyte [rdi + 8]; jmp x */
    SHAPE("x87", "\xdd\x07\xdb\x7f\x08\xeb\xf9"),
    /* x: mov rsp, rdi; push rax; push [rdi]; pop rax; pop rcx; jmp x */
    SHAPE("the stack", "\x48\x89\xfc\x50\xff\x37\x58\x59\xeb\xf6"),
    /* x: lea rsp, [rdi + 24]; push rax; push [rsi]; push rcx; push rdx; jmp x */
    SHAPE("the stack, by a push from memory, too", "\x48\x8d\x67\x18\x50\xff\x36\x51\x52\xeb\xf5"),
    /* x: adc [rdi], al; inc al; vstmxcsr [rdi + 8]; adc [rdi], al; vldmxcsr [rdi + 8]; jge y; nop; y: jmp x */
    SHAPE("flags that pass",
          "\x10\x07\xfe\xc0\xc5\xf8\xae\x5f\x08\x10\x07\xc5\xf8\xae\x57\x08\x7d\x01\x90\xeb\xeb"),
    /* x: fnstcw [rdi]; inc al; adc [rdi + 8], al; fldcw [rdi]; jo y; nop; y: jmp x */
    SHAPE("flags that pass, x87", "\xd9\x3f\xfe\xc0\x10\x47\x08\xd9\x2f\x70\x01\x90\xeb\xf2"),
    /* x: mov rax, rdi; mov [rax], ecx; mov eax, [rax + 4]; mov [rdi + 8], eax; jmp x */
    SHAPE("a base that goes", "\x48\x89\xf8\x89\x08\x8b\x40\x04\x89\x47\x08\xeb\xf3"),
    /* x: mov eax, [rdi]; mov r10d, 8; mov r10, [rdi + r10]; mov ecx, [rdi + 4]; jmp x */
    SHAPE("other uses of the scratch register", "\x8b\x07\x41\xba\x08\x00\x00\x00\x4e\x8b\x14\x17\x8b\x4f\x04\xeb\xef"),
    /* x: mov ebx, edi; not ebx; and ebx, 10h; shl ebx, 10; mov rax, [rdi + rbx]; inc rdi; jmp x */
    SHAPE("two pages in turn",
          "\x89\xfb\xf7\xd3\x83\xe3\x10\xc1\xe3\x0a\x48\x8b\x04\x1f\x48\xff\xc7\xeb\xed"),
    /* x: mov eax, gs:[16]; swapgs; add eax, gs:[24]; jmp x */
    SHAPE("SWAPGS", "\x65\x8b\x04\x25\x10\x00\x00\x00\x0f\x01\xf8\x65\x03\x04\x25\x18\x00\x00\x00\xeb\xeb"),
    /* lea rdx, y; jmp rdx; x: movd xmm2, eax; paddd xmm0, xmm2; inc eax; lea rdx, y; jmp rdx;
     * y: test al, 1; jnz x; movd xmm1, eax; jmp x */
    SHAPE("a way back before vectors are loaded",
          "\x48\x8d\x15\x15\x00\x00\x00\xff\xe2\x66\x0f\x6e\xd0\x66\x0f\xfe\xc2\xff\xc0"
          "\x48\x8d\x15\x02\x00\x00\x00\xff\xe2\xa8\x01\x75\xe9\x66\x0f\x6e\xc8\xeb\xe3"),
    /* x: mov eax, [rdi]; btc dword [rsi], 1; mov [rdi + 4], eax; jmp x: writable by turns */
    SHAPE("rights that change", "\x8b\x07\x0f\xba\x3e\x01\x89\x47\x04\xeb\xf5"),
    /* x: mov eax, [rdi]; mov ecx, 1; mov rbx, rdi; mov rdi, rsi; xor al, al;
     * rep stosb; mov rdi, rbx; mov eax, [rdi + 4]; jmp x: the page goes by a string */
    SHAPE("a string that unmaps", "\x8b\x07\xb9\x01\x00\x00\x00\x48\x89\xfb\x48\x89\xf7\x30\xc0\xf3\xaa\x48\x89\xdf"
                                  "\x8b\x47\x04\xeb\xe7"),
    /* x: mov eax, [62000h]; mov ecx, 1; mov rdi, rsi; xor al, al; rep stosb;
     * mov eax, [62004h]; jmp x */
    SHAPE("a place that a string unmaps", "\x8b\x04\x25\x00\x20\x06\x00\xb9\x01\x00\x00\x00\x48\x89\xf7\x30\xc0"
                                          "\xf3\xaa\x8b\x04\x25\x04\x20\x06\x00\xeb\xe4"),
};
#define SHAPES (sizeof shapes / sizeof *shapes)

#define BELOW (BORDER - 0x1000)
static const uint64_t entries[][2] = {
    { BELOW | 7, BORDER | 7 }, { BELOW | 7, BORDER | 5 }, { BELOW | 7, 0 }, { BELOW | 5, BORDER | 7 }, { 0, BORDER | 7 },
};

static void set_up(struct cpu_bench *b, const struct shape *shape, uint64_t place)
{
    bench_long(b, 0);
    bench_put(b, TABLES + 0x2000, LEVEL1 | 7, 8);
    for (unsigned i = 0; i < 512; i++)
        bench_put(b, LEVEL1 + 8 * i, (uint64_t)i << 12 | 7, 8);
    for (unsigned i = 0; i < 32; i++)
        bench_put(b, BORDER - 128 + 8 * i, 0x0123456789abcdef * (i + 1), 8);
    struct cpu_state *s = &b->cpu->s;
    s->cr0 |= CR0_WP;
    s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->xcr0 = 7;
    bench_code(b, CODE_AT - PRELUDE, "\xf0\x80\x4f\x80\x00\xeb\x00", PRELUDE);
    bench_code(b, CODE_AT - 2 * PRELUDE, "\xf0\x80\x4f\x7f\x00\xeb\x07", PRELUDE);
    bench_code(b, CODE_AT, shape->code, shape->count);
    /* inc rbp; jmp: what comes late to the handler is seen */
    bench_code(b, HANDLER, "\x48\xff\xc5\xeb\xfb", 5);
    bench_gate64(b, VECTOR_PF, CODE64, HANDLER, 1, 0x8e);
    bench_gate64(b, VECTOR_GP, CODE64, HANDLER + 0x10, 1, 0x8e);
    bench_code(b, HANDLER + 0x10, "\x48\xff\xc5\xeb\xfb", 5);
    bench_put(b, TSS + 36, STACK, 8); /* IST 1 */
    s->seg[GS].base = place - 16;
    s->kernel_gs_base = place + 8;
    cpu_restored(b->cpu);
}

/* Begins the loop (again), with the pages about the border as their entries say. */
static void start(struct cpu_bench *b, uint64_t place, const uint64_t entry[2])
{
    struct cpu_state *s = &b->cpu->s;
    for (unsigned i = 0; i < 2; i++)
        bench_put(b, LEVEL1 + 8 * (BORDER >> 12) - 8 + 8 * i, entry[i], 8);
    s->gpr[RIP] = CODE_AT - (entry[0] == entries[0][0] ? 1 : 2) * PRELUDE;
    s->gpr[RSP] = STACK - 0x100;
    s->gpr[RDI] = place;
    s->gpr[RSI] = LEVEL1 + 8 * (BORDER >> 12);
}

static void compare(const struct shape *shape, uint64_t place, const uint64_t entry[2], bool windows)
{
    struct cpu_bench *bench[2];
    for (unsigned i = 0; i < 2; i++) {
        void *state;
        bench_setup(&state);
        bench[i] = state;
        set_up(bench[i], shape, place);
    }
    struct translator *translator = translator_create(bench[1]->engine, 1 << 20, 2);
    assert_non_null(translator);
    if (windows)
        translator_sample(translator, 0);
    for (unsigned slice = 0; slice < SLICES; slice++) {
        for (unsigned i = 0; i < 2; i++) {
            start(bench[i], place, slice & 1 ? entry : entries[0]);
            cpu_run(bench[i]->cpu, 200 + 7 * slice);
        }
        if (memcmp(&bench[0]->cpu->s, &bench[1]->cpu->s, sizeof bench[0]->cpu->s) != 0
            || memcmp(bench[0]->memory.bytes, bench[1]->memory.bytes, 2 << 20) != 0)
            fail_msg("%s, at %" PRIx64 ", pages %" PRIx64 " %" PRIx64 ", slice %u%s", shape->name, place, entry[0],
                     entry[1], slice, windows ? ", by windows" : "");
    }
    translator_destroy(translator);
    for (unsigned i = 0; i < 2; i++)
        bench_teardown((void **)&bench[i]);
}

static void all_agree(bool windows)
{
    static const int distances[] = { -48, -32, -24, -17, -16, -15, -11, -8, -7, -4, -3, -1, 0, 1, 4, 7, 8 };
    for (unsigned i = 0; i < SHAPES; i++)
        for (unsigned j = 0; j < sizeof distances / sizeof *distances; j += windows ? 3 : 1)
            for (unsigned k = 0; k < sizeof entries / sizeof *entries; k++)
                compare(&shapes[i], (uint64_t)(BORDER + distances[j]), entries[k], windows);
}

static void groups_agree(void **state)
{
    (void)state;
    all_agree(false);
}

static void windows_agree(void **state)
{
    (void)state;
    all_agree(true);
}

/* x: mov rax, [rdi]; add rdi, 8; mov [rdi], rax; dec rbx; jnz x; y: inc rdx; jmp y */
static const struct shape counted
    = SHAPE("a loop that is counted", "\x48\x8b\x07\x48\x83\xc7\x08\x48\x89\x07\x48\xff\xcb\x75\xf1\x48\xff\xc2\xeb\xfb");

/* The first check of a group fails and leads to a translation without it, which is
 * longer, because it was made when the loop had gone round: a budget that is too small for
 * that one ends all the same. */
static void small_budgets_end(void **state)
{
    (void)state;
    void *bench_state;
    bench_setup(&bench_state);
    struct cpu_bench *b = bench_state;
    set_up(b, &counted, BORDER + 8);
    struct translator *translator = translator_create(b->engine, 1 << 20, 2);
    assert_non_null(translator);
    alarm(60);
    for (unsigned budget = 400; budget; budget--) {
        bool once = budget > 396;
        start(b, once ? BORDER + 256 : BORDER - 8, entries[0]);
        b->cpu->s.gpr[RBX] = once ? 1 : 1000;
        cpu_run(b->cpu, budget);
        assert_int_equal(b->cpu->budget, budget);
        assert_int_equal(b->cpu->remaining, 0);
    }
    alarm(0);
    translator_destroy(translator);
    bench_teardown(&bench_state);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(groups_agree), cmocka_unit_test(windows_agree),
                                        cmocka_unit_test(small_budgets_end) };
    return translator_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
