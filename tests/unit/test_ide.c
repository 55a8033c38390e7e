/* The IDE controller: task file, ATA commands, bus master, restores. */
#include "ide_bench.h"

static void empty_places(void **state)
{
    (void)state;
    assert_int_equal(in(0, STATUS), 0x50);
    out(0, DEVICE, 0xb0); /* no slave */
    assert_int_equal(in(0, STATUS), 0);
    assert_int_equal(in(0, DEVICE), 0xb0);
    out(0, STATUS, 0xec);
    advance(1000000);
    assert_false(irq[0]);
    ide_attach(&ide, 0, 0, IDE_ABSENT, NULL);
    ide_reset(&ide);
    assert_int_equal(in(0, STATUS), 0xff);
    assert_int_equal(ide_command_read(&ide.channels[0], DATA, 2), 0xffff);
    out(0, STATUS, 0x90);
    assert_int_equal(in(0, STATUS), 0xff);
}

static void soft_reset(void **state)
{
    (void)state;
    for (unsigned channel = 0; channel < 2; channel++) {
        out(channel, LOW, 0x55);
        assert_int_equal(in(channel, LOW), 0x55);
        control(channel, 0x04);
        assert_int_equal(alternate(channel), 0x80);
        advance(1000000);
        assert_int_equal(alternate(channel), 0x80);
        control(channel, 0);
        wait(channel);
        assert_false(irq[channel]);
        assert_int_equal(in(channel, ERROR), 1);
        assert_int_equal(in(channel, COUNT), 1);
        assert_int_equal(in(channel, LOW), 1);
        assert_int_equal(in(channel, MIDDLE), channel ? 0x14 : 0);
        assert_int_equal(in(channel, HIGH), channel ? 0xeb : 0);
        assert_int_equal(in(channel, STATUS), channel ? 0 : 0x50);
    }
    out(1, DEVICE, 0xb0);
    assert_int_equal(in(1, HIGH), 0xeb);
    out(1, STATUS, 0x90); /* diagnostics select device 0 */
    wait_irq(1);
    assert_int_equal(in(1, DEVICE), 0);
    assert_int_equal(in(1, ERROR), 1);
}

static void identify(void **state)
{
    (void)state;
    uint8_t bytes[512], sum = 0;
    out(0, DEVICE, 0xa0);
    out(0, STATUS, 0xec);
    assert_int_equal(wait_irq(0), 0x58);
    data_in(0, bytes, 512, 4);
    assert_int_equal(in(0, STATUS), 0x50);
    assert_false(irq[0]);
    for (unsigned i = 0; i < 512; i++)
        sum = (uint8_t)(sum + bytes[i]);
    assert_int_equal(sum, 0);
    assert_int_equal(load16(bytes), 0x0040);
    assert_int_equal(load32(bytes + 120), DISK_BYTES / 512);
    assert_int_equal(load64(bytes + 200), DISK_BYTES / 512);
    assert_int_equal(load16(bytes + 2), DISK_BYTES / 512 / 1008);
    assert_memory_equal(bytes + 54, "rGuodnoh giDks", 14);
    out(0, STATUS, 0xa1);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 4);
    out(1, DEVICE, 0xa0);
    out(1, STATUS, 0xec);
    assert_int_equal(wait_irq(1), 0x51);
    assert_int_equal(in(1, MIDDLE), 0x14);
    assert_int_equal(in(1, HIGH), 0xeb);
    out(1, STATUS, 0xa1);
    wait_irq(1);
    data_in(1, bytes, 512, 2);
    assert_int_equal(load16(bytes), 0x85c0);
}

static void read_pio(void **state)
{
    (void)state;
    uint8_t bytes[512];
    address28(0, 100, 3);
    out(0, STATUS, 0x20);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(wait_irq(0), 0x58);
        data_in(0, bytes, 512, 2);
        assert_memory_equal(bytes, image + (100 + i) * 512, 512);
    }
    assert_int_equal(alternate(0), 0x50);
    /* CHS 2/3/4 */
    out(0, DEVICE, 0xa3);
    out(0, COUNT, 1);
    out(0, LOW, 4);
    out(0, MIDDLE, 2);
    out(0, HIGH, 0);
    out(0, STATUS, 0x20);
    wait_irq(0);
    data_in(0, bytes, 512, 4);
    assert_memory_equal(bytes, image + ((2 * 16 + 3) * 63 + 3) * 512, 512);
    address48(0, DISK_BYTES / 512 - 1, 1);
    out(0, STATUS, 0x24);
    wait_irq(0);
    data_in(0, bytes, 512, 1);
    assert_memory_equal(bytes, image + DISK_BYTES - 512, 512);
    address48(0, 0x123456789a, 0x1122);
    control(0, 0x82);
    assert_int_equal(in(0, COUNT), 0x11);
    assert_int_equal(in(0, LOW), 0x34);
    assert_int_equal(in(0, MIDDLE), 0x12);
    control(0, 0);
    assert_int_equal(in(0, LOW), 0x9a);
}

static void write_pio(void **state)
{
    (void)state;
    static uint8_t bytes[16 * 512], back[20 * 512];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    address28(0, 50, 2);
    out(0, STATUS, 0x30);
    assert_int_equal(alternate(0), 0x58);
    assert_false(irq[0]);
    data_out(0, bytes, 512);
    assert_int_equal(wait_irq(0), 0x58);
    data_out(0, bytes + 512, 512);
    assert_int_equal(wait_irq(0), 0x50);
    disk_read(&disk, 50 * 512, back, 1024);
    assert_memory_equal(back, bytes, 1024);
    assert_int_equal(image[50 * 512 + 1], (uint8_t)(50 ^ 1));
    /* Multiple: 20 sectors by 16. */
    address28(0, 60, 20);
    out(0, STATUS, 0xc4);
    assert_int_equal(wait_irq(0), 0x51); /* not set yet */
    out(0, COUNT, 3);
    out(0, STATUS, 0xc6);
    assert_int_equal(wait_irq(0), 0x51);
    out(0, COUNT, 16);
    out(0, STATUS, 0xc6);
    assert_int_equal(wait_irq(0), 0x50);
    address28(0, 60, 20);
    out(0, STATUS, 0xc5);
    data_out(0, bytes, 16 * 512);
    assert_int_equal(wait_irq(0), 0x58);
    data_out(0, bytes, 4 * 512);
    assert_int_equal(wait_irq(0), 0x50);
    address48(0, 60, 20);
    out(0, STATUS, 0x29);
    assert_int_equal(wait_irq(0), 0x58);
    data_in(0, back, 16 * 512, 4);
    assert_int_equal(wait_irq(0), 0x58);
    data_in(0, back + 16 * 512, 4 * 512, 4);
    assert_memory_equal(back, bytes, 16 * 512);
    assert_memory_equal(back + 16 * 512, bytes, 4 * 512);
}

static void range_errors(void **state)
{
    (void)state;
    address28(0, DISK_BYTES / 512 - 1, 2);
    out(0, STATUS, 0x20);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 0x10);
    address48(0, 0xffffffffffff, 0);
    out(0, STATUS, 0x24);
    assert_int_equal(wait_irq(0), 0x51);
    out(0, DEVICE, 0xa0);
    out(0, LOW, 0); /* CHS sector 0 */
    out(0, STATUS, 0x20);
    assert_int_equal(wait_irq(0), 0x51);
    medium_fails = true;
    address28(0, 1000, 1);
    out(0, STATUS, 0x20);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 0x40);
    assert_int_equal(in(0, LOW), 1000 & 0xff);
    out(0, STATUS, 0x30);
    data_out(0, image, 512);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 0x04);
}

static void write_ext_and_chs_errors(void **state)
{
    (void)state;
    static uint8_t bytes[1024];
    memset(bytes, 0x3c, sizeof bytes);
    address48(0, 300, 2);
    out(0, STATUS, 0x34);
    data_out(0, bytes, 512);
    assert_int_equal(wait_irq(0), 0x58);
    data_out(0, bytes, 512);
    assert_int_equal(wait_irq(0), 0x50);
    out(0, COUNT, 2);
    out(0, STATUS, 0xc6);
    wait_irq(0);
    address48(0, 302, 2);
    out(0, STATUS, 0x39);
    data_out(0, bytes, 1024);
    assert_int_equal(wait_irq(0), 0x50);
    for (unsigned i = 300; i < 304; i++) {
        disk_read(&disk, i * 512, bytes + 512, 512);
        assert_memory_equal(bytes, bytes + 512, 512);
    }
    medium_fails = true;
    out(0, DEVICE, 0xa3); /* cylinder 1, head 3, sector 4 */
    out(0, COUNT, 1);
    out(0, LOW, 4);
    out(0, MIDDLE, 1);
    out(0, HIGH, 0);
    out(0, STATUS, 0x20);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 0x40);
    assert_int_equal(in(0, DEVICE), 0xa3);
    assert_int_equal(in(0, LOW), 4);
    assert_int_equal(in(0, MIDDLE), 1);
    out(0, COUNT, 0); /* no sectors a track */
    out(0, STATUS, 0x91);
    assert_int_equal(wait_irq(0), 0x51);
}

static void plain_commands(void **state)
{
    (void)state;
    static const uint8_t good[] = { 0x10, 0x1f, 0x40, 0x42, 0x70, 0x91, 0xe7, 0xea, 0xe0, 0xe1,
                                    0xe2, 0xe3, 0xe6, 0x94, 0x97, 0x27, 0xf8, 0xe5 };
    static const uint8_t bad[] = { 0x00, 0x08, 0xa0, 0xb0, 0xf9, 0xc7, 0x22, 0xf5, 0xff };
    for (unsigned i = 0; i < sizeof good; i++) {
        address48(0, 5, 1);
        out(0, STATUS, good[i]);
        assert_int_equal(wait_irq(0), 0x50);
    }
    for (unsigned i = 0; i < sizeof bad; i++) {
        address28(0, 5, 1);
        out(0, STATUS, bad[i]);
        assert_int_equal(wait_irq(0), 0x51);
        assert_int_equal(in(0, ERROR), 4);
    }
    out(0, STATUS, 0xf8);
    wait_irq(0);
    assert_int_equal(in(0, LOW) | in(0, MIDDLE) << 8 | in(0, HIGH) << 16, DISK_BYTES / 512 - 1);
    out(0, STATUS, 0xe0);
    wait_irq(0);
    out(0, STATUS, 0xe5);
    wait_irq(0);
    assert_int_equal(in(0, COUNT), 0);
    address28(0, 5, 1);
    out(0, STATUS, 0x40);
    wait_irq(0);
    out(0, STATUS, 0xe5);
    wait_irq(0);
    assert_int_equal(in(0, COUNT), 0xff);
    static const uint16_t features[][2] = { { 0x03, 0x42 }, { 0x02, 0 }, { 0x82, 0 }, { 0xaa, 0 } };
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        out(0, ERROR, features[i][0]);
        out(0, COUNT, features[i][1]);
        out(0, STATUS, 0xef);
        assert_int_equal(wait_irq(0), 0x50);
    }
    uint8_t bytes[512];
    out(0, STATUS, 0xec);
    wait_irq(0);
    data_in(0, bytes, 512, 2);
    assert_int_equal(load16(bytes + 176), 0x043f);
    assert_int_equal(load16(bytes + 170) & 0x20, 0);
}

static void interrupts(void **state)
{
    (void)state;
    control(0, 2); /* nIEN */
    out(0, STATUS, 0xe7);
    wait(0);
    assert_false(irq[0]);
    assert_int_equal(ide_master_read(&ide, 2, 1) & 4, 0);
    control(0, 0); /* it was pending */
    assert_true(irq[0]);
    assert_int_equal(ide_master_read(&ide, 2, 1) & 4, 4);
    alternate(0);
    assert_true(irq[0]);
    out(0, STATUS, 0xe7); /* a command clears it */
    assert_false(irq[0]);
    out(0, LOW, 0x77); /* BSY: no writes */
    out(0, STATUS, 0xec);
    wait_irq(0);
    assert_int_not_equal(in(0, LOW), 0x77);
    assert_int_equal(alternate(0), 0x50);
}

static void dma_reads(void **state)
{
    (void)state;
    descriptor(0x1000, 0x10000, 1000, false);
    descriptor(0x1008, 0x20000, 65536, false);
    descriptor(0x1010, 0x40000, 100 * 512 - 1000, true);
    address48(0, 7, 228);
    out(0, STATUS, 0x25);
    master(0, 0x1000, 9);
    assert_int_equal(master_status(0), 1);
    assert_int_equal(wait(0), 0x50);
    assert_int_equal(master_status(0), 4);
    assert_int_equal(in(0, STATUS), 0x50);
    assert_int_equal(master_status(0), 4); /* stays until written */
    assert_memory_equal(ram + 0x10000, image + 7 * 512, 1000);
    assert_memory_equal(ram + 0x20000, image + 7 * 512 + 1000, 65536);
    assert_memory_equal(ram + 0x40000, image + 7 * 512 + 66536, 100 * 512 - 1000);
    ide_master_write(&ide, 2, 0x64, 1);
    assert_int_equal(master_status(0), 0x60);
    assert_int_equal(ide_master_read(&ide, 4, 4), 0x1000);
    assert_int_equal(ide_master_read(&ide, 0, 4), 0x600009);
}

static void dma_write_to_disk(void **state)
{
    (void)state;
    static uint8_t back[40 * 512];
    for (unsigned i = 0; i < sizeof back; i++)
        ram[0x30000 + i] = (uint8_t)(i * 11);
    descriptor(0x1000, 0x30000, sizeof back, true);
    address28(0, 1000, 40);
    master(0, 0x1000, 1); /* started before the command */
    out(0, STATUS, 0xca);
    assert_int_equal(wait_irq(0), 0x50);
    assert_int_equal(master_status(0), 4);
    disk_read(&disk, 1000 * 512, back, sizeof back);
    assert_memory_equal(back, ram + 0x30000, sizeof back);
}

static void dma_odd_tables(void **state)
{
    (void)state;
    /* A table longer than the data: Active stays on. */
    descriptor(0x1000, 0x10000, 8192, true);
    address28(0, 0, 1);
    master(0, 0x1000, 9);
    out(0, STATUS, 0xc8);
    assert_int_equal(wait_irq(0), 0x50);
    assert_int_equal(master_status(0), 5);
    ide_master_write(&ide, 0, 8, 1);
    assert_int_equal(master_status(0), 4);
    /* A shorter one: Active off, no interrupt; a new table goes on. */
    descriptor(0x1000, 0x10000, 700, true);
    descriptor(0x2000, 0x10000 + 700, 1024 - 700, true);
    address28(0, 4, 2);
    master(0, 0x1000, 9);
    out(0, STATUS, 0xc8);
    assert_int_equal(wait(0) & 8, 8);
    assert_false(irq[0]);
    assert_int_equal(master_status(0), 0);
    advance(1000000);
    master(0, 0x2000, 9);
    assert_int_equal(wait_irq(0), 0x50);
    assert_int_equal(master_status(0), 4);
    assert_memory_equal(ram + 0x10000, image + 4 * 512, 1024);
    /* The wrong direction moves nothing; SRST gets out of it. */
    master(0, 0x1000, 1);
    out(0, STATUS, 0xc8);
    wait(0);
    advance(1000000);
    assert_false(irq[0]);
    control(0, 4);
    control(0, 0);
    assert_int_equal(wait(0), 0x50);
    /* Descriptors from nowhere, and an endless table. */
    address28(0, 4, 2);
    master(0, 0xfffffffc, 9);
    out(0, STATUS, 0xc8);
    wait(0);
    control(0, 4);
    control(0, 0);
    wait(0);
    for (unsigned at = 0x20000; at < 0x30000; at += 8)
        descriptor(at, 0x40001, 3, false);
    address48(0, 0, 0x8000);
    master(0, 0x20000, 9);
    out(0, STATUS, 0x25);
    assert_int_equal(wait_irq(0), 0x50);
    assert_memory_equal(ram + 0x40000, image + 0x8000 * 512 - 2, 2);
}

static void dma_errors(void **state)
{
    (void)state;
    descriptor(0x1000, 0x10000, 4096, true);
    medium_fails = true;
    master(0, 0x1000, 9);
    address48(0, 0x1234, 8);
    out(0, STATUS, 0x25);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 0x40);
    assert_int_equal(master_status(0), 5);
    master(0, 0x1000, 1);
    address28(0, 0x1235, 1); /* part of a block: needs the base */
    out(0, STATUS, 0xca);
    assert_int_equal(wait_irq(0), 0x51);
    assert_int_equal(in(0, ERROR), 0x04);
    assert_int_equal(in(0, LOW), 0x35);
}

/* Every phase of a multi-sector read and write, saved and gone on with twice. */
static void save_and_restore(void **state)
{
    (void)state;
    static struct ide_state saved, ends[2];
    uint8_t bytes[512];
    struct clock clock;
    address28(0, 5, 2);
    out(0, STATUS, 0x20);
    packet(1, (const uint8_t[12]){ 0x28, 0, 0, 0, 0, 3, 0, 0, 1 }, 0, 700);
    advance(15000);
    saved = ide.s;
    clock = now;
    for (unsigned round = 0; round < 2; round++) {
        ide.s = saved;
        now = clock;
        irq[0] = irq[1] = true;
        ide_restored(&ide);
        assert_memory_equal(&ide.s, &saved, sizeof saved);
        assert_false(irq[0] || irq[1]);
        wait_irq(0);
        data_in(0, bytes, 512, 2);
        wait_irq(0);
        data_in(0, bytes, 256, 2);
        advance(100000);
        assert_true(irq[1]);
        assert_int_equal(in(1, STATUS), 0x58);
        data_in(1, bytes, 400, 2);
        ends[round] = ide.s;
        assert_memory_equal(bytes, cd_image + 3 * 2048, 400);
        control(0, 4);
        advance(100000000);
        ide_reset(&ide);
    }
    assert_memory_equal(&ends[0], &ends[1], sizeof ends[0]);
}

static uint32_t seed;

static uint32_t random32(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

/* One random thing that a guest or time may do; commands are likely ones. */
static void random_step(void)
{
    static const uint8_t commands[] = { 0xec, 0x20, 0x24, 0x30, 0xc4, 0xc5, 0xc6, 0xc8, 0xca, 0x25,
                                        0x35, 0xa0, 0xa0, 0xa1, 0x08, 0x90, 0xe5, 0xef };
    static const uint8_t packets[] = { 0x00, 0x03, 0x12, 0x1b, 0x1e, 0x25, 0x28, 0x43, 0x46,
                                       0x4a, 0x51, 0x5a, 0xa8, 0xbd, 0xbe };
    uint32_t r = random32();
    unsigned channel = r & 1, kind = r >> 1 & 15, value = r >> 8 & 0xff, reg = r >> 5 & 7;
    switch (kind) {
    case 0: case 1: case 2:
        if (reg != STATUS)
            out(channel, reg, reg == DEVICE ? 0xe0 | (value & 0x10) : value & 0x1f);
        break;
    case 3:
        out(channel, STATUS, value < 240 ? commands[value % sizeof commands] : value);
        break;
    case 4: case 5:
        for (unsigned i = 0; i < 300; i++)
            ide_command_read(&ide.channels[channel], DATA, 2);
        break;
    case 6:
        for (unsigned i = 0; i < 300; i++)
            ide_command_write(&ide.channels[channel], DATA, random32(), 4);
        break;
    case 7:
        ide_command_write(&ide.channels[channel], DATA, packets[value % sizeof packets], 2);
        for (unsigned i = 0; i < 5; i++)
            ide_command_write(&ide.channels[channel], DATA, i < 3 ? 0x100 : random32() & 3, 2);
        break;
    case 8: ide_command_read(&ide.channels[channel], reg, 1); break;
    case 9: ide_master_write(&ide, 8 * channel, value & 1 ? 9 : value & 9, 1); break;
    case 10: ide_master_write(&ide, 8 * channel + 4, (value & 7) << 12, 4); break;
    case 11: ide_master_write(&ide, 8 * channel + 2, value, 1); break;
    case 12:
        if (value < 16)
            control(channel, value);
        break;
    default: advance(1000 + value * 300); break;
    }
}

/* Whether and when states are saved and restored makes no difference. */
static void restore_is_unobservable(void **state)
{
    static struct ide_state saved, ends[2];
    static uint8_t memory[2][RAM_BYTES];
    uint64_t digests[2];
    for (unsigned round = 0; round < 2; round++) {
        setup(state);
        seed = 99;
        for (unsigned at = 0x1000; at < 0x8000; at += 0x1000)
            for (unsigned i = 0; i < 8; i++)
                descriptor(at + 8 * i, random32() % RAM_BYTES, random32() & 0x3fff, i == at >> 12);
        for (unsigned i = 0; i < 100000; i++) {
            random_step();
            if (round == 1 && i % 7 == 0) {
                saved = ide.s;
                bool levels[2] = { irq[0], irq[1] };
                ide_reset(&ide);
                ide.s = saved;
                ide_restored(&ide);
                assert_memory_equal(&ide.s, &saved, sizeof saved);
                assert_true(irq[0] == levels[0] && irq[1] == levels[1]);
            }
        }
        ends[round] = ide.s;
        memcpy(memory[round], ram, sizeof ram);
        disk_prepare(&disk);
        digests[round] = disk.s.digest;
        assert_true(disk.s.overlay_blocks > 0);
        teardown(state);
    }
    setup(state);
    assert_memory_equal(&ends[0], &ends[1], sizeof ends[0]);
    assert_memory_equal(memory[0], memory[1], sizeof memory[0]);
    assert_true(digests[0] == digests[1]);
}

/* Random states, as from a damaged file: nothing may crash or hang. */
static void hostile_state(void **state)
{
    (void)state;
    seed = 3;
    for (unsigned i = 0; i < 60; i++) {
        for (unsigned k = 0; k < sizeof ide.s; k++)
            ((uint8_t *)&ide.s)[k] = (uint8_t)random32();
        for (unsigned k = 0; k < 2; k++) {
            ide.s.channels[k].remaining &= 0xffffff;
            ide.s.channels[k].phase = random32() % 15;
            ide.s.channels[k].deadline &= 0xffffff;
        }
        ide_restored(&ide);
        for (unsigned k = 0; k < 2000; k++)
            random_step();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(empty_places), TEST(soft_reset), TEST(identify), TEST(read_pio), TEST(write_pio),
        TEST(write_ext_and_chs_errors), TEST(range_errors), TEST(plain_commands),
        TEST(interrupts), TEST(dma_reads), TEST(dma_write_to_disk), TEST(dma_odd_tables),
        TEST(dma_errors), TEST(save_and_restore), TEST(restore_is_unobservable),
        TEST(hostile_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
