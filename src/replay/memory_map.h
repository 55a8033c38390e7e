/*
 * The map of the first MiB, with what SMM sees of it, and the A20 gate as a
 * record's payload: what PAM registers, SMRAM and gate make of them. Isolated replay has no chipset and
 * takes the map from the trace.
 */
#ifndef REPLAY_MEMORY_MAP_H
#define REPLAY_MEMORY_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/physmem.h"

#define MEMORY_MAP_PAYLOAD 4096

/* A byte of switches (bit 0: A20 open, the bits above: enum physmem_smram),
 * then for reads and for writes runs of pages: a varint length, a byte what
 * they are: 0 RAM at its own address, 1 device space, 2 nothing takes the
 * writes, 3 backing pages from a varint on.
 * Plain data. */
struct memory_map {
    uint32_t length;
    uint8_t payload[MEMORY_MAP_PAYLOAD];
};

void memory_map_take(struct memory_map *map, const struct physmem *memory);
bool memory_map_equal(const struct memory_map *a, const struct memory_map *b);

/* Maps as the untrusted payload says. False when it is none. */
bool memory_map_apply(struct physmem *memory, const uint8_t *payload, uint32_t length);

#endif
