/*
 * types: >>hello, world\n0123456789abcdefghijklmnop-rstuvwxyz\tx\001yq
 * Echoes what is typed: in brackets first by polling, up to a newline; then
 * by receive interrupts, halted in between. Ends at a "q". The leading ">" may get
 * lost when the FIFOs are switched on.
 */
    .include "tests/guest/lib.inc"

    .equ last, 0x100000
    .equ count, 0x100008

main:
    call pic_init
    movl $0x1ff, LAPIC + 0xf0
    movl $0x700, LAPIC + 0x350
    handle 0x24, received
    movw $(COM1 + 2), %dx
    movb $0x41, %al                     /* FIFOs, trigger at 4 */
    outb %al, %dx
    print "polling: ["
1:  movw $(COM1 + 5), %dx
2:  inb %dx, %al
    testb $1, %al
    jnz 3f
    pause
    jmp 2b
3:  movw $COM1, %dx
    inb %dx, %al
    cmpb $10, %al
    je 4f
    cmpb $'>', %al
    je 1b
    call putc
    jmp 1b
4:  print "]\ninterrupts: ["
    movw $(COM1 + 4), %dx
    movb $0x0b, %al                     /* OUT2, RTS, DTR */
    outb %al, %dx
    movw $(COM1 + 1), %dx
    movb $1, %al
    outb %al, %dx
    movb $0xef, %al
    outb %al, $0x21
5:  cli
    cmpb $'q', last
    je 6f
    sti
    hlt
    jmp 5b
6:  print "]\n"
    movl count, %eax
    decimal %rax
    print " bytes\n"
    movb $PASS, %al
    ret

received:
1:  movw $(COM1 + 2), %dx
    inb %dx, %al
    testb $1, %al
    jnz 4f
    movw $(COM1 + 5), %dx
2:  inb %dx, %al
    testb $1, %al
    jz 1b
    movw $COM1, %dx
    inb %dx, %al
    movb %al, last
    incl count
    cmpb $0x20, %al
    jae 3f
    movb $'.', %al
3:  call putc
    movw $(COM1 + 5), %dx
    jmp 2b
4:  movb $0x20, %al
    outb %al, $0x20
    ret
