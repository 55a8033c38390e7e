/*
 * Preparing a Linux kernel for the boot option ROM; see linux_boot.h.
 *
 * Not modelled: zImage kernels and protocols before 2.02, loading above 4 GiB,
 * setup_data, EFI handover; "vga=" and "mem=" of the command line, which a
 * boot loader may interpret, are left to the kernel.
 */
#include "machine/linux_boot.h"

#include <string.h>

#include "util/bits.h"

/* Offsets of the setup header's fields in the image. */
#define SETUP_SECTS 0x1f1
#define BOOT_FLAG 0x1fe
#define HEADER 0x202
#define VERSION 0x206
#define TYPE_OF_LOADER 0x210
#define LOADFLAGS 0x211
#define RAMDISK_IMAGE 0x218
#define RAMDISK_SIZE 0x21c
#define HEAP_END_PTR 0x224
#define CMD_LINE_PTR 0x228
#define INITRD_ADDR_MAX 0x22c
#define KERNEL_ALIGNMENT 0x230
#define RELOCATABLE_KERNEL 0x234
#define CMDLINE_SIZE 0x238
#define PREF_ADDRESS 0x258
#define INIT_SIZE 0x260
#define HEADER_END 0x264 /* what must be there to be read at all */

#define LOADER_UNREGISTERED 0xff
#define LOADED_HIGH 0x01
#define CAN_USE_HEAP 0x80

#define SECTOR 512u
/* What firmware keeps for its tables at the top of low memory, and more. */
#define FIRMWARE_RESERVE 0x100000u
#define INITRD_MAXIMUM_OLD 0x37ffffffu /* before protocol 2.03 */
#define COMMAND_LINE_OLD 255u          /* before protocol 2.06 */

/* Checks the header and takes the image apart. */
static int take_apart(struct linux_boot *boot, const uint8_t *image, uint64_t size,
                      struct error *error)
{
    if (size < HEADER_END || load16(image + BOOT_FLAG) != 0xaa55 ||
        memcmp(image + HEADER, "HdrS", 4) != 0)
        return error_set(error, ERROR_FORMAT, "kernel: not a Linux bzImage for x86");
    uint16_t version = load16(image + VERSION);
    if (version < 0x0202 || !(image[LOADFLAGS] & LOADED_HIGH))
        return error_set(error, ERROR_FORMAT,
                         "kernel: boot protocol %u.%02u is too old; a bzImage of 2.02 or later "
                         "is needed", version >> 8, version & 0xffu);
    unsigned sectors = image[SETUP_SECTS] ? image[SETUP_SECTS] : 4;
    boot->setup_size = (sectors + 1) * SECTOR;
    if (boot->setup_size > LINUX_SETUP_BYTES_MAXIMUM)
        return error_set(error, ERROR_FORMAT, "kernel: setup code of %u sectors is too long",
                         sectors);
    if (boot->setup_size >= size)
        return error_set(error, ERROR_FORMAT, "kernel: the file ends within the setup code");
    if (size - boot->setup_size > UINT32_MAX)
        return error_set(error, ERROR_FORMAT, "kernel: larger than 4 GiB");
    memcpy(boot->setup, image, boot->setup_size);
    boot->kernel = image + boot->setup_size;
    boot->kernel_size = (uint32_t)(size - boot->setup_size);
    return 0;
}

/* The end of the memory that the kernel needs before it can tell what is
 * used: where it is loaded, and where it unpacks itself. */
static uint64_t kernel_end(const struct linux_boot *boot, uint16_t version)
{
    uint64_t end = (uint64_t)LINUX_KERNEL_ADDRESS + boot->kernel_size;
    if (version < 0x020a)
        return end;
    uint64_t base = load64(boot->setup + PREF_ADDRESS);
    uint32_t alignment = load32(boot->setup + KERNEL_ALIGNMENT);
    if (boot->setup[RELOCATABLE_KERNEL] && base < LINUX_KERNEL_ADDRESS)
        base = (LINUX_KERNEL_ADDRESS + (uint64_t)alignment - 1) / (alignment ? alignment : 1) *
               (alignment ? alignment : 1);
    uint64_t unpacked = base + load32(boot->setup + INIT_SIZE);
    return unpacked > end && unpacked > base ? unpacked : end;
}

static int place_initrd(struct linux_boot *boot, uint64_t initrd_size, uint64_t low_bytes,
                        struct error *error)
{
    uint16_t version = load16(boot->setup + VERSION);
    uint64_t end = kernel_end(boot, version);
    uint64_t top = low_bytes > FIRMWARE_RESERVE ? low_bytes - FIRMWARE_RESERVE : 0;
    if (end > top)
        return error_set(error, ERROR_FORMAT,
                         "kernel: needs memory up to %llu MiB; the machine has %llu MiB of it",
                         (unsigned long long)((end + FIRMWARE_RESERVE) >> 20) + 1,
                         (unsigned long long)low_bytes >> 20);
    uint64_t highest = INITRD_MAXIMUM_OLD;
    if (version >= 0x0203)
        highest = load32(boot->setup + INITRD_ADDR_MAX);
    if (top > highest + 1)
        top = highest + 1;
    if (top < end || initrd_size > top - end)
        return error_set(error, ERROR_FORMAT,
                         "initrd: %llu bytes do not fit into memory beside the kernel",
                         (unsigned long long)initrd_size);
    uint64_t address = (top - initrd_size) & ~4095ull;
    if (address < end)
        return error_set(error, ERROR_FORMAT, "initrd: does not fit into memory by a page");
    boot->initrd_size = (uint32_t)initrd_size;
    boot->initrd_address = initrd_size ? (uint32_t)address : 0;
    return 0;
}

int linux_boot_prepare(struct linux_boot *boot, const uint8_t *image, uint64_t image_size,
                       uint64_t initrd_size, const char *command_line, uint64_t low_bytes,
                       struct error *error)
{
    memset(boot, 0, sizeof *boot);
    TRY(take_apart(boot, image, image_size, error));
    TRY(place_initrd(boot, initrd_size, low_bytes, error));

    uint8_t *setup = boot->setup;
    uint32_t longest = COMMAND_LINE_OLD;
    if (load16(setup + VERSION) >= 0x0206)
        longest = load32(setup + CMDLINE_SIZE);
    size_t length = strlen(command_line);
    if (length > longest)
        return error_set(error, ERROR_FORMAT,
                         "append: %zu characters; this kernel takes %u", length, longest);
    boot->command_line_size = (uint32_t)length + 1;

    setup[TYPE_OF_LOADER] = LOADER_UNREGISTERED;
    setup[LOADFLAGS] |= CAN_USE_HEAP;
    store16(setup + HEAP_END_PTR, LINUX_COMMAND_LINE_ADDRESS - LINUX_SETUP_ADDRESS - 0x200);
    store32(setup + CMD_LINE_PTR, LINUX_COMMAND_LINE_ADDRESS);
    store32(setup + RAMDISK_IMAGE, boot->initrd_address);
    store32(setup + RAMDISK_SIZE, boot->initrd_size);
    return 0;
}
