/* Files that are written; see output.h. */
#include "host/output.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse_inputs(const struct host_output *output, const struct host_file *inputs,
                         unsigned count, struct error *error)
{
    struct stat own, other;
    if (fstat(output->descriptor, &own) < 0)
        return error_set(error, ERROR_HOST, "%s: %s", output->path, strerror(errno));
    for (unsigned i = 0; i < count; i++)
        if (inputs[i].bytes && fstat(inputs[i].descriptor, &other) == 0 &&
            own.st_dev == other.st_dev && own.st_ino == other.st_ino)
            return error_set(error, ERROR_FILE,
                             "%s: is a file that the machine is made of; write elsewhere",
                             output->path);
    if (S_ISREG(own.st_mode) && ftruncate(output->descriptor, 0) < 0)
        return error_set(error, ERROR_HOST, "%s: %s", output->path, strerror(errno));
    return 0;
}

int host_output_open(struct host_output *output, const char *path, const struct host_file *inputs,
                     unsigned count, struct error *error)
{
    output->path = path;
    output->descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (output->descriptor < 0)
        return error_set(error, ERROR_FILE, "%s: %s", path, strerror(errno));
    int code = refuse_inputs(output, inputs, count, error);
    if (code < 0) {
        close(output->descriptor);
        output->descriptor = -1;
    }
    return code;
}

int host_output_write(struct host_output *output, const void *bytes, uint64_t length,
                      struct error *error)
{
    const uint8_t *at = bytes;
    while (length) {
        ssize_t n = write(output->descriptor, at, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERROR_SPACE
                                                                            : ERROR_HOST;
            return error_set(error, code, "%s: cannot be written further: %s", output->path,
                             strerror(errno));
        }
        at += n;
        length -= (uint64_t)n;
    }
    return 0;
}

int host_output_close(struct host_output *output, struct error *error)
{
    if (output->descriptor < 0)
        return 0;
    int code = close(output->descriptor);
    output->descriptor = -1;
    return code < 0 ? error_set(error, ERROR_HOST, "%s: %s", output->path, strerror(errno)) : 0;
}
