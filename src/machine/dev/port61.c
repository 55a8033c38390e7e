/*
 * System control port B, 61h.
 *
 * Source: 82371FB/SB (PIIX3) data sheet, "NMISC - NMI status and control".
 *
 * Not modelled: sound; the NMI sources (SERR#, IOCHK#), whose status bits 7
 * and 6 stay 0. The refresh toggle follows the 1.193182 MHz clock divided by
 * 18, as the BIOS programs counter 1, whatever counter 1 is programmed to.
 */
#include "machine/dev/port61.h"

#include <string.h>

#define GATE2 0x01
#define WRITABLE 0x0f
#define REFRESH 0x10
#define OUT2 0x20
#define REFRESH_TICKS 18 /* 15.085 us */

void port61_init(struct port61 *port61, const struct clock *clock, struct pit *pit)
{
    memset(port61, 0, sizeof *port61);
    port61->clock = clock;
    port61->pit = pit;
    port61_reset(port61);
}

void port61_reset(struct port61 *port61)
{
    memset(&port61->s, 0, sizeof port61->s);
    pit_set_gate(port61->pit, 2, false);
}

uint64_t port61_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct port61 *port61 = device;
    (void)offset;
    (void)bytes;
    uint64_t value = port61->s.control;
    uint64_t tick = clock_ns_to_ticks(clock_now(port61->clock), PIT_HZ);
    if (tick / REFRESH_TICKS & 1)
        value |= REFRESH;
    if (pit_output(port61->pit, 2))
        value |= OUT2;
    return value;
}

void port61_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct port61 *port61 = device;
    (void)offset;
    (void)bytes;
    port61->s.control = value & WRITABLE;
    pit_set_gate(port61->pit, 2, value & GATE2);
}
