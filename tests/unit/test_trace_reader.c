/* Traces are untrusted: each byte flipped, each prefix, seeded mutations. */
#include "trace_bench.h"

/* A small trace: every byte and every prefix of it can be tried. */
static struct memory_sink small;

static int setup(void **state)
{
    (void)state;
    bench_trace(&small, 240, 60);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(small.bytes);
    return 0;
}

/* Opens, reads and dumps everything, whatever the bytes are. */
static enum trace_state read_all(const uint8_t *bytes, uint64_t length)
{
    struct error error = {""};
    enum trace_state state = trace_verify(bytes, length, &error);
    assert_true(state == TRACE_WHOLE || error.text[0]);
    struct trace_reader *reader = trace_reader_open(bytes, length, NULL, &error);
    if (!reader)
        return state;
    struct trace_chunk chunk;
    for (uint32_t i = 0; i < trace_reader_chunks(reader); i++) {
        if (trace_reader_load(reader, i, &chunk, &error) < 0)
            break;
        for (uint32_t k = 0; k < chunk.count; k++) {
            char text[200];
            trace_event_text(&chunk.events[k], text, sizeof text);
        }
    }
    trace_reader_close(reader);
    return state;
}

/* A copy without spare bytes, so that ASan sees reads beyond it. */
static uint8_t *copy_of(uint64_t length)
{
    uint8_t *copy = malloc(length ? length : 1);
    memcpy(copy, small.bytes, length);
    return copy;
}

static void whole(void **state)
{
    (void)state;
    assert_int_equal(read_all(small.bytes, small.length), TRACE_WHOLE);
    struct trace_info info;
    struct trace_reader *reader = trace_reader_open(small.bytes, small.length, NULL, NULL);
    assert_int_equal(trace_info(reader, &info, NULL), 0);
    assert_int_equal(info.records, 241);
    assert_int_equal(info.chunks, 5);
    assert_true(info.has_outcome);
    assert_int_equal(info.outcome.kind, OUTCOME_POWER_OFF);
    uint64_t records = 0, bytes = 0;
    for (unsigned kind = 0; kind < TRACE_KINDS; kind++) {
        records += info.kinds[kind].records;
        bytes += info.kinds[kind].packed_bytes;
    }
    assert_int_equal(records, info.records);
    assert_true(bytes <= info.file_bytes);
    trace_reader_close(reader);
}

static void each_byte_flipped(void **state)
{
    (void)state;
    uint8_t *copy = copy_of(small.length);
    for (uint64_t i = 0; i < small.length; i++) {
        for (unsigned bit = 0; bit < 8; bit += 7) {
            copy[i] ^= (uint8_t)(1 << bit);
            assert_int_equal(read_all(copy, small.length), TRACE_DAMAGED);
            copy[i] ^= (uint8_t)(1 << bit);
        }
    }
    free(copy);
}

static void each_prefix(void **state)
{
    (void)state;
    uint64_t header = 48 + sizeof bench_description - 1;
    uint64_t instructions = 0;
    for (uint64_t length = 0; length < small.length; length++) {
        uint8_t *copy = copy_of(length);
        assert_int_equal(read_all(copy, length), length < header ? TRACE_DAMAGED : TRACE_CUT);
        if (length >= header) {
            struct trace_reader *reader = trace_reader_open(copy, length, NULL, NULL);
            assert_true(trace_reader_end(reader).instructions >= instructions);
            instructions = trace_reader_end(reader).instructions;
            trace_reader_close(reader);
        }
        free(copy);
    }
    assert_true(instructions > 0);
}

static void bytes_behind_the_end(void **state)
{
    (void)state;
    uint8_t *copy = malloc(small.length + 1);
    memcpy(copy, small.bytes, small.length);
    copy[small.length] = 0;
    assert_int_equal(read_all(copy, small.length + 1), TRACE_DAMAGED);
    free(copy);
}

#include "replay/trace_file.h"

/* Makes the checksums of all chunks right again, so that what lies behind them
 * is reached. */
static void mend_checksums(uint8_t *bytes, uint64_t length)
{
    uint64_t offset = 48 + sizeof bench_description - 1;
    struct trace_chunk_header chunk;
    while (length - offset >= sizeof chunk) {
        memcpy(&chunk, bytes + offset, sizeof chunk);
        if (memcmp(chunk.magic, TRACE_CHUNK_MAGIC, 4) != 0 ||
            chunk.packed_length > length - offset - sizeof chunk)
            return;
        chunk.packed_checksum =
            trace_file_checksum(bytes + offset + sizeof chunk, chunk.packed_length);
        chunk.checksum = trace_file_checksum(&chunk, 64);
        memcpy(bytes + offset, &chunk, sizeof chunk);
        offset += sizeof chunk + chunk.packed_length;
    }
}

static void mutations(void **state)
{
    (void)state;
    uint32_t seed = 20240101, damaged = 0;
    for (unsigned round = 0; round < 10000; round++) {
        uint64_t length = small.length - (number(&seed, 4) ? 0 : number(&seed, 300));
        uint8_t *copy = copy_of(length);
        for (uint32_t n = 1 + number(&seed, 8); n; n--)
            copy[number(&seed, (uint32_t)length)] = (uint8_t)number(&seed, 256);
        if (round % 2)
            mend_checksums(copy, length);
        damaged += read_all(copy, length) == TRACE_DAMAGED;
        free(copy);
    }
    assert_true(damaged > 9000);
}

/* The raw bytes of a chunk, mutated without compression around them. */
static void mutated_records(void **state)
{
    (void)state;
    enum { RECORDS = 400 };
    uint32_t seed = 7, write_seed = 3, fine = 0;
    struct position first = {0, 0}, at = first;
    struct codec_encoder *encoder = codec_encoder_create();
    struct codec_buffer raw = {0};
    codec_encoder_start(encoder, first);
    for (unsigned i = 0; i < RECORDS; i++) {
        struct trace_event event = made_up_event(&write_seed, &at);
        codec_encoder_add(encoder, &event);
    }
    assert_int_equal(codec_encoder_finish(encoder, &raw), 0);
    struct trace_event events[RECORDS];
    struct codec_decoded decoded;
    uint8_t *copy = malloc(raw.length);
    for (unsigned round = 0; round < 10000; round++) {
        memcpy(copy, raw.bytes, raw.length);
        for (uint32_t n = number(&seed, 4); n; n--)
            copy[number(&seed, (uint32_t)raw.length)] = (uint8_t)number(&seed, 256);
        if (codec_decode(&encoder->model, copy, raw.length, RECORDS, first, at, TRACE_LEVEL_FULL,
                         events, &decoded, NULL) < 0)
            continue;
        fine++;
        for (unsigned i = 0; i < RECORDS; i++) {
            assert_true(events[i].kind < TRACE_KINDS && events[i].cpu < 64);
            assert_true(events[i].at.instructions <= at.instructions);
            assert_true(events[i].at.idle_ns <= at.idle_ns);
        }
    }
    assert_true(fine > 2000);
    free(copy);
    free(raw.bytes);
    codec_encoder_destroy(encoder);
}

/* Levels are kept: a trace of inputs holds no observation. */
static void level_is_checked(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    struct trace_writer *writer = bench_writer(&sink, TRACE_LEVEL_INPUTS);
    struct trace_event event = {.kind = TRACE_PORT_READ, .bytes = 1};
    trace_writer_add(writer, &event);
    assert_int_equal(trace_writer_finish(writer, event.at, NULL), 0);
    trace_writer_destroy(writer);
    assert_int_equal(trace_verify(sink.bytes, sink.length, NULL), TRACE_DAMAGED);
    free(sink.bytes);
}

static void nothing_behind_the_end_record(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    struct trace_writer *writer = bench_writer(&sink, TRACE_LEVEL_INPUTS);
    struct trace_event end = bench_end((struct position){5, 0});
    trace_writer_add(writer, &end);
    trace_writer_add(writer, &end);
    assert_int_equal(trace_writer_finish(writer, end.at, NULL), 0);
    trace_writer_destroy(writer);
    assert_int_equal(trace_verify(sink.bytes, sink.length, NULL), TRACE_DAMAGED);
    free(sink.bytes);
}

static void dumps(void **state)
{
    (void)state;
    struct trace_reader *reader = trace_reader_open(small.bytes, small.length, NULL, NULL);
    for (int json = 0; json < 2; json++) {
        char *text = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&text, &size);
        assert_int_equal(trace_dump(reader, out, json, NULL), 0);
        fclose(out);
        unsigned lines = 0;
        for (size_t i = 0; i < size; i++)
            lines += text[i] == '\n';
        assert_int_equal(lines, 241);
        assert_non_null(strstr(text, json ? "\"kind\":\"port-read\",\"cpu\":0,\"port\":1021,"
                                            "\"bytes\":1,\"value\":96}"
                                          : "port-read cpu=0 port=0x3fd bytes=1 value=0x60"));
        free(text);
    }
    trace_reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole),
        cmocka_unit_test(each_byte_flipped),
        cmocka_unit_test(each_prefix),
        cmocka_unit_test(bytes_behind_the_end),
        cmocka_unit_test(mutations),
        cmocka_unit_test(mutated_records),
        cmocka_unit_test(level_is_checked),
        cmocka_unit_test(nothing_behind_the_end_record),
        cmocka_unit_test(dumps),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
