/*
 * Help for tests of recorder, player and checkpoints: a real machine of 1 MiB
 * that runs a small guest of its own, and a door with made-up host timing.
 */
#ifndef TESTS_PLAYER_BENCH_H
#define TESTS_PLAYER_BENCH_H

#include "machine/description.h"
#include "replay/player.h"
#include "replay/runner.h"
#include "trace_bench.h"

/*
 * The guest, 16-bit code (offset 0 of the ROM):
 *
 *   start: cli; segments 0; SP 7C00h; IVT entry 8 = tick
 *          8259 at vectors 8.., only IRQ 0 open; 8254 channel 0 mode 2, count 200
 *   loop:  sti; hlt; work; LSR bit 0? no: loop
 *          read a byte of serial port 0, send it back; not 'q': loop
 *          out 501h, 5; halt for ever
 *   work:  writes a page that a generator chooses: 1200 bytes, patterns or
 *          zeros, one time in four all of it zero
 *   tick:  inc dword [500h]; end of interrupt; iret
 */
static const uint8_t bench_guest[] = {
    0xfa, 0x31, 0xc0, 0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0xbc, 0x00, 0x7c, 0xc7, 0x06, 0x20,
    0x00, 0x90, 0x00, 0x8c, 0x0e, 0x22, 0x00, 0xb0, 0x11, 0xe6, 0x20, 0xb0, 0x08, 0xe6, 0x21,
    0xb0, 0x04, 0xe6, 0x21, 0xb0, 0x01, 0xe6, 0x21, 0xb0, 0xfe, 0xe6, 0x21, 0xb0, 0x34, 0xe6,
    0x43, 0xb0, 0xc8, 0xe6, 0x40, 0x30, 0xc0, 0xe6, 0x40, 0xbd, 0x03, 0x00, 0xfb, 0xf4, 0xe8,
    0x1a, 0x00, 0xba, 0xfd, 0x03, 0xec, 0xa8, 0x01, 0x74, 0xf3, 0xba, 0xf8, 0x03, 0xec, 0xee,
    0x3c, 0x71, 0x75, 0xea, 0xba, 0x01, 0x05, 0xb0, 0x05, 0xee, 0xf4, 0xeb, 0xfd, 0x89, 0xe8,
    0x69, 0xc0, 0x55, 0x62, 0x05, 0x19, 0x36, 0x89, 0xc5, 0x83, 0xe0, 0x7f, 0xc1, 0xe0, 0x08,
    0x05, 0x00, 0x10, 0x8e, 0xc0, 0xb9, 0x58, 0x02, 0x31, 0xff, 0x89, 0xe8, 0xa8, 0x07, 0x75,
    0x02, 0x31, 0xc0, 0xab, 0x01, 0xc8, 0xe2, 0xfb, 0xf3, 0xaa, 0xa8, 0x03, 0x75, 0x09, 0xb9,
    0x00, 0x08, 0x31, 0xff, 0x31, 0xc0, 0xf3, 0xab, 0xc3, 0x50, 0x66, 0xff, 0x06, 0x00, 0x05,
    0xb0, 0x20, 0xe6, 0x20, 0x58, 0xcf,
};
#define BENCH_GUEST_STATUS 11 /* QEMU's: 5 << 1 | 1 */
#define BENCH_DIGEST_EVERY 10000

static uint8_t bench_rom[65536];

/* A guest of `length` bytes at the start of the ROM; the reset vector goes there. */
static inline void bench_describe(struct description *description, const uint8_t *guest,
                                  uint64_t length)
{
    static const uint8_t reset[] = {0xea, 0x00, 0x00, 0x00, 0xf0}; /* jmp F000:0000 */
    memset(bench_rom, 0xcc, sizeof bench_rom);
    memcpy(bench_rom, guest, length);
    memcpy(bench_rom + 0xfff0, reset, sizeof reset);
    description_init(description);
    description->memory_bytes = 1u << 20;
    description->bios = 0;
    description->file_count = 1;
    description->debug_exits[0] = (struct description_debug_exit){0x501, 1};
    struct description_file *bios = &description->files[0];
    strcpy(bios->name, "bios");
    strcpy(bios->path, "bench");
    bios->size = sizeof bench_rom;
    bios->bytes = bench_rom;
}

struct bench_door {
    struct door door;
    uint32_t seed;
    const char *text;       /* what is typed */
    unsigned patience;      /* one poll in so many brings a byte */
    unsigned polls;         /* so far */
    unsigned signal_after;  /* calls of stop_signal until one comes; 0: never */
    unsigned signal_calls;
    char output[256];
    unsigned output_length;
};

static inline enum door_poll bench_poll(void *context, uint64_t timeout_ns,
                                        struct door_input *input, uint64_t *waited_ns)
{
    struct bench_door *bench = context;
    bench->polls++;
    *waited_ns = 0;
    if (!*bench->text)
        return DOOR_CLOSED;
    if (number(&bench->seed, bench->patience) == 0) {
        *input = (struct door_input){INPUT_SERIAL, 0, (uint8_t)*bench->text++};
        *waited_ns = timeout_ns ? number(&bench->seed, 200000) : 0;
        return DOOR_INPUT;
    }
    *waited_ns = timeout_ns;
    return DOOR_NOTHING;
}

static inline void bench_output(void *context, unsigned unit, const uint8_t *bytes,
                                uint64_t length)
{
    struct bench_door *bench = context;
    assert_int_equal(unit, 0);
    assert_true(bench->output_length + length < sizeof bench->output);
    memcpy(bench->output + bench->output_length, bytes, length);
    bench->output_length += (unsigned)length;
}

static inline int bench_stop_signal(void *context)
{
    struct bench_door *bench = context;
    bench->signal_calls++;
    return bench->signal_after && bench->signal_calls >= bench->signal_after ? 15 : 0;
}

static inline void bench_door_init(struct bench_door *bench, const char *text, uint32_t seed)
{
    memset(bench, 0, sizeof *bench);
    bench->seed = seed;
    bench->text = text;
    bench->patience = 40;
    bench->door = (struct door){
        .context = bench,
        .poll = bench_poll,
        .output = bench_output,
        .stop_signal = bench_stop_signal,
    };
}

struct bench_recording {
    struct description description;
    struct memory_sink sink;
    struct runner_result result;
    struct bench_door door;
};

/* Records the guest while "hello" and "q" are typed, by the host timing of
 * `seed`. */
static inline void bench_record(struct bench_recording *recording, enum trace_level level,
                                uint32_t seed)
{
    struct runner_options options;
    struct error error = {""};
    memset(recording, 0, sizeof *recording);
    recording->sink.room = UINT64_MAX;
    bench_describe(&recording->description, bench_guest, sizeof bench_guest);
    bench_door_init(&recording->door, "helloq", seed);
    runner_options_init(&options);
    options.level = level;
    options.digest_every = BENCH_DIGEST_EVERY;
    struct trace_sink sink = {&recording->sink, memory_write};
    int code = recorder_run(&recording->description, &options, &recording->door.door, &sink,
                            &recording->result, &error);
    assert_string_equal(error.text, "");
    assert_int_equal(code, 0);
    assert_int_equal(recording->result.outcome.kind, OUTCOME_DEBUG_EXIT);
    assert_int_equal(recording->result.outcome.detail, BENCH_GUEST_STATUS);
    assert_int_equal(recording->door.output_length, 6);
    assert_memory_equal(recording->door.output, "helloq", 6);
}

/* A replay of `length` bytes of a trace under the recording's description. */
struct bench_replay {
    struct trace_reader *reader;
    struct player *player;
    struct bench_door door;
    struct player_result result;
    struct error error;
};

static inline void bench_open(struct bench_replay *replay, const struct description *description,
                              const uint8_t *bytes, uint64_t length,
                              const struct player_options *options)
{
    memset(replay, 0, sizeof *replay);
    bench_door_init(&replay->door, "", 1);
    replay->reader = trace_reader_open(bytes, length, NULL, &replay->error);
    assert_non_null(replay->reader);
    replay->player = player_create(replay->reader, description, options, &replay->door.door,
                                   &replay->error);
    assert_non_null(replay->player);
}

static inline void bench_close(struct bench_replay *replay)
{
    player_destroy(replay->player);
    trace_reader_close(replay->reader);
}

#endif
