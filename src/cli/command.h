/*
 * The subcommands. Each gets the words after its name and returns the exit
 * status of the process. Only this folder prints errors: one line, once.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "util/error.h"

int command_run(int count, char **words);
int command_record(int count, char **words);
int command_replay(int count, char **words);
int command_trace(int count, char **words);
int command_version(int count, char **words);
int command_help(int count, char **words);

/* Prints "groundhog: ..." on standard error and returns 125. */
int command_fail(const struct error *error);

#endif
