/* Checked invariants; see assert.h. */
#include "util/assert.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The one mutable global of the project: it is written by the run loop and
 * read only on the way to abort(), so it cannot influence a run. */
static _Thread_local const uint64_t *watched_count;

void assert_watch_count(const uint64_t *instructions)
{
    watched_count = instructions;
}

_Noreturn void assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "groundhog: %s:%d: invariant broken: %s", file, line, condition);
    if (watched_count)
        fprintf(stderr, " (instruction %" PRIu64 ")", *watched_count);
    fputc('\n', stderr);
    abort();
}
