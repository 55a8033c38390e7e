/*
 * Exceptions: which, error code, saved place and flags; in real mode, in
 * protected mode (with stack switches, virtual-8086 mode and a task gate
 * for double faults) and in long mode, from rings 0 and 3.
 */
    .equ WITH_16, 1
    .equ WITH_32, 1
    .include "tests/guest/lib.inc"

    /* What the 16- and 32-bit parts saw is printed by the 64-bit part. */
    .equ record_count, 0x5f0
    .equ next16, 0x5f4          /* where a 16-bit test goes on */
    .equ next_sp, 0x5f8
    .equ RECORDS, 0x600         /* number of test, vector, error, IP, CS, flags, SP, CR2 */
    .equ RECORD_BYTES, 32

/* ---- real mode ------------------------------------------------------------ */

    .code16
/* Handlers of vectors 0..15, four bytes each. */
stubs16:
    .set vector, 0
    .rept 16
    .byte 0x6a, vector                  /* push */
    .byte 0xe9                          /* jmp */
    .word trap16 - . - 2
    .byte 0x90, 0x90, 0x90
    .set vector, vector + 1
    .endr

/* Stack: vector, IP, CS, flags. EBP holds the number of the test. */
trap16:
    movw $0, %ax
    movw %ax, %ds
    movl record_count, %edi
    incl record_count
    shll $5, %edi
    addl $RECORDS, %edi
    movl %ebp, (%edi)
    movzwl %sp, %esi
    movzwl %ss:(%esi), %eax
    movl %eax, 4(%edi)
    movl $0, 8(%edi)
    movzwl %ss:2(%esi), %eax
    movl %eax, 12(%edi)
    movzwl %ss:4(%esi), %eax
    movl %eax, 16(%edi)
    movzwl %ss:6(%esi), %eax
    movl %eax, 20(%edi)
    leal 8(%esi), %eax
    movl %eax, 24(%edi)
    xorl %eax, %eax
    movw %ax, %ss
    movw next_sp, %sp
    pushw $0x0002
    popfw
    jmp *next16

/* fault16 NUMBER, "instructions": the place is relative to the last of them
 * when they come with a label 1. */
.macro fault16 number, insn
    movl $\number, %ebp
    movw $(.Lafter\@ - ROM), next16
    movw %sp, next_sp
    \insn
.Lafter\@:
    movw $0, %ax
    movw %ax, %ds
.endm

main16:
    movw $0, %di
    movw $(stubs16 - ROM), %bx
    movw $16, %cx
1:  movw %bx, (%di)
    movw $0xf000, 2(%di)
    addw $4, %di
    addw $8, %bx
    loop 1b

    fault16 0x1600, "xorw %cx, %cx; divw %cx"
    fault16 0x1601, "movw $0x8000, %ax; cwd; movw $-1, %cx; idivw %cx"
    fault16 0x1602, "aam $0"
    fault16 0x1603, "ud2"
    fault16 0x1604, "int3"
    fault16 0x1605, "movb $0x7f, %al; addb $1, %al; into"
    fault16 0x1606, "movl $0x00100005, 0x400; movw $0x11, %ax; boundw %ax, 0x400"
    fault16 0x1607, "movw $0xffff, %bx; movw (%bx), %ax"
    fault16 0x1608, "movw $0xffff, %si; movw %ss:(%si), %ax"
    fault16 0x1609, "movl $0x10000, %ebx; movb (%ebx), %al"
    fault16 0x160a, "movw $0xfffd, %bx; movl %eax, (%bx)"
    fault16 0x160b, "lock; incw %ax"
    fault16 0x160c, "lldt %ax"
    fault16 0x160d, "movl $0x80000000, %eax; movl %eax, %cr0"
    fault16 0x160e, "pushw $0x0102; popfw; nop"
    fault16 0x160f, "int $0x0c"
    fault16 0x1610, "movl %cr0, %eax; orb $8, %al; movl %eax, %cr0; fninit"
    clts
    fault16 0x1611, "movw $0xfff8, %di; movw $0xffff, %si; movw $3, %cx; rep movsw"
    ret

/* ---- protected mode ------------------------------------------------------- */

    .code32
    .equ IDT32, 0x100000
    .equ TSS32, 0x101000
    .equ TSS_OF_DF, 0x101100
    .equ GATE_CALL, 0xf8        /* descriptors made by main32 */
    .equ TSS32_SELECTOR, 0xe8
    .equ DF_SELECTOR, 0xf0
    .equ next32, 0x101200
    .equ next_esp, 0x101204

    define_stubs32 32

/* Stack: vector, error, EIP, CS, EFLAGS, and from outer rings ESP, SS. */
trap32:
    movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    movl record_count, %edi
    incl record_count
    shll $5, %edi
    addl $RECORDS, %edi
    movl %ebp, (%edi)
    movl %esp, %esi
    movl (%esi), %eax
    movl %eax, 4(%edi)
    movl 4(%esi), %eax
    movl %eax, 8(%edi)
    movl 8(%esi), %eax
    movl %eax, 12(%edi)
    movl 12(%esi), %eax
    movl %eax, 16(%edi)
    movl 16(%esi), %ecx
    movl %ecx, 20(%edi)
    leal 20(%esi), %edx
    testl $0x20000, %ecx
    jnz 1f
    testb $3, %al
    jz 2f
1:  movl 20(%esi), %edx
2:  movl %edx, 24(%edi)
    movl %cr2, %eax
    movl %eax, 28(%edi)
go_on32:
    movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl next_esp, %esp
    pushl $2
    popfl
    jmp *next32

/* The task of double faults: notes the EIP of the task that it interrupted. */
double_fault32:
    movl record_count, %edi
    incl record_count
    shll $5, %edi
    addl $RECORDS, %edi
    movl TSS32 + 0x3c, %eax             /* EBP */
    movl %eax, (%edi)
    movl $8, 4(%edi)
    popl %eax
    movl %eax, 8(%edi)
    movl TSS32 + 0x20, %eax
    movl %eax, 12(%edi)
    movl TSS32 + 0x4c, %eax
    movl %eax, 16(%edi)
    movl TSS32 + 0x24, %eax
    movl %eax, 20(%edi)
    movl TSS32 + 0x38, %eax
    movl %eax, 24(%edi)
    str %eax
    movl %eax, 28(%edi)
    clts
    movb $0x89, GDT + TSS32_SELECTOR + 5  /* neither is busy: this task is left for good */
    movb $0x89, GDT + DF_SELECTOR + 5
    movl $TSS32_SELECTOR, %eax
    ltr %ax
    jmp go_on32

.macro fault32 number, insn
    movl $\number, %ebp
    movl $.Lafter\@, next32
    movl %esp, next_esp
    \insn
.Lafter\@:
.endm

/* In ring 3. */
.macro user32 number, insn
    movl $\number, %ebp
    movl $.Lafter\@, next32
    movl %esp, next_esp
    pushl $(USER_DATA32 | 3)
    pushl $0x108000
    pushl $0x2
    pushl $(USER_CODE32 | 3)
    pushl $.Lat\@
    iretl
.Lat\@:
    \insn
    ud2
.Lafter\@:
.endm

/* In virtual-8086 mode, CS F000h. */
.macro virtual number, flags, insn
    movl $\number, %ebp
    movl $.Lafter\@, next32
    movl %esp, next_esp
    pushl $0
    pushl $0
    pushl $0x2000
    pushl $0x2000
    pushl $0x2000
    pushl $0x8000
    pushl $(0x20002 | \flags)
    pushl $0xf000
    pushl $(.Lat\@ - ROM)
    iretl
    .code16
.Lat\@:
    \insn
    ud2
    .code32
.Lafter\@:
.endm

.macro gate32 number, target, selector, type
    movl $\target, %eax
    movl $(\selector << 16), %edx
    movw %ax, %dx
    movl %edx, IDT32 + 8 * (\number)
    movw $(\type), %ax
    movl %eax, IDT32 + 8 * (\number) + 4
.endm

init32:
    fill_idt32 32, 0x8e00
    gate32 0x21, after_int32, CODE32, 0xee00    /* for all */
    gate32 0x22, after_int32, CODE32, 0x8e00
    gate32 0x23, after_int32, CODE32, 0x6e00    /* not present */
    gate32 0x24, after_int32, DATA32, 0x8e00
    gate32 8, 0, DF_SELECTOR, 0x8500
    lidt idt32_pointer

    movl $DATA32, TSS32 + 8
    movl $0x106000, TSS32 + 4
    movw $0x68, TSS32 + 0x66
    descriptor TSS32_SELECTOR, TSS32, 0x67, 0x89
    descriptor DF_SELECTOR, TSS_OF_DF, 0x67, 0x89
    movl $double_fault32, TSS_OF_DF + 0x20
    movl $2, TSS_OF_DF + 0x24
    movl $0x104000, TSS_OF_DF + 0x38
    movl $DATA32, TSS_OF_DF + 0x48
    movl $CODE32, TSS_OF_DF + 0x4c
    movl $DATA32, TSS_OF_DF + 0x50
    movl $DATA32, TSS_OF_DF + 0x54
    movl $TSS32_SELECTOR, %eax
    ltr %ax

    movl $after_int32, %eax
    movl $(CODE32 << 16), %edx
    movw %ax, %dx
    movl %edx, GDT + GATE_CALL
    movw $0xec00, %ax
    movl %eax, GDT + GATE_CALL + 4
    ret
idt32_pointer:
    .word 0x25 * 8 - 1
    .long IDT32

/* An interrupt or call gate was gone through: record it as vector FFh with
 * its stack. */
after_int32:
    pushl $0
    pushl $0xff
    jmp trap32

main32:
    call init32
    fault32 0x3200, "xorl %ecx, %ecx; divl %ecx"
    fault32 0x3201, "movb $0, %cl; movw $1, %ax; divb %cl"
    fault32 0x3202, "int3"
    fault32 0x3203, "movb $0x80, %al; subb $1, %al; into"
    fault32 0x3204, "movl $5, 0x102000; movl $9, 0x102004; movl $4, %eax; boundl %eax, 0x102000"
    fault32 0x3205, "ud2"
    fault32 0x3206, "lock; movl %eax, 0x102000"
    fault32 0x3207, "movl $ABSENT_DATA, %eax; movl %eax, %es"
    fault32 0x3208, "movl $ABSENT_DATA, %eax; movl %eax, %ss"
    fault32 0x3209, "movl $0x1234, %eax; movl %eax, %ds"
    fault32 0x320a, "xorl %eax, %eax; movl %eax, %ds; movl (%eax), %eax"
    fault32 0x320b, "movl $SMALL_DATA, %eax; movl %eax, %es; movl %es:0xffd, %eax"
    fault32 0x320c, "movl $READ_ONLY, %eax; movl %eax, %es; movl %eax, %es:0x102000"
    fault32 0x320d, "movl $SMALL_DATA, %eax; movl %eax, %ss; movl $2, %esp; pushl %eax"
    fault32 0x320e, "ljmp $ABSENT_DATA, $0"
    fault32 0x320f, "lcall $DATA32, $0"
    fault32 0x3210, "int $0x22"
    fault32 0x3211, "int $0x23"
    fault32 0x3212, "int $0x24"
    fault32 0x3213, "int $0x30"
    fault32 0x3214, "movl $TSS32_SELECTOR, %eax; ltr %ax"
    fault32 0x3215, "movl $DATA32, %eax; ltr %ax"
    fault32 0x3216, "pushl $2; pushl $DATA32; pushl $0; iretl"
    fault32 0x3217, "pushl $0x102; popfl; nop; nop"
    fault32 0x3218, ".byte 0xf1"
    fault32 0x3219, "movl $0x80000000, %eax; movl %eax, %cr4"
    fault32 0x321a, "movl $0x4242, %ecx; rdmsr"
    fault32 0x321b, "movl $0x102000, %edi; movl $SMALL_DATA, %eax; movl %eax, %ds; movl $0xff0, %esi; movl $9, %ecx; rep movsl"
    fault32 0x321c, "movl $SMALL_DATA, %eax; movl %eax, %ds; incl 0x1000"
    fault32 0x321d, "lcall $GATE_CALL, $0"

    user32 0x3300, "cli"
    user32 0x3301, "hlt"
    user32 0x3302, "int $0x21"
    user32 0x3303, "int $0x22"
    user32 0x3304, "inb $0x80, %al"
    user32 0x3305, "movl %cr0, %eax"
    user32 0x3306, "lcall $GATE_CALL, $0"
    user32 0x3307, "ljmp $CODE32, $0"
    user32 0x3308, "movl $DATA32, %eax; movl %eax, %ds"
    user32 0x3309, "movl $0x4000, %eax; pushl %eax; popfl; iretl"
    user32 0x330a, "int3"
    user32 0x330b, "pushl $0x200; popfl; pushfl; popl %eax; ud2"
    user32 0x330c, "movl $USER_DATA32, %eax; movl %eax, %ss"
    user32 0x330d, "lretl"

    virtual 0x3400, 0, "cli"
    virtual 0x3401, 0x3000, "cli; sti; ud2"
    virtual 0x3402, 0, "int $0x21"
    virtual 0x3403, 0x3000, "int $0x21"
    virtual 0x3404, 0, "pushfw"
    virtual 0x3405, 0, "int3"
    virtual 0x3406, 0, "movw $0xffff, %bx; movw (%bx), %ax"
    virtual 0x3407, 0, "hlt"
    virtual 0x3408, 0, "outb %al, $0x80"
    virtual 0x3409, 0, "lgdtl 0"
    virtual 0x340a, 0, "sldt %ax"

    gate32 13, 0, DATA32, 0x8e00                /* #GP through a gate to no code */
    fault32 0x3500, "cli; movl $0x1234, %eax; movl %eax, %ds"
    lidt null_pointer32
    ret
null_pointer32:
    .word 0
    .long 0

/* ---- long mode ------------------------------------------------------------ */

    .code64
    .equ PAGES, 0x8000000000    /* linear; PML4[1] */
    .equ TABLES, 0x110000       /* PDPT, PD, PT */
    .equ FRAMES, 0x120000

.macro fault name, insn
    print "\name"
    leaq .Lat\@(%rip), %r15
    catch .Lafter\@
.Lat\@:
    \insn
.Lafter\@:
    call show_trap
.endm

.macro user name, insn
    print "user: \name"
    leaq .Lat\@(%rip), %r15
    catch .Lafter\@
    pushq $(USER_DATA32 | 3)
    pushq $0x138000
    pushq $0x2
    pushq $(USER_CODE64 | 3)
    pushq %r15
    iretq
.Lat\@:
    \insn
    ud2
.Lafter\@:
    call show_trap
.endm

.macro compatible name, insn
    print "compatible: \name"
    leaq .Lat\@(%rip), %r15
    catch .Lafter\@
    pushq $DATA32
    pushq $0xd800
    pushq $0x2
    pushq $CODE32
    pushq %r15
    iretq
    .code32
.Lat\@:
    \insn
    ud2
    .code64
.Lafter\@:
    call show_trap
.endm

.macro page number, flags
    movq $(FRAMES + 4096 * \number + \flags), %rax
    movq %rax, TABLES + 0x2000 + 8 * \number
.endm

init_pages:
    movq $(TABLES + 0x07), PML4 + 8
    movq $(TABLES + 0x1007), TABLES
    movq $(TABLES + 0x2007), TABLES + 0x1000
    page 1, 0x001                       /* supervisor, read only */
    movabsq $(FRAMES + 0x2003 + (1 << 63)), %rax
    movq %rax, TABLES + 0x2010          /* no execution */
    page 3, 0x007
    movabsq $(FRAMES + 0x4003 + (1 << 51)), %rax
    movq %rax, TABLES + 0x2020          /* a reserved bit */
    page 5, 0x005                       /* user, read only */
    page 6, 0x003                       /* supervisor; 7 is absent */
    movq $0, PD + 8 * 512               /* absent: 40000000h */
    ret

show_records:
    movl record_count, %ebx
    movl $RECORDS, %esi
1:  testl %ebx, %ebx
    jz 2f
    movl (%rsi), %eax
    hex %rax, 4
    movl 4(%rsi), %eax
    print " #"
    decimal %rax
    movl 8(%rsi), %eax
    print " error="
    hex %rax, 4
    movl 12(%rsi), %eax
    print " ip="
    hex %rax, 8
    movl 16(%rsi), %eax
    print " cs="
    hex %rax, 4
    movl 20(%rsi), %eax
    print " flags="
    hex %rax, 8
    movl 24(%rsi), %eax
    print " sp="
    hex %rax, 8
    movl 28(%rsi), %eax
    print " "
    hex %rax, 4
    print "\n"
    addl $RECORD_BYTES, %esi
    decl %ebx
    jmp 1b
2:  ret

show_counters:
    print "  rcx="
    hex %rcx, 4
    print " rsi="
    hex %rsi, 16
    print " rdi="
    hex %rdi, 16
    print "\n"
    ret

main:
    call show_records
    call init_pages
    movabsq $PAGES, %r14
    movq $0xdf00, TSS + 0x24            /* IST1: the stack may be the matter */
    movb $1, IDT + 16 * 8 + 4
    movb $1, IDT + 16 * 12 + 4
    movb $1, IDT + 16 * 14 + 4

    fault "div by 0", "xorl %ecx, %ecx; divl %ecx"
    fault "idiv overflow", "movabsq $-0x8000000000000000, %rax; cqto; movq $-1, %rcx; idivq %rcx"
    fault "ud2", "ud2"
    fault "lock nop", ".byte 0xf0, 0x90"
    fault "into", ".byte 0xce"
    fault "int3", "int3"
    fault "icebp", ".byte 0xf1"
    fault "single step", "pushq $0x102; popfq; nop; nop"
    fault "int 30h", "int $0x30"
    fault "not canonical", "movabsq $0x800000000000, %rax; movq (%rax), %rax"
    fault "not canonical by stack", "movabsq $0x800000000000, %rbp; movq (%rbp), %rax"
    fault "push not canonical", "movabsq $0x800000000004, %rsp; pushq %rax"
    fault "jump not canonical", "movabsq $0x800000000000, %rax; jmp *%rax"
    fault "ret not canonical", "movabsq $0x800000000000, %rax; pushq %rax; ret"
    fault "selector beyond the table", "movl $0xfff8, %eax; movl %eax, %fs"
    fault "absent segment", "movl $ABSENT_DATA, %eax; movl %eax, %es"
    fault "absent stack", "movl $ABSENT_DATA, %eax; movl %eax, %ss"
    fault "read-only stack", "movl $READ_ONLY, %eax; movl %eax, %ss"
    fault "wrmsr to none", "movl $0x4242, %ecx; wrmsr"
    fault "EFER reserved", "movl $0xc0000080, %ecx; rdmsr; btsl $1, %eax; wrmsr"
    fault "cr4 reserved", "movq %cr4, %rax; btsq $31, %rax; movq %rax, %cr4"
    fault "cr0 PG without PE", "movq %cr0, %rax; btrq $0, %rax; movq %rax, %cr0"
    fault "cr4 PAE off", "movq %cr4, %rax; btrq $5, %rax; movq %rax, %cr4"
    fault "cr8 too large", "movl $16, %eax; movq %rax, %cr8"
    fault "iretq to data", "pushq $0; pushq $0; pushq $2; pushq $DATA32; pushq $0; iretq"
    fault "iretq to outer, bad ss", "pushq $DATA32; pushq $0; pushq $2; pushq $(USER_CODE64 | 3); pushq $0; iretq"
    fault "retf to a hole", "pushq $0x7ff8; pushq $0; lretq"
    fault "device not available", "movq %cr0, %rax; orq $8, %rax; movq %rax, %cr0; movaps %xmm0, %xmm1"
    clts
    fault "x87 error", "fninit; pushq $0x37b; fldcw (%rsp); fld1; fldz; .byte 0xde, 0xf9; fwait"
    fninit
    fault "sse error", "pushq $0x1d80; ldmxcsr (%rsp); pushq $0x3f800000; movss (%rsp), %xmm0; xorps %xmm1, %xmm1; divss %xmm1, %xmm0"
    fault "movaps unaligned", "movaps 0x1008, %xmm0"

    fault "page: absent", "movb 0x7000(%r14), %al"
    fault "page: absent, written", "movb %al, 0x7ffc(%r14)"
    fault "page: two, second absent", "movq %rax, 0x6ffc(%r14)"
    fault "page: two, read", "movq 0x6ffd(%r14), %rax"
    fault "page: read only", "movb %al, 0x1001(%r14)"
    fault "page: read only, modified", "incl 0x1001(%r14)"
    fault "page: no execution", "leaq 0x2010(%r14), %rax; jmp *%rax"
    fault "page: reserved bit", "movb 0x4000(%r14), %al"
    fault "page: no table", "movb 0x40000000(%r14), %al"
    fault "page: push", "leaq 0x8000(%r14), %rsp; pushq %rax"
    fault "page: bit string", "movl $0x800, %eax; btsl %eax, 0x6f80(%r14)"
    fault "page: cmpxchg writes always", "cmpxchgl %ecx, 0x1000(%r14)"
    movl $0x1000, %ecx
    leaq 0x6f00(%r14), %rdi
    movl $0x2000, %esi
    fault "page: rep stosq", "rep stosq"
    call show_counters
    movl $0x1000, %ecx
    leaq 0x6f04(%r14), %rdi
    movl $0x2000, %esi
    fault "page: rep movsq", "rep movsq"
    call show_counters
    movl $0x1000, %ecx
    leaq 0x6ff3(%r14), %rsi
    fault "page: rep lodsl", "rep lodsl"
    call show_counters

    user "hlt", "hlt"
    user "cli", "cli"
    user "in", "inb $0x80, %al"
    user "mov cr3", "movq %cr3, %rax"
    user "int 30h", "int $0x30"
    user "int3", "int3"
    user "supervisor page", "movb 0x6000(%r14), %al"
    user "supervisor page written", "movb %al, 0x6001(%r14)"
    user "read-only page written", "movb %al, 0x5001(%r14)"
    user "absent page", "movb 0x7001(%r14), %al"
    user "supervisor code", "leaq 0x6000(%r14), %rax; jmp *%rax"
    user "supervisor's data segment", "movl $DATA32, %eax; movl %eax, %ds"
    user "system call off", "sysenter"
    user "flags kept", "stc; std; ud2"
    movb $0xee, IDT + 16 * 0x30 + 5
    user "int 30h allowed", "int $0x30"
    movb $0x8e, IDT + 16 * 0x30 + 5

    compatible "push", "pushl %es; popl %es; pushl %eax; movl $DATA32, %eax; movl %eax, %ds; .byte 0x0e"
    compatible "into", "movb $0x7f, %al; addb $1, %al; into"
    compatible "page", "movl $DATA32, %eax; movl %eax, %ds; movl $0xa0000000, %esi; movl $4, 0x123(%esi,%esi)"
    compatible "null segment", "xorl %eax, %eax; movl %eax, %es; movl %es:0x2000, %eax"
    compatible "int 30h", "int $0x30"
    compatible "bound", "movl $DATA32, %eax; movl %eax, %ds; boundl %eax, 0x2000"

    /* Double faults: a gate that is not present. */
    movb $0x0e, IDT + 16 * 14 + 5
    fault "double: #PF, gate absent", "movb 0x7000(%r14), %al"
    movb $0x8e, IDT + 16 * 14 + 5
    movb $0x0e, IDT + 16 * 13 + 5
    fault "double: #GP, gate absent", "movl $0xfff8, %eax; movl %eax, %fs"
    movb $0x8e, IDT + 16 * 13 + 5
    movb $0x0e, IDT + 16 * 6 + 5
    fault "not double: #UD, gate absent", "ud2"
    movb $0x8e, IDT + 16 * 6 + 5
    movb $0x0e, IDT + 16 * 0x31 + 5
    fault "int 31h, gate absent", "int $0x31"
    movb $0x0e, IDT + 16 * 14 + 5
    fault "double: push faults, handled on another stack", "leaq 0x8000(%r14), %rsp; pushq %rax"
    movb $0x8e, IDT + 16 * 14 + 5
    movb $0, IDT + 16 * 12 + 4
    movb $0, IDT + 16 * 14 + 4
    fault "double: no stack for #PF", "leaq 0x8000(%r14), %rsp; pushq %rax"
    fault "double: no stack for #UD", "leaq 0x8000(%r14), %rsp; ud2"
    uncatch
    movb $PASS, %al
    ret
