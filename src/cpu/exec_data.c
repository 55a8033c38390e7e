/*
 * Moves: MOV, MOVZX, MOVSX, MOVSXD, XCHG, LEA, XLAT, BSWAP, MOVBE, CMOVcc,
 * SETcc, CBW and CWD families, NOP and PAUSE (SDM vol. 2).
 *
 * MOV to and from segment, control and debug registers is in system files.
 * Not modelled: prefetching and hints (they do nothing).
 */
#include "cpu/exec.h"

#define MOV(bits)                                                                                  \
    HANDLER(mov_r##bits)                                                                           \
    {                                                                                              \
        register_write##bits(cpu, insn->rm, register_read##bits(cpu, insn->reg));                  \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(mov_m##bits)                                                                           \
    {                                                                                              \
        return OPERAND_WRITE(bits, register_read##bits(cpu, insn->reg));                           \
    }                                                                                              \
    HANDLER(mov_g_r##bits)                                                                         \
    {                                                                                              \
        register_write##bits(cpu, insn->reg, register_read##bits(cpu, insn->rm));                  \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(mov_g_m##bits)                                                                         \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (OPERAND_READ(bits, &value))                                                            \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, value);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(mov_i_r##bits)                                                                         \
    {                                                                                              \
        register_write##bits(cpu, insn->rm, (uint##bits##_t)insn->imm);                            \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(mov_i_m##bits)                                                                         \
    {                                                                                              \
        return OPERAND_WRITE(bits, (uint##bits##_t)insn->imm);                                     \
    }                                                                                              \
    HANDLER(mov_load_a_##bits) /* rAX, moffs */                                                    \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (OPERAND_READ(bits, &value))                                                            \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, RAX, value);                                                     \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(mov_store_a_##bits) /* moffs, rAX */                                                   \
    {                                                                                              \
        return OPERAND_WRITE(bits, register_read##bits(cpu, RAX));                                 \
    }
EACH_WIDTH(MOV)
#undef MOV

/* Widening moves: `from` is the type of the source. */
#define MOV_WIDEN(name, from_bits, from, bits)                                                     \
    HANDLER(name##_r##bits)                                                                        \
    {                                                                                              \
        register_write##bits(cpu, insn->reg,                                                       \
                             (uint##bits##_t)(from)register_read##from_bits(cpu, insn->rm));       \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_m##bits)                                                                        \
    {                                                                                              \
        uint##from_bits##_t value;                                                                 \
        if (OPERAND_READ(from_bits, &value))                                                       \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, (uint##bits##_t)(from)value);                         \
        return 0;                                                                                  \
    }
EACH_SIZE_OF(MOV_WIDEN, movzx8, 8, uint8_t)
EACH_SIZE_OF(MOV_WIDEN, movsx8, 8, int8_t)
EACH_SIZE_OF(MOV_WIDEN, movzx16, 16, uint16_t)
EACH_SIZE_OF(MOV_WIDEN, movsx16, 16, int16_t)
/* MOVSXD; without REX.W a plain move. */
EACH_SIZE_OF(MOV_WIDEN, movsxd, 32, int32_t)
#undef MOV_WIDEN

#define XCHG(bits)                                                                                 \
    HANDLER(xchg_r##bits)                                                                          \
    {                                                                                              \
        uint##bits##_t value = register_read##bits(cpu, insn->rm);                                 \
        register_write##bits(cpu, insn->rm, register_read##bits(cpu, insn->reg));                  \
        register_write##bits(cpu, insn->reg, value);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(xchg_m##bits)                                                                          \
    {                                                                                              \
        struct memory_modify modify;                                                               \
        uint##bits##_t value;                                                                      \
        if (OPERAND_MODIFY(bits, &modify, &value))                                                 \
            return CPU_FAULT;                                                                      \
        memory_modified##bits(cpu, &modify, register_read##bits(cpu, insn->reg));                  \
        register_write##bits(cpu, insn->reg, value);                                               \
        return 0;                                                                                  \
    }
EACH_WIDTH(XCHG)
#undef XCHG

/* With the accumulator itself this is NOP: even EAX keeps its upper half. */
#define XCHG_A(bits)                                                                               \
    HANDLER(xchg_a_##bits)                                                                         \
    {                                                                                              \
        uint##bits##_t value = register_read##bits(cpu, insn->rm);                                 \
        if (insn->rm == RAX)                                                                       \
            return 0;                                                                              \
        register_write##bits(cpu, insn->rm, register_read##bits(cpu, RAX));                        \
        register_write##bits(cpu, RAX, value);                                                     \
        return 0;                                                                                  \
    }
EACH_SIZE(XCHG_A)
#undef XCHG_A

HANDLER(nop)
{
    return 0;
}

/* F3 90; with REX.B it is XCHG r8, rAX all the same. */
HANDLER(pause)
{
    if (insn->rex & 1) {
        uint64_t value = cpu->s.gpr[R8];
        unsigned bytes = insn->operand_bytes;
        if (bytes == 2) {
            register_write16(cpu, R8, (uint16_t)cpu->s.gpr[RAX]);
            register_write16(cpu, RAX, (uint16_t)value);
        } else {
            cpu->s.gpr[R8] = cpu->s.gpr[RAX] & bits_ones(bytes);
            cpu->s.gpr[RAX] = value & bits_ones(bytes);
        }
        return 0;
    }
    if (cpu->multiprocessor) {
        cpu->s.yield = 1;
        cpu_attention(cpu);
    }
    return 0;
}

#define LEA(bits)                                                                                  \
    HANDLER(lea_m##bits)                                                                           \
    {                                                                                              \
        register_write##bits(cpu, insn->reg, (uint##bits##_t)insn_address(cpu, insn));             \
        return 0;                                                                                  \
    }
EACH_SIZE(LEA)
#undef LEA

HANDLER(xlat)
{
    uint64_t offset = (cpu->s.gpr[RBX] + (uint8_t)cpu->s.gpr[RAX]) & (~0ull >> insn->address_shift);
    uint8_t value;
    if (memory_read8(cpu, insn->seg, offset, &value))
        return CPU_FAULT;
    register_write8(cpu, RAX, value);
    return 0;
}

HANDLER(cbw_16)
{
    register_write16(cpu, RAX, (uint16_t)(int8_t)cpu->s.gpr[RAX]);
    return 0;
}
HANDLER(cbw_32)
{
    register_write32(cpu, RAX, (uint32_t)(int16_t)cpu->s.gpr[RAX]);
    return 0;
}
HANDLER(cbw_64)
{
    register_write64(cpu, RAX, (uint64_t)(int32_t)cpu->s.gpr[RAX]);
    return 0;
}

/* Fills rDX with the accumulator's sign. */
#define CWD(bits)                                                                                  \
    HANDLER(cwd_##bits)                                                                            \
    {                                                                                              \
        int##bits##_t value = (int##bits##_t)register_read##bits(cpu, RAX);                        \
        register_write##bits(cpu, RDX, (uint##bits##_t)(value < 0 ? -1 : 0));                      \
        return 0;                                                                                  \
    }
EACH_SIZE(CWD)
#undef CWD

/* Undefined for 16 bits by the manual; silicon gives 0. */
HANDLER(bswap_16)
{
    register_write16(cpu, insn->rm, 0);
    return 0;
}
HANDLER(bswap_32)
{
    register_write32(cpu, insn->rm, __builtin_bswap32(register_read32(cpu, insn->rm)));
    return 0;
}
HANDLER(bswap_64)
{
    register_write64(cpu, insn->rm, __builtin_bswap64(register_read64(cpu, insn->rm)));
    return 0;
}

#define MOVBE(bits)                                                                                \
    HANDLER(movbe_g_m##bits)                                                                       \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (OPERAND_READ(bits, &value))                                                            \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, insn->reg, __builtin_bswap##bits(value));                        \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(movbe_m##bits)                                                                         \
    {                                                                                              \
        return OPERAND_WRITE(bits, __builtin_bswap##bits(register_read##bits(cpu, insn->reg)));    \
    }
EACH_SIZE(MOVBE)
#undef MOVBE

/* The source is read whatever the condition, and a 32-bit destination loses
 * its upper half even when nothing is moved. */
#define CMOV_SIZE(cc, number, bits)                                                                \
    HANDLER(cmov##cc##_r##bits)                                                                    \
    {                                                                                              \
        uint##bits##_t value = register_read##bits(cpu, insn->reg);                                \
        if (flags_condition(cpu, number))                                                          \
            value = register_read##bits(cpu, insn->rm);                                            \
        register_write##bits(cpu, insn->reg, value);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(cmov##cc##_m##bits)                                                                    \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (OPERAND_READ(bits, &value))                                                            \
            return CPU_FAULT;                                                                      \
        if (!flags_condition(cpu, number))                                                         \
            value = register_read##bits(cpu, insn->reg);                                           \
        register_write##bits(cpu, insn->reg, value);                                               \
        return 0;                                                                                  \
    }
#define CMOV(cc, number) CMOV_SIZE(cc, number, 16) CMOV_SIZE(cc, number, 32) CMOV_SIZE(cc, number, 64)
EACH_CONDITION(CMOV)
#undef CMOV
#undef CMOV_SIZE

#define SET(cc, number)                                                                            \
    HANDLER(set##cc##_r8)                                                                          \
    {                                                                                              \
        register_write8(cpu, insn->rm, flags_condition(cpu, number));                              \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(set##cc##_m8)                                                                          \
    {                                                                                              \
        return OPERAND_WRITE(8, flags_condition(cpu, number));                                     \
    }
EACH_CONDITION(SET)
#undef SET
