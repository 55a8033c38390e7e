/*
 * I/O APIC, 82093AA (24 pins) with the EOI register of version 20h.
 * Intel 82093AA data sheet 290566-001; version 20h: ICH data sheets.
 *
 * Line levels mean "asserted", not a voltage: the polarity bit of an entry is
 * kept for the guest and makes no difference.
 */
#ifndef MACHINE_DEV_IOAPIC_H
#define MACHINE_DEV_IOAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/dev/lapic.h"

#define IOAPIC_PINS 24
#define IOAPIC_DEFAULT_BASE 0xfec00000u
#define IOAPIC_BYTES 4096 /* decoded range */
#define IOAPIC_VERSION 0x20

struct ioapic_state {
    uint64_t entries[IOAPIC_PINS]; /* redirection table */
    uint32_t select;               /* IOREGSEL */
    uint32_t id;                   /* bits 27:24 */
    uint32_t lines;                /* bit n: pin n is asserted */
    uint32_t pad;
};
_Static_assert(sizeof(struct ioapic_state) == 208, "ioapic_state has no implicit padding");

struct ioapic {
    struct ioapic_state s;
    struct lapics *lapics;
};

void ioapic_init(struct ioapic *ioapic, struct lapics *lapics);
void ioapic_reset(struct ioapic *ioapic);

/* MMIO, offsets from the base: IOREGSEL 00h, IOWIN 10h, EOI 40h. */
uint64_t ioapic_read(void *ioapic, uint64_t offset, unsigned bytes);
void ioapic_write(void *ioapic, uint64_t offset, uint64_t value, unsigned bytes);

/* Line receiver; `input` is the pin, 0..23. */
void ioapic_set_line(void *ioapic, unsigned input, bool level);

/* EOI message from a local APIC (struct lapic_wiring.broadcast_eoi). */
void ioapic_broadcast_eoi(void *ioapic, uint8_t vector);

/* Nothing is derived; present for the component table. */
void ioapic_restored(void *ioapic);

#endif
