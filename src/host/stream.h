/*
 * One client over a local byte stream: a unix socket, or TCP on loopback.
 * A debugger can read and change everything, so no other address is served.
 */
#ifndef HOST_STREAM_H
#define HOST_STREAM_H

#include <stdint.h>

#include "util/error.h"

#define HOST_STREAM_PATH 108

struct host_stream {
    int listener;                /* -1: none */
    int client;                  /* -1: none */
    char path[HOST_STREAM_PATH]; /* unix socket to remove, "" for TCP */
    char name[HOST_STREAM_PATH + 16]; /* where it listens, as gdb would write it */
};

/* Listens at "PORT", ":PORT", "localhost:PORT", "127.0.0.1:PORT" or
 * "unix:PATH". Port 0 picks one; see `name`. A socket that nobody serves any
 * more is replaced, any other file is not. ERROR_USAGE, ERROR_HOST. */
int host_stream_listen(struct host_stream *stream, const char *address, struct error *error);

/* Waits for a client, after the one before was dropped. Returns 0, 1 when a
 * signal asked to stop, or ERROR_HOST. */
int host_stream_accept(struct host_stream *stream, struct error *error);
/* Ends the connection to the client. */
void host_stream_drop(struct host_stream *stream);

/* Waits up to timeout_ms (-1: for ever) for bytes: how many came, 0 when none
 * did, -1 when the client has gone or, waiting for ever, a signal asked to stop. */
int host_stream_read(struct host_stream *stream, uint8_t *bytes, unsigned size, int timeout_ms);

/* Sends all: 0, or -1 when the client has gone. */
int host_stream_write(struct host_stream *stream, const uint8_t *bytes, unsigned length);

void host_stream_close(struct host_stream *stream);

#endif
