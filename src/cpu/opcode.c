/* The opcode table, generated from opcodes.def; see opcode.h. */
#include "cpu/opcode.h"

/* First pass: each handlers column declares its functions. */
#define H_ONE(f) insn_handler exec_##f;
#define H_PAIR(r, m) insn_handler exec_##r, exec_##m;
#define H_SIZES(f) insn_handler exec_##f##_16, exec_##f##_32, exec_##f##_64;
#define H_SIZES_32(f) insn_handler exec_##f##_16, exec_##f##_32;
#define H_RM8(f) insn_handler exec_##f##_r8, exec_##f##_m8;
#define H_RM(f)                                                                                    \
    insn_handler exec_##f##_r16, exec_##f##_r32, exec_##f##_r64, exec_##f##_m16, exec_##f##_m32,   \
        exec_##f##_m64;
#define H_MEM_SIZES(f) insn_handler exec_##f##_m16, exec_##f##_m32, exec_##f##_m64;
#define H_MEM_SIZES_32(f) insn_handler exec_##f##_m16, exec_##f##_m32;
#define OPCODE(map, opcode, prefix, modrm, mode, name, o1, o2, o3, o4, handlers, fr, fw, fu,       \
               feature, attributes)                                                                \
    handlers
#include "cpu/opcodes.def"
#undef H_ONE
#undef H_PAIR
#undef H_SIZES
#undef H_SIZES_32
#undef H_RM8
#undef H_RM
#undef H_MEM_SIZES
#undef H_MEM_SIZES_32
#undef OPCODE

/* Second pass: the rows. */
#define FOUR(a, b, c, d) { exec_##a, exec_##b, exec_##c, exec_##d }
#define NONE4 { 0, 0, 0, 0 }
#define H_ONE(f) { FOUR(f, f, f, f), FOUR(f, f, f, f) }
#define H_PAIR(r, m) { FOUR(r, r, r, r), FOUR(m, m, m, m) }
#define H_SIZES(f) { { 0, exec_##f##_16, exec_##f##_32, exec_##f##_64 }, { 0, exec_##f##_16, exec_##f##_32, exec_##f##_64 } }
#define H_SIZES_32(f) { { 0, exec_##f##_16, exec_##f##_32, 0 }, { 0, exec_##f##_16, exec_##f##_32, 0 } }
#define H_RM8(f) { { exec_##f##_r8, 0, 0, 0 }, { exec_##f##_m8, 0, 0, 0 } }
#define H_RM(f) { { 0, exec_##f##_r16, exec_##f##_r32, exec_##f##_r64 }, { 0, exec_##f##_m16, exec_##f##_m32, exec_##f##_m64 } }
#define H_MEM_SIZES(f) { NONE4, { 0, exec_##f##_m16, exec_##f##_m32, exec_##f##_m64 } }
#define H_MEM_SIZES_32(f) { NONE4, { 0, exec_##f##_m16, exec_##f##_m32, 0 } }
#define OPCODE(map_, opcode_, prefix_, modrm_, mode_, name_, o1, o2, o3, o4, handlers_, fr, fw, fu, \
               feature_, attributes_)                                                              \
    { .name = name_, .handler = handlers_, .map = MAP_##map_, .opcode = opcode_,                   \
      .prefix = OPCODE_PREFIX_##prefix_, .mode = OPCODE_MODE_##mode_, .modrm = modrm_,             \
      .operand = { OPERAND_##o1, OPERAND_##o2, OPERAND_##o3, OPERAND_##o4 }, .flags_read = fr,     \
      .flags_written = fw, .flags_undefined = fu, .attributes = attributes_,                       \
      .feature = FEATURE_##feature_ },
const struct opcode_row opcode_rows[] = {
#include "cpu/opcodes.def"
};
const unsigned opcode_row_count = sizeof opcode_rows / sizeof opcode_rows[0];
