/*
 * CPUID. (SDM vol. 2, CPUID)
 *
 * The default model identifies as an Intel Atom of the Bonnell line (in-order:
 * kernels know it needs no speculation mitigations), with the features that
 * the interpreter has beyond it. TSC, crystal and APIC timer run at 1 GHz and
 * leaves 15h and 16h say so: nothing needs to be calibrated.
 */
#include "cpu/cpuid.h"

#include <string.h>

#include "cpu/cpu.h"

#define LEAF_BASIC_LAST 0x16u
#define LEAF_HYPERVISOR 0x40000000u
#define LEAF_EXTENDED 0x80000000u
#define LEAF_EXTENDED_LAST 0x80000008u
#define FREQUENCY_HZ 1000000000u
#define FREQUENCY_MHZ 1000u
#define AMD_SHARED_FEATURES 0x0183f3ffu /* bits of 80000001h:EDX that are those of 1:EDX */
#define AMD_CMP_LEGACY 2u
#define XSAVE_LEGACY_BYTES 576u /* FXSAVE area and header */
#define XSAVE_AVX_BYTES 256u
#define XSAVE_PKRU 0x200u
#define XSAVE_PKRU_BYTES 8u
#define XSAVE_PKRU_OFFSET 2688u

enum { EAX, EBX, ECX, EDX };

struct feature_place {
    uint32_t leaf, subleaf;
    uint8_t reg, bit;
};

static const struct feature_place places[FEATURE_COUNT] = {
#define FEATURE(name, leaf, subleaf, reg, bit, text)                                               \
    [FEATURE_##name] = { leaf, subleaf, reg, bit },
#include "cpu/features.def"
#undef FEATURE
};

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

/* Of an XSAVE area with these components. */
static uint32_t xsave_bytes(uint64_t components, bool compact)
{
    uint32_t avx = components & 4 ? XSAVE_AVX_BYTES : 0;
    if (!(components & XSAVE_PKRU))
        return XSAVE_LEGACY_BYTES + avx;
    return (compact ? XSAVE_LEGACY_BYTES + avx : XSAVE_PKRU_OFFSET) + XSAVE_PKRU_BYTES;
}

static void leaf_d(const struct cpu *cpu, uint32_t subleaf, uint32_t out[4])
{
    uint32_t all = 3 | (cpu_model_has(cpu->model, FEATURE_AVX) ? 4 : 0)
                   | (cpu_model_has(cpu->model, FEATURE_PKU) ? XSAVE_PKRU : 0);

    if (!cpu_model_has(cpu->model, FEATURE_XSAVE))
        return;
    if (subleaf == 0) {
        out[EAX] = all;
        out[EBX] = xsave_bytes(cpu->s.xcr0, false);
        out[ECX] = xsave_bytes(all, false);
    } else if (subleaf == 1) {
        if (out[EAX] & 0xa)
            out[EBX] = xsave_bytes(cpu->s.xcr0, true);
    } else if (subleaf == 2 && all & 4) {
        out[EAX] = XSAVE_AVX_BYTES;
        out[EBX] = XSAVE_LEGACY_BYTES;
    } else if (subleaf == 9 && all & XSAVE_PKRU) {
        out[EAX] = XSAVE_PKRU_BYTES;
        out[EBX] = XSAVE_PKRU_OFFSET;
    }
}

static void basic_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const struct cpu_model *model = cpu->model;

    switch (leaf) {
    case 0:
        out[EAX] = LEAF_BASIC_LAST;
        memcpy(&out[EBX], model->vendor, 4);
        memcpy(&out[EDX], model->vendor + 4, 4);
        memcpy(&out[ECX], model->vendor + 8, 4);
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

/* What AMD's CPUs have in these leaves besides: the vendor, the feature bits of leaf
 * 1, and the number of cores. */
static void extended_leaf_amd(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    const struct cpu_model *model = cpu->model;

    if (leaf == 0x80000000) {
        memcpy(&out[EBX], model->vendor, 4);
        memcpy(&out[EDX], model->vendor + 4, 4);
        memcpy(&out[ECX], model->vendor + 8, 4);
    } else if (leaf == 0x80000001) {
        uint32_t basic[4] = { 0 };
        add_features(model, 1, 0, basic);
        out[EAX] = model->signature;
        out[EDX] |= basic[EDX] & AMD_SHARED_FEATURES;
        if (model->cpu_count > 1)
            out[ECX] |= AMD_CMP_LEGACY;
    } else if (leaf == 0x80000008) {
        out[ECX] = core_bits(model) << 12 | (model->cpu_count - 1);
    }
}

static void extended_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    switch (leaf) {
    case 0x80000000: out[EAX] = LEAF_EXTENDED_LAST; break;
    case 0x80000002: case 0x80000003: case 0x80000004:
        set_text(out, cpu->model->brand + 16 * (leaf - 0x80000002), EAX, 4);
        break;
    case 0x80000006: out[ECX] = 512u << 16 | 6u << 12 | 64; break; /* L2: 8 ways */
    case 0x80000008: out[EAX] = cpu->model->linear_bits << 8 | cpu->model->physical_bits; break;
    default: break;
    }
    if (cpu_model_is_amd(cpu->model))
        extended_leaf_amd(cpu, leaf, out);
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
