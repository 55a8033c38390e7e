/*
 * Who may do what to a page: bits of the entries and of CR0, CR4, EFER, PKRU,
 * IA32_PKRS and EFLAGS.AC in many combinations, each with an access from ring 0
 * or 3. The guest says by a few rules what must come of it, makes the access,
 * and compares vector, error code, CR2, and the A and D bits of all levels.
 *
 * guest: -cpu max
 */
    .include "tests/guest/lib.inc"

    .equ TABLES, 0x180000       /* PDPT, PD, PT of the page; the same of the user's code */
    .equ PT, TABLES + 0x2000
    .equ FRAME, 0x190000
    .equ USER_CODE, 0x191000
    .equ PAGE, 0x8000000000     /* PML4[1] */
    .equ STUBS, 0x10000000000   /* PML4[2] */
    .equ counts, 0x192000       /* by error code, 64 accesses that succeeded */

    /* A combination is a number of 20 bits. */
    .equ W, 0
    .equ U, 1
    .equ NX, 2
    .equ KEY, 3                 /* key 1, else 0 */
    .equ A, 4
    .equ D, 5
    .equ UPPER, 6               /* 2 bits: 2: read only, 3: the supervisor's */
    .equ WP, 8
    .equ SMEP, 9
    .equ SMAP, 10
    .equ AC, 11
    .equ NXE, 12
    .equ PKE, 13
    .equ PKS, 14
    .equ AD, 15                 /* rights of key 1 */
    .equ WD, 16
    .equ USER, 17
    .equ KIND, 18               /* 0: read, 1: write, 2: fetch, 3: read by a wrong entry */
    .equ STEP, 331              /* every so many of them */

/* Copies bit `from` of EBX to bit `to` of RAX. */
.macro copy from, to
    btq $\from, %rbx
    jnc 9f
    btsq $\to, %rax
9:
.endm

/* Goes to `label` when the bit of EBX is set. */
.macro when number, label
    btl $\number, %ebx
    jc \label
.endm

/* The entries; R12: what the page's own must become (without A and D). */
build:
    movl $(FRAME + 1), %eax
    copy W, 1
    copy U, 2
    copy A, 5
    copy D, 6
    copy KEY, 59
    copy NX, 63
    cmpl $3 << KIND, %ecx
    jne 2f
    btrq $0, %rax
    btl $W, %ebx
    jnc 2f
    orq $1, %rax
    btsq $51, %rax                      /* reserved */
2:  movq %rax, PT
    movq %rax, %r12
    movq $(TABLES + 7), PML4 + 8
    movq $(TABLES + 0x1007), TABLES
    movl $(PT + 7), %eax
    movl %ebx, %edx
    shrl $UPPER, %edx
    andl $3, %edx
    cmpl $2, %edx
    jb 1f
    decl %edx
    btrl %edx, %eax                     /* W or U */
1:  movq %rax, TABLES + 0x1000
    ret

/* The registers. PKRU first, for which PKE must be set. */
control:
    movq %cr4, %rax
    btsq $22, %rax
    movq %rax, %cr4
    xorl %eax, %eax
    copy AD, 2
    copy WD, 3
    xorl %ecx, %ecx
    xorl %edx, %edx
    .byte 0x0f, 0x01, 0xef              /* wrpkru */
    movl $0x6e1, %ecx
    wrmsr
    movl $0xc0000080, %ecx
    rdmsr
    btrl $11, %eax
    copy NXE, 11
    wrmsr
    movq %cr0, %rax
    btrq $16, %rax
    copy WP, 16
    movq %rax, %cr0
    movq %cr4, %rax
    andq $~0x1700000, %rax
    copy SMEP, 20
    copy SMAP, 21
    copy PKE, 22
    copy PKS, 24
    movq %rax, %cr4
    ret

/* EAX: the error code that must come, or 64: none. ECX: the kind. */
expect:
    xorl %eax, %eax
    xorl %r8d, %r8d                     /* 32: the key forbids it */
    btl $USER, %ebx
    jnc 1f
    orl $4, %eax
1:  cmpl $1 << KIND, %ecx
    jne 1f
    orl $2, %eax
1:  cmpl $2 << KIND, %ecx
    jne 1f
    testl $(1 << SMEP | 1 << NXE), %ebx
    jz 1f
    orl $16, %eax
1:  cmpl $3 << KIND, %ecx
    jne 1f
    when W, reserved
    ret
1:  btl $NX, %ebx
    jnc 1f
    btl $NXE, %ebx
    jnc reserved
    /* EDX: the page is the user's; ESI: it can be written. */
1:  movl %ebx, %edx
    shrl $U, %edx
    movl %ebx, %esi
    movl %ebx, %edi
    shrl $UPPER, %edi
    andl $3, %edi
    cmpl $2, %edi
    jb 2f
    je 1f
    xorl %edx, %edx
    jmp 2f
1:  xorl %esi, %esi
2:  andl $1, %edx
    andl $1, %esi
    cmpl $2 << KIND, %ecx
    je fetch

    /* Data: the key first. */
    btl $KEY, %ebx
    jnc rights
    testl %edx, %edx
    jz 1f
    btl $PKE, %ebx
    jmp 2f
1:  btl $PKS, %ebx
2:  jnc rights
    when AD, by_key
    cmpl $1 << KIND, %ecx
    jne rights
    btl $WD, %ebx
    jnc rights
    when WP, by_key
    testl %edx, %edx
    jz rights
    btl $USER, %ebx
    jnc rights
by_key:
    movl $32, %r8d
rights:
    when USER, users
    testl %edx, %edx
    jz 1f
    btl $SMAP, %ebx
    jnc 1f
    btl $AC, %ebx
    jnc denied
1:  btl $WP, %ebx
    jnc allowed
    jmp 2f
users:
    testl %edx, %edx
    jz denied
2:  cmpl $1 << KIND, %ecx
    jne allowed
    testl %esi, %esi
    jz denied
allowed:
    testl %r8d, %r8d
    jnz denied
    movl $64, %eax
    ret
fetch:
    when NX, denied
    when USER, 1f
    testl %edx, %edx
    jz allowed
    when SMEP, denied
    jmp allowed
1:  testl %edx, %edx
    jnz allowed
denied:
    leal 1(%rax, %r8), %eax
    ret
reserved:
    orl $9, %eax
    ret

/* The accesses, 16 bytes each; all end with an undefined instruction. */
    .balign 16, 0x90
accesses:
    movb (%rdi), %al
    ud2
    .balign 16, 0x90
    movb %al, (%rdi)
    ud2
    .balign 16, 0x90
    jmp *%rdi
    .balign 16, 0x90
    movb (%rdi), %al
    ud2
    .balign 16, 0x90
accesses_end:

/* Makes the access; R13: where in the page. */
try:
    movabsq $PAGE, %rdi
    shrl $KIND, %ecx
    leaq (%rdi, %rcx, 8), %rdi
    movq %rdi, %r13
    shll $4, %ecx
    xorl %edx, %edx
    btl $AC, %ebx
    jnc 1f
    movl $0x40000, %edx
1:  catch tried
    when USER, 2f
    leaq accesses(%rip), %rax
    addq %rcx, %rax
    pushq %rdx
    popfq
    jmp *%rax
2:  movabsq $STUBS, %rax
    addq %rcx, %rax
    orl $2, %edx
    pushq $(USER_DATA32 | 3)
    pushq $0x138000
    pushq %rdx
    pushq $(USER_CODE64 | 3)
    pushq %rax
    iretq
tried:
    uncatch
    ret

wrong:
    print "\nwrong: combination "
    hex %rbx, 5
    print " expected "
    hex %rbp, 4
    print " entry "
    hex PT, 16
    leaq ROM(%rip), %r15
    call show_trap
    exit 1

/* One combination, in EBX. */
combination:
    movl %ebx, %ecx
    andl $3 << KIND, %ecx
    call build
    call control
    movl %ebx, %ecx
    andl $3 << KIND, %ecx
    call expect
    movl %eax, %ebp
    incl counts(, %rax, 4)
    movl %ebx, %ecx
    andl $3 << KIND, %ecx
    call try
    movq %r12, %rdx                     /* the page's entry, and what it should be */
    movl $6, %eax
    cmpl $64, %ebp
    jne 1f
    btsq $5, %rdx
    movl %ebx, %ecx
    shrl $KIND, %ecx
    cmpl $1, %ecx
    jne 2f
    btsq $6, %rdx
    jmp 2f
1:  movl $14, %eax
    cmpl %ebp, trap_error
    jne wrong
    cmpq %r13, trap_cr2
    jne wrong
2:  cmpl %eax, trap_vector
    jne wrong
    cmpq PT, %rdx
    jne wrong
    btl $5, PML4 + 8                    /* the way there was used, whatever came of it */
    jnc wrong
    btl $5, TABLES
    jnc wrong
    btl $5, TABLES + 0x1000
    jnc wrong
    movl %ebp, %eax
    jmp mix

main:
    /* All that is ours becomes the supervisor's. */
    movb $3, PML4
    movb $3, PML4 + 8 * 511
    movl $TABLES, %edi
    xorl %eax, %eax
    movl $0x6000 / 8, %ecx
    rep stosq
    movq $(TABLES + 0x3007), PML4 + 16
    movq $(TABLES + 0x4007), TABLES + 0x3000
    movq $(TABLES + 0x5007), TABLES + 0x4000
    movq $(USER_CODE + 5), TABLES + 0x5000
    leaq accesses(%rip), %rsi
    movl $USER_CODE, %edi
    movl $(accesses_end - accesses), %ecx
    rep movsb
    movw $0x0b0f, FRAME + 16            /* ud2 */
    movl $counts, %edi
    movl $65, %ecx
    rep stosl

    xorl %ebx, %ebx
1:  call combination
    addl $STEP, %ebx
    cmpl $1 << 20, %ebx
    jb 1b

    /* As it was, for the output. */
    xorl %ebx, %ebx
    call control
    print "accesses by error code (40: none):\n"
    xorl %ebx, %ebx
1:  movl counts(, %rbx, 4), %r14d
    testl %r14d, %r14d
    jz 2f
    hex %rbx, 2
    print " "
    decimal %r14
    print "\n"
2:  incl %ebx
    cmpl $64, %ebx
    jbe 1b
    print "hash "
    hex hash, 16
    print "\n"
    movb $PASS, %al
    ret
