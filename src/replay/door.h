/*
 * The host's side of the door: where inputs come from and where output goes.
 *
 * src/cli fills this struct from src/host. Nothing behind it may influence a
 * run except through `poll`: an input enters the machine at an instruction
 * count that the recorder logs. All functions may be NULL; all are called on
 * the thread that runs the machine, between two instructions.
 */
#ifndef REPLAY_DOOR_H
#define REPLAY_DOOR_H

#include <stdint.h>

#include "machine/hooks.h"

struct door_input {
    enum input_kind kind;
    unsigned unit;
    uint8_t value;
};

enum door_poll {
    DOOR_NOTHING, /* none came within the time; or a signal cut the wait short */
    DOOR_INPUT,   /* *input is filled */
    DOOR_CLOSED,  /* none waits, and none will ever come (end of stdin, no socket) */
};

struct door {
    void *context;
    /* The next input. Waits up to `timeout_ns` of host time for one: 0 does
     * not wait, UINT64_MAX waits for ever. *waited_ns (never NULL) receives
     * the host time that passed. Returns early with DOOR_NOTHING when a
     * signal asks to stop. NULL is a closed door. */
    enum door_poll (*poll)(void *context, uint64_t timeout_ns, struct door_input *input,
                           uint64_t *waited_ns);
    /* Bytes that the guest sent through serial port 0..3 or debug console
     * 4.. `unit`, as it writes them. */
    void (*output)(void *context, unsigned unit, const uint8_t *bytes, uint64_t length);
    /* 0, or the number of the signal (SIGINT, SIGTERM) that asked to stop. */
    int (*stop_signal)(void *context);
    /* Called every million instructions or so, and when idle. The callee
     * decides by host time whether to print. */
    void (*progress)(void *context, uint64_t instructions, uint64_t virtual_ns);
    /* One line for the user: something the guest did that is not modelled. */
    void (*notice)(void *context, const char *text);
};

#endif
