/*
 * A vCPU with 2 MiB of memory and no devices, for tests of the system side.
 * Fixed places: GDT 1000h, IDT 2000h, TSS 3000h, page tables 10000h..12FFFh.
 */
#ifndef TESTS_CPU_BENCH_H
#define TESTS_CPU_BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/memory.h"
#include "cpu/segment.h"

#define GDT 0x1000u
#define IDT 0x2000u
#define TSS 0x3000u
#define TABLES 0x10000u

/* Selectors of the bench's GDT. */
enum {
    CODE0 = 0x08, DATA0 = 0x10, CODE3 = 0x1b, DATA3 = 0x23, TASK = 0x28, /* 16 bytes in long mode */
    CODE64 = 0x38, DATA64 = 0x40, CODE64_3 = 0x4b, CODE16 = 0x50, TASK2 = 0x58,
    SPARE = 0x60, /* for the test to fill */
    SPARE2 = 0x68, GDT_BYTES = 0x200,
};

struct cpu_bench {
    struct physmem memory;
    struct cpu_model model;
    struct engine *engine;
    struct cpu *cpu;
    uint64_t ns;
    unsigned notices;
};

static inline uint64_t bench_ns(void *context, struct cpu *cpu)
{
    (void)cpu;
    return ((struct cpu_bench *)context)->ns;
}
static inline void bench_notice(void *context, struct cpu *cpu, const char *text)
{
    (void)cpu, (void)text;
    ((struct cpu_bench *)context)->notices++;
}
static inline int bench_no_msr(void *context, struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    (void)context, (void)cpu, (void)msr, (void)value;
    return -1;
}
static inline int bench_no_msr_write(void *context, struct cpu *cpu, uint32_t msr, uint64_t value)
{
    (void)context, (void)cpu, (void)msr, (void)value;
    return -1;
}

static inline int bench_setup(void **state)
{
    struct cpu_bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    assert_int_equal(cpu_model_parse(&b->model, "max", 1, NULL), 0);
    assert_int_equal(physmem_init(&b->memory, 2 << 20, 4096, 0xc0000000), 0);
    b->engine = engine_create(&b->memory, &b->model);
    b->cpu = cpu_allocate(sizeof *b->cpu);
    assert_non_null(b->cpu);
    b->cpu->model = &b->model;
    b->cpu->bus.context = b;
    b->cpu->bus.virtual_ns = bench_ns;
    b->cpu->bus.notice = bench_notice;
    b->cpu->bus.msr_read = bench_no_msr;
    b->cpu->bus.msr_write = bench_no_msr_write;
    engine_add_cpu(b->engine, b->cpu);
    cpu_reset(b->cpu);
    *state = b;
    return 0;
}

static inline int bench_teardown(void **state)
{
    struct cpu_bench *b = *state;
    engine_destroy(b->engine);
    physmem_free(&b->memory);
    cpu_free(b->cpu, sizeof *b->cpu);
    free(b);
    return 0;
}

static inline void bench_put(struct cpu_bench *b, uint64_t address, uint64_t value, unsigned bytes)
{
    physmem_write(&b->memory, address, &value, bytes);
}

static inline uint64_t bench_get(const struct cpu_bench *b, uint64_t address, unsigned bytes)
{
    uint64_t value = 0;
    physmem_read(&b->memory, address, &value, bytes);
    return value;
}

static inline void bench_code(struct cpu_bench *b, uint64_t address, const char *bytes, unsigned count)
{
    physmem_write(&b->memory, address, bytes, count);
}

/* A code, data or system descriptor; attributes as in state.h. */
static inline void bench_descriptor(struct cpu_bench *b, unsigned selector, uint64_t base,
                                    uint32_t limit, unsigned attributes)
{
    uint64_t raw = (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)(attributes & 0xff) << 40
                   | (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(attributes >> 12 & 15) << 52
                   | (base >> 24 & 0xff) << 56;
    bench_put(b, GDT + (selector & 0xfff8), raw, 8);
}

static inline void bench_gate(struct cpu_bench *b, unsigned vector, unsigned selector,
                              uint32_t offset, unsigned type_dpl_present)
{
    uint64_t raw = (offset & 0xffff) | (uint64_t)selector << 16
                   | (uint64_t)type_dpl_present << 40 | (uint64_t)(offset >> 16) << 48;
    bench_put(b, IDT + 8 * vector, raw, 8);
}

static inline void bench_gate64(struct cpu_bench *b, unsigned vector, unsigned selector,
                                uint64_t offset, unsigned ist, unsigned type_dpl_present)
{
    uint64_t raw = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)ist << 32
                   | (uint64_t)type_dpl_present << 40 | (offset >> 16 & 0xffff) << 48;
    bench_put(b, IDT + 16 * vector, raw, 8);
    bench_put(b, IDT + 16 * vector + 8, offset >> 32, 8);
}

/* Segment rights with DPL 0; add 0x60 for DPL 3. */
#define RIGHTS_CODE32 (0x9bu | SEGMENT_DB | SEGMENT_G)
#define RIGHTS_DATA32 (0x93u | SEGMENT_DB | SEGMENT_G)
#define RIGHTS_CODE64 (0x9bu | SEGMENT_L | SEGMENT_G)

static inline void bench_tables(struct cpu_bench *b)
{
    bench_descriptor(b, CODE0, 0, 0xfffff, RIGHTS_CODE32);
    bench_descriptor(b, DATA0, 0, 0xfffff, RIGHTS_DATA32);
    bench_descriptor(b, CODE3, 0, 0xfffff, RIGHTS_CODE32 | 0x60);
    bench_descriptor(b, DATA3, 0, 0xfffff, RIGHTS_DATA32 | 0x60);
    bench_descriptor(b, TASK, TSS, 0x67, 0x89);
    bench_descriptor(b, CODE64, 0, 0xfffff, RIGHTS_CODE64);
    bench_descriptor(b, DATA64, 0, 0xfffff, RIGHTS_DATA32);
    bench_descriptor(b, CODE64_3, 0, 0xfffff, RIGHTS_CODE64 | 0x60);
    bench_descriptor(b, CODE16, 0, 0xffff, 0x9b);
    b->cpu->s.gdtr = (struct descriptor_table){ GDT, GDT_BYTES - 1, 0 };
    b->cpu->s.idtr = (struct descriptor_table){ IDT, 256 * 8 - 1, 0 };
}

static inline void bench_segment(struct cpu_bench *b, struct segment *segment, unsigned selector)
{
    descriptor_unpack(bench_get(b, GDT + (selector & 0xfff8), 8), (uint16_t)selector, segment);
}

/* Protected mode at privilege 0 or 3, flat, 32-bit, stack at 7000h or 6000h;
 * stack 0 in the TSS at 7000h. */
static inline void bench_protected(struct cpu_bench *b, unsigned cpl)
{
    struct cpu_state *s = &b->cpu->s;
    bench_tables(b);
    bench_segment(b, &s->tr, TASK);
    s->tr.attributes |= TYPE_BUSY;
    bench_put(b, TSS + 4, 0x7000, 4);
    bench_put(b, TSS + 8, DATA0, 4);
    s->cr0 = CR0_PE | CR0_ET;
    s->cpl = (uint8_t)cpl;
    bench_segment(b, &s->seg[CS], cpl ? CODE3 : CODE0);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        if (i != CS)
            bench_segment(b, &s->seg[i], cpl ? DATA3 : DATA0);
    s->gpr[RSP] = cpl ? 0x6000 : 0x7000;
    s->gpr[RIP] = 0x8000;
    cpu_restored(b->cpu);
}

/* Long mode, 64-bit code, the first 2 MiB mapped for everybody. */
static inline void bench_long(struct cpu_bench *b, unsigned cpl)
{
    struct cpu_state *s = &b->cpu->s;
    bench_protected(b, 0);
    s->idtr.limit = 4095;
    bench_put(b, GDT + TASK + 8, 0, 8);
    bench_put(b, TABLES, (TABLES + 0x1000) | 7, 8);
    bench_put(b, TABLES + 0x1000, (TABLES + 0x2000) | 7, 8);
    bench_put(b, TABLES + 0x2000, 0x87, 8);
    s->cr3 = TABLES;
    s->cr4 = CR4_PAE;
    s->cr0 |= CR0_PG;
    s->efer = EFER_LME | EFER_LMA;
    bench_segment(b, &s->seg[CS], cpl ? CODE64_3 : CODE64);
    bench_segment(b, &s->seg[SS], cpl ? DATA3 : DATA64);
    s->cpl = (uint8_t)cpl;
    bench_put(b, TSS + 4, 0x7000, 8);
    s->gpr[RSP] = cpl ? 0x6000 : 0x7000;
    cpu_restored(b->cpu);
}

/* What is true or false is 1 or 0: states are compared as bytes. */
static inline void bench_check_state(const struct cpu_state *s)
{
    const uint8_t truths[] = { s->shadow_sti, s->shadow_mov_ss, s->nmi_blocked, s->smi_pending,
                               s->init_pending, s->apic_off, s->yield, s->monitor_armed };

    for (unsigned i = 0; i < ARRAY_SIZE(truths); i++)
        assert_in_range(truths[i], 0, 1);
    assert_in_range(s->smm, 0, 2);
    assert_in_range(s->cpl, 0, 3);
    assert_int_equal(s->rflags & ~0x3f7fd7ull, 0);
    assert_true(s->rflags & FLAG_1);
}

/* cpu_run, which leaves what is derived from the state as mode.c would make it anew. */
static inline enum cpu_exit bench_run(struct cpu_bench *b, uint64_t budget)
{
    struct cpu *cpu = b->cpu;
    enum cpu_exit exit = cpu_run(cpu, budget);
    struct segment_access access[ARRAY_SIZE(cpu->access)];
    const struct tlb *tlb = cpu->tlb;
    uint64_t stack_mask = cpu->stack_mask, rip_mask = cpu->rip_mask;
    unsigned code_bytes = cpu->code_bytes;

    memcpy(access, cpu->access, sizeof access);
    cpu_update_mode(cpu);
    assert_memory_equal(access, cpu->access, sizeof access);
    assert_int_equal(stack_mask, cpu->stack_mask);
    assert_int_equal(rip_mask, cpu->rip_mask);
    assert_int_equal(code_bytes, cpu->code_bytes);
    assert_ptr_equal(tlb, cpu->tlb);
    bench_check_state(&cpu->s);
    return exit;
}

/* The decoded block of 64-bit code at this physical address; NULL: there is none. */
static inline struct block *bench_block(struct cpu_bench *b, uint64_t address)
{
    return engine_find_block(b->engine, block_key((uint32_t)(address >> 12), address, 8));
}

#define BENCH_TEST(function) cmocka_unit_test_setup_teardown(function, bench_setup, bench_teardown)

#endif
