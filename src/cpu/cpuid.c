/*
 * The CPU models and CPUID. (SDM vol. 2, CPUID)
 *
 * The default model identifies as an Intel Atom of the Bonnell line (in-order:
 * kernels know it needs no speculation mitigations), with the features that
 * the interpreter has beyond it. TSC, crystal and APIC timer run at 1 GHz and
 * leaves 15h and 16h say so: nothing needs to be calibrated.
 */
#include "cpu/cpuid.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"

#define SIGNATURE 0x000106cau /* family 6, model 1Ch, stepping 10 */
#define SIGNATURE_AMD 0x00060fb1u /* family 15, model 6Bh, stepping 1 */
#define VENDOR_INTEL "GenuineIntel"
#define VENDOR_AMD "AuthenticAMD"
#define VENDOR_BYTES 12u
#define PHYSICAL_BITS_LEAST 32u
#define PHYSICAL_BITS_MOST 52u
#define LEAF_BASIC_LAST 0x16u
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_EXTENDED 0x80000000u
#define LEAF_EXTENDED_LAST 0x80000008u
#define REPEATED_BY_AMD 0x0183f3ffu /* bits of 1:EDX that 80000001h has too */
#define FREQUENCY_HZ 1000000000u
#define FREQUENCY_MHZ 1000u
#define XSAVE_LEGACY_BYTES 576u /* FXSAVE area and header */
#define XSAVE_AVX_BYTES 256u

enum { EAX, EBX, ECX, EDX };

struct feature_place {
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
    const char *name;
};

static const struct feature_place places[FEATURE_COUNT] = {
#define FEATURE(name, leaf, subleaf, reg, bit, text)                                               \
    [FEATURE_##name] = { leaf, subleaf, reg, bit, text },
#include "cpu/features.def"
#undef FEATURE
};

/* What no part of the emulator implements: cannot be asked for. */
static const enum cpu_feature missing[] = {
    FEATURE_VME,
};

/* Implemented, but not in the default model. */
static const enum cpu_feature not_default[] = {
    FEATURE_MONITOR, FEATURE_PCID, FEATURE_INVPCID, FEATURE_PKU, FEATURE_PKS, FEATURE_LA57,
    FEATURE_LAM, FEATURE_CLWB,
    FEATURE_BMI1, FEATURE_BMI2, FEATURE_AVX, FEATURE_AVX2, FEATURE_FMA, FEATURE_F16C,
    FEATURE_GFNI, FEATURE_VAES, FEATURE_VPCLMULQDQ, FEATURE_MOVDIRI, FEATURE_MOVDIR64B,
    FEATURE_SERIALIZE, FEATURE_XGETBV1, FEATURE_XSAVES,
};

/* Of those, what x86-64-v3 adds to x86-64-v2. */
static const enum cpu_feature level_3[] = {
    FEATURE_BMI1, FEATURE_BMI2, FEATURE_AVX, FEATURE_AVX2, FEATURE_FMA, FEATURE_F16C,
};

/* Beyond the baseline of x86-64 as "qemu64" has it. */
static const enum cpu_feature not_baseline[] = {
    FEATURE_PCLMULQDQ, FEATURE_SSSE3, FEATURE_SSE4_1, FEATURE_SSE4_2, FEATURE_MOVBE,
    FEATURE_POPCNT, FEATURE_AES, FEATURE_XSAVE, FEATURE_RDRAND, FEATURE_FSGSBASE,
    FEATURE_SMEP, FEATURE_SMAP, FEATURE_ERMS, FEATURE_RDSEED, FEATURE_ADX, FEATURE_CLFLUSHOPT,
    FEATURE_SHA, FEATURE_UMIP, FEATURE_FSRM, FEATURE_LZCNT, FEATURE_PREFETCHW, FEATURE_PDPE1GB,
    FEATURE_RDPID, FEATURE_XSAVEOPT, FEATURE_XSAVEC,
};

static void set_feature(struct cpu_model *model, enum cpu_feature feature, bool on)
{
    uint64_t bit = 1ull << (feature % 64);
    if (on)
        model->features[feature / 64] |= bit;
    else
        model->features[feature / 64] &= ~bit;
}

static void clear_features(struct cpu_model *model, const enum cpu_feature *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        set_feature(model, list[i], false);
}

static bool is_missing(enum cpu_feature feature)
{
    for (unsigned i = 0; i < ARRAY_SIZE(missing); i++)
        if (missing[i] == feature)
            return true;
    return false;
}

enum model_level { LEVEL_ALL, LEVEL_3, LEVEL_2, LEVEL_BASELINE };

/* The last ones are QEMU's, which configurations of test kernels name: each
 * stands for the level that is nearest. */
static const struct {
    const char *name;
    enum model_level level;
    const char *vendor;
} models[] = {
    { "max", LEVEL_ALL, VENDOR_INTEL },
    { "x86-64-v3", LEVEL_3, VENDOR_INTEL },
    { "x86-64-v2", LEVEL_2, VENDOR_INTEL },
    { "qemu64", LEVEL_BASELINE, VENDOR_INTEL },
    { "kvm64", LEVEL_BASELINE, VENDOR_INTEL },
    { "IvyBridge", LEVEL_2, VENDOR_INTEL },
    { "Haswell", LEVEL_3, VENDOR_INTEL },
    { "Opteron_G1", LEVEL_BASELINE, VENDOR_AMD },
    { "EPYC", LEVEL_3, VENDOR_AMD },
};

static int set_vendor(struct cpu_model *model, const char *vendor, size_t length,
                      struct error *error)
{
    if (length != VENDOR_BYTES)
        return error_set(error, ERROR_USAGE, "-cpu: vendor= takes 12 characters, not '%.*s'",
                         (int)length, vendor);
    memcpy(model->vendor, vendor, VENDOR_BYTES);
    model->signature = cpu_model_is_amd(model) ? SIGNATURE_AMD : SIGNATURE;
    return 0;
}

static int set_model(struct cpu_model *model, const char *name, size_t length,
                     struct error *error)
{
    unsigned number = 0;

    while (number < ARRAY_SIZE(models)
           && (strlen(models[number].name) != length
               || memcmp(models[number].name, name, length) != 0))
        number++;
    if (number == ARRAY_SIZE(models))
        return error_set(error, ERROR_USAGE,
                         "-cpu: no model '%.*s'; there are max, x86-64-v3, x86-64-v2 and qemu64",
                         (int)length, name);
    enum model_level level = models[number].level;
    for (unsigned i = 0; i < FEATURE_COUNT; i++)
        set_feature(model, (enum cpu_feature)i, true);
    clear_features(model, missing, ARRAY_SIZE(missing));
    if (level >= LEVEL_3)
        clear_features(model, not_default, ARRAY_SIZE(not_default));
    for (unsigned i = 0; level == LEVEL_3 && i < ARRAY_SIZE(level_3); i++)
        set_feature(model, level_3[i], true);
    if (level >= LEVEL_BASELINE)
        clear_features(model, not_baseline, ARRAY_SIZE(not_baseline));
    return set_vendor(model, models[number].vendor, VENDOR_BYTES, error);
}

/* '_' and '.' may be written for '-'. */
static bool same_name(const char *name, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i] == '_' || text[i] == '.' ? '-' : text[i];
        char n = name[i] == '_' || name[i] == '.' ? '-' : name[i];
        if (n == '\0' || c != n)
            return false;
    }
    return name[length] == '\0';
}

/* "phys-bits=N" */
static int set_physical_bits(struct cpu_model *model, const char *text, size_t length,
                             struct error *error)
{
    uint32_t bits = 0;

    for (size_t i = 0; i < length && bits < 100; i++)
        bits = text[i] >= '0' && text[i] <= '9' ? 10 * bits + (uint32_t)(text[i] - '0') : 100;
    if (bits < PHYSICAL_BITS_LEAST || bits > PHYSICAL_BITS_MOST)
        return error_set(error, ERROR_USAGE, "-cpu: phys-bits is %u to %u, not '%.*s'",
                         PHYSICAL_BITS_LEAST, PHYSICAL_BITS_MOST, (int)length, text);
    model->physical_bits = bits;
    return 0;
}

/* "key=value" for other keys than features. Returns 1 when `text` is none. */
static int set_value(struct cpu_model *model, const char *text, size_t length,
                     struct error *error)
{
    static const struct {
        const char *key;
        int (*set)(struct cpu_model *, const char *, size_t, struct error *);
    } keys[] = {
        { "phys-bits=", set_physical_bits },
        { "vendor=", set_vendor },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++) {
        size_t skip = strlen(keys[i].key);
        if (length >= skip && memcmp(text, keys[i].key, skip) == 0)
            return keys[i].set(model, text + skip, length - skip, error);
    }
    /* Nothing of the host is ever passed on. */
    return length == strlen("host-phys-bits=off") && memcmp(text, "host-phys-bits=off", length) == 0
               ? 0 : 1;
}

/* One "+x", "-x", "x=on", "x=off" or "key=value". */
static int set_option(struct cpu_model *model, const char *text, size_t length,
                      struct error *error)
{
    const char *name = text;
    size_t name_length = length;
    bool on = true;

    int result = set_value(model, text, length, error);
    if (result <= 0)
        return result;
    if (length > 0 && (text[0] == '+' || text[0] == '-')) {
        on = text[0] == '+';
        name++;
        name_length--;
    } else if (length > 3 && memcmp(text + length - 3, "=on", 3) == 0) {
        name_length -= 3;
    } else if (length > 4 && memcmp(text + length - 4, "=off", 4) == 0) {
        on = false;
        name_length -= 4;
    } else {
        return error_set(error, ERROR_USAGE, "-cpu: '%.*s' is none of +x, -x, x=on, x=off",
                         (int)length, text);
    }
    for (unsigned i = FEATURE_BASE + 1; i < FEATURE_COUNT; i++) {
        if (!same_name(places[i].name, name, name_length))
            continue;
        if (on && is_missing((enum cpu_feature)i))
            return error_set(error, ERROR_USAGE, "-cpu: feature '%s' is not implemented",
                             places[i].name);
        set_feature(model, (enum cpu_feature)i, on);
        return 0;
    }
    return error_set(error, ERROR_USAGE, "-cpu: no feature '%.*s'", (int)name_length, name);
}

int cpu_model_parse(struct cpu_model *model, const char *text, uint32_t cpu_count,
                    struct error *error)
{
    memset(model, 0, sizeof *model);
    model->physical_bits = 40;
    model->linear_bits = 48;
    model->cpu_count = cpu_count;

    size_t length = strcspn(text, ",");
    if (length == 0)
        TRY(set_model(model, "x86-64-v2", strlen("x86-64-v2"), error));
    else
        TRY(set_model(model, text, length, error));
    set_feature(model, FEATURE_HT, cpu_count > 1);
    while (text[length] == ',') {
        text += length + 1;
        length = strcspn(text, ",");
        if (length > 0)
            TRY(set_option(model, text, length, error));
    }
    if (cpu_model_has(model, FEATURE_LA57))
        model->linear_bits = 57;
    return 0;
}

/* ORs in the feature bits of one leaf. */
static void add_features(const struct cpu_model *model, uint32_t leaf, uint32_t subleaf,
                         uint32_t out[4])
{
    for (unsigned i = FEATURE_BASE + 1; i < FEATURE_COUNT; i++)
        if (places[i].leaf == leaf && places[i].subleaf == subleaf
            && cpu_model_has(model, (enum cpu_feature)i))
            out[places[i].reg] |= 1u << places[i].bit;
}

static void set_text(uint32_t out[4], const char *text, unsigned first, unsigned count)
{
    memcpy(&out[first], text, 4 * (size_t)count);
}

/* Bits of an APIC id that number the cores of the package. */
static unsigned core_bits(const struct cpu_model *model)
{
    unsigned bits = 0;
    while ((1u << bits) < model->cpu_count)
        bits++;
    return bits;
}

static void leaf_1(const struct cpu *cpu, uint32_t out[4])
{
    const struct cpu_model *model = cpu->model;

    out[EAX] = model->signature;
    out[EBX] = (cpu->s.index & 0xff) << 24 | 8u << 8;
    if (model->cpu_count > 1)
        out[EBX] |= (1u << core_bits(model) & 0xff) << 16;
    if (cpu->s.cr4 & CR4_OSXSAVE)
        out[ECX] |= 1u << 27;
}

/* Caches: level, type (1 data, 2 code, 3 both), ways, sets; lines of 64 bytes. */
static void leaf_4(const struct cpu_model *model, uint32_t subleaf, uint32_t out[4])
{
    static const struct { uint8_t level, type, ways; uint16_t sets; } caches[] = {
        { 1, 1, 8, 64 },    /* 32 KiB */
        { 1, 2, 8, 64 },    /* 32 KiB */
        { 2, 3, 8, 1024 },  /* 512 KiB */
    };

    if (subleaf >= ARRAY_SIZE(caches))
        return;
    uint32_t cores = (1u << core_bits(model)) - 1;
    out[EAX] = caches[subleaf].type | (uint32_t)caches[subleaf].level << 5 | 1u << 8
               | (cores > 63 ? 63 : cores) << 26;
    out[EBX] = 63 | (uint32_t)(caches[subleaf].ways - 1) << 22;
    out[ECX] = caches[subleaf].sets - 1u;
}

/* How many subleaves there are, and whether CR4.PKE is set. */
static void leaf_7(const struct cpu *cpu, uint32_t out[4])
{
    uint32_t second[4] = { 0 };

    add_features(cpu->model, 7, 1, second);
    out[EAX] = second[EAX] | second[EBX] | second[ECX] | second[EDX] ? 1 : 0;
    if (cpu->s.cr4 & CR4_PKE)
        out[ECX] |= 1u << 4;
}

/* Topology: one thread a core, all cores in one package. */
static void leaf_b(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    out[ECX] = subleaf & 0xff;
    out[EDX] = cpu->s.index;
    if (subleaf == 0) {
        out[EBX] = 1;
        out[ECX] |= 1u << 8;
    } else if (subleaf == 1) {
        out[EAX] = core_bits(cpu->model);
        out[EBX] = cpu->model->cpu_count;
        out[ECX] |= 2u << 8;
    }
}

static void leaf_d(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    bool avx = cpu_model_has(cpu->model, FEATURE_AVX);

    if (!cpu_model_has(cpu->model, FEATURE_XSAVE))
        return;
    uint32_t now = XSAVE_LEGACY_BYTES + (cpu->s.xcr0 & 4 ? XSAVE_AVX_BYTES : 0);
    if (subleaf == 0) {
        out[EAX] = avx ? 7 : 3;
        out[EBX] = now;
        out[ECX] = XSAVE_LEGACY_BYTES + (avx ? XSAVE_AVX_BYTES : 0);
    } else if (subleaf == 1) {
        if (out[EAX] & 0xa)
            out[EBX] = now;
    } else if (subleaf == 2 && avx) {
        out[EAX] = XSAVE_AVX_BYTES;
        out[EBX] = XSAVE_LEGACY_BYTES;
    }
}

static void vendor(const struct cpu_model *model, uint32_t out[4])
{
    memcpy(&out[EBX], model->vendor, 4);
    memcpy(&out[EDX], model->vendor + 4, 4);
    memcpy(&out[ECX], model->vendor + 8, 4);
}

static void basic_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_model *model = cpu->model;

    switch (leaf) {
    case 0:
        out[EAX] = LEAF_BASIC_LAST;
        vendor(model, out);
        break;
    case 1: leaf_1(cpu, out); break;
    case 2: out[EAX] = 0x00ff01; break; /* leaf 4 tells of the caches */
    case 4: leaf_4(model, subleaf, out); break;
    case 5:
        if (cpu_model_has(model, FEATURE_MONITOR)) {
            out[EAX] = out[EBX] = 64;
            out[ECX] = 3;
        }
        break;
    case 7:
        if (subleaf == 0)
            leaf_7(cpu, out);
        break;
    case 0xb: leaf_b(cpu, subleaf, out); break;
    case 0xd: leaf_d(cpu, subleaf, out); break;
    case 0x15:
        out[EAX] = out[EBX] = 1;
        out[ECX] = FREQUENCY_HZ;
        break;
    case 0x16: out[EAX] = out[EBX] = out[ECX] = FREQUENCY_MHZ; break;
    default: break;
    }
}

static void extended_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    static const char brand[48] = "Groundhog virtual CPU";
    bool amd = cpu_model_is_amd(cpu->model);

    switch (leaf) {
    case 0x80000000:
        out[EAX] = LEAF_EXTENDED_LAST;
        if (amd)
            vendor(cpu->model, out);
        break;
    case 0x80000001:
        if (amd) {
            uint32_t first[4] = { 0 };
            add_features(cpu->model, 1, 0, first);
            out[EAX] = cpu->model->signature;
            out[EDX] |= first[EDX] & REPEATED_BY_AMD;
        }
        break;
    case 0x80000002: case 0x80000003: case 0x80000004:
        set_text(out, brand + 16 * (leaf - 0x80000002), EAX, 4);
        break;
    case 0x80000006: out[ECX] = 512u << 16 | 6u << 12 | 64; break; /* L2: 8 ways */
    case 0x80000008:
        out[EAX] = cpu->model->linear_bits << 8 | cpu->model->physical_bits;
        if (amd)
            out[ECX] = core_bits(cpu->model) << 12 | (cpu->model->cpu_count - 1);
        break;
    default: break;
    }
}

void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    bool hypervisor = cpu_model_has(cpu->model, FEATURE_HYPERVISOR);

    memset(out, 0, 4 * sizeof out[0]);
    if (hypervisor && leaf == LEAF_HYPERVISOR) {
        out[EAX] = LEAF_HYPERVISOR;
        set_text(out, "GroundhogVM ", EBX, 3);
        return;
    }
    if (leaf >= LEAF_EXTENDED ? leaf > LEAF_EXTENDED_LAST : leaf > LEAF_BASIC_LAST) {
        /* Out of range: the highest basic leaf answers. */
        basic_leaf(cpu, LEAF_BASIC_LAST, subleaf, out);
        return;
    }
    bool has_subleaves = leaf == 7 || leaf == 0xd;
    add_features(cpu->model, leaf, has_subleaves ? subleaf : 0, out);
    if (leaf >= LEAF_EXTENDED)
        extended_leaf(cpu, leaf, out);
    else
        basic_leaf(cpu, leaf, subleaf, out);
    if ((leaf == 1 || leaf == LEAF_EXTENDED + 1) && cpu->s.apic_off)
        out[EDX] &= ~(1u << 9);
}
