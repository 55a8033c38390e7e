/*
 * What the x87 handlers share: the register stack, tags, exceptions. (SDM
 * vol. 1, chapter 8)
 *
 * Definitions of ours where CPUs differ:
 * - The state's tag word holds 0 (not empty) or 3 (empty) a register; FSTENV
 *   and FSAVE work out 1 (zero) and 2 (special) from the contents.
 * - FIP is that of the last non-control instruction. FDP and FOP are written
 *   only by an instruction that raises an unmasked exception, as CPUs with
 *   FDP_EXCPTN_ONLY (CPUID.7.EBX[6]) do. FCS and FDS are always 0, as on CPUs
 *   that deprecate them (CPUID.7.EBX[13]).
 * - Condition codes that the manual leaves undefined keep their value; C1 is
 *   cleared by every instruction that does not set it.
 */
#ifndef CPU_EXEC_X87_H
#define CPU_EXEC_X87_H

#include "cpu/cpu.h"
#include "cpu/fp.h"
#include "cpu/memory.h"

#define X87_EMPTY 3u

/* The exception that keeps an x87 instruction from running: #NM, #MF. */
int x87_unavailable(struct cpu *cpu, bool waiting);

/* An error waits: #MF, or, with CR0.NE = 0, FERR# and a wait for the
 * interrupt; 0 when IGNNE# has it ignored. */
int x87_report(struct cpu *cpu);

/* 0 if an x87 instruction may run. Waiting ones take a pending exception. */
static inline int x87_check(struct cpu *cpu)
{
    if (unlikely((cpu->s.cr0 & (CR0_EM | CR0_TS)) || (cpu->s.fsw & FSW_ES)))
        return x87_unavailable(cpu, true);
    return 0;
}

static inline int x87_check_nowait(struct cpu *cpu)
{
    if (unlikely(cpu->s.cr0 & (CR0_EM | CR0_TS)))
        return x87_unavailable(cpu, false);
    return 0;
}

/* The check of non-control instructions, which also record FIP. */
static inline int x87_begin(struct cpu *cpu, const struct insn *insn)
{
    if (x87_check(cpu))
        return CPU_FAULT;
    cpu->s.fip = insn_start(cpu, insn);
    return 0;
}

/* The control word as cpu/fp.h wants it. */
static inline uint32_t x87_control_word(const struct cpu *cpu)
{
    return cpu->s.fcw | FCW_STICKY((uint32_t)cpu->s.fsw);
}

/* Physical number of ST(i). */
static inline unsigned x87_physical(const struct cpu *cpu, unsigned i)
{
    return ((cpu->s.fsw >> FSW_TOP_SHIFT) + i) & 7;
}

static inline struct x87_register *x87_st(struct cpu *cpu, unsigned i)
{
    return &cpu->s.x87[x87_physical(cpu, i)];
}

static inline bool x87_empty(const struct cpu *cpu, unsigned i)
{
    return (cpu->s.ftw >> 2 * x87_physical(cpu, i) & 3) == X87_EMPTY;
}

static inline void x87_set_empty(struct cpu *cpu, unsigned i)
{
    cpu->s.ftw |= (uint16_t)(X87_EMPTY << 2 * x87_physical(cpu, i));
}

/* Writes ST(i), which is then not empty. */
static inline void x87_write(struct cpu *cpu, unsigned i, const struct x87_register *value)
{
    unsigned physical = x87_physical(cpu, i);
    cpu->s.ftw &= (uint16_t)~(X87_EMPTY << 2 * physical);
    cpu->s.x87[physical].significand = value->significand;
    cpu->s.x87[physical].sign_exponent = value->sign_exponent;
}

static inline void x87_set_top(struct cpu *cpu, unsigned top)
{
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~FSW_TOP) | (top & 7) << FSW_TOP_SHIFT);
}

static inline void x87_pop(struct cpu *cpu)
{
    x87_set_empty(cpu, 0);
    x87_set_top(cpu, x87_physical(cpu, 1));
}

/* TOP - 1, then writes ST(0). The caller found ST(7) empty. */
static inline void x87_push(struct cpu *cpu, const struct x87_register *value)
{
    x87_set_top(cpu, x87_physical(cpu, 7));
    x87_write(cpu, 0, value);
}

/*
 * Records `status` (exceptions, C1, SF) of an operation; sets ES and B, FOP
 * and FDP when an exception is unmasked. Returns the unmasked exceptions.
 */
unsigned x87_signal_slow(struct cpu *cpu, const struct insn *insn, unsigned status);
static inline unsigned x87_signal(struct cpu *cpu, const struct insn *insn, unsigned status)
{
    if (unlikely(status & FP_EXCEPTIONS & ~cpu->s.fcw))
        return x87_signal_slow(cpu, insn, status);
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~FSW_C1) | status);
    return 0;
}

/* Stack fault: IE, SF and C1 (overflow) or not (underflow). True when IE is
 * masked, so that the instruction goes on with the default NaN. */
static inline bool x87_underflow(struct cpu *cpu, const struct insn *insn)
{
    return !x87_signal(cpu, insn, FP_IE | FSW_SF);
}
static inline bool x87_overflow(struct cpu *cpu, const struct insn *insn)
{
    return !x87_signal(cpu, insn, FP_IE | FSW_SF | FSW_C1);
}

/* The default NaN ("real indefinite"). */
extern const struct x87_register x87_indefinite;

/* ES and B from the flags and masks, after either was loaded. */
void x87_update_summary(struct cpu *cpu);

/* FNINIT's control, status, tag words and pointers; registers are kept. */
void x87_reset(struct cpu *cpu);

/* XINUSE: the XSAVE components that differ from their initial state. MXCSR does
 * not count. */
uint64_t xsave_in_use(const struct cpu *cpu);

/* FXSAVE's tag byte: bit n set if physical register n is not empty. */
uint8_t x87_tags_abridged(const struct cpu *cpu);
void x87_set_tags_abridged(struct cpu *cpu, uint8_t tags);

#endif
