/*
 * Fuzzed guests: a machine of 2 MiB whose ROM of 128 KiB is made from a seed.
 *
 *   E0000h  48 KiB that the prelude copies to 10000h: page tables, GDT, TSSs,
 *           IDT, and code that may be modified
 *   F0000h  48 KiB of random code
 *   FC000h  settings of the prelude (prelude.S), and the prelude
 *
 * Depending on the seed the guest runs in real mode, in protected mode
 * (without paging, with 32-bit or PAE tables; 32-bit, 16-bit, virtual-8086 and
 * user code) or in long mode (64-bit and compatibility code).
 */
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H

#include "fuzz_code.h"
#include "machine/description.h"
#include "util/bits.h"

#define GUEST_ROM_BYTES 0x20000u
#define GUEST_PRELUDE_BYTES 0x3000u
#define GUEST_CODE_BYTES 0xc000u
#define GUEST_DISK_MOST (40u << 10)

extern const uint8_t fuzz_prelude[GUEST_PRELUDE_BYTES];

enum guest_mode { GUEST_REAL, GUEST_FLAT, GUEST_LEGACY, GUEST_PAE, GUEST_LONG, GUEST_MODES };

struct guest {
    struct fuzz fuzz;
    enum guest_mode mode;
    uint32_t tables; /* where page tables are used: 10000h, or in the ROM, safe from writes */
    struct cpu_model model;
    struct decoder decoder;
    uint8_t rom[GUEST_ROM_BYTES];
    uint8_t disk[GUEST_DISK_MOST], cd[GUEST_DISK_MOST], item[3000];
    struct description description;
};

/* Offsets in the image, which is at the start of the ROM and at 10000h in RAM. */
#define IMAGE 0x10000u
#define IMAGE_PD 0x2000u
#define IMAGE_PD3 0x3000u
#define IMAGE_PT 0x4000u
#define IMAGE_ALIAS 0x5000u
#define IMAGE_GDT 0x6000u
#define IMAGE_TSS 0x6800u
#define IMAGE_DF_TSS 0x6a00u
#define IMAGE_IDT 0x7000u
#define IMAGE_CODE 0x8000u
#define IMAGE_BYTES 0xc000u
/* In long mode a second PML4 amid code: the first one's entries at guest_tops. */
#define IMAGE_TOP (CODE_OTHER_TOP)
#define SETTINGS 0x1c000u /* in the ROM */

/* Selectors */
enum {
    SELECT_CODE32 = 0x08, SELECT_DATA = 0x10, SELECT_CODE64 = 0x18, SELECT_CODE16 = 0x20,
    SELECT_DATA16 = 0x28, SELECT_TSS = 0x30, SELECT_DF_TSS = 0x70, SELECT_LDT = 0x78,
    SELECT_USER_CODE = 0x8b, SELECT_USER_DATA = 0x93, SELECT_USER_CODE64 = 0x9b,
    SELECT_CONFORMING = 0xa0, SELECT_EXPAND_DOWN = 0xa8, SELECT_GATE = 0xb0, SELECT_RANDOM = 0xc0,
};

static inline void guest_put(struct guest *guest, uint32_t offset, uint64_t value, unsigned bytes)
{
    memcpy(guest->rom + offset, &value, bytes);
}

static inline void guest_setting(struct guest *guest, uint32_t offset, uint32_t value)
{
    guest_put(guest, SETTINGS + offset, value, 4);
}

/* ---- page tables ---- */

static inline uint64_t guest_page_flags(struct guest *guest)
{
    struct fuzz *fuzz = &guest->fuzz;
    uint64_t flags = 7; /* P, RW, US */
    flags |= fuzz_below(fuzz, 4) << 5; /* A, D */
    if (fuzz_one_in(fuzz, 6))
        flags ^= 1ull << fuzz_below(fuzz, 9);
    return flags;
}

/* Tables and stacks, without which nothing goes on. */
static inline bool guest_needs(uint32_t page)
{
    return (page >= 6 && page <= 9) || (page >= 0x10 && page < 0x1c) || page >= 0xe0;
}

static const uint16_t guest_tops[] = { 0, 256 * 8, 511 * 8 };

static inline void guest_tables(struct guest *guest)
{
    struct fuzz *fuzz = &guest->fuzz;
    bool small = guest->mode == GUEST_LEGACY;
    unsigned width = small ? 4 : 8, count = 4096 / width;
    for (uint32_t page = 0; page < count; page++) {
        bool needs = page < 0x100 && guest_needs(page);
        uint64_t entry = (uint64_t)page << 12 | (needs ? 7 | fuzz_below(fuzz, 4) << 5
                                                       : guest_page_flags(guest));
        if (!needs && fuzz_one_in(fuzz, 10))
            entry = (entry & 0xfff) | (uint64_t)fuzz_below(fuzz, 0x210) << 12;
        guest_put(guest, IMAGE_PT + page * width, entry, width);
        entry = (uint64_t)(fuzz_one_in(fuzz, 4) ? 0x10 + fuzz_below(fuzz, 12) : fuzz_below(fuzz, 0x200))
                    << 12 | guest_page_flags(guest);
        if (!small && fuzz_one_in(fuzz, 8))
            entry |= 1ull << (fuzz_one_in(fuzz, 3) ? 52 + fuzz_below(fuzz, 12) : 63);
        guest_put(guest, IMAGE_ALIAS + page * width, entry, width);
    }
    uint32_t pd = small ? 0 : IMAGE_PD, high = small ? 0 : IMAGE_PD3;
    uint32_t last = small ? 0x3ff : 0x1ff, apic = small ? 0x3fb : 0x1f6;
    uint64_t large = 0x80 | 0x67;
    for (unsigned i = 4; i < 8; i++)
        guest_put(guest, pd + i * width, (guest->tables + IMAGE_PT) | guest_page_flags(guest), width);
    guest_put(guest, pd, (guest->tables + IMAGE_PT) | 7, width);
    if (small) {
        guest_put(guest, pd + 1 * width, (guest->tables + IMAGE_ALIAS) | 7, width);
        guest_put(guest, pd + 2 * width, large, width);
    } else {
        guest_put(guest, pd + 1 * width, large, width);
        guest_put(guest, pd + 2 * width, (guest->tables + IMAGE_ALIAS) | 7, width);
    }
    guest_put(guest, pd + 3 * width, (guest->tables + pd) | guest_page_flags(guest), width);
    guest_put(guest, high + apic * width, 0xfec00000u | large, width);
    if (!small)
        guest_put(guest, high + (apic + 1) * width, 0xfee00000u | large, width);
    guest_put(guest, high + last * width, (small ? 0xffc00000u : 0xffe00000u) | large, width);
    if (guest->mode == GUEST_PAE) {
        guest_put(guest, 0, (guest->tables + IMAGE_PD) | 1, 8);
        guest_put(guest, 8, (guest->tables + IMAGE_PD) | 1, 8);
        guest_put(guest, 24, (guest->tables + IMAGE_PD3) | 1, 8);
    } else if (guest->mode == GUEST_LONG) {
        guest_put(guest, 0, (guest->tables + 0x1000) | 7, 8);
        guest_put(guest, 256 * 8, guest->tables | guest_page_flags(guest), 8);
        guest_put(guest, 511 * 8, (guest->tables + 0x1000) | guest_page_flags(guest), 8);
        guest_put(guest, 0x1000, (guest->tables + IMAGE_PD) | 7, 8);
        guest_put(guest, 0x1008, 0xe7, 8); /* 1 GiB */
        guest_put(guest, 0x1010, (guest->tables + IMAGE_PD) | guest_page_flags(guest), 8);
        guest_put(guest, 0x1018, (guest->tables + IMAGE_PD3) | 7, 8);
        guest_put(guest, 0x1ff8, (guest->tables + IMAGE_PD) | guest_page_flags(guest), 8);
    }
}

/* ---- descriptors ---- */

/* `flags`: bits 8 to 23 of the upper half, without limit and base. */
static inline uint64_t guest_descriptor(uint32_t base, uint32_t limit, uint32_t flags)
{
    uint64_t high = (base >> 16 & 0xff) | flags << 8 | (limit & 0xf0000) | (base & 0xff000000u);
    return high << 32 | (uint64_t)(base & 0xffff) << 16 | (limit & 0xffff);
}

static inline void guest_gate(struct guest *guest, uint32_t place, unsigned selector,
                              uint32_t offset, unsigned type, unsigned ist)
{
    guest_put(guest, place, offset & 0xffff, 2);
    guest_put(guest, place + 2, selector, 2);
    guest_put(guest, place + 4, ist | type << 8, 2);
    guest_put(guest, place + 6, offset >> 16, 2);
    if (guest->mode == GUEST_LONG)
        guest_put(guest, place + 8, 0, 8);
}

static inline void guest_tss(struct guest *guest, uint32_t place, uint32_t stack)
{
    struct fuzz *fuzz = &guest->fuzz;
    guest_put(guest, place + 0x66, fuzz_one_in(fuzz, 2) ? 0x68 : fuzz_below(fuzz, 0x2100), 2);
    if (guest->mode == GUEST_LONG) {
        guest_put(guest, place + 0x04, stack, 8);
        guest_put(guest, place + 0x0c, stack, 8);
        guest_put(guest, place + 0x24, stack - 0x100, 8); /* IST1 */
        return;
    }
    guest_put(guest, place + 0x04, stack, 4);
    guest_put(guest, place + 0x08, SELECT_DATA, 2);
    guest_put(guest, place + 0x1c, guest->tables, 4); /* CR3 */
    memcpy(guest->rom + place + 0x20, fuzz_prelude + 0x2fe0, 4); /* EIP: restart32 */
    guest_put(guest, place + 0x24, 2, 4);
    guest_put(guest, place + 0x38, stack - 0x200, 4);
    for (unsigned i = 0; i < 6; i++)
        guest_put(guest, place + 0x48 + 4 * i, SELECT_DATA, 2);
    guest_put(guest, place + 0x4c, SELECT_CODE32, 2);
}

static inline void guest_descriptors(struct guest *guest)
{
    struct fuzz *fuzz = &guest->fuzz;
    uint32_t gdt = IMAGE_GDT;
    const struct {
        uint16_t selector, flags;
        uint32_t base, limit;
    } fixed[] = {
        {SELECT_CODE32, 0xc09b, 0, 0xfffff}, {SELECT_DATA, 0xc093, 0, 0xfffff},
        {SELECT_CODE64, 0xa09b, 0, 0xfffff}, {SELECT_CODE16, 0x009b, 0xf0000, 0xffff},
        {SELECT_DATA16, 0x0093, 0, 0xffff}, {SELECT_USER_CODE & ~3u, 0xc0fb, 0, 0xfffff},
        {SELECT_USER_DATA & ~3u, 0xc0f3, 0, 0xfffff}, {SELECT_USER_CODE64 & ~3u, 0xa0fb, 0, 0xfffff},
        {SELECT_CONFORMING, 0xc09f, 0, 0xfffff}, {SELECT_EXPAND_DOWN, 0xc097, 0, 0x00010},
        {SELECT_LDT, 0x0082, IMAGE + IMAGE_GDT, 0x1ff}, {SELECT_DF_TSS, 0x0089, IMAGE + IMAGE_DF_TSS, 0x67},
    };
    for (unsigned i = SELECT_RANDOM; i < 0x400; i += 8) {
        uint32_t flags = 0x80 | fuzz_below(fuzz, 128) | (fuzz_below(fuzz, 16) << 12);
        guest_put(guest, gdt + i, guest_descriptor(code_address(&(struct code){.fuzz = fuzz}),
                                                   fuzz_below(fuzz, 1u << 20), flags), 8);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        guest_put(guest, gdt + fixed[i].selector,
                  guest_descriptor(fixed[i].base, fixed[i].limit, fixed[i].flags), 8);
    for (unsigned i = 0; i < 4; i++) {
        uint32_t tss = IMAGE_TSS + i * 0x80;
        guest_put(guest, gdt + SELECT_TSS + 16 * i, guest_descriptor(IMAGE + tss, 0x7f, 0x89), 8);
        guest_tss(guest, tss, 0x7400 + i * 0x200);
    }
    guest_tss(guest, IMAGE_DF_TSS, 0x7c00);
    guest_gate(guest, gdt + SELECT_GATE,
               guest->mode == GUEST_LONG ? SELECT_CODE64 : SELECT_CODE32,
               guest->mode == GUEST_LONG ? 0xfe000 + 8 * 0x30 : 0xfd800 + 8 * 0x30, 0xec, 0);
}

static inline void guest_idt(struct guest *guest)
{
    struct fuzz *fuzz = &guest->fuzz;
    bool is_long = guest->mode == GUEST_LONG;
    for (unsigned v = 0; v < 256; v++) {
        if (guest->mode == GUEST_REAL) {
            guest_put(guest, IMAGE_IDT + 4 * v, 0xf000d000u + 8 * v, 4);
            continue;
        }
        uint32_t place = IMAGE_IDT + v * (is_long ? 16 : 8);
        unsigned type = 0x8e | (fuzz_below(fuzz, 2)) | (v >= 0x20 && fuzz_one_in(fuzz, 2) ? 0x60 : 0);
        if (v == 0x30)
            type |= 0x60;
        uint32_t stub = is_long ? 0xfe000 + 8 * v : 0xfd800 + 8 * v;
        guest_gate(guest, place, is_long ? SELECT_CODE64 : SELECT_CODE32, stub, type,
                   is_long && (v == 8 || fuzz_one_in(fuzz, 16)));
        if (v == 8 && !is_long)
            guest_gate(guest, place, SELECT_DF_TSS, 0, 0x85, 0);
        if (v > 0x30 && fuzz_one_in(fuzz, 16))
            fuzz_fill(fuzz, guest->rom + place, 8);
    }
}

/* ---- settings ---- */

static inline void guest_kinds(struct guest *guest)
{
    static const uint8_t interrupts[] = {0, 1, 1, 1, 3, 0x12};
    struct fuzz *fuzz = &guest->fuzz;
    for (unsigned v = 0; v < 256; v++) {
        unsigned kind = v >= 0x20 || v == 2 ? FUZZ_PICK(fuzz, interrupts)
                        : fuzz_one_in(fuzz, 3) ? 2 | fuzz_below(fuzz, 8) << 4 : 3;
        if (v == 0x30 || (v == 2 && fuzz_one_in(fuzz, 2)))
            kind = 3;
        bool error = v == 8 || (v >= 10 && v <= 14) || v == 17;
        guest->rom[SETTINGS + 0x100 + v] = (uint8_t)(kind | (error && guest->mode != GUEST_REAL) << 7);
    }
}

static inline uint32_t guest_flags(struct guest *guest)
{
    struct fuzz *fuzz = &guest->fuzz;
    uint32_t flags = 2 | (fuzz_one_in(fuzz, 3) ? 0 : 0x200) | (fuzz_below(fuzz, 4) << 12);
    flags |= fuzz_below(fuzz, 256) & 0xd5;
    if (fuzz_one_in(fuzz, 6))
        flags |= 0x100; /* TF */
    if (fuzz_one_in(fuzz, 6))
        flags |= 0x400; /* DF */
    if (fuzz_one_in(fuzz, 10))
        flags |= 0x50000; /* AC, RF */
    return flags;
}

/* Which kinds of code the ROM's code area holds: thirds of it. */
static inline unsigned guest_code_bits(const struct guest *guest, unsigned third)
{
    if (guest->mode == GUEST_REAL)
        return 16;
    if (guest->mode == GUEST_LONG)
        return third == 2 ? 32 : 64;
    return third == 2 ? 16 : 32;
}

static inline void guest_entry(struct guest *guest, unsigned number)
{
    struct fuzz *fuzz = &guest->fuzz;
    bool in_ram = fuzz_one_in(fuzz, 3), real = guest->mode == GUEST_REAL;
    unsigned third = fuzz_below(fuzz, 3);
    uint32_t offset = third * (GUEST_CODE_BYTES / 3) + fuzz_below(fuzz, GUEST_CODE_BYTES / 3);
    unsigned bits = guest_code_bits(guest, third);
    uint32_t ip = 0xf0000 + offset, cs = SELECT_CODE32, flags = guest_flags(guest);
    uint32_t ss = SELECT_DATA, sp = 0x7000 + fuzz_below(fuzz, 0x1000), ds = SELECT_DATA;
    if (in_ram && (bits == guest_code_bits(guest, 0))) {
        ip = IMAGE + IMAGE_CODE + fuzz_below(fuzz, IMAGE_BYTES - IMAGE_CODE);
        if (!real && guest->mode != GUEST_FLAT && fuzz_one_in(fuzz, 3))
            ip = 0x400000 + fuzz_below(fuzz, 0x200000);
    }
    if (real || (bits == 16 && !in_ram && fuzz_one_in(fuzz, 2))) {
        ss = fuzz_one_in(fuzz, 4) ? fuzz_below(fuzz, 0x2000) : 0;
        ds = fuzz_one_in(fuzz, 2) ? fuzz_below(fuzz, 0x10000) : 0;
        cs = ip >> 4 & 0xf000;
        ip -= cs << 4;
        if (!real)
            flags |= 0x20000 | (fuzz_one_in(fuzz, 2) ? 0x3000 : 0); /* VM */
    } else if (bits == 16) {
        cs = SELECT_CODE16;
        ip &= 0xffff;
    } else if (fuzz_one_in(fuzz, 3)) {
        cs = bits == 64 ? SELECT_USER_CODE64 : SELECT_USER_CODE;
        ss = ds = SELECT_USER_DATA;
    } else if (bits == 64) {
        cs = SELECT_CODE64;
    }
    const uint32_t values[7] = {ip, cs, flags, ss, sp, ds, fuzz_one_in(fuzz, 8) && !real ? 0 : ds};
    for (unsigned i = 0; i < 7; i++)
        guest_setting(guest, 0x600 + number * 32 + 4 * i, values[i]);
}

static inline void guest_settings(struct guest *guest)
{
    struct fuzz *fuzz = &guest->fuzz;
    bool is_long = guest->mode == GUEST_LONG, real = guest->mode == GUEST_REAL;
    uint32_t gdt = fuzz_one_in(fuzz, 2) ? 0xe0000 : IMAGE, idt = fuzz_one_in(fuzz, 2) ? 0xe0000 : IMAGE;
    uint32_t cr4 = 0x600 | (guest->mode >= GUEST_PAE ? 0x20 : 0), efer = 0, cr0 = 0x11;
    if (guest->mode >= GUEST_LEGACY) {
        cr0 |= 0x80000000u;
        cr4 |= guest->mode == GUEST_LEGACY ? 0x10 : 0;
        cr0 |= fuzz_one_in(fuzz, 2) ? 0x10000 : 0; /* WP */
        cr4 |= fuzz_one_in(fuzz, 2) ? 0x80 : 0;    /* PGE */
        cr4 |= fuzz_one_in(fuzz, 2) ? 0x40000 : 0; /* OSXSAVE */
        efer |= fuzz_one_in(fuzz, 2) ? 0x800 : 0;
        efer |= is_long ? 0x101 : 0;
    }
    cr0 |= fuzz_one_in(fuzz, 4) ? 0x20 : 0;    /* NE */
    cr0 |= fuzz_one_in(fuzz, 8) ? 0x40000 : 0; /* AM */
    guest_setting(guest, 0x00, real ? 0 : is_long ? 2 : 1);
    guest_setting(guest, 0x04, IMAGE_BYTES / 4);
    guest_setting(guest, 0x08, (fuzz_one_in(fuzz, 8) ? 0 : 1) | (fuzz_one_in(fuzz, 3) ? 0 : 2));
    uint64_t ns = (500 + fuzz_below(fuzz, 30000)) * guest->description.ns_per_instruction;
    uint64_t count = fuzz_one_in(fuzz, 20) ? 2 : ns / 838 + 2; /* periods of the 8254's clock */
    guest_setting(guest, 0x0c, count < 0xffff ? (uint32_t)count : 0);
    guest_setting(guest, 0x10, cr0);
    guest_setting(guest, 0x14, guest->mode >= GUEST_LEGACY ? guest->tables : 0);
    guest_setting(guest, 0x18, cr4);
    guest_setting(guest, 0x1c, efer);
    guest_put(guest, SETTINGS + 0x20, 0x3ff | (uint64_t)(gdt + IMAGE_GDT) << 16, 6);
    guest_put(guest, SETTINGS + 0x28,
              (real ? 0x3ff : is_long ? 0xfff : 0x7ff) | (uint64_t)(idt + IMAGE_IDT) << 16, 6);
    guest_setting(guest, 0x30, SELECT_TSS);
    guest_setting(guest, 0x34, SELECT_LDT);
    guest_setting(guest, 0x38, SELECT_DATA);
    guest_setting(guest, 0x3c, is_long ? SELECT_CODE64 : SELECT_CODE32);
    guest_setting(guest, 0x40, 0x7d00);
    guest_kinds(guest);
    struct code code = {.fuzz = fuzz};
    for (unsigned i = 0; i < 128; i++)
        guest_setting(guest, 0x200 + 4 * i,
                      fuzz_one_in(fuzz, 3) ? (uint32_t)fuzz_value(fuzz) : code_address(&code));
    if (is_long) /* whole addresses, most of them in the lower half */
        for (unsigned i = 1; i < 128; i += 2)
            guest_setting(guest, 0x200 + 4 * i, fuzz_one_in(fuzz, 4) ? 0xffffff80u : 0);
    for (unsigned i = 0; i < 32; i++)
        guest_entry(guest, i);
}

static inline void guest_code(struct guest *guest)
{
    struct code code = {.fuzz = &guest->fuzz, .decoder = &guest->decoder};
    for (unsigned third = 0; third < 3; third++) {
        code.bits = guest_code_bits(guest, third);
        code.bytes = guest->rom + 0x10000;
        code.linear = 0xf0000;
        code_fill(&code, third * (GUEST_CODE_BYTES / 3), (third + 1) * (GUEST_CODE_BYTES / 3));
    }
    code.bits = guest_code_bits(guest, 0);
    code.bytes = guest->rom;
    code.linear = IMAGE;
    code_fill(&code, IMAGE_CODE, IMAGE_BYTES);
    if (guest->mode == GUEST_LONG)
        for (unsigned i = 0; i < ARRAY_SIZE(guest_tops); i++)
            memcpy(guest->rom + IMAGE_TOP + guest_tops[i], guest->rom + guest_tops[i], 8);
}

/* ---- the machine ---- */

static inline int guest_file(struct guest *guest, const char *name, const uint8_t *bytes, uint64_t size)
{
    struct description *d = &guest->description;
    struct description_file *file = &d->files[d->file_count];
    snprintf(file->name, sizeof file->name, "%s", name);
    snprintf(file->path, sizeof file->path, "%s", name);
    file->bytes = bytes;
    file->size = size;
    return (int)d->file_count++;
}

static inline void guest_describe(struct guest *guest)
{
    static const uint32_t quanta[] = {1, 2, 7, 50, 333, 1000, 50000};
    static const uint32_t rates[] = {1, 1, 1, 2, 7, 100, 1000, 1000000};
    struct fuzz *fuzz = &guest->fuzz;
    struct description *d = &guest->description;
    description_init(d);
    d->memory_bytes = 2u << 20;
    d->cpus = 1 + fuzz_below(fuzz, 3);
    d->quantum = FUZZ_PICK(fuzz, quanta);
    d->ns_per_instruction = FUZZ_PICK(fuzz, rates);
    d->seed = fuzz_next(fuzz);
    d->no_reboot = fuzz_one_in(fuzz, 2);
    d->debug_exits[0] = (struct description_debug_exit){0x501, 1 + fuzz_below(fuzz, 4)};
    d->debugcons[0] = 0x402;
    d->serials = fuzz_below(fuzz, 16);
    if (fuzz_one_in(fuzz, 2))
        snprintf(d->cpu, sizeof d->cpu, "max");
    d->bios = guest_file(guest, "bios", guest->rom, GUEST_ROM_BYTES);
    fuzz_fill(fuzz, guest->disk, sizeof guest->disk);
    fuzz_fill(fuzz, guest->cd, sizeof guest->cd);
    unsigned disk = fuzz_below(fuzz, 2), cd = 2 + fuzz_below(fuzz, 2);
    d->drives[disk] = (struct description_drive){
        DRIVE_DISK, guest_file(guest, "drive0", guest->disk, 1 + fuzz_below(fuzz, GUEST_DISK_MOST))};
    d->drives[cd] = (struct description_drive){
        DRIVE_CDROM, fuzz_one_in(fuzz, 4)
                         ? -1
                         : guest_file(guest, "cdrom", guest->cd, 1 + fuzz_below(fuzz, GUEST_DISK_MOST))};
    d->fw_cfg_count = 1;
    snprintf(d->fw_cfg[0].name, sizeof d->fw_cfg[0].name, "opt/fuzz");
    d->fw_cfg[0].file = guest_file(guest, "fw_cfg", guest->item, sizeof guest->item);
}

/* The guest of a seed. Freed with free(). */
static inline struct guest *guest_create(uint64_t seed)
{
    struct guest *guest = calloc(1, sizeof *guest);
    struct error error = {""};
    if (!guest)
        fuzz_fail("no memory");
    guest->fuzz.state = seed * 0x2545f4914f6cdd1dull;
    guest->mode = (enum guest_mode)(seed % GUEST_MODES);
    guest->tables = fuzz_one_in(&guest->fuzz, 3) ? 0xe0000 : IMAGE;
    guest_describe(guest);
    if (cpu_model_parse(&guest->model, guest->description.cpu, guest->description.cpus, &error) < 0)
        fuzz_fail("%s", error.text);
    decoder_init(&guest->decoder, &guest->model);
    memcpy(guest->rom + GUEST_ROM_BYTES - GUEST_PRELUDE_BYTES, fuzz_prelude, GUEST_PRELUDE_BYTES);
    if (guest->mode >= GUEST_LEGACY)
        guest_tables(guest);
    guest_descriptors(guest);
    guest_idt(guest);
    guest_settings(guest);
    guest_code(guest);
    return guest;
}

#endif
