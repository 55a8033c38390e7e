/*
 * The debug console of Bochs and QEMU (ports E9h, 402h): a write is a byte of
 * text, a read gives E9h, which tells firmware that it is there. One byte.
 */
#ifndef MACHINE_DEV_DEBUGCON_H
#define MACHINE_DEV_DEBUGCON_H

#include <stdint.h>

struct debugcon_state {
    uint64_t bytes_written;
};
_Static_assert(sizeof(struct debugcon_state) == 8, "no hidden padding");

typedef void debugcon_output_function(void *context, unsigned unit, const uint8_t *bytes,
                                      uint64_t length);

struct debugcon {
    struct debugcon_state s;
    debugcon_output_function *output;
    void *output_context;
    unsigned unit; /* passed to output */
};

/* `output` may be NULL. */
void debugcon_init(struct debugcon *debugcon, unsigned unit, debugcon_output_function *output,
                   void *output_context);
void debugcon_reset(struct debugcon *debugcon);

uint64_t debugcon_read(void *device, uint64_t offset, unsigned bytes);
void debugcon_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
