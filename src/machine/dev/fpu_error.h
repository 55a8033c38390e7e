/*
 * The coprocessor error latch of the AT (PIIX3 port F0h): FERR# of the CPU
 * becomes IRQ 13; a write to F0h takes the request back and asserts IGNNE# for
 * as long as FERR# stays. Two ports, F0h (offset 0) and F1h (offset 1).
 */
#ifndef MACHINE_DEV_FPU_ERROR_H
#define MACHINE_DEV_FPU_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/line.h"

struct fpu_error_state {
    uint8_t ferr;    /* level of FERR (true: error) */
    uint8_t request; /* IRQ 13 */
    uint8_t ignne;   /* IGNNE asserted */
    uint8_t pad[5];
};
_Static_assert(sizeof(struct fpu_error_state) == 8, "no hidden padding");

struct fpu_error {
    struct fpu_error_state s;
    struct line irq;   /* IRQ 13 */
    struct line ignne; /* true: the CPU ignores numeric errors */
};

void fpu_error_init(struct fpu_error *error, struct line irq, struct line ignne);
void fpu_error_reset(struct fpu_error *error);

/* The CPU's FERR output, true: an error waits. Shape of struct line's `set`;
 * `input` does not matter. */
void fpu_error_set_ferr(void *device, unsigned input, bool level);

uint64_t fpu_error_read(void *device, uint64_t offset, unsigned bytes);
void fpu_error_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
