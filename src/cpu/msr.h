/*
 * Model-specific registers. (SDM vol. 4)
 */
#ifndef CPU_MSR_H
#define CPU_MSR_H

#include "cpu/system.h"

enum msr {
    MSR_TSC = 0x10, MSR_PLATFORM_ID = 0x17, MSR_APIC_BASE = 0x1b, MSR_FEATURE_CONTROL = 0x3a,
    MSR_TSC_ADJUST = 0x3b, MSR_SPEC_CTRL = 0x48, MSR_PRED_CMD = 0x49, MSR_UPDATE_TRIGGER = 0x79,
    MSR_MICROCODE_VERSION = 0x8b, MSR_SMBASE = 0x9e, MSR_PLATFORM_INFO = 0xce,
    MSR_MTRR_CAP = 0xfe, MSR_ARCH_CAPABILITIES = 0x10a, MSR_MISC_FEATURES = 0x140,
    MSR_SYSENTER_CS = 0x174, MSR_SYSENTER_ESP = 0x175, MSR_SYSENTER_EIP = 0x176,
    MSR_MCG_CAP = 0x179, MSR_MCG_STATUS = 0x17a, MSR_MCG_CTL = 0x17b, MSR_MISC_ENABLE = 0x1a0,
    MSR_DEBUGCTL = 0x1d9, MSR_LAST_BRANCH_FROM = 0x1db, MSR_LAST_BRANCH_TO = 0x1dc,
    MSR_LAST_INT_FROM = 0x1dd, MSR_LAST_INT_TO = 0x1de, MSR_MTRR_BASE0 = 0x200, MSR_MTRR_FIX64K = 0x250,
    MSR_MTRR_FIX16K_80000 = 0x258, MSR_MTRR_FIX16K_A0000 = 0x259, MSR_MTRR_FIX4K_C0000 = 0x268,
    MSR_PAT = 0x277, MSR_MTRR_DEF_TYPE = 0x2ff, MSR_MC0_CTL = 0x400, MSR_TSC_DEADLINE = 0x6e0,
    MSR_PKRS = 0x6e1,
    MSR_X2APIC_FIRST = 0x800, MSR_X2APIC_LAST = 0x8ff, MSR_XSS = 0xda0,
};
/* Beyond the range of int. */
#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_CSTAR 0xc0000083u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_TSC_AUX 0xc0000103u

/* Reads or writes MSR `number`: 0, or CPU_FAULT with #GP(0). */
int msr_read(struct cpu *cpu, uint32_t number, uint64_t *value);
int msr_write(struct cpu *cpu, uint32_t number, uint64_t value);

#endif
