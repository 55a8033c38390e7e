/*
 * A whole machine and its run loop; see machine.h.
 *
 * At each position in time (instructions, idle_ns) the order is: a pending
 * reset, inputs, events, then instructions. A slice ends at the next of:
 * deadline, input, end of the vCPU's turn, target. Where slices end is not
 * observable: only deadlines and turns are, and they are exact.
 */
#include "machine/machine.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/memory.h"
#include "machine/board.h"
#include "machine/cpu_lines.h"
#include "machine/machine_bus.h"
#include "translator/translator.h"
#include "util/assert.h"
#include "util/bits.h"

#define ROM_UNIT 0x10000u
#define ROM_MAXIMUM (16u << 20)

/* A model and the vCPU that points to it, allocated together. */
struct machine_cpu {
    struct cpu cpu;
    struct cpu_model model;
};

static uint64_t rotate_left(uint64_t value, unsigned by)
{
    return value << by | value >> (64 - by);
}

/* splitmix64 spreads the seed over the generator's state. */
static void seed_random(uint64_t state[4], uint64_t seed)
{
    for (unsigned i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t mixed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9ull;
        mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
        state[i] = mixed ^ mixed >> 31;
    }
}

/* xoshiro256** (Blackman and Vigna, 2018). */
uint64_t machine_random(struct machine *machine)
{
    uint64_t *s = machine->s.random;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate_left(s[3], 45);
    return result;
}

static void moved_closer(void *context)
{
    machine_interrupt_slice(context);
}

static void dma_read_memory(void *context, uint64_t address, void *bytes, uint64_t length)
{
    struct machine *machine = context;
    physmem_read(&machine->memory, address, bytes, length);
}

static bool reaches_memory(const struct physmem *memory, uint64_t address, uint64_t length)
{
    for (uint64_t done = 0; done < length; done += PAGE_BYTES - ((address + done) & PAGE_MASK))
        if (physmem_write_page(memory, address + done) < PHYSMEM_DISCARD)
            return true;
    return false;
}

#define MESSAGES 0xfee00000u /* and the MiB from there: writes are interrupt messages */

/* What no memory takes is no event: a device may be told to fill 4 GiB. */
static void dma_write_memory(void *context, uint64_t address, const void *bytes, uint64_t length)
{
    struct machine *machine = context;
    if (address >> 20 == MESSAGES >> 20) {
        if (length == 4 && !(address & 3))
            board_message(machine->board, address, load32(bytes));
        return;
    }
    if (!reaches_memory(&machine->memory, address, length))
        return;
    if (machine->hooks.dma)
        machine->hooks.dma(machine->hooks.context, address, bytes, length);
    physmem_write(&machine->memory, address, bytes, length);
}

static int create_cpus(struct machine *machine, struct error *error)
{
    const struct description *d = machine->description;
    machine->cpus = calloc(d->cpus, sizeof *machine->cpus);
    if (!machine->cpus)
        return error_set(error, ERROR_MEMORY, "out of host memory for %u vCPUs", d->cpus);
    for (unsigned i = 0; i < d->cpus; i++) {
        struct machine_cpu *both = (struct machine_cpu *)(void *)cpu_allocate(sizeof *both);
        if (!both)
            return error_set(error, ERROR_MEMORY, "out of host memory for %u vCPUs", d->cpus);
        struct cpu *cpu = machine->cpus[i] = &both->cpu;
        machine->cpu_count = i + 1;
        TRY(cpu_model_parse(&both->model, d->cpu, d->cpus, error));
        cpu->model = &both->model;
        if (i == 0) {
            machine->engine = engine_create(&machine->memory, cpu->model);
            if (!machine->engine)
                return error_set(error, ERROR_MEMORY, "out of host memory for the block cache");
        }
        engine_add_cpu(machine->engine, cpu);
        machine_bus_connect(machine, cpu);
        cpu->s.index = i;
        cpu->multiprocessor = d->cpus > 1;
        cpu_reset(cpu);
        components_add(&machine->components, "cpu", i, &cpu->s, sizeof cpu->s, NULL, cpu);
    }
    return 0;
}

#define CACHE_MIB 128
#define HOT 40 /* runs of a block before it is worth translating */

static int create_translator(struct machine *machine, struct error *error)
{
    const struct engine_choice *choice = &machine->hooks.engine;
    size_t mib = choice->cache_mib ? choice->cache_mib : CACHE_MIB;
    if (choice->kind == ENGINE_INTERPRETER || !translator_available())
        return 0;
    uint32_t threshold = choice->kind == ENGINE_TRANSLATOR ? 1 : HOT;
    machine->translator = translator_create(machine->engine, mib << 20,
                                            choice->threshold ? choice->threshold : threshold);
    /* A host that lends no executable memory interprets. */
    if (!machine->translator && choice->kind == ENGINE_TRANSLATOR)
        return error_set(error, ERROR_MEMORY, "out of host memory for %zu MiB of translated code", mib);
    if (machine->translator && choice->watch.block && translator_watch(machine->translator, &choice->watch))
        return error_set(error, ERROR_MEMORY, "out of host memory to watch the translator");
    return 0;
}

char *machine_statistics(const struct machine *machine)
{
    bool wanted = machine && machine->hooks.engine.statistics && machine->translator;
    return wanted ? translator_report(machine->translator) : NULL;
}

static int build(struct machine *machine, struct error *error)
{
    const struct description *d = machine->description;
    if (d->bios < 0)
        return error_set(error, ERROR_USAGE, "no firmware: install the package seabios, or give -bios FILE");
    const struct description_file *bios = &d->files[d->bios];
    if (bios->size == 0 || bios->size % ROM_UNIT || bios->size > ROM_MAXIMUM)
        return error_set(error, ERROR_FILE,
                         "%s: %llu bytes is no size for a ROM: it takes a multiple of 64 KiB up to 16 MiB",
                         bios->path, (unsigned long long)bios->size);
    if (physmem_init(&machine->memory, d->memory_bytes, bios->size, BOARD_PCI_HOLE))
        return error_set(error, ERROR_MEMORY, "out of host memory for -m %llu M",
                         (unsigned long long)(d->memory_bytes >> 20));
    if (bus_init(&machine->ports, 65536) || bus_init(&machine->mmio, ~0ull))
        return error_set(error, ERROR_MEMORY, "out of host memory");
    events_init(&machine->events, moved_closer, machine);
    machine->dma = (struct dma){ dma_read_memory, dma_write_memory, machine };
    machine->clock.s.ns_per_instruction = d->ns_per_instruction;
    machine->s.quantum_left = d->quantum;
    seed_random(machine->s.random, d->seed);
    components_add(&machine->components, "machine", COMPONENT_SINGLE, &machine->s, sizeof machine->s,
                   NULL, machine);
    components_add(&machine->components, "clock", COMPONENT_SINGLE, &machine->clock.s,
                   sizeof machine->clock.s, NULL, machine);
    TRY(create_cpus(machine, error));
    TRY(create_translator(machine, error));
    machine->board = board_create(machine, error);
    return machine->board ? 0 : ERROR_FILE;
}

struct machine *machine_create(const struct description *description, const struct hooks *hooks,
                               struct error *error)
{
    struct machine *machine = calloc(1, sizeof *machine);
    if (!machine) {
        error_set(error, ERROR_MEMORY, "out of host memory");
        return NULL;
    }
    machine->description = description;
    machine->hooks = *hooks;
    machine->polled.instructions = UINT64_MAX;
    if (build(machine, error) < 0) {
        machine_destroy(machine);
        return NULL;
    }
    return machine;
}

void machine_destroy(struct machine *machine)
{
    if (!machine)
        return;
    assert_watch_count(NULL);
    if (machine->board)
        board_destroy(machine->board);
    for (unsigned i = 0; i < machine->cpu_count; i++)
        cpu_free(machine->cpus[i], sizeof(struct machine_cpu));
    free(machine->cpus);
    translator_destroy(machine->translator);
    engine_destroy(machine->engine);
    bus_free(&machine->ports);
    bus_free(&machine->mmio);
    physmem_free(&machine->memory);
    free(machine);
}

/* Ends and requests */

void machine_interrupt_slice(struct machine *machine)
{
    if (machine->running_cpu)
        cpu_end_slice(machine->running_cpu);
}

static void end_run(struct machine *machine, enum machine_end end)
{
    if (machine->s.end == MACHINE_NOT_ENDED)
        machine->s.end = end;
    machine_interrupt_slice(machine);
}

void machine_power_off(struct machine *machine)
{
    end_run(machine, MACHINE_POWER_OFF);
}

void machine_debug_exit(struct machine *machine, uint32_t status)
{
    if (machine->s.end == MACHINE_NOT_ENDED)
        machine->s.exit_status = status;
    end_run(machine, MACHINE_DEBUG_EXIT);
}

void machine_reset_request(struct machine *machine)
{
    machine->s.reset_pending = 1;
    machine_interrupt_slice(machine);
}

static void reset(struct machine *machine)
{
    machine->s.reset_pending = 0;
    if (machine->description->no_reboot) {
        machine->s.end = MACHINE_RESET;
        return;
    }
    if (machine->hooks.signal)
        machine->hooks.signal(machine->hooks.context, 0, SIGNAL_RESET, 0);
    for (unsigned i = 0; i < machine->cpu_count; i++)
        cpu_reset(machine->cpus[i]);
    machine->s.current_cpu = 0;
    machine->s.quantum_left = machine->description->quantum;
    board_reset(machine->board);
    mmu_flush_all(machine->engine);
}

/* Lines to the vCPUs (cpu_lines.h) */

static void notice_signal(struct machine *machine, unsigned cpu, enum cpu_signal signal, uint64_t value)
{
    if (machine->hooks.signal)
        machine->hooks.signal(machine->hooks.context, cpu, signal, value);
    cpu_attention(machine->cpus[cpu]);
}

void machine_cpu_interrupt(struct machine *machine, unsigned cpu, bool level)
{
    machine->cpus[cpu]->interrupt_line = level;
    if (level)
        cpu_attention(machine->cpus[cpu]);
}

/* One NMI can wait while one is served. Two can wait for a vCPU that is not
 * serving any: it would have taken the first by now, but for the turns that
 * vCPUs take. */
void machine_cpu_nmi(struct machine *machine, unsigned cpu)
{
    struct cpu_state *s = &machine->cpus[cpu]->s;
    if (s->nmi_pending < (s->nmi_blocked ? 1 : 2))
        s->nmi_pending++;
    notice_signal(machine, cpu, SIGNAL_NMI, 0);
}

void machine_cpu_smi_caused(struct machine *machine, unsigned cpu, uint64_t cause)
{
    struct cpu_state *s = &machine->cpus[cpu]->s;
    if (!s->smi_pending)
        s->smi_cause = s->smm ? 0 : cause;
    s->smi_pending = 1;
    notice_signal(machine, cpu, SIGNAL_SMI, cause);
}

void machine_cpu_smi(struct machine *machine, unsigned cpu)
{
    const struct cpu *target = machine->cpus[cpu];
    uint64_t cause = 0;
    if (machine->running_cpu == target && machine->port_access.bytes)
        cause = cpu_smi_cause(target, machine->port_access.port, machine->port_access.bytes,
                              machine->port_access.in);
    machine_cpu_smi_caused(machine, cpu, cause);
}

void machine_cpu_init(struct machine *machine, unsigned cpu)
{
    machine->cpus[cpu]->s.init_pending = 1;
    notice_signal(machine, cpu, SIGNAL_INIT, 0);
}

void machine_cpu_startup(struct machine *machine, unsigned cpu, uint8_t vector)
{
    struct cpu *target = machine->cpus[cpu];
    if (target->s.init_pending && !target->s.smm) {
        /* INIT and STARTUP sent in a row, before the vCPU's turn came. */
        target->s.init_pending = 0;
        cpu_init_signal(target);
    }
    if (target->s.activity != CPU_WAIT_SIPI)
        return;
    cpu_startup(target, vector);
    notice_signal(machine, cpu, SIGNAL_STARTUP, vector);
}

/* The run loop */

static bool runnable(const struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    if (s->activity == CPU_RUNNING || s->activity == CPU_SHUTDOWN || (s->init_pending && !s->smm))
        return true;
    if (s->activity == CPU_WAIT_SIPI)
        return false;
    return (cpu->interrupt_line && s->rflags & FLAG_IF) || (s->nmi_pending && !s->nmi_blocked)
           || (s->smi_pending && !s->smm) || s->pending_debug;
}

/* The vCPU whose turn it is, or NULL when all are halted. A turn ends when its
 * quantum is used up or the vCPU gave it up (quantum_left is 0). */
static struct cpu *schedule(struct machine *machine)
{
    struct machine_state *s = &machine->s;
    if (s->quantum_left && runnable(machine->cpus[s->current_cpu]))
        return machine->cpus[s->current_cpu];
    for (unsigned i = 1; i <= machine->cpu_count; i++) {
        unsigned next = (s->current_cpu + i) % machine->cpu_count;
        if (!runnable(machine->cpus[next]))
            continue;
        s->current_cpu = next;
        s->quantum_left = machine->description->quantum;
        return machine->cpus[next];
    }
    return NULL;
}

static uint64_t minimum(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Instructions until virtual time reaches `ns`; at least 1. */
static uint64_t instructions_until(const struct machine *machine, uint64_t ns)
{
    uint64_t now = clock_now(&machine->clock), per = machine->clock.s.ns_per_instruction;
    if (ns == EVENTS_NEVER)
        return UINT64_MAX;
    return ns <= now ? 1 : (ns - now - 1) / per + 1;
}

/* Instructions of a slice that nothing ends: so often hooks.stopped is asked. */
#define SLICE_MAXIMUM (1ull << 20)

/* A vCPU that has no other beside it takes turn after turn in one slice. */
static uint64_t turns_left(const struct machine *machine)
{
    return machine->cpu_count == 1 ? SLICE_MAXIMUM : machine->s.quantum_left;
}

/* What is left of the turn after `retired` instructions, as if each turn had been a
 * slice: at its end 0, which the next one's begin changes. */
static uint64_t turn_after(const struct machine *machine, uint64_t retired)
{
    uint64_t left = machine->s.quantum_left, quantum = machine->description->quantum;
    if (retired <= left)
        return left - retired;
    uint64_t used = machine->cpu_count == 1 ? (retired - left) % quantum : 0;
    return used ? quantum - used : 0;
}

static uint64_t slice_budget(const struct machine *machine, uint64_t until, uint64_t until_ns)
{
    uint64_t count = machine->clock.s.instructions;
    uint64_t budget = minimum(turns_left(machine), until - count);
    budget = minimum(budget, instructions_until(machine, until_ns));
    if (!machine->hooks.isolated)
        budget = minimum(budget, instructions_until(machine, machine->events.next));
    uint64_t input = machine->hooks.next_input(machine->hooks.context);
    return input > count ? minimum(budget, input - count) : budget;
}

/* Clearing whole large pages makes a short run slower: they are for those that went so far. */
#define LONG_RUN (16ull << 30) /* instructions */

/* Runs one slice; returns true when the debugger stopped it. */
static bool run_slice(struct machine *machine, struct cpu *cpu, uint64_t budget)
{
    bool step = cpu->debug && cpu->debug->step_cpu == cpu->s.index;
    machine->slice_start = machine->clock.s.instructions;
    if (machine->slice_start >= LONG_RUN && !machine->large_pages) {
        machine->large_pages = true;
        physmem_prefer_large_pages(&machine->memory);
    }
    machine->running_cpu = cpu;
    enum cpu_exit exit = cpu_run(cpu, step ? 1 : budget);
    machine->running_cpu = NULL;
    uint64_t retired = cpu_retired(cpu);
    machine->clock.s.instructions = machine->slice_start + retired;
    if (retired)
        machine->ran_until[cpu->s.index] = machine->clock.s.instructions;
    machine->s.quantum_left = turn_after(machine, retired);
    /* A HLT gives up the turn also where the budget ended with it, and when an
     * interrupt waits already. */
    if (exit == CPU_EXIT_HALTED || exit == CPU_EXIT_YIELD || cpu->s.activity != CPU_RUNNING)
        machine->s.quantum_left = 0;
    if (cpu->s.activity == CPU_SHUTDOWN)
        end_run(machine, MACHINE_TRIPLE_FAULT);
    return exit == CPU_EXIT_DEBUG || (step && retired);
}

/* All vCPUs are halted: time goes on to the next deadline or input. */
static void idle(struct machine *machine, uint64_t until_ns)
{
    uint64_t deadline = machine->hooks.isolated ? EVENTS_NEVER : machine->events.next;
    uint64_t now = clock_now(&machine->clock);
    uint64_t next = machine->hooks.idle(machine->hooks.context, deadline);
    if (next == EVENTS_NEVER) {
        if (!machine->hooks.stopped || !machine->hooks.stopped(machine->hooks.context))
            machine->s.end = MACHINE_DEAD;
        return;
    }
    next = minimum(next, until_ns);
    if (next > now)
        machine->clock.s.idle_ns += next - now;
}

static void take_inputs(struct machine *machine)
{
    if (memcmp(&machine->polled, &machine->clock.s, sizeof machine->polled) == 0)
        return;
    machine->polled = machine->clock.s;
    machine->hooks.inputs(machine->hooks.context);
}

enum machine_stop machine_run(struct machine *machine, uint64_t until, uint64_t until_ns)
{
    assert_watch_count(&machine->clock.s.instructions);
    for (;;) {
        if (machine->s.reset_pending && machine->s.end == MACHINE_NOT_ENDED)
            reset(machine);
        if (machine->s.end != MACHINE_NOT_ENDED)
            return MACHINE_ENDED;
        if (machine->hooks.stopped && machine->hooks.stopped(machine->hooks.context))
            return MACHINE_STOPPED;
        take_inputs(machine);
        if (!machine->hooks.isolated)
            events_run(&machine->events, clock_now(&machine->clock));
        if (machine->s.reset_pending || machine->s.end != MACHINE_NOT_ENDED)
            continue;
        if (machine->clock.s.instructions >= until || clock_now(&machine->clock) >= until_ns)
            return MACHINE_AT_TARGET;
        struct cpu *cpu = schedule(machine);
        if (!cpu)
            idle(machine, until_ns);
        else if (run_slice(machine, cpu, slice_budget(machine, until, until_ns)))
            return MACHINE_DEBUG;
    }
}

void machine_restored(struct machine *machine)
{
    engine_flush_blocks(machine->engine);
    machine->polled.instructions = UINT64_MAX;
    for (unsigned i = 0; i < machine->components.count; i++) {
        const struct component *component = &machine->components.list[i];
        if (component->restored)
            component->restored(component->device);
    }
    for (unsigned i = 0; i < machine->cpu_count; i++)
        cpu_restored(machine->cpus[i]);
    mmu_flush_all(machine->engine);
}

bool machine_input(struct machine *machine, enum input_kind kind, unsigned unit, uint8_t value)
{
    return board_input(machine->board, kind, unit, value);
}

bool machine_input_ready(struct machine *machine, enum input_kind kind, unsigned unit)
{
    return board_input_ready(machine->board, kind, unit);
}
