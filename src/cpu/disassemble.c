/*
 * Text of decoded instructions; see disassemble.h.
 *
 * Not modelled: prefixes that change nothing, the predicate names of CMPPS and
 * its like (an immediate), names of aliases (FWAIT forms, NOP for XCHG). VEX
 * rows show the operands of the table in its order.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/disassemble.h"
#include "cpu/opcode.h"
#include "util/bits.h"

enum place {
    NOWHERE, AT_RM, AT_REG, LOW, VVVV, IMMEDIATE, RELATIVE, FAR_POINTER, OFFSET, SOURCE, DESTINATION,
    NAMED, SEGMENT_REGISTER, CONTROL, DEBUG, ST_RM, VECTOR_IMMEDIATE, AT_MEMORY,
};
enum file { GENERAL, MMX, XMM };

/* Where an operand is and how wide: 1..16 bytes, or V operand size, Z that but
 * at most 4, Y 4 or 8, X as VEX.L says; 0: not told. */
enum { V = 32, Z, Y, X };
struct shape {
    uint8_t place, file, width;
    const char *name;
};

#define RM_ROW(letter, width) [OPERAND_E##letter] = { AT_RM, GENERAL, width, NULL }
static const struct shape shapes[OPERAND_COUNT] = {
    RM_ROW(b, 1), RM_ROW(w, 2), RM_ROW(d, 4), RM_ROW(q, 8), RM_ROW(v, V), RM_ROW(y, Y), RM_ROW(p, 0),
    [OPERAND_Gb] = { AT_REG, GENERAL, 1, NULL }, [OPERAND_Gw] = { AT_REG, GENERAL, 2, NULL },
    [OPERAND_Gd] = { AT_REG, GENERAL, 4, NULL }, [OPERAND_Gq] = { AT_REG, GENERAL, 8, NULL },
    [OPERAND_Gv] = { AT_REG, GENERAL, V, NULL }, [OPERAND_Gy] = { AT_REG, GENERAL, Y, NULL },
    [OPERAND_Gz] = { AT_REG, GENERAL, Z, NULL },
    [OPERAND_Rd] = { AT_RM, GENERAL, 4, NULL }, [OPERAND_Rq] = { AT_RM, GENERAL, 8, NULL },
    [OPERAND_Rv] = { AT_RM, GENERAL, V, NULL }, [OPERAND_Ry] = { AT_RM, GENERAL, Y, NULL },
    [OPERAND_Rw] = { AT_RM, GENERAL, 2, NULL },
    [OPERAND_M] = { AT_MEMORY, 0, 0, NULL }, [OPERAND_Mb] = { AT_MEMORY, 0, 1, NULL },
    [OPERAND_Mw] = { AT_MEMORY, 0, 2, NULL }, [OPERAND_Md] = { AT_MEMORY, 0, 4, NULL },
    [OPERAND_Mq] = { AT_MEMORY, 0, 8, NULL }, [OPERAND_Mdq] = { AT_MEMORY, 0, 16, NULL },
    [OPERAND_Mv] = { AT_MEMORY, 0, V, NULL }, [OPERAND_My] = { AT_MEMORY, 0, Y, NULL },
    [OPERAND_Mp] = { AT_MEMORY, 0, 0, NULL }, [OPERAND_Ms] = { AT_MEMORY, 0, 0, NULL },
    [OPERAND_Ma] = { AT_MEMORY, 0, 0, NULL }, [OPERAND_Mt] = { AT_MEMORY, 0, 10, NULL },
    [OPERAND_Zb] = { LOW, GENERAL, 1, NULL }, [OPERAND_Zv] = { LOW, GENERAL, V, NULL },
    [OPERAND_Zw] = { LOW, GENERAL, 2, NULL },
    [OPERAND_Ib] = { IMMEDIATE, 0, 1, NULL }, [OPERAND_Ibs] = { IMMEDIATE, 0, V, NULL },
    [OPERAND_Iw] = { IMMEDIATE, 0, 2, NULL }, [OPERAND_Iz] = { IMMEDIATE, 0, V, NULL },
    [OPERAND_Iv] = { IMMEDIATE, 0, V, NULL }, [OPERAND_I1] = { IMMEDIATE, 0, 1, NULL },
    [OPERAND_Jb] = { RELATIVE, 0, 0, NULL }, [OPERAND_Jz] = { RELATIVE, 0, 0, NULL },
    [OPERAND_Ap] = { FAR_POINTER, 0, 0, NULL },
    [OPERAND_Ob] = { OFFSET, 0, 1, NULL }, [OPERAND_Ov] = { OFFSET, 0, V, NULL },
    [OPERAND_Xb] = { SOURCE, 0, 1, NULL }, [OPERAND_Xv] = { SOURCE, 0, V, NULL },
    [OPERAND_Yb] = { DESTINATION, 0, 1, NULL }, [OPERAND_Yv] = { DESTINATION, 0, V, NULL },
    [OPERAND_AL] = { NAMED, GENERAL, 1, "al" }, [OPERAND_CL] = { NAMED, GENERAL, 1, "cl" },
    [OPERAND_DX] = { NAMED, GENERAL, 2, "dx" }, [OPERAND_AX] = { NAMED, GENERAL, 2, "ax" },
    [OPERAND_eAX] = { NAMED, GENERAL, Z, NULL }, [OPERAND_rAX] = { NAMED, GENERAL, V, NULL },
    [OPERAND_rCX] = { NAMED, GENERAL, V, "rcx" }, [OPERAND_rDX] = { NAMED, GENERAL, V, "rdx" },
    [OPERAND_Sw] = { SEGMENT_REGISTER, 0, 2, NULL },
    [OPERAND_ESr] = { NAMED, 0, 2, "es" }, [OPERAND_CSr] = { NAMED, 0, 2, "cs" },
    [OPERAND_SSr] = { NAMED, 0, 2, "ss" }, [OPERAND_DSr] = { NAMED, 0, 2, "ds" },
    [OPERAND_FSr] = { NAMED, 0, 2, "fs" }, [OPERAND_GSr] = { NAMED, 0, 2, "gs" },
    [OPERAND_Cy] = { CONTROL, 0, 0, NULL }, [OPERAND_Dy] = { DEBUG, 0, 0, NULL },
    [OPERAND_ST0] = { NAMED, 0, 10, "st0" }, [OPERAND_STi] = { ST_RM, 0, 10, NULL },
    [OPERAND_Pq] = { AT_REG, MMX, 8, NULL }, [OPERAND_Qq] = { AT_RM, MMX, 8, NULL },
    [OPERAND_Qd] = { AT_RM, MMX, 4, NULL }, [OPERAND_Nq] = { AT_RM, MMX, 8, NULL },
    [OPERAND_Vdq] = { AT_REG, XMM, 16, NULL }, [OPERAND_Vq] = { AT_REG, XMM, 8, NULL },
    [OPERAND_Vd] = { AT_REG, XMM, 4, NULL }, [OPERAND_Wdq] = { AT_RM, XMM, 16, NULL },
    [OPERAND_Wq] = { AT_RM, XMM, 8, NULL }, [OPERAND_Wd] = { AT_RM, XMM, 4, NULL },
    [OPERAND_Ww] = { AT_RM, XMM, 2, NULL }, [OPERAND_Udq] = { AT_RM, XMM, 16, NULL },
    [OPERAND_Uq] = { AT_RM, XMM, 8, NULL }, [OPERAND_XMM0] = { NAMED, XMM, 16, "xmm0" },
    [OPERAND_Vx] = { AT_REG, XMM, X, NULL }, [OPERAND_Wx] = { AT_RM, XMM, X, NULL },
    [OPERAND_Ux] = { AT_RM, XMM, X, NULL }, [OPERAND_Mx] = { AT_MEMORY, 0, X, NULL },
    [OPERAND_Hx] = { VVVV, XMM, X, NULL }, [OPERAND_By] = { VVVV, GENERAL, Y, NULL },
    [OPERAND_Lx] = { VECTOR_IMMEDIATE, XMM, X, NULL }, [OPERAND_Mvsib] = { AT_MEMORY, 0, 0, NULL },
};
#undef RM_ROW

static const char *const registers64[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8",
                                           "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip" };
static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };

struct writer {
    const struct insn *insn;
    uint64_t block;
    const struct disassembly_names *names;
    char *to;
    size_t left;
};

static void put(struct writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(struct writer *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int count = vsnprintf(w->to, w->left, format, arguments);
    va_end(arguments);
    size_t length = count < 0 ? 0 : (size_t)count < w->left ? (size_t)count : w->left - 1;
    w->to += length;
    w->left -= length;
}

static unsigned width_of(const struct insn *insn, const struct shape *shape)
{
    switch (shape->width) {
    case V: return insn->operand_bytes;
    case Z: return insn->operand_bytes == 2 ? 2 : 4;
    case Y: return insn->operand_bytes == 8 ? 8 : 4;
    case X: return insn->vex_l ? 32 : 16;
    default: return shape->width;
    }
}

static void put_general(struct writer *w, unsigned number, unsigned width)
{
    const char *name = registers64[number];
    bool old = number < 8;
    switch (width) {
    case 1: /* only where the number is one (Eb of a VEX row): the low byte */
    case 2: put(w, old ? "%s" : "%sw", old ? name + 1 : name); break;
    case 4: put(w, old ? "e%s" : "%sd", old ? name + 1 : name); break;
    default: put(w, "%s", name); break;
    }
}

/* `place` is the byte's offset among the registers. */
static void put_byte_register(struct writer *w, unsigned place)
{
    static const char low[8][4] = { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil" };
    unsigned number = place / 8;
    if (place & 1)
        put(w, "%ch", "acdb"[number & 3]);
    else if (number < 8)
        put(w, "%s", low[number]);
    else
        put(w, "r%ub", number);
}

static void put_register(struct writer *w, const struct shape *shape, unsigned number)
{
    unsigned width = width_of(w->insn, shape);
    if (shape->file == MMX)
        put(w, "mm%u", number & 7);
    else if (shape->file == XMM)
        put(w, "%cmm%u", width == 32 ? 'y' : 'x', number);
    else if (shape->width == 1)
        put_byte_register(w, number);
    else
        put_general(w, number, width);
}

static void put_address(struct writer *w, uint64_t address)
{
    char name[64];
    const struct disassembly_names *names = w->names;
    if (names && names->address && names->address(names->context, address, name, sizeof name))
        put(w, "%s", name);
    else
        put(w, "0x%" PRIx64, address);
}

static void put_displacement(struct writer *w, int64_t disp, bool alone)
{
    uint64_t magnitude = disp < 0 ? -(uint64_t)disp : (uint64_t)disp;
    if (alone)
        put_address(w, (uint64_t)disp & (~0ull >> w->insn->address_shift));
    else if (disp)
        put(w, "%c0x%" PRIx64, disp < 0 ? '-' : '+', magnitude);
}

static void put_memory(struct writer *w, unsigned width)
{
    static const struct { uint8_t width; const char *name; } names[] = {
        { 1, "byte" }, { 2, "word" }, { 4, "dword" }, { 8, "qword" }, { 10, "tbyte" }, { 16, "xmmword" },
        { 32, "ymmword" },
    };
    const struct insn *insn = w->insn;
    unsigned address_bytes = 8 - insn->address_shift / 8u;
    char field[64];
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].width == width)
            put(w, "%s ", names[i].name);
    if (insn->prefixes & PREFIX_SEGMENT && insn->seg != SEGMENT_FLAT)
        put(w, "%s:", segments[insn->segment]);
    put(w, "[");
    if (insn->base == RIP) {
        put_address(w, w->block + (uint64_t)insn->disp);
        put(w, "]");
        return;
    }
    bool base = insn->base != REGISTER_ZERO, index = insn->index != REGISTER_ZERO;
    bool vector = opcode_rows[insn->row].operand[1] == OPERAND_Mvsib;
    bool named = base && w->names && w->names->field
                 && w->names->field(w->names->context, insn->base, insn->disp, field, sizeof field);
    if (named)
        put(w, "%s", field);
    else if (base)
        put_general(w, insn->base, address_bytes);
    if (index || vector) {
        put(w, "%s", base ? "+" : "");
        if (vector)
            put(w, "%cmm%u", insn->vex_l ? 'y' : 'x', insn->vector_index);
        else
            put_general(w, insn->index, address_bytes);
        if (insn->scale)
            put(w, "*%u", 1u << insn->scale);
    }
    if (!named)
        put_displacement(w, insn->disp, !base && !index && !vector);
    put(w, "]");
}

static void put_immediate(struct writer *w, const struct shape *shape, unsigned before)
{
    const struct insn *insn = w->insn;
    const struct opcode_row *row = &opcode_rows[insn->row];
    uint64_t value = insn->imm;
    if (before && row->operand[0] == OPERAND_Iw) /* ENTER */
        value >>= 16;
    else if (row->operand[0] == OPERAND_Iw)
        value &= 0xffff;
    unsigned width = width_of(insn, shape);
    uint64_t cut = value & bits_ones(width ? width : 8);
    char name[64];
    if (w->names && w->names->address && width >= 4 && w->names->address(w->names->context, cut, name, sizeof name)) {
        put(w, "%s", name);
        return;
    }
    if (width == 8 && (int64_t)value < 0 && (int64_t)value >= -0x10000)
        put(w, "-0x%" PRIx64, -value);
    else
        put(w, "0x%" PRIx64, cut);
}

static void put_string_operand(struct writer *w, const struct shape *shape, bool source)
{
    static const char sizes[9][6] = { [1] = "byte", [2] = "word", [4] = "dword", [8] = "qword" };
    const struct insn *insn = w->insn;
    put(w, "%s ", sizes[width_of(insn, shape)]);
    if (source && insn->prefixes & PREFIX_SEGMENT)
        put(w, "%s:", segments[insn->segment]);
    put(w, "[");
    put_general(w, source ? RSI : RDI, 8 - insn->address_shift / 8u);
    put(w, "]");
}

static void put_operand(struct writer *w, unsigned operand, unsigned before)
{
    const struct insn *insn = w->insn;
    const struct shape *shape = &shapes[operand];
    bool memory = insn->modrm < 0xc0 && opcode_rows[insn->row].modrm & MODRM_PRESENT;
    switch (shape->place) {
    case AT_RM:
        if (memory)
            put_memory(w, width_of(insn, shape));
        else
            put_register(w, shape, insn->rm);
        break;
    case AT_MEMORY: put_memory(w, width_of(insn, shape)); break;
    case AT_REG: put_register(w, shape, insn->reg); break;
    case LOW: put_register(w, shape, insn->rm); break;
    case VVVV: put_register(w, shape, insn->vvvv); break;
    case VECTOR_IMMEDIATE: put_register(w, shape, insn->imm >> 4 & 15); break;
    case IMMEDIATE: put_immediate(w, shape, before); break;
    case RELATIVE: put_address(w, w->block + insn->end + insn->imm); break;
    case FAR_POINTER: put(w, "0x%x:0x%x", (unsigned)(insn->imm >> 32), (unsigned)insn->imm); break;
    case OFFSET: put_memory(w, width_of(insn, shape)); break;
    case SOURCE: put_string_operand(w, shape, true); break;
    case DESTINATION: put_string_operand(w, shape, false); break;
    case SEGMENT_REGISTER: put(w, "%s", segments[(insn->reg & 7) % 6]); break;
    case CONTROL: put(w, "cr%u", insn->reg); break;
    case DEBUG: put(w, "dr%u", insn->reg); break;
    case ST_RM: put(w, "st%u", insn->rm & 7); break;
    case NAMED:
        if (shape->name)
            put(w, "%s", shape->name);
        else
            put_general(w, RAX, width_of(insn, shape));
        break;
    default: break;
    }
}

/* The names that depend on the size. */
static const char *sized_name(const struct insn *insn, const struct opcode_row *row)
{
    static const char *const names[][4] = {
        { "CBW", "cbw", "cwde", "cdqe" }, { "CWD", "cwd", "cdq", "cqo" },
        { "CMPXCHG8B", "cmpxchg8b", "cmpxchg8b", "cmpxchg16b" },
        { "MOVD", "movd", "movd", "movq" }, { "VMOVD", "vmovd", "vmovd", "vmovq" },
    };
    bool wide = insn->rex & 8;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i][0], row->name) == 0)
            return names[i][wide ? 3 : insn->operand_bytes == 2 ? 1 : 2];
    return NULL;
}

static void put_name(struct writer *w, const struct opcode_row *row)
{
    const struct insn *insn = w->insn;
    const char *name = sized_name(insn, row);
    if (insn->prefixes & PREFIX_LOCK)
        put(w, "lock ");
    if (row->attributes & STRING && insn->prefixes & (PREFIX_REP | PREFIX_REPNE))
        put(w, insn->prefixes & PREFIX_REPNE ? "repne " : "rep ");
    if (name) {
        put(w, "%s", name);
        return;
    }
    for (const char *c = row->name; *c; c++)
        put(w, "%c", *c >= 'A' && *c <= 'Z' ? *c - 'A' + 'a' : *c);
}

char *disassemble(const struct insn *insn, uint64_t block, const struct disassembly_names *names,
                  char text[DISASSEMBLY_BYTES])
{
    struct writer w = { insn, block, names, text, DISASSEMBLY_BYTES };
    if (insn->row >= opcode_row_count) {
        put(&w, insn->handler == exec_too_long ? "(longer than 15 bytes)" : "(undefined)");
        return text;
    }
    const struct opcode_row *row = &opcode_rows[insn->row];
    unsigned shown = 0;
    put_name(&w, row);
    for (unsigned i = 0; i < 4; i++) {
        unsigned operand = row->operand[i];
        if (operand == OPERAND__ || operand == OPERAND_Fv)
            continue;
        put(&w, shown++ ? ", " : " ");
        put_operand(&w, operand, i);
    }
    return text;
}
