/* IN and OUT (SDM vol. 2). The string forms are in exec_string.c. */
#include "cpu/exec.h"

/* There is no 64-bit access: REX.W changes nothing. */
static unsigned io_bytes(const struct insn *insn)
{
    return insn->operand_bytes == 8 ? 4 : insn->operand_bytes;
}

static int input(struct cpu *cpu, const struct insn *insn, uint16_t port)
{
    unsigned bytes = io_bytes(insn);
    if (cpu_check_io(cpu, port, bytes))
        return CPU_FAULT;
    uint64_t value = cpu->bus.port_read(cpu->bus.context, cpu, port, bytes);
    cpu_note_io(cpu, port, bytes);
    if (bytes == 1)
        register_write8(cpu, RAX, (uint8_t)value);
    else if (bytes == 2)
        register_write16(cpu, RAX, (uint16_t)value);
    else
        register_write32(cpu, RAX, (uint32_t)value);
    return 0;
}

static int output(struct cpu *cpu, const struct insn *insn, uint16_t port)
{
    unsigned bytes = io_bytes(insn);
    if (cpu_check_io(cpu, port, bytes))
        return CPU_FAULT;
    cpu->bus.port_write(cpu->bus.context, cpu, port, cpu->s.gpr[RAX] & bits_ones(bytes), bytes);
    cpu_note_io(cpu, port, bytes);
    return 0;
}

HANDLER(in_i)
{
    return input(cpu, insn, (uint16_t)insn->imm);
}
HANDLER(in_dx)
{
    return input(cpu, insn, register_read16(cpu, RDX));
}
HANDLER(out_i)
{
    return output(cpu, insn, (uint16_t)insn->imm);
}
HANDLER(out_dx)
{
    return output(cpu, insn, register_read16(cpu, RDX));
}
