/* Summaries; see report.h. */
#include "cli/report.h"

#include <inttypes.h>
#include <stdlib.h>

#include "host/process.h"

const char *report_number(char text[REPORT_NUMBER], uint64_t number)
{
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%" PRIu64, number), to = 0;
    for (int i = 0; i < count; i++) {
        if (i && (count - i) % 3 == 0)
            text[to++] = ',';
        text[to++] = digits[i];
    }
    text[to] = 0;
    return text;
}

const char *report_printable(char *to, uint64_t size, const char *text)
{
    uint64_t i = 0;
    for (; text[i] && i + 1 < size; i++)
        to[i] = (unsigned char)text[i] < 0x20 || text[i] == 0x7f ? '?' : text[i];
    to[i] = 0;
    return to;
}

void report_run(const char *verb, const struct outcome *outcome, uint64_t instructions,
                uint64_t virtual_ns, double host_seconds)
{
    char number[REPORT_NUMBER];
    fprintf(stderr, "groundhog: %s: %s%s", verb, outcome_text(outcome),
            outcome->panic ? " after a kernel panic" : "");
    if (outcome->kind == OUTCOME_DEBUG_EXIT)
        fprintf(stderr, " with status %" PRIu32, outcome->detail);
    fprintf(stderr, "; %s instructions, %.3f s virtual, %.2f s host, %.1f MIPS, "
            "%" PRIu64 " MiB\n",
            report_number(number, instructions), (double)virtual_ns * 1e-9, host_seconds,
            host_seconds > 0 ? (double)instructions * 1e-6 / host_seconds : 0.0,
            host_peak_memory() >> 20);
}

void report_trace(FILE *to, const char *path, const struct trace_info *info)
{
    char records[REPORT_NUMBER], bytes[REPORT_NUMBER];
    fprintf(to, "groundhog: trace %s: %s bytes, level %s, %s digests\n", path,
            report_number(bytes, info->file_bytes), trace_level_text(info->level),
            report_number(records, info->kinds[TRACE_DIGEST].records +
                                       info->kinds[TRACE_END].records));
    fprintf(to, "  %-14s %14s %14s\n", "kind", "records", "bytes");
    uint64_t accounted = 0;
    for (unsigned kind = 0; kind < TRACE_KINDS; kind++) {
        accounted += info->kinds[kind].packed_bytes;
        if (info->kinds[kind].records)
            fprintf(to, "  %-14s %14s %14s\n", trace_kinds[kind].name,
                    report_number(records, info->kinds[kind].records),
                    report_number(bytes, info->kinds[kind].packed_bytes));
    }
    if (info->file_bytes > accounted)
        fprintf(to, "  %-14s %14s %14s\n", "frame", "",
                report_number(bytes, info->file_bytes - accounted));
}

void report_statistics(char *text)
{
    if (text)
        fputs(text, stderr);
    free(text);
}
