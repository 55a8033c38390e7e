/*
 * Architectural state of one vCPU: plain data, the snapshot section and what
 * is digested. Everything else in struct cpu is derived from it and from
 * memory. Names follow the Intel SDM.
 */
#ifndef CPU_STATE_H
#define CPU_STATE_H

#include <stdint.h>

enum cpu_register {
    RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15,
    /* Between instructions: the instruction pointer. While a block runs: the
     * offset of the block's first instruction (see insn.h). */
    RIP,
    /* Always 0: the base or index of an address that has none. */
    REGISTER_ZERO,
    REGISTER_COUNT
};

enum segment_register { ES, CS, SS, DS, FS, GS, SEGMENT_COUNT };
/* The seventh entry of cpu->access: base 0, no limit. ES, CS, SS and DS of
 * 64-bit code, and linear addresses. */
#define SEGMENT_FLAT 6

/* The low 16 bits of a descriptor's second word from bit 8, as VMX has them. */
#define SEGMENT_TYPE 0x000f
#define SEGMENT_ACCESSED 0x0001
#define SEGMENT_WRITABLE 0x0002    /* data */
#define SEGMENT_READABLE 0x0002    /* code */
#define SEGMENT_EXPAND_DOWN 0x0004 /* data */
#define SEGMENT_CONFORMING 0x0004  /* code */
#define SEGMENT_CODE 0x0008
#define SEGMENT_S 0x0010           /* code or data, not system */
#define SEGMENT_DPL_SHIFT 5
#define SEGMENT_P 0x0080
#define SEGMENT_AVL 0x1000
#define SEGMENT_L 0x2000
#define SEGMENT_DB 0x4000
#define SEGMENT_G 0x8000

struct segment {
    uint64_t base;
    uint32_t limit;      /* last offset, granularity already applied */
    uint16_t selector;
    uint16_t attributes; /* SEGMENT_*; P clear: a null selector was loaded */
};

struct descriptor_table {
    uint64_t base;
    uint32_t limit;
    uint32_t pad;
};

/* An x87 register: 64-bit significand, then sign and exponent. */
struct x87_register {
    uint64_t significand;
    uint16_t sign_exponent;
    uint8_t pad[6];
};

enum cpu_activity {
    CPU_RUNNING,
    CPU_HALTED,      /* HLT or MWAIT: an interrupt, NMI, SMI or INIT wakes it */
    CPU_WAIT_SIPI,   /* INIT was received; only STARTUP wakes it */
    CPU_SHUTDOWN,    /* triple fault */
};

struct cpu_state {
    uint64_t gpr[REGISTER_COUNT];
    uint64_t rflags; /* the six arithmetic flags are current only while the CPU is stopped */
    struct segment seg[SEGMENT_COUNT];
    struct segment ldtr, tr;
    struct descriptor_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, xcr0;
    uint64_t dr[8]; /* 4 and 5 unused */
    uint64_t pdpte[4]; /* PAE: loaded with CR3 */
    /* MSRs */
    uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_offset /* TSC = virtual ns + this */, tsc_adjust, tsc_aux;
    uint64_t misc_enable, debugctl, mtrr_def_type, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    uint64_t mcg_status, mcg_ctl, mc_bank[4][4], smbase, microcode_version, spec_ctrl, pkru, xss;
    /* Floating point and vectors */
    struct x87_register x87[8]; /* physical registers R0..R7 */
    uint16_t fcw, fsw, ftw /* full tag word, 2 bits a physical register */, fop;
    uint64_t fip, fdp;
    uint32_t pad_x87; /* the selectors of FIP and FDP are 0: CPUID.7.EBX[13] */
    uint32_t mxcsr;
    uint8_t pad_vector[16];
    uint8_t vector[16][32] __attribute__((aligned(32))); /* YMM: XMM is the low half */
    /* Control of the interpreter's flow */
    uint32_t index;             /* number of this vCPU; initial APIC id */
    uint8_t cpl;
    uint8_t activity;           /* enum cpu_activity */
    uint8_t shadow_sti;         /* interrupts are inhibited for one instruction */
    uint8_t shadow_mov_ss;      /* the same, and debug traps with them */
    uint8_t nmi_blocked;        /* until IRET */
    uint8_t nmi_pending;        /* how many: see machine_cpu_nmi */
    uint8_t smi_pending;
    uint8_t init_pending;
    uint8_t apic_off;           /* IA32_APIC_BASE says so: CPUID shows no APIC */
    uint8_t smm;                /* in SMM; 2: NMIs were blocked before */
    uint8_t yield;              /* a PAUSE was executed and other vCPUs exist: give up the turn */
    uint8_t monitor_armed;
    uint64_t monitor_address;
    uint64_t pending_debug;     /* DR6 bits to report at the next boundary */
    uint64_t smm_debug;         /* pending_debug of what an SMI interrupted */
    uint64_t smi_cause;         /* cpu_smi_cause of the pending SMI */
    uint64_t pkrs;              /* IA32_PKRS */
    uint8_t pad[8];
};

_Static_assert(sizeof(struct cpu_state) % 32 == 0, "no implicit tail padding");

#endif
