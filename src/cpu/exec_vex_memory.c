/*
 * AVX and AVX2 accesses to memory under masks: VMASKMOV, VPMASKMOV, gathers.
 * (SDM vol. 2)
 *
 * Elements are accessed in order, from the lowest. A gather that faults keeps
 * what it has done: the mask tells what is left.
 */
#include "cpu/exec.h"
#include "cpu/exec_vex.h"

static bool selected(const union ymm *mask, unsigned i, unsigned bytes)
{
    return bytes == 8 ? mask->i64[i] < 0 : mask->i32[i] < 0;
}

static int element_read(struct cpu *cpu, const struct insn *insn, uint64_t offset, union ymm *value,
                        unsigned i, unsigned bytes)
{
    return bytes == 8 ? memory_read64(cpu, insn->seg, offset, &value->u64[i])
                      : memory_read32(cpu, insn->seg, offset, &value->u32[i]);
}

static uint64_t element_offset(const struct cpu *cpu, const struct insn *insn, unsigned i,
                               unsigned bytes)
{
    return (insn_address(cpu, insn) + i * bytes) & ~0ull >> insn->address_shift;
}

static int mask_load(struct cpu *cpu, const struct insn *insn, unsigned bytes)
{
    union ymm r = { .u64 = { 0, 0, 0, 0 } };
    TRY_FAULT(avx_check(cpu));
    const union ymm *mask = ymm_register(cpu, insn->vvvv);
    for (unsigned i = 0; i < vex_bytes(insn) / bytes; i++)
        if (selected(mask, i, bytes)
            && element_read(cpu, insn, element_offset(cpu, insn, i, bytes), &r, i, bytes))
            return CPU_FAULT;
    *ymm_register(cpu, insn->reg) = r;
    return 0;
}

/* Everything is probed before anything is written. */
static int mask_store(struct cpu *cpu, const struct insn *insn, unsigned bytes)
{
    TRY_FAULT(avx_check(cpu));
    const union ymm *mask = ymm_register(cpu, insn->vvvv), *s = ymm_register(cpu, insn->reg);
    unsigned count = vex_bytes(insn) / bytes;
    for (unsigned i = 0; i < count; i++)
        if (selected(mask, i, bytes)
            && memory_probe_write(cpu, insn->seg, element_offset(cpu, insn, i, bytes), bytes))
            return CPU_FAULT;
    for (unsigned i = 0; i < count; i++) {
        uint64_t offset = element_offset(cpu, insn, i, bytes);
        if (!selected(mask, i, bytes))
            continue;
        if (bytes == 8 ? memory_write64(cpu, insn->seg, offset, s->u64[i])
                       : memory_write32(cpu, insn->seg, offset, s->u32[i]))
            return CPU_FAULT;
    }
    return 0;
}

/* None of these raises #AC, whatever the alignment of the elements. */
#define UNALIGNED(name, call)                                                                      \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        struct tlb *tlb = cpu->tlb;                                                                \
        if (unlikely(tlb == &cpu->tlbs[MMU_USER_ALIGNED]))                                         \
            cpu->tlb = &cpu->tlbs[MMU_USER];                                                       \
        int status = call;                                                                         \
        cpu->tlb = tlb;                                                                            \
        return status;                                                                             \
    }
UNALIGNED(vex_maskload32, mask_load(cpu, insn, 4))
UNALIGNED(vex_maskload64, mask_load(cpu, insn, 8))
UNALIGNED(vex_maskstore32, mask_store(cpu, insn, 4))
UNALIGNED(vex_maskstore64, mask_store(cpu, insn, 8))

static uint64_t gather_offset(const struct cpu *cpu, const struct insn *insn, const union ymm *index,
                              unsigned i, unsigned index_bytes)
{
    int64_t n = index_bytes == 8 ? index->i64[i] : index->i32[i];
    return (insn_address(cpu, insn) + ((uint64_t)n << insn->scale)) & ~0ull >> insn->address_shift;
}

static int gather(struct cpu *cpu, const struct insn *insn, unsigned index_bytes, unsigned bytes)
{
    TRY_FAULT(avx_check(cpu));
    unsigned x = insn->vector_index;
    unsigned count = vex_bytes(insn) / (index_bytes > bytes ? index_bytes : bytes);
    if (insn->reg == x || insn->reg == insn->vvvv || x == insn->vvvv)
        return cpu_raise(cpu, VECTOR_UD);
    union ymm *d = ymm_register(cpu, insn->reg), *mask = ymm_register(cpu, insn->vvvv);
    const union ymm *index = ymm_register(cpu, x);
    for (unsigned i = 0; i < count; i++) {
        if (selected(mask, i, bytes)
            && element_read(cpu, insn, gather_offset(cpu, insn, index, i, index_bytes), d, i, bytes))
            return CPU_FAULT;
        if (bytes == 8)
            mask->u64[i] = 0;
        else
            mask->u32[i] = 0;
    }
    memset(mask, 0, sizeof *mask);
    memset((uint8_t *)d + count * bytes, 0, sizeof *d - count * bytes);
    return 0;
}

UNALIGNED(vex_gather_dd, gather(cpu, insn, 4, 4))
UNALIGNED(vex_gather_dq, gather(cpu, insn, 4, 8))
UNALIGNED(vex_gather_qd, gather(cpu, insn, 8, 4))
UNALIGNED(vex_gather_qq, gather(cpu, insn, 8, 8))
#undef UNALIGNED
