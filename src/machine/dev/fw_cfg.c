/*
 * The firmware configuration device; see fw_cfg.h.
 *
 * Source: QEMU documentation, "QEMU Firmware Configuration (fw_cfg) Device".
 *
 * Not modelled: writing through the data port (gone from the interface since
 * its DMA exists), the memory-mapped form of the registers, callbacks.
 */
#include "machine/dev/fw_cfg.h"

#include <stdlib.h>
#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define KEY_MASK 0x3fff /* bit 14: historical write channel, bit 15: local */
#define KEY_LOCAL 0x8000

#define ID_PORTS 1u
#define ID_DMA 2u

#define DMA_ERROR 0x01u
#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u
#define DMA_WRITE 0x10u

#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */
#define CHUNK 4096u

static void put32be(uint8_t *p, uint32_t value)
{
    store32(p, __builtin_bswap32(value));
}

void fw_cfg_init(struct fw_cfg *fw_cfg, const struct dma *dma, struct components *components)
{
    memset(fw_cfg, 0, sizeof *fw_cfg);
    fw_cfg->dma = dma;
    fw_cfg->components = components;
    fw_cfg_add_bytes(fw_cfg, FW_CFG_SIGNATURE, "QEMU", 4);
    fw_cfg_add32(fw_cfg, FW_CFG_ID, ID_PORTS | ID_DMA);
    components_add(components, "fw-cfg", COMPONENT_SINGLE, &fw_cfg->s, sizeof fw_cfg->s, NULL,
                   NULL);
}

void fw_cfg_free(struct fw_cfg *fw_cfg)
{
    for (unsigned i = 0; i < FW_CFG_FILES_FIRST; i++) {
        free(fw_cfg->fixed[i].owned);
        free(fw_cfg->local[i].owned);
    }
    for (unsigned i = 0; i < fw_cfg->file_count; i++)
        free(fw_cfg->files[i].item.owned);
    memset(fw_cfg, 0, sizeof *fw_cfg);
}

void fw_cfg_reset(struct fw_cfg *fw_cfg)
{
    memset(&fw_cfg->s, 0, sizeof fw_cfg->s);
}

static struct fw_cfg_item *fixed_item(struct fw_cfg *fw_cfg, unsigned key)
{
    unsigned number = key & KEY_MASK;
    ASSERT(number < FW_CFG_FILES_FIRST);
    return key & KEY_LOCAL ? &fw_cfg->local[number] : &fw_cfg->fixed[number];
}

static int item_copy(struct fw_cfg_item *item, const void *bytes, uint32_t size)
{
    uint8_t *owned = malloc(size ? size : 1);
    if (!owned)
        return -1;
    memcpy(owned, bytes, size);
    free(item->owned);
    *item = (struct fw_cfg_item){ owned, owned, size, false };
    return 0;
}

void fw_cfg_add_bytes(struct fw_cfg *fw_cfg, unsigned key, const void *bytes, uint32_t size)
{
    struct fw_cfg_item *item = fixed_item(fw_cfg, key);
    free(item->owned);
    *item = (struct fw_cfg_item){ bytes, NULL, size, false };
}

void fw_cfg_add16(struct fw_cfg *fw_cfg, unsigned key, uint16_t value)
{
    ASSERT(item_copy(fixed_item(fw_cfg, key), &value, sizeof value) == 0);
}

void fw_cfg_add64(struct fw_cfg *fw_cfg, unsigned key, uint64_t value)
{
    ASSERT(item_copy(fixed_item(fw_cfg, key), &value, sizeof value) == 0);
}

void fw_cfg_add32(struct fw_cfg *fw_cfg, unsigned key, uint32_t value)
{
    ASSERT(item_copy(fixed_item(fw_cfg, key), &value, sizeof value) == 0);
}

/* The file of this name, made when there is none; NULL when full. */
static struct fw_cfg_file *file_place(struct fw_cfg *fw_cfg, const char *name)
{
    size_t length = strnlen(name, FW_CFG_NAME - 1);
    for (unsigned i = 0; i < fw_cfg->file_count; i++)
        if (strncmp(fw_cfg->files[i].name, name, length) == 0 && !fw_cfg->files[i].name[length])
            return &fw_cfg->files[i];
    if (fw_cfg->file_count == FW_CFG_FILES_MAXIMUM)
        return NULL;
    struct fw_cfg_file *file = &fw_cfg->files[fw_cfg->file_count++];
    memcpy(file->name, name, length);
    return file;
}

int fw_cfg_add_file(struct fw_cfg *fw_cfg, const char *name, const void *bytes, uint32_t size)
{
    struct fw_cfg_file *file = file_place(fw_cfg, name);
    if (!file)
        return -1;
    free(file->item.owned);
    file->item = (struct fw_cfg_item){ bytes, NULL, size, false };
    return 0;
}

int fw_cfg_add_copy(struct fw_cfg *fw_cfg, const char *name, const void *bytes, uint32_t size)
{
    struct fw_cfg_file *file = file_place(fw_cfg, name);
    return file ? item_copy(&file->item, bytes, size) : -1;
}

int fw_cfg_add_writable(struct fw_cfg *fw_cfg, const char *name, const void *bytes,
                        uint32_t size)
{
    struct fw_cfg_file *file = file_place(fw_cfg, name);
    if (!file || item_copy(&file->item, bytes, size) < 0)
        return -1;
    file->item.writable = true;
    components_add(fw_cfg->components, "fw-cfg-file", (unsigned)(file - fw_cfg->files),
                   file->item.owned, size, NULL, NULL);
    return 0;
}

static int compare_files(const void *a, const void *b)
{
    return strcmp(((const struct fw_cfg_file *)a)->name, ((const struct fw_cfg_file *)b)->name);
}

/* The directory: a big-endian count, then entries of size (4), key (2), two
 * reserved bytes and the name (56). */
int fw_cfg_seal(struct fw_cfg *fw_cfg)
{
    qsort(fw_cfg->files, fw_cfg->file_count, sizeof fw_cfg->files[0], compare_files);
    uint8_t directory[4 + 64 * FW_CFG_FILES_MAXIMUM] = { 0 };
    put32be(directory, fw_cfg->file_count);
    for (unsigned i = 0; i < fw_cfg->file_count; i++) {
        uint8_t *entry = directory + 4 + 64 * i;
        put32be(entry, fw_cfg->files[i].item.size);
        store16(entry + 4, __builtin_bswap16((uint16_t)(FW_CFG_FILES_FIRST + i)));
        memcpy(entry + 8, fw_cfg->files[i].name, FW_CFG_NAME);
    }
    return item_copy(&fw_cfg->fixed[FW_CFG_FILE_DIRECTORY], directory,
                     4 + 64 * fw_cfg->file_count);
}

/* What the selector points to, or NULL when there is no such item. */
static struct fw_cfg_item *selected(struct fw_cfg *fw_cfg)
{
    unsigned key = fw_cfg->s.selected;
    unsigned number = key & KEY_MASK;
    if (number < FW_CFG_FILES_FIRST)
        return fixed_item(fw_cfg, key);
    number -= FW_CFG_FILES_FIRST;
    if (!(key & KEY_LOCAL) && number < fw_cfg->file_count)
        return &fw_cfg->files[number].item;
    return NULL;
}

static void select_item(struct fw_cfg *fw_cfg, uint16_t key)
{
    fw_cfg->s.selected = key;
    fw_cfg->s.offset = 0;
}

/* Bytes left in the selected item. */
static uint32_t bytes_left(struct fw_cfg *fw_cfg)
{
    const struct fw_cfg_item *item = selected(fw_cfg);
    return item && fw_cfg->s.offset < item->size ? item->size - fw_cfg->s.offset : 0;
}

uint64_t fw_cfg_read(void *device, uint64_t offset, unsigned bytes)
{
    struct fw_cfg *fw_cfg = device;
    if (offset == 0) /* selector: write-only */
        return bytes == 1 ? 0 : bits_ones(bytes);
    if (!bytes_left(fw_cfg))
        return 0;
    return selected(fw_cfg)->bytes[fw_cfg->s.offset++];
}

void fw_cfg_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    if (offset == 0 && bytes == 2)
        select_item(device, (uint16_t)value);
}

/* Bytes past the item's end read as zeros. */
static void dma_out(struct fw_cfg *fw_cfg, uint64_t address, uint32_t length)
{
    uint32_t here = bytes_left(fw_cfg);
    if (here > length)
        here = length;
    if (here)
        dma_write(fw_cfg->dma, address, selected(fw_cfg)->bytes + fw_cfg->s.offset, here);
    fw_cfg->s.offset += here;
    static const uint8_t zeros[CHUNK];
    for (uint64_t done = here; done < length;) {
        uint64_t part = length - done < CHUNK ? length - done : CHUNK;
        dma_write(fw_cfg->dma, address + done, zeros, part);
        done += part;
    }
}

/* False when the item cannot take it: read-only, or past its end. */
static bool dma_in(struct fw_cfg *fw_cfg, uint64_t address, uint32_t length)
{
    struct fw_cfg_item *item = selected(fw_cfg);
    if (!item || !item->writable || length > bytes_left(fw_cfg))
        return false;
    dma_read(fw_cfg->dma, address, item->owned + fw_cfg->s.offset, length);
    fw_cfg->s.offset += length;
    return true;
}

/* Carries out the request block at s.dma_address: control, length (4 bytes
 * each) and address (8), all big-endian; control is written back. */
static void dma_start(struct fw_cfg *fw_cfg)
{
    uint64_t block = fw_cfg->s.dma_address;
    fw_cfg->s.dma_address = 0;
    uint8_t request[16];
    dma_read(fw_cfg->dma, block, request, sizeof request);
    uint32_t control = __builtin_bswap32(load32(request));
    uint32_t length = __builtin_bswap32(load32(request + 4));
    uint64_t address = __builtin_bswap64(load64(request + 8));
    uint32_t result = 0;
    if (control & DMA_SELECT)
        select_item(fw_cfg, control >> 16);
    if (control & DMA_READ) {
        dma_out(fw_cfg, address, length);
    } else if (control & DMA_WRITE) {
        result = dma_in(fw_cfg, address, length) ? 0 : DMA_ERROR;
    } else if (control & DMA_SKIP) {
        uint32_t left = bytes_left(fw_cfg);
        fw_cfg->s.offset += length < left ? length : left;
    }
    uint8_t answer[4];
    put32be(answer, result);
    dma_write(fw_cfg->dma, block, answer, sizeof answer);
}

uint64_t fw_cfg_dma_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)device;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && offset + i < 8; i++)
        value |= (DMA_SIGNATURE >> (56 - 8 * (offset + i)) & 0xff) << (8 * i);
    return value;
}

void fw_cfg_dma_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct fw_cfg *fw_cfg = device;
    if (bytes == 8 && offset == 0) {
        fw_cfg->s.dma_address = __builtin_bswap64(value);
        dma_start(fw_cfg);
    } else if (bytes == 4 && offset == 0) {
        fw_cfg->s.dma_address = (uint64_t)__builtin_bswap32((uint32_t)value) << 32;
    } else if (bytes == 4 && offset == 4) {
        fw_cfg->s.dma_address |= __builtin_bswap32((uint32_t)value);
        dma_start(fw_cfg);
    }
}
