/* System management mode: placeholder until the state save map is written. */
#include "cpu/system.h"

void cpu_enter_smm(struct cpu *cpu)
{
    cpu->s.smi_pending = 0;
}

int exec_rsm(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return cpu_raise(cpu, VECTOR_UD);
}
