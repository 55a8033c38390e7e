/*
 * A vector of 16 bytes and its lanes.
 */
#ifndef CPU_XMM_H
#define CPU_XMM_H

#include <stdint.h>

#include "cpu/memory.h"

typedef uint8_t lanes_u8 __attribute__((vector_size(16), may_alias));
typedef int8_t lanes_i8 __attribute__((vector_size(16), may_alias));
typedef uint16_t lanes_u16 __attribute__((vector_size(16), may_alias));
typedef int16_t lanes_i16 __attribute__((vector_size(16), may_alias));
typedef uint32_t lanes_u32 __attribute__((vector_size(16), may_alias));
typedef int32_t lanes_i32 __attribute__((vector_size(16), may_alias));
typedef uint64_t lanes_u64 __attribute__((vector_size(16), may_alias));
typedef int64_t lanes_i64 __attribute__((vector_size(16), may_alias));

/* 16 bytes as any kind of lane. An MMX value is its low half. */
union xmm {
    uint8_t u8[16];
    int8_t i8[16];
    uint16_t u16[8];
    int16_t i16[8];
    uint32_t u32[4];
    int32_t i32[4];
    uint64_t u64[2];
    int64_t i64[2];
    lanes_u8 vu8;
    lanes_i8 vi8;
    lanes_u16 vu16;
    lanes_i16 vi16;
    lanes_u32 vu32;
    lanes_i32 vi32;
    lanes_u64 vu64;
    lanes_i64 vi64;
    struct memory_128 memory;
} __attribute__((may_alias));

#endif
