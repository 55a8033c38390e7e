/*
 * Time travel; see travel.h.
 *
 * Cost: a step back costs the run from the checkpoint before it; a reverse
 * continue runs each stretch between checkpoints at most twice.
 */
#include "debug/travel.h"

#include <stdlib.h>

#include "cpu/memory.h"
#include "machine/machine.h"

/* How often `interrupted` is asked while running. */
#define CHUNK (4ull << 20)
/* How far to look back for the last instruction of a given vCPU. */
#define STEP_WINDOW 200000u
/* How long a step waits for a vCPU that does not run. */
#define STEP_LIMIT 50000000u

struct travel {
    struct player *player;
    struct machine *machine;
    struct debug_points points;
    bool (*interrupted)(void *context);
    void *context;
    unsigned cpu;
    struct debug_point hit;
    uint64_t hit_address;
};

struct travel *travel_create(struct player *player, bool (*interrupted)(void *context), void *context)
{
    struct travel *travel = calloc(1, sizeof *travel);
    if (!travel)
        return NULL;
    travel->player = player;
    travel->machine = player_machine(player);
    travel->interrupted = interrupted;
    travel->context = context;
    return travel;
}

static void set_debug(struct travel *travel, struct debug_points *points)
{
    for (unsigned i = 0; i < travel->machine->cpu_count; i++) {
        travel->machine->cpus[i]->debug = points;
        mmu_flush(travel->machine->cpus[i]);
    }
}

void travel_destroy(struct travel *travel)
{
    if (!travel)
        return;
    set_debug(travel, NULL);
    free(travel);
}

static bool same_point(const struct debug_point *point, enum debug_kind kind, uint64_t address, uint32_t length)
{
    return point->kind == kind && point->address == address
           && (kind == DEBUG_BREAK || point->length == length);
}

int travel_add_point(struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length)
{
    struct debug_points *points = &travel->points;
    for (unsigned i = 0; i < points->count; i++)
        if (same_point(&points->points[i], kind, address, length))
            return 0;
    if (points->count == DEBUG_POINTS_MAXIMUM || length == 0 || length > PAGE_BYTES)
        return -1;
    points->points[points->count++] = (struct debug_point){ address, length, kind };
    return 0;
}

int travel_remove_point(struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length)
{
    struct debug_points *points = &travel->points;
    for (unsigned i = 0; i < points->count; i++)
        if (same_point(&points->points[i], kind, address, length)) {
            points->points[i] = points->points[--points->count];
            return 0;
        }
    return -1;
}

void travel_clear_points(struct travel *travel)
{
    travel->points.count = 0;
}

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

uint64_t travel_hit_address(const struct travel *travel)
{
    return travel->hit_address;
}

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

/* Keeps what the engine said of a hit. */
static enum travel_stop note_hit(struct travel *travel)
{
    struct debug_points *points = &travel->points;
    points->hit = false;
    travel->hit = points->what;
    travel->hit_address = points->hit_address;
    travel->cpu = points->hit_cpu;
    return points->what.kind == DEBUG_BREAK ? TRAVEL_BREAKPOINT : TRAVEL_WATCHPOINT;
}

/* Forwards to count `target` with the points armed. TRAVEL_STEPPED: reached. */
static enum travel_stop run_armed(struct travel *travel, uint64_t target, bool skip_first, struct error *error)
{
    travel->points.hit = false;
    travel->points.skip_break = skip_first;
    set_debug(travel, &travel->points);
    enum player_stop stop = player_run_to(travel->player, target, error);
    set_debug(travel, NULL);
    travel->cpu = travel->machine->s.current_cpu;
    if (travel->points.hit)
        return note_hit(travel);
    return of_player(stop);
}

enum travel_stop travel_seek(struct travel *travel, uint64_t instructions, struct error *error)
{
    set_debug(travel, NULL);
    enum travel_stop stop = of_player(player_seek(travel->player, instructions, error));
    travel->cpu = travel->machine->s.current_cpu;
    return stop;
}

/* Runs exactly one instruction, of whichever vCPU has its turn. */
static enum travel_stop step_any(struct travel *travel, struct error *error)
{
    uint64_t before = travel_position(travel);
    enum travel_stop stop = run_armed(travel, before + 1, true, error);
    /* A breakpoint at the place we have arrived at is for the next command. */
    return stop == TRAVEL_BREAKPOINT && travel_position(travel) > before ? TRAVEL_STEPPED : stop;
}

enum travel_stop travel_step(struct travel *travel, unsigned cpu, struct error *error)
{
    for (unsigned i = 0; i < STEP_LIMIT; i++) {
        enum travel_stop stop = step_any(travel, error);
        if (stop != TRAVEL_STEPPED || travel->cpu == cpu)
            return stop;
        if (i % 65536 == 65535 && travel->interrupted && travel->interrupted(travel->context))
            return TRAVEL_INTERRUPTED;
    }
    return TRAVEL_INTERRUPTED;
}

enum travel_stop travel_continue(struct travel *travel, struct error *error)
{
    bool skip = true;
    for (;;) {
        enum travel_stop stop = run_armed(travel, travel_position(travel) + CHUNK, skip, error);
        if (stop != TRAVEL_STEPPED)
            return stop;
        if (travel->interrupted && travel->interrupted(travel->context))
            return TRAVEL_INTERRUPTED;
        skip = false;
    }
}

enum travel_stop travel_reverse_step(struct travel *travel, unsigned cpu, struct error *error)
{
    uint64_t now = travel_position(travel);
    if (now == 0)
        return TRAVEL_BEGIN;
    if (travel->machine->cpu_count == 1)
        return travel_seek(travel, now - 1, error);
    /* The last instruction that this vCPU ran: look at each of a window. */
    uint64_t from = now > STEP_WINDOW ? now - STEP_WINDOW : 0, last = UINT64_MAX;
    enum travel_stop stop = travel_seek(travel, from, error);
    while (stop == TRAVEL_STEPPED && travel_position(travel) < now) {
        uint64_t at = travel_position(travel);
        stop = of_player(player_run_to(travel->player, at + 1, error));
        if (travel->machine->s.current_cpu == cpu)
            last = at;
    }
    if (stop != TRAVEL_STEPPED && stop != TRAVEL_END)
        return stop;
    stop = travel_seek(travel, last == UINT64_MAX ? from : last, error);
    travel->cpu = cpu;
    return stop;
}

/* The latest hit whose place is before `end`, running forwards from where we
 * are. UINT64_MAX: none. */
static uint64_t last_hit_before(struct travel *travel, uint64_t end, struct debug_point *what,
                                uint64_t *address, enum travel_stop *failed, struct error *error)
{
    uint64_t found = UINT64_MAX;
    bool skip = false;
    *failed = TRAVEL_STEPPED;
    while (travel_position(travel) < end) {
        enum travel_stop stop = run_armed(travel, end, skip, error);
        if (stop == TRAVEL_STEPPED || stop == TRAVEL_END)
            break;
        if (stop != TRAVEL_BREAKPOINT && stop != TRAVEL_WATCHPOINT) {
            *failed = stop;
            break;
        }
        uint64_t place = travel_position(travel);
        if (stop == TRAVEL_WATCHPOINT)
            place--; /* before the access */
        if (place < end) {
            found = place;
            *what = travel->hit;
            *address = travel->hit_address;
        }
        skip = stop == TRAVEL_BREAKPOINT;
    }
    return found;
}

enum travel_stop travel_reverse_continue(struct travel *travel, struct error *error)
{
    uint64_t end = travel_position(travel);
    while (end > 0) {
        uint64_t start = player_checkpoint_before(travel->player, end - 1);
        enum travel_stop stop = travel_seek(travel, start, error);
        if (stop != TRAVEL_STEPPED)
            return stop;
        struct debug_point what;
        uint64_t address;
        uint64_t found = last_hit_before(travel, end, &what, &address, &stop, error);
        if (stop != TRAVEL_STEPPED)
            return stop;
        if (found != UINT64_MAX) {
            unsigned cpu = travel->cpu;
            stop = travel_seek(travel, found, error);
            if (stop != TRAVEL_STEPPED)
                return stop;
            travel->hit = what;
            travel->hit_address = address;
            travel->cpu = cpu;
            return what.kind == DEBUG_BREAK ? TRAVEL_BREAKPOINT : TRAVEL_WATCHPOINT;
        }
        if (travel->interrupted && travel->interrupted(travel->context)) {
            travel_seek(travel, start, error);
            return TRAVEL_INTERRUPTED;
        }
        end = start;
    }
    travel_seek(travel, 0, error);
    return TRAVEL_BEGIN;
}
