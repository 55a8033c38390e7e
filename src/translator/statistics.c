/* What the translator did, as a text; see translator.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/opcode.h"
#include "translator/internal.h"

#define ROWS_SHOWN 40
#define REPORT_BYTES 8192

struct text {
    char *bytes;
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    size_t room = REPORT_BYTES - text->length;
    int count = vsnprintf(text->bytes + text->length, room, format, arguments);
    text->length += count < 0 ? 0 : (size_t)count < room ? (size_t)count : room - 1;
    va_end(arguments);
}

/* `part` of `whole` in tenths of a percent. */
static void add_share(struct text *text, uint64_t part, uint64_t whole)
{
    uint64_t share = whole ? part * 1000 / whole : 0;
    add(text, "%" PRIu64 " (%" PRIu64 ".%" PRIu64 " %%)", part, share / 10, share % 10);
}

static void add_instructions(struct text *text, const struct translator *t)
{
    const struct translator_statistics *s = &t->statistics;
    uint64_t all = t->engine->instructions;
    add(text, "instructions: %" PRIu64 ", ", all);
    add_share(text, s->instructions, all);
    add(text, " in translated code, ");
    add_share(text, all - s->instructions, all);
    add(text, " by the interpreter\n");
    add(text, "calls from translated code: %" PRIu64 " fallbacks, %" PRIu64 " slow paths of which %" PRIu64
              " loads; %" PRIu64 " page walks in all\n",
        s->fallbacks, s->slow_paths, s->slow_loads, t->engine->walks);
}

static void add_jumps(struct text *text, const struct translator_statistics *s)
{
    add(text, "entered %" PRIu64 " times; left for: budget %" PRIu64 ", no translation %" PRIu64
              ", fault %" PRIu64 ", indirect jump %" PRIu64 ", handler %" PRIu64 "\n",
        s->entries, s->leaves[LEAVE_BUDGET], s->leaves[LEAVE_LINK], s->leaves[LEAVE_FAULT],
        s->leaves[LEAVE_MISS], s->leaves[LEAVE_HANDLER]);
    add(text, "jumps: %" PRIu64 " linked; targets looked for by %" PRIu64 " direct and %" PRIu64
              " indirect ones, found %" PRIu64 ", not there %" PRIu64 "\n",
        s->links, s->lookups[1], s->lookups[0], s->searches, s->lookups[0] + s->lookups[1] - s->searches);
}

static void add_windows(struct text *text, const struct translator *t)
{
    add(text, "windows: %" PRIu32 " places, opened %" PRIu64 " times, %" PRIu64 " places gave up\n",
        t->window_count, t->statistics.windows[0], t->statistics.windows[1]);
}

static void add_memory(struct text *text, const struct translator *t)
{
    add(text, "in use: %" PRIu64 " of %" PRIu64 " KiB of code cache, %" PRIu32 " translations, %" PRIu32
              " jumps, %" PRIu32 " calls, %" PRIu32 " pages, %u kinds; %" PRIu64 " KiB of decoded blocks\n",
        (uint64_t)(t->at - t->write) >> 10, (uint64_t)t->bytes >> 10, t->translation_count, t->edge_count,
        t->site_count, t->page_count, t->kind_count, (uint64_t)(t->engine->young.used + t->engine->old.used) >> 10);
}

/* The row with the most fallbacks below `below`, or opcode_row_count; rows of
 * equal numbers come in table order after `after`. */
static unsigned next_row(const struct translator *translator, uint64_t below, unsigned after)
{
    unsigned best = opcode_row_count;
    uint64_t most = 0;
    for (unsigned row = 0; row < opcode_row_count; row++) {
        uint64_t count = translator_row_fallbacks(translator, row);
        bool left = count < below || (count == below && row > after);
        if (left && count > most) {
            best = row;
            most = count;
        }
    }
    return best;
}

static void add_rows(struct text *text, const struct translator *t)
{
    uint64_t below = UINT64_MAX;
    unsigned row = 0;
    for (unsigned i = 0; i < ROWS_SHOWN; i++) {
        row = next_row(t, below, row);
        if (row == opcode_row_count)
            break;
        below = translator_row_fallbacks(t, row);
        const struct opcode_row *shown = &opcode_rows[row];
        add(text, "  %-12s map %u opcode %02x %12" PRIu64 "\n", shown->name, shown->map, shown->opcode,
            below);
    }
}

char *translator_report(const struct translator *t)
{
    const struct translator_statistics *s = &t->statistics;
    struct text text = { malloc(REPORT_BYTES), 0 };
    if (!text.bytes)
        return NULL;
    uint64_t ratio = s->guest_bytes ? s->host_bytes * 100 / s->guest_bytes : 0;
    add(&text, "translated: %" PRIu64 " blocks, %" PRIu64 " bytes of guest code to %" PRIu64
               " of host code (%" PRIu64 ".%02" PRIu64 " for one), %" PRIu64 " flushes, %" PRIu64
               " stale pages\n",
        s->blocks, s->guest_bytes, s->host_bytes, ratio / 100, ratio % 100, s->flushes, s->stale_pages);
    add_instructions(&text, t);
    add_jumps(&text, s);
    add_windows(&text, t);
    add_memory(&text, t);
    add_rows(&text, t);
    return text.bytes;
}
