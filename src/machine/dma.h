/*
 * Physical memory as a bus-mastering device sees it. Writes keep translated
 * code, cached page-table entries and dirty-page tracking coherent, and are
 * logged when the trace holds DMA payloads. Addresses outside RAM read as
 * ones and drop writes; neither fails. Lengths are in bytes, any alignment.
 */
#ifndef MACHINE_DMA_H
#define MACHINE_DMA_H

#include <stdint.h>

struct dma {
    void (*read_function)(void *context, uint64_t address, void *bytes, uint64_t length);
    void (*write_function)(void *context, uint64_t address, const void *bytes, uint64_t length);
    void *context;
};

static inline void dma_read(const struct dma *dma, uint64_t address, void *bytes, uint64_t length)
{
    dma->read_function(dma->context, address, bytes, length);
}

static inline void dma_write(const struct dma *dma, uint64_t address, const void *bytes,
                             uint64_t length)
{
    dma->write_function(dma->context, address, bytes, length);
}

#endif
