/*
 * The hash of a RAM page in digests: XXH3-64, seeded with the page's number plus one,
 * and 0 for a page of zeros (docs/trace-format.md, "Digests"). The library's own code is
 * for any host of its kind; where the host has AVX2, the same function is twice as fast.
 */
#ifndef REPLAY_PAGE_HASH_H
#define REPLAY_PAGE_HASH_H

#include <stdint.h>

uint64_t page_hash(const uint8_t *bytes, uint32_t page);

/* What it chooses from; page_hash_avx2 is for hosts with AVX2 only. */
uint64_t page_hash_any_host(const uint8_t *bytes, uint64_t seed);
uint64_t page_hash_avx2(const uint8_t *bytes, uint64_t seed);

#endif
