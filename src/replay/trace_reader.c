/*
 * Reading traces: the frame, recovery of cut files, chunks; see
 * trace_reader.h and docs/trace-format.md. Every field is checked here, so
 * that players and dumpers can trust what they are given.
 */
#include "replay/trace_reader.h"

#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "replay/trace_file.h"
#include "util/bits.h"

#define NO_CHUNK UINT32_MAX

struct trace_reader {
    const uint8_t *bytes;
    uint64_t length;
    struct trace_file_header header;
    enum trace_state state;
    struct error note;
    struct codec_buffer index; /* struct trace_index_entry of each whole chunk */
    uint32_t chunks;
    struct position end;

    /* The chunk that is unpacked. */
    uint32_t loaded;
    struct trace_chunk_header chunk;
    uint8_t *raw;
    uint64_t raw_capacity;
    struct trace_event *events;
    uint32_t events_capacity;
    struct codec_model *model;
    struct codec_decoded decoded;
};

/* ---- the frame ---- */

static int read_header(struct trace_reader *reader, struct error *error)
{
    struct trace_file_header *header = &reader->header;
    uint64_t have = reader->length < 8 ? reader->length : 8;
    if (have == 0)
        return error_set(error, ERROR_FORMAT, "the trace is empty");
    if (memcmp(reader->bytes, TRACE_FILE_MAGIC, have) != 0)
        return error_set(error, ERROR_FORMAT, "this is not a Groundhog trace");
    if (reader->length < sizeof *header)
        return error_set(error, ERROR_FORMAT, "the trace is cut within its header");
    memcpy(header, reader->bytes, sizeof *header);
    if (header->version != TRACE_VERSION)
        return error_set(error, ERROR_FORMAT, "trace version %u is not known (this reads %u)",
                         header->version, TRACE_VERSION);
    if (header->checksum != trace_file_checksum(header, 40) || header->zero ||
        header->level > TRACE_LEVEL_FULL ||
        header->description_length > TRACE_DESCRIPTION_BYTES)
        return error_set(error, ERROR_FORMAT, "the trace's header is damaged");
    if (header->description_length > reader->length - sizeof *header)
        return error_set(error, ERROR_FORMAT, "the trace is cut within its header");
    if (header->description_checksum !=
        trace_file_checksum(reader->bytes + sizeof *header, header->description_length))
        return error_set(error, ERROR_FORMAT, "the trace's machine description is damaged");
    return 0;
}

static void note(struct trace_reader *reader, enum trace_state state, const char *what,
                 uint64_t offset)
{
    reader->state = state;
    if (state == TRACE_CUT)
        error_set(&reader->note, 0, "cut %s: clean up to chunk %u, instruction %llu", what,
                  reader->chunks, (unsigned long long)reader->end.instructions);
    else
        error_set(&reader->note, 0, "damaged at offset %llu (%s), behind chunk %u",
                  (unsigned long long)offset, what, reader->chunks);
}

/* Whether the header of chunk `number` at `bytes` is sound by itself. */
static bool chunk_header_fits(const struct trace_reader *reader,
                              const struct trace_chunk_header *chunk)
{
    return chunk->checksum == trace_file_checksum(chunk, 64) &&
           chunk->number == reader->chunks && chunk->zero == 0 &&
           chunk->raw_length <= TRACE_CHUNK_RAW_BYTES && chunk->packed_length > 0 &&
           chunk->records > 0 && chunk->records <= TRACE_CHUNK_RECORDS &&
           position_equal(chunk->first, reader->end) &&
           chunk->last.instructions >= chunk->first.instructions &&
           chunk->last.idle_ns >= chunk->first.idle_ns;
}

/* Index and footer, or a part of them, at `offset`. */
static int check_tail(struct trace_reader *reader, uint64_t offset)
{
    uint64_t remaining = reader->length - offset;
    struct codec_buffer tail = {0};
    if (trace_file_tail((const struct trace_index_entry *)reader->index.bytes, reader->chunks,
                        offset, &tail) < 0) {
        free(tail.bytes);
        return ERROR_MEMORY;
    }
    uint64_t have = remaining < tail.length ? remaining : tail.length;
    if (memcmp(reader->bytes + offset, tail.bytes, have) != 0 || remaining > tail.length)
        note(reader, TRACE_DAMAGED, "index or footer", offset);
    else if (remaining < tail.length)
        note(reader, TRACE_CUT, "within its index", offset);
    else
        reader->state = TRACE_WHOLE;
    free(tail.bytes);
    return 0;
}

/* One step of the walk: true when a whole chunk lies at *offset. */
static bool walk_chunk(struct trace_reader *reader, uint64_t *offset, int *code)
{
    struct trace_chunk_header chunk = {0};
    uint64_t remaining = reader->length - *offset;
    uint64_t have = remaining < sizeof chunk ? remaining : sizeof chunk;
    memcpy(&chunk, reader->bytes + *offset, have);
    uint64_t magic = have < 4 ? have : 4;
    if (have == 0) {
        note(reader, TRACE_CUT, "without an end", *offset);
    } else if (memcmp(chunk.magic, TRACE_INDEX_MAGIC, magic) == 0) {
        *code = check_tail(reader, *offset);
    } else if (memcmp(chunk.magic, TRACE_CHUNK_MAGIC, magic) != 0) {
        note(reader, TRACE_DAMAGED, "no chunk begins there", *offset);
    } else if (have < sizeof chunk) {
        note(reader, TRACE_CUT, "within a chunk", *offset);
    } else if (!chunk_header_fits(reader, &chunk)) {
        note(reader, TRACE_DAMAGED, "chunk header", *offset);
    } else if (chunk.packed_length > remaining - sizeof chunk) {
        note(reader, TRACE_CUT, "within a chunk", *offset);
    } else {
        struct trace_index_entry entry = {*offset, chunk.last};
        if (!codec_buffer_append(&reader->index, &entry, sizeof entry)) {
            *code = ERROR_MEMORY;
            return false;
        }
        reader->chunks++;
        reader->end = chunk.last;
        *offset += sizeof chunk + chunk.packed_length;
        return true;
    }
    return false;
}

struct trace_reader *trace_reader_open(const uint8_t *bytes, uint64_t length, int *code,
                                       struct error *error)
{
    int status = ERROR_MEMORY;
    struct trace_reader *reader = calloc(1, sizeof *reader);
    if (reader) {
        reader->bytes = bytes;
        reader->length = length;
        reader->loaded = NO_CHUNK;
        status = read_header(reader, error);
    }
    if (status == 0) {
        uint64_t offset = sizeof reader->header + reader->header.description_length;
        while (walk_chunk(reader, &offset, &status))
            ;
    }
    if (code)
        *code = status;
    if (status == 0)
        return reader;
    if (status == ERROR_MEMORY)
        error_set(error, status, "no memory to read the trace");
    trace_reader_close(reader);
    return NULL;
}

void trace_reader_close(struct trace_reader *reader)
{
    if (!reader)
        return;
    free(reader->index.bytes);
    free(reader->raw);
    free(reader->events);
    free(reader->model);
    free(reader);
}

/* ---- what the frame tells ---- */

enum trace_level trace_reader_level(const struct trace_reader *reader)
{
    return (enum trace_level)reader->header.level;
}

uint64_t trace_reader_digest_every(const struct trace_reader *reader)
{
    return reader->header.digest_every;
}

const char *trace_reader_description(const struct trace_reader *reader, uint64_t *length)
{
    *length = reader->header.description_length;
    return (const char *)reader->bytes + sizeof reader->header;
}

enum trace_state trace_reader_state(const struct trace_reader *reader)
{
    return reader->state;
}

const char *trace_reader_note(const struct trace_reader *reader)
{
    return reader->note.text;
}

uint32_t trace_reader_chunks(const struct trace_reader *reader)
{
    return reader->chunks;
}

struct position trace_reader_end(const struct trace_reader *reader)
{
    return reader->end;
}

/* ---- chunks ---- */

static int make_room(struct trace_reader *reader, const struct trace_chunk_header *chunk)
{
    if (reader->raw_capacity < chunk->raw_length || !reader->raw) {
        free(reader->raw);
        reader->raw_capacity = chunk->raw_length + 1ull;
        reader->raw = malloc(reader->raw_capacity);
    }
    if (reader->events_capacity < chunk->records) {
        free(reader->events);
        reader->events_capacity = chunk->records;
        reader->events = calloc(chunk->records, sizeof *reader->events);
    }
    if (!reader->model)
        reader->model = calloc(1, sizeof *reader->model);
    if (reader->raw && reader->events && reader->model)
        return 0;
    free(reader->raw);
    free(reader->events);
    reader->raw = NULL;
    reader->events = NULL;
    reader->raw_capacity = reader->events_capacity = 0;
    return ERROR_MEMORY;
}

static int unpack(struct trace_reader *reader, const struct trace_chunk_header *chunk,
                  const uint8_t *packed)
{
    uint64_t length = chunk->packed_length;
    if (trace_file_checksum(packed, length) != chunk->packed_checksum ||
        ZSTD_getFrameContentSize(packed, length) != chunk->raw_length ||
        ZSTD_findFrameCompressedSize(packed, length) != length)
        return ERROR_FORMAT;
    size_t raw = ZSTD_decompress(reader->raw, chunk->raw_length, packed, length);
    return ZSTD_isError(raw) || raw != chunk->raw_length ? ERROR_FORMAT : 0;
}

/* An end record is the last record of a trace and nowhere else. */
static bool end_in_place(const struct trace_reader *reader, uint32_t number, uint32_t records)
{
    for (uint32_t i = 0; i < records; i++) {
        if (reader->events[i].kind == TRACE_END &&
            (i + 1 != records || number + 1 != reader->chunks))
            return false;
    }
    return true;
}

int trace_reader_load(struct trace_reader *reader, uint32_t number, struct trace_chunk *chunk,
                      struct error *error)
{
    if (number >= reader->chunks)
        return error_set(error, ERROR_FORMAT, "the trace has no chunk %u", number);
    struct trace_chunk_header *header = &reader->chunk;
    if (reader->loaded != number) {
        const struct trace_index_entry *entries =
            (const struct trace_index_entry *)reader->index.bytes;
        const uint8_t *bytes = reader->bytes + entries[number].offset;
        struct error reason = {{0}};
        reader->loaded = NO_CHUNK;
        memcpy(header, bytes, sizeof *header);
        if (make_room(reader, header) < 0)
            return error_set(error, ERROR_MEMORY, "no memory to read the trace");
        if (unpack(reader, header, bytes + sizeof *header) < 0)
            return error_set(error, ERROR_FORMAT, "chunk %u of the trace is damaged", number);
        if (codec_decode(reader->model, reader->raw, header->raw_length, header->records,
                         header->first, header->last, trace_reader_level(reader), reader->events,
                         &reader->decoded, &reason) < 0)
            return error_set(error, ERROR_FORMAT, "chunk %u of the trace is damaged: %s", number,
                             reason.text);
        if (!end_in_place(reader, number, header->records))
            return error_set(error, ERROR_FORMAT,
                             "chunk %u of the trace is damaged: records follow its end", number);
        reader->loaded = number;
    }
    *chunk = (struct trace_chunk){header->records, reader->events, header->first, header->last};
    return 0;
}

/* ---- whole traces ---- */

static void info_begin(const struct trace_reader *reader, struct trace_info *info)
{
    memset(info, 0, sizeof *info);
    info->state = reader->state;
    memcpy(info->note, reader->note.text, sizeof info->note - 1);
    info->level = trace_reader_level(reader);
    info->version = reader->header.version;
    info->digest_every = reader->header.digest_every;
    info->file_bytes = reader->length;
    info->description_bytes = reader->header.description_length;
}

static void info_add(const struct trace_reader *reader, struct trace_info *info)
{
    const struct trace_chunk_header *chunk = &reader->chunk;
    const uint64_t *bytes = reader->decoded.kind_bytes;
    /* Hashes do not compress, the rest does: a guess at the shares. */
    uint64_t weights[TRACE_KINDS], sum = 0;
    for (unsigned kind = 0; kind < TRACE_KINDS; kind++) {
        weights[kind] = bytes[kind] * (kind == TRACE_DIGEST || kind == TRACE_END ? 3 : 1);
        sum += weights[kind];
    }
    for (unsigned kind = 0; kind < TRACE_KINDS; kind++) {
        info->kinds[kind].records += reader->decoded.kind_records[kind];
        info->kinds[kind].packed_bytes += weights[kind] * chunk->packed_length / sum;
    }
    info->chunks++;
    info->records += chunk->records;
    info->raw_bytes += chunk->raw_length;
    info->end = chunk->last;
    const struct trace_event *last = &reader->events[chunk->records - 1];
    if (last->kind == TRACE_END) {
        info->has_outcome = true;
        info->outcome = outcome_of_end(last);
    }
}

int trace_info(struct trace_reader *reader, struct trace_info *info, struct error *error)
{
    struct trace_chunk chunk;
    info_begin(reader, info);
    for (uint32_t i = 0; i < reader->chunks; i++) {
        int code = trace_reader_load(reader, i, &chunk, error);
        if (code < 0) {
            info->state = TRACE_DAMAGED;
            if (error)
                memcpy(info->note, error->text, sizeof info->note - 1);
            return code;
        }
        info_add(reader, info);
    }
    if (info->state == TRACE_WHOLE && !info->has_outcome)
        info->state = TRACE_DAMAGED;
    if (info->state == TRACE_DAMAGED)
        return error_set(error, ERROR_FORMAT, "the trace is %s",
                         info->note[0] ? info->note : "damaged: it is closed without an end");
    return 0;
}

enum trace_state trace_verify(const uint8_t *bytes, uint64_t length, struct error *error)
{
    struct trace_info info;
    struct trace_reader *reader = trace_reader_open(bytes, length, NULL, error);
    if (!reader)
        return TRACE_DAMAGED;
    enum trace_state state = TRACE_DAMAGED;
    if (trace_info(reader, &info, error) == 0) {
        state = info.state;
        if (state == TRACE_CUT)
            error_set(error, 0, "the trace is %s", info.note);
    }
    trace_reader_close(reader);
    return state;
}
