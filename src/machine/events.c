/* The queue of device deadlines; see events.h. */
#include "machine/events.h"

#include "util/assert.h"

void events_init(struct events *events, void (*moved_closer)(void *context), void *context)
{
    events->count = 0;
    events->next = EVENTS_NEVER;
    events->moved_closer = moved_closer;
    events->context = context;
}

unsigned events_add(struct events *events, const char *name, events_function *function,
                    void *device)
{
    ASSERT(events->count < EVENTS_MAXIMUM);
    events->timers[events->count] = (struct events_timer){ name, function, device, EVENTS_NEVER };
    return events->count++;
}

static unsigned earliest(const struct events *events)
{
    unsigned best = 0;
    for (unsigned i = 1; i < events->count; i++)
        if (events->timers[i].deadline < events->timers[best].deadline)
            best = i;
    return best;
}

void events_schedule(struct events *events, unsigned timer, uint64_t deadline)
{
    ASSERT(timer < events->count);
    uint64_t before = events->timers[timer].deadline;
    if (before == deadline)
        return;
    events->timers[timer].deadline = deadline;
    if (deadline < events->next) {
        events->next = deadline;
        if (events->moved_closer)
            events->moved_closer(events->context);
    } else if (before == events->next) {
        events->next = events->timers[earliest(events)].deadline;
    }
}

uint64_t events_deadline(const struct events *events, unsigned timer)
{
    ASSERT(timer < events->count);
    return events->timers[timer].deadline;
}

void events_run(struct events *events, uint64_t now)
{
    while (events->next <= now) {
        struct events_timer *timer = &events->timers[earliest(events)];
        timer->deadline = EVENTS_NEVER;
        events->next = events->timers[earliest(events)].deadline;
        timer->function(timer->device, now);
    }
}
