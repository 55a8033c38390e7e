/*
 * A Multiboot kernel that looks at how it was started and at pc-testdev, prints
 * a line a check on COM1, and ends through isa-debug-exit at F4h: with value 0
 * (status 1) when all is as it should be, else with the number of the check
 * (status 2 * number + 1). tests/guest/multiboot.sh runs it. Built three times:
 * ELF, and with ADDRESSES set also for the address fields of the header.
 */
        .set MAGIC, 0x1badb002
        .ifdef ADDRESSES
        .set FLAGS, 0x10003
        .else
        .set FLAGS, 0x00003
        .endif

        .code32
        .section .text
        .global start
        .balign 4
header:
        .long MAGIC, FLAGS, -(MAGIC + FLAGS)
        .ifdef ADDRESSES
        .long header, image_start, image_end, bss_end, start
        .endif

        /* Prints the check's text, and fails unless the flags say "equal". */
        .macro check text
        .set number, number + 1
        pushfl
        movl $1f, %esi
        call print
        popfl
        movl $number, %eax
        jne failed
        .section .rodata
1:      .asciz "\text\n"
        .text
        .endm
        .set number, 0

start:
        movl %esp, first_esp
        movl $stack_top, %esp
        pushfl
        popl first_flags
        movl %ebx, info
        movw %cs, first_cs
        movw %ss, first_ss
        cmpl $0x2badb002, %eax
        check "magic"

        movl %cr0, %eax
        andl $0x80000001, %eax
        cmpl $1, %eax
        check "protected mode without paging"
        movl first_flags, %eax
        testl $0x20200, %eax            /* VM, IF */
        check "interrupts off"
        larl first_cs, %eax
        andl $0xc0fe00, %eax
        cmpl $0xc09a00, %eax
        check "flat code"
        larl first_ss, %eax
        andl $0xc0fe00, %eax
        cmpl $0xc09200, %eax
        check "flat data"
        /* A20: 1 MiB apart are two places. */
        movl $0x12345678, 0x600000
        movl $0x87654321, 0x700000
        cmpl $0x12345678, 0x600000
        check "A20"

        /* bss is zero */
        movl $bss_start, %edi
        movl $bss_clean_end, %ecx
        subl %edi, %ecx
        xorl %eax, %eax
        cld
        repe scasb
        check "zeroed bss"

        movl info, %ebx
        movl (%ebx), %eax
        andl $0x24f, %eax
        cmpl $0x24f, %eax
        check "information"
        movl 4(%ebx), %eax              /* mem_lower: 600 to 640 KiB */
        subl $600, %eax
        cmpl $40, %eax
        ja 1f
        xorl %eax, %eax
1:      testl %eax, %eax
        check "lower memory"
        movl 8(%ebx), %eax              /* mem_upper: 15 MiB, less 1 MiB at most */
        negl %eax
        addl $15 * 1024, %eax
        cmpl $1024, %eax
        ja 1f
        xorl %eax, %eax
1:      testl %eax, %eax
        check "upper memory"
        movl 16(%ebx), %esi
        call print_line
        movl 20(%ebx), %eax
        cmpl $2, %eax
        check "two modules"
        movl 24(%ebx), %edi
        call show_module
        addl $16, %edi
        call show_module
        call check_map
        testl %eax, %eax
        check "memory map"

        call check_fw_cfg
        call check_latch
        call check_memory
        call check_lines

        xorl %eax, %eax
failed:
        pushl %eax
        testl %eax, %eax
        jz 1f
        movl $failed_text, %esi
        call print
1:      popl %eax
        movw $0xf4, %dx
        outl %eax, %dx
1:      hlt
        jmp 1b

/* The module whose entry is at EDI: on a page, its text, its content. */
show_module:
        movl 8(%edi), %esi
        call print_line
        testl $0xfff, (%edi)
        check "module on a page"
        movl 4(%edi), %ecx
        movl (%edi), %esi
        subl %esi, %ecx
        jz 2f
1:      lodsb
        call put
        loop 1b
2:      ret

/* EAX = 0 when the map has the kernel's memory in an entry of type 1, and its
 * entries fill it exactly. */
check_map:
        movl info, %ebx
        movl 44(%ebx), %ecx
        movl 48(%ebx), %esi
        addl %esi, %ecx
        movl $1, %eax
1:      cmpl %ecx, %esi
        jae 3f
        cmpl $1, 20(%esi)
        jne 2f
        movl $start, %edx
        subl 4(%esi), %edx
        jb 2f
        cmpl 12(%esi), %edx
        jae 2f
        xorl %eax, %eax
2:      addl (%esi), %esi
        addl $4, %esi
        jmp 1b
3:      je 4f
        movl $2, %eax
4:      ret

/* fw_cfg: CPUs under key 5, memory under key 3. */
check_fw_cfg:
        movw $5, %ax
        call fw_cfg_long
        cmpw $2, %ax
        check "two CPUs"
        movw $3, %ax
        call fw_cfg_long
        cmpl $16 << 20, %eax
        check "16 MiB"
        ret

fw_cfg_long:
        movw $0x510, %dx
        outw %ax, %dx
        incl %edx
        movl $4, %ecx
1:      inb %dx, %al
        rorl $8, %eax
        loop 1b
        ret

check_latch:
        movw $0xe0, %dx
        movl $0x44332211, %eax
        outl %eax, %dx
        xorl %eax, %eax
        inl %dx, %eax
        cmpl $0x44332211, %eax
        check "latch, 4 bytes"
        movw $0xe2, %dx
        movw $0xbeef, %ax
        outw %ax, %dx
        xorl %eax, %eax
        inw %dx, %ax
        cmpw $0xbeef, %ax
        check "latch, 2 bytes"
        movw $0xe1, %dx
        movb $0x77, %al
        outb %al, %dx
        inb %dx, %al
        cmpb $0x77, %al
        check "latch, 1 byte"
        movw $0xe0, %dx
        inl %dx, %eax
        cmpl $0xbeef7711, %eax
        check "latch, whole"
        movw $0xe8, %dx
        inl %dx, %eax
        cmpl $0xbeef7711, %eax
        check "bytewise, read"
        movl $0x01020304, %eax
        outl %eax, %dx
        movw $0xe0, %dx
        inl %dx, %eax
        cmpl $0x01020304, %eax
        check "bytewise, written"
        movl $scratch, %eax             /* a flush changes nothing */
        movl $0x5a5a5a5a, (%eax)
        andl $0xfffff000, %eax
        outl %eax, $0xe4
        cmpl $0x5a5a5a5a, scratch
        check "flush"
        ret

check_memory:
        movl $0xff000000, %edi
        movl $0xdeadbeef, (%edi)
        movb $0x11, 1(%edi)
        movw $0x2233, 2(%edi)
        cmpl $0x223311ef, (%edi)
        check "window, start"
        movl $0x600dcafe, 0xfffc(%edi)
        cmpl $0x600dcafe, 0xfffc(%edi)
        check "window, end"
        cmpl $0x223311ef, (%edi)
        check "window, start again"
        ret

/* Interrupt line 5 through the 8259 pair: vector 25h; then the level is seen in
 * the request register, and falls. */
check_lines:
        movl $handler, %eax
        movw %ax, idt + 0x25 * 8
        movl first_cs, %ecx
        movw %cx, idt + 0x25 * 8 + 2
        movw $0x8e00, idt + 0x25 * 8 + 4
        shrl $16, %eax
        movw %ax, idt + 0x25 * 8 + 6
        lidt idt_pointer
        movb $0x11, %al
        outb %al, $0x20
        movb $0x20, %al
        outb %al, $0x21
        movb $0x04, %al
        outb %al, $0x21
        movb $0x01, %al
        outb %al, $0x21
        movb $0xdf, %al                 /* all but line 5 masked */
        outb %al, $0x21
        movb $0xff, %al
        outb %al, $0xa1
        movw $0x2005, %dx
        movb $1, %al
        outb %al, %dx
        sti
        nop
        nop
        cli
        cmpl $1, taken
        check "interrupt"
        movb $0, %al
        outb %al, %dx
        sti
        nop
        nop
        cli
        cmpl $1, taken
        check "no interrupt on the falling edge"
        movb $0xff, %al
        outb %al, $0x21
        movb $1, %al
        outb %al, %dx
        call requests
        cmpb $0x20, %al
        check "line is high"
        movb $0, %al
        outb %al, %dx
        call requests
        cmpb $0, %al
        check "line is low"
        ret

/* AL = line 5 in the request register. */
requests:
        movb $0x0a, %al
        outb %al, $0x20
        inb $0x20, %al
        andb $0x20, %al
        ret

handler:
        pushl %eax
        incl taken
        movb $0x20, %al
        outb %al, $0x20
        popl %eax
        iret

/* The text at ESI, and a line's end. */
print_line:
        call print
        movb $'\n', %al
        jmp put

print:
        lodsb
        testb %al, %al
        jz 1f
        call put
        jmp print
1:      ret

put:
        pushl %edx
        pushl %eax
        movw $0x3fd, %dx
1:      inb %dx, %al
        testb $0x20, %al
        jz 1b
        popl %eax
        movw $0x3f8, %dx
        outb %al, %dx
        popl %edx
        ret

        .section .rodata
failed_text:
        .asciz "FAILED\n"

        .data
idt_pointer:
        .word 0x26 * 8 - 1
        .long idt

        .bss
        .balign 16
bss_start:
idt:    .skip 0x26 * 8
taken:  .skip 4
scratch: .skip 4
        .skip 8192
bss_clean_end:
info:   .skip 4
first_esp: .skip 4
first_flags: .skip 4
first_cs: .skip 4
first_ss: .skip 4
        .skip 4096
stack_top:
