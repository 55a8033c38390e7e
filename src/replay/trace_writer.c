/*
 * The trace file as it grows; see trace_writer.h and docs/trace-format.md.
 *
 * A chunk is closed when its records are many or large, or when it spans many
 * instructions or much idle time: all functions of the run, so that two
 * recordings of the same run are equal byte for byte.
 */
#include "replay/trace_writer.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "replay/trace_file.h"
#include "util/assert.h"
#include "util/bits.h"

#define LEVEL_OF_COMPRESSION 19
#define CHUNK_BYTES (2u << 20)              /* closed when it holds so many, unpacked */
#define CHUNK_INSTRUCTIONS (256ull << 20)   /* or spans so many; the first ones fewer */
#define CHUNK_IDLE_NS (300 * NS_PER_SECOND) /* or so much idle time */
#define CHUNK_INPUT_IDLE_NS NS_PER_SECOND   /* or so much and holds an input */

_Static_assert(CHUNK_BYTES + 2 * TRACE_PAYLOAD_BYTES < TRACE_CHUNK_RAW_BYTES, "fits");

struct trace_writer {
    struct trace_sink sink;
    struct codec_encoder *encoder;
    ZSTD_CCtx *compressor;
    struct codec_buffer raw, packed, index;
    struct position first; /* of the chunk under way: where the one before ended */
    struct position span;  /* where its records began, for closing it in time */
    bool has_input;        /* the chunk under way holds one */
    uint32_t chunks;
    uint64_t written;
    int status;
    struct error error;
};

static void writer_write(struct trace_writer *writer, const void *bytes, uint64_t length)
{
    if (writer->status < 0)
        return;
    writer->status = writer->sink.write(writer->sink.context, bytes, length, &writer->error);
    if (writer->status >= 0)
        writer->written += length;
}

static void writer_no_memory(struct trace_writer *writer)
{
    if (writer->status >= 0)
        writer->status = error_set(&writer->error, ERROR_MEMORY, "no memory for the trace");
}

static void write_header(struct trace_writer *writer, const struct trace_writer_options *options)
{
    struct trace_file_header header = {
        .version = TRACE_VERSION,
        .level = options->level,
        .digest_every = options->digest_every,
        .description_length = (uint32_t)options->description_length,
        .description_checksum =
            trace_file_checksum(options->description, options->description_length),
    };
    memcpy(header.magic, TRACE_FILE_MAGIC, 8);
    header.checksum = trace_file_checksum(&header, 40);
    struct codec_buffer *raw = &writer->raw;
    raw->length = 0;
    if (!codec_buffer_append(raw, &header, sizeof header) ||
        !codec_buffer_append(raw, options->description, options->description_length)) {
        writer_no_memory(writer);
        return;
    }
    writer_write(writer, raw->bytes, raw->length);
}

struct trace_writer *trace_writer_create(const struct trace_sink *sink,
                                         const struct trace_writer_options *options, int *code,
                                         struct error *error)
{
    ASSERT(options->description_length <= TRACE_DESCRIPTION_BYTES);
    struct trace_writer *writer = calloc(1, sizeof *writer);
    if (writer) {
        writer->sink = *sink;
        writer->encoder = codec_encoder_create();
        writer->compressor = ZSTD_createCCtx();
    }
    if (!writer || !writer->encoder || !writer->compressor) {
        trace_writer_destroy(writer);
        *code = error_set(error, ERROR_MEMORY, "no memory for the trace");
        return NULL;
    }
    ZSTD_CCtx_setParameter(writer->compressor, ZSTD_c_compressionLevel, LEVEL_OF_COMPRESSION);
    codec_encoder_start(writer->encoder, writer->first);
    write_header(writer, options);
    *code = trace_writer_status(writer, error);
    if (*code < 0) {
        trace_writer_destroy(writer);
        return NULL;
    }
    return writer;
}

void trace_writer_destroy(struct trace_writer *writer)
{
    if (!writer)
        return;
    codec_encoder_destroy(writer->encoder);
    ZSTD_freeCCtx(writer->compressor);
    free(writer->raw.bytes);
    free(writer->packed.bytes);
    free(writer->index.bytes);
    free(writer);
}

/* Room for the header and the packed form of raw, which is packed into it.
 * Returns the packed length, 0 on failure. */
static uint64_t pack(struct trace_writer *writer)
{
    struct codec_buffer *packed = &writer->packed;
    uint64_t room = sizeof(struct trace_chunk_header) + ZSTD_compressBound(writer->raw.length);
    if (packed->capacity < room) {
        free(packed->bytes);
        packed->bytes = malloc(room);
        packed->capacity = packed->bytes ? room : 0;
    }
    if (!packed->bytes)
        return 0;
    size_t length = ZSTD_compress2(
        writer->compressor, packed->bytes + sizeof(struct trace_chunk_header),
        packed->capacity - sizeof(struct trace_chunk_header), writer->raw.bytes,
        writer->raw.length);
    return ZSTD_isError(length) ? 0 : length;
}

static void close_chunk(struct trace_writer *writer, struct position last)
{
    struct codec_encoder *encoder = writer->encoder;
    if (!encoder->records)
        return;
    if (writer->status >= 0) {
        struct trace_chunk_header header = {
            .number = writer->chunks,
            .records = encoder->records,
            .first = writer->first,
            .last = last,
        };
        memcpy(header.magic, TRACE_CHUNK_MAGIC, 4);
        struct trace_index_entry entry = {writer->written, last};
        uint64_t length = 0;
        if (codec_encoder_finish(encoder, &writer->raw) == 0 &&
            codec_buffer_append(&writer->index, &entry, sizeof entry))
            length = pack(writer);
        if (length) {
            header.raw_length = (uint32_t)writer->raw.length;
            header.packed_length = (uint32_t)length;
            header.packed_checksum =
                trace_file_checksum(writer->packed.bytes + sizeof header, length);
            header.checksum = trace_file_checksum(&header, 64);
            memcpy(writer->packed.bytes, &header, sizeof header);
            writer_write(writer, writer->packed.bytes, sizeof header + length);
            writer->chunks++;
        } else {
            writer_no_memory(writer);
        }
    }
    writer->first = last;
    writer->span = last;
    writer->has_input = false;
    codec_encoder_start(encoder, last);
}

void trace_writer_add(struct trace_writer *writer, const struct trace_event *event)
{
    struct codec_encoder *encoder = writer->encoder;
    if (unlikely(writer->status < 0))
        return;
    ASSERT(event->at.instructions >= encoder->model.at.instructions &&
           event->at.idle_ns >= encoder->model.at.idle_ns);
    codec_encoder_add(encoder, event);
    writer->has_input |= trace_is_input(event->kind);
    if (unlikely(encoder->records >= TRACE_CHUNK_RECORDS ||
                 encoder->model.source_count >= CODEC_SOURCES ||
                 ((encoder->records & 63) == 0 && codec_encoder_size(encoder) >= CHUNK_BYTES) ||
                 (event->payload && event->bytes > CHUNK_BYTES / 64)))
        close_chunk(writer, encoder->model.at);
}

void trace_writer_advance(struct trace_writer *writer, struct position at)
{
    if (!writer->encoder->records) {
        writer->span = at;
        return;
    }
    uint64_t instructions = at.instructions - writer->span.instructions;
    uint64_t idle = at.idle_ns - writer->span.idle_ns;
    uint64_t limit = CHUNK_INSTRUCTIONS >> (writer->chunks < 4 ? 4 - writer->chunks : 0);
    if (instructions >= limit || idle >= CHUNK_IDLE_NS ||
        (writer->has_input && idle >= CHUNK_INPUT_IDLE_NS))
        close_chunk(writer, at);
}

int trace_writer_status(const struct trace_writer *writer, struct error *error)
{
    if (writer->status < 0 && error)
        *error = writer->error;
    return writer->status;
}

int trace_writer_finish(struct trace_writer *writer, struct position at, struct error *error)
{
    close_chunk(writer, at);
    if (trace_file_tail((const struct trace_index_entry *)writer->index.bytes, writer->chunks,
                        writer->written, &writer->raw) < 0)
        writer_no_memory(writer);
    else
        writer_write(writer, writer->raw.bytes, writer->raw.length);
    return trace_writer_status(writer, error);
}

uint64_t trace_writer_bytes(const struct trace_writer *writer)
{
    return writer->written;
}
