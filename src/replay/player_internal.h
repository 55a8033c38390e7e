/*
 * Inside the player: its state, shared by the run control (player.c), the
 * machine's hooks (player_hooks.c) and the comparing (player_check.c).
 */
#ifndef REPLAY_PLAYER_INTERNAL_H
#define REPLAY_PLAYER_INTERNAL_H

#include "replay/checkpoint.h"
#include "replay/digest.h"
#include "replay/dirty.h"
#include "replay/memory_map.h"
#include "replay/player.h"

/* What belongs to a position, and so to each checkpoint. Plain data. */
struct player_place {
    struct trace_cursor cursor; /* the next record */
    struct digest_table table;  /* hashes told up to the cursor */
    struct outcome_watch watch;
    uint64_t output;            /* hash of the output stream */
    uint64_t output_bytes;
    uint64_t digests, events;
    struct memory_map map;      /* as it last was */
    uint64_t ran_until[MACHINE_CPUS_MAXIMUM]; /* the machine's, of the moment of a checkpoint */
    bool fresh;                 /* the first moment of this instruction count */
    uint8_t pad[3];
};

struct player {
    struct machine *machine;
    struct trace_reader *reader;
    struct door door;
    struct player_options options;
    enum trace_level level;
    uint64_t ns_per_instruction;
    uint64_t end_ns;                 /* virtual time at which the trace ends */
    bool has_end;                    /* by an end record */
    uint64_t stop_ns;                /* machine_run's limit */

    struct player_place place;
    struct trace_chunk chunk;        /* of the cursor */
    const struct trace_event *event; /* at the cursor; NULL: the trace has no more */
    uint32_t next_input;             /* in the chunk, chunk.count: none left */
    uint32_t next_point;             /* the next digest or end record, likewise */

    struct dirty dirty;
    struct digest digest;
    struct checkpoints *checkpoints;
    bool restoring;                  /* a checkpoint: nothing is compared */
    bool changed;                    /* by a debugger: no state to keep */
    bool pause;                      /* machine_run is to return: a record is due */
    bool finished;                   /* the trace is played to its end */
    int signal;
    uint64_t next_progress;
    uint64_t shown_bytes;            /* of output, by the door */
    struct outcome outcome;
    uint64_t total;                  /* of the last digest */
    struct divergence divergence;
    struct trace_event history[DIVERGENCE_HISTORY]; /* a ring */
    uint64_t history_next;
    int status;                      /* 0, or the first error */
    struct error error;
};

/* Virtual time of a position of the trace, UINT64_MAX when it is beyond. */
uint64_t player_time(const struct player *player, struct position at);
static inline uint64_t player_now(const struct player *player)
{
    return clock_now(&player->machine->clock);
}

/* Goes to the cursor's record (after the cursor was set). */
void player_fetch(struct player *player);
/* The record at the cursor agrees with the replay: goes to the next. */
void player_consume(struct player *player);
/* Whether the run must end now. */
static inline bool player_broken(const struct player *player)
{
    return player->status < 0 || player->divergence.found;
}

/* The hooks. */
void player_hooks(struct player *player, struct hooks *hooks);

/* Takes notice of a changed map. */
void player_map_changed(void *context);

/* The count at which a record that is fed is due. */
static inline uint64_t player_feed_count(const struct player *player,
                                         const struct trace_event *event)
{
    bool inside = event->kind == TRACE_DMA_DATA || event->kind == TRACE_MEMORY_MAP
                      ? event->value == 1
                      : event->bytes == 1;
    return event->at.instructions + (player->options.isolated && inside);
}

/* Reports a divergence at the cursor's record: `component` and what was seen.
 * `cpu` -1: no vCPU. Only the first one counts. */
void player_diverge(struct player *player, const char *component, int cpu, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Compares a live event (its payload for DMA_DATA too) with the cursor's
 * record and consumes that. */
bool player_compare(struct player *player, const struct trace_event *live);
/* Compares the state with a digest or end record. */
bool player_compare_digest(struct player *player, const struct trace_event *event);
/* A record whose position has passed without it. */
bool player_compare_missed(struct player *player);

#endif
