/* How a vCPU reaches the machine; see machine_bus.h. */
#include "machine/machine_bus.h"

#include <inttypes.h>
#include <stdio.h>

#include "cpu/cpu.h"
#include "machine/board.h"
#include "machine/machine.h"
#include "util/bits.h"

/* Makes clock_now exact for what the running vCPU asks. */
static struct machine *at_now(void *context, const struct cpu *cpu)
{
    struct machine *machine = context;
    if (machine->running_cpu == cpu)
        machine->clock.s.instructions = machine->slice_start + cpu_retired(cpu);
    return machine;
}

static uint64_t observe(struct machine *machine, const struct cpu *cpu, enum observation kind,
                        uint64_t address, unsigned bytes, uint64_t live)
{
    if (!machine->hooks.observe)
        return live;
    return machine->hooks.observe(machine->hooks.context, cpu->s.index, kind, address, bytes, live);
}

static void begin_access(struct machine *machine, uint16_t port, unsigned bytes, bool in)
{
    machine->port_access.port = port;
    machine->port_access.bytes = (uint8_t)bytes;
    machine->port_access.in = in;
}

static uint64_t port_read(void *context, struct cpu *cpu, uint16_t port, unsigned bytes)
{
    struct machine *machine = at_now(context, cpu);
    uint64_t live = 0;
    if (!machine->hooks.isolated) {
        begin_access(machine, port, bytes, true);
        live = bus_read(&machine->ports, port, bytes);
        machine->port_access.bytes = 0;
    }
    return observe(machine, cpu, OBSERVE_PORT_READ, port, bytes, live);
}

static void port_write(void *context, struct cpu *cpu, uint16_t port, uint64_t value, unsigned bytes)
{
    struct machine *machine = at_now(context, cpu);
    if (machine->hooks.isolated)
        return;
    begin_access(machine, port, bytes, false);
    bus_write(&machine->ports, port, value, bytes);
    machine->port_access.bytes = 0;
}

static uint64_t mmio_read(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    struct machine *machine = at_now(context, cpu);
    uint64_t live = machine->hooks.isolated
                        ? 0
                        : board_mmio_read(machine->board, cpu->s.index, address, bytes);
    return observe(machine, cpu, OBSERVE_MMIO_READ, address, bytes, live);
}

static void mmio_write(void *context, struct cpu *cpu, uint64_t address, uint64_t value, unsigned bytes)
{
    struct machine *machine = at_now(context, cpu);
    if (!machine->hooks.isolated)
        board_mmio_write(machine->board, cpu->s.index, address, value, bytes);
}

/* A request that has gone away is not an event: nothing is observed. */
static int interrupt_acknowledge(void *context, struct cpu *cpu)
{
    struct machine *machine = at_now(context, cpu);
    int vector = 0;
    if (!machine->hooks.isolated)
        vector = board_interrupt_acknowledge(machine->board, cpu->s.index);
    if (vector < 0)
        return -1;
    return (int)(observe(machine, cpu, OBSERVE_INTERRUPT, 0, 0, (uint64_t)vector) & 0xff);
}

/* Whether a device refuses the access; `result` is the live device's answer. */
static bool msr_faults(struct machine *machine, const struct cpu *cpu, uint32_t msr, int result)
{
    if (!machine->hooks.isolated && result == 0)
        return false;
    return observe(machine, cpu, OBSERVE_MSR_FAULT, msr, 0, result < 0) != 0;
}

static int msr_read(void *context, struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    struct machine *machine = at_now(context, cpu);
    int result = 0;
    *value = 0;
    if (!machine->hooks.isolated)
        result = board_msr_read(machine->board, cpu->s.index, msr, value);
    if (msr_faults(machine, cpu, msr, result))
        return -1;
    *value = observe(machine, cpu, OBSERVE_MSR_READ, msr, 8, *value);
    return 0;
}

static int msr_write(void *context, struct cpu *cpu, uint32_t msr, uint64_t value)
{
    struct machine *machine = at_now(context, cpu);
    int result = 0;
    if (!machine->hooks.isolated)
        result = board_msr_write(machine->board, cpu->s.index, msr, value);
    return msr_faults(machine, cpu, msr, result) ? -1 : 0;
}

static uint64_t tpr_read(void *context, struct cpu *cpu)
{
    struct machine *machine = at_now(context, cpu);
    uint64_t live = machine->hooks.isolated ? 0 : board_tpr_read(machine->board, cpu->s.index);
    return observe(machine, cpu, OBSERVE_TPR_READ, 0, 1, live);
}

static void tpr_write(void *context, struct cpu *cpu, uint64_t value)
{
    struct machine *machine = at_now(context, cpu);
    if (!machine->hooks.isolated)
        board_tpr_write(machine->board, cpu->s.index, value);
}

static uint64_t virtual_ns(void *context, struct cpu *cpu)
{
    return clock_now(&at_now(context, cpu)->clock);
}

static uint64_t next_random(void *context, struct cpu *cpu)
{
    return machine_random(at_now(context, cpu));
}

/* IGNNE# is recorded as a read of the port that asserts it. */
static bool fpu_error(void *context, struct cpu *cpu, bool level)
{
    struct machine *machine = at_now(context, cpu);
    bool ignored = false;
    if (!machine->hooks.isolated)
        ignored = board_fpu_error(machine->board, level);
    return level && observe(machine, cpu, OBSERVE_PORT_READ, 0xf0, 1, ignored);
}

static void tsc_changed(void *context, struct cpu *cpu)
{
    struct machine *machine = at_now(context, cpu);
    if (!machine->hooks.isolated)
        board_tsc_changed(machine->board, cpu->s.index);
}

static void initialized(void *context, struct cpu *cpu)
{
    struct machine *machine = at_now(context, cpu);
    if (!machine->hooks.isolated)
        board_cpu_reset(machine->board, cpu->s.index);
}

/* FNV-1a; only tells texts apart. */
static uint64_t hash_text(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325ull;
    for (; *text; text++)
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3ull;
    return hash;
}

/* Passes a text on, once a machine, with the place where it first happened. */
static void notice(void *context, struct cpu *cpu, const char *text)
{
    struct machine *machine = at_now(context, cpu);
    uint64_t hash = hash_text(text);
    char line[256];
    for (unsigned i = 0; i < machine->notice_count; i++)
        if (machine->notices[i] == hash)
            return;
    if (machine->notice_count == ARRAY_SIZE(machine->notices) || !machine->hooks.notice)
        return;
    machine->notices[machine->notice_count++] = hash;
    snprintf(line, sizeof line, "instruction %" PRIu64 ": %s", machine->clock.s.instructions, text);
    machine->hooks.notice(machine->hooks.context, line);
}

void machine_bus_connect(struct machine *machine, struct cpu *cpu)
{
    cpu->bus = (struct cpu_bus){
        .context = machine,
        .port_read = port_read,
        .port_write = port_write,
        .mmio_read = mmio_read,
        .mmio_write = mmio_write,
        .interrupt_acknowledge = interrupt_acknowledge,
        .msr_read = msr_read,
        .msr_write = msr_write,
        .tpr_read = tpr_read,
        .tpr_write = tpr_write,
        .virtual_ns = virtual_ns,
        .ns_per_instruction = machine->clock.s.ns_per_instruction,
        .random = next_random,
        .fpu_error = fpu_error,
        .tsc_changed = tsc_changed,
        .initialized = initialized,
        .notice = notice,
    };
}
