/*
 * What is known of the scratch registers from one instruction to the next: that one
 * holds what the members of a group add (group.h), or the value of a guest register
 * that lives in memory. The emitter tells whether a register was named since then.
 */
#ifndef TRANSLATOR_SCRATCH_H
#define TRANSLATOR_SCRATCH_H

#include "translator/compile.h"

/* In c->held: the number + 1 of a group, or a guest register. */
#define HELD_GUEST 0x80u

static inline void scratch_note(struct compile *c, unsigned scratch, unsigned what)
{
    c->held[scratch == SCRATCH2] = (uint8_t)what;
    c->e.named &= ~(1u << scratch);
}

static inline bool scratch_holds(const struct compile *c, unsigned scratch, unsigned what)
{
    return c->held[scratch == SCRATCH2] == what && !(c->e.named >> scratch & 1);
}

/* The one that holds it, or HOST_NONE. */
unsigned scratch_that_holds(const struct compile *c, unsigned what);

static inline unsigned scratch_other(unsigned scratch)
{
    return scratch == SCRATCH ? SCRATCH2 : SCRATCH;
}

static inline void scratch_forget_guests(struct compile *c)
{
    for (unsigned i = 0; i < 2; i++)
        if (c->held[i] & HELD_GUEST)
            c->held[i] = 0;
}

/* Loads a guest register that lives in memory, and stores it. */
void scratch_load(struct compile *c, unsigned scratch, unsigned guest);
void scratch_store(struct compile *c, unsigned guest, unsigned host);

/* The current instruction writes guest registers that live in memory by form_leave
 * only; otherwise all are forgotten when it is done. */
static inline void scratch_keep(struct compile *c)
{
    c->keeps = true;
}

#endif
