/*
 * The local APICs of all vCPUs: xAPIC (memory page) and x2APIC (MSRs).
 * Intel SDM volume 3, chapter "Advanced Programmable Interrupt Controller".
 *
 * The APIC id of vCPU n is n. The timer's input clock is LAPIC_TIMER_HZ before
 * the divide configuration; CPUID tells guests so. The TSC of vCPU n is
 * virtual ns + tsc_offset(n).
 *
 * Each vCPU's `struct lapic_state` is one component ("lapic0"...), with
 * `struct lapic *` (lapics->list + n) as the device of lapic_restored.
 */
#ifndef MACHINE_DEV_LAPIC_H
#define MACHINE_DEV_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/events.h"

#define LAPIC_TIMER_HZ 1000000000u /* LAPIC timer input clock (CPUID 15h ECX, hypervisor leaf) */
#define LAPIC_TSC_HZ 1000000000u   /* the TSC that TSC-deadline mode compares with */
#define LAPIC_MAXIMUM 64
#define LAPIC_PAGE_BYTES 4096
#define LAPIC_DEFAULT_BASE 0xfee00000u

#define LAPIC_NOTHING (-1) /* lapic_acknowledge: the request has gone away */
#define LAPIC_EXTINT (-2)  /* lapic_acknowledge: the 8259 pair has the vector */

#define LAPIC_ALL_CPUS UINT32_MAX /* input of lapic_set_extint, lapic_set_nmi */

/* Delivery modes as encoded in ICR, LVT, IOAPIC entries and MSI data. */
enum lapic_delivery {
    LAPIC_FIXED = 0,
    LAPIC_LOWEST_PRIORITY = 1,
    LAPIC_SMI = 2,
    LAPIC_NMI = 4,
    LAPIC_INIT = 5,
    LAPIC_STARTUP = 6,
    LAPIC_DELIVER_EXTINT = 7,
};

enum lapic_lvt { /* index into lapic_state.lvt */
    LAPIC_LVT_TIMER,
    LAPIC_LVT_THERMAL,
    LAPIC_LVT_PERFORMANCE,
    LAPIC_LVT_LINT0,
    LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,
    LAPIC_LVT_COUNT,
};

struct lapic_state {
    uint64_t base;         /* IA32_APIC_BASE */
    uint64_t tsc_deadline; /* IA32_TSC_DEADLINE, 0: disarmed */
    uint64_t timer_start;  /* virtual ns when the count began at `initial_count` */
    uint32_t irr[8];
    uint32_t isr[8];
    uint32_t tmr[8];
    uint32_t ldr;          /* xAPIC LDR, bits 31:24 */
    uint32_t dfr;
    uint32_t tpr;
    uint32_t svr;
    uint32_t esr;          /* what a read gives */
    uint32_t esr_pending;  /* errors since the last write to ESR */
    uint32_t icr_low;
    uint32_t icr_high;     /* xAPIC: bits 31:24; x2APIC: whole destination */
    uint32_t lvt[LAPIC_LVT_COUNT];
    uint32_t initial_count;
    uint32_t divide;       /* divide configuration register */
    uint8_t timer_running;  /* one-shot or periodic count is going on */
    uint8_t extint_message; /* an ExtINT message of an IOAPIC is pending */
    uint8_t lint[2];        /* level of the pins LINT0, LINT1 */
};
_Static_assert(sizeof(struct lapic_state) == 192, "lapic_state has no implicit padding");

struct machine;
struct lapics;

/*
 * Wiring. The five vCPU functions have the signatures of machine/cpu_lines.h;
 * a board puts machine_cpu_interrupt, machine_cpu_nmi, ... in them. `init` is
 * expected to lead to lapic_cpu_reset when the vCPU takes it (board_cpu_reset).
 */
struct lapic_wiring {
    struct machine *machine; /* first argument of the five below */
    void (*interrupt)(struct machine *machine, unsigned cpu, bool level);
    void (*nmi)(struct machine *machine, unsigned cpu);
    void (*smi)(struct machine *machine, unsigned cpu);
    void (*init)(struct machine *machine, unsigned cpu);
    void (*startup)(struct machine *machine, unsigned cpu, uint8_t vector);
    const struct clock *clock;
    struct events *events;
    /* TSC of vCPU `cpu` minus virtual ns (two's complement). */
    uint64_t (*tsc_offset)(void *context, unsigned cpu);
    void *tsc_context;
    /* EOI of a level-triggered vector, broadcast to the IOAPICs
     * (ioapic_broadcast_eoi). */
    void (*broadcast_eoi)(void *context, uint8_t vector);
    void *eoi_context;
    bool lacks_tsc_deadline; /* the vCPUs' model has no such timer mode */
};

struct lapic {
    struct lapic_state s;
    struct lapics *lapics;
    unsigned cpu;
    unsigned timer; /* in events */
};

struct lapics {
    struct lapic list[LAPIC_MAXIMUM];
    unsigned count;
    struct lapic_wiring wiring; /* copied by lapics_init */
};

/* Builds `count` (1..64) APICs in reset state and registers their timers.
 * Calls no wiring function. */
void lapics_init(struct lapics *lapics, unsigned count, const struct lapic_wiring *wiring);

/* Power-on or RESET of all: xAPIC mode, enabled, at FEE00000h; vCPU 0 is the
 * BSP, and its LINT0 passes ExtINT as firmware's virtual wire would. */
void lapics_reset(struct lapics *lapics);

/* INIT of one: all but base, ID (and, by the SDM, the APIC mode) is reset. */
void lapic_cpu_reset(struct lapics *lapics, unsigned cpu);

/* IA32_APIC_BASE (1Bh), IA32_TSC_DEADLINE (6E0h), x2APIC (800h..8FFh).
 * 0, or -1 for #GP(0): unknown or reserved, wrong mode, reserved bits. */
int lapic_msr_read(struct lapics *lapics, unsigned cpu, uint32_t msr, uint64_t *value);
int lapic_msr_write(struct lapics *lapics, unsigned cpu, uint32_t msr, uint64_t value);

/* CR8: task priority class 0..15. */
uint64_t lapic_tpr_read(struct lapics *lapics, unsigned cpu);
void lapic_tpr_write(struct lapics *lapics, unsigned cpu, uint64_t value);

/* Whether vCPU `cpu`'s access at physical `address` goes to its own APIC page
 * (enabled, xAPIC mode); then offset = address & 4095 for the next two. */
bool lapic_covers(const struct lapics *lapics, unsigned cpu, uint64_t address);
uint64_t lapic_mmio_read(struct lapics *lapics, unsigned cpu, uint64_t offset, unsigned bytes);
void lapic_mmio_write(struct lapics *lapics, unsigned cpu, uint64_t offset, uint64_t value,
                      unsigned bytes);

/* INTA cycle: the vector (moved from IRR to ISR), the spurious vector,
 * LAPIC_EXTINT or LAPIC_NOTHING. */
int lapic_acknowledge(struct lapics *lapics, unsigned cpu);

/* Line receivers (struct line; receiver: struct lapics *, input: vCPU number or
 * LAPIC_ALL_CPUS). extint: INTR of the 8259 pair at LINT0; nmi: at LINT1.
 * A globally disabled APIC passes both on as INTR and NMI. */
void lapic_set_extint(void *lapics, unsigned input, bool level);
void lapic_set_nmi(void *lapics, unsigned input, bool level);

/* An interrupt message from the bus (IOAPIC, MSI). `destination` has 8 bits
 * (FFh: all). Returns whether any APIC took it. */
bool lapic_deliver(struct lapics *lapics, uint8_t destination, bool logical,
                   enum lapic_delivery mode, uint8_t vector, bool level_triggered);

/* A device's write of `data` to FEExxxxxh: a message-signalled interrupt. Bits
 * 31:16 of what a device writes are 0: anything else is no message, nor is the
 * end of a level. */
bool lapic_message(struct lapics *lapics, uint64_t address, uint32_t data);

/* The same as an MMIO write, by offset from FEE00000h: what a vCPU writes
 * beside its APIC page, or there while that page is hidden. */
#define LAPIC_MESSAGE_BYTES 0x100000u
void lapic_message_write(void *lapics, uint64_t offset, uint64_t value, unsigned bytes);

/* The TSC offset of `cpu` has changed (IA32_TSC, IA32_TSC_ADJUST written). */
void lapic_tsc_changed(struct lapics *lapics, unsigned cpu);

/* `lapic` is a struct lapic *: recomputes its deadline and request level. */
void lapic_restored(void *lapic);

#endif
