/*
 * What the fast paths need of mode, segments and privilege, derived from the
 * architectural state: cpu->access, the masks, the code size and the TLB in
 * use. (SDM vol. 3, chapters 5 and 20; vol. 1, section 3.4.4)
 *
 * Not modelled: code and data segments whose base lies above 4 GiB outside of
 * 64-bit code (a base written by MSR is cut to 32 bits there).
 */
#include "cpu/cpu.h"
#include "cpu/flags.h"
#include "cpu/memory.h"

/* One past the last offset for which base + offset does not wrap at 4 GiB;
 * what lies beyond takes the slow path. */
static uint64_t cut_at_wrap(uint64_t end, uint64_t base)
{
    uint64_t wrap = (1ull << 32) - base;
    return end < wrap ? end : wrap;
}

static void update_access(struct cpu *cpu, unsigned number)
{
    const struct segment *segment = &cpu->s.seg[number];
    struct segment_access *access = &cpu->access[number];

    if (cpu->code_bytes == 8) {
        access->base = number >= FS ? segment->base : 0;
        access->read_end = access->write_end = ~0ull;
        return;
    }
    access->base = (uint32_t)segment->base;
    uint64_t end = cut_at_wrap((uint64_t)segment->limit + 1, access->base);
    access->read_end = access->write_end = end;
    if (!cpu_protected(cpu) || cpu_v86(cpu))
        return;
    unsigned attributes = segment->attributes;
    if (!(attributes & SEGMENT_P) || !(attributes & SEGMENT_S)) {
        access->read_end = access->write_end = 0;
    } else if (attributes & SEGMENT_CODE) {
        access->write_end = 0;
        if (!(attributes & SEGMENT_READABLE))
            access->read_end = 0;
    } else {
        if (attributes & SEGMENT_EXPAND_DOWN)
            access->read_end = access->write_end = 0;
        else if (!(attributes & SEGMENT_WRITABLE))
            access->write_end = 0;
    }
}

static void update_stack(struct cpu *cpu)
{
    if (cpu->code_bytes == 8)
        cpu->stack_mask = ~0ull;
    else
        cpu->stack_mask = cpu->s.seg[SS].attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
}

void cpu_update_segment(struct cpu *cpu, unsigned segment)
{
    update_access(cpu, segment);
    cpu->mode_version++;
    if (segment == SS)
        update_stack(cpu);
}

void cpu_update_privilege(struct cpu *cpu)
{
    enum mmu_index index = MMU_SUPERVISOR;
    if (cpu->s.cpl == 3)
        index = (cpu->s.rflags & FLAG_AC) && (cpu->s.cr0 & CR0_AM) ? MMU_USER_ALIGNED : MMU_USER;
    else if (cpu->s.rflags & FLAG_AC)
        index = MMU_SUPERVISOR_AC;
    cpu->tlb = &cpu->tlbs[index];
}

void cpu_update_mode(struct cpu *cpu)
{
    unsigned attributes = cpu->s.seg[CS].attributes;
    if (cpu_long_mode(cpu) && (attributes & SEGMENT_L))
        cpu->code_bytes = 8;
    else
        cpu->code_bytes = attributes & SEGMENT_DB ? 4 : 2;
    cpu->rip_mask = cpu->code_bytes == 8 ? ~0ull : 0xffffffff;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        update_access(cpu, i);
    cpu->access[SEGMENT_FLAT] = (struct segment_access){ 0, ~0ull, ~0ull };
    update_stack(cpu);
    cpu->mode_version++;
    cpu_update_privilege(cpu);
}

void cpu_restored(struct cpu *cpu)
{
    flags_put(cpu, cpu->s.rflags);
    cpu_update_mode(cpu);
    mmu_flush(cpu);
    cpu->attention = true;
}
