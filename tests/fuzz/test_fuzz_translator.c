/*
 * Random 64-bit programs run by the interpreter and by the translator side by
 * side, in slices of random length; after each the vCPU's state and memory must
 * be equal. Programs have loops, calls, memory operands that fault, cross pages
 * or miss the TLB, stack and string instructions, x87, MMX, SSE, AVX, and writes into
 * their own code. Each of sixteen pieces lies across a page border; page table entries
 * change so that a page of code goes, or becomes another one. A fault goes to a handler that loads the registers anew and goes on at
 * the next piece. A quarter of them plays on a host that seems
 * to lack some features.
 */
#include "cpu/physmem.h"
#include "cpu/opcode.h"
#include "fuzz.h"

#define CODE 0x40000u
#define OTHER_CODE 0x60000u /* what the same pages hold after a change of their entries */
#define CODE_ENTRIES (TABLES + 0x3000 + 8 * (CODE >> PAGE_SHIFT))
#define PIECES 16
#define PIECE_BYTES 768
#define HANDLER 0x3f000u
#define TABLE 0x3e000u /* addresses of the pieces, then a counter */
#define DATA 0x100000u
#define DATA_PAGES 12  /* two of them read-only, two not present */
#define STACK 0x38018u /* the page below it lies elsewhere: pushes cross to it */
#define STACK_BELOW 0x36000u
#define SLICES 150

struct program {
    struct fuzz fuzz;
    unsigned x87, mmx, vectors; /* how much of it, of 40 */
    uint8_t *at, *limit;
    uint32_t start[PIECES];
    uint8_t bytes[2][(PIECES + 1) * PAGE_BYTES]; /* CODE, OTHER_CODE */
};

#include "fuzz_pair.h"

static uint32_t data_address(struct program *p)
{
    uint32_t page = DATA + fuzz_below(&p->fuzz, DATA_PAGES) * PAGE_BYTES;
    if (fuzz_one_in(&p->fuzz, 4))
        return page + PAGE_BYTES - fuzz_below(&p->fuzz, 20);
    return page + fuzz_below(&p->fuzz, PAGE_BYTES);
}

/* MOV r, an address in the data. */
static void put_base(struct program *p, unsigned reg)
{
    put8(p, reg >= 8 ? 0x49 : 0x48);
    put8(p, 0xc7);
    put8(p, 0xc0 | (reg & 7));
    put32(p, fuzz_one_in(&p->fuzz, 30) ? (uint32_t)fuzz_next(&p->fuzz) : data_address(p));
}

static unsigned any_register(struct program *p)
{
    unsigned reg = fuzz_below(&p->fuzz, 16);
    return reg == RSP ? (unsigned)RBX : reg;
}

/* ModRM and what follows: a register, or memory through a base that was often
 * just loaded. REX bits go to *rex. */
struct modrm {
    uint8_t bytes[8];
    unsigned count, rex;
};

static struct modrm make_modrm(struct program *p, unsigned reg, bool memory)
{
    struct modrm m = { .rex = (reg & 8) >> 1 };
    unsigned base = any_register(p), index = any_register(p);
    if (!memory) {
        m.rex |= base >> 3;
        m.bytes[m.count++] = (uint8_t)(0xc0 | (reg & 7) << 3 | (base & 7));
        return m;
    }
    if (!fuzz_one_in(&p->fuzz, 5))
        put_base(p, base);
    bool sib = fuzz_one_in(&p->fuzz, 4) || (base & 7) == 4;
    unsigned mod = fuzz_one_in(&p->fuzz, 3) ? 2 : 1;
    m.rex |= base >> 3;
    m.bytes[m.count++] = (uint8_t)(mod << 6 | (reg & 7) << 3 | (sib ? 4 : base & 7));
    if (sib) {
        bool no_index = fuzz_one_in(&p->fuzz, 2);
        if (!no_index) { /* a small index */
            put8(p, index >= 8 ? 0x41 : 0x40);
            put8(p, 0xb8 | (index & 7));
            put32(p, fuzz_below(&p->fuzz, 64));
            if (index == base)
                put_base(p, base);
        }
        m.rex |= no_index ? 0 : (index & 8) >> 2;
        m.bytes[m.count++] = (uint8_t)(fuzz_below(&p->fuzz, 4) << 6 | (no_index ? 4 : index & 7) << 3 | (base & 7));
    }
    int32_t disp = (int32_t)fuzz_below(&p->fuzz, 200) - 100;
    memcpy(m.bytes + m.count, &disp, 4);
    m.count += mod == 2 ? 4 : 1;
    return m;
}

struct form {
    uint8_t map, opcode, prefix; /* map 2: 0F, 3: 0F 38, 4: 0F 3A; mandatory prefix, or 0 */
    int8_t extension;            /* -1: any */
    uint8_t immediate;           /* bytes; 9: 1, or 4 by size */
    uint8_t mode;                /* 0 both, 1 register only, 2 memory only */
    uint8_t fixed;               /* no operand size */
};

static const struct form forms[] = {
    { 1, 0x00, 0, -1, 0, 0, 0 }, { 1, 0x01, 0, -1, 0, 0, 0 }, { 1, 0x02, 0, -1, 0, 0, 0 }, { 1, 0x03, 0, -1, 0, 0, 0 },
    { 1, 0x09, 0, -1, 0, 0, 0 }, { 1, 0x0b, 0, -1, 0, 0, 0 }, { 1, 0x11, 0, -1, 0, 0, 0 }, { 1, 0x13, 0, -1, 0, 0, 0 },
    { 1, 0x19, 0, -1, 0, 0, 0 }, { 1, 0x1b, 0, -1, 0, 0, 0 }, { 1, 0x21, 0, -1, 0, 0, 0 }, { 1, 0x23, 0, -1, 0, 0, 0 },
    { 1, 0x29, 0, -1, 0, 0, 0 }, { 1, 0x2b, 0, -1, 0, 0, 0 }, { 1, 0x31, 0, -1, 0, 0, 0 }, { 1, 0x33, 0, -1, 0, 0, 0 },
    { 1, 0x38, 0, -1, 0, 0, 0 }, { 1, 0x39, 0, -1, 0, 0, 0 }, { 1, 0x3a, 0, -1, 0, 0, 0 }, { 1, 0x3b, 0, -1, 0, 0, 0 },
    { 1, 0x80, 0, -1, 1, 0, 0 }, { 1, 0x81, 0, -1, 9, 0, 0 }, { 1, 0x83, 0, -1, 1, 0, 0 }, { 1, 0x83, 0, -1, 1, 0, 0 },
    { 1, 0x84, 0, -1, 0, 0, 0 }, { 1, 0x85, 0, -1, 0, 0, 0 }, { 1, 0x86, 0, -1, 0, 0, 0 }, { 1, 0x87, 0, -1, 0, 0, 0 },
    { 1, 0x88, 0, -1, 0, 0, 0 }, { 1, 0x89, 0, -1, 0, 0, 0 }, { 1, 0x8a, 0, -1, 0, 0, 0 }, { 1, 0x8b, 0, -1, 0, 0, 0 },
    { 1, 0x8d, 0, -1, 0, 2, 0 }, { 1, 0x63, 0, -1, 0, 0, 0 }, { 1, 0x69, 0, -1, 9, 0, 0 }, { 1, 0x6b, 0, -1, 1, 0, 0 },
    { 1, 0xc0, 0, -1, 1, 0, 0 }, { 1, 0xc1, 0, -1, 1, 0, 0 }, { 1, 0xd0, 0, -1, 0, 0, 0 }, { 1, 0xd1, 0, -1, 0, 0, 0 },
    { 1, 0xd2, 0, -1, 0, 0, 0 }, { 1, 0xd3, 0, -1, 0, 0, 0 }, { 1, 0xc6, 0, 0, 1, 0, 0 }, { 1, 0xc7, 0, 0, 9, 0, 0 },
    { 1, 0xf6, 0, 0, 1, 0, 0 }, { 1, 0xf7, 0, 0, 9, 0, 0 }, { 1, 0xf6, 0, 2, 0, 0, 0 }, { 1, 0xf7, 0, 2, 0, 0, 0 },
    { 1, 0xf6, 0, 3, 0, 0, 0 }, { 1, 0xf7, 0, 3, 0, 0, 0 }, { 1, 0xf7, 0, 4, 0, 0, 0 }, { 1, 0xf7, 0, 5, 0, 0, 0 },
    { 1, 0xf7, 0, 6, 0, 0, 0 }, { 1, 0xf7, 0, 7, 0, 0, 0 }, { 1, 0xfe, 0, 0, 0, 0, 0 }, { 1, 0xfe, 0, 1, 0, 0, 0 },
    { 1, 0xff, 0, 0, 0, 0, 0 }, { 1, 0xff, 0, 1, 0, 0, 0 }, { 1, 0xff, 0, 6, 0, 0, 0 }, { 1, 0x8f, 0, 0, 0, 0, 0 },
    { 2, 0xaf, 0, -1, 0, 0, 0 }, { 2, 0xa3, 0, -1, 0, 1, 0 }, { 2, 0xab, 0, -1, 0, 1, 0 }, { 2, 0xba, 0, 4, 1, 0, 0 },
    { 2, 0xba, 0, 5, 1, 0, 0 }, { 2, 0xba, 0, 6, 1, 0, 0 }, { 2, 0xba, 0, 7, 1, 0, 0 }, { 2, 0xb6, 0, -1, 0, 0, 0 },
    { 2, 0xb7, 0, -1, 0, 0, 0 }, { 2, 0xbe, 0, -1, 0, 0, 0 }, { 2, 0xbf, 0, -1, 0, 0, 0 }, { 2, 0xb0, 0, -1, 0, 0, 0 },
    { 2, 0xb1, 0, -1, 0, 0, 0 }, { 2, 0xc0, 0, -1, 0, 0, 0 }, { 2, 0xc1, 0, -1, 0, 0, 0 }, { 2, 0x1f, 0, -1, 0, 0, 0 },
    { 2, 0xa4, 0, -1, 1, 0, 0 }, { 2, 0xad, 0, -1, 0, 0, 0 }, { 2, 0xbc, 0, -1, 0, 0, 0 }, { 2, 0xbd, 0, -1, 0, 0, 0 },
    { 2, 0x10, 0xf2, -1, 0, 0, 1 }, { 2, 0x11, 0xf2, -1, 0, 0, 1 }, { 2, 0x58, 0xf2, -1, 0, 0, 1 }, { 2, 0x59, 0xf3, -1, 0, 0, 1 },
    { 2, 0x28, 0, -1, 0, 0, 1 }, { 2, 0x29, 0, -1, 0, 0, 1 }, { 2, 0x6f, 0xf3, -1, 0, 0, 1 }, { 2, 0x7f, 0x66, -1, 0, 0, 1 },
    { 2, 0xfe, 0x66, -1, 0, 0, 1 }, { 2, 0xef, 0x66, -1, 0, 0, 1 }, { 2, 0x2e, 0x66, -1, 0, 0, 1 }, { 2, 0x2a, 0xf2, -1, 0, 0, 1 },
    { 2, 0x2c, 0xf2, -1, 0, 0, 1 }, { 2, 0x6e, 0x66, -1, 0, 0, 1 }, { 2, 0x7e, 0x66, -1, 0, 0, 1 }, { 2, 0x70, 0x66, -1, 1, 0, 1 },
    { 2, 0xb8, 0xf3, -1, 0, 0, 0 }, { 2, 0xbc, 0xf3, -1, 0, 0, 0 }, { 2, 0xbd, 0xf3, -1, 0, 0, 0 }, { 2, 0xbc, 0, -1, 0, 0, 0 },
    { 2, 0xa5, 0, -1, 0, 0, 0 }, { 2, 0xac, 0, -1, 1, 0, 0 }, { 2, 0xac, 0, -1, 1, 1, 0 }, { 2, 0xa4, 0, -1, 1, 1, 0 },
    { 3, 0xf0, 0, -1, 0, 2, 0 }, { 3, 0xf1, 0, -1, 0, 2, 0 }, { 3, 0xf0, 0xf2, -1, 0, 0, 0 }, { 3, 0xf1, 0xf2, -1, 0, 0, 0 },
    { 3, 0xf6, 0x66, -1, 0, 0, 1 }, { 3, 0xf6, 0xf3, -1, 0, 0, 1 }, { 3, 0xf6, 0x66, -1, 0, 1, 1 }, { 3, 0xf6, 0xf3, -1, 0, 1, 1 },
    { 2, 0xc7, 0, 1, 0, 2, 0 }, { 2, 0xc7, 0, 1, 0, 2, 0 }, { 1, 0x8c, 0, 3, 0, 0, 0 }, { 2, 0xc3, 0, -1, 0, 2, 1 },
    { 2, 0x18, 0, 1, 0, 2, 0 }, { 1, 0xd1, 0, 2, 0, 1, 0 }, { 1, 0xd1, 0, 3, 0, 1, 0 }, { 1, 0xc1, 0, 2, 1, 1, 0 },
    { 2, 0xa3, 0, -1, 0, 0, 0 }, { 2, 0xbb, 0, -1, 0, 0, 0 }, { 1, 0xff, 0, 6, 0, 2, 0 }, { 1, 0xf7, 0, 6, 0, 2, 0 },
    { 2, 0xd7, 0x66, -1, 0, 1, 1 }, { 2, 0x5e, 0, -1, 0, 0, 1 }, { 2, 0x12, 0, -1, 0, 0, 1 }, { 2, 0xc6, 0x66, -1, 1, 0, 1 },
};

/* An instruction with a VEX prefix; prefix, immediate and mode as in struct form. */
struct vex_form {
    uint8_t map, opcode, prefix;
    int8_t extension;
    uint8_t immediate, mode;
    uint8_t lengths, widths; /* bit 0: L or W may be 0, bit 1: 1 */
    uint8_t no_vvvv;
};

static void put_vex(struct program *p, const struct vex_form *form)
{
    unsigned reg = form->extension >= 0 ? (unsigned)form->extension : fuzz_below(&p->fuzz, 16);
    bool general = form->map > 2 && form->opcode >= 0xf0; /* RSP is to stay */
    unsigned vvvv = form->no_vvvv ? 0 : fuzz_below(&p->fuzz, 16);
    if (general && form->extension < 0 && reg == RSP)
        reg = R9;
    if (general && vvvv == RSP)
        vvvv = R10;
    struct modrm m = make_modrm(p, reg, form->mode == 2 || (form->mode == 0 && fuzz_one_in(&p->fuzz, 2)));
    unsigned prefix = form->prefix == 0x66 ? 1 : form->prefix == 0xf3 ? 2 : form->prefix == 0xf2 ? 3 : 0;
    unsigned wide = form->lengths == 3 ? fuzz_below(&p->fuzz, 2) : form->lengths >> 1;
    unsigned w = form->widths == 3 ? fuzz_below(&p->fuzz, 2) : form->widths >> 1;
    if (p->at + 24 > p->limit)
        return;
    put8(p, 0xc4);
    put8(p, (~m.rex & 7) << 5 | (form->map - 1u));
    put8(p, w << 7 | (~vvvv & 15) << 3 | wide << 2 | prefix);
    put8(p, form->opcode);
    put(p, m.bytes, m.count);
    uint64_t value = fuzz_value(&p->fuzz);
    put(p, &value, form->immediate);
}

static const struct vex_form bmi_forms[] = {
    { 3, 0xf2, 0, -1, 0, 0, 1, 3, 0 }, { 3, 0xf3, 0, 1, 0, 0, 1, 3, 0 }, { 3, 0xf3, 0, 2, 0, 0, 1, 3, 0 },
    { 3, 0xf3, 0, 3, 0, 0, 1, 3, 0 }, { 3, 0xf7, 0, -1, 0, 0, 1, 3, 0 }, { 3, 0xf5, 0, -1, 0, 0, 1, 3, 0 },
    { 3, 0xf5, 0xf3, -1, 0, 0, 1, 3, 0 }, { 3, 0xf5, 0xf2, -1, 0, 0, 1, 3, 0 }, { 3, 0xf6, 0xf2, -1, 0, 0, 1, 3, 0 },
    { 3, 0xf7, 0x66, -1, 0, 0, 1, 3, 0 }, { 3, 0xf7, 0xf3, -1, 0, 0, 1, 3, 0 }, { 3, 0xf7, 0xf2, -1, 0, 0, 1, 3, 0 },
    { 4, 0xf0, 0xf2, -1, 1, 0, 1, 3, 1 },
};

static bool has_operand(const struct opcode_row *row, enum operand operand)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->operand[i] == operand)
            return true;
    return false;
}

/* A row of the opcode table of instructions on vectors, with or without VEX. */
static const struct opcode_row *vector_row(struct program *p)
{
    for (;;) {
        const struct opcode_row *row = &opcode_rows[fuzz_below(&p->fuzz, opcode_row_count)];
        bool general = row->feature == FEATURE_BMI1 || row->feature == FEATURE_BMI2;
        bool legacy = row->map == MAP_T38 || row->map == MAP_T3A
                      || (row->map == MAP_TWO && row->prefix != OPCODE_PREFIX_ANY && row->modrm & MODRM_PRESENT
                          && row->opcode != 0xae && row->opcode != 0xc7 && row->opcode > 1);
        if (has_operand(row, OPERAND_Mvsib) || general || row->feature == FEATURE_BASE || row->attributes & PRIVILEGED)
            continue;
        if (row->map >= MAP_V0F ? !fuzz_one_in(&p->fuzz, 40) : legacy && fuzz_one_in(&p->fuzz, 3))
            return row;
    }
}

/* Its opcode behind what selects it. `w`, `reg`, `vvvv` and ModRM's REX bits are given. */
static void put_selection(struct program *p, const struct opcode_row *row, unsigned rex, unsigned vvvv)
{
    static const uint8_t prefixes[] = { [OPCODE_PREFIX_ANY] = 0, [OPCODE_PREFIX_NP] = 0, [OPCODE_PREFIX_P66] = 0x66,
                                        [OPCODE_PREFIX_PF3] = 0xf3, [OPCODE_PREFIX_PF2] = 0xf2 };
    static const uint8_t pp[] = { [OPCODE_PREFIX_ANY] = 0, [OPCODE_PREFIX_NP] = 0, [OPCODE_PREFIX_P66] = 1,
                                  [OPCODE_PREFIX_PF3] = 2, [OPCODE_PREFIX_PF2] = 3 };
    if (row->map >= MAP_V0F) {
        unsigned l = row->modrm & VEX_L0 ? 0 : row->modrm & VEX_L1 ? 1 : fuzz_below(&p->fuzz, 2);
        put8(p, 0xc4);
        put8(p, (~rex & 7) << 5 | (row->map - MAP_V0F + 1u));
        put8(p, (rex & 8) << 4 | (~vvvv & 15) << 3 | l << 2 | pp[row->prefix]);
    } else {
        if (prefixes[row->prefix])
            put8(p, prefixes[row->prefix]);
        if (rex)
            put8(p, 0x40 | rex);
        put8(p, 0x0f);
        if (row->map != MAP_TWO)
            put8(p, row->map == MAP_T38 ? 0x38 : 0x3a);
    }
    put8(p, row->opcode);
}

/* MXCSR from memory and back, where most mask all exceptions. */
static void put_mxcsr(struct program *p)
{
    uint32_t value = 0x1f80 | fuzz_below(&p->fuzz, 8) << 13 | fuzz_below(&p->fuzz, 128);
    if (fuzz_one_in(&p->fuzz, 15))
        value ^= 1u << fuzz_below(&p->fuzz, 18);
    put_base(p, RDI);
    put(p, "\xc7\x07", 2); /* MOV dword [RDI], ... */
    put32(p, value);
    bool vex = fuzz_one_in(&p->fuzz, 2);
    put(p, vex ? "\xc5\xf8\xae\x17" : "\x0f\xae\x17", vex ? 4 : 3);         /* LDMXCSR [RDI] */
    put(p, vex ? "\xc5\xf8\xae\x5f\x04" : "\x0f\xae\x5f\x04", vex ? 5 : 4); /* STMXCSR [RDI + 4] */
}

static void put_vector(struct program *p)
{
    if (fuzz_one_in(&p->fuzz, 20)) {
        put_mxcsr(p);
        return;
    }
    const struct opcode_row *row = vector_row(p);
    bool general = has_operand(row, OPERAND_Gd) || has_operand(row, OPERAND_Gy) || has_operand(row, OPERAND_Gv);
    unsigned reg = fuzz_below(&p->fuzz, 16), rex = 0, vvvv = 0;
    if (row->modrm & MODRM_FIX_REG)
        reg = row->modrm >> 3 & 7;
    else if (general && reg == RSP)
        reg = R11;
    bool memory = row->modrm & MODRM_ONLY_MEM || (!(row->modrm & MODRM_ONLY_REG) && fuzz_one_in(&p->fuzz, 2));
    struct modrm m = make_modrm(p, reg, memory);
    if (row->modrm & VEX_W1 || (!(row->modrm & VEX_W0) && fuzz_one_in(&p->fuzz, 3)))
        rex = 8;
    if (has_operand(row, OPERAND_Hx))
        vvvv = fuzz_below(&p->fuzz, 16);
    if (p->at + 24 > p->limit)
        return;
    put_selection(p, row, rex | m.rex, vvvv);
    if (row->modrm & MODRM_PRESENT)
        put(p, m.bytes, m.count);
    if (has_operand(row, OPERAND_Ib) || has_operand(row, OPERAND_Lx))
        put8(p, fuzz_below(&p->fuzz, 256));
}

static void put_form(struct program *p, const struct form *form)
{
    unsigned reg = form->extension >= 0 ? (unsigned)form->extension : fuzz_below(&p->fuzz, 16);
    if (form->extension < 0 && reg == RSP && !form->fixed)
        reg = RAX;
    bool memory = form->mode == 2 || (form->mode == 0 && fuzz_one_in(&p->fuzz, 2));
    struct modrm m = make_modrm(p, reg, memory);
    bool wide = fuzz_one_in(&p->fuzz, 2), small = !wide && !form->fixed && fuzz_one_in(&p->fuzz, 6);
    unsigned rex = m.rex | (wide ? 8 : 0);
    if (p->at + 24 > p->limit)
        return;
    if (memory && form->map == 1 && form->opcode < 0x38 && !(form->opcode & 2) && fuzz_one_in(&p->fuzz, 8))
        put8(p, 0xf0); /* LOCK */
    if (small)
        put8(p, 0x66);
    if (form->prefix)
        put8(p, form->prefix);
    if (rex || fuzz_one_in(&p->fuzz, 2))
        put8(p, 0x40 | rex);
    if (form->map >= 2)
        put8(p, 0x0f);
    if (form->map > 2)
        put8(p, form->map == 3 ? 0x38 : 0x3a);
    put8(p, form->opcode);
    put(p, m.bytes, m.count);
    unsigned immediate = form->immediate == 9 ? (small ? 2 : 4) : form->immediate;
    uint64_t value = fuzz_value(&p->fuzz);
    put(p, &value, immediate);
}

/* Arithmetic of many words: flags that live across memory operands which neither
 * fault nor cross a page. */
static void put_chain(struct program *p)
{
    static const uint8_t opcodes[] = {
        0x03, 0x13, 0x13, 0x2b, 0x1b, 0x1b, 0x3b, 0x39, 0x85, 0x23, /* op r, m */
        0x8b, 0x89, 0x8d, 0x01, 0x11, 0x03, 0x13, 0x1b, 0xff, 0xd1,
    };
    static const uint8_t bases[] = { RBX, RSI, RDI, R8, R9, R10, R13, R14 };
    unsigned base = FUZZ_PICK(&p->fuzz, bases);
    uint32_t address = DATA + fuzz_below(&p->fuzz, 3) * PAGE_BYTES + fuzz_below(&p->fuzz, 3900);
    put8(p, base >= 8 ? 0x49 : 0x48);
    put8(p, 0xc7);
    put8(p, 0xc0 | (base & 7));
    put32(p, address);
    for (unsigned i = 3 + fuzz_below(&p->fuzz, 5); i-- > 0 && p->at + 8 < p->limit;) {
        uint8_t opcode = FUZZ_PICK(&p->fuzz, opcodes);
        unsigned reg = opcode >= 0xd1 ? fuzz_below(&p->fuzz, 2) : any_register(p);
        if (reg == base && opcode < 0xd1)
            reg = base ^ 1;
        bool memory = opcode == 0x8d || !fuzz_one_in(&p->fuzz, 3);
        unsigned rm = memory || fuzz_one_in(&p->fuzz, 3) ? base : any_register(p);
        if (!memory && rm == base)
            rm = RAX;
        put8(p, 0x40 | (fuzz_one_in(&p->fuzz, 5) ? 0 : 8) | (reg & 8) >> 1 | rm >> 3);
        put8(p, opcode);
        put8(p, (memory ? 0x40 : 0xc0) | (reg & 7) << 3 | (rm & 7));
        if (memory)
            put8(p, fuzz_below(&p->fuzz, 120));
    }
}

/* A control word from memory, where most mask all exceptions. */
static void put_control_word(struct program *p)
{
    unsigned word = 0x7f | fuzz_below(&p->fuzz, 16) << 8;
    if (fuzz_one_in(&p->fuzz, 15))
        word ^= fuzz_below(&p->fuzz, 64);
    put_base(p, RSI);
    put(p, "\x66\xc7\x06", 3); /* MOV word [RSI], ... */
    put8(p, word);
    put8(p, word >> 8);
    put(p, "\xd9\x2e", 2); /* FLDCW [RSI] */
}

/* Any x87 instruction; undefined ones seldom. */
static void put_x87(struct program *p)
{
    static const uint8_t defined[8][8] = {
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0xff, 0xff, 0x01, 0xff, 0x33, 0x7f, 0xff, 0xff },
        { 0xff, 0xff, 0xff, 0xff, 0x00, 0x02, 0x00, 0x00 }, { 0xff, 0xff, 0xff, 0xff, 0x1f, 0xff, 0xff, 0x00 },
        { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00 },
        { 0xff, 0xff, 0xff, 0x02, 0xff, 0xff, 0xff, 0xff }, { 0xff, 0xff, 0xff, 0xff, 0x01, 0xff, 0xff, 0x00 },
    };
    unsigned opcode = fuzz_below(&p->fuzz, 8), modrm = 0xc0 | fuzz_below(&p->fuzz, 64);
    switch (fuzz_below(&p->fuzz, 12)) {
    case 0:
        put_control_word(p);
        return;
    case 1:
        put(p, FUZZ_PICK(&p->fuzz, ((const char *[]){ "\x9b", "\xdf\xe0", "\xd9\xe8", "\xd9\xee", "\xdb\xe2",
                                                      "\x0f\x77" })), 2);
        return;
    case 2: case 3: case 4: case 5:
        put_form(p, &(struct form){ 1, (uint8_t)(0xd8 | opcode), 0, (int8_t)fuzz_below(&p->fuzz, 8), 0, 2, 1 });
        return;
    }
    while (!(defined[opcode][modrm >> 3 & 7] >> (modrm & 7) & 1) && !fuzz_one_in(&p->fuzz, 50))
        modrm = 0xc0 | fuzz_below(&p->fuzz, 64);
    put8(p, 0xd8 | opcode);
    put8(p, modrm);
}

static void put_mmx(struct program *p)
{
    static const uint8_t opcodes[] = {
        0x60, 0x61, 0x62, 0x63, 0x64, 0x67, 0x68, 0x6a, 0x6b, 0x6e, 0x6e, 0x6f, 0x6f, 0x6f, 0x7e, 0x7e, 0x7f, 0x7f,
        0x70, 0x71, 0x73, 0x74, 0x76, 0xc4, 0xc5, 0xd1, 0xd2, 0xd4, 0xd5, 0xd7, 0xdb, 0xe0, 0xe4, 0xe7, 0xef, 0xf1,
        0xf4, 0xf5, 0xf6, 0xfb, 0xfc, 0xfe, 0x2a, 0x2c, 0xf7,
    };
    unsigned opcode = FUZZ_PICK(&p->fuzz, opcodes);
    bool shift = opcode == 0x71 || opcode == 0x73;
    bool immediate = shift || opcode == 0x70 || opcode == 0xc4 || opcode == 0xc5;
    bool reg_only = shift || opcode == 0xc5 || opcode == 0xd7 || opcode == 0xf7;
    put_form(p, &(struct form){ 2, (uint8_t)opcode, 0, shift ? 2 : -1, immediate,
                                opcode == 0xe7 ? 2 : reg_only, 1 });
}

/* BT and its kind of memory, by a register with a small number. */
static void put_bit_string(struct program *p)
{
    unsigned reg = any_register(p), base = any_register(p) & 7;
    if (base == RSP || base == reg)
        base = reg == RSI ? RDI : RSI;
    put_base(p, base);
    put8(p, 0x48 | reg >> 3);
    put8(p, 0xc7);
    put8(p, 0xc0 | (reg & 7));
    put32(p, fuzz_below(&p->fuzz, 4000) - 2000);
    put8(p, 0x40 | fuzz_below(&p->fuzz, 2) << 3 | reg >> 3 << 2);
    put8(p, 0x0f);
    put8(p, FUZZ_PICK(&p->fuzz, ((const uint8_t[]){ 0xa3, 0xab, 0xb3, 0xbb })));
    put8(p, 0x40 | (reg & 7) << 3 | base);
    put8(p, 16);
}

/* RSP as an operand: read, as a base, moved by a little, and away and back. */
static void put_stack_pointer(struct program *p)
{
    static const uint8_t into[] = { 0x03, 0x0b, 0x13, 0x1b, 0x23, 0x2b, 0x33, 0x3b, 0x63, 0x85, 0x8b };
    static const uint8_t from[] = { 0x01, 0x09, 0x11, 0x19, 0x21, 0x29, 0x31, 0x39, 0x85, 0x89 };
    static const uint8_t moves[][2] = { { 0x83, 0xc4 }, { 0x83, 0xec }, { 0x83, 0xe4 }, { 0x83, 0xcc } };
    unsigned reg = any_register(p), low = reg & 7, high = reg >> 3, wide = fuzz_below(&p->fuzz, 2) << 3;
    unsigned by = fuzz_below(&p->fuzz, 5) * 8;
    switch (fuzz_below(&p->fuzz, 7)) {
    case 0: put(p, (uint8_t[]){ 0x40 | wide | high << 2, FUZZ_PICK(&p->fuzz, into), 0xc4 | low << 3 }, 3); return;
    case 1: put(p, (uint8_t[]){ 0x40 | wide | high, FUZZ_PICK(&p->fuzz, from), 0xe0 | low }, 3); return;
    case 2: put(p, (uint8_t[]){ 0x40 | wide | high << 2, 0x0f, 0x40 | fuzz_below(&p->fuzz, 16), 0xc4 | low << 3 }, 4); return;
    case 3: /* [RSP + by], or LEA */
        put8(p, 0x40 | wide | high << 2);
        put8(p, fuzz_one_in(&p->fuzz, 3) ? 0x8d : fuzz_one_in(&p->fuzz, 2) ? FUZZ_PICK(&p->fuzz, into) : FUZZ_PICK(&p->fuzz, from));
        put(p, (uint8_t[]){ 0x44 | low << 3, 0x24, by - 16 }, 3);
        return;
    case 4: {
        unsigned i = fuzz_below(&p->fuzz, 4);
        put(p, (uint8_t[]){ 0x48, moves[i][0], moves[i][1], i < 2 ? by : i == 2 ? 0xf0 : 1 }, 4);
        return;
    }
    case 5: /* MOV r, RSP; PUSH r or LEA RSP, [RSP + by]; MOV RSP, r */
        put(p, (uint8_t[]){ 0x48 | high, 0x89, 0xe0 | low }, 3);
        if (fuzz_one_in(&p->fuzz, 2))
            put(p, (uint8_t[]){ 0x40 | high, 0x50 | low }, 2);
        else
            put(p, (uint8_t[]){ 0x48, 0x8d, 0x64, 0x24, by }, 5);
        put(p, (uint8_t[]){ 0x48 | high << 2, 0x89, 0xc4 | low << 3 }, 3);
        return;
    default: /* PUSH RSP, POP RSP; XCHG and again */
        if (fuzz_one_in(&p->fuzz, 2))
            put(p, "\x54\x5c", 2);
        else
            put(p, (uint8_t[]){ 0x48 | high << 2, 0x87, 0xc4 | low << 3, 0x48 | high, 0x87, 0xe0 | low }, 6);
        return;
    }
}

/* SETcc, CMOVcc, Jcc over a few bytes or back by some. */
static void put_condition(struct program *p, const uint8_t *start)
{
    unsigned condition = fuzz_below(&p->fuzz, 16);
    switch (fuzz_below(&p->fuzz, 13) / 4) {
    case 0: put_form(p, &(struct form){ 2, (uint8_t)(0x90 | condition), 0, 0, 0, 0, 0 }); return;
    case 1: put_form(p, &(struct form){ 2, (uint8_t)(0x40 | condition), 0, -1, 0, 0, 0 }); return;
    case 2:
        put8(p, 0x70 | condition);
        put8(p, fuzz_below(&p->fuzz, 12));
        return;
    default:
        put8(p, fuzz_one_in(&p->fuzz, 4) ? 0xe0 | fuzz_below(&p->fuzz, 4) : 0x70 | condition);
        put8(p, (unsigned)-(int)fuzz_below(&p->fuzz, p->at - start < 100 ? (uint32_t)(p->at - start + 1) : 100));
        return;
    }
}

static void put_other(struct program *p)
{
    static const char *const codes[] = {
        "\xf3\x48\xa5", "\xf3\xaa", "\xf3\xa4", "\x48\xab", "\xa6", "\xac", "\x48\xad", "\x66\xa5", "\xa4", "\xf8", "\xf9", "\xf5", "\x9c", "\x9d",
        "\x48\x99", "\x98", "\x90", "\x0f\xc9", "\x48\x0f\xcb", "\x91", "\x49\x93", "\xc9", "\x50", "\x58",
        "\xfc", "\xfd\xaa\xfc", "\xf3\xa6", "\xf2\xae", "\x41\x57", "\x41\x5b", "\x6a\x7f", "\xfa", "\x9e", "\x9f", "\x0f\xa2", "\x0f\x31",
    };
    unsigned i = fuzz_below(&p->fuzz, sizeof codes / sizeof *codes);
    if (i < 9) { /* short strings in the data */
        put_base(p, RSI);
        put_base(p, RDI);
        put8(p, 0xb9);
        put32(p, fuzz_below(&p->fuzz, 40));
    }
    if (codes[i][0] == '\xc9') /* LEAVE from a frame in the data */
        put_base(p, RBP);
    put(p, codes[i], (unsigned)strlen(codes[i]));
}

/* Into the program's own code: a byte that the next instructions have. */
static void put_self_write(struct program *p)
{
    put8(p, 0xc6);
    put8(p, 0x05);
    put32(p, fuzz_below(&p->fuzz, 40) + 1);
    put8(p, 0x90);
}

/* op r64, constant */
static void put_constant(struct program *p, unsigned opcode, unsigned extension, unsigned reg, uint32_t value)
{
    put8(p, 0x48 | reg >> 3);
    put8(p, opcode);
    put8(p, 0xc0 | extension << 3 | (reg & 7));
    put32(p, value);
}

/* JMP, CALL or RET to what follows, a few bytes further on, or to no canonical
 * address. The flags come from a register that is another then; memory that may
 * fault shows them. */
static void put_indirect(struct program *p)
{
    unsigned reg = any_register(p), flags = any_register(p), low = reg & 7;
    unsigned kind = fuzz_below(&p->fuzz, 5), count = 2 + (kind > 1) + 2 * (kind == 3) + (kind == 2);
    put8(p, 0x48 | reg >> 3 << 2); /* LEA of RIP + ... */
    put8(p, 0x8d);
    put8(p, low << 3 | 5);
    put32(p, (kind < 2 ? 3 : count + 1) + 7 + (fuzz_one_in(&p->fuzz, 4) ? fuzz_below(&p->fuzz, 20) : 0));
    put_constant(p, 0x81, FUZZ_PICK(&p->fuzz, ((const uint8_t[]){ 0, 1, 4, 5, 6, 7 })), flags,
                 (uint32_t)fuzz_next(&p->fuzz));
    if (fuzz_one_in(&p->fuzz, 8)) { /* BTS */
        put8(p, 0x48 | reg >> 3);
        put(p, "\x0f\xba", 2);
        put8(p, 0xe8 | low);
        put8(p, 47 + fuzz_below(&p->fuzz, 16));
    }
    put8(p, 0x40 | reg >> 3);
    if (kind < 2) { /* JMP, CALL */
        put8(p, 0xff);
        put8(p, (kind ? 0xe0 : 0xd0) | low);
    } else {
        put8(p, 0x50 | low); /* PUSH */
        if (kind == 2)
            put(p, "\xff\x24\x24", 3); /* JMP [RSP] */
        else if (kind == 3)
            put(p, "\xc2\x08\x00", 3); /* RET 8 */
        else
            put8(p, 0xc3);
    }
    put_constant(p, 0xc7, 0, flags, (uint32_t)fuzz_next(&p->fuzz));
    put(p, "\x48\x8b\x04\x25", 4); /* MOV RAX, [...] */
    put32(p, data_address(p));
}

/* A page of the code goes or comes back, forbids execution, or is another one. */
static void put_remap(struct program *p, const uint8_t *start)
{
    static const struct {
        uint8_t byte, bits;
    } changes[] = { { 2, (CODE ^ OTHER_CODE) >> 16 }, { 0, 1 }, { 7, 0x80 } };
    unsigned change = fuzz_one_in(&p->fuzz, 4) ? 1 + fuzz_below(&p->fuzz, 2) : 0;
    unsigned page = (unsigned)((start - p->bytes[0]) % (long)sizeof p->bytes[0] / PAGE_BYTES) + 1;
    if (fuzz_one_in(&p->fuzz, 4))
        page = fuzz_below(&p->fuzz, PIECES + 1);
    put(p, "\x80\x34\x25", 3); /* XOR */
    put32(p, CODE_ENTRIES + 8 * page + changes[change].byte);
    put8(p, changes[change].bits);
}

static void put_piece(struct program *p, uint8_t *start)
{
    p->at = start;
    p->limit = start + PIECE_BYTES - 8;
    if (p->x87 && fuzz_one_in(&p->fuzz, 2))
        put(p, "\xdb\xe3", 2); /* FNINIT */
    while (p->at + 40 < p->limit) {
        unsigned kind = fuzz_below(&p->fuzz, 40);
        if (kind < 6)
            put_condition(p, start);
        else if (kind < 8)
            put_other(p);
        else if (kind == 8 && fuzz_one_in(&p->fuzz, 8))
            put_self_write(p);
        else if (kind == 8 && fuzz_one_in(&p->fuzz, 3))
            put_remap(p, start);
        else if (kind == 8)
            put_stack_pointer(p);
        else if (kind < 12)
            put_chain(p);
        else if (kind == 12 && fuzz_one_in(&p->fuzz, 2))
            put_indirect(p);
        else if (kind == 12)
            fuzz_one_in(&p->fuzz, 2) ? put_base(p, any_register(p)) : put_bit_string(p);
        else if (kind == 39)
            put_vex(p, &FUZZ_PICK(&p->fuzz, bmi_forms));
        else if (kind < 13 + p->x87)
            put_x87(p);
        else if (kind < 13 + p->x87 + p->mmx)
            put_mmx(p);
        else if (kind < 13 + p->x87 + p->mmx + p->vectors)
            put_vector(p);
        else
            put_form(p, &FUZZ_PICK(&p->fuzz, forms));
    }
    while (p->at < p->limit)
        put8(p, 0x90);
    p->limit += 8;
    put(p, "\x0f\x0b\x90\x90\x90\x90\x90\x90", 8); /* UD2: on to the next piece */
}

/* The same place in the other pages: something else, or nearly the same. */
static void put_other_piece(struct program *p, uint32_t start)
{
    uint8_t *to = p->bytes[1] + start;
    if (fuzz_one_in(&p->fuzz, 3)) {
        put_piece(p, to);
        return;
    }
    memcpy(to, p->bytes[0] + start, PIECE_BYTES);
    for (unsigned i = 0; i < 16; i++)
        to[fuzz_below(&p->fuzz, PIECE_BYTES)] ^= (uint8_t)(1u << fuzz_below(&p->fuzz, 8));
}

/* The handler: the first page of the next piece is there again, registers anew, flags as they come, RIP of the next piece. */
static const char handler_code[] =
    "\xff\x04\x25\x80\xe0\x03\x00"                 /* inc dword [TABLE + 80h] */
    "\x8b\x04\x25\x80\xe0\x03\x00"                 /* mov eax, [TABLE + 80h] */
    "\x83\xe0\x0f"                                 /* and eax, 15 */
    "\x80\x0c\xc5\x00\x32\x01\x00\x01"             /* or byte [CODE_ENTRIES + rax * 8], 1 */
    "\x80\x24\xc5\x07\x32\x01\x00\x7f"             /* and byte [CODE_ENTRIES + 7 + rax * 8], 7fh */
    "\x48\xc7\xc4\x18\x80\x03\x00"                 /* mov rsp, STACK */
    "\x48\xc7\xc3\x00\x00\x10\x00"                 /* mov rbx, DATA */
    "\xff\x24\xc5\x00\xe0\x03\x00";                /* jmp [TABLE + rax * 8] */

/* A double of moderate size. */
static uint64_t number(struct fuzz *fuzz)
{
    return fuzz_next(fuzz) >> fuzz_below(fuzz, 2) * 40 << 12 >> 12 | (uint64_t)fuzz_below(fuzz, 2) << 63
           | (uint64_t)(0x3f0 + fuzz_below(fuzz, 0x20)) << 52;
}

static void fill_x87(struct cpu *cpu, struct fuzz *fuzz)
{
    cpu->s.fcw = (uint16_t)(0x7f | fuzz_below(fuzz, 16) << 8);
    cpu->s.fsw = (uint16_t)(fuzz_next(fuzz) & 0x7f7f);
    for (unsigned i = 0; i < 8; i++) {
        cpu->s.x87[i].significand = fuzz_next(fuzz) | (uint64_t)!fuzz_one_in(fuzz, 10) << 63;
        cpu->s.x87[i].sign_exponent
            = (uint16_t)(fuzz_one_in(fuzz, 4) ? fuzz_next(fuzz) : 0x3ff0 + fuzz_below(fuzz, 32));
    }
    cpu->s.ftw = 0;
    for (unsigned i = 0; i < 8; i++)
        cpu->s.ftw |= (uint16_t)(fuzz_one_in(fuzz, 2) ? 3 << 2 * i : 0);
}

static struct cpu_bench *make_bench(const struct program *p)
{
    struct cpu_bench *b;
    bench_setup((void **)&b);
    bench_long(b, 0);
    pair_map_pages(b, DATA, DATA_PAGES, true);
    bench_put(b, TABLES + 0x3000 + 8 * (STACK / PAGE_BYTES - 1), STACK_BELOW | 7, 8);
    if (!(p->fuzz.state & 0x3000000)) { /* five levels */
        bench_put(b, TABLES + 0x4000, TABLES | 7, 8);
        b->cpu->s.cr3 = TABLES + 0x4000;
        b->cpu->s.cr4 |= CR4_LA57;
    }
    pair_bus(b);
    b->cpu->s.cr0 |= CR0_WP | CR0_NE | CR0_MP;
    b->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    b->cpu->s.xcr0 = p->fuzz.state & 1792 ? 7 : 3;
    b->cpu->s.mxcsr = p->fuzz.state & 64 ? 0x1f80 : 0x1f80 & ~(p->fuzz.state & 0x1f80);
    b->cpu->s.efer |= p->fuzz.state & 32 ? EFER_NXE : 0;
    physmem_write(&b->memory, CODE, p->bytes[0], sizeof p->bytes[0]);
    physmem_write(&b->memory, OTHER_CODE, p->bytes[1], sizeof p->bytes[1]);
    struct fuzz values = { p->fuzz.state };
    for (unsigned i = 0; i < DATA_PAGES * PAGE_BYTES; i += 8)
        bench_put(b, DATA + i, fuzz_one_in(&values, 3) ? number(&values) : fuzz_value(&values), 8);
    fill_x87(b->cpu, &values);
    for (unsigned i = 0; i < 16 * 4; i++) {
        uint64_t value = fuzz_one_in(&values, 2) ? number(&values) : fuzz_value(&values);
        memcpy(b->cpu->s.vector[i / 4] + i % 4 * 8, &value, 8);
    }
    physmem_write(&b->memory, HANDLER, handler_code, sizeof handler_code - 1);
    for (unsigned i = 0; i < PIECES; i++)
        bench_put(b, TABLE + 8 * i, CODE + p->start[i], 8);
    for (unsigned vector = 0; vector < 32; vector++)
        bench_gate64(b, vector, CODE64, HANDLER, 0, 0x8e);
    b->cpu->s.gpr[RIP] = CODE + p->start[0];
    b->cpu->s.gpr[RSP] = STACK;
    cpu_restored(b->cpu);
    return b;
}

/* A quarter of the hosts seem to lack some features. */
static void pair_made(struct pair *pair, uint64_t seed)
{
    struct fuzz lacks = { seed };
    for (unsigned i = 0; seed % 4 == 1 && i < sizeof pair->translator->host_features / 8; i++)
        pair->translator->host_features[i] &= fuzz_next(&lacks) | fuzz_next(&lacks);
}

static void before_slice(struct pair *pair, unsigned slice)
{
    (void)pair, (void)slice;
}

static void run(uint64_t seed)
{
    static struct program program;
    program.fuzz.state = seed * 0x1234567;
    program.x87 = fuzz_below(&program.fuzz, 4) * 5;
    program.mmx = fuzz_below(&program.fuzz, 3) * 3;
    program.vectors = fuzz_below(&program.fuzz, 3) * 6;
    for (unsigned i = 0; i < PIECES; i++) {
        program.start[i] = (i + 1) * PAGE_BYTES - fuzz_below(&program.fuzz, fuzz_one_in(&program.fuzz, 3) ? 8 : PIECE_BYTES);
        put_piece(&program, program.bytes[0] + program.start[i]);
        put_other_piece(&program, program.start[i]);
    }
    pair_run(&program, seed, SLICES, "64");
}

int main(int argc, char **argv)
{
    return translator_available() ? fuzz_main(argc, argv, run, 250, 20000, 60) : 0;
}
