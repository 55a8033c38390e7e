/* SMI entry and RSM: the round trip through both maps, what RSM refuses, and
 * what the vCPU alone sees of SMRAM. */
#include "cpu_bench.h"

#define MAP 0x3fe00
#define RSM "\x0f\xaa"

static void enter(struct cpu_bench *b)
{
    bench_code(b, 0x38000, RSM, 2);
    b->cpu->s.smi_pending = 1;
    bench_run(b, 1);
    assert_true(b->cpu->s.smm);
    assert_int_equal(b->cpu->s.gpr[RIP], 0x8000);
}

static void leave(struct cpu_bench *b)
{
    bench_run(b, 1);
    assert_false(b->cpu->s.smm);
}

/* What is reserved in the map keeps what it has. */
static void fill_map(struct cpu_bench *b)
{
    for (unsigned i = 0; i < 0x200; i++)
        bench_put(b, MAP + i, 0xa5, 1);
}

static void note_field(uint8_t *fields, unsigned offset, unsigned bytes)
{
    memset(fields + offset, 1, bytes);
}

static void check_reserved(struct cpu_bench *b, const uint8_t *fields)
{
    for (unsigned i = 0; i < 0x200; i++)
        if (!fields[i] && bench_get(b, MAP + i, 1) != 0xa5)
            fail_msg("byte %x of the map is written", i);
}

static void round_trip_64(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state before;

    bench_long(b, 3);
    b->cpu->s.gpr[R9] = 0x0123456789abcdef;
    b->cpu->s.rflags |= FLAG_IF | FLAG_SF;
    cpu_restored(b->cpu);
    before = b->cpu->s;
    enter(b);
    assert_int_equal(b->cpu->s.seg[CS].base, 0x30000);
    assert_int_equal(b->cpu->s.cr0 & (CR0_PE | CR0_PG), 0);
    assert_int_equal(bench_get(b, MAP + 0xfc, 4), 0x30064);
    leave(b);
    assert_memory_equal(&b->cpu->s, &before, sizeof before);
}

/* AMD APM vol. 2, table 10-1. */
static void map_64(void **state)
{
    struct cpu_bench *b = *state;
    static const uint16_t registers[][2] = {
        { RAX, 0x1f8 }, { RCX, 0x1f0 }, { RDX, 0x1e8 }, { RBX, 0x1e0 }, { RSP, 0x1d8 },
        { RBP, 0x1d0 }, { RSI, 0x1c8 }, { RDI, 0x1c0 }, { R8, 0x1b8 }, { R9, 0x1b0 },
        { R10, 0x1a8 }, { R11, 0x1a0 }, { R12, 0x198 }, { R13, 0x190 }, { R14, 0x188 },
        { R15, 0x180 }, { RIP, 0x178 },
    };

    bench_long(b, 3);
    struct cpu_state *s = &b->cpu->s;
    for (unsigned i = 0; i < 16; i++)
        s->gpr[i] = 0x123456789ab00000 + i;
    s->cr4 |= CR4_DE;
    s->dr[6] |= 5;
    s->dr[7] |= 0x30000;
    s->seg[FS].base = 0x7f1234567890;
    cpu_restored(b->cpu);
    struct cpu_state before = *s;
    s->smi_cause = 2ull << 32 | 0xb20012; /* OUT b2h, al: 2 bytes long */
    uint8_t fields[0x200] = { 0 };
    fill_map(b);
    enter(b);
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
        assert_int_equal(bench_get(b, MAP + registers[i][1], 8), before.gpr[registers[i][0]]);
        note_field(fields, registers[i][1], 8);
    }
    for (unsigned i = 0; i < SEGMENT_COUNT + 2; i++) {
        static const uint16_t places[] = { 0, 0x10, 0x20, 0x30, 0x40, 0x50, 0x70, 0x90 };
        const struct segment *segment = i < SEGMENT_COUNT    ? &before.seg[i]
                                        : i == SEGMENT_COUNT ? &before.ldtr
                                                             : &before.tr;
        assert_int_equal(bench_get(b, MAP + places[i], 2), segment->selector);
        assert_int_equal(bench_get(b, MAP + places[i] + 4, 4), segment->limit);
        assert_int_equal(bench_get(b, MAP + places[i] + 8, 8), segment->base);
        note_field(fields, places[i], 16);
    }
    const struct { uint16_t offset, bytes; uint64_t value; } rows[] = {
        { 0x64, 4, before.gdtr.limit }, { 0x68, 8, before.gdtr.base },
        { 0x84, 4, before.idtr.limit }, { 0x88, 8, before.idtr.base }, { 0xfc, 4, 0x30064 },
        { 0xa0, 8, before.gpr[RIP] - 2 }, { 0xa8, 8, before.gpr[RCX] },
        { 0xb0, 8, before.gpr[RSI] }, { 0xb8, 8, before.gpr[RDI] }, { 0xc0, 4, 0xb20012 },
        { 0xc8, 2, 0 }, { 0xcb, 1, 3 }, { 0xd0, 8, before.efer }, { 0x100, 4, 0x30000 },
        { 0x148, 8, before.cr4 }, { 0x150, 8, before.cr3 }, { 0x158, 8, before.cr0 },
        { 0x160, 8, before.dr[7] }, { 0x168, 8, before.dr[6] }, { 0x170, 8, before.rflags },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(bench_get(b, MAP + rows[i].offset, rows[i].bytes), rows[i].value);
        note_field(fields, rows[i].offset, rows[i].bytes);
    }
    check_reserved(b, fields);
    leave(b);
    assert_memory_equal(s, &before, sizeof before);
}

/* A model without long mode has the other map. */
static void round_trip_32(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state before;
    static const struct { uint16_t offset; uint32_t value; } rows[] = {
        { 0xfc, 0x30000 }, { 0xf8, 0x30000 }, { 0x1d0, 0xa1 }, { 0x1d4, 0xc1 }, { 0x1d8, 0xd1 },
        { 0x1dc, 0xb1 }, { 0x1e4, 0xb9 }, { 0x1e8, 0x51 }, { 0x1ec, 0xd9 }, { 0x1f0, 0x8000 },
        { 0x174, GDT }, { 0x158, IDT }, { 0x100, 0 }, { 0x104, 0xd9 }, { 0x108, 0xc1 },
        { 0x10c, 0x51 }, { 0x110, 0x7ffe },
    };

    assert_int_equal(cpu_model_parse(&b->model, "max,-lm", 1, NULL), 0);
    bench_protected(b, 0);
    struct cpu_state *s = &b->cpu->s;
    s->gpr[RAX] = 0xa1, s->gpr[RCX] = 0xc1, s->gpr[RDX] = 0xd1, s->gpr[RBX] = 0xb1;
    s->gpr[RBP] = 0xb9, s->gpr[RSI] = 0x51, s->gpr[RDI] = 0xd9;
    before = *s;
    s->smi_cause = 2ull << 32 | 0xb20012; /* OUT b2h, al: 2 bytes long */
    enter(b);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(bench_get(b, MAP + rows[i].offset, 4), rows[i].value);
    assert_int_equal(bench_get(b, MAP + 0x1fc, 4), before.cr0);
    assert_int_equal(bench_get(b, MAP + 0x1f4, 4), before.rflags);
    assert_int_equal(bench_get(b, MAP + 0x1ac, 4), before.seg[CS].selector);
    assert_int_equal(bench_get(b, MAP + 0x190, 4), before.seg[CS].attributes);
    assert_int_equal(bench_get(b, MAP + 0x194, 4), before.seg[CS].limit);
    assert_int_equal(bench_get(b, MAP + 0x130, 4), before.seg[DS].limit);
    assert_int_equal(bench_get(b, MAP + 0x164, 4), before.tr.base);
    leave(b);
    assert_memory_equal(s, &before, sizeof before);
}

/* Whatever the handler leaves, RSM brings back all that the map has, through both maps. */
static void handlers_may_change_everything(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s, before;

    for (unsigned n = 0; n < 2; n++) {
        bool wide = n == 0;
        assert_int_equal(cpu_model_parse(&b->model, wide ? "max" : "max,-lm", 1, NULL), 0);
        cpu_reset(b->cpu);
        if (wide)
            bench_long(b, 0);
        else
            bench_protected(b, 0);
        for (unsigned i = 0; i < (wide ? 16u : 8u); i++)
            s->gpr[i] = i == RSP ? s->gpr[RSP] : 0x1000 + i;
        s->ldtr = (struct segment){ 0x1800, 0x7f, 0x80, 0x82 };
        for (unsigned i = 0; i < SEGMENT_COUNT; i++)
            if (i != CS && i != SS)
                s->seg[i].base = 0x10 * i;
        s->dr[6] = 0xffff0ff1;
        s->dr[7] = 0x2400;
        s->rflags = FLAG_1 | FLAG_ID | FLAG_CF;
        if (wide) {
            s->cr4 |= CR4_PCIDE | CR4_PGE;
            s->cr3 |= 5;
            s->efer |= EFER_SCE;
        }
        cpu_restored(b->cpu);
        before = *s;
        enter(b);
        for (unsigned i = 0; i < 16; i++)
            s->gpr[i] = 0x9900 + i;
        struct segment other = { 0x7000, 0x1234, 0x198, 0x93 };
        for (unsigned i = 0; i < SEGMENT_COUNT; i++)
            if (i != CS)
                s->seg[i] = other;
        s->tr = s->ldtr = other;
        s->gdtr = s->idtr = (struct descriptor_table){ 0x7700, 0x77, 0 };
        s->dr[6] = 0xffff0ff8;
        s->cr3 = 0x7000;
        s->cr4 = CR4_DE;
        s->rflags = FLAG_1 | FLAG_ZF;
        if (!wide)
            memset(s->gpr + 8, 0, 8 * sizeof *s->gpr);
        cpu_restored(b->cpu);
        leave(b);
        assert_memory_equal(s, &before, sizeof before);
    }
}

/* One field of the map changed: whether RSM goes on or shuts down. */
static void what_rsm_refuses(void **state)
{
    static const struct { uint16_t offset; uint64_t set, clear; bool good; } rows[] = {
        { 0x158, 0, 0, true },
        { 0x158, 1ull << 32, 0, false },         /* CR0: the upper half */
        { 0x158, 0, CR0_PE, false },             /* PG without PE */
        { 0x158, CR0_NW, CR0_CD, false },        /* NW without CD */
        { 0x158, CR0_NW | CR0_CD, 0, true },
        { 0x158, 0, CR0_PG, false },             /* LMA without PG */
        { 0x148, 0, CR4_PAE, false },            /* LMA without PAE */
        { 0x148, 1ull << 40, 0, false },         /* CR4: reserved */
        { 0x148, 1ull << 15, 0, false },
        { 0x148, CR4_PGE | CR4_PCIDE, 0, true },
        { 0x150, 0x5, 0, true },                 /* CR3: a PCID, once PCIDE is set */
        { 0x150, 1ull << 60, 0, false },
        { 0x0d0, 0, EFER_LMA, false },           /* EFER: LME and PG without LMA */
        { 0x0d0, 0, EFER_LME, false },
        { 0x0d0, 1ull << 1, 0, false },          /* reserved */
        { 0x0d0, EFER_SCE | EFER_NXE, 0, true },
        { 0x170, FLAG_VM, 0, false },            /* virtual-8086 mode in long mode */
        { 0x170, 1ull << 40 | 8, 0, true },      /* reserved flags: dropped */
        { 0x0fc, 0, 0xffffffff, true },          /* the revision is not looked at */
        { 0x160, ~0ull, 0, true },               /* DR7 */
        { 0x084, 0xffff0000, 0, true },          /* IDT limit: 16 bits */
    };
    bench_teardown(state);
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        bench_setup(state);
        struct cpu_bench *b = *state;
        bench_long(b, 0);
        enter(b);
        unsigned bytes = rows[i].offset == 0x84 || rows[i].offset == 0xfc ? 4 : 8;
        uint64_t value = bench_get(b, MAP + rows[i].offset, bytes);
        bench_put(b, MAP + rows[i].offset, (value & ~rows[i].clear) | rows[i].set, bytes);
        leave(b);
        if ((b->cpu->s.activity == CPU_RUNNING) != rows[i].good)
            fail_msg("row %u", i);
        if (rows[i].good) {
            assert_int_equal(b->cpu->s.gpr[RIP], 0x8000);
            assert_int_equal(b->cpu->s.rflags & (1ull << 40 | 8), 0);
            assert_int_equal(b->cpu->s.dr[7] >> 32, 0);
            assert_true(b->cpu->s.idtr.limit <= 0xffff);
        }
        bench_teardown(state);
    }
    bench_setup(state);
}

/* HLT's restart byte is set, and decides where RSM goes. */
static void halt_restart(void **state)
{
    struct cpu_bench *b = *state;
    for (unsigned round = 0; round < 2; round++) {
        bench_long(b, 0);
        b->cpu->s.activity = CPU_HALTED;
        b->cpu->s.gpr[RIP] = 0x8000;
        enter(b);
        assert_int_equal(bench_get(b, MAP + 0xc9, 1), 1);
        bench_put(b, MAP + 0xc9, round, 1);
        leave(b);
        assert_int_equal(b->cpu->s.activity, round ? CPU_HALTED : CPU_RUNNING);
    }
}

/* The shadow of STI holds an SMI back for one instruction; a debug trap that
 * waits is kept through SMM. */
static void what_comes_first(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    bench_long(b, 0);
    bench_code(b, 0x8000, "\x90\x90", 2);
    s->shadow_sti = 1;
    s->smi_pending = 1;
    bench_code(b, 0x38000, RSM, 2);
    bench_run(b, 2);
    assert_true(s->smm);
    assert_int_equal(bench_get(b, MAP + 0x178, 8), 0x8001);
    bench_run(b, 1);
    s->pending_debug = 1u << 14;
    enter(b);
    assert_int_equal(s->pending_debug, 0);
    leave(b);
    assert_int_equal(s->pending_debug, 1u << 14);
}

/* A map that lies across two pages. */
static void odd_base(void **state)
{
    struct cpu_bench *b = *state;
    bench_long(b, 0);
    b->cpu->s.smbase = 0x30320;
    struct cpu_state before = b->cpu->s;
    bench_code(b, 0x38320, RSM, 2);
    b->cpu->s.smi_pending = 1;
    bench_run(b, 1);
    assert_int_equal(b->cpu->s.seg[CS].selector, 0x3032);
    assert_int_equal(bench_get(b, 0x30320 + 0xff00, 4), 0x30320);
    leave(b);
    assert_memory_equal(&b->cpu->s, &before, sizeof before);
}

/* SMRAM is there in SMM only, and the TLB does not tell. */
static void smram_view(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    for (unsigned page = PHYSMEM_SMRAM_FIRST; page < PHYSMEM_SMRAM_END; page++)
        physmem_map_low(&b->memory, page, PHYSMEM_MMIO, PHYSMEM_MMIO);
    physmem_remapped(&b->memory);
    assert_int_equal(mmu_read_page(b->cpu, 0xa0000), PHYSMEM_MMIO);
    b->memory.smram = PHYSMEM_SMRAM_ALL;
    assert_int_equal(mmu_read_page(b->cpu, 0xa0000), PHYSMEM_MMIO);
    s->smm = 1;
    assert_int_equal(mmu_read_page(b->cpu, 0xa0000), 0xa0);
    assert_int_equal(mmu_write_page(b->cpu, 0xbffff), 0xbf);
    assert_int_equal(mmu_read_page(b->cpu, 0xc0000), physmem_read_page(&b->memory, 0xc0000));
    b->memory.smram = PHYSMEM_SMRAM_CODE;
    assert_int_equal(mmu_write_page(b->cpu, 0xa0000), PHYSMEM_MMIO);
    s->smm = 0;

    /* The entry's code is fetched from SMRAM; its map is lost in what is
     * closed to data, and RSM finds ones. */
    bench_long(b, 0);
    s->smbase = 0xa0000;
    memcpy(physmem_host(&b->memory, 0xa8), RSM, 2);
    s->smi_pending = 1;
    bench_run(b, 2);
    assert_int_equal(s->activity, CPU_SHUTDOWN);
    s->activity = CPU_RUNNING;
    b->memory.smram = PHYSMEM_SMRAM_ALL;
    physmem_remapped(&b->memory);
    bench_long(b, 0);
    struct cpu_state before = *s;
    s->smi_pending = 1;
    bench_run(b, 2);
    assert_memory_equal(s, &before, sizeof before);

    /* A good map that is closed before RSM: ones again. */
    s->smi_pending = 1;
    bench_run(b, 1);
    b->memory.smram = PHYSMEM_SMRAM_CODE;
    physmem_remapped(&b->memory);
    bench_run(b, 1);
    assert_int_equal(s->activity, CPU_SHUTDOWN);
}

/* The other map whole: SDM vol. 3, table 32-1, and where Intel and AMD had these
 * since the Pentium what that leaves open. */
static void map_32(void **state)
{
    struct cpu_bench *b = *state;
    static const uint16_t registers[][2] = {
        { RIP, 0x1f0 }, { RDI, 0x1ec }, { RSI, 0x1e8 }, { RBP, 0x1e4 }, { RSP, 0x1e0 },
        { RBX, 0x1dc }, { RDX, 0x1d8 }, { RCX, 0x1d4 }, { RAX, 0x1d0 },
    };
    /* selector, attributes; then limit and base */
    static const uint16_t segments[][2] = {
        { 0x1a8, 0x184 }, { 0x1ac, 0x190 }, { 0x1b0, 0x19c }, { 0x1b4, 0x12c }, { 0x1b8, 0x138 },
        { 0x1bc, 0x144 }, { 0x1c0, 0x178 }, { 0x1c4, 0x15c },
    };

    assert_int_equal(cpu_model_parse(&b->model, "max,-lm", 1, NULL), 0);
    bench_protected(b, 3);
    struct cpu_state *s = &b->cpu->s;
    for (unsigned i = 0; i < 8; i++)
        s->gpr[i] = 0x10101010 * (i + 1) + i;
    for (unsigned i = ES; i < SEGMENT_COUNT; i++) {
        if (i == CS || i == SS)
            continue;
        s->seg[i] = (struct segment){ 0x11111000 * (i + 1), 0x22222fff + 0x1000000 * i,
                                      (uint16_t)(0x1234 + i), (uint16_t)(0x40f1 | i % 2 << 1) };
    }
    s->ldtr = (struct segment){ 0x76543210, 0x4321, 0x98, 0x82 };
    s->cr2 = 0x13579bdf;
    s->cr3 = 0x2468a000;
    s->cr4 = CR4_DE | CR4_PSE;
    s->dr[6] = 0xffff0ff5;
    s->dr[7] = 0x12340700;
    s->gdtr = (struct descriptor_table){ 0x89abcdef, 0x7654, 0 };
    s->idtr = (struct descriptor_table){ 0xfedcba98, 0x3210, 0 };
    s->rflags = FLAG_1 | FLAG_IOPL | FLAG_ID | FLAG_IF | FLAG_CF;
    cpu_restored(b->cpu);
    struct cpu_state before = *s;
    uint8_t fields[0x200] = { 0 };
    fill_map(b);
    enter(b);
    note_field(fields, 0x104, 16); /* the registers of a port instruction: there is none */
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++) {
        assert_int_equal(bench_get(b, MAP + registers[i][1], 4), before.gpr[registers[i][0]]);
        note_field(fields, registers[i][1], 4);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(segments); i++) {
        const struct segment *segment = i < SEGMENT_COUNT    ? &before.seg[i]
                                        : i == SEGMENT_COUNT ? &before.ldtr
                                                             : &before.tr;
        assert_int_equal(bench_get(b, MAP + segments[i][0], 4), segment->selector);
        assert_int_equal(bench_get(b, MAP + segments[i][1], 4), segment->attributes);
        assert_int_equal(bench_get(b, MAP + segments[i][1] + 4, 4), segment->limit);
        assert_int_equal(bench_get(b, MAP + segments[i][1] + 8, 4), segment->base);
        note_field(fields, segments[i][0], 4);
        note_field(fields, segments[i][1], 12);
    }
    const struct { uint16_t offset; uint64_t value; } rows[] = {
        { 0x1fc, before.cr0 }, { 0x1f8, before.cr3 }, { 0x1f4, before.rflags },
        { 0x1cc, before.dr[6] }, { 0x1c8, before.dr[7] }, { 0x174, before.gdtr.base },
        { 0x170, before.gdtr.limit }, { 0x158, before.idtr.base }, { 0x154, before.idtr.limit },
        { 0x114, before.cr4 }, { 0x100, 0 }, { 0x0fc, 0x30000 }, { 0x0f8, 0x30000 },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(bench_get(b, MAP + rows[i].offset, 4), rows[i].value);
        note_field(fields, rows[i].offset, 4);
    }
    check_reserved(b, fields);
    leave(b);
    assert_memory_equal(s, &before, sizeof before);
}

/* Paging ends with the entry and begins again with RSM: what was translated before
 * is void, though the linear addresses are the same. */
static void translations_change(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint8_t byte;

    bench_long(b, 0);
    bench_put(b, TABLES + 0x2000, (TABLES + 0x3000) | 7, 8);
    for (unsigned i = 0; i < 512; i++)
        bench_put(b, TABLES + 0x3000 + 8 * i, (i == 0x38 ? 0x50 : i) << 12 | 7, 8);
    bench_code(b, 0x38000, RSM, 2);
    bench_code(b, 0x50000, "\x90\x90\x90\xf4", 4);
    s->gpr[RIP] = 0x38000;
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x38001);
    assert_int_equal(memory_read8(b->cpu, SEGMENT_FLAT, 0x38003, &byte), 0);
    assert_int_equal(byte, 0xf4);
    s->smi_pending = 1;
    bench_run(b, 1);
    assert_true(s->smm);
    assert_int_equal(memory_read8(b->cpu, DS, 0x38000, &byte), 0);
    assert_int_equal(byte, 0x0f);
    leave(b);
    assert_int_equal(s->gpr[RIP], 0x38001);
    assert_int_equal(memory_read8(b->cpu, SEGMENT_FLAT, 0x38003, &byte), 0);
    assert_int_equal(byte, 0xf4);
    bench_run(b, 1);
    assert_int_equal(s->gpr[RIP], 0x38002);
}

static uint64_t device(void *context, struct cpu *cpu, uint64_t address, unsigned bytes)
{
    (void)context, (void)cpu, (void)address, (void)bytes;
    return 0x99;
}

/* The same of SMRAM, where no control register changes. */
static void smram_is_gone_after_rsm(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;
    uint8_t byte;

    for (unsigned page = PHYSMEM_SMRAM_FIRST; page < PHYSMEM_SMRAM_END; page++)
        physmem_map_low(&b->memory, page, PHYSMEM_MMIO, PHYSMEM_MMIO);
    b->memory.smram = PHYSMEM_SMRAM_ALL;
    physmem_remapped(&b->memory);
    b->cpu->bus.mmio_read = device;
    *physmem_host(&b->memory, 0xa0) = 0x55;
    s->seg[FS].base = 0xa0000;
    cpu_restored(b->cpu);
    assert_int_equal(memory_read8(b->cpu, FS, 0, &byte), 0);
    assert_int_equal(byte, 0x99);
    enter(b);
    assert_int_equal(memory_read8(b->cpu, FS, 0xa0000, &byte), 0);
    assert_int_equal(byte, 0x55);
    leave(b);
    assert_int_equal(memory_read8(b->cpu, FS, 0, &byte), 0);
    assert_int_equal(byte, 0x99);
}

/* What the handler begins with. (SDM vol. 3, table 32-4) */
static void handlers_begin_alike(void **state)
{
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    bench_long(b, 3);
    s->cr0 |= CR0_EM | CR0_TS | CR0_WP | CR0_NE | CR0_MP;
    s->cr4 |= CR4_PGE;
    s->dr[0] = 0x1234;
    s->dr[7] = 0x455;
    s->rflags |= FLAG_IF | FLAG_CF;
    cpu_restored(b->cpu);
    s->smi_pending = 1;
    assert_int_equal(bench_run(b, 1), CPU_EXIT_BUDGET); /* the entry counts as one */
    assert_int_equal(cpu_retired(b->cpu), 1);
    assert_int_equal(s->smm, 1);
    assert_int_equal(s->cr0, CR0_ET | CR0_WP | CR0_NE | CR0_MP);
    assert_int_equal(s->cr4 | s->efer | s->cpl | s->smi_pending, 0);
    assert_int_equal(s->dr[7], 0x400);
    assert_int_equal(s->dr[0], 0x1234);
    assert_int_equal(s->rflags, FLAG_1);
    assert_int_equal(s->gpr[RIP], 0x8000);
    assert_int_equal(s->nmi_blocked, 1);
    for (unsigned i = 0; i < SEGMENT_COUNT; i++) {
        assert_int_equal(s->seg[i].base, i == CS ? 0x30000 : 0);
        assert_int_equal(s->seg[i].selector, i == CS ? 0x3000 : 0);
        assert_int_equal(s->seg[i].limit, 0xffffffff);
        assert_int_equal(s->seg[i].attributes, (i == CS ? 0x9b : 0x93) | SEGMENT_G);
    }
    assert_int_equal(b->cpu->code_bytes, 2);
    assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[MMU_SUPERVISOR]);
}

/* Privilege and mode come back by the map, and NMIs are let in unless they were
 * blocked before. */
static void what_rsm_returns_to(void **state)
{
    static const struct { uint64_t cr0, rflags; uint8_t cpl, want; } cases[] = {
        { CR0_ET, 2, 3, 0 }, { CR0_ET | CR0_PE, 2, 3, 3 }, { CR0_ET | CR0_PE, 2, 0xfe, 2 },
        { CR0_ET | CR0_PE, FLAG_VM | 2, 0, 3 }, { CR0_ET, FLAG_VM | 2, 1, 0 },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
        const uint64_t flags = cases[i / 2].rflags;
        cpu_reset(b->cpu);
        bench_protected(b, 0);
        s->nmi_blocked = i & 1;
        enter(b);
        assert_int_equal(s->smm, 1 + (i & 1));
        bench_put(b, MAP + 0x158, cases[i / 2].cr0, 8);
        bench_put(b, MAP + 0x170, flags, 8);
        bench_put(b, MAP + 0xcb, cases[i / 2].cpl, 1);
        leave(b);
        assert_int_equal(s->activity, CPU_RUNNING);
        assert_int_equal(s->cpl, cases[i / 2].want);
        assert_int_equal(s->cr0, cases[i / 2].cr0);
        assert_int_equal(s->rflags, cases[i / 2].cr0 & CR0_PE ? flags : flags & ~FLAG_VM);
        assert_int_equal(s->nmi_blocked, i & 1);
        assert_ptr_equal(b->cpu->tlb, &b->cpu->tlbs[s->cpl == 3 ? MMU_USER : MMU_SUPERVISOR]);
    }
}

#define A 0x100000000
#define C 0x1ffffffff
/* The registers of a port instruction as before it, which the restart byte
 * loads: by width, direction, REP and address size. */
static void restarts_of_port_instructions(void **state)
{
    /* cause: length, port, then AMD's trap word: width, REP 8, string 4, valid 2, IN 1 */
    static const struct { uint64_t cause, rflags, rip, rcx, rsi, rdi; } cases[] = {
        { 0x200b20012, 0, 0x7ffe, C, A, A },                               /* out %al, $b2 */
        { 0x200b20013, 0, 0x7ffe, C, A, A },
        { 0x100b20017, 0, 0x7fff, C, A, 0xffffffff },                      /* insb */
        { 0x100b20016, 0, 0x7fff, C, 0xffffffff, A },                      /* outsb */
        { 0x200b20026, 0, 0x7ffe, C, 0xfffffffe, A },                      /* outsw */
        { 0x20200b20026, 0, 0x7ffe, C, 0x1fffffffe, A },                   /* addr32 outsw */
        { 0x100b20047, FLAG_DF, 0x7fff, C, A, 0x100000004 },               /* insl, downwards */
        { 0x200b2001f, 0, 0x8000, 0x200000000, A, 0xffffffff },            /* rep insb: goes on */
        { 0x20200b2001f, 0, 0x8000, 0x100000000, A, 0x1ffffffff },
        { 0x200b2004e, FLAG_DF, 0x8000, 0x200000000, 0x100000004, A },
    };
    struct cpu_bench *b = *state;
    struct cpu_state *s = &b->cpu->s;

    for (unsigned i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
        cpu_reset(b->cpu);
        bench_long(b, 0);
        s->gpr[RCX] = C;
        s->gpr[RSI] = s->gpr[RDI] = A;
        s->rflags = FLAG_1 | cases[i / 2].rflags;
        s->smi_cause = cases[i / 2].cause;
        enter(b);
        assert_int_equal(bench_get(b, MAP + 0xc0, 4), (uint32_t)cases[i / 2].cause);
        assert_int_equal(bench_get(b, MAP + 0xa0, 8), cases[i / 2].rip);
        assert_int_equal(bench_get(b, MAP + 0xa8, 8), cases[i / 2].rcx);
        assert_int_equal(bench_get(b, MAP + 0xb0, 8), cases[i / 2].rsi);
        assert_int_equal(bench_get(b, MAP + 0xb8, 8), cases[i / 2].rdi);
        bench_put(b, MAP + 0xc8, i & 1 ? 0xff : 0xfe, 1);
        leave(b);
        bool again = i & 1;
        assert_int_equal(s->gpr[RIP], again ? cases[i / 2].rip : 0x8000);
        assert_int_equal(s->gpr[RCX], again ? cases[i / 2].rcx : C);
        assert_int_equal(s->gpr[RSI], again ? cases[i / 2].rsi : A);
        assert_int_equal(s->gpr[RDI], again ? cases[i / 2].rdi : A);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BENCH_TEST(round_trip_64), BENCH_TEST(map_64), BENCH_TEST(round_trip_32),
        BENCH_TEST(handlers_may_change_everything),
        BENCH_TEST(map_32), BENCH_TEST(handlers_begin_alike), BENCH_TEST(translations_change),
        BENCH_TEST(smram_is_gone_after_rsm), BENCH_TEST(what_rsm_returns_to),
        BENCH_TEST(restarts_of_port_instructions),
        BENCH_TEST(what_rsm_refuses),
        BENCH_TEST(halt_restart), BENCH_TEST(what_comes_first), BENCH_TEST(odd_base),
        BENCH_TEST(smram_view),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
