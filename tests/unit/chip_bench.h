/*
 * What tests of chips share: a clock and an event queue to step, lines that
 * remember what happened to them, and the check that a chip whose state was
 * saved, spoiled and restored goes on as if nothing had happened.
 */
#ifndef TESTS_UNIT_CHIP_BENCH_H
#define TESTS_UNIT_CHIP_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/clock.h"
#include "machine/events.h"
#include "machine/line.h"

#define BENCH_LOG 4096

struct bench {
    struct clock clock;
    struct events events;
    uint64_t log[BENCH_LOG]; /* what was seen, in order */
    unsigned logged;
    bool level[16];          /* of each line */
    unsigned rises[16];
};

static inline void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof *bench);
    bench->clock.s.ns_per_instruction = 1;
    events_init(&bench->events, NULL, NULL);
}

static inline uint64_t bench_now(const struct bench *bench)
{
    return clock_now(&bench->clock);
}

static inline void bench_log(struct bench *bench, uint64_t value)
{
    assert_true(bench->logged < BENCH_LOG);
    bench->log[bench->logged++] = value;
}

/* Goes to virtual time `ns`, with every event at its deadline. */
static inline void bench_to(struct bench *bench, uint64_t ns)
{
    while (bench->events.next <= ns) {
        if (bench->events.next > bench->clock.s.idle_ns)
            bench->clock.s.idle_ns = bench->events.next;
        events_run(&bench->events, bench_now(bench));
    }
    bench->clock.s.idle_ns = ns;
}

static inline void bench_step(struct bench *bench, uint64_t ns)
{
    bench_to(bench, bench_now(bench) + ns);
}

static inline void bench_line_set(void *receiver, unsigned input, bool level)
{
    struct bench *bench = receiver;
    if (level != bench->level[input])
        bench_log(bench, bench_now(bench) << 8 | input << 1 | level);
    bench->rises[input] += level && !bench->level[input];
    bench->level[input] = level;
}

/* Line `number` (0..15) of the bench. */
static inline struct line bench_line(struct bench *bench, unsigned number)
{
    return (struct line){ bench_line_set, bench, number };
}

/*
 * Runs `script` twice from here: on, and again after the state was spoiled and
 * restored. Both must log the same and end in the same state.
 */
static inline void bench_check_restore(struct bench *bench, void *state, uint32_t size,
                                       void (*restored)(void *device), void *device,
                                       void (*script)(struct bench *bench, void *device))
{
    struct bench *before = malloc(sizeof *before);
    struct bench *after = malloc(sizeof *after);
    void *saved = malloc(size);
    void *ended = malloc(size);
    *before = *bench;
    memcpy(saved, state, size);

    script(bench, device);
    *after = *bench;
    memcpy(ended, state, size);
    assert_true(after->logged > before->logged);

    *bench = *before;
    for (unsigned i = 0; i < bench->events.count; i++)
        bench->events.timers[i].deadline = EVENTS_NEVER;
    bench->events.next = EVENTS_NEVER;
    memcpy(state, saved, size);
    restored(device);
    for (unsigned i = 0; i < bench->events.count; i++)
        assert_int_equal(bench->events.timers[i].deadline, before->events.timers[i].deadline);

    script(bench, device);
    assert_memory_equal(state, ended, size);
    assert_int_equal(bench->logged, after->logged);
    assert_memory_equal(bench->log, after->log, sizeof bench->log);
    free(before);
    free(after);
    free(saved);
    free(ended);
}

#endif
