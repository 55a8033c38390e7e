/*
 * Bus master of the PIIX3 IDE function; see ide.h. "Programming Interface for
 * Bus Master IDE Controller" 1.0; Intel 82371SB data sheet, "BMICOM, BMISTA,
 * BMIDTP".
 *
 * A transfer happens at one moment, when the drive is ready and the master
 * started, whichever comes last. The descriptor table is read then. When it
 * ends before the drive's data, Active goes off and the drive keeps waiting,
 * without an interrupt; when it is longer, Active stays on.
 *
 * Not modelled: master aborts (addresses outside RAM read as ones and drop
 * writes), so the Error bit never comes on; simplex mode.
 */
#include "machine/dev/ide_internal.h"

#include "util/bits.h"

#define START 0x01
#define TO_MEMORY 0x08 /* BMICOM RWCON: the master writes memory */
#define ACTIVE 0x01
#define ERROR 0x02
#define INTERRUPT 0x04
#define CAPABLE 0x60

#define WAKE_NS 1000u /* from the start bit to a transfer that waits for it */

/* Where the master stands in the descriptor table. */
struct cursor {
    uint32_t table;   /* next descriptor */
    uint32_t address; /* next byte */
    uint32_t left;    /* bytes of this region */
    bool last;        /* this region ends the table */
};

/* Goes on to the next region when this one is used up; false: table ended. */
static bool advance(const struct dma *dma, struct cursor *cursor)
{
    if (cursor->left)
        return true;
    if (cursor->last)
        return false;
    uint8_t descriptor[8];
    dma_read(dma, cursor->table, descriptor, sizeof descriptor);
    uint32_t count = load32(descriptor + 4);
    cursor->address = load32(descriptor) & ~1u;
    cursor->left = count & 0xfffe ? count & 0xfffe : 65536;
    cursor->last = count >> 31;
    /* The table does not cross a 64 KiB border: the address wraps in it. */
    cursor->table = (cursor->table & 0xffff0000) | ((cursor->table + 8) & 0xffff);
    return true;
}

/* Moves the rest of the buffer's block; false: the table ended before. */
static bool move_block(struct ide_channel *channel, struct cursor *cursor)
{
    struct ide_channel_state *s = channel->s;
    const struct dma *dma = channel->ide->dma;
    while (s->position < s->length) {
        if (!advance(dma, cursor))
            return false;
        uint32_t bytes = s->length - s->position;
        if (bytes > cursor->left)
            bytes = cursor->left;
        if (s->to_device)
            dma_read(dma, cursor->address, s->buffer + s->position, bytes);
        else
            dma_write(dma, cursor->address, s->buffer + s->position, bytes);
        s->position += bytes;
        s->transferred += bytes;
        cursor->address += bytes;
        cursor->left -= bytes;
    }
    return true;
}

enum outcome { DONE, MORE_TO_COME, BAD_MEDIUM };

static enum outcome transfer(struct ide_channel *channel, struct cursor *cursor)
{
    struct ide_channel_state *s = channel->s;
    for (;;) {
        if (s->position >= s->length) {
            if (!s->remaining)
                return DONE;
            if (ide_next_block(channel) < 0)
                return BAD_MEDIUM;
        }
        if (!move_block(channel, cursor))
            return MORE_TO_COME;
        if (s->to_device && ide_store_block(channel) < 0)
            return BAD_MEDIUM;
    }
}

static bool direction_fits(const struct ide_channel_state *s)
{
    bool to_memory = s->master_command & TO_MEMORY;
    return to_memory == !s->to_device;
}

void ide_master_run(struct ide_channel *channel)
{
    struct ide_channel_state *s = channel->s;
    if (!(s->master_command & START) || !(s->master_status & ACTIVE) || !direction_fits(s)) {
        ide_request(channel, IDE_DMA_WAITING, false);
        return;
    }
    struct cursor cursor = { .table = s->prd_table };
    enum outcome outcome = transfer(channel, &cursor);
    bool table_ended = cursor.left == 0 && cursor.last;
    if (table_ended)
        s->master_status &= (uint8_t)~ACTIVE;
    if (outcome == MORE_TO_COME) {
        ide_request(channel, IDE_DMA_WAITING, false);
    } else if (s->command == 0xa0) {
        if (outcome == DONE)
            atapi_good(channel);
        else
            atapi_check(channel, SENSE_READ_ERROR);
    } else {
        if (outcome == BAD_MEDIUM)
            ide_report_address(channel);
        ide_end(channel, outcome == DONE ? 0 : s->to_device ? IDE_ABRT : IDE_UNC);
    }
}

static void command_write(struct ide_channel *channel, uint8_t value)
{
    struct ide_channel_state *s = channel->s;
    bool was_started = s->master_command & START;
    s->master_command = value & (START | TO_MEMORY);
    if (!(value & START)) {
        s->master_status &= (uint8_t)~ACTIVE;
    } else if (!was_started) {
        s->master_status |= ACTIVE;
        if (s->phase == IDE_DMA_WAITING)
            ide_busy(channel, IDE_DMA, WAKE_NS);
    }
}

static uint8_t byte_read(const struct ide_channel_state *s, unsigned offset)
{
    switch (offset) {
    case 0: return s->master_command;
    case 2: return s->master_status;
    case 4 ... 7: return (uint8_t)(s->prd_table >> (8 * (offset - 4)));
    default: return 0;
    }
}

static void byte_write(struct ide_channel *channel, unsigned offset, uint8_t value)
{
    struct ide_channel_state *s = channel->s;
    unsigned shift = 8 * (offset & 3);
    switch (offset) {
    case 0:
        command_write(channel, value);
        break;
    case 2: /* error and interrupt are cleared by ones */
        s->master_status = (uint8_t)((s->master_status & ~CAPABLE & ~(value & (ERROR | INTERRUPT)))
                                     | (value & CAPABLE));
        break;
    case 4 ... 7:
        s->prd_table = (s->prd_table & ~(0xffu << shift)) | (uint32_t)value << shift;
        s->prd_table &= ~3u;
        break;
    }
}

uint64_t ide_master_read(void *device, uint64_t offset, unsigned bytes)
{
    struct ide *ide = device;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned at = (unsigned)(offset + i) & 15;
        value |= (uint64_t)byte_read(&ide->s.channels[at >> 3], at & 7) << (8 * i);
    }
    return value;
}

void ide_master_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct ide *ide = device;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned at = (unsigned)(offset + i) & 15;
        byte_write(&ide->channels[at >> 3], at & 7, (uint8_t)(value >> (8 * i)));
    }
}
