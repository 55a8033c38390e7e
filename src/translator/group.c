/*
 * Which memory accesses of a translation share one check. Accesses through the
 * same registers, whose values differ from access to access by known constants
 * only, and which lie close together, form a group: its first access (the head)
 * checks the whole range that the group spans, and keeps the addend; the others
 * (members) cannot fault any more. Where the check fails, the rest of the translation
 * runs as a more cautious one: if a page's border lies inside the range, as one in
 * which groups end there (GROUPS_PARTED); otherwise as a plain one, in which each
 * access stands for itself.
 *
 * Not grouped: anything outside of 64-bit code, addresses of 32 bits, accesses of
 * instructions that are not in the lists of access.c.
 */
#include <string.h>

#include "translator/compile.h"

#define SPAN_MAXIMUM 256

/* What the address of an access is made of: two accesses with equal keys differ
 * by a constant. */
struct key {
    uint16_t base, index; /* numbers of values; VALUE_* */
    uint16_t epoch;       /* of the segments' bases */
    uint8_t scale, segment;
};

enum { VALUE_NONE, VALUE_PLACE /* the address is a constant */, VALUE_FIRST };

struct reference {
    struct key key;
    int64_t low;
    uint8_t number, which, bytes, alignment;
    bool write, grouped;
};

/* The last one stands for none: it may be written, too. */
enum { REGISTER_NONE = 16, REGISTERS };

/* What is known of the registers at an instruction. */
struct analysis {
    struct compile *c;
    uint16_t value[REGISTERS]; /* number of the value that the register has, less `delta` */
    int64_t delta[REGISTERS];
    uint16_t next_value, epoch;
    bool parted;          /* a border of pages kept accesses out of a group */
    struct reference references[2 * INSNS_MAXIMUM];
    unsigned count;
};

static void refer(struct analysis *a, struct reference reference)
{
    a->references[a->count++] = reference;
}

static void refer_operand(struct analysis *a, unsigned number, const struct insn *insn, unsigned bytes,
                          unsigned alignment, bool write)
{
    if (!bytes || insn->address_shift)
        return;
    struct key key = { .epoch = insn->seg == SEGMENT_FLAT ? 0 : a->epoch, .scale = insn->scale,
                       .segment = insn->seg };
    int64_t low = insn->disp;
    if (insn->base == RIP)
        low += (int64_t)a->c->parts[a->c->part_of[number]].rip;
    if (insn->base < RIP) {
        key.base = a->value[insn->base];
        low += a->delta[insn->base];
    }
    if (insn->index < RIP) {
        key.index = a->value[insn->index];
        low += (int64_t)((uint64_t)a->delta[insn->index] << insn->scale);
    }
    if (insn->base >= RIP && insn->index >= RIP) {
        key.scale = 0;
        if (insn->seg == SEGMENT_FLAT)
            key.base = VALUE_PLACE;
    }
    refer(a, (struct reference){ key, low, (uint8_t)number, ACCESS_OPERAND, (uint8_t)bytes,
                                 (uint8_t)alignment, write, false });
}

static void refer_stack(struct analysis *a, unsigned number, unsigned base, int disp, bool write)
{
    struct key key = { .base = a->value[base], .segment = SEGMENT_FLAT };
    refer(a, (struct reference){ key, a->delta[base] + disp, (uint8_t)number, ACCESS_STACK, 8, 1, write,
                                 false });
}

static void renew_one(struct analysis *a, unsigned i)
{
    a->value[i] = a->next_value++;
    a->delta[i] = 0;
}

static void renew(struct analysis *a, unsigned written)
{
    for (unsigned left = written & ALL_REGISTERS; left; left &= left - 1)
        renew_one(a, (unsigned)__builtin_ctz(left));
}

/* to = from + delta */
static void derive(struct analysis *a, unsigned to, unsigned from, int64_t delta)
{
    a->value[to] = a->value[from];
    a->delta[to] = (int64_t)((uint64_t)a->delta[from] + (uint64_t)delta);
}

/* Instructions that make a register another plus a constant. */
static bool derives(struct analysis *a, const struct insn *insn, enum derivation how, bool memory)
{
    if (how == DERIVES_ADDRESS) {
        if (insn->base >= RIP || insn->index < RIP || insn->address_shift)
            return false;
        derive(a, insn->reg, insn->base, insn->disp);
        return true;
    }
    if (memory)
        return false;
    switch (how) {
    case DERIVES_RM_FROM_REG: derive(a, insn->rm, insn->reg, 0); return true;
    case DERIVES_REG_FROM_RM: derive(a, insn->reg, insn->rm, 0); return true;
    case DERIVES_ADD: derive(a, insn->rm, insn->rm, (int64_t)insn->imm); return true;
    case DERIVES_SUB: derive(a, insn->rm, insn->rm, (int64_t)(0 - insn->imm)); return true;
    case DERIVES_INC: derive(a, insn->rm, insn->rm, 1); return true;
    case DERIVES_DEC: derive(a, insn->rm, insn->rm, -1); return true;
    default: return false;
    }
}

/* An instruction of which the row does not say all. */
static void step_unknown(struct analysis *a, unsigned number, const struct insn *insn)
{
    a->c->insn = insn;
    a->c->row = row_of(insn);
    struct access_use use = access_use(a->c);
    refer_operand(a, number, insn, use.bytes, use.alignment, use.write);
    if (use.registers == ALL_REGISTERS)
        a->epoch++;
    renew(a, use.registers);
}

/* What few instructions do: they use the stack, or write registers that they do not name. */
static void step_seldom(struct analysis *a, unsigned number, const struct row_access *access, bool wide)
{
    bool stack = wide && access->stack != REGISTER_ZERO;
    if (stack)
        refer_stack(a, number, access->stack, access->stack_disp, access->stack_write);
    if (wide && access->derives == DERIVES_LEAVE) {
        derive(a, RSP, RBP, 8);
        renew(a, 1u << RBP);
    } else if (access->all) {
        a->epoch++;
        renew(a, ALL_REGISTERS);
    } else {
        if (stack && access->stack == RSP)
            derive(a, RSP, RSP, access->pops ? 8 : access->stack_disp);
        renew(a, access->fixed);
    }
}

static void step(struct analysis *a, unsigned number)
{
    const struct insn *insn = a->c->insns[number];
    const struct row_facts *facts = a->c->facts[number];
    const struct row_access *access = &facts->access;
    if (does_nothing(insn))
        return;
    if (!access->known) {
        step_unknown(a, number, insn);
        return;
    }
    bool memory = row_in_memory(facts, insn), wide = insn->operand_bytes == 8;
    if (memory & (access->bytes != 0)) {
        unsigned bytes = access->bytes == ACCESS_WIDTH ? insn->operand_bytes : access->bytes;
        refer_operand(a, number, insn, bytes, 1, access->write);
    }
    if (access->seldom)
        step_seldom(a, number, access, wide);
    if (wide & (access->derives != DERIVES_NOT) && derives(a, insn, (enum derivation)access->derives, memory))
        return;
    unsigned rm = insn->rm >> access->shift & 15, reg = insn->reg >> access->shift & 15;
    renew_one(a, access->rm && !memory ? rm : REGISTER_NONE);
    renew_one(a, access->reg ? reg : REGISTER_NONE);
}

static bool same(const struct key *a, const struct key *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* The register whose value at the beginning has that number; REGISTER_ZERO: of none. */
static unsigned first_register(unsigned value)
{
    return value >= VALUE_FIRST && value < VALUE_FIRST + 16 ? value - VALUE_FIRST : REGISTER_ZERO;
}

/* Where an access with that key would be if its `low` were 0. */
static bool known_place(const struct analysis *a, const struct key *key, uint64_t *place)
{
    const struct cpu *cpu = a->c->cpu;
    unsigned base = first_register(key->base), index = first_register(key->index);
    if (!cpu || (key->base != VALUE_NONE && base == REGISTER_ZERO) || key->epoch
        || (key->index != VALUE_NONE && index == REGISTER_ZERO))
        return false;
    *place = cpu->access[key->segment].base + (base == REGISTER_ZERO ? 0 : cpu->s.gpr[base])
             + (index == REGISTER_ZERO ? 0 : cpu->s.gpr[index] << key->scale);
    return true;
}

/* What a group spans. */
struct range {
    int64_t low, high;
    unsigned alignment; /* of `low` */
    bool in_page;       /* it may not leave the page, `place` being known */
    uint64_t place;
};

static bool crosses_page(const struct range *range)
{
    return (range->place + (uint64_t)range->low) >> PAGE_SHIFT
           != (range->place + (uint64_t)range->high - 1) >> PAGE_SHIFT;
}

/* Widens the range to take the reference, if that is allowed. */
static bool widen(struct analysis *a, const struct reference *r, struct range *range)
{
    struct range wider = *range;
    if (r->alignment > 1 && range->alignment > 1
        && (r->alignment != range->alignment || (r->low - range->low) % r->alignment))
        return false;
    if (r->low < wider.low)
        wider.low = r->low;
    if (r->low + r->bytes > wider.high)
        wider.high = r->low + r->bytes;
    if (r->alignment > 1)
        wider.alignment = r->alignment;
    if (wider.alignment > 1) /* begins where an aligned access could */
        wider.low -= (wider.low - (r->alignment > 1 ? r->low : range->low)) & (wider.alignment - 1);
    if (r->key.base == VALUE_PLACE ? (wider.low ^ (wider.high - 1)) >> PAGE_SHIFT != 0
                                   : wider.high - wider.low > SPAN_MAXIMUM)
        return false;
    if (range->in_page && crosses_page(&wider)) {
        a->parted = true;
        return false;
    }
    *range = wider;
    return true;
}

static bool encodable(const struct range *range, const struct key *key)
{
    return key->base == VALUE_PLACE || (range->low >= INT32_MIN / 2 && range->high <= INT32_MAX / 2);
}

/* The group of the reference number `first`, if others follow that belong to it. */
static void form(struct analysis *a, unsigned first)
{
    struct accesses *accesses = &a->c->accesses;
    const struct reference *head = &a->references[first];
    struct range range = { .low = head->low, .high = head->low + head->bytes, .alignment = head->alignment };
    uint8_t taken[2 * INSNS_MAXIMUM];
    unsigned count = 0;
    bool write = head->write;
    if (accesses->group_count == TRANSLATED_GROUPS)
        return;
    range.in_page = a->c->grouping == GROUPS_PARTED && known_place(a, &head->key, &range.place);
    for (unsigned i = first + 1; i < a->count; i++) {
        const struct reference *r = &a->references[i];
        if (!same(&r->key, &head->key) || r->grouped || !widen(a, r, &range))
            continue;
        taken[count++] = (uint8_t)i;
        write |= r->write;
    }
    if (!count || !encodable(&range, &head->key))
        return;
    bool place = head->key.base == VALUE_PLACE;
    accesses->groups[accesses->group_count++] = (struct group){
        .span = (uint16_t)(range.high - range.low), .write = write, .place = place,
        .alignment = (uint8_t)range.alignment,
    };
    taken[count++] = (uint8_t)first;
    for (unsigned i = 0; i < count; i++) {
        struct reference *r = &a->references[taken[i]];
        bool is_head = taken[i] == first;
        r->grouped = true;
        accesses->access[r->number][r->which] = (struct access){
            .group = (uint8_t)accesses->group_count, .head = is_head, .bytes = r->bytes,
            .offset = (uint16_t)(r->low - range.low),
        };
        accesses->members[r->which] |= (uint64_t)!is_head << r->number;
    }
}

void groups_find(struct compile *c)
{
    struct analysis a;
    memset(c->accesses.access, 0, c->count * sizeof *c->accesses.access);
    memset(c->accesses.members, 0, sizeof c->accesses.members);
    c->accesses.group_count = 0;
    if (c->grouping == GROUPS_NONE || c->kind->code_bytes != 8)
        return;
    a.c = c;
    a.next_value = VALUE_FIRST;
    a.epoch = 0;
    a.count = 0;
    a.parted = false;
    renew(&a, ALL_REGISTERS);
    for (unsigned i = 0; i < c->count; i++)
        step(&a, i);
    for (unsigned i = 0; i < a.count; i++)
        if (!a.references[i].grouped)
            form(&a, i);
    c->trouble = c->grouping == GROUPS_PARTED && !a.parted;
}
