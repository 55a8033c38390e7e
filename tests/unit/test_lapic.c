/*
 * Local APICs at register level: virtual time is stepped by hand, what reaches
 * the vCPUs is recorded by a small machine of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine/dev/lapic.h"
#include "util/bits.h"

#define CPUS 20
#define X2APIC 0x800

struct machine {
    bool interrupt[CPUS];
    unsigned nmi[CPUS], smi[CPUS], init[CPUS], startup[CPUS];
    uint8_t startup_vector;
    uint64_t tsc_offset[CPUS];
    unsigned eois;
    uint8_t eoi_vector;
    struct lapics lapics;
    struct clock clock;
    struct events events;
};

static struct machine m;

static void on_interrupt(struct machine *machine, unsigned cpu, bool level)
{
    machine->interrupt[cpu] = level;
}

static void on_nmi(struct machine *machine, unsigned cpu)
{
    machine->nmi[cpu]++;
}

static void on_smi(struct machine *machine, unsigned cpu)
{
    machine->smi[cpu]++;
}

static void on_init(struct machine *machine, unsigned cpu)
{
    machine->init[cpu]++;
    lapic_cpu_reset(&machine->lapics, cpu);
}

static void on_startup(struct machine *machine, unsigned cpu, uint8_t vector)
{
    machine->startup[cpu]++;
    machine->startup_vector = vector;
}

static uint64_t tsc_offset(void *context, unsigned cpu)
{
    return ((struct machine *)context)->tsc_offset[cpu];
}

static void on_eoi(void *context, uint8_t vector)
{
    struct machine *machine = context;
    machine->eois++;
    machine->eoi_vector = vector;
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    m.clock.s.ns_per_instruction = 1;
    events_init(&m.events, NULL, NULL);
    const struct lapic_wiring wiring = {
        .machine = &m, .interrupt = on_interrupt, .nmi = on_nmi, .smi = on_smi, .init = on_init,
        .startup = on_startup, .clock = &m.clock, .events = &m.events,
        .tsc_offset = tsc_offset, .tsc_context = &m, .broadcast_eoi = on_eoi, .eoi_context = &m,
    };
    lapics_init(&m.lapics, CPUS, &wiring);
    lapics_reset(&m.lapics);
    return 0;
}

static void advance(uint64_t ns)
{
    m.clock.s.idle_ns += ns;
    events_run(&m.events, clock_now(&m.clock));
}

static uint32_t get(unsigned cpu, unsigned offset)
{
    return (uint32_t)lapic_mmio_read(&m.lapics, cpu, offset, 4);
}

static void put(unsigned cpu, unsigned offset, uint32_t value)
{
    lapic_mmio_write(&m.lapics, cpu, offset, value, 4);
}

static uint64_t rdmsr(unsigned cpu, uint32_t msr)
{
    uint64_t value = 0;
    assert_int_equal(lapic_msr_read(&m.lapics, cpu, msr, &value), 0);
    return value;
}

static void enable(unsigned cpu)
{
    put(cpu, 0xf0, 0x1ff);
}

static void enable_x2apic(unsigned cpu)
{
    assert_int_equal(lapic_msr_write(&m.lapics, cpu, 0x1b, rdmsr(cpu, 0x1b) | 0x400), 0);
}

/* Takes the pending interrupt and checks its vector. */
static void takes(unsigned cpu, int vector)
{
    assert_true(m.interrupt[cpu]);
    assert_int_equal(lapic_acknowledge(&m.lapics, cpu), vector);
}

static void reset_state(void **state)
{
    (void)state;
    assert_int_equal(rdmsr(0, 0x1b), 0xfee00900);
    assert_int_equal(rdmsr(1, 0x1b), 0xfee00800);
    assert_int_equal(get(3, 0x20), 3 << 24);
    assert_int_equal(get(0, 0x30), 0x01050014);
    assert_int_equal(get(0, 0xe0), UINT32_MAX);
    assert_int_equal(get(0, 0xf0), 0xff);
    assert_int_equal(get(0, 0x320), 0x10000);
    assert_int_equal(get(0, 0x350), 0x700);
    assert_int_equal(get(1, 0x350), 0x10000);
    assert_int_equal(get(0, 0x390), 0);
    assert_true(lapic_covers(&m.lapics, 0, 0xfee00fff));
    assert_false(lapic_covers(&m.lapics, 0, 0xfee01000));
}

static void access_widths(void **state)
{
    (void)state;
    assert_int_equal(lapic_mmio_read(&m.lapics, 3, 0x23, 1), 3);
    assert_int_equal(lapic_mmio_read(&m.lapics, 0, 0x30, 2), 0x14);
    assert_int_equal(lapic_mmio_read(&m.lapics, 0, 0x34, 4), 0);
    assert_int_equal(lapic_mmio_read(&m.lapics, 0, 0x30, 8), 0x01050014);
    lapic_mmio_write(&m.lapics, 0, 0x80, 0x55, 1);
    lapic_mmio_write(&m.lapics, 0, 0x84, 0x55, 4);
    assert_int_equal(get(0, 0x80), 0);
    lapic_mmio_write(&m.lapics, 0, 0x80, 0x1234567800000055, 8);
    assert_int_equal(get(0, 0x80), 0x55);
    for (unsigned offset = 0; offset < 4096; offset++)
        for (unsigned bytes = 1; bytes <= 8; bytes *= 2)
            lapic_mmio_read(&m.lapics, 0, offset, bytes);
}

static void priorities(void **state)
{
    (void)state;
    enable(0);
    lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 0x51, false);
    lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 0x62, false);
    lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 0x63, false);
    takes(0, 0x63);
    assert_int_equal(get(0, 0xa0), 0x60);
    assert_false(m.interrupt[0]); /* 62h is of the same class */
    put(0, 0xb0, 0);
    takes(0, 0x62);
    put(0, 0x80, 0x5f);
    put(0, 0xb0, 0);
    assert_int_equal(get(0, 0xa0), 0x5f);
    assert_false(m.interrupt[0]);
    assert_int_equal(lapic_acknowledge(&m.lapics, 0), 0xff); /* spurious */
    lapic_tpr_write(&m.lapics, 0, 4);
    assert_int_equal(get(0, 0x80), 0x40);
    assert_int_equal(lapic_tpr_read(&m.lapics, 0), 4);
    takes(0, 0x51);
    put(0, 0xb0, 0);
    assert_int_equal(lapic_acknowledge(&m.lapics, 0), LAPIC_NOTHING);
    assert_int_equal(m.eois, 0);
}

static void level_eoi(void **state)
{
    (void)state;
    enable(2);
    lapic_deliver(&m.lapics, 2, false, LAPIC_FIXED, 0x71, true);
    assert_int_equal(get(2, 0x180 + 0x30), 1u << 0x11);
    assert_int_equal(get(2, 0x200 + 0x30), 1u << 0x11);
    takes(2, 0x71);
    assert_int_equal(get(2, 0x100 + 0x30), 1u << 0x11);
    put(2, 0xb0, 0);
    assert_int_equal(m.eois, 1);
    assert_int_equal(m.eoi_vector, 0x71);
    put(2, 0xf0, 0x11ff); /* directed EOI: no broadcast */
    lapic_deliver(&m.lapics, 2, false, LAPIC_FIXED, 0x71, true);
    takes(2, 0x71);
    put(2, 0xb0, 0);
    assert_int_equal(m.eois, 1);
}

static void software_disable(void **state)
{
    (void)state;
    assert_false(lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 0x71, false));
    put(0, 0x320, 0x40); /* the mask cannot be cleared now */
    assert_int_equal(get(0, 0x320), 0x10040);
    assert_true(lapic_deliver(&m.lapics, 0, false, LAPIC_NMI, 0, false));
    assert_int_equal(m.nmi[0], 1);
    enable(0);
    put(0, 0x320, 0x40);
    assert_int_equal(get(0, 0x320), 0x40);
    put(0, 0xf0, 0xff);
    assert_int_equal(get(0, 0x320), 0x10040);
}

static void flat_and_cluster(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        enable(i);
        put(i, 0xd0, 1u << (24 + i));
    }
    lapic_deliver(&m.lapics, 0x05, true, LAPIC_FIXED, 0x40, false);
    assert_true(m.interrupt[0] && !m.interrupt[1] && m.interrupt[2]);
    takes(0, 0x40);
    takes(2, 0x40);
    put(0, 0xb0, 0);
    put(2, 0xb0, 0);
    for (unsigned i = 0; i < 3; i++) {
        put(i, 0xe0, 0x0fffffff);
        put(i, 0xd0, (i == 2 ? 0x21u : 0x11u << i) << 24); /* 11h, 22h, 21h */
    }
    lapic_deliver(&m.lapics, 0x23, true, LAPIC_FIXED, 0x41, false);
    assert_true(!m.interrupt[0] && m.interrupt[1] && m.interrupt[2]);
    lapic_deliver(&m.lapics, 0xf1, true, LAPIC_FIXED, 0x52, false);
    takes(0, 0x52);
    takes(1, 0x41);
    takes(2, 0x52);
}

static void lowest_priority(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        enable(i);
        put(i, 0xd0, 1u << (24 + i));
        put(i, 0x80, i == 1 ? 0x20 : 0x30);
    }
    lapic_deliver(&m.lapics, 0x07, true, LAPIC_LOWEST_PRIORITY, 0x90, false);
    assert_true(!m.interrupt[0] && m.interrupt[1] && !m.interrupt[2]);
    takes(1, 0x90); /* in service: its PPR is now 90h */
    lapic_message(&m.lapics, 0xfee0700c, 0x91); /* redirectable, logical */
    assert_true(m.interrupt[0] && !m.interrupt[2]);
    lapic_message(&m.lapics, 0xfee02000, 0x4092);
    takes(2, 0x92);
}

static void ipis(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        enable(i);
    put(0, 0x310, 2u << 24);
    put(0, 0x300, 0x4055);
    takes(2, 0x55);
    put(1, 0x300, 0x4056 | 3 << 18); /* all but self */
    takes(0, 0x56);
    assert_false(m.interrupt[1]);
    assert_false(m.interrupt[2]); /* 55h is in service, of the same class */
    put(2, 0xb0, 0);
    takes(2, 0x56);
    put(1, 0x300, 0x4067 | 2 << 18); /* all */
    for (unsigned i = 0; i < 4; i++)
        takes(i, 0x67);
    put(3, 0x300, 0x4078 | 1 << 18); /* self */
    takes(3, 0x78);
    put(3, 0x300, 0x4578 | 1 << 18); /* INIT never to itself */
    assert_int_equal(m.init[3], 0);
    put(3, 0x300, 0x4700); /* ExtINT cannot be sent */
    assert_false(m.interrupt[0]);
    put(3, 0x300, 0x4188 | 2 << 18); /* lowest priority, to all: the least id in 67h */
    takes(0, 0x88);
    assert_false(m.interrupt[1] || m.interrupt[2]);
}

static void startup_sequence(void **state)
{
    (void)state;
    enable(1);
    put(0, 0x300, 0xc4500); /* INIT, all but self, assert */
    assert_int_equal(m.init[0], 0);
    for (unsigned i = 1; i < CPUS; i++)
        assert_int_equal(m.init[i], 1);
    assert_int_equal(get(1, 0xf0), 0xff);
    put(0, 0x300, 0xc8500); /* de-assert */
    assert_int_equal(m.init[1], 1);
    put(0, 0x310, 1u << 24);
    put(0, 0x300, 0x4600 | 0x9a);
    assert_int_equal(m.startup[1], 1);
    assert_int_equal(m.startup[2], 0);
    assert_int_equal(m.startup_vector, 0x9a);
    put(0, 0x310, 0xffu << 24);
    put(0, 0x300, 0x4400); /* NMI to all by broadcast address */
    assert_int_equal(m.nmi[0], 1);
    assert_int_equal(m.nmi[7], 1);
    put(0, 0x300, 0x4200 | 2 << 18);
    assert_int_equal(m.smi[0], 1);
    assert_int_equal(get(0, 0x300), 0x4200 | 2 << 18);
}

static void errors(void **state)
{
    (void)state;
    enable(0);
    put(0, 0x370, 0xfe);
    put(0, 0x300, 1 << 18 | 0x4005); /* self, vector 5 */
    takes(0, 0xfe);
    put(0, 0xb0, 0);
    assert_int_equal(get(0, 0x280), 0);
    put(0, 0x280, 0);
    assert_int_equal(get(0, 0x280), 0x20);
    lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 5, false);
    get(0, 0x000);
    put(0, 0x280, 0);
    assert_int_equal(get(0, 0x280), 0xc0);
    put(0, 0x370, 0x03); /* a bad vector in the error entry itself */
    get(0, 0x010);
    put(0, 0x280, 0);
    assert_int_equal(get(0, 0x280), 0xc0);
}

static void timer_one_shot(void **state)
{
    (void)state;
    enable(0);
    put(0, 0x3e0, 0x3); /* by 16 */
    put(0, 0x320, 0x31);
    put(0, 0x380, 1000);
    assert_int_equal(get(0, 0x390), 1000);
    advance(159);
    assert_int_equal(get(0, 0x390), 1000 - 9);
    advance(15999 - 159);
    assert_int_equal(get(0, 0x390), 1);
    assert_false(m.interrupt[0]);
    advance(1);
    takes(0, 0x31);
    put(0, 0xb0, 0);
    assert_int_equal(get(0, 0x390), 0);
    assert_int_equal(get(0, 0x380), 1000);
    advance(1000000);
    assert_false(m.interrupt[0]);
    put(0, 0x380, 10);
    put(0, 0x380, 0);
    assert_int_equal(get(0, 0x390), 0);
    assert_int_equal(m.events.next, EVENTS_NEVER);
}

static void timer_periodic(void **state)
{
    (void)state;
    enable(0);
    put(0, 0x3e0, 0xb); /* by 1 */
    put(0, 0x320, 0x20031);
    put(0, 0x380, 1000);
    for (unsigned i = 0; i < 5; i++) {
        advance(999);
        assert_false(m.interrupt[0]);
        advance(1);
        takes(0, 0x31);
        put(0, 0xb0, 0);
        assert_int_equal(get(0, 0x390), 1000);
    }
    advance(3500); /* merged */
    takes(0, 0x31);
    put(0, 0xb0, 0);
    assert_false(m.interrupt[0]);
    assert_int_equal(get(0, 0x390), 500);
    put(0, 0x3e0, 0x0); /* by 2: the count goes on from 500 */
    assert_int_equal(get(0, 0x390), 500);
    advance(1000);
    takes(0, 0x31);
}

/* The instruction that reads may end at or after the expiry, before its event. */
static void timer_read_at_expiry(void **state)
{
    (void)state;
    put(0, 0x3e0, 0xb);
    put(0, 0x380, 100);
    m.clock.s.idle_ns += 130;
    assert_int_equal(get(0, 0x390), 0);
    put(0, 0x320, 0x30031);
    put(0, 0x380, 100);
    m.clock.s.idle_ns += 130;
    assert_int_equal(get(0, 0x390), 70);
    advance(0);
    assert_int_equal(get(0, 0x390), 70);
}

static void timer_divisors(void **state)
{
    (void)state;
    static const uint8_t codes[8] = { 0, 1, 2, 3, 8, 9, 10, 11 };
    static const unsigned divisors[8] = { 2, 4, 8, 16, 32, 64, 128, 1 };
    for (unsigned i = 0; i < 8; i++) {
        put(0, 0x3e0, codes[i]);
        put(0, 0x380, 100000);
        advance(12800);
        assert_int_equal(get(0, 0x390), 100000 - 12800 / divisors[i]);
    }
}

static void timer_tsc_deadline(void **state)
{
    (void)state;
    enable(0);
    assert_int_equal(lapic_msr_write(&m.lapics, 0, 0x6e0, 1000), 0);
    assert_int_equal(rdmsr(0, 0x6e0), 0); /* not in this mode */
    m.tsc_offset[0] = 5000;
    put(0, 0x320, 0x40031);
    lapic_msr_write(&m.lapics, 0, 0x6e0, 6000);
    put(0, 0x380, 7);
    assert_int_equal(get(0, 0x380), 0);
    advance(999);
    assert_false(m.interrupt[0]);
    assert_int_equal(rdmsr(0, 0x6e0), 6000);
    advance(1);
    takes(0, 0x31);
    put(0, 0xb0, 0);
    assert_int_equal(rdmsr(0, 0x6e0), 0);
    lapic_msr_write(&m.lapics, 0, 0x6e0, 1); /* past: at once */
    advance(0);
    takes(0, 0x31);
    put(0, 0xb0, 0);
    lapic_msr_write(&m.lapics, 0, 0x6e0, 1 << 20);
    m.tsc_offset[0] = 1 << 20;
    lapic_tsc_changed(&m.lapics, 0);
    advance(0);
    takes(0, 0x31);
    put(0, 0xb0, 0);
    lapic_msr_write(&m.lapics, 0, 0x6e0, UINT64_MAX);
    put(0, 0x320, 0x31); /* leaving the mode disarms */
    assert_int_equal(m.events.next, EVENTS_NEVER);
    assert_int_equal(rdmsr(0, 0x6e0), 0);
}

/* A model without TSC deadline lacks the bit of the mode. */
static void timer_without_deadline(void **state)
{
    (void)state;
    m.lapics.wiring.lacks_tsc_deadline = true;
    enable(0);
    put(0, 0x320, 0x60031);
    assert_int_equal(get(0, 0x320), 0x20031);
    enable_x2apic(0);
    assert_int_equal(lapic_msr_write(&m.lapics, 0, 0x832, 0x40031), -1);
    assert_int_equal(lapic_msr_write(&m.lapics, 0, 0x832, 0x20031), 0);
}

/* Bits of the page that software cannot change. */
static void read_only_bits(void **state)
{
    (void)state;
    static const struct { uint16_t offset; uint32_t after; } rows[] = {
        { 0x020, 3u << 24 }, { 0x030, 0x01050014 }, { 0x080, 0xff }, { 0x090, 0 }, { 0x0a0, 0xff },
        { 0x0c0, 0 }, { 0x0d0, 0xff000000 }, { 0x0e0, 0xffffffff }, { 0x0f0, 0x13ff },
        { 0x100, 0 }, { 0x180, 0 }, { 0x200, 0 }, { 0x310, 0xff000000 }, { 0x320, 0x700ff },
        { 0x330, 0x107ff }, { 0x340, 0x107ff }, { 0x350, 0x1a7ff }, { 0x360, 0x1a7ff },
        { 0x370, 0x100ff }, { 0x390, 0 }, { 0x3e0, 0xb },
    };
    enable(3);
    put(3, 0x0f0, UINT32_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        put(3, rows[i].offset, UINT32_MAX);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(get(3, rows[i].offset), rows[i].after);
    put(3, 0x0e0, 0);
    assert_int_equal(get(3, 0x0e0), 0x0fffffff);
}

static void virtual_wire(void **state)
{
    (void)state;
    lapic_set_extint(&m.lapics, 0, true);
    takes(0, LAPIC_EXTINT);
    assert_true(m.interrupt[0]); /* until the 8259 drops the line */
    lapic_set_extint(&m.lapics, 0, false);
    assert_false(m.interrupt[0]);
    put(0, 0x350, 0x10700);
    lapic_set_extint(&m.lapics, 0, true);
    assert_false(m.interrupt[0]);
    enable(0);
    put(0, 0x350, 0x700);
    takes(0, LAPIC_EXTINT);
    lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 0x80, false);
    takes(0, 0x80);
    lapic_set_extint(&m.lapics, 0, false);
    put(0, 0xb0, 0);
    put(0, 0x350, 0x33); /* fixed, edge */
    lapic_set_extint(&m.lapics, 0, true);
    takes(0, 0x33);
    put(0, 0xb0, 0);
    assert_false(m.interrupt[0]);
    put(0, 0x350, 0x8034); /* fixed, level: asks while asserted */
    takes(0, 0x34);
    assert_int_equal(get(0, 0x350), 0xc034);
    put(0, 0xb0, 0);
    takes(0, 0x34);
    lapic_set_extint(&m.lapics, 0, false);
    put(0, 0xb0, 0);
    assert_false(m.interrupt[0]);
    assert_int_equal(get(0, 0x350), 0x8034);
    put(0, 0x350, 0x400); /* NMI */
    lapic_set_extint(&m.lapics, 0, true);
    assert_int_equal(m.nmi[0], 1);
    put(1, 0x360, 0x400);
    enable(1);
    put(1, 0x360, 0x400);
    lapic_set_nmi(&m.lapics, LAPIC_ALL_CPUS, true);
    lapic_set_nmi(&m.lapics, LAPIC_ALL_CPUS, true);
    assert_int_equal(m.nmi[1], 1);
    assert_int_equal(m.nmi[2], 0);
}

static void extint_message(void **state)
{
    (void)state;
    assert_true(lapic_deliver(&m.lapics, 1, false, LAPIC_DELIVER_EXTINT, 0, false));
    takes(1, LAPIC_EXTINT);
    assert_false(m.interrupt[1]);
}

static void base_transitions(void **state)
{
    (void)state;
    static const uint64_t off = 0xfee00000, x = 0xfee00800, invalid = 0xfee00400, x2 = 0xfee00c00;
    static const struct { uint64_t from[2]; bool to_off, to_x, to_x2; } rows[] = {
        { { x, 0 }, true, true, true },
        { { off, 0 }, true, true, false },
        { { x, x2 }, true, false, true },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        for (unsigned to = 0; to < 4; to++) {
            lapics_reset(&m.lapics);
            for (unsigned k = 0; k < 2 && rows[i].from[k]; k++)
                assert_int_equal(lapic_msr_write(&m.lapics, 1, 0x1b, rows[i].from[k]), 0);
            const uint64_t target[4] = { off, x, x2, invalid };
            const bool valid[4] = { rows[i].to_off, rows[i].to_x, rows[i].to_x2, false };
            uint64_t before = rdmsr(1, 0x1b);
            assert_int_equal(lapic_msr_write(&m.lapics, 1, 0x1b, target[to]), valid[to] ? 0 : -1);
            assert_int_equal(rdmsr(1, 0x1b), valid[to] ? target[to] : before);
        }
    }
    assert_int_equal(lapic_msr_write(&m.lapics, 1, 0x1b, x | 1), -1);
    assert_int_equal(lapic_msr_write(&m.lapics, 1, 0x1b, x | 1ull << 52), -1);
}

static void moved_and_disabled(void **state)
{
    (void)state;
    assert_int_equal(lapic_msr_write(&m.lapics, 0, 0x1b, 0x1fee08900), 0);
    assert_true(lapic_covers(&m.lapics, 0, 0x1fee08020));
    assert_false(lapic_covers(&m.lapics, 0, 0xfee00020));
    enable(0);
    assert_int_equal(lapic_msr_write(&m.lapics, 0, 0x1b, 0xfee00100), 0);
    assert_false(lapic_covers(&m.lapics, 0, 0xfee00020));
    assert_false(lapic_deliver(&m.lapics, 0, false, LAPIC_NMI, 0, false));
    lapic_set_extint(&m.lapics, 0, true); /* the pins are INTR and NMI now */
    takes(0, LAPIC_EXTINT);
    lapic_set_nmi(&m.lapics, 0, true);
    assert_int_equal(m.nmi[0], 1);
    uint64_t value;
    assert_int_equal(lapic_msr_read(&m.lapics, 0, 0x802, &value), -1);
}

static void x2apic_registers(void **state)
{
    (void)state;
    uint64_t value;
    assert_int_equal(lapic_msr_read(&m.lapics, 18, 0x802, &value), -1);
    enable_x2apic(18);
    assert_false(lapic_covers(&m.lapics, 18, 0xfee00000));
    assert_int_equal(rdmsr(18, 0x802), 18);
    assert_int_equal(rdmsr(18, 0x80d), 1 << 16 | 1 << 2);
    static const uint16_t bad_reads[] = { 0x800, 0x80b, 0x80e, 0x831, 0x83f, 0x840, 0x8ff };
    for (unsigned i = 0; i < ARRAY_SIZE(bad_reads); i++)
        assert_int_equal(lapic_msr_read(&m.lapics, 18, bad_reads[i], &value), -1);
    static const struct { uint16_t msr; uint64_t value; } bad_writes[] = {
        { 0x802, 0 }, { 0x803, 0 }, { 0x808, 0x100 }, { 0x80a, 0 }, { 0x80b, 1 }, { 0x80d, 0 },
        { 0x80f, 0x2000 }, { 0x810, 0 }, { 0x828, 1 }, { 0x830, 1 << 20 }, { 0x832, 1 << 19 },
        { 0x838, 1ull << 32 }, { 0x839, 0 }, { 0x83e, 4 }, { 0x83f, 0x100 }, { 0x900, 0 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad_writes); i++)
        assert_int_equal(lapic_msr_write(&m.lapics, 18, bad_writes[i].msr, bad_writes[i].value),
                         -1);
}

static void x2apic_ipis(void **state)
{
    (void)state;
    for (unsigned i = 0; i < CPUS; i++) {
        enable(i);
        enable_x2apic(i);
    }
    lapic_msr_write(&m.lapics, 0, 0x830, 18ull << 32 | 0x4044);
    takes(18, 0x44);
    assert_int_equal(rdmsr(0, 0x830), 18ull << 32 | 0x4044);
    lapic_msr_write(&m.lapics, 0, 0x830, 0x0001000aull << 32 | 0x4845); /* logical: 17, 19 */
    takes(17, 0x45);
    takes(19, 0x45);
    assert_false(m.interrupt[1]);
    lapic_msr_write(&m.lapics, 3, 0x83f, 0x99);
    takes(3, 0x99);
    lapic_msr_write(&m.lapics, 0, 0x830, 0xffffffffull << 32 | 0x40b1);
    for (unsigned i = 0; i < CPUS; i++)
        takes(i, 0xb1);
    lapic_msr_write(&m.lapics, 3, 0x80b, 0);
    lapic_msr_write(&m.lapics, 3, 0x80b, 0);
    assert_int_equal(rdmsr(3, 0x814), 0);
    lapic_cpu_reset(&m.lapics, 3); /* INIT keeps the mode */
    assert_int_equal(rdmsr(3, 0x802), 3);
}

static void x2apic_self_errors(void **state)
{
    (void)state;
    enable(0);
    enable_x2apic(0);
    lapic_msr_write(&m.lapics, 0, 0x83f, 3);
    lapic_msr_write(&m.lapics, 0, 0x828, 0);
    assert_int_equal(rdmsr(0, 0x828), 0x20);
    assert_int_equal(lapic_msr_write(&m.lapics, 0, 0x1234, 0), -1);
}

static uint32_t seed;

static uint32_t random32(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 8;
}

static void random_step(void)
{
    static const uint8_t registers[] = { 0x08, 0x0b, 0x0b, 0x0d, 0x0e, 0x28, 0x31, 0x32, 0x35,
                                         0x36, 0x37, 0x38, 0x3e, 0x0f };
    uint32_t r = random32(), value = random32();
    unsigned cpu = r & 3, vector = value & 0xff;
    switch (r >> 4 & 15) {
    case 0: case 1: case 2:
        put(cpu, registers[r % sizeof registers] * 16u, value & (r & 256 ? 0xffff : 0x60fff));
        break;
    case 3: put(cpu, 0xf0, 0x1ff); break;
    case 4: put(cpu, 0x300, (value & 0xc00ff) | 0x4000); break;
    case 5:
        lapic_deliver(&m.lapics, value & 3, r & 256, (value >> 8) & 1, (uint8_t)vector, r & 512);
        break;
    case 6: lapic_set_extint(&m.lapics, cpu, value & 1); break;
    case 7: lapic_set_nmi(&m.lapics, cpu, value & 1); break;
    case 8: lapic_tpr_write(&m.lapics, cpu, value & 7); break;
    case 9: case 10:
        if (m.interrupt[cpu])
            lapic_acknowledge(&m.lapics, cpu);
        break;
    case 11: lapic_msr_write(&m.lapics, cpu, 0x6e0, clock_now(&m.clock) + (value & 0xffff)); break;
    case 12:
        m.tsc_offset[cpu] += value & 0xff;
        lapic_tsc_changed(&m.lapics, cpu);
        break;
    default: advance(value & 0xfff); break;
    }
}

/* Whether and when states are saved and restored makes no difference. */
static void restore_is_unobservable(void **state)
{
    struct lapic_state ends[2][4], saved;
    unsigned eois[2];
    for (unsigned round = 0; round < 2; round++) {
        setup(state);
        seed = 5;
        for (unsigned i = 0; i < 200000; i++) {
            random_step();
            if (round == 0 || i % 5)
                continue;
            struct lapic *lapic = &m.lapics.list[i % 4];
            bool level = m.interrupt[i % 4];
            uint64_t deadline = events_deadline(&m.events, lapic->timer);
            saved = lapic->s;
            memset(&lapic->s, 0, sizeof lapic->s);
            lapic_restored(lapic);
            lapic->s = saved;
            lapic_restored(lapic);
            assert_int_equal(m.interrupt[i % 4], level);
            assert_int_equal(events_deadline(&m.events, lapic->timer), deadline);
        }
        for (unsigned i = 0; i < 4; i++)
            ends[round][i] = m.lapics.list[i].s;
        eois[round] = m.eois;
    }
    assert_memory_equal(ends[0], ends[1], sizeof ends[0]);
    assert_int_equal(eois[0], eois[1]);
    assert_true(eois[0] > 0);
}

static void save_and_restore(void **state)
{
    (void)state;
    enable(0);
    put(0, 0x3e0, 0xb);
    put(0, 0x320, 0x20031);
    put(0, 0x380, 1000);
    advance(400);
    lapic_deliver(&m.lapics, 0, false, LAPIC_FIXED, 0x60, false);
    struct lapic_state saved = m.lapics.list[0].s, ends[2];
    struct clock clock = m.clock;
    for (unsigned round = 0; round < 2; round++) {
        m.lapics.list[0].s = saved;
        m.clock = clock;
        m.interrupt[0] = false;
        lapic_restored(&m.lapics.list[0]);
        assert_int_equal(m.events.next, clock_now(&clock) + 600);
        takes(0, 0x60);
        advance(600);
        put(0, 0xb0, 0);
        takes(0, 0x31);
        advance(350);
        put(0, 0x3e0, 1);
        ends[round] = m.lapics.list[0].s;
        advance(100000);
        put(0, 0x80, 0xff);
        lapics_reset(&m.lapics);
    }
    assert_memory_equal(&ends[0], &ends[1], sizeof ends[0]);
}

static void hostile_state(void **state)
{
    (void)state;
    memset(&m.lapics.list[0].s, 0xff, sizeof m.lapics.list[0].s);
    m.lapics.list[0].s.initial_count = 0;
    m.lapics.list[0].s.lvt[LAPIC_LVT_TIMER] = 1 << 17;
    m.lapics.list[0].s.timer_start = 0;
    lapic_restored(&m.lapics.list[0]);
    m.clock.s.idle_ns = 100;
    events_run(&m.events, 100);
    get(0, 0x390);
    for (unsigned i = 0; i < 0x400; i += 16)
        put(0, i, 0xdeadbeef);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(reset_state, setup),
        cmocka_unit_test_setup(access_widths, setup),
        cmocka_unit_test_setup(priorities, setup),
        cmocka_unit_test_setup(level_eoi, setup),
        cmocka_unit_test_setup(software_disable, setup),
        cmocka_unit_test_setup(flat_and_cluster, setup),
        cmocka_unit_test_setup(lowest_priority, setup),
        cmocka_unit_test_setup(ipis, setup),
        cmocka_unit_test_setup(startup_sequence, setup),
        cmocka_unit_test_setup(errors, setup),
        cmocka_unit_test_setup(timer_one_shot, setup),
        cmocka_unit_test_setup(timer_periodic, setup),
        cmocka_unit_test_setup(timer_read_at_expiry, setup),
        cmocka_unit_test_setup(timer_divisors, setup),
        cmocka_unit_test_setup(timer_tsc_deadline, setup),
        cmocka_unit_test_setup(timer_without_deadline, setup),
        cmocka_unit_test_setup(read_only_bits, setup),
        cmocka_unit_test_setup(virtual_wire, setup),
        cmocka_unit_test_setup(extint_message, setup),
        cmocka_unit_test_setup(base_transitions, setup),
        cmocka_unit_test_setup(moved_and_disabled, setup),
        cmocka_unit_test_setup(x2apic_registers, setup),
        cmocka_unit_test_setup(x2apic_ipis, setup),
        cmocka_unit_test_setup(x2apic_self_errors, setup),
        cmocka_unit_test_setup(restore_is_unobservable, setup),
        cmocka_unit_test_setup(save_and_restore, setup),
        cmocka_unit_test_setup(hostile_state, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
