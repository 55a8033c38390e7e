/*
 * The gdb remote serial protocol; see gdb.h.
 *
 * Not modelled: non-stop mode, the file and process packets, memory maps.
 * Writes to memory and registers change the replay; going backwards undoes
 * them, going on forwards may diverge, and is then reported.
 */
#include "debug/gdb.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cpu/memory.h"
#include "debug/registers.h"
#include "machine/machine.h"

#define PACKET_BYTES 16384u
#define MEMORY_BYTES (PACKET_BYTES / 2 - 16)
#define INTERRUPT 0x03

struct gdb {
    struct player *player;
    struct machine *machine;
    struct travel *travel;
    struct gdb_stream stream;
    struct error *error;
    bool no_acknowledge, closed, done, pending_interrupt;
    enum gdb_end end;
    unsigned cpu; /* the thread that g, m, s ... mean */
    uint8_t input[4096];
    unsigned input_used, input_length;
    char packet[PACKET_BYTES + 1];
    unsigned packet_length;
    char reply[PACKET_BYTES + 1];
    unsigned reply_length;
    char xml[PACKET_BYTES];
};

/* Bytes in */

static int next_byte(struct gdb *gdb, int timeout_ms)
{
    if (gdb->input_used == gdb->input_length) {
        int got = gdb->stream.read(gdb->stream.context, gdb->input, sizeof gdb->input, timeout_ms);
        if (got < 0)
            gdb->closed = true;
        if (got <= 0)
            return -1;
        gdb->input_used = 0;
        gdb->input_length = (unsigned)got;
    }
    return gdb->input[gdb->input_used++];
}

/* While the machine runs: has the user pressed Ctrl-C, or gone? */
static bool interrupted(void *context)
{
    struct gdb *gdb = context;
    if (gdb->input_used == gdb->input_length && next_byte(gdb, 0) >= 0)
        gdb->input_used--;
    if (gdb->closed)
        return true;
    if (gdb->input_used < gdb->input_length && gdb->input[gdb->input_used] == INTERRUPT) {
        gdb->input_used++;
        return true;
    }
    return false;
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static void send_bytes(struct gdb *gdb, const char *bytes, unsigned length)
{
    if (!gdb->closed && gdb->stream.write(gdb->stream.context, (const uint8_t *)bytes, length) < 0)
        gdb->closed = true;
}

/* Reads "$...#xx" into gdb->packet; false when the peer has gone. A packet too
 * long or with a wrong sum is refused and the next one awaited. */
static bool read_packet(struct gdb *gdb)
{
    for (;;) {
        int c;
        do
            c = next_byte(gdb, -1);
        while (c >= 0 && c != '$');
        uint8_t sum = 0;
        bool fits = true;
        gdb->packet_length = 0;
        while ((c = next_byte(gdb, -1)) >= 0 && c != '#') {
            sum = (uint8_t)(sum + c);
            fits &= gdb->packet_length < PACKET_BYTES;
            if (fits)
                gdb->packet[gdb->packet_length++] = (char)c;
        }
        int high = hex_digit(next_byte(gdb, -1)), low = hex_digit(next_byte(gdb, -1));
        if (gdb->closed)
            return false;
        bool good = fits && high >= 0 && low >= 0 && (high << 4 | low) == sum;
        if (!gdb->no_acknowledge)
            send_bytes(gdb, good ? "+" : "-", 1);
        if (good) {
            gdb->packet[gdb->packet_length] = '\0';
            return true;
        }
    }
}

/* Replies out */

static void __attribute__((format(printf, 2, 3))) reply(struct gdb *gdb, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(gdb->reply + gdb->reply_length, PACKET_BYTES - gdb->reply_length, format, arguments);
    va_end(arguments);
    if (wrote > 0)
        gdb->reply_length += (unsigned)wrote;
    if (gdb->reply_length > PACKET_BYTES - 1)
        gdb->reply_length = PACKET_BYTES - 1;
}

static void reply_hex(struct gdb *gdb, const uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++)
        reply(gdb, "%02x", bytes[i]);
}

static void send_reply(struct gdb *gdb)
{
    uint8_t sum = 0;
    char tail[4];
    for (unsigned i = 0; i < gdb->reply_length; i++)
        sum = (uint8_t)(sum + gdb->reply[i]);
    snprintf(tail, sizeof tail, "#%02x", sum);
    send_bytes(gdb, "$", 1);
    send_bytes(gdb, gdb->reply, gdb->reply_length);
    send_bytes(gdb, tail, 3);
}

/* Parsing */

static const char *parse_hex(const char *text, uint64_t *value)
{
    *value = 0;
    for (unsigned digits = 0; hex_digit(*text) >= 0 && digits < 16; digits++)
        *value = *value << 4 | (unsigned)hex_digit(*text++);
    return text;
}

static bool parse_bytes(const char *text, uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        int high = hex_digit(text[2 * i]), low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static struct cpu *selected(struct gdb *gdb)
{
    return gdb->machine->cpus[gdb->cpu];
}

/* Running */

static const char *watch_name(uint32_t kind)
{
    return kind == DEBUG_WATCH_WRITE ? "watch" : kind == DEBUG_WATCH_READ ? "rwatch" : "awatch";
}

static void reply_stop(struct gdb *gdb, enum travel_stop stop)
{
    unsigned cpu = stop == TRAVEL_INTERRUPTED || stop == TRAVEL_END ? gdb->machine->s.current_cpu
                                                                    : travel_cpu(gdb->travel);
    gdb->cpu = cpu < gdb->machine->cpu_count ? cpu : 0;
    reply(gdb, "T%02xthread:%x;", stop == TRAVEL_INTERRUPTED ? 2 : stop == TRAVEL_DIVERGED ? 6 : 5, gdb->cpu + 1);
    if (stop == TRAVEL_WATCHPOINT)
        reply(gdb, "%s:%" PRIx64 ";", watch_name(travel_hit(gdb->travel)->kind),
              travel_hit(gdb->travel)->address);
    else if (stop == TRAVEL_BREAKPOINT)
        reply(gdb, "hwbreak:;");
    else if (stop == TRAVEL_BEGIN)
        reply(gdb, "replaylog:begin;");
    else if (stop == TRAVEL_END || stop == TRAVEL_DIVERGED)
        reply(gdb, "replaylog:end;");
}

static void finish_run(struct gdb *gdb, enum travel_stop stop)
{
    if (stop == TRAVEL_ERROR) {
        gdb->end = GDB_FAILED;
        gdb->done = true;
        reply(gdb, "E01");
        return;
    }
    reply_stop(gdb, stop);
}

static void resume(struct gdb *gdb, char action)
{
    finish_run(gdb, action == 's' ? travel_step(gdb->travel, gdb->cpu, gdb->error)
                                  : travel_continue(gdb->travel, gdb->error));
}

/* vCont;s:1;c: a step of the named thread wins over continuing the others. */
static void resume_list(struct gdb *gdb, const char *text)
{
    char action = 'c';
    while (*text == ';') {
        char what = text[1];
        uint64_t thread = 0;
        text += 2;
        while (*text && *text != ':' && *text != ';')
            text++;
        if (*text == ':')
            text = parse_hex(text + 1, &thread);
        while (*text && *text != ';')
            text++;
        if ((what == 's' || what == 'S') && action == 'c') {
            action = 's';
            if (thread >= 1 && thread <= gdb->machine->cpu_count)
                gdb->cpu = (unsigned)thread - 1;
        }
    }
    resume(gdb, action);
}

/* Registers and memory */

static void read_register(struct gdb *gdb, const char *text)
{
    uint64_t number;
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    parse_hex(text, &number);
    unsigned size = number < registers_count() ? registers_size((unsigned)number) : 0;
    if (!size) {
        reply(gdb, "E01");
        return;
    }
    registers_read(selected(gdb), (unsigned)number, bytes);
    reply_hex(gdb, bytes, size);
}

static void write_register(struct gdb *gdb, const char *text)
{
    uint64_t number;
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    text = parse_hex(text, &number);
    unsigned size = number < registers_count() ? registers_size((unsigned)number) : 0;
    bool good = size && *text == '=' && parse_bytes(text + 1, bytes, size)
                && registers_write(selected(gdb), (unsigned)number, bytes) == 0;
    reply(gdb, good ? "OK" : "E01");
}

static void read_all_registers(struct gdb *gdb)
{
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    for (unsigned i = 0; i < registers_count(); i++) {
        registers_read(selected(gdb), i, bytes);
        reply_hex(gdb, bytes, registers_size(i));
    }
}

/* Read-only ones among them are passed over: gdb writes back what it read. */
static void write_all_registers(struct gdb *gdb, const char *text)
{
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    for (unsigned i = 0; i < registers_count(); i++) {
        if (!parse_bytes(text, bytes, registers_size(i)))
            break;
        registers_write(selected(gdb), i, bytes);
        text += 2 * registers_size(i);
    }
    reply(gdb, "OK");
}

static void read_memory(struct gdb *gdb, const char *text)
{
    uint64_t address, length;
    uint8_t bytes[MEMORY_BYTES];
    text = parse_hex(text, &address);
    if (*text != ',') {
        reply(gdb, "E01");
        return;
    }
    parse_hex(text + 1, &length);
    if (length > MEMORY_BYTES)
        length = MEMORY_BYTES;
    unsigned got = memory_debug_read(selected(gdb), address, bytes, (unsigned)length);
    if (got == 0 && length)
        reply(gdb, "E14");
    else
        reply_hex(gdb, bytes, got);
}

static void write_memory(struct gdb *gdb, const char *text, bool binary)
{
    uint64_t address, length;
    uint8_t bytes[MEMORY_BYTES];
    text = parse_hex(text, &address);
    text = parse_hex(*text == ',' ? text + 1 : text, &length);
    const char *end = gdb->packet + gdb->packet_length;
    if (*text++ != ':' || length > MEMORY_BYTES) {
        reply(gdb, "E01");
        return;
    }
    unsigned count = 0;
    if (binary) {
        for (; text < end && count < length; text++)
            bytes[count++] = (uint8_t)(*text == '}' && text + 1 < end ? *++text ^ 0x20 : *text);
    } else if (parse_bytes(text, bytes, (unsigned)length)) {
        count = (unsigned)length;
    }
    bool good = count == length && memory_debug_write(selected(gdb), address, bytes, count) == count;
    reply(gdb, good ? "OK" : "E14");
}

static void change_point(struct gdb *gdb, const char *text, bool add)
{
    uint64_t address, length = 1;
    char type = text[1];
    if (type < '0' || type > '4' || text[2] != ',')
        return; /* empty reply: not supported */
    text = parse_hex(text + 3, &address);
    if (*text == ',')
        parse_hex(text + 1, &length);
    enum debug_kind kind = type <= '1' ? DEBUG_BREAK
                           : type == '2' ? DEBUG_WATCH_WRITE
                           : type == '3' ? DEBUG_WATCH_READ
                                         : DEBUG_WATCH_ACCESS;
    uint32_t bytes = kind == DEBUG_BREAK ? 1 : length > PAGE_BYTES ? 0 : (uint32_t)length;
    int result = add ? travel_add_point(gdb->travel, kind, address, bytes)
                     : travel_remove_point(gdb->travel, kind, address, bytes);
    reply(gdb, result == 0 ? "OK" : "E01");
}

/* Queries */

static void transfer_features(struct gdb *gdb, const char *text)
{
    uint64_t offset, length;
    if (!starts(text, "target.xml:")) {
        reply(gdb, "E00");
        return;
    }
    text = parse_hex(text + strlen("target.xml:"), &offset);
    parse_hex(*text == ',' ? text + 1 : text, &length);
    unsigned total = registers_description(gdb->xml, sizeof gdb->xml);
    if (offset > total)
        offset = total;
    if (length > PACKET_BYTES - 64)
        length = PACKET_BYTES - 64;
    bool last = total - offset <= length;
    reply(gdb, "%c%.*s", last ? 'l' : 'm', (int)(last ? total - offset : length), gdb->xml + offset);
}

static void reply_text(struct gdb *gdb, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void reply_text(struct gdb *gdb, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    reply_hex(gdb, (const uint8_t *)text, (unsigned)strlen(text));
}

/* "monitor ..." */
static void monitor(struct gdb *gdb, const char *hex)
{
    char command[256] = "";
    unsigned length = (unsigned)strlen(hex) / 2;
    if (length >= sizeof command || !parse_bytes(hex, (uint8_t *)command, length)) {
        reply(gdb, "E01");
        return;
    }
    if (starts(command, "where")) {
        reply_text(gdb, "instruction %" PRIu64 " of %" PRIu64 "\n", travel_position(gdb->travel),
                   player_end(gdb->player).instructions);
    } else if (starts(command, "seek ")) {
        uint64_t target = strtoull(command + 5, NULL, 0);
        enum travel_stop stop = travel_seek(gdb->travel, target, gdb->error);
        if (stop == TRAVEL_ERROR)
            reply_text(gdb, "%s\n", gdb->error->text);
        else
            reply_text(gdb, "instruction %" PRIu64 "; type 'flushregs' to see it\n",
                       travel_position(gdb->travel));
    } else {
        reply_text(gdb, "monitor where        the instruction count\n"
                        "monitor seek COUNT   go to an instruction count\n");
    }
}

static void query(struct gdb *gdb, const char *text)
{
    if (starts(text, "qSupported")) {
        reply(gdb, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;ReverseStep+;"
                   "ReverseContinue+;hwbreak+;vContSupported+",
              PACKET_BYTES - 64);
    } else if (starts(text, "qXfer:features:read:")) {
        transfer_features(gdb, text + strlen("qXfer:features:read:"));
    } else if (starts(text, "qfThreadInfo")) {
        reply(gdb, "m1");
        for (unsigned i = 1; i < gdb->machine->cpu_count; i++)
            reply(gdb, ",%x", i + 1);
    } else if (starts(text, "qsThreadInfo")) {
        reply(gdb, "l");
    } else if (starts(text, "qThreadExtraInfo,")) {
        uint64_t thread;
        static const char *const activities[] = { "running", "halted", "waiting for SIPI", "shut down" };
        parse_hex(text + strlen("qThreadExtraInfo,"), &thread);
        if (thread >= 1 && thread <= gdb->machine->cpu_count)
            reply_text(gdb, "vCPU %u %s", (unsigned)thread - 1,
                       activities[gdb->machine->cpus[thread - 1]->s.activity & 3]);
    } else if (strcmp(text, "qC") == 0) {
        reply(gdb, "QC%x", gdb->cpu + 1);
    } else if (starts(text, "qAttached")) {
        reply(gdb, "1");
    } else if (starts(text, "qRcmd,")) {
        monitor(gdb, text + strlen("qRcmd,"));
    } else if (starts(text, "QStartNoAckMode")) {
        gdb->no_acknowledge = true;
        reply(gdb, "OK");
    }
}

static void select_thread(struct gdb *gdb, const char *text)
{
    uint64_t thread;
    if (*text == 0 || text[1] == '-' || text[1] == '0') { /* all or any */
        reply(gdb, "OK");
        return;
    }
    parse_hex(text + 1, &thread);
    bool good = thread >= 1 && thread <= gdb->machine->cpu_count;
    if (good)
        gdb->cpu = (unsigned)thread - 1;
    reply(gdb, good ? "OK" : "E01");
}

static void leave(struct gdb *gdb, enum gdb_end end)
{
    gdb->done = true;
    gdb->end = end;
}

static void handle(struct gdb *gdb)
{
    const char *text = gdb->packet;
    uint64_t thread;
    switch (text[0]) {
    case '?': reply_stop(gdb, TRAVEL_STEPPED); break;
    case 'g': read_all_registers(gdb); break;
    case 'G': write_all_registers(gdb, text + 1); break;
    case 'p': read_register(gdb, text + 1); break;
    case 'P': write_register(gdb, text + 1); break;
    case 'm': read_memory(gdb, text + 1); break;
    case 'M': write_memory(gdb, text + 1, false); break;
    case 'X': write_memory(gdb, text + 1, true); break;
    case 'Z': change_point(gdb, text, true); break;
    case 'z': change_point(gdb, text, false); break;
    case 'c': case 'C': resume(gdb, 'c'); break;
    case 's': case 'S': resume(gdb, 's'); break;
    case 'b':
        if (text[1] == 's')
            finish_run(gdb, travel_reverse_step(gdb->travel, gdb->cpu, gdb->error));
        else if (text[1] == 'c')
            finish_run(gdb, travel_reverse_continue(gdb->travel, gdb->error));
        break;
    case 'v':
        if (strcmp(text, "vCont?") == 0)
            reply(gdb, "vCont;c;C;s;S");
        else if (starts(text, "vCont;"))
            resume_list(gdb, text + 5);
        else if (starts(text, "vKill"))
            leave(gdb, GDB_KILLED), reply(gdb, "OK");
        break;
    case 'H': select_thread(gdb, text + 1); break;
    case 'T':
        parse_hex(text + 1, &thread);
        reply(gdb, thread >= 1 && thread <= gdb->machine->cpu_count ? "OK" : "E01");
        break;
    case 'q': case 'Q': query(gdb, text); break;
    case 'D': leave(gdb, GDB_DETACHED); reply(gdb, "OK"); break;
    case 'k': leave(gdb, GDB_KILLED); break;
    default: break; /* the empty reply: not supported */
    }
}

enum gdb_end gdb_serve(struct player *player, const struct gdb_stream *stream, struct error *error)
{
    struct gdb *gdb = calloc(1, sizeof *gdb);
    struct travel *travel = gdb ? travel_create(player, interrupted, gdb) : NULL;
    if (!travel) {
        free(gdb);
        error_set(error, ERROR_MEMORY, "out of host memory for the debugger");
        return GDB_FAILED;
    }
    gdb->player = player;
    gdb->machine = player_machine(player);
    gdb->travel = travel;
    gdb->stream = *stream;
    gdb->error = error;
    gdb->end = GDB_DETACHED;
    while (!gdb->done && read_packet(gdb)) {
        gdb->reply_length = 0;
        handle(gdb);
        if (gdb->packet[0] != 'k')
            send_reply(gdb);
    }
    enum gdb_end end = gdb->end;
    travel_destroy(travel);
    free(gdb);
    return end;
}
