/* The stack that a far transfer or an event leaves. */
#ifndef TESTS_FRAMES_H
#define TESTS_FRAMES_H

#include "cpu_bench.h"

enum way { WAY_JMP, WAY_CALL, WAY_RETF, WAY_IRET, WAY_GATE, WAY_EVENT };

/* RSP and SS, and `count` values of `bytes` bytes from RSP upwards. */
struct frame {
    uint64_t rsp;
    unsigned ss, bytes, count;
    uint64_t value[5];
};

/* A transfer from stack 6000h with selectors `cs` and `ss`, which goes on behind it at
 * `rip`, to privilege `to`; should that be an inner one, its stack is inner_rsp with
 * inner_ss, and returns to an outer one find 5800h with outer_ss. */
struct transfer_case {
    enum way way;
    unsigned bytes, cpl, to;
    unsigned cs, ss, inner_ss, outer_ss;
    uint64_t rip, inner_rsp;
    bool wide; /* long mode */
};

static inline struct frame frame_wanted(const struct transfer_case *c)
{
    bool inner = c->to < c->cpl, outer = c->to > c->cpl;
    struct frame frame = { 0x6000, c->ss, c->bytes, 0, { c->rip, c->cs } };

    switch (c->way) {
    case WAY_CALL: frame.count = 2; break;
    case WAY_RETF: frame.rsp += 2 * c->bytes; break;
    case WAY_IRET:
        frame.rsp += 3 * c->bytes;
        outer |= c->wide;
        break;
    case WAY_GATE:
        frame.count = inner ? 4 : 2;
        frame.value[2] = 0x6000;
        frame.value[3] = c->ss;
        break;
    case WAY_EVENT:
        frame.count = inner || c->wide ? 5 : 3;
        frame.value[2] = FLAG_1;
        frame.value[3] = 0x6000;
        frame.value[4] = c->ss;
        break;
    default: break;
    }
    if (inner) {
        frame.rsp = c->inner_rsp;
        frame.ss = c->inner_ss;
    } else if (outer) {
        frame.rsp = 0x5800;
        frame.ss = c->outer_ss;
    }
    frame.rsp -= frame.count * c->bytes;
    return frame;
}

/* The segment is what its descriptor says, which has its accessed bit set; a null one has
 * nothing but the privilege of 64-bit stacks. */
static inline bool is_loaded(const struct cpu_bench *b, unsigned seg)
{
    const struct segment *segment = &b->cpu->s.seg[seg];
    struct segment want;

    if (segment->selector < 4)
        return !segment->base && !segment->limit
               && segment->attributes == segment->selector << SEGMENT_DPL_SHIFT;
    descriptor_unpack(bench_get(b, GDT + (segment->selector & 0xfff8), 8), segment->selector, &want);
    return want.attributes & SEGMENT_ACCESSED && want.attributes == segment->attributes
           && want.base == segment->base && want.limit == segment->limit;
}

static inline bool frame_found(const struct cpu_bench *b, const struct transfer_case *c)
{
    struct frame want = frame_wanted(c);
    const struct cpu_state *s = &b->cpu->s;
    bool right = s->gpr[RSP] == want.rsp && s->seg[SS].selector == want.ss;

    for (unsigned i = 0; i < want.count; i++)
        right &= bench_get(b, want.rsp + i * want.bytes, want.bytes) == want.value[i];
    return right && is_loaded(b, CS) && is_loaded(b, SS);
}

#endif
