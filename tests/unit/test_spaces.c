/*
 * Address spaces: several PML4s or PML5s that share tables, two vCPUs that load
 * CR3 all the time, and writes to any table by anyone. Each access is compared
 * with a walk over a copy of the memory: what it reads and writes, whether it
 * faults, and which A and D bits it leaves. Nothing but CR3 is ever told.
 */
#include "cpu_bench.h"

#include "cpu/physmem.h"
#include "cpu/system.h"

#define FIRST 0x20000u /* the first of the pages below, in this order */
/* Two entries of each table are used. Of a top table, the first leads to a tree
 * of tables of its own, but that the last two share one; the second, in the
 * upper half, to one of two trees that all share. */
enum { TOPS = 4, TREES = 5, UPPER_TREE = 3, DATA_PAGES = 6, LEVELS_MOST = 5,
       PAGES_MOST = TOPS + TREES * 15 + DATA_PAGES };

struct world {
    struct cpu_bench *b;
    struct cpu *cpus[2];
    unsigned levels, nodes /* tables of a tree */, data /* first page of it */, pages;
    unsigned strange; /* one in so many entries leads anywhere */
    uint64_t seed;
    uint8_t copy[PAGES_MOST * PAGE_BYTES];
    unsigned accesses, faults, kept; /* kept: spaces entered with something in the TLB */
};

static uint32_t below(struct world *w, uint32_t n)
{
    w->seed ^= w->seed << 13;
    w->seed ^= w->seed >> 7;
    w->seed ^= w->seed << 17;
    return (uint32_t)(w->seed >> 20) % n;
}

/* Where the entries of a table are in it. */
static unsigned entry_index(unsigned page, unsigned number)
{
    return number ? page < TOPS ? 300 : 3 : 0;
}

/* The page that an entry leads to in the plan above. */
static unsigned planned(struct world *w, unsigned page, unsigned number)
{
    if (page < TOPS) {
        unsigned tree = number ? UPPER_TREE + (below(w, 8) == 0) : page == 3 ? 2 : page;
        return TOPS + tree * w->nodes;
    }
    unsigned node = (page - TOPS) % w->nodes, child = 2 * node + 1 + number;
    if (page < w->data && child < w->nodes)
        return page - node + child;
    return w->data + below(w, DATA_PAGES);
}

/* Every word is an entry, of tables and of data, so that any page can be any
 * table; bits that are ignored tell them apart. */
static uint64_t random_entry(struct world *w, unsigned page, unsigned number)
{
    unsigned to = below(w, w->strange) == 0 ? below(w, w->pages) : planned(w, page, number);
    uint64_t entry = FIRST + PAGE_BYTES * to;
    entry |= PTE_P | PTE_W | PTE_U | (uint64_t)below(w, 1u << 11) << 52;
    if (below(w, 16) == 0)
        entry ^= 1ull << below(w, 3);
    return entry | below(w, 4) << 5 | (below(w, 16) == 0 ? PTE_NX : 0);
}

static uint64_t random_linear(struct world *w)
{
    bool upper = below(w, 2);
    uint64_t linear = 8 * below(w, 512);
    for (unsigned level = 1; level < w->levels; level++)
        linear |= (uint64_t)entry_index(TOPS, below(w, 2)) << (12 + 9 * (level - 1));
    linear |= (uint64_t)entry_index(0, upper) << (12 + 9 * (w->levels - 1));
    unsigned unused = 64 - (12 + 9 * w->levels);
    return (uint64_t)((int64_t)(linear << unused) >> unused);
}

/* Writes by whoever does not use the vCPUs, and to the copy. */
static void put(struct world *w, unsigned page, unsigned offset, const void *bytes, unsigned length)
{
    memcpy(w->copy + page * PAGE_BYTES + offset, bytes, length);
    physmem_store(&w->b->memory, FIRST / PAGE_BYTES + page, offset, bytes, length);
}

static void change_entry(struct world *w)
{
    unsigned page = below(w, w->data), number = below(w, 2), offset = 8 * entry_index(page, number);
    uint64_t entry = load64(w->copy + page * PAGE_BYTES + offset);
    if (below(w, 2))
        entry = random_entry(w, page, number);
    else
        entry ^= 1ull << (below(w, 4) ? 5 + below(w, 2) : below(w, 3));
    put(w, page, offset, &entry, 8);
}

/* As kernels do for a new address space: the upper half of another one. */
static void copy_upper(struct world *w, unsigned from, unsigned to)
{
    uint8_t half[PAGE_BYTES / 2];
    memcpy(half, w->copy + from * PAGE_BYTES + sizeof half, sizeof half);
    put(w, to, sizeof half, half, sizeof half);
}

/* As when a table becomes an ordinary page, and one again: many writes that
 * change no entry in use. */
static void reuse(struct world *w, unsigned page)
{
    for (unsigned offset = 4; offset < 84; offset++)
        put(w, page, 8 * offset, &(uint64_t){ offset }, 8);
    for (unsigned number = 0; number < 2; number++)
        if (below(w, 2))
            put(w, page, 8 * entry_index(page, number), &(uint64_t){ random_entry(w, page, number) }, 8);
}

/* The model: 0, or the error code's P; *at is the place in the copy. */
enum { READ, WRITE, FETCH };
static bool walk(struct world *w, const struct cpu *cpu, uint64_t linear, unsigned kind, uint32_t *at)
{
    uint64_t table = cpu->s.cr3 - FIRST, entry = 0, user = PTE_U, writable = PTE_W, nx = 0;
    uint8_t *place[LEVELS_MOST + 1];
    for (unsigned level = w->levels; level > 0; level--) {
        place[level] = w->copy + table + (linear >> (12 + 9 * (level - 1)) & 511) * 8;
        entry = load64(place[level]);
        if (!(entry & PTE_P))
            return false;
        user &= entry;
        writable &= entry;
        nx |= entry & PTE_NX;
        if (level > 1)
            store64(place[level], entry | PTE_A);
        table = (entry & 0x000ffffffffff000ull) - FIRST;
    }
    if ((cpu->s.cpl == 3 && !user) || (kind == WRITE && !writable) || (kind == FETCH && nx))
        return false;
    /* The last entry may be one of those above it. */
    store64(place[1], load64(place[1]) | PTE_A | (kind == WRITE ? PTE_D : 0));
    *at = (uint32_t)(table + (linear & PAGE_MASK));
    return true;
}

static void check_access(struct world *w, struct cpu *cpu)
{
    uint64_t linear = random_linear(w), value = 0;
    unsigned kind = below(w, 3);
    uint32_t at = 0, page;
    cpu->s.cpl = below(w, 2) ? 3 : 0;
    cpu_update_privilege(cpu);
    bool works = walk(w, cpu, linear, kind, &at);
    if (works && kind == WRITE) {
        value = random_entry(w, at / PAGE_BYTES, below(w, 2));
        uint32_t to = (FIRST + at) / PAGE_BYTES;
        if (memory_fast_write(cpu, SEGMENT_FLAT, linear, 8))
            assert_int_equal(w->b->memory.flags[to], 0);
        store64(w->copy + at, value);
    }
    int fault = kind == READ    ? memory_read64(cpu, SEGMENT_FLAT, linear, &value)
                : kind == WRITE ? memory_write64(cpu, SEGMENT_FLAT, linear, value)
                                : mmu_fetch(cpu, linear, &page);
    assert_int_equal(fault, works ? 0 : CPU_FAULT);
    if (works && kind == READ)
        assert_int_equal(value, load64(w->copy + at));
    if (works && kind == WRITE)
        assert_false(w->b->memory.flags[(FIRST + at) / PAGE_BYTES] & PHYSMEM_CLEAN);
    if (works && kind == FETCH)
        assert_int_equal(page, (FIRST + at) / PAGE_BYTES);
    w->accesses++;
    w->faults += !works;
}

static bool holds_something(const struct cpu *cpu)
{
    for (unsigned k = 0; k < TLB_ENTRIES; k++)
        if (!(cpu->tlbs[MMU_USER].entry[k].read_tag & TLB_INVALID))
            return true;
    return false;
}

static void enter(struct world *w, struct cpu *cpu, unsigned top)
{
    (void)w;
    assert_int_equal(control_write_cr3(cpu, FIRST + PAGE_BYTES * top), 0);
}

static void some_accesses(struct world *w, struct cpu *cpu)
{
    for (unsigned i = 0; i < 8; i++)
        check_access(w, cpu);
}

/* What is kept of the upper half rests on a top table that no walk has read yet,
 * and on tables that only walks from another one have. */
static void enter_unknown(struct world *w, struct cpu *cpu)
{
    unsigned before = (unsigned)(cpu->s.cr3 - FIRST) / PAGE_BYTES, after = (before + 1) % TOPS;
    unsigned shared = TOPS + UPPER_TREE * w->nodes + below(w, w->nodes);
    reuse(w, shared);
    reuse(w, after);
    copy_upper(w, before, after);
    some_accesses(w, cpu);
    enter(w, cpu, after);
    unsigned page = below(w, 2) ? after : shared;
    put(w, page, 8 * entry_index(page, 1), &(uint64_t){ random_entry(w, page, 1) }, 8);
    some_accesses(w, cpu);
}

static void flag_data(struct world *w, bool set)
{
    for (unsigned i = 0; i < DATA_PAGES; i++) {
        uint32_t page = FIRST / PAGE_BYTES + w->data + i;
        if (set)
            physmem_flag(&w->b->memory, page, PHYSMEM_CODE);
        else
            w->b->memory.flags[page] &= (uint8_t)~PHYSMEM_CODE;
    }
}

/* Pages are flagged and no longer, behind the back of a space that is kept. */
static void flag_behind(struct world *w, struct cpu *cpu)
{
    unsigned before = (unsigned)(cpu->s.cr3 - FIRST) / PAGE_BYTES;
    some_accesses(w, cpu);
    enter(w, cpu, (before + 1) % TOPS);
    flag_data(w, true);
    flag_data(w, false);
    enter(w, cpu, before);
    flag_data(w, true);
    some_accesses(w, cpu);
    flag_data(w, false);
}

static void step(struct world *w)
{
    struct cpu *cpu = w->cpus[below(w, 2)];
    uint32_t what = below(w, 100), page = FIRST / PAGE_BYTES + w->data + below(w, DATA_PAGES);
    if (what < 12) {
        change_entry(w);
    } else if (what < 24) {
        enter(w, cpu, below(w, TOPS));
        w->kept += holds_something(cpu);
    } else if (what < 26) {
        copy_upper(w, below(w, TOPS), below(w, TOPS));
    } else if (what < 29) {
        reuse(w, below(w, 2) ? below(w, TOPS) : below(w, w->data));
    } else if (what < 32) {
        physmem_flag(&w->b->memory, page, PHYSMEM_CODE);
    } else if (what < 35) {
        w->b->memory.flags[page] &= (uint8_t)~PHYSMEM_CODE;
    } else if (what < 36) {
        enter_unknown(w, cpu);
    } else if (what < 37) {
        flag_behind(w, cpu);
    } else if (what < 38) {
        physmem_clean(&w->b->memory, below(w, w->b->memory.dirty_count + 1));
    } else {
        check_access(w, cpu);
    }
}

static void wander(struct cpu_bench *b, unsigned levels, unsigned strange, unsigned steps)
{
    static struct world world;
    struct world *w = &world;
    *w = (struct world){ .b = b, .levels = levels, .nodes = (1u << (levels - 1)) - 1,
                         .strange = strange, .seed = 0x9e3779b97f4a7c15 + levels };
    w->data = TOPS + TREES * w->nodes;
    w->pages = w->data + DATA_PAGES;
    w->cpus[0] = b->cpu;
    w->cpus[1] = cpu_allocate(sizeof *b->cpu);
    assert_non_null(w->cpus[1]);
    engine_add_cpu(b->engine, w->cpus[1]);
    for (unsigned i = 0; i < w->pages * PAGE_BYTES / 8; i++)
        store64(w->copy + 8 * i, random_entry(w, i / 512, i % 512 != 0));
    physmem_write(&b->memory, FIRST, w->copy, w->pages * PAGE_BYTES);
    bench_long(b, 0);
    b->cpu->s.cr0 |= CR0_PG | CR0_WP;
    b->cpu->s.efer |= EFER_NXE;
    b->cpu->s.cr4 = CR4_PAE | (levels == 5 ? CR4_LA57 : 0);
    b->cpu->s.cr3 = FIRST;
    w->cpus[1]->model = b->cpu->model;
    w->cpus[1]->bus = b->cpu->bus;
    w->cpus[1]->s = b->cpu->s;
    cpu_restored(w->cpus[0]);
    cpu_restored(w->cpus[1]);
    for (unsigned i = 0; i < steps; i++) {
        step(w);
        if (i % 16 == 0)
            assert_memory_equal(w->copy, b->memory.bytes + FIRST, w->pages * PAGE_BYTES);
    }
    print_message("%u levels: %u accesses, %u faults, %u spaces entered with something kept\n",
                  levels, w->accesses, w->faults, w->kept);
    assert_true(w->faults < w->accesses * 2 / 3 && w->kept > steps / 100);
    b->engine->cpu_count = 1;
    cpu_free(w->cpus[1], sizeof *b->cpu);
}

static void spaces_share_tables(void **state)
{
    unsigned steps = getenv("GROUNDHOG_LONG") ? 3000000 : 50000;
    for (unsigned levels = 4; levels <= 5; levels++) {
        wander(*state, levels, 1000000, steps);
        wander(*state, levels, 40, steps);
    }
}

static unsigned held(const struct cpu *cpu)
{
    unsigned count = 0;

    for (unsigned i = 0; i < TLB_ENTRIES; i++)
        count += !(cpu->tlbs[MMU_SUPERVISOR].entry[i].read_tag & TLB_INVALID);
    return count;
}

/* What of a space comes back, as far as there is room: entries and code pages; of
 * the spaces, those that were left last. */
static void spaces_come_back(void **state)
{
    static const unsigned sizes[] = { 1, 100, TLB_SPACE_ENTRIES - 1, TLB_SPACE_ENTRIES,
                                      TLB_SPACE_ENTRIES + 1, 1000 };
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    const unsigned top = 0x20000; /* and the pages behind it */

    bench_long(b, 0);
    bench_put(b, TABLES + 0x2008, 0x87, 8);
    for (unsigned i = 0; i < TLB_SPACES + 2; i++)
        bench_put(b, top + 0x1000 * i, (TABLES + 0x1000) | 7, 8);
    for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
        unsigned size = sizes[n], codes = size / 2;
        uint8_t byte;
        bench_long(b, 0);
        assert_int_equal(control_write_cr3(cpu, top), 0);
        for (unsigned i = 0; i < size; i++)
            assert_int_equal(memory_read8(cpu, DS, 0x1000 * i, &byte), 0);
        struct tlb *tlb = &cpu->tlbs[MMU_SUPERVISOR];
        for (unsigned i = 0; i < codes; i++) {
            tlb->code_linear[i] = 0x1000 * i;
            tlb->code_id[i] = i + 1;
        }
        assert_int_equal(held(cpu), size);
        assert_int_equal(control_write_cr3(cpu, top + 0x1000), 0);
        assert_int_equal(held(cpu), 0);
        for (unsigned i = 0; i < codes; i++)
            assert_true(tlb->code_linear[i] & TLB_INVALID && !tlb->code_id[i]);
        assert_int_equal(control_write_cr3(cpu, top), 0);
        assert_int_equal(held(cpu), size < TLB_SPACE_ENTRIES ? size : TLB_SPACE_ENTRIES);
        for (unsigned i = 0; i < codes; i++) {
            bool fits = i < TLB_SPACE_CODES;
            assert_int_equal(tlb->code_id[i], fits ? i + 1 : 0);
            assert_true(fits ? tlb->code_linear[i] == 0x1000 * i
                             : !!(tlb->code_linear[i] & TLB_INVALID));
        }
    }
    for (unsigned spaces = TLB_SPACES; spaces <= TLB_SPACES + 1; spaces++) {
        bench_long(b, 0);
        for (unsigned i = 0; i < 3 * spaces; i++) { /* in turn: all fit, or the next is gone */
            uint8_t byte;
            assert_int_equal(control_write_cr3(cpu, top + 0x1000 * (i % spaces)), 0);
            assert_int_equal(held(cpu), i >= spaces && spaces == TLB_SPACES);
            assert_int_equal(memory_read8(cpu, DS, 0x5000, &byte), 0);
        }
    }
}

/* Of the upper half only goes what another top table maps differently. */
static void what_is_shared_stays(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    const unsigned first = 0x20000, second = 0x21000;
    const uint64_t shared = 0xffff800000005000, other = 0xffff808000006000;
    uint8_t byte;

    bench_long(b, 0);
    for (unsigned at = 0; at < 0x2000; at += 0x1000) {
        bench_put(b, first + at, (TABLES + 0x1000) | 7, 8);
        bench_put(b, first + at + 8 * 256, (TABLES + 0x1000) | 0x27, 8);
    }
    bench_put(b, first + 8 * 257, (TABLES + 0x1000) | 7, 8);
    bench_put(b, second + 8 * 257, (TABLES + 0x1000) | 3, 8);
    assert_int_equal(control_write_cr3(cpu, first), 0);
    assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, shared, &byte), 0);
    assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, other, &byte), 0);
    assert_int_equal(held(cpu), 2);
    assert_int_equal(control_write_cr3(cpu, second), 0);
    assert_non_null(memory_fast_read(cpu, SEGMENT_FLAT, shared, 1));
    assert_null(memory_fast_read(cpu, SEGMENT_FLAT, other, 1));
}

/* What is kept of a space goes when its own tables change, and not with another's. */
static void a_space_loses_its_own(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    uint8_t byte;

    bench_long(b, 0);
    for (unsigned n = 0; n < 3; n++) {
        unsigned top = 0x20000 + 0x4000 * n;
        for (unsigned level = 0; level < 3; level++)
            bench_put(b, top + 0x1000 * level, (top + 0x1000 * (level + 1)) | 7, 8);
        for (unsigned i = 0; i < 512; i++)
            bench_put(b, top + 0x3000 + 8 * i, i << 12 | 7, 8);
        assert_int_equal(control_write_cr3(cpu, top), 0);
        assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, 0x5000, &byte), 0);
    }
    bench_put(b, 0x23000 + 8 * 5, 0x6007, 8); /* of the first */
    assert_int_equal(held(cpu), 1);
    assert_int_equal(control_write_cr3(cpu, 0x24000), 0);
    assert_int_equal(held(cpu), 1);
    assert_int_equal(control_write_cr3(cpu, 0x20000), 0);
    assert_int_equal(held(cpu), 0);
}

/* An entry of a directory takes what it maps with it, to the page, and no more. */
static void a_space_loses_a_span(void **state)
{
    static const uint32_t reads[] = { 0x0, 0x1ff000, 0x200000, 0x23f000, 0x240000, 0x3ff000, 0x400000,
                                      0x5ff000 };
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    const unsigned top = 0x20000;
    uint8_t byte;

    bench_long(b, 0);
    for (unsigned entry = 0; entry < 3; entry++) {
        for (unsigned level = 0; level < 2; level++)
            bench_put(b, top + 0x1000 * level, (top + 0x1000 * (level + 1)) | 7, 8);
        for (unsigned i = 0; i < 3; i++)
            bench_put(b, top + 0x2000 + 8 * i, (top + 0x3000 + 0x1000 * i) | 7, 8);
        for (unsigned i = 0; i < 3 * 512; i++)
            bench_put(b, top + 0x3000 + 8 * i, (i % 512 ^ 1) << 12 | 7, 8);
        assert_int_equal(control_write_cr3(cpu, top), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
            assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, reads[i], &byte), 0);
        assert_int_equal(control_write_cr3(cpu, TABLES), 0);
        for (unsigned i = 0; i < 2; i++) { /* the slots are used in between */
            assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, reads[i], &byte), 0);
            assert_true(cpu->tlb->host[tlb_slot(reads[i])]
                        == (uintptr_t)physmem_host(&b->memory, reads[i] >> 12));
        }
        bench_put(b, top + 0x2000 + 8 * entry, 0, 8);
        assert_int_equal(control_write_cr3(cpu, top), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(reads); i++) {
            const void *host = memory_fast_read(cpu, SEGMENT_FLAT, reads[i], 1);
            if ((host != NULL) != (reads[i] >> 21 != entry))
                fail_msg("%x with entry %u", reads[i], entry);
            if (!host)
                continue;
            const uint8_t *page = physmem_host(&b->memory, (reads[i] >> 12 & 0x1ff) ^ 1);
            assert_ptr_equal(host, page);
            assert_true(cpu->tlb->host[tlb_slot(reads[i])] == (uintptr_t)page);
        }
        /* What came back can go like anything else. */
        unsigned other = (entry + 1) % 3;
        bench_put(b, top + 0x2000 + 8 * other, 0, 8);
        for (unsigned i = 0; i < ARRAY_SIZE(reads); i++)
            assert_int_equal(memory_fast_read(cpu, SEGMENT_FLAT, reads[i], 1) != NULL,
                             reads[i] >> 21 != entry && reads[i] >> 21 != other);
    }
}

/* A table of 32-bit paging in two places: a change of either entry of 8 bytes is seen. */
static void small_tables_in_two_places(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    const uint32_t top = 0x20000, table = 0x21000;
    uint8_t byte;

    for (unsigned n = 0; n < 2 * 2; n++) {
        unsigned entry = 5 + (n & 1), alone = n >> 1;
        cpu_reset(cpu);
        bench_protected(b, 0);
        bench_put(b, 0x5000, 0x11, 1);
        bench_put(b, 0x6000, 0x22, 1);
        bench_put(b, top, table | 7, 4);
        bench_put(b, top + 4, table | 7, 4);
        for (unsigned i = 0; i < 16; i++)
            bench_put(b, table + 4 * i, i == entry || !alone ? 0x5007 : 0, 4);
        cpu->s.cr3 = top;
        cpu->s.cr0 |= CR0_PG;
        cpu_restored(cpu);
        for (unsigned place = 0; place < 2; place++) {
            assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, place << 22 | entry << 12, &byte), 0);
            assert_int_equal(byte, 0x11);
        }
        bench_put(b, table + 4 * entry, 0x6007, 4);
        for (unsigned place = 0; place < 2; place++) {
            assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, place << 22 | entry << 12, &byte), 0);
            assert_int_equal(byte, 0x22);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { BENCH_TEST(spaces_share_tables),
                                       BENCH_TEST(spaces_come_back),
                                       BENCH_TEST(what_is_shared_stays),
                                       BENCH_TEST(a_space_loses_its_own),
                                       BENCH_TEST(a_space_loses_a_span),
                                       BENCH_TEST(small_tables_in_two_places) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
