/*
 * The cache of decoded blocks and its coherence with memory; see engine.h.
 *
 * Most code runs a few times and never again. So new blocks are young ones, which go
 * when their arena is full; those that translations rest on move among the old ones,
 * and stay. Old blocks whose successors may be young are remembered.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/engine.h"
#include "cpu/exceptions.h"
#include "cpu/memory.h"
#include "cpu/recall.h"
#include "util/assert.h"

#define YOUNG_BYTES (16u << 20)
#define OLD_BYTES (32u << 20)
#define HUGE_BYTES (2u << 20) /* the host's larger pages */

static void table_written(void *context, uint32_t page, uint32_t offset, uint32_t length,
                          const uint8_t *before)
{
    mmu_table_written(context, page, offset, length, before);
}

static void page_flagged(void *context, uint32_t page)
{
    mmu_page_flagged(context, page);
}

static void remapped(void *context)
{
    mmu_flush_all(context);
}

static void cleaned(void *context, const uint32_t *pages, uint32_t count)
{
    mmu_pages_cleaned(context, pages, count);
}

static void invalidate(struct engine *engine, struct block_generation *generation, uint32_t page)
{
    struct block *block = generation->page_blocks[page];
    while (block) {
        struct block *next = block->page == page ? block->page_next : block->second_next;
        engine_drop_block(engine, block);
        block = next;
    }
    generation->page_blocks[page] = NULL;
    generation->page_lines[page] = 0;
}

/* A write to a page with code: blocks go only when it touches their lines. A
 * vCPU that runs a block of this page right now stops after its instruction. */
static void code_written(void *context, uint32_t page, uint32_t offset, uint32_t length)
{
    struct engine *engine = context;
    unsigned first = offset >> 6, last = (offset + length - 1) >> 6;
    uint64_t lines = bits_ones(8) << first & ~0ull >> (63 - last);
    if (!((engine->young.page_lines[page] | engine->old.page_lines[page]) & lines))
        return;
    invalidate(engine, &engine->young, page);
    invalidate(engine, &engine->old, page);
    engine->memory->flags[page] &= (uint8_t)~PHYSMEM_CODE;
    if (engine->translator.context)
        engine->translator.page_stale(engine->translator.context, page);
    for (unsigned i = 0; i < engine->cpu_count; i++)
        cpu_code_changed(engine->cpus[i]);
}

/* What a block of so many instructions takes of its arena. */
static size_t block_room(unsigned insns)
{
    return (sizeof(struct block) + insns * sizeof(struct insn) + 63) & ~(size_t)63;
}

/* False: the host has no memory. */
static bool generation_create(struct block_generation *generation, size_t bytes, uint64_t pages)
{
    generation->size = bytes;
    generation->arena = aligned_alloc(HUGE_BYTES, bytes);
    generation->buckets = calloc(ENGINE_BUCKETS, sizeof *generation->buckets);
    generation->page_blocks = calloc(pages, sizeof *generation->page_blocks);
    generation->page_lines = calloc(pages, sizeof *generation->page_lines);
    generation->pages = calloc(2 * bytes / block_room(1), sizeof *generation->pages);
    if (generation->arena)
        madvise(generation->arena, bytes, MADV_HUGEPAGE);
    return generation->arena && generation->buckets && generation->page_blocks && generation->page_lines
           && generation->pages;
}

static void generation_destroy(struct block_generation *generation)
{
    free(generation->arena);
    free(generation->buckets);
    free(generation->page_blocks);
    free(generation->page_lines);
    free(generation->pages);
}

struct engine *engine_create(struct physmem *memory, const struct cpu_model *model)
{
    uint64_t pages = (uint64_t)memory->ram_pages + memory->rom_pages;
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    engine->memory = memory;
    engine->tables = calloc(pages, sizeof *engine->tables);
    engine->writers = calloc(pages, sizeof *engine->writers);
    engine->recall = aligned_alloc(sizeof(struct recalled), sizeof *engine->recall);
    engine->none.key = BLOCK_KEY_NONE;
    engine->block_limit = BLOCK_INSNS_MAXIMUM;
    engine->remembered = calloc(OLD_BYTES / block_room(1), sizeof *engine->remembered);
    if (!generation_create(&engine->young, YOUNG_BYTES, pages)
        || !generation_create(&engine->old, OLD_BYTES, pages) || !engine->tables || !engine->writers
        || !engine->recall || !engine->remembered) {
        engine_destroy(engine);
        return NULL;
    }
    decoder_init(&engine->decoder, model);
    recall_init(engine->recall);
    memory->listener = (struct physmem_listener){
        engine, table_written, code_written, page_flagged, remapped, cleaned,
    };
    return engine;
}

void engine_destroy(struct engine *engine)
{
    if (!engine)
        return;
    generation_destroy(&engine->young);
    generation_destroy(&engine->old);
    free(engine->tables);
    free(engine->writers);
    free(engine->recall);
    free(engine->remembered);
    free(engine);
}

void engine_add_cpu(struct engine *engine, struct cpu *cpu)
{
    ASSERT(engine->cpu_count < ENGINE_CPUS_MAXIMUM);
    engine->cpus[engine->cpu_count++] = cpu;
    cpu->engine = engine;
    cpu->memory = engine->memory;
}

static struct block_generation *generation_of(struct engine *engine, const struct block *block)
{
    return engine_is_old(engine, block) ? &engine->old : &engine->young;
}

/* Where new blocks go: where all code is translated at once, none is young. */
static struct block_generation *generation_of_new(struct engine *engine)
{
    return engine->translator.context && engine->translator.threshold <= 1 ? &engine->old : &engine->young;
}

/* Blocks of one page lie in a stretch of the table, in their order, so that going on
 * behind a block finds the next bucket in the host's cache. */
static struct block **bucket(struct block_generation *generation, uint64_t key)
{
    uint64_t stretch = ((key >> 16) * 0x9e3779b97f4a7c15ull) >> 46;
    return &generation->buckets[(stretch + (key >> 7 & 0x1ff)) & (ENGINE_BUCKETS - 1)];
}

/* The block with this key; NULL: there is none. */
static struct block *find(struct block_generation *generation, uint64_t key)
{
    bool is_code = generation->page_lines[key >> 16] >> (key >> 10 & 63) & 1;
    struct block *block = is_code ? *bucket(generation, key) : NULL;
    while (block && block->key != key)
        block = block->hash_next;
    return block;
}

void engine_drop_block(struct engine *engine, struct block *block)
{
    if (block->key == BLOCK_KEY_NONE)
        return;
    struct block **link = bucket(generation_of(engine, block), block->key);
    while (*link != block)
        link = &(*link)->hash_next;
    *link = block->hash_next;
    block->key = BLOCK_KEY_NONE;
}

/* Marks bytes [from, to) of a page as code. */
static void mark_code(struct engine *engine, struct block_generation *generation, uint32_t page, unsigned from,
                      unsigned to)
{
    if (!generation->page_lines[page])
        generation->pages[generation->page_count++] = page;
    generation->page_lines[page] |= bits_ones(8) << (from >> 6) & ~0ull >> (63 - ((to - 1) >> 6));
    if (page < engine->memory->ram_pages)
        physmem_flag(engine->memory, page, PHYSMEM_CODE);
}

/* Whether there is room for a block of the greatest size. */
static bool has_room(const struct block_generation *generation)
{
    return generation->used + block_room(BLOCK_INSNS_MAXIMUM) <= generation->size;
}

/* Decodes instructions inside the page from `offset` on. Stops before one that
 * crosses its end. */
static void decode_inside(struct engine *engine, struct block *block, uint32_t page, unsigned offset,
                          unsigned code_bytes)
{
    const uint8_t *bytes = physmem_host(engine->memory, page) + offset;
    unsigned limit = engine->block_limit, count = 0, at = 0, available = PAGE_BYTES - offset;
    unsigned recalled = code_bytes == 8 && available >= RECALL_BYTES ? available - RECALL_BYTES + 1 : 0;
    struct insn *insn = block->insns;
    while (count < limit) {
        __builtin_prefetch(insn + 8, 1);
        if (likely(at < recalled))
            at = recall_decode(engine->recall, &engine->decoder, bytes + at, at, insn);
        else if (at >= available
                 || decode(&engine->decoder, code_bytes, bytes + at, available - at, at, insn) == DECODE_SHORT)
            break;
        else
            at = insn->end;
        count++;
        if (insn++->attributes & (ENDS_BLOCK | SETS_RIP))
            break;
    }
    block->count = (uint8_t)count;
    block->bytes = (uint16_t)at;
}

/* The instruction at the end of `page` that goes on in `second`. */
static void decode_crossing(struct engine *engine, struct block *block, uint32_t page,
                            unsigned offset, uint32_t second, unsigned code_bytes)
{
    uint8_t bytes[2 * INSN_BYTES_MAXIMUM];
    unsigned here = PAGE_BYTES - offset;
    memcpy(bytes, physmem_host(engine->memory, page) + offset, here);
    memcpy(bytes + here, physmem_host(engine->memory, second), INSN_BYTES_MAXIMUM);
    decode(&engine->decoder, code_bytes, bytes, here + INSN_BYTES_MAXIMUM, 0, &block->insns[0]);
    block->count = 1;
    block->bytes = block->insns[0].end;
}

struct block *engine_find_block(struct engine *engine, uint64_t key)
{
    struct block *block = find(&engine->old, key);
    return block ? block : find(&engine->young, key);
}

/* Makes a block known that is whole, the last one in its arena. */
static struct block *insert(struct engine *engine, struct block_generation *generation, struct block *block)
{
    generation->used += block_room(block->count);
    struct block **link = bucket(generation, block->key);
    block->hash_next = *link;
    *link = block;
    block->page_next = generation->page_blocks[block->page];
    generation->page_blocks[block->page] = block;
    unsigned offset = block->key >> 4 & PAGE_MASK;
    bool crosses = block->second_page != PHYSMEM_MMIO;
    mark_code(engine, generation, block->page, offset, crosses ? PAGE_BYTES : offset + block->bytes);
    if (crosses && block->second_page != block->page) {
        block->second_next = generation->page_blocks[block->second_page];
        generation->page_blocks[block->second_page] = block;
    }
    if (crosses)
        mark_code(engine, generation, block->second_page, 0, offset + block->bytes - PAGE_BYTES);
    return block;
}

/* No block of this generation is known any more. */
static void empty(struct engine *engine, struct block_generation *generation)
{
    const struct block_generation *other = generation == &engine->young ? &engine->old : &engine->young;
    memset(generation->buckets, 0, ENGINE_BUCKETS * sizeof *generation->buckets);
    for (uint32_t i = 0; i < generation->page_count; i++) {
        uint32_t page = generation->pages[i];
        generation->page_blocks[page] = NULL;
        generation->page_lines[page] = 0;
        if (!other->page_lines[page])
            engine->memory->flags[page] &= (uint8_t)~PHYSMEM_CODE;
    }
    generation->page_count = 0;
    generation->used = 0;
}

void engine_flush_blocks(struct engine *engine)
{
    empty(engine, &engine->young);
    empty(engine, &engine->old);
    engine->remembered_count = 0;
    engine->cache_flushes++;
    if (engine->translator.context)
        engine->translator.all_stale(engine->translator.context);
}

/* The young blocks go, and what old ones know of them. */
static void drop_young(struct engine *engine)
{
    for (uint32_t k = 0; k < engine->remembered_count; k++) {
        struct block *block = engine->remembered[k];
        block->remembered = false;
        for (unsigned i = 0; i < 2; i++) {
            struct block *to = block_successor(block, i);
            block->successor[i] = engine_is_old(engine, to) ? to : &engine->none;
        }
    }
    engine->remembered_count = 0;
    engine->cache_flushes++;
    empty(engine, &engine->young);
}

bool engine_can_keep(const struct engine *engine, unsigned blocks, unsigned insns)
{
    return engine->old.used + blocks * block_room(1) + insns * sizeof(struct insn) <= engine->old.size;
}

void engine_remember_block(struct engine *engine, struct block *block)
{
    block->remembered = true;
    engine->remembered[engine->remembered_count++] = block;
}

struct block *engine_keep_block(struct engine *engine, struct block *block)
{
    struct block_generation *old = &engine->old;
    if (engine_is_old(engine, block))
        return block;
    ASSERT(block->key != BLOCK_KEY_NONE && old->used + block_room(block->count) <= old->size);
    struct block *kept = (struct block *)(void *)(old->arena + old->used);
    memcpy(kept, block, sizeof *block + block->count * sizeof(struct insn));
    engine_drop_block(engine, block);
    block->moved_to = kept;
    engine_remember_block(engine, kept);
    return insert(engine, old, kept);
}

/* A block as far as the page has it, behind the last one. There is room. */
static struct block *begin(struct engine *engine, struct block_generation *generation, uint32_t page,
                           uint64_t linear, unsigned code_bytes)
{
    struct block *block = (struct block *)(void *)(generation->arena + generation->used);
    memset(block, 0, sizeof *block);
    block->key = block_key(page, linear, code_bytes);
    __builtin_prefetch(bucket(generation, block->key + (64 << 4)));
    block->page = page;
    block->second_page = PHYSMEM_MMIO;
    block->successor[0] = block->successor[1] = &engine->none;
    decode_inside(engine, block, page, linear & PAGE_MASK, code_bytes);
    engine->blocks_decoded++;
    return block;
}

struct block *engine_decode_ahead(struct engine *engine, uint32_t page, uint64_t linear,
                                  unsigned code_bytes)
{
    struct block_generation *generation = generation_of_new(engine);
    struct block *block = engine_find_block(engine, block_key(page, linear, code_bytes));
    if (block || !has_room(generation))
        return block;
    block = begin(engine, generation, page, linear, code_bytes);
    return block->count ? insert(engine, generation, block) : NULL;
}

struct block *engine_decode_block(struct cpu *cpu, uint32_t page, uint64_t linear)
{
    struct engine *engine = cpu->engine;
    unsigned offset = (unsigned)(linear & PAGE_MASK);
    struct block_generation *generation = generation_of_new(engine);
    if (!has_room(&engine->young))
        drop_young(engine);
    else if (!has_room(generation))
        engine_flush_blocks(engine);
    struct block *block = begin(engine, generation, page, linear, cpu->code_bytes);
    if (block->count == 0) {
        uint32_t second;
        if (mmu_fetch(cpu, ((linear | PAGE_MASK) + 1) & cpu->rip_mask, &second))
            return NULL;
        if (second >= PHYSMEM_DISCARD) {
            cpu_raise(cpu, VECTOR_UD);
            return NULL;
        }
        block->second_page = second;
        decode_crossing(engine, block, page, offset, second, cpu->code_bytes);
    }
    return insert(engine, generation, block);
}
