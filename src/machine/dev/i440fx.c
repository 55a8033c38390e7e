/*
 * Intel 440FX host bridge; see i440fx.h. Data sheet 290549-001.
 *
 * SMRAM is the RAM under the video window. A vCPU in SMM sees it while
 * G_SMRAME is set (with D_CLS: for instruction fetches only), everyone while
 * D_OPEN is set too. D_OPEN with D_CLS, which the data sheet forbids, is D_CLS.
 *
 * Not modelled: DRAM timing and row boundaries, the fixed DRAM hole (FDHC),
 * ERRCMD/ERRSTS, the turbo reset control register (port CF9h is the board's).
 */
#include "machine/dev/i440fx.h"

#define REGISTER_PMCCFG 0x50
#define REGISTER_PAM0 0x59
#define REGISTER_PAM_COUNT 7
#define REGISTER_SMRAM 0x72

#define PAM_READ 1u  /* reads go to RAM */
#define PAM_WRITE 2u /* writes go to RAM */

#define SMRAM_BASE_A0000 0x02
#define SMRAM_ENABLE 0x08
#define SMRAM_LOCK 0x10
#define SMRAM_CLOSED 0x20
#define SMRAM_OPEN 0x40

#define PAGE_OF(address) ((address) >> PAGE_SHIFT)

/* The backing page behind the PCI side of low page `page`, or PHYSMEM_MMIO. */
static uint32_t pci_side(const struct i440fx *i440fx, unsigned page)
{
    uint64_t window = i440fx->rom_bytes < 0x20000 ? i440fx->rom_bytes : 0x20000;
    uint64_t address = (uint64_t)page << PAGE_SHIFT;
    if (address < 0x100000 - window)
        return PHYSMEM_MMIO;
    return physmem_rom_page(i440fx->memory, i440fx->rom_bytes - (0x100000 - address));
}

static void map_pages(struct i440fx *i440fx, unsigned first, unsigned count, unsigned attribute)
{
    for (unsigned page = first; page < first + count; page++) {
        uint32_t outside = pci_side(i440fx, page);
        uint32_t write = outside == PHYSMEM_MMIO ? PHYSMEM_MMIO : PHYSMEM_DISCARD;
        physmem_map_low(i440fx->memory, page, attribute & PAM_READ ? page : outside,
                        attribute & PAM_WRITE ? page : write);
    }
}

/* PAM0's high half is F0000h-FFFFFh; PAM1 to PAM6 are C0000h-EFFFFh, low half
 * first, 16 KiB each. */
static void map_apply(void *device)
{
    struct i440fx *i440fx = device;
    const uint8_t *config = i440fx->function.s.config;
    map_pages(i440fx, PAGE_OF(0xf0000), 16, config[REGISTER_PAM0] >> 4 & 3);
    for (unsigned i = 0; i < 12; i++) {
        uint8_t pam = config[REGISTER_PAM0 + 1 + i / 2];
        map_pages(i440fx, PAGE_OF(0xc0000) + 4 * i, 4, (i & 1 ? pam >> 4 : pam) & 3);
    }
    uint8_t smram = config[REGISTER_SMRAM];
    bool enabled = smram & SMRAM_ENABLE, closed = smram & SMRAM_CLOSED;
    bool open = enabled && (smram & SMRAM_OPEN) && !closed;
    for (unsigned page = PHYSMEM_SMRAM_FIRST; page < PHYSMEM_SMRAM_END; page++)
        physmem_map_low(i440fx->memory, page, open ? page : PHYSMEM_MMIO,
                        open ? page : PHYSMEM_MMIO);
    i440fx->memory->smram = !enabled ? PHYSMEM_SMRAM_OFF
                            : closed ? PHYSMEM_SMRAM_CODE
                                     : PHYSMEM_SMRAM_ALL;
    physmem_remapped(i440fx->memory);
}

/* D_LCK freezes the register, with D_OPEN off, until reset. */
static void lock_apply(struct i440fx *i440fx)
{
    struct pci_function *function = &i440fx->function;
    uint8_t *smram = &function->s.config[REGISTER_SMRAM];
    bool locked = *smram & SMRAM_LOCK;
    function->writable[REGISTER_SMRAM] =
        locked ? 0 : SMRAM_OPEN | SMRAM_CLOSED | SMRAM_LOCK | SMRAM_ENABLE;
    if (locked)
        *smram &= (uint8_t)~SMRAM_OPEN;
}

static void config_restored(void *device)
{
    lock_apply(device);
    map_apply(device);
}

static void config_changed(void *device, unsigned offset, unsigned bytes)
{
    lock_apply(device);
    if (offset <= REGISTER_SMRAM && offset + bytes > REGISTER_PAM0)
        map_apply(device);
}

void i440fx_init(struct i440fx *i440fx, struct pci *pci, struct physmem *memory,
                 uint64_t rom_bytes)
{
    i440fx->memory = memory;
    i440fx->rom_bytes = rom_bytes;
    struct pci_function *function = &i440fx->function;
    *function = (struct pci_function){
        .changed = config_changed, .restored = config_restored, .device = i440fx,
    };
    pci_add_function(pci, function, PCI_DEVFN(0, 0), 0x8086, 0x1237, 0x060000, 0x02);
    /* The subsystem by which firmware knows that fw_cfg exists. */
    pci_default16(function, PCI_SUBSYSTEM_VENDOR_ID, 0x1af4, 0);
    pci_default16(function, PCI_SUBSYSTEM_ID, 0x1100, 0);
    pci_default16(function, PCI_COMMAND, 0x0006, 0x0100); /* memory and master always on */
    pci_default16(function, PCI_STATUS, 0x0280, 0);
    pci_default16(function, REGISTER_PMCCFG, 0x0000, 0xff7f);
    for (unsigned i = 0; i < REGISTER_PAM_COUNT; i++)
        pci_default8(function, REGISTER_PAM0 + i, 0, i ? 0x33 : 0x30);
    pci_default8(function, REGISTER_SMRAM, SMRAM_BASE_A0000, 0);
    pci_function_ready(function);
}
