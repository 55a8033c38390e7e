/*
 * How a run ended, and the exit status that says so. One place for run,
 * record and replay.
 */
#ifndef REPLAY_OUTCOME_H
#define REPLAY_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"
#include "replay/trace.h"

#define OUTCOME_STATUS_DIVERGED 3
#define OUTCOME_STATUS_BUDGET 124
#define OUTCOME_STATUS_ERROR 125 /* any negative error code, printed by src/cli */

/* Stored in traces: numbers are fixed. */
enum outcome_kind {
    OUTCOME_POWER_OFF = 1,    /* ACPI S5 */
    OUTCOME_RESET = 2,        /* a reset under -no-reboot */
    OUTCOME_TRIPLE_FAULT = 3,
    OUTCOME_DEBUG_EXIT = 4,   /* isa-debug-exit */
    OUTCOME_DEAD = 5,         /* every vCPU halted and nothing can wake one */
    OUTCOME_BUDGET = 6,       /* --max-instructions or --max-time is used up */
    OUTCOME_SIGNAL = 7,       /* SIGINT, SIGTERM */
    OUTCOME_CUT = 8,          /* replay only: the trace ends without an end */
    OUTCOME_DIVERGED = 9,     /* replay only */
};

struct outcome {
    uint32_t kind;      /* enum outcome_kind */
    uint32_t detail;    /* DEBUG_EXIT: the status; SIGNAL: its number */
    bool panic;         /* "Kernel panic - not syncing" was seen in the output */
};

/* The outcome that a machine's end means. */
struct outcome outcome_of_machine(const struct machine_state *state, bool panic);

/* To and from an end record's slots. */
struct outcome outcome_of_end(const struct trace_event *event);
void outcome_to_end(const struct outcome *outcome, struct trace_event *event);

/* Exit status of run and record: 0 power-off, or reset without a panic; 1
 * triple fault, dead, or a reset or power-off after a panic; the guest's own
 * status on debug exit; 124 budget; 128 + n signal n. */
int outcome_exit_status(const struct outcome *outcome);

/* Exit status of replay: 3 when it diverged; as recorded when the machine
 * itself ended the run; 0 when the recording was stopped from outside or the
 * trace is cut, and all of it was verified. */
int outcome_replay_status(const struct outcome *outcome);

/* A short English phrase: "power-off", "reset", "triple fault" ... */
const char *outcome_text(const struct outcome *outcome);

/* Finds the panic line in the bytes of each output unit. */
#define OUTCOME_UNITS 8
struct outcome_watch {
    uint8_t matched[OUTCOME_UNITS]; /* bytes of the phrase seen so far */
    uint8_t panic;
};
void outcome_watch_output(struct outcome_watch *watch, unsigned unit, const uint8_t *bytes,
                          uint64_t length);

#endif
