/*
 * x87 errors as MS-DOS sees them (CR0.NE = 0): FERR# to IRQ 13, the wait of
 * the next waiting instruction, port F0h and IGNNE#. (SDM vol. 1, appendix D)
 */
    .equ WITH_16, 1
    .include "tests/guest/lib.inc"

    .equ log_count, 0x5f0
    .equ how, 0x5f4             /* what the handler does: 1 OUT F0h, 2 FNCLEX, in this order */
    .equ log, 0x600             /* pairs: test, what was seen */
    .equ control, 0x5e0         /* unmasks ZE */

    .code16
/* Notes BX and AX. */
note16:
    movw log_count, %si
    addw $4, log_count
    movw %bx, log(%si)
    movw %ax, log + 2(%si)
    ret

/* IRQ 13 of the second 8259. */
handler16:
    pushw %ax
    pushw %bp
    movw %sp, %bp
    movw 4(%bp), %ax                    /* IP: relative to the waiting instruction */
    subw %di, %ax
    call note16
    testb $1, how
    jz 1f
    outb %al, $0xf0
1:  testb $2, how
    jz 1f
    fnclex
1:  movb $0x20, %al
    outb %al, $0xa0
    outb %al, $0x20
    popw %bp
    popw %ax
    iretw

/* wait16 TEST, HOW, "waiting instruction": divides by 0, then waits for it. */
.macro wait16 test, way, insn
    movw $\test, %bx
    movb $\way, how
    fninit
    fldcw control
    fld1
    fldz
    fdivrp                              /* not reported before the next one */
    fnstsw %ax
    andw $0x8084, %ax
    call note16
    movw $(.Lat\@ - ROM), %di
    sti
.Lat\@:
    \insn
    cli
    fnstsw %ax
    andw $0x8084, %ax
    call note16
.endm

main16:
    movw $0, log_count
    movw $0x037b, control
    movw $(handler16 - ROM), 0x75 * 4
    movw $0xf000, 0x75 * 4 + 2
    movb $0x11, %al                     /* 8259s: vectors 08h and 70h, only IRQ 13 */
    outb %al, $0x20
    outb %al, $0xa0
    movb $0x08, %al
    outb %al, $0x21
    movb $0x70, %al
    outb %al, $0xa1
    movb $4, %al
    outb %al, $0x21
    movb $2, %al
    outb %al, $0xa1
    movb $1, %al
    outb %al, $0x21
    outb %al, $0xa1
    movb $0xfb, %al
    outb %al, $0x21
    movb $0xdf, %al
    outb %al, $0xa1

    wait16 0x101, 3, "fwait"            /* the handler clears the error */
    wait16 0x102, 2, "fld1"             /* and does not touch F0h: FERR# has gone */
    outb %al, $0xf0                     /* takes the latched request back */
    wait16 0x103, 1, "fld1"             /* goes on under IGNNE# with the error */
    wait16 0x104, 3, "emms"             /* FNINIT ended IGNNE#: waits again */
    wait16 0x105, 3, "fldcw control"
    wait16 0x106, 1, "nop; fnop; fwait; fldz" /* IGNNE# lasts: one interrupt */
    fninit
    movw $0x1ff, %bx
    inb $0xf0, %al
    movb $0, %ah
    call note16
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    ret

    .code64
main:
    xorl %ebx, %ebx
1:  cmpw %bx, log_count
    jbe 2f
    movzwl log(%rbx), %eax
    hex %rax, 4
    print " "
    movzwl log + 2(%rbx), %eax
    hex %rax, 4
    print "\n"
    addl $4, %ebx
    jmp 1b
2:  movb $PASS, %al
    ret
