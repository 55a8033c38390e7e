/*
 * Time travel; see travel.h.
 *
 * Cost: a step back costs the run from the checkpoint before it. On the way
 * there checkpoints are taken at 1/2, 3/4, 7/8 ... of the stretch, so that
 * the next steps back and forth cost next to nothing. A reverse continue runs
 * each stretch between checkpoints once, and the last one twice.
 *
 * Not modelled: watchpoints do not see what devices write (DMA).
 */
#include "debug/travel.h"

#include <stdlib.h>

#include "cpu/memory.h"
#include "machine/machine.h"

/* How often `interrupted` is asked while running. */
#define CHUNK (4ull << 20)
/* Checkpoints on the way back are no nearer to each other than this. */
#define NEAR (32ull << 10)

struct travel {
    struct player *player;
    struct machine *machine;
    struct debug_points points;
    unsigned users[DEBUG_POINTS_MAXIMUM]; /* of each point: how often it was added */
    bool (*interrupted)(void *context);
    void *context;
    unsigned cpu;
    struct debug_point hit;
    bool changed; /* by the user since the last restore */
};

struct travel *travel_create(struct player *player, bool (*interrupted)(void *context), void *context)
{
    struct travel *travel = calloc(1, sizeof *travel);
    if (!travel)
        return NULL;
    travel->player = player;
    travel->machine = player_machine(player);
    travel->points.step_cpu = DEBUG_NO_CPU;
    travel->interrupted = interrupted;
    travel->context = context;
    travel->cpu = travel->machine->s.current_cpu;
    /* Something to go back to, also when the user writes before going anywhere. */
    player_checkpoint(player, NULL);
    return travel;
}

static void disarm(struct travel *travel)
{
    for (unsigned i = 0; i < travel->machine->cpu_count; i++)
        travel->machine->cpus[i]->debug = NULL;
    travel->points.step_cpu = DEBUG_NO_CPU;
}

void travel_destroy(struct travel *travel)
{
    if (!travel)
        return;
    disarm(travel);
    free(travel);
}

/* Points */

static int find_point(const struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length)
{
    for (unsigned i = 0; i < travel->points.count; i++) {
        const struct debug_point *point = &travel->points.points[i];
        if (point->kind == kind && point->address == address
            && (kind == DEBUG_BREAK || point->length == length))
            return (int)i;
    }
    return -1;
}

int travel_add_point(struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length)
{
    struct debug_points *points = &travel->points;
    int found = find_point(travel, kind, address, length);
    if (found >= 0) {
        travel->users[found]++;
        return 0;
    }
    if (points->count == DEBUG_POINTS_MAXIMUM || length == 0 || length > PAGE_BYTES)
        return -1;
    travel->users[points->count] = 1;
    points->points[points->count++] = (struct debug_point){ address, length, kind };
    return 0;
}

int travel_remove_point(struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length)
{
    struct debug_points *points = &travel->points;
    int found = find_point(travel, kind, address, length);
    if (found < 0)
        return -1;
    if (--travel->users[found])
        return 0;
    points->count--;
    points->points[found] = points->points[points->count];
    travel->users[found] = travel->users[points->count];
    return 0;
}

/* Accesses to watched pages must come by slowly from now on. */
static void drop_watched_pages(struct travel *travel)
{
    for (unsigned i = 0; i < travel->points.count; i++) {
        const struct debug_point *point = &travel->points.points[i];
        if (point->kind == DEBUG_BREAK)
            continue;
        for (unsigned k = 0; k < travel->machine->cpu_count; k++) {
            mmu_flush_page(travel->machine->cpus[k], point->address);
            mmu_flush_page(travel->machine->cpus[k], point->address + point->length - 1);
        }
    }
}

/* Arms the points. `resume`: the next instruction of that vCPU runs even at a
 * breakpoint, as it stopped there already; DEBUG_NO_CPU: of none. */
static void arm(struct travel *travel, unsigned resume)
{
    travel->points.skip_break = resume == DEBUG_NO_CPU ? 0 : 1ull << resume;
    for (unsigned i = 0; i < travel->machine->cpu_count; i++)
        travel->machine->cpus[i]->debug = &travel->points;
    drop_watched_pages(travel);
}

/* What there is to know */

uint64_t travel_position(const struct travel *travel)
{
    return player_position(travel->player).instructions;
}

unsigned travel_cpu(const struct travel *travel)
{
    return travel->cpu;
}

const struct debug_point *travel_hit(const struct travel *travel)
{
    return &travel->hit;
}

void travel_changed(struct travel *travel)
{
    travel->changed = true;
    player_changed(travel->player);
}

/* Running */

static enum travel_stop of_player(enum player_stop stop)
{
    switch (stop) {
    case PLAYER_END: return TRAVEL_END;
    case PLAYER_DIVERGED: return TRAVEL_DIVERGED;
    case PLAYER_SIGNAL: return TRAVEL_INTERRUPTED;
    case PLAYER_ERROR: return TRAVEL_ERROR;
    default: return TRAVEL_STEPPED;
    }
}

static bool wants_to_stop(struct travel *travel)
{
    return travel->interrupted && travel->interrupted(travel->context);
}

/* Keeps what the engine said of a hit. */
static enum travel_stop note_hit(struct travel *travel)
{
    struct debug_points *points = &travel->points;
    points->hit = false;
    travel->hit = points->what;
    travel->cpu = points->hit_cpu;
    return points->what.kind == DEBUG_BREAK ? TRAVEL_BREAKPOINT : TRAVEL_WATCHPOINT;
}

/* Forwards to count `target`, or until what is armed stops it. TRAVEL_STEPPED:
 * it came there, or the step is done. */
static enum travel_stop run(struct travel *travel, uint64_t target, struct error *error)
{
    for (;;) {
        uint64_t here = travel_position(travel);
        uint64_t next = target > here && target - here > CHUNK ? here + CHUNK : target;
        travel->points.hit = false;
        enum player_stop stop = player_run_to(travel->player, next, error);
        if (travel->points.hit)
            return note_hit(travel);
        travel->cpu = travel->machine->s.current_cpu;
        if (stop != PLAYER_AT_TARGET || next == target)
            return of_player(stop);
        if (wants_to_stop(travel))
            return TRAVEL_INTERRUPTED;
    }
}

enum travel_stop travel_step(struct travel *travel, unsigned cpu, struct error *error)
{
    uint64_t target = UINT64_MAX;
    arm(travel, cpu == travel->cpu ? cpu : DEBUG_NO_CPU);
    if (travel->machine->cpu_count == 1)
        target = travel_position(travel) + 1;
    else
        travel->points.step_cpu = cpu;
    enum travel_stop stop = run(travel, target, error);
    disarm(travel);
    return stop;
}

enum travel_stop travel_continue(struct travel *travel, struct error *error)
{
    arm(travel, travel->cpu);
    enum travel_stop stop = run(travel, UINT64_MAX, error);
    disarm(travel);
    return stop;
}

/* Going back */

/* To the checkpoint at or before `instructions`. */
static enum travel_stop restore(struct travel *travel, uint64_t instructions, uint64_t *start,
                                struct error *error)
{
    travel->changed = false;
    *start = player_checkpoint_before(travel->player, instructions);
    return of_player(player_seek(travel->player, *start, error));
}

/* To `instructions`, through denser and denser checkpoints. */
static enum travel_stop go_back(struct travel *travel, uint64_t instructions, struct error *error)
{
    uint64_t here;
    enum travel_stop stop = restore(travel, instructions, &here, error);
    while (stop == TRAVEL_STEPPED && instructions - here >= 2 * NEAR) {
        here += (instructions - here) / 2;
        stop = run(travel, here, error);
        if (stop == TRAVEL_STEPPED)
            player_checkpoint(travel->player, NULL); /* without memory: slower */
    }
    if (stop == TRAVEL_STEPPED)
        stop = run(travel, instructions, error);
    travel->cpu = travel->machine->s.current_cpu;
    return stop;
}

enum travel_stop travel_seek(struct travel *travel, uint64_t instructions, struct error *error)
{
    if (instructions < travel_position(travel) || travel->changed)
        return go_back(travel, instructions, error);
    return run(travel, instructions, error);
}

/* The user has seen enough of the search: back to where nothing was missed. */
static enum travel_stop give_up(struct travel *travel, uint64_t place, struct error *error)
{
    enum travel_stop stop = go_back(travel, place, error);
    return stop == TRAVEL_STEPPED || stop == TRAVEL_END ? TRAVEL_INTERRUPTED : stop;
}

static enum travel_stop go_to_begin(struct travel *travel, struct error *error)
{
    enum travel_stop stop = go_back(travel, 0, error);
    return stop == TRAVEL_STEPPED ? TRAVEL_BEGIN : stop;
}

enum travel_stop travel_reverse_step(struct travel *travel, unsigned cpu, struct error *error)
{
    uint64_t ran_until = travel->machine->ran_until[cpu];
    if (!ran_until)
        return go_to_begin(travel, error);
    enum travel_stop stop = go_back(travel, ran_until - 1, error);
    travel->cpu = cpu;
    return stop;
}

struct hit {
    uint64_t place; /* UINT64_MAX: none */
    struct debug_point what;
    unsigned cpu;
};

/* The latest hit whose place is before `end`, running forwards from where we
 * are, armed. */
static enum travel_stop last_hit_before(struct travel *travel, uint64_t end, struct hit *hit,
                                        struct error *error)
{
    hit->place = UINT64_MAX;
    for (unsigned count = 1; travel_position(travel) < end; count++) {
        enum travel_stop stop = run(travel, end, error);
        if (stop != TRAVEL_BREAKPOINT && stop != TRAVEL_WATCHPOINT)
            return stop == TRAVEL_END ? TRAVEL_STEPPED : stop;
        /* A watchpoint's place is before the access. */
        uint64_t place = travel_position(travel) - (stop == TRAVEL_WATCHPOINT);
        if (place < end)
            *hit = (struct hit){ place, travel->hit, travel->cpu };
        travel->points.skip_break = stop == TRAVEL_BREAKPOINT ? 1ull << travel->cpu : 0;
        if (count % 1024 == 0 && wants_to_stop(travel))
            return TRAVEL_INTERRUPTED;
    }
    return TRAVEL_STEPPED;
}

/* To a hit that was found. */
static enum travel_stop go_to_hit(struct travel *travel, const struct hit *hit, struct error *error)
{
    enum travel_stop stop = go_back(travel, hit->place, error);
    if (stop != TRAVEL_STEPPED)
        return stop;
    travel->cpu = hit->cpu;
    travel->hit = hit->what;
    return hit->what.kind == DEBUG_BREAK ? TRAVEL_BREAKPOINT : TRAVEL_WATCHPOINT;
}

enum travel_stop travel_reverse_continue(struct travel *travel, struct error *error)
{
    uint64_t end = travel_position(travel), start;
    for (; end > 0; end = start) {
        struct hit hit;
        enum travel_stop stop = restore(travel, end - 1, &start, error);
        if (stop != TRAVEL_STEPPED)
            return stop;
        arm(travel, DEBUG_NO_CPU);
        stop = last_hit_before(travel, end, &hit, error);
        disarm(travel);
        if (stop == TRAVEL_INTERRUPTED)
            return give_up(travel, end, error);
        if (stop != TRAVEL_STEPPED)
            return stop;
        if (hit.place != UINT64_MAX)
            return go_to_hit(travel, &hit, error);
    }
    return go_to_begin(travel, error);
}
