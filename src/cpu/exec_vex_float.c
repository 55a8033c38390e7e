/*
 * AVX floating point that SSE has not: comparisons with 32 predicates, and
 * conversions of 256 bits between lanes of unlike width. (SDM vol. 2)
 */
#include "cpu/exec.h"
#include "cpu/exec_sse_float.h"

/* Relations that make a predicate true. */
#define LT 1
#define EQ 2
#define GT 4
#define UN 8

/* By the low four bits of the immediate; and which of them, without bit 4, are
 * signaling: with it, the others are. */
static const uint8_t relations[16] = {
    EQ, LT, LT | EQ, UN, LT | GT | UN, EQ | GT | UN, GT | UN, LT | EQ | GT,
    EQ | UN, LT | UN, LT | EQ | UN, 0, LT | GT, EQ | GT, GT, LT | EQ | GT | UN,
};
#define SIGNALING 0x6666u

static void choose(union xmm *d, const union xmm *less, const union xmm *equal,
                   const union xmm *unordered, unsigned wanted)
{
    lanes_u64 zero = { 0, 0 };
    lanes_u64 known = less->vu64 | equal->vu64 | unordered->vu64;
    d->vu64 = (wanted & LT ? less->vu64 : zero) | (wanted & EQ ? equal->vu64 : zero)
              | (wanted & UN ? unordered->vu64 : zero) | (wanted & GT ? ~known : zero);
}

/* `bytes`: of d that the operation gives. */
#define COMPARE(type, bytes)                                                                       \
    static uint32_t imm_vcmp##type(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm)  \
    {                                                                                              \
        union xmm less = *d, equal = *d, unordered = *d, r;                                        \
        uint32_t signaling = fp_cmplt##type(&less, s, mxcsr);                                      \
        uint32_t quiet = fp_cmpeq##type(&equal, s, mxcsr);                                         \
        fp_cmpunord##type(&unordered, s, mxcsr);                                                   \
        choose(&r, &less, &equal, &unordered, relations[imm & 15]);                                \
        memcpy(d, &r, bytes);                                                                      \
        return (SIGNALING >> (imm & 15) & 1) != (imm >> 4 & 1) ? signaling : quiet;                \
    }
COMPARE(ps, 16)
COMPARE(pd, 16)
COMPARE(ss, 4)
COMPARE(sd, 8)
VEX_FLOAT_HANDLER_IMM(vcmpps, sse_read_aligned)
VEX_FLOAT_HANDLER_IMM(vcmppd, sse_read_aligned)
VEX_FLOAT_HANDLER_IMM(vcmpss, sse_read32)
VEX_FLOAT_HANDLER_IMM(vcmpsd, sse_read64)

/* Four lanes of 4 bytes to four of 8. */
#define WIDEN(name)                                                                                \
    HANDLER(vex_##name##_256)                                                                      \
    {                                                                                              \
        union ymm s, r;                                                                            \
        TRY_FAULT(vex_source(cpu, insn, sse_read_unaligned, &s));                                  \
        union xmm high = { .u64 = { s.u64[1], 0 } };                                               \
        memset(&r, 0, sizeof r);                                                                   \
        uint32_t flags = fp_##name(&r.x[0], &s.x[0], cpu->s.mxcsr);                                \
        flags |= fp_##name(&r.x[1], &high, cpu->s.mxcsr);                                          \
        TRY_FAULT(sse_float_flags(cpu, flags));                                                    \
        *ymm_register(cpu, insn->reg) = r;                                                         \
        return 0;                                                                                  \
    }
WIDEN(cvtps2pd)
WIDEN(cvtdq2pd)

/* Four lanes of 8 bytes to four of 4. */
#define NARROW(name)                                                                               \
    HANDLER(vex_##name##_256)                                                                      \
    {                                                                                              \
        union ymm s;                                                                               \
        union xmm low, high;                                                                       \
        TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));                                    \
        memset(&low, 0, sizeof low);                                                               \
        high = low;                                                                                \
        uint32_t flags = fp_##name(&low, &s.x[0], cpu->s.mxcsr);                                   \
        flags |= fp_##name(&high, &s.x[1], cpu->s.mxcsr);                                          \
        TRY_FAULT(sse_float_flags(cpu, flags));                                                    \
        low.u64[1] = high.u64[0];                                                                  \
        vex_put128(cpu, insn->reg, &low);                                                          \
        return 0;                                                                                  \
    }
NARROW(cvtpd2ps)
NARROW(cvtpd2dq)
NARROW(cvttpd2dq)
