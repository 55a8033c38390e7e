/*
 * PIIX4 power management; see piix4pm.h. Data sheet 290562-001, chapter 7.
 *
 * The firmware of this kind of machine leaves the commands ACPI_ENABLE and
 * ACPI_DISABLE to the board: what an SMI handler does on them (switching
 * SCI_EN) is done here, with the SMI or without. No device sits on the SMBus,
 * so that every transaction ends with DEV_ERR.
 *
 * An SMI is a pulse: the status bits of its source (GLBSTS) are not set, and
 * GLBCTL.EOS is only stored.
 *
 * Not modelled: sleep states other than soft off, clock throttling, SMIs other
 * than that of the APM port, resume events, RTC wake, the SMBus slave.
 */
#include "machine/dev/piix4pm.h"

#include <string.h>

#include "util/bits.h"

/* Configuration space. */
#define REGISTER_PMBA 0x40
#define REGISTER_DEVACTB 0x58
#define REGISTER_PMREGMISC 0x80
#define REGISTER_SMBBA 0x90
#define REGISTER_SMBHSTCFG 0xd2

#define DEVACTB_APMC_EN 0x02 /* in the top byte, 5Bh */
#define PMREGMISC_PMIOSE 0x01
#define SMB_HST_EN 0x01

/* Offsets from PMBA. */
#define PMSTS 0x00
#define PMEN 0x02
#define PMCNTRL 0x04
#define PMTMR 0x08
#define GPSTS 0x0c
#define GPEN 0x0e
#define CONTROL_FIRST 0x10
#define GLBCTL 0x28

#define SMI_EN 0x01 /* in GLBCTL */

#define TMROF_STS 0x0001
#define PWRBTN_STS 0x0100
#define PMSTS_BITS 0x8d31u /* TMROF, BM, GBL, PWRBTN, LVL, RTC, RSM */
#define PMEN_BITS 0x0521u  /* TMROF, GBL, PWRBTN, RTC */
#define SCI_EN 0x0001
#define PMCNTRL_BITS 0x1c03u /* SCI_EN, BRLD_EN_BM, SUS_TYP */
#define SUS_TYP_SHIFT 10
#define SUS_TYP_SOFT_OFF 0
#define SUS_EN 0x2000
#define GPSTS_BITS 0x0f81u
#define GPEN_BITS 0x0f01u

#define TIMER_MASK 0xffffffu
#define TIMER_HALF 23 /* TMROF_STS is set whenever bit 23 changes */

#define SMB_DEV_ERR 0x04
#define SMB_STATUS_BITS 0x1e
#define SMB_CONTROL 0x02
#define SMB_START 0x40

static uint64_t ticks_now(const struct piix4pm *pm)
{
    return clock_ns_to_ticks(clock_now(pm->wiring.clock), PIIX4PM_TIMER_HZ);
}

static void sci_apply(struct piix4pm *pm)
{
    const struct piix4pm_state *s = &pm->s;
    bool event = (s->pmsts & s->pmen & PMEN_BITS) || (s->gpsts & s->gpen & GPEN_BITS);
    line_set(&pm->wiring.sci, event && (s->pmcntrl & SCI_EN));
}

/* TMROF_STS is only looked at by reads and by the SCI, so it is brought up to
 * date there; a deadline is needed only while its rise would raise the SCI. */
static void timer_update(struct piix4pm *pm)
{
    uint64_t ticks = ticks_now(pm);
    if (ticks >= pm->s.overflow) {
        pm->s.pmsts |= TMROF_STS;
        pm->s.overflow = ((ticks >> TIMER_HALF) + 1) << TIMER_HALF;
    }
}

static void schedule(struct piix4pm *pm)
{
    bool wanted = (pm->s.pmen & TMROF_STS) && !(pm->s.pmsts & TMROF_STS);
    events_schedule(pm->wiring.events, pm->timer,
                    wanted ? clock_ticks_to_ns(pm->s.overflow, PIIX4PM_TIMER_HZ) : EVENTS_NEVER);
}

static void update(struct piix4pm *pm)
{
    timer_update(pm);
    schedule(pm);
    sci_apply(pm);
}

static void timer_event(void *device, uint64_t now)
{
    (void)now;
    update(device);
}

static uint16_t register_read(struct piix4pm *pm, unsigned offset)
{
    switch (offset) {
    case PMSTS:
        timer_update(pm);
        return pm->s.pmsts;
    case PMEN:
        return pm->s.pmen;
    case PMCNTRL:
        return pm->s.pmcntrl;
    case PMTMR:
        return ticks_now(pm) & 0xffff;
    case PMTMR + 2:
        return (ticks_now(pm) & TIMER_MASK) >> 16;
    case GPSTS:
        return pm->s.gpsts;
    case GPEN:
        return pm->s.gpen;
    default:
        return offset >= CONTROL_FIRST ? load16(&pm->s.control[offset - CONTROL_FIRST]) : 0;
    }
}

static void control_write(struct piix4pm *pm, uint16_t value, uint16_t lanes)
{
    uint16_t merged = (pm->s.pmcntrl & ~lanes) | (value & lanes);
    pm->s.pmcntrl = merged & PMCNTRL_BITS; /* SUS_EN and GBL_RLS read as zero */
    if ((value & lanes & SUS_EN) && (merged >> SUS_TYP_SHIFT & 7) == SUS_TYP_SOFT_OFF)
        pm->wiring.power_off(pm->wiring.context);
}

/* Writes the bytes of `value` that `lanes` selects to a 16-bit register. */
static void register_write(struct piix4pm *pm, unsigned offset, uint16_t value, uint16_t lanes)
{
    struct piix4pm_state *s = &pm->s;
    switch (offset) {
    case PMSTS:
        timer_update(pm);
        s->pmsts &= ~(value & lanes & PMSTS_BITS);
        break;
    case PMEN:
        s->pmen = ((s->pmen & ~lanes) | (value & lanes)) & PMEN_BITS;
        break;
    case PMCNTRL:
        control_write(pm, value, lanes);
        break;
    case GPSTS:
        s->gpsts &= ~(value & lanes & GPSTS_BITS);
        break;
    case GPEN:
        s->gpen = ((s->gpen & ~lanes) | (value & lanes)) & GPEN_BITS;
        break;
    default:
        if (offset >= CONTROL_FIRST) {
            uint8_t *stored = &s->control[offset - CONTROL_FIRST];
            store16(stored, (load16(stored) & ~lanes) | (value & lanes));
        }
    }
}

uint64_t piix4pm_read(void *device, uint64_t offset, unsigned bytes)
{
    if (bytes == 1)
        return register_read(device, offset & ~1u) >> (8 * (offset & 1)) & 0xff;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= piix4pm_read(device, offset + i, 1) << (8 * i);
    return value;
}

void piix4pm_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct piix4pm *pm = device;
    uint64_t last = offset + bytes;
    while (offset < last) {
        unsigned shift = 8 * (offset & 1);
        bool whole = shift == 0 && last - offset >= 2;
        uint16_t lanes = whole ? 0xffff : 0xff << shift;
        register_write(pm, offset & ~1u, (uint16_t)(value << shift), lanes);
        offset += whole ? 2 : 1;
        value >>= whole ? 16 : 8;
    }
    update(pm);
}

uint64_t piix4pm_smbus_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct piix4pm *pm = device;
    (void)bytes; /* byte registers only */
    return offset == 0 ? pm->s.smbus_status : pm->s.smbus_registers[offset - 1];
}

void piix4pm_smbus_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct piix4pm *pm = device;
    (void)bytes;
    if (offset == 0) {
        pm->s.smbus_status &= ~(value & SMB_STATUS_BITS);
        return;
    }
    pm->s.smbus_registers[offset - 1] = value & 0xff;
    if (offset == SMB_CONTROL) {
        pm->s.smbus_registers[offset - 1] &= (uint8_t)~SMB_START;
        if (value & SMB_START)
            pm->s.smbus_status |= SMB_DEV_ERR;
    }
}

uint64_t piix4pm_apm_read(void *device, uint64_t offset, unsigned bytes)
{
    const struct piix4pm *pm = device;
    (void)bytes;
    return offset == 0 ? pm->s.apmc : pm->s.apms;
}

void piix4pm_apm_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct piix4pm *pm = device;
    (void)bytes;
    if (offset == 1) {
        pm->s.apms = value & 0xff;
        return;
    }
    pm->s.apmc = value & 0xff;
    if (value == PIIX4PM_ACPI_ENABLE)
        pm->s.pmcntrl |= SCI_EN;
    else if (value == PIIX4PM_ACPI_DISABLE)
        pm->s.pmcntrl &= ~SCI_EN;
    update(pm);
    if ((pm->function.s.config[REGISTER_DEVACTB + 3] & DEVACTB_APMC_EN) &&
        (pm->s.control[GLBCTL - CONTROL_FIRST] & SMI_EN))
        line_pulse(&pm->wiring.smi);
}

void piix4pm_power_button(struct piix4pm *pm)
{
    pm->s.pmsts |= PWRBTN_STS;
    update(pm);
}

/* Moving a range costs the bus a new map: only when something changes. */
static void place(struct bus *ports, unsigned number, uint32_t base, uint32_t size, bool on)
{
    const struct bus_range *range = &ports->ranges[number];
    if (range->enabled != on || (on && range->base != base))
        bus_move(ports, number, base, size, on);
}

static void map_apply(void *device)
{
    struct piix4pm *pm = device;
    const uint8_t *config = pm->function.s.config;
    uint32_t pmba = load32(&config[REGISTER_PMBA]) & 0xffc0;
    uint32_t smbba = load32(&config[REGISTER_SMBBA]) & 0xfff0;
    bool pm_on = (config[REGISTER_PMREGMISC] & PMREGMISC_PMIOSE) && pmba;
    bool smbus_on = (config[REGISTER_SMBHSTCFG] & SMB_HST_EN) && smbba;
    place(pm->wiring.ports, pm->wiring.pm_range, pmba, PIIX4PM_PORTS, pm_on);
    place(pm->wiring.ports, pm->wiring.smbus_range, smbba, PIIX4PM_SMBUS_PORTS, smbus_on);
}

static void config_changed(void *device, unsigned offset, unsigned bytes)
{
    (void)offset;
    (void)bytes;
    map_apply(device);
}

void piix4pm_restored(void *device)
{
    schedule(device);
}

void piix4pm_init(struct piix4pm *pm, struct pci *pci, uint8_t devfn,
                  const struct piix4pm_wiring *wiring)
{
    memset(pm, 0, sizeof *pm);
    pm->wiring = *wiring;
    pm->timer = events_add(wiring->events, "pm timer", timer_event, pm);
    struct pci_function *function = &pm->function;
    function->changed = config_changed;
    function->restored = map_apply;
    function->device = pm;
    pci_add_function(pci, function, devfn, 0x8086, 0x7113, 0x068000, 0x03);
    pci_default16(function, PCI_COMMAND, 0x0000, PCI_COMMAND_IO);
    pci_default16(function, PCI_STATUS, 0x0280, 0);
    pci_default8(function, PCI_INTERRUPT_PIN, 1, 0);
    pci_default32(function, REGISTER_PMBA, 0x00000001, 0x0000ffc0);
    for (unsigned i = 0x44; i < REGISTER_PMREGMISC; i++) /* counters and device activity */
        pci_default8(function, i, 0, 0xff);
    if (!wiring->smi.set) /* firmware that finds this set does not try to use SMM */
        function->s.config[REGISTER_DEVACTB + 3] = DEVACTB_APMC_EN;
    pci_default8(function, REGISTER_PMREGMISC, 0, PMREGMISC_PMIOSE);
    pci_default32(function, REGISTER_SMBBA, 0x00000001, 0x0000fff0);
    pci_default8(function, REGISTER_SMBHSTCFG, 0, 0x0f);
    pci_default8(function, REGISTER_SMBHSTCFG + 1, 0, 0xff);
    pci_default16(function, REGISTER_SMBHSTCFG + 2, 0, 0xffff);
    components_add(pci->components, "piix4pm", COMPONENT_SINGLE, &pm->s, sizeof pm->s,
                   piix4pm_restored, pm);
    pci_function_ready(function);
    piix4pm_reset(pm);
}

/* The timer is not reset: it counts virtual time since power-on. */
void piix4pm_reset(struct piix4pm *pm)
{
    memset(&pm->s, 0, sizeof pm->s);
    pm->s.overflow = ((ticks_now(pm) >> TIMER_HALF) + 1) << TIMER_HALF;
    update(pm);
}
