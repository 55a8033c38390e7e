/*
 * Which RAM pages were written, for two users that ask at different times:
 * digests and checkpoints. The machine keeps one list (cpu/physmem.h); this
 * splits it.
 *
 * To notice the first write to a page costs more than to hash it. So one that was
 * written again and again is taken for written in the next intervals, too, without a
 * look. A set may thus name too many pages; it never names too few.
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

/* Of a page: when it was last found written. */
struct dirty_history {
    uint16_t interval;
    uint8_t row;  /* intervals in a row in which it was looked at, and was written */
    uint8_t kept; /* for so many more intervals it is taken for written */
};

struct dirty {
    struct physmem *memory;
    struct dirty_set sets[DIRTY_USERS];
    struct dirty_history *history; /* one a RAM page */
    uint16_t interval;
};

/* All pages written before count as written. Returns 0 or ERROR_MEMORY. */
int dirty_init(struct dirty *dirty, struct physmem *memory);
void dirty_free(struct dirty *dirty);

/* Moves the machine's list into both sets, for one that asks; digests end intervals.
 * Cost: the pages written since. */
void dirty_collect(struct dirty *dirty, enum dirty_user asks);
void dirty_add(struct dirty_set *set, uint32_t page);
void dirty_clear(struct dirty_set *set);

#endif
