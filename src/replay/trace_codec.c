/*
 * The record coding of a chunk; docs/trace-format.md, "Records", is the
 * specification. A trace of polls and ticks is mostly repetition: three small
 * context tables predict the next record's source, distance and value, and
 * only what they get wrong is written.
 */
#include "replay/trace_codec.h"

#include <stdlib.h>
#include <string.h>

#include "replay/outcome.h"
#include "util/bits.h"

#define FLAG_SOURCE 1
#define FLAG_COUNT 2
#define FLAG_VALUE 4
#define FLAG_IDLE 8

static uint64_t mix(uint64_t hash, uint64_t x)
{
    hash = (hash ^ x) * 0x9E3779B97F4A7C15ull;
    return hash ^ hash >> 29;
}

static uint32_t table_index(uint64_t hash)
{
    return (uint32_t)(hash >> (64 - CODEC_TABLE_BITS));
}

static uint32_t *predicted_source(struct codec_model *model)
{
    return &model->source_table[table_index(
        mix(mix(mix(1, model->s1), model->s2), model->s3))];
}

static uint64_t *predicted_count(struct codec_model *model, uint32_t s)
{
    return &model->count_table[table_index(
        mix(mix(mix(mix(2, s), model->s1), model->s2), model->c1))];
}

static uint64_t *predicted_value(struct codec_model *model, uint32_t s)
{
    return &model->value_table[table_index(
        mix(mix(mix(3, s), model->s1), model->sources[s - 1].last_value))];
}

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (difference >> 63 ? ~0ull : 0);
}

static uint64_t unzigzag(uint64_t code)
{
    return code >> 1 ^ (code & 1 ? ~0ull : 0);
}

static void model_start(struct codec_model *model, struct position first)
{
    memset(model, 0, offsetof(struct codec_model, sources));
    model->at = first;
}

/* After a record: `s` is its source number plus one, `count` its distance. */
static void model_step(struct codec_model *model, uint32_t s, uint64_t count,
                       const struct trace_event *event)
{
    model->s3 = model->s2;
    model->s2 = model->s1;
    model->s1 = s;
    model->c1 = count;
    model->sources[s - 1].last_value = event->value;
    model->at = event->at;
    if (event->kind == TRACE_IDLE)
        model->at.idle_ns += event->value;
}

/* ---- buffers ---- */

bool codec_buffer_append(struct codec_buffer *buffer, const void *bytes, uint64_t length)
{
    if (unlikely(buffer->length + length > buffer->capacity)) {
        uint64_t capacity = buffer->capacity ? buffer->capacity * 2 : 4096;
        while (capacity < buffer->length + length)
            capacity *= 2;
        uint8_t *grown = realloc(buffer->bytes, capacity);
        if (!grown)
            return false;
        buffer->bytes = grown;
        buffer->capacity = capacity;
    }
    if (length)
        memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    return true;
}

bool codec_buffer_varint(struct codec_buffer *buffer, uint64_t value)
{
    uint8_t bytes[10];
    unsigned n = 0;
    while (value >= 0x80) {
        bytes[n++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[n++] = (uint8_t)value;
    return codec_buffer_append(buffer, bytes, n);
}

bool codec_varint(const uint8_t *bytes, uint64_t length, uint64_t *offset, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*offset >= length)
            return false;
        uint8_t byte = bytes[(*offset)++];
        if (shift == 63 && byte > 1)
            return false;
        result |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

/* ---- encoder ---- */

struct codec_encoder *codec_encoder_create(void)
{
    return calloc(1, sizeof(struct codec_encoder));
}

void codec_encoder_destroy(struct codec_encoder *encoder)
{
    if (!encoder)
        return;
    for (unsigned i = 0; i < STREAMS; i++)
        free(encoder->streams[i].bytes);
    free(encoder);
}

void codec_encoder_start(struct codec_encoder *encoder, struct position first)
{
    model_start(&encoder->model, first);
    memset(encoder->map, 0, sizeof encoder->map);
    for (unsigned i = 0; i < STREAMS; i++)
        encoder->streams[i].length = 0;
    encoder->run = 0;
    encoder->records = 0;
}

static void put(struct codec_encoder *encoder, enum codec_stream stream, uint64_t value)
{
    if (!codec_buffer_varint(&encoder->streams[stream], value))
        encoder->no_memory = true;
}

static void put_bytes(struct codec_encoder *encoder, enum codec_stream stream, const void *bytes,
                      uint64_t length)
{
    if (!codec_buffer_append(&encoder->streams[stream], bytes, length))
        encoder->no_memory = true;
}

static void define_source(struct codec_encoder *encoder, const struct codec_source *source)
{
    struct codec_model *model = &encoder->model;
    uint8_t head[2] = {source->kind, source->cpu};
    put_bytes(encoder, STREAM_DEFINITIONS, head, 2);
    if (!trace_kinds[source->kind].payload)
        put(encoder, STREAM_DEFINITIONS, source->bytes);
    put(encoder, STREAM_DEFINITIONS, zigzag(source->address - model->defined_address));
    model->defined_address = source->address;
    model->sources[model->source_count++] = *source;
}

/* The number plus one of the event's source; *fresh when it is a new one. */
static uint32_t find_source(struct codec_encoder *encoder, const struct trace_event *event,
                            struct codec_source *source, bool *fresh)
{
    *source = (struct codec_source){
        .address = event->address,
        .bytes = trace_kinds[event->kind].payload ? 0 : event->bytes,
        .kind = event->kind,
        .cpu = event->cpu,
    };
    uint64_t hash = mix(mix(source->kind | source->cpu << 8, source->address), source->bytes);
    uint32_t slot = (uint32_t)(hash >> 47);
    while (encoder->map[slot]) {
        const struct codec_source *known = &encoder->model.sources[encoder->map[slot] - 1];
        if (known->address == source->address && known->bytes == source->bytes &&
            known->kind == source->kind && known->cpu == source->cpu) {
            *fresh = false;
            return encoder->map[slot];
        }
        slot = (slot + 1) % CODEC_SOURCE_MAP;
    }
    *fresh = true;
    encoder->map[slot] = encoder->model.source_count + 1;
    return encoder->map[slot];
}

void codec_encoder_add(struct codec_encoder *encoder, const struct trace_event *event)
{
    struct codec_model *model = &encoder->model;
    struct codec_source source;
    bool fresh;
    uint8_t flags = 0;
    uint32_t s = find_source(encoder, event, &source, &fresh);
    uint32_t *source_guess = predicted_source(model);
    if (fresh || *source_guess != s) {
        flags |= FLAG_SOURCE;
        put(encoder, STREAM_SOURCES, s - 1);
    }
    if (fresh)
        define_source(encoder, &source);
    *source_guess = s;

    uint64_t count = event->at.instructions - model->at.instructions;
    uint64_t *count_guess = predicted_count(model, s);
    if (*count_guess != count) {
        flags |= FLAG_COUNT;
        put(encoder, STREAM_COUNTS, count);
        *count_guess = count;
    }
    if (event->at.idle_ns != model->at.idle_ns) {
        flags |= FLAG_IDLE;
        put(encoder, STREAM_IDLES, event->at.idle_ns - model->at.idle_ns);
    }
    uint64_t *value_guess = predicted_value(model, s);
    if (*value_guess != event->value) {
        flags |= FLAG_VALUE;
        put(encoder, STREAM_VALUES, zigzag(event->value - model->sources[s - 1].last_value));
        *value_guess = event->value;
    }
    if (trace_kinds[event->kind].payload) {
        put(encoder, STREAM_PAYLOADS, event->bytes);
        put_bytes(encoder, STREAM_PAYLOADS, event->payload, event->bytes);
    }
    if (flags) {
        put(encoder, STREAM_CONTROL, encoder->run);
        put_bytes(encoder, STREAM_CONTROL, &flags, 1);
        encoder->run = 0;
    } else {
        encoder->run++;
    }
    encoder->records++;
    model_step(model, s, count, event);
}

uint64_t codec_encoder_size(const struct codec_encoder *encoder)
{
    uint64_t size = 0;
    for (unsigned i = 0; i < STREAMS; i++)
        size += encoder->streams[i].length;
    return size;
}

int codec_encoder_finish(struct codec_encoder *encoder, struct codec_buffer *raw)
{
    if (encoder->run)
        put(encoder, STREAM_CONTROL, encoder->run);
    encoder->run = 0;
    bool fine = !encoder->no_memory;
    raw->length = 0;
    for (unsigned i = 0; i < STREAMS && fine; i++)
        fine = codec_buffer_varint(raw, encoder->streams[i].length);
    for (unsigned i = 0; i < STREAMS && fine; i++)
        fine = codec_buffer_append(raw, encoder->streams[i].bytes, encoder->streams[i].length);
    return fine ? 0 : ERROR_MEMORY;
}

/* ---- decoder ---- */

struct cursor {
    const uint8_t *bytes;
    uint64_t length, offset;
};

struct decoder {
    struct codec_model *model;
    struct cursor streams[STREAMS];
    enum trace_level level;
    struct position last;
    uint64_t run; /* records until the next flag byte */
    bool flagged; /* a flag byte follows the run */
};

static bool take(struct decoder *decoder, enum codec_stream stream, uint64_t *value)
{
    struct cursor *cursor = &decoder->streams[stream];
    return codec_varint(cursor->bytes, cursor->length, &cursor->offset, value);
}

static bool take_byte(struct decoder *decoder, enum codec_stream stream, uint8_t *byte)
{
    struct cursor *cursor = &decoder->streams[stream];
    if (cursor->offset >= cursor->length)
        return false;
    *byte = cursor->bytes[cursor->offset++];
    return true;
}

static bool take_definition(struct decoder *decoder)
{
    struct codec_model *model = decoder->model;
    struct codec_source source = {0};
    uint64_t bytes = 0, address;
    if (model->source_count == CODEC_SOURCES ||
        !take_byte(decoder, STREAM_DEFINITIONS, &source.kind) ||
        !take_byte(decoder, STREAM_DEFINITIONS, &source.cpu) || source.kind >= TRACE_KINDS)
        return false;
    const struct trace_kind_info *kind = &trace_kinds[source.kind];
    if (!kind->payload && !take(decoder, STREAM_DEFINITIONS, &bytes))
        return false;
    if (!take(decoder, STREAM_DEFINITIONS, &address))
        return false;
    source.bytes = (uint32_t)bytes;
    source.address = model->defined_address + unzigzag(address);
    model->defined_address = source.address;
    if (kind->level > decoder->level || bytes > UINT32_MAX || (!kind->cpu && source.cpu) ||
        source.cpu >= 64 || (!kind->bytes && bytes) || (!kind->address && source.address))
        return false;
    model->sources[model->source_count++] = source;
    return true;
}

static bool take_flags(struct decoder *decoder, uint8_t *flags)
{
    struct cursor *control = &decoder->streams[STREAM_CONTROL];
    *flags = 0;
    if (!decoder->run && !decoder->flagged) {
        if (!take(decoder, STREAM_CONTROL, &decoder->run))
            return false;
        decoder->flagged = control->offset < control->length;
        if (!decoder->run && !decoder->flagged)
            return false;
    }
    if (decoder->run) {
        decoder->run--;
        return true;
    }
    decoder->flagged = false;
    return take_byte(decoder, STREAM_CONTROL, flags) && *flags && *flags < 16;
}

/* Source, count and position of the next record. */
static bool take_place(struct decoder *decoder, uint8_t flags, uint32_t *s, uint64_t *count,
                       struct trace_event *event)
{
    struct codec_model *model = decoder->model;
    uint32_t *source_guess = predicted_source(model);
    *s = *source_guess;
    if (flags & FLAG_SOURCE) {
        uint64_t number;
        if (!take(decoder, STREAM_SOURCES, &number) || number > model->source_count)
            return false;
        if (number == model->source_count && !take_definition(decoder))
            return false;
        *s = (uint32_t)number + 1;
    }
    if (*s == 0 || *s > model->source_count)
        return false;
    *source_guess = *s;

    uint64_t *count_guess = predicted_count(model, *s);
    *count = *count_guess;
    if ((flags & FLAG_COUNT) && !take(decoder, STREAM_COUNTS, count))
        return false;
    *count_guess = *count;
    uint64_t idle = 0;
    if ((flags & FLAG_IDLE) && !take(decoder, STREAM_IDLES, &idle))
        return false;
    if (*count > decoder->last.instructions - model->at.instructions ||
        idle > decoder->last.idle_ns - model->at.idle_ns)
        return false;
    event->at.instructions = model->at.instructions + *count;
    event->at.idle_ns = model->at.idle_ns + idle;
    return true;
}

static bool take_payload(struct decoder *decoder, struct trace_event *event)
{
    struct cursor *cursor = &decoder->streams[STREAM_PAYLOADS];
    uint64_t bytes;
    if (!take(decoder, STREAM_PAYLOADS, &bytes) || bytes > TRACE_PAYLOAD_BYTES ||
        bytes > cursor->length - cursor->offset)
        return false;
    event->bytes = (uint32_t)bytes;
    event->payload = cursor->bytes + cursor->offset;
    cursor->offset += bytes;
    return true;
}

/* Whether slots hold what their kind allows, so that a player may use them. */
static bool plausible(const struct decoder *decoder, const struct trace_event *event)
{
    uint64_t outcome = event->address & ~(uint64_t)TRACE_END_PANIC;
    switch (event->kind) {
    case TRACE_END:
        return outcome >= OUTCOME_POWER_OFF && outcome <= OUTCOME_SIGNAL &&
               event->value <= UINT32_MAX;
    case TRACE_SERIAL:
        return event->address < 4 && event->value < 256;
    case TRACE_KEY:
    case TRACE_POWER_BUTTON:
    case TRACE_RESET:
    case TRACE_NMI:
    case TRACE_INTERRUPT:
    case TRACE_CPU_STARTUP:
        return event->address < 256 && event->value < 256 && event->bytes < 2;
    case TRACE_PORT_READ:
        return event->bytes >= 1 && event->bytes <= 4 && event->address < 65536;
    case TRACE_MMIO_READ:
        return event->bytes >= 1 && event->bytes <= 8;
    case TRACE_IDLE:
        return event->value && event->value <= decoder->last.idle_ns - event->at.idle_ns;
    default:
        return true;
    }
}

static bool take_record(struct decoder *decoder, struct trace_event *event)
{
    struct codec_model *model = decoder->model;
    uint8_t flags;
    uint32_t s;
    uint64_t count;
    if (!take_flags(decoder, &flags) || !take_place(decoder, flags, &s, &count, event))
        return false;
    const struct codec_source *source = &model->sources[s - 1];
    event->kind = source->kind;
    event->cpu = source->cpu;
    event->bytes = source->bytes;
    event->address = source->address;
    event->payload = NULL;
    uint64_t *value_guess = predicted_value(model, s);
    event->value = *value_guess;
    if (flags & FLAG_VALUE) {
        uint64_t difference;
        if (!take(decoder, STREAM_VALUES, &difference))
            return false;
        event->value = source->last_value + unzigzag(difference);
    }
    *value_guess = event->value;
    if (trace_kinds[event->kind].payload && !take_payload(decoder, event))
        return false;
    if (!trace_kinds[event->kind].value && event->value)
        return false;
    if (!plausible(decoder, event))
        return false;
    model_step(model, s, count, event);
    return true;
}

static uint64_t consumed(const struct decoder *decoder)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < STREAMS; i++)
        sum += decoder->streams[i].offset;
    return sum;
}

static bool split_streams(struct decoder *decoder, const uint8_t *raw, uint64_t length)
{
    uint64_t offset = 0;
    for (unsigned i = 0; i < STREAMS; i++) {
        if (!codec_varint(raw, length, &offset, &decoder->streams[i].length))
            return false;
    }
    for (unsigned i = 0; i < STREAMS; i++) {
        struct cursor *cursor = &decoder->streams[i];
        if (cursor->length > length - offset)
            return false;
        cursor->bytes = raw + offset;
        offset += cursor->length;
    }
    return offset == length;
}

int codec_decode(struct codec_model *model, const uint8_t *raw, uint64_t length, uint32_t count,
                 struct position first, struct position last, enum trace_level level,
                 struct trace_event *events, struct codec_decoded *decoded, struct error *error)
{
    struct decoder decoder = {.model = model, .level = level, .last = last};
    memset(decoded, 0, sizeof *decoded);
    model_start(model, first);
    if (last.instructions < first.instructions || last.idle_ns < first.idle_ns ||
        !split_streams(&decoder, raw, length))
        return error_set(error, ERROR_FORMAT, "streams do not fit their chunk");
    uint64_t before = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (!take_record(&decoder, &events[i]))
            return error_set(error, ERROR_FORMAT, "record %u is wrong", i);
        uint64_t now = consumed(&decoder);
        decoded->kind_records[events[i].kind]++;
        decoded->kind_bytes[events[i].kind] += now - before;
        before = now;
    }
    bool ended = !decoder.run && !decoder.flagged;
    for (unsigned i = 0; i < STREAMS; i++)
        ended = ended && decoder.streams[i].offset == decoder.streams[i].length;
    if (!ended)
        return error_set(error, ERROR_FORMAT, "bytes are left behind the last record");
    return 0;
}
