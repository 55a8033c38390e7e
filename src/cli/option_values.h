/*
 * What each option with a value of its own kind does with it. `option` is the
 * option as the user wrote it, for messages.
 */
#ifndef CLI_OPTION_VALUES_H
#define CLI_OPTION_VALUES_H

#include "cli/options.h"

typedef int option_set(struct options *options, const char *option, const char *value,
                       struct error *error);

#define SECTION(title)
#define FLAG(name, commands, member, help)
#define NUMBER(name, argument, commands, member, least, most, help)
#define VALUE(name, argument, commands, function, help) option_set set_##function;
#define OPTIONAL(name, argument, commands, function, help) option_set set_##function;
#define ACCEPTED(name, values, commands)
#include "cli/options.def"

/* Adds a file of the machine under a role ("kernel"); its content is read
 * later. Returns its index or ERROR_USAGE. */
int option_add_file(struct options *options, const char *role, const char *option,
                    const char *path, struct error *error);

#endif
