/*
 * Where the guest's arithmetic flags are while a block is compiled, and how to
 * get at them. Flags stay in the host's flags as long as nothing else uses
 * those; a recipe computes them again from operands that are still there; only
 * where neither holds are they saved. (docs/how-it-works.md)
 */
#include "translator/internal.h"

#define ALL F_ARITH
#define HOME IN_VCPU(translated.flags)

static bool is_shift(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    return row->map == MAP_ONE && (o == 0xc0 || o == 0xc1 || (o >= 0xd0 && o <= 0xd3));
}

/* A shift, or double shift, whose count is a constant other than 0. */
static bool constant_shift(const struct insn *insn, const struct opcode_row *row)
{
    bool twice = row->map == MAP_TWO && (row->opcode == 0xa4 || row->opcode == 0xac);
    if (!twice && (!is_shift(row) || row->opcode == 0xd2 || row->opcode == 0xd3))
        return false;
    return insn->imm & (insn->operand_bytes == 8 ? 63 : 31);
}

static unsigned flags_read(const struct insn *insn, const struct opcode_row *row)
{
    unsigned read = row->flags_read & ALL;
    if (constant_shift(insn, row)) {
        if (row->map == MAP_TWO)
            return 0;
        unsigned extension = insn->modrm >> 3 & 7;
        return extension == 2 || extension == 3 ? F_C : 0;
    }
    return read;
}

static unsigned flags_killed(const struct insn *insn, const struct opcode_row *row)
{
    if (is_shift(row) && !constant_shift(insn, row))
        return 0;
    if (insn->attributes & STRING)
        return 0;
    if (row->map == MAP_TWO && constant_shift(insn, row))
        return ALL;
    if (row->map >= MAP_V0F && row->map < MAP_COUNT && row->flags_written)
        return ALL; /* BMI: our definition has the undefined ones too */
    /* Rows that read all they write may leave them alone. */
    if (!is_shift(row) && (row->flags_read & row->flags_written & ALL) == (row->flags_written & ALL)
        && (row->flags_written & ALL) == ALL)
        return 0;
    return row->flags_written & ALL;
}

/* One-byte opcodes that neither fault nor end a block when their operands are
 * registers. */
static bool quiet_one(const struct opcode_row *row, const struct insn *insn)
{
    unsigned o = row->opcode, extension = insn->modrm >> 3 & 7;
    if (o < 0x40)
        return (o & 7) < 6;
    switch (o) {
    case 0x63: return row->mode == OPCODE_MODE_ONLY64; /* else ARPL */
    case 0x9e: case 0x9f: case 0xf5: case 0xf8: case 0xf9: case 0xfc: case 0xfd:
    case 0x40: case 0x48: case 0x69: case 0x6b: case 0x8d: case 0x90: case 0x98: case 0x99:
    case 0xb0: case 0xb8: case 0xc6: case 0xc7: case 0xa8: case 0xa9: case 0xe9: case 0xeb:
        return row->prefix == OPCODE_PREFIX_ANY;
    case 0xf6: case 0xf7: return extension < 6;
    case 0xfe: case 0xff: return extension < 2;
    }
    return (o >= 0x70 && o <= 0x8b) || is_shift(row);
}

static bool quiet_two(const struct opcode_row *row)
{
    unsigned o = row->opcode;
    if (row->prefix == OPCODE_PREFIX_PF3)
        return o == 0xb8 || o == 0xbc || o == 0xbd;
    if (row->prefix != OPCODE_PREFIX_ANY)
        return false;
    if (o == 0xbc || o == 0xbd || o == 0xa4 || o == 0xa5 || o == 0xac || o == 0xad)
        return true;
    return (o >= 0x40 && o <= 0x4f) || (o >= 0x80 && o <= 0x9f) || o == 0xa3 || o == 0xab || o == 0xb3
           || o == 0xbb || o == 0xba || o == 0xaf || o == 0xb6 || o == 0xb7 || o == 0xbe || o == 0xbf
           || o == 0xc8;
}

/* A row's instructions in registers are quiet if their opcode extension is less. */
static unsigned quiet_below(const struct opcode_row *row)
{
    struct insn insn = { 0 };
    unsigned extension = 0;
    if (row->map == MAP_TWO)
        return quiet_two(row) ? 8 : 0;
    if (row->map != MAP_ONE)
        return 0;
    while (extension < 8 && quiet_one(row, &insn))
        insn.modrm = (uint8_t)(++extension << 3);
    return extension;
}

/* What holds of the row's shifts by a constant other than 0 does not of this one. */
static bool counts(const struct opcode_row *row, const struct insn *insn)
{
    unsigned extension = insn->modrm >> 3 & 7;
    return !(insn->imm & 31) || (row->map == MAP_ONE && (extension == 2 || extension == 3)); /* RCL, RCR */
}

void flags_learn(struct row_facts *rows)
{
    for (unsigned i = 0; i <= opcode_row_count; i++) {
        struct insn insn = { .row = (uint16_t)i, .imm = 1 };
        const struct opcode_row *row = rows[i].row;
        bool lea = row->map == MAP_ONE && row->opcode == 0x8d;
        insn.attributes = (uint8_t)row->attributes;
        rows[i].flags = (struct row_flags){
            .use = { (uint16_t)flags_read(&insn, row), (uint16_t)flags_killed(&insn, row), false },
            .counts = constant_shift(&insn, row), .memory = row->modrm & MODRM_PRESENT && !lea,
            .one = row->map == MAP_ONE, .quiet_below = (uint8_t)quiet_below(row),
        };
    }
}

static bool seen_at(const struct compile *c, unsigned number, const struct row_flags *row)
{
    const struct insn *insn = c->insns[number];
    if (does_nothing(insn))
        return false;
    if (row->memory && insn->modrm < 0xc0 && !access_is_member(&c->accesses, number, ACCESS_OPERAND))
        return true;
    bool quiet = (insn->modrm >> 3 & 7) < row->quiet_below;
    return !quiet && !(row->one && access_is_member(&c->accesses, number, ACCESS_STACK));
}

/* Whether an instruction wants flags that none before it set, or lets some pass. */
static bool reads_first(const struct compile *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        if (c->flags_use[i].read)
            return true;
        if (c->flags_use[i].killed == ALL)
            return false;
        if (c->flags_use[i].killed || c->facts[i]->row->flags_written & ALL)
            return true;
    }
    return false;
}

enum flags_demand flags_analyse(struct compile *c)
{
    unsigned need = c->need[c->count] = ALL;
    for (unsigned i = c->count; i-- > 0;) {
        const struct insn *insn = c->insns[i];
        const struct row_flags *row = &c->facts[i]->flags;
        struct flags_use use = row->use;
        if (row->counts && counts(c->facts[i]->row, insn)) {
            use.read = (uint16_t)flags_read(insn, c->facts[i]->row);
            use.killed = (uint16_t)flags_killed(insn, c->facts[i]->row);
        }
        use.seen = seen_at(c, i, row);
        need = insn->attributes & SETS_RIP || use.seen ? ALL : (need & ~use.killed) | use.read;
        c->flags_use[i] = use;
        c->need[i] = (uint16_t)need;
    }
    return !need ? FLAGS_UNSEEN : reads_first(c) ? FLAGS_READ : FLAGS_SEEN;
}

static bool uses(const struct flags_state *f, unsigned written)
{
    if (f->recipe == RECIPE_NONE || f->recipe == RECIPE_ZERO)
        return false;
    unsigned used = (f->a_source == SOURCE_REGISTER) << f->a | (f->b_source == SOURCE_REGISTER) << f->b
                    | (f->fix == FIX_PRODUCT) << f->product; /* no branches: nobody could foretell them */
    return used & written;
}

/* Whether the host's flags will be used for something else before the guest's
 * are all set anew. */
static bool clobbered_later(const struct compile *c)
{
    for (unsigned i = c->number + 1; i < c->count; i++) {
        if (c->flags_use[i].seen)
            return true;
        if (c->flags_use[i].killed == ALL)
            return false;
    }
    return true;
}

/* Keeps what the recipe needs of registers that are about to be overwritten. */
static void keep_operands(struct compile *c, struct flags_state *f, unsigned written)
{
    uint8_t *source[2] = { &f->a_source, &f->b_source }, *number[2] = { &f->a, &f->b };
    for (unsigned i = 0; i < 2; i++) {
        if (*source[i] != SOURCE_REGISTER || !(written >> *number[i] & 1))
            continue;
        unsigned host = host_of(*number[i]);
        if (!pinned(*number[i])) {
            host = SCRATCH;
            emit_load(&c->e, 8, host, guest_operand(*number[i]));
        }
        emit_store(&c->e, 8, operand_memory(VCPU, (int32_t)(offsetof(struct cpu, translated.kept) + 8 * i)), host);
        *source[i] = SOURCE_KEPT;
        *number[i] = (uint8_t)i;
    }
}

void flags_keep(struct compile *c, unsigned written, bool clobbers)
{
    struct flags_state *f = &c->flags;
    const struct flags_use *use = &c->flags_use[c->number];
    bool live = f->live && !clobbers;
    if (f->deferred)
        return;
    if (f->home) {
        f->live = live;
        return;
    }
    unsigned through = need_after(c) & ~use->killed;
    unsigned here = clobbers ? c->need[c->number] & (use->seen ? ALL : use->read) : 0;
    bool product = f->fix == FIX_PRODUCT && written >> f->product & 1;
    live &= !product;
    if (uses(f, written) && !product && through && (!live || clobbered_later(c)))
        keep_operands(c, f, written);
    bool lost = uses(f, written) || f->recipe == RECIPE_NONE;
    if ((here && f->recipe == RECIPE_NONE) || (through && lost && !live))
        flags_save(c, f);
    f->live &= !clobbers;
}

bool flags_for_next_only(const struct compile *c)
{
    unsigned next = c->number + 1;
    return need_after(c) && next < c->count && !c->flags_use[next].seen && !c->need[next + 1];
}

void flags_void_recipe(struct compile *c, unsigned written)
{
    if (uses(&c->flags, written))
        c->flags.recipe = RECIPE_NONE;
}

void flags_clobbered(struct compile *c)
{
    c->flags.live = false;
}

void flags_set(struct compile *c, enum flags_fix fix)
{
    c->flags = (struct flags_state){ .live = true, .fix = (uint8_t)fix };
}

static struct host_operand source_operand(enum source source, unsigned reg)
{
    if (source == SOURCE_KEPT)
        return operand_memory(VCPU, (int32_t)(offsetof(struct cpu, translated.kept) + 8 * reg));
    return source == SOURCE_OPERAND ? IN_VCPU(translated.operand) : guest_operand(reg);
}

/* a into SCRATCH. */
static void fetch_a(struct compile *c, const struct flags_state *f)
{
    emit_load(&c->e, 8, SCRATCH, source_operand(f->a_source, f->a));
}

/* SCRATCH op b. */
static void with_b(struct compile *c, const struct flags_state *f, enum alu alu)
{
    if (f->b_source == SOURCE_CONSTANT)
        emit_alu_constant(&c->e, alu, f->width, operand_register(SCRATCH), f->constant);
    else
        emit_alu(&c->e, alu, f->width, SCRATCH, source_operand(f->b_source, f->b));
}

static void load_carry_slot(struct compile *c)
{
    emit_instruction(&c->e, OP2(0xba), 4, 4, IN_VCPU(translated.carry)); /* BT */
    emit_bytes(&c->e, 0, 1);
}

/* Computes the flags into the host's. */
static void cook(struct compile *c, const struct flags_state *f)
{
    struct emitter *e = &c->e;
    switch ((enum recipe)f->recipe) {
    case RECIPE_COMPARE:
        fetch_a(c, f);
        with_b(c, f, ALU_CMP);
        break;
    case RECIPE_TEST:
        fetch_a(c, f);
        if (f->b_source == SOURCE_CONSTANT) {
            emit_instruction(e, f->width == 1 ? OP1(0xf6) | OP_BYTE_RM : OP1(0xf7), f->width, 0,
                             operand_register(SCRATCH));
            emit_bytes(e, (uint32_t)f->constant, f->width == 8 ? 4 : f->width);
        } else {
            emit_test(e, f->width, source_operand(f->b_source, f->b), SCRATCH);
        }
        break;
    case RECIPE_RESULT:
        fetch_a(c, f);
        emit_test(e, f->width, operand_register(SCRATCH), SCRATCH);
        break;
    case RECIPE_ADDED:
        fetch_a(c, f);
        with_b(c, f, ALU_SUB);
        with_b(c, f, ALU_ADD);
        break;
    case RECIPE_SUBTRACTED:
        fetch_a(c, f);
        with_b(c, f, ALU_ADD);
        with_b(c, f, ALU_CMP);
        break;
    case RECIPE_INCREMENTED:
    case RECIPE_DECREMENTED: {
        bool up = f->recipe == RECIPE_INCREMENTED;
        load_carry_slot(c);
        fetch_a(c, f);
        emit_lea(e, 8, SCRATCH, operand_memory(SCRATCH, up ? -1 : 1));
        emit_instruction(e, f->width == 1 ? OP1(0xfe) | OP_BYTE_RM : OP1(0xff), f->width, up ? 0 : 1,
                         operand_register(SCRATCH));
        break;
    }
    case RECIPE_SHIFTED:
        fetch_a(c, f);
        emit_instruction(e, f->width == 1 ? OP1(0xc0) | OP_BYTE_RM : OP1(0xc1), f->width, f->op,
                         operand_register(SCRATCH));
        emit_bytes(e, (uint32_t)f->constant, 1);
        break;
    case RECIPE_NEGATED:
        fetch_a(c, f);
        emit_instruction(e, f->width == 1 ? OP1(0xf6) | OP_BYTE_RM : OP1(0xf7), f->width, 3,
                         operand_register(SCRATCH));
        emit_instruction(e, f->width == 1 ? OP1(0xf6) | OP_BYTE_RM : OP1(0xf7), f->width, 3,
                         operand_register(SCRATCH));
        break;
    case RECIPE_MULTIPLIED:
        fetch_a(c, f);
        if (f->b_source == SOURCE_CONSTANT) {
            emit_instruction(e, OP1(0x69), f->width, SCRATCH, operand_register(SCRATCH));
            emit_bytes(e, (uint32_t)f->constant, f->width == 2 ? 2 : 4);
        } else {
            emit_instruction(e, OP2(0xaf), f->width, SCRATCH, source_operand(f->b_source, f->b));
        }
        break;
    case RECIPE_ZERO:
        emit_alu(e, ALU_XOR, 4, SCRATCH, operand_register(SCRATCH));
        break;
    case RECIPE_NONE:
        break;
    }
}

/* Stores the host's flags to translated.flags with their fix. */
static void store_host_flags(struct compile *c, const struct flags_state *f)
{
    struct emitter *e = &c->e;
    unsigned fix = f->fix;
    emit_load(e, 8, SCRATCH, operand_register(HOST_RAX));
    if (fix == FIX_PRODUCT) {
        struct host_operand low = f->product == RAX ? operand_register(SCRATCH) : guest_operand(f->product);
        emit_instruction(e, OP2(0x90) | OP_BYTE_RM, 4, 0, operand_register(HOST_RAX)); /* SETO */
        if (low.memory) {
            emit_alu_constant(e, ALU_AND, f->width, low, -1);
        } else {
            emit_test(e, f->width, low, low.base);
        }
        emit_bytes(e, 0x9f, 1); /* LAHF */
        emit_alu_constant(e, ALU_AND, 4, operand_register(HOST_RAX), 0xee01);
        emit_bytes(e, 0xc408, 2); /* OR AH, AL */
    } else {
        emit_bytes(e, 0x9f, 1); /* LAHF */
        if (fix == FIX_NONE || fix == FIX_AF)
            emit_instruction(e, OP2(0x90) | OP_BYTE_RM, 4, 0, operand_register(HOST_RAX));
        if (fix == FIX_LEFT) {
            emit_bytes(e, 0xe088, 2);     /* MOV AL, AH */
            emit_bytes(e, 0x07e8c0, 3);   /* SHR AL, 7 */
            emit_bytes(e, 0xe030, 2);     /* XOR AL, AH */
        }
        if (fix == FIX_AF_OF)
            emit_alu_constant(e, ALU_AND, 4, operand_register(HOST_RAX), 0xef00);
        else if (fix != FIX_NONE)
            emit_alu_constant(e, ALU_AND, 4, operand_register(HOST_RAX), 0xef01);
    }
    emit_store(e, 4, HOME, HOST_RAX);
    emit_load(e, 8, HOST_RAX, operand_register(SCRATCH));
}

void flags_save(struct compile *c, struct flags_state *f)
{
    if (f->deferred) {
        emit_call(&c->e, c->translator->settle);
        *f = (struct flags_state){ .home = true };
        return;
    }
    if (f->home || (!f->live && f->recipe == RECIPE_NONE))
        return;
    if (!f->live)
        cook(c, f);
    store_host_flags(c, f);
    f->home = true;
    f->live = f->fix == FIX_NONE;
}

bool flags_in_memory(const struct flags_state *f)
{
    return f->fix != FIX_PRODUCT && !uses(f, ~0u);
}

void flags_defer(struct compile *c)
{
    struct flags_state *f = &c->flags;
    if (f->home || f->deferred)
        return;
    if (f->recipe == RECIPE_NONE || f->fix == FIX_PRODUCT)
        flags_save(c, f);
    else if (uses(f, ~0u))
        keep_operands(c, f, ~0u);
}

/* Flags that a fix changes. */
static unsigned fixed_flags(unsigned fix)
{
    static const uint16_t flags[] = {
        [FIX_NONE] = 0, [FIX_AF] = F_A, [FIX_AF_OF] = F_A | F_O, [FIX_LEFT] = F_A | F_O,
        [FIX_PRODUCT] = F_A | F_S | F_Z | F_P,
    };
    return flags[fix];
}

static void load_home(struct compile *c)
{
    struct emitter *e = &c->e;
    emit_load(e, 8, SCRATCH, operand_register(HOST_RAX));
    emit_load(e, 4, HOST_RAX, HOME);
    emit_bytes(e, 0x7f04, 2); /* ADD AL, 7Fh: OF as bit 0 was */
    emit_bytes(e, 0x9e, 1);   /* SAHF */
    emit_load(e, 8, HOST_RAX, operand_register(SCRATCH));
    c->flags.live = true;
    /* What the recipe makes still lacks the fix. */
    if (c->flags.fix != FIX_NONE)
        c->flags.recipe = RECIPE_NONE;
    c->flags.fix = FIX_NONE;
}

void flags_load(struct compile *c, unsigned mask)
{
    struct flags_state *f = &c->flags;
    if (f->deferred)
        flags_save(c, f);
    if (mask & fixed_flags(f->fix) && (f->live || !f->home)) {
        flags_save(c, f);
        load_home(c);
        return;
    }
    if (f->live)
        return;
    if (f->recipe != RECIPE_NONE && !(mask & fixed_flags(f->fix))) {
        cook(c, f);
        f->live = true;
        return;
    }
    load_home(c);
}

void flags_load_carry(struct compile *c)
{
    struct flags_state *f = &c->flags;
    if (f->live)
        return;
    if (f->deferred)
        flags_save(c, f);
    if (f->home) {
        emit_instruction(&c->e, OP2(0xba), 4, 4, HOME); /* BT */
        emit_bytes(&c->e, 8, 1);
        return;
    }
    cook(c, f);
    f->live = true;
}
