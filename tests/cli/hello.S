/*
 * A 64 KiB firmware for tests of the program around the machine: prints a
 * line on COM1, then echoes what arrives there until a "q", and ends the run
 * through isa-debug-exit at port 501h with 16 (exit status 33). An "h" halts it
 * for good, with a timer that runs.
 */
    .code16
    .equ COM1, 0x3f8
    .equ LINE_STATUS, COM1 + 5
    .equ DEBUG_EXIT, 0x501

start:
    movw $text, %si
print:
    movb %cs:(%si), %al
    testb %al, %al
    jz echo
    call send
    incw %si
    jmp print

echo:
    movw $LINE_STATUS, %dx
    inb %dx, %al
    testb $1, %al
    jz echo
    movw $COM1, %dx
    inb %dx, %al
    cmpb $'q', %al
    je done
    cmpb $'h', %al
    je halt
    call send
    jmp echo

halt:
    movb $0x34, %al
    outb %al, $0x43
    outb %al, $0x40
    outb %al, $0x40
    hlt

done:
    movb $16, %al
    movw $DEBUG_EXIT, %dx
    outb %al, %dx
    hlt

/* Sends AL; changes AL, BL, DX. */
send:
    movb %al, %bl
    movw $LINE_STATUS, %dx
wait:
    inb %dx, %al
    testb $0x20, %al
    jz wait
    movb %bl, %al
    movw $COM1, %dx
    outb %al, %dx
    ret

text:
    .asciz "hello from the firmware\r\n"

    .org 0xff00
entry:
    cli
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x7000, %sp
    ljmp $0xf000, $start

    .org 0xfff0
    jmp entry
    .org 0x10000
