/*
 * Makes cases from rows of the opcode table: an encoding that the row allows,
 * then operands that make it do something: pointers into the data pages (now
 * and then past their ends), counters of a useful size, divisors that divide.
 */
#include "silicon.h"

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/opcode.h"

/* An instruction being put together. */
struct encoding {
    struct random *random;
    const struct opcode_row *row;
    struct test_case *test;
    unsigned disp_at, disp_bytes; /* of a displacement without base; 0: none */
};

static const struct { const char *name, *why; } refused[] = {
    { "SYSCALL", "system call" }, { "SYSENTER", "system call" }, { "SYSEXIT", "system" },
    { "SYSRET", "system" }, { "INT", "system call" }, { "INT1", "no page fault follows" },
    { "INT3", "no page fault follows" }, { "INTO", "no page fault follows" },
    { "RDTSC", "time" }, { "RDTSCP", "time" }, { "RDPMC", "host's" }, { "RDPID", "host's" },
    { "CPUID", "host's" }, { "RDRAND", "random" }, { "RDSEED", "random" },
    { "CALLF", "host's descriptors" }, { "JMPF", "host's descriptors" },
    { "RETF", "host's descriptors" }, { "IRET", "host's descriptors" },
    { "LES", "host's descriptors" }, { "LDS", "host's descriptors" },
    { "LSS", "host's descriptors" }, { "LFS", "host's descriptors" },
    { "LGS", "host's descriptors" }, { "LAR", "host's descriptors" },
    { "LSL", "host's descriptors" }, { "VERR", "host's descriptors" },
    { "VERW", "host's descriptors" }, { "SLDT", "host's" }, { "STR", "host's" },
    { "SGDT", "host's" }, { "SIDT", "host's" }, { "SMSW", "host's" },
    { "RDFSBASE", "thread's" }, { "RDGSBASE", "thread's" }, { "WRFSBASE", "thread's" },
    { "WRGSBASE", "thread's" }, { "SWAPGS", "system" }, { "XGETBV", "host's" },
    { "RSM", "system" }, { "MONITOR", "system" }, { "MWAIT", "system" },
    { "XSAVE", "host's layout" }, { "XSAVEC", "host's layout" }, { "XSAVEOPT", "host's layout" },
    { "XSAVES", "system" }, { "XRSTOR", "host's layout" }, { "XRSTORS", "system" },
    { "WRPKRU", "host's" }, { "RDPKRU", "host's" },
};

static bool uses(const struct opcode_row *row, unsigned operand)
{
    return row->operand[0] == operand || row->operand[1] == operand || row->operand[2] == operand
           || row->operand[3] == operand;
}

const char *generate_refuses(unsigned number)
{
    const struct opcode_row *row = &opcode_rows[number];
    for (unsigned i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (!strcmp(row->name, refused[i].name))
            return refused[i].why;
    for (unsigned operand = OPERAND_ESr; operand <= OPERAND_GSr; operand++)
        if (!strcmp(row->name, "POP") && uses(row, operand))
            return "host's descriptors";
    if (uses(row, OPERAND_Sw))
        return "host's descriptors";
    if (!host_has_feature(row->feature))
        return "the host has it not";
    return NULL;
}

static void emit(struct encoding *e, unsigned byte)
{
    if (e->test->length < 15)
        e->test->bytes[e->test->length++] = (uint8_t)byte;
}

static bool can(struct encoding *e, unsigned percent)
{
    return random_percent(e->random, percent);
}

static bool is_vex(const struct opcode_row *row)
{
    return row->map >= MAP_V0F;
}

/* VEX and the opcode. vvvv is now and then one that may not be. */
static void emit_vex(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    bool code64 = e->test->code_bytes == 8;
    bool w = row->modrm & VEX_W1 || (!(row->modrm & VEX_W0) && can(e, 40));
    bool l = row->modrm & VEX_L1 || (!(row->modrm & VEX_L0) && can(e, 40));
    unsigned pp = row->prefix == OPCODE_PREFIX_P66   ? 1
                  : row->prefix == OPCODE_PREFIX_PF3 ? 2
                  : row->prefix == OPCODE_PREFIX_PF2 ? 3
                                                     : 0;
    unsigned rxb = code64 ? random_below(e->random, 8) : 6 | random_below(e->random, 2);
    unsigned vvvv = uses(row, OPERAND_Hx) || uses(row, OPERAND_By) || can(e, 3)
                        ? random_below(e->random, 16) : 15;
    if (!code64)
        vvvv |= 8;
    unsigned last = vvvv << 3 | (unsigned)l << 2 | pp;
    if (row->map == MAP_V0F && !w && (rxb & 3) == 3 && can(e, 70)) {
        emit(e, 0xc5);
        emit(e, rxb >> 2 << 7 | last);
    } else {
        emit(e, 0xc4);
        emit(e, rxb << 5 | (row->map - MAP_V0F + 1u));
        emit(e, (unsigned)w << 7 | last);
    }
    emit(e, row->opcode);
}

static void emit_prefixes(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    static const uint8_t overrides[] = { 0x26, 0x2e, 0x36, 0x3e };
    bool code64 = e->test->code_bytes == 8;
    if (can(e, 3))
        emit(e, overrides[random_below(e->random, 4)]);
    if (can(e, 10))
        emit(e, 0x67);
    if (can(e, row->attributes & LOCKABLE ? 15 : 1))
        emit(e, 0xf0);
    if (is_vex(row))
        return;
    if (row->prefix == OPCODE_PREFIX_P66)
        emit(e, 0x66);
    /* Where the operand size of near branches is fixed, AMD and Intel differ on 66. */
    else if (row->prefix != OPCODE_PREFIX_NP && can(e, 20) && !(code64 && row->attributes & FORCE64))
        emit(e, 0x66);
    if (row->prefix == OPCODE_PREFIX_PF3)
        emit(e, 0xf3);
    else if (row->prefix == OPCODE_PREFIX_PF2)
        emit(e, 0xf2);
    else if (row->attributes & STRING && can(e, 55))
        emit(e, can(e, 60) ? 0xf3 : 0xf2);
    if (code64 && can(e, 60))
        emit(e, 0x40 | random_below(e->random, 16));
}

static void emit_opcode(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    if (is_vex(row)) {
        emit_vex(e);
        return;
    }
    if (row->map != MAP_ONE)
        emit(e, 0x0f);
    if (row->map == MAP_T38 || row->map == MAP_T3A)
        emit(e, row->map == MAP_T38 ? 0x38 : 0x3a);
    emit(e, row->opcode + (row->modrm & MODRM_PLUS_R ? random_below(e->random, 8) : 0));
}

static unsigned address_bytes(const struct encoding *e)
{
    unsigned code = e->test->code_bytes;
    for (unsigned i = 0; i < e->test->length; i++)
        if (e->test->bytes[i] == 0x67)
            return code == 4 ? 2 : 4;
        else if (e->test->bytes[i] == 0x0f || (e->test->bytes[i] & 0xfe) == 0xc4)
            break;
    return code;
}

static void emit_random(struct encoding *e, unsigned bytes)
{
    uint64_t value = random_next(e->random);
    if (can(e, 30))
        value = (uint64_t)(int64_t)(int8_t)value;
    for (unsigned i = 0; i < bytes; i++)
        emit(e, (uint8_t)(value >> 8 * i));
}

static void emit_modrm(struct encoding *e)
{
    const struct opcode_row *row = e->row;
    unsigned mod = can(e, 50) ? 3 : random_below(e->random, 3);
    unsigned reg = random_below(e->random, 8), rm = random_below(e->random, 8);
    unsigned bytes = address_bytes(e);
    if (row->modrm & MODRM_ONLY_REG)
        mod = 3;
    if (row->modrm & MODRM_ONLY_MEM && mod == 3)
        mod = random_below(e->random, 3);
    if (row->modrm & MODRM_FIX_REG)
        reg = row->modrm >> 3 & 7;
    if (row->modrm & MODRM_FIX_RM)
        rm = row->modrm & 7;
    emit(e, mod << 6 | reg << 3 | rm);
    if (mod == 3)
        return;
    unsigned sib_base = 0;
    if (bytes != 2 && rm == 4) {
        sib_base = random_below(e->random, 8);
        emit(e, random_below(e->random, 32) << 3 | sib_base);
    }
    e->disp_at = e->test->length;
    if (mod == 0 && (bytes == 2 ? rm == 6 : rm == 5 || (rm == 4 && sib_base == 5)))
        e->disp_bytes = bytes == 2 ? 2 : 4;
    emit_random(e, mod == 1 ? 1 : mod == 2 || e->disp_bytes ? (bytes == 2 ? 2 : 4) : 0);
}

/* The whole instruction; the decoder tells how long its immediates are. */
static const struct insn *encode(struct encoding *e)
{
    struct test_case *test = e->test;
    test->length = 0;
    emit_prefixes(e);
    unsigned bytes = address_bytes(e);
    emit_opcode(e);
    if (e->row->modrm & MODRM_PRESENT)
        emit_modrm(e);
    if (uses(e->row, OPERAND_Ob) || uses(e->row, OPERAND_Ov)) {
        e->disp_at = test->length;
        e->disp_bytes = bytes;
        emit_random(e, bytes);
    }
    while (test->length < 15)
        emit_random(e, can(e, 50) ? 8 : 1);
    test->bytes[15] = 0x90;
    const struct insn *insn = guest_decode(test);
    if (!insn || insn->length > 15)
        return NULL;
    test->length = insn->length;
    test->row = insn->row;
    return insn;
}

static uint64_t interesting(struct random *random)
{
    static const uint64_t values[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
        0x100000000, 0x7fffffffffffffff, 0x8000000000000000, ~0ull,
    };
    uint64_t value = random_next(random);
    switch (random_below(random, 5)) {
    case 0: return values[random_below(random, sizeof values / sizeof values[0])];
    case 1: return value & 0xff;
    case 2: return (uint64_t)(int64_t)(int32_t)value;
    default: return value;
    }
}

/* A float of `bits` with some chance of being a special one. */
static uint64_t floating(struct random *random, unsigned bits)
{
    static const uint64_t special64[] = {
        0, 0x8000000000000000, 0x3ff0000000000000, 0xbff0000000000000, 0x7ff0000000000000,
        0xfff0000000000000, 0x7ff8000000000000, 0x7ff0000000000001, 0xfff8000000001234, 1,
        0x000fffffffffffff, 0x0010000000000000, 0x7fefffffffffffff, 0x41dfffffffc00000,
        0xc1e0000000000000, 0x43e0000000000000, 0x3fe0000000000000, 0x4004000000000000,
    };
    static const uint32_t special32[] = {
        0, 0x80000000, 0x3f800000, 0xbf800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001,
        0xffc01234, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x4f000000, 0xcf000000, 0x3f000000,
        0x40200000, 0x5f000000,
    };
    uint64_t value = random_next(random);
    unsigned choice = random_below(random, 8);
    if (bits == 64) {
        if (choice < 3)
            return special64[random_below(random, 18)];
        if (choice < 7) /* of moderate size */
            return (value & 0x800fffffffffffff) | (uint64_t)(1023 - 40 + random_below(random, 80)) << 52;
        return value;
    }
    if (choice < 3)
        return special32[random_below(random, 18)];
    if (choice < 7)
        return (value & 0x807fffff) | (uint64_t)(127 - 20 + random_below(random, 40)) << 23;
    return (uint32_t)value;
}

static uint64_t pattern(struct random *random, unsigned kind)
{
    switch (kind) {
    case 0: return floating(random, 64);
    case 1: return floating(random, 32) | floating(random, 32) << 32;
    case 2: return interesting(random);
    default: return random_next(random);
    }
}

static void fill_data(struct random *random, uint8_t *data)
{
    unsigned kind = random_below(random, 6);
    if (kind == 4) {
        memset(data, (uint8_t)random_next(random), DATA_BYTES);
        return;
    }
    for (unsigned i = 0; i < DATA_BYTES; i += 8) {
        uint64_t value = pattern(random, kind);
        memcpy(data + i, &value, 8);
    }
}

static void fill_fx(struct random *random, struct fx_image *fx)
{
    static const uint16_t precisions[] = { 0x300, 0x300, 0x300, 0x200, 0 };
    unsigned kind = random_below(random, 4);
    memset(fx, 0, sizeof *fx);
    fx->mxcsr = 0x1f80;
    if (random_percent(random, 30))
        fx->mxcsr |= random_below(random, 4) << 13;
    if (random_percent(random, 10))
        fx->mxcsr |= (random_below(random, 2) << 15) | (random_below(random, 2) << 6);
    if (random_percent(random, 10))
        fx->mxcsr ^= random_below(random, 64) << 7;
    if (random_percent(random, 20))
        fx->mxcsr |= random_below(random, 64);
    fx->fcw = (uint16_t)(0x7f | precisions[random_below(random, 5)]);
    if (random_percent(random, 30))
        fx->fcw |= (uint16_t)(random_below(random, 4) << 10);
    unsigned top = random_below(random, 8);
    fx->fsw = (uint16_t)(top << 11 | (random_below(random, 16) & 7) << 8);
    fx->ftw = random_percent(random, 80) ? 0xff : (uint8_t)random_next(random);
    for (unsigned i = 0; i < 8; i++) {
        uint64_t significand = random_next(random) | 1ull << 63;
        uint16_t exponent = (uint16_t)(16383 - 40 + random_below(random, 80));
        unsigned choice = random_below(random, 20);
        if (choice == 0)
            significand = exponent = 0;
        else if (choice == 1)
            exponent = 0x7fff, significand = 1ull << 63;
        else if (choice == 2)
            exponent = 0x7fff;
        else if (choice == 3)
            exponent = 0, significand &= ~(1ull << 63);
        else if (choice == 4)
            significand = 1ull << 63, exponent = 16383;
        else if (choice == 5)
            significand &= ~0ull << random_below(random, 63);
        exponent |= (uint16_t)(random_below(random, 2) << 15);
        memcpy(fx->st[i].bytes, &significand, 8);
        memcpy(fx->st[i].bytes + 8, &exponent, 2);
    }
    for (unsigned i = 0; i < 16; i++) {
        uint64_t pair[2] = { pattern(random, kind), pattern(random, kind) };
        memcpy(fx->xmm[i], pair, 16);
    }
}

/* A linear address in the data, seldom at or past its end. */
static uint64_t data_target(struct random *random)
{
    unsigned choice = random_below(random, 100);
    uint64_t offset = random_below(random, DATA_BYTES - 64);
    if (choice < 60)
        offset &= ~15ull;
    else if (choice < 70)
        offset = 4096 - random_below(random, 16);
    else if (choice < 75)
        offset = DATA_BYTES - random_below(random, 32);
    return DATA_START + offset;
}

/* Makes the memory operand point to `target`, where its form allows. */
static void aim(struct encoding *e, const struct insn *insn, uint64_t target)
{
    struct test_case *test = e->test;
    uint64_t *gpr = test->before.gpr;
    uint64_t offset = target - data_base(test->code_bytes);
    uint64_t mask = ~0ull >> insn->address_shift;
    if (e->disp_bytes) {
        uint64_t rest = insn->index < RIP ? gpr[insn->index] << insn->scale : 0;
        if (insn->base == RIP)
            rest = code_base(test->code_bytes) + 4096 - insn->length + insn->end
                   + (CODE_PAGE - code_base(test->code_bytes));
        uint64_t disp = offset - rest;
        if (insn->index < RIP && e->disp_bytes == 4) {
            /* The index makes up what the displacement cannot. */
            gpr[insn->index] &= 0xffff;
            disp = offset - (gpr[insn->index] << insn->scale);
        }
        memcpy(test->bytes + e->disp_at, &disp, e->disp_bytes);
        return;
    }
    uint64_t rest = (uint64_t)insn->disp;
    if (insn->index < RIP && insn->index != insn->base)
        rest += gpr[insn->index] << insn->scale;
    uint64_t value = offset - rest;
    if (insn->base >= RIP)
        return;
    if (insn->index == insn->base)
        value /= 1 + (1ull << insn->scale);
    gpr[insn->base] = mask == ~0ull || !random_percent(e->random, 50)
                          ? value & mask
                          : (value & mask) | (gpr[insn->base] & ~mask);
}

static uint64_t offset_target(struct encoding *e)
{
    return data_target(e->random) - data_base(e->test->code_bytes);
}

/* Operands that are not in ModRM. */
static void aim_implicit(struct encoding *e, const struct insn *insn)
{
    uint64_t *gpr = e->test->before.gpr;
    const struct opcode_row *row = &opcode_rows[insn->row];
    gpr[RSP] = offset_target(e);
    if (can(e, 50))
        gpr[RBP] = offset_target(e);
    if (row->attributes & STRING) {
        gpr[RSI] = offset_target(e);
        gpr[RDI] = can(e, 30) ? gpr[RSI] + random_below(e->random, 17) - 8 : offset_target(e);
        gpr[RCX] = random_below(e->random, can(e, 90) ? 64 : 10000);
        if (can(e, 40))
            memcpy(&gpr[RAX], e->test->before.data, 8);
    }
    if (!strcmp(row->name, "XLAT"))
        gpr[RBX] = offset_target(e) - (uint8_t)gpr[RAX];
    if (!strncmp(row->name, "LOOP", 4) || !strcmp(row->name, "JCXZ"))
        gpr[RCX] = random_below(e->random, 3) | (can(e, 20) ? random_next(e->random) << 32 : 0);
    if (strstr(row->name, "DIV") && can(e, 70)) {
        gpr[RDX] = can(e, 50) ? 0 : can(e, 50) ? ~0ull : gpr[RDX] & 0xff;
        if (can(e, 50))
            gpr[RAX] &= 0xff;
    }
}

/* The destination equals the accumulator half of the time. */
static void aim_compare(struct encoding *e, const struct insn *insn)
{
    uint64_t *gpr = e->test->before.gpr;
    const struct opcode_row *row = &opcode_rows[insn->row];
    if (strncmp(row->name, "CMPXCHG", 7) || !can(e, 50))
        return;
    if (insn->modrm >= 0xc0) {
        gpr[RAX] = insn->operand_bytes == 1 ? gpr[insn->rm / 8] >> 8 * (insn->rm & 1) : gpr[insn->rm];
        return;
    }
    uint64_t offset = gpr[insn->base] * (insn->base < RIP)
                      + (gpr[insn->index] * (insn->index < RIP) << insn->scale) + (uint64_t)insn->disp
                      + data_base(e->test->code_bytes) - DATA_START;
    if (offset > DATA_BYTES - 16)
        return;
    memcpy(&gpr[RAX], e->test->before.data + offset, 8);
    memcpy(&gpr[RDX], e->test->before.data + offset + (insn->operand_bytes == 8 ? 8 : 4), 8);
}

static void fill_registers(struct encoding *e, const struct insn *insn)
{
    struct test_case *test = e->test;
    struct random *random = e->random;
    struct machine_state *before = &test->before;
    for (unsigned i = 0; i < 16; i++)
        before->gpr[i] = interesting(random);
    aim_implicit(e, insn);
    bool bit_string = !strncmp(opcode_rows[insn->row].name, "BT", 2);
    if (bit_string && insn->modrm && insn->modrm < 0xc0 && insn->opcode != 0xba && can(e, 80))
        before->gpr[insn->reg] = (uint64_t)((int64_t)random_below(random, 4000) - 2000);
    bool memory = (opcode_rows[insn->row].modrm & MODRM_PRESENT && insn->modrm < 0xc0)
                  || e->disp_bytes;
    if (memory && can(e, 95))
        aim(e, insn, data_target(random));
    before->rflags = (random_next(random) & FLAGS_ARITHMETIC) | FLAG_1 | FLAG_IF;
    if (can(e, opcode_rows[insn->row].attributes & STRING ? 30 : 5))
        before->rflags |= FLAG_DF;
    if (test->code_bytes != 8)
        for (unsigned i = 0; i < 16; i++)
            before->gpr[i] = i < 8 ? (uint32_t)before->gpr[i] : 0;
    before->rip = CODE_END - test->length - code_base(test->code_bytes);
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
        test->code_bytes = 4;
    const struct insn *insn = encode(&e);
    if (!insn || generate_refuses(insn->row))
        return false;
    /* AMD raises #UD, Intel does nothing. */
    if (!strcmp(opcode_rows[insn->row].name, "PREFETCHW") && insn->modrm >= 0xc0)
        return false;
    fill_data(random, test->before.data);
    fill_fx(random, &test->before.fx);
    for (unsigned i = 0; i < 16; i++)
        memcpy(test->before.ymm_high[i], random_percent(random, 50) ? test->before.fx.xmm[i]
               : test->before.fx.xmm[(i + 5) & 15], 16);
    fill_registers(&e, insn);
    insn = guest_decode(test); /* with the displacement that it has now */
    if (!insn)
        return false;
    aim_compare(&e, insn);
    if (test->code_bytes != 8)
        for (unsigned i = 0; i < 8; i++)
            test->before.gpr[i] = (uint32_t)test->before.gpr[i];
    return true;
}
