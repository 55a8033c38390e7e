/*
 * Writes x86-64 machine code. The buffer is written through one mapping and
 * runs in another, `delta` bytes away: no page is ever both writable and
 * executable. Names of registers and instructions are the manual's.
 */
#ifndef TRANSLATOR_EMIT_H
#define TRANSLATOR_EMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Host registers by their number in the encoding. */
enum host_register {
    HOST_RAX, HOST_RCX, HOST_RDX, HOST_RBX, HOST_RSP, HOST_RBP, HOST_RSI, HOST_RDI,
    HOST_R8, HOST_R9, HOST_R10, HOST_R11, HOST_R12, HOST_R13, HOST_R14, HOST_R15,
    HOST_NONE = 0x84 /* in the encoding of an index: none */
};

struct emitter {
    uint8_t *at;    /* where the next byte is written */
    uint8_t *limit; /* the last place where an instruction may begin */
    intptr_t delta; /* address where it runs = address where it is written + delta */
    uint32_t named; /* a mask: registers that instructions named other than in an address;
                     * vector registers count like those of their number */
};

/* An r/m operand: a register, or memory at [base + index * 2^scale + disp]. */
struct host_operand {
    bool memory;
    uint8_t base;  /* the register itself if not memory; HOST_NONE: absolute, 32 bits */
    uint8_t index; /* HOST_NONE: none */
    uint8_t scale;
    int32_t disp;
};

static inline struct host_operand operand_register(unsigned r)
{
    return (struct host_operand){ false, (uint8_t)r, HOST_NONE, 0, 0 };
}
static inline struct host_operand operand_memory(unsigned base, int32_t disp)
{
    return (struct host_operand){ true, (uint8_t)base, HOST_NONE, 0, disp };
}
static inline struct host_operand operand_indexed(unsigned base, unsigned index, unsigned scale, int32_t disp)
{
    return (struct host_operand){ true, (uint8_t)base, (uint8_t)index, (uint8_t)scale, disp };
}

/* An opcode: map (1: one byte, 2: 0F, 3: 0F 38, 4: 0F 3A) and mandatory prefix (0: none). */
#define OP1(opcode) ((opcode) | 0x100u)
#define OP2(opcode) ((opcode) | 0x200u)
#define OP3(opcode) ((opcode) | 0x300u)
#define OP4(opcode) ((opcode) | 0x400u)
#define OP_PREFIX(prefix) ((uint32_t)(prefix) << 16)
#define OP_BYTE_REG 0x1000u /* ModRM.reg is a byte register: numbers 4..7 need REX */
#define OP_BYTE_RM 0x2000u  /* the same for r/m */
#define OP_HIGH 0x4000u     /* a byte register 4..7 is AH..BH: no REX may come */
#define OP_BYTES (OP_BYTE_REG | OP_BYTE_RM | OP_HIGH)

/* ALU operations by the number in their opcodes. */
enum alu { ALU_ADD, ALU_OR, ALU_ADC, ALU_SBB, ALU_AND, ALU_SUB, ALU_XOR, ALU_CMP };
/* Conditions by number. */
enum condition {
    CONDITION_O, CONDITION_NO, CONDITION_B, CONDITION_AE, CONDITION_E, CONDITION_NE, CONDITION_BE,
    CONDITION_A, CONDITION_S, CONDITION_NS, CONDITION_P, CONDITION_NP, CONDITION_L, CONDITION_GE,
    CONDITION_LE, CONDITION_G
};

/* The limit leaves room for eight bytes, however few count. */
static inline void emit_bytes(struct emitter *e, uint64_t value, unsigned bytes)
{
    memcpy(e->at, &value, 8);
    e->at += bytes;
}

/* What the registers held is not known any more: code is entered here. */
static inline void emit_join(struct emitter *e)
{
    e->named = UINT32_MAX;
}

/* Any instruction with ModRM. `width` 1, 2, 4 or 8 bytes selects 66 and REX.W. */
void emit_instruction(struct emitter *e, uint32_t op, unsigned width, unsigned reg, struct host_operand rm);

/* The same with a VEX prefix; `wide`: VEX.L. The width selects VEX.W only. */
void emit_vex(struct emitter *e, uint32_t op, unsigned width, bool wide, unsigned reg, unsigned vvvv,
              struct host_operand rm);

/* MOV between register and r/m; 8- and 16-bit ones leave the rest alone. */
void emit_load(struct emitter *e, unsigned width, unsigned reg, struct host_operand rm);
void emit_store(struct emitter *e, unsigned width, struct host_operand rm, unsigned reg);
/* The same for 8 bytes at [RSP + disp], which is not 0: the most frequent ones. */
static inline void emit_near(struct emitter *e, unsigned opcode, unsigned reg, int32_t disp)
{
    bool byte = disp == (int8_t)disp;
    unsigned modrm = (byte ? 0x44 : 0x84) | (reg & 7) << 3;
    uint64_t head = 0x24000048 | (reg & 8) >> 1 | opcode << 8 | modrm << 16; /* REX, opcode, ModRM, SIB */
    emit_bytes(e, head | (uint64_t)(uint32_t)disp << 32, byte ? 5 : 8);
    e->named |= 1u << reg;
}
static inline void emit_load_near(struct emitter *e, unsigned reg, int32_t disp)
{
    emit_near(e, 0x8b, reg, disp);
}
static inline void emit_store_near(struct emitter *e, int32_t disp, unsigned reg)
{
    emit_near(e, 0x89, reg, disp);
}
/* MOV of a constant to 4 bytes there. */
static inline void emit_constant_near(struct emitter *e, int32_t disp, uint32_t value)
{
    bool byte = disp == (int8_t)disp;
    uint64_t head = (byte ? 0x2444c7 : 0x2484c7) | (uint64_t)(uint32_t)disp << 24; /* opcode, ModRM, SIB */
    emit_bytes(e, head, byte ? 4 : 7);
    emit_bytes(e, value, 4);
}
/* The shortest MOV of a constant; leaves flags alone. */
void emit_constant(struct emitter *e, unsigned reg, uint64_t value);
/* MOV of a sign-extended constant to memory. */
void emit_store_constant(struct emitter *e, unsigned width, struct host_operand rm, int32_t value);
/* reg = from rotated right by `count`, without a look at flags (BMI2). */
void emit_rorx(struct emitter *e, unsigned reg, unsigned from, unsigned count);
void emit_lea(struct emitter *e, unsigned width, unsigned reg, struct host_operand rm);
/* reg = reg op rm, and rm = rm op value. */
void emit_alu(struct emitter *e, enum alu alu, unsigned width, unsigned reg, struct host_operand rm);
void emit_alu_constant(struct emitter *e, enum alu alu, unsigned width, struct host_operand rm, int32_t value);
void emit_test(struct emitter *e, unsigned width, struct host_operand rm, unsigned reg);

/* Writes where `code` runs to the last four bytes of an instruction, at `at`. */
static inline void emit_address(const struct emitter *e, uint8_t *at, const uint8_t *code)
{
    uint32_t address = (uint32_t)(uintptr_t)(code + e->delta);
    memcpy(at, &address, 4);
}

/* Jumps with a 32-bit displacement. They return the place of the displacement,
 * for emit_patch; `target` is where the code is written, NULL: not yet known. */
uint8_t *emit_jump(struct emitter *e, const uint8_t *target);
uint8_t *emit_jump_if(struct emitter *e, enum condition condition, const uint8_t *target);
uint8_t *emit_call(struct emitter *e, const uint8_t *target);
void emit_patch(uint8_t *displacement, const uint8_t *target);

#endif
