/*
 * System management mode: SMI entry and RSM, with the 64-bit state save map.
 * (AMD64 manual vol. 2, chapter 10; SDM vol. 3, chapter 31)
 *
 * Not modelled: SMRAM as seen by this vCPU alone (the chipset's map is shared),
 * I/O and HLT restart, SMM_MONITOR, what the map holds for virtualisation.
 */
#include "cpu/segment.h"
#include "cpu/system.h"

/* Offsets in the map, from SMBASE + FE00h. */
#define MAP_START 0xfe00u
#define MAP_BYTES 0x200u
enum map_offset {
    MAP_SEGMENTS = 0x000, /* 16 bytes each: selector, attributes, limit, base */
    MAP_GDTR = 0x060, MAP_LDTR = 0x070, MAP_IDTR = 0x080, MAP_TR = 0x090, MAP_CPL = 0x0cb,
    MAP_EFER = 0x0d0, MAP_REVISION = 0x0fc, MAP_SMBASE = 0x100, MAP_CR4 = 0x148, MAP_CR3 = 0x150,
    MAP_CR0 = 0x158, MAP_DR7 = 0x160, MAP_DR6 = 0x168, MAP_RFLAGS = 0x170, MAP_RIP = 0x178,
    MAP_R15 = 0x180, /* then down to R8 */
    MAP_RDI = 0x1c0, MAP_RSI = 0x1c8, MAP_RBP = 0x1d0, MAP_RSP = 0x1d8, MAP_RBX = 0x1e0,
    MAP_RDX = 0x1e8, MAP_RCX = 0x1f0, MAP_RAX = 0x1f8,
};
#define REVISION 0x00020064u /* SMBASE relocation, 64-bit map */
#define ENTRY_RIP 0x8000u

static const struct { uint16_t offset; uint8_t reg; } registers[] = {
    { MAP_RAX, RAX }, { MAP_RCX, RCX }, { MAP_RDX, RDX }, { MAP_RBX, RBX }, { MAP_RSP, RSP },
    { MAP_RBP, RBP }, { MAP_RSI, RSI }, { MAP_RDI, RDI }, { MAP_R15, R15 },
    { MAP_R15 + 8, R14 }, { MAP_R15 + 16, R13 }, { MAP_R15 + 24, R12 }, { MAP_R15 + 32, R11 },
    { MAP_R15 + 40, R10 }, { MAP_R15 + 48, R9 }, { MAP_R15 + 56, R8 }, { MAP_RIP, RIP },
};

/* Attributes are 12 bits wide in the map: the descriptor's without the gap. */
static void save_segment(uint8_t *map, const struct segment *segment)
{
    store16(map, segment->selector);
    store16(map + 2, (uint16_t)((segment->attributes & 0xff) | (segment->attributes >> 4 & 0xf00)));
    store32(map + 4, segment->limit);
    store64(map + 8, segment->base);
}

static void load_segment(const uint8_t *map, struct segment *segment)
{
    uint16_t attributes = load16(map + 2);

    segment->selector = load16(map);
    segment->attributes = (uint16_t)((attributes & 0xff) | (attributes & 0xf00) << 4);
    segment->limit = load32(map + 4);
    segment->base = load64(map + 8);
}

static void save_state(struct cpu *cpu, uint8_t *map)
{
    const struct cpu_state *s = &cpu->s;

    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        save_segment(map + MAP_SEGMENTS + 16 * i, &s->seg[i]);
    save_segment(map + MAP_LDTR, &s->ldtr);
    save_segment(map + MAP_TR, &s->tr);
    store32(map + MAP_GDTR + 4, s->gdtr.limit);
    store64(map + MAP_GDTR + 8, s->gdtr.base);
    store32(map + MAP_IDTR + 4, s->idtr.limit);
    store64(map + MAP_IDTR + 8, s->idtr.base);
    map[MAP_CPL] = s->cpl;
    store64(map + MAP_EFER, s->efer);
    store32(map + MAP_REVISION, REVISION);
    store32(map + MAP_SMBASE, (uint32_t)s->smbase);
    store64(map + MAP_CR4, s->cr4);
    store64(map + MAP_CR3, s->cr3);
    store64(map + MAP_CR0, s->cr0);
    store64(map + MAP_DR7, s->dr[7]);
    store64(map + MAP_DR6, s->dr[6]);
    store64(map + MAP_RFLAGS, flags_to_rflags(cpu));
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
        store64(map + registers[i].offset, s->gpr[registers[i].reg]);
}

void cpu_enter_smm(struct cpu *cpu)
{
    struct cpu_state *s = &cpu->s;
    uint8_t map[MAP_BYTES];
    const uint16_t data = SEGMENT_P | SEGMENT_S | SEGMENT_WRITABLE | SEGMENT_ACCESSED | SEGMENT_G;

    physmem_read(cpu->memory, s->smbase + MAP_START, map, sizeof map);
    save_state(cpu, map);
    physmem_write(cpu->memory, s->smbase + MAP_START, map, sizeof map);

    s->smi_pending = 0;
    s->smm = s->nmi_blocked ? 2 : 1; /* 2: NMIs were blocked before */
    s->nmi_blocked = 1;
    s->shadow_sti = s->shadow_mov_ss = 0;
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
    cpu_refetch(cpu);
}

/* Whether control registers of the map go together. */
static bool is_valid(const uint8_t *map)
{
    uint64_t cr0 = load64(map + MAP_CR0), cr4 = load64(map + MAP_CR4);
    uint64_t efer = load64(map + MAP_EFER), rflags = load64(map + MAP_RFLAGS);
    bool long_mode = efer & EFER_LMA;

    if (cr0 >> 32 || ((cr0 & CR0_PG) && !(cr0 & CR0_PE)) || ((cr0 & CR0_NW) && !(cr0 & CR0_CD)))
        return false;
    if (long_mode != ((cr0 & CR0_PG) && (efer & EFER_LME)))
        return false;
    return !long_mode || ((cr4 & CR4_PAE) && !(rflags & FLAG_VM));
}

/* The control registers, by the checks of their writes: mode bits in an order
 * in which none forbids the next. */
static int load_control(struct cpu *cpu, const uint8_t *map)
{
    struct cpu_state *s = &cpu->s;
    uint64_t cr3 = load64(map + MAP_CR3), cr4 = load64(map + MAP_CR4);

    if (!is_valid(map) || cr3 >> cpu->model->physical_bits)
        return CPU_FAULT;
    s->cr0 &= ~CR0_PG;
    s->efer = 0;
    s->cr3 = cr3;
    TRY_FAULT(control_write_cr4(cpu, cr4 & ~CR4_PCIDE));
    TRY_FAULT(control_write_efer(cpu, load64(map + MAP_EFER)));
    s->tr.attributes = SEGMENT_P | TYPE_TSS32_BUSY;
    s->seg[CS].attributes &= (uint16_t)~SEGMENT_L;
    TRY_FAULT(control_write_cr0(cpu, load64(map + MAP_CR0)));
    return control_write_cr4(cpu, cr4);
}

static void load_state(struct cpu *cpu, const uint8_t *map)
{
    struct cpu_state *s = &cpu->s;

    for (unsigned i = 0; i < SEGMENT_COUNT; i++)
        load_segment(map + MAP_SEGMENTS + 16 * i, &s->seg[i]);
    load_segment(map + MAP_LDTR, &s->ldtr);
    load_segment(map + MAP_TR, &s->tr);
    s->gdtr.limit = load32(map + MAP_GDTR + 4) & 0xffff;
    s->gdtr.base = load64(map + MAP_GDTR + 8);
    s->idtr.limit = load32(map + MAP_IDTR + 4) & 0xffff;
    s->idtr.base = load64(map + MAP_IDTR + 8);
    s->smbase = load32(map + MAP_SMBASE);
    s->dr[6] = (load64(map + MAP_DR6) & 0xe00f) | 0xffff0ff0;
    s->dr[7] = (load64(map + MAP_DR7) & 0xffff23ff) | 0x400;
    for (unsigned i = 0; i < ARRAY_SIZE(registers); i++)
        s->gpr[registers[i].reg] = load64(map + registers[i].offset);
    flags_from_rflags(cpu, load64(map + MAP_RFLAGS) & 0x3f7fd7);
    if (!(s->cr0 & CR0_PE))
        s->rflags &= ~FLAG_VM;
    if (cpu_v86(cpu))
        s->cpl = 3;
    else
        s->cpl = s->cr0 & CR0_PE ? map[MAP_CPL] & 3 : 0;
}

int exec_rsm(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_state *s = &cpu->s;
    uint8_t map[MAP_BYTES];

    (void)insn;
    if (!s->smm)
        return cpu_raise(cpu, VECTOR_UD);
    physmem_read(cpu->memory, s->smbase + MAP_START, map, sizeof map);
    if (load_control(cpu, map)) {
        s->activity = CPU_SHUTDOWN; /* SDM: a wrong map ends the processor */
        cpu_attention(cpu);
        return 0;
    }
    load_state(cpu, map);
    s->nmi_blocked = s->smm == 2;
    s->smm = 0;
    mmu_flush(cpu);
    cpu_update_mode(cpu);
    cpu_refetch(cpu);
    cpu_attention(cpu);
    return 0;
}
