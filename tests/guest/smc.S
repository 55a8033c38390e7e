/*
 * guest: --quantum 61
 * record: --log full
 * Code that changes: ahead in the same stream, behind in a loop, by every
 * width of store, through another mapping, across pages, on the stack, by
 * string instructions that overwrite themselves, by DMA, by the page walker, and by
 * another vCPU. What was stored before an instruction begins is what runs.
 */
    .include "tests/guest/lib.inc"

    .equ CODE, 0x400000         /* pages to run code in */
    .equ SCRATCH, 0x300000
    .equ TABLES, 0x180000       /* of PML4[1]: PDPT, PD, PT */
    .equ ALIAS, 0x8000000000    /* CODE once more */
    .equ go, 0x170000
    .equ done, 0x170040
    .equ sums, 0x170080         /* 8 bytes a vCPU */
    .equ number, 0x170200
    .equ ROUNDS, 2000

.macro copy name, to=CODE
    movl $\name, %esi
    movl $\to, %edi
    movl $(\name\()_end - \name), %ecx
    rep movsb
.endm

.macro result text
    print "\text "
    hex %rax, 8
    print "\n"
.endm

/* CODE + 64 n: mov $imm32, %eax; ret. */
.macro constant place, value=0x11111111
    movb $0xb8, \place
    movl $\value, \place + 1
    movb $0xc3, \place + 5
.endm

main:
    call map_alias
    call test_ahead
    call test_widths
    call test_loop
    call test_alias
    call test_across
    call test_stack
    call test_strings
    call test_walker
    call test_dma
    call test_others
    movb $PASS, %al
    ret

map_alias:
    movq $(TABLES + 3), PML4 + 8
    movq $(TABLES + 0x1003), TABLES
    movq $(TABLES + 0x2003), TABLES + 0x1000
    movl $(TABLES + 0x2000), %edi
    movl $(CODE + 3), %eax
1:  movq %rax, (%rdi)
    addl $8, %edi
    addl $0x1000, %eax
    cmpl $(TABLES + 0x3000), %edi
    jb 1b
    ret

/* ---- in its own way ----------------------------------------------------------- */

ahead:
    movl $0x22222222, 1f - ahead + CODE + 1
1:  movl $0x11111111, %eax
    ret
ahead_end:
ahead_far:
    movb $0x33, 1f - ahead_far + CODE + 1
    nop
    nop
    jmp 1f
    .balign 64, 0x90
1:  movl $0x11111111, %eax
    ret
ahead_far_end:
inside:                                 /* changes the length of the next instruction */
    movb $0x90, 1f - inside + CODE
1:  .byte 0x66                          /* 66 b8 imm16, or nop, b8 imm32 */
    .byte 0xb8, 0x44, 0x44, 0x90, 0x90
    ret
inside_end:
test_ahead:
    copy ahead
    movl $CODE, %ebp
    call *%rbp
    result "ahead"
    call *%rbp
    result "ahead again"
    copy ahead_far
    call *%rbp
    result "ahead, another line"
    copy inside
    xorl %eax, %eax
    call *%rbp
    result "another length"
    /* A loop whose first instruction grows: 1, 2, 4, 8, 16. */
    copy growing
    call *%rbp
    result "behind"
    ret
growing:
    xorl %eax, %eax
    movl $5, %ecx
1:  addl $1, %eax
    shlb $1, 1b - growing + CODE + 2
    decl %ecx
    jnz 1b
    ret
growing_end:

/* ---- by every kind of store --------------------------------------------------- */

.macro stores text, insn
    constant CODE
    call *%rbp
    \insn
    call *%rbp
    result "\text"
.endm

test_widths:
    movl $CODE, %ebp
    movabsq $0x7766554433221100, %rbx
    stores "movb", "movb %bl, CODE + 3"
    stores "movw", "movw %bx, CODE + 2"
    stores "movl", "movl %ebx, CODE + 1"
    stores "movq", "movabsq $0x900000c3778899b8, %rax; movq %rax, CODE; movb $0xc3, CODE + 5"
    stores "unaligned", "movl $0x7766b8ee, CODE - 1"
    stores "xchg", "movl %ebx, %eax; xchgl %eax, CODE + 1"
    stores "cmpxchg", "movl $0x11111111, %eax; lock cmpxchgl %ebx, CODE + 1"
    stores "cmpxchg fails", "movl $0x1111, %eax; lock cmpxchgl %ebx, CODE + 1"
    stores "bts", "btsl $31, CODE + 1"
    stores "neg", "lock negl CODE + 1"
    stores "push", "movq %rsp, %rdx; movl $(CODE + 8), %esp; movabsq $0xc300005678b8, %rax; pushq %rax; movq %rdx, %rsp"
    stores "movaps", "movaps vector_constant(%rip), %xmm0; movaps %xmm0, CODE"
    stores "movss", "movss vector_constant + 1(%rip), %xmm0; movss %xmm0, CODE + 1"
    stores "fstp", "fninit; flds vector_constant + 1(%rip); fstps CODE + 1"
    stores "movnti", "movntil %ebx, CODE + 1"
    stores "stos", "movl %ebx, %eax; movl $(CODE + 1), %edi; stosl"
    stores "sgdt", "sgdt CODE + 3; movb $0xc3, CODE + 5"
    stores "fxsave", "fxsave CODE - 0x10; movb $0xb8, CODE; movb $0xc3, CODE + 5"
    stores "setcc", "stc; setc CODE + 1"
    stores "xadd", "movl $0x100, %eax; lock xaddl %eax, CODE + 1"
    ret
    .balign 16, 0
vector_constant:
    .byte 0xb8, 0x0d, 0xf0, 0xad, 0x3b, 0xc3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0

/* ---- many times --------------------------------------------------------------- */

caller:
    .byte 0xe8                          /* call */
    .long callee - . - 4
    addl %eax, %ebx
    ret
    .balign 64, 0x90
callee:
    movl $0, %eax
    ret
caller_end:

test_loop:
    copy caller
    movl $CODE, %ebp
    xorl %ebx, %ebx
    xorl %edx, %edx
1:  incl %edx
    movl %edx, callee - caller + CODE + 1
    call *%rbp
    cmpl $ROUNDS, %edx
    jb 1b
    movl %ebx, %eax
    result "loop"
    /* Stores beside the code, in its page and its line. */
    xorl %ebx, %ebx
    movl $1000, %edx
2:  movl %edx, CODE + 0x800
    movl %edx, callee - caller + CODE + 8
    call *%rbp
    decl %edx
    jnz 2b
    movl %ebx, %eax
    result "beside"
    ret

/* ---- the same page by another address ----------------------------------------- */

test_alias:
    movabsq $ALIAS, %r14
    movl $CODE, %ebp
    constant CODE
    call *%r14
    movl $0x1a1a1a1a, CODE + 1
    call *%r14
    result "alias runs"
    movl $0x2b2b2b2b, 1(%r14)
    call *%rbp
    result "alias writes"
    movl $0x3c3c3c3c, 1(%r14)
    call *%r14
    result "alias does both"
    /* The code that writes is in the same page, by its other address. */
    copy writes_alias, CODE + 0x100
    leaq 0x100(%r14), %rax
    call *%rax
    result "alias of the next instruction"
    ret
writes_alias:
    movl $0x4d4d4d4d, CODE + 0x100 + 1f - writes_alias + 1
1:  movl $0x11111111, %eax
    ret
writes_alias_end:

/* ---- across two pages --------------------------------------------------------- */

test_across:
    movl $(CODE + 0xffd), %ebp
    constant CODE+0xffd
    call *%rbp
    movb $0x55, CODE + 0x1000
    call *%rbp
    result "across: second page"
    movb $0x66, CODE + 0xfff
    call *%rbp
    result "across: first page"
    movl $0x77778888, CODE + 0xffe
    call *%rbp
    result "across: both"
    movb $0x90, CODE + 0xffd            /* the bytes after it are code now */
    movl $0x00b89090, CODE + 0xffe
    movl $0x00009999, CODE + 0x1002
    movl $0xc39000, CODE + 0x1004
    call *%rbp
    result "across: no more"
    ret

/* ---- on the stack ------------------------------------------------------------- */

test_stack:
    xorl %ebx, %ebx
    movl $300, %edx
1:  movabsq $0x9090c300000000b8, %rax   /* mov $n, %eax; ret */
    movq %rdx, %rcx
    shlq $8, %rcx
    orq %rcx, %rax
    pushq %rax
    movq %rsp, %rax
    call *%rax
    addl %eax, %ebx
    popq %rcx
    decl %edx
    jnz 1b
    movl %ebx, %eax
    result "stack"
    /* Code on a stack that grows into it: the CALL's return address
     * overwrites the code's end. */
    movq %rsp, %rdx
    movl $(CODE + 0x208), %esp
    movl $0x90909090, CODE + 0x1f8
    movb $0xc3, CODE + 0x1fc
    movl $(CODE + 0x1f8), %eax
    movw $0xc390, CODE + 0x1fe
    call *%rax
    movq %rdx, %rsp
    result "stack beside code"
    ret

/* ---- string instructions ------------------------------------------------------ */

fills_ahead:
    rep stosb
    movl $0x11111111, %eax
    ret
fills_ahead_end:

test_strings:
    movl $CODE, %ebp
    copy fills_ahead
    movl $(CODE + 2), %edi
    movl $5, %ecx
    movl $0x90, %eax
    call *%rbp
    result "rep stos ahead"
    /* Over itself: once its second byte is a NOP the rest stays undone. */
    copy fills_ahead
    movl $CODE, %edi
    movl $20, %ecx
    movl $0x90, %eax
    movb $0xc3, CODE + 7
    call *%rbp
    movl %ecx, %eax
    result "rep stos over itself, left"
    /* REP MOVS brings new code over the old, and onto the place that runs. */
    copy fills_ahead
    constant CODE+0x40, 0xabcdef01
    movb $0xa4, CODE + 1
    movl $(CODE + 0x40), %esi
    movl $(CODE + 2), %edi
    movl $6, %ecx
    call *%rbp
    result "rep movs ahead"
    movl $(CODE + 0x40), %esi
    movl $CODE, %edi
    movl $6, %ecx
    rep movsb
    call *%rbp
    result "rep movs"
    ret

/* ---- the walker's own writes -------------------------------------------------- */

/* A page table entry is run as code: 03 is ADD, with A set 23 is AND, with D too
 * 63 is MOVSXD. */
test_walker:
    movq $0x30c003, TABLES + 0x2ff0     /* add %eax, %eax; xorb %al, (%rax) ... */
    movabsq $0xc300000000, %rax
    orq $0xc3, %rax
    movq %rax, TABLES + 0x2ff8          /* ret */
    movl $(TABLES + 0x2ff0), %ebp
    movabsq $(ALIAS + 0x1fe000), %r14
    movl $SCRATCH, %eax
    call *%rbp
    result "entry as code: add"
    movl $SCRATCH, %eax
    movb (%r14), %cl
    call *%rbp
    result "entry as code: and"
    movb $3, TABLES + 0x2ff0
    movl $SCRATCH, %eax
    call *%rbp
    result "entry as code: cleared"
    movl $0x80000000, %eax
    movb %cl, (%r14)
    movzbl TABLES + 0x2ff0, %eax
    result "entry as code: written"
    ret

/* ---- DMA ---------------------------------------------------------------------- */

/* fw_cfg's DMA: item 0, the signature, goes to ECX. */
dma_signature:
    movl %ecx, %eax
    bswapl %eax
    movl $0, SCRATCH + 0x108
    movl %eax, SCRATCH + 0x10c
    movl $0x0a000000, SCRATCH + 0x100   /* select item 0, read */
    movl $0x04000000, SCRATCH + 0x104   /* 4 bytes */
    movw $0x514, %dx
    xorl %eax, %eax
    outl %eax, %dx
    movw $0x518, %dx
    movl $(SCRATCH + 0x100), %eax
    bswapl %eax
    outl %eax, %dx
    ret

test_dma:
    constant CODE
    movl $CODE, %ebp
    call *%rbp
    movl $(CODE + 1), %ecx
    call dma_signature
    call *%rbp
    result "dma"
    movl $(CODE + 0xffd), %ebp
    constant CODE+0xffd
    call *%rbp
    movl $(CODE + 0xffe), %ecx
    call dma_signature
    call *%rbp
    result "dma across pages"
    ret

/* ---- other vCPUs -------------------------------------------------------------- */

/* Runs CODE over and over, adding what it gives, until the boot vCPU is done. */
others:
    movl $CODE, %ebp
    shll $3, %ebx
1:  call *%rbp
    addq %rax, sums(%rbx)
    pause
    cmpl $0, go
    jne 1b
    lock incl done
2:  hlt
    jmp 2b

.macro icr low
    movl $0, LAPIC + 0x310
    movl $\low, LAPIC + 0x300
.endm

test_others:
    constant CODE
    movl $others, ap_main
    movl $1, go
    movl $0x1ff, LAPIC + 0xf0
    icr 0xc4500
    movl $10000, %ecx
1:  loop 1b
    icr 0xc4600 + AP_VECTOR
    movl $300000, %ecx
1:  loop 1b
    movl cpus_started, %r12d
    xorl %edx, %edx
2:  incl %edx
    movl %edx, CODE + 1
    pause
    movl $7, %ecx
3:  loop 3b
    cmpl $ROUNDS, %edx
    jb 2b
    movl $0, go
4:  pause
    cmpl %r12d, done
    jne 4b
    print "others"
    movl $1, %ebx
5:  cmpl %r12d, %ebx
    ja 6f
    print " "
    decimal "sums(,%rbx,8)"
    incl %ebx
    jmp 5b
6:  print "\n"
    ret
