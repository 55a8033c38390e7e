/*
 * A vCPU's registers as gdb numbers and sizes them, and the target description
 * that says so; all from registers.def.
 */
#ifndef DEBUG_REGISTERS_H
#define DEBUG_REGISTERS_H

#include <stdint.h>

#include "cpu/cpu.h"

#define REGISTERS_BYTES_MAXIMUM 16 /* of one register */

/* How many registers there are. */
unsigned registers_count(void);
/* Size of register `number` in bytes, 0 when there is none. */
unsigned registers_size(unsigned number);
/* Its value, little-endian, registers_size bytes. */
void registers_read(const struct cpu *cpu, unsigned number, uint8_t *bytes);
/* Sets it. The selectors, descriptor caches, control registers and EFER are
 * read-only: returns -1 for those and for numbers that do not exist. */
int registers_write(struct cpu *cpu, unsigned number, const uint8_t *bytes);

/* Writes target.xml into `text` (at most `size` bytes, NUL-terminated) and
 * returns its length. */
unsigned registers_description(char *text, unsigned size);

#endif
