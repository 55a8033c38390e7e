/*
 * PIIX3 PCI functions; see piix3.h. Intel data sheet 290550-002.
 *
 * Not modelled: gating of the legacy IDE ports by IDETIM and the command
 * register (they always decode), ISA recovery timing, distributed DMA, the
 * MBIRQ and APIC chip selects (the I/O APIC decodes at its usual place), the
 * system management registers A0h-ACh (function 3 is a PIIX4's, as in the
 * machine that firmware expects).
 */
#include "machine/dev/piix3.h"

#include <string.h>

#define REGISTER_IORT 0x4c
#define REGISTER_XBCS 0x4e
#define REGISTER_PIRQRC 0x60 /* A to D */
#define REGISTER_TOM 0x69
#define REGISTER_MSTAT 0x6a
#define REGISTER_MBIRQ0 0x70
#define REGISTER_MBDMA0 0x76
#define REGISTER_IDETIM 0x40
#define REGISTER_SIDETIM 0x44

#define PIRQ_DISABLED 0x80 /* IRQROUTEN# */
#define IRQS_ROUTABLE 0xdef8u /* 3-7, 9-12, 14, 15 */

/* The contribution of the PCI lines to each ISA IRQ. */
static void route_apply(struct piix3 *piix3)
{
    uint32_t asserted = 0;
    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        uint8_t route = piix3->bridge.s.config[REGISTER_PIRQRC + i];
        if ((piix3->s.pirq >> i & 1) && !(route & PIRQ_DISABLED))
            asserted |= 1u << (route & 15);
    }
    asserted &= IRQS_ROUTABLE;
    for (unsigned i = 0; i < PIIX3_IRQS; i++)
        line_set(&piix3->irq[i], asserted >> i & 1);
}

void piix3_set_pirq(void *device, unsigned input, bool level)
{
    struct piix3 *piix3 = device;
    uint32_t bit = 1u << (input & 3);
    uint32_t pirq = level ? piix3->s.pirq | bit : piix3->s.pirq & ~bit;
    if (pirq == piix3->s.pirq)
        return;
    piix3->s.pirq = pirq;
    route_apply(piix3);
}

static void bridge_changed(void *device, unsigned offset, unsigned bytes)
{
    if (offset < REGISTER_PIRQRC + 4 && offset + bytes > REGISTER_PIRQRC)
        route_apply(device);
}

static void bridge_init(struct piix3 *piix3, struct pci *pci, unsigned device)
{
    struct pci_function *bridge = &piix3->bridge;
    bridge->changed = bridge_changed;
    bridge->device = piix3;
    pci_add_function(pci, bridge, PCI_DEVFN(device, 0), 0x8086, 0x7000, 0x060100, 0x00);
    pci_default16(bridge, PCI_COMMAND, 0x0007, 0x0008); /* io, memory, master: always on */
    pci_default16(bridge, PCI_STATUS, 0x0200, 0);
    pci_default8(bridge, PCI_HEADER_TYPE, 0x80, 0); /* several functions */
    pci_default8(bridge, REGISTER_IORT, 0x4d, 0xff);
    pci_default16(bridge, REGISTER_XBCS, 0x0003, 0x01ff);
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        pci_default8(bridge, REGISTER_PIRQRC + i, PIRQ_DISABLED, 0x8f);
    pci_default8(bridge, REGISTER_TOM, 0x02, 0xfe);
    pci_default8(bridge, REGISTER_MSTAT, 0x00, 0xff);
    pci_default8(bridge, REGISTER_MBIRQ0, 0x80, 0xef);
    pci_default8(bridge, REGISTER_MBIRQ0 + 1, 0x80, 0xef);
    pci_default16(bridge, REGISTER_MBDMA0, 0x0c0c, 0x8f8f);
    pci_default16(bridge, 0x78, 0x0002, 0xffff); /* programmable chip select */
    pci_function_ready(bridge);
}

void piix3_init(struct piix3 *piix3, struct pci *pci, unsigned device, const struct line *irq,
                struct bus *ports, unsigned master_range)
{
    memset(piix3, 0, sizeof *piix3);
    memcpy(piix3->irq, irq, sizeof piix3->irq);
    components_add(pci->components, "piix3", COMPONENT_SINGLE, &piix3->s, sizeof piix3->s, NULL,
                   NULL);
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        pci->pirq[i] = (struct line){ piix3_set_pirq, piix3, i };
    bridge_init(piix3, pci, device);

    struct pci_function *ide = &piix3->ide;
    pci_add_function(pci, ide, PCI_DEVFN(device, 1), 0x8086, 0x7010, 0x010180, 0x00);
    pci_default16(ide, PCI_COMMAND, 0x0000, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
    pci_default16(ide, PCI_STATUS, 0x0280, 0);
    pci_add_bar(ide, 4, ports, master_range, PIIX3_MASTER_BYTES, true, false);
    pci_default16(ide, REGISTER_IDETIM, 0x0000, 0xf3ff);
    pci_default16(ide, REGISTER_IDETIM + 2, 0x0000, 0xf3ff);
    pci_default8(ide, REGISTER_SIDETIM, 0x00, 0xff);
    pci_function_ready(ide);
}

/* The configuration spaces are reset with the bus, which re-routes. */
void piix3_reset(struct piix3 *piix3)
{
    piix3->s.pirq = 0;
    route_apply(piix3);
}
