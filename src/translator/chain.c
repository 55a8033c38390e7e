/*
 * Which blocks one translation takes: from the block that became hot on, the
 * way that the interpreter has gone so far, as long as that stays in the page
 * and meets nothing that is translated already. Where nothing is interpreted first,
 * no way is known: then straight on.
 */
#include "translator/internal.h"
#include "translator/system.h"

/* A block that was run after `block`, at `rip`. */
static struct block *successor(const struct compile *c, const struct block *block, uint64_t rip)
{
    uint64_t linear = kind_linear(c->kind, rip);
    uint64_t key = block_key(block->page, linear, block->insns[0].code_bytes);
    for (unsigned i = 0; i < 2; i++)
        if (block_successor(block, i)->key == key)
            return block_successor(block, i);
    return NULL;
}

/* Whether `rip` is in the page that the chain is in. */
static bool in_page(const struct compile *c, uint64_t rip)
{
    return (kind_linear(c->kind, rip) ^ kind_linear(c->kind, c->parts[0].rip)) >> PAGE_SHIFT == 0;
}

static bool fits(const struct compile *c, const struct block *block, uint64_t rip, bool again)
{
    if (!block || !in_page(c, rip) || block->second_page != PHYSMEM_MMIO)
        return false;
    for (unsigned i = 0; i < c->part_count; i++)
        if (c->parts[i].block == block)
            return false;
    return c->count + block->count <= INSNS_MAXIMUM && (again || !block->translation);
}

static void add(struct compile *c, const struct block *block, uint64_t rip)
{
    c->parts[c->part_count] = (struct part){ block, rip, (uint16_t)c->count, false };
    for (unsigned i = 0; i < block->count; i++) {
        c->part_of[c->count] = (uint8_t)c->part_count;
        const struct insn *insn = &block->insns[i];
        c->facts[c->count] = &c->rows[insn->row < opcode_row_count ? insn->row : opcode_row_count];
        c->insns[c->count++] = insn;
    }
    c->part_count++;
}

/* The chain is a loop: goes round it again as often as there is room. The budget is
 * charged once for all rounds, and accesses that walk through memory share checks. The
 * rounds double, so that steps that divide a page come to its border at the same place
 * each time, which another translation is made for. */
static void unroll(struct compile *c, uint32_t limit)
{
    while (2 * c->part_count <= limit && 2 * c->count <= INSNS_MAXIMUM)
        for (unsigned i = 0, parts = c->part_count; i < parts; i++) {
            bool taken = c->parts[i].taken;
            add(c, c->parts[i].block, c->parts[i].rip);
            c->parts[c->part_count - 1].taken = taken;
        }
}

/* It is a loop that came back to its head: this is made for the way back. */
static bool returns(const struct compile *c)
{
    return c->translation->in.recipe != RECIPE_NONE;
}

/* Goes on behind the last block. */
static bool extend(struct compile *c, uint32_t limit)
{
    const struct translation *translation = c->translation;
    bool again = translation->part_count; /* it is made anew: as it was */
    struct part *last = &c->parts[c->part_count - 1];
    const struct block *block = last->block;
    const struct insn *insn = &block->insns[block->count - 1];
    uint64_t next = last->rip + block->bytes, target = next;
    bool fallthrough = true;
    if (insn->attributes & SETS_RIP) {
        if (!branch_continues(c, insn, next, &target, &fallthrough))
            return false;
    } else if (insn->attributes & ENDS_BLOCK && !system_continues(c, insn)) {
        return false;
    }
    if (c->kind->code_bytes != 8)
        return false;
    struct block *to = successor(c, block, target);
    if (fallthrough && target != next) {
        struct block *behind = successor(c, block, next);
        bool hotter = to && (!behind || to->heat > behind->heat || (returns(c) && to == c->parts[0].block));
        last->taken = again ? translation->taken >> (c->part_count - 1) & 1 : hotter;
        if (!last->taken) {
            to = behind;
            target = next;
        }
    }
    if (!to && c->translator->engine->translator.threshold <= 1 && in_page(c, target))
        to = engine_decode_ahead(c->translator->engine, block->page, kind_linear(c->kind, target),
                                 insn->code_bytes);
    if (to == c->parts[0].block && target == c->parts[0].rip && insn->attributes & SETS_RIP)
        unroll(c, limit);
    /* STI needs what follows it. */
    if (!fits(c, to, target, again || !(insn->attributes & SETS_RIP)))
        return false;
    add(c, engine_keep_block(c->translator->engine, to), target);
    return true;
}

void chain_make(struct compile *c)
{
    uint32_t limit = c->translator->engine->chain_limit;
    if (!limit || limit > PARTS_MAXIMUM)
        limit = PARTS_MAXIMUM;
    if (c->translation->part_count)
        limit = c->translation->part_count;
    add(c, c->translation->block, c->translation->rip);
    while (c->grouping != GROUPS_NONE && c->part_count < limit && extend(c, limit))
        continue;
}
