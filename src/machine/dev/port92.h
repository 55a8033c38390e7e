/*
 * System control port A, 92h: fast A20 (bit 1) and fast reset (bit 0, on its
 * rising edge). One byte at offset 0.
 */
#ifndef MACHINE_DEV_PORT92_H
#define MACHINE_DEV_PORT92_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/line.h"

struct port92_state {
    uint8_t value; /* bits 7..0 as last written */
    uint8_t pad[7];
};
_Static_assert(sizeof(struct port92_state) == 8, "no hidden padding");

struct port92 {
    struct port92_state s;
    struct line a20;
    struct line reset;
};

/* `a20` is driven on every write, also without a change: a board that lets the
 * last writer of port 92h and the keyboard controller win needs no more.
 * `reset` is pulsed. */
void port92_init(struct port92 *port92, struct line a20, struct line reset);

/* Bit 1 is 1 after reset (A20 passes, as this board starts); drives a20. */
void port92_reset(struct port92 *port92);

uint64_t port92_read(void *device, uint64_t offset, unsigned bytes);
void port92_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

/* Level of A20 that port 92h asks for; nothing is driven after a restore. */
bool port92_a20(const struct port92 *port92);

/* The A20 gate was changed from elsewhere: bit 1 shows it. Drives nothing. */
void port92_show_a20(struct port92 *port92, bool level);

#endif
