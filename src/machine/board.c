/*
 * The board pc-2, and pc-1, whose firmware finds SMM set up already; see
 * board.h. Port and interrupt assignments are those of the PC/AT and of the
 * Intel 82371SB (PIIX3) data sheet, 290550-002.
 *
 * Every reset source (CF9h, port 92h, keyboard controller) resets the whole
 * machine, as firmware for this kind of board expects.
 *
 * Not modelled: FERR# (the vCPUs do not report x87 errors through IRQ 13),
 * floppy controller, parallel port, video, HPET.
 */
#include "machine/board.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "machine/board_internal.h"
#include "machine/cpu_lines.h"
#include "util/bits.h"

#define PIIX_DEVICE 1

/* ---- lines --------------------------------------------------------------- */

/* An ISA interrupt line is the OR of its sources; it goes to the 8259 pair and
 * to the I/O APIC pin of its number, but for the timer, which is on pin 2. */
static void set_irq(void *receiver, unsigned input, bool level)
{
    struct board *board = receiver;
    unsigned irq = input & 15;
    uint32_t bit = 1u << (input >> 4);
    uint32_t *sources = &board->s.irq_sources[irq];
    uint32_t now = level ? *sources | bit : *sources & ~bit;
    if (now == *sources)
        return;
    bool changed = (now != 0) != (*sources != 0);
    *sources = now;
    if (!changed)
        return;
    pic_set_irq(&board->pic, irq, now != 0);
    ioapic_set_line(&board->ioapic, irq ? irq : 2, now != 0);
}

/* A pin of the I/O APIC that no ISA line has. */
static void set_pin(void *receiver, unsigned input, bool level)
{
    struct board *board = receiver;
    ioapic_set_line(&board->ioapic, input, level);
}

static struct line irq_line(struct board *board, enum board_irq_source source, unsigned irq)
{
    return (struct line){ set_irq, board, (unsigned)source << 4 | irq };
}

/* The last writer of port 92h and of the keyboard controller's port wins. */
static void set_a20(void *receiver, unsigned input, bool level)
{
    struct board *board = receiver;
    (void)input;
    board->s.a20 = level;
    port92_show_a20(&board->port92, level);
    i8042_show_a20(&board->i8042, level);
    physmem_set_a20(&board->machine->memory, level);
}

static void board_restored(void *device)
{
    struct board *board = device;
    physmem_set_a20(&board->machine->memory, board->s.a20);
}

static void set_reset(void *receiver, unsigned input, bool level)
{
    struct board *board = receiver;
    (void)input;
    if (level)
        machine_reset_request(board->machine);
}

static void reset_register(void *context, bool hard)
{
    struct board *board = context;
    (void)hard;
    machine_reset_request(board->machine);
}

/* SMI# of the PM function goes to the boot vCPU, the only one whose SMBASE
 * this board's firmware moves. */
static void set_smi(void *receiver, unsigned input, bool level)
{
    struct board *board = receiver;
    if (level)
        machine_cpu_smi(board->machine, input);
}

static void power_off(void *context)
{
    struct board *board = context;
    machine_power_off(board->machine);
}

static void debug_exit(void *context, uint32_t status)
{
    struct board *board = context;
    machine_debug_exit(board->machine, status);
}

static void output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct board *board = context;
    const struct hooks *hooks = &board->machine->hooks;
    if (hooks->output)
        hooks->output(hooks->context, unit, bytes, length);
}

static uint64_t tsc_offset(void *context, unsigned cpu)
{
    struct board *board = context;
    return board->machine->cpus[cpu]->s.tsc_offset;
}

/* ---- ports ---------------------------------------------------------------- */

struct port_range {
    const char *name;
    uint16_t base;
    uint16_t size;
    uint8_t widest;
    bus_read_function *read;
    bus_write_function *write;
    size_t device; /* offset in struct board */
};

#define CHIP(member) offsetof(struct board, member)

/* A later row hides an earlier one. */
static const struct port_range port_ranges[] = {
    { "dma1", 0x00, 16, 1, dma8237_read_first, dma8237_write_first, CHIP(dma8237) },
    { "pic1", 0x20, 2, 1, pic_read_master, pic_write_master, CHIP(pic) },
    { "pit", 0x40, 4, 1, pit_read, pit_write, CHIP(pit) },
    { "i8042 data", 0x60, 1, 1, i8042_read_data, i8042_write_data, CHIP(i8042) },
    { "port61", 0x61, 1, 1, port61_read, port61_write, CHIP(port61) },
    { "i8042", 0x64, 1, 1, i8042_read_status, i8042_write_command, CHIP(i8042) },
    { "rtc", 0x70, 2, 1, rtc_read, rtc_write, CHIP(rtc) },
    { "dma pages", 0x80, 16, 1, dma8237_read_pages, dma8237_write_pages, CHIP(dma8237) },
    { "port92", 0x92, 1, 1, port92_read, port92_write, CHIP(port92) },
    { "pic2", 0xa0, 2, 1, pic_read_slave, pic_write_slave, CHIP(pic) },
    { "apm", BOARD_APM_PORT, PIIX4PM_APM_PORTS, 1, piix4pm_apm_read, piix4pm_apm_write, CHIP(pm) },
    { "dma2", 0xc0, 32, 1, dma8237_read_second, dma8237_write_second, CHIP(dma8237) },
    { "fpu error", 0xf0, 2, 1, fpu_error_read, fpu_error_write, CHIP(fpu_error) },
    { "ide2", 0x170, 8, 4, ide_command_read, ide_command_write, CHIP(ide.channels[1]) },
    { "ide1", 0x1f0, 8, 4, ide_command_read, ide_command_write, CHIP(ide.channels[0]) },
    { "ide2 control", 0x376, 1, 1, ide_control_read, ide_control_write, CHIP(ide.channels[1]) },
    { "ide1 control", 0x3f6, 1, 1, ide_control_read, ide_control_write, CHIP(ide.channels[0]) },
    { "elcr", 0x4d0, 2, 1, pic_read_elcr, pic_write_elcr, CHIP(pic) },
    { "fw_cfg", 0x510, FW_CFG_PORT_BYTES, 2, fw_cfg_read, fw_cfg_write, CHIP(fw_cfg) },
    { "fw_cfg dma", 0x514, FW_CFG_DMA_BYTES, 4, fw_cfg_dma_read, fw_cfg_dma_write, CHIP(fw_cfg) },
    { "pci address", 0xcf8, 4, 4, pci_address_read, pci_address_write, CHIP(pci) },
    { "reset", 0xcf9, 1, 1, reset_control_read, reset_control_write, CHIP(reset_control) },
    { "pci data", 0xcfc, 4, 4, pci_data_read, pci_data_write, CHIP(pci) },
};

static void map_testdev(struct board *board)
{
    struct machine *machine = board->machine;
    struct testdev *testdev = &board->testdev;
    bus_add(&machine->ports, "testdev latch", BOARD_TESTDEV_LATCH, TESTDEV_LATCH_PORTS, 4,
            testdev_latch_read, testdev_latch_write, testdev);
    bus_add(&machine->ports, "testdev flush", BOARD_TESTDEV_FLUSH, TESTDEV_FLUSH_PORTS, 4, NULL,
            testdev_flush_write, testdev);
    bus_add(&machine->ports, "testdev bytes", BOARD_TESTDEV_BYTES, TESTDEV_LATCH_PORTS, 1,
            testdev_latch_read, testdev_latch_write, testdev);
    bus_add(&machine->ports, "testdev lines", BOARD_TESTDEV_LINES, TESTDEV_LINES, 1, NULL,
            testdev_lines_write, testdev);
    bus_add(&machine->mmio, "testdev", BOARD_TESTDEV_MEMORY, TESTDEV_MEMORY, 8,
            testdev_memory_read, testdev_memory_write, testdev);
}

static void map_ports(struct board *board)
{
    const struct description *description = board->machine->description;
    struct bus *ports = &board->machine->ports;
    for (unsigned i = 0; i < ARRAY_SIZE(port_ranges); i++) {
        const struct port_range *range = &port_ranges[i];
        bus_add(ports, range->name, range->base, range->size, range->widest, range->read,
                range->write, (uint8_t *)board + range->device);
    }
    for (unsigned i = 0; i < BOARD_SERIALS; i++)
        if (description->serials >> i & 1)
            bus_add(ports, "serial", acpi_serial_ports[i].base, 8, 1, uart_read, uart_write,
                    &board->uarts[i]);
    for (unsigned i = 0; i < BOARD_DEBUGCONS; i++)
        if (description->debugcons[i])
            bus_add(ports, "debugcon", description->debugcons[i] & 0xffff, 1, 1, debugcon_read,
                    debugcon_write, &board->debugcons[i]);
    for (unsigned i = 0; i < DESCRIPTION_DEBUG_EXITS; i++)
        if (description->debug_exits[i].iosize)
            bus_add(ports, "debug exit", description->debug_exits[i].iobase & 0xffff,
                    description->debug_exits[i].iosize, 4, debugexit_read, debugexit_write,
                    &board->debugexit);
    if (description->testdev)
        map_testdev(board);
}

/* A range whose place a PCI register decides; off until then. */
static unsigned movable_ports(struct board *board, const char *name, uint64_t size,
                              unsigned widest, bus_read_function *read,
                              bus_write_function *write, void *device)
{
    struct bus *ports = &board->machine->ports;
    unsigned range = bus_add(ports, name, 0, size, widest, read, write, device);
    bus_move(ports, range, 0, size, false);
    return range;
}

/* ---- chips ---------------------------------------------------------------- */

static void init_interrupts(struct board *board)
{
    struct machine *machine = board->machine;
    const struct lapic_wiring wiring = {
        .machine = machine,
        .interrupt = machine_cpu_interrupt,
        .nmi = machine_cpu_nmi,
        .smi = machine_cpu_smi,
        .init = machine_cpu_init,
        .startup = machine_cpu_startup,
        .clock = &machine->clock,
        .events = &machine->events,
        .tsc_offset = tsc_offset,
        .tsc_context = board,
        .broadcast_eoi = ioapic_broadcast_eoi,
        .eoi_context = &board->ioapic,
        .lacks_tsc_deadline = !cpu_model_has(machine->cpus[0]->model, FEATURE_TSC_DEADLINE),
    };
    lapics_init(&board->lapics, machine->cpu_count, &wiring);
    ioapic_init(&board->ioapic, &board->lapics);
    pic_init(&board->pic, (struct line){ lapic_set_extint, &board->lapics, LAPIC_ALL_CPUS });
    bus_add(&machine->mmio, "ioapic", IOAPIC_DEFAULT_BASE, IOAPIC_BYTES, 4, ioapic_read,
            ioapic_write, &board->ioapic);
    bus_add(&machine->mmio, "interrupt messages", LAPIC_DEFAULT_BASE, LAPIC_MESSAGE_BYTES, 4, NULL,
            lapic_message_write, &board->lapics);
}

static void init_pci(struct board *board)
{
    struct machine *machine = board->machine;
    pci_init(&board->pci, &machine->components);
    i440fx_init(&board->i440fx, &board->pci, &machine->memory,
                (uint64_t)machine->memory.rom_pages << PAGE_SHIFT);
    struct line irqs[PIIX3_IRQS];
    for (unsigned i = 0; i < PIIX3_IRQS; i++)
        irqs[i] = irq_line(board, BOARD_IRQ_PCI, i);
    unsigned master = movable_ports(board, "ide master", PIIX3_MASTER_BYTES, 4, ide_master_read,
                                    ide_master_write, &board->ide);
    piix3_init(&board->piix3, &board->pci, PIIX_DEVICE, irqs, &machine->ports, master);
    const struct piix4pm_wiring wiring = {
        .clock = &machine->clock,
        .events = &machine->events,
        .sci = irq_line(board, BOARD_IRQ_SCI, 9),
        .smi = { description_version(machine->description) >= 2 ? set_smi : NULL, board, 0 },
        .power_off = power_off,
        .context = board,
        .ports = &machine->ports,
        .pm_range = movable_ports(board, "pm", PIIX4PM_PORTS, 4, piix4pm_read, piix4pm_write,
                                  &board->pm),
        .smbus_range = movable_ports(board, "smbus", PIIX4PM_SMBUS_PORTS, 1, piix4pm_smbus_read,
                                     piix4pm_smbus_write, &board->pm),
    };
    piix4pm_init(&board->pm, &board->pci, PCI_DEVFN(PIIX_DEVICE, 3), &wiring);
}

static void init_isa(struct board *board)
{
    struct machine *machine = board->machine;
    const struct clock *clock = &machine->clock;
    struct events *events = &machine->events;
    const struct line a20 = { set_a20, board, 0 };
    const struct line reset = { set_reset, board, 0 };
    const struct line nowhere = { NULL, NULL, 0 };

    pit_init(&board->pit, clock, events, irq_line(board, BOARD_IRQ_PIT, 0));
    rtc_init(&board->rtc, clock, events, machine->description->rtc_base,
             irq_line(board, BOARD_IRQ_RTC, 8));
    port61_init(&board->port61, clock, &board->pit);
    fpu_error_init(&board->fpu_error, irq_line(board, BOARD_IRQ_FPU, 13), nowhere);
    reset_control_init(&board->reset_control, reset_register, board);
    dma8237_init(&board->dma8237);
    i8042_init(&board->i8042, clock, events, irq_line(board, BOARD_IRQ_KEYBOARD, 1),
               irq_line(board, BOARD_IRQ_MOUSE, 12), a20, reset);
    port92_init(&board->port92, a20, reset);
    for (unsigned i = 0; i < BOARD_SERIALS; i++)
        uart_init(&board->uarts[i], i, clock, events,
                  irq_line(board, BOARD_IRQ_SERIAL + i, acpi_serial_ports[i].irq), output, board);
    for (unsigned i = 0; i < BOARD_DEBUGCONS; i++)
        debugcon_init(&board->debugcons[i], BOARD_OUTPUT_DEBUGCON + i, output, board);
    debugexit_init(&board->debugexit, debug_exit, board);
}

/* Its lines up to 15 are the ISA's. */
static void init_testdev(struct board *board)
{
    struct line irqs[TESTDEV_LINES];
    for (unsigned i = 0; i < TESTDEV_LINES; i++)
        irqs[i] = i < BOARD_IRQS ? irq_line(board, BOARD_IRQ_TESTDEV, i)
                                 : (struct line){ set_pin, board, i };
    testdev_init(&board->testdev, irqs);
}

static int read_image(void *context, uint64_t offset, void *bytes, uint64_t length)
{
    memcpy(bytes, (const uint8_t *)context + offset, length);
    return 0;
}

static int init_drive(struct board *board, unsigned number, struct error *error)
{
    const struct description *description = board->machine->description;
    const struct description_drive *drive = &description->drives[number];
    if (drive->interface == DRIVE_NONE)
        return 0;
    struct disk *disk = NULL;
    if (drive->file >= 0) {
        const struct description_file *file = &description->files[drive->file];
        if (!file->size)
            return error_set(error, ERROR_FILE, "%s: an empty file cannot be a disk", file->path);
        const struct disk_source source = { read_image, (void *)file->bytes, file->size };
        disk = &board->disks[number];
        disk_init(disk, &source);
        board->disk_used[number] = true;
        board->disk_sizes[number] = file->size;
    } else if (drive->interface == DRIVE_DISK) {
        return error_set(error, ERROR_USAGE, "drive%u: a hard disk needs an image file", number);
    }
    ide_attach(&board->ide, number / 2, number % 2,
               drive->interface == DRIVE_CDROM ? IDE_CDROM : IDE_DISK, disk);
    return 0;
}

static int init_drives(struct board *board, struct error *error)
{
    struct machine *machine = board->machine;
    const struct line irqs[2] = {
        irq_line(board, BOARD_IRQ_IDE, 14), irq_line(board, BOARD_IRQ_IDE, 15),
    };
    ide_init(&board->ide, &machine->clock, &machine->events, &machine->dma, irqs);
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++)
        TRY(init_drive(board, i, error));
    return 0;
}

/* ---- state ---------------------------------------------------------------- */

struct board_component {
    const char *name;
    uint32_t size;
    size_t state; /* offset in struct board; the chip itself begins there too */
    void (*restored)(void *device);
};

#define STATE(name, member, restored) \
    { name, sizeof((struct board *)0)->member.s, CHIP(member.s), restored }

/* In each of these the state is the chip's first member. The PCI functions,
 * fw_cfg and the PM function register themselves. */
static const struct board_component board_components[] = {
    { "board", sizeof(struct board_state), CHIP(s), board_restored },
    STATE("ioapic", ioapic, ioapic_restored),
    STATE("pic", pic, pic_restored),
    STATE("pit", pit, pit_restored),
    STATE("rtc", rtc, rtc_restored),
    STATE("port61", port61, NULL),
    STATE("port92", port92, NULL),
    STATE("fpu-error", fpu_error, NULL),
    STATE("reset-control", reset_control, NULL),
    STATE("dma8237", dma8237, NULL),
    STATE("i8042", i8042, i8042_restored),
    STATE("ide", ide, ide_restored),
};
_Static_assert(offsetof(struct board, s) == 0 && offsetof(struct ioapic, s) == 0 &&
                   offsetof(struct pic, s) == 0 && offsetof(struct pit, s) == 0 &&
                   offsetof(struct rtc, s) == 0 && offsetof(struct i8042, s) == 0 &&
                   offsetof(struct ide, s) == 0,
               "the device of these components is where its state is");

static void add_components(struct board *board)
{
    struct components *components = &board->machine->components;
    for (unsigned i = 0; i < ARRAY_SIZE(board_components); i++) {
        const struct board_component *component = &board_components[i];
        void *state = (uint8_t *)board + component->state;
        components_add(components, component->name, COMPONENT_SINGLE, state, component->size,
                       component->restored, state);
    }
    for (unsigned i = 0; i < board->lapics.count; i++) {
        struct lapic *lapic = &board->lapics.list[i];
        components_add(components, "lapic", i, &lapic->s, sizeof lapic->s, lapic_restored, lapic);
    }
    for (unsigned i = 0; i < BOARD_SERIALS; i++) {
        struct uart *uart = &board->uarts[i];
        components_add(components, "serial", i, &uart->s, sizeof uart->s, uart_restored, uart);
    }
    for (unsigned i = 0; i < BOARD_DEBUGCONS; i++)
        components_add(components, "debugcon", i, &board->debugcons[i].s,
                       sizeof board->debugcons[i].s, NULL, NULL);
    if (board->machine->description->testdev)
        components_add(components, "testdev", COMPONENT_SINGLE, &board->testdev.s,
                       sizeof board->testdev.s, NULL, NULL);
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++) {
        if (!board->disk_used[i])
            continue;
        struct disk *disk = &board->disks[i];
        components_add(components, "disk", i, &disk->s, sizeof disk->s, NULL, disk);
        components->list[components->count - 1].prepare = disk_prepare;
    }
}

/* ---- life ----------------------------------------------------------------- */

struct board *board_create(struct machine *machine, struct error *error)
{
    struct board *board = calloc(1, sizeof *board);
    if (!board) {
        error_set(error, ERROR_MEMORY, "no memory for the board");
        return NULL;
    }
    board->machine = machine;
    init_interrupts(board);
    init_pci(board);
    init_isa(board);
    init_testdev(board);
    fw_cfg_init(&board->fw_cfg, &machine->dma, &machine->components);
    if (init_drives(board, error) < 0 || board_load_rom(board, error) < 0 ||
        board_fill_fw_cfg(board, error) < 0) {
        board_destroy(board);
        return NULL;
    }
    board_fill_cmos(board);
    map_ports(board);
    add_components(board);
    board_reset(board);
    return board;
}

void board_destroy(struct board *board)
{
    if (!board)
        return;
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++)
        if (board->disk_used[i])
            disk_free(&board->disks[i]);
    fw_cfg_free(&board->fw_cfg);
    free(board);
}

void board_reset(struct board *board)
{
    pci_reset(&board->pci);
    piix3_reset(&board->piix3);
    piix4pm_reset(&board->pm);
    pic_reset(&board->pic);
    ioapic_reset(&board->ioapic);
    lapics_reset(&board->lapics);
    pit_reset(&board->pit);
    rtc_reset(&board->rtc);
    port61_reset(&board->port61);
    fpu_error_reset(&board->fpu_error);
    reset_control_reset(&board->reset_control);
    dma8237_reset(&board->dma8237);
    i8042_reset(&board->i8042);
    port92_reset(&board->port92);
    ide_reset(&board->ide);
    for (unsigned i = 0; i < BOARD_SERIALS; i++)
        uart_reset(&board->uarts[i]);
    for (unsigned i = 0; i < BOARD_DEBUGCONS; i++)
        debugcon_reset(&board->debugcons[i]);
    testdev_reset(&board->testdev);
    fw_cfg_reset(&board->fw_cfg);
}

/* ---- what the vCPUs ask --------------------------------------------------- */

int board_interrupt_acknowledge(struct board *board, unsigned cpu)
{
    int vector = lapic_acknowledge(&board->lapics, cpu);
    if (vector == LAPIC_EXTINT)
        return pic_acknowledge(&board->pic);
    return vector < 0 ? -1 : vector;
}

int board_msr_read(struct board *board, unsigned cpu, uint32_t msr, uint64_t *value)
{
    return lapic_msr_read(&board->lapics, cpu, msr, value);
}

int board_msr_write(struct board *board, unsigned cpu, uint32_t msr, uint64_t value)
{
    return lapic_msr_write(&board->lapics, cpu, msr, value);
}

void board_tsc_changed(struct board *board, unsigned cpu)
{
    lapic_tsc_changed(&board->lapics, cpu);
}

bool board_fpu_error(struct board *board, bool level)
{
    fpu_error_set_ferr(&board->fpu_error, 0, level);
    return board->fpu_error.s.ignne;
}

uint64_t board_tpr_read(struct board *board, unsigned cpu)
{
    return lapic_tpr_read(&board->lapics, cpu);
}

void board_tpr_write(struct board *board, unsigned cpu, uint64_t value)
{
    lapic_tpr_write(&board->lapics, cpu, value);
}

uint64_t board_mmio_read(struct board *board, unsigned cpu, uint64_t address, unsigned bytes)
{
    if (lapic_covers(&board->lapics, cpu, address))
        return lapic_mmio_read(&board->lapics, cpu, address & (LAPIC_PAGE_BYTES - 1), bytes);
    return bus_read(&board->machine->mmio, address, bytes);
}

void board_mmio_write(struct board *board, unsigned cpu, uint64_t address, uint64_t value,
                      unsigned bytes)
{
    if (lapic_covers(&board->lapics, cpu, address))
        lapic_mmio_write(&board->lapics, cpu, address & (LAPIC_PAGE_BYTES - 1), value, bytes);
    else
        bus_write(&board->machine->mmio, address, value, bytes);
}

void board_message(struct board *board, uint64_t address, uint32_t data)
{
    lapic_message(&board->lapics, address, data);
}

void board_cpu_reset(struct board *board, unsigned cpu)
{
    lapic_cpu_reset(&board->lapics, cpu);
}

struct disk *board_disk(struct board *board, unsigned drive)
{
    return drive < DESCRIPTION_DRIVES && board->disk_used[drive] ? &board->disks[drive] : NULL;
}

/* ---- input ---------------------------------------------------------------- */

static bool serial_exists(const struct board *board, unsigned unit)
{
    return unit < BOARD_SERIALS && (board->machine->description->serials >> unit & 1);
}

bool board_input_ready(struct board *board, enum input_kind kind, unsigned unit)
{
    switch (kind) {
    case INPUT_SERIAL:
        return serial_exists(board, unit) && uart_can_receive(&board->uarts[unit]);
    case INPUT_KEY:
        return i8042_can_key(&board->i8042);
    case INPUT_POWER_BUTTON:
    case INPUT_RESET:
    case INPUT_NMI:
        return true;
    }
    return false;
}

bool board_input(struct board *board, enum input_kind kind, unsigned unit, uint8_t value)
{
    if (!board_input_ready(board, kind, unit))
        return false;
    switch (kind) {
    case INPUT_SERIAL:
        uart_receive(&board->uarts[unit], value);
        break;
    case INPUT_KEY:
        i8042_key(&board->i8042, value);
        break;
    case INPUT_POWER_BUTTON:
        piix4pm_power_button(&board->pm);
        break;
    case INPUT_RESET:
        machine_reset_request(board->machine);
        break;
    case INPUT_NMI:
        if (!rtc_nmi_masked(&board->rtc)) {
            lapic_set_nmi(&board->lapics, LAPIC_ALL_CPUS, true);
            lapic_set_nmi(&board->lapics, LAPIC_ALL_CPUS, false);
        }
        break;
    }
    return true;
}
