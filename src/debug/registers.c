/* Registers as gdb sees them; see registers.h. */
#include "debug/registers.h"

#include <stdarg.h>
#include <stdio.h>

enum kind {
    KIND_GPR, KIND_PC, KIND_FLAGS, KIND_SELECTOR, KIND_ST, KIND_FCTRL, KIND_FSTAT, KIND_FTAG, KIND_FISEG,
    KIND_FIOFF, KIND_FOSEG, KIND_FOOFF, KIND_FOP, KIND_XMM, KIND_MXCSR, KIND_BASE,
    KIND_KERNEL_GS_BASE, KIND_CR0, KIND_CR2, KIND_CR3, KIND_CR4, KIND_EFER, KIND_TABLE_BASE, KIND_TABLE_LIMIT,
};

enum feature { FEATURES_CORE, FEATURES_SSE, FEATURES_SEGMENTS, FEATURES_SYSTEM, FEATURES_COUNT };

static const char *const feature_names[FEATURES_COUNT] = {
    "org.gnu.gdb.i386.core", "org.gnu.gdb.i386.sse", "org.gnu.gdb.i386.segments",
    "groundhog.x86.system",
};

struct row {
    const char *name, *type;
    uint8_t feature, bytes, kind, number;
};

#define ROW(feature, name, bits, type, kind, number) \
    { name, type, FEATURES_##feature, (bits) / 8, KIND_##kind, number },
#define NONE(feature, name, bits, type, kind, number)

static const struct row rows_64[] = {
#define BOTH ROW
#define WIDE ROW
#define NARROW NONE
#include "debug/registers.def"
#undef WIDE
#undef NARROW
};

static const struct row rows_32[] = {
#define WIDE NONE
#define NARROW ROW
#include "debug/registers.def"
};

static const struct row *rows_of(enum registers_set set)
{
    return set == REGISTERS_64 ? rows_64 : rows_32;
}

unsigned registers_count(enum registers_set set)
{
    return set == REGISTERS_64 ? ARRAY_SIZE(rows_64) : ARRAY_SIZE(rows_32);
}

unsigned registers_size(enum registers_set set, uint64_t number)
{
    return number < registers_count(set) ? rows_of(set)[number].bytes : 0;
}

/* The physical x87 register behind ST(i). */
static unsigned physical(const struct cpu *cpu, unsigned i)
{
    return ((cpu->s.fsw >> 11 & 7) + i) & 7;
}

uint64_t registers_pc(const struct cpu *cpu)
{
    return (cpu->access[CS].base + cpu->s.gpr[RIP]) & cpu->rip_mask;
}

static const struct descriptor_table *table(const struct cpu_state *s, unsigned number)
{
    return number ? &s->idtr : &s->gdtr;
}

static uint64_t read_integer(const struct cpu *cpu, const struct row *row)
{
    const struct cpu_state *s = &cpu->s;
    switch (row->kind) {
    case KIND_PC: return registers_pc(cpu);
    case KIND_TABLE_BASE: return table(s, row->number)->base;
    case KIND_TABLE_LIMIT: return table(s, row->number)->limit;
    case KIND_GPR: return s->gpr[row->number];
    case KIND_FLAGS: return s->rflags;
    case KIND_SELECTOR: return s->seg[row->number].selector;
    case KIND_FCTRL: return s->fcw;
    case KIND_FSTAT: return s->fsw;
    case KIND_FTAG: return s->ftw;
    case KIND_FISEG: case KIND_FOSEG: return 0;
    case KIND_FIOFF: return s->fip;
    case KIND_FOOFF: return s->fdp;
    case KIND_FOP: return s->fop;
    case KIND_MXCSR: return s->mxcsr;
    case KIND_BASE: return s->seg[row->number].base;
    case KIND_KERNEL_GS_BASE: return s->kernel_gs_base;
    case KIND_CR0: return s->cr0;
    case KIND_CR2: return s->cr2;
    case KIND_CR3: return s->cr3;
    case KIND_CR4: return s->cr4;
    default: return s->efer;
    }
}

void registers_read(const struct cpu *cpu, enum registers_set set, unsigned number, uint8_t *bytes)
{
    const struct row *row = &rows_of(set)[number];
    memset(bytes, 0, row->bytes);
    if (row->kind == KIND_ST) {
        const struct x87_register *st = &cpu->s.x87[physical(cpu, row->number)];
        store64(bytes, st->significand);
        store16(bytes + 8, st->sign_exponent);
    } else if (row->kind == KIND_XMM) {
        memcpy(bytes, cpu->s.vector[row->number], 16);
    } else {
        uint64_t value = read_integer(cpu, row);
        memcpy(bytes, &value, row->bytes);
    }
}

int registers_write(struct cpu *cpu, enum registers_set set, unsigned number, const uint8_t *bytes)
{
    if (number >= registers_count(set))
        return -1;
    const struct row *row = &rows_of(set)[number];
    uint64_t value = 0;
    memcpy(&value, bytes, row->bytes < 8 ? row->bytes : 8);
    switch (row->kind) {
    case KIND_GPR: cpu->s.gpr[row->number] = value; break;
    case KIND_PC: cpu->s.gpr[RIP] = (value - cpu->access[CS].base) & cpu->rip_mask; break;
    case KIND_FLAGS: cpu->s.rflags = (cpu->s.rflags & ~0x3f7fd7ull) | (value & 0x3f7fd7) | FLAG_1; break;
    case KIND_ST:
        cpu->s.x87[physical(cpu, row->number)].significand = value;
        cpu->s.x87[physical(cpu, row->number)].sign_exponent = load16(bytes + 8);
        break;
    case KIND_XMM: memcpy(cpu->s.vector[row->number], bytes, 16); break;
    case KIND_FCTRL: cpu->s.fcw = (uint16_t)value; break;
    case KIND_FSTAT: cpu->s.fsw = (uint16_t)value; break;
    case KIND_FTAG: cpu->s.ftw = (uint16_t)value; break;
    case KIND_MXCSR: cpu->s.mxcsr = (uint32_t)value & 0xffff; break;
    case KIND_BASE:
        if (row->number != FS && row->number != GS)
            return -1;
        cpu->s.seg[row->number].base = value;
        break;
    case KIND_KERNEL_GS_BASE: cpu->s.kernel_gs_base = value; break;
    case KIND_CR2: cpu->s.cr2 = value; break;
    default: return -1;
    }
    cpu_restored(cpu);
    return 0;
}

struct text {
    char *at;
    unsigned size, length;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(text->at + text->length, text->size - text->length, format, arguments);
    va_end(arguments);
    if (wrote > 0)
        text->length += (unsigned)wrote;
    if (text->length >= text->size)
        text->length = text->size - 1;
}

/* A type of named single bits; NULL: none there. */
static void put_flags(struct text *text, const char *id, const char *const *names, unsigned bits)
{
    put(text, "<flags id=\"%s\" size=\"4\">", id);
    for (unsigned bit = 0; bit < bits; bit++)
        if (names[bit])
            put(text, "<field name=\"%s\" start=\"%u\" end=\"%u\"/>", names[bit], bit, bit);
    put(text, "</flags>");
}

/* The types that the rows name and gdb does not know by itself. */
static void put_types(struct text *text, enum feature feature)
{
    static const char *const eflags[]
        = { "CF", "", "PF", NULL, "AF", NULL, "ZF", "SF", "TF", "IF", "DF", "OF", NULL, NULL, "NT", NULL,
            "RF", "VM", "AC", "VIF", "VIP", "ID" };
    static const char *const mxcsr[]
        = { "IE", "DE", "ZE", "OE", "UE", "PE", "DAZ", "IM", "DM", "ZM", "OM", "UM", "PM", NULL, NULL, "FZ" };
    if (feature == FEATURES_CORE)
        put_flags(text, "i386_eflags", eflags, ARRAY_SIZE(eflags));
    if (feature != FEATURES_SSE)
        return;
    put(text, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
              "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
              "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
              "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
              "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
              "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
              "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
              "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
              "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
              "<field name=\"v2_int64\" type=\"v2i64\"/>"
              "<field name=\"uint128\" type=\"uint128\"/></union>");
    put_flags(text, "i386_mxcsr", mxcsr, ARRAY_SIZE(mxcsr));
}

unsigned registers_description(enum registers_set set, char *buffer, unsigned size)
{
    struct text text = { buffer, size, 0 };
    put(&text, "<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
               "<architecture>%s</architecture>", set == REGISTERS_64 ? "i386:x86-64" : "i8086");
    for (unsigned feature = 0; feature < FEATURES_COUNT; feature++) {
        if (set == REGISTERS_32 && feature == FEATURES_SEGMENTS)
            continue;
        put(&text, "<feature name=\"%s\">", feature_names[feature]);
        put_types(&text, feature);
        for (unsigned i = 0; i < registers_count(set); i++) {
            const struct row *row = &rows_of(set)[i];
            if (row->feature == feature)
                put(&text, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\" regnum=\"%u\"/>",
                    row->name, 8u * row->bytes, row->type, i);
        }
        put(&text, "</feature>");
    }
    put(&text, "</target>");
    return text.length;
}
