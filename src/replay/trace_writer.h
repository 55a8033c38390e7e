/*
 * Writes a trace as the run goes. Records are encoded into memory; a chunk is
 * compressed and handed to the sink with one call when it is full, so that a
 * killed recorder loses at most the chunk under way. What is written depends
 * on the records and their positions alone, never on host time.
 */
#ifndef REPLAY_TRACE_WRITER_H
#define REPLAY_TRACE_WRITER_H

#include <stdint.h>

#include "replay/trace.h"
#include "util/error.h"

/* Where the bytes go. `write` appends all `length` bytes or fails: it returns
 * 0, ERROR_SPACE when there is no room, or ERROR_HOST, with `error` set. */
struct trace_sink {
    void *context;
    int (*write)(void *context, const void *bytes, uint64_t length, struct error *error);
};

struct trace_writer;

struct trace_writer_options {
    enum trace_level level;
    uint64_t digest_every;   /* for the header; 0: at the end only */
    const char *description; /* description_encode's text */
    uint64_t description_length;
};

/* Writes the file header. Returns NULL with *code and `error` set on failure. */
struct trace_writer *trace_writer_create(const struct trace_sink *sink,
                                         const struct trace_writer_options *options, int *code,
                                         struct error *error);
/* Frees; writes nothing. */
void trace_writer_destroy(struct trace_writer *writer);

/* Appends a record; event->at must not lie before the last one's. After the
 * first failure of the sink the writer drops everything; see
 * trace_writer_status. Cost: some ten ns, a compression once a chunk. */
void trace_writer_add(struct trace_writer *writer, const struct trace_event *event);

/* Tells the position reached, so that a chunk that spans many instructions or
 * much idle time is closed. `at` must be a function of the run alone. */
void trace_writer_advance(struct trace_writer *writer, struct position at);

/* 0, or the first error of the sink (with `error` filled). */
int trace_writer_status(const struct trace_writer *writer, struct error *error);

/* Closes the last chunk, writes index and footer. Returns trace_writer_status. */
int trace_writer_finish(struct trace_writer *writer, struct position at, struct error *error);

/* Bytes handed to the sink so far. */
uint64_t trace_writer_bytes(const struct trace_writer *writer);

#endif
