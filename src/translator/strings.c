/*
 * Lowering of string instructions in 64-bit code: one element of MOVS, STOS and LODS
 * upwards (downwards: the handler); repeated ones of all kinds through their
 * handler, which does a page at a time, and then on behind.
 */
#include "translator/form.h"
#include "translator/internal.h"

/* Leaves DF upwards, or goes to the slow path. */
static void check_direction(struct compile *c)
{
    emit_instruction(&c->e, OP1(0xf7), 4, 0, IN_VCPU(s.rflags)); /* TEST */
    emit_bytes(&c->e, FLAG_DF, 4);
    memory_leave_if(c, CONDITION_NE);
}

static void advance(struct compile *c, unsigned reg, unsigned width)
{
    emit_lea(&c->e, 8, reg, operand_memory(reg, (int32_t)width));
}

static void load_zero_extended(struct compile *c, unsigned width, struct host_operand from)
{
    if (width >= 4)
        emit_load(&c->e, width, SCRATCH, from);
    else
        emit_instruction(&c->e, OP2(width == 1 ? 0xb6 : 0xb7), 4, SCRATCH, from); /* MOVZX */
}

bool lower_string(struct compile *c)
{
    const struct insn *insn = c->insn;
    struct emitter *e = &c->e;
    unsigned width = insn->operand_bytes, o = c->row->opcode & 0xfe;
    bool reads = o != 0xaa, writes = o != 0xac;
    unsigned written = (reads ? 1u << RSI : 0) | (writes ? 1u << RDI : 1u << RAX);
    if (c->kind->code_bytes != 8 || insn->address_shift || (reads && insn->seg != SEGMENT_FLAT))
        return false;
    flags_prepare(c, written, true);
    check_direction(c);
    flags_clobbered(c);
    if (reads) {
        load_zero_extended(c, width, memory_stack(c, RSI, 0, width, false));
        if (writes)
            emit_store(e, 8, IN_VCPU(translated.value), SCRATCH);
    }
    if (writes) {
        struct host_operand to = memory_stack(c, RDI, 0, width, true);
        if (reads)
            emit_load(e, 8, SCRATCH, IN_VCPU(translated.value));
        emit_store(e, width, to, reads ? SCRATCH : HOST_RAX);
        advance(c, HOST_RDI, width);
    } else {
        emit_store(e, width == 4 ? 8 : width, operand_register(HOST_RAX), SCRATCH);
    }
    if (reads)
        advance(c, HOST_RSI, width);
    flags_overwritten(c, written);
    return true;
}

bool lower_repeated(struct compile *c)
{
    compile_call(c, c->translator->string);
    compile_fixup(c);
    compile_edge(c, -1, insn_end(c), false);
    return true;
}
