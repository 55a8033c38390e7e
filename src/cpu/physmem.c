/*
 * Physical memory; see physmem.h.
 *
 * Not modelled: memory types (all of memory is coherent), parity errors.
 */
#include "cpu/physmem.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "util/assert.h"
#include "util/bits.h"
#include "util/error.h"

#define FOUR_GIB 0x100000000ull

int physmem_init(struct physmem *memory, uint64_t ram_bytes, uint64_t rom_bytes, uint64_t hole_start)
{
    memset(memory, 0, sizeof *memory);
    memory->ram_pages = (uint32_t)(ram_bytes >> PAGE_SHIFT);
    memory->rom_pages = (uint32_t)(rom_bytes >> PAGE_SHIFT);
    memory->low_bytes = ram_bytes < hole_start ? ram_bytes : hole_start;
    memory->high_bytes = ram_bytes - memory->low_bytes;
    memory->rom_base = FOUR_GIB - rom_bytes;
    memory->a20_mask = ~0ull;
    uint64_t pages = (uint64_t)memory->ram_pages + memory->rom_pages;
    void *bytes = mmap(NULL, pages << PAGE_SHIFT, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    memory->bytes = bytes == MAP_FAILED ? NULL : bytes;
    memory->flags = calloc(pages, 1);
    memory->dirty = calloc(memory->ram_pages, sizeof *memory->dirty);
    if (!memory->bytes || !memory->flags || !memory->dirty) {
        physmem_free(memory);
        return ERROR_MEMORY;
    }
    memset(memory->flags, PHYSMEM_CLEAN, memory->ram_pages);
    memset(memory->flags + memory->ram_pages, PHYSMEM_ROM, memory->rom_pages);
    for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES; page++)
        memory->low_read[page] = memory->low_write[page] = page < memory->ram_pages ? page : PHYSMEM_MMIO;
    return 0;
}

void physmem_prefer_large_pages(struct physmem *memory)
{
    madvise(memory->bytes, ((uint64_t)memory->ram_pages + memory->rom_pages) << PAGE_SHIFT, MADV_HUGEPAGE);
}

void physmem_free(struct physmem *memory)
{
    if (memory->bytes)
        munmap(memory->bytes, ((uint64_t)memory->ram_pages + memory->rom_pages) << PAGE_SHIFT);
    free(memory->flags);
    free(memory->dirty);
    memory->bytes = NULL;
    memory->flags = NULL;
    memory->dirty = NULL;
}

/* What lies at an address above the first MiB. */
static uint32_t high_page(const struct physmem *memory, uint64_t address, uint32_t rom)
{
    if (address < memory->low_bytes)
        return (uint32_t)(address >> PAGE_SHIFT);
    if (address >= FOUR_GIB && address - FOUR_GIB < memory->high_bytes)
        return (uint32_t)((address - FOUR_GIB + memory->low_bytes) >> PAGE_SHIFT);
    if (address >= memory->rom_base && address < FOUR_GIB)
        return rom == PHYSMEM_DISCARD ? rom : physmem_rom_page(memory, address - memory->rom_base);
    return PHYSMEM_MMIO;
}

uint32_t physmem_read_page(const struct physmem *memory, uint64_t address)
{
    address &= memory->a20_mask;
    if (address < (uint64_t)PHYSMEM_LOW_PAGES << PAGE_SHIFT)
        return memory->low_read[address >> PAGE_SHIFT];
    return high_page(memory, address, 0);
}

uint32_t physmem_write_page(const struct physmem *memory, uint64_t address)
{
    address &= memory->a20_mask;
    if (address < (uint64_t)PHYSMEM_LOW_PAGES << PAGE_SHIFT)
        return memory->low_write[address >> PAGE_SHIFT];
    return high_page(memory, address, PHYSMEM_DISCARD);
}

void physmem_map_low(struct physmem *memory, unsigned page, uint32_t read, uint32_t write)
{
    ASSERT(page < PHYSMEM_LOW_PAGES);
    memory->low_read[page] = read;
    memory->low_write[page] = write;
}

void physmem_remapped(struct physmem *memory)
{
    if (memory->listener.remapped)
        memory->listener.remapped(memory->listener.context);
    if (memory->map_changed)
        memory->map_changed(memory->map_context);
}

void physmem_set_a20(struct physmem *memory, bool enabled)
{
    uint64_t mask = enabled ? ~0ull : ~(1ull << 20);
    if (mask == memory->a20_mask)
        return;
    memory->a20_mask = mask;
    physmem_remapped(memory);
}

void physmem_dirty(struct physmem *memory, uint32_t page)
{
    if (!(memory->flags[page] & PHYSMEM_CLEAN))
        return;
    memory->flags[page] &= (uint8_t)~PHYSMEM_CLEAN;
    memory->dirty[memory->dirty_count++] = page;
}

void physmem_clean(struct physmem *memory, uint32_t kept)
{
    ASSERT(kept <= memory->dirty_count);
    uint32_t count = memory->dirty_count - kept;
    for (uint32_t i = kept; i < memory->dirty_count; i++)
        memory->flags[memory->dirty[i]] |= PHYSMEM_CLEAN;
    if (memory->listener.cleaned && count)
        memory->listener.cleaned(memory->listener.context, memory->dirty + kept, count);
    memory->dirty_count = kept;
}

void physmem_flag(struct physmem *memory, uint32_t page, uint8_t flag)
{
    if (memory->flags[page] & flag)
        return;
    memory->flags[page] |= flag;
    if (memory->listener.page_flagged)
        memory->listener.page_flagged(memory->listener.context, page);
}

void physmem_store(struct physmem *memory, uint32_t page, uint32_t offset, const void *bytes,
                   uint32_t length)
{
    uint8_t flags = memory->flags[page];
    uint8_t *host = physmem_host(memory, page);
    if (flags & PHYSMEM_ROM)
        return;
    if (flags & PHYSMEM_CLEAN)
        physmem_dirty(memory, page);
    if (flags & PHYSMEM_TABLE) {
        uint8_t before[PAGE_BYTES];
        uint32_t first = offset & ~7u, last = (offset + length + 7) & ~7u;
        memcpy(before, host + first, last - first);
        memcpy(host + offset, bytes, length);
        memory->listener.table_written(memory->listener.context, page, offset, length, before);
    } else {
        memcpy(host + offset, bytes, length);
    }
    if (flags & PHYSMEM_CODE)
        memory->listener.code_written(memory->listener.context, page, offset, length);
}

static uint32_t within_page(uint64_t address, uint64_t length)
{
    uint64_t room = PAGE_BYTES - (address & PAGE_MASK);
    return (uint32_t)(length < room ? length : room);
}

void physmem_read(const struct physmem *memory, uint64_t address, void *bytes, uint64_t length)
{
    uint8_t *to = bytes;
    while (length) {
        uint32_t part = within_page(address, length);
        uint32_t page = physmem_read_page(memory, address);
        if (page >= PHYSMEM_DISCARD)
            memset(to, 0xff, part);
        else
            memcpy(to, physmem_host(memory, page) + (address & PAGE_MASK), part);
        to += part;
        address += part;
        length -= part;
    }
}

void physmem_write(struct physmem *memory, uint64_t address, const void *bytes, uint64_t length)
{
    const uint8_t *from = bytes;
    while (length) {
        uint32_t part = within_page(address, length);
        uint32_t page = physmem_write_page(memory, address);
        if (page < PHYSMEM_DISCARD)
            physmem_store(memory, page, address & PAGE_MASK, from, part);
        from += part;
        address += part;
        length -= part;
    }
}
