/*
 * Both engines in lockstep: they agree on the bench's guest with its inputs, and
 * each kind of planted difference is found and told of.
 */
#include "cpu/engine.h"
#include "cpu/opcode.h"
#include "player_bench.h"
#include "replay/lockstep_internal.h"
#include "translator/translator.h"

struct bench {
    struct description description;
    struct runner_options options;
    struct bench_door door;
    struct lockstep lockstep;
    struct outcome outcome;
    char *report;
};

static void set_up(struct bench *b, uint32_t blocks)
{
    struct error error = {""};
    if (!translator_available())
        skip();
    memset(b, 0, sizeof *b);
    bench_describe(&b->description, bench_guest, sizeof bench_guest);
    bench_door_init(&b->door, "helloq", blocks);
    runner_options_init(&b->options);
    b->options.engine.check_blocks = blocks;
    assert_int_equal(lockstep_create(&b->lockstep, &b->description, &b->options, &b->door.door, &error), 0);
}

static bool run(struct bench *b)
{
    bool differs = lockstep_loop(&b->lockstep, &b->outcome);
    if (differs)
        b->report = lockstep_narrow(&b->lockstep);
    return differs;
}

static void tear_down(struct bench *b)
{
    lockstep_destroy(&b->lockstep);
    free(b->report);
}

static struct bench bench;

static void agree(void **state)
{
    (void)state;
    for (uint32_t blocks = 1; blocks < 200; blocks = blocks * 7 + 1) {
        set_up(&bench, blocks);
        assert_false(run(&bench));
        assert_int_equal(bench.outcome.kind, OUTCOME_DEBUG_EXIT);
        assert_int_equal(bench.outcome.detail, BENCH_GUEST_STATUS);
        assert_string_equal(bench.door.output, "helloq");
        assert_true(bench.lockstep.stretches > 10);
        tear_down(&bench);
    }
}

/* For the follower, ADD AX, imm is SUB: the report marks the first one. */
static void other_instruction(void **state)
{
    (void)state;
    for (uint32_t blocks = 1; blocks < 100; blocks += 33) {
        set_up(&bench, blocks);
        struct decoder *decoder = &bench.lockstep.sides[FOLLOWER].machine->engine->decoder;
        decoder->first[MAP_ONE][0x05] = decoder->first[MAP_ONE][0x2d];
        assert_true(run(&bench));
        assert_non_null(strstr(bench.report, "  => 5e: add ax, 0x3619\n"));
        assert_non_null(strstr(bench.report, "rax              interpreted"));
        tear_down(&bench);
    }
}

/* The follower skips an instruction that only writes memory. */
static void other_memory(void **state)
{
    (void)state;
    set_up(&bench, 50);
    struct decoder *decoder = &bench.lockstep.sides[FOLLOWER].machine->engine->decoder;
    decoder->first[MAP_ONE][0x8c] = decoder->first[MAP_ONE][0x85]; /* MOV m, CS: TEST */
    assert_true(run(&bench));
    assert_non_null(strstr(bench.report, "  => 12: mov word [0x22], cs\n"));
    assert_non_null(strstr(bench.report, "the page at physical 0h differs from byte 23h to 24h"));
    tear_down(&bench);
}

/* What is no instruction's doing is seen at the end, and does not show again. */
static void spoiled_memory(void **state)
{
    (void)state;
    static const uint8_t byte = 0x5a;
    set_up(&bench, 9);
    lockstep_run_to(&bench.lockstep, 3000);
    physmem_write(&bench.lockstep.sides[FOLLOWER].machine->memory, 0x9f123, &byte, 1);
    assert_true(run(&bench));
    assert_non_null(strstr(bench.report, "the page at physical 9f000h differs from byte 123h to 124h"));
    assert_non_null(strstr(bench.report, "does not show again"));
    tear_down(&bench);
}

static void spoiled_register(void **state)
{
    (void)state;
    set_up(&bench, 1);
    lockstep_run_to(&bench.lockstep, 3000);
    bench.lockstep.sides[FOLLOWER].machine->cpus[0]->s.vector[3][17] = 0xab;
    assert_true(run(&bench));
    assert_non_null(strstr(bench.report, "ymm3             interpreted 0, translated ab00"));
    tear_down(&bench);
}

static void spoiled_device(void **state)
{
    (void)state;
    set_up(&bench, 1);
    struct components *components = &bench.lockstep.sides[FOLLOWER].machine->components;
    struct component *component = &components->list[components->count - 1];
    lockstep_run_to(&bench.lockstep, 3000);
    ((uint8_t *)component->state)[component->size - 1] ^= 1;
    assert_true(lockstep_compare_memory(&bench.lockstep));
    assert_int_equal(bench.lockstep.difference.what, DEVICE);
    assert_int_equal(bench.lockstep.difference.number, components->count - 1);
    tear_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agree),
        cmocka_unit_test(other_instruction),
        cmocka_unit_test(other_memory),
        cmocka_unit_test(spoiled_memory),
        cmocka_unit_test(spoiled_register),
        cmocka_unit_test(spoiled_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
