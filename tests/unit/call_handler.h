/* An instruction's handler, called alone. */
#ifndef TESTS_CALL_HANDLER_H
#define TESTS_CALL_HANDLER_H

#include "cpu/cpu.h"

/* Calls the handler of `insn` as that of a block of one instruction. Returns what it
 * says. The vCPU points at the instruction meanwhile, and not any more afterwards. */
static inline int call_handler(struct cpu *cpu, const struct insn *insn)
{
    cpu->current = cpu->block_start = insn;
    cpu->block_end = insn + 1;
    cpu->block_count = 1;
    int status = insn->handler(cpu, insn);
    cpu->current = cpu->block_start = cpu->block_end = NULL;
    return status;
}

#endif
