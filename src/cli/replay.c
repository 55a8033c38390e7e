/* groundhog replay */
#include <inttypes.h>

#include "cli/command.h"
#include "cli/debugger.h"
#include "cli/report.h"
#include "cli/session.h"
#include "host/process.h"
#include "replay/player.h"

/* What a replay holds open. */
struct replay {
    struct options options;
    struct session session;
    struct host_file file;
    struct trace_reader *reader;
    struct player *player;
};

static int prepare(struct replay *replay, struct error *error)
{
    struct options *options = &replay->options;
    uint64_t length;
    TRY(host_file_open(&replay->file, "trace", options->trace, error));
    int code = ERROR_FORMAT;
    replay->reader = trace_reader_open(replay->file.bytes, replay->file.size, &code, error);
    if (!replay->reader)
        return code;
    const char *text = trace_reader_description(replay->reader, &length);
    TRY(description_decode(&options->description, text, length, error));
    TRY(session_open_recorded_files(&replay->session, options, &options->description, error));
    TRY(session_open_door(&replay->session, options, false, error));
    struct player_options player_options = {
        .engine = options->runner.engine,
        .isolated = options->isolated,
        .checkpoints = options->gdb,
    };
    replay->player = player_create(replay->reader, &options->description, &player_options,
                                   &replay->session.door, error);
    return replay->player ? 0 : ERROR_HOST;
}

static int diverged(struct player *player)
{
    char text[8192];
    divergence_text(player_divergence(player), text, sizeof text);
    fprintf(stderr, "groundhog: the replay differs from the recording\n%s%s", text,
            text[0] ? "" : "\n");
    return OUTCOME_STATUS_DIVERGED;
}

static void report(struct replay *replay, double seconds)
{
    struct player_result result;
    char number[REPORT_NUMBER];
    player_result(replay->player, &result);
    report_run("replay", &result.outcome, result.end.instructions, result.virtual_ns, seconds);
    fprintf(stderr, "groundhog: digests equal: %" PRIu64 " of %" PRIu64 "; %s events compared\n",
            result.digests, result.digests, report_number(number, result.events));
}

/* The trace ends without its end, or is damaged: what that means. */
static void note_state(const struct replay *replay)
{
    if (trace_reader_state(replay->reader) != TRACE_WHOLE)
        fprintf(stderr, "groundhog: trace %s: %s; replayed to there\n", replay->options.trace,
                trace_reader_note(replay->reader));
}

static int finish(struct replay *replay, enum player_stop stop, double seconds,
                  const struct error *error)
{
    struct player_result result;
    session_clear_progress(&replay->session);
    player_result(replay->player, &result);
    report_statistics(machine_statistics(player_machine(replay->player)));
    switch (stop) {
    case PLAYER_ERROR:
        return command_fail(error);
    case PLAYER_DIVERGED:
        return diverged(replay->player);
    case PLAYER_SIGNAL:
        return 128 + replay->session.door.stop_signal(replay->session.door.context);
    case PLAYER_AT_TARGET:
    case PLAYER_DEBUG:
        if (!replay->options.quiet)
            report(replay, seconds);
        return OUTCOME_STATUS_BUDGET;
    case PLAYER_END:
        break;
    }
    note_state(replay);
    if (!replay->options.quiet)
        report(replay, seconds);
    if (trace_reader_state(replay->reader) == TRACE_DAMAGED)
        return OUTCOME_STATUS_ERROR;
    return outcome_replay_status(&result.outcome);
}

static int debug(struct replay *replay, struct error *error)
{
    const struct options *options = &replay->options;
    const struct door *door = &replay->session.door;
    if (debugger_serve(replay->player, options->gdb_address, options->quiet, error) < 0)
        return command_fail(error);
    int signal = door->stop_signal ? door->stop_signal(door->context) : 0;
    return signal ? 128 + signal : 0;
}

static int play(struct replay *replay, struct error *error)
{
    const struct options *options = &replay->options;
    if (options->gdb)
        return debug(replay, error);
    uint64_t limit = options->runner.max_instructions;
    double start = host_seconds();
    enum player_stop stop = limit ? player_run_to(replay->player, limit, error)
                                  : player_run(replay->player, error);
    for (unsigned unit = 0; unit < SESSION_CONSOLES; unit++)
        console_flush(&replay->session.consoles[unit]);
    return finish(replay, stop, host_seconds() - start, error);
}

int command_replay(int count, char **words)
{
    struct replay replay = {0};
    struct error error = {""};
    if (options_parse(&replay.options, COMMAND_REPLAY, count, words, &error) < 0)
        return command_fail(&error);
    if (replay.options.help) {
        printf("usage: groundhog replay FILE [OPTIONS]\n");
        options_help(stdout, COMMAND_REPLAY);
        return 0;
    }
    int status;
    if (prepare(&replay, &error) < 0)
        status = command_fail(&error);
    else
        status = play(&replay, &error);
    player_destroy(replay.player);
    trace_reader_close(replay.reader);
    session_close(&replay.session);
    host_file_close(&replay.file);
    return status;
}
