/*
 * The common pieces of translated code: the way in and out, and the calls of
 * handlers. A handler finds the vCPU as in the interpreter: registers, flags and
 * the place in the block are stored before, and loaded again after.
 */
#include <string.h>

#include "cpu/flags.h"
#include "cpu/fp.h"
#include "cpu/memory.h"
#include "translator/internal.h"

/* Flags between their three forms. */

void pieces_flags_to_home(struct cpu *cpu)
{
    uint64_t f = flags_get(cpu);
    cpu->translated.flags = (uint32_t)((f & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)) << 8
                                       | (f & FLAG_OF ? 1 : 0));
}

void pieces_flags_from_home(struct cpu *cpu)
{
    uint32_t home = cpu->translated.flags;
    flags_put(cpu, (home >> 8 & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)) | (home & 1 ? FLAG_OF : 0));
}

/* Calls from translated code */

/* Whether the handler looks at the flags or sets them. */
static bool flags_used(const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    return row->map == MAP_COUNT || row->flags_read || row->flags_written || insn->attributes & SETS_RIP
           || insn->attributes & ENDS_BLOCK;
}

static void count_call(struct translator *t, const struct site *site, const struct insn *insn)
{
    if (site->lowered) {
        t->statistics.slow_paths++;
        t->statistics.slow_loads += site->load != 0;
        return;
    }
    t->statistics.fallbacks++;
    t->row_fallbacks[insn->row < opcode_row_count ? insn->row : 0]++;
}

/* No instruction runs. */
static void leave_handler(struct cpu *cpu)
{
    cpu->current = cpu->block_start = cpu->block_end = NULL;
    cpu->block_count = 0;
}

/* The first `done` instructions of the block have run: what the slice was
 * charged for the rest of the translation comes back. */
static uint64_t leave_at(struct cpu *cpu, const struct site *site, unsigned done, uint64_t reason)
{
    cpu->remaining += site->charged - done;
    leave_handler(cpu);
    return reason;
}

/* One more than the block has: whoever ends the block (cpu_end_block) then
 * shows, also at the last instruction. */
static const struct insn *block_watch(const struct block *block)
{
    return block->insns + block->count + 1;
}

static void settle_site(struct cpu *cpu, struct translator *t, const struct site *site)
{
    if (site->deferred)
        settle_deferred(cpu, t);
}

static void settle_windows(struct cpu *cpu, struct translator *t, const struct site *site)
{
    if (unlikely(cpu->windows.wanted | cpu->windows.conflict))
        window_settle(cpu, t, site->translation);
}

static uint64_t call_settle(struct cpu *cpu, struct translator *t, uint32_t number)
{
    (void)number;
    settle_deferred(cpu, t);
    return LEAVE_NOT;
}

/* The vCPU as the interpreter has it while the site's instruction runs. */
static void enter_handler(struct cpu *cpu, const struct site *site)
{
    const struct block *block = site->block;
    cpu->s.gpr[RIP] = site->rip;
    cpu->block_start = block->insns;
    cpu->block_end = block_watch(block);
    cpu->block_count = site->charged;
    cpu->current = &block->insns[site->insn];
}

/* At a boundary, with the flags at home and what the slice is not charged for given
 * back: goes on with the block at RIP, which the table of indirect jumps finds, unless
 * the run loop has something to look at. */
static uint64_t go_on(struct cpu *cpu, struct translator *t, uint64_t reason)
{
    uint64_t target = cpu->s.gpr[RIP];
    unsigned kind = kind_now(t, cpu);
    if (kind == KIND_NONE || !engine_goes_on(cpu))
        return reason;
    cpu->translated.value = cpu->translated.jumps[cpu->tlb - cpu->tlbs][translator_jump_slot(target)];
    cpu->translated.target = kind_target(t, kind, target);
    cpu->translated.flags_fixup = 0;
    cpu->translated.bad_target = 0;
    cpu->translated.vectors = cpu->translated.x87 = 0; /* a piece stored them */
    return LEAVE_JUMP;
}

/* The site's instruction raised an exception, whose delivery follows. Flags are in
 * the interpreter's form. If the delivery is the slice's last, the run loop does it. */
static uint64_t fault_at(struct cpu *cpu, struct translator *t, const struct site *site)
{
    const struct insn *insn = &site->block->insns[site->insn];
    cpu->s.gpr[RIP] = (site->rip + insn->end - insn->length) & cpu->rip_mask;
    leave_at(cpu, site, site->insn, LEAVE_FAULT);
    bool last = cpu->remaining <= 1;
    if (!last)
        engine_deliver(cpu);
    pieces_flags_to_home(cpu);
    return last ? LEAVE_FAULT : go_on(cpu, t, LEAVE_HANDLER);
}

static uint64_t call_fallback(struct cpu *cpu, struct translator *t, uint32_t number)
{
    const struct site *site = &t->sites[number];
    const struct block *block = site->block;
    const struct insn *insn = &block->insns[site->insn];
    count_call(t, site, insn);
    settle_site(cpu, t, site);
    enter_handler(cpu, site);
    uint32_t version = cpu->tlb_version;
    bool flags = flags_used(insn);
    if (flags)
        pieces_flags_from_home(cpu);
    int status = insn->handler(cpu, insn);
    if (unlikely(status)) {
        if (!flags)
            pieces_flags_from_home(cpu);
        return fault_at(cpu, t, site);
    }
    if (flags)
        pieces_flags_to_home(cpu);
    settle_windows(cpu, t, site);
    bool ended = cpu->block_end != block_watch(block);
    bool moved = cpu->attention || cpu->tlb_version != version || kind_now(t, cpu) != site->translation->kind
                 || cpu->tlb != &cpu->tlbs[site->translation->index];
    if (ended || moved) {
        cpu->s.gpr[RIP] = insn_next(cpu, insn);
        return go_on(cpu, t, leave_at(cpu, site, site->insn + 1u, LEAVE_HANDLER));
    }
    leave_handler(cpu);
    return LEAVE_NOT;
}

/* Runs an instruction that sets RIP or is the last of its block; a repeated
 * string instruction that has more to do again while the slice lasts. LEAVE_NOT: code
 * is what it was, and nothing is to be looked at. */
static uint64_t run_jump(struct cpu *cpu, struct translator *t, const struct site *site)
{
    const struct block *block = site->block;
    const struct insn *insn = &block->insns[site->insn];
    count_call(t, site, insn);
    uint64_t start = site->rip + insn->end - insn->length;
    bool plain;
    settle_site(cpu, t, site);
    enter_handler(cpu, site);
    pieces_flags_from_home(cpu);
    for (;;) {
        cpu->s.gpr[RIP] = site->rip;
        if (unlikely(insn->handler(cpu, insn)))
            return fault_at(cpu, t, site);
        if (!(insn->attributes & SETS_RIP))
            cpu->s.gpr[RIP] = insn_next(cpu, insn);
        plain = !cpu->attention && cpu->block_end == block_watch(block);
        if (!plain || cpu->s.gpr[RIP] != start || cpu->remaining <= 0 || !(insn->attributes & STRING))
            break;
        cpu->remaining--;
    }
    pieces_flags_to_home(cpu);
    settle_windows(cpu, t, site);
    leave_at(cpu, site, block->count, LEAVE_NOT);
    return plain ? LEAVE_NOT : go_on(cpu, t, LEAVE_HANDLER);
}

static uint64_t call_jump(struct cpu *cpu, struct translator *t, uint32_t number)
{
    uint64_t reason = run_jump(cpu, t, &t->sites[number]);
    return reason ? reason : go_on(cpu, t, LEAVE_HANDLER);
}

/* A repeated string instruction: goes on behind it when it is done. */
static uint64_t call_string(struct cpu *cpu, struct translator *t, uint32_t number)
{
    const struct site *site = &t->sites[number];
    uint32_t version = cpu->tlb_version;
    uint64_t reason = run_jump(cpu, t, site);
    if (reason)
        return reason;
    bool done = cpu->s.gpr[RIP] == site->rip + site->block->insns[site->insn].end;
    return done && cpu->tlb_version == version ? LEAVE_NOT : LEAVE_HANDLER;
}

/* Only the load of the memory operand, if it is plain memory; otherwise the
 * whole instruction, after which the block ends. */
static uint64_t call_slow_load(struct cpu *cpu, struct translator *t, uint32_t number)
{
    const struct site *site = &t->sites[number];
    const struct block *block = site->block;
    const struct insn *insn = &block->insns[site->insn];
    count_call(t, site, insn);
    settle_site(cpu, t, site);
    enter_handler(cpu, site);
    uint64_t address = insn_address(cpu, insn);
    pieces_flags_from_home(cpu);
    uint32_t version = cpu->tlb_version;
    int status = memory_probe_read(cpu, insn->seg, address, site->load);
    bool kept = !status && cpu->tlb_version == version;
    const uint8_t *host = kept ? memory_fast_read(cpu, insn->seg, address, site->load) : NULL;
    if (host) {
        cpu->translated.value = 0;
        memcpy(&cpu->translated.value, host, site->load);
        settle_windows(cpu, t, site);
        leave_handler(cpu);
        return LEAVE_NOT;
    }
    if (!status)
        status = insn->handler(cpu, insn);
    if (status)
        return fault_at(cpu, t, site);
    pieces_flags_to_home(cpu);
    if (!(insn->attributes & SETS_RIP))
        cpu->s.gpr[RIP] = insn_next(cpu, insn);
    return go_on(cpu, t, leave_at(cpu, site, site->insn + 1u, LEAVE_HANDLER));
}

/* Common pieces of code */

static const uint8_t pinned_registers[] = { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R12, R13 };
static const uint8_t callee_saved[] = { HOST_RBX, HOST_RBP, HOST_R12, HOST_R13, HOST_R14, HOST_R15 };

/* `above`: bytes on the stack below the vCPU. */
static void store_registers(struct emitter *e, int32_t above)
{
    for (unsigned i = 0; i < sizeof pinned_registers; i++)
        emit_store(e, 8, block_state_operand(pinned_registers[i], above), host_of(pinned_registers[i]));
    emit_store(e, 8, operand_memory(VCPU, (int32_t)offsetof(struct cpu, remaining) + above), REMAINING);
}

static void load_registers(struct emitter *e, int32_t above)
{
    for (unsigned i = 0; i < sizeof pinned_registers; i++)
        emit_load(e, 8, host_of(pinned_registers[i]), block_state_operand(pinned_registers[i], above));
    emit_load(e, 8, REMAINING, operand_memory(VCPU, (int32_t)offsetof(struct cpu, remaining) + above));
}

/* Back to the caller of `enter`, with the reason in RAX. */
static void return_to_caller(struct emitter *e)
{
    emit_load(e, 8, HOST_RSP, IN_VCPU(translated.host_stack));
    for (unsigned i = sizeof callee_saved; i-- > 0;) {
        if (callee_saved[i] >= 8)
            emit_bytes(e, 0x41, 1);
        emit_bytes(e, 0x58 | (callee_saved[i] & 7), 1); /* POP */
    }
    emit_bytes(e, 0xc3, 1);
}

/* XMM registers. `above` as for store_registers. */

static struct host_operand vector_operand(unsigned number, int32_t above)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, s.vector) + 32 * number) + above);
}

static struct host_operand in_vcpu(size_t offset, int32_t above)
{
    return operand_memory(VCPU, (int32_t)offset + above);
}

/* Values of translated.vectors; one more: in the state, but wanted in the host. */
enum { IN_STATE, IN_XMM, XMM_WANTED, IN_YMM, YMM_WANTED };

static void ymm_instruction(struct emitter *e, unsigned opcode, unsigned i, int32_t above)
{
    emit_vex(e, OP2(opcode), 4, true, i, 0, vector_operand(i, above)); /* VMOVUPS */
}

/* If they are in the host's registers: to the state, and the host's MXCSR is
 * the caller's again. Spoils RAX. */
static void store_vectors(struct emitter *e, int32_t above, bool again)
{
    struct host_operand where = in_vcpu(offsetof(struct cpu, translated.vectors), above);
    struct host_operand ax = operand_register(HOST_RAX);
    emit_load(e, 4, HOST_RAX, where);
    emit_alu_constant(e, ALU_CMP, 4, ax, IN_XMM);
    uint8_t *xmm = emit_jump_if(e, CONDITION_E, NULL);
    emit_alu_constant(e, ALU_CMP, 4, ax, IN_YMM);
    uint8_t *over = emit_jump_if(e, CONDITION_NE, NULL);
    for (unsigned i = 0; i < 16; i++)
        ymm_instruction(e, 0x11, i, above);
    emit_bytes(e, 0x77f8c5, 3); /* VZEROUPPER */
    uint8_t *both = emit_jump(e, NULL);
    emit_patch(xmm, e->at);
    for (unsigned i = 0; i < 16; i++)
        emit_instruction(e, OP2(0x29), 4, i, vector_operand(i, above)); /* MOVAPS */
    emit_patch(both, e->at);
    emit_instruction(e, OP2(0xae), 4, 3, in_vcpu(offsetof(struct cpu, s.mxcsr), above)); /* STMXCSR */
    emit_instruction(e, OP2(0xae), 4, 2, in_vcpu(offsetof(struct cpu, translated.host_mxcsr), above));
    if (again)
        emit_alu_constant(e, ALU_ADD, 4, where, XMM_WANTED - IN_XMM);
    else
        emit_store_constant(e, 4, where, IN_STATE);
    emit_patch(over, e->at);
}

static void load_mxcsr(struct emitter *e, int32_t above, int32_t now)
{
    emit_instruction(e, OP2(0xae), 4, 2, in_vcpu(offsetof(struct cpu, s.mxcsr), above)); /* LDMXCSR */
    emit_store_constant(e, 4, in_vcpu(offsetof(struct cpu, translated.vectors), above), now);
}

static void load_vectors(struct emitter *e, int32_t above)
{
    for (unsigned i = 0; i < 16; i++)
        emit_instruction(e, OP2(0x28), 4, i, vector_operand(i, above)); /* MOVAPS */
    load_mxcsr(e, above, IN_XMM);
}

/* Those that are wanted. Spoils RAX. */
static void load_vectors_again(struct emitter *e, int32_t above)
{
    emit_load(e, 4, HOST_RAX, in_vcpu(offsetof(struct cpu, translated.vectors), above));
    emit_alu_constant(e, ALU_CMP, 4, operand_register(HOST_RAX), XMM_WANTED);
    uint8_t *xmm = emit_jump_if(e, CONDITION_E, NULL);
    emit_alu_constant(e, ALU_CMP, 4, operand_register(HOST_RAX), YMM_WANTED);
    uint8_t *over = emit_jump_if(e, CONDITION_NE, NULL);
    for (unsigned i = 0; i < 16; i++)
        ymm_instruction(e, 0x10, i, above);
    load_mxcsr(e, above, IN_YMM);
    uint8_t *done = emit_jump(e, NULL);
    emit_patch(xmm, e->at);
    load_vectors(e, above);
    emit_patch(done, e->at);
    emit_patch(over, e->at);
}

#define MXCSR_MASKS 0x1f80

/* Loads XMM if no instruction could raise an exception; otherwise it goes to the
 * places in `refused`. */
static void try_vectors(struct emitter *e, uint8_t *refused[3])
{
    emit_instruction(e, OP1(0xf7), 4, 0, in_vcpu(offsetof(struct cpu, s.cr0), 8)); /* TEST */
    emit_bytes(e, CR0_TS | CR0_EM, 4);
    refused[0] = emit_jump_if(e, CONDITION_NE, NULL);
    emit_instruction(e, OP1(0xf7), 4, 0, in_vcpu(offsetof(struct cpu, s.cr4), 8));
    emit_bytes(e, CR4_OSFXSR, 4);
    refused[1] = emit_jump_if(e, CONDITION_E, NULL);
    emit_load(e, 4, SCRATCH, in_vcpu(offsetof(struct cpu, s.mxcsr), 8));
    emit_instruction(e, OP1(0xf7), 4, 2, operand_register(SCRATCH)); /* NOT */
    emit_instruction(e, OP1(0xf7), 4, 0, operand_register(SCRATCH));
    emit_bytes(e, MXCSR_MASKS, 4);
    refused[2] = emit_jump_if(e, CONDITION_NE, NULL);
    load_vectors(e, 8);
}

/* Called: ZF is clear if they are loaded. */
static uint8_t *vectors_piece(struct emitter *e)
{
    uint8_t *start = e->at, *refused[3];
    try_vectors(e, refused);
    for (unsigned i = 0; i < 3; i++)
        emit_patch(refused[i], e->at);
    emit_alu_constant(e, ALU_CMP, 4, in_vcpu(offsetof(struct cpu, translated.vectors), 8), IN_STATE);
    emit_bytes(e, 0xc3, 1);
    return start;
}

/* Called: loads the upper halves too, where AVX is enabled. ZF is set if they are. */
static uint8_t *wide_piece(struct emitter *e)
{
    uint8_t *start = e->at, *refused[5];
    struct host_operand where = in_vcpu(offsetof(struct cpu, translated.vectors), 8);
    emit_instruction(e, OP1(0xf7), 4, 0, in_vcpu(offsetof(struct cpu, s.cr4), 8)); /* TEST */
    emit_bytes(e, CR4_OSXSAVE, 4);
    refused[3] = emit_jump_if(e, CONDITION_E, NULL);
    emit_load(e, 4, SCRATCH, in_vcpu(offsetof(struct cpu, s.xcr0), 8));
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH), 6); /* SSE, AVX */
    emit_alu_constant(e, ALU_CMP, 4, operand_register(SCRATCH), 6);
    refused[4] = emit_jump_if(e, CONDITION_NE, NULL);
    emit_alu_constant(e, ALU_CMP, 4, where, IN_STATE);
    uint8_t *low = emit_jump_if(e, CONDITION_NE, NULL);
    try_vectors(e, refused);
    emit_patch(low, e->at);
    for (unsigned i = 0; i < 16; i++) {
        struct host_operand upper = vector_operand(i, 8);
        upper.disp += 16;
        emit_vex(e, OP4(0x18) | OP_PREFIX(0x66), 4, true, i, i, upper); /* VINSERTF128 */
        emit_bytes(e, 1, 1);
    }
    emit_store_constant(e, 4, where, IN_YMM);
    for (unsigned i = 0; i < 5; i++)
        emit_patch(refused[i], e->at);
    emit_alu_constant(e, ALU_CMP, 4, where, IN_YMM);
    emit_bytes(e, 0xc3, 1);
    return start;
}

/* The x87's state: registers in their physical order, for which TOP is made 0. */

/* If it is in the host's unit: to the state; the host's stack becomes empty, its
 * control word the caller's. Spoils RAX and RCX. */
static void store_x87(struct emitter *e, int32_t above, int32_t then)
{
    struct host_operand where = in_vcpu(offsetof(struct cpu, translated.x87), above);
    size_t environment = offsetof(struct cpu, translated.x87_environment);
    emit_alu_constant(e, ALU_CMP, 4, where, 1);
    uint8_t *over = emit_jump_if(e, CONDITION_NE, NULL);
    emit_instruction(e, OP1(0xd9), 2, 6, in_vcpu(environment, above)); /* FNSTENV */
    emit_instruction(e, OP2(0x7e), 4, 0, operand_register(HOST_RAX));  /* MOVD EAX, MM0: all valid, TOP 0 */
    for (unsigned i = 0; i < 8; i++)
        emit_instruction(e, OP1(0xdb), 4, 7, in_vcpu(offsetof(struct cpu, s.x87[i]), above)); /* FSTP */
    emit_instruction(e, OP1(0xd9), 4, 5, in_vcpu(offsetof(struct cpu, translated.host_fcw), above)); /* FLDCW */
    /* FSW, and tags of 3 or 0 */
    emit_load(e, 4, HOST_RAX, in_vcpu(environment + 2, above));
    emit_load(e, 4, HOST_RCX, operand_register(HOST_RAX));
    emit_instruction(e, OP1(0xc1), 4, 5, operand_register(HOST_RCX)); /* SHR */
    emit_bytes(e, 1, 1);
    emit_alu(e, ALU_AND, 4, HOST_RCX, operand_register(HOST_RAX));
    emit_alu_constant(e, ALU_AND, 4, operand_register(HOST_RCX), 0x55550000);
    emit_lea(e, 4, HOST_RCX, operand_indexed(HOST_RCX, HOST_RCX, 1, 0));
    emit_instruction(e, OP2(0xb7), 4, HOST_RAX, operand_register(HOST_RAX)); /* MOVZX */
    emit_alu(e, ALU_OR, 4, HOST_RAX, operand_register(HOST_RCX));
    emit_store(e, 4, in_vcpu(offsetof(struct cpu, s.fsw), above), HOST_RAX);
    emit_store_constant(e, 4, where, then);
    emit_patch(over, e->at);
}

_Static_assert(offsetof(struct cpu_state, fsw) == offsetof(struct cpu_state, fcw) + 2
                   && offsetof(struct cpu_state, ftw) == offsetof(struct cpu_state, fcw) + 4,
               "FLDENV's 16-bit form reads them from there");

/* FLDENV reads beyond the tag word: the host's pointers are of no meaning. */
static void load_x87(struct emitter *e, int32_t above)
{
    emit_instruction(e, OP2(0x6f), 4, 0, operand_register(0)); /* MOVQ MM0, MM0: TOP 0 */
    emit_bytes(e, 0x770f, 2);                                  /* EMMS */
    for (unsigned i = 8; i-- > 0;)
        emit_instruction(e, OP1(0xdb), 4, 5, in_vcpu(offsetof(struct cpu, s.x87[i]), above)); /* FLD */
    emit_instruction(e, OP1(0xd9), 2, 4, in_vcpu(offsetof(struct cpu, s.fcw), above)); /* FLDENV */
    emit_store_constant(e, 4, in_vcpu(offsetof(struct cpu, translated.x87), above), 1);
}

/* Called: loads it if no instruction could raise an exception or find one. ZF is
 * clear if so. */
static uint8_t *x87_piece(struct emitter *e)
{
    uint8_t *start = e->at, *refused[3];
    struct host_operand scratch = operand_register(SCRATCH);
    emit_load(e, 4, SCRATCH, in_vcpu(offsetof(struct cpu, s.cr0), 8));
    emit_alu_constant(e, ALU_AND, 4, scratch, CR0_TS | CR0_EM | CR0_NE);
    emit_alu_constant(e, ALU_CMP, 4, scratch, CR0_NE);
    refused[0] = emit_jump_if(e, CONDITION_NE, NULL);
    emit_load(e, 4, SCRATCH, in_vcpu(offsetof(struct cpu, s.fcw), 8)); /* and FSW */
    emit_alu_constant(e, ALU_AND, 4, scratch, (int32_t)(FSW_ES << 16 | FP_EXCEPTIONS));
    emit_alu_constant(e, ALU_CMP, 4, scratch, FP_EXCEPTIONS);
    refused[1] = emit_jump_if(e, CONDITION_NE, NULL);
    /* Tags other than valid and empty, as after reset, would not come back. */
    emit_load(e, 4, SCRATCH, in_vcpu(offsetof(struct cpu, s.ftw), 8));
    emit_rorx(e, SCRATCH2, SCRATCH, 1);
    emit_alu(e, ALU_XOR, 4, SCRATCH, operand_register(SCRATCH2));
    emit_alu_constant(e, ALU_AND, 4, scratch, 0x5555);
    refused[2] = emit_jump_if(e, CONDITION_NE, NULL);
    load_x87(e, 8);
    for (unsigned i = 0; i < 3; i++)
        emit_patch(refused[i], e->at);
    emit_alu_constant(e, ALU_CMP, 4, in_vcpu(offsetof(struct cpu, translated.x87), 8), 0);
    emit_bytes(e, 0xc3, 1);
    return start;
}

/* What store_vectors and store_x87 took out of the host's registers for a while. */
static void load_again(struct emitter *e, int32_t above)
{
    load_vectors_again(e, above);
    emit_alu_constant(e, ALU_CMP, 4, in_vcpu(offsetof(struct cpu, translated.x87), above), 2);
    uint8_t *over = emit_jump_if(e, CONDITION_NE, NULL);
    load_x87(e, above);
    emit_patch(over, e->at);
}

/* What a piece does after its function: PIECE_AGAIN is PIECE_GO_ON with the XMM
 * registers and the x87's state back where they were. */
enum piece { PIECE_GO_ON, PIECE_AGAIN, PIECE_LOAD };

/* The function of a piece said LEAVE_JUMP. */
static void jump_to_target(struct emitter *e)
{
    load_registers(e, 8);
    emit_load(e, 8, SCRATCH, operand_memory(VCPU, (int32_t)offsetof(struct cpu, translated.target) + 8));
    emit_load(e, 8, SCRATCH2, operand_memory(VCPU, (int32_t)offsetof(struct cpu, translated.value) + 8));
    emit_lea(e, 8, VCPU, operand_memory(VCPU, 8));
    emit_instruction(e, OP1(0xff), 4, 4, operand_register(SCRATCH2)); /* JMP */
}

/* A piece that calls `function` with the site in SCRATCH. When that does not
 * want to leave, it goes on: behind the call, there with the value in SCRATCH if
 * PIECE_LOAD, or at the block at RIP. */
static uint8_t *call_piece(struct emitter *e, const struct translator *t, uintptr_t function,
                           enum piece piece)
{
    uint8_t *start = e->at;
    bool again = piece == PIECE_AGAIN || piece == PIECE_LOAD;
    store_registers(e, 8);
    store_vectors(e, 8, again);
    store_x87(e, 8, again ? 2 : 0);
    emit_lea(e, 8, HOST_RDI, operand_memory(VCPU, 8));
    emit_constant(e, HOST_RSI, (uintptr_t)t);
    emit_load(e, 4, HOST_RDX, operand_register(SCRATCH));
    emit_alu_constant(e, ALU_SUB, 8, operand_register(VCPU), 8);
    emit_constant(e, HOST_RAX, function);
    emit_bytes(e, 0xd0ff, 2); /* CALL RAX */
    emit_alu_constant(e, ALU_ADD, 8, operand_register(VCPU), 8);
    emit_test(e, 8, operand_register(HOST_RAX), HOST_RAX);
    uint8_t *leaves = emit_jump_if(e, CONDITION_NE, NULL);
    if (again)
        load_again(e, 8);
    load_registers(e, 8);
    if (piece == PIECE_LOAD)
        emit_load(e, 8, SCRATCH, operand_memory(VCPU, (int32_t)offsetof(struct cpu, translated.value) + 8));
    emit_bytes(e, 0xc3, 1);
    emit_patch(leaves, e->at);
    emit_alu_constant(e, ALU_CMP, 4, operand_register(HOST_RAX), LEAVE_JUMP);
    uint8_t *really = emit_jump_if(e, CONDITION_NE, NULL);
    jump_to_target(e);
    emit_patch(really, e->at);
    emit_alu_constant(e, ALU_ADD, 8, operand_register(VCPU), 8);
    return_to_caller(e);
    return start;
}

static uint8_t *leave_piece(struct emitter *e, unsigned reason)
{
    uint8_t *start = e->at;
    store_registers(e, 0);
    store_vectors(e, 0, false);
    store_x87(e, 0, 0);
    emit_constant(e, HOST_RAX, reason);
    return_to_caller(e);
    return start;
}

/* A jump to the block at RIP found nothing there: looks for its translation, and
 * leaves if there is none. SCRATCH: the edge, from which flags may be made; or 0,
 * and flags are at home. What the function need not see or spoil is not stored. */
static void search_piece(struct emitter *e, const struct translator *t, unsigned reason)
{
    static const uint8_t spoiled[] = { RAX, RCX, RDX, RSI, RDI, R8, R9 };
    if (reason == LEAVE_LINK) {
        store_registers(e, 0);
        emit_bytes(e, 0x9f, 1);                                                        /* LAHF */
        emit_instruction(e, OP2(0x90) | OP_BYTE_RM, 4, 0, operand_register(HOST_RAX)); /* SETO */
        emit_store(e, 4, IN_VCPU(translated.value), HOST_RAX);
    } else {
        for (unsigned i = 0; i < sizeof spoiled; i++)
            emit_store(e, 8, block_state_operand(spoiled[i], 0), host_of(spoiled[i]));
    }
    store_vectors(e, 0, true);
    store_x87(e, 0, 2);
    emit_load(e, 8, HOST_RDI, operand_register(VCPU));
    emit_constant(e, HOST_RSI, (uintptr_t)t);
    emit_load(e, 4, HOST_RDX, operand_register(SCRATCH));
    emit_constant(e, HOST_RAX, (uintptr_t)translator_search);
    emit_bytes(e, 0xd0ff, 2); /* CALL RAX */
    emit_load(e, 8, SCRATCH2, operand_register(HOST_RAX));
    load_again(e, 0);
    for (unsigned i = 0; i < sizeof spoiled; i++)
        emit_load(e, 8, host_of(spoiled[i]), block_state_operand(spoiled[i], 0));
    emit_test(e, 8, operand_register(SCRATCH2), SCRATCH2);
    uint8_t *leaves = emit_jump_if(e, CONDITION_E, NULL);
    emit_instruction(e, OP1(0xff), 4, 4, operand_register(SCRATCH2)); /* JMP */
    emit_patch(leaves, e->at);
    leave_piece(e, reason);
}

void pieces_make(struct translator *t)
{
    struct emitter e = { t->write, t->write + t->bytes - 64, t->run - t->write, 0 };
    t->enter = e.at;
    for (unsigned i = 0; i < sizeof callee_saved; i++) {
        if (callee_saved[i] >= 8)
            emit_bytes(&e, 0x41, 1);
        emit_bytes(&e, 0x50 | (callee_saved[i] & 7), 1); /* PUSH */
    }
    emit_store(&e, 8, operand_memory(HOST_RDI, (int32_t)offsetof(struct cpu, translated.host_stack)), HOST_RSP);
    emit_load(&e, 8, HOST_RSP, operand_register(HOST_RDI));
    emit_load(&e, 8, SCRATCH, operand_register(HOST_RSI));
    load_registers(&e, 0);
    emit_instruction(&e, OP1(0xff), 4, 4, operand_register(SCRATCH)); /* JMP */
    t->leave_check = leave_piece(&e, LEAVE_BUDGET);
    t->leave_entry = e.at;
    emit_store(&e, 4, IN_VCPU(translated.edge), SCRATCH);
    leave_piece(&e, LEAVE_ENTRY);
    t->leave_link = e.at;
    search_piece(&e, t, LEAVE_LINK);
    t->miss = e.at;
    emit_store(&e, 8, block_state_operand(RIP, 0), SCRATCH);
    emit_constant(&e, SCRATCH, 0);
    search_piece(&e, t, LEAVE_MISS);
    t->fallback = call_piece(&e, t, (uintptr_t)call_fallback, PIECE_GO_ON);
    t->slow = call_piece(&e, t, (uintptr_t)call_fallback, PIECE_AGAIN);
    t->settle = call_piece(&e, t, (uintptr_t)call_settle, PIECE_AGAIN);
    t->open_window = call_piece(&e, t, (uintptr_t)window_open, PIECE_AGAIN);
    t->vectors = vectors_piece(&e);
    t->wide = wide_piece(&e);
    t->x87 = x87_piece(&e);
    t->jump = call_piece(&e, t, (uintptr_t)call_jump, PIECE_GO_ON);
    t->string = call_piece(&e, t, (uintptr_t)call_string, PIECE_GO_ON);
    t->slow_load = call_piece(&e, t, (uintptr_t)call_slow_load, PIECE_LOAD);
    t->first = t->at = e.at;
}
