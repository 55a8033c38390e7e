/*
 * What is remembered of decoded instructions (recall.h) against the decoder itself,
 * over random code with few opcodes at a time, so that the same ones come again.
 */
#include "cpu_bench.h"

#include "cpu/opcode.h"
#include "cpu/recall.h"

#define CASES 3000000u

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 32;
}

/* Random bytes of an instruction; `few`: which of its parts, mostly. */
static void make(uint64_t *seed, uint64_t few, uint8_t bytes[RECALL_BYTES])
{
    uint8_t *at = bytes;
    for (unsigned i = 0; i < RECALL_BYTES; i++)
        bytes[i] = (uint8_t)next(seed);
    if (next(seed) % 16 == 0)
        *at++ = next(seed) & 1 ? 0x66 : 0xf3;
    if (next(seed) % 2)
        *at++ = (uint8_t)(0x40 | (next(seed) & 15));
    if (next(seed) % 4 == 0)
        *at++ = 0x0f;
    *at = (uint8_t)(few + next(seed) % 4);
    at[1] = (uint8_t)(few >> 8 ^ (next(seed) & 0xc7));
    at[2] = (uint8_t)(few >> 16 ^ (next(seed) & 7));
}

static void as_decoded(void **state)
{
    struct cpu_bench *b = *state;
    static struct recall recall;
    uint64_t seed = 1, few = 0, again = 0;
    recall_init(&recall);
    for (unsigned i = 0; i < CASES; i++) {
        uint8_t bytes[RECALL_BYTES];
        struct insn expected, found;
        unsigned start = (unsigned)next(&seed) & 0xfff, length;
        if (i % 512 == 0)
            few = next(&seed);
        make(&seed, few, bytes);
        memset(&expected, 0, sizeof expected);
        memset(&found, 0, sizeof found);
        again += recall_find(&recall, recall_key(&recall, bytes, &length)) != NULL;
        decode(&b->engine->decoder, 8, bytes, sizeof bytes, start, &expected);
        assert_int_equal(recall_decode(&recall, &b->engine->decoder, bytes, start, &found), expected.end);
        assert_memory_equal(&found, &expected, sizeof found);
    }
    assert_in_range(again, CASES / 4, CASES);
}

/* Other prefixes and undefined instructions are decoded each time. */
static void not_remembered(void **state)
{
    struct cpu_bench *b = *state;
    static struct recall recall;
    uint8_t popcnt[RECALL_BYTES] = { 0xf3, 0x0f, 0xb8, 0xc0 }, undefined[RECALL_BYTES] = { 0x0f, 0x0b };
    recall_init(&recall);
    for (unsigned i = 0; i < 2; i++) {
        struct insn insn;
        unsigned length;
        assert_int_equal(recall_key(&recall, popcnt, &length), 0);
        recall_decode(&recall, &b->engine->decoder, popcnt, 0, &insn);
        assert_int_equal(insn.length, 4);
        recall_decode(&recall, &b->engine->decoder, undefined, 0, &insn);
        assert_int_equal(insn.length, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(as_decoded, bench_setup, bench_teardown),
        cmocka_unit_test_setup_teardown(not_remembered, bench_setup, bench_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
