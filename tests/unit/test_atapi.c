/* Packet commands of the ATAPI CD-ROM, by PIO and DMA. */
#include "ide_bench.h"

/* Runs a packet by PIO; returns the bytes of data, -1 for CHECK CONDITION. */
static int run_packet(unsigned channel, const uint8_t bytes[12], unsigned limit, uint8_t *data,
                      unsigned room)
{
    unsigned length = 0;
    packet(channel, bytes, 0, limit);
    for (;;) {
        uint8_t status = wait_irq(channel);
        if (!(status & 8)) {
            assert_int_equal(in(channel, COUNT), 3);
            return status & 1 ? -1 : (int)length;
        }
        assert_int_equal(in(channel, COUNT), 2);
        unsigned count = in(channel, MIDDLE) | (unsigned)in(channel, HIGH) << 8;
        assert_true(count > 0 && count <= limit && length + count <= room);
        for (unsigned i = 0; i < count; i += 2) {
            uint16_t word = (uint16_t)ide_command_read(&ide.channels[channel], DATA, 2);
            memcpy(data + length + i, &word, count - i < 2 ? 1 : 2);
        }
        length += count;
    }
}

static uint32_t sense(unsigned channel)
{
    uint8_t data[18];
    assert_int_equal(run_packet(channel, (const uint8_t[12]){ 0x03, 0, 0, 0, 18 }, 0xfffe, data,
                                sizeof data), 18);
    return (uint32_t)data[2] << 16 | (uint32_t)data[12] << 8 | data[13];
}

static void packet_information(void **state)
{
    (void)state;
    uint8_t data[512];
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x00 }, 0, data, 0), 0);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x12, 0, 0, 0, 36 }, 36, data, 512), 36);
    assert_int_equal(data[0], 5);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x12, 0, 0, 0, 5 }, 36, data, 512), 5);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x25 }, 8, data, 512), 8);
    assert_memory_equal(data, ((const uint8_t[]){ 0, 0, 0, 63, 0, 0, 8, 0 }), 8);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x43, 2, 0, 0, 0, 0, 0, 0, 99 }, 12, data,
                                512), 20);
    assert_memory_equal(data, ((const uint8_t[]){ 0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0,
                                                  0, 0x14, 0xaa, 0, 0, 0, 2, 64 }), 20);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x43, 0, 1, 0, 0, 0, 0, 0, 99 }, 12, data,
                                512), 12);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x43, 0, 0, 0, 0, 0, 0, 0, 99, 0x80 }, 99,
                                data, 512), 48);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 99 }, 99,
                                data, 512), 28);
    assert_int_equal(data[8], 0x2a);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x46, 0, 0, 0, 0, 0, 0, 1, 0 }, 999, data,
                                512), 60);
    assert_int_equal(data[3], 56);
    assert_int_equal(data[7], 8);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x4a, 1, 0, 0, 16, 0, 0, 0, 8 }, 8, data,
                                512), 8);
    assert_int_equal(data[5], 2);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x51, 0, 0, 0, 0, 0, 0, 0, 99 }, 99, data,
                                512), 34);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8 }, 99, data,
                                512), 8);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 99 }, 99,
                                data, 512), 36);
    assert_int_equal(data[8] << 8 | data[16], 0x012a);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x5a, 0, 0x7f, 0, 0, 0, 0, 0, 99 }, 99,
                                data, 512), 36); /* what can be changed: nothing */
    assert_int_equal(data[17], 18);
    for (unsigned i = 18; i < 36; i++)
        assert_int_equal(data[i], 0);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x4a, 1, 0, 0, 2, 0, 0, 0, 8 }, 8, data,
                                512), 4);
    assert_int_equal(data[2], 0x80);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x28 }, 8, data, 512), 0);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x46, 2, 0, 0x1e, 0, 0, 0, 0, 99 }, 99,
                                data, 512), 16);
    /* Refusals. */
    static const struct { uint8_t packet[12]; uint32_t sense; } rows[] = {
        { { 0xff }, 0x052000 },
        { { 0x2a }, 0x052000 },
        { { 0x12, 1 }, 0x052400 },
        { { 0x28, 0, 0, 0, 0, 64, 0, 0, 1 }, 0x052100 },
        { { 0x28, 0, 0, 0, 0, 63, 0, 0, 2 }, 0x052100 },
        { { 0xa8, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff }, 0x052100 },
        { { 0x2b, 0, 0, 0, 1 }, 0x052100 },
        { { 0x43, 0, 5 }, 0x052400 },
        { { 0x5a, 0, 0xea }, 0x053900 },
        { { 0x5a, 0, 0x11 }, 0x052400 },
        { { 0x4a, 0, 0, 0, 16 }, 0x052400 },
        { { 0x46, 3 }, 0x052400 },
        { { 0x51, 1 }, 0x052400 },
        { { 0x43, 0, 0, 0, 0, 0, 2 }, 0x052400 },
        { { 0xbe, 0, 0, 0, 0, 0, 0, 0, 1, 0xf8 }, 0x052400 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(run_packet(1, rows[i].packet, 512, data, 512), -1);
        assert_int_equal(in(1, ERROR), (rows[i].sense >> 16) << 4 | 4);
        assert_int_equal(sense(1), rows[i].sense);
        assert_int_equal(sense(1), 0);
    }
}

static void packet_reads(void **state)
{
    (void)state;
    static uint8_t data[20 * 2048];
    static const uint16_t limits[] = { 2048, 65534, 65535, 512, 1000, 126, 3001 };
    for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
        memset(data, 0, sizeof data);
        assert_int_equal(run_packet(1, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 9, 0, 0, 20 },
                                    limits[i], data, sizeof data), 20 * 2048);
        assert_memory_equal(data, cd_image + 9 * 2048, 20 * 2048);
    }
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0xa8, 0, 0, 0, 0, 63, 0, 0, 0, 1 }, 2048,
                                data, sizeof data), 2048);
    assert_memory_equal(data, cd_image + 63 * 2048, 2048);
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10 }, 2048,
                                data, sizeof data), 2048);
    medium_fails = true;
    assert_int_equal(run_packet(1, (const uint8_t[12]){ 0xa8, 0, 0, 0, 0, 63, 0, 0, 0, 1 }, 2048,
                                data, sizeof data), -1);
    assert_int_equal(sense(1), 0x031100);
}

static void packet_dma(void **state)
{
    (void)state;
    descriptor(0x1000, 0x10000, 5 * 2048, true);
    packet(1, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 3, 0, 0, 5 }, 1, 0);
    master(1, 0x1000, 9);
    assert_int_equal(wait_irq(1), 0x50);
    assert_int_equal(in(1, COUNT), 3);
    assert_int_equal(master_status(1), 4);
    assert_int_equal(master_status(0), 0);
    assert_memory_equal(ram + 0x10000, cd_image + 3 * 2048, 5 * 2048);
    descriptor(0x1000, 0x10000, 36, true);
    master(1, 0x1000, 9);
    packet(1, (const uint8_t[12]){ 0x12, 0, 0, 0, 36 }, 1, 0);
    assert_int_equal(wait_irq(1), 0x50);
    assert_int_equal(ram[0x10000], 5);
    packet(1, (const uint8_t[12]){ 0xff }, 1, 0);
    assert_int_equal(wait_irq(1), 0x51);
    medium_fails = true;
    master(1, 0x1000, 9);
    packet(1, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 3, 0, 0, 5 }, 1, 0);
    assert_int_equal(wait_irq(1), 0x51);
    assert_int_equal(sense(1), 0x031100);
}

static void tray(void **state)
{
    (void)state;
    uint8_t data[8];
    static const uint8_t ready[12] = { 0 }, open[12] = { 0x1b, 0, 0, 0, 2 };
    static const uint8_t shut[12] = { 0x1b, 0, 0, 0, 3 }, lock[12] = { 0x1e, 0, 0, 0, 1 };
    static const uint8_t unlock[12] = { 0x1e }, event[12] = { 0x4a, 1, 0, 0, 16, 0, 0, 0, 8 };
    out(1, DEVICE, 0xb0);
    assert_int_equal(run_packet(1, ready, 0, data, 0), -1);
    assert_int_equal(sense(1), 0x023a00);
    out(1, DEVICE, 0xa0);
    run_packet(1, lock, 0, data, 0);
    assert_int_equal(run_packet(1, open, 0, data, 0), -1);
    assert_int_equal(sense(1), 0x055302);
    run_packet(1, unlock, 0, data, 0);
    assert_int_equal(run_packet(1, open, 0, data, 0), 0);
    assert_int_equal(run_packet(1, ready, 0, data, 0), -1);
    assert_int_equal(sense(1), 0x023a02);
    assert_int_equal(run_packet(1, event, 8, data, 8), 8);
    assert_int_equal(data[4], 3);
    assert_int_equal(data[5], 1);
    assert_int_equal(run_packet(1, shut, 0, data, 0), 0);
    assert_int_equal(sense(1), 0x062800);
    run_packet(1, open, 0, data, 0);
    assert_int_equal(run_packet(1, shut, 0, data, 0), 0);
    assert_int_equal(run_packet(1, ready, 0, data, 0), -1);
    assert_int_equal(sense(1), 0x062800);
    assert_int_equal(run_packet(1, ready, 0, data, 0), 0);
    out(1, STATUS, 0xa0); /* DEVICE RESET takes effect with DRQ set */
    out(1, STATUS, 0x08);
    assert_int_equal(alternate(1), 0);
    assert_int_equal(in(1, HIGH), 0xeb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(packet_information), TEST(packet_reads), TEST(packet_dma), TEST(tray),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
