/*
 * The guest's memory and register files as translated code gets at them. Each
 * function emits code of the current instruction, with jumps to its slow path.
 */
#ifndef TRANSLATOR_MEMORY_H
#define TRANSLATOR_MEMORY_H

#include "translator/emit.h"

struct compile;

/* Whether the current instruction's memory operand uses the host's flags. */
bool memory_checks(const struct compile *c);
/* The same of the stack that it uses. */
bool memory_stack_checks(const struct compile *c);

/* Emits the check of the memory operand for an access of `bytes`, with a jump
 * to a slow path that runs the whole instruction. Returns the operand to access,
 * which may use both scratch registers; with `keep` it leaves SCRATCH free. */
struct host_operand memory_operand(struct compile *c, unsigned bytes, bool write, bool keep);
/* The same for an access at the pinned guest register `base` + disp, on the stack;
 * SCRATCH is free. */
struct host_operand memory_stack(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write);
/* The same for an access at the offset in SCRATCH, in the operand's segment. */
struct host_operand memory_at(struct compile *c, unsigned bytes, bool write);
/* The memory operand of a vector instruction; `aligned`: to its size, or #GP. */
struct host_operand memory_vector(struct compile *c, unsigned bytes, bool write, bool aligned);
/* From here on the XMM registers are in the host's. */
void memory_need_vectors(struct compile *c);
/* From here on the YMM registers are. */
void memory_need_wide(struct compile *c);
/* From here on the x87's state is in the host's unit. */
void memory_need_x87(struct compile *c);
/* Jumps to where the handler runs the instruction and the interpreter goes on. */
void memory_refuse_if(struct compile *c, enum condition condition);
/* Jumps to the slow path that runs the whole instruction. */
void memory_leave_if(struct compile *c, enum condition condition);
/* Has the slow path run the whole instruction also if its indirect jump turns out to
 * go to an address that is not canonical; RSP is `undo` too high by then. */
void memory_bad_target(struct compile *c, int32_t undo);
/* Loads the memory operand, zero-extended, into SCRATCH. Its slow path goes on
 * right behind. */
void memory_load(struct compile *c, unsigned bytes);
/* The address of the memory operand without its segment's base (LEA). */
void memory_effective_address(struct compile *c, unsigned reg, unsigned width);
/* At the end of an instruction, where there are slow paths: its own one goes on here. */
void memory_finish(struct compile *c);
/* base + index * scale + disp into `reg`, cut to `width` bytes. Uses SCRATCH2
 * when base and index are both in memory. Leaves flags alone. */
void memory_sum(struct compile *c, unsigned reg, unsigned width);
/* The check of [base + disp, + bytes) in the TLB; returns the jump of its failure. Then
 * SCRATCH2 is for memory_load_place. */
uint8_t *memory_check(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write,
                      unsigned alignment);
/* Then a field of the entry that was found. */
struct host_operand memory_in_tlb(const struct compile *c, size_t offset);
/* SCRATCH2 = what to add to linear addresses, or where the page is, of which SCRATCH
 * has the offset unless memory_check was of several aligned pieces. */
void memory_load_place(struct compile *c, bool addend);
/* Of the linear address base + disp, which is found then at SCRATCH2 + SCRATCH. */
void memory_look_up(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write,
                    unsigned alignment);
/* A field (its offset in struct segment_access) of a segment's derived state. */
struct host_operand memory_segment_field(unsigned segment, size_t field);

/* segmented.c: memory_operand and memory_stack of 16- and 32-bit code; SCRATCH is
 * free. */
struct host_operand segmented_operand(struct compile *c, unsigned bytes, bool write, unsigned alignment);
struct host_operand segmented_stack(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write);

#endif
