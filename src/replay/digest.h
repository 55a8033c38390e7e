/*
 * Digests of the whole state of a machine, one a component, so that a
 * difference names where it is. RAM's is kept incrementally: only pages
 * written since the last digest are read again.
 *
 * Components in order: the machine's registry, then RAM, then the output
 * stream (what left through serial ports and debug consoles).
 */
#ifndef REPLAY_DIGEST_H
#define REPLAY_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"
#include "replay/dirty.h"

#define DIGEST_COMPONENTS (COMPONENTS_MAXIMUM + 2)
/* total, varint count, bitmap, 4 bytes each */
#define DIGEST_PAYLOAD (8 + 2 + DIGEST_COMPONENTS / 8 + 1 + 4 * DIGEST_COMPONENTS)

/* What a trace has told so far: the low half of each component's hash. */
struct digest_table {
    uint32_t count;
    uint32_t low[DIGEST_COMPONENTS];
    uint64_t total;
};

struct digest {
    struct machine *machine;
    struct dirty *dirty;
    uint64_t *page_hashes; /* of each RAM page, 0 for a zero page */
    uint64_t ram;          /* their sum */
    uint32_t count;
    uint64_t hashes[DIGEST_COMPONENTS];
    uint64_t total;
};

/* `dirty` (freshly initialised) and `machine` must outlive the digest. */
int digest_init(struct digest *digest, struct machine *machine, struct dirty *dirty);
void digest_free(struct digest *digest);

/* Computes all hashes of the state as it is now. `output` is the hash of the
 * output stream (digest_output). */
void digest_take(struct digest *digest, uint64_t output);

/* Adds output bytes to a stream hash (0 at first); the same for any grouping
 * of the same bytes. */
uint64_t digest_output(uint64_t hash, unsigned unit, const uint8_t *bytes, uint64_t length);

/* The payload of a record: what changed against `table`, which is then brought
 * up to date. Returns its length, at most DIGEST_PAYLOAD. */
uint32_t digest_encode(const struct digest *digest, struct digest_table *table,
                       uint8_t payload[DIGEST_PAYLOAD]);
/* Brings `table` up to date with an untrusted payload; false when it is none
 * for `count` components. */
bool digest_decode(struct digest_table *table, uint32_t count, const uint8_t *payload,
                   uint32_t length);

/* "cpu0", "ram", "output". */
const char *digest_component(const struct digest *digest, uint32_t number);

#endif
