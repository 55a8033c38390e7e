/* Local byte streams; see stream.h. */
#include "host/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/signals.h"

/* A signal that comes between a look at it and a wait is noticed after this. */
#define WAKE_MS 100

static int failed(struct host_stream *stream, const char *address, struct error *error)
{
    int reason = errno;
    host_stream_close(stream);
    return error_set(error, ERROR_HOST, "cannot listen at %s: %s", address, strerror(reason));
}

/* Whether somebody serves this socket. */
static bool is_served(const struct sockaddr_un *address)
{
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int result = connect(probe, (const struct sockaddr *)address, sizeof *address);
    bool served = result == 0 || errno == EAGAIN;
    if (probe >= 0)
        close(probe);
    return served;
}

static int listen_unix(struct host_stream *stream, const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (!path[0] || strlen(path) >= sizeof address.sun_path)
        return error_set(error, ERROR_USAGE, "unix:%s: give a path of at most %zu bytes", path,
                         sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode) && !is_served(&address))
        unlink(path); /* left by an earlier run */
    stream->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream->listener < 0 ||
        bind(stream->listener, (struct sockaddr *)&address, sizeof address) < 0)
        return failed(stream, path, error);
    strcpy(stream->path, path);
    strcpy(stream->name, path);
    return listen(stream->listener, 1) < 0 ? failed(stream, path, error) : 0;
}

/* The port of a loopback address, -1 when it is none. */
static long parse_port(const char *address)
{
    static const char *const prefixes[] = {"localhost:", "127.0.0.1:", ":", ""};
    for (unsigned i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t length = strlen(prefixes[i]);
        const char *digits = address + length;
        if (strncmp(address, prefixes[i], length) != 0 || !digits[0] ||
            strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > 5)
            continue;
        long port = strtol(digits, NULL, 10);
        return port <= 65535 ? port : -1;
    }
    return -1;
}

int host_stream_listen(struct host_stream *stream, const char *address, struct error *error)
{
    memset(stream, 0, sizeof *stream);
    stream->listener = stream->client = -1;
    if (strncmp(address, "unix:", 5) == 0)
        return listen_unix(stream, address + 5, error);
    long port = parse_port(address);
    if (port < 0)
        return error_set(error, ERROR_USAGE,
                         "%s: use localhost:PORT, PORT or unix:PATH; no other address is served",
                         address);
    struct sockaddr_in inet = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t length = sizeof inet;
    int one = 1;
    stream->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (stream->listener < 0 ||
        setsockopt(stream->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(stream->listener, (struct sockaddr *)&inet, sizeof inet) < 0 ||
        listen(stream->listener, 1) < 0 ||
        getsockname(stream->listener, (struct sockaddr *)&inet, &length) < 0)
        return failed(stream, address, error);
    snprintf(stream->name, sizeof stream->name, "localhost:%u", ntohs(inet.sin_port));
    return 0;
}

int host_stream_accept(struct host_stream *stream, struct error *error)
{
    struct pollfd wait = {.fd = stream->listener, .events = POLLIN};
    int one = 1;
    while (poll(&wait, 1, WAKE_MS) <= 0)
        if (signals_stop())
            return 1;
    stream->client = accept4(stream->listener, NULL, NULL, SOCK_CLOEXEC);
    if (stream->client < 0)
        return error_set(error, ERROR_HOST, "%s: %s", stream->name, strerror(errno));
    if (!stream->path[0])
        setsockopt(stream->client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return 0;
}

void host_stream_drop(struct host_stream *stream)
{
    if (stream->client >= 0)
        close(stream->client);
    stream->client = -1;
}

int host_stream_read(struct host_stream *stream, uint8_t *bytes, unsigned size, int timeout_ms)
{
    struct pollfd wait = {.fd = stream->client, .events = POLLIN};
    if (stream->client < 0)
        return -1;
    while (poll(&wait, 1, timeout_ms < 0 ? WAKE_MS : timeout_ms) <= 0) {
        if (timeout_ms >= 0)
            return 0;
        if (signals_stop())
            return -1;
    }
    ssize_t n = read(stream->client, bytes, size);
    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    return n > 0 ? (int)n : -1;
}

int host_stream_write(struct host_stream *stream, const uint8_t *bytes, unsigned length)
{
    while (length) {
        ssize_t n = send(stream->client, bytes, length, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR && !signals_stop())
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        length -= (unsigned)n;
    }
    return 0;
}

void host_stream_close(struct host_stream *stream)
{
    host_stream_drop(stream);
    if (stream->listener >= 0)
        close(stream->listener);
    if (stream->path[0])
        unlink(stream->path);
    stream->listener = -1;
    stream->path[0] = 0;
}
