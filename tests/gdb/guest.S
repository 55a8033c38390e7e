/*
 * What the debugger's tests look at: a counter that is counted up at one
 * place, a word that is read at one, a page filled by one REP STOS, waits for a
 * timer in between, and other vCPUs that count for themselves.
 */
    .include "tests/guest/lib.inc"

    .equ TIMER_HZ, 1000
    .equ TIMER_VECTOR, 0x20
    .equ ROUNDS, 200
    .equ WORK, 12500

    .equ counter, 0x100000      /* rounds done */
    .equ secret, 0x100100       /* 8 bytes, read every 40th round */
    .equ ticks, 0x100180
    .equ sums, 0x103000         /* 8 bytes a vCPU; not in the page of what is watched */
    .equ buffer, 0x102000       /* a page */

main:
    call start_timer
    call start_others
    movl $0x5ec7e7, secret
    movl $ROUNDS, %r13d
round:
    call work
    movl counter, %eax
    movl $40, %ecx
    xorl %edx, %edx
    divl %ecx
    testl %edx, %edx
    jnz .Lnext
    call look
    call rest
.Lnext:
    decl %r13d
    jnz round
    call fill
done:
    print "done\n"
    movb $PASS, %al
    ret

work:
    pushq %rbp
    movq %rsp, %rbp
    movl $WORK, %ecx
work_loop:
    imulq $3, %rdx, %rdx
    loop work_loop
    call bump
    popq %rbp
    ret

bump:
    incq counter
bumped:
    ret

look:
    movq secret, %rax
looked:
    ret

/* Until the next tick of the timer. */
rest:
    sti
    hlt
    cli
    ret

fill:
    movl $buffer, %edi
    movl $512, %ecx
    movabsq $0x1122334455667788, %rax
filling:
    rep stosq
filled:
    ret

tick:
    incl ticks
    movb $0x20, %al
    outb %al, $0x20
    ret

start_timer:
    call pic_init
    handle TIMER_VECTOR, tick
    movb $0x34, %al
    outb %al, $0x43
    movb $(1193182 / TIMER_HZ & 0xff), %al
    outb %al, $0x40
    movb $(1193182 / TIMER_HZ >> 8), %al
    outb %al, $0x40
    movb $0xfe, %al
    outb %al, $0x21
    ret

start_others:
    movl $others, ap_main
    movl $0, LAPIC + 0x310
    movl $0xc4500, LAPIC + 0x300
    movl $(0xc4600 + AP_VECTOR), LAPIC + 0x300
    ret

/* The other vCPUs: number in EBX. */
others:
    incq sums(, %rbx, 8)
counted:
    movq sums(, %rbx, 8), %rax
    jmp others
