/* What may be remembered of a decoded instruction; see recall.h. */
#include "cpu/recall.h"

#include "cpu/opcode.h"

void recall_init(struct recall *recall)
{
    memset(recall, 0, sizeof *recall);
    for (unsigned i = 0; i < opcode_row_count; i++) {
        const struct opcode_row *row = &opcode_rows[i];
        bool prefixed = row->prefix != OPCODE_PREFIX_ANY && row->prefix != OPCODE_PREFIX_NP;
        if (row->map > MAP_TWO || row->mode == OPCODE_MODE_NO64 || prefixed)
            continue;
        for (unsigned k = 0; k < (row->modrm & MODRM_PLUS_R ? 8 : 1); k++)
            recall->shape[row->map][row->opcode + k]
                |= row->modrm & MODRM_PRESENT ? RECALL_MODRM : RECALL_OPCODE;
    }
    for (unsigned i = 0; i < 512; i++)
        if (recall->shape[i >> 8][i & 255] == (RECALL_MODRM | RECALL_OPCODE))
            recall->shape[i >> 8][i & 255] = RECALL_NEVER;
}

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

static unsigned displacement_bytes(const struct opcode_row *row, const struct insn *insn)
{
    if (!(row->modrm & MODRM_PRESENT) || insn->modrm >= 0xc0)
        return 0;
    if (insn->modrm >> 6)
        return insn->modrm >> 6 == 1 ? 1 : 4;
    return insn->base == RIP || insn->base == REGISTER_ZERO ? 4 : 0;
}

void recall_learn(struct recall *recall, uint32_t key, const struct insn *insn)
{
    if (insn->row >= opcode_row_count)
        return; /* undefined */
    const struct opcode_row *row = &opcode_rows[insn->row];
    int immediate = immediate_bytes(row, insn);
    if (immediate < 0)
        return;
    struct recalled *entry = recall_entry(recall, key);
    entry->key = key;
    entry->insn = *insn;
    entry->disp_bytes = (uint8_t)displacement_bytes(row, insn);
    entry->imm_bytes = (uint8_t)immediate;
    entry->head = (uint8_t)(insn->length - entry->disp_bytes - entry->imm_bytes);
}
