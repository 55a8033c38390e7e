/*
 * How a vCPU reaches the machine: the functions behind struct cpu_bus. Each
 * brings the clock up to date, lets the board answer (or, when devices do not
 * exist, the trace), and shows hooks->observe what the vCPU saw.
 */
#ifndef MACHINE_MACHINE_BUS_H
#define MACHINE_MACHINE_BUS_H

struct machine;
struct cpu;

/* Fills cpu->bus. */
void machine_bus_connect(struct machine *machine, struct cpu *cpu);

#endif
