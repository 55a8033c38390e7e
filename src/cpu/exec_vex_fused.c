/*
 * FMA and F16C. (SDM vol. 2, VFMADD132PD and its kind, VCVTPH2PS, VCVTPS2PH)
 *
 * The opcode says which: its high digit the order of the operands, its low one
 * the operation and, when odd from 9 on, that it is scalar.
 */
#include "cpu/exec.h"
#include "cpu/exec_sse_float.h"
#include "cpu/fp_fused.h"

/* What is negated in lane i. */
static unsigned negation(uint8_t opcode, unsigned i)
{
    switch (opcode & 15) {
    case 6: return i & 1 ? 0 : FP_NEGATE_ADDEND;  /* ADDSUB */
    case 7: return i & 1 ? FP_NEGATE_ADDEND : 0;  /* SUBADD */
    case 8: case 9: return 0;
    case 10: case 11: return FP_NEGATE_ADDEND;
    case 12: case 13: return FP_NEGATE_PRODUCT;
    default: return FP_NEGATE_PRODUCT | FP_NEGATE_ADDEND;
    }
}

/* Factors and addend, from destination, vvvv and rm. */
struct factors {
    const union ymm *a, *b, *c;
};

static struct factors order(uint8_t opcode, const union ymm *d, const union ymm *v,
                            const union ymm *s)
{
    switch (opcode >> 4) {
    case 9: return (struct factors){ d, s, v };
    case 10: return (struct factors){ v, d, s };
    default: return (struct factors){ v, s, d };
    }
}

static int fused(struct cpu *cpu, const struct insn *insn, bool is_double, bool scalar,
                 vex_reader *read)
{
    union ymm s;
    uint32_t flags = 0;
    TRY_FAULT(vex_source(cpu, insn, read, &s));
    union ymm r = *ymm_register(cpu, insn->reg), d = r;
    struct factors f = order(insn->opcode, &d, ymm_register(cpu, insn->vvvv), &s);
    unsigned count = scalar ? 1 : vex_bytes(insn) / (is_double ? 8 : 4);
    uint32_t mxcsr = cpu->s.mxcsr;
    for (unsigned i = 0; i < count; i++) {
        unsigned negate = negation(insn->opcode, i);
        if (is_double)
            r.u64[i] = fp_fused64(f.a->u64[i], f.b->u64[i], f.c->u64[i], negate, mxcsr, &flags);
        else
            r.u32[i] = fp_fused32(f.a->u32[i], f.b->u32[i], f.c->u32[i], negate, mxcsr, &flags);
    }
    TRY_FAULT(sse_float_flags(cpu, flags));
    if (scalar)
        vex_put128(cpu, insn->reg, &r.x[0]);
    else
        vex_put(cpu, insn, insn->reg, &r);
    return 0;
}

HANDLER(vex_fused_ps) { return fused(cpu, insn, false, false, sse_read_aligned); }
HANDLER(vex_fused_pd) { return fused(cpu, insn, true, false, sse_read_aligned); }
HANDLER(vex_fused_ss) { return fused(cpu, insn, false, true, sse_read32); }
HANDLER(vex_fused_sd) { return fused(cpu, insn, true, true, sse_read64); }

HANDLER(vex_cvtph2ps)
{
    union ymm s, r;
    uint32_t flags = 0;
    TRY_FAULT(insn->vex_l ? vex_source(cpu, insn, sse_read_unaligned, &s)
                          : vex_source(cpu, insn, sse_read64, &s));
    for (unsigned i = 0; i < vex_bytes(insn) / 4; i++)
        r.u32[i] = fp_from_half(s.x[0].u16[i], &flags);
    TRY_FAULT(sse_float_flags(cpu, flags));
    vex_put(cpu, insn, insn->reg, &r);
    return 0;
}

/* Flags are recorded only when the store succeeds. */
HANDLER(vex_cvtps2ph)
{
    union xmm r = { .u64 = { 0, 0 } };
    uint32_t flags = 0, mxcsr = cpu->s.mxcsr;
    TRY_FAULT(avx_check(cpu));
    const union ymm *s = ymm_register(cpu, insn->reg);
    unsigned rounding = insn->imm & 4 ? (mxcsr & MXCSR_RC) >> MXCSR_RC_SHIFT : insn->imm & 3;
    for (unsigned i = 0; i < vex_bytes(insn) / 4; i++)
        r.u16[i] = fp_to_half(s->u32[i], rounding, mxcsr, &flags);
    if (insn->modrm >= 0xc0) {
        TRY_FAULT(sse_float_flags(cpu, flags));
        vex_put128(cpu, insn->rm, &r);
        return 0;
    }
    uint64_t address = insn_address(cpu, insn);
    TRY_FAULT(memory_probe_write(cpu, insn->seg, address, vex_bytes(insn) / 2));
    TRY_FAULT(sse_float_flags(cpu, flags));
    return insn->vex_l ? memory_write128(cpu, insn->seg, address, r.memory)
                       : memory_write64(cpu, insn->seg, address, r.u64[0]);
}
