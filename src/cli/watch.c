/*
 * Dumps of translated code and perf's map; see watch.h.
 *
 * Not modelled: after the code cache was full and flushed, perf's map holds the
 * names of what stood at an address before, too.
 */
#include "cli/watch.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "debug/listing.h"
#include "host/process.h"

struct watch {
    struct listing listing;
    FILE *code; /* NULL: not wanted; stderr: not to be closed */
    FILE *perf;
    bool named; /* the translator's own pieces are in perf's map */
};

/* Each of the translator's pieces goes up to the next one, the last one to the
 * first block. */
static void name_pieces(FILE *to, const struct translated_block *block)
{
    for (unsigned i = 0; i < block->name_count; i++) {
        const uint8_t *start = block->names[i].host, *end = block->host;
        for (unsigned k = 0; k < block->name_count; k++)
            if (block->names[k].host > start && block->names[k].host < end)
                end = block->names[k].host;
        fprintf(to, "%" PRIxPTR " %tx translator: %s\n", (uintptr_t)start, end - start, block->names[i].name);
    }
}

static void write_block(void *context, const struct translated_block *block)
{
    static const char *const indices[] = { "supervisor", "supervisor AC", "user", "user aligned" };
    struct watch *watch = context;
    if (watch->code)
        listing_write(&watch->listing, watch->code, block);
    if (!watch->perf)
        return;
    if (!watch->named)
        name_pieces(watch->perf, block);
    watch->named = true;
    fprintf(watch->perf, "%" PRIxPTR " %x guest %" PRIx64 " %u-bit %s\n", (uintptr_t)block->host, block->bytes,
            block->linear, 8u * block->code_bytes, indices[block->index]);
}

static FILE *open_file(const char *path, struct error *error)
{
    FILE *file = fopen(path, "w");
    if (!file)
        error_set(error, ERROR_FILE, "%s: cannot be written", path);
    return file;
}

int watch_open(struct watch **made, struct options *options, struct error *error)
{
    *made = NULL;
    if (!options->code_listing && !options->perf_map)
        return 0;
    struct watch *watch = calloc(1, sizeof *watch);
    if (!watch)
        return error_set(error, ERROR_MEMORY, "no memory to watch the translator");
    *made = watch;
    listing_init(&watch->listing, options->code_listing | LISTING_ADDRESSES);
    if (options->code_listing)
        watch->code = options->code_file ? open_file(options->code_file, error) : stderr;
    if (options->perf_map) {
        char path[64];
        snprintf(path, sizeof path, "/tmp/perf-%d.map", host_process_number());
        watch->perf = open_file(path, error);
    }
    if ((options->code_listing && !watch->code) || (options->perf_map && !watch->perf))
        return ERROR_FILE;
    options->runner.engine.watch = (struct translated_watch){ watch, write_block };
    return 0;
}

void watch_close(struct watch *watch)
{
    if (!watch)
        return;
    if (watch->code && watch->code != stderr)
        fclose(watch->code);
    if (watch->perf)
        fclose(watch->perf);
    free(watch);
}
