/*
 * A whole machine: memory, vCPUs, clock, busses, board. One struct owns
 * everything; a process can hold several.
 *
 * The run loop (machine.c) gives each runnable vCPU a slice of instructions
 * that ends at the next deadline, input, stop or, if there are several vCPUs,
 * quantum, whichever is first, so that every event happens at an exact
 * instruction count.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/physmem.h"
#include "machine/bus.h"
#include "machine/clock.h"
#include "machine/component.h"
#include "machine/description.h"
#include "machine/dma.h"
#include "machine/events.h"
#include "machine/hooks.h"

struct cpu;
struct board;
struct engine;
struct translator;

#define MACHINE_CPUS_MAXIMUM 64

enum machine_end {
    MACHINE_NOT_ENDED,
    MACHINE_POWER_OFF,    /* ACPI S5 */
    MACHINE_RESET,        /* a reset under no_reboot */
    MACHINE_TRIPLE_FAULT, /* shutdown of a vCPU; always ends the run */
    MACHINE_DEBUG_EXIT,   /* isa-debug-exit; see exit_status */
    MACHINE_DEAD,         /* every vCPU halted, and nothing can wake one */
};

enum machine_stop {
    MACHINE_AT_TARGET, /* the count or time that was asked for is reached */
    MACHINE_ENDED,     /* see machine->s.end */
    MACHINE_STOPPED,   /* hooks->stopped said so */
    MACHINE_DEBUG,     /* a breakpoint, watchpoint or step of the debugger */
};

struct machine_state {
    uint32_t current_cpu;   /* whose turn it is */
    uint32_t end;           /* enum machine_end */
    uint32_t exit_status;   /* with MACHINE_DEBUG_EXIT */
    uint32_t reset_pending; /* a reset was asked for; done between slices */
    uint64_t quantum_left;  /* instructions of the current turn */
    uint64_t random[4];     /* generator of RDRAND, RDSEED, virtio-rng */
};

struct machine {
    struct machine_state s;
    const struct description *description;
    struct clock clock;
    struct events events;
    struct bus ports;
    struct bus mmio;
    struct physmem memory;
    struct dma dma;
    struct components components;
    struct hooks hooks;
    struct engine *engine;  /* decoded blocks, shared by all vCPUs */
    struct translator *translator; /* NULL: all is interpreted */
    struct cpu **cpus;
    unsigned cpu_count;
    struct board *board;

    /* The slice that is running, none when running_cpu is NULL. */
    struct cpu *running_cpu;
    uint64_t slice_start; /* clock.instructions when it began */
    bool large_pages;     /* the host was asked for them */
    /* Its access to a port that is under way; 0 bytes: none. */
    struct { uint16_t port; uint8_t bytes; bool in; } port_access;

    /* The count just after the last instruction that each vCPU ran; 0: none yet.
     * Not state: for debuggers. Who restores state may restore this. */
    uint64_t ran_until[MACHINE_CPUS_MAXIMUM];

    /* Position at which hooks->inputs was last called. */
    struct clock_state polled;
    /* Notices already given, by a hash of their text. */
    uint64_t notices[64];
    unsigned notice_count;
};

/*
 * Builds a machine at power-on. `description` (with its files' bytes) must
 * outlive it. `hooks` is copied. Returns NULL with `error` set when a file is
 * unfit (a ROM of a wrong size, a kernel that is none) or memory is short.
 */
struct machine *machine_create(const struct description *description, const struct hooks *hooks,
                               struct error *error);
void machine_destroy(struct machine *machine);

/* What the translator did, as a text to be freed; NULL: hooks->engine asked for
 * none, or there is no translator. */
char *machine_statistics(const struct machine *machine);

/*
 * Runs until the instruction count is `until` exactly, or virtual time is at
 * or past `until_ns`, or the run ends. May be called again after any stop but
 * MACHINE_ENDED.
 */
enum machine_stop machine_run(struct machine *machine, uint64_t until, uint64_t until_ns);

/* For devices: power-off, reset line (CF9h, port 92h, i8042), debug exit.
 * They take effect after the current instruction. */
void machine_power_off(struct machine *machine);
void machine_reset_request(struct machine *machine);
void machine_debug_exit(struct machine *machine, uint32_t status);

/* Makes the running vCPU stop after the current instruction so that the run
 * loop looks at deadlines and interrupts again. Any device function may. */
void machine_interrupt_slice(struct machine *machine);

/* Delivers an input between two instructions. Returns false when the device
 * cannot take it now (a full FIFO): try again later. */
bool machine_input(struct machine *machine, enum input_kind kind, unsigned unit, uint8_t value);
/* Whether machine_input would take it. */
bool machine_input_ready(struct machine *machine, enum input_kind kind, unsigned unit);

/* Brings derived data in line after component states and RAM were written
 * from outside (checkpoint restored): TLBs, blocks, deadlines, memory map. */
void machine_restored(struct machine *machine);

/* The next 64 bits of the machine's seeded generator. */
uint64_t machine_random(struct machine *machine);

#endif
