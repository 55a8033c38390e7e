/*
 * CPU models and -cpu. (QEMU's names of models, features and properties.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"

#define DEFAULT_MODEL "x86-64-v2"
#define PHYSICAL_BITS_LEAST 32u
#define PHYSICAL_BITS_MOST 52u
#define INTEL "GenuineIntel"
#define AMD "AuthenticAMD"

/* A part of the text of -cpu; not terminated. */
struct word {
    const char *text;
    size_t length;
};
/* For printf's "%.*s". */
#define WORD(word) (int)(word).length, (word).text

static const char *const feature_names[FEATURE_COUNT] = {
    [FEATURE_BASE] = "",
#define FEATURE(name, leaf, subleaf, reg, bit, text) [FEATURE_##name] = text,
#include "cpu/features.def"
#undef FEATURE
};

static const struct known_model {
    const char *name, *base, *vendor;
    unsigned family, model, stepping;
    const char *features, *brand;
} known_models[] = {
#define MODEL(name, base, vendor, family, model, stepping, features, brand)                        \
    { name, base, vendor, family, model, stepping, features, brand },
#include "cpu/models.def"
#undef MODEL
};

/* Features that QEMU knows and this emulator does not have. */
static const char unknown_features[] =
    "3dnow,3dnowext,acpi,amd-ssbd,amd-stibp,amx-bf16,amx-int8,amx-tile,arch-capabilities,avx-vnni,"
    "avx512-4fmaps,avx512-4vnniw,avx512-bf16,avx512-fp16,avx512-vpopcntdq,avx512bitalg,avx512bw,"
    "avx512cd,avx512dq,avx512er,avx512f,avx512ifma,avx512pf,avx512vbmi,avx512vbmi2,avx512vl,avx512vnni,"
    "cldemote,clzero,cmp-legacy,core-capability,cr8legacy,dca,ds,ds-cpl,dtes64,est,extapic,fma4,"
    "fsrc,fsrs,fxsr-opt,fzrm,hle,ia64,ibpb,ibrs,ibs,intel-pt,lwp,md-clear,misalignsse,mmxext,mpx,"
    "nodeid-msr,npt,nrip-save,osvw,pbe,pdcm,pdpe,perfctr-core,perfctr-nb,phe,pmm,pn,rtm,rdctl-no,sgx,"
    "skinit,skip-l1dfl-vmentry,smx,spec-ctrl,split-lock-detect,ss,ssb-no,ssbd,sse4a,stibp,svm,tbm,tce,tm,"
    "tm2,topoext,tsx-ctrl,tsx-ldtrk,virt-ssbd,vmx,waitpkg,wbnoinvd,wdt,xop,xsaveerptr,xstore,xtpr";

/* Properties that make no difference here. */
static const char ignored_properties[] =
    "migratable,check,kvm,pmu,l3-cache,host-cache-info,host-phys-bits,full-cpuid-auto-level,tcg-cpuid,"
    "fill-mtrr-mask,legacy-cache,lmce,cpuid-0xb,ht";

/* '_' and '.' may be written for '-'. */
static bool same_name(const char *name, size_t name_length, struct word word)
{
    if (name_length != word.length)
        return false;
    for (size_t i = 0; i < name_length; i++) {
        char c = word.text[i] == '_' || word.text[i] == '.' ? '-' : word.text[i];
        char n = name[i] == '_' || name[i] == '.' ? '-' : name[i];
        if (c != n)
            return false;
    }
    return true;
}

static bool is_listed(const char *list, struct word word)
{
    for (;; list++) {
        size_t length = strcspn(list, ",");
        if (same_name(list, length, word))
            return true;
        list += length;
        if (!*list)
            return false;
    }
}

static void set_feature(struct cpu_model *model, enum cpu_feature feature, bool on)
{
    uint64_t bit = 1ull << (feature % 64);
    if (on)
        model->features[feature / 64] |= bit;
    else
        model->features[feature / 64] &= ~bit;
}

/* FEATURE_BASE: there is none of this name. */
static enum cpu_feature find_feature(struct word word)
{
    for (unsigned i = FEATURE_BASE + 1; i < FEATURE_COUNT; i++)
        if (same_name(feature_names[i], strlen(feature_names[i]), word))
            return (enum cpu_feature)i;
    return FEATURE_BASE;
}

/* "Haswell-v2" and "Haswell-noTSX" differ from "Haswell" in what is missing here. */
static struct word plain_name(struct word name)
{
    static const char without_tsx[] = "-noTSX";
    size_t skip = strlen(without_tsx);
    const char *end = name.text + name.length;
    if (name.length > 3 && memcmp(end - 3, "-v", 2) == 0 && end[-1] >= '1' && end[-1] <= '9')
        name.length -= 3;
    else if (name.length > skip && memcmp(end - skip, without_tsx, skip) == 0)
        name.length -= skip;
    return name;
}

static const struct known_model *find_model(struct word name)
{
    for (unsigned i = 1; i < ARRAY_SIZE(known_models); i++)
        if (strlen(known_models[i].name) == name.length
            && memcmp(known_models[i].name, name.text, name.length) == 0)
            return &known_models[i];
    return NULL;
}

/* The features of a model and of those before it. */
static void add_model_features(struct cpu_model *model, const struct known_model *known)
{
    while (known) {
        if (strcmp(known->features, "*") == 0) {
            for (unsigned i = 0; i < FEATURE_COUNT; i++)
                set_feature(model, (enum cpu_feature)i, true);
            return;
        }
        for (unsigned i = FEATURE_BASE + 1; i < FEATURE_COUNT; i++)
            if (is_listed(known->features, (struct word){ feature_names[i], strlen(feature_names[i]) }))
                set_feature(model, (enum cpu_feature)i, true);
        const char *base = known->base;
        if (base && strcmp(base, known_models[0].name) == 0)
            known = &known_models[0];
        else
            known = base ? find_model((struct word){ base, strlen(base) }) : NULL;
    }
}

/* CPUID.1:EAX. */
static uint32_t signature_of(unsigned family, unsigned number, unsigned stepping)
{
    unsigned extended = family > 15 ? family - 15 : 0;
    return extended << 20 | (number >> 4) << 16 | (family > 15 ? 15 : family) << 8
           | (number & 15) << 4 | stepping;
}

static int no_model(struct word name, struct error *error)
{
    char list[600];
    size_t length = 0;
    if (same_name("host", 4, name))
        return error_set(error, ERROR_USAGE,
                         "-cpu host: a run does not depend on the host's CPU; take max");
    for (unsigned i = 1; i < ARRAY_SIZE(known_models); i++)
        length += (size_t)snprintf(list + length, sizeof list - length, " %s", known_models[i].name);
    return error_set(error, ERROR_USAGE, "-cpu: no model '%.*s'; there are%s", WORD(name), list);
}

static int set_model(struct cpu_model *model, struct word name, struct error *error)
{
    const struct known_model *known = find_model(name);
    if (!known)
        known = find_model(plain_name(name));
    if (!known)
        return no_model(name, error);
    set_feature(model, FEATURE_BASE, true);
    add_model_features(model, known);
    memcpy(model->vendor, known->vendor, sizeof model->vendor);
    model->family = known->family;
    model->number = known->model;
    model->stepping = known->stepping;
    snprintf(model->brand, sizeof model->brand, "%s", known->brand ? known->brand
                                                                   : "Groundhog virtual CPU");
    return 0;
}

/* A number in decimal or, after 0x, hexadecimal, that is in range. */
static int set_number(struct word name, struct word value, uint32_t least, uint32_t most,
                      uint32_t *number, struct error *error)
{
    char text[16] = "", *end;
    if (value.length > 0 && value.length < sizeof text)
        memcpy(text, value.text, value.length);
    unsigned long v = strtoul(text, &end, 0);
    if (text[0] < '0' || text[0] > '9' || *end || v < least || v > most)
        return error_set(error, ERROR_USAGE, "-cpu: %.*s is %u to %u, not '%.*s'", WORD(name), least,
                         most, WORD(value));
    *number = (uint32_t)v;
    return 0;
}

static int set_vendor(struct cpu_model *model, struct word value, struct error *error)
{
    bool was_amd = cpu_model_is_amd(model);

    if (value.length != strlen(INTEL))
        return error_set(error, ERROR_USAGE, "-cpu: vendor takes 12 characters, not '%.*s'",
                         WORD(value));
    memcpy(model->vendor, value.text, value.length);
    if (cpu_model_is_amd(model) != was_amd) {
        /* An identification that this vendor has. */
        model->family = was_amd ? 6 : 15;
        model->number = was_amd ? 0x1c : 0x6b;
        model->stepping = was_amd ? 10 : 1;
    }
    return 0;
}

/* name=value where the value is no switch. 1: there is no such property. */
static int set_property(struct cpu_model *model, struct word name, struct word value,
                        struct error *error)
{
    if (same_name("vendor", 6, name))
        return set_vendor(model, value, error);
    if (same_name("phys-bits", 9, name))
        return set_number(name, value, PHYSICAL_BITS_LEAST, PHYSICAL_BITS_MOST,
                          &model->physical_bits, error);
    if (same_name("family", 6, name))
        return set_number(name, value, 0, 15 + 255, &model->family, error);
    if (same_name("model", 5, name))
        return set_number(name, value, 0, 255, &model->number, error);
    if (same_name("stepping", 8, name))
        return set_number(name, value, 0, 15, &model->stepping, error);
    if (!same_name("model-id", 8, name))
        return 1;
    if (value.length >= sizeof model->brand)
        return error_set(error, ERROR_USAGE, "-cpu: model-id has at most 48 characters");
    memset(model->brand, 0, sizeof model->brand);
    memcpy(model->brand, value.text, value.length);
    return 0;
}

/* Goes on without a feature that was asked for, unless "enforce" was. */
static int lack(struct cpu_model *model, struct word name, bool enforce, struct error *error)
{
    if (enforce)
        return error_set(error, ERROR_USAGE, "-cpu: feature '%.*s' is not implemented (enforce)",
                         WORD(name));
    size_t used = strlen(model->lacking);
    if (used + name.length + 2 < sizeof model->lacking)
        snprintf(model->lacking + used, sizeof model->lacking - used, "%s%.*s", used ? " " : "",
                 WORD(name));
    return 0;
}

static int switch_feature(struct cpu_model *model, struct word name, bool on, bool enforce,
                          struct error *error)
{
    enum cpu_feature feature = find_feature(name);
    if (feature == FEATURE_HT)
        return 0; /* follows the number of vCPUs */
    if (feature != FEATURE_BASE)
        set_feature(model, feature, on);
    else if (!is_listed(unknown_features, name))
        return is_listed(ignored_properties, name)
                   ? 0
                   : error_set(error, ERROR_USAGE, "-cpu: no feature '%.*s'", WORD(name));
    else if (on)
        return lack(model, name, enforce, error);
    return 0;
}

/* One "+x", "-x", "x", "x=on", "x=off" or "property=value". */
static int set_option(struct cpu_model *model, struct word option, bool enforce, struct error *error)
{
    const char *equals = memchr(option.text, '=', option.length);
    struct word name = option, value = { "on", 2 };
    if (option.text[0] == '+' || option.text[0] == '-') {
        name = (struct word){ option.text + 1, option.length - 1 };
        value = option.text[0] == '+' ? value : (struct word){ "off", 3 };
    } else if (equals) {
        name.length = (size_t)(equals - option.text);
        value = (struct word){ equals + 1, option.length - name.length - 1 };
    }
    int code = set_property(model, name, value, error);
    if (code <= 0)
        return code;
    if (same_name("enforce", 7, name))
        return 0;
    bool on = same_name("on", 2, value);
    if (!on && !same_name("off", 3, value))
        return error_set(error, ERROR_USAGE, "-cpu: '%.*s' is none of +x, -x, x=on, x=off",
                         WORD(option));
    return switch_feature(model, name, on, enforce, error);
}

/* Features that cannot be had without another one. */
static const struct { enum cpu_feature needed, feature; } dependencies[] = {
    { FEATURE_XSAVE, FEATURE_AVX },      { FEATURE_XSAVE, FEATURE_XSAVEOPT },
    { FEATURE_XSAVE, FEATURE_XSAVEC },   { FEATURE_XSAVE, FEATURE_XGETBV1 },
    { FEATURE_XSAVE, FEATURE_XSAVES },   { FEATURE_AVX, FEATURE_AVX2 },
    { FEATURE_AVX, FEATURE_FMA },        { FEATURE_AVX, FEATURE_F16C },
    { FEATURE_AVX, FEATURE_VAES },       { FEATURE_AVX, FEATURE_VPCLMULQDQ },
};

static void drop_dependents(struct cpu_model *model)
{
    for (unsigned i = 0; i < ARRAY_SIZE(dependencies); i++)
        if (!cpu_model_has(model, dependencies[i].needed))
            set_feature(model, dependencies[i].feature, false);
}

int cpu_model_parse(struct cpu_model *model, const char *text, uint32_t cpu_count,
                    struct error *error)
{
    memset(model, 0, sizeof *model);
    model->physical_bits = 40;
    model->linear_bits = 48;
    model->cpu_count = cpu_count;

    bool enforce = strstr(text, ",enforce") && !strstr(text, ",enforce=off");
    struct word word = { text, strcspn(text, ",") };
    if (word.length == 0)
        TRY(set_model(model, (struct word){ DEFAULT_MODEL, strlen(DEFAULT_MODEL) }, error));
    else
        TRY(set_model(model, word, error));
    while (word.text[word.length] == ',') {
        word.text += word.length + 1;
        word.length = strcspn(word.text, ",");
        if (word.length > 0)
            TRY(set_option(model, word, enforce, error));
    }
    set_feature(model, FEATURE_HT, cpu_count > 1);
    drop_dependents(model);
    model->signature = signature_of(model->family, model->number, model->stepping);
    if (cpu_model_has(model, FEATURE_LA57))
        model->linear_bits = 57;
    return 0;
}
