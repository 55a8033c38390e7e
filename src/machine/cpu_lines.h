/*
 * What chips may do to a vCPU. Called by the local APICs and the board;
 * implemented by machine.c, which also logs the signals.
 */
#ifndef MACHINE_CPU_LINES_H
#define MACHINE_CPU_LINES_H

#include <stdbool.h>
#include <stdint.h>

struct machine;

/* Level of the maskable interrupt request to vCPU `cpu`: the chip has (or no
 * longer has) a vector that the CPU could take, priority against TPR already
 * decided by the APIC. */
void machine_cpu_interrupt(struct machine *machine, unsigned cpu, bool level);
/* Edge signals. STARTUP is ignored unless the vCPU waits for it. */
void machine_cpu_nmi(struct machine *machine, unsigned cpu);
void machine_cpu_smi(struct machine *machine, unsigned cpu);
/* The same as a recording tells it: `cause` as of cpu_smi_cause. */
void machine_cpu_smi_caused(struct machine *machine, unsigned cpu, uint64_t cause);
void machine_cpu_init(struct machine *machine, unsigned cpu);
void machine_cpu_startup(struct machine *machine, unsigned cpu, uint8_t vector);

#endif
