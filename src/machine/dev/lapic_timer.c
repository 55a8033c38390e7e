/*
 * Timer of the local APIC; see lapic.h. SDM volume 3, "APIC Timer".
 *
 * Nothing counts: the current count follows from the virtual time at which the
 * count began. Expiries of a periodic count that fall between the same two
 * instructions give one interrupt, as IRR would merge them.
 */
#include "machine/dev/lapic_internal.h"

_Static_assert(LAPIC_TIMER_HZ == NS_PER_SECOND && LAPIC_TSC_HZ == NS_PER_SECOND,
               "one tick of the undivided timer and of the TSC is one virtual ns");

static uint32_t timer_mode(const struct lapic *lapic)
{
    return lapic->s.lvt[LAPIC_LVT_TIMER] & LVT_TIMER_MODE;
}

static uint64_t now(const struct lapic *lapic)
{
    return clock_now(lapic->lapics->wiring.clock);
}

/* Nanoseconds a count: bits 3, 1, 0 of the register are the power of two minus
 * one; 111b divides by one. */
static uint64_t divisor(uint32_t divide)
{
    uint32_t code = (divide & 3) | (divide >> 1 & 4);
    return code == 7 ? 1 : 2ull << code;
}

static uint64_t period(const struct lapic *lapic)
{
    /* At least 1, whatever a restored state says. */
    uint64_t ns = lapic->s.initial_count * divisor(lapic->s.divide);
    return ns ? ns : 1;
}

static uint64_t tsc_deadline_ns(const struct lapic *lapic)
{
    const struct lapic_wiring *wiring = &lapic->lapics->wiring;
    uint64_t tsc = now(lapic) + wiring->tsc_offset(wiring->tsc_context, lapic->cpu);
    if (lapic->s.tsc_deadline <= tsc)
        return now(lapic);
    uint64_t left = lapic->s.tsc_deadline - tsc;
    return left < EVENTS_NEVER - now(lapic) ? now(lapic) + left : EVENTS_NEVER;
}

void lapic_timer_schedule(struct lapic *lapic)
{
    uint64_t deadline = EVENTS_NEVER;
    if (timer_mode(lapic) == LVT_TIMER_TSC_DEADLINE) {
        if (lapic->s.tsc_deadline)
            deadline = tsc_deadline_ns(lapic);
    } else if (lapic->s.timer_running) {
        deadline = lapic->s.timer_start + period(lapic);
    }
    events_schedule(lapic->lapics->wiring.events, lapic->timer, deadline);
}

void lapic_timer_event(void *device, uint64_t time)
{
    struct lapic *lapic = device;
    struct lapic_state *s = &lapic->s;
    if (timer_mode(lapic) == LVT_TIMER_TSC_DEADLINE)
        s->tsc_deadline = 0;
    else if (timer_mode(lapic) == LVT_TIMER_PERIODIC)
        s->timer_start += (time - s->timer_start) / period(lapic) * period(lapic);
    else
        s->timer_running = 0;
    lapic_timer_schedule(lapic);
    lapic_local_interrupt(lapic, LAPIC_LVT_TIMER);
}

uint32_t lapic_timer_count(const struct lapic *lapic)
{
    const struct lapic_state *s = &lapic->s;
    if (!s->timer_running || !s->initial_count)
        return 0;
    uint64_t elapsed = (now(lapic) - s->timer_start) / divisor(s->divide);
    if (elapsed >= s->initial_count) {
        /* Read by the very instruction that the expiry follows. */
        if (timer_mode(lapic) != LVT_TIMER_PERIODIC)
            return 0;
        elapsed %= s->initial_count;
    }
    return s->initial_count - (uint32_t)elapsed;
}

void lapic_timer_set_count(struct lapic *lapic, uint32_t count)
{
    if (timer_mode(lapic) == LVT_TIMER_TSC_DEADLINE)
        return;
    lapic->s.initial_count = count;
    lapic->s.timer_running = count != 0;
    lapic->s.timer_start = count ? now(lapic) : 0;
    lapic_timer_schedule(lapic);
}

/* A running count goes on from its present value at the new rate. */
void lapic_timer_set_divide(struct lapic *lapic, uint32_t divide)
{
    struct lapic_state *s = &lapic->s;
    uint32_t left = lapic_timer_count(lapic);
    s->divide = divide;
    if (s->timer_running)
        s->timer_start = now(lapic) - (uint64_t)(s->initial_count - left) * divisor(divide);
    lapic_timer_schedule(lapic);
}

void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value)
{
    struct lapic_state *s = &lapic->s;
    uint32_t before = timer_mode(lapic);
    s->lvt[LAPIC_LVT_TIMER] = value;
    /* Entering or leaving TSC-deadline mode disarms the timer. */
    if ((before ^ timer_mode(lapic)) & LVT_TIMER_TSC_DEADLINE) {
        s->timer_running = 0;
        s->timer_start = 0;
        s->initial_count = 0;
        s->tsc_deadline = 0;
    }
    lapic_timer_schedule(lapic);
}

void lapic_timer_set_deadline(struct lapic *lapic, uint64_t tsc)
{
    if (timer_mode(lapic) != LVT_TIMER_TSC_DEADLINE)
        return;
    lapic->s.tsc_deadline = tsc;
    lapic_timer_schedule(lapic);
}

void lapic_tsc_changed(struct lapics *lapics, unsigned cpu)
{
    lapic_timer_schedule(&lapics->list[cpu]);
}
