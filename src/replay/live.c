/*
 * Live inputs; see live.h.
 *
 * An input enters only at the first call of live_inputs at a position, so
 * that (instructions, idle_ns) says exactly where it belongs.
 */
#include "replay/live.h"

#include <string.h>

void live_init(struct live *live, const struct door *door, const struct runner_options *options)
{
    memset(live, 0, sizeof *live);
    live->door = *door;
    live->closed = !door->poll;
    live->max_instructions = options->max_instructions ? options->max_instructions : UINT64_MAX;
    live->max_ns = options->max_ns ? options->max_ns : UINT64_MAX;
}

uint64_t live_next_input(void *context)
{
    const struct live *live = context;
    return live->next_poll;
}

static void check_signal(struct live *live)
{
    if (!live->signal && live->door.stop_signal)
        live->signal = live->door.stop_signal(live->door.context);
}

static void show_progress(const struct live *live)
{
    if (live->door.progress)
        live->door.progress(live->door.context, live->machine->clock.s.instructions,
                            clock_now(&live->machine->clock));
}

static enum door_poll poll_door(struct live *live, uint64_t timeout_ns, uint64_t *waited_ns)
{
    *waited_ns = 0;
    enum door_poll result =
        live->door.poll(live->door.context, timeout_ns, &live->held, waited_ns);
    live->holding = result == DOOR_INPUT;
    live->closed = result == DOOR_CLOSED;
    return result;
}

/* Hands over inputs until none waits or a device is full. */
static void take_inputs(struct live *live)
{
    uint64_t waited;
    for (;;) {
        if (!live->holding && (live->closed || poll_door(live, 0, &waited) != DOOR_INPUT))
            return;
        const struct door_input *input = &live->held;
        if (!machine_input_ready(live->machine, input->kind, input->unit))
            return;
        if (live->log)
            live->log(live->log_context, input);
        machine_input(live->machine, input->kind, input->unit, input->value);
        live->holding = false;
    }
}

void live_inputs(void *context)
{
    struct live *live = context;
    struct position at = position_of_clock(&live->machine->clock);
    bool first = !live->asked_before || !position_equal(at, live->last_inputs);
    live->asked_before = true;
    live->last_inputs = at;
    if (live->settling)
        return;
    if (!first || (at.instructions < live->next_poll && !live->woken))
        return;
    if (at.instructions >= live->next_poll) {
        live->next_poll =
            (at.instructions / LIVE_POLL_INSTRUCTIONS + 1) * LIVE_POLL_INSTRUCTIONS;
        check_signal(live);
        show_progress(live);
    }
    live->woken = false;
    take_inputs(live);
}

/* Waits for an input while the clock may go on to `limit`; returns the time to
 * go on at. Short idle times are saved up, so that the host is not asked to
 * sleep for microseconds. */
static uint64_t wait_for_input(struct live *live, uint64_t now, uint64_t limit)
{
    uint64_t span = limit == EVENTS_NEVER ? UINT64_MAX : limit - now;
    uint64_t owed = live->owed_ns + span < span ? UINT64_MAX : live->owed_ns + span;
    uint64_t passed = 0;
    while (!live->signal) {
        uint64_t waited;
        uint64_t left = owed < LIVE_PACE_NS || passed >= owed ? 0 : owed - passed;
        enum door_poll result = poll_door(live, left, &waited);
        passed += waited;
        if (result == DOOR_CLOSED)
            return limit;
        if (result == DOOR_INPUT) {
            live->woken = true;
            live->owed_ns = 0;
            uint64_t step = passed ? passed : 1;
            return step < span ? now + step : limit;
        }
        show_progress(live);
        if (owed < LIVE_PACE_NS || (owed != UINT64_MAX && passed >= owed)) {
            live->owed_ns = owed < LIVE_PACE_NS ? owed : 0;
            return limit;
        }
        check_signal(live);
    }
    return now;
}

uint64_t live_idle(void *context, uint64_t deadline)
{
    struct live *live = context;
    uint64_t now = clock_now(&live->machine->clock);
    uint64_t limit = deadline < live->max_ns ? deadline : live->max_ns;
    check_signal(live); /* a guest that never wakes retires nothing: see live_inputs */
    if (limit <= now || live->signal)
        return now;
    if (live->holding && machine_input_ready(live->machine, live->held.kind, live->held.unit)) {
        /* The device was full and has been read since. */
        live->woken = true;
        return now + 1;
    }
    if (live->closed || live->holding)
        return limit;
    return wait_for_input(live, now, limit);
}

void live_output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct live *live = context;
    outcome_watch_output(&live->watch, unit, bytes, length);
    if (live->door.output)
        live->door.output(live->door.context, unit, bytes, length);
}

void live_notice(void *context, const char *text)
{
    const struct live *live = context;
    if (live->door.notice)
        live->door.notice(live->door.context, text);
}

bool live_stopped(const struct live *live)
{
    return live->signal && !live->settling;
}

/* A signal stops the run loop before the events of its position. They still
 * belong to the run: a replay that comes to this position runs them. */
static enum machine_stop settle(struct live *live)
{
    struct machine *machine = live->machine;
    live->settling = true;
    return machine_run(machine, machine->clock.s.instructions, clock_now(&machine->clock));
}

bool live_over(struct live *live, enum machine_stop stop, struct outcome *outcome)
{
    const struct machine *machine = live->machine;
    if (stop == MACHINE_STOPPED && live->signal)
        stop = settle(live);
    bool panic = live->watch.panic;
    if (stop == MACHINE_ENDED) {
        *outcome = outcome_of_machine(&machine->s, panic);
        return true;
    }
    if (live->settling) {
        *outcome = (struct outcome){OUTCOME_SIGNAL, (uint32_t)live->signal, panic};
        return true;
    }
    if (machine->clock.s.instructions >= live->max_instructions ||
        clock_now(&machine->clock) >= live->max_ns) {
        *outcome = (struct outcome){OUTCOME_BUDGET, 0, panic};
        return true;
    }
    return stop != MACHINE_AT_TARGET;
}
