/*
 * What a vCPU remembers of page walks: the TLBs, and what they held of the user
 * addresses of other address spaces. All of it is derived data: dropping it at
 * any time changes nothing that a guest can see. (SDM vol. 3, section 4.10)
 */
#ifndef CPU_TLB_H
#define CPU_TLB_H

#include <stdbool.h>
#include <stdint.h>

#include "cpu/physmem.h"

struct cpu;
struct engine;

#define TLB_ENTRIES 2048
/*
 * Marks in a tag. Translated code compares by exclusive or and looks at the upper bits
 * of the result only; so a tag that has one is, besides, of a page of another slot.
 * Who has the tag in full is not misled either: no page address has these bits set.
 */
#define TLB_INVALID 0x800ull /* nothing */
#define TLB_TRACKED 0x400ull /* of writes: tlb_tracked */

/* No access to `slot` may be made at once. */
static inline uint64_t tlb_no_tag(unsigned slot)
{
    return TLB_INVALID | (slot ? 0 : PAGE_BYTES);
}

/* Rights and D are given, but the page has a tracking flag, so that each write is
 * looked at. */
static inline uint64_t tlb_tracked(uint64_t page)
{
    return page ^ (PAGE_BYTES | TLB_TRACKED);
}

/* The tag as if there were no tracking. */
static inline uint64_t tlb_plain(uint64_t tag)
{
    return tag & TLB_TRACKED ? tag ^ (PAGE_BYTES | TLB_TRACKED) : tag;
}

/* A direct-mapped entry. A tag is the linear page address for which that kind
 * of access needs no further look: permission given, A (and D) set, plain
 * memory, no tracking flag in the way. */
struct tlb_entry {
    uint64_t read_tag, write_tag, exec_tag;
    uintptr_t addend; /* host address = linear address + addend */
};

enum mmu_index {
    MMU_SUPERVISOR,      /* SMAP in force */
    MMU_SUPERVISOR_AC,   /* CPL < 3 with EFLAGS.AC: SMAP lifted */
    MMU_USER,
    MMU_USER_ALIGNED,    /* CR0.AM and EFLAGS.AC: no data access hits, so that each is checked */
    MMU_INDEX_COUNT
};

/* Besides the entries: code pages whose translations may be entered without a
 * look at the page tables (src/translator): where they are, and the number that
 * such a translation knows its page by. */
struct tlb {
    struct tlb_entry entry[TLB_ENTRIES];
    uint64_t code_linear[TLB_ENTRIES]; /* TLB_INVALID is set: none */
    uint32_t code_id[TLB_ENTRIES];     /* what translated code compares with */
    uintptr_t host[TLB_ENTRIES];       /* of an entry that has a tag: where the page is */
    /* Slots in which something of the lower or the upper half may be. */
    uint64_t used[2][TLB_ENTRIES / 64];
    uint64_t empty; /* 1: nothing was put in since the last flush, which need not be repeated */
};

/* The slot of a page, of an entry as of code. */
static inline unsigned tlb_slot(uint64_t linear)
{
    return linear >> PAGE_SHIFT & (TLB_ENTRIES - 1);
}

/* Something of the page at `linear` is put into its slot. */
static inline void tlb_use(struct tlb *tlb, uint64_t linear)
{
    tlb->used[linear >> 63][tlb_slot(linear) / 64] |= 1ull << (tlb_slot(linear) & 63);
    tlb->empty = 0;
}

/* Of a table, or of what rests on one: the backing page of its PML4 or PML5;
 * nothing has this one: */
#define TLB_NO_ROOT UINT32_MAX
/* ... and this stands for all of them. */
#define TLB_ANY_ROOT (UINT32_MAX - 1)

/*
 * Entries and code pages of the lower half, kept from when the address space was
 * left until it is entered again. What a write to its tables drops meanwhile is
 * noted by slot.
 */
#define TLB_SPACES 16
#define TLB_SPACE_ENTRIES 512
#define TLB_SPACE_CODES 256
struct tlb_space {
    uint32_t root; /* TLB_NO_ROOT: free */
    uint32_t left; /* cpu->space_turn when it was left */
    uint64_t code_version;
    uint16_t entries[MMU_INDEX_COUNT], codes[MMU_INDEX_COUNT]; /* of each index, one after the other */
    uint64_t dropped[TLB_ENTRIES / 64];
    struct tlb_entry entry[TLB_SPACE_ENTRIES];
    uint64_t code_linear[TLB_SPACE_CODES];
    uint32_t code_id[TLB_SPACE_CODES];
};

/*
 * Entries that gave way to another page of the same slot, of each MMU index and half.
 * They are dropped as those in the TLB are; those of the lower half do not outlast
 * their address space.
 */
#define TLB_VICTIMS 256
#define TLB_PHYSICAL_UNKNOWN UINT64_MAX
struct tlb_victims {
    struct tlb_entry entry[2][TLB_VICTIMS];
    uint64_t physical[2][TLB_VICTIMS]; /* of the page */
    uint32_t some[2];                  /* 0: none of this half; what the arrays hold is old */
    /* Of what the TLB holds; TLB_PHYSICAL_UNKNOWN: it is not kept. */
    uint64_t physical_of[TLB_ENTRIES];
};

/* The slot of `linear`, which is found at `physical`, is made ready for its entry. */
struct tlb_entry *tlb_replace(struct cpu *cpu, unsigned index, uint64_t linear, uint64_t physical);
/* The kept entry of `linear`, or NULL. */
const struct tlb_entry *tlb_victim(const struct cpu *cpu, unsigned index, uint64_t linear,
                                   uint64_t *physical);
/* A first write is the moment a page stops being CLEAN; only after that can its write
 * tag be given out. */
void tlb_begin_write(struct cpu *cpu, uint64_t physical);
/* Entries were dropped, or rights were lost, in the upper half only if `upper`: counts it
 * in tlb_version, and shuts windows of translated code. */
void tlb_changed(struct cpu *cpu, bool upper);
/* An entry, which lies in `slot` of a TLB, allows nothing. */
void tlb_make_invalid(struct tlb_entry *entry, unsigned slot);
/* Puts an entry that was kept, of the page at `physical`, into its slot. */
void tlb_restore(struct cpu *cpu, unsigned index, const struct tlb_entry *kept, uint64_t physical);

/* CR3 gets another table, at backing page `root`, under four- or five-level
 * paging: what both map stays, and what is known of the new space comes back.
 * (space.c) */
void tlb_enter_space(struct cpu *cpu, uint32_t root);
/* [linear, linear + span) of the lower half changes under `root`. */
void tlb_drop_from_spaces(struct cpu *cpu, uint32_t root, uint64_t linear, uint64_t span);
/* None is kept any longer. */
void tlb_forget_spaces(struct cpu *cpu);

/* Makes the write tag plain if its page has no tracking flag. */
void tlb_allow_writes(struct cpu *cpu, struct tlb_entry *entry, uint32_t page);

/* A plain write tag for `linear` is given out, or one is restored. */
void tlb_note_writer(struct engine *engine, uint32_t page, uint64_t linear);

/* Drops what lies in [linear, linear + span), which is aligned to its size. (tlb.c) */
void tlb_drop_span(struct tlb *tlb, uint64_t linear, uint64_t span);
/* The same of a vCPU's TLB of one index and of what gave way in it. */
void tlb_drop(struct cpu *cpu, unsigned index, uint64_t linear, uint64_t span);
/* The page that an entry is for; TLB_INVALID is set: none. */
uint64_t tlb_linear(const struct tlb_entry *entry);

#endif
