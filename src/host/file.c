/*
 * Read-only input files.
 *
 * A file is mapped, not copied: a disk image may be larger than memory. It
 * must stay as it is for the run; host_file_changed tells when it did not
 * (host/signals.c deals with a mapping that was cut short).
 */
#include "host/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

void host_hash(const void *bytes, uint64_t length, uint8_t hash[16])
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, length));
    memcpy(hash, canonical.digest, 16);
}

static int map(struct host_file *file, const char *what, const char *path, struct error *error)
{
    struct stat status;
    if (fstat(file->descriptor, &status) < 0)
        return error_set(error, ERROR_FILE, "%s %s: %s", what, path, strerror(errno));
    if (S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FILE, "%s %s: is a directory; name a file", what, path);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_FILE, "%s %s: is not a regular file", what, path);
    if (status.st_size == 0)
        return error_set(error, ERROR_FILE, "%s %s: is empty", what, path);
    file->size = (uint64_t)status.st_size;
    file->changed_s = status.st_mtim.tv_sec;
    file->changed_ns = status.st_mtim.tv_nsec;
    void *bytes = mmap(NULL, file->size, PROT_READ, MAP_PRIVATE, file->descriptor, 0);
    if (bytes == MAP_FAILED)
        return error_set(error, ERROR_FILE, "%s %s: cannot be mapped: %s", what, path,
                         strerror(errno));
    file->bytes = bytes;
    host_hash(bytes, file->size, file->hash);
    return 0;
}

int host_file_open(struct host_file *file, const char *what, const char *path, struct error *error)
{
    memset(file, 0, sizeof *file);
    /* O_NONBLOCK: a FIFO must not hold us up before it is refused. */
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->descriptor < 0)
        return error_set(error, ERROR_FILE, "%s %s: %s", what, path, strerror(errno));
    int code = map(file, what, path, error);
    if (code < 0) {
        close(file->descriptor);
        memset(file, 0, sizeof *file);
    }
    return code;
}

void host_file_close(struct host_file *file)
{
    if (!file->bytes)
        return;
    munmap((void *)(uintptr_t)file->bytes, file->size);
    close(file->descriptor);
    memset(file, 0, sizeof *file);
}

bool host_file_changed(const struct host_file *file)
{
    struct stat status;
    return file->bytes && fstat(file->descriptor, &status) == 0 &&
           ((uint64_t)status.st_size != file->size || status.st_mtim.tv_sec != file->changed_s ||
            status.st_mtim.tv_nsec != file->changed_ns);
}
