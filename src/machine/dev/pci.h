/*
 * PCI bus 0: configuration mechanism #1, the configuration space of each
 * function, base address registers that move bus ranges, and the four
 * interrupt lines. PCI Local Bus Specification 3.0, chapters 3.2.2.3 and 6.
 *
 * A function's configuration space is its snapshot state; which of its bits a
 * guest can write is given by masks that are set up once. There are no
 * bridges: bus numbers other than 0 read as ones.
 */
#ifndef MACHINE_DEV_PCI_H
#define MACHINE_DEV_PCI_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/component.h"
#include "machine/line.h"

#define PCI_CONFIG_BYTES 256
#define PCI_BARS 6
#define PCI_FUNCTIONS 256 /* device * 8 + function */
#define PCI_PIRQS 4

#define PCI_DEVFN(device, function) ((uint8_t)((device) << 3 | (function)))

/* Offsets in the type 0 header. */
enum pci_register {
    PCI_VENDOR_ID = 0x00,
    PCI_DEVICE_ID = 0x02,
    PCI_COMMAND = 0x04,
    PCI_STATUS = 0x06,
    PCI_REVISION_ID = 0x08,
    PCI_CLASS_CODE = 0x09, /* interface, subclass, base class */
    PCI_CACHE_LINE_SIZE = 0x0c,
    PCI_LATENCY_TIMER = 0x0d,
    PCI_HEADER_TYPE = 0x0e,
    PCI_BAR0 = 0x10,
    PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
    PCI_SUBSYSTEM_ID = 0x2e,
    PCI_CAPABILITIES = 0x34,
    PCI_INTERRUPT_LINE = 0x3c,
    PCI_INTERRUPT_PIN = 0x3d,
};

#define PCI_COMMAND_IO 0x0001
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_MASTER 0x0004
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS_INTX 0x0008
#define PCI_STATUS_CAPABILITIES 0x0010

struct pci;

struct pci_function_state {
    uint8_t config[PCI_CONFIG_BYTES];
    uint32_t interrupt; /* level of the function's INTx pin before the disable bit */
    uint32_t zero;
};
_Static_assert(sizeof(struct pci_function_state) == 264, "no padding");

struct pci_bar {
    uint64_t bytes; /* a power of two; 0: not implemented */
    struct bus *bus;
    unsigned range; /* of `bus` */
    bool io;
    bool wide; /* 64-bit memory BAR: takes the next register as well */
};

struct pci_function {
    struct pci_function_state s;
    struct pci_function_state reset; /* what a bus reset puts back */
    uint8_t writable[PCI_CONFIG_BYTES];    /* bits that a guest can write */
    uint8_t write_clears[PCI_CONFIG_BYTES]; /* bits that a one written clears */
    struct pci_bar bars[PCI_BARS];
    struct pci *pci;
    uint8_t devfn;
    /* Bytes [offset, offset + bytes) of the configuration space may have
     * changed: a guest's write, or a reset (all of it). */
    void (*changed)(void *device, unsigned offset, unsigned bytes);
    /* All of it was restored: bring mappings in line, drive no line. */
    void (*restored)(void *device);
    void *device;
};

struct pci_state {
    uint32_t address; /* CONFIG_ADDRESS */
    uint32_t zero;
};

struct pci {
    struct pci_state s;
    struct pci_function *functions[PCI_FUNCTIONS];
    struct line pirq[PCI_PIRQS]; /* PIRQA..PIRQD, active high here */
    struct components *components;
};

/* An empty bus. The state is registered with `components`. */
void pci_init(struct pci *pci, struct components *components);
void pci_reset(struct pci *pci);

/*
 * Places `function` (zeroed by the caller) at `devfn` with the given identity
 * and registers its state. `class_code` is base class << 16 | subclass << 8 |
 * interface. The command register's IO, memory, master and INTx-disable bits,
 * cache line size, latency timer and interrupt line are writable; more masks
 * and default bytes may be set up before pci_function_ready.
 */
void pci_add_function(struct pci *pci, struct pci_function *function, uint8_t devfn,
                      uint16_t vendor, uint16_t device, uint32_t class_code, uint8_t revision);

/* Gives the function BAR `number` over range `range` of `bus`, which the
 * caller added; the BAR moves it and switches it on and off. `bytes` is a
 * power of two, at least 4 (I/O) or 16 (memory). */
void pci_add_bar(struct pci_function *function, unsigned number, struct bus *bus, unsigned range,
                 uint64_t bytes, bool io, bool wide);

/* Ends the set-up: the present configuration is the one after reset. */
void pci_function_ready(struct pci_function *function);

/* Puts one function back to its state after reset. */
void pci_function_reset(struct pci_function *function);

/* Level of the function's interrupt pin. */
void pci_set_interrupt(struct pci_function *function, bool level);

/* Which PIRQ (0..3) pin 1..4 (INTA..INTD) of device `device` is wired to. */
unsigned pci_pirq_of(unsigned device, unsigned pin);

/* Ports CF8h (CONFIG_ADDRESS) and CFCh (CONFIG_DATA); bus functions. */
bus_read_function pci_address_read;
bus_write_function pci_address_write;
bus_read_function pci_data_read;
bus_write_function pci_data_write;

/* Set-up helpers: little-endian stores to default bytes and write masks. */
void pci_default8(struct pci_function *function, unsigned offset, uint8_t value, uint8_t writable);
void pci_default16(struct pci_function *function, unsigned offset, uint16_t value,
                   uint16_t writable);
void pci_default32(struct pci_function *function, unsigned offset, uint32_t value,
                   uint32_t writable);

#endif
