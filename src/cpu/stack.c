/* Stacks of event delivery and far transfers. (SDM vol. 3, 5.8.5, 6.12, 7.2) */
#include "cpu/stack.h"

#include "cpu/debug.h"

void stack_current(const struct cpu *cpu, struct stack *stack)
{
    stack->segment = cpu->s.seg[SS];
    stack->rsp = cpu->s.gpr[RSP];
    stack->mask = cpu->stack_mask;
    stack->cpl = cpu->s.cpl;
    stack->error = 0;
}

static int bad_tss(struct cpu *cpu)
{
    return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(cpu->s.tr.selector));
}

int stack_from_tss(struct cpu *cpu, unsigned cpl, struct stack *stack)
{
    bool wide = segment_type(&cpu->s.tr) >= TYPE_TSS32;
    uint32_t offset = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
    uint32_t length = wide ? 6 : 4;
    struct descriptor ss;
    uint8_t bytes[6];

    if (offset + length - 1 > cpu->s.tr.limit)
        return bad_tss(cpu);
    TRY_FAULT(system_read(cpu, cpu->s.tr.base + offset, bytes, length));
    TRY_FAULT(segment_read_stack(cpu, load16(bytes + length - 2), cpl, VECTOR_TS, &ss));
    TRY_FAULT(descriptor_set_accessed(cpu, &ss));
    stack->segment = ss.segment;
    stack->rsp = wide ? load32(bytes) : load16(bytes);
    stack->mask = ss.segment.attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
    stack->cpl = cpl;
    stack->error = SELECTOR_ERROR(ss.segment.selector);
    return 0;
}

int stack_rsp_from_tss64(struct cpu *cpu, unsigned byte_offset, uint64_t *rsp)
{
    if (byte_offset + 7 > cpu->s.tr.limit)
        return bad_tss(cpu);
    TRY_FAULT(system_read(cpu, cpu->s.tr.base + byte_offset, rsp, 8));
    if (!cpu_canonical(cpu, *rsp))
        return cpu_raise_error(cpu, VECTOR_SS, 0);
    return 0;
}

/* The linear address of `bytes` at `rsp`, checked. */
static int stack_linear(struct cpu *cpu, const struct stack *stack, uint64_t rsp, unsigned bytes,
                        uint64_t *linear)
{
    bool fits;
    if (stack->mask == ~0ull) {
        *linear = rsp;
        fits = cpu_canonical(cpu, rsp) && cpu_canonical(cpu, rsp + bytes - 1);
    } else {
        uint64_t offset = rsp & stack->mask;
        *linear = (uint32_t)(stack->segment.base + offset);
        fits = segment_within_limit(&stack->segment, offset, bytes);
    }
    if (!fits)
        return cpu_raise_error(cpu, VECTOR_SS, stack->error);
    if (unlikely(*linear & (bytes - 1)) && stack->cpl == 3
        && cpu->tlb == &cpu->tlbs[MMU_USER_ALIGNED])
        return cpu_raise_error(cpu, VECTOR_AC, 0);
    return 0;
}

int stack_push(struct cpu *cpu, struct stack *stack, uint64_t value, unsigned bytes)
{
    uint64_t linear, rsp = (stack->rsp & ~stack->mask) | ((stack->rsp - bytes) & stack->mask);

    TRY_FAULT(stack_linear(cpu, stack, rsp, bytes, &linear));
    TRY_FAULT(system_write_as(cpu, stack->cpl, linear, &value, bytes));
    debug_accessed(cpu, linear, bytes, true);
    stack->rsp = rsp;
    return 0;
}

int stack_pop(struct cpu *cpu, struct stack *stack, uint64_t *value, unsigned bytes)
{
    uint64_t linear;

    TRY_FAULT(stack_linear(cpu, stack, stack->rsp, bytes, &linear));
    *value = 0;
    TRY_FAULT(system_read_as(cpu, stack->cpl, linear, value, bytes));
    debug_accessed(cpu, linear, bytes, false);
    stack->rsp = (stack->rsp & ~stack->mask) | ((stack->rsp + bytes) & stack->mask);
    return 0;
}

void stack_commit_rsp(struct cpu *cpu, const struct stack *stack)
{
    cpu->s.gpr[RSP] = (cpu->s.gpr[RSP] & ~stack->mask) | (stack->rsp & stack->mask);
}

void stack_enter(struct cpu *cpu, const struct stack *stack)
{
    cpu->s.seg[SS] = stack->segment;
    cpu->s.gpr[RSP] = stack->rsp;
    cpu_update_segment(cpu, SS);
}
