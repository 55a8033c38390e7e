/*
 * Boot option ROM: starts the Multiboot kernel that the firmware configuration
 * device (fw_cfg) holds (Multiboot Specification 0.6.96).
 *
 * The host has taken the kernel file apart. It hands over a list of requests
 * for the device's DMA interface, in the form that the device takes, which load
 * the kernel, its modules and the information structure. What only firmware
 * knows, the sizes of memory and its map, is asked from it here before anything
 * is loaded: a kernel may lie over the firmware's own data.
 *
 * Built as a flat binary with base 0; runs wherever firmware puts it and
 * writes to nothing but the segment SCRATCH, where the host loads nothing else
 * (src/machine/multiboot.c has the same numbers).
 */
        .code16
        .text

        .set ROM_BLOCKS, 2              /* of 512 bytes */

        .set KEY_ENTRY, 0x10
        .set KEY_SCRIPT_SIZE, 0x17
        .set KEY_SCRIPT, 0x18

        .set SCRATCH, 0x9000            /* segment; offsets in it: */
        .set INFO, 0x0000
        .set MAP, 0x0080
        .set MAP_END, 0x0f80
        .set SCRIPT, 0x1000
        .set STACK_TOP, 0x8000

        .set INFO_MEM_LOWER, 4
        .set INFO_MEM_UPPER, 8
        .set INFO_MMAP_LENGTH, 44
        .set INFO_MMAP_ADDR, 48
        .set BOOT_MAGIC, 0x2badb002

        .set SMAP, 0x534d4150
        .set CODE_SELECTOR, 8
        .set DATA_SELECTOR, 16

        .include "bios/rom.inc"

        rom_header "Multiboot loader"

boot:
        cli
        cld
        movw $SCRATCH, %ax
        movw %ax, %ss
        movl $STACK_TOP, %esp
        movw %ax, %es
        movw %cs, %ax
        movw %ax, %ds
        sti

        movw $KEY_ID, %ax
        call read_long
        movw $no_dma - 0, %si
        testb $ID_DMA, %al
        jz fail

        call memory_map                 /* its end to DI, KiB above 1 MiB to EBP */
        int $0x12
        movzwl %ax, %eax
        pushl %eax                      /* KiB below 1 MiB */
        pushl %ebp
        subw $MAP, %di
        movzwl %di, %edi
        pushl %edi

        movw $KEY_SCRIPT_SIZE, %ax
        call read_long
        movl %eax, %ebx
        call fetch_script
        jc 2f
        inb $0x92, %al                  /* A20 */
        orb $2, %al
        andb $0xfe, %al
        outb %al, $0x92
        cli
        movl $SCRIPT, %ebp
        addl %ebp, %ebx                 /* its end */
1:      cmpl %ebx, %ebp
        jae enter
        call transfer
        jc 2f
        addw $16, %bp
        jmp 1b

2:      movw $dma_failed - 0, %si
        /* fall through */

        rom_fail

enter:
        popl %es:(INFO + INFO_MMAP_LENGTH)
        popl %es:(INFO + INFO_MEM_UPPER)
        popl %es:(INFO + INFO_MEM_LOWER)
        movl $(SCRATCH * 16 + MAP), %es:(INFO + INFO_MMAP_ADDR)
        movw $KEY_ENTRY, %ax
        call read_long
        movl %eax, %edi

        movw %cs, %ax
        movzwl %ax, %eax
        shll $4, %eax                   /* where this ROM is */
        leal gdt(%eax), %ecx
        pushl %ecx
        pushw $(gdt_end - gdt - 1)
        movw %sp, %bp
        lgdtl (%bp)
        addl $protected, %eax
        pushl $CODE_SELECTOR
        pushl %eax
        movl %cr0, %eax
        andl $0x1fffffff, %eax          /* caches on, paging off */
        orb $1, %al
        movl %eax, %cr0
        lretl

        .code32
protected:
        movl $DATA_SELECTOR, %eax
        movl %eax, %ds
        movl %eax, %es
        movl %eax, %fs
        movl %eax, %gs
        movl %eax, %ss
        movl $(SCRATCH * 16 + STACK_TOP), %esp
        pushl %edi
        movl $BOOT_MAGIC, %eax
        movl $(SCRATCH * 16 + INFO), %ebx
        xorl %ecx, %ecx
        xorl %edx, %edx
        xorl %esi, %esi
        xorl %edi, %edi
        xorl %ebp, %ebp
        ret
        .code16

        rom_read_long

/* Writes the firmware's memory map to MAP, in the form of Multiboot: DI is its
 * end. EBP = KiB of memory from 1 MiB on without a hole. */
memory_map:
        movw $MAP, %di
        xorl %ebp, %ebp
        xorl %ebx, %ebx
1:      movl $0xe820, %eax
        movl $20, %ecx
        movl $SMAP, %edx
        addw $4, %di
        int $0x15
        leaw -4(%di), %di
        jc 3f
        cmpl $SMAP, %eax
        jne 3f
        movl $20, %es:(%di)             /* size of what follows */
        cmpl $0x100000, %es:4(%di)
        jne 2f
        cmpl $0, %es:8(%di)
        jne 2f
        cmpl $1, %es:20(%di)
        jne 2f
        movl %es:12(%di), %ebp
        shrl $10, %ebp
2:      addw $24, %di
        cmpw $(MAP_END - 24), %di
        ja 3f
        testl %ebx, %ebx
        jnz 1b
3:      ret

/* Loads EBX bytes of requests to SCRIPT; carry set on failure. */
fetch_script:
        movl $(SCRATCH * 16 + SCRIPT), %eax
        bswapl %eax
        pushl %eax
        pushl $0
        movl %ebx, %eax
        bswapl %eax
        pushl %eax
        movl $((KEY_SCRIPT << 16) | DMA_READ_SELECTED), %eax
        bswapl %eax
        pushl %eax
        movl %esp, %ebp
        call transfer
        leaw 16(%bp), %sp
        ret

/* Carries out the request at SS:BP; carry set when the device refuses. */
transfer:
        movw $FW_CFG_DMA, %dx
        xorl %eax, %eax
        outl %eax, %dx
        addw $4, %dx
        leal (SCRATCH * 16)(%ebp), %eax
        bswapl %eax
        outl %eax, %dx
1:      movl (%bp), %eax
        bswapl %eax
        testl $~DMA_ERROR, %eax
        jnz 1b
        shrl $1, %eax                   /* the error bit to carry */
        ret

        .balign 8
gdt:
        .quad 0
        .quad 0x00cf9b000000ffff        /* flat code */
        .quad 0x00cf93000000ffff        /* flat data */
gdt_end:

no_dma:
        .asciz "multiboot: fw_cfg has no DMA interface\r\n"
dma_failed:
        .asciz "multiboot: fw_cfg refused a transfer\r\n"
        .byte 0

        /* The last byte is for the checksum. */
        .org ROM_BLOCKS * 512
