/*
 * What a run, a recording and a replay need of the host: the machine's files
 * and the door to consoles, signals and the progress line.
 */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/options.h"
#include "cli/watch.h"
#include "host/console.h"
#include "host/file.h"
#include "replay/door.h"

#define SESSION_SERIALS 4
#define SESSION_DEBUGCONS 2
#define SESSION_CONSOLES (SESSION_SERIALS + SESSION_DEBUGCONS)

struct session {
    struct host_file files[DESCRIPTION_FILES];
    unsigned file_count;
    struct console consoles[SESSION_CONSOLES]; /* by output unit of door.h */
    struct door door;
    struct watch *watch;     /* of translated code; NULL: none */
    double started;          /* host seconds */
    bool quiet;              /* no notices */
    bool progress;
    bool progress_shown;
    bool mid_line;           /* the guest's cursor is not at the start of a line */
    bool shared_terminal;    /* console and progress line are on one terminal */
    double progress_at;
};

/* Opens the files of `description` and fills in size, hash and bytes. */
int session_open_files(struct session *session, struct description *description,
                       struct error *error);

/*
 * Opens the files that a trace names, each at its --file path, at its stored
 * path, or (a relative one) beside the trace. Refuses content with another
 * hash than `description` has.
 */
int session_open_recorded_files(struct session *session, const struct options *options,
                                struct description *description, struct error *error);

/* Opens the consoles and what -d and --perf-map write, and fills in session->door and
 * options->runner.engine.watch. `live`: inputs are taken. */
int session_open_door(struct session *session, struct options *options, bool live,
                      struct error *error);

/* Wipes out the progress line; before anything else is printed. */
void session_clear_progress(struct session *session);

/* One line for each file that was written to during the run. */
void session_warn_changed(const struct session *session, const struct description *description);

void session_close(struct session *session);

#endif
