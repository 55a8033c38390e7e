/*
 * A file that is written from its beginning to its end: the trace.
 */
#ifndef HOST_OUTPUT_H
#define HOST_OUTPUT_H

#include <stdint.h>

#include "host/file.h"
#include "util/error.h"

struct host_output {
    int descriptor; /* -1: not open */
    const char *path;
};

/*
 * Creates or empties `path` (kept by reference). Refuses, before it is
 * emptied, a file that is one of `inputs`. ERROR_FILE when it cannot be done.
 */
int host_output_open(struct host_output *output, const char *path,
                     const struct host_file *inputs, unsigned count, struct error *error);

/* Appends all `length` bytes: 0, ERROR_SPACE, or ERROR_HOST. What was written
 * stays. */
int host_output_write(struct host_output *output, const void *bytes, uint64_t length,
                      struct error *error);

/* ERROR_HOST when the file system reports a late error. */
int host_output_close(struct host_output *output, struct error *error);

#endif
