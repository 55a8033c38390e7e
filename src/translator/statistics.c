/* What the translator did, as a text; see translator.h. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/opcode.h"
#include "translator/translator.h"

#define ROWS_SHOWN 40
#define REPORT_BYTES 8192

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

char *translator_report(const struct translator *translator)
{
    const struct translator_statistics *s = translator_statistics(translator);
    char *text = malloc(REPORT_BYTES);
    if (!text)
        return NULL;
    int at = snprintf(text, REPORT_BYTES,
                      "translated: %" PRIu64 " blocks, %" PRIu64 " bytes of guest code to %" PRIu64
                      " of host code, %" PRIu64 " flushes\n"
                      "entered %" PRIu64 " times; %" PRIu64 " jumps linked, %" PRIu64 " found; %" PRIu64
                      " slow paths, %" PRIu64 " fallbacks\n",
                      s->blocks, s->guest_bytes, s->host_bytes, s->flushes, s->entries, s->links,
                      s->searches, s->slow_paths, s->fallbacks);
    at += snprintf(text + at, (size_t)(REPORT_BYTES - at),
                   "left for: budget %" PRIu64 ", no translation %" PRIu64 ", fault %" PRIu64
                   ", indirect jump %" PRIu64 ", handler %" PRIu64 "\n",
                   s->leaves[1], s->leaves[2], s->leaves[3], s->leaves[4], s->leaves[5]);
    uint64_t below = UINT64_MAX;
    unsigned row = 0;
    for (unsigned i = 0; i < ROWS_SHOWN; i++) {
        row = next_row(translator, below, row);
        if (row == opcode_row_count)
            break;
        below = translator_row_fallbacks(translator, row);
        const struct opcode_row *shown = &opcode_rows[row];
        at += snprintf(text + at, (size_t)(REPORT_BYTES - at), "  %-12s map %u opcode %02x %12" PRIu64 "\n",
                       shown->name, shown->map, shown->opcode, below);
    }
    return text;
}
