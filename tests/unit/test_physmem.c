/*
 * The physical map, the tracking of pages, and how accesses are cut up: at
 * pages, and for devices.
 */
#include "cpu_bench.h"

#include "util/bits.h"

/* The map: RAM below and above the hole, ROM below 4 GiB, else devices. */
static void places_have_pages(void **state)
{
    static struct physmem memory;
    static const struct { uint64_t address; uint32_t read, write; } cases[] = {
        { 0, 0, 0 }, { 0xfff, 0, 0 }, { 0x1000, 1, 1 }, { 0xff000, 0xff, 0xff },
        { 0x100000, 0x100, 0x100 }, { 0x1fffff, 0x1ff, 0x1ff },
        { 0x200000, PHYSMEM_MMIO, PHYSMEM_MMIO }, { 0xfffeefff, PHYSMEM_MMIO, PHYSMEM_MMIO },
        { 0xfffef000, PHYSMEM_MMIO, PHYSMEM_MMIO },
        { 0xffff0000, 0x500, PHYSMEM_DISCARD }, { 0xffffffff, 0x50f, PHYSMEM_DISCARD },
        { 0x100000000, 0x200, 0x200 }, { 0x1002fffff, 0x4ff, 0x4ff },
        { 0x100300000, PHYSMEM_MMIO, PHYSMEM_MMIO }, { 0xffffffff00000000, PHYSMEM_MMIO, PHYSMEM_MMIO },
    };

    (void)state;
    assert_int_equal(physmem_init(&memory, 5 << 20, 0x10000, 2 << 20), 0);
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(physmem_read_page(&memory, cases[i].address), cases[i].read);
        assert_int_equal(physmem_write_page(&memory, cases[i].address), cases[i].write);
    }
    assert_int_equal(physmem_rom_page(&memory, 0), 0x500);
    assert_int_equal(physmem_rom_page(&memory, 0xffff), 0x50f);
    physmem_map_low(&memory, 0xc0, 0x500, PHYSMEM_DISCARD);
    assert_int_equal(physmem_read_page(&memory, 0xc0123), 0x500);
    assert_int_equal(physmem_write_page(&memory, 0xc0123), PHYSMEM_DISCARD);
    physmem_set_a20(&memory, false);
    assert_int_equal(physmem_read_page(&memory, 0x100000), 0);
    assert_int_equal(physmem_write_page(&memory, 0x1c0000), PHYSMEM_DISCARD);
    assert_int_equal(physmem_read_page(&memory, 0x100100000), 0x200);
    physmem_set_a20(&memory, true);
    assert_int_equal(physmem_read_page(&memory, 0x100000), 0x100);
    physmem_free(&memory);
    assert_int_equal(physmem_init(&memory, 3 << 20, 0x1000, 0xc0000000), 0);
    assert_int_equal(physmem_read_page(&memory, 0x2ff000), 0x2ff);
    assert_int_equal(physmem_read_page(&memory, 0x300000), PHYSMEM_MMIO);
    assert_int_equal(physmem_read_page(&memory, 0x100000000), PHYSMEM_MMIO);
    physmem_free(&memory);
}

static unsigned events[5]; /* table_written, code_written, page_flagged, remapped, cleaned */
static uint64_t seen_before;
static uint32_t seen[3];

static void table_written(void *context, uint32_t page, uint32_t offset, uint32_t length,
                          const uint8_t *before)
{
    (void)context;
    events[0]++;
    seen[0] = page, seen[1] = offset, seen[2] = length;
    seen_before = load64(before);
}
static void code_written(void *context, uint32_t page, uint32_t offset, uint32_t length)
{
    (void)context;
    events[1]++;
    seen[0] = page, seen[1] = offset, seen[2] = length;
}
static void page_flagged(void *context, uint32_t page)
{
    (void)context;
    events[2]++;
    seen[0] = page;
}
static void remapped(void *context)
{
    ++*(unsigned *)context;
    events[3]++;
}

static void cleaned(void *context, const uint32_t *pages, uint32_t count)
{
    (void)context;
    events[4] += count;
    seen[0] = pages[0];
}

static void writes_are_tracked(void **state)
{
    static struct physmem memory;
    uint64_t value = 0x1122334455667788;
    unsigned maps = 0;

    (void)state;
    memset(events, 0, sizeof events);
    assert_int_equal(physmem_init(&memory, 1 << 20, 0x1000, 0xc0000000), 0);
    memory.listener = (struct physmem_listener){ &maps, table_written, code_written, page_flagged,
                                                 remapped, cleaned };
    memory.map_changed = remapped;
    memory.map_context = &maps;
    assert_int_equal(memory.flags[5], PHYSMEM_CLEAN);
    assert_int_equal(memory.flags[0x100], PHYSMEM_ROM);
    physmem_store(&memory, 5, 0x10, &value, 8);
    assert_int_equal(memory.flags[5], 0);
    physmem_store(&memory, 3, 0, &value, 1);
    physmem_store(&memory, 5, 0x18, &value, 8);
    assert_int_equal(memory.dirty_count, 2); /* each page once, in order */
    assert_int_equal(memory.dirty[0], 5);
    assert_int_equal(memory.dirty[1], 3);
    assert_int_equal(events[0] + events[1] + events[2] + events[3], 0);

    physmem_flag(&memory, 5, PHYSMEM_TABLE);
    physmem_flag(&memory, 5, PHYSMEM_TABLE); /* told once */
    assert_int_equal(events[2], 1);
    assert_int_equal(seen[0], 5);
    physmem_store(&memory, 5, 0x13, "\xaa\xbb\xcc\xdd\xee\xff\x99", 7);
    assert_int_equal(events[0], 1);
    assert_int_equal(seen[1], 0x13);
    assert_int_equal(seen[2], 7);
    assert_int_equal(seen_before, value); /* all of the words that it touches, from their beginning */
    assert_int_equal(load64(physmem_host(&memory, 5) + 0x10), 0xeeddccbbaa667788);
    assert_int_equal(physmem_host(&memory, 5)[0x18], 0xff);
    physmem_flag(&memory, 5, PHYSMEM_CODE);
    assert_int_equal(events[2], 2);
    physmem_store(&memory, 5, 0xfff, "x", 1);
    assert_int_equal(events[0], 2);
    assert_int_equal(events[1], 1);
    assert_int_equal(seen[1], 0xfff);
    assert_int_equal(seen[2], 1);

    physmem_store(&memory, 0x100, 0, &value, 8); /* ROM */
    assert_int_equal(load64(physmem_host(&memory, 0x100)), 0);
    physmem_clean(&memory, 1); /* the first is kept */
    assert_int_equal(memory.dirty_count, 1);
    assert_int_equal(events[4], 1);
    assert_int_equal(seen[0], 3);
    assert_int_equal(memory.flags[3], PHYSMEM_CLEAN);
    assert_int_equal(memory.flags[5], PHYSMEM_TABLE | PHYSMEM_CODE);
    physmem_clean(&memory, 0);
    assert_int_equal(memory.dirty_count, 0);
    assert_int_equal(events[4], 2);
    assert_int_equal(seen[0], 5);
    physmem_clean(&memory, 0); /* nothing is told of nothing */
    assert_int_equal(events[4], 2);
    assert_int_equal(events[3], 0);
    assert_int_equal(memory.flags[3], PHYSMEM_CLEAN);
    assert_int_equal(memory.flags[5], PHYSMEM_CLEAN | PHYSMEM_TABLE | PHYSMEM_CODE);
    physmem_set_a20(&memory, true); /* no change */
    assert_int_equal(maps, 0);
    physmem_set_a20(&memory, false);
    assert_int_equal(maps, 2); /* listener and map_changed */
    physmem_free(&memory);
}

/* What is not memory reads as ones, and writes to it are dropped. */
static void blocks_cross_pages(void **state)
{
    static struct physmem memory;
    static uint8_t bytes[0x3000], back[0x3000];

    (void)state;
    assert_int_equal(physmem_init(&memory, 2 << 20, 0x1000, 0xc0000000), 0);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    physmem_map_low(&memory, 0x11, 0x21, 0x31);
    physmem_write(&memory, 0x10800, bytes, sizeof bytes);
    assert_memory_equal(physmem_host(&memory, 0x10) + 0x800, bytes, 0x800);
    assert_memory_equal(physmem_host(&memory, 0x31), bytes + 0x800, 0x1000);
    assert_memory_equal(physmem_host(&memory, 0x12), bytes + 0x1800, 0x1000);
    assert_memory_equal(physmem_host(&memory, 0x13), bytes + 0x2800, 0x800);
    physmem_read(&memory, 0x10800, back, sizeof back);
    memset(bytes + 0x800, 0, 0x1000); /* another page is read */
    assert_memory_equal(back, bytes, sizeof back);
    physmem_write(&memory, 0x1ffff0, bytes, 0x20);
    memset(back, 0, sizeof back);
    physmem_read(&memory, 0x1ffff0, back, 0x1020);
    assert_memory_equal(back, bytes, 0x10);
    for (unsigned i = 0x10; i < 0x1020; i++)
        assert_int_equal(back[i], 0xff);
    physmem_free(&memory);
}

/* Devices */

struct device_access {
    uint64_t address, value;
    unsigned bytes;
    bool write;
};
static struct device_access accesses[32];
static unsigned access_count;

static uint64_t device_read(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    (void)context, (void)cpu;
    accesses[access_count++] = (struct device_access){ address, 0, bytes, false };
    return 0xf0e0d0c0b0a09080 + (address & 0xff);
}
static void device_write(void *context, struct cpu *cpu, uint64_t address, uint64_t value, unsigned bytes)
{
    (void)context, (void)cpu;
    accesses[access_count++] = (struct device_access){ address, value, bytes, true };
}

/* A device is asked by powers of two, in order; what lies in memory is apart. */
static void devices_are_asked_in_pieces(void **state)
{
    static const struct { uint64_t address; unsigned bytes; uint8_t sizes[8]; } cases[] = {
        { 0x300000, 1, { 1 } }, { 0x300000, 2, { 2 } }, { 0x300001, 4, { 4 } }, { 0x300003, 8, { 8 } },
        { 0x300000, 16, { 8, 8 } }, { 0x300000, 3, { 2, 1 } }, { 0x300000, 7, { 4, 2, 1 } },
        { 0x300000, 10, { 8, 2 } }, { 0x300ffd, 8, { 2, 1, 4, 1 } }, { 0x300fff, 2, { 1, 1 } },
        { 0x1ffffe, 8, { 4, 2 } }, { 0x1fffff, 2, { 1 } },
    };
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;

    bench_protected(b, 0);
    cpu->bus.mmio_read = device_read;
    cpu->bus.mmio_write = device_write;
    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 2; n++) {
        uint64_t address = cases[n / 2].address, at = address;
        unsigned bytes = cases[n / 2].bytes, i = 0;
        uint8_t value[16], want[16];
        bool write = n & 1;
        for (unsigned k = 0; k < 16; k++)
            value[k] = (uint8_t)(0x11 * k + 3);
        bench_put(b, 0x1ffff8, 0x0807060504030201, 8);
        for (; at < address + bytes && at < 0x200000; at++)
            want[at - address] = (uint8_t)bench_get(b, at, 1);
        access_count = 0;
        assert_int_equal(write ? memory_write_slow(cpu, DS, address, value, bytes)
                               : memory_read_slow(cpu, DS, address, value, bytes), 0);
        for (; cases[n / 2].sizes[i]; at += cases[n / 2].sizes[i++]) {
            assert_int_equal(accesses[i].address, at);
            assert_int_equal(accesses[i].bytes, cases[n / 2].sizes[i]);
            assert_int_equal(accesses[i].write, write);
            uint64_t word = 0xf0e0d0c0b0a09080 + (at & 0xff);
            memcpy(want + (at - address), &word, accesses[i].bytes);
            uint64_t sent = 0;
            memcpy(&sent, value + (at - address), accesses[i].bytes);
            if (write)
                assert_int_equal(accesses[i].value, sent);
        }
        assert_int_equal(i, access_count);
        assert_int_equal(at, address + bytes);
        if (!write)
            assert_memory_equal(value, want, bytes);
        for (uint64_t k = address; write && k < address + bytes && k < 0x200000; k++)
            assert_int_equal(bench_get(b, k, 1), value[k - address]);
    }
}

/* Read-modify-write: one read and one write of a device; across pages both pieces;
 * nothing at all if it may not be written. */
static void devices_are_read_and_written(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    struct memory_modify modify;
    uint32_t value;

    bench_protected(b, 0);
    cpu->bus.mmio_read = device_read;
    cpu->bus.mmio_write = device_write;
    access_count = 0;
    assert_int_equal(memory_modify32(cpu, DS, 0x300004, &modify, &value), 0);
    assert_int_equal(value, 0xb0a09084);
    memory_modified32(cpu, &modify, 0x12345678);
    assert_int_equal(access_count, 2);
    assert_int_equal(accesses[0].address, 0x300004);
    assert_false(accesses[0].write);
    assert_int_equal(accesses[1].address, 0x300004);
    assert_int_equal(accesses[1].value, 0x12345678);
    assert_true(accesses[1].write);

    bench_put(b, 0x1ffffe, 0xbbaa, 2); /* half memory, half device */
    access_count = 0;
    assert_int_equal(memory_modify32(cpu, DS, 0x1ffffe, &modify, &value), 0);
    assert_int_equal(value, 0x9080bbaa);
    memory_modified32(cpu, &modify, 0x12345678);
    assert_int_equal(bench_get(b, 0x1ffffe, 2), 0x5678);
    assert_int_equal(access_count, 2);
    assert_int_equal(accesses[1].value, 0x1234);

    access_count = 0;
    cpu->s.seg[DS].attributes &= (uint16_t)~SEGMENT_WRITABLE;
    cpu_update_segment(cpu, DS);
    assert_int_equal(memory_modify32(cpu, DS, 0x300004, &modify, &value), CPU_FAULT);
    assert_int_equal(cpu->exception.vector, VECTOR_GP);
    assert_int_equal(access_count, 0);

    for (unsigned i = 0; i < 2; i++) { /* plain memory, slow and fast */
        bench_put(b, 0x14000, 0x11223344, 4);
        assert_int_equal(memory_modify32(cpu, ES, 0x14000, &modify, &value), 0);
        assert_int_equal(value, 0x11223344);
        memory_modified32(cpu, &modify, 0x55667788);
        assert_int_equal(bench_get(b, 0x14000, 4), 0x55667788);
    }
    assert_non_null(modify.host);
}

/* Probes touch nothing, and tell of the first fault. */
static void probes_touch_nothing(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;

    bench_long(b, 0);
    cpu->bus.mmio_read = device_read;
    cpu->bus.mmio_write = device_write;
    access_count = 0;
    bench_put(b, 0x1fff00, 0x5555, 8);
    assert_int_equal(memory_probe_write(cpu, SEGMENT_FLAT, 0x1fff00, 0x100), 0);
    assert_int_equal(memory_probe_read(cpu, SEGMENT_FLAT, 0x1fff00, 0x100), 0);
    assert_int_equal(bench_get(b, 0x1fff00, 8), 0x5555);
    assert_int_equal(memory_probe_write(cpu, SEGMENT_FLAT, 0x1fff01, 0x100), CPU_FAULT);
    assert_int_equal(cpu->exception.vector, VECTOR_PF);
    assert_int_equal(cpu->exception.error, 2);
    assert_int_equal(cpu->exception.address, 0x200000);
    assert_int_equal(memory_probe_read(cpu, SEGMENT_FLAT, 0x200000, 1), CPU_FAULT);
    assert_int_equal(cpu->exception.error, 0);
    bench_put(b, TABLES + 0x2008, 0x85, 8); /* 2 MiB and up: not writable, and no memory */
    cpu->s.cr0 |= CR0_WP;
    cpu_restored(cpu);
    assert_int_equal(memory_probe_read(cpu, SEGMENT_FLAT, 0x1ffff8, 16), 0);
    assert_int_equal(memory_probe_write(cpu, SEGMENT_FLAT, 0x1ffff8, 16), CPU_FAULT);
    assert_int_equal(cpu->exception.error, 3);
    assert_int_equal(access_count, 0);
}

/* The debugger's reads and writes: no side effects, whatever the rights. */
static void the_debugger_leaves_no_trace(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu *cpu = b->cpu;
    uint8_t bytes[32];

    bench_long(b, 3);
    bench_put(b, TABLES, (TABLES + 0x1000) | 1, 8); /* supervisor's, read-only, no A bits */
    bench_put(b, TABLES + 0x1000, (TABLES + 0x2000) | 1, 8);
    bench_put(b, TABLES + 0x2000, 0x81, 8);
    cpu->bus.mmio_read = device_read;
    access_count = 0;
    bench_put(b, 0x14ff8, 0x1122334455667788, 8);
    bench_put(b, 0x15000, 0x99aabbccddeeff00, 8);
    assert_int_equal(memory_debug_read(cpu, 0x14ff8, bytes, 16), 16);
    assert_int_equal(load64(bytes), 0x1122334455667788);
    assert_int_equal(load64(bytes + 8), 0x99aabbccddeeff00);
    assert_int_equal(memory_debug_write(cpu, 0x14ffc, "\1\2\3\4\5\6\7\10", 8), 8);
    assert_int_equal(bench_get(b, 0x14ff8, 8), 0x0403020155667788);
    assert_int_equal(bench_get(b, 0x15000, 8), 0x99aabbcc08070605);
    assert_int_equal(memory_debug_read(cpu, 0x1ffff8, bytes, 32), 8);
    assert_int_equal(memory_debug_write(cpu, 0x1ffff8, bytes, 32), 8);
    assert_int_equal(memory_debug_read(cpu, 0x400000, bytes, 1), 0);
    assert_int_equal(bench_get(b, TABLES, 8), (TABLES + 0x1000) | 1);
    assert_int_equal(bench_get(b, TABLES + 0x2000, 8), 0x81);
    assert_int_equal(cpu->tlbs[MMU_USER].empty & cpu->tlbs[MMU_SUPERVISOR].empty, 1);
    bench_put(b, TABLES + 0x2008, 0x200081, 8); /* a device */
    assert_int_equal(memory_debug_read(cpu, 0x1ffff8, bytes, 32), 8);
    bench_put(b, TABLES + 0x2008, 0xffe00081, 8); /* ROM: read, not written */
    assert_int_equal(memory_debug_read(cpu, 0x3ff000, bytes, 32), 32);
    assert_int_equal(memory_debug_write(cpu, 0x3ff000, bytes, 32), 0);
    assert_int_equal(access_count, 0);
}

/* Whatever was in the struct before. */
static void memory_begins_anew(void **state)
{
    struct physmem memory;

    (void)state;
    memset(&memory, 0xee, sizeof memory);
    assert_int_equal(physmem_init(&memory, 1 << 20, 0x1000, 0xc0000000), 0);
    assert_int_equal(memory.smram, 0);
    assert_int_equal(memory.dirty_count, 0);
    assert_null(memory.listener.context);
    assert_null(memory.listener.page_flagged);
    assert_null(memory.map_changed);
    assert_null(memory.map_context);
    physmem_free(&memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_begins_anew),
        cmocka_unit_test(places_have_pages),
        cmocka_unit_test(writes_are_tracked),
        cmocka_unit_test(blocks_cross_pages),
        BENCH_TEST(devices_are_asked_in_pieces),
        BENCH_TEST(devices_are_read_and_written),
        BENCH_TEST(probes_touch_nothing),
        BENCH_TEST(the_debugger_leaves_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
