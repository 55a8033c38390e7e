/*
 * Segment descriptors: reading, checking and loading them, and the slow
 * check of accesses against segments. (SDM vol. 3, chapters 3 and 5)
 *
 * Functions that return int give 0, or CPU_FAULT with cpu->exception set.
 * Error codes carry no EXT bit; event delivery adds it.
 */
#ifndef CPU_SEGMENT_H
#define CPU_SEGMENT_H

#include "cpu/system.h"

/* Types of system descriptors (attributes & (SEGMENT_S | SEGMENT_TYPE)). */
enum descriptor_type {
    TYPE_TSS16 = 1, TYPE_LDT = 2, TYPE_TSS16_BUSY = 3, TYPE_CALL_GATE16 = 4, TYPE_TASK_GATE = 5,
    TYPE_INTERRUPT_GATE16 = 6, TYPE_TRAP_GATE16 = 7, TYPE_TSS32 = 9, TYPE_TSS32_BUSY = 11,
    TYPE_CALL_GATE32 = 12, TYPE_INTERRUPT_GATE32 = 14, TYPE_TRAP_GATE32 = 15,
};
#define TYPE_BUSY 2u /* the bit that makes a TSS busy */

/* Code and data that SYSCALL and its kin enter, flat and not read from any table;
 * beside DPL, and L or DB. */
#define SEGMENT_FLAT_CODE                                                                          \
    (SEGMENT_P | SEGMENT_S | SEGMENT_CODE | SEGMENT_READABLE | SEGMENT_ACCESSED | SEGMENT_G)
#define SEGMENT_FLAT_DATA (SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED | SEGMENT_G)
/* RFLAGS that SYSRET of 64-bit code takes from R11. */
#define SYSRET_FLAGS 0x3c7fd7

#define SELECTOR_TI 4u
#define SELECTOR_ERROR(selector) ((selector) & 0xfffcu) /* as an error code has it */
#define SELECTOR_NULL(selector) (SELECTOR_ERROR(selector) == 0)

/* A descriptor as it lies in memory, taken apart. */
struct descriptor {
    uint64_t raw;
    uint64_t linear; /* where it was read */
    struct segment segment;
};

static inline unsigned segment_dpl(const struct segment *segment)
{
    return segment->attributes >> SEGMENT_DPL_SHIFT & 3;
}
static inline unsigned segment_type(const struct segment *segment)
{
    return segment->attributes & SEGMENT_TYPE;
}
static inline bool segment_is_code(const struct segment *segment)
{
    return (segment->attributes & (SEGMENT_S | SEGMENT_CODE)) == (SEGMENT_S | SEGMENT_CODE);
}
static inline bool segment_is_conforming(const struct segment *segment)
{
    return segment_is_code(segment) && (segment->attributes & SEGMENT_CONFORMING);
}
static inline bool segment_is_writable_data(const struct segment *segment)
{
    return (segment->attributes & (SEGMENT_S | SEGMENT_CODE | SEGMENT_WRITABLE))
           == (SEGMENT_S | SEGMENT_WRITABLE);
}
static inline bool segment_is_present(const struct segment *segment)
{
    return segment->attributes & SEGMENT_P;
}

/* Takes the 8 bytes of a code, data, LDT or TSS descriptor apart. */
void descriptor_unpack(uint64_t raw, uint16_t selector, struct segment *segment);

/*
 * Reads the descriptor that `selector` (not null) names from GDT or LDT.
 * Outside of the table: `vector` with the selector as error code.
 */
int descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector,
                    struct descriptor *descriptor);
/* The same without a fault for what a program may ask about (LAR, VERR ...):
 * *valid tells whether the selector lies inside its table; page faults are
 * still faults. */
int descriptor_probe(struct cpu *cpu, uint16_t selector, struct descriptor *descriptor,
                     bool *valid);
/* The second 8 bytes of a 16-byte system descriptor (long mode). */
int descriptor_read_high(struct cpu *cpu, const struct descriptor *descriptor,
                         enum vector vector, uint64_t *high);
/* Sets the accessed bit in memory and in descriptor->segment. */
int descriptor_set_accessed(struct cpu *cpu, struct descriptor *descriptor);

/* Checks and reads a stack segment for privilege `cpl`: what is wrong with it
 * raises `vector` (#GP for loads and returns, #TS for inner stacks); not
 * present raises #SS. Does not load it. */
int segment_read_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector vector,
                       struct descriptor *descriptor);

/* Reads the far pointer in memory that `insn` names: offset of the operand size,
 * selector. */
int segment_read_pointer(struct cpu *cpu, const struct insn *insn, uint64_t *offset,
                         uint16_t *selector);

/* MOV/POP to ES, SS, DS, FS or GS. In any mode; updates derived state. */
int cpu_load_segment(struct cpu *cpu, unsigned seg, uint16_t selector);

/* Loads a real-mode or virtual-8086 segment register without any check. */
void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector);

/* Puts a null selector into a data segment register (its low bits kept). */
void segment_load_null(struct cpu *cpu, unsigned seg, uint16_t selector);

/* Enters code segment `code` at privilege `cpl` (its selector's RPL is set to
 * it): brings derived state up to date. */
void segment_enter_code(struct cpu *cpu, const struct segment *code, unsigned cpl);

/* After a return to an outer privilege: data segments it may not use are
 * made null, and null selectors 0. */
void segment_drop_inner(struct cpu *cpu);

/* The full check of an access of `bytes` (>= 1) at `offset` of segment `seg` outside of
 * 64-bit code: rights and limit. */
int segment_check(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes, bool write);

/* Whether [offset, offset + bytes) lies inside a data segment's limit, be it
 * expand-down or not. */
bool segment_within_limit(const struct segment *segment, uint64_t offset, unsigned bytes);

#endif
