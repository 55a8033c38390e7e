/*
 * A Multiboot kernel given by the user: finds its (untrusted) header, decides
 * where its parts and its modules go in guest memory, and writes the information
 * structure. The boot option ROM (bios/multiboot.S) does the moving, by the list
 * of fw_cfg DMA requests that is made here, fills in the memory map, and enters
 * the kernel. (Multiboot Specification 0.6.96)
 */
#ifndef MACHINE_MULTIBOOT_H
#define MACHINE_MULTIBOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define MULTIBOOT_MODULES 8
#define MULTIBOOT_SCRIPT_BYTES 0x3000u
#define MULTIBOOT_INFO_BYTES 0x5000u

/* What the list of requests names: fw_cfg keys of the kernel file, of the
 * information, of nothing (it reads as zeros), of module 0 and those after it. */
struct multiboot_keys {
    uint16_t kernel, info, zeros, module;
};

struct multiboot_module {
    uint64_t size;
    const char *command_line;
};

struct multiboot {
    uint8_t script[MULTIBOOT_SCRIPT_BYTES]; /* DMA requests of 16 bytes */
    uint32_t script_size;
    uint8_t info[MULTIBOOT_INFO_BYTES]; /* the structure, list of modules, texts */
    uint32_t info_size;
    uint32_t entry;
};

/* Whether the file holds a Multiboot header. */
bool multiboot_found(const uint8_t *image, uint64_t size);

/* What the user asked for. */
struct multiboot_request {
    const uint8_t *image; /* the kernel file */
    uint64_t image_size;
    const char *kernel_path, *append; /* together the kernel's command line */
    const struct multiboot_module *modules;
    unsigned module_count; /* at most MULTIBOOT_MODULES */
    uint64_t low_bytes;    /* RAM below the PCI hole */
    struct multiboot_keys keys;
};

/* Fills `multiboot`. Returns 0 or ERROR_FORMAT: not such a kernel, cut off, of
 * features that no loader of this kind has, or too large for the memory. */
int multiboot_prepare(struct multiboot *multiboot, const struct multiboot_request *request,
                      struct error *error);

#endif
