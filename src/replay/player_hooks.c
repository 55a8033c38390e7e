/*
 * The machine's hooks in a replay: inputs are fed from the trace, all that
 * passes by is compared with it; see player_internal.h.
 *
 * Isolated: there are no devices. Reads get the recorded values, interrupts
 * and signals are raised where they were recorded, DMA payloads are written.
 */
#include <string.h>

#include "machine/cpu_lines.h"
#include "replay/player_internal.h"
#include "util/bits.h"

static bool has_events(const struct player *player)
{
    return player->level >= TRACE_LEVEL_EVENTS && player->machine;
}

static struct position here(const struct player *player)
{
    return position_of_clock(&player->machine->clock);
}

/* ---- what passes by ---- */

/* The recorded value takes the live one's place before both are compared. */
static void feed_value(struct player *player, struct trace_event *live)
{
    if (!player->options.isolated || !player->event || player->event->kind != live->kind)
        return;
    live->value = player->event->value;
    if (live->kind != TRACE_INTERRUPT)
        return;
    machine_cpu_interrupt(player->machine, live->cpu, false);
    /* The slice was measured while this was the next record to stop for. */
    machine_interrupt_slice(player->machine);
}

/* Isolated: whether the recording has this fault here. */
static bool fault_is_due(const struct player *player, const struct trace_event *live)
{
    const struct trace_event *event = player->event;
    return event && event->kind == TRACE_MSR_FAULT && position_equal(event->at, live->at) &&
           event->cpu == live->cpu && event->address == live->address;
}

static uint64_t observe(void *context, unsigned cpu, enum observation kind, uint64_t address,
                        unsigned bytes, uint64_t value)
{
    struct player *player = context;
    if (!has_events(player))
        return value;
    struct trace_event live = {
        .at = here(player),
        .kind = (uint8_t)trace_kind_of_observation(kind),
        .cpu = (uint8_t)cpu,
        .bytes = kind <= OBSERVE_MMIO_READ ? bytes : 0,
        .address = kind == OBSERVE_INTERRUPT || kind == OBSERVE_TPR_READ ? 0 : address,
        .value = value,
    };
    if (kind == OBSERVE_MSR_FAULT && player->options.isolated && !fault_is_due(player, &live))
        return 0;
    feed_value(player, &live);
    player_compare(player, &live);
    return live.value;
}

static void signal_seen(void *context, unsigned cpu, enum cpu_signal signal, uint64_t value)
{
    struct player *player = context;
    if (!has_events(player) || player->options.isolated)
        return;
    struct trace_event live = {
        .at = here(player),
        .kind = (uint8_t)trace_kind_of_signal(signal),
        .cpu = (uint8_t)cpu,
        .bytes = player->machine->running_cpu != NULL,
        .value = value,
    };
    player_compare(player, &live);
}

static void dma(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    struct player *player = context;
    if (!has_events(player) || player->options.isolated)
        return;
    for (const uint8_t *from = bytes; length;) {
        struct trace_event live = {
            .at = here(player),
            .address = address,
            .value = player->machine->running_cpu != NULL,
        };
        trace_event_dma(&live, player->level, from, length);
        if (!player_compare(player, &live))
            return;
        from += live.bytes;
        address += live.bytes;
        length -= live.bytes;
    }
}

void player_map_changed(void *context)
{
    struct player *player = context;
    struct memory_map map;
    if (!has_events(player) || player->options.isolated || player->restoring)
        return;
    memory_map_take(&map, &player->machine->memory);
    if (memory_map_equal(&map, &player->place.map))
        return;
    player->place.map = map;
    struct trace_event live = {
        .at = here(player),
        .kind = TRACE_MEMORY_MAP,
        .bytes = map.length,
        .value = player->machine->running_cpu != NULL,
        .payload = map.payload,
    };
    player_compare(player, &live);
}

/* Output of a stretch that is played again is not shown again. */
static void output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct player *player = context;
    struct player_place *place = &player->place;
    place->output = digest_output(place->output, unit, bytes, length);
    outcome_watch_output(&place->watch, unit, bytes, length);
    uint64_t shown = player->shown_bytes > place->output_bytes
                         ? player->shown_bytes - place->output_bytes
                         : 0;
    place->output_bytes += length;
    if (shown >= length)
        return;
    player->shown_bytes = place->output_bytes;
    if (player->door.output)
        player->door.output(player->door.context, unit, bytes + shown, length - shown);
}

/* ---- inputs ---- */

/* Where the machine must stop next for a record that is fed, not awaited. */
static uint64_t next_input(void *context)
{
    struct player *player = context;
    uint64_t count = player->machine->clock.s.instructions;
    if (!player->event)
        return UINT64_MAX;
    if (player->next_input < player->chunk.count)
        return player_feed_count(player, &player->chunk.events[player->next_input]);
    if (player->place.cursor.chunk + 1 == trace_reader_chunks(player->reader))
        return UINT64_MAX;
    uint64_t last = player->chunk.last.instructions;
    return last > count ? last : count + 1;
}

static void feed_input(struct player *player)
{
    const struct trace_event *event = player->event;
    enum input_kind kind = trace_input_of_kind((enum trace_kind)event->kind);
    unsigned unit = (unsigned)event->address;
    uint8_t value = (uint8_t)event->value;
    if (!machine_input_ready(player->machine, kind, unit)) {
        player_diverge(player, "inputs", -1, "the device cannot take it");
        return;
    }
    player_consume(player);
    machine_input(player->machine, kind, unit, value);
}

static void feed_signal(struct player *player, const struct trace_event *event)
{
    struct machine *machine = player->machine;
    switch (event->kind) {
    case TRACE_CPU_NMI: machine_cpu_nmi(machine, event->cpu); break;
    case TRACE_CPU_INIT: machine_cpu_init(machine, event->cpu); break;
    case TRACE_CPU_STARTUP:
        machine_cpu_startup(machine, event->cpu, (uint8_t)event->value);
        break;
    case TRACE_CPU_SMI: machine_cpu_smi_caused(machine, event->cpu, event->value); break;
    default: machine_reset_request(machine);
    }
}

static void feed_map(struct player *player, const struct trace_event *event)
{
    struct physmem *memory = &player->machine->memory;
    if (!memory_map_apply(memory, event->payload, event->bytes))
        player_diverge(player, "memory map", -1, "it does not fit this machine");
    else
        memory_map_take(&player->place.map, memory);
}

/* One record that no vCPU asks for; false when it is none. */
static bool feed_one(struct player *player)
{
    const struct trace_event *event = player->event;
    struct position at = here(player);
    if (player_feed_count(player, event) != at.instructions || event->at.idle_ns != at.idle_ns)
        return false;
    if (event->cpu >= player->machine->cpu_count) {
        player_diverge(player, "interrupts", -1, "the machine has no such vCPU");
        return false;
    }
    switch (event->kind) {
    case TRACE_INTERRUPT: /* consumed when the vCPU takes it */
        machine_cpu_interrupt(player->machine, event->cpu, true);
        return false;
    case TRACE_CPU_NMI:
    case TRACE_CPU_INIT:
    case TRACE_CPU_STARTUP:
    case TRACE_CPU_SMI:
    case TRACE_MACHINE_RESET:
        feed_signal(player, event);
        break;
    case TRACE_MEMORY_MAP:
        feed_map(player, event);
        break;
    case TRACE_DMA_DATA:
        physmem_write(&player->machine->memory, event->address, event->payload, event->bytes);
        break;
    case TRACE_DMA:
        player_diverge(player, "dma", -1, "an isolated replay needs --log full for DMA");
        return false;
    default:
        if (!trace_is_input(event->kind))
            return false;
    }
    player_consume(player);
    return true;
}

static void inputs(void *context)
{
    struct player *player = context;
    uint64_t count = player->machine->clock.s.instructions;
    while (player->event && !player_broken(player)) {
        if (player->options.isolated) {
            if (!feed_one(player))
                break;
        } else if (trace_is_input(player->event->kind) &&
                   position_equal(player->event->at, here(player))) {
            feed_input(player);
        } else {
            break;
        }
    }
    if (!player_broken(player))
        player_compare_missed(player);
    if (count >= player->next_progress && player->door.progress) {
        player->next_progress = count + (1u << 20);
        player->door.progress(player->door.context, count, player_now(player));
    }
}

/* ---- idle ---- */

/* At the end of the recording: a dead machine stays dead. */
static uint64_t idle_at_end(struct player *player, uint64_t deadline)
{
    struct outcome outcome = outcome_of_end(player->event);
    if (outcome.kind == OUTCOME_DEAD && (deadline == EVENTS_NEVER || player->options.isolated))
        return EVENTS_NEVER;
    player->pause = true;
    if (outcome.kind < OUTCOME_BUDGET && !player->options.isolated)
        player_diverge(player, "machine", -1, "every vCPU is halted until %llu ns",
                       (unsigned long long)deadline);
    return player_now(player);
}

/* The recording holds its idle times: the end of the one that is under way,
 * 0 after a divergence. */
static uint64_t recorded_idle(struct player *player, uint64_t deadline)
{
    const struct trace_event *event = player->event;
    struct position at = here(player);
    if (event->kind != TRACE_IDLE || event->at.instructions != at.instructions ||
        at.idle_ns < event->at.idle_ns || at.idle_ns - event->at.idle_ns >= event->value) {
        player_diverge(player, "clock", -1, "every vCPU is halted until %llu ns",
                       (unsigned long long)deadline);
        return 0;
    }
    uint64_t until = player_now(player) + (event->value - (at.idle_ns - event->at.idle_ns));
    if (until > deadline) {
        player_diverge(player, "clock", -1, "idle only until %llu ns",
                       (unsigned long long)deadline);
        return 0;
    }
    return until;
}

static uint64_t idle(void *context, uint64_t deadline)
{
    struct player *player = context;
    uint64_t now = player_now(player);
    const struct trace_event *event = player->event;
    if (player_broken(player))
        return now;
    if (!event || player->level < TRACE_LEVEL_EVENTS) {
        uint64_t next = event ? player_time(player, event->at) : player->end_ns;
        if (event && event->kind == TRACE_END && next <= now)
            return idle_at_end(player, deadline);
        if (next <= now)
            player->pause = true;
        return next < deadline ? (next > now ? next : now) : deadline;
    }
    if (position_equal(event->at, here(player))) {
        if (event->kind == TRACE_END)
            return idle_at_end(player, deadline);
        if (event->kind == TRACE_DIGEST) {
            player->pause = true;
            return now;
        }
    }
    uint64_t until = recorded_idle(player, deadline);
    if (until <= now)
        return now;
    /* The player may stop within: the record is done when its end is reached. */
    if (until > player->stop_ns)
        return player->stop_ns;
    player_consume(player);
    return until;
}

/* ---- the rest ---- */

static bool stopped(void *context)
{
    struct player *player = context;
    if (!player->signal && player->door.stop_signal)
        player->signal = player->door.stop_signal(player->door.context);
    return player->signal || player->pause || player_broken(player);
}

static void notice(void *context, const char *text)
{
    struct player *player = context;
    if (player->door.notice)
        player->door.notice(player->door.context, text);
}

void player_hooks(struct player *player, struct hooks *hooks)
{
    *hooks = (struct hooks){
        .context = player,
        .engine = player->options.engine,
        .isolated = player->options.isolated,
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
}
