/*
 * Fused multiply-add and half precision, in software: the same bits on every
 * host. Each function ORs the exceptions raised into *flags (FP_* of fp.h) and
 * computes as if all were masked.
 */
#ifndef CPU_FP_FUSED_H
#define CPU_FP_FUSED_H

#include "cpu/fp.h"

/* `negate`: of the product, of the addend. NaNs keep their sign. */
#define FP_NEGATE_PRODUCT 1u
#define FP_NEGATE_ADDEND 2u

/* a * b + c, rounded once. Of several NaNs a's wins, then b's. */
uint32_t fp_fused32(uint32_t a, uint32_t b, uint32_t c, unsigned negate, uint32_t mxcsr,
                    uint32_t *flags);
uint64_t fp_fused64(uint64_t a, uint64_t b, uint64_t c, unsigned negate, uint32_t mxcsr,
                    uint32_t *flags);

/* Between half and single precision. `rounding`: as in MXCSR.RC. DAZ and FTZ
 * do not act on halves. */
uint32_t fp_from_half(uint16_t v, uint32_t *flags);
uint16_t fp_to_half(uint32_t v, unsigned rounding, uint32_t mxcsr, uint32_t *flags);

#endif
