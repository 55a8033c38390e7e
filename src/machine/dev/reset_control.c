/*
 * The reset control register, CF9h.
 *
 * Source: 82371SB (PIIX3) data sheet, "RC - Reset control register".
 *
 * Not modelled: bit 0 and CPU BIST (bit 3), which read 0.
 */
#include "machine/dev/reset_control.h"

#include <string.h>

#define HARD 0x02
#define RESET_CPU 0x04

void reset_control_init(struct reset_control *control, void (*reset)(void *context, bool hard),
                        void *context)
{
    memset(control, 0, sizeof *control);
    control->reset = reset;
    control->context = context;
}

void reset_control_reset(struct reset_control *control)
{
    memset(&control->s, 0, sizeof control->s);
}

uint64_t reset_control_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct reset_control *control = device;
    (void)offset;
    (void)bytes;
    return control->s.value;
}

void reset_control_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct reset_control *control = device;
    bool resets = (value & RESET_CPU) && !(control->s.value & RESET_CPU);
    (void)offset;
    (void)bytes;
    control->s.value = value & (HARD | RESET_CPU);
    if (resets && control->reset)
        control->reset(control->context, value & HARD);
}
