/* Encodings for the silicon test, from rows of the opcode table. */
#ifndef INSN_SILICON_ENCODE_H
#define INSN_SILICON_ENCODE_H

#include "silicon.h"

#include "cpu/cpu.h"
#include "cpu/opcode.h"

/* An instruction being put together. */
struct encoding {
    struct random *random;
    const struct opcode_row *row;
    struct test_case *test;
    unsigned disp_at, disp_bytes; /* of a displacement without base; 0: none */
};

/* Fills in test->bytes, length and row; NULL when this attempt is no good. What
 * is undefined or too long has insn->row == ROW_INVALID. */
const struct insn *encode(struct encoding *e);

bool row_uses(const struct opcode_row *row, unsigned operand);

#endif
