/* The firmware configuration device, by its ports and by DMA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/dev/fw_cfg.h"
#include "util/bits.h"

#define MEMORY 65536

struct fixture {
    struct components components;
    struct bus ports;
    struct dma dma;
    struct fw_cfg fw_cfg;
    uint8_t memory[MEMORY];
    uint64_t dropped;
};

static void memory_read(void *context, uint64_t address, void *bytes, uint64_t length)
{
    struct fixture *f = context;
    for (uint64_t i = 0; i < length; i++)
        ((uint8_t *)bytes)[i] = address + i < MEMORY ? f->memory[address + i] : 0xff;
}

static void memory_write(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    struct fixture *f = context;
    for (uint64_t i = 0; i < length; i++)
        if (address + i < MEMORY)
            f->memory[address + i] = ((const uint8_t *)bytes)[i];
        else
            f->dropped++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->dma = (struct dma){ memory_read, memory_write, f };
    bus_init(&f->ports, 65536);
    fw_cfg_init(&f->fw_cfg, &f->dma, &f->components);
    fw_cfg_add16(&f->fw_cfg, FW_CFG_CPUS, 3);
    fw_cfg_add64(&f->fw_cfg, FW_CFG_RAM_SIZE, 0x123456789a);
    fw_cfg_add32(&f->fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
    fw_cfg_add_file(&f->fw_cfg, "opt/z", "zzz", 3);
    fw_cfg_add_copy(&f->fw_cfg, "etc/a", "first", 5);
    fw_cfg_add_copy(&f->fw_cfg, "etc/a", "again", 5);
    fw_cfg_add_writable(&f->fw_cfg, "etc/w", "........", 8);
    assert_int_equal(fw_cfg_seal(&f->fw_cfg), 0);
    bus_add(&f->ports, "fw_cfg", 0x510, 2, 2, fw_cfg_read, fw_cfg_write, &f->fw_cfg);
    bus_add(&f->ports, "dma", 0x514, 8, 4, fw_cfg_dma_read, fw_cfg_dma_write, &f->fw_cfg);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    fw_cfg_free(&f->fw_cfg);
    bus_free(&f->ports);
    free(f);
    return 0;
}

static void select_key(struct fixture *f, uint16_t key)
{
    bus_write(&f->ports, 0x510, key, 2);
}

static uint64_t data(struct fixture *f, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= bus_read(&f->ports, 0x511, 1) << (8 * i);
    return value;
}

/* Runs a request whose block lies at 100h; returns the control word after. */
static uint32_t request(struct fixture *f, uint32_t control, uint32_t length, uint64_t address)
{
    store32(&f->memory[0x100], __builtin_bswap32(control));
    store32(&f->memory[0x104], __builtin_bswap32(length));
    store64(&f->memory[0x108], __builtin_bswap64(address));
    bus_write(&f->ports, 0x514, 0, 4);
    bus_write(&f->ports, 0x518, __builtin_bswap32(0x100), 4);
    return __builtin_bswap32(load32(&f->memory[0x100]));
}

static void test_ports(void **state)
{
    struct fixture *f = *state;
    select_key(f, FW_CFG_SIGNATURE);
    assert_int_equal(data(f, 4), 0x554d4551); /* "QEMU" */
    assert_int_equal(data(f, 4), 0);          /* past the end */
    select_key(f, FW_CFG_ID);
    assert_int_equal(data(f, 4), 3);
    select_key(f, FW_CFG_CPUS);
    assert_int_equal(data(f, 2), 3);
    select_key(f, FW_CFG_RAM_SIZE);
    assert_int_equal(data(f, 8), 0x123456789a);
    select_key(f, FW_CFG_IRQ0_OVERRIDE);
    assert_int_equal(data(f, 4), 1);
    select_key(f, 0x7777);
    assert_int_equal(data(f, 4), 0);
    select_key(f, 0xffff);
    assert_int_equal(data(f, 4), 0);
    assert_int_equal(bus_read(&f->ports, 0x514, 4), 0x554d4551); /* "QEMU" "CFG" */
    assert_int_equal(bus_read(&f->ports, 0x518, 4), 0x47464320);
}

static void test_directory(void **state)
{
    struct fixture *f = *state;
    select_key(f, FW_CFG_FILE_DIRECTORY);
    assert_int_equal(__builtin_bswap32((uint32_t)data(f, 4)), 3);
    static const struct { const char *name; uint32_t size; } expected[] = {
        { "etc/a", 5 }, { "etc/w", 8 }, { "opt/z", 3 },
    };
    for (unsigned i = 0; i < 3; i++) {
        char name[56];
        assert_int_equal(__builtin_bswap32((uint32_t)data(f, 4)), expected[i].size);
        assert_int_equal(__builtin_bswap16((uint16_t)data(f, 2)), 0x20 + i);
        data(f, 2);
        for (unsigned k = 0; k < 56; k++)
            name[k] = (char)data(f, 1);
        assert_string_equal(name, expected[i].name);
    }
    select_key(f, 0x20);
    assert_int_equal(data(f, 5), 0x6e69616761); /* "again" */
}

static void test_dma_read(void **state)
{
    struct fixture *f = *state;
    memset(f->memory, 0xee, MEMORY);
    assert_int_equal(request(f, 0x22u << 16 | 0x0a, 6, 0x4000), 0);
    assert_memory_equal(&f->memory[0x4000], "zzz\0\0\0", 6); /* filled up with zeros */
    assert_int_equal(f->memory[0x4006], 0xee);
    assert_int_equal(request(f, 0x20u << 16 | 0x0c, 2, 0), 0); /* select, skip 2 */
    assert_int_equal(request(f, 0x02, 3, 0x5000), 0);
    assert_memory_equal(&f->memory[0x5000], "ain", 3);
    assert_int_equal(request(f, 0x7777u << 16 | 0x0a, 4, 0x5000), 0); /* no such item */
    assert_memory_equal(&f->memory[0x5000], "\0\0\0\0", 4);
    assert_int_equal(request(f, 0x08 | 0x20u << 16, 9, 0x5000), 0); /* select alone */
    assert_int_equal(data(f, 1), 'a');
}

static void test_dma_write(void **state)
{
    struct fixture *f = *state;
    memcpy(&f->memory[0x300], "new!", 4);
    assert_int_equal(request(f, 0x20u << 16 | 0x18, 4, 0x300), 1); /* read-only */
    assert_int_equal(request(f, 0x21u << 16 | 0x18, 9, 0x300), 1); /* too long */
    assert_int_equal(request(f, 0x21u << 16 | 0x18, 4, 0x300), 0);
    assert_int_equal(request(f, 0x10, 4, 0x300), 0);
    assert_int_equal(request(f, 0x10, 1, 0x300), 1); /* at the end */
    select_key(f, 0x21);
    assert_int_equal(data(f, 8), 0x2177656e2177656e);
    bool found = false;
    for (unsigned i = 0; i < f->components.count; i++)
        if (f->components.list[i].size == 8 && !memcmp(f->components.list[i].state, "new!new!", 8))
            found = true;
    assert_true(found); /* what the guest wrote is state */
}

static void test_hostile(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(request(f, 0x20u << 16 | 0x0c, 0xffffffff, 0), 0);
    assert_int_equal(data(f, 1), 0);
    assert_int_equal(request(f, 0x20u << 16 | 0x0a, 0x100000, 0xfffffffffffff000ull), 0);
    assert_true(f->dropped > 0);
    bus_write(&f->ports, 0x514, 0xffffffff, 4); /* block outside memory */
    bus_write(&f->ports, 0x518, 0xffffffff, 4);
    for (unsigned i = 0; i < 12; i++) {
        bus_write(&f->ports, 0x510 + i, 0x5a5a, 2);
        bus_read(&f->ports, 0x510 + i, 4);
    }
    char name[16];
    for (unsigned i = 0; i < 2 * FW_CFG_FILES_MAXIMUM; i++) {
        snprintf(name, sizeof name, "opt/%u", i);
        int result = fw_cfg_add_file(&f->fw_cfg, name, "x", 1);
        assert_int_equal(result, i + 3 < FW_CFG_FILES_MAXIMUM ? 0 : -1);
    }
    fw_cfg_reset(&f->fw_cfg);
    assert_int_equal(f->fw_cfg.s.selected, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ports), TEST(test_directory), TEST(test_dma_read), TEST(test_dma_write),
        TEST(test_hostile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
