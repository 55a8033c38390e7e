/*
 * Delivery of exceptions and interrupts. (SDM vol. 3, chapter 6; vol. 2, INT n)
 */
#ifndef CPU_EXCEPTIONS_H
#define CPU_EXCEPTIONS_H

#include "cpu/cpu.h"

enum event_kind {
    EVENT_EXTERNAL,  /* interrupt or NMI */
    EVENT_EXCEPTION, /* raised by the CPU; INT1 too */
    EVENT_INT3,      /* INT3 and INTO: the gate's DPL is checked */
    EVENT_INT_N,     /* INT n: and IOPL in virtual-8086 mode */
};

struct event {
    uint8_t vector;
    uint8_t kind;        /* enum event_kind */
    bool has_error;
    bool resume;         /* push RFLAGS with RF set */
    uint32_t error;
    uint64_t return_rip; /* what is pushed */
};

/* One attempt to enter the event's handler: 0, or CPU_FAULT with nothing
 * changed, or FAULT_IN_NEW_TASK (task.h). cpu->exception then has the fault of
 * the attempt, EXT bit included. */
int exceptions_enter(struct cpu *cpu, const struct event *event);

/* Whether a program with virtual interrupts may not go on, since one waits that
 * it has not masked (VIF and VIP set): #GP(0) then. */
bool exceptions_virtual_interrupt(const struct cpu *cpu);

/* Whether `insn`, which was begun with TF set and has completed, gives a
 * single-step trap; `next` is the offset behind it. */
bool exceptions_steps(const struct cpu *cpu, const struct insn *insn, uint64_t next);

/* INT1 reports the DR6 bits that wait with its own exception: true then. */
bool exceptions_report_debug(struct cpu *cpu, const struct insn *insn, uint64_t bits);

#endif
