/*
 * Intel 82371SB (PIIX3): the PCI-ISA bridge (function 0), which routes the
 * four PCI interrupt lines to ISA IRQs, and the PCI face of the IDE interface
 * (function 1), whose BAR 4 places the bus-master registers. The drives and
 * channels themselves are dev/ide.c. Data sheet 290550-002.
 */
#ifndef MACHINE_DEV_PIIX3_H
#define MACHINE_DEV_PIIX3_H

#include "machine/dev/pci.h"
#include "machine/line.h"

#define PIIX3_IRQS 16
#define PIIX3_MASTER_BYTES 16 /* bus-master IDE registers behind BAR 4 */

struct piix3_state {
    uint32_t pirq; /* bit n: PIRQn is asserted */
    uint32_t zero;
};

struct piix3 {
    struct piix3_state s;
    struct pci_function bridge; /* function 0 */
    struct pci_function ide;    /* function 1 */
    struct line irq[PIIX3_IRQS]; /* what the PCI lines contribute to each ISA IRQ */
};

/* Places functions 0 and 1 as PCI device `device` and takes over the PIRQ
 * lines of `pci`. `irq` (16 lines) is copied. `ports` range `master_range` is
 * moved by BAR 4 of the IDE function. */
void piix3_init(struct piix3 *piix3, struct pci *pci, unsigned device, const struct line *irq,
                struct bus *ports, unsigned master_range);
void piix3_reset(struct piix3 *piix3);

/* Line receiver: `input` 0..3 is PIRQA..PIRQD. */
void piix3_set_pirq(void *piix3, unsigned input, bool level);

#endif
