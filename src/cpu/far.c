/*
 * Far JMP and CALL, with call gates and tasks. Returns are in farreturn.c.
 * (SDM vol. 2, CALL, JMP; vol. 3, section 5.8)
 *
 * Not modelled: the shadow stack, indirect branch tracking.
 */
#include "cpu/segment.h"
#include "cpu/stack.h"
#include "cpu/system.h"
#include "cpu/task.h"

/* A far transfer on its way. */
struct transfer {
    uint16_t selector;
    uint64_t offset;
    bool call;
    unsigned bytes;       /* size of pushes */
    uint64_t return_rip;
};

static bool is_long_code(const struct cpu *cpu, const struct segment *code)
{
    return cpu_long_mode(cpu) && (code->attributes & SEGMENT_L);
}

static int check_offset(struct cpu *cpu, const struct segment *code, uint64_t offset)
{
    bool good = is_long_code(cpu, code) ? cpu_canonical(cpu, offset) : offset <= code->limit;
    return good ? 0 : cpu_raise_gp0(cpu);
}

static int push_return(struct cpu *cpu, struct stack *stack, const struct transfer *transfer,
                       unsigned bytes)
{
    TRY_FAULT(stack_push(cpu, stack, cpu->s.seg[CS].selector, bytes));
    return stack_push(cpu, stack, transfer->return_rip, bytes);
}

static int transfer_real(struct cpu *cpu, const struct transfer *transfer)
{
    if (transfer->offset > cpu->s.seg[CS].limit)
        return cpu_raise_gp0(cpu);
    if (transfer->call) {
        struct stack stack;
        stack_current(cpu, &stack);
        TRY_FAULT(push_return(cpu, &stack, transfer, transfer->bytes));
        stack_commit_rsp(cpu, &stack);
    }
    segment_load_real(cpu, CS, transfer->selector);
    cpu->s.gpr[RIP] = transfer->offset;
    cpu_update_mode(cpu);
    return 0;
}

static int bad_selector(struct cpu *cpu, enum vector vector, uint16_t selector)
{
    return cpu_raise_error(cpu, vector, SELECTOR_ERROR(selector));
}

/* Straight to a code segment: the privilege stays. */
static int transfer_direct(struct cpu *cpu, const struct transfer *transfer,
                           struct descriptor *code)
{
    const struct segment *segment = &code->segment;
    unsigned cpl = cpu->s.cpl, dpl = segment_dpl(segment);
    bool allowed = segment_is_conforming(segment) ? dpl <= cpl
                                                  : dpl == cpl && (transfer->selector & 3u) <= cpl;
    if (!allowed || (is_long_code(cpu, segment) && (segment->attributes & SEGMENT_DB)))
        return bad_selector(cpu, VECTOR_GP, transfer->selector);
    if (!segment_is_present(segment))
        return bad_selector(cpu, VECTOR_NP, transfer->selector);
    struct stack stack;
    stack_current(cpu, &stack);
    if (transfer->call)
        TRY_FAULT(push_return(cpu, &stack, transfer, transfer->bytes));
    TRY_FAULT(check_offset(cpu, segment, transfer->offset));
    TRY_FAULT(descriptor_set_accessed(cpu, code));
    stack_commit_rsp(cpu, &stack);
    cpu->s.gpr[RIP] = transfer->offset;
    segment_enter_code(cpu, segment, cpl);
    return 0;
}

/* A 64-bit call gate to an inner privilege. */
static int call_inner_long(struct cpu *cpu, const struct transfer *transfer,
                           struct descriptor *code, uint64_t offset, unsigned cpl)
{
    struct stack stack = { .mask = ~0ull, .cpl = cpl };

    TRY_FAULT(stack_rsp_from_tss64(cpu, 4 + 8 * cpl, &stack.rsp));
    TRY_FAULT(stack_push(cpu, &stack, cpu->s.seg[SS].selector, 8));
    TRY_FAULT(stack_push(cpu, &stack, cpu->s.gpr[RSP], 8));
    TRY_FAULT(push_return(cpu, &stack, transfer, 8));
    TRY_FAULT(check_offset(cpu, &code->segment, offset));
    TRY_FAULT(descriptor_set_accessed(cpu, code));
    cpu->s.seg[SS] = (struct segment){ 0, 0, (uint16_t)cpl, (uint16_t)(cpl << SEGMENT_DPL_SHIFT) };
    cpu->s.gpr[RSP] = stack.rsp;
    cpu->s.gpr[RIP] = offset;
    segment_enter_code(cpu, &code->segment, cpl);
    return 0;
}

/* A 16- or 32-bit call gate to an inner privilege; copies `count` parameters. */
static int call_inner(struct cpu *cpu, const struct transfer *transfer, struct descriptor *code,
                      uint64_t offset, unsigned cpl, unsigned bytes, unsigned count)
{
    struct stack outer, inner;
    uint64_t parameters[31];

    stack_current(cpu, &outer);
    TRY_FAULT(stack_from_tss(cpu, cpl, &inner));
    for (unsigned i = 0; i < count; i++)
        TRY_FAULT(stack_pop(cpu, &outer, &parameters[i], bytes));
    TRY_FAULT(stack_push(cpu, &inner, cpu->s.seg[SS].selector, bytes));
    TRY_FAULT(stack_push(cpu, &inner, cpu->s.gpr[RSP], bytes));
    for (unsigned i = count; i-- > 0;)
        TRY_FAULT(stack_push(cpu, &inner, parameters[i], bytes));
    TRY_FAULT(push_return(cpu, &inner, transfer, bytes));
    TRY_FAULT(check_offset(cpu, &code->segment, offset));
    TRY_FAULT(descriptor_set_accessed(cpu, code));
    stack_enter(cpu, &inner);
    cpu->s.gpr[RIP] = offset;
    segment_enter_code(cpu, &code->segment, cpl);
    return 0;
}

/* The code segment that a call gate names: readable for this transfer? */
static int read_gate_target(struct cpu *cpu, const struct transfer *transfer, uint16_t selector,
                            struct descriptor *code)
{
    unsigned cpl = cpu->s.cpl;

    if (SELECTOR_NULL(selector))
        return cpu_raise_gp0(cpu);
    TRY_FAULT(descriptor_read(cpu, selector, VECTOR_GP, code));
    const struct segment *segment = &code->segment;
    unsigned dpl = segment_dpl(segment);
    bool needs_equal = !transfer->call && !segment_is_conforming(segment);
    if (!segment_is_code(segment) || dpl > cpl || (needs_equal && dpl != cpl))
        return bad_selector(cpu, VECTOR_GP, selector);
    if (cpu_long_mode(cpu)
        && (segment->attributes & (SEGMENT_L | SEGMENT_DB)) != SEGMENT_L)
        return bad_selector(cpu, VECTOR_GP, selector);
    if (!segment_is_present(segment))
        return bad_selector(cpu, VECTOR_NP, selector);
    return 0;
}

static int check_gate(struct cpu *cpu, const struct transfer *transfer,
                      const struct descriptor *gate)
{
    unsigned dpl = segment_dpl(&gate->segment);

    if (dpl < cpu->s.cpl || (transfer->selector & 3u) > dpl)
        return bad_selector(cpu, VECTOR_GP, transfer->selector);
    if (!segment_is_present(&gate->segment))
        return bad_selector(cpu, VECTOR_NP, transfer->selector);
    return 0;
}

static int transfer_gate(struct cpu *cpu, const struct transfer *transfer,
                         const struct descriptor *gate)
{
    bool wide = segment_type(&gate->segment) == TYPE_CALL_GATE32;
    bool long_mode = cpu_long_mode(cpu);
    unsigned bytes = long_mode ? 8 : wide ? 4 : 2;
    uint64_t offset = (gate->raw & 0xffff) | (wide ? gate->raw >> 48 << 16 : 0);
    struct descriptor code;

    TRY_FAULT(check_gate(cpu, transfer, gate));
    if (long_mode) {
        uint64_t high;
        TRY_FAULT(descriptor_read_high(cpu, gate, VECTOR_GP, &high));
        if (high >> 40 & 0x1f)
            return bad_selector(cpu, VECTOR_GP, transfer->selector);
        offset |= high << 32;
    }
    TRY_FAULT(read_gate_target(cpu, transfer, (uint16_t)(gate->raw >> 16), &code));
    unsigned dpl = segment_dpl(&code.segment);
    if (transfer->call && !segment_is_conforming(&code.segment) && dpl < cpu->s.cpl)
        return long_mode ? call_inner_long(cpu, transfer, &code, offset, dpl)
                         : call_inner(cpu, transfer, &code, offset, dpl, bytes,
                                      gate->raw >> 32 & 31);
    struct stack stack;
    stack_current(cpu, &stack);
    if (transfer->call) {
        if (long_mode)
            stack.mask = ~0ull;
        TRY_FAULT(push_return(cpu, &stack, transfer, bytes));
    }
    TRY_FAULT(check_offset(cpu, &code.segment, offset));
    TRY_FAULT(descriptor_set_accessed(cpu, &code));
    stack_commit_rsp(cpu, &stack);
    cpu->s.gpr[RIP] = offset;
    segment_enter_code(cpu, &code.segment, cpu->s.cpl);
    return 0;
}

static int transfer_task(struct cpu *cpu, const struct transfer *transfer, uint16_t tss)
{
    return task_switch(cpu, tss, transfer->call ? TASK_CALL : TASK_JUMP, VECTOR_GP,
                       transfer->return_rip);
}

static int transfer_system(struct cpu *cpu, const struct transfer *transfer,
                           const struct descriptor *descriptor)
{
    const struct segment *segment = &descriptor->segment;
    unsigned type = segment_type(segment);
    bool long_mode = cpu_long_mode(cpu);

    if (type == TYPE_CALL_GATE32 || (type == TYPE_CALL_GATE16 && !long_mode))
        return transfer_gate(cpu, transfer, descriptor);
    if (type == TYPE_TASK_GATE && !long_mode) {
        TRY_FAULT(check_gate(cpu, transfer, descriptor));
        return transfer_task(cpu, transfer, (uint16_t)(descriptor->raw >> 16));
    }
    if ((type == TYPE_TSS16 || type == TYPE_TSS32) && !long_mode) {
        unsigned dpl = segment_dpl(segment);
        if (dpl < cpu->s.cpl || (transfer->selector & 3u) > dpl)
            return bad_selector(cpu, VECTOR_GP, transfer->selector);
        return transfer_task(cpu, transfer, transfer->selector);
    }
    return bad_selector(cpu, VECTOR_GP, transfer->selector);
}

static int transfer(struct cpu *cpu, const struct insn *insn, uint16_t selector, uint64_t offset,
                    bool call)
{
    struct transfer t = { selector, offset, call, insn->operand_bytes, insn_next(cpu, insn) };
    struct descriptor descriptor;

    if (!cpu_uses_descriptors(cpu))
        return transfer_real(cpu, &t);
    if (SELECTOR_NULL(selector))
        return cpu_raise_gp0(cpu);
    TRY_FAULT(descriptor_read(cpu, selector, VECTOR_GP, &descriptor));
    if (segment_is_code(&descriptor.segment))
        return transfer_direct(cpu, &t, &descriptor);
    if (descriptor.segment.attributes & SEGMENT_S)
        return bad_selector(cpu, VECTOR_GP, selector);
    return task_finish(cpu, transfer_system(cpu, &t, &descriptor));
}

static int direct(struct cpu *cpu, const struct insn *insn, bool call)
{
    uint64_t offset = insn->imm & (insn->operand_bytes == 2 ? 0xffff : 0xffffffff);
    return transfer(cpu, insn, (uint16_t)(insn->imm >> 32), offset, call);
}

static int indirect(struct cpu *cpu, const struct insn *insn, bool call)
{
    uint64_t offset;
    uint16_t selector;

    TRY_FAULT(segment_read_pointer(cpu, insn, &offset, &selector));
    return transfer(cpu, insn, selector, offset, call);
}

int exec_callf_direct(struct cpu *cpu, const struct insn *insn) { return direct(cpu, insn, true); }
int exec_jmpf_direct(struct cpu *cpu, const struct insn *insn) { return direct(cpu, insn, false); }
int exec_callf_indirect(struct cpu *cpu, const struct insn *insn) { return indirect(cpu, insn, true); }
int exec_jmpf_indirect(struct cpu *cpu, const struct insn *insn) { return indirect(cpu, insn, false); }
