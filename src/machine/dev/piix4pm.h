/*
 * Intel 82371AB (PIIX4), function 3: ACPI power management, the SMI command
 * port and the SMBus host. Data sheet 290562-001, chapter 7; ACPI 1.0b
 * chapter 4.7 for the fixed registers' meaning.
 *
 * Power-management registers, from PMBA (64 ports): 00h PMSTS, 02h PMEN,
 * 04h PMCNTRL, 08h PMTMR, 0Ch GPSTS, 0Eh GPEN.
 */
#ifndef MACHINE_DEV_PIIX4PM_H
#define MACHINE_DEV_PIIX4PM_H

#include "machine/clock.h"
#include "machine/dev/pci.h"
#include "machine/events.h"
#include "machine/line.h"

#define PIIX4PM_TIMER_HZ 3579545u
#define PIIX4PM_PORTS 64
#define PIIX4PM_SMBUS_PORTS 16
#define PIIX4PM_APM_PORTS 2 /* B2h APMC, B3h APMS */

/* What an operating system writes to APMC to switch ACPI mode on and off. */
#define PIIX4PM_ACPI_ENABLE 0xf1
#define PIIX4PM_ACPI_DISABLE 0xf0

struct piix4pm_state {
    uint64_t overflow; /* timer tick at which TMROF_STS is next set */
    uint16_t pmsts;
    uint16_t pmen;
    uint16_t pmcntrl;
    uint16_t gpsts;
    uint16_t gpen;
    uint8_t apmc;
    uint8_t apms;
    uint8_t smbus_status;
    uint8_t smbus_registers[PIIX4PM_SMBUS_PORTS - 1]; /* offsets 1..15 */
    uint8_t control[48]; /* registers from PMBA + 10h on, stored only */
    uint8_t zero[4];
};
_Static_assert(sizeof(struct piix4pm_state) == 88, "no padding");

/* What the chip is connected to; copied. */
struct piix4pm_wiring {
    const struct clock *clock;
    struct events *events;
    struct line sci;
    struct line smi; /* an edge per APMC write with DEVACTB.APMC_EN and GLBCTL.SMI_EN */
    void (*power_off)(void *context); /* soft-off state entered */
    void *context;
    struct bus *ports;
    unsigned pm_range;    /* PIIX4PM_PORTS ports, moved by PMBA */
    unsigned smbus_range; /* PIIX4PM_SMBUS_PORTS ports, moved by SMBBA */
};

struct piix4pm {
    struct piix4pm_state s;
    struct pci_function function;
    struct piix4pm_wiring wiring;
    unsigned timer;
};

void piix4pm_init(struct piix4pm *pm, struct pci *pci, uint8_t devfn,
                  const struct piix4pm_wiring *wiring);
void piix4pm_reset(struct piix4pm *pm);
void piix4pm_restored(void *pm);

/* The power button was pressed. */
void piix4pm_power_button(struct piix4pm *pm);

/* Bus functions: power-management block, SMBus block, ports B2h-B3h. */
bus_read_function piix4pm_read;
bus_write_function piix4pm_write;
bus_read_function piix4pm_smbus_read;
bus_write_function piix4pm_smbus_write;
bus_read_function piix4pm_apm_read;
bus_write_function piix4pm_apm_write;

#endif
