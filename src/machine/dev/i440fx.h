/*
 * Intel 82441FX host bridge (440FX PMC), PCI device 0 function 0. What a guest
 * sees of it is the memory map of the first MiB: the PAM registers decide, by
 * 16 KiB (F0000h: 64 KiB) and separately for reads and writes, between RAM and
 * the PCI side; SMRAM opens the RAM under the video window.
 * Data sheet 290549-001, chapters 3.2.18 (PAM) and 3.2.22 (SMRAM).
 */
#ifndef MACHINE_DEV_I440FX_H
#define MACHINE_DEV_I440FX_H

#include "cpu/physmem.h"
#include "machine/dev/pci.h"

struct i440fx {
    struct pci_function function; /* its configuration space is all the state */
    struct physmem *memory;
    uint64_t rom_bytes;
};

/* Places the bridge on `pci`. `memory` holds a ROM of `rom_bytes`, whose last
 * 128 KiB (or all, when it is smaller) are what the PCI side has below 1 MiB. */
void i440fx_init(struct i440fx *i440fx, struct pci *pci, struct physmem *memory,
                 uint64_t rom_bytes);

#endif
