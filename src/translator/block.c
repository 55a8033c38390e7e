/*
 * Compiles a chain of blocks: its instructions in order, then what lies out of
 * line (slow paths, exits of jumps). The chain is charged to the slice as a whole;
 * whoever leaves it early gives back the rest.
 */
#include <string.h>

#include "translator/internal.h"
#include "translator/scratch.h"
#include "translator/system.h"

struct host_operand block_state_operand(unsigned guest, int32_t above)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, s.gpr) + 8 * guest) + above);
}

static uint32_t add_site(struct compile *c, unsigned insn, uint8_t load, bool lowered)
{
    struct translator *t = c->translator;
    const struct part *part = &c->parts[c->part_of[insn]];
    t->sites[t->site_count] = (struct site){
        c->translation, part->block, part->rip, (uint16_t)(insn - part->before),
        (uint16_t)(c->count - part->before), load, lowered, c->flags.deferred,
    };
    return t->site_count++;
}

void compile_call(struct compile *c, const uint8_t *piece)
{
    struct emitter *e = &c->e;
    if (c->need[c->number] && !c->flags.deferred)
        flags_save(c, &c->flags);
    block_store_fip(c, &c->fip);
    c->fip.any = false;
    emit_constant(e, SCRATCH, add_site(c, c->number, 0, false));
    emit_call(e, piece);
    c->flags = (struct flags_state){ .home = true };
    c->vectors = c->wide = c->x87 = false;
}

void compile_fallback(struct compile *c)
{
    c->left = c->insn->attributes & (SETS_RIP | ENDS_BLOCK);
    compile_call(c, c->left ? c->translator->jump : c->translator->fallback);
}

/* The number of the edge that comes next, if it tells of the flags. */
static uint32_t fixup(const struct compile *c)
{
    return c->flags.home ? 0 : c->translator->edge_count + c->edge_count;
}

void compile_fixup(struct compile *c)
{
    if (c->flags.deferred)
        return;
    if (!c->flags.home && c->flags.recipe == RECIPE_NONE)
        flags_save(c, &c->flags);
    emit_constant_near(&c->e, PLACE(translated.flags_fixup), fixup(c));
}

void compile_fixup_indirect(struct compile *c)
{
    if (c->flags.home)
        compile_fixup(c);
    else if (!c->flags.deferred) /* bad_target becomes 0 */
        emit_store_constant(&c->e, 8, IN_VCPU(translated.flags_fixup), (int32_t)fixup(c));
}

static uint8_t units(const struct compile *c)
{
    return (uint8_t)((c->vectors ? UNIT_VECTORS : 0) | (c->wide ? UNIT_WIDE : 0) | (c->x87 ? UNIT_X87 : 0));
}

static void take_units(struct compile *c, unsigned units)
{
    c->vectors = units & UNIT_VECTORS;
    c->wide = units & UNIT_WIDE;
    c->x87 = units & UNIT_X87;
}

void compile_side_exit(struct compile *c, enum condition condition, uint64_t target)
{
    uint8_t *from = emit_jump_if(&c->e, condition, NULL);
    c->exits[c->exit_count++] = (struct side_exit){ from, c->flags, c->fip, target,
                                                    (uint16_t)(c->count - c->number - 1), GROUPS_WIDE };
    c->exits[c->exit_count - 1].flags.units = units(c);
}

uint8_t **compile_cautious_exit(struct compile *c)
{
    uint64_t rip = insn_end(c) - c->insn->length;
    struct side_exit *exit = &c->exits[c->exit_count++];
    *exit = (struct side_exit){ NULL, c->flags, c->fip, rip, (uint16_t)(c->count - c->number),
                                 (uint8_t)(c->grouping + 1) };
    exit->flags.live = false; /* the check spoils them */
    exit->flags.units = units(c);
    return &exit->from;
}

static void add_edge(struct compile *c, uint8_t *from, uint64_t target, bool checked, unsigned grouping)
{
    struct compile_edge *edge = &c->edges[c->edge_count++];
    *edge = (struct compile_edge){ .from = from, .flags = c->flags, .target = target, .checked = checked,
                                   .grouping = (uint8_t)grouping, .index = (uint8_t)c->index };
    edge->flags.units = units(c);
}

void compile_edge(struct compile *c, int condition, uint64_t target, bool checked)
{
    struct emitter *e = &c->e;
    uint8_t *from = condition < 0 ? emit_jump(e, NULL) : emit_jump_if(e, (enum condition)condition, NULL);
    add_edge(c, from, target, checked, GROUPS_WIDE);
}

static bool is_variant(const struct translation *translation)
{
    return translation->in.recipe != RECIPE_NONE;
}

bool compile_comes_back(const struct compile *c, uint64_t target)
{
    const struct translation *translation = c->translation;
    struct flags_state flags = c->flags;
    flags.live = false;
    flags.units = units(c);
    if (target != translation->rip || c->grouping != GROUPS_WIDE || c->index != translation->index)
        return false;
    if (is_variant(translation))
        return memcmp(&flags, &translation->in, sizeof flags) == 0;
    return translation->flags_demand == FLAGS_UNSEEN && (flags.home || flags.recipe != RECIPE_NONE);
}

static void charge(struct compile *c)
{
    emit_alu_constant(&c->e, ALU_SUB, 8, operand_register(REMAINING), (int32_t)c->count);
}

static void leave_at_entry(struct compile *c)
{
    emit_constant(&c->e, SCRATCH, (uint64_t)(c->translation - c->translator->translations));
    emit_jump(&c->e, c->translator->leave_entry);
}

void compile_loop(struct compile *c, enum condition condition, uint64_t next)
{
    compile_side_exit(c, (enum condition)(condition ^ 1), next);
    charge(c);
    emit_jump_if(&c->e, CONDITION_NS, c->loop);
    watch_mark(c, PART_BUDGET, 0);
    c->flags.live = false;
    if (!is_variant(c->translation)) {
        compile_fixup(c);
        add_edge(c, NULL, 0, true, GROUPS_WIDE);
    }
    leave_at_entry(c);
}

void block_compare_page(struct emitter *e, const struct translation *translation, bool second)
{
    uint64_t linear = translation->linear + (second ? PAGE_BYTES : 0);
    size_t offset = offsetof(struct cpu, tlbs) + translation->index * sizeof(struct tlb)
                    + offsetof(struct tlb, code_id) + tlb_slot(linear) * sizeof(uint32_t);
    emit_instruction(e, OP1(0x81), 4, ALU_CMP, operand_memory(VCPU, (int32_t)offset));
    emit_bytes(e, second ? translation->second_id : translation->id, 4);
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
    uint64_t tag = kind_target(c->translator, c->translation->kind, 0);
    if (tag) { /* bits that the slot does not depend on */
        emit_constant(e, SCRATCH2, tag);
        emit_alu(e, ALU_OR, 8, SCRATCH, operand_register(SCRATCH2));
    }
    emit_rorx(e, SCRATCH2, SCRATCH, 12);
    emit_alu(e, ALU_XOR, 4, SCRATCH2, operand_register(SCRATCH));
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH2), TRANSLATED_JUMPS - 1);
    emit_load(e, 4, SCRATCH2, jump_table(c));
    emit_instruction(e, OP1(0xff), 4, 4, operand_register(SCRATCH2)); /* JMP */
    add_edge(c, NULL, 0, true, GROUPS_WIDE);
}

/* Entry for indirect jumps: is this the block at the address, and the page
 * still where it was? */
static void compile_checks(struct compile *c)
{
    struct emitter *e = &c->e;
    uint64_t target = kind_target(c->translator, c->translation->kind, c->translation->rip);
    if (target == (uint64_t)(int64_t)(int32_t)target) {
        emit_instruction(e, OP1(0x81), 8, ALU_CMP, operand_register(SCRATCH));
        emit_bytes(e, target, 4);
    } else {
        emit_constant(e, SCRATCH2, target);
        emit_alu(e, ALU_CMP, 8, SCRATCH, operand_register(SCRATCH2));
    }
    emit_jump_if(e, CONDITION_NE, c->translator->miss);
    block_compare_page(e, c->translation, false);
    emit_jump_if(e, CONDITION_NE, c->translator->miss);
    if (c->translation->second_id) {
        block_compare_page(e, c->translation, true);
        emit_jump_if(e, CONDITION_NE, c->translator->miss);
    }
    if (c->translation->flags_demand != FLAGS_READ)
        return;
    emit_alu_constant(e, ALU_CMP, 4, IN_VCPU(translated.flags_fixup), 0);
    emit_bytes(e, 0x0574, 2); /* JE over the next */
    emit_call(e, c->translator->settle);
}

void block_store_rip(struct compile *c, uint64_t rip)
{
    struct emitter *e = &c->e;
    if (rip == (uint64_t)(int64_t)(int32_t)rip) {
        emit_store_constant(e, 8, block_state_operand(RIP, 0), (int32_t)rip);
    } else {
        emit_constant(e, SCRATCH, rip);
        emit_store(e, 8, block_state_operand(RIP, 0), SCRATCH);
    }
}

void block_store_fip(struct compile *c, const struct pending_fip *fip)
{
    struct host_operand low = IN_VCPU(s.fip), high = low;
    high.disp += 4;
    if (!fip->any)
        return;
    if (fip->address == (uint64_t)(int64_t)(int32_t)fip->address) {
        emit_store_constant(&c->e, 8, low, (int32_t)fip->address);
        return;
    }
    emit_store_constant(&c->e, 4, low, (int32_t)fip->address);
    emit_store_constant(&c->e, 4, high, (int32_t)(fip->address >> 32));
}

/* Ends a block that did not fit into the budget, at its entry. */
static void compile_budget_stub(struct compile *c, uint8_t *from)
{
    emit_patch(from, c->e.at);
    leave_at_entry(c);
}

/* Calls `piece` for the instruction of a slow path, as if before it. */
static void slow_call(struct compile *c, const struct slow_path *slow, const uint8_t *piece)
{
    c->flags = slow->before;
    if (slow->needed && !c->flags.deferred)
        flags_save(c, &c->flags);
    block_store_fip(c, &slow->fip);
    emit_constant(&c->e, SCRATCH, add_site(c, slow->insn, slow->load, true));
    emit_call(&c->e, piece);
}

/* The handler does this instruction, and the interpreter goes on. */
static void compile_refused(struct compile *c, const struct slow_path *slow)
{
    struct emitter *e = &c->e;
    slow_call(c, slow, c->translator->fallback);
    emit_alu_constant(e, ALU_ADD, 8, operand_register(REMAINING), (int32_t)(c->count - slow->insn - 1));
    c->insn = c->insns[slow->insn];
    c->rip = c->parts[c->part_of[slow->insn]].rip;
    block_store_rip(c, insn_end(c));
    emit_jump(e, c->translator->leave_check);
}

/* The XMM registers or the x87's state are to be loaded, if they may be. */
static void compile_unit_paths(struct compile *c, const struct slow_path *slow)
{
    struct emitter *e = &c->e;
    if (slow->vectors_from) {
        emit_patch(slow->vectors_from, e->at);
        emit_call(e, c->translator->vectors);
        emit_jump_if(e, CONDITION_NE, slow->vectors_resume);
        compile_refused(c, slow);
    }
    if (slow->wide_from) {
        emit_patch(slow->wide_from, e->at);
        emit_call(e, c->translator->wide);
        emit_jump_if(e, CONDITION_E, slow->wide_resume);
        compile_refused(c, slow);
    }
    if (slow->x87_from) {
        emit_patch(slow->x87_from, e->at);
        emit_call(e, c->translator->x87);
        emit_jump_if(e, CONDITION_NE, slow->x87_resume);
    }
    if (slow->refused)
        emit_patch(slow->refused, e->at);
    if (slow->x87_from || slow->refused)
        compile_refused(c, slow);
}

static void compile_slow_path(struct compile *c, struct slow_path *slow)
{
    struct emitter *e = &c->e;
    compile_unit_paths(c, slow);
    if (slow->bad_target || slow->by_edge) {
        if (slow->by_edge)
            c->edges[slow->bad_edge].bad_target = e->at;
        else
            emit_address(e, slow->bad_target, e->at);
        if (slow->undo)
            emit_lea(e, 8, host_of(RSP), operand_memory(host_of(RSP), -slow->undo));
    } else if (!slow->from[0]) {
        return;
    }
    for (unsigned i = 0; slow->from[i]; i++)
        emit_patch(slow->from[i], e->at);
    const struct translator *t = c->translator;
    bool sets_rip = c->insns[slow->insn]->attributes & SETS_RIP;
    slow_call(c, slow, slow->load ? t->slow_load : sets_rip ? t->jump : t->slow);
    if (!slow->resume || (sets_rip && !slow->load))
        return; /* a branch: its handler leaves */
    c->flags = (struct flags_state){ .home = true };
    if (!slow->load && slow->after.live && c->need[slow->insn + 1])
        flags_load(c, F_ARITH);
    emit_jump(e, slow->resume);
}

/* A branch leaves the chain before its end. */
static void compile_exit_path(struct compile *c, const struct side_exit *exit)
{
    struct emitter *e = &c->e;
    emit_patch(exit->from, e->at);
    if (exit->rest)
        emit_lea(e, 8, REMAINING, operand_memory(REMAINING, exit->rest));
    c->flags = exit->flags;
    if (c->flags.waits)
        emit_store_near(e, PLACE(translated.operand), SCRATCH);
    c->flags.waits = false;
    c->flags.units = 0;
    take_units(c, exit->flags.units); /* as they were there, not at the end */
    block_store_fip(c, &exit->fip);
    compile_fixup(c);
    add_edge(c, emit_jump(e, NULL), exit->target, false, exit->grouping);
}

/* Where a direct jump goes while its target has no translation. */
static void compile_exit(struct compile *c, const struct compile_edge *from)
{
    struct translator *t = c->translator;
    struct emitter *e = &c->e;
    struct edge *edge = &t->edges[t->edge_count];
    *edge = (struct edge){
        .target = from->target, .from = from->from, .exit = e->at, .flags = from->flags,
        .kind = c->translation->kind, .index = from->index, .grouping = from->grouping,
        .backward = from->grouping == GROUPS_WIDE && from->target <= c->translation->rip,
    };
    if (from->bad_target)
        emit_address(e, (uint8_t *)&edge->bad_target, from->bad_target);
    if (!from->checked) {
        edge->known[0] = c->translation->id;
        edge->known[1] = c->translation->second_id;
    }
    t->edge_count++;
    if (!from->from)
        return;
    emit_patch(from->from, e->at);
    emit_constant(e, SCRATCH, EDGE_LIVE | (t->edge_count - 1));
    emit_jump(e, t->leave_link);
}

/* An instruction that is no branch. */
static bool lower_straight(struct compile *c)
{
    lowering *lower = c->facts[c->number]->lower;
    if (lower && lower(c))
        return true;
    return lower_bits(c) || lower_vector(c) || lower_avx(c) || lower_x87(c) || lower_system(c);
}

static void compile_insn(struct compile *c)
{
    bool branch = c->insn->attributes & SETS_RIP;
    if (does_nothing(c->insn))
        return;
    if (branch && at_end(c)) {
        block_store_fip(c, &c->fip);
        c->fip.any = false;
    }
    c->keeps = false;
    bool waited = c->flags.waits;
    bool lowered = branch ? lower_branch(c) : lower_straight(c);
    if (waited && c->flags.waits) { /* they were for this instruction only */
        c->flags.waits = false;
        c->flags.recipe = RECIPE_NONE;
    }
    if (!c->keeps)
        scratch_forget_guests(c);
    if (lowered) {
        if (c->slow_count)
            memory_finish(c);
        return;
    }
    c->trouble |= access_is_member(&c->accesses, c->number, ACCESS_OPERAND)
                  || access_is_member(&c->accesses, c->number, ACCESS_STACK);
    compile_fallback(c);
}

/* The code in line. */
static void compile_parts(struct compile *c)
{
    c->number = 0;
    for (c->part = c->parts; c->part < c->parts + c->part_count; c->part++) {
        c->rip = c->part->rip;
        c->linear = kind_linear(c->kind, c->rip);
        for (unsigned i = c->part->block->count; i; i--, c->number++) {
            c->insn = c->insns[c->number];
            c->row = c->facts[c->number]->row;
            watch_mark(c, PART_INSN, c->number);
            compile_insn(c);
        }
    }
    c->part--;
    c->number = c->count - 1u;
    if (!c->left && !(c->insn->attributes & SETS_RIP)) {
        block_store_fip(c, &c->fip);
        compile_fixup(c);
        compile_edge(c, -1, insn_end(c), c->index != c->translation->index);
    }
    c->index = c->translation->index;
}

void block_compile(struct compile *c)
{
    struct emitter *e = &c->e;
    struct translation *translation = c->translation;
    groups_find(c);
    if (c->trouble)
        return;
    translation->flags_demand = (uint8_t)flags_analyse(c);
    translation->checked = e->at;
    bool variant = is_variant(translation); /* indirect jumps do not come here */
    watch_mark(c, PART_CHECKS, 0);
    if (!variant)
        compile_checks(c);
    translation->entry = e->at;
    watch_mark(c, PART_ENTRY, 0);
    charge(c);
    uint8_t *budget = emit_jump_if(e, CONDITION_S, NULL);
    unsigned demand = translation->flags_demand;
    c->flags = variant ? translation->in
                       : (struct flags_state){ .home = demand == FLAGS_READ, .deferred = demand == FLAGS_SEEN };
    take_units(c, c->flags.units);
    c->flags.units = 0;
    c->loop = e->at;
    compile_parts(c);
    window_finish(c);
    for (unsigned i = 0; i < c->slow_count; i++) {
        watch_mark(c, PART_SLOW, c->slow[i].insn);
        compile_slow_path(c, &c->slow[i]);
    }
    watch_mark(c, PART_BUDGET, 0);
    compile_budget_stub(c, budget);
    for (unsigned i = 0; i < c->exit_count; i++) {
        watch_mark(c, PART_EXIT, i);
        compile_exit_path(c, &c->exits[i]);
    }
    for (unsigned i = 0; i < c->edge_count; i++) {
        watch_mark(c, PART_EDGE, i);
        compile_exit(c, &c->edges[i]);
    }
}
