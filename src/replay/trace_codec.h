/*
 * Records to the raw bytes of a chunk and back: the streams and predictions of
 * docs/trace-format.md, "Records". Knows nothing of files and compression.
 */
#ifndef REPLAY_TRACE_CODEC_H
#define REPLAY_TRACE_CODEC_H

#include <stdint.h>

#include "replay/trace.h"
#include "util/error.h"

#define CODEC_TABLE_BITS 14
#define CODEC_TABLE (1u << CODEC_TABLE_BITS)
#define CODEC_SOURCES (1u << 16) /* a writer closes the chunk before there are more */
#define CODEC_SOURCE_MAP (1u << 17)

enum codec_stream {
    STREAM_CONTROL,
    STREAM_SOURCES,
    STREAM_DEFINITIONS,
    STREAM_COUNTS,
    STREAM_IDLES,
    STREAM_VALUES,
    STREAM_PAYLOADS,
    STREAMS
};

struct codec_source {
    uint64_t address;
    uint64_t last_value;
    uint32_t bytes;
    uint8_t kind;
    uint8_t cpu;
};

/* What encoder and decoder both know after the same records. */
struct codec_model {
    uint32_t source_table[CODEC_TABLE];
    uint64_t count_table[CODEC_TABLE];
    uint64_t value_table[CODEC_TABLE];
    uint32_t s1, s2, s3;
    uint64_t c1;
    struct position at; /* where the next record's differences start */
    uint64_t defined_address;
    uint32_t source_count;
    struct codec_source sources[CODEC_SOURCES];
};

struct codec_buffer {
    uint8_t *bytes;
    uint64_t length, capacity;
};

struct codec_encoder {
    struct codec_model model;
    uint32_t map[CODEC_SOURCE_MAP]; /* hash of a source to its number + 1 */
    struct codec_buffer streams[STREAMS];
    uint64_t run;     /* records since the last flag byte */
    uint32_t records;
    bool no_memory;
};

/* Both are large: allocated, never on a stack. NULL: no memory. */
struct codec_encoder *codec_encoder_create(void);
void codec_encoder_destroy(struct codec_encoder *encoder);
/* Begins a chunk whose first position is `first`. */
void codec_encoder_start(struct codec_encoder *encoder, struct position first);
void codec_encoder_add(struct codec_encoder *encoder, const struct trace_event *event);
/* Bytes collected so far. */
uint64_t codec_encoder_size(const struct codec_encoder *encoder);
/* The chunk's raw bytes into `raw` (emptied first). Returns 0 or ERROR_MEMORY. */
int codec_encoder_finish(struct codec_encoder *encoder, struct codec_buffer *raw);

struct codec_decoded {
    uint64_t kind_records[TRACE_KINDS];
    uint64_t kind_bytes[TRACE_KINDS];
};

/* Decodes untrusted `raw` into `count` events, all within first..last and of
 * kinds that `level` holds; payloads point into `raw`. `model` is scratch.
 * Returns 0 or ERROR_FORMAT. */
int codec_decode(struct codec_model *model, const uint8_t *raw, uint64_t length, uint32_t count,
                 struct position first, struct position last, enum trace_level level,
                 struct trace_event *events, struct codec_decoded *decoded, struct error *error);

/* Appends to a buffer; false without memory. */
bool codec_buffer_append(struct codec_buffer *buffer, const void *bytes, uint64_t length);
bool codec_buffer_varint(struct codec_buffer *buffer, uint64_t value);
/* Reads a varint at *offset of `length` bytes; false when it is cut or too long. */
bool codec_varint(const uint8_t *bytes, uint64_t length, uint64_t *offset, uint64_t *value);

#endif
