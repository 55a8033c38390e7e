/* Hashes of pages; see page_hash.h. */
#include "replay/page_hash.h"

#include <string.h>
#include <xxhash.h>

#include "cpu/physmem.h"

static const uint8_t zero_page[PAGE_BYTES];

uint64_t page_hash_any_host(const uint8_t *bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, PAGE_BYTES, seed);
}

uint64_t page_hash(const uint8_t *bytes, uint32_t page)
{
    uint64_t seed = (uint64_t)page + 1;
    if (memcmp(bytes, zero_page, PAGE_BYTES) == 0)
        return 0;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return page_hash_avx2(bytes, seed);
#endif
    return page_hash_any_host(bytes, seed);
}
