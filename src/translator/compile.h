/*
 * What the files that compile a translation share. One struct compile exists
 * meanwhile; lowering functions emit the code of one instruction each.
 *
 * A translation takes one block or a chain of several in one page that are run
 * one after the other as a rule; where a branch goes elsewhere, it leaves.
 *
 * Host registers while translated code runs:
 *   RSP        the vCPU (struct cpu), with room for a stack below it
 *   RAX RCX RDX RBX RBP RSI RDI R8 R9 R12 R13
 *              the guest's registers of the same number
 *   R15        the guest's RSP
 *   R14        instructions left in the slice (cpu->remaining)
 *   R10 R11    scratch inside one instruction
 * The guest's R10, R11, R14 and R15 stay in memory.
 */
#ifndef TRANSLATOR_COMPILE_H
#define TRANSLATOR_COMPILE_H

#include <stddef.h>

#include "cpu/cpu.h"
#include "cpu/engine.h"
#include "cpu/opcode.h"
#include "translator/emit.h"
#include "translator/flags.h"
#include "translator/group.h"
#include "translator/window.h"

#define SCRATCH HOST_R11
#define SCRATCH2 HOST_R10
#define REMAINING HOST_R14
#define VCPU HOST_RSP

#define PLACE(field) ((int32_t)offsetof(struct cpu, field))
#define IN_VCPU(field) operand_memory(VCPU, PLACE(field))

/* The x87 instruction pointer that a lowered instruction did not store yet. */
struct pending_fip {
    bool any;
    uint64_t address;
};

/* Code out of line for one instruction. */
#define SLOW_JUMPS 5
struct slow_path {
    uint8_t *from[SLOW_JUMPS + 1]; /* displacements of jumps to it; then NULL */
    uint8_t *resume;
    uint16_t insn;
    uint8_t load;        /* loads only so many bytes: the value comes in SCRATCH, code goes on at `resume` */
    bool needed;         /* flags must be right in it */
    uint8_t *vectors_from, *vectors_resume; /* XMM registers are to be loaded */
    uint8_t *wide_from, *wide_resume;       /* YMM registers */
    uint8_t *x87_from, *x87_resume;         /* the same of the x87's state */
    uint8_t *bad_target; /* where the address of this path is to be written, for a time ... */
    bool by_edge;        /* or it is to be known of the edge `bad_edge` ... */
    uint16_t bad_edge;
    int32_t undo;        /* ... when RSP is this much too high */
    uint8_t *refused;    /* jump to where the handler does it, and the interpreter goes on */
    struct pending_fip fip; /* to be stored before anything looks */
    struct flags_state before, after;
};

struct translator;
struct translation;

/* What a translation is made for, besides its place and MMU index. (kind.c) */
struct kind {
    uint32_t cs_base, cs_limit; /* 0 in 64-bit code */
    uint8_t code_bytes;   /* 2, 4, 8 */
    uint8_t stack_bytes;  /* the size of rSP in pushes: 2, 4, 8 */
    uint8_t flat;         /* DS and SS: base 0, no limit but 4 GiB */
    uint8_t la57;
};

/* The linear address of code. */
static inline uint64_t kind_linear(const struct kind *kind, uint64_t rip)
{
    return kind->code_bytes == 8 ? rip : (uint32_t)(kind->cs_base + rip);
}

#define PARTS_MAXIMUM 8 /* blocks of a chain, with INSNS_MAXIMUM instructions at most */
#define EDGES_OF_TRANSLATION (PARTS_MAXIMUM + 2 + TRANSLATED_GROUPS)

/* A block of the chain. */
struct part {
    const struct block *block;
    uint64_t rip;
    uint16_t before; /* instructions of the blocks before it */
    bool taken;      /* the chain goes on where its conditional branch jumps to */
};

/* Which accesses of a translation may share a check (group.c). Where a check fails, the
 * next translation goes on. */
enum grouping {
    GROUPS_WIDE,
    GROUPS_PARTED, /* not across a border of pages, as registers are when it is made */
    GROUPS_NONE,   /* a plain translation: no chain either */
};

/* A branch out of the middle of a chain. */
struct side_exit {
    uint8_t *from;   /* displacement of the jump */
    struct flags_state flags;
    struct pending_fip fip;
    uint64_t target;
    uint16_t rest;   /* instructions that were charged and do not run */
    uint8_t grouping; /* of the translation that goes on */
};

/* What an instruction does with flags. */
struct flags_use {
    uint16_t read, killed; /* those that it surely sets */
    bool seen;             /* it may leave translated code or call a handler */
};

/* The same of all instructions of a row, as far as it can be said. */
struct row_flags {
    struct flags_use use;
    bool counts;           /* the count is a constant, and `use` for others than 0 */
    bool memory;           /* ModRM may name memory that is looked at */
    bool one;              /* of the one-byte map */
    uint8_t quiet_below;   /* in registers it neither leaves nor calls, with a lower extension */
};

/* Lowers the current instruction, or returns false. */
typedef bool lowering(struct compile *c);

/* All that is known of a row once and for all. */
struct row_facts {
    const struct opcode_row *row;
    lowering *lower;           /* of a general instruction that is no branch; or NULL */
    bool modrm;
    struct row_flags flags;
    struct row_access access;
};

struct compile {
    struct emitter e;
    struct translator *translator;
    struct translation *translation;
    const struct kind *kind;
    const struct row_facts *rows; /* and behind them for undefined instructions */
    unsigned index;           /* enum mmu_index; the last instruction may change it */
    unsigned part_count, count; /* blocks, instructions in all */
    uint8_t *loop;            /* where it begins behind the charge of its entry */
    bool left;                /* the code of the last instruction has gone elsewhere */
    enum grouping grouping;
    const struct cpu *cpu;    /* as it is before the first instruction; NULL: not known */
    bool trouble;             /* a group is not used as foreseen, or none is parted: once more, plain */
    bool vectors;             /* XMM registers are known to be in the host's */
    bool wide;                /* and their upper halves */
    bool x87;                 /* and the x87's state */
    /* The current instruction, and the block that it is in */
    const struct insn *insn;
    const struct opcode_row *row;
    unsigned number;          /* of insn in the chain */
    const struct part *part;
    uint64_t linear, rip;     /* of the block */
    struct flags_state flags;
    struct pending_fip fip;
    uint8_t held[2];          /* what SCRATCH and SCRATCH2 hold (scratch.h) */
    bool windows;             /* places that access memory get windows */
    unsigned look_count, miss_count; /* looks into the TLB that could have one; that do */
    bool keeps;               /* the current instruction tells of guest registers that it changes there */
    unsigned slow_count, edge_count, exit_count;
    /* Lists. They are not cleared when a translation begins (compile_begin). */
    struct part parts[PARTS_MAXIMUM];
    const struct insn *insns[INSNS_MAXIMUM];
    const struct row_facts *facts[INSNS_MAXIMUM];
    uint8_t part_of[INSNS_MAXIMUM];
    struct flags_use flags_use[INSNS_MAXIMUM];
    uint16_t need[INSNS_MAXIMUM + 1]; /* flags that someone may look at before each instruction */
    struct accesses accesses;
    struct slow_path slow[2 * INSNS_MAXIMUM];
    struct window_miss misses[WINDOWS_OF_TRANSLATION];
    struct compile_edge {
        uint8_t *from;     /* displacement of the jump; NULL: an indirect one */
        struct flags_state flags;
        uint64_t target;
        uint8_t *bad_target; /* code for one that is not canonical; or NULL */
        bool checked;
        uint8_t grouping, index;     /* enum mmu_index of the target */
    } edges[EDGES_OF_TRANSLATION];
    struct side_exit exits[EDGES_OF_TRANSLATION];
};

/* Guest registers */

#define UNPINNED_REGISTERS (1u << R10 | 1u << R11 | 1u << R14 | 1u << R15)

static inline bool pinned(unsigned guest)
{
    return !(UNPINNED_REGISTERS >> guest & 1);
}
static inline unsigned host_of(unsigned guest)
{
    return guest == RSP ? HOST_R15 : guest;
}
/* Where a register is in the vCPU, if it is in memory. */
static inline int32_t guest_place(unsigned guest)
{
    return (int32_t)(offsetof(struct cpu, s.gpr) + 8 * guest);
}
/* The register, or its place in memory. */
static inline struct host_operand guest_operand(unsigned guest)
{
    return pinned(guest) ? operand_register(host_of(guest)) : operand_memory(VCPU, guest_place(guest));
}

/* The row of an instruction; one that fits nothing for an undefined one. */
static inline const struct opcode_row *row_of(const struct insn *insn)
{
    static const struct opcode_row undefined = { .name = "", .map = MAP_COUNT };
    return insn->row < opcode_row_count ? &opcode_rows[insn->row] : &undefined;
}

/* Whether the r/m operand is in memory. */
static inline bool row_in_memory(const struct row_facts *facts, const struct insn *insn)
{
    return facts->modrm & (insn->modrm < 0xc0);
}

/* NOPs and prefetches. */
insn_handler exec_nop;
static inline bool does_nothing(const struct insn *insn)
{
    return insn->handler == exec_nop;
}

/* The offset of the next instruction. */
static inline uint64_t insn_end(const struct compile *c)
{
    uint64_t end = c->rip + c->insn->end;
    return c->kind->code_bytes == 8 ? end : (uint32_t)end;
}
/* Whether the current instruction is the translation's last. */
static inline bool at_end(const struct compile *c)
{
    return c->number + 1 == c->count;
}
/* Flags that are looked at after the current instruction. */
static inline unsigned need_after(const struct compile *c)
{
    return c->need[c->number + 1];
}

/* Before the current instruction's code: sees to it that flags which someone
 * needs later are not lost when it overwrites guest registers (a mask) and, if
 * `clobbers`, the host's flags. */
static inline void flags_prepare(struct compile *c, unsigned written, bool clobbers)
{
    if (c->need[c->number])
        flags_keep(c, written, clobbers);
    else
        c->flags.live &= !clobbers;
}
/* After it: recipes with overwritten registers are void. */
static inline void flags_overwritten(struct compile *c, unsigned written)
{
    if (c->flags.recipe != RECIPE_NONE)
        flags_void_recipe(c, written);
}

#include "translator/memory.h"

/* stack.c: rSP, as wide as the stack is, becomes `from` + distance. */
void stack_move(struct compile *c, unsigned from, int32_t distance);

/* integer.c: what lowers a row's instructions; NULL: nothing there. */
lowering *integer_lowering(const struct opcode_row *row);
/* bits.c, vector.c, avx.c, x87.c, branch.c: lower the current instruction, or return false. */
bool lower_bits(struct compile *c);
bool lower_vector(struct compile *c);
bool lower_mxcsr(struct compile *c, bool load);
bool lower_avx(struct compile *c);
bool lower_x87(struct compile *c);
bool lower_branch(struct compile *c);
/* strings.c: a repeated string instruction */
bool lower_repeated(struct compile *c);

/* Whether lower_branch lowers the branch `insn`, which ends at `end`, so that
 * translated code can go on behind it: *target is where it jumps to, *fallthrough
 * whether it may also not jump. */
bool branch_continues(const struct compile *c, const struct insn *insn, uint64_t end, uint64_t *target,
                      bool *fallthrough);

/* chain.c: fills c->parts and c->insns from c->translation's block on, with blocks that are kept. */
void chain_make(struct compile *c);

/* block.c: for branch.c */

/* A jump out of the middle of the chain. */
void compile_side_exit(struct compile *c, enum condition condition, uint64_t target);
/* A jump before the current instruction has done anything goes to a more cautious
 * translation (enum grouping) from there on; its displacement is to be stored at the
 * place that is returned. */
uint8_t **compile_cautious_exit(struct compile *c);

/* Whether a jump to `target` goes back to where this translation begins, and finds
 * there what it relies on. */
bool compile_comes_back(const struct compile *c, uint64_t target);
/* Ends the translation with such a jump, and one to `next` if the condition does not
 * hold. */
void compile_loop(struct compile *c, enum condition condition, uint64_t next);
/* Emits a jump to the block at `target`; `condition` CONDITION_* or -1. */
void compile_edge(struct compile *c, int condition, uint64_t target, bool checked);
/* Jumps to the block at the offset in SCRATCH, after flags_defer. CS has the offset,
 * or memory_bad_target was called. */
void compile_indirect(struct compile *c);
/* Calls a piece that runs the current instruction's handler; flags are at home then. */
void compile_call(struct compile *c, const uint8_t *piece);
/* Runs the current instruction through its handler. */
void compile_fallback(struct compile *c);
/* Tells the blocks that follow how to get at the flags. */
void compile_fixup(struct compile *c);
/* The same before compile_indirect, behind flags_defer. */
void compile_fixup_indirect(struct compile *c);

#endif
