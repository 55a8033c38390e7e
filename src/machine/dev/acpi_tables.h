/*
 * The ACPI tables of the board, in the form in which firmware takes them over
 * from fw_cfg: one file with all tables, one with the RSDP, and a script that
 * tells firmware where to allocate them and which pointers and checksums to
 * mend. ACPI Specification 6.4 (tables of revisions that older systems read);
 * QEMU documentation, "table loader" of the fw_cfg interface.
 */
#ifndef MACHINE_DEV_ACPI_TABLES_H
#define MACHINE_DEV_ACPI_TABLES_H

#include <stdint.h>

#define ACPI_TABLES_ROOM 16384
#define ACPI_RSDP_BYTES 36
#define ACPI_LOADER_ENTRY 128
#define ACPI_LOADER_ENTRIES 24

#define ACPI_FILE_RSDP "etc/acpi/rsdp"
#define ACPI_FILE_TABLES "etc/acpi/tables"
#define ACPI_FILE_LOADER "etc/table-loader"

/* What of the board the tables speak of. */
struct acpi_config {
    uint32_t cpus;        /* local APIC ids 0..cpus-1 */
    uint32_t serials;     /* bit n: COM n+1 exists */
    uint32_t pci_memory;  /* first address of the PCI memory window */
    uint16_t pm_base;     /* PIIX4 power-management ports, where firmware puts them */
    uint16_t smi_command; /* port of the SMI command register */
};

struct acpi_tables {
    uint8_t tables[ACPI_TABLES_ROOM];
    uint32_t tables_size;
    uint8_t rsdp[ACPI_RSDP_BYTES];
    uint8_t loader[ACPI_LOADER_ENTRY * ACPI_LOADER_ENTRIES];
    uint32_t loader_size;
};

/* I/O ports and IRQ of the four serial ports of a PC. */
struct acpi_serial_port {
    uint16_t base;
    uint8_t irq;
};
extern const struct acpi_serial_port acpi_serial_ports[4];

/* Builds all of them. Checksums of tables that need no mending are right;
 * the others are the loader script's business. */
void acpi_tables_build(struct acpi_tables *acpi, const struct acpi_config *config);

/* The body of the DSDT, after its header: for acpi_tables.c. Returns its size. */
uint32_t acpi_dsdt_build(uint8_t *bytes, uint32_t room, const struct acpi_config *config);

#endif
