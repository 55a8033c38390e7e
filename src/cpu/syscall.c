/*
 * Fast system calls and the FS and GS bases. (SDM vol. 2: SYSCALL, SYSRET,
 * SYSENTER, SYSEXIT, SWAPGS, RDFSBASE ...)
 *
 * As on Intel's processors: SYSCALL and SYSRET exist only in 64-bit code, and
 * SYSRET with a non-canonical RCX faults before privilege changes. As on AMD's,
 * for a model of that vendor (AMD64 manual vol. 3): they exist in compatibility
 * mode and in protected mode too, and SYSENTER and SYSEXIT do not in long mode;
 * SYSRET leaves all of SS but its selector alone, and takes a non-canonical
 * RCX, where the fetch then faults in ring 3.
 */
#include "cpu/segment.h"
#include "cpu/system.h"

/* Flat CS and SS, not read from any table. The RPL of SS is what it happens to be. */
static void enter_flat(struct cpu *cpu, uint16_t cs, uint16_t ss, unsigned cpl, bool wide)
{
    uint16_t dpl = (uint16_t)(cpl << SEGMENT_DPL_SHIFT);
    struct segment code = { 0, 0xffffffff, cs,
                            (uint16_t)(SEGMENT_FLAT_CODE | dpl
                                       | (wide ? SEGMENT_L : SEGMENT_DB)) };

    cpu->s.seg[SS] = (struct segment){ 0, 0xffffffff, ss, (uint16_t)(SEGMENT_FLAT_DATA | SEGMENT_DB | dpl) };
    segment_enter_code(cpu, &code, cpl);
}

/* SYSCALL outside long mode: the target is in STAR, and no flags are saved. */
static int syscall_legacy(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;
    uint16_t selector = (uint16_t)(s->star >> 32);

    if (!cpu_uses_descriptors(cpu))
        return cpu_raise(cpu, VECTOR_UD);
    s->gpr[RCX] = insn_next(cpu, insn);
    s->gpr[RIP] = (uint32_t)s->star;
    s->rflags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    enter_flat(cpu, selector & 0xfffc, (uint16_t)(selector + 8), 0, false);
    return 0;
}

int exec_syscall(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;

    if (!(s->efer & EFER_SCE))
        return cpu_raise(cpu, VECTOR_UD);
    if (!cpu_long_mode(cpu))
        return syscall_legacy(cpu, insn);
    uint64_t rflags = flags_to_rflags(cpu);
    uint16_t selector = (uint16_t)(s->star >> 32);
    s->gpr[RCX] = insn_next(cpu, insn);
    s->gpr[R11] = rflags & ~FLAG_RF;
    s->gpr[RIP] = cpu_code64(cpu) ? s->lstar : s->cstar;
    flags_from_rflags(cpu, rflags & ~s->sfmask & ~FLAG_RF);
    enter_flat(cpu, selector & 0xfffc, (uint16_t)(selector + 8), 0, true);
    return 0;
}

/* SS as it was but for the selector that was loaded. */
static void keep_stack(struct cpu *cpu, const struct segment *before)
{
    uint16_t selector = cpu->s.seg[SS].selector;

    cpu->s.seg[SS] = *before;
    cpu->s.seg[SS].selector = selector;
    cpu_update_segment(cpu, SS);
}

int exec_sysret(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;
    bool wide = insn->operand_bytes == 8, amd = cpu_model_is_amd(cpu->model);
    uint16_t selector = (uint16_t)(s->star >> 48);
    struct segment ss = s->seg[SS];

    if (!(s->efer & EFER_SCE))
        return cpu_raise(cpu, VECTOR_UD);
    if (!cpu_protected(cpu) || s->cpl != 0)
        return cpu_raise_gp0(cpu);
    if (wide && !amd && !cpu_canonical(cpu, s->gpr[RCX]))
        return cpu_raise_gp0(cpu);
    s->gpr[RIP] = wide ? s->gpr[RCX] : (uint32_t)s->gpr[RCX];
    if (cpu_code64(cpu))
        flags_from_rflags(cpu, s->gpr[R11] & SYSRET_FLAGS);
    else
        s->rflags |= FLAG_IF;
    enter_flat(cpu, (uint16_t)((selector + (wide ? 16 : 0)) | 3), (uint16_t)(selector + 8) | 3, 3, wide);
    if (amd)
        keep_stack(cpu, &ss);
    if (s->rflags & FLAG_TF)
        s->pending_debug |= DR6_BS; /* as if of the SYSCALL that is returned from */
    cpu_events_unmasked(cpu);
    return 0;
}

static bool sysenter_exists(const struct cpu *cpu)
{
    return !cpu_long_mode(cpu) || !cpu_model_is_amd(cpu->model);
}

int exec_sysenter(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;
    bool wide = cpu_long_mode(cpu);
    uint16_t selector = (uint16_t)(s->sysenter_cs & 0xfffc);

    (void)insn;
    if (!sysenter_exists(cpu))
        return cpu_raise(cpu, VECTOR_UD);
    if (!cpu_protected(cpu) || selector == 0)
        return cpu_raise_gp0(cpu);
    s->rflags &= ~(FLAG_VM | FLAG_IF | FLAG_RF);
    s->gpr[RSP] = wide ? s->sysenter_esp : (uint32_t)s->sysenter_esp;
    s->gpr[RIP] = wide ? s->sysenter_eip : (uint32_t)s->sysenter_eip;
    enter_flat(cpu, selector, (uint16_t)(selector + 8), 0, wide);
    return 0;
}

int exec_sysexit(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;
    bool wide = insn->operand_bytes == 8;
    uint16_t selector = (uint16_t)(s->sysenter_cs & 0xfffc);

    if (!sysenter_exists(cpu))
        return cpu_raise(cpu, VECTOR_UD);
    if (!cpu_protected(cpu) || selector == 0 || s->cpl != 0)
        return cpu_raise_gp0(cpu);
    if (wide && (!cpu_canonical(cpu, s->gpr[RCX]) || !cpu_canonical(cpu, s->gpr[RDX])))
        return cpu_raise_gp0(cpu);
    s->gpr[RSP] = wide ? s->gpr[RCX] : (uint32_t)s->gpr[RCX];
    s->gpr[RIP] = wide ? s->gpr[RDX] : (uint32_t)s->gpr[RDX];
    selector = (uint16_t)(selector + (wide ? 32 : 16));
    enter_flat(cpu, selector | 3, (uint16_t)(selector + 8) | 3, 3, wide);
    cpu_events_unmasked(cpu);
    return 0;
}

static void set_base(struct cpu *cpu, unsigned seg, uint64_t base)
{
    cpu->s.seg[seg].base = base;
    cpu->access[seg].base = base; /* 64-bit code: nothing else depends on it */
}

int exec_swapgs(struct cpu *cpu, const struct insn *insn)
{
    uint64_t base = cpu->s.seg[GS].base;

    (void)insn;
    TRY_FAULT(cpu_need_cpl0(cpu));
    set_base(cpu, GS, cpu->s.kernel_gs_base);
    cpu->s.kernel_gs_base = base;
    return 0;
}

static int read_base(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
    uint64_t base = cpu->s.seg[seg].base;

    if (!(cpu->s.cr4 & CR4_FSGSBASE))
        return cpu_raise(cpu, VECTOR_UD);
    cpu->s.gpr[insn->rm] = insn->operand_bytes == 8 ? base : (uint32_t)base;
    return 0;
}

static int write_base(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
    uint64_t base = cpu->s.gpr[insn->rm];

    if (!(cpu->s.cr4 & CR4_FSGSBASE))
        return cpu_raise(cpu, VECTOR_UD);
    if (insn->operand_bytes != 8)
        base = (uint32_t)base;
    if (!cpu_canonical_base(cpu, base))
        return cpu_raise_gp0(cpu);
    set_base(cpu, seg, base);
    return 0;
}

int exec_rdfsbase(struct cpu *cpu, const struct insn *insn) { return read_base(cpu, insn, FS); }
int exec_rdgsbase(struct cpu *cpu, const struct insn *insn) { return read_base(cpu, insn, GS); }
int exec_wrfsbase(struct cpu *cpu, const struct insn *insn) { return write_base(cpu, insn, FS); }
int exec_wrgsbase(struct cpu *cpu, const struct insn *insn) { return write_base(cpu, insn, GS); }
