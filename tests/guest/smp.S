/*
 * guest: --quantum 97
 * Several vCPUs: started by INIT and STARTUP, contending for locks, sent
 * interrupts of every kind, made to drop translations. Prints who did how much
 * at which TSC; with the turns a function of the instruction count, all of it
 * is the same in each run.
 */
    .include "tests/guest/lib.inc"

    .equ VECTOR_PING, 0x41
    .equ VECTOR_FLUSH, 0x42
    .equ VECTOR_TIMER, 0x43

    .equ lock_word, 0x100000    /* each on a line of its own */
    .equ locked_sum, 0x100040   /* counted under the lock, not atomically */
    .equ atomic_sum, 0x100080
    .equ arrived, 0x1000c0
    .equ phase, 0x100100
    .equ flushed, 0x100140
    .equ ticket, 0x100180       /* and the one served at +4 */
    .equ TURNS, 0x100200        /* 8 bytes a vCPU: spins while waiting */
    .equ PINGS, 0x100400        /* 4 bytes a vCPU: interrupts received */
    .equ NMIS, 0x100500
    .equ SEEN, 0x100600         /* 8 bytes a vCPU: what it read from the moved page */
    .equ ORDER, 0x100800        /* order in which tickets were served: bytes */

    .equ TABLES, 0x110000       /* PDPT, PD, PT of PML4[1] */
    .equ PAGE, 0x8000000000
    .equ FRAME_A, 0x120000
    .equ FRAME_B, 0x121000

    .equ TIMES, 400

.macro icr high, low
    movl $\high, LAPIC + 0x310
    movl $\low, LAPIC + 0x300
.endm

/* EBP: number of this vCPU. EDI survives. */
spin_lock:
1:  movl $1, %eax
    xchgl %eax, lock_word
    testl %eax, %eax
    jz 3f
2:  pause
    incq TURNS(, %rbp, 8)
    cmpl $0, lock_word
    jne 2b
    jmp 1b
3:  ret

/* All vCPUs wait here until the boot vCPU goes to phase AL. */
wait_phase:
1:  cmpb %al, phase
    je 2f
    pause
    jmp 1b
2:  ret

arrive:
    lock incl arrived
    ret

/* The boot vCPU waits for all the others, R12 of them. */
gather:
1:  cmpl %r12d, arrived
    je 2f
    pause
    jmp 1b
2:  movl $0, arrived
    ret

/* What every vCPU does at once. */
contend:
    movl $TIMES, %edi
1:  call spin_lock
    movl locked_sum, %eax
    incl %eax
    nop
    nop
    movl %eax, locked_sum
    movl $0, lock_word
    lock addq $3, atomic_sum
    movl $1, %eax
    lock xaddl %eax, atomic_sum + 8
    movl atomic_sum + 16, %eax
2:  leal 5(%rax), %ecx
    lock cmpxchgl %ecx, atomic_sum + 16
    jne 2b
    decl %edi
    jnz 1b
    ret

/* A ticket lock: who comes is served in order. */
queue:
    movl $16, %edi
1:  movl $1, %eax
    lock xaddl %eax, ticket
2:  cmpl %eax, ticket + 4
    je 3f
    pause
    jmp 2b
3:  movb %bpl, ORDER(%rax)
    incl ticket + 4
    decl %edi
    jnz 1b
    ret

/* Interrupts; RBP is that of the code that was interrupted. */
ping:
    incl PINGS(, %rbp, 4)
    movl $0, LAPIC + 0xb0
    ret
nmi:
    incl NMIS(, %rbp, 4)
    ret
flush:
    movabsq $PAGE, %rax
    invlpg (%rax)
    lock incl flushed
    movl $0, LAPIC + 0xb0
    ret

enable_apic:
    movl $0x1ff, LAPIC + 0xf0
    movl $0x0f000000, LAPIC + 0xe0      /* flat */
    movl $0xffffffff, LAPIC + 0xe0
    movl $1, %eax
    movl %ebp, %ecx
    andl $7, %ecx
    shll %cl, %eax
    shll $24, %eax
    movl %eax, LAPIC + 0xd0
    movl $0, LAPIC + 0x80
    ret

/* The other vCPUs. Their number is that of their APIC, whatever the order in
 * which they arrived. */
others:
    movl LAPIC + 0x20, %ebp
    shrl $24, %ebp
    call enable_apic
    call arrive
    movb $1, %al
    call wait_phase
    call contend
    call arrive
    movb $2, %al
    call wait_phase
    call queue
    call arrive
    sti
1:  hlt                                 /* woken by interrupts until phase 3 */
    cmpb $3, phase
    jne 1b
    call arrive
    movb $4, %al
    call wait_phase
    movabsq $PAGE, %rdi
    movq (%rdi), %rax
    movq %rax, SEEN(, %rbp, 8)
    call arrive
    movb $5, %al                        /* interrupts come while it waits */
    call wait_phase
    movabsq $PAGE, %rdi
    movq (%rdi), %rax
    addq %rax, SEEN(, %rbp, 8)
    call arrive
2:  hlt
    jmp 2b

.macro tsc text
    print "\text"
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    call putdec
    print "\n"
.endm

main:
    xorl %ebp, %ebp
    call enable_apic
    handle VECTOR_PING, ping
    handle VECTOR_FLUSH, flush
    handle VECTOR_TIMER, ping
    handle 2, nmi
    movl $others, ap_main
    movq $(TABLES + 3), PML4 + 8
    movq $(TABLES + 0x1003), TABLES
    movq $(TABLES + 0x2003), TABLES + 0x1000
    movq $(FRAME_A + 3), TABLES + 0x2000
    movq $1000, FRAME_A
    movq $7, FRAME_B

    /* Start them. */
    icr 0, 0xc4500
    movl $10000, %ecx
1:  loop 1b
    icr 0, 0xc4600 + AP_VECTOR
    movl $200000, %ecx
1:  loop 1b
    icr 0, 0xc4600 + AP_VECTOR          /* those that run ignore it */
    movl $400000, %ecx
1:  loop 1b
    movl cpus_started, %r12d
    call gather
    print "others: "
    decimal %r12
    tsc "\ntsc "

    movb $1, phase
    call contend
    call gather
    print "locked "
    movl locked_sum, %eax
    decimal %rax
    print " atomic "
    decimal atomic_sum
    print " "
    decimal atomic_sum + 8
    print " "
    decimal atomic_sum + 16
    print " turns"
    xorl %ebx, %ebx
2:  print " "
    decimal "TURNS(,%rbx,8)"
    incl %ebx
    cmpl %r12d, %ebx
    jbe 2b
    tsc "\ntsc "

    movb $2, phase
    call queue
    call gather
    print "order "
    movl ticket, %ecx
    xorl %ebx, %ebx
3:  movb ORDER(%rbx), %al
    addb $'0', %al
    call putc
    incl %ebx
    cmpl %ecx, %ebx
    jb 3b
    tsc "\ntsc "

    /* Interrupts to those that have halted, one by one; then to all; by
     * logical destination; of lowest priority; NMIs; to itself. */
    call settle
    movl $1, %ebx
4:  cmpl %r12d, %ebx
    ja 5f
    movl %ebx, %eax
    shll $24, %eax
    movl %eax, LAPIC + 0x310
    movl $(0x4000 + VECTOR_PING), LAPIC + 0x300
    call settle
    incl %ebx
    jmp 4b
5:  call show_pings
    icr 0, 0xc4000 + VECTOR_PING        /* all but self */
    call settle
    call show_pings
    icr 0x06000000, 0x4800 + VECTOR_PING /* logical: vCPUs 1 and 2 */
    call settle
    call show_pings
    icr 0x0e000000, 0x4900 + VECTOR_PING /* lowest priority of 1, 2, 3 */
    call settle
    call show_pings
    icr 0, 0xc4400                      /* NMI */
    call settle
    call show_pings
    icr 0, 0x84000 + VECTOR_PING        /* all and self */
    sti
    nop
    nop
    cli
    call settle
    call show_pings
    icr 0, 0x44000 + VECTOR_PING        /* self */
    icr 0, 0x44000 + VECTOR_PING        /* merged with the first */
    icr 0, 0x44000 + VECTOR_TIMER
    sti
    nop
    nop
    cli
    call show_pings
    movb $3, phase
    icr 0, 0xc4000 + VECTOR_PING
    call gather
    tsc "tsc "

    /* A page moves; the others drop their translation when told. */
    movb $4, phase
    movabsq $PAGE, %rdi
    movq (%rdi), %rax
    call gather
    movq $(FRAME_B + 3), TABLES + 0x2000
    invlpg (%rdi)
    icr 0, 0xc4000 + VECTOR_FLUSH
6:  pause
    cmpl %r12d, flushed
    jne 6b
    movb $5, phase
    call gather
    movq (%rdi), %rax
    print "page"
    xorl %ebx, %ebx
7:  print " "
    decimal %rax
    incl %ebx
    movq SEEN(, %rbx, 8), %rax
    cmpl %r12d, %ebx
    jbe 7b
    print " entry "
    hex TABLES+0x2000, 16
    tsc "\ntsc "
    movb $PASS, %al
    ret

/* Lets the others do what they were told. */
settle:
    movl $300000, %ecx
1:  loop 1b
    ret

show_pings:
    print "pings"
    xorl %ebx, %ebx
1:  print " "
    movl PINGS(, %rbx, 4), %eax
    decimal %rax
    print "/"
    movl NMIS(, %rbx, 4), %eax
    decimal %rax
    incl %ebx
    cmpl %r12d, %ebx
    jbe 1b
    print "\n"
    ret
