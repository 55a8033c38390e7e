/* The CPU models and CPUID. */
#include <stdio.h>

#include "cpu_bench.h"

enum { EAX, EBX, ECX, EDX };

static void query(struct cpu_bench *b, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    cpu_cpuid(b->cpu, leaf, subleaf, out);
}

static void default_model_is_bonnell(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4];
    char vendor[13] = "", brand[49] = "";

    assert_int_equal(cpu_model_parse(&b->model, "", 1, NULL), 0);
    query(b, 0, 0, out);
    assert_int_equal(out[EAX], 0x16);
    memcpy(vendor, &out[EBX], 4);
    memcpy(vendor + 4, &out[EDX], 4);
    memcpy(vendor + 8, &out[ECX], 4);
    assert_string_equal(vendor, "GenuineIntel");
    query(b, 1, 0, out);
    assert_int_equal(out[EAX], 0x106ca);
    assert_int_equal(out[ECX] >> 31, 1);
    assert_int_equal(out[EDX] >> 28 & 1, 0); /* HT */
    for (unsigned i = 0; i < 3; i++) {
        query(b, 0x80000002 + i, 0, out);
        memcpy(brand + 16 * i, out, 16);
    }
    assert_string_equal(brand, "Groundhog virtual CPU");
}

static void frequencies_are_told(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4];

    query(b, 0x15, 0, out);
    assert_int_equal((uint64_t)out[ECX] * out[EBX] / out[EAX], 1000000000);
    query(b, 0x16, 0, out);
    assert_int_equal(out[EAX], 1000);
}

static void features_follow_options(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4];

    assert_int_equal(cpu_model_parse(&b->model, "qemu64,+sse4.1,sse4_2=on,-nx,x2apic=off", 1, NULL), 0);
    query(b, 1, 0, out);
    assert_int_equal(out[ECX] >> 19 & 3, 3);
    assert_int_equal(out[ECX] >> 21 & 1, 0);
    query(b, 0x80000001, 0, out);
    assert_int_equal(out[EDX] >> 20 & 1, 0);
    assert_int_equal(out[EDX] >> 29 & 1, 1);
}

/* CPUID.1:ECX and .7:EBX of AVX, FMA, F16C, BMI1, AVX2, BMI2. */
static void level_3_adds_avx(void **state)
{
    static const struct { const char *name; bool has; } models[] = {
        { "", false }, { "x86-64-v2", false }, { "x86-64-v3", true }, { "max", true },
        { "qemu64", false },
    };
    struct cpu_bench *b = *state;
    uint32_t out[4];

    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        assert_int_equal(cpu_model_parse(&b->model, models[i].name, 1, NULL), 0);
        query(b, 1, 0, out);
        assert_int_equal(out[ECX] & 0x30001000, models[i].has ? 0x30001000 : 0);
        query(b, 7, 0, out);
        assert_int_equal(out[EBX] & 0x128, models[i].has ? 0x128 : 0);
        query(b, 0xd, 0, out);
        bool pkru = i == 3;
        assert_int_equal(out[EAX], pkru ? 0x207 : models[i].has ? 7 : i == 4 ? 0 : 3);
        assert_int_equal(out[ECX], pkru ? 2696 : models[i].has ? 832 : i == 4 ? 0 : 576);
        query(b, 0xd, 2, out);
        assert_int_equal(out[EAX], models[i].has ? 256 : 0);
        assert_int_equal(out[EBX], models[i].has ? 576 : 0);
        query(b, 0xd, 9, out);
        assert_int_equal(out[EAX], pkru ? 8 : 0);
        assert_int_equal(out[EBX], pkru ? 2688 : 0);
    }
}

static void vendor_is_told(void **state)
{
    static const struct { const char *model; bool amd; } cases[] = {
        { "qemu64", false }, { "qemu64,+rdtscp", false }, { "Opteron_G1", true },
        { "max,vendor=AuthenticAMD", true }, { "EPYC,vendor=GenuineIntel", false },
        { "IvyBridge,phys-bits=36,host-phys-bits=off", false },
    };
    struct cpu_bench *b = *state;
    uint32_t basic[4], extended[4];

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        bool amd = cases[i].amd;
        assert_int_equal(cpu_model_parse(&b->model, cases[i].model, 1, NULL), 0);
        query(b, 0, 0, basic);
        assert_memory_equal(&basic[EBX], amd ? "Auth" : "Genu", 4);
        assert_memory_equal(&basic[EDX], amd ? "enti" : "ineI", 4);
        assert_memory_equal(&basic[ECX], amd ? "cAMD" : "ntel", 4);
        query(b, 0x80000000, 0, extended);
        assert_int_equal(extended[EBX], amd ? basic[EBX] : 0);
        query(b, 1, 0, basic);
        assert_int_equal(basic[EAX] >> 8 & 15, amd ? 15 : 6);
        query(b, 0x80000001, 0, extended);
        assert_int_equal(extended[EAX], amd ? basic[EAX] : 0);
        assert_int_equal(extended[EDX] & 0x0183f3ff, amd ? basic[EDX] & 0x0183f3ff : 0);
    }
}

static void features_go_with_those_that_they_need(void **state)
{
    struct cpu_bench *b = *state;
    static const struct { const char *model; bool xsave, avx, avx2, fma, vaes; } cases[] = {
        { "max", true, true, true, true, true },
        { "max,-xsave", false, false, false, false, false },
        { "max,-xsave,+avx2", false, false, false, false, false },
        { "max,-avx", true, false, false, false, false },
        { "max,-avx2", true, true, false, true, true },
        { "Haswell,-xsave", false, false, false, false, false },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(cpu_model_parse(&b->model, cases[i].model, 1, NULL), 0);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_XSAVE), cases[i].xsave);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_AVX), cases[i].avx);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_AVX2), cases[i].avx2);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_F16C), cases[i].avx);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_FMA), cases[i].fma);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_VAES), cases[i].vaes);
        assert_int_equal(cpu_model_has(&b->model, FEATURE_VPCLMULQDQ), cases[i].vaes);
        if (!cases[i].xsave)
            assert_false(cpu_model_has(&b->model, FEATURE_XSAVEOPT)
                         || cpu_model_has(&b->model, FEATURE_XSAVEC)
                         || cpu_model_has(&b->model, FEATURE_XSAVES)
                         || cpu_model_has(&b->model, FEATURE_XGETBV1));
    }
}

static void wrong_models_are_refused(void **state)
{
    struct cpu_bench *b = *state;
    static const char *const wrong[] = {
        "pentium", "max,+nosuch", "qemu64,+", "max,=on", "max,sse=maybe", "host", "COMMON",
        "max,phys-bits=31", "max,phys-bits=53", "max,phys-bits=", "max,phys-bits=4x", "max,vendor=Intel",
        "max,family=", "max,stepping=16", "max,+vmx,enforce",
        "max,model-id=0123456789012345678901234567890123456789012345678", "Skylake-Server",
    };

    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct error error = { "" };
        assert_int_equal(cpu_model_parse(&b->model, wrong[i], 1, &error), ERROR_USAGE);
        assert_true(strlen(error.text) > 0);
    }
}

static void properties_are_taken(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4];

    assert_int_equal(cpu_model_parse(&b->model, "max,vendor=AuthenticAMD,phys-bits=0x2a,family=23,model=49,"
                                     "stepping=2,model-id=Some CPU,migratable=off,check,ht=on,rdseed=off,"
                                     "enforce", 4, NULL), 0);
    assert_true(cpu_model_is_amd(&b->model));
    query(b, 0, 0, out);
    assert_memory_equal(&out[EBX], "Auth", 4);
    query(b, 1, 0, out);
    assert_int_equal(out[EAX], 0x00830f12);
    query(b, 7, 0, out);
    assert_int_equal(out[EBX] >> 18 & 1, 0);
    query(b, 0x80000000, 0, out);
    assert_memory_equal(&out[ECX], "cAMD", 4);
    query(b, 0x80000001, 0, out);
    assert_int_equal(out[EAX], 0x00830f12);
    assert_int_equal(out[EDX] & 0x0183f3ff, 0x0183f3ff);
    query(b, 0x80000002, 0, out);
    assert_string_equal((const char *)out, "Some CPU");
    query(b, 0x80000008, 0, out);
    assert_int_equal(out[EAX] & 0xff, 42);
    assert_int_equal(out[ECX], 2 << 12 | 3);
}

/* What QEMU knows and we lack: without it, by one line, unless that is forbidden. */
static void lacking_features_are_told(void **state)
{
    struct cpu_bench *b = *state;

    assert_int_equal(cpu_model_parse(&b->model, "max,+vmx,-svm,avx512f=on,aes", 1, NULL), 0);
    assert_string_equal(b->model.lacking, "vmx avx512f");
    assert_true(cpu_model_has(&b->model, FEATURE_AES));
    assert_int_equal(cpu_model_parse(&b->model, "max,-vmx,enforce", 1, NULL), 0);
    assert_string_equal(b->model.lacking, "");
}

static void named_models_grow(void **state)
{
    static const struct { const char *name; uint32_t signature; enum cpu_feature has, lacks; } models[] = {
        { "Nehalem", 0x106a3, FEATURE_SSE4_2, FEATURE_AES },
        { "Westmere-v1", 0x206c1, FEATURE_AES, FEATURE_AVX },
        { "Haswell-noTSX", 0x306c4, FEATURE_AVX2, FEATURE_ADX },
        { "Skylake-Client", 0x506e3, FEATURE_ADX, FEATURE_SHA },
        { "EPYC-Milan", 0xa00f11, FEATURE_SHA, FEATURE_GFNI },
        { "qemu32", 0x663, FEATURE_SSE3, FEATURE_LM },
        { "x86-64-v1", 0x106ca, FEATURE_LM, FEATURE_SSSE3 },
    };
    struct cpu_bench *b = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        assert_int_equal(cpu_model_parse(&b->model, models[i].name, 1, NULL), 0);
        assert_int_equal(b->model.signature, models[i].signature);
        assert_true(cpu_model_has(&b->model, models[i].has));
        assert_false(cpu_model_has(&b->model, models[i].lacks));
        assert_true(cpu_model_has(&b->model, FEATURE_APIC));
    }
}

static void topology_counts_cores(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4];

    assert_int_equal(cpu_model_parse(&b->model, "x86-64-v2", 5, NULL), 0);
    b->cpu->s.index = 3;
    query(b, 1, 0, out);
    assert_int_equal(out[EBX] >> 24, 3);
    assert_int_equal(out[EBX] >> 16 & 0xff, 8);
    assert_int_equal(out[EDX] >> 28 & 1, 1);
    query(b, 0xb, 0, out);
    assert_int_equal(out[EAX], 0);
    assert_int_equal(out[EBX], 1);
    assert_int_equal(out[ECX], 0x100);
    assert_int_equal(out[EDX], 3);
    query(b, 0xb, 1, out);
    assert_int_equal(out[EAX], 3);
    assert_int_equal(out[EBX], 5);
    assert_int_equal(out[ECX], 0x201);
    query(b, 0xb, 2, out);
    assert_int_equal(out[EBX], 0);
    query(b, 4, 0, out);
    assert_int_equal(out[EAX] >> 26, 7);
    query(b, 4, 3, out);
    assert_int_equal(out[EAX], 0);
}

static void osxsave_follows_cr4(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4];

    b->cpu->s.cr4 = 0;
    query(b, 1, 0, out);
    assert_int_equal(out[ECX] >> 27 & 1, 0);
    b->cpu->s.cr4 = CR4_OSXSAVE;
    query(b, 1, 0, out);
    assert_int_equal(out[ECX] >> 27 & 1, 1);
}

/* Leaves that hold no feature bits. */
static void fixed_leaves(void **state)
{
    struct cpu_bench *b = *state;
    static const struct { uint32_t leaf, subleaf, want[4]; } leaves[] = {
        { 2, 0, { 0x00ff01, 0, 0, 0 } },
        { 4, 0, { 0x121, 0x01c0003f, 63, 0 } },
        { 4, 1, { 0x122, 0x01c0003f, 63, 0 } },
        { 4, 2, { 0x143, 0x01c0003f, 1023, 0 } },
        { 4, 3, { 0, 0, 0, 0 } },
        { 5, 0, { 64, 64, 3, 0 } },
        { 0xb, 0, { 0, 1, 0x100, 0 } },
        { 0xb, 1, { 0, 1, 0x201, 0 } },
        { 0xb, 2, { 0, 0, 2, 0 } },
        { 0x80000000, 0, { 0x80000008, 0, 0, 0 } },
        { 0x80000006, 0, { 0, 0, 0x02006040, 0 } },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++) {
        uint32_t out[4];
        query(b, leaves[i].leaf, leaves[i].subleaf, out);
        assert_memory_equal(out, leaves[i].want, sizeof out);
    }
}

static void leaves_out_of_range(void **state)
{
    struct cpu_bench *b = *state;
    uint32_t out[4], last[4];

    query(b, 0x16, 0, last);
    query(b, 0x17, 0, out);
    assert_memory_equal(out, last, sizeof out);
    query(b, 0x80000009, 0, out);
    assert_memory_equal(out, last, sizeof out);
    query(b, 0xffffffff, 0, out);
    assert_memory_equal(out, last, sizeof out);
    query(b, 0x40000000, 0, out);
    assert_memory_equal(&out[EBX], "GroundhogVM ", 12);
    query(b, 7, 5, out);
    assert_int_equal(out[EBX] | out[ECX] | out[EDX], 0);
    for (uint32_t leaf = 0; leaf < 64; leaf++)
        for (uint32_t subleaf = 0; subleaf < 4; subleaf++)
            query(b, leaf, subleaf * 0x7fffffff, out);
}

/* All of what some models answer, as reviewed text: UPDATE=1 writes it anew. */

#define GOLDEN "tests/unit/cpuid.expected"

static void dump_leaf(struct cpu_bench *b, FILE *to, uint32_t leaf, uint32_t subleaf)
{
    uint32_t out[4];

    query(b, leaf, subleaf, out);
    if (out[EAX] | out[EBX] | out[ECX] | out[EDX])
        fprintf(to, "  %08x.%x %08x %08x %08x %08x\n", leaf, subleaf, out[EAX], out[EBX], out[ECX],
                out[EDX]);
}

static void dump_model(struct cpu_bench *b, FILE *to, const char *name, unsigned cpus, unsigned index)
{
    static const struct { uint32_t first, last, subleaves; } leaves[] = {
        { 0, 3, 1 }, { 4, 4, 4 }, { 5, 6, 1 }, { 7, 7, 2 }, { 8, 10, 1 }, { 11, 11, 3 },
        { 12, 12, 1 }, { 13, 13, 11 }, { 14, 23, 1 }, { 0x40000000, 0x40000001, 1 },
        { 0x80000000, 0x80000009, 1 },
    };

    assert_int_equal(cpu_model_parse(&b->model, name, cpus, NULL), 0);
    b->cpu->s.index = (uint8_t)index;
    fprintf(to, "-cpu '%s' -smp %u, vCPU %u\n", name, cpus, index);
    for (unsigned i = 0; i < ARRAY_SIZE(leaves); i++)
        for (uint32_t leaf = leaves[i].first; leaf <= leaves[i].last; leaf++)
            for (uint32_t subleaf = 0; subleaf < leaves[i].subleaves; subleaf++)
                dump_leaf(b, to, leaf, subleaf);
}

static void answers_are_as_reviewed(void **state)
{
    static const struct { const char *name; uint8_t cpus, index; } models[] = {
        { "", 1, 0 }, { "max", 4, 2 }, { "max,vendor=AuthenticAMD,-pku", 65, 64 }, { "qemu64", 2, 1 },
        { "qemu32", 1, 0 }, { "x86-64-v3,family=16,model=0x2a,phys-bits=36", 1, 0 },
        { "core2duo", 1, 0 }, { "Haswell,-xsave", 128, 127 }, { "EPYC-Milan", 3, 2 },
    };
    struct cpu_bench *b = *state;
    char *text = NULL, *golden = calloc(1, 1 << 16);
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);

    b->cpu->s.cr4 = CR4_OSXSAVE | CR4_PKE;
    b->cpu->s.xcr0 = 7;
    for (unsigned i = 0; i < ARRAY_SIZE(models); i++)
        dump_model(b, to, models[i].name, models[i].cpus, models[i].index);
    fclose(to);
    FILE *file = fopen(GOLDEN, getenv("UPDATE") ? "w" : "r");
    assert_non_null(file);
    if (getenv("UPDATE"))
        fwrite(text, 1, size, file);
    else
        assert_true(fread(golden, 1, 1 << 16, file) < 1 << 16);
    fclose(file);
    if (!getenv("UPDATE"))
        assert_string_equal(text, golden);
    free(text);
    free(golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(default_model_is_bonnell), BENCH_TEST(frequencies_are_told),
        BENCH_TEST(features_follow_options),  BENCH_TEST(level_3_adds_avx),
        BENCH_TEST(vendor_is_told), BENCH_TEST(features_go_with_those_that_they_need),
        BENCH_TEST(wrong_models_are_refused), BENCH_TEST(properties_are_taken),
        BENCH_TEST(lacking_features_are_told), BENCH_TEST(named_models_grow),
        BENCH_TEST(topology_counts_cores),    BENCH_TEST(osxsave_follows_cr4),
        BENCH_TEST(fixed_leaves),
        BENCH_TEST(leaves_out_of_range),
        BENCH_TEST(answers_are_as_reviewed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
