/*
 * What the silicon test's cases cover: by row of the opcode table, code size,
 * operand size, register or memory form, and by prefix. What a row can have is
 * found by decoding plain encodings of it.
 */
#include "silicon_encode.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/decode.h"

enum { PREFIX_66, PREFIX_67, PREFIX_F2, PREFIX_F3, PREFIX_F0, PREFIX_SEG, PREFIX_4X, PREFIXES };
static const char *const prefix_names[PREFIXES] = { "66", "67", "F2", "F3", "LOCK", "segment", "REX" };
static const uint8_t prefix_bytes[PREFIXES] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x3e, 0x41 };

struct coverage {
    uint32_t cases;
    uint32_t forms, possible;       /* bits: form_bit */
    uint8_t prefixes, may_have;     /* bits: PREFIX_* */
};
static struct coverage *rows;

/* Code size, operand size and shape. */
static unsigned form_bit(const struct insn *insn, unsigned code_bytes)
{
    unsigned mode = code_bytes == 8 ? 2 : code_bytes == 4;
    unsigned size = (unsigned)__builtin_ctz(insn->operand_bytes);
    bool memory = row_of(insn)->modrm & MODRM_PRESENT && insn->modrm < 0xc0;
    return mode * 8 + size * 2 + memory;
}

static unsigned prefixes_of(const struct test_case *test)
{
    unsigned found = 0;
    for (unsigned i = 0; i < test->length; i++) {
        unsigned byte = test->bytes[i];
        bool rex = test->code_bytes == 8 && (byte & 0xf0) == 0x40;
        bool segment = (byte & 0xe7) == 0x26 || (byte & 0xfe) == 0x64;
        if (rex || segment) {
            found |= 1u << (rex ? PREFIX_4X : PREFIX_SEG);
            continue;
        }
        unsigned p = 0;
        while (p <= PREFIX_F0 && prefix_bytes[p] != byte)
            p++;
        if (p > PREFIX_F0)
            break;
        found |= 1u << p;
    }
    return found;
}

/* A plain encoding of the row with `prefix` (0: none) and REX.W. */
static unsigned plain(const struct opcode_row *row, uint8_t *bytes, unsigned code_bytes,
                      unsigned prefix, bool w, bool memory)
{
    static const uint8_t wanted[] = { [OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3,
                                      [OPCODE_PREFIX_PF2] = 0xf2 };
    unsigned at = 0;
    bool vex = row->map >= MAP_V0F, rex = (prefix & 0xf0) == 0x40;
    if (prefix && !rex)
        bytes[at++] = (uint8_t)prefix;
    if (vex) {
        unsigned pp = row->prefix == OPCODE_PREFIX_P66 ? 1 : row->prefix == OPCODE_PREFIX_PF3 ? 2
                      : row->prefix == OPCODE_PREFIX_PF2 ? 3 : 0;
        bytes[at++] = 0xc4;
        bytes[at++] = (uint8_t)(0xe0 | (row->map - MAP_V0F + 1));
        bytes[at++] = (uint8_t)((row->modrm & VEX_W1 || w ? 0x80 : 0) | 0x78
                                | (row->modrm & VEX_L1 ? 4 : 0) | pp);
    } else {
        if (row->prefix >= OPCODE_PREFIX_P66)
            bytes[at++] = wanted[row->prefix];
        if (code_bytes == 8 && (w || rex))
            bytes[at++] = (uint8_t)(0x40 | (rex ? prefix & 15 : 0) | (w ? 8 : 0));
        if (row->map != MAP_ONE)
            bytes[at++] = 0x0f;
        if (row->map == MAP_T38 || row->map == MAP_T3A)
            bytes[at++] = row->map == MAP_T38 ? 0x38 : 0x3a;
    }
    bytes[at++] = row->opcode;
    bytes[at] = (uint8_t)((row->modrm & MODRM_FIX_REG ? row->modrm & 0x38 : 8)
                          | (row->modrm & MODRM_FIX_RM ? row->modrm & 7 : memory ? 4 : 3)
                          | (memory ? 0 : 0xc0));
    return at;
}

static void probe(unsigned number, unsigned code_bytes, unsigned prefix, bool w, bool memory)
{
    struct test_case test = { .code_bytes = (uint8_t)code_bytes };
    const struct opcode_row *row = &opcode_rows[number];
    plain(row, test.bytes, code_bytes, prefix, w, memory);
    const struct insn *insn = guest_decode(&test);
    if (insn->row != number)
        return;
    rows[number].possible |= 1u << form_bit(insn, code_bytes);
    test.length = 15;
    rows[number].may_have |= (uint8_t)prefixes_of(&test);
}

void coverage_open(void)
{
    rows = calloc(opcode_row_count, sizeof *rows);
    if (!rows)
        exit(2);
    for (unsigned row = 0; row < opcode_row_count; row++)
        for (unsigned i = 0; i < 12; i++) {
            unsigned code_bytes = 2u << (i >> 2);
            probe(row, code_bytes, 0, i & 1, i & 2);
            for (unsigned p = 0; p < PREFIXES; p++)
                probe(row, code_bytes, prefix_bytes[p], i & 1, i & 2);
        }
}

void coverage_add(const struct test_case *test)
{
    if (test->row == ROW_INVALID)
        return;
    const struct insn *insn = guest_decode(test);
    struct coverage *row = &rows[test->row];
    row->cases++;
    row->forms |= 1u << form_bit(insn, test->code_bytes);
    row->prefixes |= (uint8_t)prefixes_of(test);
}

static void print_missing(unsigned number, uint32_t forms, unsigned prefixes)
{
    const struct opcode_row *row = &opcode_rows[number];
    printf("  %s (map %u, opcode %02x, row %u):", row->name, row->map, row->opcode, number);
    for (unsigned i = 0; i < 24; i++)
        if (forms >> i & 1)
            printf(" %u-bit code with %u-bit %s operands;", 16u << (i >> 3), 8u << (i >> 1 & 3),
                   i & 1 ? "memory" : "register");
    for (unsigned p = 0; p < PREFIXES; p++)
        if (prefixes >> p & 1)
            printf(" with %s;", prefix_names[p]);
    putchar('\n');
}

void coverage_report(bool all)
{
    unsigned never = 0, forms = 0, possible = 0, without = 0, wanted = 0;
    for (unsigned i = 0; i < opcode_row_count; i++) {
        const char *why = generate_refuses(i);
        const struct coverage *row = &rows[i];
        if (!row->cases) {
            never++;
            if (all || !why)
                printf("never ran: %s (map %u, opcode %02x): %s\n", opcode_rows[i].name,
                       opcode_rows[i].map, opcode_rows[i].opcode, why ? why : "no case of it was good");
            continue;
        }
        uint32_t missing = row->possible & ~row->forms;
        unsigned prefixes = row->may_have & ~row->prefixes;
        possible += (unsigned)__builtin_popcount(row->possible);
        forms += (unsigned)__builtin_popcount(missing);
        wanted += (unsigned)__builtin_popcount(row->may_have);
        without += (unsigned)__builtin_popcount(prefixes);
        if (all && (missing || prefixes))
            print_missing(i, missing, prefixes);
    }
    printf("%u of %u rows never ran; of the others %u of %u forms (code size, operand size, shape) "
           "and %u of %u pairs with a prefix\n", never, opcode_row_count, forms, possible, without,
           wanted);
}
