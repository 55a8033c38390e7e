/*
 * I/O APIC; see ioapic.h. Intel 82093AA data sheet (290566-001): register set,
 * redirection table; the EOI register is that of version 20h parts (ICH).
 *
 * Edge pins: a rising edge while the entry is unmasked sends one message; an
 * edge at a masked entry is lost. Level pins: a message while asserted,
 * unmasked and remote IRR clear; the EOI clears remote IRR and the level is
 * looked at again.
 *
 * Not modelled: arbitration ids, delivery status (messages take no time),
 * polarity (see ioapic.h), the id as a bus address.
 */
#include "machine/dev/ioapic.h"

#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define IOREGSEL 0x00
#define IOWIN 0x10
#define IOEOI 0x40

#define INDEX_ID 0
#define INDEX_VERSION 1
#define INDEX_ARBITRATION 2
#define INDEX_TABLE 0x10

#define ENTRY_LOGICAL (1ull << 11)
#define ENTRY_STATUS (1ull << 12)
#define ENTRY_REMOTE_IRR (1ull << 14)
#define ENTRY_LEVEL (1ull << 15)
#define ENTRY_MASK (1ull << 16)
#define ENTRY_READ_ONLY (ENTRY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_LOW_BITS 0x1ffffull
#define ENTRY_HIGH_BITS (0xffull << 56)

static enum lapic_delivery entry_mode(uint64_t entry)
{
    return (enum lapic_delivery)(entry >> 8 & 7);
}

/* Fixed and lowest priority can be level-triggered; the other modes are
 * edges, whatever the trigger bit says. */
static bool level_triggered(uint64_t entry)
{
    return (entry & ENTRY_LEVEL) && entry_mode(entry) <= LAPIC_LOWEST_PRIORITY;
}

static bool send(struct ioapic *ioapic, uint64_t entry)
{
    return lapic_deliver(ioapic->lapics, (uint8_t)(entry >> 56), entry & ENTRY_LOGICAL,
                         entry_mode(entry), (uint8_t)entry, level_triggered(entry));
}

/* A level pin: asks for service when it can. A message that no local APIC
 * accepts (destination absent or software-disabled) is sent again at the next
 * change of line or entry. */
static void service_level(struct ioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->s.entries[pin];
    bool asserted = ioapic->s.lines >> pin & 1;
    if (asserted && level_triggered(*entry) && !(*entry & (ENTRY_MASK | ENTRY_REMOTE_IRR))
        && send(ioapic, *entry))
        *entry |= ENTRY_REMOTE_IRR;
}

void ioapic_set_line(void *device, unsigned input, bool level)
{
    struct ioapic *ioapic = device;
    ASSERT(input < IOAPIC_PINS);
    uint32_t bit = 1u << input;
    bool rises = level && !(ioapic->s.lines & bit);
    ioapic->s.lines = (ioapic->s.lines & ~bit) | (level ? bit : 0);
    uint64_t entry = ioapic->s.entries[input];
    if (!rises)
        return;
    if (level_triggered(entry))
        service_level(ioapic, input);
    else if (!(entry & ENTRY_MASK))
        send(ioapic, entry);
}

void ioapic_broadcast_eoi(void *device, uint8_t vector)
{
    struct ioapic *ioapic = device;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        uint64_t *entry = &ioapic->s.entries[pin];
        if (!(*entry & ENTRY_REMOTE_IRR) || (uint8_t)*entry != vector)
            continue;
        *entry &= ~ENTRY_REMOTE_IRR;
        service_level(ioapic, pin);
    }
}

/* Registers. */

static uint32_t index_read(const struct ioapic *ioapic, unsigned index)
{
    switch (index) {
    case INDEX_ID:
    case INDEX_ARBITRATION:
        return ioapic->s.id;
    case INDEX_VERSION:
        return (IOAPIC_PINS - 1) << 16 | IOAPIC_VERSION;
    }
    unsigned pin = (index - INDEX_TABLE) / 2;
    if (index < INDEX_TABLE || pin >= IOAPIC_PINS)
        return UINT32_MAX;
    return (uint32_t)(ioapic->s.entries[pin] >> (index & 1 ? 32 : 0));
}

static void entry_write(struct ioapic *ioapic, unsigned pin, bool high, uint32_t value)
{
    uint64_t *entry = &ioapic->s.entries[pin];
    if (high) {
        *entry = (*entry & ~ENTRY_HIGH_BITS) | ((uint64_t)value << 32 & ENTRY_HIGH_BITS);
    } else {
        uint64_t writable = ENTRY_LOW_BITS & ~ENTRY_READ_ONLY;
        *entry = (*entry & ~writable) | (value & writable);
    }
    /* Remote IRR means nothing for an edge; software relies on a switch to
     * edge and back to clear it. */
    if (!level_triggered(*entry))
        *entry &= ~ENTRY_REMOTE_IRR;
    service_level(ioapic, pin);
}

static void index_write(struct ioapic *ioapic, unsigned index, uint32_t value)
{
    unsigned pin = (index - INDEX_TABLE) / 2;
    if (index == INDEX_ID)
        ioapic->s.id = value & 0x0f000000;
    else if (index >= INDEX_TABLE && pin < IOAPIC_PINS)
        entry_write(ioapic, pin, index & 1, value);
}

uint64_t ioapic_read(void *device, uint64_t offset, unsigned bytes)
{
    struct ioapic *ioapic = device;
    unsigned shift = (unsigned)(offset & 3) * 8;
    uint32_t value;
    switch (offset & 0xfc) {
    case IOREGSEL: value = ioapic->s.select; break;
    case IOWIN: value = index_read(ioapic, ioapic->s.select); break;
    default: value = 0; break;
    }
    return value >> shift & bits_ones(bytes);
}

/* IOREGSEL and the EOI register have eight bits; IOWIN takes 32-bit writes at
 * its start only. */
void ioapic_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct ioapic *ioapic = device;
    switch (offset & 0xff) {
    case IOREGSEL:
        ioapic->s.select = (uint8_t)value;
        break;
    case IOWIN:
        if (bytes >= 4)
            index_write(ioapic, ioapic->s.select, (uint32_t)value);
        break;
    case IOEOI:
        ioapic_broadcast_eoi(ioapic, (uint8_t)value);
        break;
    }
}

/* Life. */

static void power_on(struct ioapic *ioapic)
{
    uint32_t lines = ioapic->s.lines; /* what is asserted stays so */
    memset(&ioapic->s, 0, sizeof ioapic->s);
    ioapic->s.lines = lines;
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        ioapic->s.entries[pin] = ENTRY_MASK;
}

void ioapic_init(struct ioapic *ioapic, struct lapics *lapics)
{
    memset(ioapic, 0, sizeof *ioapic);
    ioapic->lapics = lapics;
    power_on(ioapic);
}

void ioapic_reset(struct ioapic *ioapic)
{
    power_on(ioapic);
}

void ioapic_restored(void *device)
{
    (void)device;
}
