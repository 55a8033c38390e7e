/*
 * Hostile trace files. A small recording is cut, flipped and mutated, also
 * below its checksums: records, streams, positions, index and description are
 * changed and all that protects them is computed again. Every such file goes
 * through verify, info, dump, replay with leaps, and isolated replay: each says
 * an error, or plays what it can. What a checksum covers is never taken for
 * whole when a byte of it is wrong.
 *
 * A case is a seed: those below CASES_PLAIN cut and flip, each its share of all
 * bytes; the rest mutate.
 */
#include <zstd.h>

#include "fuzz_guest.h"
#include "replay/player.h"
#include "replay/runner.h"
#include "replay/trace_file.h"
#include "replay/trace_writer.h"

#define RECORDED_INSTRUCTIONS 40000u /* 12288 of them copy the image */
#define CASES_PLAIN 8u       /* seeds 1 to 8 */
#define MUTATIONS 60u        /* a case */
#define CHUNKS_MAXIMUM 64u
#define MEMORY_MAXIMUM (64u << 20) /* of machines that are built */

struct bytes {
    uint8_t *at;
    uint64_t length, room;
};

/* A trace taken apart. */
struct parts {
    struct trace_file_header header;
    struct bytes description;
    struct trace_chunk_header chunks[CHUNKS_MAXIMUM];
    struct bytes raw[CHUNKS_MAXIMUM];
    uint32_t count;
};

static uint64_t current_seed;
static struct guest *guest;
static struct bytes good; /* the recording */
static struct bytes bad;  /* what is tried now */

static _Noreturn void fail(const char *what, const char *text)
{
    fuzz_keep("trace", current_seed, bad.at, bad.length);
    fuzz_fail("seed %" PRIu64 ": %s: %s", current_seed, what, text);
}

static void append(struct bytes *bytes, const void *from, uint64_t length)
{
    if (bytes->length + length > bytes->room) {
        bytes->room = (bytes->length + length) * 2;
        bytes->at = realloc(bytes->at, bytes->room);
    }
    if (length)
        memcpy(bytes->at + bytes->length, from, length);
    bytes->length += length;
}

static int sink_write(void *context, const void *bytes, uint64_t length, struct error *error)
{
    (void)error;
    append(context, bytes, length);
    return 0;
}

static enum door_poll type(void *context, uint64_t timeout_ns, struct door_input *input,
                           uint64_t *waited_ns)
{
    struct fuzz *fuzz = context;
    *waited_ns = timeout_ns;
    if (!fuzz_one_in(fuzz, 3))
        return DOOR_NOTHING;
    input->kind = fuzz_one_in(fuzz, 2) ? INPUT_SERIAL : INPUT_KEY;
    input->unit = 0;
    input->value = (uint8_t)fuzz_next(fuzz);
    return DOOR_INPUT;
}

/* The recording: a fuzzed guest's, which has all kinds of events. */
static void record(void)
{
    struct runner_options options;
    struct runner_result result;
    struct error error = {""};
    struct fuzz typist = {7};
    struct door door = {.context = &typist, .poll = type};
    struct trace_sink sink = {&good, sink_write};
    runner_options_init(&options);
    options.level = current_seed % 3 ? TRACE_LEVEL_FULL : TRACE_LEVEL_EVENTS;
    options.digest_every = 4000;
    options.max_instructions = RECORDED_INSTRUCTIONS;
    options.max_ns = NS_PER_SECOND;
    guest = guest_create(13 + current_seed % 11);
    guest->description.ns_per_instruction = 1;
    if (recorder_run(&guest->description, &options, &door, &sink, &result, &error) < 0)
        fail("recording", error.text);
}

/* ---- what is done with a file ---- */

/* A host that soon asks to stop: a trace may well say that it is long. */
static int stop_soon(void *context)
{
    unsigned *left = context;
    return *left == 0 || --*left == 0 ? 15 : 0;
}

static bool take_files(struct description *description)
{
    const struct description *known = &guest->description;
    if (description->memory_bytes > MEMORY_MAXIMUM)
        return false;
    for (uint32_t i = 0; i < description->file_count; i++) {
        struct description_file *file = &description->files[i];
        for (uint32_t k = 0; k < known->file_count && !file->bytes; k++)
            if (known->files[k].size == file->size)
                file->bytes = known->files[k].bytes;
        if (!file->bytes)
            return false;
    }
    return true;
}

static void play(struct trace_reader *reader, const struct description *description, bool isolated)
{
    struct error error = {""};
    unsigned patience = 3000;
    struct door door = {.context = &patience, .stop_signal = stop_soon};
    struct player_options options = {
        .isolated = isolated, .checkpoints = true, .checkpoint_every = 3000};
    struct player *player = player_create(reader, description, &options, &door, &error);
    if (!player) {
        if (!error.text[0])
            fail("player_create", "no reason given");
        return;
    }
    enum player_stop stop = player_run_to(player, 2 * RECORDED_INSTRUCTIONS, &error);
    if (stop == PLAYER_ERROR && !error.text[0])
        fail("replay", "no reason given");
    patience = 1000;
    player_seek(player, RECORDED_INSTRUCTIONS / 3, NULL);
    player_run_to(player, RECORDED_INSTRUCTIONS / 2, NULL);
    char text[4000];
    divergence_text(player_divergence(player), text, sizeof text);
    struct player_result result;
    player_result(player, &result);
    player_destroy(player);
}

static void dump(struct trace_reader *reader, bool json)
{
    static FILE *nowhere;
    struct error error = {""};
    if (!nowhere)
        nowhere = fopen("/dev/null", "w");
    if (trace_dump(reader, nowhere, json, &error) < 0 && !error.text[0])
        fail("dump", "no reason given");
}

/* Everything that one can do with `bad`; a replay only when asked for. */
static enum trace_state use(bool replays)
{
    struct error error = {""};
    struct trace_info info;
    /* A copy of its very size: so that the sanitizer sees a read beyond it. */
    uint8_t *exact = malloc(bad.length ? bad.length : 1);
    memcpy(exact, bad.at, bad.length);
    enum trace_state state = trace_verify(exact, bad.length, &error);
    if (state != TRACE_WHOLE && !error.text[0])
        fail("verify", "no reason given");
    struct trace_reader *reader = trace_reader_open(exact, bad.length, NULL, &error);
    if (reader) {
        trace_info(reader, &info, &error);
        dump(reader, current_seed % 2);
        struct description description;
        uint64_t length;
        const char *text = trace_reader_description(reader, &length);
        if (description_decode(&description, text, length, &error) == 0 && replays &&
            take_files(&description)) {
            play(reader, &description, false);
            play(reader, &description, true);
        }
        trace_reader_close(reader);
    } else if (state != TRACE_DAMAGED) {
        fail("open", "refuses what verify takes");
    }
    free(exact);
    return state;
}

/* ---- plain damage ---- */

static void set_bad(const uint8_t *bytes, uint64_t length)
{
    bad.length = 0;
    append(&bad, bytes, length);
}

static void flip_bytes(void)
{
    struct fuzz fuzz = {current_seed};
    for (uint64_t at = current_seed % CASES_PLAIN; at < good.length; at += CASES_PLAIN) {
        set_bad(good.at, good.length);
        bad.at[at] ^= (uint8_t)(1 + fuzz_below(&fuzz, 255));
        if (use(fuzz_one_in(&fuzz, 16)) == TRACE_WHOLE)
            fail("a flipped byte", "the trace is taken for whole");
    }
}

static void cut(void)
{
    struct fuzz fuzz = {current_seed};
    uint64_t length = current_seed % CASES_PLAIN;
    for (; length < good.length; length += CASES_PLAIN) {
        set_bad(good.at, length);
        enum trace_state state = use(fuzz_one_in(&fuzz, 16));
        if (state == TRACE_WHOLE)
            fail("a prefix", "it is taken for whole");
        if (state == TRACE_DAMAGED && length > sizeof(struct trace_file_header) + (32u << 10))
            fail("a prefix", "it is taken for damaged");
    }
}

/* ---- below the checksums ---- */

static void take_apart(struct parts *parts)
{
    const uint8_t *at = good.at;
    memset(parts, 0, sizeof *parts);
    memcpy(&parts->header, at, sizeof parts->header);
    at += sizeof parts->header;
    append(&parts->description, at, parts->header.description_length);
    at += parts->header.description_length;
    while (memcmp(at, TRACE_CHUNK_MAGIC, 4) == 0 && parts->count < CHUNKS_MAXIMUM) {
        struct trace_chunk_header *chunk = &parts->chunks[parts->count];
        struct bytes *raw = &parts->raw[parts->count++];
        memcpy(chunk, at, sizeof *chunk);
        raw->room = raw->length = chunk->raw_length;
        raw->at = malloc(raw->length);
        if (ZSTD_decompress(raw->at, raw->length, at + sizeof *chunk, chunk->packed_length) !=
            raw->length)
            fail("taking apart", "zstd");
        at += sizeof *chunk + chunk->packed_length;
    }
}

static void free_parts(struct parts *parts)
{
    free(parts->description.at);
    for (uint32_t i = 0; i < parts->count; i++)
        free(parts->raw[i].at);
}

/* Bits by which put_together lies in what it does not compute again. */
enum lie {
    LIE_RAW_LENGTH = 1,
    LIE_PACKED_LENGTH = 2,
    LIE_INDEX = 4,
    LIE_NO_TAIL = 8,
    LIE_PACKED = 16,
};

static void put_chunk(struct fuzz *fuzz, struct parts *parts, uint32_t i, unsigned lies)
{
    struct trace_chunk_header chunk = parts->chunks[i];
    struct bytes *raw = &parts->raw[i];
    uint64_t room = ZSTD_compressBound(raw->length);
    uint8_t *packed = malloc(room);
    uint64_t length = ZSTD_compress(packed, room, raw->at, raw->length, 1);
    if (lies & LIE_PACKED && length)
        packed[fuzz_below(fuzz, (uint32_t)length)] ^= (uint8_t)(1u << fuzz_below(fuzz, 8));
    chunk.raw_length = lies & LIE_RAW_LENGTH ? (uint32_t)fuzz_value(fuzz) : (uint32_t)raw->length;
    chunk.packed_length = lies & LIE_PACKED_LENGTH ? (uint32_t)fuzz_value(fuzz) : (uint32_t)length;
    chunk.packed_checksum = trace_file_checksum(packed, length);
    chunk.checksum = trace_file_checksum(&chunk, 64);
    append(&bad, &chunk, sizeof chunk);
    append(&bad, packed, length);
    free(packed);
}

/* The parts as a file in `bad`, with right checksums. */
static void put_together(struct fuzz *fuzz, struct parts *parts, unsigned lies)
{
    struct trace_index_entry entries[CHUNKS_MAXIMUM];
    bad.length = 0;
    if (parts->header.description_length == parts->description.length || fuzz_one_in(fuzz, 2))
        parts->header.description_length = (uint32_t)parts->description.length;
    parts->header.description_checksum =
        trace_file_checksum(parts->description.at, parts->description.length);
    parts->header.checksum = trace_file_checksum(&parts->header, 40);
    append(&bad, &parts->header, sizeof parts->header);
    append(&bad, parts->description.at, parts->description.length);
    for (uint32_t i = 0; i < parts->count; i++) {
        entries[i] = (struct trace_index_entry){bad.length, parts->chunks[i].last};
        if (lies & LIE_INDEX && fuzz_one_in(fuzz, 3))
            ((uint64_t *)&entries[i])[fuzz_below(fuzz, 3)] = fuzz_value(fuzz);
        put_chunk(fuzz, parts, i, fuzz_one_in(fuzz, 2) ? lies : 0);
    }
    struct codec_buffer tail = {0};
    if (lies & LIE_NO_TAIL || trace_file_tail(entries, parts->count, bad.length, &tail) < 0)
        tail.length = 0;
    append(&bad, tail.bytes, tail.length);
    free(tail.bytes);
}

/* Some bytes of `bytes` become others, more, or fewer. */
static void mutate_bytes(struct fuzz *fuzz, struct bytes *bytes)
{
    for (unsigned n = 1 + fuzz_below(fuzz, 4); n && bytes->length > 4; n--) {
        uint32_t at = fuzz_below(fuzz, (uint32_t)bytes->length);
        uint32_t some = 1 + fuzz_below(fuzz, 12);
        if (some > bytes->length - at)
            some = (uint32_t)bytes->length - at;
        static const uint8_t varint[10] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1};
        uint32_t tail = some > 10 ? 10 : some; /* of the longest varint */
        switch (fuzz_below(fuzz, 6)) {
        case 0: bytes->at[at] = (uint8_t)fuzz_next(fuzz); break;
        case 1: bytes->at[at] ^= (uint8_t)(1u << fuzz_below(fuzz, 8)); break;
        case 2: fuzz_fill(fuzz, bytes->at + at, some); break;
        case 3: memcpy(bytes->at + at, varint + 10 - tail, tail); break;
        case 4:
            memmove(bytes->at + at, bytes->at + at + some, bytes->length - at - some);
            bytes->length -= some;
            break;
        default: { /* doubled */
            uint8_t copy[12];
            memcpy(copy, bytes->at + at, some);
            append(bytes, copy, some);
            memmove(bytes->at + at + some, bytes->at + at, bytes->length - at - some);
        }
        }
    }
}

static void mutate_header(struct fuzz *fuzz, struct parts *parts)
{
    struct trace_chunk_header *chunk = &parts->chunks[fuzz_below(fuzz, parts->count)];
    uint64_t value = fuzz_value(fuzz);
    switch (fuzz_below(fuzz, 9)) {
    case 0:
        chunk->records = fuzz_one_in(fuzz, 2) ? (uint32_t)value
                                              : chunk->records + 1 - 2 * fuzz_below(fuzz, 2);
        break;
    case 1: chunk->first.instructions = value; break;
    case 2: chunk->first.idle_ns = value; break;
    case 3: chunk->last.instructions = value; break;
    case 4: chunk->last.idle_ns = value; break;
    case 5: chunk->number = (uint32_t)value; break;
    case 6: parts->header.level = (uint32_t)value; break;
    case 7: parts->header.digest_every = value; break;
    default: parts->header.version = (uint32_t)value;
    }
}

/* A chunk more, fewer, or elsewhere. */
static void mutate_order(struct fuzz *fuzz, struct parts *parts)
{
    uint32_t a = fuzz_below(fuzz, parts->count), b = fuzz_below(fuzz, parts->count);
    struct trace_chunk_header chunk = parts->chunks[a];
    struct bytes raw = parts->raw[a];
    parts->chunks[a] = parts->chunks[b];
    parts->raw[a] = parts->raw[b];
    parts->chunks[b] = chunk;
    parts->raw[b] = raw;
    if (fuzz_one_in(fuzz, 2))
        for (uint32_t i = 0; i < parts->count; i++)
            parts->chunks[i].number = i;
}

static void mutate_parts(struct fuzz *fuzz)
{
    struct parts parts;
    take_apart(&parts);
    unsigned lies = fuzz_one_in(fuzz, 3) ? 1u << fuzz_below(fuzz, 5) : 0;
    switch (fuzz_below(fuzz, 5)) {
    case 0: mutate_header(fuzz, &parts); break;
    case 1: mutate_bytes(fuzz, &parts.description); break;
    case 2: mutate_order(fuzz, &parts); break;
    default: mutate_bytes(fuzz, &parts.raw[fuzz_below(fuzz, parts.count)]);
    }
    put_together(fuzz, &parts, lies);
    free_parts(&parts);
    use(fuzz_one_in(fuzz, 2));
}

/* The file as it is, with some bytes changed. */
static void mutate_file(struct fuzz *fuzz)
{
    set_bad(good.at, good.length);
    mutate_bytes(fuzz, &bad);
    use(fuzz_one_in(fuzz, 8));
}

/* ---- events that never happened ---- */

static void mutate_event(struct fuzz *fuzz, struct trace_event *event)
{
    static uint8_t payload[5000];
    switch (fuzz_below(fuzz, 8)) {
    case 0: event->kind = (uint8_t)fuzz_below(fuzz, TRACE_KINDS); break;
    case 1: event->cpu = (uint8_t)fuzz_value(fuzz); break;
    case 2:
        event->bytes = (uint32_t)(fuzz_one_in(fuzz, 2) ? fuzz_below(fuzz, 9) : fuzz_value(fuzz));
        break;
    case 3: event->address = fuzz_value(fuzz); break;
    case 4: event->value = fuzz_value(fuzz); break;
    case 5: event->at.instructions += fuzz_below(fuzz, 1000); break;
    case 6:
        event->at.idle_ns +=
            fuzz_one_in(fuzz, 4) ? fuzz_value(fuzz) >> 1 : fuzz_below(fuzz, 1000);
        break;
    default: event->at.instructions += fuzz_one_in(fuzz, 4) ? fuzz_value(fuzz) >> 1 : 0;
    }
    const struct trace_kind_info *info = &trace_kinds[event->kind];
    if (!info->cpu)
        event->cpu = 0;
    if (!info->address)
        event->address = 0;
    if (!info->value)
        event->value = 0;
    if (!info->bytes)
        event->bytes = 0;
    event->payload = NULL;
    if (info->payload) {
        fuzz_fill(fuzz, payload, 64);
        payload[0] &= 1;
        event->payload = payload;
        event->bytes %= fuzz_one_in(fuzz, 4) ? sizeof payload : 40;
    }
}

/* Positions ascend, as the writer demands of its caller. */
static void write_event(struct trace_writer *writer, struct trace_event *event, struct position *at,
                        struct position *shift)
{
    event->at.instructions += shift->instructions;
    event->at.idle_ns += shift->idle_ns;
    if (event->at.instructions < at->instructions)
        event->at.instructions = at->instructions;
    if (event->at.idle_ns < at->idle_ns)
        event->at.idle_ns = at->idle_ns;
    *at = event->at;
    if (event->kind == TRACE_IDLE)
        at->idle_ns = event->value > UINT64_MAX - at->idle_ns ? UINT64_MAX
                                                              : at->idle_ns + event->value;
    if (at->idle_ns == UINT64_MAX && event->kind == TRACE_IDLE)
        event->value = UINT64_MAX - event->at.idle_ns;
    trace_writer_add(writer, event);
    trace_writer_advance(writer, *at);
}

static void mutate_events(struct fuzz *fuzz)
{
    struct trace_reader *reader = trace_reader_open(good.at, good.length, NULL, NULL);
    struct trace_chunk chunk;
    uint64_t length;
    const char *description = trace_reader_description(reader, &length);
    struct trace_writer_options options = {TRACE_LEVEL_FULL, trace_reader_digest_every(reader),
                                           description, length};
    bad.length = 0;
    struct trace_sink sink = {&bad, sink_write};
    int code = 0;
    struct trace_writer *writer = trace_writer_create(&sink, &options, &code, NULL);
    struct position at = {0, 0}, shift = {0, 0};
    uint32_t rate = 2 + fuzz_below(fuzz, 200);
    for (uint32_t i = 0; i < trace_reader_chunks(reader); i++) {
        trace_reader_load(reader, i, &chunk, NULL);
        for (uint32_t k = 0; k < chunk.count; k++) {
            struct trace_event event = chunk.events[k];
            if (fuzz_one_in(fuzz, rate) && fuzz_one_in(fuzz, 2))
                continue;
            write_event(writer, &event, &at, &shift);
            for (; fuzz_one_in(fuzz, rate) && event.kind != TRACE_END;) {
                mutate_event(fuzz, &event);
                write_event(writer, &event, &at, &shift);
            }
        }
    }
    trace_writer_finish(writer, at, NULL);
    trace_writer_destroy(writer);
    trace_reader_close(reader);
    use(true);
}

/* ---- a case ---- */

static void run(uint64_t seed)
{
    current_seed = seed;
    record();
    set_bad(good.at, good.length);
    if (use(true) != TRACE_WHOLE)
        fail("the recording", "it is not whole");
    if (seed <= CASES_PLAIN) {
        flip_bytes();
        cut();
    } else {
        struct fuzz fuzz = {seed};
        for (unsigned i = 0; i < MUTATIONS; i++) {
            switch (fuzz_below(&fuzz, 4)) {
            case 0: mutate_file(&fuzz); break;
            case 1: mutate_events(&fuzz); break;
            default: mutate_parts(&fuzz);
            }
        }
    }
    free(good.at);
    free(bad.at);
    free(guest);
}

int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, run, 30, 300, 120);
}
