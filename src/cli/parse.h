/*
 * Values on the command line: numbers, sizes, times, dates, and lists of
 * key=value. Each refuses what it does not take whole: nothing is guessed.
 */
#ifndef CLI_PARSE_H
#define CLI_PARSE_H

#include <stdbool.h>
#include <stdint.h>

/* Decimal or 0x... ; then, for counts, k M G T (powers of 1000) or
 * Ki Mi Gi Ti (of 1024). False when it is none or does not fit 64 bits. */
bool parse_number(const char *text, uint64_t *value);
bool parse_count(const char *text, uint64_t *value);

/* Memory: 512 and 512M are MiB, 2G is GiB, also k and T; in bytes. */
bool parse_memory(const char *text, uint64_t *bytes);

/* 10s, 1.5s, 200ms, 3us, 7ns, 2m, 1h; a plain number is seconds. */
bool parse_duration(const char *text, uint64_t *ns);

/* 2024-02-29, 2024-02-29T23:59:59 (UTC), seconds since 1970. */
bool parse_date(const char *text, int64_t *seconds);

#define PARSE_PAIRS 16
#define PARSE_TEXT 4096

/* "first,key=value,key=value": the parts in order; ",," is a comma. */
struct parse_pairs {
    struct {
        const char *key;
        const char *value; /* NULL when there is no "=" */
    } pair[PARSE_PAIRS];
    unsigned count;
    char text[PARSE_TEXT]; /* what the pointers point into */
};

/* False when there are too many parts or the text is too long. */
bool parse_pairs(struct parse_pairs *pairs, const char *text);
/* The value of `key`, NULL when it is absent or has none. */
const char *parse_pairs_get(const struct parse_pairs *pairs, const char *key);
/* The first key from number `from` on that is not in the NULL-terminated list
 * `known`, or NULL. */
const char *parse_pairs_unknown(const struct parse_pairs *pairs, unsigned from,
                                const char *const *known);

#endif
