/*
 * The machine's side of the door. All that the machine cannot compute enters
 * through these functions, and all that the CPU sees of the devices passes by
 * them; src/replay implements them for run, record, replay and isolated
 * replay. Positions in time are (instructions, idle_ns) of the clock, exact at
 * each call.
 */
#ifndef MACHINE_HOOKS_H
#define MACHINE_HOOKS_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/translated.h"

/* What the CPU sees of devices. `address` and `bytes` as noted. */
enum observation {
    OBSERVE_PORT_READ,  /* address: port, bytes: 1, 2, 4; of F0h by the CPU itself: IGNNE# */
    OBSERVE_MMIO_READ,  /* address: physical, bytes: 1, 2, 4, 8 */
    OBSERVE_INTERRUPT,  /* value: vector taken; bytes 0 */
    OBSERVE_MSR_READ,   /* address: MSR that a device answers (APIC) */
    OBSERVE_TPR_READ,   /* CR8 */
    /* address: MSR, value 1: a device refused the access, it raises #GP(0).
     * Isolated: asked before each access to such an MSR; gives 1 or 0. */
    OBSERVE_MSR_FAULT,
};

/* Other things that happen to a vCPU between two instructions and that the
 * vCPU cannot compute when devices do not exist. */
enum cpu_signal {
    SIGNAL_NMI,
    SIGNAL_INIT,
    SIGNAL_STARTUP, /* value: the vector */
    SIGNAL_SMI,     /* value: cpu_smi_cause, 0 when no own port access brought it */
    SIGNAL_RESET,   /* of the whole machine; told for vCPU 0 */
};

enum input_kind {
    INPUT_SERIAL,       /* unit: 0..3, value: byte */
    INPUT_KEY,          /* value: scan code byte (set 1) */
    INPUT_POWER_BUTTON,
    INPUT_RESET,
    INPUT_NMI,
};

/* How instructions are executed. The guest cannot tell. */
enum engine_kind {
    ENGINE_INTERPRETER,
    ENGINE_TRANSLATOR, /* translate every block at once (tests) */
    ENGINE_AUTO,       /* translate what is run often */
    ENGINE_CHECK,      /* both, in two machines: src/replay/lockstep.h; no machine has it */
};

struct engine_choice {
    enum engine_kind kind;
    bool statistics;      /* print them at the end */
    uint32_t cache_mib;   /* of translated code; 0: 128 */
    struct translated_watch watch; /* is told of translations; block NULL: nobody */
    uint32_t threshold;   /* runs of a block before it is translated; 0: as the kind says */
    uint32_t check_blocks; /* ENGINE_CHECK: at most so many between comparisons; 0: 1 */
};

struct hooks {
    void *context;
    struct engine_choice engine;
    /* Devices do not exist: observations are fed from the trace. */
    bool isolated;

    /* vCPU `cpu` saw `live`; returns what it gets (record and replay: live;
     * isolated: the recorded value, `live` is then 0). */
    uint64_t (*observe)(void *context, unsigned cpu, enum observation kind, uint64_t address,
                        unsigned bytes, uint64_t live);
    /* A signal reached vCPU `cpu`. */
    void (*signal)(void *context, unsigned cpu, enum cpu_signal signal, uint64_t value);
    /* A device wrote RAM. */
    void (*dma)(void *context, uint64_t address, const void *bytes, uint64_t length);
    /* A byte left through serial port or debug console `unit`
     * (0..3 serial, 4.. debug consoles). */
    void (*output)(void *context, unsigned unit, const uint8_t *bytes, uint64_t length);

    /* The instruction count at which the machine must next stop and call
     * `inputs`; UINT64_MAX when there is none. Asked before each slice. */
    uint64_t (*next_input)(void *context);
    /* Called between slices, once at each position, before the events of that
     * position: poll the host or feed the trace, through machine_input. */
    void (*inputs)(void *context);
    /* Every vCPU is halted and the next deadline is `deadline` (virtual ns,
     * EVENTS_NEVER when there is none). Returns the virtual time to go on at:
     * `deadline`, or an earlier one when an input arrives first, or
     * EVENTS_NEVER to end the run (nothing can ever wake it). */
    uint64_t (*idle)(void *context, uint64_t deadline);
    /* True when the run must stop now (divergence, host error, signal). */
    bool (*stopped)(void *context);
    /* One line for the user: something the guest did that is not modelled.
     * Each text comes once a machine. May be NULL. */
    void (*notice)(void *context, const char *text);
};

#endif
