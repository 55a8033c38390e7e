/* Disks: overlay over base, digest, marks, checkpoints; against a plain array. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/disk.h"

#define SIZE (1000 * 1000u + 100) /* neither whole blocks nor sectors */

static uint8_t base[SIZE];
static bool base_fails;

static int read_base(void *context, uint64_t offset, void *bytes, uint64_t length)
{
    assert_true(context == base && offset <= SIZE && length <= SIZE - offset && length > 0);
    if (base_fails)
        return -1;
    memcpy(bytes, base + offset, length);
    return 0;
}

static const struct disk_source source = { read_base, base, SIZE };

static uint32_t seed;

static uint32_t number(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)seed * below >> 32);
}

static int setup(void **state)
{
    (void)state;
    seed = 1;
    base_fails = false;
    for (unsigned i = 0; i < SIZE; i++)
        base[i] = (uint8_t)number(256);
    return 0;
}

static uint64_t digest(struct disk *disk)
{
    disk_prepare(disk);
    return disk->s.digest;
}

static void sizes(void **state)
{
    (void)state;
    struct disk disk;
    uint8_t bytes[1024];
    disk_init(&disk, &source);
    assert_int_equal(disk_sectors(&disk), 1954);
    assert_int_equal(disk_read(&disk, 1953 * 512, bytes, 512), 0);
    assert_memory_equal(bytes, base + 1953 * 512, SIZE - 1953 * 512);
    for (unsigned i = SIZE - 1953 * 512; i < 512; i++)
        assert_int_equal(bytes[i], 0);
    assert_int_equal(disk_read(&disk, 1953 * 512, bytes, 513), -1);
    assert_int_equal(disk_read(&disk, UINT64_MAX, bytes, 1), -1);
    assert_int_equal(disk_read(&disk, 1, bytes, UINT64_MAX), -1);
    assert_int_equal(disk_write(&disk, 1954 * 512, bytes, 1), -1);
    assert_int_equal(disk_write(&disk, 1954 * 512 - 512, bytes, 512), 0);
    assert_int_equal(disk_read(&disk, 0, NULL, 0), 0);
    disk_free(&disk);
}

static void against_array(void **state)
{
    (void)state;
    static uint8_t model[1954 * 512], bytes[20000];
    struct disk disk;
    disk_init(&disk, &source);
    memset(model, 0, sizeof model);
    memcpy(model, base, SIZE);
    for (unsigned round = 0; round < 3000; round++) {
        uint32_t offset = number(sizeof model), length = number(sizeof bytes);
        if (length > sizeof model - offset)
            length = (uint32_t)sizeof model - offset;
        if (number(4) == 0) {
            length = length > 3000 ? number(3000) : length;
            memset(bytes, (int)number(256), length);
            memcpy(model + offset, bytes, length);
            assert_int_equal(disk_write(&disk, offset, bytes, length), 0);
        } else {
            assert_int_equal(disk_read(&disk, offset, bytes, length), 0);
            assert_memory_equal(bytes, model + offset, length);
        }
        if (number(200) == 0)
            disk_block_drop(&disk, number(250));
        if (number(100) == 0)
            disk_prepare(&disk);
        /* Dropped blocks show the base again: follow in the model. */
        for (uint32_t block = 0; block * 4096 < sizeof model; block++)
            if (!disk_block_read(&disk, block)) {
                uint32_t at = block * 4096;
                uint32_t n = sizeof model - at < 4096 ? (uint32_t)sizeof model - at : 4096;
                memset(model + at, 0, n);
                memcpy(model + at, base + at, SIZE - at < n ? SIZE - at : n);
            }
    }
    disk_free(&disk);
}

static void digests(void **state)
{
    (void)state;
    struct disk a, b;
    uint8_t bytes[600];
    disk_init(&a, &source);
    disk_init(&b, &source);
    assert_int_equal(digest(&a), 0);
    memset(bytes, 7, sizeof bytes);
    /* The same content by other ways and orders gives the same digest. */
    for (unsigned i = 0; i < 200; i++)
        disk_write(&a, i * 4096, bytes, 600);
    for (unsigned i = 200; i-- > 0;) {
        disk_write(&b, i * 4096 + 100, bytes, 500);
        if (i % 7 == 0)
            disk_prepare(&b);
        disk_write(&b, i * 4096, bytes, 100);
    }
    assert_int_equal(digest(&a), digest(&b));
    assert_int_equal(a.s.overlay_blocks, 200);
    uint64_t before = digest(&a);
    bytes[0] = 8;
    disk_write(&a, 50 * 4096 + 4095, bytes, 1);
    assert_int_not_equal(digest(&a), before);
    disk_block_drop(&a, 3);
    disk_block_drop(&b, 3);
    disk_write(&b, 50 * 4096 + 4095, bytes, 1);
    assert_int_equal(digest(&a), digest(&b));
    /* Equal blocks at exchanged places are another disk. */
    disk_drop_all(&a);
    disk_drop_all(&b);
    assert_int_equal(digest(&a), 0);
    uint8_t one[4096], two[4096];
    memset(one, 1, sizeof one);
    memset(two, 2, sizeof two);
    disk_write(&a, 0, one, 4096);
    disk_write(&a, 4096, two, 4096);
    disk_write(&b, 0, two, 4096);
    disk_write(&b, 4096, one, 4096);
    assert_int_not_equal(digest(&a), digest(&b));
    disk_free(&a);
    disk_free(&b);
}

static void marks(void **state)
{
    (void)state;
    struct disk disk;
    uint64_t list[8];
    disk_init(&disk, &source);
    disk_write(&disk, 9 * 4096, "x", 1);
    disk_write(&disk, 2 * 4096, "x", 1);
    uint64_t mark = disk_mark(&disk);
    assert_int_equal(disk_dirty_count(&disk, mark), 0);
    disk_write(&disk, 9 * 4096 + 5, "y", 1);
    disk_write(&disk, 7 * 4096 - 1, "yy", 2);
    uint64_t later = disk_mark(&disk);
    disk_write(&disk, 0, "z", 1);
    assert_int_equal(disk_dirty_count(&disk, mark), 4);
    assert_int_equal(disk_dirty_blocks(&disk, mark, list, 8), 4);
    const uint64_t expected[4] = { 0, 6, 7, 9 };
    assert_memory_equal(list, expected, sizeof expected);
    assert_int_equal(disk_dirty_blocks(&disk, later, list, 8), 1);
    assert_int_equal(disk_dirty_count(&disk, 0), 5);
    assert_int_equal(disk_dirty_blocks(&disk, 0, list, 3), 3);
    assert_null(disk_block_read(&disk, 1));
    assert_int_equal(disk_block_read(&disk, 9)[5], 'y');
    disk_free(&disk);
}

/* A checkpoint is taken, the disk goes on, and comes back. */
static void save_and_restore(void **state)
{
    (void)state;
    struct disk disk;
    static uint8_t saved[300][4096], whole[1954 * 512], again[1954 * 512];
    uint64_t list[300];
    disk_init(&disk, &source);
    for (unsigned i = 0; i < 100; i++)
        disk_write(&disk, number(SIZE - 10), "abcdefghi", 9);
    uint64_t at_checkpoint = digest(&disk);
    disk_read(&disk, 0, whole, sizeof whole);
    uint64_t count = disk_dirty_blocks(&disk, 0, list, 300);
    for (uint64_t i = 0; i < count; i++)
        memcpy(saved[i], disk_block_read(&disk, list[i]), 4096);
    for (unsigned i = 0; i < 100; i++)
        disk_write(&disk, number(SIZE - 10), "123456789", 9);
    assert_int_not_equal(digest(&disk), at_checkpoint);
    disk_drop_all(&disk);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(disk_block_restore(&disk, list[i], saved[i]), 0);
    assert_int_equal(digest(&disk), at_checkpoint);
    disk_read(&disk, 0, again, sizeof again);
    assert_memory_equal(whole, again, sizeof whole);
    assert_int_equal(disk_block_restore(&disk, 245, saved[0]), -1);
    assert_int_equal(disk_block_restore(&disk, UINT64_MAX, saved[0]), -1);
    disk_free(&disk);
}

static void host_errors(void **state)
{
    (void)state;
    struct disk disk;
    uint8_t bytes[4096] = { 0 };
    disk_init(&disk, &source);
    base_fails = true;
    assert_int_equal(disk_read(&disk, 0, bytes, 1), -1);
    assert_int_equal(disk_write(&disk, 100, bytes, 10), -1);
    assert_null(disk_block_read(&disk, 0));
    assert_int_equal(digest(&disk), 0);
    assert_int_equal(disk_write(&disk, 4096, bytes, 4096), 0); /* needs no base */
    assert_int_equal(disk_read(&disk, 5000, bytes, 100), 0);
    disk_free(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(sizes, setup),
        cmocka_unit_test_setup(against_array, setup),
        cmocka_unit_test_setup(digests, setup),
        cmocka_unit_test_setup(marks, setup),
        cmocka_unit_test_setup(save_and_restore, setup),
        cmocka_unit_test_setup(host_errors, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
