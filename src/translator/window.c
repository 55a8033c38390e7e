/*
 * Windows: a place in hot code that accesses memory remembers the range of pages where
 * its last accesses were, and compares with that instead of looking into the TLB. The
 * address of the data does then not wait for the TLB's entry.
 *
 * A window is opened over what the TLB holds, and is shut with all others whenever
 * tlb_version changes; so it never allows what a look into the TLB would not have
 * allowed since. A place whose accesses are all over gives its window up.
 */
#include <string.h>

#include "cpu/memory.h"
#include "translator/internal.h"

#define PAGES_AROUND 64 /* a window may reach so many pages to either side */
#define PATIENCE 64     /* windows of one page that a place takes by itself before window_open is asked */
/* Instructions; a place that asks sooner, so many times in a row, gives up. */
#define HASTE_MISSES 150000
#define HASTE_SHUT 1000000
#define STRIKES 3

static struct host_operand in_window(unsigned window, size_t offset)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, windows.window)
                                          + window * sizeof(struct translated_window) + offset));
}

static struct host_operand patience_of(unsigned window)
{
    return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, windows.patience) + window * sizeof(int32_t)));
}

bool window_check(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write,
                  unsigned alignment, bool addend, uint8_t **fails)
{
    struct translator *t = c->translator;
    struct emitter *e = &c->e;
    if (!c->windows || c->look_count == WINDOWS_OF_TRANSLATION || t->window_count == TRANSLATED_WINDOWS)
        return false;
    unsigned number = c->look_count++;
    if (c->translation->without >> number & 1)
        return false;
    unsigned window = t->window_count++;
    struct window_miss *miss = &c->misses[c->miss_count++];
    if (disp)
        emit_lea(e, 8, SCRATCH, operand_memory(base, disp));
    else if (base != SCRATCH)
        emit_load(e, 8, SCRATCH, operand_register(base));
    t->windows[window] = (struct window_place){
        .translation = c->translation, .number = (uint8_t)number, .check = e->at,
        .bytes = (uint16_t)bytes, .index = (uint8_t)c->index, .write = write,
    };
    emit_alu(e, ALU_SUB, 8, SCRATCH, in_window(window, offsetof(struct translated_window, low)));
    emit_alu(e, ALU_CMP, 8, SCRATCH, in_window(window, offsetof(struct translated_window, limit)));
    *miss = (struct window_miss){ .insn = (uint16_t)c->number, .window = (uint16_t)window, .fails = fails,
                                  .bytes = (uint16_t)bytes, .alignment = (uint8_t)alignment,
                                  .index = (uint8_t)c->index, .write = write, .addend = addend };
    *fails = miss->from[0] = emit_jump_if(e, CONDITION_AE, NULL);
    if (alignment > 1) {
        emit_instruction(e, OP1(0xf7), 4, 0, operand_register(SCRATCH)); /* TEST */
        emit_bytes(e, alignment - 1, 4);
        miss->from[1] = emit_jump_if(e, CONDITION_NE, NULL);
    }
    emit_load(e, 8, SCRATCH2, in_window(window, addend ? offsetof(struct translated_window, addend)
                                                       : offsetof(struct translated_window, host)));
    miss->resume = e->at;
    flags_clobbered(c);
    return true;
}

/* Behind memory_check: the window becomes the page. */
static void take_page(struct compile *c, const struct window_miss *miss)
{
    struct emitter *e = &c->e;
    emit_store(e, 8, IN_VCPU(translated.target), SCRATCH);
    emit_load(e, 8, SCRATCH, memory_in_tlb(c, miss->write ? offsetof(struct tlb_entry, write_tag)
                                                          : offsetof(struct tlb_entry, read_tag)));
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, low)), SCRATCH);
    emit_store_constant(e, 8, in_window(miss->window, offsetof(struct translated_window, limit)),
                        (int32_t)(PAGE_BYTES + 1 - miss->bytes));
    emit_load(e, 8, SCRATCH, memory_in_tlb(c, offsetof(struct tlb_entry, addend)));
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, addend)), SCRATCH);
    memory_load_place(c, false);
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, host)), SCRATCH2);
    if (miss->addend)
        emit_load(e, 8, SCRATCH2, operand_register(SCRATCH));
    emit_load(e, 8, SCRATCH, IN_VCPU(translated.target));
}

static void finish(struct compile *c, const struct window_miss *miss)
{
    struct translator *t = c->translator;
    struct emitter *e = &c->e;
    struct window_place *place = &t->windows[miss->window];
    for (unsigned i = 0; i < 2; i++)
        if (miss->from[i])
            emit_patch(miss->from[i], e->at);
    emit_alu(e, ALU_ADD, 8, SCRATCH, in_window(miss->window, offsetof(struct translated_window, low)));
    emit_alu_constant(e, ALU_SUB, 4, patience_of(miss->window), 1);
    uint8_t *over = emit_jump_if(e, CONDITION_S, NULL);
    place->plain = e->at;
    c->index = miss->index;
    *miss->fails = memory_check(c, SCRATCH, 0, miss->bytes, miss->write, miss->alignment);
    take_page(c, miss);
    emit_jump(e, miss->resume);
    emit_patch(over, e->at);
    emit_store(e, 8, IN_VCPU(translated.target), SCRATCH);
    emit_constant(e, SCRATCH, miss->window);
    emit_call(e, t->open_window);
    emit_load(e, 8, SCRATCH, IN_VCPU(translated.target));
    emit_jump(e, place->check);
}

void window_finish(struct compile *c)
{
    unsigned index = c->index;
    for (unsigned i = 0; i < c->miss_count; i++) {
        watch_mark(c, PART_SLOW, c->misses[i].insn);
        finish(c, &c->misses[i]);
    }
    c->index = index;
}

/* The place goes to the TLB without a look at its window from now on. */
static void give_up(struct translator *t, struct window_place *place)
{
    struct emitter e = { place->check, place->check + 16, t->run - t->write, 0 };
    emit_jump(&e, place->plain);
    place->translation->without |= 1ull << place->number;
    place->translation->stale = true;
    t->statistics.windows[1]++;
}

/* Whether the TLB knows that the place may access the page at once. */
static bool allowed(const struct tlb *tlb, const struct window_place *place, uint64_t page)
{
    const struct tlb_entry *entry = &tlb->entry[tlb_slot(page)];
    return (place->write ? entry->write_tag : entry->read_tag) == page;
}

/* The same, and that it lies at `host`. */
static bool fits(const struct tlb *tlb, const struct window_place *place, uint64_t page, uintptr_t host)
{
    return allowed(tlb, place, page) && tlb->host[tlb_slot(page)] == host;
}

/* Opens a window over a page that the TLB knows, and those around it. */
static void open_at(struct cpu *cpu, struct translator *t, unsigned number, uint64_t page)
{
    const struct window_place *place = &t->windows[number];
    const struct tlb *tlb = &cpu->tlbs[place->index];
    struct translated_window *window = &cpu->windows.window[number];
    uintptr_t host = tlb->host[tlb_slot(page)];
    uint64_t low = page, high = page + PAGE_BYTES;
    while (page - low < PAGES_AROUND * PAGE_BYTES && low
           && fits(tlb, place, low - PAGE_BYTES, host - (uintptr_t)(page - low) - PAGE_BYTES))
        low -= PAGE_BYTES;
    while (high - page < PAGES_AROUND * PAGE_BYTES && high
           && fits(tlb, place, high, host + (uintptr_t)(high - page)))
        high += PAGE_BYTES;
    if (!window->limit)
        cpu->windows.open[cpu->windows.open_count++] = (uint16_t)number;
    window->low = low;
    window->limit = high - low - place->bytes + 1;
    window->host = host - (uintptr_t)(page - low);
    window->addend = window->host - (uintptr_t)low;
    cpu->windows.patience[number] = PATIENCE;
    t->statistics.windows[0]++;
}

uint64_t window_open(struct cpu *cpu, struct translator *t, uint32_t number)
{
    struct window_place *place = &t->windows[number];
    uint64_t page = cpu->translated.target & ~(uint64_t)PAGE_MASK;
    uint64_t now = cpu->engine->instructions + (uint64_t)(cpu->budget - cpu->remaining);
    bool shut = !cpu->windows.window[number].limit;
    if (!allowed(&cpu->tlbs[place->index], place, page)) {
        /* The slow path, which comes now, has the TLB take it, and then is the time: an entry that
         * two pages fight for is soon gone again. After the next miss, which is at once, code must
         * not find the page by itself (take_page): the window would not be among those that are open. */
        cpu->windows.patience[number] = 1;
        cpu->windows.wanted = number + 1;
        cpu->windows.wanted_page = page;
        return LEAVE_NOT;
    }
    place->strikes = now - place->opened < (shut ? HASTE_SHUT : HASTE_MISSES) ? (uint8_t)(place->strikes + 1) : 0;
    place->opened = now;
    if (place->strikes == STRIKES)
        give_up(t, place);
    else
        open_at(cpu, t, number, page);
    return LEAVE_NOT;
}

static void open_wanted(struct cpu *cpu, struct translator *t)
{
    unsigned number = cpu->windows.wanted - 1;
    const struct window_place *place = &t->windows[number];
    cpu->windows.wanted = 0;
    if (allowed(&cpu->tlbs[place->index], place, cpu->windows.wanted_page))
        open_at(cpu, t, number, cpu->windows.wanted_page);
}

void window_settle(struct cpu *cpu, struct translator *t, struct translation *translation)
{
    if (cpu->windows.wanted)
        open_wanted(cpu, t);
    if (cpu->windows.conflict && translation->conflicts < CONFLICTS_WANTED)
        translation->conflicts++;
    cpu->windows.conflict = 0;
}

void window_forget_all(struct translator *t, struct cpu *cpu)
{
    struct translated_windows *windows = &cpu->windows;
    memset(windows->window, 0, t->window_count * sizeof *windows->window);
    memset(windows->patience, 0, t->window_count * sizeof *windows->patience);
    windows->open_count = windows->wanted = 0;
    windows->conflict = 0;
}
