/*
 * PCI bus 0; see pci.h. PCI Local Bus Specification 3.0.
 *
 * Not modelled: bridges and buses above 0, special cycles, parity and abort
 * status bits, expansion ROM BARs, posted writes, arbitration and latency.
 */
#include "machine/dev/pci.h"

#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_BITS 0x80fffffcu /* bits of CONFIG_ADDRESS that exist */
#define BAR_IO 1u
#define BAR_WIDE 4u

static void function_restored(void *device);

void pci_init(struct pci *pci, struct components *components)
{
    memset(pci, 0, sizeof *pci);
    pci->components = components;
    components_add(components, "pci", COMPONENT_SINGLE, &pci->s, sizeof pci->s, NULL, NULL);
}

void pci_default8(struct pci_function *function, unsigned offset, uint8_t value, uint8_t writable)
{
    function->s.config[offset] = value;
    function->writable[offset] = writable;
}

void pci_default16(struct pci_function *function, unsigned offset, uint16_t value,
                   uint16_t writable)
{
    store16(&function->s.config[offset], value);
    store16(&function->writable[offset], writable);
}

void pci_default32(struct pci_function *function, unsigned offset, uint32_t value,
                   uint32_t writable)
{
    store32(&function->s.config[offset], value);
    store32(&function->writable[offset], writable);
}

void pci_add_function(struct pci *pci, struct pci_function *function, uint8_t devfn,
                      uint16_t vendor, uint16_t device, uint32_t class_code, uint8_t revision)
{
    ASSERT(!pci->functions[devfn]);
    pci->functions[devfn] = function;
    function->pci = pci;
    function->devfn = devfn;
    pci_default16(function, PCI_VENDOR_ID, vendor, 0);
    pci_default16(function, PCI_DEVICE_ID, device, 0);
    pci_default16(function, PCI_COMMAND, 0,
                  PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER |
                      PCI_COMMAND_INTX_DISABLE);
    pci_default8(function, PCI_REVISION_ID, revision, 0);
    pci_default8(function, PCI_CLASS_CODE, class_code & 0xff, 0);
    pci_default8(function, PCI_CLASS_CODE + 1, class_code >> 8 & 0xff, 0);
    pci_default8(function, PCI_CLASS_CODE + 2, class_code >> 16 & 0xff, 0);
    pci_default8(function, PCI_CACHE_LINE_SIZE, 0, 0xff);
    pci_default8(function, PCI_LATENCY_TIMER, 0, 0xff);
    pci_default8(function, PCI_INTERRUPT_LINE, 0, 0xff);
    components_add(pci->components, "pci-function", devfn, &function->s, sizeof function->s,
                   function_restored, function);
}

void pci_add_bar(struct pci_function *function, unsigned number, struct bus *bus, unsigned range,
                 uint64_t bytes, bool io, bool wide)
{
    ASSERT(number + wide < PCI_BARS && (bytes & (bytes - 1)) == 0);
    ASSERT(bytes >= (io ? 4u : 16u) && (wide || bytes <= 0x80000000u));
    function->bars[number] = (struct pci_bar){ bytes, bus, range, io, wide };
    uint64_t mask = ~(bytes - 1);
    pci_default32(function, PCI_BAR0 + 4 * number, io ? BAR_IO : wide ? BAR_WIDE : 0,
                  (uint32_t)mask);
    if (wide)
        pci_default32(function, PCI_BAR0 + 4 * number + 4, 0, (uint32_t)(mask >> 32));
    bus_move(bus, range, 0, bytes, false);
}

/* Brings the bus range of one BAR in line with the registers. */
static void bar_apply(struct pci_function *function, unsigned number)
{
    struct pci_bar *bar = &function->bars[number];
    if (!bar->bytes)
        return;
    const uint8_t *config = function->s.config;
    uint16_t command = load16(&config[PCI_COMMAND]);
    uint64_t base = load32(&config[PCI_BAR0 + 4 * number]);
    if (bar->wide)
        base |= (uint64_t)load32(&config[PCI_BAR0 + 4 * number + 4]) << 32;
    base &= ~(bar->bytes - 1);
    bool enabled = command & (bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY);
    /* Zero is how firmware leaves a BAR unassigned, and a BAR that is being
     * sized lies at the very top; neither may hide anything. */
    uint64_t limit = bar->io ? 0x10000 : bar->wide ? 1ull << 52 : 1ull << 32;
    bool fits = base && base < limit && limit - base > bar->bytes;
    const struct bus_range *range = &bar->bus->ranges[bar->range];
    enabled = enabled && fits;
    if (range->enabled != enabled || (enabled && range->base != base))
        bus_move(bar->bus, bar->range, enabled ? base : 0, bar->bytes, enabled);
}

static void bars_apply(struct pci_function *function)
{
    for (unsigned i = 0; i < PCI_BARS; i++)
        bar_apply(function, i);
}

unsigned pci_pirq_of(unsigned device, unsigned pin)
{
    /* Device numbers are rotated over the lines; device 1 is not rotated. */
    return (pin - 1 + device - 1) & 3;
}

static void interrupts_apply(struct pci *pci)
{
    bool level[PCI_PIRQS] = { false, false, false, false };
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++) {
        const struct pci_function *function = pci->functions[i];
        if (!function || !function->s.interrupt || !function->s.config[PCI_INTERRUPT_PIN])
            continue;
        if (load16(&function->s.config[PCI_COMMAND]) & PCI_COMMAND_INTX_DISABLE)
            continue;
        level[pci_pirq_of(i >> 3, function->s.config[PCI_INTERRUPT_PIN])] = true;
    }
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        line_set(&pci->pirq[i], level[i]);
}

void pci_set_interrupt(struct pci_function *function, bool level)
{
    if (function->s.interrupt == level)
        return;
    function->s.interrupt = level;
    uint16_t status = load16(&function->s.config[PCI_STATUS]);
    status = level ? status | PCI_STATUS_INTX : status & ~PCI_STATUS_INTX;
    store16(&function->s.config[PCI_STATUS], status);
    interrupts_apply(function->pci);
}

static void function_changed(struct pci_function *function, unsigned offset, unsigned bytes)
{
    if (offset < PCI_SUBSYSTEM_VENDOR_ID)
        bars_apply(function);
    if (function->changed)
        function->changed(function->device, offset, bytes);
}

void pci_function_ready(struct pci_function *function)
{
    function->reset = function->s;
    function_changed(function, 0, PCI_CONFIG_BYTES);
}

void pci_function_reset(struct pci_function *function)
{
    function->s = function->reset;
    function_changed(function, 0, PCI_CONFIG_BYTES);
    interrupts_apply(function->pci);
}

void pci_reset(struct pci *pci)
{
    pci->s.address = 0;
    for (unsigned i = 0; i < PCI_FUNCTIONS; i++)
        if (pci->functions[i])
            pci_function_reset(pci->functions[i]);
}

/* The lines' receivers have their own state; only mappings are derived. */
static void function_restored(void *device)
{
    struct pci_function *function = device;
    bars_apply(function);
    if (function->restored)
        function->restored(function->device);
}

static void config_write(struct pci_function *function, unsigned offset, uint64_t value,
                         unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t byte = value >> (8 * i) & 0xff;
        uint8_t *config = &function->s.config[offset + i];
        uint8_t mask = function->writable[offset + i];
        *config = (*config & ~mask) | (byte & mask);
        *config &= ~(byte & function->write_clears[offset + i]);
    }
    function_changed(function, offset, bytes);
    if (offset <= PCI_COMMAND + 1 && offset + bytes > PCI_COMMAND)
        interrupts_apply(function->pci);
}

/* The function that CONFIG_ADDRESS selects, or NULL. */
static struct pci_function *selected(const struct pci *pci)
{
    uint32_t address = pci->s.address;
    if (!(address & ADDRESS_ENABLE) || (address >> 16 & 0xff) != 0)
        return NULL;
    return pci->functions[address >> 8 & 0xff];
}

uint64_t pci_address_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct pci *pci = device;
    return offset == 0 && bytes == 4 ? pci->s.address : bits_ones(bytes);
}

/* Only whole double words reach the register (3.2.2.3.2). */
void pci_address_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct pci *pci = device;
    if (offset == 0 && bytes == 4)
        pci->s.address = value & ADDRESS_BITS;
}

uint64_t pci_data_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct pci *pci = device;
    const struct pci_function *function = selected(pci);
    if (!function || offset + bytes > 4)
        return bits_ones(bytes);
    uint64_t value = 0;
    memcpy(&value, &function->s.config[(pci->s.address & 0xfc) + offset], bytes);
    return value;
}

void pci_data_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct pci *pci = device;
    struct pci_function *function = selected(pci);
    if (function && offset + bytes <= 4)
        config_write(function, (pci->s.address & 0xfc) + (unsigned)offset, value, bytes);
}
