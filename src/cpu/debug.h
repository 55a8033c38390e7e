/*
 * Breakpoints and watchpoints: the debugger's (struct debug_points, invisible
 * to the guest) and the guest's own (DR0..DR7).
 */
#ifndef CPU_DEBUG_H
#define CPU_DEBUG_H

#include "cpu/cpu.h"

#define DEBUG_POINTS_MAXIMUM 64

enum debug_kind { DEBUG_BREAK, DEBUG_WATCH_WRITE, DEBUG_WATCH_READ, DEBUG_WATCH_ACCESS };

struct debug_point {
    uint64_t address; /* linear */
    uint32_t length;  /* bytes, 1..4096; breakpoints: ignored */
    uint32_t kind;    /* enum debug_kind */
};

#define DEBUG_NO_CPU (~0u)

/*
 * Owned by the debugger; one serves all vCPUs of a machine. The engine stops
 * with CPU_EXIT_DEBUG *before* an instruction at a breakpoint, and *after* one
 * that made a watched access. A repeated string instruction stops before its
 * first iteration only.
 */
struct debug_points {
    struct debug_point points[DEBUG_POINTS_MAXIMUM];
    unsigned count;
    uint64_t skip_break;  /* vCPUs (bits) whose next instruction runs even at a breakpoint; the
                           * engine clears it when that or an event's delivery is done */
    uint64_t start;       /* RIP of the last instruction that the engine looked at */
    uint32_t blocks;      /* not 0: the run stops when so many more blocks have run. A repeated
                           * string instruction is one, however many iterations it has */
    bool blocks_done;     /* and then this is set */
    unsigned step_cpu;    /* the run stops when this vCPU has run an instruction; DEBUG_NO_CPU */
    bool hit;             /* a point was hit since this was last cleared */
    struct debug_point what;
    unsigned hit_cpu;
    uint64_t hit_address; /* of the data access, or the instruction */
};

/* Whether accesses to this page must take the slow path: a watchpoint of the
 * debugger or an enabled data breakpoint of the guest lies in it. */
bool debug_watches_page(const struct cpu *cpu, uint64_t page_linear);

/* Told of every slow access that completed. Sets pending_debug / debug->hit
 * and ends the block where a point was touched. */
void debug_accessed_slow(struct cpu *cpu, uint64_t linear, unsigned bytes, bool write);

static inline void debug_accessed(struct cpu *cpu, uint64_t linear, unsigned bytes, bool write)
{
    if (unlikely(cpu->debug != NULL) || unlikely((cpu->s.dr[7] & 0xff) != 0))
        debug_accessed_slow(cpu, linear, bytes, write);
}

/* Whether the debugger has a breakpoint at `linear`. */
bool debug_breaks_at(const struct cpu *cpu, uint64_t linear);
/* Whether one lies in [linear, linear + bytes). */
bool debug_breaks_in(const struct cpu *cpu, uint64_t linear, unsigned bytes);

/* DR6 bits of the guest's enabled instruction breakpoints at `linear`. */
uint64_t debug_register_break(const struct cpu *cpu, uint64_t linear);

#endif
