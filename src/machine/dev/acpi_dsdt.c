/*
 * The DSDT of the board in AML: see acpi_tables.h. ACPI Specification 6.4,
 * chapters 5.3, 6 and 7; PCI Firmware Specification 3.0 for the host bridge.
 *
 * The four PCI interrupt lines are link devices over the PIIX3's routing
 * registers, so that one routing table serves both the 8259 and the I/O APIC
 * (whose pins carry the same numbers).
 *
 * Not modelled: hot plug, power states other than S5, thermal zones.
 */
#include <stdio.h>

#include "machine/dev/acpi_tables.h"
#include "machine/dev/aml.h"
#include "machine/dev/pci.h"
#include "util/bits.h"

#define PCI_DEVICES 32
#define PCI_MEMORY_LAST 0xfebfffffu /* the I/O APIC follows */
#define PIRQ_REGISTERS 0x60
#define PIRQ_DISABLED 0x80

const struct acpi_serial_port acpi_serial_ports[4] = {
    { 0x3f8, 4 }, { 0x2f8, 3 }, { 0x3e8, 4 }, { 0x2e8, 3 },
};

static const char *const links[PCI_PIRQS] = { "LNKA", "LNKB", "LNKC", "LNKD" };
static const uint32_t link_interrupts[] = { 5, 10, 11 };

/* Bytes from the start of a template with one extended interrupt descriptor
 * to its interrupt number. */
#define INTERRUPT_NUMBER_OFFSET 5

static void host_bridge_resources(struct aml *aml, const struct acpi_config *config)
{
    aml_name(aml, "_CRS");
    aml_open_resources(aml);
    aml_bus_numbers(aml, 0, 0xff);
    aml_io(aml, 0x0cf8, 8);
    aml_io_window(aml, 0x0000, 0x0cf7);
    aml_io_window(aml, 0x0d00, 0xffff);
    aml_memory_window(aml, 0x000a0000, 0x000bffff, true);
    aml_memory_window(aml, config->pci_memory, PCI_MEMORY_LAST, false);
    aml_close_resources(aml);
}

static void interrupt_routing(struct aml *aml)
{
    aml_name(aml, "_PRT");
    aml_open_package(aml, (PCI_DEVICES - 1) * PCI_PIRQS);
    for (unsigned device = 1; device < PCI_DEVICES; device++)
        for (unsigned pin = 0; pin < PCI_PIRQS; pin++) {
            aml_open_package(aml, 4);
            aml_integer(aml, device << 16 | 0xffff); /* all functions */
            aml_integer(aml, pin);
            aml_path(aml, links[pci_pirq_of(device, pin + 1)]);
            aml_integer(aml, 0);
            aml_close(aml);
        }
    aml_close(aml);
}

/* A device with fixed ports and at most one interrupt. */
struct isa_device {
    const char *name;
    const char *id;
    uint16_t base[2];
    uint8_t ports[2];
    int8_t irq; /* -1: none */
};

static const struct isa_device isa_devices[] = {
    { "RTC", "PNP0B00", { 0x70, 0 }, { 8, 0 }, 8 },
    { "KBD", "PNP0303", { 0x60, 0x64 }, { 1, 1 }, 1 },
    { "MOU", "PNP0F13", { 0, 0 }, { 0, 0 }, 12 },
    { "SPKR", "PNP0800", { 0x61, 0 }, { 1, 0 }, -1 },
    { "FPU", "PNP0C04", { 0xf0, 0 }, { 1, 0 }, 13 },
};

static void isa_device(struct aml *aml, const struct isa_device *device, int unit)
{
    aml_open_device(aml, device->name);
    aml_name_eisa_id(aml, "_HID", device->id);
    if (unit >= 0)
        aml_name_integer(aml, "_UID", (uint64_t)unit);
    aml_name_integer(aml, "_STA", 0x0f);
    aml_name(aml, "_CRS");
    aml_open_resources(aml);
    for (unsigned i = 0; i < 2; i++)
        if (device->ports[i])
            aml_io(aml, device->base[i], device->ports[i]);
    if (device->irq >= 0)
        aml_irq(aml, (unsigned)device->irq);
    aml_close_resources(aml);
    aml_close(aml);
}

static void isa_bridge(struct aml *aml, const struct acpi_config *config)
{
    aml_open_device(aml, "ISA");
    aml_name_integer(aml, "_ADR", 0x00010000);
    aml_pci_region(aml, "PIRQ", PIRQ_REGISTERS, PCI_PIRQS);
    aml_open_field(aml, "PIRQ");
    for (unsigned i = 0; i < PCI_PIRQS; i++) {
        char name[] = { 'P', 'R', 'Q', (char)('A' + i), 0 };
        aml_field_unit(aml, name, 8);
    }
    aml_close(aml);
    for (unsigned i = 0; i < ARRAY_SIZE(isa_devices); i++)
        isa_device(aml, &isa_devices[i], -1);
    for (unsigned i = 0; i < 4; i++) {
        const struct acpi_serial_port *port = &acpi_serial_ports[i];
        char name[] = { 'C', 'O', 'M', (char)('1' + i), 0 };
        const struct isa_device serial = {
            name, "PNP0501", { port->base, 0 }, { 8, 0 }, (int8_t)port->irq,
        };
        if (config->serials >> i & 1)
            isa_device(aml, &serial, (int)i + 1);
    }
    aml_close(aml);
}

/* _STA and _DIS of a link: bit 7 of its routing register switches it off. */
static void link_status(struct aml *aml, const char *routing)
{
    aml_open_method(aml, "_STA", 0, false);
    aml_open_if(aml);
    aml_byte(aml, AML_AND);
    aml_path(aml, routing);
    aml_integer(aml, PIRQ_DISABLED);
    aml_byte(aml, AML_ZERO); /* no target */
    aml_byte(aml, AML_RETURN);
    aml_integer(aml, 0x09); /* present, working, disabled */
    aml_close(aml);
    aml_byte(aml, AML_RETURN);
    aml_integer(aml, 0x0b);
    aml_close(aml);

    aml_open_method(aml, "_DIS", 0, false);
    aml_byte(aml, AML_OR);
    aml_path(aml, routing);
    aml_integer(aml, PIRQ_DISABLED);
    aml_path(aml, routing);
    aml_close(aml);
}

/* _CRS and _SRS of a link: the number in a template is the register's. */
static void link_resources(struct aml *aml, const char *routing)
{
    static const uint32_t unknown = 0;
    aml_open_method(aml, "_CRS", 0, true);
    aml_name(aml, "BUFF");
    aml_open_resources(aml);
    aml_interrupt(aml, &unknown, 1);
    aml_close_resources(aml);
    aml_byte(aml, AML_CREATE_DWORD_FIELD);
    aml_path(aml, "BUFF");
    aml_integer(aml, INTERRUPT_NUMBER_OFFSET);
    aml_path(aml, "NUMB");
    aml_byte(aml, AML_AND);
    aml_path(aml, routing);
    aml_integer(aml, 0x0f);
    aml_path(aml, "NUMB");
    aml_byte(aml, AML_RETURN);
    aml_path(aml, "BUFF");
    aml_close(aml);

    aml_open_method(aml, "_SRS", 1, true);
    aml_byte(aml, AML_CREATE_DWORD_FIELD);
    aml_byte(aml, AML_ARG0);
    aml_integer(aml, INTERRUPT_NUMBER_OFFSET);
    aml_path(aml, "NUMB");
    aml_byte(aml, AML_STORE);
    aml_path(aml, "NUMB");
    aml_path(aml, routing);
    aml_close(aml);
}

static void interrupt_link(struct aml *aml, unsigned number)
{
    char routing[] = "\\_SB.PCI0.ISA.PRQA";
    routing[sizeof routing - 2] = (char)('A' + number);
    aml_open_device(aml, links[number]);
    aml_name_eisa_id(aml, "_HID", "PNP0C0F");
    aml_name_integer(aml, "_UID", number + 1);
    aml_name(aml, "_PRS");
    aml_open_resources(aml);
    aml_interrupt(aml, link_interrupts, ARRAY_SIZE(link_interrupts));
    aml_close_resources(aml);
    link_status(aml, routing);
    link_resources(aml, routing);
    aml_close(aml);
}

/* S5: both sleep types 0, as the PIIX4 calls soft off. */
static void soft_off(struct aml *aml)
{
    aml_name(aml, "_S5");
    aml_open_package(aml, 4);
    for (unsigned i = 0; i < 4; i++)
        aml_integer(aml, 0);
    aml_close(aml);
}

uint32_t acpi_dsdt_build(uint8_t *bytes, uint32_t room, const struct acpi_config *config)
{
    struct aml aml;
    aml_init(&aml, bytes, room);
    soft_off(&aml);
    aml_open_scope(&aml, "\\_SB");
    aml_open_device(&aml, "PCI0");
    aml_name_eisa_id(&aml, "_HID", "PNP0A03");
    aml_name_integer(&aml, "_UID", 0);
    host_bridge_resources(&aml, config);
    interrupt_routing(&aml);
    isa_bridge(&aml, config);
    aml_close(&aml);
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        interrupt_link(&aml, i);
    for (unsigned i = 0; i < config->cpus; i++) {
        char name[8];
        snprintf(name, sizeof name, "C%03X", i & 0xfff);
        aml_processor(&aml, name, (uint8_t)i);
    }
    aml_close(&aml);
    return aml.size;
}
