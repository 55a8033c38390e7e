/*
 * MUL, IMUL, DIV, IDIV (SDM vol. 2).
 *
 * Undefined by the manual, and here: after MUL and IMUL SF, ZF and PF tell of
 * the low half of the product and AF is 0; DIV and IDIV change no flag.
 */
#include "cpu/exec.h"

/* Flags of a product: its low half, and whether it needs more than that. */
static ALWAYS_INLINE void flags_set_product(struct cpu *cpu, uint64_t low, bool overflow, unsigned bits)
{
    cpu->flags_result = flags_extend(low, bits);
    cpu->flags_aux = overflow ? AUX_CF : 0; /* CF = OF: their XOR is 0 */
}

/* rDX:rAX (AX for bytes) from a product. */
#define STORE_PRODUCT8(cpu, product) register_write16(cpu, RAX, (uint16_t)(product))
#define STORE_PRODUCT(bits, cpu, product)                                                          \
    do {                                                                                           \
        register_write##bits(cpu, RAX, (uint##bits##_t)(product));                                 \
        register_write##bits(cpu, RDX, (uint##bits##_t)((product) >> bits));                       \
    } while (0)
#define STORE_PRODUCT16(cpu, product) STORE_PRODUCT(16, cpu, product)
#define STORE_PRODUCT32(cpu, product) STORE_PRODUCT(32, cpu, product)
#define STORE_PRODUCT64(cpu, product) STORE_PRODUCT(64, cpu, product)

#define MUL(bits, wide, signed_wide)                                                               \
    static ALWAYS_INLINE void mul##bits(struct cpu *cpu, uint##bits##_t b)                         \
    {                                                                                              \
        wide product = (wide)register_read##bits(cpu, RAX) * b;                                    \
        STORE_PRODUCT##bits(cpu, product);                                                         \
        flags_set_product(cpu, (uint64_t)product, product >> bits != 0, bits);                     \
    }                                                                                              \
    static ALWAYS_INLINE uint##bits##_t imul_low##bits(struct cpu *cpu, uint##bits##_t a,          \
                                                       uint##bits##_t b, wide *product)            \
    {                                                                                              \
        signed_wide p = (signed_wide)((signed_wide)(int##bits##_t)a * (int##bits##_t)b);           \
        flags_set_product(cpu, (uint64_t)p, p != (int##bits##_t)p, bits);                          \
        *product = (wide)p;                                                                        \
        return (uint##bits##_t)p;                                                                  \
    }                                                                                              \
    static ALWAYS_INLINE void imul##bits(struct cpu *cpu, uint##bits##_t b)                        \
    {                                                                                              \
        wide product;                                                                              \
        imul_low##bits(cpu, register_read##bits(cpu, RAX), b, &product);                           \
        STORE_PRODUCT##bits(cpu, product);                                                         \
    }
MUL(8, uint16_t, int16_t)
MUL(16, uint32_t, int32_t)
MUL(32, uint64_t, int64_t)
MUL(64, unsigned __int128, __int128)
#undef MUL

/* #DE when the divisor is 0 or the quotient does not fit. */
#define DIV(bits, wide, signed_wide)                                                               \
    static ALWAYS_INLINE int div##bits(struct cpu *cpu, uint##bits##_t divisor)                    \
    {                                                                                              \
        wide dividend = DIVIDEND##bits;                                                            \
        if (divisor == 0 || (uint##bits##_t)(dividend >> bits) >= divisor)                         \
            return cpu_raise(cpu, VECTOR_DE);                                                      \
        STORE_DIVISION##bits(cpu, dividend / divisor, dividend % divisor);                         \
        return 0;                                                                                  \
    }                                                                                              \
    static ALWAYS_INLINE int idiv##bits(struct cpu *cpu, uint##bits##_t raw)                       \
    {                                                                                              \
        wide dividend = DIVIDEND##bits;                                                            \
        int##bits##_t divisor = (int##bits##_t)raw;                                                \
        wide size = (signed_wide)dividend < 0 ? (wide)-dividend : dividend;                        \
        uint##bits##_t by = divisor < 0 ? (uint##bits##_t)-raw : raw;                              \
        bool negative = ((signed_wide)dividend < 0) != (divisor < 0);                              \
        if (by == 0)                                                                               \
            return cpu_raise(cpu, VECTOR_DE);                                                      \
        wide quotient = size / by;                                                                 \
        if (quotient > ((wide)1 << (bits - 1)) - !negative)                                        \
            return cpu_raise(cpu, VECTOR_DE);                                                      \
        uint##bits##_t remainder = (uint##bits##_t)(size % by);                                    \
        STORE_DIVISION##bits(cpu, negative ? (wide)-quotient : quotient,                           \
                             (signed_wide)dividend < 0 ? (uint##bits##_t)-remainder : remainder);  \
        return 0;                                                                                  \
    }
#define DIVIDEND8 register_read16(cpu, RAX)
#define DIVIDEND16 ((uint32_t)register_read16(cpu, RDX) << 16 | register_read16(cpu, RAX))
#define DIVIDEND32 ((uint64_t)register_read32(cpu, RDX) << 32 | register_read32(cpu, RAX))
#define DIVIDEND64 ((unsigned __int128)cpu->s.gpr[RDX] << 64 | cpu->s.gpr[RAX])
#define STORE_DIVISION8(cpu, quotient, remainder)                                                  \
    register_write16(cpu, RAX, (uint16_t)((uint8_t)(quotient) | (uint8_t)(remainder) << 8))
#define STORE_DIVISION(bits, cpu, quotient, remainder)                                             \
    do {                                                                                           \
        uint##bits##_t quotient_ = (uint##bits##_t)(quotient);                                     \
        uint##bits##_t remainder_ = (uint##bits##_t)(remainder);                                   \
        register_write##bits(cpu, RAX, quotient_);                                                 \
        register_write##bits(cpu, RDX, remainder_);                                                \
    } while (0)
#define STORE_DIVISION16(cpu, quotient, remainder) STORE_DIVISION(16, cpu, quotient, remainder)
#define STORE_DIVISION32(cpu, quotient, remainder) STORE_DIVISION(32, cpu, quotient, remainder)
#define STORE_DIVISION64(cpu, quotient, remainder) STORE_DIVISION(64, cpu, quotient, remainder)
DIV(8, uint16_t, int16_t)
DIV(16, uint32_t, int32_t)
DIV(32, uint64_t, int64_t)
DIV(64, unsigned __int128, __int128)
#undef DIV

#define MULTIPLY(name, bits)                                                                       \
    HANDLER(name##_r##bits)                                                                        \
    {                                                                                              \
        name##bits(cpu, register_read##bits(cpu, insn->rm));                                       \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_m##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t b;                                                                          \
        if (OPERAND_READ(bits, &b))                                                                \
            return CPU_FAULT;                                                                      \
        name##bits(cpu, b);                                                                        \
        return 0;                                                                                  \
    }
EACH_WIDTH_OF(MULTIPLY, mul)
EACH_WIDTH_OF(MULTIPLY, imul)
#undef MULTIPLY

#define DIVIDE(name, bits)                                                                         \
    HANDLER(name##_r##bits)                                                                        \
    {                                                                                              \
        return name##bits(cpu, register_read##bits(cpu, insn->rm));                                \
    }                                                                                              \
    HANDLER(name##_m##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t b;                                                                          \
        if (OPERAND_READ(bits, &b))                                                                \
            return CPU_FAULT;                                                                      \
        return name##bits(cpu, b);                                                                 \
    }
EACH_WIDTH_OF(DIVIDE, div)
EACH_WIDTH_OF(DIVIDE, idiv)
#undef DIVIDE

/* IMUL of two and of three operands: only the low half is kept. */
#define IMUL(bits, wide)                                                                           \
    HANDLER(imul_g_r##bits)                                                                        \
    {                                                                                              \
        wide product;                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->reg);                                    \
        uint##bits##_t b = register_read##bits(cpu, insn->rm);                                     \
        register_write##bits(cpu, insn->reg, imul_low##bits(cpu, a, b, &product));                 \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(imul_g_m##bits)                                                                        \
    {                                                                                              \
        wide product;                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->reg), b;                                 \
        if (OPERAND_READ(bits, &b))                                                                \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, imul_low##bits(cpu, a, b, &product));                 \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(imul_g_i_r##bits)                                                                      \
    {                                                                                              \
        wide product;                                                                              \
        uint##bits##_t a = register_read##bits(cpu, insn->rm), b = (uint##bits##_t)insn->imm;      \
        register_write##bits(cpu, insn->reg, imul_low##bits(cpu, a, b, &product));                 \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(imul_g_i_m##bits)                                                                      \
    {                                                                                              \
        wide product;                                                                              \
        uint##bits##_t a, b = (uint##bits##_t)insn->imm;                                           \
        if (OPERAND_READ(bits, &a))                                                                \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, imul_low##bits(cpu, a, b, &product));                 \
        return 0;                                                                                  \
    }
IMUL(16, uint32_t)
IMUL(32, uint64_t)
IMUL(64, unsigned __int128)
#undef IMUL
