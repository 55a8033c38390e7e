/*
 * The cache of decoded blocks and its coherence with memory; see engine.h.
 */
#include "cpu/engine.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "cpu/debug.h"
#include "cpu/exceptions.h"
#include "cpu/flags.h"
#include "cpu/memory.h"
#include "cpu/recall.h"
#include "util/assert.h"

#define ARENA_BYTES (48u << 20)
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

static void unlink_hash(struct engine *engine, struct block *block);

static void invalidate_page(struct engine *engine, uint32_t page)
{
    struct block *block = engine->page_blocks[page];
    while (block) {
        struct block *next = block->page == page ? block->page_next : block->second_next;
        if (block->key != BLOCK_KEY_NONE)
            unlink_hash(engine, block);
        block->key = BLOCK_KEY_NONE;
        block = next;
    }
    engine->page_blocks[page] = NULL;
    engine->page_lines[page] = 0;
    engine->memory->flags[page] &= (uint8_t)~PHYSMEM_CODE;
    if (engine->translator.context)
        engine->translator.page_stale(engine->translator.context, page);
}

/* A write to a page with code: blocks go only when it touches their lines. A
 * vCPU that runs a block of this page right now stops after its instruction. */
static void code_written(void *context, uint32_t page, uint32_t offset, uint32_t length)
{
    struct engine *engine = context;
    unsigned first = offset >> 6, last = (offset + length - 1) >> 6;
    uint64_t lines = bits_ones(8) << first & ~0ull >> (63 - last);
    if (!(engine->page_lines[page] & lines))
        return;
    invalidate_page(engine, page);
    for (unsigned i = 0; i < engine->cpu_count; i++)
        cpu_code_changed(engine->cpus[i]);
}

struct engine *engine_create(struct physmem *memory, const struct cpu_model *model)
{
    uint64_t pages = (uint64_t)memory->ram_pages + memory->rom_pages;
    struct engine *engine = calloc(1, sizeof *engine);
    if (!engine)
        return NULL;
    engine->memory = memory;
    engine->buckets = calloc(ENGINE_BUCKETS, sizeof *engine->buckets);
    engine->page_blocks = calloc(pages, sizeof *engine->page_blocks);
    engine->page_lines = calloc(pages, sizeof *engine->page_lines);
    engine->tables = calloc(pages, sizeof *engine->tables);
    engine->writers = calloc(pages, sizeof *engine->writers);
    engine->arena = aligned_alloc(HUGE_BYTES, ARENA_BYTES);
    engine->recall = aligned_alloc(sizeof(struct recalled), sizeof *engine->recall);
    engine->none.key = BLOCK_KEY_NONE;
    engine->block_limit = BLOCK_INSNS_MAXIMUM;
    if (!engine->buckets || !engine->page_blocks || !engine->page_lines || !engine->tables
        || !engine->writers || !engine->arena || !engine->recall) {
        engine_destroy(engine);
        return NULL;
    }
    madvise(engine->arena, ARENA_BYTES, MADV_HUGEPAGE);
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
    free(engine->buckets);
    free(engine->page_blocks);
    free(engine->page_lines);
    free(engine->tables);
    free(engine->writers);
    free(engine->arena);
    free(engine->recall);
    free(engine);
}

void engine_add_cpu(struct engine *engine, struct cpu *cpu)
{
    ASSERT(engine->cpu_count < ENGINE_CPUS_MAXIMUM);
    engine->cpus[engine->cpu_count++] = cpu;
    cpu->engine = engine;
    cpu->memory = engine->memory;
}

void engine_flush_blocks(struct engine *engine)
{
    uint64_t pages = (uint64_t)engine->memory->ram_pages + engine->memory->rom_pages;
    memset(engine->buckets, 0, ENGINE_BUCKETS * sizeof *engine->buckets);
    for (uint64_t page = 0; page < pages; page++) {
        if (!engine->page_lines[page])
            continue;
        engine->page_blocks[page] = NULL;
        engine->page_lines[page] = 0;
        engine->memory->flags[page] &= (uint8_t)~PHYSMEM_CODE;
    }
    engine->arena_used = 0;
    engine->cache_flushes++;
    if (engine->translator.context)
        engine->translator.all_stale(engine->translator.context);
}

/* Blocks of one page lie in a stretch of the table, in their order, so that going on
 * behind a block finds the next bucket in the host's cache. */
static struct block **bucket(struct engine *engine, uint64_t key)
{
    uint64_t stretch = ((key >> 16) * 0x9e3779b97f4a7c15ull) >> 46;
    return &engine->buckets[(stretch + (key >> 7 & 0x1ff)) & (ENGINE_BUCKETS - 1)];
}

/* Whether code that was decoded lies where a block with this key begins. */
static bool may_be_there(const struct engine *engine, uint64_t key)
{
    return engine->page_lines[key >> 16] >> (key >> 10 & 63) & 1;
}

static void unlink_hash(struct engine *engine, struct block *block)
{
    struct block **link = bucket(engine, block->key);
    while (*link && *link != block)
        link = &(*link)->hash_next;
    if (*link)
        *link = block->hash_next;
}

/* Marks bytes [from, to) of a page as code. */
static void mark_code(struct engine *engine, uint32_t page, unsigned from, unsigned to)
{
    engine->page_lines[page] |= bits_ones(8) << (from >> 6) & ~0ull >> (63 - ((to - 1) >> 6));
    if (page < engine->memory->ram_pages)
        physmem_flag(engine->memory, page, PHYSMEM_CODE);
}

/* Whether there is room for a block of the greatest size. */
static bool has_room(const struct engine *engine)
{
    size_t most = sizeof(struct block) + BLOCK_INSNS_MAXIMUM * sizeof(struct insn);
    return engine->arena_used + most <= ARENA_BYTES;
}

/* Decodes instructions inside the page from `offset` on. Stops before one that
 * crosses its end. */
static void decode_inside(struct engine *engine, struct block *block, uint32_t page, unsigned offset,
                          unsigned code_bytes)
{
    const uint8_t *bytes = physmem_host(engine->memory, page) + offset;
    unsigned limit = engine->block_limit, count = 0, at = 0, available = PAGE_BYTES - offset;
    struct insn *insn = block->insns;
    while (count < limit && at < available) {
        __builtin_prefetch(insn + 8, 1);
        if (code_bytes == 8 && available - at >= RECALL_BYTES)
            at = recall_decode(engine->recall, &engine->decoder, bytes + at, at, insn);
        else if (decode(&engine->decoder, code_bytes, bytes + at, available - at, at, insn) == DECODE_SHORT)
            break;
        else
            at = insn->end;
        count++;
        if (insn++->attributes & (ENDS_BLOCK | SETS_RIP))
            break;
    }
    block->count = (uint16_t)count;
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
    if (!may_be_there(engine, key))
        return NULL;
    struct block *block = *bucket(engine, key);
    while (block && block->key != key)
        block = block->hash_next;
    return block;
}

/* Links a freshly decoded block in. */
static struct block *insert(struct engine *engine, struct block *block, uint32_t page, unsigned offset)
{
    struct block **link = bucket(engine, block->key);
    block->hash_next = *link;
    *link = block;
    block->successor[0] = block->successor[1] = &engine->none;
    block->page_next = engine->page_blocks[page];
    engine->page_blocks[page] = block;
    bool crosses = block->second_page != PHYSMEM_MMIO;
    mark_code(engine, page, offset, crosses ? PAGE_BYTES : offset + block->bytes);
    if (crosses && block->second_page != page) {
        block->second_next = engine->page_blocks[block->second_page];
        engine->page_blocks[block->second_page] = block;
    }
    if (crosses)
        mark_code(engine, block->second_page, 0, offset + block->bytes - PAGE_BYTES);
    engine->arena_used += sizeof *block + block->count * sizeof(struct insn);
    engine->arena_used = (engine->arena_used + 63) & ~(size_t)63;
    engine->blocks_decoded++;
    return block;
}

/* A block as far as the page has it, not linked in. There is room. */
static struct block *begin(struct engine *engine, uint32_t page, uint64_t linear, unsigned code_bytes)
{
    struct block *block = (struct block *)(void *)(engine->arena + engine->arena_used);
    memset(block, 0, sizeof *block);
    block->key = block_key(page, linear, code_bytes);
    __builtin_prefetch(bucket(engine, block->key + (64 << 4)));
    block->page = page;
    block->second_page = PHYSMEM_MMIO;
    decode_inside(engine, block, page, linear & PAGE_MASK, code_bytes);
    return block;
}

struct block *engine_decode_ahead(struct engine *engine, uint32_t page, uint64_t linear,
                                  unsigned code_bytes)
{
    struct block *block = engine_find_block(engine, block_key(page, linear, code_bytes));
    if (block || !has_room(engine))
        return block;
    block = begin(engine, page, linear, code_bytes);
    return block->count ? insert(engine, block, page, linear & PAGE_MASK) : NULL;
}

/* Makes the block that starts at `linear`, in backing page `page`; the whole cache
 * goes when it is full. NULL after a fault on its second page (cpu->exception is set). */
static struct block *make(struct cpu *cpu, uint32_t page, uint64_t linear)
{
    struct engine *engine = cpu->engine;
    unsigned offset = (unsigned)(linear & PAGE_MASK);
    if (!has_room(engine))
        engine_flush_blocks(engine);
    struct block *block = begin(engine, page, linear, cpu->code_bytes);
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
    return insert(engine, block, page, offset);
}

/* Code that runs past the CS limit (16- and 32-bit code): #GP(0) on the first
 * instruction that does not fit; NULL then, else the block, cut in *limit. */
static struct block *check_limit(struct cpu *cpu, struct block *block, uint32_t *limit)
{
    uint64_t last = cpu->s.seg[CS].limit;
    uint64_t rip = cpu->s.gpr[RIP];
    if (rip + block->bytes - 1 <= last)
        return block;
    uint32_t fits = 0;
    while (fits < block->count && rip + block->insns[fits].end - 1 <= last)
        fits++;
    if (fits == 0) {
        cpu_raise_error(cpu, VECTOR_GP, 0);
        return NULL;
    }
    if (fits < *limit)
        *limit = fits;
    return block;
}

/* The block at CS:RIP, looked up without the help of a predecessor. */
static struct block *lookup(struct cpu *cpu, uint64_t linear)
{
    if ((linear & ~(uint64_t)PAGE_MASK) != cpu->fetch_linear) {
        if (mmu_fetch(cpu, linear, &cpu->fetch_page))
            return NULL;
        cpu->fetch_linear = linear & ~(uint64_t)PAGE_MASK;
        if (cpu->fetch_page >= PHYSMEM_DISCARD) {
            cpu->fetch_linear = TLB_INVALID;
            cpu_raise(cpu, VECTOR_UD);
            return NULL;
        }
    }
    struct block *block = engine_find_block(cpu->engine, block_key(cpu->fetch_page, linear, cpu->code_bytes));
    return block ? block : make(cpu, cpu->fetch_page, linear);
}

/* A crossing block is good only while its second page is still where it was:
 * looked at on every entry, as the fetch would. */
static struct block *check_crossing(struct cpu *cpu, struct block *block, uint64_t linear)
{
    uint32_t second;
    if (mmu_fetch(cpu, ((linear | PAGE_MASK) + 1) & cpu->rip_mask, &second))
        return NULL;
    if (second == block->second_page)
        return block;
    if (block->key != BLOCK_KEY_NONE)
        unlink_hash(cpu->engine, block);
    block->key = BLOCK_KEY_NONE;
    return make(cpu, cpu->fetch_page, linear);
}

/* The next block to run after `before` (NULL: unknown); NULL after a fault. */
static inline struct block *next_block(struct cpu *cpu, struct block *before, uint32_t *limit)
{
    uint64_t linear = (cpu->access[CS].base + cpu->s.gpr[RIP]) & cpu->rip_mask;
    struct block *block = NULL;
    if (likely((linear & ~(uint64_t)PAGE_MASK) == cpu->fetch_linear) && likely(before != NULL)) {
        uint64_t key = block_key(cpu->fetch_page, linear, cpu->code_bytes);
        if (likely(before->successor[0]->key == key))
            block = before->successor[0];
        else if (before->successor[1]->key == key)
            block = before->successor[1];
    }
    if (unlikely(!block)) {
        uint64_t flushes = cpu->engine->cache_flushes;
        block = lookup(cpu, linear);
        if (!block)
            return NULL;
        if (before && flushes == cpu->engine->cache_flushes) {
            before->successor[1] = before->successor[0];
            before->successor[0] = block;
        }
    }
    if (unlikely(block->second_page != PHYSMEM_MMIO)) {
        block = check_crossing(cpu, block, linear);
        if (!block)
            return NULL;
    }
    if (unlikely(cpu->code_bytes != 8))
        return check_limit(cpu, block, limit);
    return block;
}

void engine_deliver(struct cpu *cpu)
{
    cpu->remaining--;
    cpu->fetch_linear = TLB_INVALID;
    cpu->s.shadow_sti = cpu->s.shadow_mov_ss = 0;
    cpu_deliver_exception(cpu);
    cpu->attention = true;
}

/* Runs up to `limit` instructions of the block. Returns whether all of them
 * completed; a fault has been delivered otherwise. */
static inline bool execute(struct cpu *cpu, const struct block *block, uint32_t limit)
{
    uint32_t count = block->count < limit ? block->count : limit;
    if (unlikely(cpu->remaining < count))
        count = (uint32_t)cpu->remaining;
    const struct insn *insn = block->insns;
    cpu->block_start = insn;
    cpu->block_end = insn + count;
    cpu->block_count = count;
    cpu->remaining -= count;
    int status;
    do {
        cpu->current = insn;
        status = insn->handler(cpu, insn);
        if (unlikely(status))
            break;
        insn++;
    } while (insn != cpu->block_end);
    cpu->remaining += count - (insn - block->insns);
    cpu->current = cpu->block_start = cpu->block_end = NULL;
    cpu->block_count = 0;
    if (unlikely(status)) {
        cpu->s.gpr[RIP] = (cpu->s.gpr[RIP] + insn->end - insn->length) & cpu->rip_mask;
        cpu->s.pending_debug = 0; /* traps are of instructions that complete */
        engine_deliver(cpu);
        return false;
    }
    if (!(insn[-1].attributes & SETS_RIP))
        cpu->s.gpr[RIP] = (cpu->s.gpr[RIP] + insn[-1].end) & cpu->rip_mask;
    return true;
}

static void debug_trap(struct cpu *cpu, uint64_t bits)
{
    cpu->exception = (struct exception){ VECTOR_DB, false, 0, bits };
    engine_deliver(cpu);
}

enum next_step { STEP_RUN, STEP_AGAIN, STEP_HALTED, STEP_SHUTDOWN, STEP_YIELD, STEP_DEBUG };

/* Requests from outside, in order of priority (SDM vol. 3, table 6-2). */
static enum next_step take_request(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    bool inhibited = s->shadow_sti || s->shadow_mov_ss;
    /* The shadows hold back SMIs too, so that none need be saved by SMM. */
    if (s->smi_pending && !s->smm && !inhibited) {
        cpu->remaining--;
        cpu_enter_smm(cpu);
        return STEP_AGAIN;
    }
    if (s->pending_debug && !s->shadow_mov_ss) {
        uint64_t bits = s->pending_debug;
        s->pending_debug = 0;
        s->activity = CPU_RUNNING; /* single-stepping over HLT */
        debug_trap(cpu, bits);
        return STEP_AGAIN;
    }
    if (s->nmi_pending && !s->nmi_blocked && !inhibited) {
        s->nmi_pending--;
        s->activity = CPU_RUNNING;
        cpu->remaining--;
        cpu->fetch_linear = TLB_INVALID;
        cpu_deliver_interrupt(cpu, VECTOR_NMI);
        return STEP_AGAIN;
    }
    if (cpu->interrupt_line && s->rflags & FLAG_IF && !inhibited) {
        int vector = cpu->bus.interrupt_acknowledge(cpu->bus.context, cpu);
        if (vector >= 0) {
            s->activity = CPU_RUNNING;
            cpu->remaining--;
            cpu->fetch_linear = TLB_INVALID;
            cpu_deliver_interrupt(cpu, (uint8_t)vector);
            return STEP_AGAIN;
        }
    }
    return STEP_RUN;
}

/* Looks at everything that can come between two instructions. With STEP_RUN,
 * *limit is 1 when only one instruction may run before the next look. */
static enum next_step attend(struct cpu *cpu, uint32_t *limit)
{
    struct cpu_state *s = &cpu->s;
    if (unlikely(cpu->debug != NULL) && cpu->debug->blocks_done)
        return STEP_DEBUG; /* with nothing done that the next block asks for */
    if (s->init_pending && !s->smm) {
        s->init_pending = 0;
        cpu_init_signal(cpu);
    }
    if (s->activity == CPU_SHUTDOWN)
        return STEP_SHUTDOWN;
    if (s->activity == CPU_WAIT_SIPI)
        return STEP_HALTED;
    if (cpu->debug && cpu->debug->hit)
        return STEP_DEBUG;
    enum next_step step = take_request(cpu);
    if (step != STEP_RUN)
        return step;
    if (s->activity == CPU_HALTED)
        return STEP_HALTED;
    if (s->yield) {
        s->yield = 0;
        return STEP_YIELD;
    }
    if (unlikely(exceptions_virtual_interrupt(cpu))) {
        cpu_raise_error(cpu, VECTOR_GP, 0);
        engine_deliver(cpu);
        return STEP_AGAIN;
    }
    bool guest_debug = s->rflags & (FLAG_TF | FLAG_RF) || s->dr[7] & 0xff;
    if (s->shadow_sti || s->shadow_mov_ss || guest_debug)
        *limit = 1;
    else
        cpu->attention = false;
    return STEP_RUN;
}

/* The instruction at RIP can be fetched, whatever bytes it has. */
static bool fetch_is_sure(const struct cpu *cpu)
{
    uint64_t rip = cpu->s.gpr[RIP];
    return cpu->code_bytes == 8 && (rip & PAGE_MASK) <= PAGE_BYTES - INSN_BYTES_MAXIMUM
           && memory_tlb_entry(cpu, rip)->exec_tag == (rip & ~(uint64_t)PAGE_MASK);
}

bool engine_goes_on(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    if (cpu->remaining <= 0)
        return false;
    if (!cpu->attention)
        return true;
    if (cpu->debug || s->init_pending || s->smi_pending || s->nmi_pending || s->pending_debug || s->yield
        || s->activity != CPU_RUNNING || s->shadow_sti || s->shadow_mov_ss || s->dr[7] & 0xff
        || s->rflags & FLAG_TF || (cpu->interrupt_line && s->rflags & FLAG_IF)
        || exceptions_virtual_interrupt(cpu))
        return false;
    if (s->rflags & FLAG_RF) {
        if (!fetch_is_sure(cpu))
            return false; /* should the fault become #DF, that shows RF */
        s->rflags &= ~FLAG_RF;
    }
    cpu->attention = false;
    return true;
}

/* One instruction with everything that single-stepping, breakpoints of the
 * guest and interrupt shadows ask for. What waits from before it was held back
 * by the shadow of MOV SS, and is delivered behind this instruction, be it into
 * the handler that it entered; INT1 reports it. */
static void execute_watched(struct cpu *cpu, const struct block *block)
{
    struct cpu_state *s = &cpu->s;
    const struct insn *insn = &block->insns[0];
    uint64_t start = (cpu->access[CS].base + s->gpr[RIP]) & cpu->rip_mask;
    uint64_t hit = s->rflags & FLAG_RF || !(s->dr[7] & 0xff) ? 0 : debug_register_break(cpu, start);
    bool trap = s->rflags & FLAG_TF, shadowed = s->shadow_mov_ss;
    if (hit && (!shadowed || cpu_model_is_amd(cpu->model))) {
        /* On Intel's, MOV SS holds back also these; on AMD's they end its shadow,
         * and one exception reports what waited in it too. */
        hit |= s->pending_debug;
        s->pending_debug = s->shadow_sti = s->shadow_mov_ss = 0;
        debug_trap(cpu, hit);
        return;
    }
    uint64_t pending = s->pending_debug, next = s->gpr[RIP] + insn->length;
    s->pending_debug = 0;
    if (!trap && !(s->dr[7] & 0xff) && !s->shadow_sti && !shadowed)
        cpu->attention = false; /* RF alone need not hold up a string instruction */
    s->shadow_sti = s->shadow_mov_ss = 0;
    s->rflags &= ~FLAG_RF;
    bool done = execute(cpu, block, 1);
    cpu->attention = true;
    if (done && exceptions_report_debug(cpu, insn, pending))
        pending = 0;
    s->pending_debug |= pending;
    if (!done)
        return;
    if (shadowed)
        s->shadow_mov_ss = 0; /* of several loads of SS only the first has one */
    else if (s->shadow_mov_ss)
        return;
    if (trap && s->activity != CPU_SHUTDOWN && exceptions_steps(cpu, insn, next))
        s->pending_debug |= DR6_BS;
}

/* An instruction or delivery is done: breakpoints count again. */
static void debug_done(struct cpu *cpu)
{
    if (unlikely(cpu->debug != NULL))
        cpu->debug->skip_break &= ~(1ull << cpu->s.index);
}

/* Whether to stop before this block (or cut it) for the debugger. */
static bool stop_for_debugger(struct cpu *cpu, const struct block *block, uint32_t *limit)
{
    struct debug_points *debug = cpu->debug;
    uint64_t linear = (cpu->access[CS].base + cpu->s.gpr[RIP]) & cpu->rip_mask;
    bool skip = debug->skip_break >> cpu->s.index & 1;
    debug_done(cpu);
    debug->start = cpu->s.gpr[RIP];
    if (!debug_breaks_in(cpu, linear, block->bytes))
        return false;
    *limit = 1;
    if (!debug_breaks_at(cpu, linear) || skip)
        return false;
    debug->hit = true;
    debug->what = (struct debug_point){ linear, 1, DEBUG_BREAK };
    debug->hit_cpu = cpu->s.index;
    debug->hit_address = linear;
    return true;
}

/* A block ran. A repeated string instruction that is to go on is no new one. */
static void note_block(struct cpu *cpu, const struct block *block)
{
    struct debug_points *debug = cpu->debug;
    bool repeats = block && block->insns[0].attributes & STRING && cpu->s.gpr[RIP] == debug->start;
    if (repeats)
        debug->skip_break |= 1ull << cpu->s.index;
    if (!debug->blocks || repeats)
        return;
    cpu->attention = true;
    debug->blocks_done = --debug->blocks == 0;
}

/* Runs a translation that starts with `block`. False: the interpreter is to. */
static bool run_translated(struct cpu *cpu, struct block *block)
{
    struct engine_translator *translator = &cpu->engine->translator;
    if (!block->translation && block->heat + 1 < translator->threshold) {
        block->heat++;
        return false;
    }
    switch (translator->run(translator->context, cpu, block)) {
    case TRANSLATED_NOT: return false;
    case TRANSLATED_RAN: return true;
    case TRANSLATED_FAULT: break;
    }
    engine_deliver(cpu);
    return true;
}

static enum cpu_exit leave(struct cpu *cpu, enum cpu_exit exit)
{
    cpu->s.rflags = flags_to_rflags(cpu);
    cpu->engine->instructions += (uint64_t)(cpu->budget - cpu->remaining);
    return exit;
}

enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget)
{
    struct block *block = NULL;
    cpu->budget = cpu->remaining = budget > INT64_MAX ? INT64_MAX : (int64_t)budget;
    cpu->attention = true;
    if (cpu->bus.ns_per_instruction)
        cpu->slice_ns = cpu->bus.virtual_ns(cpu->bus.context, cpu);
    flags_put(cpu, cpu->s.rflags);
    for (bool first = true; cpu->remaining > 0; first = false) {
        uint32_t limit = BLOCK_INSNS_MAXIMUM;
        bool watched = false;
        if (unlikely(cpu->attention)) {
            /* The turn ends here also with an interrupt waiting: an isolated
             * replay, which is told of it later, cannot know. */
            if (cpu->s.activity == CPU_HALTED && !first)
                return leave(cpu, CPU_EXIT_HALTED);
            switch (attend(cpu, &limit)) {
            case STEP_RUN: break;
            case STEP_AGAIN: block = NULL; debug_done(cpu); continue;
            case STEP_HALTED: return leave(cpu, CPU_EXIT_HALTED);
            case STEP_SHUTDOWN: return leave(cpu, CPU_EXIT_SHUTDOWN);
            case STEP_YIELD: return leave(cpu, CPU_EXIT_YIELD);
            case STEP_DEBUG: return leave(cpu, CPU_EXIT_DEBUG);
            }
            watched = limit == 1;
        }
        block = next_block(cpu, block, &limit);
        if (unlikely(!block)) {
            engine_deliver(cpu);
            debug_done(cpu);
            continue;
        }
        if (unlikely(cpu->debug != NULL) && stop_for_debugger(cpu, block, &limit))
            return leave(cpu, CPU_EXIT_DEBUG);
        if (unlikely(watched)) {
            execute_watched(cpu, block);
        } else if (cpu->engine->translator.context && limit == BLOCK_INSNS_MAXIMUM && !cpu->debug
                   && run_translated(cpu, block)) {
            block = NULL;
            continue;
        } else if (unlikely(!execute(cpu, block, limit))) {
            block = NULL;
        }
        if (unlikely(cpu->debug != NULL))
            note_block(cpu, block);
    }
    return leave(cpu, CPU_EXIT_BUDGET);
}

void cpu_end_slice(struct cpu *cpu)
{
    int64_t extra = cpu->remaining;
    if (cpu->current) {
        cpu_end_block(cpu);
        extra += (int64_t)cpu->block_count - (cpu->current + 1 - cpu->block_start);
    }
    if (extra > 0) {
        cpu->budget -= extra;
        cpu->remaining -= extra;
    }
}
