/*
 * Runs a machine from power-on to its end, with live inputs: `run`, and
 * together with a trace writer `record`.
 */
#ifndef REPLAY_RUNNER_H
#define REPLAY_RUNNER_H

#include <stdint.h>

#include "machine/description.h"
#include "replay/door.h"
#include "replay/outcome.h"
#include "replay/trace.h"
#include "replay/trace_writer.h"
#include "util/error.h"

#define RUNNER_DIGEST_EVERY (64ull << 20)

struct runner_options {
    uint64_t max_instructions; /* 0: no limit */
    uint64_t max_ns;           /* virtual, 0: no limit */
    uint64_t digest_every;     /* record only; 0: at the end only */
    enum trace_level level;    /* record only */
    struct engine_choice engine;
};

struct runner_result {
    struct outcome outcome;
    struct position end;
    uint64_t virtual_ns;
    uint64_t digests;      /* record: points written */
    uint64_t final_digest; /* record: total of the last point */
    uint64_t trace_bytes;  /* record */
    uint64_t comparisons;  /* lockstep */
    char *difference;      /* lockstep, with OUTCOME_DIVERGED: the report; to be freed */
    char *statistics;      /* of the translator, if asked for; to be freed */
};

/* digest_every RUNNER_DIGEST_EVERY, level events, no limits. */
void runner_options_init(struct runner_options *options);

/* Builds the machine, runs it, destroys it. `description` must hold the bytes
 * of its files. Returns 0 with `result` filled (see outcome_exit_status), or a
 * negative code: an unfit file, no memory. */
int runner_run(const struct description *description, const struct runner_options *options,
               const struct door *door, struct runner_result *result, struct error *error);

/* The same, with a trace written to `sink` (recorder.c). A failing sink stops
 * the run: ERROR_SPACE or ERROR_HOST; what was written stays readable, and
 * `result` tells how far the run came. */
int recorder_run(const struct description *description, const struct runner_options *options,
                 const struct door *door, const struct trace_sink *sink,
                 struct runner_result *result, struct error *error);

#endif
