/*
 * The registry of state: every part of the machine whose bytes are digested,
 * saved in checkpoints and restored from them. RAM is not in it (memory has
 * its own, incremental form); all else is.
 *
 * A state struct is plain data: fixed-width fields, no pointers, padding made
 * explicit and zero. It *is* the snapshot section and what is digested.
 */
#ifndef MACHINE_COMPONENT_H
#define MACHINE_COMPONENT_H

#include <stdint.h>

#define COMPONENTS_MAXIMUM 192

struct component {
    char name[24];        /* unique: "cpu0", "pit", "serial0", "ide0" */
    void *state;          /* the plain data */
    uint32_t size;        /* bytes, fixed for a machine description */
    /* Brings derived data and deadlines in line with a state that was just
     * written from outside. May be NULL. */
    void (*restored)(void *device);
    /* Brings `state` up to date before it is read. May be NULL. */
    void (*prepare)(void *device);
    void *device;
};

struct components {
    struct component list[COMPONENTS_MAXIMUM];
    unsigned count;
};

/* Registers a component; the order of registration is the order of sections. */
/* `number` is appended to the name; COMPONENT_SINGLE appends nothing. */
#define COMPONENT_SINGLE UINT32_MAX
void components_add(struct components *components, const char *name, unsigned number,
                    void *state, uint32_t size, void (*restored)(void *device), void *device);

#endif
