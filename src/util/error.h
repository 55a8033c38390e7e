/*
 * Errors of the user and of the host, passed up as negative codes.
 *
 * A function that can fail this way takes a `struct error *`, fills in one
 * line that names the file or option and the mend, and returns the code.
 * Only src/cli prints. Guest faults are architectural values and never come
 * through here; broken invariants are ASSERTs (util/assert.h).
 */
#ifndef UTIL_ERROR_H
#define UTIL_ERROR_H

enum error_code {
    ERROR_USAGE = -1,    /* an option or a combination of options is wrong */
    ERROR_FILE = -2,     /* missing, unreadable, of the wrong kind or size */
    ERROR_FORMAT = -3,   /* a trace or image is not what its format demands */
    ERROR_SPACE = -4,    /* no room left where the trace is written */
    ERROR_MEMORY = -5,   /* the host has not enough memory */
    ERROR_HOST = -6,     /* any other refusal of the host system */
    ERROR_DIVERGED = -7, /* the replay differs from the recording */
};

struct error {
    char text[768]; /* one line, no newline, NUL-terminated */
};

/* Fills error->text (cut to fit) and returns `code`. `error` may be NULL. */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns from the calling function when `expression` is a negative code. */
#define TRY(expression)                                                        \
    do {                                                                       \
        int try_code_ = (expression);                                          \
        if (try_code_ < 0)                                                     \
            return try_code_;                                                  \
    } while (0)

#endif
