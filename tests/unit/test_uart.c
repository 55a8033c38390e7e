/* The 16550A, by its ports. */
#include "chip_bench.h"

#include "machine/dev/uart.h"

enum { RBR, IER, IIR, LCR, MCR, LSR, MSR, SCR };

struct fixture {
    struct bench bench;
    struct uart uart;
    char text[64];
    unsigned length;
};

static void output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct fixture *f = context;
    assert_int_equal(unit, 3);
    assert_int_equal(length, 1);
    f->text[f->length++ % sizeof f->text] = (char)bytes[0];
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    bench_init(&f->bench);
    uart_init(&f->uart, 3, &f->bench.clock, &f->bench.events, bench_line(&f->bench, 4), output, f);
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
    uart_write(&f->uart, offset, value, 1);
}

static unsigned in(struct fixture *f, unsigned offset)
{
    return (unsigned)uart_read(&f->uart, offset, 1);
}

static void registers(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(in(f, IIR), 0x01);
    assert_int_equal(in(f, LSR), 0x60);
    assert_int_equal(in(f, MSR), 0xb0);
    out(f, IER, 0xf0);
    assert_int_equal(in(f, IER), 0x00);
    out(f, SCR, 0x5a);
    assert_int_equal(in(f, SCR), 0x5a);
    out(f, LCR, 0x83);
    out(f, RBR, 0x01);
    out(f, IER, 0x02);
    assert_int_equal(in(f, RBR), 0x01);
    assert_int_equal(in(f, IER), 0x02);
    out(f, LCR, 0x03);
    assert_int_equal(in(f, LCR), 0x03);
    assert_int_equal(in(f, IER), 0x00);
    out(f, IIR, 0xc1);
    assert_int_equal(in(f, IIR), 0xc1);
    out(f, IIR, 0xc0); /* without the enable bit nothing is programmed */
    assert_int_equal(in(f, IIR), 0x01);
    out(f, MCR, 0xff);
    assert_int_equal(in(f, MCR), 0x1f);
}

static void transmit(void **state)
{
    struct fixture *f = *state;
    out(f, RBR, 'h');
    out(f, RBR, 'i');
    assert_memory_equal(f->text, "hi", 2);
    assert_int_equal(f->length, 2);
    assert_int_equal(in(f, LSR), 0x60);
    assert_int_equal(f->bench.rises[4], 0);
}

static void transmitter_interrupt(void **state)
{
    struct fixture *f = *state;
    out(f, IER, 0x02);
    assert_true(f->bench.level[4]); /* enabled while THR is empty */
    assert_int_equal(in(f, IIR), 0x02);
    assert_false(f->bench.level[4]); /* reading IIR takes it back */
    assert_int_equal(in(f, IIR), 0x01);
    out(f, IER, 0x02); /* already enabled */
    assert_false(f->bench.level[4]);
    out(f, RBR, 'a');
    assert_true(f->bench.level[4]);
    unsigned rises = f->bench.rises[4];
    out(f, RBR, 'b'); /* goes away and comes back: an edge */
    assert_int_equal(f->bench.rises[4], rises + 1);
    out(f, IER, 0x00);
    assert_false(f->bench.level[4]);
    assert_int_equal(in(f, IIR), 0x01);
    out(f, IER, 0x02);
    assert_int_equal(in(f, IIR), 0x02);
}

static void receive_without_fifo(void **state)
{
    struct fixture *f = *state;
    out(f, IER, 0x05);
    assert_true(uart_can_receive(&f->uart));
    uart_receive(&f->uart, 'x');
    assert_false(uart_can_receive(&f->uart));
    assert_true(f->bench.level[4]);
    assert_int_equal(in(f, IIR), 0x04);
    assert_int_equal(in(f, LSR), 0x61);
    uart_receive(&f->uart, 'y'); /* destroys x */
    assert_int_equal(in(f, IIR), 0x06);
    assert_int_equal(in(f, LSR), 0x63);
    assert_int_equal(in(f, LSR), 0x61);
    assert_int_equal(in(f, RBR), 'y');
    assert_int_equal(in(f, RBR), 'y'); /* nothing new */
    assert_false(f->bench.level[4]);
    assert_true(f->bench.events.next == EVENTS_NEVER);
}

static void fifo_trigger(void **state)
{
    struct fixture *f = *state;
    out(f, IIR, 0x81); /* 8 bytes */
    out(f, IER, 0x01);
    for (unsigned i = 0; i < 7; i++)
        uart_receive(&f->uart, (uint8_t)('0' + i));
    assert_false(f->bench.level[4]);
    uart_receive(&f->uart, '7');
    assert_int_equal(in(f, IIR), 0xc4);
    assert_int_equal(in(f, RBR), '0');
    assert_int_equal(in(f, IIR), 0xc1);
    for (unsigned i = 8; i < 17; i++)
        uart_receive(&f->uart, (uint8_t)('0' + i));
    assert_false(uart_can_receive(&f->uart));
    uart_receive(&f->uart, '!'); /* overrun: the FIFO keeps what it has */
    assert_int_equal(in(f, LSR), 0x63);
    for (unsigned i = 1; i < 17; i++)
        assert_int_equal(in(f, RBR), '0' + i);
    assert_int_equal(in(f, LSR), 0x60);
    uart_receive(&f->uart, 'z');
    out(f, IIR, 0x83); /* clears the receiver */
    assert_int_equal(in(f, LSR), 0x60);
    assert_true(f->bench.events.next == EVENTS_NEVER);
}

static void character_timeout(void **state)
{
    struct fixture *f = *state;
    out(f, LCR, 0x83);
    out(f, RBR, 1); /* 115200 baud */
    out(f, IER, 0);
    out(f, LCR, 0x03);
    out(f, IIR, 0xc1);
    out(f, IER, 0x01);
    uart_receive(&f->uart, 'a');
    bench_step(&f->bench, 200000);
    uart_receive(&f->uart, 'b'); /* starts it anew */
    uint64_t due = 200000 + 40 * NS_PER_SECOND / 115200;
    bench_to(&f->bench, due - 1);
    assert_false(f->bench.level[4]);
    bench_to(&f->bench, due);
    assert_true(f->bench.level[4]);
    assert_int_equal(in(f, IIR), 0xcc);
    assert_int_equal(in(f, RBR), 'a');
    assert_false(f->bench.level[4]);
    bench_step(&f->bench, 400000);
    assert_int_equal(in(f, IIR), 0xcc);
    assert_int_equal(in(f, RBR), 'b');
    bench_step(&f->bench, 400000);
    assert_int_equal(in(f, IIR), 0xc1);
}

static void loopback(void **state)
{
    struct fixture *f = *state;
    out(f, MCR, 0x10);
    assert_int_equal(in(f, MSR), 0x0b); /* all inputs went off; RI was off */
    out(f, MCR, 0x1f);
    assert_int_equal(in(f, MSR), 0xfb);
    out(f, MCR, 0x1b);
    assert_int_equal(in(f, MSR), 0xb4); /* RI went off */
    assert_false(uart_can_receive(&f->uart));
    uart_receive(&f->uart, 'n');
    assert_int_equal(in(f, LSR), 0x60);
    out(f, RBR, 'l');
    assert_int_equal(f->length, 0);
    assert_int_equal(in(f, LSR), 0x61);
    assert_int_equal(in(f, RBR), 'l');
    out(f, IER, 0x08);
    assert_false(f->bench.level[4]);
    out(f, MCR, 0x13);
    assert_int_equal(in(f, IIR), 0x00);
    assert_true(f->bench.level[4]);
    in(f, MSR);
    assert_false(f->bench.level[4]);
}

static void priorities(void **state)
{
    struct fixture *f = *state;
    out(f, IER, 0x0f);
    uart_receive(&f->uart, 'a');
    uart_receive(&f->uart, 'b');
    out(f, MCR, 0x10);
    assert_int_equal(in(f, IIR), 0x06);
    in(f, LSR);
    assert_int_equal(in(f, IIR), 0x04);
    in(f, RBR);
    assert_int_equal(in(f, IIR), 0x02);
    assert_int_equal(in(f, IIR), 0x00);
    in(f, MSR);
    assert_int_equal(in(f, IIR), 0x01);
}

static void script(struct bench *bench, void *device)
{
    struct uart *uart = device;
    uint32_t random = 77;
    for (unsigned i = 0; i < 500; i++) {
        random = random * 1664525u + 1013904223u;
        bench_step(bench, random >> 3 & 0xfffff);
        if (uart_can_receive(uart) && (random >> 25 & 3) == 0)
            uart_receive(uart, (uint8_t)(random >> 16));
        if ((random >> 27) == 0)
            uart_write(uart, random >> 8 & 7, random >> 16 & 0xff, 1);
        bench_log(bench, uart_read(uart, random >> 11 & 7, 1));
    }
}

static void save_restore(void **state)
{
    struct fixture *f = *state;
    out(f, IIR, 0xc1);
    out(f, IER, 0x0f);
    uart_receive(&f->uart, 'q');
    uart_receive(&f->uart, 'r');
    bench_step(&f->bench, 100000);
    bench_check_restore(&f->bench, &f->uart.s, sizeof f->uart.s, uart_restored, &f->uart, script);
}

static void hostile_writes(void **state)
{
    struct fixture *f = *state;
    uint32_t random = 11;
    for (unsigned i = 0; i < 100000; i++) {
        random = random * 1664525u + 1013904223u;
        f->bench.logged = 0;
        out(f, random >> 4 & 7, random >> 16 & 0xff);
        in(f, random >> 8 & 7);
        uart_receive(&f->uart, (uint8_t)random);
        if ((random >> 28) == 0)
            bench_step(&f->bench, random >> 12 & 0xffff);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(registers), TEST(transmit), TEST(transmitter_interrupt), TEST(receive_without_fifo),
        TEST(fifo_trigger), TEST(character_timeout), TEST(loopback), TEST(priorities),
        TEST(save_restore), TEST(hostile_writes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
