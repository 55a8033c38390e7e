/*
 * Halts with interrupts off, with a timer that runs all the same, and then without
 * one: nothing can ever wake it, and the run ends.
 */
    .include "tests/guest/lib.inc"
main:
    call pic_init
    movl $0x1ff, LAPIC + 0xf0
    movl $0x10040, LAPIC + 0x320        /* masked */
    movl $0x0b, LAPIC + 0x3e0
    movl $100000, LAPIC + 0x380
    print "halted\n"
    cli
    hlt
    print "not reached\n"
    movb $PASS, %al
    ret
