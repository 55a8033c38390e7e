/* A listening socket; see listener.h. */
#include "host/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int refuse(struct listener *listener, const char *address, struct error *error)
{
    int reason = errno;
    listener_close(listener);
    return error_set(error, ERROR_HOST, "cannot listen at %s: %s", address, strerror(reason));
}

static int open_unix(struct listener *listener, const char *address, struct error *error)
{
    const char *path = address + strlen("unix:");
    struct sockaddr_un name = { .sun_family = AF_UNIX };
    struct stat status;
    if (!*path || strlen(path) >= sizeof name.sun_path)
        return error_set(error, ERROR_USAGE, "%s: a socket path has 1 to %zu bytes", address,
                         sizeof name.sun_path - 1);
    strcpy(name.sun_path, path);
    if (stat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(path);
    listener->listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener->listening < 0
        || bind(listener->listening, (struct sockaddr *)&name, sizeof name) < 0)
        return refuse(listener, address, error);
    strcpy(listener->path, path);
    return listen(listener->listening, 1) < 0 ? refuse(listener, address, error) : 0;
}

static int open_tcp(struct listener *listener, const char *address, struct error *error)
{
    const char *colon = strrchr(address, ':');
    const char *digits = colon ? colon + 1 : address;
    size_t host = colon ? (size_t)(colon - address) : 0;
    char *end;
    unsigned long port = strtoul(digits, &end, 10);
    bool loopback = host == 0 || (host == 9 && strncmp(address, "localhost", 9) == 0)
                    || (host == 9 && strncmp(address, "127.0.0.1", 9) == 0);
    if (!*digits || *end || port == 0 || port > 65535 || !loopback)
        return error_set(error, ERROR_USAGE,
                         "%s: no address to listen at: give localhost:PORT or unix:PATH", address);
    struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int on = 1;
    listener->listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener->listening < 0)
        return refuse(listener, address, error);
    setsockopt(listener->listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener->listening, (struct sockaddr *)&name, sizeof name) < 0
        || listen(listener->listening, 1) < 0)
        return refuse(listener, address, error);
    return 0;
}

int listener_open(struct listener *listener, const char *address, struct error *error)
{
    *listener = (struct listener){ -1, -1, "" };
    return strncmp(address, "unix:", 5) == 0 ? open_unix(listener, address, error)
                                             : open_tcp(listener, address, error);
}

void listener_close(struct listener *listener)
{
    if (listener->peer >= 0)
        close(listener->peer);
    if (listener->listening >= 0)
        close(listener->listening);
    if (listener->path[0])
        unlink(listener->path);
    *listener = (struct listener){ -1, -1, "" };
}

int listener_accept(struct listener *listener, struct error *error)
{
    int on = 1;
    listener->peer = accept4(listener->listening, NULL, NULL, SOCK_CLOEXEC);
    if (listener->peer < 0)
        return error_set(error, ERROR_HOST, "nobody connected: %s", strerror(errno));
    setsockopt(listener->peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return 0;
}

int listener_read(struct listener *listener, uint8_t *bytes, unsigned size, int timeout_ms)
{
    struct pollfd ready = { .fd = listener->peer, .events = POLLIN };
    if (poll(&ready, 1, timeout_ms) <= 0)
        return 0;
    ssize_t got = recv(listener->peer, bytes, size, 0);
    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    return got <= 0 ? -1 : (int)got;
}

int listener_write(struct listener *listener, const uint8_t *bytes, unsigned length)
{
    while (length) {
        ssize_t sent = send(listener->peer, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return -1;
        bytes += sent;
        length -= (unsigned)sent;
    }
    return 0;
}
