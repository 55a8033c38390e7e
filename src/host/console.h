/*
 * The host side of a serial port or debug console: where the guest's bytes go
 * and where the ones for the guest come from. Nothing here decides when a byte
 * reaches the guest; the door (src/replay) does.
 */
#ifndef HOST_CONSOLE_H
#define HOST_CONSOLE_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

enum console_kind { CONSOLE_NONE, CONSOLE_STDIO, CONSOLE_FILE, CONSOLE_UNIX };

#define CONSOLE_PATH 1024
#define CONSOLE_INPUT 256
#define CONSOLE_OUTPUT 4096

struct console_spec {
    enum console_kind kind;
    char path[CONSOLE_PATH]; /* CONSOLE_FILE, CONSOLE_UNIX */
};

struct console {
    enum console_kind kind;
    int input;    /* descriptors, -1: none (any more) */
    int output;
    int listener; /* CONSOLE_UNIX: the socket that waits for a client */
    bool raw;     /* a terminal in raw mode: Ctrl-A is ours */
    bool escape;  /* Ctrl-A was seen */
    char path[CONSOLE_PATH];
    uint8_t in[CONSOLE_INPUT];
    unsigned in_at, in_count;
    uint8_t out[CONSOLE_OUTPUT];
    unsigned out_count;
};

/* Parses "stdio", "none" ("null"), "file:PATH", "unix:PATH[,server][,nowait]".
 * ERROR_USAGE with `option` named when it is none of these. */
int console_parse(struct console_spec *spec, const char *option, const char *text,
                  struct error *error);

/*
 * Opens it. `input` false: bytes only go out. A file is created or emptied. A
 * unix socket is created, one client at a time may come and go; bytes written
 * while there is none are dropped. ERROR_FILE when that cannot be done.
 */
int console_open(struct console *console, const struct console_spec *spec, bool input,
                 struct error *error);
/* Flushes and closes. */
void console_close(struct console *console);

/* Writes bytes out, waiting while the host takes none. They are on their way
 * after each newline and at console_flush. Host errors end the output. */
void console_write(struct console *console, const uint8_t *bytes, uint64_t length);
void console_flush(struct console *console);

/* The next byte for the guest, -1 when there is none now; never waits. With
 * `peek` it stays the next one. */
int console_read(struct console *console, bool peek);

/* Waits until a console of the list has input, a signal came, or the time is
 * over. A console without any input yet to come does not end the wait. */
void console_wait(struct console *const *list, unsigned count, int milliseconds);

#endif
