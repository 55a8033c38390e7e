/*
 * PIIX3 IDE: two ATA channels with up to two drives each, hard disks and
 * ATAPI CD-ROMs, and the bus master. T13 ATA/ATAPI-6, SFF-8020i / MMC-3,
 * Intel 82371SB data sheet, "Programming Interface for Bus Master IDE" 1.0.
 *
 * Ports, as the board maps them (widest access in bytes):
 *   1F0h/170h  8 ports  ide_command_read/write  &ide->channels[0/1]  (4)
 *   3F6h/376h  1 port   ide_control_read/write  &ide->channels[0/1]  (1)
 *   BMIBA     16 ports  ide_master_read/write   ide                  (4)
 * PCI configuration space (class, BAR 4, timing registers) is the board's.
 *
 * Commands complete after a virtual latency, with BSY set meanwhile.
 */
#ifndef MACHINE_DEV_IDE_H
#define MACHINE_DEV_IDE_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/disk.h"
#include "machine/dma.h"
#include "machine/events.h"
#include "machine/line.h"

#define IDE_BUFFER_BYTES 8192 /* largest DRQ block: 16 sectors */

/* One drive: its copy of the task file, and its modes. */
struct ide_drive_state {
    uint16_t feature;      /* high byte: previous content, for LBA48 */
    uint16_t count;
    uint16_t lba_low;
    uint16_t lba_middle;
    uint16_t lba_high;
    uint8_t device;
    uint8_t status;
    uint8_t error;
    uint8_t multiple;      /* sectors a DRQ block of READ/WRITE MULTIPLE, 0: off */
    uint8_t transfer_mode; /* last SET FEATURES 03h value */
    uint8_t write_cache;
    uint8_t look_ahead;
    uint8_t standby;       /* power mode, CHECK POWER MODE's value */
    uint16_t cylinders;    /* INITIALIZE DEVICE PARAMETERS' translation */
    uint16_t heads;
    uint16_t sectors;
    /* ATAPI */
    uint8_t sense_key;
    uint8_t sense_code;
    uint8_t sense_qualifier;
    uint8_t medium_changed; /* UNIT ATTENTION is to be reported */
    uint8_t medium_event;   /* for GET EVENT STATUS NOTIFICATION */
    uint8_t tray_open;
    uint8_t locked;
    uint8_t pad[5];
};
_Static_assert(sizeof(struct ide_drive_state) == 36, "ide_drive_state has no implicit padding");

struct ide_channel_state {
    struct ide_drive_state drives[2];
    uint64_t deadline;     /* of the phase in progress, EVENTS_NEVER: none */
    uint64_t offset;       /* next byte of the medium that the command moves */
    uint32_t remaining;    /* bytes of the command that come after this block */
    uint32_t position;     /* next byte of the buffer */
    uint32_t length;       /* end of the current block in the buffer */
    uint32_t block;        /* most bytes of a block */
    uint32_t prd_table;    /* BMIDTP */
    uint32_t transferred;  /* bytes of the command that the bus master has moved */
    uint8_t selected;      /* drive 0 or 1 */
    uint8_t control;       /* device control register */
    uint8_t interrupt;     /* INTRQ asserted inside the drive */
    uint8_t phase;         /* enum ide_phase of ide_internal.h */
    uint8_t command;       /* the command in progress */
    uint8_t master_command; /* BMICOM */
    uint8_t master_status;  /* BMISTA */
    uint8_t wide;          /* LBA48 command in progress */
    uint8_t packet[12];    /* ATAPI command packet */
    uint8_t from_medium;   /* data in: blocks come from the medium, else from the buffer */
    uint8_t dma;           /* the command moves its data by DMA */
    uint8_t to_device;     /* direction of the data */
    uint8_t pad;
    uint8_t buffer[IDE_BUFFER_BYTES];
};
_Static_assert(sizeof(struct ide_channel_state) == 72 + 64 + IDE_BUFFER_BYTES,
               "ide_channel_state has no implicit padding");

struct ide_state {
    struct ide_channel_state channels[2];
};

enum ide_drive_kind { IDE_ABSENT, IDE_DISK, IDE_CDROM };

struct ide_drive {
    enum ide_drive_kind kind;
    struct disk *disk;  /* not owned; NULL: empty CD-ROM drive */
    unsigned number;    /* 0..3, in the serial number */
};

struct ide_channel {
    struct ide_channel_state *s;
    struct ide_drive drives[2];
    struct ide *ide;
    unsigned timer; /* in events */
    struct line irq;
    bool irq_level; /* derived: level last driven */
};

struct ide {
    struct ide_state s;
    struct ide_channel channels[2];
    const struct dma *dma;
    const struct clock *clock;
    struct events *events;
};

/* Both channels empty; `irq`: the lines to IRQ 14 and IRQ 15. */
void ide_init(struct ide *ide, const struct clock *clock, struct events *events,
              const struct dma *dma, const struct line irq[2]);

/* Attaches a drive, while the board is built; ide_reset afterwards. A CD-ROM's
 * `disk` has its image (2048-byte sectors), NULL for an empty drive. */
void ide_attach(struct ide *ide, unsigned channel, unsigned drive, enum ide_drive_kind kind,
                struct disk *disk);

/* Hardware reset: drives show their signatures, bus master is stopped. */
void ide_reset(struct ide *ide);

/* Device: struct ide_channel *. Offset 0 takes 1, 2 and 4 bytes (data). */
uint64_t ide_command_read(void *channel, uint64_t offset, unsigned bytes);
void ide_command_write(void *channel, uint64_t offset, uint64_t value, unsigned bytes);
uint64_t ide_control_read(void *channel, uint64_t offset, unsigned bytes);
void ide_control_write(void *channel, uint64_t offset, uint64_t value, unsigned bytes);

/* Device: struct ide *. Offsets 0..15: primary channel, then secondary. */
uint64_t ide_master_read(void *ide, uint64_t offset, unsigned bytes);
void ide_master_write(void *ide, uint64_t offset, uint64_t value, unsigned bytes);

/* Device: struct ide *; state was overwritten: deadlines and lines again. */
void ide_restored(void *ide);

#endif
