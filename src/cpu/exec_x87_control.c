/*
 * x87: the shared helpers of exec_x87.h; control instructions, environment
 * and state images. (SDM vol. 1, chapter 8; vol. 2) With CR0.NE clear an unmasked
 * exception is the board's (FERR#, IGNNE#; bus.fpu_error).
 */
#include "cpu/exec_x87.h"

const struct x87_register x87_indefinite = { 0xc000000000000000ull, 0xffff, { 0 } };

int x87_unavailable(struct cpu *cpu, bool waiting)
{
    if (cpu->s.cr0 & (CR0_EM | CR0_TS))
        return cpu_raise(cpu, VECTOR_NM);
    return waiting && cpu->s.fsw & FSW_ES ? x87_report(cpu) : 0;
}

/* As the 486 and later: FERR# is asserted when the next waiting instruction
 * finds the error, and that waits for the interrupt (SDM vol. 1, appendix D). */
int x87_report(struct cpu *cpu)
{
    if (cpu->s.cr0 & CR0_NE)
        return cpu_raise(cpu, VECTOR_MF);
    if (!cpu->bus.fpu_error || cpu->bus.fpu_error(cpu->bus.context, cpu, true))
        return 0;
    return cpu_raise(cpu, VECTOR_WAIT);
}

/* After ES may have been cleared: FERR# is given up. */
static void update_ferr(struct cpu *cpu)
{
    if (!(cpu->s.cr0 & CR0_NE) && !(cpu->s.fsw & FSW_ES) && cpu->bus.fpu_error)
        cpu->bus.fpu_error(cpu->bus.context, cpu, false);
}

unsigned x87_signal_slow(struct cpu *cpu, const struct insn *insn, unsigned status)
{
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~FSW_C1) | status | FSW_ES | FSW_B);
    cpu->s.fop = (uint16_t)((insn->opcode & 7) << 8 | insn->modrm);
    if (insn->modrm < 0xc0)
        cpu->s.fdp = insn_address(cpu, insn);
    return status & FP_EXCEPTIONS & ~cpu->s.fcw;
}

void x87_update_summary(struct cpu *cpu)
{
    cpu->s.fsw &= (uint16_t)~(FSW_ES | FSW_B);
    if (cpu->s.fsw & ~cpu->s.fcw & FP_EXCEPTIONS)
        cpu->s.fsw |= FSW_ES | FSW_B;
    update_ferr(cpu);
}

void x87_reset(struct cpu *cpu)
{
    cpu->s.fcw = FCW_DEFAULT;
    cpu->s.fsw = 0;
    cpu->s.ftw = 0xffff;
    cpu->s.fop = 0;
    cpu->s.fip = cpu->s.fdp = 0;
    update_ferr(cpu);
}

uint8_t x87_tags_abridged(const struct cpu *cpu)
{
    uint8_t tags = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((cpu->s.ftw >> 2 * i & 3) != X87_EMPTY)
            tags |= (uint8_t)(1u << i);
    return tags;
}

void x87_set_tags_abridged(struct cpu *cpu, uint8_t tags)
{
    cpu->s.ftw = 0;
    for (unsigned i = 0; i < 8; i++)
        if (!(tags >> i & 1))
            cpu->s.ftw |= (uint16_t)(X87_EMPTY << 2 * i);
}

/* The tag word as FSTENV stores it. */
static uint16_t tags_full(const struct cpu *cpu)
{
    uint16_t tags = 0;
    for (unsigned i = 0; i < 8; i++) {
        const struct x87_register *r = &cpu->s.x87[i];
        unsigned exponent = r->sign_exponent & 0x7fff, tag;
        if ((cpu->s.ftw >> 2 * i & 3) == X87_EMPTY)
            tag = X87_EMPTY;
        else if (exponent == 0 && r->significand == 0)
            tag = 1;
        else if (exponent == 0 || exponent == 0x7fff || !(r->significand >> 63))
            tag = 2;
        else
            tag = 0;
        tags |= (uint16_t)(tag << 2 * i);
    }
    return tags;
}

static void set_tags_full(struct cpu *cpu, uint16_t tags)
{
    uint8_t abridged = 0;
    for (unsigned i = 0; i < 8; i++)
        if ((tags >> 2 * i & 3) != X87_EMPTY)
            abridged |= (uint8_t)(1u << i);
    x87_set_tags_abridged(cpu, abridged);
}

/* FWAIT looks at TS only with MP, and not at EM. */
int exec_fwait(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    if ((cpu->s.cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
        return cpu_raise(cpu, VECTOR_NM);
    return cpu->s.fsw & FSW_ES ? x87_report(cpu) : 0;
}

int exec_fninit(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    x87_reset(cpu);
    return 0;
}

int exec_fnclex(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~(FP_EXCEPTIONS | FSW_SF | FSW_ES | FSW_B);
    update_ferr(cpu);
    return 0;
}

/* FNENI, FNDISI, FNSETPM: no operations since the 387. */
int exec_fnop_nowait(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return x87_check_nowait(cpu);
}

int exec_fnop(struct cpu *cpu, const struct insn *insn)
{
    return x87_begin(cpu, insn);
}

int exec_fldcw(struct cpu *cpu, const struct insn *insn)
{
    uint16_t value;
    if (x87_check(cpu) || memory_read16(cpu, insn->seg, insn_address(cpu, insn), &value))
        return CPU_FAULT;
    cpu->s.fcw = (value & 0x1f3f) | FCW_RESERVED;
    x87_update_summary(cpu);
    return 0;
}

int exec_fnstcw(struct cpu *cpu, const struct insn *insn)
{
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    return memory_write16(cpu, insn->seg, insn_address(cpu, insn), cpu->s.fcw);
}

int exec_fnstsw_m(struct cpu *cpu, const struct insn *insn)
{
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    return memory_write16(cpu, insn->seg, insn_address(cpu, insn), cpu->s.fsw);
}

int exec_fnstsw_ax(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    register_write16(cpu, RAX, cpu->s.fsw);
    return 0;
}

/* Environment: 14 or 28 bytes, in protected or real mode format. The selectors of
 * the former are 0. */

static bool real_format(const struct cpu *cpu)
{
    return !cpu_protected(cpu) || cpu_v86(cpu);
}

static unsigned environment_bytes(const struct insn *insn)
{
    return insn->operand_bytes == 2 ? 14 : 28;
}

static void put_environment(const struct cpu *cpu, const struct insn *insn, uint8_t *e)
{
    const struct cpu_state *s = &cpu->s;
    uint32_t ip = (uint32_t)s->fip, dp = (uint32_t)s->fdp;
    if (insn->operand_bytes == 2) {
        store16(e, s->fcw);
        store16(e + 2, s->fsw);
        store16(e + 4, tags_full(cpu));
        store16(e + 6, (uint16_t)ip);
        store16(e + 10, (uint16_t)dp);
        store16(e + 8, real_format(cpu) ? (uint16_t)((ip >> 4 & 0xf000) | s->fop) : 0);
        store16(e + 12, real_format(cpu) ? (uint16_t)(dp >> 4 & 0xf000) : 0);
        return;
    }
    store32(e, 0xffff0000 | s->fcw);
    store32(e + 4, 0xffff0000 | s->fsw);
    store32(e + 8, 0xffff0000 | tags_full(cpu));
    if (real_format(cpu)) {
        store32(e + 12, 0xffff0000 | (ip & 0xffff));
        store32(e + 16, (ip >> 4 & 0x0ffff000) | s->fop);
        store32(e + 20, 0xffff0000 | (dp & 0xffff));
        store32(e + 24, dp >> 4 & 0x0ffff000);
        return;
    }
    store32(e + 12, ip);
    store32(e + 16, (uint32_t)s->fop << 16);
    store32(e + 20, dp);
    store32(e + 24, 0xffff0000);
}

static void get_environment(struct cpu *cpu, const struct insn *insn, const uint8_t *e)
{
    struct cpu_state *s = &cpu->s;
    bool real = real_format(cpu);
    uint16_t tags;
    if (insn->operand_bytes == 2) {
        s->fcw = load16(e);
        s->fsw = load16(e + 2);
        tags = load16(e + 4);
        s->fip = load16(e + 6) | (real ? (uint32_t)(load16(e + 8) & 0xf000) << 4 : 0);
        s->fop = real ? load16(e + 8) & 0x7ff : 0;
        s->fdp = load16(e + 10) | (real ? (uint32_t)(load16(e + 12) & 0xf000) << 4 : 0);
    } else {
        s->fcw = load16(e);
        s->fsw = load16(e + 4);
        tags = load16(e + 8);
        if (real) {
            s->fip = load16(e + 12) | (load32(e + 16) & 0x0ffff000) << 4;
            s->fop = load16(e + 16) & 0x7ff;
            s->fdp = load16(e + 20) | (load32(e + 24) & 0x0ffff000) << 4;
        } else {
            s->fip = load32(e + 12);
            s->fop = load16(e + 18) & 0x7ff;
            s->fdp = load32(e + 20);
        }
    }
    s->fcw = (s->fcw & 0x1f3f) | FCW_RESERVED;
    set_tags_full(cpu, tags);
    x87_update_summary(cpu);
}

/* FNSTENV masks all exceptions afterwards. */
int exec_fnstenv(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[28];
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    put_environment(cpu, insn, image);
    if (memory_write_block(cpu, insn->seg, insn_address(cpu, insn), image,
                           environment_bytes(insn)))
        return CPU_FAULT;
    cpu->s.fcw |= FP_EXCEPTIONS;
    x87_update_summary(cpu);
    return 0;
}

int exec_fldenv(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[28];
    if (x87_check(cpu)
        || memory_read_block(cpu, insn->seg, insn_address(cpu, insn), image,
                             environment_bytes(insn)))
        return CPU_FAULT;
    get_environment(cpu, insn, image);
    return 0;
}

int exec_fnsave(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[28 + 80];
    unsigned start = environment_bytes(insn);
    if (x87_check_nowait(cpu))
        return CPU_FAULT;
    put_environment(cpu, insn, image);
    for (unsigned i = 0; i < 8; i++) {
        store64(image + start + 10 * i, x87_st(cpu, i)->significand);
        store16(image + start + 10 * i + 8, x87_st(cpu, i)->sign_exponent);
    }
    if (memory_write_block(cpu, insn->seg, insn_address(cpu, insn), image, start + 80))
        return CPU_FAULT;
    x87_reset(cpu);
    return 0;
}

int exec_frstor(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[28 + 80];
    unsigned start = environment_bytes(insn);
    if (x87_check(cpu)
        || memory_read_block(cpu, insn->seg, insn_address(cpu, insn), image, start + 80))
        return CPU_FAULT;
    get_environment(cpu, insn, image);
    for (unsigned i = 0; i < 8; i++) {
        x87_st(cpu, i)->significand = load64(image + start + 10 * i);
        x87_st(cpu, i)->sign_exponent = load16(image + start + 10 * i + 8);
    }
    return 0;
}

/* Stack control. */

int exec_ffree(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C1;
    x87_set_empty(cpu, insn->modrm & 7);
    return 0;
}

/* FFREEP: undocumented, FFREE and a pop. */
int exec_ffreep(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C1;
    x87_set_empty(cpu, insn->modrm & 7);
    x87_pop(cpu);
    return 0;
}

int exec_fincstp(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C1;
    x87_set_top(cpu, x87_physical(cpu, 1));
    return 0;
}

int exec_fdecstp(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C1;
    x87_set_top(cpu, x87_physical(cpu, 7));
    return 0;
}
