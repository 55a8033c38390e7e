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

/* vector.c: the memory operand of the current instruction, if lower_vector takes
 * it and it need not be aligned; and general registers that it writes. */
unsigned vector_group_bytes(const struct compile *c, bool *write);
bool vector_writes(const struct compile *c, unsigned *registers);

#endif
