/*
 * The MC146818A clock and 128 bytes of CMOS.
 *
 * Source: Motorola MC146818A data sheet (address map, registers A to D, update
 * cycle); the century byte 32h is the AT convention, kept by the clock here.
 *
 * While time runs (SET clear, divider on 32768 Hz) the time registers are
 * worked out from virtual time. While it stands still they are the bytes in
 * `cmos`. UIP is high for t_BUC + t_UC (244 us + 1984 us) before each second
 * ends; reads in that time give the second that ends.
 *
 * Not modelled:
 * - Other time bases than 32768 Hz: any divider setting but 010b stops time.
 * - Register values out of range are carried over when time runs again, where
 *   the chip would count on from them; after a change of DM or 24/12 the
 *   registers are in the new format, where the chip expects them rewritten.
 * - DSE (daylight saving) and SQWE are stored and do nothing.
 */
#include "machine/dev/rtc.h"

#include <string.h>

#define SECONDS 0x00
#define SECONDS_ALARM 0x01
#define MINUTES 0x02
#define MINUTES_ALARM 0x03
#define HOURS 0x04
#define HOURS_ALARM 0x05
#define WEEKDAY 0x06
#define DAY 0x07
#define MONTH 0x08
#define YEAR 0x09
#define REGISTER_A 0x0a
#define REGISTER_B 0x0b
#define REGISTER_C 0x0c
#define REGISTER_D 0x0d
#define CENTURY 0x32

#define A_UIP 0x80
#define A_DIVIDER 0x70
#define A_DIVIDER_RUNS 0x20
#define A_DIVIDER_RESET 0x60 /* 11xb */
#define A_RATE 0x0f
#define B_SET 0x80
#define B_PIE 0x40
#define B_AIE 0x20
#define B_UIE 0x10
#define B_BINARY 0x04
#define B_24_HOURS 0x02
#define C_IRQF 0x80
#define C_FLAGS 0x70 /* PF, AF, UF: the places of PIE, AIE, UIE */
#define C_PF 0x40
#define C_AF 0x20
#define C_UF 0x10
#define D_VRT 0x80

#define HOUR_PM 0x80
#define ALARM_ANY 0xc0
#define INDEX_NMI 0x80

#define RTC_HZ 32768u
#define UIP_NS 2228000u
#define HALF_SECOND_NS 500000000u
#define DAY_SECONDS 86400
#define YEARS_SECONDS 315569520000ll /* of the years 0..9999 */
#define YEAR_0_SECONDS (-62167219200ll)

struct calendar {
    int64_t year;
    int month; /* 1..12 */
    int day;   /* 1..31 */
    int hour, minute, second;
    int weekday; /* 1: Sunday */
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a date in the Gregorian calendar; month 1..12. */
static int64_t days_of(int64_t year, int64_t month, int64_t day)
{
    int64_t y = month <= 2 ? year - 1 : year; /* years begin in March */
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           719468;
}

static struct calendar calendar_of(int64_t seconds)
{
    int64_t days = floor_div(seconds, DAY_SECONDS);
    int of_day = (int)(seconds - days * DAY_SECONDS);
    int64_t shifted = days + 719468; /* since 0000-03-01 */
    int64_t era = floor_div(shifted, 146097);
    int64_t of_era = shifted - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    int64_t march_month = (5 * of_year + 2) / 153;
    struct calendar result = {
        .month = (int)(march_month < 10 ? march_month + 3 : march_month - 9),
        .day = (int)(of_year - (153 * march_month + 2) / 5 + 1),
        .hour = of_day / 3600,
        .minute = of_day / 60 % 60,
        .second = of_day % 60,
        .weekday = (int)((days + 4 - 7 * floor_div(days + 4, 7)) + 1),
    };
    result.year = year + era * 400 + (result.month <= 2);
    return result;
}

/* The same moment in the years 0..9999. */
static int64_t wrap_years(int64_t seconds)
{
    int64_t since = (seconds - YEAR_0_SECONDS) % YEARS_SECONDS;
    return (since < 0 ? since + YEARS_SECONDS : since) + YEAR_0_SECONDS;
}

static bool divider_runs(const struct rtc_state *s)
{
    return (s->cmos[REGISTER_A] & A_DIVIDER) == A_DIVIDER_RUNS;
}

static bool time_runs(const struct rtc_state *s)
{
    return divider_runs(s) && !(s->cmos[REGISTER_B] & B_SET);
}

static uint8_t encode(const struct rtc_state *s, int value)
{
    if (s->cmos[REGISTER_B] & B_BINARY)
        return (uint8_t)value;
    return (uint8_t)(value / 10 << 4 | value % 10);
}

static int decode(const struct rtc_state *s, uint8_t value)
{
    return s->cmos[REGISTER_B] & B_BINARY ? value : (value >> 4) * 10 + (value & 15);
}

static uint8_t encode_hour(const struct rtc_state *s, int hour)
{
    if (s->cmos[REGISTER_B] & B_24_HOURS)
        return encode(s, hour);
    return (uint8_t)(encode(s, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0));
}

static int decode_hour(const struct rtc_state *s, uint8_t value)
{
    if (s->cmos[REGISTER_B] & B_24_HOURS)
        return decode(s, value);
    return decode(s, value & 0x7f) % 12 + (value & HOUR_PM ? 12 : 0);
}

/* Whole seconds since 1970 at virtual time `now`. */
static int64_t seconds_at(const struct rtc_state *s, uint64_t now)
{
    return wrap_years(s->seconds + (int64_t)((now - s->origin_ns) / NS_PER_SECOND));
}

/* Writes the time registers of `now` into cmos. */
static void freeze(struct rtc_state *s, uint64_t now)
{
    struct calendar c = calendar_of(seconds_at(s, now));
    s->cmos[SECONDS] = encode(s, c.second);
    s->cmos[MINUTES] = encode(s, c.minute);
    s->cmos[HOURS] = encode_hour(s, c.hour);
    s->cmos[WEEKDAY] = encode(s, (c.weekday - 1 + s->weekday_shift) % 7 + 1);
    s->cmos[DAY] = encode(s, c.day);
    s->cmos[MONTH] = encode(s, c.month);
    s->cmos[YEAR] = encode(s, (int)(c.year % 100));
    s->cmos[CENTURY] = encode(s, (int)(c.year / 100));
}

/* Takes the time from the registers; the fraction of the second goes on. */
static void thaw(struct rtc_state *s, uint64_t now)
{
    int64_t year = decode(s, s->cmos[CENTURY]) * 100 + decode(s, s->cmos[YEAR]);
    int64_t month = decode(s, s->cmos[MONTH]) + 11; /* 0 is the December before */
    int64_t days = days_of(year - 1 + month / 12, month % 12 + 1, 1) +
                   decode(s, s->cmos[DAY]) - 1;
    int64_t of_day = decode_hour(s, s->cmos[HOURS]) * 3600 + decode(s, s->cmos[MINUTES]) * 60 +
                     decode(s, s->cmos[SECONDS]);
    uint64_t fraction = (now - s->origin_ns) % NS_PER_SECOND;
    s->seconds = wrap_years(days * DAY_SECONDS + of_day);
    s->origin_ns = now - fraction;
    int weekday = calendar_of(s->seconds).weekday;
    s->weekday_shift = (uint8_t)((decode(s, s->cmos[WEEKDAY]) + 7 * 40 - weekday) % 7);
}

/* 32768 Hz ticks of one period of PF, 0: none. */
static uint64_t periodic_ticks(const struct rtc_state *s)
{
    unsigned rate = s->cmos[REGISTER_A] & A_RATE;
    if (!rate || !divider_runs(s))
        return 0;
    return 1ull << (rate <= 2 ? rate + 6 : rate - 1);
}

/* The virtual time `elapsed` ns after origin_ns, a moment after `since`;
 * EVENTS_NEVER when the clock cannot reach it. */
static uint64_t moment(const struct rtc_state *s, unsigned __int128 elapsed, uint64_t since)
{
    elapsed -= since - s->origin_ns;
    return elapsed >= EVENTS_NEVER - since ? EVENTS_NEVER : since + (uint64_t)elapsed;
}

/* next_periodic, next_update, next_alarm: the first moment after `since` at
 * which PF, UF or AF is set; EVENTS_NEVER when it will not be. */
static uint64_t next_periodic(const struct rtc_state *s, uint64_t since)
{
    uint64_t period = periodic_ticks(s);
    if (!period)
        return EVENTS_NEVER;
    uint64_t tick = clock_ns_to_ticks(since - s->origin_ns, RTC_HZ);
    uint64_t next = (tick / period + 1) * period;
    return moment(s, ((unsigned __int128)next * NS_PER_SECOND + RTC_HZ - 1) / RTC_HZ, since);
}

static uint64_t next_update(const struct rtc_state *s, uint64_t since)
{
    if (!time_runs(s))
        return EVENTS_NEVER;
    uint64_t second = (since - s->origin_ns) / NS_PER_SECOND + 1;
    return moment(s, (unsigned __int128)second * NS_PER_SECOND, since);
}

/* Whether an alarm register asks for `encoded`, or for any value. */
static bool asks_for(uint8_t alarm, uint8_t encoded)
{
    return (alarm & ALARM_ANY) == ALARM_ANY || alarm == encoded;
}

/* The least value from `from` up that the alarm register at `index` asks for;
 * -1: none. */
static int alarm_value(const struct rtc_state *s, unsigned index, int from)
{
    int end = index == HOURS_ALARM ? 24 : 60;
    for (int value = from; value < end; value++)
        if (asks_for(s->cmos[index], index == HOURS_ALARM ? encode_hour(s, value)
                                                          : encode(s, value)))
            return value;
    return -1;
}

/* The least second of the day, not before `from`, that the alarm registers
 * ask for; -1: none. */
static int alarm_match(const struct rtc_state *s, int from)
{
    int hour = from / 3600, minute = from / 60 % 60;
    int first_minute = alarm_value(s, MINUTES_ALARM, 0);
    int first_second = alarm_value(s, SECONDS_ALARM, 0);
    if (first_minute < 0 || first_second < 0)
        return -1;

    if (alarm_value(s, HOURS_ALARM, hour) == hour) {
        int second = alarm_value(s, SECONDS_ALARM, from % 60);
        if (alarm_value(s, MINUTES_ALARM, minute) == minute && second >= 0)
            return hour * 3600 + minute * 60 + second;
        int later = alarm_value(s, MINUTES_ALARM, minute + 1);
        if (later >= 0)
            return hour * 3600 + later * 60 + first_second;
    }
    int later = alarm_value(s, HOURS_ALARM, hour + 1);
    return later < 0 ? -1 : later * 3600 + first_minute * 60 + first_second;
}

static uint64_t next_alarm(const struct rtc_state *s, uint64_t since)
{
    if (!time_runs(s))
        return EVENTS_NEVER;
    int64_t first = seconds_at(s, since) + 1;
    int of_day = (int)(first - floor_div(first, DAY_SECONDS) * DAY_SECONDS);
    int match = alarm_match(s, of_day);
    int wait = match - of_day;
    if (match < 0) {
        match = alarm_match(s, 0);
        wait = match - of_day + DAY_SECONDS;
    }
    if (match < 0)
        return EVENTS_NEVER;
    uint64_t second = (since - s->origin_ns) / NS_PER_SECOND + 1 + (uint64_t)wait;
    return moment(s, (unsigned __int128)second * NS_PER_SECOND, since);
}

/* Brings register C up to `now`. */
static void collect_flags(struct rtc_state *s, uint64_t now)
{
    uint8_t *c = &s->cmos[REGISTER_C];
    if (!(*c & C_PF) && next_periodic(s, s->flagged_ns) <= now)
        *c |= C_PF;
    if (!(*c & C_AF) && next_alarm(s, s->flagged_ns) <= now)
        *c |= C_AF;
    if (!(*c & C_UF) && next_update(s, s->flagged_ns) <= now)
        *c |= C_UF;
    s->flagged_ns = now;
}

static void drive(struct rtc *rtc)
{
    struct rtc_state *s = &rtc->s;
    bool level = (s->cmos[REGISTER_C] & s->cmos[REGISTER_B] & C_FLAGS) != 0;
    s->cmos[REGISTER_C] = (uint8_t)((s->cmos[REGISTER_C] & C_FLAGS) | (level ? C_IRQF : 0));
    if (level != s->irq_level) {
        s->irq_level = level;
        line_set(&rtc->irq, level);
    }
}

/* Waits only for flags that are enabled and not yet set. */
static void schedule(struct rtc *rtc)
{
    const struct rtc_state *s = &rtc->s;
    uint8_t wanted = s->cmos[REGISTER_B] & (uint8_t)~s->cmos[REGISTER_C];
    uint64_t deadline = EVENTS_NEVER;
    if (wanted & B_PIE)
        deadline = next_periodic(s, s->flagged_ns);
    if (wanted & B_AIE) {
        uint64_t alarm = next_alarm(s, s->flagged_ns);
        deadline = alarm < deadline ? alarm : deadline;
    }
    if (wanted & B_UIE) {
        uint64_t update = next_update(s, s->flagged_ns);
        deadline = update < deadline ? update : deadline;
    }
    events_schedule(rtc->events, rtc->timer, deadline);
}

void rtc_event(void *device, uint64_t now)
{
    struct rtc *rtc = device;
    collect_flags(&rtc->s, now);
    drive(rtc);
    schedule(rtc);
}

void rtc_restored(void *device)
{
    schedule(device);
}

void rtc_init(struct rtc *rtc, const struct clock *clock, struct events *events, int64_t base,
              struct line irq)
{
    memset(rtc, 0, sizeof *rtc);
    rtc->clock = clock;
    rtc->events = events;
    rtc->irq = irq;
    rtc->timer = events_add(events, "rtc", rtc_event, rtc);
    rtc->s.seconds = base % YEARS_SECONDS; /* keeps what follows far from overflow */
    rtc->s.cmos[REGISTER_A] = A_DIVIDER_RUNS | 6;
    rtc->s.cmos[REGISTER_B] = B_24_HOURS;
    rtc->s.cmos[REGISTER_D] = D_VRT;
    freeze(&rtc->s, clock_now(clock));
    rtc_reset(rtc);
}

void rtc_reset(struct rtc *rtc)
{
    struct rtc_state *s = &rtc->s;
    collect_flags(s, clock_now(rtc->clock));
    s->cmos[REGISTER_B] &= (uint8_t)~(B_PIE | B_AIE | B_UIE | 0x08);
    s->cmos[REGISTER_C] = 0;
    s->index = 0;
    drive(rtc);
    schedule(rtc);
}

static uint8_t read_a(const struct rtc_state *s, uint64_t now)
{
    uint64_t fraction = (now - s->origin_ns) % NS_PER_SECOND;
    bool uip = time_runs(s) && fraction >= NS_PER_SECOND - UIP_NS;
    return (uint8_t)(s->cmos[REGISTER_A] | (uip ? A_UIP : 0));
}

static bool is_time(unsigned index)
{
    bool is_alarm = index == SECONDS_ALARM || index == MINUTES_ALARM || index == HOURS_ALARM;
    return index == CENTURY || (index <= YEAR && !is_alarm);
}

static uint8_t read_data(struct rtc *rtc, uint64_t now)
{
    struct rtc_state *s = &rtc->s;
    unsigned index = s->index & (RTC_BYTES - 1);
    if (index == REGISTER_A)
        return read_a(s, now);
    if (index == REGISTER_C) {
        collect_flags(s, now);
        drive(rtc);
        uint8_t value = s->cmos[REGISTER_C];
        s->cmos[REGISTER_C] = 0;
        drive(rtc);
        schedule(rtc);
        return value;
    }
    if (is_time(index) && time_runs(s))
        freeze(s, now);
    return s->cmos[index];
}

uint64_t rtc_read(void *device, uint64_t offset, unsigned bytes)
{
    struct rtc *rtc = device;
    (void)bytes;
    return offset & 1 ? read_data(rtc, clock_now(rtc->clock)) : 0xff;
}

/* Registers A and B: starts and stops time where they say so. */
static void write_control(struct rtc_state *s, unsigned index, uint8_t value, uint64_t now)
{
    bool ran = time_runs(s);
    bool was_reset = (s->cmos[REGISTER_A] & A_DIVIDER_RESET) == A_DIVIDER_RESET;
    if (ran)
        freeze(s, now);
    if (index == REGISTER_A)
        value &= (uint8_t)~A_UIP;
    else if (value & B_SET)
        value &= (uint8_t)~B_UIE; /* SET clears UIE */
    s->cmos[index] = value;
    /* The first update comes half a second after the divider is let go. */
    if (was_reset && (s->cmos[REGISTER_A] & A_DIVIDER_RESET) != A_DIVIDER_RESET)
        s->origin_ns = now - HALF_SECOND_NS;
    if (!ran && time_runs(s))
        thaw(s, now);
}

static void write_data(struct rtc_state *s, uint8_t value, uint64_t now)
{
    unsigned index = s->index & (RTC_BYTES - 1);
    if (index == REGISTER_A || index == REGISTER_B) {
        write_control(s, index, value, now);
    } else if (is_time(index) && time_runs(s)) {
        freeze(s, now);
        s->cmos[index] = value;
        thaw(s, now);
    } else if (index != REGISTER_C && index != REGISTER_D) {
        s->cmos[index] = value;
    }
}

void rtc_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct rtc *rtc = device;
    (void)bytes;
    if (!(offset & 1)) {
        rtc->s.index = (uint8_t)value;
        return;
    }
    uint64_t now = clock_now(rtc->clock);
    collect_flags(&rtc->s, now);
    write_data(&rtc->s, (uint8_t)value, now);
    drive(rtc);
    schedule(rtc);
}

void rtc_set_cmos(struct rtc *rtc, unsigned index, uint8_t value)
{
    if (index > REGISTER_D && index < RTC_BYTES && index != CENTURY)
        rtc->s.cmos[index] = value;
}

uint8_t rtc_cmos(const struct rtc *rtc, unsigned index)
{
    return index < RTC_BYTES ? rtc->s.cmos[index] : 0xff;
}

bool rtc_nmi_masked(const struct rtc *rtc)
{
    return rtc->s.index & INDEX_NMI;
}
