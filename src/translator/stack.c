/*
 * Lowering of PUSH, POP and LEAVE, of any operand and stack size.
 *
 * Not here, and so run by their handlers: POP to memory and to segment registers,
 * PUSHA, POPA, PUSHF, POPF, ENTER.
 */
#include "translator/form.h"

void stack_move(struct compile *c, unsigned from, int32_t distance)
{
    emit_lea(&c->e, c->kind->stack_bytes, host_of(RSP), operand_memory(host_of(from), distance));
}

bool lower_push(struct compile *c, bool constant)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes;
    if (width == 2 && c->kind->code_bytes == 8)
        return false;
    scratch_keep(c);
    flags_prepare(c, 1u << RSP, memory_stack_checks(c));
    struct host_operand top = memory_stack(c, RSP, -(int32_t)width, width, true);
    if (constant) {
        emit_store_constant(e, width, top, (int32_t)insn->imm);
    } else {
        /* The address uses SCRATCH2 only. */
        unsigned host = form_enter(c, insn->rm, SCRATCH, true, 8);
        emit_store(e, width, top, host);
    }
    stack_move(c, RSP, -(int32_t)width);
    flags_overwritten(c, 1u << RSP);
    return true;
}

bool lower_push_memory(struct compile *c)
{
    struct emitter *e = &c->e;
    unsigned width = c->insn->operand_bytes;
    if (width == 2 && c->kind->code_bytes == 8)
        return false;
    flags_prepare(c, 1u << RSP, true);
    memory_load(c, width);
    emit_store(e, 8, IN_VCPU(translated.value), SCRATCH);
    struct host_operand top = memory_stack(c, RSP, -(int32_t)width, width, true);
    emit_load(e, 8, SCRATCH, IN_VCPU(translated.value));
    emit_store(e, width, top, SCRATCH);
    stack_move(c, RSP, -(int32_t)width);
    flags_overwritten(c, 1u << RSP);
    return true;
}

/* The selector of a segment register, zero-extended. */
static void load_selector(struct compile *c, unsigned reg, unsigned segment)
{
    size_t offset = offsetof(struct cpu, s.seg) + segment * sizeof(struct segment)
                    + offsetof(struct segment, selector);
    emit_instruction(&c->e, OP2(0xb7), 4, reg, operand_memory(VCPU, (int32_t)offset)); /* MOVZX */
}

bool lower_push_segment(struct compile *c, unsigned segment)
{
    unsigned width = c->insn->operand_bytes;
    if (width == 2 && c->kind->code_bytes == 8)
        return false;
    flags_prepare(c, 1u << RSP, memory_stack_checks(c));
    struct host_operand top = memory_stack(c, RSP, -(int32_t)width, width, true);
    load_selector(c, SCRATCH, segment);
    emit_store(&c->e, width, top, SCRATCH);
    stack_move(c, RSP, -(int32_t)width);
    flags_overwritten(c, 1u << RSP);
    return true;
}

/* MOV from a segment register: 16 bits to memory; to a register 16, or zero-
 * extended. */
bool lower_mov_segment(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned segment = insn->reg & 7;
    bool memory = form_is_memory(c);
    unsigned written = memory ? 0 : 1u << insn->rm;
    flags_prepare(c, written, memory_checks(c));
    struct host_operand to = memory ? memory_operand(c, 2, true, true) : guest_operand(insn->rm);
    load_selector(c, SCRATCH, segment);
    emit_store(&c->e, memory || insn->operand_bytes == 2 ? 2 : 8, to, SCRATCH);
    flags_overwritten(c, written);
    return true;
}

bool lower_pop(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, written = 1u << RSP | 1u << insn->rm;
    if (width == 2 && (c->kind->code_bytes == 8 || insn->rm == RSP))
        return false;
    scratch_keep(c);
    flags_prepare(c, written, memory_stack_checks(c));
    struct host_operand top = memory_stack(c, RSP, 0, width, false);
    unsigned host = pinned(insn->rm) ? host_of(insn->rm) : SCRATCH;
    emit_load(e, width, host, top);
    if (insn->rm != RSP) {
        stack_move(c, RSP, (int32_t)width);
        form_leave(c, insn->rm, host);
    }
    flags_overwritten(c, written);
    return true;
}

bool lower_leave(struct compile *c)
{
    struct emitter *e = &c->e;
    unsigned width = c->insn->operand_bytes, written = 1u << RSP | 1u << RBP;
    if (width == 2 && c->kind->code_bytes == 8)
        return false;
    flags_prepare(c, written, memory_stack_checks(c));
    struct host_operand top = memory_stack(c, RBP, 0, width, false);
    emit_load(e, width, SCRATCH, top);
    stack_move(c, RBP, (int32_t)width);
    emit_load(e, width, HOST_RBP, operand_register(SCRATCH));
    flags_overwritten(c, written);
    return true;
}
