/*
 * IDE channels: task file, interrupts, resets, PIO data; see ide.h.
 * ATA/ATAPI-6 (T13 1410D): "Host interface", "Protocols".
 *
 * Registers written go to both drives, as the cable does it. While the selected
 * drive has BSY or DRQ set, the command block takes no writes but DEVICE RESET.
 * A channel without drives floats (all ones); of a single device 0, selecting
 * device 1 shows status 00h and device 0's registers.
 *
 * Not modelled: transfer timing and modes (kept, no effect), overlapped and
 * queued commands, drives' own reset of settings by SRST, spin-up times.
 */
#include "machine/dev/ide_internal.h"

#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

enum { DATA, ERROR_FEATURE, COUNT, LBA_LOW, LBA_MIDDLE, LBA_HIGH, DEVICE, STATUS_COMMAND };

#define COMMAND_DIAGNOSE 0x90
#define COMMAND_DEVICE_RESET 0x08

/* Interrupts and phases. */

static void drive_irq(struct ide_channel *channel)
{
    bool level = channel->s->interrupt && !(channel->s->control & IDE_NIEN);
    if (level && !channel->irq_level)
        channel->s->master_status |= 0x04;
    channel->irq_level = level;
    line_set(&channel->irq, level);
}

static void set_interrupt(struct ide_channel *channel, bool level)
{
    channel->s->interrupt = level;
    drive_irq(channel);
}

static void set_deadline(struct ide_channel *channel, uint64_t deadline)
{
    channel->s->deadline = deadline;
    events_schedule(channel->ide->events, channel->timer, deadline);
}

static void enter(struct ide_channel *channel, enum ide_phase phase, uint64_t deadline)
{
    channel->s->phase = phase;
    set_deadline(channel, deadline);
}

void ide_busy(struct ide_channel *channel, enum ide_phase phase, uint64_t ns)
{
    struct ide_drive_state *s = ide_state_of(channel);
    s->status = IDE_BSY | (s->status & (IDE_DRDY | IDE_DSC));
    enter(channel, phase, clock_now(channel->ide->clock) + ns);
}

void ide_request(struct ide_channel *channel, enum ide_phase phase, bool interrupt)
{
    ide_state_of(channel)->status = IDE_DRDY | IDE_DSC | IDE_DRQ;
    enter(channel, phase, EVENTS_NEVER);
    if (interrupt)
        set_interrupt(channel, true);
}

void ide_end(struct ide_channel *channel, uint8_t error)
{
    struct ide_drive_state *s = ide_state_of(channel);
    s->error = error;
    s->status = IDE_DRDY | IDE_DSC | (error ? IDE_ERR : 0);
    enter(channel, IDE_IDLE, EVENTS_NEVER);
    set_interrupt(channel, true);
}

uint64_t ide_transfer_ns(uint64_t bytes)
{
    return IDE_COMMAND_NS + (bytes + DISK_SECTOR_BYTES - 1) / DISK_SECTOR_BYTES * IDE_SECTOR_NS;
}

/* Blocks. */

int ide_next_block(struct ide_channel *channel)
{
    struct ide_channel_state *s = channel->s;
    struct disk *disk = ide_drive_of(channel)->disk;
    bool fresh = s->from_medium || s->to_device;
    uint32_t start = fresh ? 0 : s->length;
    uint32_t bytes = s->remaining < s->block ? s->remaining : s->block;
    if (bytes > IDE_BUFFER_BYTES - start)
        bytes = IDE_BUFFER_BYTES - start;
    if (s->from_medium) {
        if (!disk || disk_read(disk, s->offset, s->buffer, bytes) < 0)
            return -1;
        s->offset += bytes;
    }
    s->position = start;
    s->length = start + bytes;
    s->remaining -= bytes;
    return 0;
}

int ide_store_block(struct ide_channel *channel)
{
    struct ide_channel_state *s = channel->s;
    struct disk *disk = ide_drive_of(channel)->disk;
    if (!disk || disk_write(disk, s->offset, s->buffer, s->length) < 0)
        return -1;
    s->offset += s->length;
    return 0;
}

static bool is_atapi(struct ide_channel *channel)
{
    return channel->s->command == 0xa0;
}

static void medium_failed(struct ide_channel *channel, uint8_t error)
{
    if (is_atapi(channel)) {
        atapi_check(channel, SENSE_READ_ERROR);
        return;
    }
    ide_report_address(channel);
    ide_end(channel, error);
}

/* BSY of a data-in block is over. */
static void loaded(struct ide_channel *channel)
{
    struct ide_channel_state *s = channel->s;
    if (ide_next_block(channel) < 0) {
        medium_failed(channel, IDE_UNC);
        return;
    }
    if (is_atapi(channel)) {
        struct ide_drive_state *drive = ide_state_of(channel);
        uint32_t bytes = s->length - s->position;
        drive->count = IDE_REASON_IN;
        drive->lba_middle = bytes & 0xff;
        drive->lba_high = bytes >> 8 & 0xff;
    }
    ide_request(channel, IDE_DATA_IN, true);
}

/* The host has read or written the whole block. */
static void block_done(struct ide_channel *channel)
{
    struct ide_channel_state *s = channel->s;
    if (s->phase == IDE_PACKET) {
        memcpy(s->packet, s->buffer, sizeof s->packet);
        ide_busy(channel, IDE_PACKET_BUSY, IDE_COMMAND_NS);
    } else if (s->phase == IDE_DATA_OUT) {
        ide_busy(channel, IDE_STORING, IDE_BLOCK_NS + s->length / 512 * IDE_SECTOR_NS);
    } else if (s->remaining) {
        uint32_t next = s->remaining < s->block ? s->remaining : s->block;
        ide_busy(channel, IDE_LOADING, IDE_BLOCK_NS + next / 512 * IDE_SECTOR_NS);
    } else if (is_atapi(channel)) {
        ide_busy(channel, IDE_FINISHING, IDE_BLOCK_NS);
    } else {
        ide_state_of(channel)->status = IDE_DRDY | IDE_DSC;
        enter(channel, IDE_IDLE, EVENTS_NEVER);
    }
}

static void stored(struct ide_channel *channel)
{
    if (ide_store_block(channel) < 0) {
        medium_failed(channel, IDE_ABRT);
    } else if (channel->s->remaining) {
        ide_next_block(channel);
        ide_request(channel, IDE_DATA_OUT, true);
    } else {
        ide_end(channel, 0);
    }
}

static uint64_t data_read(struct ide_channel *channel, unsigned bytes)
{
    struct ide_channel_state *s = channel->s;
    if (s->phase != IDE_DATA_IN)
        return 0;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes && s->position < s->length; i++)
        value |= (uint64_t)s->buffer[s->position++] << (8 * i);
    if (s->position >= s->length)
        block_done(channel);
    return value;
}

static void data_write(struct ide_channel *channel, uint64_t value, unsigned bytes)
{
    struct ide_channel_state *s = channel->s;
    if (s->phase != IDE_DATA_OUT && s->phase != IDE_PACKET)
        return;
    for (unsigned i = 0; i < bytes && s->position < s->length; i++)
        s->buffer[s->position++] = (uint8_t)(value >> (8 * i));
    if (s->position >= s->length)
        block_done(channel);
}

/* Resets. */

void ide_signature(struct ide_channel *channel, unsigned drive)
{
    struct ide_drive_state *s = &channel->s->drives[drive];
    bool cdrom = channel->drives[drive].kind == IDE_CDROM;
    s->count = 1;
    s->lba_low = 1;
    s->lba_middle = cdrom ? 0x14 : 0;
    s->lba_high = cdrom ? 0xeb : 0;
    s->device &= IDE_DEV;
}

static void both_reset(struct ide_channel *channel)
{
    for (unsigned i = 0; i < 2; i++) {
        struct ide_drive_state *s = &channel->s->drives[i];
        s->device = 0;
        ide_signature(channel, i);
        s->error = 1;
        s->status = channel->drives[i].kind == IDE_DISK ? IDE_DRDY | IDE_DSC : 0;
    }
    channel->s->selected = 0;
    enter(channel, IDE_IDLE, EVENTS_NEVER);
}

static void begin_reset(struct ide_channel *channel)
{
    channel->s->drives[0].status = IDE_BSY;
    channel->s->drives[1].status = IDE_BSY;
    channel->s->command = 0;
    enter(channel, IDE_RESETTING, EVENTS_NEVER);
    set_interrupt(channel, false);
}

static void device_reset(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    ide_signature(channel, channel->s->selected);
    s->error = 1;
    s->status = 0;
    channel->s->command = 0;
    enter(channel, IDE_IDLE, EVENTS_NEVER);
    set_interrupt(channel, false);
}

static void event(void *device, uint64_t now)
{
    struct ide_channel *channel = device;
    (void)now;
    channel->s->deadline = EVENTS_NEVER;
    switch ((enum ide_phase)channel->s->phase) {
    case IDE_RESETTING:
        both_reset(channel);
        break;
    case IDE_DIAGNOSING:
        both_reset(channel);
        set_interrupt(channel, true);
        break;
    case IDE_FINISHING:
        if (is_atapi(channel))
            atapi_good(channel);
        else
            ide_end(channel, 0);
        break;
    case IDE_FAILING:
        ide_end(channel, ide_state_of(channel)->error);
        break;
    case IDE_LOADING:
        loaded(channel);
        break;
    case IDE_STORING:
        stored(channel);
        break;
    case IDE_DMA:
        ide_master_run(channel);
        break;
    case IDE_PACKET_BUSY:
        atapi_execute(channel);
        break;
    default: /* phases that wait for the host have no deadline */
        break;
    }
}

/* Registers. */

static bool empty(const struct ide_channel *channel)
{
    return channel->drives[0].kind == IDE_ABSENT && channel->drives[1].kind == IDE_ABSENT;
}

static uint8_t status_read(struct ide_channel *channel)
{
    if (empty(channel))
        return 0xff;
    return ide_drive_of(channel)->kind == IDE_ABSENT ? 0 : ide_state_of(channel)->status;
}

static uint8_t half(const struct ide_channel *channel, uint16_t value)
{
    return (uint8_t)(channel->s->control & IDE_HOB ? value >> 8 : value);
}

static uint8_t register_read(struct ide_channel *channel, unsigned number)
{
    bool single = ide_drive_of(channel)->kind == IDE_ABSENT;
    const struct ide_drive_state *s = single ? &channel->s->drives[0] : ide_state_of(channel);
    if (empty(channel))
        return 0xff;
    if (single && channel->s->selected == 0)
        return 0;
    switch (number) {
    case ERROR_FEATURE: return s->error;
    case COUNT: return half(channel, s->count);
    case LBA_LOW: return half(channel, s->lba_low);
    case LBA_MIDDLE: return half(channel, s->lba_middle);
    case LBA_HIGH: return half(channel, s->lba_high);
    case DEVICE: return s->device;
    default: return 0;
    }
}

uint64_t ide_command_read(void *device, uint64_t offset, unsigned bytes)
{
    struct ide_channel *channel = device;
    offset &= 7;
    if (offset == DATA && !empty(channel))
        return data_read(channel, bytes);
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++) {
        unsigned number = (unsigned)(offset + i) & 7;
        uint8_t byte = number == STATUS_COMMAND ? status_read(channel)
                                                : register_read(channel, number);
        if (number == STATUS_COMMAND)
            set_interrupt(channel, false);
        value |= (uint64_t)byte << (8 * i);
    }
    return value;
}

static void command_register(struct ide_channel *channel, uint8_t value)
{
    uint8_t status = ide_state_of(channel)->status;
    enum ide_drive_kind kind = ide_drive_of(channel)->kind;
    if (value == COMMAND_DEVICE_RESET && kind == IDE_CDROM
        && channel->s->phase != IDE_RESETTING) {
        device_reset(channel);
        return;
    }
    bool both = value == COMMAND_DIAGNOSE;
    if (empty(channel) || (kind == IDE_ABSENT && !both) || (status & (IDE_BSY | IDE_DRQ)))
        return;
    set_interrupt(channel, false);
    channel->s->command = value;
    if (both) {
        channel->s->drives[0].status = IDE_BSY;
        channel->s->drives[1].status = IDE_BSY;
        enter(channel, IDE_DIAGNOSING, clock_now(channel->ide->clock) + IDE_RESET_NS);
    } else {
        ide_command(channel, value);
    }
}

static void register_write(struct ide_channel *channel, unsigned number, uint8_t value)
{
    channel->s->control &= (uint8_t)~IDE_HOB;
    if (number == STATUS_COMMAND) {
        command_register(channel, value);
        return;
    }
    if (ide_state_of(channel)->status & (IDE_BSY | IDE_DRQ))
        return;
    for (unsigned i = 0; i < 2; i++) {
        struct ide_drive_state *s = &channel->s->drives[i];
        switch (number) {
        case ERROR_FEATURE: s->feature = (uint16_t)(s->feature << 8 | value); break;
        case COUNT: s->count = (uint16_t)(s->count << 8 | value); break;
        case LBA_LOW: s->lba_low = (uint16_t)(s->lba_low << 8 | value); break;
        case LBA_MIDDLE: s->lba_middle = (uint16_t)(s->lba_middle << 8 | value); break;
        case LBA_HIGH: s->lba_high = (uint16_t)(s->lba_high << 8 | value); break;
        case DEVICE: s->device = value; break;
        }
    }
    if (number == DEVICE)
        channel->s->selected = (value & IDE_DEV) != 0;
}

void ide_command_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct ide_channel *channel = device;
    offset &= 7;
    if (offset == DATA) {
        data_write(channel, value, bytes);
        return;
    }
    for (unsigned i = 0; i < bytes; i++)
        if (((offset + i) & 7) != DATA)
            register_write(channel, (unsigned)(offset + i) & 7, (uint8_t)(value >> (8 * i)));
}

/* Alternate status: as status, but the interrupt stays. */
uint64_t ide_control_read(void *device, uint64_t offset, unsigned bytes)
{
    (void)offset;
    (void)bytes;
    return status_read(device);
}

void ide_control_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct ide_channel *channel = device;
    (void)offset;
    (void)bytes;
    uint8_t before = channel->s->control;
    channel->s->control = value & (IDE_NIEN | IDE_SRST | IDE_HOB);
    if ((value & IDE_SRST) && !(before & IDE_SRST))
        begin_reset(channel);
    else if (!(value & IDE_SRST) && (before & IDE_SRST))
        set_deadline(channel, clock_now(channel->ide->clock) + IDE_RESET_NS);
    drive_irq(channel);
}

/* Life. */

void ide_init(struct ide *ide, const struct clock *clock, struct events *events,
              const struct dma *dma, const struct line irq[2])
{
    memset(ide, 0, sizeof *ide);
    ide->clock = clock;
    ide->events = events;
    ide->dma = dma;
    for (unsigned i = 0; i < 2; i++) {
        struct ide_channel *channel = &ide->channels[i];
        channel->s = &ide->s.channels[i];
        channel->ide = ide;
        channel->irq = irq[i];
        channel->timer = events_add(events, i ? "ide1" : "ide0", event, channel);
        channel->s->deadline = EVENTS_NEVER;
    }
}

void ide_attach(struct ide *ide, unsigned channel, unsigned drive, enum ide_drive_kind kind,
                struct disk *disk)
{
    ASSERT(channel < 2 && drive < 2);
    ASSERT(disk || kind != IDE_DISK);
    ide->channels[channel].drives[drive] = (struct ide_drive){
        .kind = kind, .disk = disk, .number = 2 * channel + drive,
    };
}

void ide_reset(struct ide *ide)
{
    for (unsigned i = 0; i < 2; i++) {
        struct ide_channel *channel = &ide->channels[i];
        memset(channel->s, 0, sizeof *channel->s);
        channel->s->block = IDE_BUFFER_BYTES;
        for (unsigned k = 0; k < 2; k++) {
            channel->s->drives[k].write_cache = 1;
            channel->s->drives[k].look_ahead = 1;
            ide_geometry(&channel->drives[k], &channel->s->drives[k]);
        }
        both_reset(channel);
        drive_irq(channel);
    }
}

/* A section can come from a damaged file: what indexes is brought in range. */
static void check_ranges(struct ide_channel_state *s)
{
    s->selected &= 1;
    if (s->phase >= IDE_PHASES)
        s->phase = IDE_IDLE;
    if (s->length > IDE_BUFFER_BYTES)
        s->length = IDE_BUFFER_BYTES;
    if (s->position > s->length)
        s->position = s->length;
    if (s->block == 0 || s->block > IDE_BUFFER_BYTES)
        s->block = IDE_BUFFER_BYTES;
}

void ide_restored(void *device)
{
    struct ide *ide = device;
    for (unsigned i = 0; i < 2; i++) {
        struct ide_channel *channel = &ide->channels[i];
        check_ranges(channel->s);
        set_deadline(channel, channel->s->deadline);
        channel->irq_level = channel->s->interrupt && !(channel->s->control & IDE_NIEN);
        line_set(&channel->irq, channel->irq_level);
    }
}
