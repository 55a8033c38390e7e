/*
 * Register file of the local APIC, as memory page (xAPIC) and as MSRs
 * (x2APIC), and IA32_APIC_BASE; see lapic.h. SDM volume 3, "Local APIC Register
 * Address Map", "x2APIC Register Address Space", "x2APIC State Transitions".
 *
 * Register numbers here are page offset / 16 = MSR - 800h. The page takes
 * aligned 32-bit accesses; narrower reads give the bytes that they cover,
 * narrower and misaligned writes are dropped, and of a 64-bit write the low
 * half counts.
 *
 * Not modelled: a writable xAPIC id; LVT_CMCI (the version register says so).
 */
#include "machine/dev/lapic_internal.h"

#include "util/bits.h"

#define MSR_APIC_BASE 0x1b
#define MSR_TSC_DEADLINE 0x6e0
#define MSR_X2APIC 0x800

#define VERSION 0x01050014u /* EOI broadcast suppression, 6 LVT entries, 14h */

#define BASE_RESERVED 0xfff00000000002ffull /* how wide addresses are: the vCPU checks */

#define ICR_WRITABLE 0x000ccfffu /* without delivery status, bit 12 */
#define ICR_STATUS (1u << 12)

enum {
    REG_ID = 0x02, REG_VERSION = 0x03, REG_TPR = 0x08, REG_APR = 0x09, REG_PPR = 0x0a,
    REG_EOI = 0x0b, REG_RRD = 0x0c, REG_LDR = 0x0d, REG_DFR = 0x0e, REG_SVR = 0x0f,
    REG_ISR = 0x10, REG_TMR = 0x18, REG_IRR = 0x20, REG_ESR = 0x28,
    REG_ICR_LOW = 0x30, REG_ICR_HIGH = 0x31, REG_LVT_TIMER = 0x32, REG_LVT_ERROR = 0x37,
    REG_INITIAL_COUNT = 0x38, REG_CURRENT_COUNT = 0x39, REG_DIVIDE = 0x3e, REG_SELF_IPI = 0x3f,
    REG_COUNT = 0x40,
};

#define X_READ 1   /* in the xAPIC page */
#define X_WRITE 2
#define MSR_READ 4 /* as x2APIC MSR */
#define MSR_WRITE 8
#define READ (X_READ | MSR_READ)
#define WRITE (X_WRITE | MSR_WRITE)
#define X_THERE (X_READ | X_WRITE)

struct rule {
    uint32_t writable; /* other bits: dropped (xAPIC), #GP (x2APIC) */
    uint32_t status;   /* read-only bits that software may write as it likes */
    uint8_t access;
};

static const struct rule rules[REG_COUNT] = {
    [REG_ID] = { 0, 0, READ },
    [REG_VERSION] = { 0, 0, READ },
    [REG_TPR] = { 0xff, 0, READ | WRITE },
    [REG_APR] = { 0, 0, X_READ },
    [REG_PPR] = { 0, 0, READ },
    [REG_EOI] = { 0, 0, WRITE },
    [REG_RRD] = { 0, 0, X_READ },
    [REG_LDR] = { 0xff000000, 0, READ | X_WRITE },
    [REG_DFR] = { 0xf0000000, 0, X_READ | X_WRITE },
    [REG_SVR] = { 0x13ff, 0, READ | WRITE },
    [REG_ISR ... REG_ISR + 7] = { 0, 0, READ },
    [REG_TMR ... REG_TMR + 7] = { 0, 0, READ },
    [REG_IRR ... REG_IRR + 7] = { 0, 0, READ },
    [REG_ESR] = { 0, 0, READ | WRITE },
    [REG_ICR_LOW] = { ICR_WRITABLE, ICR_STATUS, READ | WRITE },
    [REG_ICR_HIGH] = { 0xff000000, 0, X_READ | X_WRITE },
    [REG_LVT_TIMER] = { 0x700ff, 0x1000, READ | WRITE },
    [REG_LVT_TIMER + 1] = { 0x107ff, 0x1000, READ | WRITE },
    [REG_LVT_TIMER + 2] = { 0x107ff, 0x1000, READ | WRITE },
    [REG_LVT_TIMER + 3] = { 0x1a7ff, 0x5000, READ | WRITE },
    [REG_LVT_TIMER + 4] = { 0x1a7ff, 0x5000, READ | WRITE },
    [REG_LVT_ERROR] = { 0x100ff, 0x1000, READ | WRITE },
    [REG_INITIAL_COUNT] = { UINT32_MAX, 0, READ | WRITE },
    [REG_CURRENT_COUNT] = { 0, 0, READ },
    [REG_DIVIDE] = { 0xb, 0, READ | WRITE },
    [REG_SELF_IPI] = { 0xff, 0, MSR_WRITE },
};

/* The timer's mode has one bit less where the model lacks the TSC deadline. */
static uint32_t writable(const struct lapic *lapic, unsigned number)
{
    bool lacks = number == REG_LVT_TIMER && lapic->lapics->wiring.lacks_tsc_deadline;
    return rules[number].writable & ~(lacks ? LVT_TIMER_TSC_DEADLINE : 0);
}

static uint32_t logical_id(const struct lapic *lapic)
{
    if (lapic_in_x2apic(lapic))
        return lapic->cpu >> 4 << 16 | 1u << (lapic->cpu & 15);
    return lapic->s.ldr;
}

static uint32_t register_read(const struct lapic *lapic, unsigned number)
{
    const struct lapic_state *s = &lapic->s;
    switch (number) {
    case REG_ID: return lapic_in_x2apic(lapic) ? lapic->cpu : lapic->cpu << 24;
    case REG_VERSION: return VERSION;
    case REG_TPR: return s->tpr;
    case REG_PPR: return lapic_ppr(lapic);
    case REG_LDR: return logical_id(lapic);
    case REG_DFR: return s->dfr;
    case REG_SVR: return s->svr;
    case REG_ISR ... REG_ISR + 7: return s->isr[number - REG_ISR];
    case REG_TMR ... REG_TMR + 7: return s->tmr[number - REG_TMR];
    case REG_IRR ... REG_IRR + 7: return s->irr[number - REG_IRR];
    case REG_ESR: return s->esr;
    case REG_ICR_LOW: return s->icr_low;
    case REG_ICR_HIGH: return s->icr_high;
    case REG_LVT_TIMER ... REG_LVT_ERROR: return s->lvt[number - REG_LVT_TIMER];
    case REG_INITIAL_COUNT: return s->initial_count;
    case REG_CURRENT_COUNT: return lapic_timer_count(lapic);
    case REG_DIVIDE: return s->divide;
    default: return 0;
    }
}

static void lvt_write(struct lapic *lapic, enum lapic_lvt entry, uint32_t value)
{
    struct lapic_state *s = &lapic->s;
    if (!lapic_software_enabled(lapic))
        value |= LVT_MASK;
    if (entry == LAPIC_LVT_TIMER) {
        lapic_timer_set_lvt(lapic, value);
        return;
    }
    /* Remote IRR lasts until the EOI or the end of level-triggered fixed mode. */
    if ((value & LVT_LEVEL) && lapic_mode(value) == LAPIC_FIXED)
        value |= s->lvt[entry] & LVT_REMOTE_IRR;
    s->lvt[entry] = value;
    if (entry == LAPIC_LVT_LINT0) {
        lapic_lint_level(lapic);
        lapic_update(lapic);
    }
}

static void svr_write(struct lapic *lapic, uint32_t value)
{
    lapic->s.svr = value;
    if (!lapic_software_enabled(lapic))
        for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
            lapic->s.lvt[i] |= LVT_MASK;
    lapic_update(lapic);
}

static void register_write(struct lapic *lapic, unsigned number, uint32_t value)
{
    struct lapic_state *s = &lapic->s;
    value &= writable(lapic, number);
    switch (number) {
    case REG_TPR:
        s->tpr = value;
        lapic_update(lapic);
        break;
    case REG_EOI: lapic_eoi(lapic); break;
    case REG_LDR: s->ldr = value; break;
    case REG_DFR: s->dfr = value | 0x0fffffff; break;
    case REG_SVR: svr_write(lapic, value); break;
    case REG_ESR:
        s->esr = s->esr_pending;
        s->esr_pending = 0;
        break;
    case REG_ICR_LOW:
        s->icr_low = value;
        lapic_send(lapic);
        break;
    case REG_ICR_HIGH: s->icr_high = value; break;
    case REG_LVT_TIMER ... REG_LVT_ERROR:
        lvt_write(lapic, (enum lapic_lvt)(number - REG_LVT_TIMER), value);
        break;
    case REG_INITIAL_COUNT: lapic_timer_set_count(lapic, value); break;
    case REG_DIVIDE: lapic_timer_set_divide(lapic, value); break;
    case REG_SELF_IPI: lapic_send_self(lapic, (uint8_t)value); break;
    }
}

/* The page. */

bool lapic_covers(const struct lapics *lapics, unsigned cpu, uint64_t address)
{
    const struct lapic *lapic = &lapics->list[cpu];
    return lapic_enabled(lapic) && !lapic_in_x2apic(lapic)
        && ((address ^ lapic->s.base) & ~(uint64_t)(LAPIC_PAGE_BYTES - 1)) == 0;
}

uint64_t lapic_mmio_read(struct lapics *lapics, unsigned cpu, uint64_t offset, unsigned bytes)
{
    struct lapic *lapic = &lapics->list[cpu];
    unsigned number = (unsigned)(offset >> 4) & 0xff;
    unsigned shift = (unsigned)(offset & 15) * 8;
    if (number >= REG_COUNT || !(rules[number].access & X_THERE))
        lapic_error(lapic, ESR_REGISTER);
    else if ((rules[number].access & X_READ) && shift < 32)
        return (uint64_t)register_read(lapic, number) >> shift & bits_ones(bytes);
    return 0;
}

void lapic_mmio_write(struct lapics *lapics, unsigned cpu, uint64_t offset, uint64_t value,
                      unsigned bytes)
{
    struct lapic *lapic = &lapics->list[cpu];
    unsigned number = (unsigned)(offset >> 4) & 0xff;
    if ((offset & 15) || bytes < 4)
        return;
    if (number >= REG_COUNT || !(rules[number].access & X_THERE))
        lapic_error(lapic, ESR_REGISTER);
    else if (rules[number].access & X_WRITE)
        register_write(lapic, number, (uint32_t)value);
}

/* MSRs. */

static int base_write(struct lapic *lapic, uint64_t value)
{
    struct lapic_state *s = &lapic->s;
    bool enable = value & BASE_ENABLE, extended = value & BASE_X2APIC;
    if (value & BASE_RESERVED)
        return -1;
    if (extended && (!enable || !lapic_enabled(lapic)))
        return -1; /* disabled to x2APIC, or x2APIC without enable */
    if (enable && !extended && lapic_in_x2apic(lapic))
        return -1; /* x2APIC goes back to xAPIC only by way of disabled */
    bool enters_x2apic = extended && !lapic_in_x2apic(lapic);
    bool turns_off = !enable && lapic_enabled(lapic);
    s->base = value;
    if (enters_x2apic)
        s->icr_high = 0;
    if (turns_off) {
        lapic_registers_reset(lapic);
        lapic_timer_schedule(lapic);
    }
    lapic_update(lapic);
    return 0;
}

static int x2apic_read(const struct lapic *lapic, unsigned number, uint64_t *value)
{
    if (!lapic_in_x2apic(lapic) || number >= REG_COUNT || !(rules[number].access & MSR_READ))
        return -1;
    *value = register_read(lapic, number);
    if (number == REG_ICR_LOW)
        *value |= (uint64_t)lapic->s.icr_high << 32;
    return 0;
}

static int x2apic_write(struct lapic *lapic, unsigned number, uint64_t value)
{
    if (!lapic_in_x2apic(lapic) || number >= REG_COUNT || !(rules[number].access & MSR_WRITE))
        return -1;
    uint64_t allowed = writable(lapic, number) | rules[number].status;
    if (number == REG_ICR_LOW)
        allowed |= 0xffffffffull << 32;
    if (value & ~allowed)
        return -1;
    if (number == REG_ICR_LOW)
        lapic->s.icr_high = (uint32_t)(value >> 32);
    register_write(lapic, number, (uint32_t)value);
    return 0;
}

int lapic_msr_read(struct lapics *lapics, unsigned cpu, uint32_t msr, uint64_t *value)
{
    struct lapic *lapic = &lapics->list[cpu];
    if (msr == MSR_APIC_BASE)
        *value = lapic->s.base;
    else if (msr == MSR_TSC_DEADLINE)
        *value = lapic->s.tsc_deadline;
    else if (msr >= MSR_X2APIC && msr <= MSR_X2APIC + 0xff)
        return x2apic_read(lapic, msr - MSR_X2APIC, value);
    else
        return -1;
    return 0;
}

int lapic_msr_write(struct lapics *lapics, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct lapic *lapic = &lapics->list[cpu];
    if (msr == MSR_APIC_BASE)
        return base_write(lapic, value);
    if (msr >= MSR_X2APIC && msr <= MSR_X2APIC + 0xff)
        return x2apic_write(lapic, msr - MSR_X2APIC, value);
    if (msr != MSR_TSC_DEADLINE)
        return -1;
    lapic_timer_set_deadline(lapic, value);
    return 0;
}

/* CR8. */

uint64_t lapic_tpr_read(struct lapics *lapics, unsigned cpu)
{
    return lapics->list[cpu].s.tpr >> 4;
}

void lapic_tpr_write(struct lapics *lapics, unsigned cpu, uint64_t value)
{
    lapics->list[cpu].s.tpr = (uint32_t)(value & 15) << 4;
    lapic_update(&lapics->list[cpu]);
}
