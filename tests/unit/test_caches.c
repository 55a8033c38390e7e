/*
 * What is kept of walks and decoded code is no guest's business, but its speed:
 * that it is kept at all, and goes when it must. test_spaces.c has the address
 * spaces.
 */
#include "cpu_bench.h"

#include "cpu/system.h"

#define PLACE 0x14000u
#define CODE 0x18000u

static bool reads(struct cpu_bench *b, uint64_t at)
{
    return memory_fast_read(b->cpu, SEGMENT_FLAT, at, 8) != NULL;
}
static bool writes(struct cpu_bench *b, uint64_t at)
{
    return memory_fast_write(b->cpu, SEGMENT_FLAT, at, 8) != NULL;
}

/* Translated code takes an address for one of the entry's page if the two differ in the
 * lower 12 bits only: a tag that is not the page's must be of another slot. */
static void assert_slots(const struct tlb *tlb)
{
    for (unsigned k = 0; k < TLB_ENTRIES; k++) {
        const uint64_t tags[] = { tlb->entry[k].read_tag, tlb->entry[k].write_tag };
        for (unsigned i = 0; i < 2; i++)
            assert_true((tlb_slot(tags[i]) == k) == !(tags[i] & (TLB_INVALID | TLB_TRACKED)));
    }
}

static void assert_empty(const struct cpu_bench *b)
{
    for (unsigned i = 0; i < MMU_INDEX_COUNT; i++) {
        const struct tlb *tlb = &b->cpu->tlbs[i];
        assert_int_equal(tlb->empty, 1);
        assert_slots(tlb);
        for (unsigned k = 0; k < TLB_ENTRIES / 64; k++)
            assert_true(tlb->used[0][k] == 0 && tlb->used[1][k] == 0);
        for (unsigned k = 0; k < TLB_ENTRIES; k++)
            assert_true(tlb_linear(&tlb->entry[k]) & TLB_INVALID
                        && tlb->code_linear[k] & TLB_INVALID);
    }
}

static void accesses_are_fast_the_second_time(void **state)
{
    struct cpu_bench *b = *state;
    uint64_t value;

    bench_long(b, 0);
    assert_empty(b);
    assert_false(reads(b, PLACE));
    assert_int_equal(memory_read64(b->cpu, SEGMENT_FLAT, PLACE, &value), 0);
    assert_true(reads(b, PLACE));
    assert_true(reads(b, PLACE + 0xff8));
    assert_false(reads(b, PLACE + 0xff9)); /* goes on in the next page */
    assert_false(reads(b, PLACE + 0x1000));
    assert_int_equal(b->cpu->tlbs[MMU_SUPERVISOR].empty, 0);
    assert_false(writes(b, PLACE)); /* D is not set yet */
    assert_int_equal(memory_write64(b->cpu, SEGMENT_FLAT, PLACE + 8, 5), 0);
    assert_true(writes(b, PLACE));
    assert_false(writes(b, PLACE + 0xffc));
    b->cpu->s.rflags |= FLAG_AC; /* another TLB */
    cpu_update_privilege(b->cpu);
    assert_false(reads(b, PLACE));
    b->cpu->s.rflags &= ~FLAG_AC;
    cpu_update_privilege(b->cpu);
    assert_true(reads(b, PLACE));
    uint64_t version = b->cpu->tlb_version;
    mmu_flush_page(b->cpu, PLACE + 0x1fff);
    assert_true(reads(b, PLACE));
    mmu_flush_page(b->cpu, PLACE + 0xfff);
    assert_false(reads(b, PLACE));
    assert_true(b->cpu->tlb_version > version);
    assert_int_equal(system_read(b->cpu, PLACE + 1, &value, 8), 0);
    assert_true(reads(b, PLACE));
    mmu_flush(b->cpu);
    assert_empty(b);
}

/* A table that walks no longer read is an ordinary page again. */
static void tables_are_forgotten(void **state)
{
    struct cpu_bench *b = *state;
    uint64_t value;
    const unsigned page = (TABLES + 0x2000) >> 12;

    bench_long(b, 0);
    assert_int_equal(memory_read64(b->cpu, SEGMENT_FLAT, PLACE, &value), 0);
    assert_int_equal(b->engine->tables[page].level, 2);
    assert_true(b->memory.flags[page] & PHYSMEM_TABLE);
    for (unsigned i = 0; i < 63; i++)
        bench_put(b, TABLES + 0x2ff8, 0x5550 + 16 * i, 8); /* not present */
    assert_true(b->memory.flags[page] & PHYSMEM_TABLE);
    assert_true(reads(b, PLACE));
    bench_put(b, TABLES + 0x2ff8, 0, 8);
    assert_false(b->memory.flags[page] & PHYSMEM_TABLE);
    assert_int_equal(b->engine->tables[page].level, 0);
    assert_false(reads(b, PLACE)); /* nothing rests on it any longer */
    assert_int_equal(memory_read64(b->cpu, SEGMENT_FLAT, PLACE, &value), 0);
    assert_int_equal(b->engine->tables[page].level, 2); /* in one place, as before */
    for (unsigned i = 0; i < 100; i++) { /* each change that drops something counts anew */
        bench_put(b, TABLES + 0x2ff8, 0x20 | (i & 1), 8);
        assert_true(b->memory.flags[page] & PHYSMEM_TABLE);
    }
}

static void run_at(struct cpu_bench *b, uint64_t rip, unsigned count)
{
    b->cpu->s.gpr[RIP] = rip;
    bench_run(b, count);
    assert_int_equal(b->cpu->s.gpr[RIP], rip + count);
}

/* Blocks go when their own lines are written, and not else. */
static void code_is_decoded_once(void **state)
{
    struct cpu_bench *b = *state;
    char code[256];
    const uint64_t *decoded = &b->engine->blocks_decoded;

    memset(code, 0x90, sizeof code);
    bench_long(b, 0);
    bench_code(b, CODE, code, sizeof code);
    run_at(b, CODE, 20);
    uint64_t before = *decoded;
    run_at(b, CODE, 20);
    run_at(b, CODE, 10);
    assert_int_equal(*decoded, before);
    run_at(b, CODE + 10, 10); /* another block of the same bytes */
    assert_int_equal(*decoded, before + 1);
    assert_false(writes(b, CODE));
    unsigned lines = 0;
    for (unsigned i = 0; i < 64; i++)
        lines += b->engine->young.page_lines[CODE >> 12] >> i & 1;
    bench_put(b, CODE + 64 * lines, 0x90, 1); /* behind the last line with code */
    bench_put(b, CODE + 0xfff, 0x90, 1);
    run_at(b, CODE, 20);
    assert_int_equal(*decoded, before + 1);
    bench_put(b, CODE + 64 * lines - 1, 0x90, 1);
    assert_int_equal(b->engine->young.page_lines[CODE >> 12], 0);
    assert_false(b->memory.flags[CODE >> 12] & PHYSMEM_CODE);
    run_at(b, CODE, 20);
    assert_true(*decoded > before + 1);
    before = *decoded;
    uint64_t flushes = b->engine->cache_flushes;
    engine_flush_blocks(b->engine);
    assert_int_equal(b->engine->young.used, 0);
    assert_int_equal(b->engine->cache_flushes, flushes + 1);
    assert_int_equal(b->engine->young.page_lines[CODE >> 12], 0);
    assert_null(b->engine->young.page_blocks[CODE >> 12]);
    run_at(b, CODE, 20);
    assert_int_equal(*decoded, before + 1);
    assert_true(b->engine->young.used > 0 && b->engine->young.used % 64 == 0);
}

/* An instruction across a page border belongs to both pages, and is looked up
 * where its second one is now. */
static void crossing_code_belongs_to_both_pages(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    const uint64_t at = CODE + 0xffe;

    bench_long(b, 0);
    bench_put(b, TABLES + 0x2000, (TABLES + 0x3000) | 7, 8);
    for (unsigned i = 0; i < 512; i++)
        bench_put(b, TABLES + 0x3000 + 8 * i, i << 12 | 7, 8);
    bench_code(b, at, "\xb8\x11\x22\x33\x44", 5); /* MOV $44332211, %eax */
    bench_put(b, 0x30000, 0x887766, 8);
    for (unsigned turn = 0; turn < 3; turn++) {
        s->gpr[RIP] = at;
        bench_run(b, 1);
        assert_int_equal(s->gpr[RAX], 0x44332211);
    }
    assert_int_equal(b->engine->young.page_lines[(CODE >> 12) + 1], 1);
    assert_int_equal(b->engine->young.page_lines[CODE >> 12], 1ull << 63);
    bench_put(b, CODE + 0x1002, 0x55, 1); /* the last byte of it */
    s->gpr[RIP] = at;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RAX], 0x55332211);
    bench_put(b, TABLES + 0x3000 + 8 * ((CODE >> 12) + 1), 0x30007, 8); /* elsewhere */
    s->gpr[RIP] = at;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RAX], 0x88776611);
    bench_put(b, 0x30002, 0x99, 1);
    s->gpr[RIP] = at;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RAX], 0x99776611);
    bench_put(b, TABLES + 0x3000 + 8 * ((CODE >> 12) + 1), 0x30006, 8); /* nowhere */
    bench_gate64(b, VECTOR_PF, CODE64, 0x9000, 0, 0x8e);
    s->gpr[RIP] = at;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(s->cr2, CODE + 0x1000);
    assert_int_equal(bench_get(b, s->gpr[RSP] + 8, 8), at);
}

/* Only what lies in the page's entry is looked at: another page is put there. */
static void entries_are_used(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;

    for (unsigned user = 0; user < 2; user++) {
        uint64_t value = 0;
        unsigned cpl = user ? 3 : 0;
        struct tlb_entry *entry = &cpu->tlbs[user ? MMU_USER : MMU_SUPERVISOR].entry[tlb_slot(PLACE)];
        bench_long(b, cpl);
        bench_put(b, PLACE + 0xff8, 0x1111, 8);
        bench_put(b, PLACE + 0x1ff8, 0x2222, 8);
        bench_put(b, PLACE + 0x1000, 0x33, 8);
        assert_int_equal(memory_write8(cpu, SEGMENT_FLAT, PLACE, 1), 0);
        entry->addend += PAGE_BYTES;
        assert_int_equal(memory_read64(cpu, SEGMENT_FLAT, PLACE + 0xff8, &value), 0);
        assert_int_equal(value, 0x2222);
        value = 0;
        assert_int_equal(system_read_as(cpu, cpl, PLACE + 0xff8, &value, 8), 0);
        assert_int_equal(value, 0x2222);
        assert_int_equal(system_read(cpu, PLACE + 0xff8, &value, 8), 0);
        assert_int_equal(value, user ? 0x1111 : 0x2222); /* the processor's own */
        value = 0x4444;
        assert_int_equal(system_write_as(cpu, cpl, PLACE + 0xff8, &value, 8), 0);
        assert_int_equal(bench_get(b, PLACE + 0xff8, 8), 0x1111);
        assert_int_equal(bench_get(b, PLACE + 0x1ff8, 8), 0x4444);
        assert_int_equal(memory_write64(cpu, SEGMENT_FLAT, PLACE + 0xff8, 0x5555), 0);
        assert_int_equal(bench_get(b, PLACE + 0x1ff8, 8), 0x5555);
        entry->addend -= PAGE_BYTES;
        value = 0; /* across the border it is the pages' own business */
        assert_int_equal(system_read_as(cpu, cpl, PLACE + 0xff9, &value, 8), 0);
        assert_int_equal(value, 0x33ull << 56 | 0x11);
    }
}

/* A segment's last bytes are as near as its first. */
static void limits_do_not_slow_down(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_protected(b, 0);
    s->seg[DS].limit = PLACE + 0x7ff;
    cpu_restored(b->cpu);
    assert_int_equal(memory_write8(b->cpu, DS, PLACE, 1), 0);
    for (unsigned bytes = 1; bytes <= 16; bytes *= 2) {
        uint64_t last = PLACE + 0x800 - bytes;
        assert_non_null(memory_fast_read(b->cpu, DS, last, bytes));
        assert_non_null(memory_fast_write(b->cpu, DS, last, bytes));
        assert_null(memory_fast_read(b->cpu, DS, last + 1, bytes));
        assert_null(memory_fast_write(b->cpu, DS, last + 1, bytes));
        assert_non_null(memory_fast_read(b->cpu, ES, PLACE + 0x1000 - bytes, bytes));
        assert_null(memory_fast_read(b->cpu, ES, PLACE + 0x1001 - bytes, bytes));
    }
}

/* A page with tracking is looked at before each write, until it has none. */
static void tracking_ends(void **state)
{
    struct cpu_bench *b = *state;
    const unsigned page = PLACE >> 12;

    bench_long(b, 0);
    physmem_clean(&b->memory, 0);
    assert_int_equal(memory_write8(b->cpu, SEGMENT_FLAT, PLACE, 1), 0);
    assert_true(writes(b, PLACE)); /* no longer CLEAN */
    uint64_t walks = b->engine->walks;
    physmem_clean(&b->memory, 0); /* what is known of the page stays */
    assert_true(reads(b, PLACE));
    assert_false(writes(b, PLACE));
    assert_int_equal(memory_write8(b->cpu, SEGMENT_FLAT, PLACE, 1), 0);
    assert_true(writes(b, PLACE));
    assert_int_equal(b->engine->walks, walks);
    assert_int_equal(b->memory.dirty_count, 1);
    physmem_flag(&b->memory, page, PHYSMEM_CODE);
    assert_false(writes(b, PLACE));
    assert_true(reads(b, PLACE));
    b->engine->young.page_lines[page] = 1;
    assert_int_equal(memory_write8(b->cpu, SEGMENT_FLAT, PLACE + 64, 1), 0); /* not in that line */
    assert_false(writes(b, PLACE));
    assert_int_equal(memory_write8(b->cpu, SEGMENT_FLAT, PLACE + 63, 1), 0);
    assert_true(writes(b, PLACE));
}

/* Across a border of pages nothing is walked again, and tracking is what it is inside one. */
static void known_pages_are_not_walked(void **state)
{
    struct cpu_bench *b = *state;
    const uint64_t at = PLACE + 0xffd;
    const unsigned page = PLACE >> 12;
    uint64_t value = 0;

    bench_long(b, 0);
    bench_put(b, at, 0x1122334455667788, 8);
    assert_int_equal(memory_write8(b->cpu, SEGMENT_FLAT, PLACE, 1), 0);
    assert_int_equal(memory_read64(b->cpu, SEGMENT_FLAT, at, &value), 0);
    assert_int_equal(value, 0x1122334455667788);
    assert_int_equal(memory_write64(b->cpu, SEGMENT_FLAT, at, 0x99aabbccddeeff00), 0);
    uint64_t walks = b->engine->walks;
    physmem_clean(&b->memory, 0);
    assert_int_equal(memory_read64(b->cpu, SEGMENT_FLAT, at, &value), 0);
    assert_int_equal(value, 0x99aabbccddeeff00);
    assert_false(writes(b, PLACE) || writes(b, PLACE + 0x1000));
    assert_int_equal(memory_write64(b->cpu, SEGMENT_FLAT, at, 0x0123456789abcdef), 0);
    assert_int_equal(bench_get(b, at, 8), 0x0123456789abcdef);
    assert_int_equal(b->memory.dirty_count, 2);
    assert_int_equal(b->memory.dirty[0], page);
    assert_int_equal(b->memory.dirty[1], page + 1);
    assert_true(writes(b, PLACE) && writes(b, PLACE + 0x1000));
    physmem_flag(&b->memory, page + 1, PHYSMEM_CODE);
    b->engine->young.page_lines[page + 1] = 1;
    assert_int_equal(memory_write64(b->cpu, SEGMENT_FLAT, at, 5), 0); /* to its first line */
    assert_int_equal(bench_get(b, at, 8), 5);
    assert_int_equal(b->memory.flags[page + 1], 0);
    assert_int_equal(b->engine->walks, walks);
}

/* A block knows the two that ran last behind it. */
static void blocks_know_their_successors(void **state)
{
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    /* 1: dec %ecx; jz 3f; 2: jmp 1b; 3: jmp 1b */
    bench_code(b, CODE, "\xff\xc9\x74\x02\xeb\xfa\xeb\xf8", 8);
    b->cpu->s.gpr[RCX] = 2;
    b->cpu->s.gpr[RIP] = CODE;
    bench_run(b, 3);
    const struct block *head = bench_block(b, CODE), *two = bench_block(b, CODE + 4);
    assert_ptr_equal(head->successor[0], two);
    assert_ptr_equal(head->successor[1], &b->engine->none);
    assert_int_equal(b->cpu->s.gpr[RIP], CODE);
    bench_run(b, 3);
    bench_run(b, 3);
    const struct block *three = bench_block(b, CODE + 6);
    assert_ptr_equal(head->successor[0], three);
    assert_ptr_equal(head->successor[1], two);
    assert_ptr_equal(engine_find_block(b->engine, head->key), head);
    bench_put(b, CODE, 0x9090, 2);
    assert_null(bench_block(b, CODE));
    assert_null(bench_block(b, CODE + 4));
}

/* A page's lines of 64 bytes: those with code, exactly. */
static void lines_have_code(void **state)
{
    static const struct { unsigned at, to; } cases[] = { /* NOPs, then JMP: 2 bytes */
        { 0, 0 }, { 0x3e, 0x3e }, { 0x3f, 0x3f }, { 0x100, 0x13d }, { 0x100, 0x13f }, { 0x140, 0x17e },
        { 0xfc0, 0xffe }, { 0xfff - 40, 0xffd },
    };
    struct cpu_bench *b = *state;
    const unsigned page = CODE >> 12;

    bench_long(b, 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        unsigned first = cases[i].at / 64, last = (cases[i].to + 1) / 64;
        engine_flush_blocks(b->engine);
        for (unsigned at = 0; at < PAGE_BYTES; at++)
            bench_put(b, CODE + at, 0x90, 1);
        bench_put(b, CODE + cases[i].to, 0xfeeb, 2);
        b->cpu->s.gpr[RIP] = CODE + cases[i].at;
        bench_run(b, 64);
        uint64_t want = 0;
        for (unsigned line = first; line <= last; line++)
            want |= 1ull << line;
        assert_true(b->engine->young.page_lines[page] == want);
        if (first)
            bench_put(b, CODE + 64 * first - 1, 0x90, 1);
        if (last < 63)
            bench_put(b, CODE + 64 * last + 64, 0x90, 1);
        assert_true(b->engine->young.page_lines[page] == want);
        bench_put(b, CODE + 64 * (i & 1 ? first : last) + 5, 0x90, 1);
        assert_true(b->engine->young.page_lines[page] == 0);
    }
}

/* What is dropped of a TLB: all of a span, in every slot, and nothing else. */
static void spans_are_dropped(void **state)
{
    static struct tlb before, tlb;
    uint64_t seed = 1, half = 1ull << 63;

    (void)state;
    for (unsigned n = 0; n < 3000; n++) {
        memset(&tlb, 0xff, offsetof(struct tlb, used));
        memset(tlb.used, 0, sizeof tlb.used);
        for (unsigned i = 0; i < TLB_ENTRIES; i++)
            tlb_make_invalid(&tlb.entry[i], i);
        uint64_t base = n & 1 ? half : 0;
        for (unsigned i = 0; i < 60; i++) {
            seed = seed * 6364136223846793005ull + 1442695040888963407ull;
            uint64_t page = (seed >> 30 & (i & 3 ? 0x1fff : 0xfffffff)) << 12 | (seed & 8 ? base ^ half : base);
            struct tlb_entry *entry = &tlb.entry[tlb_slot(page)];
            tlb_make_invalid(entry, tlb_slot(page));
            if (seed >> 60 & 1)
                entry->read_tag = page;
            else if (seed >> 61 & 1)
                entry->exec_tag = page;
            else
                entry->write_tag = tlb_tracked(page);
            if (seed >> 62 & 1) {
                tlb.code_linear[tlb_slot(page)] = page;
                tlb.code_id[tlb_slot(page)] = i;
            }
            tlb_use(&tlb, page);
        }
        before = tlb;
        uint64_t span = 1ull << (12 + n % 30), from = base | (seed >> 20 & 0x3ffffff000 & ~(span - 1));
        tlb_drop_span(&tlb, from, span);
        assert_slots(&tlb);
        for (unsigned i = 0; i < TLB_ENTRIES; i++) {
            bool goes = tlb_linear(&before.entry[i]) - from < span;
            struct tlb_entry none = before.entry[i];
            none.read_tag = none.write_tag = none.exec_tag = tlb_no_tag((unsigned)i);
            assert_memory_equal(&tlb.entry[i], goes ? &none : &before.entry[i], sizeof none);
            bool code = before.code_linear[i] - from < span;
            assert_true(tlb.code_linear[i] == (code ? TLB_INVALID : before.code_linear[i]));
            assert_int_equal(tlb.code_id[i], code ? 0 : before.code_id[i]);
        }
    }
}

/* The second access of a kind does not walk: an A bit that is cleared behind the
 * TLB's back would be set again. */
static void walks_are_not_repeated(void **state)
{
    enum { READ, WRITE, FETCH, SYSTEM_READ, WRITE_AS, READ_AS, TRACKED_WRITE, MODIFY,
           KINDS };
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;

    for (unsigned n = 0; n < KINDS * 2; n++) {
        unsigned kind = n / 2, cpl = n & 1 ? 3 : 0;
        uint8_t *entry = physmem_host(&b->memory, (TABLES + 0x2000) >> 12);
        bench_long(b, cpl);
        if (kind == TRACKED_WRITE) {
            assert_int_equal(memory_write8(cpu, SEGMENT_FLAT, PLACE, 1), 0);
            physmem_flag(&b->memory, PLACE >> 12, PHYSMEM_CODE);
            b->engine->young.page_lines[PLACE >> 12] = 1;
        }
        for (unsigned turn = 0; turn < 2; turn++) {
            uint8_t byte = 0;
            uint32_t page = 0, word;
            struct memory_modify modify;
            switch (kind) {
            case READ: memory_read8(cpu, SEGMENT_FLAT, PLACE + 64, &byte); break;
            case WRITE: case TRACKED_WRITE: memory_write8(cpu, SEGMENT_FLAT, PLACE + 64, 1); break;
            case FETCH: mmu_fetch(cpu, PLACE, &page); break;
            case SYSTEM_READ: memory_system_read(cpu, PLACE, &byte, 1); break;
            case WRITE_AS: system_write_as(cpu, cpl, PLACE + 64, &byte, 1); break;
            case READ_AS: system_read_as(cpu, cpl, PLACE, &byte, 1); break;
            case MODIFY: memory_modify32(cpu, SEGMENT_FLAT, PLACE + 64, &modify, &word); break;
            default: break;
            }
            if (kind == FETCH)
                assert_int_equal(page, PLACE >> 12);
            if (turn == 0) {
                assert_true(entry[0] & 0x20);
                entry[0] &= (uint8_t)~0x20;
            } else if (entry[0] & 0x20) {
                fail_msg("kind %u at privilege %u walks again", kind, cpl);
            }
        }
        entry[0] = 0x87;
    }
}

/* Two pages of one half in one slot do not walk in turns; what gave way is dropped with
 * the tables that it rests on, and by a flush, and its page may have got a tracking flag
 * meanwhile. What gave way in the lower half does not outlast the address space. */
static void pages_of_a_slot_are_kept(void **state)
{
    enum { OTHER_TOP = 0x60000 };
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    uint8_t byte;

    bench_long(b, 0);
    for (unsigned n = 0; n < 10; n++) {
        unsigned half = n & 1, turn = n >> 1;
        uint64_t one = half ? 0xffff800000005000 : 0x7f8000005000, other = one + ((uint64_t)TLB_ENTRIES << PAGE_SHIFT);
        uint32_t pdpt = OTHER_TOP + 0x1000 + 0x2000 * half, pd = pdpt + 0x1000;
        bench_put(b, TABLES + 8 * (255 + half), pdpt | 0x27, 8);
        bench_put(b, OTHER_TOP + 8 * (255 + half), pdpt | 0x27, 8);
        bench_put(b, pdpt, pd | 7, 8);
        bench_put(b, pd, 0x87, 8);
        bench_put(b, pd + 8 * 4, 0x87, 8);
        assert_int_equal(memory_write8(cpu, SEGMENT_FLAT, one, 1), 0);
        assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, other, &byte), 0);
        if (turn == 1)
            bench_put(b, pd, 0x87, 8); /* its D bit goes */
        if (turn == 2)
            mmu_flush(cpu);
        if (turn == 3) {
            tlb_enter_space(cpu, OTHER_TOP >> PAGE_SHIFT);
            tlb_enter_space(cpu, TABLES >> PAGE_SHIFT);
        }
        if (turn == 4)
            physmem_flag(&b->memory, one >> 12 & 0xff, PHYSMEM_CODE);
        unsigned again = turn == 1 ? 1 : turn == 2 || (turn == 3 && !half) ? 2 : 0;
        uint64_t walks = b->engine->walks;
        assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, one, &byte), 0);
        assert_int_equal(b->engine->walks - walks, again != 0);
        assert_int_equal(writes(b, one), turn != 1 && turn != 4);
        assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, other, &byte), 0);
        assert_int_equal(b->engine->walks - walks, again);
    }
}

/* MOV CR0 that turns caches off loads the four pointers anew. */
static void pointers_are_followed(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    uint8_t byte;

    bench_protected(b, 0);
    bench_put(b, 0x20000, 0x21001, 8);
    bench_put(b, 0x21000, 0x83, 8);
    bench_put(b, 0x22000, 0x23003, 8);
    bench_put(b, 0x23000 + 8 * 5, 0x25003, 8);
    bench_put(b, 0x5000, 0x11, 1);
    bench_put(b, 0x25000, 0x22, 1);
    cpu->s.cr3 = 0x20000;
    cpu->s.cr4 = CR4_PAE;
    cpu->s.cr0 |= CR0_PG;
    cpu->s.pdpte[0] = 0x21001;
    cpu_restored(cpu);
    bench_put(b, 0x20000, 0x22001, 8);
    for (unsigned n = 0; n < 2; n++) {
        assert_int_equal(memory_read8(cpu, SEGMENT_FLAT, 0x5000, &byte), 0);
        assert_int_equal(byte, n ? 0x22 : 0x11);
        assert_int_equal(control_write_cr0(cpu, cpu->s.cr0 ^ CR0_CD), 0);
    }
}

/* Blocks are spread over the hash table, so that they are found at once. */
static void blocks_are_spread(void **state)
{
    struct cpu_bench *b = *state;
    unsigned used = 0;

    bench_long(b, 0);
    for (unsigned i = 0; i < 500; i++) {
        bench_put(b, 0x20000 + 0x123 * i, 0x90, 1);
        run_at(b, 0x20000 + 0x123 * i, 1);
    }
    for (unsigned i = 0; i < ENGINE_BUCKETS; i++)
        used += b->engine->young.buckets[i] != NULL;
    assert_in_range(used, 480, 500);
}

/* More blocks than the hash table has chains: those behind others of their chain are
 * found and taken out, too. */
static void blocks_share_chains(void **state)
{
    enum { FIRST = 0x100000, PAGES = 160, BLOCKS = PAGES * PAGE_BYTES / 8 };
    struct cpu_bench *b = *state;
    uint64_t before = b->engine->blocks_decoded;

    bench_long(b, 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        bench_put(b, FIRST + 8 * i, 0x06eb, 2); /* jmp to the next */
    b->cpu->s.gpr[RIP] = FIRST;
    bench_run(b, BLOCKS);
    assert_int_equal(b->engine->blocks_decoded - before, BLOCKS);
    for (unsigned page = 0; page < PAGES; page += 2)
        bench_put(b, FIRST + page * PAGE_BYTES, 0x06eb, 2);
    b->cpu->s.gpr[RIP] = FIRST;
    for (unsigned i = 0; i < BLOCKS; i++)
        cpu_run(b->cpu, 1); /* each is looked for in the table */
    assert_int_equal(b->engine->blocks_decoded - before, BLOCKS + BLOCKS / 2);
    assert_int_equal(b->cpu->s.gpr[RIP], FIRST + 8 * BLOCKS);
}

/* Code where no memory is: #UD, be it all of an instruction or its second page. */
static void devices_have_no_code(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 0);
    bench_put(b, TABLES + 0x2008, 0x200087, 8);
    bench_gate64(b, VECTOR_UD, CODE64, 0x9000, 0, 0x8e);
    bench_code(b, 0x1ffffe, "\x90\xb8", 2);
    s->gpr[RIP] = 0x200010;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(bench_get(b, s->gpr[RSP], 8), 0x200010);
    s->gpr[RIP] = 0x1ffffe;
    bench_run(b, 2);
    assert_int_equal(s->gpr[RIP], 0x9000);
    assert_int_equal(bench_get(b, s->gpr[RSP], 8), 0x1fffff);
}

/* From 64-bit code to 64-bit code only the privilege changes. */
static void modes_are_kept(void **state)
{
    struct cpu_bench *b = *state;
    struct segment code;

    bench_long(b, 0);
    uint64_t version = b->cpu->mode_version;
    bench_segment(b, &code, CODE64_3);
    segment_enter_code(b->cpu, &code, 3);
    assert_true(b->cpu->mode_version == version);
    assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[MMU_USER]);
    bench_segment(b, &code, CODE3);
    segment_enter_code(b->cpu, &code, 3);
    assert_true(b->cpu->mode_version != version);
    assert_int_equal(b->cpu->code_bytes, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(accesses_are_fast_the_second_time),
        BENCH_TEST(entries_are_used),
        BENCH_TEST(limits_do_not_slow_down),
        BENCH_TEST(tracking_ends),
        BENCH_TEST(known_pages_are_not_walked),
        BENCH_TEST(blocks_know_their_successors),
        BENCH_TEST(lines_have_code),
        BENCH_TEST(walks_are_not_repeated),
        BENCH_TEST(modes_are_kept),
        cmocka_unit_test(spans_are_dropped),
        BENCH_TEST(pages_of_a_slot_are_kept),
        BENCH_TEST(pointers_are_followed),
        BENCH_TEST(blocks_are_spread), BENCH_TEST(blocks_share_chains),
        BENCH_TEST(devices_have_no_code),
        BENCH_TEST(tables_are_forgotten),
        BENCH_TEST(code_is_decoded_once),
        BENCH_TEST(crossing_code_belongs_to_both_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
