/*
 * Hardware task switching outside of long mode. (SDM vol. 3, chapter 7)
 */
#ifndef CPU_TASK_H
#define CPU_TASK_H

#include "cpu/segment.h"

enum task_reason {
    TASK_JUMP,
    TASK_CALL,   /* CALL, exceptions, interrupts: nests */
    TASK_RETURN, /* IRET with NT */
};

/* A fault raised when the new task was already in place: cpu->exception is to
 * be delivered there, gpr[RIP] is the new task's. */
#define FAULT_IN_NEW_TASK 2

/* Switches to the task of TSS `selector`. `vector` is raised when the selector
 * or its descriptor is unfit (#GP; #TS for TASK_RETURN). `return_rip` is
 * stored as the old task's EIP. On success gpr[RIP] is the new task's. Returns
 * 0, CPU_FAULT with nothing changed, or FAULT_IN_NEW_TASK. */
int task_switch(struct cpu *cpu, uint16_t selector, enum task_reason reason, enum vector vector,
                uint64_t return_rip);
/* Pushes an error code on the new task's stack (after delivery through a task
 * gate); FAULT_IN_NEW_TASK when that faults. */
int task_push_error(struct cpu *cpu, uint32_t error);

/* For handlers that set RIP: turns FAULT_IN_NEW_TASK into the delivery of that
 * fault. */
int task_finish(struct cpu *cpu, int result);

#endif
