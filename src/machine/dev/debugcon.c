/* The debug console of Bochs (port E9h) and QEMU; see debugcon.h. */
#include "machine/dev/debugcon.h"

#include <string.h>

#define READ_VALUE 0xe9

void debugcon_init(struct debugcon *debugcon, unsigned unit, debugcon_output_function *output,
                   void *output_context)
{
    memset(debugcon, 0, sizeof *debugcon);
    debugcon->unit = unit;
    debugcon->output = output;
    debugcon->output_context = output_context;
}

void debugcon_reset(struct debugcon *debugcon)
{
    debugcon->s.bytes_written = 0;
}

uint64_t debugcon_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)device;
    (void)offset;
    (void)bytes;
    return READ_VALUE;
}

void debugcon_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct debugcon *debugcon = device;
    uint8_t byte = (uint8_t)value;
    (void)offset;
    (void)bytes;
    debugcon->s.bytes_written++;
    if (debugcon->output)
        debugcon->output(debugcon->output_context, debugcon->unit, &byte, 1);
}
