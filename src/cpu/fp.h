/*
 * Floating point arithmetic, apart from registers and exceptions: values and
 * control word in, values and status out. The bits of results and flags are
 * the architecture's and the same on every host. Nothing else in the CPU may
 * depend on the host's floating point unit; fp_host.c computes with the unit
 * of an x86-64 host and leaves it in its default state.
 */
#ifndef CPU_FP_H
#define CPU_FP_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/state.h"
#include "cpu/xmm.h"

/* Exception flags, the same bits in MXCSR, FSW and (as masks) FCW. */
#define FP_IE 0x01u
#define FP_DE 0x02u
#define FP_ZE 0x04u
#define FP_OE 0x08u
#define FP_UE 0x10u
#define FP_PE 0x20u
#define FP_EXCEPTIONS 0x3fu
/* Those found before a result exists: unmasked ones suppress the result. */
#define FP_PRECOMPUTATION (FP_IE | FP_DE | FP_ZE)

#define MXCSR_DAZ 0x0040u
#define MXCSR_MASK_SHIFT 7
#define MXCSR_UM 0x0800u
#define MXCSR_RC 0x6000u
#define MXCSR_RC_SHIFT 13
#define MXCSR_FTZ 0x8000u
#define MXCSR_DEFAULT 0x1f80u
#define MXCSR_VALID 0xffffu /* MXCSR_MASK as FXSAVE reports it */

/*
 * SSE: d = d OP s (or OP(s)) under the control bits of `mxcsr`, computed as if
 * all exceptions were masked; returns the flags raised. Scalar forms leave the
 * other lanes of d alone. With underflow unmasked a tiny result raises UE even
 * when exact, as it must.
 */
typedef uint32_t fp_vector_function(union xmm *d, const union xmm *s, uint32_t mxcsr);
#define FP_FOUR(name) fp_vector_function fp_##name##ps, fp_##name##pd, fp_##name##ss, fp_##name##sd;
FP_FOUR(add)
FP_FOUR(sub)
FP_FOUR(mul)
FP_FOUR(div)
FP_FOUR(min)
FP_FOUR(max)
FP_FOUR(sqrt)
/* CMPPS ... with predicate 0..7 (equal, less, less or equal, unordered, and
 * their negations): lanes of ones or zeros. */
FP_FOUR(cmpeq)
FP_FOUR(cmplt)
FP_FOUR(cmple)
FP_FOUR(cmpunord)
FP_FOUR(cmpneq)
FP_FOUR(cmpnlt)
FP_FOUR(cmpnle)
FP_FOUR(cmpord)
#undef FP_FOUR

/* Conversions between formats; the lanes that the instruction clears are 0. */
fp_vector_function fp_cvtps2pd, fp_cvtpd2ps, fp_cvtss2sd, fp_cvtsd2ss, fp_cvtdq2ps, fp_cvtdq2pd,
    fp_cvtps2dq, fp_cvttps2dq, fp_cvtpd2dq, fp_cvttpd2dq;

/* COMISS, UCOMISS, COMISD, UCOMISD of the low lanes: the flags raised; *result
 * gets ZF, PF and CF as RFLAGS bits. */
typedef uint32_t fp_compare_function(const union xmm *a, const union xmm *b, uint32_t mxcsr,
                                     uint64_t *result);
fp_compare_function fp_comiss, fp_ucomiss, fp_comisd, fp_ucomisd;

/* The low lane to an integer; 32-bit results are zero-extended. */
typedef uint32_t fp_to_integer_function(const union xmm *s, uint32_t mxcsr, uint64_t *result);
fp_to_integer_function fp_cvtss2si32, fp_cvtss2si64, fp_cvttss2si32, fp_cvttss2si64;
fp_to_integer_function fp_cvtsd2si32, fp_cvtsd2si64, fp_cvttsd2si32, fp_cvttsd2si64;

/* A signed integer to the low lane. */
typedef uint32_t fp_from_integer_function(union xmm *d, int64_t value, uint32_t mxcsr);
fp_from_integer_function fp_cvtsi2ss, fp_cvtsi2sd;

/*
 * x87. `fcw` is the guest's in its low 16 bits: precision, rounding and masks are
 * obeyed. Bits 16..21 name exceptions that may be returned although they were
 * not raised, because FSW has them already (FCW_STICKY); they matter only while
 * all are masked, and save the clearing of the host's flags. Each function
 * returns FSW bits: the exceptions raised and C1 (rounded up); comparisons
 * also C0, C2, C3. With an unmasked IE, DE or ZE the result is not written;
 * unmasked OE and UE give results with the exponent wrapped by 24576
 * (arithmetic) or write nothing (stores in a shorter format).
 */
#define FSW_SF 0x0040u
#define FSW_ES 0x0080u
#define FSW_C0 0x0100u
#define FSW_C1 0x0200u
#define FSW_C2 0x0400u
#define FSW_C3 0x4000u
#define FSW_B 0x8000u
#define FSW_TOP 0x3800u
#define FSW_TOP_SHIFT 11
#define FCW_RC_SHIFT 10
#define FCW_RESERVED 0x0040u
#define FCW_DEFAULT 0x037fu
#define FCW_STICKY(fsw) (((fsw) & FP_EXCEPTIONS) << 16)

typedef uint16_t fp_x87_function(struct x87_register *r, const struct x87_register *a,
                                 const struct x87_register *b, uint32_t fcw);
fp_x87_function fp_x87_add, fp_x87_sub, fp_x87_mul, fp_x87_div;
fp_x87_function fp_x87_scale; /* a * 2^trunc(b) */
typedef uint16_t fp_x87_unary(struct x87_register *r, const struct x87_register *a, uint32_t fcw);
fp_x87_unary fp_x87_sqrt, fp_x87_round;
/* Comparison of a with b: C0 less, C3 equal, all three unordered. */
uint16_t fp_x87_compare(const struct x87_register *a, const struct x87_register *b, uint32_t fcw);
uint16_t fp_x87_compare_quiet(const struct x87_register *a, const struct x87_register *b,
                              uint32_t fcw);
/* Loads from other formats; exact. Integers raise nothing; SNaNs raise IE and
 * stay SNaNs, denormals raise DE. */
uint16_t fp_x87_from_f32(struct x87_register *r, uint32_t v);
uint16_t fp_x87_from_f64(struct x87_register *r, uint64_t v);
uint16_t fp_x87_from_i64(struct x87_register *r, int64_t v);
/* Stores in other formats. */
uint16_t fp_x87_to_f32(uint32_t *r, const struct x87_register *a, uint32_t fcw);
uint16_t fp_x87_to_f64(uint64_t *r, const struct x87_register *a, uint32_t fcw);
uint16_t fp_x87_to_i16(int16_t *r, const struct x87_register *a, uint32_t fcw);
uint16_t fp_x87_to_i32(int32_t *r, const struct x87_register *a, uint32_t fcw);
uint16_t fp_x87_to_i64(int64_t *r, const struct x87_register *a, uint32_t fcw);

/* Remainders, FPREM (quotient truncated) and FPREM1 (`nearest`); also C0, C3, C1:
 * the quotient's low three bits, C2: incomplete. */
uint16_t fp_x87_remainder(struct x87_register *r, const struct x87_register *a,
                          const struct x87_register *b, bool nearest, uint32_t fcw);
/* FXTRACT: the exponent and the significand as a number in [1, 2). */
uint16_t fp_x87_extract(struct x87_register *exponent, struct x87_register *significand,
                        const struct x87_register *a, uint32_t fcw);

/* Transcendentals (fp_transcendental.c): C2 set means that the argument is out
 * of range and nothing was written. */
fp_x87_unary fp_x87_sin, fp_x87_cos, fp_x87_tan, fp_x87_2xm1;
fp_x87_function fp_x87_yl2x;    /* b * log2(a) */
fp_x87_function fp_x87_yl2xp1;  /* b * log2(a + 1) */
fp_x87_function fp_x87_patan;   /* arctan of b / a, by quadrant */

#endif
