/*
 * Virtual-8086 mode by IOPL, VME and the redirection bitmap: CLI, STI, PUSHF,
 * POPF, INT n, IRET, ports, what is forbidden, and the frame that the monitor
 * gets. (SDM vol. 3, chapter 21)
 *
 * Each case gives the flags that it starts with and its code, then what ends
 * it: vector, error code, place (relative to the ROM), flags. Those that see
 * something else print a line.
 *
 * guest: -cpu max
 */
    .equ WITH_32, 1
    .include "tests/guest/lib.inc"

    .equ IDT32, 0x100000
    .equ TSS32, 0x101000
    .equ TSS32_SELECTOR, 0x80
    .equ REDIRECTION, TSS32 + 0x68
    .equ PORTS, TSS32 + 0x88
    .equ V86_STACK, 0x28000     /* 2000h:8000h */

    .equ case_name, 0x103000
    .equ want, 0x103004         /* vector, error, EIP, flags */
    .equ next, 0x103014
    .equ next_esp, 0x103018
    .equ cases, 0x10301c
    .equ failures, 0x103020
    .equ seen, 0x103024
    .equ frame, 0x103040        /* EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS */
    .equ inside, 0x103080       /* DS, ES, FS, GS as the handler finds them */

    .equ VM, 0x20000
    .equ VIF, 0x80000
    .equ VIP, 0x100000
    .equ IF, 0x200
    .equ TF, 0x100
    .equ NT, 0x4000
    .equ IOPL3, 0x3000
    .equ CHECKED, VM | VIF | VIP | IF | TF | NT | IOPL3

    .code32
    define_stubs32 64

trap32:
    movl %ds, %eax
    movl %es, %ebx
    movl %fs, %ecx
    movl %gs, %edx
    movl $DATA32, %esi
    movl %esi, %ds
    movl %esi, %es
    movl %eax, inside
    movl %ebx, inside + 4
    movl %ecx, inside + 8
    movl %edx, inside + 12
    popl seen
    popl seen + 4
    movl %esp, %esi
    movl $frame, %edi
    movl $9, %ecx
    cld
    rep movsl
    movl frame, %eax
    movl %eax, seen + 8
    movl frame + 8, %eax
    andl $CHECKED, %eax
    movl %eax, seen + 12
finish:
    movl next_esp, %esp
    incl cases
    finish_case32

    define_output32

/* v86 NAME, FLAGS, "code", VECTOR, ERROR, place, FLAGS */
.macro v86 name, flags, code, vector, error, eip, after
    begin_case32 "\name"
    movl $\vector, want
    movl $\error, want + 4
    movl $(\eip - ROM), want + 8
    movl $(VM+\after), want + 12
    case_ends_at .Lafter\@
    movl $0, %eax
    movl $0x5555, %ebx
    pushl $0x4000
    pushl $0x3000
    pushl $0x2000
    pushl $0x1000
    pushl $0x2000
    pushl $0x8000
    pushl $(VM+2+\flags)
    pushl $0xf000
    pushl $(.Lat\@ - ROM)
    iretl
    .code16
.Lat\@:
    \code
9:  hlt
    .code32
.Lafter\@:
.endm

/* A word of memory, as a case of its own. */
.macro word name, address, mask, value
    begin_case32 "\name"
    case_ends_at .Lafter\@
    movl \address, %eax
    andl $\mask, %eax
    movl %eax, seen
    movl $(\value), want
    xorl %eax, %eax
    movl $seen + 4, %edi
    movl $3, %ecx
    rep stosl
    movl $want + 4, %edi
    movl $3, %ecx
    rep stosl
    jmp finish
.Lafter\@:
.endm

.macro vme on
    movl %cr4, %eax
    andl $~1, %eax
    orl $\on, %eax
    movl %eax, %cr4
.endm

/* Where the 8086 program's own handler of 21h and 22h is. */
    .code16
own16:
    hlt
returns16:
    iretw
    .code32

init32:
    fill_idt32 64, 0xee00
    movb $0x8e, IDT32 + 8 * 0x23 + 5    /* not for programs */
    lidt idt32_pointer
    movl $TSS32, %edi
    movl $0x800, %ecx
    xorl %eax, %eax
    rep stosl
    movl $0x106000, TSS32 + 4
    movl $DATA32, TSS32 + 8
    movw $0x88, TSS32 + 0x66
    movb $0x0c, REDIRECTION + 4         /* 22h and 23h are the monitor's */
    movb $0x02, PORTS + 0x10            /* port 81h is forbidden, 80h is not */
    descriptor TSS32_SELECTOR, TSS32, 0x1fff, 0x89
    movl $TSS32_SELECTOR, %eax
    ltr %ax
    movl $(0xf0000000 + own16 - ROM), 0x21 * 4
    movl $(0xf0000000 + own16 - ROM), 0x22 * 4
    movl $(0xf0000000 + returns16 - ROM), 0x24 * 4
    movl $0, cases
    movl $0, failures
    ret
idt32_pointer:
    .word 64 * 8 - 1
    .long IDT32

main32:
    call init32
    vme 0
    v86 "cli", 0, "1: cli", 13, 0, 1f, 0
    v86 "sti", 0, "1: sti", 13, 0, 1f, 0
    v86 "pushf", 0, "1: pushfw", 13, 0, 1f, 0
    v86 "popf", 0, "1: popfw", 13, 0, 1f, 0
    v86 "iret", 0, "1: iretw", 13, 0, 1f, 0
    v86 "int", 0, "1: int $0x21", 13, 0, 1f, 0
    v86 "int3", 0, "int3; 1:", 3, 0, 1f, 0
    v86 "into", 0, "movb $0x7f, %al; incb %al; into; 1:", 4, 0, 1f, 0
    v86 "iopl 3: sti, cli", IOPL3, "sti; nop; cli", 13, 0, 9f, IOPL3
    v86 "iopl 3: sti", IOPL3, "sti; nop", 13, 0, 9f, IOPL3+IF
    v86 "iopl 3: popf", IOPL3, "pushw $0x0202; popfw; nop", 13, 0, 9f, IOPL3+IF
    v86 "iopl 3: popf keeps iopl, vif, vip", IOPL3+VIF, "pushl $0x104002; popfl; nop", 13, 0, 9f, IOPL3+VIF+NT
    v86 "iopl 3: int", IOPL3, "int $0x21; 1:", 0x21, 0, 1f, IOPL3
    v86 "iopl 3: int, gate of DPL 0", IOPL3, "1: int $0x23", 13, 0x23*8+2, 1f, IOPL3
    v86 "iopl 3: iret", IOPL3, "pushw $0x4302; pushw $0xf000; pushw $(1f - ROM); iretw; 1: hlt", 13, 0, 1f, IOPL3+IF+TF+NT
    v86 "vif is kept", VIF, "nop", 13, 0, 9f, VIF

    v86 "forbidden: hlt", 0, "1: hlt", 13, 0, 1f, 0
    v86 "forbidden: lgdt", IOPL3, "1: lgdtw 0", 13, 0, 1f, IOPL3
    v86 "forbidden: mov cr0", IOPL3, "1: movl %eax, %cr0", 13, 0, 1f, IOPL3
    v86 "forbidden: mov dr7", IOPL3, "1: movl %dr7, %eax", 13, 0, 1f, IOPL3
    v86 "forbidden: clts", IOPL3, "1: clts", 13, 0, 1f, IOPL3
    v86 "forbidden: wrmsr", IOPL3, "1: wrmsr", 13, 0, 1f, IOPL3
    v86 "undefined: sldt", 0, "1: sldt %ax", 6, 0, 1f, 0
    v86 "undefined: lar", 0, "1: lar %ax, %bx", 6, 0, 1f, 0
    v86 "undefined: arpl", 0, "1: .byte 0x63, 0xc0", 6, 0, 1f, 0
    v86 "undefined: lldt", 0, "1: lldt %ax", 6, 0, 1f, 0
    v86 "allowed: smsw, sgdt", 0, "smsw %ax; sgdtw 0x100", 13, 0, 9f, 0
    v86 "port allowed", 0, "inb $0x80, %al", 13, 0, 9f, 0
    v86 "port forbidden", IOPL3, "1: inb $0x81, %al", 13, 0, 1f, IOPL3
    v86 "port half forbidden", IOPL3, "1: inw $0x80, %ax", 13, 0, 1f, IOPL3
    v86 "limit", 0, "movw $0xffff, %si; 1: movw (%si), %ax", 13, 0, 1f, 0
    v86 "limit of the stack", 0, "movw $0xffff, %si; 1: movw %ss:(%si), %ax", 12, 0, 1f, 0
    v86 "segments", 0, "movw $0x1234, %ax; movw %ax, %ds; hlt", 13, 0, 9f-1, 0
    word "frame: cs", frame+4, 0xffff, 0xf000
    word "frame: sp", frame+12, -1, 0x8000
    word "frame: ss", frame+16, 0xffff, 0x2000
    word "frame: es", frame+20, 0xffff, 0x1000
    word "frame: ds", frame+24, 0xffff, 0x1234
    word "frame: fs", frame+28, 0xffff, 0x3000
    word "frame: gs", frame+32, 0xffff, 0x4000
    word "handler: ds", inside, -1, 0
    word "handler: es", inside+4, -1, 0
    word "handler: fs", inside+8, -1, 0
    word "handler: gs", inside+12, -1, 0

    vme 1
    v86 "vme: cli", VIF+IF, "cli", 13, 0, 9f, IF
    v86 "vme: sti", 0, "sti", 13, 0, 9f, VIF
    v86 "vme: sti with an interrupt waiting", VIP, "1: sti", 13, 0, 1f, VIP
    v86 "vme: cli with an interrupt waiting", VIP, "cli", 13, 0, 9f, VIP
    v86 "vme: both flags", VIF+VIP, "9: nop", 13, 0, 9f, VIF+VIP
    v86 "vme: both flags, iopl 3", VIF+VIP+IOPL3, "nop", 13, 0, 9f, VIF+VIP+IOPL3
    v86 "vme: pushf", VIF, "pushfw", 13, 0, 9f, VIF
    word "vme: pushed", V86_STACK-2, 0x7200, 0x3200
    v86 "vme: pushf without vif", IF, "pushfw", 13, 0, 9f, IF
    word "vme: pushed without vif", V86_STACK-2, 0x7200, 0x3000
    v86 "vme: pushf of 32 bits", VIF, "1: pushfl", 13, 0, 1f, VIF
    v86 "vme: popf of 32 bits", VIF, "1: popfl", 13, 0, 1f, VIF
    v86 "vme: popf", 0, "pushw $0x4202; popfw", 13, 0, 9f, VIF+NT
    v86 "vme: popf clears vif", VIF, "pushw $0x0002; popfw", 13, 0, 9f, 0
    v86 "vme: popf to step", 0, "pushw $0x0102; 1: popfw", 13, 0, 1f, 0
    v86 "vme: popf with an interrupt waiting", VIP, "pushw $0x0202; 1: popfw", 13, 0, 1f, VIP
    v86 "vme: popf that masks it", VIP, "pushw $0x0002; popfw", 13, 0, 9f, VIP
    v86 "vme: int redirected", VIF, "int $0x21; 1:", 13, 0, own16, 0
    word "vme: int's flags", V86_STACK-2, 0x7200, 0x3200
    word "vme: int's sp", frame+12, -1, 0x7ffa
    v86 "vme: int redirected, iopl 3", IOPL3+VIF+NT, "sti; nop; int $0x21", 13, 0, own16, IOPL3+VIF+NT
    v86 "vme: int to the monitor", 0, "1: int $0x22", 13, 0, 1f, 0
    v86 "vme: int to the monitor, iopl 3", IOPL3, "int $0x22; 1:", 0x22, 0, 1f, IOPL3
    v86 "vme: int and iret", VIF, "int $0x24; nop", 13, 0, 9f, VIF
    v86 "vme: int3 is the monitor's", 0, "int3; 1:", 3, 0, 1f, 0
    v86 "vme: iret", 0, "pushw $0x0202; pushw $0xf000; pushw $(1f - ROM); iretw; 1: hlt", 13, 0, 1f, VIF
    v86 "vme: iret to step", 0, "pushw $0x0102; pushw $0xf000; pushw $(1f - ROM); 2: iretw; 1: hlt", 13, 0, 2f, 0
    v86 "vme: iret with an interrupt waiting", VIP, "pushw $0x0202; pushw $0xf000; pushw $(1f - ROM); 2: iretw; 1: hlt", 13, 0, 2f, VIP
    v86 "vme: iret of 32 bits", 0, "1: iretl", 13, 0, 1f, 0
    movl $(TSS32 << 16 | 0x6b), GDT + TSS32_SELECTOR
    movb $0x89, GDT + TSS32_SELECTOR + 5
    movl $TSS32_SELECTOR, %eax
    ltr %ax
    v86 "vme: bitmap ends before the bit", 0, "1: int $0x24", 13, 0, 1f, 0
    vme 0
    ret

    .code64
main:
    end_cases
