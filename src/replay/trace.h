/*
 * What trace files hold: kinds of record, log levels, positions. The format
 * is described in docs/trace-format.md.
 */
#ifndef REPLAY_TRACE_H
#define REPLAY_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/hooks.h"

#define TRACE_VERSION 1u

/* Limits that both writer and reader hold to. */
#define TRACE_DESCRIPTION_BYTES (256u << 10) /* machine description text */
#define TRACE_CHUNK_RAW_BYTES (16u << 20)    /* a chunk, unpacked */
#define TRACE_CHUNK_RECORDS (1u << 18)       /* records in a chunk */
#define TRACE_PAYLOAD_BYTES (1u << 20)       /* of one record */

/* Stored in traces: numbers are fixed. Each level holds the ones before. */
enum trace_level {
    TRACE_LEVEL_INPUTS = 0, /* inputs, digests, end */
    TRACE_LEVEL_EVENTS = 1, /* and what the vCPUs see of the devices, and idle time */
    TRACE_LEVEL_FULL = 2,   /* and DMA payloads */
};

enum trace_kind {
#define EVENT(kind, name, level, cpu, address, bytes, value, payload) TRACE_##kind,
#include "replay/events.def"
#undef EVENT
    TRACE_KINDS
};

/* In the outcome slot of an end record: a panic was seen. */
#define TRACE_END_PANIC 0x100u

/* A moment of a run. Virtual time grows strictly along a run, so positions
 * compare as it does. */
struct position {
    uint64_t instructions;
    uint64_t idle_ns;
};

struct trace_event {
    struct position at;
    uint8_t kind;           /* enum trace_kind */
    uint8_t cpu;
    uint32_t bytes;
    uint64_t address;
    uint64_t value;
    const uint8_t *payload; /* `bytes` of it; owned by the reader's chunk */
};

/* One row of events.def. */
struct trace_kind_info {
    const char *name;
    enum trace_level level;
    bool cpu;
    const char *address, *bytes, *value; /* labels, NULL: slot unused (0) */
    bool payload;
};
extern const struct trace_kind_info trace_kinds[TRACE_KINDS];

static inline bool trace_is_input(unsigned kind)
{
    return kind >= TRACE_SERIAL && kind <= TRACE_NMI;
}

/* "inputs", "events", "full"; -1 when `text` is none of them. */
const char *trace_level_text(enum trace_level level);
int trace_level_parse(const char *text);

/* The trace kinds of the machine's own enumerations. */
enum trace_kind trace_kind_of_input(enum input_kind kind);
enum input_kind trace_input_of_kind(enum trace_kind kind);
enum trace_kind trace_kind_of_observation(enum observation kind);
enum trace_kind trace_kind_of_signal(enum cpu_signal signal);

/* Fills bytes and value or payload (not owned) of a DMA record of at most the
 * first TRACE_PAYLOAD_BYTES of `length` bytes, as `level` holds it. */
void trace_event_dma(struct trace_event *event, enum trace_level level, const uint8_t *bytes,
                     uint64_t length);

static inline struct position position_of_clock(const struct clock *clock)
{
    return (struct position){clock->s.instructions, clock->s.idle_ns};
}

static inline bool position_equal(struct position a, struct position b)
{
    return a.instructions == b.instructions && a.idle_ns == b.idle_ns;
}

#endif
