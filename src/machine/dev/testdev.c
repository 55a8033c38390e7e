/*
 * The device of test kernels; see testdev.h. There is no data sheet: its ports
 * are what such kernels use.
 *
 * Not modelled: a flush does nothing, for no cache of ours can be told from
 * memory; reads of the flush port and of the interrupt lines (all ones).
 */
#include "machine/dev/testdev.h"

#include <string.h>

#include "util/bits.h"

void testdev_init(struct testdev *testdev, const struct line irqs[TESTDEV_LINES])
{
    memcpy(testdev->irqs, irqs, sizeof testdev->irqs);
}

void testdev_reset(struct testdev *testdev)
{
    memset(&testdev->s, 0, sizeof testdev->s);
    for (unsigned i = 0; i < TESTDEV_LINES; i++)
        line_set(&testdev->irqs[i], false);
}

uint64_t testdev_latch_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct testdev *testdev = device;
    return testdev->s.latch >> (8 * (offset & 3)) & bits_ones(bytes);
}

void testdev_latch_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct testdev *testdev = device;
    unsigned shift = 8 * (offset & 3);
    uint32_t mask = (uint32_t)(bits_ones(bytes) << shift);
    testdev->s.latch = (testdev->s.latch & ~mask) | ((uint32_t)(value << shift) & mask);
}

void testdev_flush_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    (void)device;
    (void)offset;
    (void)value;
    (void)bytes;
}

void testdev_lines_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct testdev *testdev = device;
    uint32_t bit = 1u << (offset % TESTDEV_LINES);
    (void)bytes;
    testdev->s.lines = value ? testdev->s.lines | bit : testdev->s.lines & ~bit;
    line_set(&testdev->irqs[offset % TESTDEV_LINES], value != 0);
}

uint64_t testdev_memory_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct testdev *testdev = device;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)testdev->s.memory[(offset + i) % TESTDEV_MEMORY] << (8 * i);
    return value;
}

void testdev_memory_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct testdev *testdev = device;
    for (unsigned i = 0; i < bytes; i++)
        testdev->s.memory[(offset + i) % TESTDEV_MEMORY] = (uint8_t)(value >> (8 * i));
}
