/*
 * What instructions do with memory and with general registers, in lists by opcode;
 * and the same in a table by row, made of them once, so that nobody has to go
 * through the lists for each instruction.
 */
#include <string.h>

#include "translator/compile.h"

static unsigned extension_of(const struct insn *insn) { return insn->modrm >> 3 & 7; }

/* Bytes of the ModRM operand in memory, 0 if there is none or it is not for a
 * group. */
static unsigned one_byte_operand(const struct insn *insn, unsigned o, bool *write)
{
    unsigned width = insn->operand_bytes, extension = extension_of(insn);
    if (o < 0x40 && (o & 7) < 4) {
        *write = !(o & 2) && o >> 3 != 7;
        return width;
    }
    switch (o) {
    case 0x80: case 0x81: case 0x82: case 0x83: *write = extension != 7; return width;
    case 0x84: case 0x85: case 0x8a: case 0x8b: case 0x69: case 0x6b: return width;
    case 0x63: return 4;
    case 0x86: case 0x87: case 0x88: case 0x89: case 0xc6: case 0xc7:
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        *write = true;
        return width;
    case 0xf6: case 0xf7:
        *write = extension == 2 || extension == 3;
        return extension < 6 ? width : 0;
    case 0xfe: *write = true; return extension < 2 ? width : 0;
    case 0xff:
        *write = extension < 2;
        return extension < 2 ? width : extension == 2 || extension == 4 ? 8 : 0;
    }
    return 0;
}

static unsigned two_byte_operand(const struct insn *insn, unsigned o, bool *write)
{
    if (o >= 0x40 && o <= 0x4f)
        return insn->operand_bytes;
    switch (o) {
    case 0xaf: return insn->operand_bytes;
    case 0xb6: case 0xbe: return 1;
    case 0xb7: case 0xbf: return 2;
    case 0xb0: case 0xb1: case 0xc0: case 0xc1: *write = true; return insn->operand_bytes;
    case 0xba: *write = extension_of(insn) != 4; return insn->operand_bytes;
    }
    return 0;
}

/* The register whose memory an instruction uses as stack, or REGISTER_ZERO. */
static unsigned stack_register(const struct insn *insn, const struct opcode_row *row, int *disp, bool *write)
{
    *disp = 0;
    *write = false;
    if (row->map != MAP_ONE || insn->operand_bytes != 8)
        return REGISTER_ZERO;
    switch (row->opcode) {
    case 0x50: case 0x68: case 0x6a: case 0xe8:
        *disp = -8;
        *write = true;
        return RSP;
    case 0xff:
        *disp = -8;
        *write = true;
        return extension_of(insn) == 2 ? RSP : REGISTER_ZERO;
    case 0x58: case 0xc2: case 0xc3: return RSP;
    case 0xc9: return RBP;
    }
    return REGISTER_ZERO;
}

static unsigned bit_of(unsigned number, unsigned width)
{
    return 1u << ((width == 1 ? number >> 3 : number) & 15); /* MOVZX and its kin ask for nothing */
}

/* Registers that an instruction may change; all of them if it is in no list. */
static unsigned one_byte_written(const struct insn *insn, unsigned o, bool memory)
{
    unsigned width = insn->operand_bytes, extension = extension_of(insn);
    unsigned rm = memory ? 0 : bit_of(insn->rm, width), reg = bit_of(insn->reg, width);
    if (o < 0x40 && (o & 7) < 6) {
        if (o >> 3 == 7)
            return 0;
        return (o & 7) < 2 ? rm : (o & 7) < 4 ? reg : 1u << RAX;
    }
    switch (o) {
    case 0x80: case 0x81: case 0x82: case 0x83: return extension == 7 ? 0 : rm;
    case 0x84: case 0x85: case 0xa8: case 0xa9: case 0xeb: case 0xe9: return 0;
    case 0x86: case 0x87: return rm | reg;
    case 0x88: case 0x89: case 0xc6: case 0xc7:
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: return rm;
    case 0x8a: case 0x8b: return reg;
    case 0x63: case 0x69: case 0x6b: case 0x8d: return 1u << insn->reg;
    case 0x90: return 1u << RAX | 1u << insn->rm;
    case 0x98: return 1u << RAX;
    case 0x99: return 1u << RDX;
    case 0xb0: case 0xb8: return bit_of(insn->rm, width);
    case 0xf6: case 0xf7:
        return extension < 2 ? 0 : extension < 4 ? rm : 1u << RAX | 1u << RDX;
    case 0xfe: case 0xff: /* PUSH from memory moves RSP */
        return extension < 2 ? rm : extension == 6 ? 1u << RSP : 0;
    case 0x50: case 0x68: case 0x6a: case 0xe8: case 0xc2: case 0xc3: return 0;
    case 0x58: return 1u << insn->rm;
    }
    return o >= 0x70 && o <= 0x7f ? 0 : ALL_REGISTERS;
}

static unsigned two_byte_written(const struct insn *insn, unsigned o, bool memory)
{
    unsigned width = insn->operand_bytes, rm = memory ? 0 : bit_of(insn->rm, width);
    if (o >= 0x40 && o <= 0x4f)
        return 1u << insn->reg;
    if (o >= 0x80 && o <= 0x8f)
        return 0;
    if (o >= 0x90 && o <= 0x9f)
        return memory ? 0 : bit_of(insn->rm, 1);
    switch (o) {
    case 0x1e: case 0x1f: case 0x0d: case 0x18: case 0xa3: return 0;
    case 0xab: case 0xb3: case 0xbb: case 0xba: return rm;
    case 0xaf: case 0xb6: case 0xb7: case 0xbe: case 0xbf: return 1u << insn->reg;
    case 0xb0: case 0xb1: return 1u << RAX | rm;
    case 0xc0: case 0xc1: return bit_of(insn->reg, width) | rm;
    case 0xc8: return 1u << insn->rm;
    }
    return ALL_REGISTERS;
}

/* POPCNT, TZCNT, LZCNT */
static bool bit_counts(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    return row->map == MAP_TWO && row->prefix == OPCODE_PREFIX_PF3 && (o == 0xb8 || o == 0xbc || o == 0xbd);
}

static unsigned bits_written(const struct insn *insn, const struct opcode_row *row)
{
    if (bit_counts(row))
        return 1u << insn->reg;
    if (row->map != MAP_V38)
        return ALL_REGISTERS;
    switch (row->opcode) {
    case 0xf2: case 0xf5: case 0xf7: return 1u << insn->reg;
    case 0xf3: return 1u << insn->vvvv;
    case 0xf6: return 1u << insn->reg | 1u << insn->vvvv;
    }
    return ALL_REGISTERS;
}

/* Of instructions for the general registers. */
static struct access_use general_use(const struct insn *insn, const struct opcode_row *row)
{
    struct access_use use = { .alignment = 1, .registers = ALL_REGISTERS };
    bool memory = row->modrm & MODRM_PRESENT && insn->modrm < 0xc0;
    if (row->map == MAP_ONE) {
        use.bytes = memory ? one_byte_operand(insn, row->opcode, &use.write) : 0;
        use.registers = one_byte_written(insn, row->opcode, memory);
    } else if (row->map == MAP_TWO && row->prefix == OPCODE_PREFIX_ANY) {
        use.bytes = memory ? two_byte_operand(insn, row->opcode, &use.write) : 0;
        use.registers = two_byte_written(insn, row->opcode, memory);
    } else {
        use.bytes = bit_counts(row) && memory ? insn->operand_bytes : 0;
        use.registers = bits_written(insn, row);
    }
    return use;
}

struct access_use access_use(const struct compile *c)
{
    struct access_use use;
    if (c->row->map == MAP_ONE ? c->row->opcode >= 0xd8 && x87_use(c, &use)
                               : vector_use(c, &use) || avx_use(c, &use))
        return use;
    return general_use(c->insn, c->row);
}

/* The table */

/* Registers that no instruction names but by ModRM or its opcode. */
enum { PROBE_RM = RBX, PROBE_REG = RSI };

static struct insn probe(const struct opcode_row *row, unsigned extension, bool memory, bool wide)
{
    unsigned shift = row->attributes & BYTE_OP ? 3 : 0;
    return (struct insn){
        .operand_bytes = row->attributes & BYTE_OP ? 1 : wide ? 8 : 4, .rm = (uint8_t)(PROBE_RM << shift),
        .reg = (uint8_t)(PROBE_REG << shift), .modrm = (uint8_t)((memory ? 0 : 0xc0) | extension << 3),
    };
}

/* How an instruction makes a register another plus a constant, if its operands are
 * of 64 bits. */
static enum derivation derivation_of(const struct opcode_row *row, unsigned extension)
{
    if (row->map != MAP_ONE)
        return DERIVES_NOT;
    switch (row->opcode) {
    case 0x89: return DERIVES_RM_FROM_REG;
    case 0x8b: return DERIVES_REG_FROM_RM;
    case 0x8d: return DERIVES_ADDRESS;
    case 0x81: case 0x83: return extension == 0 ? DERIVES_ADD : extension == 5 ? DERIVES_SUB : DERIVES_NOT;
    case 0xff: return extension == 0 ? DERIVES_INC : extension == 1 ? DERIVES_DEC : DERIVES_NOT;
    case 0xc9: return DERIVES_LEAVE;
    }
    return DERIVES_NOT;
}

/* What holds with this opcode extension. */
static struct row_access learn(const struct opcode_row *row, unsigned extension)
{
    struct insn memory = probe(row, extension, true, false), wide = probe(row, extension, true, true);
    struct insn registers = probe(row, extension, false, true);
    unsigned bytes = general_use(&memory, row).bytes, most = general_use(&wide, row).bytes;
    struct access_use use = general_use(&registers, row);
    struct row_access found = {
        .known = true, .bytes = (uint8_t)(bytes == most ? bytes : ACCESS_WIDTH),
        .write = general_use(&wide, row).write, .all = use.registers == ALL_REGISTERS,
        .derives = (uint8_t)derivation_of(row, extension), .shift = row->attributes & BYTE_OP ? 3 : 0,
    };
    int disp;
    found.stack = (uint8_t)stack_register(&registers, row, &disp, &found.stack_write);
    found.stack_disp = (int8_t)disp;
    found.pops = row->map == MAP_ONE && row->opcode == 0x58;
    found.rm = !found.all && use.registers >> PROBE_RM & 1;
    found.reg = !found.all && use.registers >> PROBE_REG & 1;
    found.fixed = (uint16_t)(use.registers & ~(1u << PROBE_RM | 1u << PROBE_REG));
    found.seldom = found.fixed || found.stack != REGISTER_ZERO;
    return found;
}

void access_learn(struct row_facts *rows)
{
    for (unsigned i = 0; i <= opcode_row_count; i++) {
        const struct opcode_row *row = rows[i].row;
        bool general = row->map == MAP_ONE ? row->opcode < 0xd8 || row->opcode >= 0xe0
                                           : row->map == MAP_TWO && row->prefix == OPCODE_PREFIX_ANY;
        if (!general)
            continue;
        bool fixed = row->modrm & MODRM_FIX_REG;
        struct row_access first = learn(row, fixed ? row->modrm >> 3 & 7 : 0);
        for (unsigned extension = 1; extension < 8 && !fixed; extension++) {
            struct row_access other = learn(row, extension);
            first.known &= memcmp(&first, &other, sizeof first) == 0;
        }
        rows[i].access = first;
    }
}
