/*
 * IDENTIFY DEVICE and IDENTIFY PACKET DEVICE data; ATA/ATAPI-6 (T13 1410D),
 * "IDENTIFY DEVICE", "IDENTIFY PACKET DEVICE". Words are named by number as
 * the standard does.
 */
#include "machine/dev/ide_internal.h"

#include <string.h>

#include "util/bits.h"

/* Text in words: the first character in the high byte, padded with blanks. */
static void put_text(uint16_t *words, unsigned count, const char *text)
{
    uint64_t length = strlen(text);
    for (unsigned i = 0; i < 2 * count; i++) {
        uint16_t c = (uint8_t)(i < length ? text[i] : ' ');
        words[i / 2] |= (uint16_t)(i % 2 ? c : c << 8);
    }
}

static void put_names(uint16_t *words, const char *serial, unsigned number, const char *model)
{
    char text[] = "GH0000000000000000n";
    memcpy(text, serial, 2);
    text[sizeof text - 2] = (char)('1' + number);
    put_text(words + 10, 10, text);
    put_text(words + 23, 4, "1.0");
    put_text(words + 27, 20, model);
}

/* Words 63 and 88: modes supported, and the one that is set. */
static void put_modes(uint16_t *words, uint8_t mode)
{
    words[63] = 0x0007;
    words[88] = 0x003f;
    if ((mode & 0xf8) == 0x20)
        words[63] |= (uint16_t)(0x100 << (mode & 7));
    if ((mode & 0xf8) == 0x40)
        words[88] |= (uint16_t)(0x100 << (mode & 7));
    words[53] = 7;    /* words 54-58, 64-70 and 88 are valid */
    words[64] = 3;    /* PIO modes 3, 4 */
    for (unsigned i = 65; i <= 68; i++)
        words[i] = 120; /* cycle times, ns */
}

static void put_sizes(uint16_t *words, uint64_t sectors, const struct ide_drive_state *s)
{
    uint64_t lba28 = sectors < 0x0fffffff ? sectors : 0x0fffffff;
    uint64_t chs = (uint64_t)s->cylinders * s->heads * s->sectors;
    words[54] = s->cylinders;
    words[55] = s->heads;
    words[56] = s->sectors;
    words[57] = (uint16_t)chs;
    words[58] = (uint16_t)(chs >> 16);
    words[60] = (uint16_t)lba28;
    words[61] = (uint16_t)(lba28 >> 16);
    for (unsigned i = 0; i < 4; i++)
        words[100 + i] = (uint16_t)(sectors >> (16 * i));
}

static void identify_disk(uint16_t *words, const struct ide_drive *drive,
                          const struct ide_drive_state *s)
{
    struct ide_drive_state plain = { 0 };
    ide_geometry(drive, &plain);
    words[0] = 0x0040; /* fixed */
    words[1] = plain.cylinders;
    words[3] = plain.heads;
    words[6] = plain.sectors;
    put_names(words, "GH", drive->number, "Groundhog Disk");
    words[20] = 3;
    words[21] = IDE_BUFFER_BYTES / DISK_SECTOR_BYTES;
    words[22] = 4;
    words[47] = 0x8000 | IDE_BUFFER_BYTES / DISK_SECTOR_BYTES; /* READ MULTIPLE maximum */
    words[48] = 1;      /* 32-bit data port */
    words[49] = 0x0f00; /* IORDY, LBA, DMA */
    words[50] = 0x4000;
    words[51] = words[52] = 0x0200;
    words[59] = (uint16_t)(s->multiple ? 0x100 | s->multiple : 0);
    put_modes(words, s->transfer_mode);
    put_sizes(words, disk_sectors(drive->disk), s);
    words[80] = 0x007e; /* ATA-1 to ATA/ATAPI-6 */
    words[82] = 0x4068; /* NOP, look-ahead, write cache, power management */
    words[83] = 0x7400; /* FLUSH CACHE (EXT), 48-bit addresses */
    words[84] = 0x4000;
    words[85] = (uint16_t)(0x4008 | s->look_ahead << 6 | s->write_cache << 5);
    words[86] = 0x3400;
    words[87] = 0x4000;
}

static void identify_cdrom(uint16_t *words, const struct ide_drive *drive,
                           const struct ide_drive_state *s)
{
    words[0] = 0x85c0; /* ATAPI, CD-ROM, removable, 12-byte packets, DRQ in 50 us */
    put_names(words, "GC", drive->number, "Groundhog CD-ROM");
    words[20] = 3;
    words[21] = IDE_BUFFER_BYTES / DISK_SECTOR_BYTES;
    words[48] = 1;
    words[49] = 0x0f00;
    put_modes(words, s->transfer_mode);
    words[53] = 6;
    words[71] = words[72] = 30;
    words[80] = 0x007e;
    words[82] = 0x4210; /* NOP, DEVICE RESET, PACKET */
    words[83] = words[84] = 0x4000;
    words[85] = 0x4210;
    words[87] = 0x4000;
}

void ide_identify(struct ide_channel *channel)
{
    const struct ide_drive *drive = ide_drive_of(channel);
    const struct ide_drive_state *s = ide_state_of(channel);
    uint16_t words[256] = { 0 };
    if (drive->kind == IDE_CDROM)
        identify_cdrom(words, drive, s);
    else
        identify_disk(words, drive, s);
    /* Hardware reset result: 80-conductor cable, passed diagnostics, jumper. */
    words[93] = channel->s->selected ? 0x6b00 : 0x600b;
    words[255] = 0x00a5;
    uint8_t sum = 0;
    for (unsigned i = 0; i < 256; i++)
        sum = (uint8_t)(sum + (words[i] & 0xff) + (words[i] >> 8));
    words[255] |= (uint16_t)((uint8_t)-sum << 8);
    for (unsigned i = 0; i < 256; i++)
        store16(channel->s->buffer + 2 * i, words[i]);
}
