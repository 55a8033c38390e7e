/*
 * Paging against a model of its own, written from SDM vol. 3, sections 4.3 to
 * 4.8: what a walk over given entries must give, for every kind of access,
 * with the error code and the A and D bits that it leaves. One test goes
 * through the combinations of rights (a sample of them; GROUNDHOG_LONG: all),
 * one wanders at random, changing a bit at a time and never flushing, so that
 * what a TLB may have kept is found too. The rest is tables of rules.
 */
#include "cpu_bench.h"

#include "cpu/msr.h"

#define DATA_PAGE 0x100000u /* physical; the same offset in every size of page */
#define TABLE(level) (TABLES + 0x1000u * ((level) - 1))
#define SUPERVISOR_ACCESS 0
#define USER_ACCESS 1

enum kind { KIND_READ, KIND_WRITE, KIND_FETCH, KIND_COUNT };

struct mode {
    const char *name;
    unsigned levels;      /* of tables; PAE: 2, below the PDPTEs */
    unsigned largest;     /* level of the largest page */
    unsigned entry_bytes;
    uint64_t cr4;
    bool long_mode;
    uint64_t linear;      /* of the access */
};

static const struct mode modes[] = {
    { "32-bit", 2, 1, 4, 0, false, 0xc0100abc },
    { "32-bit, PSE", 2, 2, 4, CR4_PSE, false, 0xc0100abc },
    { "PAE", 2, 2, 8, CR4_PAE, false, 0xc0100abc },
    { "4 levels", 4, 3, 8, CR4_PAE, true, 0xffff8a5b40100abc },
    { "5 levels", 5, 3, 8, CR4_PAE | CR4_LA57, true, 0xff34567840100abc },
};

struct walker {
    struct cpu_bench *b;
    const struct mode *mode;
    uint64_t raw[6]; /* entries, by level */
    unsigned privilege;
    uint64_t tests;
};

/* ---- the model ------------------------------------------------------------ */

struct outcome {
    bool fault;
    uint32_t error;
    uint64_t physical;
    unsigned accessed; /* bit n: the entry of level n gets A */
    unsigned dirty;
};

static bool bit(uint64_t value, unsigned n) { return value >> n & 1; }

/* Whether bit `n` of an entry must be 0. */
static bool is_reserved(const struct walker *w, unsigned level, bool leaf, unsigned n)
{
    const struct cpu_model *model = &w->b->model;
    unsigned width = model->physical_bits;
    bool large = leaf && level > 1, no_pat = !cpu_model_has(model, FEATURE_PAT);

    if (leaf && no_pat && n == (large ? 12 : 7))
        return true;
    if (w->mode->entry_bytes == 4) {
        if (!large || n < 13 || n > 21)
            return false;
        unsigned bits = !cpu_model_has(model, FEATURE_PSE36) ? 0 : width > 40 ? 8 : width - 32;
        return n - 13 >= bits;
    }
    if (n == 63)
        return !(w->b->cpu->s.efer & EFER_NXE);
    if (n >= 52)
        return !w->mode->long_mode;
    if (n >= width)
        return true;
    if (large)
        return n >= 13 && n < 12 + 9 * (level - 1);
    return n == 7 && level > 2;
}

static bool is_leaf(const struct walker *w, unsigned level)
{
    if (level == 1)
        return true;
    if (level == 3 && !cpu_model_has(&w->b->model, FEATURE_PDPE1GB))
        return false;
    return level <= w->mode->largest && bit(w->raw[level], 7);
}

/* Section 4.6.1, sentence by sentence. `ad` and `wd`: the key's rights. */
static bool is_allowed(const struct cpu_state *s, bool user_page, bool writable, bool executable,
                       bool ad, bool wd, enum kind kind, unsigned privilege)
{
    bool wp = s->cr0 & CR0_WP, ac = s->rflags & FLAG_AC;

    if (privilege == USER_ACCESS) {
        if (!user_page)
            return false;
        switch (kind) {
        case KIND_READ: return !ad;
        case KIND_WRITE: return writable && !ad && !wd;
        default: return executable;
        }
    }
    if (kind == KIND_FETCH)
        return executable && !(user_page && s->cr4 & CR4_SMEP);
    if (user_page && s->cr4 & CR4_SMAP && !ac)
        return false;
    if (kind == KIND_READ)
        return !ad;
    return wp ? writable && !ad && !wd : !ad;
}

/* Section 4.7: bit 5 of the error code. */
static bool blames_key(const struct cpu_state *s, bool user_page, bool ad, bool wd, enum kind kind,
                       unsigned privilege)
{
    if (kind == KIND_FETCH)
        return false;
    bool enforced = s->cr0 & CR0_WP || (user_page && privilege == USER_ACCESS);
    return ad || (wd && kind == KIND_WRITE && enforced);
}

static struct outcome fails(struct outcome outcome, uint32_t more)
{
    outcome.fault = true;
    outcome.error |= more;
    return outcome;
}

static struct outcome expect(const struct walker *w, enum kind kind)
{
    const struct cpu_state *s = &w->b->cpu->s;
    struct outcome o = { 0 };
    bool user = true, writable = true, executable = true;
    unsigned level = w->mode->levels;

    if (kind == KIND_WRITE)
        o.error |= 2;
    if (w->privilege == USER_ACCESS)
        o.error |= 4;
    if (kind == KIND_FETCH
        && (s->cr4 & CR4_SMEP || (s->efer & EFER_NXE && w->mode->entry_bytes == 8)))
        o.error |= 16;
    for (;; level--) {
        uint64_t raw = w->raw[level];
        if (!bit(raw, 0))
            return fails(o, 0);
        for (unsigned n = 0; n < 8 * w->mode->entry_bytes; n++)
            if (bit(raw, n) && is_reserved(w, level, is_leaf(w, level), n))
                return fails(o, 9);
        writable = writable && bit(raw, 1);
        user = user && bit(raw, 2);
        executable = executable && !(w->mode->entry_bytes == 8 && bit(raw, 63));
        if (is_leaf(w, level))
            break;
        o.accessed |= 1u << level;
    }
    unsigned key = w->raw[level] >> 59 & 15;
    uint64_t rights = user ? s->pkru : s->pkrs;
    bool keys = w->mode->long_mode && s->cr4 & (user ? CR4_PKE : CR4_PKS);
    bool ad = keys && bit(rights, 2 * key), wd = keys && bit(rights, 2 * key + 1);
    if (!is_allowed(s, user, writable, executable, ad, wd, kind, w->privilege))
        return fails(o, 1 + (blames_key(s, user, ad, wd, kind, w->privilege) ? 32 : 0));
    o.accessed |= 1u << level;
    o.dirty = kind == KIND_WRITE ? 1u << level : 0;
    o.physical = DATA_PAGE | (w->mode->linear & 0xfff);
    return o;
}

/* ---- the machine ---------------------------------------------------------- */

static uint64_t entry_address(const struct walker *w, unsigned level)
{
    if (w->mode->entry_bytes == 4)
        return TABLE(level) + 4 * (w->mode->linear >> (level == 2 ? 22 : 12) & 0x3ff);
    return TABLE(level) + 8 * (w->mode->linear >> (12 + 9 * (level - 1)) & 0x1ff);
}

/* An entry with nothing against it; large pages begin at 0. */
static uint64_t plain_entry(unsigned level, unsigned leaf)
{
    if (level > leaf)
        return TABLE(level - 1) | 7;
    return level == 1 ? DATA_PAGE | 7 : 0x87;
}

static void put_entry(struct walker *w, unsigned level, uint64_t raw)
{
    w->raw[level] = raw;
    bench_put(w->b, entry_address(w, level), raw, w->mode->entry_bytes);
}

static void begin(struct walker *w, struct cpu_bench *b, const struct mode *mode)
{
    struct cpu_state *s = &b->cpu->s;

    *w = (struct walker){ .b = b, .mode = mode };
    cpu_reset(b->cpu);
    if (mode->long_mode)
        bench_long(b, 0);
    else
        bench_protected(b, 0);
    for (unsigned level = 1; level <= mode->levels; level++)
        put_entry(w, level, plain_entry(level, 1));
    s->cr3 = TABLE(mode->levels);
    if (mode->cr4 & CR4_PAE && !mode->long_mode) {
        s->cr3 = TABLE(5);
        for (unsigned i = 0; i < 4; i++)
            bench_put(b, TABLE(5) + 8 * i, s->pdpte[i] = TABLE(2) | 1, 8);
    }
    s->cr0 |= CR0_PG;
    s->cr4 = mode->cr4;
    cpu_restored(b->cpu);
}

/* The records of what is a table begin anew: a page that serves two modes has
 * all of the TLB dropped by each write. */
static void forget_tables(struct cpu_bench *b)
{
    engine_destroy(b->engine);
    for (uint32_t page = 0; page < b->memory.ram_pages; page++)
        b->memory.flags[page] &= (uint8_t)~PHYSMEM_TABLE;
    b->engine = engine_create(&b->memory, &b->model);
    engine_add_cpu(b->engine, b->cpu);
}

static void set_privilege(struct walker *w, unsigned privilege, bool ac)
{
    struct cpu_state *s = &w->b->cpu->s;
    w->privilege = privilege;
    s->cpl = privilege == USER_ACCESS ? 3 : 0;
    s->rflags = (s->rflags & ~FLAG_AC) | (ac ? FLAG_AC : 0);
    cpu_update_privilege(w->b->cpu);
}

static int access(struct walker *w, enum kind kind, uint8_t *value, uint64_t *physical)
{
    struct cpu *cpu = w->b->cpu;
    unsigned seg = w->mode->long_mode ? SEGMENT_FLAT : DS;
    uint32_t page;

    *physical = DATA_PAGE | (w->mode->linear & 0xfff);
    switch (kind) {
    case KIND_READ: return memory_read8(cpu, seg, w->mode->linear, value);
    case KIND_WRITE: return memory_write8(cpu, seg, w->mode->linear, *value);
    default: break;
    }
    if (mmu_fetch(cpu, w->mode->linear, &page))
        return CPU_FAULT;
    *physical = (uint64_t)page << 12 | (w->mode->linear & 0xfff);
    return 0;
}

static void show(const struct walker *w, enum kind kind, const struct outcome *o, int fault)
{
    const struct cpu_state *s = &w->b->cpu->s;
    const struct exception *e = &w->b->cpu->exception;

    print_error("%s: %s by %s, AC %d, CR0 %lx CR4 %lx EFER %lx PKRU %lx PKRS %lx phys-bits %u\n",
                w->mode->name, kind == KIND_READ ? "read" : kind == KIND_WRITE ? "write" : "fetch",
                w->privilege ? "user" : "supervisor", !!(s->rflags & FLAG_AC), s->cr0, s->cr4,
                s->efer, s->pkru, s->pkrs, w->b->model.physical_bits);
    for (unsigned level = w->mode->levels; level > 0; level--)
        print_error("  level %u: was %016lx is %016lx\n", level, w->raw[level],
                    bench_get(w->b, entry_address(w, level), w->mode->entry_bytes));
    print_error("  expected fault %d error %x, A %x D %x; got %d vector %u error %x CR2 %lx\n",
                o->fault, o->error, o->accessed, o->dirty, fault, e->vector, e->error, e->address);
    fail();
}

/* One access, compared with the model. */
static void check(struct walker *w, enum kind kind)
{
    struct outcome o = expect(w, kind);
    const struct exception *e = &w->b->cpu->exception;
    uint8_t value = (uint8_t)(w->tests * 7);
    uint64_t physical;
    uint8_t *memory = w->b->memory.bytes + (DATA_PAGE | (w->mode->linear & 0xfff));
    uint8_t before = *memory;
    int fault = access(w, kind, &value, &physical);

    w->tests++;
    bool good = !!fault == o.fault;
    if (o.fault)
        good = good && e->vector == VECTOR_PF && e->error == o.error && e->has_error
               && e->address == w->mode->linear && *memory == before;
    else
        good = good && physical == o.physical && (kind == KIND_FETCH || value == *memory);
    for (unsigned level = 1; level <= w->mode->levels; level++) {
        uint64_t wanted = w->raw[level] | (bit(o.accessed, level) ? PTE_A : 0)
                          | (bit(o.dirty, level) ? PTE_D : 0);
        good = good && wanted == bench_get(w->b, entry_address(w, level), w->mode->entry_bytes);
        if (good)
            w->raw[level] = wanted;
    }
    if (!good)
        show(w, kind, &o, fault);
}

/* ---- all combinations ----------------------------------------------------- */

/* WP, SMEP, SMAP, NXE, PKE, PKS as the bits of `n`, through the instructions' functions. */
static void set_controls(struct walker *w, unsigned n)
{
    struct cpu *cpu = w->b->cpu;
    uint64_t cr4 = w->mode->cr4 | (bit(n, 1) ? CR4_SMEP : 0) | (bit(n, 2) ? CR4_SMAP : 0)
                   | (bit(n, 4) ? CR4_PKE : 0) | (bit(n, 5) ? CR4_PKS : 0);
    uint64_t efer = (cpu->s.efer & ~EFER_NXE) | (bit(n, 3) ? EFER_NXE : 0);

    assert_int_equal(control_write_cr0(cpu, (cpu->s.cr0 & ~CR0_WP) | (bit(n, 0) ? CR0_WP : 0)), 0);
    assert_int_equal(control_write_cr4(cpu, cr4), 0);
    assert_int_equal(control_write_efer(cpu, efer), 0);
}

/* The upper entry with one thing against it. */
static uint64_t parent_entry(const struct walker *w, unsigned level, unsigned leaf, unsigned which)
{
    uint64_t raw = plain_entry(level, leaf);

    switch (which) {
    case 1: return raw & ~PTE_P;
    case 2: return raw & ~PTE_W;
    case 3: return raw & ~PTE_U;
    case 4: return raw | PTE_A;
    case 5: return w->mode->entry_bytes == 8 ? raw | PTE_NX : raw;
    case 6: return w->mode->entry_bytes == 8 ? raw | 1ull << 51 : raw;
    default: return raw;
    }
}

/* Bits of the page's own entry: P W U A D, NX, key 1. */
static uint64_t leaf_entry(const struct walker *w, unsigned leaf, unsigned which)
{
    uint64_t raw = (plain_entry(leaf, leaf) & ~7ull) | (which & 7);
    raw |= (bit(which, 3) ? PTE_A : 0) | (bit(which, 4) ? PTE_D : 0);
    if (w->mode->entry_bytes == 8)
        raw |= (bit(which, 5) ? PTE_NX : 0);
    if (w->mode->long_mode)
        raw |= bit(which, 6) ? 1ull << 59 : 0;
    return raw;
}

static void check_entries(struct walker *w, unsigned leaf, unsigned upper, unsigned parent,
                          unsigned own)
{
    if (upper > leaf && parent)
        put_entry(w, upper, parent_entry(w, upper, leaf, parent));
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        put_entry(w, leaf, leaf_entry(w, leaf, own));
        check(w, kind);
        check(w, kind);
    }
}

static void check_page_size(struct walker *w, unsigned leaf, uint64_t *index, uint64_t stride)
{
    for (unsigned level = w->mode->levels; level >= leaf; level--)
        put_entry(w, level, plain_entry(level, leaf));
    for (unsigned controls = 0; controls < 64; controls++) {
        set_controls(w, controls);
        for (unsigned n = 0; n < 16; n++) {
            set_privilege(w, n & 1, n & 2);
            control_set_pkru(w->b->cpu, (n >> 2) << 2);
            control_set_pkrs(w->b->cpu, (n >> 2) << 2);
            for (unsigned entries = 0; entries < 7 * 128; entries++) {
                if ((*index)++ % stride)
                    continue;
                unsigned above = w->mode->levels + 1 - leaf;
                unsigned upper = leaf + 1 + (unsigned)(*index / stride % above);
                if (upper > w->mode->levels)
                    upper = w->mode->levels;
                check_entries(w, leaf, upper, entries / 128, entries % 128);
                if (upper > leaf && entries >= 128)
                    put_entry(w, upper, plain_entry(upper, leaf));
            }
        }
    }
}

static void rights_are_the_manuals(void **state)
{
    struct cpu_bench *b = *state;
    uint64_t stride = getenv("GROUNDHOG_LONG") ? 1 : 97, index = 0, tests = 0;
    struct walker w;

    for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
        for (unsigned leaf = 1; leaf <= modes[i].largest; leaf++) {
            forget_tables(b);
            begin(&w, b, &modes[i]);
            check_page_size(&w, leaf, &index, stride);
            tests += w.tests;
        }
    print_message("%lu accesses\n", tests);
    assert_true(tests > 500000);
}

/* ---- every bit ------------------------------------------------------------ */

/* Each bit that holds no address, alone, in each level of each walk. */
static void check_bits(struct walker *w, unsigned leaf)
{
    for (unsigned n = 0; n < 8 * w->mode->entry_bytes; n++)
        for (unsigned level = leaf; level <= w->mode->levels; level++) {
            bool address = n >= 12 && n < 52 && !(level == leaf && leaf > 1 && n == 12);
            for (unsigned k = leaf; k <= w->mode->levels; k++)
                put_entry(w, k, plain_entry(k, leaf));
            bool known = is_reserved(w, level, is_leaf(w, level), n);
            if (!known && (address || (n == 7 && level > 1)))
                continue;
            put_entry(w, level, w->raw[level] ^ 1ull << n);
            for (enum kind kind = 0; kind < KIND_COUNT; kind++)
                check(w, kind);
        }
}

static void every_bit_has_its_meaning(void **state)
{
    static const char *const models[] = {
        "max", "max,phys-bits=36", "max,phys-bits=52", "max,phys-bits=32",
        "max,-pse36,-pat", "max,-pdpe1gb",
    };
    struct cpu_bench *b = *state;
    struct walker w;

    for (unsigned m = 0; m < ARRAY_SIZE(models); m++) {
        assert_int_equal(cpu_model_parse(&b->model, models[m], 1, NULL), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
            for (unsigned leaf = 1; leaf <= modes[i].largest; leaf++) {
                if (leaf == 3 && !cpu_model_has(&b->model, FEATURE_PDPE1GB))
                    continue;
                forget_tables(b);
                begin(&w, b, &modes[i]);
                for (unsigned nxe = 0; nxe < 2; nxe++) {
                    set_controls(&w, nxe << 3);
                    set_privilege(&w, USER_ACCESS, false);
                    check_bits(&w, leaf);
                }
            }
    }
}

/* ---- a random walk -------------------------------------------------------- */

static uint64_t next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* A bit of an entry that may be turned over without leading the walk astray. */
static unsigned random_bit(const struct walker *w, unsigned level, uint64_t r)
{
    static const uint8_t often[] = { 0, 1, 2, 1, 2, 5, 5, 6, 63, 59 };
    static const uint8_t seldom[] = { 3, 4, 8, 9, 10, 11, 52, 55, 58, 59, 60, 61, 62, 63 };

    if (r % 8 < 5)
        return often[(r >> 8) % ARRAY_SIZE(often)];
    if (r % 8 < 7)
        return seldom[(r >> 8) % ARRAY_SIZE(seldom)];
    unsigned n = 7 + (unsigned)(r >> 8) % 45; /* 7..51: only what is reserved */
    return is_reserved(w, level, is_leaf(w, level), n) || n == 7 ? n : 5;
}

static void change_entry(struct walker *w, uint64_t *seed)
{
    uint64_t r = next(seed);
    unsigned level = 1 + (unsigned)(r >> 32) % w->mode->levels;
    unsigned n = random_bit(w, level, r);

    if (w->mode->entry_bytes == 4 && n >= 32)
        return;
    uint64_t raw = w->raw[level] ^ 1ull << n;
    if (n == 7 && level > 1 && level <= w->mode->largest) {
        /* Between a large page and a table: the address too. */
        bool large = bit(raw, 7) && (level != 3 || cpu_model_has(&w->b->model, FEATURE_PDPE1GB));
        raw = (raw & ~0xff000ull) | (large ? 0 : TABLE(level - 1));
    }
    put_entry(w, level, raw);
}

/* Most of the time all is in order: too many faults would hide each other. */
static void mend(struct walker *w)
{
    for (unsigned level = 1; level <= w->mode->levels; level++)
        put_entry(w, level, plain_entry(level, 1));
}

static void wander(struct cpu_bench *b, const struct mode *mode, unsigned steps, uint64_t *seed)
{
    struct walker w;

    begin(&w, b, mode);
    for (unsigned i = 0; i < steps; i++) {
        uint64_t r = next(seed);
        if (r % 16 == 0)
            mend(&w);
        else if (r % 16 < 9)
            change_entry(&w, seed);
        else if (r % 16 < 11)
            set_controls(&w, (unsigned)(r >> 8) & 63);
        else if (r % 16 < 13)
            set_privilege(&w, bit(r, 8), bit(r, 9));
        else if (r % 16 == 13)
            control_set_pkru(b->cpu, (uint32_t)(r >> 8) & 0xff);
        else if (r % 16 == 14)
            assert_int_equal(msr_write(b->cpu, MSR_PKRS, r >> 8 & 0xff), 0);
        else
            mmu_flush(b->cpu);
        check(&w, (enum kind)(r >> 40) % KIND_COUNT);
    }
}

static void nothing_is_kept_too_long(void **state)
{
    static const char *const models[] = {
        "max", "max,phys-bits=36,-pdpe1gb,-pse36", "max,phys-bits=52,-pat", "max,phys-bits=34",
    };
    struct cpu_bench *b = *state;
    unsigned steps = getenv("GROUNDHOG_LONG") ? 2000000 : 25000;
    uint64_t seed = 0x2545f4914f6cdd1d;

    for (unsigned m = 0; m < ARRAY_SIZE(models); m++) {
        assert_int_equal(cpu_model_parse(&b->model, models[m], 1, NULL), 0);
        for (unsigned i = 0; i < ARRAY_SIZE(modes); i++)
            wander(b, &modes[i], steps, &seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(rights_are_the_manuals),
        BENCH_TEST(every_bit_has_its_meaning),
        BENCH_TEST(nothing_is_kept_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
