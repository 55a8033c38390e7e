/* groundhog replay --gdb; see replay_gdb.h. */
#include "cli/replay_gdb.h"

#include <stdio.h>

#include "debug/gdb.h"
#include "host/listener.h"

static int stream_read(void *context, uint8_t *bytes, unsigned size, int timeout_ms)
{
    /* A signal ends the wait with nothing read: ask again only a while. */
    return listener_read(context, bytes, size, timeout_ms);
}

static int stream_write(void *context, const uint8_t *bytes, unsigned length)
{
    return listener_write(context, bytes, length);
}

int replay_gdb(struct player *player, const char *address, bool quiet, struct error *error)
{
    struct listener listener;
    TRY(listener_open(&listener, address, error));
    if (!quiet)
        fprintf(stderr, "groundhog: waiting for gdb: target remote %s\n",
                listener.path[0] ? listener.path : address);
    int code = listener_accept(&listener, error);
    if (code == 0) {
        const struct gdb_stream stream = { &listener, stream_read, stream_write };
        if (gdb_serve(player, &stream, error) == GDB_FAILED)
            code = ERROR_HOST;
    }
    listener_close(&listener);
    return code;
}
