/*
 * Interrupts between vCPUs: who gets what an ICR says, in xAPIC mode with flat
 * and clustered logical destinations, and in x2APIC mode. A row of the table
 * below holds the case and what it expects of four vCPUs, and of one alone.
 * guest: --quantum 61
 */
    .include "tests/guest/lib.inc"

    .equ mask, 0x100000         /* bit n: vCPU n was interrupted */
    .equ row, 0x100004          /* number of the row, from 1 */
    .equ count, 0x100008        /* of vCPUs */
    .equ failed, 0x10000c
    .equ done, 0x100040         /* a dword for each vCPU: the row it is set up for */
    .equ x2, 0x100080           /* likewise: it is in x2APIC mode */

    .equ ROW_DFR, 0
    .equ ROW_LDR, 4
    .equ ROW_TPR, 8
    .equ ROW_LOW, 12
    .equ ROW_HIGH, 16
    .equ ROW_X2, 20
    .equ ROW_FOUR, 21
    .equ ROW_ONE, 22
    .equ ROW_TEXT, 24
    .equ ROW_BYTES, 72

    .equ FLAT, -1
    .equ CLUSTER, 0x0fffffff
    .equ LOGICAL, 0x800
    .equ LOWEST, 0x100
    .equ NMI, 0x400
    .equ SELF, 0x40000
    .equ ALL, 0x80000
    .equ OTHERS, 0xc0000

.macro case text, four, one, low, high, dfr=FLAT, ldr=0x08040201, tpr=0, x2=0
    .balign 8
99: .long \dfr, \ldr, \tpr, 0x4000 + \low
    .if \x2
    .long \high
    .else
    .long \high << 24
    .endif
    .byte \x2, \four, \one, 0
    .asciz "\text"
    .org 99b + ROW_BYTES
.endm

    .pushsection .rodata
    .balign 8
rows:
    case "physical: 0", 1, 1, 0x41, 0
    case "physical: 2", 4, 0, 0x41, 2
    case "physical: absent", 0, 0, 0x41, 0x77
    case "physical: broadcast", 15, 1, 0x41, 0xff
    case "self", 1, 1, SELF+0x41, 2
    case "all", 15, 1, ALL+0x41, 2
    case "all others", 14, 0, OTHERS+0x41, 0
    case "logical: 05h", 5, 1, LOGICAL+0x41, 5
    case "logical: 0eh", 14, 0, LOGICAL+0x41, 14
    case "logical: broadcast", 15, 1, LOGICAL+0x41, 0xff
    case "logical: none has the bit", 0, 0, LOGICAL+0x41, 0xf0
    case "logical: two have the bit", 6, 0, LOGICAL+0x41, 0x10, FLAT, 0x08101001
    case "lowest priority: vCPU 2", 4, 1, LOGICAL+LOWEST+0x41, 15, FLAT, 0x08040201, 0x30103020
    case "lowest priority: vCPU 3 of 2 and 3", 8, 0, LOGICAL+LOWEST+0x41, 12, FLAT, 0x08040201, 0x10301010
    case "lowest priority: equal", 2, 0, LOGICAL+LOWEST+0x41, 6
    case "lowest priority: broadcast", 2, 1, LOGICAL+LOWEST+0x41, 0xff, FLAT, 0x08040201, 0x20200020
    case "held by its task priority", 1, 1, ALL+0x41, 0, FLAT, 0x08040201, 0x50404f00
    case "NMI: to 3", 8, 0, NMI, 3
    case "NMI: all others", 14, 0, OTHERS+NMI, 0
    case "NMI: despite task priority", 14, 0, OTHERS+NMI, 0, FLAT, 0x08040201, 0xffffff00
    case "NMI: logical", 9, 1, LOGICAL+NMI, 9
    case "ExtINT cannot be sent", 0, 0, ALL+0x700, 0
    case "the reserved mode", 0, 0, ALL+0x341, 0
    case "STARTUP to running ones", 0, 0, OTHERS+0x600, 0
    case "vector 5", 0, 0, ALL+5, 0
    case "clusters: 11h", 1, 1, LOGICAL+0x41, 0x11, CLUSTER, 0x22211211
    case "clusters: 13h", 3, 1, LOGICAL+0x41, 0x13, CLUSTER, 0x22211211
    case "clusters: 22h", 8, 0, LOGICAL+0x41, 0x22, CLUSTER, 0x22211211
    case "clusters: all of bit 0", 5, 1, LOGICAL+0x41, 0xf1, CLUSTER, 0x22211211
    case "clusters: broadcast", 15, 1, LOGICAL+0x41, 0xff, CLUSTER, 0x22211211
    case "clusters: absent", 0, 0, LOGICAL+0x41, 0x31, CLUSTER, 0x22211211
    case "x2APIC: physical 1", 2, 0, 0x41, 1, x2=1
    case "x2APIC: broadcast", 15, 1, 0x41, 0xffffffff, x2=1
    case "x2APIC: ffh is an id", 0, 0, 0x41, 0xff, x2=1
    case "x2APIC: logical 5", 5, 1, LOGICAL+0x41, 5, x2=1
    case "x2APIC: another cluster", 0, 0, LOGICAL+0x41, 0x1000f, x2=1
    case "x2APIC: lowest priority", 2, 0, LOGICAL+LOWEST+0x41, 6, x2=1
    case "x2APIC: all others", 14, 0, OTHERS+0x41, 0, x2=1
    case "x2APIC: NMI", 4, 0, NMI, 2, x2=1
rows_end:
    .popsection

/* APIC id in R12D. */
own_id:
    movl $1, %eax
    cpuid
    movl %ebx, %r12d
    shrl $24, %r12d
    ret

fixed_handler:
    call own_id
    lock btsl %r12d, mask
    cmpl $0, x2(, %r12, 4)
    jne 1f
    movl $0, LAPIC + 0xb0
    ret
1:  movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    ret

nmi_handler:
    call own_id
    lock btsl %r12d, mask
    ret

/* This vCPU as the row at RSI says. */
set_up:
    cmpb $0, ROW_X2(%rsi)
    jne 1f
    movl ROW_DFR(%rsi), %eax
    movl %eax, LAPIC + 0xe0
    movzbl ROW_LDR(%rsi, %r12), %eax
    shll $24, %eax
    movl %eax, LAPIC + 0xd0
    movzbl ROW_TPR(%rsi, %r12), %eax
    movl %eax, LAPIC + 0x80
    ret
1:  movl $0x1b, %ecx
    rdmsr
    orl $0x400, %eax
    wrmsr
    movl $1, x2(, %r12, 4)
    xorl %eax, %eax
    movq %rax, %cr8
    ret

/* RSI: the row of number EAX. */
find_row:
    leal -1(%rax), %esi
    imull $ROW_BYTES, %esi
    addl $rows, %esi
    ret

ap:
    call own_id
    movl $0x1ff, LAPIC + 0xf0
    sti
1:  pause
    movl row, %eax
    cmpl done(, %r12, 4), %eax
    je 1b
    pushq %rax
    call find_row
    call set_up
    popq %rax
    movl %eax, done(, %r12, 4)
    jmp 1b

/* All vCPUs are set up for the row of number EAX. */
wait_for_all:
    movl count, %ecx
1:  pause
    decl %ecx
    jz 2f
    cmpl done(, %rcx, 4), %eax
    je 1b
    incl %ecx
    jmp 1b
2:  ret

settle:
    movl $300, %ecx
1:  pause
    decl %ecx
    jnz 1b
    ret

send:
    cmpb $0, ROW_X2(%rsi)
    jne 1f
    movl ROW_HIGH(%rsi), %eax
    movl %eax, LAPIC + 0x310
    movl ROW_LOW(%rsi), %eax
    movl %eax, LAPIC + 0x300
    ret
1:  movl $0x830, %ecx
    movl ROW_LOW(%rsi), %eax
    movl ROW_HIGH(%rsi), %edx
    wrmsr
    ret

main:
    leaq ROM(%rip), %r15
    call pic_init
    handle 2, nmi_handler
    handle 0x41, fixed_handler
    movl $0x1ff, LAPIC + 0xf0
    movl $ap, ap_main
    movl $0xc4500, LAPIC + 0x300
    movl $0xc4600 + AP_VECTOR, LAPIC + 0x300
    call settle
    movl cpus_started, %eax
    incl %eax
    movl %eax, count
    call own_id
    movl $1, %ebp
1:  movl %ebp, %eax
    call find_row
    cmpl $rows_end, %esi
    jae 9f
    call set_up
    movl %ebp, row
    movl %ebp, %eax
    call wait_for_all
    movl $0, mask
    sti
    call send
    call settle
    cli
    pushq %rsi
    addq $ROW_TEXT, %rsi
    call puts
    popq %rsi
    movzbl ROW_FOUR(%rsi), %eax
    cmpl $1, count
    jne 2f
    movzbl ROW_ONE(%rsi), %eax
2:  cmpl mask, %eax
    je 3f
    print ": not "
    hex %rax, 1
    print " but "
    movl mask, %eax
    hex %rax, 1
    incl failed
3:  print "\n"
    incl %ebp
    jmp 1b
9:  movb $PASS, %al
    addb failed, %al
    ret
