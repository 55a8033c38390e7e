/*
 * What a translator tells of the code that it made, to whoever wants to show
 * it. Nothing here has any effect on a run.
 */
#ifndef CPU_TRANSLATED_H
#define CPU_TRANSLATED_H

#include <stdint.h>

struct insn;

/* What a stretch of host code is for; `number` counts from 0. */
enum translated_part {
    PART_CHECKS,  /* the entry of indirect jumps */
    PART_ENTRY,
    PART_INSN,    /* guest instruction `number`, in line */
    PART_SLOW,    /* the same, out of line */
    PART_BUDGET,  /* leaves before the first instruction */
    PART_EXIT,    /* a branch out of the middle */
    PART_EDGE,    /* a jump to a block that is not there yet */
    PART_KINDS
};

struct translated_mark {
    uint32_t offset; /* from `host` */
    uint16_t part, number;
};

struct translated_insn {
    const struct insn *insn;
    uint64_t block;  /* RIP of the start of its block */
};

struct translated_name {
    const char *name;
    const uint8_t *host;
};

struct translated_block {
    uint64_t linear, rip;
    uint8_t index;      /* enum mmu_index */
    uint8_t code_bytes;
    uint16_t insn_count, mark_count, name_count;
    uint32_t guest_bytes, bytes;
    const uint8_t *host; /* where it runs; can be read */
    const struct translated_insn *insns;
    const struct translated_mark *marks; /* by offset */
    const struct translated_name *names; /* of code outside that it refers to */
    const uint8_t *cache, *cache_end;    /* where all host code is */
};

/* Called when a block was translated; what `block` points to lasts for the call. */
struct translated_watch {
    void *context;
    void (*block)(void *context, const struct translated_block *block); /* NULL: nobody */
};

#endif
