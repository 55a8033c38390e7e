/*
 * Lowering of AVX, AVX2, FMA, F16C, VAES, VPCLMULQDQ and GFNI under VEX: the same
 * instruction on a host that has the feature, YMM registers under their own
 * numbers, under the guest's MXCSR.
 *
 * The upper halves of the registers are loaded when the first such instruction comes
 * (translated.vectors is 3 then), where XCR0 and CR4.OSXSAVE allow it.
 *
 * Not here, and so run by their handlers: approximations (VRCPPS, VRSQRTPS), VDPPS,
 * VDPPD, string compares, masked moves and gathers.
 */
#include "translator/internal.h"
#include "translator/scratch.h"

/* One lane, whatever VEX.L says. */
static bool is_scalar(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    bool single = row->prefix == OPCODE_PREFIX_PF3, one = single || row->prefix == OPCODE_PREFIX_PF2;
    if (row->map == MAP_V38)
        return row->feature == FEATURE_FMA && (row->operand[2] == OPERAND_Wd || row->operand[2] == OPERAND_Wq);
    if (row->map == MAP_V3A)
        return o == 0x0a || o == 0x0b;
    if (o == 0x2e || o == 0x2f)
        return true;
    if (o == 0x5b) /* VCVTTPS2DQ */
        return false;
    bool arithmetic = (o >= 0x51 && o <= 0x5f) || o == 0xc2;
    return one && (arithmetic || o == 0x10 || o == 0x11 || o == 0x2a || o == 0x2c || o == 0x2d);
}

/* Bytes of an operand of the vector's length, if it is in memory. */
static unsigned vector_bytes(const struct compile *c)
{
    const struct opcode_row *row = c->row;
    unsigned o = row->opcode, all = c->insn->vex_l ? 32 : 16;
    static const uint8_t extensions[] = { 2, 4, 8, 2, 4, 2 }; /* VPMOVSX, VPMOVZX: parts of the vector */
    if (row->map == MAP_V38) {
        switch (o) {
        case 0x13: return all / 2;
        case 0x58: case 0x59: case 0x78: case 0x79:
            return o == 0x78 ? 1 : o == 0x79 ? 2 : o == 0x58 ? 4 : 8;
        }
        return (o >> 4 == 2 || o >> 4 == 3) && (o & 15) < 6 ? all / extensions[o & 15] : all;
    }
    if (row->map == MAP_V3A) {
        switch (o) {
        case 0x0a: case 0x21: return 4;
        case 0x0b: return 8;
        case 0x18: case 0x19: case 0x38: case 0x39: return 16;
        case 0x1d: return all / 2;
        }
        return all;
    }
    if (o == 0x2e || o == 0x2f)
        return row->prefix == OPCODE_PREFIX_P66 ? 8 : 4;
    if (is_scalar(row))
        return row->prefix == OPCODE_PREFIX_PF3 ? 4 : 8;
    if (o == 0x12 && row->prefix == OPCODE_PREFIX_PF2) /* VMOVDDUP */
        return all == 32 ? 32 : 8;
    if ((o == 0x5a && row->prefix == OPCODE_PREFIX_NP) || (o == 0xe6 && row->prefix == OPCODE_PREFIX_PF3))
        return all / 2;
    if (o == 0xd6 || (o == 0x7e && row->prefix == OPCODE_PREFIX_PF3))
        return 8;
    bool shift = (o & 15) < 4 && (o >> 4 >= 13) && o != 0xd0 && o != 0xe0 && o != 0xe3 && o != 0xf0;
    return shift ? 16 : all;
}

/* The operand in ModRM.rm: bytes in memory; 0: it is none, or not one of ours. */
static unsigned rm_bytes(const struct compile *c, unsigned operand)
{
    switch (operand) {
    case OPERAND_Wx: case OPERAND_Ux: case OPERAND_Mx: return vector_bytes(c);
    case OPERAND_Mdq: return 16;
    case OPERAND_Wq: case OPERAND_Mq: case OPERAND_Eq: return 8;
    case OPERAND_Wd: case OPERAND_Md: case OPERAND_Ed: case OPERAND_Rd: return 4;
    case OPERAND_Ew: return 2;
    case OPERAND_Mb: return 1;
    case OPERAND_Ey: return c->insn->rex & 8 ? 8 : 4;
    }
    return 0;
}

static bool is_general_rm(unsigned operand)
{
    return operand == OPERAND_Ey || operand == OPERAND_Ed || operand == OPERAND_Eq || operand == OPERAND_Ew
           || operand == OPERAND_Rd;
}

static bool excluded(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    switch (row->map) {
    case MAP_V0F: return o == 0x52 || o == 0x53 || o == 0xf7;
    case MAP_V38: return (o >= 0x2c && o <= 0x2f) || o == 0x8c || o == 0x8e || (o >= 0x90 && o <= 0x93);
    case MAP_V3A: return o == 0x40 || o == 0x41 || (o >= 0x60 && o <= 0x63);
    }
    return true;
}

/* Memory must be aligned to the vector's length. */
static bool is_aligned(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    if (row->map == MAP_V38)
        return o == 0x2a;
    bool integers = (o == 0x6f || o == 0x7f) && row->prefix == OPCODE_PREFIX_P66;
    return row->map == MAP_V0F && (o == 0x28 || o == 0x29 || o == 0x2b || o == 0xe7 || integers);
}

/* Where the operands are. */
struct places {
    unsigned rm;            /* enum operand */
    bool stores;            /* ModRM.rm is the destination */
    bool general_reg, writes_reg;
    bool immediate;
};

static bool find_places(const struct compile *c, struct places *p)
{
    *p = (struct places){ 0 };
    for (unsigned i = 0; i < 4; i++) {
        unsigned operand = c->row->operand[i];
        switch (operand) {
        case OPERAND__: case OPERAND_Vx: case OPERAND_Hx:
            break;
        case OPERAND_Gd: case OPERAND_Gy:
            p->general_reg = true;
            break;
        case OPERAND_Ib: case OPERAND_Lx:
            p->immediate = true;
            break;
        default:
            if (!rm_bytes(c, operand))
                return false;
            p->rm = operand;
            p->stores = i == 0;
        }
    }
    return p->rm;
}

static uint32_t host_opcode(const struct opcode_row *row)
{
    static const uint32_t map[] = { [MAP_V0F] = OP2(0), [MAP_V38] = OP3(0), [MAP_V3A] = OP4(0) };
    static const uint8_t prefix[] = { [OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3,
                                      [OPCODE_PREFIX_PF2] = 0xf2 };
    return map[row->map] | row->opcode | OP_PREFIX(row->prefix <= OPCODE_PREFIX_NP ? 0 : prefix[row->prefix]);
}

/* VZEROUPPER, VZEROALL */
static bool lower_zero(struct compile *c)
{
    flags_prepare(c, 0, !c->wide);
    memory_need_wide(c);
    emit_bytes(&c->e, c->insn->vex_l ? 0x77fcc5 : 0x77f8c5, 3);
    return true;
}

/* The guest register that is one of the operands, REGISTER_ZERO if none is. */
static unsigned general_guest(const struct compile *c, const struct places *p)
{
    if (p->general_reg)
        return c->insn->reg;
    return is_general_rm(p->rm) && c->insn->modrm >= 0xc0 ? c->insn->rm : REGISTER_ZERO;
}

static bool is_ours(const struct compile *c)
{
    const struct opcode_row *row = c->row;
    return row->map >= MAP_V0F && row->map <= MAP_V3A && !excluded(row) && c->kind->code_bytes == 8
           && translator_host_has(c->translator, (enum cpu_feature)row->feature);
}

static unsigned general_written(const struct compile *c, const struct places *p)
{
    unsigned guest = general_guest(c, p);
    return guest != REGISTER_ZERO && (p->general_reg || p->stores) ? 1u << guest : 0;
}

bool avx_use(const struct compile *c, struct access_use *use)
{
    struct places p;
    if (!is_ours(c) || !find_places(c, &p))
        return false;
    unsigned bytes = rm_bytes(c, p.rm);
    *use = (struct access_use){ c->insn->modrm < 0xc0 ? bytes : 0, is_aligned(c->row) ? bytes : 1, p.stores,
                                general_written(c, &p) };
    return true;
}

bool lower_avx(struct compile *c)
{
    const struct insn *insn = c->insn;
    const struct opcode_row *row = c->row;
    struct emitter *e = &c->e;
    struct places p;
    if (!is_ours(c))
        return false;
    if (row->map == MAP_V0F && row->opcode == 0x77)
        return lower_zero(c);
    if (row->map == MAP_V0F && row->opcode == 0xae)
        return lower_mxcsr(c, (insn->modrm >> 3 & 7) == 2);
    if (!find_places(c, &p))
        return false;
    bool memory = insn->modrm < 0xc0;
    unsigned guest = general_guest(c, &p);
    unsigned written = general_written(c, &p);
    bool general = guest != REGISTER_ZERO, writes = written;
    unsigned host = general && pinned(guest) ? host_of(guest) : SCRATCH;
    flags_prepare(c, written, memory_checks(c) || !c->wide || row->flags_written);
    memory_need_wide(c);
    struct host_operand rm = operand_register(insn->rm);
    if (memory) {
        rm = memory_vector(c, rm_bytes(c, p.rm), p.stores, is_aligned(row));
        if (general && host == SCRATCH) { /* the address may be there */
            emit_lea(e, 8, SCRATCH2, rm);
            rm = operand_memory(SCRATCH2, 0);
        }
    } else if (general) {
        if (!writes && !pinned(guest))
            emit_load(e, 8, SCRATCH, guest_operand(guest));
        if (!p.general_reg)
            rm = operand_register(host);
    }
    unsigned reg = row->modrm & MODRM_FIX_REG ? insn->modrm >> 3 & 7 : p.general_reg ? host : insn->reg;
    if (!writes || pinned(guest))
        scratch_keep(c);
    uint32_t named = e->named;
    emit_vex(e, host_opcode(row), insn->rex & 8 ? 8 : 4, insn->vex_l && !is_scalar(row), reg, insn->vvvv,
             rm);
    e->named = named | (general ? 1u << host : 0); /* no vector register is meant */
    if (p.immediate)
        emit_bytes(e, insn->imm, 1);
    if (writes && !pinned(guest))
        emit_store(e, 8, guest_operand(guest), SCRATCH);
    if (row->flags_written)
        flags_set(c, FIX_NONE);
    flags_overwritten(c, written);
    return true;
}
