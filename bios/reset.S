/*
 * A ROM for tests: runs a 16-bit program within a few thousand instructions of
 * reset, where a whole BIOS would take millions.
 *
 * The program is the fw_cfg file opt/groundhog/run; it is put at 1000:0000 and
 * called there in real mode, with SS:SP at 0000:7C00, interrupts off and the
 * size of the program in ECX. When it returns with a far return, AL is written
 * to the debug exit at port 501h. Without such a file the ROM says so on the
 * debug console (402h) and exits with 7Fh.
 *
 * 64 KiB, at the top of 4 GiB and below 1 MiB.
 */
        .code16
        .text

        .set FW_CFG_SELECTOR, 0x510
        .set FW_CFG_DATA, 0x511
        .set FW_CFG_DMA, 0x514
        .set KEY_DIRECTORY, 0x19
        .set DMA_READ_SELECTED, 0x0a
        .set DEBUG_CONSOLE, 0x402
        .set DEBUG_EXIT, 0x501
        .set STACK_TOP, 0x7c00
        .set ENTRY, 0x500               /* a directory entry: size, key, 0, name */
        .set PROGRAM_SEGMENT, 0x1000
        .set PROGRAM_SIZE_MAXIMUM, 0x80000

        .org 0
start:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %ss
        movl $STACK_TOP, %esp

        movw $FW_CFG_SELECTOR, %dx
        movw $KEY_DIRECTORY, %ax
        outw %ax, %dx
        movw $FW_CFG_DATA, %dx
        movw $ENTRY, %di
        movw $4, %cx
        rep insb
        movl ENTRY, %ebp
        bswapl %ebp                     /* number of files */

next_file:
        testl %ebp, %ebp
        jz no_program
        decl %ebp
        movw $ENTRY, %di
        movw $64, %cx
        rep insb
        movw $name - start, %si
        movw $ENTRY + 8, %di
        movw $name_end - name, %cx
        repe cmpsb %es:(%di), %cs:(%si)
        jne next_file

        movl ENTRY, %ecx
        bswapl %ecx
        cmpl $PROGRAM_SIZE_MAXIMUM, %ecx
        ja no_program

        /* The DMA request, from its end: address, length, control. */
        movl $PROGRAM_SEGMENT << 4, %eax
        bswapl %eax
        pushl %eax
        pushl $0
        pushl ENTRY                     /* big-endian already */
        movw ENTRY + 4, %ax
        pushw $DMA_READ_SELECTED << 8
        pushw %ax
        movw $FW_CFG_DMA, %dx
        xorl %eax, %eax
        outl %eax, %dx
        addw $4, %dx
        movl %esp, %eax
        bswapl %eax
        outl %eax, %dx
        addw $16, %sp

        movw $PROGRAM_SEGMENT, %ax
        movw %ax, %ds
        movw %ax, %es
        lcall $PROGRAM_SEGMENT, $0

exit:
        movw $DEBUG_EXIT, %dx
        outb %al, %dx
1:      cli
        hlt
        jmp 1b

no_program:
        movw $message - start, %si
        movw $DEBUG_CONSOLE, %dx
1:      lodsb %cs:(%si), %al
        testb %al, %al
        jz 2f
        outb %al, %dx
        jmp 1b
2:      movb $0x7f, %al
        jmp exit

name:
        .asciz "opt/groundhog/run"
name_end:
message:
        .asciz "reset: no fw_cfg file opt/groundhog/run\n"

        .org 0xfff0
        ljmp $0xf000, $start - start
        .ascii "01/01/24"
        .org 0x10000
