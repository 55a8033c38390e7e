/* The low memory map as a payload: there and back, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay/memory_map.h"
#include "replay/trace.h"

#define RAM (2u << 20)
#define ROM (256u << 10)

static uint32_t number(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

static uint32_t any_entry(const struct physmem *memory, uint32_t *seed, uint32_t page, bool write)
{
    switch (number(seed, 5)) {
    case 0: return PHYSMEM_MMIO;
    case 1: return write ? PHYSMEM_DISCARD : PHYSMEM_MMIO;
    case 2: return number(seed, memory->ram_pages + memory->rom_pages);
    case 3: return physmem_rom_page(memory, (uint64_t)(page % (ROM / PAGE_BYTES)) << PAGE_SHIFT);
    default: return page;
    }
}

static void there_and_back(void **state)
{
    (void)state;
    struct physmem a, b;
    struct memory_map map, again;
    uint32_t seed = 3;
    assert_int_equal(physmem_init(&a, RAM, ROM, 3u << 30), 0);
    assert_int_equal(physmem_init(&b, RAM, ROM, 3u << 30), 0);
    memory_map_take(&map, &a);
    assert_true(map.length < 12); /* one run each */
    for (unsigned round = 0; round < 200; round++) {
        for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES; page++) {
            if (round && number(&seed, 4)) /* some runs are long */
                continue;
            physmem_map_low(&a, page, any_entry(&a, &seed, page, false),
                            any_entry(&a, &seed, page, true));
        }
        physmem_set_a20(&a, round & 1);
        a.smram = (enum physmem_smram)(round / 2 % PHYSMEM_SMRAM_STATES);
        memory_map_take(&map, &a);
        assert_true(map.length <= MEMORY_MAP_PAYLOAD && map.length <= TRACE_PAYLOAD_BYTES);
        assert_true(memory_map_apply(&b, map.payload, map.length));
        assert_memory_equal(a.low_read, b.low_read, sizeof a.low_read);
        assert_memory_equal(a.low_write, b.low_write, sizeof a.low_write);
        assert_int_equal(a.a20_mask, b.a20_mask);
        assert_int_equal(a.smram, b.smram);
        memory_map_take(&again, &b);
        assert_true(memory_map_equal(&map, &again));
    }
    physmem_free(&a);
    physmem_free(&b);
}

/* A payload that is refused changes nothing; one that is taken maps only
 * pages that exist. */
static void hostile_payloads(void **state)
{
    (void)state;
    struct physmem memory, untouched;
    struct memory_map map;
    uint32_t seed = 9, taken = 0;
    assert_int_equal(physmem_init(&memory, RAM, ROM, 3u << 30), 0);
    for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES; page += 3)
        physmem_map_low(&memory, page, physmem_rom_page(&memory, 0), PHYSMEM_DISCARD);
    memory_map_take(&map, &memory);
    untouched = memory;
    for (uint32_t cut = 0; cut < map.length; cut++)
        assert_false(memory_map_apply(&memory, map.payload, cut));
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t payload[MEMORY_MAP_PAYLOAD];
        memcpy(payload, map.payload, map.length);
        for (uint32_t n = 1 + number(&seed, 3); n; n--)
            payload[number(&seed, map.length)] = (uint8_t)number(&seed, 256);
        if (!memory_map_apply(&memory, payload, map.length)) {
            assert_memory_equal(memory.low_read, untouched.low_read, sizeof memory.low_read);
            continue;
        }
        taken++;
        for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES; page++) {
            uint32_t read = memory.low_read[page], write = memory.low_write[page];
            uint32_t pages = memory.ram_pages + memory.rom_pages;
            assert_true(read < pages || read == PHYSMEM_MMIO);
            assert_true(write < pages || write >= PHYSMEM_DISCARD);
        }
        assert_true(memory_map_apply(&memory, map.payload, map.length));
    }
    assert_true(taken > 100);
    physmem_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(hostile_payloads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
