/*
 * Decoding of what was decoded before: in 64-bit code without prefixes but REX,
 * instructions that differ only in displacement and immediate are decoded once.
 * What is found here is what decode() would say.
 */
#ifndef CPU_RECALL_H
#define CPU_RECALL_H

#include <stdbool.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/state.h"
#include "util/bits.h"

#define RECALL_ENTRIES 4096
#define RECALL_BYTES 32 /* that can be read at an instruction, at least */

/* What the opcodes of a map have behind them. */
enum { RECALL_NEVER, RECALL_OPCODE, RECALL_MODRM };

/* An instruction without its displacement and immediate. */
struct recalled {
    uint32_t key;             /* recall_key, 0: none */
    uint8_t head;             /* bytes before them */
    uint8_t disp_bytes, imm_bytes; /* 0: the instruction has what there is to know */
    uint8_t pad[9];
    struct insn insn;
};
_Static_assert(sizeof(struct recalled) == 64, "a line of the host's cache");

struct recall {
    struct recalled entry[RECALL_ENTRIES];
    uint8_t shape[2][256];    /* RECALL_*, of the maps ONE and TWO */
};

/* Empties it; for 64-bit code whichever CPU model it is. */
void recall_init(struct recall *recall);

/* Remembers what decode() said of an instruction with that key, if that can be. */
void recall_learn(struct recall *recall, uint32_t key, const struct insn *insn);

/* REX, escape, opcode, ModRM and SIB as one number, at `bytes` of 64-bit code; 0: not an
 * instruction to be remembered. */
static inline uint32_t recall_key(const struct recall *recall, const uint8_t *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
    unsigned rex = (word & 0xf0) == 0x40 ? 0xff : 0;
    uint32_t prefix = (uint32_t)(word & rex & 0x1f) | (rex & 0x20);
    word >>= rex & 8;
    unsigned two = (word & 0xff) == 0x0f;
    word >>= two * 8;
    unsigned shape = recall->shape[two][word & 0xff];
    if (shape == RECALL_NEVER)
        return 0;
    bool memory = shape == RECALL_MODRM && (word & 0xc000) != 0xc000;
    unsigned bits = 8 * shape + ((word & 0x0700) == 0x0400 && memory ? 8 : 0);
    return (uint32_t)(word & ((1u << bits) - 1)) | prefix << 24 | two << 30 | 1u << 31;
}

static inline struct recalled *recall_entry(struct recall *recall, uint32_t key)
{
    return &recall->entry[key * 0x9e3779b1u >> 20];
}

/* A little-endian integer of 1, 2, 4 or 8 bytes, sign-extended. */
static inline uint64_t recall_signed(const uint8_t *at, unsigned bytes)
{
    uint64_t value;
    unsigned above = 64 - 8 * bytes;
    memcpy(&value, at, 8);
    return (uint64_t)((int64_t)(value << above) >> above);
}

/* decode() for 64-bit code of which RECALL_BYTES can be read. */
static inline void recall_decode(struct recall *recall, const struct decoder *decoder, const uint8_t *bytes,
                                 unsigned start, struct insn *insn)
{
    uint32_t key = recall_key(recall, bytes);
    const struct recalled *found = recall_entry(recall, key);
    if (unlikely(found->key != key || !key)) {
        decode(decoder, 8, bytes, RECALL_BYTES, start, insn);
        if (key)
            recall_learn(recall, key, insn);
        return;
    }
    *insn = found->insn;
    insn->end = (uint16_t)(start + found->insn.length);
    bytes += found->head;
    if (found->disp_bytes)
        insn->disp = (int64_t)recall_signed(bytes, found->disp_bytes) + (insn->base == RIP ? insn->end : 0);
    if (found->imm_bytes)
        insn->imm = recall_signed(bytes + found->disp_bytes, found->imm_bytes);
}

#endif
