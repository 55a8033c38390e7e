/* Values for the silicon test's registers and memory. */
#ifndef INSN_SILICON_VALUES_H
#define INSN_SILICON_VALUES_H

#include "silicon.h"

/* An integer that is often small or at an edge. */
uint64_t value_integer(struct random *random);

/* What vectors and memory are full of. BYTES: one byte, again and again. */
enum value_kind { VALUE_F64, VALUE_F32, VALUE_INTEGER, VALUE_RANDOM, VALUE_BYTES, VALUE_F80,
                  VALUE_DECIMAL, VALUE_ANY };

/* x87 and SSE state; the data pages, with `xsave` as images for XRSTOR. */
void value_fill_fx(struct random *random, struct fx_image *fx, enum value_kind kind);
void value_fill_data(struct random *random, uint8_t *data, enum value_kind kind, bool xsave);

#endif
