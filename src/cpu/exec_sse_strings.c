/*
 * SSE4.2 string comparison: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. (SDM
 * vol. 2, section 4.1)
 */
#include "cpu/exec_vector.h"
#include "cpu/flags.h"

/* Fields of the immediate. */
#define IMM_WORDS 0x01
#define IMM_SIGNED 0x02
#define IMM_AGGREGATION(imm) ((imm) >> 2 & 3)
#define IMM_NEGATIVE 0x10
#define IMM_MASKED 0x20
#define IMM_MOST 0x40 /* index: of the most significant bit; mask: expanded */

enum { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

/* One string: its elements and how many of them are valid. */
struct string {
    int32_t element[16];
    unsigned length;
};

static unsigned element_count(unsigned imm)
{
    return imm & IMM_WORDS ? 8 : 16;
}

static void read_elements(struct string *string, const union xmm *v, unsigned imm)
{
    for (unsigned i = 0; i < element_count(imm); i++) {
        if (imm & IMM_WORDS)
            string->element[i] = imm & IMM_SIGNED ? v->i16[i] : v->u16[i];
        else
            string->element[i] = imm & IMM_SIGNED ? v->i8[i] : v->u8[i];
    }
}

/* Implicit length: up to the first zero. */
static unsigned implicit_length(const struct string *string, unsigned imm)
{
    unsigned n = 0;
    while (n < element_count(imm) && string->element[n])
        n++;
    return n;
}

/* Explicit length: the magnitude of EAX or EDX (RAX, RDX), saturated. */
static unsigned explicit_length(uint64_t value, const struct insn *insn)
{
    int64_t length = insn->operand_bytes == 8 ? (int64_t)value : (int32_t)value;
    unsigned count = element_count((unsigned)insn->imm);
    if (length < -(int64_t)count || length > (int64_t)count)
        return count;
    return (unsigned)(length < 0 ? -length : length);
}

static bool any_equal(const struct string *set, int32_t v)
{
    for (unsigned j = 0; j < set->length; j++)
        if (set->element[j] == v)
            return true;
    return false;
}

static bool in_ranges(const struct string *ranges, int32_t v)
{
    for (unsigned j = 0; j + 1 < ranges->length; j += 2)
        if (ranges->element[j] <= v && v <= ranges->element[j + 1])
            return true;
    return false;
}

/* The first string occurs in the second from i on, as far as that reaches. */
static bool occurs(const struct string *a, const struct string *b, unsigned i, unsigned count)
{
    for (unsigned j = 0; j < a->length && i + j < count; j++)
        if (i + j >= b->length || a->element[j] != b->element[i + j])
            return false;
    return true;
}

/* IntRes2: a bit an element of b. */
static unsigned aggregate(const struct string *a, const struct string *b, unsigned imm)
{
    unsigned count = element_count(imm), result = 0;
    for (unsigned i = 0; i < count; i++) {
        bool bit;
        switch (IMM_AGGREGATION(imm)) {
        case EQUAL_ANY: bit = i < b->length && any_equal(a, b->element[i]); break;
        case RANGES: bit = i < b->length && in_ranges(a, b->element[i]); break;
        case EQUAL_EACH:
            bit = i < a->length && i < b->length ? a->element[i] == b->element[i]
                                                 : i >= a->length && i >= b->length;
            break;
        default: bit = occurs(a, b, i, count); break;
        }
        result |= (unsigned)bit << i;
    }
    if (imm & IMM_NEGATIVE)
        result ^= imm & IMM_MASKED ? (1u << b->length) - 1 : (1u << count) - 1;
    return result;
}

static void set_flags(struct cpu *cpu, const struct string *a, const struct string *b,
                      unsigned result, unsigned count)
{
    flags_put(cpu, (result ? FLAG_CF : 0) | (b->length < count ? FLAG_ZF : 0)
                       | (a->length < count ? FLAG_SF : 0) | (result & 1 ? FLAG_OF : 0));
}

static void give_index(struct cpu *cpu, unsigned result, unsigned imm)
{
    unsigned index = element_count(imm);
    if (result)
        index = imm & IMM_MOST ? 31 - (unsigned)__builtin_clz(result)
                               : (unsigned)__builtin_ctz(result);
    register_write32(cpu, RCX, index);
}

static void give_mask(struct cpu *cpu, unsigned result, unsigned imm)
{
    union xmm mask = { .u64 = { result, 0 } };
    for (unsigned i = 0; imm & IMM_MOST && i < element_count(imm); i++) {
        if (imm & IMM_WORDS)
            mask.u16[i] = result >> i & 1 ? 0xffff : 0;
        else
            mask.u8[i] = result >> i & 1 ? 0xff : 0;
    }
    *xmm_register(cpu, 0) = mask;
}

static int compare_strings(struct cpu *cpu, const struct insn *insn, const union xmm *second,
                           bool explicit, void (*give)(struct cpu *, unsigned, unsigned))
{
    unsigned imm = (uint8_t)insn->imm;
    struct string a, b;
    read_elements(&a, xmm_register(cpu, insn->reg), imm);
    read_elements(&b, second, imm);
    a.length = explicit ? explicit_length(cpu->s.gpr[RAX], insn) : implicit_length(&a, imm);
    b.length = explicit ? explicit_length(cpu->s.gpr[RDX], insn) : implicit_length(&b, imm);
    unsigned result = aggregate(&a, &b, imm);
    give(cpu, result, imm);
    set_flags(cpu, &a, &b, result, element_count(imm));
    return 0;
}

#define STRING_HANDLERS(name, explicit, give)                                                      \
    int exec_##name##_r(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        if (sse_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        union xmm s = *xmm_register(cpu, insn->rm);                                                \
        return compare_strings(cpu, insn, &s, explicit, give);                                     \
    }                                                                                              \
    int exec_##name##_m(struct cpu *cpu, const struct insn *insn)                                  \
    {                                                                                              \
        union xmm s;                                                                               \
        if (sse_check(cpu) || sse_read_unaligned(cpu, insn, &s))                                   \
            return CPU_FAULT;                                                                      \
        return compare_strings(cpu, insn, &s, explicit, give);                                     \
    }
STRING_HANDLERS(pcmpestrm, true, give_mask)
STRING_HANDLERS(pcmpestri, true, give_index)
STRING_HANDLERS(pcmpistrm, false, give_mask)
STRING_HANDLERS(pcmpistri, false, give_index)
