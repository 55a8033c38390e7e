/*
 * Dropping what the TLBs hold: on demand, and where a write to a page table
 * changes what was cached through it. (SDM vol. 3, section 4.10)
 *
 * A page that walks read is flagged TABLE, with a record of where it maps to;
 * an entry without A cannot be cached, so that writes to one drop nothing.
 */
#include "cpu/engine.h"
#include "cpu/memory.h"

uint64_t tlb_linear(const struct tlb_entry *entry)
{
    if (!(entry->read_tag & TLB_INVALID))
        return entry->read_tag;
    if (!(entry->exec_tag & TLB_INVALID))
        return entry->exec_tag;
    return tlb_plain(entry->write_tag);
}

void tlb_make_invalid(struct tlb_entry *entry, unsigned slot)
{
    entry->read_tag = entry->write_tag = entry->exec_tag = tlb_no_tag(slot);
}

static void shut_windows(struct translated_windows *windows, bool upper)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < windows->open_count; i++) {
        uint16_t number = windows->open[i];
        if (windows->window[number].low >> 63 && !upper) {
            windows->open[open++] = number;
            continue;
        }
        windows->window[number].low = windows->window[number].limit = 0;
        windows->patience[number] = 0;
    }
    windows->open_count = open;
}

void tlb_changed(struct cpu *cpu, bool upper)
{
    cpu->tlb_version++;
    if (cpu->windows.open_count)
        shut_windows(&cpu->windows, upper);
}

/* Of one slot: what lies in [linear, linear + span). */
static void drop_slot(struct tlb *tlb, unsigned slot, uint64_t linear, uint64_t span)
{
    struct tlb_entry *entry = &tlb->entry[slot];
    if (tlb_linear(entry) - linear < span)
        tlb_make_invalid(entry, slot);
    if (tlb->code_linear[slot] - linear < span) {
        tlb->code_linear[slot] = TLB_INVALID;
        tlb->code_id[slot] = 0;
    }
}

static unsigned victim_slot(uint64_t linear)
{
    uint64_t page = linear >> PAGE_SHIFT;
    return (page ^ page >> 11 ^ page >> 20) & (TLB_VICTIMS - 1);
}

static void drop_victims(struct tlb_victims *victims, uint64_t linear, uint64_t span)
{
    struct tlb_entry *entry = victims->entry[linear >> 63];
    bool one = span == PAGE_BYTES;
    unsigned i = one ? victim_slot(linear) : 0, end = one ? i + 1 : TLB_VICTIMS;
    for (; i < end; i++)
        if (tlb_linear(&entry[i]) - linear < span)
            tlb_make_invalid(&entry[i], 0);
}

static void keep_victim(struct tlb_victims *victims, const struct tlb_entry *entry, uint64_t physical)
{
    uint64_t linear = tlb_linear(entry);
    unsigned half = linear >> 63, to = victim_slot(linear);
    if (!victims->some[half])
        memset(victims->entry[half], 0xff, sizeof victims->entry[half]);
    victims->some[half] = true;
    victims->entry[half][to] = *entry;
    victims->physical[half][to] = physical;
}

struct tlb_entry *tlb_replace(struct cpu *cpu, unsigned index, uint64_t linear, uint64_t physical)
{
    struct tlb_victims *victims = &cpu->victims[index];
    unsigned slot = tlb_slot(linear);
    struct tlb_entry *entry = &cpu->tlbs[index].entry[slot];
    uint64_t before = tlb_linear(entry);
    if (!(before & TLB_INVALID) && before != (linear & ~(uint64_t)PAGE_MASK)
        && victims->physical_of[slot] != TLB_PHYSICAL_UNKNOWN)
        keep_victim(victims, entry, victims->physical_of[slot]);
    victims->physical_of[slot] = physical;
    tlb_make_invalid(entry, slot);
    return entry;
}

const struct tlb_entry *tlb_victim(const struct cpu *cpu, unsigned index, uint64_t linear, uint64_t *physical)
{
    const struct tlb_victims *victims = &cpu->victims[index];
    unsigned half = linear >> 63, slot = victim_slot(linear);
    const struct tlb_entry *entry = &victims->entry[half][slot];
    if (!victims->some[half] || tlb_linear(entry) != (linear & ~(uint64_t)PAGE_MASK))
        return NULL;
    *physical = victims->physical[half][slot];
    return entry;
}

void tlb_drop(struct cpu *cpu, unsigned index, uint64_t linear, uint64_t span)
{
    if (cpu->victims[index].some[linear >> 63])
        drop_victims(&cpu->victims[index], linear, span);
    tlb_drop_span(&cpu->tlbs[index], linear, span);
}

void tlb_drop_span(struct tlb *tlb, uint64_t linear, uint64_t span)
{
    const uint64_t *used = tlb->used[linear >> 63];
    bool all = span >> PAGE_SHIFT >= TLB_ENTRIES;
    unsigned slot = all ? 0 : tlb_slot(linear);
    unsigned end = all ? TLB_ENTRIES : slot + (unsigned)(span >> PAGE_SHIFT);
    while (slot < end) {
        uint64_t bits = used[slot / 64] >> (slot & 63);
        if (!bits) {
            slot = (slot | 63) + 1;
            continue;
        }
        slot += (unsigned)__builtin_ctzll(bits);
        if (slot < end)
            drop_slot(tlb, slot, linear, span);
        slot++;
    }
}

void mmu_flush(struct cpu *cpu)
{
    for (unsigned i = 0; i < MMU_INDEX_COUNT; i++) {
        struct tlb *tlb = &cpu->tlbs[i];
        if (tlb->empty)
            continue;
        memset(tlb, 0xff, offsetof(struct tlb, host)); /* all tags have TLB_INVALID set ... */
        tlb_make_invalid(&tlb->entry[TLB_ENTRIES - 1], TLB_ENTRIES - 1); /* ... and are of this slot */
        memset(tlb->used, 0, sizeof tlb->used);
        cpu->victims[i].some[0] = cpu->victims[i].some[1] = false;
        tlb->empty = 1;
    }
    tlb_forget_spaces(cpu);
    cpu->tlb_root = TLB_NO_ROOT;
    tlb_changed(cpu, true);
    cpu->fetch_linear = TLB_INVALID;
    cpu_code_changed(cpu);
}

void mmu_flush_all(struct engine *engine)
{
    for (unsigned i = 0; i < engine->cpu_count; i++)
        mmu_flush(engine->cpus[i]);
}

/* Drops [linear, linear + span) of a vCPU. The block that runs ends if its code
 * lies there: the rest of it is to be fetched again. */
static void drop_of_cpu(struct cpu *cpu, uint64_t linear, uint64_t span)
{
    uint64_t code = (cpu->access[CS].base + cpu->s.gpr[RIP]) & cpu->rip_mask;
    for (unsigned index = 0; index < MMU_INDEX_COUNT; index++)
        if (!cpu->tlbs[index].empty)
            tlb_drop(cpu, index, linear, span);
    if (cpu->fetch_linear - linear < span)
        cpu->fetch_linear = TLB_INVALID;
    tlb_changed(cpu, true);
    if (code - linear < span || code + INSN_BYTES_MAXIMUM - 1 - linear < span)
        cpu_code_changed(cpu);
}

void mmu_flush_page(struct cpu *cpu, uint64_t linear)
{
    linear &= ~(uint64_t)PAGE_MASK;
    tlb_drop_from_spaces(cpu, TLB_ANY_ROOT, linear, PAGE_BYTES);
    drop_of_cpu(cpu, linear, PAGE_BYTES);
}

/* What walks from `root` found in [linear, linear + span) is void. */
static void drop_range(struct engine *engine, uint32_t root, uint64_t linear, uint64_t span)
{
    for (unsigned i = 0; i < engine->cpu_count; i++) {
        struct cpu *cpu = engine->cpus[i];
        if (!(linear >> 63))
            tlb_drop_from_spaces(cpu, root, linear, span);
        if (root == TLB_ANY_ROOT || root == cpu->tlb_root)
            drop_of_cpu(cpu, linear, span);
    }
}

/* log2 of the linear span that one entry of a table maps. */
static unsigned entry_shift(const struct table_use *use)
{
    return use->small ? (use->level == 2 ? 22 : 12) : 12u + 9 * (use->level - 1u);
}

/* What was found through entry `number` of a table is void. */
static void drop_through(struct engine *engine, const struct table_use *use, unsigned number)
{
    unsigned shift = entry_shift(use);
    uint64_t linear = use->linear + ((uint64_t)number << shift);
    if (use->top) /* its upper half maps the canonical upper half */
        linear = (uint64_t)((int64_t)(linear << (55 - shift)) >> (55 - shift));
    drop_range(engine, use->root, linear, 1ull << shift);
}

/* After this many writes that dropped nothing, a table page that walks no
 * longer read is taken for an ordinary page again. */
#define TABLE_SILENT_WRITES 64

/* A top table: all that was found through it is void. */
static void forget_space(struct engine *engine, uint32_t root)
{
    for (unsigned i = 0; i < engine->cpu_count; i++) {
        struct cpu *cpu = engine->cpus[i];
        tlb_drop_from_spaces(cpu, root, 0, 1ull << 63);
        if (cpu->tlb_root == root)
            mmu_flush(cpu);
    }
}

static void forget_table(struct engine *engine, uint32_t page)
{
    struct table_use *use = &engine->tables[page];
    if (use->level == TABLE_SHARED) {
        mmu_flush_all(engine);
    } else if (use->top) {
        forget_space(engine, page);
    } else {
        unsigned shift = entry_shift(use) + (use->small ? 10 : 9);
        drop_range(engine, use->root, use->linear, 1ull << shift);
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
        drop_through(engine, use, at / bytes);
    }
    if (dropped)
        use->silent = 0;
    else if (++use->silent >= TABLE_SILENT_WRITES)
        forget_table(engine, page);
}

/*
 * Which entries have a plain write tag for a page, as far as engine->writers
 * knows: one page address of the upper half, with bits that tell of more.
 */
#define WRITER_LOWER 1ull   /* some of the lower half */
#define WRITER_SEVERAL 2ull /* more than that one of the upper half */

void tlb_note_writer(struct engine *engine, uint32_t page, uint64_t linear)
{
    uint64_t *writer = &engine->writers[page];
    if (!(linear >> 63))
        *writer |= WRITER_LOWER;
    else if (*writer >> PAGE_SHIFT == 0)
        *writer |= linear;
    else if (*writer >> PAGE_SHIFT != linear >> PAGE_SHIFT)
        *writer |= WRITER_SEVERAL;
}

void tlb_allow_writes(struct cpu *cpu, struct tlb_entry *entry, uint32_t page)
{
    if (cpu->memory->flags[page])
        return;
    entry->write_tag = tlb_plain(entry->write_tag);
    tlb_note_writer(cpu->engine, page, entry->write_tag);
}

/* The entry's page at `host` is to be looked at before each write. */
static void track_writes(struct tlb_entry *entry, uintptr_t host)
{
    uint64_t tag = entry->write_tag;
    if (!(tag & (TLB_INVALID | TLB_TRACKED)) && (uintptr_t)tag + entry->addend == host)
        entry->write_tag = tlb_tracked(tag);
}

static void track_half(struct tlb *tlb, unsigned half, uintptr_t host)
{
    for (unsigned word = 0; word < TLB_ENTRIES / 64; word++)
        for (uint64_t bits = tlb->used[half][word]; bits; bits &= bits - 1)
            track_writes(&tlb->entry[64 * word + (unsigned)__builtin_ctzll(bits)], host);
}

void mmu_page_flagged(struct engine *engine, uint32_t page)
{
    uintptr_t host = (uintptr_t)physmem_host(engine->memory, page);
    uint64_t writer = engine->writers[page];
    engine->writers[page] = 0;
    for (unsigned i = 0; i < engine->cpu_count; i++) {
        struct cpu *cpu = engine->cpus[i];
        tlb_changed(cpu, true);
        for (unsigned index = 0; writer && index < MMU_INDEX_COUNT; index++) {
            struct tlb *tlb = &cpu->tlbs[index];
            if (tlb->empty)
                continue;
            track_writes(&tlb->entry[tlb_slot(writer)], host);
            if (writer & WRITER_LOWER)
                track_half(tlb, 0, host);
            if (writer & WRITER_SEVERAL)
                track_half(tlb, 1, host);
        }
    }
}

/* Write tags of pages that are CLEAN. */
static void track_clean(struct tlb *tlb, const struct physmem *memory)
{
    for (unsigned word = 0; word < TLB_ENTRIES / 64; word++)
        for (uint64_t bits = tlb->used[0][word] | tlb->used[1][word]; bits; bits &= bits - 1) {
            struct tlb_entry *entry = &tlb->entry[64 * word + (unsigned)__builtin_ctzll(bits)];
            uintptr_t host = (uintptr_t)entry->write_tag + entry->addend;
            if (!(entry->write_tag & (TLB_INVALID | TLB_TRACKED))
                && memory->flags[(host - (uintptr_t)memory->bytes) >> PAGE_SHIFT] & PHYSMEM_CLEAN)
                entry->write_tag = tlb_tracked(entry->write_tag);
        }
}

/* More pages than this are not looked for one by one. */
#define FEW_PAGES 8

/* What is kept beside the TLBs is compared with the flags when it comes back. */
void mmu_pages_cleaned(struct engine *engine, const uint32_t *pages, uint32_t count)
{
    uint64_t writers = 0;
    for (uint32_t i = 0; i < count; i++)
        writers |= engine->writers[pages[i]];
    if (count <= FEW_PAGES && !(writers & (WRITER_LOWER | WRITER_SEVERAL))) {
        for (uint32_t i = 0; i < count; i++)
            mmu_page_flagged(engine, pages[i]);
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        engine->writers[pages[i]] = 0;
    for (unsigned i = 0; i < engine->cpu_count; i++) {
        struct cpu *cpu = engine->cpus[i];
        tlb_changed(cpu, true);
        for (unsigned index = 0; index < MMU_INDEX_COUNT; index++)
            if (!cpu->tlbs[index].empty)
                track_clean(&cpu->tlbs[index], engine->memory);
    }
}

void tlb_begin_write(struct cpu *cpu, uint64_t physical)
{
    uint32_t page = mmu_write_page(cpu, physical);
    if (page < PHYSMEM_DISCARD && page < cpu->memory->ram_pages)
        physmem_dirty(cpu->memory, page);
}

/* The page may have got a tracking flag, or lost it. */
void tlb_restore(struct cpu *cpu, unsigned index, const struct tlb_entry *kept, uint64_t physical)
{
    struct tlb *tlb = &cpu->tlbs[index];
    uint64_t linear = tlb_linear(kept);
    cpu->victims[index].physical_of[tlb_slot(linear)] = physical;
    struct tlb_entry *entry = &tlb->entry[tlb_slot(linear)];
    *entry = *kept;
    tlb->host[tlb_slot(linear)] = (uintptr_t)linear + kept->addend;
    tlb_use(tlb, linear);
    if (kept->write_tag & (TLB_INVALID | TLB_TRACKED))
        return;
    uint64_t page = ((uintptr_t)linear + kept->addend - (uintptr_t)cpu->memory->bytes) >> PAGE_SHIFT;
    if (cpu->memory->flags[page])
        entry->write_tag = tlb_tracked(linear);
    else
        tlb_note_writer(cpu->engine, (uint32_t)page, linear);
}
