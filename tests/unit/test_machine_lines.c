/* What reaches the vCPUs of a whole machine from outside: interrupt messages of
 * bus masters, NMIs that queue, SMIs and INITs that wait. */
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/msr.h"
#include "machine_bench.h"
#include "machine/cpu_lines.h"
#include "util/bits.h"

static struct description description;
static struct machine *machine;

static int setup(void **state)
{
    (void)state;
    bench_describe(&description, bench_guest, sizeof bench_guest);
    description.cpus = 2;
    machine = bench_machine(&description);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_destroy(machine);
    return 0;
}

static uint64_t apic_read(unsigned cpu, unsigned offset)
{
    return board_mmio_read(machine->board, cpu, 0xfee00000 + offset, 4);
}

static void dma_messages(void **state)
{
    (void)state;
    static const struct { uint64_t address; uint32_t data, bytes; bool taken; } rows[] = {
        { 0xfee01000, 0x61, 4, true },
        { 0xfee01000, 0x62, 2, false },    /* a message is a dword */
        { 0xfee01002, 0x63, 4, false },    /* at its place */
        { 0xfee01000, 0x64, 8, false },
        { 0xfef01000, 0x65, 4, false },    /* outside of the range */
        { 0xfed01000, 0x66, 4, false },
        { 0xfee02000, 0x67, 4, false },    /* to nobody */
        { 0xfeeff000, 0x68, 4, true },     /* to all */
        { 0x1fee01000, 0x69, 4, false },
    };
    board_mmio_write(machine->board, 1, 0xfee000f0, 0x1ff, 4);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        uint8_t bytes[8] = { 0 };
        store32(bytes, rows[i].data);
        dma_write(&machine->dma, rows[i].address, bytes, rows[i].bytes);
        uint64_t irr = apic_read(1, 0x230);
        assert_int_equal(irr >> (rows[i].data & 31) & 1, rows[i].taken);
    }
    assert_true(machine->cpus[1]->interrupt_line);
}

static void queued_nmis(void **state)
{
    (void)state;
    struct cpu_state *s = &machine->cpus[0]->s;
    for (unsigned i = 0; i < 3; i++)
        machine_cpu_nmi(machine, 0);
    assert_int_equal(s->nmi_pending, 2);
    s->nmi_pending = 0;
    s->nmi_blocked = 1;
    for (unsigned i = 0; i < 3; i++)
        machine_cpu_nmi(machine, 0);
    assert_int_equal(s->nmi_pending, 1);
}

/* A vCPU in SMM: SMIs and INIT wait, STARTUP is lost. */
static void waiting_for_rsm(void **state)
{
    (void)state;
    struct cpu_state *s = &machine->cpus[1]->s;
    s->activity = CPU_HALTED;
    s->smm = 1;
    machine_cpu_init(machine, 1);
    machine_cpu_smi_caused(machine, 1, 0x123);
    machine_cpu_startup(machine, 1, 0x12);
    assert_int_equal(s->smi_cause, 0);
    bench_run(machine, 1000);
    assert_int_equal(s->activity, CPU_HALTED);
    assert_true(s->init_pending && s->smi_pending && s->smm);
    s->smm = 0;
    bench_run(machine, 2 * description.quantum);
    assert_false(s->init_pending || s->smi_pending || s->smm);
    assert_int_equal(s->activity, CPU_WAIT_SIPI);
}

/* INIT resets the vCPU's local APIC when it is taken, not its base. */
static void init_resets_the_apic(void **state)
{
    (void)state;
    struct cpu_state *s = &machine->cpus[1]->s;
    for (unsigned round = 0; round < 2; round++) {
        s->activity = CPU_HALTED;
        board_mmio_write(machine->board, 1, 0xfee000f0, 0x1ff, 4);
        board_mmio_write(machine->board, 1, 0xfee00350, 0x33, 4);
        machine_cpu_init(machine, 1);
        assert_int_equal(apic_read(1, 0xf0), 0x1ff);
        if (round == 0)
            bench_run(machine, 2 * description.quantum);
        else
            machine_cpu_startup(machine, 1, 0x12);
        assert_int_equal(apic_read(1, 0xf0), 0xff);
        assert_int_equal(apic_read(1, 0x350), 0x10000);
        assert_int_equal(s->activity, round ? CPU_RUNNING : CPU_WAIT_SIPI);
    }
}

/* Of a vCPU that is alone, too, wherever its slices end: at any count the same is left. */
static void turns_do_not_depend_on_slices(void **state)
{
    static const uint64_t slices[] = { 1, 99, 100, 101, 7, 250, 1000, 12345 };
    static const uint8_t spin[] = { 0xfa, 0xeb, 0xfe }; /* CLI; JMP */
    teardown(state);
    bench_describe(&description, spin, sizeof spin);
    description.quantum = 100;
    machine = bench_machine(&description);
    uint64_t count = 0;
    for (unsigned i = 0; i < 100; i++) {
        uint64_t slice = slices[i % ARRAY_SIZE(slices)];
        bench_run(machine, slice);
        count += slice;
        assert_int_equal(machine->s.quantum_left, count % 100 ? 100 - count % 100 : 0);
    }
}

/* What of IA32_APIC_BASE the model decides; CPUID shows no APIC while it is off. */
static void apic_base_by_model(void **state)
{
    static const struct { const char *model; uint64_t value; bool good; } rows[] = {
        { "max", 0xfee00d00, true },
        { "max,-x2apic", 0xfee00d00, false },
        { "max,-x2apic", 0xfee00900, true },
        { "max,phys-bits=36", 1ull << 35 | 0x900, true },
        { "max,phys-bits=36", 1ull << 36 | 0x900, false },
        { "max", 0xfee00100, true },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        teardown(state);
        bench_describe(&description, bench_guest, sizeof bench_guest);
        snprintf(description.cpu, sizeof description.cpu, "%s", rows[i].model);
        machine = bench_machine(&description);
        struct cpu *cpu = machine->cpus[0];
        uint32_t out[4];
        assert_int_equal(msr_write(cpu, 0x1b, rows[i].value), rows[i].good ? 0 : CPU_FAULT);
        uint64_t now = 0;
        assert_int_equal(msr_read(cpu, 0x1b, &now), 0);
        assert_int_equal(now, rows[i].good ? rows[i].value : 0xfee00900);
        cpu_cpuid(cpu, 1, 0, out);
        assert_int_equal(out[3] >> 9 & 1, now >> 11 & 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(dma_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(queued_nmis, setup, teardown),
        cmocka_unit_test_setup_teardown(waiting_for_rsm, setup, teardown),
        cmocka_unit_test_setup_teardown(init_resets_the_apic, setup, teardown),
        cmocka_unit_test_setup_teardown(turns_do_not_depend_on_slices, setup, teardown),
        cmocka_unit_test_setup_teardown(apic_base_by_model, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
