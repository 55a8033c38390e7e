/*
 * Live inputs of a machine that runs or is recorded: polls the door, paces
 * idle time while somebody may still type, keeps the budgets. A recording logs
 * what live_inputs and live_idle decide; nothing else here depends on the host.
 */
#ifndef REPLAY_LIVE_H
#define REPLAY_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"
#include "replay/door.h"
#include "replay/outcome.h"
#include "replay/runner.h"
#include "replay/trace.h"

#define LIVE_POLL_INSTRUCTIONS (256u << 10) /* the door is polled so often */
#define LIVE_PACE_NS 1000000u               /* shorter idle times are saved up */

struct live {
    struct machine *machine;
    struct door door;
    uint64_t max_instructions, max_ns; /* UINT64_MAX: no limit */
    uint64_t next_poll;                /* instruction count */
    struct position last_inputs;
    bool asked_before;  /* last_inputs is set */
    bool closed;        /* the door: no input will ever come */
    bool holding;       /* `held` came, and its device could not take it yet */
    bool woken;         /* `held` ended an idle wait */
    struct door_input held;
    uint64_t owed_ns;   /* idle time not yet waited for */
    int signal;         /* that asked to stop */
    bool settling;      /* the run is stopping: no more inputs */
    struct outcome_watch watch;
    /* Called before an input enters the machine. May be NULL. */
    void (*log)(void *context, const struct door_input *input);
    void *log_context;
};

void live_init(struct live *live, const struct door *door, const struct runner_options *options);

/* The hooks next_input, inputs, idle, output, notice; `context` is the struct live. */
uint64_t live_next_input(void *context);
void live_inputs(void *context);
uint64_t live_idle(void *context, uint64_t deadline);
void live_output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length);

void live_notice(void *context, const char *text);

/* True when a signal asked to stop. */
bool live_stopped(const struct live *live);

/* Whether the run is over after machine_run returned `stop` (not for
 * MACHINE_AT_TARGET short of the budgets); fills *outcome. */
bool live_over(struct live *live, enum machine_stop stop, struct outcome *outcome);

#endif
