/*
 * The Motorola MC146818A real-time clock with 128 bytes of CMOS memory, ports
 * 70h (index) and 71h (data): offsets 0 and 1.
 *
 * The time of day is a function of virtual time; there is no per-second event.
 * Interrupts have deadlines only while they are enabled; flags of disabled
 * ones are worked out when register C is read. Byte 32h is the century.
 */
#ifndef MACHINE_DEV_RTC_H
#define MACHINE_DEV_RTC_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/events.h"
#include "machine/line.h"

#define RTC_BYTES 128

struct rtc_state {
    int64_t seconds;      /* the time, in seconds since 1970, at origin_ns */
    uint64_t origin_ns;   /* virtual time, modulo 2^64: a second began here */
    uint64_t flagged_ns;  /* register C holds what happened up to here */
    uint8_t cmos[RTC_BYTES]; /* time bytes are in force only while it stands still */
    uint8_t index;        /* last write to port 70h, with the NMI bit */
    uint8_t weekday_shift; /* day-of-week register minus the calendar's, 0..6 */
    uint8_t irq_level;
    uint8_t pad[5];
};
_Static_assert(sizeof(struct rtc_state) == 160, "no hidden padding");

struct rtc {
    struct rtc_state s;
    const struct clock *clock;
    struct events *events;
    struct line irq; /* IRQ 8 */
    unsigned timer;
};

/* Starts at `base` seconds since 1970 (UTC) at virtual time 0; dates outside
 * the years 0..9999 are brought into them. CMOS is zero but for registers A
 * (26h), B (02h: 24 h, BCD) and D (80h). Registers one timer in `events`. */
void rtc_init(struct rtc *rtc, const struct clock *clock, struct events *events, int64_t base,
              struct line irq);

/* RESET pin: clears interrupt enables and flags; time and CMOS stay. */
void rtc_reset(struct rtc *rtc);

/* Ports, one byte wide, offsets 0 (index, write-only) and 1 (data). */
uint64_t rtc_read(void *device, uint64_t offset, unsigned bytes);
void rtc_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

/* Sets CMOS byte `index` (0Eh..7Fh but 32h; others are ignored) as the board's
 * set-up program would have left it. rtc_cmos reads any stored byte. */
void rtc_set_cmos(struct rtc *rtc, unsigned index, uint8_t value);
uint8_t rtc_cmos(const struct rtc *rtc, unsigned index);

/* Bit 7 of port 70h: NMI is kept from the CPU. False after reset. */
bool rtc_nmi_masked(const struct rtc *rtc);

void rtc_event(void *device, uint64_t now);
void rtc_restored(void *device);

#endif
