/*
 * A triple fault: the exception finds no gate, the #GP that follows finds
 * none, the double fault finds none. Ends the run with status 1.
 */
    .include "tests/guest/lib.inc"
main:
    print "triple fault follows\n"
    lidt none(%rip)
    ud2
    print "not reached\n"
    movb $PASS, %al
    ret
none:
    .word 0
    .quad 0
