/*
 * Translated blocks as text: guest code, host code, or the one beside the
 * other.
 */
#ifndef DEBUG_LISTING_H
#define DEBUG_LISTING_H

#include <stdio.h>

#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/translated.h"

#define LISTING_GUEST 1     /* the guest's instructions */
#define LISTING_HOST 2      /* what they became */
#define LISTING_ADDRESSES 4 /* host addresses, too: without, the text is the same in each run */

struct listing {
    struct decoder decoder; /* knows every instruction */
    unsigned what;
};

void listing_init(struct listing *listing, unsigned what);

/* Writes one block; in host code, fields of the vCPU and pieces of the
 * translator have names, and jumps inside the block have labels. */
void listing_write(const struct listing *listing, FILE *to, const struct translated_block *block);

#endif
