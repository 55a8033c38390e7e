/*
 * Lowering of what kernels do on their way in and out, at privilege 0 for the most
 * part: CLI, STI, SWAPGS, PUSHFQ, STAC, CLAC, INVLPG, MOV from control registers; and
 * of RDTSC, RDTSCP, the bases of FS and GS, fences, PAUSE. In 64-bit code; elsewhere, and
 * where one of them faults or an interrupt waits for STI, the handlers run.
 *
 * The shadow of STI needs no mark here: the instruction behind it is part of the
 * same chain, which is charged and run as a whole, and nothing that only STI
 * lets in was waiting.
 */
#include "cpu/flags.h"
#include "translator/internal.h"
#include "translator/system.h"

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

void system_need_no_interrupt(struct compile *c)
{
    struct host_operand word = IN_VCPU(interrupt_line);
    word.disp -= 3;
    emit_instruction(&c->e, OP1(0xf7), 4, 0, word); /* TEST */
    emit_bytes(&c->e, 0xff000000, 4);
    memory_leave_if(c, CONDITION_NE);
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
    system_need_no_interrupt(c);
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

/* SMAP is lifted, or in force again: what follows has another MMU index. */
static bool lower_ac(struct compile *c, bool set)
{
    struct emitter *e = &c->e;
    unsigned index = set ? MMU_SUPERVISOR_AC : MMU_SUPERVISOR;
    if (!at_end(c))
        return false;
    flags_prepare(c, 0, true);
    need_privilege_0(c);
    emit_alu_constant(e, set ? ALU_OR : ALU_AND, 4, IN_VCPU(s.rflags),
                      set ? (int32_t)FLAG_AC : ~(int32_t)FLAG_AC);
    emit_lea(e, 8, SCRATCH, operand_memory(VCPU, (int32_t)(offsetof(struct cpu, tlbs)
                                                           + index * sizeof(struct tlb))));
    emit_store(e, 8, IN_VCPU(tlb), SCRATCH);
    c->index = index;
    return true;
}

/* Drops nothing that the guest could miss. */
static bool lower_invlpg(struct compile *c)
{
    flags_prepare(c, 0, true);
    need_privilege_0(c);
    return true;
}

static bool lower_mov_from_control(struct compile *c)
{
    struct emitter *e = &c->e;
    const size_t places[] = { offsetof(struct cpu, s.cr0), 0, offsetof(struct cpu, s.cr2),
                              offsetof(struct cpu, s.cr3), offsetof(struct cpu, s.cr4) };
    unsigned number = c->insn->reg, to = c->insn->rm;
    if (number > 4 || !places[number])
        return false; /* CR8, or #UD */
    flags_prepare(c, 1u << to, true);
    need_privilege_0(c);
    unsigned host = pinned(to) ? host_of(to) : SCRATCH;
    emit_load(e, 8, host, operand_memory(VCPU, (int32_t)places[number]));
    if (!pinned(to))
        emit_store(e, 8, guest_operand(to), SCRATCH);
    flags_overwritten(c, 1u << to);
    return true;
}

/* What was charged beyond the instructions that are done is known here. */
static void load_tsc(struct compile *c)
{
    struct emitter *e = &c->e;
    emit_load(e, 8, SCRATCH, IN_VCPU(budget));
    emit_alu(e, ALU_SUB, 8, SCRATCH, operand_register(REMAINING));
    emit_alu_constant(e, ALU_SUB, 8, operand_register(SCRATCH), (int32_t)(c->count - c->number));
    if (c->translator->engine->cpus[0]->bus.ns_per_instruction != 1)
        emit_instruction(e, OP2(0xaf), 8, SCRATCH, IN_VCPU(bus.ns_per_instruction)); /* IMUL */
    emit_alu(e, ALU_ADD, 8, SCRATCH, IN_VCPU(slice_ns));
    emit_alu(e, ALU_ADD, 8, SCRATCH, IN_VCPU(s.tsc_offset));
}

static bool lower_rdtsc(struct compile *c, bool aux)
{
    struct emitter *e = &c->e;
    unsigned written = 1u << RAX | 1u << RDX | (aux ? 1u << RCX : 0);
    if (!c->translator->engine->cpus[0]->bus.ns_per_instruction)
        return false;
    flags_prepare(c, written, true);
    if (c->index >= MMU_USER) {
        emit_instruction(e, OP1(0xf7), 4, 0, IN_VCPU(s.cr4)); /* TEST */
        emit_bytes(e, CR4_TSD, 4);
        memory_leave_if(c, CONDITION_NE);
    } else {
        need_privilege_0(c); /* TSD stops privileges 1 and 2, too */
    }
    flags_clobbered(c);
    load_tsc(c);
    emit_load(e, 4, HOST_RAX, operand_register(SCRATCH));
    emit_rorx(e, SCRATCH, SCRATCH, 32);
    emit_load(e, 4, HOST_RDX, operand_register(SCRATCH));
    if (aux)
        emit_load(e, 4, HOST_RCX, IN_VCPU(s.tsc_aux));
    flags_overwritten(c, written);
    return true;
}

/* RDFSBASE and its kin, by ModRM.reg. */
static bool lower_base(struct compile *c, unsigned operation)
{
    struct emitter *e = &c->e;
    unsigned width = c->insn->operand_bytes, guest = c->insn->rm, segment = operation & 1 ? GS : FS;
    unsigned written = operation < 2 ? 1u << guest : 0;
    unsigned unused = 64 - c->translator->engine->cpus[0]->model->linear_bits;
    struct host_operand base = IN_VCPU(s.seg[0].base), access = IN_VCPU(access[0].base);
    base.disp += (int32_t)(segment * sizeof(struct segment));
    access.disp += (int32_t)(segment * sizeof(struct segment_access));
    if (width < 4)
        return false;
    flags_prepare(c, written, true);
    emit_instruction(e, OP1(0xf7), 4, 0, IN_VCPU(s.cr4)); /* TEST */
    emit_bytes(e, CR4_FSGSBASE, 4);
    memory_leave_if(c, CONDITION_E);
    if (operation < 2) {
        emit_load(e, width, SCRATCH, base);
        emit_store(e, 8, guest_operand(guest), SCRATCH);
    } else {
        emit_load(e, width, SCRATCH, guest_operand(guest));
        emit_load(e, 8, SCRATCH2, operand_register(SCRATCH));
        emit_instruction(e, OP1(0xc1), 8, 7, operand_register(SCRATCH2)); /* SAR */
        emit_bytes(e, 63 - unused, 1);
        emit_alu_constant(e, ALU_ADD, 8, operand_register(SCRATCH2), 1);
        emit_alu_constant(e, ALU_CMP, 8, operand_register(SCRATCH2), 1);
        memory_leave_if(c, CONDITION_A);
        emit_store(e, 8, base, SCRATCH);
        emit_store(e, 8, access, SCRATCH);
    }
    flags_clobbered(c);
    flags_overwritten(c, written);
    return true;
}

/* Gives up the turn if there are other vCPUs. */
static bool is_idle_pause(const struct compile *c, const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    return row->map == MAP_ONE && row->opcode == 0x90 && row->prefix == OPCODE_PREFIX_PF3
           && !(insn->rex & 1) && !c->translator->engine->cpus[0]->multiprocessor;
}

static bool is_invlpg(const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    return row->map == MAP_TWO && row->opcode == 0x01 && insn->modrm < 0xc0 && (insn->modrm >> 3 & 7) == 7;
}

bool system_continues(const struct compile *c, const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    return (row->map == MAP_ONE && (row->opcode == 0xfa || row->opcode == 0xfb))
           || is_idle_pause(c, insn) || is_invlpg(insn);
}

static bool lower_group_7(struct compile *c)
{
    if (is_invlpg(c->insn))
        return lower_invlpg(c);
    switch (c->insn->modrm) {
    case 0xca: return lower_ac(c, false);
    case 0xcb: return lower_ac(c, true);
    case 0xf8: return lower_swapgs(c);
    case 0xf9: return lower_rdtsc(c, true);
    }
    return false;
}

static bool lower_group_15(struct compile *c)
{
    unsigned extension = c->insn->modrm >> 3 & 7;
    if (c->insn->modrm < 0xc0)
        return false;
    if (c->row->prefix == OPCODE_PREFIX_PF3 && extension < 4)
        return lower_base(c, extension);
    return c->row->prefix == OPCODE_PREFIX_NP && extension >= 5; /* fences */
}

static bool lower_two_byte(struct compile *c)
{
    switch (c->row->opcode) {
    case 0x01: return lower_group_7(c);
    case 0x20: return lower_mov_from_control(c);
    case 0x31: return lower_rdtsc(c, false);
    case 0xae: return lower_group_15(c);
    }
    return false;
}

bool lower_system(struct compile *c)
{
    if (is_idle_pause(c, c->insn))
        return true;
    if (c->kind->code_bytes != 8)
        return false;
    if (c->row->map == MAP_TWO)
        return lower_two_byte(c);
    if (c->row->map != MAP_ONE)
        return false;
    switch (c->row->opcode) {
    case 0x9c: return lower_pushf(c);
    case 0xfa: return lower_cli(c);
    case 0xfb: return lower_sti(c);
    }
    return false;
}
