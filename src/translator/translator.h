/*
 * Translates hot decoded blocks to host code and runs them. The guest cannot
 * tell: at every instruction count the state is the interpreter's.
 *
 * A translation is made for one linear address, one backing page, one MMU index
 * and one kind of code (kind.c). Jumps between translations in one page are direct; a jump to another
 * page first compares the page's number with the vCPU's record of code pages
 * (struct tlb, code_id), which is dropped with the TLB entry that it rests on.
 */
#ifndef TRANSLATOR_TRANSLATOR_H
#define TRANSLATOR_TRANSLATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct translator;
struct translated_watch;

/* Counted outside of what translated code does on its fast paths. */
struct translator_statistics {
    uint64_t blocks, host_bytes, guest_bytes; /* translated so far */
    uint64_t flushes;                         /* cache full */
    uint64_t stale_pages;                     /* code pages that were written, at each of their addresses */
    uint64_t instructions;                    /* run in translated code and by handlers that it called */
    uint64_t entries;                         /* from the run loop into translated code */
    uint64_t leaves[8];                       /* and back, by reason */
    uint64_t links, fallbacks;
    uint64_t slow_paths, slow_loads;          /* of lowered instructions; slow_loads are among them */
    uint64_t windows[2];                      /* opened, and given up (window.c) */
    uint64_t lookups[2];                      /* for the target of indirect jumps, direct ones, that */
    uint64_t searches;                        /* was not known yet; jumps that then went on */
};

/* Whether this host has what translated code needs (x86-64 with BMI2). */
bool translator_available(void);

/* Makes `engine` use a translator with a code cache of `cache_bytes` (1 MiB ...
 * 1 GiB). A block is translated when it was run `threshold` times. NULL: the
 * host has no memory. */
struct translator *translator_create(struct engine *engine, size_t cache_bytes, uint32_t threshold);
void translator_destroy(struct translator *translator);

/* A translation gets windows (window.c) when `samples` of the last slices ended at its
 * entry, 4 unless this is called; 0: at once. */
void translator_sample(struct translator *translator, uint32_t samples);

/* Has `to` (copied) told of each translation from now on; at most once. 0, or -1:
 * the host has no memory. (watch.c) */
int translator_watch(struct translator *translator, const struct translated_watch *to);

const struct translator_statistics *translator_statistics(const struct translator *translator);

/* A text for the user: the statistics, and the instructions whose handlers were
 * called most often because they are not lowered. To be freed; NULL: the host
 * has no memory. (statistics.c) */
char *translator_report(const struct translator *translator);

/* How often the handler of a row of the opcode table was called so. */
uint64_t translator_row_fallbacks(const struct translator *translator, unsigned row);

#endif
