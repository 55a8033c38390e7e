/* Finds the subcommand. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"

static const struct {
    const char *name;
    int (*run)(int count, char **words);
} commands[] = {
    {"run", command_run},         {"record", command_record}, {"replay", command_replay},
    {"trace", command_trace},     {"version", command_version}, {"help", command_help},
    {"--version", command_version}, {"--help", command_help}, {"-h", command_help},
};

int main(int count, char **words)
{
    struct error error;
    if (count < 2) {
        error_set(&error, ERROR_USAGE, "name a command: run, record, replay, trace; see help");
        return command_fail(&error);
    }
    for (unsigned i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(words[1], commands[i].name) == 0)
            return commands[i].run(count - 2, words + 2);
    error_set(&error, ERROR_USAGE, "%s: there is no such command; use run, record, replay, trace",
              words[1]);
    return command_fail(&error);
}
