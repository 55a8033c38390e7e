/*
 * What instructions the host has: features by the numbers of the CPU models'
 * (features.def). The guest's model says what the guest may use; a feature that the
 * host lacks is run by handlers, with the same results.
 */
#include <cpuid.h>

#include "translator/internal.h"

enum { EAX, EBX, ECX, EDX };

struct place {
    uint32_t leaf, subleaf;
    uint8_t number, bit;
};

static const struct place places[] = {
#define FEATURE(name, leaf, subleaf, number, bit, text) [FEATURE_##name] = { leaf, subleaf, number, bit },
#include "cpu/features.def"
#undef FEATURE
};

/* Its state must be switched by the host's system. */
static bool needs_avx(enum cpu_feature feature)
{
    switch (feature) {
    case FEATURE_AVX: case FEATURE_AVX2: case FEATURE_FMA: case FEATURE_F16C: case FEATURE_VAES:
    case FEATURE_VPCLMULQDQ:
        return true;
    default:
        return false;
    }
}

void translator_ask_host(struct translator *t)
{
    for (unsigned i = FEATURE_BASE + 1; i < FEATURE_COUNT; i++) {
        uint32_t r[4];
        const struct place *p = &places[i];
        bool known = __get_cpuid_count(p->leaf, p->subleaf, &r[EAX], &r[EBX], &r[ECX], &r[EDX]);
        if (known && r[p->number] >> p->bit & 1
            && (!needs_avx((enum cpu_feature)i) || __builtin_cpu_supports("avx")))
            t->host_features[i / 64] |= 1ull << (i % 64);
    }
}
