/* The keyboard controller with its keyboard and mouse, by its ports. */
#include "chip_bench.h"

#include "machine/dev/i8042.h"

#define KEYBOARD 1
#define MOUSE 12
#define A20 2
#define RESET 3

struct fixture {
    struct bench bench;
    struct i8042 i8042;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    bench_init(&f->bench);
    i8042_init(&f->i8042, &f->bench.clock, &f->bench.events, bench_line(&f->bench, KEYBOARD),
               bench_line(&f->bench, MOUSE), bench_line(&f->bench, A20),
               bench_line(&f->bench, RESET));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void command(struct fixture *f, unsigned value)
{
    i8042_write_command(&f->i8042, 0, value, 1);
}

static void data(struct fixture *f, unsigned value)
{
    i8042_write_data(&f->i8042, 0, value, 1);
}

static unsigned status(struct fixture *f)
{
    return (unsigned)i8042_read_status(&f->i8042, 0, 1);
}

/* What waits in the output buffer, after giving devices their time; 0x100:
 * nothing; 0x200 is added to what comes from the mouse. */
static unsigned next(struct fixture *f)
{
    if (!(status(f) & 0x01))
        bench_step(&f->bench, 3 * I8042_BYTE_NS);
    if (!(status(f) & 0x01))
        return 0x100;
    unsigned from = status(f) & 0x20 ? 0x200 : 0;
    return from | (unsigned)i8042_read_data(&f->i8042, 0, 1);
}

static void expect(struct fixture *f, unsigned count, const uint8_t *bytes, unsigned source)
{
    for (unsigned i = 0; i < count; i++)
        assert_int_equal(next(f), source | bytes[i]);
    assert_int_equal(next(f), 0x100);
}

#define EXPECT(f, ...) \
    expect(f, sizeof((uint8_t[]){ __VA_ARGS__ }), (uint8_t[]){ __VA_ARGS__ }, 0)
#define EXPECT_MOUSE(f, ...) \
    expect(f, sizeof((uint8_t[]){ __VA_ARGS__ }), (uint8_t[]){ __VA_ARGS__ }, 0x200)

static void controller_commands(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(status(f), 0x18);
    command(f, 0xaa);
    assert_int_equal(status(f), 0x1d);
    EXPECT(f, 0x55);
    command(f, 0xab);
    EXPECT(f, 0x00);
    command(f, 0xa9);
    EXPECT(f, 0x00);
    command(f, 0xa4);
    EXPECT(f, 0xf1);
    command(f, 0x60);
    data(f, 0x65);
    assert_int_equal(status(f), 0x14);
    command(f, 0x20);
    EXPECT(f, 0x65);
    command(f, 0xad);
    command(f, 0xa7);
    command(f, 0x20);
    EXPECT(f, 0x75);
    command(f, 0xae);
    command(f, 0xa8);
    command(f, 0x20);
    EXPECT(f, 0x45);
    command(f, 0x7f);
    data(f, 0x12);
    command(f, 0x3f);
    EXPECT(f, 0x12);
    command(f, 0xd2);
    data(f, 0xab);
    EXPECT(f, 0xab);
    command(f, 0xd3);
    data(f, 0xcd);
    assert_false(f->bench.level[MOUSE]);
    EXPECT_MOUSE(f, 0xcd);
}

static void output_port(void **state)
{
    struct fixture *f = *state;
    assert_true(f->bench.level[A20]);
    command(f, 0xd0);
    EXPECT(f, 0xc3);
    command(f, 0xd1);
    data(f, 0xdd);
    assert_false(f->bench.level[A20]);
    assert_false(i8042_a20(&f->i8042));
    command(f, 0xdf);
    assert_true(f->bench.level[A20]);
    command(f, 0xdd);
    assert_false(f->bench.level[A20]);
    i8042_show_a20(&f->i8042, true);
    assert_true(i8042_a20(&f->i8042));
    assert_int_equal(f->bench.rises[RESET], 0);
    command(f, 0xfe);
    assert_int_equal(f->bench.rises[RESET], 1);
    command(f, 0xff);
    assert_int_equal(f->bench.rises[RESET], 1);
    command(f, 0xd1);
    data(f, 0x02);
    assert_int_equal(f->bench.rises[RESET], 2);
}

static void keyboard_commands(void **state)
{
    struct fixture *f = *state;
    data(f, 0xff);
    EXPECT(f, 0xfa, 0xaa);
    data(f, 0xf2);
    EXPECT(f, 0xfa, 0xab, 0x83);
    data(f, 0xed);
    EXPECT(f, 0xfa);
    data(f, 0x02);
    EXPECT(f, 0xfa);
    assert_int_equal(f->i8042.s.keyboard.leds, 2);
    data(f, 0xf3);
    EXPECT(f, 0xfa);
    data(f, 0x20);
    EXPECT(f, 0xfa);
    data(f, 0xf0);
    EXPECT(f, 0xfa);
    data(f, 0x00);
    EXPECT(f, 0xfa, 0x02);
    data(f, 0xee);
    EXPECT(f, 0xee);
    data(f, 0xfe);
    EXPECT(f, 0xee);
    data(f, 0x99);
    EXPECT(f, 0xfe);
    data(f, 0xfb);
    EXPECT(f, 0xfa);
    data(f, 0x1c);
    EXPECT(f, 0xfa);
    data(f, 0xf4);
    EXPECT(f, 0xfa);
    /* A second command takes the place of what is left of the first's answer. */
    data(f, 0xf2);
    assert_int_equal(next(f), 0xfa);
    data(f, 0xee);
    EXPECT(f, 0xee);
}

static void keys(struct fixture *f, unsigned count, const uint8_t *codes)
{
    for (unsigned i = 0; i < count; i++)
        i8042_key(&f->i8042, codes[i]);
}

#define KEYS(f, ...) keys(f, sizeof((uint8_t[]){ __VA_ARGS__ }), (uint8_t[]){ __VA_ARGS__ })

static void scan_codes(void **state)
{
    struct fixture *f = *state;
    KEYS(f, 0x1e, 0x9e); /* A */
    EXPECT(f, 0x1c, 0xf0, 0x1c);
    KEYS(f, 0xe0, 0x48, 0xe0, 0xc8); /* up */
    EXPECT(f, 0xe0, 0x75, 0xe0, 0xf0, 0x75);
    KEYS(f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5); /* pause */
    EXPECT(f, 0xe1, 0x14, 0x77, 0xe1, 0xf0, 0x14, 0xf0, 0x77);
    command(f, 0x60);
    data(f, 0x41); /* translated: what went in comes out */
    KEYS(f, 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8);
    EXPECT(f, 0x1e, 0x9e, 0xe0, 0x48, 0xe0, 0xc8);
    KEYS(f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    EXPECT(f, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    for (unsigned code = 1; code < 0x60; code++) {
        KEYS(f, (uint8_t)code, (uint8_t)(code | 0x80));
        EXPECT(f, (uint8_t)code, (uint8_t)(code | 0x80));
    }
    data(f, 0xf2);
    EXPECT(f, 0xfa, 0xab, 0x41); /* the ID's second byte is translated, too */
    command(f, 0x60);
    data(f, 0x01);
    data(f, 0xf0);
    EXPECT(f, 0xfa);
    data(f, 0x03);
    EXPECT(f, 0xfa);
    KEYS(f, 0x01, 0x81, 0xe0, 0x48, 0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5);
    EXPECT(f, 0x08, 0xf0, 0x08, 0x63, 0x62, 0xf0, 0x62);
    data(f, 0xf0);
    EXPECT(f, 0xfa);
    data(f, 0x01);
    EXPECT(f, 0xfa);
    KEYS(f, 0xe0, 0x48, 0x01);
    EXPECT(f, 0xe0, 0x48, 0x01);
    data(f, 0xf5);
    EXPECT(f, 0xfa);
    KEYS(f, 0x1e, 0x9e); /* scanning is off */
    assert_int_equal(next(f), 0x100);
}

static void interrupts(void **state)
{
    struct fixture *f = *state;
    KEYS(f, 0x1e, 0x1f);
    assert_int_equal(f->bench.rises[KEYBOARD], 0);
    bench_step(&f->bench, I8042_BYTE_NS);
    assert_true(f->bench.level[KEYBOARD]);
    assert_true(f->bench.events.next == EVENTS_NEVER); /* waits for the buffer */
    assert_int_equal(i8042_read_data(&f->i8042, 0, 1), 0x1c);
    assert_false(f->bench.level[KEYBOARD]);
    assert_int_equal(i8042_read_data(&f->i8042, 0, 1), 0x1c); /* the same again */
    bench_step(&f->bench, I8042_BYTE_NS);
    assert_int_equal(f->bench.rises[KEYBOARD], 2);
    command(f, 0x60);
    data(f, 0x02);
    assert_false(f->bench.level[KEYBOARD]);
    /* The controller's answer waits for the buffer, and comes before keys. */
    KEYS(f, 0x20);
    command(f, 0xaa);
    assert_int_equal(i8042_read_data(&f->i8042, 0, 1), 0x1b);
    assert_int_equal(i8042_read_data(&f->i8042, 0, 1), 0x55);
    EXPECT(f, 0x23);
    /* A disabled interface keeps its bytes back. */
    command(f, 0xad);
    KEYS(f, 0x21);
    assert_int_equal(next(f), 0x100);
    command(f, 0xae);
    EXPECT(f, 0x2b);
    command(f, 0xd4);
    data(f, 0xf2);
    bench_step(&f->bench, I8042_BYTE_NS);
    assert_true(f->bench.level[MOUSE]);
    EXPECT_MOUSE(f, 0xfa, 0x00);
}

static void answers_come_before_keys(void **state)
{
    struct fixture *f = *state;
    KEYS(f, 0x1e, 0x1f, 0x20);
    data(f, 0xed);
    assert_int_equal(next(f), 0xfa);
    data(f, 0x07);
    EXPECT(f, 0xfa, 0x1c, 0x1b, 0x23);
    /* As many keys as there is room for; then commands still get answers. */
    unsigned count = 0;
    while (i8042_can_key(&f->i8042)) {
        KEYS(f, 0x1e);
        count++;
    }
    KEYS(f, 0x1e);
    assert_int_equal(count, f->i8042.s.keyboard.count);
    data(f, 0xf2);
    assert_int_equal(next(f), 0xfa);
    assert_int_equal(next(f), 0xab);
    assert_int_equal(next(f), 0x83);
    assert_int_equal(next(f), 0x1c);
}

static void mouse_command(struct fixture *f, unsigned value)
{
    command(f, 0xd4);
    data(f, value);
}

static void mouse(void **state)
{
    struct fixture *f = *state;
    mouse_command(f, 0xff);
    EXPECT_MOUSE(f, 0xfa, 0xaa, 0x00);
    mouse_command(f, 0xf3);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 200);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 0xe8);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 0x03);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 0xf4);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 0xe9);
    EXPECT_MOUSE(f, 0xfa, 0x20, 0x03, 200);
    mouse_command(f, 0xeb);
    EXPECT_MOUSE(f, 0xfa, 0x08, 0x00, 0x00);
    mouse_command(f, 0xee);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 0x33);
    EXPECT_MOUSE(f, 0x33);
    mouse_command(f, 0xec);
    EXPECT_MOUSE(f, 0xfa);
    mouse_command(f, 0x33);
    EXPECT_MOUSE(f, 0xfe);
}

static void script(struct bench *bench, void *device)
{
    struct i8042 *i8042 = device;
    uint32_t random = 21;
    for (unsigned i = 0; i < 400; i++) {
        random = random * 1664525u + 1013904223u;
        bench_step(bench, random >> 3 & 0x1ffff);
        if ((random >> 29) == 0)
            i8042_write_data(i8042, 0, random >> 16 & 0xff, 1);
        if ((random >> 26 & 15) == 0)
            i8042_write_command(i8042, 0, random >> 8 & 0xff, 1);
        if (i8042_can_key(i8042) && (random >> 24 & 3) == 0)
            i8042_key(i8042, (uint8_t)(random >> 9));
        bench_log(bench, i8042_read_status(i8042, 0, 1));
        bench_log(bench, i8042_read_data(i8042, 0, 1));
    }
}

static void save_restore(void **state)
{
    struct fixture *f = *state;
    KEYS(f, 0x1e, 0x9e, 0xe0, 0x48);
    mouse_command(f, 0xe9);
    bench_step(&f->bench, 1000);
    bench_check_restore(&f->bench, &f->i8042.s, sizeof f->i8042.s, i8042_restored, &f->i8042,
                        script);
}

static void hostile_writes(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 13;
    for (unsigned i = 0; i < 200000; i++) {
        random = random * 1664525u + 1013904223u;
        f->bench.logged = 0;
        if (random >> 28 & 1)
            data(f, random >> 16 & 0xff);
        else
            command(f, random >> 16 & 0xff);
        i8042_key(&f->i8042, (uint8_t)(random >> 8));
        i8042_read_data(&f->i8042, 0, 1);
        if ((random >> 29) == 0)
            bench_step(&f->bench, random >> 6 & 0x3ffff);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(controller_commands), TEST(output_port), TEST(keyboard_commands), TEST(scan_codes),
        TEST(interrupts), TEST(answers_come_before_keys), TEST(mouse), TEST(save_restore),
        TEST(hostile_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
