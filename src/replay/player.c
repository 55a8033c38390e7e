/*
 * Replay: run control, cursor, checkpoints; see player.h. The hooks are in
 * player_hooks.c, the comparing in player_check.c.
 */
#include "replay/player.h"

#include <stdlib.h>
#include <string.h>

#include "machine/board.h"
#include "replay/player_internal.h"
#include "util/bits.h"

#define CHECKPOINT_EVERY (16ull << 20)
#define CHECKPOINT_BYTES (256ull << 20)

uint64_t player_time(const struct player *player, struct position at)
{
    unsigned __int128 ns =
        (unsigned __int128)at.instructions * player->ns_per_instruction + at.idle_ns;
    return ns < UINT64_MAX ? (uint64_t)ns : UINT64_MAX;
}

/* ---- the cursor ---- */

static bool is_point(const struct trace_event *event)
{
    return event->kind == TRACE_DIGEST || event->kind == TRACE_END;
}

/* Records that the machine must stop for: they are fed to it. */
static bool is_fed(const struct player *player, const struct trace_event *event)
{
    if (!player->options.isolated)
        return trace_is_input(event->kind);
    return trace_is_input(event->kind) || event->kind == TRACE_INTERRUPT ||
           (event->kind >= TRACE_CPU_NMI && event->kind <= TRACE_MACHINE_RESET);
}

/* The first record from `record` on that is fed, or is a point. */
static uint32_t find_fed(const struct player *player, uint32_t record)
{
    while (record < player->chunk.count && !is_fed(player, &player->chunk.events[record]))
        record++;
    return record;
}

static uint32_t find_point(const struct player *player, uint32_t record)
{
    while (record < player->chunk.count && !is_point(&player->chunk.events[record]))
        record++;
    return record;
}

void player_fetch(struct player *player)
{
    const struct trace_cursor *cursor = &player->place.cursor;
    player->event = NULL;
    if (cursor->chunk >= trace_reader_chunks(player->reader) || player->status < 0)
        return;
    player->status =
        trace_reader_load(player->reader, cursor->chunk, &player->chunk, &player->error);
    if (player->status < 0)
        return;
    player->event = &player->chunk.events[cursor->record];
    player->next_input = find_fed(player, cursor->record);
    player->next_point = find_point(player, cursor->record);
}

void player_consume(struct player *player)
{
    struct trace_cursor *cursor = &player->place.cursor;
    struct trace_event *kept = &player->history[player->history_next++ % DIVERGENCE_HISTORY];
    *kept = *player->event;
    kept->payload = NULL;
    player->place.events++;
    cursor->record++;
    if (unlikely(cursor->record == player->chunk.count)) {
        cursor->chunk++;
        cursor->record = 0;
        player_fetch(player);
        return;
    }
    player->event++;
    if (player->next_input < cursor->record)
        player->next_input = find_fed(player, cursor->record);
    if (player->next_point < cursor->record)
        player->next_point = find_point(player, cursor->record);
}

/* ---- building ---- */

/* Where the trace ends, and whether by an end record. Damage in the last chunk
 * is found when the replay comes there. */
static void find_end(struct player *player)
{
    uint32_t chunks = trace_reader_chunks(player->reader);
    struct trace_chunk last;
    player->end_ns = player_time(player, trace_reader_end(player->reader));
    if (chunks && trace_reader_load(player->reader, chunks - 1, &last, NULL) == 0)
        player->has_end = last.events[last.count - 1].kind == TRACE_END;
}

static int build(struct player *player, const struct description *description,
                 struct error *error)
{
    struct hooks hooks;
    player_hooks(player, &hooks);
    struct machine *machine = machine_create(description, &hooks, error);
    if (!machine)
        return ERROR_FILE;
    player->machine = machine;
    memory_map_take(&player->place.map, &machine->memory);
    machine->memory.map_changed = player_map_changed;
    machine->memory.map_context = player;
    int code = dirty_init(&player->dirty, &machine->memory);
    if (code == 0)
        code = digest_init(&player->digest, machine, &player->dirty);
    if (code == 0 && player->options.checkpoints) {
        player->checkpoints = checkpoints_create(machine, &player->dirty, sizeof player->place,
                                                 player->options.checkpoint_bytes);
        if (!player->checkpoints)
            code = ERROR_MEMORY;
    }
    for (unsigned drive = 0; code == 0 && player->checkpoints && drive < DESCRIPTION_DRIVES;
         drive++) {
        struct disk *disk = board_disk(machine->board, drive);
        if (disk)
            checkpoints_add_disk(player->checkpoints, disk);
    }
    if (code < 0)
        error_set(error, code, "no memory for the replay");
    return code;
}

struct player *player_create(struct trace_reader *reader, const struct description *description,
                             const struct player_options *options, const struct door *door,
                             struct error *error)
{
    struct player *player = calloc(1, sizeof *player);
    if (!player) {
        error_set(error, ERROR_MEMORY, "no memory for the replay");
        return NULL;
    }
    player->reader = reader;
    player->door = *door;
    player->options = *options;
    if (!options->checkpoint_every)
        player->options.checkpoint_every = CHECKPOINT_EVERY;
    if (!options->checkpoint_bytes)
        player->options.checkpoint_bytes = CHECKPOINT_BYTES;
    player->level = trace_reader_level(reader);
    player->ns_per_instruction = description->ns_per_instruction;
    player->place.fresh = true;
    if (options->isolated && player->level < TRACE_LEVEL_EVENTS) {
        error_set(error, ERROR_USAGE,
                  "an isolated replay needs a trace recorded with --log events or full");
        player_destroy(player);
        return NULL;
    }
    if (build(player, description, error) < 0) {
        player_destroy(player);
        return NULL;
    }
    find_end(player);
    player_fetch(player);
    return player;
}

void player_destroy(struct player *player)
{
    if (!player)
        return;
    checkpoints_destroy(player->checkpoints);
    digest_free(&player->digest);
    dirty_free(&player->dirty);
    machine_destroy(player->machine);
    free(player);
}

/* ---- running ---- */

static uint64_t count_now(const struct player *player)
{
    return player->machine->clock.s.instructions;
}

static bool is_here(const struct player *player, const struct trace_event *event)
{
    return event && position_equal(event->at, position_of_clock(&player->machine->clock));
}

/* Whether the machine itself comes to its end at this end record. */
static bool machine_ends(const struct player *player, const struct trace_event *event)
{
    return outcome_of_end(event).kind < OUTCOME_BUDGET && !player->options.isolated;
}

static void finish(struct player *player, struct outcome outcome)
{
    player->outcome = outcome;
    player->finished = true;
}

/* Digests that are due here, and an end that the machine does not bring about. */
static void take_points(struct player *player)
{
    while (is_here(player, player->event) && player->event->kind == TRACE_DIGEST &&
           !player_broken(player)) {
        if (!player_compare_digest(player, player->event))
            break;
        player_consume(player);
        /* What is fed at this position and comes after the digest. */
        if (player->options.isolated)
            player->machine->polled.instructions = UINT64_MAX;
    }
    if (player_broken(player) || player->finished)
        return;
    const struct trace_event *event = player->event;
    if (is_here(player, event) && event->kind == TRACE_END && !machine_ends(player, event)) {
        if (player_compare_digest(player, event))
            finish(player, outcome_of_end(event));
    } else if (!player->has_end && player_now(player) >= player->end_ns) {
        finish(player, (struct outcome){OUTCOME_CUT, 0, player->place.watch.panic});
    } else {
        player_compare_missed(player);
    }
}

static void machine_ended(struct player *player)
{
    const struct trace_event *event = player->event;
    struct outcome live = outcome_of_machine(&player->machine->s, player->place.watch.panic);
    if (is_here(player, event) && event->kind == TRACE_END) {
        struct outcome told = outcome_of_end(event);
        if (told.kind == live.kind && told.detail == live.detail && told.panic == live.panic) {
            if (player_compare_digest(player, event))
                finish(player, live);
            return;
        }
    }
    player_diverge(player, "machine", -1, "end: %s", outcome_text(&live));
}

static void take_checkpoint(struct player *player)
{
    if (!player->checkpoints || !player->place.fresh || player_broken(player) ||
        player->changed || count_now(player) % player->options.checkpoint_every != 0)
        return;
    player_checkpoint(player, NULL); /* without memory: one less to go back to */
}

/* Whether the player stops before the machine runs on. */
static bool at_stop(struct player *player, uint64_t until, enum player_stop *stop)
{
    if (!player_broken(player) && !player->finished)
        take_points(player);
    if (player->status < 0)
        *stop = PLAYER_ERROR;
    else if (player->divergence.found)
        *stop = PLAYER_DIVERGED;
    else if (player->finished)
        *stop = PLAYER_END;
    else if (player->signal)
        *stop = PLAYER_SIGNAL;
    else {
        take_checkpoint(player);
        *stop = PLAYER_AT_TARGET;
        return count_now(player) >= until;
    }
    return true;
}

/* Until where the machine may run in one go: a count, and player->stop_ns. */
static uint64_t next_target(struct player *player, uint64_t until)
{
    uint64_t count = count_now(player), target = until;
    player->stop_ns = player->has_end ? UINT64_MAX : player->end_ns;
    if (player->checkpoints) {
        uint64_t every = player->options.checkpoint_every;
        uint64_t next = (count / every + 1) * every;
        target = next < target ? next : target;
    }
    if (!player->event)
        return target;
    uint64_t bound = UINT64_MAX;
    if (player->next_point < player->chunk.count) {
        const struct trace_event *point = &player->chunk.events[player->next_point];
        if (point->kind == TRACE_END && machine_ends(player, point)) {
            bound = point->at.instructions + 1;
        } else {
            player->stop_ns = player_time(player, point->at);
            if (point->kind == TRACE_DIGEST && point->at.instructions > count)
                bound = point->at.instructions;
        }
    } else if (player->place.cursor.chunk + 1 < trace_reader_chunks(player->reader)) {
        uint64_t last = player->chunk.last.instructions;
        bound = last > count ? last : count + 1;
    }
    return bound < target ? bound : target;
}

/* One call of machine_run; false when the debugger stopped it. */
static bool run_machine(struct player *player, uint64_t until)
{
    uint64_t count = count_now(player);
    uint64_t target = next_target(player, until);
    player->pause = false;
    enum machine_stop stop = machine_run(player->machine, target, player->stop_ns);
    player->place.fresh = stop == MACHINE_AT_TARGET && count_now(player) == target &&
                          (count < target || player->place.fresh);
    if (stop == MACHINE_ENDED && !player_broken(player))
        machine_ended(player);
    return stop != MACHINE_DEBUG;
}

static enum player_stop go(struct player *player, uint64_t until, struct error *error)
{
    enum player_stop stop;
    unsigned idle_rounds = 0;
    player->signal = 0;
    while (!at_stop(player, until, &stop)) {
        struct position before = position_of_clock(&player->machine->clock);
        struct trace_cursor cursor = player->place.cursor;
        if (!run_machine(player, until))
            return PLAYER_DEBUG;
        bool moved = !position_equal(before, position_of_clock(&player->machine->clock)) ||
                     memcmp(&cursor, &player->place.cursor, sizeof cursor) != 0;
        idle_rounds = moved ? 0 : idle_rounds + 1;
        if (idle_rounds > 2 && !player->finished)
            player_diverge(player, "machine", -1, "the replay does not go on");
    }
    if (stop == PLAYER_ERROR && error)
        *error = player->error;
    return stop;
}

enum player_stop player_run(struct player *player, struct error *error)
{
    return go(player, UINT64_MAX, error);
}

enum player_stop player_run_to(struct player *player, uint64_t instructions, struct error *error)
{
    return go(player, instructions, error);
}

/* ---- going back ---- */

int player_checkpoint(struct player *player, struct error *error)
{
    if (!player->checkpoints)
        return error_set(error, ERROR_USAGE, "this replay keeps no checkpoints");
    if (player->changed)
        return error_set(error, ERROR_USAGE, "the debugger has changed the machine");
    memcpy(player->place.ran_until, player->machine->ran_until, sizeof player->place.ran_until);
    if (checkpoints_take(player->checkpoints, &player->place) < 0)
        return error_set(error, ERROR_MEMORY, "no memory for a checkpoint");
    return 0;
}

uint64_t player_checkpoint_before(const struct player *player, uint64_t instructions)
{
    int number =
        player->checkpoints ? checkpoints_find(player->checkpoints, instructions) : -1;
    return number < 0 ? 0 : checkpoints_at(player->checkpoints, (uint32_t)number).instructions;
}

static int restore(struct player *player, uint32_t number)
{
    struct physmem *memory = &player->machine->memory;
    player->restoring = true;
    int code = checkpoints_restore(player->checkpoints, number, &player->place);
    if (code == 0 && player->options.isolated) /* there is no chipset to map it */
        memory_map_apply(memory, player->place.map.payload, player->place.map.length);
    player->restoring = false;
    if (code < 0)
        return player->status = error_set(&player->error, code, "no memory to go back");
    memcpy(player->machine->ran_until, player->place.ran_until, sizeof player->place.ran_until);
    player->status = 0;
    player->divergence.found = false;
    player->changed = false;
    player->finished = false;
    player->history_next = 0;
    player_fetch(player);
    return player->status;
}

/* Restores a checkpoint from which the first moment of `instructions` still
 * lies ahead, or is now. */
static int go_back(struct player *player, uint64_t instructions, struct error *error)
{
    int number =
        player->checkpoints ? checkpoints_find(player->checkpoints, instructions) : -1;
    for (; number >= 0; number--) {
        int code = restore(player, (uint32_t)number);
        if (code < 0) {
            if (error)
                *error = player->error;
            return code;
        }
        if (count_now(player) < instructions || player->place.fresh)
            return 0;
    }
    return error_set(error, ERROR_USAGE, "there is no checkpoint to go back to");
}

enum player_stop player_seek(struct player *player, uint64_t instructions, struct error *error)
{
    uint64_t count = count_now(player);
    if (player->changed || instructions < count ||
        (instructions == count && !player->place.fresh)) {
        if (go_back(player, instructions, error) < 0)
            return PLAYER_ERROR;
    }
    return go(player, instructions, error);
}

void player_changed(struct player *player)
{
    player->changed = true;
}

/* ---- what there is to know ---- */

struct machine *player_machine(struct player *player)
{
    return player->machine;
}

struct position player_position(const struct player *player)
{
    return position_of_clock(&player->machine->clock);
}

struct position player_end(const struct player *player)
{
    return trace_reader_end(player->reader);
}

const struct divergence *player_divergence(const struct player *player)
{
    return &player->divergence;
}

void player_result(const struct player *player, struct player_result *result)
{
    *result = (struct player_result){
        .outcome = player->outcome,
        .end = player_position(player),
        .virtual_ns = player_now(player),
        .digests = player->place.digests,
        .final_digest = player->total,
        .events = player->place.events,
    };
    if (player->divergence.found)
        result->outcome = (struct outcome){OUTCOME_DIVERGED, 0, player->place.watch.panic};
}
