/*
 * The interpreter's side of the silicon test: one vCPU at CPL 3 in long mode,
 * with the code page and the data pages at the same linear addresses as in the
 * host's child. Handlers are called directly; blocks are not involved.
 */
#include "silicon.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/memory.h"
#include "cpu/opcode.h"
#include "cpu/translated.h"
#include "translator/translator.h"

/* Physical pages. */
enum { PAGE_PML4 = 1, PAGE_PDPT, PAGE_PD, PAGE_CODE_PT, PAGE_DATA_PT, PAGE_CODE, PAGE_DATA,
       PAGE_TSS = PAGE_DATA + DATA_PAGES };

#define PTE_USER 7ull /* present, writable, user */
#define USER_SEGMENT (SEGMENT_P | SEGMENT_S | SEGMENT_ACCESSED | 3 << SEGMENT_DPL_SHIFT)
#define CODE_ATTRIBUTES (USER_SEGMENT | SEGMENT_CODE | SEGMENT_READABLE)
#define DATA_ATTRIBUTES (USER_SEGMENT | SEGMENT_WRITABLE)

static struct physmem memory;
static struct cpu_model model;
static struct engine *engine;
static struct cpu *cpu;
static unsigned cases;
static uint64_t translations; /* cases that ran translated */

static void entry_set(unsigned table, unsigned index, uint64_t value)
{
    store64(physmem_host(&memory, table) + 8 * index, value);
}

static void make_tables(void)
{
    entry_set(PAGE_PML4, 0, PAGE_PDPT << 12 | PTE_USER);
    entry_set(PAGE_PDPT, 0, PAGE_PD << 12 | PTE_USER);
    /* The TSS: the first 2 MiB are the supervisor's. */
    entry_set(PAGE_PD, 0, 0x83);
    store16(physmem_host(&memory, PAGE_TSS) + 0x66, 0x68); /* no I/O bitmap */
    entry_set(PAGE_PD, CODE_PAGE >> 21, PAGE_CODE_PT << 12 | PTE_USER);
    entry_set(PAGE_PD, DATA_START >> 21, PAGE_DATA_PT << 12 | PTE_USER);
    entry_set(PAGE_CODE_PT, CODE_PAGE >> 12 & 511, PAGE_CODE << 12 | 5);
    for (unsigned i = 0; i < DATA_PAGES; i++)
        entry_set(PAGE_DATA_PT, (DATA_START >> 12 & 511) + i,
                  (PAGE_DATA + i) << 12 | PTE_USER | 1ull << 63);
}

static uint64_t bus_nothing(void *context, struct cpu *on, uint16_t port, unsigned bytes)
{
    (void)context, (void)on, (void)port, (void)bytes;
    return ~0ull;
}
static uint64_t bus_random(void *context, struct cpu *on)
{
    (void)context, (void)on;
    return 0;
}
static void bus_notice(void *context, struct cpu *on, const char *text)
{
    (void)context, (void)on, (void)text;
}

void guest_open(void)
{
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        if (host_has_feature(i))
            model.features[i / 64] |= 1ull << (i % 64);
    memcpy(model.vendor, host_is_amd() ? "AuthenticAMD" : "GenuineIntel", 13);
    model.physical_bits = 40;
    model.linear_bits = 48;
    model.cpu_count = 1;
    if (physmem_init(&memory, 1 << 20, 4096, 0xc0000000)) {
        fprintf(stderr, "no memory\n");
        exit(2);
    }
    engine = engine_create(&memory, &model);
    cpu = cpu_allocate(sizeof *cpu);
    if (!engine || !cpu)
        exit(2);
    cpu->model = &model;
    cpu->bus.port_read = bus_nothing;
    cpu->bus.notice = bus_notice;
    cpu->bus.random = bus_random;
    engine_add_cpu(engine, cpu);
    cpu_reset(cpu);
    make_tables();
    for (unsigned i = 0; i < 256; i++)
        physmem_map_low(&memory, i, i, i);
    physmem_remapped(&memory);
    cpu->s.cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_NE | CR0_MP | CR0_ET;
    cpu->s.cr3 = PAGE_PML4 << 12;
    cpu->s.cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE | CR4_PGE;
    cpu->s.xcr0 = 7;
    cpu->s.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    cpu->s.cpl = 3;
    cpu->s.tr = (struct segment){ PAGE_TSS << 12, 0x67, 0x40, SEGMENT_P | 11 };
}

static struct segment chosen_segment(const struct segment_choice *choice, unsigned index)
{
    uint16_t attributes = USER_SEGMENT | (choice->read_only ? 0 : SEGMENT_WRITABLE)
                          | (choice->down ? SEGMENT_EXPAND_DOWN : 0) | (choice->wide ? SEGMENT_DB : 0);
    if (choice->null)
        return (struct segment){ 0, 0, 0, 0 };
    if (index == CHOICE_FLAT)
        return (struct segment){ 0, 0xffffffff, 0x2b, DATA_ATTRIBUTES | SEGMENT_DB | SEGMENT_G };
    return (struct segment){ choice->base, choice->limit, (uint16_t)(index << 3 | 7), attributes };
}

static void set_mode(const struct test_case *test)
{
    struct segment *seg = cpu->s.seg;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        seg[i] = chosen_segment(&segment_choices[test->segment[i]], test->segment[i]);
    if (test->code_bytes == 8) {
        seg[CS] = (struct segment){ 0, 0xffffffff, 0x33, CODE_ATTRIBUTES | SEGMENT_L | SEGMENT_G };
        seg[GS] = (struct segment){ GS_BASE64, 0, 0, 0 };
    } else if (test->code_bytes == 4)
        seg[CS] = (struct segment){ 0, 0xffffffff, 0x23, CODE_ATTRIBUTES | SEGMENT_DB | SEGMENT_G };
    else
        seg[CS] = (struct segment){ CODE_PAGE, 0xffff, 0x07, CODE_ATTRIBUTES };
}

/* x87 registers and tags between FXSAVE's order and the physical one. */
static void load_fx(const struct fx_image *fx)
{
    struct cpu_state *s = &cpu->s;
    unsigned top = fx->fsw >> 11 & 7;
    s->fcw = fx->fcw;
    s->fsw = fx->fsw;
    s->mxcsr = fx->mxcsr;
    s->fop = fx->fop;
    s->fip = fx->fip;
    s->fdp = fx->fdp;
    s->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned physical = (top + i) & 7;
        const uint8_t *bytes = fx->st[i].bytes;
        uint64_t significand = load64(bytes);
        unsigned exponent = load16(bytes + 8) & 0x7fff, tag = 0;
        s->x87[physical].significand = significand;
        s->x87[physical].sign_exponent = load16(bytes + 8);
        if (!(fx->ftw >> physical & 1))
            tag = 3;
        else if (exponent == 0 && significand == 0)
            tag = 1;
        else if (exponent == 0 || exponent == 0x7fff || !(significand >> 63))
            tag = 2;
        s->ftw |= (uint16_t)(tag << 2 * physical);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(s->vector[i], fx->xmm[i], 16);
}

static void load_ymm(const struct machine_state *state)
{
    for (unsigned i = 0; i < 16; i++)
        memcpy(cpu->s.vector[i] + 16, state->ymm_high[i], 16);
}

static void store_ymm(struct machine_state *state)
{
    for (unsigned i = 0; i < 16; i++)
        memcpy(state->ymm_high[i], cpu->s.vector[i] + 16, 16);
}

static void store_fx(struct fx_image *fx)
{
    const struct cpu_state *s = &cpu->s;
    unsigned top = s->fsw >> 11 & 7;
    memset(fx, 0, sizeof *fx);
    fx->fcw = s->fcw;
    fx->fsw = s->fsw;
    fx->mxcsr = s->mxcsr;
    fx->fop = s->fop;
    fx->fip = s->fip;
    fx->fdp = s->fdp;
    for (unsigned i = 0; i < 8; i++) {
        unsigned physical = (top + i) & 7;
        store64(fx->st[i].bytes, s->x87[physical].significand);
        store16(fx->st[i].bytes + 8, s->x87[physical].sign_exponent);
        if ((s->ftw >> 2 * physical & 3) != 3)
            fx->ftw |= (uint8_t)(1 << physical);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(fx->xmm[i], s->vector[i], 16);
}

const struct insn *guest_decode(const struct test_case *test)
{
    static struct insn insn;
    decode(&engine->decoder, test->code_bytes, test->bytes, sizeof test->bytes, 0, &insn);
    return &insn;
}

const struct opcode_row *row_of(const struct insn *insn)
{
    static const struct opcode_row undefined = { .name = "(undefined)" };
    return insn->row == ROW_INVALID ? &undefined : &opcode_rows[insn->row];
}

bool row_has_image(const struct opcode_row *row)
{
    return !strncmp(row->name, "XSAVE", 5) || !strncmp(row->name, "XRSTOR", 6);
}

/* Runs the instruction once, or all iterations of a repeated one. */
static int run(const struct insn *insn)
{
    uint64_t start = cpu->s.gpr[RIP];
    bool repeated = insn->attributes & STRING && insn->prefixes & (PREFIX_REP | PREFIX_REPNE);
    do {
        cpu->current = cpu->block_start = insn;
        cpu->block_end = insn + 1;
        cpu->block_count = 1;
        cpu->attention = false;
        cpu->remaining = (int64_t)(cases & 15);
        if (insn->handler(cpu, insn))
            return CPU_FAULT;
    } while (repeated && cpu->s.gpr[RIP] == start);
    if (!(insn->attributes & SETS_RIP))
        cpu->s.gpr[RIP] = (start + insn->end) & cpu->rip_mask;
    return 0;
}

/* The host's side, which is forked, is not to find memory where there is none. */
static void hide_cache(void *context, const struct translated_block *block)
{
    static bool hidden;
    (void)context;
    if (!hidden)
        madvise((void *)(uintptr_t)block->cache, (size_t)(block->cache_end - block->cache), MADV_DONTFORK);
    hidden = true;
}

bool guest_translate(void)
{
    struct translator *translator = translator_available() ? translator_create(engine, 8 << 20, 1) : NULL;
    return translator && translator_watch(translator, &(struct translated_watch){ NULL, hide_cache }) == 0;
}

uint64_t guest_translations(void)
{
    return translations;
}

/* The same as translated code, behind an instruction that makes CF what it is (so
 * that flags are live in the host's). -1: it cannot be translated. */
static int run_translated(const struct test_case *test)
{
    const size_t bytes = sizeof(struct block) + 2 * sizeof(struct insn), room = (bytes + 63) & ~(size_t)63;
    struct block *block = (struct block *)(void *)engine->old.arena; /* among those that need not move */
    uint64_t start = cpu->s.gpr[RIP];
    bool leads = cases & 1;
    uint8_t lead = cpu->s.rflags & FLAG_CF ? 0xf9 : 0xf8; /* STC, CLC */
    memset(block, 0, bytes);
    if (leads) /* not in memory, where the case may look at it */
        decode(&engine->decoder, test->code_bytes, &lead, 1, 0, &block->insns[0]);
    decode(&engine->decoder, test->code_bytes, test->bytes, sizeof test->bytes, leads, &block->insns[leads]);
    *block = (struct block){ .key = block_key(PAGE_CODE, start - leads, test->code_bytes), .page = PAGE_CODE,
                             .second_page = PHYSMEM_MMIO, .count = (uint8_t)(1 + leads),
                             .bytes = (uint16_t)(test->length + leads),
                             .successor = { &engine->none, &engine->none } }; /* keeps insns */
    cpu->s.gpr[RIP] = start - leads;
    cpu->attention = false;
    for (;;) {
        if (engine->old.used < room)
            engine->old.used = room;
        cpu->budget = cpu->remaining = block->count;
        uint64_t at = cpu->s.gpr[RIP];
        switch (engine->translator.run(engine->translator.context, cpu, block)) {
        case TRANSLATED_NOT: cpu->s.gpr[RIP] = start; return -1;
        case TRANSLATED_FAULT: translations++; return CPU_FAULT;
        case TRANSLATED_RAN: break;
        }
        if (cpu->s.gpr[RIP] == at && cpu->remaining == block->count) {
            block->translation = NULL; /* the cache was full */
            continue;
        }
        translations++;
        if (cpu->s.gpr[RIP] != start || !(block->insns[leads].attributes & STRING))
            return 0;
        return run(guest_decode(test)); /* iterations that are left: the handler's */
    }
}

void guest_set(const struct test_case *test)
{
    const struct machine_state *before = &test->before;
    memcpy(cpu->s.gpr, before->gpr, sizeof before->gpr);
    cpu->s.gpr[RIP] = before->rip;
    cpu->s.rflags = before->rflags | FLAG_1 | FLAG_IF;
    load_fx(&before->fx);
    load_ymm(before);
    memset(physmem_host(&memory, PAGE_CODE), 0xcc, 4096);
    memcpy(physmem_host(&memory, PAGE_CODE) + 4096 - test->length, test->bytes, test->length);
    memcpy(physmem_host(&memory, PAGE_DATA), before->data, DATA_BYTES);
    set_mode(test);
    flags_from_rflags(cpu, cpu->s.rflags);
    cpu_update_mode(cpu);
}

struct cpu *guest_cpu(void)
{
    return cpu;
}

const uint8_t *guest_data(void)
{
    return physmem_host(&memory, PAGE_DATA);
}

void guest_write_code(unsigned offset, const uint8_t *bytes, unsigned length)
{
    physmem_write(&memory, (uint64_t)PAGE_CODE << 12 | offset, bytes, length);
}

void guest_run(const struct test_case *test, struct outcome *outcome)
{
    struct machine_state *after = &outcome->after;
    static struct insn insn;
    insn = *guest_decode(test);
    guest_set(test);
    if (++cases % 3 == 0)
        mmu_flush(cpu);

    int fault = engine->translator.context ? run_translated(test) : -1;
    if (fault < 0)
        fault = run(&insn);
    memset(outcome, 0, offsetof(struct outcome, after));
    outcome->ran = true;
    outcome->vector = fault ? cpu->exception.vector : VECTOR_NONE;
    outcome->error = cpu->exception.error;
    outcome->address = fault ? cpu->exception.address : 0;
    memcpy(after->gpr, cpu->s.gpr, sizeof after->gpr);
    after->rip = cpu->s.gpr[RIP];
    after->rflags = flags_to_rflags(cpu);
    store_fx(&after->fx);
    store_ymm(after);
    memcpy(after->data, physmem_host(&memory, PAGE_DATA), DATA_BYTES);
}
