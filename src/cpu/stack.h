/*
 * A stack that is being pushed to or popped from outside of the ordinary
 * operand path: by event delivery and far transfers, possibly of another
 * privilege than the current. Nothing of the CPU's state changes until
 * stack_commit. (SDM vol. 3, sections 5.8.5 and 6.12)
 */
#ifndef CPU_STACK_H
#define CPU_STACK_H

#include "cpu/segment.h"

struct stack {
    struct segment segment; /* SS once it is in use */
    uint64_t rsp;
    uint64_t mask;          /* bits of RSP that count */
    unsigned cpl;           /* rights of the accesses */
    uint32_t error;         /* error code of #SS when it overflows */
};

/* The current stack. */
void stack_current(const struct cpu *cpu, struct stack *stack);

/* The stack for an entry to privilege `cpl` (0..2) from the TSS, outside of
 * long mode; faults are #TS, #SS. */
int stack_from_tss(struct cpu *cpu, unsigned cpl, struct stack *stack);

/* A stack pointer at `byte_offset` of the 64-bit TSS: #TS beyond its limit, #SS
 * when it is not canonical. */
int stack_rsp_from_tss64(struct cpu *cpu, unsigned byte_offset, uint64_t *rsp);

/* Pushes the low `bytes` (2, 4, 8) of value. */
int stack_push(struct cpu *cpu, struct stack *stack, uint64_t value, unsigned bytes);
/* Pops, zero-extended. */
int stack_pop(struct cpu *cpu, struct stack *stack, uint64_t *value, unsigned bytes);

/* RSP (only the bits in the mask) becomes the stack's. SS is left alone. */
void stack_commit_rsp(struct cpu *cpu, const struct stack *stack);

/* SS and all of RSP become the stack's. */
void stack_enter(struct cpu *cpu, const struct stack *stack);

#endif
