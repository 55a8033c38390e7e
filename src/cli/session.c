/* Files and consoles of a run; see session.h. */
#include "cli/session.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpu/cpuid.h"
#include "host/process.h"
#include "host/signals.h"
#include "host/terminal.h"

#define PROGRESS_SECONDS 0.2
#define WAIT_STEP_MS 100 /* a signal between check and wait is seen after this */

/* ---- files ---- */

static int open_file(struct session *session, struct description_file *wanted, const char *path,
                     struct error *error)
{
    struct host_file *file = &session->files[session->file_count];
    TRY(host_file_open(file, wanted->name, path, error));
    session->file_count++;
    return 0;
}

/* Refuses a wrong -cpu early, and tells which features it asks for in vain. */
static int check_cpu(const struct description *description, struct error *error)
{
    struct cpu_model model;
    TRY(cpu_model_parse(&model, description->cpu, description->cpus, error));
    if (model.lacking[0])
        fprintf(stderr, "groundhog: -cpu: not implemented, going on without: %s\n", model.lacking);
    return 0;
}

int session_open_files(struct session *session, struct description *description,
                       struct error *error)
{
    TRY(check_cpu(description, error));
    for (uint32_t i = 0; i < description->file_count; i++) {
        struct description_file *file = &description->files[i];
        if (strcmp(file->name, "bios") == 0 && strcmp(file->path, OPTIONS_BIOS) == 0 &&
            access(file->path, R_OK) < 0)
            return error_set(error, ERROR_FILE,
                             "bios %s: not found; install the package seabios or name a firmware "
                             "with -bios",
                             file->path);
        TRY(open_file(session, file, file->path, error));
        file->bytes = session->files[i].bytes;
        file->size = session->files[i].size;
        memcpy(file->hash, session->files[i].hash, sizeof file->hash);
    }
    return 0;
}

/* Where a file that the trace names is looked for. */
static void recorded_path(const struct options *options, const struct description_file *file,
                          char path[4096])
{
    for (unsigned i = 0; i < options->override_count; i++) {
        if (strcmp(options->overrides[i].name, file->name) == 0) {
            snprintf(path, 4096, "%s", options->overrides[i].path);
            return;
        }
    }
    snprintf(path, 4096, "%s", file->path);
    const char *slash = strrchr(options->trace, '/');
    if (file->path[0] == '/' || access(path, F_OK) == 0 || !slash)
        return;
    char beside[4096];
    int length = snprintf(beside, sizeof beside, "%.*s/%s", (int)(slash - options->trace),
                          options->trace, file->path);
    if (length > 0 && (size_t)length < sizeof beside && access(beside, F_OK) == 0)
        memcpy(path, beside, (size_t)length + 1);
}

static int check_overrides(const struct options *options, struct description *description,
                           struct error *error)
{
    for (unsigned i = 0; i < options->override_count; i++)
        if (!description_find(description, options->overrides[i].name))
            return error_set(error, ERROR_USAGE,
                             "--file %s=%s: the trace names no such file; see trace info",
                             options->overrides[i].name, options->overrides[i].path);
    return 0;
}

int session_open_recorded_files(struct session *session, const struct options *options,
                                struct description *description, struct error *error)
{
    char path[4096];
    TRY(check_overrides(options, description, error));
    for (uint32_t i = 0; i < description->file_count; i++) {
        struct description_file *file = &description->files[i];
        recorded_path(options, file, path);
        if (access(path, R_OK) < 0)
            return error_set(error, ERROR_FILE, "%s %s: not found; say where with --file %s=PATH",
                             file->name, path, file->name);
        TRY(open_file(session, file, path, error));
        const struct host_file *host = &session->files[i];
        if (host->size != file->size || memcmp(host->hash, file->hash, sizeof file->hash) != 0)
            return error_set(error, ERROR_FILE,
                             "%s %s: has changed since the recording; give the old one with "
                             "--file %s=PATH",
                             file->name, path, file->name);
        file->bytes = host->bytes;
    }
    return 0;
}

void session_warn_changed(const struct session *session, const struct description *description)
{
    for (unsigned i = 0; i < session->file_count; i++)
        if (host_file_changed(&session->files[i]))
            fprintf(stderr,
                    "groundhog: %s %s: was written to during the run, which may not replay\n",
                    description->files[i].name, description->files[i].path);
}

/* ---- the door ---- */

void session_clear_progress(struct session *session)
{
    if (session->progress_shown)
        fputs("\r\033[K", stderr);
    session->progress_shown = false;
}

/* Before a line of ours on a terminal that shows the guest's unfinished one. */
static void own_line(struct session *session)
{
    if (session->mid_line)
        fputs("\r\n", stderr);
    session->mid_line = false;
}

static void flush_consoles(struct session *session)
{
    for (unsigned i = 0; i < SESSION_CONSOLES; i++)
        if (session->consoles[i].out_count)
            console_flush(&session->consoles[i]);
}

static void door_output(void *context, unsigned unit, const uint8_t *bytes, uint64_t length)
{
    struct session *session = context;
    if (unit >= SESSION_CONSOLES || !length)
        return;
    if (session->shared_terminal && session->consoles[unit].kind == CONSOLE_STDIO) {
        session_clear_progress(session);
        session->mid_line = bytes[length - 1] != '\n';
    }
    console_write(&session->consoles[unit], bytes, length);
}

static bool take_input(struct session *session, struct door_input *input)
{
    for (unsigned i = 0; i < SESSION_SERIALS; i++) {
        int byte = console_read(&session->consoles[i], false);
        if (byte >= 0) {
            *input = (struct door_input){INPUT_SERIAL, i, (uint8_t)byte};
            return true;
        }
    }
    return false;
}

static bool input_can_come(const struct session *session)
{
    for (unsigned i = 0; i < SESSION_SERIALS; i++)
        if (session->consoles[i].input >= 0 || session->consoles[i].listener >= 0)
            return true;
    return false;
}

static void wait_for_input(struct session *session, uint64_t left_ns)
{
    struct console *list[SESSION_SERIALS];
    for (unsigned i = 0; i < SESSION_SERIALS; i++)
        list[i] = &session->consoles[i];
    uint64_t ms = left_ns / 1000000 + (left_ns % 1000000 != 0);
    console_wait(list, SESSION_SERIALS, ms < WAIT_STEP_MS ? (int)ms : WAIT_STEP_MS);
}

static enum door_poll door_poll(void *context, uint64_t timeout_ns, struct door_input *input,
                                uint64_t *waited_ns)
{
    struct session *session = context;
    *waited_ns = 0;
    flush_consoles(session);
    if (take_input(session, input))
        return DOOR_INPUT;
    if (!input_can_come(session))
        return DOOR_CLOSED;
    if (!timeout_ns)
        return DOOR_NOTHING;
    double start = host_seconds();
    while (*waited_ns < timeout_ns && !signals_stop()) {
        wait_for_input(session, timeout_ns - *waited_ns);
        bool taken = take_input(session, input);
        *waited_ns = (uint64_t)((host_seconds() - start) * 1e9);
        if (taken)
            return DOOR_INPUT;
        if (!input_can_come(session))
            return DOOR_CLOSED;
    }
    return DOOR_NOTHING;
}

static int door_stop_signal(void *context)
{
    (void)context;
    return signals_stop();
}

static void door_progress(void *context, uint64_t instructions, uint64_t virtual_ns)
{
    struct session *session = context;
    flush_consoles(session);
    if (!session->progress)
        return;
    double now = host_seconds();
    if (now - session->progress_at < PROGRESS_SECONDS ||
        (session->shared_terminal && session->mid_line))
        return;
    double host = now - session->started;
    char line[128];
    snprintf(line, sizeof line, "%.1f M instructions, %.3f s virtual, %.1f s host, %.1f MIPS",
             (double)instructions * 1e-6, (double)virtual_ns * 1e-9, host,
             host > 0 ? (double)instructions * 1e-6 / host : 0.0);
    fprintf(stderr, "\r%.*s\033[K", (int)terminal_columns() - 1, line);
    session->progress_at = now;
    session->progress_shown = true;
}

static void door_notice(void *context, const char *text)
{
    struct session *session = context;
    if (session->quiet)
        return;
    flush_consoles(session);
    session_clear_progress(session);
    own_line(session);
    fprintf(stderr, "groundhog: %s%s\n", text, session->shared_terminal ? "\r" : "");
}

/* The console of a unit: as given, or in a replay the first port on stdout. */
static struct console_spec choose_console(const struct options *options, unsigned unit)
{
    struct console_spec spec = {.kind = CONSOLE_NONE};
    if (unit >= SESSION_SERIALS)
        return unit - SESSION_SERIALS < options->debugcon_count
                   ? options->debugcon[unit - SESSION_SERIALS]
                   : spec;
    if (unit < options->serial_count)
        return options->serial[unit];
    if (options->command == COMMAND_REPLAY && options->serial_count == 0 &&
        unit == (unsigned)__builtin_ctz(options->description.serials | 16))
        spec.kind = CONSOLE_STDIO;
    return spec;
}

int session_open_door(struct session *session, struct options *options, bool live,
                      struct error *error)
{
    bool stdio = false;
    signals_install();
    for (unsigned unit = 0; unit < SESSION_CONSOLES; unit++) {
        struct console_spec spec = choose_console(options, unit);
        TRY(console_open(&session->consoles[unit], &spec, live && unit < SESSION_SERIALS, error));
        stdio = stdio || spec.kind == CONSOLE_STDIO;
        if (session->consoles[unit].raw && !options->quiet)
            fputs("groundhog: Ctrl-A x ends the run\r\n", stderr);
    }
    TRY(watch_open(&session->watch, options, error));
    session->quiet = options->quiet;
    session->started = host_seconds();
    session->progress = options->progress && terminal_is_output(STDERR_FILENO);
    session->shared_terminal = stdio && terminal_is_output(STDOUT_FILENO) &&
                               terminal_is_output(STDERR_FILENO);
    session->door = (struct door){
        .context = session,
        .poll = live ? door_poll : NULL,
        .output = door_output,
        .stop_signal = door_stop_signal,
        .progress = door_progress,
        .notice = door_notice,
    };
    return 0;
}

void session_close(struct session *session)
{
    session_clear_progress(session);
    for (unsigned unit = 0; unit < SESSION_CONSOLES; unit++)
        if (session->consoles[unit].kind != CONSOLE_NONE)
            console_close(&session->consoles[unit]);
    own_line(session);
    terminal_restore();
    watch_close(session->watch);
    for (unsigned i = 0; i < session->file_count; i++)
        host_file_close(&session->files[i]);
    session->file_count = 0;
}
