/* Digests: incremental RAM against the whole of it, payloads, the stream hash. */
#include "machine_bench.h"
#include "replay/digest.h"
#include "replay/page_hash.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

static struct description description;
static struct machine *machine;
static struct dirty dirty;
static struct digest digest;

static int setup(void **state)
{
    (void)state;
    bench_describe(&description, bench_guest, sizeof bench_guest);
    machine = bench_machine(&description);
    return dirty_init(&dirty, &machine->memory) | digest_init(&digest, machine, &dirty);
}

static int teardown(void **state)
{
    (void)state;
    digest_free(&digest);
    dirty_free(&dirty);
    machine_destroy(machine);
    return 0;
}

/* A second opinion: every page is read anew. */
static uint64_t all_pages(void)
{
    uint64_t sum = 0;
    for (uint32_t page = 0; page < machine->memory.ram_pages; page++)
        sum += page_hash(physmem_host(&machine->memory, page), page);
    return sum;
}

static void incremental_is_exact(void **state)
{
    (void)state;
    uint32_t seed = 5;
    for (unsigned i = 0; i < 60; i++) {
        bench_run(machine, 1 + number(&seed, 9000));
        digest_take(&digest, 0);
        assert_int_equal(digest.ram, all_pages());
    }
    assert_true(machine->memory.dirty_count > 0); /* some are not looked at any more */
}

static bool is_clean(uint32_t page)
{
    return machine->memory.flags[page] & PHYSMEM_CLEAN;
}

/* The first write of an interval to `page`, if it is written; then the interval ends. */
static bool interval(uint32_t page, bool written)
{
    const struct dirty_set *set = &dirty.sets[DIRTY_CHECKPOINT];
    bool named = false;
    if (written)
        physmem_write(&machine->memory, (uint64_t)page << PAGE_SHIFT, "x", 1);
    dirty_collect(&dirty, DIRTY_DIGEST);
    for (uint32_t i = 0; i < set->count; i++)
        named |= set->pages[i] == page;
    dirty_clear(&dirty.sets[DIRTY_CHECKPOINT]);
    return named;
}

/* A page is looked at less and less often while it is always written, and no longer taken
 * for written after the next look. */
static void habits(void **state)
{
    static const uint8_t looks[] = { 0, 1, 2, 5, 10, 19, 36, 53 };
    enum { PAGE = 64, OTHER = 65, HABIT = 60 };

    (void)state;
    unsigned next = 0;
    dirty_collect(&dirty, DIRTY_DIGEST);
    for (unsigned i = 0; i < HABIT; i++) {
        assert_int_equal(is_clean(PAGE), next < sizeof looks && looks[next] == i);
        next += is_clean(PAGE);
        assert_true(is_clean(OTHER)); /* every other interval is no habit */
        if (i % 2)
            physmem_write(&machine->memory, OTHER << PAGE_SHIFT, "x", 1);
        assert_true(interval(PAGE, true));
        dirty_collect(&dirty, DIRTY_CHECKPOINT); /* ends no interval */
        dirty_clear(&dirty.sets[DIRTY_CHECKPOINT]);
    }
    assert_int_equal(next, sizeof looks);
    for (unsigned i = HABIT; i < 70; i++) { /* until the last look and its 16 intervals are over */
        assert_false(is_clean(PAGE));
        assert_true(interval(PAGE, false));
    }
    assert_true(is_clean(PAGE));
    assert_false(interval(PAGE, false));
    assert_true(interval(PAGE, true) && is_clean(PAGE));
}

static void page_order_matters(void **state)
{
    (void)state;
    uint8_t page[PAGE_BYTES] = {1};
    digest_take(&digest, 0);
    uint64_t zero = digest.ram;
    physmem_write(&machine->memory, 0x40000, page, sizeof page);
    digest_take(&digest, 0);
    uint64_t first = digest.ram;
    page[0] = 0;
    physmem_write(&machine->memory, 0x40000, page, sizeof page);
    digest_take(&digest, 0);
    assert_int_equal(digest.ram, zero);
    page[0] = 1;
    physmem_write(&machine->memory, 0x41000, page, sizeof page);
    digest_take(&digest, 0);
    assert_true(digest.ram != zero && digest.ram != first);
}

static void every_component_counts(void **state)
{
    (void)state;
    digest_take(&digest, 0);
    struct digest before = digest;
    for (uint32_t i = 0; i < machine->components.count; i++) {
        struct component *component = &machine->components.list[i];
        if (component->prepare) /* it would be brought up to date again */
            continue;
        uint8_t *last = (uint8_t *)component->state + component->size - 1;
        *last ^= 1;
        digest_take(&digest, 0);
        for (uint32_t k = 0; k < digest.count; k++)
            assert_true((digest.hashes[k] != before.hashes[k]) == (k == i));
        assert_true(digest.total != before.total);
        *last ^= 1;
    }
    digest_take(&digest, 1);
    assert_string_equal(digest_component(&digest, digest.count - 1), "output");
    assert_string_equal(digest_component(&digest, digest.count - 2), "ram");
    assert_true(digest.hashes[digest.count - 1] != before.hashes[digest.count - 1]);
    assert_true(digest.total != before.total);
}

static void payloads(void **state)
{
    (void)state;
    struct digest_table told = {0}, heard = {0};
    uint8_t payload[DIGEST_PAYLOAD];
    for (unsigned i = 0; i < 20; i++) {
        bench_run(machine, 2000);
        digest_take(&digest, i);
        uint32_t length = digest_encode(&digest, &told, payload);
        for (uint32_t cut = 0; cut < length; cut++) {
            struct digest_table scratch = heard;
            assert_false(digest_decode(&scratch, digest.count, payload, cut));
        }
        struct digest_table scratch = heard;
        assert_false(digest_decode(&scratch, digest.count + 1, payload, length));
        assert_true(digest_decode(&heard, digest.count, payload, length));
        assert_memory_equal(&heard, &told, sizeof heard);
        assert_int_equal(heard.total, digest.total);
        for (uint32_t k = 0; k < digest.count; k++)
            assert_int_equal(heard.low[k], (uint32_t)digest.hashes[k]);
        assert_true(i == 0 || length < 8 + 2 + 32 + 4 * digest.count / 2);
    }
}

static void stream_hash_ignores_grouping(void **state)
{
    (void)state;
    const uint8_t text[] = "one two";
    uint64_t whole = digest_output(0, 1, text, 7);
    uint64_t parts = digest_output(digest_output(0, 1, text, 3), 1, text + 3, 4);
    assert_int_equal(whole, parts);
    assert_true(whole != digest_output(0, 2, text, 7));
    assert_true(digest_output(0, 0, text, 0) == 0);
}

/* The trace's hash is one function, whatever the host computes it with. */
static void pages_hash_alike_on_all_hosts(void **state)
{
    static uint8_t page[PAGE_BYTES];

    (void)state;
    assert_true(page_hash(page, 7) == 0);
    page[PAGE_BYTES - 1] = 1;
    assert_true(page_hash(page, 0) == 0xe63ccb54e516f0a4);
    for (uint32_t i = 0; i < 1000; i++) {
        page[i * 2654435761u >> 20] = (uint8_t)(i * 37);
        uint64_t wanted = page_hash_any_host(page, i + 1);
        assert_true(page_hash(page, i) == wanted);
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2"))
            assert_true(page_hash_avx2(page, i + 1) == wanted);
#endif
    }
}

/* The upper halves of the host's YMM registers are as new behind it (XGETBV with ECX = 1 tells): while
 * they are in use, some hosts run translated SSE code at a third of its speed. */
static void hashing_leaves_no_upper_halves(void **state)
{
    (void)state;
#ifdef __x86_64__
    static const uint8_t page[PAGE_BYTES] = { 1 };
    unsigned eax = 0, ebx, ecx, edx, high;
    if (!__builtin_cpu_supports("avx2") || !__get_cpuid_count(0xd, 1, &eax, &ebx, &ecx, &edx) || !(eax & 4))
        skip();
    page_hash_avx2(page, 1);
    __asm__ volatile("xgetbv" : "=a"(eax), "=d"(high) : "c"(1));
    assert_false(eax & 4);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(incremental_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(habits, setup, teardown),
        cmocka_unit_test_setup_teardown(page_order_matters, setup, teardown),
        cmocka_unit_test_setup_teardown(every_component_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(payloads, setup, teardown),
        cmocka_unit_test(stream_hash_ignores_grouping),
        cmocka_unit_test(pages_hash_alike_on_all_hosts),
        cmocka_unit_test(hashing_leaves_no_upper_halves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
