/*
 * ATAPI CD-ROM: packet commands; see ide.h. SFF-8020i, MMC-3 (T10 1363-D),
 * SPC-2 (T10 1236-D).
 *
 * The disc is a single-session data disc with one mode 1 track, cut to whole
 * 2048-byte sectors.
 *
 * Not modelled: audio, sub-channels, raw (2352-byte) reads, mode select,
 * DVD structures, discs that are changed while the machine runs (but the guest
 * can open and close the tray).
 */
#include "machine/dev/ide_internal.h"

#include <string.h>

#include "util/bits.h"

#define SENSE_NONE 0x000000u
#define SENSE_NO_MEDIUM 0x023a00u
#define SENSE_NO_MEDIUM_OPEN 0x023a02u
#define SENSE_BAD_COMMAND 0x052000u
#define SENSE_BAD_ADDRESS 0x052100u
#define SENSE_BAD_FIELD 0x052400u
#define SENSE_NO_SAVED_PAGES 0x053900u
#define SENSE_LOCKED 0x055302u
#define SENSE_MEDIUM_CHANGED 0x062800u

#define LEAD_OUT 0xaa
#define CONTROL_DATA 0x14 /* ADR 1, data track */
#define SECTORS_MAXIMUM 65535u /* of one command */
#define CD_SECTORS_MAXIMUM 450000u /* more than that is a DVD: 100 minutes */

#define PROFILE_CD 0x0008
#define PROFILE_DVD 0x0010

#define EVENT_NEW_MEDIA 2
#define EVENT_REMOVAL 3

static void put16(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
    put16(to, value >> 16);
    put16(to + 2, value & 0xffff);
}

static uint32_t get16(const uint8_t *from)
{
    return (uint32_t)from[0] << 8 | from[1];
}

static uint32_t get32(const uint8_t *from)
{
    return get16(from) << 16 | get16(from + 2);
}

/* Four bytes of address: LBA, or 0, minute, second, frame. */
static void put_address(uint8_t *to, uint32_t lba, bool msf)
{
    if (!msf) {
        put32(to, lba);
        return;
    }
    lba += 150;
    to[0] = 0;
    to[1] = (uint8_t)(lba / 75 / 60);
    to[2] = (uint8_t)(lba / 75 % 60);
    to[3] = (uint8_t)(lba % 75);
}

static uint32_t disc_sectors(const struct ide_channel *channel)
{
    const struct disk *disk = channel->drives[channel->s->selected].disk;
    uint64_t sectors = disk ? disk_sectors(disk) / (CD_SECTOR_BYTES / DISK_SECTOR_BYTES) : 0;
    return sectors > UINT32_MAX ? UINT32_MAX : (uint32_t)sectors;
}

static bool disc_present(struct ide_channel *channel)
{
    return disc_sectors(channel) != 0 && !ide_state_of(channel)->tray_open;
}

/* Ends of commands. */

void atapi_good(struct ide_channel *channel)
{
    ide_state_of(channel)->count = IDE_REASON_COMMAND | IDE_REASON_IN;
    ide_end(channel, 0);
}

void atapi_check(struct ide_channel *channel, uint32_t sense)
{
    struct ide_drive_state *s = ide_state_of(channel);
    s->sense_key = sense >> 16 & 15;
    s->sense_code = sense >> 8 & 0xff;
    s->sense_qualifier = sense & 0xff;
    s->count = IDE_REASON_COMMAND | IDE_REASON_IN;
    ide_end(channel, (uint8_t)(s->sense_key << 4 | IDE_ABRT));
}

/* The largest block that the host's byte count limit allows: even, unless it
 * is the rest. 0 stands for no limit. */
static uint32_t block_limit(const struct ide_drive_state *s)
{
    uint32_t limit = (uint32_t)(s->lba_high & 0xff) << 8 | (s->lba_middle & 0xff);
    limit &= ~1u;
    return limit == 0 || limit > IDE_BUFFER_BYTES ? IDE_BUFFER_BYTES : limit;
}

/* Starts the data phase: `bytes` from the medium at s->offset or the buffer. */
static void send_data(struct ide_channel *channel, uint32_t bytes, bool from_medium)
{
    struct ide_channel_state *s = channel->s;
    s->remaining = bytes;
    s->position = 0;
    s->length = 0;
    s->from_medium = from_medium;
    s->to_device = 0;
    s->transferred = 0;
    s->block = s->dma ? IDE_BUFFER_BYTES : block_limit(ide_state_of(channel));
    uint32_t first = s->dma || bytes < s->block ? bytes : s->block;
    uint64_t ns = first / DISK_SECTOR_BYTES * IDE_SECTOR_NS + IDE_BLOCK_NS;
    ide_busy(channel, s->dma ? IDE_DMA : IDE_LOADING, ns);
}

/* A reply of `bytes` in the buffer, cut to the allocation length. */
static void reply(struct ide_channel *channel, uint32_t bytes, uint32_t allocated)
{
    if (bytes > allocated)
        bytes = allocated;
    if (bytes)
        send_data(channel, bytes, false);
    else
        atapi_good(channel);
}

/* Commands. The packet is channel->s->packet; a reply is built in the buffer,
 * which is zero when a command starts. */

static void test_unit_ready(struct ide_channel *channel)
{
    atapi_good(channel);
}

static void request_sense(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    uint8_t *to = channel->s->buffer;
    if (s->medium_changed && s->sense_key == 0) {
        s->sense_key = SENSE_MEDIUM_CHANGED >> 16;
        s->sense_code = SENSE_MEDIUM_CHANGED >> 8 & 0xff;
        s->medium_changed = 0;
    }
    to[0] = 0x70; /* current, fixed format */
    to[2] = s->sense_key;
    to[7] = 10;
    to[12] = s->sense_code;
    to[13] = s->sense_qualifier;
    s->sense_key = s->sense_code = s->sense_qualifier = 0;
    reply(channel, 18, channel->s->packet[4]);
}

static void inquiry(struct ide_channel *channel)
{
    uint8_t *to = channel->s->buffer;
    if ((channel->s->packet[1] & 3) || channel->s->packet[2]) { /* vital product data */
        atapi_check(channel, SENSE_BAD_FIELD);
        return;
    }
    to[0] = 0x05; /* CD-ROM device */
    to[1] = 0x80; /* removable */
    to[3] = 0x21; /* ATAPI version, response format */
    to[4] = 31;
    memcpy(to + 8, "GRNDHOG ", 8);
    memcpy(to + 16, "CD-ROM          ", 16);
    memcpy(to + 32, "1.0 ", 4);
    reply(channel, 36, get16(channel->s->packet + 3));
}

static void start_stop(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    bool load_eject = channel->s->packet[4] & 2, start = channel->s->packet[4] & 1;
    if (load_eject && !start && s->locked && !s->tray_open) {
        atapi_check(channel, SENSE_LOCKED);
        return;
    }
    if (load_eject && s->tray_open != !start) {
        s->tray_open = !start;
        bool disc = disc_sectors(channel) != 0;
        s->medium_changed = start && disc;
        s->medium_event = disc ? (start ? EVENT_NEW_MEDIA : EVENT_REMOVAL) : 0;
    }
    atapi_good(channel);
}

static void prevent_allow(struct ide_channel *channel)
{
    ide_state_of(channel)->locked = channel->s->packet[4] & 1;
    atapi_good(channel);
}

static void read_capacity(struct ide_channel *channel)
{
    put32(channel->s->buffer, disc_sectors(channel) - 1);
    put32(channel->s->buffer + 4, CD_SECTOR_BYTES);
    reply(channel, 8, 8);
}

static void read_sectors(struct ide_channel *channel, uint32_t lba, uint32_t count)
{
    uint32_t total = disc_sectors(channel);
    if (count == 0) {
        atapi_good(channel);
    } else if (lba >= total || count > total - lba) {
        atapi_check(channel, SENSE_BAD_ADDRESS);
    } else if (count > SECTORS_MAXIMUM) {
        atapi_check(channel, SENSE_BAD_FIELD);
    } else {
        channel->s->offset = (uint64_t)lba * CD_SECTOR_BYTES;
        send_data(channel, count * CD_SECTOR_BYTES, true);
    }
}

static void read_10(struct ide_channel *channel)
{
    read_sectors(channel, get32(channel->s->packet + 2), get16(channel->s->packet + 7));
}

static void read_12(struct ide_channel *channel)
{
    read_sectors(channel, get32(channel->s->packet + 2), get32(channel->s->packet + 6));
}

/* READ CD: user data only. */
static void read_cd(struct ide_channel *channel)
{
    const uint8_t *packet = channel->s->packet;
    uint32_t count = (uint32_t)packet[6] << 16 | get16(packet + 7);
    unsigned type = packet[1] >> 2 & 7; /* 0: any, 2: mode 1 */
    if ((packet[9] & 0xf8) == 0 || count == 0)
        atapi_good(channel);
    else if ((packet[9] & 0xfe) != 0x10 || (packet[10] & 7) || (type != 0 && type != 2))
        atapi_check(channel, SENSE_BAD_FIELD);
    else
        read_sectors(channel, get32(packet + 2), count);
}

static void seek(struct ide_channel *channel)
{
    if (get32(channel->s->packet + 2) >= disc_sectors(channel))
        atapi_check(channel, SENSE_BAD_ADDRESS);
    else
        atapi_good(channel);
}

/* Formats of READ TOC; each returns the bytes of its reply. */

static uint32_t toc_tracks(struct ide_channel *channel, bool msf)
{
    uint8_t *to = channel->s->buffer;
    uint8_t start = channel->s->packet[6];
    uint32_t length = 4;
    if (start > 1 && start != LEAD_OUT)
        return 0;
    if (start <= 1) {
        to[length + 1] = CONTROL_DATA;
        to[length + 2] = 1;
        put_address(to + length + 4, 0, msf);
        length += 8;
    }
    to[length + 1] = CONTROL_DATA;
    to[length + 2] = LEAD_OUT;
    put_address(to + length + 4, disc_sectors(channel), msf);
    return length + 8;
}

static uint32_t toc_sessions(struct ide_channel *channel, bool msf)
{
    uint8_t *to = channel->s->buffer;
    to[5] = CONTROL_DATA;
    to[6] = 1;
    put_address(to + 8, 0, msf);
    return 12;
}

static uint32_t toc_raw(struct ide_channel *channel)
{
    static const uint8_t points[4] = { 0xa0, 0xa1, 0xa2, 1 };
    uint8_t *to = channel->s->buffer + 4;
    for (unsigned i = 0; i < ARRAY_SIZE(points); i++, to += 11) {
        to[0] = 1; /* session */
        to[1] = CONTROL_DATA;
        to[3] = points[i];
        if (points[i] == 0xa0 || points[i] == 0xa1)
            to[8] = 1; /* first and last track */
        else
            put_address(to + 7, points[i] == 1 ? 0 : disc_sectors(channel), true);
    }
    return 4 + 4 * 11;
}

static void read_toc(struct ide_channel *channel)
{
    const uint8_t *packet = channel->s->packet;
    bool msf = packet[1] & 2;
    unsigned format = packet[2] & 15;
    if (format == 0)
        format = packet[9] >> 6; /* where SFF-8020i has it */
    uint32_t length = 0;
    switch (format) {
    case 0: length = toc_tracks(channel, msf); break;
    case 1: length = toc_sessions(channel, msf); break;
    case 2: length = toc_raw(channel); break;
    }
    if (length == 0) {
        atapi_check(channel, SENSE_BAD_FIELD);
        return;
    }
    put16(channel->s->buffer, length - 2);
    channel->s->buffer[2] = 1; /* first and last track or session */
    channel->s->buffer[3] = 1;
    reply(channel, length, get16(packet + 7));
}

/* MODE SENSE pages; each adds to the buffer at `length`. */

static uint32_t page_error_recovery(uint8_t *to)
{
    to[0] = 0x01;
    to[1] = 6;
    to[3] = 5; /* retries */
    return 8;
}

static uint32_t page_capabilities(const struct ide_drive_state *s, uint8_t *to)
{
    to[0] = 0x2a;
    to[1] = 18;
    to[2] = 0x03; /* reads CD-R, CD-RW */
    to[4] = 0x70; /* mode 2 forms 1, 2, multi-session */
    to[6] = (uint8_t)(0x29 | s->locked << 1); /* tray, eject, lock */
    put16(to + 8, 4234);  /* maximum speed, kB/s: 24x */
    put16(to + 10, 2);
    put16(to + 12, 512);  /* buffer, KiB */
    put16(to + 14, 4234);
    return 20;
}

static void mode_sense(struct ide_channel *channel)
{
    const uint8_t *packet = channel->s->packet;
    uint8_t *to = channel->s->buffer;
    unsigned page = packet[2] & 0x3f, control = packet[2] >> 6;
    bool changeable = control == 1;
    uint32_t length = 8;
    if (control == 3) {
        atapi_check(channel, SENSE_NO_SAVED_PAGES);
        return;
    }
    if (page == 0x01 || page == 0x3f)
        length += page_error_recovery(to + length);
    if (page == 0x2a || page == 0x3f)
        length += page_capabilities(ide_state_of(channel), to + length);
    if (length == 8) {
        atapi_check(channel, SENSE_BAD_FIELD);
        return;
    }
    if (changeable) /* nothing is: page codes and lengths stay */
        for (uint32_t at = 8; at < length; at += to[at + 1] + 2u)
            memset(to + at + 2, 0, to[at + 1]);
    put16(to, length - 2);
    to[2] = ide_state_of(channel)->tray_open ? 0x71 : disc_present(channel) ? 0x01 : 0x70;
    reply(channel, length, get16(packet + 7));
}

/* One feature descriptor of GET CONFIGURATION, with `bytes` more bytes. */
static uint8_t *put_feature(uint8_t *to, unsigned code, unsigned flags, unsigned bytes)
{
    put16(to, code);
    to[2] = (uint8_t)flags; /* version, persistent, current */
    to[3] = (uint8_t)bytes;
    return to + 4;
}

static uint32_t put_features(uint8_t *to, unsigned first, unsigned selection, unsigned profile)
{
    static const struct { uint16_t code; uint8_t persistent, version, bytes; } features[] = {
        { 0x0000, 1, 0, 8 }, /* profile list */
        { 0x0001, 1, 1, 8 }, /* core */
        { 0x0003, 1, 0, 4 }, /* removable medium */
        { 0x0010, 0, 0, 8 }, /* random readable */
        { 0x001e, 0, 1, 4 }, /* CD read */
    };
    uint8_t *start = to;
    for (unsigned i = 0; i < ARRAY_SIZE(features); i++) {
        unsigned code = features[i].code;
        bool current = features[i].persistent
                    || (profile != 0 && !(code == 0x1e && profile == PROFILE_DVD));
        if (code < first || (selection == 2 && code != first) || (selection == 1 && !current))
            continue;
        unsigned flags = features[i].version << 2 | features[i].persistent << 1 | current;
        uint8_t *data = put_feature(to, code, flags, features[i].bytes);
        if (code == 0x0000) {
            put16(data, PROFILE_DVD);
            data[2] = profile == PROFILE_DVD;
            put16(data + 4, PROFILE_CD);
            data[6] = profile == PROFILE_CD;
        } else if (code == 0x0001) {
            put32(data, 2); /* ATAPI */
        } else if (code == 0x0003) {
            data[0] = 0x29; /* tray, eject, lock */
        } else if (code == 0x0010) {
            put32(data, CD_SECTOR_BYTES);
            put16(data + 4, 1);
        }
        to = data + features[i].bytes;
    }
    return (uint32_t)(to - start);
}

static void get_configuration(struct ide_channel *channel)
{
    const uint8_t *packet = channel->s->packet;
    unsigned selection = packet[1] & 3;
    unsigned profile = !disc_present(channel) ? 0
                     : disc_sectors(channel) > CD_SECTORS_MAXIMUM ? PROFILE_DVD : PROFILE_CD;
    if (selection == 3) {
        atapi_check(channel, SENSE_BAD_FIELD);
        return;
    }
    uint8_t *to = channel->s->buffer;
    uint32_t length = 8 + put_features(to + 8, get16(packet + 2), selection, profile);
    put32(to, length - 4);
    put16(to + 6, profile);
    reply(channel, length, get16(packet + 7));
}

static void get_event_status(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    const uint8_t *packet = channel->s->packet;
    uint8_t *to = channel->s->buffer;
    uint32_t length = 4;
    if (!(packet[1] & 1)) { /* asynchronous operation needs queueing */
        atapi_check(channel, SENSE_BAD_FIELD);
        return;
    }
    to[3] = 1 << 4; /* classes supported: media */
    if (packet[4] & 1 << 4) {
        to[2] = 4;
        to[4] = s->medium_event;
        to[5] = (uint8_t)(s->tray_open | (disc_present(channel) ? 2 : 0));
        s->medium_event = 0;
        length = 8;
    } else {
        to[2] = 0x80; /* no event available */
    }
    put16(to, length - 2);
    reply(channel, length, get16(packet + 7));
}

static void mechanism_status(struct ide_channel *channel)
{
    channel->s->buffer[1] = (uint8_t)(ide_state_of(channel)->tray_open << 4);
    channel->s->buffer[5] = 1; /* one slot, no table */
    reply(channel, 8, get16(channel->s->packet + 8));
}

static void read_disc_information(struct ide_channel *channel)
{
    uint8_t *to = channel->s->buffer;
    if (channel->s->packet[1] & 7) {
        atapi_check(channel, SENSE_BAD_FIELD);
        return;
    }
    put16(to, 32);
    to[2] = 0x0e; /* complete session, complete disc */
    to[3] = to[4] = to[5] = to[6] = 1; /* first track; sessions; first, last of it */
    to[7] = 0x20; /* unrestricted use */
    put32(to + 16, UINT32_MAX); /* no further session: lead-in, lead-out */
    put32(to + 20, UINT32_MAX);
    reply(channel, 34, get16(channel->s->packet + 7));
}

/* The command table. */

#define NEEDS_DISC 1
#define KEEPS_ATTENTION 2 /* works while UNIT ATTENTION waits to be reported */

struct packet_command {
    uint8_t code;
    uint8_t flags;
    void (*run)(struct ide_channel *channel);
};

static const struct packet_command commands[] = {
    { 0x00, NEEDS_DISC, test_unit_ready },
    { 0x03, KEEPS_ATTENTION, request_sense },
    { 0x12, KEEPS_ATTENTION, inquiry },
    { 0x1b, 0, start_stop },
    { 0x1e, 0, prevent_allow },
    { 0x25, NEEDS_DISC, read_capacity },
    { 0x28, NEEDS_DISC, read_10 },
    { 0x2b, NEEDS_DISC, seek },
    { 0x43, NEEDS_DISC, read_toc },
    { 0x46, KEEPS_ATTENTION, get_configuration },
    { 0x4a, KEEPS_ATTENTION, get_event_status },
    { 0x51, NEEDS_DISC, read_disc_information },
    { 0x5a, 0, mode_sense },
    { 0xa8, NEEDS_DISC, read_12 },
    { 0xbb, 0, test_unit_ready }, /* SET CD SPEED: any will do */
    { 0xbd, 0, mechanism_status },
    { 0xbe, NEEDS_DISC, read_cd },
};

void atapi_execute(struct ide_channel *channel)
{
    struct ide_drive_state *s = ide_state_of(channel);
    uint8_t code = channel->s->packet[0];
    const struct packet_command *command = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
        if (commands[i].code == code)
            command = &commands[i];
    memset(channel->s->buffer, 0, sizeof channel->s->buffer);
    if (!command) {
        atapi_check(channel, SENSE_BAD_COMMAND);
    } else if (s->medium_changed && !(command->flags & KEEPS_ATTENTION)) {
        s->medium_changed = 0;
        atapi_check(channel, SENSE_MEDIUM_CHANGED);
    } else if ((command->flags & NEEDS_DISC) && !disc_present(channel)) {
        atapi_check(channel, s->tray_open ? SENSE_NO_MEDIUM_OPEN : SENSE_NO_MEDIUM);
    } else {
        if (code != 0x03)
            s->sense_key = s->sense_code = s->sense_qualifier = SENSE_NONE;
        command->run(channel);
    }
}
