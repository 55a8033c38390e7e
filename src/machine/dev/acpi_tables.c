/*
 * ACPI tables; see acpi_tables.h. ACPI Specification 6.4, chapter 5.2.
 *
 * Not modelled: HPET, x2APIC entries (no more than 64 processors), NUMA and
 * PCI Express tables, sleep states.
 */
#include "machine/dev/acpi_tables.h"

#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define HEADER_BYTES 36
#define HEADER_LENGTH 4
#define HEADER_CHECKSUM 9
#define FACS_BYTES 64
#define FADT_BYTES 244
#define MADT_ROOM (HEADER_BYTES + 8 + 64 * 8 + 12 + 5 * 10 + 6)

/* Loader commands. */
#define LOADER_ALLOCATE 1
#define LOADER_ADD_POINTER 2
#define LOADER_ADD_CHECKSUM 3
#define ZONE_HIGH 1
#define ZONE_FSEG 2

#define LAPIC_BASE 0xfee00000u
#define IOAPIC_BASE 0xfec00000u
#define IOAPIC_ID 0
#define SCI_IRQ 9
#define LEVEL_HIGH 0x000d /* MPS INTI flags */

/* Fills in a table header, whose length and checksum follow. */
static void header(uint8_t *table, const char *signature, uint8_t revision)
{
    memcpy(table, signature, 4);
    table[8] = revision;
    memcpy(table + 10, "GRDHOG", 6);
    memcpy(table + 16, "GHOGPC1 ", 8);
    store32(table + 24, 1);
    memcpy(table + 28, "GHOG", 4);
    store32(table + 32, 1);
}

static void finish(uint8_t *table, uint32_t length)
{
    store32(table + HEADER_LENGTH, length);
    uint8_t sum = 0;
    for (uint32_t i = 0; i < length; i++)
        sum += table[i];
    table[HEADER_CHECKSUM] -= sum;
}

static void facs(uint8_t *table)
{
    memcpy(table, "FACS", 4);
    store32(table + 4, FACS_BYTES);
    table[32] = 1; /* version */
}

/* Generic address structure of an I/O register. */
static void gas(uint8_t *p, uint16_t port, unsigned bytes, unsigned access)
{
    p[0] = 1; /* system I/O */
    p[1] = (uint8_t)(8 * bytes);
    p[3] = (uint8_t)access; /* 1: byte, 2: word, 3: double word */
    store64(p + 4, port);
}

static void fadt(uint8_t *table, const struct acpi_config *config)
{
    uint16_t pm = config->pm_base;
    header(table, "FACP", 3);
    table[44] = 1; /* dual 8259, ACPI 1.0's interrupt model */
    store16(table + 46, SCI_IRQ);
    store32(table + 48, config->smi_command);
    table[52] = 0xf1; /* ACPI_ENABLE */
    table[53] = 0xf0; /* ACPI_DISABLE */
    store32(table + 56, pm);         /* PM1a_EVT_BLK */
    store32(table + 64, pm + 4u);    /* PM1a_CNT_BLK */
    store32(table + 76, pm + 8u);    /* PM_TMR_BLK */
    store32(table + 80, pm + 0x0cu); /* GPE0_BLK */
    table[88] = 4;                   /* PM1_EVT_LEN */
    table[89] = 2;                   /* PM1_CNT_LEN */
    table[91] = 4;                   /* PM_TMR_LEN */
    table[92] = 4;                   /* GPE0_BLK_LEN */
    store16(table + 96, 0x0fff);     /* P_LVL2_LAT: no C2 */
    store16(table + 98, 0x0fff);     /* P_LVL3_LAT: no C3 */
    table[108] = 0x32;               /* century byte of the RTC */
    store16(table + 109, 0x0003);    /* ISA devices, 8042 */
    /* WBINVD, PROC_C1, SLP_BUTTON (none), FIX_RTC (none), RESET_REG_SUP */
    store32(table + 112, 1u << 0 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 10);
    gas(table + 116, 0x0cf9, 1, 1);  /* RESET_REG */
    table[128] = 0x06;               /* RESET_VALUE */
    gas(table + 148, pm, 4, 2);
    gas(table + 172, pm + 4, 2, 2);
    gas(table + 208, pm + 8, 4, 3);
    gas(table + 220, pm + 0x0c, 4, 1);
}

static uint8_t *interrupt_override(uint8_t *p, uint8_t irq, uint32_t pin, uint16_t flags)
{
    p[0] = 2;
    p[1] = 10;
    p[3] = irq;
    store32(p + 4, pin);
    store16(p + 8, flags);
    return p + 10;
}

static uint32_t madt(uint8_t *table, const struct acpi_config *config)
{
    static const uint8_t level_irqs[] = { 5, SCI_IRQ, 10, 11 };
    header(table, "APIC", 1);
    store32(table + 36, LAPIC_BASE);
    store32(table + 40, 1); /* there are 8259s as well */
    uint8_t *p = table + 44;
    for (unsigned i = 0; i < config->cpus; i++, p += 8) {
        p[0] = 0; /* local APIC */
        p[1] = 8;
        p[2] = (uint8_t)i; /* processor id as in the DSDT */
        p[3] = (uint8_t)i; /* APIC id */
        store32(p + 4, 1); /* enabled */
    }
    p[0] = 1; /* I/O APIC */
    p[1] = 12;
    p[2] = IOAPIC_ID;
    store32(p + 4, IOAPIC_BASE);
    p = interrupt_override(p + 12, 0, 2, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(level_irqs); i++)
        p = interrupt_override(p, level_irqs[i], level_irqs[i], LEVEL_HIGH);
    p[0] = 4; /* NMI at LINT1 of all processors */
    p[1] = 6;
    p[2] = 0xff;
    p[5] = 1;
    p += 6;
    ASSERT(p - table <= MADT_ROOM);
    return (uint32_t)(p - table);
}

static uint8_t *loader_entry(struct acpi_tables *acpi, uint32_t command)
{
    ASSERT(acpi->loader_size < sizeof acpi->loader);
    uint8_t *entry = acpi->loader + acpi->loader_size;
    acpi->loader_size += ACPI_LOADER_ENTRY;
    store32(entry, command);
    return entry + 4;
}

static void file_name(uint8_t *p, const char *name)
{
    memcpy(p, name, strlen(name) + 1);
}

static void loader_allocate(struct acpi_tables *acpi, const char *file, uint32_t align,
                            uint8_t zone)
{
    uint8_t *p = loader_entry(acpi, LOADER_ALLOCATE);
    file_name(p, file);
    store32(p + 56, align);
    p[60] = zone;
}

/* At `offset` of `file` stands an offset into the tables' file, `bytes` wide;
 * firmware adds the address of that file. */
static void loader_pointer(struct acpi_tables *acpi, const char *file, uint32_t offset,
                           uint8_t bytes)
{
    uint8_t *p = loader_entry(acpi, LOADER_ADD_POINTER);
    file_name(p, file);
    file_name(p + 56, ACPI_FILE_TABLES);
    store32(p + 112, offset);
    p[116] = bytes;
}

static void loader_checksum(struct acpi_tables *acpi, const char *file, uint32_t at,
                            uint32_t start, uint32_t length)
{
    uint8_t *p = loader_entry(acpi, LOADER_ADD_CHECKSUM);
    file_name(p, file);
    store32(p + 56, at);
    store32(p + 60, start);
    store32(p + 64, length);
}

/* A table that holds pointers: written into the tables' file by the caller,
 * summed by firmware once the pointers are mended. */
static void finish_by_loader(struct acpi_tables *acpi, uint32_t table, uint32_t length)
{
    store32(acpi->tables + table + HEADER_LENGTH, length);
    loader_checksum(acpi, ACPI_FILE_TABLES, table + HEADER_CHECKSUM, table, length);
}

/* RSDT (4-byte entries) or XSDT (8-byte entries) over the two tables. */
static void root_table(struct acpi_tables *acpi, uint32_t at, const char *signature,
                       unsigned width, const uint32_t *tables, unsigned count)
{
    header(acpi->tables + at, signature, 1);
    for (unsigned i = 0; i < count; i++) {
        uint32_t entry = at + HEADER_BYTES + width * i;
        store32(acpi->tables + entry, tables[i]);
        loader_pointer(acpi, ACPI_FILE_TABLES, entry, (uint8_t)width);
    }
    finish_by_loader(acpi, at, HEADER_BYTES + width * count);
}

static void rsdp(struct acpi_tables *acpi, uint32_t rsdt, uint32_t xsdt)
{
    memcpy(acpi->rsdp, "RSD PTR ", 8);
    memcpy(acpi->rsdp + 9, "GRDHOG", 6);
    acpi->rsdp[15] = 2;
    store32(acpi->rsdp + 16, rsdt);
    store32(acpi->rsdp + 20, ACPI_RSDP_BYTES);
    store64(acpi->rsdp + 24, xsdt);
    loader_pointer(acpi, ACPI_FILE_RSDP, 16, 4);
    loader_pointer(acpi, ACPI_FILE_RSDP, 24, 8);
    loader_checksum(acpi, ACPI_FILE_RSDP, 8, 0, 20);
    loader_checksum(acpi, ACPI_FILE_RSDP, 32, 0, ACPI_RSDP_BYTES);
}

/* Room for a table of `bytes` at the end of the file; tables begin at
 * multiples of 16. */
static uint32_t place(struct acpi_tables *acpi, uint32_t bytes)
{
    uint32_t at = (acpi->tables_size + 15) & ~15u;
    ASSERT(at + bytes <= ACPI_TABLES_ROOM);
    acpi->tables_size = at + bytes;
    return at;
}

void acpi_tables_build(struct acpi_tables *acpi, const struct acpi_config *config)
{
    memset(acpi, 0, sizeof *acpi);
    loader_allocate(acpi, ACPI_FILE_RSDP, 16, ZONE_FSEG);
    loader_allocate(acpi, ACPI_FILE_TABLES, 64, ZONE_HIGH); /* the FACS' alignment */

    uint32_t facs_at = place(acpi, FACS_BYTES);
    facs(acpi->tables + facs_at);

    uint32_t dsdt_at = place(acpi, HEADER_BYTES);
    uint8_t *dsdt = acpi->tables + dsdt_at;
    header(dsdt, "DSDT", 2);
    uint32_t body = acpi_dsdt_build(dsdt + HEADER_BYTES,
                                    ACPI_TABLES_ROOM - acpi->tables_size, config);
    acpi->tables_size += body;
    finish(dsdt, HEADER_BYTES + body);

    uint32_t fadt_at = place(acpi, FADT_BYTES);
    fadt(acpi->tables + fadt_at, config);
    store32(acpi->tables + fadt_at + 36, facs_at);
    store32(acpi->tables + fadt_at + 40, dsdt_at);
    store32(acpi->tables + fadt_at + 140, dsdt_at);
    loader_pointer(acpi, ACPI_FILE_TABLES, fadt_at + 36, 4);
    loader_pointer(acpi, ACPI_FILE_TABLES, fadt_at + 40, 4);
    loader_pointer(acpi, ACPI_FILE_TABLES, fadt_at + 140, 8);
    finish_by_loader(acpi, fadt_at, FADT_BYTES);

    uint32_t madt_at = place(acpi, MADT_ROOM);
    uint32_t madt_bytes = madt(acpi->tables + madt_at, config);
    finish(acpi->tables + madt_at, madt_bytes);
    acpi->tables_size = madt_at + madt_bytes;

    const uint32_t tables[] = { fadt_at, madt_at };
    uint32_t rsdt_at = place(acpi, HEADER_BYTES + 4 * ARRAY_SIZE(tables));
    root_table(acpi, rsdt_at, "RSDT", 4, tables, ARRAY_SIZE(tables));
    uint32_t xsdt_at = place(acpi, HEADER_BYTES + 8 * ARRAY_SIZE(tables));
    root_table(acpi, xsdt_at, "XSDT", 8, tables, ARRAY_SIZE(tables));
    rsdp(acpi, rsdt_at, xsdt_at);
}
