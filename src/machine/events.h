/*
 * The queue of device deadlines in virtual time.
 *
 * Each device registers its timers once, in a fixed order, while the board is
 * built. A deadline is derived data: it is recomputed from device state by
 * the device's `restored` function and never saved. Timers that fall due at
 * the same time fire in order of registration. Nothing polls.
 */
#ifndef MACHINE_EVENTS_H
#define MACHINE_EVENTS_H

#include <stdint.h>

#define EVENTS_MAXIMUM 256
#define EVENTS_NEVER UINT64_MAX

/* Called when the timer is due, with its deadline already cleared. `now` is
 * clock_now(), at or just after the deadline: an event happens between two
 * instructions, the first boundary that is not before the deadline. */
typedef void events_function(void *device, uint64_t now);

struct events_timer {
    const char *name;
    events_function *function;
    void *device;
    uint64_t deadline; /* virtual ns, EVENTS_NEVER when idle */
};

struct events {
    struct events_timer timers[EVENTS_MAXIMUM];
    unsigned count;
    uint64_t next; /* least deadline of all timers */
    /* Told whenever `next` moves closer, so that a running slice shortens. */
    void (*moved_closer)(void *context);
    void *context;
};

/* Empties the queue. `moved_closer` may be NULL. */
void events_init(struct events *events, void (*moved_closer)(void *context), void *context);

/* Registers a timer, idle at first, and returns its number. The name must
 * outlive the queue. */
unsigned events_add(struct events *events, const char *name, events_function *function,
                    void *device);

/* Sets the deadline of `timer` (virtual ns); one in the past is due at once.
 * EVENTS_NEVER cancels. */
void events_schedule(struct events *events, unsigned timer, uint64_t deadline);

/* The deadline of `timer`, EVENTS_NEVER when it is not scheduled. */
uint64_t events_deadline(const struct events *events, unsigned timer);

/* Calls each timer that is due at `now`, by deadline and then by number,
 * until none is. A timer that rearms itself at or before `now` fires again. */
void events_run(struct events *events, uint64_t now);

#endif
