/*
 * System control port A, 92h.
 *
 * Source: 82371SB (PIIX3) data sheet, "Port 92 register".
 *
 * Not modelled: the bits beside A20 and reset (drive lights, CMOS lock of the
 * PS/2); they read back as written.
 */
#include "machine/dev/port92.h"

#include <string.h>

#define FAST_RESET 0x01
#define FAST_A20 0x02

void port92_init(struct port92 *port92, struct line a20, struct line reset)
{
    memset(port92, 0, sizeof *port92);
    port92->a20 = a20;
    port92->reset = reset;
    port92_reset(port92);
}

void port92_reset(struct port92 *port92)
{
    memset(&port92->s, 0, sizeof port92->s);
    port92->s.value = FAST_A20;
    line_set(&port92->a20, true);
}

uint64_t port92_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct port92 *port92 = device;
    (void)offset;
    (void)bytes;
    return port92->s.value;
}

void port92_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct port92 *port92 = device;
    bool resets = (value & FAST_RESET) && !(port92->s.value & FAST_RESET);
    (void)offset;
    (void)bytes;
    port92->s.value = (uint8_t)value;
    line_set(&port92->a20, port92_a20(port92));
    if (resets)
        line_pulse(&port92->reset);
}

bool port92_a20(const struct port92 *port92)
{
    return port92->s.value & FAST_A20;
}

void port92_show_a20(struct port92 *port92, bool level)
{
    port92->s.value = (uint8_t)((port92->s.value & ~FAST_A20) | (level ? FAST_A20 : 0));
}
