/*
 * System side of the interpreter: small helpers that its files and the other
 * handlers share. Functions that return int give 0, or CPU_FAULT with
 * cpu->exception set.
 */
#ifndef CPU_SYSTEM_H
#define CPU_SYSTEM_H

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/flags.h"
#include "cpu/memory.h"

/* Returns from the calling function with what a failing step returned. */
#define TRY_FAULT(expression)                                                                      \
    do {                                                                                           \
        int fault_ = (expression);                                                                 \
        if (unlikely(fault_ != 0))                                                                 \
            return fault_;                                                                         \
    } while (0)

static inline bool cpu_has(const struct cpu *cpu, enum cpu_feature feature)
{
    return cpu_model_has(cpu->model, feature);
}

/* Protected mode proper: descriptors rule, neither real nor virtual-8086. */
static inline bool cpu_uses_descriptors(const struct cpu *cpu)
{
    return (cpu->s.cr0 & CR0_PE) && !(cpu->s.rflags & FLAG_VM);
}

/* Whether an access may use the address: canonical for the paging mode. */
static inline bool cpu_canonical(const struct cpu *cpu, uint64_t linear)
{
    unsigned unused = cpu->s.cr4 & CR4_LA57 ? 7 : 16;
    return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

/* Whether a base register, an MSR or INVPCID takes the address: canonical for
 * the widest paging mode that the processor has, whatever CR4.LA57 says. */
static inline bool cpu_canonical_base(const struct cpu *cpu, uint64_t linear)
{
    unsigned unused = 64 - cpu->model->linear_bits;
    return (uint64_t)((int64_t)(linear << unused) >> unused) == linear;
}

static inline unsigned cpu_iopl(const struct cpu *cpu)
{
    return cpu->s.rflags >> 12 & 3;
}

static inline int cpu_raise_gp0(struct cpu *cpu)
{
    return cpu_raise_error(cpu, VECTOR_GP, 0);
}

/* #GP(0) unless at privilege 0: first in every handler of a PRIVILEGED row. */
static inline int cpu_need_cpl0(struct cpu *cpu)
{
    return likely(cpu->s.cpl == 0) ? 0 : cpu_raise_gp0(cpu);
}

/* #GP(0) for programs where CR4.UMIP hides the system's registers from them. */
static inline int cpu_check_umip(struct cpu *cpu)
{
    return (cpu->s.cr4 & CR4_UMIP) && cpu->s.cpl > 0 ? cpu_raise_gp0(cpu) : 0;
}

/* memory_system_read of 1..128 bytes, with the TLB looked up in line. */
static inline int system_read(struct cpu *cpu, uint64_t linear, void *value, unsigned bytes)
{
    if (!cpu_long_mode(cpu))
        linear &= 0xffffffff;
    const struct tlb_entry *entry =
        &cpu->tlbs[MMU_SUPERVISOR].entry[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)];
    if (unlikely(((linear + bytes - 1) & ~(uint64_t)PAGE_MASK) != entry->read_tag))
        return memory_system_read(cpu, linear, value, bytes);
    memcpy(value, (const uint8_t *)(uintptr_t)(linear + entry->addend), bytes);
    return 0;
}

/* memory_write_as and memory_read_as for `cpl`, with the TLB looked up in line. */
static inline int system_write_as(struct cpu *cpu, unsigned cpl, uint64_t linear, const void *value,
                                  unsigned bytes)
{
    const struct tlb_entry *entry = &cpu->tlbs[cpl == 3 ? MMU_USER : MMU_SUPERVISOR]
                                         .entry[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)];
    if (unlikely(((linear + bytes - 1) & ~(uint64_t)PAGE_MASK) != entry->write_tag))
        return memory_write_as(cpu, cpl, linear, value, bytes);
    memcpy((uint8_t *)(uintptr_t)(linear + entry->addend), value, bytes);
    return 0;
}
static inline int system_read_as(struct cpu *cpu, unsigned cpl, uint64_t linear, void *value,
                                 unsigned bytes)
{
    const struct tlb_entry *entry = &cpu->tlbs[cpl == 3 ? MMU_USER : MMU_SUPERVISOR]
                                         .entry[(linear >> PAGE_SHIFT) & (TLB_ENTRIES - 1)];
    if (unlikely(((linear + bytes - 1) & ~(uint64_t)PAGE_MASK) != entry->read_tag))
        return memory_read_as(cpu, cpl, linear, value, bytes);
    memcpy(value, (const uint8_t *)(uintptr_t)(linear + entry->addend), bytes);
    return 0;
}

/* After IF, TF, RF or the blocking of NMIs may have changed: has the run loop look
 * when there is something to look at. */
static inline void cpu_events_unmasked(struct cpu *cpu)
{
    const struct cpu_state *s = &cpu->s;
    const uint64_t both = FLAG_VIF | FLAG_VIP;
    if ((s->rflags & (FLAG_TF | FLAG_RF)) || (s->rflags & both) == both
        || ((s->rflags & FLAG_IF) && cpu->interrupt_line)
        || s->nmi_pending || s->smi_pending || s->init_pending)
        cpu_attention(cpu);
}

/* After CPL or CR3 changed: whether this page's code may be fetched is to be found
 * out anew. (mmu_flush does it, too.) */
static inline void cpu_refetch(struct cpu *cpu)
{
    cpu->fetch_linear = TLB_INVALID;
}

/* May the current privilege use ports port..port+bytes-1 (IOPL, virtual-8086
 * mode, I/O bitmap of the TSS)? #GP(0) when not. (debugreg.c) */
int cpu_check_io(struct cpu *cpu, uint16_t port, unsigned bytes);

/* Whether DR7 enables any breakpoint; then instructions and accesses are
 * matched (debug.c). */
static inline bool cpu_debug_registers_active(const struct cpu *cpu)
{
    return cpu->s.dr[7] & 0xff;
}

/* Notes the guest's I/O breakpoints that an access to a port meets, for the
 * next boundary. (debugreg.c) */
void debug_register_io(struct cpu *cpu, uint16_t port, unsigned bytes);
static inline void cpu_note_io(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    if (unlikely(cpu_debug_registers_active(cpu)))
        debug_register_io(cpu, port, bytes);
}

/* Time-stamp counter now. (msr.c) */
uint64_t cpu_tsc(struct cpu *cpu);

/* Writes of the control registers with all checks and consequences; used by
 * MOV, LMSW and task switches. (control.c) */
int control_write_cr0(struct cpu *cpu, uint64_t value);
int control_write_cr3(struct cpu *cpu, uint64_t value);
int control_write_cr4(struct cpu *cpu, uint64_t value);
int control_write_efer(struct cpu *cpu, uint64_t value);

/* The bits that CR3 may have in long mode. */
uint64_t control_cr3_valid(const struct cpu *cpu);

/* PKRU and IA32_PKRS, with what depends on them. */
void control_set_pkru(struct cpu *cpu, uint32_t value);
void control_set_pkrs(struct cpu *cpu, uint32_t value);

#endif
