/* ACPI and SMBIOS tables: what firmware's loader makes of them, and the
 * invariants that an operating system checks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine/dev/acpi_tables.h"
#include "machine/dev/smbios_tables.h"
#include "util/bits.h"

#define TABLES_ADDRESS 0x0ffe0000u
#define RSDP_ADDRESS 0x000f5a00u

static uint8_t sum(const uint8_t *bytes, uint32_t length)
{
    uint8_t total = 0;
    for (uint32_t i = 0; i < length; i++)
        total += bytes[i];
    return total;
}

static uint8_t *loader_file(struct acpi_tables *acpi, const char *name, uint32_t *size,
                            uint64_t *address)
{
    if (strcmp(name, ACPI_FILE_RSDP) == 0) {
        *size = ACPI_RSDP_BYTES;
        *address = RSDP_ADDRESS;
        return acpi->rsdp;
    }
    assert_string_equal(name, ACPI_FILE_TABLES);
    *size = acpi->tables_size;
    *address = TABLES_ADDRESS;
    return acpi->tables;
}

/* What firmware does with etc/table-loader. */
static void run_loader(struct acpi_tables *acpi)
{
    unsigned allocated = 0;
    for (uint32_t at = 0; at < acpi->loader_size; at += ACPI_LOADER_ENTRY) {
        const uint8_t *e = acpi->loader + at + 4;
        uint32_t size, other_size;
        uint64_t address, other;
        uint8_t *file = loader_file(acpi, (const char *)e, &size, &address);
        switch (load32(acpi->loader + at)) {
        case 1:
            assert_int_equal(address % load32(e + 56), 0);
            assert_true(e[60] == 1 || e[60] == 2);
            allocated++;
            break;
        case 2: {
            uint32_t offset = load32(e + 112);
            assert_true(offset + e[116] <= size);
            loader_file(acpi, (const char *)e + 56, &other_size, &other);
            uint64_t value = 0;
            memcpy(&value, file + offset, e[116]);
            assert_true(value < other_size);
            value += other;
            memcpy(file + offset, &value, e[116]);
            break;
        }
        case 3: {
            uint32_t result = load32(e + 56), start = load32(e + 60), length = load32(e + 64);
            assert_true(start + length <= size && result >= start && result < start + length);
            file[result] -= sum(file + start, length);
            break;
        }
        default:
            fail();
        }
    }
    assert_int_equal(allocated, 2);
}

static const uint8_t *table_at(const struct acpi_tables *acpi, uint64_t address,
                               const char *signature)
{
    assert_true(address >= TABLES_ADDRESS && address < TABLES_ADDRESS + acpi->tables_size);
    const uint8_t *table = acpi->tables + (address - TABLES_ADDRESS);
    assert_memory_equal(table, signature, 4);
    if (memcmp(signature, "FACS", 4) != 0)
        assert_int_equal(sum(table, load32(table + 4)), 0);
    return table;
}

static void check_fadt(const struct acpi_tables *acpi, const uint8_t *fadt)
{
    assert_int_equal(load32(fadt + 4), 244);
    assert_int_equal(load32(fadt + 36) % 64, 0);
    table_at(acpi, load32(fadt + 36), "FACS");
    table_at(acpi, load32(fadt + 40), "DSDT");
    assert_int_equal(load64(fadt + 140), load32(fadt + 40));
    assert_int_equal(load32(fadt + 56), 0x600);
    assert_int_equal(load32(fadt + 76), 0x608);
    assert_int_equal(load64(fadt + 212), 0x608);
    assert_int_equal(load64(fadt + 120), 0xcf9);
}

static void check_madt(const uint8_t *madt, unsigned cpus)
{
    unsigned lapics = 0, ioapics = 0, overrides = 0;
    uint32_t length = load32(madt + 4);
    for (uint32_t at = 44; at < length; at += madt[at + 1]) {
        assert_true(madt[at + 1] >= 2 && at + madt[at + 1] <= length);
        if (madt[at] == 0) {
            assert_int_equal(madt[at + 3], lapics);
            lapics++;
        }
        ioapics += madt[at] == 1;
        if (madt[at] == 2) {
            overrides++;
            if (madt[at + 3] == 0)
                assert_int_equal(load32(madt + at + 4), 2);
            if (madt[at + 3] == 9)
                assert_int_equal(load16(madt + at + 8), 0x0d);
        }
    }
    assert_int_equal(lapics, cpus);
    assert_int_equal(ioapics, 1);
    assert_int_equal(overrides, 5);
}

static void check(unsigned cpus, uint32_t serials)
{
    static struct acpi_tables acpi;
    const struct acpi_config config = { cpus, serials, 0x80000000u, 0x600, 0xb2 };
    acpi_tables_build(&acpi, &config);
    run_loader(&acpi);
    assert_memory_equal(acpi.rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(acpi.rsdp, 20), 0);
    assert_int_equal(sum(acpi.rsdp, 36), 0);
    const uint8_t *rsdt = table_at(&acpi, load32(acpi.rsdp + 16), "RSDT");
    const uint8_t *xsdt = table_at(&acpi, load64(acpi.rsdp + 24), "XSDT");
    assert_int_equal(load32(rsdt + 4), 36 + 8);
    assert_int_equal(load32(xsdt + 4), 36 + 16);
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(load32(rsdt + 36 + 4 * i), load64(xsdt + 36 + 8 * i));
    check_fadt(&acpi, table_at(&acpi, load32(rsdt + 36), "FACP"));
    check_madt(table_at(&acpi, load32(rsdt + 40), "APIC"), cpus);
}

static void test_tables(void **state)
{
    (void)state;
    check(1, 1);
    check(2, 0xf);
    check(64, 0);
}

/* The bytes are part of what a run depends on: the same every time. */
static void test_same_twice(void **state)
{
    (void)state;
    static struct acpi_tables a, b;
    const struct acpi_config config = { 4, 3, 0xc0000000u, 0x600, 0xb2 };
    memset(&a, 0x55, sizeof a);
    acpi_tables_build(&a, &config);
    acpi_tables_build(&b, &config);
    assert_memory_equal(&a, &b, sizeof a);
}

/* Walks AML package lengths of the top level: they must tile the DSDT. */
static void test_dsdt_tiles(void **state)
{
    (void)state;
    static uint8_t aml[16384];
    const struct acpi_config config = { 3, 1, 0x80000000u, 0x600, 0xb2 };
    uint32_t size = acpi_dsdt_build(aml, sizeof aml, &config);
    /* Name(_S5_, Package): opcode, name, PackageOp, length ...; Scope(\_SB). */
    assert_memory_equal(aml, "\x08_S5_\x12", 6);
    uint32_t package = (aml[6] & 15) | (uint32_t)load16(aml + 7) << 4;
    uint32_t scope = 6 + package;
    assert_int_equal(aml[scope], 0x10);
    uint32_t length = (aml[scope + 1] & 15) | (uint32_t)load16(aml + scope + 2) << 4;
    assert_int_equal(scope + 1 + length, size);
}

static void test_smbios(void **state)
{
    (void)state;
    static struct smbios_tables smbios;
    const struct smbios_config config = { 64, 0xc0000000ull, 40ull << 30, "pc-1" };
    smbios_tables_build(&smbios, &config);
    assert_int_equal(sum(smbios.anchor, 31), 0);
    assert_int_equal(sum(smbios.anchor + 16, 15), 0);
    assert_int_equal(load16(smbios.anchor + 22), smbios.size);
    uint32_t at = 0, count = 0, seen[128] = { 0 };
    while (at < smbios.size) {
        const uint8_t *structure = smbios.tables + at;
        seen[structure[0] & 127]++;
        uint32_t end = at + structure[1];
        while (load16(smbios.tables + end)) /* two zero bytes end the strings */
            end++;
        at = end + 2;
        count++;
        if (structure[0] == 127)
            break;
    }
    assert_int_equal(at, smbios.size);
    assert_int_equal(count, load16(smbios.anchor + 28));
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 1);
    assert_int_equal(seen[3], 1);
    assert_int_equal(seen[4], 64);
    assert_int_equal(seen[16], 1);
    assert_int_equal(seen[17], 1);
    assert_int_equal(seen[19], 2);
    assert_int_equal(seen[32], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tables), cmocka_unit_test(test_same_twice),
        cmocka_unit_test(test_dsdt_tiles), cmocka_unit_test(test_smbios),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
