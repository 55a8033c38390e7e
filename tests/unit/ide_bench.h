/*
 * A bench for the IDE controller: a disk as primary master, a CD-ROM as
 * secondary master and an empty CD drive as its slave; virtual time is stepped
 * by hand and RAM is an array.
 */
#ifndef TESTS_IDE_BENCH_H
#define TESTS_IDE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/dev/ide.h"
#include "util/bits.h"

#define DISK_BYTES (20u << 20)
#define CD_BYTES (64u * 2048)
#define RAM_BYTES (1u << 20)

enum { DATA, ERROR, COUNT, LOW, MIDDLE, HIGH, DEVICE, STATUS };

static uint8_t image[DISK_BYTES], cd_image[CD_BYTES], ram[RAM_BYTES];
static struct ide ide;
static struct disk disk, cd;
static struct clock now;
static struct events events;
static bool irq[2];
static bool medium_fails;

static inline int read_image(void *context, uint64_t offset, void *bytes, uint64_t length)
{
    if (medium_fails)
        return -1;
    memcpy(bytes, (uint8_t *)context + offset, length);
    return 0;
}

static inline void ram_read(void *context, uint64_t address, void *bytes, uint64_t length)
{
    (void)context;
    for (uint64_t i = 0; i < length; i++)
        ((uint8_t *)bytes)[i] = address + i < RAM_BYTES ? ram[address + i] : 0xff;
}

static inline void ram_write(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    (void)context;
    for (uint64_t i = 0; i < length; i++)
        if (address + i < RAM_BYTES)
            ram[address + i] = ((const uint8_t *)bytes)[i];
}

static const struct dma dma = { ram_read, ram_write, NULL };

static inline void set_irq(void *receiver, unsigned input, bool level)
{
    (void)receiver;
    irq[input] = level;
}

static inline int setup(void **state)
{
    (void)state;
    for (unsigned i = 0; i < DISK_BYTES; i++)
        image[i] = (uint8_t)(i >> 9 ^ i);
    for (unsigned i = 0; i < CD_BYTES; i++)
        cd_image[i] = (uint8_t)(i >> 11 ^ i * 3);
    memset(ram, 0, sizeof ram);
    memset(&now, 0, sizeof now);
    now.s.ns_per_instruction = 1;
    irq[0] = irq[1] = false;
    medium_fails = false;
    events_init(&events, NULL, NULL);
    disk_init(&disk, &(struct disk_source){ read_image, image, DISK_BYTES });
    disk_init(&cd, &(struct disk_source){ read_image, cd_image, CD_BYTES });
    const struct line irqs[2] = { { set_irq, NULL, 0 }, { set_irq, NULL, 1 } };
    ide_init(&ide, &now, &events, &dma, irqs);
    ide_attach(&ide, 0, 0, IDE_DISK, &disk);
    ide_attach(&ide, 1, 0, IDE_CDROM, &cd);
    ide_attach(&ide, 1, 1, IDE_CDROM, NULL);
    ide_reset(&ide);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    disk_free(&disk);
    disk_free(&cd);
    return 0;
}

static inline void advance(uint64_t ns)
{
    now.s.idle_ns += ns;
    events_run(&events, clock_now(&now));
}

static inline uint8_t in(unsigned channel, unsigned reg)
{
    return (uint8_t)ide_command_read(&ide.channels[channel], reg, 1);
}

static inline void out(unsigned channel, unsigned reg, unsigned value)
{
    ide_command_write(&ide.channels[channel], reg, value, 1);
}

static inline uint8_t alternate(unsigned channel)
{
    return (uint8_t)ide_control_read(&ide.channels[channel], 0, 1);
}

static inline void control(unsigned channel, unsigned value)
{
    ide_control_write(&ide.channels[channel], 0, value, 1);
}

/* Lets the channel work until BSY clears (at most a second); checks that the
 * time is not zero. */
static inline uint8_t wait(unsigned channel)
{
    assert_true(alternate(channel) & 0x80);
    for (unsigned i = 0; i < 100000 && (alternate(channel) & 0x80); i++)
        advance(10000);
    assert_false(alternate(channel) & 0x80);
    return alternate(channel);
}

/* Waits for an interrupt and acknowledges it. */
static inline uint8_t wait_irq(unsigned channel)
{
    wait(channel);
    assert_true(irq[channel]);
    uint8_t status = in(channel, STATUS);
    assert_false(irq[channel]);
    return status;
}

static inline void address28(unsigned channel, uint32_t lba, unsigned count)
{
    out(channel, DEVICE, 0xe0 | lba >> 24);
    out(channel, COUNT, count);
    out(channel, LOW, lba & 0xff);
    out(channel, MIDDLE, lba >> 8 & 0xff);
    out(channel, HIGH, lba >> 16 & 0xff);
}

static inline void address48(unsigned channel, uint64_t lba, unsigned count)
{
    out(channel, DEVICE, 0xe0);
    out(channel, COUNT, count >> 8);
    out(channel, LOW, lba >> 24 & 0xff);
    out(channel, MIDDLE, lba >> 32 & 0xff);
    out(channel, HIGH, lba >> 40 & 0xff);
    out(channel, COUNT, count & 0xff);
    out(channel, LOW, lba & 0xff);
    out(channel, MIDDLE, lba >> 8 & 0xff);
    out(channel, HIGH, lba >> 16 & 0xff);
}

static inline void data_in(unsigned channel, uint8_t *bytes, unsigned length, unsigned width)
{
    for (unsigned i = 0; i < length; i += width) {
        uint32_t value = (uint32_t)ide_command_read(&ide.channels[channel], DATA, width);
        memcpy(bytes + i, &value, width);
    }
}

static inline void data_out(unsigned channel, const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i += 2)
        ide_command_write(&ide.channels[channel], DATA, load16(bytes + i), 2);
}

/* Bus master. */

static inline void descriptor(uint32_t at, uint32_t address, uint32_t bytes, bool last)
{
    store32(ram + at, address);
    store32(ram + at + 4, (bytes & 0xffff) | (last ? 1u << 31 : 0));
}

static inline uint8_t master_status(unsigned channel)
{
    return (uint8_t)ide_master_read(&ide, 8 * channel + 2, 1);
}

static inline void master(unsigned channel, uint32_t table, unsigned command)
{
    ide_master_write(&ide, 8 * channel, 0, 1);
    ide_master_write(&ide, 8 * channel + 2, 6, 1);
    ide_master_write(&ide, 8 * channel + 4, table, 4);
    ide_master_write(&ide, 8 * channel, command, 1);
}

/* Issues PACKET and sends the packet itself. */
static inline void packet(unsigned channel, const uint8_t bytes[12], unsigned feature,
                          unsigned limit)
{
    out(channel, ERROR, feature);
    out(channel, MIDDLE, limit & 0xff);
    out(channel, HIGH, limit >> 8);
    out(channel, STATUS, 0xa0);
    assert_int_equal(alternate(channel) & 0x88, 0x08);
    assert_int_equal(in(channel, COUNT), 1);
    data_out(channel, bytes, 12);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
