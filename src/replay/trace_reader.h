/*
 * Reads a trace from memory (a mapped file). The bytes are untrusted: every
 * length is checked before use, no chunk unpacks to more than
 * TRACE_CHUNK_RAW_BYTES. A trace without index or with an incomplete last
 * chunk is read up to its last whole chunk.
 */
#ifndef REPLAY_TRACE_READER_H
#define REPLAY_TRACE_READER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "replay/outcome.h"
#include "replay/trace.h"
#include "util/error.h"

enum trace_state {
    TRACE_WHOLE,   /* ends with an end record, index and footer */
    TRACE_CUT,     /* clean up to its last whole chunk, then it ends */
    TRACE_DAMAGED, /* a checksum, length or record is wrong */
};

struct trace_reader;

/* Opens `length` bytes, which must outlive the reader. Reads the header and
 * walks the chunk headers; contents are checked as chunks are loaded. A file
 * damaged behind its header opens and is read up to the damage. Returns NULL with
 * ERROR_FORMAT in *code (may be NULL) when there is no whole header. */
struct trace_reader *trace_reader_open(const uint8_t *bytes, uint64_t length, int *code,
                                       struct error *error);
void trace_reader_close(struct trace_reader *reader);

enum trace_level trace_reader_level(const struct trace_reader *reader);
uint64_t trace_reader_digest_every(const struct trace_reader *reader);
/* The machine description's text (for description_decode) and its length. */
const char *trace_reader_description(const struct trace_reader *reader, uint64_t *length);

/* As far as the chunk headers tell; trace_verify tells all. */
enum trace_state trace_reader_state(const struct trace_reader *reader);
/* One line on the damage or cut, "" when whole. */
const char *trace_reader_note(const struct trace_reader *reader);
uint32_t trace_reader_chunks(const struct trace_reader *reader);
/* The position that the last whole chunk reaches. */
struct position trace_reader_end(const struct trace_reader *reader);

/* A place in a trace: the next record. Plain data, valid for any reader of
 * the same bytes. All zero is the first record. */
struct trace_cursor {
    uint32_t chunk;
    uint32_t record;
};

/* A chunk's records: loads and unpacks chunk `number` (kept until the next
 * call). Returns 0, or ERROR_FORMAT. */
struct trace_chunk {
    uint32_t count;
    const struct trace_event *events;
    struct position first, last; /* from its header */
};
int trace_reader_load(struct trace_reader *reader, uint32_t number, struct trace_chunk *chunk,
                      struct error *error);

/* What `trace info` prints. */
struct trace_info {
    enum trace_state state;
    char note[256];              /* "" when whole */
    enum trace_level level;
    uint32_t version;
    uint64_t digest_every;
    uint64_t file_bytes;
    uint64_t description_bytes;
    uint32_t chunks;
    uint64_t records;
    uint64_t raw_bytes;          /* all chunks, unpacked */
    struct position end;         /* last position */
    bool has_outcome;            /* an end record was read */
    struct outcome outcome;
    struct {
        uint64_t records;
        uint64_t packed_bytes;   /* estimate: the kind's share of its chunks */
    } kinds[TRACE_KINDS];
};

/* Reads everything. Returns 0, also for cut traces; ERROR_FORMAT with `info`
 * filled up to the damage. */
int trace_info(struct trace_reader *reader, struct trace_info *info, struct error *error);

/* Checks the file alone: every checksum, length and record, index, footer.
 * Returns its state; `error` holds one line when it is not TRACE_WHOLE. Never
 * needs the files that the trace names. */
enum trace_state trace_verify(const uint8_t *bytes, uint64_t length, struct error *error);

/* Prints every record to `out`: text, or with `json` one object a line.
 * Returns 0 or ERROR_FORMAT at a damaged chunk, ERROR_HOST on a write error. */
int trace_dump(struct trace_reader *reader, FILE *out, bool json, struct error *error);

/* One record as text (no newline) into `text` of `size` bytes. */
void trace_event_text(const struct trace_event *event, char *text, uint64_t size);

#endif
