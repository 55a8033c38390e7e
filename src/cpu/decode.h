/*
 * The decoder: bytes to struct insn, driven by the opcode table.
 * (SDM vol. 2, chapter 2 and appendix A)
 */
#ifndef CPU_DECODE_H
#define CPU_DECODE_H

#include <stdint.h>

#include "cpu/cpuid.h"
#include "cpu/insn.h"

#define DECODE_ROWS_MAXIMUM 4096
#define INSN_BYTES_MAXIMUM 15

/* insn->row of what is not in the table. */
#define ROW_INVALID 0xffff

/* What decides whether a row fits, in a few bytes, and what it asks for. (decode.c) */
struct candidate {
    uint16_t next;        /* row + 1 of the next candidate, 0: none */
    uint16_t modrm_mask, modrm_value;
    uint8_t situations;   /* of prefix and mode */
    uint8_t flags, immediate;
    uint8_t pad[7];
};

/* Index over the opcode table for one CPU model: rows of absent features are
 * left out. Read-only after decoder_init. */
struct decoder {
    uint16_t first[7][256];  /* [enum opcode_map]: row + 1 of the first candidate, 0: none */
    struct candidate candidates[DECODE_ROWS_MAXIMUM]; /* by row */
    bool amd;                            /* decodes as AMD's CPUs where they differ */
};

void decoder_init(struct decoder *decoder, const struct cpu_model *model);

enum decode_result {
    DECODE_OK,      /* *insn is filled in; an undefined opcode gives exec_invalid */
    DECODE_SHORT,   /* more than `available` bytes are needed */
};

/*
 * Decodes the instruction at `bytes`, of which `available` (1..15 are enough)
 * may be read, for code of `code_bytes` (2, 4, 8). `start` is its offset from
 * the start of its block. An undefined instruction decodes to one that raises
 * #UD, one longer than 15 bytes to one that raises #GP(0).
 */
enum decode_result decode(const struct decoder *decoder, unsigned code_bytes, const uint8_t *bytes,
                          unsigned available, unsigned start, struct insn *insn);

/* Handlers of what cannot be executed. */
int exec_invalid(struct cpu *cpu, const struct insn *insn);
int exec_too_long(struct cpu *cpu, const struct insn *insn);

#endif
