/*
 * Task switches. (SDM vol. 3, chapter 7)
 *
 * Not modelled: the order of the checks of the new task's segments is ours;
 * a fault in them is raised in the new task, as the manual says.
 */
#include "cpu/task.h"

#include "cpu/stack.h"

#define TSS16_BYTES 44u
#define TSS32_BYTES 104u

/* The dynamic part of a TSS, either size. Selectors by enum segment_register. */
struct task_image {
    uint64_t cr3, pdpte[4]; /* the latter if CR3 changes under PAE */
    uint32_t eip, eflags;
    uint32_t gpr[8];
    uint16_t selector[SEGMENT_COUNT];
    uint16_t ldt;
    bool trap;
};

static bool is_wide(const struct segment *tss)
{
    return segment_type(tss) >= TYPE_TSS32;
}

static void parse_image(const uint8_t *tss, bool wide, struct task_image *image)
{
    memset(image, 0, sizeof *image);
    if (wide) {
        image->cr3 = load32(tss + 28);
        image->eip = load32(tss + 32);
        image->eflags = load32(tss + 36);
        for (unsigned i = 0; i < 8; i++)
            image->gpr[i] = load32(tss + 40 + 4 * i);
        for (unsigned i = 0; i < SEGMENT_COUNT; i++)
            image->selector[i] = load16(tss + 72 + 4 * i);
        image->ldt = load16(tss + 96);
        image->trap = tss[100] & 1;
        return;
    }
    image->eip = load16(tss + 14);
    image->eflags = load16(tss + 16);
    for (unsigned i = 0; i < 8; i++)
        image->gpr[i] = 0xffff0000 | load16(tss + 18 + 2 * i);
    for (unsigned i = ES; i <= DS; i++)
        image->selector[i] = load16(tss + 34 + 2 * i);
    image->ldt = load16(tss + 42);
}

/* Writes the old task's registers into its TSS. */
static int save_task(struct cpu *cpu, uint32_t eip, uint32_t eflags)
{
    const struct cpu_state *s = &cpu->s;
    bool wide = is_wide(&s->tr);
    unsigned first = wide ? 32 : 14, bytes = wide ? 64 : 28;
    uint8_t image[64] = { 0 };

    if (s->tr.limit < first + bytes - 1)
        return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(s->tr.selector));

    if (!wide) {
        store16(image, (uint16_t)eip);
        store16(image + 2, (uint16_t)eflags);
        for (unsigned i = 0; i < 8; i++)
            store16(image + 4 + 2 * i, (uint16_t)s->gpr[i]);
        for (unsigned i = ES; i <= DS; i++)
            store16(image + 20 + 2 * i, s->seg[i].selector);
        return memory_system_write(cpu, s->tr.base + first, image, bytes);
    }
    store32(image, eip);
    store32(image + 4, eflags);
    for (unsigned i = 0; i < 8; i++)
        store32(image + 8 + 4 * i, (uint32_t)s->gpr[i]);
    /* The upper halves of the selector fields keep what they have. */
    TRY_FAULT(memory_system_read(cpu, s->tr.base + 72, image + 40, 24));
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        store16(image + 40 + 4 * i, s->seg[i].selector);
    return memory_system_write(cpu, s->tr.base + first, image, bytes);
}

static int set_busy(struct cpu *cpu, uint64_t linear, bool busy)
{
    uint8_t rights;
    TRY_FAULT(memory_system_read(cpu, linear + 5, &rights, 1));
    rights = (uint8_t)(busy ? rights | TYPE_BUSY : rights & ~TYPE_BUSY);
    return memory_system_write(cpu, linear + 5, &rights, 1);
}

/* The new TSS's descriptor with all that is demanded of it. */
static int read_tss(struct cpu *cpu, uint16_t selector, enum task_reason reason,
                    enum vector vector, struct descriptor *tss)
{
    if (SELECTOR_NULL(selector) || (selector & SELECTOR_TI))
        return cpu_raise_error(cpu, vector, SELECTOR_ERROR(selector));
    TRY_FAULT(descriptor_read(cpu, selector, vector, tss));
    unsigned type = tss->segment.attributes & (SEGMENT_S | SEGMENT_TYPE);
    unsigned busy = reason == TASK_RETURN ? TYPE_BUSY : 0;
    if (type != (TYPE_TSS16 | busy) && type != (TYPE_TSS32 | busy))
        return cpu_raise_error(cpu, vector, SELECTOR_ERROR(selector));
    if (!segment_is_present(&tss->segment))
        return cpu_raise_error(cpu, VECTOR_NP, SELECTOR_ERROR(selector));
    uint32_t least = (is_wide(&tss->segment) ? TSS32_BYTES : TSS16_BYTES) - 1;
    if (tss->segment.limit < least)
        return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(selector));
    return 0;
}

/* LDTR of the new task. */
static int load_ldt(struct cpu *cpu, uint16_t selector)
{
    struct descriptor ldt;

    if (SELECTOR_NULL(selector))
        return 0;
    if (selector & SELECTOR_TI)
        return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(selector));
    TRY_FAULT(descriptor_read(cpu, selector, VECTOR_TS, &ldt));
    if ((ldt.segment.attributes & (SEGMENT_S | SEGMENT_TYPE)) != TYPE_LDT
        || !segment_is_present(&ldt.segment))
        return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(selector));
    cpu->s.ldtr = ldt.segment;
    return 0;
}

static int load_code(struct cpu *cpu, uint16_t selector)
{
    struct descriptor code;
    unsigned rpl = selector & 3u;

    if (SELECTOR_NULL(selector))
        return cpu_raise_error(cpu, VECTOR_TS, 0);
    TRY_FAULT(descriptor_read(cpu, selector, VECTOR_TS, &code));
    const struct segment *segment = &code.segment;
    unsigned dpl = segment_dpl(segment);
    if (!segment_is_code(segment) || (segment_is_conforming(segment) ? dpl > rpl : dpl != rpl))
        return cpu_raise_error(cpu, VECTOR_TS, SELECTOR_ERROR(selector));
    if (!segment_is_present(segment))
        return cpu_raise_error(cpu, VECTOR_NP, SELECTOR_ERROR(selector));
    TRY_FAULT(descriptor_set_accessed(cpu, &code));
    cpu->s.seg[CS] = *segment;
    cpu_update_mode(cpu);
    return 0;
}

static int load_stack(struct cpu *cpu, uint16_t selector)
{
    struct descriptor ss;
    TRY_FAULT(segment_read_stack(cpu, selector, cpu->s.cpl, VECTOR_TS, &ss));
    TRY_FAULT(descriptor_set_accessed(cpu, &ss));
    cpu->s.seg[SS] = ss.segment;
    cpu_update_segment(cpu, SS);
    return 0;
}

/* DS, ES, FS, GS: as MOV does it, with #TS for #GP. */
static int load_data(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    if (cpu_load_segment(cpu, seg, selector) == 0)
        return 0;
    if (cpu->exception.vector == VECTOR_GP)
        cpu->exception.vector = VECTOR_TS;
    return CPU_FAULT;
}

/* All registers are in place; now the descriptors behind the selectors, in the
 * new task's context. */
static int load_segments(struct cpu *cpu, const struct task_image *image)
{
    static const uint8_t data[] = { ES, DS, FS, GS };

    TRY_FAULT(load_ldt(cpu, image->ldt));
    if (cpu_v86(cpu)) {
        for (unsigned i = 0; i < SEGMENT_COUNT; i++)
            segment_load_real(cpu, i, image->selector[i]);
        cpu_update_mode(cpu);
        return 0;
    }
    TRY_FAULT(load_code(cpu, image->selector[CS]));
    TRY_FAULT(load_stack(cpu, image->selector[SS]));
    for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
        TRY_FAULT(load_data(cpu, data[i], image->selector[data[i]]));
    if (cpu->s.gpr[RIP] > cpu->s.seg[CS].limit)
        return cpu_raise_gp0(cpu);
    return 0;
}

static bool changes_cr3(const struct cpu *cpu, const struct descriptor *tss, const struct task_image *image)
{
    return is_wide(&tss->segment) && cpu->s.cr0 & CR0_PG && image->cr3 != cpu->s.cr3;
}

/* Puts the image's registers in place; segments have selectors only so far. */
static void enter_task(struct cpu *cpu, const struct task_image *image,
                       const struct descriptor *tss)
{
    struct cpu_state *s = &cpu->s;

    s->tr = tss->segment;
    s->tr.attributes |= TYPE_BUSY;
    s->cr0 |= CR0_TS;
    s->dr[7] &= ~0x55ull; /* local breakpoints */
    if (changes_cr3(cpu, tss, image)) {
        s->cr3 = image->cr3;
        if (s->cr4 & CR4_PAE)
            memcpy(s->pdpte, image->pdpte, sizeof s->pdpte);
        mmu_flush(cpu);
    }
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = image->gpr[i];
    s->gpr[RIP] = image->eip;
    flags_from_rflags(cpu, image->eflags & 0x3f7fd7);
    s->cpl = cpu_v86(cpu) ? 3 : image->selector[CS] & 3;
    s->ldtr = (struct segment){ 0, 0, image->ldt, 0 };
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        s->seg[i] = (struct segment){ 0, 0, image->selector[i], 0 };
    s->seg[CS].attributes = SEGMENT_DB;
    cpu_update_mode(cpu);
    cpu_refetch(cpu);
}

int task_switch(struct cpu *cpu, uint16_t selector, enum task_reason reason, enum vector vector,
                uint64_t return_rip)
{
    struct cpu_state *s = &cpu->s;
    struct descriptor tss;
    struct task_image image;
    uint8_t bytes[TSS32_BYTES];
    uint16_t old = s->tr.selector;
    uint32_t eflags = (uint32_t)flags_to_rflags(cpu);

    TRY_FAULT(read_tss(cpu, selector, reason, vector, &tss));
    bool wide = is_wide(&tss.segment);
    TRY_FAULT(memory_system_read(cpu, tss.segment.base, bytes, wide ? TSS32_BYTES : TSS16_BYTES));
    parse_image(bytes, wide, &image);
    /* Every write is checked to be possible by the ones before it failing
     * with nothing but memory changed. */
    if (reason == TASK_RETURN)
        eflags &= ~(uint32_t)FLAG_NT;
    TRY_FAULT(save_task(cpu, (uint32_t)return_rip, eflags));
    if (changes_cr3(cpu, &tss, &image) && s->cr4 & CR4_PAE)
        TRY_FAULT(mmu_read_pdptes(cpu, image.cr3, image.pdpte));
    if (reason == TASK_CALL) {
        TRY_FAULT(memory_system_write(cpu, tss.segment.base, &old, 2));
        image.eflags |= FLAG_NT;
    } else {
        TRY_FAULT(set_busy(cpu, s->gdtr.base + (old & 0xfff8u), false));
    }
    if (reason != TASK_RETURN)
        TRY_FAULT(set_busy(cpu, tss.linear, true));

    enter_task(cpu, &image, &tss);
    if (load_segments(cpu, &image))
        return FAULT_IN_NEW_TASK;
    if (image.trap) {
        s->pending_debug |= DR6_BT;
        cpu_attention(cpu);
    }
    cpu_events_unmasked(cpu);
    return 0;
}

int task_push_error(struct cpu *cpu, uint32_t error)
{
    struct stack stack;

    stack_current(cpu, &stack);
    if (stack_push(cpu, &stack, error, is_wide(&cpu->s.tr) ? 4 : 2))
        return FAULT_IN_NEW_TASK;
    stack_commit_rsp(cpu, &stack);
    return 0;
}

int task_finish(struct cpu *cpu, int result)
{
    if (result != FAULT_IN_NEW_TASK)
        return result;
    cpu_deliver_exception(cpu);
    return 0;
}
