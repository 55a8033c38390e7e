/*
 * System management mode: SMI entry and RSM, with the 64-bit state save map
 * of AMD64, or the 32-bit one where the model has no long mode.
 * (AMD64 manual vol. 2, chapter 10; SDM vol. 3, chapter 31)
 *
 * In SMM a vCPU sees memory as the chipset shows it there (mmu_read_page), so
 * that translations are dropped on entry and by RSM.
 *
 * Not modelled: SMM_MONITOR, what the map holds for virtualisation, the
 * breakpoint bits of the I/O trap word.
 */
#include "cpu/segment.h"
#include "cpu/system.h"

/* The map is the last 512 bytes of the 64 KiB from SMBASE. */
#define MAP_START 0xfe00u
#define MAP_BYTES 0x200u
#define ENTRY_RIP 0x8000u

/* I/O instruction restart, SMBASE relocation; 64h: the 64-bit map. */
#define REVISION_FEATURES 0x00030000u
#define REVISION_64 0x64u

/* What a map holds: the registers by their number, then these. */
enum map_value {
    VALUE_RFLAGS = RIP + 1, VALUE_CR0, VALUE_CR3, VALUE_CR4, VALUE_EFER, VALUE_DR6, VALUE_DR7,
    VALUE_SMBASE, VALUE_REVISION, VALUE_GDT_LIMIT, VALUE_GDT_BASE, VALUE_IDT_LIMIT,
    VALUE_IDT_BASE, VALUE_CPL, VALUE_IO_TRAP, VALUE_IO_RIP, VALUE_IO_RCX, VALUE_IO_RSI,
    VALUE_IO_RDI, VALUE_IO_RESTART, VALUE_HALT_RESTART,
    VALUE_COUNT
};

enum map_segment { MAP_LDTR = SEGMENT_COUNT, MAP_TR, MAP_SEGMENTS };

struct image {
    uint64_t value[VALUE_COUNT];
    struct segment segment[MAP_SEGMENTS];
};

/* Offset in the map and bytes; 0 bytes: the map does not hold it. */
struct place {
    uint16_t offset;
    uint8_t bytes;
};

struct layout {
    struct place value[VALUE_COUNT];
    /* A segment's parts. */
    struct { uint16_t selector, attributes, limit, base; } segment[MAP_SEGMENTS];
    uint8_t attributes_bytes, selector_bytes, base_bytes;
};

#define SEGMENT64(at) { at, at + 2, at + 4, at + 8 }
static const struct layout layout64 = {
    .value = {
        [RAX] = { 0x1f8, 8 }, [RCX] = { 0x1f0, 8 }, [RDX] = { 0x1e8, 8 }, [RBX] = { 0x1e0, 8 },
        [RSP] = { 0x1d8, 8 }, [RBP] = { 0x1d0, 8 }, [RSI] = { 0x1c8, 8 }, [RDI] = { 0x1c0, 8 },
        [R8] = { 0x1b8, 8 }, [R9] = { 0x1b0, 8 }, [R10] = { 0x1a8, 8 }, [R11] = { 0x1a0, 8 },
        [R12] = { 0x198, 8 }, [R13] = { 0x190, 8 }, [R14] = { 0x188, 8 }, [R15] = { 0x180, 8 },
        [RIP] = { 0x178, 8 }, [VALUE_RFLAGS] = { 0x170, 8 }, [VALUE_DR6] = { 0x168, 8 },
        [VALUE_DR7] = { 0x160, 8 }, [VALUE_CR0] = { 0x158, 8 }, [VALUE_CR3] = { 0x150, 8 },
        [VALUE_CR4] = { 0x148, 8 }, [VALUE_SMBASE] = { 0x100, 4 }, [VALUE_REVISION] = { 0x0fc, 4 },
        [VALUE_EFER] = { 0x0d0, 8 }, [VALUE_CPL] = { 0x0cb, 1 }, [VALUE_HALT_RESTART] = { 0x0c9, 1 },
        [VALUE_IO_RESTART] = { 0x0c8, 1 }, [VALUE_IO_TRAP] = { 0x0c0, 4 },
        [VALUE_IO_RDI] = { 0x0b8, 8 }, [VALUE_IO_RSI] = { 0x0b0, 8 }, [VALUE_IO_RCX] = { 0x0a8, 8 },
        [VALUE_IO_RIP] = { 0x0a0, 8 }, [VALUE_IDT_BASE] = { 0x088, 8 },
        [VALUE_IDT_LIMIT] = { 0x084, 4 }, [VALUE_GDT_BASE] = { 0x068, 8 },
        [VALUE_GDT_LIMIT] = { 0x064, 4 },
    },
    .segment = {
        [ES] = SEGMENT64(0x000), [CS] = SEGMENT64(0x010), [SS] = SEGMENT64(0x020),
        [DS] = SEGMENT64(0x030), [FS] = SEGMENT64(0x040), [GS] = SEGMENT64(0x050),
        [MAP_LDTR] = SEGMENT64(0x070), [MAP_TR] = SEGMENT64(0x090),
    },
    .attributes_bytes = 2, .selector_bytes = 2, .base_bytes = 8,
};

#define SEGMENT32(selector, at) { selector, at, at + 4, at + 8 }
static const struct layout layout32 = {
    .value = {
        [VALUE_CR0] = { 0x1fc, 4 }, [VALUE_CR3] = { 0x1f8, 4 }, [VALUE_RFLAGS] = { 0x1f4, 4 },
        [RIP] = { 0x1f0, 4 }, [RDI] = { 0x1ec, 4 }, [RSI] = { 0x1e8, 4 }, [RBP] = { 0x1e4, 4 },
        [RSP] = { 0x1e0, 4 }, [RBX] = { 0x1dc, 4 }, [RDX] = { 0x1d8, 4 }, [RCX] = { 0x1d4, 4 },
        [RAX] = { 0x1d0, 4 }, [VALUE_DR6] = { 0x1cc, 4 }, [VALUE_DR7] = { 0x1c8, 4 },
        [VALUE_GDT_BASE] = { 0x174, 4 }, [VALUE_GDT_LIMIT] = { 0x170, 4 },
        [VALUE_IDT_BASE] = { 0x158, 4 }, [VALUE_IDT_LIMIT] = { 0x154, 4 },
        [VALUE_CR4] = { 0x114, 4 }, [VALUE_IO_RIP] = { 0x110, 4 }, [VALUE_IO_RSI] = { 0x10c, 4 },
        [VALUE_IO_RCX] = { 0x108, 4 }, [VALUE_IO_RDI] = { 0x104, 4 },
        [VALUE_HALT_RESTART] = { 0x102, 2 }, [VALUE_IO_RESTART] = { 0x100, 2 },
        [VALUE_REVISION] = { 0x0fc, 4 }, [VALUE_SMBASE] = { 0x0f8, 4 },
    },
    .segment = {
        [ES] = SEGMENT32(0x1a8, 0x184), [CS] = SEGMENT32(0x1ac, 0x190),
        [SS] = SEGMENT32(0x1b0, 0x19c), [DS] = SEGMENT32(0x1b4, 0x12c),
        [FS] = SEGMENT32(0x1b8, 0x138), [GS] = SEGMENT32(0x1bc, 0x144),
        [MAP_LDTR] = SEGMENT32(0x1c0, 0x178), [MAP_TR] = SEGMENT32(0x1c4, 0x15c),
    },
    .attributes_bytes = 4, .selector_bytes = 4, .base_bytes = 4,
};

static const struct layout *layout_of(const struct cpu *cpu)
{
    return cpu_has(cpu, FEATURE_LM) ? &layout64 : &layout32;
}

static void put(uint8_t *map, unsigned offset, unsigned bytes, uint64_t value)
{
    for (unsigned i = 0; i < bytes; i++)
        map[offset + i] = (uint8_t)(value >> 8 * i);
}

static uint64_t get(const uint8_t *map, unsigned offset, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)map[offset + i] << 8 * i;
    return value;
}

static void encode(const struct layout *layout, const struct image *image, uint8_t *map)
{
    for (unsigned i = 0; i < VALUE_COUNT; i++)
        put(map, layout->value[i].offset, layout->value[i].bytes, image->value[i]);
    for (unsigned i = 0; i < MAP_SEGMENTS; i++) {
        const struct segment *segment = &image->segment[i];
        put(map, layout->segment[i].selector, layout->selector_bytes, segment->selector);
        put(map, layout->segment[i].attributes, layout->attributes_bytes, segment->attributes);
        put(map, layout->segment[i].limit, 4, segment->limit);
        put(map, layout->segment[i].base, layout->base_bytes, segment->base);
    }
}

static void decode_map(const struct layout *layout, const uint8_t *map, struct image *image)
{
    for (unsigned i = 0; i < VALUE_COUNT; i++)
        image->value[i] = get(map, layout->value[i].offset, layout->value[i].bytes);
    for (unsigned i = 0; i < MAP_SEGMENTS; i++) {
        struct segment *segment = &image->segment[i];
        segment->selector = (uint16_t)get(map, layout->segment[i].selector, 2);
        segment->attributes = (uint16_t)get(map, layout->segment[i].attributes, 2) & 0xf0ff;
        segment->limit = (uint32_t)get(map, layout->segment[i].limit, 4);
        segment->base = get(map, layout->segment[i].base, layout->base_bytes);
    }
    if (!layout->value[VALUE_CPL].bytes)
        image->value[VALUE_CPL] = image->segment[SS].attributes >> SEGMENT_DPL_SHIFT;
}

/* The map in memory, as SMM sees that; it may lie across two pages. */
static void access_map(struct cpu *cpu, uint8_t *map, bool write)
{
    for (uint32_t done = 0, part; done < MAP_BYTES; done += part) {
        uint64_t address = (cpu->s.smbase + MAP_START + done) & 0xffffffff;
        uint32_t offset = address & PAGE_MASK;
        part = PAGE_BYTES - offset < MAP_BYTES - done ? PAGE_BYTES - offset : MAP_BYTES - done;
        uint32_t page = write ? mmu_write_page(cpu, address) : mmu_read_page(cpu, address);
        if (page >= PHYSMEM_DISCARD) {
            if (!write)
                memset(map + done, 0xff, part);
        } else if (write) {
            physmem_store(cpu->memory, page, offset, map + done, part);
        } else {
            memcpy(map + done, physmem_host(cpu->memory, page) + offset, part);
        }
    }
}

/* The instruction whose port access brings the SMI about, for its restart:
 * AMD's trap word, and above it what its registers were before it. */
#define TRAP_IN 0x01u
#define TRAP_VALID 0x02u
#define TRAP_STRING 0x04u
#define TRAP_REP 0x08u
#define TRAP_BYTES_SHIFT 4 /* then one bit each for 1, 2 and 4 bytes */
#define TRAP_PORT_SHIFT 16
#define IO_LENGTH_SHIFT 32
#define IO_ADDRESS_SHIFT 36 /* insn->address_shift */

uint64_t cpu_smi_cause(const struct cpu *cpu, uint16_t port, unsigned bytes, bool in)
{
    const struct insn *insn = cpu->current;
    if (!insn)
        return 0;
    uint64_t cause = (uint64_t)port << TRAP_PORT_SHIFT | bytes << TRAP_BYTES_SHIFT | TRAP_VALID
                     | (in ? TRAP_IN : 0) | (uint64_t)insn->length << IO_LENGTH_SHIFT;
    if (insn->attributes & STRING) {
        cause |= TRAP_STRING | (insn->prefixes & (PREFIX_REP | PREFIX_REPNE) ? TRAP_REP : 0);
        cause |= (uint64_t)insn->address_shift << IO_ADDRESS_SHIFT;
    }
    return cause;
}

static void save_cause(const struct cpu *cpu, uint64_t *value)
{
    const struct cpu_state *s = &cpu->s;
    uint64_t cause = s->smi_cause;
    uint64_t mask = ~0ull >> (cause >> IO_ADDRESS_SHIFT & 63);
    uint64_t step = cause >> TRAP_BYTES_SHIFT & 7;

    value[VALUE_IO_TRAP] = (uint32_t)cause;
    if (!cause)
        return;
    bool goes_on = cause & TRAP_REP && s->gpr[RCX] & mask; /* RIP is still at it */
    value[VALUE_IO_RIP] = s->gpr[RIP] - (goes_on ? 0 : cause >> IO_LENGTH_SHIFT & 15);
    value[VALUE_IO_RCX] = s->gpr[RCX];
    value[VALUE_IO_RSI] = s->gpr[RSI];
    value[VALUE_IO_RDI] = s->gpr[RDI];
    if (cause & TRAP_REP)
        value[VALUE_IO_RCX] = (s->gpr[RCX] & ~mask) | ((s->gpr[RCX] + 1) & mask);
    if (cause & TRAP_STRING) {
        unsigned moved = cause & TRAP_IN ? RDI : RSI;
        uint64_t before = s->gpr[moved] - (s->rflags & FLAG_DF ? 0 - step : step);
        value[cause & TRAP_IN ? VALUE_IO_RDI : VALUE_IO_RSI] =
            (s->gpr[moved] & ~mask) | (before & mask);
    }
}

static void save_state(const struct cpu *cpu, const struct layout *layout, struct image *image)
{
    const struct cpu_state *s = &cpu->s;
    uint64_t *value = image->value;

    memset(image, 0, sizeof *image);
    memcpy(value, s->gpr, (RIP + 1) * sizeof *value);
    memcpy(image->segment, s->seg, sizeof s->seg);
    image->segment[MAP_LDTR] = s->ldtr;
    image->segment[MAP_TR] = s->tr;
    value[VALUE_RFLAGS] = flags_to_rflags(cpu);
    value[VALUE_CR0] = s->cr0;
    value[VALUE_CR3] = s->cr3;
    value[VALUE_CR4] = s->cr4;
    value[VALUE_EFER] = s->efer;
    value[VALUE_DR6] = s->dr[6];
    value[VALUE_DR7] = s->dr[7];
    value[VALUE_SMBASE] = s->smbase;
    value[VALUE_REVISION] = REVISION_FEATURES | (layout == &layout64 ? REVISION_64 : 0);
    value[VALUE_GDT_LIMIT] = s->gdtr.limit;
    value[VALUE_GDT_BASE] = s->gdtr.base;
    value[VALUE_IDT_LIMIT] = s->idtr.limit;
    value[VALUE_IDT_BASE] = s->idtr.base;
    value[VALUE_CPL] = s->cpl;
    value[VALUE_HALT_RESTART] = s->activity == CPU_HALTED;
    save_cause(cpu, value);
}

void cpu_enter_smm(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    const struct layout *layout = layout_of(cpu);
    struct image image;
    uint8_t map[MAP_BYTES];
    const uint16_t data = SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED | SEGMENT_G;

    s->smm = s->nmi_blocked ? 2 : 1; /* 2: NMIs were blocked before */
    s->nmi_blocked = 1;
    save_state(cpu, layout, &image);
    access_map(cpu, map, false); /* what is reserved keeps what it holds */
    encode(layout, &image, map);
    access_map(cpu, map, true);

    s->smi_pending = 0;
    s->smi_cause = 0;
    s->activity = CPU_RUNNING;
    s->smm_debug = s->pending_debug; /* traps that wait are taken after RSM */
    s->pending_debug = 0;
    s->cr0 &= ~(CR0_PE | CR0_EM | CR0_TS | CR0_PG);
    s->cr4 = 0;
    s->efer = 0;
    s->dr[7] = 0x400;
    s->cpl = 0;
    flags_from_rflags(cpu, FLAG_1);
    s->gpr[RIP] = ENTRY_RIP;
    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        s->seg[i] = (struct segment){ 0, 0xffffffff, 0, data };
    s->seg[CS] = (struct segment){ s->smbase, 0xffffffff, (uint16_t)(s->smbase >> 4),
                                   data | SEGMENT_CODE };
    mmu_flush(cpu);
    cpu_update_mode(cpu);
}

/* Whether control registers of the map go together, beyond what is checked when they
 * are written. */
static bool is_valid(const struct image *image)
{
    uint64_t efer = image->value[VALUE_EFER];
    bool long_mode = efer & EFER_LMA;

    if (long_mode != ((image->value[VALUE_CR0] & CR0_PG) && (efer & EFER_LME)))
        return false;
    return !(long_mode ? image->value[VALUE_RFLAGS] & FLAG_VM : image->value[VALUE_CR4] & CR4_PCIDE);
}

/* The control registers, by the checks of their writes: mode bits in an order
 * in which none forbids the next. */
static int load_control(struct cpu *cpu, const struct image *image)
{
    struct cpu_state *s = &cpu->s;
    uint64_t cr3 = image->value[VALUE_CR3], cr4 = image->value[VALUE_CR4];

    if (!is_valid(image) || (cr3 & ~control_cr3_valid(cpu))
        || ((cr4 & CR4_PCIDE) && !cpu_has(cpu, FEATURE_PCID)))
        return CPU_FAULT;
    s->cr0 &= ~CR0_PG;
    s->efer = 0;
    s->cr3 = cr3;
    TRY_FAULT(control_write_cr4(cpu, cr4 & ~CR4_PCIDE));
    TRY_FAULT(control_write_efer(cpu, image->value[VALUE_EFER]));
    s->tr.attributes = SEGMENT_P | TYPE_TSS32_BUSY;
    s->seg[CS].attributes = 0;
    TRY_FAULT(control_write_cr0(cpu, image->value[VALUE_CR0]));
    s->cr4 = cr4; /* PCIDE, whatever PCID is in CR3 */
    return 0;
}

static void load_state(struct cpu *cpu, const struct image *image)
{
    struct cpu_state *s = &cpu->s;
    const uint64_t *value = image->value;

    memcpy(s->seg, image->segment, sizeof s->seg);
    s->ldtr = image->segment[MAP_LDTR];
    s->tr = image->segment[MAP_TR];
    s->gdtr.limit = (uint32_t)value[VALUE_GDT_LIMIT] & 0xffff;
    s->gdtr.base = value[VALUE_GDT_BASE];
    s->idtr.limit = (uint32_t)value[VALUE_IDT_LIMIT] & 0xffff;
    s->idtr.base = value[VALUE_IDT_BASE];
    s->smbase = value[VALUE_SMBASE];
    s->dr[6] = (value[VALUE_DR6] & 0xe00f) | 0xffff0ff0;
    s->dr[7] = (value[VALUE_DR7] & 0xffff23ff) | 0x400;
    memcpy(s->gpr, value, (RIP + 1) * sizeof *value);
    if ((value[VALUE_IO_RESTART] & 0xff) == 0xff) {
        s->gpr[RIP] = value[VALUE_IO_RIP];
        s->gpr[RCX] = value[VALUE_IO_RCX];
        s->gpr[RSI] = value[VALUE_IO_RSI];
        s->gpr[RDI] = value[VALUE_IO_RDI];
    }
    flags_from_rflags(cpu, value[VALUE_RFLAGS] & 0x3f7fd7);
    if (!(s->cr0 & CR0_PE))
        s->rflags &= ~FLAG_VM;
    if (cpu_v86(cpu))
        s->cpl = 3;
    else
        s->cpl = s->cr0 & CR0_PE ? value[VALUE_CPL] & 3 : 0;
    if (value[VALUE_HALT_RESTART] & 1)
        s->activity = CPU_HALTED;
}

int exec_rsm(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;
    struct image image;
    uint8_t map[MAP_BYTES];

    (void)insn;
    if (!s->smm)
        return cpu_raise(cpu, VECTOR_UD);
    access_map(cpu, map, false);
    decode_map(layout_of(cpu), map, &image);
    s->nmi_blocked = s->smm == 2;
    s->smm = 0;
    if (load_control(cpu, &image)) {
        s->activity = CPU_SHUTDOWN; /* SDM: a wrong map ends the processor */
        cpu_attention(cpu);
        return 0;
    }
    load_state(cpu, &image);
    s->pending_debug = s->smm_debug;
    s->smm_debug = 0;
    mmu_flush(cpu);
    cpu_update_mode(cpu);
    cpu_attention(cpu);
    return 0;
}
