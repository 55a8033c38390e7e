/*
 * Lowering of bit scans and counts, bit strings, double shifts, BMI, ADX, MOVBE,
 * CRC32, CMPXCHG8B and CMPXCHG16B.
 *
 * Flags that the manual leaves undefined are brought to our definition
 * (exec_bit.c, exec_bmi.c, exec_shift.c), where someone looks at them.
 *
 * Not here, and so run by their handlers: 16-bit forms of double shifts, and double
 * shifts in memory; bit strings addressed by a register that lives in memory.
 */
#include "translator/form.h"
#include "translator/internal.h"

#define REST (F_ARITH & ~(unsigned)(F_C | F_Z))

/* The r/m operand in a register. */
static unsigned source_register(struct compile *c, unsigned width)
{
    struct host_operand from = form_source(c, width);
    if (!from.memory)
        return from.base;
    emit_load(&c->e, 8, SCRATCH, from);
    return SCRATCH;
}

/* CF is in the host's flags; SF, ZF and PF are those of `result`, OF and AF 0.
 * All go home. */
static void save_result_and_carry(struct compile *c, unsigned result, unsigned width)
{
    struct emitter *e = &c->e;
    emit_instruction(e, OP2(0x92), 4, 0, IN_VCPU(translated.carry)); /* SETB */
    emit_test(e, width, operand_register(result), result);
    flags_set(c, FIX_AF);
    flags_save(c, &c->flags);
    emit_instruction(e, OP2(0xb6), 4, SCRATCH, IN_VCPU(translated.carry)); /* MOVZX */
    emit_instruction(e, OP1(0xc1), 4, 4, operand_register(SCRATCH));       /* SHL */
    emit_bytes(e, 8, 1);
    emit_instruction(e, OP1(0x09), 4, SCRATCH, IN_VCPU(translated.flags)); /* OR */
    c->flags = (struct flags_state){ .home = true };
}

/* BSF, BSR: flags as TEST of the source gives them; of 0 nothing is written. */
static bool lower_scan(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, written = 1u << insn->reg;
    bool memory = form_is_memory(c);
    flags_prepare(c, written, true);
    unsigned from = source_register(c, width);
    bool same = !memory && insn->rm == insn->reg;
    if (same || memory)
        emit_store(e, 8, IN_VCPU(translated.operand), from);
    emit_instruction(e, OP2(c->row->opcode), width, SCRATCH2, operand_register(from));
    emit_test(e, width, operand_register(from), from);
    if (pinned(insn->reg)) {
        unsigned moved = width == 2 ? 2 : 8; /* the upper half is 0 if it is written */
        emit_instruction(e, OP2(0x45), moved, host_of(insn->reg), operand_register(SCRATCH2)); /* CMOVNE */
    } else {
        uint8_t *over = emit_jump_if(e, CONDITION_E, NULL);
        emit_store(e, width == 2 ? 2 : 8, guest_operand(insn->reg), SCRATCH2);
        emit_patch(over, e->at);
    }
    flags_set(c, FIX_AF);
    struct flags_state *f = &c->flags;
    f->recipe = RECIPE_RESULT;
    f->width = (uint8_t)width;
    f->a_source = same || memory ? SOURCE_OPERAND : SOURCE_REGISTER;
    f->a = insn->rm;
    f->b_source = SOURCE_CONSTANT;
    return true;
}

/* TZCNT, LZCNT, POPCNT */
static bool lower_count(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, written = 1u << insn->reg;
    flags_prepare(c, written, true);
    struct host_operand from = form_source(c, width);
    unsigned to = form_enter(c, insn->reg, SCRATCH2, false, width);
    emit_instruction(e, OP2(c->row->opcode) | OP_PREFIX(0xf3), width, to, from);
    form_leave(c, insn->reg, to);
    if (c->row->opcode != 0xb8 && need_after(c) & REST)
        save_result_and_carry(c, to, width);
    else
        flags_set(c, FIX_NONE);
    return true;
}

/* BT, BTS, BTR, BTC of memory, by a register: its bits above the operand's width
 * move the address. */
static bool lower_bit_string(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, extension = c->row->opcode >> 3 & 7;
    unsigned rest = need_after(c) & ~(unsigned)F_C;
    if (!pinned(insn->reg) || width == 2 || c->kind->code_bytes != 8 || insn->address_shift)
        return false;
    if (rest)
        flags_save(c, &c->flags);
    flags_prepare(c, 0, true);
    unsigned number = host_of(insn->reg);
    memory_effective_address(c, SCRATCH, 8);
    if (width == 8) {
        emit_load(e, 8, SCRATCH2, operand_register(number));
    } else {
        emit_instruction(e, OP1(0x63), 8, SCRATCH2, operand_register(number)); /* MOVSXD */
    }
    emit_instruction(e, OP1(0xc1), 8, 7, operand_register(SCRATCH2)); /* SAR */
    emit_bytes(e, width == 8 ? 6 : 5, 1);
    emit_lea(e, 8, SCRATCH, operand_indexed(SCRATCH, SCRATCH2, width == 8 ? 3 : 2, 0));
    struct host_operand operand = memory_at(c, width, extension != 4);
    if (rest) {
        c->flags = (struct flags_state){ .home = true };
        emit_lea(e, 8, SCRATCH2, operand);
        operand = operand_memory(SCRATCH2, 0);
        flags_load(c, rest);
    } else if (extension != 4) {
        emit_lea(e, 8, SCRATCH2, operand);
        operand = operand_memory(SCRATCH2, 0);
    }
    emit_load(e, width, SCRATCH, operand);
    emit_instruction(e, OP2(0x83 | extension << 3), width, number, operand_register(SCRATCH));
    if (extension != 4)
        emit_store(e, width, operand, SCRATCH);
    flags_set(c, FIX_NONE);
    return true;
}

/* Flags after SHRD by a constant other than 1: OF tells whether the result's two
 * upper bits differ. */
static void shrd_flags(struct compile *c, unsigned result, unsigned width)
{
    struct emitter *e = &c->e;
    emit_load(e, 8, SCRATCH, operand_register(HOST_RAX));
    emit_bytes(e, 0x9f, 1); /* LAHF */
    emit_instruction(e, OP2(0xba), width, 4, operand_register(result == HOST_RAX ? SCRATCH : result)); /* BT */
    emit_bytes(e, 8 * width - 2, 1);
    emit_instruction(e, OP2(0x92) | OP_BYTE_RM, 4, 0, operand_register(HOST_RAX)); /* SETB */
    emit_bytes(e, 0xe484, 2); /* TEST AH, AH */
    emit_bytes(e, 0x0279, 2); /* JNS over the next */
    emit_bytes(e, 0x0134, 2); /* XOR AL, 1 */
    emit_alu_constant(e, ALU_AND, 4, operand_register(HOST_RAX), 0xef01);
    emit_store(e, 4, IN_VCPU(translated.flags), HOST_RAX);
    emit_load(e, 8, HOST_RAX, operand_register(SCRATCH));
    c->flags = (struct flags_state){ .home = true };
}

/* SHLD, SHRD of registers. */
static bool lower_double_shift(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, written = 1u << insn->rm, o = c->row->opcode;
    unsigned count = (unsigned)insn->imm & (width == 8 ? 63 : 31);
    bool by_cl = o & 1, left = o < 0xac;
    if (form_is_memory(c) || width == 2 || (!by_cl && !count) || (by_cl && need_after(c)))
        return false;
    flags_prepare(c, written, true);
    unsigned to = form_enter(c, insn->rm, SCRATCH2, true, width);
    unsigned from = form_enter(c, insn->reg, SCRATCH, true, width);
    if (by_cl && width == 4) /* cut even by a count of 0 */
        emit_load(e, 4, to, operand_register(to));
    emit_instruction(e, OP2(o), width, from, operand_register(to));
    if (!by_cl)
        emit_bytes(e, count, 1);
    form_leave(c, insn->rm, to);
    flags_set(c, left ? FIX_LEFT : FIX_AF);
    if (!left && count != 1 && need_after(c))
        shrd_flags(c, to, width);
    return true;
}

/* ADCX, ADOX: one flag in and out, the others stay. */
static bool lower_adx(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, written = 1u << insn->reg;
    bool memory = form_is_memory(c);
    if (width < 4)
        return false;
    flags_prepare(c, written, memory);
    struct host_operand from = form_source_kept(c, width);
    flags_load(c, F_ARITH);
    unsigned to = form_enter(c, insn->reg, SCRATCH, true, width);
    uint32_t prefix = c->row->prefix == OPCODE_PREFIX_P66 ? OP_PREFIX(0x66) : OP_PREFIX(0xf3);
    emit_instruction(e, OP3(0xf6) | prefix, width, to, from);
    form_leave(c, insn->reg, to);
    flags_set(c, FIX_NONE);
    return true;
}

static void swap_scratch(struct compile *c, unsigned width)
{
    struct emitter *e = &c->e;
    if (width == 2) {
        emit_instruction(e, OP1(0xc1), 2, 0, operand_register(SCRATCH)); /* ROL */
        emit_bytes(e, 8, 1);
        return;
    }
    emit_bytes(e, width == 8 ? 0x49 : 0x41, 1);
    emit_bytes(e, 0x0f | (0xc8 | (SCRATCH & 7)) << 8, 2); /* BSWAP */
}

static bool lower_movbe(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes;
    bool load = c->row->opcode == 0xf0;
    unsigned written = load ? 1u << insn->reg : 0;
    flags_prepare(c, written, true);
    if (load) {
        memory_load(c, width);
        swap_scratch(c, width);
        emit_store(e, width == 2 ? 2 : 8, guest_operand(insn->reg), SCRATCH);
    } else {
        struct host_operand operand = memory_operand(c, width, true, true);
        emit_load(e, 8, SCRATCH, guest_operand(insn->reg));
        swap_scratch(c, width);
        emit_store(e, width, operand, SCRATCH);
    }
    flags_overwritten(c, written);
    return true;
}

static bool lower_crc32(struct compile *c)
{
    unsigned width = c->insn->operand_bytes;
    bool byte = c->row->opcode == 0xf0;
    struct form shape = { .op = OP3(c->row->opcode) | OP_PREFIX(0xf2), .reg_read = true, .reg_written = true,
                          .rm_read = true, .reg_width = 4, .rm_width = byte ? 1 : (uint8_t)width };
    return !(byte && width == 2) && form_move(c, &shape, false, true);
}

/* ZF alone changes. The registers are those of the host's instruction. */
static bool lower_compare_pair(struct compile *c)
{
    unsigned width = c->insn->operand_bytes, written = 1u << RAX | 1u << RDX;
    bool wide = width == 8;
    bool given = cpu_model_has(c->translator->engine->cpus[0]->model, FEATURE_CX16)
                 && translator_host_has(c->translator, FEATURE_CX16);
    if (!form_is_memory(c) || (wide && !given))
        return false;
    flags_save(c, &c->flags);
    flags_prepare(c, written, true);
    struct host_operand operand = wide ? memory_vector(c, 16, true, true) : memory_operand(c, 8, true, true);
    if (wide) {
        emit_lea(&c->e, 8, SCRATCH2, operand);
        operand = operand_memory(SCRATCH2, 0);
    }
    c->flags = (struct flags_state){ .home = true };
    flags_load(c, F_ARITH);
    emit_instruction(&c->e, OP2(0xc7), wide ? 8 : 4, 1, operand);
    flags_set(c, FIX_NONE);
    return true;
}

/* BMI. The operand in ModRM.reg or vvvv that is written comes from `result`. */

static unsigned enter_source(struct compile *c, unsigned guest, unsigned scratch)
{
    return form_enter(c, guest, scratch, true, 8);
}

/* Flags of BLSR and its kind: defined but for AF and PF. */
static void bmi_flags(struct compile *c, unsigned guest, unsigned host, bool carry)
{
    unsigned width = c->insn->operand_bytes;
    if (!carry) { /* as after TEST of the result */
        c->flags = (struct flags_state){ .fix = FIX_AF };
        form_recipe(c, RECIPE_RESULT, (struct place){ guest, false });
        c->flags.b_source = SOURCE_CONSTANT;
        return;
    }
    if (need_after(c) & (F_A | F_P))
        save_result_and_carry(c, host, width);
    else
        flags_set(c, FIX_NONE);
}

static bool lower_mulx(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << insn->reg | 1u << insn->vvvv;
    flags_prepare(c, written, form_is_memory(c));
    struct host_operand from = form_source(c, width);
    unsigned high = form_enter(c, insn->reg, SCRATCH, false, 8);
    unsigned low = form_enter(c, insn->vvvv, SCRATCH2, false, 8);
    emit_vex(&c->e, OP3(0xf6) | OP_PREFIX(0xf2), width, false, high, low, from);
    form_leave(c, insn->vvvv, low);
    form_leave(c, insn->reg, high);
    flags_overwritten(c, written);
    return true;
}

static bool lower_bmi(struct compile *c)
{
    static const uint8_t prefixes[] = { [OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3,
                                        [OPCODE_PREFIX_PF2] = 0xf2 };
    const struct insn *insn = c->insn;
    const struct opcode_row *row = c->row;
    unsigned width = insn->operand_bytes, prefix = prefixes[row->prefix];
    uint32_t op = (row->map == MAP_V38 ? OP3(row->opcode) : OP4(row->opcode)) | OP_PREFIX(prefix);
    bool single = row->map == MAP_V38 && row->opcode == 0xf3, constant = row->map == MAP_V3A;
    bool sets_flags = row->flags_written;
    if (row->opcode == 0xf6)
        return lower_mulx(c);
    unsigned guest = single ? insn->vvvv : insn->reg;
    flags_prepare(c, 1u << guest, form_is_memory(c) || sets_flags);
    struct host_operand from = form_source(c, width);
    if (single) {
        unsigned to = form_enter(c, guest, SCRATCH2, false, 8);
        emit_vex(&c->e, op, width, false, insn->modrm >> 3 & 7, to, from);
        form_leave(c, guest, to);
        bmi_flags(c, guest, to, true);
        return true;
    }
    unsigned second = constant ? 0 : enter_source(c, insn->vvvv, SCRATCH2);
    unsigned to = form_enter(c, guest, SCRATCH, false, 8);
    emit_vex(&c->e, op, width, false, to, second, from);
    if (constant)
        emit_bytes(&c->e, insn->imm, 1);
    form_leave(c, guest, to);
    if (sets_flags)
        bmi_flags(c, guest, to, row->opcode == 0xf5);
    else
        flags_overwritten(c, 1u << guest);
    return true;
}

bool lower_bits(struct compile *c)
{
    const struct opcode_row *row = c->row;
    unsigned o = row->opcode;
    if (row->feature != FEATURE_BASE && !translator_host_has(c->translator, (enum cpu_feature)row->feature))
        return false;
    if (row->map == MAP_TWO) {
        switch (o) {
        case 0xb8: return row->prefix == OPCODE_PREFIX_PF3 && lower_count(c);
        case 0xbc: case 0xbd: return row->prefix == OPCODE_PREFIX_PF3 ? lower_count(c) : lower_scan(c);
        case 0xa3: case 0xab: case 0xb3: case 0xbb: return form_is_memory(c) && lower_bit_string(c);
        case 0xa4: case 0xa5: case 0xac: case 0xad: return lower_double_shift(c);
        case 0xc7: return (c->insn->modrm >> 3 & 7) == 1 && lower_compare_pair(c);
        }
        return false;
    }
    if (row->map == MAP_T38) {
        if (o == 0xf6 && row->feature == FEATURE_ADX)
            return lower_adx(c);
        if (o != 0xf0 && o != 0xf1)
            return false;
        return row->prefix == OPCODE_PREFIX_PF2 ? lower_crc32(c) : lower_movbe(c);
    }
    return c->kind->code_bytes == 8 && (row->feature == FEATURE_BMI1 || row->feature == FEATURE_BMI2) && lower_bmi(c);
}
