/*
 * Addition, subtraction, logic and comparison: ADD OR ADC SBB AND SUB XOR CMP
 * TEST, INC DEC NEG NOT, XADD, CMPXCHG and its 8- and 16-byte forms, ADCX and
 * ADOX (SDM vol. 2). AF, which the manual leaves undefined after logic, is 0.
 */
#include "cpu/exec.h"

/* Each operation: sets the flags and gives the result; the operands are
 * zero-extended, bits above the width of the result are without meaning. */
static ALWAYS_INLINE uint64_t alu_add(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t r = a + b;
    flags_set_add(cpu, a, b, r, bits);
    return r;
}
static ALWAYS_INLINE uint64_t alu_adc(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t r = a + b + flags_cf(cpu);
    flags_set_add(cpu, a, b, r, bits);
    return r;
}
static ALWAYS_INLINE uint64_t alu_sub(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t r = a - b;
    flags_set_sub(cpu, a, b, r, bits);
    return r;
}
static ALWAYS_INLINE uint64_t alu_sbb(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    uint64_t r = a - b - flags_cf(cpu);
    flags_set_sub(cpu, a, b, r, bits);
    return r;
}
static ALWAYS_INLINE uint64_t alu_and(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    flags_set_logic(cpu, a & b, bits);
    return a & b;
}
static ALWAYS_INLINE uint64_t alu_or(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    flags_set_logic(cpu, a | b, bits);
    return a | b;
}
static ALWAYS_INLINE uint64_t alu_xor(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    flags_set_logic(cpu, a ^ b, bits);
    return a ^ b;
}
#define alu_cmp alu_sub
#define alu_test alu_and

/* Operations that store their result. */
#define ALU(name, bits)                                                                            \
    HANDLER(name##_r##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm);                                     \
        uint##bits##_t b = register_read##bits(cpu, insn->reg);                                    \
        register_write##bits(cpu, insn->rm, (uint##bits##_t)alu_##name(cpu, a, b, bits));          \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_m##bits)                                                                        \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t a;                                                                          \
        if (OPERAND_MODIFY(bits, &modify, &a))                                                     \
            return CPU_FAULT;                                                                      \
        uint##bits##_t b = register_read##bits(cpu, insn->reg);                                    \
        memory_modified##bits(cpu, &modify, (uint##bits##_t)alu_##name(cpu, a, b, bits));          \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_g_r##bits)                                                                      \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->reg);                                    \
        uint##bits##_t b = register_read##bits(cpu, insn->rm);                                     \
        register_write##bits(cpu, insn->reg, (uint##bits##_t)alu_##name(cpu, a, b, bits));         \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_g_m##bits)                                                                      \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->reg), b;                                 \
        if (OPERAND_READ(bits, &b))                                                                \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, (uint##bits##_t)alu_##name(cpu, a, b, bits));         \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_i_r##bits)                                                                      \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm), b = (uint##bits##_t)insn->imm;      \
        register_write##bits(cpu, insn->rm, (uint##bits##_t)alu_##name(cpu, a, b, bits));          \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_i_m##bits)                                                                      \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t a, b = (uint##bits##_t)insn->imm;                                           \
        if (OPERAND_MODIFY(bits, &modify, &a))                                                     \
            return CPU_FAULT;                                                                      \
        memory_modified##bits(cpu, &modify, (uint##bits##_t)alu_##name(cpu, a, b, bits));          \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_a_##bits)                                                                       \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, RAX), b = (uint##bits##_t)insn->imm;           \
        register_write##bits(cpu, RAX, (uint##bits##_t)alu_##name(cpu, a, b, bits));               \
        return 0;                                                                                  \
    }
EACH_WIDTH_OF(ALU, add)
EACH_WIDTH_OF(ALU, or)
EACH_WIDTH_OF(ALU, adc)
EACH_WIDTH_OF(ALU, sbb)
EACH_WIDTH_OF(ALU, and)
EACH_WIDTH_OF(ALU, sub)
EACH_WIDTH_OF(ALU, xor)
#undef ALU

/* Those that only set flags. */
#define COMPARE(name, bits)                                                                        \
    HANDLER(name##_r##bits)                                                                        \
    {                                                                                              \
        alu_##name(cpu, register_read##bits(cpu, insn->rm),                                        \
                   register_read##bits(cpu, insn->reg), bits);                                     \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_m##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t a;                                                                          \
        if (OPERAND_READ(bits, &a))                                                                \
            return CPU_FAULT;                                                                      \
        alu_##name(cpu, a, register_read##bits(cpu, insn->reg), bits);                             \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_g_r##bits)                                                                      \
    {                                                                                              \
        alu_##name(cpu, register_read##bits(cpu, insn->reg),                                       \
                   register_read##bits(cpu, insn->rm), bits);                                      \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_g_m##bits)                                                                      \
    {                                                                                              \
        uint##bits##_t b;                                                                          \
        if (OPERAND_READ(bits, &b))                                                                \
            return CPU_FAULT;                                                                      \
        alu_##name(cpu, register_read##bits(cpu, insn->reg), b, bits);                             \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_i_r##bits)                                                                      \
    {                                                                                              \
        alu_##name(cpu, register_read##bits(cpu, insn->rm), (uint##bits##_t)insn->imm, bits);      \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_i_m##bits)                                                                      \
    {                                                                                              \
        uint##bits##_t a;                                                                          \
        if (OPERAND_READ(bits, &a))                                                                \
            return CPU_FAULT;                                                                      \
        alu_##name(cpu, a, (uint##bits##_t)insn->imm, bits);                                       \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_a_##bits)                                                                       \
    {                                                                                              \
        alu_##name(cpu, register_read##bits(cpu, RAX), (uint##bits##_t)insn->imm, bits);           \
        return 0;                                                                                  \
    }
EACH_WIDTH_OF(COMPARE, cmp)
EACH_WIDTH_OF(COMPARE, test)
#undef COMPARE

static ALWAYS_INLINE uint64_t alu_inc(struct cpu *cpu, uint64_t a, unsigned bits)
{
    flags_set_inc(cpu, a + 1, bits);
    return a + 1;
}
static ALWAYS_INLINE uint64_t alu_dec(struct cpu *cpu, uint64_t a, unsigned bits)
{
    flags_set_dec(cpu, a - 1, bits);
    return a - 1;
}
static ALWAYS_INLINE uint64_t alu_neg(struct cpu *cpu, uint64_t a, unsigned bits)
{
    return alu_sub(cpu, 0, a, bits);
}
static ALWAYS_INLINE uint64_t alu_not(struct cpu *cpu, uint64_t a, unsigned bits)
{
    (void)cpu;
    (void)bits;
    return ~a;
}

#define UNARY(name, bits)                                                                          \
    HANDLER(name##_r##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm);                                     \
        register_write##bits(cpu, insn->rm, (uint##bits##_t)alu_##name(cpu, a, bits));             \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_m##bits)                                                                        \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t a;                                                                          \
        if (OPERAND_MODIFY(bits, &modify, &a))                                                     \
            return CPU_FAULT;                                                                      \
        memory_modified##bits(cpu, &modify, (uint##bits##_t)alu_##name(cpu, a, bits));             \
        return 0;                                                                                  \
    }
EACH_WIDTH_OF(UNARY, inc)
EACH_WIDTH_OF(UNARY, dec)
EACH_WIDTH_OF(UNARY, neg)
EACH_WIDTH_OF(UNARY, not)
#undef UNARY

/* The destination is written last: XADD of a register with itself doubles it. */
#define XADD(bits)                                                                                 \
    HANDLER(xadd_r##bits)                                                                          \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm);                                     \
        uint##bits##_t b = register_read##bits(cpu, insn->reg);                                    \
        uint##bits##_t r = (uint##bits##_t)alu_add(cpu, a, b, bits);                               \
        register_write##bits(cpu, insn->reg, a);                                                   \
        register_write##bits(cpu, insn->rm, r);                                                    \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(xadd_m##bits)                                                                          \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t a, b = register_read##bits(cpu, insn->reg);                                 \
        if (OPERAND_MODIFY(bits, &modify, &a))                                                     \
            return CPU_FAULT;                                                                      \
        memory_modified##bits(cpu, &modify, (uint##bits##_t)alu_add(cpu, a, b, bits));             \
        register_write##bits(cpu, insn->reg, a);                                                   \
        return 0;                                                                                  \
    }
EACH_WIDTH(XADD)
#undef XADD

/* Only what is told to change is written: a register destination or EAX keeps
 * its upper half when it receives nothing. A memory destination always has a
 * write cycle. */
#define CMPXCHG(bits)                                                                              \
    HANDLER(cmpxchg_r##bits)                                                                       \
    {                                                                                              \
        uint##bits##_t old = register_read##bits(cpu, insn->rm);                                   \
        alu_cmp(cpu, register_read##bits(cpu, RAX), old, bits);                                    \
        if (flags_zf(cpu))                                                                         \
            register_write##bits(cpu, insn->rm, register_read##bits(cpu, insn->reg));              \
        else                                                                                       \
            register_write##bits(cpu, RAX, old);                                                   \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(cmpxchg_m##bits)                                                                       \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t old;                                                                        \
        if (OPERAND_MODIFY(bits, &modify, &old))                                                   \
            return CPU_FAULT;                                                                      \
        alu_cmp(cpu, register_read##bits(cpu, RAX), old, bits);                                    \
        bool equal = flags_zf(cpu);                                                                \
        memory_modified##bits(cpu, &modify, equal ? register_read##bits(cpu, insn->reg) : old);    \
        if (!equal)                                                                                \
            register_write##bits(cpu, RAX, old);                                                   \
        return 0;                                                                                  \
    }
EACH_WIDTH(CMPXCHG)
#undef CMPXCHG

static void set_zf(struct cpu *cpu, bool zf)
{
    flags_put(cpu, (flags_get(cpu) & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

HANDLER(cmpxchg8b_m32)
{
    struct memory_modify modify;
    uint64_t old;
    if (OPERAND_MODIFY(64, &modify, &old))
        return CPU_FAULT;
    uint64_t expected = (uint64_t)register_read32(cpu, RDX) << 32 | register_read32(cpu, RAX);
    uint64_t value = (uint64_t)register_read32(cpu, RCX) << 32 | register_read32(cpu, RBX);
    bool equal = old == expected;
    memory_modified64(cpu, &modify, equal ? value : old);
    if (!equal) {
        register_write32(cpu, RAX, (uint32_t)old);
        register_write32(cpu, RDX, (uint32_t)(old >> 32));
    }
    set_zf(cpu, equal);
    return 0;
}

HANDLER(cmpxchg8b_m16)
{
    return exec_cmpxchg8b_m32(cpu, insn);
}

/* CMPXCHG16B: the form with REX.W. */
HANDLER(cmpxchg8b_m64)
{
    struct memory_modify modify;
    struct memory_128 old;
    uint64_t offset = insn_address(cpu, insn);
    if (!cpu_has(cpu, FEATURE_CX16))
        return cpu_raise(cpu, VECTOR_UD);
    if ((cpu->access[insn->seg].base + offset) & 15)
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    if (memory_modify128(cpu, insn->seg, offset, &modify, &old))
        return CPU_FAULT;
    bool equal = old.low == cpu->s.gpr[RAX] && old.high == cpu->s.gpr[RDX];
    struct memory_128 value = equal ? (struct memory_128){ cpu->s.gpr[RBX], cpu->s.gpr[RCX] } : old;
    memory_modified128(cpu, &modify, value);
    if (!equal) {
        cpu->s.gpr[RAX] = old.low;
        cpu->s.gpr[RDX] = old.high;
    }
    set_zf(cpu, equal);
    return 0;
}

/* ADCX and ADOX: an addition with carry whose carry lives in CF or OF alone. */
static ALWAYS_INLINE uint64_t alu_adcx(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    unsigned __int128 r = (unsigned __int128)a + b + flags_cf(cpu);
    flags_set_cf_of(cpu, r >> bits & 1, flags_of(cpu));
    return (uint64_t)r;
}
static ALWAYS_INLINE uint64_t alu_adox(struct cpu *cpu, uint64_t a, uint64_t b, unsigned bits)
{
    unsigned __int128 r = (unsigned __int128)a + b + flags_of(cpu);
    flags_set_cf_of(cpu, flags_cf(cpu), r >> bits & 1);
    return (uint64_t)r;
}

/* 16-bit code executes the 32-bit form: there is no 16-bit one. */
#define ADX(name, size, bits)                                                                      \
    HANDLER(name##_r##size)                                                                        \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->reg);                                    \
        uint##bits##_t b = register_read##bits(cpu, insn->rm);                                     \
        register_write##bits(cpu, insn->reg, (uint##bits##_t)alu_##name(cpu, a, b, bits));         \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_m##size)                                                                        \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->reg), b;                                 \
        if (OPERAND_READ(bits, &b))                                                                \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, (uint##bits##_t)alu_##name(cpu, a, b, bits));         \
        return 0;                                                                                  \
    }
ADX(adcx, 16, 32)
ADX(adcx, 32, 32)
ADX(adcx, 64, 64)
ADX(adox, 16, 32)
ADX(adox, 32, 32)
ADX(adox, 64, 64)
#undef ADX
