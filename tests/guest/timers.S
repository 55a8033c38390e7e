/*
 * Timers, and what they interrupt: 8254 through the 8259 pair and through the
 * I/O APIC, MC146818 periodic and update interrupts, local APIC timer in its
 * three modes, PM timer. Prints counts and differences of the TSC, which must
 * be the same to the instruction whatever the emulator's slices are.
 */
    .include "tests/guest/lib.inc"

    .equ STAMPS, 0x100000       /* TSC at each interrupt */
    .equ ticks, 0x101000        /* interrupts since `start` */
    .equ FOREVER, 0x7fffffff

/* Interrupt handlers: note the time, then end the interrupt. */
.macro stamp
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movl ticks, %ecx
    movq %rax, STAMPS(, %rcx, 8)
    incl ticks
.endm

pic_tick:
    stamp
    movb $0x20, %al
    outb %al, $0x20
    ret
rtc_tick:
    stamp
    movb $0x0c, %al
    outb %al, $0x70
    inb $0x71, %al
    movb %al, rtc_flags
    movb $0x20, %al
    outb %al, $0xa0
    outb %al, $0x20
    ret
    .equ rtc_flags, 0x101008
apic_tick:
    stamp
    movl $0, LAPIC + 0xb0
    ret

/* Halts until EAX interrupts have come. */
wait_halted:
    cli
    cmpl %eax, ticks
    jae 1f
    sti
    hlt
    jmp wait_halted
1:  ret

/* Spins until EAX interrupts have come; RCX counts the turns. */
wait_spinning:
    xorl %ecx, %ecx
    sti
1:  incl %ecx
    cmpl %eax, ticks
    jb 1b
    cli
    ret

/* Prints how many interrupts there were, and the time between them. */
show:
    movl ticks, %ecx
    print " ticks "
    decimal %rcx
    print ":"
    movl $1, %ebx
1:  cmpl %ecx, %ebx
    jae 2f
    print " "
    movq STAMPS(, %rbx, 8), %rax
    subq STAMPS - 8(, %rbx, 8), %rax
    call putdec
    incl %ebx
    jmp 1b
2:  print "\n"
    movl $0, ticks
    ret

/* Counter 0 in mode AL with count CX. */
pit_set:
    shlb $1, %al
    orb $0x30, %al
    outb %al, $0x43
    movb %cl, %al
    outb %al, $0x40
    movb %ch, %al
    outb %al, $0x40
    ret

.macro pit mode, count
    movb $\mode, %al
    movw $\count, %cx
    call pit_set
.endm

main:
    call pic_init
    handle 0x20, pic_tick
    handle 0x28, rtc_tick
    handle 0x40, apic_tick
    handle 0x50, apic_tick
    movl $0x1ff, LAPIC + 0xf0           /* virtual wire mode: LINT0 takes the 8259 pair */
    movl $0x700, LAPIC + 0x350

    call test_pit
    call test_pit_counting
    call test_rtc
    call test_apic
    call test_ioapic
    call test_pm
    call test_shadow

    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    print "tsc "
    call putdec
    print "\n"
    movb $PASS, %al
    ret

test_pit:
    movb $0xfe, %al
    outb %al, $0x21
    print "pit mode 2 halted"
    pit 2, 1193
    movl $6, %eax
    call wait_halted
    call show
    print "pit mode 2 spinning"
    pit 2, 200
    movl $6, %eax
    call wait_spinning
    movq %rcx, %rbp
    call show
    print " turns "
    decimal %rbp
    print "\npit mode 3 halted"
    pit 3, 1001
    movl $6, %eax
    call wait_halted
    call show
    print "pit mode 3 spinning"
    pit 3, 101
    movl $6, %eax
    call wait_spinning
    call show
    print "pit mode 0"
    pit 0, 500
    movl $1, %eax
    call wait_halted
    call show
    print "pit mode 4"
    pit 4, 300
    movl $1, %eax
    call wait_halted
    call show
    print "pit mode 2, reprogrammed at each tick"
    pit 2, 50
    movl $1, %ebp
1:  movl %ebp, %eax
    call wait_halted
    imull $37, %ebp, %ecx
    addl $50, %ecx
    movb $2, %al
    call pit_set
    incl %ebp
    cmpl $8, %ebp
    jb 1b
    call show
    movb $0xff, %al
    outb %al, $0x21
    pit 0, 1
    ret

/* Counting without interrupts: latch, read-back, gate 2 and its output. */
test_pit_counting:
    print "pit count"
    pit 2, 0x4321
    movl $5, %ebp
1:  imull $1000, %ebp, %ecx
3:  loop 3b
    movb $0x00, %al
    outb %al, $0x43
    inb $0x40, %al
    movb %al, %cl
    inb $0x40, %al
    movb %al, %ch
    movzwl %cx, %ecx
    print " "
    hex %rcx, 4
    decl %ebp
    jnz 1b
    movb $0xc2, %al                     /* read back: status and count of counter 0 */
    outb %al, $0x43
    inb $0x40, %al
    movzbl %al, %edx
    inb $0x40, %al
    movb %al, %cl
    inb $0x40, %al
    movb %al, %ch
    movzwl %cx, %ecx
    print " status "
    hex %rdx, 2
    print " count "
    hex %rcx, 4
    print "\nport 61h"
    inb $0x61, %al
    andb $0xfc, %al
    outb %al, $0x61
    movb $0xb0, %al                     /* counter 2, mode 0 */
    outb %al, $0x43
    movb $0x80, %al
    outb %al, $0x42
    movb $0x00, %al
    outb %al, $0x42
    inb $0x61, %al
    orb $1, %al
    outb %al, $0x61
    xorl %ecx, %ecx
2:  incl %ecx
    inb $0x61, %al
    testb $0x20, %al
    jz 2b
    print " turns "
    decimal %rcx
    inb $0x61, %al
    andb $0xfc, %al
    outb %al, $0x61
    print "\n"
    ret

.macro cmos_write index, value
    movb $\index, %al
    outb %al, $0x70
    movb $\value, %al
    outb %al, $0x71
.endm

test_rtc:
    movb $0xfb, %al
    outb %al, $0x21
    movb $0xfe, %al
    outb %al, $0xa1
    print "rtc periodic 8192 Hz"
    cmos_write 0x0a, 0x23
    cmos_write 0x0b, 0x42
    movb $0x0c, %al
    outb %al, $0x70
    inb $0x71, %al
    movl $6, %eax
    call wait_halted
    call show
    print "rtc periodic 1024 Hz"
    cmos_write 0x0a, 0x26
    movl $6, %eax
    call wait_halted
    call show
    print "rtc update"
    cmos_write 0x0b, 0x12
    movl $3, %eax
    call wait_halted
    call show
    movzbl rtc_flags, %eax
    print " flags "
    hex %rax, 2
    cmos_write 0x0b, 0x02
    print " time"
    movl $9, %ebp
1:  cmpl $6, %ebp
    je 2f
    movl %ebp, %eax
    outb %al, $0x70
    inb $0x71, %al
    movzbl %al, %eax
    print " "
    hex %rax, 2
2:  decl %ebp
    jns 1b
    movb $0xff, %al
    outb %al, $0xa1
    outb %al, $0x21
    print "\n"
    ret

test_apic:
    movl $0x10700, LAPIC + 0x350
    print "apic one-shot, by 16"
    movl $0x3, LAPIC + 0x3e0
    movl $0x40, LAPIC + 0x320
    movl $1, %ebp
1:  movl $777, LAPIC + 0x380
    movl %ebp, %eax
    call wait_halted
    incl %ebp
    cmpl $5, %ebp
    jb 1b
    movl LAPIC + 0x390, %ebp
    call show
    print " left "
    decimal %rbp
    print "\napic periodic, by 1, spinning"
    movl $0xb, LAPIC + 0x3e0
    movl $0x20040, LAPIC + 0x320
    movl $12345, LAPIC + 0x380
    movl $6, %eax
    call wait_spinning
    movl LAPIC + 0x390, %edx
    movq %rcx, %rbp
    call show
    print " turns "
    decimal %rbp
    print " left "
    decimal %rdx
    print "\napic periodic, by 2, halted"
    movl $0x0, LAPIC + 0x3e0
    movl $0x20040, LAPIC + 0x320
    movl $5001, LAPIC + 0x380
    movl $6, %eax
    call wait_halted
    call show
    movl $0x10040, LAPIC + 0x320
    movl $0, LAPIC + 0x380

    print "apic TSC deadline"
    movl $0x40040, LAPIC + 0x320
    movl $1, %ebp
2:  rdtsc
    addl $3333, %eax
    adcl $0, %edx
    movl $0x6e0, %ecx
    wrmsr
    movl %ebp, %eax
    call wait_halted
    incl %ebp
    cmpl $6, %ebp
    jb 2b
    call show
    print "apic TSC deadline with the TSC moved"
    rdtsc
    addl $20000, %eax
    adcl $0, %edx
    movl $0x6e0, %ecx
    wrmsr
    rdtsc
    addl $15000, %eax
    adcl $0, %edx
    movl $0x10, %ecx
    wrmsr
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    movq %rax, STAMPS
    movl $1, ticks
    movl $2, %eax
    call wait_halted
    call show
    movl $0x10040, LAPIC + 0x320
    ret

/* The 8254 on pin 2 of the I/O APIC, the 8259 pair masked. */
test_ioapic:
    print "pit through the I/O APIC"
    movl $0x14, IOAPIC
    movl $0x50, IOAPIC + 0x10
    movl $0x15, IOAPIC
    movl $0, IOAPIC + 0x10
    pit 2, 777
    movl $6, %eax
    call wait_halted
    call show
    movl $0x14, IOAPIC
    movl $0x10050, IOAPIC + 0x10
    pit 0, 1
    ret

/* The PM timer of the PIIX4's function 3, at port 608h. */
.macro pci_write register, value, out
    movl $0x80000b00 + (\register & 0xfc), %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc + (\register & 3), %dx
    movl $\value, %eax
    \out
.endm

test_pm:
    pci_write 0x40, 0x601, "outl %eax, %dx"
    pci_write 0x80, 1, "outb %al, %dx"
    pci_write 0x04, 1, "outw %ax, %dx"
    print "pm timer"
    movl $0x80, LAPIC + 0x3e0
    movl $0x40, LAPIC + 0x320
    movw $0x608, %dx
    inl %dx, %eax
    movl %eax, %edi
    movl $1, %ebp
1:  movl $1000000, LAPIC + 0x380        /* 2 ms */
    movl %ebp, %eax
    call wait_halted
    movw $0x608, %dx
    inl %dx, %eax
    movl %eax, %esi
    subl %edi, %eax
    andl $0xffffff, %eax
    movl %esi, %edi
    print " "
    decimal %rax
    incl %ebp
    cmpl $6, %ebp
    jb 1b
    movl $0, ticks
    movl $0x10040, LAPIC + 0x320
    print "\n"
    ret

/* An interrupt that is pending is taken after the instruction that follows
 * STI, and not at all when that is a CLI; POP SS holds it off as well. */
test_shadow:
    print "shadow"
    movl $0x0b, LAPIC + 0x3e0
    movl $0x40, LAPIC + 0x320
    movl $100, LAPIC + 0x380
    movl $1000, %ecx
1:  sti
    cli
    loop 1b
    movl ticks, %eax
    print " sti cli: "
    decimal %rax
    sti
    nop
    movl ticks, %ebx
    movl ticks, %eax
    cli
    print " sti nop: "
    decimal %rbx
    print " "
    decimal %rax
    movl $0, ticks
    movl %ss, %ebp
    movl $100, LAPIC + 0x380
    movl $1000, %ecx
2:  loop 2b
    sti
    movl %ebp, %ss
    movl ticks, %eax
    movl ticks, %ebx
    cli
    print " mov ss: "
    decimal %rax
    print " "
    decimal %rbx
    movl $0, ticks
    print "\n"
    ret
