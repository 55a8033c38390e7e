/*
 * x87: arithmetic, comparisons, FXAM, FPREM, FSCALE, FXTRACT, transcendental
 * instructions. (SDM vol. 2)
 */
#include "cpu/exec_x87.h"
#include "cpu/flags.h"

/* ST(to) = f(ST(left), ST(right)), then perhaps a pop. */
static inline int operate(struct cpu *cpu, const struct insn *insn, fp_x87_function *f,
                          unsigned to, unsigned left, unsigned right, bool pop)
{
    struct x87_register r = x87_indefinite;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (unlikely(x87_empty(cpu, left) || x87_empty(cpu, right))) {
        if (!x87_underflow(cpu, insn))
            return 0;
    } else {
        unsigned status = f(&r, x87_st(cpu, left), x87_st(cpu, right), x87_control_word(cpu));
        if (unlikely(x87_signal(cpu, insn, status) & FP_PRECOMPUTATION))
            return 0;
    }
    x87_write(cpu, to, &r);
    if (pop)
        x87_pop(cpu);
    return 0;
}

/* Conversion of a memory operand; `status` gets IE and DE. */
static inline int read_f32(struct cpu *cpu, const struct insn *insn, struct x87_register *v,
                           unsigned *status)
{
    uint32_t m;
    if (memory_read32(cpu, insn->seg, insn_address(cpu, insn), &m))
        return CPU_FAULT;
    *status = fp_x87_from_f32(v, m);
    return 0;
}

static inline int read_f64(struct cpu *cpu, const struct insn *insn, struct x87_register *v,
                           unsigned *status)
{
    uint64_t m;
    if (memory_read64(cpu, insn->seg, insn_address(cpu, insn), &m))
        return CPU_FAULT;
    *status = fp_x87_from_f64(v, m);
    return 0;
}

static inline int read_i16(struct cpu *cpu, const struct insn *insn, struct x87_register *v,
                           unsigned *status)
{
    uint16_t m;
    if (memory_read16(cpu, insn->seg, insn_address(cpu, insn), &m))
        return CPU_FAULT;
    *status = fp_x87_from_i64(v, (int16_t)m);
    return 0;
}

static inline int read_i32(struct cpu *cpu, const struct insn *insn, struct x87_register *v,
                           unsigned *status)
{
    uint32_t m;
    if (memory_read32(cpu, insn->seg, insn_address(cpu, insn), &m))
        return CPU_FAULT;
    *status = fp_x87_from_i64(v, (int32_t)m);
    return 0;
}

static bool is_nan(const struct x87_register *a)
{
    return (a->sign_exponent & 0x7fff) == 0x7fff && a->significand != 1ull << 63;
}

/* A denormal in memory counts unless something of higher priority was found:
 * an invalid operation, a NaN, a division by zero. */
static unsigned with_denormal(unsigned status, unsigned loaded, const struct x87_register *st0)
{
    return loaded & FP_DE && !(status & (FP_IE | FP_ZE)) && !is_nan(st0) ? status | FP_DE : status;
}

/* with_denormal must see what was really raised. */
static inline uint32_t loaded_control(const struct cpu *cpu, unsigned loaded)
{
    return loaded ? cpu->s.fcw : x87_control_word(cpu);
}

/* ST(0) = f(ST(0), memory), or f(memory, ST(0)) when `reverse`. */
static inline int operate_memory(struct cpu *cpu, const struct insn *insn, fp_x87_function *f,
                                 const struct x87_register *m, unsigned loaded, bool reverse)
{
    struct x87_register r = x87_indefinite;
    cpu->s.fip = insn_start(cpu, insn);
    if (unlikely(x87_empty(cpu, 0))) {
        if (!x87_underflow(cpu, insn))
            return 0;
    } else {
        const struct x87_register *st0 = x87_st(cpu, 0);
        uint32_t control = loaded_control(cpu, loaded);
        unsigned status = reverse ? f(&r, m, st0, control) : f(&r, st0, m, control);
        if (unlikely(loaded & FP_DE)) {
            status = with_denormal(status, loaded, st0);
            if (status & FP_DE & ~cpu->s.fcw)
                status &= FP_PRECOMPUTATION;
        }
        if (unlikely(x87_signal(cpu, insn, status) & FP_PRECOMPUTATION))
            return 0;
    }
    x87_write(cpu, 0, &r);
    return 0;
}

#define MEMORY_FORM(name, type, f, reverse)                                                        \
    int exec_##name##_m_##type(struct cpu *cpu, const struct insn *insn)                           \
    {                                                                                              \
        struct x87_register m;                                                                     \
        unsigned status;                                                                           \
        if (x87_check(cpu) || read_##type(cpu, insn, &m, &status))                                 \
            return CPU_FAULT;                                                                      \
        return operate_memory(cpu, insn, f, &m, status, reverse);                                  \
    }
#define ARITHMETIC(name, f, reverse)                                                               \
    int exec_##name##_st0(struct cpu *cpu, const struct insn *insn)                                \
    {                                                                                              \
        unsigned i = insn->modrm & 7;                                                              \
        return operate(cpu, insn, f, 0, (reverse) ? i : 0, (reverse) ? 0 : i, false);              \
    }                                                                                              \
    int exec_##name##_sti(struct cpu *cpu, const struct insn *insn)                                \
    {                                                                                              \
        unsigned i = insn->modrm & 7;                                                              \
        return operate(cpu, insn, f, i, (reverse) ? 0 : i, (reverse) ? i : 0, false);              \
    }                                                                                              \
    int exec_##name##p(struct cpu *cpu, const struct insn *insn)                                   \
    {                                                                                              \
        unsigned i = insn->modrm & 7;                                                              \
        return operate(cpu, insn, f, i, (reverse) ? 0 : i, (reverse) ? i : 0, true);               \
    }                                                                                              \
    MEMORY_FORM(name, f32, f, reverse)                                                             \
    MEMORY_FORM(name, f64, f, reverse)                                                             \
    MEMORY_FORM(name, i16, f, reverse)                                                             \
    MEMORY_FORM(name, i32, f, reverse)
ARITHMETIC(fadd, fp_x87_add, false)
ARITHMETIC(fmul, fp_x87_mul, false)
ARITHMETIC(fsub, fp_x87_sub, false)
ARITHMETIC(fsubr, fp_x87_sub, true)
ARITHMETIC(fdiv, fp_x87_div, false)
ARITHMETIC(fdivr, fp_x87_div, true)

/* Comparisons: to C0, C2, C3, then `pops` pops. An unmasked exception leaves
 * codes and stack alone. */

#define FSW_CODES (FSW_C0 | FSW_C2 | FSW_C3)

typedef uint16_t compare_function(const struct x87_register *a, const struct x87_register *b,
                                  uint32_t fcw);

/* Takes the outcome; true if the instruction goes on. */
static bool compared(struct cpu *cpu, const struct insn *insn, unsigned status)
{
    if (x87_signal(cpu, insn, status & (FP_EXCEPTIONS | FSW_SF)) & FP_PRECOMPUTATION)
        return false;
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~FSW_CODES) | (status & FSW_CODES));
    return true;
}

static int compare(struct cpu *cpu, const struct insn *insn, compare_function *f, unsigned pops)
{
    unsigned i = insn->modrm & 7, status = FP_IE | FSW_SF | FSW_CODES;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (!x87_empty(cpu, 0) && !x87_empty(cpu, i))
        status = f(x87_st(cpu, 0), x87_st(cpu, i), x87_control_word(cpu));
    if (!compared(cpu, insn, status))
        return 0;
    while (pops--)
        x87_pop(cpu);
    return 0;
}

int exec_fcom_st(struct cpu *cpu, const struct insn *insn)
{
    return compare(cpu, insn, fp_x87_compare, 0);
}
int exec_fcomp_st(struct cpu *cpu, const struct insn *insn)
{
    return compare(cpu, insn, fp_x87_compare, 1);
}
int exec_fcompp(struct cpu *cpu, const struct insn *insn)
{
    return compare(cpu, insn, fp_x87_compare, 2);
}
int exec_fucom(struct cpu *cpu, const struct insn *insn)
{
    return compare(cpu, insn, fp_x87_compare_quiet, 0);
}
int exec_fucomp(struct cpu *cpu, const struct insn *insn)
{
    return compare(cpu, insn, fp_x87_compare_quiet, 1);
}
int exec_fucompp(struct cpu *cpu, const struct insn *insn)
{
    return compare(cpu, insn, fp_x87_compare_quiet, 2);
}

static int compare_memory(struct cpu *cpu, const struct insn *insn, const struct x87_register *m,
                          unsigned loaded, bool pop)
{
    unsigned status = FP_IE | FSW_SF | FSW_CODES;
    cpu->s.fip = insn_start(cpu, insn);
    if (!x87_empty(cpu, 0)) {
        const struct x87_register *st0 = x87_st(cpu, 0);
        status = with_denormal(fp_x87_compare(st0, m, loaded_control(cpu, loaded)), loaded, st0);
    }
    if (compared(cpu, insn, status) && pop)
        x87_pop(cpu);
    return 0;
}

#define COMPARE_MEMORY(name, type, pop)                                                            \
    int exec_##name##_m_##type(struct cpu *cpu, const struct insn *insn)                           \
    {                                                                                              \
        struct x87_register m;                                                                     \
        unsigned status;                                                                           \
        if (x87_check(cpu) || read_##type(cpu, insn, &m, &status))                                 \
            return CPU_FAULT;                                                                      \
        return compare_memory(cpu, insn, &m, status, pop);                                         \
    }
COMPARE_MEMORY(fcom, f32, false)
COMPARE_MEMORY(fcomp, f32, true)
COMPARE_MEMORY(fcom, f64, false)
COMPARE_MEMORY(fcomp, f64, true)
COMPARE_MEMORY(fcom, i16, false)
COMPARE_MEMORY(fcomp, i16, true)
COMPARE_MEMORY(fcom, i32, false)
COMPARE_MEMORY(fcomp, i32, true)

int exec_ftst(struct cpu *cpu, const struct insn *insn)
{
    static const struct x87_register zero;
    unsigned status = FP_IE | FSW_SF | FSW_CODES;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (!x87_empty(cpu, 0))
        status = fp_x87_compare(x87_st(cpu, 0), &zero, x87_control_word(cpu));
    compared(cpu, insn, status);
    return 0;
}

/* FCOMI: to ZF, PF, CF; the other arithmetic flags are cleared. C1 changes only
 * with a stack fault. */
static int compare_flags(struct cpu *cpu, const struct insn *insn, compare_function *f, bool pop)
{
    unsigned i = insn->modrm & 7, status = FP_IE | FSW_SF | FSW_CODES;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (!x87_empty(cpu, 0) && !x87_empty(cpu, i))
        status = f(x87_st(cpu, 0), x87_st(cpu, i), x87_control_word(cpu));
    unsigned c1 = status & FSW_SF ? 0 : cpu->s.fsw & FSW_C1;
    if (x87_signal(cpu, insn, (status & (FP_EXCEPTIONS | FSW_SF)) | c1) & FP_PRECOMPUTATION)
        return 0;
    flags_put(cpu, (status & FSW_C3 ? FLAG_ZF : 0) | (status & FSW_C2 ? FLAG_PF : 0)
                       | (status & FSW_C0 ? FLAG_CF : 0));
    if (pop)
        x87_pop(cpu);
    return 0;
}

int exec_fcomi(struct cpu *cpu, const struct insn *insn)
{
    return compare_flags(cpu, insn, fp_x87_compare, false);
}
int exec_fcomip(struct cpu *cpu, const struct insn *insn)
{
    return compare_flags(cpu, insn, fp_x87_compare, true);
}
int exec_fucomi(struct cpu *cpu, const struct insn *insn)
{
    return compare_flags(cpu, insn, fp_x87_compare_quiet, false);
}
int exec_fucomip(struct cpu *cpu, const struct insn *insn)
{
    return compare_flags(cpu, insn, fp_x87_compare_quiet, true);
}

int exec_fxam(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    const struct x87_register *a = x87_st(cpu, 0);
    unsigned exponent = a->sign_exponent & 0x7fff, class;
    if (x87_empty(cpu, 0))
        class = FSW_C3 | FSW_C0;
    else if (exponent == 0)
        class = a->significand ? FSW_C3 | FSW_C2 : FSW_C3;
    else if (!(a->significand >> 63))
        class = 0;
    else if (exponent == 0x7fff)
        class = is_nan(a) ? FSW_C0 : FSW_C2 | FSW_C0;
    else
        class = FSW_C2;
    if (a->sign_exponent >> 15)
        class |= FSW_C1;
    cpu->s.fsw = (uint16_t)((cpu->s.fsw & ~(FSW_CODES | FSW_C1)) | class);
    return 0;
}

/* One operand. */

static int change_sign(struct cpu *cpu, const struct insn *insn, uint16_t and, uint16_t xor)
{
    struct x87_register r = x87_indefinite;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (x87_empty(cpu, 0)) {
        if (!x87_underflow(cpu, insn))
            return 0;
    } else {
        r = *x87_st(cpu, 0);
        r.sign_exponent = (r.sign_exponent & and) ^ xor;
        cpu->s.fsw &= (uint16_t)~FSW_C1;
    }
    x87_write(cpu, 0, &r);
    return 0;
}

int exec_fchs(struct cpu *cpu, const struct insn *insn)
{
    return change_sign(cpu, insn, 0xffff, 0x8000);
}
int exec_fabs(struct cpu *cpu, const struct insn *insn)
{
    return change_sign(cpu, insn, 0x7fff, 0);
}

/* ST(0) = f(ST(0)). Functions of a limited range report C2. */
static int unary(struct cpu *cpu, const struct insn *insn, fp_x87_unary *f, bool ranged)
{
    struct x87_register r = x87_indefinite;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (ranged)
        cpu->s.fsw &= (uint16_t)~FSW_C2;
    if (x87_empty(cpu, 0)) {
        if (!x87_underflow(cpu, insn))
            return 0;
    } else {
        unsigned status = f(&r, x87_st(cpu, 0), x87_control_word(cpu));
        if (x87_signal(cpu, insn, status) & FP_PRECOMPUTATION || status & FSW_C2)
            return 0;
    }
    x87_write(cpu, 0, &r);
    return 0;
}

int exec_fsqrt(struct cpu *cpu, const struct insn *insn)
{
    return unary(cpu, insn, fp_x87_sqrt, false);
}
int exec_frndint(struct cpu *cpu, const struct insn *insn)
{
    return unary(cpu, insn, fp_x87_round, false);
}
int exec_f2xm1(struct cpu *cpu, const struct insn *insn)
{
    return unary(cpu, insn, fp_x87_2xm1, false);
}
int exec_fsin(struct cpu *cpu, const struct insn *insn)
{
    return unary(cpu, insn, fp_x87_sin, true);
}
int exec_fcos(struct cpu *cpu, const struct insn *insn)
{
    return unary(cpu, insn, fp_x87_cos, true);
}

/* Two results: `first` replaces ST(0), then `second` is pushed. */
static void write_pair(struct cpu *cpu, const struct x87_register *first,
                       const struct x87_register *second)
{
    x87_write(cpu, 0, first);
    x87_push(cpu, second);
}

/* The stack faults of FSINCOS, FPTAN and FXTRACT: true if one was taken. */
static bool pair_stack_fault(struct cpu *cpu, const struct insn *insn)
{
    bool under = x87_empty(cpu, 0);
    if (!under && x87_empty(cpu, 7))
        return false;
    if (under ? x87_underflow(cpu, insn) : x87_overflow(cpu, insn))
        write_pair(cpu, &x87_indefinite, &x87_indefinite);
    return true;
}

int exec_fxtract(struct cpu *cpu, const struct insn *insn)
{
    struct x87_register exponent = x87_indefinite, significand = x87_indefinite;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    if (pair_stack_fault(cpu, insn))
        return 0;
    unsigned status = fp_x87_extract(&exponent, &significand, x87_st(cpu, 0), x87_control_word(cpu));
    if (!(x87_signal(cpu, insn, status) & FP_PRECOMPUTATION))
        write_pair(cpu, &exponent, &significand);
    return 0;
}

int exec_fsincos(struct cpu *cpu, const struct insn *insn)
{
    struct x87_register sine, cosine;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C2;
    if (pair_stack_fault(cpu, insn))
        return 0;
    unsigned status = fp_x87_sin(&sine, x87_st(cpu, 0), x87_control_word(cpu));
    status |= fp_x87_cos(&cosine, x87_st(cpu, 0), x87_control_word(cpu)) & FP_EXCEPTIONS;
    if (x87_signal(cpu, insn, status) & FP_PRECOMPUTATION || status & FSW_C2)
        return 0;
    write_pair(cpu, &sine, &cosine);
    return 0;
}

/* FPTAN pushes 1, or the NaN again. */
int exec_fptan(struct cpu *cpu, const struct insn *insn)
{
    struct x87_register tangent, one = { 1ull << 63, 0x3fff, { 0 } };
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C2;
    if (pair_stack_fault(cpu, insn))
        return 0;
    unsigned status = fp_x87_tan(&tangent, x87_st(cpu, 0), x87_control_word(cpu));
    if (x87_signal(cpu, insn, status) & FP_PRECOMPUTATION || status & FSW_C2)
        return 0;
    write_pair(cpu, &tangent, is_nan(&tangent) ? &tangent : &one);
    return 0;
}

/* ST(1) = f(ST(0), ST(1)), pop. */
int exec_fyl2x(struct cpu *cpu, const struct insn *insn)
{
    return operate(cpu, insn, fp_x87_yl2x, 1, 0, 1, true);
}
int exec_fyl2xp1(struct cpu *cpu, const struct insn *insn)
{
    return operate(cpu, insn, fp_x87_yl2xp1, 1, 0, 1, true);
}
int exec_fpatan(struct cpu *cpu, const struct insn *insn)
{
    return operate(cpu, insn, fp_x87_patan, 1, 0, 1, true);
}

int exec_fscale(struct cpu *cpu, const struct insn *insn)
{
    return operate(cpu, insn, fp_x87_scale, 0, 0, 1, false);
}

static int remainder_(struct cpu *cpu, const struct insn *insn, bool nearest)
{
    struct x87_register r = x87_indefinite;
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C2;
    if (x87_empty(cpu, 0) || x87_empty(cpu, 1)) {
        if (!x87_underflow(cpu, insn))
            return 0;
    } else {
        unsigned status = fp_x87_remainder(&r, x87_st(cpu, 0), x87_st(cpu, 1), nearest, x87_control_word(cpu));
        if (!(status & FP_IE) && !is_nan(&r))
            cpu->s.fsw &= (uint16_t)~(FSW_C0 | FSW_C3);
        if (x87_signal(cpu, insn, status) & FP_PRECOMPUTATION)
            return 0;
    }
    x87_write(cpu, 0, &r);
    return 0;
}

int exec_fprem(struct cpu *cpu, const struct insn *insn)
{
    return remainder_(cpu, insn, false);
}
int exec_fprem1(struct cpu *cpu, const struct insn *insn)
{
    return remainder_(cpu, insn, true);
}
