/*
 * Invariants that stay checked in releases. A failed one is a bug of ours:
 * it prints the place and, when one is known, the instruction count of the
 * machine that runs, then aborts. Nothing that a guest, a file or a socket
 * sends may reach a failing ASSERT.
 */
#ifndef UTIL_ASSERT_H
#define UTIL_ASSERT_H

#include <stdint.h>

#define ASSERT(condition)                                                      \
    do {                                                                       \
        if (__builtin_expect(!(condition), 0))                                 \
            assert_failed(#condition, __FILE__, __LINE__);                     \
    } while (0)

_Noreturn void assert_failed(const char *condition, const char *file, int line);

/* Where assert_failed finds the instruction count to print: a diagnostic
 * pointer for this thread, read only while aborting. NULL forgets it. */
void assert_watch_count(const uint64_t *instructions);

#endif
