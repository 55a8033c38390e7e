/*
 * Our decoder against libzydis: random strings, strings made from the opcode
 * table, and strings with many prefixes, in 16, 32 and 64-bit code. Compared are
 * validity, length, operand size, registers, memory operand and immediates.
 *
 *     decoder [--cases N] [--seed N]
 *
 * What Zydis knows and our CPU model does not have is told by its ISA set.
 * Strings with EVEX and XOP encodings are left out.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <Zydis/Zydis.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/opcode.h"
#include "util/bits.h"

#define LENGTH 15
#define SHOWN 40

struct test {
    uint64_t random;
    struct cpu_model model;
    struct decoder decoder;
    ZydisDecoder zydis[3];
    uint64_t compared, valid, left_out, failures;
};

static const unsigned modes[3] = {2, 4, 8};

static uint64_t next_random(struct test *test)
{
    uint64_t x = test->random;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    test->random = x;
    return x * 0x2545f4914f6cdd1dull >> 16;
}

/* ---- strings ---- */

static unsigned put_prefixes(struct test *test, uint8_t *bytes, unsigned most)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66,
                                       0x67, 0xf0, 0xf2, 0xf3, 0x40, 0x48, 0x41, 0x4f};
    unsigned count = (unsigned)(next_random(test) % (most + 1));
    for (unsigned i = 0; i < count; i++)
        bytes[i] = prefixes[next_random(test) % sizeof prefixes];
    return count;
}

/* VEX of `row`; bits of it are wrong now and then. */
static unsigned put_vex(struct test *test, uint8_t *bytes, unsigned at, const struct opcode_row *row)
{
    static const uint8_t pp[] = {[OPCODE_PREFIX_P66] = 1, [OPCODE_PREFIX_PF3] = 2,
                                 [OPCODE_PREFIX_PF2] = 3};
    uint64_t random = next_random(test);
    unsigned last = (unsigned)(random & 0x80) | (random & 0x700 ? 0x78 : random >> 12 & 0x78) |
                    (unsigned)(random >> 20 & 4);
    last |= row->prefix >= OPCODE_PREFIX_P66 ? pp[row->prefix] : 0;
    if (row->modrm & (VEX_W0 | VEX_W1) && random >> 24 & 7)
        last = (last & 0x7f) | (row->modrm & VEX_W1 ? 0x80 : 0);
    if (row->modrm & (VEX_L0 | VEX_L1) && random >> 27 & 7)
        last = (last & 0xfb) | (row->modrm & VEX_L1 ? 4 : 0);
    if (row->map == MAP_V0F && random >> 30 & 1) {
        bytes[at++] = 0xc5;
        bytes[at++] = (uint8_t)((last & 0x7f) | (random >> 31 & 0x80));
    } else {
        bytes[at++] = 0xc4;
        bytes[at++] = (uint8_t)((random >> 40 & 0xe0) | (row->map - MAP_V0F + 1u));
        bytes[at++] = (uint8_t)last;
    }
    return at;
}

/* A row of the table: its prefix, escape, opcode and a ModRM that fits. */
static void put_row(struct test *test, uint8_t *bytes, unsigned at)
{
    static const uint8_t mandatory[] = {[OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3,
                                        [OPCODE_PREFIX_PF2] = 0xf2};
    const struct opcode_row *row = &opcode_rows[next_random(test) % opcode_row_count];
    bool vex = row->map >= MAP_V0F;
    if (vex)
        at = put_vex(test, bytes, at, row);
    if (!vex && row->prefix >= OPCODE_PREFIX_P66 && row->prefix <= OPCODE_PREFIX_PF2)
        bytes[at++] = mandatory[row->prefix];
    if (!vex && next_random(test) % 4 == 0)
        bytes[at++] = (uint8_t)(0x40 | next_random(test) % 16);
    if (!vex && row->map != MAP_ONE)
        bytes[at++] = 0x0f;
    if (row->map == MAP_T38 || row->map == MAP_T3A)
        bytes[at++] = row->map == MAP_T38 ? 0x38 : 0x3a;
    bytes[at] = row->opcode;
    if (row->modrm & MODRM_PLUS_R)
        bytes[at] |= next_random(test) & 7;
    uint8_t *modrm = &bytes[at + 1];
    if (row->modrm & MODRM_FIX_REG && next_random(test) % 8)
        *modrm = (uint8_t)((*modrm & 0xc7) | (row->modrm & 0x38));
    if (row->modrm & MODRM_ONLY_REG && next_random(test) % 8)
        *modrm |= 0xc0;
    if (row->modrm & MODRM_FIX_RM && next_random(test) % 8)
        *modrm = (uint8_t)((*modrm & 0xf8) | (row->modrm & 7));
}

static void make_string(struct test *test, uint8_t *bytes)
{
    for (unsigned i = 0; i < LENGTH; i++)
        bytes[i] = (uint8_t)next_random(test);
    switch (next_random(test) % 4) {
    case 0:
        break;
    case 1:
        put_row(test, bytes, put_prefixes(test, bytes, 2));
        break;
    case 2:
        put_row(test, bytes, 0);
        bytes[next_random(test) % 6] ^= (uint8_t)(1u << next_random(test) % 8);
        break;
    case 3:
        if (next_random(test) % 2)
            put_row(test, bytes, put_prefixes(test, bytes, 8));
        else
            put_prefixes(test, bytes, 13);
        break;
    }
}

/* The first byte that is no prefix begins an EVEX or XOP encoding. */
static bool left_out(const uint8_t *bytes, unsigned code_bytes)
{
    for (unsigned i = 0; i + 1 < LENGTH; i++) {
        uint8_t b = bytes[i];
        if (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e || (b >= 0x64 && b <= 0x67) ||
            b == 0xf0 || b == 0xf2 || b == 0xf3 || (code_bytes == 8 && (b & 0xf0) == 0x40))
            continue;
        bool register_form = code_bytes == 8 || bytes[i + 1] >= 0xc0;
        if (b == 0x62)
            return register_form;
        return b == 0x8f && (bytes[i + 1] & 0x38) != 0;
    }
    return false;
}

/* ---- what Zydis has and we do not ---- */

static bool absent(const struct cpu_model *model, const ZydisDecodedInstruction *z)
{
    switch (z->meta.isa_set) {
    case ZYDIS_ISA_SET_PKU:
        return !cpu_model_has(model, FEATURE_PKU);
    case ZYDIS_ISA_SET_AMD: case ZYDIS_ISA_SET_AMD3DNOW: case ZYDIS_ISA_SET_AMD_INVLPGB:
    case ZYDIS_ISA_SET_CET: case ZYDIS_ISA_SET_CLDEMOTE: case ZYDIS_ISA_SET_CLZERO:
    case ZYDIS_ISA_SET_ENQCMD: case ZYDIS_ISA_SET_HRESET: case ZYDIS_ISA_SET_KEYLOCKER:
    case ZYDIS_ISA_SET_KEYLOCKER_WIDE: case ZYDIS_ISA_SET_LWP: case ZYDIS_ISA_SET_MCOMMIT:
    case ZYDIS_ISA_SET_MONITORX: case ZYDIS_ISA_SET_MPX:
    case ZYDIS_ISA_SET_PADLOCK_ACE: case ZYDIS_ISA_SET_PADLOCK_PHE:
    case ZYDIS_ISA_SET_PADLOCK_PMM: case ZYDIS_ISA_SET_PADLOCK_RNG: case ZYDIS_ISA_SET_PCONFIG:
    case ZYDIS_ISA_SET_PT: case ZYDIS_ISA_SET_RDPRU: case ZYDIS_ISA_SET_RTM:
    case ZYDIS_ISA_SET_SGX: case ZYDIS_ISA_SET_SGX_ENCLV:
    case ZYDIS_ISA_SET_SMX: case ZYDIS_ISA_SET_SNP: case ZYDIS_ISA_SET_SSE4A:
    case ZYDIS_ISA_SET_SVM: case ZYDIS_ISA_SET_TBM: case ZYDIS_ISA_SET_TDX:
    case ZYDIS_ISA_SET_AMX_BF16: case ZYDIS_ISA_SET_AMX_INT8: case ZYDIS_ISA_SET_AMX_TILE:
    case ZYDIS_ISA_SET_AVX_VNNI: case ZYDIS_ISA_SET_AVX512BW_KOP: case ZYDIS_ISA_SET_AVX512DQ_KOP:
    case ZYDIS_ISA_SET_AVX512F_KOP: case ZYDIS_ISA_SET_FMA4: case ZYDIS_ISA_SET_XOP:
    case ZYDIS_ISA_SET_KNCE: case ZYDIS_ISA_SET_KNCJKBR: case ZYDIS_ISA_SET_KNCSTREAM:
    case ZYDIS_ISA_SET_KNCV: case ZYDIS_ISA_SET_KNC_MISC: case ZYDIS_ISA_SET_KNC_PF_HINT:
    case ZYDIS_ISA_SET_TSX_LDTRK: case ZYDIS_ISA_SET_UINTR: case ZYDIS_ISA_SET_VMFUNC:
    case ZYDIS_ISA_SET_VTX: case ZYDIS_ISA_SET_WAITPKG:
        return true;
    default:
        return false;
    }
}

/* What Zydis calls invalid and we leave to the handler to refuse: control and
 * debug registers that do not exist, and gathers whose registers are the same. */
static bool refused_later(const struct insn *insn)
{
    const struct opcode_row *row = &opcode_rows[insn->row];
    return (row->map == MAP_TWO && (row->opcode & 0xfc) == 0x20)
           || (row->operand[1] == OPERAND_Mvsib);
}

/* Zydis 4.0 takes REX.B with 32-bit addresses for a base R13 where there is
 * none but a displacement. (SDM vol. 2, table 2-5) */
static bool mistaken_base(const ZydisDecodedInstruction *z)
{
    return z->machine_mode == ZYDIS_MACHINE_MODE_LONG_64 && z->address_width == 32 &&
           z->raw.modrm.mod == 0 && z->raw.modrm.rm == 4 && z->raw.sib.base == 5;
}

/* ---- comparison ---- */

static bool has_operand(const struct opcode_row *row, enum operand first, enum operand second)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->operand[i] == first || row->operand[i] == second)
            return true;
    return false;
}

/* A register of Zydis as our decoder writes it. */
static unsigned register_number(ZydisRegister reg, bool byte)
{
    unsigned id = (unsigned)ZydisRegisterGetId(reg);
    if (!byte)
        return id;
    return id < 4 ? id * 8 : id < 8 ? (id - 4) * 8 + 1 : (id - 4) * 8;
}

static const char *compare_memory(const struct insn *insn, const ZydisDecodedInstruction *z,
                                  const ZydisDecodedOperandMem *mem)
{
    uint64_t mask = bits_ones(z->address_width / 8u);
    uint64_t disp = (uint64_t)insn->disp;
    unsigned base = REGISTER_ZERO, index = REGISTER_ZERO;
    if (mem->base == ZYDIS_REGISTER_RIP || mem->base == ZYDIS_REGISTER_EIP) {
        base = RIP;
        disp -= insn->end;
    } else if (mem->base != ZYDIS_REGISTER_NONE) {
        base = register_number(mem->base, false);
    }
    bool vector = ZydisRegisterGetClass(mem->index) == ZYDIS_REGCLASS_XMM ||
                  ZydisRegisterGetClass(mem->index) == ZYDIS_REGCLASS_YMM;
    if (vector)
        return insn->vector_index != register_number(mem->index, false) ? "vector index"
               : insn->base != base || 1u << insn->scale != mem->scale ? "base or scale" : NULL;
    if (mem->index != ZYDIS_REGISTER_NONE)
        index = register_number(mem->index, false);
    unsigned scale = 1u << insn->scale;
    if (insn->address_shift != 64 - z->address_width)
        return "address size";
    if (insn->base != base || insn->index != index)
        return "base or index";
    if (index != REGISTER_ZERO && mem->scale != scale)
        return "scale";
    if ((disp ^ (uint64_t)mem->disp.value) & mask)
        return "displacement";
    if (mem->type != ZYDIS_MEMOP_TYPE_AGEN && mem->segment >= ZYDIS_REGISTER_ES &&
        mem->segment <= ZYDIS_REGISTER_GS &&
        insn->segment != (unsigned)(mem->segment - ZYDIS_REGISTER_ES))
        return "segment";
    return NULL;
}

static const char *compare_immediates(const struct insn *insn, const struct opcode_row *row,
                                      const ZydisDecodedInstruction *z)
{
    unsigned bytes = z->raw.imm[0].size / 8u, second = z->raw.imm[1].size / 8u;
    uint64_t value = insn->imm;
    if (!bytes)
        return NULL;
    if ((value ^ z->raw.imm[0].value.u) & bits_ones(bytes))
        return "immediate";
    if (second && ((value >> (has_operand(row, OPERAND_Ap, OPERAND_Ap) ? 32 : 16)) ^
                   z->raw.imm[1].value.u) & bits_ones(second))
        return "second immediate";
    if (!second && z->raw.imm[0].is_signed &&
        (value ^ z->raw.imm[0].value.u) & bits_ones(insn->operand_bytes))
        return "sign of the immediate";
    return NULL;
}

static const char *compare_operands(const struct insn *insn, const ZydisDecodedInstruction *z,
                                    const ZydisDecodedOperand *operands)
{
    const struct opcode_row *row = &opcode_rows[insn->row];
    bool general = has_operand(row, OPERAND_Ev, OPERAND_Gv) ||
                   has_operand(row, OPERAND_Zv, OPERAND_Ov);
    if (general && z->mnemonic != ZYDIS_MNEMONIC_NOP && z->operand_width != 8 * insn->operand_bytes)
        return "operand size";
    for (unsigned i = 0; i < z->operand_count; i++) {
        const ZydisDecodedOperand *o = &operands[i];
        const char *what = NULL;
        bool byte = o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
                    ZydisRegisterGetClass(o->reg.value) == ZYDIS_REGCLASS_GPR8;
        if (o->type == ZYDIS_OPERAND_TYPE_MEMORY &&
            (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
             o->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64))
            what = compare_memory(insn, z, &o->mem);
        else if (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_REG &&
                 (byte || has_operand(row, OPERAND_Gv, OPERAND_Gy)))
            what = insn->reg != register_number(o->reg.value, byte) ? "reg" : NULL;
        else if (o->type == ZYDIS_OPERAND_TYPE_REGISTER &&
                 (o->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
                  o->encoding == ZYDIS_OPERAND_ENCODING_OPCODE) &&
                 (byte || has_operand(row, OPERAND_Ev, OPERAND_Zv)))
            what = insn->rm != register_number(o->reg.value, byte) ? "rm" : NULL;
        if (what)
            return what;
    }
    return compare_immediates(insn, row, z);
}

static void report(struct test *test, const uint8_t *bytes, unsigned mode, const char *what,
                   const struct insn *insn, const ZydisDecodedInstruction *z)
{
    if (test->failures++ >= SHOWN)
        return;
    printf("%u-bit", 8 * modes[mode]);
    for (unsigned i = 0; i < LENGTH; i++)
        printf(" %02x", bytes[i]);
    printf(": %s; ours %s, %u bytes", what,
           insn->row == ROW_INVALID ? "invalid" : opcode_rows[insn->row].name, insn->length);
    if (z)
        printf("; Zydis %s, %u bytes, %s", ZydisMnemonicGetString(z->mnemonic), z->length,
               ZydisISASetGetString(z->meta.isa_set));
    putchar('\n');
}

static void compare(struct test *test, const uint8_t *bytes, unsigned mode)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct insn insn;
    if (left_out(bytes, modes[mode])) {
        test->left_out++;
        return;
    }
    bool theirs = ZYAN_SUCCESS(ZydisDecoderDecodeFull(&test->zydis[mode], bytes, LENGTH, &z,
                                                      operands));
    enum decode_result result = decode(&test->decoder, modes[mode], bytes, LENGTH, 0, &insn);
    bool ours = result == DECODE_OK && insn.row != ROW_INVALID;
    test->compared++;
    test->valid += ours;
    if (theirs ? absent(&test->model, &z) || mistaken_base(&z) : ours && refused_later(&insn)) {
        test->left_out++;
        return;
    }
    const char *what = NULL;
    if (ours != theirs)
        what = ours ? "valid only for us" : "invalid only for us";
    else if (ours && insn.length != z.length)
        what = "length";
    else if (ours)
        what = compare_operands(&insn, &z, operands);
    if (what)
        report(test, bytes, mode, what, &insn, theirs ? &z : NULL);
}

int main(int argc, char **argv)
{
    static struct test test;
    uint64_t cases = 200000;
    test.random = 0x9e3779b97f4a7c15ull;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--cases") == 0)
            cases = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            test.random ^= strtoull(argv[i + 1], NULL, 0) * 0xd1342543de82ef95ull;
    }
    if (cpu_model_parse(&test.model, "max", 1, NULL) < 0)
        return 2;
    decoder_init(&test.decoder, &test.model);
    ZydisDecoderInit(&test.zydis[0], ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_STACK_WIDTH_16);
    ZydisDecoderInit(&test.zydis[1], ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    ZydisDecoderInit(&test.zydis[2], ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    for (unsigned mode = 0; mode < 3; mode++) {
        /* Without these extensions their opcodes do nothing. */
        ZydisDecoderEnableMode(&test.zydis[mode], ZYDIS_DECODER_MODE_MPX, ZYAN_FALSE);
        ZydisDecoderEnableMode(&test.zydis[mode], ZYDIS_DECODER_MODE_CET, ZYAN_FALSE);
        ZydisDecoderEnableMode(&test.zydis[mode], ZYDIS_DECODER_MODE_CLDEMOTE, ZYAN_FALSE);
    }
    for (uint64_t i = 0; i < cases; i++) {
        uint8_t bytes[LENGTH];
        make_string(&test, bytes);
        compare(&test, bytes, (unsigned)(i % 3));
    }
    printf("%" PRIu64 " strings compared, %" PRIu64 " valid, %" PRIu64 " left out, %" PRIu64
           " differences\n", test.compared, test.valid, test.left_out, test.failures);
    return test.failures != 0;
}
