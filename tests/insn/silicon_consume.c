/*
 * Cases whose flags are looked at in translated code: the instruction, behind some
 * that set flags and before some that read them (SETcc, CMOVcc, ADC, SBB, RCL, LAHF,
 * PUSHF, Jcc), in memory, cut into blocks and chains of random lengths. The
 * interpreter runs it, then the translator; both must end in the same state.
 */
#include "silicon.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/engine.h"
#include "cpu/flags.h"

#define PLACE 0x700u /* in the code page */
#define BEHIND 40    /* instructions that run behind the last one, a loop */

struct sequence {
    uint8_t bytes[96];
    unsigned length, count; /* instructions */
};

static void add(struct sequence *s, const void *bytes, unsigned length)
{
    memcpy(s->bytes + s->length, bytes, length);
    s->length += length;
    s->count++;
}

/* One that sets flags: CMP, TEST or those of CF alone. */
static void add_setter(struct sequence *s, struct random *random)
{
    uint8_t modrm = (uint8_t)(0xc0 | random_below(random, 64));
    switch (random_below(random, 5)) {
    case 0: add(s, (uint8_t[]){ 0x39, modrm }, 2); return;
    case 1: add(s, (uint8_t[]){ 0x84, modrm }, 2); return;
    case 2: add(s, (uint8_t[]){ 0x80, 0xf8, modrm }, 3); return; /* CMP AL */
    default: add(s, (uint8_t[]){ (uint8_t)(0xf8 + random_below(random, 2)) }, 1); return;
    }
}

static void add_consumer(struct sequence *s, struct random *random)
{
    unsigned to = random_below(random, 8), condition = random_below(random, 16);
    uint8_t modrm = (uint8_t)(0xc0 | to << 3 | random_below(random, 8));
    if (to == RSP) /* the stack is where the case wants it */
        modrm = 0xc1, to = RBX;
    switch (random_below(random, 9)) {
    case 0:
    case 1: add(s, (uint8_t[]){ 0x0f, (uint8_t)(0x90 + condition), (uint8_t)(0xc0 | to) }, 3); return;
    case 2:
    case 3: add(s, (uint8_t[]){ 0x0f, (uint8_t)(0x40 + condition), modrm }, 3); return;
    case 4: add(s, (uint8_t[]){ 0x13, modrm }, 2); return; /* ADC */
    case 5: add(s, (uint8_t[]){ 0x1a, modrm }, 2); return; /* SBB of bytes */
    case 6: add(s, (uint8_t[]){ random_below(random, 2) ? 0x9c : 0x9f }, 1); return; /* PUSHF, LAHF */
    case 7: add(s, (uint8_t[]){ 0xd1, (uint8_t)(0xd0 | to) }, 2); return; /* RCL */
    default: /* Jcc over NOT or not, which shows in the register */
        add(s, (uint8_t[]){ (uint8_t)(0x70 + condition), 3 }, 2);
        add(s, (uint8_t[]){ 0x0f, 0x9b, (uint8_t)(0xc0 | to) }, 3); /* SETNP */
        return;
    }
}

static void make(struct sequence *s, const struct test_case *test, struct random *random)
{
    for (unsigned n = random_below(random, 3); n; n--)
        add_setter(s, random);
    add(s, test->bytes, test->length);
    for (unsigned n = 1 + random_below(random, 3); n; n--)
        add_consumer(s, random);
    add(s, "\xeb\xfe", 2); /* JMP to itself: whole chains fit into the slice */
}

/* Runs `count` instructions; PAUSE ends a turn. */
static void run(struct cpu *cpu, uint64_t count)
{
    enum cpu_exit end;
    do {
        end = cpu_run(cpu, count);
        count -= cpu_retired(cpu);
    } while (end == CPU_EXIT_YIELD && count);
}

static const char *difference(const struct sequence *s, const struct cpu_state *x, const struct cpu_state *y)
{
    static char text[400];
    int at = snprintf(text, sizeof text, "with what looks at its flags:");
    for (unsigned i = 0; i < s->length; i++)
        at += snprintf(text + at, sizeof text - (size_t)at, " %02x", s->bytes[i]);
    for (unsigned i = 0; i < REGISTER_COUNT; i++)
        if (x->gpr[i] != y->gpr[i] && at < 340)
            at += snprintf(text + at, sizeof text - (size_t)at, "; r%u %llx, translated %llx", i,
                           (unsigned long long)x->gpr[i], (unsigned long long)y->gpr[i]);
    if (at < 340)
        snprintf(text + at, sizeof text - (size_t)at, "; flags %llx, %llx", (unsigned long long)x->rflags,
                 (unsigned long long)y->rflags);
    return text;
}

const char *guest_consume(const struct test_case *test, uint64_t seed)
{
    static uint8_t data[DATA_BYTES];
    static struct cpu_state start, expected;
    struct cpu *cpu = guest_cpu();
    struct engine *engine = cpu->engine;
    struct random random = { seed };
    struct sequence s = { .length = 0 };
    const struct insn *insn = guest_decode(test);
    if (insn->attributes & SETS_RIP || insn->prefixes & (PREFIX_REP | PREFIX_REPNE))
        return NULL;
    make(&s, test, &random);
    void *translator = engine->translator.context;
    for (unsigned turn = 0; turn < 2; turn++) {
        guest_set(test);
        cpu->s.gpr[RIP] = CODE_PAGE + PLACE - code_base(test->code_bytes);
        if (turn == 0)
            start = cpu->s;
        else
            cpu->s = start;
        cpu_restored(cpu);
        /* New code in the page: what was made of the old is stale. */
        guest_write_code(PLACE, s.bytes, s.length);
        engine->block_limit = random_below(&random, 3) ? BLOCK_INSNS_MAXIMUM : 1 + random_below(&random, 4);
        engine->chain_limit = random_below(&random, 4);
        engine->translator.context = turn ? translator : NULL;
        run(cpu, s.count + BEHIND);
        if (turn == 0) {
            expected = cpu->s;
            memcpy(data, guest_data(), DATA_BYTES);
        }
    }
    bool equal = memcmp(&expected, &cpu->s, sizeof expected) == 0 && memcmp(data, guest_data(), DATA_BYTES) == 0;
    return equal ? NULL : difference(&s, &expected, &cpu->s);
}
