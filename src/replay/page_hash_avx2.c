/* XXH3 once more, compiled for AVX2 (Makefile): the header has all of it, and chooses its
 * variant by what it is compiled for. See page_hash.h. */
#include "replay/page_hash.h"

#ifdef __AVX2__
#include <immintrin.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "cpu/physmem.h"

uint64_t page_hash_avx2(const uint8_t *bytes, uint64_t seed)
{
    uint64_t hash = XXH3_64bits_withSeed(bytes, PAGE_BYTES, seed);
    _mm256_zeroupper(); /* gcc leaves it out here; hosts run SSE code slowly until it is done */
    return hash;
}
#endif
