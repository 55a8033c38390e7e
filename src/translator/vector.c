/*
 * Lowering of MMX, of SSE to SSE4.2, AES, PCLMULQDQ, SHA and GFNI: the same instruction
 * on a host that has it, MMX and XMM registers under their own numbers, under the
 * guest's MXCSR.
 *
 * The registers are loaded when the first such instruction of a run of
 * translated code comes (translated.vectors), and stored again before anything
 * else may need them. They are not loaded where an instruction could raise an
 * exception: CR0.TS or EM, CR4.OSFXSR clear, an exception that MXCSR does not mask.
 * MMX registers are the x87's (x87.c).
 *
 * Not here, and so run by their handlers: instructions with MMX and XMM operands,
 * MASKMOVQ;
 * approximations (RCPPS, RSQRTPS), which differ between hosts; DPPS, DPPD, and
 * string compares.
 */
#include "cpu/fp.h"
#include "translator/internal.h"
#include "translator/scratch.h"

/* Bytes of the operand if it is in memory; 0: not one of ours. */
static unsigned memory_bytes(const struct compile *c, unsigned operand)
{
    bool wide = c->insn->rex & 8;
    switch (operand) {
    case OPERAND_Wdq: case OPERAND_Mdq: case OPERAND_Vdq: case OPERAND_Udq: return 16;
    case OPERAND_Wq: case OPERAND_Mq: case OPERAND_Vq: case OPERAND_Uq: return 8;
    case OPERAND_Pq: case OPERAND_Qq: case OPERAND_Nq: return 8;
    case OPERAND_Qd: return 4;
    case OPERAND_Wd: case OPERAND_Vd: case OPERAND_Ed: case OPERAND_Gd: case OPERAND_Rd: return 4;
    case OPERAND_Ww: case OPERAND_Mw: return 2;
    case OPERAND_Mb: return 1;
    case OPERAND_Ey: case OPERAND_Gy: return wide ? 8 : 4;
    }
    return 0;
}

static bool is_rm(unsigned operand)
{
    switch (operand) {
    case OPERAND_Wdq: case OPERAND_Wq: case OPERAND_Wd: case OPERAND_Ww: case OPERAND_Udq: case OPERAND_Uq:
    case OPERAND_Mdq: case OPERAND_Mq: case OPERAND_Mw: case OPERAND_Mb: case OPERAND_Ey: case OPERAND_Ed:
    case OPERAND_Rd: case OPERAND_Qq: case OPERAND_Qd: case OPERAND_Nq:
        return true;
    }
    return false;
}

static bool is_mmx(unsigned operand)
{
    return operand == OPERAND_Pq || operand == OPERAND_Qq || operand == OPERAND_Qd || operand == OPERAND_Nq;
}

static bool is_general(unsigned operand)
{
    return operand == OPERAND_Ey || operand == OPERAND_Ed || operand == OPERAND_Gd || operand == OPERAND_Gy
           || operand == OPERAND_Rd;
}

static bool feature_fits(const struct compile *c)
{
    switch (c->row->feature) {
    case FEATURE_MMX: case FEATURE_SSE: case FEATURE_SSE2: case FEATURE_SSE3: case FEATURE_SSSE3:
    case FEATURE_SSE4_1: case FEATURE_SSE4_2: case FEATURE_AES: case FEATURE_PCLMULQDQ: case FEATURE_SHA:
    case FEATURE_GFNI:
        return translator_host_has(c->translator, (enum cpu_feature)c->row->feature);
    }
    return false;
}

/* Instructions that fit by their operands, and yet are none of ours. */
static bool excluded(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    if (row->map == MAP_TWO)
        return o == 0x52 || o == 0x53 || o == 0xf7 || row->prefix == OPCODE_PREFIX_ANY;
    if (row->map == MAP_T3A)
        return o == 0x40 || o == 0x41 || (o >= 0x60 && o <= 0x63);
    return row->map != MAP_T38 || o == 0xf0 || o == 0xf1;
}

static bool operands_fit(const struct compile *c)
{
    for (unsigned i = 0; i < 4; i++) {
        unsigned operand = c->row->operand[i];
        if (operand != OPERAND__ && operand != OPERAND_Ib && operand != OPERAND_XMM0
            && !memory_bytes(c, operand))
            return false;
    }
    return c->row->operand[0] != OPERAND__;
}

/* Which register file; false: both. */
static bool one_file(const struct opcode_row *row, bool *mmx)
{
    unsigned mm = 0, xmm = 0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned operand = row->operand[i];
        bool memory = operand == OPERAND_Mq || operand == OPERAND_Mw;
        mm += is_mmx(operand);
        xmm += operand != OPERAND__ && operand != OPERAND_Ib && !memory && !is_general(operand)
               && !is_mmx(operand);
    }
    *mmx = mm;
    return !mm || !xmm;
}

static bool has_immediate(const struct opcode_row *row)
{
    for (unsigned i = 0; i < 4; i++)
        if (row->operand[i] == OPERAND_Ib)
            return true;
    return false;
}

static uint32_t host_opcode(const struct opcode_row *row)
{
    static const uint32_t map[] = { [MAP_TWO] = OP2(0), [MAP_T38] = OP3(0), [MAP_T3A] = OP4(0) };
    static const uint8_t prefix[] = {
        [OPCODE_PREFIX_NP] = 0, [OPCODE_PREFIX_P66] = 0x66, [OPCODE_PREFIX_PF3] = 0xf3, [OPCODE_PREFIX_PF2] = 0xf2,
    };
    return map[row->map] | row->opcode | OP_PREFIX(prefix[row->prefix]);
}

/* The general register among the operands: its number, and whether it is
 * written. */
struct general {
    bool any, rm, written;
    unsigned guest;
};

static struct general general_operand(const struct compile *c)
{
    struct general g = { 0 };
    bool memory = c->insn->modrm < 0xc0;
    for (unsigned i = 0; i < 4; i++) {
        unsigned operand = c->row->operand[i];
        if (!is_general(operand) || (memory && is_rm(operand)))
            continue;
        g.any = true;
        g.rm = is_rm(operand);
        g.written = i == 0;
        g.guest = g.rm ? c->insn->rm : c->insn->reg;
    }
    return g;
}

static unsigned rm_bytes(const struct compile *c, bool *written)
{
    for (unsigned i = 0; i < 4; i++)
        if (is_rm(c->row->operand[i])) {
            *written = i == 0;
            return memory_bytes(c, c->row->operand[i]);
        }
    *written = false;
    return 0;
}

/* LDMXCSR and STMXCSR. A value that unmasks an exception, or is none, is the
 * handler's. */
bool lower_mxcsr(struct compile *c, bool load)
{
    struct emitter *e = &c->e;
    flags_prepare(c, 0, true);
    if (c->row->map == MAP_TWO)
        memory_need_vectors(c);
    else
        memory_need_wide(c);
    if (!load) {
        emit_instruction(e, OP2(0xae), 4, 3, memory_operand(c, 4, true, false)); /* STMXCSR */
        return true;
    }
    memory_load(c, 4);
    emit_load(e, 4, SCRATCH2, operand_register(SCRATCH));
    emit_alu_constant(e, ALU_XOR, 4, operand_register(SCRATCH2), MXCSR_DEFAULT);
    emit_instruction(e, OP1(0xf7), 4, 0, operand_register(SCRATCH2)); /* TEST */
    emit_bytes(e, MXCSR_DEFAULT | ~MXCSR_VALID, 4);
    memory_refuse_if(c, CONDITION_NE);
    emit_store(e, 4, IN_VCPU(s.mxcsr), SCRATCH);
    emit_instruction(e, OP2(0xae), 4, 2, IN_VCPU(s.mxcsr)); /* LDMXCSR */
    return true;
}

/* What the current instruction is if it is one of ours. */
struct vector_form {
    bool mmx, stores, aligned;
    unsigned bytes; /* in memory, or what they would be */
    struct general general;
};

static bool form_of(const struct compile *c, struct vector_form *form)
{
    const struct opcode_row *row = c->row;
    if (row->map != MAP_TWO && row->map != MAP_T38 && row->map != MAP_T3A)
        return false;
    if (!feature_fits(c) || excluded(row) || !operands_fit(c) || !one_file(row, &form->mmx))
        return false;
    form->bytes = rm_bytes(c, &form->stores);
    form->general = general_operand(c);
    /* SHA's operands must be aligned on Intel's hosts, whatever the guest's model says. */
    form->aligned = form->bytes == 16 && (row->attributes & SSE_ALIGNED || row->feature == FEATURE_SHA);
    return c->insn->modrm >= 0xc0 || form->bytes;
}

bool vector_use(const struct compile *c, struct access_use *use)
{
    struct vector_form form;
    if (!form_of(c, &form))
        return false;
    const struct general *general = &form.general;
    *use = (struct access_use){ c->insn->modrm < 0xc0 ? form.bytes : 0, form.aligned ? form.bytes : 1,
                                form.stores,
                                general->any && general->written ? 1u << general->guest : 0 };
    return true;
}

bool lower_vector(struct compile *c)
{
    const struct insn *insn = c->insn;
    const struct opcode_row *row = c->row;
    struct emitter *e = &c->e;
    if (c->row->map == MAP_TWO && c->row->opcode == 0xae && c->row->feature == FEATURE_SSE)
        return lower_mxcsr(c, (insn->modrm >> 3 & 7) == 2);
    struct vector_form form;
    if (!form_of(c, &form))
        return false;
    bool memory = insn->modrm < 0xc0, mmx = form.mmx;
    struct general general = form.general;
    unsigned written = general.any && general.written ? 1u << general.guest : 0;
    flags_prepare(c, written, memory_checks(c) || row->flags_written || !(mmx ? c->x87 : c->vectors));
    if (mmx)
        memory_need_x87(c);
    else
        memory_need_vectors(c);
    struct host_operand rm = operand_register(mmx ? insn->rm & 7u : insn->rm);
    if (memory)
        rm = memory_vector(c, form.bytes, form.stores, form.aligned);
    if (memory && general.any && !pinned(general.guest)) { /* the address may be in SCRATCH */
        emit_lea(e, 8, SCRATCH2, rm);
        rm = operand_memory(SCRATCH2, 0);
    }
    unsigned reg = row->modrm & MODRM_FIX_REG ? insn->modrm >> 3 & 7 : mmx ? insn->reg & 7u : insn->reg;
    unsigned host = 0;
    if (general.any) {
        host = pinned(general.guest) ? host_of(general.guest) : SCRATCH;
        if (!pinned(general.guest) && !general.written)
            emit_load(e, 8, SCRATCH, guest_operand(general.guest));
        if (general.rm)
            rm = operand_register(host);
        else
            reg = host;
    }
    if (!written || pinned(general.guest))
        scratch_keep(c);
    uint32_t named = e->named;
    emit_instruction(e, host_opcode(row), insn->rex & 8 ? 8 : 4, reg, rm);
    e->named = named | (general.any ? 1u << host : 0); /* no vector register is meant */
    if (has_immediate(row))
        emit_bytes(e, insn->imm, 1);
    if (written && !pinned(general.guest))
        emit_store(e, 8, guest_operand(general.guest), SCRATCH);
    if (row->flags_written)
        flags_set(c, FIX_NONE);
    flags_overwritten(c, written);
    return true;
}
