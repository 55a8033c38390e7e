/*
 * Random guests (fuzz_guest.h) against the contract of docs/determinism: each
 * is recorded twice with other stops in between, replayed straight, replayed
 * with leaps over checkpoints, with all derived data thrown away at random
 * moments, under a debugger's points, and isolated from the devices. All must
 * agree to the last digest, within a bounded time.
 */
#include "cpu/debug.h"
#include "cpu/engine.h"
#include "cpu/memory.h"
#include "fuzz_guest.h"
#include "replay/player.h"
#include "replay/runner.h"

#define MOST_INSTRUCTIONS 60000u
#define MOST_NS (20 * NS_PER_SECOND)

struct sink {
    uint8_t *bytes;
    uint64_t length, room;
};

struct recording {
    struct sink sink;
    struct runner_result result;
};

/* A host that types now and then, by a timing of its own. */
struct host {
    struct fuzz fuzz;
    unsigned inputs; /* left */
    struct door door;
};

static uint64_t current_seed;
static struct guest *guest;
static struct recording recordings[2];

/* Keeps what shows the case again, and ends it. */
__attribute__((format(printf, 1, 2))) static _Noreturn void fail(const char *format, ...)
{
    char text[3000];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fuzz_keep("rom", current_seed, guest->rom, sizeof guest->rom);
    for (unsigned i = 0; i < 2; i++)
        if (recordings[i].sink.length)
            fuzz_keep(i ? "trace2" : "trace1", current_seed, recordings[i].sink.bytes,
                      recordings[i].sink.length);
    fuzz_fail("seed %" PRIu64 ": %s", current_seed, text);
}

static int sink_write(void *context, const void *bytes, uint64_t length, struct error *error)
{
    struct sink *sink = context;
    (void)error;
    if (sink->length + length > sink->room) {
        sink->room = (sink->length + length) * 2;
        sink->bytes = realloc(sink->bytes, sink->room);
    }
    memcpy(sink->bytes + sink->length, bytes, length);
    sink->length += length;
    return 0;
}

static enum door_poll host_poll(void *context, uint64_t timeout_ns, struct door_input *input,
                                uint64_t *waited_ns)
{
    static const uint8_t kinds[] = {INPUT_SERIAL, INPUT_SERIAL, INPUT_KEY, INPUT_KEY, INPUT_POWER_BUTTON,
                                    INPUT_NMI, INPUT_NMI};
    struct host *host = context;
    *waited_ns = timeout_ns;
    if (!host->inputs)
        return DOOR_CLOSED;
    if (!fuzz_one_in(&host->fuzz, 3))
        return DOOR_NOTHING;
    host->inputs--;
    input->kind = fuzz_one_in(&host->fuzz, 30) ? INPUT_RESET : FUZZ_PICK(&host->fuzz, kinds);
    input->unit = input->kind == INPUT_SERIAL ? fuzz_below(&host->fuzz, 4) : 0;
    input->value = (uint8_t)fuzz_next(&host->fuzz);
    *waited_ns = timeout_ns ? fuzz_below(&host->fuzz, 100000) : 0;
    return DOOR_INPUT;
}

static void host_init(struct host *host, unsigned inputs)
{
    *host = (struct host){.fuzz = {current_seed ^ 0x5555}, .inputs = inputs};
    host->door = (struct door){.context = host, .poll = host_poll};
}

/* ---- recording ---- */

static void record(struct recording *recording, enum trace_level level, uint64_t digest_every,
                   enum engine_kind engine)
{
    struct runner_options options;
    struct error error = {""};
    struct host host;
    host_init(&host, (unsigned)(current_seed % 7) * 4);
    runner_options_init(&options);
    options.level = level;
    options.engine.kind = engine;
    options.digest_every = digest_every;
    options.max_instructions = MOST_INSTRUCTIONS;
    options.max_ns = guest->description.ns_per_instruction * MOST_INSTRUCTIONS + MOST_NS;
    struct trace_sink sink = {&recording->sink, sink_write};
    if (recorder_run(&guest->description, &options, &host.door, &sink, &recording->result, &error) < 0)
        fail("recording: %s", error.text);
    if (trace_verify(recording->sink.bytes, recording->sink.length, &error) != TRACE_WHOLE)
        fail("a recording's trace is not whole: %s", error.text);
}

/* ---- replaying ---- */

struct replay {
    const char *name;
    bool isolated; /* compares vCPUs and RAM only */
    const struct recording *recording;
    struct trace_reader *reader;
    struct player *player;
    struct fuzz fuzz;
    struct debug_points points;
};

static void replay_open(struct replay *replay, const char *name, const struct recording *recording,
                        const struct player_options *options)
{
    struct error error = {""};
    struct host host;
    host_init(&host, 0);
    memset(replay, 0, sizeof *replay);
    replay->name = name;
    replay->isolated = options->isolated;
    replay->recording = recording;
    replay->fuzz.state = current_seed ^ 0xabcdef;
    replay->reader = trace_reader_open(recording->sink.bytes, recording->sink.length, NULL, &error);
    if (replay->reader)
        replay->player = player_create(replay->reader, &guest->description, options, &host.door, &error);
    if (!replay->player)
        fail("%s: %s", name, error.text);
}

static void replay_check(struct replay *replay, enum player_stop stop)
{
    char text[2500];
    if (stop != PLAYER_DIVERGED && stop != PLAYER_ERROR)
        return;
    divergence_text(player_divergence(replay->player), text, sizeof text);
    fail("%s: %s", replay->name, stop == PLAYER_ERROR ? "the trace is damaged" : text);
}

/* Plays to the end and compares the result with the recording's. */
static void replay_finish(struct replay *replay)
{
    struct error error = {""};
    enum player_stop stop;
    do
        stop = player_run(replay->player, &error);
    while (stop == PLAYER_DEBUG && (replay->points.hit = false, replay->points.skip_break = ~0ull));
    replay_check(replay, stop);
    struct player_result result;
    player_result(replay->player, &result);
    const struct runner_result *want = &replay->recording->result;
    if (stop != PLAYER_END || result.outcome.kind != want->outcome.kind ||
        !position_equal(result.end, want->end) ||
        (!replay->isolated && result.final_digest != want->final_digest))
        fail("%s: ends otherwise: stop %d, outcome %s at %" PRIu64 ", recorded %s at %" PRIu64, replay->name,
             stop, outcome_text(&result.outcome), result.end.instructions,
             outcome_text(&want->outcome), want->end.instructions);
    player_destroy(replay->player);
    trace_reader_close(replay->reader);
}

static void replay_straight(const struct recording *recording, bool isolated, enum engine_kind engine)
{
    struct replay replay;
    struct player_options options = {.isolated = isolated, .engine.kind = engine};
    const char *name = isolated ? "isolated replay" : engine ? "translated replay" : "replay";
    replay_open(&replay, name, recording, &options);
    replay_finish(&replay);
}

/* Forwards in random steps; derived data goes at each stop. */
static void replay_in_steps(const struct recording *recording, enum engine_kind engine)
{
    struct replay replay;
    struct player_options options = {.engine.kind = engine};
    replay_open(&replay, engine ? "translated replay without caches" : "replay without caches", recording,
                &options);
    uint64_t end = player_end(replay.player).instructions, at = 0;
    for (unsigned i = 0; i < 60 && at < end; i++) {
        at += 1 + fuzz_below(&replay.fuzz, fuzz_one_in(&replay.fuzz, 2) ? 50 : 3000);
        replay_check(&replay, player_run_to(replay.player, at, NULL));
        struct machine *machine = player_machine(replay.player);
        mmu_flush_all(machine->engine);
        if (fuzz_one_in(&replay.fuzz, 3))
            engine_flush_blocks(machine->engine);
        machine->engine->young.size = 4096u << fuzz_below(&replay.fuzz, 4);
    }
    replay_finish(&replay);
}

/* To and fro over checkpoints. */
static void replay_with_leaps(const struct recording *recording, bool isolated, enum engine_kind engine)
{
    struct replay replay;
    uint64_t end = recording->result.end.instructions;
    struct player_options options = {
        .isolated = isolated,
        .checkpoints = true,
        .checkpoint_every = 1 + end / 12,
        .checkpoint_bytes = current_seed % 3 ? 0 : 200000,
        .engine.kind = engine,
    };
    replay_open(&replay, isolated ? "isolated replay with leaps" : "replay with leaps", recording, &options);
    for (unsigned i = 0; i < 14; i++) {
        uint64_t to = end ? fuzz_next(&replay.fuzz) % end : 0;
        if (i % 5 == 4)
            to = player_position(replay.player).instructions;
        replay_check(&replay, player_seek(replay.player, to, NULL));
        if (player_position(replay.player).instructions != to)
            fail("%s: asked for %" PRIu64 ", came to %" PRIu64, replay.name, to,
                 player_position(replay.player).instructions);
        if (fuzz_one_in(&replay.fuzz, 3))
            player_checkpoint(replay.player, NULL);
    }
    replay_finish(&replay);
}

/* A debugger that stops at points and goes on, and reads memory. */
static void replay_debugged(const struct recording *recording)
{
    struct replay replay;
    struct player_options options = {0};
    replay_open(&replay, "debugged replay", recording, &options);
    struct machine *machine = player_machine(replay.player);
    for (unsigned i = 0; i < 12; i++)
        replay.points.points[replay.points.count++] = (struct debug_point){
            i % 2 ? IMAGE + fuzz_below(&replay.fuzz, IMAGE_BYTES) : 0xf0000 + fuzz_below(&replay.fuzz, 0xc000),
            1 + fuzz_below(&replay.fuzz, 64), i % 2 ? DEBUG_WATCH_WRITE + i / 2 % 3 : DEBUG_BREAK};
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        machine->cpus[i]->debug = &replay.points;
        mmu_flush(machine->cpus[i]);
    }
    uint8_t bytes[64];
    for (unsigned i = 0; i < 200; i++) {
        enum player_stop stop = player_run_to(replay.player, MOST_INSTRUCTIONS / 2, NULL);
        replay_check(&replay, stop);
        if (stop != PLAYER_DEBUG)
            break;
        memory_debug_read(machine->cpus[0], fuzz_next(&replay.fuzz), bytes, sizeof bytes);
        memory_debug_read(machine->cpus[0], fuzz_below(&replay.fuzz, 0x800000), bytes, sizeof bytes);
        replay.points.hit = false;
        replay.points.skip_break = ~0ull;
    }
    replay.points.count = 0;
    for (unsigned i = 0; i < machine->cpu_count; i++)
        machine->cpus[i]->debug = NULL;
    replay_finish(&replay);
}

/* ---- a case ---- */

static void compare_recordings(void)
{
    const struct runner_result *a = &recordings[0].result, *b = &recordings[1].result;
    if (a->outcome.kind != b->outcome.kind || a->outcome.detail != b->outcome.detail ||
        !position_equal(a->end, b->end))
        fail("two recordings end at %" PRIu64 " (%s) and %" PRIu64 " (%s)", a->end.instructions,
             outcome_text(&a->outcome), b->end.instructions, outcome_text(&b->outcome));
    if (a->final_digest != b->final_digest) {
        /* Which component: the player of one tells, at digests of the other. */
        printf("final digests of two recordings differ\n");
        replay_straight(&recordings[0], false, ENGINE_TRANSLATOR);
        replay_straight(&recordings[1], false, ENGINE_INTERPRETER);
        fail("two recordings differ, and each replays");
    }
}

static void run(uint64_t seed)
{
    current_seed = seed;
    guest = guest_create(seed);
    struct fuzz fuzz = {seed ^ 0x1234567};
    record(&recordings[0], TRACE_LEVEL_FULL, 500 + fuzz_below(&fuzz, 8000), ENGINE_INTERPRETER);
    record(&recordings[1], TRACE_LEVEL_INPUTS, fuzz_one_in(&fuzz, 4) ? 0 : 1000 + fuzz_below(&fuzz, 20000),
           ENGINE_TRANSLATOR);
    compare_recordings();
    if (getenv("FUZZ_VERBOSE"))
        printf("%" PRIu64 ": mode %d, %u vCPUs: %s at %" PRIu64 ", %" PRIu64 " ns, trace %" PRIu64 "\n", seed,
               guest->mode, guest->description.cpus, outcome_text(&recordings[0].result.outcome),
               recordings[0].result.end.instructions, recordings[0].result.virtual_ns,
               recordings[0].sink.length);
    replay_straight(&recordings[0], false, ENGINE_INTERPRETER);
    replay_straight(&recordings[0], false, ENGINE_TRANSLATOR);
    replay_in_steps(&recordings[seed % 2], seed % 3 ? ENGINE_TRANSLATOR : ENGINE_INTERPRETER);
    replay_with_leaps(&recordings[seed / 2 % 2], false, seed % 5 ? ENGINE_TRANSLATOR : ENGINE_INTERPRETER);
    replay_debugged(&recordings[0]);
    if (recordings[0].result.outcome.kind != OUTCOME_RESET) {
        replay_straight(&recordings[0], true, seed % 2 ? ENGINE_TRANSLATOR : ENGINE_INTERPRETER);
        replay_with_leaps(&recordings[0], true, ENGINE_INTERPRETER);
    }
    free(guest);
    free(recordings[0].sink.bytes);
    free(recordings[1].sink.bytes);
    memset(recordings, 0, sizeof recordings);
}

int main(int argc, char **argv)
{
    return fuzz_main(argc, argv, run, 40, 1500, 60);
}
