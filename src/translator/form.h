/*
 * Instructions with ModRM, passed on to the host with other registers and
 * addresses; and the lowering functions by family.
 */
#ifndef TRANSLATOR_FORM_H
#define TRANSLATOR_FORM_H

#include "translator/scratch.h"

/* How an instruction with ModRM uses its operands. */
struct form {
    uint32_t op;            /* host opcode */
    bool reg_read, reg_written, rm_read, rm_written;
    bool no_reg;            /* ModRM.reg is an opcode extension */
    uint8_t extension;
    uint8_t reg_width, rm_width;
    uint8_t immediate;      /* bytes */
};

/* A register operand: which guest register, AH..BH or not. */
struct place {
    unsigned guest;
    bool high;
};

/* Whether the current instruction's r/m operand is in memory. */
static inline bool form_is_memory(const struct compile *c)
{
    return c->row->modrm & MODRM_PRESENT && c->insn->modrm < 0xc0;
}

/* The register operand `number` as insn.h gives it; `byte_form`: a place of a byte. */
static inline struct place form_place(unsigned number, unsigned width, bool byte_form)
{
    if (width == 1 && byte_form)
        return (struct place){ number >> 3, number & 1 };
    return (struct place){ number, false };
}

/* Guest registers that are written, as a mask. */
static inline unsigned form_written(const struct form *form, struct place reg, struct place rm, bool memory)
{
    return (form->reg_written ? 1u << reg.guest : 0) | (form->rm_written && !memory ? 1u << rm.guest : 0);
}

/* Whether AH..BH can be encoded beside the other operand. */
bool form_high_encodable(const struct compile *c, const struct form *form, struct place reg, struct place rm);
static inline bool form_encodable(const struct compile *c, const struct form *form, struct place reg,
                                  struct place rm)
{
    bool high = (!form->no_reg && reg.high) || (rm.high && !form_is_memory(c));
    return !high || form_high_encodable(c, form, reg, rm);
}

/* Whether the current instruction's operands are registers that have the same number
 * in the host, and so all of it may be as the guest has it; `has_reg`: ModRM.reg is one. */
static inline bool form_same(const struct compile *c, bool has_reg)
{
    const struct insn *insn = c->insn;
    unsigned reg = (insn->modrm >> 3 & 7) | (insn->rex & 4) << 1, rm = (insn->modrm & 7) | (insn->rex & 1) << 3;
    unsigned named = 1u << rm | (unsigned)has_reg << reg;
    return insn->modrm >= 0xc0 && !(named & (UNPINNED_REGISTERS | 1u << RSP));
}

/* Emits the guest's bytes, of which the immediate has so many. */
static inline void form_copy(struct compile *c, unsigned immediate)
{
    const struct insn *insn = c->insn;
    unsigned two = c->row->map == MAP_TWO, rex = insn->rex != 0, word = insn->operand_bytes == 2;
    uint64_t code = insn->opcode | (unsigned)insn->modrm << 8 | insn->imm << 16;
    code = code << 8 * two | 0x0f * two;
    code = code << 8 * rex | insn->rex;
    code = code << 8 * word | 0x66 * word;
    emit_bytes(&c->e, code, 2 + two + rex + word + immediate);
}

/* Emits it; flags must have been prepared. */
void form_emit(struct compile *c, const struct form *form, struct place reg, struct place rm);

/* The host register for an operand, loaded into `scratch` if it lives in memory
 * (and is read, or written in part); and back. */
static inline unsigned form_enter(struct compile *c, unsigned guest, unsigned scratch, bool read,
                                  unsigned width)
{
    if (pinned(guest))
        return host_of(guest);
    if (read || width < 4)
        scratch_load(c, scratch, guest);
    return scratch;
}
static inline void form_leave(struct compile *c, unsigned guest, unsigned host)
{
    if (!pinned(guest))
        scratch_store(c, guest, host);
}

/* The host register was only read. */
static inline void form_still(struct compile *c, unsigned guest, unsigned host)
{
    if (!pinned(guest))
        scratch_note(c, host, HELD_GUEST | guest);
}

static inline unsigned form_immediate_bytes(unsigned width)
{
    return width == 8 ? 4 : width;
}

/* The r/m operand to read from: the guest register, or SCRATCH, loaded from memory;
 * `_kept`: then in translated.value, so that SCRATCH is free. */
struct host_operand form_source(struct compile *c, unsigned width);
struct host_operand form_source_kept(struct compile *c, unsigned width);

/* A recipe whose first operand is the register `a`. */
static inline void form_recipe(struct compile *c, enum recipe recipe, struct place a)
{
    struct flags_state *f = &c->flags;
    if (a.high)
        return;
    f->recipe = (uint8_t)recipe;
    f->width = c->insn->operand_bytes;
    f->a_source = SOURCE_REGISTER;
    f->a = (uint8_t)a.guest;
}

/* Emits an instruction that leaves the flags alone, with all that belongs to it. */
bool form_move(struct compile *c, const struct form *form, bool byte_reg, bool byte_rm);

/* arithmetic.c, shift.c: each returns false when it cannot. */
bool lower_alu(struct compile *c);
bool lower_test(struct compile *c, bool constant, bool accumulator);
bool lower_step(struct compile *c, bool up);
bool lower_not_neg(struct compile *c, bool neg);
bool lower_multiply(struct compile *c, bool constant);
bool lower_multiply_accumulator(struct compile *c, unsigned extension);
bool lower_divide(struct compile *c, bool is_signed);
bool lower_shift(struct compile *c);
/* strings.c: one element */
bool lower_string(struct compile *c);

/* stack.c: `constant`: of the immediate. */
bool lower_push(struct compile *c, bool constant);
bool lower_push_memory(struct compile *c);
bool lower_push_segment(struct compile *c, unsigned segment);
bool lower_mov_segment(struct compile *c);
bool lower_pop(struct compile *c);
bool lower_leave(struct compile *c);

#endif
