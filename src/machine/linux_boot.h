/*
 * A Linux kernel given by the user: checks its (untrusted) bzImage header,
 * decides where its parts go in guest memory, and patches the setup header as
 * a boot loader must. The boot option ROM (bios/linuxboot.S) does the moving.
 * Documentation/arch/x86/boot.rst of Linux, "The Linux/x86 Boot Protocol".
 */
#ifndef MACHINE_LINUX_BOOT_H
#define MACHINE_LINUX_BOOT_H

#include <stdint.h>

#include "util/error.h"

#define LINUX_SETUP_ADDRESS 0x10000u
#define LINUX_COMMAND_LINE_ADDRESS 0x20000u
#define LINUX_KERNEL_ADDRESS 0x100000u
#define LINUX_SETUP_BYTES_MAXIMUM 0x8000u /* boot sector and setup code */

struct linux_boot {
    uint8_t setup[LINUX_SETUP_BYTES_MAXIMUM]; /* patched copy */
    uint32_t setup_size;
    const uint8_t *kernel; /* the protected-mode part, inside the image */
    uint32_t kernel_size;
    uint32_t initrd_address; /* 0 without an initrd */
    uint32_t initrd_size;
    uint32_t command_line_size; /* with its NUL */
};

/*
 * Fills `boot` for the image at `image`, an initrd of `initrd_size` bytes (0:
 * none), a command line and a machine with `low_bytes` of RAM below the PCI
 * hole. `boot->kernel` points into `image`. Returns 0 or ERROR_FORMAT (not a
 * bzImage of protocol 2.02 or later, cut off, or too large for the memory).
 */
int linux_boot_prepare(struct linux_boot *boot, const uint8_t *image, uint64_t image_size,
                       uint64_t initrd_size, const char *command_line, uint64_t low_bytes,
                       struct error *error);

#endif
