/*
 * The translator's cache: which blocks have translations, jumps between them, and
 * what happens when code or mappings change; see translator.h and compile.h.
 *
 * An instruction that crosses a page border is a translation of its own, which
 * rests on both pages: they are compared where it is entered.
 *
 * Not translated: instructions that cross CS's limit.
 */
#include "translator/translator.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/fp.h"
#include "cpu/memory.h"
#include "cpu/system.h"
#include "translator/internal.h"
#include "util/assert.h"

/* Code pages */

static uint32_t *page_bucket(struct translator *t, uint64_t linear, uint32_t page, unsigned index,
                             unsigned kind)
{
    uint64_t hash = ((linear >> PAGE_SHIFT) * 4 + index + (uint64_t)kind * 0x10000001
                     + (uint64_t)page * 0x10001) * 0x9e3779b97f4a7c15ull;
    return &t->page_buckets[hash >> 50 & (PAGE_BUCKETS - 1)];
}

static const struct code_page *find_page(struct translator *t, uint64_t linear, uint32_t page,
                                         unsigned index, unsigned kind)
{
    linear &= ~(uint64_t)PAGE_MASK;
    uint32_t *bucket = page_bucket(t, linear, page, index, kind);
    for (uint32_t i = *bucket; i; i = t->pages[i].hash_next) {
        struct code_page *found = &t->pages[i];
        if (found->linear == linear && found->page == page && found->index == index
            && found->kind == kind && found->id)
            return found;
    }
    if (t->page_count == PAGES_MAXIMUM)
        return NULL;
    uint32_t number = t->page_count++;
    t->pages[number] = (struct code_page){ linear, page, ++t->next_id, *bucket, t->page_chains[page],
                                           (uint16_t)kind, (uint8_t)index };
    *bucket = number;
    t->page_chains[page] = number;
    return &t->pages[number];
}

/* Translations of code in this page are never entered again: their number goes. */
static void page_stale(void *context, uint32_t page)
{
    struct translator *t = context;
    if (t->page_chains[page])
        t->engine->code_version++;
    for (uint32_t i = t->page_chains[page]; i; i = t->pages[i].page_next) {
        struct code_page *stale = &t->pages[i];
        unsigned slot = tlb_slot(stale->linear);
        for (unsigned k = 0; k < t->engine->cpu_count; k++) {
            struct tlb *tlb = &t->engine->cpus[k]->tlbs[stale->index];
            if (tlb->code_id[slot] == stale->id) {
                tlb->code_id[slot] = 0;
                tlb->code_linear[slot] = TLB_INVALID;
            }
        }
        stale->id = 0;
        t->statistics.stale_pages++;
    }
    t->page_chains[page] = 0;
    t->pending_edge = 0;
}

static void reset_jumps(struct translator *t)
{
    uint32_t miss = (uint32_t)(uintptr_t)translator_running(t, t->miss);
    for (unsigned i = 0; i < t->engine->cpu_count; i++) {
        struct cpu *cpu = t->engine->cpus[i];
        uint32_t *jumps = cpu->translated.jumps[0];
        for (unsigned k = 0; k < MMU_INDEX_COUNT * TRANSLATED_JUMPS; k++)
            jumps[k] = miss;
        kind_forget_pages(cpu);
    }
}

static void all_stale(void *context)
{
    struct translator *t = context;
    t->at = t->first;
    t->engine->code_version++;
    t->page_count = t->translation_count = t->edge_count = t->site_count = 1;
    t->pending_edge = t->hot = 0;
    memset(t->sampled, 0, sizeof t->sampled);
    for (unsigned i = 0; i < t->engine->cpu_count; i++)
        window_forget_all(t, t->engine->cpus[i]);
    t->window_count = 0;
    memset(t->page_buckets, 0, PAGE_BUCKETS * sizeof *t->page_buckets);
    memset(t->page_chains, 0, ((uint64_t)t->engine->memory->ram_pages + t->engine->memory->rom_pages)
                                  * sizeof *t->page_chains);
    reset_jumps(t);
    kind_forget_all(t);
    t->statistics.flushes++;
}

static bool full(const struct translator *t)
{
    return t->at + 4 * BLOCK_CODE_MAXIMUM > t->write + t->bytes || t->page_count + 2 > PAGES_MAXIMUM
           || t->translation_count + 2 > TRANSLATIONS_MAXIMUM
           || t->edge_count + 2 * EDGES_OF_TRANSLATION + 1 > EDGES_MAXIMUM
           || t->site_count + 6 * INSNS_MAXIMUM > SITES_MAXIMUM || t->kind_count == KINDS_MAXIMUM
           || t->window_count + 3 * WINDOWS_OF_TRANSLATION > TRANSLATED_WINDOWS
           || !engine_can_keep(t->engine, 4 * PARTS_MAXIMUM, 4 * INSNS_MAXIMUM);
}

static void compile_begin(struct translator *t, struct compile *c, unsigned kind)
{
    memset(c, 0, offsetof(struct compile, parts));
    c->e = (struct emitter){ t->at, t->at + BLOCK_CODE_MAXIMUM, t->run - t->write, 0 };
    c->translator = t;
    c->kind = &t->kinds[kind];
    c->rows = t->rows;
}

/* Compiles what `translation` says; false: it has to be plain. `cpu`: where it is to
 * begin, or NULL. */
static bool try_to_compile(struct translator *t, struct translation *translation, enum grouping grouping,
                           const struct cpu *cpu)
{
    struct compile c;
    compile_begin(t, &c, translation->kind);
    c.translation = translation;
    c.index = translation->index;
    c.grouping = grouping;
    c.windows = translation->windows && c.kind->code_bytes == 8;
    c.cpu = cpu;
    chain_make(&c);
    translation->count = (uint8_t)c.count;
    watch_begin(t);
    uint32_t edges = t->edge_count, sites = t->site_count, windows = t->window_count;
    block_compile(&c);
    if (c.trouble) {
        ASSERT(grouping != GROUPS_NONE);
        t->edge_count = edges;
        t->site_count = sites;
        t->window_count = windows;
        return false;
    }
    ASSERT(c.e.at <= c.e.limit);
    watch_tell(&c);
    translation->part_count = (uint8_t)c.part_count;
    translation->taken = 0;
    for (unsigned i = 0; i < c.part_count; i++)
        translation->taken |= (uint8_t)(c.parts[i].taken << i);
    t->statistics.blocks++;
    for (unsigned i = 0; i < c.part_count; i++)
        t->statistics.guest_bytes += c.parts[i].block->bytes;
    t->statistics.host_bytes += (uint64_t)(c.e.at - t->at);
    t->at = t->write + ((c.e.at - t->write + 15) & ~(ptrdiff_t)15);
    return true;
}

static void compile(struct translator *t, struct translation *translation, const struct cpu *cpu)
{
    if (!try_to_compile(t, translation, (enum grouping)translation->grouping, cpu))
        try_to_compile(t, translation, GROUPS_NONE, NULL);
}

/* Makes a translation anew, with windows, and has who goes to the old code go on in
 * the new one. */
static void compile_windows(struct translator *t, struct translation *translation, const struct cpu *cpu)
{
    translation->windows = true;
    translation->stale = false;
    translation->conflicts = 0;
    struct translation before = *translation;
    compile(t, translation, cpu);
    if (translation->flags_demand > before.flags_demand) { /* flags may not be there for it */
        *translation = before;
        return;
    }
    struct emitter e = { before.entry, before.entry + 16, t->run - t->write, 0 };
    emit_jump(&e, translation->entry);
}

/* A slice ended at its entry. */
static void sample(struct translator *t, uint32_t number)
{
    struct translation *translation = &t->translations[number];
    uint32_t *oldest = &t->sampled[t->sample_count++ % SAMPLES];
    t->translations[*oldest].samples--;
    *oldest = number;
    if (++translation->samples >= t->samples_wanted && (!translation->windows || translation->stale))
        t->hot = number;
}

/* The one that wants windows, and has not got them, of a translation and its variants; or NULL. */
static struct translation *windowless(const struct translator *t, struct translation *first)
{
    const struct translation *hot = &t->translations[t->hot];
    for (struct translation *of = first; of; of = of == first ? of->variants : of->next)
        if (of == hot || (of->conflicts == CONFLICTS_WANTED && (!of->windows || of->stale)))
            return of;
    return NULL;
}

/* `found` is about to run: it is made anew, or one that it leads to at the same place. */
static void heat_up(struct translator *t, const struct translation *found, const struct cpu *cpu)
{
    struct translation *wants = NULL;
    for (struct translation *of = found->block->translation; of && !wants; of = of->next)
        if (of->rip == found->rip && of->index == found->index && of->kind == found->kind)
            wants = windowless(t, of);
    t->hot = 0;
    if (wants)
        compile_windows(t, wants, cpu);
}

/* The page behind the one at `linear`. */
static uint64_t page_behind(const struct kind *kind, uint64_t linear)
{
    uint64_t behind = (linear | PAGE_MASK) + 1;
    return kind->code_bytes == 8 ? behind : (uint32_t)behind;
}

static bool crosses(const struct block *block)
{
    return block->second_page != PHYSMEM_MMIO;
}

static struct translation *translate(struct translator *t, const struct cpu *cpu, struct block *block,
                                     unsigned kind, enum grouping grouping)
{
    unsigned index = (unsigned)(cpu->tlb - cpu->tlbs);
    uint64_t rip = cpu->s.gpr[RIP], linear = kind_linear(&t->kinds[kind], rip);
    uint64_t behind = page_behind(&t->kinds[kind], linear);
    const struct code_page *page = find_page(t, linear, block->page, index, kind), *second = page;
    if (crosses(block))
        second = find_page(t, behind, block->second_page, index, kind);
    if (!page || !second)
        return NULL;
    struct translation *translation = &t->translations[t->translation_count++];
    block = engine_keep_block(t->engine, block);
    *translation = (struct translation){ .block = block, .linear = linear, .rip = rip, .id = page->id,
                                         .grouping = (uint8_t)grouping,
                                         .second_id = crosses(block) ? second->id : 0,
                                         .kind = (uint16_t)kind, .index = (uint8_t)index,
                                         .windows = !t->samples_wanted };
    compile(t, translation, cpu);
    translation->next = block->translation;
    block->translation = translation;
    return translation;
}

#define VARIANTS_MAXIMUM 3

/* The translation for loops that come back with flags that a recipe makes: they need
 * not be saved each time round. NULL: there are others enough. */
static const struct translation *variant(struct translator *t, struct translation *of,
                                         const struct flags_state *flags)
{
    struct flags_state in = *flags;
    unsigned count = 0;
    in.live = false;
    for (const struct translation *found = of->variants; found; found = found->next, count++)
        if (memcmp(&found->in, &in, sizeof in) == 0)
            return found;
    if (count == VARIANTS_MAXIMUM)
        return NULL;
    struct translation *made = &t->translations[t->translation_count++];
    *made = (struct translation){ .block = of->block, .linear = of->linear, .rip = of->rip, .in = in, .id = of->id,
                                  .second_id = of->second_id, .kind = of->kind, .index = of->index,
                                  .grouping = of->grouping, .windows = !t->samples_wanted };
    compile(t, made, NULL);
    made->next = of->variants;
    of->variants = made;
    return made;
}

static bool is_known(const struct edge *edge, uint32_t id)
{
    return id == edge->known[0] || id == edge->known[1];
}

/* Behind the flags, if they are to be saved: compares the pages that the jump rests
 * on, and goes on to the target, or to look for it. */
static void checked_jump(struct translator *t, struct compile *c, const struct edge *edge,
                         const struct translation *to)
{
    struct emitter *e = &c->e;
    uint8_t *fails[2] = { NULL, NULL };
    for (unsigned i = 0; i < 2; i++) {
        if (is_known(edge, i ? to->second_id : to->id) || (i && !to->second_id))
            continue;
        block_compare_page(e, to, i);
        fails[i] = emit_jump_if(e, CONDITION_NE, NULL);
        c->flags.live = false;
    }
    emit_jump(e, to->entry);
    for (unsigned i = 0; i < 2; i++)
        if (fails[i])
            emit_patch(fails[i], e->at);
    emit_constant(e, SCRATCH, (uint32_t)(edge - t->edges));
    emit_jump(e, t->leave_link);
}

/* For a target that lets the flags wait: they are to be made out of memory. */
static void defer_for(struct translator *t, struct compile *c)
{
    flags_defer(c);
    uint32_t fixup = c->flags.home ? 0 : t->edge_count++;
    if (fixup)
        t->edges[fixup] = (struct edge){ .flags = c->flags };
    emit_store_constant(&c->e, 4, IN_VCPU(translated.flags_fixup), (int32_t)fixup);
}

/* Makes the jump go to its target directly from now on. */
static void link_edge(struct translator *t, struct edge *edge, struct translation *to)
{
    if (edge->linked == to)
        return;
    edge->linked = to;
    t->statistics.links++;
    const struct flags_state *flags = &edge->flags;
    bool made = !flags->home && !flags->deferred; /* by a recipe */
    bool save = to->flags_demand == FLAGS_READ && !flags->home;
    bool defer = to->flags_demand == FLAGS_SEEN && made && !flags_in_memory(flags);
    bool check = !is_known(edge, to->id) || (to->second_id && !is_known(edge, to->second_id));
    if (!save && !defer && !check) {
        emit_patch(edge->from, to->entry);
        return;
    }
    bool loops = edge->backward && !check && flags->recipe != RECIPE_NONE;
    const struct translation *other = loops ? variant(t, to, flags) : NULL;
    if (other) {
        emit_patch(edge->from, other->entry);
        return;
    }
    struct compile c;
    compile_begin(t, &c, to->kind);
    c.flags = *flags;
    if (save)
        flags_save(&c, &c.flags);
    if (defer)
        defer_for(t, &c);
    if (check)
        checked_jump(t, &c, edge, to);
    else
        emit_jump(&c.e, to->entry);
    emit_patch(edge->from, t->at);
    t->statistics.host_bytes += (uint64_t)(c.e.at - t->at);
    t->at = c.e.at;
}

/* The vCPU's record of code pages: this one may be entered. */
static void note_code_page(struct cpu *cpu, unsigned index, uint64_t linear, uint32_t id)
{
    struct tlb *tlb = &cpu->tlbs[index];
    unsigned slot = tlb_slot(linear);
    tlb_use(tlb, linear);
    tlb->code_linear[slot] = linear & ~(uint64_t)PAGE_MASK;
    tlb->code_id[slot] = id;
}

static bool translatable(const struct kind *kind, const struct block *block, uint64_t rip)
{
    bool fits = kind->code_bytes == 8 || rip + block->bytes - 1 <= kind->cs_limit;
    return fits && block->key != BLOCK_KEY_NONE;
}

static struct translation *translation_of(const struct block *block, uint64_t rip, unsigned index,
                                          unsigned kind, enum grouping grouping)
{
    struct translation *found = block->translation;
    while (found && !(found->rip == rip && found->index == index && found->kind == kind
                      && found->grouping == grouping))
        found = found->next;
    return found;
}

/* It may be entered at once, and jumped to unless it is a cautious one. */
static void note_entry(struct translator *t, struct cpu *cpu, const struct translation *translation)
{
    unsigned index = translation->index;
    note_code_page(cpu, index, translation->linear, translation->id);
    if (translation->second_id)
        note_code_page(cpu, index, page_behind(&t->kinds[translation->kind], translation->linear),
                       translation->second_id);
    if (translation->grouping == GROUPS_WIDE)
        cpu->translated.jumps[index][translator_jump_slot(translation->rip)]
            = (uint32_t)(uintptr_t)translator_running(t, translation->checked);
    cpu->translated.flags_fixup = 0;
}

/* The backing page of code at `linear`; PHYSMEM_MMIO: it is to be fetched first. */
static uint32_t fetched_page(const struct cpu *cpu, uint64_t linear)
{
    const struct tlb_entry *entry = &cpu->tlb->entry[tlb_slot(linear)];
    if (entry->exec_tag != (linear & ~(uint64_t)PAGE_MASK))
        return PHYSMEM_MMIO;
    const uint8_t *host = (const uint8_t *)(uintptr_t)(linear + entry->addend);
    return (uint32_t)((uint64_t)(host - cpu->memory->bytes) >> PAGE_SHIFT);
}

/* Code for the last indirect jump, if its target is not canonical; or 0. */
static uint32_t bad_target(const struct cpu *cpu, const struct translator *t)
{
    const struct translated *translated = &cpu->translated;
    return translated->bad_target ? translated->bad_target : t->edges[translated->flags_fixup].bad_target;
}

uint64_t translator_search(struct cpu *cpu, struct translator *t, uint32_t left)
{
    uint32_t edge = left & ~EDGE_LIVE;
    if (edge)
        settle_edge(cpu, t, left);
    else if (unlikely(cpu->code_bytes == 8 && !cpu_canonical(cpu, cpu->s.gpr[RIP])) && bad_target(cpu, t))
        return bad_target(cpu, t);
    else
        settle_deferred(cpu, t);
    cpu->translated.edge = edge;
    uint64_t rip = cpu->s.gpr[RIP] &= cpu->rip_mask; /* an indirect jump comes with more */
    t->statistics.lookups[edge != 0]++;
    unsigned index = (unsigned)(cpu->tlb - cpu->tlbs), kind = kind_now(t, cpu);
    uint64_t linear = kind_linear(&t->kinds[kind], rip);
    uint32_t page = fetched_page(cpu, linear);
    if (kind == KIND_NONE || page == PHYSMEM_MMIO)
        return 0;
    struct block *block = engine_find_block(t->engine, block_key(page, linear, cpu->code_bytes));
    enum grouping grouping = edge ? t->edges[edge].grouping : GROUPS_WIDE;
    struct translation *found = block ? translation_of(block, rip, index, kind, grouping) : NULL;
    if (!found || (crosses(block)
                   && fetched_page(cpu, page_behind(&t->kinds[kind], linear)) != block->second_page))
        return 0;
    note_entry(t, cpu, found);
    if (edge && !full(t))
        link_edge(t, &t->edges[edge], found);
    t->statistics.searches++;
    return (uintptr_t)translator_running(t, found->entry);
}

static struct translation *find_translation(struct translator *t, struct cpu *cpu, struct block *block,
                                            enum grouping grouping)
{
    uint64_t rip = cpu->s.gpr[RIP];
    unsigned index = (unsigned)(cpu->tlb - cpu->tlbs), kind = kind_now(t, cpu);
    struct translation *found = translation_of(block, rip, index, kind, grouping);
    if (found)
        return found;
    bool cold = ++block->heat < t->engine->translator.threshold;
    if (cold || kind == KIND_NONE || !translatable(&t->kinds[kind], block, rip))
        return NULL;
    /* The chain that is made looks at the heat: a loop's head must not seem cold. */
    struct translation *made = translate(t, cpu, block, kind, grouping);
    if (made)
        made->block->heat = 0;
    return made;
}

static enum translated_end run(void *context, struct cpu *cpu, struct block *block)
{
    struct translator *t = context;
    uint32_t pending = t->pending_edge;
    t->pending_edge = 0;
    if (full(t)) {
        /* Blocks point at translations: all go, and so does `block`. */
        engine_flush_blocks(t->engine);
        return TRANSLATED_RAN;
    }
    const struct edge *edge = &t->edges[pending];
    enum grouping grouping = pending && edge->target == cpu->s.gpr[RIP] ? edge->grouping : GROUPS_WIDE;
    struct translation *translation = find_translation(t, cpu, block, grouping);
    if (translation)
        heat_up(t, translation, cpu);
    if (!translation || cpu->remaining < translation->count)
        return TRANSLATED_NOT;
    note_entry(t, cpu, translation);
    if (pending && edge->grouping == grouping && edge->target == translation->rip && edge->index == translation->index
        && edge->kind == translation->kind)
        link_edge(t, &t->edges[pending], translation);
    pieces_flags_to_home(cpu);
    cpu->translated.vectors = cpu->translated.x87 = 0;
    cpu->translated.host_mxcsr = __builtin_ia32_stmxcsr();
    cpu->translated.host_fcw = FCW_DEFAULT;
    t->statistics.entries++;
    enter_function *enter = (enter_function *)(uintptr_t)translator_running(t, t->enter);
    int64_t before = cpu->remaining - cpu->budget;
    uint64_t reason = enter(cpu, translator_running(t, translation->entry));
    if (reason == LEAVE_ENTRY) {
        settle_entry(cpu, t);
        sample(t, cpu->translated.edge);
        reason = LEAVE_BUDGET;
    }
    uint64_t ran = (uint64_t)(before - (cpu->remaining - cpu->budget));
    t->statistics.instructions += ran;
    pieces_flags_from_home(cpu);
    cpu->s.gpr[RIP] &= cpu->rip_mask; /* an indirect jump leaves with more */
    t->statistics.leaves[reason]++;
    /* The first check of a group led to a cautious translation, for which the budget is too
     * small: it would do so again. */
    if (reason == LEAVE_BUDGET && !ran)
        return TRANSLATED_NOT;
    if (reason == LEAVE_LINK)
        t->pending_edge = cpu->translated.edge;
    return reason == LEAVE_FAULT ? TRANSLATED_FAULT : TRANSLATED_RAN;
}

/* Creation */

bool translator_available(void)
{
    return __builtin_cpu_supports("bmi2");
}

/* Two mappings of the same pages. Not of a file: a limit on the size of files
 * is none on code. */
static bool map_cache(struct translator *t)
{
    void *run = mmap(NULL, t->bytes, PROT_READ | PROT_WRITE,
                     MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | MAP_32BIT, -1, 0);
    if (run == MAP_FAILED)
        return false;
    t->run = run;
    void *write = mremap(run, 0, t->bytes, MREMAP_MAYMOVE);
    if (write == MAP_FAILED)
        return false;
    t->write = write;
    return mprotect(run, t->bytes, PROT_READ | PROT_EXEC) == 0;
}

static void learn_rows(struct row_facts *rows)
{
    for (unsigned i = 0; i <= opcode_row_count; i++) {
        rows[i].row = row_of(&(struct insn){ .row = (uint16_t)i });
        rows[i].lower = integer_lowering(rows[i].row);
        rows[i].modrm = rows[i].row->modrm & MODRM_PRESENT;
    }
    flags_learn(rows);
    access_learn(rows);
}

struct translator *translator_create(struct engine *engine, size_t cache_bytes, uint32_t threshold)
{
    uint64_t pages = (uint64_t)engine->memory->ram_pages + engine->memory->rom_pages;
    struct translator *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->engine = engine;
    t->kind_count = KIND_NONE + 1;
    t->bytes = cache_bytes;
    t->pages = calloc(PAGES_MAXIMUM, sizeof *t->pages);
    t->page_buckets = calloc(PAGE_BUCKETS, sizeof *t->page_buckets);
    t->page_chains = calloc(pages, sizeof *t->page_chains);
    t->translations = calloc(TRANSLATIONS_MAXIMUM, sizeof *t->translations);
    t->edges = calloc(EDGES_MAXIMUM, sizeof *t->edges);
    t->sites = calloc(SITES_MAXIMUM, sizeof *t->sites);
    t->windows = calloc(TRANSLATED_WINDOWS, sizeof *t->windows);
    t->samples_wanted = SAMPLES_WANTED;
    t->row_fallbacks = calloc(opcode_row_count, sizeof *t->row_fallbacks);
    t->rows = calloc(opcode_row_count + 1, sizeof *t->rows);
    if (!t->pages || !t->page_buckets || !t->page_chains || !t->translations || !t->edges || !t->sites
        || !t->windows || !t->row_fallbacks || !t->rows || !map_cache(t)) {
        translator_destroy(t);
        return NULL;
    }
    translator_ask_host(t);
    pieces_make(t);
    learn_rows(t->rows);
    engine->translator = (struct engine_translator){ t, threshold, run, page_stale, all_stale };
    engine_flush_blocks(engine);
    t->statistics.flushes = 0;
    return t;
}

void translator_sample(struct translator *t, uint32_t samples)
{
    t->samples_wanted = samples;
}

void translator_destroy(struct translator *t)
{
    if (!t)
        return;
    t->engine->translator.context = NULL;
    if (t->write)
        munmap(t->write, t->bytes);
    if (t->run)
        munmap(t->run, t->bytes);
    free(t->pages);
    free(t->page_buckets);
    free(t->page_chains);
    free(t->translations);
    free(t->edges);
    free(t->sites);
    free(t->windows);
    free(t->row_fallbacks);
    free(t->rows);
    watch_free(t);
    free(t);
}

const struct translator_statistics *translator_statistics(const struct translator *t)
{
    return &t->statistics;
}

uint64_t translator_row_fallbacks(const struct translator *t, unsigned row)
{
    return t->row_fallbacks[row];
}
