/*
 * Lowering of general-purpose instructions: the same instruction on the host,
 * with registers and addresses replaced.
 *
 * Not here, and so run by their handlers: division, BCD, double shifts, shifts
 * by CL and rotates whose flags someone looks at, bit scans, bit tests in
 * memory, CMPXCHG, string instructions.
 */
#include "translator/compile.h"

/* A byte register as insn.h gives it. */
static bool is_high(unsigned place) { return place & 1; }
static unsigned byte_guest(unsigned place) { return place >> 3; }

static bool operand_is_memory(const struct compile *c)
{
    return c->row->modrm & MODRM_PRESENT && c->insn->modrm < 0xc0;
}

/* How an instruction with ModRM uses its operands. */
struct shape {
    uint32_t op;            /* host opcode */
    bool reg_read, reg_written, rm_read, rm_written;
    bool no_reg;            /* ModRM.reg is an opcode extension */
    uint8_t extension;
    uint8_t reg_width, rm_width;
    uint8_t immediate;      /* bytes */
};

/* A register operand: which guest register, AH..BH or not. */
struct place {
    unsigned guest;
    bool high;
};

static struct place place_of(unsigned number, unsigned width, bool byte_form)
{
    if (width == 1 && byte_form)
        return (struct place){ byte_guest(number), is_high(number) };
    return (struct place){ number, false };
}

/* The host register for an operand; loads it into `scratch` if it is in memory. */
static unsigned enter_register(struct compile *c, unsigned guest, unsigned scratch, bool read, unsigned width)
{
    if (pinned(guest))
        return host_of(guest);
    if (read || width < 4)
        emit_load(&c->e, 8, scratch, guest_operand(guest));
    return scratch;
}

static void leave_register(struct compile *c, unsigned guest, unsigned host)
{
    if (!pinned(guest))
        emit_store(&c->e, 8, guest_operand(guest), host);
}

static unsigned mask_of(const struct shape *shape, struct place reg, struct place rm, bool memory)
{
    return (shape->reg_written ? 1u << reg.guest : 0) | (shape->rm_written && !memory ? 1u << rm.guest : 0);
}

/* Emits it. Flags must have been prepared. False: no encoding for it. */
static bool pass(struct compile *c, const struct shape *shape, struct place reg, struct place rm)
{
    const struct insn *insn = c->insn;
    bool memory = operand_is_memory(c);
    uint32_t op = shape->op;
    unsigned host_reg = shape->extension, host_rm = 0;
    struct host_operand operand;
    if (memory)
        operand = memory_operand(c, shape->rm_width, shape->rm_written, !shape->no_reg && !pinned(reg.guest));
    if (!shape->no_reg) {
        host_reg = enter_register(c, reg.guest, SCRATCH, shape->reg_read, shape->reg_width);
        if (reg.high)
            host_reg += 4;
        if (shape->reg_width == 1 && !reg.high)
            op |= OP_BYTE_REG;
    }
    if (!memory) {
        host_rm = enter_register(c, rm.guest, SCRATCH2, shape->rm_read, shape->rm_width);
        if (rm.high)
            host_rm += 4;
        if (shape->rm_width == 1 && !rm.high)
            op |= OP_BYTE_RM;
        operand = operand_register(host_rm);
    }
    unsigned width = insn->operand_bytes;
    emit_instruction(&c->e, op, width, host_reg, operand);
    if (shape->immediate)
        emit_bytes(&c->e, insn->imm, shape->immediate);
    if (!shape->no_reg && shape->reg_written)
        leave_register(c, reg.guest, host_reg);
    if (!memory && shape->rm_written)
        leave_register(c, rm.guest, host_rm);
    return true;
}

/* Whether AH..BH can be encoded beside the other operand. */
static bool encodable(const struct compile *c, const struct shape *shape, struct place reg, struct place rm)
{
    bool memory = operand_is_memory(c);
    bool high = (!shape->no_reg && reg.high) || (!memory && rm.high);
    if (!high)
        return true;
    if (memory || c->insn->operand_bytes == 8)
        return false;
    bool reg_plain = shape->no_reg || reg.high
                     || (pinned(reg.guest) && host_of(reg.guest) < (shape->reg_width == 1 ? 4u : 8u));
    bool rm_plain = rm.high || (pinned(rm.guest) && host_of(rm.guest) < (shape->rm_width == 1 ? 4u : 8u));
    return reg_plain && rm_plain;
}

static unsigned immediate_bytes(unsigned width)
{
    return width == 8 ? 4 : width;
}

/* ADD ... CMP and TEST, all forms */
struct arithmetic {
    unsigned alu;  /* 8: TEST */
    bool to_reg;   /* ModRM.reg is the destination */
    bool constant;
    struct place reg, rm;
};

static void set_recipe(struct compile *c, enum recipe recipe, struct place a)
{
    struct flags_state *f = &c->flags;
    if (a.high)
        return;
    f->recipe = (uint8_t)recipe;
    f->width = c->insn->operand_bytes;
    f->a_source = SOURCE_REGISTER;
    f->a = (uint8_t)a.guest;
}

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
    if (a->alu == ALU_CMP || a->alu == 8) {
        set_recipe(c, a->alu == 8 ? RECIPE_TEST : RECIPE_COMPARE, to);
        set_source(c, a->constant, from);
    } else if (same && (a->alu == ALU_SUB || a->alu == ALU_XOR)) {
        c->flags.recipe = RECIPE_ZERO;
    } else if (logic) {
        set_recipe(c, RECIPE_RESULT, to);
        set_source(c, true, to);
    } else if (!same && (a->alu == ALU_ADD || a->alu == ALU_SUB)) {
        set_recipe(c, a->alu == ALU_ADD ? RECIPE_ADDED : RECIPE_SUBTRACTED, to);
        set_source(c, a->constant, from);
    }
}

/* Compares of memory keep its value so that flags can be made again. */
static void compare_memory(struct compile *c, const struct arithmetic *a)
{
    unsigned width = c->insn->operand_bytes;
    struct emitter *e = &c->e;
    flags_prepare(c, 0, true);
    memory_load(c, width);
    bool needed = need_after(c) != 0;
    if (needed)
        emit_store(e, 8, IN_VCPU(translated.operand), SCRATCH);
    flags_set(c, a->alu == 8 ? FIX_AF : FIX_NONE);
    struct flags_state *f = &c->flags;
    f->recipe = a->alu == 8 ? RECIPE_TEST : RECIPE_COMPARE;
    f->width = (uint8_t)width;
    if (a->constant) {
        if (a->alu == 8) {
            emit_instruction(e, width == 1 ? OP1(0xf6) | OP_BYTE_RM : OP1(0xf7), width, 0,
                             operand_register(SCRATCH));
            emit_bytes(e, c->insn->imm, immediate_bytes(width));
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
    unsigned host = enter_register(c, a->reg.guest, SCRATCH2, true, width);
    emit_alu(e, ALU_CMP, width, host, operand_register(SCRATCH));
}

/* reg op= memory, where flags are looked at: the source is kept. */
static void arithmetic_from_memory(struct compile *c, const struct arithmetic *a)
{
    unsigned width = c->insn->operand_bytes;
    struct emitter *e = &c->e;
    flags_prepare(c, 1u << a->reg.guest, true);
    memory_load(c, width);
    emit_store(e, 8, IN_VCPU(translated.operand), SCRATCH);
    if (a->alu == ALU_ADC || a->alu == ALU_SBB) {
        flags_load_carry(c); /* may use SCRATCH */
        emit_load(e, 8, SCRATCH, IN_VCPU(translated.operand));
    }
    unsigned host = enter_register(c, a->reg.guest, SCRATCH2, true, width);
    emit_alu(e, a->alu, width, host, operand_register(SCRATCH));
    leave_register(c, a->reg.guest, host);
    flags_set(c, FIX_NONE);
    if (a->alu == ALU_ADD || a->alu == ALU_SUB) {
        set_recipe(c, a->alu == ALU_ADD ? RECIPE_ADDED : RECIPE_SUBTRACTED, a->reg);
        c->flags.b_source = SOURCE_OPERAND;
    }
}

static bool lower_arithmetic(struct compile *c, const struct arithmetic *a)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = operand_is_memory(c);
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
    if (memory && carry)
        return false;
    struct shape shape = { .rm_width = (uint8_t)width, .reg_width = (uint8_t)width, .rm_read = true };
    if (a->constant) {
        bool byte_immediate = width > 1 && insn->imm == (uint64_t)(int8_t)insn->imm && a->alu != 8;
        shape.no_reg = true;
        shape.extension = a->alu == 8 ? 0 : (uint8_t)a->alu;
        shape.op = a->alu == 8 ? OP1(width == 1 ? 0xf6 : 0xf7)
                               : OP1(width == 1 ? 0x80 : byte_immediate ? 0x83 : 0x81);
        shape.immediate = byte_immediate ? 1 : (uint8_t)immediate_bytes(width);
        shape.rm_written = !compare;
    } else {
        shape.reg_read = true;
        shape.op = a->alu == 8 ? OP1(0x84 | (width > 1)) : OP1(a->alu << 3 | (a->to_reg ? 2 : 0) | (width > 1));
        shape.reg_written = !compare && a->to_reg;
        shape.rm_written = !compare && !a->to_reg;
    }
    if (!encodable(c, &shape, a->reg, a->rm))
        return false;
    unsigned written = mask_of(&shape, a->reg, a->rm, memory);
    flags_prepare(c, written, memory);
    if (carry)
        flags_load_carry(c);
    pass(c, &shape, a->reg, a->rm);
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

static bool lower_alu(struct compile *c)
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
        a.reg = place_of(insn->reg, width, true);
    }
    if (!operand_is_memory(c))
        a.rm = place_of(insn->rm, width, true);
    return lower_arithmetic(c, &a);
}

static bool lower_test(struct compile *c, bool constant, bool accumulator)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    struct arithmetic a = { .alu = 8, .constant = constant };
    if (!constant)
        a.reg = place_of(insn->reg, width, true);
    a.rm = (struct place){ RAX, false };
    if (!accumulator && !operand_is_memory(c))
        a.rm = place_of(insn->rm, width, true);
    return lower_arithmetic(c, &a);
}

/* Instructions that leave flags alone */

static bool lower_move(struct compile *c, const struct shape *shape, bool byte_reg, bool byte_rm)
{
    const struct insn *insn = c->insn;
    bool memory = operand_is_memory(c);
    struct place reg = place_of(insn->reg, shape->reg_width, byte_reg);
    struct place rm = memory ? (struct place){ 0, false } : place_of(insn->rm, shape->rm_width, byte_rm);
    if (!encodable(c, shape, reg, rm))
        return false;
    unsigned written = mask_of(shape, reg, rm, memory);
    flags_prepare(c, written, memory);
    pass(c, shape, reg, rm);
    flags_overwritten(c, written);
    return true;
}

static bool lower_mov(struct compile *c)
{
    unsigned width = c->insn->operand_bytes;
    bool load = c->row->opcode & 2;
    struct shape shape = { .op = OP1(c->row->opcode), .reg_read = !load, .reg_written = load,
                           .rm_read = load, .rm_written = !load,
                           .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
    return lower_move(c, &shape, true, true);
}

static bool lower_extend(struct compile *c, uint32_t op, unsigned from)
{
    struct shape shape = { .op = op, .reg_written = true, .rm_read = true,
                           .reg_width = c->insn->operand_bytes, .rm_width = (uint8_t)from };
    return lower_move(c, &shape, false, true);
}

static bool lower_mov_constant(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool modrm = c->row->modrm & MODRM_PRESENT;
    if (modrm && operand_is_memory(c)) {
        struct shape shape = { .op = OP1(0xc6 | (width > 1)), .no_reg = true, .rm_written = true,
                               .rm_width = (uint8_t)width, .immediate = (uint8_t)immediate_bytes(width) };
        return lower_move(c, &shape, false, true);
    }
    struct place to = place_of(insn->rm, width, true);
    unsigned written = 1u << to.guest;
    flags_prepare(c, written, false);
    if (width >= 4) {
        unsigned host = pinned(to.guest) ? host_of(to.guest) : SCRATCH;
        emit_constant(&c->e, host, width == 4 ? (uint32_t)insn->imm : insn->imm);
        leave_register(c, to.guest, host);
    } else {
        struct host_operand operand = guest_operand(to.guest);
        if (operand.memory)
            operand.disp += to.high;
        else
            operand.base = (uint8_t)(operand.base + (to.high ? 4 : 0));
        uint32_t op = OP1(0xc6 | (width > 1)) | (to.high ? OP_HIGH : OP_BYTE_RM);
        emit_instruction(&c->e, width == 1 ? op : OP1(0xc7), width, 0, operand);
        emit_bytes(&c->e, insn->imm, width);
    }
    flags_overwritten(c, written);
    return true;
}

static bool lower_lea(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned written = 1u << insn->reg, width = insn->operand_bytes;
    if (width == 2)
        return false;
    flags_prepare(c, written, false);
    unsigned host = pinned(insn->reg) ? host_of(insn->reg) : SCRATCH;
    memory_effective_address(c, host, width);
    leave_register(c, insn->reg, host);
    flags_overwritten(c, written);
    return true;
}

static bool lower_xchg(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    if (operand_is_memory(c)) {
        struct shape shape = { .op = OP1(0x86 | (width > 1)), .reg_read = true, .reg_written = true,
                               .rm_read = true, .rm_written = true,
                               .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
        return lower_move(c, &shape, true, true);
    }
    struct shape shape = { .op = OP1(0x86 | (width > 1)), .reg_read = true, .reg_written = true, .rm_read = true,
                           .rm_written = true, .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
    struct place reg = place_of(insn->reg, width, true), rm = place_of(insn->rm, width, true);
    if (reg.guest == rm.guest)
        return false;
    if (!encodable(c, &shape, reg, rm))
        return false;
    return lower_move(c, &shape, true, true);
}

/* XCHG rAX, r; NOP is XCHG with itself */
static bool lower_xchg_accumulator(struct compile *c)
{
    const struct insn *insn = c->insn;
    if (insn->rm == RAX)
        return insn->operand_bytes != 4 || !(insn->rex & 1);
    unsigned width = insn->operand_bytes, written = 1u << RAX | 1u << insn->rm;
    flags_prepare(c, written, false);
    unsigned host = enter_register(c, insn->rm, SCRATCH, true, width);
    emit_instruction(&c->e, OP1(0x87), width, HOST_RAX, operand_register(host));
    leave_register(c, insn->rm, host);
    flags_overwritten(c, written);
    return true;
}

/* CBW CWDE CDQE, CWD CDQ CQO, BSWAP */
static bool lower_widen(struct compile *c, bool double_word)
{
    unsigned width = c->insn->operand_bytes, written = 1u << (double_word ? RDX : RAX);
    flags_prepare(c, written, false);
    if (width != 4)
        emit_bytes(&c->e, width == 2 ? 0x66 : 0x48, 1);
    emit_bytes(&c->e, c->row->opcode, 1);
    flags_overwritten(c, written);
    return true;
}

static bool lower_bswap(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << insn->rm;
    if (width == 2)
        return false;
    flags_prepare(c, written, false);
    unsigned host = enter_register(c, insn->rm, SCRATCH, true, width);
    if (width == 8 || host >= 8)
        emit_bytes(&c->e, 0x40 | (width == 8 ? 8 : 0) | host >> 3, 1);
    emit_bytes(&c->e, 0x0f, 1);
    emit_bytes(&c->e, 0xc8 | (host & 7), 1);
    leave_register(c, insn->rm, host);
    flags_overwritten(c, written);
    return true;
}

/* SETcc, CMOVcc */
static bool lower_set(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct shape shape = { .op = OP2(c->row->opcode), .no_reg = true, .rm_written = true, .rm_width = 1 };
    if (operand_is_memory(c))
        return false;
    struct place rm = place_of(insn->rm, 1, true);
    if (!encodable(c, &shape, (struct place){ 0, false }, rm))
        return false;
    unsigned written = 1u << rm.guest;
    flags_prepare(c, written, false);
    flags_load(c, c->row->flags_read);
    pass(c, &shape, (struct place){ 0, false }, rm);
    flags_overwritten(c, written);
    return true;
}

static bool lower_cmov(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << insn->reg;
    bool memory = operand_is_memory(c);
    struct emitter *e = &c->e;
    flags_prepare(c, written, memory);
    struct host_operand from = guest_operand(insn->rm);
    if (memory) {
        memory_load(c, width);
        emit_store(e, 8, IN_VCPU(translated.value), SCRATCH);
        from = IN_VCPU(translated.value);
    }
    flags_load(c, c->row->flags_read);
    unsigned host = enter_register(c, insn->reg, SCRATCH, true, width);
    emit_instruction(e, OP2(c->row->opcode), width, host, from);
    leave_register(c, insn->reg, host);
    flags_overwritten(c, written);
    return true;
}

/* Unary arithmetic, shifts, multiplication */

static bool lower_step(struct compile *c, bool up)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool plus_r = c->row->modrm & MODRM_PLUS_R, memory = !plus_r && operand_is_memory(c);
    struct place rm = memory ? (struct place){ 0, false } : place_of(insn->rm, width, true);
    struct shape shape = { .op = OP1(0xfe | (width > 1)), .no_reg = true, .extension = up ? 0 : 1,
                           .rm_read = true, .rm_written = true, .rm_width = (uint8_t)width };
    if (!encodable(c, &shape, (struct place){ 0, false }, rm))
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
    pass(c, &shape, (struct place){ 0, false }, rm);
    flags_set(c, FIX_NONE);
    set_recipe(c, up ? RECIPE_INCREMENTED : RECIPE_DECREMENTED, rm);
    c->flags.b_source = SOURCE_CONSTANT;
    return true;
}

static bool lower_not_neg(struct compile *c, bool neg)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = operand_is_memory(c);
    struct place rm = memory ? (struct place){ 0, false } : place_of(insn->rm, width, true);
    struct shape shape = { .op = OP1(0xf6 | (width > 1)), .no_reg = true, .extension = neg ? 3 : 2,
                           .rm_read = true, .rm_written = true, .rm_width = (uint8_t)width };
    if (!encodable(c, &shape, (struct place){ 0, false }, rm))
        return false;
    unsigned written = memory ? 0 : 1u << rm.guest;
    flags_prepare(c, written, memory);
    pass(c, &shape, (struct place){ 0, false }, rm);
    if (!neg) {
        flags_overwritten(c, written);
        return true;
    }
    flags_set(c, FIX_NONE);
    if (!memory) {
        set_recipe(c, RECIPE_NEGATED, rm);
        c->flags.b_source = SOURCE_CONSTANT;
    }
    return true;
}

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
    struct place rm = place_of(insn->rm, width, true);
    if (operand_is_memory(c) || width < 4)
        return false;
    flags_save(c, &c->flags);
    if (by_cl && width == 4 && pinned(rm.guest))
        emit_load(e, 4, host_of(rm.guest), operand_register(host_of(rm.guest)));
    unsigned host = enter_register(c, rm.guest, SCRATCH2, true, width);
    if (by_cl && width == 4 && !pinned(rm.guest)) {
        emit_load(e, 4, host, operand_register(host));
        leave_register(c, rm.guest, host);
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
    leave_register(c, rm.guest, host);
    shift_flags(c, extension, width, host);
    if (over)
        emit_patch(over, e->at);
    c->flags = (struct flags_state){ .home = true };
    return true;
}

static bool lower_shift(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, extension = insn->modrm >> 3 & 7, o = c->row->opcode;
    bool memory = operand_is_memory(c), by_cl = o == 0xd2 || o == 0xd3, rotate = extension < 4;
    unsigned count = (unsigned)insn->imm & (width == 8 ? 63 : 31);
    bool needed = need_after(c);
    if (extension == 2 || extension == 3 || (!by_cl && count == 0))
        return false;
    if ((by_cl && needed) || (rotate && needed && count != 1))
        return lower_shift_exact(c, extension == 6 ? 4 : extension, by_cl);
    if (!by_cl && width < 4 && count > 8 * width)
        return false;
    struct place rm = memory ? (struct place){ 0, false } : place_of(insn->rm, width, true);
    struct shape shape = { .op = OP1(by_cl ? 0xd2 | (width > 1) : 0xc0 | (width > 1)), .no_reg = true,
                           .extension = extension == 6 ? 4 : (uint8_t)extension, .rm_read = true,
                           .rm_written = true, .rm_width = (uint8_t)width, .immediate = by_cl ? 0 : 1 };
    if (!encodable(c, &shape, (struct place){ 0, false }, rm) || (rotate && needed && memory))
        return false;
    unsigned written = memory ? 0 : 1u << rm.guest;
    flags_prepare(c, written, memory);
    if (needed && !memory && !rotate)
        emit_store(&c->e, 8, IN_VCPU(translated.operand), enter_register(c, rm.guest, SCRATCH, true, 8));
    if (rotate && needed)
        flags_load(c, F_ARITH);
    pass(c, &shape, (struct place){ 0, false }, rm);
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

/* IMUL r, r/m and IMUL r, r/m, constant */
static bool lower_multiply(struct compile *c, bool constant)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = operand_is_memory(c), needed = need_after(c);
    struct emitter *e = &c->e;
    if (width == 2)
        return false;
    unsigned written = 1u << insn->reg;
    flags_prepare(c, written, memory);
    struct host_operand from = guest_operand(insn->rm);
    if (memory) {
        memory_load(c, width);
        from = operand_register(SCRATCH);
    }
    struct flags_state f = { .live = true, .fix = FIX_PRODUCT, .product = insn->reg, .width = (uint8_t)width };
    if (constant && needed && from.memory) {
        emit_load(e, 8, SCRATCH, from);
        from = operand_register(SCRATCH);
    }
    if (constant && needed) {
        emit_store(e, 8, IN_VCPU(translated.operand), from.base);
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
        host = enter_register(c, insn->reg, SCRATCH2, true, width);
        if (needed && !memory && insn->rm != insn->reg) {
            emit_store(e, 8, IN_VCPU(translated.operand), host);
            f.recipe = RECIPE_MULTIPLIED;
            f.a_source = SOURCE_OPERAND;
            f.b_source = SOURCE_REGISTER;
            f.b = insn->rm;
        }
        emit_instruction(e, OP2(0xaf), width, host, from);
    }
    leave_register(c, insn->reg, host);
    c->flags = f;
    return true;
}

/* MUL and IMUL of rAX */
static bool lower_multiply_accumulator(struct compile *c, unsigned extension)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << RAX | 1u << RDX;
    bool memory = operand_is_memory(c);
    if (width < 4)
        return false;
    flags_prepare(c, written, memory);
    struct host_operand from = guest_operand(insn->rm);
    if (memory) {
        memory_load(c, width);
        from = operand_register(SCRATCH);
    }
    emit_instruction(&c->e, OP1(0xf7), width, extension, from);
    c->flags = (struct flags_state){ .live = true, .fix = FIX_PRODUCT, .product = RAX, .width = (uint8_t)width };
    return true;
}

/* DIV and IDIV by what cannot fault; flags stay as they were */
static bool lower_divide(struct compile *c, bool is_signed)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << RAX | 1u << RDX;
    struct emitter *e = &c->e;
    if (operand_is_memory(c) || width < 4 || insn->rm == RAX || insn->rm == RDX)
        return false;
    flags_prepare(c, written, true);
    unsigned by = enter_register(c, insn->rm, SCRATCH2, true, width);
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

/* CMPXCHG, XADD: all flags are defined */
static bool lower_exchange(struct compile *c, bool compare)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = operand_is_memory(c);
    struct shape shape = { .op = OP2(c->row->opcode), .reg_read = true, .reg_written = !compare, .rm_read = true,
                           .rm_written = true, .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
    struct place reg = place_of(insn->reg, width, true);
    struct place rm = memory ? (struct place){ 0, false } : place_of(insn->rm, width, true);
    if (!memory || !encodable(c, &shape, reg, rm))
        return false;
    unsigned written = mask_of(&shape, reg, rm, memory) | (compare ? 1u << RAX : 0);
    flags_prepare(c, written, true);
    pass(c, &shape, reg, rm);
    flags_set(c, FIX_NONE);
    return true;
}

/* BT, BTS, BTR, BTC of memory by a constant. The other flags come back after
 * the check. */
static bool lower_bit_memory(struct compile *c, unsigned extension)
{
    unsigned width = c->insn->operand_bytes;
    unsigned rest = need_after(c) & ~F_C;
    if (rest)
        flags_save(c, &c->flags);
    flags_prepare(c, 0, true);
    struct host_operand operand = memory_operand(c, width, extension != 4, true);
    if (rest) {
        c->flags = (struct flags_state){ .home = true };
        flags_load(c, rest);
    }
    emit_instruction(&c->e, OP2(0xba), width, extension, operand);
    emit_bytes(&c->e, c->insn->imm & (8 * width - 1), 1);
    flags_set(c, FIX_NONE);
    return true;
}

/* The stack */

static bool lower_push(struct compile *c, bool constant)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    if (insn->operand_bytes != 8)
        return false;
    flags_prepare(c, 1u << RSP, true);
    struct host_operand top = memory_stack(c, RSP, -8, 8, true);
    if (constant) {
        emit_store_constant(e, 8, top, (int32_t)insn->imm);
    } else {
        /* The address uses SCRATCH2 only. */
        unsigned host = enter_register(c, insn->rm, SCRATCH, true, 8);
        emit_store(e, 8, top, host);
    }
    emit_lea(e, 8, host_of(RSP), operand_memory(host_of(RSP), -8));
    flags_overwritten(c, 1u << RSP);
    return true;
}

static bool lower_pop(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned written = 1u << RSP | 1u << insn->rm;
    if (insn->operand_bytes != 8)
        return false;
    flags_prepare(c, written, true);
    struct host_operand top = memory_stack(c, RSP, 0, 8, false);
    unsigned host = pinned(insn->rm) ? host_of(insn->rm) : SCRATCH;
    if (insn->rm == RSP) {
        emit_load(e, 8, host, top);
    } else {
        emit_load(e, 8, host, top);
        emit_lea(e, 8, host_of(RSP), operand_memory(host_of(RSP), 8));
        leave_register(c, insn->rm, host);
    }
    flags_overwritten(c, written);
    return true;
}

static bool lower_leave(struct compile *c)
{
    struct emitter *e = &c->e;
    unsigned written = 1u << RSP | 1u << RBP;
    if (c->insn->operand_bytes != 8)
        return false;
    flags_prepare(c, written, true);
    struct host_operand top = memory_stack(c, RBP, 0, 8, false);
    emit_load(e, 8, SCRATCH, top);
    emit_lea(e, 8, host_of(RSP), operand_memory(HOST_RBP, 8));
    emit_load(e, 8, HOST_RBP, operand_register(SCRATCH));
    flags_overwritten(c, written);
    return true;
}

/* Bits in registers */
static bool lower_bit(struct compile *c, unsigned extension, bool constant)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    if (operand_is_memory(c) && constant)
        return lower_bit_memory(c, extension);
    if (operand_is_memory(c) || width == 2)
        return false;
    /* Only CF changes; the rest must be there too if it is looked at. */
    unsigned written = extension == 4 ? 0 : 1u << insn->rm;
    unsigned rest = need_after(c) & ~F_C;
    flags_prepare(c, written, false);
    if (rest)
        flags_load(c, rest);
    unsigned host = enter_register(c, insn->rm, SCRATCH2, true, width);
    if (constant) {
        emit_instruction(&c->e, OP2(0xba), width, extension, operand_register(host));
        emit_bytes(&c->e, insn->imm, 1);
    } else {
        unsigned by = enter_register(c, insn->reg, SCRATCH, true, width);
        emit_instruction(&c->e, OP2(0x83 | extension << 3), width, by, operand_register(host));
    }
    if (written)
        leave_register(c, insn->rm, host);
    flags_set(c, FIX_NONE);
    return true;
}

/* Two-byte opcodes */
static bool lower_two(struct compile *c)
{
    unsigned o = c->row->opcode;
    switch (o) {
    case 0x1e: case 0x1f: case 0x0d: case 0x18: case 0x19:
        return false;
    case 0xa3: case 0xab: case 0xb3: case 0xbb:
        return lower_bit(c, o >> 3 & 7, false);
    case 0xba:
        return lower_bit(c, c->insn->modrm >> 3 & 7, true);
    case 0xb0: case 0xb1:
        return lower_exchange(c, true);
    case 0xc0: case 0xc1:
        return lower_exchange(c, false);
    case 0xaf:
        return lower_multiply(c, false);
    case 0xb6: case 0xbe:
        return lower_extend(c, OP2(o), 1);
    case 0xb7: case 0xbf:
        return c->insn->operand_bytes > 2 && lower_extend(c, OP2(o), 2);
    case 0xc8:
        return lower_bswap(c);
    }
    if (c->row->prefix != OPCODE_PREFIX_ANY)
        return false;
    if (o >= 0x40 && o <= 0x4f)
        return lower_cmov(c);
    if (o >= 0x90 && o <= 0x9f)
        return lower_set(c);
    return false;
}

static bool lower_group(struct compile *c)
{
    unsigned o = c->row->opcode, extension = c->insn->modrm >> 3 & 7;
    switch (o) {
    case 0xf6: case 0xf7:
        if (extension < 2)
            return lower_test(c, true, false);
        if (extension < 4)
            return lower_not_neg(c, extension == 3);
        return extension < 6 ? lower_multiply_accumulator(c, extension) : lower_divide(c, extension == 7);
    case 0xfe: case 0xff:
        if (extension < 2)
            return lower_step(c, extension == 0);
        return extension == 6 && o == 0xff && !operand_is_memory(c) && lower_push(c, false);
    }
    return false;
}

static bool lower_one(struct compile *c)
{
    unsigned o = c->row->opcode;
    if (o < 0x40 && (o & 7) < 6)
        return lower_alu(c);
    switch (o) {
    case 0x80: case 0x81: case 0x82: case 0x83: return lower_alu(c);
    case 0x84: case 0x85: return lower_test(c, false, false);
    case 0xa8: case 0xa9: return lower_test(c, true, true);
    case 0x86: case 0x87: return lower_xchg(c);
    case 0x88: case 0x89: case 0x8a: case 0x8b: return lower_mov(c);
    case 0x8d: return lower_lea(c);
    case 0x90: return c->row->prefix == OPCODE_PREFIX_ANY && lower_xchg_accumulator(c);
    case 0x63: return c->insn->operand_bytes > 2 && lower_extend(c, OP1(o), 4);
    case 0x98: return lower_widen(c, false);
    case 0x99: return lower_widen(c, true);
    case 0xb0: case 0xb8: case 0xc6: case 0xc7: return lower_mov_constant(c);
    case 0x50: return lower_push(c, false);
    case 0x58: return lower_pop(c);
    case 0x68: case 0x6a: return lower_push(c, true);
    case 0x69: case 0x6b: return lower_multiply(c, true);
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: return lower_shift(c);
    case 0xc9: return lower_leave(c);
    case 0xf6: case 0xf7: case 0xfe: case 0xff: return lower_group(c);
    }
    return false;
}

bool lower_integer(struct compile *c)
{
    if (c->row->map == MAP_ONE)
        return lower_one(c);
    return c->row->map == MAP_TWO && lower_two(c);
}
