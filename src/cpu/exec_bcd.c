/*
 * Decimal arithmetic, not in 64-bit code: AAA AAS AAM AAD DAA DAS (SDM vol. 2).
 * Undefined by the manual, and here: after AAA and AAS SF, ZF and PF tell of
 * AL and OF is 0; AAM and AAD clear CF, AF and OF; DAA and DAS clear OF.
 */
#include "cpu/exec.h"

/* SF, ZF and PF from AL, and the given AF and CF; OF = 0. */
static void flags_set_decimal(struct cpu *cpu, uint8_t al, bool af, bool cf)
{
    cpu->flags_result = flags_extend(al, 8);
    cpu->flags_aux = (af ? AUX_AF : 0) | (cf ? AUX_CF | AUX_CF_XOR_OF : 0);
}

HANDLER(daa)
{
    uint8_t old = register_read8(cpu, RAX), al = old;
    bool af = (al & 0xf) > 9 || flags_af(cpu);
    bool cf = old > 0x99 || flags_cf(cpu);
    if (af)
        al = (uint8_t)(al + 6);
    if (cf)
        al = (uint8_t)(al + 0x60);
    register_write8(cpu, RAX, al);
    flags_set_decimal(cpu, al, af, cf);
    return 0;
}

HANDLER(das)
{
    uint8_t old = register_read8(cpu, RAX), al = old;
    bool af = (al & 0xf) > 9 || flags_af(cpu);
    bool high = old > 0x99 || flags_cf(cpu);
    bool cf = high;
    if (af) {
        cf |= al < 6;
        al = (uint8_t)(al - 6);
    }
    if (high)
        al = (uint8_t)(al - 0x60);
    register_write8(cpu, RAX, al);
    flags_set_decimal(cpu, al, af, cf);
    return 0;
}

/* AX changes by `adjustment` when the low digit is none; AL keeps one digit. */
static int adjust_ascii(struct cpu *cpu, uint16_t adjustment)
{
    uint16_t ax = register_read16(cpu, RAX);
    bool carry = (ax & 0xf) > 9 || flags_af(cpu);
    if (carry)
        ax = (uint16_t)(ax + adjustment);
    ax &= 0xff0f;
    register_write16(cpu, RAX, ax);
    flags_set_decimal(cpu, (uint8_t)ax, carry, carry);
    return 0;
}

HANDLER(aaa)
{
    return adjust_ascii(cpu, 0x106);
}

HANDLER(aas)
{
    return adjust_ascii(cpu, (uint16_t)-0x106);
}

HANDLER(aam)
{
    uint8_t base = (uint8_t)insn->imm, al = register_read8(cpu, RAX);
    if (base == 0)
        return cpu_raise(cpu, VECTOR_DE);
    register_write16(cpu, RAX, (uint16_t)(al / base << 8 | al % base));
    flags_set_decimal(cpu, (uint8_t)(al % base), false, false);
    return 0;
}

HANDLER(aad)
{
    uint16_t ax = register_read16(cpu, RAX);
    uint8_t al = (uint8_t)(ax + (ax >> 8) * insn->imm);
    register_write16(cpu, RAX, al);
    flags_set_decimal(cpu, al, false, false);
    return 0;
}
