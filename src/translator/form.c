/* Passing an instruction with ModRM on to the host; see form.h. */
#include "translator/form.h"

/* Where two registers that live in memory go: where they are held, if they are. */
static unsigned scratch_for_reg(const struct compile *c, const struct form *shape, struct place reg,
                                struct place rm)
{
    bool has_reg = !shape->no_reg && !pinned(reg.guest), has_rm = !pinned(rm.guest);
    bool swapped = (has_reg && scratch_holds(c, SCRATCH2, HELD_GUEST | reg.guest))
                   || (has_rm && scratch_holds(c, SCRATCH, HELD_GUEST | rm.guest));
    return swapped ? SCRATCH2 : SCRATCH;
}

/* The host register for the operand in ModRM.reg, or the opcode's extension; *op has what its width asks for. */
static inline unsigned enter_reg(struct compile *c, const struct form *shape, struct place reg, unsigned scratch,
                                 uint32_t *op)
{
    if (shape->no_reg)
        return shape->extension;
    if (shape->reg_width == 1 && !reg.high)
        *op |= OP_BYTE_REG;
    return form_enter(c, reg.guest, scratch, shape->reg_read, shape->reg_width) + (reg.high ? 4 : 0);
}

/* The r/m operand is a register. */
static void emit_registers(struct compile *c, const struct form *shape, struct place reg, struct place rm)
{
    uint32_t op = shape->op;
    bool has_reg = !shape->no_reg, same = has_reg && reg.guest == rm.guest;
    unsigned scratch = scratch_for_reg(c, shape, reg, rm), host_reg = enter_reg(c, shape, reg, scratch, &op);
    unsigned host_rm = form_enter(c, rm.guest, same ? scratch : scratch_other(scratch), shape->rm_read,
                                  shape->rm_width) + (rm.high ? 4 : 0);
    if (shape->rm_width == 1 && !rm.high)
        op |= OP_BYTE_RM;
    emit_instruction(&c->e, op, c->insn->operand_bytes, host_reg, operand_register(host_rm));
    emit_bytes(&c->e, c->insn->imm, shape->immediate);
    if (has_reg && shape->reg_written)
        form_leave(c, reg.guest, host_reg);
    if (shape->rm_written)
        form_leave(c, rm.guest, host_rm);
    if (has_reg && shape->reg_read && !shape->reg_written)
        form_still(c, reg.guest, host_reg);
    if (shape->rm_read && !shape->rm_written)
        form_still(c, rm.guest, host_rm);
}

/* It is in memory. */
static void emit_memory(struct compile *c, const struct form *shape, struct place reg)
{
    uint32_t op = shape->op;
    bool unpinned = !shape->no_reg && !pinned(reg.guest);
    struct host_operand operand = memory_operand(c, shape->rm_width, shape->rm_written, unpinned);
    unsigned host_reg = enter_reg(c, shape, reg, SCRATCH, &op);
    emit_instruction(&c->e, op, c->insn->operand_bytes, host_reg, operand);
    emit_bytes(&c->e, c->insn->imm, shape->immediate);
    if (unpinned && shape->reg_written)
        scratch_store(c, reg.guest, host_reg);
    else if (unpinned && shape->reg_read)
        form_still(c, reg.guest, host_reg);
}

/* Registers that the host numbers alike, and the opcode is the guest's. */
static bool is_guests(const struct compile *c, const struct form *shape)
{
    const struct insn *insn = c->insn;
    uint32_t op = insn->opcode | (c->row->map + 1u) << 8;
    return form_same(c, !shape->no_reg) && (shape->op & ~OP_BYTES) == op && c->row->map <= MAP_TWO
           && (!shape->no_reg || shape->extension == (insn->modrm >> 3 & 7));
}

void form_emit(struct compile *c, const struct form *shape, struct place reg, struct place rm)
{
    scratch_keep(c);
    if (form_is_memory(c))
        emit_memory(c, shape, reg);
    else if (is_guests(c, shape))
        form_copy(c, shape->immediate);
    else
        emit_registers(c, shape, reg, rm);
}

/* form_encodable, where one of them is AH..BH. */
bool form_high_encodable(const struct compile *c, const struct form *shape, struct place reg, struct place rm)
{
    bool memory = form_is_memory(c);
    if (memory || c->insn->operand_bytes == 8)
        return false;
    bool reg_plain = shape->no_reg || reg.high
                     || (pinned(reg.guest) && host_of(reg.guest) < (shape->reg_width == 1 ? 4u : 8u));
    bool rm_plain = rm.high || (pinned(rm.guest) && host_of(rm.guest) < (shape->rm_width == 1 ? 4u : 8u));
    return reg_plain && rm_plain;
}

struct host_operand form_source(struct compile *c, unsigned width)
{
    if (!form_is_memory(c))
        return guest_operand(c->insn->rm);
    memory_load(c, width);
    return operand_register(SCRATCH);
}

struct host_operand form_source_kept(struct compile *c, unsigned width)
{
    struct host_operand from = form_source(c, width);
    if (!form_is_memory(c))
        return from;
    emit_store(&c->e, 8, IN_VCPU(translated.value), from.base);
    return IN_VCPU(translated.value);
}
