/*
 * Far RET and IRET in every mode. (SDM vol. 2, RET, IRET)
 *
 * Not modelled: the shadow stack.
 */
#include "cpu/segment.h"
#include "cpu/stack.h"
#include "cpu/system.h"
#include "cpu/task.h"

/* What was popped, and where the stack stands. */
struct far_return {
    uint64_t rip, rflags, rsp;
    uint16_t cs, ss;
    bool interrupt;         /* IRET */
    bool pops_stack;        /* SS:RSP were popped already (64-bit IRET) */
    unsigned bytes;
    unsigned release;       /* RETF n */
    struct stack stack;
};

static int check_rip(struct cpu *cpu, const struct segment *code, uint64_t rip)
{
    bool good = cpu_long_mode(cpu) && (code->attributes & SEGMENT_L) ? cpu_canonical(cpu, rip)
                                                                     : rip <= code->limit;
    return good ? 0 : cpu_raise_gp0(cpu);
}

static int pop_selector(struct cpu *cpu, struct stack *stack, unsigned bytes, uint16_t *selector)
{
    uint64_t value;
    TRY_FAULT(stack_pop(cpu, stack, &value, bytes));
    *selector = (uint16_t)value;
    return 0;
}

/* RFLAGS after IRET: which bits may change depends on CPL, IOPL and size. */
static void return_flags(struct cpu *cpu, const struct far_return *r)
{
    uint64_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;

    if (r->bytes != 2)
        mask |= FLAG_AC | FLAG_ID | FLAG_RF;
    if (cpu->s.cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    if (cpu->s.cpl == 0) {
        mask |= FLAG_IOPL;
        if (r->bytes != 2)
            mask |= FLAG_VIF | FLAG_VIP;
    }
    uint64_t kept = cpu->s.rflags & ~mask & ~FLAG_RF;
    flags_from_rflags(cpu, kept | (r->rflags & mask));
}

/* IRET of an 8086 program with IOPL < 3 under VME: IF goes to VIF. */
static int virtual_flags(struct cpu *cpu, struct far_return *r)
{
    bool enables = r->rflags & FLAG_IF;

    if (r->rflags & FLAG_TF || (enables && cpu->s.rflags & FLAG_VIP))
        return cpu_raise_gp0(cpu);
    cpu->s.rflags = (cpu->s.rflags & ~FLAG_VIF) | (enables ? FLAG_VIF : 0);
    return 0;
}

static int return_real(struct cpu *cpu, struct far_return *r)
{
    if (r->rip > cpu->s.seg[CS].limit)
        return cpu_raise_gp0(cpu);
    if (r->interrupt && cpu_v86(cpu) && cpu_iopl(cpu) < 3)
        TRY_FAULT(virtual_flags(cpu, r));
    stack_commit_rsp(cpu, &r->stack);
    segment_load_real(cpu, CS, r->cs);
    cpu->s.gpr[RIP] = r->rip;
    if (r->interrupt) {
        return_flags(cpu, r);
        cpu_events_unmasked(cpu);
    }
    cpu_update_mode(cpu);
    return 0;
}

/* IRET to virtual-8086 mode: the rest of the frame. */
static int return_to_v86(struct cpu *cpu, struct far_return *r)
{
    static const uint8_t order[] = { ES, DS, FS, GS };
    uint64_t rsp;
    uint16_t ss, selector[ARRAY_SIZE(order)];

    if (r->rip > 0xffff)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(stack_pop(cpu, &r->stack, &rsp, 4));
    TRY_FAULT(pop_selector(cpu, &r->stack, 4, &ss));
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        TRY_FAULT(pop_selector(cpu, &r->stack, 4, &selector[i]));
    flags_from_rflags(cpu, r->rflags & 0x3f7fd7);
    cpu->s.cpl = 3;
    for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
        segment_load_real(cpu, order[i], selector[i]);
    segment_load_real(cpu, SS, ss);
    segment_load_real(cpu, CS, r->cs);
    cpu->s.gpr[RSP] = rsp;
    cpu->s.gpr[RIP] = r->rip;
    cpu_update_mode(cpu);
    cpu_refetch(cpu);
    cpu_events_unmasked(cpu);
    return 0;
}

/* The code segment that is returned to; its privilege is the selector's RPL. */
static int read_code(struct cpu *cpu, const struct far_return *r, struct descriptor *code)
{
    unsigned rpl = r->cs & 3u;

    if (SELECTOR_NULL(r->cs))
        return cpu_raise_gp0(cpu);
    TRY_FAULT(descriptor_read(cpu, r->cs, VECTOR_GP, code));
    const struct segment *segment = &code->segment;
    unsigned dpl = segment_dpl(segment), both = SEGMENT_L | SEGMENT_DB;
    bool allowed = segment_is_conforming(segment) ? dpl <= rpl : dpl == rpl;
    if (!segment_is_code(segment) || rpl < cpu->s.cpl || !allowed
        || (cpu_long_mode(cpu) && (segment->attributes & both) == both))
        return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(r->cs));
    if (!segment_is_present(segment))
        return cpu_raise_error(cpu, VECTOR_NP, SELECTOR_ERROR(r->cs));
    return 0;
}

/* The stack segment that is returned to; null is for 64-bit code below
 * privilege 3. */
static int read_stack(struct cpu *cpu, const struct far_return *r, const struct segment *code,
                      struct segment *ss)
{
    unsigned rpl = r->cs & 3u;
    struct descriptor descriptor;

    if (SELECTOR_NULL(r->ss) && cpu_long_mode(cpu) && (code->attributes & SEGMENT_L) && rpl != 3
        && (r->ss & 3u) == rpl) {
        *ss = (struct segment){ 0, 0, r->ss, (uint16_t)(rpl << SEGMENT_DPL_SHIFT) };
        return 0;
    }
    TRY_FAULT(segment_read_stack(cpu, r->ss, rpl, VECTOR_GP, &descriptor));
    TRY_FAULT(descriptor_set_accessed(cpu, &descriptor));
    *ss = descriptor.segment;
    return 0;
}

/* Puts the popped SS:RSP in place, for the mode that has been entered. */
static void enter_stack(struct cpu *cpu, const struct far_return *r, const struct segment *ss,
                        unsigned release)
{
    cpu->s.seg[SS] = *ss;
    cpu_update_segment(cpu, SS);
    uint64_t mask = cpu->stack_mask;
    uint64_t kept = mask == 0xffff ? cpu->s.gpr[RSP] & 0xffff0000 : 0;
    cpu->s.gpr[RSP] = kept | ((r->rsp + release) & mask);
}

static int return_protected(struct cpu *cpu, struct far_return *r)
{
    struct descriptor code;
    struct segment ss = { 0 };
    unsigned rpl = r->cs & 3u;

    TRY_FAULT(read_code(cpu, r, &code));
    bool outer = rpl > cpu->s.cpl;
    bool new_stack = outer || r->pops_stack;
    if (new_stack) {
        if (!r->pops_stack) {
            r->stack.rsp += r->release;
            TRY_FAULT(stack_pop(cpu, &r->stack, &r->rsp, r->bytes));
            TRY_FAULT(pop_selector(cpu, &r->stack, r->bytes, &r->ss));
        }
        TRY_FAULT(read_stack(cpu, r, &code.segment, &ss));
    }
    TRY_FAULT(check_rip(cpu, &code.segment, r->rip));
    TRY_FAULT(descriptor_set_accessed(cpu, &code));

    if (!new_stack) {
        r->stack.rsp += r->release;
        stack_commit_rsp(cpu, &r->stack);
    }
    if (r->interrupt)
        return_flags(cpu, r);
    cpu->s.gpr[RIP] = r->rip;
    segment_enter_code(cpu, &code.segment, rpl);
    if (new_stack)
        enter_stack(cpu, r, &ss, r->release);
    if (outer)
        segment_drop_inner(cpu);
    if (r->interrupt)
        cpu_events_unmasked(cpu);
    return 0;
}

int exec_retf(struct cpu *cpu, const struct insn *insn)
{
    struct far_return r = { .bytes = insn->operand_bytes,
                            .release = insn->opcode == 0xca ? (unsigned)insn->imm : 0 };

    stack_current(cpu, &r.stack);
    TRY_FAULT(stack_pop(cpu, &r.stack, &r.rip, r.bytes));
    TRY_FAULT(pop_selector(cpu, &r.stack, r.bytes, &r.cs));
    if (cpu_uses_descriptors(cpu))
        return return_protected(cpu, &r);
    r.stack.rsp += r.release;
    return return_real(cpu, &r);
}

/* In 64-bit code IRET always pops five values. */
static int iret_code64(struct cpu *cpu, struct far_return *r)
{
    uint64_t frame[5];
    const uint8_t *host = NULL;

    if (r->bytes == 8)
        host = memory_fast_read(cpu, SEGMENT_FLAT, cpu->s.gpr[RSP], sizeof frame);
    if (likely(host != NULL)) {
        memcpy(frame, host, sizeof frame);
    } else {
        stack_current(cpu, &r->stack);
        for (unsigned i = 0; i < ARRAY_SIZE(frame); i++)
            TRY_FAULT(stack_pop(cpu, &r->stack, &frame[i], r->bytes));
    }
    r->rip = frame[0];
    r->cs = (uint16_t)frame[1];
    r->rflags = frame[2];
    r->rsp = frame[3];
    r->ss = (uint16_t)frame[4];
    r->pops_stack = true;
    return return_protected(cpu, r);
}

/* Back to the task that the current one was called from. */
static int iret_task(struct cpu *cpu, const struct insn *insn)
{
    uint16_t link;

    if (cpu_long_mode(cpu))
        return cpu_raise_gp0(cpu);
    if (cpu->s.tr.limit < 1)
        return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(cpu->s.tr.selector));
    TRY_FAULT(system_read(cpu, cpu->s.tr.base, &link, 2));
    int result = task_switch(cpu, link, TASK_RETURN, VECTOR_TS, insn_next(cpu, insn));
    return task_finish(cpu, result);
}

int exec_iret(struct cpu *cpu, const struct insn *insn)
{
    struct far_return r = { .interrupt = true, .bytes = insn->operand_bytes };

    if (cpu_v86(cpu) && cpu_iopl(cpu) < 3 && (r.bytes != 2 || !(cpu->s.cr4 & CR4_VME)))
        return cpu_raise_gp0(cpu);
    cpu->s.nmi_blocked = 0; /* NMIs are let in again, also by an IRET that faults */
    if (cpu_uses_descriptors(cpu)) {
        if (cpu->s.rflags & FLAG_NT)
            return iret_task(cpu, insn);
        if (cpu_code64(cpu))
            return iret_code64(cpu, &r);
    }
    stack_current(cpu, &r.stack);
    TRY_FAULT(stack_pop(cpu, &r.stack, &r.rip, r.bytes));
    TRY_FAULT(pop_selector(cpu, &r.stack, r.bytes, &r.cs));
    TRY_FAULT(stack_pop(cpu, &r.stack, &r.rflags, r.bytes));
    if (!cpu_uses_descriptors(cpu))
        return return_real(cpu, &r);
    if ((r.rflags & FLAG_VM) && cpu->s.cpl == 0 && r.bytes == 4 && !cpu_long_mode(cpu))
        return return_to_v86(cpu, &r);
    return return_protected(cpu, &r);
}
