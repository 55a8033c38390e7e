/*
 * The gdb remote serial protocol over a byte stream, driving time travel.
 * (gdb manual, appendix E)
 *
 * Each vCPU is a thread, number n + 1. Packets come from outside: each is
 * length-limited, checked, and answered with E01 or an empty reply when it
 * asks for what does not exist.
 */
#ifndef DEBUG_GDB_H
#define DEBUG_GDB_H

#include <stdint.h>

#include "debug/travel.h"

/* The stream. `read` waits up to timeout_ms (-1: for ever) and returns the
 * bytes read, 0 when none came, -1 when the peer has gone. `write` sends all
 * or returns -1. */
struct gdb_stream {
    void *context;
    int (*read)(void *context, uint8_t *bytes, unsigned size, int timeout_ms);
    int (*write)(void *context, const uint8_t *bytes, unsigned length);
};

enum gdb_end {
    GDB_DETACHED, /* gdb detached or the stream closed: the session is over */
    GDB_KILLED,   /* gdb's kill */
    GDB_FAILED,   /* `error` is set */
};

/* Serves one gdb from where the player is until it leaves. */
enum gdb_end gdb_serve(struct player *player, const struct gdb_stream *stream, struct error *error);

#endif
