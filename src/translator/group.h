/*
 * Memory accesses of a translation that share one check (group.c says how).
 */
#ifndef TRANSLATOR_GROUP_H
#define TRANSLATOR_GROUP_H

#include "cpu/cpu.h"

struct compile;

#define INSNS_MAXIMUM 64 /* instructions of a translation: a bit of 64 each */

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
    uint64_t members[ACCESS_KINDS]; /* bit n: instruction n is in a group, but not its head */
    struct group groups[TRANSLATED_GROUPS];
    unsigned group_count;
};

/* Fills c->accesses for the chain. */
void groups_find(struct compile *c);

/* Whether an access of the instruction `number` needs no check. */
static inline bool access_is_member(const struct accesses *accesses, unsigned number, unsigned which)
{
    return accesses->members[which] >> number & 1;
}

/* What an instruction does with memory and with general registers. */
struct access_use {
    unsigned bytes;     /* of the memory operand; 0: there is none, or not for a group */
    unsigned alignment; /* that it must have */
    bool write;         /* it is written */
    unsigned registers; /* that are written */
};

/* The current instruction's. Who is in no list writes all registers. (access.c) */
struct access_use access_use(const struct compile *c);

#define ALL_REGISTERS 0xffffu

enum derivation {
    DERIVES_NOT, DERIVES_RM_FROM_REG, DERIVES_REG_FROM_RM, DERIVES_ADDRESS /* LEA */, DERIVES_ADD,
    DERIVES_SUB, DERIVES_INC, DERIVES_DEC, DERIVES_LEAVE
};

/* The same of all instructions of a row, and what else groups ask of them. */
struct row_access {
    bool known;         /* the rest says all; else access_use does */
    uint8_t bytes;      /* of the operand in memory; ACCESS_WIDTH: as wide as the operation */
    bool write;
    bool all;           /* registers may change */
    bool rm, reg;       /* these may, if the operand is one, ... */
    uint8_t shift;      /* ... by their number in the instruction, shifted */
    bool pops;
    uint16_t fixed;     /* and these */
    /* With operands of 64 bits */
    uint8_t derives;    /* enum derivation */
    uint8_t stack;      /* the register whose memory is used as stack, or REGISTER_ZERO */
    int8_t stack_disp;
    bool stack_write;
    bool seldom;        /* `all`, `fixed` or `stack` says something */
    uint8_t pad[1];
};
#define ACCESS_WIDTH 0xff

/* Fills what there is of each row. (access.c) */
struct row_facts;
void access_learn(struct row_facts *rows);

/* vector.c, avx.c, x87.c: false if they do not lower the current instruction. */
bool vector_use(const struct compile *c, struct access_use *use);
bool avx_use(const struct compile *c, struct access_use *use);
bool x87_use(const struct compile *c, struct access_use *use);

#endif
