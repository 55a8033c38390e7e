/*
 * Which RAM pages were written, for two users that ask at different times:
 * digests and checkpoints. The machine keeps one list (cpu/physmem.h); this
 * splits it.
 */
#ifndef REPLAY_DIRTY_H
#define REPLAY_DIRTY_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/physmem.h"

enum dirty_user { DIRTY_DIGEST, DIRTY_CHECKPOINT, DIRTY_USERS };

struct dirty_set {
    uint64_t *bits;  /* one a RAM page */
    uint32_t *pages; /* those whose bit is set, any order */
    uint32_t count;
};

struct dirty {
    struct physmem *memory;
    struct dirty_set sets[DIRTY_USERS];
};

/* All pages written before count as written. Returns 0 or ERROR_MEMORY. */
int dirty_init(struct dirty *dirty, struct physmem *memory);
void dirty_free(struct dirty *dirty);

/* Moves the machine's list into both sets. Cost: the pages written since. */
void dirty_collect(struct dirty *dirty);
void dirty_add(struct dirty_set *set, uint32_t page);
void dirty_clear(struct dirty_set *set);

#endif
