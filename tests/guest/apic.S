/*
 * The local APIC and I/O APIC as software sees them: priorities of interrupts
 * that wait, the task priority by its register and by CR8, level-triggered
 * lines, spurious interrupts, errors, x2APIC mode and its faults.
 */
    .include "tests/guest/lib.inc"

    .equ log, 0x100000          /* vectors as they were taken */
    .equ log_count, 0x100100

.macro logs vector
    handle \vector, log_\vector
.endm

/* A handler that notes its vector; the second sort also takes what is above it. */
.macro logger vector
log_\vector:
    movl $\vector, %eax
    jmp note_vector
.endm
    logger 0x35
    logger 0x41
    logger 0x47
    logger 0x52
    logger 0x61
    logger 0x63
    logger 0x78
    logger 0xff

note_vector:
    movl log_count, %ecx
    movb %al, log(%rcx)
    incl log_count
    cmpl $0xff, %eax                    /* spurious: no EOI */
    je 1f
    cmpl $0x52, %eax                    /* this one lets others in */
    jne 2f
    sti
    nop
    nop
    cli
    movl log_count, %ecx
    movb $0xee, log(%rcx)
    incl log_count
2:  cmpl $0, x2
    jne 3f
    movl $0, LAPIC + 0xb0
1:  ret
3:  movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    ret
    .equ x2, 0x100110

show_log:
    xorl %ebx, %ebx
1:  cmpl log_count, %ebx
    jae 2f
    movb log(%rbx), %al
    print " "
    hex %rax, 2
    incl %ebx
    jmp 1b
2:  movl $0, log_count
    print "\n"
    ret

.macro self vector
    movl $(0x44000 + \vector), LAPIC + 0x300
.endm

.macro show offset
    movl LAPIC + \offset, %eax
    print " "
    hex %rax, 8
.endm

.macro open
    sti
    nop
    nop
    cli
.endm

.macro msr_fault text, number, insn
    print "\text"
    catch .Lafter\@
    movl $\number, %ecx
    \insn
.Lafter\@:
    call show_trap
.endm

main:
    leaq ROM(%rip), %r15
    call pic_init
    logs 0x35
    logs 0x41
    logs 0x47
    logs 0x52
    logs 0x61
    logs 0x63
    logs 0x78
    logs 0xff
    print "reset:"
    show 0x20
    show 0x30
    show 0x80
    show 0xe0
    show 0xf0
    show 0x320
    show 0x350
    show 0x370
    print "\n"
    movl $0x1ff, LAPIC + 0xf0

    /* Waiting together: taken from the highest down. */
    self 0x41
    self 0x63
    self 0x61
    self 0x78
    self 0x47
    print "irr"
    show 0x220
    show 0x230
    print " ppr"
    show 0xa0
    open
    print "\nall"
    call show_log

    /* 52h, served with interrupts on, is left by 61h and 63h, not by 41h. */
    self 0x52
    open
    self 0x52
    self 0x41
    self 0x63
    open
    print "nested"
    call show_log

    /* Task priority: by the register and by CR8. */
    movl $0x60, LAPIC + 0x80
    self 0x63
    self 0x41
    self 0x78
    open
    print "tpr 60h"
    call show_log
    movq %cr8, %rax
    print " cr8 "
    hex %rax, 2
    movl $5, %eax
    movq %rax, %cr8
    open
    show 0x80
    call show_log
    xorl %eax, %eax
    movq %rax, %cr8
    open
    print " cr8 0"
    call show_log

    /* Raised while the task priority masks it, then masked by software. */
    self 0x35
    movl $0x35, %eax
    movq $3, %rax
    movq %rax, %cr8
    open
    print " cr8 3"
    call show_log
    xorl %eax, %eax
    movq %rax, %cr8
    open
    call show_log

    call test_errors
    call test_level
    call test_x2apic
    movb $PASS, %al
    ret

test_errors:
    print "errors:"
    movl $0, LAPIC + 0x280
    show 0x280
    movl $0x44005, LAPIC + 0x300        /* an illegal vector to itself */
    movl $0, LAPIC + 0x280
    show 0x280
    movl LAPIC + 0x3f8, %eax            /* a register that is none */
    movl $0, LAPIC + 0x280
    show 0x280
    movl $0x10041, LAPIC + 0x370
    movl $0x41, LAPIC + 0x370           /* with an interrupt */
    movl $0x44003, LAPIC + 0x300
    open
    movl $0x10041, LAPIC + 0x370
    movl $0, LAPIC + 0x280
    show 0x280
    call show_log
    ret

.macro redirect pin, low
    movl $(0x10 + 2 * \pin), IOAPIC
    movl $\low, IOAPIC + 0x10
.endm
.macro show_pin pin
    movl $(0x10 + 2 * \pin), IOAPIC
    movl IOAPIC + 0x10, %eax
    print " "
    hex %rax, 8
.endm

/* Level-triggered: the first time the handler leaves the line asserted and is
 * called again after its EOI. Bit 14 of the pin: Remote IRR. */
level_handler:
    movl $0x18, IOAPIC
    movl IOAPIC + 0x10, %eax
    movl level_count, %ecx
    movl %eax, level_pins(, %rcx, 4)
    incl level_count
    movl $0x8, %edx
    movl LAPIC + 0x1a0, %eax            /* TMR of vectors 40h..5Fh */
    movl %eax, level_tmr
    cmpl $2, level_count
    jb 1f
    movw $(COM1 + 2), %dx
    inb %dx, %al                        /* takes the request back */
1:  movl $0, LAPIC + 0xb0
    movl IOAPIC + 0x10, %eax
    movl %eax, level_pins + 16(, %rcx, 4)
    ret
    .equ level_count, 0x100120
    .equ level_tmr, 0x100124
    .equ level_pins, 0x100130

/* The serial port's line, pin 4: its transmitter's interrupt stays requested. */
test_level:
    print "level:"
    handle 0x47, level_handler
    redirect 4, 0x8047
    movw $(COM1 + 4), %dx
    movb $0x0b, %al
    outb %al, %dx
    movw $(COM1 + 1), %dx
    movb $2, %al
    outb %al, %dx                       /* the transmitter is empty: requests */
    open
    movw $(COM1 + 1), %dx
    movb $0, %al
    outb %al, %dx
    open
    movl level_count, %eax
    print " times "
    call putdec
    print " tmr "
    movl level_tmr, %eax
    hex %rax, 8
    print " pins"
    xorl %ebx, %ebx
1:  print " "
    movl level_pins(, %rbx, 4), %eax
    hex %rax, 4
    incl %ebx
    cmpl $6, %ebx
    jb 1b
    print "\n"
    /* By edge: only the change counts, also while the pin is masked: it is lost. */
    print "edge:"
    redirect 4, 0x41
    movw $(COM1 + 1), %dx
    movb $2, %al
    outb %al, %dx
    open
    open
    movb $0, %al
    movw $(COM1 + 1), %dx
    outb %al, %dx
    redirect 4, 0x10041
    movb $2, %al
    movw $(COM1 + 1), %dx
    outb %al, %dx
    redirect 4, 0x41
    open
    movb $0, %al
    movw $(COM1 + 1), %dx
    outb %al, %dx
    open
    call show_log
    print "pin"
    show_pin 4
    movl $1, IOAPIC
    movl IOAPIC + 0x10, %eax
    print " version "
    hex %rax, 8
    print "\n"
    movl $log_0x47, handlers + 4 * 0x47
    ret

test_x2apic:
    msr_fault "x2APIC register in xAPIC mode", 0x802, "rdmsr"
    movl $0x1b, %ecx
    rdmsr
    print "base "
    hex %rax, 8
    orl $0x400, %eax
    wrmsr
    movl $1, x2
    print " x2APIC:"
    movl $0x802, %ecx
    rdmsr
    print " id "
    hex %rax, 8
    movl $0x80d, %ecx
    rdmsr
    print " ldr "
    hex %rax, 8
    movl $0x80f, %ecx
    rdmsr
    print " svr "
    hex %rax, 8
    movl $0x83f, %ecx                   /* self IPI */
    movl $0x63, %eax
    xorl %edx, %edx
    wrmsr
    movl $0x830, %ecx                   /* ICR, in one */
    movl $0x44041, %eax
    wrmsr
    open
    call show_log
    msr_fault "none there", 0x80e, "rdmsr"
    msr_fault "write to a read-only one", 0x802, "wrmsr"
    msr_fault "read of a write-only one", 0x80b, "rdmsr"
    msr_fault "EOI not 0", 0x80b, "movl $1, %eax; wrmsr"
    msr_fault "reserved bits of SVR", 0x80f, "movl $0x80000, %eax; wrmsr"
    msr_fault "reserved bits of TPR", 0x808, "movl $0x100, %eax; wrmsr"
    msr_fault "back to xAPIC", 0x1b, "rdmsr; andl $~0x400, %eax; wrmsr"
    msr_fault "base beyond the physical space", 0x1b, "rdmsr; movl $0x8000, %edx; wrmsr"
    movl $0x1b, %ecx
    rdmsr
    print "base "
    hex %rax, 8
    print "\n"
    ret
