/*
 * Young and old blocks (engine.h): new ones go when their arena is full, those that
 * translations rest on stay, and what is known of them stays true.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../unit/cpu_bench.h"
#include "translator/translator.h"

#define CODE 0x18000
#define COLD 0x20000
#define COLD_BLOCKS 64

/* Runs jumps that lead from one to the next; they fill the arena of young blocks
 * which the test has made small. */
static void run_cold(struct cpu_bench *b)
{
    uint64_t flushes = b->engine->cache_flushes;
    for (unsigned i = 0; i < COLD_BLOCKS; i++)
        bench_put(b, COLD + 64 * i, 0x3eeb, 2); /* jmp to the next */
    b->cpu->s.gpr[RIP] = COLD;
    bench_run(b, COLD_BLOCKS);
    assert_int_equal(b->cpu->s.gpr[RIP], COLD + 64 * COLD_BLOCKS);
    assert_true(b->engine->cache_flushes > flushes);
}

static int set_up(void **state)
{
    int status = bench_setup(state);
    struct cpu_bench *b = *state;
    bench_long(b, 0);
    b->engine->young.size = 4096;
    /* 1: inc %eax; jmp 2f; 2: inc %ecx; jmp 1b; behind them, in the same line and not kept: nop; hlt */
    bench_code(b, CODE, "\xff\xc0\xeb\x00\xff\xc1\xeb\xf8\x90\xf4", 10);
    b->cpu->s.gpr[RIP] = CODE;
    bench_run(b, 8);
    return status;
}

/* A block that is kept is found, and goes when its bytes are written; another one of
 * its page that is not kept goes with the young ones. */
static void kept_blocks_stay(void **state)
{
    struct cpu_bench *b = *state;
    b->cpu->s.gpr[RIP] = CODE + 8;
    bench_run(b, 1);
    struct block *young = bench_block(b, CODE), *kept = engine_keep_block(b->engine, young);
    assert_ptr_not_equal(kept, young);
    assert_true(young->key == BLOCK_KEY_NONE);
    assert_ptr_equal(young->moved_to, kept);
    assert_ptr_equal(bench_block(b, CODE), kept);
    assert_ptr_equal(engine_keep_block(b->engine, kept), kept);
    run_cold(b);
    assert_ptr_equal(bench_block(b, CODE), kept);
    assert_null(bench_block(b, CODE + 8));
    assert_true(b->memory.flags[CODE >> 12] & PHYSMEM_CODE);
    assert_false(b->engine->young.page_lines[CODE >> 12]);
    assert_int_equal(kept->count, 2);
    bench_put(b, CODE + 64, 0x90, 1);
    assert_ptr_equal(bench_block(b, CODE), kept);
    bench_put(b, CODE + 1, 0xc2, 1); /* inc %edx */
    assert_null(bench_block(b, CODE));
    assert_false(b->memory.flags[CODE >> 12] & PHYSMEM_CODE);
    uint64_t rdx = b->cpu->s.gpr[RDX];
    b->cpu->s.gpr[RIP] = CODE;
    bench_run(b, 1);
    assert_int_equal(b->cpu->s.gpr[RDX], rdx + 1);
}

/* Pages without code that is known are written without a look at blocks. */
static void pages_are_left(void **state)
{
    struct cpu_bench *b = *state;
    assert_true(b->memory.flags[CODE >> 12] & PHYSMEM_CODE);
    run_cold(b);
    assert_false(b->memory.flags[CODE >> 12] & PHYSMEM_CODE);
    assert_null(bench_block(b, CODE));
}

/* An old block knows where its successors are: moved, too, or gone. */
static void successors_are_true(void **state)
{
    struct cpu_bench *b = *state;
    struct block *one = engine_keep_block(b->engine, bench_block(b, CODE)), *two = bench_block(b, CODE + 4);
    assert_ptr_equal(block_successor(one, 0), two);
    assert_ptr_equal(block_successor(two, 0), one);
    run_cold(b);
    assert_ptr_equal(block_successor(one, 0), &b->engine->none);
    for (unsigned round = 0; round < 2; round++) { /* seen again, be it kept or not */
        b->cpu->s.gpr[RIP] = CODE;
        bench_run(b, 5);
        assert_ptr_equal(bench_block(b, CODE), one);
        two = bench_block(b, CODE + 4);
        assert_ptr_equal(block_successor(one, 0), two);
        if (round)
            two = engine_keep_block(b->engine, two);
        run_cold(b);
        assert_ptr_equal(block_successor(one, 0), round ? two : &b->engine->none);
    }
    assert_ptr_equal(block_successor(two, 0), one);
}

/* Code that runs once takes no translation with it. */
static void translations_stay(void **state)
{
    struct cpu_bench *b = *state;
    if (!translator_available())
        skip();
    struct translator *translator = translator_create(b->engine, 1 << 20, 40);
    assert_non_null(translator);
    translator_sample(translator, 100); /* none is made anew */
    const struct translator_statistics *statistics = translator_statistics(translator);
    for (unsigned round = 0; round < 9; round++) {
        uint64_t rcx = b->cpu->s.gpr[RCX], made = statistics->blocks, ran = statistics->instructions;
        b->cpu->s.gpr[RIP] = CODE;
        bench_run(b, 4000);
        assert_int_equal(b->cpu->s.gpr[RCX], rcx + 1000);
        assert_true(statistics->instructions > ran + 3000);
        if (round)
            assert_int_equal(statistics->blocks, made);
        run_cold(b);
    }
    assert_int_equal(statistics->flushes, 0);
    engine_flush_blocks(b->engine);
    assert_null(bench_block(b, CODE));
    assert_int_equal(b->engine->old.used, 0);
    translator_destroy(translator);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kept_blocks_stay, set_up, bench_teardown),
        cmocka_unit_test_setup_teardown(pages_are_left, set_up, bench_teardown),
        cmocka_unit_test_setup_teardown(successors_are_true, set_up, bench_teardown),
        cmocka_unit_test_setup_teardown(translations_stay, set_up, bench_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
