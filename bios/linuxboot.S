/*
 * Boot option ROM: starts the Linux kernel that the firmware configuration
 * device (fw_cfg) holds. It is a Plug-and-Play expansion header with a
 * bootstrap entry vector (Plug and Play BIOS Specification 1.0A, 3.2; BIOS
 * Boot Specification 1.01, 3.3): firmware lists it as a boot device and calls
 * the vector when that device's turn comes.
 *
 * The host has patched the kernel's setup header; all that is left to do is to
 * move four items to the addresses that stand beside them, by the device's DMA
 * interface, and to enter the real-mode setup code as the Linux boot protocol
 * demands. Should anything be amiss, a line is printed and the next boot device
 * gets its turn.
 *
 * Built as a flat binary with base 0; runs wherever firmware puts it and
 * writes to nothing but its stack.
 */
        .code16
        .text

        .set ROM_BLOCKS, 1              /* of 512 bytes */
        .set STACK_TOP, 0x7c00
        .set KEY_SETUP_ADDRESS, 0x16
        .set ENTRY_SEGMENTS, 0x20       /* setup entry: 512 bytes, as paragraphs */
        .set SETUP_STACK, 0xfdf0        /* below heap_end_ptr + 200h */

        .include "bios/rom.inc"

        rom_header "Linux loader"

/* Keys of address, size and data of each item, in the order of loading. The
 * data keys are not at one distance from the others. */
items:
        .byte 0x16, 0x17, 0x18          /* setup code */
        .byte 0x13, 0x14, 0x15          /* command line */
        .byte 0x07, 0x08, 0x11          /* kernel */
        .byte 0x0a, 0x0b, 0x12          /* initrd */
items_end:

boot:
        cli
        cld
        xorw %ax, %ax
        movw %ax, %ss
        movl $STACK_TOP, %esp           /* DMA requests lie on the stack: SS base 0 */
        movw %cs, %ax
        movw %ax, %ds
        sti

        movw $KEY_ID, %ax
        call read_long
        movw $no_dma - 0, %si
        testb $ID_DMA, %al
        jz fail

        movw $items - 0, %si
1:      call load_item
        jc 2f
        addw $3, %si
        cmpw $items_end - 0, %si
        jb 1b

        movw $KEY_SETUP_ADDRESS, %ax
        call read_long
        shrl $4, %eax                   /* its segment */
        cli
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %fs
        movw %ax, %gs
        movw %ax, %ss
        movl $SETUP_STACK, %esp
        addw $ENTRY_SEGMENTS, %ax
        pushw %ax
        pushw $0
        xorl %eax, %eax
        xorl %ebx, %ebx
        xorl %ecx, %ecx
        xorl %edx, %edx
        xorl %esi, %esi
        xorl %edi, %edi
        xorl %ebp, %ebp
        lret

2:      movw $dma_failed - 0, %si
        /* fall through */

        rom_fail
        rom_read_long

/* Loads the item whose three keys are at SI; carry set when the device
 * refuses. An item of size 0 is left out. */
load_item:
        movzbw (%si), %ax
        call read_long
        movl %eax, %edi                 /* address */
        movzbw 1(%si), %ax
        call read_long
        testl %eax, %eax                /* size; clears carry */
        jz 3f

        /* The request, from its end: address, length, control; big-endian. */
        bswapl %edi
        bswapl %eax
        pushl %edi
        pushl $0
        pushl %eax
        movzbl 2(%si), %eax
        shll $16, %eax
        movb $DMA_READ_SELECTED, %al
        bswapl %eax
        pushl %eax
        movl %esp, %ebp                 /* SS base is 0: its physical address */
        movw $FW_CFG_DMA, %dx
        xorl %eax, %eax
        outl %eax, %dx
        addw $4, %dx
        movl %ebp, %eax
        bswapl %eax
        outl %eax, %dx

        /* Done when nothing, or only the error bit, is left of control. */
1:      movl (%bp), %eax
        bswapl %eax
        testl $~DMA_ERROR, %eax
        jnz 1b
        addw $16, %sp
        shrl $1, %eax                   /* the error bit to carry */
3:      ret

no_dma:
        .asciz "linuxboot: fw_cfg has no DMA interface\r\n"
dma_failed:
        .asciz "linuxboot: fw_cfg refused a transfer\r\n"
        .byte 0

        /* The last byte is for the checksum. */
        .org ROM_BLOCKS * 512
