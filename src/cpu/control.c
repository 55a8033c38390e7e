/*
 * Control registers, EFER, protection keys, and what drops translations and
 * caches. (SDM vol. 3, sections 2.5, 4.4 to 4.6 and 9.8; vol. 2, MOV CR, LMSW,
 * INVLPG, INVPCID, RDPKRU, WRPKRU)
 *
 * Not modelled: caches (INVD, WBINVD, CD and NW do nothing).
 */
#include "cpu/segment.h"
#include "cpu/system.h"

#define CR0_KEPT                                                                                   \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | CR0_PG)
#define CR3_KEEP_PCID (1ull << 63)

/* PAE paging outside of long mode, which has its PDPTEs in registers. */
static bool uses_pdptes(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    return (cr0 & CR0_PG) && (cr4 & CR4_PAE) && !(efer & EFER_LMA);
}

/* The switch to or from long mode when PG changes under EFER.LME. */
static int check_long_switch(struct cpu *cpu, uint64_t value, uint64_t *efer)
{
    struct cpu_state *s = &cpu->s;
    bool on = value & CR0_PG;

    *efer = s->efer;
    if (on == !!(s->cr0 & CR0_PG))
        return 0;
    if (on && (s->efer & EFER_LME)) {
        if (!(s->cr4 & CR4_PAE) || (s->seg[CS].attributes & SEGMENT_L)
            || segment_type(&s->tr) < TYPE_TSS32)
            return cpu_raise_gp0(cpu);
        *efer |= EFER_LMA;
    } else if (!on) {
        if (cpu_code64(cpu) || (s->cr4 & CR4_PCIDE))
            return cpu_raise_gp0(cpu);
        *efer &= ~EFER_LMA;
    }
    return 0;
}

int control_write_cr0(struct cpu *cpu, uint64_t value)
{
    struct cpu_state *s = &cpu->s;
    uint64_t efer;

    if (value >> 32 || ((value & CR0_PG) && !(value & CR0_PE))
        || ((value & CR0_NW) && !(value & CR0_CD)))
        return cpu_raise_gp0(cpu);
    value = (value & CR0_KEPT) | CR0_ET;
    TRY_FAULT(check_long_switch(cpu, value, &efer));
    uint64_t changed = value ^ s->cr0;
    if (uses_pdptes(value, s->cr4, efer) && (changed & (CR0_PG | CR0_CD | CR0_NW)))
        TRY_FAULT(mmu_load_pdptes(cpu, s->cr3));
    s->cr0 = value;
    s->efer = efer;
    if (changed & (CR0_PG | CR0_PE | CR0_WP)) {
        mmu_flush(cpu);
        cpu_update_mode(cpu);
    }
    cpu_end_block(cpu);
    return 0;
}

uint64_t control_cr3_valid(const struct cpu *cpu)
{
    uint64_t address = (1ull << cpu->model->physical_bits) - 1;
    return address | (cpu_has(cpu, FEATURE_LAM) ? CR3_LAM_U48 | CR3_LAM_U57 : 0);
}

/* The backing page of the table that a CR3 points to; PHYSMEM_MMIO if it is not RAM. */
static uint32_t top_table(const struct cpu *cpu, uint64_t cr3)
{
    uint64_t address = cr3 & 0x000ffffffffff000ull;
    uint32_t page = mmu_write_page(cpu, address);
    return page < PHYSMEM_DISCARD && page == mmu_read_page(cpu, address) ? page : PHYSMEM_MMIO;
}

int control_write_cr3(struct cpu *cpu, uint64_t value)
{
    struct cpu_state *s = &cpu->s;

    if (cpu_long_mode(cpu)) {
        if (s->cr4 & CR4_PCIDE)
            value &= ~CR3_KEEP_PCID;
        if (value & ~control_cr3_valid(cpu))
            return cpu_raise_gp0(cpu);
    }
    if (uses_pdptes(s->cr0, s->cr4, s->efer))
        TRY_FAULT(mmu_load_pdptes(cpu, value));
    else if (value == s->cr3)
        return 0;
    uint32_t before = top_table(cpu, s->cr3), after = top_table(cpu, value);
    s->cr3 = value;
    if (cpu_long_mode(cpu) && !s->smm && before != PHYSMEM_MMIO && after != PHYSMEM_MMIO)
        tlb_enter_space(cpu, after);
    else
        mmu_flush(cpu);
    cpu_refetch(cpu);
    return 0;
}

/* The CR4 bits that the model's features make valid. */
static uint64_t cr4_valid(const struct cpu *cpu)
{
    static const struct { uint64_t bits; enum cpu_feature feature; } table[] = {
        { CR4_VME | CR4_PVI, FEATURE_VME }, { CR4_TSD, FEATURE_TSC }, { CR4_DE, FEATURE_DE },
        { CR4_PSE, FEATURE_PSE }, { CR4_PAE, FEATURE_PAE }, { CR4_MCE, FEATURE_MCE },
        { CR4_PGE, FEATURE_PGE }, { CR4_OSFXSR, FEATURE_FXSR }, { CR4_OSXMMEXCPT, FEATURE_SSE },
        { CR4_UMIP, FEATURE_UMIP }, { CR4_LA57, FEATURE_LA57 },
        { CR4_FSGSBASE, FEATURE_FSGSBASE }, { CR4_PCIDE, FEATURE_PCID },
        { CR4_OSXSAVE, FEATURE_XSAVE }, { CR4_SMEP, FEATURE_SMEP }, { CR4_SMAP, FEATURE_SMAP },
        { CR4_PKE, FEATURE_PKU }, { CR4_PKS, FEATURE_PKS }, { CR4_LAM_SUP, FEATURE_LAM },
    };
    uint64_t valid = CR4_PCE;

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++)
        if (cpu_has(cpu, table[i].feature))
            valid |= table[i].bits;
    return valid;
}

int control_write_cr4(struct cpu *cpu, uint64_t value)
{
    struct cpu_state *s = &cpu->s;
    uint64_t changed = value ^ s->cr4;
    /* PGE and PCIDE tell what to keep of translations, and change none. */
    const uint64_t paging = CR4_PSE | CR4_PAE | CR4_SMEP | CR4_SMAP | CR4_PKE | CR4_PKS | CR4_LA57;

    if (value & ~cr4_valid(cpu))
        return cpu_raise_gp0(cpu);
    if (cpu_long_mode(cpu) && (!(value & CR4_PAE) || (changed & CR4_LA57)))
        return cpu_raise_gp0(cpu);
    if ((changed & value & CR4_PCIDE) && (!cpu_long_mode(cpu) || (s->cr3 & CR3_PCID)))
        return cpu_raise_gp0(cpu);
    if (uses_pdptes(s->cr0, value, s->efer) && (changed & (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP)))
        TRY_FAULT(mmu_load_pdptes(cpu, s->cr3));
    s->cr4 = value;
    if (changed & paging)
        mmu_flush(cpu);
    cpu_end_block(cpu);
    return 0;
}

int control_write_efer(struct cpu *cpu, uint64_t value)
{
    struct cpu_state *s = &cpu->s;
    uint64_t valid = (cpu_has(cpu, FEATURE_SYSCALL) ? EFER_SCE : 0)
                     | (cpu_has(cpu, FEATURE_LM) ? EFER_LME | EFER_LMA : 0)
                     | (cpu_has(cpu, FEATURE_NX) ? EFER_NXE : 0);

    if (value & ~valid)
        return cpu_raise_gp0(cpu);
    value = (value & ~EFER_LMA) | (s->efer & EFER_LMA); /* LMA follows PG */
    uint64_t changed = value ^ s->efer;
    if ((changed & EFER_LME) && (s->cr0 & CR0_PG))
        return cpu_raise_gp0(cpu);
    s->efer = value;
    if (changed & EFER_NXE)
        mmu_flush(cpu);
    return 0;
}

/* A general register in the width that MOV to and from CR and DR has. */
static uint64_t read_wide(const struct cpu *cpu, unsigned r)
{
    return cpu_code64(cpu) ? register_read64(cpu, r) : register_read32(cpu, r);
}

static void write_wide(struct cpu *cpu, unsigned r, uint64_t value)
{
    if (cpu_code64(cpu))
        register_write64(cpu, r, value);
    else
        register_write32(cpu, r, (uint32_t)value);
}

/* Which control registers there are: what else is encoded is no instruction,
 * at any privilege. */
static int check_number(struct cpu *cpu, const struct insn *insn)
{
    const unsigned exist = 1u << 0 | 1u << 2 | 1u << 3 | 1u << 4 | 1u << 8;

    if (!(exist >> insn->reg & 1))
        return cpu_raise(cpu, VECTOR_UD);
    return cpu_need_cpl0(cpu);
}

int exec_mov_r_cr(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value;

    TRY_FAULT(check_number(cpu, insn));
    switch (insn->reg) {
    case 0: value = cpu->s.cr0; break;
    case 2: value = cpu->s.cr2; break;
    case 3: value = cpu->s.cr3; break;
    case 4: value = cpu->s.cr4; break;
    default: value = cpu->bus.tpr_read(cpu->bus.context, cpu) & 15; break;
    }
    write_wide(cpu, insn->rm, value);
    return 0;
}

int exec_mov_cr_r(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = read_wide(cpu, insn->rm);

    TRY_FAULT(check_number(cpu, insn));
    switch (insn->reg) {
    case 0:
        return control_write_cr0(cpu, value);
    case 2:
        cpu->s.cr2 = value;
        return 0;
    case 3:
        return control_write_cr3(cpu, value);
    case 4:
        return control_write_cr4(cpu, value);
    default:
        if (value > 15)
            return cpu_raise_gp0(cpu);
        cpu->bus.tpr_write(cpu->bus.context, cpu, value);
        cpu_attention(cpu);
        return 0;
    }
}

int exec_clts(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(cpu_need_cpl0(cpu));
    cpu->s.cr0 &= ~CR0_TS;
    return 0;
}

static int write_msw(struct cpu *cpu, uint16_t value)
{
    /* PE can be set this way, not cleared. */
    uint64_t low = CR0_MP | CR0_EM | CR0_TS;
    return control_write_cr0(cpu, (cpu->s.cr0 & ~low) | (value & (low | CR0_PE)));
}

int exec_lmsw_r(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(cpu_need_cpl0(cpu));
    return write_msw(cpu, register_read16(cpu, insn->rm));
}

int exec_lmsw_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t value;
    TRY_FAULT(cpu_need_cpl0(cpu));
    TRY_FAULT(memory_read16(cpu, insn->seg, insn_address(cpu, insn), &value));
    return write_msw(cpu, value);
}

int exec_smsw_r(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(cpu_check_umip(cpu));
    if (insn->operand_bytes == 2)
        register_write16(cpu, insn->rm, (uint16_t)cpu->s.cr0);
    else
        register_write64(cpu, insn->rm, cpu->s.cr0);
    return 0;
}

int exec_smsw_m(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(cpu_check_umip(cpu));
    return memory_write16(cpu, insn->seg, insn_address(cpu, insn), (uint16_t)cpu->s.cr0);
}

/* What is cached is what a walk would find: nothing need go. */
int exec_invlpg(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return cpu_need_cpl0(cpu);
}

int exec_invpcid(struct cpu *cpu, const struct insn *insn)
{
    uint64_t type = read_wide(cpu, insn->reg);
    struct memory_128 target;

    TRY_FAULT(cpu_need_cpl0(cpu));
    TRY_FAULT(memory_read128(cpu, insn->seg, insn_address(cpu, insn), &target));
    bool pcide = cpu->s.cr4 & CR4_PCIDE;
    if (type > 3 || target.low >> 12 || (type < 2 && !pcide && target.low)
        || (type == 0 && !cpu_canonical_base(cpu, target.high)))
        return cpu_raise_gp0(cpu);
    return 0; /* as INVLPG */
}

/* The keys' rights are part of what the TLB has decided. */
static void keys_changed(struct cpu *cpu, uint64_t enabled_by)
{
    if (cpu->s.cr4 & enabled_by)
        mmu_flush(cpu);
}

void control_set_pkru(struct cpu *cpu, uint32_t value)
{
    bool changed = cpu->s.pkru != value;
    cpu->s.pkru = value;
    if (changed)
        keys_changed(cpu, CR4_PKE);
}

void control_set_pkrs(struct cpu *cpu, uint32_t value)
{
    bool changed = cpu->s.pkrs != value;
    cpu->s.pkrs = value;
    if (changed)
        keys_changed(cpu, CR4_PKS);
}

static int check_pkru(struct cpu *cpu, bool write)
{
    if (!(cpu->s.cr4 & CR4_PKE))
        return cpu_raise(cpu, VECTOR_UD);
    if (register_read32(cpu, RCX) != 0 || (write && register_read32(cpu, RDX) != 0))
        return cpu_raise_gp0(cpu);
    return 0;
}

int exec_rdpkru(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(check_pkru(cpu, false));
    register_write32(cpu, RAX, (uint32_t)cpu->s.pkru);
    register_write32(cpu, RDX, 0);
    return 0;
}

int exec_wrpkru(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(check_pkru(cpu, true));
    control_set_pkru(cpu, register_read32(cpu, RAX));
    return 0;
}

int exec_wbinvd(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(cpu_need_cpl0(cpu));
    return 0;
}
