/* The 8259 pair, by its ports. */
#include "chip_bench.h"

#include "machine/dev/pic.h"

struct fixture {
    struct bench bench;
    struct pic pic;
};

static void out(struct pic *pic, unsigned port, uint8_t value)
{
    if (port >= 0x4d0)
        pic_write_elcr(pic, port & 1, value, 1);
    else if (port >= 0xa0)
        pic_write_slave(pic, port & 1, value, 1);
    else
        pic_write_master(pic, port & 1, value, 1);
}

static uint8_t in(struct pic *pic, unsigned port)
{
    if (port >= 0x4d0)
        return (uint8_t)pic_read_elcr(pic, port & 1, 1);
    if (port >= 0xa0)
        return (uint8_t)pic_read_slave(pic, port & 1, 1);
    return (uint8_t)pic_read_master(pic, port & 1, 1);
}

static void program(struct pic *pic, uint8_t master_icw4, uint8_t slave_icw4)
{
    out(pic, 0x20, 0x11);
    out(pic, 0x21, 0x20);
    out(pic, 0x21, 0x04);
    out(pic, 0x21, master_icw4);
    out(pic, 0xa0, 0x11);
    out(pic, 0xa1, 0x28);
    out(pic, 0xa1, 0x02);
    out(pic, 0xa1, slave_icw4);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    bench_init(&f->bench);
    pic_init(&f->pic, bench_line(&f->bench, 0));
    program(&f->pic, 0x01, 0x01);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static uint8_t irr(struct pic *pic, unsigned port)
{
    out(pic, port, 0x0a);
    return in(pic, port);
}

static uint8_t isr(struct pic *pic, unsigned port)
{
    out(pic, port, 0x0b);
    return in(pic, port);
}

static void edge_priority_eoi(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    pic_set_irq(pic, 5, true);
    assert_true(f->bench.level[0]);
    pic_set_irq(pic, 3, true);
    assert_int_equal(irr(pic, 0x20), 0x28);
    assert_int_equal(pic_acknowledge(pic), 0x23);
    assert_false(f->bench.level[0]); /* 5 is below 3 */
    assert_int_equal(isr(pic, 0x20), 0x08);
    pic_set_irq(pic, 1, true);
    assert_true(f->bench.level[0]); /* 1 is above 3 */
    assert_int_equal(pic_acknowledge(pic), 0x21);
    out(pic, 0x20, 0x20);
    assert_int_equal(isr(pic, 0x20), 0x08);
    out(pic, 0x20, 0x63); /* specific */
    assert_true(f->bench.level[0]);
    assert_int_equal(pic_acknowledge(pic), 0x25);
    out(pic, 0x20, 0x20);
    assert_false(f->bench.level[0]);
    pic_set_irq(pic, 5, true); /* no new edge */
    assert_false(f->bench.level[0]);
    pic_set_irq(pic, 5, false);
    pic_set_irq(pic, 5, true);
    assert_true(f->bench.level[0]);
}

static void masks(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    out(pic, 0x21, 0xfe);
    assert_int_equal(in(pic, 0x21), 0xfe);
    pic_set_irq(pic, 4, true);
    assert_false(pic_intr(pic));
    assert_int_equal(irr(pic, 0x20), 0x10);
    out(pic, 0x21, 0x00);
    assert_true(pic_intr(pic));
    assert_int_equal(pic_acknowledge(pic), 0x24);
}

static void level_triggered(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    out(pic, 0x4d0, 0xff);
    out(pic, 0x4d1, 0xff);
    assert_int_equal(in(pic, 0x4d0), 0xf8);
    assert_int_equal(in(pic, 0x4d1), 0xde);
    pic_set_irq(pic, 11, true);
    assert_int_equal(pic_acknowledge(pic), 0x2b);
    out(pic, 0xa0, 0x20);
    out(pic, 0x20, 0x20);
    assert_true(pic_intr(pic)); /* still high: asks again */
    assert_int_equal(pic_acknowledge(pic), 0x2b);
    pic_set_irq(pic, 11, false);
    out(pic, 0xa0, 0x20);
    out(pic, 0x20, 0x20);
    assert_false(pic_intr(pic));
}

static void cascade(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    pic_set_irq(pic, 14, true);
    pic_set_irq(pic, 12, true);
    assert_int_equal(irr(pic, 0x20), 0x04);
    assert_int_equal(pic_acknowledge(pic), 0x2c);
    assert_int_equal(isr(pic, 0x20), 0x04);
    assert_int_equal(isr(pic, 0xa0), 0x10);
    assert_false(pic_intr(pic));
    out(pic, 0xa0, 0x20);
    assert_false(pic_intr(pic)); /* the master's IR2 is in service yet */
    out(pic, 0x20, 0x20);
    assert_true(pic_intr(pic));
    assert_int_equal(pic_acknowledge(pic), 0x2e);
    pic_set_irq(pic, 2, true); /* cannot be driven */
    out(pic, 0xa0, 0x20);
    out(pic, 0x20, 0x20);
    assert_false(pic_intr(pic));
}

static void special_fully_nested(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    program(pic, 0x11, 0x01);
    pic_set_irq(pic, 14, true);
    assert_int_equal(pic_acknowledge(pic), 0x2e);
    pic_set_irq(pic, 9, true);
    assert_true(pic_intr(pic)); /* higher, of the same slave */
    assert_int_equal(pic_acknowledge(pic), 0x29);
    assert_int_equal(isr(pic, 0xa0), 0x42);
}

static void spurious(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    pic_set_irq(pic, 3, true);
    pic_set_irq(pic, 3, false);
    assert_false(pic_intr(pic));
    assert_int_equal(pic_acknowledge(pic), 0x27);
    assert_int_equal(isr(pic, 0x20), 0x00);
    /* On the slave: the master has latched, the slave's request is gone. */
    pic_set_irq(pic, 10, true);
    f->pic.s.chips[1].irr = 0;
    assert_int_equal(pic_acknowledge(pic), 0x2f);
    assert_int_equal(isr(pic, 0xa0), 0x00);
    assert_int_equal(isr(pic, 0x20), 0x04);
}

static void rotation(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    out(pic, 0x20, 0xc3); /* set priority: 3 is lowest, 4 highest */
    pic_set_irq(pic, 0, true);
    pic_set_irq(pic, 4, true);
    assert_int_equal(pic_acknowledge(pic), 0x24);
    out(pic, 0x20, 0xa0); /* rotate on non-specific EOI: 4 is lowest */
    pic_set_irq(pic, 4, false);
    pic_set_irq(pic, 4, true);
    assert_int_equal(pic_acknowledge(pic), 0x20);
    out(pic, 0x20, 0xe0); /* rotate on specific EOI of 0 */
    pic_set_irq(pic, 0, false);
    pic_set_irq(pic, 0, true);
    assert_int_equal(pic_acknowledge(pic), 0x24);
}

static void automatic_eoi(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    program(pic, 0x03, 0x03);
    out(pic, 0x20, 0x80); /* rotate in automatic EOI */
    pic_set_irq(pic, 1, true);
    assert_int_equal(pic_acknowledge(pic), 0x21);
    assert_int_equal(isr(pic, 0x20), 0x00);
    pic_set_irq(pic, 1, false);
    pic_set_irq(pic, 1, true);
    pic_set_irq(pic, 3, true);
    assert_int_equal(pic_acknowledge(pic), 0x23); /* 1 is lowest now */
    /* Two of the slave at once: each gets an edge of its own at IR2. */
    assert_int_equal(pic_acknowledge(pic), 0x21);
    pic_set_irq(pic, 8, true);
    pic_set_irq(pic, 15, true);
    assert_int_equal(pic_acknowledge(pic), 0x28);
    assert_true(pic_intr(pic));
    assert_int_equal(pic_acknowledge(pic), 0x2f);
    assert_false(pic_intr(pic));
}

static void special_mask(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    pic_set_irq(pic, 1, true);
    assert_int_equal(pic_acknowledge(pic), 0x21);
    pic_set_irq(pic, 6, true);
    assert_false(pic_intr(pic));
    out(pic, 0x21, 0x02);
    assert_false(pic_intr(pic));
    out(pic, 0x20, 0x68);
    assert_true(pic_intr(pic)); /* masked, 1 blocks nobody */
    assert_int_equal(pic_acknowledge(pic), 0x26);
    out(pic, 0x20, 0x20);
    assert_int_equal(isr(pic, 0x20), 0x02); /* a masked one stays */
    out(pic, 0x20, 0x48);
    out(pic, 0x20, 0x20);
    assert_int_equal(isr(pic, 0x20), 0x00);
}

static void polled(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    out(pic, 0x20, 0x0c);
    assert_int_equal(in(pic, 0x20), 0x00);
    pic_set_irq(pic, 6, true);
    out(pic, 0x20, 0x0c);
    assert_int_equal(in(pic, 0x20), 0x86);
    assert_false(pic_intr(pic));
    assert_int_equal(isr(pic, 0x20), 0x40);
    out(pic, 0x20, 0x20);
    pic_set_irq(pic, 13, true);
    out(pic, 0xa0, 0x0c);
    assert_int_equal(in(pic, 0xa0), 0x85);
    assert_false(pic_intr(pic));
}

static void initialisation_resets_edges(void **state)
{
    struct fixture *f = *state;
    struct pic *pic = &f->pic;
    pic_set_irq(pic, 4, true);
    program(pic, 0x01, 0x01);
    assert_false(pic_intr(pic));
    assert_int_equal(irr(pic, 0x20), 0x00);
    pic_set_irq(pic, 4, false);
    pic_set_irq(pic, 4, true);
    assert_true(pic_intr(pic));
    /* Without ICW4 three words are enough. */
    out(pic, 0x20, 0x10);
    out(pic, 0x21, 0x40);
    out(pic, 0x21, 0x04);
    out(pic, 0x21, 0xaa);
    assert_int_equal(in(pic, 0x21), 0xaa);
}

static void script(struct bench *bench, void *device)
{
    struct pic *pic = device;
    uint32_t random = 12345;
    for (unsigned i = 0; i < 800; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned irq = random >> 27;
        pic_set_irq(pic, irq, random >> 20 & 1);
        if (pic_intr(pic) && (random >> 10 & 3))
            bench_log(bench, (uint64_t)pic_acknowledge(pic));
        if ((random >> 12 & 3) == 0) {
            out(pic, 0xa0, 0x20);
            out(pic, 0x20, 0x20);
        }
        bench_log(bench, in(pic, random >> 15 & 1 ? 0xa0 : 0x20));
    }
}

static void save_restore(void **state)
{
    struct fixture *f = *state;
    script(&f->bench, &f->pic);
    f->bench.logged = 0;
    bench_check_restore(&f->bench, &f->pic.s, sizeof f->pic.s, pic_restored, &f->pic, script);
}

/* Whatever is written: no crash, and INTA gives a vector. */
static void hostile_writes(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 1;
    for (unsigned i = 0; i < 200000; i++) {
        static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1 };
        random = random * 1664525u + 1013904223u;
        f->bench.logged = 0;
        out(&f->pic, ports[(random >> 8) % 6], (uint8_t)(random >> 24));
        pic_set_irq(&f->pic, random >> 16 & 31, random >> 21 & 1);
        in(&f->pic, ports[(random >> 11) % 6]);
        if (random >> 22 & 1) {
            int vector = pic_acknowledge(&f->pic);
            assert_in_range(vector, 0, 255);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(edge_priority_eoi), TEST(masks), TEST(level_triggered), TEST(cascade),
        TEST(special_fully_nested), TEST(spurious), TEST(rotation), TEST(automatic_eoi),
        TEST(special_mask), TEST(polled), TEST(initialisation_resets_edges), TEST(save_restore),
        TEST(hostile_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
