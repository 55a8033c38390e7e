/*
 * PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE (SDM vol. 2; vol. 3,
 * 20.2 and 20.3 for virtual-8086 mode). POP of a segment register is in the
 * system files.
 *
 * A push of a segment register writes the whole operand, zero-extended.
 */
#include "cpu/exec.h"

#define PUSH_POP(bits)                                                                             \
    HANDLER(push_z_##bits)                                                                         \
    {                                                                                              \
        return stack_push##bits(cpu, register_read##bits(cpu, insn->rm));                          \
    }                                                                                              \
    HANDLER(push_e_r##bits)                                                                        \
    {                                                                                              \
        return stack_push##bits(cpu, register_read##bits(cpu, insn->rm));                          \
    }                                                                                              \
    HANDLER(push_e_m##bits)                                                                        \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (OPERAND_READ(bits, &value))                                                            \
            return CPU_FAULT;                                                                      \
        return stack_push##bits(cpu, value);                                                       \
    }                                                                                              \
    HANDLER(push_i_##bits)                                                                         \
    {                                                                                              \
        return stack_push##bits(cpu, (uint##bits##_t)insn->imm);                                   \
    }                                                                                              \
    /* The pushed register of POP rSP wins over the increment. */                                  \
    HANDLER(pop_z_##bits)                                                                          \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (stack_read##bits(cpu, 0, &value))                                                      \
            return CPU_FAULT;                                                                      \
        stack_set(cpu, cpu->s.gpr[RSP] + bits / 8);                                                \
        register_write##bits(cpu, insn->rm, value);                                                \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(pop_e_r##bits)                                                                         \
    {                                                                                              \
        return exec_pop_z_##bits(cpu, insn);                                                       \
    }                                                                                              \
    /* An address made from rSP uses its value after the pop. */                                   \
    HANDLER(pop_e_m##bits)                                                                         \
    {                                                                                              \
        uint64_t top = cpu->s.gpr[RSP];                                                            \
        uint##bits##_t value;                                                                      \
        if (stack_read##bits(cpu, 0, &value))                                                      \
            return CPU_FAULT;                                                                      \
        stack_set(cpu, top + bits / 8);                                                            \
        if (OPERAND_WRITE(bits, value)) {                                                          \
            cpu->s.gpr[RSP] = top;                                                                 \
            return CPU_FAULT;                                                                      \
        }                                                                                          \
        return 0;                                                                                  \
    }
EACH_SIZE(PUSH_POP)
#undef PUSH_POP

#define PUSH_SEGMENT(name, segment, bits)                                                          \
    HANDLER(push_##name##_##bits)                                                                  \
    {                                                                                              \
        return stack_push##bits(cpu, cpu->s.seg[segment].selector);                                \
    }
EACH_SIZE_OF(PUSH_SEGMENT, es, ES)
EACH_SIZE_OF(PUSH_SEGMENT, cs, CS)
EACH_SIZE_OF(PUSH_SEGMENT, ss, SS)
EACH_SIZE_OF(PUSH_SEGMENT, ds, DS)
EACH_SIZE_OF(PUSH_SEGMENT, fs, FS)
EACH_SIZE_OF(PUSH_SEGMENT, gs, GS)
#undef PUSH_SEGMENT

/* All eight; SP as it was before. Not in 64-bit code. */
#define PUSHA_POPA(bits)                                                                           \
    HANDLER(pusha_##bits)                                                                          \
    {                                                                                              \
        uint64_t top = cpu->s.gpr[RSP];                                                            \
        for (unsigned r = RAX; r <= RDI; r++) {                                                    \
            uint##bits##_t value = (uint##bits##_t)(r == RSP ? top : cpu->s.gpr[r]);               \
            if (stack_push##bits(cpu, value)) {                                                    \
                cpu->s.gpr[RSP] = top;                                                             \
                return CPU_FAULT;                                                                  \
            }                                                                                      \
        }                                                                                          \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(popa_##bits)                                                                           \
    {                                                                                              \
        uint##bits##_t value[8];                                                                   \
        for (unsigned i = 0; i < 8; i++) {                                                         \
            if (stack_read##bits(cpu, i * (bits / 8), &value[RDI - i]))                            \
                return CPU_FAULT;                                                                  \
        }                                                                                          \
        stack_set(cpu, cpu->s.gpr[RSP] + bits);                                                    \
        for (unsigned r = RAX; r <= RDI; r++) {                                                    \
            if (r != RSP)                                                                          \
                register_write##bits(cpu, r, value[r]);                                            \
        }                                                                                          \
        return 0;                                                                                  \
    }
PUSHA_POPA(16)
PUSHA_POPA(32)
#undef PUSHA_POPA

/* Virtual-8086 mode with IOPL < 3: only a 16-bit PUSHF or POPF under VME. */
static bool flags_virtual(const struct cpu *cpu)
{
    return cpu_v86(cpu) && cpu_iopl(cpu) < 3;
}
static bool flags_forbidden(const struct cpu *cpu, unsigned bits)
{
    return flags_virtual(cpu) && (bits != 16 || !(cpu->s.cr4 & CR4_VME));
}

static uint64_t flags_pushed(const struct cpu *cpu)
{
    uint64_t flags = flags_to_rflags(cpu) & ~(FLAG_VM | FLAG_RF);
    if (flags_virtual(cpu)) {
        flags = (flags & ~FLAG_IF) | FLAG_IOPL;
        if (cpu->s.rflags & FLAG_VIF)
            flags |= FLAG_IF;
    }
    return flags;
}

/* What POPF of `bits` may change. */
static uint64_t flags_changeable(const struct cpu *cpu, unsigned bits)
{
    uint64_t mask = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_AC | FLAG_ID;
    if (cpu->s.cpl == 0)
        mask |= FLAG_IF | FLAG_IOPL;
    else if (cpu->s.cpl <= cpu_iopl(cpu))
        mask |= FLAG_IF;
    return bits == 16 ? mask & 0xffff : mask;
}

/* The new flags; 0, or CPU_FAULT where POPF of `value` may not be. */
static int flags_popped(struct cpu *cpu, uint64_t value, unsigned bits, uint64_t *new)
{
    uint64_t old = flags_to_rflags(cpu), mask = flags_changeable(cpu, bits);
    if (flags_virtual(cpu)) {
        if ((value & FLAG_TF) || ((value & FLAG_IF) && (old & FLAG_VIP)))
            return cpu_raise_gp0(cpu);
        old = (old & ~FLAG_VIF) | (value & FLAG_IF ? FLAG_VIF : 0);
    }
    if (bits != 16)
        old &= ~FLAG_RF;
    *new = (old & ~mask) | (value & mask);
    return 0;
}

static void flags_replace(struct cpu *cpu, uint64_t new)
{
    uint64_t changed = cpu->s.rflags ^ new;
    flags_from_rflags(cpu, new);
    if (changed & FLAG_AC)
        cpu_update_privilege(cpu);
    if (changed & (FLAG_IF | FLAG_TF))
        cpu_events_unmasked(cpu);
}

#define PUSHF_POPF(bits)                                                                           \
    HANDLER(pushf_##bits)                                                                          \
    {                                                                                              \
        if (unlikely(flags_forbidden(cpu, bits)))                                                  \
            return cpu_raise_gp0(cpu);                                                             \
        return stack_push##bits(cpu, (uint##bits##_t)flags_pushed(cpu));                           \
    }                                                                                              \
    HANDLER(popf_##bits)                                                                           \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        uint64_t new;                                                                              \
        if (unlikely(flags_forbidden(cpu, bits)))                                                  \
            return cpu_raise_gp0(cpu);                                                             \
        if (stack_read##bits(cpu, 0, &value) || flags_popped(cpu, value, bits, &new))              \
            return CPU_FAULT;                                                                      \
        stack_set(cpu, cpu->s.gpr[RSP] + bits / 8);                                                \
        flags_replace(cpu, new);                                                                   \
        return 0;                                                                                  \
    }
EACH_SIZE(PUSHF_POPF)
#undef PUSHF_POPF

/*
 * ENTER: pushes rBP, then copies level - 1 frame pointers of the enclosing
 * procedures and the new one, then makes room. rSP and rBP change at the very
 * end; what lies below rSP may have been written when a fault comes.
 */
#define ENTER_LEAVE(bits)                                                                          \
    static int enter_frames##bits(struct cpu *cpu, unsigned level, uint64_t frame)                 \
    {                                                                                              \
        for (unsigned i = 1; i < level; i++) {                                                     \
            uint64_t place = (cpu->s.gpr[RBP] - i * (bits / 8)) & cpu->stack_mask;                 \
            uint##bits##_t pointer;                                                                \
            if (memory_read##bits(cpu, memory_segment(cpu, SS), place, &pointer))                  \
                return stack_fault(cpu);                                                           \
            if (stack_push##bits(cpu, pointer))                                                    \
                return CPU_FAULT;                                                                  \
        }                                                                                          \
        return stack_push##bits(cpu, (uint##bits##_t)frame);                                       \
    }                                                                                              \
    HANDLER(enter_##bits)                                                                          \
    {                                                                                              \
        uint64_t top = cpu->s.gpr[RSP];                                                            \
        unsigned level = (unsigned)(insn->imm >> 16) & 31;                                         \
        if (stack_push##bits(cpu, register_read##bits(cpu, RBP)))                                  \
            return CPU_FAULT;                                                                      \
        uint64_t frame = cpu->s.gpr[RSP];                                                          \
        int fault = level ? enter_frames##bits(cpu, level, frame) : 0;                             \
        uint64_t end = (cpu->s.gpr[RSP] - (insn->imm & 0xffff)) & cpu->stack_mask;                 \
        if (!fault && memory_probe_write(cpu, memory_segment(cpu, SS), end, bits / 8))             \
            fault = stack_fault(cpu);                                                              \
        if (fault) {                                                                               \
            cpu->s.gpr[RSP] = top;                                                                 \
            return CPU_FAULT;                                                                      \
        }                                                                                          \
        stack_set(cpu, end);                                                                       \
        register_write##bits(cpu, RBP, (uint##bits##_t)frame);                                     \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(leave_##bits)                                                                          \
    {                                                                                              \
        uint64_t place = cpu->s.gpr[RBP] & cpu->stack_mask;                                        \
        uint##bits##_t value;                                                                      \
        if (memory_read##bits(cpu, memory_segment(cpu, SS), place, &value))                        \
            return stack_fault(cpu);                                                               \
        stack_set(cpu, place + bits / 8);                                                          \
        register_write##bits(cpu, RBP, value);                                                     \
        return 0;                                                                                  \
    }
EACH_SIZE(ENTER_LEAVE)
#undef ENTER_LEAVE
