/*
 * Replays a trace: the machine runs again, inputs are fed at their exact
 * positions, and every observation and digest that the trace holds is
 * compared. The player can stop anywhere and go anywhere: checkpoints in
 * memory let it seek backwards.
 */
#ifndef REPLAY_PLAYER_H
#define REPLAY_PLAYER_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/description.h"
#include "machine/machine.h"
#include "replay/divergence.h"
#include "replay/door.h"
#include "replay/outcome.h"
#include "replay/trace_reader.h"
#include "util/error.h"

struct player;

struct player_options {
    bool isolated;             /* no devices: vCPUs and memory are fed from the trace */
    bool checkpoints;          /* keep checkpoints, for player_seek */
    uint64_t checkpoint_every; /* instructions between them; 0: 16 Mi */
    uint64_t checkpoint_bytes; /* memory for them before they are thinned; 0: 256 MiB */
    struct engine_choice engine;
};

enum player_stop {
    PLAYER_AT_TARGET, /* the position that was asked for */
    PLAYER_END,       /* the end of the trace: see player_result */
    PLAYER_DIVERGED,  /* see player_divergence */
    PLAYER_DEBUG,     /* a breakpoint, watchpoint or step (MACHINE_DEBUG) */
    PLAYER_SIGNAL,    /* door->stop_signal */
    PLAYER_ERROR,     /* damaged trace, no memory; `error` is set */
};

struct player_result {
    struct outcome outcome;
    struct position end;
    uint64_t virtual_ns;
    uint64_t digests;        /* points compared, all equal unless diverged */
    uint64_t final_digest;   /* total of the last point */
    uint64_t events;         /* records compared or fed */
};

/*
 * Builds the machine of `description` (decoded from the reader's text, with
 * the bytes of its files) at power-on. All arguments but `options` and `door`
 * (copied) must outlive the player. door->poll is not used. NULL with `error`
 * set on failure.
 */
struct player *player_create(struct trace_reader *reader, const struct description *description,
                             const struct player_options *options, const struct door *door,
                             struct error *error);
void player_destroy(struct player *player);

/* Runs to the end of the trace. */
enum player_stop player_run(struct player *player, struct error *error);

/* Runs forwards until the instruction count is `instructions` (or to the end
 * of the trace, or a debug stop). */
enum player_stop player_run_to(struct player *player, uint64_t instructions, struct error *error);

/* Goes to the first moment at which the count is `instructions`, backwards or
 * forwards: nearest checkpoint, then forwards without debug stops being the
 * player's business (the debugger disarms its own). Needs
 * options.checkpoints to go backwards. Output of passed stretches is shown
 * once only. */
enum player_stop player_seek(struct player *player, uint64_t instructions, struct error *error);

/* Takes a checkpoint here and now. 0 or ERROR_MEMORY. */
int player_checkpoint(struct player *player, struct error *error);
/* The count of the nearest checkpoint at or before `instructions`. */
uint64_t player_checkpoint_before(const struct player *player, uint64_t instructions);

/* The caller wrote registers or memory: what follows is no replay any more, and
 * probably diverges. No checkpoint is taken until player_seek has gone back. */
void player_changed(struct player *player);

struct machine *player_machine(struct player *player);
struct position player_position(const struct player *player);
/* Where the trace ends. */
struct position player_end(const struct player *player);
const struct divergence *player_divergence(const struct player *player);
void player_result(const struct player *player, struct player_result *result);

#endif
