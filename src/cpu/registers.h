/*
 * The bits of flags, control and debug registers, and of page-table entries.
 * (SDM vol. 1, 3.4.3; vol. 3, 2.5, 4.5 and 17.2)
 */
#ifndef CPU_REGISTERS_H
#define CPU_REGISTERS_H

/* RFLAGS */
#define FLAG_CF 0x0001ull
#define FLAG_1 0x0002ull
#define FLAG_PF 0x0004ull
#define FLAG_AF 0x0010ull
#define FLAG_ZF 0x0040ull
#define FLAG_SF 0x0080ull
#define FLAG_TF 0x0100ull
#define FLAG_IF 0x0200ull
#define FLAG_DF 0x0400ull
#define FLAG_OF 0x0800ull
#define FLAG_IOPL 0x3000ull
#define FLAG_NT 0x4000ull
#define FLAG_RF 0x10000ull
#define FLAG_VM 0x20000ull
#define FLAG_AC 0x40000ull
#define FLAG_VIF 0x80000ull
#define FLAG_VIP 0x100000ull
#define FLAG_ID 0x200000ull
#define FLAGS_ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* CR0, CR3, CR4, EFER */
#define CR0_PE 0x1ull
#define CR0_MP 0x2ull
#define CR0_EM 0x4ull
#define CR0_TS 0x8ull
#define CR0_ET 0x10ull
#define CR0_NE 0x20ull
#define CR0_WP 0x10000ull
#define CR0_AM 0x40000ull
#define CR0_NW 0x20000000ull
#define CR0_CD 0x40000000ull
#define CR0_PG 0x80000000ull
#define CR3_PCID 0xfffull
#define CR3_LAM_U57 (1ull << 61)
#define CR3_LAM_U48 (1ull << 62)
#define CR4_VME 0x1ull
#define CR4_PVI 0x2ull
#define CR4_TSD 0x4ull
#define CR4_DE 0x8ull
#define CR4_PSE 0x10ull
#define CR4_PAE 0x20ull
#define CR4_MCE 0x40ull
#define CR4_PGE 0x80ull
#define CR4_PCE 0x100ull
#define CR4_OSFXSR 0x200ull
#define CR4_OSXMMEXCPT 0x400ull
#define CR4_UMIP 0x800ull
#define CR4_LA57 0x1000ull
#define CR4_FSGSBASE 0x10000ull
#define CR4_PCIDE 0x20000ull
#define CR4_OSXSAVE 0x40000ull
#define CR4_SMEP 0x100000ull
#define CR4_SMAP 0x200000ull
#define CR4_PKE 0x400000ull
#define CR4_PKS 0x1000000ull
#define CR4_LAM_SUP 0x10000000ull
#define EFER_SCE 0x1ull
#define EFER_LME 0x100ull
#define EFER_LMA 0x400ull
#define EFER_NXE 0x800ull

/* DR6, DR7, IA32_DEBUGCTL */
#define DR6_HITS 0xfull     /* B0..B3 */
#define DR6_BD (1ull << 13) /* general detect */
#define DR6_BS (1ull << 14) /* single step */
#define DR6_BT (1ull << 15) /* task switch */
#define DR7_GD (1ull << 13)
#define DEBUGCTL_LBR 0x1ull
#define DEBUGCTL_BTF 0x2ull

/* Entries of page tables, 32 and 64 bits wide */
#define PTE_P 0x1ull
#define PTE_W 0x2ull
#define PTE_U 0x4ull
#define PTE_A 0x20ull
#define PTE_D 0x40ull
#define PTE_PS 0x80ull
#define PTE_NX (1ull << 63)
#define PTE_PAT_LARGE 0x1000ull /* where PS is in the entry of a 4 KiB page */

#endif
