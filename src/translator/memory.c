/*
 * Guest memory from translated code: an inline look into the TLB, which covers
 * rights, tracking and page crossing with one compare; everything else goes
 * through a slow path out of line.
 *
 * Needs a host with BMI2 (RORX).
 */
#include "translator/scratch.h"

/* What SCRATCH2 has of an address is eight times its slot. */
#define SLOT_SHIFT 3
_Static_assert(sizeof(struct tlb_entry) == 4 << SLOT_SHIFT, "an entry is found by a scaled index");

static struct slow_path *slow_path(struct compile *c)
{
    if (c->slow_count) {
        struct slow_path *last = &c->slow[c->slow_count - 1];
        if (last->insn == c->number && !last->load)
            return last;
    }
    struct slow_path *slow = &c->slow[c->slow_count++];
    slow->from[0] = slow->resume = slow->vectors_from = slow->wide_from = slow->x87_from = NULL;
    slow->refused = slow->bad_target = NULL;
    slow->by_edge = false;
    slow->insn = (uint16_t)c->number;
    slow->load = 0;
    slow->needed = c->need[c->number] != 0;
    slow->fip = c->fip;
    slow->before = c->flags;
    slow->before.live = false;
    return slow;
}

/* The next of its list of jumps. */
static uint8_t **free_jump(struct slow_path *slow)
{
    uint8_t **from = slow->from;
    while (*from)
        from++;
    from[1] = NULL;
    return from;
}

/* The jump whose displacement is at `from` goes to the slow path. */
static void slow_from(struct compile *c, uint8_t *from)
{
    *free_jump(slow_path(c)) = from;
}

void memory_finish(struct compile *c)
{
    struct slow_path *slow = &c->slow[c->slow_count - 1];
    if (slow->insn != c->number || slow->resume || !(slow->from[0] || slow->bad_target || slow->by_edge))
        return;
    slow->resume = c->e.at;
    emit_join(&c->e);
    slow->after = c->flags;
}

/* A guest register in a host register: its own, or one that holds it, or loaded into
 * `scratch`. */
static unsigned in_register(struct compile *c, unsigned guest, unsigned scratch)
{
    if (pinned(guest))
        return host_of(guest);
    unsigned held = scratch_that_holds(c, HELD_GUEST | guest);
    if (held != HOST_NONE)
        return held;
    scratch_load(c, scratch, guest);
    return scratch;
}

static bool no_register(unsigned guest) { return guest == REGISTER_ZERO; }

/* memory_sum less `less`. */
static void sum_less(struct compile *c, unsigned reg, unsigned width, unsigned less)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    int64_t disp = insn->disp - (int64_t)less;
    if (insn->base == RIP) {
        uint64_t address = c->rip + (uint64_t)disp;
        if (no_register(insn->index)) {
            emit_constant(e, reg, width == 4 ? (uint32_t)address : address);
            return;
        }
    }
    unsigned index = no_register(insn->index) ? HOST_NONE : in_register(c, insn->index, SCRATCH2);
    unsigned free = index == SCRATCH ? SCRATCH2 : SCRATCH;
    unsigned base = no_register(insn->base) ? HOST_NONE : in_register(c, insn->base, free);
    if (base == HOST_NONE && index == HOST_NONE) {
        emit_constant(e, reg, width == 4 ? (uint32_t)disp : (uint64_t)disp);
        return;
    }
    if (base == reg && index == HOST_NONE && !disp && width == 8)
        return;
    emit_lea(e, width, reg, operand_indexed(base, index, insn->scale, (int32_t)disp));
}

void memory_sum(struct compile *c, unsigned reg, unsigned width)
{
    sum_less(c, reg, width, 0);
}

void memory_effective_address(struct compile *c, unsigned reg, unsigned width)
{
    unsigned shift = c->insn->address_shift;
    if (shift == 32 && width == 8)
        width = 4; /* LEA with 67: cut to 32 bits */
    memory_sum(c, reg, width);
    if (shift == 48 && width > 2)
        emit_instruction(&c->e, OP2(0xb7), 4, reg, operand_register(reg)); /* MOVZX */
}

struct host_operand memory_segment_field(unsigned segment, size_t field)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, access)
                                          + segment * sizeof(struct segment_access) + field));
}

static struct host_operand segment_base(const struct insn *insn)
{
    return memory_segment_field(insn->seg, offsetof(struct segment_access, base));
}

/* The linear address less `less` into SCRATCH. */
static void linear_address(struct compile *c, unsigned less)
{
    const struct insn *insn = c->insn;
    sum_less(c, SCRATCH, insn->address_shift == 32 ? 4 : 8, less);
    if (insn->seg != SEGMENT_FLAT)
        emit_alu(&c->e, ALU_ADD, 8, SCRATCH, segment_base(insn));
}

/* The offset is a register and a displacement: no need to make it twice. */
static bool simple_offset(const struct insn *insn)
{
    return insn->address_shift == 0 && no_register(insn->index) && insn->base < RIP && pinned(insn->base);
}
static bool simple(const struct insn *insn)
{
    return insn->seg == SEGMENT_FLAT && simple_offset(insn);
}

static struct host_operand in_tlb(const struct compile *c, unsigned scale, size_t offset)
{
    offset += offsetof(struct cpu, tlbs) + c->index * sizeof(struct tlb);
    return operand_indexed(VCPU, SCRATCH2, scale, (int32_t)offset);
}

struct host_operand memory_in_tlb(const struct compile *c, size_t offset)
{
    return in_tlb(c, 2, offsetof(struct tlb, entry) + offset);
}

/* Jumps unless [SCRATCH, SCRATCH + bytes), an address less the TLB's tag, lies in the
 * page and is aligned. Spoils SCRATCH if more than one aligned piece is wanted. */
static uint8_t *leave_page(struct emitter *e, unsigned bytes, unsigned alignment)
{
    struct host_operand offset = operand_register(SCRATCH);
    unsigned shift = 0;
    if (alignment > 1 && bytes <= alignment) {
        emit_instruction(e, OP1(0xf7), 8, 0, offset); /* TEST */
        emit_bytes(e, (uint32_t)(-(int32_t)PAGE_BYTES | (int32_t)(alignment - 1)), 4);
        return emit_jump_if(e, CONDITION_NE, NULL);
    }
    if (alignment > 1) {
        shift = (unsigned)__builtin_ctz(alignment);
        emit_rorx(e, SCRATCH, SCRATCH, shift);
    }
    emit_alu_constant(e, ALU_CMP, 8, offset, (int32_t)((PAGE_BYTES - bytes) >> shift));
    return emit_jump_if(e, CONDITION_A, NULL);
}

uint8_t *memory_check(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write,
                      unsigned alignment)
{
    struct emitter *e = &c->e;
    unsigned address = base;
    if (disp) {
        address = SCRATCH;
        emit_lea(e, 8, SCRATCH, operand_memory(base, disp));
    }
    emit_rorx(e, SCRATCH2, address, PAGE_SHIFT - SLOT_SHIFT);
    if (address != SCRATCH)
        emit_load(e, 8, SCRATCH, operand_register(address));
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH2), (TLB_ENTRIES - 1) << SLOT_SHIFT);
    emit_alu(e, ALU_XOR, 8, SCRATCH,
             memory_in_tlb(c, write ? offsetof(struct tlb_entry, write_tag)
                                    : offsetof(struct tlb_entry, read_tag)));
    flags_clobbered(c);
    return leave_page(e, bytes, alignment);
}

void memory_load_place(struct compile *c, bool addend)
{
    emit_load(&c->e, 8, SCRATCH2,
              addend ? memory_in_tlb(c, offsetof(struct tlb_entry, addend))
                     : in_tlb(c, 0, offsetof(struct tlb, host)));
}

/* Both, with the slow path for a failure. */
static void look_up(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write,
                    unsigned alignment, bool addend)
{
    uint8_t **fails = free_jump(slow_path(c));
    unsigned how = WINDOW_SINGLE | (write ? WINDOW_WRITE : 0) | (addend ? WINDOW_ADDEND : 0);
    if (window_check(c, base, disp, bytes, alignment, how, fails))
        return;
    *fails = memory_check(c, base, disp, bytes, write, alignment);
    memory_load_place(c, addend);
}

void memory_look_up(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write,
                    unsigned alignment)
{
    look_up(c, base, disp, bytes, write, alignment, false);
}

/* Groups */

static int32_t group_place(const struct access *access)
{
    return (int32_t)(offsetof(struct cpu, translated.addend) + (access->group - 1u) * sizeof(uint64_t));
}

/* The scratch register that has the addend, SCRATCH2 unless `either` will do. Of two
 * groups that are used in turn each gets one. */
static unsigned need_addend(struct compile *c, const struct access *access, bool either)
{
    if (scratch_holds(c, SCRATCH2, access->group))
        return SCRATCH2;
    if (either && scratch_holds(c, SCRATCH, access->group))
        return SCRATCH;
    bool other = either && !(c->e.named >> SCRATCH2 & 1);
    unsigned scratch = other ? SCRATCH : SCRATCH2;
    emit_load_near(&c->e, scratch, group_place(access));
    scratch_note(c, scratch, access->group);
    return scratch;
}

bool memory_checks(const struct compile *c)
{
    return c->row->modrm & MODRM_PRESENT && c->insn->modrm < 0xc0
           && !access_is_member(&c->accesses, c->number, ACCESS_OPERAND);
}

bool memory_stack_checks(const struct compile *c)
{
    return !access_is_member(&c->accesses, c->number, ACCESS_STACK);
}

/* The access's group, or NULL if it has none; then it is to be checked alone. */
static struct group *group_of(struct compile *c, unsigned which, unsigned bytes, bool write,
                              unsigned alignment)
{
    struct access *access = &c->accesses.access[c->number][which];
    if (!access->group)
        return NULL;
    struct group *group = &c->accesses.groups[access->group - 1];
    if (group->live == access->head || bytes > access->bytes || (write && !group->write)
        || alignment > group->alignment)
        c->trouble = true;
    return group;
}

/* The check of a group whose range begins at base + disp; then SCRATCH2 has what its
 * members add. */
static void check_group(struct compile *c, const struct group *group, unsigned base, int32_t disp)
{
    uint8_t **fails = compile_cautious_exit(c);
    unsigned how = WINDOW_ADDEND | (group->write ? WINDOW_WRITE : 0);
    if (!group->place && window_check(c, base, disp, group->span, group->alignment, how, fails))
        return;
    *fails = memory_check(c, base, disp, group->span, group->write, group->alignment);
    memory_load_place(c, !group->place);
}

/* SCRATCH2 is what the members of the access's group add. */
static void keep_addend(struct compile *c, struct group *group, const struct access *access)
{
    emit_store_near(&c->e, group_place(access), SCRATCH2);
    scratch_note(c, SCRATCH2, access->group);
    group->live = true;
}

/* The operand of an access in a group; with `keep` SCRATCH is only used if the
 * address is not simple. */
static struct host_operand grouped_operand(struct compile *c, struct group *group, bool keep)
{
    const struct insn *insn = c->insn;
    const struct access *access = &c->accesses.access[c->number][ACCESS_OPERAND];
    if (!group->live) {
        if (simple(insn)) {
            check_group(c, group, host_of(insn->base), (int32_t)insn->disp - access->offset);
        } else {
            linear_address(c, access->offset);
            check_group(c, group, SCRATCH, 0);
        }
        if (!group->place && insn->seg != SEGMENT_FLAT)
            emit_alu(&c->e, ALU_ADD, 8, SCRATCH2, segment_base(insn));
        keep_addend(c, group, access);
    }
    bool sum = !group->place && !simple_offset(insn);
    if (sum)
        memory_sum(c, SCRATCH, 8);
    unsigned addend = need_addend(c, access, !keep && !sum);
    if (group->place) {
        uint64_t address = insn->base == RIP ? c->rip + (uint64_t)insn->disp : (uint64_t)insn->disp;
        return operand_memory(addend, (int32_t)(address & PAGE_MASK));
    }
    if (!sum)
        return operand_indexed(addend, host_of(insn->base), 0, (int32_t)insn->disp);
    return operand_indexed(addend, SCRATCH, 0, 0);
}

static struct host_operand checked_operand(struct compile *c, unsigned bytes, bool write, bool keep,
                                           unsigned alignment)
{
    const struct insn *insn = c->insn;
    if (c->kind->code_bytes != 8)
        return segmented_operand(c, bytes, write, alignment);
    struct group *group = group_of(c, ACCESS_OPERAND, bytes, write, alignment);
    if (group) {
        struct host_operand operand = grouped_operand(c, group, keep);
        if (!keep || operand.index != SCRATCH)
            return operand;
        emit_lea(&c->e, 8, SCRATCH2, operand);
        return operand_memory(SCRATCH2, 0);
    }
    struct host_operand found = operand_indexed(SCRATCH2, SCRATCH, 0, 0);
    if (simple(insn)) {
        unsigned base = host_of(insn->base);
        look_up(c, base, (int32_t)insn->disp, bytes, write, alignment, true);
        found = operand_indexed(SCRATCH2, base, 0, (int32_t)insn->disp);
    } else {
        linear_address(c, 0);
        memory_look_up(c, SCRATCH, 0, bytes, write, alignment);
    }
    if (!keep)
        return found;
    emit_lea(&c->e, 8, SCRATCH2, found);
    return operand_memory(SCRATCH2, 0);
}

struct host_operand memory_operand(struct compile *c, unsigned bytes, bool write, bool keep)
{
    return checked_operand(c, bytes, write, keep, 1);
}

struct host_operand memory_vector(struct compile *c, unsigned bytes, bool write, bool aligned)
{
    return checked_operand(c, bytes, write, false, aligned ? bytes : 1);
}

struct host_operand memory_at(struct compile *c, unsigned bytes, bool write)
{
    if (c->insn->seg != SEGMENT_FLAT)
        emit_alu(&c->e, ALU_ADD, 8, SCRATCH, segment_base(c->insn));
    memory_look_up(c, SCRATCH, 0, bytes, write, 1);
    return operand_indexed(SCRATCH2, SCRATCH, 0, 0);
}

void memory_need_vectors(struct compile *c)
{
    if (c->vectors)
        return;
    struct slow_path *slow = slow_path(c);
    emit_alu_constant(&c->e, ALU_CMP, 4, IN_VCPU(translated.vectors), 0);
    slow->vectors_from = emit_jump_if(&c->e, CONDITION_E, NULL);
    slow->vectors_resume = c->e.at;
    emit_join(&c->e);
    flags_clobbered(c);
    c->vectors = true;
}

void memory_need_wide(struct compile *c)
{
    if (c->wide)
        return;
    struct slow_path *slow = slow_path(c);
    emit_alu_constant(&c->e, ALU_CMP, 4, IN_VCPU(translated.vectors), 3);
    slow->wide_from = emit_jump_if(&c->e, CONDITION_NE, NULL);
    slow->wide_resume = c->e.at;
    emit_join(&c->e);
    flags_clobbered(c);
    c->vectors = c->wide = true;
}

void memory_need_x87(struct compile *c)
{
    if (c->x87)
        return;
    struct slow_path *slow = slow_path(c);
    emit_alu_constant(&c->e, ALU_CMP, 4, IN_VCPU(translated.x87), 0);
    slow->x87_from = emit_jump_if(&c->e, CONDITION_E, NULL);
    slow->x87_resume = c->e.at;
    emit_join(&c->e);
    flags_clobbered(c);
    c->x87 = true;
}

void memory_refuse_if(struct compile *c, enum condition condition)
{
    uint8_t *from = emit_jump_if(&c->e, condition, NULL);
    slow_path(c)->refused = from;
}

struct host_operand memory_stack(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write)
{
    if (c->kind->code_bytes != 8)
        return segmented_stack(c, base, disp, bytes, write);
    const struct access *access = &c->accesses.access[c->number][ACCESS_STACK];
    struct group *group = group_of(c, ACCESS_STACK, bytes, write, 1);
    if (group && group->live) {
        need_addend(c, access, false);
    } else if (group) {
        check_group(c, group, host_of(base), disp - access->offset);
        keep_addend(c, group, access);
    } else {
        look_up(c, host_of(base), disp, bytes, write, 1, true);
    }
    return operand_indexed(SCRATCH2, host_of(base), 0, disp);
}

void memory_bad_target(struct compile *c, int32_t undo)
{
    struct slow_path *slow = slow_path(c);
    slow->undo = undo;
    slow->by_edge = !c->flags.home && !c->flags.deferred; /* compile_fixup_indirect says which edge */
    slow->bad_edge = (uint16_t)c->edge_count;
    if (slow->by_edge)
        return;
    emit_constant_near(&c->e, PLACE(translated.bad_target), 0);
    slow->bad_target = c->e.at - 4;
}

void memory_leave_if(struct compile *c, enum condition condition)
{
    slow_from(c, emit_jump_if(&c->e, condition, NULL));
}

void memory_load(struct compile *c, unsigned bytes)
{
    struct host_operand operand = memory_operand(c, bytes, false, false);
    struct emitter *e = &c->e;
    if (bytes >= 4)
        emit_load(e, bytes, SCRATCH, operand);
    else
        emit_instruction(e, OP2(bytes == 1 ? 0xb6 : 0xb7), 4, SCRATCH, operand); /* MOVZX */
    if (c->accesses.access[c->number][ACCESS_OPERAND].group)
        return; /* its slow path, if it is a head, goes on before the load */
    struct slow_path *slow = slow_path(c);
    slow->load = (uint8_t)bytes;
    slow->resume = e->at;
    emit_join(e);
    slow->after = c->flags;
}
