/*
 * What the files of the translator share beside compile.h: the code cache and
 * its records.
 */
#ifndef TRANSLATOR_INTERNAL_H
#define TRANSLATOR_INTERNAL_H

#include "cpu/translated.h"
#include "translator/compile.h"
#include "translator/translator.h"

#define PAGES_MAXIMUM (1u << 16)
#define TRANSLATIONS_MAXIMUM (1u << 18)
#define EDGES_MAXIMUM (1u << 20)
#define SITES_MAXIMUM (1u << 21)
#define PAGE_BUCKETS (1u << 14)
#define BLOCK_CODE_MAXIMUM (64u << 10) /* host bytes that one translation may need */
#define KINDS_MAXIMUM 1024
#define KIND_SLOTS 4096
#define KIND_NONE 0

/* A page of code at one linear address, for one MMU index and kind. */
struct code_page {
    uint64_t linear;
    uint32_t page;          /* backing page */
    uint32_t id;
    uint32_t hash_next;     /* index into pages, 0: none */
    uint32_t page_next;     /* next one of the same backing page */
    uint16_t kind;
    uint8_t index;
};

struct translation {
    struct translation *next; /* of the same block, for other places, indices or kinds */
    struct block *block;    /* that it begins with */
    uint64_t linear, rip;
    uint8_t *entry;         /* after the checks */
    uint8_t *checked;       /* for indirect jumps: SCRATCH holds the target (kind_target) */
    struct translation *variants; /* linked by next: the same for loops that come back with `in` */
    struct flags_state in;  /* of a variant: where flags and units are at its entry */
    uint32_t id;            /* of the code page */
    uint32_t second_id;     /* of the one in which its first instruction ends, if that is another; or 0 */
    uint16_t kind;
    uint8_t index;
    uint8_t count;          /* instructions that it is charged for */
    uint8_t flags_demand;   /* enum flags_demand */
    uint8_t grouping;       /* as was asked for: enum grouping */
    uint8_t samples;        /* of the last slices those that ended at its entry */
    uint8_t conflicts;      /* slow paths of it for which an entry came back to the TLB, while they are few */
    bool windows;           /* it was made anew, with windows ... */
    bool stale;             /* ... of which some gave up since */
    uint64_t without, wide; /* places that are to have none, or no narrow ones, by number (window_check) */
    uint8_t part_count, taken; /* of the chain: blocks, and those of which the branch is taken */
};

/* A direct jump of a translation; or only flags that one was left with. */
struct edge {
    uint64_t target;        /* RIP */
    uint8_t *from;          /* displacement to patch */
    uint8_t *exit;          /* where it goes while it is not linked */
    const struct translation *linked;
    struct flags_state flags;
    uint32_t known[2];      /* code pages that need not be compared when it is taken; or 0 */
    uint16_t kind;
    uint8_t index;
    uint32_t bad_target;    /* of an indirect one: code for a target that is not canonical; or 0 */
    bool backward;          /* to where the translation began, or before */
    uint8_t grouping;       /* of the translation to go to */
};

/* With the number of an edge: the host's flags are as they were at the jump. */
#define EDGE_LIVE (1u << 31)

/* A place that calls a handler. */
struct site {
    struct translation *translation;
    const struct block *block;
    uint64_t rip;           /* of the block */
    uint16_t insn;          /* in the block */
    uint16_t charged;       /* instructions from the block's first on */
    uint8_t load;           /* only loads so many bytes */
    bool lowered;           /* a slow path, not a fallback */
    bool deferred;          /* the flags are */
};

/* A place in translated code that has a window. */
struct window_place {
    struct translation *translation;
    uint8_t *check, *plain; /* where it compares with its window, and where it goes without */
    uint64_t opened;        /* instructions that had run when the window was opened last */
    uint16_t bytes;         /* of the access */
    uint8_t index, number;  /* number: of the looks in its translation */
    bool write, narrow;
    uint8_t strikes;
};

/* Reasons to leave, as the code returns them. LEAVE_JUMP, of a piece's function: does
 * not, and goes on at translated.value for the block at translated.target. */
enum { LEAVE_NOT, LEAVE_BUDGET, LEAVE_LINK, LEAVE_FAULT, LEAVE_MISS, LEAVE_HANDLER, LEAVE_JUMP,
       LEAVE_ENTRY /* before the first instruction of the translation in translated.edge */ };

/* A translation is made anew, with windows, when so many of the last so many slices ended
 * at its entry. */
#define SAMPLES 128
#define SAMPLES_WANTED 4
/* The same when so many of its accesses met pages that fight for a slot of the TLB. */
#define CONFLICTS_WANTED 200

struct translator {
    struct engine *engine;
    uint8_t *write, *run;   /* the two mappings */
    size_t bytes;
    uint8_t *at;            /* next free byte, in `write` */
    uint8_t *first;         /* behind the common pieces */
    /* Common pieces, in `write` */
    uint8_t *enter, *settle, *leave_check, *leave_entry, *leave_link, *fallback, *slow, *jump, *string, *slow_load,
            *vectors, *wide, *x87, *miss, *open_window;
    uint32_t next_id;
    struct code_page *pages;
    uint32_t page_count;
    uint32_t *page_buckets; /* by hash of linear, page, index, kind */
    uint32_t *page_chains;  /* by backing page */
    struct translation *translations;
    uint32_t translation_count;
    struct edge *edges;
    uint32_t edge_count;
    struct site *sites;
    uint32_t site_count;
    struct window_place *windows;
    uint32_t window_count;
    uint32_t sampled[SAMPLES]; /* where the last slices ended: translations; 0: none */
    uint32_t sample_count, samples_wanted;
    uint32_t hot;           /* translation that has so many of them, 0: none */
    uint32_t pending_edge;  /* left through it, and its target was not there; 0: none */
    uint64_t *row_fallbacks;
    struct row_facts *rows;
    uint64_t host_features[(FEATURE_COUNT + 63) / 64];
    struct kind kinds[KINDS_MAXIMUM];
    uint16_t kind_slots[KIND_SLOTS]; /* hash table */
    unsigned kind_count;
    struct translator_statistics statistics;
    struct watch *watch;    /* NULL: nobody wants to know of translations */
};

typedef uint64_t enter_function(struct cpu *cpu, const void *code);

static inline uint8_t *translator_running(const struct translator *t, const uint8_t *written)
{
    return t->run + (written - t->write);
}

/* The slot of a block's RIP in the tables of indirect jumps. */
static inline unsigned translator_jump_slot(uint64_t rip)
{
    return (rip ^ rip >> 12) & (TRANSLATED_JUMPS - 1);
}

/* What translated code does at RIP, where it found nothing to go on with: the host
 * address of a translation, or 0. `left` != 0: the number of the direct jump that led
 * there, which is linked, and EDGE_LIVE (settle_edge). (translator.c) */
uint64_t translator_search(struct cpu *cpu, struct translator *translator, uint32_t left);

/* settle.c */

/* RIP and the flags where the edge's jump found no code; `left`: its number, and
 * EDGE_LIVE. */
void settle_edge(struct cpu *cpu, struct translator *translator, uint32_t left);
/* Flags that are deferred come home. */
void settle_deferred(struct cpu *cpu, struct translator *translator);
/* At the entry of the translation in translated.edge, which did not fit into the slice. */
void settle_entry(struct cpu *cpu, struct translator *translator);

/* host.c */

/* Fills host_features. */
void translator_ask_host(struct translator *translator);
static inline bool translator_host_has(const struct translator *t, enum cpu_feature feature)
{
    return t->host_features[feature / 64] >> (feature % 64) & 1;
}

/* kind.c */

/* The number of the vCPU's kind; KIND_NONE: its code cannot be translated now, or
 * there are too many. */
unsigned kind_now(struct translator *translator, struct cpu *cpu);
/* All translations are gone. */
void kind_forget_all(struct translator *translator);
/* No code page of this vCPU may be entered before it is looked up. */
void kind_forget_pages(struct cpu *cpu);

/* What an indirect jump hands to its target: RIP; outside of 64-bit code with the
 * kind above, which makes an address that 64-bit code cannot have. */
static inline uint64_t kind_target(const struct translator *translator, unsigned kind, uint64_t rip)
{
    return translator->kinds[kind].code_bytes == 8 ? rip : 1ull << 63 | (uint64_t)kind << 32 | rip;
}

/* The arithmetic flags from the interpreter's form to translated.flags, and back. */
void pieces_flags_to_home(struct cpu *cpu);
void pieces_flags_from_home(struct cpu *cpu);

/* Writes the common pieces to the start of the cache. (pieces.c) */
void pieces_make(struct translator *translator);

/* watch.c: who is told of translations */

void watch_free(struct translator *translator);
void watch_begin(struct translator *translator);
void watch_mark_slow(struct compile *c, enum translated_part part, unsigned number);
/* What is emitted from here on is for ... */
static inline void watch_mark(struct compile *c, enum translated_part part, unsigned number)
{
    if (c->translator->watch)
        watch_mark_slow(c, part, number);
}
void watch_tell(const struct compile *c);

/* block.c */

/* A guest register's place in memory, `above` bytes further up. */
struct host_operand block_state_operand(unsigned guest, int32_t above);
/* CMP: whether the translation's code page, or its second one, may be entered by its
 * address. */
void block_compare_page(struct emitter *e, const struct translation *translation, bool second);
/* RIP = rip. */
void block_store_rip(struct compile *c, uint64_t rip);
/* FIP as c->fip says, if it does. */
void block_store_fip(struct compile *c, const struct pending_fip *fip);
/* Compiles c->parts at c->e. */
void block_compile(struct compile *c);

#endif
