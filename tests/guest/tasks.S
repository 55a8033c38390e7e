/*
 * Task switches by JMP, CALL, IRET, task gates and interrupts: what is saved
 * and loaded, busy bits, NT and the link, and each fault before and behind the
 * point from which on it belongs to the new task. (SDM vol. 3, chapter 8,
 * tables 8-1 and 8-2)
 *
 * Each case says what is to come of it; those that fail print a line.
 */
    .equ WITH_32, 1
    .include "tests/guest/lib.inc"

    .equ IDT32, 0x100000
    .equ OLD, 0x101000          /* TSS images */
    .equ NEW, 0x101100
    .equ LINK, 0x101200
    .equ OLD_TASK, 0x80         /* descriptors made by fresh */
    .equ NEW_TASK, 0x88
    .equ LINK_TASK, 0x90
    .equ GATE, 0x98             /* a task gate to NEW_TASK */
    .equ ODD, 0xa0              /* for each case to fill */
    .equ CONFORMING, 0xa8
    .equ BIG, 0x1000            /* beyond the table */

    .equ case_name, 0x101300
    .equ want, 0x101304         /* vector, error, EIP, task */
    .equ next, 0x101314
    .equ next_esp, 0x101318
    .equ cases, 0x10131c
    .equ failures, 0x101320
    .equ seen, 0x101324         /* vector, error, EIP, task */
    .equ bits, 0x101340         /* what a task that was reached saw */

    .equ TSS_LINK, 0
    .equ TSS_ESP0, 4
    .equ TSS_SS0, 8
    .equ TSS_EIP, 32
    .equ TSS_EFLAGS, 36
    .equ TSS_EAX, 40
    .equ TSS_ESP, 56
    .equ TSS_ES, 72
    .equ TSS_CS, 76
    .equ TSS_SS, 80
    .equ TSS_DS, 84
    .equ TSS_FS, 88
    .equ TSS_LDT, 96
    .equ TSS_T, 100

    .equ REACHED, 0x100         /* in place of a vector: the new task runs */
    .equ BACK, 0x101            /* the instruction behind is reached */

    .code32
    define_stubs32 48

/* Stack: vector, error, EIP, CS, EFLAGS. */
trap32:
    movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    popl seen
    popl seen + 4
    popl seen + 8
finish:
    movl $0, seen + 12
    strw seen + 12
    movl $DATA32, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl next_esp, %esp
    pushl $2
    popfl
    clts
    incl cases
    cld
    finish_case32

/* The new task, by default: what it finds. */
reached32:
    movl $DATA32, %eax
    movl %eax, %ds
    pushfl
    popl %eax
    movl %eax, bits
    movl %cr0, %eax
    movl %eax, bits + 4
    movl %dr7, %eax
    movl %eax, bits + 8
    movl $REACHED, seen
    movl $0, seen + 4
    movl $0, seen + 8
    jmp finish

    define_output32

/* All tasks and descriptors as they are to be before a case. */
fresh:
    movl $OLD, %edi
    movl $0xc0, %ecx
    xorl %eax, %eax
    rep stosl
    descriptor OLD_TASK, OLD, 0x67, 0x89
    descriptor NEW_TASK, NEW, 0x67, 0x89
    descriptor LINK_TASK, LINK, 0x67, 0x8b
    descriptor ODD, 0, 0xffff, 0
    descriptor CONFORMING, 0, 0xffff, 0xcf9f
    movl $(CONFORMING_HIGH), GDT + CONFORMING + 4
    movl $(NEW_TASK << 16), GDT + GATE
    movl $0xe500, GDT + GATE + 4
    movl $reached32, NEW + TSS_EIP
    movl $2, NEW + TSS_EFLAGS
    movl $0x104000, NEW + TSS_ESP
    movl $CODE32, NEW + TSS_CS
    movl $DATA32, NEW + TSS_SS
    movl $DATA32, NEW + TSS_DS
    movl $DATA32, NEW + TSS_ES
    movl $0x105000, NEW + TSS_ESP0
    movl $DATA32, NEW + TSS_SS0
    movl $0x106000, OLD + TSS_ESP0
    movl $DATA32, OLD + TSS_SS0
    movl $OLD_TASK, %eax
    ltr %ax
    ret
    .equ CONFORMING_HIGH, 0x00cf9f00

/* case NAME, VECTOR, ERROR, EIP, TASK, "preparation", "what is done". EIP is at
 * a label 1 in what is done, 2 behind all of it, or elsewhere. */
.macro case name, vector, error, eip, task, prepare, do
    call fresh
    \prepare
    begin_case32 "\name"
    movl $\vector, want
    movl $\error, want + 4
    movl $\eip, want + 8
    movl $\task, want + 12
    case_ends_at .Lafter\@
    \do
2:  movl $BACK, seen
    movl $0, seen + 4
    movl $0, seen + 8
    jmp finish
.Lafter\@:
.endm

/* A word in memory is as it should be; counted as a case of its own. */
.macro word name, address, mask, value
    begin_case32 "\name"
    case_ends_at .Lafter\@
    movl \address, %eax
    andl $\mask, %eax
    movl %eax, seen
    movl $\value, want
    movl $0, %eax
    movl %eax, seen + 4
    movl %eax, want + 4
    movl %eax, seen + 8
    movl %eax, want + 8
    str %ax
    movzwl %ax, %eax
    movl %eax, want + 12
    jmp finish
.Lafter\@:
.endm

/* A new task at CPL 3, so that its faults have a stack. */
.macro user_task
    movl $(USER_CODE32 | 3), NEW + TSS_CS
    movl $(USER_DATA32 | 3), NEW + TSS_SS
    movl $(USER_DATA32 | 3), NEW + TSS_DS
    movl $(USER_DATA32 | 3), NEW + TSS_ES
    movl $at_user, NEW + TSS_EIP
.endm
at_user:
    hlt                                 /* #GP(0): it runs */

/* behind NAME, VECTOR, ERROR, "preparation": a fault in the new task. */
.macro behind name, vector, error, prepare
    case "\name", \vector, \error, at_user, NEW_TASK, "user_task; \prepare", "ljmp $NEW_TASK, $0"
.endm

init32:
    fill_idt32 48, 0x8e00
    movl $(NEW_TASK << 16), IDT32 + 0x30 * 8   /* vectors 30h.. are task gates */
    movl $0xe500, IDT32 + 0x30 * 8 + 4
    movl $(BIG << 16), IDT32 + 0x31 * 8
    movl $0xe500, IDT32 + 0x31 * 8 + 4
    movl $(NEW_TASK << 16), IDT32 + 0x32 * 8
    movl $0x6500, IDT32 + 0x32 * 8 + 4         /* not present */
    lidt idt32_pointer
    movl $0, cases
    movl $0, failures
    ret
idt32_pointer:
    .word 0x33 * 8 - 1
    .long IDT32

.macro gate_of vector, selector
    movl $(\selector << 16), IDT32 + 8 * (\vector)
    movl $0x8500, IDT32 + 8 * (\vector) + 4
.endm
.macro ungate vector
    movl $((CODE32 << 16) | ((stubs32 - ROM + 16 * (\vector)) & 0xffff)), IDT32 + 8 * (\vector)
    movl $(0x000f8e00), IDT32 + 8 * (\vector) + 4
.endm

main32:
    call init32

    /* What is saved and loaded. */
    case "jmp", REACHED, 0, 0, NEW_TASK, "movl $0x403, %eax; movl %eax, %dr7", "movl $0x1234, %ecx; stc; ljmp $NEW_TASK, $0x55"
    word "jmp: old is free", GDT+OLD_TASK+4, 0xff00, 0x8900
    word "jmp: new is busy", GDT+NEW_TASK+4, 0xff00, 0x8b00
    word "jmp: no link", NEW, 0xffff, 0
    word "jmp: NT", bits, 0x4000, 0
    word "jmp: TS", bits+4, 8, 8
    word "jmp: local breakpoints", bits+8, 0xff, 2
    movl $0x400, %eax
    movl %eax, %dr7
    word "jmp: ecx saved", OLD+TSS_EAX+4, -1, 0x1234
    word "jmp: cf saved", OLD+TSS_EFLAGS, 0x4001, 1
    word "jmp: cs saved", OLD+TSS_CS, 0xffff, CODE32
    case "call", REACHED, 0, 0, NEW_TASK, "", "lcall $NEW_TASK, $0x55"
    word "call: old stays busy", GDT+OLD_TASK+4, 0xff00, 0x8b00
    word "call: new is busy", GDT+NEW_TASK+4, 0xff00, 0x8b00
    word "call: link", NEW, 0xffff, OLD_TASK
    word "call: NT", bits, 0x4000, 0x4000
    case "call through a gate", REACHED, 0, 0, NEW_TASK, "", "lcall $GATE, $0x55"
    word "gate: link", NEW, 0xffff, OLD_TASK
    case "int", REACHED, 0, 0, NEW_TASK, "", "int $0x30"
    word "int: link", NEW, 0xffff, OLD_TASK
    word "int: NT", bits, 0x4000, 0x4000
    case "call and iret", BACK, 0, 0, OLD_TASK, "movl $do_iret, NEW + TSS_EIP", "lcall $NEW_TASK, $0"
    word "iret: new is free", GDT+NEW_TASK+4, 0xff00, 0x8900
    word "iret: NT is saved clear", NEW+TSS_EFLAGS, 0x4000, 0
    word "iret: eip saved", NEW+TSS_EIP, -1, do_iret+1
    word "iret: old is busy", GDT+OLD_TASK+4, 0xff00, 0x8b00
    case "int and iret", BACK, 0, 0, OLD_TASK, "movl $do_iret, NEW + TSS_EIP", "int $0x30"
    case "iret by hand", REACHED, 0, 0, NEW_TASK, "movb $0x8b, GDT + NEW_TASK + 5; movw $NEW_TASK, OLD", "pushl $0x4002; popfl; iretl"
    word "iret by hand: old is free", GDT+OLD_TASK+4, 0xff00, 0x8900
    word "iret by hand: NT of old", OLD+TSS_EFLAGS, 0x4000, 0

    /* Faults of the old task. */
    case "busy", 13, NEW_TASK, 1f, OLD_TASK, "movb $0x8b, GDT + NEW_TASK + 5", "1: ljmp $NEW_TASK, $0"
    case "call: busy", 13, NEW_TASK, 1f, OLD_TASK, "movb $0x8b, GDT + NEW_TASK + 5", "1: lcall $NEW_TASK, $0"
    case "gate: busy", 13, NEW_TASK, 1f, OLD_TASK, "movb $0x8b, GDT + NEW_TASK + 5", "1: lcall $GATE, $0"
    case "int: busy", 13, NEW_TASK, 1f, OLD_TASK, "movb $0x8b, GDT + NEW_TASK + 5", "1: int $0x30"
    case "call to itself", 13, OLD_TASK, 1f, OLD_TASK, "", "1: lcall $OLD_TASK, $0"
    case "absent", 11, NEW_TASK, 1f, OLD_TASK, "movb $0x09, GDT + NEW_TASK + 5", "1: ljmp $NEW_TASK, $0"
    case "gate: absent", 11, NEW_TASK, 1f, OLD_TASK, "movb $0x09, GDT + NEW_TASK + 5", "1: ljmp $GATE, $0"
    case "gate absent", 11, GATE, 1f, OLD_TASK, "movb $0x65, GDT + GATE + 5", "1: ljmp $GATE, $0"
    case "int: gate absent", 11, 0x32*8+2, 1f, OLD_TASK, "", "1: int $0x32"
    case "int: absent", 11, NEW_TASK, 1f, OLD_TASK, "movb $0x09, GDT + NEW_TASK + 5", "1: int $0x30"
    case "gate: beyond the table", 13, BIG, 1f, OLD_TASK, "movw $BIG, GDT + GATE + 2", "1: ljmp $GATE, $0"
    case "int: beyond the table", 13, BIG, 1f, OLD_TASK, "", "1: int $0x31"
    case "gate: in the LDT", 13, NEW_TASK|4, 1f, OLD_TASK, "movw $(NEW_TASK | 4), GDT + GATE + 2", "1: ljmp $GATE, $0"
    case "gate: null", 13, 0, 1f, OLD_TASK, "movw $0, GDT + GATE + 2", "1: ljmp $GATE, $0"
    case "gate: no task", 13, CODE32, 1f, OLD_TASK, "movw $CODE32, GDT + GATE + 2", "1: ljmp $GATE, $0"
    case "limit", 10, NEW_TASK, 1f, OLD_TASK, "movw $0x66, GDT + NEW_TASK", "1: ljmp $NEW_TASK, $0"
    case "int: limit", 10, NEW_TASK, 1f, OLD_TASK, "movw $0x66, GDT + NEW_TASK", "1: int $0x30"
    case "old limit", 10, OLD_TASK, 1f, OLD_TASK, "movw $0x5e, GDT + OLD_TASK; movb $0x89, GDT + OLD_TASK + 5; movl $OLD_TASK, %eax; ltr %ax", "1: ljmp $NEW_TASK, $0"
    case "old limit, enough", REACHED, 0, 0, NEW_TASK, "movw $0x5f, GDT + OLD_TASK; movb $0x89, GDT + OLD_TASK + 5; movl $OLD_TASK, %eax; ltr %ax", "1: ljmp $NEW_TASK, $0"
    case "16 bits: limit", 10, NEW_TASK, 1f, OLD_TASK, "movw $0x2a, GDT + NEW_TASK; movb $0x81, GDT + NEW_TASK + 5", "1: ljmp $NEW_TASK, $0"
    case "iret: not busy", 10, NEW_TASK, 1f, OLD_TASK, "movw $NEW_TASK, OLD", "pushl $0x4002; popfl; 1: iretl"
    case "iret: null link", 10, 0, 1f, OLD_TASK, "", "pushl $0x4002; popfl; 1: iretl"
    case "iret: no task", 10, CODE32, 1f, OLD_TASK, "movw $CODE32, OLD", "pushl $0x4002; popfl; 1: iretl"
    case "iret: in the LDT", 10, LINK_TASK|4, 1f, OLD_TASK, "movw $(LINK_TASK | 4), OLD", "pushl $0x4002; popfl; 1: iretl"
    case "iret: beyond the table", 10, BIG, 1f, OLD_TASK, "movw $BIG, OLD", "pushl $0x4002; popfl; 1: iretl"
    case "iret: absent", 11, LINK_TASK, 1f, OLD_TASK, "movw $LINK_TASK, OLD; movb $0x0b, GDT + LINK_TASK + 5", "pushl $0x4002; popfl; 1: iretl"
    case "iret: limit", 10, LINK_TASK, 1f, OLD_TASK, "movw $LINK_TASK, OLD; movw $0x66, GDT + LINK_TASK", "pushl $0x4002; popfl; 1: iretl"
    word "old is still busy", GDT+OLD_TASK+4, 0xff00, 0x8b00

    /* An external event sets EXT. */
    gate_of 6, NEW_TASK
    case "exception: absent", 11, NEW_TASK|1, 1f, OLD_TASK, "movb $0x09, GDT + NEW_TASK + 5", "1: ud2"
    case "exception: busy", 13, NEW_TASK|1, 1f, OLD_TASK, "movb $0x8b, GDT + NEW_TASK + 5", "1: ud2"
    case "exception: limit", 10, NEW_TASK|1, 1f, OLD_TASK, "movw $0x66, GDT + NEW_TASK", "1: ud2"
    case "exception: bad code segment", 10, ODD|1, at_user, NEW_TASK, "user_task; movw $(ODD | 3), NEW + TSS_CS", "ud2"
    case "exception", REACHED, 0, 0, NEW_TASK, "", "ud2"
    word "exception: RF is saved", OLD+TSS_EFLAGS, 0x10000, 0x10000
    ungate 6
    gate_of 13, NEW_TASK
    case "exception with an error code", REACHED, 0, 0, NEW_TASK, "", "movl $0x77f8, %eax; movl %eax, %fs"
    word "its error code", 0x103ffc, -1, 0x77f8
    ungate 13

    /* Faults of the new task. */
    behind "it runs", 13, 0, ""
    behind "ldt: no ldt", 10, CODE32, "movw $CODE32, NEW + TSS_LDT"
    behind "ldt: in the ldt", 10, ODD|4, "movw $(ODD | 4), NEW + TSS_LDT"
    behind "ldt: absent", 10, ODD, "movw $ODD, NEW + TSS_LDT; movb $0x02, GDT + ODD + 5"
    behind "ldt: beyond the table", 10, BIG, "movw $BIG, NEW + TSS_LDT"
    behind "ldt: good", 13, 0, "movw $ODD, NEW + TSS_LDT; movb $0x82, GDT + ODD + 5"
    behind "cs: null", 10, 0, "movw $3, NEW + TSS_CS"
    behind "cs: data", 10, USER_DATA32, "movw $(USER_DATA32 | 3), NEW + TSS_CS"
    behind "cs: other privilege", 10, CODE32, "movw $(CODE32 | 3), NEW + TSS_CS"
    behind "cs: beyond the table", 10, BIG, "movw $(BIG | 3), NEW + TSS_CS"
    behind "cs: absent", 11, ODD, "movw $(ODD | 3), NEW + TSS_CS; movb $0x7b, GDT + ODD + 5"
    behind "cs: absent ldt", 10, 4, "movw $7, NEW + TSS_CS"
    behind "ss: null", 10, 0, "movw $3, NEW + TSS_SS"
    behind "ss: code", 10, USER_CODE32, "movw $(USER_CODE32 | 3), NEW + TSS_SS"
    behind "ss: read only", 10, ODD, "movw $(ODD | 3), NEW + TSS_SS; movb $0xf1, GDT + ODD + 5"
    behind "ss: RPL", 10, USER_DATA32, "movw $USER_DATA32, NEW + TSS_SS"
    behind "ss: DPL", 10, DATA32, "movw $(DATA32 | 3), NEW + TSS_SS"
    behind "ss: absent", 12, ODD, "movw $(ODD | 3), NEW + TSS_SS; movb $0x73, GDT + ODD + 5"
    behind "ds: execute only", 10, ODD, "movw $(ODD | 3), NEW + TSS_DS; movb $0xf9, GDT + ODD + 5"
    behind "ds: system", 10, ODD, "movw $(ODD | 3), NEW + TSS_DS; movb $0xe9, GDT + ODD + 5"
    behind "es: DPL", 10, DATA32, "movw $DATA32, NEW + TSS_ES"
    behind "fs: absent", 11, ODD, "movw $(ODD | 3), NEW + TSS_FS; movb $0x73, GDT + ODD + 5"
    behind "fs: beyond the table", 10, BIG, "movw $BIG, NEW + TSS_FS"
    behind "fs: null", 13, 0, "movw $1, NEW + TSS_FS"
    case "eip beyond the limit", 13, 0, 0x10000, NEW_TASK, "user_task; movw $(ODD | 3), NEW + TSS_CS; movl $0x0040fb00, GDT + ODD + 4; movl $0x10000, NEW + TSS_EIP", "ljmp $NEW_TASK, $0"
    word "the new task is busy", GDT+NEW_TASK+4, 0xff00, 0x8b00
    word "the old one is free", GDT+OLD_TASK+4, 0xff00, 0x8900

    /* Special ones. */
    case "conforming code at CPL 3", 13, 0, at_user, NEW_TASK, "user_task; movw $(CONFORMING | 3), NEW + TSS_CS", "lcall $NEW_TASK, $0"
    case "debug trap", 1, 0, reached32, NEW_TASK, "movb $1, NEW + TSS_T", "ljmp $NEW_TASK, $0"
    movl %dr6, %eax
    movl %eax, bits
    word "debug trap: BT", bits, 0xe00f, 0x8000
    movl $0xffff0ff0, %eax
    movl %eax, %dr6
    case "virtual-8086 mode", 6, 0, 0x10, NEW_TASK, "movl $0x20002, NEW + TSS_EFLAGS; movl $0x10, NEW + TSS_EIP; movw $0x2000, NEW + TSS_CS; movw $0x0b0f, 0x20010", "ljmp $NEW_TASK, $0"
    case "16 bits", REACHED, 0, 0, NEW_TASK, "call make16", "movl $0x12345678, %ecx; ljmp $NEW_TASK, $0"
    word "16 bits: old state", OLD+TSS_EAX+4, -1, 0x12345678
    case "16 bits: call and iret", BACK, 0, 0, OLD_TASK, "call make16; movw $(iret16 - ROM), NEW + 14", "lcall $NEW_TASK, $0"
    word "16 bits: ip saved", NEW+14, 0xffff, iret16-ROM+1
    word "16 bits: free", GDT+NEW_TASK+4, 0xff00, 0x8100

    ret
do_iret:
    iretl
    jmp reached32

/* NEW as a 16-bit TSS, whose code is in a segment of its own. */
make16:
    movb $0x81, GDT + NEW_TASK + 5
    movl $NEW, %edi
    movl $26, %ecx
    xorl %eax, %eax
    rep stosl
    descriptor ODD, 0xf0000, 0xffff, 0x9b
    movw $(entry16 - ROM), NEW + 14
    movw $2, NEW + 16
    movw $0x4000, NEW + 26
    movw $ODD, NEW + 36
    movw $DATA32, NEW + 38
    movw $DATA32, NEW + 34
    movw $DATA32, NEW + 40
    ret
    .code16
entry16:
    ljmpl $CODE32, $reached32
iret16:
    iretw

    .code64
main:
    end_cases
