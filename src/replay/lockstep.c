/*
 * Two machines side by side; see lockstep.h.
 *
 * The leader's hooks write down what it was given (inputs, idle times) and what
 * its vCPUs saw; the follower's hooks feed the one and compare the other.
 *
 * Not modelled: inputs are not logged beyond this run; a difference that rests on
 * what a code cache held is told of, but may not show again when
 * lockstep_narrow.c goes back for it.
 */
#include "replay/lockstep_internal.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/engine.h"
#include "machine/board.h"
#include "replay/digest.h"
#include "translator/translator.h"

#define CHECKPOINT_BYTES (64ull << 20)
#define CHAINS_THRESHOLD 4 /* runs of a block before it is translated: so that its successors are known */

static struct position here(const struct lockstep_side *side)
{
    return position_of_clock(&side->machine->clock);
}

static bool leads(const struct lockstep_side *side)
{
    return side == &side->lockstep->sides[LEADER];
}

/* Live: not fed. */
static bool is_live(const struct lockstep_side *side)
{
    return leads(side) && !side->lockstep->again;
}

/* Room for one more in a growing array. */
static void *grow(struct lockstep *l, void *list, uint64_t count, uint64_t *room, size_t size)
{
    if (count < *room)
        return list;
    uint64_t more = *room ? *room * 2 : 64;
    void *grown = realloc(list, more * size);
    if (!grown) {
        l->no_memory = true;
        return list;
    }
    *room = more;
    return grown;
}

static void differ(struct lockstep *l, enum lockstep_what what, uint32_t number)
{
    if (l->difference.what == EQUAL)
        l->difference = (struct lockstep_difference){ .what = what, .number = number };
}

/* Hooks */

static void log_input(void *context, const struct door_input *input)
{
    struct lockstep *l = context;
    l->inputs = grow(l, l->inputs, l->input_count, &l->input_room, sizeof *l->inputs);
    if (l->input_count < l->input_room)
        l->inputs[l->input_count++] = (struct lockstep_input){ here(&l->sides[LEADER]), *input };
    l->sides[LEADER].place.input = l->input_count;
}

static uint64_t next_input(void *context)
{
    const struct lockstep_side *side = context;
    const struct lockstep *l = side->lockstep;
    if (is_live(side))
        return live_next_input((void *)(uintptr_t)&l->live);
    return side->place.input < l->input_count ? l->inputs[side->place.input].at.instructions : UINT64_MAX;
}

static void inputs(void *context)
{
    struct lockstep_side *side = context;
    struct lockstep *l = side->lockstep;
    if (is_live(side)) {
        live_inputs(&l->live);
        return;
    }
    while (side->place.input < l->input_count
           && position_equal(l->inputs[side->place.input].at, here(side))) {
        const struct door_input *input = &l->inputs[side->place.input++].input;
        if (!machine_input(side->machine, input->kind, input->unit, input->value))
            differ(l, CLOCK, 0);
    }
}

static uint64_t idle(void *context, uint64_t deadline)
{
    struct lockstep_side *side = context;
    struct lockstep *l = side->lockstep;
    if (is_live(side)) {
        uint64_t decided = live_idle(&l->live, deadline);
        l->idles = grow(l, l->idles, l->idle_count, &l->idle_room, sizeof *l->idles);
        if (l->idle_count < l->idle_room)
            l->idles[l->idle_count++] = decided;
        side->place.idle = l->idle_count;
        return decided;
    }
    if (side->place.idle < l->idle_count)
        return l->idles[side->place.idle++];
    side->starved = true;
    return clock_now(&side->machine->clock);
}

static bool stopped(void *context)
{
    const struct lockstep_side *side = context;
    const struct lockstep *l = side->lockstep;
    if (leads(side) && l->points.blocks_done)
        return true; /* before anything of the next turn */
    return is_live(side) ? live_stopped(&l->live) : side->starved;
}

static void output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct lockstep_side *side = context;
    side->place.output = digest_output(side->place.output, unit, bytes, length);
    if (is_live(side))
        live_output(&side->lockstep->live, unit, bytes, length);
}

static void notice(void *context, const char *text)
{
    struct lockstep_side *side = context;
    if (is_live(side))
        live_notice(&side->lockstep->live, text);
}

/* The follower's next event is to be the leader's. */
static void compare_event(struct lockstep *l, const struct lockstep_event *event)
{
    static const struct lockstep_event none = { .kind = UINT32_MAX };
    const struct lockstep_event *expected = l->event_next < l->event_count ? &l->events[l->event_next] : &none;
    l->event_next++;
    if (memcmp(expected, event, sizeof *event) == 0 || l->difference.what != EQUAL)
        return;
    l->difference = (struct lockstep_difference){ EVENTS, event->cpu, *expected, *event };
}

static uint64_t observe(void *context, unsigned cpu, enum observation kind, uint64_t address,
                        unsigned bytes, uint64_t value)
{
    struct lockstep_side *side = context;
    struct lockstep *l = side->lockstep;
    struct lockstep_event event = { here(side), address, value, kind, cpu, bytes, 0 };
    if (!leads(side)) {
        compare_event(l, &event);
        return value;
    }
    l->events = grow(l, l->events, l->event_count, &l->event_room, sizeof *l->events);
    if (l->event_count < l->event_room)
        l->events[l->event_count++] = event;
    return value;
}

/* Running */

uint32_t lockstep_draw(struct lockstep *l)
{
    uint64_t *random = &l->sides[LEADER].place.random;
    *random = *random * 6364136223846793005ull + 1442695040888963407ull;
    return 1 + (uint32_t)((*random >> 33) % l->blocks);
}

static void arm(struct lockstep *l, bool on)
{
    const struct machine *machine = l->sides[LEADER].machine;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        machine->cpus[i]->debug = on ? &l->points : NULL;
}

void lockstep_begin(struct lockstep *l)
{
    l->event_count = l->event_next = 0;
    l->sides[FOLLOWER].starved = l->sides[LEADER].starved = false;
    l->stretches++;
}

enum machine_stop lockstep_lead(struct lockstep *l, uint32_t blocks)
{
    struct machine *leader = l->sides[LEADER].machine;
    l->points = (struct debug_points){ .blocks = blocks, .step_cpu = DEBUG_NO_CPU };
    arm(l, true);
    enum machine_stop stop = machine_run(leader, l->live.max_instructions, l->live.max_ns);
    arm(l, false);
    l->whole = stop == MACHINE_AT_TARGET || stop == MACHINE_ENDED;
    bool behind_block = l->points.blocks_done;
    l->points.blocks_done = false;
    if (behind_block) /* the events of this position */
        stop = machine_run(leader, leader->clock.s.instructions, l->live.max_ns);
    return stop;
}

void lockstep_follow(struct lockstep *l)
{
    uint64_t until = l->whole ? l->live.max_instructions : l->sides[LEADER].machine->clock.s.instructions;
    machine_run(l->sides[FOLLOWER].machine, until, l->live.max_ns);
}

enum machine_stop lockstep_stretch(struct lockstep *l, uint32_t blocks)
{
    lockstep_begin(l);
    enum machine_stop stop = lockstep_lead(l, blocks);
    lockstep_follow(l);
    return stop;
}

void lockstep_run_to(struct lockstep *l, uint64_t instructions)
{
    lockstep_begin(l);
    machine_run(l->sides[LEADER].machine, instructions, l->live.max_ns);
    machine_run(l->sides[FOLLOWER].machine, instructions, l->live.max_ns);
}

/* Comparing */

bool lockstep_compare(struct lockstep *l)
{
    const struct machine *a = l->sides[LEADER].machine, *b = l->sides[FOLLOWER].machine;
    if (l->difference.what != EQUAL)
        return true;
    for (unsigned i = 0; i < a->cpu_count; i++)
        if (memcmp(&a->cpus[i]->s, &b->cpus[i]->s, sizeof a->cpus[i]->s) != 0)
            differ(l, REGISTERS, i);
    if (l->event_next != l->event_count && l->difference.what == EQUAL) {
        l->difference = (struct lockstep_difference){ .what = EVENTS, .seen.kind = UINT32_MAX };
        l->difference.expected = l->events[l->event_next];
    }
    if (memcmp(&a->clock.s, &b->clock.s, sizeof a->clock.s) != 0
        || memcmp(&a->s, &b->s, sizeof a->s) != 0
        || l->sides[LEADER].place.output != l->sides[FOLLOWER].place.output)
        differ(l, CLOCK, 0);
    return l->difference.what != EQUAL;
}

static void compare_pages(struct lockstep *l, const struct dirty_set *set)
{
    for (uint32_t i = 0; i < set->count && l->difference.what == EQUAL; i++) {
        uint32_t page = set->pages[i];
        if (memcmp(physmem_host(&l->sides[LEADER].machine->memory, page),
                   physmem_host(&l->sides[FOLLOWER].machine->memory, page), PAGE_BYTES) != 0)
            differ(l, MEMORY, page);
    }
}

bool lockstep_compare_memory(struct lockstep *l)
{
    const struct components *a = &l->sides[LEADER].machine->components;
    const struct components *b = &l->sides[FOLLOWER].machine->components;
    for (unsigned side = 0; side < SIDES; side++)
        dirty_collect(&l->sides[side].dirty, DIRTY_DIGEST);
    for (unsigned side = 0; side < SIDES; side++) {
        struct dirty_set *set = &l->sides[side].dirty.sets[DIRTY_DIGEST];
        compare_pages(l, set);
        dirty_clear(set);
    }
    for (unsigned i = 0; i < a->count; i++) {
        if (a->list[i].prepare) {
            a->list[i].prepare(a->list[i].device);
            b->list[i].prepare(b->list[i].device);
        }
        if (memcmp(a->list[i].state, b->list[i].state, a->list[i].size) != 0)
            differ(l, DEVICE, i);
    }
    return l->difference.what != EQUAL;
}

/* Checkpoints */

int lockstep_take(struct lockstep *l)
{
    for (unsigned side = 0; side < SIDES; side++)
        TRY(checkpoints_take(l->sides[side].checkpoints, &l->sides[side].place));
    return 0;
}

int lockstep_restore(struct lockstep *l)
{
    for (unsigned i = 0; i < SIDES; i++) {
        struct lockstep_side *side = &l->sides[i];
        TRY(checkpoints_restore(side->checkpoints, checkpoints_count(side->checkpoints) - 1, &side->place));
        dirty_collect(&side->dirty, DIRTY_DIGEST);
        dirty_clear(&side->dirty.sets[DIRTY_DIGEST]);
    }
    l->difference = (struct lockstep_difference){ .what = EQUAL };
    return 0;
}

/* Creation */

static int create_side(struct lockstep *l, unsigned number, const struct description *description,
                       const struct runner_options *options, struct error *error)
{
    struct lockstep_side *side = &l->sides[number];
    const struct hooks hooks = {
        .context = side,
        .engine = { .kind = number == LEADER ? ENGINE_INTERPRETER : ENGINE_TRANSLATOR,
                    .cache_mib = options->engine.cache_mib,
                    .threshold = l->blocks == 1 ? 1 : CHAINS_THRESHOLD,
                    .statistics = number == FOLLOWER && options->engine.statistics },
        .observe = observe,
        .output = output,
        .next_input = next_input,
        .inputs = inputs,
        .idle = idle,
        .stopped = stopped,
        .notice = notice,
    };
    side->lockstep = l;
    side->machine = machine_create(description, &hooks, error);
    if (!side->machine)
        return ERROR_FILE;
    /* A stretch of one block would never be long enough for a chain. */
    side->machine->engine->chain_limit = l->blocks == 1;
    int code = dirty_init(&side->dirty, &side->machine->memory);
    if (code == 0)
        side->checkpoints = checkpoints_create(side->machine, &side->dirty, sizeof side->place,
                                               CHECKPOINT_BYTES);
    if (!side->checkpoints)
        return error_set(error, ERROR_MEMORY, "no memory to run in lockstep");
    for (unsigned drive = 0; drive < DESCRIPTION_DRIVES; drive++) {
        struct disk *disk = board_disk(side->machine->board, drive);
        if (disk)
            checkpoints_add_disk(side->checkpoints, disk);
    }
    return 0;
}

void lockstep_destroy(struct lockstep *l)
{
    for (unsigned i = 0; i < SIDES; i++) {
        struct lockstep_side *side = &l->sides[i];
        checkpoints_destroy(side->checkpoints);
        dirty_free(&side->dirty);
        machine_destroy(side->machine);
    }
    free(l->inputs);
    free(l->idles);
    free(l->events);
}

int lockstep_create(struct lockstep *l, const struct description *description,
                    const struct runner_options *options, const struct door *door, struct error *error)
{
    if (!translator_available())
        return error_set(error, ERROR_HOST, "--engine check: this host has no translator");
    live_init(&l->live, door, options);
    l->live.log = log_input;
    l->live.log_context = l;
    l->blocks = options->engine.check_blocks ? options->engine.check_blocks : 1;
    for (unsigned side = 0; side < SIDES; side++)
        TRY(create_side(l, side, description, options, error));
    l->live.machine = l->sides[LEADER].machine;
    if (lockstep_take(l) < 0)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    return 0;
}

bool lockstep_loop(struct lockstep *l, struct outcome *outcome)
{
    const struct machine *leader = l->sides[LEADER].machine;
    uint64_t next = LOCKSTEP_MEMORY_EVERY;
    for (;;) {
        enum machine_stop stop = lockstep_stretch(l, lockstep_draw(l));
        bool over = live_over(&l->live, stop, outcome);
        if (l->no_memory || (over && outcome->kind == OUTCOME_SIGNAL))
            return false;
        if (lockstep_compare(l))
            return true;
        if (over || leader->clock.s.instructions >= next) {
            if (lockstep_compare_memory(l))
                return true;
            next = leader->clock.s.instructions + LOCKSTEP_MEMORY_EVERY;
            l->no_memory = lockstep_take(l) < 0;
        }
        if (over)
            return false;
    }
}

int lockstep_run(const struct description *description, const struct runner_options *options,
                 const struct door *door, struct runner_result *result, struct error *error)
{
    memset(result, 0, sizeof *result);
    struct lockstep *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(error, ERROR_MEMORY, "no memory to run in lockstep");
    int code = lockstep_create(l, description, options, door, error);
    if (code == 0) {
        bool differs = lockstep_loop(l, &result->outcome);
        const struct machine *leader = l->sides[LEADER].machine;
        result->end = position_of_clock(&leader->clock);
        result->virtual_ns = clock_now(&leader->clock);
        result->comparisons = l->stretches;
        if (differs) {
            result->outcome = (struct outcome){ OUTCOME_DIVERGED, 0, false };
            result->difference = lockstep_narrow(l);
        }
        result->statistics = machine_statistics(l->sides[FOLLOWER].machine);
        if (l->no_memory)
            code = error_set(error, ERROR_MEMORY, "no memory to go on in lockstep");
    }
    lockstep_destroy(l);
    free(l);
    return code;
}
