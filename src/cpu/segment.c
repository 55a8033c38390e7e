/*
 * Segment descriptors and checks. (SDM vol. 3, chapters 3 and 5; vol. 2, MOV)
 *
 * Accesses to descriptors are the processor's own: no alignment check.
 */
#include "cpu/segment.h"

#define REAL_ATTRIBUTES (SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED)
#define V86_ATTRIBUTES (REAL_ATTRIBUTES | 3 << SEGMENT_DPL_SHIFT)

void descriptor_unpack(uint64_t raw, uint16_t selector, struct segment *segment)
{
    uint32_t high = (uint32_t)(raw >> 32);
    uint32_t limit = (high & 0xf0000) | (uint32_t)(raw & 0xffff);

    segment->attributes = high >> 8 & 0xf0ff;
    segment->base = (high & 0xff000000) | (high & 0xff) << 16 | (uint32_t)(raw >> 16 & 0xffff);
    segment->limit = segment->attributes & SEGMENT_G ? limit << 12 | 0xfff : limit;
    segment->selector = selector;
}

int descriptor_probe(struct cpu *cpu, uint16_t selector, struct descriptor *descriptor,
                     bool *valid)
{
    uint64_t base = cpu->s.gdtr.base;
    uint32_t limit = cpu->s.gdtr.limit;
    uint32_t offset = selector & 0xfff8u;

    *valid = false;
    if (selector & SELECTOR_TI) {
        if (!segment_is_present(&cpu->s.ldtr))
            return 0;
        base = cpu->s.ldtr.base;
        limit = cpu->s.ldtr.limit;
    }
    if ((uint64_t)offset + 7 > limit)
        return 0;
    descriptor->linear = base + offset;
    TRY_FAULT(system_read(cpu, descriptor->linear, &descriptor->raw, 8));
    descriptor_unpack(descriptor->raw, selector, &descriptor->segment);
    *valid = true;
    return 0;
}

int descriptor_read(struct cpu *cpu, uint16_t selector, enum vector vector,
                    struct descriptor *descriptor)
{
    bool valid;
    TRY_FAULT(descriptor_probe(cpu, selector, descriptor, &valid));
    return likely(valid) ? 0 : cpu_raise_error(cpu, vector, SELECTOR_ERROR(selector));
}

int descriptor_read_high(struct cpu *cpu, const struct descriptor *descriptor,
                         enum vector vector, uint64_t *high)
{
    uint16_t selector = descriptor->segment.selector;
    uint32_t limit = selector & SELECTOR_TI ? cpu->s.ldtr.limit : cpu->s.gdtr.limit;

    if ((selector & 0xfff8ull) + 15 > limit)
        return cpu_raise_error(cpu, vector, SELECTOR_ERROR(selector));
    return system_read(cpu, descriptor->linear + 8, high, 8);
}

int descriptor_set_accessed(struct cpu *cpu, struct descriptor *descriptor)
{
    if (likely(descriptor->segment.attributes & SEGMENT_ACCESSED))
        return 0;
    uint8_t rights = (uint8_t)(descriptor->raw >> 40) | SEGMENT_ACCESSED;
    TRY_FAULT(memory_system_write(cpu, descriptor->linear + 5, &rights, 1));
    descriptor->segment.attributes |= SEGMENT_ACCESSED;
    return 0;
}

int segment_read_stack(struct cpu *cpu, uint16_t selector, unsigned cpl, enum vector vector,
                       struct descriptor *descriptor)
{
    if (SELECTOR_NULL(selector))
        return cpu_raise_error(cpu, vector, 0);
    TRY_FAULT(descriptor_read(cpu, selector, vector, descriptor));
    const struct segment *segment = &descriptor->segment;
    if ((selector & 3u) != cpl || segment_dpl(segment) != cpl || !segment_is_writable_data(segment))
        return cpu_raise_error(cpu, vector, SELECTOR_ERROR(selector));
    if (!segment_is_present(segment))
        return cpu_raise_error(cpu, VECTOR_SS, SELECTOR_ERROR(selector));
    return 0;
}

void segment_load_real(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct segment *segment = &cpu->s.seg[seg];

    segment->selector = selector;
    segment->base = (uint64_t)selector << 4;
    if (cpu_v86(cpu)) {
        segment->limit = 0xffff;
        segment->attributes = V86_ATTRIBUTES;
    } else if (!segment_is_present(segment)) {
        /* Null was loaded in protected mode; real mode knows no null. Limit
         * and size stay as they were otherwise ("unreal mode"). */
        segment->limit = 0xffff;
        segment->attributes = REAL_ATTRIBUTES;
    }
    cpu_update_segment(cpu, seg);
}

void segment_load_null(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    cpu->s.seg[seg] = (struct segment){ 0, 0, selector, 0 };
    cpu_update_segment(cpu, seg);
}

/* A null selector in SS: only in 64-bit code of privilege 0 to 2. */
static int load_null(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    if (seg == SS && (!cpu_code64(cpu) || cpu->s.cpl == 3 || (selector & 3u) != cpu->s.cpl))
        return cpu_raise_gp0(cpu);
    segment_load_null(cpu, seg, selector);
    return 0;
}

int cpu_load_segment(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct descriptor descriptor;

    if (!cpu_uses_descriptors(cpu)) {
        segment_load_real(cpu, seg, selector);
        return 0;
    }
    if (SELECTOR_NULL(selector))
        return load_null(cpu, seg, selector);
    if (seg == SS) {
        TRY_FAULT(segment_read_stack(cpu, selector, cpu->s.cpl, VECTOR_GP, &descriptor));
    } else {
        TRY_FAULT(descriptor_read(cpu, selector, VECTOR_GP, &descriptor));
        const struct segment *segment = &descriptor.segment;
        bool readable = (segment->attributes & SEGMENT_S)
                        && (!segment_is_code(segment) || (segment->attributes & SEGMENT_READABLE));
        unsigned rpl = selector & 3u;
        unsigned privilege = rpl > cpu->s.cpl ? rpl : cpu->s.cpl;
        if (!readable || (!segment_is_conforming(segment) && privilege > segment_dpl(segment)))
            return cpu_raise_error(cpu, VECTOR_GP, SELECTOR_ERROR(selector));
        if (!segment_is_present(segment))
            return cpu_raise_error(cpu, VECTOR_NP, SELECTOR_ERROR(selector));
    }
    TRY_FAULT(descriptor_set_accessed(cpu, &descriptor));
    cpu->s.seg[seg] = descriptor.segment;
    cpu_update_segment(cpu, seg);
    return 0;
}

void segment_enter_code(struct cpu *cpu, const struct segment *code, unsigned cpl)
{
    bool was64 = cpu->code_bytes == 8;

    cpu->s.seg[CS] = *code;
    cpu->s.seg[CS].selector = (uint16_t)((code->selector & 0xfffcu) | cpl);
    cpu->s.cpl = (uint8_t)cpl;
    if (was64 && cpu_long_mode(cpu) && (code->attributes & SEGMENT_L))
        cpu_update_privilege(cpu); /* nothing else depends on it */
    else
        cpu_update_mode(cpu);
    cpu_refetch(cpu);
}

void segment_drop_inner(struct cpu *cpu)
{
    static const uint8_t data_segments[] = { ES, DS, FS, GS };

    for (unsigned i = 0; i < ARRAY_SIZE(data_segments); i++) {
        struct segment *segment = &cpu->s.seg[data_segments[i]];
        if (!segment_is_present(segment)) {
            /* Null already: its low bits do not survive. */
            segment->selector = 0;
        } else if (segment_dpl(segment) < cpu->s.cpl && !segment_is_conforming(segment)) {
            /* Unlike a load of null, this leaves the base: 64-bit code of the
             * outer level still adds it to FS and GS. */
            uint64_t base = segment->base;
            segment_load_null(cpu, data_segments[i], 0);
            segment->base = base;
            cpu_update_segment(cpu, data_segments[i]);
        }
    }
}

bool segment_within_limit(const struct segment *segment, uint64_t offset, unsigned bytes)
{
    uint64_t last = offset + bytes - 1;

    if ((segment->attributes & (SEGMENT_S | SEGMENT_CODE | SEGMENT_EXPAND_DOWN))
        == (SEGMENT_S | SEGMENT_EXPAND_DOWN)) {
        uint64_t top = segment->attributes & SEGMENT_DB ? 0xffffffff : 0xffff;
        return offset > segment->limit && last <= top && last >= offset;
    }
    return last <= segment->limit && last >= offset;
}

int segment_check(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned bytes, bool write)
{
    const struct segment *segment = &cpu->s.seg[seg];
    enum vector vector = seg == SS ? VECTOR_SS : VECTOR_GP;
    if (!cpu_uses_descriptors(cpu)) {
        uint64_t last = offset + bytes - 1;
        return last <= segment->limit && last >= offset ? 0 : cpu_raise_error(cpu, vector, 0);
    }
    unsigned attributes = segment->attributes;
    if (!(attributes & SEGMENT_P) || !(attributes & SEGMENT_S))
        return cpu_raise_error(cpu, vector, 0);
    if (write ? !segment_is_writable_data(segment)
              : segment_is_code(segment) && !(attributes & SEGMENT_READABLE))
        return cpu_raise_error(cpu, VECTOR_GP, 0);
    return segment_within_limit(segment, offset, bytes) ? 0 : cpu_raise_error(cpu, vector, 0);
}
