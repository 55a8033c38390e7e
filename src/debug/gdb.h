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

#include "debug/packet.h"
#include "debug/registers.h"
#include "debug/travel.h"

enum gdb_end {
    GDB_DETACHED, /* gdb detached or the stream closed: the session is over */
    GDB_KILLED,   /* gdb's kill */
    GDB_FAILED,   /* no memory; `error` is set */
};

/* Serves one gdb from where the player is until it leaves. *set is what it is
 * told of the registers; the user may choose another for the next one. */
enum gdb_end gdb_serve(struct player *player, const struct gdb_stream *stream,
                       enum registers_set *set, struct error *error);

#endif
