/* Written pages, for digests and for checkpoints; see dirty.h. */
#include "replay/dirty.h"

#include <stdlib.h>
#include <string.h>

#include "util/error.h"

int dirty_init(struct dirty *dirty, struct physmem *memory)
{
    memset(dirty, 0, sizeof *dirty);
    dirty->memory = memory;
    dirty->history = calloc(memory->ram_pages, sizeof *dirty->history);
    for (unsigned user = 0; user < DIRTY_USERS; user++) {
        struct dirty_set *set = &dirty->sets[user];
        set->bits = calloc(memory->ram_pages / 64 + 1, sizeof *set->bits);
        set->pages = calloc(memory->ram_pages, sizeof *set->pages);
        if (!set->bits || !set->pages || !dirty->history) {
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
    free(dirty->history);
    dirty->history = NULL;
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

/* Whether a page that was written in the interval before `interval`, or taken for it,
 * counts as written in this one as well. After ROW_MINIMUM intervals in a row it does for
 * 2, then for 4, 8 ... between one look and the next. */
#define ROW_MINIMUM 3
#define ROW_MAXIMUM 6

static bool keeps(struct dirty_history *history, uint16_t interval)
{
    bool goes_on = (uint16_t)(history->interval + 1) == interval;
    history->interval = interval;
    if (history->kept)
        return --history->kept;
    if (!goes_on)
        history->row = 0;
    if (history->row < ROW_MAXIMUM)
        history->row++;
    if (history->row >= ROW_MINIMUM)
        history->kept = (uint8_t)(2u << (history->row - ROW_MINIMUM));
    return history->kept;
}

void dirty_collect(struct dirty *dirty, enum dirty_user asks)
{
    struct physmem *memory = dirty->memory;
    uint32_t *pages = memory->dirty, kept = 0;
    bool ends = asks == DIRTY_DIGEST;
    dirty->interval += ends;
    for (uint32_t i = 0; i < memory->dirty_count; i++) {
        uint32_t page = pages[i];
        struct dirty_history *history = &dirty->history[page];
        for (unsigned user = 0; user < DIRTY_USERS; user++)
            dirty_add(&dirty->sets[user], page);
        if (ends ? keeps(history, dirty->interval) : history->kept) {
            pages[i] = pages[kept];
            pages[kept++] = page;
        }
    }
    physmem_clean(memory, kept);
}
