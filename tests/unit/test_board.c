/*
 * The board by its ports, with a machine around it that has memory,
 * clock, events and busses but vCPUs that never run: what the board asks of
 * the machine is noted here instead of being done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "machine/board.h"
#include "machine/board_internal.h"
#include "machine/cpu_lines.h"
#include "machine/machine.h"
#include "util/bits.h"

#define BIOS_BYTES (256u << 10)
#define KERNEL_BYTES 40000u
#define DISK_BYTES (1u << 20)

struct fixture {
    struct machine machine;
    struct description description;
    struct cpu *cpu_list[2];
    struct cpu_model model;
    struct error error;
    uint8_t bios[BIOS_BYTES];
    uint8_t kernel[KERNEL_BYTES];
    uint8_t initrd[5000];
    uint8_t disk[DISK_BYTES];
    char output[64];
    unsigned output_count;
    uint64_t output_units;
};

/* What the board asked for, of the fixture whose test runs. */
static struct asked {
    bool interrupt[2];
    unsigned nmis, smis, resets, power_offs, exits;
    uint32_t exit_status;
} asked;

void machine_cpu_interrupt(struct machine *machine, unsigned cpu, bool level)
{
    (void)machine;
    asked.interrupt[cpu] = level;
}

void machine_cpu_nmi(struct machine *machine, unsigned cpu)
{
    (void)machine;
    (void)cpu;
    asked.nmis++;
}

void machine_cpu_smi(struct machine *machine, unsigned cpu)
{
    (void)machine;
    assert_int_equal(cpu, 0);
    asked.smis++;
}

void machine_cpu_init(struct machine *machine, unsigned cpu)
{
    board_cpu_reset(machine->board, cpu);
}

void machine_cpu_startup(struct machine *machine, unsigned cpu, uint8_t vector)
{
    (void)machine;
    (void)cpu;
    (void)vector;
}

void machine_power_off(struct machine *machine)
{
    (void)machine;
    asked.power_offs++;
}

void machine_reset_request(struct machine *machine)
{
    (void)machine;
    asked.resets++;
}

void machine_debug_exit(struct machine *machine, uint32_t status)
{
    (void)machine;
    asked.exits++;
    asked.exit_status = status;
}

static void memory_read(void *context, uint64_t address, void *bytes, uint64_t length)
{
    struct machine *machine = context;
    physmem_read(&machine->memory, address, bytes, length);
}

static void memory_write(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    struct machine *machine = context;
    physmem_write(&machine->memory, address, bytes, length);
}

static void output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct fixture *f = context;
    f->output_units |= 1ull << unit;
    for (uint64_t i = 0; i < length && f->output_count < sizeof f->output - 1; i++)
        f->output[f->output_count++] = (char)bytes[i];
}

static int32_t add_file(struct fixture *f, const char *name, const uint8_t *bytes, uint64_t size)
{
    struct description_file *file = &f->description.files[f->description.file_count];
    snprintf(file->name, sizeof file->name, "%s", name);
    snprintf(file->path, sizeof file->path, "/test/%s", name);
    file->bytes = bytes;
    file->size = size;
    return (int32_t)f->description.file_count++;
}

/* A description with firmware, 128 MiB, two vCPUs, two serial ports. */
static struct fixture *describe(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    memset(&asked, 0, sizeof asked);
    description_init(&f->description);
    f->description.memory_bytes = 128u << 20;
    f->description.cpus = 2;
    f->description.serials = 3;
    f->description.debugcons[0] = 0x402;
    f->description.debug_exits[0] = (struct description_debug_exit){ 0x501, 2 };
    memset(f->bios, 0xf4, sizeof f->bios);
    f->description.bios = add_file(f, "bios", f->bios, sizeof f->bios);
    return f;
}

static void power_on(struct fixture *f)
{
    struct machine *machine = &f->machine;
    machine->description = &f->description;
    machine->clock.s.ns_per_instruction = 1;
    machine->hooks = (struct hooks){ .context = f, .output = output };
    machine->dma = (struct dma){ memory_read, memory_write, machine };
    events_init(&machine->events, NULL, NULL);
    assert_int_equal(bus_init(&machine->ports, 65536), 0);
    assert_int_equal(bus_init(&machine->mmio, ~0ull), 0);
    assert_int_equal(physmem_init(&machine->memory, f->description.memory_bytes, BIOS_BYTES,
                                  BOARD_PCI_HOLE), 0);
    for (unsigned i = 0; i < 2; i++)
        f->cpu_list[i] = aligned_alloc(64, (sizeof(struct cpu) + 63) & ~63ul);
    assert_int_equal(cpu_model_parse(&f->model, f->description.cpu, 2, &f->error), 0);
    for (unsigned i = 0; i < 2; i++) {
        memset(f->cpu_list[i], 0, sizeof(struct cpu));
        f->cpu_list[i]->model = &f->model;
    }
    machine->cpus = f->cpu_list;
    machine->cpu_count = f->description.cpus;
    machine->board = board_create(machine, &f->error);
}

static void discard(struct fixture *f)
{
    board_destroy(f->machine.board);
    bus_free(&f->machine.ports);
    bus_free(&f->machine.mmio);
    physmem_free(&f->machine.memory);
    free(f->cpu_list[0]);
    free(f->cpu_list[1]);
    free(f);
}

static int setup(void **state)
{
    struct fixture *f = describe();
    power_on(f);
    assert_non_null(f->machine.board);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    discard(*state);
    return 0;
}

static uint64_t in(struct fixture *f, uint16_t port, unsigned bytes)
{
    return bus_read(&f->machine.ports, port, bytes);
}

static void out(struct fixture *f, uint16_t port, uint64_t value, unsigned bytes)
{
    bus_write(&f->machine.ports, port, value, bytes);
}

static uint8_t cmos(struct fixture *f, uint8_t index)
{
    out(f, 0x70, index, 1);
    return (uint8_t)in(f, 0x71, 1);
}

static void config_write(struct fixture *f, unsigned devfn, unsigned offset, uint64_t value,
                         unsigned bytes)
{
    out(f, 0xcf8, 0x80000000u | devfn << 8 | (offset & 0xfc), 4);
    out(f, (uint16_t)(0xcfc + (offset & 3)), value, bytes);
}

static uint32_t key32(struct fixture *f, uint16_t key)
{
    out(f, 0x510, key, 2);
    uint32_t value = 0;
    for (unsigned i = 0; i < 4; i++)
        value |= (uint32_t)in(f, 0x511, 1) << (8 * i);
    return value;
}

/* The key of a fw_cfg file, 0 when there is none; its size goes to *size. */
static uint16_t file_key(struct fixture *f, const char *name, uint32_t *size)
{
    uint32_t count = __builtin_bswap32(key32(f, FW_CFG_FILE_DIRECTORY));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t entry[64];
        for (unsigned k = 0; k < 64; k++)
            entry[k] = (uint8_t)in(f, 0x511, 1);
        if (strcmp((const char *)entry + 8, name) == 0) {
            *size = __builtin_bswap32(load32(entry));
            return __builtin_bswap16(load16(entry + 4));
        }
    }
    return 0;
}

static void test_cmos(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(cmos(f, 0x15) | cmos(f, 0x16) << 8, 640);
    assert_int_equal(cmos(f, 0x17) | cmos(f, 0x18) << 8, 0xffff);
    assert_int_equal(cmos(f, 0x34) | cmos(f, 0x35) << 8, (112u << 20) >> 16);
    assert_int_equal(cmos(f, 0x5b) | cmos(f, 0x5c) | cmos(f, 0x5d), 0);
    assert_int_equal(cmos(f, 0x5f), 1);
    assert_int_equal(cmos(f, 0x10), 0);
    assert_int_equal(cmos(f, 0x3d), 0x32); /* disk, then CD */
}

static void test_rom(void **state)
{
    struct fixture *f = *state;
    uint8_t byte = 0;
    physmem_read(&f->machine.memory, 0xfffffff0, &byte, 1);
    assert_int_equal(byte, 0xf4);
    byte = 0;
    physmem_read(&f->machine.memory, 0xffff0, &byte, 1);
    assert_int_equal(byte, 0xf4);
    physmem_read(&f->machine.memory, 0xd0000000, &byte, 1); /* nothing is there */
    assert_int_equal(byte, 0xff);
}

static void program_pics(struct fixture *f)
{
    out(f, 0x20, 0x11, 1);
    out(f, 0x21, 0x20, 1);
    out(f, 0x21, 0x04, 1);
    out(f, 0x21, 0x01, 1);
    out(f, 0xa0, 0x11, 1);
    out(f, 0xa1, 0x28, 1);
    out(f, 0xa1, 0x02, 1);
    out(f, 0xa1, 0x01, 1);
    out(f, 0x21, 0x00, 1);
    out(f, 0xa1, 0x00, 1);
}

static void test_timer_interrupt(void **state)
{
    struct fixture *f = *state;
    program_pics(f);
    out(f, 0x43, 0x34, 1);
    out(f, 0x40, 0x00, 1);
    out(f, 0x40, 0x10, 1);
    f->machine.clock.s.idle_ns = 20000000;
    events_run(&f->machine.events, clock_now(&f->machine.clock));
    assert_true(asked.interrupt[0]);
    assert_int_equal(board_interrupt_acknowledge(f->machine.board, 0), 0x20);
    assert_int_equal(f->machine.board->ioapic.s.lines & 1, 0); /* pin 2, not pin 0 */
}

static void test_serial_interrupt_shared(void **state)
{
    struct fixture *f = *state;
    struct board *board = f->machine.board;
    program_pics(f);
    out(f, 0x3f9, 0x02, 1); /* transmitter empty: at once */
    assert_true(asked.interrupt[0]);
    assert_int_equal(board_interrupt_acknowledge(board, 0), 0x24);
    assert_true(board->ioapic.s.lines >> 4 & 1);
    line_set(&board->uarts[2].irq, true); /* COM3 has the same line */
    assert_int_equal(in(f, 0x3fa, 1) & 0x0f, 0x02);
    assert_true(board->ioapic.s.lines >> 4 & 1);
    line_set(&board->uarts[2].irq, false);
    assert_false(board->ioapic.s.lines >> 4 & 1);
    out(f, 0x3f8, 'x', 1);
    out(f, 0x402, 'y', 1);
    assert_string_equal(f->output, "xy");
    assert_int_equal(f->output_units, 1 << 0 | 1 << 4);
    assert_int_equal(in(f, 0x3ed, 1), 0xff); /* COM3 itself is not there */
    assert_int_equal(in(f, 0x402, 1), 0xe9);
}

static void test_pci_interrupt_on_isa_line(void **state)
{
    struct fixture *f = *state;
    struct board *board = f->machine.board;
    config_write(f, PCI_DEVFN(1, 0), 0x60, 11, 1); /* PIRQA: device 1, INTA */
    pci_set_interrupt(&board->pm.function, true);
    assert_true(board->ioapic.s.lines >> 11 & 1);
    assert_true(board->pic.s.chips[1].lines >> 3 & 1);
    pci_set_interrupt(&board->pm.function, false);
    assert_false(board->ioapic.s.lines >> 11 & 1);
}

static void test_a20(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->machine.memory.a20_mask, ~0ull);
    out(f, 0x92, 0x00, 1);
    assert_int_equal(f->machine.memory.a20_mask, ~0x100000ull);
    out(f, 0x64, 0xd1, 1);
    out(f, 0x60, 0xdf, 1);
    assert_int_equal(f->machine.memory.a20_mask, ~0ull);
    assert_int_equal(in(f, 0x92, 1) & 2, 2);
    out(f, 0x92, 0x00, 1);
    board_reset(f->machine.board);
    assert_int_equal(f->machine.memory.a20_mask, ~0ull);
}

static void test_resets_and_ends(void **state)
{
    struct fixture *f = *state;
    out(f, 0xcf9, 0x02, 1);
    assert_int_equal(asked.resets, 0);
    out(f, 0xcf9, 0x06, 1);
    assert_int_equal(asked.resets, 1);
    out(f, 0x64, 0xfe, 1);
    assert_int_equal(asked.resets, 2);
    out(f, 0x92, 0x03, 1);
    assert_int_equal(asked.resets, 3);
    assert_true(board_input(f->machine.board, INPUT_RESET, 0, 0));
    assert_int_equal(asked.resets, 4);
    out(f, 0x501, 0x21, 1);
    assert_int_equal(asked.exits, 1);
    assert_int_equal(asked.exit_status, 0x43);
    config_write(f, PCI_DEVFN(1, 3), 0x40, 0x601, 4);
    config_write(f, PCI_DEVFN(1, 3), 0x80, 1, 1);
    out(f, 0x604, 0x2000, 2);
    assert_int_equal(asked.power_offs, 1);
}

static void test_inputs(void **state)
{
    struct fixture *f = *state;
    struct board *board = f->machine.board;
    assert_true(board_input(board, INPUT_SERIAL, 1, 'q'));
    assert_int_equal(in(f, 0x2f8, 1), 'q');
    assert_false(board_input(board, INPUT_SERIAL, 2, 'q')); /* no such port */
    assert_false(board_input(board, INPUT_SERIAL, 9, 'q'));
    assert_true(board_input(board, INPUT_NMI, 0, 0));
    out(f, 0x70, 0x80, 1);
    unsigned before = asked.nmis;
    assert_true(board_input(board, INPUT_NMI, 0, 0));
    assert_int_equal(asked.nmis, before);
    assert_true(board_input(board, INPUT_KEY, 0, 0x1e));
    assert_true(board_input(board, INPUT_POWER_BUTTON, 0, 0));
    assert_true(board->pm.s.pmsts & 0x100);
}

static void test_apics(void **state)
{
    struct fixture *f = *state;
    struct board *board = f->machine.board;
    assert_int_equal(board_mmio_read(board, 0, 0xfee00020, 4) >> 24, 0);
    assert_int_equal(board_mmio_read(board, 1, 0xfee00020, 4) >> 24, 1);
    board_mmio_write(board, 0, 0xfec00000, 1, 4);
    assert_int_equal(board_mmio_read(board, 0, 0xfec00010, 4) & 0xff, IOAPIC_VERSION);
    assert_int_equal(board_mmio_read(board, 0, 0xd0000000, 8), ~0ull);
    uint64_t value = 0;
    assert_int_equal(board_msr_read(board, 1, 0x1b, &value), 0);
    assert_int_equal(value & 0xfffff000, 0xfee00000);
    assert_int_equal(board_msr_read(board, 1, 0x8ff, &value), -1);
    board_tpr_write(board, 0, 7);
    assert_int_equal(board_tpr_read(board, 0), 7);
}

static void test_fw_cfg_items(void **state)
{
    struct fixture *f = *state;
    uint32_t size = 0;
    assert_int_equal(key32(f, FW_CFG_SIGNATURE), 0x554d4551);
    assert_int_equal(key32(f, FW_CFG_RAM_SIZE), 128u << 20);
    assert_int_equal(key32(f, FW_CFG_CPUS), 2);
    uint16_t key = file_key(f, "etc/e820", &size);
    assert_int_equal(size, 20);
    out(f, 0x510, key, 2);
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(in(f, 0x511, 1), 0);
    assert_int_equal(in(f, 0x511, 4) & 0xff, 0);
    static const char *const names[] = {
        "etc/acpi/rsdp", "etc/acpi/tables", "etc/table-loader", "etc/smbios/smbios-anchor",
        "etc/smbios/smbios-tables", "etc/system-states",
    };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_not_equal(file_key(f, names[i], &size), 0);
    assert_int_equal(file_key(f, "bootorder", &size), 0);
}

static void test_memory_above_the_hole(void **state)
{
    (void)state;
    struct fixture *f = describe();
    f->description.memory_bytes = 5ull << 30;
    power_on(f);
    assert_non_null(f->machine.board);
    uint32_t size = 0;
    file_key(f, "etc/e820", &size);
    assert_int_equal(size, 40);
    assert_int_equal(cmos(f, 0x35), 0xbf); /* 3 GiB - 16 MiB in 64 KiB units: BF00h */
    assert_int_equal(cmos(f, 0x5b) | cmos(f, 0x5c) << 8, 0x8000);
    discard(f);
}

/* A kernel image with the fields that the loader looks at. */
static void make_kernel(struct fixture *f)
{
    memset(f->kernel, 0x90, sizeof f->kernel);
    f->kernel[0x1f1] = 3;
    store16(f->kernel + 0x1fe, 0xaa55);
    memcpy(f->kernel + 0x202, "HdrS", 4);
    store16(f->kernel + 0x206, 0x020f);
    f->kernel[0x211] = 0x01;
    store32(f->kernel + 0x22c, 0x7fffffff);
    store32(f->kernel + 0x230, 0x200000);
    f->kernel[0x234] = 1;
    store32(f->kernel + 0x238, 2047);
    store64(f->kernel + 0x258, 0x1000000);
    store32(f->kernel + 0x260, 0x2000000);
}

static void give_kernel(struct fixture *f)
{
    make_kernel(f);
    f->description.kernel = add_file(f, "kernel", f->kernel, sizeof f->kernel);
    f->description.initrd = add_file(f, "initrd", f->initrd, sizeof f->initrd);
    strcpy(f->description.append, "console=ttyS0");
}

static void test_kernel_items(void **state)
{
    (void)state;
    struct fixture *f = describe();
    give_kernel(f);
    power_on(f);
    assert_non_null(f->machine.board);
    assert_int_equal(key32(f, FW_CFG_SETUP_SIZE), 2048);
    assert_int_equal(key32(f, FW_CFG_KERNEL_SIZE), KERNEL_BYTES - 2048);
    assert_int_equal(key32(f, FW_CFG_COMMAND_LINE_SIZE), 14);
    uint32_t initrd = key32(f, FW_CFG_INITRD_ADDRESS);
    assert_int_equal(initrd % 4096, 0);
    assert_true(initrd >= 0x3000000 && initrd + 5000 <= (127u << 20));
    const uint8_t *setup_code = f->machine.board->linux_boot.setup;
    assert_int_equal(setup_code[0x210], 0xff);
    assert_int_equal(setup_code[0x211], 0x81);
    assert_int_equal(load32(setup_code + 0x228), 0x20000);
    assert_int_equal(load32(setup_code + 0x218), initrd);
    assert_int_equal(load32(setup_code + 0x21c), 5000);
    uint32_t size = 0;
    out(f, 0x510, file_key(f, "genroms/linuxboot.bin", &size), 2);
    assert_true(size && size % 512 == 0);
    uint8_t sum = 0;
    for (uint32_t i = 0; i < size; i++)
        sum += (uint8_t)in(f, 0x511, 1);
    assert_int_equal(sum, 0);
    out(f, 0x510, file_key(f, "bootorder", &size), 2);
    char order[64] = { 0 };
    for (uint32_t i = 0; i < size && i < 63; i++)
        order[i] = (char)in(f, 0x511, 1);
    assert_string_equal(order, "/rom@genroms/linuxboot.bin");
    discard(f);
}

static void expect_refusal(struct fixture *f, const char *words)
{
    power_on(f);
    assert_null(f->machine.board);
    assert_non_null(strstr(f->error.text, words));
    discard(f);
}

static void test_bad_kernels(void **state)
{
    (void)state;
    static const struct { unsigned offset; uint8_t value; const char *words; } cases[] = {
        { 0x202, 'X', "not a Linux" }, { 0x1fe, 0, "not a Linux" }, { 0x207, 1, "too old" },
        { 0x211, 0, "too old" }, { 0x1f1, 79, "setup" }, { 0x1f1, 255, "setup" },
        { 0x263, 0x7f, "memory" }, { 0x22f, 0, "initrd" }, { 0x238, 5, "append" },
        { 0x25f, 0xff, "memory" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fixture *f = describe();
        give_kernel(f);
        f->kernel[cases[i].offset] = cases[i].value;
        if (cases[i].offset == 0x238)
            f->kernel[0x239] = 0;
        if (cases[i].offset == 0x1f1 && cases[i].value == 79)
            f->description.files[f->description.kernel].size = 30000;
        expect_refusal(f, cases[i].words);
    }
    struct fixture *f = describe();
    give_kernel(f);
    f->description.files[f->description.kernel].size = 0x100;
    expect_refusal(f, "not a Linux");
}

static void test_drives(void **state)
{
    (void)state;
    struct fixture *f = describe();
    f->description.drives[0] = (struct description_drive){
        DRIVE_DISK, add_file(f, "drive0", f->disk, sizeof f->disk),
    };
    f->description.drives[2] = (struct description_drive){ DRIVE_CDROM, -1 };
    power_on(f);
    assert_non_null(f->machine.board);
    assert_non_null(board_disk(f->machine.board, 0));
    assert_null(board_disk(f->machine.board, 1));
    assert_null(board_disk(f->machine.board, 2));
    assert_null(board_disk(f->machine.board, 99));
    assert_int_equal(cmos(f, 0x12), 0xf0);
    assert_int_equal(in(f, 0x1f7, 1) & 0x80, 0);
    discard(f);

    f = describe();
    f->description.drives[1] = (struct description_drive){ DRIVE_DISK, -1 };
    expect_refusal(f, "drive1");
}

/* The APM port's SMI, on the machine that has it. */
static void test_smi(void **state)
{
    (void)state;
    for (unsigned version = 1; version <= 2; version++) {
        struct fixture *f = describe();
        snprintf(f->description.machine, sizeof f->description.machine, "pc-%u", version);
        power_on(f);
        out(f, 0xcf8, 0x80000b58, 4);
        assert_int_equal(in(f, 0xcff, 1), version == 1 ? 2 : 0);
        config_write(f, PCI_DEVFN(1, 3), 0x40, 0x601, 4);
        config_write(f, PCI_DEVFN(1, 3), 0x80, 1, 1);
        config_write(f, PCI_DEVFN(1, 3), 0x5b, 2, 1);
        out(f, 0x628, 1, 1);
        out(f, 0xb2, 0, 1);
        assert_int_equal(asked.smis, version - 1);
        discard(f);
    }
}

/* Interrupt messages that a vCPU writes: beside its APIC page, and into that
 * page while the APIC is off. */
static void test_messages(void **state)
{
    struct fixture *f = *state;
    struct board *board = f->machine.board;
    board_mmio_write(board, 1, 0xfee000f0, 0x1ff, 4);
    board_mmio_write(board, 0, 0xfee01000, 0x10041, 4); /* reserved bits */
    board_mmio_write(board, 0, 0xfee01000, 0x8041, 4);  /* the end of a level */
    board_mmio_write(board, 0, 0xfee01002, 0x41, 4);
    board_mmio_write(board, 0, 0xfee01000, 0x41, 1);
    board_mmio_write(board, 0, 0xfee01000, 0x41, 8);
    board_mmio_write(board, 0, 0xfee01000, 0x641, 4); /* no device starts a vCPU */
    assert_false(asked.interrupt[1]);
    board_mmio_write(board, 0, 0xfee01000, 0x41, 4);
    assert_true(asked.interrupt[1]);
    assert_int_equal(board_interrupt_acknowledge(board, 1), 0x41);
    assert_int_equal(board_mmio_read(board, 0, 0xfee01000, 4), 0xffffffff);

    board_mmio_write(board, 0, 0xfee000f0, 0x1ff, 4);
    assert_int_equal(board_msr_write(board, 1, 0x1b, 0xfee00000), 0);
    board_mmio_write(board, 1, 0xfee00080, 0xc052, 4); /* level, to vCPU 0 */
    assert_int_equal(board_interrupt_acknowledge(board, 0), 0x52);
    assert_int_equal(board_mmio_read(board, 0, 0xfee001a0, 4), 1 << 0x12);
}

static uint64_t component_bytes(const struct fixture *f)
{
    uint64_t total = 0;
    for (unsigned i = 0; i < f->machine.components.count; i++)
        total += f->machine.components.list[i].size;
    return total;
}

static void copy_components(struct fixture *f, uint8_t *bytes, bool restore)
{
    struct components *components = &f->machine.components;
    for (unsigned i = 0; i < components->count; i++) {
        struct component *component = &components->list[i];
        if (!restore && component->prepare)
            component->prepare(component->device);
        if (restore)
            memcpy(component->state, bytes, component->size);
        else
            memcpy(bytes, component->state, component->size);
        bytes += component->size;
    }
    for (unsigned i = 0; restore && i < components->count; i++)
        if (components->list[i].restored)
            components->list[i].restored(components->list[i].device);
}

static void scribble(struct fixture *f, uint64_t seed, unsigned count)
{
    uint64_t x = seed;
    for (unsigned i = 0; i < count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint16_t port = (uint16_t)(x >> 8);
        if (x & 3) /* mostly where something is */
            port &= x & 4 ? 0x3ff : 0xff;
        unsigned bytes = 1u << (x >> 24 & 3) & 7 ? 1u << (x >> 24 & 3) & 7 : 1;
        if (x >> 28 & 1)
            out(f, port, x >> 32, bytes);
        else
            in(f, port, bytes);
        if ((x >> 29 & 7) == 0) {
            config_write(f, x >> 32 & 0x0b, x >> 40 & 0xff, x >> 48, 1);
            board_mmio_write(f->machine.board, x >> 36 & 1,
                             (x >> 37 & 1 ? 0xfec00000 : 0xfee00000) + (x >> 40 & 0xff0), x >> 20,
                             4);
        }
        f->machine.clock.s.instructions += x >> 50;
        events_run(&f->machine.events, clock_now(&f->machine.clock));
    }
}

/* Save, spoil, restore: every state is as it was, and so is what is derived. */
static void test_save_and_restore(void **state)
{
    struct fixture *f = *state;
    uint64_t size = component_bytes(f);
    uint8_t *saved = malloc(size), *again = malloc(size);
    config_write(f, PCI_DEVFN(1, 3), 0x40, 0x601, 4);
    config_write(f, PCI_DEVFN(1, 3), 0x80, 1, 1);
    config_write(f, 0, 0x59, 0x30, 1);
    out(f, 0x92, 0, 1);
    struct clock_state clock = f->machine.clock.s;
    copy_components(f, saved, false);
    uint64_t next = f->machine.events.next;

    scribble(f, 0x1234567887654321ull, 3000);
    board_reset(f->machine.board);
    f->machine.clock.s = clock;
    copy_components(f, saved, true);
    copy_components(f, again, false);
    assert_memory_equal(saved, again, size);
    assert_int_equal(f->machine.memory.a20_mask, ~0x100000ull);
    assert_int_equal(physmem_read_page(&f->machine.memory, 0xe0000 | 0xf000),
                     physmem_rom_page(&f->machine.memory, BIOS_BYTES - 0x20000 + 0xf000));
    assert_int_equal(f->machine.memory.low_read[0xff], 0xff);
    assert_int_equal(in(f, 0x604, 2), 0);
    assert_int_equal(f->machine.events.next, next);
    free(saved);
    free(again);
}

static void test_hostile_guest(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i < 6; i++) {
        scribble(f, 0x9e3779b97f4a7c15ull * i, 20000);
        board_reset(f->machine.board);
    }
    assert_int_equal(key32(f, FW_CFG_SIGNATURE), 0x554d4551);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_cmos), TEST(test_rom), TEST(test_timer_interrupt),
        TEST(test_serial_interrupt_shared), TEST(test_pci_interrupt_on_isa_line), TEST(test_a20),
        TEST(test_resets_and_ends), TEST(test_inputs), TEST(test_apics), TEST(test_fw_cfg_items),
        cmocka_unit_test(test_memory_above_the_hole), cmocka_unit_test(test_kernel_items),
        cmocka_unit_test(test_bad_kernels), cmocka_unit_test(test_smi), TEST(test_messages),
        cmocka_unit_test(test_drives),
        TEST(test_save_and_restore), TEST(test_hostile_guest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
