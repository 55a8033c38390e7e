/* Help for tests that drive a machine themselves: hooks without a door. */
#ifndef TESTS_MACHINE_BENCH_H
#define TESTS_MACHINE_BENCH_H

#include "machine/board.h"
#include "machine/disk.h"
#include "player_bench.h"

static inline uint64_t hook_observe(void *context, unsigned cpu, enum observation kind,
                                    uint64_t address, unsigned bytes, uint64_t live)
{
    (void)context, (void)cpu, (void)kind, (void)address, (void)bytes;
    return live;
}

static inline void hook_output(void *context, unsigned unit, const uint8_t *bytes,
                               uint64_t length)
{
    (void)context, (void)unit, (void)bytes, (void)length;
}

static inline uint64_t hook_next_input(void *context)
{
    (void)context;
    return UINT64_MAX;
}

static inline void hook_inputs(void *context)
{
    (void)context;
}

static inline uint64_t hook_idle(void *context, uint64_t deadline)
{
    (void)context;
    return deadline;
}

static inline struct machine *bench_machine(const struct description *description)
{
    const struct hooks hooks = {
        .observe = hook_observe,
        .output = hook_output,
        .next_input = hook_next_input,
        .inputs = hook_inputs,
        .idle = hook_idle,
    };
    struct error error = {""};
    struct machine *machine = machine_create(description, &hooks, &error);
    assert_string_equal(error.text, "");
    assert_non_null(machine);
    return machine;
}

/* Runs on by `instructions`. */
static inline void bench_run(struct machine *machine, uint64_t instructions)
{
    uint64_t until = machine->clock.s.instructions + instructions;
    assert_int_equal(machine_run(machine, until, UINT64_MAX), MACHINE_AT_TARGET);
    assert_int_equal(machine->clock.s.instructions, until);
}

#endif
