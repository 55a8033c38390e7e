/*
 * `record`: a machine with live inputs whose trace is written as it runs; see
 * runner.h. Everything that goes into the trace is a function of the run.
 */
#include <stdlib.h>
#include <string.h>

#include "replay/digest.h"
#include "replay/live.h"
#include "replay/memory_map.h"
#include "replay/runner.h"

#define ADVANCE_EVERY (16ull << 20) /* the writer is told the position so often */

struct recorder {
    struct live live;
    struct trace_writer *writer;
    enum trace_level level;
    uint64_t digest_every;
    uint64_t output; /* hash of the output stream */
    struct dirty dirty;
    struct digest digest;
    struct digest_table told;
    struct memory_map map; /* as last told */
    uint64_t digests;
};

static struct position here(const struct recorder *recorder)
{
    return position_of_clock(&recorder->live.machine->clock);
}

/* What happens while the machine is built is not part of the run. */
static bool logs_events(const struct recorder *recorder)
{
    return recorder->level >= TRACE_LEVEL_EVENTS && recorder->live.machine;
}

static uint64_t observe(void *context, unsigned cpu, enum observation kind, uint64_t address,
                        unsigned bytes, uint64_t live)
{
    struct recorder *recorder = context;
    if (logs_events(recorder)) {
        struct trace_event event = {
            .at = here(recorder),
            .kind = (uint8_t)trace_kind_of_observation(kind),
            .cpu = (uint8_t)cpu,
            .bytes = kind <= OBSERVE_MMIO_READ ? bytes : 0,
            .address = kind == OBSERVE_INTERRUPT || kind == OBSERVE_TPR_READ ? 0 : address,
            .value = live,
        };
        trace_writer_add(recorder->writer, &event);
    }
    return live;
}

static void signal_seen(void *context, unsigned cpu, enum cpu_signal signal, uint64_t value)
{
    struct recorder *recorder = context;
    if (!logs_events(recorder))
        return;
    struct trace_event event = {
        .at = here(recorder),
        .kind = (uint8_t)trace_kind_of_signal(signal),
        .cpu = (uint8_t)cpu,
        .bytes = recorder->live.machine->running_cpu != NULL,
        .value = value,
    };
    trace_writer_add(recorder->writer, &event);
}

static void dma(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    struct recorder *recorder = context;
    if (!logs_events(recorder))
        return;
    for (const uint8_t *from = bytes; length;) {
        struct trace_event event = {
            .at = here(recorder),
            .address = address,
            .value = recorder->live.machine->running_cpu != NULL,
        };
        trace_event_dma(&event, recorder->level, from, length);
        trace_writer_add(recorder->writer, &event);
        from += event.bytes;
        address += event.bytes;
        length -= event.bytes;
    }
}

static void map_changed(void *context)
{
    struct recorder *recorder = context;
    struct memory_map map;
    memory_map_take(&map, &recorder->live.machine->memory);
    if (memory_map_equal(&map, &recorder->map) || !logs_events(recorder))
        return;
    recorder->map = map;
    struct trace_event event = {
        .at = here(recorder),
        .kind = TRACE_MEMORY_MAP,
        .bytes = map.length,
        .value = recorder->live.machine->running_cpu != NULL,
        .payload = map.payload,
    };
    trace_writer_add(recorder->writer, &event);
}

static void output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct recorder *recorder = context;
    recorder->output = digest_output(recorder->output, unit, bytes, length);
    live_output(&recorder->live, unit, bytes, length);
}

static void log_input(void *context, const struct door_input *input)
{
    struct recorder *recorder = context;
    struct trace_event event = {
        .at = here(recorder),
        .kind = (uint8_t)trace_kind_of_input(input->kind),
        .address = input->unit,
        .value = input->value,
    };
    trace_writer_add(recorder->writer, &event);
}

static uint64_t next_input(void *context)
{
    return live_next_input(&((struct recorder *)context)->live);
}

static void inputs(void *context)
{
    live_inputs(&((struct recorder *)context)->live);
}

static uint64_t idle(void *context, uint64_t deadline)
{
    struct recorder *recorder = context;
    uint64_t now = clock_now(&recorder->live.machine->clock);
    uint64_t until = live_idle(&recorder->live, deadline);
    if (until == EVENTS_NEVER || until <= now)
        return until;
    struct trace_event event = {
        .at = here(recorder), .kind = TRACE_IDLE, .value = until - now,
    };
    if (recorder->level >= TRACE_LEVEL_EVENTS)
        trace_writer_add(recorder->writer, &event);
    event.at.idle_ns += event.value;
    trace_writer_advance(recorder->writer, event.at);
    return until;
}

static bool stopped(void *context)
{
    const struct recorder *recorder = context;
    return live_stopped(&recorder->live) ||
           trace_writer_status(recorder->writer, NULL) < 0;
}

static void notice(void *context, const char *text)
{
    live_notice(&((struct recorder *)context)->live, text);
}

static void add_digest(struct recorder *recorder, struct trace_event *event)
{
    uint8_t payload[DIGEST_PAYLOAD];
    digest_take(&recorder->digest, recorder->output);
    event->at = here(recorder);
    event->payload = payload;
    event->bytes = digest_encode(&recorder->digest, &recorder->told, payload);
    trace_writer_add(recorder->writer, event);
    recorder->digests++;
}

static uint64_t next_multiple(uint64_t count, uint64_t interval)
{
    return interval ? (count / interval + 1) * interval : UINT64_MAX;
}

/* Runs to the end of the run, with stops for digests. */
static int drive(struct recorder *recorder, struct outcome *outcome, struct error *error)
{
    struct live *live = &recorder->live;
    struct machine *machine = live->machine;
    enum machine_stop stop;
    do {
        uint64_t count = machine->clock.s.instructions;
        uint64_t target = next_multiple(count, recorder->digest_every);
        uint64_t advance = next_multiple(count, ADVANCE_EVERY);
        if (advance < target)
            target = advance;
        if (live->max_instructions < target)
            target = live->max_instructions;
        stop = machine_run(machine, target, live->max_ns);
        TRY(trace_writer_status(recorder->writer, error));
        if (stop == MACHINE_AT_TARGET && machine->clock.s.instructions != count &&
            recorder->digest_every &&
            machine->clock.s.instructions % recorder->digest_every == 0) {
            struct trace_event event = {.kind = TRACE_DIGEST};
            add_digest(recorder, &event);
        }
        trace_writer_advance(recorder->writer, here(recorder));
    } while (!live_over(live, stop, outcome));
    return 0;
}

static int finish(struct recorder *recorder, const struct outcome *outcome, struct error *error)
{
    struct trace_event event = {0};
    outcome_to_end(outcome, &event);
    add_digest(recorder, &event);
    return trace_writer_finish(recorder->writer, here(recorder), error);
}

static int create_writer(struct recorder *recorder, const struct description *description,
                         const struct runner_options *options, const struct trace_sink *sink,
                         struct error *error)
{
    char *text = malloc(TRACE_DESCRIPTION_BYTES);
    if (!text)
        return error_set(error, ERROR_MEMORY, "no memory for the machine description");
    int length = description_encode(description, text, TRACE_DESCRIPTION_BYTES);
    int code = length;
    if (length < 0) {
        error_set(error, code, "the machine description is too long for a trace");
    } else {
        struct trace_writer_options writer = {options->level, options->digest_every, text,
                                              (uint64_t)length};
        recorder->writer = trace_writer_create(sink, &writer, &code, error);
    }
    free(text);
    return recorder->writer ? 0 : code;
}

static int create_machine(struct recorder *recorder, const struct description *description,
                          const struct runner_options *options, struct error *error)
{
    const struct hooks hooks = {
        .context = recorder,
        .engine = options->engine,
        .observe = observe,
        .signal = signal_seen,
        .dma = dma,
        .output = output,
        .next_input = next_input,
        .inputs = inputs,
        .idle = idle,
        .stopped = stopped,
        .notice = notice,
    };
    struct machine *machine = machine_create(description, &hooks, error);
    if (!machine)
        return ERROR_FILE;
    recorder->live.machine = machine;
    memory_map_take(&recorder->map, &machine->memory);
    machine->memory.map_changed = map_changed;
    machine->memory.map_context = recorder;
    if (dirty_init(&recorder->dirty, &machine->memory) < 0 ||
        digest_init(&recorder->digest, machine, &recorder->dirty) < 0)
        return error_set(error, ERROR_MEMORY, "no memory for digests");
    return 0;
}

static int record(struct recorder *recorder, const struct description *description,
                  const struct runner_options *options, const struct trace_sink *sink,
                  struct runner_result *result, struct error *error)
{
    TRY(create_writer(recorder, description, options, sink, error));
    TRY(create_machine(recorder, description, options, error));
    int code = drive(recorder, &result->outcome, error);
    if (code == 0)
        code = finish(recorder, &result->outcome, error);
    result->end = here(recorder);
    result->virtual_ns = clock_now(&recorder->live.machine->clock);
    result->digests = recorder->digests;
    result->final_digest = recorder->told.total;
    result->trace_bytes = trace_writer_bytes(recorder->writer);
    return code;
}

int recorder_run(const struct description *description, const struct runner_options *options,
                 const struct door *door, const struct trace_sink *sink,
                 struct runner_result *result, struct error *error)
{
    memset(result, 0, sizeof *result);
    struct recorder *recorder = calloc(1, sizeof *recorder);
    if (!recorder)
        return error_set(error, ERROR_MEMORY, "no memory for the recorder");
    live_init(&recorder->live, door, options);
    recorder->live.log = log_input;
    recorder->live.log_context = recorder;
    recorder->level = options->level;
    recorder->digest_every = options->digest_every;
    int code = record(recorder, description, options, sink, result, error);
    trace_writer_destroy(recorder->writer);
    struct machine *machine = recorder->live.machine;
    result->statistics = machine_statistics(machine);
    machine_destroy(machine);
    digest_free(&recorder->digest);
    dirty_free(&recorder->dirty);
    free(recorder);
    return code;
}
