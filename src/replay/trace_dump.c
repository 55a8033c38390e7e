/* Records as text and JSON; both follow from events.def. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "replay/trace_reader.h"

struct text {
    char *bytes;
    uint64_t size, length;
};

static void add(struct text *text, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    if (text->length >= text->size)
        return;
    va_start(arguments, format);
    int n = vsnprintf(text->bytes + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    if (n > 0)
        text->length += (uint64_t)n;
}

#define PAYLOAD_SHOWN 24

static void add_event(struct text *text, const struct trace_event *event)
{
    const struct trace_kind_info *kind = &trace_kinds[event->kind];
    add(text, "%s", kind->name);
    if (kind->cpu)
        add(text, " cpu=%u", event->cpu);
    if (kind->address)
        add(text, " %s=0x%" PRIx64, kind->address, event->address);
    if (kind->bytes)
        add(text, " %s=%u", kind->bytes, event->bytes);
    if (kind->value)
        add(text, " %s=0x%" PRIx64, kind->value, event->value);
    if (kind->payload && event->payload) {
        uint32_t shown = event->bytes < PAYLOAD_SHOWN ? event->bytes : PAYLOAD_SHOWN;
        add(text, " payload=");
        for (uint32_t i = 0; i < shown; i++)
            add(text, "%02x", event->payload[i]);
        if (shown < event->bytes)
            add(text, "...");
    }
}

void trace_event_text(const struct trace_event *event, char *bytes, uint64_t size)
{
    struct text text = {bytes, size, 0};
    if (size)
        bytes[0] = 0;
    add_event(&text, event);
}

static void dump_text(FILE *out, const struct trace_event *event)
{
    char line[256];
    trace_event_text(event, line, sizeof line);
    fprintf(out, "%" PRIu64 "+%" PRIu64 " %s\n", event->at.instructions, event->at.idle_ns, line);
}

static void dump_json(FILE *out, const struct trace_event *event)
{
    const struct trace_kind_info *kind = &trace_kinds[event->kind];
    fprintf(out, "{\"instructions\":%" PRIu64 ",\"idle_ns\":%" PRIu64 ",\"kind\":\"%s\"",
            event->at.instructions, event->at.idle_ns, kind->name);
    if (kind->cpu)
        fprintf(out, ",\"cpu\":%u", event->cpu);
    if (kind->address)
        fprintf(out, ",\"%s\":%" PRIu64, kind->address, event->address);
    if (kind->bytes)
        fprintf(out, ",\"%s\":%u", kind->bytes, event->bytes);
    if (kind->value)
        fprintf(out, ",\"%s\":%" PRIu64, kind->value, event->value);
    if (kind->payload) {
        fprintf(out, ",\"payload\":\"");
        for (uint32_t i = 0; i < event->bytes; i++)
            fprintf(out, "%02x", event->payload[i]);
        fprintf(out, "\"");
    }
    fprintf(out, "}\n");
}

int trace_dump(struct trace_reader *reader, FILE *out, bool json, struct error *error)
{
    for (uint32_t i = 0; i < trace_reader_chunks(reader); i++) {
        struct trace_chunk chunk;
        TRY(trace_reader_load(reader, i, &chunk, error));
        for (uint32_t k = 0; k < chunk.count; k++) {
            if (json)
                dump_json(out, &chunk.events[k]);
            else
                dump_text(out, &chunk.events[k]);
        }
        if (ferror(out))
            return error_set(error, ERROR_HOST, "cannot write the dump");
    }
    return 0;
}
