/* The option table, its parser and its help; see options.h. */
#include "cli/options.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cli/option_values.h"
#include "cli/parse.h"
#include "util/bits.h"

enum kind { KIND_SECTION, KIND_FLAG, KIND_NUMBER, KIND_VALUE, KIND_OPTIONAL, KIND_ACCEPTED };

struct option {
    enum kind kind;
    unsigned commands;
    const char *name;     /* with its dashes; or the section's title */
    const char *argument; /* shown in help; ACCEPTED: the one value, or "" */
    const char *help;
    size_t offset;        /* FLAG, NUMBER: into struct options */
    uint64_t least, most;
    option_set *set;
};

static const struct option table[] = {
#define SECTION(title) {.kind = KIND_SECTION, .name = title},
#define FLAG(name_, commands_, member, help_)                                                      \
    {.kind = KIND_FLAG, .commands = commands_, .name = name_, .help = help_,                       \
     .offset = offsetof(struct options, member)},
#define NUMBER(name_, argument_, commands_, member, least_, most_, help_)                          \
    {.kind = KIND_NUMBER, .commands = commands_, .name = name_, .argument = argument_,             \
     .help = help_, .offset = offsetof(struct options, member), .least = least_, .most = most_},
#define VALUE(name_, argument_, commands_, function, help_)                                        \
    {.kind = KIND_VALUE, .commands = commands_, .name = name_, .argument = argument_,              \
     .help = help_, .set = set_##function},
#define OPTIONAL(name_, argument_, commands_, function, help_)                                     \
    {.kind = KIND_OPTIONAL, .commands = commands_, .name = name_, .argument = argument_,           \
     .help = help_, .set = set_##function},
#define ACCEPTED(name_, value, commands_)                                                          \
    {.kind = KIND_ACCEPTED, .commands = commands_, .name = name_, .argument = value},
#include "cli/options.def"
};

static const char *without_dashes(const char *word)
{
    return word + 1 + (word[1] == '-');
}

/* The option named by the `length` bytes at `name`, which has no dashes. */
static const struct option *find(const char *name, size_t length, unsigned commands)
{
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        if (table[i].kind == KIND_SECTION || !(table[i].commands & commands))
            continue;
        const char *known = without_dashes(table[i].name);
        if (strlen(known) == length && memcmp(known, name, length) == 0)
            return &table[i];
    }
    return NULL;
}

static int set_number(struct options *options, const struct option *option, const char *shown,
                      const char *value, struct error *error)
{
    uint64_t number;
    if (!parse_count(value, &number) || number < option->least || number > option->most) {
        if (option->most == UINT64_MAX)
            return error_set(error, ERROR_USAGE,
                             "%s %s: give a number from %" PRIu64 ", as in 500000, 20M or 16Mi",
                             shown, value, option->least);
        return error_set(error, ERROR_USAGE, "%s %s: give a number from %" PRIu64 " to %" PRIu64,
                         shown, value, option->least, option->most);
    }
    memcpy((char *)options + option->offset, &number, sizeof number);
    return 0;
}

/* Whether a word can be the value of an option that may do without one. */
static bool looks_like_address(const char *word)
{
    return strchr(word, ':') || (word[0] && strspn(word, "0123456789") == strlen(word));
}

static int apply(struct options *options, const struct option *option, const char *shown,
                 const char *value, struct error *error)
{
    switch (option->kind) {
    case KIND_FLAG:
        *(bool *)((char *)options + option->offset) = true;
        return 0;
    case KIND_NUMBER:
        return set_number(options, option, shown, value, error);
    case KIND_VALUE:
    case KIND_OPTIONAL:
        return option->set(options, shown, value, error);
    case KIND_ACCEPTED:
        if (option->argument[0] && strcmp(value, option->argument) != 0)
            return error_set(error, ERROR_USAGE, "%s %s: only \"%s %s\" is supported", shown, value,
                             shown, option->argument);
        return 0;
    case KIND_SECTION:
        break;
    }
    return 0;
}

static int unknown_option(const char *word, size_t length, struct error *error)
{
    if (find(without_dashes(word), length, ~0u))
        return error_set(error, ERROR_USAGE, "%s: is not an option of this command; see --help",
                         word);
    return error_set(error, ERROR_USAGE, "%s: there is no such option; see --help", word);
}

/* One option, words[0], and perhaps its value. Returns the words used. */
static int parse_option(struct options *options, int count, char **words, struct error *error)
{
    const char *word = words[0];
    const char *name = without_dashes(word);
    const char *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    if (strcmp(name, "help") == 0 || strcmp(word, "-h") == 0) {
        options->help = true;
        return 1;
    }
    const struct option *option = find(name, length, options->command);
    if (!option)
        return unknown_option(word, length, error);
    char shown[64];
    snprintf(shown, sizeof shown, "%.*s", (int)(name - word + (ptrdiff_t)length), word);
    bool takes_value = option->kind != KIND_FLAG &&
                       !(option->kind == KIND_ACCEPTED && !option->argument[0]);
    if (equals && !takes_value)
        return error_set(error, ERROR_USAGE, "%s: takes no value", shown);
    const char *value = equals ? equals + 1 : NULL;
    int used = 1;
    if (!value && takes_value && count > 1 &&
        (option->kind != KIND_OPTIONAL || looks_like_address(words[1]))) {
        value = words[1];
        used = 2;
    }
    if (!value && takes_value && option->kind != KIND_OPTIONAL)
        return error_set(error, ERROR_USAGE, "%s: a value is missing (%s)", shown,
                         option->argument);
    TRY(apply(options, option, shown, value, error));
    return used;
}

static int find_chardev(const struct options *options, const char *id, struct console_spec *spec,
                        struct error *error)
{
    for (unsigned i = 0; i < options->chardev_count; i++) {
        if (strcmp(options->chardevs[i].id, id) == 0) {
            *spec = options->chardevs[i].spec;
            return 0;
        }
    }
    return error_set(error, ERROR_USAGE, "chardev %s: is not defined; add -chardev ...,id=%s", id,
                     id);
}

/* Standard input feeds one port only; output of several may share it. */
static int finish_consoles(struct options *options, struct error *error)
{
    struct description *d = &options->description;
    unsigned readers = 0;
    if (options->serial_count == 0) {
        options->serial[0].kind = CONSOLE_STDIO;
        options->serial_count = 1;
    }
    d->serials = 0;
    for (unsigned i = 0; i < options->serial_count; i++) {
        if (options->serial_chardev[i][0])
            TRY(find_chardev(options, options->serial_chardev[i], &options->serial[i], error));
        if (!options->serial_none[i])
            d->serials |= 1u << i;
        readers += options->serial[i].kind == CONSOLE_STDIO;
    }
    if (readers > 1)
        return error_set(error, ERROR_USAGE,
                         "-serial stdio: only one serial port can have standard input");
    for (unsigned i = 0; i < options->debugcon_count; i++)
        if (options->debugcon_chardev[i][0])
            TRY(find_chardev(options, options->debugcon_chardev[i], &options->debugcon[i], error));
    if (options->debugcon_count == 2 && d->debugcons[0] == d->debugcons[1])
        return error_set(error, ERROR_USAGE, "two debug consoles have the same port");
    return 0;
}

static int finish_machine(struct options *options, struct error *error)
{
    struct description *d = &options->description;
    TRY(finish_consoles(options, error));
    if (d->kernel < 0 && (d->initrd >= 0 || d->modules[0].file >= 0))
        return error_set(error, ERROR_USAGE, "-initrd: needs -kernel");
    if (d->kernel < 0 && d->append[0])
        return error_set(error, ERROR_USAGE, "-append: needs -kernel");
    if (d->bios < 0) {
        int file = option_add_file(options, "bios", "-bios", OPTIONS_BIOS, error);
        TRY(file);
        d->bios = file;
    }
    return 0;
}

/* In a replay -serial says only where a port's output is shown. */
static int finish_replay(const struct options *options, struct error *error)
{
    for (unsigned i = 0; i < options->serial_count; i++)
        if (options->serial_chardev[i][0])
            return error_set(error, ERROR_USAGE,
                             "-serial chardev: is not for replay; use file:PATH or unix:PATH");
    return 0;
}

static int finish(struct options *options, struct error *error)
{
    unsigned with_trace = ~(unsigned)(COMMAND_RUN | COMMAND_RECORD);
    if (options->command == COMMAND_RECORD && !options->output)
        return error_set(error, ERROR_USAGE, "record: name the trace with -o FILE");
    if (options->command & with_trace && !options->trace)
        return error_set(error, ERROR_USAGE, "name a trace file");
    if (options->isolated && options->gdb)
        return error_set(error, ERROR_USAGE, "--isolated and --gdb: use one of them");
    if (options->command & (COMMAND_RUN | COMMAND_RECORD))
        return finish_machine(options, error);
    return finish_replay(options, error);
}

int options_parse(struct options *options, enum command command, int count, char **words,
                  struct error *error)
{
    memset(options, 0, sizeof *options);
    options->command = command;
    description_init(&options->description);
    runner_options_init(&options->runner);
    for (int at = 0; at < count;) {
        const char *word = words[at];
        if (word[0] == '-' && word[1]) {
            int used = parse_option(options, count - at, words + at, error);
            TRY(used);
            at += used;
            continue;
        }
        if (command & (COMMAND_RUN | COMMAND_RECORD))
            return error_set(error, ERROR_USAGE,
                             "%s: is not an option; a disk image is given with -hda", word);
        if (options->trace)
            return error_set(error, ERROR_USAGE, "%s: one trace file is enough", word);
        options->trace = word;
        at++;
    }
    return options->help ? 0 : finish(options, error);
}

/* ---- help ---- */

static void print_option(FILE *to, const struct option *option)
{
    char left[80];
    snprintf(left, sizeof left, "%s%s%s", option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    if (strlen(left) > 26)
        fprintf(to, "  %s\n  %-26s  %s\n", left, "", option->help);
    else
        fprintf(to, "  %-26s  %s\n", left, option->help);
}

static void print_accepted(FILE *to, unsigned commands)
{
    const char *separator = "  ";
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        const struct option *option = &table[i];
        if (option->kind != KIND_ACCEPTED || !(option->commands & commands))
            continue;
        fprintf(to, "%s%s%s%s", separator, option->name, option->argument[0] ? " " : "",
                option->argument);
        separator = ", ";
    }
    fputc('\n', to);
}

void options_help(FILE *to, unsigned commands)
{
    const struct option *section = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        const struct option *option = &table[i];
        if (option->kind == KIND_SECTION) {
            section = option;
            continue;
        }
        if (!(option->commands & commands) || (option->kind != KIND_ACCEPTED && !option->help))
            continue;
        if (section)
            fprintf(to, "\n%s\n", section->name);
        if (section && option->kind == KIND_ACCEPTED)
            print_accepted(to, commands);
        section = NULL;
        if (option->kind != KIND_ACCEPTED)
            print_option(to, option);
    }
}
