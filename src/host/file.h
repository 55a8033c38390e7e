/*
 * Files that a machine is made of: read-only, regular, mapped whole.
 */
#ifndef HOST_FILE_H
#define HOST_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

struct host_file {
    const uint8_t *bytes; /* NULL when not open */
    uint64_t size;
    uint8_t hash[16];     /* XXH3-128, canonical form */
    int descriptor;       /* of the mapped file, to see that it stays as it is */
    int64_t changed_s;    /* time of its last change when it was mapped */
    int64_t changed_ns;
};

/*
 * Maps `path` and hashes its content: cost one read of the file. ERROR_FILE
 * when it is missing, unreadable, no regular file, or empty; `what` names its
 * role in the message ("kernel", "drive0", "trace").
 */
int host_file_open(struct host_file *file, const char *what, const char *path,
                   struct error *error);
void host_file_close(struct host_file *file);

/* True when the file was written to since it was opened: its content may no
 * longer be what `hash` says. */
bool host_file_changed(const struct host_file *file);

/* XXH3-128 of `length` bytes in canonical form. */
void host_hash(const void *bytes, uint64_t length, uint8_t hash[16]);

#endif
