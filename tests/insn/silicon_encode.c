/*
 * Makes encodings from rows of the opcode table: with the prefixes that the row
 * wants, or with any prefixes in any order; and encodings that mean nothing.
 */
#include "silicon_encode.h"

#include <string.h>

#include "cpu/decode.h"

static const struct { const char *name, *why; } refused[] = {
    { "SYSCALL", "system call" }, { "SYSENTER", "system call" }, { "SYSEXIT", "system" },
    { "SYSRET", "system" }, { "INT", "system call" }, { "INT1", "no page fault follows" },
    { "INT3", "no page fault follows" }, { "INTO", "no page fault follows" },
    { "RDTSC", "time" }, { "RDTSCP", "time" }, { "RDPMC", "host's" }, { "RDPID", "host's" },
    { "CPUID", "host's" },
    { "CALLF", "host's descriptors" }, { "JMPF", "host's descriptors" },
    { "RETF", "host's descriptors" }, { "IRET", "host's descriptors" },
    { "LES", "host's descriptors" }, { "LDS", "host's descriptors" },
    { "LSS", "host's descriptors" }, { "LFS", "host's descriptors" },
    { "LGS", "host's descriptors" }, { "LAR", "host's descriptors" },
    { "LSL", "host's descriptors" }, { "VERR", "host's descriptors" },
    { "VERW", "host's descriptors" }, { "SLDT", "host's" }, { "STR", "host's" },
    { "SGDT", "host's" }, { "SIDT", "host's" }, { "SMSW", "host's" },
    { "RDFSBASE", "thread's" }, { "RDGSBASE", "thread's" }, { "WRFSBASE", "thread's" },
    { "WRGSBASE", "thread's" }, { "SWAPGS", "system" },
    { "RSM", "system" }, { "MONITOR", "system" }, { "MWAIT", "system" },
    { "XSAVES", "system" }, { "XRSTORS", "system" },
    { "WRPKRU", "host's" }, { "RDPKRU", "host's" },
};

bool row_uses(const struct opcode_row *row, unsigned operand)
{
    return row->operand[0] == operand || row->operand[1] == operand || row->operand[2] == operand
           || row->operand[3] == operand;
}

const char *generate_refuses(unsigned number)
{
    const struct opcode_row *row = &opcode_rows[number];
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (!strcmp(row->name, refused[i].name))
            return refused[i].why;
    for (unsigned operand = OPERAND_ESr; operand <= OPERAND_GSr; operand++)
        if (!strcmp(row->name, "POP") && row_uses(row, operand))
            return "host's descriptors";
    if (row_uses(row, OPERAND_Sw))
        return "host's descriptors";
    if (!host_has_feature(row->feature))
        return "the host has it not";
    return NULL;
}

static void emit(struct encoding *e, unsigned byte)
{
    if (e->test->length < 15)
        e->test->bytes[e->test->length++] = (uint8_t)byte;
}

static bool can(struct encoding *e, unsigned percent)
{
    return random_percent(e->random, percent);
}

static bool is_vex(const struct opcode_row *row)
{
    return row->map >= MAP_V0F;
}

/* VEX and the opcode. vvvv is now and then one that may not be, W and L too. */
static void emit_vex(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    bool code64 = e->test->code_bytes == 8;
    bool w = row->modrm & VEX_W1 || (!(row->modrm & VEX_W0) && can(e, 40));
    bool l = row->modrm & VEX_L1 || (!(row->modrm & VEX_L0) && can(e, 40));
    unsigned pp = row->prefix == OPCODE_PREFIX_P66   ? 1
                  : row->prefix == OPCODE_PREFIX_PF3 ? 2
                  : row->prefix == OPCODE_PREFIX_PF2 ? 3
                                                     : 0;
    unsigned rxb = code64 ? random_below(e->random, 8) : 6 | random_below(e->random, 2);
    unsigned vvvv = row_uses(row, OPERAND_Hx) || row_uses(row, OPERAND_By) || can(e, 3)
                        ? random_below(e->random, 16) : 15;
    if (!code64)
        vvvv |= 8 * can(e, 90);
    if (can(e, 2))
        w = !w;
    if (can(e, 2))
        l = !l;
    unsigned last = vvvv << 3 | (unsigned)l << 2 | pp;
    if (row->map == MAP_V0F && !w && (rxb & 3) == 3 && (code64 || vvvv & 8) && can(e, 70)) {
        emit(e, 0xc5);
        emit(e, rxb >> 2 << 7 | last);
    } else {
        emit(e, 0xc4);
        emit(e, rxb << 5 | (row->map - MAP_V0F + 1u));
        emit(e, (unsigned)w << 7 | last);
    }
    emit(e, row->opcode);
}

/* FS is the thread's in the host's 64-bit code. */
static unsigned segment_prefix(struct encoding *e)
{
    static const uint8_t overrides[] = { 0x26, 0x2e, 0x36, 0x3e, 0x65, 0x64 };
    return overrides[random_below(e->random, e->test->code_bytes == 8 ? 5 : 6)];
}

/* The row's prefix, and few others. */
static void emit_plain_prefixes(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    bool code64 = e->test->code_bytes == 8;
    if (can(e, 5))
        emit(e, segment_prefix(e));
    if (can(e, 10))
        emit(e, 0x67);
    if (can(e, row->attributes & LOCKABLE ? 15 : 3))
        emit(e, 0xf0);
    if (is_vex(row))
        return;
    if (row->prefix == OPCODE_PREFIX_P66
        || (row->prefix != OPCODE_PREFIX_NP && can(e, 20)))
        emit(e, 0x66);
    if (row->prefix == OPCODE_PREFIX_PF3)
        emit(e, 0xf3);
    else if (row->prefix == OPCODE_PREFIX_PF2)
        emit(e, 0xf2);
    else if (row->attributes & STRING && can(e, 55))
        emit(e, can(e, 60) ? 0xf3 : 0xf2);
    if (code64 && can(e, 60))
        emit(e, 0x40 | random_below(e->random, 16));
}

static unsigned any_prefix(struct encoding *e)
{
    static const uint8_t prefixes[] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x66, 0x67 };
    unsigned choice = random_below(e->random, e->test->code_bytes == 8 ? 13 : 10);
    if (choice < 7)
        return prefixes[choice];
    return choice < 10 ? segment_prefix(e) : 0x40 | random_below(e->random, 16);
}

/* Any, repeated and in any order, among them what the row wants. */
static void emit_wild_prefixes(struct encoding *e)
{
    static const uint8_t wanted[] = { [OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3,
                                      [OPCODE_PREFIX_PF2] = 0xf2 };
    unsigned count = 1 + random_below(e->random, can(e, 90) ? 4 : 14);
    unsigned place = random_below(e->random, count);
    bool wants = e->row->prefix >= OPCODE_PREFIX_P66 && !is_vex(e->row);
    for (unsigned i = 0; i < count; i++) {
        if (i == place && wants)
            emit(e, wanted[e->row->prefix]);
        unsigned byte = any_prefix(e);
        /* LOCK mostly leads nowhere. */
        if (byte != 0xf0 || e->row->attributes & LOCKABLE || can(e, 20))
            emit(e, byte);
    }
}

static void emit_opcode(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    if (is_vex(row)) {
        emit_vex(e);
        return;
    }
    if (row->map != MAP_ONE)
        emit(e, 0x0f);
    if (row->map == MAP_T38 || row->map == MAP_T3A)
        emit(e, row->map == MAP_T38 ? 0x38 : 0x3a);
    emit(e, row->opcode + (row->modrm & MODRM_PLUS_R ? random_below(e->random, 8) : 0));
}

static bool is_prefix(unsigned byte, bool code64)
{
    switch (byte) {
    case 0x26: case 0x2e: case 0x36: case 0x3e: case 0x64: case 0x65: case 0x66: case 0x67:
    case 0xf0: case 0xf2: case 0xf3:
        return true;
    default:
        return code64 && (byte & 0xf0) == 0x40;
    }
}

static unsigned address_bytes(const struct test_case *test)
{
    unsigned code = test->code_bytes;
    for (unsigned i = 0; i < test->length && is_prefix(test->bytes[i], code == 8); i++)
        if (test->bytes[i] == 0x67)
            return code == 4 ? 2 : 4;
    return code;
}

static void emit_random(struct encoding *e, unsigned bytes)
{
    uint64_t value = random_next(e->random);
    if (can(e, 30))
        value = (uint64_t)(int64_t)(int8_t)value;
    for (unsigned i = 0; i < bytes; i++)
        emit(e, (uint8_t)(value >> 8 * i));
}

static void emit_modrm(struct encoding *e, unsigned bytes)
{
    const struct opcode_row *row = e->row;
    unsigned mod = can(e, 50) ? 3 : random_below(e->random, 3);
    unsigned reg = random_below(e->random, 8), rm = random_below(e->random, 8);
    if (row->modrm & MODRM_ONLY_REG)
        mod = 3;
    if (row->modrm & MODRM_ONLY_MEM && mod == 3)
        mod = random_below(e->random, 3);
    if (row->modrm & MODRM_FIX_REG)
        reg = row->modrm >> 3 & 7;
    if (row->modrm & MODRM_FIX_RM)
        rm = row->modrm & 7;
    if (row_uses(row, OPERAND_Mvsib) && can(e, 95))
        rm = 4;
    emit(e, mod << 6 | reg << 3 | rm);
    if (mod == 3)
        return;
    unsigned sib_base = 0;
    if (bytes != 2 && rm == 4) {
        sib_base = random_below(e->random, 8);
        emit(e, random_below(e->random, 32) << 3 | sib_base);
    }
    e->disp_at = e->test->length;
    if (mod == 0 && (bytes == 2 ? rm == 6 : rm == 5 || (rm == 4 && sib_base == 5)))
        e->disp_bytes = bytes == 2 ? 2 : 4;
    emit_random(e, mod == 1 ? 1 : mod == 2 || e->disp_bytes ? (bytes == 2 ? 2 : 4) : 0);
}

/* AMD's CPUs take REP prefixes of LOOPE and LOOPNE for the condition. */
static bool is_quirk(const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    return insn->prefixes & (PREFIX_REP | PREFIX_REPNE) && row->map == MAP_ONE
           && (row->opcode & 0xfe) == 0xe0;
}

/* Fills up to 15 bytes; the decoder tells how long its immediates are. */
static const struct insn *fill_up(struct encoding *e)
{
    struct test_case *test = e->test;
    while (test->length < 15)
        emit_random(e, can(e, 50) ? 8 : 1);
    test->bytes[15] = (uint8_t)random_next(e->random);
    test->length = 16;
    const struct insn *insn = guest_decode(test);
    test->row = insn->row;
    /* What raises #UD or is too long is not fetched past its end. */
    if (insn->row != ROW_INVALID)
        test->length = insn->length;
    return insn;
}

/*
 * Undefined for us, but perhaps not for this host: what virtual machines and AMD's
 * own extensions have (LOCK MOV CR0 is CR8), SYSCALL in compatibility mode, and hints
 * that we know as NOP with other prefixes.
 */
static bool may_mean_something(const struct test_case *test)
{
    const uint8_t *b = test->bytes;
    bool code64 = test->code_bytes == 8;
    while (is_prefix(*b, code64))
        b++;
    if (b[0] == 0x8f)
        return true; /* XOP */
    if (b[0] == 0xc4 && ((b[1] & 31) == 3) && b[3] >= 0x48 && b[3] < 0x80)
        return true; /* FMA4, XOP */
    if (b[0] == 0xc4 && ((b[1] & 31) == 3) && b[3] < 2)
        return true; /* VPERMQ, VPERMPD without W, on AMD's */
    if (b[0] != 0x0f)
        return false;
    switch (b[1]) {
    case 0x00: case 0x01: case 0x05: case 0x07: case 0x20: case 0x22: case 0x34: case 0x35: case 0x0e: case 0x0f: case 0x78: case 0x79:
    case 0x2b: case 0xae: case 0xc7: case 0x37: case 0x24: case 0x26: case 0xa6: case 0xa7:
        return true;
    default:
        return false;
    }
}

static const struct insn *encode_anything(struct encoding *e)
{
    static const uint8_t maps[] = { 0x38, 0x3a };
    struct test_case *test = e->test;
    unsigned count = can(e, 70) ? 0 : 1 + random_below(e->random, 3);
    for (unsigned i = 0; i < count; i++)
        emit(e, any_prefix(e));
    if (can(e, 85))
        emit(e, 0x0f);
    if (can(e, 40))
        emit(e, maps[random_below(e->random, 2)]);
    if (can(e, 20)) {
        emit(e, 0xc4);
        emit(e, random_below(e->random, 8) << 5 | (1 + random_below(e->random, 3)));
    }
    const struct insn *insn = fill_up(e);
    if (insn->row == ROW_INVALID)
        return insn->handler != exec_invalid || !may_mean_something(test) ? insn : NULL;
    return NULL;
}

const struct insn *encode(struct encoding *e)
{
    struct test_case *test = e->test;
    test->length = 0;
    if (can(e, 1))
        return encode_anything(e);
    if (row_uses(e->row, OPERAND_Mvsib) && test->code_bytes == 2) /* which wants SIB */
        emit(e, 0x67);
    if (can(e, 12))
        emit_wild_prefixes(e);
    else
        emit_plain_prefixes(e);
    unsigned bytes = address_bytes(test);
    emit_opcode(e);
    if (e->row->modrm & MODRM_PRESENT)
        emit_modrm(e, bytes);
    if (row_uses(e->row, OPERAND_Ob) || row_uses(e->row, OPERAND_Ov)) {
        e->disp_at = test->length;
        e->disp_bytes = bytes;
        emit_random(e, bytes);
    }
    const struct insn *insn = fill_up(e);
    if (insn->row == ROW_INVALID) {
        e->disp_bytes = 0;
        return insn->handler != exec_invalid || !may_mean_something(test) ? insn : NULL;
    }
    if (is_quirk(insn))
        return NULL;
    /* Another row than meant: a displacement is where it was put only if that agrees. */
    if (&opcode_rows[insn->row] != e->row)
        e->disp_bytes = 0;
    return insn;
}
