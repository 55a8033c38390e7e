/*
 * Memory accesses of a translation that share one check (group.c says how).
 */
#ifndef TRANSLATOR_GROUP_H
#define TRANSLATOR_GROUP_H

#include "cpu/cpu.h"

struct compile;

#define INSNS_MAXIMUM 64 /* instructions of a translation */

/* Accesses that share a check. */
struct group {
    uint16_t span;  /* bytes that the check covers */
    bool write;
    bool place;     /* at a constant address, in one page */
    uint8_t alignment; /* of the range's begin: 1, 16 or 32 */
    bool live;      /* checked: translated.addend holds the addend, for accesses by
                     * offset in the segment; with `place` the page itself */
};

/* A memory access of an instruction. */
struct access {
    uint8_t group;  /* number + 1, 0: none */
    bool head;      /* the first of its group */
    uint8_t bytes;
    uint16_t offset; /* from where the group's range begins */
};
enum { ACCESS_OPERAND, ACCESS_STACK, ACCESS_KINDS };

/* Of a translation: `access` by number of the instruction. */
struct accesses {
    struct access access[INSNS_MAXIMUM][ACCESS_KINDS];
    struct group groups[TRANSLATED_GROUPS];
    unsigned group_count;
};

/* Fills c->accesses for the chain. */
void groups_find(struct compile *c);

/* Whether an access of the instruction `number` needs no check. */
static inline bool access_is_member(const struct accesses *accesses, unsigned number, unsigned which)
{
    const struct access *access = &accesses->access[number][which];
    return access->group && !access->head;
}

/* What an instruction does with memory and with general registers. */
struct access_use {
    unsigned bytes;     /* of the memory operand; 0: there is none, or not for a group */
    unsigned alignment; /* that it must have */
    bool write;         /* it is written */
    unsigned registers; /* that are written */
};

/* vector.c, avx.c, x87.c: false if they do not lower the current instruction. */
bool vector_use(const struct compile *c, struct access_use *use);
bool avx_use(const struct compile *c, struct access_use *use);
bool x87_use(const struct compile *c, struct access_use *use);

#endif
