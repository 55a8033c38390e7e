/*
 * Lowering of x87 instructions and EMMS: the same instruction on the host's
 * unit, which holds the guest's registers, tags, status and control word.
 *
 * The state is loaded when the first x87 or MMX instruction of a run of
 * translated code comes (translated.x87), and stored again before anything else
 * may need it. It is not loaded where an instruction could raise or find an
 * exception: CR0.TS or EM set or NE clear, an exception that FCW does not mask,
 * FSW.ES set. FDP and FOP change only with an unmasked exception, and so never
 * here; FIP is stored for the last instruction before someone may look at it.
 *
 * Not here, and so run by their handlers: what is computed in software for the
 * sake of equal results on all hosts (transcendental functions, FPREM,
 * FXTRACT, BCD), images and environments, FNINIT, FNCLEX, FFREE, aliases.
 */
#include "cpu/fp.h"
#include "translator/compile.h"

#define EMMS 0x77

/* The register form does not depend on the host: rm values, by opcode - D8h and
 * ModRM.reg. */
static const uint8_t register_forms[8][8] = {
    { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, /* FADD ... FDIVR */
    { 0xff, 0xff, 0x01, 0x00, 0x33, 0x7f, 0xc0, 0x34 }, /* FLD FXCH FNOP; FCHS ...; constants;
                                                         * FDECSTP ..., FSQRT FRNDINT FSCALE */
    { 0xff, 0xff, 0xff, 0xff, 0x00, 0x02, 0x00, 0x00 }, /* FCMOVcc, FUCOMPP */
    { 0xff, 0xff, 0xff, 0xff, 0x00, 0xff, 0xff, 0x00 }, /* FCMOVNcc, FUCOMI, FCOMI */
    { 0xff, 0xff, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff },
    { 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0x00, 0x00 }, /* FST FSTP FUCOM FUCOMP */
    { 0xff, 0xff, 0x00, 0x02, 0xff, 0xff, 0xff, 0xff }, /* FADDP ..., FCOMPP */
    { 0x00, 0x00, 0x00, 0x00, 0x01, 0xff, 0xff, 0x00 }, /* FNSTSW AX, FUCOMIP, FCOMIP */
};

/* Bytes of the memory operand, negative if it is written; 0: not here. */
static const int8_t memory_forms[8][8] = {
    { 4, 4, 4, 4, 4, 4, 4, 4 },
    { 4, 0, -4, -4, 0, 2, 0, -2 },
    { 4, 4, 4, 4, 4, 4, 4, 4 },
    { 4, -4, -4, -4, 0, 10, 0, -10 },
    { 8, 8, 8, 8, 8, 8, 8, 8 },
    { 8, -8, -8, -8, 0, 0, 0, -2 },
    { 2, 2, 2, 2, 2, 2, 2, 2 },
    { 2, -2, -2, -2, 0, 8, 0, -8 },
};

/* Control instructions do not record FIP: FLDCW, FNSTCW, FNSTSW. */
static bool is_control(const struct insn *insn)
{
    unsigned extension = insn->modrm >> 3 & 7;
    if (insn->modrm >= 0xc0)
        return insn->opcode == 0xdf && insn->modrm == 0xe0;
    return (insn->opcode == 0xd9 && (extension == 5 || extension == 7)) || (insn->opcode == 0xdd && extension == 7);
}

static void record(struct compile *c)
{
    uint64_t start = c->rip + c->insn->end - c->insn->length;
    c->fip = (struct pending_fip){ true, c->kind->code_bytes == 8 ? start : (uint32_t)start };
}

/* A control word that unmasks an exception is the handler's. */
static void load_control_word(struct compile *c)
{
    struct emitter *e = &c->e;
    memory_load(c, 2);
    emit_lea(e, 4, SCRATCH2, operand_memory(SCRATCH, 1));
    emit_instruction(e, OP1(0xf7), 4, 2, operand_register(SCRATCH)); /* NOT */
    emit_instruction(e, OP1(0xf7), 4, 0, operand_register(SCRATCH)); /* TEST */
    emit_bytes(e, FP_EXCEPTIONS, 4);
    memory_refuse_if(c, CONDITION_NE);
    emit_lea(e, 4, SCRATCH, operand_memory(SCRATCH2, -1));
    emit_alu_constant(e, ALU_AND, 4, operand_register(SCRATCH), 0x1f3f);
    emit_alu_constant(e, ALU_OR, 4, operand_register(SCRATCH), FCW_RESERVED);
    emit_store(e, 2, IN_VCPU(s.fcw), SCRATCH);
    emit_instruction(e, OP1(0xd9), 4, 5, IN_VCPU(s.fcw)); /* FLDCW */
}

bool x87_use(const struct compile *c, struct access_use *use)
{
    const struct insn *insn = c->insn;
    if (c->row->map != MAP_ONE || insn->opcode < 0xd8 || insn->opcode > 0xdf)
        return false;
    int bytes = insn->modrm < 0xc0 ? memory_forms[insn->opcode & 7][insn->modrm >> 3 & 7] : 0;
    bool status = insn->opcode == 0xdf && insn->modrm == 0xe0; /* FNSTSW AX */
    *use = (struct access_use){ (unsigned)(bytes < 0 ? -bytes : bytes), 1, bytes < 0,
                                status ? 1u << RAX : 0 };
    return true;
}

static bool lower_memory(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned extension = insn->modrm >> 3 & 7;
    int bytes = memory_forms[insn->opcode & 7][extension];
    if (!bytes)
        return false;
    bool control = insn->opcode == 0xd9 && extension == 5;
    flags_prepare(c, 0, control || !c->x87 || memory_checks(c));
    memory_need_x87(c);
    if (control) {
        load_control_word(c);
        return true;
    }
    struct host_operand operand = memory_operand(c, (unsigned)(bytes < 0 ? -bytes : bytes), bytes < 0, false);
    emit_instruction(&c->e, OP1(insn->opcode), 4, extension, operand);
    return true;
}

/* FCOMI and its kin clear OF, SF and AF; not every manual says so. */
static bool compares_to_flags(const struct insn *insn)
{
    unsigned extension = insn->modrm >> 3 & 7;
    return (insn->opcode == 0xdb || insn->opcode == 0xdf) && (extension == 5 || extension == 6);
}

static bool lower_register(struct compile *c)
{
    const struct insn *insn = c->insn;
    unsigned extension = insn->modrm >> 3 & 7;
    if (!(register_forms[insn->opcode & 7][extension] >> (insn->modrm & 7) & 1))
        return false;
    bool status = insn->opcode == 0xdf && extension == 4, compares = compares_to_flags(insn);
    unsigned written = status ? 1u << RAX : 0;
    flags_prepare(c, written, compares || !c->x87);
    memory_need_x87(c);
    if (c->row->flags_read)
        flags_load(c, c->row->flags_read);
    if (compares)
        emit_alu(&c->e, ALU_SUB, 4, SCRATCH, operand_register(SCRATCH));
    emit_bytes(&c->e, insn->opcode | insn->modrm << 8, 2);
    if (compares)
        flags_set(c, FIX_NONE);
    flags_overwritten(c, written);
    return true;
}

static bool lower_emms(struct compile *c)
{
    flags_prepare(c, 0, !c->x87);
    memory_need_x87(c);
    emit_bytes(&c->e, 0x0f | EMMS << 8, 2);
    return true;
}

bool lower_x87(struct compile *c)
{
    const struct insn *insn = c->insn;
    if (c->row->map == MAP_TWO && c->row->opcode == EMMS)
        return lower_emms(c);
    if (c->row->map != MAP_ONE)
        return false;
    if (c->row->opcode == 0x9b) { /* FWAIT: nothing waits */
        flags_prepare(c, 0, !c->x87);
        memory_need_x87(c);
        return true;
    }
    if (c->row->opcode < 0xd8 || c->row->opcode > 0xdf)
        return false;
    if (!(insn->modrm < 0xc0 ? lower_memory(c) : lower_register(c)))
        return false;
    if (!is_control(insn))
        record(c);
    return true;
}
