/* Values on the command line; see parse.h. */
#include "cli/parse.h"

#include <stdio.h>
#include <string.h>

/* Digits at *text, which moves past them. */
static bool take_digits(const char **text, uint64_t *value)
{
    const char *start = *text;
    *value = 0;
    for (; **text >= '0' && **text <= '9'; (*text)++)
        if (__builtin_mul_overflow(*value, 10u, value) ||
            __builtin_add_overflow(*value, (uint64_t)(**text - '0'), value))
            return false;
    return *text > start;
}

static bool take_hex(const char **text, uint64_t *value)
{
    const char *start = *text;
    *value = 0;
    for (;; (*text)++) {
        char c = **text;
        uint64_t digit = c >= '0' && c <= '9'   ? (uint64_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint64_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint64_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return *text > start;
        if (*value >> 60)
            return false;
        *value = *value << 4 | digit;
    }
}

static bool take_number(const char **text, uint64_t *value)
{
    if ((*text)[0] == '0' && ((*text)[1] == 'x' || (*text)[1] == 'X')) {
        *text += 2;
        return take_hex(text, value);
    }
    return take_digits(text, value);
}

bool parse_number(const char *text, uint64_t *value)
{
    return take_number(&text, value) && !*text;
}

bool parse_count(const char *text, uint64_t *value)
{
    static const char letters[] = "kMGT";
    if (!take_number(&text, value))
        return false;
    if (!*text)
        return true;
    const char *letter = strchr(letters, *text == 'K' ? 'k' : *text);
    if (!letter)
        return false;
    uint64_t base = text[1] == 'i' ? 1024 : 1000;
    if (text[base == 1024 ? 2 : 1])
        return false;
    for (long i = 0; i <= letter - letters; i++)
        if (__builtin_mul_overflow(*value, base, value))
            return false;
    return true;
}

bool parse_memory(const char *text, uint64_t *bytes)
{
    static const char letters[] = "KMGT";
    unsigned power = 2;
    if (!take_number(&text, bytes))
        return false;
    if (*text) {
        const char *letter = strchr(letters, *text == 'k' ? 'K' : *text & ~0x20);
        if (!letter || (text[1] && strcmp(text + 1, "iB") != 0 && strcmp(text + 1, "B") != 0 &&
                        strcmp(text + 1, "i") != 0))
            return false;
        power = (unsigned)(letter - letters) + 1;
    }
    while (power--)
        if (__builtin_mul_overflow(*bytes, 1024u, bytes))
            return false;
    return true;
}

bool parse_duration(const char *text, uint64_t *ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"", 1000000000},     {"s", 1000000000}, {"ms", 1000000},       {"us", 1000},
                 {"ns", 1},            {"m", 60000000000}, {"h", 3600000000000}};
    uint64_t whole, part = 0, scale = 1;
    if (!take_digits(&text, &whole))
        return false;
    if (*text == '.') {
        const char *start = ++text;
        if (!take_digits(&text, &part) || text - start > 9)
            return false;
        for (; start < text; start++)
            scale *= 10;
    }
    for (unsigned i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(text, units[i].name) != 0)
            continue;
        unsigned __int128 sum = (unsigned __int128)whole * units[i].ns +
                                (unsigned __int128)part * units[i].ns / scale;
        *ns = (uint64_t)sum;
        return sum <= UINT64_MAX;
    }
    return false;
}

static bool leap(uint64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Exactly `digits` digits, then `next` (0: anything). */
static bool take_field(const char **text, unsigned digits, char next, uint64_t *value)
{
    const char *start = *text;
    if (!take_digits(text, value) || *text - start != (long)digits)
        return false;
    if (next && *(*text)++ != next)
        return false;
    return true;
}

bool parse_date(const char *text, int64_t *seconds)
{
    static const unsigned char lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    uint64_t year, month, day, hour = 0, minute = 0, second = 0;
    if (parse_number(text, &year)) {
        *seconds = (int64_t)year;
        return *seconds >= 0;
    }
    if (!take_field(&text, 4, '-', &year) || !take_field(&text, 2, '-', &month) ||
        !take_field(&text, 2, 0, &day))
        return false;
    if (*text == 'T' || *text == ' ') {
        text++;
        if (!take_field(&text, 2, ':', &hour) || !take_field(&text, 2, ':', &minute) ||
            !take_field(&text, 2, 0, &second))
            return false;
    }
    if (*text == 'Z')
        text++;
    if (*text || year < 1970 || month < 1 || month > 12 || hour > 23 || minute > 59 ||
        second > 59)
        return false;
    uint64_t last = (uint64_t)lengths[month - 1] + (month == 2 && leap(year));
    if (day < 1 || day > last)
        return false;
    uint64_t days = day - 1;
    for (uint64_t y = 1970; y < year; y++)
        days += leap(y) ? 366 : 365;
    for (uint64_t m = 1; m < month; m++)
        days += (uint64_t)lengths[m - 1] + (m == 2 && leap(year));
    *seconds = (int64_t)(((days * 24 + hour) * 60 + minute) * 60 + second);
    return true;
}

bool parse_pairs(struct parse_pairs *pairs, const char *text)
{
    char *to = pairs->text, *last = pairs->text + sizeof pairs->text - 1;
    pairs->count = 0;
    while (*text) {
        if (pairs->count == PARSE_PAIRS)
            return false;
        char *key = to, *value = NULL;
        for (; *text && !(text[0] == ',' && text[1] != ','); text++) {
            if (to >= last - 1)
                return false;
            if (text[0] == ',')
                text++; /* ",," */
            if (*text == '=' && !value) {
                *to++ = 0;
                value = to;
            } else {
                *to++ = *text;
            }
        }
        *to++ = 0;
        pairs->pair[pairs->count].key = key;
        pairs->pair[pairs->count++].value = value;
        if (*text == ',')
            text++;
    }
    return true;
}

const char *parse_pairs_get(const struct parse_pairs *pairs, const char *key)
{
    for (unsigned i = 0; i < pairs->count; i++)
        if (strcmp(pairs->pair[i].key, key) == 0)
            return pairs->pair[i].value;
    return NULL;
}

const char *parse_pairs_unknown(const struct parse_pairs *pairs, unsigned from,
                                const char *const *known)
{
    for (unsigned i = from; i < pairs->count; i++) {
        const char *const *name = known;
        while (*name && strcmp(*name, pairs->pair[i].key) != 0)
            name++;
        if (!*name)
            return pairs->pair[i].key;
    }
    return NULL;
}
