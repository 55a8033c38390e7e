/*
 * Lowering of near branches.
 *
 * Not here, and so run by their handlers: LOOPE and LOOPNE, branches of 64-bit
 * code that a 66 prefix cuts to 16 bits, targets outside of CS, far transfers.
 */
#include "translator/scratch.h"
#include "translator/system.h"

/* Bits above those of a canonical address. */
static unsigned unused_bits(const struct compile *c)
{
    return c->kind->la57 ? 7 : 16;
}

/* Whether CS has the offset: canonical, or within its limit. */
static bool target_fits(const struct compile *c, uint64_t target)
{
    unsigned unused = unused_bits(c);
    if (c->kind->code_bytes != 8)
        return target <= c->kind->cs_limit;
    return (uint64_t)((int64_t)(target << unused) >> unused) == target;
}

static uint64_t branch_target(const struct compile *c)
{
    uint64_t target = insn_end(c) + c->insn->imm;
    unsigned bytes = c->insn->operand_bytes;
    return bytes == 8 ? target : target & bits_ones(bytes);
}

/* Bits of translated.flags for the conditions that one TEST can tell; 0: none. */
static unsigned home_mask(unsigned condition)
{
    static const uint16_t mask[8] = { 0x0001, 0x0100, 0x4000, 0x4100, 0x8000, 0x0400, 0, 0 };
    return mask[condition >> 1];
}

static bool lower_conditional(struct compile *c)
{
    unsigned condition = c->row->opcode & 15;
    uint64_t target = branch_target(c), next = insn_end(c);
    bool last = at_end(c), taken = c->part->taken;
    if (!target_fits(c, target))
        return false;
    struct flags_state *f = &c->flags;
    scratch_keep(c);
    if (!f->home && f->recipe == RECIPE_NONE)
        flags_save(c, f); /* whoever follows may need them */
    bool loops = last && compile_comes_back(c, target);
    if (!f->live && f->recipe == RECIPE_NONE && home_mask(condition)) {
        if (last && !loops)
            compile_fixup(c);
        emit_instruction(&c->e, OP1(0xf7), 4, 0, IN_VCPU(translated.flags)); /* TEST */
        emit_bytes(&c->e, home_mask(condition), 4);
        condition = condition & 1 ? CONDITION_E : CONDITION_NE;
    } else {
        flags_load(c, c->row->flags_read);
        if (last && !loops)
            compile_fixup(c);
    }
    if (loops) {
        compile_loop(c, (enum condition)condition, next);
        return true;
    }
    if (!last) {
        compile_side_exit(c, (enum condition)(taken ? condition ^ 1 : condition), taken ? next : target);
        return true;
    }
    compile_edge(c, (int)condition, target, false);
    compile_edge(c, -1, next, false);
    return true;
}

void branch_check_target(struct compile *c, int32_t undo)
{
    struct emitter *e = &c->e;
    uint32_t limit = c->kind->cs_limit;
    if (c->kind->code_bytes == 8 && undo >= 0) {
        memory_bad_target(c, undo);
        return;
    }
    if (c->kind->code_bytes == 8) {
        emit_load(e, 8, SCRATCH2, operand_register(SCRATCH));
        emit_instruction(e, OP1(0xc1), 8, 7, operand_register(SCRATCH2)); /* SAR */
        emit_bytes(e, 63 - unused_bits(c), 1);
        emit_alu_constant(e, ALU_ADD, 8, operand_register(SCRATCH2), 1);
        emit_alu_constant(e, ALU_CMP, 8, operand_register(SCRATCH2), 1);
    } else {
        if (limit >= bits_ones(c->insn->operand_bytes))
            return;
        emit_alu_constant(e, ALU_CMP, 4, operand_register(SCRATCH), (int32_t)limit);
    }
    memory_leave_if(c, CONDITION_A);
    flags_clobbered(c);
}

static void push_return(struct compile *c)
{
    struct emitter *e = &c->e;
    uint64_t address = insn_end(c);
    unsigned width = c->insn->operand_bytes;
    struct host_operand top = memory_stack(c, RSP, -(int32_t)width, width, true);
    if (width < 8 || address == (uint64_t)(int32_t)address) {
        emit_store_constant(e, width, top, (int32_t)address);
    } else {
        emit_constant(e, SCRATCH, address);
        emit_store(e, 8, top, SCRATCH);
    }
    stack_move(c, RSP, -(int32_t)width);
}

/* A target in `from` of the operand size, zero-extended into SCRATCH. */
static void load_target(struct compile *c, struct host_operand from)
{
    unsigned width = c->insn->operand_bytes;
    if (width == 2)
        emit_instruction(&c->e, OP2(0xb7), 4, SCRATCH, from); /* MOVZX */
    else
        emit_load(&c->e, width, SCRATCH, from);
}

/* To the target, unless the chain goes on there. */
static void jump(struct compile *c)
{
    if (at_end(c)) {
        compile_fixup(c);
        compile_edge(c, -1, branch_target(c), false);
    }
}

static bool lower_call(struct compile *c)
{
    if (!target_fits(c, branch_target(c)))
        return false;
    flags_prepare(c, 1u << RSP, true);
    push_return(c);
    flags_overwritten(c, 1u << RSP);
    jump(c);
    return true;
}

static bool lower_return(struct compile *c, bool release)
{
    flags_defer(c);
    flags_prepare(c, 1u << RSP, true);
    int32_t width = c->insn->operand_bytes;
    int32_t up = width + (release ? (int32_t)(c->insn->imm & 0xffff) : 0);
    load_target(c, memory_stack(c, RSP, 0, (unsigned)width, false));
    branch_check_target(c, up);
    stack_move(c, RSP, up);
    compile_fixup_indirect(c);
    compile_indirect(c);
    return true;
}

static bool lower_indirect(struct compile *c, bool call)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    bool memory = insn->modrm < 0xc0;
    if (!memory && insn->rm == RSP)
        return false;
    flags_defer(c);
    flags_prepare(c, call ? 1u << RSP : 0, true);
    if (memory)
        memory_load(c, insn->operand_bytes);
    else
        load_target(c, guest_operand(insn->rm));
    if (memory && call)
        emit_store(e, 8, IN_VCPU(translated.value), SCRATCH);
    branch_check_target(c, call ? -1 : 0);
    if (call) {
        push_return(c);
        load_target(c, memory ? IN_VCPU(translated.value) : guest_operand(insn->rm));
    }
    compile_fixup_indirect(c);
    compile_indirect(c);
    return true;
}

bool branch_continues(const struct compile *c, const struct insn *insn, uint64_t end, uint64_t *target,
                      bool *fallthrough)
{
    const struct opcode_row *row = row_of(insn);
    unsigned o = row->opcode;
    *target = end + insn->imm;
    *fallthrough = row->map == MAP_TWO ? o >= 0x80 && o <= 0x8f : o >= 0x70 && o <= 0x7f;
    bool jumps = row->map == MAP_ONE && (o == 0xe8 || o == 0xe9 || o == 0xeb);
    return insn->code_bytes == 8 && insn->operand_bytes == 8 && target_fits(c, *target)
           && ((row->map <= MAP_TWO && *fallthrough) || jumps);
}

/* LOOP, JRCXZ: over a jump by JRCXZ, so that flags stay as they are. */
static void count_in_rcx(struct compile *c, bool loop)
{
    struct emitter *e = &c->e;
    uint64_t target = branch_target(c), next = insn_end(c);
    unsigned written = loop ? 1u << RCX : 0;
    flags_prepare(c, written, false);
    if (loop)
        emit_lea(e, 8, HOST_RCX, operand_memory(HOST_RCX, -1));
    flags_overwritten(c, written);
    compile_fixup(c);
    emit_bytes(e, 0x05e3, 2); /* JRCXZ over 5 bytes */
    compile_edge(c, -1, loop ? target : next, false);
    compile_edge(c, -1, loop ? next : target, false);
}

/* LOOP and JCXZ, of any address size. */
static bool lower_counted(struct compile *c, bool loop)
{
    unsigned width = (64u - c->insn->address_shift) / 8;
    struct emitter *e = &c->e;
    if (!target_fits(c, branch_target(c)))
        return false;
    if (width == 8) {
        count_in_rcx(c, loop);
        return true;
    }
    flags_prepare(c, loop ? 1u << RCX : 0, true);
    if (loop) {
        emit_lea(e, width, HOST_RCX, operand_memory(HOST_RCX, -1));
        flags_overwritten(c, 1u << RCX);
    }
    flags_clobbered(c);
    compile_fixup(c);
    emit_test(e, width, operand_register(HOST_RCX), HOST_RCX);
    compile_edge(c, loop ? CONDITION_NE : CONDITION_E, branch_target(c), false);
    compile_edge(c, -1, insn_end(c), false);
    return true;
}

bool lower_branch(struct compile *c)
{
    unsigned o = c->row->opcode, extension = c->insn->modrm >> 3 & 7;
    if (c->insn->attributes & STRING)
        return lower_repeated(c);
    if (c->row->map == MAP_TWO && (o == 5 || o == 7))
        return o == 5 ? lower_system_call(c) : lower_system_return(c);
    if ((c->insn->operand_bytes == 8) != (c->kind->code_bytes == 8))
        return false;
    if (c->row->map == MAP_TWO)
        return o >= 0x80 && o <= 0x8f && lower_conditional(c);
    if (c->row->map != MAP_ONE)
        return false;
    if (o >= 0x70 && o <= 0x7f)
        return lower_conditional(c);
    switch (o) {
    case 0xe9: case 0xeb:
        if (!target_fits(c, branch_target(c)))
            return false;
        jump(c);
        return true;
    case 0xe2: case 0xe3: return lower_counted(c, o == 0xe2);
    case 0xe8: return lower_call(c);
    case 0xc2: return lower_return(c, true);
    case 0xc3: return lower_return(c, false);
    case 0xff:
        if (extension == 2 || extension == 4)
            return lower_indirect(c, extension == 2);
        return false;
    }
    return false;
}
