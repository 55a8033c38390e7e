/*
 * A vCPU's registers as gdb numbers and sizes them, and the target description
 * that says so; all from registers.def.
 */
#ifndef DEBUG_REGISTERS_H
#define DEBUG_REGISTERS_H

#include <stdint.h>

#include "cpu/cpu.h"

#define REGISTERS_BYTES_MAXIMUM 16 /* of one register */

/* What gdb is told that the machine is: it disassembles 16- and 32-bit code
 * only with i8086 and i386, and those only without 64-bit registers. */
enum registers_set {
    REGISTERS_64, /* i386:x86-64 */
    REGISTERS_32, /* i8086, or i386 if the user sets that; registers are cut to 32 bits */
};

/* How many registers there are in a set; below, `number` counts within it. */
unsigned registers_count(enum registers_set set);
/* Size of register `number` in bytes, 0 when there is none. */
unsigned registers_size(enum registers_set set, uint64_t number);
/* Its value, little-endian, registers_size bytes. */
void registers_read(const struct cpu *cpu, enum registers_set set, unsigned number, uint8_t *bytes);
/* Sets it. The selectors, descriptor caches, control registers and EFER are
 * read-only: returns -1 for those and for numbers that do not exist. */
int registers_write(struct cpu *cpu, enum registers_set set, unsigned number, const uint8_t *bytes);

/* The linear address of the next instruction: gdb's "rip". */
uint64_t registers_pc(const struct cpu *cpu);

/* Writes target.xml into `text` (at most `size` bytes, NUL-terminated) and
 * returns its length. */
unsigned registers_description(enum registers_set set, char *text, unsigned size);

#endif
