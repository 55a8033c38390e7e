/*
 * Accesses that the TLB knows to be allowed and that are still not made on the fast
 * path: writes to pages with a tracking flag, and what lies across a border of pages.
 * `linear` is masked already.
 */
#ifndef CPU_KNOWN_H
#define CPU_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

/* The backing page of a write that the TLB knows, so that at most tracking stands in the
 * way; PHYSMEM_MMIO: it is to be translated. */
uint32_t known_write_page(const struct cpu *cpu, unsigned index, uint64_t linear);

/* A write to that page, which may end its tracking. */
void known_write(struct cpu *cpu, unsigned index, uint64_t linear, uint32_t page, const void *value,
                 unsigned bytes);

/* The whole access, if it crosses a border between two pages that the TLB knows; the
 * second one's address is masked by `mask`. Else nothing is done, and it returns false. */
bool known_read_across(const struct cpu *cpu, unsigned index, uint64_t linear, uint64_t mask,
                       void *value, unsigned bytes);
bool known_write_across(struct cpu *cpu, unsigned index, uint64_t linear, uint64_t mask,
                        const void *value, unsigned bytes);

#endif
