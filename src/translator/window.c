/*
 * Windows: a place in hot code that accesses memory remembers the range of pages where
 * its last accesses were, and compares with that instead of looking into the TLB. The
 * address of the data does then not wait for the TLB's entry.
 *
 * A window is opened over what the TLB holds, and is shut with all others whenever
 * tlb_version changes; so it never allows what a look into the TLB would not have
 * allowed since. A place whose accesses are all over gives its window up.
 *
 * Windows are narrow at first where one access goes through: one page, and addresses that are a
 * multiple of the access's size. Code needs two loads for such a one, for a range three. Its
 * `low` is what these addresses become when all bits are set in which they may differ; 0 is no such
 * value. Where accesses are otherwise, the place gets a range when its translation is made anew.
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

/* Whether the current place is to have a narrow window. */
static bool is_narrow(const struct compile *c, unsigned number, unsigned bytes, unsigned alignment, unsigned how)
{
    return how & WINDOW_SINGLE && bytes <= 16 && !(bytes & (bytes - 1)) && (alignment == 1 || alignment == bytes)
           && !(c->translation->wide >> number & 1);
}

/* The bits that addresses of accesses through a narrow window may have set. */
static uint32_t narrow_bits(unsigned bytes)
{
    return PAGE_BYTES - bytes;
}

/* base + disp. */
static void emit_sum(struct emitter *e, unsigned reg, unsigned base, int32_t disp)
{
    if (disp)
        emit_lea(e, 8, reg, operand_memory(base, disp));
    else if (base != reg)
        emit_load(e, 8, reg, operand_register(base));
}

/* Leaves the address alone, or in SCRATCH. */
static void check_narrow(struct compile *c, struct window_miss *miss)
{
    struct emitter *e = &c->e;
    emit_sum(e, SCRATCH2, miss->base, miss->disp);
    emit_alu_constant(e, ALU_OR, 8, operand_register(SCRATCH2), (int32_t)narrow_bits(miss->bytes));
    emit_alu(e, ALU_CMP, 8, SCRATCH2, in_window(miss->window, offsetof(struct translated_window, low)));
    miss->from[0] = emit_jump_if(e, CONDITION_NE, NULL);
    emit_load(e, 8, SCRATCH2, in_window(miss->window, offsetof(struct translated_window, addend)));
    e->named |= 1u << SCRATCH; /* out of line */
}

/* Takes the address in SCRATCH, and leaves its distance from the window's beginning there. */
static void check_range(struct compile *c, struct window_miss *miss)
{
    struct emitter *e = &c->e;
    emit_alu(e, ALU_SUB, 8, SCRATCH, in_window(miss->window, offsetof(struct translated_window, low)));
    emit_alu(e, ALU_CMP, 8, SCRATCH, in_window(miss->window, offsetof(struct translated_window, limit)));
    miss->from[0] = emit_jump_if(e, CONDITION_AE, NULL);
    if (miss->alignment > 1) {
        emit_instruction(e, OP1(0xf7), 4, 0, operand_register(SCRATCH)); /* TEST */
        emit_bytes(e, miss->alignment - 1u, 4);
        miss->from[1] = emit_jump_if(e, CONDITION_NE, NULL);
    }
    emit_load(e, 8, SCRATCH2,
              in_window(miss->window, miss->how & WINDOW_ADDEND ? offsetof(struct translated_window, addend)
                                                                : offsetof(struct translated_window, host)));
}

bool window_check(struct compile *c, unsigned base, int32_t disp, unsigned bytes, unsigned alignment,
                  unsigned how, uint8_t **fails)
{
    struct translator *t = c->translator;
    struct emitter *e = &c->e;
    if (!c->windows || c->look_count == WINDOWS_OF_TRANSLATION || t->window_count == TRANSLATED_WINDOWS)
        return false;
    unsigned number = c->look_count++;
    if (c->translation->without >> number & 1)
        return false;
    unsigned window = t->window_count++;
    bool narrow = is_narrow(c, number, bytes, alignment, how);
    if (!narrow || !(how & WINDOW_ADDEND)) {
        emit_sum(e, SCRATCH, base, disp);
        base = SCRATCH;
        disp = 0;
    }
    t->windows[window] = (struct window_place){
        .translation = c->translation, .number = (uint8_t)number, .check = e->at, .bytes = (uint16_t)bytes,
        .index = (uint8_t)c->index, .write = how & WINDOW_WRITE, .narrow = narrow,
    };
    struct window_miss *miss = &c->misses[c->miss_count++];
    *miss = (struct window_miss){ .insn = (uint16_t)c->number, .window = (uint16_t)window, .fails = fails,
                                  .bytes = (uint16_t)bytes, .alignment = (uint8_t)alignment,
                                  .index = (uint8_t)c->index, .how = (uint8_t)how, .base = (uint8_t)base,
                                  .disp = disp };
    if (narrow)
        check_narrow(c, miss);
    else
        check_range(c, miss);
    *fails = miss->from[0];
    miss->resume = e->at;
    flags_clobbered(c);
    return true;
}

/* The TLB's tag of the page behind memory_check. */
static void load_tag(struct compile *c, const struct window_miss *miss)
{
    bool write = miss->how & WINDOW_WRITE;
    emit_load(&c->e, 8, SCRATCH, memory_in_tlb(c, write ? offsetof(struct tlb_entry, write_tag)
                                                        : offsetof(struct tlb_entry, read_tag)));
}

/* Behind memory_check of the address in translated.target: the narrow window becomes the page. */
static void take_page_narrow(struct compile *c, const struct window_miss *miss)
{
    struct emitter *e = &c->e;
    load_tag(c, miss);
    emit_alu_constant(e, ALU_OR, 8, operand_register(SCRATCH), (int32_t)narrow_bits(miss->bytes));
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, low)), SCRATCH);
    emit_store_constant(e, 8, in_window(miss->window, offsetof(struct translated_window, limit)), 1);
    emit_load(e, 8, SCRATCH2, memory_in_tlb(c, offsetof(struct tlb_entry, addend)));
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, addend)), SCRATCH2);
    emit_load(e, 8, SCRATCH, IN_VCPU(translated.target));
}

/* The same of another one; SCRATCH has the offset in the page. */
static void take_page(struct compile *c, const struct window_miss *miss)
{
    struct emitter *e = &c->e;
    emit_store(e, 8, IN_VCPU(translated.target), SCRATCH);
    load_tag(c, miss);
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, low)), SCRATCH);
    emit_store_constant(e, 8, in_window(miss->window, offsetof(struct translated_window, limit)),
                        (int32_t)(PAGE_BYTES + 1 - miss->bytes));
    emit_load(e, 8, SCRATCH, memory_in_tlb(c, offsetof(struct tlb_entry, addend)));
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, addend)), SCRATCH);
    memory_load_place(c, false);
    emit_store(e, 8, in_window(miss->window, offsetof(struct translated_window, host)), SCRATCH2);
    if (miss->how & WINDOW_ADDEND)
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
    if (!place->narrow)
        emit_alu(e, ALU_ADD, 8, SCRATCH, in_window(miss->window, offsetof(struct translated_window, low)));
    emit_alu_constant(e, ALU_SUB, 4, patience_of(miss->window), 1);
    uint8_t *over = emit_jump_if(e, CONDITION_S, NULL);
    place->plain = e->at;
    c->index = miss->index;
    emit_sum(e, SCRATCH, miss->base, miss->disp);
    if (place->narrow)
        emit_store(e, 8, IN_VCPU(translated.target), SCRATCH);
    *miss->fails = memory_check(c, SCRATCH, 0, miss->bytes, miss->how & WINDOW_WRITE, miss->alignment);
    if (place->narrow)
        take_page_narrow(c, miss);
    else
        take_page(c, miss);
    emit_jump(e, miss->resume);
    emit_patch(over, e->at);
    emit_sum(e, SCRATCH, miss->base, miss->disp);
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

/* It gets a range when the translation is made anew. */
static void widen(struct window_place *place)
{
    place->translation->wide |= 1ull << place->number;
    place->translation->stale = true;
    place->strikes = 0;
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
    uint64_t low = page, high = page + PAGE_BYTES, around = place->narrow ? 0 : PAGES_AROUND * PAGE_BYTES;
    while (page - low < around && low
           && fits(tlb, place, low - PAGE_BYTES, host - (uintptr_t)(page - low) - PAGE_BYTES))
        low -= PAGE_BYTES;
    while (high - page < around && high
           && fits(tlb, place, high, host + (uintptr_t)(high - page)))
        high += PAGE_BYTES;
    if (!window->limit)
        cpu->windows.open[cpu->windows.open_count++] = (uint16_t)number;
    window->low = low + (place->narrow ? narrow_bits(place->bytes) : 0);
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
    if (place->narrow && cpu->translated.target & (place->bytes - 1u))
        widen(place);
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
    if (place->strikes == STRIKES && place->narrow)
        widen(place);
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
