/*
 * `--engine check`: the same run in two machines side by side, one interpreted,
 * one translated. The interpreted one leads: it takes the inputs, runs some
 * blocks, and the other is to come to the same state in as many instructions.
 */
#ifndef REPLAY_LOCKSTEP_H
#define REPLAY_LOCKSTEP_H

#include "replay/runner.h"

/*
 * As runner_run. options->engine.check_blocks: how many blocks run between two
 * comparisons; more than 1: a random number up to that, and translated code runs on
 * from block to block and is made of chains of blocks. vCPUs and what they saw of devices are compared
 * each time, memory and devices every LOCKSTEP_MEMORY_EVERY instructions.
 *
 * At the first difference the run ends with OUTCOME_DIVERGED and a report in
 * result->difference (to be freed).
 */
int lockstep_run(const struct description *description, const struct runner_options *options,
                 const struct door *door, struct runner_result *result, struct error *error);

#define LOCKSTEP_MEMORY_EVERY (4ull << 20)

#endif
