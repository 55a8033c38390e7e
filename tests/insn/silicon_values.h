/* Values for the silicon test's registers and memory. */
#ifndef INSN_SILICON_VALUES_H
#define INSN_SILICON_VALUES_H

#include "silicon.h"

/* An integer that is often small or at an edge. */
uint64_t value_integer(struct random *random);

/* x87 and SSE state; the data pages, with `xsave` as images for XRSTOR. */
void value_fill_fx(struct random *random, struct fx_image *fx);
void value_fill_data(struct random *random, uint8_t *data, bool xsave);

#endif
