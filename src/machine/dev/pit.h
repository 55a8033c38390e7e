/*
 * The Intel 8254 programmable interval timer of the PC: three counters at
 * 1193182 Hz, ports 40h..43h (offsets 0..3).
 *
 * Nothing ticks. A counter is a rule that gives count and output for any tick
 * of the clock; only counter 0, whose output is an interrupt request, has a
 * deadline, at its next output change. The other outputs are asked for.
 */
#ifndef MACHINE_DEV_PIT_H
#define MACHINE_DEV_PIT_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/events.h"
#include "machine/line.h"

#define PIT_HZ 1193182u
#define PIT_COUNTERS 3

enum pit_phase {
    PIT_IDLE,    /* no count, or waiting for a trigger that never came */
    PIT_RUNNING,
    PIT_PAUSED,  /* the gate is low (modes 0, 2, 3, 4) */
};

struct pit_counter_state {
    uint64_t start_tick;   /* RUNNING: when the count in force began;
                              PAUSED: ticks that had gone by then */
    uint64_t written_tick; /* modes 2, 3: when the waiting count was written */
    uint32_t count;        /* in force; 0 written stands for 65536 (BCD: 10000) */
    uint32_t next_count;   /* count register (CR), 0: none since the control word */
    uint32_t held;         /* counting element (CE) while it stands still */
    uint16_t latched_count;
    uint8_t latched_status;
    uint8_t mode;          /* 0..7 as written; 6 and 7 are 2 and 3 */
    uint8_t access;        /* 1: low byte, 2: high byte, 3: low then high */
    uint8_t bcd;
    uint8_t gate;
    uint8_t phase;         /* enum pit_phase */
    uint8_t start_level;   /* OUT before start_tick; mode 3: from it on */
    uint8_t count_waits;   /* null count: CR is not in CE yet */
    uint8_t low_byte;      /* first of two bytes written */
    uint8_t write_high;    /* the next write is the high byte */
    uint8_t read_high;     /* the next read is the high byte */
    uint8_t bytes_latched; /* of latched_count, yet to be read */
    uint8_t status_latched;
    uint8_t pad[5];
};

struct pit_state {
    struct pit_counter_state counters[PIT_COUNTERS];
    uint64_t driven_tick; /* counter 0's output was last looked at here */
    uint8_t irq_level;    /* and this level was driven */
    uint8_t pad[7];
};
_Static_assert(sizeof(struct pit_counter_state) == 48, "no hidden padding");
_Static_assert(sizeof(struct pit_state) == 160, "no hidden padding");

struct pit {
    struct pit_state s;
    const struct clock *clock;
    struct events *events;
    struct line output0; /* OUT0: IRQ 0 */
    unsigned timer;
};

/* Registers one timer in `events`. Leaves the chip as after pit_reset. */
void pit_init(struct pit *pit, const struct clock *clock, struct events *events,
              struct line output0);

/* Power-on state. The 8254 has no reset and an undefined state at power-on;
 * here all counters wait in mode 0 for a count, OUT low. Gates 0 and 1 are
 * high, gate 2 is low. */
void pit_reset(struct pit *pit);

/* Ports, one byte wide: counters at offsets 0..2, control word at 3. */
uint64_t pit_read(void *device, uint64_t offset, unsigned bytes);
void pit_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

/* GATE input of `counter` (0..2). */
void pit_set_gate(struct pit *pit, unsigned counter, bool level);
bool pit_gate(const struct pit *pit, unsigned counter);

/* OUT of `counter` (0..2) at this moment of virtual time. No side effect. */
bool pit_output(const struct pit *pit, unsigned counter);

/* The events_function of the chip: OUT0 changes. */
void pit_event(void *device, uint64_t now);

/* After `s` was written from outside: schedules the deadline anew. */
void pit_restored(void *device);

#endif
