/*
 * A signal line from one chip to another: interrupt requests, INTR, NMI, SMI,
 * A20, the speaker gate. The driver calls line_set on every change (or more
 * often: the receiver must accept repeats of the same level); the receiver
 * decides what an edge is. Who is wired to whom is the board's business.
 */
#ifndef MACHINE_LINE_H
#define MACHINE_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct line {
    void (*set)(void *receiver, unsigned input, bool level); /* NULL: not connected */
    void *receiver;
    unsigned input; /* which input of the receiver */
};

static inline void line_set(const struct line *line, bool level)
{
    if (line->set)
        line->set(line->receiver, line->input, level);
}

/* A rising and a falling edge. */
static inline void line_pulse(const struct line *line)
{
    line_set(line, true);
    line_set(line, false);
}

#endif
