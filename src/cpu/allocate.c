/*
 * Memory for a vCPU; see cpu.h. Below it lies a stack for translated code,
 * which points the host's RSP at the vCPU, and a guard page.
 */
#include <sys/mman.h>

#include "cpu/cpu.h"

#define GUARD_BYTES PAGE_BYTES

static size_t mapping_bytes(size_t bytes)
{
    return GUARD_BYTES + CPU_STACK_BYTES + ((bytes + PAGE_MASK) & ~(size_t)PAGE_MASK);
}

struct cpu *cpu_allocate(size_t bytes)
{
    uint8_t *mapping = mmap(NULL, mapping_bytes(bytes), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    mprotect(mapping, GUARD_BYTES, PROT_NONE);
    return (struct cpu *)(void *)(mapping + GUARD_BYTES + CPU_STACK_BYTES);
}

void cpu_free(struct cpu *cpu, size_t bytes)
{
    if (cpu)
        munmap((uint8_t *)cpu - CPU_STACK_BYTES - GUARD_BYTES, mapping_bytes(bytes));
}
