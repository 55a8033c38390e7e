/*
 * System control port B, 61h (PIIX3 "NMI status and control"): gate and data
 * of the speaker, the DRAM refresh toggle, OUT of PIT counter 2, enables of
 * the NMI sources. One byte at offset 0.
 */
#ifndef MACHINE_DEV_PORT61_H
#define MACHINE_DEV_PORT61_H

#include <stdint.h>

#include "machine/clock.h"
#include "machine/dev/pit.h"

struct port61_state {
    uint8_t control; /* bits 3..0 as written */
    uint8_t pad[7];
};
_Static_assert(sizeof(struct port61_state) == 8, "no hidden padding");

struct port61 {
    struct port61_state s;
    const struct clock *clock;
    struct pit *pit;
};

/* `pit` (initialised before) gets its gate 2 from bit 0. */
void port61_init(struct port61 *port61, const struct clock *clock, struct pit *pit);
void port61_reset(struct port61 *port61);

uint64_t port61_read(void *device, uint64_t offset, unsigned bytes);
void port61_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
