/*
 * x87: loads, stores, constants, exchange, conditional moves. (SDM vol. 2)
 */
#include "cpu/exec_x87.h"
#include "cpu/flags.h"

/* Pushes, or takes a stack overflow. */
static int push(struct cpu *cpu, const struct insn *insn, const struct x87_register *value,
                unsigned status)
{
    if (!x87_empty(cpu, 7)) {
        if (x87_overflow(cpu, insn))
            x87_push(cpu, &x87_indefinite);
        return 0;
    }
    if (!(x87_signal(cpu, insn, status) & FP_PRECOMPUTATION))
        x87_push(cpu, value);
    return 0;
}

static unsigned quieted(unsigned status, struct x87_register *value)
{
    if (status & FP_IE)
        value->significand |= 1ull << 62;
    return status;
}

#define LOAD(name, type, bits, convert)                                                            \
    int exec_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        type v;                                                                                    \
        if (x87_check(cpu) || memory_read##bits(cpu, insn->seg, insn_address(cpu, insn), &v))      \
            return CPU_FAULT;                                                                      \
        struct x87_register value;                                                                 \
        unsigned status = convert;                                                                 \
        cpu->s.fip = insn_start(cpu, insn);                                                        \
        return push(cpu, insn, &value, status);                                                    \
    }
LOAD(fld_m32, uint32_t, 32, quieted(fp_x87_from_f32(&value, v), &value))
LOAD(fld_m64, uint64_t, 64, quieted(fp_x87_from_f64(&value, v), &value))
LOAD(fild_m16, uint16_t, 16, fp_x87_from_i64(&value, (int16_t)v))
LOAD(fild_m32, uint32_t, 32, fp_x87_from_i64(&value, (int32_t)v))
LOAD(fild_m64, uint64_t, 64, fp_x87_from_i64(&value, (int64_t)v))

int exec_fld_m80(struct cpu *cpu, const struct insn *insn)
{
    uint8_t bytes[10];
    if (x87_check(cpu)
        || memory_read_block(cpu, insn->seg, insn_address(cpu, insn), bytes, sizeof bytes))
        return CPU_FAULT;
    struct x87_register value = { load64(bytes), load16(bytes + 8), { 0 } };
    cpu->s.fip = insn_start(cpu, insn);
    return push(cpu, insn, &value, 0);
}

int exec_fbld(struct cpu *cpu, const struct insn *insn)
{
    uint8_t bytes[10];
    if (x87_check(cpu)
        || memory_read_block(cpu, insn->seg, insn_address(cpu, insn), bytes, sizeof bytes))
        return CPU_FAULT;
    struct x87_register value;
    int64_t v = 0;
    for (unsigned i = 9; i-- > 0;)
        v = 100 * v + 10 * (bytes[i] >> 4) + (bytes[i] & 15);
    fp_x87_from_i64(&value, v);
    if (bytes[9] & 0x80)
        value.sign_exponent |= 0x8000;
    cpu->s.fip = insn_start(cpu, insn);
    return push(cpu, insn, &value, 0);
}

int exec_fld_st(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    unsigned i = insn->modrm & 7;
    struct x87_register value = *x87_st(cpu, i);
    if (x87_empty(cpu, i)) {
        if (!x87_underflow(cpu, insn))
            return 0;
        x87_push(cpu, &x87_indefinite);
        return 0;
    }
    return push(cpu, insn, &value, 0);
}

/* Constants: the significand below the exact value and the first bits cut off
 * decide what each rounding mode gives. (SDM vol. 1, section 8.3.8) */
static int constant(struct cpu *cpu, const struct insn *insn, uint16_t exponent,
                    uint64_t truncated, bool nearest_up)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    unsigned rounding = cpu->s.fcw >> FCW_RC_SHIFT & 3;
    bool up = rounding == 2 || (rounding == 0 && nearest_up);
    struct x87_register value = { truncated + up, exponent, { 0 } };
    return push(cpu, insn, &value, 0);
}

int exec_fldl2t(struct cpu *cpu, const struct insn *insn)
{
    return constant(cpu, insn, 0x4000, 0xd49a784bcd1b8afe, false);
}

int exec_fldl2e(struct cpu *cpu, const struct insn *insn)
{
    return constant(cpu, insn, 0x3fff, 0xb8aa3b295c17f0bb, true);
}

int exec_fldpi(struct cpu *cpu, const struct insn *insn)
{
    return constant(cpu, insn, 0x4000, 0xc90fdaa22168c234, true);
}

int exec_fldlg2(struct cpu *cpu, const struct insn *insn)
{
    return constant(cpu, insn, 0x3ffd, 0x9a209a84fbcff798, true);
}

int exec_fldln2(struct cpu *cpu, const struct insn *insn)
{
    return constant(cpu, insn, 0x3ffe, 0xb17217f7d1cf79ab, true);
}

int exec_fld1(struct cpu *cpu, const struct insn *insn)
{
    static const struct x87_register one = { 1ull << 63, 0x3fff, { 0 } };
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    return push(cpu, insn, &one, 0);
}

int exec_fldz(struct cpu *cpu, const struct insn *insn)
{
    static const struct x87_register zero = { 0, 0, { 0 } };
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    return push(cpu, insn, &zero, 0);
}

/*
 * Stores. A masked underflow of the stack stores the format's indefinite
 * value. An unmasked exception that leaves no value stores and pops nothing;
 * inexact alone does not prevent the store. Memory is written before the
 * status changes, for it can fault.
 */
#define STORE(name, type, bits, convert, indefinite, pop)                                          \
    int exec_##name(struct cpu *cpu, const struct insn *insn)                                      \
    {                                                                                              \
        type v = (type)(indefinite);                                                               \
        unsigned status = FP_IE | FSW_SF;                                                          \
        if (x87_check(cpu))                                                                        \
            return CPU_FAULT;                                                                      \
        if (!x87_empty(cpu, 0))                                                                    \
            status = convert(&v, x87_st(cpu, 0), x87_control_word(cpu));                                    \
        bool writes = !(status & ~cpu->s.fcw & (FP_PRECOMPUTATION | FP_OE | FP_UE));               \
        if ((writes ? memory_write##bits(cpu, insn->seg, insn_address(cpu, insn), (uint##bits##_t)v) \
                    : memory_probe_write(cpu, insn->seg, insn_address(cpu, insn), bits / 8)))      \
            return CPU_FAULT;                                                                      \
        cpu->s.fip = insn_start(cpu, insn);                                                        \
        x87_signal(cpu, insn, status);                                                             \
        if (writes && pop)                                                                         \
            x87_pop(cpu);                                                                          \
        return 0;                                                                                  \
    }
STORE(fst_m32, uint32_t, 32, fp_x87_to_f32, 0xffc00000, false)
STORE(fstp_m32, uint32_t, 32, fp_x87_to_f32, 0xffc00000, true)
STORE(fst_m64, uint64_t, 64, fp_x87_to_f64, 0xfff8000000000000, false)
STORE(fstp_m64, uint64_t, 64, fp_x87_to_f64, 0xfff8000000000000, true)
STORE(fist_m16, int16_t, 16, fp_x87_to_i16, INT16_MIN, false)
STORE(fistp_m16, int16_t, 16, fp_x87_to_i16, INT16_MIN, true)
STORE(fist_m32, int32_t, 32, fp_x87_to_i32, INT32_MIN, false)
STORE(fistp_m32, int32_t, 32, fp_x87_to_i32, INT32_MIN, true)
STORE(fistp_m64, int64_t, 64, fp_x87_to_i64, INT64_MIN, true)

/* FISTTP rounds towards zero whatever FCW says. */
#define TRUNCATE(bits)                                                                             \
    static inline unsigned truncate_i##bits(int##bits##_t *r, const struct x87_register *a,        \
                                            uint32_t fcw)                                          \
    {                                                                                              \
        return fp_x87_to_i##bits(r, a, fcw | 3 << FCW_RC_SHIFT);                                   \
    }                                                                                              \
    STORE(fisttp_m##bits, int##bits##_t, bits, truncate_i##bits, INT##bits##_MIN, true)
TRUNCATE(16)
TRUNCATE(32)
TRUNCATE(64)

int exec_fstp_m80(struct cpu *cpu, const struct insn *insn)
{
    uint8_t bytes[10];
    if (x87_check(cpu))
        return CPU_FAULT;
    bool empty = x87_empty(cpu, 0), writes = !empty || cpu->s.fcw & FP_IE;
    const struct x87_register *v = empty ? &x87_indefinite : x87_st(cpu, 0);
    store64(bytes, v->significand);
    store16(bytes + 8, v->sign_exponent);
    uint64_t address = insn_address(cpu, insn);
    if (writes ? memory_write_block(cpu, insn->seg, address, bytes, sizeof bytes)
               : memory_probe_write(cpu, insn->seg, address, sizeof bytes))
        return CPU_FAULT;
    cpu->s.fip = insn_start(cpu, insn);
    x87_signal(cpu, insn, empty ? FP_IE | FSW_SF : 0);
    if (writes)
        x87_pop(cpu);
    return 0;
}

/* FBSTP: 18 decimal digits and a sign, or the packed indefinite. */
int exec_fbstp(struct cpu *cpu, const struct insn *insn)
{
    uint8_t bytes[10] = { 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff };
    if (x87_check(cpu))
        return CPU_FAULT;
    unsigned status = FP_IE | FSW_SF;
    if (!x87_empty(cpu, 0)) {
        const struct x87_register *a = x87_st(cpu, 0);
        int64_t v = 0;
        status = fp_x87_to_i64(&v, a, cpu->s.fcw | FP_IE);
        if (v > 999999999999999999 || v < -999999999999999999)
            status = FP_IE;
        uint64_t magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
        for (unsigned i = 0; !(status & FP_IE) && i < 9; i++, magnitude /= 100)
            bytes[i] = (uint8_t)(magnitude / 10 % 10 << 4 | magnitude % 10);
        if (!(status & FP_IE))
            bytes[9] = a->sign_exponent >> 15 ? 0x80 : 0;
    }
    bool writes = !(status & ~cpu->s.fcw & FP_PRECOMPUTATION);
    uint64_t address = insn_address(cpu, insn);
    if (writes ? memory_write_block(cpu, insn->seg, address, bytes, sizeof bytes)
               : memory_probe_write(cpu, insn->seg, address, sizeof bytes))
        return CPU_FAULT;
    cpu->s.fip = insn_start(cpu, insn);
    x87_signal(cpu, insn, status);
    if (writes)
        x87_pop(cpu);
    return 0;
}

static int store_register(struct cpu *cpu, const struct insn *insn, bool pop)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    struct x87_register value = *x87_st(cpu, 0);
    if (x87_empty(cpu, 0)) {
        if (!x87_underflow(cpu, insn))
            return 0;
        value = x87_indefinite;
    } else {
        cpu->s.fsw &= (uint16_t)~FSW_C1;
    }
    x87_write(cpu, insn->modrm & 7, &value);
    if (pop)
        x87_pop(cpu);
    return 0;
}

int exec_fst_st(struct cpu *cpu, const struct insn *insn)
{
    return store_register(cpu, insn, false);
}

int exec_fstp_st(struct cpu *cpu, const struct insn *insn)
{
    return store_register(cpu, insn, true);
}

/* D9 D8+i, undocumented: FSTP that only pops when ST(0) is empty. */
int exec_fstpnce(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    cpu->s.fsw &= (uint16_t)~FSW_C1;
    struct x87_register value = *x87_st(cpu, 0);
    if (!x87_empty(cpu, 0))
        x87_write(cpu, insn->modrm & 7, &value);
    x87_pop(cpu);
    return 0;
}

int exec_fxch(struct cpu *cpu, const struct insn *insn)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    unsigned i = insn->modrm & 7;
    struct x87_register a = *x87_st(cpu, 0), b = *x87_st(cpu, i);
    if (x87_empty(cpu, 0) || x87_empty(cpu, i)) {
        if (!x87_underflow(cpu, insn))
            return 0;
        if (x87_empty(cpu, 0))
            a = x87_indefinite;
        if (x87_empty(cpu, i))
            b = x87_indefinite;
    } else {
        cpu->s.fsw &= (uint16_t)~FSW_C1;
    }
    x87_write(cpu, 0, &b);
    x87_write(cpu, i, &a);
    return 0;
}

/* FCMOVcc. Both registers must be there whatever the condition. C1 changes
 * only with a stack fault. */
static int move_if(struct cpu *cpu, const struct insn *insn, bool condition)
{
    if (x87_begin(cpu, insn))
        return CPU_FAULT;
    unsigned i = insn->modrm & 7;
    struct x87_register value = *x87_st(cpu, i);
    if (x87_empty(cpu, 0) || x87_empty(cpu, i)) {
        if (!x87_underflow(cpu, insn))
            return 0;
        value = x87_indefinite;
        condition = true;
    }
    if (condition)
        x87_write(cpu, 0, &value);
    return 0;
}

#define FCMOV(name, condition)                                                                     \
    int exec_fcmov##name(struct cpu *cpu, const struct insn *insn)                                 \
    {                                                                                              \
        return move_if(cpu, insn, condition);                                                      \
    }
FCMOV(b, flags_cf(cpu))
FCMOV(e, flags_zf(cpu))
FCMOV(be, flags_cf(cpu) || flags_zf(cpu))
FCMOV(u, flags_pf(cpu))
FCMOV(nb, !flags_cf(cpu))
FCMOV(ne, !flags_zf(cpu))
FCMOV(nbe, !flags_cf(cpu) && !flags_zf(cpu))
FCMOV(nu, !flags_pf(cpu))
