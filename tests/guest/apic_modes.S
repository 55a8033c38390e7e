/*
 * The modes of the local APIC: IA32_APIC_BASE, what is there while it is off,
 * which x2APIC registers exist and which of their bits can be written, and
 * what a change of mode keeps.
 */
    .include "tests/guest/lib.inc"

    .equ APIC_BASE, 0x1b
    .equ OFF, 0xfee00100
    .equ X, 0xfee00900
    .equ INVALID, 0xfee00500
    .equ X2, 0xfee00d00
    .equ MOVED, -0x012c0000

.macro set_base low, high=0
    movl $APIC_BASE, %ecx
    movl $\low, %eax
    movl $\high, %edx
    wrmsr
.endm

.macro show text, at, digits=8
    movl \at, %eax
    print "\text"
    hex %rax, \digits
.endm

.macro show_msr text, number, digits=8
    movl $\number, %ecx
    rdmsr
    print "\text"
    hex %rax, \digits
.endm

/* Whether an instruction completes: 1 in EAX. */
.macro try insn:vararg
    catch .Lafter\@
    \insn
.Lafter\@:
    xorl %eax, %eax
    cmpl $-1, trap_vector
    sete %al
    uncatch
.endm

show_bit:
    testl %eax, %eax
    jz 1f
    print " yes"
    ret
1:  print " -"
    ret

main:
    leaq ROM(%rip), %r15
    call pic_init
    handle 0x41, vector_handler
    call test_off
    call test_moved
    call test_transitions
    call test_addresses
    call test_registers
    call test_bits
    call test_kept
    movb $PASS, %al
    ret

    .equ vectors, 0x100000
vector_handler:
    incl vectors
    movl $0, LAPIC + 0xb0
    ret

apic_bit:
    movl $1, %eax
    cpuid
    shrl $9, %edx
    andl $1, %edx
    movl %edx, %eax
    print " cpuid "
    hex %rax, 1
    ret

test_off:
    print "on:"
    call apic_bit
    movl $0x1ff, LAPIC + 0xf0
    movl $0x10045, LAPIC + 0x320
    movl $0x21000000, LAPIC + 0xd0
    set_base OFF
    print "\noff:"
    call apic_bit
    show " id " LAPIC + 0x20
    show " version " LAPIC + 0x30
    movl $0x55, LAPIC + 0x80
    show " tpr " LAPIC + 0x80
    movl $9, %eax
    movq %rax, %cr8
    movq %cr8, %rax
    print " cr8 "
    hex %rax, 2
    xorl %eax, %eax
    movq %rax, %cr8
    set_base X
    print "\non again:"
    call apic_bit
    show " svr " LAPIC + 0xf0
    show " lvt " LAPIC + 0x320
    show " ldr " LAPIC + 0xd0
    show " lint0 " LAPIC + 0x350
    movl $7, %eax
    movq %rax, %cr8
    show " tpr of cr8 " LAPIC + 0x80
    movl $0x3f, LAPIC + 0x80
    movq %cr8, %rax
    print " cr8 of tpr "
    hex %rax, 2
    movl $0, LAPIC + 0x80
    print "\n"
    ret

/* To FED40000h, which nothing else has. */
test_moved:
    set_base 0xfed40900
    show "moved: version " MOVED + 0x30
    show " old place " LAPIC + 0x30
    movl $0x1ff, MOVED + 0xf0
    movl $0x44041, MOVED + 0x300
    print "\n"
    set_base X
    sti
    nop
    cli
    show "back: interrupts " vectors, 1
    print "\n"
    ret

/* Each state to each: only the way that the manual shows is open. */
.macro goes to
    movl $APIC_BASE, %ecx
    movl $\to, %eax
    xorl %edx, %edx
    try wrmsr
    call show_bit
.endm

.macro from text, path:vararg
    .irp to, OFF, X, INVALID, X2
    .irp step, OFF, X, \path
    set_base \step
    .endr
    goes \to
    set_base OFF
    .endr
    print " from \text\n"
.endm

test_transitions:
    print "to: off xAPIC invalid x2APIC\n"
    from "off" OFF
    from "xAPIC" X
    from "x2APIC" X2
    set_base X
    ret

/* Reserved bits: low ones, and above the physical address width. */
test_addresses:
    print "base bits:"
    xorl %ebx, %ebx
    xorl %r12d, %r12d
1:  movl %ebx, %ecx
    movl $1, %edx
    shlq %cl, %rdx
    movl $X, %eax
    orq %rax, %rdx
    movl %edx, %eax
    shrq $32, %rdx
    movl $APIC_BASE, %ecx
    try wrmsr
    movl %ebx, %ecx
    shlq %cl, %rax
    orq %rax, %r12
    set_base OFF                        /* from x2APIC mode, too */
    set_base X
    incl %ebx
    cmpl $64, %ebx
    jb 1b
    hex %r12
    movl $0x80000008, %eax
    cpuid
    movzbl %al, %eax
    print " width "
    call putdec
    print "\n"
    ret

/* Which of MSRs 800h to 8FFh can be read and written (with 0). */
test_registers:
    set_base X2
    movl $0x800, %ebp
1:  testl $0x3f, %ebp
    jnz 2f
    xorl %r12d, %r12d                   /* 64 registers a line */
    xorl %r13d, %r13d
2:  movl %ebp, %ecx
    try rdmsr
    movl %ebp, %ecx
    shlq %cl, %rax
    orq %rax, %r12
    movl %ebp, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    try wrmsr
    movl %ebp, %ecx
    shlq %cl, %rax
    orq %rax, %r13
    incl %ebp
    testl $0x3f, %ebp
    jnz 1b
    print "registers up to "
    leal -1(%rbp), %eax
    hex %rax, 3
    print ": read "
    hex %r12
    print " write "
    hex %r13
    print "\n"
    cmpl $0x900, %ebp
    jb 1b
    ret

/* Which bits of each register can be set, one by one; ICR: to nobody. */
test_bits:
    movl $0x80f, %ecx
    movl $0x1ff, %eax
    xorl %edx, %edx
    wrmsr
    leaq bit_registers(%rip), %rsi
1:  movzwl (%rsi), %ebp
    testl %ebp, %ebp
    jz 3f
    xorl %ebx, %ebx
    xorl %r12d, %r12d
2:  movl %ebx, %ecx
    movl $1, %eax
    shlq %cl, %rax
    movl $0x830, %ecx
    cmpl %ecx, %ebp
    jne 4f
    movabsq $0xab00000000, %rdx
    orq %rdx, %rax
4:  movq %rax, %rdx
    shrq $32, %rdx
    movl %ebp, %ecx
    try wrmsr
    movl %ebx, %ecx
    shlq %cl, %rax
    orq %rax, %r12
    incl %ebx
    cmpl $64, %ebx
    jb 2b
    hex %rbp, 3
    print " "
    hex %r12
    print "\n"
    addq $2, %rsi
    jmp 1b
3:  xorl %eax, %eax
    movq %rax, %cr8
    ret
bit_registers:
    .word 0x802, 0x808, 0x80b, 0x80d, 0x80e, 0x828, 0x830, 0x831, 0x832, 0x833, 0x834, 0x835
    .word 0x836, 0x837, 0x838, 0x839, 0x83e, 0x83f, 0x80f, 0

/* From xAPIC to x2APIC mode registers stay; off and on again they are reset. */
test_kept:
    set_base OFF
    set_base X
    movl $0x1ff, LAPIC + 0xf0
    movl $0x10045, LAPIC + 0x320
    movl $0xb, LAPIC + 0x3e0
    movl $0x30, LAPIC + 0x80
    movl $0x12000000, LAPIC + 0x310
    movl $0x21000000, LAPIC + 0xd0
    set_base X2
    show_msr "x2APIC: svr " 0x80f
    show_msr " lvt " 0x832
    show_msr " divide " 0x83e
    show_msr " tpr " 0x808
    show_msr " ldr " 0x80d
    show_msr " id " 0x802
    movl $0x830, %ecx
    rdmsr
    print " icr high "
    hex %rdx, 8
    movl LAPIC + 0x30, %eax
    print " page "
    hex %rax, 8
    set_base OFF
    set_base X
    show "\nxAPIC: svr " LAPIC + 0xf0
    show " lvt " LAPIC + 0x320
    show " tpr " LAPIC + 0x80
    show " id " LAPIC + 0x20
    print "\n"
    ret
