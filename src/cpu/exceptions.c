/*
 * Exceptions, interrupts and the INT instructions. (SDM vol. 3, chapter 6;
 * vol. 2, "INT n/INTO/INT3/INT1")
 *
 * Not modelled: the shadow stack.
 */
#include "cpu/exceptions.h"

#include "cpu/debug.h"
#include "cpu/flags.h"
#include "cpu/segment.h"
#include "cpu/stack.h"
#include "cpu/task.h"

#define IDT_ERROR 2u
#define EXT_ERROR 1u

insn_handler exec_int_n, exec_int3, exec_into, exec_int1, exec_syscall, exec_sysret;

static bool is_software(const struct event *event)
{
    return event->kind >= EVENT_INT3;
}

/* Raises `vector` with an error code that points into the IDT. */
static int bad_gate(struct cpu *cpu, const struct event *event, enum vector vector)
{
    return cpu_raise_error(cpu, vector, event->vector * 8u + IDT_ERROR);
}

static uint64_t pushed_rflags(const struct cpu *cpu, const struct event *event)
{
    return flags_to_rflags(cpu) | (event->resume ? FLAG_RF : 0);
}

static int enter_real(struct cpu *cpu, const struct event *event)
{
    uint8_t entry[4];
    struct stack stack;
    uint32_t offset = event->vector * 4u;

    if (offset + 3 > cpu->s.idtr.limit)
        return bad_gate(cpu, event, VECTOR_GP);
    TRY_FAULT(system_read(cpu, cpu->s.idtr.base + offset, entry, 4));
    stack_current(cpu, &stack);
    TRY_FAULT(stack_push(cpu, &stack, flags_to_rflags(cpu), 2));
    TRY_FAULT(stack_push(cpu, &stack, cpu->s.seg[CS].selector, 2));
    TRY_FAULT(stack_push(cpu, &stack, event->return_rip, 2));
    stack_commit_rsp(cpu, &stack);
    cpu->s.rflags &= ~(FLAG_IF | FLAG_TF | FLAG_AC | FLAG_RF);
    segment_load_real(cpu, CS, load16(entry + 2));
    cpu->s.gpr[RIP] = load16(entry);
    cpu_update_mode(cpu);
    return 0;
}

/* What every gate demands before its target is looked at. */
static int check_gate(struct cpu *cpu, const struct event *event, uint64_t gate)
{
    if (is_software(event) && (gate >> 45 & 3) < cpu->s.cpl)
        return bad_gate(cpu, event, VECTOR_GP);
    if (!(gate >> 47 & 1))
        return bad_gate(cpu, event, VECTOR_NP);
    return 0;
}

/* The target code segment of an interrupt or trap gate, and the privilege that
 * it is entered with. */
static int read_target(struct cpu *cpu, uint16_t selector, struct descriptor *code, unsigned *cpl)
{
    if (SELECTOR_NULL(selector))
        return cpu_raise_gp0(cpu);
    TRY_FAULT(descriptor_read(cpu, selector, VECTOR_GP, code));
    unsigned dpl = segment_dpl(&code->segment);
    bool fits = !cpu_long_mode(cpu)
                || (code->segment.attributes & (SEGMENT_L | SEGMENT_DB)) == SEGMENT_L;
    if (!segment_is_code(&code->segment) || dpl > cpu->s.cpl || !fits)
        return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(selector));
    if (!segment_is_present(&code->segment))
        return cpu_raise_error(cpu, VECTOR_NP, SELECTOR_ERROR(selector));
    *cpl = segment_is_conforming(&code->segment) ? cpu->s.cpl : dpl;
    return 0;
}

/* The flags as handlers start with them. */
static void enter_flags(struct cpu *cpu, bool interrupt_gate)
{
    uint64_t cleared = FLAG_TF | FLAG_NT | FLAG_RF | FLAG_VM;
    cpu->s.rflags &= ~(cleared | (interrupt_gate ? FLAG_IF : 0));
}

/* The gate's stack: RSP to push at, aligned. */
static int long_stack(struct cpu *cpu, unsigned ist, unsigned cpl, uint64_t *rsp)
{
    if (ist != 0)
        TRY_FAULT(stack_rsp_from_tss64(cpu, 0x24 + 8 * (ist - 1), rsp));
    else if (cpl < cpu->s.cpl)
        TRY_FAULT(stack_rsp_from_tss64(cpu, 4 + 8 * cpl, rsp));
    else
        *rsp = cpu->s.gpr[RSP];
    *rsp &= ~15ull;
    return 0;
}

static int enter_long(struct cpu *cpu, const struct event *event)
{
    struct cpu_state *s = &cpu->s;
    uint64_t gate[2], rsp, frame[6];
    struct descriptor code;
    unsigned cpl, count = event->has_error ? 6 : 5;

    if (event->vector * 16u + 15 > s->idtr.limit)
        return bad_gate(cpu, event, VECTOR_GP);
    TRY_FAULT(system_read(cpu, s->idtr.base + event->vector * 16u, gate, 16));
    unsigned type = gate[0] >> 40 & 0x1f;
    if (type != TYPE_INTERRUPT_GATE32 && type != TYPE_TRAP_GATE32)
        return bad_gate(cpu, event, VECTOR_GP);
    TRY_FAULT(check_gate(cpu, event, gate[0]));
    uint16_t selector = (uint16_t)(gate[0] >> 16);
    TRY_FAULT(read_target(cpu, selector, &code, &cpl));
    uint64_t offset = gate[1] << 32 | gate[0] >> 48 << 16 | (gate[0] & 0xffff);
    if (!cpu_canonical(cpu, offset))
        return cpu_raise_gp0(cpu);
    TRY_FAULT(long_stack(cpu, gate[0] >> 32 & 7, cpl, &rsp));

    uint64_t *next = frame;
    if (event->has_error)
        *next++ = event->error;
    *next++ = event->return_rip;
    *next++ = s->seg[CS].selector;
    *next++ = pushed_rflags(cpu, event);
    *next++ = s->gpr[RSP];
    *next = s->seg[SS].selector;
    rsp -= 8 * count;
    TRY_FAULT(system_write_as(cpu, cpl, rsp, frame, 8 * count)); /* #SS if not canonical */
    debug_accessed(cpu, rsp, 8 * count, true);
    TRY_FAULT(descriptor_set_accessed(cpu, &code));

    if (cpl != s->cpl)
        s->seg[SS] = (struct segment){ 0, 0, (uint16_t)cpl, (uint16_t)(cpl << SEGMENT_DPL_SHIFT) };
    s->gpr[RSP] = rsp;
    s->gpr[RIP] = offset;
    enter_flags(cpu, type == TYPE_INTERRUPT_GATE32);
    segment_enter_code(cpu, &code.segment, cpl);
    return 0;
}

/* Frame of a 16- or 32-bit gate. */
static int push_legacy_frame(struct cpu *cpu, const struct event *event, struct stack *stack,
                             bool inner, unsigned bytes)
{
    static const uint8_t v86_segments[] = { GS, FS, DS, ES };
    const struct cpu_state *s = &cpu->s;

    if (cpu_v86(cpu))
        for (unsigned i = 0; i < ARRAY_SIZE(v86_segments); i++)
            TRY_FAULT(stack_push(cpu, stack, s->seg[v86_segments[i]].selector, bytes));
    if (inner) {
        TRY_FAULT(stack_push(cpu, stack, s->seg[SS].selector, bytes));
        TRY_FAULT(stack_push(cpu, stack, s->gpr[RSP], bytes));
    }
    TRY_FAULT(stack_push(cpu, stack, pushed_rflags(cpu, event), bytes));
    TRY_FAULT(stack_push(cpu, stack, s->seg[CS].selector, bytes));
    TRY_FAULT(stack_push(cpu, stack, event->return_rip, bytes));
    if (event->has_error)
        TRY_FAULT(stack_push(cpu, stack, event->error, bytes));
    return 0;
}

static int enter_gate(struct cpu *cpu, const struct event *event, uint64_t gate, unsigned type)
{
    uint16_t selector = (uint16_t)(gate >> 16);
    bool wide = type >= TYPE_INTERRUPT_GATE32;
    bool v86 = cpu_v86(cpu);
    uint32_t offset = (uint32_t)(gate & 0xffff) | (wide ? (uint32_t)(gate >> 48) << 16 : 0);
    struct descriptor code;
    struct stack stack;
    unsigned cpl;

    TRY_FAULT(read_target(cpu, selector, &code, &cpl));
    if (v86 && cpl != 0)
        return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(selector));
    bool inner = cpl < cpu->s.cpl;
    if (inner)
        TRY_FAULT(stack_from_tss(cpu, cpl, &stack));
    else
        stack_current(cpu, &stack);
    TRY_FAULT(push_legacy_frame(cpu, event, &stack, inner, wide ? 4 : 2));
    if (offset > code.segment.limit)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(descriptor_set_accessed(cpu, &code));

    if (inner) {
        stack_enter(cpu, &stack);
    } else {
        stack_commit_rsp(cpu, &stack);
    }
    enter_flags(cpu, !(type & 1));
    if (v86) {
        static const uint8_t nulled[] = { ES, DS, FS, GS };
        for (unsigned i = 0; i < ARRAY_SIZE(nulled); i++)
            segment_load_null(cpu, nulled[i], 0);
    }
    cpu->s.gpr[RIP] = offset;
    segment_enter_code(cpu, &code.segment, cpl);
    return 0;
}

/* Through a task gate. RF is in the image of the task that faulted. */
static int enter_task(struct cpu *cpu, const struct event *event, uint16_t tss)
{
    uint64_t rflags = cpu->s.rflags;

    if (event->resume)
        cpu->s.rflags |= FLAG_RF;
    int result = task_switch(cpu, tss, TASK_CALL, VECTOR_GP, event->return_rip);
    if (result == CPU_FAULT)
        cpu->s.rflags = rflags;
    TRY_FAULT(result);
    return event->has_error ? task_push_error(cpu, event->error) : 0;
}

static int enter_protected(struct cpu *cpu, const struct event *event)
{
    uint64_t gate;

    if (event->vector * 8u + 7 > cpu->s.idtr.limit)
        return bad_gate(cpu, event, VECTOR_GP);
    TRY_FAULT(system_read(cpu, cpu->s.idtr.base + event->vector * 8u, &gate, 8));
    unsigned type = gate >> 40 & 0x1f;
    switch (type) {
    case TYPE_INTERRUPT_GATE16: case TYPE_TRAP_GATE16:
    case TYPE_INTERRUPT_GATE32: case TYPE_TRAP_GATE32:
        TRY_FAULT(check_gate(cpu, event, gate));
        return enter_gate(cpu, event, gate, type);
    case TYPE_TASK_GATE:
        TRY_FAULT(check_gate(cpu, event, gate));
        return enter_task(cpu, event, (uint16_t)(gate >> 16));
    default:
        return bad_gate(cpu, event, VECTOR_GP);
    }
}

/* The bit of `vector` in the software interrupt redirection bitmap, which ends
 * where the I/O permission bitmap begins. */
static int read_redirection(struct cpu *cpu, uint8_t vector, bool *to_monitor)
{
    const struct segment *tr = &cpu->s.tr;
    uint16_t map;
    uint8_t bits;

    if (segment_type(tr) < TYPE_TSS32 || tr->limit < 0x67)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(system_read(cpu, tr->base + 0x66, &map, 2));
    uint32_t offset = map - 32u + vector / 8;
    if (offset > tr->limit)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(system_read(cpu, tr->base + offset, &bits, 1));
    *to_monitor = bits >> (vector & 7) & 1;
    return 0;
}

/* To the 8086 program's own handler, as in real mode; with IOPL < 3 the
 * interrupt flag that it sees is VIF. */
static int enter_redirected(struct cpu *cpu, const struct event *event)
{
    uint64_t flags = flags_to_rflags(cpu), interrupts = FLAG_IF;
    uint8_t entry[4];
    struct stack stack;

    if (cpu_iopl(cpu) < 3) {
        flags = (flags & ~FLAG_IF) | FLAG_IOPL | (flags & FLAG_VIF ? FLAG_IF : 0);
        interrupts = FLAG_VIF;
    }
    TRY_FAULT(system_read(cpu, event->vector * 4u, entry, 4));
    stack_current(cpu, &stack);
    TRY_FAULT(stack_push(cpu, &stack, flags, 2));
    TRY_FAULT(stack_push(cpu, &stack, cpu->s.seg[CS].selector, 2));
    TRY_FAULT(stack_push(cpu, &stack, event->return_rip, 2));
    stack_commit_rsp(cpu, &stack);
    cpu->s.rflags &= ~(interrupts | FLAG_TF | FLAG_RF);
    segment_load_real(cpu, CS, load16(entry + 2));
    cpu->s.gpr[RIP] = load16(entry);
    return 0;
}

/* INT n of an 8086 program (SDM vol. 3, table 21-2). */
static int enter_from_v86(struct cpu *cpu, const struct event *event)
{
    bool to_monitor = true;

    if (cpu->s.cr4 & CR4_VME)
        TRY_FAULT(read_redirection(cpu, event->vector, &to_monitor));
    if (!to_monitor)
        return enter_redirected(cpu, event);
    if (cpu_iopl(cpu) < 3)
        return cpu_raise_gp0(cpu);
    return enter_protected(cpu, event);
}

int exceptions_enter(struct cpu *cpu, const struct event *event)
{
    int result;

    if (cpu_long_mode(cpu))
        result = enter_long(cpu, event);
    else if (!cpu_protected(cpu))
        result = enter_real(cpu, event);
    else if (event->kind == EVENT_INT_N && cpu_v86(cpu))
        result = enter_from_v86(cpu, event);
    else
        result = enter_protected(cpu, event);
    if (result && !is_software(event) && cpu->exception.has_error
        && cpu->exception.vector != VECTOR_PF)
        cpu->exception.error |= EXT_ERROR;
    return result;
}

enum severity { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

static enum severity severity_of(const struct exception *exception)
{
    switch (exception->vector) {
    case VECTOR_DE: case VECTOR_TS: case VECTOR_NP: case VECTOR_SS: case VECTOR_GP:
        return CONTRIBUTORY;
    case VECTOR_PF:
        return PAGE_FAULT;
    case VECTOR_DF:
        return DOUBLE_FAULT;
    default:
        return BENIGN;
    }
}

/* Faults push RF set so that the instruction is not stopped at again by its
 * breakpoint; aborts and traps do not. */
static bool resumes(const struct exception *exception)
{
    switch (exception->vector) {
    case VECTOR_DB:
        return exception->address & DR6_BD;
    case VECTOR_DF: case VECTOR_MC: case VECTOR_BP: case VECTOR_OF:
        return false;
    default:
        return true;
    }
}

/* What #DB switches off: general detect and steps of branches. */
static void end_debugging(struct cpu *cpu)
{
    cpu->s.dr[7] &= ~DR7_GD;
    cpu->s.debugctl &= ~DEBUGCTL_BTF;
}

/* What an exception does before its delivery is tried. */
static void note_exception(struct cpu *cpu, const struct exception *exception)
{
    if (exception->vector == VECTOR_PF)
        cpu->s.cr2 = exception->address;
    if (exception->vector == VECTOR_DB) {
        cpu->s.dr[6] = (cpu->s.dr[6] & ~(uint64_t)DR6_HITS) | exception->address;
        end_debugging(cpu);
    }
}

/* Delivers cpu->exception, which was raised while one of `before` was being
 * delivered. Ends: severity only rises, and beyond DOUBLE_FAULT is shutdown. */
static void deliver_chain(struct cpu *cpu, enum severity before)
{
    for (;;) {
        struct exception *exception = &cpu->exception;
        enum severity severity = severity_of(exception);
        bool doubled = (before == CONTRIBUTORY && severity == CONTRIBUTORY)
                       || (before == PAGE_FAULT && (severity == CONTRIBUTORY
                                                    || severity == PAGE_FAULT));
        note_exception(cpu, exception);
        if (before == DOUBLE_FAULT && severity != BENIGN) {
            cpu->s.activity = CPU_SHUTDOWN;
            cpu_attention(cpu);
            return;
        }
        if (doubled) {
            *exception = (struct exception){ VECTOR_DF, true, 0, 0 };
            severity = DOUBLE_FAULT;
        }
        struct event event = { exception->vector, EVENT_EXCEPTION, exception->has_error,
                               resumes(exception), exception->error, cpu->s.gpr[RIP] };
        if (!exceptions_enter(cpu, &event))
            return;
        before = severity;
    }
}

void cpu_deliver_exception(struct cpu *cpu)
{
    if (unlikely(cpu->exception.vector == VECTOR_WAIT)) {
        cpu->s.activity = CPU_HALTED;
        return;
    }
    deliver_chain(cpu, BENIGN);
}

void cpu_deliver_interrupt(struct cpu *cpu, uint8_t vector)
{
    struct event event = { vector, EVENT_EXTERNAL, false, false, 0, cpu->s.gpr[RIP] };

    if (vector == VECTOR_NMI)
        cpu->s.nmi_blocked = 1;
    if (exceptions_enter(cpu, &event))
        deliver_chain(cpu, BENIGN);
}

static int software(struct cpu *cpu, const struct insn *insn, uint8_t vector, enum event_kind kind)
{
    struct event event = { vector, (uint8_t)kind, false, false, 0, insn_next(cpu, insn) };
    return task_finish(cpu, exceptions_enter(cpu, &event));
}

int exec_int3(struct cpu *cpu, const struct insn *insn)
{
    return software(cpu, insn, VECTOR_BP, EVENT_INT3);
}

int exec_int_n(struct cpu *cpu, const struct insn *insn)
{
    return software(cpu, insn, (uint8_t)insn->imm, EVENT_INT_N);
}

int exec_into(struct cpu *cpu, const struct insn *insn)
{
    if (flags_of(cpu))
        return software(cpu, insn, VECTOR_OF, EVENT_INT3);
    cpu->s.gpr[RIP] = insn_next(cpu, insn);
    return 0;
}

/* Like an exception: the gate's DPL does not matter, and a fault of the
 * delivery has EXT set. DR6 is left alone. */
int exec_int1(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(software(cpu, insn, VECTOR_DB, EVENT_EXCEPTION));
    end_debugging(cpu);
    return 0;
}

bool exceptions_report_debug(struct cpu *cpu, const struct insn *insn, uint64_t bits)
{
    if (insn->handler != exec_int1 || !bits)
        return false;
    cpu->s.dr[6] = (cpu->s.dr[6] & ~(uint64_t)DR6_HITS) | bits;
    return true;
}

bool exceptions_virtual_interrupt(const struct cpu *cpu)
{
    const uint64_t both = FLAG_VIF | FLAG_VIP;
    if ((cpu->s.rflags & both) != both || cpu->s.cpl != 3 || cpu_iopl(cpu) == 3)
        return false;
    return cpu->s.cr4 & (cpu_v86(cpu) ? CR4_VME : CR4_PVI);
}

/* A branch that was taken. One to what follows it is told from one that was
 * not taken by its being unconditional. */
static bool branched(const struct cpu *cpu, const struct insn *insn, uint64_t next)
{
    unsigned opcode = insn->opcode;
    bool conditional = (opcode >= 0x70 && opcode <= 0x8f) || (opcode >= 0xe0 && opcode <= 0xe3);
    if (!(insn->attributes & SETS_RIP) || insn->attributes & STRING)
        return false;
    return !conditional || cpu->s.gpr[RIP] != (next & cpu->rip_mask);
}

bool exceptions_steps(const struct cpu *cpu, const struct insn *insn, uint64_t next)
{
    if (cpu->s.debugctl & DEBUGCTL_BTF && !branched(cpu, insn, next))
        return false;
    if (cpu->s.rflags & FLAG_TF)
        return true;
    /* These entered something that starts with TF clear; SYSCALL and SYSRET
     * trap by the TF that they set. */
    return insn->handler != exec_int_n && insn->handler != exec_int3 && insn->handler != exec_into
           && insn->handler != exec_int1 && insn->handler != exec_syscall
           && insn->handler != exec_sysret;
}
