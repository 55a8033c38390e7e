/*
 * Repeated string instructions do what their iterations do one at a time: every operation,
 * size and direction, about page ends, ends of segments, wraps of the address size,
 * overlaps and pages that are not there. (SDM vol. 2, REP; vol. 1, 7.3.9.2)
 */
#include "cpu_bench.h"

#define CODE_PLACE 0x8000u
#define HANDLER 0x9000u
#define REGION 0x16000u
#define REGION_BYTES 0x26000u
#define LOST 0x2f /* a page that may be missing */

static uint64_t seed = 1;

static unsigned below(unsigned n)
{
    seed = seed * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(seed >> 33) % n;
}

struct repeat {
    bool wide, paging, down;
    unsigned operation, element, address, prefix, length;
    uint8_t code[5];
};

static const uint8_t opcodes[] = { 0xa4, 0xaa, 0xac, 0xa6, 0xae }; /* MOVS STOS LODS CMPS SCAS */

static struct repeat choose(void)
{
    struct repeat r = { .wide = below(3) == 0, .down = below(3) == 0, .operation = below(5) };

    r.paging = r.wide || below(2);
    r.element = 1u << below(r.wide ? 4 : 3);
    r.address = r.wide ? 4 + 4 * below(2) : 2 + 2 * below(2);
    r.prefix = below(2) ? 0xf3 : 0xf2;
    r.code[r.length++] = (uint8_t)r.prefix;
    if (r.wide ? r.address == 4 : r.address == 2)
        r.code[r.length++] = 0x67;
    if (r.element == 2)
        r.code[r.length++] = 0x66;
    if (r.element == 8)
        r.code[r.length++] = 0x48;
    r.code[r.length++] = opcodes[r.operation] | (r.element > 1);
    return r;
}

/* 4 KiB pages one to one, all but one of them. */
static void put_pages(struct cpu_bench *b, const struct repeat *r)
{
    unsigned bytes = r->wide ? 8 : 4;
    bool lost = below(3) == 0;

    for (unsigned i = 0; i < 512; i++)
        bench_put(b, TABLES + 0x3000 + bytes * i, i << 12 | (lost && i == LOST ? 2 : 3), bytes);
    bench_put(b, TABLES + (r->wide ? 0x2000 : 0), (TABLES + 0x3000) | 3, bytes);
    if (!r->wide) {
        b->cpu->s.cr3 = TABLES;
        b->cpu->s.cr0 |= CR0_PG;
    }
}

static uint64_t device_read(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    (void)context, (void)cpu;
    return (address * 0x9e3779b97f4a7c15) >> (64 - 8 * bytes);
}

static void device_write(void *context, struct cpu *cpu, uint64_t address, uint64_t value, unsigned bytes)
{
    (void)context, (void)cpu, (void)address, (void)value, (void)bytes;
}

static void enter(struct cpu_bench *b, const struct repeat *r)
{
    cpu_reset(b->cpu);
    b->cpu->bus.mmio_read = device_read;
    b->cpu->bus.mmio_write = device_write;
    if (r->wide)
        bench_long(b, 0);
    else
        bench_protected(b, 0);
    for (unsigned vector = 12; vector < 15; vector++) {
        if (r->wide)
            bench_gate64(b, vector, CODE64, HANDLER + 16 * vector, 0, 0x8e);
        else
            bench_gate(b, vector, CODE0, HANDLER + 16 * vector, 0x8e);
    }
    if (r->paging)
        put_pages(b, r);
}

/* An index register near something: linear addresses stay within the region. */
static uint64_t choose_index(const struct repeat *r, const struct segment *segment)
{
    static const uint32_t places[] = { 0x22000, 0x2f000, 0x30000, 0x2fff8, 0x28000, 0x30010 };
    uint64_t linear = places[below(ARRAY_SIZE(places))] + below(130) - 65;
    uint64_t offset = linear - (r->wide ? 0 : segment->base);

    if (r->address == 2)
        return 0xabcd0000 | (offset & 0xffff);
    return r->wide && r->address == 8 ? offset : (uint32_t)offset;
}

static void choose_state(struct cpu_bench *b, const struct repeat *r)
{
    static const uint32_t bases[] = { 0, 0x20010, 0x20000, 0x2fff0, 0x21001 };
    static const uint8_t segs[] = { DS, ES };
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < 2; i++) {
        struct segment *segment = &s->seg[segs[i]];
        segment->base = bases[r->address == 2 ? 1 + below(2) : below(5)];
        if (below(4) == 0)
            segment->limit = (0x30008 + below(64) - (uint32_t)segment->base) & 0x3ffff;
    }
    s->gpr[RSI] = choose_index(r, &s->seg[DS]);
    s->gpr[RDI] = choose_index(r, &s->seg[ES]);
    if (below(3) == 0) { /* they overlap */
        s->seg[ES].base = s->seg[DS].base;
        s->gpr[RDI] = (s->gpr[RSI] + below(33) - 16) & 0xffffffff;
    }
    s->gpr[RCX] = below(20) ? below(100) : below(5000);
    if (r->address == 2)
        s->gpr[RCX] |= 0x12340000;
    s->gpr[RAX] = below(2) ? 0x4141414141414141 : 0x1122334455667788;
    s->rflags = FLAG_1 | (r->down ? FLAG_DF : 0);
    s->gpr[RIP] = CODE_PLACE;
    bench_code(b, CODE_PLACE, "\x90\x90\x90\x90\x90\x90\x90\x90", 8);
    bench_code(b, CODE_PLACE, (const char *)r->code, r->length);
}

/* Much of it is the same byte, so that comparisons go on. */
static void fill_region(uint8_t *bytes)
{
    for (unsigned i = 0; i < REGION_BYTES; i++)
        bytes[i] = 0x41;
    for (unsigned i = 0; i < 64; i++)
        bytes[below(REGION_BYTES)] = (uint8_t)below(256);
    if (below(2)) /* something to be seen in what is copied */
        for (unsigned i = 0; i < REGION_BYTES; i++)
            bytes[i] = (uint8_t)(i * 7 + (i >> 8));
}

/* One iteration after the other; how many instructions that were. */
static unsigned run_singly(struct cpu_bench *b)
{
    unsigned count = 0;

    while (b->cpu->s.gpr[RIP] == CODE_PLACE) {
        bench_run(b, 1);
        count++;
    }
    return count;
}

static void repeats_are_their_iterations(void **state)
{
    static uint8_t before[REGION_BYTES], singly[REGION_BYTES];
    static struct cpu_state start, end;
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    unsigned faults = 0;

    for (unsigned n = 0; n < 6000; n++) {
        struct repeat r = choose();
        enter(b, &r);
        choose_state(b, &r);
        fill_region(before);
        physmem_write(&b->memory, REGION, before, REGION_BYTES);
        cpu_restored(b->cpu);
        start = *s;
        unsigned count = run_singly(b);
        end = *s;
        faults += s->gpr[RIP] >= HANDLER;
        physmem_read(&b->memory, REGION, singly, REGION_BYTES);
        physmem_write(&b->memory, REGION, before, REGION_BYTES);
        *s = start;
        cpu_restored(b->cpu);
        bench_run(b, count);
        physmem_read(&b->memory, REGION, before, REGION_BYTES);
        if (memcmp(s, &end, sizeof end) || memcmp(before, singly, REGION_BYTES))
            fail_msg("case %u: %02x %02x %02x %02x, RSI %llx, RDI %llx, RCX %llx: ends at %llx, %llx, %llx, "
                     "wanted %llx, %llx, %llx", n, r.code[0], r.code[1], r.code[2], r.code[3],
                     (unsigned long long)start.gpr[RSI], (unsigned long long)start.gpr[RDI],
                     (unsigned long long)start.gpr[RCX], (unsigned long long)s->gpr[RSI],
                     (unsigned long long)s->gpr[RDI], (unsigned long long)s->gpr[RCX],
                     (unsigned long long)end.gpr[RSI], (unsigned long long)end.gpr[RDI],
                     (unsigned long long)end.gpr[RCX]);
    }
    assert_in_range(faults, 200, 3000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(repeats_are_their_iterations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
