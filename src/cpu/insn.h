/*
 * A decoded instruction, and what handlers may ask of it. Both engines run
 * decoded blocks (engine.h); the interpreter calls `handler` of each entry.
 *
 * While a block runs, gpr[RIP] holds the offset of the block's first
 * instruction. RIP-relative operands have RIP as their base, with the place
 * of the instruction folded into `disp`, so that one formula serves every
 * address: gpr[base] + (gpr[index] << scale) + disp, cut to the address size.
 */
#ifndef CPU_INSN_H
#define CPU_INSN_H

#include <stdint.h>

#include "cpu/state.h"

struct cpu;
struct insn;

/*
 * Executes one instruction. Returns 0 when it completed, CPU_FAULT when it
 * raised an exception: then cpu->exception says which, and architectural state
 * is as before the instruction (a repeated string instruction: as before the
 * iteration). A handler whose row has SETS_RIP leaves gpr[RIP] at the next
 * instruction to run; others leave gpr[RIP] alone.
 */
typedef int insn_handler(struct cpu *cpu, const struct insn *insn);

#define CPU_FAULT 1

/* insn->prefixes */
#define PREFIX_REP 0x01   /* F3 */
#define PREFIX_REPNE 0x02 /* F2 */
#define PREFIX_LOCK 0x04
#define PREFIX_OPERAND 0x08 /* 66 */
#define PREFIX_ADDRESS 0x10 /* 67 */
#define PREFIX_REX 0x20     /* any REX prefix: byte registers 4..7 are SPL..DIL */
#define PREFIX_SEGMENT 0x40 /* an explicit segment override that applies */

struct insn {
    insn_handler *handler;
    uint64_t imm;          /* immediate, sign-extended to 64 bits unless its row says IMM_ZX;
                            * branches: displacement. Far pointer: selector << 32 | offset.
                            * ENTER: level << 16 | size. */
    int64_t disp;
    uint16_t row;          /* index into the opcode table */
    uint16_t end;          /* offset of the next instruction from the block's start */
    uint8_t length;        /* bytes, 1..15 */
    uint8_t reg;           /* ModRM.reg (with REX.R): 0..15; for byte operands the byte offset
                            * of the register inside gpr[] */
    uint8_t rm;            /* ModRM.rm as a register (with REX.B), or the register of opcodes
                            * with one in the low three bits; byte operands as above */
    uint8_t base;          /* enum cpu_register; REGISTER_ZERO if none */
    uint8_t index;
    uint8_t scale;         /* 0..3 */
    uint8_t seg;           /* segment of the memory operand, index into cpu->access */
    uint8_t segment;       /* the same as a segment register number, ES..GS, never FLAT */
    uint8_t address_shift; /* 0, 32, 48: 64 - address size */
    uint8_t operand_bytes; /* 1 (byte forms), 2, 4, 8 */
    uint8_t prefixes;      /* PREFIX_* */
    uint8_t code_bytes;    /* mode: 2, 4, 8 for 16-, 32-, 64-bit code */
    uint8_t modrm;         /* the raw byte, 0 when there is none */
    uint8_t attributes;    /* low 8 bits of the row's attributes (ATTRIBUTE_*) */
    uint8_t vvvv;          /* VEX.vvvv register, 0 when there is none */
    uint8_t rex;           /* raw REX byte, or 0 */
    uint8_t opcode;        /* last opcode byte */
    uint8_t vex_l;         /* VEX.L: 256 bits */
    uint8_t vector_index;  /* VSIB: index register */
    uint8_t pad[1];
};

_Static_assert(sizeof(struct insn) == 48, "cache footprint of a decoded instruction");

/* Row attributes; the first eight are copied into insn->attributes. */
#define ENDS_BLOCK 0x01    /* last of its block: changes mode, flags that gate events, memory map */
#define SETS_RIP 0x02      /* handler leaves gpr[RIP] at the next instruction; implies ENDS_BLOCK */
#define PRIVILEGED 0x04    /* #GP(0) unless CPL 0: the handler checks (cpu_need_cpl0) */
#define LOCKABLE 0x08      /* LOCK is valid with a memory destination */
#define STRING 0x10        /* takes REP/REPNE as a repeat prefix */
#define DEFAULT64 0x100    /* 64-bit operand size by default in 64-bit code (push, pop, near branches) */
#define FORCE64 0x200      /* the operand size is 64 bits in 64-bit code whatever the prefix (near
                            * branches; AMD's CPUs heed it) */
#define IMM_ZX 0x400       /* immediate is zero-extended */
#define BYTE_OP 0x800      /* operand_bytes is 1: reg and rm are byte registers */
#define NO_OSIZE 0x1000    /* 66 does not change operand_bytes (it selects the row or is ignored) */
#define SSE_ALIGNED 0x2000 /* memory operand must be 16-byte aligned, else #GP(0) */

#endif
