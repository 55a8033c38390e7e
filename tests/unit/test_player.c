/* Recording and replaying a real machine that runs a small guest. */
#include "player_bench.h"

static const struct player_options plain;

static void replays_equal(const struct bench_recording *recording,
                          const struct player_options *options)
{
    struct bench_replay replay;
    bench_open(&replay, &recording->description, recording->sink.bytes, recording->sink.length,
               options);
    enum player_stop stop = player_run(replay.player, &replay.error);
    if (stop == PLAYER_DIVERGED) {
        char text[4096];
        divergence_text(player_divergence(replay.player), text, sizeof text);
        fail_msg("%s", text);
    }
    assert_string_equal(replay.error.text, "");
    assert_int_equal(stop, PLAYER_END);
    player_result(replay.player, &replay.result);
    assert_int_equal(replay.result.outcome.kind, recording->result.outcome.kind);
    assert_int_equal(replay.result.outcome.detail, recording->result.outcome.detail);
    assert_int_equal(replay.result.digests, recording->result.digests);
    assert_int_equal(replay.result.end.instructions, recording->result.end.instructions);
    assert_int_equal(replay.result.end.idle_ns, recording->result.end.idle_ns);
    if (!options->isolated) {
        assert_int_equal(replay.result.final_digest, recording->result.final_digest);
        assert_int_equal(replay.door.output_length, recording->door.output_length);
        assert_memory_equal(replay.door.output, recording->door.output,
                            recording->door.output_length);
    }
    bench_close(&replay);
}

static void replays_at_every_level(void **state)
{
    (void)state;
    for (int level = TRACE_LEVEL_INPUTS; level <= TRACE_LEVEL_FULL; level++) {
        for (uint32_t seed = 1; seed <= 10; seed++) {
            struct bench_recording recording;
            bench_record(&recording, (enum trace_level)level, seed);
            assert_true(recording.result.digests > 5);
            assert_int_equal(trace_verify(recording.sink.bytes, recording.sink.length, NULL),
                             TRACE_WHOLE);
            replays_equal(&recording, &plain);
            free(recording.sink.bytes);
        }
    }
}

static void replays_isolated(void **state)
{
    (void)state;
    const struct player_options isolated = {.isolated = true};
    for (uint32_t seed = 1; seed <= 10; seed++) {
        struct bench_recording recording;
        bench_record(&recording, TRACE_LEVEL_FULL, seed);
        replays_equal(&recording, &isolated);
        free(recording.sink.bytes);
    }
    struct bench_recording recording;
    struct error error = {""};
    bench_record(&recording, TRACE_LEVEL_INPUTS, 1);
    struct trace_reader *reader =
        trace_reader_open(recording.sink.bytes, recording.sink.length, NULL, NULL);
    assert_null(player_create(reader, &recording.description, &isolated, &recording.door.door,
                              &error));
    assert_non_null(strstr(error.text, "--log"));
    trace_reader_close(reader);
    free(recording.sink.bytes);
}

static void same_inputs_same_trace(void **state)
{
    (void)state;
    struct bench_recording a, b, c;
    bench_record(&a, TRACE_LEVEL_EVENTS, 5);
    bench_record(&b, TRACE_LEVEL_EVENTS, 5);
    bench_record(&c, TRACE_LEVEL_EVENTS, 6);
    assert_int_equal(a.sink.length, b.sink.length);
    assert_memory_equal(a.sink.bytes, b.sink.bytes, a.sink.length);
    /* The host's timing shows. */
    assert_true(a.sink.length != c.sink.length ||
                memcmp(a.sink.bytes, c.sink.bytes, a.sink.length) != 0);
    free(a.sink.bytes);
    free(b.sink.bytes);
    free(c.sink.bytes);
}

static void cut_traces_replay_to_the_cut(void **state)
{
    (void)state;
    struct bench_recording recording;
    bench_record(&recording, TRACE_LEVEL_EVENTS, 3);
    unsigned cut = 0;
    uint64_t step = recording.sink.length / 40;
    for (uint64_t length = recording.sink.length - 1; length > 600; length -= step) {
        struct bench_replay replay;
        bench_open(&replay, &recording.description, recording.sink.bytes, length, &plain);
        assert_int_equal(player_run(replay.player, &replay.error), PLAYER_END);
        player_result(replay.player, &replay.result);
        struct position end = player_end(replay.player);
        assert_int_equal(replay.result.end.instructions, end.instructions);
        assert_int_equal(replay.result.end.idle_ns, end.idle_ns);
        cut += replay.result.outcome.kind == OUTCOME_CUT;
        assert_int_equal(outcome_replay_status(&replay.result.outcome),
                         replay.result.outcome.kind == OUTCOME_CUT ? 0 : BENCH_GUEST_STATUS);
        bench_close(&replay);
    }
    assert_true(cut > 10);
    free(recording.sink.bytes);
}

/* ---- divergences ---- */

/* The trace again, with record `victim` of a kind changed by `change`; -1 drops
 * it. */
static void rewrite(const struct bench_recording *recording, struct memory_sink *sink,
                    uint8_t kind, unsigned victim, int change)
{
    struct trace_reader *reader =
        trace_reader_open(recording->sink.bytes, recording->sink.length, NULL, NULL);
    struct trace_sink trace_sink = {sink, memory_write};
    uint64_t length;
    const char *text = trace_reader_description(reader, &length);
    struct trace_writer_options options = {trace_reader_level(reader), BENCH_DIGEST_EVERY, text,
                                           length};
    int code;
    sink->room = UINT64_MAX;
    struct trace_writer *writer = trace_writer_create(&trace_sink, &options, &code, NULL);
    assert_non_null(writer);
    struct trace_chunk chunk;
    unsigned seen = 0;
    for (uint32_t i = 0; i < trace_reader_chunks(reader); i++) {
        assert_int_equal(trace_reader_load(reader, i, &chunk, NULL), 0);
        for (uint32_t k = 0; k < chunk.count; k++) {
            struct trace_event event = chunk.events[k];
            uint8_t payload[DIVERGENCE_HISTORY + 4096];
            if (event.kind == kind && seen++ == victim) {
                if (change < 0)
                    continue;
                if (event.payload) {
                    memcpy(payload, event.payload, event.bytes);
                    payload[event.bytes - 1] ^= (uint8_t)change;
                    event.payload = payload;
                } else {
                    event.value ^= (uint64_t)change;
                }
            }
            trace_writer_add(writer, &event);
        }
    }
    assert_int_equal(trace_writer_finish(writer, trace_reader_end(reader), NULL), 0);
    trace_writer_destroy(writer);
    trace_reader_close(reader);
}

static void diverges(const struct bench_recording *recording, uint8_t kind, unsigned victim,
                     int change, struct divergence *divergence)
{
    struct memory_sink sink = {0};
    struct bench_replay replay;
    rewrite(recording, &sink, kind, victim, change);
    bench_open(&replay, &recording->description, sink.bytes, sink.length, &plain);
    assert_int_equal(player_run(replay.player, &replay.error), PLAYER_DIVERGED);
    *divergence = *player_divergence(replay.player);
    char text[4096];
    divergence_text(divergence, text, sizeof text);
    assert_non_null(strstr(text, "recorded: "));
    player_result(replay.player, &replay.result);
    assert_int_equal(outcome_replay_status(&replay.result.outcome), 3);
    bench_close(&replay);
    free(sink.bytes);
}

static void divergences_name_their_place(void **state)
{
    (void)state;
    struct bench_recording recording;
    struct divergence found;
    bench_record(&recording, TRACE_LEVEL_EVENTS, 2);

    diverges(&recording, TRACE_PORT_READ, 20, 0x20, &found);
    assert_string_equal(found.component, "port 3fdh");
    assert_int_equal(found.cpu, 0);
    assert_int_equal(found.rip, 0x41); /* the IN of LSR */
    assert_non_null(strstr(found.expected, "port-read"));
    assert_int_equal(found.history_count, DIVERGENCE_HISTORY);

    diverges(&recording, TRACE_PORT_READ, 20, -1, &found);
    assert_string_equal(found.component, "port 3fdh");
    diverges(&recording, TRACE_INTERRUPT, 7, 1, &found);
    assert_string_equal(found.component, "interrupts");
    assert_non_null(strstr(found.seen, "vector=0x8"));
    diverges(&recording, TRACE_IDLE, 5, 3, &found);
    assert_string_equal(found.component, "clock");
    diverges(&recording, TRACE_SERIAL, 1, 1, &found);
    assert_string_equal(found.component, "port 3f8h");
    diverges(&recording, TRACE_SERIAL, 1, -1, &found);
    diverges(&recording, TRACE_DIGEST, 4, 1, &found);
    /* the last component that changed: output, or RAM when none came out */
    assert_true(!strcmp(found.component, "output") || !strcmp(found.component, "ram"));
    diverges(&recording, TRACE_END, 0, 1, &found);
    free(recording.sink.bytes);
}

static void changed_guest_is_found_by_digests(void **state)
{
    (void)state;
    struct bench_recording recording;
    bench_record(&recording, TRACE_LEVEL_INPUTS, 2);
    bench_rom[104] ^= 1; /* the generator's addend */
    struct bench_replay replay;
    bench_open(&replay, &recording.description, recording.sink.bytes, recording.sink.length,
               &plain);
    assert_int_equal(player_run(replay.player, &replay.error), PLAYER_DIVERGED);
    const struct divergence *found = player_divergence(replay.player);
    assert_non_null(strstr(found->seen, "ram"));
    assert_true(found->at.instructions <= BENCH_DIGEST_EVERY);
    bench_close(&replay);
    free(recording.sink.bytes);
}

/* ---- ends ---- */

static void record_with(struct bench_recording *recording, const uint8_t *guest, uint64_t length,
                        const struct runner_options *options, unsigned signal_after)
{
    struct error error = {""};
    memset(recording, 0, sizeof *recording);
    recording->sink.room = UINT64_MAX;
    bench_describe(&recording->description, guest, length);
    bench_door_init(&recording->door, "hello", 9);
    recording->door.signal_after = signal_after;
    struct trace_sink sink = {&recording->sink, memory_write};
    assert_int_equal(recorder_run(&recording->description, options, &recording->door.door, &sink,
                                  &recording->result, &error),
                     0);
}

static void budgets_and_signals_end_runs(void **state)
{
    (void)state;
    struct bench_recording recording;
    struct runner_options options;
    for (int level = 0; level < 3; level++) {
        for (uint64_t n = 1; n < 40; n += 3) {
            runner_options_init(&options);
            options.level = (enum trace_level)level;
            options.digest_every = BENCH_DIGEST_EVERY;
            options.max_instructions = n * 3333;
            record_with(&recording, bench_guest, sizeof bench_guest, &options, 0);
            assert_int_equal(recording.result.outcome.kind, OUTCOME_BUDGET);
            assert_int_equal(recording.result.end.instructions, n * 3333);
            assert_int_equal(outcome_exit_status(&recording.result.outcome), 124);
            assert_int_equal(outcome_replay_status(&recording.result.outcome), 0);
            replays_equal(&recording, &plain);
            free(recording.sink.bytes);

            options.max_instructions = 0;
            options.max_ns = n * 77777;
            record_with(&recording, bench_guest, sizeof bench_guest, &options, 0);
            assert_int_equal(recording.result.outcome.kind, OUTCOME_BUDGET);
            assert_int_equal(recording.result.virtual_ns, n * 77777);
            replays_equal(&recording, &plain);
            free(recording.sink.bytes);

            options.max_ns = 0;
            record_with(&recording, bench_guest, sizeof bench_guest, &options, (unsigned)n);
            assert_int_equal(recording.result.outcome.kind, OUTCOME_SIGNAL);
            assert_int_equal(outcome_exit_status(&recording.result.outcome), 128 + 15);
            replays_equal(&recording, &plain);
            free(recording.sink.bytes);
        }
    }
}

static void dead_machines_end(void **state)
{
    (void)state;
    static const uint8_t halt[] = {0xfa, 0xf4}; /* cli; hlt */
    struct bench_recording recording;
    struct runner_options options;
    runner_options_init(&options);
    for (int level = 0; level < 3; level++) {
        options.level = (enum trace_level)level;
        record_with(&recording, halt, sizeof halt, &options, 0);
        assert_int_equal(recording.result.outcome.kind, OUTCOME_DEAD);
        assert_int_equal(outcome_exit_status(&recording.result.outcome), 1);
        replays_equal(&recording, &plain);
        free(recording.sink.bytes);
    }
}

static void no_room_stops_the_run(void **state)
{
    (void)state;
    struct bench_recording recording;
    struct runner_options options;
    struct runner_result result;
    struct error error = {""};
    bench_record(&recording, TRACE_LEVEL_EVENTS, 4);
    struct memory_sink small = {.room = recording.sink.length / 2};
    struct trace_sink sink = {&small, memory_write};
    bench_door_init(&recording.door, "helloq", 4);
    runner_options_init(&options);
    options.digest_every = BENCH_DIGEST_EVERY;
    assert_int_equal(recorder_run(&recording.description, &options, &recording.door.door, &sink,
                                  &result, &error),
                     ERROR_SPACE);
    assert_int_equal(trace_verify(small.bytes, small.length, NULL), TRACE_CUT);
    struct bench_replay replay;
    bench_open(&replay, &recording.description, small.bytes, small.length, &plain);
    assert_int_equal(player_run(replay.player, &replay.error), PLAYER_END);
    bench_close(&replay);
    free(small.bytes);
    free(recording.sink.bytes);
}

static void runs_without_a_trace(void **state)
{
    (void)state;
    struct bench_recording recording;
    struct runner_options options;
    struct runner_result result;
    struct error error = {""};
    bench_record(&recording, TRACE_LEVEL_INPUTS, 8);
    bench_door_init(&recording.door, "helloq", 8);
    runner_options_init(&options);
    assert_int_equal(runner_run(&recording.description, &options, &recording.door.door, &result,
                                &error),
                     0);
    /* The same host timing is the same run. */
    assert_int_equal(result.end.instructions, recording.result.end.instructions);
    assert_int_equal(result.end.idle_ns, recording.result.end.idle_ns);
    assert_int_equal(outcome_exit_status(&result.outcome), BENCH_GUEST_STATUS);
    free(recording.sink.bytes);
}

/* ---- hostile traces ---- */

#include "replay/trace_file.h"

static void mend_checksums(uint8_t *bytes, uint64_t length)
{
    struct trace_file_header header;
    struct trace_chunk_header chunk;
    memcpy(&header, bytes, sizeof header);
    uint64_t offset = sizeof header + header.description_length;
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

/* Whatever a trace holds, a player comes to an end of some kind. */
static void mutated_traces_end(void **state)
{
    (void)state;
    uint32_t seed = 77, ends[PLAYER_ERROR + 1] = {0};
    for (unsigned round = 0; round < 300; round++) {
        struct bench_recording recording;
        bench_record(&recording, (enum trace_level)(round % 3), 1 + round % 5);
        uint8_t *bytes = recording.sink.bytes;
        struct trace_file_header header;
        memcpy(&header, bytes, sizeof header);
        uint64_t first = sizeof header + header.description_length;
        for (uint32_t n = 1 + number(&seed, 3); n; n--)
            bytes[first + number(&seed, (uint32_t)(recording.sink.length - first))] =
                (uint8_t)number(&seed, 256);
        mend_checksums(bytes, recording.sink.length);
        struct player_options options = {.isolated = round % 3 && round % 2};
        struct bench_replay replay;
        bench_open(&replay, &recording.description, bytes, recording.sink.length, &options);
        ends[player_run_to(replay.player, 10000000, &replay.error)]++;
        bench_close(&replay);
        free(bytes);
    }
    assert_true(ends[PLAYER_END] && ends[PLAYER_ERROR]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replays_at_every_level),
        cmocka_unit_test(replays_isolated),
        cmocka_unit_test(same_inputs_same_trace),
        cmocka_unit_test(cut_traces_replay_to_the_cut),
        cmocka_unit_test(divergences_name_their_place),
        cmocka_unit_test(changed_guest_is_found_by_digests),
        cmocka_unit_test(budgets_and_signals_end_runs),
        cmocka_unit_test(dead_machines_end),
        cmocka_unit_test(no_room_stops_the_run),
        cmocka_unit_test(runs_without_a_trace),
        cmocka_unit_test(mutated_traces_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
