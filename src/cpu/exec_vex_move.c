/*
 * AVX data movement, and VEX forms of SSE instructions that differ from them
 * only in what happens to the rest of the register. (SDM vol. 2)
 */
#include "cpu/exec_sse_float.h"
#include "cpu/exec.h"
#include "cpu/exec_vex.h"

int avx_unavailable(struct cpu *cpu)
{
    if (!cpu_uses_descriptors(cpu) || !(cpu->s.cr4 & CR4_OSXSAVE)
        || (cpu->s.xcr0 & XCR0_SSE_AVX) != XCR0_SSE_AVX)
        return cpu_raise(cpu, VECTOR_UD);
    return cpu_raise(cpu, VECTOR_NM);
}

/* Whole vectors. */

HANDLER(vex_load)
{
    union ymm s;
    TRY_FAULT(vex_source(cpu, insn, sse_read_aligned, &s));
    vex_put(cpu, insn, insn->reg, &s);
    return 0;
}

HANDLER(vex_store)
{
    TRY_FAULT(avx_check(cpu));
    if (insn->modrm < 0xc0)
        return vex_write(cpu, insn, ymm_register(cpu, insn->reg));
    union ymm s = *ymm_register(cpu, insn->reg);
    vex_put(cpu, insn, insn->rm, &s);
    return 0;
}

/* #GP(0) unless a memory operand is aligned to the vector length. */
static int check_aligned(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(avx_check(cpu));
    uint64_t linear = cpu->access[insn->seg].base + insn_address(cpu, insn);
    return insn->modrm < 0xc0 && linear & (vex_bytes(insn) - 1) ? cpu_raise_gp0(cpu) : 0;
}

HANDLER(vex_load_aligned)
{
    TRY_FAULT(check_aligned(cpu, insn));
    return exec_vex_load(cpu, insn);
}

HANDLER(vex_store_aligned)
{
    TRY_FAULT(check_aligned(cpu, insn));
    return exec_vex_store(cpu, insn);
}

/* Scalars between registers, and halves: the rest comes from vvvv. */

#define MERGE_REGISTERS(name, source, target, lane, to, from)                                      \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        TRY_FAULT(avx_check(cpu));                                                                 \
        union xmm r = ymm_register(cpu, insn->vvvv)->x[0];                                         \
        r.lane[to] = ymm_register(cpu, insn->source)->x[0].lane[from];                             \
        vex_put128(cpu, insn->target, &r);                                                         \
        return 0;                                                                                  \
    }
MERGE_REGISTERS(movss_r, rm, reg, u32, 0, 0)
MERGE_REGISTERS(movsd_r, rm, reg, u64, 0, 0)
MERGE_REGISTERS(movss_store_r, reg, rm, u32, 0, 0)
MERGE_REGISTERS(movsd_store_r, reg, rm, u64, 0, 0)
MERGE_REGISTERS(movhlps, rm, reg, u64, 0, 1)
MERGE_REGISTERS(movlhps, rm, reg, u64, 1, 0)

/* Loads that clear the rest. */
#define LOAD_SCALAR(name, read)                                                                    \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        union xmm s;                                                                               \
        if (avx_check(cpu) || read(cpu, insn, &s))                                                 \
            return CPU_FAULT;                                                                      \
        vex_put128(cpu, insn->reg, &s);                                                            \
        return 0;                                                                                  \
    }
LOAD_SCALAR(movss_m, sse_read32)
LOAD_SCALAR(movsd_m, sse_read64)

HANDLER(vex_movq)
{
    union ymm s;
    TRY_FAULT(vex_source(cpu, insn, sse_read64, &s));
    s.x[0].u64[1] = 0;
    vex_put128(cpu, insn->reg, &s.x[0]);
    return 0;
}

insn_handler exec_movq_xmm_store_m, exec_movss_store_m, exec_movhps_store_m, exec_movlps_m,
    exec_movhps_m, exec_movd_xmm_r, exec_movd_xmm_m, exec_movd_xmm_store_r, exec_movd_xmm_store_m,
    exec_ldmxcsr, exec_stmxcsr, exec_maskmovdqu, exec_pextrw_reg, exec_pextrb_r, exec_pextrb_m,
    exec_pextrw_r, exec_pextrw_m, exec_pextrd_r, exec_pextrd_m, exec_extractps_r,
    exec_extractps_m, exec_pinsrb_r, exec_pinsrb_m, exec_pinsrw_r, exec_pinsrw_m, exec_pinsrd_r,
    exec_pinsrd_m, exec_cvtsi2ss_r, exec_cvtsi2ss_m, exec_cvtsi2sd_r, exec_cvtsi2sd_m,
    exec_cvtss2si_r, exec_cvtss2si_m, exec_cvttss2si_r, exec_cvttss2si_m, exec_cvtsd2si_r,
    exec_cvtsd2si_m, exec_cvttsd2si_r, exec_cvttsd2si_m, exec_comiss_r, exec_comiss_m,
    exec_ucomiss_r, exec_ucomiss_m, exec_comisd_r, exec_comisd_m, exec_ucomisd_r, exec_ucomisd_m,
    exec_pcmpestri_r, exec_pcmpestri_m, exec_pcmpistri_r, exec_pcmpistri_m, exec_pcmpestrm_r,
    exec_pcmpestrm_m, exec_pcmpistrm_r, exec_pcmpistrm_m;

HANDLER(vex_movq_store)
{
    TRY_FAULT(avx_check(cpu));
    if (insn->modrm < 0xc0)
        return exec_movq_xmm_store_m(cpu, insn);
    union xmm s = { .u64 = { ymm_register(cpu, insn->reg)->u64[0], 0 } };
    vex_put128(cpu, insn->rm, &s);
    return 0;
}

#define STORE(name)                                                                                \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        TRY_FAULT(avx_check(cpu));                                                                 \
        return exec_##name(cpu, insn);                                                             \
    }
STORE(movss_store_m)
STORE(movhps_store_m)
STORE(ldmxcsr)
STORE(stmxcsr)
STORE(maskmovdqu)
STORE(pextrw_reg)

#define MERGE_MEMORY(name)                                                                         \
    HANDLER(vex_##name) { return vex_merge(cpu, insn, exec_##name); }
MERGE_MEMORY(movlps_m)
MERGE_MEMORY(movhps_m)

VEX_MERGE(movd_xmm)
VEX_MERGE(pinsrb)
VEX_MERGE(pinsrw)
VEX_MERGE(pinsrd)
VEX_MERGE(cvtsi2ss)
VEX_MERGE(cvtsi2sd)
VEX_SAME(movd_xmm_store)
VEX_SAME(pextrb)
VEX_SAME(pextrw)
VEX_SAME(pextrd)
VEX_SAME(extractps)
VEX_SAME(cvtss2si)
VEX_SAME(cvttss2si)
VEX_SAME(cvtsd2si)
VEX_SAME(cvttsd2si)
VEX_SAME(comiss)
VEX_SAME(ucomiss)
VEX_SAME(comisd)
VEX_SAME(ucomisd)
VEX_SAME(pcmpestri)
VEX_SAME(pcmpistri)

/* The mask goes to XMM0. */
#define STRING_MASK(name)                                                                          \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        TRY_FAULT(avx_check(cpu));                                                                 \
        if ((insn->modrm >= 0xc0 ? exec_##name##_r : exec_##name##_m)(cpu, insn))                  \
            return CPU_FAULT;                                                                      \
        ymm_register(cpu, 0)->x[1] = (union xmm){ .u64 = { 0, 0 } };                               \
        return 0;                                                                                  \
    }
STRING_MASK(pcmpestrm)
STRING_MASK(pcmpistrm)

HANDLER(vex_insertps)
{
    union ymm s;
    TRY_FAULT(vex_source(cpu, insn, sse_read32, &s));
    union xmm r = ymm_register(cpu, insn->vvvv)->x[0];
    unsigned from = insn->modrm >= 0xc0 ? insn->imm >> 6 & 3 : 0;
    r.u32[insn->imm >> 4 & 3] = s.u32[from];
    for (unsigned i = 0; i < 4; i++)
        if (insn->imm >> i & 1)
            r.u32[i] = 0;
    vex_put128(cpu, insn->reg, &r);
    return 0;
}

/* Sign bits of lanes to a general register. */
#define SIGNS(name, lane, per_half)                                                                \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        TRY_FAULT(avx_check(cpu));                                                                 \
        uint32_t signs = 0;                                                                        \
        for (unsigned i = 0; i < (insn->vex_l ? 2 : 1) * per_half; i++)                            \
            signs |= (uint32_t)(ymm_register(cpu, insn->rm)->x[i / per_half].lane[i % per_half] < 0) << i; \
        register_write32(cpu, insn->reg, signs);                                                   \
        return 0;                                                                                  \
    }
SIGNS(movmskps, i32, 4)
SIGNS(movmskpd, i64, 2)
SIGNS(pmovmskb, i8, 16)

static unsigned register_count(const struct cpu *cpu)
{
    return cpu_code64(cpu) ? 16 : 8;
}

HANDLER(vzeroupper)
{
    TRY_FAULT(avx_check(cpu));
    for (unsigned i = 0; i < register_count(cpu); i++)
        memset(&ymm_register(cpu, i)->x[1], 0, 16);
    return 0;
}

HANDLER(vzeroall)
{
    TRY_FAULT(avx_check(cpu));
    for (unsigned i = 0; i < register_count(cpu); i++)
        memset(ymm_register(cpu, i), 0, 32);
    return 0;
}

/* Loads of one element to all. */
#define BROADCAST(name, lane, read)                                                                \
    HANDLER(vex_##name)                                                                            \
    {                                                                                              \
        union ymm s, r;                                                                            \
        TRY_FAULT(vex_source(cpu, insn, read, &s));                                                \
        for (unsigned i = 0; i < ARRAY_SIZE(s.x[0].lane); i++)                                     \
            r.x[0].lane[i] = s.x[0].lane[0];                                                       \
        r.x[1] = r.x[0];                                                                           \
        vex_put(cpu, insn, insn->reg, &r);                                                         \
        return 0;                                                                                  \
    }
static int read8(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    return memory_read8(cpu, insn->seg, insn_address(cpu, insn), &value->u8[0]);
}
static int read16(struct cpu *cpu, const struct insn *insn, union xmm *value)
{
    return memory_read16(cpu, insn->seg, insn_address(cpu, insn), &value->u16[0]);
}
BROADCAST(broadcastb, u8, read8)
BROADCAST(broadcastw, u16, read16)
BROADCAST(broadcastd, u32, sse_read32)
BROADCAST(broadcastq, u64, sse_read64)

HANDLER(vex_broadcast128)
{
    union ymm s;
    TRY_FAULT(vex_source(cpu, insn, sse_read_unaligned, &s));
    s.x[1] = s.x[0];
    vex_put(cpu, insn, insn->reg, &s);
    return 0;
}

HANDLER(vex_insert128)
{
    union ymm s, r;
    TRY_FAULT(vex_source(cpu, insn, sse_read_unaligned, &s));
    r = *ymm_register(cpu, insn->vvvv);
    r.x[insn->imm & 1] = s.x[0];
    *ymm_register(cpu, insn->reg) = r;
    return 0;
}

HANDLER(vex_extract128)
{
    TRY_FAULT(avx_check(cpu));
    union xmm s = ymm_register(cpu, insn->reg)->x[insn->imm & 1];
    if (insn->modrm < 0xc0)
        return memory_write128(cpu, insn->seg, insn_address(cpu, insn), s.memory);
    vex_put128(cpu, insn->rm, &s);
    return 0;
}
