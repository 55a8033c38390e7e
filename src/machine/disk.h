/*
 * A disk: read-only base content and, over it, the blocks that the guest has
 * written, kept in memory. The file behind the base is never changed.
 *
 * The overlay is machine state. Its digest is kept incrementally, as the sum
 * over overlay blocks of a hash of (block number, content); which blocks are in
 * the overlay is itself a function of the run. Checkpoints:
 *
 *     mark = disk_mark(disk);                   at a checkpoint
 *     n = disk_dirty_count(disk, mark);         at the next one
 *     disk_dirty_blocks(disk, mark, list, n);   blocks changed in between, ascending
 *     disk_block_read(disk, list[i], bytes);    content to save
 *   and to go back:
 *     disk_drop_all(disk), then disk_block_restore for every saved block, oldest
 *     checkpoint first; or, for each block changed since, disk_block_restore with
 *     its older content, or disk_block_drop when it had none.
 *
 * Memory is bounded by the disk's size. When the host has no more, a write
 * fails, which the drive reports to the guest as an error.
 */
#ifndef MACHINE_DISK_H
#define MACHINE_DISK_H

#include <stdbool.h>
#include <stdint.h>

#define DISK_BLOCK_BYTES 4096u
#define DISK_SECTOR_BYTES 512u

/* Base content. `read` returns 0, or negative on a host error; it is never
 * asked for bytes at or beyond `size`. Same offset, same bytes, always. */
struct disk_source {
    int (*read)(void *context, uint64_t offset, void *bytes, uint64_t length);
    void *context;
    uint64_t size; /* bytes */
};

/* The component section of a disk: digest only; blocks are saved apart. */
struct disk_state {
    uint64_t digest;
    uint64_t overlay_blocks;
};

struct disk_block {
    uint64_t number; /* of the 4 KiB block */
    uint8_t *bytes;  /* NULL: free slot */
    uint64_t term;   /* what it contributes to the sum, when not stale */
    uint64_t epoch;  /* mark in force at its last change */
    uint64_t stale;  /* its term is out of date */
};

struct disk {
    struct disk_state s; /* brought up to date by disk_prepare */
    struct disk_source source;
    struct disk_block *table; /* open addressing; owned */
    uint64_t slots;           /* a power of two, or 0 */
    uint64_t used;
    uint64_t epoch;
    uint64_t sum; /* of all terms that are not stale */
    uint64_t *stale_list; /* block numbers; owned */
    uint64_t stale_count;
    uint64_t stale_room;
};

/* A disk of source->size bytes (at most 2^62; rounded up to a sector, the rest reads as
 * zero). `source` is copied; what it points to must outlive the disk. */
void disk_init(struct disk *disk, const struct disk_source *source);
void disk_free(struct disk *disk);

/* 512-byte sectors. */
uint64_t disk_sectors(const struct disk *disk);

/* Reads or writes `length` bytes at `offset`, inside the disk. 0, or -1: out of
 * range, host read error, or (write) no memory; a failed write may have stored
 * a leading part, and changes nothing after it. */
int disk_read(struct disk *disk, uint64_t offset, void *bytes, uint64_t length);
int disk_write(struct disk *disk, uint64_t offset, const void *bytes, uint64_t length);

/* Brings disk->s up to date; cost: the blocks changed since the last call.
 * Shape of component.prepare. */
void disk_prepare(void *disk);

/* Starts a new epoch and returns it: disk_dirty_* with it as `mark` list what
 * changes from now on. Mark 0 lists the whole overlay. A dropped block is not
 * listed (it is no longer in the overlay). */
uint64_t disk_mark(struct disk *disk);
uint64_t disk_dirty_count(const struct disk *disk, uint64_t mark);
/* Block numbers, ascending, at most `room`; returns how many were written. */
uint64_t disk_dirty_blocks(const struct disk *disk, uint64_t mark, uint64_t *numbers,
                           uint64_t room);

/* Content of overlay block `number` (4096 bytes) or NULL when it is not in the
 * overlay; valid until the disk changes. */
const uint8_t *disk_block_read(const struct disk *disk, uint64_t number);
/* Puts 4096 bytes in the overlay: 0, or -1 (beyond the disk, no memory). */
int disk_block_restore(struct disk *disk, uint64_t number, const uint8_t *bytes);
/* Takes the block, or all, out of the overlay: the base shows again. */
void disk_block_drop(struct disk *disk, uint64_t number);
void disk_drop_all(struct disk *disk);

#endif
