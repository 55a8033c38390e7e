/* The I/O APIC with local APICs behind it, at register level. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine/dev/ioapic.h"

#define CPUS 2
#define LEVEL (1u << 15)
#define MASK (1u << 16)
#define REMOTE_IRR (1u << 14)

struct machine {
    bool interrupt[CPUS];
    unsigned nmi[CPUS], smi[CPUS], init[CPUS];
    struct lapics lapics;
    struct ioapic ioapic;
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
}

static void on_startup(struct machine *machine, unsigned cpu, uint8_t vector)
{
    (void)machine;
    (void)cpu;
    (void)vector;
}

static uint64_t tsc_offset(void *context, unsigned cpu)
{
    (void)context;
    return cpu;
}

static int setup(void **state)
{
    (void)state;
    memset(&m, 0, sizeof m);
    m.clock.s.ns_per_instruction = 1;
    events_init(&m.events, NULL, NULL);
    const struct lapic_wiring wiring = {
        .machine = &m, .interrupt = on_interrupt, .nmi = on_nmi, .smi = on_smi, .init = on_init,
        .startup = on_startup, .clock = &m.clock, .events = &m.events, .tsc_offset = tsc_offset,
        .broadcast_eoi = ioapic_broadcast_eoi, .eoi_context = &m.ioapic,
    };
    lapics_init(&m.lapics, CPUS, &wiring);
    lapics_reset(&m.lapics);
    ioapic_init(&m.ioapic, &m.lapics);
    for (unsigned i = 0; i < CPUS; i++)
        lapic_mmio_write(&m.lapics, i, 0xf0, 0x1ff, 4);
    return 0;
}

static uint32_t get(unsigned index)
{
    ioapic_write(&m.ioapic, 0x00, index, 4);
    return (uint32_t)ioapic_read(&m.ioapic, 0x10, 4);
}

static void put(unsigned index, uint32_t value)
{
    ioapic_write(&m.ioapic, 0x00, index, 1);
    ioapic_write(&m.ioapic, 0x10, value, 4);
}

static void route(unsigned pin, unsigned cpu, uint32_t low)
{
    put(0x11 + 2 * pin, cpu << 24);
    put(0x10 + 2 * pin, low);
}

static void line(unsigned pin, bool level)
{
    ioapic_set_line(&m.ioapic, pin, level);
}

static void eoi(unsigned cpu)
{
    lapic_mmio_write(&m.lapics, cpu, 0xb0, 0, 4);
}

static void takes(unsigned cpu, int vector)
{
    assert_true(m.interrupt[cpu]);
    assert_int_equal(lapic_acknowledge(&m.lapics, cpu), vector);
}

static void registers(void **state)
{
    (void)state;
    assert_int_equal(get(1), 23 << 16 | 0x20);
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++) {
        assert_int_equal(get(0x10 + 2 * pin), MASK);
        assert_int_equal(get(0x11 + 2 * pin), 0);
    }
    put(0, UINT32_MAX);
    assert_int_equal(get(0), 0x0f000000);
    assert_int_equal(get(2), 0x0f000000);
    put(1, 0);
    assert_int_equal(get(1), 23 << 16 | 0x20);
    put(0x3e, UINT32_MAX);
    put(0x3f, UINT32_MAX);
    assert_int_equal(get(0x3e), 0x1afff);
    assert_int_equal(get(0x3f), 0xff000000);
    assert_int_equal(get(0x40), UINT32_MAX);
    put(0xff, 0);
    ioapic_reset(&m.ioapic);
    assert_int_equal(get(0x3e), MASK);
    for (unsigned offset = 0; offset < 4096; offset++) {
        ioapic_read(&m.ioapic, offset, 1);
        ioapic_write(&m.ioapic, offset, 0xff, 1);
    }
}

static void edges(void **state)
{
    (void)state;
    line(4, true);
    route(4, 1, 0x54);
    assert_false(m.interrupt[1]); /* the edge came while masked: lost */
    line(4, true);
    assert_false(m.interrupt[1]);
    line(4, false);
    line(4, true);
    takes(1, 0x54);
    eoi(1);
    assert_false(m.interrupt[1]);
    assert_int_equal(get(0x18), 0x54);
}

static void levels(void **state)
{
    (void)state;
    route(10, 0, 0x6a | LEVEL | MASK);
    line(10, true);
    assert_false(m.interrupt[0]);
    put(0x24, 0x6a | LEVEL);
    assert_int_equal(get(0x24), 0x6a | LEVEL | REMOTE_IRR);
    takes(0, 0x6a);
    eoi(0); /* still asserted: again */
    takes(0, 0x6a);
    line(10, false);
    eoi(0);
    assert_false(m.interrupt[0]);
    assert_int_equal(get(0x24), 0x6a | LEVEL);
    /* The EOI register does it too. */
    line(10, true);
    lapic_mmio_write(&m.lapics, 0, 0xf0, 0x11ff, 4);
    takes(0, 0x6a);
    eoi(0);
    assert_false(m.interrupt[0]);
    ioapic_write(&m.ioapic, 0x40, 0x6a, 4);
    takes(0, 0x6a);
    /* As does a switch to edge and back. */
    put(0x24, 0x6a | MASK);
    assert_int_equal(get(0x24), 0x6a | MASK);
    put(0x24, 0x6a | LEVEL);
    assert_int_equal(get(0x24), 0x6a | LEVEL | REMOTE_IRR);
}

static void modes(void **state)
{
    (void)state;
    route(2, 1, 0x400);
    line(2, true);
    assert_int_equal(m.nmi[1], 1);
    route(3, 1, 0x200 | LEVEL);
    line(3, true);
    line(3, true);
    assert_int_equal(m.smi[1], 1);
    route(5, 1, 0x500);
    line(5, true);
    assert_int_equal(m.init[1], 1);
    route(0, 1, 0x700);
    line(0, true);
    takes(1, LAPIC_EXTINT);
    lapic_mmio_write(&m.lapics, 0, 0xd0, 1u << 24, 4);
    lapic_mmio_write(&m.lapics, 1, 0xd0, 2u << 24, 4);
    route(6, 3, 0x966); /* lowest priority, logical */
    lapic_tpr_write(&m.lapics, 0, 1);
    line(6, true);
    takes(1, 0x66);
    route(7, 0xff, 0x77); /* physical broadcast */
    line(7, true);
    takes(0, 0x77);
    takes(1, 0x77);
}

static void refused_level(void **state)
{
    (void)state;
    lapic_mmio_write(&m.lapics, 1, 0xf0, 0xff, 4);
    route(9, 1, 0x69 | LEVEL);
    line(9, true);
    assert_int_equal(get(0x22), 0x69 | LEVEL);
    lapic_mmio_write(&m.lapics, 1, 0xf0, 0x1ff, 4);
    route(9, 1, 0x69 | LEVEL);
    takes(1, 0x69);
    eoi(1);
    takes(1, 0x69);
    put(0x23, 7u << 24); /* to nobody while it is served */
    eoi(1);
    assert_false(m.interrupt[0] || m.interrupt[1]);
    put(0x23, 0); /* a new destination alone sends it again */
    takes(0, 0x69);
}

static void save_and_restore(void **state)
{
    (void)state;
    route(10, 0, 0x6a | LEVEL);
    line(10, true);
    line(3, true);
    struct ioapic_state saved = m.ioapic.s;
    struct lapic_state local = m.lapics.list[0].s;
    struct ioapic_state ends[2];
    for (unsigned round = 0; round < 2; round++) {
        m.ioapic.s = saved;
        m.lapics.list[0].s = local;
        ioapic_restored(&m.ioapic);
        lapic_restored(&m.lapics.list[0]);
        takes(0, 0x6a);
        line(10, false);
        eoi(0);
        assert_false(m.interrupt[0]);
        route(3, 0, 0x63);
        line(3, true); /* no edge */
        assert_false(m.interrupt[0]);
        ends[round] = m.ioapic.s;
        ioapic_reset(&m.ioapic);
        line(3, false);
    }
    assert_memory_equal(&ends[0], &ends[1], sizeof ends[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers, setup),
        cmocka_unit_test_setup(edges, setup),
        cmocka_unit_test_setup(levels, setup),
        cmocka_unit_test_setup(modes, setup),
        cmocka_unit_test_setup(refused_level, setup),
        cmocka_unit_test_setup(save_and_restore, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
