/* The 8254, by its ports and its outputs. Times are in ticks of its clock. */
#include "chip_bench.h"

#include "machine/dev/pit.h"
#include "machine/dev/port61.h"

struct fixture {
    struct bench bench;
    struct pit pit;
    struct port61 port61;
};

static uint64_t ns_of(uint64_t tick)
{
    return clock_ticks_to_ns(tick, PIT_HZ);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    bench_init(&f->bench);
    pit_init(&f->pit, &f->bench.clock, &f->bench.events, bench_line(&f->bench, 0));
    port61_init(&f->port61, &f->bench.clock, &f->pit);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void out(struct fixture *f, unsigned offset, unsigned value)
{
    pit_write(&f->pit, offset, value, 1);
}

static unsigned in(struct fixture *f, unsigned offset)
{
    return (unsigned)pit_read(&f->pit, offset, 1);
}

/* Control word: mode, both bytes, binary; then the count. */
static void program(struct fixture *f, unsigned counter, unsigned mode, unsigned count)
{
    out(f, 3, counter << 6 | 0x30 | mode << 1);
    out(f, counter, count & 0xff);
    out(f, counter, count >> 8 & 0xff);
}

static unsigned count_of(struct fixture *f, unsigned counter)
{
    out(f, 3, counter << 6);
    unsigned low = in(f, counter);
    return low | in(f, counter) << 8;
}

static unsigned status_of(struct fixture *f, unsigned counter)
{
    out(f, 3, 0xe0 | 2u << counter);
    return in(f, counter);
}

/* OUT of counter 2 as text, one character a tick, from tick `from`. */
static void trace(struct fixture *f, uint64_t from, const char *expected)
{
    for (unsigned i = 0; expected[i]; i++) {
        bench_to(&f->bench, ns_of(from + i));
        if (pit_output(&f->pit, 2) != (expected[i] == '-'))
            fail_msg("tick %u of %s", i, expected);
    }
}

static void mode_0(void **state)
{
    struct fixture *f = *state;
    pit_set_gate(&f->pit, 2, true);
    bench_to(&f->bench, ns_of(100));
    program(f, 2, 0, 4);
    /* Written in tick 100, loaded at 101, OUT high N + 1 after the write. */
    trace(f, 100, "_____-----");
    assert_int_equal(count_of(f, 2), 0x10000 - 4);
    /* The first byte of a new count stops it and takes OUT low. */
    out(f, 2, 8);
    trace(f, 110, "___");
    out(f, 2, 0);
    trace(f, 112, "_____");
    pit_set_gate(&f->pit, 2, false); /* in tick 116, with 4 gone */
    trace(f, 120, "______");
    assert_int_equal(count_of(f, 2), 5);
    pit_set_gate(&f->pit, 2, true); /* tick 125 */
    trace(f, 125, "_____---");
}

static void mode_1(void **state)
{
    struct fixture *f = *state;
    program(f, 2, 1, 3);
    trace(f, 10, "---");
    assert_int_equal(status_of(f, 2), 0x80 | 0x40 | 0x32);
    pit_set_gate(&f->pit, 2, true); /* tick 12 */
    trace(f, 12, "-___--");
    assert_int_equal(status_of(f, 2), 0x80 | 0x32);
    pit_set_gate(&f->pit, 2, false);
    pit_set_gate(&f->pit, 2, true); /* tick 17 */
    trace(f, 17, "-__");
    pit_set_gate(&f->pit, 2, false);
    pit_set_gate(&f->pit, 2, true); /* again, in tick 19 */
    trace(f, 19, "____--");
    program(f, 2, 1, 2); /* waits for its trigger */
    trace(f, 25, "-----");
}

static void mode_2(void **state)
{
    struct fixture *f = *state;
    pit_set_gate(&f->pit, 2, true);
    program(f, 2, 2, 3);
    trace(f, 0, "---_--_--_");
    assert_int_equal(count_of(f, 2), 1);
    /* A new count takes over at the period's end. */
    trace(f, 10, "-");
    out(f, 2, 5);
    out(f, 2, 0);
    assert_int_equal(status_of(f, 2) & 0x40, 0x40);
    trace(f, 11, "-_----_----_-");
    assert_int_equal(status_of(f, 2) & 0x40, 0);
    pit_set_gate(&f->pit, 2, false);
    trace(f, 24, "---------");
    pit_set_gate(&f->pit, 2, true); /* tick 32: reloads at 33 */
    trace(f, 32, "-----_----_");
}

static void mode_3(void **state)
{
    struct fixture *f = *state;
    pit_set_gate(&f->pit, 2, true);
    program(f, 2, 3, 4);
    trace(f, 0, "---__--__--__");
    bench_to(&f->bench, ns_of(13));
    assert_int_equal(count_of(f, 2), 4);
    bench_to(&f->bench, ns_of(14));
    assert_int_equal(count_of(f, 2), 2);
    program(f, 2, 3, 5); /* odd: high one tick longer; written in tick 14 */
    trace(f, 14, "----__---__---");
    bench_to(&f->bench, ns_of(27)); /* 27 = 15 + 2*5 + 2 */
    assert_int_equal(count_of(f, 2), 0);
    /* A new count takes over at the half period's end: low half at 28. */
    out(f, 2, 8);
    out(f, 2, 0);
    trace(f, 27, "-____----____");
}

static void mode_4_and_5(void **state)
{
    struct fixture *f = *state;
    pit_set_gate(&f->pit, 2, true);
    program(f, 2, 4, 3);
    trace(f, 0, "----_-----");
    pit_set_gate(&f->pit, 2, false);
    bench_to(&f->bench, ns_of(20));
    program(f, 2, 5, 2);
    trace(f, 20, "-----");
    pit_set_gate(&f->pit, 2, true); /* tick 24 */
    trace(f, 24, "---_---");
}

static void access_modes(void **state)
{
    struct fixture *f = *state;
    out(f, 3, 0x90 | 0x04); /* counter 2: low byte, mode 2 */
    out(f, 2, 0x80);
    pit_set_gate(&f->pit, 2, true);
    bench_to(&f->bench, ns_of(1 + 16));
    assert_int_equal(in(f, 2), 0x80 - 16);
    assert_int_equal(in(f, 2), 0x80 - 16);
    out(f, 3, 0xa0 | 0x04); /* high byte */
    out(f, 2, 0x12);
    bench_to(&f->bench, ns_of(18 + 1));
    assert_int_equal(in(f, 2), 0x11);
    /* BCD counts in tens; 0 is 10000. */
    out(f, 3, 0xb0 | 0x05);
    out(f, 2, 0);
    out(f, 2, 0);
    bench_to(&f->bench, ns_of(20 + 1));
    assert_int_equal(in(f, 2), 0x99);
    assert_int_equal(in(f, 2), 0x99);
    bench_to(&f->bench, ns_of(20 + 10000 - 20));
    assert_int_equal(in(f, 2), 0x20);
    assert_int_equal(in(f, 2), 0x00);
}

static void latches(void **state)
{
    struct fixture *f = *state;
    program(f, 0, 2, 1000);
    program(f, 1, 2, 2000);
    bench_to(&f->bench, ns_of(101));
    out(f, 3, 0xc6); /* read back count and status of 0 and 1 */
    bench_to(&f->bench, ns_of(201));
    out(f, 3, 0xc6); /* ignored: not read yet */
    assert_int_equal(in(f, 1), 0xb4);
    assert_int_equal(in(f, 1) | in(f, 1) << 8, 1900);
    assert_int_equal(in(f, 0), 0xb4);
    assert_int_equal(in(f, 0) | in(f, 0) << 8, 900);
    assert_int_equal(in(f, 0) | in(f, 0) << 8, 800);
    assert_int_equal(in(f, 3), 0xff);
}

static void irq_rate(void **state)
{
    struct fixture *f = *state;
    program(f, 0, 2, 11932); /* 100 Hz */
    f->bench.rises[0] = 0;
    bench_to(&f->bench, NS_PER_SECOND);
    assert_int_equal(f->bench.rises[0], 99); /* the 100th comes 18 ticks later */
    bench_to(&f->bench, NS_PER_SECOND + 100000);
    assert_int_equal(f->bench.rises[0], 100);
    /* One-shot: a rise at terminal count, and then silence. */
    program(f, 0, 0, 100);
    assert_false(f->bench.level[0]);
    assert_true(f->bench.events.next != EVENTS_NEVER);
    bench_step(&f->bench, 100000);
    assert_true(f->bench.level[0]);
    assert_true(f->bench.events.next == EVENTS_NEVER);
}

/* Events that come late, past many periods, still make an edge wherever OUT is
 * high by then. */
static void late_events(void **state)
{
    struct fixture *f = *state;
    program(f, 0, 2, 10);
    f->bench.rises[0] = 0;
    for (unsigned i = 0; i < 50; i++) {
        f->bench.clock.s.idle_ns += 1000000;
        unsigned before = f->bench.rises[0];
        events_run(&f->bench.events, bench_now(&f->bench));
        assert_int_equal(f->bench.level[0], pit_output(&f->pit, 0));
        assert_int_equal(f->bench.rises[0], before + f->bench.level[0]);
    }
    assert_in_range(f->bench.rises[0], 40, 49);
}

/* At the end of time there is no deadline to run after. */
static void end_of_time(void **state)
{
    struct fixture *f = *state;
    f->bench.clock.s.idle_ns = UINT64_MAX - 1000;
    program(f, 0, 2, 10);
    program(f, 0, 3, 0);
    events_run(&f->bench.events, bench_now(&f->bench));
    assert_true(f->bench.events.next > bench_now(&f->bench));
}

static void speaker_port(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(port61_read(&f->port61, 0, 1) & 0x2f, 0x00);
    port61_write(&f->port61, 0, 0xff, 1);
    assert_true(pit_gate(&f->pit, 2));
    program(f, 2, 0, 20);
    assert_int_equal(port61_read(&f->port61, 0, 1) & 0x2f, 0x0f);
    bench_to(&f->bench, ns_of(22));
    assert_int_equal(port61_read(&f->port61, 0, 1), 0x3f); /* refresh: ticks 18..35 */
    bench_to(&f->bench, ns_of(36));
    assert_int_equal(port61_read(&f->port61, 0, 1), 0x2f);
    port61_write(&f->port61, 0, 0, 1);
    assert_false(pit_gate(&f->pit, 2));
}

static void script(struct bench *bench, void *device)
{
    struct pit *pit = device;
    uint32_t random = 99;
    for (unsigned i = 0; i < 400; i++) {
        random = random * 1664525u + 1013904223u;
        bench_step(bench, random >> 8 & 0xffff);
        if ((random >> 28) < 4)
            pit_write(pit, random >> 4 & 3, random >> 16 & 0xff, 1);
        pit_set_gate(pit, 2, random >> 26 & 1);
        bench_log(bench, pit_read(pit, random >> 6 & 3, 1));
        bench_log(bench, pit_output(pit, 2));
    }
}

static void save_restore(void **state)
{
    struct fixture *f = *state;
    for (unsigned mode = 0; mode < 6; mode++) {
        f->bench.logged = 0;
        program(f, 0, mode, 300 + mode);
        program(f, 2, mode, 200 + mode);
        bench_step(&f->bench, 100000);
        bench_check_restore(&f->bench, &f->pit.s, sizeof f->pit.s, pit_restored, &f->pit, script);
    }
}

/* Looking at outputs in between changes nothing. */
static void looking_is_free(void **state)
{
    struct fixture *f = *state;
    for (unsigned mode = 2; mode < 4; mode++) {
        program(f, 2, mode, 50);
        pit_set_gate(&f->pit, 2, true);
        bench_step(&f->bench, 12345);
        program(f, 2, mode, 0x123);
        out(f, 2, 0x45); /* one that waits */
        out(f, 2, 0x01);
        struct pit_state before = f->pit.s;
        for (unsigned i = 0; i < 100; i++) {
            bench_step(&f->bench, 1000);
            pit_output(&f->pit, 2);
        }
        assert_memory_equal(&before, &f->pit.s, sizeof before);
    }
}

static void hostile_writes(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 7;
    for (unsigned i = 0; i < 100000; i++) {
        random = random * 1664525u + 1013904223u;
        f->bench.logged = 0;
        out(f, random >> 4 & 3, random >> 16 & 0xff);
        in(f, random >> 6 & 3);
        pit_set_gate(&f->pit, random >> 8 & 3, random >> 10 & 1);
        if ((random >> 28) == 0)
            bench_step(&f->bench, random >> 12 & 0x3fff);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(mode_0), TEST(mode_1), TEST(mode_2), TEST(mode_3), TEST(mode_4_and_5),
        TEST(access_modes), TEST(latches), TEST(irq_rate), TEST(late_events), TEST(end_of_time),
        TEST(speaker_port), TEST(save_restore), TEST(looking_is_free), TEST(hostile_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
