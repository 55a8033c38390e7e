/*
 * guest: --quantum 173 --ns-per-instruction 7
 * All vCPUs at once do random things that end turns and slices: halt, pause, send
 * each other interrupts and NMIs, read the time and their timers, step single
 * instructions, hold off interrupts, while timers of unlike periods run. Each
 * mixes every TSC it sees into a hash: one instruction more or less anywhere
 * would change it.
 */
    .include "tests/guest/lib.inc"

    .equ state, 0x100000        /* 64 bytes a vCPU: random, hash, interrupts, NMIs, steps */
    .equ shared, 0x101000
    .equ finished, 0x101040
    .equ go, 0x101080
    .equ online, 0x1010c0
    .equ ROUNDS, 2500

    .equ TIMER, 0x60
    .equ CALL, 0x61

/* R13: state of this vCPU, in all of its code. RAX: a random number; changes RDX. */
random:
    movq (%r13), %rax
    movq %rax, %rdx
    shlq $13, %rdx
    xorq %rdx, %rax
    movq %rax, %rdx
    shrq $7, %rdx
    xorq %rdx, %rax
    movq %rax, %rdx
    shlq $17, %rdx
    xorq %rdx, %rax
    movq %rax, (%r13)
    ret

/* Mixes RAX and the TSC into the vCPU's hash. Changes RAX, RDX. */
note:
    xorq %rax, 8(%r13)
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    xorq 8(%r13), %rax
    movabsq $0x9e3779b97f4a7c15, %rdx
    imulq %rdx, %rax
    rolq $29, %rax
    movq %rax, 8(%r13)
    ret

taken:
    incl 16(%r13)
    movl FRAME_VECTOR(%rbx), %eax
    addq FRAME_RIP(%rbx), %rax
    call note
    movl $0, LAPIC + 0xb0
    ret
nmi:
    incl 20(%r13)
    movq FRAME_RIP(%rbx), %rax
    call note
    ret
step:
    incl 24(%r13)
    movq FRAME_RIP(%rbx), %rax
    call note
    ret

/* One random thing. Interrupts are off when it begins and ends. */
act:
    call random
    movl %eax, %ecx
    shrl $8, %eax
    andl $15, %ecx
    movl actions(, %rcx, 4), %ecx
    jmp *%rcx
    .balign 4
actions:
    .long halt, halt, stop, breathe, breathe, interrupt, interrupt, nonmaskable
    .long count, add, string, stepped, held, wait, everyone, timer

halt:
    sti
    hlt
    cli
    ret
stop:
    pause
    ret
breathe:
    andl $31, %eax
    movl %eax, %ecx
    incl %ecx
    sti
1:  loop 1b
    cli
    ret
interrupt:
    andl $3, %eax
    shll $24, %eax
    movl %eax, LAPIC + 0x310
    movl $0x4000 + CALL, LAPIC + 0x300
    ret
nonmaskable:
    testl $0x30, %eax
    jnz 1f
    andl $3, %eax
    shll $24, %eax
    movl %eax, LAPIC + 0x310
    movl $0x4400, LAPIC + 0x300
1:  ret
count:
    movl LAPIC + 0x390, %eax
    call note
    ret
add:
    lock xaddq %rax, shared
    call note
    ret
string:
    movl %eax, %ecx
    andl $127, %ecx
    movl %r12d, %edi
    shll $12, %edi
    addl $0x200000, %edi
    sti
    rep stosb
    cli
    ret
stepped:
    pushfq
    orl $0x300, (%rsp)
    popfq
    nop
    movl %ss, %ecx
    movl %ecx, %ss
    nop
    pushfq
    andl $~0x300, (%rsp)
    popfq
    ret
held:
    movl %ss, %ecx
    sti
    movl %ecx, %ss
    nop
    cli
    sti
    cli
    ret
wait:
    movl $3, %ecx
1:  pause
    sti
    pause
    cli
    loop 1b
    ret
everyone:
    testl $0x70, %eax
    jnz 1f
    movl $0, LAPIC + 0x310
    movl $0x84000 + CALL, LAPIC + 0x300
1:  ret
timer:
    andl $0xfff, %eax
    addl $5000, %eax                    /* more than the handler takes on all vCPUs */
    movl %eax, LAPIC + 0x380
    ret

/* R12: number of this vCPU, from its APIC. */
work:
    movl LAPIC + 0x20, %r12d
    shrl $24, %r12d
    movl %r12d, %r13d
    shll $6, %r13d
    addl $state, %r13d
    leal 77(%r12), %eax
    imulq $0x1234567, %rax, %rax
    movq %rax, (%r13)
    movl $0x1ff, LAPIC + 0xf0
    lock incl online
1:  pause
    cmpl $0, go
    je 1b
    movl $0x0b, LAPIC + 0x3e0
    movl $(0x20000 + TIMER), LAPIC + 0x320
    movl $7777, LAPIC + 0x380
    movl $ROUNDS, %ebp
2:  call act
    decl %ebp
    jnz 2b
    movl $0x10000, LAPIC + 0x320
    lock incl finished
    ret

others:
    call work
1:  sti
    hlt
    jmp 1b

main:
    handle TIMER, taken
    handle CALL, taken
    handle 2, nmi
    handle 1, step
    movl $others, ap_main
    movl $0x1ff, LAPIC + 0xf0
    movl $0, LAPIC + 0x310
    movl $0xc4500, LAPIC + 0x300
    movl $10000, %ecx
1:  loop 1b
    movl $0xc4600 + AP_VECTOR, LAPIC + 0x300
    movl $100000, %ecx
1:  loop 1b
    movl cpus_started, %r14d
2:  pause
    cmpl %r14d, online
    jne 2b
    movl $1, go
    call work
3:  sti
    pause
    cli
    cmpl %r14d, finished
    jbe 3b
    xorl %ebx, %ebx
4:  movl %ebx, %esi
    shll $6, %esi
    addl $state, %esi
    print "vCPU "
    decimal %rbx
    print " hash "
    movq 8(%rsi), %rax
    hex %rax, 16
    print " interrupts "
    movl 16(%rsi), %eax
    decimal %rax
    print " NMIs "
    movl 20(%rsi), %eax
    decimal %rax
    print " steps "
    movl 24(%rsi), %eax
    decimal %rax
    print "\n"
    incl %ebx
    cmpl %r14d, %ebx
    jbe 4b
    print "shared "
    hex shared, 16
    print "\n"
    movb $PASS, %al
    ret
