/*
 * What a breakpoint or a permission bitmap covers, against a model that looks
 * at single bytes: the guest's registers for data, ports and instructions, the
 * debugger's points, the I/O bitmap. (SDM vol. 3, 18.2; vol. 1, 19.5.2)
 */
#include "cpu_bench.h"

#include "cpu/debug.h"
#include "cpu/system.h"

#define PLACE 0x14000u

static uint64_t draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
    return *seed >> 33;
}

/* R/W and LEN of register n, enabled locally, globally, both or not. */
struct setting {
    unsigned rw, length_code, enable;
    uint64_t address;
};

static void set_registers(struct cpu_bench *b, const struct setting *settings)
{
    b->cpu->s.dr[7] = 0x400;
    for (unsigned n = 0; n < 4; n++) {
        b->cpu->s.dr[n] = settings[n].address;
        b->cpu->s.dr[7] |= (uint64_t)settings[n].enable << 2 * n
                           | (uint64_t)(settings[n].rw | settings[n].length_code << 2) << (16 + 4 * n);
    }
}

/* Whether byte `at` is one of those that the register covers. */
static bool covers(const struct setting *setting, uint64_t at)
{
    static const unsigned lengths[] = { 1, 2, 8, 4 };
    unsigned length = lengths[setting->length_code];

    return setting->enable && at / length == setting->address / length;
}

static uint64_t want_hits(const struct setting *settings, uint64_t first, unsigned bytes,
                          unsigned kinds)
{
    uint64_t hits = 0;

    for (unsigned n = 0; n < 4; n++)
        for (unsigned i = 0; i < bytes; i++)
            if (kinds >> settings[n].rw & 1 && covers(&settings[n], first + i))
                hits |= 1ull << n;
    return hits;
}

enum { EXECUTE = 1, WRITE = 2, PORT = 4, ACCESS = 8 }; /* by R/W */

static void registers_cover_bytes(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint64_t seed = 1;

    bench_long(b, 0);
    for (unsigned n = 0; n < 200000; n++) {
        static const unsigned sizes[] = { 1, 2, 4, 8, 16 };
        struct setting settings[4];
        uint64_t base = n & 1 ? PLACE : 0x123400000000 + PLACE;
        for (unsigned i = 0; i < 4; i++)
            settings[i] = (struct setting){ draw(&seed) & 3, draw(&seed) & 3, draw(&seed) & 3,
                                            base + draw(&seed) % 24 };
        set_registers(b, settings);
        uint64_t at = base + draw(&seed) % 24;
        unsigned bytes = sizes[draw(&seed) % 5];
        bool write = draw(&seed) & 1;
        s->pending_debug = 0;
        b->cpu->attention = false;
        debug_accessed_slow(b->cpu, at, bytes, write);
        assert_int_equal(s->pending_debug, want_hits(settings, at, bytes, write ? ACCESS | WRITE : ACCESS));
        assert_int_equal(b->cpu->attention, s->pending_debug != 0);
        uint64_t exact = 0; /* instructions: their first byte, whatever LEN is */
        for (unsigned i = 0; i < 4; i++)
            if (settings[i].enable && settings[i].rw == 0 && settings[i].address == at)
                exact |= 1ull << i;
        assert_int_equal(debug_register_break(b->cpu, at), exact);
        bool watched = false;
        for (unsigned i = 0; i < 4; i++)
            watched |= settings[i].enable && (settings[i].rw == 1 || settings[i].rw == 3);
        assert_int_equal(debug_watches_page(b->cpu, base & ~0xfffull), watched);
        assert_false(debug_watches_page(b->cpu, (base & ~0xfffull) - 0x1000));
        assert_false(debug_watches_page(b->cpu, (base & ~0xfffull) + 0x1000));
    }
}

static void port_registers_cover_bytes(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint64_t seed = 2;

    bench_long(b, 0);
    for (unsigned n = 0; n < 100000; n++) {
        static const unsigned sizes[] = { 1, 2, 4 };
        struct setting settings[4];
        uint16_t base = n & 1 ? 0 : 0xffe8;
        for (unsigned i = 0; i < 4; i++) {
            settings[i] = (struct setting){ draw(&seed) & 3, draw(&seed) & 3, draw(&seed) & 3,
                                            base + draw(&seed) % 24 };
            if (draw(&seed) % 8 == 0)
                settings[i].address |= 0x10000; /* no port */
        }
        set_registers(b, settings);
        uint16_t port = (uint16_t)(base + draw(&seed) % 16);
        unsigned bytes = sizes[draw(&seed) % 3];
        bool extensions = draw(&seed) & 3;
        s->cr4 = CR4_PAE | (extensions ? CR4_DE : 0);
        s->pending_debug = 0;
        b->cpu->attention = false;
        cpu_note_io(b->cpu, port, bytes);
        assert_int_equal(s->pending_debug, extensions ? want_hits(settings, port, bytes, PORT) : 0);
        assert_int_equal(b->cpu->attention, s->pending_debug != 0);
    }
}

static void the_debuggers_points_cover_bytes(void **state)
{
    static struct debug_points points;
    struct cpu_bench *b = *state;
    uint64_t seed = 3;

    bench_long(b, 0);
    b->cpu->debug = &points;
    b->cpu->s.index = 5;
    for (unsigned n = 0; n < 100000; n++) {
        struct debug_point *p = &points.points[0];
        points = (struct debug_points){ .count = 1, .step_cpu = DEBUG_NO_CPU };
        *p = (struct debug_point){ PLACE + draw(&seed) % 16, 1 + (unsigned)draw(&seed) % 9,
                                   (unsigned)draw(&seed) & 3 };
        uint64_t at = PLACE + draw(&seed) % 16;
        unsigned bytes = 1 + (unsigned)draw(&seed) % 8;
        bool write = draw(&seed) & 1, covered = false, starts = false;
        for (unsigned i = 0; i < bytes; i++) {
            covered |= at + i >= p->address && at + i < p->address + p->length;
            starts |= at + i == p->address;
        }
        bool kind = p->kind == DEBUG_WATCH_ACCESS
                    || p->kind == (write ? DEBUG_WATCH_WRITE : DEBUG_WATCH_READ);
        debug_accessed_slow(b->cpu, at, bytes, write);
        assert_int_equal(points.hit, covered && kind);
        if (points.hit) {
            assert_int_equal(points.hit_cpu, 5);
            assert_int_equal(points.hit_address, at);
            assert_memory_equal(&points.what, p, sizeof *p);
        }
        bool breaks = p->kind == DEBUG_BREAK;
        assert_int_equal(debug_breaks_in(b->cpu, at, bytes), breaks && starts);
        assert_int_equal(debug_breaks_at(b->cpu, at), breaks && at == p->address);
        assert_int_equal(debug_watches_page(b->cpu, PLACE), !breaks);
        p->address = PLACE + 0xffe; /* into the next page, perhaps */
        assert_int_equal(debug_watches_page(b->cpu, PLACE + 0x1000), !breaks && p->length > 2);
        assert_false(debug_watches_page(b->cpu, PLACE - 0x1000));
        points.count = 0;
        assert_false(debug_watches_page(b->cpu, PLACE));
        assert_false(debug_breaks_in(b->cpu, PLACE, 0x1000));
    }
    b->cpu->debug = NULL;
}

/* The bitmap's bytes are read in pairs, so that the last one is past the ports'. */
static void bitmap_covers_ports(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint64_t seed = 4;

    bench_protected(b, 3);
    for (unsigned i = 0; i < 0x3000; i += 4)
        bench_put(b, PLACE + i, draw(&seed) & draw(&seed), 4);
    s->tr.base = PLACE;
    for (unsigned n = 0; n < 100000; n++) {
        static const unsigned sizes[] = { 1, 2, 4 }, types[] = { 0x8b, 0x8b, 0x8b, 0x8b, 0x83, 0x0b };
        unsigned map = n & 8 ? 0x68 + (unsigned)draw(&seed) % 64 : (unsigned)draw(&seed) & 0xffff;
        unsigned bytes = sizes[draw(&seed) % 3], port = (unsigned)draw(&seed) & (n & 1 ? 0xff : 0xffff);
        bool good = true;
        s->tr.attributes = (uint16_t)types[draw(&seed) % 6];
        s->tr.limit = n & 4 ? map + port / 8 + (unsigned)draw(&seed) % 3 : 0x66 + (unsigned)draw(&seed) % 0x200;
        if (draw(&seed) % 4)
            s->tr.limit |= 0x2000;
        bench_put(b, PLACE + 0x66, map, 2);
        unsigned cpl = (unsigned)draw(&seed) & 3, iopl = (unsigned)draw(&seed) & 3;
        bool v86 = draw(&seed) % 8 == 0;
        s->cpl = v86 ? 3 : (uint8_t)cpl;
        s->rflags = FLAG_1 | iopl << 12 | (v86 ? FLAG_VM : 0);
        if (v86 || cpl > iopl) {
            good = s->tr.attributes == 0x8b && s->tr.limit >= 0x67 && map + port / 8 + 1 <= s->tr.limit;
            for (unsigned i = 0; good && i < bytes; i++)
                good = !(bench_get(b, PLACE + map + (port + i) / 8, 1) >> ((port + i) & 7) & 1);
        }
        if (cpu_check_io(b->cpu, (uint16_t)port, bytes) != (good ? 0 : CPU_FAULT))
            fail_msg("port %x, %u bytes, map %x, limit %x, type %x, CPL %u, IOPL %u, VM %u: wanted %u",
                     port, bytes, map, s->tr.limit, s->tr.attributes, cpl, iopl, v86, good);
        if (!good) {
            assert_int_equal(b->cpu->exception.vector, VECTOR_GP);
            assert_int_equal(b->cpu->exception.error, 0);
        }
    }
    s->cr0 &= ~CR0_PE; /* real mode: all is allowed */
    s->rflags = FLAG_1;
    s->cpl = 3;
    assert_int_equal(cpu_check_io(b->cpu, 0x80, 1), 0);
}

/* Outside of 64-bit code addresses have 32 bits: base and offset wrap. */
static void addresses_wrap(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint32_t value;

    bench_protected(b, 0);
    s->seg[FS].base = 0xfffff000;
    s->dr[0] = PLACE;
    s->dr[7] = 0xf0002; /* 4 bytes, reads and writes */
    cpu_restored(b->cpu);
    assert_int_equal(memory_read32(b->cpu, FS, PLACE + 0x1000, &value), 0);
    assert_int_equal(s->pending_debug, 1);
    s->pending_debug = 0;
    assert_int_equal(memory_write32(b->cpu, FS, PLACE + 0x1000, 5), 0);
    assert_int_equal(s->pending_debug, 1);
    assert_int_equal(bench_get(b, PLACE, 4), 5);
}

/* What far transfers and events read and write of the stack. */
static void stacks_are_watched(void **state)
{
    static const struct { const char *code; bool writes; } cases[] = {
        { "\xcb", false }, { "\xcf", false }, { "\x48\xcb", false }, { "\x48\xcf", false },
        { "\xcd\x40", true }, { "\x9a", true },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned n = 0; n < ARRAY_SIZE(cases) * 4; n++) {
        bool wide = cases[n / 4].code[0] == '\x48', access = n & 1, second = n & 2;
        unsigned bytes = wide ? 8 : 4;
        cpu_reset(b->cpu);
        if (wide)
            bench_long(b, 0);
        else
            bench_protected(b, 0);
        bench_code(b, 0x8000, cases[n / 4].code, 2);
        if (n / 4 == 5) {
            bench_put(b, 0x8001, 0xc000, 4);
            bench_put(b, 0x8005, CODE0, 2);
        }
        bench_gate(b, 0x40, CODE0, 0xc000, 0x8e);
        for (unsigned i = 0; i < 5; i++) {
            const uint64_t frame[] = { 0xc000, wide ? CODE64 : CODE0, FLAG_1, 0x7000, DATA0 };
            bench_put(b, PLACE + i * bytes, frame[i], bytes);
        }
        s->gpr[RSP] = PLACE;
        s->dr[0] = PLACE + (cases[n / 4].writes ? -8 : 0) + (second ? 4 : 0);
        s->dr[7] = 0x402 | (access ? 3 : 1) << 16 | 3 << 18;
        cpu_restored(b->cpu);
        bench_run(b, 1);
        assert_int_equal(s->gpr[RIP], 0xc000);
        assert_int_equal(s->pending_debug, cases[n / 4].writes || access);
    }
}

/* The debugger's breakpoint stops before its instruction, and is named. */
static void breakpoints_are_named(void **state)
{
    static struct debug_points points;
    const struct debug_point point = { 0x8002, 1, DEBUG_BREAK };
    struct cpu_bench *b = *state;

    bench_long(b, 0);
    bench_code(b, 0x8000, "\x90\x90\x90\x90", 4);
    points = (struct debug_points){ .count = 1, .step_cpu = DEBUG_NO_CPU };
    points.points[0] = point;
    b->cpu->debug = &points;
    b->cpu->s.index = 3;
    cpu_restored(b->cpu);
    assert_int_equal(bench_run(b, 4), CPU_EXIT_DEBUG);
    assert_int_equal(cpu_retired(b->cpu), 2);
    assert_int_equal(b->cpu->s.gpr[RIP], 0x8002);
    assert_true(points.hit);
    assert_memory_equal(&points.what, &point, sizeof point);
    assert_int_equal(points.hit_cpu, 3);
    assert_int_equal(points.hit_address, 0x8002);
    b->cpu->debug = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(registers_cover_bytes),
        BENCH_TEST(port_registers_cover_bytes),
        BENCH_TEST(the_debuggers_points_cover_bytes),
        BENCH_TEST(bitmap_covers_ports),
        BENCH_TEST(addresses_wrap), BENCH_TEST(breakpoints_are_named),
        BENCH_TEST(stacks_are_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
