/*
 * ATA commands of a hard disk, and those that an ATAPI device shares; see
 * ide.h. ATA/ATAPI-6 (T13 1410D), "Command descriptions"; the older power
 * management codes 94h..99h from ATA-3.
 *
 * A command whose sectors do not all lie on the disk fails with IDNF at once
 * and moves nothing.
 *
 * Not modelled: SMART, security, host protected area (READ NATIVE MAX ADDRESS
 * answers, SET MAX aborts), queued and streaming commands, READ/WRITE LONG and
 * BUFFER, standby timers (the power mode is kept, nothing spins).
 */
#include "machine/dev/ide_internal.h"

#include <string.h>

#define MULTIPLE_MAXIMUM (IDE_BUFFER_BYTES / DISK_SECTOR_BYTES)
#define LBA28_SECTORS (1ull << 28)

enum { POWER_STANDBY = 0x00, POWER_IDLE = 0x80, POWER_ACTIVE = 0xff };

/* Flags of a command. */
#define EXT 1      /* 48-bit address */
#define TO_DISK 2
#define MULTIPLE 4 /* blocks of several sectors */
#define BY_DMA 8
#define NO_DATA 16 /* verify, seek */

static void finish(struct ide_channel *channel)
{
    ide_busy(channel, IDE_FINISHING, IDE_COMMAND_NS);
}

static void fail(struct ide_channel *channel, uint8_t error)
{
    ide_state_of(channel)->error = error;
    ide_busy(channel, IDE_FAILING, IDE_COMMAND_NS);
}

/* Addresses. */

void ide_geometry(const struct ide_drive *drive, struct ide_drive_state *s)
{
    uint64_t sectors = drive->kind == IDE_DISK ? disk_sectors(drive->disk) : 0;
    uint64_t cylinders = sectors / (16 * 63);
    s->heads = 16;
    s->sectors = 63;
    s->cylinders = (uint16_t)(cylinders > 16383 ? 16383 : cylinders ? cylinders : 1);
}

/* The first sector that the task file names; UINT64_MAX when CHS is not one. */
static uint64_t first_sector(const struct ide_drive_state *s, bool ext)
{
    uint64_t low = (uint64_t)(s->lba_low & 0xff) | (s->lba_middle & 0xff) << 8
                 | (uint64_t)(s->lba_high & 0xff) << 16;
    if (ext)
        return low | (uint64_t)(s->lba_low >> 8) << 24 | (uint64_t)(s->lba_middle >> 8) << 32
             | (uint64_t)(s->lba_high >> 8) << 40;
    if (s->device & IDE_LBA)
        return low | (uint64_t)(s->device & 15) << 24;
    unsigned sector = s->lba_low & 0xff, head = s->device & 15, cylinder = (unsigned)(low >> 8);
    if (sector == 0 || sector > s->sectors || head >= s->heads)
        return UINT64_MAX;
    return ((uint64_t)cylinder * s->heads + head) * s->sectors + sector - 1;
}

static uint32_t sector_count(const struct ide_drive_state *s, bool ext)
{
    if (ext)
        return s->count ? s->count : 65536;
    return s->count & 0xff ? s->count & 0xff : 256;
}

static void put_lba28(struct ide_drive_state *s, uint64_t lba)
{
    s->lba_low = lba & 0xff;
    s->lba_middle = lba >> 8 & 0xff;
    s->lba_high = lba >> 16 & 0xff;
    s->device = (uint8_t)((s->device & 0xf0) | (lba >> 24 & 15));
}

static void put_lba48(struct ide_drive_state *s, uint64_t lba)
{
    s->lba_low = (uint16_t)((lba >> 24 & 0xff) << 8 | (lba & 0xff));
    s->lba_middle = (uint16_t)((lba >> 32 & 0xff) << 8 | (lba >> 8 & 0xff));
    s->lba_high = (uint16_t)((lba >> 40 & 0xff) << 8 | (lba >> 16 & 0xff));
}

void ide_report_address(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    uint64_t lba = channel->s->offset / DISK_SECTOR_BYTES;
    if (channel->s->wide) {
        put_lba48(s, lba);
    } else if (s->device & IDE_LBA) {
        put_lba28(s, lba);
    } else if (s->sectors && s->heads) {
        uint64_t track = lba / s->sectors, cylinder = track / s->heads;
        s->lba_low = (uint16_t)(lba % s->sectors + 1);
        s->lba_middle = cylinder & 0xff;
        s->lba_high = cylinder >> 8 & 0xff;
        s->device = (uint8_t)((s->device & 0xf0) | track % s->heads);
    }
}

/* Data commands. */

static void begin_pio(struct ide_channel *channel, unsigned flags, uint32_t sectors)
{
    struct ide_channel_state *s = channel->s;
    s->block = flags & MULTIPLE ? ide_state_of(channel)->multiple * DISK_SECTOR_BYTES
                                : DISK_SECTOR_BYTES;
    if (flags & TO_DISK) {
        ide_next_block(channel);
        ide_request(channel, IDE_DATA_OUT, false);
    } else {
        uint32_t block = s->block / DISK_SECTOR_BYTES;
        uint32_t first = sectors < block ? sectors : block;
        ide_busy(channel, IDE_LOADING, ide_transfer_ns(first * DISK_SECTOR_BYTES));
    }
}

static void access_disk(struct ide_channel *channel, unsigned flags)
{
    struct ide_channel_state *s = channel->s;
    const struct ide_drive_state *drive = ide_state_of(channel);
    bool ext = flags & EXT;
    uint64_t first = first_sector(drive, ext), total = disk_sectors(ide_drive_of(channel)->disk);
    uint32_t sectors = sector_count(drive, ext);
    if ((flags & MULTIPLE) && drive->multiple == 0) {
        fail(channel, IDE_ABRT);
        return;
    }
    if (first >= total || sectors > total - first) {
        fail(channel, IDE_IDNF);
        return;
    }
    s->wide = ext;
    s->offset = first * DISK_SECTOR_BYTES;
    s->remaining = sectors * DISK_SECTOR_BYTES;
    s->transferred = 0;
    s->position = 0;
    s->length = 0;
    s->to_device = (flags & TO_DISK) != 0;
    s->from_medium = !s->to_device;
    s->dma = (flags & BY_DMA) != 0;
    if (flags & NO_DATA) {
        ide_busy(channel, IDE_FINISHING, ide_transfer_ns(s->remaining));
    } else if (flags & BY_DMA) {
        s->block = IDE_BUFFER_BYTES;
        ide_busy(channel, IDE_DMA, ide_transfer_ns(s->remaining));
    } else {
        begin_pio(channel, flags, sectors);
    }
}

/* 512 bytes that are in the buffer. */
static void reply(struct ide_channel *channel)
{
    struct ide_channel_state *s = channel->s;
    s->remaining = DISK_SECTOR_BYTES;
    s->block = DISK_SECTOR_BYTES;
    s->position = 0;
    s->length = 0;
    s->from_medium = 0;
    s->to_device = 0;
    s->dma = 0;
    ide_busy(channel, IDE_LOADING, IDE_COMMAND_NS);
}

/* Settings. */

static bool transfer_mode_known(uint8_t mode)
{
    return mode <= 0x01 || (mode >= 0x08 && mode <= 0x0c) || (mode >= 0x20 && mode <= 0x22)
        || (mode >= 0x40 && mode <= 0x45);
}

static void set_features(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    bool known = true;
    switch (s->feature & 0xff) {
    case 0x02: s->write_cache = 1; break;
    case 0x82: s->write_cache = 0; break;
    case 0xaa: s->look_ahead = 1; break;
    case 0x55: s->look_ahead = 0; break;
    case 0x66: /* settings survive a soft reset, or do not: they always do */
    case 0xcc:
        break;
    case 0x03:
        known = transfer_mode_known(s->count & 0xff);
        if (known)
            s->transfer_mode = s->count & 0xff;
        break;
    default:
        known = false;
    }
    if (known)
        finish(channel);
    else
        fail(channel, IDE_ABRT);
}

static void set_multiple(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    unsigned count = s->count & 0xff;
    if (count > MULTIPLE_MAXIMUM || (count & (count - 1))) {
        fail(channel, IDE_ABRT);
        return;
    }
    s->multiple = (uint8_t)count;
    finish(channel);
}

static void set_translation(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    unsigned heads = (s->device & 15) + 1u, sectors = s->count & 0xff;
    uint64_t total = disk_sectors(ide_drive_of(channel)->disk);
    if (sectors == 0) {
        fail(channel, IDE_ABRT);
        return;
    }
    uint64_t cylinders = total / (heads * sectors);
    s->heads = (uint16_t)heads;
    s->sectors = (uint16_t)sectors;
    s->cylinders = (uint16_t)(cylinders > 65535 ? 65535 : cylinders);
    finish(channel);
}

static void set_power(struct ide_channel *channel, uint8_t mode)
{
    ide_state_of(channel)->standby = mode;
    finish(channel);
}

static void native_maximum(struct ide_channel *channel, bool ext)
{
    struct ide_drive_state *s = ide_state_of(channel);
    uint64_t last = disk_sectors(ide_drive_of(channel)->disk) - 1;
    if (ext)
        put_lba48(s, last);
    else
        put_lba28(s, last < LBA28_SECTORS ? last : LBA28_SECTORS - 1);
    finish(channel);
}

static void check_power(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    s->count = s->standby == 0 ? POWER_ACTIVE : s->standby == 1 ? POWER_STANDBY : POWER_IDLE;
    finish(channel);
}

/* Commands that both kinds of drive have; false: not one of them. */
static bool common_command(struct ide_channel *channel, uint8_t command)
{
    switch (command) {
    case 0x94: case 0xe0: /* STANDBY IMMEDIATE */
    case 0x96: case 0xe2: /* STANDBY */
    case 0x99: case 0xe6: /* SLEEP; woken without a reset, too */
        set_power(channel, 1);
        return true;
    case 0x95: case 0xe1: /* IDLE IMMEDIATE */
    case 0x97: case 0xe3: /* IDLE */
        set_power(channel, 2);
        return true;
    case 0x98: case 0xe5:
        check_power(channel);
        return true;
    case 0xe7: /* FLUSH CACHE */
        finish(channel);
        return true;
    case 0xef:
        set_features(channel);
        return true;
    }
    return false;
}

static void cdrom_command(struct ide_channel *channel, uint8_t command)
{
    struct ide_channel_state *s = channel->s;
    switch (command) {
    case 0xa0: /* PACKET */
        s->dma = ide_state_of(channel)->feature & 1;
        s->position = 0;
        s->length = sizeof s->packet;
        ide_state_of(channel)->count = IDE_REASON_COMMAND;
        ide_request(channel, IDE_PACKET, false);
        break;
    case 0xa1: /* IDENTIFY PACKET DEVICE */
        ide_identify(channel);
        reply(channel);
        break;
    case 0xec: /* IDENTIFY DEVICE and READ SECTORS show what this is */
    case 0x20: case 0x21:
        ide_signature(channel, s->selected);
        fail(channel, IDE_ABRT);
        break;
    default:
        if (!common_command(channel, command))
            fail(channel, IDE_ABRT);
    }
}

static void disk_command(struct ide_channel *channel, uint8_t command)
{
    switch (command) {
    case 0x10 ... 0x1f: finish(channel); break; /* RECALIBRATE */
    case 0x20: case 0x21: access_disk(channel, 0); break;
    case 0x24: access_disk(channel, EXT); break;
    case 0x25: access_disk(channel, EXT | BY_DMA); break;
    case 0x27: native_maximum(channel, true); break;
    case 0x29: access_disk(channel, EXT | MULTIPLE); break;
    case 0x30: case 0x31: access_disk(channel, TO_DISK); break;
    case 0x34: access_disk(channel, EXT | TO_DISK); break;
    case 0x35: access_disk(channel, EXT | TO_DISK | BY_DMA); break;
    case 0x39: access_disk(channel, EXT | TO_DISK | MULTIPLE); break;
    case 0x40: case 0x41: access_disk(channel, NO_DATA); break; /* VERIFY */
    case 0x42: access_disk(channel, EXT | NO_DATA); break;
    case 0x70 ... 0x7f: /* SEEK: one sector, whatever the count says */
        ide_state_of(channel)->count = 1;
        access_disk(channel, NO_DATA);
        break;
    case 0x91: set_translation(channel); break;
    case 0xc4: access_disk(channel, MULTIPLE); break;
    case 0xc5: access_disk(channel, TO_DISK | MULTIPLE); break;
    case 0xc6: set_multiple(channel); break;
    case 0xc8: case 0xc9: access_disk(channel, BY_DMA); break;
    case 0xca: case 0xcb: access_disk(channel, TO_DISK | BY_DMA); break;
    case 0xea: finish(channel); break; /* FLUSH CACHE EXT */
    case 0xec:
        ide_identify(channel);
        reply(channel);
        break;
    case 0xf8: native_maximum(channel, false); break;
    default:
        if (!common_command(channel, command))
            fail(channel, IDE_ABRT);
    }
}

void ide_command(struct ide_channel *channel, uint8_t command)
{
    struct ide_drive_state *s = ide_state_of(channel);
    s->error = 0;
    /* Any command that needs the medium leaves standby. */
    bool power = (command >= 0x94 && command <= 0x99) || (command >= 0xe0 && command <= 0xe6);
    if (!power)
        s->standby = 0;
    if (ide_drive_of(channel)->kind == IDE_CDROM)
        cdrom_command(channel, command);
    else
        disk_command(channel, command);
}
