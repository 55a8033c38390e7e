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
    enum registers_set set = REGISTERS_64;
    enum gdb_end end = GDB_KILLED;
    int code = 0;
    do {
        if (!quiet)
            fprintf(stderr, "groundhog: waiting for gdb: target remote %s\n", host.name);
        code = host_stream_accept(&host, error);
        if (code)
            break;
        end = gdb_serve(player, &stream, &set, error);
        host_stream_drop(&host);
        if (end == GDB_FAILED)
            code = ERROR_HOST;
    } while (end == GDB_DETACHED);
    host_stream_close(&host);
    return code < 0 ? code : 0;
}
