/*
 * One vCPU: state, what is derived from it, and its door to the machine.
 */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cpu/insn.h"
#include "cpu/physmem.h"
#include "cpu/registers.h"
#include "cpu/state.h"
#include "cpu/tlb.h"
#include "util/bits.h"

struct engine;
struct block;
struct debug_points;

enum vector {
    VECTOR_DE = 0, VECTOR_DB = 1, VECTOR_NMI = 2, VECTOR_BP = 3, VECTOR_OF = 4, VECTOR_BR = 5,
    VECTOR_UD = 6, VECTOR_NM = 7, VECTOR_DF = 8, VECTOR_TS = 10, VECTOR_NP = 11, VECTOR_SS = 12,
    VECTOR_GP = 13, VECTOR_PF = 14, VECTOR_MF = 16, VECTOR_AC = 17, VECTOR_MC = 18, VECTOR_XM = 19,
    /* None: the instruction does not run until an interrupt came (x87 errors
     * with CR0.NE = 0). */
    VECTOR_WAIT = 0xff,
};

/* The exception that a handler raised. */
struct exception {
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t address; /* #PF: goes to CR2 on delivery; #DB: bits for DR6 */
};

/*
 * The vCPU's way out, filled by the machine. The instruction count is exact
 * at each call (cpu_retired). MMIO never crosses a page and has 1, 2, 4 or 8
 * bytes; wider accesses are split by the caller.
 */
struct cpu_bus {
    void *context;
    uint64_t (*port_read)(void *context, struct cpu *cpu, uint16_t port, unsigned bytes);
    void (*port_write)(void *context, struct cpu *cpu, uint16_t port, uint64_t value, unsigned bytes);
    uint64_t (*mmio_read)(void *context, struct cpu *cpu, uint64_t address, unsigned bytes);
    void (*mmio_write)(void *context, struct cpu *cpu, uint64_t address, uint64_t value, unsigned bytes);
    int (*interrupt_acknowledge)(void *context, struct cpu *cpu); /* vector, -1: gone */
    /* MSRs that devices own (APIC_BASE, x2APIC range, TSC_DEADLINE): 0, or -1 for #GP(0). */
    int (*msr_read)(void *context, struct cpu *cpu, uint32_t msr, uint64_t *value);
    int (*msr_write)(void *context, struct cpu *cpu, uint32_t msr, uint64_t value);
    uint64_t (*tpr_read)(void *context, struct cpu *cpu); /* CR8 */
    void (*tpr_write)(void *context, struct cpu *cpu, uint64_t value);
    uint64_t (*virtual_ns)(void *context, struct cpu *cpu); /* now, exact */
    uint64_t ns_per_instruction; /* what it grows by in a slice; 0: it is to be asked each time */
    uint64_t (*random)(void *context, struct cpu *cpu);
    /* The level of FERR# with CR0.NE = 0; returns whether IGNNE# is asserted. */
    bool (*fpu_error)(void *context, struct cpu *cpu, bool level);
    void (*tsc_changed)(void *context, struct cpu *cpu); /* tsc_offset was written */
    void (*initialized)(void *context, struct cpu *cpu); /* INIT was taken; may be NULL */
    /* One line for the user, once per kind: an instruction or MSR not modelled. */
    void (*notice)(void *context, struct cpu *cpu, const char *text);
};

/* What translated code keeps at fixed places beside the state. All of it is
 * without meaning between two runs of translated code. */
#define TRANSLATED_JUMPS 16384
#define TRANSLATED_GROUPS 16
struct translated {
    uint64_t host_stack;    /* of the caller */
    uint32_t flags_fixup;   /* the jump that tells how `flags` become right; 0: they are */
    uint32_t bad_target;    /* code for an indirect jump to an address that is not canonical; 0: flags_fixup's
                             * jump tells. One store sets both, then to 0 */
    uint32_t flags;         /* OF in bit 0; SF ZF AF PF CF in bits 8.. as LAHF has them */
    uint32_t carry;         /* CF before the last instruction that set the flags, in bit 0 */
    uint64_t operand;       /* of it */
    uint32_t edge;          /* the jump that left, or the translation that did not begin */
    uint64_t value;         /* given to a slow load */
    uint64_t kept[2];       /* what registers were when the flags were set */
    uint64_t addend[TRANSLATED_GROUPS]; /* of pages that a translation has checked */
    uint32_t vectors;       /* where vectors are: 0 state, 1 host (XMM), 3 host (YMM); 2, 4: state
                             * but wanted in the host (XMM, YMM) */
    uint32_t host_mxcsr;    /* of the caller */
    uint64_t target;        /* of a jump that a handler made */
    uint32_t kind;          /* number of the mode that ... */
    uint32_t kind_version;  /* ... this mode_version has; 0: not known */
    uint64_t la57;          /* of the 64-bit code that code_id is for */
    uint32_t x87;           /* where the x87's state is: 0 state, 1 host, 2 state but wanted there */
    uint32_t condition;     /* of SETcc, in bit 0 */
    uint16_t host_fcw;      /* of the caller */
    uint8_t x87_environment[14]; /* as FNSTENV stores it, 16-bit form */
    uint32_t jumps[MMU_INDEX_COUNT][TRANSLATED_JUMPS]; /* by address: code of a block */
};

/*
 * A range of linear addresses which one place in translated code may access at once,
 * without a look into the TLB that it came from. tlb_changed shuts it.
 * (translator/window.c)
 */
#define TRANSLATED_WINDOWS 16384
struct translated_window {
    uint64_t low;     /* of a narrow one (window.c): with other bits set; 0 when it is shut */
    uint64_t limit;   /* accesses to low + less than this are inside; 0: it is shut */
    uintptr_t host;   /* of low */
    uintptr_t addend; /* host - low */
};
struct translated_windows {
    struct translated_window window[TRANSLATED_WINDOWS];
    int32_t patience[TRANSLATED_WINDOWS]; /* misses until window_open is called */
    uint32_t open_count;
    uint16_t open[TRANSLATED_WINDOWS]; /* the numbers of those that are */
    uint32_t wanted;      /* one more than the number of the window that is to be opened over ... */
    uint64_t wanted_page; /* ... this page, when the TLB has it */
    uint64_t conflict;    /* 1: an entry came back to the TLB that had given way in it */
};

/* What a memory access needs of a segment; derived from struct segment, CR0,
 * EFER and CPL. An access of n bytes at `offset` passes at once when offset + n
 * <= end; an end of 0 always takes the slow check (null, expand-down,
 * unreadable). */
struct segment_access {
    uint64_t base;
    uint64_t read_end, write_end;
};

enum cpu_exit {
    CPU_EXIT_BUDGET,   /* ran as many instructions as asked */
    CPU_EXIT_HALTED,   /* HLT, MWAIT, wait for SIPI */
    CPU_EXIT_YIELD,    /* PAUSE: another vCPU should have the turn */
    CPU_EXIT_SHUTDOWN, /* triple fault */
    CPU_EXIT_DEBUG,    /* a point of the debugger */
};

struct cpu {
    struct cpu_state s;

    /* The arithmetic flags in lazy form while the CPU runs (flags.h). */
    uint64_t flags_result, flags_aux;

    struct segment_access access[SEGMENT_COUNT + 1];
    struct tlb *tlb;              /* tlbs[mmu index of the current privilege] */
    uint64_t stack_mask;          /* of RSP: 16, 32 or 64 bits of ones */
    uint64_t rip_mask;            /* 32 or 64 bits of ones */
    uint8_t code_bytes;           /* 2, 4, 8: mode of the current code segment */
    bool attention;               /* something must be looked at before the next block */
    bool multiprocessor;
    /* Level of the maskable request. The interrupt controllers drive it, and
     * again after a restore: not state, so that a replay without devices, which
     * knows of an interrupt only when it is taken, has the same state. */
    bool interrupt_line;
    uint32_t tlb_version;         /* counts drops of TLB entries and losses of rights */
    uint32_t mode_version;        /* counts changes of access[], stack_mask and code_bytes */
    struct exception exception;
    uint64_t noticed_bytes;       /* of the last undefined instruction that the user was told of */

    /* The slice. `remaining` counts what is left after the whole current
     * block; cpu_retired gives the exact count within it. */
    int64_t budget, remaining;
    uint64_t slice_ns;            /* virtual_ns at its start, if bus.ns_per_instruction is not 0 */
    const struct insn *current;   /* the instruction that runs */
    const struct insn *block_end; /* one past the last that will run in this block */
    const struct insn *block_start;
    uint32_t block_count;         /* instructions that `remaining` was charged for this block */

    /* Where instructions come from now: page of the last block. */
    uint64_t fetch_linear;        /* linear page address, TLB_INVALID: look again */
    uint32_t fetch_page;          /* backing page */

    struct physmem *memory;
    struct engine *engine;
    struct cpu_bus bus;
    const struct cpu_model *model; /* CPUID leaves and features (cpuid.h) */
    struct debug_points *debug;    /* NULL: no debugger */

    struct translated translated;
    struct translated_windows windows;
    struct tlb tlbs[MMU_INDEX_COUNT];
    uint32_t tlb_root;            /* backing page of the PML4 or PML5 that the TLBs rest on */
    uint32_t space_turn;          /* counts the spaces that were left */
    struct tlb_space spaces[TLB_SPACES];
    struct tlb_victims victims[MMU_INDEX_COUNT];
};

/* Translated code uses the memory below a vCPU as its stack. (allocate.c) */
#define CPU_STACK_BYTES (512u << 10)

/* Allocates zeroed room for a vCPU at the start of `bytes` bytes, with its stack
 * below. NULL when the host has no memory. */
struct cpu *cpu_allocate(size_t bytes);
void cpu_free(struct cpu *cpu, size_t bytes);

/* Power-on or reset (SDM vol. 3, table 9-1): index is kept; vCPU 0 runs, the
 * others wait for SIPI. INIT keeps what INIT keeps. (reset.c) */
void cpu_reset(struct cpu *cpu);
void cpu_init_signal(struct cpu *cpu);
void cpu_startup(struct cpu *cpu, uint8_t vector);

/* Runs at most `budget` (>= 1) instructions. (engine.c) */
enum cpu_exit cpu_run(struct cpu *cpu, uint64_t budget);

/* Instructions retired in the slice so far, not counting the one that runs. */
static inline uint64_t cpu_retired(const struct cpu *cpu)
{
    return (uint64_t)(cpu->budget - cpu->remaining)
           - (cpu->block_count - (uint64_t)(cpu->current - cpu->block_start));
}

/* Ends the current block after the current instruction, so that the run loop
 * looks at everything again. Any handler and any bus function may. */
static inline void cpu_end_block(struct cpu *cpu)
{
    if (cpu->block_end > cpu->current)
        cpu->block_end = cpu->current + 1;
}

/* The same, and the run loop looks at interrupts, shadows and traps. */
static inline void cpu_attention(struct cpu *cpu)
{
    cpu->attention = true;
    cpu_end_block(cpu);
}

/* The same where another instruction may stand at RIP now. If that was a string
 * instruction with iterations left, RF is set, and it ends with the new one. */
static inline void cpu_code_changed(struct cpu *cpu)
{
    if (cpu->current && cpu->current->attributes & STRING)
        cpu->attention = true;
    cpu_end_block(cpu);
}

/* Makes the slice end after the current instruction. */
void cpu_end_slice(struct cpu *cpu);

/* Brings all derived fields in line with `s` (segments, mode, privilege, lazy
 * flags) and drops translations. After s was written from outside. */
void cpu_restored(struct cpu *cpu);

/* Recomputes access[], masks, code_bytes and tlb from segments, CR0, EFER,
 * CPL, EFLAGS.AC. After any change to those. (mode.c) */
void cpu_update_mode(struct cpu *cpu);
/* The same for one segment register (and the stack mask when it is SS). */
void cpu_update_segment(struct cpu *cpu, unsigned segment);
/* The same for the privilege only: selects the TLB. */
void cpu_update_privilege(struct cpu *cpu);

/* Raises an exception: fills cpu->exception and returns CPU_FAULT. */
static inline int cpu_raise(struct cpu *cpu, enum vector vector)
{
    cpu->exception = (struct exception){ (uint8_t)vector, false, 0, 0 };
    return CPU_FAULT;
}
static inline int cpu_raise_error(struct cpu *cpu, enum vector vector, uint32_t error)
{
    cpu->exception = (struct exception){ (uint8_t)vector, true, error, 0 };
    return CPU_FAULT;
}

/* Delivers cpu->exception with RIP at the faulting instruction: through the
 * IDT, with double and triple fault. Afterwards RIP is at the handler, or the
 * activity is CPU_SHUTDOWN. (exceptions.c) */
void cpu_deliver_exception(struct cpu *cpu);
/* Delivers an external interrupt or NMI. RIP is where it is to return to. */
void cpu_deliver_interrupt(struct cpu *cpu, uint8_t vector);
/* Enters SMM. (smm.c) */
void cpu_enter_smm(struct cpu *cpu);
/* What to know of the port access of the running instruction, should an SMI be
 * its consequence: goes to smi_cause with the SMI. */
uint64_t cpu_smi_cause(const struct cpu *cpu, uint16_t port, unsigned bytes, bool in);

/* Modes, from state. */
static inline bool cpu_protected(const struct cpu *cpu) { return cpu->s.cr0 & CR0_PE; }
static inline bool cpu_long_mode(const struct cpu *cpu) { return cpu->s.efer & EFER_LMA; }
static inline bool cpu_v86(const struct cpu *cpu) { return cpu->s.rflags & FLAG_VM; }
static inline bool cpu_code64(const struct cpu *cpu) { return cpu->code_bytes == 8; }

/* Offsets of the running instruction and of the one after it. */
static inline uint64_t insn_start(const struct cpu *cpu, const struct insn *insn)
{
    return (cpu->s.gpr[RIP] + insn->end - insn->length) & cpu->rip_mask;
}
static inline uint64_t insn_next(const struct cpu *cpu, const struct insn *insn)
{
    return (cpu->s.gpr[RIP] + insn->end) & cpu->rip_mask;
}

/* Offset of the memory operand in its segment. */
static inline uint64_t insn_address(const struct cpu *cpu, const struct insn *insn)
{
    uint64_t sum = cpu->s.gpr[insn->base] + (cpu->s.gpr[insn->index] << insn->scale)
                   + (uint64_t)(int64_t)insn->disp;
    return sum & (~0ull >> insn->address_shift);
}

/* Register operands. Writes of 32 bits clear the upper half. */
static inline uint8_t register_read8(const struct cpu *cpu, unsigned byte_offset)
{
    return ((const uint8_t *)cpu->s.gpr)[byte_offset];
}
static inline uint16_t register_read16(const struct cpu *cpu, unsigned r) { return (uint16_t)cpu->s.gpr[r]; }
static inline uint32_t register_read32(const struct cpu *cpu, unsigned r) { return (uint32_t)cpu->s.gpr[r]; }
static inline uint64_t register_read64(const struct cpu *cpu, unsigned r) { return cpu->s.gpr[r]; }
static inline void register_write8(struct cpu *cpu, unsigned byte_offset, uint8_t v)
{
    ((uint8_t *)cpu->s.gpr)[byte_offset] = v;
}
static inline void register_write16(struct cpu *cpu, unsigned r, uint16_t v) { memcpy(&cpu->s.gpr[r], &v, 2); }
static inline void register_write32(struct cpu *cpu, unsigned r, uint32_t v) { cpu->s.gpr[r] = v; }
static inline void register_write64(struct cpu *cpu, unsigned r, uint64_t v) { cpu->s.gpr[r] = v; }

#endif
