/*
 * The run loop: which block comes next, what is looked at between instructions; see engine.h.
 */
#include "cpu/engine.h"

#include "cpu/debug.h"
#include "cpu/exceptions.h"
#include "cpu/flags.h"
#include "cpu/memory.h"

/* Code that runs past the CS limit (16- and 32-bit code): #GP(0) on the first
 * instruction that does not fit; NULL then, else the block, cut in *limit. */
static struct block *check_limit(struct cpu *cpu, struct block *block, uint32_t *limit)
{
    uint64_t last = cpu->s.seg[CS].limit;
    uint64_t rip = cpu->s.gpr[RIP];
    if (rip + block->bytes - 1 <= last)
        return block;
    uint32_t fits = 0;
    while (fits < block->count && rip + block->insns[fits].end - 1 <= last)
        fits++;
    if (fits == 0) {
        cpu_raise_error(cpu, VECTOR_GP, 0);
        return NULL;
    }
    if (fits < *limit)
        *limit = fits;
    return block;
}

/* The block at CS:RIP, looked up without the help of a predecessor. */
static struct block *lookup(struct cpu *cpu, uint64_t linear)
{
    if ((linear & ~(uint64_t)PAGE_MASK) != cpu->fetch_linear) {
        if (mmu_fetch(cpu, linear, &cpu->fetch_page))
            return NULL;
        cpu->fetch_linear = linear & ~(uint64_t)PAGE_MASK;
        if (cpu->fetch_page >= PHYSMEM_DISCARD) {
            cpu->fetch_linear = TLB_INVALID;
            cpu_raise(cpu, VECTOR_UD);
            return NULL;
        }
    }
    struct block *block = engine_find_block(cpu->engine, block_key(cpu->fetch_page, linear, cpu->code_bytes));
    return block ? block : engine_decode_block(cpu, cpu->fetch_page, linear);
}

/* A crossing block is good only while its second page is still where it was:
 * looked at on every entry, as the fetch would. */
static struct block *check_crossing(struct cpu *cpu, struct block *block, uint64_t linear)
{
    uint32_t second;
    if (mmu_fetch(cpu, ((linear | PAGE_MASK) + 1) & cpu->rip_mask, &second))
        return NULL;
    if (second == block->second_page)
        return block;
    engine_drop_block(cpu->engine, block);
    return engine_decode_block(cpu, cpu->fetch_page, linear);
}

/* The next block to run after `before` (NULL: unknown); NULL after a fault. */
static inline struct block *next_block(struct cpu *cpu, struct block *before, uint32_t *limit)
{
    uint64_t linear = (cpu->access[CS].base + cpu->s.gpr[RIP]) & cpu->rip_mask;
    struct block *block = NULL;
    if (likely((linear & ~(uint64_t)PAGE_MASK) == cpu->fetch_linear) && likely(before != NULL)) {
        uint64_t key = block_key(cpu->fetch_page, linear, cpu->code_bytes);
        if (likely(before->successor[0]->key == key))
            block = before->successor[0];
        else if (before->successor[1]->key == key)
            block = before->successor[1];
    }
    if (unlikely(!block)) {
        uint64_t flushes = cpu->engine->cache_flushes;
        block = lookup(cpu, linear);
        if (!block)
            return NULL;
        if (before && flushes == cpu->engine->cache_flushes) {
            before->successor[1] = before->successor[0];
            before->successor[0] = block;
            if (engine_is_old(cpu->engine, before) && !before->remembered)
                engine_remember_block(cpu->engine, before);
        }
    }
    if (unlikely(block->second_page != PHYSMEM_MMIO)) {
        block = check_crossing(cpu, block, linear);
        if (!block)
            return NULL;
    }
    if (unlikely(cpu->code_bytes != 8))
        return check_limit(cpu, block, limit);
    return block;
}

void engine_deliver(struct cpu *cpu)
{
    cpu->remaining--;
    cpu->fetch_linear = TLB_INVALID;
    cpu->s.shadow_sti = cpu->s.shadow_mov_ss = 0;
    cpu_deliver_exception(cpu);
    cpu->attention = true;
}

/* Runs up to `limit` instructions of the block. Returns whether all of them
 * completed; a fault has been delivered otherwise. */
static inline bool execute(struct cpu *cpu, const struct block *block, uint32_t limit)
{
    uint32_t count = block->count < limit ? block->count : limit;
    if (unlikely(cpu->remaining < count))
        count = (uint32_t)cpu->remaining;
    const struct insn *insn = block->insns;
    cpu->block_start = insn;
    cpu->block_end = insn + count;
    cpu->block_count = count;
    cpu->remaining -= count;
    int status;
    do {
        cpu->current = insn;
        status = insn->handler(cpu, insn);
        if (unlikely(status))
            break;
        insn++;
    } while (insn != cpu->block_end);
    cpu->remaining += count - (insn - block->insns);
    cpu->current = cpu->block_start = cpu->block_end = NULL;
    cpu->block_count = 0;
    if (unlikely(status)) {
        cpu->s.gpr[RIP] = (cpu->s.gpr[RIP] + insn->end - insn->length) & cpu->rip_mask;
        cpu->s.pending_debug = 0; /* traps are of instructions that complete */
        engine_deliver(cpu);
        return false;
    }
    if (!(insn[-1].attributes & SETS_RIP))
        cpu->s.gpr[RIP] = (cpu->s.gpr[RIP] + insn[-1].end) & cpu->rip_mask;
    return true;
}

static void debug_trap(struct cpu *cpu, uint64_t bits)
{
    cpu->exception = (struct exception){ VECTOR_DB, false, 0, bits };
    engine_deliver(cpu);
}

enum next_step { STEP_RUN, STEP_AGAIN, STEP_HALTED, STEP_SHUTDOWN, STEP_YIELD, STEP_DEBUG };

/* Requests from outside, in order of priority (SDM vol. 3, table 6-2). */
static enum next_step take_request(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    bool inhibited = s->shadow_sti || s->shadow_mov_ss;
    /* The shadows hold back SMIs too, so that none need be saved by SMM. */
    if (s->smi_pending && !s->smm && !inhibited) {
        cpu->remaining--;
        cpu_enter_smm(cpu);
        return STEP_AGAIN;
    }
    if (s->pending_debug && !s->shadow_mov_ss) {
        uint64_t bits = s->pending_debug;
        s->pending_debug = 0;
        s->activity = CPU_RUNNING; /* single-stepping over HLT */
        debug_trap(cpu, bits);
        return STEP_AGAIN;
    }
    if (s->nmi_pending && !s->nmi_blocked && !inhibited) {
        s->nmi_pending--;
        s->activity = CPU_RUNNING;
        cpu->remaining--;
        cpu->fetch_linear = TLB_INVALID;
        cpu_deliver_interrupt(cpu, VECTOR_NMI);
        return STEP_AGAIN;
    }
    if (cpu->interrupt_line && s->rflags & FLAG_IF && !inhibited) {
        int vector = cpu->bus.interrupt_acknowledge(cpu->bus.context, cpu);
        if (vector >= 0) {
            s->activity = CPU_RUNNING;
            cpu->remaining--;
            cpu->fetch_linear = TLB_INVALID;
            cpu_deliver_interrupt(cpu, (uint8_t)vector);
            return STEP_AGAIN;
        }
    }
    return STEP_RUN;
}

/* Looks at everything that can come between two instructions. With STEP_RUN,
 * *limit is 1 when only one instruction may run before the next look. */
static enum next_step attend(struct cpu *cpu, uint32_t *limit)
{
    struct cpu_state *s = &cpu->s;
    if (unlikely(cpu->debug != NULL) && cpu->debug->blocks_done)
        return STEP_DEBUG; /* with nothing done that the next block asks for */
    if (s->init_pending && !s->smm) {
        s->init_pending = 0;
        cpu_init_signal(cpu);
    }
    if (s->activity == CPU_SHUTDOWN)
        return STEP_SHUTDOWN;
    if (s->activity == CPU_WAIT_SIPI)
        return STEP_HALTED;
    if (cpu->debug && cpu->debug->hit)
        return STEP_DEBUG;
    enum next_step step = take_request(cpu);
    if (step != STEP_RUN)
        return step;
    if (s->activity == CPU_HALTED)
        return STEP_HALTED;
    if (s->yield) {
        s->yield = 0;
        return STEP_YIELD;
    }
    if (unlikely(exceptions_virtual_interrupt(cpu))) {
        cpu_raise_error(cpu, VECTOR_GP, 0);
        engine_deliver(cpu);
        return STEP_AGAIN;
    }
    bool guest_debug = s->rflags & (FLAG_TF | FLAG_RF) || s->dr[7] & 0xff;
    if (s->shadow_sti || s->shadow_mov_ss || guest_debug)
        *limit = 1;
    else
        cpu->attention = false;
    return STEP_RUN;
}

/* The instruction at RIP can be fetched, whatever bytes it has. */
static bool fetch_is_sure(const struct cpu *cpu)
{
    uint64_t rip = cpu->s.gpr[RIP];
    return cpu->code_bytes == 8 && (rip & PAGE_MASK) <= PAGE_BYTES - INSN_BYTES_MAXIMUM
           && memory_tlb_entry(cpu, rip)->exec_tag == (rip & ~(uint64_t)PAGE_MASK);
}

bool engine_goes_on(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    if (cpu->remaining <= 0)
        return false;
    if (!cpu->attention)
        return true;
    if (cpu->debug || s->init_pending || s->smi_pending || s->nmi_pending || s->pending_debug || s->yield
        || s->activity != CPU_RUNNING || s->shadow_sti || s->shadow_mov_ss || s->dr[7] & 0xff
        || s->rflags & FLAG_TF || (cpu->interrupt_line && s->rflags & FLAG_IF)
        || exceptions_virtual_interrupt(cpu))
        return false;
    if (s->rflags & FLAG_RF) {
        if (!fetch_is_sure(cpu))
            return false; /* should the fault become #DF, that shows RF */
        s->rflags &= ~FLAG_RF;
    }
    cpu->attention = false;
    return true;
}

/* One instruction with everything that single-stepping, breakpoints of the
 * guest and interrupt shadows ask for. What waits from before it was held back
 * by the shadow of MOV SS, and is delivered behind this instruction, be it into
 * the handler that it entered; INT1 reports it. */
static void execute_watched(struct cpu *cpu, const struct block *block)
{
    struct cpu_state *s = &cpu->s;
    const struct insn *insn = &block->insns[0];
    uint64_t start = (cpu->access[CS].base + s->gpr[RIP]) & cpu->rip_mask;
    uint64_t hit = s->rflags & FLAG_RF || !(s->dr[7] & 0xff) ? 0 : debug_register_break(cpu, start);
    bool trap = s->rflags & FLAG_TF, shadowed = s->shadow_mov_ss;
    if (hit && (!shadowed || cpu_model_is_amd(cpu->model))) {
        /* On Intel's, MOV SS holds back also these; on AMD's they end its shadow,
         * and one exception reports what waited in it too. */
        hit |= s->pending_debug;
        s->pending_debug = s->shadow_sti = s->shadow_mov_ss = 0;
        debug_trap(cpu, hit);
        return;
    }
    uint64_t pending = s->pending_debug, next = s->gpr[RIP] + insn->length;
    s->pending_debug = 0;
    if (!trap && !(s->dr[7] & 0xff) && !s->shadow_sti && !shadowed)
        cpu->attention = false; /* RF alone need not hold up a string instruction */
    s->shadow_sti = s->shadow_mov_ss = 0;
    s->rflags &= ~FLAG_RF;
    bool done = execute(cpu, block, 1);
    cpu->attention = true;
    if (done && exceptions_report_debug(cpu, insn, pending))
        pending = 0;
    s->pending_debug |= pending;
    if (!done)
        return;
    if (shadowed)
        s->shadow_mov_ss = 0; /* of several loads of SS only the first has one */
    else if (s->shadow_mov_ss)
        return;
    if (trap && s->activity != CPU_SHUTDOWN && exceptions_steps(cpu, insn, next))
        s->pending_debug |= DR6_BS;
}

/* An instruction or delivery is done: breakpoints count again. */
static void debug_done(struct cpu *cpu)
{
    if (unlikely(cpu->debug != NULL))
        cpu->debug->skip_break &= ~(1ull << cpu->s.index);
}

/* Whether to stop before this block (or cut it) for the debugger. */
static bool stop_for_debugger(struct cpu *cpu, const struct block *block, uint32_t *limit)
{
    struct debug_points *debug = cpu->debug;
    uint64_t linear = (cpu->access[CS].base + cpu->s.gpr[RIP]) & cpu->rip_mask;
    bool skip = debug->skip_break >> cpu->s.index & 1;
    debug_done(cpu);
    debug->start = cpu->s.gpr[RIP];
    if (!debug_breaks_in(cpu, linear, block->bytes))
        return false;
    *limit = 1;
    if (!debug_breaks_at(cpu, linear) || skip)
        return false;
    debug->hit = true;
    debug->what = (struct debug_point){ linear, 1, DEBUG_BREAK };
    debug->hit_cpu = cpu->s.index;
    debug->hit_address = linear;
    return true;
}

/* A block ran. A repeated string instruction that is to go on is no new one. */
static void note_block(struct cpu *cpu, const struct block *block)
{
    struct debug_points *debug = cpu->debug;
    bool repeats = block && block->insns[0].attributes & STRING && cpu->s.gpr[RIP] == debug->start;
    if (repeats)
        debug->skip_break |= 1ull << cpu->s.index;
    if (!debug->blocks || repeats)
        return;
    cpu->attention = true;
    debug->blocks_done = --debug->blocks == 0;
}

/* Runs a translation that starts with `block`. False: the interpreter is to. */
static bool run_translated(struct cpu *cpu, struct block *block)
{
    struct engine_translator *translator = &cpu->engine->translator;
    if (!block->translation && block->heat + 1 < translator->threshold) {
        block->heat++;
        return false;
    }
    switch (translator->run(translator->context, cpu, block)) {
    case TRANSLATED_NOT: return false;
    case TRANSLATED_RAN: return true;
    case TRANSLATED_FAULT: break;
    }
    engine_deliver(cpu);
    return true;
}

static enum cpu_exit leave(struct cpu *cpu, enum cpu_exit exit)
{
    cpu->s.rflags = flags_to_rflags(cpu);
    cpu->engine->instructions += (uint64_t)(cpu->budget - cpu->remaining);
    return exit;
}

enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget)
{
    struct block *block = NULL;
    cpu->budget = cpu->remaining = budget > INT64_MAX ? INT64_MAX : (int64_t)budget;
    cpu->attention = true;
    if (cpu->bus.ns_per_instruction)
        cpu->slice_ns = cpu->bus.virtual_ns(cpu->bus.context, cpu);
    flags_put(cpu, cpu->s.rflags);
    for (bool first = true; cpu->remaining > 0; first = false) {
        uint32_t limit = BLOCK_INSNS_MAXIMUM;
        bool watched = false;
        if (unlikely(cpu->attention)) {
            /* The turn ends here also with an interrupt waiting: an isolated
             * replay, which is told of it later, cannot know. */
            if (cpu->s.activity == CPU_HALTED && !first)
                return leave(cpu, CPU_EXIT_HALTED);
            switch (attend(cpu, &limit)) {
            case STEP_RUN: break;
            case STEP_AGAIN: block = NULL; debug_done(cpu); continue;
            case STEP_HALTED: return leave(cpu, CPU_EXIT_HALTED);
            case STEP_SHUTDOWN: return leave(cpu, CPU_EXIT_SHUTDOWN);
            case STEP_YIELD: return leave(cpu, CPU_EXIT_YIELD);
            case STEP_DEBUG: return leave(cpu, CPU_EXIT_DEBUG);
            }
            watched = limit == 1;
        }
        block = next_block(cpu, block, &limit);
        if (unlikely(!block)) {
            engine_deliver(cpu);
            debug_done(cpu);
            continue;
        }
        if (unlikely(cpu->debug != NULL) && stop_for_debugger(cpu, block, &limit))
            return leave(cpu, CPU_EXIT_DEBUG);
        if (unlikely(watched)) {
            execute_watched(cpu, block);
        } else if (cpu->engine->translator.context && limit == BLOCK_INSNS_MAXIMUM && !cpu->debug
                   && run_translated(cpu, block)) {
            block = NULL;
            continue;
        } else if (unlikely(!execute(cpu, block, limit))) {
            block = NULL;
        }
        if (unlikely(cpu->debug != NULL))
            note_block(cpu, block);
    }
    return leave(cpu, CPU_EXIT_BUDGET);
}

void cpu_end_slice(struct cpu *cpu)
{
    int64_t extra = cpu->remaining;
    if (cpu->current) {
        cpu_end_block(cpu);
        extra += (int64_t)cpu->block_count - (cpu->current + 1 - cpu->block_start);
    }
    if (extra > 0) {
        cpu->budget -= extra;
        cpu->remaining -= extra;
    }
}
