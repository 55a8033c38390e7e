/*
 * The opcode table: one row an instruction form, written once in opcodes.def
 * (which includes a file a family). Decoder, interpreter dispatch, translator,
 * disassembler and instruction tests are generated from it.
 *
 *   OPCODE(map, opcode, prefix, modrm, mode, "NAME", op1, op2, op3, op4,
 *          handlers, flags read, flags written, flags undefined, feature, attributes)
 *
 *   map       ONE (one-byte), TWO (0F), T38 (0F 38), T3A (0F 3A); V0F, V38, V3A:
 *             the last three with a VEX prefix
 *   opcode    the byte; with PLUS_R the first of eight
 *   prefix    ANY; or the mandatory prefix that must be there: NP (none of 66,
 *             F3, F2), P66, PF3, PF2 (F3 and F2 win over 66). Rows are tried
 *             in file order and the first that fits is taken.
 *   modrm     NO_MODRM, PLUS_R, MODRM (any), MEM, REG (mod), and with a fixed
 *             reg field EXT(n), MEM_EXT(n), REG_EXT(n), or REG_RM(n, m) for
 *             mod 3 with fixed reg n and rm m
 *             VEX rows add VEX_L0 or VEX_L1 (VEX.L must be so; neither: ignored)
 *             and VEX_W0 or VEX_W1. Where no operand is Hx or By, vvvv must be
 *             1111b.
 *   mode      ALL, NO64 (#UD in 64-bit code), ONLY64
 *   op1..4    operands in the notation of SDM vol. 2, appendix A.2, OPERAND_*
 *             below, `_` for none
 *   handlers  which functions execute it, by (register form | memory form) and
 *             operand size:
 *               H_ONE(f)        f for all
 *               H_PAIR(r, m)    r for the register form, m for the memory form
 *               H_SIZES(f)      f_16, f_32, f_64
 *               H_RM(f)         f_r16, f_r32, f_r64 and f_m16, f_m32, f_m64
 *               H_RM8(f)        f_r8 and f_m8
 *               H_MEM_SIZES(f)  f_m16, f_m32, f_m64 (the form has only memory)
 *               H_SIZES_32, H_MEM_SIZES_32: without the last size (NO64)
 *             A handler is an insn_handler with external linkage, prefixed exec_
 *             by the macros: H_RM(add) names exec_add_r16 ...
 *   flags     ORs of F_C F_P F_A F_Z F_S F_O, F_ARITH (all six), F_D, 0
 *   feature   a name of features.def, or BASE
 *   attributes ORs of insn.h's, or 0
 */
#ifndef CPU_OPCODE_H
#define CPU_OPCODE_H

#include "cpu/cpuid.h"
#include "cpu/insn.h"

enum opcode_map { MAP_ONE, MAP_TWO, MAP_T38, MAP_T3A, MAP_V0F, MAP_V38, MAP_V3A, MAP_COUNT };
enum opcode_prefix { OPCODE_PREFIX_ANY, OPCODE_PREFIX_NP, OPCODE_PREFIX_P66, OPCODE_PREFIX_PF3, OPCODE_PREFIX_PF2 };
enum opcode_mode { OPCODE_MODE_ALL, OPCODE_MODE_NO64, OPCODE_MODE_ONLY64 };

/* modrm column */
#define MODRM_PRESENT 0x0100
#define MODRM_PLUS_R 0x0200
#define MODRM_ONLY_MEM 0x0400
#define MODRM_ONLY_REG 0x0800
#define MODRM_FIX_REG 0x1000
#define MODRM_FIX_RM 0x2000
#define VEX_L0 0x0040
#define VEX_L1 0x0080
#define VEX_W0 0x4000
#define VEX_W1 0x8000
#define NO_MODRM 0
#define PLUS_R MODRM_PLUS_R
#define MODRM MODRM_PRESENT
#define MEM (MODRM_PRESENT | MODRM_ONLY_MEM)
#define REG (MODRM_PRESENT | MODRM_ONLY_REG)
#define EXT(n) (MODRM_PRESENT | MODRM_FIX_REG | (n) << 3)
#define MEM_EXT(n) (EXT(n) | MODRM_ONLY_MEM)
#define REG_EXT(n) (EXT(n) | MODRM_ONLY_REG)
#define REG_RM(n, m) (REG_EXT(n) | MODRM_FIX_RM | (m))

#define F_C 0x001
#define F_P 0x004
#define F_A 0x010
#define F_Z 0x040
#define F_S 0x080
#define F_D 0x400
#define F_O 0x800
#define F_ARITH (F_C | F_P | F_A | F_Z | F_S | F_O)

/* X(name, what): operands. Sizes: b 1, w 2, d 4, q 8, dq 16, v operand size,
 * z 2 or 4, y 4 or 8; p far pointer, s pseudo-descriptor, a BOUND pair. */
#define OPERAND_LIST(X)                                                                            \
    X(_)                                                                                           \
    X(Eb) X(Ew) X(Ed) X(Eq) X(Ev) X(Ey) X(Ep) /* ModRM.rm: register or memory */                    \
    X(Gb) X(Gw) X(Gd) X(Gq) X(Gv) X(Gy) X(Gz) /* ModRM.reg: general register */                     \
    X(Rd) X(Rq) X(Rv) X(Ry) X(Rw)             /* ModRM.rm, register only */                        \
    X(M) X(Mb) X(Mw) X(Md) X(Mq) X(Mdq) X(Mv) X(My) X(Mp) X(Ms) X(Ma) X(Mt) /* memory only; Mt 80-bit */ \
    X(Zb) X(Zv) X(Zw)                 /* register in the opcode's low three bits */                \
    X(Ib) X(Ibs) X(Iw) X(Iz) X(Iv) X(I1) /* Ibs: byte sign-extended to operand size; I1: the 1 of D0 */ \
    X(Jb) X(Jz) X(Ap)                                                                              \
    X(Ob) X(Ov)                       /* moffs */                                                  \
    X(Xb) X(Xv) X(Yb) X(Yv)           /* DS:rSI, ES:rDI */                                         \
    X(AL) X(CL) X(DX) X(rAX) X(AX) X(eAX) X(rCX) X(rDX)                                             \
    X(Sw) X(ESr) X(CSr) X(SSr) X(DSr) X(FSr) X(GSr)                                                 \
    X(Cy) X(Dy) X(Fv)                 /* control, debug registers; FLAGS */                        \
    X(ST0) X(STi)                                                                                  \
    X(Pq) X(Qq) X(Qd) X(Nq)           /* MMX: reg; rm register or memory; rm register */           \
    X(Vdq) X(Vq) X(Vd) X(Wdq) X(Wq) X(Wd) X(Ww) X(Udq) X(Uq) X(XMM0) /* XMM: reg; rm; rm register */ \
    X(Vx) X(Wx) X(Ux) X(Mx)           /* as long as VEX.L says */                                  \
    X(Hx) X(By) X(Lx) X(Mvsib)        /* vvvv: vector, general; vector in imm8[7:4]; VSIB */

enum operand {
#define X(name) OPERAND_##name,
    OPERAND_LIST(X)
#undef X
    OPERAND_COUNT
};

struct opcode_row {
    const char *name;
    insn_handler *handler[2][4]; /* [memory form][byte, 16, 32, 64 bits] */
    uint8_t map, opcode, prefix, mode;
    uint16_t modrm;
    uint8_t operand[4];
    uint16_t flags_read, flags_written, flags_undefined;
    uint16_t attributes;
    uint16_t feature;
};

/* The table, `opcode_row_count` rows in file order. */
extern const struct opcode_row opcode_rows[];
extern const unsigned opcode_row_count;

#endif
