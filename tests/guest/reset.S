/*
 * Resets itself by each of the ways there are, counting in RAM, which keeps what
 * it holds; devices and vCPUs begin anew. Then switches itself off (S5).
 */
    .include "tests/guest/lib.inc"

    .equ stage, 0x100000        /* RAM survives a reset */
    .equ ap_runs, 0x100040

ap:
    incl ap_runs
1:  pause
    jmp 1b

main:
    movl stage, %ebp
    print "stage "
    decimal %rbp
    /* A device's registers and an MSR have their reset values. */
    movl LAPIC + 0xf0, %eax
    print " svr "
    hex %rax, 4
    movl $0x1ff, LAPIC + 0xf0
    inb $0x21, %al
    movzbl %al, %eax
    print " mask "
    hex %rax, 2
    movb $0xa5, %al
    outb %al, $0x21
    movl $0xc0000082, %ecx
    rdmsr
    print " lstar "
    hex %rax, 8
    movl $0x12345678, %eax
    wrmsr
    movb $0x0f, %al                     /* CMOS survives too */
    outb %al, $0x70
    inb $0x71, %al
    movzbl %al, %eax
    print " cmos "
    hex %rax, 2
    incl %eax
    outb %al, $0x71
    rdtsc
    shlq $32, %rdx
    orq %rdx, %rax
    print " tsc "
    call putdec
    /* Others run at each reset, and are stopped by it. */
    movl cpus_started, %eax
    print " started "
    decimal %rax
    movl $0, cpus_started
    movl $ap, ap_main
    movl $0, LAPIC + 0x310
    movl $0xc4500, LAPIC + 0x300
    movl $0, LAPIC + 0x310
    movl $0xc4600 + AP_VECTOR, LAPIC + 0x300
    movl $20000, %ecx
1:  pause
    loop 1b
    movl ap_runs, %eax
    print " runs "
    decimal %rax
    print "\n"
    incl stage
    cmpl $1, %ebp
    jb by_cf9
    je by_port92
    cmpl $3, %ebp
    jb by_keyboard
    je by_cf9_soft
    jmp switch_off

by_cf9:
    movw $0xcf9, %dx
    movb $2, %al
    outb %al, %dx
    movb $6, %al
    outb %al, %dx
    jmp not_reached
by_port92:
    inb $0x92, %al
    orb $1, %al
    outb %al, $0x92
    jmp not_reached
by_keyboard:
    movb $0xfe, %al
    outb %al, $0x64
    jmp not_reached
by_cf9_soft:
    movw $0xcf9, %dx
    movb $0, %al
    outb %al, %dx
    movb $4, %al
    outb %al, %dx
    jmp not_reached

.macro pci_write register, value, out
    movl $0x80000b00 + (\register & 0xfc), %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc + (\register & 3), %dx
    movl $\value, %eax
    \out
.endm

switch_off:
    pci_write 0x40, 0x601, "outl %eax, %dx"
    pci_write 0x80, 1, "outb %al, %dx"
    pci_write 0x04, 1, "outw %ax, %dx"
    movw $0x604, %dx
    movl $0x2000, %eax                  /* SLP_EN, type 0 */
    outw %ax, %dx
not_reached:
    print "not reached\n"
    exit 1
