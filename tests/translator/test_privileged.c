/*
 * CLI, STI, SWAPGS and PUSHFQ in translated code: hot loops run by the
 * interpreter and by the translator side by side, in slices of any length, with
 * interrupts that wait for STI, come from outside, or are kept away by CLI. States
 * must be equal after each slice; what the guest notes must be what the manual says
 * (SDM vol. 2, CLI, STI, SWAPGS, PUSHF; vol. 3, 6.8.1). The same for indirect jumps to addresses that are not
 * canonical (JMP, RET), whatever is to be known of the flags there.
 */
#include "../unit/cpu_bench.h"

#include "cpu/opcode.h"
#include "translator/translator.h"

#define CODE 0x8000u
#define HANDLER 0x9000u
#define NOTES 0xa000u /* how often the handler ran; sum of the places; the last place */
#define GS_A 0xb000u
#define GS_B 0xc000u
#define LOG 0x20000u
#define TURNS 3000u
#define VECTOR 0x40

struct twins {
    struct cpu_bench *a, *b; /* interpreted, translated */
    struct translator *translator;
    uint64_t random;
};

static uint32_t below(struct twins *t, uint32_t limit)
{
    t->random = t->random * 6364136223846793005ull + 1442695040888963407ull;
    return (uint32_t)((t->random >> 32) * limit >> 32);
}

static int acknowledge(void *context, struct cpu *cpu)
{
    (void)context;
    cpu->interrupt_line = false;
    return VECTOR;
}

static void raise_line(struct cpu *cpu)
{
    cpu->interrupt_line = true;
    cpu_attention(cpu);
}

static void port_write(void *context, struct cpu *cpu, uint16_t port, uint64_t value, unsigned bytes)
{
    (void)context, (void)port, (void)value, (void)bytes;
    raise_line(cpu);
}

static int setup(void **state)
{
    struct twins *t = calloc(1, sizeof *t);
    assert_non_null(t);
    struct cpu_bench **both[] = { &t->a, &t->b };
    for (unsigned i = 0; i < 2; i++) {
        bench_setup((void **)both[i]);
        struct cpu_bench *b = *both[i];
        bench_long(b, 0);
        b->cpu->bus.interrupt_acknowledge = acknowledge;
        b->cpu->bus.port_write = port_write;
        for (unsigned k = 0; k < 8; k++)
            bench_put(b, NOTES + 8 * k, 0, 8);
    }
    t->translator = translator_create(t->b->engine, 4 << 20, 3);
    assert_non_null(t->translator);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct twins *t = *state;
    translator_destroy(t->translator);
    bench_teardown((void **)&t->a);
    bench_teardown((void **)&t->b);
    free(t);
    return 0;
}

static void load(struct twins *t, uint32_t address, const char *code, unsigned bytes)
{
    bench_code(t->a, address, code, bytes);
    bench_code(t->b, address, code, bytes);
}
#define LOAD(t, address, code) load(t, address, code, sizeof(code) - 1)

static void set(struct twins *t, unsigned reg, uint64_t value)
{
    t->a->cpu->s.gpr[reg] = t->b->cpu->s.gpr[reg] = value;
}

static uint64_t note(const struct twins *t, unsigned number)
{
    return bench_get(t->b, NOTES + 8 * number, 8);
}

static void gate(struct twins *t, unsigned vector)
{
    bench_gate64(t->a, vector, CODE64, HANDLER, 0, 0x8e);
    bench_gate64(t->b, vector, CODE64, HANDLER, 0, 0x8e);
}

static void start(struct twins *t, uint64_t rflags)
{
    struct cpu_bench *both[] = { t->a, t->b };
    for (unsigned i = 0; i < 2; i++) {
        both[i]->cpu->s.rflags = rflags | FLAG_1;
        both[i]->cpu->s.activity = CPU_RUNNING;
        cpu_restored(both[i]->cpu);
    }
}

/* Both run up to `count` instructions and are equal. */
static enum cpu_exit slice(struct twins *t, uint64_t count)
{
    uint64_t rip = t->a->cpu->s.gpr[RIP];
    enum cpu_exit x = cpu_run(t->a->cpu, count), y = cpu_run(t->b->cpu, count);
    const struct cpu_state *a = &t->a->cpu->s, *b = &t->b->cpu->s;
    if (x != y || memcmp(a, b, sizeof *a) != 0 || t->a->cpu->interrupt_line != t->b->cpu->interrupt_line)
        fail_msg("%llu instructions from %llx: at %llx and %llx, flags %llx and %llx, notes %llu and %llu",
                 (unsigned long long)count, (unsigned long long)rip, (unsigned long long)a->gpr[RIP],
                 (unsigned long long)b->gpr[RIP], (unsigned long long)a->rflags,
                 (unsigned long long)b->rflags, (unsigned long long)bench_get(t->a, NOTES, 8),
                 (unsigned long long)bench_get(t->b, NOTES, 8));
    return x;
}

/* Runs to the end, which halts: `longest` instructions a slice, before one in `every`
 * of which the interrupt line rises (0: never; it also rises when a vCPU with
 * interrupts on is halted). */
static void run(struct twins *t, uint32_t longest, uint32_t every)
{
    for (;;) {
        if (every && below(t, every) == 0) {
            raise_line(t->a->cpu);
            raise_line(t->b->cpu);
        }
        enum cpu_exit end = slice(t, 1 + below(t, longest));
        if (end == CPU_EXIT_HALTED) {
            if (!(t->a->cpu->s.rflags & FLAG_IF) || !t->a->cpu->s.gpr[RCX])
                break;
            raise_line(t->a->cpu);
            raise_line(t->b->cpu);
        } else {
            assert_int_equal(end, CPU_EXIT_BUDGET);
        }
    }
    assert_memory_equal(t->a->memory.bytes, t->b->memory.bytes, 2 << 20);
}

/* Translated anew, in chains of at most `chain` blocks of at most `block` instructions. */
static void cut(struct twins *t, uint32_t block, uint32_t chain)
{
    t->b->engine->block_limit = block;
    t->b->engine->chain_limit = chain;
    engine_flush_blocks(t->b->engine);
}

/* The row was lowered: only other ones ran by their handlers without need. */
static void assert_lowered(const struct twins *t, enum opcode_map map, unsigned opcode, const char *name)
{
    for (unsigned row = 0; row < opcode_row_count; row++)
        if (opcode_rows[row].map == map && opcode_rows[row].opcode == opcode
            && translator_row_fallbacks(t->translator, row) > TURNS / 10
            && strcmp(opcode_rows[row].name, name) == 0)
            fail_msg("%s is not lowered", name);
    assert_true(translator_statistics(t->translator)->blocks > 0);
}

/* Counts, and notes the place that it returns to. */
static const char note_place[] =
    "\x48\xff\x04\x25\x00\xa0\x00\x00"         /* incq NOTES */
    "\x48\x8b\x04\x24"                         /* movq (%rsp), %rax */
    "\x48\x89\x04\x25\x10\xa0\x00\x00"         /* movq %rax, NOTES + 16 */
    "\x48\x01\x04\x25\x08\xa0\x00\x00"         /* addq %rax, NOTES + 8 */
    "\x48\xcf";                                /* iretq */

/* An interrupt that waits is taken behind the instruction after STI. */
static void waits_for_sti(void **state)
{
    struct twins *t = *state;
    LOAD(t, HANDLER, note_place);
    gate(t, VECTOR);
    LOAD(t, CODE, "\xfa"                       /* 00: cli */
                  "\xe6\x80"                   /* 01: outb %al, $0x80: the line rises */
                  "\x48\xff\xc3"               /* 03: incq %rbx */
                  "\xfb"                       /* 06: sti */
                  "\x48\xff\xc5"               /* 07: incq %rbp */
                  "\x48\xff\xc6"               /* 0a: incq %rsi */
                  "\x48\xff\xc7"               /* 0d: incq %rdi */
                  "\x48\xff\xc9"               /* 10: decq %rcx */
                  "\x75\xeb"                   /* 13: jnz 00 */
                  "\xfa\xf4");                 /* 15: cli; hlt */
    static const uint32_t longest[] = { 1, 4, 13, 100, 5000 };
    for (unsigned i = 0; i < 5; i++) {
        cut(t, i % 2 ? BLOCK_INSNS_MAXIMUM : 4, i % 3);
        set(t, RIP, CODE);
        set(t, RCX, TURNS);
        start(t, i % 2 ? FLAG_DF | FLAG_ID : 0);
        run(t, longest[i], 0);
        assert_int_equal(note(t, 0), (i + 1) * TURNS);
        assert_int_equal(note(t, 1), (i + 1) * TURNS * (CODE + 0x0aull));
    }
    assert_lowered(t, MAP_ONE, 0xfa, "cli");
    assert_lowered(t, MAP_ONE, 0xfb, "sti");
}

/* One that comes from outside is taken at once or behind the instruction after STI. */
static void comes_from_outside(void **state)
{
    struct twins *t = *state;
    LOAD(t, HANDLER, note_place);
    gate(t, VECTOR);
    LOAD(t, CODE, "\xfb"                       /* 00: sti */
                  "\x48\xff\xc5"               /* 01: incq %rbp */
                  "\x48\xff\xc6"               /* 04: incq %rsi */
                  "\xfa"                       /* 07: cli */
                  "\x48\xff\xc3"               /* 08: incq %rbx */
                  "\x9c\x5a"                   /* 0b: pushfq; popq %rdx */
                  "\x48\x09\x14\x25\x18\xa0\x00\x00" /* 0d: orq %rdx, NOTES + 24 */
                  "\x48\xff\xc9"               /* 15: decq %rcx */
                  "\x75\xe6"                   /* 18: jnz 00 */
                  "\xf4");                     /* 1a: hlt */
    static const uint32_t longest[] = { 1, 5, 40, 300 };
    for (unsigned i = 0; i < 4; i++) {
        cut(t, i % 2 ? BLOCK_INSNS_MAXIMUM : 2, i % 3);
        set(t, RIP, CODE);
        set(t, RCX, TURNS);
        start(t, 0);
        while (t->a->cpu->s.gpr[RCX]) {
            if (below(t, 3) == 0) {
                raise_line(t->a->cpu);
                raise_line(t->b->cpu);
            }
            slice(t, 1 + below(t, longest[i]));
            uint64_t place = note(t, 2);
            assert_true(place == 0 || place == CODE + 4 || place == CODE + 7);
        }
        run(t, 3, 0);
    }
    assert_true(note(t, 0) > 100);
    assert_int_equal(note(t, 3) & FLAG_IF, 0);
    assert_lowered(t, MAP_ONE, 0xfa, "cli");
    assert_lowered(t, MAP_ONE, 0xfb, "sti");
    assert_lowered(t, MAP_ONE, 0x9c, "pushf");
}

/* STI and HLT: nothing comes between them. */
static void halts_behind_sti(void **state)
{
    struct twins *t = *state;
    LOAD(t, HANDLER, note_place);
    gate(t, VECTOR);
    LOAD(t, CODE, "\xfa\x48\xff\xc3"           /* 00: cli; incq %rbx */
                  "\xfb\xf4"                   /* 04: sti; hlt */
                  "\x48\xff\xc9"               /* 06: decq %rcx */
                  "\x75\xf5"                   /* 09: jnz 00 */
                  "\xfa\xf4");                 /* 0b: cli; hlt */
    set(t, RIP, CODE);
    set(t, RCX, TURNS);
    start(t, 0);
    run(t, 30, 4);
    assert_true(note(t, 0) >= TURNS);
}

/* What is pushed: the flags that were there, without RF and VM. */
static void pushes_flags(void **state)
{
    struct twins *t = *state;
    static const uint64_t flags[] = {
        0, FLAG_IF, 0x4000 /* NT */, FLAG_AC | FLAG_ID, FLAG_IF | 0x3000 /* IOPL */, FLAG_RF, FLAG_DF,
        FLAGS_ARITHMETIC,
    };
    LOAD(t, CODE, "\x48\x01\xd8"               /* addq %rbx, %rax */
                  "\x9c\x5a\x48\x89\x16"       /* pushfq; popq %rdx; movq %rdx, (%rsi) */
                  "\xf9\x9c\x48\x0f\xaf\xc3"   /* stc; pushfq; imulq %rbx, %rax */
                  "\x8f\x46\x08\x9c"           /* popq 8(%rsi); pushfq */
                  "\x48\xc1\xe3\x03"           /* shlq $3, %rbx */
                  "\x8f\x46\x10\x9c"           /* popq 16(%rsi); pushfq */
                  "\x8f\x46\x18"               /* popq 24(%rsi) */
                  "\x48\x83\xc3\x07"           /* addq $7, %rbx */
                  "\x48\x83\xc6\x20"           /* addq $32, %rsi */
                  "\x48\xff\xc9\x75\xd6"       /* decq %rcx; jnz */
                  "\xf4");
    for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
        set(t, RIP, CODE);
        set(t, RAX, 0x123456789abcdef);
        set(t, RBX, 0xfedcba987654321);
        set(t, RCX, TURNS);
        set(t, RSI, LOG);
        start(t, flags[i]);
        while (t->a->cpu->s.activity != CPU_HALTED)
            slice(t, 1 + below(t, i % 2 ? 30 : 3000));
        assert_memory_equal(t->a->memory.bytes, t->b->memory.bytes, 2 << 20);
        for (unsigned k = 0; k < 4 * TURNS; k++) {
            uint64_t pushed = bench_get(t->b, LOG + 8 * k, 8);
            uint64_t expected = (flags[i] & ~(uint64_t)(FLAGS_ARITHMETIC | FLAG_RF)) | FLAG_1;
            assert_int_equal(pushed & ~(uint64_t)FLAGS_ARITHMETIC, expected);
            if (k % 4 == 1)
                assert_true(pushed & FLAG_CF);
        }
    }
    assert_lowered(t, MAP_ONE, 0x9c, "pushf");
}

/* The same address in GS is another one behind SWAPGS. */
static void exchanges_bases(void **state)
{
    struct twins *t = *state;
    LOAD(t, CODE, "\x0f\x01\xf8"                                   /* swapgs */
                  "\x65\x48\x8b\x04\x25\x00\x00\x00\x00"           /* movq %gs:0, %rax */
                  "\x48\x01\xc3"                                   /* addq %rax, %rbx */
                  "\x0f\x01\xf8"
                  "\x65\x48\x8b\x14\x25\x00\x00\x00\x00"           /* movq %gs:0, %rdx */
                  "\x48\x01\xd5"                                   /* addq %rdx, %rbp */
                  "\x65\x48\xff\x04\x25\x08\x00\x00\x00"           /* incq %gs:8 */
                  "\x0f\x01\xf8"
                  "\x65\x48\xff\x04\x25\x08\x00\x00\x00"
                  "\x48\xff\xc9\x75\xc8"                           /* decq %rcx; jnz */
                  "\xf4");
    struct cpu_bench *both[] = { t->a, t->b };
    for (unsigned i = 0; i < 2; i++) {
        both[i]->cpu->s.seg[GS].base = GS_A;
        both[i]->cpu->s.kernel_gs_base = GS_B;
        bench_put(both[i], GS_A, 5, 8);
        bench_put(both[i], GS_B, 0x700000000, 8);
        bench_put(both[i], GS_A + 8, 0, 8);
        bench_put(both[i], GS_B + 8, 0, 8);
    }
    set(t, RIP, CODE);
    set(t, RCX, TURNS);
    set(t, RBX, 0);
    set(t, RBP, 0);
    start(t, 0);
    run(t, 200, 0);
    /* Three exchanges a turn: B A B, A B A, ... */
    assert_int_equal(t->b->cpu->s.gpr[RBX], TURNS / 2 * 0x700000005ull);
    assert_int_equal(t->b->cpu->s.gpr[RBP], TURNS / 2 * 0x700000005ull);
    assert_int_equal(bench_get(t->b, GS_A + 8, 8), TURNS);
    assert_int_equal(bench_get(t->b, GS_B + 8, 8), TURNS);
    assert_lowered(t, MAP_TWO, 0x01, "swapgs");
}

/* At privilege 3 CLI and STI ask for IOPL, SWAPGS is not allowed at all. The
 * handler goes on behind them. */
static void asks_for_privilege(void **state)
{
    struct twins *t = *state;
    LOAD(t, HANDLER, "\x48\xff\x04\x25\x00\xa0\x00\x00" /* incq NOTES */
                     "\x8f\x04\x25\x08\xa0\x00\x00"     /* popq NOTES + 8 */
                     "\x48\x8b\x3c\x24\x80\x3f\x0f"     /* movq (%rsp), %rdi; cmpb $0x0f, (%rdi) */
                     "\x0f\x94\xc0\x0f\xb6\xc0"         /* sete %al; movzbl %al, %eax */
                     "\x48\x8d\x7c\x47\x01"             /* leaq 1(%rdi, %rax, 2), %rdi */
                     "\x48\x89\x3c\x24\x48\xcf");       /* movq %rdi, (%rsp); iretq */
    LOAD(t, CODE, "\x48\xff\xc3\xfa"                    /* incq %rbx; cli */
                  "\x48\xff\xc5\xfb"                    /* incq %rbp; sti */
                  "\x48\xff\xc6\x0f\x01\xf8"            /* incq %rsi; swapgs */
                  "\x48\xff\xc9\x75\xed"                /* decq %rcx; jnz */
                  "\xeb\xfe");
    gate(t, VECTOR_GP);
    uint64_t faults = 0;
    for (unsigned i = 0; i < 3; i++) {
        struct cpu_bench *both[] = { t->a, t->b };
        for (unsigned k = 0; k < 2; k++)
            bench_long(both[k], i ? 3 : 0);
        set(t, RIP, CODE);
        set(t, RCX, TURNS);
        start(t, i == 2 ? 0x3000 : 0); /* IOPL */
        while (t->a->cpu->s.gpr[RIP] != CODE + 0x13)
            slice(t, 1 + below(t, 100));
        faults += (i == 0 ? 0 : i == 1 ? 3 : 1) * TURNS;
        assert_int_equal(note(t, 0), faults);
    }
}

/* Three jumps through memory: behind an addition, where only others' flags are known, and a return
 * behind a comparison. The handler counts, adds up the flags, and goes on at the next 16 bytes. */
static void jumps_nowhere(void **state)
{
    struct twins *t = *state;
    LOAD(t, HANDLER, "\x48\x83\xc4\x08"                 /* addq $8, %rsp */
                     "\x4c\x8b\x6c\x24\x10"             /* movq 16(%rsp), %r13 */
                     "\x4c\x01\x2c\x25\x00\xa0\x00\x00" /* addq %r13, NOTES */
                     "\x48\xff\x04\x25\x08\xa0\x00\x00" /* incq NOTES + 8 */
                     "\x4c\x8b\x2c\x24\x49\x83\xcd\x0f" /* movq (%rsp), %r13; orq $15, %r13 */
                     "\x49\xff\xc5\x4c\x89\x2c\x24"     /* incq %r13; movq %r13, (%rsp) */
                     "\x48\xcf");                        /* iretq */
    LOAD(t, CODE, "\x48\x01\xc8\xff\x26");              /* addq %rcx, %rax; jmp *(%rsi) */
    LOAD(t, CODE + 0x10, "\x48\x89\xc3\xff\x27");       /* movq %rax, %rbx; jmp *(%rdi) */
    LOAD(t, CODE + 0x20, "\x48\x39\xcb\x4c\x89\xe4\xc3"); /* cmpq %rcx, %rbx; movq %r12, %rsp; ret */
    LOAD(t, CODE + 0x30, "\x48\xff\xc1\xeb\xcb");       /* incq %rcx; jmp CODE */
    gate(t, VECTOR_GP);
    set(t, RIP, CODE);
    set(t, RSI, LOG);
    set(t, RDI, LOG + 8);
    set(t, R12, LOG + 0x1000);
    start(t, 0);
    for (unsigned i = 0; i < TURNS; i++) {
        for (unsigned k = 0; k < 3; k++) {
            uint64_t bad = below(t, 4) == 0 ? 1ull << 63 : 0, place = k == 2 ? LOG + 0x1000 : LOG + 8 * k;
            bench_put(t->a, place, bad | (CODE + 0x10 * (k + 1)), 8);
            bench_put(t->b, place, bad | (CODE + 0x10 * (k + 1)), 8);
        }
        slice(t, 1 + below(t, 60));
    }
    assert_true(note(t, 1) > TURNS);
    assert_memory_equal(t->a->memory.bytes, t->b->memory.bytes, 2 << 20);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(waits_for_sti), TEST(comes_from_outside), TEST(halts_behind_sti),
        TEST(pushes_flags),  TEST(exchanges_bases),    TEST(asks_for_privilege),
        TEST(jumps_nowhere),
    };
    return translator_available() ? cmocka_run_group_tests(tests, NULL, NULL) : 0;
}
