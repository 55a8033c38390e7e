/*
 * Memory operands and the stack of 16- and 32-bit code: offsets of 16 or 32 bits,
 * the segment's limit and base, then the look into the TLB.
 *
 * Where DS and SS are flat (struct kind) they cost nothing; all other segments
 * are checked against what memory.h's fast path compares with, and an access that
 * does not pass goes to the slow path. The sum of base and offset cannot wrap
 * then. All registers of such code are pinned.
 */
#include "translator/compile.h"

static bool is_plain(const struct compile *c, unsigned segment)
{
    return segment == SEGMENT_FLAT || (c->kind->flat && (segment == DS || segment == SS));
}

/* An offset in a segment: of the memory operand, or a place on the stack. */
struct offset {
    unsigned segment;
    bool stack;
    unsigned base; /* of a place on the stack */
    int32_t disp;
};

static void make_offset(struct compile *c, const struct offset *offset, unsigned reg)
{
    bool word = offset->stack ? c->kind->stack_bytes == 2 : c->insn->address_shift == 48;
    if (offset->stack)
        emit_lea(&c->e, 4, reg, operand_memory(host_of(offset->base), offset->disp));
    else
        memory_sum(c, reg, 4);
    if (word)
        emit_instruction(&c->e, OP2(0xb7), 4, reg, operand_register(reg)); /* MOVZX */
}

/* Checks the access; returns where it is, in SCRATCH2. SCRATCH is free. */
static struct host_operand check(struct compile *c, const struct offset *offset, unsigned bytes, bool write,
                                 unsigned alignment)
{
    struct emitter *e = &c->e;
    bool plain = is_plain(c, offset->segment);
    struct host_operand base = memory_segment_field(offset->segment, offsetof(struct segment_access, base));
    make_offset(c, offset, SCRATCH);
    if (!plain) {
        emit_lea(e, 8, SCRATCH2, operand_memory(SCRATCH, (int32_t)bytes));
        emit_alu(e, ALU_CMP, 8, SCRATCH2,
                 memory_segment_field(offset->segment,
                                      write ? offsetof(struct segment_access, write_end)
                                            : offsetof(struct segment_access, read_end)));
        memory_leave_if(c, CONDITION_A);
        emit_alu(e, ALU_ADD, 8, SCRATCH, base);
    }
    memory_look_up(c, SCRATCH, 0, bytes, write, alignment);
    emit_lea(e, 8, SCRATCH2, operand_indexed(SCRATCH2, SCRATCH, 0, 0));
    return operand_memory(SCRATCH2, 0);
}

struct host_operand segmented_operand(struct compile *c, unsigned bytes, bool write, unsigned alignment)
{
    struct offset offset = { .segment = c->insn->seg };
    return check(c, &offset, bytes, write, alignment);
}

struct host_operand segmented_stack(struct compile *c, unsigned base, int32_t disp, unsigned bytes, bool write)
{
    struct offset offset = { .segment = SS, .stack = true, .base = base, .disp = disp };
    return check(c, &offset, bytes, write, 1);
}
