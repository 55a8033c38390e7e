/*
 * The local APIC's timer in its three modes. Each case states what it expects;
 * times are compared with the time-stamp counter, which runs as fast.
 */
    .include "tests/guest/lib.inc"

    .equ LVT, LAPIC + 0x320
    .equ INITIAL, LAPIC + 0x380
    .equ CURRENT, LAPIC + 0x390
    .equ DIVIDE, LAPIC + 0x3e0
    .equ PERIODIC, 0x20000
    .equ DEADLINE, 0x40000
    .equ MASKED, 0x10000

    .equ taken, 0x100000
    .equ failed, 0x100004

handler:
    incl taken
    movl $0, LAPIC + 0xb0
    ret

.macro expect_taken text, value
    movl taken, %eax
    expect "\text", \value
.endm

    define_compare

/* Lets ECX loop turns pass with interrupts on. */
wait:
    sti
1:  decl %ecx
    jnz 1b
    cli
    ret

.macro delay turns
    movl $\turns, %ecx
    call wait
.endm

.macro start lvt, count
    movl $0, INITIAL
    movl $0, taken
    movl $(\lvt + 0x41), LVT
    movl $\count, INITIAL
.endm

.macro is_zero at
    xorl %eax, %eax
    cmpl $0, \at
    sete %al
.endm

tsc:
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    ret

.macro write_deadline
    movq %rax, %rdx
    shrq $32, %rdx
    movl $0x6e0, %ecx
    wrmsr
.endm

.macro deadline_is_zero
    movl $0x6e0, %ecx
    rdmsr
    orl %edx, %eax
    cmpl $1, %eax
    sbbl %eax, %eax
    negl %eax
.endm

main:
    handle 0x41, handler
    call pic_init
    movl $0, failed
    movl $0x1ff, LAPIC + 0xf0
    call test_divisors
    call test_one_shot
    call test_periodic
    call test_deadline
    movb $PASS, %al
    addb failed, %al
    ret

/* What passed by the counter times its divisor is what passed by the TSC,
 * within a tick and the reads between. */
test_divisors:
    leaq codes(%rip), %rsi
1:  movzbl (%rsi), %eax
    movzbl 1(%rsi), %ebx
    testl %ebx, %ebx
    jz 2f
    movl %eax, DIVIDE
    movl $MASKED, LVT
    movl $1000000, INITIAL
    call tsc
    movq %rax, %rbp
    delay 5000
    movl $1000000, %edi
    subl CURRENT, %edi
    call tsc
    subq %rbp, %rax
    imull %ebx, %edi
    subl %edi, %eax
    addl $16, %eax                      /* the reads lie some instructions apart */
    addl $32, %ebx
    cmpl %ebx, %eax
    setb %al
    movzbl %al, %eax
    print "divided by "
    subl $32, %ebx
    decimal %rbx
    expect "", 1
    addq $2, %rsi
    jmp 1b
2:  movl $0xffffffff, DIVIDE
    movl DIVIDE, %eax
    expect "bits of the divide register", 0xb
    ret
codes:
    .byte 0, 2, 1, 4, 2, 8, 3, 16, 8, 32, 9, 64, 10, 128, 11, 1, 0, 0

test_one_shot:
    start 0, 3000
    is_zero CURRENT
    expect "one-shot: it counts", 0
    delay 500
    expect_taken "not before its time", 0
    delay 2000
    expect_taken "once", 1
    is_zero CURRENT
    expect "the current count stays 0", 1
    movl INITIAL, %eax
    expect "the initial count stays", 3000
    delay 5000
    expect_taken "no more", 1
    movl $(PERIODIC + 0x41), LVT
    delay 5000
    is_zero CURRENT
    expect "to periodic after the end: still 0", 1
    expect_taken "and silent", 1
    start 0, 3000
    movl $0, INITIAL
    is_zero CURRENT
    expect "stopped by 0", 1
    delay 5000
    expect_taken "for good", 0
    start 0, 3000
    delay 800
    movl $3000, INITIAL
    delay 800
    expect_taken "started again while it ran", 0
    delay 1000
    expect_taken "in its time", 1
    start MASKED, 3000
    delay 2000
    is_zero CURRENT
    expect "masked: it counts to 0", 1
    movl $0x41, LVT
    delay 2000
    expect_taken "and is lost", 0
    start 0, 3000
    movl $0xff, LAPIC + 0xf0            /* software disable */
    movl LVT, %eax
    expect "disabled: the entry is masked", 0x10041
    movl $0x41, LVT
    movl LVT, %eax
    expect "and stays so", 0x10041
    movl $0x1ff, LAPIC + 0xf0
    delay 2000
    expect_taken "nothing comes", 0
    ret

test_periodic:
    start PERIODIC, 2000
    delay 5500
    expect_taken "periodic: five times", 5
    start 0, 4000
    delay 1000
    movl $(PERIODIC + 0x41), LVT
    movl CURRENT, %eax
    cmpl $2500, %eax
    setb %al
    movzbl %al, %eax
    expect "from one-shot: the count goes on", 1
    delay 6000
    cmpl $2, taken
    setge %al
    movzbl %al, %eax
    expect "and begins again", 1
    movl $0, INITIAL
    ret

test_deadline:
    start 0, 0
    call tsc
    addq $2000, %rax
    write_deadline
    deadline_is_zero
    expect "deadline in another mode: ignored", 1
    delay 3000
    expect_taken "no interrupt", 0
    movl $(DEADLINE + 0x41), LVT
    call tsc
    write_deadline
    sti
    nop
    cli
    expect_taken "deadline: the present fires at once", 1
    deadline_is_zero
    expect "and disarms", 1
    movl $1, %eax
    write_deadline
    sti
    nop
    cli
    expect_taken "as does the past", 2
    movl $0, taken
    call tsc
    addq $4000, %rax
    write_deadline
    deadline_is_zero
    expect "armed", 0
    movl $7, INITIAL
    movl INITIAL, %eax
    expect "the initial count is not written", 0
    movl CURRENT, %eax
    expect "the current count is 0", 0
    delay 1000
    expect_taken "not before its time", 0
    delay 2000
    expect_taken "in its time", 1
    call tsc
    addq $4000, %rax
    write_deadline
    xorl %eax, %eax
    write_deadline
    delay 4000
    expect_taken "disarmed by 0", 1
    call tsc
    addq $40000, %rax
    write_deadline
    movl $0x10, %ecx                    /* the TSC goes beyond it */
    rdmsr
    addl $50000, %eax
    adcl $0, %edx
    wrmsr
    sti
    nop
    cli
    expect_taken "the TSC was written", 2
    call tsc
    addq $40000, %rax
    write_deadline
    movl $0x3b, %ecx                    /* by TSC_ADJUST, too */
    rdmsr
    addl $50000, %eax
    adcl $0, %edx
    wrmsr
    sti
    nop
    cli
    expect_taken "by its adjustment", 3
    call tsc
    addq $2000, %rax
    write_deadline
    movl $0x41, LVT
    movl $(DEADLINE + 0x41), LVT
    deadline_is_zero
    expect "a change of mode disarms", 1
    delay 3000
    expect_taken "no interrupt", 3
    call tsc
    addq $2000, %rax
    write_deadline
    movl $(DEADLINE + MASKED + 0x41), LVT
    delay 3000
    movl $(DEADLINE + 0x41), LVT
    delay 100
    expect_taken "masked: lost", 3
    deadline_is_zero
    expect "and disarmed", 1
    ret
