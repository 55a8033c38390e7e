/*
 * The silicon test's command:
 *   silicon [--cases N] [--seed S] [--row NAME] [--case I] [--vex] [--translated] [--verbose]
 * Runs N cases that are made from the opcode table and the seed on the host's
 * CPU and in the interpreter. A failing case prints the command that repeats
 * it. --row: only rows of that name; --vex: only rows with a VEX prefix; --case: only that one, with all it does.
 * --translated: in translated code instead of the interpreter, and once more among
 * instructions that look at its flags (silicon_consume.c).
 * The report at the end tells what never ran (silicon_coverage.c; --verbose: all of it).
 */
#include "silicon.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/opcode.h"

#define BATCH 128
#define ATTEMPTS 40

struct options {
    uint64_t cases, seed;
    int64_t only;
    const char *row;
    bool vex, verbose;
    bool translated;
};

struct item {
    uint64_t number;
    unsigned row;
};

static struct options options = { .cases = 20000, .seed = 1, .only = -1 };
static unsigned *rows, row_count; /* that may run */
static uint32_t *ran, *failed;    /* by row */
static struct test_case *tests;
static struct outcome *host_outcomes, *guest_outcomes;
static struct item items[BATCH];
static unsigned failures, skipped, completed, faulted;

/* Nothing of the host's child is mapped below, but the cases' own pages. */
#if defined(__SANITIZE_ADDRESS__)
#define HOST_START 0x7fff0000ull /* AddressSanitizer's shadow */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HOST_START 0x7fff0000ull
#endif
#endif
#ifndef HOST_START
#define HOST_START (1ull << 32)
#endif

/* The outcome cannot be had safely on the host, or tells nothing. */
static bool dangerous(const struct test_case *test, const struct outcome *guest)
{
    uint64_t rip = code_base(test->code_bytes) + guest->after.rip;
    uint64_t start = CODE_END - test->length;
    if (guest->vector == VECTOR_PF && guest->address >= HOST_START
        && guest->address < 1ull << 47)
        return true;
    if (guest->vector != VECTOR_NONE)
        return false;
    if (rip >= CODE_PAGE && rip < CODE_END && rip != start)
        return true;
    return rip == start || (rip >= HOST_START && rip < 1ull << 47);
}

static bool make_case(uint64_t number, unsigned row, struct test_case *test, struct outcome *guest)
{
    struct random random = { options.seed * 0x9e3779b97f4a7c15ull ^ number * 0xd1342543de82ef95ull };
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (!generate(&random, row, test))
            continue;
        guest_run(test, guest);
        if (!dangerous(test, guest))
            return true;
    }
    return false;
}

static void print_state(const char *title, const struct machine_state *state)
{
    printf("  %s: rip %llx rflags %llx\n", title, (unsigned long long)state->rip,
           (unsigned long long)state->rflags);
    for (unsigned i = 0; i < 16; i++)
        printf("%s r%-2u %016llx%s", i % 4 ? "" : "   ", i, (unsigned long long)state->gpr[i],
               i % 4 == 3 ? "\n" : "");
    printf("    fcw %04x fsw %04x ftw %02x mxcsr %08x\n", state->fx.fcw, state->fx.fsw,
           state->fx.ftw, state->fx.mxcsr);
}

static void print_case(const struct item *item, const struct test_case *test)
{
    printf("%s, %u-bit code:", row_of(guest_decode(test))->name, test->code_bytes * 8);
    for (unsigned i = 0; i < test->length; i++)
        printf(" %02x", test->bytes[i]);
    printf("  (case %llu)\n", (unsigned long long)item->number);
}

static void print_fx(const struct fx_image *fx)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t significand;
        uint16_t exponent;
        memcpy(&significand, fx->st[i].bytes, 8);
        memcpy(&exponent, fx->st[i].bytes + 8, 2);
        printf("    st%u %04x_%016llx\n", i, exponent, (unsigned long long)significand);
    }
    for (unsigned i = 0; i < 16; i++) {
        uint64_t pair[2];
        memcpy(pair, fx->xmm[i], 16);
        printf("    xmm%-2u %016llx_%016llx\n", i, (unsigned long long)pair[1],
               (unsigned long long)pair[0]);
    }
}

static void report_failure(const struct item *item, const struct test_case *test,
                           const char *difference, const struct outcome *host,
                           const struct outcome *guest)
{
    failures++;
    /* The first of each row only, unless one row was asked for. */
    if (failed[test->row]++ && !options.row && test->row != ROW_INVALID)
        return;
    print_case(item, test);
    printf("  %s\n", difference);
    if (options.verbose || options.only >= 0) {
        print_state("before", &test->before);
        print_fx(&test->before.fx);
        print_state("host", &host->after);
        print_fx(&host->after.fx);
        print_state("interpreter", &guest->after);
        print_fx(&guest->after.fx);
    }
    printf("  again: %s/tests/insn/silicon --seed %llu --case %llu%s%s%s\n",
           getenv("BUILD") ? getenv("BUILD") : "build", (unsigned long long)options.seed,
           (unsigned long long)item->number, options.vex ? " --vex" : options.row ? " --row " : "",
           options.row ? options.row : "", options.translated ? " --translated" : "");
}

static void judge(unsigned i)
{
    const char *difference = compare(&tests[i], &host_outcomes[i], &guest_outcomes[i]);
    if (!difference && options.translated && guest_outcomes[i].vector == VECTOR_NONE)
        difference = guest_consume(&tests[i], options.seed ^ items[i].number << 20);
    ran[tests[i].row]++;
    coverage_add(&tests[i]);
    if (host_outcomes[i].vector == VECTOR_NONE)
        completed++;
    else
        faulted++;
    if (difference)
        report_failure(&items[i], &tests[i], difference, &host_outcomes[i], &guest_outcomes[i]);
    else if (options.only >= 0) {
        print_case(&items[i], &tests[i]);
        printf("  agrees, vector %u\n", host_outcomes[i].vector);
        print_state("before", &tests[i].before);
        print_state("host", &host_outcomes[i].after);
    }
}

/* Runs a batch; a case that kills the child is a failure of its own. */
static void run_batch(unsigned count)
{
    unsigned first = 0;
    while (first < count) {
        unsigned done = first + host_run(tests + first, host_outcomes + first, count - first);
        for (unsigned i = first; i < done; i++)
            judge(i);
        if (done < count) {
            static struct outcome nothing;
            report_failure(&items[done], &tests[done], "the host's child died", &nothing,
                           &guest_outcomes[done]);
            done++;
        }
        first = done;
    }
}

static void choose_rows(void)
{
    rows = calloc(opcode_row_count, sizeof *rows);
    ran = calloc(ROW_INVALID + 1, sizeof *ran);
    failed = calloc(ROW_INVALID + 1, sizeof *failed);
    if (!rows || !ran || !failed)
        exit(2);
    for (unsigned row = 0; row < opcode_row_count; row++)
        if (!generate_refuses(row) && (!options.vex || opcode_rows[row].map >= MAP_V0F)
            && (!options.row || !strcmp(options.row, opcode_rows[row].name)))
            rows[row_count++] = row;
    if (!row_count) {
        fprintf(stderr, "silicon: no row to run\n");
        exit(2);
    }
}

static void run_all(void)
{
    unsigned count = 0;
    uint64_t from = options.only >= 0 ? (uint64_t)options.only : 0;
    uint64_t to = options.only >= 0 ? from + 1 : options.cases;
    for (uint64_t number = from; number < to; number++) {
        unsigned row = rows[number % row_count];
        if (!make_case(number, row, &tests[count], &guest_outcomes[count])) {
            skipped++;
            continue;
        }
        items[count++] = (struct item){ number, row };
        if (count == BATCH) {
            run_batch(count);
            count = 0;
        }
    }
    if (count)
        run_batch(count);
}

static void report_failed_rows(void)
{
    if (failures && options.only < 0)
        printf("rows that differ, of the cases of each:\n");
    if (failed[ROW_INVALID])
        printf("  undefined or too long: %u of %u\n", failed[ROW_INVALID], ran[ROW_INVALID]);
    for (unsigned row = 0; row < opcode_row_count; row++)
        if (failed[row])
            printf("  %s (map %u, opcode %02x, row %u): %u of %u\n", opcode_rows[row].name,
                   opcode_rows[row].map, opcode_rows[row].opcode, row, failed[row], ran[row]);
}

static void parse_options(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--cases"))
            options.cases = strtoull(value, NULL, 0), i++;
        else if (!strcmp(argv[i], "--seed"))
            options.seed = strtoull(value, NULL, 0), i++;
        else if (!strcmp(argv[i], "--case"))
            options.only = strtoll(value, NULL, 0), i++;
        else if (!strcmp(argv[i], "--row"))
            options.row = value, i++;
        else if (!strcmp(argv[i], "--vex"))
            options.vex = true;
        else if (!strcmp(argv[i], "--translated"))
            options.translated = true;
        else if (!strcmp(argv[i], "--verbose"))
            options.verbose = true;
        else {
            fprintf(stderr, "usage: silicon [--cases N] [--seed S] [--row NAME] [--case I] [--vex]"
                            " [--translated] [--verbose]\n");
            exit(2);
        }
    }
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    if (!host_open()) {
        printf("this host cannot run code of other modes or at the addresses needed\n");
        return 77;
    }
    tests = host_shared(BATCH * sizeof *tests);
    host_outcomes = host_shared(BATCH * sizeof *host_outcomes);
    guest_outcomes = host_shared(BATCH * sizeof *guest_outcomes);
    guest_open();
    if (options.translated && !guest_translate()) {
        printf("this host runs no translated code\n");
        return 77;
    }
    coverage_open();
    choose_rows();
    run_all();
    if (!options.row && !options.vex && options.only < 0)
        coverage_report(options.verbose);
    report_failed_rows();
    printf("%u cases agree (%u completed, %u faulted), %u differ, %u skipped\n",
           completed + faulted - failures, completed, faulted, failures, skipped);
    if (options.translated)
        printf("%llu runs of translated code\n", (unsigned long long)guest_translations());
    return failures != 0;
}
