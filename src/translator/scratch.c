/* What the scratch registers hold; see scratch.h. Out of line: what lowers instructions
 * shall fit the host's cache of code. */
#include "translator/scratch.h"

unsigned scratch_that_holds(const struct compile *c, unsigned what)
{
    return scratch_holds(c, SCRATCH, what) ? SCRATCH : scratch_holds(c, SCRATCH2, what) ? SCRATCH2 : HOST_NONE;
}

void scratch_load(struct compile *c, unsigned scratch, unsigned guest)
{
    unsigned what = HELD_GUEST | guest, from = scratch_that_holds(c, what);
    if (from == scratch)
        return;
    if (from == HOST_NONE) {
        emit_load_near(&c->e, scratch, guest_place(guest));
    } else {
        emit_load(&c->e, 8, scratch, operand_register(from));
        scratch_note(c, from, what);
    }
    scratch_note(c, scratch, what);
}

void scratch_store(struct compile *c, unsigned guest, unsigned host)
{
    unsigned what = HELD_GUEST | guest;
    emit_store_near(&c->e, guest_place(guest), host);
    for (unsigned i = 0; i < 2; i++)
        if (c->held[i] == what)
            c->held[i] = 0;
    scratch_note(c, host, what);
}
