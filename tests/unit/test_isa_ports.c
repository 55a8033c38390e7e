/* The small ISA chips: ports 92h, CF9h, F0h, the debug ports, the 8237 pair. */
#include "chip_bench.h"

#include "machine/dev/debugcon.h"
#include "machine/dev/debugexit.h"
#include "machine/dev/dma8237.h"
#include "machine/dev/fpu_error.h"
#include "machine/dev/port92.h"
#include "machine/dev/reset_control.h"

static int setup(void **state)
{
    struct bench *bench = malloc(sizeof *bench);
    bench_init(bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static void system_control_port_a(void **state)
{
    struct bench *bench = *state;
    struct port92 port92;
    port92_init(&port92, bench_line(bench, 0), bench_line(bench, 1));
    assert_true(bench->level[0]);
    assert_int_equal(port92_read(&port92, 0, 1), 0x02);
    port92_write(&port92, 0, 0x00, 1);
    assert_false(bench->level[0]);
    assert_false(port92_a20(&port92));
    port92_write(&port92, 0, 0x03, 1);
    assert_true(bench->level[0]);
    assert_int_equal(bench->rises[1], 1);
    port92_write(&port92, 0, 0x03, 1); /* no new edge */
    assert_int_equal(bench->rises[1], 1);
    port92_show_a20(&port92, false);
    assert_int_equal(port92_read(&port92, 0, 1), 0x01);
    port92_reset(&port92);
    assert_int_equal(port92_read(&port92, 0, 1), 0x02);
}

static void log_reset(void *context, bool hard)
{
    bench_log(context, hard);
}

static void reset_control(void **state)
{
    struct bench *bench = *state;
    struct reset_control control;
    reset_control_init(&control, log_reset, bench);
    reset_control_write(&control, 0, 0x02, 1);
    assert_int_equal(bench->logged, 0);
    reset_control_write(&control, 0, 0x06, 1);
    assert_int_equal(bench->logged, 1);
    assert_int_equal(bench->log[0], true);
    reset_control_write(&control, 0, 0xfe, 1); /* no new edge */
    assert_int_equal(bench->logged, 1);
    assert_int_equal(reset_control_read(&control, 0, 1), 0x06);
    reset_control_write(&control, 0, 0x00, 1);
    reset_control_write(&control, 0, 0x04, 1);
    assert_int_equal(bench->logged, 2);
    assert_int_equal(bench->log[1], false);
    reset_control_reset(&control);
    assert_int_equal(reset_control_read(&control, 0, 1), 0x00);
}

static void coprocessor_error(void **state)
{
    struct bench *bench = *state;
    struct fpu_error error;
    fpu_error_init(&error, bench_line(bench, 13), bench_line(bench, 1));
    fpu_error_set_ferr(&error, 0, true);
    assert_true(bench->level[13]);
    assert_false(bench->level[1]);
    fpu_error_write(&error, 1, 0, 1);
    assert_true(bench->level[13]);
    fpu_error_write(&error, 0, 0, 1);
    assert_false(bench->level[13]);
    assert_true(bench->level[1]);
    fpu_error_set_ferr(&error, 0, true); /* no change: no new request */
    assert_false(bench->level[13]);
    fpu_error_set_ferr(&error, 0, false);
    assert_false(bench->level[1]);
    fpu_error_write(&error, 0, 0, 1);
    assert_false(bench->level[1]);
    fpu_error_set_ferr(&error, 0, true);
    assert_true(bench->level[13]);
    fpu_error_reset(&error);
    assert_false(bench->level[13]);
}

static void log_bytes(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    assert_int_equal(length, 1);
    bench_log(context, unit << 8 | bytes[0]);
}

static void log_exit(void *context, uint32_t status)
{
    bench_log(context, status);
}

static void debug_ports(void **state)
{
    struct bench *bench = *state;
    struct debugcon debugcon;
    struct debugexit debugexit;
    debugcon_init(&debugcon, 4, log_bytes, bench);
    debugexit_init(&debugexit, log_exit, bench);
    assert_int_equal(debugcon_read(&debugcon, 0, 1), 0xe9);
    debugcon_write(&debugcon, 0, 'x', 1);
    assert_int_equal(debugcon.s.bytes_written, 1);
    assert_int_equal(debugexit_read(&debugexit, 0, 1), 0);
    debugexit_write(&debugexit, 0, 0x10, 4);
    debugexit_write(&debugexit, 0, 0xffffffff, 4);
    assert_int_equal(bench->log[0], 0x400 | 'x');
    assert_int_equal(bench->log[1], 0x21);
    assert_int_equal(bench->log[2], 0xffffffff);
    assert_int_equal(bench->logged, 3);
}

static void dma_controllers(void **state)
{
    (void)state;
    struct dma8237 dma;
    dma8237_init(&dma);
    /* Address and count through the flip-flop, as firmware tests them. */
    for (unsigned offset = 0; offset < 8; offset++) {
        dma8237_write_first(&dma, 0x0c, 0, 1);
        dma8237_write_first(&dma, offset, 0x34 + offset, 1);
        dma8237_write_first(&dma, offset, 0x12, 1);
        dma8237_write_second(&dma, offset * 2, 0x78 + offset, 1);
        dma8237_write_second(&dma, offset * 2, 0x56, 1);
    }
    for (unsigned offset = 0; offset < 8; offset++) {
        assert_int_equal(dma8237_read_first(&dma, offset, 1), 0x34 + offset);
        assert_int_equal(dma8237_read_first(&dma, offset, 1), 0x12);
        assert_int_equal(dma8237_read_second(&dma, offset * 2, 1), 0x78 + offset);
        assert_int_equal(dma8237_read_second(&dma, offset * 2, 1), 0x56);
    }
    assert_int_equal(dma.s.chips[0].mask, 0x0f);
    dma8237_write_second(&dma, 0x14, 0x00, 1); /* unmask channel 4 */
    assert_int_equal(dma.s.chips[1].mask, 0x0e);
    dma8237_write_first(&dma, 0x09, 0x06, 1);
    assert_int_equal(dma8237_read_first(&dma, 0x08, 1), 0x40);
    dma8237_write_first(&dma, 0x0b, 0x46, 1);
    assert_int_equal(dma.s.chips[0].channels[2].mode, 0x44);
    dma8237_write_first(&dma, 0x0d, 0, 1);
    assert_int_equal(dma8237_read_first(&dma, 0x08, 1), 0x00);
    assert_int_equal(dma8237_read_first(&dma, 0x0d, 1), 0x00);
    dma8237_write_first(&dma, 0x0e, 0, 1);
    assert_int_equal(dma.s.chips[0].mask, 0x00);
    for (unsigned i = 0; i < 16; i++)
        dma8237_write_pages(&dma, i, 0xa0 + i, 1);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(dma8237_read_pages(&dma, i, 1), 0xa0 + i);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(system_control_port_a), TEST(reset_control), TEST(coprocessor_error),
        TEST(debug_ports), TEST(dma_controllers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
