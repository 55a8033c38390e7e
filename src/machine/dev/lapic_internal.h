/* What the files of the local APIC share: lapic.c (priority, delivery),
 * lapic_registers.c (register file, MSRs), lapic_timer.c. */
#ifndef MACHINE_DEV_LAPIC_INTERNAL_H
#define MACHINE_DEV_LAPIC_INTERNAL_H

#include "machine/dev/lapic.h"

#define BASE_BSP (1u << 8)
#define BASE_X2APIC (1u << 10)
#define BASE_ENABLE (1u << 11)

#define SVR_ENABLE (1u << 8)
#define SVR_SUPPRESS_EOI (1u << 12)

#define LVT_REMOTE_IRR (1u << 14)
#define LVT_LEVEL (1u << 15)
#define LVT_MASK (1u << 16)
#define LVT_TIMER_MODE (3u << 17)
#define LVT_TIMER_ONE_SHOT (0u << 17)
#define LVT_TIMER_PERIODIC (1u << 17)
#define LVT_TIMER_TSC_DEADLINE (2u << 17)

#define ESR_SEND_VECTOR (1u << 5)
#define ESR_RECEIVE_VECTOR (1u << 6)
#define ESR_REGISTER (1u << 7)

static inline bool lapic_enabled(const struct lapic *lapic)
{
    return lapic->s.base & BASE_ENABLE;
}

static inline bool lapic_in_x2apic(const struct lapic *lapic)
{
    return lapic->s.base & BASE_X2APIC;
}

static inline bool lapic_software_enabled(const struct lapic *lapic)
{
    return lapic->s.svr & SVR_ENABLE;
}

static inline enum lapic_delivery lapic_mode(uint32_t word)
{
    return (enum lapic_delivery)(word >> 8 & 7);
}

/* Tells the vCPU whether there is an interrupt for it; after every change. */
void lapic_update(struct lapic *lapic);
/* Processor priority register. */
uint32_t lapic_ppr(const struct lapic *lapic);
/* Notes errors (ESR bits) and raises the error interrupt for new ones. */
void lapic_error(struct lapic *lapic, uint32_t bits);
/* A local source (not LINT) raises its LVT entry. */
void lapic_local_interrupt(struct lapic *lapic, enum lapic_lvt entry);
/* Level-triggered fixed LINT0: asks again when asserted and unmasked. */
void lapic_lint_level(struct lapic *lapic);
/* EOI register written. */
void lapic_eoi(struct lapic *lapic);
/* Sends what ICR says / a fixed interrupt to itself. */
void lapic_send(struct lapic *lapic);
void lapic_send_self(struct lapic *lapic, uint8_t vector);
/* All registers but IA32_APIC_BASE as after reset; LINT pins keep their level. */
void lapic_registers_reset(struct lapic *lapic);

void lapic_timer_event(void *lapic, uint64_t now);
void lapic_timer_schedule(struct lapic *lapic);
uint32_t lapic_timer_count(const struct lapic *lapic);
void lapic_timer_set_count(struct lapic *lapic, uint32_t count);
void lapic_timer_set_divide(struct lapic *lapic, uint32_t divide);
void lapic_timer_set_lvt(struct lapic *lapic, uint32_t value);
void lapic_timer_set_deadline(struct lapic *lapic, uint64_t tsc);

#endif
