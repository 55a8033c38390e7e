/* groundhog record */
#include "cli/command.h"
#include "cli/report.h"
#include "cli/session.h"
#include "host/output.h"
#include "host/process.h"

static int write_output(void *context, const void *bytes, uint64_t length, struct error *error)
{
    return host_output_write(context, bytes, length, error);
}

static int record(struct options *options, struct session *session, struct host_output *output,
                  struct runner_result *result, struct error *error)
{
    TRY(session_open_files(session, &options->description, error));
    TRY(host_output_open(output, options->output, session->files, session->file_count, error));
    TRY(session_open_door(session, options, true, error));
    struct trace_sink sink = {output, write_output};
    TRY(recorder_run(&options->description, &options->runner, &session->door, &sink, result,
                     error));
    return host_output_close(output, error);
}

/* Reads the trace back for its sizes by kind; no error of the run if it fails. */
static void report_written(const char *path)
{
    struct host_file file;
    struct trace_info info;
    if (host_file_open(&file, "trace", path, NULL) < 0)
        return;
    struct trace_reader *reader = trace_reader_open(file.bytes, file.size, NULL, NULL);
    if (reader && trace_info(reader, &info, NULL) == 0)
        report_trace(stderr, path, &info);
    trace_reader_close(reader);
    host_file_close(&file);
}

int command_record(int count, char **words)
{
    struct options options;
    struct session session = {0};
    struct host_output output = {.descriptor = -1};
    struct runner_result result = {0};
    struct error error = {""};
    if (options_parse(&options, COMMAND_RECORD, count, words, &error) < 0)
        return command_fail(&error);
    if (options.help) {
        printf("usage: groundhog record -o FILE [OPTIONS]\n");
        options_help(stdout, COMMAND_RECORD);
        return 0;
    }
    int code = record(&options, &session, &output, &result, &error);
    double seconds = host_seconds() - session.started;
    session_clear_progress(&session);
    if (code == 0)
        session_warn_changed(&session, &options.description);
    session_close(&session);
    if (code < 0) {
        host_output_close(&output, NULL);
        return command_fail(&error);
    }
    if (!options.quiet) {
        report_run("record", &result.outcome, result.end.instructions, result.virtual_ns, seconds);
        report_written(options.output);
    }
    report_statistics(result.statistics);
    return outcome_exit_status(&result.outcome);
}
