/*
 * HLT, MONITOR/MWAIT, CPUID, CLAC/STAC, XGETBV/XSETBV. (SDM vol. 2)
 *
 * Not modelled: MWAIT's hints; a store to the monitored line does not end
 * MWAIT, which therefore completes at once when no interrupt could end it.
 */
#include "cpu/exec_x87.h"
#include "cpu/system.h"

int exec_hlt(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    TRY_FAULT(cpu_need_cpl0(cpu));
    cpu->s.activity = CPU_HALTED;
    cpu_attention(cpu);
    return 0;
}

int exec_monitor(struct cpu *cpu, const struct insn *insn)
{
    uint64_t offset = cpu->s.gpr[RAX] & (~0ull >> insn->address_shift);
    uint8_t byte;

    if (cpu->s.cpl != 0)
        return cpu_raise(cpu, VECTOR_UD);
    if (cpu->s.gpr[RCX] & 0xffffffff)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(memory_read8(cpu, memory_segment(cpu, insn->prefixes & PREFIX_SEGMENT ? insn->segment : DS),
                           offset, &byte));
    cpu->s.monitor_armed = 1;
    cpu->s.monitor_address = offset;
    return 0;
}

int exec_mwait(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    if (cpu->s.cpl != 0)
        return cpu_raise(cpu, VECTOR_UD);
    if (cpu->s.gpr[RCX] & 0xfffffffe)
        return cpu_raise_gp0(cpu);
    cpu->s.monitor_armed = 0;
    if (cpu->multiprocessor) { /* a spurious wake-up is allowed; see above */
        cpu->s.yield = 1;
        cpu_attention(cpu); /* at once: when the next look comes is nothing that a guest may see */
    }
    return 0;
}

int exec_cpuid(struct cpu *cpu, const struct insn *insn)
{
    uint32_t out[4];

    (void)insn;
    cpu_cpuid(cpu, register_read32(cpu, RAX), register_read32(cpu, RCX), out);
    register_write32(cpu, RAX, out[0]);
    register_write32(cpu, RBX, out[1]);
    register_write32(cpu, RCX, out[2]);
    register_write32(cpu, RDX, out[3]);
    return 0;
}

static int set_ac(struct cpu *cpu, uint64_t ac)
{
    if (cpu->s.cpl != 0)
        return cpu_raise(cpu, VECTOR_UD);
    cpu->s.rflags = (cpu->s.rflags & ~FLAG_AC) | ac;
    cpu_update_privilege(cpu);
    return 0;
}

int exec_clac(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return set_ac(cpu, 0);
}

int exec_stac(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return set_ac(cpu, FLAG_AC);
}

/* XCR0 bits that exist: x87, SSE, and AVX and PKRU when the model has them. */
static uint64_t xcr0_valid(const struct cpu *cpu)
{
    return 3 | (cpu_has(cpu, FEATURE_AVX) ? 4 : 0) | (cpu_has(cpu, FEATURE_PKU) ? 0x200 : 0);
}

int exec_xgetbv(struct cpu *cpu, const struct insn *insn)
{
    uint32_t index = register_read32(cpu, RCX);
    uint64_t value = cpu->s.xcr0;

    (void)insn;
    if (!(cpu->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(cpu, VECTOR_UD);
    if (index > 1 || (index == 1 && !cpu_has(cpu, FEATURE_XGETBV1)))
        return cpu_raise_gp0(cpu);
    if (index == 1)
        value &= xsave_in_use(cpu) | (cpu->s.mxcsr != MXCSR_DEFAULT ? 2 : 0);
    register_write32(cpu, RAX, (uint32_t)value);
    register_write32(cpu, RDX, (uint32_t)(value >> 32));
    return 0;
}

int exec_xsetbv(struct cpu *cpu, const struct insn *insn)
{
    uint64_t value = (uint64_t)register_read32(cpu, RDX) << 32 | register_read32(cpu, RAX);

    (void)insn;
    if (!(cpu->s.cr4 & CR4_OSXSAVE))
        return cpu_raise(cpu, VECTOR_UD);
    if (cpu->s.cpl != 0 || register_read32(cpu, RCX) != 0 || !(value & 1)
        || (value & ~xcr0_valid(cpu)) || ((value & 4) && !(value & 2)))
        return cpu_raise_gp0(cpu);
    cpu->s.xcr0 = value;
    return 0;
}
