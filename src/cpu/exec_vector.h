/*
 * What the handlers of MMX and SSE instructions share: lanes, registers,
 * availability (SDM vol. 3, table 2-2 and section 13.1), operands.
 */
#ifndef CPU_EXEC_VECTOR_H
#define CPU_EXEC_VECTOR_H

#include "cpu/cpu.h"
#include "cpu/memory.h"
#include "cpu/xmm.h"

/* The low half of YMM register n. */
static inline union xmm *xmm_register(struct cpu *cpu, unsigned n)
{
    return (union xmm *)cpu->s.vector[n];
}

/* Which exception an SSE instruction raises that may not run: #UD or #NM. */
int sse_unavailable(struct cpu *cpu);
/* The same for MMX: #UD, #NM or #MF. */
int mmx_unavailable(struct cpu *cpu);

/* 0 if SSE instructions may run, else CPU_FAULT with the exception raised. */
static inline int sse_check(struct cpu *cpu)
{
    if (unlikely((cpu->s.cr0 & (CR0_EM | CR0_TS)) || !(cpu->s.cr4 & CR4_OSFXSR)))
        return sse_unavailable(cpu);
    return 0;
}

/* The same for MMX instructions. */
static inline int mmx_check(struct cpu *cpu)
{
    if (unlikely((cpu->s.cr0 & (CR0_EM | CR0_TS)) || (cpu->s.fsw & 0x80)))
        return mmx_unavailable(cpu);
    return 0;
}

/* For instructions between MMX and XMM registers. */
static inline int sse_mmx_check(struct cpu *cpu)
{
    int fault = sse_check(cpu);
    return fault ? fault : mmx_check(cpu);
}

/* True if the memory operand is not 16-byte aligned. */
static inline bool sse_misaligned(const struct cpu *cpu, const struct insn *insn, uint64_t address)
{
    return (cpu->access[insn->seg].base + address) & 15;
}

/* The 16-byte memory operand, aligned or #GP(0); any alignment. */
static inline int sse_read_aligned(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    uint64_t address = insn_address(cpu, insn);
    if (unlikely(sse_misaligned(cpu, insn, address)))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    return memory_read128(cpu, insn->seg, address, &value->memory);
}

static inline int sse_read_unaligned(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    return memory_read128(cpu, insn->seg, insn_address(cpu, insn), &value->memory);
}

/* Low 8 or 4 or 2 bytes from memory; the other lanes are 0. */
static inline int sse_read64(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    value->u64[0] = value->u64[1] = 0;
    return memory_read64(cpu, insn->seg, insn_address(cpu, insn), &value->u64[0]);
}

static inline int sse_read32(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    value->u64[0] = value->u64[1] = 0;
    return memory_read32(cpu, insn->seg, insn_address(cpu, insn), &value->u32[0]);
}

static inline int sse_write_aligned(struct cpu *cpu, const struct insn *insn, const union xmm *value)
{
    uint64_t address = insn_address(cpu, insn);
    if (unlikely(sse_misaligned(cpu, insn, address)))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    return memory_write128(cpu, insn->seg, address, value->memory);
}

/* The sign bits of the eight bytes of `v`, byte 0's lowest. */
static inline uint32_t byte_signs(uint64_t v)
{
    return (uint32_t)((v & 0x8080808080808080ull) * 0x0002040810204081ull >> 56);
}

/* Stores those of the `length` bytes of `value` that `mask` selects to DS:rDI. */
int sse_masked_store(struct cpu *cpu, const struct insn *insn, const uint8_t *value,
                     unsigned length, unsigned mask);

/* MMX register n: the significand of physical x87 register n. */
static inline uint64_t mmx_read(const struct cpu *cpu, unsigned n)
{
    return cpu->s.x87[n & 7].significand;
}

/* What every MMX instruction but EMMS does to the x87 state. */
static inline void mmx_enter(struct cpu *cpu)
{
    cpu->s.fsw &= (uint16_t)~0x3800;
    cpu->s.ftw = 0;
}

static inline void mmx_write(struct cpu *cpu, unsigned n, uint64_t value)
{
    mmx_enter(cpu);
    cpu->s.x87[n & 7].significand = value;
    cpu->s.x87[n & 7].sign_exponent = 0xffff;
}

/*
 * SSE_HANDLERS(name): exec_name_r and exec_name_m of an operation
 * `static void op_name(union xmm *d, const union xmm *s)`, d being destination
 * and first source. The memory form wants alignment; SSE_HANDLERS_READ takes
 * the function that reads the operand. exec_vex_name is the form with VEX.
 */
#define SSE_HANDLERS_READ(name, read)                                                              \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm s = *xmm_register(cpu, insn->rm);                                                \
        op_##name(xmm_register(cpu, insn->reg), &s);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        op_##name(xmm_register(cpu, insn->reg), &s);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    VEX_HANDLER(name, read)
#define SSE_HANDLERS(name) SSE_HANDLERS_READ(name, sse_read_aligned)

/* The same for an operation with an immediate byte as third argument; of VEX.256
 * the upper half uses its bits from `shift` on. */
#define SSE_HANDLERS_IMM_READ(name, read, shift)                                                          \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm s = *xmm_register(cpu, insn->rm);                                                \
        op_##name(xmm_register(cpu, insn->reg), &s, (uint8_t)insn->imm);                           \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        op_##name(xmm_register(cpu, insn->reg), &s, (uint8_t)insn->imm);                           \
        return 0;                                                                                  \
    }                                                                                              \
    VEX_HANDLER_IMM(name, read, shift)
#define SSE_HANDLERS_IMM(name) SSE_HANDLERS_IMM_READ(name, sse_read_aligned, 0)

/*
 * MMX_HANDLERS(name): exec_mmx_name_r and exec_mmx_name_m of an operation on
 * union xmm whose low half depends on the low halves of the operands only.
 */
#define MMX_HANDLERS(name)                                                                         \
    static inline void mmx_##name(struct cpu *cpu, const struct insn *insn, uint64_t source)       \
    {                                                                                              \
        union xmm d = { .u64 = { mmx_read(cpu, insn->reg), 0 } }, s = { .u64 = { source, 0 } };    \
        op_##name(&d, &s);                                                                         \
        mmx_write(cpu, insn->reg, d.u64[0]);                                                       \
    }                                                                                              \
    int exec_mmx_##name##_r(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        if (mmx_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        mmx_##name(cpu, insn, mmx_read(cpu, insn->rm));                                            \
        return 0;                                                                                  \
    }                                                                                              \
    int exec_mmx_##name##_m(struct cpu *cpu, const struct insn *insn)                              \
    {                                                                                              \
        uint64_t s;                                                                                \
        if (mmx_check(cpu) || memory_read64(cpu, insn->seg, insn_address(cpu, insn), &s))          \
            return CPU_FAULT;                                                                      \
        mmx_##name(cpu, insn, s);                                                                  \
        return 0;                                                                                  \
    }

/* The operation serves both register files. */
#define SSE_MMX_HANDLERS(name)                                                                     \
    SSE_HANDLERS(name)                                                                             \
    MMX_HANDLERS(name)

#include "cpu/exec_vex.h"

#endif
