/*
 * Accesses that reach devices: in which pieces, at which addresses, with A20 masked; and
 * which of PAE's four pointers leads to an address. (SDM vol. 3: 4.4.1, 11.3)
 */
#include "cpu_bench.h"

#define DEVICE 0x90300000u

struct log {
    unsigned count;
    uint64_t address[16];
    unsigned bytes[16];
    uint64_t value[16];
};
static struct log seen;

static void note(uint64_t address, uint64_t value, unsigned bytes)
{
    assert_true(seen.count < ARRAY_SIZE(seen.address));
    seen.address[seen.count] = address;
    seen.value[seen.count] = value;
    seen.bytes[seen.count++] = bytes;
}

static uint64_t device_read(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    (void)context, (void)cpu;
    note(address, 0, bytes);
    return 0x1122334455667788 + (address & 0xff);
}

static void device_write(void *context, struct cpu *cpu, uint64_t address, uint64_t value, unsigned bytes)
{
    (void)context, (void)cpu;
    note(address, value, bytes);
}

static void prepare(struct cpu_bench *b)
{
    cpu_reset(b->cpu);
    bench_protected(b, 0);
    b->cpu->bus.mmio_read = device_read;
    b->cpu->bus.mmio_write = device_write;
    seen.count = 0;
}

/* Of each size the largest pieces first, from low to high; the device sees no more. */
static void pieces_by_size(void **state)
{
    struct cpu_bench *b = *state;
    uint8_t bytes[32], want[32];

    for (unsigned n = 0; n < 2 * 2 * 32; n++) {
        bool write = n & 1, masked = n & 2;
        unsigned size = n / 4 + 1, at = 0, i = 0;
        uint64_t base = masked ? DEVICE & ~0x100000u : DEVICE;
        prepare(b);
        physmem_set_a20(&b->memory, !masked);
        mmu_flush(b->cpu);
        for (unsigned k = 0; k < sizeof bytes; k++)
            bytes[k] = (uint8_t)(0x40 + k);
        if (write)
            assert_int_equal(memory_write_block(b->cpu, SEGMENT_FLAT, DEVICE + 0x10, bytes, size), 0);
        else
            assert_int_equal(memory_read_block(b->cpu, SEGMENT_FLAT, DEVICE + 0x10, bytes, size), 0);
        for (unsigned left = size; left; left -= seen.bytes[i], at += seen.bytes[i], i++) {
            unsigned part = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            uint64_t value = 0x1122334455667788 + 0x10 + at, mask = part == 8 ? ~0ull : (1ull << 8 * part) - 1;
            assert_true(i < seen.count);
            assert_int_equal(seen.bytes[i], part);
            assert_int_equal(seen.address[i], base + 0x10 + at);
            if (write) {
                memcpy(want, bytes + at, part);
                assert_memory_equal(&seen.value[i], want, part);
                assert_int_equal(seen.value[i] & ~mask, 0);
            } else {
                assert_memory_equal(bytes + at, &value, part);
            }
        }
        assert_int_equal(i, seen.count);
    }
    physmem_set_a20(&b->memory, true);
}

/* Bits 31 and 30 of the address choose the pointer; one that is not present leads nowhere,
 * whatever else it holds. */
static void pointers_of_pae(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < 4 * 2; n++) {
        unsigned which = n & 3;
        bool present = n & 4;
        uint64_t linear = (uint64_t)which << 30 | 0x5008;
        uint32_t value;
        prepare(b);
        for (unsigned i = 0; i < 4; i++) {
            uint32_t directory = 0x20000 + 0x1000 * i, table = 0x28000 + 0x1000 * i;
            s->pdpte[i] = directory | (i != which || present);
            bench_put(b, directory, table | 3, 8);
            bench_put(b, table + 8 * 5, (0x30000 + 0x1000 * i) | 3, 8);
            bench_put(b, 0x30008 + 0x1000 * i, 0xabcd0 + i, 4);
        }
        s->cr4 |= CR4_PAE;
        s->cr0 |= CR0_PG;
        cpu_restored(b->cpu);
        b->cpu->exception.vector = 0;
        int status = memory_read32(b->cpu, SEGMENT_FLAT, linear, &value);
        assert_int_equal(status, present ? 0 : CPU_FAULT);
        if (present) {
            assert_int_equal(value, 0xabcd0 + which);
            continue;
        }
        assert_int_equal(b->cpu->exception.vector, VECTOR_PF);
        assert_int_equal(b->cpu->exception.error, 0);
        assert_int_equal(b->cpu->exception.address, linear);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(pieces_by_size),
        BENCH_TEST(pointers_of_pae),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
