/*
 * The 8254: counts and outputs as functions of the tick.
 *
 * Source: Intel 82C54 data sheet (231244-006), "Operational description" and
 * "Mode definitions".
 *
 * A count written is loaded by the CLK pulse that follows, so it starts one
 * tick after the tick it was written in. CE is worked out from the ticks that
 * have gone by since (`start_tick`); a count that waits for the end of the
 * period (modes 2 and 3) is brought into force by sync(), whenever somebody
 * looks.
 *
 * Not modelled:
 * - The two halves of CLK: gates and writes act on whole ticks.
 * - The illegal count 1 in modes 2 and 3 counts as 2.
 * - CE read in the tick between a write and its loading is the old value, not
 *   undefined.
 */
#include "machine/dev/pit.h"

#include <string.h>

#define CONTROL_OFFSET 3
#define READ_BACK 3
#define READ_BACK_NO_COUNT 0x20
#define READ_BACK_NO_STATUS 0x10
#define STATUS_OUTPUT 0x80
#define STATUS_NULL_COUNT 0x40
#define ACCESS_LATCH 0
#define ACCESS_LOW 1
#define ACCESS_HIGH 2
#define ACCESS_BOTH 3

static unsigned mode_of(const struct pit_counter_state *c)
{
    return c->mode > 5 ? c->mode - 4u : c->mode;
}

static bool is_periodic(const struct pit_counter_state *c)
{
    return mode_of(c) == 2 || mode_of(c) == 3;
}

/* Triggered by the gate's rising edge alone. */
static bool is_one_shot(const struct pit_counter_state *c)
{
    return mode_of(c) == 1 || mode_of(c) == 5;
}

static uint64_t tick_now(const struct pit *pit)
{
    return clock_ns_to_ticks(clock_now(pit->clock), PIT_HZ);
}

/* Ticks of the period in force that mode 3 spends high. */
static uint32_t high_half(const struct pit_counter_state *c)
{
    return (c->count + 1) / 2;
}

/* Modes 2 and 3, RUNNING, tick >= start_tick: ticks into the period. */
static uint32_t position(const struct pit_counter_state *c, uint64_t tick)
{
    uint64_t elapsed = tick - c->start_tick;
    if (mode_of(c) == 3 && !c->start_level)
        elapsed += high_half(c);
    return (uint32_t)(elapsed % c->count);
}

static void load(struct pit_counter_state *c, uint64_t start, bool level)
{
    c->phase = PIT_RUNNING;
    c->count = c->next_count;
    c->start_tick = start;
    c->start_level = level;
    c->count_waits = 0;
}

/* Brings into force a count whose period boundary has come by `tick`. */
static void sync(struct pit_counter_state *c, uint64_t tick)
{
    if (c->phase != PIT_RUNNING || !is_periodic(c) || !c->count_waits)
        return;
    if (c->written_tick < c->start_tick) { /* the count before was not loaded yet */
        load(c, c->start_tick, c->start_level);
        return;
    }
    uint32_t at = position(c, c->written_tick);
    uint32_t high = high_half(c);
    bool first_half = mode_of(c) == 3 && at < high;
    uint64_t boundary = c->written_tick + (first_half ? high : c->count) - at;
    if (tick >= boundary)
        load(c, boundary, !first_half);
}

static bool output(const struct pit_counter_state *c, uint64_t tick)
{
    unsigned mode = mode_of(c);
    if (c->phase == PIT_IDLE || (c->phase == PIT_PAUSED && is_periodic(c)))
        return mode != 0;
    if (c->phase == PIT_RUNNING && tick < c->start_tick)
        return c->start_level;
    uint64_t elapsed = c->phase == PIT_PAUSED ? c->start_tick : tick - c->start_tick;
    switch (mode) {
    case 0:
    case 1:
        return elapsed >= c->count;
    case 2:
        return position(c, tick) != c->count - 1;
    case 3:
        return position(c, tick) < high_half(c);
    default:
        return elapsed != c->count;
    }
}

/* CE as a number; the caller has synced. */
static uint32_t counting_element(const struct pit_counter_state *c, uint64_t tick)
{
    bool before_load = c->phase == PIT_RUNNING && tick < c->start_tick;
    if (c->phase == PIT_IDLE || before_load || (c->phase == PIT_PAUSED && is_periodic(c)))
        return c->held;
    if (is_periodic(c)) {
        uint32_t at = position(c, tick);
        if (mode_of(c) == 2)
            return c->count - at;
        uint32_t high = high_half(c);
        return (c->count & ~1u) - 2 * (at < high ? at : at - high);
    }
    uint64_t elapsed = c->phase == PIT_PAUSED ? c->start_tick : tick - c->start_tick;
    uint32_t modulus = c->bcd ? 10000 : 65536;
    return (uint32_t)((c->count % modulus + modulus - elapsed % modulus) % modulus);
}

static uint16_t to_bcd(uint32_t value)
{
    value %= 10000;
    return (uint16_t)(value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
                      value % 10);
}

static uint32_t from_bcd(uint16_t value)
{
    return (value >> 12) * 1000u + (value >> 8 & 15) * 100u + (value >> 4 & 15) * 10u +
           (value & 15u);
}

static uint16_t read_count(const struct pit_counter_state *c, uint64_t tick)
{
    uint32_t value = counting_element(c, tick);
    return c->bcd ? to_bcd(value) : (uint16_t)value;
}

/* The first tick after `tick` at which OUT differs from before, UINT64_MAX
 * when it will not change by itself. The caller has synced. */
static uint64_t next_change(const struct pit_counter_state *c, uint64_t tick)
{
    if (c->phase != PIT_RUNNING)
        return UINT64_MAX;
    if (is_periodic(c)) {
        if (tick < c->start_tick)
            tick = c->start_tick;
        uint32_t at = position(c, tick);
        uint32_t first = mode_of(c) == 2 ? c->count - 1 : high_half(c);
        return tick + (at < first ? first : c->count) - at;
    }
    uint64_t end = c->start_tick + c->count;
    if (is_one_shot(c) && tick < c->start_tick && c->start_level == (mode_of(c) == 1))
        return c->start_tick;
    if (tick < end)
        return end;
    return mode_of(c) >= 4 && tick == end ? end + 1 : UINT64_MAX;
}

/* Drives OUT0 at its level of `tick`. Where it changed and changed back since
 * it was last looked at, both edges are driven. */
static void drive(struct pit *pit, uint64_t tick)
{
    struct pit_counter_state *c = &pit->s.counters[0];
    bool changed = next_change(c, pit->s.driven_tick) <= tick;
    sync(c, tick);
    bool level = output(c, tick);
    if (changed && level == pit->s.irq_level)
        line_set(&pit->output0, !level);
    if (changed || level != pit->s.irq_level)
        line_set(&pit->output0, level);
    pit->s.irq_level = level;
    pit->s.driven_tick = tick;
}

static void schedule(struct pit *pit)
{
    uint64_t deadline = EVENTS_NEVER;
    uint64_t change = next_change(&pit->s.counters[0], pit->s.driven_tick);
    if (change < clock_ns_to_ticks(UINT64_MAX, PIT_HZ))
        deadline = clock_ticks_to_ns(change, PIT_HZ);
    events_schedule(pit->events, pit->timer, deadline);
}

void pit_event(void *device, uint64_t now)
{
    struct pit *pit = device;
    drive(pit, clock_ns_to_ticks(now, PIT_HZ));
    schedule(pit);
}

void pit_restored(void *device)
{
    schedule(device);
}

void pit_init(struct pit *pit, const struct clock *clock, struct events *events,
              struct line output0)
{
    memset(pit, 0, sizeof *pit);
    pit->clock = clock;
    pit->events = events;
    pit->output0 = output0;
    pit->timer = events_add(events, "pit", pit_event, pit);
    pit_reset(pit);
}

void pit_reset(struct pit *pit)
{
    memset(&pit->s, 0, sizeof pit->s);
    for (unsigned i = 0; i < PIT_COUNTERS; i++) {
        pit->s.counters[i].access = ACCESS_BOTH;
        pit->s.counters[i].count_waits = 1;
        pit->s.counters[i].gate = i != 2;
    }
    pit->s.driven_tick = tick_now(pit);
    line_set(&pit->output0, false);
    schedule(pit);
}

static bool null_count(const struct pit_counter_state *c, uint64_t tick)
{
    return c->count_waits || (c->phase == PIT_RUNNING && tick < c->start_tick);
}

static void latch_count(struct pit_counter_state *c, uint64_t tick)
{
    if (c->bytes_latched)
        return;
    c->latched_count = read_count(c, tick);
    c->bytes_latched = c->access == ACCESS_BOTH ? 2 : 1;
}

static void latch_status(struct pit_counter_state *c, uint64_t tick)
{
    if (c->status_latched)
        return;
    c->status_latched = 1;
    c->latched_status = (uint8_t)(c->access << 4 | c->mode << 1 | c->bcd);
    if (output(c, tick))
        c->latched_status |= STATUS_OUTPUT;
    if (null_count(c, tick))
        c->latched_status |= STATUS_NULL_COUNT;
}

static void read_back(struct pit *pit, uint8_t value, uint64_t tick)
{
    for (unsigned i = 0; i < PIT_COUNTERS; i++) {
        if (!(value >> (i + 1) & 1))
            continue;
        sync(&pit->s.counters[i], tick);
        if (!(value & READ_BACK_NO_COUNT))
            latch_count(&pit->s.counters[i], tick);
        if (!(value & READ_BACK_NO_STATUS))
            latch_status(&pit->s.counters[i], tick);
    }
}

static void write_control(struct pit *pit, uint8_t value, uint64_t tick)
{
    unsigned number = value >> 6;
    if (number == READ_BACK) {
        read_back(pit, value, tick);
        return;
    }
    struct pit_counter_state *c = &pit->s.counters[number];
    sync(c, tick);
    if ((value >> 4 & 3) == ACCESS_LATCH) {
        latch_count(c, tick);
        return;
    }
    c->held = counting_element(c, tick);
    c->phase = PIT_IDLE;
    c->access = value >> 4 & 3;
    c->mode = value >> 1 & 7;
    c->bcd = value & 1;
    c->next_count = 0;
    c->count_waits = 1;
    c->write_high = 0;
    c->read_high = 0;
    c->bytes_latched = 0;
    c->status_latched = 0;
}

/* A whole count arrived in CR. */
static void count_complete(struct pit_counter_state *c, uint16_t value, uint64_t tick)
{
    unsigned mode = mode_of(c);
    c->next_count = c->bcd ? from_bcd(value) : value;
    if (c->next_count == 0)
        c->next_count = c->bcd ? 10000 : 65536;
    if (is_periodic(c) && c->next_count == 1)
        c->next_count = 2;
    c->count_waits = 1;

    if (is_one_shot(c))
        return; /* the trigger loads it */
    if (is_periodic(c) && c->phase != PIT_IDLE) {
        c->written_tick = tick;
        sync(c, tick);
        return; /* the period's end or the trigger loads it */
    }
    c->held = counting_element(c, tick);
    load(c, tick + 1, mode != 0);
    if (!c->gate) { /* loaded, but it does not count */
        c->phase = PIT_PAUSED;
        c->start_tick = 0;
        c->held = c->count;
    }
}

static void write_count(struct pit_counter_state *c, uint8_t value, uint64_t tick)
{
    sync(c, tick);
    switch (c->access) {
    case ACCESS_LOW:
        count_complete(c, value, tick);
        break;
    case ACCESS_HIGH:
        count_complete(c, (uint16_t)(value << 8), tick);
        break;
    default:
        if (c->write_high) {
            c->write_high = 0;
            count_complete(c, (uint16_t)(value << 8 | c->low_byte), tick);
            break;
        }
        c->low_byte = value;
        c->write_high = 1;
        if (mode_of(c) == 0) { /* the first byte stops the counter */
            c->held = counting_element(c, tick);
            c->phase = PIT_IDLE;
        }
    }
}

static uint8_t read_counter(struct pit_counter_state *c, uint64_t tick)
{
    if (c->status_latched) {
        c->status_latched = 0;
        return c->latched_status;
    }
    sync(c, tick);
    uint16_t value = c->bytes_latched ? c->latched_count : read_count(c, tick);
    bool high = c->access == ACCESS_HIGH;
    if (c->access == ACCESS_BOTH) {
        high = c->read_high;
        c->read_high = !c->read_high;
    }
    if (c->bytes_latched)
        c->bytes_latched--;
    return (uint8_t)(high ? value >> 8 : value);
}

uint64_t pit_read(void *device, uint64_t offset, unsigned bytes)
{
    struct pit *pit = device;
    (void)bytes;
    if (offset >= CONTROL_OFFSET)
        return 0xff;
    uint64_t tick = tick_now(pit);
    if (offset == 0)
        drive(pit, tick);
    uint8_t value = read_counter(&pit->s.counters[offset], tick);
    schedule(pit);
    return value;
}

void pit_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct pit *pit = device;
    (void)bytes;
    uint64_t tick = tick_now(pit);
    drive(pit, tick);
    if ((offset & 3) == CONTROL_OFFSET)
        write_control(pit, (uint8_t)value, tick);
    else
        write_count(&pit->s.counters[offset & 3], (uint8_t)value, tick);
    drive(pit, tick);
    schedule(pit);
}

/* Rising edge: starts modes 1, 2, 3 and 5 from CR, lets 0 and 4 go on. */
static void gate_rises(struct pit_counter_state *c, uint64_t tick)
{
    if (is_one_shot(c) || is_periodic(c)) {
        if (!c->next_count)
            return;
        bool level = output(c, tick);
        c->held = counting_element(c, tick);
        load(c, tick + 1, level);
    } else if (c->phase == PIT_PAUSED) {
        c->phase = PIT_RUNNING;
        c->start_tick = tick - c->start_tick;
    }
}

static void gate_falls(struct pit_counter_state *c, uint64_t tick)
{
    if (is_one_shot(c) || c->phase != PIT_RUNNING)
        return;
    c->held = counting_element(c, tick);
    c->start_tick = tick < c->start_tick ? 0 : tick - c->start_tick;
    c->phase = PIT_PAUSED;
}

void pit_set_gate(struct pit *pit, unsigned counter, bool level)
{
    if (counter >= PIT_COUNTERS || pit->s.counters[counter].gate == level)
        return;
    struct pit_counter_state *c = &pit->s.counters[counter];
    uint64_t tick = tick_now(pit);
    drive(pit, tick);
    sync(c, tick);
    if (level)
        gate_rises(c, tick);
    else
        gate_falls(c, tick);
    c->gate = level;
    drive(pit, tick);
    schedule(pit);
}

bool pit_gate(const struct pit *pit, unsigned counter)
{
    return counter < PIT_COUNTERS && pit->s.counters[counter].gate;
}

bool pit_output(const struct pit *pit, unsigned counter)
{
    if (counter >= PIT_COUNTERS)
        return false;
    struct pit_counter_state copy = pit->s.counters[counter];
    uint64_t tick = tick_now(pit);
    sync(&copy, tick);
    return output(&copy, tick);
}
