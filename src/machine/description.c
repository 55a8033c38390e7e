/*
 * The stored form of a machine description: one "key=value" a line.
 *
 * Text values are escaped so that a line stays a line: a backslash and every
 * byte outside 20h..7Eh are written as \xNN; in values with several parts the
 * part that may hold anything comes last. Numbers are decimal. The text is
 * part of a trace and so untrusted: every length, number and index is checked,
 * a key that is unknown or appears twice is refused.
 */
#include "machine/description.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/bits.h"

#define RTC_BASE_DEFAULT 1704067200 /* 2024-01-01 00:00:00 UTC */

unsigned description_version(const struct description *description)
{
    static const char *const names[] = {"pc-1", "pc-2"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(description->machine, names[i]) == 0)
            return i + 1;
    return 0;
}

void description_init(struct description *description)
{
    memset(description, 0, sizeof *description);
    strcpy(description->machine, DESCRIPTION_MACHINE);
    strcpy(description->boot, "cd");
    description->memory_bytes = 128ull << 20;
    description->cpus = 1;
    description->quantum = 50000;
    description->ns_per_instruction = 1;
    description->rtc_base = RTC_BASE_DEFAULT;
    description->bios = -1;
    description->kernel = -1;
    description->initrd = -1;
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++)
        description->drives[i].file = -1;
    for (unsigned i = 0; i < DESCRIPTION_FW_CFG; i++)
        description->fw_cfg[i].file = -1;
    for (unsigned i = 0; i < DESCRIPTION_MODULES; i++)
        description->modules[i].file = -1;
    description->serials = 1;
}

struct description_file *description_find(struct description *description, const char *name)
{
    for (uint32_t i = 0; i < description->file_count; i++)
        if (strcmp(description->files[i].name, name) == 0)
            return &description->files[i];
    return NULL;
}

/* ---- writing ---- */

struct writer {
    char *text;
    uint64_t size;
    uint64_t length;
    bool full;
};

static void put(struct writer *writer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void put(struct writer *writer, const char *format, ...)
{
    if (writer->full)
        return;
    va_list arguments;
    va_start(arguments, format);
    uint64_t room = writer->size - writer->length;
    int wanted = vsnprintf(writer->text + writer->length, room, format, arguments);
    va_end(arguments);
    if (wanted < 0 || (uint64_t)wanted >= room)
        writer->full = true;
    else
        writer->length += (uint64_t)wanted;
}

static void put_text(struct writer *writer, const char *text)
{
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (*c < 0x20 || *c > 0x7e || *c == '\\')
            put(writer, "\\x%02x", *c);
        else
            put(writer, "%c", *c);
    }
}

static void put_text_line(struct writer *writer, const char *key, const char *text)
{
    put(writer, "%s=", key);
    put_text(writer, text);
    put(writer, "\n");
}

static void encode_fields(struct writer *writer, const struct description *d)
{
#define TEXT(key) put_text_line(writer, #key, d->key);
#define NUMBER(key, least, most) put(writer, #key "=%" PRIu64 "\n", (uint64_t)d->key);
#define SIGNED(key, least, most) put(writer, #key "=%" PRId64 "\n", (int64_t)d->key);
#define FLAG(key) put(writer, #key "=%d\n", d->key);
#define FILE_INDEX(key) put(writer, #key "=%" PRId32 "\n", d->key);
#include "machine/description.def"
}

static void encode_lists(struct writer *writer, const struct description *d)
{
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++)
        if (d->drives[i].interface != DRIVE_NONE)
            put(writer, "drive%u=%s,%" PRId32 "\n", i,
                d->drives[i].interface == DRIVE_CDROM ? "cdrom" : "disk", d->drives[i].file);
    for (uint32_t i = 0; i < d->fw_cfg_count; i++) {
        put(writer, "fw_cfg=%" PRId32 ",", d->fw_cfg[i].file);
        put_text(writer, d->fw_cfg[i].name);
        put(writer, ",");
        put_text(writer, d->fw_cfg[i].text);
        put(writer, "\n");
    }
    for (unsigned i = 0; i < DESCRIPTION_DEBUG_EXITS; i++)
        if (d->debug_exits[i].iosize)
            put(writer, "debug_exit%u=%" PRIu32 ",%" PRIu32 "\n", i, d->debug_exits[i].iobase,
                d->debug_exits[i].iosize);
    for (unsigned i = 0; i < ARRAY_SIZE(d->debugcons); i++)
        if (d->debugcons[i])
            put(writer, "debugcon%u=%" PRIu32 "\n", i, d->debugcons[i]);
    for (unsigned i = 0; i < DESCRIPTION_MODULES && d->modules[i].file >= 0; i++) {
        put(writer, "module%u=%" PRId32 ",", i, d->modules[i].file);
        put_text(writer, d->modules[i].text);
        put(writer, "\n");
    }
}

static void encode_files(struct writer *writer, const struct description *d)
{
    for (uint32_t i = 0; i < d->file_count; i++) {
        const struct description_file *file = &d->files[i];
        put(writer, "file=%" PRIu64 ",", file->size);
        for (unsigned byte = 0; byte < sizeof file->hash; byte++)
            put(writer, "%02x", file->hash[byte]);
        put(writer, ",");
        put_text(writer, file->name);
        put(writer, ",");
        put_text(writer, file->path);
        put(writer, "\n");
    }
}

int description_encode(const struct description *description, char *text, uint64_t size)
{
    struct writer writer = {text, size, 0, size == 0};
    encode_files(&writer, description);
    encode_fields(&writer, description);
    encode_lists(&writer, description);
    return writer.full || writer.length > INT32_MAX ? ERROR_FORMAT : (int)writer.length;
}

/* ---- reading ---- */

#define LINE_MAXIMUM 12288 /* the longest escaped line, with room */

/* What is left of one line's value. */
struct reader {
    const char *at;
    const char *end;
};

static bool take_number(struct reader *reader, uint64_t least, uint64_t most, uint64_t *value)
{
    uint64_t number = 0;
    const char *start = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9') {
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (uint64_t)(*reader->at - '0'), &number))
            return false;
        reader->at++;
    }
    *value = number;
    return reader->at > start && number >= least && number <= most;
}

static bool take_signed(struct reader *reader, int64_t least, int64_t most, int64_t *value)
{
    bool negative = reader->at < reader->end && *reader->at == '-';
    uint64_t magnitude;
    reader->at += negative;
    if (!take_number(reader, 0, INT64_MAX, &magnitude))
        return false;
    *value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    return *value >= least && *value <= most;
}

static bool take_char(struct reader *reader, char expected)
{
    if (reader->at == reader->end || *reader->at != expected)
        return false;
    reader->at++;
    return true;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* One hexadecimal byte, or -1. */
static int take_hex_byte(struct reader *reader)
{
    if (reader->end - reader->at < 2)
        return -1;
    int high = hex_digit(reader->at[0]), low = hex_digit(reader->at[1]);
    if (high < 0 || low < 0)
        return -1;
    reader->at += 2;
    return high * 16 + low;
}

/* Unescapes up to `stop` (0: to the end of the line) into `text`. */
static bool take_text(struct reader *reader, char stop, char *text, uint64_t size)
{
    uint64_t length = 0;
    memset(text, 0, size);
    while (reader->at < reader->end && !(stop && *reader->at == stop)) {
        int byte = (unsigned char)*reader->at++;
        if (byte == '\\') {
            if (!take_char(reader, 'x'))
                return false;
            byte = take_hex_byte(reader);
            if (byte <= 0)
                return false;
        }
        if (length + 1 >= size)
            return false;
        text[length++] = (char)byte;
    }
    return true;
}

static bool take_drive(struct reader *reader, struct description_drive *drive)
{
    char interface[8];
    int64_t file;
    if (!take_text(reader, ',', interface, sizeof interface) || !take_char(reader, ',') ||
        !take_signed(reader, -1, DESCRIPTION_FILES - 1, &file))
        return false;
    drive->interface = strcmp(interface, "cdrom") == 0  ? DRIVE_CDROM
                       : strcmp(interface, "disk") == 0 ? DRIVE_DISK
                                                        : DRIVE_NONE;
    drive->file = (int32_t)file;
    return drive->interface == DRIVE_CDROM || (drive->interface == DRIVE_DISK && file >= 0);
}

static bool take_fw_cfg(struct reader *reader, struct description *d)
{
    if (d->fw_cfg_count == DESCRIPTION_FW_CFG)
        return false;
    struct description_fw_cfg *item = &d->fw_cfg[d->fw_cfg_count++];
    int64_t file = -1;
    bool good = take_signed(reader, -1, DESCRIPTION_FILES - 1, &file) && take_char(reader, ',') &&
                take_text(reader, ',', item->name, sizeof item->name) && take_char(reader, ',') &&
                take_text(reader, 0, item->text, sizeof item->text);
    item->file = (int32_t)file;
    return good && item->name[0];
}

static bool take_debug_exit(struct reader *reader, struct description_debug_exit *debug_exit)
{
    uint64_t iobase, iosize;
    if (!take_number(reader, 0, 0xffff, &iobase) || !take_char(reader, ',') ||
        !take_number(reader, 1, 4, &iosize) || iobase + iosize > 0x10000)
        return false;
    debug_exit->iobase = (uint32_t)iobase;
    debug_exit->iosize = (uint32_t)iosize;
    return true;
}

static bool take_module(struct reader *reader, struct description_module *module)
{
    int64_t file;
    if (!take_signed(reader, 0, DESCRIPTION_FILES - 1, &file) || !take_char(reader, ',') ||
        !take_text(reader, 0, module->text, sizeof module->text))
        return false;
    module->file = (int32_t)file;
    return true;
}

static bool take_file(struct reader *reader, struct description *d)
{
    if (d->file_count == DESCRIPTION_FILES)
        return false;
    struct description_file file = {0};
    if (!take_number(reader, 0, INT64_MAX, &file.size) || !take_char(reader, ','))
        return false;
    for (unsigned i = 0; i < sizeof file.hash; i++) {
        int byte = take_hex_byte(reader);
        if (byte < 0)
            return false;
        file.hash[i] = (uint8_t)byte;
    }
    if (!take_char(reader, ',') || !take_text(reader, ',', file.name, sizeof file.name) ||
        !take_char(reader, ',') || !take_text(reader, 0, file.path, sizeof file.path))
        return false;
    if (!file.name[0] || description_find(d, file.name))
        return false;
    d->files[d->file_count++] = file;
    return true;
}

/* The keys of the table, numbered, to see one that comes twice. */
enum key {
#define TEXT(key) KEY_##key,
#define NUMBER(key, least, most) KEY_##key,
#define SIGNED(key, least, most) KEY_##key,
#define FLAG(key) KEY_##key,
#define FILE_INDEX(key) KEY_##key,
#include "machine/description.def"
    KEY_DRIVE,
    KEY_DEBUG_EXIT = KEY_DRIVE + DESCRIPTION_DRIVES,
    KEY_DEBUGCON = KEY_DEBUG_EXIT + DESCRIPTION_DEBUG_EXITS,
    KEY_MODULE = KEY_DEBUGCON + 2,
    KEY_COUNT = KEY_MODULE + DESCRIPTION_MODULES,
};
_Static_assert(KEY_COUNT <= 64, "one bit a key");

static bool first_time(uint64_t *seen, unsigned key)
{
    bool first = !(*seen >> key & 1);
    *seen |= 1ull << key;
    return first;
}

/* A key of a numbered list: `stem` followed by a digit below `count`. */
static bool numbered(const char *key, const char *stem, unsigned count, unsigned *number)
{
    size_t length = strlen(stem);
    if (strncmp(key, stem, length) != 0 || strlen(key) != length + 1)
        return false;
    *number = (unsigned)(key[length] - '0');
    return key[length] >= '0' && *number < count;
}

static bool take_list_line(struct description *d, const char *key, struct reader *value,
                           uint64_t *seen)
{
    unsigned n;
    if (strcmp(key, "file") == 0)
        return take_file(value, d);
    if (strcmp(key, "fw_cfg") == 0)
        return take_fw_cfg(value, d);
    if (numbered(key, "drive", DESCRIPTION_DRIVES, &n))
        return first_time(seen, KEY_DRIVE + n) && take_drive(value, &d->drives[n]);
    if (numbered(key, "debug_exit", DESCRIPTION_DEBUG_EXITS, &n))
        return first_time(seen, KEY_DEBUG_EXIT + n) && take_debug_exit(value, &d->debug_exits[n]);
    if (numbered(key, "module", DESCRIPTION_MODULES, &n))
        return first_time(seen, KEY_MODULE + n) && take_module(value, &d->modules[n]);
    if (numbered(key, "debugcon", ARRAY_SIZE(d->debugcons), &n)) {
        uint64_t iobase;
        bool good = first_time(seen, KEY_DEBUGCON + n) && take_number(value, 1, 0xffff, &iobase);
        if (good)
            d->debugcons[n] = (uint32_t)iobase;
        return good;
    }
    return false;
}

static bool take_line(struct description *d, const char *key, struct reader *value, uint64_t *seen)
{
    uint64_t number;
    int64_t with_sign;
#define IS(name) if (strcmp(key, #name) == 0) return first_time(seen, KEY_##name) &&
#define TEXT(name) IS(name) take_text(value, 0, d->name, sizeof d->name);
#define NUMBER(name, least, most)                                                                  \
    IS(name) take_number(value, least, most, &number) && ((d->name = number), true);
#define SIGNED(name, least, most)                                                                  \
    IS(name) take_signed(value, least, most, &with_sign) && ((d->name = with_sign), true);
#define FLAG(name) IS(name) take_number(value, 0, 1, &number) && ((d->name = number != 0), true);
#define FILE_INDEX(name)                                                                           \
    IS(name) take_signed(value, -1, DESCRIPTION_FILES - 1, &with_sign) &&                          \
        ((d->name = (int32_t)with_sign), true);
#include "machine/description.def"
#undef IS
    return take_list_line(d, key, value, seen);
}

static bool index_good(const struct description *d, int32_t index)
{
    return index == -1 || (index >= 0 && (uint32_t)index < d->file_count);
}

/* What no single line shows: indices into the list of files, values that go
 * together. */
static int check_whole(const struct description *d, struct error *error)
{
    bool good = index_good(d, d->bios) && index_good(d, d->kernel) && index_good(d, d->initrd);
    for (unsigned i = 0; i < DESCRIPTION_DRIVES; i++)
        good = good && index_good(d, d->drives[i].file);
    for (uint32_t i = 0; i < d->fw_cfg_count; i++)
        good = good && index_good(d, d->fw_cfg[i].file);
    for (unsigned i = 0; i < DESCRIPTION_MODULES; i++)
        good = good && index_good(d, d->modules[i].file) &&
               (!i || d->modules[i].file < 0 || d->modules[i - 1].file >= 0);
    if (!good)
        return error_set(error, ERROR_FORMAT,
                         "machine description: a file index is outside the list of files");
    if (!description_version(d))
        return error_set(error, ERROR_FORMAT, "machine description: no such machine");
    if (d->memory_bytes % (1u << 20))
        return error_set(error, ERROR_FORMAT,
                         "machine description: memory_bytes is not a multiple of 1 MiB");
    if (strspn(d->boot, "acdn") != strlen(d->boot))
        return error_set(error, ERROR_FORMAT, "machine description: unknown letter in boot");
    return 0;
}

/* The line for a message: cut, and free of control characters. */
static int refuse_line(struct error *error, const char *line, uint64_t length)
{
    char shown[61];
    uint64_t n = length < sizeof shown - 1 ? length : sizeof shown - 1;
    for (uint64_t i = 0; i < n; i++)
        shown[i] = line[i] >= 0x20 && line[i] <= 0x7e ? line[i] : '?';
    shown[n] = 0;
    return error_set(error, ERROR_FORMAT, "machine description: bad line \"%s%s\"", shown,
                     n < length ? "..." : "");
}

int description_decode(struct description *description, const char *text, uint64_t length,
                       struct error *error)
{
    uint64_t seen = 0;
    description_init(description);
    while (length) {
        const char *newline = memchr(text, '\n', length);
        uint64_t line = newline ? (uint64_t)(newline - text) : length;
        uint64_t whole = newline ? line + 1 : line;
        const char *equals = memchr(text, '=', line);
        char key[32];
        if (!newline || line > LINE_MAXIMUM || memchr(text, 0, line) || !equals ||
            (size_t)(equals - text) >= sizeof key)
            return refuse_line(error, text, line);
        memcpy(key, text, (size_t)(equals - text));
        key[equals - text] = 0;
        struct reader value = {equals + 1, newline};
        if (!take_line(description, key, &value, &seen) || value.at != value.end)
            return refuse_line(error, text, line);
        text += whole;
        length -= whole;
    }
    return check_whole(description, error);
}
