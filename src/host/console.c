/*
 * Consoles on the host; see console.h.
 *
 * On a terminal in raw mode Ctrl-A is an escape: Ctrl-A x ends the run and
 * Ctrl-A Ctrl-A sends one to the guest; Ctrl-A and another key sends both.
 */
#include "host/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "host/signals.h"
#include "host/terminal.h"

#define CTRL_A 1

int console_parse(struct console_spec *spec, const char *option, const char *text,
                  struct error *error)
{
    memset(spec, 0, sizeof *spec);
    const char *path = NULL;
    if (strcmp(text, "none") == 0 || strcmp(text, "null") == 0)
        return 0;
    if (strcmp(text, "stdio") == 0 || strcmp(text, "mon:stdio") == 0) {
        spec->kind = CONSOLE_STDIO;
        return 0;
    }
    if (strncmp(text, "file:", 5) == 0) {
        spec->kind = CONSOLE_FILE;
        path = text + 5;
    } else if (strncmp(text, "unix:", 5) == 0) {
        spec->kind = CONSOLE_UNIX;
        path = text + 5;
    } else {
        return error_set(error, ERROR_USAGE, "%s %s: use stdio, file:PATH, unix:PATH or none",
                         option, text);
    }
    /* QEMU's ",server=on,wait=off" and the like say what is so in any case. */
    size_t length = spec->kind == CONSOLE_UNIX ? strcspn(path, ",") : strlen(path);
    if (length == 0 || length >= sizeof spec->path)
        return error_set(error, ERROR_USAGE, "%s %s: the path is empty or too long", option, text);
    memcpy(spec->path, path, length);
    return 0;
}

static int listen_at(struct console *console, const char *path, struct error *error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (strlen(path) >= sizeof address.sun_path)
        return error_set(error, ERROR_USAGE, "unix:%s: a socket's path has at most %zu bytes",
                         path, sizeof address.sun_path - 1);
    strcpy(address.sun_path, path);
    if (lstat(path, &status) == 0 && S_ISSOCK(status.st_mode))
        unlink(path); /* left by an earlier run */
    console->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (console->listener < 0 ||
        bind(console->listener, (struct sockaddr *)&address, sizeof address) < 0 ||
        listen(console->listener, 1) < 0) {
        int reason = errno;
        if (console->listener >= 0)
            close(console->listener);
        console->listener = -1;
        return error_set(error, ERROR_FILE, "unix:%s: %s", path, strerror(reason));
    }
    strcpy(console->path, path);
    return 0;
}

int console_open(struct console *console, const struct console_spec *spec, bool input,
                 struct error *error)
{
    memset(console, 0, sizeof *console);
    console->input = console->output = console->listener = -1;
    switch (spec->kind) {
    case CONSOLE_NONE:
        break;
    case CONSOLE_STDIO:
        console->output = STDOUT_FILENO;
        if (input) {
            console->input = STDIN_FILENO;
            console->raw = terminal_raw();
        }
        break;
    case CONSOLE_FILE:
        console->output = open(spec->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (console->output < 0)
            return error_set(error, ERROR_FILE, "file:%s: %s", spec->path, strerror(errno));
        break;
    case CONSOLE_UNIX:
        TRY(listen_at(console, spec->path, error));
        break;
    }
    console->kind = spec->kind;
    return 0;
}

static void drop_client(struct console *console)
{
    if (console->output >= 0)
        close(console->output);
    console->input = console->output = -1;
}

void console_close(struct console *console)
{
    console_flush(console);
    if (console->kind == CONSOLE_FILE || console->kind == CONSOLE_UNIX)
        drop_client(console);
    if (console->listener >= 0) {
        close(console->listener);
        unlink(console->path);
    }
    console->listener = console->input = console->output = -1;
    console->kind = CONSOLE_NONE;
}

/* A socket's client that has come meanwhile. */
static void take_client(struct console *console)
{
    if (console->listener < 0 || console->input >= 0)
        return;
    int client = accept4(console->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0)
        console->input = console->output = client;
}

/* Writes once; false when nothing more can be written to this console. */
static bool write_some(struct console *console, const uint8_t *bytes, unsigned length,
                       unsigned *written)
{
    ssize_t n = write(console->output, bytes, length);
    if (n >= 0) {
        *written += (unsigned)n;
        return true;
    }
    if (errno == EAGAIN || errno == EINTR) {
        struct pollfd wait = {.fd = console->output, .events = POLLOUT};
        poll(&wait, 1, 100);
        return !signals_stop();
    }
    return false;
}

void console_flush(struct console *console)
{
    unsigned written = 0;
    take_client(console);
    while (written < console->out_count && console->output >= 0) {
        if (write_some(console, console->out + written, console->out_count - written, &written))
            continue;
        if (console->kind == CONSOLE_UNIX)
            drop_client(console);
        else
            console->output = -1;
    }
    console->out_count = 0;
}

void console_write(struct console *console, const uint8_t *bytes, uint64_t length)
{
    if (console->kind == CONSOLE_NONE)
        return;
    for (uint64_t i = 0; i < length; i++) {
        console->out[console->out_count++] = bytes[i];
        if (bytes[i] == '\n' || console->out_count == CONSOLE_OUTPUT)
            console_flush(console);
    }
}

/* Puts bytes from the host into the empty buffer, the escape taken out. */
static void accept_bytes(struct console *console, const uint8_t *bytes, unsigned count)
{
    console->in_at = console->in_count = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!console->raw) {
            console->in[console->in_count++] = bytes[i];
        } else if (!console->escape) {
            console->escape = bytes[i] == CTRL_A;
            if (!console->escape)
                console->in[console->in_count++] = bytes[i];
        } else {
            console->escape = false;
            if (bytes[i] == 'x') {
                signals_request_stop(SIGINT);
                continue;
            }
            console->in[console->in_count++] = CTRL_A;
            if (bytes[i] != CTRL_A)
                console->in[console->in_count++] = bytes[i];
        }
    }
}

/* Reads what the host has now. */
static void fill(struct console *console)
{
    uint8_t bytes[CONSOLE_INPUT - 1]; /* a held Ctrl-A may add one */
    take_client(console);
    if (console->input < 0)
        return;
    struct pollfd ready = {.fd = console->input, .events = POLLIN};
    if (poll(&ready, 1, 0) <= 0)
        return;
    ssize_t n = read(console->input, bytes, sizeof bytes);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        accept_bytes(console, bytes, (unsigned)n);
        return;
    }
    /* The end of input, which ends nothing else. */
    if (console->kind == CONSOLE_UNIX)
        drop_client(console);
    else
        console->input = -1;
}

int console_read(struct console *console, bool peek)
{
    if (console->in_at == console->in_count)
        fill(console);
    if (console->in_at == console->in_count)
        return -1;
    uint8_t byte = console->in[console->in_at];
    console->in_at += !peek;
    return byte;
}

void console_wait(struct console *const *list, unsigned count, int milliseconds)
{
    struct pollfd wait[8];
    nfds_t used = 0;
    for (unsigned i = 0; i < count && used + 1 < sizeof wait / sizeof wait[0]; i++) {
        if (list[i]->in_at < list[i]->in_count)
            return;
        if (list[i]->input >= 0)
            wait[used++] = (struct pollfd){.fd = list[i]->input, .events = POLLIN};
        else if (list[i]->listener >= 0)
            wait[used++] = (struct pollfd){.fd = list[i]->listener, .events = POLLIN};
    }
    poll(wait, used, milliseconds);
}
