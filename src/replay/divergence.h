/*
 * The report of the first difference between a recording and its replay.
 */
#ifndef REPLAY_DIVERGENCE_H
#define REPLAY_DIVERGENCE_H

#include <stdbool.h>
#include <stdint.h>

#include "replay/trace.h"

#define DIVERGENCE_HISTORY 12

struct divergence {
    bool found;
    struct position at;          /* of the replay */
    char component[24];          /* "ram", "cpu0", "pit", "port 60h" ... */
    int32_t cpu;                 /* vCPU, -1: none */
    uint64_t rip;                /* of that vCPU (of vCPU 0 when cpu is -1) */
    char expected[160];          /* the recorded event */
    char seen[160];              /* what happened instead */
    struct trace_event history[DIVERGENCE_HISTORY]; /* the last events that agreed, oldest first */
    uint32_t history_count;      /* payloads are NULL */
};

/* The report as lines of text into `text` of `size` bytes. */
void divergence_text(const struct divergence *divergence, char *text, uint64_t size);

#endif
