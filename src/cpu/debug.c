/*
 * Breakpoints and watchpoints; see debug.h. (SDM vol. 3, chapter 17.2)
 * Breakpoints on ports are in debugreg.c.
 */
#include "cpu/debug.h"

#include "cpu/memory.h"

#define DR7_RW(n) (16 + 4 * (n))
#define DR7_LEN(n) (18 + 4 * (n))
#define RW_EXECUTE 0u
#define RW_WRITE 1u
#define RW_IO 2u
#define RW_ACCESS 3u

static bool register_enabled(const struct cpu *cpu, unsigned n)
{
    return cpu->s.dr[7] >> (2 * n) & 3;
}

static unsigned register_bytes(const struct cpu *cpu, unsigned n)
{
    static const uint8_t lengths[4] = { 1, 2, 8, 4 };
    return lengths[bits_get(cpu->s.dr[7], DR7_LEN(n), 2)];
}

static uint64_t register_start(const struct cpu *cpu, unsigned n)
{
    return cpu->s.dr[n] & ~(uint64_t)(register_bytes(cpu, n) - 1);
}

/* Whether data register n watches this kind of access. */
static bool register_watches(const struct cpu *cpu, unsigned n, bool write)
{
    unsigned rw = (unsigned)bits_get(cpu->s.dr[7], DR7_RW(n), 2);
    return register_enabled(cpu, n) && (rw == RW_ACCESS || (rw == RW_WRITE && write));
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
    return a - b < b_bytes || b - a < a_bytes;
}

static bool point_watches(const struct debug_point *point, bool write)
{
    return point->kind == DEBUG_WATCH_ACCESS || point->kind == (write ? DEBUG_WATCH_WRITE : DEBUG_WATCH_READ);
}

bool debug_watches_page(const struct cpu *cpu, uint64_t page_linear)
{
    for (unsigned n = 0; cpu->s.dr[7] & 0xff && n < 4; n++)
        if (register_watches(cpu, n, true)
            && overlap(page_linear, PAGE_BYTES, register_start(cpu, n), register_bytes(cpu, n)))
            return true;
    for (unsigned i = 0; cpu->debug && i < cpu->debug->count; i++) {
        const struct debug_point *point = &cpu->debug->points[i];
        if (point->kind != DEBUG_BREAK && overlap(page_linear, PAGE_BYTES, point->address, point->length))
            return true;
    }
    return false;
}

void debug_accessed_slow(struct cpu *cpu, uint64_t linear, unsigned bytes, bool write)
{
    for (unsigned n = 0; n < 4; n++)
        if (register_watches(cpu, n, write)
            && overlap(linear, bytes, register_start(cpu, n), register_bytes(cpu, n))) {
            cpu->s.pending_debug |= 1ull << n;
            cpu_attention(cpu);
        }
    for (unsigned i = 0; cpu->debug && i < cpu->debug->count; i++) {
        const struct debug_point *point = &cpu->debug->points[i];
        if (point->kind == DEBUG_BREAK || !point_watches(point, write)
            || !overlap(linear, bytes, point->address, point->length))
            continue;
        cpu->debug->hit = true;
        cpu->debug->what = *point;
        cpu->debug->hit_cpu = cpu->s.index;
        cpu->debug->hit_address = linear;
        cpu_attention(cpu);
    }
}

bool debug_breaks_in(const struct cpu *cpu, uint64_t linear, unsigned bytes)
{
    for (unsigned i = 0; cpu->debug && i < cpu->debug->count; i++)
        if (cpu->debug->points[i].kind == DEBUG_BREAK && cpu->debug->points[i].address - linear < bytes)
            return true;
    return false;
}

bool debug_breaks_at(const struct cpu *cpu, uint64_t linear)
{
    return debug_breaks_in(cpu, linear, 1);
}

uint64_t debug_register_break(const struct cpu *cpu, uint64_t linear)
{
    uint64_t hit = 0;
    for (unsigned n = 0; n < 4; n++)
        if (register_enabled(cpu, n) && bits_get(cpu->s.dr[7], DR7_RW(n), 2) == RW_EXECUTE
            && cpu->s.dr[n] == linear)
            hit |= 1ull << n;
    return hit;
}
