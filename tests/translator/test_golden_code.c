/*
 * The host code of small guest sequences (sequences.S) as reviewed text, so that
 * a change of its quality is seen: tests/translator/NAME.txt. UPDATE=1 writes
 * the texts anew; read the difference.
 */
#include "../unit/cpu_bench.h"
#include "debug/listing.h"
#include "translator/translator.h"

#include <stdio.h>

#define SLOT 256
#define NAME 32
#define CODE 0x40000u
#define DATA 0x100000u
#define STACK 0x38000u
#define RUNS 4 /* the first ones are interpreted, so that ways through it are known */

extern const uint8_t sequences[], sequences_end[];

struct shown {
    struct listing listing;
    FILE *to;
};

static void show(void *context, const struct translated_block *block)
{
    struct shown *shown = context;
    if (block->insn_count > 1 || block->guest_bytes > 1) /* not HLT alone */
        listing_write(&shown->listing, shown->to, block);
}

static void run_once(struct cpu_bench *b)
{
    static const uint8_t values[] = { RAX, RDX, RBX, RBP, R8, R9, R10, R11, R12, R13, R14, R15 };
    struct cpu_state *s = &b->cpu->s;
    for (unsigned i = 0; i < sizeof values; i++)
        s->gpr[values[i]] = i + 1;
    s->gpr[RSI] = DATA;
    s->gpr[RDI] = DATA + 0x800;
    s->gpr[RCX] = 3;
    s->gpr[RSP] = STACK;
    s->gpr[RIP] = CODE + NAME;
    s->activity = CPU_RUNNING;
    for (unsigned i = 0; s->activity == CPU_RUNNING && i < 100; i++)
        cpu_run(b->cpu, 1000);
    assert_int_equal(s->activity, CPU_HALTED);
}

/* What the slot's translations look like; to be freed. */
static char *translate(const uint8_t *slot)
{
    struct cpu_bench *b;
    struct shown shown;
    char *text = NULL;
    size_t size;
    bench_setup((void **)&b);
    bench_long(b, 0);
    b->cpu->s.cr4 |= CR4_OSFXSR;
    cpu_restored(b->cpu);
    physmem_write(&b->memory, CODE, slot, SLOT);
    struct translator *translator = translator_create(b->engine, 4 << 20, RUNS - 1);
    assert_non_null(translator);
    if (strncmp((const char *)slot, "window_", 7) == 0)
        translator_sample(translator, 0);
    listing_init(&shown.listing, LISTING_GUEST | LISTING_HOST);
    shown.to = open_memstream(&text, &size);
    assert_int_equal(translator_watch(translator, &(struct translated_watch){ &shown, show }), 0);
    for (unsigned i = 0; i < RUNS; i++)
        run_once(b);
    fclose(shown.to);
    translator_destroy(translator);
    bench_teardown((void **)&b);
    return text;
}

static char *read_file(const char *path)
{
    char *text = calloc(1, 1 << 20);
    FILE *file = fopen(path, "r");
    if (file) {
        text[fread(text, 1, (1 << 20) - 1, file)] = 0;
        fclose(file);
    }
    return text;
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void golden(void **state)
{
    (void)state;
    unsigned different = 0;
    if (!translator_available())
        skip();
    for (const uint8_t *slot = sequences; slot < sequences_end; slot += SLOT) {
        char path[128];
        snprintf(path, sizeof path, "tests/translator/%.*s.txt", NAME, (const char *)slot);
        char *text = translate(slot), *expected = read_file(path);
        if (getenv("UPDATE"))
            write_file(path, text);
        else if (strcmp(text, expected) != 0) {
            different++;
            printf("%s is not what it was; now:\n%s", path, text);
        }
        free(text);
        free(expected);
    }
    if (different)
        printf("UPDATE=1 build/tests/translator/test_golden_code writes them anew; read git diff\n");
    assert_int_equal(different, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(golden) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
