/* replay --gdb; see debugger.h. */
#include "cli/debugger.h"

#include <stdio.h>

#include "debug/gdb.h"
#include "host/stream.h"

static int stream_read(void *context, uint8_t *bytes, unsigned size, int timeout_ms)
{
    return host_stream_read(context, bytes, size, timeout_ms);
}

static int stream_write(void *context, const uint8_t *bytes, unsigned length)
{
    return host_stream_write(context, bytes, length);
}

int debugger_serve(struct player *player, const char *address, bool quiet, struct error *error)
{
    struct host_stream host;
    struct gdb_stream stream = {&host, stream_read, stream_write};
    TRY(host_stream_listen(&host, address[0] ? address : DEBUGGER_ADDRESS, error));
    if (!quiet)
        fprintf(stderr, "groundhog: waiting for gdb: target remote %s\n", host.name);
    int code = host_stream_accept(&host, error);
    if (code == 0 && gdb_serve(player, &stream, error) == GDB_FAILED)
        code = ERROR_HOST;
    host_stream_close(&host);
    return code;
}
