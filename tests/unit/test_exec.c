/*
 * General-purpose instructions where the silicon test cannot go: outside CPL 3,
 * in real and virtual-8086 mode, against budgets, MMIO and ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/engine.h"
#include "cpu/flags.h"
#include "cpu/memory.h"

#define CODE 0x7000u
#define DATA 0x20000u
#define MMIO 0xa0000u
#define RAM 0x100000u

#define CODE_ATTRIBUTES (SEGMENT_P | SEGMENT_S | SEGMENT_CODE | SEGMENT_READABLE | SEGMENT_ACCESSED)
#define DATA_ATTRIBUTES (SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED)

static struct physmem memory;
static struct cpu_model model;
static struct engine *engine;
static struct cpu *cpu;
static struct insn insn;

/* What the bus saw. */
static struct {
    unsigned reads, writes, bytes;
    uint64_t value, address, retired;
} seen;

static uint64_t port_read(void *context, struct cpu *on, uint16_t port, unsigned bytes)
{
    (void)context;
    seen.reads++;
    seen.address = port;
    seen.bytes = bytes;
    seen.retired = cpu_retired(on);
    return 0x8877665544332211ull + seen.reads - 1;
}
static void port_write(void *context, struct cpu *on, uint16_t port, uint64_t value, unsigned bytes)
{
    (void)context;
    seen.writes++;
    seen.address = port;
    seen.value = value;
    seen.bytes = bytes;
    seen.retired = cpu_retired(on);
}
static uint64_t mmio_read(void *context, struct cpu *on, uint64_t address, unsigned bytes)
{
    return port_read(context, on, (uint16_t)address, bytes);
}
static void mmio_write(void *context, struct cpu *on, uint64_t address, uint64_t value, unsigned bytes)
{
    port_write(context, on, (uint16_t)address, value, bytes);
}
static void notice(void *context, struct cpu *on, const char *text)
{
    (void)context, (void)on, (void)text;
}

static int setup(void **state)
{
    (void)state;
    memset(&seen, 0, sizeof seen);
    memset(model.features, 0xff, sizeof model.features);
    model.physical_bits = 40;
    model.linear_bits = 48;
    model.cpu_count = 1;
    if (physmem_init(&memory, RAM, 4096, 0xc0000000))
        return -1;
    engine = engine_create(&memory, &model);
    cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
    memset(cpu, 0, sizeof *cpu);
    cpu->model = &model;
    cpu->bus = (struct cpu_bus){ .port_read = port_read, .port_write = port_write,
                                 .mmio_read = mmio_read, .mmio_write = mmio_write,
                                 .notice = notice };
    engine_add_cpu(engine, cpu);
    for (unsigned i = 0; i < 256; i++)
        physmem_map_low(&memory, i, i < MMIO >> 12 ? i : PHYSMEM_MMIO,
                        i < MMIO >> 12 ? i : PHYSMEM_MMIO);
    physmem_remapped(&memory);
    cpu_reset(cpu);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    engine_destroy(engine);
    physmem_free(&memory);
    free(cpu);
    return 0;
}

/* Segments of base 0 with `limit`, code of `code_bytes` (2, 4), at `cpl`. */
static void set_mode(unsigned code_bytes, uint32_t limit, unsigned cpl)
{
    uint16_t wide = code_bytes == 4 ? SEGMENT_DB : 0;
    uint16_t dpl = (uint16_t)(cpl << SEGMENT_DPL_SHIFT);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        cpu->s.seg[i] = (struct segment){ 0, limit, 8, (uint16_t)(DATA_ATTRIBUTES | wide | dpl) };
    cpu->s.seg[CS].attributes = (uint16_t)(CODE_ATTRIBUTES | wide | dpl);
    cpu->s.cpl = (uint8_t)cpl;
    flags_from_rflags(cpu, cpu->s.rflags);
    cpu_update_mode(cpu);
}
static void set_real(void)
{
    cpu->s.cr0 &= ~CR0_PE;
    set_mode(2, 0xffff, 0);
}
static void set_protected(unsigned cpl)
{
    cpu->s.cr0 |= CR0_PE;
    set_mode(4, 0xffffffff, cpl);
}
static void set_v86(unsigned iopl)
{
    cpu->s.cr0 |= CR0_PE;
    cpu->s.rflags = FLAG_1 | FLAG_VM | iopl << 12;
    set_mode(2, 0xffff, 3);
}

/* Runs one instruction as the first of its block; `remaining` is what the
 * budget has left after it. Returns what its handler returned. */
static int run_with(int64_t remaining, const char *bytes, unsigned length)
{
    uint8_t copy[16];
    memset(copy, 0x90, sizeof copy);
    memcpy(copy, bytes, length);
    assert_int_equal(decode(&engine->decoder, cpu->code_bytes, copy, 15, 0, &insn), DECODE_OK);
    assert_int_equal(insn.length, length);
    cpu->s.gpr[RIP] = CODE;
    cpu->current = cpu->block_start = &insn;
    cpu->block_end = &insn + 1;
    cpu->block_count = 1;
    cpu->remaining = remaining;
    cpu->budget = 1000 + remaining + 1; /* 1000 instructions ran before */
    cpu->attention = false;
    return insn.handler(cpu, &insn);
}
#define RUN(bytes) run_with(0, bytes, sizeof(bytes) - 1)
#define RUN_WITH(remaining, bytes) run_with(remaining, bytes, sizeof(bytes) - 1)

#define assert_faults(result, wanted)                                                              \
    do {                                                                                           \
        assert_int_equal(result, CPU_FAULT);                                                       \
        assert_int_equal(cpu->exception.vector, wanted);                                           \
    } while (0)

static uint8_t *ram(uint32_t address)
{
    return memory.bytes + address;
}
/* After direct changes of memory the derived data may be stale only as to
 * tracking, which these tests do not look at. */
static uint64_t *gpr(unsigned r)
{
    return &cpu->s.gpr[r];
}

/* Touches a page so that accesses to it take the fast path. */
static void warm(uint32_t address)
{
    uint8_t byte;
    assert_int_equal(memory_read8(cpu, DS, address, &byte), 0);
    assert_int_equal(memory_write8(cpu, DS, address, byte), 0);
    assert_int_equal(memory_write8(cpu, DS, address, byte), 0);
    assert_non_null(memory_fast_write(cpu, DS, address, 1));
}

static void rep_stops_at_the_budget(void **state)
{
    (void)state;
    set_protected(0);
    warm(DATA);
    *gpr(RDI) = DATA;
    *gpr(RCX) = 100;
    *gpr(RAX) = 0x5a;
    assert_int_equal(RUN_WITH(9, "\xf3\xaa"), 0);
    assert_int_equal(*gpr(RCX), 90);
    assert_int_equal(*gpr(RDI), DATA + 10);
    assert_int_equal(*gpr(RIP), CODE);
    assert_int_equal(cpu->remaining, 0);
    assert_int_equal(ram(DATA)[9], 0x5a);
    assert_int_equal(ram(DATA)[10], 0);
    assert_int_equal(RUN_WITH(0, "\xf3\xaa"), 0);
    assert_int_equal(*gpr(RCX), 89);
    assert_int_equal(cpu->remaining, 0);
    assert_int_equal(RUN_WITH(-3, "\xf3\xaa"), 0);
    assert_int_equal(*gpr(RCX), 88);
    assert_int_equal(cpu->remaining, -3);
    assert_int_equal(RUN_WITH(1000, "\xf3\xaa"), 0);
    assert_int_equal(*gpr(RCX), 0);
    assert_int_equal(cpu->remaining, 1000 - 87);
    assert_int_equal(*gpr(RIP), CODE + 2);
}

static void rep_of_zero_is_one_instruction(void **state)
{
    (void)state;
    set_protected(0);
    *gpr(RDI) = DATA;
    *gpr(RCX) = 0x100000000ull; /* ECX is 0 */
    assert_int_equal(RUN_WITH(9, "\xf3\xaa"), 0);
    assert_int_equal(cpu->remaining, 9);
    assert_int_equal(*gpr(RIP), CODE + 2);
    assert_int_equal(*gpr(RDI), DATA);
}

static void rep_is_looked_at_after_each_when_events_are_near(void **state)
{
    static const char what[] = "\xf3\xaa";
    (void)state;
    set_protected(0);
    warm(DATA);
    *gpr(RDI) = DATA;
    *gpr(RCX) = 100;
    cpu->s.shadow_sti = 1;
    run_with(50, what, 2);
    assert_int_equal(*gpr(RCX), 99);
    cpu->s.shadow_sti = 0;
    cpu->s.shadow_mov_ss = 1;
    run_with(50, what, 2);
    assert_int_equal(*gpr(RCX), 98);
    cpu->s.shadow_mov_ss = 0;
    cpu->s.rflags |= FLAG_TF;
    run_with(50, what, 2);
    assert_int_equal(*gpr(RCX), 97);
}

static void rep_faults_as_before_its_iteration(void **state)
{
    (void)state;
    cpu->s.cr0 |= CR0_PE;
    set_mode(4, DATA + 20, 0);
    warm(DATA);
    *gpr(RDI) = DATA;
    *gpr(RCX) = 100;
    assert_int_equal(RUN_WITH(500, "\xf3\xab"), 0); /* STOSD */
    assert_int_equal(*gpr(RCX), 95);
    assert_int_equal(cpu->remaining, 496);
    assert_int_equal(*gpr(RIP), CODE);
    assert_faults(RUN_WITH(500, "\xf3\xab"), VECTOR_GP);
    assert_int_equal(*gpr(RCX), 95);
    assert_int_equal(*gpr(RDI), DATA + 20);
    assert_int_equal(cpu->remaining, 500);
}

/* The forward copy of elements, one by one. */
static void copy_slowly(uint8_t *bytes, unsigned to, unsigned from, unsigned size, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint8_t element[8];
        memcpy(element, bytes + from + i * size, size);
        memcpy(bytes + to + i * size, element, size);
    }
}

static void movs_overlaps_exactly(void **state)
{
    static const char *const codes[] = { "\xf3\xa4", "\xf3\x66\xa5", "\xf3\xa5" };
    uint8_t expected[4096];
    (void)state;
    set_protected(0);
    for (unsigned size = 0; size < 3; size++) {
        for (int distance = -9; distance <= 9; distance++) {
            warm(DATA);
            for (unsigned i = 0; i < sizeof expected; i++)
                expected[i] = ram(DATA)[i] = (uint8_t)(i * 7 + (i >> 3));
            unsigned to = (unsigned)(1000 + distance);
            *gpr(RSI) = DATA + 1000;
            *gpr(RDI) = DATA + to;
            *gpr(RCX) = 50;
            copy_slowly(expected, to, 1000, 1u << size, 50);
            assert_int_equal(run_with(1000, codes[size], size == 1 ? 3 : 2), 0);
            assert_int_equal(*gpr(RCX), 0);
            assert_memory_equal(ram(DATA), expected, sizeof expected);
        }
    }
}

static void movs_runs_through_pages(void **state)
{
    uint8_t expected[0x8000];
    unsigned calls = 0;
    (void)state;
    set_protected(0);
    for (unsigned i = 0; i < sizeof expected; i++)
        expected[i] = ram(DATA)[i] = (uint8_t)(i * 13 + (i >> 8));
    *gpr(RSI) = DATA + 0x123;
    *gpr(RDI) = DATA + 0x4567;
    *gpr(RCX) = 0xc01;
    copy_slowly(expected, 0x4567, 0x123, 4, 0xc01);
    int64_t left = 100000;
    do {
        assert_int_equal(RUN_WITH(left, "\xf3\xa5"), 0);
        left = cpu->remaining - 1;
        assert_true(++calls < 50);
    } while (*gpr(RIP) == CODE);
    assert_int_equal(100000 - left, 0xc01);
    assert_memory_equal(ram(DATA), expected, sizeof expected);
}

static void strings_run_down(void **state)
{
    (void)state;
    set_protected(0);
    warm(DATA);
    cpu->s.rflags |= FLAG_DF;
    memcpy(ram(DATA), "abcdefgh", 8);
    *gpr(RSI) = DATA + 7;
    *gpr(RDI) = DATA + 107;
    *gpr(RCX) = 8;
    assert_int_equal(RUN_WITH(100, "\xf3\xa4"), 0);
    assert_memory_equal(ram(DATA + 100), "abcdefgh", 8);
    assert_int_equal(*gpr(RSI), DATA - 1);
    *gpr(RDI) = DATA + 7;
    *gpr(RCX) = 8;
    *gpr(RAX) = 'c';
    assert_int_equal(RUN_WITH(100, "\xf2\xae"), 0);
    assert_int_equal(*gpr(RCX), 2);
    assert_int_equal(*gpr(RDI), DATA + 1);
    assert_true(flags_zf(cpu));
}

static void scans_end_by_condition_or_budget(void **state)
{
    (void)state;
    set_protected(0);
    warm(DATA);
    memcpy(ram(DATA), "aaaaaaaab", 9);
    memcpy(ram(DATA + 32), "aaaaaaaac", 9);
    *gpr(RSI) = DATA;
    *gpr(RDI) = DATA + 32;
    *gpr(RCX) = 100;
    assert_int_equal(RUN_WITH(4, "\xf3\xa6"), 0);
    assert_int_equal(*gpr(RCX), 95);
    assert_int_equal(*gpr(RIP), CODE);
    assert_true(flags_zf(cpu));
    assert_int_equal(RUN_WITH(100, "\xf3\xa6"), 0);
    assert_int_equal(*gpr(RCX), 91);
    assert_int_equal(*gpr(RIP), CODE + 2);
    assert_int_equal(cpu->remaining, 97);
    assert_false(flags_zf(cpu));
    assert_true(flags_cf(cpu));
    /* The condition is met in the last iteration that the budget pays for. */
    *gpr(RDI) = DATA;
    *gpr(RCX) = 100;
    *gpr(RAX) = 'b';
    assert_int_equal(RUN_WITH(8, "\xf2\xae"), 0);
    assert_int_equal(*gpr(RIP), CODE + 2);
    assert_int_equal(cpu->remaining, 0);
}

static void strings_wrap_at_the_address_size(void **state)
{
    (void)state;
    set_real();
    cpu->s.seg[ES].base = DATA;
    cpu_update_mode(cpu);
    *gpr(RDI) = 0x1234fffe;
    *gpr(RCX) = 0x56780004;
    *gpr(RAX) = 0x77;
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(RUN_WITH(0, "\xf3\xaa"), 0);
    assert_int_equal(*gpr(RDI), 0x12340002);
    assert_int_equal(*gpr(RCX), 0x56780000);
    assert_int_equal(ram(DATA + 0xffff)[0], 0x77);
    assert_int_equal(ram(DATA)[1], 0x77);
    *gpr(RDI) = 0xfff0;
    *gpr(RCX) = 0x30;
    *gpr(RAX) = 0x88;
    unsigned calls = 0;
    do
        assert_int_equal(RUN_WITH(100, "\xf3\xaa"), 0);
    while (*gpr(RIP) == CODE && ++calls < 20);
    assert_int_equal(ram(DATA + 0xffff)[0], 0x88);
    assert_int_equal(ram(DATA)[0x1f], 0x88);
    assert_int_equal(ram(DATA)[0x20], 0);
    assert_int_equal(*gpr(RDI), 0x20);
}

static void mmio_is_one_iteration_and_counted_exactly(void **state)
{
    (void)state;
    set_protected(0);
    warm(MMIO - 4);
    *gpr(RDI) = MMIO - 2;
    *gpr(RCX) = 6;
    *gpr(RAX) = 0x3c;
    assert_int_equal(RUN_WITH(100, "\xf3\xaa"), 0);
    assert_int_equal(*gpr(RCX), 4); /* stopped before it */
    assert_int_equal(seen.writes, 0);
    for (unsigned i = 1; i <= 4; i++) {
        assert_int_equal(RUN_WITH(100, "\xf3\xaa"), 0);
        assert_int_equal(seen.writes, i);
        assert_int_equal(seen.value, 0x3c);
        assert_int_equal(seen.retired, 1000);
        assert_int_equal(cpu->remaining, 100);
    }
    assert_int_equal(*gpr(RIP), CODE + 2);
}

static void ports_have_their_widths(void **state)
{
    (void)state;
    set_protected(0);
    *gpr(RAX) = 0xffffffffffffffff;
    assert_int_equal(RUN("\xe4\xfe"), 0);
    assert_int_equal(seen.address, 0xfe);
    assert_int_equal(seen.bytes, 1);
    assert_int_equal(seen.retired, 1000);
    assert_int_equal(*gpr(RAX), 0xffffffffffffff11);
    assert_int_equal(RUN("\x66\xe5\xfe"), 0);
    assert_int_equal(*gpr(RAX), 0xffffffffffff2212);
    *gpr(RDX) = 0x12345678;
    assert_int_equal(RUN("\xed"), 0);
    assert_int_equal(seen.address, 0x5678);
    assert_int_equal(*gpr(RAX), 0x44332213);
    assert_int_equal(RUN("\x66\xef"), 0);
    assert_int_equal(seen.value, 0x2213);
    assert_int_equal(seen.bytes, 2);
}

static void string_ports_move_one_element_a_call(void **state)
{
    (void)state;
    set_protected(0);
    *gpr(RDX) = 0x1f0;
    *gpr(RDI) = DATA;
    *gpr(RCX) = 3;
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(RUN_WITH(100, "\xf3\x66\x6d"), 0);
        assert_int_equal(seen.reads, i);
        assert_int_equal(cpu->remaining, 100);
        assert_int_equal(*gpr(RIP), i == 3 ? CODE + 3 : CODE);
    }
    assert_int_equal(load16(ram(DATA + 4)), 0x2213);
    *gpr(RSI) = DATA;
    *gpr(RCX) = 1;
    assert_int_equal(RUN_WITH(100, "\xf3\x66\x6f"), 0);
    assert_int_equal(seen.value, 0x2211);
    /* A store that would fault leaves the device alone. */
    set_mode(4, DATA, 0);
    *gpr(RDI) = DATA + 1;
    assert_faults(RUN("\x6c"), VECTOR_GP);
    assert_int_equal(seen.reads, 3);
}

/* POPF of all ones, and of zeros; what changed from the start. */
static uint64_t popf_changes(const char *bytes, unsigned length, uint64_t start)
{
    uint64_t changed = 0;
    for (unsigned ones = 0; ones < 2; ones++) {
        flags_from_rflags(cpu, start);
        *gpr(RSP) = 0x8000;
        memset(ram(0x8000), ones ? 0xff : 0, 8);
        assert_int_equal(run_with(0, bytes, length), 0);
        changed |= flags_to_rflags(cpu) ^ start;
    }
    flags_from_rflags(cpu, start);
    return changed;
}

static void popf_changes_what_it_may(void **state)
{
    const uint64_t always = FLAGS_ARITHMETIC | FLAG_TF | FLAG_DF | FLAG_NT;
    (void)state;
    set_real();
    assert_int_equal(popf_changes("\x9d", 1, FLAG_1), always | FLAG_IF | FLAG_IOPL);
    set_protected(0);
    assert_int_equal(popf_changes("\x9d", 1, FLAG_1),
                     always | FLAG_IF | FLAG_IOPL | FLAG_AC | FLAG_ID);
    assert_int_equal(popf_changes("\x9d", 1, FLAG_1 | FLAG_RF | FLAG_VIF | FLAG_VIP),
                     always | FLAG_IF | FLAG_IOPL | FLAG_AC | FLAG_ID | FLAG_RF);
    assert_int_equal(popf_changes("\x66\x9d", 2, FLAG_1 | FLAG_RF), always | FLAG_IF | FLAG_IOPL);
    set_protected(3);
    assert_int_equal(popf_changes("\x9d", 1, FLAG_1), always | FLAG_AC | FLAG_ID);
    assert_int_equal(popf_changes("\x9d", 1, FLAG_1 | FLAG_IF), always | FLAG_AC | FLAG_ID);
    assert_int_equal(popf_changes("\x9d", 1, FLAG_1 | FLAG_IOPL),
                     always | FLAG_IF | FLAG_AC | FLAG_ID);
    set_v86(3);
    assert_int_equal(popf_changes("\x9d", 1, cpu->s.rflags), always | FLAG_IF);
    assert_int_equal(popf_changes("\x66\x9d", 2, cpu->s.rflags), always | FLAG_IF | FLAG_AC | FLAG_ID);
}

static void virtual_8086_mode_traps_flags(void **state)
{
    (void)state;
    set_v86(0);
    *gpr(RSP) = 0x8000;
    assert_faults(RUN("\x9c"), VECTOR_GP);
    assert_faults(RUN("\x9d"), VECTOR_GP);
    assert_faults(RUN("\xfa"), VECTOR_GP);
    assert_faults(RUN("\xfb"), VECTOR_GP);
    assert_int_equal(*gpr(RSP), 0x8000);
    /* VME: a virtual interrupt flag; 32-bit forms still trap. */
    cpu->s.cr4 |= CR4_VME;
    assert_faults(RUN("\x66\x9c"), VECTOR_GP);
    assert_faults(RUN("\x66\x9d"), VECTOR_GP);
    assert_int_equal(RUN("\xfb"), 0);
    assert_true(cpu->s.rflags & FLAG_VIF);
    assert_false(cpu->s.rflags & FLAG_IF);
    assert_int_equal(cpu->s.shadow_sti, 0);
    assert_int_equal(RUN("\x9c"), 0);
    assert_int_equal(*gpr(RSP), 0x7ffe);
    assert_int_equal(load16(ram(0x7ffe)), FLAG_1 | FLAG_IF | FLAG_IOPL);
    store16(ram(0x7ffe), 0);
    assert_int_equal(RUN("\x9d"), 0);
    assert_false(cpu->s.rflags & FLAG_VIF);
    store16(ram(0x8000), FLAG_TF);
    assert_faults(RUN("\x9d"), VECTOR_GP);
    cpu->s.rflags |= FLAG_VIP;
    store16(ram(0x8000), FLAG_IF);
    assert_faults(RUN("\x9d"), VECTOR_GP);
    assert_faults(RUN("\xfb"), VECTOR_GP);
    assert_int_equal(RUN("\xfa"), 0);
}

static void sti_casts_a_shadow(void **state)
{
    (void)state;
    set_protected(0);
    assert_int_equal(RUN("\xfb"), 0);
    assert_int_equal(cpu->s.shadow_sti, 1);
    assert_true(cpu->attention);
    assert_true(cpu->s.rflags & FLAG_IF);
    cpu->s.shadow_sti = 0;
    assert_int_equal(RUN("\xfb"), 0);
    assert_int_equal(cpu->s.shadow_sti, 0);
    assert_int_equal(RUN("\xfa"), 0);
    assert_false(cpu->s.rflags & FLAG_IF);
    set_protected(3);
    assert_faults(RUN("\xfb"), VECTOR_GP);
    cpu->s.cr4 |= CR4_PVI;
    assert_int_equal(RUN("\xfb"), 0);
    assert_int_equal(cpu->s.rflags & (FLAG_IF | FLAG_VIF), FLAG_VIF);
    cpu->s.rflags |= FLAG_IOPL;
    assert_int_equal(RUN("\xfb"), 0);
    assert_true(cpu->s.rflags & FLAG_IF);
}

static void popf_has_events_looked_at(void **state)
{
    (void)state;
    set_protected(0);
    *gpr(RSP) = 0x8000;
    store32(ram(0x8000), FLAG_TF);
    assert_int_equal(RUN("\x9d"), 0);
    assert_true(cpu->attention);
    flags_from_rflags(cpu, FLAG_1);
    *gpr(RSP) = 0x8000;
    store32(ram(0x8000), FLAG_CF);
    assert_int_equal(RUN("\x9d"), 0);
    assert_false(cpu->attention);
    /* AC lifts SMAP: another TLB. */
    *gpr(RSP) = 0x8000;
    store32(ram(0x8000), FLAG_AC);
    assert_int_equal(RUN("\x9d"), 0);
    assert_ptr_equal(cpu->tlb, &cpu->tlbs[MMU_SUPERVISOR_AC]);
}

static void stacks_of_16_bits_wrap(void **state)
{
    (void)state;
    set_real();
    *gpr(RSP) = 0xabcd0000;
    *gpr(RAX) = 0x1234;
    assert_int_equal(RUN("\x50"), 0);
    assert_int_equal(*gpr(RSP), 0xabcdfffe);
    assert_int_equal(load16(ram(0xfffe)), 0x1234);
    assert_int_equal(RUN("\x5b"), 0);
    assert_int_equal(*gpr(RSP), 0xabcd0000);
    assert_int_equal(*gpr(RBX), 0x1234);
    /* Half of it beyond the end: #SS, and nothing moved. */
    *gpr(RSP) = 1;
    assert_faults(RUN("\x50"), VECTOR_SS);
    assert_int_equal(*gpr(RSP), 1);
    *gpr(RSP) = 7;
    assert_faults(RUN("\x60"), VECTOR_SS);
    assert_int_equal(*gpr(RSP), 7);
}

static void stack_pointer_as_operand(void **state)
{
    (void)state;
    set_protected(0);
    *gpr(RSP) = 0x8000;
    assert_int_equal(RUN("\x54"), 0); /* the old value */
    assert_int_equal(load32(ram(0x7ffc)), 0x8000);
    assert_int_equal(RUN("\x5c"), 0);
    assert_int_equal(*gpr(RSP), 0x8000);
    store32(ram(0x8000), 77);
    assert_int_equal(RUN("\x8f\x04\x24"), 0); /* POP [ESP]: the new one */
    assert_int_equal(load32(ram(0x8004)), 77);
    /* A store that faults takes the pop back. */
    *gpr(RSP) = 0x8000;
    set_mode(4, 0x8003, 0);
    assert_faults(RUN("\x8f\x04\x24"), VECTOR_SS);
    assert_int_equal(*gpr(RSP), 0x8000);
}

static void branches_check_the_limit_first(void **state)
{
    (void)state;
    cpu->s.cr0 |= CR0_PE;
    set_mode(4, 0xffff, 0);
    *gpr(RSP) = 0x8000;
    *gpr(RAX) = 0x10000;
    assert_faults(RUN("\xff\xd0"), VECTOR_GP);
    assert_int_equal(*gpr(RSP), 0x8000);
    *gpr(RAX) = 0xffff;
    assert_int_equal(RUN("\xff\xd0"), 0);
    assert_int_equal(*gpr(RIP), 0xffff);
    assert_int_equal(load32(ram(0x7ffc)), CODE + 2);
    store32(ram(0x7ffc), 0x20000);
    assert_faults(RUN("\xc3"), VECTOR_GP);
    assert_int_equal(*gpr(RSP), 0x7ffc);
    cpu->s.seg[CS].limit = CODE + 10;
    *gpr(RCX) = 5;
    assert_faults(RUN("\xe2\x70"), VECTOR_GP);
    assert_int_equal(*gpr(RCX), 5);
    /* 16 bits cut the target. */
    assert_faults(RUN("\x66\xe9\x05\x80"), VECTOR_GP);
    cpu->s.seg[CS].limit = 0xffffffff;
    assert_int_equal(RUN("\x66\xe9\x00\xa0"), 0);
    assert_int_equal(*gpr(RIP), 0x1004);
}

static void pause_yields_to_other_cpus(void **state)
{
    (void)state;
    set_protected(0);
    assert_int_equal(RUN("\xf3\x90"), 0);
    assert_false(cpu->s.yield);
    cpu->multiprocessor = true;
    assert_int_equal(RUN("\xf3\x90"), 0);
    assert_int_equal(cpu->s.yield, 1);
}

static void bound_tells_outside(void **state)
{
    (void)state;
    set_real();
    store16(ram(0x100), (uint16_t)-5);
    store16(ram(0x102), 5);
    *gpr(RAX) = (uint16_t)-5;
    assert_int_equal(RUN("\x62\x06\x00\x01"), 0);
    *gpr(RAX) = 6;
    assert_faults(RUN("\x62\x06\x00\x01"), VECTOR_BR);
}

/* C4 and C5 are VEX only in protected mode with ModRM.mod 3; LES and LDS else. */
static void vex_is_les_where_it_was(void **state)
{
    (void)state;
    set_protected(0);
    *gpr(RCX) = 0x0f;
    *gpr(RDX) = 0x3c;
    assert_int_equal(RUN("\xc4\xe2\x70\xf2\xc2"), 0); /* ANDN eax, ecx, edx */
    assert_int_equal(*gpr(RAX), 0x30);
    set_real();
    assert_faults(RUN("\xc4\xe2\x70\xf2\xc2"), VECTOR_UD);
    assert_faults(RUN("\xc5\xfc\x58\xc1"), VECTOR_UD);
    store32(ram(0x100), 0x00201234);
    assert_int_equal(RUN("\xc4\x06\x00\x01"), 0); /* LES ax, [100h] */
    assert_int_equal(*gpr(RAX) & 0xffff, 0x1234);
    assert_int_equal(cpu->s.seg[ES].selector, 0x20);
    assert_int_equal(RUN("\xc5\x1e\x00\x01"), 0); /* LDS bx, [100h] */
    assert_int_equal(*gpr(RBX) & 0xffff, 0x1234);
    set_v86(3);
    assert_faults(RUN("\xc4\xe2\x70\xf2\xc2"), VECTOR_UD);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rep_stops_at_the_budget),
        T(rep_of_zero_is_one_instruction),
        T(rep_is_looked_at_after_each_when_events_are_near),
        T(rep_faults_as_before_its_iteration),
        T(movs_overlaps_exactly),
        T(movs_runs_through_pages),
        T(strings_run_down),
        T(scans_end_by_condition_or_budget),
        T(strings_wrap_at_the_address_size),
        T(mmio_is_one_iteration_and_counted_exactly),
        T(ports_have_their_widths),
        T(string_ports_move_one_element_a_call),
        T(popf_changes_what_it_may),
        T(virtual_8086_mode_traps_flags),
        T(sti_casts_a_shadow),
        T(popf_has_events_looked_at),
        T(stacks_of_16_bits_wrap),
        T(stack_pointer_as_operand),
        T(branches_check_the_limit_first),
        T(pause_yields_to_other_cpus),
        T(bound_tells_outside),
        T(vex_is_les_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
