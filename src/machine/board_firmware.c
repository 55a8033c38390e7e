/*
 * What the board gives its firmware: the ROM, the CMOS bytes, and the items of
 * the firmware configuration device, as SeaBIOS reads them.
 *
 * Sources: SeaBIOS documentation, "Runtime config files"; Ralf Brown's
 * interrupt list, file CMOS.LST; QEMU documentation, "fw_cfg".
 *
 * Not modelled: CMOS drive tables (the drive type bytes say "see the drive"),
 * bootorder entries for drives (the boot letters are in CMOS), splash screens.
 */
#include <stdio.h>
#include <string.h>

#include "machine/board_internal.h"
#include "util/bits.h"

#define ROM_MAXIMUM (16u << 20)
#define MODULE_LINE (1024 + DESCRIPTION_TEXT + 1) /* path, space, text */

/* bios/bios.mk */
extern const uint8_t linuxboot_rom[], linuxboot_rom_end[];
extern const uint8_t multiboot_rom[], multiboot_rom_end[];

static const struct description_file *file_of(const struct board *board, int32_t number)
{
    return number >= 0 ? &board->machine->description->files[number] : NULL;
}

/* The image ends at 4 GiB; what lies below it in the ROM space is ones. */
int board_load_rom(struct board *board, struct error *error)
{
    struct physmem *memory = &board->machine->memory;
    const struct description_file *bios = file_of(board, board->machine->description->bios);
    uint64_t room = (uint64_t)memory->rom_pages << PAGE_SHIFT;
    if (!bios)
        return error_set(error, ERROR_USAGE, "no firmware image: give one with -bios");
    if (bios->size == 0 || bios->size % PAGE_BYTES || bios->size > ROM_MAXIMUM)
        return error_set(error, ERROR_FILE,
                         "%s: a firmware image has 4 KiB to 16 MiB, in whole 4 KiB pages",
                         bios->path);
    if (bios->size > room)
        return error_set(error, ERROR_FILE, "%s: larger than the ROM of %llu bytes", bios->path,
                         (unsigned long long)room);
    uint8_t *rom = physmem_host(memory, physmem_rom_page(memory, 0));
    memset(rom, 0xff, room - bios->size);
    memcpy(rom + room - bios->size, bios->bytes, bios->size);
    return 0;
}

/* ---- CMOS ----------------------------------------------------------------- */

#define CMOS_FLOPPY_TYPES 0x10
#define CMOS_DISK_TYPES 0x12
#define CMOS_EQUIPMENT 0x14
#define CMOS_BASE_KIB 0x15
#define CMOS_EXTENDED_KIB 0x17
#define CMOS_DISK_C_TYPE 0x19
#define CMOS_DISK_D_TYPE 0x1a
#define CMOS_EXTENDED_KIB_COPY 0x30
#define CMOS_ABOVE_16M 0x34   /* 64 KiB units */
#define CMOS_BOOT_THIRD 0x38  /* high nibble */
#define CMOS_TRANSLATION 0x39 /* 2 bits a drive */
#define CMOS_BOOT 0x3d        /* first in the low nibble, second in the high */
#define CMOS_ABOVE_4G 0x5b    /* 64 KiB units, 3 bytes */
#define CMOS_CPUS 0x5f        /* less one */

static void cmos16(struct board *board, unsigned index, uint64_t value)
{
    uint64_t fits = value < 0xffff ? value : 0xffff;
    rtc_set_cmos(&board->rtc, index, fits & 0xff);
    rtc_set_cmos(&board->rtc, index + 1, fits >> 8 & 0xff);
}

static void cmos_memory(struct board *board)
{
    uint64_t low = board->machine->memory.low_bytes;
    uint64_t high = board->machine->memory.high_bytes >> 16;
    uint64_t extended = low > 0x100000 ? (low - 0x100000) >> 10 : 0;
    cmos16(board, CMOS_BASE_KIB, 640);
    cmos16(board, CMOS_EXTENDED_KIB, extended);
    cmos16(board, CMOS_EXTENDED_KIB_COPY, extended);
    cmos16(board, CMOS_ABOVE_16M, low > 0x1000000 ? (low - 0x1000000) >> 16 : 0);
    for (unsigned i = 0; i < 3; i++)
        rtc_set_cmos(&board->rtc, CMOS_ABOVE_4G + i, high >> (8 * i) & 0xff);
}

/* How the BIOS should make up cylinders, heads and sectors: 0 as they are,
 * 1 by LBA, 2 large. By the drive's natural geometry of 16 heads, 63 sectors. */
static unsigned translation_of(uint64_t bytes)
{
    uint64_t cylinders = bytes / (512 * 16 * 63);
    if (cylinders <= 1024)
        return 0;
    return cylinders * 16 <= 131072 ? 2 : 1;
}

static void cmos_disks(struct board *board)
{
    const struct description *description = board->machine->description;
    uint8_t types = 0, translation = 0;
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++) {
        if (description->drives[i].interface != DRIVE_DISK)
            continue;
        translation |= (uint8_t)(translation_of(board->disk_sizes[i]) << (2 * i));
        if (i < 2) {
            types |= i == 0 ? 0xf0 : 0x0f; /* type in the byte of the drive */
            rtc_set_cmos(&board->rtc, i == 0 ? CMOS_DISK_C_TYPE : CMOS_DISK_D_TYPE, 47);
        }
    }
    rtc_set_cmos(&board->rtc, CMOS_DISK_TYPES, types);
    rtc_set_cmos(&board->rtc, CMOS_TRANSLATION, translation);
}

static uint8_t boot_code(char letter)
{
    switch (letter) {
    case 'a':
    case 'b':
        return 1;
    case 'c':
        return 2;
    case 'd':
        return 3;
    case 'n':
        return 4;
    default:
        return 0;
    }
}

static void cmos_boot_order(struct board *board)
{
    const char *order = board->machine->description->boot;
    uint8_t codes[3] = { 0, 0, 0 };
    if (!*order)
        order = "cd";
    for (unsigned i = 0; i < 3 && order[i]; i++)
        codes[i] = boot_code(order[i]);
    rtc_set_cmos(&board->rtc, CMOS_BOOT, (uint8_t)(codes[0] | codes[1] << 4));
    rtc_set_cmos(&board->rtc, CMOS_BOOT_THIRD, (uint8_t)(codes[2] << 4));
}

void board_fill_cmos(struct board *board)
{
    cmos_memory(board);
    cmos_disks(board);
    cmos_boot_order(board);
    rtc_set_cmos(&board->rtc, CMOS_FLOPPY_TYPES, 0);
    rtc_set_cmos(&board->rtc, CMOS_EQUIPMENT, 0x06); /* coprocessor, PS/2 mouse */
    rtc_set_cmos(&board->rtc, CMOS_CPUS, (uint8_t)(board->machine->cpu_count - 1));
}

/* ---- fw_cfg --------------------------------------------------------------- */

static int too_many(struct error *error)
{
    return error_set(error, ERROR_USAGE, "fw_cfg: too many entries, or no memory for them");
}

/* Entries of 20 bytes: address, length, type 1 (RAM). Firmware adds the rest. */
static int add_memory_map(struct board *board)
{
    const struct physmem *memory = &board->machine->memory;
    uint8_t map[40] = { 0 };
    store64(map + 8, memory->low_bytes);
    store32(map + 16, 1);
    store64(map + 20, 1ull << 32);
    store64(map + 28, memory->high_bytes);
    store32(map + 36, 1);
    return fw_cfg_add_copy(&board->fw_cfg, "etc/e820", map, memory->high_bytes ? 40 : 20);
}

static int add_tables(struct board *board)
{
    const struct machine *machine = board->machine;
    struct fw_cfg *fw_cfg = &board->fw_cfg;
    const struct acpi_config acpi = {
        .cpus = machine->cpu_count,
        .serials = machine->description->serials,
        /* Where firmware begins to place memory BARs. */
        .pci_memory = machine->memory.low_bytes <= 0x80000000u ? 0x80000000u : BOARD_PCI_HOLE,
        .pm_base = BOARD_PM_BASE,
        .smi_command = BOARD_APM_PORT,
    };
    acpi_tables_build(&board->acpi, &acpi);
    const struct smbios_config smbios = {
        machine->cpu_count, machine->memory.low_bytes, machine->memory.high_bytes,
        machine->description->machine,
    };
    smbios_tables_build(&board->smbios, &smbios);
    TRY(fw_cfg_add_file(fw_cfg, ACPI_FILE_RSDP, board->acpi.rsdp, sizeof board->acpi.rsdp));
    TRY(fw_cfg_add_file(fw_cfg, ACPI_FILE_TABLES, board->acpi.tables, board->acpi.tables_size));
    TRY(fw_cfg_add_file(fw_cfg, ACPI_FILE_LOADER, board->acpi.loader, board->acpi.loader_size));
    TRY(fw_cfg_add_file(fw_cfg, SMBIOS_FILE_ANCHOR, board->smbios.anchor,
                        sizeof board->smbios.anchor));
    return fw_cfg_add_file(fw_cfg, SMBIOS_FILE_TABLES, board->smbios.tables, board->smbios.size);
}

static int add_settings(struct board *board)
{
    const struct machine *machine = board->machine;
    struct fw_cfg *fw_cfg = &board->fw_cfg;
    static const uint8_t no_numa[8 * (1 + LAPIC_MAXIMUM)];
    /* S0 and S5 only: bit 7 is "supported", below it the sleep type. */
    static const uint8_t system_states[6] = { 0x80, 0x00, 0x00, 0x01, 0x02, 0x80 };
    static const uint8_t never[4] = { 0xff, 0xff, 0xff, 0xff };
    fw_cfg_add64(fw_cfg, FW_CFG_RAM_SIZE, machine->memory.low_bytes + machine->memory.high_bytes);
    /* There is no display: what boot loaders write through the BIOS goes to the
     * first serial port, unless a kernel that has its own console is started. */
    bool serial_console = (machine->description->serials & 1) && machine->description->kernel < 0;
    fw_cfg_add16(fw_cfg, FW_CFG_NO_GRAPHIC, serial_console);
    fw_cfg_add16(fw_cfg, FW_CFG_CPUS, (uint16_t)machine->cpu_count);
    fw_cfg_add16(fw_cfg, FW_CFG_CPUS_MAXIMUM, (uint16_t)machine->cpu_count);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_NUMA, no_numa, 8 * (1 + machine->cpu_count));
    fw_cfg_add16(fw_cfg, FW_CFG_BOOT_MENU, 0);
    fw_cfg_add32(fw_cfg, FW_CFG_IRQ0_OVERRIDE, 1);
    TRY(fw_cfg_add_file(fw_cfg, "etc/system-states", system_states, sizeof system_states));
    return fw_cfg_add_file(fw_cfg, "etc/boot-fail-wait", never, sizeof never);
}

/* A boot option ROM, first in the boot order. */
static int add_boot_rom(struct board *board, const char *file, const char *order,
                        const uint8_t *rom, const uint8_t *end, struct error *error)
{
    if (fw_cfg_add_file(&board->fw_cfg, file, rom, (uint32_t)(end - rom)) < 0 ||
        fw_cfg_add_file(&board->fw_cfg, "bootorder", order, (uint32_t)strlen(order) + 1) < 0)
        return too_many(error);
    return 0;
}

/* The items that bios/linuxboot.S moves into place. */
static int add_linux(struct board *board, struct error *error)
{
    const struct description *description = board->machine->description;
    const struct description_file *kernel = file_of(board, description->kernel);
    const struct description_file *initrd = file_of(board, description->initrd);
    struct linux_boot *boot = &board->linux_boot;
    struct fw_cfg *fw_cfg = &board->fw_cfg;
    if (description->modules[0].file >= 0)
        return error_set(error, ERROR_FILE, "-initrd: only a Multiboot kernel takes modules");
    TRY(linux_boot_prepare(boot, kernel->bytes, kernel->size, initrd ? initrd->size : 0,
                           description->append, board->machine->memory.low_bytes, error));
    fw_cfg_add32(fw_cfg, FW_CFG_SETUP_ADDRESS, LINUX_SETUP_ADDRESS);
    fw_cfg_add32(fw_cfg, FW_CFG_SETUP_SIZE, boot->setup_size);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_SETUP_DATA, boot->setup, boot->setup_size);
    fw_cfg_add32(fw_cfg, FW_CFG_KERNEL_ADDRESS, LINUX_KERNEL_ADDRESS);
    fw_cfg_add32(fw_cfg, FW_CFG_KERNEL_SIZE, boot->kernel_size);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_KERNEL_DATA, boot->kernel, boot->kernel_size);
    fw_cfg_add32(fw_cfg, FW_CFG_COMMAND_LINE_ADDRESS, LINUX_COMMAND_LINE_ADDRESS);
    fw_cfg_add32(fw_cfg, FW_CFG_COMMAND_LINE_SIZE, boot->command_line_size);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_COMMAND_LINE_DATA, description->append,
                     boot->command_line_size);
    fw_cfg_add32(fw_cfg, FW_CFG_INITRD_ADDRESS, boot->initrd_address);
    fw_cfg_add32(fw_cfg, FW_CFG_INITRD_SIZE, boot->initrd_size);
    if (initrd)
        fw_cfg_add_bytes(fw_cfg, FW_CFG_INITRD_DATA, initrd->bytes, boot->initrd_size);
    return add_boot_rom(board, "genroms/linuxboot.bin", "/rom@genroms/linuxboot.bin",
                        linuxboot_rom, linuxboot_rom_end, error);
}

/* The modules of -initrd: a list, or one file alone. Their command lines begin
 * with the file's name. Returns how many. */
static unsigned collect_modules(struct board *board, struct multiboot_module *modules,
                                char (*lines)[MODULE_LINE])
{
    const struct description *description = board->machine->description;
    unsigned count = 0;
    for (; count < MULTIBOOT_MODULES; count++) {
        const struct description_module *module = &description->modules[count];
        int32_t number = count == 0 && module->file < 0 ? description->initrd : module->file;
        const struct description_file *file = file_of(board, number);
        if (!file)
            break;
        snprintf(lines[count], MODULE_LINE, "%s%s%s", file->path, module->text[0] ? " " : "",
                 module->text);
        modules[count] = (struct multiboot_module){ file->size, lines[count] };
        fw_cfg_add_bytes(&board->fw_cfg, FW_CFG_MODULE_DATA + count, file->bytes,
                         (uint32_t)file->size);
    }
    return count;
}

/* The items that bios/multiboot.S reads. */
static int add_multiboot(struct board *board, struct error *error)
{
    const struct description *description = board->machine->description;
    const struct description_file *kernel = file_of(board, description->kernel);
    struct multiboot *multiboot = &board->multiboot;
    struct fw_cfg *fw_cfg = &board->fw_cfg;
    struct multiboot_module modules[MULTIBOOT_MODULES];
    char lines[MULTIBOOT_MODULES][MODULE_LINE];
    const struct multiboot_request request = {
        .image = kernel->bytes,
        .image_size = kernel->size,
        .kernel_path = kernel->path,
        .append = description->append,
        .modules = modules,
        .module_count = collect_modules(board, modules, lines),
        .low_bytes = board->machine->memory.low_bytes,
        .keys = { FW_CFG_KERNEL_DATA, FW_CFG_INITRD_DATA, FW_CFG_EMPTY, FW_CFG_MODULE_DATA },
    };
    TRY(multiboot_prepare(multiboot, &request, error));
    fw_cfg_add32(fw_cfg, FW_CFG_KERNEL_ENTRY, multiboot->entry);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_KERNEL_DATA, kernel->bytes, (uint32_t)kernel->size);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_INITRD_DATA, multiboot->info, multiboot->info_size);
    fw_cfg_add32(fw_cfg, FW_CFG_SETUP_SIZE, multiboot->script_size);
    fw_cfg_add_bytes(fw_cfg, FW_CFG_SETUP_DATA, multiboot->script, multiboot->script_size);
    return add_boot_rom(board, "genroms/multiboot.bin", "/rom@genroms/multiboot.bin",
                        multiboot_rom, multiboot_rom_end, error);
}

static int add_kernel(struct board *board, struct error *error)
{
    const struct description_file *kernel = file_of(board, board->machine->description->kernel);
    return multiboot_found(kernel->bytes, kernel->size) ? add_multiboot(board, error)
                                                        : add_linux(board, error);
}

static int add_user_entry(struct board *board, const struct description_fw_cfg *entry,
                          struct error *error)
{
    const struct description_file *file = file_of(board, entry->file);
    if (file && file->size > UINT32_MAX)
        return error_set(error, ERROR_FILE, "%s: too large for fw_cfg", file->path);
    const void *bytes = file ? (const void *)file->bytes : entry->text;
    uint32_t size = file ? (uint32_t)file->size : (uint32_t)strlen(entry->text);
    if (fw_cfg_add_file(&board->fw_cfg, entry->name, bytes, size) < 0)
        return too_many(error);
    return 0;
}

int board_fill_fw_cfg(struct board *board, struct error *error)
{
    const struct description *description = board->machine->description;
    if (add_memory_map(board) < 0 || add_tables(board) < 0 || add_settings(board) < 0)
        return too_many(error);
    if (description->kernel >= 0)
        TRY(add_kernel(board, error));
    for (uint32_t i = 0; i < description->fw_cfg_count && i < DESCRIPTION_FW_CFG; i++)
        TRY(add_user_entry(board, &description->fw_cfg[i], error));
    return fw_cfg_seal(&board->fw_cfg) < 0 ? too_many(error) : 0;
}
