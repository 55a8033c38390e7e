/*
 * The frame of a trace file: fixed structures of docs/trace-format.md that
 * writer and reader share.
 */
#ifndef REPLAY_TRACE_FILE_H
#define REPLAY_TRACE_FILE_H

#include <stdint.h>

#include "replay/trace.h"
#include "replay/trace_codec.h"

#define TRACE_FILE_MAGIC "\x89GHOG\r\n\x1a"
#define TRACE_CHUNK_MAGIC "CHNK"
#define TRACE_INDEX_MAGIC "INDX"
#define TRACE_FOOTER_MAGIC "GHOGEND\n"

struct trace_file_header {
    uint8_t magic[8];
    uint32_t version;
    uint32_t level;
    uint64_t digest_every;
    uint32_t description_length;
    uint32_t zero;
    uint64_t description_checksum;
    uint64_t checksum; /* of the bytes before it */
};
_Static_assert(sizeof(struct trace_file_header) == 48, "stored form");

struct trace_chunk_header {
    uint8_t magic[4];
    uint32_t number;
    uint32_t packed_length;
    uint32_t raw_length;
    uint32_t records;
    uint32_t zero;
    struct position first, last;
    uint64_t packed_checksum;
    uint64_t checksum; /* of the bytes before it */
};
_Static_assert(sizeof(struct trace_chunk_header) == 72, "stored form");

struct trace_index_entry {
    uint64_t offset; /* of the chunk header in the file */
    struct position last;
};
_Static_assert(sizeof(struct trace_index_entry) == 24, "stored form");

/* Index and footer of a file whose chunks are `entries` and end at file
 * offset `offset`, into `tail` (emptied first). Returns 0 or ERROR_MEMORY. */
int trace_file_tail(const struct trace_index_entry *entries, uint32_t count, uint64_t offset,
                    struct codec_buffer *tail);

uint64_t trace_file_checksum(const void *bytes, uint64_t length);

#endif
