/*
 * The exit device of test guests (QEMU's isa-debug-exit): a write of `value`
 * ends the run with status (value << 1) | 1. Reads give 0. A range of 1..4
 * bytes; the offset does not matter. It has no state.
 */
#ifndef MACHINE_DEV_DEBUGEXIT_H
#define MACHINE_DEV_DEBUGEXIT_H

#include <stdint.h>

struct debugexit {
    void (*exit)(void *context, uint32_t status);
    void *context;
};

/* `exit` is called from within the guest's port write, with all 32 bits of the
 * status; it may be NULL. */
void debugexit_init(struct debugexit *debugexit, void (*exit)(void *context, uint32_t status),
                    void *context);

uint64_t debugexit_read(void *device, uint64_t offset, unsigned bytes);
void debugexit_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
