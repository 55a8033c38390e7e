/*
 * What a translation is made for besides its place and MMU index: the mode of
 * the code; see struct kind in compile.h. Kinds have small numbers, which are
 * compared where translated code is entered and after handlers that may change
 * the mode (cpu->mode_version tells of that).
 *
 * Code whose RSP has more than 32 bits outside of 64-bit code has no kind.
 */
#include <string.h>

#include "translator/internal.h"

_Static_assert(sizeof(struct kind) == 12, "compared and hashed as bytes");

/* DS and SS add nothing and have no limit. */
static bool is_flat(const struct cpu *cpu)
{
    static const uint8_t segments[] = { DS, SS };
    for (unsigned i = 0; i < sizeof segments; i++) {
        const struct segment_access *access = &cpu->access[segments[i]];
        if (access->base || access->read_end != 1ull << 32 || access->write_end != 1ull << 32)
            return false;
    }
    return true;
}

static struct kind kind_of(const struct cpu *cpu)
{
    if (cpu->code_bytes == 8)
        return (struct kind){ .code_bytes = 8, .stack_bytes = 8, .flat = true,
                              .la57 = (cpu->s.cr4 & CR4_LA57) != 0 };
    return (struct kind){ .cs_base = (uint32_t)cpu->access[CS].base, .cs_limit = cpu->s.seg[CS].limit,
                          .code_bytes = cpu->code_bytes, .stack_bytes = cpu->stack_mask == 0xffff ? 2 : 4,
                          .flat = is_flat(cpu) };
}

/* Its number, given to it now if it is new. */
static unsigned number_of(struct translator *t, const struct kind *kind)
{
    unsigned slot = (kind->cs_base >> 4 ^ kind->cs_base >> 20 ^ kind->code_bytes ^ kind->cs_limit)
                    & (KIND_SLOTS - 1);
    while (t->kind_slots[slot]) {
        if (memcmp(&t->kinds[t->kind_slots[slot]], kind, sizeof *kind) == 0)
            return t->kind_slots[slot];
        slot = (slot + 1) & (KIND_SLOTS - 1);
    }
    if (t->kind_count == KINDS_MAXIMUM)
        return KIND_NONE;
    t->kinds[t->kind_count] = *kind;
    t->kind_slots[slot] = (uint16_t)t->kind_count;
    return t->kind_count++;
}

unsigned kind_now(struct translator *t, struct cpu *cpu)
{
    struct translated *translated = &cpu->translated;
    if (translated->kind && translated->kind_version == cpu->mode_version)
        return translated->kind;
    translated->kind = KIND_NONE;
    if (cpu->code_bytes != 8 && cpu->s.gpr[RSP] >> 32)
        return KIND_NONE;
    struct kind kind = kind_of(cpu);
    if (kind.code_bytes == 8 && kind.la57 != translated->la57) {
        /* Both kinds of 64-bit code have the same addresses (kind_target). */
        kind_forget_pages(cpu);
        translated->la57 = kind.la57;
    }
    translated->kind = number_of(t, &kind);
    translated->kind_version = cpu->mode_version;
    return translated->kind;
}

void kind_forget_pages(struct cpu *cpu)
{
    tlb_forget_spaces(cpu);
    for (unsigned i = 0; i < MMU_INDEX_COUNT; i++) {
        memset(cpu->tlbs[i].code_id, 0, sizeof cpu->tlbs[i].code_id);
        memset(cpu->tlbs[i].code_linear, 0xff, sizeof cpu->tlbs[i].code_linear);
    }
}

void kind_forget_all(struct translator *t)
{
    memset(t->kind_slots, 0, sizeof t->kind_slots);
    t->kind_count = KIND_NONE + 1;
    for (unsigned i = 0; i < t->engine->cpu_count; i++)
        t->engine->cpus[i]->translated.kind = KIND_NONE;
}
