/*
 * Lowering of what kernels do on their way in and out, at privilege 0: CLI, STI,
 * SWAPGS, PUSHFQ. Elsewhere, and where an interrupt waits for STI, the handlers
 * run.
 *
 * The shadow of STI needs no mark here: the instruction behind it is part of the
 * same chain, which is charged and run as a whole, and nothing that only STI
 * lets in was waiting.
 */
#include "cpu/flags.h"
#include "translator/compile.h"

/* Bytes that are all 0 at privilege 0 of a running vCPU without shadows. */
_Static_assert(offsetof(struct cpu_state, cpl) % 4 == 0
                   && offsetof(struct cpu_state, shadow_mov_ss) == offsetof(struct cpu_state, cpl) + 3,
               "compared as one word");
/* The last byte of a word of flags. */
_Static_assert(offsetof(struct cpu, interrupt_line) % 4 == 3 && sizeof(bool) == 1, "tested as a word");

static void need_privilege_0(struct compile *c)
{
    emit_alu_constant(&c->e, ALU_CMP, 4, IN_VCPU(s.cpl), 0);
    memory_leave_if(c, CONDITION_NE);
    flags_clobbered(c);
}

static bool lower_cli(struct compile *c)
{
    flags_prepare(c, 0, true);
    need_privilege_0(c);
    emit_alu_constant(&c->e, ALU_AND, 4, IN_VCPU(s.rflags), ~(int32_t)FLAG_IF);
    return true;
}

static bool lower_sti(struct compile *c)
{
    if (at_end(c))
        return false;
    flags_prepare(c, 0, true);
    need_privilege_0(c);
    struct host_operand word = IN_VCPU(interrupt_line);
    word.disp -= 3;
    emit_instruction(&c->e, OP1(0xf7), 4, 0, word); /* TEST */
    emit_bytes(&c->e, 0xff000000, 4);
    memory_leave_if(c, CONDITION_NE);
    emit_alu_constant(&c->e, ALU_OR, 4, IN_VCPU(s.rflags), FLAG_IF);
    return true;
}

static bool lower_swapgs(struct compile *c)
{
    struct emitter *e = &c->e;
    flags_prepare(c, 0, true);
    need_privilege_0(c);
    emit_load(e, 8, SCRATCH, IN_VCPU(s.seg[GS].base));
    emit_load(e, 8, SCRATCH2, IN_VCPU(s.kernel_gs_base));
    emit_store(e, 8, IN_VCPU(s.kernel_gs_base), SCRATCH);
    emit_store(e, 8, IN_VCPU(s.seg[GS].base), SCRATCH2);
    emit_store(e, 8, IN_VCPU(access[GS].base), SCRATCH2);
    return true;
}

/* The host's PUSHFQ gives the arithmetic flags; it writes below the vCPU. */
static bool lower_pushf(struct compile *c)
{
    struct emitter *e = &c->e;
    if (c->insn->operand_bytes != 8)
        return false;
    flags_prepare(c, 1u << RSP, true);
    flags_load(c, F_ARITH);
    emit_bytes(e, 0x9c, 1);   /* PUSHFQ */
    emit_bytes(e, 0x5b41, 2); /* POP R11 */
    emit_load(e, 4, SCRATCH2, IN_VCPU(s.rflags));
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH), (int32_t)FLAGS_ARITHMETIC);
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH2),
                      ~(int32_t)(FLAGS_ARITHMETIC | FLAG_VM | FLAG_RF));
    emit_alu(e, ALU_OR, 4, SCRATCH, operand_register(SCRATCH2));
    emit_alu_constant(e, ALU_OR, 4, operand_register(SCRATCH), (int32_t)FLAG_1);
    flags_clobbered(c);
    emit_store(e, 8, IN_VCPU(translated.value), SCRATCH);
    struct host_operand top = memory_stack(c, RSP, -8, 8, true);
    emit_load(e, 8, SCRATCH, IN_VCPU(translated.value));
    emit_store(e, 8, top, SCRATCH);
    emit_lea(e, 8, host_of(RSP), operand_memory(host_of(RSP), -8));
    flags_overwritten(c, 1u << RSP);
    return true;
}

bool system_continues(const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    return row->map == MAP_ONE && (row->opcode == 0xfa || row->opcode == 0xfb);
}

bool lower_system(struct compile *c)
{
    if (c->kind->code_bytes != 8)
        return false;
    if (c->row->map == MAP_TWO)
        return c->row->opcode == 0x01 && c->insn->modrm == 0xf8 && lower_swapgs(c);
    if (c->row->map != MAP_ONE)
        return false;
    switch (c->row->opcode) {
    case 0x9c: return lower_pushf(c);
    case 0xfa: return lower_cli(c);
    case 0xfb: return lower_sti(c);
    }
    return false;
}
