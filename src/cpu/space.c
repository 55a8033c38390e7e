/*
 * Address spaces. A load of CR3 need drop nothing for the guest's sake, since
 * what is cached is coherent with the tables; but it is looked up by linear
 * address alone, and so what the new tables map otherwise must go. Of the upper
 * half, which kernels share, that is what lies under entries of the two top
 * tables that differ; of the lower half, everything: it is kept aside until its
 * space is entered again. (SDM vol. 3, sections 4.5 and 4.10)
 *
 * Under 32-bit and PAE paging, and in SMM, a load of CR3 drops all.
 */
#include "cpu/engine.h"
#include "cpu/memory.h"

void tlb_forget_spaces(struct cpu *cpu)
{
    for (unsigned i = 0; i < TLB_SPACES; i++)
        cpu->spaces[i].root = TLB_NO_ROOT;
}

static void drop_slots(struct tlb_space *space, uint64_t linear, uint64_t span)
{
    if (span >> PAGE_SHIFT >= TLB_ENTRIES) {
        space->root = TLB_NO_ROOT;
        return;
    }
    unsigned slot = tlb_slot(linear);
    if (span == PAGE_BYTES)
        space->dropped[slot / 64] |= 1ull << (slot & 63);
    else /* a multiple of 64 pages */
        memset(&space->dropped[slot / 64], 0xff, span >> PAGE_SHIFT >> 3);
}

void tlb_drop_from_spaces(struct cpu *cpu, uint32_t root, uint64_t linear, uint64_t span)
{
    for (unsigned i = 0; i < TLB_SPACES; i++) {
        struct tlb_space *space = &cpu->spaces[i];
        if (space->root != TLB_NO_ROOT && (root == TLB_ANY_ROOT || root == space->root))
            drop_slots(space, linear, span);
    }
}

static struct tlb_space *find(struct cpu *cpu, uint32_t root)
{
    for (unsigned i = 0; i < TLB_SPACES; i++)
        if (cpu->spaces[i].root == root)
            return &cpu->spaces[i];
    return NULL;
}

/* A free one, or the one that was left longest ago. */
static struct tlb_space *take(struct cpu *cpu)
{
    struct tlb_space *best = find(cpu, TLB_NO_ROOT);
    for (unsigned i = 0; !best && i < TLB_SPACES; i++)
        best = &cpu->spaces[i];
    for (unsigned i = 0; best->root != TLB_NO_ROOT && i < TLB_SPACES; i++)
        if (cpu->space_turn - cpu->spaces[i].left > cpu->space_turn - best->left)
            best = &cpu->spaces[i];
    return best;
}

/* Moves what a slot holds of the lower half into the space, as far as there is
 * room. */
static void keep_slot(struct tlb_space *space, unsigned *entries, unsigned *codes, struct tlb *tlb,
                      unsigned slot)
{
    struct tlb_entry *entry = &tlb->entry[slot];
    uint64_t linear = tlb_linear(entry), code = tlb->code_linear[slot];
    if (!(linear & TLB_INVALID) && !(linear >> 63)) {
        if (*entries < TLB_SPACE_ENTRIES)
            space->entry[(*entries)++] = *entry;
        tlb_make_invalid(entry, slot);
    }
    if (!(code & TLB_INVALID) && !(code >> 63)) {
        if (*codes < TLB_SPACE_CODES) {
            space->code_linear[*codes] = code;
            space->code_id[(*codes)++] = tlb->code_id[slot];
        }
        tlb->code_linear[slot] = TLB_INVALID;
        tlb->code_id[slot] = 0;
    }
}

/* The lower half leaves the TLBs, and is kept for `root`. */
static void leave(struct cpu *cpu, uint32_t root)
{
    struct tlb_space *space = take(cpu);
    unsigned entries = 0, codes = 0;
    space->root = root;
    space->left = ++cpu->space_turn;
    space->code_version = cpu->engine->code_version;
    memset(space->dropped, 0, sizeof space->dropped);
    for (unsigned index = 0; index < MMU_INDEX_COUNT; index++) {
        struct tlb *tlb = &cpu->tlbs[index];
        unsigned entries_before = entries, codes_before = codes;
        for (unsigned word = 0; word < TLB_ENTRIES / 64; word++) {
            for (uint64_t bits = tlb->used[0][word]; bits; bits &= bits - 1)
                keep_slot(space, &entries, &codes, tlb, 64 * word + (unsigned)__builtin_ctzll(bits));
            tlb->used[0][word] = 0;
        }
        space->entries[index] = (uint16_t)(entries - entries_before);
        space->codes[index] = (uint16_t)(codes - codes_before);
        cpu->victims[index].some[0] = false;
    }
}

static bool is_dropped(const struct tlb_space *space, uint64_t linear)
{
    return space->dropped[tlb_slot(linear) / 64] >> (tlb_slot(linear) & 63) & 1;
}

static void restore_code(struct tlb *tlb, uint64_t linear, uint32_t id)
{
    tlb->code_linear[tlb_slot(linear)] = linear;
    tlb->code_id[tlb_slot(linear)] = id;
    tlb_use(tlb, linear);
}

static void restore(struct cpu *cpu, struct tlb_space *space)
{
    bool code_valid = space->code_version == cpu->engine->code_version;
    unsigned entry = 0, code = 0;
    for (unsigned index = 0; index < MMU_INDEX_COUNT; index++) {
        struct tlb *tlb = &cpu->tlbs[index];
        for (unsigned end = entry + space->entries[index]; entry < end; entry++)
            if (!is_dropped(space, tlb_linear(&space->entry[entry])))
                tlb_restore(cpu, index, &space->entry[entry], TLB_PHYSICAL_UNKNOWN);
        for (unsigned end = code + space->codes[index]; code < end; code++)
            if (code_valid && !is_dropped(space, space->code_linear[code]))
                restore_code(tlb, space->code_linear[code], space->code_id[code]);
    }
    space->root = TLB_NO_ROOT;
}

/* Of the upper half: drops what the entries that differ led to. One without A
 * has led to nothing that is cached. */
static bool drop_differences(struct cpu *cpu, uint32_t from, uint32_t to)
{
    const uint8_t *old = physmem_host(cpu->memory, from), *new = physmem_host(cpu->memory, to);
    unsigned shift = cpu->s.cr4 & CR4_LA57 ? 48 : 39;
    if (memcmp(old + PAGE_BYTES / 2, new + PAGE_BYTES / 2, PAGE_BYTES / 2) == 0)
        return false;
    for (unsigned at = PAGE_BYTES / 2; at < PAGE_BYTES; at += 8) {
        uint64_t entry = load64(old + at);
        if (entry == load64(new + at) || (entry & (PTE_P | PTE_A)) != (PTE_P | PTE_A))
            continue;
        uint64_t linear = ~0ull << (shift + 9) | (uint64_t)(at / 8) << shift;
        for (unsigned index = 0; index < MMU_INDEX_COUNT; index++)
            if (!cpu->tlbs[index].empty)
                tlb_drop(cpu, index, linear, 1ull << shift);
    }
    return true;
}

void tlb_enter_space(struct cpu *cpu, uint32_t root)
{
    uint32_t before = cpu->tlb_root;
    if (root == before || before == TLB_NO_ROOT)
        return; /* the same tables, or nothing is cached */
    bool upper = drop_differences(cpu, before, root);
    leave(cpu, before);
    struct tlb_space *space = find(cpu, root);
    if (space)
        restore(cpu, space);
    cpu->tlb_root = root;
    tlb_changed(cpu, upper);
    cpu->fetch_linear = TLB_INVALID;
    mmu_note_top(cpu, root);
}
