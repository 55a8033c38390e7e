/* The exit device of test guests; see debugexit.h. */
#include "machine/dev/debugexit.h"

void debugexit_init(struct debugexit *debugexit, void (*exit)(void *context, uint32_t status),
                    void *context)
{
    debugexit->exit = exit;
    debugexit->context = context;
}

uint64_t debugexit_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)device;
    (void)offset;
    (void)bytes;
    return 0;
}

void debugexit_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct debugexit *debugexit = device;
    (void)offset;
    (void)bytes;
    if (debugexit->exit)
        debugexit->exit(debugexit->context, (uint32_t)value << 1 | 1);
}
