/*
 * The firmware configuration device: named byte strings that the host hands
 * to firmware, read through a selector and a data port or by DMA. It follows
 * the published interface (QEMU documentation, "Firmware Configuration
 * Device"), so that stock firmware finds its tables.
 *
 * Ports: +0 selector (16 bits, write), +1 data (8 bits, read), +4 DMA address
 * (two big-endian double words; writing the low one starts a transfer).
 *
 * The items are part of the machine description, not state; only writable
 * ones have content that can change, which is registered as a component.
 */
#ifndef MACHINE_DEV_FW_CFG_H
#define MACHINE_DEV_FW_CFG_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/bus.h"
#include "machine/component.h"
#include "machine/dma.h"

#define FW_CFG_PORT_BYTES 2
#define FW_CFG_DMA_BYTES 8
#define FW_CFG_NAME 56
#define FW_CFG_FILES_FIRST 0x20 /* keys below have fixed meanings */
#define FW_CFG_FILES_MAXIMUM 48

enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00,
    FW_CFG_ID = 0x01,
    FW_CFG_UUID = 0x02,
    FW_CFG_RAM_SIZE = 0x03,
    FW_CFG_NO_GRAPHIC = 0x04,
    FW_CFG_CPUS = 0x05,
    FW_CFG_KERNEL_ADDRESS = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_KERNEL_COMMAND_LINE = 0x09,
    FW_CFG_INITRD_ADDRESS = 0x0a,
    FW_CFG_INITRD_SIZE = 0x0b,
    FW_CFG_BOOT_DEVICE = 0x0c,
    FW_CFG_NUMA = 0x0d,
    FW_CFG_BOOT_MENU = 0x0e,
    FW_CFG_CPUS_MAXIMUM = 0x0f,
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_COMMAND_LINE_ADDRESS = 0x13,
    FW_CFG_COMMAND_LINE_SIZE = 0x14,
    FW_CFG_COMMAND_LINE_DATA = 0x15,
    FW_CFG_SETUP_ADDRESS = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIRECTORY = 0x19,
    FW_CFG_IRQ0_OVERRIDE = 0x8002,
    FW_CFG_MODULE_DATA = 0x8010, /* of our own boot ROM, and the seven after it */
    FW_CFG_EMPTY = 0x801f,       /* there is no such item: by DMA it reads as zeros */
};

struct fw_cfg_item {
    const uint8_t *bytes;
    uint8_t *owned; /* freed with the device; NULL: bytes belong to another */
    uint32_t size;
    bool writable; /* by DMA; `owned` is then a component */
};

struct fw_cfg_state {
    uint64_t dma_address; /* as accumulated from the two register halves */
    uint32_t offset;      /* into the selected item */
    uint16_t selected;
    uint8_t zero[2];
};
_Static_assert(sizeof(struct fw_cfg_state) == 16, "no padding");

struct fw_cfg_file {
    char name[FW_CFG_NAME];
    struct fw_cfg_item item;
};

struct fw_cfg {
    struct fw_cfg_state s;
    struct fw_cfg_item fixed[FW_CFG_FILES_FIRST];    /* keys 0..1Fh */
    struct fw_cfg_item local[FW_CFG_FILES_FIRST];    /* keys 8000h..801Fh */
    struct fw_cfg_file files[FW_CFG_FILES_MAXIMUM];  /* sorted by name once sealed */
    unsigned file_count;
    const struct dma *dma;
    struct components *components;
};

/* An empty device with signature, ID and DMA bit set. */
void fw_cfg_init(struct fw_cfg *fw_cfg, const struct dma *dma, struct components *components);
void fw_cfg_free(struct fw_cfg *fw_cfg);
void fw_cfg_reset(struct fw_cfg *fw_cfg);

/* Items under fixed keys (0..1Fh, 8000h..801Fh). The integers are copied and
 * little-endian; `bytes` of the last is not copied and must outlive the device. */
void fw_cfg_add16(struct fw_cfg *fw_cfg, unsigned key, uint16_t value);
void fw_cfg_add32(struct fw_cfg *fw_cfg, unsigned key, uint32_t value);
void fw_cfg_add64(struct fw_cfg *fw_cfg, unsigned key, uint64_t value);
void fw_cfg_add_bytes(struct fw_cfg *fw_cfg, unsigned key, const void *bytes, uint32_t size);

/* A file. The name is cut to 55 characters; a second file of a name replaces
 * the first. Returns 0, or -1 when there are too many files or no memory. */
int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *bytes, uint32_t size);
/* The same with a copy taken. */
int fw_cfg_add_copy(struct fw_cfg *fw_cfg, const char *name, const void *bytes, uint32_t size);
/* The same for a file that the guest may write by DMA; its content is state. */
int fw_cfg_add_writable(struct fw_cfg *fw_cfg, const char *name, const void *bytes,
                        uint32_t size);

/* Sorts the files and makes the directory. No files may be added after. */
int fw_cfg_seal(struct fw_cfg *fw_cfg);

/* Bus functions: selector and data ports (2 bytes), DMA register (8 bytes). */
bus_read_function fw_cfg_read;
bus_write_function fw_cfg_write;
bus_read_function fw_cfg_dma_read;
bus_write_function fw_cfg_dma_write;

#endif
