/*
 * SSE data movement: MOVAPS, MOVUPS, MOVDQA, MOVQ, MOVSS, MOVD, MOVMSKPS,
 * non-temporal and masked stores, fences. (SDM vol. 2)
 *
 * Ours: MASKMOVDQU and MASKMOVQ check their whole operand for writing, whatever
 * the mask.
 *
 * Not modelled: memory types and write combining; fences have nothing to do.
 */
#include "cpu/exec_vector.h"
#include "cpu/opcode.h"

int sse_unavailable(struct cpu *cpu)
{
    /* VEX forms that share a handler go by XCR0 and TS instead. */
    if (opcode_rows[cpu->current->row].map >= MAP_V0F)
        return avx_check(cpu);
    if ((cpu->s.cr0 & CR0_EM) || !(cpu->s.cr4 & CR4_OSFXSR))
        return cpu_raise(cpu, VECTOR_UD);
    return cpu_raise(cpu, VECTOR_NM);
}

/* Copies of 16 bytes. */

int exec_movups_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    *xmm_register(cpu, insn->reg) = *xmm_register(cpu, insn->rm);
    return 0;
}

int exec_movups_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    *xmm_register(cpu, insn->rm) = *xmm_register(cpu, insn->reg);
    return 0;
}

int exec_movups_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read_unaligned(cpu, insn, &s))
        return CPU_FAULT;
    *xmm_register(cpu, insn->reg) = s;
    return 0;
}

int exec_movups_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write128(cpu, insn->seg, insn_address(cpu, insn),
                           xmm_register(cpu, insn->reg)->memory);
}

int exec_movaps_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read_aligned(cpu, insn, &s))
        return CPU_FAULT;
    *xmm_register(cpu, insn->reg) = s;
    return 0;
}

int exec_movaps_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return sse_write_aligned(cpu, insn, xmm_register(cpu, insn->reg));
}

/* MOVSS, MOVSD: registers keep the rest, loads clear it. */

int exec_movss_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u32[0] = xmm_register(cpu, insn->rm)->u32[0];
    return 0;
}

int exec_movss_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->rm)->u32[0] = xmm_register(cpu, insn->reg)->u32[0];
    return 0;
}

int exec_movss_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read32(cpu, insn, &s))
        return CPU_FAULT;
    *xmm_register(cpu, insn->reg) = s;
    return 0;
}

int exec_movss_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write32(cpu, insn->seg, insn_address(cpu, insn),
                          xmm_register(cpu, insn->reg)->u32[0]);
}

int exec_movsd_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u64[0] = xmm_register(cpu, insn->rm)->u64[0];
    return 0;
}

int exec_movsd_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->rm)->u64[0] = xmm_register(cpu, insn->reg)->u64[0];
    return 0;
}

/* MOVQ between XMM registers clears the upper half. */
int exec_movq_xmm_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    union xmm s = { .u64 = { xmm_register(cpu, insn->rm)->u64[0], 0 } };
    *xmm_register(cpu, insn->reg) = s;
    return 0;
}

int exec_movq_xmm_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    union xmm s = { .u64 = { xmm_register(cpu, insn->reg)->u64[0], 0 } };
    *xmm_register(cpu, insn->rm) = s;
    return 0;
}

/* MOVQ and MOVSD loads of 8 bytes. */
int exec_movq_xmm_m(struct cpu *cpu, const struct insn *insn)
{
    union xmm s;
    if (sse_check(cpu) || sse_read64(cpu, insn, &s))
        return CPU_FAULT;
    *xmm_register(cpu, insn->reg) = s;
    return 0;
}

/* Stores of the low half: MOVQ, MOVSD, MOVLPS, MOVLPD. */
int exec_movq_xmm_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write64(cpu, insn->seg, insn_address(cpu, insn),
                          xmm_register(cpu, insn->reg)->u64[0]);
}

/* Halves. */

int exec_movhlps(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u64[0] = xmm_register(cpu, insn->rm)->u64[1];
    return 0;
}

int exec_movlhps(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u64[1] = xmm_register(cpu, insn->rm)->u64[0];
    return 0;
}

int exec_movlps_m(struct cpu *cpu, const struct insn *insn)
{
    uint64_t s;
    if (sse_check(cpu) || memory_read64(cpu, insn->seg, insn_address(cpu, insn), &s))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u64[0] = s;
    return 0;
}

int exec_movhps_m(struct cpu *cpu, const struct insn *insn)
{
    uint64_t s;
    if (sse_check(cpu) || memory_read64(cpu, insn->seg, insn_address(cpu, insn), &s))
        return CPU_FAULT;
    xmm_register(cpu, insn->reg)->u64[1] = s;
    return 0;
}

int exec_movhps_store_m(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write64(cpu, insn->seg, insn_address(cpu, insn),
                          xmm_register(cpu, insn->reg)->u64[1]);
}

/* Duplicating moves of SSE3. */

static inline void op_movddup(union xmm *d, const union xmm *s)
{
    d->u64[0] = d->u64[1] = s->u64[0];
}

static inline void op_movsldup(union xmm *d, const union xmm *s)
{
    *d = (union xmm){ .u32 = { s->u32[0], s->u32[0], s->u32[2], s->u32[2] } };
}

static inline void op_movshdup(union xmm *d, const union xmm *s)
{
    *d = (union xmm){ .u32 = { s->u32[1], s->u32[1], s->u32[3], s->u32[3] } };
}

SSE_HANDLERS_READ(movddup, sse_read64)
SSE_HANDLERS(movsldup)
SSE_HANDLERS(movshdup)

/* Between general registers (or memory) and XMM: MOVD, MOVQ with REX.W. */

int exec_movd_xmm_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    uint64_t value = register_read64(cpu, insn->rm);
    if (insn->operand_bytes != 8)
        value = (uint32_t)value;
    *xmm_register(cpu, insn->reg) = (union xmm){ .u64 = { value, 0 } };
    return 0;
}

int exec_movd_xmm_m(struct cpu *cpu, const struct insn *insn)
{
    return insn->operand_bytes == 8 ? exec_movq_xmm_m(cpu, insn) : exec_movss_m(cpu, insn);
}

int exec_movd_xmm_store_r(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *s = xmm_register(cpu, insn->reg);
    register_write64(cpu, insn->rm, insn->operand_bytes == 8 ? s->u64[0] : s->u32[0]);
    return 0;
}

int exec_movd_xmm_store_m(struct cpu *cpu, const struct insn *insn)
{
    return insn->operand_bytes == 8 ? exec_movq_xmm_store_m(cpu, insn)
                                    : exec_movss_store_m(cpu, insn);
}

/* Sign bits of lanes. */

int exec_movmskps(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *s = xmm_register(cpu, insn->rm);
    register_write32(cpu, insn->reg, s->u32[0] >> 31 | s->u32[1] >> 31 << 1 | s->u32[2] >> 31 << 2
                                         | s->u32[3] >> 31 << 3);
    return 0;
}

int exec_movmskpd(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *s = xmm_register(cpu, insn->rm);
    register_write32(cpu, insn->reg, (uint32_t)(s->u64[0] >> 63 | s->u64[1] >> 63 << 1));
    return 0;
}

int exec_pmovmskb(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *s = xmm_register(cpu, insn->rm);
    register_write32(cpu, insn->reg, byte_signs(s->u64[0]) | byte_signs(s->u64[1]) << 8);
    return 0;
}

int exec_movnti(struct cpu *cpu, const struct insn *insn)
{
    uint64_t address = insn_address(cpu, insn);
    if (insn->operand_bytes == 8)
        return memory_write64(cpu, insn->seg, address, register_read64(cpu, insn->reg));
    return memory_write32(cpu, insn->seg, address, register_read32(cpu, insn->reg));
}

/* Stores to DS:rDI the bytes of `value` whose mask byte has its sign set; all
 * `length` bytes must be writable. */
int sse_masked_store(struct cpu *cpu, const struct insn *insn, const uint8_t *value,
                     unsigned length, unsigned mask)
{
    uint64_t limit = ~0ull >> insn->address_shift;
    uint64_t address = cpu->s.gpr[RDI];
    if (memory_probe_write(cpu, insn->seg, address & limit, length))
        return CPU_FAULT;
    for (unsigned i = 0; i < length; i++)
        if (mask >> i & 1 && memory_write8(cpu, insn->seg, (address + i) & limit, value[i]))
            return CPU_FAULT;
    return 0;
}

int exec_maskmovdqu(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    const union xmm *m = xmm_register(cpu, insn->rm);
    return sse_masked_store(cpu, insn, xmm_register(cpu, insn->reg)->u8, 16,
                            byte_signs(m->u64[0]) | byte_signs(m->u64[1]) << 8);
}

/* LFENCE, MFENCE, SFENCE: memory is strongly ordered here already. */
int exec_fence(struct cpu *cpu, const struct insn *insn)
{
    (void)cpu;
    (void)insn;
    return 0;
}
