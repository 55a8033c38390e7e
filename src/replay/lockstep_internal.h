/*
 * What running in lockstep (lockstep.c), finding the first difference again
 * (lockstep_narrow.c) and telling of it (lockstep_report.c) share.
 */
#ifndef REPLAY_LOCKSTEP_INTERNAL_H
#define REPLAY_LOCKSTEP_INTERNAL_H

#include <stdio.h>

#include "cpu/cpu.h"
#include "cpu/debug.h"
#include "replay/checkpoint.h"
#include "replay/dirty.h"
#include "replay/live.h"
#include "replay/lockstep.h"

enum { LEADER, FOLLOWER, SIDES };

/* What belongs to a position, and so to a checkpoint. Plain data. */
struct lockstep_place {
    uint64_t output;      /* hash of the output stream */
    uint64_t input, idle; /* the next of what is fed */
    uint64_t random;
};

struct lockstep_side {
    struct lockstep *lockstep;
    struct machine *machine;
    struct dirty dirty;
    struct checkpoints *checkpoints;
    struct lockstep_place place;
    bool starved;         /* wanted to be idle where the leader was not */
};

struct lockstep_input {
    struct position at;
    struct door_input input;
};

/* What a vCPU saw of a device. */
struct lockstep_event {
    struct position at;
    uint64_t address, value;
    uint32_t kind, cpu, bytes, pad;
};

enum lockstep_what { EQUAL, REGISTERS, EVENTS, MEMORY, DEVICE, CLOCK };

struct lockstep_difference {
    enum lockstep_what what;
    uint32_t number;      /* vCPU, backing page, component */
    struct lockstep_event expected, seen; /* kind UINT32_MAX: none */
};

struct lockstep {
    struct lockstep_side sides[SIDES];
    struct live live;
    struct debug_points points;
    uint32_t blocks;      /* at most, of a stretch */
    bool whole;           /* the leader's last run ended without being stopped behind a block */
    bool again;           /* nothing is live: the leader is fed, too */
    struct lockstep_input *inputs;
    uint64_t input_count, input_room;
    uint64_t *idles;      /* what was decided each time */
    uint64_t idle_count, idle_room;
    struct lockstep_event *events; /* of the leader in this stretch */
    uint64_t event_count, event_room, event_next;
    bool no_memory;
    struct lockstep_difference difference;
    uint64_t stretches;
};

/* Fills in `l`, which is zero; lockstep_destroy also after a failure. */
int lockstep_create(struct lockstep *l, const struct description *description,
                    const struct runner_options *options, const struct door *door, struct error *error);
void lockstep_destroy(struct lockstep *l);

/* Runs to the end or to the first difference; returns whether there is one. */
bool lockstep_loop(struct lockstep *l, struct outcome *outcome);

/* The number of blocks of the next stretch. */
uint32_t lockstep_draw(struct lockstep *l);

/* Runs both machines over one stretch. */
enum machine_stop lockstep_stretch(struct lockstep *l, uint32_t blocks);
/* Its parts: the leader may run several times before the follower comes. */
void lockstep_begin(struct lockstep *l);
enum machine_stop lockstep_lead(struct lockstep *l, uint32_t blocks);
void lockstep_follow(struct lockstep *l);
/* Both to an instruction count. */
void lockstep_run_to(struct lockstep *l, uint64_t instructions);
/* Each fills l->difference when it finds one, and returns whether there is one. */
bool lockstep_compare(struct lockstep *l);
bool lockstep_compare_memory(struct lockstep *l);

/* Checkpoints of both machines. 0 or ERROR_MEMORY. */
int lockstep_take(struct lockstep *l);
int lockstep_restore(struct lockstep *l);

/* A difference was found: goes back to the last checkpoint, finds its first
 * place, and returns the report (to be freed; NULL: no memory). */
char *lockstep_narrow(struct lockstep *l);

/* Parts of the report: what differs now; registers; code of `cpu` from `rip` on,
 * with a mark at instruction number `marked` (0: none). */
void lockstep_tell(FILE *to, const struct lockstep *l);
void lockstep_tell_state(FILE *to, const struct cpu_state *state);
void lockstep_tell_code(FILE *to, struct cpu *cpu, uint64_t rip, unsigned code_bytes, unsigned count,
                        unsigned marked);

#endif
