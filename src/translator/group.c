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
 * instructions that are not in the lists below.
 */
#include <string.h>

#include "translator/compile.h"

#define SPAN_MAXIMUM 256
#define ALL_REGISTERS 0xffffu

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
    bool write;
};

/* What is known of the registers at an instruction. */
struct analysis {
    struct compile *c;
    uint16_t value[16];   /* number of the value that the register has, less `delta` */
    int64_t delta[16];
    uint16_t next_value, epoch;
    bool parted;          /* a border of pages kept accesses out of a group */
    struct reference references[2 * INSNS_MAXIMUM];
    unsigned count;
};

static unsigned extension_of(const struct insn *insn) { return insn->modrm >> 3 & 7; }

static bool is_memory(const struct insn *insn, const struct opcode_row *row)
{
    return row->modrm & MODRM_PRESENT && insn->modrm < 0xc0;
}

/* Bytes of the ModRM operand in memory, 0 if there is none or it is not for a
 * group. */
static unsigned one_byte_operand(const struct insn *insn, unsigned o, bool *write)
{
    unsigned width = insn->operand_bytes, extension = extension_of(insn);
    if (o < 0x40 && (o & 7) < 4) {
        *write = !(o & 2) && o >> 3 != 7;
        return width;
    }
    switch (o) {
    case 0x80: case 0x81: case 0x82: case 0x83: *write = extension != 7; return width;
    case 0x84: case 0x85: case 0x8a: case 0x8b: case 0x69: case 0x6b: return width;
    case 0x63: return 4;
    case 0x86: case 0x87: case 0x88: case 0x89: case 0xc6: case 0xc7:
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3:
        *write = true;
        return width;
    case 0xf6: case 0xf7:
        *write = extension == 2 || extension == 3;
        return extension < 6 ? width : 0;
    case 0xfe: *write = true; return extension < 2 ? width : 0;
    case 0xff:
        *write = extension < 2;
        return extension < 2 ? width : extension == 2 || extension == 4 ? 8 : 0;
    }
    return 0;
}

static unsigned two_byte_operand(const struct insn *insn, unsigned o, bool *write)
{
    if (o >= 0x40 && o <= 0x4f)
        return insn->operand_bytes;
    switch (o) {
    case 0xaf: return insn->operand_bytes;
    case 0xb6: case 0xbe: return 1;
    case 0xb7: case 0xbf: return 2;
    case 0xb0: case 0xb1: case 0xc0: case 0xc1: *write = true; return insn->operand_bytes;
    case 0xba: *write = extension_of(insn) != 4; return insn->operand_bytes;
    }
    return 0;
}

/* The register whose memory an instruction uses as stack, or REGISTER_ZERO. */
static unsigned stack_register(const struct insn *insn, const struct opcode_row *row, int *disp, bool *write)
{
    *disp = 0;
    *write = false;
    if (row->map != MAP_ONE || insn->operand_bytes != 8)
        return REGISTER_ZERO;
    switch (row->opcode) {
    case 0x50: case 0x68: case 0x6a: case 0xe8:
        *disp = -8;
        *write = true;
        return RSP;
    case 0xff:
        *disp = -8;
        *write = true;
        return extension_of(insn) == 2 ? RSP : REGISTER_ZERO;
    case 0x58: case 0xc2: case 0xc3: return RSP;
    case 0xc9: return RBP;
    }
    return REGISTER_ZERO;
}

static unsigned bit_of(unsigned number, unsigned width)
{
    return 1u << ((width == 1 ? number >> 3 : number) & 15); /* MOVZX and its kin ask for nothing */
}

/* Registers that an instruction may change; all of them if it is in no list. */
static unsigned one_byte_written(const struct insn *insn, unsigned o, bool memory)
{
    unsigned width = insn->operand_bytes, extension = extension_of(insn);
    unsigned rm = memory ? 0 : bit_of(insn->rm, width), reg = bit_of(insn->reg, width);
    if (o < 0x40 && (o & 7) < 6) {
        if (o >> 3 == 7)
            return 0;
        return (o & 7) < 2 ? rm : (o & 7) < 4 ? reg : 1u << RAX;
    }
    switch (o) {
    case 0x80: case 0x81: case 0x82: case 0x83: return extension == 7 ? 0 : rm;
    case 0x84: case 0x85: case 0xa8: case 0xa9: case 0xeb: case 0xe9: return 0;
    case 0x86: case 0x87: return rm | reg;
    case 0x88: case 0x89: case 0xc6: case 0xc7:
    case 0xc0: case 0xc1: case 0xd0: case 0xd1: case 0xd2: case 0xd3: return rm;
    case 0x8a: case 0x8b: return reg;
    case 0x63: case 0x69: case 0x6b: case 0x8d: return 1u << insn->reg;
    case 0x90: return 1u << RAX | 1u << insn->rm;
    case 0x98: return 1u << RAX;
    case 0x99: return 1u << RDX;
    case 0xb0: case 0xb8: return bit_of(insn->rm, width);
    case 0xf6: case 0xf7:
        return extension < 2 ? 0 : extension < 4 ? rm : 1u << RAX | 1u << RDX;
    case 0xfe: case 0xff: /* PUSH from memory moves RSP */
        return extension < 2 ? rm : extension == 6 ? 1u << RSP : 0;
    case 0x50: case 0x68: case 0x6a: case 0xe8: case 0xc2: case 0xc3: return 0;
    case 0x58: return 1u << insn->rm;
    }
    return o >= 0x70 && o <= 0x7f ? 0 : ALL_REGISTERS;
}

static unsigned two_byte_written(const struct insn *insn, unsigned o, bool memory)
{
    unsigned width = insn->operand_bytes, rm = memory ? 0 : bit_of(insn->rm, width);
    if (o >= 0x40 && o <= 0x4f)
        return 1u << insn->reg;
    if (o >= 0x80 && o <= 0x8f)
        return 0;
    if (o >= 0x90 && o <= 0x9f)
        return memory ? 0 : bit_of(insn->rm, 1);
    switch (o) {
    case 0x1e: case 0x1f: case 0x0d: case 0x18: case 0xa3: return 0;
    case 0xab: case 0xb3: case 0xbb: case 0xba: return rm;
    case 0xaf: case 0xb6: case 0xb7: case 0xbe: case 0xbf: return 1u << insn->reg;
    case 0xb0: case 0xb1: return 1u << RAX | rm;
    case 0xc0: case 0xc1: return bit_of(insn->reg, width) | rm;
    case 0xc8: return 1u << insn->rm;
    }
    return ALL_REGISTERS;
}

/* POPCNT, TZCNT, LZCNT */
static bool bit_counts(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    return row->map == MAP_TWO && row->prefix == OPCODE_PREFIX_PF3 && (o == 0xb8 || o == 0xbc || o == 0xbd);
}

static unsigned bits_written(const struct insn *insn, const struct opcode_row *row)
{
    if (bit_counts(row))
        return 1u << insn->reg;
    if (row->map != MAP_V38)
        return ALL_REGISTERS;
    switch (row->opcode) {
    case 0xf2: case 0xf5: case 0xf7: return 1u << insn->reg;
    case 0xf3: return 1u << insn->vvvv;
    case 0xf6: return 1u << insn->reg | 1u << insn->vvvv;
    }
    return ALL_REGISTERS;
}

/* Of the current instruction. Who is in no list writes all registers. */
static struct access_use use_of(const struct compile *c)
{
    const struct insn *insn = c->insn;
    const struct opcode_row *row = c->row;
    struct access_use use = { .alignment = 1, .registers = ALL_REGISTERS };
    bool memory = is_memory(insn, row);
    if (row->map == MAP_ONE ? row->opcode >= 0xd8 && x87_use(c, &use) : vector_use(c, &use) || avx_use(c, &use))
        return use;
    if (row->map == MAP_ONE) {
        use.bytes = memory ? one_byte_operand(insn, row->opcode, &use.write) : 0;
        use.registers = one_byte_written(insn, row->opcode, memory);
    } else if (row->map == MAP_TWO && row->prefix == OPCODE_PREFIX_ANY) {
        use.bytes = memory ? two_byte_operand(insn, row->opcode, &use.write) : 0;
        use.registers = two_byte_written(insn, row->opcode, memory);
    } else {
        use.bytes = bit_counts(row) && memory ? insn->operand_bytes : 0;
        use.registers = bits_written(insn, row);
    }
    return use;
}

static void refer(struct analysis *a, struct reference reference)
{
    a->references[a->count++] = reference;
}

static void refer_operand(struct analysis *a, unsigned number, const struct insn *insn,
                          const struct access_use *use)
{
    if (!use->bytes || insn->address_shift)
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
    refer(a, (struct reference){ key, low, (uint8_t)number, ACCESS_OPERAND, (uint8_t)use->bytes,
                                 (uint8_t)use->alignment, use->write });
}

static void refer_stack(struct analysis *a, unsigned number, unsigned base, int disp, bool write)
{
    struct key key = { .base = a->value[base], .segment = SEGMENT_FLAT };
    refer(a, (struct reference){ key, a->delta[base] + disp, (uint8_t)number, ACCESS_STACK, 8, 1, write });
}

static void renew(struct analysis *a, unsigned written)
{
    for (unsigned left = written & ALL_REGISTERS; left; left &= left - 1) {
        unsigned i = (unsigned)__builtin_ctz(left);
        a->value[i] = a->next_value++;
        a->delta[i] = 0;
    }
}

/* to = from + delta */
static void derive(struct analysis *a, unsigned to, unsigned from, int64_t delta)
{
    a->value[to] = a->value[from];
    a->delta[to] = (int64_t)((uint64_t)a->delta[from] + (uint64_t)delta);
}

/* Instructions that make a register another plus a constant. */
static bool derives(struct analysis *a, const struct insn *insn, const struct opcode_row *row)
{
    unsigned o = row->opcode, extension = extension_of(insn);
    bool memory = is_memory(insn, row);
    if (row->map != MAP_ONE || insn->operand_bytes != 8)
        return false;
    switch (o) {
    case 0x89: case 0x8b:
        if (memory)
            return false;
        derive(a, o == 0x89 ? insn->rm : insn->reg, o == 0x89 ? insn->reg : insn->rm, 0);
        return true;
    case 0x8d:
        if (insn->base >= RIP || insn->index < RIP || insn->address_shift)
            return false;
        derive(a, insn->reg, insn->base, insn->disp);
        return true;
    case 0x81: case 0x83:
        if (memory || (extension != 0 && extension != 5))
            return false;
        derive(a, insn->rm, insn->rm, extension == 0 ? (int64_t)insn->imm : (int64_t)(0 - insn->imm));
        return true;
    case 0xff:
        if (memory || extension > 1)
            return false;
        derive(a, insn->rm, insn->rm, extension == 0 ? 1 : -1);
        return true;
    case 0xc9:
        derive(a, RSP, RBP, 8);
        renew(a, 1u << RBP);
        return true;
    }
    return false;
}

static void step(struct analysis *a, unsigned number)
{
    const struct insn *insn = a->c->insns[number];
    const struct opcode_row *row = row_of(insn);
    if (does_nothing(insn))
        return;
    a->c->insn = insn;
    a->c->row = row;
    struct access_use use = use_of(a->c);
    refer_operand(a, number, insn, &use);
    int disp;
    bool write;
    unsigned stack = stack_register(insn, row, &disp, &write);
    if (stack != REGISTER_ZERO)
        refer_stack(a, number, stack, disp, write);
    if (derives(a, insn, row))
        return;
    unsigned written = use.registers;
    if (written == ALL_REGISTERS)
        a->epoch++;
    bool pops = row->map == MAP_ONE && row->opcode == 0x58;
    if (written != ALL_REGISTERS && stack == RSP)
        derive(a, RSP, RSP, pops ? 8 : disp);
    renew(a, written);
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
        if (accesses->access[r->number][r->which].group || !same(&r->key, &head->key) || !widen(a, r, &range))
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
        const struct reference *r = &a->references[taken[i]];
        accesses->access[r->number][r->which] = (struct access){
            .group = (uint8_t)accesses->group_count, .head = taken[i] == first, .bytes = r->bytes,
            .offset = (uint16_t)(r->low - range.low),
        };
    }
}

void groups_find(struct compile *c)
{
    struct analysis a;
    memset(c->accesses.access, 0, c->count * sizeof *c->accesses.access);
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
        if (!c->accesses.access[a.references[i].number][a.references[i].which].group)
            form(&a, i);
    c->trouble = c->grouping == GROUPS_PARTED && !a.parted;
}
