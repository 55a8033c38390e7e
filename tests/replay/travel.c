/*
 * Replays a trace with checkpoints taken and restored at random counts:
 *
 *     travel TRACE COUNT SEED
 *
 * COUNT times, at random places on the way to the end: takes a checkpoint, runs
 * on over some digests, goes back, and goes on from there; now and then it goes
 * back much further. The player compares every record and digest after that. Exit status 0 when
 * the end is reached with all of them equal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/file.h"
#include "machine/description.h"
#include "replay/player.h"

#define DIGESTS_AHEAD 2

static struct host_file trace_file, files[DESCRIPTION_FILES];
static struct description description;

static _Noreturn void fail(const char *what, const char *why)
{
    fprintf(stderr, "travel: %s: %s\n", what, why);
    exit(1);
}

static uint64_t random_below(uint64_t *seed, uint64_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint64_t)((unsigned __int128)*seed * below >> 64);
}

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void load_files(void)
{
    struct error error = {""};
    for (uint32_t i = 0; i < description.file_count; i++) {
        struct description_file *file = &description.files[i];
        if (host_file_open(&files[i], file->name, file->path, &error) < 0)
            fail(file->path, error.text);
        if (files[i].size != file->size)
            fail(file->path, "another size than recorded");
        file->bytes = files[i].bytes;
    }
}

static void expect(struct player *player, enum player_stop stop, enum player_stop wanted,
                   const struct error *error)
{
    char text[8192];
    if (stop == wanted)
        return;
    divergence_text(player_divergence(player), text, sizeof text);
    fprintf(stderr, "travel: stop %d, not %d, at %" PRIu64 " %s\n%s", (int)stop, (int)wanted,
            player_position(player).instructions, error->text, text);
    exit(1);
}

static void travel(struct player *player, uint64_t count, uint64_t seed, uint64_t digest_every)
{
    struct error error = {""};
    uint64_t end = player_end(player).instructions;
    uint64_t *places = calloc(count + 1, sizeof *places);
    for (uint64_t i = 0; i < count; i++)
        places[i] = random_below(&seed, end);
    qsort(places, count, sizeof *places, compare);
    for (uint64_t i = 0; i < count; i++) {
        uint64_t ahead = places[i] + random_below(&seed, DIGESTS_AHEAD * digest_every) + 1;
        uint64_t back = places[i];
        expect(player, player_run_to(player, places[i], &error), PLAYER_AT_TARGET, &error);
        if (player_checkpoint(player, &error) < 0)
            fail("checkpoint", error.text);
        if (ahead < end)
            expect(player, player_run_to(player, ahead, &error), PLAYER_AT_TARGET, &error);
        if (random_below(&seed, 8) == 0) /* the length of one checkpoint's spacing */
            back -= random_below(&seed, back < 64u << 20 ? back + 1 : 64u << 20);
        expect(player, player_seek(player, back, &error), PLAYER_AT_TARGET, &error);
    }
    expect(player, player_run(player, &error), PLAYER_END, &error);
    free(places);
}

int main(int argument_count, char **arguments)
{
    struct error error = {""};
    uint64_t length;
    if (argument_count != 4)
        fail("usage", "travel TRACE COUNT SEED");
    if (host_file_open(&trace_file, "trace", arguments[1], &error) < 0)
        fail(arguments[1], error.text);
    struct trace_reader *reader =
        trace_reader_open(trace_file.bytes, trace_file.size, NULL, &error);
    if (!reader)
        fail(arguments[1], error.text);
    const char *text = trace_reader_description(reader, &length);
    if (description_decode(&description, text, length, &error) < 0)
        fail(arguments[1], error.text);
    load_files();
    const struct player_options options = {.checkpoints = true};
    const struct door door = {0};
    struct player *player = player_create(reader, &description, &options, &door, &error);
    if (!player)
        fail(arguments[1], error.text);
    uint64_t every = trace_reader_digest_every(reader);
    travel(player, strtoull(arguments[2], NULL, 0), strtoull(arguments[3], NULL, 0),
           every ? every : 1u << 24);
    struct player_result result;
    player_result(player, &result);
    printf("%s checkpoints taken and restored; digests equal: %" PRIu64 "\n", arguments[2],
           result.digests);
    player_destroy(player);
    trace_reader_close(reader);
    return 0;
}
