/*
 * FXSAVE, FXRSTOR and the XSAVE family at random against a model of the images
 * and their rules, written from SDM vol. 1, 10.5 and chapter 13: which bytes are
 * written, which components are read, initialized, or left alone. Then their
 * faults, in order.
 */
#include "cpu_bench.h"

#include "cpu/exec_x87.h"
#include "util/bits.h"

#define AREA 0x20000u
#define BYTES 3072u
#define PKRU_AT 2688u
#define X87 1u
#define SSE 2u
#define AVX 4u
#define PKRU 0x200u

enum op { FXSAVE, FXRSTOR, XSAVE, XRSTOR, XSAVEOPT, XSAVEC, XSAVES, XRSTORS, OPS };
static const char *const op_names[] = { "fxsave", "fxrstor", "xsave", "xrstor", "xsaveopt", "xsavec",
                                        "xsaves", "xrstors" };
/* ModRM: (EBX). */
static const uint8_t codes[OPS][3] = {
    { 0x0f, 0xae, 0x03 }, { 0x0f, 0xae, 0x0b }, { 0x0f, 0xae, 0x23 }, { 0x0f, 0xae, 0x2b },
    { 0x0f, 0xae, 0x33 }, { 0x0f, 0xc7, 0x23 }, { 0x0f, 0xc7, 0x2b }, { 0x0f, 0xc7, 0x1b },
};

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 29 ^ *seed << 13;
}

static unsigned registers(const struct cpu_bench *b)
{
    return b->cpu->code_bytes == 8 ? 16 : 8;
}

/* Random contents; each component is in its initial state now and then. */
static void fill(struct cpu_bench *b, uint64_t *seed)
{
    struct cpu_state *s = &b->cpu->s;
    uint64_t initial = draw(seed);

    s->fcw = (uint16_t)((draw(seed) & 0xf3f) | 0x40);
    s->fsw = (uint16_t)(draw(seed) & 0x7f7f);
    s->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        s->ftw |= (uint16_t)((draw(seed) & 1 ? 3 : 0) << 2 * i);
        s->x87[i].significand = draw(seed);
        s->x87[i].sign_exponent = (uint16_t)draw(seed);
    }
    s->fop = (uint16_t)(draw(seed) & 0x7ff);
    s->fip = b->cpu->code_bytes == 8 ? draw(seed) : (uint32_t)draw(seed);
    s->fdp = b->cpu->code_bytes == 8 ? draw(seed) : (uint32_t)draw(seed);
    if (initial & 1) {
        x87_reset(b->cpu);
        memset(s->x87, 0, sizeof s->x87);
        switch (initial >> 8 & 15) { /* one thing that makes it "in use" */
        case 0: s->fcw = 0x37e; break;
        case 1: s->fsw = 0x4000; break;
        case 2: s->ftw = 0xfffc; break;
        case 3: s->fop = 1; break;
        case 4: s->fip = 1; break;
        case 5: s->fdp = 1; break;
        case 6: s->x87[initial >> 12 & 7].significand = 1; break;
        case 7: s->x87[initial >> 12 & 7].sign_exponent = 1; break;
        default: break;
        }
    }
    x87_update_summary(b->cpu);
    memset(s->vector, 0, sizeof s->vector);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned k = 0; k < 4; k++)
            if (!(initial >> (k < 2 ? 1 : 2) & 1) || (initial >> 16 & 0xff) == 4 * i + k)
                store64(s->vector[i] + 8 * k, draw(seed) | 1);
    s->mxcsr = initial & 8 ? 0x1f80 : (uint32_t)(draw(seed) & 0xffff);
    s->pkru = initial & 16 ? 0 : (uint32_t)draw(seed) & ~3u; /* key 0 is in use */
    s->xcr0 = 1 | (initial >> 24 & 3 ? 2 : 0);
    if (s->xcr0 & 2)
        s->xcr0 |= (initial >> 26 & 3 ? 4 : 0) | (initial >> 28 & 3 ? 0x200 : 0);
}

static bool is_initial(const struct cpu_bench *b, unsigned component)
{
    const struct cpu_state *s = &b->cpu->s;
    uint64_t sum = 0;

    if (component == PKRU)
        return s->pkru == 0;
    if (component == X87) {
        for (unsigned i = 0; i < 8; i++)
            sum |= s->x87[i].significand | s->x87[i].sign_exponent;
        return s->fcw == 0x37f && s->ftw == 0xffff && !(s->fsw | s->fop | s->fip | s->fdp | sum);
    }
    for (unsigned i = 0; i < registers(b); i++)
        for (unsigned k = 0; k < 16; k++)
            sum |= s->vector[i][(component == AVX ? 16 : 0) + k];
    return sum == 0;
}

/* The legacy region as it is stored. */
static void model_x87(const struct cpu_bench *b, bool wide, uint8_t *image)
{
    const struct cpu_state *s = &b->cpu->s;
    uint8_t tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned physical = (i + (s->fsw >> 11)) & 7;
        tags |= (uint8_t)((s->ftw >> 2 * i & 3) != 3) << i;
        memset(image + 32 + 16 * i, 0, 16);
        store64(image + 32 + 16 * i, s->x87[physical].significand);
        store16(image + 40 + 16 * i, s->x87[physical].sign_exponent);
    }
    store16(image, s->fcw);
    store16(image + 2, s->fsw);
    store16(image + 4, tags);
    store16(image + 6, s->fop);
    store64(image + 8, wide ? s->fip : (uint32_t)s->fip);
    store64(image + 16, wide ? s->fdp : (uint32_t)s->fdp);
}

static void model_mxcsr(const struct cpu_bench *b, uint8_t *image)
{
    store32(image + 24, b->cpu->s.mxcsr);
    store32(image + 28, 0xffff);
}

static void model_vectors(const struct cpu_bench *b, unsigned component, uint8_t *image)
{
    for (unsigned i = 0; i < registers(b); i++)
        memcpy(image + (component == AVX ? 576 : 160) + 16 * i,
               b->cpu->s.vector[i] + (component == AVX ? 16 : 0), 16);
}

/* What the instruction makes of the image that lies there. */
static void model_save(const struct cpu_bench *b, enum op op, bool wide, uint64_t mask, uint8_t *image)
{
    static const unsigned components[] = { X87, SSE, AVX, PKRU };
    bool compact = op == XSAVEC || op == XSAVES;
    uint64_t wanted = op == FXSAVE ? X87 | SSE : mask & b->cpu->s.xcr0, in_use = 0, saved;

    for (unsigned i = 0; i < ARRAY_SIZE(components); i++)
        in_use |= is_initial(b, components[i]) ? 0 : components[i];
    if (compact && b->cpu->s.mxcsr != 0x1f80)
        in_use |= SSE;
    saved = op == FXSAVE || op == XSAVE ? wanted : wanted & in_use;
    if (saved & X87)
        model_x87(b, wide, image);
    if (compact ? saved & SSE : wanted & (SSE | AVX))
        model_mxcsr(b, image);
    if (saved & SSE)
        model_vectors(b, SSE, image);
    if (op == FXSAVE)
        return;
    if (saved & AVX)
        model_vectors(b, AVX, image);
    if (saved & PKRU)
        store64(image + (!compact ? PKRU_AT : wanted & AVX ? 832 : 576), b->cpu->s.pkru);
    uint64_t old = compact ? 0 : load64(image + 512) & ~wanted;
    store64(image + 512, old | (wanted & in_use));
    if (compact)
        store64(image + 520, wanted | 1ull << 63);
}

/* A header that is good, or has one thing wrong with it. */
static bool put_header(const struct cpu_bench *b, enum op op, uint64_t *seed, uint8_t *image)
{
    uint64_t xcr0 = b->cpu->s.xcr0, what = draw(seed), comp = draw(seed) & xcr0;
    bool compact = op == XRSTORS || what & 1;
    uint64_t state = draw(seed) & (compact ? comp : xcr0);
    unsigned wrong = what >> 8 & 63;

    memset(image + 512, 0, 64);
    store64(image + 520, compact ? comp | 1ull << 63 : 0);
    store64(image + 512, state);
    if (wrong < 48) {
        image[512 + 16 + wrong] = 1; /* reserved; XRSTOR of the standard format: 8 to 23 */
        return !compact && wrong >= 8;
    }
    switch (wrong) {
    case 48: store64(image + 512, state | 0x400); return false;
    case 49: store64(image + 520, load64(image + 520) | 0x400); return false;
    case 50: store64(image + 512, ~xcr0 & 0x1ff); return (~xcr0 & 0x1ff) == 0;
    case 51: store64(image + 512, load64(image + 512) | 1ull << 63); return false;
    case 52:
        store64(image + 520, comp);
        return op == XRSTOR && !comp;
    case 53:
        store64(image + 512, xcr0);
        return !compact || comp == xcr0;
    default: return true;
    }
}

static void expect_vectors(struct cpu_state *s, unsigned count, unsigned component,
                           const uint8_t *image)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t *half = s->vector[i] + (component == AVX ? 16 : 0);
        if (image)
            memcpy(half, image + (component == AVX ? 576 : 160) + 16 * i, 16);
        else
            memset(half, 0, 16);
    }
}

static void expect_x87(struct cpu_state *s, bool wide, const uint8_t *image)
{
    static const uint8_t initial[160] = { 0x7f, 3 };

    if (!image)
        image = initial;
    s->fcw = (load16(image) & 0x1f3f) | 0x40;
    s->fsw = load16(image + 2) & 0x7f7f;
    if (s->fsw & ~s->fcw & 0x3f)
        s->fsw |= 0x8080;
    s->ftw = 0;
    for (unsigned i = 0; i < 8; i++) {
        unsigned physical = (i + (s->fsw >> 11)) & 7;
        s->ftw |= (uint16_t)((image[4] >> i & 1 ? 0 : 3) << 2 * i);
        s->x87[physical].significand = load64(image + 32 + 16 * i);
        s->x87[physical].sign_exponent = load16(image + 40 + 16 * i);
    }
    s->fop = load16(image + 6) & 0x7ff;
    s->fip = wide ? load64(image + 8) : load32(image + 8);
    s->fdp = wide ? load64(image + 16) : load32(image + 16);
}

/* The state that the instruction makes of `image`. */
static bool model_restore(const struct cpu_bench *b, enum op op, bool wide, uint64_t mask,
                          const uint8_t *image, struct cpu_state *s)
{
    unsigned count = registers(b);
    bool compact = op != FXRSTOR && load64(image + 520) >> 63;
    uint64_t wanted = op == FXRSTOR ? X87 | SSE : mask & s->xcr0;
    uint64_t there = op == FXRSTOR ? X87 | SSE : load64(image + 512) & wanted;
    bool mxcsr = compact ? there & SSE : wanted & (SSE | AVX);

    if (mxcsr && load32(image + 24) >> 16)
        return false;
    if (mxcsr)
        s->mxcsr = load32(image + 24);
    else if (wanted & SSE)
        s->mxcsr = 0x1f80;
    if (wanted & X87)
        expect_x87(s, wide, there & X87 ? image : NULL);
    if (wanted & SSE)
        expect_vectors(s, count, SSE, there & SSE ? image : NULL);
    if (wanted & AVX)
        expect_vectors(s, count, AVX, there & AVX ? image : NULL);
    unsigned at = !compact ? PKRU_AT : load64(image + 520) & AVX ? 832 : 576;
    if (wanted & PKRU)
        s->pkru = there & PKRU ? load32(image + at) : 0;
    return true;
}

static unsigned execute(struct cpu_bench *b, enum op op, bool wide)
{
    uint8_t code[4] = { 0x48 };

    memcpy(code + wide, codes[op], 3);
    bench_code(b, 0x8000, (const char *)code, 3u + wide);
    b->cpu->s.gpr[RIP] = 0x8000;
    cpu_restored(b->cpu);
    bench_run(b, 1);
    uint64_t rip = b->cpu->s.gpr[RIP];
    if (rip >= 0x9000)
        return 0x1000 | (unsigned)(rip - 0x9000) / 16;
    return rip == 0x8003u + wide ? 0 : (unsigned)rip;
}

static void prepare(struct cpu_bench *b, bool long_mode, unsigned cpl)
{
    cpu_reset(b->cpu);
    if (long_mode)
        bench_long(b, cpl);
    else
        bench_protected(b, cpl);
    for (unsigned i = 0; i < 20; i++) {
        if (long_mode)
            bench_gate64(b, i, CODE64, 0x9000 + 16 * i, 0, 0x8e);
        else
            bench_gate(b, i, CODE0, 0x9000 + 16 * i, 0x8e);
    }
    b->cpu->s.cr4 |= CR4_OSXSAVE | CR4_OSFXSR | CR4_PKE;
    b->cpu->s.gpr[RBX] = AREA;
    cpu_restored(b->cpu);
}

static void one_case(struct cpu_bench *b, uint64_t *seed)
{
    static uint8_t image[BYTES], seen[BYTES];
    struct cpu_state *s = &b->cpu->s;
    enum op op = (enum op)(draw(seed) % OPS);
    bool long_mode = draw(seed) & 1, wide = long_mode && draw(seed) & 1;
    bool restore = op == FXRSTOR || op == XRSTOR || op == XRSTORS, good = true;
    uint64_t mask = draw(seed);

    prepare(b, long_mode, op >= XSAVES ? 0 : 3);
    fill(b, seed);
    s->gpr[RAX] = (uint32_t)mask | draw(seed) << 32;
    s->gpr[RDX] = mask >> 32;
    for (unsigned i = 0; i < BYTES; i += 8)
        store64(image + i, draw(seed));
    if (draw(seed) % 32)
        store16(image + 26, 0);
    if (op != FXRSTOR && op != FXSAVE)
        good = put_header(b, op, seed, image) || !restore;
    physmem_write(&b->memory, AREA, image, BYTES);
    struct cpu_state want = *s;
    if (restore)
        good = good && model_restore(b, op, wide, mask, image, &want);
    else
        model_save(b, op, wide, mask, image);
    unsigned result = execute(b, op, wide);
    physmem_read(&b->memory, AREA, seen, BYTES);
    if (result != (good ? 0 : 0x1000 | VECTOR_GP))
        fail_msg("%s: %x, wanted %s; XCR0 %llx, mask %llx, header %llx %llx", op_names[op], result,
                 good ? "none" : "#GP", (unsigned long long)s->xcr0, (unsigned long long)mask,
                 (unsigned long long)load64(image + 512), (unsigned long long)load64(image + 520));
    for (unsigned i = 0; i < BYTES; i++)
        if (seen[i] != image[i])
            fail_msg("%s, %u-bit code, mask %llx, XCR0 %llx: byte %u", op_names[op],
                     8 * b->cpu->code_bytes, (unsigned long long)mask, (unsigned long long)s->xcr0, i);
    struct cpu_state got = *s; /* all but what the fault or RIP made of it */
    assert_memory_equal(got.vector, want.vector, sizeof want.vector);
    assert_memory_equal(got.x87, want.x87, sizeof want.x87);
    assert_int_equal(got.mxcsr, want.mxcsr);
    assert_int_equal(got.pkru, want.pkru);
    assert_int_equal(got.fcw, want.fcw);
    assert_int_equal(got.fsw, want.fsw);
    assert_int_equal(got.ftw, want.ftw);
    assert_int_equal(got.fop, want.fop);
    assert_int_equal(got.fip, want.fip);
    assert_int_equal(got.fdp, want.fdp);
    assert_int_equal(got.xcr0, want.xcr0);
}

static void images_are_the_models(void **state)
{
    uint64_t seed = 1;

    for (unsigned n = 0; n < 12000; n++)
        one_case(*state, &seed);
}

/* #UD, #NM, alignment, then the memory; nothing is written before a fault. */
static void faults_in_order(void **state)
{
    static const uint8_t modes[] = { 0, 1, 2, 3, 4, 5 };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < OPS * ARRAY_SIZE(modes); n++) {
        enum op op = (enum op)(n / ARRAY_SIZE(modes));
        unsigned mode = n % ARRAY_SIZE(modes);
        bool family = op >= XSAVE, privileged = op >= XSAVES;
        prepare(b, true, 0);
        s->xcr0 = 7;
        s->gpr[RAX] = s->gpr[RDX] = ~0ull;
        s->gpr[RBX] = 0x300008; /* not there, and misaligned */
        s->cr0 |= CR0_TS;
        unsigned want = VECTOR_NM;
        if (mode == 0 && family)
            s->cr4 &= ~CR4_OSXSAVE, want = VECTOR_UD;
        if (mode == 1)
            s->cr0 = (s->cr0 & ~CR0_TS) | CR0_EM, want = family ? VECTOR_GP : VECTOR_NM;
        if (mode == 2)
            s->cr0 &= ~CR0_TS, want = VECTOR_GP;
        if (mode == 3) {
            s->cr0 &= ~CR0_TS, want = family ? VECTOR_GP : VECTOR_PF;
            s->gpr[RBX] = 0x300010;
        }
        if (mode == 4) {
            s->cr0 &= ~CR0_TS, want = VECTOR_PF;
            s->gpr[RBX] = 0x300040;
        }
        if (mode == 5) {
            prepare(b, true, 3);
            s->gpr[RBX] = 0x300040;
            want = privileged ? VECTOR_GP : VECTOR_PF;
            s->xcr0 = 7;
        }
        unsigned seen = execute(b, op, false);
        if (seen != (0x1000 | want))
            fail_msg("%s, mode %u: %x, wanted %x", op_names[op], mode, seen, want);
        if (want == VECTOR_GP || want == VECTOR_PF)
            assert_int_equal(bench_get(b, s->gpr[RSP] + 8, 8), 0x8000);
    }
}

/* An image across a page that is not there: nothing of it is written. */
static void images_across_pages(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 6; n++) {
        enum op op = n & 1 ? XSAVEC : XSAVE;
        static const unsigned missing[] = { 512, 576, 2688 }; /* first byte that is not there */
        unsigned cut = op == XSAVEC && n / 2 == 2 ? 832 : missing[n / 2];
        prepare(b, true, 0);
        s->xcr0 = 0x207;
        s->pkru = 0x50;
        memset(s->vector, 0x77, sizeof s->vector);
        s->gpr[RAX] = ~0ull;
        s->gpr[RDX] = 0;
        s->gpr[RBX] = 0x200000 - cut;
        for (unsigned i = 0; i < cut; i += 8)
            bench_put(b, 0x200000 - cut + i, 0, 8);
        assert_int_equal(execute(b, op, false), 0x1000 | VECTOR_PF);
        assert_int_equal(s->cr2, 0x200000);
        assert_int_equal(bench_get(b, s->gpr[RSP], 8), 2);
        for (unsigned i = 0; i < cut; i += 8)
            assert_int_equal(bench_get(b, 0x200000 - cut + i, 8), 0);
    }
}

/* And one that ends with its page: no more than the components asked for is needed. */
static void images_up_to_a_page(void **state)
{
    static const enum op ops[] = { XSAVE, XSAVEOPT, XSAVEC, XSAVES, XRSTOR };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(ops) * 16; n++) {
        bool long_mode = n & 8, restores = ops[n / 16] == XRSTOR;
        unsigned bytes = n & AVX ? long_mode || restores ? 832 : 704 : 576;
        prepare(b, true, 0);
        s->xcr0 = 7;
        memset(s->vector, 0x77, sizeof s->vector);
        s->gpr[RAX] = n & 7;
        s->gpr[RDX] = 0;
        s->gpr[RBX] = 0x200000 - bytes;
        if (!long_mode)
            bench_segment(b, &s->seg[CS], CODE0);
        for (unsigned i = 0; i < bytes; i += 8)
            bench_put(b, 0x200000 - bytes + i, i == 512 ? n & 7 : 0, 8);
        assert_int_equal(execute(b, ops[n / 16], false), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(images_are_the_models),
        BENCH_TEST(faults_in_order),
        BENCH_TEST(images_across_pages),
        BENCH_TEST(images_up_to_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
