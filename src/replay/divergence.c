/* The text of a divergence; see divergence.h. */
#include "replay/divergence.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

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

void divergence_text(const struct divergence *divergence, char *bytes, uint64_t size)
{
    struct text text = {bytes, size, 0};
    if (size)
        bytes[0] = 0;
    if (!divergence->found)
        return;
    add(&text, "divergence at instruction %" PRIu64 " (idle %" PRIu64 " ns) in %s",
        divergence->at.instructions, divergence->at.idle_ns, divergence->component);
    if (divergence->cpu >= 0)
        add(&text, ", vCPU %d", divergence->cpu);
    add(&text, ", RIP 0x%" PRIx64 "\n", divergence->rip);
    add(&text, "  recorded: %s\n  replayed: %s\n", divergence->expected, divergence->seen);
    if (divergence->history_count)
        add(&text, "  events before it:\n");
    for (uint32_t i = 0; i < divergence->history_count; i++) {
        char event[160];
        trace_event_text(&divergence->history[i], event, sizeof event);
        add(&text, "    %" PRIu64 " %s\n", divergence->history[i].at.instructions, event);
    }
}
