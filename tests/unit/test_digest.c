/* Digests: incremental RAM against the whole of it, payloads, the stream hash. */
#include "machine_bench.h"
#include "replay/digest.h"
#include "replay/page_hash.h"

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
static uint64_t total_of_all_pages(void)
{
    struct dirty all = {0};
    struct digest other;
    assert_int_equal(dirty_init(&all, &machine->memory), 0);
    assert_int_equal(digest_init(&other, machine, &all), 0);
    for (uint32_t page = 0; page < machine->memory.ram_pages; page++)
        dirty_add(&all.sets[DIRTY_DIGEST], page);
    digest_take(&other, 0);
    /* It took the machine's list: put that where it belongs. */
    for (uint32_t i = 0; i < all.sets[DIRTY_CHECKPOINT].count; i++)
        dirty_add(&dirty.sets[DIRTY_DIGEST], all.sets[DIRTY_CHECKPOINT].pages[i]);
    uint64_t total = other.total;
    digest_free(&other);
    dirty_free(&all);
    return total;
}

static void incremental_is_exact(void **state)
{
    (void)state;
    uint32_t seed = 5;
    for (unsigned i = 0; i < 60; i++) {
        bench_run(machine, 1 + number(&seed, 9000));
        uint64_t whole = total_of_all_pages();
        digest_take(&digest, 0);
        assert_int_equal(digest.total, whole);
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(incremental_is_exact, setup, teardown),
        cmocka_unit_test_setup_teardown(page_order_matters, setup, teardown),
        cmocka_unit_test_setup_teardown(every_component_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(payloads, setup, teardown),
        cmocka_unit_test(stream_hash_ignores_grouping),
        cmocka_unit_test(pages_hash_alike_on_all_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
