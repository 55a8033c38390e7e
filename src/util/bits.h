/* Small arithmetic on bits and unaligned little-endian bytes. */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "guest memory and state sections are little-endian");

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* Loads and stores at any alignment, of the widths 1, 2, 4 and 8 bytes. */
static inline uint16_t load16(const void *p) { uint16_t v; memcpy(&v, p, 2); return v; }
static inline uint32_t load32(const void *p) { uint32_t v; memcpy(&v, p, 4); return v; }
static inline uint64_t load64(const void *p) { uint64_t v; memcpy(&v, p, 8); return v; }
static inline void store16(void *p, uint16_t v) { memcpy(p, &v, 2); }
static inline void store32(void *p, uint32_t v) { memcpy(p, &v, 4); }
static inline void store64(void *p, uint64_t v) { memcpy(p, &v, 8); }

/* The `count` bits of `value` from bit `first` up; count 1..64. */
static inline uint64_t bits_get(uint64_t value, unsigned first, unsigned count)
{
    return (value >> first) & (~0ull >> (64 - count));
}

/* A value of 1, 2, 4 or 8 bytes, all ones in its width. */
static inline uint64_t bits_ones(unsigned bytes)
{
    return ~0ull >> (64 - 8 * bytes);
}

#endif
