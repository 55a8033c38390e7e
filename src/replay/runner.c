/* `run`: a machine with live inputs and without a trace; see runner.h. */
#include "replay/runner.h"

#include <string.h>

#include "replay/live.h"

void runner_options_init(struct runner_options *options)
{
    *options = (struct runner_options){
        .digest_every = RUNNER_DIGEST_EVERY,
        .level = TRACE_LEVEL_EVENTS,
        .engine = { .kind = ENGINE_AUTO },
    };
}

static uint64_t observe(void *context, unsigned cpu, enum observation kind, uint64_t address,
                        unsigned bytes, uint64_t live)
{
    (void)context, (void)cpu, (void)kind, (void)address, (void)bytes;
    return live;
}

static void signal_seen(void *context, unsigned cpu, enum cpu_signal signal, uint64_t value)
{
    (void)context, (void)cpu, (void)signal, (void)value;
}

static void dma(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    (void)context, (void)address, (void)bytes, (void)length;
}

static bool stopped(void *context)
{
    return live_stopped(context);
}

int runner_run(const struct description *description, const struct runner_options *options,
               const struct door *door, struct runner_result *result, struct error *error)
{
    struct live live;
    memset(result, 0, sizeof *result);
    live_init(&live, door, options);
    const struct hooks hooks = {
        .context = &live,
        .engine = options->engine,
        .observe = observe,
        .signal = signal_seen,
        .dma = dma,
        .output = live_output,
        .next_input = live_next_input,
        .inputs = live_inputs,
        .idle = live_idle,
        .stopped = stopped,
        .notice = live_notice,
    };
    live.machine = machine_create(description, &hooks, error);
    if (!live.machine)
        return ERROR_FILE;
    enum machine_stop stop;
    do {
        stop = machine_run(live.machine, live.max_instructions, live.max_ns);
    } while (!live_over(&live, stop, &result->outcome));
    result->end = position_of_clock(&live.machine->clock);
    result->virtual_ns = clock_now(&live.machine->clock);
    result->statistics = machine_statistics(live.machine);
    machine_destroy(live.machine);
    return 0;
}
