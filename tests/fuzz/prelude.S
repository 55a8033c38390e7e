/*
 * The fixed part of a fuzzed guest's ROM (fuzz_guest.h makes the rest): the
 * way from reset to the mode that the ROM's settings ask for, and handlers
 * that lead every exception and interrupt back to random code. It occupies the
 * last 12 KiB below 1 MiB; the settings are the page before it.
 *
 * A handler does what its vector's byte in `kinds` says; `restart` throws
 * everything away: new stack, registers from a pool, and an entry point of
 * random code by IRET, chosen by a generator in RAM, which the random code may
 * well overwrite.
 */
    .equ ROM, 0xf0000
    .equ SETTINGS, 0xfc000
    .equ mode, SETTINGS + 0x00          /* 0 real, 1 protected, 2 long */
    .equ image_words, SETTINGS + 0x04   /* dwords of E0000h to copy to 10000h */
    .equ switches, SETTINGS + 0x08
    .equ START_OTHERS, 1
    .equ NMI_BY_PIT, 2
    .equ pit_count, SETTINGS + 0x0c
    .equ new_cr0, SETTINGS + 0x10
    .equ new_cr3, SETTINGS + 0x14
    .equ new_cr4, SETTINGS + 0x18
    .equ new_efer, SETTINGS + 0x1c
    .equ new_gdtr, SETTINGS + 0x20
    .equ new_idtr, SETTINGS + 0x28
    .equ first_tss, SETTINGS + 0x30     /* 16 bytes of GDT for each vCPU */
    .equ new_ldt, SETTINGS + 0x34
    .equ data, SETTINGS + 0x38
    .equ code, SETTINGS + 0x3c
    .equ stack_top, SETTINGS + 0x40
    .equ kinds, SETTINGS + 0x100
    .equ pool, SETTINGS + 0x200         /* 512 bytes for registers */
    .equ entries, SETTINGS + 0x600      /* 32 of: IP, CS, flags, SS, SP, DS, ES, 0 */
    .equ generator, 0x8000              /* in RAM */

    /* kinds */
    .equ HAS_ERROR, 0x80
    .equ END_INTERRUPT, 1
    .equ SKIP, 2                        /* IP moves on by bits 4 to 6 */
    .equ RESTART, 3

    .text
/* Stubs of 8 bytes a vector: at FD000h in real mode, FD800h, FE000h. */
.macro stubs common
    .set vector, 0
    .rept 256
    .balign 8, 0x90
    .byte 0x6a, vector                  /* push */
    jmp \common
    .set vector, vector + 1
    .endr
    .balign 8, 0x90
.endm
/* Input 2 of the IOAPIC, which is the PIT's, gives an NMI. */
.macro nmi_by_pit segment:vararg
    movl $0xfec00000, %ebx
    movl $0x14, \segment(%ebx)
    movl $0x400, \segment 0x10(%ebx)
.endm
    .code16
    stubs common16
    .code32
    stubs common32
    .code64
    stubs common64

/* Real mode */
    .code16
common16:
    pushl %ebx
    pushl %eax
    movw %sp, %bx
    movzbw %ss:8(%bx), %bx
    movb %cs:kinds - ROM(%bx), %bl
    movb %bl, %al
    andb $7, %al
    cmpb $RESTART, %al
    je restart16
    cmpb $END_INTERRUPT, %al
    jne 1f
    movb $0x20, %al
    outb %al, $0x20
    outb %al, $0xa0
    jmp 2f
1:  cmpb $SKIP, %al
    jne 2f
    shrb $4, %bl
    andw $7, %bx
    movw %bx, %ax
    movw %sp, %bx
    addw %ax, %ss:10(%bx)
2:  popl %eax
    popl %ebx
    addw $2, %sp
    iretw

restart16:
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x7000, %sp
    movw %ax, %ds
    imull $1664525, generator, %eax
    addl $1013904223, %eax
    movl %eax, generator
    movl %eax, %ecx
    rdtsc
    xorl %ecx, %eax
    movl %eax, %ebx
    shrl $8, %ebx
    andw $0x3e0, %bx                    /* the entry */
    movl %eax, %ecx
    shrl $16, %ecx
    andw $0xfc, %cx                     /* place in the pool */
    pushw %cs:entries - ROM + 8(%bx)
    pushw %cs:entries - ROM + 4(%bx)
    pushw %cs:entries - ROM(%bx)
    movw %cs:entries - ROM + 20(%bx), %ds
    movw %cs:entries - ROM + 24(%bx), %es
    movw %cx, %bx
    movl %cs:pool - ROM(%bx), %eax
    movl %cs:pool - ROM + 4(%bx), %ecx
    movl %cs:pool - ROM + 8(%bx), %edx
    movl %cs:pool - ROM + 12(%bx), %ebp
    movl %cs:pool - ROM + 16(%bx), %esi
    movl %cs:pool - ROM + 20(%bx), %edi
    movl %cs:pool - ROM + 24(%bx), %ebx
    iretw

/* From reset, and of other vCPUs from STARTUP. */
start:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x7000, %sp
    lgdtl %cs:flat_gdtr - ROM
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    movw $8, %bx
    movw %bx, %es
    andb $0xfe, %al
    movl %eax, %cr0
    movl $0x1b, %ecx
    rdmsr
    testb $1, %ah
    jz 1f
    call first_cpu
1:  movl new_cr4 - ROM, %eax
    movl %eax, %cr4
    movl mode - ROM, %eax
    lidtl new_idtr - ROM
    testl %eax, %eax
    jnz 3f
    testb $NMI_BY_PIT, switches - ROM
    jz restart16
    nmi_by_pit %es:
    jmp restart16
3:  lgdtl new_gdtr - ROM
    movl new_cr3 - ROM, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    movl new_efer - ROM, %eax
    xorl %edx, %edx
    wrmsr
    movl mode - ROM, %edx
    pushl code - ROM
    pushl $enter32
    cmpb $2, %dl
    jne 2f
    popl %eax
    pushl $enter64
2:  movl new_cr0 - ROM, %eax
    movl %eax, %cr0
    lretl

first_cpu:
    movl image_words - ROM, %ecx
    pushw %ds
    movw $0xe000, %ax
    movw %ax, %ds
    movw $0x1000, %ax
    movw %ax, %es
    xorw %si, %si
    xorw %di, %di
    rep movsl
    popw %ds
    xorw %ax, %ax
    movw %ax, %es
    movb $0x34, %al
    outb %al, $0x43
    movw pit_count - ROM, %ax
    outb %al, $0x40
    movb %ah, %al
    outb %al, $0x40
    movl $0xfee00000, %ebx
    movl $0x1ff, %es:0xf0(%ebx)
    testb $START_OTHERS, switches - ROM
    jz 2f
    movl $0xc4500, %es:0x300(%ebx)
    movl $0xc46ff, %es:0x300(%ebx)
2:  ret

    .balign 8
flat_gdt:
    .quad 0
    .quad 0x00cf93000000ffff
flat_gdtr:
    .word 15
    .long flat_gdt

/* Protected mode */
    .code32
enter32:
    movl $1, %eax
    cpuid
    shrl $24, %ebx
    andl $3, %ebx
    shll $4, %ebx
    addl %cs:first_tss, %ebx
    movw %cs:data, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl %cs:stack_top, %esp
    ltrw %bx
    movw %cs:new_ldt, %ax
    lldt %ax
    testb $NMI_BY_PIT, %cs:switches
    jz restart32
    nmi_by_pit
    jmp restart32

common32:
    pushl %ebx
    pushl %eax
    movzbl %ss:8(%esp), %ebx
    movzbl %cs:kinds(%ebx), %ebx
    movb %bl, %al
    andb $7, %al
    cmpb $RESTART, %al
    je restart32
    cmpb $END_INTERRUPT, %al
    jne 1f
    movb $0x20, %al
    outb %al, $0x20
    outb %al, $0xa0
    pushl %ds
    movw %cs:data, %ds
    movl $0, 0xfee000b0
    popl %ds
    jmp 2f
1:  cmpb $SKIP, %al
    jne 2f
    movl %ebx, %eax
    shrl $4, %eax
    andl $7, %eax
    testb $HAS_ERROR, %bl
    jnz 3f
    addl %eax, %ss:12(%esp)
    jmp 2f
3:  addl %eax, %ss:16(%esp)
2:  testb $HAS_ERROR, %bl
    popl %eax
    popl %ebx
    jnz 4f
    leal 4(%esp), %esp
    iretl
4:  leal 8(%esp), %esp
    iretl

restart32:
    cld
    movw %cs:data, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl %cs:stack_top, %esp
    imull $1664525, generator, %eax
    addl $1013904223, %eax
    movl %eax, generator
    movl %eax, %ecx
    rdtsc
    xorl %ecx, %eax
    movl %eax, %ecx
    shrl $16, %ecx
    andl $0xfc, %ecx
    movl %eax, %ebx
    shrl $8, %ebx
    andl $0x3e0, %ebx
    testb $2, %cs:entries + 10(%ebx)
    jz 1f
    pushl $0xf000                       /* virtual-8086: GS, FS, DS, ES */
    pushl $0x1000
    pushl %cs:entries + 20(%ebx)
    pushl %cs:entries + 24(%ebx)
    jmp 2f
1:  movw %cs:entries + 20(%ebx), %ds
    movw %cs:entries + 24(%ebx), %es
    testb $3, %cs:entries + 4(%ebx)
    jz 3f
2:  pushl %cs:entries + 12(%ebx)
    pushl %cs:entries + 16(%ebx)
3:  pushfl
    andl $~0x4000, (%esp)               /* not back to another task */
    popfl
    pushl %cs:entries + 8(%ebx)
    pushl %cs:entries + 4(%ebx)
    pushl %cs:entries(%ebx)
    movl %cs:pool(%ecx), %eax
    movl %cs:pool + 4(%ecx), %ebx
    movl %cs:pool + 8(%ecx), %edx
    movl %cs:pool + 12(%ecx), %ebp
    movl %cs:pool + 16(%ecx), %esi
    movl %cs:pool + 20(%ecx), %edi
    movl %cs:pool + 24(%ecx), %ecx
    iretl

/* Long mode */
    .code64
enter64:
    movl $1, %eax
    cpuid
    shrl $24, %ebx
    andl $3, %ebx
    shll $4, %ebx
    addl first_tss, %ebx
    movw data, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl stack_top, %esp
    ltrw %bx
    movw new_ldt, %ax
    lldt %ax
    testb $NMI_BY_PIT, switches
    jz restart64
    nmi_by_pit
    jmp restart64

common64:
    pushq %rbx
    pushq %rax
    movzbl 16(%rsp), %ebx
    movzbl kinds(%rbx), %ebx
    movb %bl, %al
    andb $7, %al
    cmpb $RESTART, %al
    je restart64
    cmpb $END_INTERRUPT, %al
    jne 1f
    movb $0x20, %al
    outb %al, $0x20
    outb %al, $0xa0
    movl $0xfee000b0, %eax
    movl $0, (%rax)
    jmp 2f
1:  cmpb $SKIP, %al
    jne 2f
    movl %ebx, %eax
    shrl $4, %eax
    andl $7, %eax
    testb $HAS_ERROR, %bl
    jnz 3f
    addq %rax, 24(%rsp)
    jmp 2f
3:  addq %rax, 32(%rsp)
2:  testb $HAS_ERROR, %bl
    popq %rax
    popq %rbx
    jnz 4f
    leaq 8(%rsp), %rsp
    iretq
4:  leaq 16(%rsp), %rsp
    iretq

restart64:
    cld
    movw data, %ax
    movw %ax, %ds
    movw %ax, %ss
    movl stack_top, %esp
    imull $1664525, generator, %eax
    addl $1013904223, %eax
    movl %eax, generator
    movl %eax, %ecx
    rdtsc
    xorl %ecx, %eax
    movl %eax, %ecx
    shrl $16, %ecx
    andl $0xfc, %ecx
    movl %eax, %ebx
    shrl $8, %ebx
    andl $0x3e0, %ebx
    movw entries + 20(%rbx), %ds
    movw entries + 24(%rbx), %es
    movl entries + 12(%rbx), %eax
    pushq %rax
    movl entries + 16(%rbx), %eax
    pushq %rax
    movl entries + 8(%rbx), %eax
    pushq %rax
    movl entries + 4(%rbx), %eax
    pushq %rax
    movslq entries(%rbx), %rax
    pushq %rax
    movq pool(%rcx), %rax
    movq pool + 8(%rcx), %rbx
    movq pool + 16(%rcx), %rdx
    movq pool + 24(%rcx), %rbp
    movq pool + 32(%rcx), %rsi
    movq pool + 40(%rcx), %rdi
    movq pool + 48(%rcx), %r8
    movq pool + 56(%rcx), %r9
    movq pool + 64(%rcx), %r10
    movq pool + 72(%rcx), %r11
    movq pool + 80(%rcx), %r12
    movq pool + 88(%rcx), %r13
    movq pool + 96(%rcx), %r14
    movq pool + 104(%rcx), %r15
    movq pool + 112(%rcx), %rcx
    iretq

    .code16
    .section .startup, "ax"             /* FF000h, STARTUP vector FFh */
    ljmpw $0xf000, $start - ROM
    .section .reset, "ax"               /* FFFF0h */
    ljmpw $0xf000, $start - ROM
    .balign 16, 0
    .section .pointer, "a"              /* FFFE0h: for a task gate */
    .long restart32
