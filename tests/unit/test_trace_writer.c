/* Traces: what is written is read back; chunks close in time; sinks fail. */
#include "trace_bench.h"

#define EVENTS 20000

static void assert_same(const struct trace_event *a, const struct trace_event *b)
{
    assert_int_equal(a->at.instructions, b->at.instructions);
    assert_int_equal(a->at.idle_ns, b->at.idle_ns);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->cpu, b->cpu);
    assert_int_equal(a->bytes, b->bytes);
    assert_int_equal(a->address, b->address);
    assert_int_equal(a->value, b->value);
    if (trace_kinds[a->kind].payload && a->bytes)
        assert_memory_equal(a->payload, b->payload, a->bytes);
}

static void round_trip(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    bench_trace(&sink, EVENTS, 3000);
    struct trace_reader *reader = trace_reader_open(sink.bytes, sink.length, NULL, NULL);
    assert_non_null(reader);
    assert_int_equal(trace_reader_state(reader), TRACE_WHOLE);
    assert_int_equal(trace_reader_level(reader), TRACE_LEVEL_FULL);
    assert_int_equal(trace_reader_digest_every(reader), 1u << 20);
    uint64_t length;
    const char *text = trace_reader_description(reader, &length);
    assert_int_equal(length, sizeof bench_description - 1);
    assert_memory_equal(text, bench_description, length);

    uint32_t seed = 1, told = 0;
    struct position at = {0, 0};
    for (uint32_t i = 0; i < trace_reader_chunks(reader); i++) {
        struct trace_chunk chunk;
        assert_int_equal(trace_reader_load(reader, i, &chunk, NULL), 0);
        for (uint32_t k = 0; k < chunk.count; k++, told++) {
            struct trace_event event =
                told < EVENTS ? made_up_event(&seed, &at) : bench_end(at);
            assert_same(&chunk.events[k], &event);
            if (told % 3000 == 2999)
                at.instructions += 1u << 29;
        }
    }
    assert_int_equal(told, EVENTS + 1);
    assert_int_equal(trace_reader_chunks(reader), EVENTS / 3000 + 1);
    assert_int_equal(trace_reader_end(reader).instructions, at.instructions);
    trace_reader_close(reader);
    free(sink.bytes);
}

static void same_events_same_bytes(void **state)
{
    (void)state;
    struct memory_sink a = {0}, b = {0};
    bench_trace(&a, EVENTS, 3000);
    bench_trace(&b, EVENTS, 3000);
    assert_int_equal(a.length, b.length);
    assert_memory_equal(a.bytes, b.bytes, a.length);
    free(a.bytes);
    free(b.bytes);
}

static void one_write_a_chunk(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    bench_trace(&sink, 9000, 3000);
    /* header, three chunks, one with the end record, index and footer */
    assert_int_equal(sink.calls, 6);
    free(sink.bytes);
}

static void polls_are_cheap(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    struct trace_writer *writer = bench_writer(&sink, TRACE_LEVEL_EVENTS);
    struct trace_event event = {.kind = TRACE_PORT_READ, .bytes = 1, .address = 0x3FD};
    for (uint32_t i = 0; i < 200000; i++) {
        event.at.instructions += i % 2 ? 12 : 30;
        event.value = i % 2 ? 0x60 : 0x20;
        trace_writer_add(writer, &event);
    }
    assert_int_equal(trace_writer_finish(writer, event.at, NULL), 0);
    assert_true(sink.length < 600);
    trace_writer_destroy(writer);
    free(sink.bytes);
}

static uint32_t chunks_of(const struct memory_sink *sink)
{
    struct trace_reader *reader = trace_reader_open(sink->bytes, sink->length, NULL, NULL);
    assert_non_null(reader);
    uint32_t chunks = trace_reader_chunks(reader);
    trace_reader_close(reader);
    return chunks;
}

static void chunks_close_in_time(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    struct trace_writer *writer = bench_writer(&sink, TRACE_LEVEL_INPUTS);
    struct position at = {100, 0};
    trace_writer_advance(writer, at); /* nothing to write */
    assert_int_equal(chunks_of(&sink), 0);
    struct trace_event key = {.at = at, .kind = TRACE_KEY, .value = 0x1C};
    trace_writer_add(writer, &key);
    at.instructions += 1000;
    trace_writer_advance(writer, at);
    assert_int_equal(chunks_of(&sink), 0);
    at.idle_ns += NS_PER_SECOND; /* an input is kept soon when nothing goes on */
    trace_writer_advance(writer, at);
    assert_int_equal(chunks_of(&sink), 1);
    key.at = at;
    trace_writer_add(writer, &key);
    at.instructions += 256u << 20; /* and after many instructions */
    trace_writer_advance(writer, at);
    assert_int_equal(chunks_of(&sink), 2);
    trace_writer_destroy(writer);
    free(sink.bytes);
}

static void large_payloads(void **state)
{
    (void)state;
    struct memory_sink sink = {0};
    struct trace_writer *writer = bench_writer(&sink, TRACE_LEVEL_FULL);
    uint8_t *bytes = calloc(1, TRACE_PAYLOAD_BYTES);
    struct trace_event event = {.kind = TRACE_DMA_DATA, .bytes = TRACE_PAYLOAD_BYTES};
    for (uint32_t i = 0; i < 9; i++) {
        memset(bytes, (int)i, TRACE_PAYLOAD_BYTES);
        event.payload = bytes;
        event.address = i;
        trace_writer_add(writer, &event);
    }
    struct trace_event end = bench_end(event.at);
    trace_writer_add(writer, &end);
    assert_int_equal(trace_writer_finish(writer, end.at, NULL), 0);
    trace_writer_destroy(writer);
    assert_true(chunks_of(&sink) >= 4);
    assert_int_equal(trace_verify(sink.bytes, sink.length, NULL), TRACE_WHOLE);
    free(bytes);
    free(sink.bytes);
}

/* Without room the writer says so once and for all; what is there is readable. */
static void no_room(void **state)
{
    (void)state;
    struct memory_sink whole = {0};
    bench_trace(&whole, 9000, 1000);
    for (uint64_t room = 400; room < whole.length; room += whole.length / 7) {
        struct memory_sink sink = {.room = room};
        struct trace_writer *writer = bench_writer(&sink, TRACE_LEVEL_FULL);
        uint32_t seed = 1;
        struct position at = {0, 0};
        for (uint32_t i = 0; i < 9000; i++) {
            struct trace_event event = made_up_event(&seed, &at);
            trace_writer_add(writer, &event);
            if (i % 1000 == 999) {
                at.instructions += 1u << 29;
                trace_writer_advance(writer, at);
            }
        }
        struct error error;
        assert_int_equal(trace_writer_finish(writer, at, &error), ERROR_SPACE);
        assert_string_equal(error.text, "no room left");
        trace_writer_destroy(writer);
        assert_int_equal(trace_verify(sink.bytes, sink.length, NULL), TRACE_CUT);
        free(sink.bytes);
    }
    struct memory_sink none = {.room = 10};
    struct trace_sink trace_sink = {&none, memory_write};
    struct trace_writer_options options = {TRACE_LEVEL_FULL, 0, "", 0};
    int code = 0;
    assert_null(trace_writer_create(&trace_sink, &options, &code, NULL));
    assert_int_equal(code, ERROR_SPACE);
    free(none.bytes);
    free(whole.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip),
        cmocka_unit_test(same_events_same_bytes),
        cmocka_unit_test(one_write_a_chunk),
        cmocka_unit_test(polls_are_cheap),
        cmocka_unit_test(chunks_close_in_time),
        cmocka_unit_test(large_payloads),
        cmocka_unit_test(no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
