/* Help for the trace tests: a sink in memory, made-up events, a small trace. */
#ifndef TESTS_TRACE_BENCH_H
#define TESTS_TRACE_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay/trace_reader.h"
#include "replay/trace_writer.h"

struct memory_sink {
    uint8_t *bytes;
    uint64_t length;
    uint64_t room;  /* ERROR_SPACE beyond it */
    unsigned calls;
};

static inline int memory_write(void *context, const void *bytes, uint64_t length,
                               struct error *error)
{
    struct memory_sink *sink = context;
    sink->calls++;
    if (length > sink->room - sink->length)
        return error_set(error, ERROR_SPACE, "no room left");
    sink->bytes = realloc(sink->bytes, sink->length + length + 1);
    memcpy(sink->bytes + sink->length, bytes, length);
    sink->length += length;
    return 0;
}

static inline uint32_t number(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)*seed * below >> 32);
}

#define BENCH_PAYLOAD 300
static const uint8_t bench_payload[BENCH_PAYLOAD] = {1, 2, 3, 0xAA};

/* The next of a made-up run: mostly repeated polls, now and then anything. */
static inline struct trace_event made_up_event(uint32_t *seed, struct position *at)
{
    struct trace_event event = {0};
    at->instructions += number(seed, 4) ? 7 : number(seed, 1000);
    event.at = *at;
    switch (number(seed, 16)) {
    case 0:
        event.kind = TRACE_SERIAL;
        event.address = number(seed, 4);
        event.value = number(seed, 256);
        break;
    case 1:
        event.kind = TRACE_MMIO_READ;
        event.cpu = (uint8_t)number(seed, 4);
        event.bytes = 4;
        event.address = 0xFEE00000u + number(seed, 64) * 16;
        event.value = (uint64_t)number(seed, 1u << 31) << number(seed, 33);
        break;
    case 2:
        event.kind = TRACE_IDLE;
        event.value = 1 + number(seed, 1000000);
        at->idle_ns += event.value;
        break;
    case 3:
        event.kind = TRACE_DMA_DATA;
        event.address = number(seed, 1u << 30);
        event.bytes = number(seed, BENCH_PAYLOAD + 1);
        event.payload = bench_payload;
        break;
    case 4:
        event.kind = TRACE_INTERRUPT;
        event.value = 0xEC;
        break;
    default:
        event.kind = TRACE_PORT_READ;
        event.bytes = 1;
        event.address = 0x3FD;
        event.value = number(seed, 8) ? 0x60 : 0x61;
    }
    return event;
}

static const char bench_description[] = "machine=pc-1\nmemory_bytes=1048576\n";

static inline struct trace_writer *bench_writer(struct memory_sink *sink, enum trace_level level)
{
    struct trace_sink trace_sink = {sink, memory_write};
    struct trace_writer_options options = {level, 1u << 20, bench_description,
                                           sizeof bench_description - 1};
    int code = 0;
    struct error error;
    if (!sink->room)
        sink->room = UINT64_MAX;
    struct trace_writer *writer = trace_writer_create(&trace_sink, &options, &code, &error);
    assert_non_null(writer);
    return writer;
}

static inline struct trace_event bench_end(struct position at)
{
    return (struct trace_event){
        .at = at,
        .kind = TRACE_END,
        .address = OUTCOME_POWER_OFF,
        .bytes = 12,
        .payload = bench_payload,
    };
}

/* `count` made-up events and an end, in chunks of at most `every` records. */
static inline void bench_trace(struct memory_sink *sink, uint32_t count, uint32_t every)
{
    uint32_t seed = 1;
    struct position at = {0, 0};
    struct trace_writer *writer = bench_writer(sink, TRACE_LEVEL_FULL);
    for (uint32_t i = 0; i < count; i++) {
        struct trace_event event = made_up_event(&seed, &at);
        trace_writer_add(writer, &event);
        if (i % every == every - 1) {
            at.instructions += 1u << 29; /* long enough to close the chunk */
            trace_writer_advance(writer, at);
        }
    }
    struct trace_event end = bench_end(at);
    trace_writer_add(writer, &end);
    assert_int_equal(trace_writer_finish(writer, at, NULL), 0);
    assert_int_equal(trace_writer_bytes(writer), sink->length);
    trace_writer_destroy(writer);
}

#endif
