/*
 * The board pc-2: Intel 440FX with PIIX3 and the PIIX4 power-management
 * function, as QEMU's "pc" machine presents it to SeaBIOS and to guests.
 * It owns the chips, maps them to ports and addresses, and wires their lines.
 */
#ifndef MACHINE_BOARD_H
#define MACHINE_BOARD_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/hooks.h"
#include "util/error.h"

struct machine;
struct board;
struct cpu;
struct disk;

/* RAM beyond this address lies at 4 GiB: the hole_start of physmem_init. */
#define BOARD_PCI_HOLE 0xc0000000ull

/* Builds all chips of `machine` (whose memory, clock, events, busses and
 * vCPUs exist), maps ROMs and hands firmware its tables. Returns NULL with
 * `error` set on an unfit file. */
struct board *board_create(struct machine *machine, struct error *error);
void board_destroy(struct board *board);

/* Hard reset of all chips (the vCPUs are the run loop's business). */
void board_reset(struct board *board);

/* INTA cycle of vCPU `cpu`: the vector of the interrupt it takes now, from its
 * local APIC or, through LINT0 in ExtINT mode, from the 8259 pair. -1 when the
 * request has gone away. */
int board_interrupt_acknowledge(struct board *board, unsigned cpu);

/* IA32_APIC_BASE, the x2APIC MSRs, TSC deadline: 0, or -1 when the access
 * must raise #GP(0). */
int board_msr_read(struct board *board, unsigned cpu, uint32_t msr, uint64_t *value);
int board_msr_write(struct board *board, unsigned cpu, uint32_t msr, uint64_t value);

/* The TSC offset of vCPU `cpu` was written: its deadline is elsewhere now. */
void board_tsc_changed(struct board *board, unsigned cpu);

/* The TSC offset of vCPU `cpu` has changed. */
void board_tsc_changed(struct board *board, unsigned cpu);

/* FERR# of the processor; returns whether IGNNE# is asserted. */
bool board_fpu_error(struct board *board, bool level);

/* CR8 of vCPU `cpu`, 0..15. */
uint64_t board_tpr_read(struct board *board, unsigned cpu);
void board_tpr_write(struct board *board, unsigned cpu, uint64_t value);

/* MMIO access at physical `address` by vCPU `cpu`: its local APIC page first
 * (wherever its base is), then the MMIO bus. */
uint64_t board_mmio_read(struct board *board, unsigned cpu, uint64_t address, unsigned bytes);
void board_mmio_write(struct board *board, unsigned cpu, uint64_t address, uint64_t value,
                      unsigned bytes);

/* A bus master's write to FEExxxxxh. */
void board_message(struct board *board, uint64_t address, uint32_t data);

/* An INIT on the vCPU's APIC (called when the vCPU is reset alone). */
void board_cpu_reset(struct board *board, unsigned cpu);

/* Drive 0..3 (primary master, slave, secondary ...) with a medium, or NULL. */
struct disk *board_disk(struct board *board, unsigned drive);

bool board_input_ready(struct board *board, enum input_kind kind, unsigned unit);
bool board_input(struct board *board, enum input_kind kind, unsigned unit, uint8_t value);

#endif
