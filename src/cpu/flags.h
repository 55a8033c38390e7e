/*
 * The six arithmetic flags in lazy form: the last result, sign-extended to 64
 * bits, and a word of corrections. Setting them costs a few operations without
 * a branch; each condition is a few operations to read.
 *
 *   flags_result   ZF: it is 0. SF: its bit 63, unless AUX_SF is set.
 *                  PF: even parity of its low byte XOR aux bits 8..15.
 *   flags_aux      bit 63: CF; bit 62: CF XOR OF; bit 3: AF; bit 0: SF inverted.
 *
 * While the CPU is stopped RFLAGS holds them (flags_to_rflags / _from_).
 */
#ifndef CPU_FLAGS_H
#define CPU_FLAGS_H

#include "cpu/cpu.h"

#define AUX_CF (1ull << 63)
#define AUX_CF_XOR_OF (1ull << 62)
#define AUX_AF (1ull << 3)
#define AUX_SF (1ull << 0)

/* Sign-extends a value of `bits` (8, 16, 32, 64). */
static inline uint64_t flags_extend(uint64_t value, unsigned bits)
{
    return (uint64_t)((int64_t)(value << (64 - bits)) >> (64 - bits));
}

/* From the vector of carries (or borrows) out of each bit of an addition
 * (subtraction) of `bits` width. */
static inline uint64_t flags_aux_of_carries(uint64_t carries, unsigned bits)
{
    return (carries & AUX_AF) | ((carries << (64 - bits)) & (AUX_CF | AUX_CF_XOR_OF));
}

/* a + b (+ carry) = r. */
static inline void flags_set_add(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned bits)
{
    cpu->flags_result = flags_extend(r, bits);
    cpu->flags_aux = flags_aux_of_carries((a & b) | ((a | b) & ~r), bits);
}

/* a - b (- borrow) = r. */
static inline void flags_set_sub(struct cpu *cpu, uint64_t a, uint64_t b, uint64_t r, unsigned bits)
{
    cpu->flags_result = flags_extend(r, bits);
    cpu->flags_aux = flags_aux_of_carries((~a & b) | (~(a ^ b) & r), bits);
}

/* AND, OR, XOR, TEST: CF = OF = 0; AF, undefined by the manual, is 0. */
static inline void flags_set_logic(struct cpu *cpu, uint64_t r, unsigned bits)
{
    cpu->flags_result = flags_extend(r, bits);
    cpu->flags_aux = 0;
}

static inline bool flags_cf(const struct cpu *cpu) { return cpu->flags_aux >> 63; }
static inline bool flags_zf(const struct cpu *cpu) { return cpu->flags_result == 0; }
static inline bool flags_of(const struct cpu *cpu)
{
    return (cpu->flags_aux ^ cpu->flags_aux << 1) >> 63;
}
static inline bool flags_sf(const struct cpu *cpu)
{
    return (cpu->flags_result >> 63) ^ (cpu->flags_aux & AUX_SF);
}
static inline bool flags_af(const struct cpu *cpu) { return cpu->flags_aux & AUX_AF; }
static inline bool flags_pf(const struct cpu *cpu)
{
    return !__builtin_parity((unsigned)((cpu->flags_result ^ cpu->flags_aux >> 8) & 0xff));
}

/* INC: r = a + 1, CF kept. */
static inline void flags_set_inc(struct cpu *cpu, uint64_t r, unsigned bits)
{
    bool cf = flags_cf(cpu);
    bool of = (r << (64 - bits)) == 1ull << 63;
    cpu->flags_result = flags_extend(r, bits);
    cpu->flags_aux = ((r & 0xf) == 0 ? AUX_AF : 0) | (cf ? AUX_CF : 0) | (cf != of ? AUX_CF_XOR_OF : 0);
}

/* DEC: r = a - 1, CF kept. */
static inline void flags_set_dec(struct cpu *cpu, uint64_t r, unsigned bits)
{
    bool cf = flags_cf(cpu);
    bool of = (r << (64 - bits)) == (~0ull >> 1 & ~0ull << (64 - bits));
    cpu->flags_result = flags_extend(r, bits);
    cpu->flags_aux = ((r & 0xf) == 0xf ? AUX_AF : 0) | (cf ? AUX_CF : 0) | (cf != of ? AUX_CF_XOR_OF : 0);
}

/* Only CF and OF change (shifts of one flag, MUL, RCL/RCR, CMC ...). */
static inline void flags_set_cf_of(struct cpu *cpu, bool cf, bool of)
{
    cpu->flags_aux = (cpu->flags_aux & ~(AUX_CF | AUX_CF_XOR_OF)) | (cf ? AUX_CF : 0)
                     | (cf != of ? AUX_CF_XOR_OF : 0);
}

/* The six flags as RFLAGS bits. */
static inline uint64_t flags_get(const struct cpu *cpu)
{
    return (flags_cf(cpu) ? FLAG_CF : 0) | (flags_pf(cpu) ? FLAG_PF : 0) | (flags_af(cpu) ? FLAG_AF : 0)
           | (flags_zf(cpu) ? FLAG_ZF : 0) | (flags_sf(cpu) ? FLAG_SF : 0) | (flags_of(cpu) ? FLAG_OF : 0);
}

/* Sets all six from RFLAGS bits. */
static inline void flags_put(struct cpu *cpu, uint64_t f)
{
    bool cf = f & FLAG_CF, of = f & FLAG_OF;
    cpu->flags_result = f & FLAG_ZF ? 0 : 0x100;
    cpu->flags_aux = (cf ? AUX_CF : 0) | (cf != of ? AUX_CF_XOR_OF : 0) | (f & FLAG_AF ? AUX_AF : 0)
                     | (f & FLAG_SF ? AUX_SF : 0) | (f & FLAG_PF ? 0 : 0x100);
}

/* RFLAGS as the guest sees it now; and replacing it (any bits; the caller has
 * applied the rules on which may change and calls cpu_update_mode or
 * cpu_attention as needed). */
static inline uint64_t flags_to_rflags(const struct cpu *cpu)
{
    return (cpu->s.rflags & ~FLAGS_ARITHMETIC) | flags_get(cpu) | FLAG_1;
}
static inline void flags_from_rflags(struct cpu *cpu, uint64_t rflags)
{
    cpu->s.rflags = rflags | FLAG_1;
    flags_put(cpu, rflags);
}

/* Condition `cc` (0..15) as encoded in Jcc, SETcc, CMOVcc. With a constant cc
 * this folds to a few operations. */
static inline __attribute__((always_inline)) bool flags_condition(const struct cpu *cpu, unsigned cc)
{
    bool value;
    switch (cc >> 1) {
    case 0: value = flags_of(cpu); break;
    case 1: value = flags_cf(cpu); break;
    case 2: value = flags_zf(cpu); break;
    case 3: value = (int)flags_cf(cpu) | (int)flags_zf(cpu); break;
    case 4: value = flags_sf(cpu); break;
    case 5: value = flags_pf(cpu); break;
    case 6: value = flags_sf(cpu) != flags_of(cpu); break;
    default: value = (int)flags_zf(cpu) | (int)(flags_sf(cpu) != flags_of(cpu)); break;
    }
    return value ^ (cc & 1);
}

#endif
