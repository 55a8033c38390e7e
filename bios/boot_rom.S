/* An assembled boot option ROM as data of the program. */
#define JOIN(a, b) a##b
#define END(name) JOIN(name, _end)
        .section .rodata
        .global ROM
        .global END(ROM)
        .balign 16
ROM:
        .incbin BINARY
END(ROM):
        .section .note.GNU-stack, "", %progbits
