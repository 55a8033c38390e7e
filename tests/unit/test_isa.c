/*
 * Instruction set extensions that the host's CPU may lack, by answers known
 * from elsewhere; and what becomes of an instruction whose feature is off.
 */
#include "call_handler.h"
#include "cpu_bench.h"

#include <stdio.h>

#include "cpu/decode.h"
#include "cpu/opcode.h"

#define CODE 0x8000u
#define DATA 0x9000u
#define NO_FAULT 0xffu

/* Executes one instruction of 64-bit code; the vector raised, or NO_FAULT. */
static unsigned run(struct cpu_bench *b, const char *bytes, unsigned length)
{
    struct insn insn;
    uint8_t code[15] = { 0 };
    memcpy(code, bytes, length);
    assert_int_equal(decode(&b->engine->decoder, 8, code, sizeof code, 0, &insn), DECODE_OK);
    b->cpu->s.gpr[RIP] = CODE;
    if (call_handler(b->cpu, &insn))
        return b->cpu->exception.vector;
    assert_int_equal(insn.length, length);
    return NO_FAULT;
}
#define RUN(b, text) run(b, text, sizeof(text) - 1)

static void vectors_on(struct cpu_bench *b, unsigned cpl)
{
    bench_long(b, cpl);
    b->cpu->s.cr4 |= CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    b->cpu->s.xcr0 = 7;
    b->cpu->s.gpr[RBX] = DATA;
}

static void fill(struct cpu_bench *b, unsigned n, uint64_t value)
{
    for (unsigned i = 0; i < 4; i++)
        store64(b->cpu->s.vector[n] + 8 * i, value);
}

/* MOV DR6 and DR7 take 32 bits, the addresses all. */
static void debug_registers_have_32_bits(void **state)
{
    struct cpu_bench *b = *state;
    bench_long(b, 0);
    for (unsigned number = 0; number < 8; number++) {
        char mov[] = { 0x0f, 0x23, (char)(0xc0 | number << 3) }; /* mov drN, rax */
        b->cpu->s.gpr[RAX] = 1ull << (32 + number);
        assert_int_equal(run(b, mov, 3), number < 4 ? NO_FAULT : VECTOR_GP);
        b->cpu->s.gpr[RAX] = 0;
        assert_int_equal(run(b, mov, 3), NO_FAULT);
    }
}

/* AES's S-box is an affine map of the inverse (FIPS 197, section 5.1.1). */
static void galois_makes_the_s_box(void **state)
{
    struct cpu_bench *b = *state;
    vectors_on(b, 0);
    for (unsigned x = 0; x < 256; x++) {
        fill(b, 1, x * 0x0101010101010101ull);
        fill(b, 2, 0xf1e3c78f1f3e7cf8ull);
        fill(b, 3, x * 0x0101010101010101ull);
        fill(b, 4, 0);
        assert_int_equal(RUN(b, "\x66\x0f\x3a\xcf\xca\x63"), NO_FAULT); /* affineinv xmm1, xmm2 */
        assert_int_equal(RUN(b, "\x66\x0f\x38\xdd\xdc"), NO_FAULT);     /* aesenclast xmm3, xmm4 */
        assert_memory_equal(b->cpu->s.vector[1], b->cpu->s.vector[3], 16);
        assert_int_equal(RUN(b, "\x66\x0f\x38\xdf\xdc"), NO_FAULT);     /* aesdeclast: back */
        assert_int_equal(load64(b->cpu->s.vector[3]), x * 0x0101010101010101ull);
        assert_int_equal(b->cpu->s.vector[1][16], x); /* above 128 bits nothing changes */
    }
}

static void galois_multiplies(void **state)
{
    struct cpu_bench *b = *state;
    vectors_on(b, 0);
    fill(b, 1, 0x5757575702010080ull); /* FIPS 197, section 4.2 */
    fill(b, 2, 0x83130802020202ffull);
    fill(b, 3, 0x5757575702010080ull);
    assert_int_equal(RUN(b, "\x66\x0f\x38\xcf\xca"), NO_FAULT);
    assert_int_equal(load64(b->cpu->s.vector[1]) >> 48, 0xc1fe);
    assert_int_equal(load64(b->cpu->s.vector[1]) >> 16 & 0xffff, 0x0402);
    assert_int_equal(RUN(b, "\xc4\xe2\x65\xcf\xe2"), NO_FAULT); /* vgf2p8mulb ymm4, ymm3, ymm2 */
    assert_memory_equal(b->cpu->s.vector[4], b->cpu->s.vector[1], 16);
    assert_memory_equal(b->cpu->s.vector[4] + 16, b->cpu->s.vector[1], 16);
    /* vgf2p8affineqb ymm5, ymm3, ymm6, 0: the unit matrix. VEX.W must be 1. */
    fill(b, 6, 0x0102040810204080ull);
    assert_int_equal(RUN(b, "\xc4\xe3\xe5\xce\xee\x00"), NO_FAULT);
    assert_memory_equal(b->cpu->s.vector[5], b->cpu->s.vector[3], 32);
    assert_int_equal(RUN(b, "\xc4\xe3\x65\xce\xee\x00"), VECTOR_UD);
    assert_int_equal(RUN(b, "\x66\x0f\x3a\xce\x4b\x01\x00"), VECTOR_GP); /* misaligned */
}

static void sha_wants_alignment_of_intels(void **state)
{
    static const char sha1msg1[] = "\x0f\x38\xc9\x4b\x01";
    struct cpu_bench *b = *state;
    vectors_on(b, 0);
    assert_int_equal(run(b, sha1msg1, 5), VECTOR_GP);
    memcpy(b->model.vendor, "AuthenticAMD", 13);
    assert_int_equal(run(b, sha1msg1, 5), NO_FAULT);
}

static void direct_stores(void **state)
{
    struct cpu_bench *b = *state;
    bench_long(b, 0);
    struct cpu_state *s = &b->cpu->s;
    s->gpr[RBX] = DATA;
    s->gpr[RCX] = 0x1122334455667788ull;
    assert_int_equal(RUN(b, "\x48\x0f\x38\xf9\x0b"), NO_FAULT); /* movdiri [rbx], rcx */
    assert_int_equal(bench_get(b, DATA, 8), 0x1122334455667788ull);
    assert_int_equal(RUN(b, "\x0f\x38\xf9\x4b\x10"), NO_FAULT);
    assert_int_equal(bench_get(b, DATA + 0x10, 8), 0x55667788);
    assert_int_equal(RUN(b, "\x0f\x38\xf9\xc8"), VECTOR_UD); /* a register */
    for (unsigned i = 0; i < 64; i++)
        bench_put(b, DATA + 3 + i, i + 1, 1);
    s->gpr[RDX] = DATA + 0x100;
    assert_int_equal(RUN(b, "\x66\x0f\x38\xf8\x53\x03"), NO_FAULT); /* movdir64b rdx, [rbx+3] */
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(bench_get(b, DATA + 0x100 + i, 1), i + 1);
    for (unsigned i = 1; i < 64; i *= 2) {
        s->gpr[RDX] = DATA + 0x100 + i;
        assert_int_equal(RUN(b, "\x66\x0f\x38\xf8\x53\x03"), VECTOR_GP);
    }
    s->gpr[RDX] = 0xabc00009200; /* 67: only EDX */
    assert_int_equal(RUN(b, "\x67\x66\x0f\x38\xf8\x53\x03"), NO_FAULT);
    assert_int_equal(bench_get(b, 0x9200, 8), 0x0807060504030201ull);
    s->gpr[RDX] = 0x40000000; /* not mapped */
    assert_int_equal(RUN(b, "\x66\x0f\x38\xf8\x53\x03"), VECTOR_PF);
    assert_int_equal(b->cpu->exception.address, 0x40000000);
    assert_int_equal(b->cpu->exception.error, 2);
    assert_int_equal(RUN(b, "\x0f\x01\xe8"), NO_FAULT); /* serialize */
}

static void xsaves_is_privileged(void **state)
{
    static const char xsaves[] = "\x0f\xc7\x2b", xrstors[] = "\x0f\xc7\x1b";
    struct cpu_bench *b = *state;
    vectors_on(b, 3);
    assert_int_equal(run(b, xsaves, 3), VECTOR_GP);
    assert_int_equal(run(b, xrstors, 3), VECTOR_GP);
    b->cpu->s.cr4 &= ~CR4_OSXSAVE;
    assert_int_equal(run(b, xsaves, 3), VECTOR_UD);
    assert_int_equal(run(b, xrstors, 3), VECTOR_UD);
    vectors_on(b, 0);
    fill(b, 3, 77);
    b->cpu->s.gpr[RAX] = b->cpu->s.gpr[RDX] = 0xffffffff;
    assert_int_equal(run(b, xsaves, 3), NO_FAULT);
    assert_int_equal(bench_get(b, DATA + 512, 8) & 6, 6);
    assert_int_equal(bench_get(b, DATA + 520, 8), 1ull << 63 | 7);
    fill(b, 3, 0);
    assert_int_equal(run(b, xrstors, 3), NO_FAULT);
    assert_int_equal(load64(b->cpu->s.vector[3] + 24), 77);
    bench_put(b, DATA + 520, 0, 8); /* not the compacted format */
    assert_int_equal(run(b, xrstors, 3), VECTOR_GP);
    assert_int_equal(RUN(b, "\x0f\xae\x2b"), NO_FAULT); /* xrstor */
    bench_put(b, DATA + 520, 1ull << 63 | 7 | 1 << 11, 8); /* a supervisor component */
    assert_int_equal(run(b, xrstors, 3), VECTOR_GP);
}

static void xgetbv_tells_what_is_in_use(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    vectors_on(b, 3);
    s->gpr[RCX] = 0;
    assert_int_equal(RUN(b, "\x0f\x01\xd0"), NO_FAULT);
    assert_int_equal(s->gpr[RAX], 7);
    s->gpr[RCX] = 1;
    memset(s->vector, 0, sizeof s->vector);
    memset(s->x87, 0, sizeof s->x87);
    s->fcw = 0x37f;
    s->fsw = 0;
    s->ftw = 0xffff;
    s->mxcsr = 0x1f80;
    assert_int_equal(RUN(b, "\x0f\x01\xd0"), NO_FAULT);
    assert_int_equal(s->gpr[RAX], 0);
    s->fsw = 1;
    s->vector[9][31] = 1;
    assert_int_equal(RUN(b, "\x0f\x01\xd0"), NO_FAULT);
    assert_int_equal(s->gpr[RAX], 5);
    s->xcr0 = 3;
    s->mxcsr = 0x1f81;
    assert_int_equal(RUN(b, "\x0f\x01\xd0"), NO_FAULT);
    assert_int_equal(s->gpr[RAX], 3);
    s->gpr[RCX] = 2;
    assert_int_equal(RUN(b, "\x0f\x01\xd0"), VECTOR_GP);
}

static struct insn decoded(const struct decoder *decoder, unsigned code_bytes, const char *bytes,
                           unsigned length)
{
    struct insn insn;
    uint8_t code[15] = { 0 };
    memcpy(code, bytes, length);
    assert_int_equal(decode(decoder, code_bytes, code, sizeof code, 0, &insn), DECODE_OK);
    return insn;
}

/* 66 before near branches in 64-bit code; VEX.W of VPINSRD outside of it. */
static void vendors_decode_differently(void **state)
{
    static const char *const branches[] = { "\x66\xe9", "\x66\xe8", "\x66\x0f\x84", "\x66\xeb",
                                            "\x66\xc3", "\x66\xe2", "\x66\xff\xe0" };
    static const uint8_t lengths[2][7] = { { 6, 6, 7, 3, 2, 3, 3 }, { 4, 4, 5, 3, 2, 3, 3 } };
    static struct decoder decoders[2];
    struct cpu_bench *b = *state;
    for (unsigned amd = 0; amd < 2; amd++) {
        memcpy(b->model.vendor, amd ? "AuthenticAMD" : "GenuineIntel", 13);
        decoder_init(&decoders[amd], &b->model);
        for (unsigned i = 0; i < ARRAY_SIZE(branches); i++) {
            struct insn insn = decoded(&decoders[amd], 8, branches[i], (unsigned)strlen(branches[i]));
            assert_int_equal(insn.length, lengths[amd][i]);
            assert_int_equal(insn.operand_bytes, amd ? 2 : 8);
        }
        /* REX.W wins; MOV CR0 is no branch. */
        assert_int_equal(decoded(&decoders[amd], 8, "\x66\x48\xc3", 3).operand_bytes, 8);
        assert_int_equal(decoded(&decoders[amd], 8, "\x66\x0f\x20\xc0", 4).operand_bytes, 8);
        assert_int_equal(decoded(&decoders[amd], 4, "\xc4\xe3\xf9\x22\xc0\x01", 6).row == ROW_INVALID,
                         amd);
        assert_int_equal(decoded(&decoders[amd], 8, "\xc4\xe3\xf9\x22\xc0\x01", 6).row == ROW_INVALID,
                         false);
    }
    bench_long(b, 0);
    assert_int_equal(RUN(b, "\x0f\x0d\xc0"), VECTOR_UD); /* PREFETCHW of a register: AMD's */
    memcpy(b->model.vendor, "GenuineIntel", 13);
    assert_int_equal(RUN(b, "\x0f\x0d\xc0"), NO_FAULT);
}

/* A plain encoding of `row`; false when it has none in `code_bytes`. */
static bool encode(const struct opcode_row *row, unsigned code_bytes, uint8_t *bytes)
{
    static const uint8_t prefixes[] = { [OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3,
                                        [OPCODE_PREFIX_PF2] = 0xf2 };
    unsigned at = 0;
    if (row->mode == (code_bytes == 8 ? OPCODE_MODE_NO64 : OPCODE_MODE_ONLY64))
        return false;
    bool vex = row->map >= MAP_V0F, prefixed = row->prefix >= OPCODE_PREFIX_P66;
    if (vex) {
        unsigned pp = row->prefix == OPCODE_PREFIX_P66 ? 1 : row->prefix == OPCODE_PREFIX_PF3 ? 2
                      : row->prefix == OPCODE_PREFIX_PF2 ? 3 : 0;
        bytes[at++] = 0xc4;
        bytes[at++] = (uint8_t)(0xe0 | (row->map - MAP_V0F + 1));
        bytes[at++] = (uint8_t)((row->modrm & VEX_W1 ? 0x80 : 0) | 0x78
                                | (row->modrm & VEX_L1 ? 4 : 0) | pp);
    } else {
        if (prefixed)
            bytes[at++] = prefixes[row->prefix];
        if (row->map != MAP_ONE)
            bytes[at++] = 0x0f;
        if (row->map == MAP_T38 || row->map == MAP_T3A)
            bytes[at++] = row->map == MAP_T38 ? 0x38 : 0x3a;
    }
    bytes[at++] = row->opcode;
    if (row->modrm & MODRM_PRESENT)
        bytes[at] = (uint8_t)((row->modrm & MODRM_FIX_REG ? row->modrm & 0x38 : 8)
                              | (row->modrm & MODRM_FIX_RM ? row->modrm & 7 : 4)
                              | (row->modrm & MODRM_ONLY_MEM ? 0 : 0xc0));
    return true;
}

/* What the encoding of an absent instruction means instead, if anything. */
static bool means_something_else(const char *name, const char *instead)
{
    static const char *const pairs[][2] = {
        { "TZCNT", "BSF" }, { "LZCNT", "BSR" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++)
        if (!strcmp(name, pairs[i][0]) && !strcmp(instead, pairs[i][1]))
            return true;
    return false;
}

static void features_that_are_off_are_undefined(void **state)
{
    static struct decoder all, without;
    struct cpu_bench *b = *state;
    unsigned seen = 0;
    decoder_init(&all, &b->model);
    for (unsigned feature = FEATURE_BASE + 1; feature < FEATURE_COUNT; feature++) {
        struct cpu_model model = b->model;
        if (!cpu_model_has(&model, (enum cpu_feature)feature))
            continue;
        model.features[feature / 64] &= ~(1ull << (feature % 64));
        decoder_init(&without, &model);
        for (unsigned i = 0; i < opcode_row_count; i++) {
            const struct opcode_row *row = &opcode_rows[i];
            for (unsigned mode = 2; mode <= 8 && row->feature == feature; mode *= 2) {
                uint8_t bytes[15] = { 0 };
                struct insn with, insn;
                if (!encode(row, mode, bytes))
                    continue;
                decode(&all, mode, bytes, 15, 0, &with);
                decode(&without, mode, bytes, 15, 0, &insn);
                if (with.row != i)
                    continue; /* LES and LDS, where VEX is not */
                seen++;
                if (insn.row != ROW_INVALID)
                    assert_true(means_something_else(row->name, opcode_rows[insn.row].name));
                else
                    assert_ptr_equal(insn.handler, exec_invalid);
            }
        }
    }
    assert_true(seen > 3000);
}

/* #GP(0) at privilege 1 to 3, before memory or registers are looked at. */
static void check_privilege(struct cpu_bench *b, const uint8_t *bytes, const char *name, unsigned mode)
{
    struct insn insn;

    for (unsigned cpl = 1; cpl < 4; cpl++) {
        vectors_on(b, cpl);
        b->cpu->s.cpl = (uint8_t)cpl;
        b->cpu->s.efer |= EFER_SCE;
        bench_segment(b, &b->cpu->s.seg[CS], mode == 8 ? CODE64_3 : CODE3);
        for (unsigned i = 0; i < 16; i++)
            b->cpu->s.gpr[i] = 0x40000000; /* neither mapped nor valid anywhere */
        cpu_restored(b->cpu);
        struct cpu_state before = b->cpu->s;
        assert_int_equal(decode(&b->engine->decoder, mode, bytes, 15, 0, &insn), DECODE_OK);
        b->cpu->exception = (struct exception){ 0xff, false, 0xff, 0 };
        if (call_handler(b->cpu, &insn) != CPU_FAULT || b->cpu->exception.vector != VECTOR_GP)
            fail_msg("%s at CPL %u: vector %u", name, cpl, b->cpu->exception.vector);
        assert_int_equal(b->cpu->exception.error, 0);
        assert_memory_equal(&b->cpu->s, &before, sizeof before);
    }
}

static void privileged_instructions_are(void **state)
{
    static const uint8_t others[][15] = {
        { 0x0f, 0x00, 0xd0 }, { 0x0f, 0x00, 0x10 }, /* LLDT */
        { 0x0f, 0x00, 0xd8 }, { 0x0f, 0x00, 0x18 }, /* LTR */
        { 0x0f, 0x07 }, { 0x48, 0x0f, 0x07 },       /* SYSRET */
        { 0x0f, 0x35 }, { 0x48, 0x0f, 0x35 },       /* SYSEXIT */
    };
    struct cpu_bench *b = *state;
    unsigned seen = 0;

    for (unsigned i = 0; i < opcode_row_count; i++) {
        const struct opcode_row *row = &opcode_rows[i];
        for (unsigned mode = 4; mode <= 8 && row->attributes & PRIVILEGED; mode *= 2) {
            uint8_t bytes[15] = { 0 };
            if (!encode(row, mode, bytes))
                continue;
            if (row->opcode >> 4 == 2)
                bytes[2] &= 0xc7; /* CR0 and DR0 */
            check_privilege(b, bytes, row->name, mode);
            seen++;
        }
    }
    assert_true(seen > 30);
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        check_privilege(b, others[i], "another", 8);
}

static uint64_t next_random(void *context, struct cpu *cpu)
{
    (void)context, (void)cpu;
    return 0xfedcba9876543210;
}

/* Of the generator's 64 bits the lowest, with CF set and the other flags clear. */
static void random_numbers(void **state)
{
    static const struct { const char *code; unsigned length; uint64_t want; } cases[] = {
        { "\x66\x0f\xc7\xf1", 4, 0x1111111111113210 }, { "\x0f\xc7\xf1", 3, 0x76543210 },
        { "\x48\x0f\xc7\xf1", 4, 0xfedcba9876543210 }, { "\x66\x0f\xc7\xf9", 4, 0x1111111111113210 },
        { "\x0f\xc7\xf9", 3, 0x76543210 }, { "\x48\x0f\xc7\xf9", 4, 0xfedcba9876543210 },
    };
    struct cpu_bench *b = *state;

    vectors_on(b, 0);
    b->cpu->bus.random = next_random;
    for (unsigned i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
        b->cpu->s.gpr[RCX] = 0x1111111111111111;
        flags_put(b->cpu, i & 1 ? FLAGS_ARITHMETIC & ~FLAG_CF : 0);
        assert_int_equal(run(b, cases[i / 2].code, cases[i / 2].length), NO_FAULT);
        assert_int_equal(b->cpu->s.gpr[RCX], cases[i / 2].want);
        assert_int_equal(flags_get(b->cpu), FLAG_CF);
    }
}

/* Immediates by their form: handlers take them as they are. */
static void immediates_are_extended(void **state)
{
    static const struct { char code[6]; uint64_t want; } cases[] = {
        { "\xc2\x10\x80", 0x8010 }, { "\xca\x10\x80", 0x8010 }, /* RET, RETF */
        { "\xe4\x80", 0x80 }, { "\xe5\x80", 0x80 }, { "\xe6\xff", 0xff }, { "\xe7\xff", 0xff },
        { "\xcd\x80", 0x80 }, { "\xd4\xf0", 0xf0 }, { "\xd5\xf0", 0xf0 }, /* INT, AAM, AAD */
        { "\xc8\x10\x80\xff", 0xff8010 },                              /* ENTER */
        { "\x6a\x80", ~0x7full }, { "\x68\x00\x00\x00\x80", ~0x7fffffffull }, /* PUSH */
        { "\x83\xc0\x80", ~0x7full }, { "\xeb\x80", ~0x7full },           /* ADD, JMP */
    };
    struct cpu_bench *b = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        struct insn insn;
        uint8_t code[15] = { 0 };
        memcpy(code, cases[i].code, 5);
        for (unsigned mode = 4; mode <= 8; mode *= 2) {
            if (mode == 8 && (code[0] | 1) == 0xd5)
                continue; /* AAM, AAD */
            assert_int_equal(decode(&b->engine->decoder, mode, code, sizeof code, 0, &insn), DECODE_OK);
            assert_int_equal(insn.imm, cases[i].want);
        }
    }
}

/* CRC32 goes by bytes through a table. */
static void crc32_of_every_byte(void **state)
{
    struct cpu_bench *b = *state;

    vectors_on(b, 0);
    for (unsigned byte = 0; byte < 256; byte++) {
        uint32_t want = byte;
        for (unsigned i = 0; i < 8; i++)
            want = want >> 1 ^ (want & 1 ? 0x82f63b78 : 0);
        b->cpu->s.gpr[RAX] = 0;
        b->cpu->s.gpr[RCX] = byte;
        assert_int_equal(RUN(b, "\xf2\x0f\x38\xf0\xc1"), NO_FAULT);
        assert_int_equal(b->cpu->s.gpr[RAX], want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(crc32_of_every_byte), BENCH_TEST(random_numbers), BENCH_TEST(immediates_are_extended),
        BENCH_TEST(debug_registers_have_32_bits), BENCH_TEST(galois_makes_the_s_box), BENCH_TEST(galois_multiplies),
        BENCH_TEST(direct_stores), BENCH_TEST(sha_wants_alignment_of_intels),
        BENCH_TEST(xsaves_is_privileged), BENCH_TEST(privileged_instructions_are),
        BENCH_TEST(vendors_decode_differently),
        BENCH_TEST(xgetbv_tells_what_is_in_use), BENCH_TEST(features_that_are_off_are_undefined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
