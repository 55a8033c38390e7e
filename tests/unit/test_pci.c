/* The PCI bus with the 440FX, PIIX3 and PIIX4 functions, by ports CF8h/CFCh. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/physmem.h"
#include "machine/dev/i440fx.h"
#include "machine/dev/pci.h"
#include "machine/dev/piix3.h"
#include "machine/dev/piix4pm.h"
#include "util/bits.h"

#define HOST PCI_DEVFN(0, 0)
#define BRIDGE PCI_DEVFN(1, 0)
#define IDE PCI_DEVFN(1, 1)
#define PM PCI_DEVFN(1, 3)
#define CARD PCI_DEVFN(4, 0)

struct fixture {
    struct components components;
    struct clock clock;
    struct events events;
    struct bus ports, mmio;
    struct physmem memory;
    struct pci pci;
    struct i440fx i440fx;
    struct piix3 piix3;
    struct piix4pm pm;
    struct pci_function card;
    unsigned master_range, card_range;
    uint32_t irqs; /* levels seen by the board */
    unsigned powered_off, smis, remapped;
};

static void irq_set(void *receiver, unsigned input, bool level)
{
    struct fixture *f = receiver;
    f->irqs = level ? f->irqs | 1u << input : f->irqs & ~(1u << input);
}

static void smi_set(void *receiver, unsigned input, bool level)
{
    struct fixture *f = receiver;
    (void)input;
    f->smis += level;
}

static void power_off(void *context)
{
    struct fixture *f = context;
    f->powered_off++;
}

static void remapped(void *context)
{
    struct fixture *f = context;
    f->remapped++;
}

static uint64_t answer(void *device, uint64_t offset, unsigned bytes)
{
    (void)device;
    (void)bytes;
    return 0x50 + offset;
}

static unsigned off_range(struct bus *bus, uint64_t size, unsigned widest,
                          bus_read_function *read, bus_write_function *write, void *device)
{
    unsigned range = bus_add(bus, "movable", 0, size, widest, read, write, device);
    bus_move(bus, range, 0, size, false);
    return range;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->clock.s.ns_per_instruction = 1;
    events_init(&f->events, NULL, NULL);
    assert_int_equal(bus_init(&f->ports, 65536), 0);
    assert_int_equal(bus_init(&f->mmio, ~0ull), 0);
    assert_int_equal(physmem_init(&f->memory, 2 << 20, 256 << 10, 0xc0000000), 0);
    f->memory.listener = (struct physmem_listener){ .context = f, .remapped = remapped };
    memset(physmem_host(&f->memory, physmem_rom_page(&f->memory, 0)), 0xf4, 256 << 10);

    pci_init(&f->pci, &f->components);
    i440fx_init(&f->i440fx, &f->pci, &f->memory, 256 << 10);
    f->master_range = off_range(&f->ports, 16, 4, answer, NULL, f);
    struct line irqs[16];
    for (unsigned i = 0; i < 16; i++)
        irqs[i] = (struct line){ irq_set, f, i };
    piix3_init(&f->piix3, &f->pci, 1, irqs, &f->ports, f->master_range);
    const struct piix4pm_wiring wiring = {
        .clock = &f->clock, .events = &f->events, .ports = &f->ports,
        .sci = { irq_set, f, 25 }, .smi = { smi_set, f, 0 },
        .power_off = power_off, .context = f,
        .pm_range = off_range(&f->ports, 64, 4, piix4pm_read, piix4pm_write, &f->pm),
        .smbus_range = off_range(&f->ports, 16, 1, piix4pm_smbus_read, piix4pm_smbus_write, &f->pm),
    };
    piix4pm_init(&f->pm, &f->pci, PM, &wiring);

    pci_add_function(&f->pci, &f->card, CARD, 0x1234, 0x5678, 0x020000, 1);
    pci_default8(&f->card, PCI_INTERRUPT_PIN, 1, 0);
    f->card_range = off_range(&f->mmio, 0x1000, 4, answer, NULL, f);
    pci_add_bar(&f->card, 2, &f->mmio, f->card_range, 0x1000, false, true);
    pci_function_ready(&f->card);

    bus_add(&f->ports, "apm", 0xb2, 2, 1, piix4pm_apm_read, piix4pm_apm_write, &f->pm);
    bus_add(&f->ports, "address", 0xcf8, 4, 4, pci_address_read, pci_address_write, &f->pci);
    bus_add(&f->ports, "data", 0xcfc, 4, 4, pci_data_read, pci_data_write, &f->pci);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    bus_free(&f->ports);
    bus_free(&f->mmio);
    physmem_free(&f->memory);
    free(f);
    return 0;
}

static uint64_t config_read(struct fixture *f, uint8_t devfn, unsigned offset, unsigned bytes)
{
    bus_write(&f->ports, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | (offset & 0xfc), 4);
    return bus_read(&f->ports, 0xcfc + (offset & 3), bytes);
}

static void config_write(struct fixture *f, uint8_t devfn, unsigned offset, uint64_t value,
                         unsigned bytes)
{
    bus_write(&f->ports, 0xcf8, 0x80000000u | (uint32_t)devfn << 8 | (offset & 0xfc), 4);
    bus_write(&f->ports, 0xcfc + (offset & 3), value, bytes);
}

static void test_identities(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(config_read(f, HOST, 0, 4), 0x12378086);
    assert_int_equal(config_read(f, HOST, 0x2c, 4), 0x11001af4);
    assert_int_equal(config_read(f, BRIDGE, 0, 4), 0x70008086);
    assert_int_equal(config_read(f, BRIDGE, 0x0e, 1), 0x80);
    assert_int_equal(config_read(f, IDE, 0, 4), 0x70108086);
    assert_int_equal(config_read(f, IDE, 8, 4) >> 8, 0x010180);
    assert_int_equal(config_read(f, PM, 0, 4), 0x71138086);
    assert_int_equal(config_read(f, PM, 0x5b, 1), 0x00);
    assert_int_equal(config_read(f, PCI_DEVFN(1, 2), 0, 4), 0xffffffff);
    config_write(f, HOST, 0, 0, 4); /* identity is read-only */
    assert_int_equal(config_read(f, HOST, 0, 4), 0x12378086);
}

static void test_mechanism(void **state)
{
    struct fixture *f = *state;
    bus_write(&f->ports, 0xcf8, 0xffffffff, 4);
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80fffffc);
    bus_write(&f->ports, 0xcfb, 0x01, 1); /* bytes do not reach the register */
    assert_int_equal(bus_read(&f->ports, 0xcf8, 4), 0x80fffffc);
    bus_write(&f->ports, 0xcf8, 0, 4); /* disabled */
    assert_int_equal(bus_read(&f->ports, 0xcfc, 4), 0xffffffff);
    bus_write(&f->ports, 0xcf8, 0x80010000, 4); /* bus 1 */
    assert_int_equal(bus_read(&f->ports, 0xcfc, 4), 0xffffffff);
    assert_int_equal(config_read(f, HOST, 2, 2), 0x1237);
    assert_int_equal(config_read(f, HOST, 3, 1), 0x12);
    bus_write(&f->ports, 0xcf8, 0x80000000, 4);
    assert_int_equal(bus_read(&f->ports, 0xcff, 2) & 0xff, 0x12); /* runs over the end */
}

static void test_io_bar(void **state)
{
    struct fixture *f = *state;
    config_write(f, IDE, 0x20, 0xffffffff, 4);
    assert_int_equal(config_read(f, IDE, 0x20, 4), 0xfffffff1);
    config_write(f, IDE, PCI_COMMAND, PCI_COMMAND_IO, 2);
    assert_false(f->ports.ranges[f->master_range].enabled); /* being sized */
    config_write(f, IDE, 0x20, 0xc040, 4);
    assert_int_equal(bus_read(&f->ports, 0xc042, 1), 0x52);
    config_write(f, IDE, 0x20, 0xd040, 4);
    assert_int_equal(bus_read(&f->ports, 0xc042, 1), 0xff);
    assert_int_equal(bus_read(&f->ports, 0xd042, 1), 0x52);
    config_write(f, IDE, PCI_COMMAND, 0, 2);
    assert_int_equal(bus_read(&f->ports, 0xd042, 1), 0xff);
    config_write(f, IDE, PCI_COMMAND, PCI_COMMAND_IO, 2);
    config_write(f, IDE, 0x20, 0, 4); /* unassigned: must not hide port 0 */
    assert_false(f->ports.ranges[f->master_range].enabled);
}

static void test_wide_bar(void **state)
{
    struct fixture *f = *state;
    config_write(f, CARD, 0x18, 0xffffffff, 4);
    config_write(f, CARD, 0x1c, 0xffffffff, 4);
    assert_int_equal(config_read(f, CARD, 0x18, 4), 0xfffff004);
    assert_int_equal(config_read(f, CARD, 0x1c, 4), 0xffffffff);
    config_write(f, CARD, 0x18, 0xfebf1000, 4);
    config_write(f, CARD, 0x1c, 1, 4);
    config_write(f, CARD, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
    assert_int_equal(bus_read(&f->mmio, 0x1febf1003, 1), 0x53);
    struct pci_function_state saved = f->card.s;
    config_write(f, CARD, 0x1c, 0, 4);
    assert_int_equal(bus_read(&f->mmio, 0x1febf1003, 1), 0xff);
    f->card.s = saved; /* restored: the range follows */
    for (unsigned i = 0; i < f->components.count; i++)
        if (f->components.list[i].state == &f->card.s)
            f->components.list[i].restored(f->components.list[i].device);
    assert_int_equal(bus_read(&f->mmio, 0x1febf1003, 1), 0x53);
    pci_reset(&f->pci);
    assert_int_equal(bus_read(&f->mmio, 0x1febf1003, 1), 0xff);
}

static void test_interrupt_routing(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 0; i < 4; i++)
        config_write(f, BRIDGE, 0x60 + i, i & 1 ? 11 : 10, 1);
    /* Device 4, INTA: line (4 - 1) mod 4 = D, to IRQ 11. */
    pci_set_interrupt(&f->card, true);
    assert_int_equal(f->irqs, 1u << 11);
    assert_true(config_read(f, CARD, PCI_STATUS, 2) & PCI_STATUS_INTX);
    config_write(f, CARD, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, 2);
    assert_int_equal(f->irqs, 0);
    config_write(f, CARD, PCI_COMMAND, 0, 2);
    assert_int_equal(f->irqs, 1u << 11);
    config_write(f, BRIDGE, 0x63, 5, 1);
    assert_int_equal(f->irqs, 1u << 5);
    config_write(f, BRIDGE, 0x63, 13, 1); /* not a routable IRQ */
    assert_int_equal(f->irqs, 0);
    config_write(f, BRIDGE, 0x63, 5, 1);
    config_write(f, BRIDGE, 0x63, 0x85, 1);
    assert_int_equal(f->irqs, 0);
    config_write(f, BRIDGE, 0x63, 5, 1);
    pci_set_interrupt(&f->card, false);
    assert_int_equal(f->irqs, 0);
}

static uint32_t page_read(struct fixture *f, uint64_t address)
{
    return physmem_read_page(&f->memory, address);
}

static void test_pam(void **state)
{
    struct fixture *f = *state;
    uint32_t rom = physmem_rom_page(&f->memory, 0);
    assert_int_equal(page_read(f, 0xf0000), rom + 48);
    assert_int_equal(page_read(f, 0xe0000), rom + 32);
    assert_int_equal(physmem_write_page(&f->memory, 0xf0000), PHYSMEM_DISCARD);
    assert_int_equal(page_read(f, 0xc0000), PHYSMEM_MMIO);
    assert_int_equal(page_read(f, 0xa0000), PHYSMEM_MMIO);
    assert_int_equal(page_read(f, 0x9f000), 0x9f);
    unsigned before = f->remapped;
    config_write(f, HOST, 0x59, 0x20, 1); /* writes to RAM, reads from ROM */
    assert_int_equal(f->remapped, before + 1);
    assert_int_equal(page_read(f, 0xfffff), rom + 63);
    assert_int_equal(physmem_write_page(&f->memory, 0xfffff), 0xff);
    config_write(f, HOST, 0x59, 0x30, 1);
    assert_int_equal(page_read(f, 0xfffff), 0xff);
    config_write(f, HOST, 0x5a, 0x31, 1); /* C0000: read RAM only; C4000: both */
    assert_int_equal(page_read(f, 0xc3000), 0xc3);
    assert_int_equal(physmem_write_page(&f->memory, 0xc3000), PHYSMEM_MMIO);
    assert_int_equal(physmem_write_page(&f->memory, 0xc4000), 0xc4);
    assert_int_equal(page_read(f, 0xc8000), PHYSMEM_MMIO);
    config_write(f, HOST, 0x5f, 0x33, 1);
    assert_int_equal(page_read(f, 0xec000), 0xec);
    assert_int_equal(page_read(f, 0xe4000), rom + 36);
    pci_reset(&f->pci);
    assert_int_equal(page_read(f, 0xfffff), rom + 63);
}

/* What SMM sees at A0000h for data and fetches, and what the others see. */
static void test_smram_states(void **state)
{
    struct fixture *f = *state;
    static const struct { uint8_t value; bool data, fetch, others; } rows[] = {
        { 0x02, false, false, false }, { 0x0a, true, true, false }, { 0x2a, false, true, false },
        { 0x4a, true, true, true }, { 0x6a, false, true, false }, { 0x42, false, false, false },
        { 0x22, false, false, false }, { 0x1a, true, true, false },
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        config_write(f, HOST, 0x72, rows[i].value, 1);
        assert_int_equal(physmem_smram_covers(&f->memory, 0xa0000, false), rows[i].data);
        assert_int_equal(physmem_smram_covers(&f->memory, 0xbffff, false), rows[i].data);
        assert_int_equal(physmem_smram_covers(&f->memory, 0xbf000, true), rows[i].fetch);
        assert_int_equal(page_read(f, 0xa0000), rows[i].others ? 0xa0 : PHYSMEM_MMIO);
        assert_int_equal(page_read(f, 0xbf000), rows[i].others ? 0xbf : PHYSMEM_MMIO);
        assert_false(physmem_smram_covers(&f->memory, 0x9ffff, true));
        assert_false(physmem_smram_covers(&f->memory, 0xc0000, true));
    }
    pci_reset(&f->pci);
    assert_false(physmem_smram_covers(&f->memory, 0xa0000, true));
}

static void test_smram(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(config_read(f, HOST, 0x72, 1), 0x02);
    config_write(f, HOST, 0x72, 0x4a, 1); /* open, enabled */
    assert_int_equal(page_read(f, 0xa0000), 0xa0);
    config_write(f, HOST, 0x72, 0x1a, 1); /* locked, closed */
    assert_int_equal(page_read(f, 0xa0000), PHYSMEM_MMIO);
    config_write(f, HOST, 0x72, 0x4a, 1);
    assert_int_equal(config_read(f, HOST, 0x72, 1), 0x1a);
    assert_int_equal(page_read(f, 0xa0000), PHYSMEM_MMIO);
    pci_reset(&f->pci);
    config_write(f, HOST, 0x72, 0x4a, 1);
    assert_int_equal(page_read(f, 0xa0000), 0xa0);
}

static void pm_enable(struct fixture *f)
{
    config_write(f, PM, 0x40, 0x601, 4);
    config_write(f, PM, 0x80, 1, 1);
}

static void test_pm_timer(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(bus_read(&f->ports, 0x608, 4), 0xffffffff);
    pm_enable(f);
    f->clock.s.instructions = 1000000000;
    assert_int_equal(bus_read(&f->ports, 0x608, 4), 3579545);
    bus_write(&f->ports, 0xb2, PIIX4PM_ACPI_ENABLE, 1);
    assert_int_equal(bus_read(&f->ports, 0x604, 2), 1);
    bus_write(&f->ports, 0x602, 0x0001, 2); /* overflow enable */
    uint64_t due = events_deadline(&f->events, f->pm.timer);
    assert_int_equal(due, clock_ticks_to_ns(1u << 23, 3579545));
    f->clock.s.instructions = due - 1;
    assert_int_equal(bus_read(&f->ports, 0x608, 4), (1u << 23) - 1);
    assert_int_equal(bus_read(&f->ports, 0x600, 2), 0);
    f->clock.s.instructions = due;
    events_run(&f->events, due);
    assert_int_equal(bus_read(&f->ports, 0x608, 4), 1u << 23);
    assert_int_equal(bus_read(&f->ports, 0x600, 2), 1);
    assert_int_equal(f->irqs, 1u << 25);
    bus_write(&f->ports, 0x600, 1, 2); /* cleared: the next change is awaited */
    assert_int_equal(f->irqs, 0);
    assert_int_equal(events_deadline(&f->events, f->pm.timer),
                     clock_ticks_to_ns(2u << 23, 3579545));
}

/* An SMI needs both enables; SCI_EN follows the command without them. */
static void test_smi(void **state)
{
    struct fixture *f = *state;
    static const struct { uint8_t apmc_en, smi_en, smis; } rows[] = {
        { 0, 0, 0 }, { 2, 0, 0 }, { 0, 1, 0 }, { 2, 1, 1 }, { 0xfd, 1, 0 }, { 2, 0xfe, 0 },
    };
    pm_enable(f);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned before = f->smis;
        config_write(f, PM, 0x5b, rows[i].apmc_en, 1);
        bus_write(&f->ports, 0x628, rows[i].smi_en, 1);
        bus_write(&f->ports, 0xb3, 0x55, 1); /* the status port does nothing */
        assert_int_equal(f->smis, before);
        bus_write(&f->ports, 0xb2, i, 1);
        assert_int_equal(f->smis, before + rows[i].smis);
        assert_int_equal(bus_read(&f->ports, 0xb2, 2), 0x5500 | i);
    }
    pci_reset(&f->pci);
    assert_int_equal(config_read(f, PM, 0x5b, 1), 0);
}

static void test_power(void **state)
{
    struct fixture *f = *state;
    pm_enable(f);
    piix4pm_power_button(&f->pm);
    bus_write(&f->ports, 0x602, 0x0100, 2);
    assert_int_equal(f->irqs, 0); /* not in ACPI mode */
    bus_write(&f->ports, 0xb2, PIIX4PM_ACPI_ENABLE, 1);
    assert_int_equal(f->irqs, 1u << 25);
    bus_write(&f->ports, 0x601, 0x01, 1); /* by its byte */
    assert_int_equal(f->irqs, 0);
    bus_write(&f->ports, 0x604, 0x3401, 2); /* another sleep type: nothing */
    assert_int_equal(f->powered_off, 0);
    bus_write(&f->ports, 0x604, 0x2001, 2);
    assert_int_equal(f->powered_off, 1);
    assert_int_equal(bus_read(&f->ports, 0x604, 2), 0x0001);
}

static void test_smbus(void **state)
{
    struct fixture *f = *state;
    config_write(f, PM, 0x90, 0x701, 4);
    config_write(f, PM, 0xd2, 0x09, 1);
    bus_write(&f->ports, 0x704, 0xa1, 1);
    bus_write(&f->ports, 0x702, 0x48, 1); /* start: nobody answers */
    assert_int_equal(bus_read(&f->ports, 0x700, 1), 0x04);
    bus_write(&f->ports, 0x700, 0xff, 1);
    assert_int_equal(bus_read(&f->ports, 0x700, 1), 0);
    assert_int_equal(bus_read(&f->ports, 0x704, 1), 0xa1);
}

/* Whatever a guest writes anywhere, nothing breaks. */
static void test_hostile_writes(void **state)
{
    struct fixture *f = *state;
    uint64_t x = 88172645463325252ull;
    for (unsigned i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        static const uint8_t targets[] = { HOST, BRIDGE, IDE, PM, CARD };
        config_write(f, targets[x % 5], x >> 8 & 0xff, x >> 16, 1u << (x >> 60 & 1));
        bus_write(&f->ports, 0x600 + (x >> 20 & 0x13f), x >> 32, 1u << (x >> 61 & 1));
        bus_read(&f->ports, 0x600 + (x >> 20 & 0x13f), 4);
        f->clock.s.instructions += x >> 40;
        events_run(&f->events, clock_now(&f->clock));
    }
    pci_reset(&f->pci);
    test_identities(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_identities), TEST(test_mechanism), TEST(test_io_bar), TEST(test_wide_bar),
        TEST(test_interrupt_routing), TEST(test_pam), TEST(test_smram), TEST(test_pm_timer),
        TEST(test_interrupt_routing), TEST(test_pam), TEST(test_smram_states), TEST(test_pm_timer),
        TEST(test_interrupt_routing), TEST(test_pam), TEST(test_smi), TEST(test_pm_timer),
        TEST(test_power), TEST(test_smbus), TEST(test_hostile_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
