/*
 * Repeated string instructions: across pages and both ways, onto themselves,
 * to and from memory that is none (MMIO, ROM), with faults midway and exact
 * registers, with 16- and 32-bit addresses that wrap, interrupted by a timer and
 * single-stepped. Prints registers, TSC differences and checksums of memory.
 */
    .equ WITH_16, 1
    .include "tests/guest/lib.inc"

    .equ A, 0x200000
    .equ B, 0x210000
    .equ TABLES, 0x180000       /* of PML4[1]: PDPT, PD, PT */
    .equ PAGES, 0x8000000000
    .equ ticks, 0x170000
    .equ tick_rip, 0x170008
    .equ tick_rcx, 0x170010     /* 8 of them */
    .equ steps, 0x170080
    .equ results16, 0x500

    .code16
main16:
    /* SI and DI wrap at 64 KiB with 16-bit addresses; CX counts alone. */
    movl $0x11223344, %eax
    movw $0xfff0, %di
    movl $0xabcd0008, %ecx
    movw $0x3000, %bx
    movw %bx, %es
    rep stosl
    movl %edi, results16
    movl %ecx, results16 + 4
    movl $0xffff0004, %esi
    movl $0x00000100, %edi
    movw %bx, %ds
    movw $4, %cx
    std
    rep movsw
    cld
    movl %esi, %ss:results16 + 8
    movl %edi, %ss:results16 + 12
    movl $0x0000fff4, %esi              /* 32-bit addresses from 16-bit code */
    addr32 lodsl
    movl %eax, %ss:results16 + 16
    movl %esi, %ss:results16 + 20
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %es
    ret

    .code64
.macro registers text
    print "\text"
    call show_registers
.endm

show_registers:
    print " rcx="
    hex %rcx, 16
    print " rsi="
    hex %rsi, 10
    print " rdi="
    hex %rdi, 10
    print " rax="
    hex %rax, 16
    print "\n"
    ret

/* Mixes the 64 KiB at EDI and prints. Changes nothing else. */
checksum:
    pushq %rax
    pushq %rcx
    pushq %rdi
    movq $0, hash
    movl $0x2000, %ecx
1:  movq (%rdi), %rax
    call mix
    addl $8, %edi
    decl %ecx
    jnz 1b
    print " sum "
    hex hash, 16
    print "\n"
    popq %rdi
    popq %rcx
    popq %rax
    ret

.macro sum place
    movl $\place, %edi
    call checksum
.endm

/* A and B: 64 KiB of numbers each. */
fill:
    movl $A, %edi
    movl $0x8000, %ecx
    movl $12345, %eax
1:  imull $1664525, %eax, %eax
    addl $1013904223, %eax
    stosl
    loop 1b
    ret

main:
    print "16-bit"
    xorl %ebx, %ebx
1:  movl results16(, %rbx, 4), %eax
    print " "
    hex %rax, 8
    incl %ebx
    cmpl $6, %ebx
    jb 1b
    print "\n"
    call plain
    call compares
    call directions
    call not_memory
    call faults
    call interrupted
    call stepped
    movb $PASS, %al
    ret

/* ---- copies and fills ----------------------------------------------------------- */

.macro copying text, insn, from, to, count
    call fill
    movl $\from, %esi
    movl $\to, %edi
    movl $\count, %ecx
    movabsq $0x8877665544332211, %rax
    \insn
    registers "\text"
    sum A
    sum B
.endm

plain:
    copying "movsb", "rep movsb", A+3, B+5, 0x3001
    copying "movsw", "rep movsw", A+1, B+2, 0x1801
    copying "movsl", "rep movsl", A+1, B+0xffe, 0xc01
    copying "movsq", "rep movsq", A+0xffc, B+1, 0x601
    copying "stosb", "rep stosb", A, B+5, 0x3001
    copying "stosw", "rep stosw", A, B+1, 0x1801
    copying "stosl", "rep stosl", A, B+0xffe, 0xc01
    copying "stosq", "rep stosq", A, B+3, 0x601
    copying "lodsw", "rep lodsw", A+0xfff, B, 0x1001
    copying "movsb overlaps by 1", "rep movsb", A, A+1, 0x2fff
    copying "movsw overlaps by 3", "rep movsw", A, A+3, 0x17ff
    copying "movsq overlaps by 4", "rep movsq", A, A+4, 0x5ff
    copying "movsl overlaps from above", "rep movsl", A+2, A, 0xbff
    copying "movsb, 32-bit addresses", "addr32 rep movsb", A, B, 0x1234
    copying "no times", "xorl %ecx, %ecx; rep movsb", A, B, 5
    copying "no times, 32-bit addresses", "movabsq $0x100000000, %rcx; addr32 rep movsb", A, B, 5
    ret

/* ---- comparisons ---------------------------------------------------------------- */

.macro comparing text, insn, from, to, count
    movl $\from, %esi
    movl $\to, %edi
    movl $\count, %ecx
    \insn
    pushfq
    popq %rax
    registers "\text"
.endm

compares:
    call fill
    movl $A, %esi
    movl $B, %edi
    movl $0x10000, %ecx
    rep movsb
    incb B + 0x2345
    comparing "cmpsb", "repe cmpsb", A, B, 0x4000
    comparing "cmpsw", "repe cmpsw", A+1, B+1, 0x4000
    comparing "cmpsl", "repe cmpsl", A+2, B+2, 0x4000
    comparing "cmpsq", "repe cmpsq", A, B, 0x4000
    comparing "cmpsq equal", "repe cmpsq", A+0x3000, B+0x3000, 0x400
    comparing "cmpsb unlike", "repne cmpsb", A, B+1, 0x4000
    comparing "cmpsw none", "repe cmpsw", A, B, 0
    movl $0, A + 0x3fff
    movl $0, A + 0x4003
    comparing "scasl", "xorl %eax, %eax; repne scasl", A, A+3, 0x4000
    comparing "scasb", "movl $0x77, %eax; repne scasb", A, A, 0x4000
    comparing "scasq", "movabsq $0x123456789, %rax; repne scasq", A, A, 0x400
    movl $A, %edi
    movl $0x3000, %ecx
    movl $0xeeeeeeee, %eax
    rep stosb
    comparing "scasw equal", "movl $0xeeee, %eax; repe scasw", A, A, 0x4000
    ret

/* ---- downwards ------------------------------------------------------------------ */

directions:
    copying "movsb down", "std; rep movsb; cld", A+0x3003, B+0x3005, 0x3001
    copying "movsq down", "std; rep movsq; cld", A+0x3004, B+0x3001, 0x600
    copying "movsw down, overlapping", "std; rep movsw; cld", A+0x3000, A+0x3002, 0x1000
    copying "stosl down", "std; rep stosl; cld", A, B+0x2ffd, 0xb00
    comparing "cmpsl down", "std; repe cmpsl; cld", A+0x2000, A+0x2000, 0x700
    comparing "scasb down", "movb $0x3c, %al; std; repne scasb; cld", A, A+0x2000, 0x1000
    ret

/* ---- what is no memory ---------------------------------------------------------- */

not_memory:
    /* Version, twice a task priority, of the local APIC; from it and to it. */
    movl $0x1ff, LAPIC + 0xf0
    movq $LAPIC, %rsi
    addq $0x30, %rsi
    movl $B, %edi
    movl $1, %ecx
    rep movsl
    registers "from the APIC"
    hex B, 8
    movl $0x20, A
    movl $A, %esi
    movq $LAPIC, %rdi
    addq $0x80, %rdi
    movl $1, %ecx
    rep movsl
    registers " to the APIC"
    movl LAPIC + 0x80, %eax
    hex %rax, 8
    movl $0, LAPIC + 0x80
    /* Several, from and to places where nothing answers. */
    movq $IOAPIC, %rsi
    addq $0x8000, %rsi
    movl $B, %edi
    movl $0x200, %ecx
    rep movsq
    registers " from nowhere"
    sum B
    movl $A, %esi
    movq $IOAPIC, %rdi
    addq $0x8ff0, %rdi
    movl $0x100, %ecx
    rep movsb
    registers "to nowhere"
    /* The ROM: reads, and writes that change nothing. */
    movl $ROM, %esi
    movl $B, %edi
    movl $0x400, %ecx
    rep movsb
    registers "from the ROM"
    movl $A, %esi
    movl $0xfe000, %edi
    movl $0x200, %ecx
    movl 0xfe000, %ebx
    rep movsq
    registers "to the ROM"
    cmpl 0xfe000, %ebx
    jne failed
    /* Ports. */
    movw $0x510, %dx
    movw $0, %ax
    outw %ax, %dx
    movw $0x511, %dx
    movl $(B + 0xffe), %edi
    movl $4, %ecx
    rep insb
    registers "insb"
    hex B+0xffe, 8
    movw $0x80, %dx
    movl $A, %esi
    movl $300, %ecx
    rep outsb
    inb $0x80, %al
    movzbl %al, %eax
    registers " outsb"
    hex A+299, 2
    print "\n"
    ret
failed:
    exit 1

/* ---- faults midway -------------------------------------------------------------- */


.macro caught text, insn
    leaq .Lat\@(%rip), %r15
    catch .Lafter\@
.Lat\@:
    \insn
.Lafter\@:
    cld
    print "\text"
    call show_trap
    call show_registers
.endm

.macro page number, value
    movq $\value, %rax
    movq %rax, TABLES + 0x2000 + 8 * \number
.endm

faults:
    movq $(TABLES + 3), PML4 + 8
    movq $(TABLES + 0x1003), TABLES
    movq $(TABLES + 0x2003), TABLES + 0x1000
    page 1, B+3
    page 2, B+0x1003
    page 3, B+0x2001                    /* read only; 0 and 4 are absent */
    movabsq $PAGES, %r14
    call fill

    movl $A, %esi
    leaq 0x1f00(%r14), %rdi
    movl $0x3000, %ecx
    caught "movsb to a read-only page", "rep movsb"
    leaq 0x3ff9(%r14), %rsi
    movl $A, %edi
    movl $0x3000, %ecx
    caught "movsl from an absent page, across", "rep movsl"
    leaq 0x1ffa(%r14), %rdi
    movl $A, %esi
    movl $0x3000, %ecx
    caught "movsq across, then read-only", "rep movsq"
    leaq 0x1010(%r14), %rdi
    leaq 0x1008(%r14), %rsi
    movl $0x3000, %ecx
    caught "movsq down", "std; rep movsq"
    leaq 0x3f00(%r14), %rsi
    movl $(B + 0x2f00), %edi
    movl $0x3000, %ecx
    caught "cmpsb", "repe cmpsb"
    leaq 0x3f00(%r14), %rdi
    movl $0x3000, %ecx
    caught "scasw", "movl $0x12345, %eax; repne scasw"
    leaq 0x3ffe(%r14), %rsi
    leaq 0x3000(%r14), %rdi
    movl $2, %ecx
    caught "movsw, both bad", "rep movsw; rep movsw"
    movl $0xc0000000, %esi
    movabsq $0x00007ffffffffff8, %rdi
    movl $4, %ecx
    caught "stosq to the end of the space", "rep stosq"
    print "entries "
    hex TABLES+0x2008, 8
    hex TABLES+0x2010, 8
    hex TABLES+0x2018, 8
    print "\n"
    sum B
    /* A handler that mends the fault: the instruction goes on. */
    uncatch
    handle 14, mend
    page 2, 0
    page 3, 0
    page 4, 0
    movl $A, %esi
    leaq 0x1123(%r14), %rdi
    movl $0x600, %ecx
    rep movsq
    registers "mended"
    sum B
    movl $0, handlers + 4 * 14
    ret

/* Maps the page of CR2 to B and up. */
mend:
    movq %cr2, %rax
    shrq $12, %rax
    andl $0x1ff, %eax
    movl %eax, %ecx
    decl %ecx
    shll $12, %ecx
    addl $(B + 3), %ecx
    movq %rcx, TABLES + 0x2000(, %rax, 8)
    ret

/* ---- interrupted ---------------------------------------------------------------- */

tick:
    movl ticks, %eax
    movq FRAME_RIP(%rbx), %rcx
    subq %r15, %rcx
    addq %rcx, tick_rip
    movq 13 * 8(%rbx), %rcx             /* the interrupted RCX */
    movl %ecx, tick_rcx(, %rax, 4)
    incl ticks
    cmpl $8, ticks
    jb 1f
    movl $0x10040, LAPIC + 0x320        /* enough */
1:  movl $0, LAPIC + 0xb0
    ret

.macro timed text, insn, count, period
    call fill
    movl $0, ticks
    movq $0, tick_rip
    movl $A, %esi
    movl $B, %edi
    movl $\count, %ecx
    leaq .Lat\@(%rip), %r15
    movl $0x20040, LAPIC + 0x320
    movl $\period, LAPIC + 0x380
    sti
.Lat\@:
    \insn
    cli
    movl $0x10040, LAPIC + 0x320
    registers "\text"
    call show_ticks
    sum B
.endm

interrupted:
    movl $0x0b, LAPIC + 0x3e0
    handle 0x40, tick
    timed "movsb timed", "rep movsb", 0x8000, 1777
    timed "movsq timed", "rep movsq", 0x1e00, 997
    timed "stosl timed", "rep stosl", 0x3c00, 1500
    timed "movsw timed, down", "addl $0xff00, %esi; addl $0xff00, %edi; std; rep movsw; cld", 0x7f00, 1999
    timed "scasb timed", "movb $1, %al; xorl %edi, %edi; repne scasb", 0x1000, 400
    timed "cmpsb timed", "movl %esi, %edi; repe cmpsb", 0x8000, 2222
    /* The time of each is its number of iterations. */
    rdtsc
    movl %eax, %ebx
    movl $A, %edi
    movl $0x1000, %ecx
    rep stosb
    rdtsc
    subl %ebx, %eax
    print "stosb of 4096 takes "
    call putdec
    rdtsc
    movl %eax, %ebx
    xorl %ecx, %ecx
    rep stosb
    rdtsc
    subl %ebx, %eax
    print ", of 0 "
    call putdec
    print "\n"
    ret

show_ticks:
    print " ticks "
    decimal ticks
    print " places "
    decimal tick_rip
    print " left"
    xorl %ebx, %ebx
1:  cmpl ticks, %ebx
    jae 2f
    print " "
    movl tick_rcx(, %rbx, 4), %eax
    hex %rax, 4
    incl %ebx
    jmp 1b
2:  print "\n"
    ret

/* ---- single-stepped ------------------------------------------------------------- */

step:
    incl steps
    ret

stepped:
    handle 1, step
    call fill
    movl $0, steps
    movl $A, %esi
    movl $B, %edi
    movl $37, %ecx
    pushfq
    orq $0x100, (%rsp)
    popfq
    rep movsl
    pushfq
    andq $~0x100, (%rsp)
    popfq
    movl steps, %eax
    registers "stepped"
    movl $A, %edi
    movl $0, steps
    movl $100, %ecx
    movb A + 20, %al
    pushfq
    orq $0x100, (%rsp)
    popfq
    repne scasb
    pushfq
    andq $~0x100, (%rsp)
    popfq
    movl steps, %eax
    registers "stepped scasb"
    ret
