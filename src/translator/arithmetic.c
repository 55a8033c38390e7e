/*
 * Lowering of ADD to CMP, TEST, INC, DEC, NOT, NEG, MUL, IMUL, DIV and IDIV.
 *
 * Not here, and so run by their handlers: forms with AH..BH beside memory,
 * 8- and 16-bit products and quotients.
 */
#include "translator/form.h"

/* ADD ... CMP and TEST, all forms */
struct arithmetic {
    unsigned alu;  /* 8: TEST */
    bool to_reg;   /* ModRM.reg is the destination */
    bool constant;
    struct place reg, rm;
};

static void set_source(struct compile *c, bool constant, struct place b)
{
    struct flags_state *f = &c->flags;
    if (!constant && b.high) {
        f->recipe = RECIPE_NONE;
        return;
    }
    f->b_source = constant ? SOURCE_CONSTANT : SOURCE_REGISTER;
    f->b = (uint8_t)b.guest;
    f->constant = (int32_t)c->insn->imm;
}

/* Register destination (or none written), register or constant source. */
static void arithmetic_flags(struct compile *c, const struct arithmetic *a, struct place to, struct place from)
{
    bool logic = a->alu == ALU_AND || a->alu == ALU_OR || a->alu == ALU_XOR || a->alu == 8;
    bool same = !a->constant && to.guest == from.guest;
    flags_set(c, logic ? FIX_AF : FIX_NONE);
    if (same && (to.high || from.high))
        return;
    if (a->alu == ALU_CMP || (a->alu == 8 && !same)) {
        form_recipe(c, a->alu == 8 ? RECIPE_TEST : RECIPE_COMPARE, to);
        set_source(c, a->constant, from);
    } else if (same && (a->alu == ALU_SUB || a->alu == ALU_XOR)) {
        c->flags.recipe = RECIPE_ZERO;
    } else if (logic) { /* TEST of a register with itself, too */
        form_recipe(c, RECIPE_RESULT, to);
        set_source(c, true, to);
    } else if (!same && (a->alu == ALU_ADD || a->alu == ALU_SUB)) {
        form_recipe(c, a->alu == ALU_ADD ? RECIPE_ADDED : RECIPE_SUBTRACTED, to);
        set_source(c, a->constant, from);
    }
}

/* Compares of memory keep its value so that flags can be made again. */
static void compare_memory(struct compile *c, const struct arithmetic *a)
{
    unsigned width = c->insn->operand_bytes;
    struct emitter *e = &c->e;
    scratch_keep(c);
    flags_prepare(c, 0, true);
    memory_load(c, width);
    bool next_only = flags_for_next_only(c);
    if (need_after(c) && !next_only)
        emit_store_near(e, PLACE(translated.operand), SCRATCH);
    flags_set(c, a->alu == 8 ? FIX_AF : FIX_NONE);
    struct flags_state *f = &c->flags;
    f->waits = next_only;
    f->recipe = a->alu == 8 ? RECIPE_TEST : RECIPE_COMPARE;
    f->width = (uint8_t)width;
    if (a->constant) {
        if (a->alu == 8) {
            emit_instruction(e, width == 1 ? OP1(0xf6) | OP_BYTE_RM : OP1(0xf7), width, 0,
                             operand_register(SCRATCH));
            emit_bytes(e, c->insn->imm, form_immediate_bytes(width));
        } else {
            emit_alu_constant(e, ALU_CMP, width, operand_register(SCRATCH), (int32_t)c->insn->imm);
        }
        f->a_source = SOURCE_OPERAND;
        f->b_source = SOURCE_CONSTANT;
        f->constant = (int32_t)c->insn->imm;
        return;
    }
    bool reg_first = a->to_reg && a->alu != 8;
    struct host_operand reg = guest_operand(a->reg.guest);
    f->a_source = reg_first ? SOURCE_REGISTER : SOURCE_OPERAND;
    f->b_source = reg_first ? SOURCE_OPERAND : SOURCE_REGISTER;
    f->a = f->b = (uint8_t)a->reg.guest;
    if (!reg_first) {
        if (a->alu == 8)
            emit_test(e, width, reg, SCRATCH);
        else
            emit_alu(e, ALU_CMP, width, SCRATCH, reg);
        return;
    }
    unsigned host = form_enter(c, a->reg.guest, SCRATCH2, true, width);
    emit_alu(e, ALU_CMP, width, host, operand_register(SCRATCH));
}

/* reg op= memory, where flags are looked at: the source is kept. */
static void arithmetic_from_memory(struct compile *c, const struct arithmetic *a)
{
    unsigned width = c->insn->operand_bytes;
    struct emitter *e = &c->e;
    scratch_keep(c);
    flags_prepare(c, 1u << a->reg.guest, memory_checks(c));
    memory_load(c, width);
    if (a->alu == ALU_ADC || a->alu == ALU_SBB) {
        /* The recipe for CF uses SCRATCH, and may want the operand that was kept before. */
        emit_store_near(e, PLACE(translated.value), SCRATCH);
        flags_load_carry(c);
        emit_load(e, 8, SCRATCH, IN_VCPU(translated.value));
    } else {
        emit_store_near(e, PLACE(translated.operand), SCRATCH);
    }
    unsigned host = form_enter(c, a->reg.guest, SCRATCH2, true, width);
    emit_alu(e, a->alu, width, host, operand_register(SCRATCH));
    form_leave(c, a->reg.guest, host);
    flags_set(c, FIX_NONE);
    if (a->alu == ALU_ADD || a->alu == ALU_SUB) {
        form_recipe(c, a->alu == ALU_ADD ? RECIPE_ADDED : RECIPE_SUBTRACTED, a->reg);
        c->flags.b_source = SOURCE_OPERAND;
    }
}

/* ADC and SBB to memory: CF comes from home, behind the check. */
static bool carry_to_memory(struct compile *c, const struct arithmetic *a, const struct form *shape)
{
    struct emitter *e = &c->e;
    unsigned width = c->insn->operand_bytes;
    flags_save(c, &c->flags);
    flags_prepare(c, 0, true);
    struct host_operand to = memory_operand(c, width, true, true);
    emit_instruction(e, OP2(0xba), 4, 4, IN_VCPU(translated.flags)); /* BT */
    emit_bytes(e, 8, 1);
    unsigned reg = a->constant ? a->alu : form_enter(c, a->reg.guest, SCRATCH, true, width);
    emit_instruction(e, shape->op | (width == 1 && !a->constant ? OP_BYTE_REG : 0), width, reg, to);
    if (a->constant)
        emit_bytes(e, c->insn->imm, shape->immediate);
    flags_set(c, FIX_NONE);
    return true;
}

/* The same in registers that the host numbers alike: the guest's own bytes. */
static bool arithmetic_same(struct compile *c, const struct arithmetic *a)
{
    struct place to = a->to_reg ? a->reg : a->rm, from = a->to_reg ? a->rm : a->reg;
    flags_prepare(c, a->alu == ALU_CMP || a->alu == 8 ? 0 : 1u << to.guest, false);
    scratch_keep(c);
    form_copy(c, a->constant ? 1 : 0);
    arithmetic_flags(c, a, to, from);
    return true;
}

/* Whether that would be the shortest form of it. */
static bool is_same(const struct compile *c, const struct arithmetic *a)
{
    if (a->alu == ALU_ADC || a->alu == ALU_SBB || !form_same(c, !a->constant))
        return false;
    return !a->constant || c->row->opcode == 0x80 || c->row->opcode == 0x83;
}

static bool lower_arithmetic(struct compile *c, const struct arithmetic *a)
{
    if (is_same(c, a))
        return arithmetic_same(c, a);
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = form_is_memory(c);
    bool compare = a->alu == ALU_CMP || a->alu == 8;
    bool carry = a->alu == ALU_ADC || a->alu == ALU_SBB;
    bool logic = a->alu == ALU_AND || a->alu == ALU_OR || a->alu == ALU_XOR;
    if (memory && a->reg.high && !a->constant)
        return false;
    if (memory && compare) {
        compare_memory(c, a);
        return true;
    }
    if (memory && a->to_reg && (carry || (!logic && need_after(c)))) {
        arithmetic_from_memory(c, a);
        return true;
    }
    struct form shape = { .rm_width = (uint8_t)width, .reg_width = (uint8_t)width, .rm_read = true };
    if (a->constant) {
        bool byte_immediate = width > 1 && insn->imm == (uint64_t)(int8_t)insn->imm && a->alu != 8;
        shape.no_reg = true;
        shape.extension = a->alu == 8 ? 0 : (uint8_t)a->alu;
        shape.op = a->alu == 8 ? OP1(width == 1 ? 0xf6 : 0xf7)
                               : OP1(width == 1 ? 0x80 : byte_immediate ? 0x83 : 0x81);
        shape.immediate = byte_immediate ? 1 : (uint8_t)form_immediate_bytes(width);
        shape.rm_written = !compare;
    } else {
        shape.reg_read = true;
        shape.op = a->alu == 8 ? OP1(0x84 | (width > 1)) : OP1(a->alu << 3 | (a->to_reg ? 2 : 0) | (width > 1));
        shape.reg_written = !compare && a->to_reg;
        shape.rm_written = !compare && !a->to_reg;
    }
    if (memory && carry)
        return carry_to_memory(c, a, &shape);
    if (!form_encodable(c, &shape, a->reg, a->rm))
        return false;
    unsigned written = form_written(&shape, a->reg, a->rm, memory);
    flags_prepare(c, written, memory_checks(c));
    if (carry)
        flags_load_carry(c);
    form_emit(c, &shape, a->reg, a->rm);
    if (memory && !a->to_reg) {
        flags_set(c, logic ? FIX_AF : FIX_NONE);
        return true;
    }
    if (carry) {
        flags_set(c, FIX_NONE);
        return true;
    }
    struct place to = a->to_reg ? a->reg : a->rm, from = a->to_reg ? a->rm : a->reg;
    if (memory)
        from = (struct place){ RSP, true }; /* logic only: no source is kept */
    arithmetic_flags(c, a, to, from);
    return true;
}

bool lower_alu(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned o = c->row->opcode, width = insn->operand_bytes;
    struct arithmetic a = { .alu = o >> 3 & 7 };
    if (o >= 0x80 && o <= 0x83) {
        a.alu = insn->modrm >> 3 & 7;
        a.constant = true;
    } else if ((o & 7) >= 4) {
        a.constant = true;
        a.rm = (struct place){ RAX, false };
        return lower_arithmetic(c, &a);
    } else {
        a.to_reg = o & 2;
        a.reg = form_place(insn->reg, width, true);
    }
    if (!form_is_memory(c))
        a.rm = form_place(insn->rm, width, true);
    return lower_arithmetic(c, &a);
}

bool lower_test(struct compile *c, bool constant, bool accumulator)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    struct arithmetic a = { .alu = 8, .constant = constant };
    if (!constant)
        a.reg = form_place(insn->reg, width, true);
    a.rm = (struct place){ RAX, false };
    if (!accumulator && !form_is_memory(c))
        a.rm = form_place(insn->rm, width, true);
    return lower_arithmetic(c, &a);
}

/* INC, DEC, NOT, NEG */

bool lower_step(struct compile *c, bool up)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool plus_r = c->row->modrm & MODRM_PLUS_R, memory = !plus_r && form_is_memory(c);
    struct place rm = memory ? (struct place){ 0, false } : form_place(insn->rm, width, true);
    struct form shape = { .op = OP1(0xfe | (width > 1)), .no_reg = true, .extension = up ? 0 : 1,
                           .rm_read = true, .rm_written = true, .rm_width = (uint8_t)width };
    if (!form_encodable(c, &shape, (struct place){ 0, false }, rm))
        return false;
    bool carry = need_after(c) & F_C;
    if (memory) {
        /* CF passes through a memory check: only at home can it survive. */
        if (need_after(c))
            flags_save(c, &c->flags);
        flags_prepare(c, 0, true);
        struct host_operand operand = memory_operand(c, width, true, false);
        if (carry) {
            emit_instruction(&c->e, OP2(0xba), 4, 4, IN_VCPU(translated.flags)); /* BT */
            emit_bytes(&c->e, 8, 1);
        }
        emit_instruction(&c->e, shape.op, width, shape.extension, operand);
        flags_set(c, FIX_NONE);
        return true;
    }
    if (carry) {
        flags_load_carry(c);
        emit_instruction(&c->e, OP2(0x92), 4, 0, IN_VCPU(translated.carry)); /* SETB */
    }
    form_emit(c, &shape, (struct place){ 0, false }, rm);
    flags_set(c, FIX_NONE);
    form_recipe(c, up ? RECIPE_INCREMENTED : RECIPE_DECREMENTED, rm);
    c->flags.b_source = SOURCE_CONSTANT;
    return true;
}

bool lower_not_neg(struct compile *c, bool neg)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = form_is_memory(c);
    struct place rm = memory ? (struct place){ 0, false } : form_place(insn->rm, width, true);
    struct form shape = { .op = OP1(0xf6 | (width > 1)), .no_reg = true, .extension = neg ? 3 : 2,
                           .rm_read = true, .rm_written = true, .rm_width = (uint8_t)width };
    if (!form_encodable(c, &shape, (struct place){ 0, false }, rm))
        return false;
    unsigned written = memory ? 0 : 1u << rm.guest;
    flags_prepare(c, written, memory_checks(c));
    form_emit(c, &shape, (struct place){ 0, false }, rm);
    if (!neg) {
        flags_overwritten(c, written);
        return true;
    }
    flags_set(c, FIX_NONE);
    if (!memory) {
        form_recipe(c, RECIPE_NEGATED, rm);
        c->flags.b_source = SOURCE_CONSTANT;
    }
    return true;
}

/* IMUL r, r/m and IMUL r, r/m, constant */
bool lower_multiply(struct compile *c, bool constant)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = form_is_memory(c), needed = need_after(c);
    struct emitter *e = &c->e;
    if (width == 2)
        return false;
    unsigned written = 1u << insn->reg;
    scratch_keep(c);
    flags_prepare(c, written, memory_checks(c));
    struct host_operand from = form_source(c, width);
    struct flags_state f = { .live = true, .fix = FIX_PRODUCT, .product = insn->reg, .width = (uint8_t)width };
    if (constant && needed && from.memory) {
        emit_load(e, 8, SCRATCH, from);
        from = operand_register(SCRATCH);
    }
    if (constant && needed) {
        emit_store_near(e, PLACE(translated.operand), from.base);
        f.recipe = RECIPE_MULTIPLIED;
        f.a_source = SOURCE_OPERAND;
        f.b_source = SOURCE_CONSTANT;
        f.constant = (int32_t)insn->imm;
    }
    unsigned host;
    if (constant) {
        host = pinned(insn->reg) ? host_of(insn->reg) : SCRATCH;
        bool small = insn->imm == (uint64_t)(int8_t)insn->imm;
        emit_instruction(e, OP1(small ? 0x6b : 0x69), width, host, from);
        emit_bytes(e, insn->imm, small ? 1 : 4);
    } else {
        host = form_enter(c, insn->reg, SCRATCH2, true, width);
        if (needed && !memory && insn->rm != insn->reg) {
            emit_store_near(e, PLACE(translated.operand), host);
            f.recipe = RECIPE_MULTIPLIED;
            f.a_source = SOURCE_OPERAND;
            f.b_source = SOURCE_REGISTER;
            f.b = insn->rm;
        }
        emit_instruction(e, OP2(0xaf), width, host, from);
    }
    form_leave(c, insn->reg, host);
    c->flags = f;
    return true;
}

/* MUL and IMUL of rAX */
bool lower_multiply_accumulator(struct compile *c, unsigned extension)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << RAX | 1u << RDX;
    if (width < 4)
        return false;
    flags_prepare(c, written, memory_checks(c));
    struct host_operand from = form_source(c, width);
    emit_instruction(&c->e, OP1(0xf7), width, extension, from);
    c->flags = (struct flags_state){ .live = true, .fix = FIX_PRODUCT, .product = RAX, .width = (uint8_t)width };
    return true;
}

/* DIV and IDIV by what cannot fault; flags stay as they were */
bool lower_divide(struct compile *c, bool is_signed)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << RAX | 1u << RDX;
    struct emitter *e = &c->e;
    bool memory = form_is_memory(c);
    if (width < 4 || (!memory && insn->rm == RDX))
        return false;
    flags_prepare(c, written, true);
    if (memory)
        memory_load(c, width);
    unsigned by = SCRATCH2;
    if (memory || insn->rm == RAX)
        emit_load(e, 8, by, operand_register(memory ? SCRATCH : HOST_RAX));
    else
        by = form_enter(c, insn->rm, SCRATCH2, true, width);
    if (is_signed) { /* a dividend of one width, a divisor other than 0 and -1 */
        emit_load(e, width, SCRATCH, operand_register(HOST_RAX));
        emit_instruction(e, OP1(0xc1), width, 7, operand_register(SCRATCH)); /* SAR */
        emit_bytes(e, 8 * width - 1, 1);
        emit_alu(e, ALU_CMP, width, SCRATCH, operand_register(HOST_RDX));
        memory_leave_if(c, CONDITION_NE);
        emit_lea(e, width, SCRATCH, operand_memory(by, 1));
        emit_alu_constant(e, ALU_CMP, width, operand_register(SCRATCH), 1);
        memory_leave_if(c, CONDITION_BE);
    } else { /* the quotient fits if the upper half is below the divisor */
        emit_alu(e, ALU_CMP, width, HOST_RDX, operand_register(by));
        memory_leave_if(c, CONDITION_AE);
    }
    emit_instruction(e, OP1(0xf7), width, is_signed ? 7 : 6, operand_register(by));
    flags_clobbered(c);
    flags_overwritten(c, written);
    return true;
}
