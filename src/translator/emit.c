/*
 * x86-64 encodings (Intel SDM vol. 2, chapter 2); see emit.h.
 *
 * Not there: displacements of 8 bits for jumps, absolute 64-bit addresses.
 */
#include "translator/emit.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

static void byte(struct emitter *e, unsigned value)
{
    *e->at++ = (uint8_t)value;
}

/* ModRM, SIB and displacement: of these, stores that the next ones may write over, in place of
 * branches that nobody can foretell. The pointer stays in a register: what is written
 * through it could be the emitter's own for all that the compiler knows. */
static ALWAYS_INLINE uint8_t *put_modrm(uint8_t *at, unsigned reg, struct host_operand rm)
{
    unsigned low = rm.base & 7, sib = rm.scale << 6 | (rm.index & 7) << 3;
    reg = (reg & 7) << 3;
    if (!rm.memory) {
        *at = (uint8_t)(0xc0 | reg | low);
        return at + 1;
    }
    if (rm.base == HOST_NONE) { /* [index * scale + disp32] */
        at[0] = (uint8_t)(reg | 4);
        at[1] = (uint8_t)(sib | 5);
        memcpy(at + 2, &rm.disp, 4);
        return at + 6;
    }
    unsigned wide = rm.disp != (int8_t)rm.disp, some = (rm.disp != 0) | (low == 5), mod = wide + some;
    unsigned indexed = (rm.index != HOST_NONE) | (low == 4);
    at[0] = (uint8_t)(mod << 6 | reg | (indexed ? 4 : low));
    at[1] = (uint8_t)(sib | low);
    at += 1 + indexed;
    memcpy(at, &rm.disp, 4);
    return at + some + 3 * wide;
}

/* Prefixes but REX. */
static uint8_t *put_prefixes(uint8_t *at, uint32_t op, unsigned width)
{
    if (width == 2)
        *at++ = 0x66;
    if (op >> 16)
        *at++ = (uint8_t)(op >> 16);
    return at;
}

/* Where the opcode is a constant, most of this goes away. */
static ALWAYS_INLINE void put_instruction(struct emitter *e, uint32_t op, unsigned width, unsigned reg,
                                          struct host_operand rm)
{
    uint8_t *at = e->at;
    unsigned map = op >> 8 & 7;
    unsigned rex = (unsigned)(width == 8) << 3 | (reg & 8) >> 1 | (rm.base & 8) >> 3 | (rm.index & 8) >> 2;
    if (op & OP_BYTES && !(op & OP_HIGH)
        && ((op & OP_BYTE_REG && reg >= 4) || (op & OP_BYTE_RM && !rm.memory && rm.base >= 4)))
        rex |= 0x40;
    if (op >> 16 || width == 2)
        at = put_prefixes(at, op, width);
    *at = (uint8_t)(0x40 | rex);
    at += rex != 0;
    if (map > 1) {
        *at++ = 0x0f;
        *at = map == 3 ? 0x38 : 0x3a;
        at += map > 2;
    }
    *at++ = (uint8_t)op;
    e->named |= 1u << reg | (uint32_t)!rm.memory << (rm.base & 15);
    e->at = put_modrm(at, reg, rm);
}

/* Others of this file go on here. */
void emit_instruction(struct emitter *e, uint32_t op, unsigned width, unsigned reg, struct host_operand rm)
{
    put_instruction(e, op, width, reg, rm);
}

void emit_vex(struct emitter *e, uint32_t op, unsigned width, bool wide, unsigned reg, unsigned vvvv,
              struct host_operand rm)
{
    unsigned map = (op >> 8 & 7) - 1, prefix = op >> 16 & 0xff;
    unsigned pp = prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;
    unsigned low = (width == 8 ? 0x80 : 0) | (~vvvv & 15) << 3 | (wide ? 4 : 0) | pp;
    unsigned x = rm.index & 8, b = rm.base & 8;
    if (map == 1 && width != 8 && !x && !b) {
        byte(e, 0xc5);
        byte(e, (reg & 8 ? 0 : 0x80) | low);
    } else {
        byte(e, 0xc4);
        byte(e, (reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map);
        byte(e, low);
    }
    byte(e, op & 0xff);
    e->at = put_modrm(e->at, reg, rm);
    e->named |= 1u << reg | 1u << vvvv | (uint32_t)!rm.memory << (rm.base & 15);
}

/* The opcode of a byte and a wider form that differ in bit 0. */
static void encode_sized(struct emitter *e, unsigned opcode, unsigned width, unsigned reg, struct host_operand rm)
{
    emit_instruction(e, width == 1 ? OP1(opcode) | OP_BYTE_REG | OP_BYTE_RM : OP1(opcode | 1), width, reg, rm);
}

void emit_load(struct emitter *e, unsigned width, unsigned reg, struct host_operand rm)
{
    encode_sized(e, 0x8a, width, reg, rm);
}

void emit_store(struct emitter *e, unsigned width, struct host_operand rm, unsigned reg)
{
    encode_sized(e, 0x88, width, reg, rm);
}

void emit_constant(struct emitter *e, unsigned reg, uint64_t value)
{
    unsigned rex = reg >= 8, move = 0xb8 | (reg & 7);
    e->named |= 1u << reg;
    if (value <= UINT32_MAX) {
        if (rex)
            emit_bytes(e, 0x41 | move << 8 | value << 16, 6);
        else
            emit_bytes(e, move | value << 8, 5);
    } else if ((int64_t)value == (int32_t)value) {
        emit_bytes(e, (0x48 | rex) | 0xc700 | (0xc0 | (reg & 7)) << 16, 3);
        emit_bytes(e, value, 4);
    } else {
        emit_bytes(e, (0x48 | rex) | move << 8, 2);
        emit_bytes(e, value, 8);
    }
}

void emit_store_constant(struct emitter *e, unsigned width, struct host_operand rm, int32_t value)
{
    encode_sized(e, 0xc6, width, 0, rm);
    emit_bytes(e, (uint32_t)value, width == 8 ? 4 : width);
}

void emit_rorx(struct emitter *e, unsigned reg, unsigned from, unsigned count)
{
    uint64_t second = (reg & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 3; /* VEX: 0F 3A */
    uint64_t modrm = 0xc0 | (reg & 7) << 3 | (from & 7);
    /* W1, F2 */
    e->named |= 1u << reg;
    emit_bytes(e, 0xc4 | second << 8 | 0xf0fb0000u | modrm << 32 | (uint64_t)count << 40, 6);
}

void emit_lea(struct emitter *e, unsigned width, unsigned reg, struct host_operand rm)
{
    put_instruction(e, OP1(0x8d), width, reg, rm);
}

void emit_alu(struct emitter *e, enum alu alu, unsigned width, unsigned reg, struct host_operand rm)
{
    encode_sized(e, alu << 3 | 2, width, reg, rm);
}

void emit_alu_constant(struct emitter *e, enum alu alu, unsigned width, struct host_operand rm, int32_t value)
{
    if (width == 1) {
        emit_instruction(e, OP1(0x80) | OP_BYTE_RM, 1, alu, rm);
        emit_bytes(e, (uint32_t)value, 1);
    } else if (value == (int8_t)value) {
        emit_instruction(e, OP1(0x83), width, alu, rm);
        emit_bytes(e, (uint32_t)value, 1);
    } else {
        emit_instruction(e, OP1(0x81), width, alu, rm);
        emit_bytes(e, (uint32_t)value, width == 2 ? 2 : 4);
    }
}

void emit_test(struct emitter *e, unsigned width, struct host_operand rm, unsigned reg)
{
    encode_sized(e, 0x84, width, reg, rm);
}

void emit_patch(uint8_t *displacement, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (displacement + 4));
    memcpy(displacement, &distance, 4);
}

/* The jump's `bytes` of opcode, then its displacement. */
static ALWAYS_INLINE uint8_t *relative(struct emitter *e, uint64_t opcode, unsigned bytes,
                                       const uint8_t *target)
{
    uint8_t *displacement = e->at + bytes;
    uint32_t distance = target ? (uint32_t)(target - (displacement + 4)) : 0;
    emit_bytes(e, opcode | (uint64_t)distance << 8 * bytes, bytes + 4);
    return displacement;
}

uint8_t *emit_jump(struct emitter *e, const uint8_t *target)
{
    return relative(e, 0xe9, 1, target);
}

uint8_t *emit_jump_if(struct emitter *e, enum condition condition, const uint8_t *target)
{
    return relative(e, 0x0f | (0x80 | condition) << 8, 2, target);
}

uint8_t *emit_call(struct emitter *e, const uint8_t *target)
{
    emit_join(e); /* when it comes back */
    return relative(e, 0xe8, 1, target);
}
