/*
 * What all vCPUs of a machine share of execution: the decoder, the cache of
 * decoded blocks, and the records that keep blocks and TLBs coherent with
 * memory. Everything here is derived data; dropping all of it at any boundary
 * changes nothing that a guest can see.
 */
#ifndef CPU_ENGINE_H
#define CPU_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"

#define BLOCK_INSNS_MAXIMUM 32
#define ENGINE_CPUS_MAXIMUM 64
#define ENGINE_BUCKETS (1u << 16) /* of a table of blocks */

#define BLOCK_KEY_NONE UINT64_MAX

/*
 * A run of instructions inside one page, decoded once. An instruction that
 * crosses into the next page stands alone in its block, so that the second
 * page is looked at (and its A bit set) only when the instruction is reached.
 */
struct block {
    uint64_t key;               /* block_key, BLOCK_KEY_NONE once it is stale */
    struct block *successor[2]; /* what ran after it, a hint */
    struct block *hash_next;
    struct block *page_next;    /* next block with code in the same page */
    struct block *second_next;  /* the same for the second page */
    uint32_t page;              /* backing page of its first byte */
    uint32_t second_page;       /* backing page of the tail, or PHYSMEM_MMIO */
    uint8_t count;              /* instructions */
    bool remembered;            /* in engine->remembered */
    uint16_t bytes;
    uint32_t heat;              /* how often it was run */
    struct translation *translation; /* the translator's, NULL: none */
    struct block *moved_to;     /* where it is kept now (engine_keep_block); its own key is BLOCK_KEY_NONE */
    struct insn insns[];
};

/* What ran after `block`, where it is now; `i`: 0 or 1, the last or the one before. */
static inline struct block *block_successor(const struct block *block, unsigned i)
{
    struct block *to = block->successor[i];
    return to->moved_to ? to->moved_to : to;
}

/* Backing page, offset in it, code size. */
static inline uint64_t block_key(uint32_t page, uint64_t linear, unsigned code_bytes)
{
    return (uint64_t)page << 16 | (linear & PAGE_MASK) << 4 | code_bytes;
}

/* What a backing page is used for by page walks. */
struct table_use {
    uint64_t linear;  /* where the table's first entry maps to; top: 0 */
    uint8_t level;    /* 1..5; 0: not used; TABLE_SHARED: in several places */
    uint8_t silent;   /* writes since the last walk that could drop nothing */
    uint8_t small;    /* entries have 4 bytes */
    uint8_t top;      /* CR3 points to it, under four- or five-level paging */
    uint32_t root;    /* of the walks through it, or TLB_ANY_ROOT; upper half: always that */
};
#define TABLE_SHARED 0xff

enum translated_end {
    TRANSLATED_NOT,   /* there is no translation: the interpreter is to run the block */
    TRANSLATED_RAN,   /* RIP is at the next instruction */
    TRANSLATED_FAULT, /* the instruction at RIP, the slice's last, raised cpu->exception */
};

/* The translator, if there is one. */
struct engine_translator {
    void *context;
    uint32_t threshold; /* the runs of a block before `run` is asked whether it has a translation */
    /* Runs translated code from `block`, which is at RIP, on. */
    enum translated_end (*run)(void *context, struct cpu *cpu, struct block *block);
    /* All blocks with code in a backing page are stale; all blocks are. */
    void (*page_stale)(void *context, uint32_t page);
    void (*all_stale)(void *context);
};

/* Blocks that are allocated one behind the other, and freed all at once. */
struct block_generation {
    uint8_t *arena;
    size_t size, used;
    struct block **buckets;     /* hash table */
    struct block **page_blocks; /* by backing page: blocks with code in it */
    uint64_t *page_lines;       /* by backing page: bit n: code in bytes 64n..64n+63 */
    uint32_t *pages;            /* those that got lines since it was empty */
    uint32_t page_count;
};

struct engine {
    struct engine_translator translator; /* context NULL: none */
    struct physmem *memory;
    struct decoder decoder;
    struct recall *recall;      /* what was decoded before (recall.h) */
    struct cpu *cpus[ENGINE_CPUS_MAXIMUM];
    unsigned cpu_count;
    struct block_generation young, old;
    struct block **remembered;  /* old blocks whose successors may be young */
    uint32_t remembered_count;
    struct table_use *tables;   /* by backing page */
    uint64_t *writers;          /* by backing page: TLB entries with a plain write tag (tlb.c) */
    uint64_t code_version;      /* counts pages whose code became stale */
    uint64_t cache_flushes;     /* counts how often an arena was emptied: pointers to blocks are void */
    /* Less than they can be for tests and checks: instructions of a block, and
     * blocks that the translator chains (0: as it likes). */
    uint32_t block_limit, chain_limit;
    /* Statistics, for the user only. */
    uint64_t blocks_decoded;
    uint64_t instructions;      /* that all vCPUs ran, deliveries included */
    uint64_t walks;             /* of page tables, for what is not in the TLB */
    struct block none;          /* a block that matches no key */
};

/* Takes over memory->listener. Returns NULL when the host has no memory. */
struct engine *engine_create(struct physmem *memory, const struct cpu_model *model);
void engine_destroy(struct engine *engine);

/* Makes `cpu` run on this engine (cpu->engine, cpu->memory). */
void engine_add_cpu(struct engine *engine, struct cpu *cpu);

/* The block with this key; NULL: none is decoded. */
struct block *engine_find_block(struct engine *engine, uint64_t key);
/* The block at `linear`, in backing page `page`; decoded now if it is not there. NULL
 * if it needs the next page, or room that only a flush would make. */
struct block *engine_decode_ahead(struct engine *engine, uint32_t page, uint64_t linear,
                                  unsigned code_bytes);

/* Makes the block at `linear`, in backing page `page`, where none is known; where there
 * is no room for it, others go. NULL after a fault on its second page (cpu->exception
 * is set). Not while a block runs. */
struct block *engine_decode_block(struct cpu *cpu, uint32_t page, uint64_t linear);

/* Whether so many blocks, of so many instructions together, can be kept. */
bool engine_can_keep(const struct engine *engine, unsigned blocks, unsigned insns);
/* Has a block stay until engine_flush_blocks. Returns where it is from now on; what was
 * at `block` can still run, but is found no more. There is room. */
struct block *engine_keep_block(struct engine *engine, struct block *block);

/* An old block may have a young successor from now on; for one that is not remembered. */
void engine_remember_block(struct engine *engine, struct block *block);
static inline bool engine_is_old(const struct engine *engine, const struct block *block)
{
    return (uintptr_t)block - (uintptr_t)engine->old.arena < engine->old.size;
}

/* The block is stale: it is found no more. */
void engine_drop_block(struct engine *engine, struct block *block);
/* Drops all blocks. Not while a block runs. */
void engine_flush_blocks(struct engine *engine);

/* Delivers cpu->exception of the instruction at RIP, which counts as one. */
void engine_deliver(struct cpu *cpu);
/* At a boundary: whether the instruction at RIP comes next in this slice, and no
 * request, trap or breakpoint is to be looked at before it. If so, RF is cleared as
 * that instruction does, and cpu->attention. */
bool engine_goes_on(struct cpu *cpu);

/* mmu.c: the listener's TLB half, and use of a page by a walk. */
void mmu_table_written(struct engine *engine, uint32_t page, uint32_t offset, uint32_t length,
                       const uint8_t *before);
void mmu_page_flagged(struct engine *engine, uint32_t page);
void mmu_pages_cleaned(struct engine *engine, const uint32_t *pages, uint32_t count);
void mmu_flush_all(struct engine *engine);
/* What is cached rests on the PML4 or PML5 in `page` from now on. */
void mmu_note_top(struct cpu *cpu, uint32_t page);

/* Translates an instruction fetch at `linear` to a backing page (or
 * PHYSMEM_MMIO). 0, or CPU_FAULT with #PF or #GP(0). */
int mmu_fetch(struct cpu *cpu, uint64_t linear, uint32_t *page);

#endif
