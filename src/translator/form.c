/* Passing an instruction with ModRM on to the host; see form.h. */
#include "translator/form.h"

/* A byte register as insn.h gives it. */
static bool is_high(unsigned place) { return place & 1; }
static unsigned byte_guest(unsigned place) { return place >> 3; }

bool form_is_memory(const struct compile *c)
{
    return c->row->modrm & MODRM_PRESENT && c->insn->modrm < 0xc0;
}


struct place form_place(unsigned number, unsigned width, bool byte_form)
{
    if (width == 1 && byte_form)
        return (struct place){ byte_guest(number), is_high(number) };
    return (struct place){ number, false };
}

/* The host register for an operand; loads it into `scratch` if it is in memory. */
unsigned form_enter(struct compile *c, unsigned guest, unsigned scratch, bool read, unsigned width)
{
    if (pinned(guest))
        return host_of(guest);
    if (read || width < 4)
        emit_load(&c->e, 8, scratch, guest_operand(guest));
    return scratch;
}

void form_leave(struct compile *c, unsigned guest, unsigned host)
{
    if (!pinned(guest))
        emit_store(&c->e, 8, guest_operand(guest), host);
}

unsigned form_written(const struct form *shape, struct place reg, struct place rm, bool memory)
{
    return (shape->reg_written ? 1u << reg.guest : 0) | (shape->rm_written && !memory ? 1u << rm.guest : 0);
}

/* Emits it. Flags must have been prepared. False: no encoding for it. */
bool form_emit(struct compile *c, const struct form *shape, struct place reg, struct place rm)
{
    const struct insn *insn = c->insn;
    bool memory = form_is_memory(c);
    uint32_t op = shape->op;
    unsigned host_reg = shape->extension, host_rm = 0;
    struct host_operand operand;
    if (memory)
        operand = memory_operand(c, shape->rm_width, shape->rm_written, !shape->no_reg && !pinned(reg.guest));
    if (!shape->no_reg) {
        host_reg = form_enter(c, reg.guest, SCRATCH, shape->reg_read, shape->reg_width);
        if (reg.high)
            host_reg += 4;
        if (shape->reg_width == 1 && !reg.high)
            op |= OP_BYTE_REG;
    }
    if (!memory) {
        host_rm = form_enter(c, rm.guest, SCRATCH2, shape->rm_read, shape->rm_width);
        if (rm.high)
            host_rm += 4;
        if (shape->rm_width == 1 && !rm.high)
            op |= OP_BYTE_RM;
        operand = operand_register(host_rm);
    }
    unsigned width = insn->operand_bytes;
    emit_instruction(&c->e, op, width, host_reg, operand);
    if (shape->immediate)
        emit_bytes(&c->e, insn->imm, shape->immediate);
    if (!shape->no_reg && shape->reg_written)
        form_leave(c, reg.guest, host_reg);
    if (!memory && shape->rm_written)
        form_leave(c, rm.guest, host_rm);
    return true;
}

/* Whether AH..BH can be encoded beside the other operand. */
bool form_encodable(const struct compile *c, const struct form *shape, struct place reg, struct place rm)
{
    bool memory = form_is_memory(c);
    bool high = (!shape->no_reg && reg.high) || (!memory && rm.high);
    if (!high)
        return true;
    if (memory || c->insn->operand_bytes == 8)
        return false;
    bool reg_plain = shape->no_reg || reg.high
                     || (pinned(reg.guest) && host_of(reg.guest) < (shape->reg_width == 1 ? 4u : 8u));
    bool rm_plain = rm.high || (pinned(rm.guest) && host_of(rm.guest) < (shape->rm_width == 1 ? 4u : 8u));
    return reg_plain && rm_plain;
}

unsigned form_immediate_bytes(unsigned width)
{
    return width == 8 ? 4 : width;
}

struct host_operand form_source(struct compile *c, unsigned width)
{
    if (!form_is_memory(c))
        return guest_operand(c->insn->rm);
    memory_load(c, width);
    return operand_register(SCRATCH);
}

struct host_operand form_source_kept(struct compile *c, unsigned width)
{
    struct host_operand from = form_source(c, width);
    if (!form_is_memory(c))
        return from;
    emit_store(&c->e, 8, IN_VCPU(translated.value), from.base);
    return IN_VCPU(translated.value);
}

void form_recipe(struct compile *c, enum recipe recipe, struct place a)
{
    struct flags_state *f = &c->flags;
    if (a.high)
        return;
    f->recipe = (uint8_t)recipe;
    f->width = c->insn->operand_bytes;
    f->a_source = SOURCE_REGISTER;
    f->a = (uint8_t)a.guest;
}
