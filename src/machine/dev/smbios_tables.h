/*
 * The SMBIOS tables of the board (System Management BIOS Reference
 * Specification 2.8): BIOS, system, enclosure, processors, memory. Firmware
 * takes them from fw_cfg as an anchor and a file of structures.
 */
#ifndef MACHINE_DEV_SMBIOS_TABLES_H
#define MACHINE_DEV_SMBIOS_TABLES_H

#include <stdint.h>

#define SMBIOS_TABLES_ROOM 8192
#define SMBIOS_ANCHOR_BYTES 31

#define SMBIOS_FILE_ANCHOR "etc/smbios/smbios-anchor"
#define SMBIOS_FILE_TABLES "etc/smbios/smbios-tables"

struct smbios_config {
    uint32_t cpus;
    uint64_t low_bytes;  /* RAM from address 0 */
    uint64_t high_bytes; /* RAM from 4 GiB */
    const char *machine; /* its version's name */
};

struct smbios_tables {
    uint8_t tables[SMBIOS_TABLES_ROOM];
    uint32_t size;
    uint32_t count;        /* of structures */
    uint32_t largest;      /* bytes of the largest structure */
    uint8_t anchor[SMBIOS_ANCHOR_BYTES]; /* firmware fills in the address, then the sums */
};

void smbios_tables_build(struct smbios_tables *smbios, const struct smbios_config *config);

#endif
