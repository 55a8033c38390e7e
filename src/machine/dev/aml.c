/*
 * AML emitter; see aml.h. ACPI Specification 6.4, chapters 20.2 and 6.4.
 *
 * Not modelled: all terms that the tables of this board do not need.
 */
#include "machine/dev/aml.h"

#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define NAME_OP 0x08
#define BYTE_PREFIX 0x0a
#define WORD_PREFIX 0x0b
#define DWORD_PREFIX 0x0c
#define QWORD_PREFIX 0x0e
#define SCOPE_OP 0x10
#define BUFFER_OP 0x11
#define PACKAGE_OP 0x12
#define METHOD_OP 0x14
#define DUAL_NAME_PREFIX 0x2e
#define MULTI_NAME_PREFIX 0x2f
#define EXT_OP 0x5b
#define EXT_OP_REGION 0x80
#define EXT_FIELD 0x81
#define EXT_DEVICE 0x82
#define EXT_PROCESSOR 0x83
#define IF_OP 0xa0
#define REGION_PCI_CONFIG 0x02
#define FIELD_BYTE_ACCESS 0x01

#define PACKAGE_LENGTH_BYTES 3 /* always the form with two following bytes */

#define SPACE_FIXED 0x0c /* minimum and maximum fixed, positive decode */

void aml_init(struct aml *aml, uint8_t *bytes, uint32_t room)
{
    *aml = (struct aml){ .bytes = bytes, .room = room };
}

void aml_byte(struct aml *aml, uint8_t value)
{
    ASSERT(aml->size < aml->room);
    aml->bytes[aml->size++] = value;
}

void aml_raw(struct aml *aml, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        aml_byte(aml, value >> (8 * i) & 0xff);
}

static void name_segment(struct aml *aml, const char *segment, size_t length)
{
    ASSERT(length >= 1 && length <= 4);
    for (size_t i = 0; i < 4; i++)
        aml_byte(aml, i < length ? (uint8_t)segment[i] : '_');
}

void aml_path(struct aml *aml, const char *path)
{
    for (; *path == '\\' || *path == '^'; path++)
        aml_byte(aml, (uint8_t)*path);
    unsigned segments = *path ? 1 : 0;
    for (const char *p = path; *p; p++)
        segments += *p == '.';
    if (segments == 0) {
        aml_byte(aml, AML_ZERO);
    } else if (segments == 2) {
        aml_byte(aml, DUAL_NAME_PREFIX);
    } else if (segments > 2) {
        aml_byte(aml, MULTI_NAME_PREFIX);
        aml_byte(aml, (uint8_t)segments);
    }
    for (unsigned i = 0; i < segments; i++) {
        size_t length = strcspn(path, ".");
        name_segment(aml, path, length);
        path += length + 1;
    }
}

void aml_integer(struct aml *aml, uint64_t value)
{
    if (value <= 1) {
        aml_byte(aml, (uint8_t)value);
    } else if (value <= 0xff) {
        aml_byte(aml, BYTE_PREFIX);
        aml_raw(aml, value, 1);
    } else if (value <= 0xffff) {
        aml_byte(aml, WORD_PREFIX);
        aml_raw(aml, value, 2);
    } else if (value <= 0xffffffff) {
        aml_byte(aml, DWORD_PREFIX);
        aml_raw(aml, value, 4);
    } else {
        aml_byte(aml, QWORD_PREFIX);
        aml_raw(aml, value, 8);
    }
}

static unsigned hex_digit(char c)
{
    return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'A') + 10;
}

/* Three letters in five bits each and four hexadecimal digits, big-endian. */
void aml_eisa_id(struct aml *aml, const char *id)
{
    ASSERT(strlen(id) == 7);
    uint32_t value = 0;
    for (unsigned i = 0; i < 3; i++)
        value = value << 5 | ((uint32_t)id[i] & 0x1f);
    for (unsigned i = 3; i < 7; i++)
        value = value << 4 | hex_digit(id[i]);
    aml_byte(aml, DWORD_PREFIX);
    aml_raw(aml, __builtin_bswap32(value), 4);
}

void aml_name(struct aml *aml, const char *name)
{
    aml_byte(aml, NAME_OP);
    aml_path(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, uint64_t value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

void aml_name_eisa_id(struct aml *aml, const char *name, const char *id)
{
    aml_name(aml, name);
    aml_eisa_id(aml, id);
}

static void open_block(struct aml *aml)
{
    ASSERT(aml->depth < AML_DEPTH);
    aml->open[aml->depth++] = aml->size;
    aml_raw(aml, 0, PACKAGE_LENGTH_BYTES);
}

/* PkgLength counts itself: low nibble and byte count first (20.2.4). */
void aml_close(struct aml *aml)
{
    ASSERT(aml->depth > 0);
    uint32_t start = aml->open[--aml->depth];
    uint32_t length = aml->size - start;
    aml->bytes[start] = (uint8_t)((PACKAGE_LENGTH_BYTES - 1) << 6 | (length & 15));
    store16(&aml->bytes[start + 1], (uint16_t)(length >> 4));
}

void aml_open_scope(struct aml *aml, const char *path)
{
    aml_byte(aml, SCOPE_OP);
    open_block(aml);
    aml_path(aml, path);
}

void aml_open_device(struct aml *aml, const char *name)
{
    aml_byte(aml, EXT_OP);
    aml_byte(aml, EXT_DEVICE);
    open_block(aml);
    aml_path(aml, name);
}

void aml_open_method(struct aml *aml, const char *name, unsigned arguments, bool serialized)
{
    aml_byte(aml, METHOD_OP);
    open_block(aml);
    aml_path(aml, name);
    aml_byte(aml, (uint8_t)(arguments | (serialized ? 8 : 0)));
}

void aml_open_package(struct aml *aml, uint8_t elements)
{
    aml_byte(aml, PACKAGE_OP);
    open_block(aml);
    aml_byte(aml, elements);
}

void aml_open_if(struct aml *aml)
{
    aml_byte(aml, IF_OP);
    open_block(aml);
}

void aml_open_field(struct aml *aml, const char *region)
{
    aml_byte(aml, EXT_OP);
    aml_byte(aml, EXT_FIELD);
    open_block(aml);
    aml_path(aml, region);
    aml_byte(aml, FIELD_BYTE_ACCESS);
}

/* The unit's width is in PkgLength form; widths below 64 take one byte. */
void aml_field_unit(struct aml *aml, const char *name, unsigned bits)
{
    ASSERT(bits < 64);
    name_segment(aml, name, strlen(name));
    aml_byte(aml, (uint8_t)bits);
}

void aml_pci_region(struct aml *aml, const char *name, unsigned offset, unsigned bytes)
{
    aml_byte(aml, EXT_OP);
    aml_byte(aml, EXT_OP_REGION);
    aml_path(aml, name);
    aml_byte(aml, REGION_PCI_CONFIG);
    aml_integer(aml, offset);
    aml_integer(aml, bytes);
}

/* No processor block: C states are HLT only. */
void aml_processor(struct aml *aml, const char *name, uint8_t id)
{
    aml_byte(aml, EXT_OP);
    aml_byte(aml, EXT_PROCESSOR);
    open_block(aml);
    aml_path(aml, name);
    aml_byte(aml, id);
    aml_raw(aml, 0, 5);
    aml_close(aml);
}

/* The buffer's size is a word that is filled in when it closes. */
void aml_open_resources(struct aml *aml)
{
    aml_byte(aml, BUFFER_OP);
    open_block(aml);
    aml_byte(aml, WORD_PREFIX);
    aml_raw(aml, 0, 2);
}

void aml_close_resources(struct aml *aml)
{
    aml_byte(aml, 0x79);
    aml_byte(aml, 0); /* checksum: none */
    ASSERT(aml->depth > 0);
    uint32_t content = aml->open[aml->depth - 1] + PACKAGE_LENGTH_BYTES + 3;
    store16(&aml->bytes[content - 2], (uint16_t)(aml->size - content));
    aml_close(aml);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t ports)
{
    aml_byte(aml, 0x47);
    aml_byte(aml, 1); /* decodes 16 bits */
    aml_raw(aml, base, 2);
    aml_raw(aml, base, 2);
    aml_byte(aml, 1);
    aml_byte(aml, ports);
}

void aml_irq(struct aml *aml, unsigned irq)
{
    aml_byte(aml, 0x22);
    aml_raw(aml, 1u << irq, 2);
}

void aml_interrupt(struct aml *aml, const uint32_t *interrupts, unsigned count)
{
    aml_byte(aml, 0x89);
    aml_raw(aml, 2 + 4 * count, 2);
    aml_byte(aml, 0x09); /* consumer, level, active high, shared */
    aml_byte(aml, (uint8_t)count);
    for (unsigned i = 0; i < count; i++)
        aml_raw(aml, interrupts[i], 4);
}

/* Word address space descriptor: granularity, first, last, offset, length. */
static void word_space(struct aml *aml, uint8_t type, uint8_t flags, uint16_t first,
                       uint16_t last)
{
    aml_byte(aml, 0x88);
    aml_raw(aml, 13, 2);
    aml_byte(aml, type);
    aml_byte(aml, SPACE_FIXED);
    aml_byte(aml, flags);
    aml_raw(aml, 0, 2);
    aml_raw(aml, first, 2);
    aml_raw(aml, last, 2);
    aml_raw(aml, 0, 2);
    aml_raw(aml, (uint16_t)(last - first + 1), 2);
}

void aml_bus_numbers(struct aml *aml, uint16_t first, uint16_t last)
{
    word_space(aml, 2, 0, first, last);
}

void aml_io_window(struct aml *aml, uint16_t first, uint16_t last)
{
    word_space(aml, 1, 3, first, last); /* entire range: ISA and non-ISA */
}

void aml_memory_window(struct aml *aml, uint32_t first, uint32_t last, bool cacheable)
{
    aml_byte(aml, 0x87);
    aml_raw(aml, 23, 2);
    aml_byte(aml, 0);
    aml_byte(aml, SPACE_FIXED);
    aml_byte(aml, cacheable ? 3 : 1); /* read-write */
    aml_raw(aml, 0, 4);
    aml_raw(aml, first, 4);
    aml_raw(aml, last, 4);
    aml_raw(aml, 0, 4);
    aml_raw(aml, last - first + 1, 4);
}
