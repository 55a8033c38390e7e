/*
 * The reset control register of the PIIX3 (RCR, port CF9h): one byte at
 * offset 0. Bit 1 chooses a hard reset, a rising bit 2 carries it out.
 */
#ifndef MACHINE_DEV_RESET_CONTROL_H
#define MACHINE_DEV_RESET_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

struct reset_control_state {
    uint8_t value; /* bits 2..1 */
    uint8_t pad[7];
};
_Static_assert(sizeof(struct reset_control_state) == 8, "no hidden padding");

struct reset_control {
    struct reset_control_state s;
    void (*reset)(void *context, bool hard);
    void *context;
};

/* `reset` is called from within the guest's port write; `hard`: the whole
 * machine, else the CPU alone (INIT). It may be NULL. */
void reset_control_init(struct reset_control *control, void (*reset)(void *context, bool hard),
                        void *context);
void reset_control_reset(struct reset_control *control);

uint64_t reset_control_read(void *device, uint64_t offset, unsigned bytes);
void reset_control_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
