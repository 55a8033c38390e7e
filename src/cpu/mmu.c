/*
 * Address translation and the slow half of memory access.
 * (SDM vol. 3, chapter 4)
 *
 * Every access behaves as if it walked the page tables anew: the TLB only
 * remembers what a walk would find again. To keep that true, pages that walks
 * read are flagged TABLE, and a write that changes an entry whose A bit was set
 * drops what was cached through it (an entry without A cannot be cached).
 *
 * A walk sets A in each entry that leads it to a further table, whatever it
 * finds there; in the entry of the page itself A and D are set only by an
 * access that is allowed.
 *
 * Not modelled: memory types. Linear-address masking is for explicit data accesses alone:
 * the pushes of an event's delivery and accesses to system tables take addresses as they are.
 */
#include "cpu/memory.h"

#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/known.h"
#include "cpu/segment.h"
#include "util/assert.h"

#define ERROR_P 0x1u
#define ERROR_W 0x2u
#define ERROR_U 0x4u
#define ERROR_RSVD 0x8u
#define ERROR_ID 0x10u
#define ERROR_PK 0x20u

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };

/* What a walk found: where the page is and what may be done with it. */
struct walk {
    uint64_t physical; /* of the page that holds the address */
    bool user, writable, executable;
    bool dirty;
    uint8_t key;
    unsigned levels;
    struct {
        uint64_t address; /* physical, of the entry */
        uint64_t value;
        uint64_t linear;  /* where the table's first entry maps to */
        uint8_t level;
    } entry[5];
};

static bool nx_enabled(const struct cpu *cpu) { return cpu->s.efer & EFER_NXE; }

static uint64_t reserved_physical(const struct cpu *cpu)
{
    return (~0ull << cpu->model->physical_bits) & 0x000fffffffffffffull;
}

/* The PAT bit of a page's entry is reserved where there is no PAT. */
static uint64_t reserved_pat(const struct cpu *cpu, bool large)
{
    if (likely(cpu_has(cpu, FEATURE_PAT)))
        return 0;
    return large ? PTE_PAT_LARGE : PTE_PS;
}

/* The same of a 4 MiB page: bits 13 and up hold address bits 32 and up, as many
 * as PSE-36 and the processor have. */
static uint64_t reserved_4m(const struct cpu *cpu)
{
    unsigned bits = cpu->model->physical_bits < 40 ? cpu->model->physical_bits : 40;
    if (!cpu_has(cpu, FEATURE_PSE36))
        bits = 32;
    return (0x3fe000ull & (~0ull << (bits - 19))) | reserved_pat(cpu, true);
}

static int page_fault(struct cpu *cpu, uint64_t linear, uint32_t error)
{
    cpu->exception = (struct exception){ VECTOR_PF, true, error, linear };
    return CPU_FAULT;
}

uint32_t mmu_read_page(const struct cpu *cpu, uint64_t address)
{
    if (unlikely(cpu->s.smm) && physmem_smram_covers(cpu->memory, address, false))
        return physmem_smram_page(cpu->memory, address);
    return physmem_read_page(cpu->memory, address);
}

uint32_t mmu_write_page(const struct cpu *cpu, uint64_t address)
{
    if (unlikely(cpu->s.smm) && physmem_smram_covers(cpu->memory, address, false))
        return physmem_smram_page(cpu->memory, address);
    return physmem_write_page(cpu->memory, address);
}

/* Where SMRAM is open for fetches only, data has no memory there: no TLB entry
 * is made, and each page's first fetch comes here. */
static uint32_t fetch_page(const struct cpu *cpu, uint64_t address)
{
    if (unlikely(cpu->s.smm) && physmem_smram_covers(cpu->memory, address, true))
        return physmem_smram_page(cpu->memory, address);
    return physmem_read_page(cpu->memory, address);
}

static uint64_t read_entry(const struct cpu *cpu, uint64_t address, unsigned bytes)
{
    uint32_t page = mmu_read_page(cpu, address);
    if (page >= PHYSMEM_DISCARD)
        return bits_ones(bytes);
    const uint8_t *host = physmem_host(cpu->memory, page) + (address & PAGE_MASK);
    return bytes == 8 ? load64(host) : load32(host);
}

static void note_entry(struct walk *walk, uint64_t address, uint64_t value, uint64_t linear,
                       unsigned level)
{
    walk->entry[walk->levels].address = address;
    walk->entry[walk->levels].value = value;
    walk->entry[walk->levels].linear = linear;
    walk->entry[walk->levels].level = (uint8_t)level;
    walk->levels++;
}

#define WALK_FAILED 0x80000000u

/* The last entry noted has a reserved bit set: it leads nowhere. */
static uint32_t refuse_reserved(struct walk *walk)
{
    walk->levels--;
    return WALK_FAILED | ERROR_P | ERROR_RSVD;
}

/* 32-bit paging. Returns 0, or the error-code bits P and RSVD plus WALK_FAILED. */
static uint32_t walk32(const struct cpu *cpu, uint64_t linear, struct walk *walk)
{
    uint64_t table = cpu->s.cr3 & 0xfffff000u;
    walk->user = walk->writable = walk->executable = true;
    for (unsigned level = 2; level > 0; level--) {
        unsigned shift = level == 2 ? 22 : 12;
        uint64_t address = table + ((linear >> shift & 0x3ff) << 2);
        uint64_t value = read_entry(cpu, address, 4);
        if (!(value & PTE_P))
            return WALK_FAILED;
        uint64_t span = level == 2 ? 0xffffffffull : 0x3fffffull;
        note_entry(walk, address, value, linear & ~span, level);
        walk->user &= !!(value & PTE_U);
        walk->writable &= !!(value & PTE_W);
        walk->dirty = value & PTE_D;
        if (level == 2 && value & PTE_PS && cpu->s.cr4 & CR4_PSE) {
            if (value & reserved_4m(cpu))
                return refuse_reserved(walk);
            uint64_t base = (value & 0xffc00000u) | (value >> 13 & 0xff) << 32;
            walk->physical = (base | (linear & 0x3ff000));
            return 0;
        }
        if (level == 1 && value & reserved_pat(cpu, false))
            return refuse_reserved(walk);
        table = value & 0xfffff000u;
    }
    walk->physical = table;
    return 0;
}

/* One level of 64-bit entries; common to PAE and long mode. */
static uint32_t check_entry(const struct cpu *cpu, uint64_t value, unsigned level, bool large)
{
    uint64_t reserved = reserved_physical(cpu);
    if (!(value & PTE_P))
        return WALK_FAILED;
    if (!nx_enabled(cpu))
        reserved |= PTE_NX;
    if (!cpu_long_mode(cpu))
        reserved |= 0x7ff0000000000000ull;
    if (large)
        reserved |= level == 3 ? 0x3fffe000ull : 0x1fe000ull;
    else if (level >= 3)
        reserved |= PTE_PS;
    if (large || level == 1)
        reserved |= reserved_pat(cpu, large);
    return value & reserved ? WALK_FAILED | ERROR_P | ERROR_RSVD : 0;
}

static uint32_t walk64(const struct cpu *cpu, uint64_t linear, uint64_t table, unsigned level,
                       struct walk *walk)
{
    bool gigabyte = cpu_long_mode(cpu) && cpu_model_has(cpu->model, FEATURE_PDPE1GB);
    walk->user = walk->writable = walk->executable = true;
    for (; level > 0; level--) {
        unsigned shift = 12 + 9 * (level - 1);
        uint64_t address = table + ((linear >> shift & 0x1ff) << 3);
        uint64_t value = read_entry(cpu, address, 8);
        bool large = value & PTE_PS && (level == 2 || (level == 3 && gigabyte));
        uint32_t failed = check_entry(cpu, value, level, large);
        if (failed)
            return failed;
        note_entry(walk, address, value, linear & (~0ull << (shift + 9)), level);
        walk->user &= !!(value & PTE_U);
        walk->writable &= !!(value & PTE_W);
        walk->executable &= !(value & PTE_NX);
        walk->dirty = value & PTE_D;
        walk->key = (uint8_t)bits_get(value, 59, 4);
        table = value & 0x000ffffffffff000ull;
        if (large) {
            uint64_t inside = (1ull << shift) - 1;
            walk->physical = (table & ~inside) | (linear & inside & ~(uint64_t)PAGE_MASK);
            return 0;
        }
    }
    walk->physical = table;
    return 0;
}

static uint32_t walk_tables(const struct cpu *cpu, uint64_t linear, struct walk *walk)
{
    walk->levels = 0;
    walk->key = 0;
    if (!(cpu->s.cr0 & CR0_PG)) {
        walk->physical = linear & ~(uint64_t)PAGE_MASK;
        walk->user = walk->writable = walk->executable = walk->dirty = true;
        return 0;
    }
    if (cpu_long_mode(cpu))
        return walk64(cpu, linear, cpu->s.cr3 & 0x000ffffffffff000ull,
                      cpu->s.cr4 & CR4_LA57 ? 5 : 4, walk);
    if (!(cpu->s.cr4 & CR4_PAE))
        return walk32(cpu, linear, walk);
    uint64_t pdpte = cpu->s.pdpte[linear >> 30 & 3];
    if (!(pdpte & PTE_P))
        return WALK_FAILED;
    return walk64(cpu, linear, pdpte & 0x000ffffffffff000ull, 2, walk);
}

/* What the protection key of the page denies. With paging off LMA is 0. */
static bool key_denies(const struct cpu *cpu, const struct walk *walk, enum mmu_index index,
                       enum access access)
{
    uint64_t enabled = cpu->s.cr4 & (walk->user ? CR4_PKE : CR4_PKS);
    if (likely(!enabled) || access == ACCESS_FETCH || !cpu_long_mode(cpu))
        return false;
    unsigned rights = (unsigned)bits_get(walk->user ? cpu->s.pkru : cpu->s.pkrs, 2 * walk->key, 2);
    bool protects = cpu->s.cr0 & CR0_WP || (walk->user && index >= MMU_USER);
    return rights & 1 || (rights & 2 && access == ACCESS_WRITE && protects);
}

/* Rights of the page for the accesses of one MMU index, keys apart. */
static bool rights_permit(const struct cpu *cpu, const struct walk *walk, enum mmu_index index,
                          enum access access)
{
    if (!(cpu->s.cr0 & CR0_PG))
        return true;
    bool user = index >= MMU_USER;
    if (user && !walk->user)
        return false;
    if (access == ACCESS_FETCH)
        return walk->executable && !(!user && walk->user && cpu->s.cr4 & CR4_SMEP);
    if (!user && walk->user && cpu->s.cr4 & CR4_SMAP && index != MMU_SUPERVISOR_AC)
        return false;
    return access != ACCESS_WRITE || walk->writable || !(user || cpu->s.cr0 & CR0_WP);
}

static bool permits(const struct cpu *cpu, const struct walk *walk, enum mmu_index index,
                    enum access access)
{
    return rights_permit(cpu, walk, index, access) && !key_denies(cpu, walk, index, access);
}

/* Remembers that an entry of this table may now be cached. */
static void note_table(struct cpu *cpu, uint32_t page, const struct table_use *now)
{
    struct table_use *use = &cpu->engine->tables[page];
    if (use->level == 0) {
        *use = *now;
    } else if (use->level != now->level || use->linear != now->linear || use->small != now->small
               || use->top != now->top) {
        use->level = TABLE_SHARED;
        use->small = false; /* writes are looked at by 8 bytes, as either size */
    } else if (use->root != now->root) {
        use->root = TLB_ANY_ROOT;
    }
    use->silent = 0;
    physmem_flag(cpu->memory, page, PHYSMEM_TABLE);
}

void mmu_note_top(struct cpu *cpu, uint32_t page)
{
    uint8_t level = cpu->s.cr4 & CR4_LA57 ? 5 : 4;
    note_table(cpu, page, &(struct table_use){ .level = level, .top = true, .root = page });
    cpu->tlb_root = page;
}

static unsigned entry_bytes(const struct cpu *cpu)
{
    return cpu_long_mode(cpu) || cpu->s.cr4 & CR4_PAE ? 8 : 4;
}

/* Sets bits (A, D) in entry `i` of the walk; tables in ROM stay as they are.
 * The walker's own stores need no table_written: they add bits. Returns the
 * page that the entry was read from, PHYSMEM_DISCARD or PHYSMEM_MMIO. */
static uint32_t mark_entry(struct cpu *cpu, const struct walk *walk, unsigned i, uint64_t bits)
{
    uint64_t address = walk->entry[i].address, wanted = walk->entry[i].value | bits;
    uint32_t page = mmu_write_page(cpu, address);
    if (page >= PHYSMEM_DISCARD || cpu->memory->flags[page] & PHYSMEM_ROM)
        return mmu_read_page(cpu, address);
    if (wanted != walk->entry[i].value) {
        uint32_t offset = address & PAGE_MASK;
        unsigned bytes = entry_bytes(cpu);
        physmem_dirty(cpu->memory, page);
        memcpy(physmem_host(cpu->memory, page) + offset, &wanted, bytes);
        if (cpu->memory->flags[page] & PHYSMEM_CODE)
            cpu->memory->listener.code_written(cpu->memory->listener.context, page, offset, bytes);
    }
    return page;
}

/* After a walk that faulted: `used` entries led to a further table. Nothing
 * is cached, and so there is no table to record. */
static void mark_tables(struct cpu *cpu, const struct walk *walk, unsigned used)
{
    for (unsigned i = 0; i < used; i++)
        mark_entry(cpu, walk, i, PTE_A);
}

/* Sets A in every entry of the walk, D in the last one on a write, and records
 * the tables. The kernel's half is taken to be shared by all address spaces. */
static void commit_walk(struct cpu *cpu, struct walk *walk, bool write)
{
    bool small = entry_bytes(cpu) == 4, wide = cpu_long_mode(cpu);
    uint32_t root = TLB_ANY_ROOT;
    for (unsigned i = 0; i < walk->levels; i++) {
        uint64_t linear = walk->entry[i].linear;
        bool last = i + 1 == walk->levels;
        uint32_t page = mark_entry(cpu, walk, i, PTE_A | (last && write ? PTE_D : 0));
        if (page >= PHYSMEM_DISCARD)
            continue;
        if (i == 0 && wide) {
            mmu_note_top(cpu, page);
            if (!(linear >> 63))
                root = page;
            continue;
        }
        note_table(cpu, page, &(struct table_use){ .linear = linear, .level = walk->entry[i].level,
                                                   .small = small, .root = root });
    }
    if (write)
        walk->dirty = true;
}

/* Fills the TLB entry of `linear` with every tag that needs no further look. */
static void fill(struct cpu *cpu, enum mmu_index index, uint64_t linear, const struct walk *walk)
{
    struct tlb_entry *entry = tlb_replace(cpu, index, linear, walk->physical);
    uint64_t page_linear = linear & ~(uint64_t)PAGE_MASK;
    uint32_t read_page = mmu_read_page(cpu, walk->physical);
    uint32_t write_page = mmu_write_page(cpu, walk->physical);
    if (read_page >= PHYSMEM_DISCARD)
        return;
    tlb_use(&cpu->tlbs[index], page_linear);
    uintptr_t host = (uintptr_t)physmem_host(cpu->memory, read_page);
    cpu->tlbs[index].host[tlb_slot(linear)] = host;
    entry->addend = host - (uintptr_t)page_linear;
    if (permits(cpu, walk, index, ACCESS_FETCH))
        entry->exec_tag = page_linear;
    if (index == MMU_USER_ALIGNED || debug_watches_page(cpu, page_linear))
        return;
    if (permits(cpu, walk, index, ACCESS_READ))
        entry->read_tag = page_linear;
    if (!walk->dirty || write_page != read_page || !permits(cpu, walk, index, ACCESS_WRITE))
        return;
    entry->write_tag = tlb_tracked(page_linear);
    tlb_allow_writes(cpu, entry, read_page);
}

/* What a walk found before, when its entry had to give way to another page's. */
static bool take_back(struct cpu *cpu, enum mmu_index index, uint64_t linear, enum access access,
                      uint64_t *physical)
{
    const struct tlb_entry *kept = tlb_victim(cpu, index, linear, physical);
    if (!kept)
        return false;
    uint64_t tag = access == ACCESS_READ    ? kept->read_tag
                   : access == ACCESS_WRITE ? tlb_plain(kept->write_tag)
                                            : kept->exec_tag;
    if (tag != (linear & ~(uint64_t)PAGE_MASK))
        return false;
    struct tlb_entry entry = *kept;
    if (access == ACCESS_WRITE)
        tlb_begin_write(cpu, *physical);
    tlb_replace(cpu, index, linear, *physical);
    tlb_restore(cpu, index, &entry, *physical);
    cpu->windows.conflict = 1;
    *physical |= linear & PAGE_MASK;
    return true;
}

/* Translates; on success *physical is the address itself. */
static int translate(struct cpu *cpu, enum mmu_index index, uint64_t linear, enum access access,
                     uint64_t *physical)
{
    struct walk walk;
    if (take_back(cpu, index, linear, access, physical))
        return 0;
    cpu->engine->walks++;
    uint32_t failed = walk_tables(cpu, linear, &walk);
    uint32_t error = (access == ACCESS_WRITE ? ERROR_W : 0) | (index >= MMU_USER ? ERROR_U : 0);
    bool paging32 = !(cpu->s.cr4 & CR4_PAE);
    if (access == ACCESS_FETCH && ((nx_enabled(cpu) && !paging32) || cpu->s.cr4 & CR4_SMEP))
        error |= ERROR_ID;
    if (failed) {
        mark_tables(cpu, &walk, walk.levels);
        return page_fault(cpu, linear, error | (failed & ~WALK_FAILED));
    }
    /* PK tells of the key whatever else forbids the access. */
    bool by_key = key_denies(cpu, &walk, index, access);
    if (by_key || !rights_permit(cpu, &walk, index, access)) {
        mark_tables(cpu, &walk, walk.levels - 1);
        return page_fault(cpu, linear, error | ERROR_P | (by_key ? ERROR_PK : 0));
    }
    if (walk.levels)
        commit_walk(cpu, &walk, access == ACCESS_WRITE);
    if (access == ACCESS_WRITE)
        tlb_begin_write(cpu, walk.physical);
    fill(cpu, index, linear, &walk);
    *physical = walk.physical | (linear & PAGE_MASK);
    return 0;
}

static enum mmu_index current_index(const struct cpu *cpu)
{
    return (enum mmu_index)(cpu->tlb - cpu->tlbs);
}

int mmu_fetch(struct cpu *cpu, uint64_t linear, uint32_t *page)
{
    const struct tlb_entry *entry = memory_tlb_entry(cpu, linear);
    if ((linear & ~(uint64_t)PAGE_MASK) == entry->exec_tag) {
        const uint8_t *host = (const uint8_t *)(uintptr_t)(linear + entry->addend);
        *page = (uint32_t)((uint64_t)(host - cpu->memory->bytes) >> PAGE_SHIFT);
        return 0;
    }
    if (cpu_code64(cpu) && !cpu_canonical(cpu, linear))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    uint64_t physical;
    enum mmu_index index = current_index(cpu);
    if (translate(cpu, index, linear, ACCESS_FETCH, &physical))
        return CPU_FAULT;
    *page = fetch_page(cpu, physical);
    return 0;
}

/* Reads a piece inside one page. */
static void read_physical(struct cpu *cpu, uint64_t physical, uint8_t *value, unsigned bytes)
{
    uint32_t page = mmu_read_page(cpu, physical);
    if (page < PHYSMEM_DISCARD) {
        memcpy(value, physmem_host(cpu->memory, page) + (physical & PAGE_MASK), bytes);
        return;
    }
    physical &= cpu->memory->a20_mask;
    cpu_end_block(cpu);
    while (bytes) {
        unsigned part = bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
        uint64_t word = cpu->bus.mmio_read(cpu->bus.context, cpu, physical, part);
        memcpy(value, &word, part);
        value += part;
        physical += part;
        bytes -= part;
    }
}

static void write_physical(struct cpu *cpu, uint64_t physical, const uint8_t *value, unsigned bytes)
{
    uint32_t page = mmu_write_page(cpu, physical);
    if (page == PHYSMEM_DISCARD)
        return;
    if (page < PHYSMEM_DISCARD) {
        physmem_store(cpu->memory, page, physical & PAGE_MASK, value, bytes);
        return;
    }
    physical &= cpu->memory->a20_mask;
    cpu_attention(cpu);
    while (bytes) {
        unsigned part = bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 1;
        uint64_t word = 0;
        memcpy(&word, value, part);
        cpu->bus.mmio_write(cpu->bus.context, cpu, physical, word, part);
        value += part;
        physical += part;
        bytes -= part;
    }
}

/* An access by linear address with the rights of one MMU index, in up to two
 * pieces; both are translated before either is touched. */
struct pieces {
    uint64_t physical[2];
    unsigned bytes[2];
    uint32_t tracked; /* the backing page, should at most tracking demand a look; else PHYSMEM_MMIO */
};

/* The bits that a linear address has for the processor's own accesses; explicit
 * ones have those of cpu->rip_mask. */
static uint64_t system_mask(const struct cpu *cpu)
{
    return cpu_long_mode(cpu) ? ~0ull : 0xffffffffull;
}

static int locate(struct cpu *cpu, enum mmu_index index, uint64_t linear, uint64_t mask,
                  unsigned bytes, enum access access, struct pieces *pieces)
{
    linear &= mask;
    unsigned room = PAGE_BYTES - (unsigned)(linear & PAGE_MASK);
    pieces->bytes[0] = bytes < room ? bytes : room;
    pieces->bytes[1] = bytes - pieces->bytes[0];
    pieces->tracked = PHYSMEM_MMIO;
    if (access == ACCESS_WRITE && !pieces->bytes[1]) {
        pieces->tracked = known_write_page(cpu, index, linear);
        pieces->physical[0] = linear & PAGE_MASK; /* all that is looked at */
        if (pieces->tracked != PHYSMEM_MMIO)
            return 0;
    }
    if (translate(cpu, index, linear, access, &pieces->physical[0]))
        return CPU_FAULT;
    if (pieces->bytes[1])
        return translate(cpu, index, (linear + pieces->bytes[0]) & mask, access,
                         &pieces->physical[1]);
    return 0;
}

static int read_linear(struct cpu *cpu, enum mmu_index index, uint64_t linear, uint64_t mask,
                       void *value, unsigned bytes)
{
    struct pieces pieces;
    if (known_read_across(cpu, index, linear & mask, mask, value, bytes))
        return 0;
    if (locate(cpu, index, linear, mask, bytes, ACCESS_READ, &pieces))
        return CPU_FAULT;
    read_physical(cpu, pieces.physical[0], value, pieces.bytes[0]);
    if (pieces.bytes[1])
        read_physical(cpu, pieces.physical[1], (uint8_t *)value + pieces.bytes[0], pieces.bytes[1]);
    return 0;
}

static int write_linear(struct cpu *cpu, enum mmu_index index, uint64_t linear, uint64_t mask,
                        const void *value, unsigned bytes)
{
    struct pieces pieces;
    if (known_write_across(cpu, index, linear & mask, mask, value, bytes))
        return 0;
    if (locate(cpu, index, linear, mask, bytes, ACCESS_WRITE, &pieces))
        return CPU_FAULT;
    if (pieces.tracked != PHYSMEM_MMIO) {
        known_write(cpu, index, linear & mask, pieces.tracked, value, bytes);
        return 0;
    }
    write_physical(cpu, pieces.physical[0], value, pieces.bytes[0]);
    if (pieces.bytes[1])
        write_physical(cpu, pieces.physical[1], (const uint8_t *)value + pieces.bytes[0], pieces.bytes[1]);
    return 0;
}

/* Linear-address masking: the bits between bit 63 and the highest that the
 * pointer's mode translates become copies of that one. */
static uint64_t mask_pointer(const struct cpu *cpu, uint64_t linear)
{
    unsigned sign;
    if (linear >> 63) {
        if (!(cpu->s.cr4 & CR4_LAM_SUP))
            return linear;
        sign = cpu->s.cr4 & CR4_LA57 ? 56 : 47;
    } else {
        if (!(cpu->s.cr3 & (CR3_LAM_U57 | CR3_LAM_U48)))
            return linear;
        sign = cpu->s.cr3 & CR3_LAM_U57 ? 56 : 47;
    }
    uint64_t metadata = (1ull << 63) - (2ull << sign);
    return linear >> sign & 1 ? linear | metadata : linear & ~metadata;
}

/* The alignment that #AC demands of an access, by its size: far pointers (6)
 * as their offset, x87 numbers (10) as 8 bytes, x87 environments (14, 28) and
 * states (94, 108) as their words. Of 16 and more bytes AMD's processors
 * demand 16, and Intel's may demand 8 (SDM vol. 3, 6.15, table 6-7). */
static unsigned wanted_alignment(const struct cpu *cpu, unsigned bytes)
{
    switch (bytes) {
    case 2: case 14: case 94: return 2;
    case 4: case 6: case 28: case 108: return 4;
    case 8: case 10: return 8;
    case 16: case 32: return cpu->model->vendor[0] == 'A' ? 16 : 8;
    default: return 1;
    }
}

/* After the segment's faults and before those of paging, as on silicon. */
static int check_alignment(struct cpu *cpu, uint64_t linear, unsigned bytes)
{
    if (likely(current_index(cpu) != MMU_USER_ALIGNED)
        || !(linear & (wanted_alignment(cpu, bytes) - 1)))
        return 0;
    return cpu_raise_error(cpu, VECTOR_AC, 0);
}

/* Segment rights, limit, canonical form and alignment; gives the linear address. */
static int check_segment(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes, bool write,
                         uint64_t *linear)
{
    const struct segment_access *access = &cpu->access[seg];
    if (offset + bytes > (write ? access->write_end : access->read_end)
        && segment_check(cpu, seg, offset, bytes, write))
        return CPU_FAULT;
    *linear = access->base + offset;
    if (cpu->code_bytes != 8) {
        *linear &= cpu->rip_mask;
        return check_alignment(cpu, *linear, bytes);
    }
    *linear = mask_pointer(cpu, *linear);
    if (!cpu_canonical(cpu, *linear) || !cpu_canonical(cpu, *linear + bytes - 1))
        return cpu_raise_error(cpu, cpu->current->segment == SS ? VECTOR_SS : VECTOR_GP, 0);
    return check_alignment(cpu, *linear, bytes);
}

int memory_read_slow(struct cpu *cpu, unsigned seg, uint64_t offset, void *value, unsigned bytes)
{
    uint64_t linear;
    if (check_segment(cpu, seg, offset, bytes, false, &linear)
        || read_linear(cpu, current_index(cpu), linear, cpu->rip_mask, value, bytes))
        return CPU_FAULT;
    debug_accessed(cpu, linear, bytes, false);
    return 0;
}

int memory_write_slow(struct cpu *cpu, unsigned seg, uint64_t offset, const void *value, unsigned bytes)
{
    uint64_t linear;
    if (check_segment(cpu, seg, offset, bytes, true, &linear)
        || write_linear(cpu, current_index(cpu), linear, cpu->rip_mask, value, bytes))
        return CPU_FAULT;
    debug_accessed(cpu, linear, bytes, true);
    return 0;
}

int memory_modify_slow(struct cpu *cpu, unsigned seg, uint64_t offset, void *value, unsigned bytes)
{
    uint64_t linear;
    struct pieces pieces;
    enum mmu_index index = current_index(cpu);
    if (check_segment(cpu, seg, offset, bytes, true, &linear)
        || check_segment(cpu, seg, offset, bytes, false, &linear)
        || locate(cpu, index, linear, cpu->rip_mask, bytes, ACCESS_WRITE, &pieces))
        return CPU_FAULT;
    if (pieces.tracked != PHYSMEM_MMIO) {
        memcpy(value, physmem_host(cpu->memory, pieces.tracked) + (linear & PAGE_MASK), bytes);
        return 0;
    }
    read_physical(cpu, pieces.physical[0], value, pieces.bytes[0]);
    if (pieces.bytes[1])
        read_physical(cpu, pieces.physical[1], (uint8_t *)value + pieces.bytes[0], pieces.bytes[1]);
    return 0;
}

static int probe(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes, enum access access)
{
    uint64_t linear;
    struct pieces pieces;
    if (check_segment(cpu, seg, offset, bytes, access == ACCESS_WRITE, &linear))
        return CPU_FAULT;
    return locate(cpu, current_index(cpu), linear, cpu->rip_mask, bytes, access, &pieces);
}

int memory_probe_write(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes)
{
    return probe(cpu, seg, offset, bytes, ACCESS_WRITE);
}

int memory_probe_read(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes)
{
    return probe(cpu, seg, offset, bytes, ACCESS_READ);
}

static int check_canonical(struct cpu *cpu, uint64_t linear, unsigned bytes, enum vector vector)
{
    if (cpu_long_mode(cpu) && (!cpu_canonical(cpu, linear) || !cpu_canonical(cpu, linear + bytes - 1)))
        return cpu_raise_error(cpu, vector, 0);
    return 0;
}

int memory_system_read(struct cpu *cpu, uint64_t linear, void *value, unsigned bytes)
{
    const struct tlb_entry *entry
        = &cpu->tlbs[MMU_SUPERVISOR].entry[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)];
    if (((linear + bytes - 1) & ~(uint64_t)PAGE_MASK) == entry->read_tag) {
        memcpy(value, (const void *)(uintptr_t)(linear + entry->addend), bytes);
        return 0;
    }
    if (check_canonical(cpu, linear, bytes, VECTOR_GP))
        return CPU_FAULT;
    return read_linear(cpu, MMU_SUPERVISOR, linear, system_mask(cpu), value, bytes);
}

int memory_system_write(struct cpu *cpu, uint64_t linear, const void *value, unsigned bytes)
{
    if (check_canonical(cpu, linear, bytes, VECTOR_GP))
        return CPU_FAULT;
    return write_linear(cpu, MMU_SUPERVISOR, linear, system_mask(cpu), value, bytes);
}

/* A transfer's stack accesses are explicit unless they begin in user mode. */
static enum mmu_index stack_index(const struct cpu *cpu, unsigned cpl)
{
    if (cpl == 3)
        return MMU_USER;
    return cpu->s.cpl < 3 && cpu->s.rflags & FLAG_AC ? MMU_SUPERVISOR_AC : MMU_SUPERVISOR;
}

int memory_write_as(struct cpu *cpu, unsigned cpl, uint64_t linear, const void *value, unsigned bytes)
{
    if (check_canonical(cpu, linear, bytes, VECTOR_SS))
        return CPU_FAULT;
    return write_linear(cpu, stack_index(cpu, cpl), linear, system_mask(cpu), value, bytes);
}

int memory_read_as(struct cpu *cpu, unsigned cpl, uint64_t linear, void *value, unsigned bytes)
{
    if (check_canonical(cpu, linear, bytes, VECTOR_GP))
        return CPU_FAULT;
    return read_linear(cpu, stack_index(cpu, cpl), linear, system_mask(cpu), value, bytes);
}

/* The debugger's translation: no side effects, no rights. */
static uint32_t debug_page(const struct cpu *cpu, uint64_t linear)
{
    struct walk walk;
    if (walk_tables(cpu, linear & system_mask(cpu), &walk))
        return PHYSMEM_MMIO;
    return mmu_read_page(cpu, walk.physical);
}

static unsigned debug_access(struct cpu *cpu, uint64_t linear, uint8_t *bytes, unsigned length, bool write)
{
    unsigned done = 0;
    while (done < length) {
        uint32_t page = debug_page(cpu, linear + done);
        uint32_t offset = (uint32_t)((linear + done) & PAGE_MASK);
        unsigned part = PAGE_BYTES - offset < length - done ? PAGE_BYTES - offset : length - done;
        if (page >= PHYSMEM_DISCARD || (write && page >= cpu->memory->ram_pages))
            break;
        if (write)
            physmem_store(cpu->memory, page, offset, bytes + done, part);
        else
            memcpy(bytes + done, physmem_host(cpu->memory, page) + offset, part);
        done += part;
    }
    return done;
}

unsigned memory_debug_read(struct cpu *cpu, uint64_t linear, void *bytes, unsigned length)
{
    return debug_access(cpu, linear, bytes, length, false);
}

unsigned memory_debug_write(struct cpu *cpu, uint64_t linear, const void *bytes, unsigned length)
{
    return debug_access(cpu, linear, (uint8_t *)(uintptr_t)bytes, length, true);
}

int mmu_read_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t pdpte[4])
{
    uint64_t reserved = reserved_physical(cpu) | 0xfff00000000001e6ull;
    for (unsigned i = 0; i < 4; i++) {
        pdpte[i] = read_entry(cpu, (cr3 & 0xffffffe0u) + 8 * i, 8);
        if (pdpte[i] & PTE_P && pdpte[i] & reserved)
            return cpu_raise_error(cpu, VECTOR_GP, 0);
    }
    return 0;
}

int mmu_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    uint64_t pdpte[4];
    TRY_FAULT(mmu_read_pdptes(cpu, cr3, pdpte));
    if (memcmp(cpu->s.pdpte, pdpte, sizeof pdpte) == 0)
        return 0;
    memcpy(cpu->s.pdpte, pdpte, sizeof pdpte);
    mmu_flush(cpu);
    return 0;
}
