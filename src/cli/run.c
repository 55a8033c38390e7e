/* groundhog run */
#include <stdlib.h>

#include "cli/command.h"
#include "cli/report.h"
#include "cli/session.h"
#include "host/process.h"
#include "replay/lockstep.h"

static int run(struct options *options, struct session *session,
               struct runner_result *result, struct error *error)
{
    TRY(session_open_files(session, &options->description, error));
    TRY(session_open_door(session, options, true, error));
    bool check = options->runner.engine.kind == ENGINE_CHECK;
    return (check ? lockstep_run : runner_run)(&options->description, &options->runner, &session->door,
                                               result, error);
}

static void report_check(const struct runner_result *result)
{
    char number[REPORT_NUMBER];
    if (result->outcome.kind == OUTCOME_DIVERGED)
        fprintf(stderr, "groundhog: the engines differ\n%s", result->difference ? result->difference : "");
    else
        fprintf(stderr, "groundhog: the engines agree; compared %s times\n",
                report_number(number, result->comparisons));
}

int command_run(int count, char **words)
{
    struct options options;
    struct session session = {0};
    struct runner_result result = {0};
    struct error error = {""};
    if (options_parse(&options, COMMAND_RUN, count, words, &error) < 0)
        return command_fail(&error);
    if (options.help) {
        printf("usage: groundhog run [OPTIONS]\n");
        options_help(stdout, COMMAND_RUN);
        return 0;
    }
    int code = run(&options, &session, &result, &error);
    double seconds = host_seconds() - session.started;
    session_close(&session);
    if (code < 0)
        return command_fail(&error);
    if (!options.quiet)
        report_run("run", &result.outcome, result.end.instructions, result.virtual_ns, seconds);
    if (options.runner.engine.kind == ENGINE_CHECK
        && (!options.quiet || result.outcome.kind == OUTCOME_DIVERGED))
        report_check(&result);
    free(result.difference);
    report_statistics(result.statistics);
    return outcome_exit_status(&result.outcome);
}
