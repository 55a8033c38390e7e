/*
 * Time travel: a replay that goes both ways. A place is an instruction count.
 * Backwards is: to the nearest checkpoint before, then forwards again. Knows
 * no protocol.
 */
#ifndef DEBUG_TRAVEL_H
#define DEBUG_TRAVEL_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/debug.h"
#include "replay/player.h"
#include "util/error.h"

enum travel_stop {
    TRAVEL_STEPPED,     /* the step is done, the place is reached */
    TRAVEL_BREAKPOINT,
    TRAVEL_WATCHPOINT,  /* see travel_hit */
    TRAVEL_BEGIN,       /* the start of the trace, going backwards */
    TRAVEL_END,         /* the end of the trace */
    TRAVEL_DIVERGED,    /* the replay differs: after the debugger wrote, or a changed device */
    TRAVEL_INTERRUPTED, /* `interrupted` or a signal said so */
    TRAVEL_ERROR,       /* a damaged trace, no memory; `error` is set */
};

struct travel;

/* `interrupted` is asked every few million instructions whether the user wants
 * to stop; may be NULL. The player must have been created with checkpoints and
 * outlive this. NULL: no memory. */
struct travel *travel_create(struct player *player, bool (*interrupted)(void *context), void *context);
void travel_destroy(struct travel *travel);

/* Adds or removes a break- or watchpoint; one that was added twice must be
 * removed twice. -1 when the table is full, or there is no such point.
 * `length` in bytes, 1..4096 (breakpoints: ignored). */
int travel_add_point(struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length);
int travel_remove_point(struct travel *travel, enum debug_kind kind, uint64_t address, uint32_t length);

/* Forwards until vCPU `cpu` has run one instruction (others run in between as
 * they did), or a point is hit. */
enum travel_stop travel_step(struct travel *travel, unsigned cpu, struct error *error);
/* Forwards to the next hit of a point or the end. */
enum travel_stop travel_continue(struct travel *travel, struct error *error);
/* Backwards to before the last instruction that vCPU `cpu` ran. */
enum travel_stop travel_reverse_step(struct travel *travel, unsigned cpu, struct error *error);
/* Backwards to the latest earlier hit of a point: for a breakpoint where its
 * instruction is about to run, for a watchpoint before the access. */
enum travel_stop travel_reverse_continue(struct travel *travel, struct error *error);
/* To the first moment of an instruction count, either way; no point stops it. */
enum travel_stop travel_seek(struct travel *travel, uint64_t instructions, struct error *error);

/* The user wrote registers or memory of the machine. Going back undoes it;
 * going on from here is an experiment that ends where the trace notices. */
void travel_changed(struct travel *travel);

/* Where we are; which vCPU ran last or hit the last point; what was hit. */
uint64_t travel_position(const struct travel *travel);
unsigned travel_cpu(const struct travel *travel);
const struct debug_point *travel_hit(const struct travel *travel);

#endif
