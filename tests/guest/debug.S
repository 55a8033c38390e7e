/*
 * Debug exceptions in 64-bit code: single steps, breakpoints on instructions,
 * data and ports, the shadow of MOV SS, general detect, INT1, branch steps; where
 * each is reported, with which bits of DR6, and with which RF. (SDM vol. 3,
 * chapter 18; 6.8.3)
 *
 * Each case gives its code and then, one a word, what is to be seen: the
 * place, relative to the code (label - 9b), + DR6 << 16 + RF, or + vector << 20
 * for another vector. A case that sees something else prints a line.
 */
    .include "tests/guest/lib.inc"

    .equ log, 0x100000
    .equ log_count, 0x100400
    .equ wanted_count, 0x100404
    .equ case_base, 0x100408
    .equ cases, 0x100410
    .equ failures, 0x100418
    .equ watched, 0x100480
    .equ selector, 0x1004c0
    .equ buffer, 0x100500

    .equ B0, 0x10000
    .equ B1, 0x20000
    .equ B2, 0x40000
    .equ B3, 0x80000
    .equ BD, 0x20000000
    .equ BS, 0x40000000
    .equ RF, 0x80000000
    .equ OUTSIDE, 0xffff
    .equ BREAKPOINT, 3 << 20
    .equ INT31, 0x31 << 20
    .equ DEBUGCTL, 0x1d9

/* Logs the event of the frame at RBX. */
log_event:
    movl FRAME_RIP(%rbx), %eax
    subl case_base, %eax
    cmpl $0x100, %eax
    jb 1f
    movl $OUTSIDE, %eax
1:  movl FRAME_VECTOR(%rbx), %ecx
    cmpl $1, %ecx
    je 2f
    shll $20, %ecx
    orl %ecx, %eax
    jmp 3f
2:  movq %dr6, %rcx
    shll $16, %ecx
    andl $0x600f0000, %ecx
    orl %ecx, %eax
    movl FRAME_RFLAGS(%rbx), %ecx
    shll $15, %ecx
    andl $RF, %ecx
    orl %ecx, %eax
3:  movl log_count, %ecx
    movl %eax, log(, %rcx, 4)
    incl %ecx
    andl $0x7f, %ecx
    movl %ecx, log_count
    ret

/* #DB: clears DR6, resumes at instruction breakpoints, and ends the steps when
 * all that is wanted was seen. */
on_debug:
    call log_event
    xorl %eax, %eax
    movq %rax, %dr6
    movl log_count, %ecx
    testb $0xf, log - 2(, %rcx, 4)
    jz 1f
    orl $0x10000, FRAME_RFLAGS(%rbx)
1:  cmpl wanted_count, %ecx
    jb 2f
    andl $~0x100, FRAME_RFLAGS(%rbx)
2:  movq $CODE64, FRAME_CS(%rbx)
    movq $0, FRAME_SS(%rbx)
    ret

/* debug NAME, "code", WORD... */
.macro debug name, code, expected:vararg
    .pushsection .rodata
.Lname\@:
    .asciz "\name"
    .popsection
    movl $0, log_count
    movl $((.Lend\@ - .Lwanted\@) / 4), wanted_count
    xorl %eax, %eax
    movq %rax, %dr6
    leaq .Lat\@(%rip), %rax
    movq %rax, case_base
    movl $3, %ecx
    movl $0, %eax
.Lat\@:
9:  \code
    jmp .Lend\@
.Lwanted\@:
    .long \expected
.Lend\@:
    movq $0x400, %rax
    movq %rax, %dr7
    leaq .Lname\@(%rip), %rsi
    leaq .Lwanted\@(%rip), %rdi
    call compare
.endm

compare:
    incl cases
    movl log_count, %ecx
    cmpl wanted_count, %ecx
    jne 1f
    movq %rdi, %rbp
    movq %rsi, %rbx
    movl $log, %esi
    repe cmpsl
    jne 2f
    ret
1:  movq %rdi, %rbp
    movq %rsi, %rbx
2:  incl failures
    movq %rbx, %rsi
    call puts
    print ": seen"
    movl $log, %esi
    movl log_count, %ebx
    call show
    print ", wanted"
    movq %rbp, %rsi
    movl wanted_count, %ebx
    call show
    print "\n"
    ret
show:
    testl %ebx, %ebx
    jz 1f
    print " "
    movl (%rsi), %eax
    hex %rax, 8
    addq $4, %rsi
    decl %ebx
    jmp show
1:  ret

.macro step
    pushq $0x102
    popfq
.endm

/* arm NUMBER, ADDRESS, LENGTH, R/W (0 execute, 1 write, 2 port, 3 access) */
.macro arm number, address, length, way
    leaq \address, %rax
    movq %rax, %dr\number
    movq %dr7, %rax
    orl $(2 << (2 * \number) | (\way | (\length - 1) << 2) << (16 + 4 * \number)), %eax
    movq %rax, %dr7
.endm

.macro load_ss
    movw selector, %ss
.endm

.macro write_msr number, value
    movl $\number, %ecx
    movl $\value, %eax
    xorl %edx, %edx
    wrmsr
.endm

on_syscall:
    nop
    pushq $0x2
    popfq
    jmp *%r14

main:
    movl $0, cases
    movl $0, failures
    movw $0, selector
    movq %cr4, %rax
    orl $8, %eax                        /* DE */
    movq %rax, %cr4
    movq $0x400, %rax
    movq %rax, %dr7
    handle 1, on_debug
    handle 3, log_event
    handle 0x31, log_event

    debug "steps", "step; nop; 1: nop; 2: nop; 3:", 1b-9b+BS, 2b-9b+BS, 3b-9b+BS
    debug "steps of system instructions", "step; cpuid; 1: inb $0x80, %al; 2: movq %cr0, %rax; 3: nop", 1b-9b+BS, 2b-9b+BS, 3b-9b+BS
    debug "sti does not hide a step", "step; sti; 1: nop; 2: cli", 1b-9b+BS, 2b-9b+BS
    debug "hlt is stepped over", "step; sti; 1: hlt; 2: nop; 3: cli", 1b-9b+BS, 2b-9b+BS, 3b-9b+BS
    debug "mov ss hides a step", "step; load_ss; nop; 1: nop; 2:", 1b-9b+BS, 2b-9b+BS
    debug "only the first mov ss does", "step; load_ss; load_ss; 1: nop; 2:", 1b-9b+BS, 2b-9b+BS
    debug "popf that ends the steps", "step; pushq $2; 1: popfq; 2: nop", 1b-9b+BS, 2b-9b+BS
    debug "rep", "leaq buffer, %rdi; step; 1: rep stosb; 2: nop", 1b-9b+BS+RF, 1b-9b+BS+RF, 2b-9b+BS
    debug "int1", ".byte 0xf1; 1: nop", 1b-9b
    debug "int1 behind mov ss", "step; load_ss; .byte 0xf1; 1: nop; 2: nop", 1b-9b, 2b-9b+BS
    debug "int3 is not stepped into", "step; int3; 1: nop; 2: nop", 1b-9b+BREAKPOINT, 2b-9b+BS
    debug "general detect", "movq $0x2400, %rbx; movq %rbx, %dr7; 1: movq %rax, %dr6; nop", 1b-9b+BD+RF
    debug "general detect behind mov ss", "movq $0x2400, %rbx; movq %rbx, %dr7; xorl %eax, %eax; step; load_ss; 1: movq %rax, %dr6; 2: nop; 3:", 1b-9b+BD+RF, 2b-9b+BS, 3b-9b+BS

    debug "instruction", "arm 1, 1f(%rip), 1, 0; 1: nop; nop", 1b-9b+B1
    debug "instruction, by two", "arm 1, 1f(%rip), 1, 0; arm 3, 1f(%rip), 1, 0; 1: nop; nop", 1b-9b+B1+B3
    debug "instruction behind mov ss", "arm 1, 1f(%rip), 1, 0; arm 2, 2f(%rip), 1, 0; load_ss; 1: nop; 2: nop", 2b-9b+B2
    debug "step, then instruction", "arm 0, 2f(%rip), 1, 0; step; 1: nop; 2: nop; 3:", 2b-9b+BS, 2b-9b+B0, 3b-9b+BS
    debug "rep, first iteration only", "leaq buffer, %rdi; arm 0, 1f(%rip), 1, 0; movl $3, %ecx; 1: rep stosb; nop", 1b-9b+B0
    debug "write", "arm 0, watched, 4, 1; movb %al, watched + 3; 1: movb watched, %al; 2: movb %al, watched + 4; 3:", 1b-9b+B0
    debug "write of more than is watched", "arm 0, watched + 4, 4, 1; movq %rax, watched; 1: nop", 1b-9b+B0
    debug "access", "arm 2, watched, 2, 3; movb watched + 1, %al; 1: movb watched + 2, %al; 2:", 1b-9b+B2
    debug "write and step", "arm 0, watched, 1, 1; step; 1: movb %al, watched; 2: nop; 3:", 2b-9b+B0+BS, 3b-9b+BS
    debug "rep, in its midst", "leaq buffer, %rdi; arm 0, buffer + 1, 1, 1; movl $3, %ecx; 1: rep stosb; 2: nop", 1b-9b+B0+RF
    debug "rep, its last", "leaq buffer, %rdi; arm 0, buffer + 2, 1, 1; movl $3, %ecx; 1: rep stosb; 2: nop", 2b-9b+B0
    debug "push", "arm 0, -8(%rsp), 8, 1; pushq %rax; 1: popq %rax; 2:", 1b-9b+B0
    debug "port in", "arm 0, 0x80, 1, 2; inb $0x80, %al; 1: inb $0x81, %al; 2:", 1b-9b+B0
    debug "port out", "arm 3, 0x80, 2, 2; outb %al, $0x81; 1: outb %al, $0x82; 2:", 1b-9b+B3
    debug "ports of rep", "movl $buffer, %esi; movl $0x80, %edx; arm 0, 0x80, 1, 2; movl $2, %ecx; 1: rep outsb; 2: nop", 1b-9b+B0+RF, 2b-9b+B0

    debug "mov ss watched", "arm 0, selector, 2, 3; load_ss; nop; 1: nop", 1b-9b+B0
    debug "mov ss watched and stepped", "arm 0, selector, 2, 3; step; 1: load_ss; nop; 2: nop; 3:", 2b-9b+B0+BS, 3b-9b+BS
    debug "mov ss watched, int1", "arm 0, selector, 2, 3; load_ss; .byte 0xf1; 1: nop", 1b-9b+B0
    debug "mov ss watched, int3", "arm 0, selector, 2, 3; load_ss; int3; 1: nop", OUTSIDE+B0, 1b-9b+BREAKPOINT
    debug "mov ss watched, int 31h", "arm 0, selector, 2, 3; load_ss; int $0x31; 1: nop", OUTSIDE+B0, 1b-9b+INT31

    write_msr 0xc0000081, 0             /* STAR */
    movl $0xc0000081, %ecx
    movl $CODE64, %edx
    wrmsr
    write_msr 0xc0000082, on_syscall
    write_msr 0xc0000084, 0x100         /* SFMASK: TF */
    leaq .Lsyscall1(%rip), %r14
    debug "mov ss watched, syscall", "arm 0, selector, 2, 3; load_ss; syscall; .Lsyscall1: movl $0x400, %eax; movq %rax, %dr7; movw selector, %ss", OUTSIDE+B0
    leaq .Lsyscall2(%rip), %r14
    debug "syscall that clears TF", "step; 1: nop; 2: syscall; .Lsyscall2: nop", 2b-9b+BS
    write_msr 0xc0000084, 0
    leaq .Lsyscall3(%rip), %r14
    debug "syscall that keeps TF", "step; 1: nop; 2: syscall; .Lsyscall3: nop", 2b-9b+BS, OUTSIDE+BS
    movw selector, %ss

    debug "steps of branches", "write_msr DEBUGCTL, 2; step; nop; jmp 1f; nop; 1: nop; 2: nop", 1b-9b+BS, 2b-9b+BS
    debug "branch not taken", "write_msr DEBUGCTL, 2; cmpl %eax, %eax; pushq $0x146; popfq; jne 1f; call 1f; 1: popq %rbx; 2:", 1b-9b+BS, 2b-9b+BS

    end_cases
