/*
 * Checkpoints in memory; see checkpoint.h.
 *
 * Each holds the content, at its own moment, of every page that was written
 * since an earlier checkpoint; so the content of any page at checkpoint n is
 * found in the nearest one at or before n that lists it, and is zero when none
 * does (RAM is zero at power-on, and the first checkpoint lists what a loader
 * wrote). A list may name too many pages; it never names too few.
 *
 * `base` is the checkpoint that the dirty set counts from: the last one that
 * was taken, restored, or passed at its very position.
 */
#include "replay/checkpoint.h"

#include <stdlib.h>
#include <string.h>

#include "util/assert.h"

struct block {
    uint64_t number;
    uint8_t *bytes;
};

struct blocks {
    struct block *list;
    uint64_t count;
};

struct checkpoint {
    struct position at;
    uint8_t *sections; /* components, extra */
    uint32_t *pages;
    uint8_t **contents; /* of pages; NULL: a zero page */
    uint32_t page_count;
    struct blocks disks[CHECKPOINT_DISKS];
};

struct checkpoints {
    struct machine *machine;
    struct dirty *dirty;
    uint32_t section_bytes, extra_bytes;
    uint64_t limit_bytes, bytes;
    struct checkpoint *list; /* by position */
    uint32_t count, capacity;
    uint32_t base;
    struct disk *disks[CHECKPOINT_DISKS];
    uint64_t marks[CHECKPOINT_DISKS]; /* since `base` */
    uint32_t disk_count;
};

static const uint8_t zero_page[PAGE_BYTES];

struct checkpoints *checkpoints_create(struct machine *machine, struct dirty *dirty,
                                       uint32_t extra_bytes, uint64_t limit_bytes)
{
    struct checkpoints *checkpoints = calloc(1, sizeof *checkpoints);
    if (!checkpoints)
        return NULL;
    checkpoints->machine = machine;
    checkpoints->dirty = dirty;
    checkpoints->extra_bytes = extra_bytes;
    checkpoints->limit_bytes = limit_bytes;
    checkpoints->section_bytes = extra_bytes;
    for (unsigned i = 0; i < machine->components.count; i++)
        checkpoints->section_bytes += machine->components.list[i].size;
    return checkpoints;
}

static void free_checkpoint(struct checkpoints *checkpoints, struct checkpoint *checkpoint)
{
    for (uint32_t i = 0; i < checkpoint->page_count; i++) {
        if (checkpoint->contents[i])
            checkpoints->bytes -= PAGE_BYTES;
        free(checkpoint->contents[i]);
    }
    checkpoints->bytes -= checkpoint->page_count * (sizeof(uint32_t) + sizeof(uint8_t *));
    for (unsigned d = 0; d < CHECKPOINT_DISKS; d++) {
        struct blocks *blocks = &checkpoint->disks[d];
        for (uint64_t i = 0; i < blocks->count; i++)
            free(blocks->list[i].bytes);
        checkpoints->bytes -= blocks->count * DISK_BLOCK_BYTES;
        free(blocks->list);
    }
    if (checkpoint->sections)
        checkpoints->bytes -= checkpoints->section_bytes;
    free(checkpoint->sections);
    free(checkpoint->pages);
    free(checkpoint->contents);
    memset(checkpoint, 0, sizeof *checkpoint);
}

void checkpoints_destroy(struct checkpoints *checkpoints)
{
    if (!checkpoints)
        return;
    for (uint32_t i = 0; i < checkpoints->count; i++)
        free_checkpoint(checkpoints, &checkpoints->list[i]);
    free(checkpoints->list);
    free(checkpoints);
}

void checkpoints_add_disk(struct checkpoints *checkpoints, struct disk *disk)
{
    ASSERT(checkpoints->disk_count < CHECKPOINT_DISKS && checkpoints->count == 0);
    checkpoints->disks[checkpoints->disk_count++] = disk;
}

uint32_t checkpoints_count(const struct checkpoints *checkpoints)
{
    return checkpoints->count;
}

struct position checkpoints_at(const struct checkpoints *checkpoints, uint32_t number)
{
    return checkpoints->list[number].at;
}

uint64_t checkpoints_bytes(const struct checkpoints *checkpoints)
{
    return checkpoints->bytes;
}

int checkpoints_find(const struct checkpoints *checkpoints, uint64_t instructions)
{
    uint32_t low = 0, high = checkpoints->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (checkpoints->list[middle].at.instructions <= instructions)
            low = middle + 1;
        else
            high = middle;
    }
    return (int)low - 1;
}

/* Counts the dirty sets from checkpoint `number` on: the machine is there. */
static void rebase(struct checkpoints *checkpoints, uint32_t number)
{
    dirty_collect(checkpoints->dirty, DIRTY_CHECKPOINT);
    dirty_clear(&checkpoints->dirty->sets[DIRTY_CHECKPOINT]);
    for (uint32_t d = 0; d < checkpoints->disk_count; d++)
        checkpoints->marks[d] = disk_mark(checkpoints->disks[d]);
    checkpoints->base = number;
}

/* ---- taking ---- */

static int save_sections(struct checkpoints *checkpoints, struct checkpoint *checkpoint,
                         const void *extra)
{
    const struct machine *machine = checkpoints->machine;
    uint8_t *to = malloc(checkpoints->section_bytes);
    if (!to)
        return ERROR_MEMORY;
    checkpoint->sections = to;
    checkpoints->bytes += checkpoints->section_bytes;
    for (unsigned i = 0; i < machine->components.count; i++) {
        const struct component *component = &machine->components.list[i];
        if (component->prepare)
            component->prepare(component->device);
        memcpy(to, component->state, component->size);
        to += component->size;
    }
    memcpy(to, extra, checkpoints->extra_bytes);
    return 0;
}

static int save_pages(struct checkpoints *checkpoints, struct checkpoint *checkpoint)
{
    const struct physmem *memory = &checkpoints->machine->memory;
    dirty_collect(checkpoints->dirty, DIRTY_CHECKPOINT);
    const struct dirty_set *set = &checkpoints->dirty->sets[DIRTY_CHECKPOINT];
    checkpoint->pages = calloc(set->count + 1, sizeof *checkpoint->pages);
    checkpoint->contents = calloc(set->count + 1, sizeof *checkpoint->contents);
    if (!checkpoint->pages || !checkpoint->contents)
        return ERROR_MEMORY;
    for (uint32_t i = 0; i < set->count; i++) {
        const uint8_t *bytes = physmem_host(memory, set->pages[i]);
        uint8_t *copy = NULL;
        if (memcmp(bytes, zero_page, PAGE_BYTES) != 0) {
            copy = malloc(PAGE_BYTES);
            if (!copy)
                return ERROR_MEMORY;
            memcpy(copy, bytes, PAGE_BYTES);
            checkpoints->bytes += PAGE_BYTES;
        }
        checkpoint->pages[i] = set->pages[i];
        checkpoint->contents[i] = copy;
        checkpoint->page_count = i + 1;
        checkpoints->bytes += sizeof(uint32_t) + sizeof(uint8_t *);
    }
    return 0;
}

static int save_blocks(struct checkpoints *checkpoints, struct blocks *blocks, uint32_t d)
{
    const struct disk *disk = checkpoints->disks[d];
    uint64_t count = disk_dirty_count(disk, checkpoints->marks[d]);
    if (!count)
        return 0;
    uint64_t *numbers = calloc(count, sizeof *numbers);
    blocks->list = calloc(count, sizeof *blocks->list);
    int code = numbers && blocks->list ? 0 : ERROR_MEMORY;
    if (code == 0)
        count = disk_dirty_blocks(disk, checkpoints->marks[d], numbers, count);
    for (uint64_t i = 0; i < count && code == 0; i++) {
        uint8_t *copy = malloc(DISK_BLOCK_BYTES);
        if (!copy) {
            code = ERROR_MEMORY;
            break;
        }
        memcpy(copy, disk_block_read(disk, numbers[i]), DISK_BLOCK_BYTES);
        blocks->list[blocks->count++] = (struct block){numbers[i], copy};
        checkpoints->bytes += DISK_BLOCK_BYTES;
    }
    free(numbers);
    return code;
}

static int save(struct checkpoints *checkpoints, struct checkpoint *checkpoint, const void *extra)
{
    TRY(save_sections(checkpoints, checkpoint, extra));
    TRY(save_pages(checkpoints, checkpoint));
    for (uint32_t d = 0; d < checkpoints->disk_count; d++)
        TRY(save_blocks(checkpoints, &checkpoint->disks[d], d));
    return 0;
}

/* ---- thinning ---- */

static bool has_page(const uint64_t *bits, uint32_t page)
{
    return bits[page / 64] >> (page & 63) & 1;
}

/* Gives what `from` lists and `to`, its successor, does not, to `to`. */
static int merge_pages(struct checkpoints *checkpoints, struct checkpoint *from,
                       struct checkpoint *to)
{
    uint32_t room = from->page_count + to->page_count + 1;
    uint64_t *bits = calloc(checkpoints->machine->memory.ram_pages / 64 + 1, sizeof *bits);
    uint32_t *pages = realloc(to->pages, room * sizeof *pages);
    if (pages)
        to->pages = pages;
    uint8_t **contents = realloc(to->contents, room * sizeof *contents);
    if (contents)
        to->contents = contents;
    if (!bits || !pages || !contents) {
        free(bits);
        return ERROR_MEMORY;
    }
    for (uint32_t i = 0; i < to->page_count; i++)
        bits[to->pages[i] / 64] |= 1ull << (to->pages[i] & 63);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < from->page_count; i++) {
        if (has_page(bits, from->pages[i])) {
            from->pages[kept] = from->pages[i];
            from->contents[kept++] = from->contents[i];
        } else {
            to->pages[to->page_count] = from->pages[i];
            to->contents[to->page_count++] = from->contents[i];
        }
    }
    from->page_count = kept;
    free(bits);
    return 0;
}

/* The same for one disk; both lists ascend. */
static int merge_blocks(struct blocks *from, struct blocks *to)
{
    if (!from->count)
        return 0;
    struct block *merged = calloc(from->count + to->count, sizeof *merged);
    if (!merged)
        return ERROR_MEMORY;
    uint64_t a = 0, b = 0, n = 0, kept = 0;
    while (a < from->count || b < to->count) {
        if (b == to->count || (a < from->count && from->list[a].number < to->list[b].number)) {
            merged[n++] = from->list[a++];
        } else {
            if (a < from->count && from->list[a].number == to->list[b].number)
                from->list[kept++] = from->list[a++];
            merged[n++] = to->list[b++];
        }
    }
    free(to->list);
    to->list = merged;
    to->count = n;
    from->count = kept;
    return 0;
}

static int remove_checkpoint(struct checkpoints *checkpoints, uint32_t number)
{
    struct checkpoint *from = &checkpoints->list[number], *to = from + 1;
    TRY(merge_pages(checkpoints, from, to));
    for (uint32_t d = 0; d < checkpoints->disk_count; d++)
        TRY(merge_blocks(&from->disks[d], &to->disks[d]));
    free_checkpoint(checkpoints, from);
    memmove(from, to, (checkpoints->count - number - 1) * sizeof *from);
    checkpoints->count--;
    if (checkpoints->base > number)
        checkpoints->base--;
    return 0;
}

static uint64_t distance(uint64_t a, uint64_t b)
{
    return a < b ? b - a : a - b;
}

/* The one that is missed least: the gap it leaves is small for how far it is
 * from here. -1: none may go. */
static int least_useful(const struct checkpoints *checkpoints)
{
    int best = -1;
    uint64_t best_gap = 0, best_away = 1;
    uint64_t here = checkpoints->list[checkpoints->base].at.instructions;
    for (uint32_t i = 1; i + 1 < checkpoints->count; i++) {
        uint64_t gap = checkpoints->list[i + 1].at.instructions -
                       checkpoints->list[i - 1].at.instructions;
        uint64_t away = distance(checkpoints->list[i].at.instructions, here) + 1;
        if (i == checkpoints->base)
            continue;
        if (best < 0 || (unsigned __int128)gap * best_away < (unsigned __int128)best_gap * away) {
            best = (int)i;
            best_gap = gap;
            best_away = away;
        }
    }
    return best;
}

static void thin(struct checkpoints *checkpoints)
{
    while (checkpoints->bytes > checkpoints->limit_bytes) {
        int victim = least_useful(checkpoints);
        if (victim < 0 || remove_checkpoint(checkpoints, (uint32_t)victim) < 0)
            return;
    }
}

static int grow(struct checkpoints *checkpoints)
{
    if (checkpoints->count < checkpoints->capacity)
        return 0;
    uint32_t capacity = checkpoints->capacity ? checkpoints->capacity * 2 : 32;
    struct checkpoint *list = realloc(checkpoints->list, capacity * sizeof *list);
    if (!list)
        return ERROR_MEMORY;
    checkpoints->list = list;
    checkpoints->capacity = capacity;
    return 0;
}

int checkpoints_take(struct checkpoints *checkpoints, const void *extra)
{
    struct position at = position_of_clock(&checkpoints->machine->clock);
    uint32_t number = (uint32_t)(checkpoints_find(checkpoints, at.instructions) + 1);
    while (number > 0 && checkpoints->list[number - 1].at.instructions == at.instructions &&
           checkpoints->list[number - 1].at.idle_ns > at.idle_ns)
        number--;
    if (number > 0 && position_equal(checkpoints->list[number - 1].at, at)) {
        rebase(checkpoints, number - 1);
        return (int)number - 1;
    }
    struct checkpoint checkpoint = {.at = at};
    int code = grow(checkpoints);
    if (code == 0)
        code = save(checkpoints, &checkpoint, extra);
    if (code < 0) {
        free_checkpoint(checkpoints, &checkpoint);
        return code;
    }
    memmove(&checkpoints->list[number + 1], &checkpoints->list[number],
            (checkpoints->count - number) * sizeof checkpoint);
    checkpoints->list[number] = checkpoint;
    checkpoints->count++;
    rebase(checkpoints, number);
    thin(checkpoints);
    return (int)checkpoints->base;
}

/* ---- restoring ---- */

/* Marks in the dirty set every page that may differ between the machine and
 * checkpoint `number`. */
static void mark_differing(struct checkpoints *checkpoints, uint32_t number)
{
    struct dirty_set *set = &checkpoints->dirty->sets[DIRTY_CHECKPOINT];
    uint32_t base = checkpoints->base;
    uint32_t low = number < base ? number : base, high = number < base ? base : number;
    dirty_collect(checkpoints->dirty, DIRTY_CHECKPOINT);
    for (uint32_t k = low + 1; k <= high; k++) {
        const struct checkpoint *checkpoint = &checkpoints->list[k];
        for (uint32_t i = 0; i < checkpoint->page_count; i++)
            dirty_add(set, checkpoint->pages[i]);
    }
}

static void restore_pages(struct checkpoints *checkpoints, uint32_t number)
{
    struct physmem *memory = &checkpoints->machine->memory;
    struct dirty_set *set = &checkpoints->dirty->sets[DIRTY_CHECKPOINT];
    mark_differing(checkpoints, number);
    for (uint32_t k = number + 1; k-- > 0;) {
        const struct checkpoint *checkpoint = &checkpoints->list[k];
        for (uint32_t i = 0; i < checkpoint->page_count; i++) {
            uint32_t page = checkpoint->pages[i];
            if (!has_page(set->bits, page))
                continue;
            set->bits[page / 64] &= ~(1ull << (page & 63));
            physmem_store(memory, page, 0,
                          checkpoint->contents[i] ? checkpoint->contents[i] : zero_page,
                          PAGE_BYTES);
        }
    }
    for (uint32_t i = 0; i < set->count; i++) {
        if (has_page(set->bits, set->pages[i]))
            physmem_store(memory, set->pages[i], 0, zero_page, PAGE_BYTES);
    }
    dirty_clear(set);
}

static int restore_disks(struct checkpoints *checkpoints, uint32_t number)
{
    for (uint32_t d = 0; d < checkpoints->disk_count; d++) {
        struct disk *disk = checkpoints->disks[d];
        disk_drop_all(disk);
        for (uint32_t k = 0; k <= number; k++) {
            const struct blocks *blocks = &checkpoints->list[k].disks[d];
            for (uint64_t i = 0; i < blocks->count; i++) {
                if (disk_block_restore(disk, blocks->list[i].number, blocks->list[i].bytes) < 0)
                    return ERROR_MEMORY;
            }
        }
    }
    return 0;
}

int checkpoints_restore(struct checkpoints *checkpoints, uint32_t number, void *extra)
{
    struct machine *machine = checkpoints->machine;
    ASSERT(number < checkpoints->count);
    restore_pages(checkpoints, number);
    TRY(restore_disks(checkpoints, number));
    const uint8_t *from = checkpoints->list[number].sections;
    for (unsigned i = 0; i < machine->components.count; i++) {
        const struct component *component = &machine->components.list[i];
        memcpy(component->state, from, component->size);
        from += component->size;
    }
    memcpy(extra, from, checkpoints->extra_bytes);
    machine_restored(machine);
    rebase(checkpoints, number);
    return 0;
}
