/*
 * The coprocessor error latch, F0h.
 *
 * Sources: 82371SB (PIIX3) data sheet, "Coprocessor error register"; Intel SDM
 * volume 1, appendix D ("Guidelines for writing SIMD/x87 exception handlers",
 * MS-DOS compatibility mode).
 *
 * Not modelled: F1h (reset of a 287), which is dropped.
 */
#include "machine/dev/fpu_error.h"

#include <string.h>

void fpu_error_init(struct fpu_error *error, struct line irq, struct line ignne)
{
    memset(error, 0, sizeof *error);
    error->irq = irq;
    error->ignne = ignne;
}

static void set_request(struct fpu_error *error, bool level)
{
    error->s.request = level;
    line_set(&error->irq, level);
}

static void set_ignne(struct fpu_error *error, bool level)
{
    error->s.ignne = level;
    line_set(&error->ignne, level);
}

void fpu_error_reset(struct fpu_error *error)
{
    memset(&error->s, 0, sizeof error->s);
    set_request(error, false);
    set_ignne(error, false);
}

void fpu_error_set_ferr(void *device, unsigned input, bool level)
{
    struct fpu_error *error = device;
    (void)input;
    if (level == error->s.ferr)
        return;
    error->s.ferr = level;
    if (level)
        set_request(error, true);
    else
        set_ignne(error, false);
}

uint64_t fpu_error_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)device;
    (void)offset;
    (void)bytes;
    return 0xff;
}

void fpu_error_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct fpu_error *error = device;
    (void)value;
    (void)bytes;
    if (offset != 0)
        return;
    set_request(error, false);
    if (error->s.ferr)
        set_ignne(error, true);
}
