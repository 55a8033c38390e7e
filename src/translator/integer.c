/*
 * Lowering of general-purpose instructions: the same instruction on the host,
 * with registers and addresses replaced. Here are moves, bit tests,
 * single flags, CMPXCHG and XADD, and the choice by opcode.
 *
 * Not here, and so run by their handlers: BCD, POP to memory.
 */
#include "translator/form.h"

/* Instructions that leave flags alone */

bool form_move(struct compile *c, const struct form *shape, bool byte_reg, bool byte_rm)
{
    const struct insn *insn = c->insn;
    bool memory = form_is_memory(c);
    struct place reg = form_place(insn->reg, shape->reg_width, byte_reg);
    struct place rm = memory ? (struct place){ 0, false } : form_place(insn->rm, shape->rm_width, byte_rm);
    if (!form_encodable(c, shape, reg, rm))
        return false;
    unsigned written = form_written(shape, reg, rm, memory);
    flags_prepare(c, written, memory_checks(c));
    form_emit(c, shape, reg, rm);
    flags_overwritten(c, written);
    return true;
}

/* The same where form_same() is true: `written` is the guest register that changes. */
static bool move_same(struct compile *c, unsigned written)
{
    flags_prepare(c, 1u << written, false);
    scratch_keep(c);
    form_copy(c, 0);
    flags_overwritten(c, 1u << written);
    return true;
}

/* Between two registers that live in memory */
static bool move_in_memory(struct compile *c, unsigned to, unsigned from)
{
    flags_prepare(c, 1u << to, false);
    unsigned host = scratch_that_holds(c, HELD_GUEST | from);
    scratch_keep(c);
    if (host == HOST_NONE || c->insn->operand_bytes == 4) {
        struct host_operand source = host == HOST_NONE ? guest_operand(from) : operand_register(host);
        host = host == HOST_NONE ? SCRATCH : scratch_other(host);
        emit_load(&c->e, c->insn->operand_bytes, host, source);
        if (!source.memory)
            scratch_note(c, source.base, HELD_GUEST | from);
    }
    form_leave(c, to, host);
    flags_overwritten(c, 1u << to);
    return true;
}

static bool lower_mov(struct compile *c)
{
    unsigned width = c->insn->operand_bytes;
    bool load = c->row->opcode & 2;
    if (form_same(c, true))
        return move_same(c, form_place(load ? c->insn->reg : c->insn->rm, width, true).guest);
    if (width >= 4 && !form_is_memory(c) && !pinned(c->insn->reg) && !pinned(c->insn->rm))
        return move_in_memory(c, load ? c->insn->reg : c->insn->rm, load ? c->insn->rm : c->insn->reg);
    struct form shape = { .op = OP1(c->row->opcode), .reg_read = !load, .reg_written = load,
                           .rm_read = load, .rm_written = !load,
                           .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
    return form_move(c, &shape, true, true);
}

/* MOVZX, MOVSX, MOVSXD */
static bool lower_extend(struct compile *c)
{
    unsigned o = c->row->opcode, from = o == 0x63 ? 4 : o & 1 ? 2 : 1;
    if ((from > 1 && c->insn->operand_bytes == 2) || (from == 4 && c->kind->code_bytes != 8))
        return false;
    if (form_same(c, true))
        return move_same(c, c->insn->reg);
    struct form shape = { .op = from == 4 ? OP1(o) : OP2(o), .reg_written = true, .rm_read = true,
                           .reg_width = c->insn->operand_bytes, .rm_width = (uint8_t)from };
    return form_move(c, &shape, false, true);
}

static bool lower_mov_constant(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool modrm = c->row->modrm & MODRM_PRESENT;
    if (modrm && form_is_memory(c)) {
        struct form shape = { .op = OP1(0xc6 | (width > 1)), .no_reg = true, .rm_written = true,
                               .rm_width = (uint8_t)width, .immediate = (uint8_t)form_immediate_bytes(width) };
        return form_move(c, &shape, false, true);
    }
    struct place to = form_place(insn->rm, width, true);
    unsigned written = 1u << to.guest;
    flags_prepare(c, written, false);
    if (width >= 4) {
        unsigned host = pinned(to.guest) ? host_of(to.guest) : SCRATCH;
        scratch_keep(c);
        emit_constant(&c->e, host, width == 4 ? (uint32_t)insn->imm : insn->imm);
        form_leave(c, to.guest, host);
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
    flags_prepare(c, written, false);
    unsigned host = pinned(insn->reg) ? host_of(insn->reg) : SCRATCH;
    memory_effective_address(c, width == 2 ? SCRATCH : host, width == 2 ? 4 : width);
    if (width == 2) {
        emit_store(&c->e, 2, guest_operand(insn->reg), SCRATCH);
    } else {
        scratch_keep(c);
        form_leave(c, insn->reg, host);
    }
    flags_overwritten(c, written);
    return true;
}

static bool lower_xchg(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    if (form_is_memory(c)) {
        struct form shape = { .op = OP1(0x86 | (width > 1)), .reg_read = true, .reg_written = true,
                               .rm_read = true, .rm_written = true,
                               .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
        return form_move(c, &shape, true, true);
    }
    struct form shape = { .op = OP1(0x86 | (width > 1)), .reg_read = true, .reg_written = true, .rm_read = true,
                           .rm_written = true, .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
    struct place reg = form_place(insn->reg, width, true), rm = form_place(insn->rm, width, true);
    if (reg.guest == rm.guest)
        return false;
    if (!form_encodable(c, &shape, reg, rm))
        return false;
    return form_move(c, &shape, true, true);
}

/* XCHG rAX, r; NOP is XCHG with itself */
static bool lower_xchg_accumulator(struct compile *c)
{
    const struct insn *insn = c->insn;
    if (insn->rm == RAX)
        return insn->operand_bytes != 4 || !(insn->rex & 1);
    unsigned width = insn->operand_bytes, written = 1u << RAX | 1u << insn->rm;
    flags_prepare(c, written, false);
    unsigned host = form_enter(c, insn->rm, SCRATCH, true, width);
    emit_instruction(&c->e, OP1(0x87), width, HOST_RAX, operand_register(host));
    form_leave(c, insn->rm, host);
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
    unsigned host = form_enter(c, insn->rm, SCRATCH, true, width);
    if (width == 8 || host >= 8)
        emit_bytes(&c->e, 0x40 | (width == 8 ? 8 : 0) | host >> 3, 1);
    emit_bytes(&c->e, 0x0f, 1);
    emit_bytes(&c->e, 0xc8 | (host & 7), 1);
    form_leave(c, insn->rm, host);
    flags_overwritten(c, written);
    return true;
}

/* SETcc, CMOVcc */

/* The condition is told before the memory check spoils it. */
static bool lower_set_memory(struct compile *c)
{
    struct emitter *e = &c->e;
    flags_prepare(c, 0, true);
    flags_load(c, c->row->flags_read);
    emit_instruction(e, OP2(c->row->opcode), 4, 0, IN_VCPU(translated.condition));
    struct host_operand to = memory_operand(c, 1, true, true);
    emit_instruction(e, OP2(0xb6), 4, SCRATCH, IN_VCPU(translated.condition)); /* MOVZX */
    emit_store(e, 1, to, SCRATCH);
    return true;
}

static bool lower_set(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct form shape = { .op = OP2(c->row->opcode), .no_reg = true, .rm_written = true, .rm_width = 1 };
    if (form_is_memory(c))
        return lower_set_memory(c);
    struct place rm = form_place(insn->rm, 1, true);
    if (!form_encodable(c, &shape, (struct place){ 0, false }, rm))
        return false;
    unsigned written = 1u << rm.guest;
    flags_prepare(c, written, false);
    flags_load(c, c->row->flags_read);
    form_emit(c, &shape, (struct place){ 0, false }, rm);
    flags_overwritten(c, written);
    return true;
}

static bool lower_cmov(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes, written = 1u << insn->reg;
    struct emitter *e = &c->e;
    flags_prepare(c, written, memory_checks(c));
    scratch_keep(c);
    struct host_operand from = form_source_kept(c, width);
    flags_load(c, c->row->flags_read);
    unsigned host = form_enter(c, insn->reg, SCRATCH, true, width);
    emit_instruction(e, OP2(c->row->opcode), width, host, from);
    form_leave(c, insn->reg, host);
    flags_overwritten(c, written);
    return true;
}

/* CMPXCHG, XADD: all flags are defined */
static bool lower_exchange(struct compile *c, bool compare)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    bool memory = form_is_memory(c);
    struct form shape = { .op = OP2(c->row->opcode), .reg_read = true, .reg_written = !compare, .rm_read = true,
                           .rm_written = true, .reg_width = (uint8_t)width, .rm_width = (uint8_t)width };
    struct place reg = form_place(insn->reg, width, true);
    struct place rm = memory ? (struct place){ 0, false } : form_place(insn->rm, width, true);
    if (!memory || !form_encodable(c, &shape, reg, rm))
        return false;
    unsigned written = form_written(&shape, reg, rm, memory) | (compare ? 1u << RAX : 0);
    flags_prepare(c, written, true);
    form_emit(c, &shape, reg, rm);
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

/* Bits in registers */
static bool lower_bit(struct compile *c, unsigned extension, bool constant)
{
    const struct insn *insn = c->insn;
    unsigned width = insn->operand_bytes;
    if (form_is_memory(c) && constant)
        return lower_bit_memory(c, extension);
    if (form_is_memory(c) || width == 2)
        return false;
    /* Only CF changes; the rest must be there too if it is looked at. */
    unsigned written = extension == 4 ? 0 : 1u << insn->rm;
    unsigned rest = need_after(c) & ~F_C;
    flags_prepare(c, written, false);
    if (rest)
        flags_load(c, rest);
    unsigned host = form_enter(c, insn->rm, SCRATCH2, true, width);
    if (constant) {
        emit_instruction(&c->e, OP2(0xba), width, extension, operand_register(host));
        emit_bytes(&c->e, insn->imm, 1);
    } else {
        unsigned by = form_enter(c, insn->reg, SCRATCH, true, width);
        emit_instruction(&c->e, OP2(0x83 | extension << 3), width, by, operand_register(host));
    }
    if (written)
        form_leave(c, insn->rm, host);
    flags_set(c, FIX_NONE);
    return true;
}

/* Flags by themselves */

/* CMC, CLC, STC, SAHF: some of the flags change; the others must be there if they
 * are looked at. */
static bool lower_flags(struct compile *c)
{
    unsigned rest = need_after(c) & ~(unsigned)c->row->flags_written;
    flags_prepare(c, 0, false);
    if (rest || c->row->flags_read)
        flags_load(c, rest | c->row->flags_read);
    emit_bytes(&c->e, c->row->opcode, 1);
    flags_set(c, FIX_NONE);
    return true;
}

static bool lower_lahf(struct compile *c)
{
    flags_prepare(c, 1u << RAX, false);
    flags_load(c, c->row->flags_read);
    emit_bytes(&c->e, 0x9f, 1);
    flags_overwritten(c, 1u << RAX);
    return true;
}

/* CLD, STD */
static bool lower_direction(struct compile *c, bool down)
{
    flags_prepare(c, 0, true);
    int32_t flag = (int32_t)FLAG_DF;
    emit_alu_constant(&c->e, down ? ALU_OR : ALU_AND, 4, IN_VCPU(s.rflags), down ? flag : ~flag);
    flags_clobbered(c);
    return true;
}

/* MOV of the accumulator from or to memory at a constant offset */
static bool lower_mov_offset(struct compile *c, bool load)
{
    unsigned width = c->insn->operand_bytes, written = load ? 1u << RAX : 0;
    flags_prepare(c, written, true);
    struct host_operand operand = memory_operand(c, width, !load, false);
    if (load)
        emit_load(&c->e, width, HOST_RAX, operand);
    else
        emit_store(&c->e, width, operand, HOST_RAX);
    flags_overwritten(c, written);
    return true;
}

/* Two-byte opcodes */
static bool lower_two(struct compile *c)
{
    unsigned o = c->row->opcode;
    switch (o) {
    case 0xa0: case 0xa8: return lower_push_segment(c, o == 0xa0 ? FS : GS);
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
    case 0xc8:
        return lower_bswap(c);
    case 0xc3:
        return form_move(c, &(struct form){ .op = OP1(0x89), .reg_read = true, .rm_written = true,
                                            .reg_width = c->insn->operand_bytes,
                                            .rm_width = c->insn->operand_bytes }, false, false);
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
        if (extension != 6 || o != 0xff)
            return false;
        return form_is_memory(c) ? lower_push_memory(c) : lower_push(c, false);
    }
    return false;
}

static bool lower_one(struct compile *c)
{
    unsigned o = c->row->opcode;
    switch (o) {
    case 0x06: case 0x0e: case 0x16: case 0x1e: return lower_push_segment(c, o >> 3);
    case 0x40: return lower_step(c, true);
    case 0x48: return lower_step(c, false);
    case 0xa8: case 0xa9: return lower_test(c, true, true);
    case 0x86: case 0x87: return lower_xchg(c);
    case 0x8c: return lower_mov_segment(c);
    case 0xa0: case 0xa1: return lower_mov_offset(c, true);
    case 0xa2: case 0xa3: return lower_mov_offset(c, false);
    case 0x90: return c->row->prefix == OPCODE_PREFIX_ANY && lower_xchg_accumulator(c);
    case 0x9e: case 0xf5: case 0xf8: case 0xf9: return lower_flags(c);
    case 0x9f: return lower_lahf(c);
    case 0xfc: return lower_direction(c, false);
    case 0xfd: return lower_direction(c, true);
    case 0xa4: case 0xa5: case 0xaa: case 0xab: case 0xac: case 0xad: return lower_string(c);
    case 0x98: return lower_widen(c, false);
    case 0x99: return lower_widen(c, true);
    case 0x68: case 0x6a: return lower_push(c, true);
    case 0x69: case 0x6b: return lower_multiply(c, true);
    case 0xc9: return lower_leave(c);
    case 0xf6: case 0xf7: case 0xfe: case 0xff: return lower_group(c);
    }
    return false;
}

static bool lower_test_operands(struct compile *c) { return lower_test(c, false, false); }
static bool lower_push_register(struct compile *c) { return lower_push(c, false); }

/* The most frequent ones are told apart here, the others for each instruction. */
lowering *integer_lowering(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    if (row->map == MAP_TWO)
        return o == 0xb6 || o == 0xb7 || o == 0xbe || o == 0xbf ? lower_extend : lower_two;
    if (row->map != MAP_ONE)
        return NULL;
    if ((o < 0x40 && (o & 7) < 6) || (o >= 0x80 && o <= 0x83))
        return lower_alu;
    switch (o) {
    case 0x50: return lower_push_register;
    case 0x58: return lower_pop;
    case 0x63: return lower_extend;
    case 0x84: case 0x85: return lower_test_operands;
    case 0x88: case 0x89: case 0x8a: case 0x8b: return lower_mov;
    case 0x8d: return lower_lea;
    case 0xb0: case 0xb8: case 0xc6: case 0xc7: return lower_mov_constant;
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: return lower_shift;
    }
    return lower_one;
}
