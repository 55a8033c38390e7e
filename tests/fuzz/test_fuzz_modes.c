/*
 * Random 16- and 32-bit programs run by the interpreter and by the translator
 * side by side, in slices of random length; after each the vCPU's state and
 * memory must be equal. Programs run at privilege 3 (or in real mode) in the
 * shapes of `shapes`; a fault goes to a handler of another mode, which loads
 * segments anew and goes on at the next of sixteen pieces of the program; so does
 * an NMI before every second slice.
 */
#include "fuzz.h"

#define BASE 0x34000u    /* of CS where it is not 0 */
#define HANDLER 0x3b000u
#define TABLE 0x3a000u   /* offsets of the pieces, then a counter, then a frame for IRET */
#define COUNTER (TABLE + 0x80)
#define FRAME (TABLE + 0x100)
#define CODE 0x40080u /* three pieces lie across page borders */
#define PIECES 16
#define PIECE_BYTES 768
#define DATA 0x50000u
#define DATA_BYTES 0x8000u
#define STACK 0x38000u
#define STACK_BASE 0x30000u
#define SLICES 120

enum { USER_CODE = 0x73, USER_DS = 0x7b, USER_ES = 0x83, USER_SS = 0x8b, USER_FS = 0x93, USER_GS = 0x9b };

struct shape {
    const char *name;
    unsigned bits;      /* 16, 32 */
    bool flat, stack16, real, v86, compatibility;
};

static const struct shape shapes[] = {
    { "32 flat", 32, true, false, false, false, false },
    { "32 segments", 32, false, false, false, false, false },
    { "32, 16-bit stack", 32, true, true, false, false, false },
    { "16 protected", 16, false, true, false, false, false },
    { "16, 32-bit stack", 16, false, false, false, false, false },
    { "real", 16, false, true, true, false, false },
    { "v86", 16, false, true, false, true, false },
    { "compatibility", 32, true, false, false, false, true },
    { "compatibility, segments", 16, false, true, false, false, true },
};

struct program {
    struct fuzz fuzz;
    const struct shape *shape;
    uint32_t limits[4]; /* DS ES FS GS */
    uint32_t code_limit;
    uint8_t *at, *limit;
    uint8_t bytes[PIECES * PIECE_BYTES];
};

#include "fuzz_pair.h"

static unsigned any_register(struct program *p)
{
    unsigned reg = fuzz_below(&p->fuzz, 8);
    return reg == RSP ? (unsigned)RBX : reg;
}

static uint32_t data_offset(struct program *p)
{
    uint32_t base = p->shape->flat ? DATA : 0, size = p->shape->flat ? DATA_BYTES : 0x3000;
    if (fuzz_one_in(&p->fuzz, 30))
        return (uint32_t)fuzz_value(&p->fuzz);
    if (fuzz_one_in(&p->fuzz, 5))
        return base + ((fuzz_below(&p->fuzz, size) + 0xfff) & ~0xfffu) - fuzz_below(&p->fuzz, 12);
    if (fuzz_one_in(&p->fuzz, 8)) /* at a limit */
        return p->limits[fuzz_below(&p->fuzz, 4)] - 8 + fuzz_below(&p->fuzz, 12);
    return base + fuzz_below(&p->fuzz, size);
}

/* MOV r, constant of the full width */
static void put_move(struct program *p, unsigned reg, uint32_t value)
{
    if (p->shape->bits == 16)
        put_number(p, 0x66, 1);
    put_number(p, 0xb8 + reg, 1);
    put_number(p, value, 4);
}

struct modrm {
    uint8_t bytes[8];
    unsigned count;
};

static struct modrm make_modrm(struct program *p, unsigned reg, bool memory, unsigned address_bits)
{
    static const uint8_t word_base[] = { RBX, RBX, RBP, RBP, RSI, RDI, RBP, RBX };
    struct modrm m = { .count = 1 };
    unsigned rm = fuzz_below(&p->fuzz, 8), mod = fuzz_below(&p->fuzz, 3);
    if (!memory) {
        m.bytes[0] = (uint8_t)(0xc0 | reg << 3 | any_register(p));
        return m;
    }
    uint32_t place = data_offset(p), disp = fuzz_below(&p->fuzz, 100);
    bool absolute = mod == 0 && rm == (address_bits == 16 ? 6 : 5);
    unsigned bytes = absolute ? address_bits / 8 : mod == 1 ? 1 : mod == 2 ? address_bits / 8 : 0;
    if (absolute)
        disp = place;
    if (address_bits == 16) {
        if (!absolute && !fuzz_one_in(&p->fuzz, 6)) {
            if (rm < 4)
                put_move(p, rm & 1 ? RDI : RSI, fuzz_below(&p->fuzz, 50));
            put_move(p, word_base[rm], place - disp);
        }
    } else if (rm == RSP) {
        unsigned index = fuzz_below(&p->fuzz, 8), base = any_register(p), scale = fuzz_below(&p->fuzz, 4);
        if (base == RBP && mod == 0)
            base = RBX;
        if (index != RSP)
            put_move(p, index, fuzz_below(&p->fuzz, 50));
        put_move(p, base, place - disp);
        m.bytes[m.count++] = (uint8_t)(scale << 6 | index << 3 | base);
    } else if (!absolute && !fuzz_one_in(&p->fuzz, 6)) {
        put_move(p, rm, place - disp);
    }
    m.bytes[0] = (uint8_t)(mod << 6 | reg << 3 | rm);
    memcpy(m.bytes + m.count, &disp, 4);
    m.count += bytes;
    return m;
}

/* An instruction: opcode (0Fxxh: two bytes), a fixed ModRM.reg or -1, bytes of
 * the immediate (9: operand size, at most 4), mode (0 any, 1 register, 2 memory,
 * 3 no ModRM). */
struct form {
    uint16_t opcode;
    int8_t extension;
    uint8_t immediate, mode;
};

static const struct form forms[] = {
    { 0x00, -1, 0, 0 }, { 0x01, -1, 0, 0 }, { 0x02, -1, 0, 0 }, { 0x03, -1, 0, 0 }, { 0x0b, -1, 0, 0 },
    { 0x11, -1, 0, 0 }, { 0x13, -1, 0, 0 }, { 0x19, -1, 0, 0 }, { 0x1b, -1, 0, 0 }, { 0x21, -1, 0, 0 },
    { 0x29, -1, 0, 0 }, { 0x2b, -1, 0, 0 }, { 0x31, -1, 0, 0 }, { 0x33, -1, 0, 0 }, { 0x38, -1, 0, 0 },
    { 0x39, -1, 0, 0 }, { 0x3b, -1, 0, 0 }, { 0x05, -1, 9, 3 }, { 0x3c, -1, 1, 3 }, { 0x80, -2, 1, 0 },
    { 0x81, -2, 9, 0 }, { 0x82, -2, 1, 0 }, { 0x83, -2, 1, 0 }, { 0x84, -1, 0, 0 }, { 0x85, -1, 0, 0 },
    { 0x86, -1, 0, 0 }, { 0x87, -1, 0, 0 }, { 0x88, -1, 0, 0 }, { 0x89, -1, 0, 0 }, { 0x89, -1, 0, 2 },
    { 0x8a, -1, 0, 0 }, { 0x8b, -1, 0, 0 }, { 0x8b, -1, 0, 2 }, { 0x8d, -1, 0, 2 }, { 0x8d, -1, 0, 2 },
    { 0x8c, -3, 0, 0 }, { 0x8f, 0, 0, 2 }, { 0x69, -1, 9, 0 }, { 0x6b, -1, 1, 0 }, { 0x63, -1, 0, 0 },
    { 0x62, -1, 0, 2 }, { 0xc4, -1, 0, 2 }, { 0xc0, -2, 1, 0 }, { 0xc1, -2, 1, 0 }, { 0xd1, -2, 0, 0 },
    { 0xd3, -2, 0, 0 }, { 0xc6, 0, 1, 0 }, { 0xc7, 0, 9, 0 }, { 0xf6, 0, 1, 0 }, { 0xf7, 2, 0, 0 },
    { 0xf7, 3, 0, 0 }, { 0xf7, 4, 0, 0 }, { 0xf7, 5, 0, 0 }, { 0xf7, 6, 0, 0 }, { 0xf7, 7, 0, 0 },
    { 0xfe, 0, 0, 0 }, { 0xff, 0, 0, 0 }, { 0xff, 1, 0, 0 }, { 0xff, 6, 0, 0 }, { 0xff, 6, 0, 2 },
    { 0xa0, -1, 8, 3 }, { 0xa1, -1, 8, 3 }, { 0xa2, -1, 8, 3 }, { 0xa3, -1, 8, 3 }, { 0xa3, -1, 8, 3 },
    { 0x68, -1, 9, 3 }, { 0x6a, -1, 1, 3 }, { 0x0faf, -1, 0, 0 }, { 0x0fb6, -1, 0, 0 }, { 0x0fb7, -1, 0, 0 },
    { 0x0fbe, -1, 0, 0 }, { 0x0fbf, -1, 0, 0 }, { 0x0fa3, -1, 0, 1 }, { 0x0fab, -1, 0, 0 }, { 0x0fba, 4, 1, 0 },
    { 0x0fba, 5, 1, 0 }, { 0x0fb0, -1, 0, 0 }, { 0x0fb1, -1, 0, 0 }, { 0x0fc1, -1, 0, 0 }, { 0x0fbc, -1, 0, 0 },
    { 0x0fa4, -1, 1, 0 }, { 0x0fc7, 1, 0, 2 }, { 0x0f6f, -1, 0, 0 }, { 0x0f7e, -1, 0, 0 }, { 0x0f58, -1, 0, 0 },
    { 0x0f10, -1, 0, 0 }, { 0x0f11, -1, 0, 2 }, { 0x0f28, -1, 0, 0 }, { 0xd8, -2, 0, 2 }, { 0xdd, 0, 0, 2 },
};

static void put_form(struct program *p, const struct form *form)
{
    bool operand = fuzz_one_in(&p->fuzz, 4), address = fuzz_one_in(&p->fuzz, 8);
    unsigned size = (p->shape->bits == 16) != operand ? 2 : 4;
    unsigned address_bits = (p->shape->bits == 16) != address ? 16 : 32;
    bool memory = form->mode == 2 || (form->mode == 0 && fuzz_one_in(&p->fuzz, 2));
    unsigned reg = form->extension >= 0    ? (unsigned)form->extension
                   : form->extension == -1 ? any_register(p)
                                           : fuzz_below(&p->fuzz, form->extension == -2 ? 8 : 6);
    struct modrm m = { .count = 0 };
    if (form->mode != 3)
        m = make_modrm(p, reg, memory, address_bits);
    if (operand)
        put_number(p, 0x66, 1);
    if (address)
        put_number(p, 0x67, 1);
    if (fuzz_one_in(&p->fuzz, 8)) {
        static const uint8_t segments[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };
        put_number(p, FUZZ_PICK(&p->fuzz, segments), 1);
    }
    if (form->opcode > 0xff)
        put_number(p, 0x0f, 1);
    put_number(p, form->opcode & 0xff, 1);
    for (unsigned i = 0; i < m.count; i++)
        put_number(p, m.bytes[i], 1);
    unsigned immediate = form->immediate == 9 ? size : form->immediate == 8 ? address_bits / 8 : form->immediate;
    if (immediate)
        put_number(p, form->immediate == 8 ? data_offset(p) : fuzz_value(&p->fuzz), immediate);
}

static void put_branch(struct program *p, const uint8_t *start)
{
    unsigned back = fuzz_below(&p->fuzz, p->at - start < 90 ? (uint32_t)(p->at - start + 1) : 90);
    bool forth = fuzz_one_in(&p->fuzz, 3);
    uint64_t short_distance = forth ? fuzz_below(&p->fuzz, 12) : -(uint64_t)back;
    bool operand = fuzz_one_in(&p->fuzz, 6);
    unsigned size = (p->shape->bits == 16) != operand ? 2 : 4;
    switch (fuzz_below(&p->fuzz, 8)) {
    case 0: /* Jcc near */
        if (operand)
            put_number(p, 0x66, 1);
        put_number(p, 0x0f | (0x80 + fuzz_below(&p->fuzz, 16)) << 8, 2);
        put_number(p, short_distance, size);
        return;
    case 1: /* LOOP, JCXZ; with a shorter or longer counter */
        put_move(p, RCX, fuzz_below(&p->fuzz, 9));
        if (fuzz_one_in(&p->fuzz, 3))
            put_number(p, 0x67, 1);
        put_number(p, 0xe0 + fuzz_below(&p->fuzz, 4), 1);
        put_number(p, short_distance, 1);
        return;
    case 2: /* CALL over a few bytes, which then pop or return */
        if (operand)
            put_number(p, 0x66, 1);
        put_number(p, 0xe8, 1);
        put_number(p, fuzz_below(&p->fuzz, 3), size);
        return;
    case 3: { /* RET to the byte behind, or with more popped */
        uint32_t offset = (uint32_t)(p->at - p->bytes) + CODE - (p->shape->flat ? 0 : BASE);
        put_number(p, 0x68, 1);
        put_number(p, offset + p->shape->bits / 8 + 2, p->shape->bits / 8);
        put_number(p, 0xc3, 1);
        return;
    }
    case 4: /* indirect, mostly to nowhere */
        put_move(p, RDX, CODE - (p->shape->flat ? 0 : BASE) + fuzz_below(&p->fuzz, PIECES * PIECE_BYTES));
        put_number(p, fuzz_one_in(&p->fuzz, 2) ? 0xe2ff : 0xd2ff, 2);
        return;
    default:
        put_number(p, 0x70 + fuzz_below(&p->fuzz, 16), 1);
        put_number(p, short_distance, 1);
    }
}

/* Instructions without operands, some of which change the kind of code. */
static void put_other(struct program *p)
{
    static const char *const codes[] = {
        "\x60", "\x61", "\x06", "\x0e", "\x16", "\x1e", "\x07", "\x1f", "\x9c", "\x9d", "\x27", "\x2f", "\xd4\x0a",
        "\x99", "\x98", "\x66\x99", "\x66\x98", "\xc9", "\xc8\x08\x00\x01", "\x91", "\x66\x93", "\xf8", "\xf9",
        "\xf5", "\xfc", "\xa4", "\xab", "\xad", "\xf3\xa4", "\xf3\xab", "\xf3\xaf", "\x9f", "\x9e", "\xd7", "\xce",
        "\x0f\xa0", "\x0f\xa9", "\xcd\x80", "\x66\x60", "\x66\x61", "\x0f\xc9", "\x0f\x95\xc0",
        "\x0f\x4c\xc1", "\x0f\x77", "\xd9\xe8", "\xdb\xe3", "\x66\x54", "\x54", "\x66\x5c",
    };
    unsigned i = fuzz_below(&p->fuzz, sizeof codes / sizeof *codes);
    if (i >= 25 && i < 31) {
        put_move(p, RSI, data_offset(p));
        put_move(p, RDI, data_offset(p));
        put_move(p, RCX, fuzz_below(&p->fuzz, 30));
    }
    const char *code = codes[i];
    unsigned count = i == 18 ? 4 : (unsigned)strlen(code);
    for (unsigned k = 0; k < count; k++)
        put_number(p, (uint8_t)code[k], 1);
}

static void put_stack(struct program *p)
{
    if (fuzz_one_in(&p->fuzz, 5))
        put_number(p, 0x66, 1);
    unsigned reg = any_register(p);
    put_number(p, (fuzz_one_in(&p->fuzz, 2) ? 0x50 : 0x58) + reg, 1);
}

/* MOV to a segment register: those of the handler, or null, or one of the others */
static void put_segment(struct program *p)
{
    static const uint16_t selectors[] = { USER_DS, USER_DS, USER_ES, USER_SS, USER_FS, USER_GS, 0, USER_CODE };
    static const uint8_t registers[] = { ES, DS, FS, GS, SS };
    uint32_t selector = FUZZ_PICK(&p->fuzz, selectors);
    if (p->shape->real || p->shape->v86)
        selector = 0x5000 + fuzz_below(&p->fuzz, 0x300);
    unsigned segment = FUZZ_PICK(&p->fuzz, registers);
    if (segment == SS && (p->shape->real || p->shape->v86 || !fuzz_one_in(&p->fuzz, 3)))
        return;
    put_move(p, RAX, selector);
    put_number(p, 0x8e | (0xc0 | segment << 3) << 8, 2);
}

/* A byte of the program itself, where DS reaches it. */
static void put_self_write(struct program *p)
{
    if (!p->shape->flat)
        return;
    put_number(p, 0x05c6, 2);
    put_number(p, CODE + (uint32_t)(p->at - p->bytes) + 5 + fuzz_below(&p->fuzz, 30), 4);
    put_number(p, 0x90, 1);
}

static void put_piece(struct program *p, unsigned number)
{
    uint8_t *start = p->bytes + number * PIECE_BYTES;
    p->at = start;
    p->limit = start + PIECE_BYTES - 8;
    while (p->at + 40 < p->limit) {
        unsigned kind = fuzz_below(&p->fuzz, 40);
        if (kind < 7)
            put_branch(p, start);
        else if (kind < 9)
            put_other(p);
        else if (kind < 12)
            put_stack(p);
        else if (kind == 12)
            put_segment(p);
        else if (kind == 13 && fuzz_one_in(&p->fuzz, 6))
            put_self_write(p);
        else if (kind == 14)
            put_number(p, (fuzz_one_in(&p->fuzz, 2) ? 0x40 : 0x48) + any_register(p), 1);
        else
            put_form(p, &FUZZ_PICK(&p->fuzz, forms));
    }
    while (p->at < p->limit)
        put_number(p, 0x90, 1);
    p->limit += 8;
    put_number(p, 0x0b0f, 2); /* UD2: on to the next piece */
}

/* Handlers: the next piece's number, segments, then there. */

static const char handler32[] =
    "\x36\xff\x05\x80\xa0\x03\x00"         /* inc dword ss:[COUNTER] */
    "\x36\xa1\x80\xa0\x03\x00"             /* mov eax, ss:[COUNTER] */
    "\x83\xe0\x0f"                         /* and eax, 15 */
    "\x36\x8b\x04\x85\x00\xa0\x03\x00"     /* mov eax, ss:[TABLE + eax * 4] */
    "\x36\xa3\x00\xa1\x03\x00"             /* mov ss:[FRAME], eax */
    "\xb8\x7b\x00\x00\x00\x8e\xd8"         /* ds */
    "\xb0\x83\x8e\xc0\xb0\x93\x8e\xe0\xb0\x9b\x8e\xe8" /* es fs gs */
    "\xbc\x00\xa1\x03\x00\xcf";            /* mov esp, FRAME; iret */

static const char handler64[] =
    "\xff\x04\x25\x80\xa0\x03\x00"         /* inc dword [COUNTER] */
    "\x8b\x04\x25\x80\xa0\x03\x00"         /* mov eax, [COUNTER] */
    "\x83\xe0\x0f"
    "\x8b\x04\x85\x00\xa0\x03\x00"         /* mov eax, [TABLE + rax * 4] */
    "\x89\x04\x25\x00\xa1\x03\x00"         /* mov [FRAME], eax */
    "\xb8\x7b\x00\x00\x00\x8e\xd8"
    "\xb0\x83\x8e\xc0\xb0\x93\x8e\xe0\xb0\x9b\x8e\xe8"
    "\x48\xc7\xc4\x00\xa1\x03\x00\x48\xcf"; /* mov rsp, FRAME; iretq */

static const char handler16[] =
    "\xb8\x00\x30\x8e\xd0"                 /* ss = 3000h */
    "\xbc\x00\x80"                         /* mov sp, 8000h */
    "\x36\xff\x06\x80\xa0"                 /* inc word ss:[COUNTER] */
    "\x36\x8b\x1e\x80\xa0"                 /* mov bx, ss:[COUNTER] */
    "\x83\xe3\x0f\xd1\xe3\xd1\xe3"         /* and bx, 15; shl bx, 2 */
    "\xb8\x00\x50\x8e\xd8\xb8\x10\x51\x8e\xc0" /* ds = 5000h, es = 5110h */
    "\x36\xff\xa7\x00\xa0";                /* jmp ss:[bx + TABLE] */

static void make_descriptors(struct cpu_bench *b, const struct program *p)
{
    const struct shape *shape = p->shape;
    unsigned granular = SEGMENT_G | SEGMENT_DB;
    if (shape->flat) {
        bench_descriptor(b, USER_CODE, 0, 0xfffff, RIGHTS_CODE32 | 0x60);
        bench_descriptor(b, USER_DS, 0, 0xfffff, RIGHTS_DATA32 | 0x60);
        bench_descriptor(b, USER_ES, 0, 0xfffff, RIGHTS_DATA32 | 0x60);
        bench_descriptor(b, USER_SS, shape->stack16 ? STACK_BASE : 0, shape->stack16 ? 0xffff : 0xfffff,
                         shape->stack16 ? 0xf3 : 0xf3 | granular);
        bench_descriptor(b, USER_FS, 0x1234, 0xfffff, 0xf3 | granular);
    } else {
        bench_descriptor(b, USER_CODE, BASE, p->code_limit, 0xfb | (shape->bits == 32 ? SEGMENT_DB : 0));
        bench_descriptor(b, USER_DS, DATA, p->limits[0], 0xf3 | SEGMENT_DB);
        bench_descriptor(b, USER_ES, DATA + 0x1110, p->limits[1], 0xf3);
        bench_descriptor(b, USER_SS, STACK_BASE, 0xffff, 0xf3 | (shape->stack16 ? 0 : SEGMENT_DB));
        bench_descriptor(b, USER_FS, DATA + 0x777, p->limits[2], 0xf1); /* read-only */
    }
    bench_descriptor(b, USER_GS, DATA, p->limits[3] >> 1, 0xf7); /* expand-down */
}

/* What the handler returns through. */
static void make_frame(struct cpu_bench *b, const struct program *p)
{
    const struct shape *shape = p->shape;
    unsigned bytes = shape->compatibility ? 8 : 4;
    uint32_t esp = shape->flat && !shape->stack16 ? STACK : STACK - STACK_BASE;
    uint32_t frame[9] = { 0, USER_CODE, 0x3202, esp, USER_SS, 0x5110, 0x5000, 0x5200, 0x5300 };
    if (shape->v86) {
        frame[1] = BASE >> 4;
        frame[2] |= FLAG_VM;
        frame[4] = STACK_BASE >> 4;
    }
    frame[0] = CODE - (shape->flat ? 0 : BASE);
    for (unsigned i = 0; i < 9; i++)
        bench_put(b, FRAME + i * bytes, frame[i], bytes);
}

static void make_gates(struct cpu_bench *b, const struct program *p)
{
    const struct shape *shape = p->shape;
    const char *code = shape->real ? handler16 : shape->compatibility ? handler64 : handler32;
    unsigned length = shape->real            ? sizeof handler16 - 1
                      : shape->compatibility ? sizeof handler64 - 1
                                             : sizeof handler32 - 1;
    bench_code(b, HANDLER, code, length);
    for (unsigned vector = 0; vector < 256; vector++) {
        if (shape->real)
            bench_put(b, IDT + 4 * vector, (HANDLER - BASE) | (uint64_t)BASE >> 4 << 16, 4);
        else if (shape->compatibility)
            bench_gate64(b, vector, CODE64, HANDLER, 0, 0xee);
        else
            bench_gate(b, vector, CODE0, HANDLER, 0xee);
    }
}

static void enter_real(struct cpu_bench *b)
{
    struct cpu_state *s = &b->cpu->s;
    static const uint16_t selectors[] = { 0x5110, BASE >> 4, STACK_BASE >> 4, 0x5000, 0x5200, 0x5300 };
    s->idtr = (struct descriptor_table){ IDT, 0x3ff, 0 };
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        s->seg[i] = (struct segment){ (uint64_t)selectors[i] << 4, 0xffff, selectors[i], i == CS ? 0x9b : 0x93 };
    s->gpr[RIP] = CODE - BASE;
    s->gpr[RSP] = STACK - STACK_BASE;
}

/* Starts in the handler but in real mode. */
static struct cpu_bench *make_bench(const struct program *p)
{
    struct cpu_bench *b;
    bench_setup((void **)&b);
    struct cpu_state *s = &b->cpu->s;
    if (p->shape->compatibility) {
        bench_long(b, 0);
        pair_map_pages(b, DATA, DATA_BYTES >> PAGE_SHIFT, false);
    } else if (!p->shape->real) {
        bench_protected(b, 0);
    }
    pair_bus(b);
    s->cr0 |= CR0_WP | CR0_NE | CR0_MP;
    s->cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT;
    physmem_write(&b->memory, CODE, p->bytes, sizeof p->bytes);
    struct fuzz values = { p->fuzz.state };
    for (unsigned i = 0; i < DATA_BYTES; i += 8)
        bench_put(b, DATA + i, fuzz_value(&values), 8);
    for (unsigned i = 0; i < PIECES; i++)
        bench_put(b, TABLE + 4 * i, CODE + i * PIECE_BYTES - (p->shape->flat ? 0 : BASE), 4);
    make_gates(b, p);
    if (p->shape->real) {
        enter_real(b);
    } else {
        make_descriptors(b, p);
        make_frame(b, p);
        s->gpr[RIP] = HANDLER;
    }
    cpu_restored(b->cpu);
    return b;
}

static void pair_made(struct pair *pair, uint64_t seed)
{
    (void)pair, (void)seed;
}

/* Out of a loop without an end. */
static void before_slice(struct pair *pair, unsigned slice)
{
    if (slice % 2 == 1) {
        pair->a->cpu->s.nmi_pending = pair->b->cpu->s.nmi_pending = 1;
        pair->a->cpu->s.nmi_blocked = pair->b->cpu->s.nmi_blocked = 0;
    }
}

static void run(uint64_t seed)
{
    static struct program program;
    program.fuzz.state = seed * 0x1234567;
    program.shape = &shapes[seed % (sizeof shapes / sizeof *shapes)];
    for (unsigned i = 0; i < 4; i++)
        program.limits[i] = 0x1000 + fuzz_below(&program.fuzz, 0x3000);
    program.code_limit = fuzz_one_in(&program.fuzz, 3) ? 0xffff
                                                       : CODE - BASE + fuzz_below(&program.fuzz, sizeof program.bytes);
    for (unsigned i = 0; i < PIECES; i++)
        put_piece(&program, i);
    pair_run(&program, seed, SLICES, program.shape->name);
}

int main(int argc, char **argv)
{
    return translator_available() ? fuzz_main(argc, argv, run, 270, 20000, 60) : 0;
}
