/*
 * Accesses that need no page walk, but a look; see known.h. A tag of the TLB says that a
 * walk would allow the access and change nothing, whoever asks.
 */
#include "cpu/known.h"

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/physmem.h"
#include "cpu/tlb.h"

static uint64_t page_of(uint64_t linear)
{
    return linear & ~(uint64_t)PAGE_MASK;
}

uint32_t known_write_page(const struct cpu *cpu, unsigned index, uint64_t linear)
{
    const struct tlb_entry *entry = &cpu->tlbs[index].entry[tlb_slot(linear)];
    if (tlb_plain(entry->write_tag) != page_of(linear))
        return PHYSMEM_MMIO;
    const uint8_t *host = (const uint8_t *)(uintptr_t)(linear + entry->addend);
    return (uint32_t)((uint64_t)(host - cpu->memory->bytes) >> PAGE_SHIFT);
}

void known_write(struct cpu *cpu, unsigned index, uint64_t linear, uint32_t page, const void *value,
                 unsigned bytes)
{
    struct tlb_entry *entry = &cpu->tlbs[index].entry[tlb_slot(linear)];
    physmem_store(cpu->memory, page, linear & PAGE_MASK, value, bytes);
    if (entry->write_tag == tlb_tracked(page_of(linear)))
        tlb_allow_writes(cpu, entry, page);
}

/* Where a byte to be read is; NULL: that is to be translated. */
static const uint8_t *known_host(const struct cpu *cpu, unsigned index, uint64_t linear)
{
    const struct tlb_entry *entry = &cpu->tlbs[index].entry[tlb_slot(linear)];
    bool known = entry->read_tag == page_of(linear);
    return known ? (const uint8_t *)(uintptr_t)(linear + entry->addend) : NULL;
}

/* How many bytes of an access are in the next page. */
static unsigned behind_border(uint64_t linear, unsigned bytes)
{
    unsigned room = PAGE_BYTES - (unsigned)(linear & PAGE_MASK);
    return bytes > room ? bytes - room : 0;
}

bool known_read_across(const struct cpu *cpu, unsigned index, uint64_t linear, uint64_t mask,
                       void *value, unsigned bytes)
{
    unsigned behind = behind_border(linear, bytes), before = bytes - behind;
    const uint8_t *first = behind ? known_host(cpu, index, linear) : NULL;
    const uint8_t *second = first ? known_host(cpu, index, (linear + before) & mask) : NULL;
    if (!second)
        return false;
    memcpy(value, first, before);
    memcpy((uint8_t *)value + before, second, behind);
    return true;
}

bool known_write_across(struct cpu *cpu, unsigned index, uint64_t linear, uint64_t mask,
                        const void *value, unsigned bytes)
{
    unsigned behind = behind_border(linear, bytes), before = bytes - behind;
    if (!behind)
        return false;
    uint64_t next = (linear + before) & mask;
    uint32_t first = known_write_page(cpu, index, linear);
    uint32_t second = known_write_page(cpu, index, next);
    if (first == PHYSMEM_MMIO || second == PHYSMEM_MMIO)
        return false;
    known_write(cpu, index, linear, first, value, before);
    known_write(cpu, index, next, second, (const uint8_t *)value + before, behind);
    return true;
}
