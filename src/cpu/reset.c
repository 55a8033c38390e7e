/*
 * Power-on, reset, INIT and STARTUP. (SDM vol. 3, table 9-1 and section 8.4)
 *
 * Not modelled: BIST; the difference between INIT and reset for the caches.
 */
#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/flags.h"
#include "cpu/memory.h"

#define DATA_ATTRIBUTES (SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED)
#define CODE_ATTRIBUTES (DATA_ATTRIBUTES | SEGMENT_CODE)
#define LDT_ATTRIBUTES (SEGMENT_P | 2)
#define TSS_ATTRIBUTES (SEGMENT_P | 11)
#define MISC_ENABLE_RESET 1ull /* fast strings */
#define PAT_RESET 0x0007040600070406ull
#define MTRR_RESET 0ull

/* What RESET and INIT have in common. */
static void reset_registers(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;

    memset(s->gpr, 0, sizeof s->gpr);
    s->gpr[RDX] = cpu->model ? cpu->model->signature : 0;
    s->gpr[RIP] = 0xfff0;
    s->rflags = FLAG_1;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        s->seg[i] = (struct segment){ 0, 0xffff, 0, DATA_ATTRIBUTES };
    s->seg[CS] = (struct segment){ 0xffff0000, 0xffff, 0xf000, CODE_ATTRIBUTES };
    s->ldtr = (struct segment){ 0, 0xffff, 0, LDT_ATTRIBUTES };
    s->tr = (struct segment){ 0, 0xffff, 0, TSS_ATTRIBUTES };
    s->gdtr = (struct descriptor_table){ 0, 0xffff, 0 };
    s->idtr = (struct descriptor_table){ 0, 0xffff, 0 };
    s->cr2 = s->cr3 = s->cr4 = 0;
    s->efer = 0;
    memset(s->dr, 0, sizeof s->dr);
    s->dr[6] = 0xffff0ff0;
    s->dr[7] = 0x400;
    memset(s->pdpte, 0, sizeof s->pdpte);
    s->debugctl = 0;
    s->cpl = 0;
    s->shadow_sti = s->shadow_mov_ss = 0;
    s->nmi_blocked = s->nmi_pending = 0;
    s->smi_pending = s->init_pending = 0;
    s->smm = 0;
    s->smm_debug = s->smi_cause = 0;
    s->monitor_armed = 0;
    s->monitor_address = 0;
    s->pending_debug = 0;
}

/* FPU and SSE as after power-on. */
static void reset_vectors(struct cpu_state *s)
{
    memset(s->x87, 0, sizeof s->x87);
    s->fcw = 0x0040;
    s->fsw = 0;
    s->ftw = 0x5555;
    s->fop = 0;
    s->fip = s->fdp = 0;
    s->mxcsr = 0x1f80;
    memset(s->vector, 0, sizeof s->vector);
    s->xcr0 = 1;
}

static void reset_msrs(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;

    s->star = s->lstar = s->cstar = s->sfmask = s->kernel_gs_base = 0;
    s->sysenter_cs = s->sysenter_esp = s->sysenter_eip = 0;
    s->pat = PAT_RESET;
    s->tsc_adjust = 0;
    s->tsc_aux = 0;
    s->tsc_offset = cpu->bus.virtual_ns ? -cpu->bus.virtual_ns(cpu->bus.context, cpu) : 0;
    s->misc_enable = MISC_ENABLE_RESET;
    s->mtrr_def_type = MTRR_RESET;
    memset(s->mtrr_fixed, 0, sizeof s->mtrr_fixed);
    memset(s->mtrr_base, 0, sizeof s->mtrr_base);
    memset(s->mtrr_mask, 0, sizeof s->mtrr_mask);
    s->mcg_status = s->mcg_ctl = 0;
    memset(s->mc_bank, 0, sizeof s->mc_bank);
    s->smbase = 0x30000;
    s->microcode_version = 0;
    s->spec_ctrl = 0;
    s->pkru = s->pkrs = 0;
    s->xss = 0;
}

void cpu_reset(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;

    reset_registers(cpu);
    reset_vectors(s);
    reset_msrs(cpu);
    s->cr0 = CR0_ET | CR0_CD | CR0_NW;
    s->apic_off = 0;
    s->activity = s->index == 0 ? CPU_RUNNING : CPU_WAIT_SIPI;
    cpu->interrupt_line = false;
    cpu_restored(cpu);
}

/* INIT keeps CD and NW, the MSRs, the FPU and vector state, and SMBASE. */
void cpu_init_signal(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    uint64_t cache_bits = s->cr0 & (CR0_CD | CR0_NW);

    reset_registers(cpu);
    s->cr0 = CR0_ET | cache_bits;
    s->activity = s->index == 0 ? CPU_RUNNING : CPU_WAIT_SIPI;
    if (cpu->bus.initialized)
        cpu->bus.initialized(cpu->bus.context, cpu);
    cpu_restored(cpu);
}

void cpu_startup(struct cpu *cpu, uint8_t vector)
{
    struct cpu_state *s = &cpu->s;

    if (s->activity != CPU_WAIT_SIPI)
        return;
    s->seg[CS].selector = (uint16_t)(vector << 8);
    s->seg[CS].base = (uint64_t)vector << 12;
    s->gpr[RIP] = 0;
    s->activity = CPU_RUNNING;
    cpu_update_mode(cpu);
    cpu->attention = true;
}
