/*
 * Lowering of SYSCALL and SYSRET between 64-bit code and 64-bit code; see
 * src/cpu/syscall.c for what they do. What is rare, and all that faults or lets an
 * interrupt in that waits, is left to the handlers: EFLAGS.AC on the other side (its
 * accesses have another MMU index), TF, VIF with VIP, SYSRET to 32-bit code.
 *
 * Translated code never runs with RF set (engine_goes_on).
 */
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "translator/internal.h"
#include "translator/system.h"

/* Bytes that are all 0 at privilege 0 of a running vCPU without shadows where NMIs
 * are let in, and none waits, nor SMI or INIT. */
_Static_assert(offsetof(struct cpu_state, init_pending) == offsetof(struct cpu_state, cpl) + 7,
               "compared as one word");

/* The arithmetic flags but OF, as RFLAGS and (8 bits further up) translated.flags have them. */
#define FLAGS_LOW (FLAGS_ARITHMETIC & 0xff)
#define FLAG_OF_BIT 11

enum { SHIFT_LEFT = 4, SHIFT_RIGHT = 5 };

static void shift(struct emitter *e, unsigned direction, unsigned reg, unsigned count)
{
    emit_instruction(e, OP1(0xc1), 4, direction, operand_register(reg));
    emit_bytes(e, count, 1);
}

static void not(struct emitter *e, unsigned reg)
{
    emit_instruction(e, OP1(0xf7), 4, 2, operand_register(reg));
}

/* RFLAGS into SCRATCH; the arithmetic flags are at home. */
static void load_rflags(struct emitter *e)
{
    struct host_operand scratch = operand_register(SCRATCH), scratch2 = operand_register(SCRATCH2);
    emit_load(e, 4, SCRATCH2, IN_VCPU(translated.flags));
    emit_load(e, 4, SCRATCH, scratch2);
    shift(e, SHIFT_RIGHT, SCRATCH2, 8);
    emit_alu_constant(e, ALU_AND, 4, scratch2, FLAGS_LOW);
    emit_alu_constant(e, ALU_AND, 4, scratch, 1);
    shift(e, SHIFT_LEFT, SCRATCH, FLAG_OF_BIT);
    emit_alu(e, ALU_OR, 4, SCRATCH2, scratch);
    emit_load(e, 4, SCRATCH, IN_VCPU(s.rflags));
    emit_alu_constant(e, ALU_AND, 4, scratch, ~(int32_t)(FLAGS_ARITHMETIC | FLAG_RF));
    emit_alu(e, ALU_OR, 4, SCRATCH, scratch2);
}

/* RFLAGS becomes SCRATCH, the arithmetic flags at home too. */
static void store_rflags(struct emitter *e)
{
    struct host_operand scratch = operand_register(SCRATCH), scratch2 = operand_register(SCRATCH2);
    emit_alu_constant(e, ALU_OR, 4, scratch, (int32_t)FLAG_1);
    emit_store(e, 8, IN_VCPU(s.rflags), SCRATCH);
    emit_load(e, 4, SCRATCH2, scratch);
    emit_alu_constant(e, ALU_AND, 4, scratch2, FLAGS_LOW);
    shift(e, SHIFT_LEFT, SCRATCH2, 8);
    shift(e, SHIFT_RIGHT, SCRATCH, FLAG_OF_BIT);
    emit_alu_constant(e, ALU_AND, 4, scratch, 1);
    emit_alu(e, ALU_OR, 4, SCRATCH2, scratch);
    emit_store(e, 4, IN_VCPU(translated.flags), SCRATCH2);
}

static struct host_operand in_segment(unsigned segment, size_t field)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, s.seg) + segment * sizeof(struct segment) + field));
}

/* A flat segment whose selector is SCRATCH. */
static void enter_flat(struct emitter *e, unsigned segment, unsigned rights, unsigned cpl)
{
    unsigned attributes = rights | cpl << SEGMENT_DPL_SHIFT;
    emit_store_constant(e, 8, in_segment(segment, offsetof(struct segment, base)), 0);
    emit_store_constant(e, 4, in_segment(segment, offsetof(struct segment, limit)), -1);
    emit_store(e, 2, in_segment(segment, offsetof(struct segment, selector)), SCRATCH);
    emit_store_constant(e, 2, in_segment(segment, offsetof(struct segment, attributes)), (int16_t)attributes);
}

/* The privilege, and what depends on it in 64-bit code. */
static void enter_privilege(struct compile *c, unsigned cpl, enum mmu_index index)
{
    struct emitter *e = &c->e;
    size_t tlb = offsetof(struct cpu, tlbs) + index * sizeof(struct tlb);
    emit_store_constant(e, 1, IN_VCPU(s.cpl), (int8_t)cpl);
    emit_store_constant(e, 8, IN_VCPU(fetch_linear), TLB_INVALID);
    emit_lea(e, 8, SCRATCH, operand_memory(VCPU, (int32_t)tlb));
    emit_store(e, 8, IN_VCPU(tlb), SCRATCH);
    c->index = index;
}

/* A selector of STAR, with its distance from the one there. */
static void load_selector(struct emitter *e, unsigned from, int distance)
{
    struct host_operand star = IN_VCPU(s.star);
    star.disp += (int32_t)from / 8;
    emit_instruction(e, OP2(0xb7), 4, SCRATCH, star); /* MOVZX */
    if (distance)
        emit_alu_constant(e, ALU_ADD, 4, operand_register(SCRATCH), distance);
}

static void need_enabled(struct compile *c)
{
    emit_instruction(&c->e, OP1(0xf7), 4, 0, IN_VCPU(s.efer)); /* TEST */
    emit_bytes(&c->e, EFER_SCE, 4);
    memory_leave_if(c, CONDITION_E);
}

/* Also to an address that is not canonical: the fetch there faults. */
static void system_jump(struct compile *c)
{
    emit_constant_near(&c->e, PLACE(translated.bad_target), 0);
    compile_indirect(c);
}

bool lower_system_call(struct compile *c)
{
    struct emitter *e = &c->e;
    struct host_operand scratch = operand_register(SCRATCH);
    if (c->kind->code_bytes != 8)
        return false;
    flags_save(c, &c->flags);
    flags_prepare(c, 1u << RCX | 1u << R11, true);
    need_enabled(c);
    emit_load(e, 4, SCRATCH, IN_VCPU(s.sfmask));
    not(e, SCRATCH);
    emit_alu(e, ALU_AND, 4, SCRATCH, IN_VCPU(s.rflags));
    emit_alu_constant(e, ALU_AND, 4, scratch, (int32_t)FLAG_AC);
    memory_leave_if(c, CONDITION_NE);
    flags_clobbered(c);
    load_rflags(e);
    emit_store(e, 8, guest_operand(R11), SCRATCH);
    emit_load(e, 4, SCRATCH2, IN_VCPU(s.sfmask));
    not(e, SCRATCH2);
    emit_alu(e, ALU_AND, 4, SCRATCH, operand_register(SCRATCH2));
    store_rflags(e);
    emit_constant(e, HOST_RCX, insn_end(c));
    load_selector(e, 32, 8);
    enter_flat(e, SS, SEGMENT_FLAT_DATA | SEGMENT_DB, 0);
    load_selector(e, 32, 0);
    emit_alu_constant(e, ALU_AND, 4, scratch, 0xfffc);
    enter_flat(e, CS, SEGMENT_FLAT_CODE | SEGMENT_L, 0);
    enter_privilege(c, 0, MMU_SUPERVISOR);
    flags_overwritten(c, 1u << RCX | 1u << R11);
    compile_fixup(c);
    emit_load(e, 8, SCRATCH, IN_VCPU(s.lstar));
    system_jump(c);
    return true;
}

/* Nothing waits that SYSRET could let in, and R11 asks for nothing special. */
static void check_return(struct compile *c, bool amd)
{
    struct emitter *e = &c->e;
    emit_alu_constant(e, ALU_CMP, 8, IN_VCPU(s.cpl), 0);
    memory_leave_if(c, CONDITION_NE);
    need_enabled(c);
    system_need_no_interrupt(c);
    emit_instruction(e, OP1(0xf7), 4, 0, guest_operand(R11)); /* TEST */
    emit_bytes(e, FLAG_TF | FLAG_AC | FLAG_VIF | FLAG_VIP, 4);
    memory_leave_if(c, CONDITION_NE);
    if (amd)
        return;
    emit_load(e, 8, SCRATCH, guest_operand(RCX));
    branch_check_target(c, -1);
}

bool lower_system_return(struct compile *c)
{
    struct emitter *e = &c->e;
    struct host_operand scratch = operand_register(SCRATCH);
    bool amd = cpu_model_is_amd(c->translator->engine->cpus[0]->model);
    if (c->kind->code_bytes != 8 || c->insn->operand_bytes != 8)
        return false;
    flags_save(c, &c->flags);
    flags_prepare(c, 0, true);
    check_return(c, amd);
    flags_clobbered(c);
    emit_load(e, 4, SCRATCH, guest_operand(R11));
    emit_alu_constant(e, ALU_AND, 4, scratch, SYSRET_FLAGS);
    store_rflags(e);
    load_selector(e, 48, 8);
    emit_alu_constant(e, ALU_OR, 4, scratch, 3);
    if (amd) /* only the selector */
        emit_store(e, 2, in_segment(SS, offsetof(struct segment, selector)), SCRATCH);
    else
        enter_flat(e, SS, SEGMENT_FLAT_DATA | SEGMENT_DB, 3);
    load_selector(e, 48, 16);
    emit_alu_constant(e, ALU_OR, 4, scratch, 3);
    enter_flat(e, CS, SEGMENT_FLAT_CODE | SEGMENT_L, 3);
    enter_privilege(c, 3, MMU_USER);
    compile_fixup(c);
    emit_load(e, 8, SCRATCH, guest_operand(RCX));
    system_jump(c);
    return true;
}
