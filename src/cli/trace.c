/* groundhog trace info | dump | verify */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/report.h"
#include "host/file.h"
#include "machine/clock.h"
#include "replay/trace_reader.h"

static const char *state_text(enum trace_state state)
{
    return state == TRACE_WHOLE ? "whole" : state == TRACE_CUT ? "cut" : "damaged";
}

/* A string as a JSON string. */
static void print_json_text(const char *text)
{
    putchar('"');
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c == '"' || *c == '\\')
            printf("\\%c", *c);
        else if (*c < 0x20 || *c > 0x7e)
            printf("\\u%04x", *c);
        else
            putchar(*c);
    }
    putchar('"');
}

static void hash_text(const uint8_t hash[16], char text[33])
{
    for (unsigned i = 0; i < 16; i++)
        sprintf(text + 2 * i, "%02x", hash[i]);
}

static uint64_t end_ns(const struct description *d, const struct trace_info *info)
{
    struct clock clock = {.s = {info->end.instructions, info->end.idle_ns, d->ns_per_instruction}};
    return clock_now(&clock);
}

static void print_info_json(const struct description *d, const struct trace_info *info)
{
    char hash[33];
    printf("{\"state\":\"%s\",\"version\":%" PRIu32 ",\"level\":\"%s\",\"bytes\":%" PRIu64
           ",\"chunks\":%" PRIu32 ",\"records\":%" PRIu64 ",\"digest_every\":%" PRIu64
           ",\"instructions\":%" PRIu64 ",\"virtual_ns\":%" PRIu64,
           state_text(info->state), info->version, trace_level_text(info->level), info->file_bytes,
           info->chunks, info->records, info->digest_every, info->end.instructions,
           end_ns(d, info));
    if (info->has_outcome)
        printf(",\"outcome\":\"%s\",\"panic\":%s", outcome_text(&info->outcome),
               info->outcome.panic ? "true" : "false");
    printf(",\"machine\":\"%s\",\"memory\":%" PRIu64 ",\"cpus\":%" PRIu32 ",\"seed\":%" PRIu64,
           d->machine, d->memory_bytes, d->cpus, d->seed);
    printf(",\"append\":");
    print_json_text(d->append);
    printf(",\"files\":[");
    for (uint32_t i = 0; i < d->file_count; i++) {
        hash_text(d->files[i].hash, hash);
        printf("%s{\"name\":", i ? "," : "");
        print_json_text(d->files[i].name);
        printf(",\"path\":");
        print_json_text(d->files[i].path);
        printf(",\"bytes\":%" PRIu64 ",\"xxh3\":\"%s\"}", d->files[i].size, hash);
    }
    printf("],\"kinds\":{");
    for (unsigned kind = 0, shown = 0; kind < TRACE_KINDS; kind++)
        if (info->kinds[kind].records)
            printf("%s\"%s\":{\"records\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", shown++ ? "," : "",
                   trace_kinds[kind].name, info->kinds[kind].records,
                   info->kinds[kind].packed_bytes);
    printf("}}\n");
}

static void print_info_text(const char *path, const struct description *d,
                            const struct trace_info *info)
{
    char hash[33], number[REPORT_NUMBER], text[DESCRIPTION_COMMAND_LINE];
    printf("trace          %s, %s%s%s\n", path, state_text(info->state),
           info->note[0] ? ": " : "", info->note);
    printf("format         %" PRIu32 ", level %s, %" PRIu32 " chunks\n", info->version,
           trace_level_text(info->level), info->chunks);
    printf("instructions   %s\n", report_number(number, info->end.instructions));
    printf("virtual time   %.9f s\n", (double)end_ns(d, info) * 1e-9);
    if (info->has_outcome)
        printf("outcome        %s%s\n", outcome_text(&info->outcome),
               info->outcome.panic ? " after a kernel panic" : "");
    printf("machine        %s, %" PRIu64 " MiB, %" PRIu32 " CPU, seed %" PRIu64 "\n", d->machine,
           d->memory_bytes >> 20, d->cpus, d->seed);
    if (d->append[0])
        printf("append         %s\n", report_printable(text, sizeof text, d->append));
    for (uint32_t i = 0; i < d->file_count; i++) {
        hash_text(d->files[i].hash, hash);
        printf("file           %s: ", report_printable(text, sizeof text, d->files[i].name));
        printf("%s, %s bytes, XXH3 %s\n", report_printable(text, sizeof text, d->files[i].path),
               report_number(number, d->files[i].size), hash);
    }
    report_trace(stdout, path, info);
}

static int info_command(const struct options *options, struct trace_reader *reader,
                        struct error *error)
{
    struct description description;
    struct trace_info info;
    uint64_t length;
    const char *text = trace_reader_description(reader, &length);
    TRY(description_decode(&description, text, length, error));
    int code = trace_info(reader, &info, error);
    if (options->json)
        print_info_json(&description, &info);
    else
        print_info_text(options->trace, &description, &info);
    return code;
}

static int verify_command(const struct options *options, const struct host_file *file,
                          struct error *error)
{
    switch (trace_verify(file->bytes, file->size, error)) {
    case TRACE_WHOLE:
        printf("%s: whole\n", options->trace);
        return 0;
    case TRACE_CUT:
        printf("%s: cut, clean to its last whole chunk: %s\n", options->trace, error->text);
        return 0;
    case TRACE_DAMAGED:
        break;
    }
    return ERROR_FORMAT;
}

static int open_and_do(const struct options *options, struct host_file *file, struct error *error)
{
    int code = ERROR_FORMAT;
    TRY(host_file_open(file, "trace", options->trace, error));
    if (options->command == COMMAND_TRACE_VERIFY)
        return verify_command(options, file, error);
    struct trace_reader *reader = trace_reader_open(file->bytes, file->size, &code, error);
    if (!reader)
        return code;
    if (options->command == COMMAND_TRACE_DUMP)
        code = trace_dump(reader, stdout, options->json, error);
    else
        code = info_command(options, reader, error);
    trace_reader_close(reader);
    if (code == 0 && fflush(stdout) != 0)
        code = error_set(error, ERROR_HOST, "standard output cannot be written");
    return code;
}

int command_trace(int count, char **words)
{
    static const struct {
        const char *name;
        enum command command;
    } actions[] = {{"info", COMMAND_TRACE_INFO},
                   {"dump", COMMAND_TRACE_DUMP},
                   {"verify", COMMAND_TRACE_VERIFY}};
    struct options options;
    struct host_file file = {0};
    struct error error = {""};
    for (unsigned i = 0; count && i < sizeof actions / sizeof actions[0]; i++) {
        if (strcmp(words[0], actions[i].name) != 0)
            continue;
        if (options_parse(&options, actions[i].command, count - 1, words + 1, &error) < 0)
            return command_fail(&error);
        if (options.help) {
            printf("usage: groundhog trace %s FILE [OPTIONS]\n", actions[i].name);
            options_help(stdout, options.command);
            return 0;
        }
        int code = open_and_do(&options, &file, &error);
        fflush(stdout);
        host_file_close(&file);
        return code < 0 ? command_fail(&error) : 0;
    }
    error_set(&error, ERROR_USAGE, "trace: say what: info FILE, dump [--json] FILE, verify FILE");
    return command_fail(&error);
}
