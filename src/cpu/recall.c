/* What may be remembered of a decoded instruction; see recall.h. */
#include "cpu/recall.h"

#include "cpu/opcode.h"

/* Bytes of the immediates; -1: they are not just a sign-extended one. */
static int immediate_bytes(const struct opcode_row *row, const struct insn *insn)
{
    int bytes = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < 4; i++)
        switch (row->operand[i]) {
        case OPERAND_Ib: case OPERAND_Ibs: case OPERAND_Jb: bytes = 1; count++; break;
        case OPERAND_Iz: case OPERAND_Jz: bytes = insn->operand_bytes == 2 ? 2 : 4; count++; break;
        case OPERAND_Iv: bytes = insn->operand_bytes; count++; break;
        case OPERAND_Iw: case OPERAND_Ap: case OPERAND_Ob: case OPERAND_Ov: return -1;
        }
    return count > 1 || (count && row->attributes & IMM_ZX) ? -1 : bytes;
}

/* Of the instructions of a row, as recall->length has it. */
static unsigned row_length(const struct opcode_row *row)
{
    int narrow = immediate_bytes(row, &(struct insn){ .operand_bytes = 4 });
    int wide = immediate_bytes(row, &(struct insn){ .operand_bytes = 8 });
    bool control = row->map == MAP_TWO && (row->opcode & 0xfc) == 0x20; /* MOV of CR and DR heeds no mod */
    if (narrow < 0 || narrow != wide || control)
        return RECALL_UNSURE;
    return 1 + (row->modrm & MODRM_PRESENT ? 1 : 0) + (unsigned)narrow;
}

static void learn_row(struct recall *recall, const struct opcode_row *row)
{
    unsigned length = row_length(row);
    for (unsigned k = 0; k < (row->modrm & MODRM_PLUS_R ? 8 : 1); k++) {
        uint8_t *shape = &recall->shape[row->map][row->opcode + k];
        uint8_t *known = &recall->length[row->map][row->opcode + k];
        *shape |= row->modrm & MODRM_PRESENT ? RECALL_MODRM : RECALL_OPCODE;
        *known = !*known || *known == length ? (uint8_t)length : RECALL_UNSURE;
    }
}

/* `base`: the register that it is added to. */
static unsigned displacement_bytes(unsigned modrm, unsigned base)
{
    static const uint8_t bytes[] = { 0, 1, 4, 0 };
    unsigned mod = modrm >> 6;
    return mod == 0 && (base == RIP || base == REGISTER_ZERO) ? 4 : bytes[mod];
}

/* As recall->behind has it. */
static unsigned behind_modrm(unsigned modrm)
{
    unsigned rm = modrm & 7;
    if (modrm < 0x40 && rm == 4)
        return RECALL_UNSURE; /* there may be a displacement without a base */
    return (rm == 4) + displacement_bytes(modrm, modrm < 0x40 && rm == 5 ? RIP : rm);
}

void recall_init(struct recall *recall)
{
    memset(recall, 0, sizeof *recall);
    for (unsigned i = 0; i < RECALL_ENTRIES; i++)
        recall->entry[i].key = RECALL_NOBODY;
    for (unsigned i = 0; i < 0xc0; i++) {
        recall->sib[i] = (i & 7) == 4 ? 8 : 0;
        recall->behind[i] = (uint8_t)behind_modrm(i);
    }
    for (unsigned i = 0; i < opcode_row_count; i++) {
        const struct opcode_row *row = &opcode_rows[i];
        bool prefixed = row->prefix != OPCODE_PREFIX_ANY && row->prefix != OPCODE_PREFIX_NP;
        if (row->map <= MAP_TWO && row->mode != OPCODE_MODE_NO64 && !prefixed)
            learn_row(recall, row);
    }
    for (unsigned i = 0; i < 512; i++)
        if (recall->shape[i >> 8][i & 255] == (RECALL_MODRM | RECALL_OPCODE))
            recall->shape[i >> 8][i & 255] = RECALL_NEVER;
}

void recall_learn(struct recall *recall, uint64_t key, const struct insn *insn)
{
    if (insn->row >= opcode_row_count)
        return; /* undefined */
    const struct opcode_row *row = &opcode_rows[insn->row];
    int immediate = immediate_bytes(row, insn);
    if (immediate < 0)
        return;
    struct recalled *entry = &recall->entry[recall_slot(key)];
    if (entry->key != RECALL_NOBODY)
        recall->entry[recall_slot(key) ^ 1] = *entry;
    entry->key = key;
    entry->insn = *insn;
    unsigned displacement = row->modrm & MODRM_PRESENT ? displacement_bytes(insn->modrm, insn->base) : 0;
    entry->disp_bytes = (uint8_t)displacement;
    entry->head = (uint8_t)(insn->length - displacement - (unsigned)immediate);
    entry->disp_shift = (uint8_t)(displacement ? 64 - 8 * displacement : 0);
    entry->imm_shift = (uint8_t)(immediate ? 64 - 8 * immediate : 0);
    entry->disp_mask = displacement ? -1 : 0;
    entry->imm_mask = immediate ? -1 : 0;
    entry->rip_mask = insn->base == RIP ? -1 : 0;
    if (displacement)
        entry->insn.disp = 0;
    if (immediate)
        entry->insn.imm = 0;
}
