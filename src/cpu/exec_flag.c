/*
 * Flags: CLC STC CMC CLD STD CLI STI LAHF SAHF SALC (SDM vol. 2; vol. 3, 20.3
 * and 20.4 for the virtual interrupt flag).
 */
#include "cpu/exec.h"

HANDLER(clc)
{
    flags_set_cf_of(cpu, false, flags_of(cpu));
    return 0;
}
HANDLER(stc)
{
    flags_set_cf_of(cpu, true, flags_of(cpu));
    return 0;
}
HANDLER(cmc)
{
    flags_set_cf_of(cpu, !flags_cf(cpu), flags_of(cpu));
    return 0;
}
HANDLER(cld)
{
    cpu->s.rflags &= ~FLAG_DF;
    return 0;
}
HANDLER(std)
{
    cpu->s.rflags |= FLAG_DF;
    return 0;
}

HANDLER(lahf)
{
    register_write8(cpu, RAX + 1, (uint8_t)(flags_get(cpu) | FLAG_1));
    return 0;
}
HANDLER(sahf)
{
    flags_put(cpu, register_read8(cpu, RAX + 1) | (flags_of(cpu) ? FLAG_OF : 0));
    return 0;
}
HANDLER(salc)
{
    register_write8(cpu, RAX, flags_cf(cpu) ? 0xff : 0);
    return 0;
}

/* Which flag CLI and STI govern now: IF, VIF, or none (#GP). */
static uint64_t interrupt_flag(const struct cpu *cpu)
{
    if (!cpu_protected(cpu) || cpu->s.cpl <= cpu_iopl(cpu))
        return FLAG_IF;
    if (cpu->s.cpl == 3 && (cpu->s.cr4 & (cpu_v86(cpu) ? CR4_VME : CR4_PVI)))
        return FLAG_VIF;
    return 0;
}

HANDLER(cli)
{
    uint64_t flag = interrupt_flag(cpu);
    if (!flag)
        return cpu_raise_gp0(cpu);
    cpu->s.rflags &= ~flag;
    return 0;
}

HANDLER(sti)
{
    uint64_t flag = interrupt_flag(cpu);
    if (!flag || (flag == FLAG_VIF && (cpu->s.rflags & FLAG_VIP)))
        return cpu_raise_gp0(cpu);
    if (flag == FLAG_IF && !(cpu->s.rflags & FLAG_IF)) {
        cpu->s.shadow_sti = 1;
        cpu_attention(cpu);
    }
    cpu->s.rflags |= flag;
    return 0;
}
