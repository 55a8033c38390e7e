/*
 * Decoded instructions as text in Intel's notation, made from the opcode table:
 * for dumps and reports, never for anything that runs.
 */
#ifndef CPU_DISASSEMBLE_H
#define CPU_DISASSEMBLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/insn.h"

#define DISASSEMBLY_BYTES 128 /* no instruction's text is longer */

/* Names for what an instruction refers to. Each function writes a text into
 * `to` of `size` bytes and returns true, or returns false: then the number is
 * shown. Both may be NULL. */
struct disassembly_names {
    const void *context;
    /* A target of a branch, an operand at a fixed address, an immediate of 4 or 8 bytes. */
    bool (*address)(const void *context, uint64_t address, char *to, size_t size);
    /* What stands at base + disp (without an index: the whole operand). */
    bool (*field)(const void *context, unsigned base, int64_t disp, char *to, size_t size);
};

/*
 * Writes the instruction into `text`; `block` is the linear address (RIP) of
 * the start of its block, from which insn->end counts. `names` may be NULL.
 * Undefined instructions are "(undefined)". Returns `text`.
 */
char *disassemble(const struct insn *insn, uint64_t block, const struct disassembly_names *names,
                  char text[DISASSEMBLY_BYTES]);

#endif
