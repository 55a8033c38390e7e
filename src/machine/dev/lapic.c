/*
 * Local APIC: priorities, acceptance, delivery of messages, LINT pins; see
 * lapic.h. Intel SDM volume 3, chapter "Advanced Programmable Interrupt
 * Controller (APIC)".
 *
 * Choices where the manual leaves them open: lowest-priority delivery goes to
 * the APIC with the least PPR, then the least id; an ExtINT request is
 * acknowledged after the APIC's own interrupts; LINT0 of the BSP is in ExtINT
 * mode after reset, as firmware leaves it.
 *
 * Not modelled: arbitration ids, focus processors, delivery status (messages
 * take no time), accept and checksum errors of the old serial bus, CMCI; the
 * thermal and performance entries have no source.
 */
#include "machine/dev/lapic_internal.h"

#include <string.h>

#include "util/assert.h"

#define DESTINATION_ALL UINT32_MAX
#define MESSAGE_ASSERT (1u << 14)

/* Where a message goes. */
struct message {
    uint32_t destination;
    bool logical;
    enum lapic_delivery mode;
    uint8_t vector;
    bool level_triggered;
};

/* 256-bit vector sets. */

static int highest(const uint32_t set[8])
{
    for (int i = 7; i >= 0; i--)
        if (set[i])
            return 32 * i + 31 - __builtin_clz(set[i]);
    return -1;
}

static bool set_has(const uint32_t set[8], unsigned vector)
{
    return set[vector / 32] >> vector % 32 & 1;
}

static void set_put(uint32_t set[8], unsigned vector, bool value)
{
    uint32_t bit = 1u << vector % 32;
    set[vector / 32] = (set[vector / 32] & ~bit) | (value ? bit : 0);
}

/* Priority. */

uint32_t lapic_ppr(const struct lapic *lapic)
{
    int in_service = highest(lapic->s.isr);
    uint32_t class = in_service < 0 ? 0 : (uint32_t)in_service & 0xf0;
    return (lapic->s.tpr & 0xf0) >= class ? lapic->s.tpr : class;
}

static int deliverable(const struct lapic *lapic)
{
    int vector = highest(lapic->s.irr);
    return vector >= 0 && ((uint32_t)vector & 0xf0) > (lapic_ppr(lapic) & 0xf0) ? vector : -1;
}

static bool extint_requested(const struct lapic *lapic)
{
    const struct lapic_state *s = &lapic->s;
    if (!lapic_enabled(lapic))
        return s->lint[0];
    uint32_t lint0 = s->lvt[LAPIC_LVT_LINT0];
    if (s->lint[0] && !(lint0 & LVT_MASK) && lapic_mode(lint0) == LAPIC_DELIVER_EXTINT)
        return true;
    return s->extint_message;
}

void lapic_update(struct lapic *lapic)
{
    const struct lapic_wiring *wiring = &lapic->lapics->wiring;
    bool level = extint_requested(lapic) || deliverable(lapic) >= 0;
    wiring->interrupt(wiring->machine, lapic->cpu, level);
}

int lapic_acknowledge(struct lapics *lapics, unsigned cpu)
{
    struct lapic *lapic = &lapics->list[cpu];
    struct lapic_state *s = &lapic->s;
    int vector = deliverable(lapic);
    if (vector >= 0) {
        set_put(s->irr, (unsigned)vector, false);
        set_put(s->isr, (unsigned)vector, true);
    } else if (extint_requested(lapic)) {
        s->extint_message = 0;
        vector = LAPIC_EXTINT;
    } else if (highest(s->irr) >= 0) {
        vector = (int)(s->svr & 0xff);
    } else {
        vector = LAPIC_NOTHING;
    }
    lapic_update(lapic);
    return vector;
}

void lapic_eoi(struct lapic *lapic)
{
    struct lapic_state *s = &lapic->s;
    const struct lapic_wiring *wiring = &lapic->lapics->wiring;
    int vector = highest(s->isr);
    if (vector < 0)
        return;
    set_put(s->isr, (unsigned)vector, false);
    if (set_has(s->tmr, (unsigned)vector)) {
        uint32_t *lint0 = &s->lvt[LAPIC_LVT_LINT0];
        if ((*lint0 & LVT_REMOTE_IRR) && (*lint0 & 0xff) == (uint32_t)vector) {
            *lint0 &= ~LVT_REMOTE_IRR;
            lapic_lint_level(lapic);
        }
        if (!(s->svr & SVR_SUPPRESS_EOI) && wiring->broadcast_eoi)
            wiring->broadcast_eoi(wiring->eoi_context, (uint8_t)vector);
    }
    lapic_update(lapic);
}

/* Acceptance. */

void lapic_error(struct lapic *lapic, uint32_t bits)
{
    uint32_t fresh = bits & ~lapic->s.esr_pending;
    lapic->s.esr_pending |= bits;
    /* A bad vector in the error entry itself ends here: its bit is not new. */
    if (fresh)
        lapic_local_interrupt(lapic, LAPIC_LVT_ERROR);
}

/* A fixed interrupt reaches the APIC. */
static bool accept(struct lapic *lapic, uint8_t vector, bool level_triggered)
{
    if (!lapic_software_enabled(lapic))
        return false;
    if (vector < 16) {
        lapic_error(lapic, ESR_RECEIVE_VECTOR);
        return false;
    }
    set_put(lapic->s.tmr, vector, level_triggered);
    set_put(lapic->s.irr, vector, true);
    lapic_update(lapic);
    return true;
}

/* Hands one message to one APIC that it is meant for. */
static bool take(struct lapic *lapic, const struct message *message)
{
    const struct lapic_wiring *wiring = &lapic->lapics->wiring;
    switch (message->mode) {
    case LAPIC_FIXED:
    case LAPIC_LOWEST_PRIORITY:
        return accept(lapic, message->vector, message->level_triggered);
    case LAPIC_SMI:
        wiring->smi(wiring->machine, lapic->cpu);
        return true;
    case LAPIC_NMI:
        wiring->nmi(wiring->machine, lapic->cpu);
        return true;
    case LAPIC_INIT:
        wiring->init(wiring->machine, lapic->cpu);
        return true;
    case LAPIC_STARTUP:
        wiring->startup(wiring->machine, lapic->cpu, message->vector);
        return true;
    case LAPIC_DELIVER_EXTINT:
        lapic->s.extint_message = 1;
        lapic_update(lapic);
        return true;
    }
    return false;
}

void lapic_local_interrupt(struct lapic *lapic, enum lapic_lvt entry)
{
    uint32_t lvt = lapic->s.lvt[entry];
    if (lvt & LVT_MASK)
        return;
    bool has_mode = entry == LAPIC_LVT_THERMAL || entry == LAPIC_LVT_PERFORMANCE;
    struct message message = {
        .mode = has_mode ? lapic_mode(lvt) : LAPIC_FIXED, .vector = (uint8_t)lvt,
    };
    take(lapic, &message);
}

/* Delivery. */

static bool matches_logical(const struct lapic *lapic, uint32_t destination)
{
    if (lapic_in_x2apic(lapic))
        return destination >> 16 == lapic->cpu >> 4
            && (destination >> (lapic->cpu & 15) & 1);
    if (destination > 0xff)
        return false;
    uint32_t own = lapic->s.ldr >> 24;
    uint32_t model = lapic->s.dfr >> 28;
    if (model == 0xf)
        return own & destination;
    if (model != 0)
        return false;
    return (destination >> 4 == own >> 4 || destination >> 4 == 0xf) && (own & destination & 0xf);
}

static bool matches(const struct lapic *lapic, const struct message *message)
{
    if (!lapic_enabled(lapic))
        return false;
    if (message->destination == DESTINATION_ALL)
        return true;
    return message->logical ? matches_logical(lapic, message->destination)
                            : message->destination == lapic->cpu;
}

static bool deliver_lowest(struct lapics *lapics, const struct message *message)
{
    struct lapic *best = NULL;
    for (unsigned i = 0; i < lapics->count; i++) {
        struct lapic *lapic = &lapics->list[i];
        if (!matches(lapic, message) || !lapic_software_enabled(lapic))
            continue;
        if (!best || lapic_ppr(lapic) < lapic_ppr(best))
            best = lapic;
    }
    return best && take(best, message);
}

static bool deliver(struct lapics *lapics, const struct message *message)
{
    if (message->mode == LAPIC_LOWEST_PRIORITY)
        return deliver_lowest(lapics, message);
    bool taken = false;
    for (unsigned i = 0; i < lapics->count; i++)
        if (matches(&lapics->list[i], message))
            taken |= take(&lapics->list[i], message);
    return taken;
}

bool lapic_deliver(struct lapics *lapics, uint8_t destination, bool logical,
                   enum lapic_delivery mode, uint8_t vector, bool level_triggered)
{
    const struct message message = {
        .destination = destination == 0xff ? DESTINATION_ALL : destination,
        .logical = logical, .mode = mode, .vector = vector, .level_triggered = level_triggered,
    };
    /* Only a local APIC sends STARTUP. */
    return mode != LAPIC_STARTUP && deliver(lapics, &message);
}

bool lapic_message(struct lapics *lapics, uint64_t address, uint32_t data)
{
    enum lapic_delivery mode = lapic_mode(data);
    bool level = data & LVT_LEVEL;
    if (data >> 16 || (level && !(data & MESSAGE_ASSERT)))
        return false;
    bool redirect = address & 8;
    if (redirect && mode == LAPIC_FIXED)
        mode = LAPIC_LOWEST_PRIORITY;
    return lapic_deliver(lapics, (uint8_t)(address >> 12), address & 4, mode, (uint8_t)data,
                         level);
}

void lapic_message_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    if (bytes == 4 && !(offset & 3))
        lapic_message(device, LAPIC_DEFAULT_BASE + offset, (uint32_t)value);
}

void lapic_send_self(struct lapic *lapic, uint8_t vector)
{
    if (vector < 16)
        lapic_error(lapic, ESR_SEND_VECTOR);
    else
        accept(lapic, vector, false);
}

/* Shorthands: 1 self, 2 all, 3 all but self. INIT and STARTUP never reach the
 * sender by a shorthand. */
static void send_shorthand(struct lapic *lapic, unsigned shorthand, const struct message *message)
{
    struct lapics *lapics = lapic->lapics;
    bool restart = message->mode == LAPIC_INIT || message->mode == LAPIC_STARTUP;
    if (shorthand == 1) {
        if (!restart)
            take(lapic, message);
        return;
    }
    bool to_self = shorthand == 2 && !restart;
    if (message->mode == LAPIC_LOWEST_PRIORITY && to_self) {
        deliver_lowest(lapics, message);
        return;
    }
    for (unsigned i = 0; i < lapics->count; i++)
        if ((to_self || i != lapic->cpu) && matches(&lapics->list[i], message))
            take(&lapics->list[i], message);
}

void lapic_send(struct lapic *lapic)
{
    uint32_t icr = lapic->s.icr_low;
    uint32_t destination = lapic->s.icr_high;
    if (!lapic_in_x2apic(lapic)) {
        destination >>= 24;
        if (destination == 0xff)
            destination = DESTINATION_ALL;
    }
    struct message message = {
        .destination = destination, .logical = icr >> 11 & 1, .mode = lapic_mode(icr),
        .vector = (uint8_t)icr,
    };
    bool asserted = (icr & 1u << 14) || !(icr & LVT_LEVEL);
    bool fixed = message.mode == LAPIC_FIXED || message.mode == LAPIC_LOWEST_PRIORITY;
    /* INIT level de-assert only sets arbitration ids; ExtINT cannot be sent. */
    if (!asserted || message.mode == LAPIC_DELIVER_EXTINT)
        return;
    if (fixed && message.vector < 16) {
        lapic_error(lapic, ESR_SEND_VECTOR);
        return;
    }
    unsigned shorthand = icr >> 18 & 3;
    if (shorthand) {
        message.destination = DESTINATION_ALL;
        send_shorthand(lapic, shorthand, &message);
    } else {
        deliver(lapic->lapics, &message);
    }
}

/* LINT pins. */

void lapic_lint_level(struct lapic *lapic)
{
    uint32_t *lint0 = &lapic->s.lvt[LAPIC_LVT_LINT0];
    bool waits = *lint0 & (LVT_MASK | LVT_REMOTE_IRR);
    if (!lapic->s.lint[0] || waits || !(*lint0 & LVT_LEVEL) || lapic_mode(*lint0) != LAPIC_FIXED)
        return;
    if (accept(lapic, (uint8_t)*lint0, true))
        *lint0 |= LVT_REMOTE_IRR;
}

/* A rising edge at an edge-sensitive pin; ExtINT is a matter of levels. */
static void lint_edge(struct lapic *lapic, unsigned pin)
{
    uint32_t lvt = lapic->s.lvt[LAPIC_LVT_LINT0 + pin];
    struct message message = { .mode = lapic_mode(lvt), .vector = (uint8_t)lvt };
    bool takes_level = pin == 0 && (lvt & LVT_LEVEL) && message.mode == LAPIC_FIXED;
    if ((lvt & LVT_MASK) || takes_level || message.mode == LAPIC_STARTUP
        || message.mode == LAPIC_LOWEST_PRIORITY)
        return;
    if (message.mode != LAPIC_DELIVER_EXTINT || pin == 1)
        take(lapic, &message);
}

static void lint_set(struct lapic *lapic, unsigned pin, bool level)
{
    bool rises = level && !lapic->s.lint[pin];
    lapic->s.lint[pin] = level;
    if (lapic_enabled(lapic)) {
        if (rises)
            lint_edge(lapic, pin);
        if (pin == 0)
            lapic_lint_level(lapic);
    } else if (rises && pin == 1) {
        const struct lapic_wiring *wiring = &lapic->lapics->wiring;
        wiring->nmi(wiring->machine, lapic->cpu);
    }
    if (pin == 0)
        lapic_update(lapic);
}

static void pin_set(struct lapics *lapics, unsigned input, unsigned pin, bool level)
{
    ASSERT(input == LAPIC_ALL_CPUS || input < lapics->count);
    for (unsigned i = 0; i < lapics->count; i++)
        if (input == LAPIC_ALL_CPUS || input == i)
            lint_set(&lapics->list[i], pin, level);
}

void lapic_set_extint(void *lapics, unsigned input, bool level)
{
    pin_set(lapics, input, 0, level);
}

void lapic_set_nmi(void *lapics, unsigned input, bool level)
{
    pin_set(lapics, input, 1, level);
}

/* Reset. */

void lapic_registers_reset(struct lapic *lapic)
{
    struct lapic_state *s = &lapic->s;
    const struct lapic_state before = *s;
    memset(s, 0, sizeof *s);
    s->base = before.base;
    memcpy(s->lint, before.lint, sizeof s->lint);
    s->dfr = UINT32_MAX;
    s->svr = 0xff;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        s->lvt[i] = LVT_MASK;
}

static void power_on(struct lapic *lapic)
{
    bool boots = lapic->cpu == 0;
    memset(&lapic->s, 0, sizeof lapic->s);
    lapic->s.base = LAPIC_DEFAULT_BASE | BASE_ENABLE | (boots ? BASE_BSP : 0);
    lapic_registers_reset(lapic);
    if (boots)
        lapic->s.lvt[LAPIC_LVT_LINT0] = LAPIC_DELIVER_EXTINT << 8;
}

void lapics_init(struct lapics *lapics, unsigned count, const struct lapic_wiring *wiring)
{
    ASSERT(count >= 1 && count <= LAPIC_MAXIMUM);
    memset(lapics, 0, sizeof *lapics);
    lapics->count = count;
    lapics->wiring = *wiring;
    for (unsigned i = 0; i < count; i++) {
        struct lapic *lapic = &lapics->list[i];
        lapic->lapics = lapics;
        lapic->cpu = i;
        lapic->timer = events_add(wiring->events, "lapic", lapic_timer_event, lapic);
        power_on(lapic);
    }
}

void lapics_reset(struct lapics *lapics)
{
    for (unsigned i = 0; i < lapics->count; i++) {
        power_on(&lapics->list[i]);
        lapic_restored(&lapics->list[i]);
    }
}

void lapic_cpu_reset(struct lapics *lapics, unsigned cpu)
{
    lapic_registers_reset(&lapics->list[cpu]);
    lapic_restored(&lapics->list[cpu]);
}

void lapic_restored(void *device)
{
    struct lapic *lapic = device;
    lapic_timer_schedule(lapic);
    lapic_update(lapic);
}
