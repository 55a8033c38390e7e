/*
 * Interrupt lines through the I/O APIC and through the 8259 pair, as the test
 * device's ports move them. Each case states what it expects.
 * guest: -device pc-testdev
 */
    .include "tests/guest/lib.inc"

    .equ LINES, 0x2000
    .equ PIN, 14
    .equ LEVEL, 0x8000
    .equ MASKED, 0x10000
    .equ REMOTE_IRR, 0x4000

    .equ taken, 0x100000        /* how often the handler ran */
    .equ until, 0x100004        /* it lowers the line at this call; 0: never */
    .equ no_eoi, 0x100008
    .equ last, 0x10000c         /* the last vector */
    .equ pin_in, 0x100010       /* the pin's entry in the handler, before and after EOI */
    .equ pin_out, 0x100014
    .equ tmr_in, 0x100018
    .equ move_to, 0x10001c      /* the handler writes this destination, 0: none */
    .equ mask_in, 0x100020      /* the handler masks the pin */
    .equ nmi_count, 0x100024
    .equ order, 0x100030
    .equ failed, 0x100040

.macro counted text, value
    movl taken, %eax
    expect "\text", \value
.endm

    define_compare

.macro line number, level
    movb $\level, %al
    movw $(LINES + \number), %dx
    outb %al, %dx
.endm

.macro toggle number
    line \number, 1
    line \number, 0
.endm

/* The pin's entry; nothing waits, nothing was counted. */
.macro setup low, high=0, pin=PIN
    call clear
    movl $(0x11 + 2 * \pin), IOAPIC
    movl $(\high), IOAPIC + 0x10
    movl $(0x10 + 2 * \pin), IOAPIC
    movl $(\low), IOAPIC + 0x10
.endm

.macro entry pin=PIN
    movl $(0x10 + 2 * \pin), IOAPIC
    movl IOAPIC + 0x10, %eax
.endm

.macro open
    sti
    nop
    nop
    cli
.endm

clear:
    xorl %eax, %eax
    movl $taken, %edi
    movl $13, %ecx
    rep stosl
    line PIN, 0
    open
    movl $0, taken
    ret

handler:
    movl FRAME_VECTOR(%rbx), %eax
    movl %eax, last
    movl order, %ecx
    shll $8, %ecx
    orl %eax, %ecx
    movl %ecx, order
    incl taken
    movl taken, %eax
    cmpl until, %eax
    jne 1f
    line PIN, 0
1:  entry
    movl %eax, pin_in
    movl LAPIC + 0x1a0, %eax            /* vectors 40h to 5Fh */
    movl %eax, tmr_in
    cmpl $0, mask_in
    je 2f
    entry
    orl $MASKED, IOAPIC + 0x10
2:  cmpl $0, move_to
    je 3f
    movl $(0x11 + 2 * PIN), IOAPIC
    movl move_to, %eax
    movl %eax, IOAPIC + 0x10
3:  cmpl $0, no_eoi
    jne 4f
    movl $0, LAPIC + 0xb0
4:  entry
    movl %eax, pin_out
    ret

nmi_handler:
    incl nmi_count
    ret

/* Of the 8259 pair: a non-specific EOI to the chips that the vector is from. */
pic_handler:
    movl FRAME_VECTOR(%rbx), %eax
    movl %eax, last
    incl taken
    movl taken, %ecx
    cmpl until, %ecx
    jne 1f
    line 5, 0
1:  cmpl $0, no_eoi
    jne 3f
    movl last, %ecx
    movb $0x20, %al
    cmpl $0x28, %ecx
    jb 2f
    outb %al, $0xa0
2:  outb %al, $0x20
3:  ret

main:
    leaq ROM(%rip), %r15
    call pic_init
    movl $0x1ff, LAPIC + 0xf0
    movl $handler, handlers + 4 * 0x51
    movl $handler, handlers + 4 * 0x66
    movl $handler, handlers + 4 * 0x78
    movl $nmi_handler, handlers + 4 * 2
    movl $0, failed
    call edges
    call levels
    call modes
    call pics
    movl failed, %eax
    testl %eax, %eax
    jz 1f
    movb $0x11, %al
    ret
1:  movb $PASS, %al
    ret

edges:
    setup 0x51
    line PIN, 1
    open
    counted "a rising edge", 1
    line PIN, 1
    open
    counted "a level that stays", 1
    line PIN, 0
    line PIN, 1
    open
    counted "the next edge", 2
    movl tmr_in, %eax
    shrl $17, %eax
    andl $1, %eax
    expect "its TMR bit", 0
    setup 0x51
    toggle PIN
    open
    counted "an edge whose line fell before it was taken", 1
    setup 0x51
    toggle PIN
    toggle PIN
    open
    counted "two of them", 1
    setup 0x51 + MASKED
    toggle PIN
    entry
    andl $~MASKED, IOAPIC + 0x10
    open
    counted "an edge at a masked pin", 0
    setup 0x51 + MASKED
    line PIN, 1
    entry
    andl $~MASKED, IOAPIC + 0x10
    open
    counted "unmasked while high", 0
    line PIN, 0
    line PIN, 1
    open
    counted "and then an edge", 1
    setup 0x51
    movl $1, no_eoi
    toggle PIN
    open
    toggle PIN
    open
    counted "an edge before the EOI", 1
    movl $0, no_eoi
    movl $0, LAPIC + 0xb0
    open
    counted "is taken after it", 2
    setup 0x51 + 0x2000                 /* active low: the line says "asserted" */
    toggle PIN
    open
    counted "a pin of other polarity", 1
    setup 0x51, 0, 20
    toggle 20
    open
    counted "a pin beyond the ISA lines", 1
    setup 0x51, 0, 2
    toggle 0
    open
    counted "line 0 is on pin 2", 1
    movl $0x14, IOAPIC
    movl $MASKED, IOAPIC + 0x10
    ret

levels:
    setup 0x51 + LEVEL
    line PIN, 1
    movl $1, until
    open
    counted "a level", 1
    movl pin_in, %eax
    expect "Remote IRR lasts though the line fell", 0xc051
    movl pin_out, %eax
    expect "until the EOI", 0x8051
    movl tmr_in, %eax
    shrl $17, %eax
    andl $1, %eax
    expect "its TMR bit", 1
    setup 0x51 + LEVEL
    toggle PIN
    open
    counted "a level that fell before it was taken", 1
    setup 0x51 + LEVEL
    toggle PIN
    toggle PIN
    open
    counted "two of them", 1
    setup 0x51 + LEVEL
    movl $5, until
    line PIN, 1
    open
    counted "a level that stays for five EOIs", 5
    setup 0x51 + LEVEL + MASKED
    line PIN, 1
    open
    counted "a masked level", 0
    movl $2, until
    entry
    andl $~MASKED, IOAPIC + 0x10
    open
    counted "unmasked", 2
    setup 0x51 + LEVEL
    movl $1, mask_in
    line PIN, 1
    open
    counted "masked by its handler", 1
    entry
    expect "Remote IRR is clear", 0x18051
    movl $0, mask_in
    movl $2, until
    entry
    andl $~MASKED, IOAPIC + 0x10
    open
    counted "unmasked again", 2
    /* Directed EOI. */
    setup 0x51 + LEVEL
    movl $0x11ff, LAPIC + 0xf0
    line PIN, 1
    open
    counted "EOI broadcasts are off", 1
    entry
    expect "Remote IRR stays", 0xc051
    movl $2, until
    movl $0x50, IOAPIC + 0x40
    open
    counted "an EOI of another vector", 1
    movl $0x51, IOAPIC + 0x40
    open
    counted "the I/O APIC's own EOI", 2
    entry
    expect "stays again", 0xc051
    movl $0x10051, IOAPIC + 0x10
    movl IOAPIC + 0x10, %eax
    expect "an edge entry has none", 0x10051
    movl $0x1ff, LAPIC + 0xf0
    /* To another, absent destination by its own handler. */
    setup 0x51 + LEVEL
    movl $0x77000000, move_to
    line PIN, 1
    open
    counted "moved away by its handler", 1
    entry
    expect "nobody took it", 0x8051
    movl $2, until
    movl $0, move_to
    movl $(0x11 + 2 * PIN), IOAPIC
    movl $0, IOAPIC + 0x10
    open
    counted "moved back", 2
    setup -1 & ~0x400
    entry
    expect "read-only bits of an entry", 0x1abff
    setup MASKED
    ret

modes:
    setup 0x78
    setup 0x66, 0, 15
    line 15, 1
    line PIN, 1
    open
    line 15, 0
    movl order, %eax
    expect "the higher vector comes first", 0x7866
    setup MASKED, 0, 15
    movl $0x02000000, LAPIC + 0xd0
    setup 0x51 + 0x800, 0x02000000      /* logical */
    toggle PIN
    open
    counted "a logical destination", 1
    setup 0x51 + 0x800, 0x04000000
    toggle PIN
    open
    counted "and not another", 0
    setup 0x51 + 0x900, 0x03000000
    toggle PIN
    open
    counted "lowest priority", 1
    movl $0x0fffffff, LAPIC + 0xe0      /* clusters */
    movl $0x21000000, LAPIC + 0xd0
    setup 0x51 + 0x800, 0x23000000
    toggle PIN
    open
    counted "a member of the cluster", 1
    setup 0x51 + 0x800, 0x13000000
    toggle PIN
    open
    counted "another cluster", 0
    movl $-1, LAPIC + 0xe0
    setup 0x51, 0xff000000
    toggle PIN
    open
    counted "a broadcast", 1
    setup 0x400 + LEVEL                 /* NMI: an edge, whatever the entry says */
    line PIN, 1
    movl nmi_count, %eax
    expect "an NMI", 1
    setup 0x05
    movl $0, LAPIC + 0x280
    toggle PIN
    movl $0, LAPIC + 0x280
    movl LAPIC + 0x280, %eax
    expect "a vector below 16 is an error", 0x40
    setup 0x51
    movl $0xff, LAPIC + 0xf0
    toggle PIN
    movl $0x1ff, LAPIC + 0xf0
    open
    counted "to a disabled local APIC", 0
    setup MASKED
    ret

.macro pic_setup
    call clear
    line 5, 0
    line 12, 0
.endm

/* Through LINT0, lines 5 and 12. */
pics:
    movl $0x700, LAPIC + 0x350
    movl $pic_handler, handlers + 4 * 0x25
    movl $pic_handler, handlers + 4 * 0x27
    movl $pic_handler, handlers + 4 * 0x2c
    movl $pic_handler, handlers + 4 * 0x2f
    movb $0xdb, %al                     /* 5 and the cascade */
    outb %al, $0x21
    movb $0xef, %al                     /* 12 */
    outb %al, $0xa1
    pic_setup
    line 5, 1
    open
    counted "8259: an edge", 1
    movl last, %eax
    expect "its vector", 0x25
    open
    counted "a level that stays", 1
    pic_setup
    toggle 5
    open
    counted "an edge whose line fell before it was taken", 0
    pic_setup
    line 12, 1
    open
    movl last, %eax
    expect "of the slave", 0x2c
    pic_setup
    movb $0x20, %al
    movw $0x4d0, %dx
    outb %al, %dx
    line 5, 1
    movl $4, until
    open
    counted "a level for four EOIs", 4
    pic_setup
    movb $0, %al
    movw $0x4d0, %dx
    outb %al, %dx
    movb $0xff, %al
    outb %al, $0x21
    outb %al, $0xa1
    ret
