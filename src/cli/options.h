/*
 * The command line: one table (options.def) of which the parser, the checks
 * and the help are made. Options parse into the machine description, which a
 * trace stores, and into what only this process needs.
 *
 * An option may be written with one dash or two, its value as the next word
 * or after "=".
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "host/console.h"
#include "machine/description.h"
#include "replay/runner.h"
#include "util/error.h"

#define OPTIONS_BIOS "/usr/share/seabios/bios-256k.bin"

/* Which subcommands know an option: bits. */
enum command {
    COMMAND_RUN = 1,
    COMMAND_RECORD = 2,
    COMMAND_REPLAY = 4,
    COMMAND_TRACE_INFO = 8,
    COMMAND_TRACE_DUMP = 16,
    COMMAND_TRACE_VERIFY = 32,
};

#define OPTIONS_CHARDEVS 8
#define OPTIONS_OVERRIDES DESCRIPTION_FILES

struct chardev {
    char id[64];
    struct console_spec spec;
};

struct file_override {
    char name[64];
    const char *path; /* into argv */
};

struct options {
    enum command command;
    struct description description;

    /* The host side of ports. */
    struct console_spec serial[4];
    char serial_chardev[4][64]; /* id to look up once all is read */
    bool serial_none[4];        /* the port does not exist */
    unsigned serial_count;      /* given with -serial */
    struct console_spec debugcon[2];
    char debugcon_chardev[2][64];
    unsigned debugcon_count;
    struct chardev chardevs[OPTIONS_CHARDEVS];
    unsigned chardev_count;

    /* This process. */
    const char *output;     /* record -o */
    const char *trace;      /* the file named without an option */
    struct runner_options runner;
    unsigned code_listing;  /* LISTING_GUEST | LISTING_HOST */
    const char *code_file;  /* NULL: standard error */
    bool perf_map;
    bool quiet;
    bool progress;
    bool isolated;
    bool json;
    bool gdb;
    char gdb_address[256];
    struct file_override overrides[OPTIONS_OVERRIDES];
    unsigned override_count;
    bool help;
};

/*
 * Parses the words after the subcommand. Returns 0 or ERROR_USAGE with a line
 * that names the option and the mend. Strings are kept by reference. The struct
 * is large: keep it off small stacks.
 */
int options_parse(struct options *options, enum command command, int count, char **words,
                  struct error *error);

/* Prints the options of `commands`, by section. */
void options_help(FILE *to, unsigned commands);

#endif
