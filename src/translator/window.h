/*
 * Windows: what places in translated code that access memory remember of where that was.
 */
#ifndef TRANSLATOR_WINDOW_H
#define TRANSLATOR_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

struct compile;
struct cpu;
struct translation;
struct translator;

#define WINDOWS_OF_TRANSLATION 64

/* A look through a window, and what is out of line for it. */
struct window_miss {
    uint8_t *from[2];      /* displacements of the jumps to it; the second may be NULL */
    uint8_t *resume;
    uint8_t **fails;       /* where the displacement of the jump is to be stored that gives up (window_check) */
    uint16_t insn, window, bytes;
    uint8_t alignment, index, how;
    uint8_t base;          /* the address is base + disp; of a range: in SCRATCH, less where the range begins */
    int32_t disp;
};

/* Of a look: what is accessed is written to; SCRATCH2 is to be what is added to linear addresses (else what
 * is accessed is found at SCRATCH2 + SCRATCH); it is for one access, of `bytes`. */
enum { WINDOW_WRITE = 1, WINDOW_ADDEND = 2, WINDOW_SINGLE = 4 };

/* The same as memory_check and memory_load_place (memory.h), by a window; false: the place
 * gets none. The jump of its failure is stored at `fails` by window_finish; until then it
 * is not NULL. */
bool window_check(struct compile *c, unsigned base, int32_t disp, unsigned bytes, unsigned alignment,
                  unsigned how, uint8_t **fails);
/* Emits what is out of line for the translation's windows. */
void window_finish(struct compile *c);

/* What translated code calls for the window `number` when it was shut, or missed often. The
 * address is in translated.target. */
uint64_t window_open(struct cpu *cpu, struct translator *translator, uint32_t number);
/* A slow path of the translation has accessed memory: opens the window that could not be
 * opened before (windows.wanted), and notes a conflict in the TLB (windows.conflict). */
void window_settle(struct cpu *cpu, struct translator *translator, struct translation *translation);
/* All translations are gone, and no place has a window of this vCPU. */
void window_forget_all(struct translator *translator, struct cpu *cpu);

#endif
