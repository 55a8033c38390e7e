/* The real-time clock, by its ports. */
#include "chip_bench.h"

#include "machine/dev/rtc.h"

#define BASE 1704067198ll /* 2023-12-31 23:59:58, a Sunday */
#define SECOND NS_PER_SECOND

struct fixture {
    struct bench bench;
    struct rtc rtc;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    bench_init(&f->bench);
    rtc_init(&f->rtc, &f->bench.clock, &f->bench.events, BASE, bench_line(&f->bench, 8));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void set(struct fixture *f, unsigned index, unsigned value)
{
    rtc_write(&f->rtc, 0, index, 1);
    rtc_write(&f->rtc, 1, value, 1);
}

static unsigned get(struct fixture *f, unsigned index)
{
    rtc_write(&f->rtc, 0, index, 1);
    return (unsigned)rtc_read(&f->rtc, 1, 1);
}

/* Century, year, month, day, weekday, hour, minute, second. */
static void assert_time(struct fixture *f, const uint8_t expected[8])
{
    static const uint8_t indexes[8] = { 0x32, 9, 8, 7, 6, 4, 2, 0 };
    for (unsigned i = 0; i < 8; i++) {
        unsigned value = get(f, indexes[i]);
        if (value != expected[i])
            fail_msg("register %02x is %02x, not %02x", indexes[i], value, expected[i]);
    }
}

static void new_year(void **state)
{
    struct fixture *f = *state;
    assert_time(f, (uint8_t[]){ 0x20, 0x23, 0x12, 0x31, 0x01, 0x23, 0x59, 0x58 });
    bench_to(&f->bench, 2 * SECOND - 1);
    assert_time(f, (uint8_t[]){ 0x20, 0x23, 0x12, 0x31, 0x01, 0x23, 0x59, 0x59 });
    bench_to(&f->bench, 2 * SECOND);
    assert_time(f, (uint8_t[]){ 0x20, 0x24, 0x01, 0x01, 0x02, 0x00, 0x00, 0x00 });
    bench_to(&f->bench, (2 + 59 * 86400ull) * SECOND);
    assert_time(f, (uint8_t[]){ 0x20, 0x24, 0x02, 0x29, 0x05, 0x00, 0x00, 0x00 });
    assert_true(f->bench.events.next == EVENTS_NEVER);
    assert_int_equal(get(f, 0x0d), 0x80);
    assert_int_equal(rtc_read(&f->rtc, 0, 1), 0xff);
}

static void formats(void **state)
{
    struct fixture *f = *state;
    set(f, 0x0b, 0x00); /* 12 hours */
    assert_int_equal(get(f, 4), 0x91);
    bench_to(&f->bench, 2 * SECOND);
    assert_int_equal(get(f, 4), 0x12);
    set(f, 0x0b, 0x06); /* binary, 24 hours */
    assert_int_equal(get(f, 4), 0);
    assert_int_equal(get(f, 9), 24);
    assert_int_equal(get(f, 0x32), 20);
    set(f, 4, 13);
    set(f, 0x0b, 0x04);
    assert_int_equal(get(f, 4), 0x81);
    set(f, 4, 0x8c); /* 12 at noon */
    set(f, 0x0b, 0x06);
    assert_int_equal(get(f, 4), 12);
}

static void setting_the_time(void **state)
{
    struct fixture *f = *state;
    bench_to(&f->bench, SECOND / 4);
    set(f, 0x0b, 0x82);
    bench_to(&f->bench, 10 * SECOND); /* stands still */
    assert_time(f, (uint8_t[]){ 0x20, 0x23, 0x12, 0x31, 0x01, 0x23, 0x59, 0x58 });
    static const uint8_t time[][2] = { { 0x32, 0x19 }, { 9, 0x99 }, { 8, 0x02 }, { 7, 0x28 },
                                       { 6, 0x03 }, { 4, 0x23 }, { 2, 0x59 }, { 0, 0x59 } };
    for (unsigned i = 0; i < 8; i++)
        set(f, time[i][0], time[i][1]);
    assert_int_equal(get(f, 9), 0x99);
    set(f, 0x0b, 0x02);
    /* The second's fraction went on; the day of the week is what was set. */
    bench_to(&f->bench, 11 * SECOND);
    assert_time(f, (uint8_t[]){ 0x19, 0x99, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00 });
    /* Through the divider, as Linux does: half a second until the first update. */
    set(f, 0x0a, 0x76);
    set(f, 0, 0x30);
    set(f, 0x0a, 0x26);
    bench_step(&f->bench, SECOND / 2 - 1);
    assert_int_equal(get(f, 0), 0x30);
    bench_step(&f->bench, 1);
    assert_int_equal(get(f, 0), 0x31);
}

static void update_in_progress(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(get(f, 0x0a), 0x26);
    bench_to(&f->bench, SECOND - 2228001);
    assert_int_equal(get(f, 0x0a), 0x26);
    bench_to(&f->bench, SECOND - 2228000);
    assert_int_equal(get(f, 0x0a), 0xa6);
    bench_to(&f->bench, SECOND);
    assert_int_equal(get(f, 0x0a), 0x26);
    set(f, 0x0b, 0x82);
    bench_to(&f->bench, 2 * SECOND - 1);
    assert_int_equal(get(f, 0x0a), 0x26); /* SET: no updates */
}

static void periodic(void **state)
{
    struct fixture *f = *state;
    set(f, 0x0b, 0x42); /* 1024 Hz */
    unsigned ticks = 0;
    for (uint64_t t = 0; t < SECOND; t += 100000) {
        bench_to(&f->bench, t);
        f->bench.logged = 0;
        if (f->bench.level[8]) {
            assert_int_equal(get(f, 0x0c) & 0xc0, 0xc0);
            assert_false(f->bench.level[8]);
            ticks++;
        }
    }
    assert_int_equal(ticks, 1023);
    bench_to(&f->bench, SECOND);
    assert_int_equal(get(f, 0x0c), 0xd0); /* UF, too, though nobody enabled it */
    set(f, 0x0b, 0x02);
    assert_true(f->bench.events.next == EVENTS_NEVER);
    bench_step(&f->bench, SECOND / 1000);
    assert_int_equal(get(f, 0x0c), 0x40);
    assert_int_equal(get(f, 0x0c), 0x00);
    /* Rates 1 and 2 are those of 8 and 9. */
    set(f, 0x0a, 0x21);
    set(f, 0x0b, 0x42);
    get(f, 0x0c);
    uint64_t before = f->bench.events.next;
    bench_to(&f->bench, before);
    get(f, 0x0c);
    assert_int_equal(f->bench.events.next - before, SECOND / 256);
}

static void update_interrupt(void **state)
{
    struct fixture *f = *state;
    set(f, 0x0b, 0x12);
    assert_int_equal(f->bench.events.next, SECOND);
    bench_to(&f->bench, SECOND);
    assert_true(f->bench.level[8]);
    assert_true(f->bench.events.next == EVENTS_NEVER); /* until it is read */
    bench_to(&f->bench, 5 * SECOND + 1);
    assert_int_equal(get(f, 0x0c) & 0x90, 0x90);
    assert_int_equal(f->bench.events.next, 6 * SECOND);
    set(f, 0x0b, 0x92); /* SET takes UIE away */
    assert_int_equal(get(f, 0x0b), 0x82);
}

static void alarm(void **state)
{
    struct fixture *f = *state;
    set(f, 1, 0x05);
    set(f, 3, 0x30);
    set(f, 5, 0x06);
    set(f, 0x0b, 0x22);
    uint64_t due = (2 + 6 * 3600 + 30 * 60 + 5) * SECOND;
    assert_int_equal(f->bench.events.next, due);
    bench_to(&f->bench, due);
    assert_true(f->bench.level[8]);
    assert_int_equal(get(f, 0x0c) & 0xa0, 0xa0);
    assert_int_equal(f->bench.events.next, due + 86400 * SECOND);
    set(f, 5, 0xff); /* every hour */
    assert_int_equal(f->bench.events.next, due + 3600 * SECOND);
    set(f, 3, 0xc0); /* every minute */
    assert_int_equal(f->bench.events.next, due + 60 * SECOND);
    set(f, 1, 0xff); /* every second */
    assert_int_equal(f->bench.events.next, due + SECOND);
    set(f, 1, 0x7a); /* never */
    assert_true(f->bench.events.next == EVENTS_NEVER);
    set(f, 1, 0x04); /* a moment that has passed this minute */
    assert_int_equal(f->bench.events.next, due + 59 * SECOND);
    set(f, 3, 0x30); /* and this hour */
    assert_int_equal(f->bench.events.next, due + 3599 * SECOND);
    set(f, 5, 0x06); /* and this day */
    assert_int_equal(f->bench.events.next, due + 86399 * SECOND);
}

/* The alarm flag of a disabled alarm is found when register C is read. */
static void alarm_flag_without_interrupt(void **state)
{
    struct fixture *f = *state;
    set(f, 1, 0x00);
    set(f, 3, 0xff);
    set(f, 5, 0xff);
    get(f, 0x0c);
    bench_to(&f->bench, 2 * SECOND - 1);
    assert_int_equal(get(f, 0x0c) & 0x20, 0x00);
    bench_to(&f->bench, 3 * SECOND);
    assert_int_equal(get(f, 0x0c) & 0xa0, 0x20);
}

static void cmos_and_reset(void **state)
{
    struct fixture *f = *state;
    rtc_set_cmos(&f->rtc, 0x10, 0x40);
    rtc_set_cmos(&f->rtc, 0x00, 0x99); /* not CMOS */
    assert_int_equal(get(f, 0x10), 0x40);
    assert_int_equal(get(f, 0), 0x58);
    assert_int_equal(rtc_cmos(&f->rtc, 0x10), 0x40);
    set(f, 0x0f, 0x05);
    rtc_write(&f->rtc, 0, 0x8f, 1);
    assert_true(rtc_nmi_masked(&f->rtc));
    assert_int_equal(rtc_read(&f->rtc, 1, 1), 0x05);
    set(f, 0x0b, 0x72);
    bench_to(&f->bench, SECOND);
    assert_true(f->bench.level[8]);
    rtc_reset(&f->rtc);
    assert_false(f->bench.level[8]);
    assert_false(rtc_nmi_masked(&f->rtc));
    assert_int_equal(get(f, 0x0b), 0x02);
    assert_int_equal(get(f, 0x0c), 0x00);
    assert_int_equal(get(f, 0x0f), 0x05);
    assert_int_equal(get(f, 0), 0x59);
}

static void script(struct bench *bench, void *device)
{
    struct rtc *rtc = device;
    uint32_t random = 5;
    for (unsigned i = 0; i < 500; i++) {
        random = random * 1664525u + 1013904223u;
        bench_step(bench, random >> 3 & 0xffffff);
        rtc_write(rtc, 0, random >> 20 & 15, 1);
        if ((random >> 28) == 0)
            rtc_write(rtc, 1, random >> 8 & 0x77, 1);
        bench_log(bench, rtc_read(rtc, 1, 1));
    }
}

static void save_restore(void **state)
{
    struct fixture *f = *state;
    static const uint8_t controls[] = { 0x02, 0x42, 0x12, 0x22, 0x76 };
    for (unsigned i = 0; i < sizeof controls; i++) {
        f->bench.logged = 0;
        set(f, 0x0a, 0x2a);
        set(f, 0x0b, controls[i]);
        set(f, 5, 0xff);
        bench_step(&f->bench, SECOND * 7 / 3);
        bench_check_restore(&f->bench, &f->rtc.s, sizeof f->rtc.s, rtc_restored, &f->rtc, script);
    }
}

static void hostile_writes(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 3;
    for (unsigned i = 0; i < 100000; i++) {
        random = random * 1664525u + 1013904223u;
        f->bench.logged = 0;
        set(f, (random >> 4 & 15) < 14 ? random >> 4 & 15 : 0x32, random >> 16 & 0xff);
        get(f, random >> 8 & 0xff);
        if ((random >> 28) == 0)
            bench_step(&f->bench, random >> 12 & 0xffff);
    }
    f->bench.clock.s.idle_ns = UINT64_MAX - 5;
    for (unsigned i = 0; i < 1000; i++) {
        random = random * 1664525u + 1013904223u;
        f->bench.logged = 0;
        set(f, random >> 4 & 15, random >> 16 & 0xff);
        events_run(&f->bench.events, bench_now(&f->bench));
    }
}

static void any_base(void **state)
{
    static const int64_t bases[] = { INT64_MIN, -1, 0, 253402300799, INT64_MAX };
    struct fixture *f = *state;
    for (unsigned i = 0; i < 5; i++) {
        struct rtc rtc;
        rtc_init(&rtc, &f->bench.clock, &f->bench.events, bases[i], (struct line){ 0 });
        rtc_write(&rtc, 0, 0, 1);
        assert_in_range(rtc_read(&rtc, 1, 1), 0, 0x59);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_year), TEST(formats), TEST(setting_the_time), TEST(update_in_progress),
        TEST(periodic), TEST(update_interrupt), TEST(alarm), TEST(alarm_flag_without_interrupt),
        TEST(cmos_and_reset), TEST(save_restore), TEST(hostile_writes), TEST(any_base),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
