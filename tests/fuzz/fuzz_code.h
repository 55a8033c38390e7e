/*
 * Random machine code for fuzzed guests: instructions of every row of the
 * opcode table (the project's decoder says what is one), mixed with longer
 * phrases that do something to devices, page tables, segments or the code
 * itself.
 */
#ifndef TESTS_FUZZ_CODE_H
#define TESTS_FUZZ_CODE_H

#include "cpu/decode.h"
#include "fuzz.h"

struct code {
    struct fuzz *fuzz;
    const struct decoder *decoder;
    unsigned bits; /* 16, 32, 64 */
    uint8_t *bytes;
    uint32_t length, room;
    uint32_t linear; /* address of bytes[0] when it runs */
};

static inline void code_byte(struct code *code, unsigned byte)
{
    if (code->length < code->room)
        code->bytes[code->length++] = (uint8_t)byte;
}

static inline void code_number(struct code *code, uint64_t value, unsigned bytes)
{
    for (; bytes; bytes--, value >>= 8)
        code_byte(code, value & 0xff);
}

static inline void code_text(struct code *code, const char *hex)
{
    for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += hex[2] ? 3 : 2)
        code_byte(code, byte);
}

enum { CODE_A, CODE_C, CODE_D, CODE_B, CODE_SP, CODE_BP, CODE_SI, CODE_DI };

/* mov r32, value */
static inline void code_load(struct code *code, unsigned r, uint32_t value)
{
    if (code->bits == 16)
        code_byte(code, 0x66);
    code_byte(code, 0xb8 + r);
    code_number(code, value, 4);
}

/* opcode (0Fxxh: two bytes) with a memory operand at an absolute address, `reg`
 * in ModRM. */
static inline void code_absolute(struct code *code, unsigned opcode, unsigned reg, uint32_t address)
{
    if (code->bits == 16)
        code_byte(code, 0x67);
    if (opcode > 0xff)
        code_byte(code, opcode >> 8);
    code_byte(code, opcode & 0xff);
    code_byte(code, reg << 3 | (code->bits == 64 ? 4 : 5));
    if (code->bits == 64)
        code_byte(code, 0x25);
    code_number(code, address, 4);
}

/* mov [address], value of 4 bytes */
static inline void code_store(struct code *code, uint32_t address, uint32_t value)
{
    if (code->bits == 16)
        code_byte(code, 0x66);
    code_absolute(code, 0xc7, 0, address);
    code_number(code, value, 4);
}

/* in or out of `width` bytes */
static inline void code_port(struct code *code, bool out, unsigned width)
{
    if ((width == 2) != (code->bits == 16) && width != 1)
        code_byte(code, 0x66);
    code_byte(code, (out ? 0xee : 0xec) + (width != 1));
}

static inline void code_out(struct code *code, unsigned port, uint32_t value, unsigned width)
{
    code_load(code, CODE_D, port);
    code_load(code, CODE_A, value);
    code_port(code, true, width);
}

static inline void code_in(struct code *code, unsigned port, unsigned width)
{
    code_load(code, CODE_D, port);
    code_port(code, false, width);
}

/* Linear addresses that matter to the guest of fuzz_guest.h. */
static inline uint32_t code_address(struct code *code)
{
    static const uint32_t places[] = {
        0x0, 0x500, 0x7000, 0x8000, 0x9000, 0x10000, 0x10800, 0x11000, 0x12000, 0x13000, 0x14000,
        0x14040, 0x15000, 0x16000, 0x16800, 0x17000, 0x18000, 0x19ffe, 0x1bff8, 0x20000, 0xa0000,
        0xb8000, 0xc0000, 0xe0000, 0xf0000, 0xffff0, 0x100000, 0x10fff0, 0x1ff000, 0x200000,
        0x400000, 0x401000, 0x410ffe, 0x5ff000, 0x600000, 0x800000, 0xfec00000, 0xfec00010,
        0xfee00000, 0xfee00020, 0xfee00080, 0xfee000b0, 0xfee00300, 0xfee00380, 0xfffe0000,
    };
    struct fuzz *fuzz = code->fuzz;
    switch (fuzz_below(fuzz, 4)) {
    case 0: return fuzz_below(fuzz, 0x200000);
    case 1: return 0x10000 + fuzz_below(fuzz, 0xc000);
    case 2: return 0x400000 + fuzz_below(fuzz, 0x200000);
    default: return FUZZ_PICK(fuzz, places) + (fuzz_one_in(fuzz, 3) ? fuzz_below(fuzz, 64) : 0);
    }
}

/* ---- single instructions ---- */

static inline bool code_is_valid(struct code *code, const uint8_t bytes[INSN_BYTES_MAXIMUM],
                                 struct insn *insn)
{
    return decode(code->decoder, code->bits / 8, bytes, INSN_BYTES_MAXIMUM, 0, insn) == DECODE_OK &&
           insn->handler != exec_invalid && insn->handler != exec_too_long;
}

/* A VEX prefix; outside 64-bit code its first bits would else make it LES, LDS. */
static inline void code_vex(struct code *code, uint8_t *bytes)
{
    bool is_short = fuzz_one_in(code->fuzz, 2);
    bytes[0] = is_short ? 0xc5 : 0xc4;
    if (!is_short)
        bytes[1] = (uint8_t)((bytes[1] & 0xe0) | (1 + fuzz_below(code->fuzz, 3)));
    if (code->bits != 64)
        bytes[1] |= 0xc0;
}

/* Any instruction of the table. Its displacement is made a useful address now
 * and then. */
static inline void code_any(struct code *code)
{
    static const uint8_t prefixes[] = {0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x64};
    struct fuzz *fuzz = code->fuzz;
    uint8_t bytes[INSN_BYTES_MAXIMUM + 1];
    struct insn insn;
    for (unsigned i = 0; i < 50; i++) {
        unsigned at = 0;
        fuzz_fill(fuzz, bytes, sizeof bytes);
        while (at < 3 && fuzz_one_in(fuzz, 4))
            bytes[at++] = FUZZ_PICK(fuzz, prefixes);
        if (code->bits == 64 && fuzz_one_in(fuzz, 2))
            bytes[at++] = (uint8_t)(0x40 | fuzz_below(fuzz, 16));
        if (fuzz_one_in(fuzz, 8)) {
            code_vex(code, bytes + at);
        } else if (fuzz_one_in(fuzz, 2)) {
            bytes[at++] = 0x0f;
            if (fuzz_one_in(fuzz, 4))
                bytes[at] = fuzz_one_in(fuzz, 2) ? 0x38 : 0x3a;
        }
        if (!code_is_valid(code, bytes, &insn))
            continue;
        /* HLT and far transfers end a run too often. */
        if (insn.opcode == 0xf4 && !fuzz_one_in(fuzz, 20))
            continue;
        if (insn.modrm >> 6 == 2 && fuzz_one_in(fuzz, 2))
            bytes[insn.length - 1] = bytes[insn.length - 2] = 0;
        for (unsigned k = 0; k < insn.length; k++)
            code_byte(code, bytes[k]);
        return;
    }
    code_byte(code, 0x90);
}

static inline void code_instructions(struct code *code, unsigned count)
{
    while (count--)
        code_any(code);
}

/* ---- phrases ---- */

static const uint16_t code_ports[] = {
    0x00, 0x08, 0x20, 0x21, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x80, 0x87,
    0xa0, 0xa1, 0xb2, 0xb3, 0xc0, 0xd6, 0xf0, 0x170, 0x176, 0x177, 0x1f0, 0x1f1, 0x1f2, 0x1f6,
    0x1f7, 0x2f8, 0x2f9, 0x376, 0x3f6, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x402, 0x4d0,
    0x510, 0x511, 0x514, 0x518, 0x600, 0x604, 0x608, 0x700, 0xc000, 0xc002, 0xc004, 0xcf8, 0xcfc,
    0xcfe,
};

/* CF9h, 92h, 64h: FEh, 604h: they end the run or start it again. */
static inline void phrase_reset(struct code *code)
{
    static const struct {
        uint16_t port;
        uint8_t value, width;
    } ways[] = {{0xcf9, 6, 1}, {0x92, 1, 1}, {0x64, 0xfe, 1}, {0x604, 0, 2}, {0x501, 3, 1}};
    unsigned way = fuzz_below(code->fuzz, 5);
    uint32_t value = way == 3 ? 0x2000 : ways[way].value;
    if (fuzz_one_in(code->fuzz, 40))
        code_out(code, ways[way].port, value, ways[way].width);
}

static inline void phrase_port(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    unsigned width = 1u << fuzz_below(fuzz, 3);
    unsigned port = fuzz_one_in(fuzz, 12) ? fuzz_below(fuzz, 65536) : FUZZ_PICK(fuzz, code_ports);
    if (fuzz_one_in(fuzz, 2))
        code_in(code, port, width);
    else if (port != 0x92 && port != 0x501)
        code_out(code, port, (uint32_t)fuzz_value(fuzz), width);
    if (fuzz_one_in(fuzz, 8)) {
        code_load(code, CODE_C, fuzz_below(fuzz, 300));
        code_load(code, CODE_DI, code_address(code));
        code_load(code, CODE_SI, code_address(code));
        code_byte(code, 0xf3);
        code_byte(code, 0x6c + fuzz_below(fuzz, 4));
    }
}

static inline void phrase_pci(struct code *code)
{
    static const uint8_t functions[] = {0x00, 0x08, 0x09, 0x0a, 0x0b, 0x10};
    static const uint8_t registers[] = {0x00, 0x04, 0x06, 0x10, 0x20, 0x24, 0x30, 0x3c, 0x40, 0x58,
                                        0x59, 0x5a, 0x5c, 0x60, 0x72, 0x80, 0x90, 0xd2};
    struct fuzz *fuzz = code->fuzz;
    uint32_t place = fuzz_one_in(fuzz, 4) ? fuzz_below(fuzz, 256) : FUZZ_PICK(fuzz, registers);
    code_out(code, 0xcf8, 0x80000000u | (uint32_t)FUZZ_PICK(fuzz, functions) << 8 | (place & 0xfc), 4);
    unsigned width = 1u << fuzz_below(fuzz, 3);
    if (fuzz_one_in(fuzz, 3))
        code_in(code, 0xcfc + (place & 3), width);
    else
        code_out(code, 0xcfc + (place & 3), (uint32_t)fuzz_value(fuzz), width);
}

/* A command to a drive: registers, command, some data. */
static inline void phrase_ide(struct code *code)
{
    static const uint8_t commands[] = {0x20, 0x30, 0x24, 0x34, 0x25, 0x35, 0xc4, 0xc5, 0xc6, 0xc8,
                                       0xca, 0xec, 0xa1, 0xa0, 0x08, 0xef, 0x91, 0xe7, 0xea, 0x40,
                                       0x90, 0x70, 0x29, 0x39, 0xf8, 0x27, 0xe0, 0x00};
    struct fuzz *fuzz = code->fuzz;
    unsigned base = fuzz_one_in(fuzz, 2) ? 0x1f0 : 0x170;
    unsigned select = 0xa0 | (fuzz_below(fuzz, 2) << 6) | (fuzz_below(fuzz, 4) == 0) << 4;
    code_out(code, base + 6, select, 1);
    for (unsigned i = 1; i < 6; i++)
        if (fuzz_one_in(fuzz, 2))
            code_out(code, base + i, fuzz_below(fuzz, fuzz_one_in(fuzz, 2) ? 4 : 256), 1);
    code_out(code, base + 7, FUZZ_PICK(fuzz, commands), 1);
    if (fuzz_one_in(fuzz, 3)) /* the packet of ATAPI, or data */
        for (unsigned i = 0; i < 6; i++)
            code_out(code, base, (uint32_t)fuzz_value(fuzz), 2);
    if (fuzz_one_in(fuzz, 3)) {
        code_load(code, CODE_DI, 0x20000 + fuzz_below(fuzz, 0x1000));
        code_load(code, CODE_SI, 0x20000 + fuzz_below(fuzz, 0x1000));
        code_load(code, CODE_C, fuzz_below(fuzz, 260));
        code_load(code, CODE_D, base);
        code_byte(code, 0xf3);
        code_byte(code, fuzz_one_in(fuzz, 2) ? 0x6d : 0x6f);
    }
}

/* Bus master registers at C000h, a table in RAM, and a DMA command. */
static inline void phrase_ide_dma(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    unsigned channel = fuzz_below(fuzz, 2) * 8, base = channel ? 0x170 : 0x1f0;
    code_out(code, 0xcf8, 0x80000920u, 4);
    code_out(code, 0xcfc, 0xc001, 4);
    code_out(code, 0xcf8, 0x80000904u, 4);
    code_out(code, 0xcfc, 5, 2);
    for (unsigned i = 0; i < 3; i++) {
        uint32_t end = i == 2 || fuzz_one_in(fuzz, 3) ? 0x80000000u : 0;
        code_store(code, 0x9000 + 8 * i, code_address(code) & ~1u);
        code_store(code, 0x9004 + 8 * i, (fuzz_below(fuzz, 4096) & ~1u) | end);
    }
    code_out(code, 0xc004 + channel, fuzz_one_in(fuzz, 5) ? code_address(code) : 0x9000, 4);
    code_out(code, 0xc002 + channel, 6, 1);
    code_out(code, base + 6, 0xe0, 1);
    code_out(code, base + 2, 1 + fuzz_below(fuzz, 8), 1);
    code_out(code, base + 3, fuzz_below(fuzz, 20), 1);
    code_out(code, base + 4, 0, 1);
    code_out(code, base + 5, 0, 1);
    code_out(code, base + 7, fuzz_one_in(fuzz, 2) ? 0xc8 : 0xca, 1);
    code_out(code, 0xc000 + channel, 1 | (fuzz_below(fuzz, 2) << 3), 1);
    if (fuzz_one_in(fuzz, 3))
        code_out(code, 0xc000 + channel, 0, 1);
}

static inline void phrase_fw_cfg(struct code *code)
{
    static const uint16_t keys[] = {0x00, 0x01, 0x05, 0x19, 0x20, 0x21, 0x22, 0x24, 0x8002, 0x3f};
    struct fuzz *fuzz = code->fuzz;
    uint16_t key = FUZZ_PICK(fuzz, keys);
    if (fuzz_one_in(fuzz, 3)) {
        code_out(code, 0x510, key, 2);
        code_in(code, 0x511, 1);
        return;
    }
    uint32_t control = (uint32_t)key << 16 | (fuzz_below(fuzz, 32) & ~1u) | (fuzz_below(fuzz, 9) == 0);
    uint32_t length = (uint32_t)(fuzz_one_in(fuzz, 6) ? fuzz_next(fuzz) : fuzz_below(fuzz, 9000));
    code_store(code, 0x9800, __builtin_bswap32(control));
    code_store(code, 0x9804, __builtin_bswap32(length));
    code_store(code, 0x9808, fuzz_one_in(fuzz, 10) ? (uint32_t)fuzz_next(fuzz) : 0);
    code_store(code, 0x980c, __builtin_bswap32(code_address(code)));
    code_out(code, 0x514, fuzz_one_in(fuzz, 10) ? (uint32_t)fuzz_next(fuzz) : 0, 4);
    code_out(code, 0x518, __builtin_bswap32(fuzz_one_in(fuzz, 8) ? code_address(code) : 0x9800), 4);
}

static inline void phrase_timer(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    switch (fuzz_below(fuzz, 4)) {
    case 0: /* 8254 */
        code_out(code, 0x43, fuzz_below(fuzz, 256), 1);
        code_out(code, 0x40 + fuzz_below(fuzz, 3), fuzz_below(fuzz, fuzz_one_in(fuzz, 2) ? 8 : 256), 1);
        code_out(code, 0x40, fuzz_below(fuzz, 3), 1);
        break;
    case 1: /* RTC */
        code_out(code, 0x70, 0x0a + fuzz_below(fuzz, 3), 1);
        code_out(code, 0x71, fuzz_below(fuzz, 256), 1);
        break;
    case 2: /* LAPIC timer */
        code_store(code, 0xfee00320, (fuzz_below(fuzz, 4) << 17) | fuzz_below(fuzz, 256));
        code_store(code, 0xfee003e0, fuzz_below(fuzz, 16));
        code_store(code, 0xfee00380, (uint32_t)fuzz_value(fuzz));
        break;
    default: /* masks */
        code_out(code, fuzz_one_in(fuzz, 2) ? 0x21 : 0xa1, fuzz_below(fuzz, 256), 1);
    }
}

static inline void phrase_pic(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    unsigned base = fuzz_one_in(fuzz, 2) ? 0x20 : 0xa0;
    code_out(code, base, 0x11 | (fuzz_below(fuzz, 16) & 0x0a), 1);
    code_out(code, base + 1, fuzz_below(fuzz, 256) & 0xf8, 1);
    code_out(code, base + 1, fuzz_one_in(fuzz, 2) ? 4 : 2, 1);
    code_out(code, base + 1, fuzz_below(fuzz, 32), 1);
    code_out(code, base + 1, fuzz_below(fuzz, 256), 1);
}

static inline void phrase_apic(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    static const uint16_t registers[] = {0x20, 0x30, 0x80, 0xb0, 0xd0, 0xe0, 0xf0, 0x280, 0x300,
                                         0x310, 0x320, 0x350, 0x360, 0x370, 0x380, 0x390, 0x3e0};
    switch (fuzz_below(fuzz, 4)) {
    case 0: /* IPI */
        code_store(code, 0xfee00310, fuzz_below(fuzz, 4) << 24);
        code_store(code, 0xfee00300, (fuzz_below(fuzz, 4) << 18) | (fuzz_below(fuzz, 16) << 12) |
                                         (fuzz_below(fuzz, 8) << 8) | fuzz_below(fuzz, 256));
        break;
    case 1: /* IOAPIC */
        code_store(code, 0xfec00000, 0x10 + fuzz_below(fuzz, 48));
        code_store(code, 0xfec00010, (uint32_t)fuzz_next(fuzz) & 0x1ffff);
        break;
    case 2:
        code_absolute(code, 0x8b, fuzz_below(fuzz, 8), 0xfee00000 + FUZZ_PICK(fuzz, registers));
        break;
    default:
        code_store(code, 0xfee00000 + FUZZ_PICK(fuzz, registers), (uint32_t)fuzz_value(fuzz));
    }
}

static inline void phrase_uart(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    unsigned base = fuzz_one_in(fuzz, 4) ? 0x2f8 : 0x3f8;
    code_out(code, base + fuzz_below(fuzz, 8), fuzz_below(fuzz, 256), 1);
    code_in(code, base + fuzz_below(fuzz, 8), 1);
}

static inline void phrase_i8042(struct code *code)
{
    static const uint8_t commands[] = {0x20, 0x60, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xad, 0xae, 0xc0,
                                       0xd0, 0xd1, 0xd2, 0xd3, 0xd4, 0xdd, 0xdf};
    struct fuzz *fuzz = code->fuzz;
    code_out(code, 0x64, FUZZ_PICK(fuzz, commands), 1);
    code_out(code, 0x60, fuzz_below(fuzz, 256), 1);
    code_in(code, 0x60, 1);
}

static inline void phrase_msr(struct code *code)
{
    static const uint32_t numbers[] = {
        0x10, 0x1b, 0x3b, 0x6e0, 0x174, 0x175, 0x176, 0x277, 0x2ff, 0x200, 0x802, 0x808, 0x80b,
        0x830, 0x832, 0x838, 0x83f, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000084, 0xc0000100,
        0xc0000101, 0xc0000102, 0xc0000103, 0x1a0, 0x8b, 0xda0,
    };
    struct fuzz *fuzz = code->fuzz;
    code_load(code, CODE_C, FUZZ_PICK(fuzz, numbers));
    code_text(code, "0f 32");
    if (fuzz_one_in(fuzz, 2)) { /* one bit of it, or all */
        if (fuzz_one_in(fuzz, 2)) {
            code_byte(code, 0x0f); /* btc eax, n */
            code_byte(code, 0xba);
            code_byte(code, 0xf8);
            code_byte(code, fuzz_below(fuzz, 32));
        } else {
            code_load(code, CODE_A, (uint32_t)fuzz_value(fuzz));
            if (fuzz_one_in(fuzz, 2))
                code_load(code, CODE_D, (uint32_t)fuzz_value(fuzz));
        }
        code_text(code, "0f 30");
    }
}

/* XCR0, so that there is AVX. */
static inline void phrase_xcr0(struct code *code)
{
    code_load(code, CODE_C, 0);
    code_load(code, CODE_D, 0);
    code_load(code, CODE_A, fuzz_one_in(code->fuzz, 4) ? fuzz_below(code->fuzz, 16) : 7);
    code_text(code, "0f 01 d1");
}

/* What the addresses of a guest's two PML4s differ in. */
#define CODE_OTHER_TOP 0xb000u

/* A bit of a control or debug register, or the other address space. */
static inline void phrase_control(struct code *code)
{
    static const uint8_t bits0[] = {0, 1, 2, 3, 5, 16, 18, 30, 31};
    struct fuzz *fuzz = code->fuzz;
    static const uint8_t registers[] = {0, 0, 2, 3, 3, 3, 3, 3, 4, 4};
    unsigned which = FUZZ_PICK(fuzz, registers);
    if (code->bits != 64 && fuzz_one_in(fuzz, 4)) { /* debug registers */
        which = fuzz_below(fuzz, 8);
        code_load(code, CODE_A, which == 7 ? (uint32_t)fuzz_next(fuzz) & 0xffff03ffu
                                           : code_address(code));
        code_text(code, "0f 23");
        code_byte(code, 0xc0 | which << 3);
        return;
    }
    code_text(code, "0f 20");
    code_byte(code, 0xc0 | which << 3);
    if (which == 3 && code->bits == 64 && fuzz_one_in(fuzz, 2)) {
        code_byte(code, 0x35); /* xor eax */
        code_number(code, CODE_OTHER_TOP, 4);
    } else if (which != 3 || fuzz_one_in(fuzz, 8)) {
        code_text(code, "0f ba f8");
        code_byte(code, which == 0 ? FUZZ_PICK(fuzz, bits0) : fuzz_below(fuzz, 24));
    }
    code_text(code, "0f 22");
    code_byte(code, 0xc0 | which << 3);
}

/* An entry of a page table is changed, with or without an INVLPG. */
static inline void phrase_paging(struct code *code)
{
    static const uint16_t tables[] = {0x0, 0x1000, 0x2000, 0x3000, 0x4000, 0x4000, 0x5000, 0x5000};
    struct fuzz *fuzz = code->fuzz;
    uint32_t place = 0x10000u + FUZZ_PICK(fuzz, tables);
    place += fuzz_one_in(fuzz, 3) ? fuzz_below(fuzz, 1024) * 4 : fuzz_below(fuzz, 40) * 8;
    switch (fuzz_below(fuzz, 4)) {
    case 0: /* and [place], ~bit: A, D, P, RW, US */
        code_load(code, CODE_A, ~(1u << fuzz_below(fuzz, 8)));
        if (code->bits == 16)
            code_byte(code, 0x66);
        if (fuzz_one_in(fuzz, 2))
            code_byte(code, 0xf0);
        code_absolute(code, 0x21, CODE_A, place);
        break;
    case 1: /* or */
        code_load(code, CODE_A, 1u << fuzz_below(fuzz, 9));
        if (code->bits == 16)
            code_byte(code, 0x66);
        code_absolute(code, 0x09, CODE_A, place);
        break;
    case 2: /* another page */
        code_store(code, place, fuzz_below(fuzz, 0x200) << 12 | (fuzz_below(fuzz, 128) & 0x67) | 3);
        break;
    default: /* through an alias */
        code_store(code, 0x400000 + fuzz_below(fuzz, 512) * 4096 + fuzz_below(fuzz, 512) * 8,
                   fuzz_below(fuzz, 0x200) << 12 | fuzz_below(fuzz, 256) | 1);
    }
    if (fuzz_one_in(fuzz, 4))
        code_absolute(code, 0x0f01, 7, code_address(code)); /* invlpg */
    code_absolute(code, 0x8b, fuzz_below(fuzz, 4), code_address(code));
}

/* Bytes of the code just ahead, or of any code in RAM, are changed. */
static inline void phrase_self(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    if (fuzz_one_in(fuzz, 2)) {
        code_store(code, 0x18000 + fuzz_below(fuzz, 0x3ffc), (uint32_t)fuzz_next(fuzz));
        return;
    }
    uint32_t ahead = code->linear + code->length + 12 + fuzz_below(fuzz, 16);
    code_absolute(code, 0xc6, 0, ahead); /* mov byte */
    code_byte(code, fuzz_below(fuzz, 256));
}

static inline void phrase_string(struct code *code)
{
    static const uint8_t opcodes[] = {0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
    struct fuzz *fuzz = code->fuzz;
    code_load(code, CODE_SI, code_address(code));
    code_load(code, CODE_DI, code_address(code));
    code_load(code, CODE_C, fuzz_below(fuzz, fuzz_one_in(fuzz, 4) ? 6000 : 200));
    if (fuzz_one_in(fuzz, 4))
        code_byte(code, 0xfc + fuzz_below(fuzz, 2));
    if (fuzz_one_in(fuzz, 3))
        code_byte(code, fuzz_one_in(fuzz, 2) ? 0x66 : 0x67);
    code_byte(code, 0xf2 + fuzz_below(fuzz, 2));
    code_byte(code, FUZZ_PICK(fuzz, opcodes));
}

static inline void phrase_flags(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    switch (fuzz_below(fuzz, 9)) {
    case 6:
        code_text(code, "9c 58"); /* pushf; pop ax */
        break;
    case 7:
        code_text(code, "0f 01 f8"); /* swapgs */
        code_text(code, fuzz_one_in(fuzz, 2) ? "65 8b 03" : "0f 01 f8"); /* mov eax, gs:[...] */
        break;
    case 8:
        code_text(code, fuzz_one_in(fuzz, 2) ? "0f 01 cb" : "0f 01 ca"); /* stac, clac */
        break;
    case 0:
        code_text(code, "fb f4"); /* sti; hlt */
        break;
    case 1:
        code_byte(code, fuzz_one_in(fuzz, 2) ? 0xfb : 0xfa);
        break;
    case 2:
        code_text(code, "f3 90"); /* pause */
        break;
    case 3: /* popf of anything, TF now and then */
        code_byte(code, 0x68);
        code_number(code, fuzz_next(fuzz) & (fuzz_one_in(fuzz, 6) ? 0x7fff : 0x7eff),
                    code->bits == 16 ? 2 : 4);
        code_byte(code, 0x9d);
        break;
    case 4:
        code_byte(code, 0xcd);
        code_byte(code, fuzz_below(fuzz, 256));
        break;
    default: /* mov ss and what follows; pop ss */
        code_text(code, "8c d0 8e d0");
        code_any(code);
    }
}

/* Selectors into segment registers, far transfers, descriptor tables. */
static inline void phrase_segment(struct code *code)
{
    struct fuzz *fuzz = code->fuzz;
    uint32_t selector = fuzz_one_in(fuzz, 5) ? fuzz_below(fuzz, 65536)
                                             : fuzz_below(fuzz, 40) * 8 + (fuzz_one_in(fuzz, 3) ? 3 : 0);
    switch (fuzz_below(fuzz, 5)) {
    case 0:
    case 1:
        code_load(code, CODE_A, selector);
        code_byte(code, 0x8e);
        code_byte(code, 0xc0 | fuzz_below(fuzz, 6) << 3);
        break;
    case 2: /* far pointer on the stack, RETF */
        code_byte(code, 0x68);
        code_number(code, selector, code->bits == 16 ? 2 : 4);
        code_byte(code, 0x68);
        code_number(code, code->linear + fuzz_below(fuzz, code->room), code->bits == 16 ? 2 : 4);
        code_byte(code, 0xcb);
        break;
    case 3: /* far pointer in memory: call or jmp */
        code_store(code, 0x9900, code->linear + fuzz_below(fuzz, code->room));
        code_store(code, 0x9904, selector);
        code_absolute(code, 0xff, fuzz_one_in(fuzz, 2) ? 3 : 5, 0x9900);
        break;
    default: /* LDT, TR, VERR, LAR, SMSW, SGDT, SIDT ... */
        code_load(code, CODE_A, selector);
        code_byte(code, 0x0f);
        code_byte(code, fuzz_below(fuzz, 4));
        code_byte(code, 0xc0 | fuzz_below(fuzz, 64));
    }
}

/* Shared memory of the vCPUs. */
static inline void phrase_locked(struct code *code)
{
    static const uint8_t opcodes[] = {0x01, 0x09, 0x11, 0x21, 0x29, 0x31, 0x87};
    struct fuzz *fuzz = code->fuzz;
    code_byte(code, 0xf0);
    if (code->bits == 64 && fuzz_one_in(fuzz, 2))
        code_byte(code, 0x48);
    code_absolute(code, FUZZ_PICK(fuzz, opcodes), fuzz_below(fuzz, 8),
                  0x9a00 + fuzz_below(fuzz, 64) + (fuzz_one_in(fuzz, 8) ? 0x5e0 : 0));
    if (fuzz_one_in(fuzz, 3))
        code_text(code, "f3 90");
}

static inline void code_phrase(struct code *code);

/* mov ecx, n; ...; loop */
static inline void phrase_loop(struct code *code)
{
    code_load(code, CODE_C, 1 + fuzz_below(code->fuzz, 60));
    uint32_t start = code->length;
    if (fuzz_one_in(code->fuzz, 3))
        code_phrase(code);
    else
        code_instructions(code, 1 + fuzz_below(code->fuzz, 6));
    uint32_t back = code->length - start + 2;
    if (back < 128) {
        code_byte(code, 0xe2);
        code_byte(code, 256 - back);
    }
}

static inline void phrase_bytes(struct code *code)
{
    for (unsigned n = 1 + fuzz_below(code->fuzz, 12); n; n--)
        code_byte(code, fuzz_below(code->fuzz, 256));
}

static inline void phrase_instructions(struct code *code)
{
    code_instructions(code, 1 + fuzz_below(code->fuzz, 8));
}

/* mov r, address: so that what follows finds something there. */
static inline void phrase_pointer(struct code *code)
{
    code_load(code, fuzz_below(code->fuzz, 8), code_address(code));
    code_any(code);
}

static inline void code_phrase(struct code *code)
{
    static void (*const phrases[])(struct code *code) = {
        phrase_instructions, phrase_instructions, phrase_instructions, phrase_instructions,
        phrase_instructions, phrase_pointer, phrase_pointer, phrase_pointer, phrase_bytes,
        phrase_port, phrase_pci, phrase_ide, phrase_ide_dma, phrase_fw_cfg, phrase_timer,
        phrase_timer, phrase_pic, phrase_apic, phrase_apic, phrase_uart, phrase_i8042, phrase_msr,
        phrase_control, phrase_paging, phrase_paging, phrase_self, phrase_self, phrase_string,
        phrase_string, phrase_flags, phrase_flags, phrase_segment, phrase_locked, phrase_loop,
        phrase_reset, phrase_xcr0,
    };
    FUZZ_PICK(code->fuzz, phrases)(code);
}

/* Fills bytes[from..to) with code, an INT 30h (restart) every so often. */
static inline void code_fill(struct code *code, uint32_t from, uint32_t to)
{
    code->length = from;
    code->room = to;
    while (code->length < to) {
        for (unsigned n = 4 + fuzz_below(code->fuzz, 12); n; n--)
            code_phrase(code);
        code_text(code, "cd 30");
    }
}

#endif
