/*
 * An emitter of ACPI Machine Language and of resource descriptors: each
 * function appends one term to a buffer. ACPI Specification 6.4, chapters 20
 * (AML) and 6.4 (resource data types).
 *
 * Blocks (scopes, devices, methods, packages, buffers, fields) are opened by
 * aml_open_* and closed by aml_close, innermost first.
 */
#ifndef MACHINE_DEV_AML_H
#define MACHINE_DEV_AML_H

#include <stdbool.h>
#include <stdint.h>

#define AML_DEPTH 8

struct aml {
    uint8_t *bytes;
    uint32_t size;
    uint32_t room;
    uint32_t open[AML_DEPTH]; /* where the PkgLength of each open block stands */
    unsigned depth;
};

/* Terms whose opcode is one byte. */
enum aml_opcode {
    AML_ZERO = 0x00,
    AML_ONE = 0x01,
    AML_LOCAL0 = 0x60,
    AML_ARG0 = 0x68,
    AML_STORE = 0x70,
    AML_AND = 0x7b,
    AML_OR = 0x7d,
    AML_CREATE_DWORD_FIELD = 0x8a,
    AML_RETURN = 0xa4,
};

/* Starts at `bytes`; the caller chose `room` large enough (an ASSERT). */
void aml_init(struct aml *aml, uint8_t *bytes, uint32_t room);

void aml_byte(struct aml *aml, uint8_t value);
/* Little-endian, `count` bytes of `value`. */
void aml_raw(struct aml *aml, uint64_t value, unsigned count);

/* A name string such as "\\_SB.PCI0" or "_HID"; segments are padded by '_'. */
void aml_path(struct aml *aml, const char *path);
/* An integer in its shortest form. */
void aml_integer(struct aml *aml, uint64_t value);
/* The integer that stands for a device identifier such as "PNP0A03". */
void aml_eisa_id(struct aml *aml, const char *id);
/* Name(name, ...): the object's term follows. */
void aml_name(struct aml *aml, const char *name);
void aml_name_integer(struct aml *aml, const char *name, uint64_t value);
void aml_name_eisa_id(struct aml *aml, const char *name, const char *id);

void aml_open_scope(struct aml *aml, const char *path);
void aml_open_device(struct aml *aml, const char *name);
void aml_open_method(struct aml *aml, const char *name, unsigned arguments, bool serialized);
void aml_open_package(struct aml *aml, uint8_t elements);
void aml_open_if(struct aml *aml);
/* A field list over `region`, byte access, preserving; units follow. */
void aml_open_field(struct aml *aml, const char *region);
void aml_field_unit(struct aml *aml, const char *name, unsigned bits);
void aml_close(struct aml *aml);

/* OperationRegion in the PCI configuration space of the enclosing device. */
void aml_pci_region(struct aml *aml, const char *name, unsigned offset, unsigned bytes);
void aml_processor(struct aml *aml, const char *name, uint8_t id);

/* A resource template: a buffer, whose descriptors follow. Closing writes the
 * end tag and the buffer's size. */
void aml_open_resources(struct aml *aml);
void aml_close_resources(struct aml *aml);
void aml_io(struct aml *aml, uint16_t base, uint8_t ports);
void aml_irq(struct aml *aml, unsigned irq); /* edge, high, exclusive */
/* An extended interrupt descriptor: level, active high, shared. */
void aml_interrupt(struct aml *aml, const uint32_t *interrupts, unsigned count);
void aml_bus_numbers(struct aml *aml, uint16_t first, uint16_t last);
void aml_io_window(struct aml *aml, uint16_t first, uint16_t last);
void aml_memory_window(struct aml *aml, uint32_t first, uint32_t last, bool cacheable);

#endif
