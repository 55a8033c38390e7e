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

/* Bits of an instruction from its opcode on, without a SIB byte. */
enum { RECALL_NEVER, RECALL_OPCODE = 8, RECALL_MODRM = 16 };

/* An instruction without its displacement and immediate. */
struct recalled {
    uint64_t key;             /* recall_key, or RECALL_NOBODY */
    uint8_t head;             /* bytes before them */
    uint8_t disp_bytes;
    uint8_t disp_shift, imm_shift; /* 0: the instruction has what there is to know */
    int8_t disp_mask, imm_mask, rip_mask;
    uint8_t pad[1];
    struct insn insn;
};
_Static_assert(sizeof(struct recalled) == 64, "a line of the host's cache");
#define RECALL_NOBODY UINT64_MAX
#define RECALL_UNSURE 0x80 /* a sum of lengths from here on: other bytes decide too */

struct recall {
    struct recalled entry[RECALL_ENTRIES]; /* two may be at the place of one */
    uint8_t shape[2][256];    /* RECALL_*, of the maps ONE and TWO */
    uint8_t length[2][256];   /* bytes from the opcode on, without SIB and displacement */
    uint8_t sib[256];         /* bits of the SIB byte behind this ModRM */
    uint8_t behind[256];      /* bytes of SIB and displacement behind it */
};

/* Empties it; for 64-bit code whichever CPU model it is. */
void recall_init(struct recall *recall);

/* Remembers what decode() said of an instruction with that key, if that can be. */
void recall_learn(struct recall *recall, uint64_t key, const struct insn *insn);

/* The bytes of 64-bit code at `bytes` from REX to SIB, as far as they are there, as one
 * number; 0: not an instruction to be remembered. *length: of the instruction, or from
 * RECALL_UNSURE on: not known. What comes next waits for the length: few steps lead to it, and no
 * branch that nobody can foretell. */
static inline uint64_t recall_key(const struct recall *recall, const uint8_t *bytes, unsigned *length)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
    unsigned before = (word & 0xf0) == 0x40;
    uint64_t code = word >> 8 * before;
    unsigned shape = recall->shape[0][code & 0xff], most = recall->length[0][code & 0xff];
    if ((code & 0xff) == 0x0f) {
        code >>= 8;
        before++;
        shape = recall->shape[1][code & 0xff];
        most = recall->length[1][code & 0xff];
    }
    if (unlikely(shape == RECALL_NEVER))
        return 0;
    unsigned modrm = code >> 8 & 0xff, has = 0 - (shape >> 4);
    *length = before + most + (recall->behind[modrm] & has);
    return word & ~(UINT64_MAX << (8 * before + shape + (recall->sib[modrm] & has)));
}

static inline unsigned recall_slot(uint64_t key)
{
    return (unsigned)(key * 0x9e3779b97f4a7c15ull >> 52);
}

/* NULL: it is not there. */
static inline const struct recalled *recall_find(const struct recall *recall, uint64_t key)
{
    const struct recalled *entry = &recall->entry[recall_slot(key)];
    if (likely(entry->key == key))
        return entry;
    entry = &recall->entry[recall_slot(key) ^ 1];
    return entry->key == key ? entry : NULL;
}

/* The little-endian integer of 64 - `above` bits, sign-extended. */
static inline uint64_t recall_signed(const uint8_t *at, unsigned above)
{
    uint64_t value;
    memcpy(&value, at, 8);
    return (uint64_t)((int64_t)(value << above) >> above);
}

/* decode() for 64-bit code of which RECALL_BYTES can be read. Returns insn->end. */
static inline unsigned recall_decode(struct recall *recall, const struct decoder *decoder, const uint8_t *bytes,
                                     unsigned start, struct insn *insn)
{
    unsigned length = RECALL_UNSURE;
    uint64_t key = recall_key(recall, bytes, &length);
    const struct recalled *found = recall_find(recall, key);
    if (unlikely(!found)) {
        decode(decoder, 8, bytes, RECALL_BYTES, start, insn);
        if (key)
            recall_learn(recall, key, insn);
        return insn->end;
    }
    *insn = found->insn;
    if (unlikely(length >= RECALL_UNSURE))
        length = found->insn.length;
    unsigned end = start + length;
    insn->end = (uint16_t)end;
    bytes += found->head;
    insn->disp += (int64_t)(recall_signed(bytes, found->disp_shift) & (uint64_t)found->disp_mask)
                  + (end & (unsigned)found->rip_mask);
    insn->imm |= recall_signed(bytes + found->disp_bytes, found->imm_shift) & (uint64_t)found->imm_mask;
    return end;
}

#endif
