/*
 * Packed integer arithmetic, logic, comparison and shifts: SSE2 .. SSE4.2 on
 * XMM registers, and the same operations on MMX registers where a lane depends
 * on the same lane of the sources only. (SDM vol. 2)
 */
#include "cpu/exec_vector.h"

/* d.v = the expression over whole vectors a and b. */
#define OP_WHOLE(name, lane, expression)                                                           \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        lanes_##lane a = d->v##lane, b = s->v##lane;                                               \
        d->v##lane = (lanes_##lane)(expression);                                                   \
    }

/* Each lane of d = the expression over lanes a and b, as `wide`. */
#define OP_EACH(name, lane, wide, expression)                                                      \
    static inline void op_##name(union xmm *d, const union xmm *s)                                 \
    {                                                                                              \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++) {                                       \
            wide a = d->lane[i], b = s->lane[i];                                                   \
            (void)a;                                                                               \
            d->lane[i] = (__typeof__(d->lane[0]))(expression);                                     \
        }                                                                                          \
    }

static inline int32_t clamp(int32_t v, int32_t low, int32_t high)
{
    return v < low ? low : v > high ? high : v;
}

OP_WHOLE(paddb, u8, a + b)
OP_WHOLE(paddw, u16, a + b)
OP_WHOLE(paddd, u32, a + b)
OP_WHOLE(paddq, u64, a + b)
OP_WHOLE(psubb, u8, a - b)
OP_WHOLE(psubw, u16, a - b)
OP_WHOLE(psubd, u32, a - b)
OP_WHOLE(psubq, u64, a - b)
OP_WHOLE(pand, u64, a & b)
OP_WHOLE(pandn, u64, ~a & b)
OP_WHOLE(por, u64, a | b)
OP_WHOLE(pxor, u64, a ^ b)
OP_WHOLE(pcmpeqb, u8, a == b)
OP_WHOLE(pcmpeqw, u16, a == b)
OP_WHOLE(pcmpeqd, u32, a == b)
OP_WHOLE(pcmpgtb, i8, a > b)
OP_WHOLE(pcmpgtw, i16, a > b)
OP_WHOLE(pcmpgtd, i32, a > b)
OP_EACH(pcmpeqq, u64, uint64_t, a == b ? ~0ull : 0)
OP_EACH(pcmpgtq, i64, int64_t, a > b ? -1 : 0)
OP_WHOLE(pmullw, u16, a * b)
OP_EACH(pmulld, u32, uint32_t, a * b)

OP_EACH(paddusb, u8, int32_t, clamp(a + b, 0, 255))
OP_EACH(paddusw, u16, int32_t, clamp(a + b, 0, 65535))
OP_EACH(paddsb, i8, int32_t, clamp(a + b, -128, 127))
OP_EACH(paddsw, i16, int32_t, clamp(a + b, -32768, 32767))
OP_EACH(psubusb, u8, int32_t, clamp(a - b, 0, 255))
OP_EACH(psubusw, u16, int32_t, clamp(a - b, 0, 65535))
OP_EACH(psubsb, i8, int32_t, clamp(a - b, -128, 127))
OP_EACH(psubsw, i16, int32_t, clamp(a - b, -32768, 32767))

OP_EACH(pminub, u8, uint8_t, a < b ? a : b)
OP_EACH(pmaxub, u8, uint8_t, a > b ? a : b)
OP_EACH(pminsw, i16, int16_t, a < b ? a : b)
OP_EACH(pmaxsw, i16, int16_t, a > b ? a : b)
OP_EACH(pminsb, i8, int8_t, a < b ? a : b)
OP_EACH(pmaxsb, i8, int8_t, a > b ? a : b)
OP_EACH(pminuw, u16, uint16_t, a < b ? a : b)
OP_EACH(pmaxuw, u16, uint16_t, a > b ? a : b)
OP_EACH(pminsd, i32, int32_t, a < b ? a : b)
OP_EACH(pmaxsd, i32, int32_t, a > b ? a : b)
OP_EACH(pminud, u32, uint32_t, a < b ? a : b)
OP_EACH(pmaxud, u32, uint32_t, a > b ? a : b)

OP_EACH(pavgb, u8, uint32_t, (a + b + 1) >> 1)
OP_EACH(pavgw, u16, uint32_t, (a + b + 1) >> 1)
OP_EACH(pmulhuw, u16, uint32_t, a * b >> 16)
OP_EACH(pmulhw, i16, int32_t, a * b >> 16)
OP_EACH(pmulhrsw, i16, int32_t, ((a * b >> 14) + 1) >> 1)
OP_EACH(pmuludq, u64, uint64_t, (uint64_t)(uint32_t)a * (uint32_t)b)
OP_EACH(pmuldq, i64, int64_t, (int64_t)(int32_t)a * (int32_t)b)

OP_EACH(pabsb, i8, int32_t, b < 0 ? -b : b)
OP_EACH(pabsw, i16, int32_t, b < 0 ? -b : b)
OP_EACH(pabsd, i32, int64_t, b < 0 ? -b : b)
OP_EACH(psignb, i8, int32_t, b < 0 ? -a : b == 0 ? 0 : a)
OP_EACH(psignw, i16, int32_t, b < 0 ? -a : b == 0 ? 0 : a)
OP_EACH(psignd, i32, int64_t, b < 0 ? -a : b == 0 ? 0 : a)

static inline void op_pmaddwd(union xmm *d, const union xmm *s)
{
    for (unsigned i = 0; i < 4; i++) {
        int32_t low = d->i16[2 * i] * s->i16[2 * i];
        int32_t high = d->i16[2 * i + 1] * s->i16[2 * i + 1];
        d->u32[i] = (uint32_t)low + (uint32_t)high;
    }
}

static inline void op_pmaddubsw(union xmm *d, const union xmm *s)
{
    for (unsigned i = 0; i < 8; i++) {
        int32_t sum = d->u8[2 * i] * s->i8[2 * i] + d->u8[2 * i + 1] * s->i8[2 * i + 1];
        d->i16[i] = (int16_t)clamp(sum, -32768, 32767);
    }
}

static inline void op_psadbw(union xmm *d, const union xmm *s)
{
    for (unsigned half = 0; half < 2; half++) {
        uint64_t sum = 0;
        for (unsigned i = 8 * half; i < 8 * half + 8; i++)
            sum += (uint64_t)(d->u8[i] > s->u8[i] ? d->u8[i] - s->u8[i] : s->u8[i] - d->u8[i]);
        d->u64[half] = sum;
    }
}

/* Shifts: the count is the low 64 bits of the source. */

static inline unsigned shift_count(const union xmm *s, unsigned bits)
{
    return s->u64[0] < bits ? (unsigned)s->u64[0] : bits;
}

#define OP_SHIFTS(suffix, lane, bits)                                                              \
    static inline void op_psll##suffix(union xmm *d, const union xmm *s)                           \
    {                                                                                              \
        unsigned n = shift_count(s, bits);                                                         \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++)                                         \
            d->lane[i] = n == bits ? 0 : (__typeof__(d->lane[0]))(d->lane[i] << n);                \
    }                                                                                              \
    static inline void op_psrl##suffix(union xmm *d, const union xmm *s)                           \
    {                                                                                              \
        unsigned n = shift_count(s, bits);                                                         \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++)                                         \
            d->lane[i] = n == bits ? 0 : (__typeof__(d->lane[0]))(d->lane[i] >> n);                \
    }
#define OP_SHIFT_SIGNED(suffix, lane, bits)                                                        \
    static inline void op_psra##suffix(union xmm *d, const union xmm *s)                           \
    {                                                                                              \
        unsigned n = shift_count(s, bits - 1);                                                     \
        for (unsigned i = 0; i < ARRAY_SIZE(d->lane); i++)                                         \
            d->lane[i] = (__typeof__(d->lane[0]))(d->lane[i] >> n);                                \
    }
OP_SHIFTS(w, u16, 16)
OP_SHIFTS(d, u32, 32)
OP_SHIFTS(q, u64, 64)
OP_SHIFT_SIGNED(w, i16, 16)
OP_SHIFT_SIGNED(d, i32, 32)

/* Both register files. */
#define BOTH_LIST(X)                                                                               \
    X(paddb) X(paddw) X(paddd) X(paddq) X(psubb) X(psubw) X(psubd) X(psubq)                        \
    X(pand) X(pandn) X(por) X(pxor)                                                                \
    X(pcmpeqb) X(pcmpeqw) X(pcmpeqd) X(pcmpgtb) X(pcmpgtw) X(pcmpgtd)                              \
    X(paddusb) X(paddusw) X(paddsb) X(paddsw) X(psubusb) X(psubusw) X(psubsb) X(psubsw)            \
    X(pminub) X(pmaxub) X(pminsw) X(pmaxsw) X(pavgb) X(pavgw)                                      \
    X(pmullw) X(pmulhuw) X(pmulhw) X(pmulhrsw) X(pmuludq) X(pmaddwd) X(pmaddubsw) X(psadbw)        \
    X(pabsb) X(pabsw) X(pabsd) X(psignb) X(psignw) X(psignd)                                       \
    X(psllw) X(pslld) X(psllq) X(psrlw) X(psrld) X(psrlq) X(psraw) X(psrad)
BOTH_LIST(SSE_MMX_HANDLERS)

/* XMM registers only. */
SSE_HANDLERS(pcmpeqq)
SSE_HANDLERS(pcmpgtq)
SSE_HANDLERS(pmulld)
SSE_HANDLERS(pmuldq)
SSE_HANDLERS(pminsb)
SSE_HANDLERS(pmaxsb)
SSE_HANDLERS(pminuw)
SSE_HANDLERS(pmaxuw)
SSE_HANDLERS(pminsd)
SSE_HANDLERS(pmaxsd)
SSE_HANDLERS(pminud)
SSE_HANDLERS(pmaxud)

/* Shifts by an immediate: groups 0F 71, 72, 73. */

#define SHIFT_IMMEDIATE(name)                                                                      \
    int exec_##name##_i(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm count = { .u64 = { (uint8_t)insn->imm, 0 } };                                    \
        op_##name(xmm_register(cpu, insn->rm), &count);                                            \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_mmx_##name##_i(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        if (mmx_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm d = { .u64 = { mmx_read(cpu, insn->rm), 0 } };                                   \
        union xmm count = { .u64 = { (uint8_t)insn->imm, 0 } };                                    \
        op_##name(&d, &count);                                                                     \
        mmx_write(cpu, insn->rm, d.u64[0]);                                                        \
        return 0;                                                                                  \
    }
SHIFT_IMMEDIATE(psllw)
SHIFT_IMMEDIATE(pslld)
SHIFT_IMMEDIATE(psllq)
SHIFT_IMMEDIATE(psrlw)
SHIFT_IMMEDIATE(psrld)
SHIFT_IMMEDIATE(psrlq)
SHIFT_IMMEDIATE(psraw)
SHIFT_IMMEDIATE(psrad)

/* With VEX: the count of the register forms is in 16 bytes whatever the vector
 * length; the immediate forms write the register that vvvv names. */
#define VEX_SHIFT(name)                                                                            \
    int exec_vex_##name##_count(struct cpu *cpu, const struct insn *insn)                          \
    {                                                                                              \
        union ymm s, d;                                                                            \
        if (vex_source(cpu, insn, sse_read_unaligned, &s))                                         \
            return CPU_FAULT;                                                                      \
        d = *ymm_register(cpu, insn->vvvv);                                                        \
        op_##name(&d.x[0], &s.x[0]);                                                               \
        op_##name(&d.x[1], &s.x[0]);                                                               \
        vex_put(cpu, insn, insn->reg, &d);                                                         \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_vex_##name##_i(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        if (avx_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm count = { .u64 = { (uint8_t)insn->imm, 0 } };                                    \
        union ymm d = *ymm_register(cpu, insn->rm);                                                \
        op_##name(&d.x[0], &count);                                                                \
        op_##name(&d.x[1], &count);                                                                \
        vex_put(cpu, insn, insn->vvvv, &d);                                                        \
        return 0;                                                                                  \
    }
VEX_SHIFT(psllw)
VEX_SHIFT(pslld)
VEX_SHIFT(psllq)
VEX_SHIFT(psrlw)
VEX_SHIFT(psrld)
VEX_SHIFT(psrlq)
VEX_SHIFT(psraw)
VEX_SHIFT(psrad)

int exec_pslldq_i(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    union xmm *d = xmm_register(cpu, insn->rm), r = { .u64 = { 0, 0 } };
    for (unsigned i = (uint8_t)insn->imm; i < 16; i++)
        r.u8[i] = d->u8[i - (uint8_t)insn->imm];
    *d = r;
    return 0;
}

int exec_psrldq_i(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    union xmm *d = xmm_register(cpu, insn->rm), r = { .u64 = { 0, 0 } };
    for (unsigned i = (uint8_t)insn->imm; i < 16; i++)
        r.u8[i - (uint8_t)insn->imm] = d->u8[i];
    *d = r;
    return 0;
}

/* Horizontal operations of SSSE3: pairs of d, then pairs of s. `half` is the
 * number of lanes in a half of the result. */
#define HORIZONTAL(name, lane, wide, half, expression)                                             \
    static inline void pairs_##name(union xmm *d, const union xmm *s, unsigned half_lanes)         \
    {                                                                                              \
        union xmm r = *d;                                                                          \
        for (unsigned i = 0; i < 2 * half_lanes; i++) {                                            \
            const union xmm *from = i < half_lanes ? d : s;                                        \
            wide a = from->lane[2 * (i % half_lanes)], b = from->lane[2 * (i % half_lanes) + 1];   \
            r.lane[i] = (__typeof__(d->lane[0]))(expression);                                      \
        }                                                                                          \
        *d = r;                                                                                    \
    }                                                                                              \
    static inline void op_##name(union xmm *d, const union xmm *s) { pairs_##name(d, s, half); }   \
    SSE_HANDLERS(name)                                                                             \
    static inline void op_##name##_half(union xmm *d, const union xmm *s)                          \
    {                                                                                              \
        pairs_##name(d, s, half / 2);                                                              \
    }                                                                                              \
    MMX_HANDLERS(name##_half)
HORIZONTAL(phaddw, u16, uint32_t, 4, a + b)
HORIZONTAL(phaddd, u32, uint32_t, 2, a + b)
HORIZONTAL(phaddsw, i16, int32_t, 4, clamp(a + b, -32768, 32767))
HORIZONTAL(phsubw, u16, uint32_t, 4, a - b)
HORIZONTAL(phsubd, u32, uint32_t, 2, a - b)
HORIZONTAL(phsubsw, i16, int32_t, 4, clamp(a - b, -32768, 32767))

/* SSE4.1 */

static inline void op_phminposuw(union xmm *d, const union xmm *s)
{
    unsigned best = 0;
    for (unsigned i = 1; i < 8; i++)
        if (s->u16[i] < s->u16[best])
            best = i;
    *d = (union xmm){ .u16 = { s->u16[best], best } };
}
SSE_HANDLERS(phminposuw)

static inline void op_mpsadbw(union xmm *d, const union xmm *s, uint8_t imm)
{
    unsigned first = imm & 4, block = 4 * (imm & 3);
    union xmm r;
    for (unsigned i = 0; i < 8; i++) {
        int sum = 0;
        for (unsigned k = 0; k < 4; k++) {
            int difference = d->u8[first + i + k] - s->u8[block + k];
            sum += difference < 0 ? -difference : difference;
        }
        r.u16[i] = (uint16_t)sum;
    }
    *d = r;
}
SSE_HANDLERS_IMM_READ(mpsadbw, sse_read_aligned, 3)
