/* The text of instructions: one of each kind of operand, in all modes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpuid.h"
#include "cpu/decode.h"
#include "cpu/disassemble.h"

#define BLOCK 0x401000u

struct line {
    unsigned code_bytes;
    const char *bytes;
    unsigned length;
    const char *text;
};
#define LINE(mode, bytes, text) { mode, bytes, sizeof bytes - 1, text }

static const struct line lines[] = {
    LINE(8, "\x48\x01\xd8", "add rax, rbx"),
    LINE(8, "\x01\xd8", "add eax, ebx"),
    LINE(8, "\x66\x45\x01\xc8", "add r8w, r9w"),
    LINE(8, "\x00\xfc", "add ah, bh"),
    LINE(8, "\x40\x00\xfc", "add spl, dil"),
    LINE(8, "\x44\x88\xe3", "mov bl, r12b"),
    LINE(8, "\x48\x8b\x44\x8b\xf8", "mov rax, qword [rbx+rcx*4-0x8]"),
    LINE(8, "\x48\x8d\x05\x10\x00\x00\x00", "lea rax, [0x401017]"),
    LINE(8, "\x8b\x04\x25\x00\x10\x00\x80", "mov eax, dword [0xffffffff80001000]"),
    LINE(8, "\x67\x8b\x04\x24", "mov eax, dword [esp]"),
    LINE(8, "\x65\x48\x8b\x04\x25\x28\x00\x00\x00", "mov rax, qword gs:[0x28]"),
    LINE(8, "\xf0\x48\x0f\xb1\x0f", "lock cmpxchg qword [rdi], rcx"),
    LINE(8, "\xf3\x48\xa5", "rep movs qword [rdi], qword [rsi]"),
    LINE(8, "\xf2\xae", "repne scas al, byte [rdi]"),
    LINE(8, "\x48\x83\xc4\xf0", "add rsp, -0x10"),
    LINE(8, "\x83\xc0\xff", "add eax, 0xffffffff"),
    LINE(8, "\x48\xb8\xef\xcd\xab\x89\x67\x45\x23\x01", "mov rax, 0x123456789abcdef"),
    LINE(8, "\x41\x57", "push r15"),
    LINE(8, "\x75\xfe", "jne 0x401000"),
    LINE(8, "\xe8\xfb\x0f\x00\x00", "call 0x402000"),
    LINE(8, "\xff\x24\xc5\x00\x00\x40\x00", "jmp qword [rax*8+0x400000]"),
    LINE(8, "\xc8\x10\x00\x01", "enter 0x10, 0x1"),
    LINE(8, "\x48\x98", "cdqe"),
    LINE(8, "\x99", "cdq"),
    LINE(8, "\x0f\x20\xd8", "mov rax, cr3"),
    LINE(8, "\x8e\xd8", "mov ds, ax"),
    LINE(8, "\xd1\xe8", "shr eax, 0x1"),
    LINE(8, "\xd3\xe8", "shr eax, cl"),
    LINE(8, "\x0f\x94\xc0", "sete al"),
    LINE(8, "\x0f\xb6\x07", "movzx eax, byte [rdi]"),
    LINE(8, "\xed", "in eax, dx"),
    LINE(8, "\xf2\x0f\x58\x41\x08", "addsd xmm0, qword [rcx+0x8]"),
    LINE(8, "\x66\x48\x0f\x6e\xc8", "movq xmm1, rax"),
    LINE(8, "\x66\x0f\x6f\x07", "movdqa xmm0, xmmword [rdi]"),
    LINE(8, "\x0f\x6f\xc1", "movq mm0, mm1"),
    LINE(8, "\xd8\xc1", "fadd st0, st1"),
    LINE(8, "\xdb\x28", "fld tbyte [rax]"),
    LINE(8, "\xc4\xe3\xfb\xf0\xc3\x07", "rorx rax, rbx, 0x7"),
    LINE(8, "\xc5\xf5\xfe\xc2", "vpaddd ymm0, ymm1, ymm2"),
    LINE(8, "\xc4\xe2\x71\x92\x04\x97", "vgatherdps xmm0, [rdi+xmm2*4], xmm1"),
    LINE(8, "\x0f\x0b", "ud2"),
    LINE(8, "\x06", "(undefined)"),
    LINE(4, "\x40", "inc eax"),
    LINE(4, "\x8b\x45\x08", "mov eax, dword [ebp+0x8]"),
    LINE(4, "\xea\x00\x10\x00\x00\x08\x00", "jmpf 0x8:0x1000"),
    LINE(2, "\x8b\x47\x02", "mov ax, word [bx+0x2]"),
    LINE(2, "\x26\x8a\x00", "mov al, byte es:[bx+si]"),
    LINE(2, "\xa1\x34\x12", "mov ax, word [0x1234]"),
    LINE(2, "\xe6\x80", "out 0x80, al"),
};

static void each_line(void **state)
{
    (void)state;
    struct cpu_model model;
    struct decoder decoder;
    assert_int_equal(cpu_model_parse(&model, "max", 1, NULL), 0);
    decoder_init(&decoder, &model);
    for (unsigned i = 0; i < sizeof lines / sizeof *lines; i++) {
        struct insn insn;
        char text[DISASSEMBLY_BYTES];
        uint8_t bytes[INSN_BYTES_MAXIMUM] = { 0 };
        memcpy(bytes, lines[i].bytes, lines[i].length);
        assert_int_equal(decode(&decoder, lines[i].code_bytes, bytes, sizeof bytes, 0, &insn), DECODE_OK);
        assert_string_equal(disassemble(&insn, BLOCK, NULL, text), lines[i].text);
    }
}

static bool name_address(const void *context, uint64_t address, char *to, size_t size)
{
    (void)context;
    return address == 0x402000 && snprintf(to, size, "there") > 0;
}

static bool name_field(const void *context, unsigned base, int64_t disp, char *to, size_t size)
{
    (void)context;
    return base == RSP && snprintf(to, size, "field_%x", (unsigned)disp) > 0;
}

static void names(void **state)
{
    (void)state;
    static const struct disassembly_names named = { NULL, name_address, name_field };
    static const uint8_t call[] = { 0xe8, 0xfb, 0x0f, 0, 0 }, load[] = { 0x8b, 0x44, 0x8c, 0x10 };
    struct cpu_model model;
    struct decoder decoder;
    struct insn insn;
    char text[DISASSEMBLY_BYTES];
    assert_int_equal(cpu_model_parse(&model, "max", 1, NULL), 0);
    decoder_init(&decoder, &model);
    decode(&decoder, 8, call, sizeof call, 0, &insn);
    assert_string_equal(disassemble(&insn, BLOCK, &named, text), "call there");
    decode(&decoder, 8, load, sizeof load, 0, &insn);
    assert_string_equal(disassemble(&insn, BLOCK, &named, text), "mov eax, dword [field_10+rcx*4]");
}

/* Whatever the decoder makes of random bytes has a text, within its bounds. */
static void random_bytes(void **state)
{
    (void)state;
    struct cpu_model model;
    struct decoder decoder;
    uint64_t random = 88172645463325252ull;
    assert_int_equal(cpu_model_parse(&model, "max", 1, NULL), 0);
    decoder_init(&decoder, &model);
    for (unsigned i = 0; i < 300000; i++) {
        static const uint8_t modes[] = { 2, 4, 8 };
        struct insn insn;
        char text[DISASSEMBLY_BYTES];
        uint8_t bytes[16];
        for (unsigned k = 0; k < sizeof bytes; k++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            bytes[k] = (uint8_t)(random >> 32);
        }
        if (i & 1)
            bytes[0] = 0x0f;
        assert_int_equal(decode(&decoder, modes[i % 3], bytes, 15, 0, &insn), DECODE_OK);
        disassemble(&insn, random, NULL, text);
        assert_true(strlen(text) > 1 && strlen(text) < sizeof text - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_line),
        cmocka_unit_test(names),
        cmocka_unit_test(random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
