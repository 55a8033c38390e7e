/*
 * Saving and restoring x87, SSE and AVX state, and PKRU: FXSAVE, FXRSTOR, the XSAVE
 * family, LDMXCSR, STMXCSR. (SDM vol. 1, sections 10.5 and 13; vol. 2)
 *
 * Ours: a component is "in use" (XINUSE) when its value differs from the
 * initial one. Reserved bytes of the images are not written, save the upper
 * six bytes of each x87 register, which are zero. No modified optimization.
 */
#include "cpu/exec_vector.h"
#include "cpu/exec_x87.h"
#include "cpu/fp.h"
#include "cpu/system.h"

#define COMPONENT_X87 1u
#define COMPONENT_SSE 2u
#define COMPONENT_AVX 4u
#define COMPONENT_PKRU 0x200u
#define COMPONENTS (COMPONENT_X87 | COMPONENT_SSE | COMPONENT_AVX | COMPONENT_PKRU)

#define AREA_MXCSR 24
#define AREA_ST 32
#define AREA_XMM 160
#define AREA_HEADER 512
#define AREA_AVX 576
#define AREA_END 832
#define AREA_PKRU 2688 /* in the standard format; compacted: behind the others */
#define COMPACT (1ull << 63)

static unsigned vector_count(const struct cpu *cpu)
{
    return cpu_code64(cpu) ? 16 : 8;
}

/* The x87 part of the image: bytes 0..23 and 32..159 of `area`. */
static void put_x87(const struct cpu *cpu, const struct insn *insn, uint8_t *area)
{
    const struct cpu_state *s = &cpu->s;
    store16(area, s->fcw);
    store16(area + 2, s->fsw);
    area[4] = x87_tags_abridged(cpu);
    area[5] = 0;
    store16(area + 6, s->fop);
    store64(area + 8, s->fip);
    store64(area + 16, s->fdp);
    if (insn->operand_bytes != 8) {
        store32(area + 12, 0); /* the selectors, always 0 */
        store32(area + 20, 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        const struct x87_register *r = &s->x87[((s->fsw >> FSW_TOP_SHIFT) + i) & 7];
        uint8_t *slot = area + AREA_ST + 16 * i;
        memset(slot, 0, 16);
        store64(slot, r->significand);
        store16(slot + 8, r->sign_exponent);
    }
}

static void get_x87(struct cpu *cpu, const struct insn *insn, const uint8_t *area)
{
    struct cpu_state *s = &cpu->s;
    s->fcw = (load16(area) & 0x1f3f) | FCW_RESERVED;
    s->fsw = load16(area + 2);
    x87_set_tags_abridged(cpu, area[4]);
    s->fop = load16(area + 6) & 0x7ff;
    bool wide = insn->operand_bytes == 8;
    s->fip = wide ? load64(area + 8) : load32(area + 8);
    s->fdp = wide ? load64(area + 16) : load32(area + 16);
    for (unsigned i = 0; i < 8; i++) {
        struct x87_register *r = &s->x87[((s->fsw >> FSW_TOP_SHIFT) + i) & 7];
        r->significand = load64(area + AREA_ST + 16 * i);
        r->sign_exponent = load16(area + AREA_ST + 16 * i + 8);
    }
    x87_update_summary(cpu);
}

static void put_mxcsr(const struct cpu *cpu, uint8_t *area)
{
    store32(area + AREA_MXCSR, cpu->s.mxcsr);
    store32(area + AREA_MXCSR + 4, MXCSR_VALID);
}

static void put_xmm(const struct cpu *cpu, uint8_t *area)
{
    for (unsigned i = 0; i < vector_count(cpu); i++)
        memcpy(area + AREA_XMM + 16 * i, cpu->s.vector[i], 16);
}

static void get_xmm(struct cpu *cpu, const uint8_t *area)
{
    for (unsigned i = 0; i < vector_count(cpu); i++)
        memcpy(cpu->s.vector[i], area + AREA_XMM + 16 * i, 16);
}

/* FXSAVE, FXRSTOR: #UD with EM? no: #NM for EM and TS both. */
static int fxsave_check(struct cpu *cpu, const struct insn *insn, uint64_t address)
{
    if (cpu->s.cr0 & (CR0_EM | CR0_TS))
        return cpu_raise(cpu, VECTOR_NM);
    if (sse_misaligned(cpu, insn, address))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    return 0;
}

int exec_fxsave(struct cpu *cpu, const struct insn *insn)
{
    uint8_t area[AREA_HEADER];
    uint64_t address = insn_address(cpu, insn);
    unsigned length = AREA_XMM + 16 * vector_count(cpu);
    if (fxsave_check(cpu, insn, address))
        return CPU_FAULT;
    put_x87(cpu, insn, area);
    put_mxcsr(cpu, area);
    put_xmm(cpu, area);
    return memory_write_block(cpu, insn->seg, address, area, length);
}

int exec_fxrstor(struct cpu *cpu, const struct insn *insn)
{
    uint8_t area[AREA_HEADER];
    uint64_t address = insn_address(cpu, insn);
    if (fxsave_check(cpu, insn, address)
        || memory_read_block(cpu, insn->seg, address, area, sizeof area))
        return CPU_FAULT;
    if (load32(area + AREA_MXCSR) & ~MXCSR_VALID)
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    get_x87(cpu, insn, area);
    cpu->s.mxcsr = load32(area + AREA_MXCSR);
    get_xmm(cpu, area);
    return 0;
}

int exec_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value;
    if (sse_check(cpu) || memory_read32(cpu, insn->seg, insn_address(cpu, insn), &value))
        return CPU_FAULT;
    if (value & ~MXCSR_VALID)
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    cpu->s.mxcsr = value;
    return 0;
}

int exec_stmxcsr(struct cpu *cpu, const struct insn *insn)
{
    if (sse_check(cpu))
        return CPU_FAULT;
    return memory_write32(cpu, insn->seg, insn_address(cpu, insn), cpu->s.mxcsr);
}

/* XSAVE */

static bool all_zero(const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        if (bytes[i])
            return false;
    return true;
}

static bool x87_in_use(const struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    if (s->fcw != FCW_DEFAULT || s->fsw || s->ftw != 0xffff || s->fop || s->fip || s->fdp)
        return true;
    for (unsigned i = 0; i < 8; i++)
        if (s->x87[i].significand || s->x87[i].sign_exponent)
            return true;
    return false;
}

uint64_t xsave_in_use(const struct cpu *cpu)
{
    uint64_t in_use = (x87_in_use(cpu) ? COMPONENT_X87 : 0) | (cpu->s.pkru ? COMPONENT_PKRU : 0);
    for (unsigned i = 0; i < vector_count(cpu); i++) {
        if (!all_zero(cpu->s.vector[i], 16))
            in_use |= COMPONENT_SSE;
        if (!all_zero(cpu->s.vector[i] + 16, 16))
            in_use |= COMPONENT_AVX;
    }
    return in_use;
}

/* Checks that all of the family make; the components asked for. */
static int xsave_check(struct cpu *cpu, const struct insn *insn, uint64_t address, uint64_t *wanted)
{
    if (!(cpu->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(cpu, VECTOR_UD);
    if (cpu->s.cr0 & CR0_TS)
        return cpu_raise(cpu, VECTOR_NM);
    if ((cpu->access[insn->seg].base + address) & 63)
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    *wanted = ((uint64_t)register_read32(cpu, RDX) << 32 | register_read32(cpu, RAX))
              & cpu->s.xcr0 & COMPONENTS;
    return 0;
}

struct xsave_plan {
    uint64_t address;
    uint64_t wanted;     /* requested-feature bitmap */
    uint64_t saved;      /* components written */
    uint64_t state_bv;   /* new XSTATE_BV bits of `wanted` */
    bool mxcsr;
    bool compact;
};

/* Cannot fault: it was probed. */
static void write_part(struct cpu *cpu, const struct insn *insn, uint64_t address,
                       const uint8_t *area, unsigned first, unsigned end)
{
    memory_write_block(cpu, insn->seg, address + first, area + first, end - first);
}

/* Where PKRU lies in an image with these components. */
static unsigned pkru_offset(uint64_t components, bool compact)
{
    if (!compact)
        return AREA_PKRU;
    return components & COMPONENT_AVX ? AREA_END : AREA_AVX;
}

static int xsave_write(struct cpu *cpu, const struct insn *insn, const struct xsave_plan *plan)
{
    uint8_t area[AREA_END] = { 0 };
    uint64_t old_bv = 0, address = plan->address;
    unsigned xmm_end = AREA_XMM + 16 * vector_count(cpu);
    unsigned avx_end = AREA_AVX + 16 * vector_count(cpu);
    unsigned length = plan->wanted & COMPONENT_AVX ? avx_end : AREA_AVX;
    uint64_t pkru = address + pkru_offset(plan->wanted, plan->compact);
    if (memory_probe_write(cpu, insn->seg, address, length)
        || (plan->wanted & COMPONENT_PKRU && memory_probe_write(cpu, insn->seg, pkru, 8)))
        return CPU_FAULT;
    if (!plan->compact && memory_read64(cpu, insn->seg, address + AREA_HEADER, &old_bv))
        return CPU_FAULT;
    put_x87(cpu, insn, area);
    put_mxcsr(cpu, area);
    put_xmm(cpu, area);
    for (unsigned i = 0; i < vector_count(cpu); i++)
        memcpy(area + AREA_AVX + 16 * i, cpu->s.vector[i] + 16, 16);
    store64(area + AREA_HEADER, (old_bv & ~plan->wanted) | plan->state_bv);
    store64(area + AREA_HEADER + 8, plan->wanted | COMPACT);
    if (plan->saved & COMPONENT_X87) {
        write_part(cpu, insn, address, area, 0, AREA_MXCSR);
        write_part(cpu, insn, address, area, AREA_ST, AREA_XMM);
    }
    if (plan->mxcsr)
        write_part(cpu, insn, address, area, AREA_MXCSR, AREA_ST);
    if (plan->saved & COMPONENT_SSE)
        write_part(cpu, insn, address, area, AREA_XMM, xmm_end);
    if (plan->saved & COMPONENT_AVX)
        write_part(cpu, insn, address, area, AREA_AVX, avx_end);
    if (plan->saved & COMPONENT_PKRU)
        memory_write64(cpu, insn->seg, pkru, cpu->s.pkru);
    write_part(cpu, insn, address, area, AREA_HEADER, AREA_HEADER + (plan->compact ? 16 : 8));
    return 0;
}

int exec_xsave(struct cpu *cpu, const struct insn *insn)
{
    struct xsave_plan plan = { .address = insn_address(cpu, insn) };
    if (xsave_check(cpu, insn, plan.address, &plan.wanted))
        return CPU_FAULT;
    plan.saved = plan.wanted;
    plan.state_bv = plan.wanted & xsave_in_use(cpu);
    plan.mxcsr = plan.wanted & (COMPONENT_SSE | COMPONENT_AVX);
    return xsave_write(cpu, insn, &plan);
}

int exec_xsaveopt(struct cpu *cpu, const struct insn *insn)
{
    struct xsave_plan plan = { .address = insn_address(cpu, insn) };
    if (xsave_check(cpu, insn, plan.address, &plan.wanted))
        return CPU_FAULT;
    plan.saved = plan.state_bv = plan.wanted & xsave_in_use(cpu);
    plan.mxcsr = plan.wanted & (COMPONENT_SSE | COMPONENT_AVX);
    return xsave_write(cpu, insn, &plan);
}

/* XSAVEC and XSAVES; there is no supervisor component, IA32_XSS is always 0. */
static int xsave_compact(struct cpu *cpu, const struct insn *insn)
{
    struct xsave_plan plan = { .address = insn_address(cpu, insn), .compact = true };
    if (xsave_check(cpu, insn, plan.address, &plan.wanted))
        return CPU_FAULT;
    uint64_t in_use = xsave_in_use(cpu);
    if (cpu->s.mxcsr != MXCSR_DEFAULT)
        in_use |= COMPONENT_SSE;
    plan.saved = plan.state_bv = plan.wanted & in_use;
    plan.mxcsr = plan.saved & COMPONENT_SSE;
    return xsave_write(cpu, insn, &plan);
}

int exec_xsavec(struct cpu *cpu, const struct insn *insn)
{
    return xsave_compact(cpu, insn);
}

int exec_xsaves(struct cpu *cpu, const struct insn *insn)
{
    if (!(cpu->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(cpu, VECTOR_UD);
    TRY_FAULT(cpu_need_cpl0(cpu));
    return xsave_compact(cpu, insn);
}

/* The header's rules for XRSTOR: true if it raises #GP(0). Bit 63 of XSTATE_BV is no
 * component, whatever it is in XCOMP_BV: so do AMD's CPUs, and the SDM says nothing else. */
static bool xrstor_header_bad(const struct cpu *cpu, const uint8_t *header, bool must_compact)
{
    uint64_t state_bv = load64(header), comp_bv = load64(header + 8);
    if (comp_bv & COMPACT && cpu_has(cpu, FEATURE_XSAVEC))
        return (comp_bv & ~COMPACT & ~cpu->s.xcr0) || (state_bv & ~(comp_bv & ~COMPACT))
               || !all_zero(header + 16, 48);
    return must_compact || (state_bv & ~cpu->s.xcr0) || !all_zero(header + 8, 16);
}

static void x87_initialize(struct cpu *cpu)
{
    x87_reset(cpu);
    memset(cpu->s.x87, 0, sizeof cpu->s.x87);
}

static int xrstor(struct cpu *cpu, const struct insn *insn, bool must_compact)
{
    uint8_t area[AREA_END];
    uint64_t wanted, address = insn_address(cpu, insn);
    if (xsave_check(cpu, insn, address, &wanted)
        || memory_read_block(cpu, insn->seg, address, area, AREA_AVX))
        return CPU_FAULT;
    if (xrstor_header_bad(cpu, area + AREA_HEADER, must_compact))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    uint64_t comp_bv = load64(area + AREA_HEADER + 8), pkru = 0;
    bool compact = comp_bv & COMPACT;
    uint64_t present = load64(area + AREA_HEADER) & wanted;
    uint32_t mxcsr = load32(area + AREA_MXCSR);
    bool load_mxcsr = compact ? present & COMPONENT_SSE : wanted & (COMPONENT_SSE | COMPONENT_AVX);
    if (load_mxcsr && (mxcsr & ~MXCSR_VALID))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    if (present & COMPONENT_AVX
        && memory_read_block(cpu, insn->seg, address + AREA_AVX, area + AREA_AVX, 256))
        return CPU_FAULT;
    if (present & COMPONENT_PKRU
        && memory_read64(cpu, insn->seg, address + pkru_offset(comp_bv, compact), &pkru))
        return CPU_FAULT;
    if (present & COMPONENT_X87)
        get_x87(cpu, insn, area);
    else if (wanted & COMPONENT_X87)
        x87_initialize(cpu);
    if (load_mxcsr)
        cpu->s.mxcsr = mxcsr;
    else if (compact && wanted & COMPONENT_SSE)
        cpu->s.mxcsr = MXCSR_DEFAULT;
    if (!(present & COMPONENT_SSE))
        memset(area + AREA_XMM, 0, 256);
    if (wanted & COMPONENT_SSE)
        get_xmm(cpu, area);
    if (!(present & COMPONENT_AVX))
        memset(area + AREA_AVX, 0, 256);
    if (wanted & COMPONENT_AVX)
        for (unsigned i = 0; i < vector_count(cpu); i++)
            memcpy(cpu->s.vector[i] + 16, area + AREA_AVX + 16 * i, 16);
    if (wanted & COMPONENT_PKRU)
        control_set_pkru(cpu, (uint32_t)pkru);
    return 0;
}

int exec_xrstor(struct cpu *cpu, const struct insn *insn)
{
    return xrstor(cpu, insn, false);
}

int exec_xrstors(struct cpu *cpu, const struct insn *insn)
{
    if (!(cpu->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(cpu, VECTOR_UD);
    TRY_FAULT(cpu_need_cpl0(cpu));
    return xrstor(cpu, insn, true);
}
