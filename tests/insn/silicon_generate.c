/*
 * Makes cases from rows of the opcode table: an encoding (silicon_encode.c), then
 * operands that make it do something: pointers into the data pages (now and then
 * past their ends and those of segments), counters of a useful size, divisors that
 * divide, values near their limits (silicon_values.c).
 */
#include "silicon_encode.h"
#include "silicon_values.h"

#include <string.h>

#include "cpu/decode.h"

const struct segment_choice segment_choices[SEGMENT_CHOICES] = {
    [CHOICE_FLAT] = { .base = 0, .limit = 0xffffffff, .wide = true },
    [CHOICE_SMALL] = { .base = DATA_START, .limit = 0xffff },
    [CHOICE_EXACT] = { .base = DATA_START, .limit = DATA_BYTES - 1 },
    [CHOICE_WIDE] = { .base = DATA_START - 0x1800, .limit = DATA_BYTES + 0x17ff - 5, .wide = true },
    [CHOICE_READ_ONLY] = { .base = DATA_START, .limit = DATA_BYTES - 1, .read_only = true, .wide = true },
    [CHOICE_DOWN] = { .base = DATA_START, .limit = 0xfff, .down = true },
    [CHOICE_DOWN_WIDE] = { .base = DATA_START - 0x100, .limit = 0x11f3, .down = true, .wide = true },
    [CHOICE_NULL] = { .null = true },
};

static bool can(struct encoding *e, unsigned percent)
{
    return random_percent(e->random, percent);
}

/* SS must be writable. */
static void choose_segments(struct encoding *e)
{
    struct test_case *test = e->test;
    memset(test->segment, CHOICE_NULL, sizeof test->segment);
    unsigned usual = test->code_bytes == 2 ? CHOICE_SMALL : CHOICE_FLAT;
    static const uint8_t usable[] = { ES, SS, DS, GS };
    bool special = test->code_bytes != 8 && can(e, 25);
    for (unsigned i = 0; i < 4; i++) {
        unsigned choice = special && can(e, 60) ? random_below(e->random, SEGMENT_CHOICES) : usual;
        if (usable[i] == SS && (choice == CHOICE_READ_ONLY || choice == CHOICE_NULL))
            choice = CHOICE_EXACT;
        test->segment[usable[i]] = (uint8_t)choice;
    }
}

/* What an offset in segment register `segment` is added to. */
uint64_t segment_base(const struct test_case *test, unsigned segment)
{
    if (test->code_bytes == 8)
        return segment == GS ? GS_BASE64 : 0;
    return segment == CS ? code_base(test->code_bytes) : segment_choices[test->segment[segment]].base;
}

/* A linear address in the data, seldom at or past its end, or the segment's. */
static uint64_t data_target(struct encoding *e, unsigned segment)
{
    struct random *random = e->random;
    const struct segment_choice *limits = &segment_choices[e->test->segment[segment]];
    unsigned choice = random_below(random, 100);
    uint64_t offset = random_below(random, DATA_BYTES - 64);
    if (choice < 60)
        offset &= ~15ull;
    else if (choice < 70)
        offset = 4096 - random_below(random, 16);
    else if (choice < 75)
        offset = DATA_BYTES - random_below(random, 32);
    else if (choice < 77)
        return (e->test->code_bytes == 8 ? 1ull << 47 : 1ull << 32) - random_below(random, 32);
    else if (choice < 85 && e->test->code_bytes != 8 && segment != CS && limits->base)
        return limits->base + limits->limit - 16 + random_below(random, 32);
    return DATA_START + offset;
}

/* A displacement without base; an index makes up what it cannot reach. */
static void aim_displacement(struct encoding *e, const struct insn *insn, uint64_t offset)
{
    struct test_case *test = e->test;
    uint64_t *gpr = test->before.gpr;
    uint64_t rest = insn->index < RIP ? gpr[insn->index] << insn->scale : 0;
    if (insn->base == RIP)
        rest = CODE_END - test->length + insn->end;
    uint64_t disp = offset - rest;
    if (insn->index < RIP && e->disp_bytes == 4) {
        gpr[insn->index] &= 0xffff;
        disp = offset - (gpr[insn->index] << insn->scale);
    }
    memcpy(test->bytes + e->disp_at, &disp, e->disp_bytes);
}

/* Makes the memory operand point to `target`, where its form allows. */
static void aim(struct encoding *e, const struct insn *insn, uint64_t target)
{
    struct test_case *test = e->test;
    uint64_t *gpr = test->before.gpr;
    uint64_t offset = target - segment_base(test, insn->segment);
    uint64_t mask = ~0ull >> insn->address_shift;
    if (e->disp_bytes) {
        aim_displacement(e, insn, offset);
        return;
    }
    if (insn->base >= RIP)
        return;
    uint64_t rest = (uint64_t)insn->disp;
    if (insn->index < RIP && insn->index != insn->base)
        rest += gpr[insn->index] << insn->scale;
    uint64_t value = offset - rest;
    if (insn->index == insn->base)
        value /= 1 + (1ull << insn->scale);
    gpr[insn->base] = mask == ~0ull || !can(e, 50) ? value & mask
                                                   : (value & mask) | (gpr[insn->base] & ~mask);
}

static uint64_t offset_target(struct encoding *e, unsigned segment)
{
    return data_target(e, segment) - segment_base(e->test, segment);
}

static void aim_string(struct encoding *e, const struct insn *insn)
{
    uint64_t *gpr = e->test->before.gpr;
    unsigned source = insn->prefixes & PREFIX_SEGMENT ? insn->segment : DS;
    gpr[RSI] = offset_target(e, source);
    gpr[RDI] = offset_target(e, ES);
    if (can(e, 30)) /* overlapping */
        gpr[RDI] = gpr[RSI] + segment_base(e->test, source) - segment_base(e->test, ES)
                   + random_below(e->random, 17) - 8;
    gpr[RCX] = random_below(e->random, can(e, 90) ? 64 : 10000);
    if (can(e, 40))
        memcpy(&gpr[RAX], e->test->before.data, 8);
}

/* Index lanes that stay in the data pages. */
static void aim_gather(struct encoding *e, const struct insn *insn)
{
    struct machine_state *before = &e->test->before;
    for (unsigned i = 0; i < 16; i++) {
        uint32_t lane = random_below(e->random, 1000) - 500;
        if (insn->opcode & 1) /* 64 bits */
            lane = i & 1 ? (before->fx.xmm[insn->vector_index][4 * (i - 1)] & 0) : lane & 0xff;
        memcpy((i < 4 ? before->fx.xmm : before->ymm_high)[insn->vector_index] + 4 * (i & 3), &lane, 4);
        if (i == 7)
            break;
    }
}

/* Operands that are not in ModRM. */
static void aim_implicit(struct encoding *e, const struct insn *insn)
{
    uint64_t *gpr = e->test->before.gpr;
    const struct opcode_row *row = row_of(insn);
    gpr[RSP] = offset_target(e, SS);
    if (can(e, 50))
        gpr[RBP] = offset_target(e, SS);
    if (row->attributes & STRING)
        aim_string(e, insn);
    if (!strncmp(row->name, "MASKMOV", 7) || !strncmp(row->name, "VMASKMOVDQU", 11))
        gpr[RDI] = offset_target(e, insn->prefixes & PREFIX_SEGMENT ? insn->segment : DS);
    if (!strcmp(row->name, "XLAT"))
        gpr[RBX] = offset_target(e, insn->segment) - (uint8_t)gpr[RAX];
    if (!strncmp(row->name, "LOOP", 4) || !strcmp(row->name, "JCXZ"))
        gpr[RCX] = random_below(e->random, 3) | (can(e, 20) ? random_next(e->random) << 32 : 0);
    if (strstr(row->name, "DIV") && can(e, 70)) {
        gpr[RDX] = can(e, 50) ? 0 : can(e, 50) ? ~0ull : gpr[RDX] & 0xff;
        if (can(e, 50))
            gpr[RAX] &= 0xff;
    }
    if (row_has_image(row))
        gpr[RAX] = can(e, 80) ? random_below(e->random, 8) : gpr[RAX] & ~host_avx512();
    if (!strcmp(row->name, "XGETBV"))
        gpr[RCX] = random_below(e->random, 3) | (can(e, 50) ? random_next(e->random) << 32 : 0);
}

/* The destination equals the accumulator half of the time. */
static void aim_compare(struct encoding *e, const struct insn *insn)
{
    struct test_case *test = e->test;
    uint64_t *gpr = test->before.gpr;
    if (strncmp(row_of(insn)->name, "CMPXCHG", 7) || !can(e, 50))
        return;
    if (insn->modrm >= 0xc0) {
        gpr[RAX] = insn->operand_bytes == 1 ? gpr[insn->rm / 8] >> 8 * (insn->rm & 1) : gpr[insn->rm];
        return;
    }
    uint64_t offset = gpr[insn->base] * (insn->base < RIP)
                      + (gpr[insn->index] * (insn->index < RIP) << insn->scale) + (uint64_t)insn->disp
                      + segment_base(test, insn->segment) - DATA_START;
    if (offset > DATA_BYTES - 16)
        return;
    memcpy(&gpr[RAX], test->before.data + offset, 8);
    memcpy(&gpr[RDX], test->before.data + offset + (insn->operand_bytes == 8 ? 8 : 4), 8);
}

static void aim_memory(struct encoding *e, const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
    bool memory = (row->modrm & MODRM_PRESENT && insn->modrm < 0xc0) || e->disp_bytes;
    if (!memory || !can(e, 95))
        return;
    uint64_t target = data_target(e, insn->segment);
    if (row_has_image(row) && can(e, 90))
        target = DATA_START + 1024 * random_below(e->random, DATA_BYTES / 1024);
    aim(e, insn, target);
}

static void fill_registers(struct encoding *e, const struct insn *insn)
{
    struct test_case *test = e->test;
    struct random *random = e->random;
    struct machine_state *before = &test->before;
    const struct opcode_row *row = row_of(insn);
    for (unsigned i = 0; i < 16; i++)
        before->gpr[i] = value_integer(random);
    aim_implicit(e, insn);
    bool bit_string = !strncmp(row->name, "BT", 2);
    if (bit_string && insn->modrm && insn->modrm < 0xc0 && insn->opcode != 0xba && can(e, 80))
        before->gpr[insn->reg] = (uint64_t)((int64_t)random_below(random, 4000) - 2000);
    if (row_uses(row, OPERAND_Mvsib) && can(e, 90))
        aim_gather(e, insn);
    aim_memory(e, insn);
    before->rflags = (random_next(random) & FLAGS_ARITHMETIC) | FLAG_1 | FLAG_IF;
    if (can(e, row->attributes & STRING ? 30 : 5))
        before->rflags |= FLAG_DF;
    if (test->code_bytes != 8)
        for (unsigned i = 0; i < 16; i++)
            before->gpr[i] = i < 8 ? (uint32_t)before->gpr[i] : 0;
    before->rip = CODE_END - test->length - code_base(test->code_bytes);
}

static bool reads_image(const struct opcode_row *row)
{
    return !strncmp(row->name, "XRSTOR", 6) || !strncmp(row->name, "FXRSTOR", 7);
}

/* What an x87 instruction has in memory, by its opcode from D8 on and ModRM.reg. */
static enum value_kind x87_kind(unsigned escape, unsigned reg)
{
    static const enum value_kind kinds[] = { VALUE_F32, VALUE_F32, VALUE_INTEGER, VALUE_INTEGER,
                                             VALUE_F64, VALUE_F64, VALUE_INTEGER, VALUE_INTEGER };
    if (escape == 3 && reg >= 5)
        return VALUE_F80;
    return escape == 7 && reg == 4 ? VALUE_DECIMAL : kinds[escape];
}

/* What the row computes with, mostly; the name tells. */
static enum value_kind kind_of(struct random *random, const struct opcode_row *row,
                               const struct insn *insn)
{
    static const struct { const char *part; enum value_kind kind; } parts[] = {
        { "PS2", VALUE_F32 }, { "SS2", VALUE_F32 }, { "PD2", VALUE_F64 }, { "SD2", VALUE_F64 },
        { "2P", VALUE_INTEGER }, { "2S", VALUE_INTEGER },
    };
    const char *end = row->name + strlen(row->name) - 2;

    if (random_percent(random, 20))
        return VALUE_ANY;
    if (row->map == MAP_ONE && row->opcode >= 0xd8 && row->opcode <= 0xdf)
        return x87_kind(row->opcode - 0xd8u, insn->modrm >> 3 & 7);
    for (unsigned i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strstr(row->name, parts[i].part))
            return parts[i].kind;
    if (!strcmp(end, "PS") || !strcmp(end, "SS"))
        return VALUE_F32;
    return !strcmp(end, "PD") || !strcmp(end, "SD") ? VALUE_F64 : VALUE_ANY;
}

bool generate(struct random *random, unsigned number, struct test_case *test)
{
    const struct opcode_row *row = &opcode_rows[number];
    struct encoding e = { .random = random, .row = row, .test = test };
    unsigned mode = random_below(random, 100);
    test->code_bytes = mode < 60 ? 8 : mode < 85 ? 4 : 2;
    if (row->mode == OPCODE_MODE_ONLY64)
        test->code_bytes = 8;
    if (row->mode == OPCODE_MODE_NO64 && test->code_bytes == 8)
        test->code_bytes = can(&e, 70) ? 4 : 2;
    const struct insn *insn = encode(&e);
    if (!insn || (insn->row != ROW_INVALID && generate_refuses(insn->row)))
        return false;
    choose_segments(&e);
    enum value_kind kind = kind_of(random, row_of(insn), insn);
    value_fill_data(random, test->before.data, kind, reads_image(row_of(insn)));
    value_fill_fx(random, &test->before.fx, kind < VALUE_BYTES ? kind : VALUE_ANY);
    for (unsigned i = 0; i < 16; i++)
        memcpy(test->before.ymm_high[i], random_percent(random, 50) ? test->before.fx.xmm[i]
               : test->before.fx.xmm[(i + 5) & 15], 16);
    fill_registers(&e, insn);
    insn = guest_decode(test); /* with the displacement that it has now */
    if (insn->row != test->row)
        return false;
    aim_compare(&e, insn);
    if (test->code_bytes != 8)
        for (unsigned i = 0; i < 8; i++)
            test->before.gpr[i] = (uint32_t)test->before.gpr[i];
    return true;
}
