/*
 * What handlers of VEX instructions on vectors share: availability, operands,
 * and VEX forms of the SSE operations, made by the macros of exec_vector.h and
 * exec_sse_float.h. (SDM vol. 1, chapter 14; vol. 2, section 2.4)
 *
 * A VEX handler serves register and memory forms and both vector lengths; its
 * operation sees 16 bytes at a time. The first source is the register that
 * vvvv names (any, for operations that look only at the second). Registers get
 * zeros above the vector length.
 */
#ifndef CPU_EXEC_VEX_H
#define CPU_EXEC_VEX_H

#include "cpu/exec_vector.h"
#include "cpu/state.h"

#define ALWAYS_INLINE_VEX static inline __attribute__((always_inline))
#define XCR0_SSE_AVX 6u

/* A YMM register: x[0] is the XMM register. */
union ymm {
    union xmm x[2];
    uint8_t u8[32];
    uint32_t u32[8];
    uint64_t u64[4];
    int32_t i32[8];
    int64_t i64[4];
} __attribute__((may_alias));

static inline union ymm *ymm_register(struct cpu *cpu, unsigned n)
{
    return (union ymm *)cpu->s.vector[n];
}

/* #UD or #NM, for a VEX instruction that may not run. */
int avx_unavailable(struct cpu *cpu);

/* 0 if instructions with VEX may use vectors: protected mode, XCR0, no TS. */
static inline int avx_check(struct cpu *cpu)
{
    if (unlikely((cpu->s.cr0 & (CR0_PE | CR0_TS)) != CR0_PE || (cpu->s.rflags & FLAG_VM)
                 || !(cpu->s.cr4 & CR4_OSXSAVE) || (cpu->s.xcr0 & XCR0_SSE_AVX) != XCR0_SSE_AVX))
        return avx_unavailable(cpu);
    return 0;
}

static inline unsigned vex_bytes(const struct insn *insn)
{
    return insn->vex_l ? 32 : 16;
}

/* Memory operands of the vector length, of any alignment. */
static inline int vex_read(struct cpu *cpu, const struct insn *insn, union ymm *value)
{
    uint64_t address = insn_address(cpu, insn);
    const uint8_t *host = memory_fast_read(cpu, insn->seg, address, vex_bytes(insn));
    if (unlikely(!host))
        return memory_read_slow(cpu, insn->seg, address, value, vex_bytes(insn));
    memcpy(value, host, vex_bytes(insn));
    return 0;
}

static inline int vex_write(struct cpu *cpu, const struct insn *insn, const union ymm *value)
{
    uint64_t address = insn_address(cpu, insn);
    uint8_t *host = memory_fast_write(cpu, insn->seg, address, vex_bytes(insn));
    if (unlikely(!host))
        return memory_write_slow(cpu, insn->seg, address, value, vex_bytes(insn));
    memcpy(host, value, vex_bytes(insn));
    return 0;
}

/* The result goes to register n; above the vector length it becomes 0. */
static inline void vex_put(struct cpu *cpu, const struct insn *insn, unsigned n,
                           const union ymm *value)
{
    union ymm *d = ymm_register(cpu, n);
    d->x[0] = value->x[0];
    d->x[1] = insn->vex_l ? value->x[1] : (union xmm){ .u64 = { 0, 0 } };
}

static inline void vex_put128(struct cpu *cpu, unsigned n, const union xmm *value)
{
    *ymm_register(cpu, n) = (union ymm){ .x = { *value } };
}

typedef int vex_reader(struct cpu *cpu, const struct insn *insn, union xmm *value);
typedef void vex_operation(union xmm *d, const union xmm *s);
typedef void vex_operation_imm(union xmm *d, const union xmm *s, uint8_t imm);
typedef uint32_t vex_float(union xmm *d, const union xmm *s, uint32_t mxcsr);
typedef uint32_t vex_float_imm(union xmm *d, const union xmm *s, uint32_t mxcsr, uint8_t imm);

/* The second source. `read` is how the SSE form reads it from memory: packed
 * forms, which want alignment there, have the vector length here. */
ALWAYS_INLINE_VEX int vex_source(struct cpu *cpu, const struct insn *insn, vex_reader *read,
                                 union ymm *s)
{
    if (avx_check(cpu))
        return CPU_FAULT;
    if (insn->modrm >= 0xc0) {
        *s = *ymm_register(cpu, insn->rm);
        return 0;
    }
    return read == sse_read_aligned ? vex_read(cpu, insn, s) : read(cpu, insn, &s->x[0]);
}

/* True if the upper half is to be computed. */
ALWAYS_INLINE_VEX bool vex_upper(const struct insn *insn, vex_reader *read)
{
    return read == sse_read_aligned && insn->vex_l;
}

ALWAYS_INLINE_VEX int vex_apply(struct cpu *cpu, const struct insn *insn, vex_operation *op,
                                vex_reader *read)
{
    union ymm s, d;
    if (vex_source(cpu, insn, read, &s))
        return CPU_FAULT;
    d = *ymm_register(cpu, insn->vvvv);
    op(&d.x[0], &s.x[0]);
    if (!vex_upper(insn, read)) {
        vex_put128(cpu, insn->reg, &d.x[0]);
        return 0;
    }
    op(&d.x[1], &s.x[1]);
    *ymm_register(cpu, insn->reg) = d;
    return 0;
}

/* `shift`: the upper half uses the immediate's bits from there on. */
ALWAYS_INLINE_VEX int vex_apply_imm(struct cpu *cpu, const struct insn *insn,
                                    vex_operation_imm *op, vex_reader *read, unsigned shift)
{
    union ymm s, d;
    if (vex_source(cpu, insn, read, &s))
        return CPU_FAULT;
    d = *ymm_register(cpu, insn->vvvv);
    op(&d.x[0], &s.x[0], (uint8_t)insn->imm);
    if (!vex_upper(insn, read)) {
        vex_put128(cpu, insn->reg, &d.x[0]);
        return 0;
    }
    op(&d.x[1], &s.x[1], (uint8_t)((uint8_t)insn->imm >> shift));
    *ymm_register(cpu, insn->reg) = d;
    return 0;
}

#define VEX_HANDLER(name, read)                                                                    \
    int exec_vex_##name(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        return vex_apply(cpu, insn, op_##name, read);                                              \
    }
#define VEX_HANDLER_IMM(name, read, shift)                                                         \
    int exec_vex_##name(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        return vex_apply_imm(cpu, insn, op_##name, read, shift);                                   \
    }

/* The VEX form of an SSE instruction whose destination is no vector register. */
#define VEX_SAME(name)                                                                             \
    int exec_vex_##name(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (avx_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        return insn->modrm >= 0xc0 ? exec_##name##_r(cpu, insn) : exec_##name##_m(cpu, insn);      \
    }

/* Of one that writes part of a vector register from a general register or
 * memory: the rest comes from the register that vvvv names. */
ALWAYS_INLINE_VEX int vex_merge(struct cpu *cpu, const struct insn *insn, insn_handler *handler)
{
    if (avx_check(cpu))
        return CPU_FAULT;
    union ymm *d = ymm_register(cpu, insn->reg), old = *d;
    d->x[0] = ymm_register(cpu, insn->vvvv)->x[0];
    if (handler(cpu, insn)) {
        *d = old;
        return CPU_FAULT;
    }
    d->x[1] = (union xmm){ .u64 = { 0, 0 } };
    return 0;
}
#define VEX_MERGE(name)                                                                            \
    int exec_vex_##name(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        return vex_merge(cpu, insn, insn->modrm >= 0xc0 ? exec_##name##_r : exec_##name##_m);      \
    }

#endif
