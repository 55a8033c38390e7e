/*
 * The interrupt controllers: two Intel 8259A in cascade, as the PIIX3 holds
 * them, with its edge/level control registers (ELCR).
 *
 * The master takes IRQ 0..7, the slave 8..15; the slave's INT output is the
 * master's IR2 (IRQ 2 cannot be driven from outside). Three port ranges of two
 * bytes: master 20h, slave A0h, ELCR 4D0h.
 *
 * An edge-triggered input must stay high until its interrupt is acknowledged
 * (8259A data sheet, "Edge and level triggered modes"): a request that goes
 * away takes its IRR bit with it, so a line_pulse into the PIC is lost.
 */
#ifndef MACHINE_DEV_PIC_H
#define MACHINE_DEV_PIC_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/line.h"

#define PIC_IRQS 16

struct pic_chip_state {
    uint8_t lines;           /* present levels of IR0..7 */
    uint8_t irr;             /* latched requests */
    uint8_t isr;
    uint8_t imr;
    uint8_t elcr;            /* 1: the input is level-triggered */
    uint8_t vector_base;     /* ICW2, bits 7..3 */
    uint8_t icw3;
    uint8_t icw4;
    uint8_t init_step;       /* the ICW (2..4) expected next, 0: initialised */
    uint8_t icw1;
    uint8_t lowest;          /* the IR of lowest priority */
    uint8_t read_isr;        /* OCW3 RIS: reads at A0=0 give ISR, not IRR */
    uint8_t poll;            /* the next read is a poll */
    uint8_t special_mask;
    uint8_t rotate_on_aeoi;
    uint8_t output;          /* INT */
};

struct pic_state {
    struct pic_chip_state chips[2]; /* master, slave */
};
_Static_assert(sizeof(struct pic_state) == 32, "no hidden padding");

struct pic {
    struct pic_state s;
    struct line intr; /* the master's INT, to the CPU and to LINT0 */
};

/* `intr` follows the master's INT output. Leaves the chips as after pic_reset. */
void pic_init(struct pic *pic, struct line intr);

/* Power-on state; the inputs keep their levels. */
void pic_reset(struct pic *pic);

/* Ports, one byte wide, offsets 0..1 (A0). `device` is the struct pic. */
uint64_t pic_read_master(void *device, uint64_t offset, unsigned bytes);
void pic_write_master(void *device, uint64_t offset, uint64_t value, unsigned bytes);
uint64_t pic_read_slave(void *device, uint64_t offset, unsigned bytes);
void pic_write_slave(void *device, uint64_t offset, uint64_t value, unsigned bytes);
/* ELCR1 (offset 0, IRQ 0..7) and ELCR2 (offset 1, IRQ 8..15). */
uint64_t pic_read_elcr(void *device, uint64_t offset, unsigned bytes);
void pic_write_elcr(void *device, uint64_t offset, uint64_t value, unsigned bytes);

/* Level of input `irq` (0..15, others and 2 are ignored). Has the shape of
 * struct line's `set`; `pic` is the struct pic. Repeats are harmless. */
void pic_set_irq(void *pic, unsigned irq, bool level);

/* The INTA cycle: marks the request in service and returns its vector, 0..255.
 * When the request has gone away it is the spurious IR7 of the chip asked. */
int pic_acknowledge(struct pic *pic);

/* Whether INTR is high. */
bool pic_intr(const struct pic *pic);

/* After `s` was written from outside: drives `intr` at its level again. */
void pic_restored(void *device);

#endif
