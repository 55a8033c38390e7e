/*
 * System management mode: how an SMI comes and what it finds, what SMM sees of
 * memory, what waits while it lasts, and what RSM brings back. One handler
 * notes its entry state and calls the hook of the case that runs.
 */
    .equ WITH_16, 1
    .equ WITH_32, 1
    .include "tests/guest/lib.inc"

    .equ V, 0x100000            /* variables; the handler has EBX there */
    .equ count, 0x00
    .equ hook, 0x04             /* offset in the ROM, 0: none */
    .equ in_cr0, 0x08
    .equ in_cr4, 0x0c
    .equ in_flags, 0x10
    .equ in_cs, 0x14
    .equ in_dr7, 0x18
    .equ in_efer, 0x1c
    .equ map_at, 0x20           /* where the state save map is */
    .equ seen, 0x24             /* hooks note here */
    .equ nmis, 0x30
    .equ order, 0x40            /* bytes: what happened, in order */
    .equ order_count, 0x60

    .equ R, 0x8500              /* what 16-bit and 32-bit code notes */
    .equ MAP, 0x3fe00           /* while SMBASE is 30000h */
    .equ PM, 0x600
    .equ SMRAM, 0x80000070      /* configuration addresses */
    .equ DEVACTB, 0x80000b58

/* ---- the handler: 16-bit code in the ROM --------------------------------- */

    .code16
stub:                           /* at SMBASE + 8000h */
    movw %cs, %ax
    ljmp $0xf000, $(handler - ROM)
stub_end:

handler:
    movl $V, %ebx
    movzwl %ax, %eax
    movl %eax, in_cs(%ebx)
    movl $0x7000, %esp
    pushfl
    popl %eax
    movl %eax, in_flags(%ebx)
    movl %cr0, %eax
    movl %eax, in_cr0(%ebx)
    movl %cr4, %eax
    movl %eax, in_cr4(%ebx)
    movl %dr7, %eax
    movl %eax, in_dr7(%ebx)
    movl $0xc0000080, %ecx
    rdmsr
    movl %eax, in_efer(%ebx)
    incl count(%ebx)
    movl map_at(%ebx), %esi
    movl hook(%ebx), %eax
    testl %eax, %eax
    jz 1f
    call *%ax
1:  rsm

/* Notes AL. */
note16:
    movl order_count(%ebx), %edi
    movb %al, order(%ebx, %edi)
    incl order_count(%ebx)
    ret

hook_note:
    movb $'S', %al
    jmp note16

/* Two SMIs from within: one is latched. */
hook_again:
    movb $'S', %al
    call note16
    cmpl $1, count(%ebx)
    jne 1f
    movl $0xfee00300, %edi
    movl $0x44200, (%edi)
    movl $0x44200, (%edi)
    nop
    movb $'s', %al
    call note16
1:  ret

/* NMIs from within wait, however many. */
hook_nmi:
    movl $0xfee00300, %edi
    movl $0x44400, (%edi)
    movl $0x44400, (%edi)
    nop
    movb $'s', %al
    jmp note16

/* IRET lets them in, through the vector table of real mode. */
hook_iret:
    lidtl %cs:(ivt_pointer - ROM)
    movl $0x6008, %edi
    movl $(0xf0000000 + nmi16 - ROM), (%edi)
    movl $0xfee00300, %edi
    movl $0x44400, (%edi)
    pushfw
    pushw %cs
    pushw $(1f - ROM)
    movb $'i', %al
    call note16
    iretw
1:  movb $'s', %al
    jmp note16
nmi16:
    pushl %edi
    movb $'n', %al
    call note16
    popl %edi
    iretw
ivt_pointer:
    .word 0x3ff
    .long 0x6000

/* A maskable interrupt waits for RSM. */
hook_irq:
    movl $0xfee00300, %edi
    movl $0x44041, (%edi)
    nop
    movb $'s', %al
    jmp note16

/* The third SMI in HLT wakes it. */
hook_halt:
    movb 0xc9(%esi), %al
    movb %al, seen(%ebx)
    cmpl $3, count(%ebx)
    jb 1f
    movb $0, 0xc9(%esi)
1:  ret

/* Restarts the I/O instruction at the SMI whose number is in `seen`. */
hook_io:
    movl count(%ebx), %eax
    cmpl seen(%ebx), %eax
    jne 1f
    movb $0xff, 0xc8(%esi)
1:  ret

hook_relocate:
    movl $0xa0000, 0x100(%esi)
    ret

/* What data accesses find at A8000h. */
hook_look:
    movl $0xa8000, %edi
    movl (%edi), %eax
    movl %eax, seen(%ebx)
    ret

/* The same by code in SMRAM while that is closed to data. */
hook_closed:
    movl $SMRAM, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfe, %dx
    movb $0x2a, %al
    outb %al, %dx
    movl $0xa8000, %edi
    lcall $0xa000, $0x8010
    movl %eax, seen(%ebx)
    movb $0x0a, %al
    outb %al, %dx
    ret
looker:                         /* at A8010h */
    movl (%edi), %eax
    lret

/* Changes what RSM brings back. */
hook_change:
    movl $0x11223344, 0x1f8(%esi)   /* RAX */
    movl $0x55667788, 0x1fc(%esi)
    orl $0x41, 0x170(%esi)          /* ZF, CF */
    movl $0x99, 0x180(%esi)         /* R15 */
    ret

    .macro wide_in port
    movw $\port, %dx
    inl %dx, %eax
    .endm

/* SMI from real mode and from protected mode, by the APM port. */
main16:
    pushal
    movl $0x80000b40, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    movl $(PM + 1), %eax
    outl %eax, %dx
    movl $0x80000b80, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    movb $1, %al
    outb %al, %dx
    movl $DEVACTB, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcff, %dx
    movb $2, %al
    outb %al, %dx
    movw $(PM + 0x28), %dx
    movb $1, %al
    outb %al, %dx
    movw $0x3000, %ax                   /* the stub for SMBASE 30000h */
    movw %ax, %es
    movw $(stub - ROM), %si
    movw $0x8000, %di
    movw $(stub_end - stub), %cx
    rep movsb %cs:(%si), %es:(%di)
    movw $0x1234, %ax
    movw %ax, %es
    movl $0xcafe5678, %ebp
    outb %al, $0xb2
    movw %es, %ax                       /* what RSM loaded */
    movw %ax, R
    movl %ebp, R + 4
    xorw %ax, %ax
    movw %ax, %es
    popal
    ret

    .code32
main32:
    pushal
    movl V + count, %eax
    movl %eax, R + 8
    movl MAP + 0x158, %eax              /* CR0 of real mode */
    movl %eax, R + 0xc
    outb %al, $0xb2
    movl V + count, %eax
    movl %eax, R + 0x10
    movl MAP + 0x10, %eax               /* CS: selector, attributes */
    movl %eax, R + 0x14
    popal
    ret

/* ---- the cases ------------------------------------------------------------ */

    .code64
.macro use_hook label
    movl $(\label - ROM), V + hook
    movl $0, V + count
    movl $0, V + order_count
.endm

.macro smi
    movl $0x44200, LAPIC + 0x300
.endm

.macro show text, at, digits=8
    movl \at, %eax
    print "\text"
    hex %rax, \digits
.endm

.macro config address, port, byte
    movl $\address, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $\port, %dx
    movb $\byte, %al
    outb %al, %dx
.endm

note:
    movl V + order_count, %ecx
    movb %al, V + order(%rcx)
    incl V + order_count
    ret

show_order:
    xorl %ebx, %ebx
1:  cmpl V + order_count, %ebx
    jae 2f
    movb V + order(%rbx), %al
    call putc
    incl %ebx
    jmp 1b
2:  print "\n"
    ret

nmi_handler:
    movb $'N', %al
    call note
    cmpl $0, nmi_smi
    je 1f
    movl $0, nmi_smi
    smi                                 /* NMIs stay blocked beyond RSM */
    movl $0x44400, LAPIC + 0x300
    nop
    movb $'b', %al
    call note
1:  ret
    .equ nmi_smi, 0x100080

irq_handler:
    movb $'I', %al
    call note
    movl $0, LAPIC + 0xb0
    ret

step_handler:
    movb $'T', %al
    call note
    andl $~0x100, FRAME_RFLAGS(%rbx)
    movq FRAME_RIP(%rbx), %rax
    movl %eax, step_rip
    ret
    .equ step_rip, 0x100084

main:
    leaq ROM(%rip), %r15
    call pic_init
    movl $0x1ff, LAPIC + 0xf0
    movl $MAP, V + map_at
    handle 1, step_handler
    handle 2, nmi_handler
    handle 0x41, irq_handler
    call test_modes
    call test_entry
    call test_sources
    call test_waiting
    call test_halt
    call test_io
    call test_smram
    movb $PASS, %al
    ret

test_modes:
    show "real mode: es " R, 4
    show " ebp " R + 4
    show " count " R + 8, 1
    show " cr0 " R + 0xc
    show "\n32-bit: count " R + 0x10, 1
    show " cs " R + 0x14
    print "\n"
    ret

test_entry:
    use_hook hook_note
    movabsq $0x0123456789abcdef, %r9
    movl $0x12345, %r14d
    movl $0x7654, %ebp
    stc
    smi
1:  setc %al
    movb %al, seen_carry
    print "entry: count "
    hex V + count, 1
    show " cr0 " V + in_cr0
    show " cr4 " V + in_cr4
    show " flags " V + in_flags
    show " cs " V + in_cs, 4
    show " dr7 " V + in_dr7
    show " efer " V + in_efer
    show "\nmap: revision " MAP + 0xfc
    show " base " MAP + 0x100
    show " cr0 " MAP + 0x158
    show " cr4 " MAP + 0x148
    show " cr3 " MAP + 0x150
    show " efer " MAP + 0xd0
    show " dr6 " MAP + 0x168
    show " dr7 " MAP + 0x160
    show "\n flags " MAP + 0x170
    show " cs " MAP + 0x10
    show " limit " MAP + 0x14
    show " ss " MAP + 0x20
    show " tr " MAP + 0x90
    show " base " MAP + 0x98
    show " gdt " MAP + 0x68
    show " limit " MAP + 0x64
    show " idt " MAP + 0x88
    show " cpl " MAP + 0xcb, 2
    show " halt " MAP + 0xc9, 2
    show " io " MAP + 0xc0
    print "\n rip "
    movq MAP + 0x178, %rax
    leaq 1b(%rip), %rcx
    subq %rcx, %rax
    hex %rax, 2
    print " r9 "
    hex MAP + 0x1b0
    print " r14 "
    hex MAP + 0x188, 8
    print " rbp "
    hex MAP + 0x1d0, 8
    print " after: r9 "
    hex %r9
    show " carry " seen_carry, 1
    print "\n"
    use_hook hook_change
    movq %r15, %r8
    movl $1, %eax
    smi
    setz %cl
    setc %ch
    movq %r15, %rdx
    movq %r8, %r15
    print "changed: rax "
    hex %rax
    print " r15 "
    hex %rdx, 4
    print " flags "
    hex %rcx, 4
    print "\n"
    catch 1f
    rsm
1:  print "rsm outside:"
    call show_trap
    ret
    .equ seen_carry, 0x100088

/* The APM port's SMI needs both enables. */
.macro try_apm text, apmc, enable
    config DEVACTB, 0xcff, \apmc
    movw $(PM + 0x28), %dx
    movb $\enable, %al
    outb %al, %dx
    use_hook hook_note
    outb %al, $0xb2
    show "\text" V + count, 1
.endm

test_sources:
    print "port b2h:"
    try_apm " off " 0, 0
    try_apm " apmc " 2, 0
    try_apm " smi " 0, 1
    try_apm " both " 2, 1
    use_hook hook_note
    movl $0x200, LAPIC + 0x310          /* to APIC 0, by its id */
    movl $0, LAPIC + 0x310
    movl $0x4200, LAPIC + 0x300
    show "\nicr: id " V + count, 1
    movl $0x84200, LAPIC + 0x300        /* all */
    show " all " V + count, 1
    print "\n"
    ret

test_waiting:
    use_hook hook_again
    smi
    movb $'m', %al
    call note
    print "smi in smm: "
    call show_order
    use_hook hook_nmi
    smi
    movb $'m', %al
    call note
    print "nmi in smm: "
    call show_order
    use_hook hook_iret
    smi
    movb $'m', %al
    call note
    print "iret in smm: "
    call show_order
    use_hook hook_note
    movl $1, nmi_smi
    movl $0x44400, LAPIC + 0x300
    movb $'m', %al
    call note
    print "smi in an nmi: "
    call show_order
    use_hook hook_irq
    sti
    smi
    movb $'m', %al
    call note
    cli
    print "interrupt in smm: "
    call show_order
    /* Single-stepped: the SMI comes first, then the trap. */
    use_hook hook_note
    pushfq
    orl $0x100, (%rsp)
    popfq
    outb %al, $0xb2
1:  nop
    print "stepped: "
    call show_order
    leaq 1b(%rip), %rax
    movl step_rip, %ecx
    subl %eax, %ecx
    print " after the instruction "
    hex %rcx, 2
    print "\n"
    ret

/* Counter 0 of the timer, pin 2: an SMI every 2 ms or so. */
test_halt:
    use_hook hook_halt
    movl $0x14, IOAPIC
    movl $0x200, IOAPIC + 0x10
    movb $0x34, %al
    outb %al, $0x43
    movb $0, %al
    outb %al, $0x40
    movb $8, %al
    outb %al, $0x40
    hlt
1:  movl $0x14, IOAPIC
    movl $0x10200, IOAPIC + 0x10
    show "hlt: count " V + count, 1
    show " byte " V + seen, 2
    movq MAP + 0x178, %rax
    leaq 1b(%rip), %rcx
    subq %rcx, %rax
    print " rip "
    hex %rax, 2
    print "\n"
    ret

.macro io_case text, which
    use_hook hook_io
    movl $\which, V + seen
    print "\text"
.endm

.macro show_io
    movq MAP + 0xa0, %rax
    subq %rbx, %rax
    print " rip "
    hex %rax, 2
    show " trap " MAP + 0xc0
.endm

.macro show_string
    show_io
    show " rcx " MAP + 0xa8, 4
    show " rsi " MAP + 0xb0
.endm

test_io:
    leaq 1f(%rip), %rbx
    io_case "out:", 1
1:  outb %al, $0xb2
    show_io
    show " count " V + count, 1
    print "\nout dx:"
    use_hook hook_io
    leaq 1f(%rip), %rbx
    movl $0xb2, %edx
1:  outw %ax, %dx
    show_io
    show " count " V + count, 1
    print "\nrep outsb:"
    use_hook hook_io
    leaq 1f(%rip), %rbx
    movl $3, %ecx
    movl $0x101000, %esi
1:  rep outsb
    show_string
    show " count " V + count, 1
    print " then "
    hex %rsi, 8
    print " backwards, addr32:"
    use_hook hook_io
    leaq 1f(%rip), %rbx
    movabsq $0xffffffff00000002, %rcx
    movl $0x101000, %esi
    std
1:  rep addr32 outsb
    cld
    show_string
    show " count " V + count, 1
    print " icr:"
    use_hook hook_note
    smi
    show " trap " MAP + 0xc0
    print "\n"
    ret

.macro smram text, value
    config SMRAM, 0xcfe, \value
    print "\text"
    movl $0xffffffff, V + seen
    movl $0, V + count
    smi
    movl 0xa8000, %ecx
    show " count " V + count, 1
    show " smm " V + seen
    print " others "
    hex %rcx, 8
    movw $0xcfe, %dx
    inb %dx, %al
    print " register "
    movzbl %al, %eax
    hex %rax, 2
.endm

test_smram:
    use_hook hook_relocate
    config SMRAM, 0xcfe, 0x4a           /* open */
    movl $0x12345678, 0xa8000
    movl stub, %eax
    movl %eax, 0xa8000
    movl stub + 4, %eax
    movl %eax, 0xa8004
    movq looker, %rax
    movq %rax, 0xa8010
    smi
    movl $0xafe00, V + map_at
    use_hook hook_look
    smram "smram: enabled" 0x0a
    show " cs " V + in_cs, 4
    movl $0x5a5a5a5a, 0xa8000           /* goes nowhere */
    use_hook hook_closed
    smram "\nclosed to data" 0x0a
    use_hook hook_look
    smram "\nenabled" 0x0a
    smram "\nopen" 0x4a
    show " cs " 0xafe10
    show " base " 0xaff00
    smram "\nlocked" 0x5a
    smram "\nunlocked?" 0x4a
    print "\n"
    ret
