/*
 * Guest memory access by segment and offset: the fast path inline, everything
 * else in mmu.c. Each returns 0, or CPU_FAULT with cpu->exception set and
 * nothing changed. A write that touches tracked memory or MMIO ends the
 * current block by itself.
 *
 * `seg` is an index into cpu->access (insn->seg; SS, ES ... in handlers of
 * implicit operands must be passed through memory_segment, which gives
 * SEGMENT_FLAT in 64-bit code for ES, CS, SS, DS).
 */
#ifndef CPU_MEMORY_H
#define CPU_MEMORY_H

#include "cpu/cpu.h"

static inline unsigned memory_segment(const struct cpu *cpu, unsigned segment)
{
    return cpu->code_bytes == 8 && segment < FS ? SEGMENT_FLAT : segment;
}

static inline struct tlb_entry *memory_tlb_entry(const struct cpu *cpu, uint64_t linear)
{
    return &cpu->tlb->entry[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)];
}

/* The slow halves (mmu.c): any size 1..4096 bytes, page crossing, segment
 * limits, canonical form, walks, tracking, MMIO. */
int memory_read_slow(struct cpu *cpu, unsigned seg, uint64_t offset, void *value, unsigned bytes);
int memory_write_slow(struct cpu *cpu, unsigned seg, uint64_t offset, const void *value, unsigned bytes);

/* The host address for an access of `bytes` that may be made at once, or NULL. */
static inline const uint8_t *memory_fast_read(const struct cpu *cpu, unsigned seg, uint64_t offset,
                                              unsigned bytes)
{
    const struct segment_access *access = &cpu->access[seg];
    uint64_t linear = access->base + offset;
    const struct tlb_entry *entry = memory_tlb_entry(cpu, linear);
    if (unlikely(offset + bytes > access->read_end)
        || unlikely(((linear + bytes - 1) & ~(uint64_t)PAGE_MASK) != entry->read_tag))
        return NULL;
    return (const uint8_t *)(uintptr_t)(linear + entry->addend);
}

static inline uint8_t *memory_fast_write(const struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes)
{
    const struct segment_access *access = &cpu->access[seg];
    uint64_t linear = access->base + offset;
    const struct tlb_entry *entry = memory_tlb_entry(cpu, linear);
    if (unlikely(offset + bytes > access->write_end)
        || unlikely(((linear + bytes - 1) & ~(uint64_t)PAGE_MASK) != entry->write_tag))
        return NULL;
    return (uint8_t *)(uintptr_t)(linear + entry->addend);
}

/* memory_read8/16/32/64/128, memory_write...: one access of that width. */
#define MEMORY_ACCESS(bits, type)                                                                  \
    static inline int memory_read##bits(struct cpu *cpu, unsigned seg, uint64_t offset, type *value) \
    {                                                                                              \
        const uint8_t *host = memory_fast_read(cpu, seg, offset, sizeof(type));                    \
        if (unlikely(!host))                                                                       \
            return memory_read_slow(cpu, seg, offset, value, sizeof(type));                        \
        memcpy(value, host, sizeof(type));                                                         \
        return 0;                                                                                  \
    }                                                                                              \
    static inline int memory_write##bits(struct cpu *cpu, unsigned seg, uint64_t offset, type value) \
    {                                                                                              \
        uint8_t *host = memory_fast_write(cpu, seg, offset, sizeof(type));                         \
        if (unlikely(!host))                                                                       \
            return memory_write_slow(cpu, seg, offset, &value, sizeof(type));                      \
        memcpy(host, &value, sizeof(type));                                                        \
        return 0;                                                                                  \
    }
struct memory_128 { uint64_t low, high; };
MEMORY_ACCESS(8, uint8_t)
MEMORY_ACCESS(16, uint16_t)
MEMORY_ACCESS(32, uint32_t)
MEMORY_ACCESS(64, uint64_t)
MEMORY_ACCESS(128, struct memory_128)
#undef MEMORY_ACCESS

/* Blocks of 1..4096 bytes (FXSAVE areas, x87 80-bit operands, string runs). */
static inline int memory_read_block(struct cpu *cpu, unsigned seg, uint64_t offset, void *bytes, unsigned length)
{
    return memory_read_slow(cpu, seg, offset, bytes, length);
}
static inline int memory_write_block(struct cpu *cpu, unsigned seg, uint64_t offset, const void *bytes, unsigned length)
{
    return memory_write_slow(cpu, seg, offset, bytes, length);
}

/*
 * Read-modify-write: checks for writing first, gives the old value; the store
 * that follows cannot fault.
 */
struct memory_modify {
    uint8_t *host;   /* NULL: slow */
    unsigned seg;
    uint64_t offset;
};
int memory_modify_slow(struct cpu *cpu, unsigned seg, uint64_t offset, void *value, unsigned bytes);

#define MEMORY_MODIFY(bits, type)                                                                  \
    static inline int memory_modify##bits(struct cpu *cpu, unsigned seg, uint64_t offset,          \
                                          struct memory_modify *modify, type *value)               \
    {                                                                                              \
        modify->host = memory_fast_write(cpu, seg, offset, sizeof(type));                          \
        modify->seg = seg;                                                                         \
        modify->offset = offset;                                                                   \
        if (unlikely(!modify->host))                                                               \
            return memory_modify_slow(cpu, seg, offset, value, sizeof(type));                      \
        memcpy(value, modify->host, sizeof(type));                                                 \
        return 0;                                                                                  \
    }                                                                                              \
    static inline void memory_modified##bits(struct cpu *cpu, const struct memory_modify *modify,  \
                                             type value)                                           \
    {                                                                                              \
        if (likely(modify->host != NULL))                                                          \
            memcpy(modify->host, &value, sizeof(type));                                            \
        else                                                                                       \
            memory_write_slow(cpu, modify->seg, modify->offset, &value, sizeof(type));             \
    }
MEMORY_MODIFY(8, uint8_t)
MEMORY_MODIFY(16, uint16_t)
MEMORY_MODIFY(32, uint32_t)
MEMORY_MODIFY(64, uint64_t)
MEMORY_MODIFY(128, struct memory_128)
#undef MEMORY_MODIFY

/* Checks that `bytes` could be written (or read) at seg:offset, without doing
 * it; sets A and D bits as the write would. 1..4096 bytes. */
int memory_probe_write(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes);
int memory_probe_read(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes);

/* Accesses that the CPU makes for itself (descriptor tables, TSS, IDT) by
 * linear address with supervisor rights whatever CPL is. 1..128 bytes. */
int memory_system_read(struct cpu *cpu, uint64_t linear, void *value, unsigned bytes);
int memory_system_write(struct cpu *cpu, uint64_t linear, const void *value, unsigned bytes);

/* Stack pushes for interrupt and call delivery onto a stack that is not (yet)
 * the current one: linear address, with the rights of privilege `cpl`. */
int memory_write_as(struct cpu *cpu, unsigned cpl, uint64_t linear, const void *value, unsigned bytes);
int memory_read_as(struct cpu *cpu, unsigned cpl, uint64_t linear, void *value, unsigned bytes);

/* For a debugger: reads or writes up to `bytes` at a linear address without
 * any side effect on A/D bits, TLB, devices. Returns the number of bytes done
 * before the first page that is not mapped to memory. Writes go to RAM (and
 * are tracked) even where the page is read-only. */
unsigned memory_debug_read(struct cpu *cpu, uint64_t linear, void *bytes, unsigned length);
unsigned memory_debug_write(struct cpu *cpu, uint64_t linear, const void *bytes, unsigned length);

/* physmem_read_page and physmem_write_page as this vCPU sees memory: in SMM
 * the chipset shows it SMRAM. What is cached of translations depends on SMM,
 * too: it is dropped on entry and by RSM. */
uint32_t mmu_read_page(const struct cpu *cpu, uint64_t address);
uint32_t mmu_write_page(const struct cpu *cpu, uint64_t address);

/* Translation is dropped (INVLPG, CR changes). It never changes what the
 * guest sees, since cached translations are kept coherent with the tables. */
void mmu_flush(struct cpu *cpu);
void mmu_flush_page(struct cpu *cpu, uint64_t linear);

/* Loads the four PDPTEs under PAE without long mode (MOV CR3, CR0, CR4), and drops what
 * was translated by others: 0, or CPU_FAULT with #GP(0) when a reserved bit is set in a
 * present one. */
int mmu_load_pdptes(struct cpu *cpu, uint64_t cr3);
/* The same, but they go to `pdpte`. */
int mmu_read_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t pdpte[4]);

#endif
