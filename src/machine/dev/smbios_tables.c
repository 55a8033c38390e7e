/*
 * SMBIOS tables; see smbios_tables.h. DMTF DSP0134, version 2.8.
 *
 * Not modelled: caches, slots, ports, sensors; memory is one DIMM of any size.
 */
#include "machine/dev/smbios_tables.h"

#include <stdio.h>
#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define HANDLE_BIOS 0x0000
#define HANDLE_SYSTEM 0x0100
#define HANDLE_ENCLOSURE 0x0300
#define HANDLE_PROCESSOR 0x0400
#define HANDLE_MEMORY 0x1000
#define HANDLE_DEVICE 0x1100
#define HANDLE_MAPPED 0x1300
#define HANDLE_BOOT 0x2000
#define HANDLE_END 0x7f00
#define HANDLE_NONE 0xfffe

#define MAKER "Groundhog"

/* Appends a structure: `length` formatted bytes of `body` (whose header is
 * filled in here), then the strings, a list that ends with NULL. */
static void structure(struct smbios_tables *smbios, uint8_t type, uint16_t handle, uint8_t *body,
                      uint8_t length, const char *const *strings)
{
    body[0] = type;
    body[1] = length;
    store16(body + 2, handle);
    uint32_t start = smbios->size;
    ASSERT(start + length + 256u <= SMBIOS_TABLES_ROOM);
    memcpy(smbios->tables + start, body, length);
    smbios->size += length;
    for (unsigned i = 0; strings[i]; i++) {
        size_t bytes = strlen(strings[i]) + 1;
        memcpy(smbios->tables + smbios->size, strings[i], bytes);
        smbios->size += (uint32_t)bytes;
    }
    smbios->size += strings[0] ? 1 : 2; /* the bytes are zero already */
    smbios->count++;
    if (smbios->size - start > smbios->largest)
        smbios->largest = smbios->size - start;
}

static void bios(struct smbios_tables *smbios, const char *machine)
{
    const char *const strings[] = { MAKER, machine, "01/01/2024", NULL };
    uint8_t body[24] = { 0 };
    body[4] = 1;                 /* vendor */
    body[5] = 2;                 /* version */
    store16(body + 6, 0xe800);   /* segment */
    body[8] = 3;                 /* date */
    store64(body + 10, 1u << 3); /* characteristics are not told */
    body[19] = 0x14;             /* virtual machine, targeted content distribution */
    body[20] = 1;                /* release 1.0 */
    body[22] = 0xff;             /* no embedded controller */
    body[23] = 0xff;
    structure(smbios, 0, HANDLE_BIOS, body, sizeof body, strings);
}

static void system_information(struct smbios_tables *smbios, const char *machine)
{
    const char *const strings[] = { MAKER, "Groundhog PC", machine, NULL };
    uint8_t body[27] = { 0 };
    body[4] = 1;
    body[5] = 2;
    body[6] = 3;
    body[24] = 6; /* wake-up: power switch */
    structure(smbios, 1, HANDLE_SYSTEM, body, sizeof body, strings);
}

static void enclosure(struct smbios_tables *smbios)
{
    static const char *const strings[] = { MAKER, NULL };
    uint8_t body[22] = { 0 };
    body[4] = 1;
    body[5] = 1; /* other */
    body[9] = 3; /* boot-up, power supply, thermal state: safe */
    body[10] = 3;
    body[11] = 3;
    body[12] = 2; /* security: unknown */
    structure(smbios, 3, HANDLE_ENCLOSURE, body, sizeof body, strings);
}

static void processor(struct smbios_tables *smbios, unsigned number)
{
    char socket[16];
    snprintf(socket, sizeof socket, "CPU %u", number);
    const char *const strings[] = { socket, MAKER, NULL };
    uint8_t body[42] = { 0 };
    body[4] = 1;
    body[5] = 3; /* central processor */
    body[6] = 1; /* family: other */
    body[7] = 2;
    store16(body + 20, 1000); /* maximum and current speed, MHz */
    store16(body + 22, 1000);
    body[24] = 0x41; /* populated, enabled */
    body[25] = 1;    /* upgrade: other */
    store16(body + 26, 0xffff); /* no cache handles */
    store16(body + 28, 0xffff);
    store16(body + 30, 0xffff);
    body[35] = 1; /* cores, enabled, threads */
    body[36] = 1;
    body[37] = 1;
    store16(body + 38, 1 << 2); /* 64-bit capable */
    store16(body + 40, 1);
    structure(smbios, 4, (uint16_t)(HANDLE_PROCESSOR + number), body, sizeof body, strings);
}

static void memory_array(struct smbios_tables *smbios, uint64_t bytes)
{
    static const char *const none[] = { NULL };
    uint8_t body[23] = { 0 };
    body[4] = 1; /* other location */
    body[5] = 3; /* system memory */
    body[6] = 6; /* multi-bit ECC: what does not fail needs no other word */
    uint64_t kib = bytes >> 10;
    if (kib < 0x80000000u) {
        store32(body + 7, (uint32_t)kib);
    } else {
        store32(body + 7, 0x80000000u);
        store64(body + 15, bytes);
    }
    store16(body + 11, HANDLE_NONE);
    store16(body + 13, 1); /* devices */
    structure(smbios, 16, HANDLE_MEMORY, body, sizeof body, none);
}

static void memory_device(struct smbios_tables *smbios, uint64_t bytes)
{
    static const char *const strings[] = { "DIMM 0", MAKER, NULL };
    uint8_t body[40] = { 0 };
    store16(body + 4, HANDLE_MEMORY);
    store16(body + 6, HANDLE_NONE);
    store16(body + 8, 0xffff);  /* widths unknown */
    store16(body + 10, 0xffff);
    uint64_t mib = bytes >> 20;
    if (mib < 0x7fff) {
        store16(body + 12, (uint16_t)mib);
    } else {
        store16(body + 12, 0x7fff);
        store32(body + 28, (uint32_t)mib);
    }
    body[14] = 9; /* DIMM */
    body[16] = 1; /* locator */
    body[18] = 7; /* RAM */
    store16(body + 19, 1 << 1);
    body[23] = 2; /* manufacturer */
    structure(smbios, 17, HANDLE_DEVICE, body, sizeof body, strings);
}

static void mapped_range(struct smbios_tables *smbios, unsigned number, uint64_t first,
                         uint64_t bytes)
{
    static const char *const none[] = { NULL };
    uint8_t body[31] = { 0 };
    uint64_t last = first + bytes - 1;
    if (last >> 10 < 0xffffffffu) {
        store32(body + 4, (uint32_t)(first >> 10));
        store32(body + 8, (uint32_t)(last >> 10));
    } else {
        store32(body + 4, 0xffffffffu);
        store32(body + 8, 0xffffffffu);
        store64(body + 15, first);
        store64(body + 23, last);
    }
    store16(body + 12, HANDLE_MEMORY);
    body[14] = 1; /* partition width */
    structure(smbios, 19, (uint16_t)(HANDLE_MAPPED + number), body, sizeof body, none);
}

/* The 2.x entry point: two parts, each with a sum of its own (5.2.1). */
static void anchor(struct smbios_tables *smbios)
{
    uint8_t *p = smbios->anchor;
    memcpy(p, "_SM_", 4);
    p[5] = SMBIOS_ANCHOR_BYTES;
    p[6] = 2;
    p[7] = 8;
    store16(p + 8, (uint16_t)smbios->largest);
    memcpy(p + 16, "_DMI_", 5);
    store16(p + 22, (uint16_t)smbios->size);
    store16(p + 28, (uint16_t)smbios->count);
    p[30] = 0x28;
    for (unsigned i = 16; i < SMBIOS_ANCHOR_BYTES; i++)
        p[21] -= i == 21 ? 0 : p[i];
    for (unsigned i = 0; i < SMBIOS_ANCHOR_BYTES; i++)
        p[4] -= i == 4 ? 0 : p[i];
}

void smbios_tables_build(struct smbios_tables *smbios, const struct smbios_config *config)
{
    static const char *const none[] = { NULL };
    memset(smbios, 0, sizeof *smbios);
    bios(smbios, config->machine);
    system_information(smbios, config->machine);
    enclosure(smbios);
    for (unsigned i = 0; i < config->cpus; i++)
        processor(smbios, i);
    memory_array(smbios, config->low_bytes + config->high_bytes);
    memory_device(smbios, config->low_bytes + config->high_bytes);
    mapped_range(smbios, 0, 0, config->low_bytes);
    if (config->high_bytes)
        mapped_range(smbios, 1, 1ull << 32, config->high_bytes);
    uint8_t boot[20] = { 0 };
    structure(smbios, 32, HANDLE_BOOT, boot, sizeof boot, none);
    uint8_t end[4] = { 0 };
    structure(smbios, 127, HANDLE_END, end, sizeof end, none);
    anchor(smbios);
}
