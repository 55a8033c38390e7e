/*
 * Disks with a copy-on-write overlay in memory; see disk.h.
 *
 * The overlay is a hash table with open addressing and linear probing, at most
 * three quarters full. Nothing observable depends on the order of its slots:
 * the digest is a sum, and lists of blocks are sorted.
 */
#include "machine/disk.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "util/assert.h"

#define SLOTS_MINIMUM 64

static uint64_t disk_bytes(const struct disk *disk)
{
    return disk_sectors(disk) * DISK_SECTOR_BYTES;
}

uint64_t disk_sectors(const struct disk *disk)
{
    uint64_t size = disk->source.size;
    return size / DISK_SECTOR_BYTES + (size % DISK_SECTOR_BYTES != 0);
}

static bool inside(const struct disk *disk, uint64_t offset, uint64_t length)
{
    return offset <= disk_bytes(disk) && length <= disk_bytes(disk) - offset;
}

/* The finisher of splitmix64. */
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

/* The table. */

static uint64_t home(const struct disk *disk, uint64_t number)
{
    return mix(number) & (disk->slots - 1);
}

/* The slot with block `number`, or the free one where it would go. */
static struct disk_block *slot_of(const struct disk *disk, uint64_t number)
{
    uint64_t i = home(disk, number);
    while (disk->table[i].bytes && disk->table[i].number != number)
        i = (i + 1) & (disk->slots - 1);
    return &disk->table[i];
}

static struct disk_block *find(const struct disk *disk, uint64_t number)
{
    if (!disk->slots)
        return NULL;
    struct disk_block *block = slot_of(disk, number);
    return block->bytes ? block : NULL;
}

static int grow_table(struct disk *disk)
{
    if (disk->slots && disk->used < disk->slots / 4 * 3)
        return 0;
    struct disk_block *old = disk->table;
    uint64_t old_slots = disk->slots;
    uint64_t slots = old_slots ? 2 * old_slots : SLOTS_MINIMUM;
    struct disk_block *table = calloc(slots, sizeof *table);
    if (!table)
        return -1;
    disk->table = table;
    disk->slots = slots;
    for (uint64_t i = 0; i < old_slots; i++)
        if (old[i].bytes)
            *slot_of(disk, old[i].number) = old[i];
    free(old);
    return 0;
}

static int grow_stale_list(struct disk *disk)
{
    if (disk->stale_count < disk->stale_room)
        return 0;
    uint64_t room = disk->stale_room ? 2 * disk->stale_room : SLOTS_MINIMUM;
    uint64_t *list = realloc(disk->stale_list, room * sizeof *list);
    if (!list)
        return -1;
    disk->stale_list = list;
    disk->stale_room = room;
    return 0;
}

/* Removes `block` and closes the gap in the probe sequences behind it. */
static void take_out(struct disk *disk, struct disk_block *block)
{
    if (!block->stale)
        disk->sum -= block->term;
    free(block->bytes);
    disk->used--;
    uint64_t mask = disk->slots - 1;
    uint64_t gap = (uint64_t)(block - disk->table);
    for (uint64_t i = (gap + 1) & mask; disk->table[i].bytes; i = (i + 1) & mask) {
        uint64_t distance = (i - home(disk, disk->table[i].number)) & mask;
        if (distance >= ((i - gap) & mask)) {
            disk->table[gap] = disk->table[i];
            gap = i;
        }
    }
    memset(&disk->table[gap], 0, sizeof disk->table[gap]);
}

/* Content. */

/* Base content, zero beyond the source's end. */
static int base_read(const struct disk *disk, uint64_t offset, uint8_t *bytes, uint64_t length)
{
    uint64_t size = disk->source.size;
    uint64_t there = offset >= size ? 0 : size - offset < length ? size - offset : length;
    memset(bytes + there, 0, length - there);
    if (there && disk->source.read(disk->source.context, offset, bytes, there) < 0)
        return -1;
    return 0;
}

/* The part of [offset, offset+length) that lies in the block of `offset`. */
static uint64_t part(uint64_t offset, uint64_t length)
{
    uint64_t left = DISK_BLOCK_BYTES - offset % DISK_BLOCK_BYTES;
    return length < left ? length : left;
}

/* How many bytes from `offset` on are not in the overlay, block by block. */
static uint64_t base_run(const struct disk *disk, uint64_t offset, uint64_t length)
{
    uint64_t run = 0;
    while (run < length && !find(disk, (offset + run) / DISK_BLOCK_BYTES))
        run += part(offset + run, length - run);
    return run;
}

int disk_read(struct disk *disk, uint64_t offset, void *bytes, uint64_t length)
{
    if (!inside(disk, offset, length))
        return -1;
    uint8_t *to = bytes;
    while (length) {
        uint64_t n = disk->used ? base_run(disk, offset, length) : length;
        if (n) {
            if (base_read(disk, offset, to, n) < 0)
                return -1;
        } else {
            n = part(offset, length);
            memcpy(to, find(disk, offset / DISK_BLOCK_BYTES)->bytes + offset % DISK_BLOCK_BYTES, n);
        }
        offset += n;
        to += n;
        length -= n;
    }
    return 0;
}

/* A block that is about to change: in the overlay, stale, of this epoch.
 * `whole`: all of it will be overwritten. NULL: no memory, host error. */
static struct disk_block *open_block(struct disk *disk, uint64_t number, bool whole)
{
    struct disk_block *block = find(disk, number);
    if (!block) {
        if (grow_table(disk) < 0)
            return NULL;
        uint8_t *bytes = malloc(DISK_BLOCK_BYTES);
        if (!bytes)
            return NULL;
        if (!whole && base_read(disk, number * DISK_BLOCK_BYTES, bytes, DISK_BLOCK_BYTES) < 0) {
            free(bytes);
            return NULL;
        }
        if (grow_stale_list(disk) < 0) {
            free(bytes);
            return NULL;
        }
        block = slot_of(disk, number);
        *block = (struct disk_block){ .number = number, .bytes = bytes };
        disk->used++;
    } else if (!block->stale && grow_stale_list(disk) < 0) {
        return NULL;
    }
    if (!block->stale) {
        disk->sum -= block->term;
        block->stale = 1;
        disk->stale_list[disk->stale_count++] = number;
    }
    block->epoch = disk->epoch;
    return block;
}

int disk_write(struct disk *disk, uint64_t offset, const void *bytes, uint64_t length)
{
    if (!inside(disk, offset, length))
        return -1;
    const uint8_t *from = bytes;
    while (length) {
        uint64_t n = part(offset, length);
        struct disk_block *block = open_block(disk, offset / DISK_BLOCK_BYTES,
                                              n == DISK_BLOCK_BYTES);
        if (!block)
            return -1;
        memcpy(block->bytes + offset % DISK_BLOCK_BYTES, from, n);
        offset += n;
        from += n;
        length -= n;
    }
    return 0;
}

/* Digest. */

static uint64_t term_of(const struct disk_block *block)
{
    return mix(XXH3_64bits(block->bytes, DISK_BLOCK_BYTES)
               + block->number * 0x9e3779b97f4a7c15ull);
}

void disk_prepare(void *device)
{
    struct disk *disk = device;
    for (uint64_t i = 0; i < disk->stale_count; i++) {
        struct disk_block *block = find(disk, disk->stale_list[i]);
        if (!block || !block->stale)
            continue; /* dropped meanwhile, or listed twice */
        block->term = term_of(block);
        block->stale = 0;
        disk->sum += block->term;
    }
    disk->stale_count = 0;
    disk->s.digest = disk->sum;
    disk->s.overlay_blocks = disk->used;
}

/* Checkpoints. */

uint64_t disk_mark(struct disk *disk)
{
    return ++disk->epoch;
}

uint64_t disk_dirty_count(const struct disk *disk, uint64_t mark)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < disk->slots; i++)
        count += disk->table[i].bytes && disk->table[i].epoch >= mark;
    return count;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t disk_dirty_blocks(const struct disk *disk, uint64_t mark, uint64_t *numbers,
                           uint64_t room)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < disk->slots && count < room; i++)
        if (disk->table[i].bytes && disk->table[i].epoch >= mark)
            numbers[count++] = disk->table[i].number;
    if (count)
        qsort(numbers, count, sizeof *numbers, by_number);
    return count;
}

const uint8_t *disk_block_read(const struct disk *disk, uint64_t number)
{
    struct disk_block *block = find(disk, number);
    return block ? block->bytes : NULL;
}

int disk_block_restore(struct disk *disk, uint64_t number, const uint8_t *bytes)
{
    if (number > disk_bytes(disk) / DISK_BLOCK_BYTES
        || number * DISK_BLOCK_BYTES >= disk_bytes(disk))
        return -1;
    struct disk_block *block = open_block(disk, number, true);
    if (!block)
        return -1;
    memcpy(block->bytes, bytes, DISK_BLOCK_BYTES);
    return 0;
}

void disk_block_drop(struct disk *disk, uint64_t number)
{
    struct disk_block *block = find(disk, number);
    if (block)
        take_out(disk, block);
}

void disk_drop_all(struct disk *disk)
{
    for (uint64_t i = 0; i < disk->slots; i++)
        free(disk->table[i].bytes);
    free(disk->table);
    disk->table = NULL;
    disk->slots = 0;
    disk->used = 0;
    disk->sum = 0;
    disk->stale_count = 0;
}

/* Life. */

void disk_init(struct disk *disk, const struct disk_source *source)
{
    memset(disk, 0, sizeof *disk);
    disk->source = *source;
    /* Sector and block arithmetic stays clear of 2^64. */
    ASSERT(source->size <= 1ull << 62);
}

void disk_free(struct disk *disk)
{
    disk_drop_all(disk);
    free(disk->stale_list);
    disk->stale_list = NULL;
    disk->stale_room = 0;
}
