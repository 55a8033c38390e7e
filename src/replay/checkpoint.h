/*
 * Checkpoints in memory: the component sections of the moment, and the RAM
 * pages and disk blocks that changed since the checkpoint before. The machine
 * can go from any state to any checkpoint.
 */
#ifndef REPLAY_CHECKPOINT_H
#define REPLAY_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/disk.h"
#include "machine/machine.h"
#include "replay/dirty.h"
#include "replay/trace.h"
#include "util/error.h"

#define CHECKPOINT_DISKS DESCRIPTION_DRIVES

struct checkpoints;

/*
 * `extra_bytes` of the caller's own plain data are kept with each checkpoint.
 * `limit_bytes`: more than that makes those far from here sparser (the first and
 * the last always stay). `machine` must be at power-on and outlive this.
 * NULL: no memory.
 */
struct checkpoints *checkpoints_create(struct machine *machine, struct dirty *dirty,
                                       uint32_t extra_bytes, uint64_t limit_bytes);
void checkpoints_destroy(struct checkpoints *checkpoints);
/* Adds a disk whose blocks are part of the state; before the first checkpoint. */
void checkpoints_add_disk(struct checkpoints *checkpoints, struct disk *disk);

/* Saves the state of now. One at the same position is kept as it is. Returns
 * its number, or ERROR_MEMORY (then nothing changed). Cost: a copy of the
 * pages written since the last checkpoint that was taken or restored. */
int checkpoints_take(struct checkpoints *checkpoints, const void *extra);

/* Numbers are by position, from 0, and change when one is taken or thinned. */
uint32_t checkpoints_count(const struct checkpoints *checkpoints);
struct position checkpoints_at(const struct checkpoints *checkpoints, uint32_t number);
/* The last one whose count is at most `instructions`; -1: none. */
int checkpoints_find(const struct checkpoints *checkpoints, uint64_t instructions);
uint64_t checkpoints_bytes(const struct checkpoints *checkpoints);

/* Puts the machine into the state of checkpoint `number`; *extra receives the
 * caller's data. Calls machine_restored. Returns 0, or ERROR_MEMORY (a disk's
 * overlay could not grow: the machine must not be used on). */
int checkpoints_restore(struct checkpoints *checkpoints, uint32_t number, void *extra);

#endif
