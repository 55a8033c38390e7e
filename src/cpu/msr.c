/*
 * RDMSR, WRMSR and the time-stamp counter. (SDM vol. 4; vol. 3, chapters 11,
 * 15 and 17.17)
 *
 * Memory types (PAT, MTRR) are kept and do nothing. Machine-check banks exist
 * and never report. MSRs that are not listed raise #GP(0) and give a notice.
 *
 * Not modelled: performance counters, power and thermal MSRs, and records of
 * branches: no model's CPUID tells of a format of theirs (PDCM is clear).
 * DEBUGCTL.LBR can be written and stays 0; Intel's stacks of records are absent;
 * the four registers that all of AMD's processors have stay 0.
 */
#include "cpu/msr.h"

#include <stdio.h>

#define MSR_RANGE_AMD 0xc0010000u
#define BUS_RATIO 10u      /* TSC over a bus of 100 MHz */
#define MC_BANKS 4u
#define MTRR_VARIABLE 8u
#define MTRR_CAP (MTRR_VARIABLE | 1u << 8 | 1u << 10) /* fixed ranges, WC */
#define MTRR_DEF_VALID 0xcffull
#define MISC_ENABLE_VALID ((1ull << 0) | (1ull << 3) | (1ull << 7) | (1ull << 11) | (1ull << 12) \
                           | (1ull << 16) | (1ull << 18) | (1ull << 22) | (1ull << 23) \
                           | (1ull << 34))

uint64_t cpu_tsc(struct cpu *cpu)
{
    return cpu->bus.virtual_ns(cpu->bus.context, cpu) + cpu->s.tsc_offset;
}

static void tsc_move(struct cpu *cpu, uint64_t delta)
{
    cpu->s.tsc_offset += delta;
    cpu->s.tsc_adjust += delta;
    if (cpu->bus.tsc_changed)
        cpu->bus.tsc_changed(cpu->bus.context, cpu);
}

static int unknown(struct cpu *cpu, uint32_t number, bool write)
{
    char text[64];

    /* Kernels probe AMD's registers on any processor: no news. */
    if (cpu->bus.notice && (number & 0xffff0000) != MSR_RANGE_AMD) {
        snprintf(text, sizeof text, "%s of MSR %xh is not modelled: #GP", write ? "write" : "read",
                 number);
        cpu->bus.notice(cpu->bus.context, cpu, text);
    }
    return cpu_raise_gp0(cpu);
}

/* MSRs of the local APIC live in the machine. */
static bool is_device_msr(const struct cpu *cpu, uint32_t number)
{
    return (number == MSR_APIC_BASE && cpu_has(cpu, FEATURE_APIC))
           || (number == MSR_TSC_DEADLINE && cpu_has(cpu, FEATURE_TSC_DEADLINE))
           || (number >= MSR_X2APIC_FIRST && number <= MSR_X2APIC_LAST
               && cpu_has(cpu, FEATURE_X2APIC));
}

#define APIC_BASE_X2APIC (1ull << 10)
#define APIC_BASE_ENABLE (1ull << 11)

/* What the device does not know of the model: how wide addresses are, and
 * whether there is an x2APIC mode. */
static bool is_apic_base(const struct cpu *cpu, uint64_t value)
{
    return !(value >> cpu->model->physical_bits)
           && (!(value & APIC_BASE_X2APIC) || cpu_has(cpu, FEATURE_X2APIC));
}

static int write_device(struct cpu *cpu, uint32_t number, uint64_t value)
{
    if ((number == MSR_APIC_BASE && !is_apic_base(cpu, value))
        || cpu->bus.msr_write(cpu->bus.context, cpu, number, value))
        return cpu_raise_gp0(cpu);
    if (number == MSR_APIC_BASE)
        cpu->s.apic_off = !(value & APIC_BASE_ENABLE);
    cpu_attention(cpu);
    return 0;
}

/* Those of the memory type ranges, as `plain` below. */
static uint64_t *mtrr(struct cpu *cpu, uint32_t number, uint64_t *valid)
{
    struct cpu_state *s = &cpu->s;

    if (!cpu_has(cpu, FEATURE_MTRR))
        return NULL;
    switch (number) {
    case MSR_MTRR_DEF_TYPE: *valid = MTRR_DEF_VALID; return &s->mtrr_def_type;
    case MSR_MTRR_FIX64K: return &s->mtrr_fixed[0];
    case MSR_MTRR_FIX16K_80000: return &s->mtrr_fixed[1];
    case MSR_MTRR_FIX16K_A0000: return &s->mtrr_fixed[2];
    default: break;
    }
    if (number >= MSR_MTRR_FIX4K_C0000 && number < MSR_MTRR_FIX4K_C0000 + 8)
        return &s->mtrr_fixed[3 + number - MSR_MTRR_FIX4K_C0000];
    if (number < MSR_MTRR_BASE0 || number >= MSR_MTRR_BASE0 + 2 * MTRR_VARIABLE)
        return NULL;
    uint64_t address = (1ull << cpu->model->physical_bits) - 1;
    unsigned index = (number - MSR_MTRR_BASE0) / 2;
    *valid = address & (number & 1 ? ~0x7ffull : ~0xf00ull);
    return number & 1 ? &s->mtrr_mask[index] : &s->mtrr_base[index];
}

/* The place of a plain 64-bit MSR in the state, NULL when it is not one.
 * *valid: the bits that a write may set. */
static uint64_t *plain(struct cpu *cpu, uint32_t number, uint64_t *valid)
{
    struct cpu_state *s = &cpu->s;

    *valid = ~0ull;
    switch (number) {
    case MSR_STAR: return &s->star;
    case MSR_SFMASK: *valid = 0xffffffff; return &s->sfmask;
    case MSR_SYSENTER_CS: *valid = 0xffffffff; return &s->sysenter_cs;
    case MSR_MISC_ENABLE: *valid = MISC_ENABLE_VALID; return &s->misc_enable;
    case MSR_DEBUGCTL: return &s->debugctl;
    case MSR_MCG_STATUS: *valid = 7; return &s->mcg_status;
    case MSR_MCG_CTL: return &s->mcg_ctl;
    case MSR_TSC_AUX: *valid = 0xffffffff; return &s->tsc_aux;
    case MSR_XSS:
        *valid = 0;
        return cpu_has(cpu, FEATURE_XSAVES) ? &s->xss : NULL;
    default: break;
    }
    if (number >= MSR_MC0_CTL && number < MSR_MC0_CTL + 4 * MC_BANKS)
        return &s->mc_bank[(number - MSR_MC0_CTL) / 4][number & 3];
    return mtrr(cpu, number, valid);
}

/* MSRs whose value must be a canonical address. */
static uint64_t *canonical(struct cpu *cpu, uint32_t number)
{
    struct cpu_state *s = &cpu->s;

    switch (number) {
    case MSR_LSTAR: return &s->lstar;
    case MSR_CSTAR: return &s->cstar;
    case MSR_FS_BASE: return &s->seg[FS].base;
    case MSR_GS_BASE: return &s->seg[GS].base;
    case MSR_KERNEL_GS_BASE: return &s->kernel_gs_base;
    case MSR_SYSENTER_ESP: return &s->sysenter_esp;
    case MSR_SYSENTER_EIP: return &s->sysenter_eip;
    default: return NULL;
    }
}

/* Values that no write changes. */
static bool constant(const struct cpu *cpu, uint32_t number, uint64_t *value)
{
    switch (number) {
    case MSR_PLATFORM_ID: *value = 0; return true;
    case MSR_FEATURE_CONTROL: *value = 1; return true; /* locked, nothing enabled */
    case MSR_PLATFORM_INFO: *value = BUS_RATIO << 8 | (uint64_t)BUS_RATIO << 40; return true;
    case MSR_MTRR_CAP: *value = MTRR_CAP; return cpu_has(cpu, FEATURE_MTRR);
    case MSR_MISC_FEATURES: *value = 0; return true;
    case MSR_MCG_CAP: *value = MC_BANKS | 1u << 8; return true;
    case MSR_SMBASE: *value = cpu->s.smbase; return cpu->s.smm;
    case MSR_LAST_BRANCH_FROM: case MSR_LAST_BRANCH_TO: case MSR_LAST_INT_FROM:
    case MSR_LAST_INT_TO:
        *value = 0;
        return cpu_model_is_amd(cpu->model);
    default: return false;
    }
}

int msr_read(struct cpu *cpu, uint32_t number, uint64_t *value)
{
    uint64_t valid;
    const uint64_t *place = canonical(cpu, number);

    if (!place)
        place = plain(cpu, number, &valid);
    if (place) {
        *value = *place;
        return 0;
    }
    switch (number) {
    case MSR_TSC: *value = cpu_tsc(cpu); return 0;
    case MSR_EFER: *value = cpu->s.efer; return 0;
    case MSR_PAT:
        if (!cpu_has(cpu, FEATURE_PAT))
            break;
        *value = cpu->s.pat;
        return 0;
    case MSR_PKRS:
        if (!cpu_has(cpu, FEATURE_PKS))
            break;
        *value = cpu->s.pkrs;
        return 0;
    case MSR_MICROCODE_VERSION: *value = cpu->s.microcode_version; return 0;
    case MSR_TSC_ADJUST:
        if (!cpu_has(cpu, FEATURE_TSC_ADJUST))
            break;
        *value = cpu->s.tsc_adjust;
        return 0;
    default: break;
    }
    if (constant(cpu, number, value))
        return 0;
    if (is_device_msr(cpu, number))
        return cpu->bus.msr_read(cpu->bus.context, cpu, number, value) ? cpu_raise_gp0(cpu) : 0;
    return unknown(cpu, number, false);
}

/* Memory types 0, 1, 4, 5, 6 and, in PAT, 7. */
static bool is_memory_type(uint64_t type, bool pat)
{
    return type == 0 || type == 1 || (type >= 4 && type <= (pat ? 7 : 6));
}

static bool is_pat(uint64_t value)
{
    for (unsigned i = 0; i < 8; i++)
        if (!is_memory_type(value >> 8 * i & 0xff, true))
            return false;
    return true;
}

static bool is_fixed_mtrr(uint32_t number)
{
    return number >= MSR_MTRR_FIX64K && number < MSR_MTRR_FIX4K_C0000 + 8 && number != MSR_PAT;
}

/* CTL: everything or nothing is reported (kernels leave out bit 10, on a GART, or
 * bit 0). STATUS is only cleared. For ADDR and MISC the SDM says so too; test
 * kernels expect what they write, and nothing needs the fault. */
static bool is_bank_value(unsigned which, uint64_t value)
{
    if (which == 0)
        return value == 0 || (value | 1u << 10 | 1) == ~0ull;
    return which != 1 || value == 0;
}

/* What the MTRRs and MC banks demand beyond their valid bits. */
static bool is_plain_value(uint32_t number, uint64_t value)
{
    if (is_fixed_mtrr(number)) {
        for (unsigned i = 0; i < 8; i++)
            if (!is_memory_type(value >> 8 * i & 0xff, false))
                return false;
    }
    if (number == MSR_MTRR_DEF_TYPE)
        return is_memory_type(value & 0xff, false);
    if (number >= MSR_MTRR_BASE0 && number < MSR_MTRR_BASE0 + 2 * MTRR_VARIABLE && !(number & 1))
        return is_memory_type(value & 0xff, false);
    if (number >= MSR_MC0_CTL && number < MSR_MC0_CTL + 4 * MC_BANKS)
        return is_bank_value(number & 3, value);
    return true;
}

/* Writes with an effect. Returns 0, CPU_FAULT, or -1: not one of them. */
static int write_special(struct cpu *cpu, uint32_t number, uint64_t value)
{
    switch (number) {
    case MSR_TSC:
        tsc_move(cpu, value - cpu_tsc(cpu));
        return 0;
    case MSR_TSC_ADJUST:
        if (!cpu_has(cpu, FEATURE_TSC_ADJUST))
            return -1;
        tsc_move(cpu, value - cpu->s.tsc_adjust);
        return 0;
    case MSR_EFER:
        return control_write_efer(cpu, value);
    case MSR_PAT:
        if (!cpu_has(cpu, FEATURE_PAT))
            return -1;
        if (!is_pat(value))
            return cpu_raise_gp0(cpu);
        cpu->s.pat = value;
        return 0;
    case MSR_DEBUGCTL:
        if (value & ~(DEBUGCTL_LBR | DEBUGCTL_BTF))
            return cpu_raise_gp0(cpu);
        cpu->s.debugctl = value & DEBUGCTL_BTF;
        return 0;
    case MSR_PKRS:
        if (!cpu_has(cpu, FEATURE_PKS))
            return -1;
        if (value >> 32)
            return cpu_raise_gp0(cpu);
        control_set_pkrs(cpu, (uint32_t)value);
        return 0;
    case MSR_MICROCODE_VERSION: /* 0 is written before CPUID fills it in */
    case MSR_UPDATE_TRIGGER:    /* no update fits this processor */
    case MSR_PLATFORM_ID:
        return 0;
    case MSR_MISC_FEATURES:
        return value ? cpu_raise_gp0(cpu) : 0;
    default:
        return -1;
    }
}

int msr_write(struct cpu *cpu, uint32_t number, uint64_t value)
{
    uint64_t valid, ignored;
    uint64_t *place = canonical(cpu, number);

    if (place) {
        if (!cpu_canonical_base(cpu, value))
            return cpu_raise_gp0(cpu);
        *place = value;
        if (number == MSR_FS_BASE || number == MSR_GS_BASE)
            cpu_update_segment(cpu, number == MSR_FS_BASE ? FS : GS);
        return 0;
    }
    int result = write_special(cpu, number, value);
    if (result >= 0)
        return result;
    place = plain(cpu, number, &valid);
    if (place) {
        if ((value & ~valid) || !is_plain_value(number, value))
            return cpu_raise_gp0(cpu);
        *place = value;
        return 0;
    }
    if (is_device_msr(cpu, number))
        return write_device(cpu, number, value);
    if (constant(cpu, number, &ignored))
        return cpu_raise_gp0(cpu);
    return unknown(cpu, number, true);
}

static void write_pair(struct cpu *cpu, uint64_t value)
{
    register_write32(cpu, RAX, (uint32_t)value);
    register_write32(cpu, RDX, (uint32_t)(value >> 32));
}

int exec_rdmsr(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value;

    (void)insn;
    TRY_FAULT(cpu_need_cpl0(cpu));
    TRY_FAULT(msr_read(cpu, register_read32(cpu, RCX), &value));
    write_pair(cpu, value);
    return 0;
}

int exec_wrmsr(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = (uint64_t)register_read32(cpu, RDX) << 32 | register_read32(cpu, RAX);

    (void)insn;
    TRY_FAULT(cpu_need_cpl0(cpu));
    return msr_write(cpu, register_read32(cpu, RCX), value);
}

static int check_tsd(struct cpu *cpu)
{
    return (cpu->s.cr4 & CR4_TSD) && cpu->s.cpl > 0 ? cpu_raise_gp0(cpu) : 0;
}

int exec_rdtsc(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(check_tsd(cpu));
    write_pair(cpu, cpu_tsc(cpu));
    return 0;
}

int exec_rdtscp(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(check_tsd(cpu));
    write_pair(cpu, cpu_tsc(cpu));
    register_write32(cpu, RCX, (uint32_t)cpu->s.tsc_aux);
    return 0;
}

int exec_rdpid(struct cpu *cpu, const struct insn *insn)
{
    register_write64(cpu, insn->rm, cpu->s.tsc_aux);
    return 0;
}

/* There is no counter to read. */
int exec_rdpmc(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return cpu_raise_gp0(cpu);
}
