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

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/memory.h"
#include "cpu/opcode.h"
#include "util/assert.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* The bytes of one instruction while they are read. Those behind the available
 * ones are whatever follows: that some were read is told by the position. */
struct cursor {
    const uint8_t *bytes;
    unsigned available;
    unsigned position;
};

/* More than the parts of an instruction behind 15 prefixes can take. */
#define CURSOR_BYTES 48

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

static bool exhausted(const struct cursor *cursor)
{
    return cursor->position > cursor->available;
}

static uint8_t next_byte(struct cursor *cursor)
{
    return cursor->bytes[cursor->position++];
}

/* A little-endian integer of 1, 2, 4 or 8 bytes, sign-extended. */
static inline uint64_t next_signed(struct cursor *cursor, unsigned bytes)
{
    const uint8_t *at = cursor->bytes + cursor->position;
    int16_t word;
    int32_t doubleword;
    uint64_t quadword;
    cursor->position += bytes;
    switch (bytes) {
    case 1: return (uint64_t)(int8_t)*at;
    case 2: memcpy(&word, at, 2); return (uint64_t)word;
    case 4: memcpy(&doubleword, at, 4); return (uint64_t)doubleword;
    }
    memcpy(&quadword, at, 8);
    return quadword;
}

/* Preparation: what of a row decides whether it fits, and what its operands ask for. */

/* struct candidate's flags */
enum {
    HAS_MODRM = 1, IN_OPCODE = 2, BYTE_REG = 4, BYTE_OPCODE = 8, BYTE_RM = 16, ON_STACK = 32
};

/* struct candidate's immediate */
enum { IMMEDIATE_NONE, IMMEDIATE_BYTE, IMMEDIATE_Z, IMMEDIATE_OTHER };

static unsigned immediate_of(const struct opcode_row *row)
{
    unsigned found = IMMEDIATE_NONE;
    for (unsigned i = 0; i < 4; i++) {
        unsigned one = IMMEDIATE_NONE;
        switch (row->operand[i]) {
        case OPERAND_Ib: case OPERAND_Ibs: case OPERAND_Jb: case OPERAND_Lx:
            one = IMMEDIATE_BYTE;
            break;
        case OPERAND_Iz: case OPERAND_Jz:
            one = IMMEDIATE_Z;
            break;
        case OPERAND_Iw: case OPERAND_Iv: case OPERAND_I1: case OPERAND_Ob: case OPERAND_Ov:
        case OPERAND_Ap:
            one = IMMEDIATE_OTHER;
            break;
        default: continue;
        }
        found = found || row->attributes & IMM_ZX ? IMMEDIATE_OTHER : one;
    }
    return found;
}

static unsigned flags_of(const struct opcode_row *row)
{
    unsigned flags = row->modrm & MODRM_PRESENT  ? HAS_MODRM
                     : row->modrm & MODRM_PLUS_R ? IN_OPCODE
                                                 : 0;
    if (row->attributes & (DEFAULT64 | FORCE64))
        flags |= ON_STACK;
    for (unsigned i = 0; i < 4; i++)
        flags |= row->operand[i] == OPERAND_Gb   ? BYTE_REG
                 : row->operand[i] == OPERAND_Zb ? BYTE_OPCODE
                 : row->operand[i] == OPERAND_Eb ? BYTE_RM
                                                 : 0;
    return flags;
}

/* Bit n: fits in situation n (see situation()). */
static uint8_t situations_of(const struct opcode_row *row, bool amd)
{
    static const uint8_t prefixes[] = {
        [OPCODE_PREFIX_ANY] = 0xff, [OPCODE_PREFIX_NP] = 0x11, [OPCODE_PREFIX_P66] = 0x22,
        [OPCODE_PREFIX_PF3] = 0x44, [OPCODE_PREFIX_PF2] = 0x88,
    };
    unsigned modes = 0xff;
    if (row->mode == OPCODE_MODE_NO64 && !(amd && row->feature == FEATURE_SYSCALL))
        modes = 0x0f;
    if (row->mode == OPCODE_MODE_ONLY64 && !(amd && row->feature == FEATURE_SYSCALL))
        modes = 0xf0;
    return (uint8_t)(prefixes[row->prefix] & modes);
}

#define MOD_REGISTER 0x100 /* above ModRM: mod is 3 */

static struct candidate candidate_of(const struct opcode_row *row, bool amd)
{
    struct candidate c = { .situations = situations_of(row, amd), .flags = (uint8_t)flags_of(row),
                           .immediate = (uint8_t)immediate_of(row) };
    if (row->modrm & (MODRM_ONLY_MEM | MODRM_ONLY_REG))
        c.modrm_mask |= MOD_REGISTER;
    if (row->modrm & MODRM_ONLY_REG)
        c.modrm_value |= MOD_REGISTER;
    if (row->modrm & MODRM_FIX_REG)
        c.modrm_mask |= 0x38;
    if (row->modrm & MODRM_FIX_RM)
        c.modrm_mask |= 7;
    c.modrm_value |= row->modrm & c.modrm_mask & 0x3f;
    return c;
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
        decoder->candidates[row] = candidate_of(r, decoder->amd);
        unsigned copies = r->modrm & MODRM_PLUS_R ? 8 : 1;
        ASSERT(r->modrm & MODRM_PLUS_R ? (r->opcode & 7) == 0 : true);
        if (copies == 1) {
            decoder->candidates[row].next = decoder->first[r->map][r->opcode];
            decoder->first[r->map][r->opcode] = (uint16_t)(row + 1);
            continue;
        }
        /* One chain link a row: PLUS_R rows stand alone in their opcodes. */
        for (unsigned k = 0; k < copies; k++)
            if (!decoder->first[r->map][r->opcode + k])
                decoder->first[r->map][r->opcode + k] = (uint16_t)(row + 1);
    }
}

/* Bytes that are no opcode of the one-byte map. REX is none in 64-bit code only. */
enum { BYTE_OPCODE_ONE, BYTE_LEGACY, BYTE_REX, BYTE_ESCAPE /* and VEX */ };
static const uint8_t byte_class[256] = {
    [0x26] = BYTE_LEGACY, [0x2e] = BYTE_LEGACY, [0x36] = BYTE_LEGACY, [0x3e] = BYTE_LEGACY,
    [0x40 ... 0x4f] = BYTE_REX, [0x64 ... 0x67] = BYTE_LEGACY, [0xf0] = BYTE_LEGACY,
    [0xf2] = BYTE_LEGACY, [0xf3] = BYTE_LEGACY, [0x0f] = BYTE_ESCAPE, [0xc4] = BYTE_ESCAPE,
    [0xc5] = BYTE_ESCAPE,
};

static bool is_prefix(unsigned class) { return class == BYTE_LEGACY || class == BYTE_REX; }

/* Reads prefixes; returns the first byte after them. */
static uint8_t parse_prefixes(struct parse *parse)
{
    for (;;) {
        uint8_t byte = next_byte(&parse->cursor);
        unsigned class = byte_class[byte];
        if (!is_prefix(class) || exhausted(&parse->cursor))
            return byte;
        if (class == BYTE_REX) {
            if (parse->code_bytes != 8)
                return byte;
            parse->rex = byte;
            parse->prefixes |= PREFIX_REX;
            /* A REX that is not right before the opcode is ignored. */
            unsigned after = byte_class[parse->cursor.bytes[parse->cursor.position]];
            if (!is_prefix(after))
                return next_byte(&parse->cursor);
            if (after == BYTE_LEGACY) {
                parse->rex = 0;
                parse->prefixes &= (uint8_t)~PREFIX_REX;
            }
            continue;
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
    if (exhausted(cursor))
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

/* The mandatory prefix and whether the code is 64-bit, as a number. */
static ALWAYS_INLINE unsigned situation(const struct parse *parse)
{
    unsigned prefixes = parse->prefixes, now = parse->code_bytes == 8 ? 4 : 0;
    if (likely(!(prefixes & (PREFIX_REP | PREFIX_REPNE | PREFIX_OPERAND))))
        return now;
    return now + (prefixes & PREFIX_REP ? 2 : prefixes & PREFIX_REPNE ? 3 : 1);
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
    if (row->modrm & (parse->vex_l ? VEX_L0 : VEX_L1))
        return false;
    if (row->modrm & (vex_w(row, parse) ? VEX_W0 : VEX_W1))
        return false;
    return parse->vvvv == 0 || uses_vvvv(row);
}

/* MOV from and to control and debug registers: mod is ignored, the operand is a
 * register always. (SDM vol. 2, MOV) */
static bool is_control_move(const struct parse *parse)
{
    return parse->map == MAP_TWO && (parse->opcode & 0xfc) == 0x20;
}

/* The first row that fits, plus 1, or 0. Reads ModRM when a candidate has one. */
static ALWAYS_INLINE unsigned find_row(const struct decoder *decoder, struct parse *parse)
{
    unsigned now = situation(parse), flags = 0;
    unsigned modrm = parse->cursor.bytes[parse->cursor.position];
    if (is_control_move(parse))
        modrm |= 0xc0;
    unsigned form = modrm >= 0xc0 ? modrm | MOD_REGISTER : modrm;
    unsigned link = decoder->first[parse->map][parse->opcode];
    for (const struct candidate *candidate; link; link = candidate->next) {
        candidate = &decoder->candidates[link - 1];
        if (!(candidate->situations >> now & 1))
            continue;
        if (unlikely(parse->vex) && !vex_fits(&opcode_rows[link - 1], parse))
            continue;
        flags |= candidate->flags;
        if ((form & candidate->modrm_mask) == candidate->modrm_value)
            break;
    }
    if (flags & HAS_MODRM) {
        parse->modrm = (uint8_t)modrm;
        parse->cursor.position++;
    }
    return link;
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

static ALWAYS_INLINE void parse_address32(struct parse *parse, struct insn *insn, unsigned *default_segment)
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

static ALWAYS_INLINE void parse_memory(struct parse *parse, unsigned flags, struct insn *insn)
{
    unsigned segment = DS;
    insn->base = insn->index = REGISTER_ZERO;
    if (flags & HAS_MODRM && parse->modrm < 0xc0) {
        if (parse->address_bytes == 2)
            parse_address16(parse, insn, &segment);
        else
            parse_address32(parse, insn, &segment);
    } else if (flags & ON_STACK) {
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

static ALWAYS_INLINE unsigned operand_bytes(const struct parse *parse, const struct opcode_row *row)
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

static ALWAYS_INLINE void parse_registers(const struct parse *parse, unsigned flags, struct insn *insn)
{
    unsigned rex_r = (parse->rex & 4) << 1, rex_b = (parse->rex & 1) << 3;
    if (flags & HAS_MODRM) {
        insn->reg = (uint8_t)((parse->modrm >> 3 & 7) | rex_r);
        insn->rm = (uint8_t)((parse->modrm & 7) | rex_b);
    } else if (flags & IN_OPCODE) {
        insn->rm = (uint8_t)((parse->opcode & 7) | rex_b);
    }
    if (flags & BYTE_REG)
        insn->reg = byte_register(parse, insn->reg);
    if (flags & BYTE_OPCODE || (flags & BYTE_RM && parse->modrm >= 0xc0))
        insn->rm = byte_register(parse, insn->rm);
}

static void parse_other_immediates(struct parse *parse, const struct opcode_row *row,
                                   struct insn *insn)
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

static ALWAYS_INLINE void parse_immediates(struct parse *parse, unsigned kind, const struct opcode_row *row,
                             struct insn *insn)
{
    if (kind == IMMEDIATE_BYTE)
        insn->imm = next_signed(&parse->cursor, 1);
    else if (kind == IMMEDIATE_Z)
        insn->imm = next_signed(&parse->cursor, insn->operand_bytes == 2 ? 2 : 4);
    else if (kind != IMMEDIATE_NONE)
        parse_other_immediates(parse, row, insn);
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

static ALWAYS_INLINE void copy_attributes(const struct parse *parse, const struct opcode_row *row,
                            struct insn *insn)
{
    insn->attributes = (uint8_t)row->attributes;
    if (row->attributes & STRING && parse->prefixes & (PREFIX_REP | PREFIX_REPNE))
        insn->attributes |= SETS_RIP | ENDS_BLOCK;
    if (insn->attributes & SETS_RIP)
        insn->attributes |= ENDS_BLOCK;
}

/* What comes behind prefixes and opcode. */
static enum decode_result
finish(const struct decoder *decoder, struct parse *parse, bool short_of_bytes, unsigned start,
       struct insn *insn)
{
    unsigned found = exhausted(&parse->cursor) || parse->invalid ? 0 : find_row(decoder, parse);
    const struct opcode_row *row = NULL;
    insn_handler *handler = NULL;
    if (likely(found != 0)) {
        const struct candidate *candidate = &decoder->candidates[found - 1];
        unsigned flags = candidate->flags;
        row = &opcode_rows[found - 1];
        memset(insn, 0, sizeof *insn);
        insn->prefixes = parse->prefixes;
        insn->operand_bytes = (uint8_t)operand_bytes(parse, row);
        parse_memory(parse, flags, insn);
        parse_registers(parse, flags, insn);
        parse_immediates(parse, candidate->immediate, row, insn);
        if (parse->vex)
            parse_vex_operands(parse, row, insn);
        unsigned column = (unsigned)__builtin_ctz(insn->operand_bytes);
        handler = row->handler[flags & HAS_MODRM && parse->modrm < 0xc0][column];
    }
    if (unlikely(exhausted(&parse->cursor))) {
        if (short_of_bytes)
            return DECODE_SHORT;
        make_special(insn, parse, exec_too_long, start);
        return DECODE_OK;
    }
    if (unlikely(!handler || parse->invalid)
        || (parse->prefixes & PREFIX_LOCK && !lock_allowed(parse, row))) {
        make_special(insn, parse, exec_invalid, start);
        return DECODE_OK;
    }
    insn->handler = handler;
    insn->row = (uint16_t)(found - 1);
    insn->length = (uint8_t)parse->cursor.position;
    insn->end = (uint16_t)(start + insn->length);
    if (insn->base == RIP)
        insn->disp += insn->end;
    insn->code_bytes = (uint8_t)parse->code_bytes;
    insn->modrm = parse->modrm;
    insn->rex = parse->rex;
    insn->opcode = parse->opcode;
    copy_attributes(parse, row, insn);
    return DECODE_OK;
}

enum decode_result decode(const struct decoder *decoder, unsigned code_bytes, const uint8_t *bytes,
                          unsigned available, unsigned start, struct insn *insn)
{
    uint8_t few[CURSOR_BYTES];
    if (unlikely(available < CURSOR_BYTES)) {
        memset(few, 0, sizeof few);
        memcpy(few, bytes, available);
        bytes = few;
    }
    struct parse parse = {
        .cursor = { bytes, available < INSN_BYTES_MAXIMUM ? available : INSN_BYTES_MAXIMUM, 0 },
        .code_bytes = code_bytes,
        .segment_override = -1,
        .amd = decoder->amd,
    };
    parse_opcode(&parse);
    return finish(decoder, &parse, available < INSN_BYTES_MAXIMUM, start, insn);
}
