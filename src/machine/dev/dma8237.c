/*
 * Two 8237A and their page registers, as registers.
 *
 * Sources: Intel 8237A data sheet (231466-005), "Register description"; IBM
 * PC/AT technical reference for the page registers and the port spacing.
 *
 * Not modelled: transfers, of any kind; the DREQ inputs are never active, so
 * a software request stays in the request register. Compressed timing and
 * memory-to-memory bits of the command register are stored.
 */
#include "machine/dev/dma8237.h"

#include <string.h>

enum control_register { /* offsets 8..15 */
    COMMAND_STATUS = 8,
    REQUEST = 9,
    SINGLE_MASK = 10,
    MODE = 11,
    CLEAR_FLIP_FLOP = 12,
    MASTER_CLEAR = 13, /* read: temporary register */
    CLEAR_MASK = 14,
    ALL_MASK = 15,
};

#define SET_BIT 0x04 /* of REQUEST and SINGLE_MASK: set, not clear */
#define FLOATING 0xff

static void master_clear(struct dma8237_chip_state *chip)
{
    chip->command = 0;
    chip->status = 0;
    chip->request = 0;
    chip->temporary = 0;
    chip->flip_flop = 0;
    chip->mask = 0xf;
}

void dma8237_init(struct dma8237 *dma)
{
    dma8237_reset(dma);
}

void dma8237_reset(struct dma8237 *dma)
{
    memset(&dma->s, 0, sizeof dma->s);
    master_clear(&dma->s.chips[0]);
    master_clear(&dma->s.chips[1]);
}

static uint8_t read_chip(struct dma8237_chip_state *chip, uint64_t offset)
{
    if (offset < COMMAND_STATUS) {
        const struct dma8237_channel_state *channel = &chip->channels[offset >> 1];
        uint16_t value = offset & 1 ? channel->count : channel->address;
        chip->flip_flop ^= 1;
        return (uint8_t)(chip->flip_flop ? value : value >> 8);
    }
    if (offset == COMMAND_STATUS) {
        uint8_t value = (uint8_t)(chip->request << 4 | chip->status);
        chip->status = 0; /* reading clears the terminal counts */
        return value;
    }
    return offset == MASTER_CLEAR ? chip->temporary : FLOATING;
}

static void write_channel(struct dma8237_chip_state *chip, uint64_t offset, uint8_t value)
{
    struct dma8237_channel_state *channel = &chip->channels[offset >> 1];
    uint16_t *base = offset & 1 ? &channel->base_count : &channel->base_address;
    uint16_t *current = offset & 1 ? &channel->count : &channel->address;
    *base = chip->flip_flop ? (uint16_t)(value << 8 | (*base & 0xff))
                            : (uint16_t)((*base & 0xff00) | value);
    *current = *base;
    chip->flip_flop ^= 1;
}

static uint8_t with_bit(uint8_t bits, uint8_t value)
{
    uint8_t bit = (uint8_t)(1u << (value & 3));
    return value & SET_BIT ? bits | bit : bits & (uint8_t)~bit;
}

static void write_chip(struct dma8237_chip_state *chip, uint64_t offset, uint8_t value)
{
    switch (offset) {
    case COMMAND_STATUS: chip->command = value; break;
    case REQUEST: chip->request = with_bit(chip->request, value); break;
    case SINGLE_MASK: chip->mask = with_bit(chip->mask, value); break;
    case MODE: chip->channels[value & 3].mode = value & 0xfc; break;
    case CLEAR_FLIP_FLOP: chip->flip_flop = 0; break;
    case MASTER_CLEAR: master_clear(chip); break;
    case CLEAR_MASK: chip->mask = 0; break;
    case ALL_MASK: chip->mask = value & 0xf; break;
    default: write_channel(chip, offset, value); break;
    }
}

uint64_t dma8237_read_first(void *device, uint64_t offset, unsigned bytes)
{
    struct dma8237 *dma = device;
    (void)bytes;
    return read_chip(&dma->s.chips[0], offset & 15);
}

void dma8237_write_first(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct dma8237 *dma = device;
    (void)bytes;
    write_chip(&dma->s.chips[0], offset & 15, (uint8_t)value);
}

uint64_t dma8237_read_second(void *device, uint64_t offset, unsigned bytes)
{
    struct dma8237 *dma = device;
    (void)bytes;
    return read_chip(&dma->s.chips[1], offset >> 1 & 15);
}

void dma8237_write_second(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct dma8237 *dma = device;
    (void)bytes;
    write_chip(&dma->s.chips[1], offset >> 1 & 15, (uint8_t)value);
}

uint64_t dma8237_read_pages(void *device, uint64_t offset, unsigned bytes)
{
    const struct dma8237 *dma = device;
    (void)bytes;
    return dma->s.pages[offset & 15];
}

void dma8237_write_pages(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct dma8237 *dma = device;
    (void)bytes;
    dma->s.pages[offset & 15] = (uint8_t)value;
}
