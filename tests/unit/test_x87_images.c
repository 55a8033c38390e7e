/*
 * The four formats of the x87's environment: 16 and 32 bits, protected and real
 * mode. (SDM vol. 1, figures 8-9 to 8-12) FCS and FDS are 0, as on CPUs that
 * deprecate them.
 */
#include "call_handler.h"
#include "cpu_bench.h"

#include "cpu/decode.h"
#include "cpu/fp.h"

#define IMAGE 0x9000u

/* Executes one instruction of `code_bytes`. */
static void run(struct cpu_bench *b, unsigned code_bytes, const char *bytes, unsigned length)
{
    struct insn insn;
    uint8_t code[15] = { 0 };
    memcpy(code, bytes, length);
    assert_int_equal(decode(&b->engine->decoder, code_bytes, code, sizeof code, 0, &insn), DECODE_OK);
    assert_int_equal(insn.length, length);
    assert_int_equal(call_handler(b->cpu, &insn), 0);
}

static void fill(struct cpu_bench *b)
{
    struct cpu_state *s = &b->cpu->s;
    s->fcw = 0x0360;
    s->fsw = 0x2941;
    s->ftw = 0x0fff; /* registers 6 and 7 */
    s->fop = 0x5a5;
    s->fip = 0x0123abcd;
    s->fdp = 0x0456cdef;
    s->x87[6].significand = 0;
    s->x87[6].sign_exponent = 0;
    s->x87[7].significand = 1ull << 63;
    s->x87[7].sign_exponent = 0x3fff;
    s->gpr[RBX] = IMAGE;
    for (unsigned i = 0; i < 28; i += 4)
        bench_put(b, IMAGE + i, 0xeeeeeeee, 4);
}

/* Stores, compares with what the figures say, loads into other registers. */
static void round_trip(struct cpu_bench *b, unsigned code_bytes, bool wide,
                       const uint32_t *words, uint32_t fip, uint32_t fdp, uint16_t fop)
{
    bool prefix = wide != (code_bytes == 4);
    struct cpu_state *s = &b->cpu->s;
    /* FNSTENV and FLDENV of [BX] in 16-bit, [EDI] in 32-bit code */
    static const char store[] = "\x66\xd9\x37", load[] = "\x66\xd9\x27";

    fill(b);
    s->gpr[RDI] = s->gpr[RBX];
    run(b, code_bytes, prefix ? store : store + 1, prefix ? 3 : 2);
    for (unsigned i = 0; i < 7; i++) {
        if (wide)
            assert_int_equal(bench_get(b, IMAGE + 4 * i, 4), words[i]);
        else
            assert_int_equal(bench_get(b, IMAGE + 2 * i, 2), words[i]);
    }
    assert_int_equal(s->fcw & 0x3f, 0x3f); /* FNSTENV masks */
    s->fcw = 0x37f;
    s->fsw = s->fop = 0;
    s->ftw = 0xffff;
    s->fip = s->fdp = 0;
    run(b, code_bytes, prefix ? load : load + 1, prefix ? 3 : 2);
    assert_int_equal(s->fcw, 0x360);
    assert_int_equal(s->fsw & ~0x8080, 0x2941);
    assert_int_equal(s->fsw & 0x8080, 0x8080); /* IE is unmasked: ES and B */
    assert_int_equal(s->ftw, 0x0fff);
    assert_int_equal(s->fip, fip);
    assert_int_equal(s->fdp, fdp);
    assert_int_equal(s->fop, fop);
}

static void protected_mode(void **state)
{
    static const uint32_t wide[7] = { 0xffff0360, 0xffff2941, 0xffff1fff, 0x0123abcd, 0x05a50000,
                                      0x0456cdef, 0xffff0000 };
    static const uint32_t narrow[7] = { 0x0360, 0x2941, 0x1fff, 0xabcd, 0, 0xcdef, 0 };
    struct cpu_bench *b = *state;
    bench_protected(b, 0);
    round_trip(b, 4, true, wide, 0x0123abcd, 0x0456cdef, 0x5a5);
    round_trip(b, 4, false, narrow, 0xabcd, 0xcdef, 0);
}

static void real_mode(void **state)
{
    static const uint32_t wide[7] = { 0xffff0360, 0xffff2941, 0xffff1fff, 0xffffabcd, 0x001235a5,
                                      0xffffcdef, 0x00456000 };
    static const uint32_t narrow[7] = { 0x0360, 0x2941, 0x1fff, 0xabcd, 0x35a5, 0xcdef, 0x6000 };
    struct cpu_bench *b = *state;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        b->cpu->s.seg[i].base = 0;
    cpu_restored(b->cpu);
    b->cpu->s.gpr[RDI] = IMAGE;
    round_trip(b, 2, true, wide, 0x0123abcd, 0x0456cdef, 0x5a5);
    round_trip(b, 2, false, narrow, 0x3abcd, 0x6cdef, 0x5a5);
}

int main(void)
{
    const struct CMUnitTest tests[] = { BENCH_TEST(protected_mode), BENCH_TEST(real_mode) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
