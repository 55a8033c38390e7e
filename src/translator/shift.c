/*
 * Lowering of shifts and rotates.
 *
 * Not here, and so run by their handlers: RCL, RCR by other than 1; in memory,
 * shifts by CL and rotates whose flags someone looks at.
 */
#include "translator/form.h"

/* The host's flags after a shift or rotate by a count that is not 0, to
 * translated.flags, with OF and AF by our definition. `result` is the register
 * with the result. */
static void shift_flags(struct compile *c, unsigned extension, unsigned width, unsigned result)
{
    struct emitter *e = &c->e;
    struct host_operand ax = operand_register(HOST_RAX);
    unsigned bit = extension == 0 ? 8 * width - 1 : 8 * width - 2;
    bool rotate = extension < 2;
    emit_load(e, 8, SCRATCH, ax);
    emit_bytes(e, 0x9f, 1); /* LAHF */
    if (extension == 4) {
        emit_bytes(e, 0xe088, 2);   /* MOV AL, AH */
        emit_bytes(e, 0x07e8c0, 3); /* SHR AL, 7 */
    } else if (extension != 7) {
        emit_instruction(e, OP2(0xba), width < 4 ? 4 : width, 4,
                         operand_register(result == HOST_RAX ? SCRATCH : result)); /* BT */
        emit_bytes(e, bit, 1);
        emit_instruction(e, OP2(0x92) | OP_BYTE_RM, 4, 0, ax); /* SETB */
    }
    if (extension == 4 || rotate)
        emit_bytes(e, 0xe030, 2); /* XOR AL, AH */
    emit_alu_constant(e, ALU_AND, 4, ax, extension == 7 ? 0xef00 : rotate ? 0xff01 : 0xef01);
    emit_store(e, 4, IN_VCPU(translated.flags), HOST_RAX);
    emit_load(e, 8, HOST_RAX, operand_register(SCRATCH));
}

/* A shift by CL, or a rotate, of a register, where flags are looked at. They
 * are left at home. */
static bool lower_shift_exact(struct compile *c, unsigned extension, bool by_cl)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    struct emitter *e = &c->e;
    struct place rm = form_place(insn->rm, width, true);
    if (form_is_memory(c) || width < 4)
        return false;
    flags_save(c, &c->flags);
    if (by_cl && width == 4 && pinned(rm.guest))
        emit_load(e, 4, host_of(rm.guest), operand_register(host_of(rm.guest)));
    unsigned host = form_enter(c, rm.guest, SCRATCH2, true, width);
    if (by_cl && width == 4 && !pinned(rm.guest)) {
        emit_load(e, 4, host, operand_register(host));
        form_leave(c, rm.guest, host);
    }
    uint8_t *over = NULL;
    if (by_cl) {
        emit_instruction(e, OP1(0xf6) | OP_BYTE_RM, 4, 0, operand_register(HOST_RCX)); /* TEST */
        emit_bytes(e, width == 8 ? 63 : 31, 1);
        over = emit_jump_if(e, CONDITION_E, NULL);
    }
    if (extension < 2) { /* SF, ZF, AF, PF stay */
        c->flags = (struct flags_state){ .home = true };
        flags_load(c, F_ARITH);
    }
    emit_instruction(e, OP1(by_cl ? 0xd3 : 0xc1), width, extension, operand_register(host));
    if (!by_cl)
        emit_bytes(e, insn->imm, 1);
    form_leave(c, rm.guest, host);
    shift_flags(c, extension, width, host);
    if (over)
        emit_patch(over, e->at);
    c->flags = (struct flags_state){ .home = true };
    return true;
}

bool lower_shift(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, extension = insn->modrm >> 3 & 7, o = c->row->opcode;
    bool memory = form_is_memory(c), by_cl = o == 0xd2 || o == 0xd3, rotate = extension < 4;
    unsigned count = (unsigned)insn->imm & (width == 8 ? 63 : 31);
    bool needed = need_after(c);
    bool through = extension == 2 || extension == 3; /* RCL, RCR */
    if ((!by_cl && count == 0) || (through && (by_cl || count != 1 || memory)))
        return false;
    if ((by_cl && needed) || (rotate && needed && count != 1))
        return lower_shift_exact(c, extension == 6 ? 4 : extension, by_cl);
    if (!by_cl && width < 4 && count > 8 * width)
        return false;
    struct place rm = memory ? (struct place){ 0, false } : form_place(insn->rm, width, true);
    struct form shape = { .op = OP1(by_cl ? 0xd2 | (width > 1) : 0xc0 | (width > 1)), .no_reg = true,
                           .extension = extension == 6 ? 4 : (uint8_t)extension, .rm_read = true,
                           .rm_written = true, .rm_width = (uint8_t)width, .immediate = by_cl ? 0 : 1 };
    if (!form_encodable(c, &shape, (struct place){ 0, false }, rm) || (rotate && needed && memory))
        return false;
    unsigned written = memory ? 0 : 1u << rm.guest;
    flags_prepare(c, written, memory_checks(c));
    if (needed && !memory && !rotate)
        emit_store_near(&c->e, PLACE(translated.operand), form_enter(c, rm.guest, SCRATCH, true, 8));
    if (rotate && (needed || through))
        flags_load(c, needed ? F_ARITH : F_C);
    form_emit(c, &shape, (struct place){ 0, false }, rm);
    flags_set(c, rotate || by_cl ? FIX_NONE : count == 1 ? FIX_AF : shape.extension == 4 ? FIX_LEFT : FIX_AF_OF);
    if (!memory && !rotate && !by_cl && !rm.high) {
        struct flags_state *f = &c->flags;
        f->recipe = RECIPE_SHIFTED;
        f->width = (uint8_t)width;
        f->op = shape.extension;
        f->a_source = SOURCE_OPERAND;
        f->b_source = SOURCE_CONSTANT;
        f->constant = (int32_t)count;
    }
    return true;
}
