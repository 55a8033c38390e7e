/*
 * Virtual time. It is a function of the number of retired instructions and of
 * the time that the machine spent with every vCPU halted:
 *
 *     now = instructions * ns_per_instruction + idle_ns
 *
 * All integers; no host clock ever enters. An exception or interrupt delivery
 * counts as one instruction, as does each iteration of a REP string
 * instruction, so that no guest can loop without the clock advancing.
 */
#ifndef MACHINE_CLOCK_H
#define MACHINE_CLOCK_H

#include <stdint.h>

#define NS_PER_SECOND 1000000000ull

struct clock_state {
    uint64_t instructions;       /* retired by all vCPUs together */
    uint64_t idle_ns;            /* skipped while all vCPUs were halted */
    uint64_t ns_per_instruction; /* 1..1000000, fixed for a run */
};

struct clock {
    struct clock_state s;
};

/*
 * Virtual nanoseconds since reset of the machine. Exact when devices are
 * called: the run loop brings `instructions` up to date before every port
 * access, MMIO access and event.
 */
static inline uint64_t clock_now(const struct clock *clock)
{
    return clock->s.instructions * clock->s.ns_per_instruction + clock->s.idle_ns;
}

/* ticks = ns * frequency / 1 s, rounded down, without overflow in between.
 * frequency in Hz, at most 10 GHz. */
static inline uint64_t clock_ns_to_ticks(uint64_t ns, uint64_t frequency)
{
    return (uint64_t)((unsigned __int128)ns * frequency / NS_PER_SECOND);
}

/* The first nanosecond at which clock_ns_to_ticks gives at least `ticks`. */
static inline uint64_t clock_ticks_to_ns(uint64_t ticks, uint64_t frequency)
{
    return (uint64_t)(((unsigned __int128)ticks * NS_PER_SECOND + frequency - 1) / frequency);
}

#endif
