/*
 * Instructions that load and store segment registers. (SDM vol. 2: MOV, POP,
 * LDS/LES/LFS/LGS/LSS)
 */
#include "cpu/segment.h"

/* Loads SS and inhibits interrupts and debug traps for one instruction. */
static int load_ss(struct cpu *cpu, uint16_t selector)
{
    TRY_FAULT(cpu_load_segment(cpu, SS, selector));
    cpu->s.shadow_mov_ss = 1;
    cpu_attention(cpu);
    return 0;
}

static int pop_segment(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
    uint64_t rsp = cpu->s.gpr[RSP];
    uint64_t top = rsp & cpu->stack_mask;
    uint64_t popped = rsp + insn->operand_bytes;
    uint16_t selector;

    /* All of the operand is in the stack segment, yet only 16 bits are used. */
    if (insn->operand_bytes == 8) {
        uint64_t value;
        TRY_FAULT(memory_read64(cpu, memory_segment(cpu, SS), top, &value));
        selector = (uint16_t)value;
    } else {
        TRY_FAULT(memory_read16(cpu, memory_segment(cpu, SS), top, &selector));
    }
    /* Keeps the size that the stack had before POP SS. */
    uint64_t mask = cpu->stack_mask;
    TRY_FAULT(seg == SS ? load_ss(cpu, selector) : cpu_load_segment(cpu, seg, selector));
    cpu->s.gpr[RSP] = (rsp & ~mask) | (popped & mask);
    return 0;
}

int exec_pop_es(struct cpu *cpu, const struct insn *insn) { return pop_segment(cpu, insn, ES); }
int exec_pop_ss(struct cpu *cpu, const struct insn *insn) { return pop_segment(cpu, insn, SS); }
int exec_pop_ds(struct cpu *cpu, const struct insn *insn) { return pop_segment(cpu, insn, DS); }
int exec_pop_fs(struct cpu *cpu, const struct insn *insn) { return pop_segment(cpu, insn, FS); }
int exec_pop_gs(struct cpu *cpu, const struct insn *insn) { return pop_segment(cpu, insn, GS); }

/* To a register: 16 bits, or zero-extended. */
int exec_mov_r_sreg(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector = cpu->s.seg[insn->reg & 7].selector;

    if (insn->operand_bytes == 2)
        register_write16(cpu, insn->rm, selector);
    else
        register_write64(cpu, insn->rm, selector);
    return 0;
}

/* To memory: always 16 bits. */
int exec_mov_m_sreg(struct cpu *cpu, const struct insn *insn)
{
    return memory_write16(cpu, insn->seg, insn_address(cpu, insn),
                          cpu->s.seg[insn->reg & 7].selector);
}

int exec_mov_sreg_r(struct cpu *cpu, const struct insn *insn)
{
    return cpu_load_segment(cpu, insn->reg & 7, register_read16(cpu, insn->rm));
}

int exec_mov_sreg_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector;
    TRY_FAULT(memory_read16(cpu, insn->seg, insn_address(cpu, insn), &selector));
    return cpu_load_segment(cpu, insn->reg & 7, selector);
}

int exec_mov_ss_r(struct cpu *cpu, const struct insn *insn)
{
    return load_ss(cpu, register_read16(cpu, insn->rm));
}

int exec_mov_ss_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector;
    TRY_FAULT(memory_read16(cpu, insn->seg, insn_address(cpu, insn), &selector));
    return load_ss(cpu, selector);
}

int segment_read_pointer(struct cpu *cpu, const struct insn *insn, uint64_t *offset,
                         uint16_t *selector)
{
    uint64_t address = insn_address(cpu, insn);
    unsigned bytes = insn->operand_bytes;
    uint8_t pointer[16] = { 0 };

    if (bytes == 2) { /* two words, also for alignment checks */
        uint16_t word;
        TRY_FAULT(memory_read16(cpu, insn->seg, address, &word));
        TRY_FAULT(memory_read16(cpu, insn->seg, address + 2, selector));
        *offset = word;
        return 0;
    }
    TRY_FAULT(memory_read_block(cpu, insn->seg, address, pointer, bytes + 2));
    *offset = load64(pointer) & bits_ones(bytes);
    *selector = load16(pointer + bytes);
    return 0;
}

/* LDS and its kin: offset to a register, then the selector behind it. */
static int load_far_pointer(struct cpu *cpu, const struct insn *insn, unsigned seg)
{
    uint64_t offset;
    uint16_t selector;

    TRY_FAULT(segment_read_pointer(cpu, insn, &offset, &selector));
    TRY_FAULT(cpu_load_segment(cpu, seg, selector));
    if (insn->operand_bytes == 2)
        register_write16(cpu, insn->reg, (uint16_t)offset);
    else
        register_write64(cpu, insn->reg, offset);
    return 0;
}

int exec_les(struct cpu *cpu, const struct insn *insn) { return load_far_pointer(cpu, insn, ES); }
int exec_lds(struct cpu *cpu, const struct insn *insn) { return load_far_pointer(cpu, insn, DS); }
int exec_lss(struct cpu *cpu, const struct insn *insn) { return load_far_pointer(cpu, insn, SS); }
int exec_lfs(struct cpu *cpu, const struct insn *insn) { return load_far_pointer(cpu, insn, FS); }
int exec_lgs(struct cpu *cpu, const struct insn *insn) { return load_far_pointer(cpu, insn, GS); }
