/*
 * The decoder; see decode.h.
 *
 * VEX prefixes decode as in protected mode whatever the mode is; handlers of
 * VEX rows raise #UD in real and virtual-8086 mode (SDM vol. 2, section 2.3).
 *
 * Not modelled: EVEX encodings (they raise #UD, as on a CPU without AVX-512),
 * three-byte 3DNow!, XOP.
 */
#include "cpu/decode.h"

#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/memory.h"
#include "cpu/opcode.h"
#include "util/assert.h"

/* The bytes of one instruction while they are read. */
struct cursor {
    const uint8_t *bytes;
    unsigned available;
    unsigned position;
    bool exhausted; /* a byte past the available ones was asked for */
};

/* What prefixes and ModRM said. */
struct parse {
    struct cursor cursor;
    unsigned code_bytes;
    unsigned address_bytes;
    uint8_t prefixes;
    uint8_t rex;
    uint8_t modrm;
    int8_t segment_override; /* -1: none */
    uint8_t map, opcode;
    bool amd;
    bool invalid;   /* no instruction begins so */
    bool vex;
    bool vex_l;
    uint8_t vvvv;   /* as a register number; 0 when the field is 1111b */
};

static uint8_t next_byte(struct cursor *cursor)
{
    if (cursor->position >= cursor->available) {
        cursor->exhausted = true;
        return 0;
    }
    return cursor->bytes[cursor->position++];
}

/* A little-endian integer of 1, 2, 4 or 8 bytes, sign-extended. */
static uint64_t next_signed(struct cursor *cursor, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)next_byte(cursor) << (8 * i);
    unsigned shift = 64 - 8 * bytes;
    return (uint64_t)((int64_t)(value << shift) >> shift);
}

void decoder_init(struct decoder *decoder, const struct cpu_model *model)
{
    ASSERT(opcode_row_count <= DECODE_ROWS_MAXIMUM);
    memset(decoder, 0, sizeof *decoder);
    decoder->amd = cpu_model_is_amd(model);
    /* From the last row to the first, so that lists are in file order. */
    for (unsigned row = opcode_row_count; row-- > 0;) {
        const struct opcode_row *r = &opcode_rows[row];
        if (!cpu_model_has(model, r->feature))
            continue;
        unsigned copies = r->modrm & MODRM_PLUS_R ? 8 : 1;
        ASSERT(r->modrm & MODRM_PLUS_R ? (r->opcode & 7) == 0 : true);
        if (copies == 1) {
            decoder->next[row] = decoder->first[r->map][r->opcode];
            decoder->first[r->map][r->opcode] = (uint16_t)(row + 1);
            continue;
        }
        /* One chain link a row: PLUS_R rows stand alone in their opcodes. */
        for (unsigned k = 0; k < copies; k++)
            if (!decoder->first[r->map][r->opcode + k])
                decoder->first[r->map][r->opcode + k] = (uint16_t)(row + 1);
    }
}

/* Reads prefixes; returns the first byte after them. */
static uint8_t parse_prefixes(struct parse *parse)
{
    for (;;) {
        uint8_t byte = next_byte(&parse->cursor);
        if (parse->cursor.exhausted)
            return byte;
        if (parse->code_bytes == 8 && (byte & 0xf0) == 0x40) {
            parse->rex = byte;
            parse->prefixes |= PREFIX_REX;
            uint8_t after = parse->cursor.position < parse->cursor.available
                                ? parse->cursor.bytes[parse->cursor.position]
                                : 0;
            if (parse->cursor.position >= parse->cursor.available) {
                parse->cursor.exhausted = true;
                return 0;
            }
            /* A REX that is not right before the opcode is ignored: the loop
             * forgets it when another prefix follows. */
            switch (after) {
            case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66:
            case 0x67: case 0xf0: case 0xf2: case 0xf3:
                parse->rex = 0;
                parse->prefixes &= (uint8_t)~PREFIX_REX;
                continue;
            default:
                if ((after & 0xf0) == 0x40)
                    continue;
                return next_byte(&parse->cursor);
            }
        }
        switch (byte) {
        /* In 64-bit code these four say nothing, not even against FS and GS. */
        case 0x26: case 0x2e: case 0x36: case 0x3e:
            if (parse->code_bytes != 8)
                parse->segment_override = (int8_t)(byte >> 3 & 3);
            break;
        case 0x64: parse->segment_override = FS; break;
        case 0x65: parse->segment_override = GS; break;
        case 0x66: parse->prefixes |= PREFIX_OPERAND; break;
        case 0x67: parse->prefixes |= PREFIX_ADDRESS; break;
        case 0xf0: parse->prefixes |= PREFIX_LOCK; break;
        case 0xf2: parse->prefixes = (uint8_t)((parse->prefixes & ~PREFIX_REP) | PREFIX_REPNE); break;
        case 0xf3: parse->prefixes = (uint8_t)((parse->prefixes & ~PREFIX_REPNE) | PREFIX_REP); break;
        default: return byte;
        }
        if (parse->cursor.position > INSN_BYTES_MAXIMUM)
            return byte;
    }
}

/*
 * What follows C4 or C5 when that is VEX: W, R, X and B take REX's place, pp
 * that of the mandatory prefix. False: it is LES or LDS.
 */
static bool parse_vex(struct parse *parse, uint8_t byte)
{
    static const uint8_t mandatory[4] = { 0, PREFIX_OPERAND, PREFIX_REP, PREFIX_REPNE };
    struct cursor *cursor = &parse->cursor;
    uint8_t first = next_byte(cursor), second = first;
    if (cursor->exhausted)
        return true;
    if (parse->code_bytes != 8 && first < 0xc0) {
        cursor->position--;
        return false;
    }
    parse->vex = true;
    parse->invalid = parse->prefixes
                     & (PREFIX_LOCK | PREFIX_OPERAND | PREFIX_REP | PREFIX_REPNE | PREFIX_REX);
    parse->rex = 0x40 | (~first >> 5 & 4);
    parse->map = MAP_V0F;
    if (byte == 0xc4) {
        second = next_byte(cursor);
        parse->rex = (uint8_t)(0x40 | (~first >> 5 & 7) | (second >> 4 & 8));
        unsigned map = first & 31;
        if (map < 1 || map > 3)
            parse->invalid = true;
        else
            parse->map = (uint8_t)(MAP_V0F + map - 1);
    }
    /* Outside 64-bit code there are eight registers; VEX.B is ignored. */
    if (parse->code_bytes != 8)
        parse->rex &= (uint8_t)~1;
    parse->vvvv = ~second >> 3 & 15;
    parse->vex_l = second >> 2 & 1;
    parse->prefixes |= mandatory[second & 3];
    parse->opcode = next_byte(cursor);
    return true;
}

static void parse_opcode(struct parse *parse)
{
    uint8_t byte = parse_prefixes(parse);
    parse->map = MAP_ONE;
    parse->address_bytes = parse->code_bytes;
    if (parse->prefixes & PREFIX_ADDRESS)
        parse->address_bytes = parse->code_bytes == 4 ? 2 : 4;
    if ((byte == 0xc4 || byte == 0xc5) && parse_vex(parse, byte))
        return;
    if (byte == 0x0f) {
        byte = next_byte(&parse->cursor);
        parse->map = MAP_TWO;
        if (byte == 0x38 || byte == 0x3a) {
            parse->map = byte == 0x38 ? MAP_T38 : MAP_T3A;
            byte = next_byte(&parse->cursor);
        }
    }
    parse->opcode = byte;
}

static bool prefix_fits(const struct opcode_row *row, uint8_t prefixes)
{
    unsigned mandatory = prefixes & PREFIX_REP       ? OPCODE_PREFIX_PF3
                         : prefixes & PREFIX_REPNE   ? OPCODE_PREFIX_PF2
                         : prefixes & PREFIX_OPERAND ? OPCODE_PREFIX_P66
                                                     : OPCODE_PREFIX_NP;
    return row->prefix == OPCODE_PREFIX_ANY || row->prefix == mandatory;
}

/* The row has an operand that VEX.vvvv names. */
static bool uses_vvvv(const struct opcode_row *row)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->operand[i] == OPERAND_Hx || row->operand[i] == OPERAND_By)
            return true;
    return false;
}

/* VEX.W, which VPINSRD and VPEXTRD ignore outside 64-bit code; for AMD's CPUs it is
 * wrong there. */
static bool vex_w(const struct opcode_row *row, const struct parse *parse)
{
    bool ignored = parse->code_bytes != 8 && !parse->amd
                   && (row->operand[0] == OPERAND_Ed || row->operand[2] == OPERAND_Ed);
    return parse->rex & 8 && !ignored;
}

/* VEX.L, VEX.W and a vvvv that names nothing. */
static bool vex_fits(const struct opcode_row *row, const struct parse *parse)
{
    if (!parse->vex)
        return true;
    if (row->modrm & (parse->vex_l ? VEX_L0 : VEX_L1))
        return false;
    if (row->modrm & (vex_w(row, parse) ? VEX_W0 : VEX_W1))
        return false;
    return parse->vvvv == 0 || uses_vvvv(row);
}

static bool modrm_fits(const struct opcode_row *row, uint8_t modrm)
{
    bool memory = modrm < 0xc0;
    if (row->modrm & MODRM_ONLY_MEM && !memory)
        return false;
    if (row->modrm & MODRM_ONLY_REG && memory)
        return false;
    if (row->modrm & MODRM_FIX_REG && (modrm & 0x38) != (row->modrm & 0x38))
        return false;
    return !(row->modrm & MODRM_FIX_RM) || (modrm & 7) == (row->modrm & 7);
}

/* MOV from and to control and debug registers: mod is ignored, the operand is a
 * register always. (SDM vol. 2, MOV) */
static bool is_control_move(const struct parse *parse)
{
    return parse->map == MAP_TWO && (parse->opcode & 0xfc) == 0x20;
}

/* The first row that fits, or NULL. Reads ModRM when a candidate has one. */
static const struct opcode_row *find_row(const struct decoder *decoder, struct parse *parse)
{
    bool have_modrm = false;
    for (unsigned link = decoder->first[parse->map][parse->opcode]; link;
         link = decoder->next[link - 1]) {
        const struct opcode_row *row = &opcode_rows[link - 1];
        if (row->mode == (parse->code_bytes == 8 ? OPCODE_MODE_NO64 : OPCODE_MODE_ONLY64)
            && !(parse->amd && row->feature == FEATURE_SYSCALL))
            continue;
        if (!prefix_fits(row, parse->prefixes) || !vex_fits(row, parse))
            continue;
        if (row->modrm & MODRM_PRESENT) {
            if (!have_modrm) {
                parse->modrm = next_byte(&parse->cursor);
                if (is_control_move(parse))
                    parse->modrm |= 0xc0;
                have_modrm = true;
            }
            if (!modrm_fits(row, parse->modrm))
                continue;
        }
        return row;
    }
    return NULL;
}

/* 16-bit addressing: base, index by rm. */
static void parse_address16(struct parse *parse, struct insn *insn, unsigned *default_segment)
{
    static const uint8_t bases[8] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    static const uint8_t indexes[8] = { RSI, RDI, RSI, RDI, REGISTER_ZERO, REGISTER_ZERO,
                                        REGISTER_ZERO, REGISTER_ZERO };
    unsigned mod = parse->modrm >> 6, rm = parse->modrm & 7;
    insn->base = bases[rm];
    insn->index = indexes[rm];
    if (mod == 0 && rm == 6) {
        insn->base = REGISTER_ZERO;
        insn->disp = (int64_t)next_signed(&parse->cursor, 2);
        return;
    }
    if (insn->base == RBP)
        *default_segment = SS;
    if (mod)
        insn->disp = (int64_t)next_signed(&parse->cursor, mod);
}

static void parse_address32(struct parse *parse, struct insn *insn, unsigned *default_segment)
{
    unsigned mod = parse->modrm >> 6, rm = parse->modrm & 7;
    unsigned rex_b = (parse->rex & 1) << 3, rex_x = (parse->rex & 2) << 2;
    bool no_base;
    if (rm == 4) {
        uint8_t sib = next_byte(&parse->cursor);
        unsigned index = (sib >> 3 & 7) | rex_x;
        insn->index = index == RSP ? REGISTER_ZERO : (uint8_t)index;
        insn->vector_index = (uint8_t)index;
        insn->scale = sib >> 6;
        insn->base = (uint8_t)((sib & 7) | rex_b);
        no_base = (sib & 7) == 5 && mod == 0;
        if (no_base)
            insn->base = REGISTER_ZERO;
    } else {
        insn->base = (uint8_t)(rm | rex_b);
        no_base = rm == 5 && mod == 0;
        if (no_base)
            insn->base = parse->code_bytes == 8 ? RIP : REGISTER_ZERO;
    }
    if (insn->base == RSP || insn->base == RBP)
        *default_segment = SS;
    if (no_base || mod == 2)
        insn->disp = (int64_t)next_signed(&parse->cursor, 4);
    else if (mod == 1)
        insn->disp = (int64_t)next_signed(&parse->cursor, 1);
}

static void parse_memory(struct parse *parse, const struct opcode_row *row, struct insn *insn)
{
    unsigned segment = DS;
    insn->base = insn->index = REGISTER_ZERO;
    if (row->modrm & MODRM_PRESENT && parse->modrm < 0xc0) {
        if (parse->address_bytes == 2)
            parse_address16(parse, insn, &segment);
        else
            parse_address32(parse, insn, &segment);
    } else if (row->attributes & (DEFAULT64 | FORCE64)) {
        segment = SS; /* implicit stack accesses */
    }
    if (parse->segment_override >= 0) {
        segment = (unsigned)parse->segment_override;
        insn->prefixes |= PREFIX_SEGMENT;
    }
    insn->segment = (uint8_t)segment;
    insn->seg = (uint8_t)(parse->code_bytes == 8 && segment < FS ? SEGMENT_FLAT : segment);
    insn->address_shift = (uint8_t)(64 - 8 * parse->address_bytes);
}

static unsigned operand_bytes(const struct parse *parse, const struct opcode_row *row)
{
    bool prefix = parse->prefixes & PREFIX_OPERAND && !(row->attributes & NO_OSIZE);
    if (row->attributes & BYTE_OP)
        return 1;
    if (parse->code_bytes == 8) {
        if (parse->rex & 8 || (row->attributes & FORCE64 && !(parse->amd && prefix)))
            return 8;
        if (prefix)
            return 2;
        return row->attributes & DEFAULT64 ? 8 : 4;
    }
    if (row->attributes & NO_OSIZE)
        return 4;
    return (parse->code_bytes == 4) != prefix ? 4 : 2;
}

/* A byte register's place inside gpr[]. */
static uint8_t byte_register(const struct parse *parse, unsigned number)
{
    if (!(parse->prefixes & PREFIX_REX) && number >= 4)
        return (uint8_t)((number - 4) * 8 + 1);
    return (uint8_t)(number * 8);
}

static void parse_registers(const struct parse *parse, const struct opcode_row *row, struct insn *insn)
{
    unsigned rex_r = (parse->rex & 4) << 1, rex_b = (parse->rex & 1) << 3;
    if (row->modrm & MODRM_PLUS_R) {
        insn->rm = (uint8_t)((parse->opcode & 7) | rex_b);
    } else if (row->modrm & MODRM_PRESENT) {
        insn->reg = (uint8_t)((parse->modrm >> 3 & 7) | rex_r);
        insn->rm = (uint8_t)((parse->modrm & 7) | rex_b);
    }
    for (unsigned i = 0; i < 4; i++) {
        if (row->operand[i] == OPERAND_Gb)
            insn->reg = byte_register(parse, insn->reg);
        else if (row->operand[i] == OPERAND_Zb
                 || (row->operand[i] == OPERAND_Eb && parse->modrm >= 0xc0))
            insn->rm = byte_register(parse, insn->rm);
    }
}

static void parse_immediates(struct parse *parse, const struct opcode_row *row, struct insn *insn)
{
    struct cursor *cursor = &parse->cursor;
    unsigned z = insn->operand_bytes == 2 ? 2 : 4;
    unsigned count = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint64_t value;
        unsigned bytes = 0;
        switch (row->operand[i]) {
        case OPERAND_Ib: case OPERAND_Ibs: case OPERAND_Jb: case OPERAND_Lx: bytes = 1; break;
        case OPERAND_Iw: bytes = 2; break;
        case OPERAND_Iz: case OPERAND_Jz: bytes = z; break;
        case OPERAND_Iv: bytes = insn->operand_bytes; break;
        case OPERAND_I1: insn->imm = 1; continue;
        case OPERAND_Ob: case OPERAND_Ov:
            insn->disp = (int64_t)next_signed(cursor, parse->address_bytes);
            continue;
        case OPERAND_Ap:
            value = next_signed(cursor, z) & bits_ones(z);
            insn->imm = value | (next_signed(cursor, 2) & 0xffff) << 32;
            continue;
        default: continue;
        }
        value = next_signed(cursor, bytes);
        if (row->attributes & IMM_ZX)
            value &= bits_ones(bytes);
        /* ENTER: the size comes first, the level goes above it. */
        if (count++)
            insn->imm = (insn->imm & 0xffff) | (value & 0xff) << 16;
        else
            insn->imm = value;
    }
}

static bool lock_allowed(const struct parse *parse, const struct opcode_row *row)
{
    return row->attributes & LOCKABLE && row->modrm & MODRM_PRESENT && parse->modrm < 0xc0;
}

/* VSIB: the index is a vector register, which only a SIB byte can name. */
static void parse_vsib(struct parse *parse, struct insn *insn)
{
    if ((parse->modrm & 7) != 4 || parse->address_bytes == 2)
        parse->invalid = true;
    insn->index = REGISTER_ZERO;
}

static void parse_vex_operands(struct parse *parse, const struct opcode_row *row, struct insn *insn)
{
    insn->prefixes &= (uint8_t)~(PREFIX_OPERAND | PREFIX_REP | PREFIX_REPNE);
    insn->vvvv = parse->code_bytes == 8 ? parse->vvvv : parse->vvvv & 7;
    insn->vex_l = parse->vex_l;
    for (unsigned i = 0; i < 4; i++)
        if (row->operand[i] == OPERAND_Mvsib)
            parse_vsib(parse, insn);
}

static void make_special(struct insn *insn, const struct parse *parse, insn_handler *handler,
                         unsigned start)
{
    memset(insn, 0, sizeof *insn);
    unsigned length = parse->cursor.position;
    insn->length = (uint8_t)(length > INSN_BYTES_MAXIMUM ? INSN_BYTES_MAXIMUM : length);
    insn->end = (uint16_t)(start + insn->length);
    insn->handler = handler;
    insn->row = ROW_INVALID;
    insn->attributes = ENDS_BLOCK;
    insn->code_bytes = (uint8_t)parse->code_bytes;
}

enum decode_result decode(const struct decoder *decoder, unsigned code_bytes, const uint8_t *bytes,
                          unsigned available, unsigned start, struct insn *insn)
{
    struct parse parse = {
        .cursor = { bytes, available < INSN_BYTES_MAXIMUM ? available : INSN_BYTES_MAXIMUM, 0, false },
        .code_bytes = code_bytes,
        .segment_override = -1,
        .amd = decoder->amd,
    };
    parse_opcode(&parse);
    const struct opcode_row *row =
        parse.cursor.exhausted || parse.invalid ? NULL : find_row(decoder, &parse);
    if (row) {
        memset(insn, 0, sizeof *insn);
        insn->prefixes = parse.prefixes;
        insn->operand_bytes = (uint8_t)operand_bytes(&parse, row);
        parse_memory(&parse, row, insn);
        parse_registers(&parse, row, insn);
        parse_immediates(&parse, row, insn);
        if (parse.vex)
            parse_vex_operands(&parse, row, insn);
    }
    if (parse.cursor.exhausted) {
        if (available < INSN_BYTES_MAXIMUM)
            return DECODE_SHORT;
        make_special(insn, &parse, exec_too_long, start);
        return DECODE_OK;
    }
    bool memory = row && row->modrm & MODRM_PRESENT && parse.modrm < 0xc0;
    unsigned column = !row ? 0
                      : insn->operand_bytes == 1 ? 0
                      : insn->operand_bytes == 2 ? 1
                      : insn->operand_bytes == 4 ? 2
                                                 : 3;
    insn_handler *handler = row ? row->handler[memory][column] : NULL;
    if (!handler || parse.invalid
        || (parse.prefixes & PREFIX_LOCK && !lock_allowed(&parse, row))) {
        make_special(insn, &parse, exec_invalid, start);
        return DECODE_OK;
    }
    insn->handler = handler;
    insn->row = (uint16_t)(row - opcode_rows);
    insn->length = (uint8_t)parse.cursor.position;
    insn->end = (uint16_t)(start + insn->length);
    if (insn->base == RIP)
        insn->disp += insn->end;
    insn->code_bytes = (uint8_t)code_bytes;
    insn->modrm = parse.modrm;
    insn->rex = parse.rex;
    insn->opcode = parse.opcode;
    insn->attributes = (uint8_t)row->attributes;
    if (row->attributes & STRING && parse.prefixes & (PREFIX_REP | PREFIX_REPNE))
        insn->attributes |= SETS_RIP | ENDS_BLOCK;
    if (insn->attributes & SETS_RIP)
        insn->attributes |= ENDS_BLOCK;
    return DECODE_OK;
}

/* Tells the user which bytes were not understood. */
static void notice_invalid(struct cpu *cpu, const uint8_t *bytes, unsigned count)
{
    char text[128];
    int length = snprintf(text, sizeof text, "undefined instruction raises #UD:");
    for (unsigned i = 0; i < count; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, " %02x", bytes[i]);
    snprintf(text + length, sizeof text - (size_t)length, " (%u-bit code)", 8u * cpu->code_bytes);
    cpu->bus.notice(cpu->bus.context, cpu, text);
}

/* The guest gets its #UD; the user hears of it, unless it is the same again. */
int exec_invalid(struct cpu *cpu, const struct insn *insn)
{
    uint64_t bytes = 0;
    uint64_t linear = cpu->access[CS].base + insn_start(cpu, insn);
    unsigned count = memory_debug_read(cpu, linear & cpu->rip_mask, &bytes, sizeof bytes);
    if (cpu->bus.notice && bytes != cpu->noticed_bytes) {
        cpu->noticed_bytes = bytes;
        notice_invalid(cpu, (const uint8_t *)&bytes, count);
    }
    return cpu_raise(cpu, VECTOR_UD);
}

int exec_too_long(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return cpu_raise_error(cpu, VECTOR_GP, 0);
}
