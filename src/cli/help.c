/* groundhog help, groundhog version; how errors are printed. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/options.h"
#include "cli/report.h"
#include "replay/outcome.h"
#include "replay/trace.h"

#define VERSION "0.1"

int command_fail(const struct error *error)
{
    char line[sizeof error->text];
    report_printable(line, sizeof line, error->text);
    fprintf(stderr, "groundhog: %s\n", line);
    return OUTCOME_STATUS_ERROR;
}

int command_version(int count, char **words)
{
    (void)count;
    (void)words;
    printf("groundhog %s, machine %s, trace format %u\n", VERSION, DESCRIPTION_MACHINE, TRACE_VERSION);
    return 0;
}

int command_help(int count, char **words)
{
    (void)count;
    (void)words;
    puts("groundhog: a deterministic PC that records its runs and replays them exactly\n"
         "\n"
         "  groundhog run [OPTIONS]             run a machine\n"
         "  groundhog record -o FILE [OPTIONS]  the same, and write its trace\n"
         "  groundhog replay FILE [OPTIONS]     run a trace again and compare\n"
         "  groundhog trace info [--json] FILE  what a trace holds\n"
         "  groundhog trace dump [--json] FILE  every record of it\n"
         "  groundhog trace verify FILE         check the file alone\n"
         "  groundhog version\n"
         "\n"
         "The first serial port is standard input and output; what Groundhog itself says\n"
         "goes to standard error. On a terminal Ctrl-A x ends the run.\n"
         "\n"
         "Exit status: 0 the guest powered off, or reset under -no-reboot; 1 triple fault,\n"
         "a machine that nothing can wake, or an end after a kernel panic; the guest's own\n"
         "with isa-debug-exit; 3 the replay differs from the recording; 124 --max-... is used\n"
         "up; 125 wrong use, or a file or the host failed; 128+N ended by signal N.\n"
         "\n"
         "Options take one dash or two, their value as the next word or after \"=\". Numbers\n"
         "of instructions take k, M, G (1000) and Ki, Mi, Gi (1024).");
    options_help(stdout, ~0u);
    return 0;
}
