/*
 * Debug registers and the permission of I/O ports. (SDM vol. 3, chapter 17;
 * vol. 1, section 18.5)
 *
 * Breakpoints on instructions and data are matched in debug.c.
 */
#include "cpu/segment.h"
#include "cpu/system.h"

#define DR6_ONES 0xffff0ff0ull
#define DR6_WRITABLE 0xe00full
#define DR7_RW_IO 2u
#define DR7_ONES 0x400ull
#define DR7_WRITABLE 0xffff23ffull

/* The DR6 bits of I/O breakpoints that an access meets. */
static uint64_t match_io(const struct cpu *cpu, uint16_t port, unsigned bytes)
{
    static const uint8_t lengths[] = { 1, 2, 8, 4 };
    uint64_t dr7 = cpu->s.dr[7], hits = 0;

    for (unsigned i = 0; i < 4; i++) {
        bool io = (dr7 >> (16 + 4 * i) & 3) == DR7_RW_IO;
        if (!(dr7 >> 2 * i & 3) || !io || !(cpu->s.cr4 & CR4_DE))
            continue;
        uint64_t length = lengths[dr7 >> (18 + 4 * i) & 3];
        uint64_t first = cpu->s.dr[i] & ~(length - 1);
        if (port < first + length && first < (uint64_t)port + bytes)
            hits |= 1ull << i;
    }
    return hits;
}

/* The I/O permission bitmap of a 32-bit TSS: 2 bytes are read always, so that
 * the byte after the map must be there too. */
static int check_bitmap(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    const struct segment *tr = &cpu->s.tr;
    uint16_t map, bits;

    if (!segment_is_present(tr) || segment_type(tr) < TYPE_TSS32 || tr->limit < 0x67)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(system_read(cpu, tr->base + 0x66, &map, 2));
    uint32_t offset = (uint32_t)map + port / 8;
    if (offset + 1 > tr->limit)
        return cpu_raise_gp0(cpu);
    TRY_FAULT(system_read(cpu, tr->base + offset, &bits, 2));
    return bits >> (port & 7) & ((1u << bytes) - 1) ? cpu_raise_gp0(cpu) : 0;
}

int cpu_check_io(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    if (cpu_protected(cpu) && (cpu->s.cpl > cpu_iopl(cpu) || cpu_v86(cpu)))
        return check_bitmap(cpu, port, bytes);
    return 0;
}

void debug_register_io(struct cpu *cpu, uint16_t port, unsigned bytes)
{
    uint64_t hits = match_io(cpu, port, bytes);
    if (!hits)
        return;
    cpu->s.pending_debug |= hits;
    cpu_attention(cpu);
}

/* The register that `number` means, or what forbids its use: there are eight, and
 * what else is encoded is no instruction, at any privilege. */
static int select_register(struct cpu *cpu, unsigned *number)
{
    if (*number > 7)
        return cpu_raise(cpu, VECTOR_UD);
    TRY_FAULT(cpu_need_cpl0(cpu));
    if (*number == 4 || *number == 5) {
        if (cpu->s.cr4 & CR4_DE)
            return cpu_raise(cpu, VECTOR_UD);
        *number += 2;
    }
    if (cpu->s.dr[7] & DR7_GD) {
        cpu_raise(cpu, VECTOR_DB);
        cpu->exception.address = DR6_BD;
        return CPU_FAULT;
    }
    return 0;
}

int exec_mov_r_dr(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = insn->reg;

    TRY_FAULT(select_register(cpu, &number));
    if (cpu_code64(cpu))
        register_write64(cpu, insn->rm, cpu->s.dr[number]);
    else
        register_write32(cpu, insn->rm, (uint32_t)cpu->s.dr[number]);
    return 0;
}

int exec_mov_dr_r(struct cpu *cpu, const struct insn *insn)
{
    unsigned number = insn->reg;
    uint64_t value = cpu_code64(cpu) ? register_read64(cpu, insn->rm)
                                     : register_read32(cpu, insn->rm);

    TRY_FAULT(select_register(cpu, &number));
    if (number >= 6 && value >> 32)
        return cpu_raise_gp0(cpu);
    if (number == 6)
        value = (value & DR6_WRITABLE) | DR6_ONES;
    else if (number == 7)
        value = (value & DR7_WRITABLE) | DR7_ONES;
    bool active = cpu_debug_registers_active(cpu);
    cpu->s.dr[number] = value;
    /* Pages with a data breakpoint in them must not be in the TLB. */
    if (active || cpu_debug_registers_active(cpu))
        mmu_flush(cpu);
    cpu_attention(cpu);
    return 0;
}
