/*
 * The device that test kernels drive interrupts and plain registers with
 * (QEMU's pc-testdev): a 32-bit latch, the same again bytewise, a port that
 * flushes a page, 24 interrupt lines, and a window of storage.
 */
#ifndef MACHINE_DEV_TESTDEV_H
#define MACHINE_DEV_TESTDEV_H

#include <stdint.h>

#include "machine/line.h"

#define TESTDEV_LATCH_PORTS 4
#define TESTDEV_FLUSH_PORTS 4
#define TESTDEV_LINES 24
#define TESTDEV_MEMORY 0x10000u

struct testdev_state {
    uint32_t latch;
    uint32_t lines; /* bit n: line n was last written high */
    uint8_t memory[TESTDEV_MEMORY];
};
_Static_assert(sizeof(struct testdev_state) == TESTDEV_MEMORY + 8, "no padding");

struct testdev {
    struct testdev_state s;
    struct line irqs[TESTDEV_LINES];
};

void testdev_init(struct testdev *testdev, const struct line irqs[TESTDEV_LINES]);
/* All zero, lines low. */
void testdev_reset(struct testdev *testdev);

/* Bus functions: the latch (at both of its places), the page flush, the lines,
 * the window. */
uint64_t testdev_latch_read(void *device, uint64_t offset, unsigned bytes);
void testdev_latch_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);
void testdev_flush_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);
void testdev_lines_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);
uint64_t testdev_memory_read(void *device, uint64_t offset, unsigned bytes);
void testdev_memory_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
