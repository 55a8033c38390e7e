/* Written pages, for digests and for checkpoints; see dirty.h. */
#include "replay/dirty.h"

#include <stdlib.h>
#include <string.h>

#include "util/error.h"

int dirty_init(struct dirty *dirty, struct physmem *memory)
{
    memset(dirty, 0, sizeof *dirty);
    dirty->memory = memory;
    for (unsigned user = 0; user < DIRTY_USERS; user++) {
        struct dirty_set *set = &dirty->sets[user];
        set->bits = calloc(memory->ram_pages / 64 + 1, sizeof *set->bits);
        set->pages = calloc(memory->ram_pages, sizeof *set->pages);
        if (!set->bits || !set->pages) {
            dirty_free(dirty);
            return ERROR_MEMORY;
        }
    }
    return 0;
}

void dirty_free(struct dirty *dirty)
{
    for (unsigned user = 0; user < DIRTY_USERS; user++) {
        free(dirty->sets[user].bits);
        free(dirty->sets[user].pages);
    }
    memset(dirty->sets, 0, sizeof dirty->sets);
}

void dirty_add(struct dirty_set *set, uint32_t page)
{
    uint64_t bit = 1ull << (page & 63);
    if (set->bits[page / 64] & bit)
        return;
    set->bits[page / 64] |= bit;
    set->pages[set->count++] = page;
}

void dirty_clear(struct dirty_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        set->bits[set->pages[i] / 64] = 0;
    set->count = 0;
}

void dirty_collect(struct dirty *dirty)
{
    const struct physmem *memory = dirty->memory;
    for (uint32_t i = 0; i < memory->dirty_count; i++) {
        for (unsigned user = 0; user < DIRTY_USERS; user++)
            dirty_add(&dirty->sets[user], memory->dirty[i]);
    }
    physmem_clean(dirty->memory);
}
