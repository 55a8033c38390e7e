/* Lowering of what is privileged, or goes from one privilege to another. */
#ifndef TRANSLATOR_SYSTEM_H
#define TRANSLATOR_SYSTEM_H

#include "translator/compile.h"

/* system.c: lowers the current instruction, or returns false. Some end their block, and
 * translated code can still go on behind them in the page. */
bool lower_system(struct compile *c);
bool system_continues(const struct compile *c, const struct insn *insn);

/* Jumps to the slow path if an interrupt waits. */
void system_need_no_interrupt(struct compile *c);

/* syscall.c: SYSCALL, SYSRET */
bool lower_system_call(struct compile *c);
bool lower_system_return(struct compile *c);

/* branch.c: the target in SCRATCH: the slow path if CS does not have it. Spoils
 * SCRATCH2. In 64-bit code that can wait until no translation is found there, if all
 * that there is to undo is that RSP went up by `undo`; else `undo` is negative. */
void branch_check_target(struct compile *c, int32_t undo);

#endif
