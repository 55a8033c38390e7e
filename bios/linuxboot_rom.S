/* The assembled boot option ROM as data of the program. */
        .section .rodata
        .global linuxboot_rom
        .global linuxboot_rom_end
        .balign 16
linuxboot_rom:
        .incbin LINUXBOOT_BINARY
linuxboot_rom_end:
        .section .note.GNU-stack, "", %progbits
