/*
 * The CPU model: which features exist and what CPUID says. Always ours, never
 * the host's. (SDM vol. 2, CPUID)
 */
#ifndef CPU_CPUID_H
#define CPU_CPUID_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

struct cpu;

enum cpu_feature {
    FEATURE_BASE,
#define FEATURE(name, leaf, subleaf, reg, bit, text) FEATURE_##name,
#include "cpu/features.def"
#undef FEATURE
    FEATURE_COUNT
};

struct cpu_model {
    uint64_t features[(FEATURE_COUNT + 63) / 64]; /* bit FEATURE_x: present; BASE always is */
    uint32_t physical_bits;                       /* 32..52 */
    uint32_t linear_bits;                         /* 48 or 57 */
    char vendor[13];
    char brand[49];
    uint32_t family, number, stepping;
    uint32_t signature; /* CPUID.1:EAX, of these three */
    uint32_t cpu_count;
    char lacking[128];  /* features that were asked for and are not implemented, with spaces */
};

/* Parses -cpu: "NAME[,+x][,-y][,x][,x=on|off][,property=value]" (models.c; NAME of models.def,
 * default x86-64-v2; properties vendor, phys-bits, family, model, stepping, model-id). */
int cpu_model_parse(struct cpu_model *model, const char *text, uint32_t cpu_count, struct error *error);

static inline bool cpu_model_has(const struct cpu_model *model, enum cpu_feature feature)
{
    return model->features[feature / 64] >> (feature % 64) & 1;
}

/* Rules where AMD's CPUs differ from Intel's. */
static inline bool cpu_model_is_amd(const struct cpu_model *model)
{
    return model->vendor[0] == 'A';
}

/* CPUID of `leaf` and `subleaf` as vCPU `cpu` sees it now (OSXSAVE, APIC id). */
void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

#endif
