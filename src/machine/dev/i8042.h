/*
 * The keyboard controller of the PS/2 (Intel 8042 with its firmware), with a
 * keyboard and a mouse plugged in. Two ports: data (60h) and status/command
 * (64h), each a range of one byte.
 *
 * The controller's own answers are there at once; a byte from a device takes
 * I8042_BYTE_NS of virtual time, so that a data port read twice in one
 * interrupt gives the same byte.
 */
#ifndef MACHINE_DEV_I8042_H
#define MACHINE_DEV_I8042_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/dev/ps2_keyboard.h"
#include "machine/dev/ps2_mouse.h"
#include "machine/events.h"
#include "machine/line.h"

#define I8042_BYTE_NS 100000u

struct i8042_state {
    struct ps2_keyboard_state keyboard;
    struct ps2_mouse_state mouse;
    uint64_t transfer_ns;  /* when the device's byte arrives; EVENTS_NEVER: none is on its way */
    uint8_t ram[32];       /* byte 0 is the command byte */
    uint8_t status;        /* OBF, SYS, A2, aux OBF */
    uint8_t output;        /* output buffer, keeps its value when read */
    uint8_t output_port;
    uint8_t command;       /* waits for its data byte, 0: none */
    uint8_t reply;         /* controller's answer that waits for the buffer */
    uint8_t reply_pending; /* 1: yes; 2: yes, as if from the mouse */
    uint8_t translating;   /* F0h was swallowed: the next code is a break */
    uint8_t pad[1];
};
_Static_assert(sizeof(struct i8042_state) == 128, "no hidden padding");

struct i8042 {
    struct i8042_state s;
    const struct clock *clock;
    struct events *events;
    struct line irq_keyboard; /* IRQ 1 */
    struct line irq_mouse;    /* IRQ 12 */
    struct line a20;
    struct line reset;
    unsigned timer;
};

/* `a20` is driven on each write to the output port, `reset` is pulsed.
 * Registers one timer in `events`. */
void i8042_init(struct i8042 *i8042, const struct clock *clock, struct events *events,
                struct line irq_keyboard, struct line irq_mouse, struct line a20,
                struct line reset);

/* Power-on state of controller and devices; A20 passes. Drives a20. */
void i8042_reset(struct i8042 *i8042);

uint64_t i8042_read_data(void *device, uint64_t offset, unsigned bytes);    /* 60h */
void i8042_write_data(void *device, uint64_t offset, uint64_t value, unsigned bytes);
uint64_t i8042_read_status(void *device, uint64_t offset, unsigned bytes);  /* 64h */
void i8042_write_command(void *device, uint64_t offset, uint64_t value, unsigned bytes);

/* A key event of the user: one byte of scan code set 1 (INPUT_KEY). The
 * caller asks i8042_can_key first; without room the byte is dropped. */
void i8042_key(struct i8042 *i8042, uint8_t code);
bool i8042_can_key(const struct i8042 *i8042);

/* The A20 bit of the output port; i8042_show_a20 sets it when the gate was
 * changed from elsewhere, and drives nothing. */
bool i8042_a20(const struct i8042 *i8042);
void i8042_show_a20(struct i8042 *i8042, bool level);

void i8042_event(void *device, uint64_t now);
void i8042_restored(void *device);

#endif
