/*
 * What the files of the IDE controller share: ide.c (task file, PIO, reset),
 * ide_master.c (bus master), ide_commands.c (ATA), ide_identify.c, atapi.c.
 *
 * A command runs through phases. A phase with a deadline keeps BSY set and ends
 * in its event; a phase without one waits for the host.
 */
#ifndef MACHINE_DEV_IDE_INTERNAL_H
#define MACHINE_DEV_IDE_INTERNAL_H

#include "machine/dev/ide.h"

enum ide_phase {
    IDE_IDLE,
    IDE_RESETTING,   /* SRST or power-on; BSY */
    IDE_DIAGNOSING,  /* EXECUTE DEVICE DIAGNOSTIC; BSY */
    IDE_FINISHING,   /* a command without (more) data; BSY, then done */
    IDE_FAILING,     /* as above, but ends with the error register as it is */
    IDE_LOADING,     /* PIO data in: BSY until the next block is there */
    IDE_DATA_IN,     /* PIO data in: DRQ */
    IDE_DATA_OUT,    /* PIO data out: DRQ */
    IDE_STORING,     /* PIO data out: BSY while the block is stored */
    IDE_DMA,         /* BSY before the bus master moves data */
    IDE_DMA_WAITING, /* DRQ: the bus master is not started or ran out of PRDs */
    IDE_PACKET,      /* DRQ for the ATAPI command packet */
    IDE_PACKET_BUSY, /* BSY before the packet command is carried out */
    IDE_PHASES,
};

/* Status register. */
#define IDE_ERR 0x01
#define IDE_DRQ 0x08
#define IDE_DSC 0x10
#define IDE_DRDY 0x40
#define IDE_BSY 0x80
/* Error register. */
#define IDE_ABRT 0x04
#define IDE_IDNF 0x10
#define IDE_UNC 0x40
/* Device control register. */
#define IDE_NIEN 0x02
#define IDE_SRST 0x04
#define IDE_HOB 0x80
/* Device register. */
#define IDE_DEV 0x10
#define IDE_LBA 0x40
/* Interrupt reason (sector count register) of ATAPI. */
#define IDE_REASON_COMMAND 1
#define IDE_REASON_IN 2

#define IDE_COMMAND_NS 20000u /* latency of every command */
#define IDE_SECTOR_NS 1000u   /* and of each 512 bytes that it moves */
#define IDE_BLOCK_NS 2000u    /* between two blocks of a PIO command */
#define IDE_RESET_NS 50000u

#define CD_SECTOR_BYTES 2048u

static inline struct ide_drive_state *ide_state_of(struct ide_channel *channel)
{
    return &channel->s->drives[channel->s->selected];
}

static inline struct ide_drive *ide_drive_of(struct ide_channel *channel)
{
    return &channel->drives[channel->s->selected];
}

/* ide.c */

/* Enters `phase`, which ends in `ns`, with BSY set. */
void ide_busy(struct ide_channel *channel, enum ide_phase phase, uint64_t ns);
/* Enters `phase`, which waits for the host, with DRQ set. */
void ide_request(struct ide_channel *channel, enum ide_phase phase, bool interrupt);
/* Ends the command, with an interrupt; `error` 0 or the error register. */
void ide_end(struct ide_channel *channel, uint8_t error);
/* Signature of a drive after reset, diagnostics or a refused IDENTIFY. */
void ide_signature(struct ide_channel *channel, unsigned drive);
/* Makes the next block of data in or out ready in the buffer. Returns 0, or -1
 * when the medium cannot be read. */
int ide_next_block(struct ide_channel *channel);
/* Stores the block in the buffer on the medium: 0 or -1. */
int ide_store_block(struct ide_channel *channel);
/* The latency of moving `bytes`. */
uint64_t ide_transfer_ns(uint64_t bytes);

/* ide_commands.c */

/* Carries out what was written to the command register. */
void ide_command(struct ide_channel *channel, uint8_t command);
/* Puts the address of channel->s->offset into the task file (errors). */
void ide_report_address(struct ide_channel *channel);
/* Default translation of a disk: cylinders, heads, sectors. */
void ide_geometry(const struct ide_drive *drive, struct ide_drive_state *s);

/* ide_identify.c: 512 bytes into the channel's buffer. */
void ide_identify(struct ide_channel *channel);

/* ide_master.c */

/* Moves the data of a DMA command as far as the bus master lets it. */
void ide_master_run(struct ide_channel *channel);

/* atapi.c */

/* The packet has arrived and its latency is over. */
void atapi_execute(struct ide_channel *channel);
/* Ends a packet command after its data; status good. */
void atapi_good(struct ide_channel *channel);
/* Ends it with CHECK CONDITION and `sense`: key << 16 | code << 8 | qualifier. */
void atapi_check(struct ide_channel *channel, uint32_t sense);

#define SENSE_READ_ERROR 0x031100u

#endif
