/* Checkpoints: any state to any checkpoint, byte for byte; seeking replays. */
#include "machine_bench.h"
#include "replay/checkpoint.h"

#define DISK_BYTES (64u << 10)
#define STATES 40

static uint8_t disk_image[DISK_BYTES];

/* A copy of everything at one position. */
struct copy {
    struct position at;
    uint32_t extra;
    uint8_t *ram, *sections, *disk;
};

struct fixture {
    struct description description;
    struct machine *machine;
    struct dirty dirty;
    struct checkpoints *checkpoints;
    struct disk *disk;
    uint32_t seed;
};

static void create(struct fixture *fixture, uint64_t limit)
{
    memset(fixture, 0, sizeof *fixture);
    struct description *description = &fixture->description;
    bench_describe(description, bench_guest, sizeof bench_guest);
    for (unsigned i = 0; i < DISK_BYTES; i++)
        disk_image[i] = (uint8_t)(i * 7);
    struct description_file *file = &description->files[description->file_count];
    strcpy(file->name, "drive0");
    strcpy(file->path, "disk");
    file->size = DISK_BYTES;
    file->bytes = disk_image;
    description->drives[0] =
        (struct description_drive){DRIVE_DISK, (int32_t)description->file_count++};
    fixture->machine = bench_machine(description);
    assert_int_equal(dirty_init(&fixture->dirty, &fixture->machine->memory), 0);
    fixture->checkpoints = checkpoints_create(fixture->machine, &fixture->dirty, 4, limit);
    fixture->disk = board_disk(fixture->machine->board, 0);
    assert_non_null(fixture->disk);
    checkpoints_add_disk(fixture->checkpoints, fixture->disk);
    fixture->seed = 11;
}

static void destroy(struct fixture *fixture)
{
    checkpoints_destroy(fixture->checkpoints);
    dirty_free(&fixture->dirty);
    machine_destroy(fixture->machine);
}

static uint64_t sections_bytes(const struct machine *machine)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < machine->components.count; i++)
        bytes += machine->components.list[i].size;
    return bytes;
}

static void copy_sections(const struct machine *machine, uint8_t *to)
{
    for (unsigned i = 0; i < machine->components.count; i++) {
        const struct component *component = &machine->components.list[i];
        if (component->prepare)
            component->prepare(component->device);
        memcpy(to, component->state, component->size);
        to += component->size;
    }
}

static void take_copy(struct fixture *fixture, struct copy *copy, uint32_t extra)
{
    const struct machine *machine = fixture->machine;
    uint64_t ram = (uint64_t)machine->memory.ram_pages * PAGE_BYTES;
    copy->at = position_of_clock(&machine->clock);
    copy->extra = extra;
    copy->ram = malloc(ram);
    memcpy(copy->ram, machine->memory.bytes, ram);
    copy->sections = malloc(sections_bytes(machine));
    copy_sections(machine, copy->sections);
    copy->disk = malloc(DISK_BYTES);
    assert_int_equal(disk_read(fixture->disk, 0, copy->disk, DISK_BYTES), 0);
}

static void assert_state(struct fixture *fixture, const struct copy *copy)
{
    const struct machine *machine = fixture->machine;
    uint8_t bytes[DISK_BYTES];
    uint8_t *sections = malloc(sections_bytes(machine));
    assert_int_equal(machine->clock.s.instructions, copy->at.instructions);
    assert_int_equal(machine->clock.s.idle_ns, copy->at.idle_ns);
    assert_memory_equal(machine->memory.bytes, copy->ram,
                        (uint64_t)machine->memory.ram_pages * PAGE_BYTES);
    copy_sections(machine, sections);
    assert_memory_equal(sections, copy->sections, sections_bytes(machine));
    assert_int_equal(disk_read(fixture->disk, 0, bytes, DISK_BYTES), 0);
    assert_memory_equal(bytes, copy->disk, DISK_BYTES);
    free(sections);
}

static void free_copies(struct copy *copies, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        free(copies[i].ram);
        free(copies[i].sections);
        free(copies[i].disk);
    }
}

/* The run is a function of the position: what the disk gets follows from it. */
static void advance(struct fixture *fixture, uint64_t instructions)
{
    struct machine *machine = fixture->machine;
    while (instructions) {
        uint64_t step = 1000 - machine->clock.s.instructions % 1000;
        if (step > instructions)
            step = instructions;
        bench_run(machine, step);
        instructions -= step;
        uint64_t count = machine->clock.s.instructions;
        if (count % 1000 == 0)
            assert_int_equal(disk_write(fixture->disk, count / 1000 * 900 % (DISK_BYTES - 8),
                                        &count, 8),
                             0);
    }
}

static void any_state_to_any_checkpoint(struct fixture *fixture, struct copy *copies,
                                        unsigned *count)
{
    uint32_t seed = fixture->seed;
    struct checkpoints *checkpoints = fixture->checkpoints;
    *count = 0;
    for (unsigned i = 0; i < STATES; i++) {
        take_copy(fixture, &copies[i], i);
        *count = i + 1;
        assert_true(checkpoints_take(checkpoints, &i) >= 0);
        advance(fixture, 1 + number(&seed, 6000));
    }
    for (unsigned round = 0; round < 200; round++) {
        uint32_t victim = number(&seed, checkpoints_count(checkpoints));
        uint32_t extra = UINT32_MAX;
        assert_int_equal(checkpoints_restore(checkpoints, victim, &extra), 0);
        assert_true(extra < STATES);
        assert_state(fixture, &copies[extra]);
        /* Forwards again, past others, to a place that is known. */
        uint32_t later = extra + number(&seed, STATES - extra);
        advance(fixture, copies[later].at.instructions - copies[extra].at.instructions);
        assert_state(fixture, &copies[later]);
        if (number(&seed, 4) == 0)
            assert_true(checkpoints_take(checkpoints, &later) >= 0);
        advance(fixture, number(&seed, 3000));
    }
}

static void everything_is_restored(void **state)
{
    (void)state;
    struct fixture fixture;
    struct copy copies[STATES];
    unsigned count;
    create(&fixture, UINT64_MAX);
    any_state_to_any_checkpoint(&fixture, copies, &count);
    assert_int_equal(checkpoints_count(fixture.checkpoints), STATES);
    free_copies(copies, count);
    destroy(&fixture);
}

static void thinned_ones_too(void **state)
{
    (void)state;
    struct fixture fixture;
    struct copy copies[STATES];
    unsigned count;
    uint64_t limit = 1000000;
    create(&fixture, limit);
    any_state_to_any_checkpoint(&fixture, copies, &count);
    assert_true(checkpoints_count(fixture.checkpoints) < STATES);
    assert_true(checkpoints_count(fixture.checkpoints) > 3);
    assert_true(checkpoints_bytes(fixture.checkpoints) <= limit);
    assert_int_equal(checkpoints_at(fixture.checkpoints, 0).instructions, 0);
    free_copies(copies, count);
    destroy(&fixture);
}

static void finds_the_nearest(void **state)
{
    (void)state;
    struct fixture fixture;
    uint32_t extra = 0;
    create(&fixture, UINT64_MAX);
    assert_int_equal(checkpoints_find(fixture.checkpoints, 5), -1);
    checkpoints_take(fixture.checkpoints, &extra);
    advance(&fixture, 100);
    checkpoints_take(fixture.checkpoints, &extra);
    assert_int_equal(checkpoints_find(fixture.checkpoints, 99), 0);
    assert_int_equal(checkpoints_find(fixture.checkpoints, 100), 1);
    assert_int_equal(checkpoints_find(fixture.checkpoints, 1u << 30), 1);
    destroy(&fixture);
}

/* ---- a replay that goes to and fro ---- */

static void replays_from_anywhere(void **state)
{
    (void)state;
    for (int round = 0; round < 4; round++) {
        struct bench_recording recording;
        bench_record(&recording, (enum trace_level)(round < 3 ? round : TRACE_LEVEL_FULL), 2);
        uint64_t end = recording.result.end.instructions;
        const struct player_options options = {
            .isolated = round == 3,
            .checkpoints = true,
            .checkpoint_every = 7000,
            .checkpoint_bytes = round == 2 ? 500000 : 0,
        };
        struct bench_replay replay;
        struct player *player;
        uint32_t seed = 17;
        bench_open(&replay, &recording.description, recording.sink.bytes, recording.sink.length,
                   &options);
        player = replay.player;
        for (unsigned i = 0; i < 100; i++) {
            uint64_t target = number(&seed, (uint32_t)end);
            assert_int_equal(player_seek(player, target, &replay.error), PLAYER_AT_TARGET);
            assert_int_equal(player_position(player).instructions, target);
            if (i % 8 == 0)
                assert_int_equal(player_checkpoint(player, NULL), 0);
            if (i % 16 == 15)
                assert_int_equal(player_run(player, &replay.error), PLAYER_END);
        }
        assert_int_equal(player_run(player, &replay.error), PLAYER_END);
        player_result(player, &replay.result);
        assert_int_equal(replay.result.digests, recording.result.digests);
        if (!options.isolated) {
            assert_int_equal(replay.result.final_digest, recording.result.final_digest);
            /* Shown once, whatever was played how often. */
            assert_int_equal(replay.door.output_length, 6);
            assert_memory_equal(replay.door.output, "helloq", 6);
        }
        bench_close(&replay);
        free(recording.sink.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_restored),
        cmocka_unit_test(thinned_ones_too),
        cmocka_unit_test(finds_the_nearest),
        cmocka_unit_test(replays_from_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
