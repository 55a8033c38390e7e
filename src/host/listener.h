/*
 * A listening socket that takes one peer at a time: where gdb connects to.
 */
#ifndef HOST_LISTENER_H
#define HOST_LISTENER_H

#include <stdint.h>

#include "util/error.h"

struct listener {
    int listening; /* descriptors, -1: none */
    int peer;
    char path[108]; /* of a unix socket, removed on close */
};

/*
 * Listens at "unix:PATH", "[HOST]:PORT" or "PORT"; HOST is a loopback name or
 * address only. An existing socket at PATH is replaced, any other file is not.
 * Returns 0, ERROR_USAGE for an address that is none, ERROR_HOST when the
 * system refuses.
 */
int listener_open(struct listener *listener, const char *address, struct error *error);
void listener_close(struct listener *listener);

/* Waits for a peer. 0, or ERROR_HOST (a signal among the reasons). */
int listener_accept(struct listener *listener, struct error *error);

/* Reads what is there: bytes read, 0 when nothing came within timeout_ms (-1:
 * for ever) or a signal cut the wait short, -1 when the peer has gone. */
int listener_read(struct listener *listener, uint8_t *bytes, unsigned size, int timeout_ms);
/* Writes all; 0, or -1 when the peer has gone. */
int listener_write(struct listener *listener, const uint8_t *bytes, unsigned length);

#endif
