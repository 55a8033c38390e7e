/* The board's chips; shared by the files that build it (board*.c). */
#ifndef MACHINE_BOARD_INTERNAL_H
#define MACHINE_BOARD_INTERNAL_H

#include "machine/board.h"
#include "machine/dev/acpi_tables.h"
#include "machine/dev/debugcon.h"
#include "machine/dev/debugexit.h"
#include "machine/dev/dma8237.h"
#include "machine/dev/fpu_error.h"
#include "machine/dev/fw_cfg.h"
#include "machine/dev/i440fx.h"
#include "machine/dev/i8042.h"
#include "machine/dev/ide.h"
#include "machine/dev/ioapic.h"
#include "machine/dev/lapic.h"
#include "machine/dev/pci.h"
#include "machine/dev/pic.h"
#include "machine/dev/piix3.h"
#include "machine/dev/piix4pm.h"
#include "machine/dev/pit.h"
#include "machine/dev/port61.h"
#include "machine/dev/port92.h"
#include "machine/dev/reset_control.h"
#include "machine/dev/rtc.h"
#include "machine/dev/smbios_tables.h"
#include "machine/dev/testdev.h"
#include "machine/dev/uart.h"
#include "machine/disk.h"
#include "machine/linux_boot.h"
#include "machine/machine.h"
#include "machine/multiboot.h"

#define BOARD_SERIALS 4
#define BOARD_DEBUGCONS 2
#define BOARD_OUTPUT_DEBUGCON 4 /* unit of hooks.output of the first one */

#define BOARD_IRQS 16
#define BOARD_PM_BASE 0x600 /* where SeaBIOS puts the PIIX4's PM registers */
#define BOARD_APM_PORT 0xb2
#define BOARD_TESTDEV_LATCH 0xe0
#define BOARD_TESTDEV_FLUSH 0xe4
#define BOARD_TESTDEV_BYTES 0xe8
#define BOARD_TESTDEV_LINES 0x2000
#define BOARD_TESTDEV_MEMORY 0xff000000ull

/* Who can pull an ISA interrupt line; a bit of board_state.irq_sources. */
enum board_irq_source {
    BOARD_IRQ_PCI,
    BOARD_IRQ_PIT,
    BOARD_IRQ_RTC,
    BOARD_IRQ_KEYBOARD,
    BOARD_IRQ_MOUSE,
    BOARD_IRQ_FPU,
    BOARD_IRQ_SCI,
    BOARD_IRQ_IDE,
    BOARD_IRQ_SERIAL, /* and the three after it */
    BOARD_IRQ_TESTDEV = BOARD_IRQ_SERIAL + BOARD_SERIALS,
};

struct board_state {
    uint32_t irq_sources[BOARD_IRQS]; /* per line: bit n: source n asserts it */
    uint32_t a20;                     /* the gate passes address bit 20 */
    uint32_t zero;
};
_Static_assert(sizeof(struct board_state) == 72, "no padding");

struct board {
    struct board_state s;
    struct machine *machine;

    struct pci pci;
    struct i440fx i440fx;
    struct piix3 piix3;
    struct piix4pm pm;
    struct lapics lapics;
    struct ioapic ioapic;
    struct pic pic;
    struct pit pit;
    struct rtc rtc;
    struct port61 port61;
    struct port92 port92;
    struct fpu_error fpu_error;
    struct reset_control reset_control;
    struct i8042 i8042;
    struct dma8237 dma8237;
    struct ide ide;
    struct uart uarts[BOARD_SERIALS];
    struct debugcon debugcons[BOARD_DEBUGCONS];
    struct debugexit debugexit;
    struct testdev testdev; /* when the description has it */
    struct fw_cfg fw_cfg;

    struct disk disks[DESCRIPTION_DRIVES];
    bool disk_used[DESCRIPTION_DRIVES];
    uint64_t disk_sizes[DESCRIPTION_DRIVES]; /* of the image files */

    /* What fw_cfg hands out. */
    struct acpi_tables acpi;
    struct smbios_tables smbios;
    struct linux_boot linux_boot;
    struct multiboot multiboot;
};

/* board_firmware.c: ROM content, CMOS, fw_cfg. 0 or a negative code. */
int board_load_rom(struct board *board, struct error *error);
void board_fill_cmos(struct board *board);
int board_fill_fw_cfg(struct board *board, struct error *error);

#endif
