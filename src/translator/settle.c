/*
 * What translated code leaves undone on its rare ways out, to keep those short: RIP,
 * the charge, and arithmetic flags that are still to be made. The code says in a
 * number where it left; the flags come from the host's, or by the recipe.
 */
#include "cpu/flags.h"
#include "translator/internal.h"

static uint64_t value_of(const struct cpu *cpu, unsigned source, unsigned number, int32_t constant)
{
    switch (source) {
    case SOURCE_REGISTER: return cpu->s.gpr[number];
    case SOURCE_CONSTANT: return (uint64_t)(int64_t)constant;
    case SOURCE_OPERAND: return cpu->translated.operand;
    default: return cpu->translated.kept[number];
    }
}

/* As exec_shift.c defines them. */
static void shifted(struct cpu *cpu, const struct flags_state *f, uint64_t a, unsigned bits)
{
    unsigned count = (unsigned)f->constant;
    int64_t wide = (int64_t)flags_extend(a, bits);
    uint64_t r, top = 1ull << (bits - 1);
    bool cf, of = false;
    a &= bits_ones(bits / 8);
    if (f->op == 4) {
        r = a << count;
        cf = count <= bits && a >> (bits - count) & 1;
        of = !(r & top) == cf;
    } else if (f->op == 5) {
        r = a >> count;
        cf = a >> (count - 1) & 1;
        of = (r << 1 ^ r) & top;
    } else {
        r = (uint64_t)(wide >> count);
        cf = wide >> (count - 1) & 1;
    }
    flags_set_logic(cpu, r, bits);
    flags_set_cf_of(cpu, cf, of);
}

static void product(struct cpu *cpu, uint64_t low, bool overflow, unsigned bits)
{
    flags_set_logic(cpu, low, bits);
    flags_set_cf_of(cpu, overflow, overflow);
}

static void multiplied(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    int64_t low;
    bool overflow = __builtin_mul_overflow((int64_t)flags_extend(a, bits), (int64_t)flags_extend(b, bits), &low);
    overflow |= low != (int64_t)flags_extend((uint64_t)low, bits);
    product(cpu, (uint64_t)low, overflow, bits);
}

/* The flags by the recipe, into the interpreter's form. */
static void cook(struct cpu *cpu, const struct flags_state *f)
{
    unsigned bits = 8u * f->width;
    uint64_t a = value_of(cpu, f->a_source, f->a, 0), b = value_of(cpu, f->b_source, f->b, f->constant);
    switch ((enum recipe)f->recipe) {
    case RECIPE_COMPARE: flags_set_sub(cpu, a, b, a - b, bits); break;
    case RECIPE_TEST: flags_set_logic(cpu, a & b, bits); break;
    case RECIPE_RESULT: flags_set_logic(cpu, a, bits); break;
    case RECIPE_ADDED: flags_set_add(cpu, a - b, b, a, bits); break;
    case RECIPE_SUBTRACTED: flags_set_sub(cpu, a + b, b, a, bits); break;
    case RECIPE_INCREMENTED:
    case RECIPE_DECREMENTED:
        flags_put(cpu, cpu->translated.carry & 1 ? FLAG_CF : 0);
        if (f->recipe == RECIPE_INCREMENTED)
            flags_set_inc(cpu, a, bits);
        else
            flags_set_dec(cpu, a, bits);
        break;
    case RECIPE_SHIFTED: shifted(cpu, f, a, bits); break;
    case RECIPE_NEGATED: flags_set_sub(cpu, 0, 0 - a, a, bits); break;
    case RECIPE_MULTIPLIED: multiplied(cpu, a, b, bits); break;
    case RECIPE_ZERO: flags_set_logic(cpu, 0, 64); break;
    case RECIPE_NONE: break;
    }
}

/* The host's flags, which a piece stored, with what the fix says. */
static void settle_live(struct cpu *cpu, const struct flags_state *f)
{
    uint32_t host = (uint32_t)cpu->translated.value & 0xd501;
    if (f->fix == FIX_PRODUCT) {
        product(cpu, cpu->s.gpr[f->product], host & 1, 8u * f->width);
        pieces_flags_to_home(cpu);
        return;
    }
    if (f->fix != FIX_NONE)
        host &= 0xef01;
    if (f->fix == FIX_AF_OF || f->fix == FIX_LEFT)
        host &= 0xff00;
    if (f->fix == FIX_LEFT)
        host |= (host >> 15 ^ host >> 8) & 1;
    cpu->translated.flags = host;
}

static void settle_flags(struct cpu *cpu, struct translator *t, const struct flags_state *f, bool live)
{
    if (f->home)
        return;
    if (f->deferred) {
        settle_deferred(cpu, t);
    } else if (live && f->live) {
        settle_live(cpu, f);
    } else if (f->recipe != RECIPE_NONE) {
        cook(cpu, f);
        pieces_flags_to_home(cpu);
    }
}

void settle_deferred(struct cpu *cpu, struct translator *t)
{
    uint32_t fixup = cpu->translated.flags_fixup;
    cpu->translated.flags_fixup = 0;
    if (fixup)
        settle_flags(cpu, t, &t->edges[fixup].flags, false);
}

void settle_edge(struct cpu *cpu, struct translator *t, uint32_t left)
{
    const struct edge *edge = &t->edges[left & ~EDGE_LIVE];
    cpu->s.gpr[RIP] = edge->target;
    settle_flags(cpu, t, &edge->flags, left & EDGE_LIVE);
}

void settle_entry(struct cpu *cpu, struct translator *t)
{
    const struct translation *translation = &t->translations[cpu->translated.edge];
    cpu->remaining += translation->count;
    cpu->s.gpr[RIP] = translation->rip;
    if (translation->in.recipe != RECIPE_NONE)
        settle_flags(cpu, t, &translation->in, false);
    else if (translation->flags_demand != FLAGS_READ)
        settle_deferred(cpu, t);
}
