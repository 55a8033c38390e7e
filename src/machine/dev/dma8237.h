/*
 * The ISA DMA controllers: two Intel 8237A with their page registers, as
 * registers only; no device here asks them for a transfer.
 *
 * Ranges: controller 1 (channels 0..3) 00h..0Fh, controller 2 (channels 4..7)
 * C0h..DFh, page registers 80h..8Fh. Port 80h is also where firmware writes
 * its progress codes: it reads back what was written.
 */
#ifndef MACHINE_DEV_DMA8237_H
#define MACHINE_DEV_DMA8237_H

#include <stdint.h>

struct dma8237_channel_state {
    uint16_t base_address;
    uint16_t base_count;
    uint16_t address;
    uint16_t count;
    uint8_t mode; /* bits 7..2 */
    uint8_t pad[1];
};

struct dma8237_chip_state {
    struct dma8237_channel_state channels[4];
    uint8_t command;
    uint8_t status;   /* terminal counts, bits 3..0 */
    uint8_t request;  /* software requests, bits 3..0 */
    uint8_t mask;     /* bits 3..0 */
    uint8_t temporary;
    uint8_t flip_flop; /* 1: the next byte is the high one */
    uint8_t pad[2];
};

struct dma8237_state {
    struct dma8237_chip_state chips[2];
    uint8_t pages[16]; /* ports 80h..8Fh */
};
_Static_assert(sizeof(struct dma8237_channel_state) == 10, "no hidden padding");
_Static_assert(sizeof(struct dma8237_state) == 112, "no hidden padding");

struct dma8237 {
    struct dma8237_state s;
};

void dma8237_init(struct dma8237 *dma);
void dma8237_reset(struct dma8237 *dma);

/* Ports, one byte wide. Offsets: first 0..Fh, second 0..1Fh (registers are two
 * ports apart), pages 0..Fh. */
uint64_t dma8237_read_first(void *device, uint64_t offset, unsigned bytes);
void dma8237_write_first(void *device, uint64_t offset, uint64_t value, unsigned bytes);
uint64_t dma8237_read_second(void *device, uint64_t offset, unsigned bytes);
void dma8237_write_second(void *device, uint64_t offset, uint64_t value, unsigned bytes);
uint64_t dma8237_read_pages(void *device, uint64_t offset, unsigned bytes);
void dma8237_write_pages(void *device, uint64_t offset, uint64_t value, unsigned bytes);

#endif
