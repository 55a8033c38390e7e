/*
 * The gdb remote serial protocol; see gdb.h.
 *
 * Writes to memory and registers change the replay; going backwards undoes
 * them, going on forwards may diverge, which the user is told.
 *
 * Not modelled: non-stop mode, the file and process packets, memory maps. A
 * step runs other vCPUs as they ran, interrupt deliveries count as steps, and
 * breakpoints that gdb takes out to step over one are out for all vCPUs.
 */
#include "debug/gdb.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/memory.h"
#include "machine/machine.h"

#define MEMORY_BYTES (PACKET_BYTES / 2 - 16)
/* Signals of a stop, as gdb numbers them. */
#define STOP_INT 2
#define STOP_TRAP 5
#define STOP_ABORT 6

struct gdb {
    struct packets packets;
    struct player *player;
    struct machine *machine;
    struct travel *travel;
    bool done;
    enum gdb_end end;
    unsigned cpu;        /* the thread that g, m ... mean, and s unless ... */
    unsigned resume_cpu; /* ... Hc named another; NO_CPU */
    enum registers_set set, *next_set;
    char xml[PACKET_BYTES];
};
#define NO_CPU DEBUG_NO_CPU

static void __attribute__((format(printf, 2, 3))) reply(struct gdb *gdb, const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    packets_put(&gdb->packets, "%s", text);
}

static void __attribute__((format(printf, 2, 3))) reply_text(struct gdb *gdb, const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    packets_put_hex(&gdb->packets, text, (unsigned)strlen(text));
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static struct cpu *selected(struct gdb *gdb)
{
    return gdb->machine->cpus[gdb->cpu];
}

/* A thread's number: of all, any, or one. False when there is no such one. */
static bool parse_thread(const struct gdb *gdb, const char **text, unsigned *cpu)
{
    uint64_t thread;
    *cpu = NO_CPU;
    if (starts(*text, "-1")) {
        *text += 2;
        return true;
    }
    const char *end = packets_hex_number(*text, &thread);
    bool good = end != *text && thread <= gdb->machine->cpu_count;
    *text = end;
    if (good && thread)
        *cpu = (unsigned)thread - 1;
    return good;
}

/* Running */

static bool interrupted(void *context)
{
    struct gdb *gdb = context;
    return packets_interrupted(&gdb->packets);
}

static const char *watch_name(uint32_t kind)
{
    return kind == DEBUG_WATCH_WRITE ? "watch" : kind == DEBUG_WATCH_READ ? "rwatch" : "awatch";
}

static void reply_stop(struct gdb *gdb, enum travel_stop stop)
{
    unsigned cpu = travel_cpu(gdb->travel), signal = STOP_TRAP;
    gdb->cpu = cpu < gdb->machine->cpu_count ? cpu : 0;
    if (stop == TRAVEL_INTERRUPTED)
        signal = STOP_INT;
    else if (stop == TRAVEL_DIVERGED || stop == TRAVEL_ERROR)
        signal = STOP_ABORT;
    reply(gdb, "T%02xthread:%x;", signal, gdb->cpu + 1);
    if (stop == TRAVEL_WATCHPOINT)
        reply(gdb, "%s:%" PRIx64 ";", watch_name(travel_hit(gdb->travel)->kind),
              travel_hit(gdb->travel)->address);
    else if (stop == TRAVEL_BREAKPOINT)
        reply(gdb, "hwbreak:;");
    else if (stop == TRAVEL_BEGIN)
        reply(gdb, "replaylog:begin;");
    else if (stop == TRAVEL_END)
        reply(gdb, "replaylog:end;");
}

/* Text for the user, while gdb awaits the end of a run. */
static void say(struct gdb *gdb, const char *text)
{
    packets_put(&gdb->packets, "O");
    packets_put_hex(&gdb->packets, text, (unsigned)strlen(text));
    packets_send(&gdb->packets);
}

static void say_diverged(struct gdb *gdb)
{
    char text[8192];
    divergence_text(player_divergence(gdb->player), text, sizeof text);
    say(gdb, "The replay differs from the recording from here on; it goes backwards only.\n");
    say(gdb, text);
}

/* A run is over: with the answer that gdb awaits. */
static void finish_run(struct gdb *gdb, enum travel_stop stop, const struct error *error)
{
    if (stop == TRAVEL_DIVERGED) {
        say_diverged(gdb);
    } else if (stop == TRAVEL_ERROR) {
        say(gdb, error->text);
        say(gdb, "\n");
    }
    reply_stop(gdb, stop);
}

static void resume(struct gdb *gdb, char action)
{
    struct error error = { "" };
    unsigned cpu = gdb->resume_cpu == NO_CPU ? gdb->cpu : gdb->resume_cpu;
    enum travel_stop stop = action == 's' ? travel_step(gdb->travel, cpu, &error)
                                          : travel_continue(gdb->travel, &error);
    finish_run(gdb, stop, &error);
}

static void resume_backwards(struct gdb *gdb, const char *text)
{
    struct error error = { "" };
    unsigned cpu = gdb->resume_cpu == NO_CPU ? gdb->cpu : gdb->resume_cpu;
    if (strcmp(text, "bs") == 0)
        finish_run(gdb, travel_reverse_step(gdb->travel, cpu, &error), &error);
    else if (strcmp(text, "bc") == 0)
        finish_run(gdb, travel_reverse_continue(gdb->travel, &error), &error);
}

/* Steps while the vCPU is inside [start, end): a line of the source. */
static void step_range(struct gdb *gdb, unsigned cpu, uint64_t start, uint64_t end)
{
    struct error error = { "" };
    enum travel_stop stop;
    uint64_t steps = 0;
    do {
        stop = travel_step(gdb->travel, cpu, &error);
        if (++steps % 65536 == 0 && stop == TRAVEL_STEPPED && packets_interrupted(&gdb->packets))
            stop = TRAVEL_INTERRUPTED;
    } while (stop == TRAVEL_STEPPED && registers_pc(gdb->machine->cpus[cpu]) - start < end - start);
    finish_run(gdb, stop, &error);
}

struct action {
    char what; /* c, s, r; 0: none for this thread */
    unsigned cpu;
    uint64_t start, end;
};

/* One ";action[:thread]" of vCont. False: not understood. */
static bool parse_action(const struct gdb *gdb, const char **text, struct action *action)
{
    *action = (struct action){ (*text)[1], NO_CPU, 0, 0 };
    uint64_t signal;
    if (**text != ';' || !action->what)
        return false;
    *text += 2;
    if (action->what == 'C' || action->what == 'S') {
        *text = packets_hex_number(*text, &signal);
        action->what = action->what == 'C' ? 'c' : 's';
    } else if (action->what == 'r') {
        *text = packets_hex_number(*text, &action->start);
        if (**text != ',')
            return false;
        *text = packets_hex_number(*text + 1, &action->end);
    } else if (action->what != 'c' && action->what != 's') {
        return false;
    }
    if (**text != ':')
        return true;
    ++*text;
    return parse_thread(gdb, text, &action->cpu);
}

/* "vCont;s:1;c": a step of a thread wins over continuing the others. */
static void resume_list(struct gdb *gdb, const char *text)
{
    struct action chosen = { 0, NO_CPU, 0, 0 }, action;
    while (*text) {
        if (!parse_action(gdb, &text, &action)) {
            reply(gdb, "E01");
            return;
        }
        if (!chosen.what || (chosen.what == 'c' && action.what != 'c'))
            chosen = action;
    }
    if (!chosen.what) {
        reply(gdb, "E01");
        return;
    }
    gdb->resume_cpu = chosen.cpu;
    if (chosen.what == 'r' && chosen.start < chosen.end)
        step_range(gdb, chosen.cpu == NO_CPU ? gdb->cpu : chosen.cpu, chosen.start, chosen.end);
    else
        resume(gdb, chosen.what == 'c' ? 'c' : 's');
    gdb->resume_cpu = NO_CPU;
}

/* Registers and memory */

static void read_register(struct gdb *gdb, const char *text)
{
    uint64_t number;
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    packets_hex_number(text, &number);
    unsigned size = registers_size(gdb->set, number);
    if (!size) {
        reply(gdb, "E01");
        return;
    }
    registers_read(selected(gdb), gdb->set, (unsigned)number, bytes);
    packets_put_hex(&gdb->packets, bytes, size);
}

static void write_register(struct gdb *gdb, const char *text)
{
    uint64_t number;
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    text = packets_hex_number(text, &number);
    unsigned size = registers_size(gdb->set, number);
    bool good = size && *text == '=' && packets_hex_bytes(text + 1, bytes, size)
                && registers_write(selected(gdb), gdb->set, (unsigned)number, bytes) == 0;
    if (good)
        travel_changed(gdb->travel);
    reply(gdb, good ? "OK" : "E01");
}

static void read_all_registers(struct gdb *gdb)
{
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    for (unsigned i = 0; i < registers_count(gdb->set); i++) {
        registers_read(selected(gdb), gdb->set, i, bytes);
        packets_put_hex(&gdb->packets, bytes, registers_size(gdb->set, i));
    }
}

/* Read-only ones among them are passed over: gdb writes back what it read. */
static void write_all_registers(struct gdb *gdb, const char *text)
{
    uint8_t bytes[REGISTERS_BYTES_MAXIMUM];
    for (unsigned i = 0; i < registers_count(gdb->set); i++) {
        if (!packets_hex_bytes(text, bytes, registers_size(gdb->set, i))) {
            reply(gdb, "E01");
            return;
        }
        travel_changed(gdb->travel);
        registers_write(selected(gdb), gdb->set, i, bytes);
        text += 2 * registers_size(gdb->set, i);
    }
    reply(gdb, "OK");
}

/* "address,length" */
static const char *parse_range(const char *text, uint64_t *address, uint64_t *length)
{
    text = packets_hex_number(text, address);
    *length = 0;
    return *text == ',' ? packets_hex_number(text + 1, length) : NULL;
}

static void read_memory(struct gdb *gdb, const char *text)
{
    uint64_t address, length;
    uint8_t bytes[MEMORY_BYTES];
    if (!parse_range(text, &address, &length)) {
        reply(gdb, "E01");
        return;
    }
    if (length > MEMORY_BYTES)
        length = MEMORY_BYTES;
    unsigned got = memory_debug_read(selected(gdb), address, bytes, (unsigned)length);
    if (got == 0 && length)
        reply(gdb, "E14");
    else
        packets_put_hex(&gdb->packets, bytes, got);
}

/* The bytes of an X packet: "}" escapes. Returns how many there are. */
static unsigned parse_binary(const struct gdb *gdb, const char *text, uint8_t *bytes, uint64_t room)
{
    const char *end = gdb->packets.data + gdb->packets.length;
    unsigned count = 0;
    while (text < end && count < room) {
        uint8_t byte = (uint8_t)*text++;
        if (byte == '}' && text < end)
            byte = (uint8_t)(*text++ ^ 0x20);
        bytes[count++] = byte;
    }
    return count;
}

static void write_memory(struct gdb *gdb, const char *text, bool binary)
{
    uint64_t address, length;
    uint8_t bytes[MEMORY_BYTES];
    text = parse_range(text, &address, &length);
    if (!text || *text++ != ':' || length > MEMORY_BYTES) {
        reply(gdb, "E01");
        return;
    }
    bool whole = binary ? parse_binary(gdb, text, bytes, length) == length
                        : packets_hex_bytes(text, bytes, (unsigned)length);
    if (!whole) {
        reply(gdb, "E01");
        return;
    }
    unsigned done = memory_debug_write(selected(gdb), address, bytes, (unsigned)length);
    if (done)
        travel_changed(gdb->travel);
    reply(gdb, done == length ? "OK" : "E14");
}

static void change_point(struct gdb *gdb, const char *text, bool add)
{
    static const enum debug_kind kinds[] = { DEBUG_BREAK, DEBUG_BREAK, DEBUG_WATCH_WRITE, DEBUG_WATCH_READ,
                                             DEBUG_WATCH_ACCESS };
    uint64_t address, length;
    if (text[1] < '0' || text[1] > '4' || text[2] != ',')
        return; /* empty reply: not supported */
    enum debug_kind kind = kinds[text[1] - '0'];
    if (!parse_range(text + 3, &address, &length)) {
        reply(gdb, "E01");
        return;
    }
    uint32_t bytes = kind == DEBUG_BREAK ? 1 : length > PAGE_BYTES ? 0 : (uint32_t)length;
    int result = add ? travel_add_point(gdb->travel, kind, address, bytes)
                     : travel_remove_point(gdb->travel, kind, address, bytes);
    reply(gdb, result == 0 ? "OK" : "E01");
}

/* Queries */

static void transfer_features(struct gdb *gdb, const char *text)
{
    static const char name[] = "target.xml:";
    uint64_t offset, length;
    if (!starts(text, name)) {
        reply(gdb, "E00");
        return;
    }
    if (!parse_range(text + strlen(name), &offset, &length)) {
        reply(gdb, "E01");
        return;
    }
    uint64_t total = registers_description(gdb->set, gdb->xml, sizeof gdb->xml);
    if (offset > total)
        offset = total;
    if (length > PACKET_BYTES - 64)
        length = PACKET_BYTES - 64;
    bool last = total - offset <= length;
    packets_put(&gdb->packets, "%c%.*s", last ? 'l' : 'm', (int)(last ? total - offset : length),
                gdb->xml + offset);
}

static void monitor_where(struct gdb *gdb)
{
    struct position at = player_position(gdb->player), end = player_end(gdb->player);
    uint64_t ns = clock_now(&gdb->machine->clock), seconds = ns / NS_PER_SECOND;
    ns %= NS_PER_SECOND;
    reply_text(gdb, "instruction %" PRIu64 " of %" PRIu64 ", virtual time %" PRIu64 ".%09" PRIu64
               " s, turn of vCPU %u\n", at.instructions, end.instructions, seconds,
               ns, gdb->machine->s.current_cpu);
}

/* "COUNT", "+COUNT", "-COUNT", "end" */
static bool parse_place(const struct gdb *gdb, const char *text, uint64_t *place)
{
    uint64_t here = travel_position(gdb->travel), end = player_end(gdb->player).instructions;
    bool forwards = *text == '+', backwards = *text == '-';
    char *rest;
    *place = end;
    if (strcmp(text, "end") == 0)
        return true;
    text += forwards || backwards;
    if (*text < '0' || *text > '9')
        return false;
    uint64_t count = strtoull(text, &rest, 0);
    if (forwards)
        *place = count < end - here ? here + count : end;
    else if (backwards)
        *place = count < here ? here - count : 0;
    else
        *place = count < end ? count : end;
    return *rest == '\0';
}

static void monitor_seek(struct gdb *gdb, const char *text)
{
    struct error error = { "" };
    uint64_t place;
    if (!parse_place(gdb, text, &place)) {
        reply_text(gdb, "seek %s: use a count, +COUNT, -COUNT or end\n", text);
        return;
    }
    switch (travel_seek(gdb->travel, place, &error)) {
    case TRAVEL_ERROR:
        reply_text(gdb, "%s\n", error.text);
        break;
    case TRAVEL_DIVERGED:
        reply_text(gdb, "the replay differs from the recording\n");
        break;
    case TRAVEL_INTERRUPTED:
        reply_text(gdb, "interrupted\n");
        break;
    default:
        break;
    }
    monitor_where(gdb);
    reply_text(gdb, "gdb does not know yet: type \"maintenance flush register-cache\" and "
                    "\"maintenance flush dcache\"\n");
}

static void monitor_bits(struct gdb *gdb, const char *text)
{
    if (strcmp(text, "32") != 0 && strcmp(text, "64") != 0) {
        reply_text(gdb, "bits %s: use 32 or 64\n", text);
        return;
    }
    *gdb->next_set = text[0] == '3' ? REGISTERS_32 : REGISTERS_64;
    reply_text(gdb, "type \"disconnect\", \"set architecture auto\", and \"target remote\" again%s\n",
               text[0] == '3' ? ";\nthe architecture is i8086 then, or \"set architecture i386\"" : "");
}

/* "monitor ..." */
static void monitor(struct gdb *gdb, const char *hex)
{
    char command[256] = "";
    size_t length = strlen(hex) / 2;
    if (length >= sizeof command || !packets_hex_bytes(hex, (uint8_t *)command, (unsigned)length)) {
        reply(gdb, "E01");
        return;
    }
    if (strcmp(command, "where") == 0)
        monitor_where(gdb);
    else if (starts(command, "seek "))
        monitor_seek(gdb, command + strlen("seek "));
    else if (starts(command, "bits "))
        monitor_bits(gdb, command + strlen("bits "));
    else
        reply_text(gdb, "monitor where        the instruction count and the virtual time\n"
                        "monitor seek COUNT   go to an instruction count; also +COUNT, -COUNT, end\n"
                        "monitor bits 32|64   registers for gdb's architectures i8086 and i386, or\n"
                        "                     i386:x86-64; from the next \"target remote\" on\n");
}

static void list_threads(struct gdb *gdb)
{
    reply(gdb, "m1");
    for (unsigned i = 1; i < gdb->machine->cpu_count; i++)
        reply(gdb, ",%x", i + 1);
}

static void describe_thread(struct gdb *gdb, const char *text)
{
    static const char *const activities[] = { "running", "halted", "waiting for SIPI", "shut down" };
    unsigned cpu;
    if (!parse_thread(gdb, &text, &cpu) || cpu == NO_CPU) {
        reply(gdb, "E01");
        return;
    }
    reply_text(gdb, "vCPU %u, %s", cpu, activities[gdb->machine->cpus[cpu]->s.activity & 3]);
}

static void query(struct gdb *gdb, const char *text)
{
    if (starts(text, "qSupported"))
        reply(gdb, "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;ReverseStep+;"
                   "ReverseContinue+;swbreak+;hwbreak+;vContSupported+", PACKET_BYTES - 64);
    else if (starts(text, "qXfer:features:read:"))
        transfer_features(gdb, text + strlen("qXfer:features:read:"));
    else if (strcmp(text, "qfThreadInfo") == 0)
        list_threads(gdb);
    else if (strcmp(text, "qsThreadInfo") == 0)
        reply(gdb, "l");
    else if (starts(text, "qThreadExtraInfo,"))
        describe_thread(gdb, text + strlen("qThreadExtraInfo,"));
    else if (strcmp(text, "qC") == 0)
        reply(gdb, "QC%x", gdb->cpu + 1);
    else if (starts(text, "qAttached"))
        reply(gdb, "1");
    else if (starts(text, "qRcmd,"))
        monitor(gdb, text + strlen("qRcmd,"));
    else if (strcmp(text, "QStartNoAckMode") == 0) {
        gdb->packets.no_acknowledge = true;
        reply(gdb, "OK");
    }
}

/* "Hg" and "Hc" with a thread */
static void select_thread(struct gdb *gdb, const char *text)
{
    unsigned cpu;
    const char *thread = text + 1;
    if ((*text != 'g' && *text != 'c') || !parse_thread(gdb, &thread, &cpu)) {
        reply(gdb, "E01");
        return;
    }
    if (*text == 'c')
        gdb->resume_cpu = cpu;
    else if (cpu != NO_CPU)
        gdb->cpu = cpu;
    reply(gdb, "OK");
}

static void leave(struct gdb *gdb, enum gdb_end end)
{
    gdb->done = true;
    gdb->end = end;
}

static void handle_v(struct gdb *gdb, const char *text)
{
    if (strcmp(text, "vCont?") == 0) {
        reply(gdb, "vCont;c;C;s;S;r");
    } else if (starts(text, "vCont;")) {
        resume_list(gdb, text + strlen("vCont"));
    } else if (starts(text, "vKill")) {
        leave(gdb, GDB_KILLED);
        reply(gdb, "OK");
    }
}

static void handle(struct gdb *gdb)
{
    const char *text = gdb->packets.data;
    unsigned cpu;
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
    case 'b': resume_backwards(gdb, text); break;
    case 'v': handle_v(gdb, text); break;
    case 'H': select_thread(gdb, text + 1); break;
    case 'T':
        text++;
        reply(gdb, parse_thread(gdb, &text, &cpu) && cpu != NO_CPU ? "OK" : "E01");
        break;
    case 'q': case 'Q': query(gdb, text); break;
    case 'D': leave(gdb, GDB_DETACHED); reply(gdb, "OK"); break;
    case 'k': leave(gdb, GDB_KILLED); break;
    default: break; /* the empty reply: not supported */
    }
}

enum gdb_end gdb_serve(struct player *player, const struct gdb_stream *stream,
                       enum registers_set *set, struct error *error)
{
    struct gdb *gdb = calloc(1, sizeof *gdb);
    struct travel *travel = gdb ? travel_create(player, interrupted, gdb) : NULL;
    if (!travel) {
        free(gdb);
        error_set(error, ERROR_MEMORY, "out of host memory for the debugger");
        return GDB_FAILED;
    }
    packets_init(&gdb->packets, stream);
    gdb->player = player;
    gdb->machine = player_machine(player);
    gdb->travel = travel;
    gdb->end = GDB_DETACHED;
    gdb->cpu = travel_cpu(travel);
    gdb->resume_cpu = NO_CPU;
    gdb->set = *set;
    gdb->next_set = set;
    while (!gdb->done && packets_read(&gdb->packets)) {
        handle(gdb);
        if (gdb->packets.data[0] != 'k')
            packets_send(&gdb->packets);
    }
    enum gdb_end end = gdb->end;
    travel_destroy(travel);
    free(gdb);
    return end;
}
