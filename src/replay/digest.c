/* Digests by component; see digest.h and docs/trace-format.md, "Digests". */
#include "replay/digest.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "replay/page_hash.h"
#include "replay/trace_codec.h"
#include "util/assert.h"
#include "util/error.h"

int digest_init(struct digest *digest, struct machine *machine, struct dirty *dirty)
{
    memset(digest, 0, sizeof *digest);
    digest->machine = machine;
    digest->dirty = dirty;
    digest->page_hashes = calloc(machine->memory.ram_pages, sizeof *digest->page_hashes);
    return digest->page_hashes ? 0 : ERROR_MEMORY;
}

void digest_free(struct digest *digest)
{
    free(digest->page_hashes);
    digest->page_hashes = NULL;
}

static void update_ram(struct digest *digest)
{
    const struct physmem *memory = &digest->machine->memory;
    dirty_collect(digest->dirty, DIRTY_DIGEST);
    struct dirty_set *set = &digest->dirty->sets[DIRTY_DIGEST];
    for (uint32_t i = 0; i < set->count; i++) {
        uint32_t page = set->pages[i];
        uint64_t hash = page_hash(physmem_host(memory, page), page);
        digest->ram += hash - digest->page_hashes[page];
        digest->page_hashes[page] = hash;
    }
    dirty_clear(set);
}

void digest_take(struct digest *digest, uint64_t output)
{
    const struct components *components = &digest->machine->components;
    uint32_t count = 0;
    for (unsigned i = 0; i < components->count; i++) {
        const struct component *component = &components->list[i];
        if (component->prepare)
            component->prepare(component->device);
        digest->hashes[count++] = XXH3_64bits(component->state, component->size);
    }
    update_ram(digest);
    digest->hashes[count++] = digest->ram;
    digest->hashes[count++] = output;
    digest->count = count;
    digest->total = XXH3_64bits(digest->hashes, count * sizeof digest->hashes[0]);
}

uint64_t digest_output(uint64_t hash, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    for (uint64_t i = 0; i < length; i++) {
        hash = (hash ^ ((uint64_t)(unit + 1) << 8 | bytes[i])) * 0x9E3779B97F4A7C15ull;
        hash ^= hash >> 29;
    }
    return hash;
}

uint32_t digest_encode(const struct digest *digest, struct digest_table *table,
                       uint8_t payload[DIGEST_PAYLOAD])
{
    uint32_t count = digest->count, length = 0;
    memcpy(payload, &digest->total, 8);
    length = 8;
    if (count >= 0x80)
        payload[length++] = (uint8_t)(count | 0x80);
    payload[length++] = (uint8_t)(count >= 0x80 ? count >> 7 : count);
    uint8_t *bitmap = payload + length;
    memset(bitmap, 0, (count + 7) / 8);
    length += (count + 7) / 8;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t low = (uint32_t)digest->hashes[i];
        if (i < table->count && table->low[i] == low)
            continue;
        bitmap[i / 8] |= (uint8_t)(1 << i % 8);
        memcpy(payload + length, &low, 4);
        length += 4;
        table->low[i] = low;
    }
    table->count = count;
    table->total = digest->total;
    ASSERT(length <= DIGEST_PAYLOAD);
    return length;
}

bool digest_decode(struct digest_table *table, uint32_t count, const uint8_t *payload,
                   uint32_t length)
{
    uint64_t offset = 8, n;
    if (length < 8 || !codec_varint(payload, length, &offset, &n) || n != count ||
        count > DIGEST_COMPONENTS || (count + 7) / 8 > length - offset)
        return false;
    const uint8_t *bitmap = payload + offset;
    offset += (count + 7) / 8;
    for (uint32_t i = 0; i < count; i++) {
        if (!(bitmap[i / 8] >> i % 8 & 1))
            continue;
        if (length - offset < 4)
            return false;
        memcpy(&table->low[i], payload + offset, 4);
        offset += 4;
    }
    memcpy(&table->total, payload, 8);
    table->count = count;
    return offset == length;
}

const char *digest_component(const struct digest *digest, uint32_t number)
{
    const struct components *components = &digest->machine->components;
    if (number < components->count)
        return components->list[number].name;
    return number == components->count ? "ram" : "output";
}
