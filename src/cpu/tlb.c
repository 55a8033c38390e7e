/*
 * Dropping what the TLBs hold: on demand, and where a write to a page table
 * changes what was cached through it. (SDM vol. 3, section 4.10)
 *
 * A page that walks read is flagged TABLE, with a record of where it maps to;
 * an entry without A cannot be cached, so that writes to one drop nothing.
 */
#include "cpu/engine.h"
#include "cpu/memory.h"

static void drop_entry(struct cpu *cpu, struct tlb_entry *entry, uint64_t linear)
{
    if ((entry->read_tag & ~1ull) == linear || entry->write_tag == linear || entry->exec_tag == linear)
        entry->read_tag = entry->write_tag = entry->exec_tag = TLB_INVALID;
    if (cpu->fetch_linear == linear)
        cpu->fetch_linear = TLB_INVALID;
}

static void drop_code(struct tlb *tlb, uint64_t linear)
{
    unsigned slot = tlb_code_slot(linear);
    if (tlb->code_linear[slot] == linear) {
        tlb->code_linear[slot] = TLB_INVALID;
        tlb->code_id[slot] = 0;
    }
}

void mmu_flush(struct cpu *cpu)
{
    for (unsigned i = 0; i < MMU_INDEX_COUNT; i++) {
        struct tlb *tlb = &cpu->tlbs[i];
        if (tlb->empty)
            continue;
        memset(tlb, 0xff, offsetof(struct tlb, empty)); /* all tags have TLB_INVALID set */
        tlb->empty = 1;
    }
    cpu->tlb_version++;
    cpu->fetch_linear = TLB_INVALID;
    cpu_code_changed(cpu);
}

void mmu_flush_page(struct cpu *cpu, uint64_t linear)
{
    linear &= ~(uint64_t)PAGE_MASK;
    for (unsigned index = 0; index < MMU_INDEX_COUNT; index++) {
        drop_entry(cpu, &cpu->tlbs[index].entry[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)], linear);
        drop_code(&cpu->tlbs[index], linear);
    }
    cpu->tlb_version++;
    cpu_code_changed(cpu);
}

void mmu_flush_all(struct engine *engine)
{
    for (unsigned i = 0; i < engine->cpu_count; i++)
        mmu_flush(engine->cpus[i]);
}

/* Drops every entry of a TLB in [linear, linear + span). */
static void drop_span(struct tlb *tlb, uint64_t linear, uint64_t span)
{
    for (unsigned k = 0; k < TLB_ENTRIES; k++) {
        struct tlb_entry *entry = &tlb->entry[k];
        if (entry->read_tag - linear < span || entry->write_tag - linear < span
            || entry->exec_tag - linear < span)
            entry->read_tag = entry->write_tag = entry->exec_tag = TLB_INVALID;
        if (tlb->code_linear[k] - linear < span) {
            tlb->code_linear[k] = TLB_INVALID;
            tlb->code_id[k] = 0;
        }
    }
}

/* Drops every cached page in [linear, linear + span) of every vCPU. */
static void drop_range(struct engine *engine, uint64_t linear, uint64_t span)
{
    for (unsigned i = 0; i < engine->cpu_count; i++) {
        struct cpu *cpu = engine->cpus[i];
        if (span == PAGE_BYTES) {
            mmu_flush_page(cpu, linear);
            continue;
        }
        for (unsigned index = 0; index < MMU_INDEX_COUNT; index++)
            drop_span(&cpu->tlbs[index], linear, span);
        if (cpu->fetch_linear - linear < span)
            cpu->fetch_linear = TLB_INVALID;
        cpu->tlb_version++;
        cpu_code_changed(cpu);
    }
}

/* log2 of the linear span that one entry of a table maps. */
static unsigned entry_shift(const struct table_use *use)
{
    return use->small ? (use->level == 2 ? 22 : 12) : 12u + 9 * (use->level - 1u);
}

/* After this many writes that dropped nothing, a table page that walks no
 * longer read is taken for an ordinary page again. */
#define TABLE_SILENT_WRITES 64

static void forget_table(struct engine *engine, uint32_t page)
{
    struct table_use *use = &engine->tables[page];
    if (use->level == TABLE_SHARED) {
        mmu_flush_all(engine);
    } else {
        unsigned shift = entry_shift(use) + (use->small ? 10 : 9);
        drop_range(engine, use->linear, shift >= 64 ? ~0ull : 1ull << shift);
    }
    memset(use, 0, sizeof *use);
    engine->memory->flags[page] &= (uint8_t)~PHYSMEM_TABLE;
}

void mmu_table_written(struct engine *engine, uint32_t page, uint32_t offset, uint32_t length,
                       const uint8_t *before)
{
    struct table_use *use = &engine->tables[page];
    const uint8_t *now = physmem_host(engine->memory, page);
    unsigned bytes = use->small ? 4 : 8;
    uint32_t base = offset & ~7u;
    bool dropped = false;
    for (uint32_t at = offset & ~(bytes - 1); at < offset + length; at += bytes) {
        uint64_t old = bytes == 8 ? load64(before + (at - base)) : load32(before + (at - base));
        uint64_t new = bytes == 8 ? load64(now + at) : load32(now + at);
        bool old_cached = (old & (PTE_P | PTE_A)) == (PTE_P | PTE_A);
        if (use->level == TABLE_SHARED) /* either entry size: look at both halves */
            old_cached |= (old >> 32 & (PTE_P | PTE_A)) == (PTE_P | PTE_A);
        if (old == new || !old_cached)
            continue;
        dropped = true;
        if (use->level == TABLE_SHARED) {
            mmu_flush_all(engine);
            break;
        }
        unsigned shift = entry_shift(use);
        drop_range(engine, use->linear + ((uint64_t)(at / bytes) << shift), 1ull << shift);
    }
    if (dropped)
        use->silent = 0;
    else if (++use->silent >= TABLE_SILENT_WRITES)
        forget_table(engine, page);
}

void mmu_page_flagged(struct engine *engine, uint32_t page)
{
    uintptr_t host = (uintptr_t)physmem_host(engine->memory, page);
    for (unsigned i = 0; i < engine->cpu_count; i++) {
        engine->cpus[i]->tlb_version++;
        for (unsigned k = 0; k < MMU_INDEX_COUNT * TLB_ENTRIES; k++) {
            struct tlb_entry *entry = &engine->cpus[i]->tlbs[k / TLB_ENTRIES].entry[k % TLB_ENTRIES];
            if (entry->write_tag != TLB_INVALID && (uintptr_t)entry->write_tag + entry->addend == host)
                entry->write_tag = TLB_INVALID;
        }
    }
}
