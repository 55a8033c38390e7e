/*
 * Physical memory: the backing pages (RAM, then ROM), the map from physical
 * addresses to them, and the tracking that keeps everything derived from
 * memory coherent.
 *
 * Backing pages are numbered: 0..ram_pages-1 are RAM, the ROM pages follow.
 * Each has one flag byte; a page without flags is written on the fast path.
 * Flags are derived data and never influence what the guest sees:
 *
 *   CLEAN  not written since a physmem_clean that did not keep it (digests, checkpoints)
 *   TABLE  a page walk read an entry here that may be cached in a TLB
 *   CODE   decoded blocks were made from bytes of this page
 *   ROM    writes are dropped
 */
#ifndef CPU_PHYSMEM_H
#define CPU_PHYSMEM_H

#include <stdbool.h>
#include <stdint.h>

#define PAGE_SHIFT 12
#define PAGE_BYTES 4096u
#define PAGE_MASK 4095u

#define PHYSMEM_CLEAN 0x01
#define PHYSMEM_TABLE 0x02
#define PHYSMEM_CODE 0x04
#define PHYSMEM_ROM 0x08

#define PHYSMEM_MMIO UINT32_MAX          /* not memory: goes to the bus */
#define PHYSMEM_DISCARD (UINT32_MAX - 1) /* writes are dropped */

#define PHYSMEM_LOW_PAGES 256 /* the first MiB is mapped page by page */

/* What a vCPU in SMM sees at A0000h-BFFFFh. Every other agent sees what
 * low_read and low_write say. */
#define PHYSMEM_SMRAM_FIRST 0xa0u /* pages */
#define PHYSMEM_SMRAM_END 0xc0u
enum physmem_smram {
    PHYSMEM_SMRAM_OFF,  /* what every other agent sees */
    PHYSMEM_SMRAM_ALL,  /* the RAM there */
    PHYSMEM_SMRAM_CODE, /* the RAM for instruction fetches, else as OFF */
    PHYSMEM_SMRAM_STATES
};

/* Who must hear of writes to tracked pages: the TLBs and the block cache. */
struct physmem_listener {
    void *context;
    /* Bytes [offset, offset+length) of a TABLE page were written. `before` is
     * the whole page's content of the 8-byte words they lie in, as it was:
     * word k of it belongs at (offset & ~7) + 8 * k. */
    void (*table_written)(void *context, uint32_t page, uint32_t offset, uint32_t length,
                          const uint8_t *before);
    /* Bytes of a CODE page were changed. */
    void (*code_written)(void *context, uint32_t page, uint32_t offset, uint32_t length);
    /* The page gained a flag: fast write entries must go. */
    void (*page_flagged)(void *context, uint32_t page);
    /* The map itself changed: all that is cached of translations must go. */
    void (*remapped)(void *context);
    /* These pages are CLEAN, and were not. */
    void (*cleaned)(void *context, const uint32_t *pages, uint32_t count);
};

struct physmem {
    uint8_t *bytes;       /* all backing pages, one host mapping */
    uint32_t ram_pages;
    uint32_t rom_pages;
    uint8_t *flags;       /* one byte a backing page */
    uint64_t low_bytes;   /* RAM below the PCI hole, mapped at 0 */
    uint64_t high_bytes;  /* RAM mapped at 4 GiB */
    uint64_t rom_base;    /* the ROM's place just below 4 GiB */
    uint32_t low_read[PHYSMEM_LOW_PAGES];  /* backing page or PHYSMEM_* */
    uint32_t low_write[PHYSMEM_LOW_PAGES];
    uint64_t a20_mask;    /* ANDed to every physical address */
    enum physmem_smram smram;
    uint32_t *dirty;      /* RAM pages written since physmem_clean, any order */
    uint32_t dirty_count;
    struct physmem_listener listener;
    /* Told after the map may have changed, for whoever logs it. May be NULL. */
    void (*map_changed)(void *context);
    void *map_context;
};

/*
 * Allocates RAM (bytes, a multiple of 1 MiB, at least 1 MiB) and room for
 * `rom_bytes` (a multiple of 4 KiB). RAM below `hole_start` is mapped at 0,
 * the rest at 4 GiB. RAM is zero and costs host memory only where touched.
 * Returns 0 or ERROR_MEMORY.
 */
int physmem_init(struct physmem *memory, uint64_t ram_bytes, uint64_t rom_bytes,
                 uint64_t hole_start);
void physmem_free(struct physmem *memory);
/* A hint to the host: fewer misses of its TLB from now on, for memory that it has to
 * clear by 2 MiB at a time. */
void physmem_prefer_large_pages(struct physmem *memory);

/* The backing page that a read / write of physical page `address >> 12` goes
 * to, or PHYSMEM_MMIO, or (writes) PHYSMEM_DISCARD. Applies A20. */
uint32_t physmem_read_page(const struct physmem *memory, uint64_t address);
uint32_t physmem_write_page(const struct physmem *memory, uint64_t address);

/* Whether a vCPU in SMM finds RAM at `address` for fetches, or for data,
 * whatever the map says. Its backing page is the page of its own number. */
static inline bool physmem_smram_covers(const struct physmem *memory, uint64_t address, bool fetch)
{
    uint64_t page = (address & memory->a20_mask) >> PAGE_SHIFT;
    return page - PHYSMEM_SMRAM_FIRST < PHYSMEM_SMRAM_END - PHYSMEM_SMRAM_FIRST
           && (memory->smram == PHYSMEM_SMRAM_ALL
               || (fetch && memory->smram == PHYSMEM_SMRAM_CODE));
}

static inline uint32_t physmem_smram_page(const struct physmem *memory, uint64_t address)
{
    return (uint32_t)((address & memory->a20_mask) >> PAGE_SHIFT);
}

/* Maps low page `page` (0..255). Call physmem_remapped after a batch, and after
 * a change of `smram`. */
void physmem_map_low(struct physmem *memory, unsigned page, uint32_t read, uint32_t write);
void physmem_set_a20(struct physmem *memory, bool enabled);
void physmem_remapped(struct physmem *memory);

/* Backing page number of ROM byte offset `offset`. */
static inline uint32_t physmem_rom_page(const struct physmem *memory, uint64_t offset)
{
    return memory->ram_pages + (uint32_t)(offset >> PAGE_SHIFT);
}

static inline uint8_t *physmem_host(const struct physmem *memory, uint32_t page)
{
    return memory->bytes + ((uint64_t)page << PAGE_SHIFT);
}

/* Stores `length` bytes (inside one page) to backing page `page` with all the
 * tracking that its flags ask for. ROM pages drop the write. */
void physmem_store(struct physmem *memory, uint32_t page, uint32_t offset, const void *bytes,
                   uint32_t length);

/* Device and loader access by physical address, any length; what is not
 * memory reads as ones and drops writes. */
void physmem_read(const struct physmem *memory, uint64_t address, void *bytes, uint64_t length);
void physmem_write(struct physmem *memory, uint64_t address, const void *bytes, uint64_t length);

/* Sets a flag on a backing page and tells the listener. */
void physmem_flag(struct physmem *memory, uint32_t page, uint8_t flag);

/* Records a first write to a CLEAN page; called by every path that writes. */
void physmem_dirty(struct physmem *memory, uint32_t page);

/* Forgets the dirty list but its first `kept` pages, which go on counting as written;
 * all others are CLEAN from now on. */
void physmem_clean(struct physmem *memory, uint32_t kept);

#endif
