/* The assembled prelude.S as data of the test. */
        .section .rodata
        .global fuzz_prelude
        .balign 16
fuzz_prelude:
        .incbin PRELUDE_BINARY
        .section .note.GNU-stack, "", %progbits
