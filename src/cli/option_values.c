/* What options with values of their own kind do; see option_values.h. */
#include "cli/option_values.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/parse.h"
#include "debug/listing.h"
#include "host/process.h"
#include "util/bits.h"

static int copy_text(char *to, uint64_t size, const char *option, const char *value,
                     struct error *error)
{
    if (strlen(value) >= size)
        return error_set(error, ERROR_USAGE, "%s: the text is longer than %llu bytes", option,
                         (unsigned long long)size - 1);
    memset(to, 0, size);
    memcpy(to, value, strlen(value));
    return 0;
}

int option_add_file(struct options *options, const char *role, const char *option,
                    const char *path, struct error *error)
{
    struct description *d = &options->description;
    struct description_file *file = description_find(d, role);
    if (!file) {
        if (d->file_count == DESCRIPTION_FILES)
            return error_set(error, ERROR_USAGE, "%s: a machine has at most %d files", option,
                             DESCRIPTION_FILES);
        file = &d->files[d->file_count++];
        memset(file, 0, sizeof *file);
        TRY(copy_text(file->name, sizeof file->name, option, role, error));
    }
    if (!path[0])
        return error_set(error, ERROR_USAGE, "%s: the path is empty; name a file", option);
    TRY(copy_text(file->path, sizeof file->path, option, path, error));
    return (int)(file - d->files);
}

static int set_file(struct options *options, int32_t *index, const char *role, const char *option,
                    const char *path, struct error *error)
{
    int file = option_add_file(options, role, option, path, error);
    TRY(file);
    *index = file;
    return 0;
}

/* ---- machine ---- */

int set_memory(struct options *options, const char *option, const char *value, struct error *error)
{
    const char *size = strncmp(value, "size=", 5) == 0 ? value + 5 : value;
    uint64_t bytes;
    if (!parse_memory(size, &bytes) || bytes < 1u << 20 || bytes > 64ull << 30 ||
        bytes % (1u << 20))
        return error_set(error, ERROR_USAGE,
                         "%s %s: give whole MiB, 1 to 65536, as in -m 512 or -m 2G", option, value);
    options->description.memory_bytes = bytes;
    return 0;
}

/* "4", "4,sockets=1,...", "cpus=4,maxcpus=4": sockets, cores and threads say how
 * CPUs are numbered; ours are all cores. */
int set_cpus(struct options *options, const char *option, const char *value, struct error *error)
{
    struct parse_pairs pairs;
    static const char *const known[] = {"cpus",    "maxcpus", "sockets", "dies",
                                        "clusters", "cores",   "threads", NULL};
    const char *number = NULL;
    uint64_t cpus;
    if (parse_pairs(&pairs, value) && pairs.count) {
        bool bare = !pairs.pair[0].value;
        if (!parse_pairs_unknown(&pairs, bare ? 1 : 0, known))
            number = bare ? pairs.pair[0].key : parse_pairs_get(&pairs, "cpus");
    }
    if (!number || !parse_number(number, &cpus) || cpus < 1 || cpus > 64)
        return error_set(error, ERROR_USAGE, "%s %s: give a number of CPUs, 1 to 64", option,
                         value);
    options->description.cpus = (uint32_t)cpus;
    return 0;
}

int set_cpu(struct options *options, const char *option, const char *value, struct error *error)
{
    return copy_text(options->description.cpu, sizeof options->description.cpu, option, value,
                     error);
}

/* Whether "tcg" is in a list such as "kvm:tcg". */
static bool names_tcg(const char *list)
{
    for (; list; list = strchr(list, ':') ? strchr(list, ':') + 1 : NULL)
        if (strncmp(list, "tcg", 3) == 0 && (list[3] == 0 || list[3] == ':'))
            return true;
    return false;
}

int set_accelerator(struct options *options, const char *option, const char *value,
                    struct error *error)
{
    (void)options;
    char name[16];
    size_t length = strcspn(value, ",");
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : 0), value);
    if (!names_tcg(name))
        return error_set(error, ERROR_USAGE,
                         "%s %s: there is no accelerator; tcg is accepted, or leave it out", option,
                         value);
    return 0;
}

int set_machine(struct options *options, const char *option, const char *value,
                struct error *error)
{
    struct parse_pairs pairs;
    static const char *const known[] = {"accel",    "type", "kernel_irqchip", "graphics", "usb",
                                        "mem-merge", "kernel-irqchip", NULL};
    if (!parse_pairs(&pairs, value) || pairs.count == 0)
        return error_set(error, ERROR_USAGE, "%s %s: use pc, pc-1 or pc-2", option, value);
    bool bare = !pairs.pair[0].value;
    const char *unknown = parse_pairs_unknown(&pairs, bare ? 1 : 0, known);
    if (unknown)
        return error_set(error, ERROR_USAGE, "%s %s: \"%s\" is unknown", option, value, unknown);
    const char *accelerator = parse_pairs_get(&pairs, "accel");
    if (accelerator && !names_tcg(accelerator))
        return error_set(error, ERROR_USAGE,
                         "%s %s: there is no accelerator; leave accel= out", option, value);
    const char *name = bare ? pairs.pair[0].key : parse_pairs_get(&pairs, "type");
    if (!name || strcmp(name, "pc") == 0)
        name = DESCRIPTION_MACHINE;
    if (strcmp(name, "pc-1") != 0 && strcmp(name, "pc-2") != 0)
        return error_set(error, ERROR_USAGE, "%s %s: use pc, pc-1 or pc-2", option, value);
    strcpy(options->description.machine, name);
    return 0;
}

int set_rtc(struct options *options, const char *option, const char *value, struct error *error)
{
    struct parse_pairs pairs;
    static const char *const known[] = {"base", "clock", NULL};
    const char *base = NULL;
    int64_t date;
    if (parse_pairs(&pairs, value) && !parse_pairs_unknown(&pairs, 0, known))
        base = parse_pairs_get(&pairs, "base");
    if (base && (strcmp(base, "host") == 0 || strcmp(base, "utc") == 0))
        date = host_date();
    else if (!base || !parse_date(base, &date))
        return error_set(error, ERROR_USAGE,
                         "%s %s: use base=2024-01-01T00:00:00 (UTC) or base=host", option, value);
    if (date > 7258118399)
        return error_set(error, ERROR_USAGE, "%s %s: the year is beyond 2199", option, value);
    options->description.rtc_base = date;
    return 0;
}

/* ---- what it starts ---- */

int set_kernel(struct options *options, const char *option, const char *value, struct error *error)
{
    return set_file(options, &options->description.kernel, "kernel", option, value, error);
}

/* One module, "FILE ARGUMENTS". */
static int add_module(struct options *options, unsigned number, const char *option,
                      const char *value, size_t length, struct error *error)
{
    struct description_module *module = &options->description.modules[number];
    char path[sizeof options->description.files[0].path], text[DESCRIPTION_TEXT];
    char role[] = "module0";
    size_t space = 0;
    while (space < length && value[space] != ' ')
        space++;
    size_t after = space + (space < length);
    if (space >= sizeof path || length - after >= sizeof text)
        return error_set(error, ERROR_USAGE, "%s %s: too long", option, value);
    snprintf(path, sizeof path, "%.*s", (int)space, value);
    snprintf(text, sizeof text, "%.*s", (int)(length - after), value + after);
    role[6] = (char)('0' + number);
    TRY(set_file(options, &module->file, role, option, path, error));
    return copy_text(module->text, sizeof module->text, option, text, error);
}

/* A file, or a list of Multiboot modules when there is no file of that name. */
int set_initrd(struct options *options, const char *option, const char *value, struct error *error)
{
    options->description.initrd = -1; /* the last one given counts */
    for (unsigned n = 0; n < DESCRIPTION_MODULES; n++)
        options->description.modules[n].file = -1;
    if (!strpbrk(value, ", ") || access(value, F_OK) == 0)
        return set_file(options, &options->description.initrd, "initrd", option, value, error);
    for (unsigned n = 0; value; n++) {
        const char *comma = strchr(value, ',');
        if (n == DESCRIPTION_MODULES)
            return error_set(error, ERROR_USAGE, "%s: at most %d modules", option,
                             DESCRIPTION_MODULES);
        TRY(add_module(options, n, option, value, comma ? (size_t)(comma - value) : strlen(value),
                       error));
        value = comma ? comma + 1 : NULL;
    }
    return 0;
}

int set_bios(struct options *options, const char *option, const char *value, struct error *error)
{
    return set_file(options, &options->description.bios, "bios", option, value, error);
}

int set_append(struct options *options, const char *option, const char *value, struct error *error)
{
    return copy_text(options->description.append, sizeof options->description.append, option,
                     value, error);
}

/* Puts a medium in drive `index` of the four: primary master, slave, ... */
static int add_drive(struct options *options, const char *option, uint64_t index,
                     uint32_t interface, const char *path, struct error *error)
{
    struct description_drive *drive = &options->description.drives[index];
    char role[] = "drive0";
    if (drive->interface != DRIVE_NONE)
        return error_set(error, ERROR_USAGE, "%s: drive %u is taken; give another index", option,
                         (unsigned)index);
    drive->interface = interface;
    role[5] = (char)('0' + index);
    return path ? set_file(options, &drive->file, role, option, path, error) : 0;
}

static int free_drive(const struct options *options)
{
    for (int i = 0; i < DESCRIPTION_DRIVES; i++)
        if (options->description.drives[i].interface == DRIVE_NONE)
            return i;
    return DESCRIPTION_DRIVES;
}

static int check_drive(const struct parse_pairs *pairs, const char *option, const char *value,
                       struct error *error)
{
    static const char *const known[] = {"file",  "format",   "if",       "media", "index", "id",
                                        "cache", "readonly", "snapshot", NULL};
    static const char *const fixed[][2] = {{"format", "raw"}, {"if", "ide"}};
    const char *unknown = parse_pairs_unknown(pairs, 0, known);
    if (unknown)
        return error_set(error, ERROR_USAGE,
                         "%s %s: \"%s\" is unknown; use file=, format=raw, if=ide, media=, index=",
                         option, value, unknown);
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++) {
        const char *given = parse_pairs_get(pairs, fixed[i][0]);
        if (given && strcmp(given, fixed[i][1]) != 0)
            return error_set(error, ERROR_USAGE, "%s %s: only %s=%s is supported", option, value,
                             fixed[i][0], fixed[i][1]);
    }
    return 0;
}

int set_drive(struct options *options, const char *option, const char *value, struct error *error)
{
    struct parse_pairs pairs;
    uint64_t index = (uint64_t)free_drive(options);
    if (!parse_pairs(&pairs, value))
        return error_set(error, ERROR_USAGE, "%s: too long a list", option);
    TRY(check_drive(&pairs, option, value, error));
    const char *file = parse_pairs_get(&pairs, "file");
    const char *media = parse_pairs_get(&pairs, "media");
    const char *number = parse_pairs_get(&pairs, "index");
    bool cdrom = media && strcmp(media, "cdrom") == 0;
    if (media && !cdrom && strcmp(media, "disk") != 0)
        return error_set(error, ERROR_USAGE, "%s %s: media is disk or cdrom", option, value);
    if ((number && !parse_number(number, &index)) || index >= DESCRIPTION_DRIVES)
        return error_set(error, ERROR_USAGE, "%s %s: there are drives 0 to 3", option, value);
    if (!file && !cdrom)
        return error_set(error, ERROR_USAGE, "%s %s: add file=PATH", option, value);
    return add_drive(options, option, index, cdrom ? DRIVE_CDROM : DRIVE_DISK, file, error);
}

int set_hda(struct options *options, const char *option, const char *value, struct error *error)
{
    return add_drive(options, option, 0, DRIVE_DISK, value, error);
}

int set_hdb(struct options *options, const char *option, const char *value, struct error *error)
{
    return add_drive(options, option, 1, DRIVE_DISK, value, error);
}

int set_hdc(struct options *options, const char *option, const char *value, struct error *error)
{
    return add_drive(options, option, 2, DRIVE_DISK, value, error);
}

int set_hdd(struct options *options, const char *option, const char *value, struct error *error)
{
    return add_drive(options, option, 3, DRIVE_DISK, value, error);
}

int set_cdrom(struct options *options, const char *option, const char *value, struct error *error)
{
    return add_drive(options, option, 2, DRIVE_CDROM, value, error);
}

int set_boot(struct options *options, const char *option, const char *value, struct error *error)
{
    struct parse_pairs pairs;
    static const char *const known[] = {"order", "menu", "strict", NULL};
    const char *order = NULL;
    if (parse_pairs(&pairs, value) && pairs.count) {
        bool bare = !pairs.pair[0].value;
        order = bare ? pairs.pair[0].key : parse_pairs_get(&pairs, "order");
        if (parse_pairs_unknown(&pairs, bare ? 1 : 0, known))
            order = NULL;
    }
    if (!order || !order[0] || strspn(order, "acdn") != strlen(order))
        return error_set(error, ERROR_USAGE,
                         "%s %s: use letters c (disk), d (CD), n, a, as in -boot dc", option,
                         value);
    return copy_text(options->description.boot, sizeof options->description.boot, option, order,
                     error);
}

int set_fw_cfg(struct options *options, const char *option, const char *value, struct error *error)
{
    struct description *d = &options->description;
    struct parse_pairs pairs;
    static const char *const known[] = {"name", "string", "file", NULL};
    const char *name = NULL;
    if (parse_pairs(&pairs, value) && !parse_pairs_unknown(&pairs, 0, known))
        name = parse_pairs_get(&pairs, "name");
    const char *text = name ? parse_pairs_get(&pairs, "string") : NULL;
    const char *path = name ? parse_pairs_get(&pairs, "file") : NULL;
    if (!name || !name[0] || !text == !path)
        return error_set(error, ERROR_USAGE,
                         "%s %s: use name=opt/NAME,string=TEXT or name=opt/NAME,file=PATH", option,
                         value);
    if (d->fw_cfg_count == DESCRIPTION_FW_CFG)
        return error_set(error, ERROR_USAGE, "%s: at most %d can be given", option,
                         DESCRIPTION_FW_CFG);
    struct description_fw_cfg *item = &d->fw_cfg[d->fw_cfg_count];
    TRY(copy_text(item->name, sizeof item->name, option, name, error));
    for (uint32_t i = 0; i < d->fw_cfg_count; i++)
        if (strcmp(d->fw_cfg[i].name, name) == 0)
            return error_set(error, ERROR_USAGE, "%s %s: the name is given twice", option, value);
    d->fw_cfg_count++;
    if (text)
        return copy_text(item->text, sizeof item->text, option, text, error);
    char role[64] = "fw_cfg:";
    strcat(role, item->name);
    return set_file(options, &item->file, role, option, path, error);
}

/* ---- ports ---- */

int set_serial(struct options *options, const char *option, const char *value, struct error *error)
{
    if (options->serial_count == 4)
        return error_set(error, ERROR_USAGE, "%s: there are four serial ports", option);
    unsigned port = options->serial_count++;
    if (strncmp(value, "chardev:", 8) == 0)
        return copy_text(options->serial_chardev[port], sizeof options->serial_chardev[port],
                         option, value + 8, error);
    TRY(console_parse(&options->serial[port], option, value, error));
    options->serial_none[port] = strcmp(value, "none") == 0;
    return 0;
}

static int next_debugcon(struct options *options, const char *option, uint64_t iobase,
                         struct error *error)
{
    unsigned n = options->debugcon_count;
    if (n == 2)
        return error_set(error, ERROR_USAGE, "%s: there are two debug consoles", option);
    if (iobase == 0 || iobase > 0xffff)
        return error_set(error, ERROR_USAGE, "%s: iobase is a port, 1 to 0xffff", option);
    options->description.debugcons[n] = (uint32_t)iobase;
    options->debugcon_count++;
    return (int)n;
}

int set_debugcon(struct options *options, const char *option, const char *value,
                 struct error *error)
{
    int n = next_debugcon(options, option, 0x402, error);
    TRY(n);
    return console_parse(&options->debugcon[n], option, value, error);
}

int set_chardev(struct options *options, const char *option, const char *value,
                struct error *error)
{
    struct parse_pairs pairs;
    if (options->chardev_count == OPTIONS_CHARDEVS)
        return error_set(error, ERROR_USAGE, "%s: at most %d can be given", option,
                         OPTIONS_CHARDEVS);
    struct chardev *chardev = &options->chardevs[options->chardev_count];
    const char *id = NULL, *path = NULL, *type = "";
    if (parse_pairs(&pairs, value) && pairs.count) {
        type = pairs.pair[0].key;
        id = parse_pairs_get(&pairs, "id");
        path = parse_pairs_get(&pairs, "path");
    }
    bool stdio = strcmp(type, "stdio") == 0, null = strcmp(type, "null") == 0;
    bool file = strcmp(type, "file") == 0, socket = strcmp(type, "socket") == 0;
    if (!id || !(stdio || null || file || socket) || ((file || socket) && !path))
        return error_set(error, ERROR_USAGE,
                         "%s %s: use stdio,id=ID, null,id=ID, file,id=ID,path=PATH or "
                         "socket,id=ID,path=PATH",
                         option, value);
    TRY(copy_text(chardev->id, sizeof chardev->id, option, id, error));
    chardev->spec.kind = stdio    ? CONSOLE_STDIO
                         : file   ? CONSOLE_FILE
                         : socket ? CONSOLE_UNIX
                                  : CONSOLE_NONE;
    if (path)
        TRY(copy_text(chardev->spec.path, sizeof chardev->spec.path, option, path, error));
    options->chardev_count++;
    return 0;
}

static bool pair_number(const struct parse_pairs *pairs, const char *key, uint64_t *value)
{
    const char *text = parse_pairs_get(pairs, key);
    return !text || parse_number(text, value);
}

static int add_debug_exit(struct options *options, const struct parse_pairs *pairs,
                          const char *option, const char *value, struct error *error)
{
    static const char *const known[] = {"iobase", "iosize", NULL};
    struct description_debug_exit *exits = options->description.debug_exits;
    uint64_t iobase = 0x501, iosize = 2;
    unsigned n = 0;
    while (n < DESCRIPTION_DEBUG_EXITS && exits[n].iosize)
        n++;
    if (n == DESCRIPTION_DEBUG_EXITS)
        return error_set(error, ERROR_USAGE, "%s %s: at most %d can be given", option, value, n);
    if (parse_pairs_unknown(pairs, 1, known) || !pair_number(pairs, "iobase", &iobase) ||
        !pair_number(pairs, "iosize", &iosize) || iosize < 1 || iosize > 4 || iobase > 0xffff ||
        iobase + iosize > 0x10000)
        return error_set(error, ERROR_USAGE,
                         "%s %s: use isa-debug-exit,iobase=PORT,iosize=1..4", option, value);
    exits[n] = (struct description_debug_exit){(uint32_t)iobase, (uint32_t)iosize};
    return 0;
}

static int add_debugcon(struct options *options, const struct parse_pairs *pairs,
                        const char *option, const char *value, struct error *error)
{
    static const char *const known[] = {"iobase", "chardev", "path", "id", NULL};
    const char *chardev = parse_pairs_get(pairs, "chardev");
    const char *path = parse_pairs_get(pairs, "path");
    uint64_t iobase = 0xe9;
    if (parse_pairs_unknown(pairs, 1, known) || !pair_number(pairs, "iobase", &iobase) ||
        !chardev == !path)
        return error_set(error, ERROR_USAGE,
                         "%s %s: use isa-debugcon,iobase=PORT and one of chardev=ID, path=PATH",
                         option, value);
    int n = next_debugcon(options, option, iobase, error);
    TRY(n);
    if (chardev)
        return copy_text(options->debugcon_chardev[n], sizeof options->debugcon_chardev[n], option,
                         chardev, error);
    options->debugcon[n].kind = CONSOLE_FILE;
    return copy_text(options->debugcon[n].path, sizeof options->debugcon[n].path, option, path,
                     error);
}

int set_device(struct options *options, const char *option, const char *value, struct error *error)
{
    struct parse_pairs pairs;
    if (parse_pairs(&pairs, value) && pairs.count && !pairs.pair[0].value) {
        if (strcmp(pairs.pair[0].key, "isa-debug-exit") == 0)
            return add_debug_exit(options, &pairs, option, value, error);
        if (strcmp(pairs.pair[0].key, "isa-debugcon") == 0)
            return add_debugcon(options, &pairs, option, value, error);
        if (strcmp(pairs.pair[0].key, "pc-testdev") == 0 && pairs.count == 1) {
            options->description.testdev = true;
            return 0;
        }
    }
    return error_set(error, ERROR_USAGE,
                     "%s %s: the devices are isa-debug-exit, isa-debugcon and pc-testdev", option,
                     value);
}

/* ---- this process ---- */

/* check, or check:N: N blocks at most between two comparisons. */
static bool parse_check(struct options *options, const char *value)
{
    struct engine_choice *engine = &options->runner.engine;
    uint64_t blocks = 1;
    if (strncmp(value, "check", 5) != 0
        || (value[5] && (value[5] != ':' || !parse_number(value + 6, &blocks) || !blocks || blocks > UINT32_MAX)))
        return false;
    engine->kind = ENGINE_CHECK;
    engine->check_blocks = (uint32_t)blocks;
    return true;
}

int set_engine(struct options *options, const char *option, const char *value, struct error *error)
{
    static const char *const names[] = {
        [ENGINE_INTERPRETER] = "interp", [ENGINE_TRANSLATOR] = "jit", [ENGINE_AUTO] = "auto",
    };
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(value, names[i]) == 0) {
            options->runner.engine.kind = (enum engine_kind)i;
            return 0;
        }
    }
    if (!parse_check(options, value))
        return error_set(error, ERROR_USAGE, "%s %s: the engines are interp, jit, auto and check", option, value);
    if (options->command != COMMAND_RUN)
        return error_set(error, ERROR_USAGE, "%s %s: only a run can be checked", option, value);
    return 0;
}

/* QEMU's names of what is logged; here only the translator's. */
int set_log_items(struct options *options, const char *option, const char *value, struct error *error)
{
    static const struct { const char *name; unsigned what; } items[] = {
        { "in_asm", LISTING_GUEST }, { "out_asm", LISTING_HOST },
    };
    for (const char *at = value;;) {
        size_t length = strcspn(at, ",");
        unsigned found = 0;
        for (unsigned i = 0; i < sizeof items / sizeof *items; i++)
            if (strlen(items[i].name) == length && strncmp(items[i].name, at, length) == 0)
                found = items[i].what;
        if (!found)
            return error_set(error, ERROR_USAGE, "%s %s: the items are in_asm and out_asm", option, value);
        options->code_listing |= found;
        if (!at[length])
            return 0;
        at += length + 1;
    }
}

int set_log_file(struct options *options, const char *option, const char *value, struct error *error)
{
    if (!value[0])
        return error_set(error, ERROR_USAGE, "%s: the path is empty; name a file", option);
    options->code_file = value;
    return 0;
}

int set_code_cache(struct options *options, const char *option, const char *value, struct error *error)
{
    uint64_t mib;
    if (!parse_number(value, &mib) || mib < 1 || mib > 1024)
        return error_set(error, ERROR_USAGE, "%s %s: give 1 to 1024 MiB", option, value);
    options->runner.engine.cache_mib = (uint32_t)mib;
    return 0;
}

int set_max_time(struct options *options, const char *option, const char *value,
                 struct error *error)
{
    if (!parse_duration(value, &options->runner.max_ns) || !options->runner.max_ns)
        return error_set(error, ERROR_USAGE, "%s %s: give a time as in 10s, 500ms, 2m", option,
                         value);
    return 0;
}

int set_output(struct options *options, const char *option, const char *value, struct error *error)
{
    if (!value[0])
        return error_set(error, ERROR_USAGE, "%s: the path is empty; name a file", option);
    options->output = value;
    return 0;
}

int set_log(struct options *options, const char *option, const char *value, struct error *error)
{
    int level = trace_level_parse(value);
    if (level < 0)
        return error_set(error, ERROR_USAGE, "%s %s: use inputs, events or full", option, value);
    options->runner.level = (enum trace_level)level;
    return 0;
}

int set_file_override(struct options *options, const char *option, const char *value,
                      struct error *error)
{
    const char *equals = strchr(value, '=');
    if (!equals || equals == value || !equals[1] ||
        (size_t)(equals - value) >= sizeof options->overrides[0].name)
        return error_set(error, ERROR_USAGE, "%s %s: use NAME=PATH, as in --file kernel=vmlinuz",
                         option, value);
    if (options->override_count == OPTIONS_OVERRIDES)
        return error_set(error, ERROR_USAGE, "%s: at most %d can be given", option,
                         OPTIONS_OVERRIDES);
    struct file_override *override = &options->overrides[options->override_count++];
    memcpy(override->name, value, (size_t)(equals - value));
    override->path = equals + 1;
    return 0;
}

int set_gdb(struct options *options, const char *option, const char *value, struct error *error)
{
    options->gdb = true;
    if (!value)
        return 0;
    return copy_text(options->gdb_address, sizeof options->gdb_address, option, value, error);
}
