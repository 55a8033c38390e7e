/* The low memory map as a payload; see memory_map.h. */
#include "replay/memory_map.h"

#include <string.h>

#include "replay/trace_codec.h"

#define A20_OPEN 1
#define SMRAM_SHIFT 1

enum page_kind { PAGE_OWN, PAGE_DEVICE, PAGE_NOTHING, PAGE_BACKING };

/* One run: pages, and the backing page of the first. */
struct run {
    enum page_kind kind;
    uint32_t pages;
    uint32_t backing;
};

static enum page_kind kind_of(uint32_t entry, uint32_t page)
{
    if (entry == PHYSMEM_MMIO)
        return PAGE_DEVICE;
    if (entry == PHYSMEM_DISCARD)
        return PAGE_NOTHING;
    return entry == page ? PAGE_OWN : PAGE_BACKING;
}

static void put_varint(struct memory_map *map, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        map->payload[map->length++] = (uint8_t)(value | 0x80);
    map->payload[map->length++] = (uint8_t)value;
}

/* At most 9 bytes a page: the payload cannot overflow with 2 * 256 pages. */
_Static_assert(MEMORY_MAP_PAYLOAD >= 1 + 2 * PHYSMEM_LOW_PAGES * 7, "1 + 1 + 5 bytes a run");

static void put_runs(struct memory_map *map, const uint32_t *entries)
{
    for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES;) {
        enum page_kind kind = kind_of(entries[page], page);
        uint32_t first = page++;
        while (page < PHYSMEM_LOW_PAGES && kind_of(entries[page], page) == kind &&
               (kind != PAGE_BACKING || entries[page] == entries[page - 1] + 1))
            page++;
        put_varint(map, page - first);
        map->payload[map->length++] = (uint8_t)kind;
        if (kind == PAGE_BACKING)
            put_varint(map, entries[first]);
    }
}

void memory_map_take(struct memory_map *map, const struct physmem *memory)
{
    memset(map, 0, sizeof *map);
    map->payload[map->length++] =
        (uint8_t)((memory->a20_mask == ~0ull ? A20_OPEN : 0) | memory->smram << SMRAM_SHIFT);
    put_runs(map, memory->low_read);
    put_runs(map, memory->low_write);
}

bool memory_map_equal(const struct memory_map *a, const struct memory_map *b)
{
    return a->length == b->length && memcmp(a->payload, b->payload, a->length) == 0;
}

static bool take_runs(const struct physmem *memory, uint32_t *entries, const uint8_t *payload,
                      uint32_t length, uint64_t *offset)
{
    uint64_t all = (uint64_t)memory->ram_pages + memory->rom_pages;
    for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES;) {
        uint64_t pages, backing = 0;
        if (!codec_varint(payload, length, offset, &pages) || *offset >= length || pages == 0 ||
            pages > PHYSMEM_LOW_PAGES - page)
            return false;
        uint8_t kind = payload[(*offset)++];
        if (kind > PAGE_BACKING ||
            (kind == PAGE_BACKING && !codec_varint(payload, length, offset, &backing)))
            return false;
        if (kind == PAGE_OWN)
            backing = page;
        if (backing >= all || pages > all - backing)
            return false;
        for (uint64_t i = 0; i < pages; i++)
            entries[page + i] = kind == PAGE_DEVICE    ? PHYSMEM_MMIO
                                : kind == PAGE_NOTHING ? PHYSMEM_DISCARD
                                                       : (uint32_t)(backing + i);
        page += (uint32_t)pages;
    }
    return true;
}

bool memory_map_apply(struct physmem *memory, const uint8_t *payload, uint32_t length)
{
    uint32_t reads[PHYSMEM_LOW_PAGES], writes[PHYSMEM_LOW_PAGES];
    uint64_t offset = 1;
    if (length < 1 || payload[0] >> SMRAM_SHIFT >= PHYSMEM_SMRAM_STATES)
        return false;
    if (!take_runs(memory, reads, payload, length, &offset) ||
        !take_runs(memory, writes, payload, length, &offset) || offset != length)
        return false;
    for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES; page++) {
        /* Reads always give something: nothing is no content for them. */
        if (reads[page] == PHYSMEM_DISCARD)
            return false;
    }
    for (uint32_t page = 0; page < PHYSMEM_LOW_PAGES; page++)
        physmem_map_low(memory, page, reads[page], writes[page]);
    memory->smram = (enum physmem_smram)(payload[0] >> SMRAM_SHIFT);
    physmem_set_a20(memory, payload[0] & A20_OPEN);
    physmem_remapped(memory);
    return true;
}
