/*
 * x86-64 encodings (Intel SDM vol. 2, chapter 2); see emit.h.
 *
 * Not there: displacements of 8 bits for jumps, absolute 64-bit addresses.
 */
#include "translator/emit.h"

#include <string.h>

void emit_bytes(struct emitter *e, uint64_t value, unsigned bytes)
{
    memcpy(e->at, &value, 8); /* the limit leaves room */
    e->at += bytes;
}

static void byte(struct emitter *e, unsigned value)
{
    *e->at++ = (uint8_t)value;
}

static void emit_rex(struct emitter *e, uint32_t op, unsigned width, unsigned reg, struct host_operand rm)
{
    unsigned rex = (width == 8 ? 8 : 0) | (reg & 8) >> 1;
    if (rm.base != HOST_NONE)
        rex |= (rm.base & 8) >> 3;
    if (rm.index != HOST_NONE)
        rex |= (rm.index & 8) >> 2;
    bool byte_register = (op & OP_BYTE_REG && reg >= 4) || (op & OP_BYTE_RM && !rm.memory && rm.base >= 4);
    if (rex || (byte_register && !(op & OP_HIGH)))
        byte(e, 0x40 | rex);
}

static void emit_modrm(struct emitter *e, unsigned reg, struct host_operand rm)
{
    reg = (reg & 7) << 3;
    if (!rm.memory) {
        byte(e, 0xc0 | reg | (rm.base & 7));
        return;
    }
    if (rm.base == HOST_NONE) { /* [index * scale + disp32] */
        byte(e, reg | 4);
        byte(e, rm.scale << 6 | (rm.index == HOST_NONE ? 4 : rm.index & 7) << 3 | 5);
        emit_bytes(e, (uint32_t)rm.disp, 4);
        return;
    }
    bool sib = rm.index != HOST_NONE || (rm.base & 7) == 4;
    unsigned mod = rm.disp == 0 && (rm.base & 7) != 5 ? 0x00 : rm.disp == (int8_t)rm.disp ? 0x40 : 0x80;
    byte(e, mod | reg | (sib ? 4u : rm.base & 7u));
    if (sib)
        byte(e, rm.scale << 6 | (rm.index == HOST_NONE ? 4 : rm.index & 7) << 3 | (rm.base & 7));
    if (mod)
        emit_bytes(e, (uint32_t)rm.disp, mod == 0x40 ? 1 : 4);
}

void emit_instruction(struct emitter *e, uint32_t op, unsigned width, unsigned reg, struct host_operand rm)
{
    static const uint8_t escape[5][2] = { { 0 }, { 0 }, { 0x0f }, { 0x0f, 0x38 }, { 0x0f, 0x3a } };
    unsigned map = op >> 8 & 7;
    if (width == 2)
        byte(e, 0x66);
    if (op >> 16)
        byte(e, op >> 16);
    emit_rex(e, op, width, reg, rm);
    for (unsigned i = 0; i < 2 && escape[map][i]; i++)
        byte(e, escape[map][i]);
    byte(e, op & 0xff);
    emit_modrm(e, reg, rm);
}

void emit_vex(struct emitter *e, uint32_t op, unsigned width, bool wide, unsigned reg, unsigned vvvv,
              struct host_operand rm)
{
    unsigned map = (op >> 8 & 7) - 1, prefix = op >> 16 & 0xff;
    unsigned pp = prefix == 0x66 ? 1 : prefix == 0xf3 ? 2 : prefix == 0xf2 ? 3 : 0;
    unsigned low = (width == 8 ? 0x80 : 0) | (~vvvv & 15) << 3 | (wide ? 4 : 0) | pp;
    unsigned x = rm.index != HOST_NONE && rm.index & 8, b = rm.base != HOST_NONE && rm.base & 8;
    if (map == 1 && width != 8 && !x && !b) {
        byte(e, 0xc5);
        byte(e, (reg & 8 ? 0 : 0x80) | low);
    } else {
        byte(e, 0xc4);
        byte(e, (reg & 8 ? 0 : 0x80) | (x ? 0 : 0x40) | (b ? 0 : 0x20) | map);
        byte(e, low);
    }
    byte(e, op & 0xff);
    emit_modrm(e, reg, rm);
}

/* The opcode of a byte and a wider form that differ in bit 0. */
static uint32_t sized(unsigned opcode, unsigned width)
{
    return width == 1 ? OP1(opcode) | OP_BYTE_REG | OP_BYTE_RM : OP1(opcode | 1);
}

void emit_load(struct emitter *e, unsigned width, unsigned reg, struct host_operand rm)
{
    emit_instruction(e, sized(0x8a, width), width, reg, rm);
}

void emit_store(struct emitter *e, unsigned width, struct host_operand rm, unsigned reg)
{
    emit_instruction(e, sized(0x88, width), width, reg, rm);
}

void emit_constant(struct emitter *e, unsigned reg, uint64_t value)
{
    if (value <= UINT32_MAX) {
        if (reg >= 8)
            byte(e, 0x41);
        byte(e, 0xb8 | (reg & 7));
        emit_bytes(e, value, 4);
    } else if ((int64_t)value == (int32_t)value) {
        emit_instruction(e, OP1(0xc7), 8, 0, operand_register(reg));
        emit_bytes(e, value, 4);
    } else {
        byte(e, reg >= 8 ? 0x49 : 0x48);
        byte(e, 0xb8 | (reg & 7));
        emit_bytes(e, value, 8);
    }
}

void emit_store_constant(struct emitter *e, unsigned width, struct host_operand rm, int32_t value)
{
    emit_instruction(e, sized(0xc6, width), width, 0, rm);
    emit_bytes(e, (uint32_t)value, width == 8 ? 4 : width);
}

void emit_rorx(struct emitter *e, unsigned reg, unsigned from, unsigned count)
{
    byte(e, 0xc4);
    byte(e, (reg & 8 ? 0 : 0x80) | 0x40 | (from & 8 ? 0 : 0x20) | 3); /* VEX: 0F 3A */
    byte(e, 0xfb);                                                   /* W1, F2 */
    byte(e, 0xf0);
    byte(e, 0xc0 | (reg & 7) << 3 | (from & 7));
    byte(e, count);
}

void emit_lea(struct emitter *e, unsigned width, unsigned reg, struct host_operand rm)
{
    emit_instruction(e, OP1(0x8d), width, reg, rm);
}

void emit_alu(struct emitter *e, enum alu alu, unsigned width, unsigned reg, struct host_operand rm)
{
    emit_instruction(e, sized(alu << 3 | 2, width), width, reg, rm);
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
    emit_instruction(e, sized(0x84, width), width, reg, rm);
}

void emit_patch(uint8_t *displacement, const uint8_t *target)
{
    int32_t distance = (int32_t)(target - (displacement + 4));
    memcpy(displacement, &distance, 4);
}

static uint8_t *relative(struct emitter *e, const uint8_t *target)
{
    uint8_t *displacement = e->at;
    emit_bytes(e, 0, 4);
    if (target)
        emit_patch(displacement, target);
    return displacement;
}

uint8_t *emit_jump(struct emitter *e, const uint8_t *target)
{
    byte(e, 0xe9);
    return relative(e, target);
}

uint8_t *emit_jump_if(struct emitter *e, enum condition condition, const uint8_t *target)
{
    byte(e, 0x0f);
    byte(e, 0x80 | condition);
    return relative(e, target);
}

uint8_t *emit_call(struct emitter *e, const uint8_t *target)
{
    byte(e, 0xe8);
    return relative(e, target);
}
