/* Shared pieces of the trace file's frame; see trace_file.h. */
#include "replay/trace_file.h"

#include <xxhash.h>

#include "util/error.h"

uint64_t trace_file_checksum(const void *bytes, uint64_t length)
{
    return XXH3_64bits(bytes, length);
}

int trace_file_tail(const struct trace_index_entry *entries, uint32_t count, uint64_t offset,
                    struct codec_buffer *tail)
{
    tail->length = 0;
    bool fine = codec_buffer_append(tail, TRACE_INDEX_MAGIC, 4) &&
                codec_buffer_append(tail, &count, 4) &&
                codec_buffer_append(tail, entries, (uint64_t)count * sizeof *entries);
    if (!fine)
        return ERROR_MEMORY;
    uint64_t checksum = trace_file_checksum(tail->bytes, tail->length);
    if (!codec_buffer_append(tail, &checksum, 8))
        return ERROR_MEMORY;
    uint64_t footer[3] = {offset, offset + tail->length + 32, 0};
    footer[2] = trace_file_checksum(footer, 16);
    if (!codec_buffer_append(tail, footer, 24) ||
        !codec_buffer_append(tail, TRACE_FOOTER_MAGIC, 8))
        return ERROR_MEMORY;
    return 0;
}
