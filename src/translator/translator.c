/*
 * The translator: code cache, compiling a block, jumps between translations,
 * and the way in and out; see translator.h and compile.h.
 *
 * Not translated: 16- and 32-bit code, instructions that cross a page border,
 * anything under five-level paging; x87, MMX and AVX instructions run through
 * their handlers.
 */
#include "translator/translator.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cpu/flags.h"
#include "cpu/memory.h"
#include "translator/compile.h"
#include "util/assert.h"

#define PAGES_MAXIMUM (1u << 16)
#define TRANSLATIONS_MAXIMUM (1u << 18)
#define EDGES_MAXIMUM (1u << 20)
#define SITES_MAXIMUM (1u << 21)
#define PAGE_BUCKETS (1u << 14)
#define BLOCK_CODE_MAXIMUM (32u << 10) /* host bytes that one block may need */

/* A page of code at one linear address, for one MMU index. */
struct code_page {
    uint64_t linear;
    uint32_t page;          /* backing page */
    uint32_t id;
    uint32_t hash_next;     /* index into pages, 0: none */
    uint32_t page_next;     /* next one of the same backing page */
    uint8_t index;
};

struct translation {
    const struct block *block;
    uint64_t linear;
    uint8_t *entry;         /* after the checks */
    uint8_t *checked;       /* for indirect jumps: SCRATCH holds the address */
    uint32_t id;            /* of the code page */
    uint8_t index;
    bool looks_at_flags;
};

/* A direct jump of a translation. */
struct edge {
    uint64_t target;
    uint8_t *from;          /* displacement to patch */
    uint8_t *exit;          /* where it goes while it is not linked */
    const struct translation *linked;
    struct flags_state flags;
    uint8_t index;
    bool checked;           /* the target may be mapped elsewhere when it is taken */
};

/* A place that calls a handler. */
struct site {
    const struct translation *translation;
    uint16_t insn;
    bool load;
    bool lowered;           /* a slow path, not a fallback */
};

/* Reasons to leave, as the code returns them. */
enum { LEAVE_NOT, LEAVE_BUDGET, LEAVE_LINK, LEAVE_FAULT, LEAVE_MISS, LEAVE_HANDLER };

struct translator {
    struct engine *engine;
    uint8_t *write, *run;   /* the two mappings */
    size_t bytes;
    uint8_t *at;            /* next free byte, in `write` */
    uint8_t *first;         /* behind the common pieces */
    /* Common pieces, in `write` */
    uint8_t *enter, *leave_check, *leave_link, *fallback, *slow, *jump, *slow_load, *vectors, *miss;
    uint32_t threshold;
    uint32_t next_id;
    struct code_page *pages;
    uint32_t page_count;
    uint32_t *page_buckets; /* by hash of linear, page, index */
    uint32_t *page_chains;  /* by backing page */
    struct translation *translations;
    uint32_t translation_count;
    struct edge *edges;
    uint32_t edge_count;
    struct site *sites;
    uint32_t site_count;
    uint32_t pending_edge;  /* left through it, and its target was not there; 0: none */
    uint64_t *row_fallbacks;
    struct translator_statistics statistics;
};

typedef uint64_t enter_function(struct cpu *cpu, const void *code);

static uint8_t *running(const struct translator *t, const uint8_t *written)
{
    return t->run + (written - t->write);
}

static unsigned jump_slot(uint64_t linear)
{
    return (linear ^ linear >> 12) & (TRANSLATED_JUMPS - 1);
}

/* Flags between their three forms. */

static void flags_to_home(struct cpu *cpu)
{
    uint64_t f = flags_get(cpu);
    cpu->translated.flags = (uint32_t)((f & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF)) << 8
                                       | (f & FLAG_OF ? 1 : 0));
}

static void flags_from_home(struct cpu *cpu)
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

/* The instruction is as far as it got: what the slice was charged for the rest
 * of the block comes back. */
static uint64_t leave_at(struct cpu *cpu, const struct block *block, unsigned done, uint64_t reason)
{
    cpu->remaining += block->count - done;
    cpu->current = cpu->block_start = cpu->block_end = NULL;
    cpu->block_count = 0;
    return reason;
}

static uint64_t call_fallback(struct cpu *cpu, struct translator *t, uint32_t number)
{
    const struct site *site = &t->sites[number];
    const struct block *block = site->translation->block;
    const struct insn *insn = &block->insns[site->insn];
    if (site->lowered)
        t->statistics.slow_paths++;
    else
        t->row_fallbacks[insn->row < opcode_row_count ? insn->row : 0]++;
    cpu->s.gpr[RIP] = site->translation->linear;
    cpu->block_start = block->insns;
    cpu->block_end = block->insns + block->count;
    cpu->block_count = block->count;
    cpu->current = insn;
    bool flags = flags_used(insn);
    if (flags)
        flags_from_home(cpu);
    int status = insn->handler(cpu, insn);
    if (flags)
        flags_to_home(cpu);
    if (status) {
        cpu->s.gpr[RIP] = site->translation->linear + insn->end - insn->length;
        return leave_at(cpu, block, site->insn, LEAVE_FAULT);
    }
    bool ended = cpu->block_end != block->insns + block->count;
    bool moved = cpu->attention || cpu->code_bytes != 8
                 || cpu->tlb != &cpu->tlbs[site->translation->index];
    if (ended || moved) {
        cpu->s.gpr[RIP] = site->translation->linear + insn->end;
        return leave_at(cpu, block, site->insn + 1u, LEAVE_HANDLER);
    }
    cpu->current = cpu->block_start = cpu->block_end = NULL;
    cpu->block_count = 0;
    return LEAVE_NOT;
}

/* The same for an instruction that sets RIP. A repeated string instruction that
 * has more to do is run again while the slice lasts. Where to go on is found in
 * the table of indirect jumps. */
static uint64_t call_jump(struct cpu *cpu, struct translator *t, uint32_t number)
{
    const struct site *site = &t->sites[number];
    const struct block *block = site->translation->block;
    const struct insn *insn = &block->insns[site->insn];
    if (!site->lowered) {
        t->statistics.fallbacks++;
        t->row_fallbacks[insn->row < opcode_row_count ? insn->row : 0]++;
    }
    uint64_t start = site->translation->linear + insn->end - insn->length;
    cpu->block_start = block->insns;
    cpu->block_end = block->insns + block->count;
    cpu->block_count = block->count;
    cpu->current = insn;
    flags_from_home(cpu);
    for (;;) {
        cpu->s.gpr[RIP] = site->translation->linear;
        int status = insn->handler(cpu, insn);
        if (status) {
            flags_to_home(cpu);
            cpu->s.gpr[RIP] = start;
            return leave_at(cpu, block, site->insn, LEAVE_FAULT);
        }
        if (cpu->attention || cpu->block_end != block->insns + block->count || cpu->code_bytes != 8
            || cpu->s.cr4 & CR4_LA57) {
            flags_to_home(cpu);
            return leave_at(cpu, block, block->count, LEAVE_HANDLER);
        }
        if (cpu->s.gpr[RIP] != start || cpu->remaining <= 0 || !(insn->attributes & STRING))
            break;
        cpu->remaining--;
    }
    flags_to_home(cpu);
    leave_at(cpu, block, block->count, LEAVE_NOT);
    uint64_t target = cpu->s.gpr[RIP];
    cpu->translated.value = cpu->translated.jumps[cpu->tlb - cpu->tlbs][jump_slot(target)];
    cpu->translated.flags_fixup = (uint32_t)(uintptr_t)running(t, t->leave_check);
    return LEAVE_NOT;
}

/* Only the load of the memory operand, if it is plain memory; otherwise the
 * whole instruction, after which the block ends. */
static uint64_t call_slow_load(struct cpu *cpu, struct translator *t, uint32_t number)
{
    const struct site *site = &t->sites[number];
    const struct block *block = site->translation->block;
    const struct insn *insn = &block->insns[site->insn];
    t->statistics.slow_paths++;
    cpu->s.gpr[RIP] = site->translation->linear;
    cpu->block_start = block->insns;
    cpu->block_end = block->insns + block->count;
    cpu->block_count = block->count;
    cpu->current = insn;
    uint64_t address = insn_address(cpu, insn);
    flags_from_home(cpu);
    int status = memory_probe_read(cpu, insn->seg, address, insn->operand_bytes);
    const uint8_t *host = status ? NULL : memory_fast_read(cpu, insn->seg, address, insn->operand_bytes);
    if (host) {
        cpu->translated.value = 0;
        memcpy(&cpu->translated.value, host, insn->operand_bytes);
        cpu->current = cpu->block_start = cpu->block_end = NULL;
        cpu->block_count = 0;
        return LEAVE_NOT;
    }
    if (!status)
        status = insn->handler(cpu, insn);
    flags_to_home(cpu);
    if (status) {
        cpu->s.gpr[RIP] = site->translation->linear + insn->end - insn->length;
        return leave_at(cpu, block, site->insn, LEAVE_FAULT);
    }
    if (!(insn->attributes & SETS_RIP))
        cpu->s.gpr[RIP] = site->translation->linear + insn->end;
    return leave_at(cpu, block, site->insn + 1u, LEAVE_HANDLER);
}

/* Common pieces of code */

static const uint8_t pinned_registers[] = { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R12, R13 };
static const uint8_t callee_saved[] = { HOST_RBX, HOST_RBP, HOST_R12, HOST_R13, HOST_R14, HOST_R15 };

static struct host_operand state_operand(unsigned guest, int32_t above)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, s.gpr) + 8 * guest) + above);
}

/* `above`: bytes on the stack below the vCPU. */
static void store_registers(struct emitter *e, int32_t above)
{
    for (unsigned i = 0; i < sizeof pinned_registers; i++)
        emit_store(e, 8, state_operand(pinned_registers[i], above), host_of(pinned_registers[i]));
    emit_store(e, 8, operand_memory(VCPU, (int32_t)offsetof(struct cpu, remaining) + above), REMAINING);
}

static void load_registers(struct emitter *e, int32_t above)
{
    for (unsigned i = 0; i < sizeof pinned_registers; i++)
        emit_load(e, 8, host_of(pinned_registers[i]), state_operand(pinned_registers[i], above));
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

/* If they are in the host's registers: to the state, and the host's MXCSR is
 * the caller's again; `then` is left in translated.vectors. */
static void store_vectors(struct emitter *e, int32_t above, int32_t then)
{
    struct host_operand where = in_vcpu(offsetof(struct cpu, translated.vectors), above);
    emit_alu_constant(e, ALU_CMP, 4, where, 1);
    uint8_t *over = emit_jump_if(e, CONDITION_NE, NULL);
    for (unsigned i = 0; i < 16; i++)
        emit_instruction(e, OP2(0x29), 4, i, vector_operand(i, above)); /* MOVAPS */
    emit_instruction(e, OP2(0xae), 4, 3, in_vcpu(offsetof(struct cpu, s.mxcsr), above)); /* STMXCSR */
    emit_instruction(e, OP2(0xae), 4, 2, in_vcpu(offsetof(struct cpu, translated.host_mxcsr), above));
    emit_store_constant(e, 4, where, then);
    emit_patch(over, e->at);
}

static void load_vectors(struct emitter *e, int32_t above)
{
    for (unsigned i = 0; i < 16; i++)
        emit_instruction(e, OP2(0x28), 4, i, vector_operand(i, above)); /* MOVAPS */
    emit_instruction(e, OP2(0xae), 4, 2, in_vcpu(offsetof(struct cpu, s.mxcsr), above)); /* LDMXCSR */
    emit_store_constant(e, 4, in_vcpu(offsetof(struct cpu, translated.vectors), above), 1);
}

#define MXCSR_MASKS 0x1f80

/* Called: loads them if no instruction could raise an exception. ZF is clear if so. */
static uint8_t *vectors_piece(struct emitter *e)
{
    uint8_t *start = e->at, *refused[3];
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
    for (unsigned i = 0; i < 3; i++)
        emit_patch(refused[i], e->at);
    emit_alu_constant(e, ALU_CMP, 4, in_vcpu(offsetof(struct cpu, translated.vectors), 8), 0);
    emit_bytes(e, 0xc3, 1);
    return start;
}

/* What a piece does after its function: PIECE_AGAIN is PIECE_GO_ON with the XMM
 * registers back where they were. */
enum piece { PIECE_GO_ON, PIECE_AGAIN, PIECE_LOAD, PIECE_JUMP };

/* A piece that calls `function` with the site in SCRATCH. When that does not
 * want to leave, it goes on: behind the call, there with the value in SCRATCH, or
 * at the block at RIP. */
static uint8_t *call_piece(struct emitter *e, const struct translator *t, uintptr_t function,
                           enum piece piece)
{
    uint8_t *start = e->at;
    bool again = piece == PIECE_AGAIN || piece == PIECE_LOAD;
    store_registers(e, 8);
    store_vectors(e, 8, again ? 2 : 0);
    emit_lea(e, 8, HOST_RDI, operand_memory(VCPU, 8));
    emit_constant(e, HOST_RSI, (uintptr_t)t);
    emit_load(e, 4, HOST_RDX, operand_register(SCRATCH));
    emit_alu_constant(e, ALU_SUB, 8, operand_register(VCPU), 8);
    emit_constant(e, HOST_RAX, function);
    emit_bytes(e, 0xd0ff, 2); /* CALL RAX */
    emit_alu_constant(e, ALU_ADD, 8, operand_register(VCPU), 8);
    emit_test(e, 8, operand_register(HOST_RAX), HOST_RAX);
    uint8_t *leaves = emit_jump_if(e, CONDITION_NE, NULL);
    if (again) {
        emit_alu_constant(e, ALU_CMP, 4, in_vcpu(offsetof(struct cpu, translated.vectors), 8), 2);
        uint8_t *over = emit_jump_if(e, CONDITION_NE, NULL);
        load_vectors(e, 8);
        emit_patch(over, e->at);
    }
    load_registers(e, 8);
    if (piece == PIECE_LOAD)
        emit_load(e, 8, SCRATCH, operand_memory(VCPU, (int32_t)offsetof(struct cpu, translated.value) + 8));
    if (piece == PIECE_JUMP) {
        emit_lea(e, 8, VCPU, operand_memory(VCPU, 8));
        emit_load(e, 8, SCRATCH, state_operand(RIP, 0));
        emit_load(e, 8, SCRATCH2, IN_VCPU(translated.value));
        emit_instruction(e, OP1(0xff), 4, 4, operand_register(SCRATCH2)); /* JMP */
    } else {
        emit_bytes(e, 0xc3, 1);
    }
    emit_patch(leaves, e->at);
    emit_alu_constant(e, ALU_ADD, 8, operand_register(VCPU), 8);
    return_to_caller(e);
    return start;
}

static uint8_t *leave_piece(struct emitter *e, unsigned reason)
{
    uint8_t *start = e->at;
    store_registers(e, 0);
    store_vectors(e, 0, 0);
    emit_constant(e, HOST_RAX, reason);
    return_to_caller(e);
    return start;
}

static void make_pieces(struct translator *t)
{
    struct emitter e = { t->write, t->write + t->bytes - 64, t->run - t->write };
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
    t->leave_link = e.at;
    emit_store(&e, 4, IN_VCPU(translated.edge), SCRATCH);
    leave_piece(&e, LEAVE_LINK);
    t->miss = e.at;
    emit_store(&e, 8, state_operand(RIP, 0), SCRATCH);
    leave_piece(&e, LEAVE_MISS);
    t->fallback = call_piece(&e, t, (uintptr_t)call_fallback, PIECE_GO_ON);
    t->slow = call_piece(&e, t, (uintptr_t)call_fallback, PIECE_AGAIN);
    t->vectors = vectors_piece(&e);
    t->jump = call_piece(&e, t, (uintptr_t)call_jump, PIECE_JUMP);
    t->slow_load = call_piece(&e, t, (uintptr_t)call_slow_load, PIECE_LOAD);
    t->first = t->at = e.at;
}

/* Compiling a block */

static uint32_t add_site(struct compile *c, unsigned insn, bool load, bool lowered)
{
    struct translator *t = c->translator;
    t->sites[t->site_count] = (struct site){ c->translation, (uint16_t)insn, load, lowered };
    return t->site_count++;
}

void compile_fallback(struct compile *c)
{
    struct emitter *e = &c->e;
    if (c->need[c->number])
        flags_save(c, &c->flags);
    emit_constant(e, SCRATCH, add_site(c, c->number, false, false));
    emit_call(e, c->insn->attributes & SETS_RIP ? c->translator->jump : c->translator->fallback);
    c->flags = (struct flags_state){ .home = true };
    c->vectors = false;
}

void compile_fixup(struct compile *c)
{
    struct emitter *e = &c->e;
    uint32_t common = (uint32_t)(uintptr_t)running(c->translator, c->translator->leave_check);
    if (!c->flags.home && c->flags.recipe == RECIPE_NONE)
        flags_save(c, &c->flags);
    emit_store_constant(e, 4, IN_VCPU(translated.flags_fixup), (int32_t)common);
    if (c->flags.home)
        return;
    c->fixup = e->at - 4;
    c->fixup_flags = c->flags;
    c->fixup_flags.live = false; /* the next block's count spoils them */
}

void compile_edge(struct compile *c, int condition, uint64_t target, bool checked)
{
    struct emitter *e = &c->e;
    uint8_t *from = condition < 0 ? emit_jump(e, NULL) : emit_jump_if(e, (enum condition)condition, NULL);
    c->edges[c->edge_count++] = (struct compile_edge){ from, c->flags, target, checked };
}

static struct host_operand code_id_operand(unsigned index, uint64_t linear)
{
    size_t offset = offsetof(struct cpu, tlbs) + index * sizeof(struct tlb)
                    + offsetof(struct tlb, code_id) + tlb_code_slot(linear) * sizeof(uint32_t);
    return operand_memory(VCPU, (int32_t)offset);
}

static struct host_operand jump_table(const struct compile *c)
{
    size_t offset = offsetof(struct cpu, translated.jumps)
                    + c->index * sizeof(uint32_t) * TRANSLATED_JUMPS;
    return operand_indexed(VCPU, SCRATCH2, 2, (int32_t)offset);
}

void compile_indirect(struct compile *c)
{
    struct emitter *e = &c->e;
    /* RORX SCRATCH2, SCRATCH, 12 */
    emit_bytes(e, 0xf07b43c4, 4);
    emit_bytes(e, 0xd3, 1);
    emit_bytes(e, 12, 1);
    emit_alu(e, ALU_XOR, 4, SCRATCH2, operand_register(SCRATCH));
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH2), TRANSLATED_JUMPS - 1);
    emit_load(e, 4, SCRATCH2, jump_table(c));
    emit_instruction(e, OP1(0xff), 4, 4, operand_register(SCRATCH2)); /* JMP */
}

/* Entry for indirect jumps: is this the block at the address, and the page
 * still where it was? */
static void compile_checks(struct compile *c, uint32_t id)
{
    struct emitter *e = &c->e;
    if (c->linear == (uint64_t)(int64_t)(int32_t)c->linear) {
        emit_instruction(e, OP1(0x81), 8, ALU_CMP, operand_register(SCRATCH));
        emit_bytes(e, c->linear, 4);
    } else {
        emit_constant(e, SCRATCH2, c->linear);
        emit_alu(e, ALU_CMP, 8, SCRATCH, operand_register(SCRATCH2));
    }
    emit_jump_if(e, CONDITION_NE, c->translator->miss);
    emit_instruction(e, OP1(0x81), 4, ALU_CMP, code_id_operand(c->index, c->linear));
    emit_bytes(e, id, 4);
    emit_jump_if(e, CONDITION_NE, c->translator->miss);
}

static void store_rip(struct compile *c, uint64_t linear)
{
    struct emitter *e = &c->e;
    if (linear == (uint64_t)(int64_t)(int32_t)linear) {
        emit_store_constant(e, 8, state_operand(RIP, 0), (int32_t)linear);
    } else {
        emit_constant(e, SCRATCH, linear);
        emit_store(e, 8, state_operand(RIP, 0), SCRATCH);
    }
}

/* Ends a block that did not fit into the budget, at its entry. */
static void compile_budget_stub(struct compile *c, uint8_t *from)
{
    struct emitter *e = &c->e;
    emit_patch(from, e->at);
    emit_alu_constant(e, ALU_ADD, 8, operand_register(REMAINING), c->block->count);
    store_rip(c, c->linear);
    if (c->translation->looks_at_flags) {
        emit_jump(e, c->translator->leave_check);
        return;
    }
    emit_load(e, 4, SCRATCH, IN_VCPU(translated.flags_fixup));
    emit_instruction(e, OP1(0xff), 4, 4, operand_register(SCRATCH)); /* JMP */
}

/* The XMM registers are to be loaded; where they must not be, the handler does
 * this instruction, and the interpreter goes on. */
static void compile_vectors_path(struct compile *c, const struct slow_path *slow)
{
    struct emitter *e = &c->e;
    const struct insn *insn = &c->block->insns[slow->insn];
    emit_patch(slow->vectors_from, e->at);
    emit_call(e, c->translator->vectors);
    emit_jump_if(e, CONDITION_NE, slow->vectors_resume);
    c->flags = slow->before;
    if (slow->needed)
        flags_save(c, &c->flags);
    emit_constant(e, SCRATCH, add_site(c, slow->insn, slow->load, true));
    emit_call(e, c->translator->fallback);
    emit_alu_constant(e, ALU_ADD, 8, operand_register(REMAINING), c->block->count - slow->insn - 1);
    store_rip(c, c->linear + insn->end);
    emit_jump(e, c->translator->leave_check);
}

static void compile_slow_path(struct compile *c, struct slow_path *slow)
{
    struct emitter *e = &c->e;
    if (slow->vectors_from)
        compile_vectors_path(c, slow);
    if (!slow->from[0])
        return;
    for (unsigned i = 0; i < 2; i++)
        if (slow->from[i])
            emit_patch(slow->from[i], e->at);
    c->flags = slow->before;
    if (slow->needed)
        flags_save(c, &c->flags);
    emit_constant(e, SCRATCH, add_site(c, slow->insn, slow->load, true));
    bool sets_rip = c->block->insns[slow->insn].attributes & SETS_RIP;
    emit_call(e, slow->load   ? c->translator->slow_load
                 : sets_rip ? c->translator->jump
                            : c->translator->slow);
    if (!slow->resume || sets_rip)
        return; /* a branch: its handler leaves */
    c->flags = (struct flags_state){ .home = true };
    if (!slow->load && slow->after.live && c->need[slow->insn + 1])
        flags_load(c, F_ARITH);
    emit_jump(e, slow->resume);
}

/* Where a direct jump goes while its target has no translation. */
static void compile_exit(struct compile *c, const struct compile_edge *from)
{
    struct translator *t = c->translator;
    struct emitter *e = &c->e;
    struct edge *edge = &t->edges[t->edge_count];
    *edge = (struct edge){ from->target, from->from, e->at, NULL, from->flags, (uint8_t)c->index,
                           from->checked || (from->target ^ c->linear) >> PAGE_SHIFT };
    emit_patch(from->from, e->at);
    c->flags = from->flags;
    flags_save(c, &c->flags);
    store_rip(c, from->target);
    emit_constant(e, SCRATCH, t->edge_count++);
    emit_jump(e, t->leave_link);
}

static void compile_insn(struct compile *c)
{
    bool branch = c->insn->attributes & SETS_RIP;
    if (strcmp(c->row->name, "NOP") == 0)
        return;
    if (branch ? lower_branch(c) : lower_integer(c) || lower_vector(c)) {
        memory_finish(c);
        return;
    }
    compile_fallback(c);
}

static void compile_body(struct compile *c, uint32_t id)
{
    const struct block *block = c->block;
    struct emitter *e = &c->e;
    struct translation *translation = c->translation;
    translation->looks_at_flags = flags_analyse(c);
    translation->checked = e->at;
    compile_checks(c, id);
    translation->entry = e->at;
    emit_alu_constant(e, ALU_SUB, 8, operand_register(REMAINING), block->count);
    uint8_t *budget = emit_jump_if(e, CONDITION_S, NULL);
    c->flags = (struct flags_state){ .home = translation->looks_at_flags };
    for (c->number = 0; c->number < block->count; c->number++) {
        c->insn = &block->insns[c->number];
        c->row = row_of(c->insn);
        compile_insn(c);
    }
    c->number = block->count - 1u;
    if (!(c->insn->attributes & SETS_RIP)) {
        compile_fixup(c);
        compile_edge(c, -1, c->linear + block->bytes, c->insn->attributes & ENDS_BLOCK);
    }
    for (unsigned i = 0; i < c->slow_count; i++)
        compile_slow_path(c, &c->slow[i]);
    compile_budget_stub(c, budget);
    for (unsigned i = 0; i < c->edge_count; i++)
        compile_exit(c, &c->edges[i]);
    if (c->fixup) {
        uint32_t address = (uint32_t)(uintptr_t)running(c->translator, e->at);
        memcpy(c->fixup, &address, 4);
        c->flags = c->fixup_flags;
        flags_save(c, &c->flags);
        emit_jump(e, c->translator->leave_check);
    }
}

/* Code pages */

static uint32_t *page_bucket(struct translator *t, uint64_t linear, uint32_t page, unsigned index)
{
    uint64_t hash = ((linear >> PAGE_SHIFT) * 4 + index + (uint64_t)page * 0x10001) * 0x9e3779b97f4a7c15ull;
    return &t->page_buckets[hash >> 50 & (PAGE_BUCKETS - 1)];
}

static const struct code_page *find_page(struct translator *t, uint64_t linear, uint32_t page, unsigned index)
{
    linear &= ~(uint64_t)PAGE_MASK;
    uint32_t *bucket = page_bucket(t, linear, page, index);
    for (uint32_t i = *bucket; i; i = t->pages[i].hash_next) {
        struct code_page *found = &t->pages[i];
        if (found->linear == linear && found->page == page && found->index == index && found->id)
            return found;
    }
    if (t->page_count == PAGES_MAXIMUM)
        return NULL;
    uint32_t number = t->page_count++;
    t->pages[number] = (struct code_page){ linear, page, ++t->next_id, *bucket, t->page_chains[page],
                                           (uint8_t)index };
    *bucket = number;
    t->page_chains[page] = number;
    return &t->pages[number];
}

/* Translations of code in this page are never entered again: their number goes. */
static void page_stale(void *context, uint32_t page)
{
    struct translator *t = context;
    for (uint32_t i = t->page_chains[page]; i; i = t->pages[i].page_next) {
        struct code_page *stale = &t->pages[i];
        unsigned slot = tlb_code_slot(stale->linear);
        for (unsigned k = 0; k < t->engine->cpu_count; k++) {
            struct tlb *tlb = &t->engine->cpus[k]->tlbs[stale->index];
            if (tlb->code_id[slot] == stale->id) {
                tlb->code_id[slot] = 0;
                tlb->code_linear[slot] = TLB_INVALID;
            }
        }
        stale->id = 0;
    }
    t->page_chains[page] = 0;
    t->pending_edge = 0;
}

static void reset_jumps(struct translator *t)
{
    uint32_t miss = (uint32_t)(uintptr_t)running(t, t->miss);
    for (unsigned i = 0; i < t->engine->cpu_count; i++) {
        struct cpu *cpu = t->engine->cpus[i];
        uint32_t *jumps = cpu->translated.jumps[0];
        for (unsigned k = 0; k < MMU_INDEX_COUNT * TRANSLATED_JUMPS; k++)
            jumps[k] = miss;
        for (unsigned k = 0; k < MMU_INDEX_COUNT; k++) {
            memset(cpu->tlbs[k].code_id, 0, sizeof cpu->tlbs[k].code_id);
            memset(cpu->tlbs[k].code_linear, 0xff, sizeof cpu->tlbs[k].code_linear);
        }
    }
}

static void all_stale(void *context)
{
    struct translator *t = context;
    t->at = t->first;
    t->page_count = t->translation_count = t->edge_count = t->site_count = 1;
    t->pending_edge = 0;
    memset(t->page_buckets, 0, PAGE_BUCKETS * sizeof *t->page_buckets);
    memset(t->page_chains, 0, ((uint64_t)t->engine->memory->ram_pages + t->engine->memory->rom_pages)
                                  * sizeof *t->page_chains);
    reset_jumps(t);
    t->statistics.flushes++;
}

static bool full(const struct translator *t)
{
    return t->at + 2 * BLOCK_CODE_MAXIMUM > t->write + t->bytes || t->page_count == PAGES_MAXIMUM
           || t->translation_count == TRANSLATIONS_MAXIMUM || t->edge_count + 2 > EDGES_MAXIMUM
           || t->site_count + 3 * BLOCK_INSNS_MAXIMUM > SITES_MAXIMUM;
}

static struct translation *translate(struct translator *t, struct cpu *cpu, struct block *block,
                                     uint64_t linear, unsigned index)
{
    const struct code_page *page = find_page(t, linear, block->page, index);
    if (!page)
        return NULL;
    struct translation *translation = &t->translations[t->translation_count++];
    *translation = (struct translation){ .block = block, .linear = linear, .id = page->id,
                                         .index = (uint8_t)index };
    struct compile c = { .e = { t->at, t->at + BLOCK_CODE_MAXIMUM, t->run - t->write }, .translator = t,
                         .translation = translation, .block = block, .linear = linear, .index = index };
    (void)cpu;
    compile_body(&c, page->id);
    ASSERT(c.e.at <= c.e.limit);
    t->statistics.blocks++;
    t->statistics.guest_bytes += block->bytes;
    t->statistics.host_bytes += (uint64_t)(c.e.at - t->at);
    t->at = t->write + ((c.e.at - t->write + 15) & ~(ptrdiff_t)15);
    block->translation = translation;
    return translation;
}

/* Makes the jump go to its target directly from now on. */
static void link_edge(struct translator *t, struct edge *edge, const struct translation *to)
{
    if (edge->linked == to)
        return;
    edge->linked = to;
    t->statistics.links++;
    bool save = to->looks_at_flags && !edge->flags.home;
    if (!save && !edge->checked) {
        emit_patch(edge->from, to->entry);
        return;
    }
    struct compile c = { .e = { t->at, t->at + BLOCK_CODE_MAXIMUM, t->run - t->write }, .translator = t };
    c.flags = edge->flags;
    if (save || (edge->checked && to->looks_at_flags))
        flags_save(&c, &c.flags);
    if (edge->checked) {
        /* The flags that a failed check leaves must be at home too. */
        flags_save(&c, &c.flags);
        emit_instruction(&c.e, OP1(0x81), 4, ALU_CMP, code_id_operand(to->index, to->linear));
        emit_bytes(&c.e, to->id, 4);
        uint8_t *fails = emit_jump_if(&c.e, CONDITION_NE, NULL);
        emit_jump(&c.e, to->entry);
        emit_patch(fails, c.e.at);
        store_rip(&c, edge->target);
        emit_constant(&c.e, SCRATCH, (uint32_t)(edge - t->edges));
        emit_jump(&c.e, t->leave_link);
    } else {
        emit_jump(&c.e, to->entry);
    }
    emit_patch(edge->from, t->at);
    t->statistics.host_bytes += (uint64_t)(c.e.at - t->at);
    t->at = c.e.at;
}

/* The vCPU's record of code pages: this one may be entered. */
static void note_code_page(struct cpu *cpu, const struct translation *translation)
{
    struct tlb *tlb = &cpu->tlbs[translation->index];
    unsigned slot = tlb_code_slot(translation->linear);
    tlb->empty = 0;
    tlb->code_linear[slot] = translation->linear & ~(uint64_t)PAGE_MASK;
    tlb->code_id[slot] = translation->id;
}

static bool translatable(const struct cpu *cpu, const struct block *block)
{
    return cpu->code_bytes == 8 && block->second_page == PHYSMEM_MMIO && !(cpu->s.cr4 & CR4_LA57)
           && block->key != BLOCK_KEY_NONE;
}

static struct translation *find_translation(struct translator *t, struct cpu *cpu, struct block *block)
{
    struct translation *translation = block->translation;
    uint64_t linear = cpu->s.gpr[RIP];
    unsigned index = (unsigned)(cpu->tlb - cpu->tlbs);
    if (translation && translation->linear == linear && translation->index == index)
        return translation;
    if (++block->heat < t->threshold || !translatable(cpu, block))
        return NULL;
    block->heat = 0;
    return translate(t, cpu, block, linear, index);
}

static enum translated_end run(void *context, struct cpu *cpu, struct block *block)
{
    struct translator *t = context;
    uint32_t pending = t->pending_edge;
    t->pending_edge = 0;
    if (full(t)) {
        /* Blocks point at translations: all go, and so does `block`. */
        engine_flush_blocks(t->engine);
        return TRANSLATED_RAN;
    }
    struct translation *translation = find_translation(t, cpu, block);
    if (!translation || cpu->remaining < block->count)
        return TRANSLATED_NOT;
    note_code_page(cpu, translation);
    if (pending && t->edges[pending].target == translation->linear
        && t->edges[pending].index == translation->index)
        link_edge(t, &t->edges[pending], translation);
    cpu->translated.jumps[translation->index][jump_slot(translation->linear)]
        = (uint32_t)(uintptr_t)running(t, translation->checked);
    flags_to_home(cpu);
    cpu->translated.flags_fixup = (uint32_t)(uintptr_t)running(t, t->leave_check);
    cpu->translated.vectors = 0;
    cpu->translated.host_mxcsr = __builtin_ia32_stmxcsr();
    t->statistics.entries++;
    enter_function *enter = (enter_function *)(uintptr_t)running(t, t->enter);
    uint64_t reason = enter(cpu, running(t, translation->entry));
    flags_from_home(cpu);
    t->statistics.leaves[reason]++;
    if (reason == LEAVE_LINK)
        t->pending_edge = cpu->translated.edge;
    return reason == LEAVE_FAULT ? TRANSLATED_FAULT : TRANSLATED_RAN;
}

/* Creation */

bool translator_available(void)
{
    return __builtin_cpu_supports("bmi2");
}

static bool map_cache(struct translator *t)
{
    int file = memfd_create("groundhog-code", MFD_CLOEXEC);
    if (file < 0)
        return false;
    if (ftruncate(file, (off_t)t->bytes) == 0) {
        t->write = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        t->run = mmap(NULL, t->bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_32BIT, file, 0);
    }
    close(file);
    if (t->write == MAP_FAILED)
        t->write = NULL;
    if (t->run == MAP_FAILED)
        t->run = NULL;
    return t->write && t->run;
}

struct translator *translator_create(struct engine *engine, size_t cache_bytes, uint32_t threshold)
{
    uint64_t pages = (uint64_t)engine->memory->ram_pages + engine->memory->rom_pages;
    struct translator *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->engine = engine;
    t->bytes = cache_bytes;
    t->threshold = threshold;
    t->pages = calloc(PAGES_MAXIMUM, sizeof *t->pages);
    t->page_buckets = calloc(PAGE_BUCKETS, sizeof *t->page_buckets);
    t->page_chains = calloc(pages, sizeof *t->page_chains);
    t->translations = calloc(TRANSLATIONS_MAXIMUM, sizeof *t->translations);
    t->edges = calloc(EDGES_MAXIMUM, sizeof *t->edges);
    t->sites = calloc(SITES_MAXIMUM, sizeof *t->sites);
    t->row_fallbacks = calloc(opcode_row_count, sizeof *t->row_fallbacks);
    if (!t->pages || !t->page_buckets || !t->page_chains || !t->translations || !t->edges || !t->sites
        || !t->row_fallbacks || !map_cache(t)) {
        translator_destroy(t);
        return NULL;
    }
    make_pieces(t);
    engine->translator = (struct engine_translator){ t, run, page_stale, all_stale };
    engine_flush_blocks(engine);
    t->statistics.flushes = 0;
    return t;
}

void translator_destroy(struct translator *t)
{
    if (!t)
        return;
    t->engine->translator.context = NULL;
    if (t->write)
        munmap(t->write, t->bytes);
    if (t->run)
        munmap(t->run, t->bytes);
    free(t->pages);
    free(t->page_buckets);
    free(t->page_chains);
    free(t->translations);
    free(t->edges);
    free(t->sites);
    free(t->row_fallbacks);
    free(t);
}

const struct translator_statistics *translator_statistics(const struct translator *t)
{
    return &t->statistics;
}

uint64_t translator_row_fallbacks(const struct translator *t, unsigned row)
{
    return t->row_fallbacks[row];
}
