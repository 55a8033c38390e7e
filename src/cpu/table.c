/*
 * Descriptor-table registers, and what programs may ask of descriptors.
 * (SDM vol. 2: LGDT, LIDT, SGDT, SIDT, LLDT, LTR, SLDT, STR, VERR, VERW, LAR,
 * LSL, ARPL)
 */
#include "cpu/segment.h"
#include "cpu/system.h"

static int load_table(struct cpu *cpu, const struct insn *insn, struct descriptor_table *table)
{
    uint8_t bytes[10] = { 0 };
    bool wide = cpu_code64(cpu);

    TRY_FAULT(cpu_need_cpl0(cpu));
    TRY_FAULT(memory_read_block(cpu, insn->seg, insn_address(cpu, insn), bytes, wide ? 10 : 6));
    uint64_t base = load64(bytes + 2);
    if (wide && !cpu_canonical_base(cpu, base))
        return cpu_raise_gp0(cpu);
    if (!wide && insn->operand_bytes == 2)
        base &= 0xffffff;
    table->limit = load16(bytes);
    table->base = base;
    return 0;
}

static int store_table(struct cpu *cpu, const struct insn *insn,
                       const struct descriptor_table *table)
{
    uint8_t bytes[10];

    TRY_FAULT(cpu_check_umip(cpu));
    store16(bytes, (uint16_t)table->limit);
    store64(bytes + 2, table->base);
    return memory_write_block(cpu, insn->seg, insn_address(cpu, insn), bytes,
                              cpu_code64(cpu) ? 10 : 6);
}

int exec_lgdt(struct cpu *cpu, const struct insn *insn) { return load_table(cpu, insn, &cpu->s.gdtr); }
int exec_lidt(struct cpu *cpu, const struct insn *insn) { return load_table(cpu, insn, &cpu->s.idtr); }
int exec_sgdt(struct cpu *cpu, const struct insn *insn) { return store_table(cpu, insn, &cpu->s.gdtr); }
int exec_sidt(struct cpu *cpu, const struct insn *insn) { return store_table(cpu, insn, &cpu->s.idtr); }

/* Most of these do not exist in real and virtual-8086 mode. */
static int need_descriptors(struct cpu *cpu)
{
    return cpu_uses_descriptors(cpu) ? 0 : cpu_raise(cpu, VECTOR_UD);
}

/* LDT or TSS: its descriptor from the GDT, in long mode with 64 bits of base. */
static int read_system(struct cpu *cpu, uint16_t selector, struct descriptor *descriptor)
{
    if (selector & SELECTOR_TI)
        return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(selector));
    TRY_FAULT(descriptor_read(cpu, selector, VECTOR_GP, descriptor));
    if (cpu_long_mode(cpu)) {
        uint64_t high;
        TRY_FAULT(descriptor_read_high(cpu, descriptor, VECTOR_GP, &high));
        descriptor->segment.base |= high << 32;
        if ((high >> 40 & 0x1f) || !cpu_canonical_base(cpu, descriptor->segment.base))
            return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(selector));
    }
    return 0;
}

static int check_system(struct cpu *cpu, const struct descriptor *descriptor, bool fit)
{
    uint16_t selector = descriptor->segment.selector;

    if (!fit)
        return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(selector));
    if (!segment_is_present(&descriptor->segment))
        return cpu_raise_error(cpu, VECTOR_NP, SELECTOR_ERROR(selector));
    return 0;
}

static int load_ldt(struct cpu *cpu, uint16_t selector)
{
    struct descriptor descriptor;

    if (SELECTOR_NULL(selector)) {
        cpu->s.ldtr = (struct segment){ 0, 0, selector, 0 };
        return 0;
    }
    TRY_FAULT(read_system(cpu, selector, &descriptor));
    unsigned type = descriptor.segment.attributes & (SEGMENT_S | SEGMENT_TYPE);
    TRY_FAULT(check_system(cpu, &descriptor, type == TYPE_LDT));
    cpu->s.ldtr = descriptor.segment;
    return 0;
}

static int load_task(struct cpu *cpu, uint16_t selector)
{
    struct descriptor descriptor;

    if (SELECTOR_NULL(selector))
        return cpu_raise_gp0(cpu);
    TRY_FAULT(read_system(cpu, selector, &descriptor));
    unsigned type = descriptor.segment.attributes & (SEGMENT_S | SEGMENT_TYPE);
    TRY_FAULT(check_system(cpu, &descriptor,
                           type == TYPE_TSS32 || (type == TYPE_TSS16 && !cpu_long_mode(cpu))));
    uint8_t rights = (uint8_t)(descriptor.raw >> 40) | TYPE_BUSY;
    TRY_FAULT(memory_system_write(cpu, descriptor.linear + 5, &rights, 1));
    cpu->s.tr = descriptor.segment;
    cpu->s.tr.attributes |= TYPE_BUSY;
    return 0;
}

/* The 16-bit selector operand of the memory forms. */
static int read_selector(struct cpu *cpu, const struct insn *insn, uint16_t *selector)
{
    TRY_FAULT(need_descriptors(cpu));
    return memory_read16(cpu, insn->seg, insn_address(cpu, insn), selector);
}

/* What LLDT and LTR demand before they look at their operand. */
static int check_load(struct cpu *cpu)
{
    TRY_FAULT(need_descriptors(cpu));
    return cpu_need_cpl0(cpu);
}

int exec_lldt_r(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(check_load(cpu));
    return load_ldt(cpu, register_read16(cpu, insn->rm));
}

int exec_lldt_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector;
    TRY_FAULT(check_load(cpu));
    TRY_FAULT(read_selector(cpu, insn, &selector));
    return load_ldt(cpu, selector);
}

int exec_ltr_r(struct cpu *cpu, const struct insn *insn)
{
    TRY_FAULT(check_load(cpu));
    return load_task(cpu, register_read16(cpu, insn->rm));
}

int exec_ltr_m(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector;
    TRY_FAULT(check_load(cpu));
    TRY_FAULT(read_selector(cpu, insn, &selector));
    return load_task(cpu, selector);
}

static int store_register(struct cpu *cpu, const struct insn *insn, uint16_t selector)
{
    TRY_FAULT(need_descriptors(cpu));
    TRY_FAULT(cpu_check_umip(cpu));
    if (insn->operand_bytes == 2)
        register_write16(cpu, insn->rm, selector);
    else
        register_write64(cpu, insn->rm, selector);
    return 0;
}

static int store_memory(struct cpu *cpu, const struct insn *insn, uint16_t selector)
{
    TRY_FAULT(need_descriptors(cpu));
    TRY_FAULT(cpu_check_umip(cpu));
    return memory_write16(cpu, insn->seg, insn_address(cpu, insn), selector);
}

int exec_sldt_r(struct cpu *cpu, const struct insn *insn) { return store_register(cpu, insn, cpu->s.ldtr.selector); }
int exec_sldt_m(struct cpu *cpu, const struct insn *insn) { return store_memory(cpu, insn, cpu->s.ldtr.selector); }
int exec_str_r(struct cpu *cpu, const struct insn *insn) { return store_register(cpu, insn, cpu->s.tr.selector); }
int exec_str_m(struct cpu *cpu, const struct insn *insn) { return store_memory(cpu, insn, cpu->s.tr.selector); }

static void set_zf(struct cpu *cpu, bool zf)
{
    flags_put(cpu, (flags_get(cpu) & ~FLAG_ZF) | (zf ? FLAG_ZF : 0));
}

/* Whether a program at this privilege may know of the descriptor at all. */
static bool is_visible(const struct cpu *cpu, const struct segment *segment)
{
    unsigned rpl = segment->selector & 3u;
    unsigned privilege = rpl > cpu->s.cpl ? rpl : cpu->s.cpl;
    return segment_is_conforming(segment) || privilege <= segment_dpl(segment);
}

/* The descriptor for LAR, LSL, VERR and VERW; *valid: found and visible. */
static int probe(struct cpu *cpu, uint16_t selector, struct descriptor *descriptor, bool *valid)
{
    TRY_FAULT(need_descriptors(cpu));
    *valid = false;
    if (SELECTOR_NULL(selector))
        return 0;
    TRY_FAULT(descriptor_probe(cpu, selector, descriptor, valid));
    *valid = *valid && is_visible(cpu, &descriptor->segment);
    return 0;
}

static int verify(struct cpu *cpu, uint16_t selector, bool write)
{
    struct descriptor descriptor = { 0 };
    const struct segment *segment = &descriptor.segment;
    bool valid;

    TRY_FAULT(probe(cpu, selector, &descriptor, &valid));
    bool allowed = write ? segment_is_writable_data(segment)
                         : (segment->attributes & SEGMENT_S)
                               && (!segment_is_code(segment)
                                   || (segment->attributes & SEGMENT_READABLE));
    set_zf(cpu, valid && allowed);
    return 0;
}

static int verify_memory(struct cpu *cpu, const struct insn *insn, bool write)
{
    uint16_t selector;
    TRY_FAULT(read_selector(cpu, insn, &selector));
    return verify(cpu, selector, write);
}

int exec_verr_r(struct cpu *cpu, const struct insn *insn)
{
    return verify(cpu, register_read16(cpu, insn->rm), false);
}
int exec_verr_m(struct cpu *cpu, const struct insn *insn) { return verify_memory(cpu, insn, false); }
int exec_verw_r(struct cpu *cpu, const struct insn *insn)
{
    return verify(cpu, register_read16(cpu, insn->rm), true);
}
int exec_verw_m(struct cpu *cpu, const struct insn *insn) { return verify_memory(cpu, insn, true); }

/* Which system descriptor types LAR and LSL accept, as bit sets. */
static bool type_fits(const struct cpu *cpu, const struct segment *segment, bool limit)
{
    uint32_t segments = 1u << TYPE_LDT | 1u << TYPE_TSS32 | 1u << TYPE_TSS32_BUSY;
    uint32_t old = 1u << TYPE_TSS16 | 1u << TYPE_TSS16_BUSY;
    uint32_t fit = segments;

    if (segment->attributes & SEGMENT_S)
        return true;
    if (!cpu_long_mode(cpu))
        fit |= old;
    if (!limit)
        fit |= 1u << TYPE_CALL_GATE32
               | (cpu_long_mode(cpu) ? 0 : 1u << TYPE_CALL_GATE16 | 1u << TYPE_TASK_GATE);
    return fit >> segment_type(segment) & 1;
}

static int query(struct cpu *cpu, const struct insn *insn, uint16_t selector, bool limit)
{
    struct descriptor descriptor = { 0 };
    bool valid;

    TRY_FAULT(probe(cpu, selector, &descriptor, &valid));
    valid = valid && type_fits(cpu, &descriptor.segment, limit);
    set_zf(cpu, valid);
    if (!valid)
        return 0;
    uint32_t value = limit ? descriptor.segment.limit
                           : (uint32_t)(descriptor.raw >> 32) & 0x00ffff00;
    if (insn->operand_bytes == 2)
        register_write16(cpu, insn->reg, (uint16_t)value);
    else
        register_write64(cpu, insn->reg, value);
    return 0;
}

static int query_memory(struct cpu *cpu, const struct insn *insn, bool limit)
{
    uint16_t selector;
    TRY_FAULT(read_selector(cpu, insn, &selector));
    return query(cpu, insn, selector, limit);
}

int exec_lar_r(struct cpu *cpu, const struct insn *insn)
{
    return query(cpu, insn, register_read16(cpu, insn->rm), false);
}
int exec_lar_m(struct cpu *cpu, const struct insn *insn) { return query_memory(cpu, insn, false); }
int exec_lsl_r(struct cpu *cpu, const struct insn *insn)
{
    return query(cpu, insn, register_read16(cpu, insn->rm), true);
}
int exec_lsl_m(struct cpu *cpu, const struct insn *insn) { return query_memory(cpu, insn, true); }

int exec_arpl_r(struct cpu *cpu, const struct insn *insn)
{
    uint16_t destination = register_read16(cpu, insn->rm);
    uint16_t rpl = register_read16(cpu, insn->reg) & 3;

    TRY_FAULT(need_descriptors(cpu));
    bool raised = (destination & 3) < rpl;
    if (raised)
        register_write16(cpu, insn->rm, (uint16_t)((destination & 0xfffc) | rpl));
    set_zf(cpu, raised);
    return 0;
}

int exec_arpl_m(struct cpu *cpu, const struct insn *insn)
{
    struct memory_modify modify;
    uint16_t destination, rpl = register_read16(cpu, insn->reg) & 3;

    TRY_FAULT(need_descriptors(cpu));
    TRY_FAULT(memory_modify16(cpu, insn->seg, insn_address(cpu, insn), &modify, &destination));
    bool raised = (destination & 3) < rpl;
    if (raised)
        memory_modified16(cpu, &modify, (uint16_t)((destination & 0xfffc) | rpl));
    set_zf(cpu, raised);
    return 0;
}
