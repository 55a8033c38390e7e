/*
 * The machine description: everything, besides the inputs, that a run is a
 * function of. The options parse into it, a trace stores it, and a machine is
 * built from it alone. It is plain text when stored (docs/trace-format.md);
 * its fields come from one table (description.def).
 */
#ifndef MACHINE_DESCRIPTION_H
#define MACHINE_DESCRIPTION_H

#include <stdbool.h>
#include <stdint.h>

#include "util/error.h"

#define DESCRIPTION_TEXT 256
#define DESCRIPTION_COMMAND_LINE 2048
#define DESCRIPTION_FILES 24
#define DESCRIPTION_FW_CFG 16
#define DESCRIPTION_DRIVES 4
#define DESCRIPTION_DEBUG_EXITS 4
#define DESCRIPTION_MODULES 8

/* A file that the machine is made of. `bytes` is not stored in a trace; name,
 * size and hash are, and a replay refuses content with another hash. */
struct description_file {
    char name[64];                /* role: "bios", "kernel", "initrd", "drive0", "cdrom", "fw_cfg:..." */
    char path[1024];              /* where it was found */
    uint64_t size;                /* bytes */
    uint8_t hash[16];             /* XXH3-128, canonical form */
    const uint8_t *bytes;         /* mapped or loaded by src/host; not owned */
};

enum description_drive_interface { DRIVE_NONE, DRIVE_DISK, DRIVE_CDROM };

struct description_drive {
    uint32_t interface; /* enum description_drive_interface */
    int32_t file;       /* index into files, -1: empty CD drive */
};

struct description_fw_cfg {
    char name[56];                /* "opt/org.example/x" */
    char text[DESCRIPTION_TEXT];  /* content when file is -1 */
    int32_t file;
};

struct description_debug_exit {
    uint32_t iobase;
    uint32_t iosize; /* 1..4; 0: this entry is unused */
};

/* A module of a Multiboot kernel. */
struct description_module {
    int32_t file;                 /* -1: this entry and those after it are unused */
    char text[DESCRIPTION_TEXT];  /* what follows the file's name in its command line */
};

#define DESCRIPTION_MACHINE "pc-2" /* the newest version */

struct description {
    char machine[16];             /* DESCRIPTION_MACHINE or an older version */
    char cpu[DESCRIPTION_TEXT];   /* -cpu: model and features */
    uint64_t memory_bytes;
    uint32_t cpus;                /* 1..64 */
    uint64_t quantum;             /* instructions a vCPU runs before the next one's turn */
    uint64_t ns_per_instruction;
    uint64_t seed;
    int64_t rtc_base;             /* seconds since 1970-01-01 00:00 UTC at reset */
    char boot[32];                /* boot order, QEMU's letters: "c", "d", "cd" ... */
    bool no_reboot;
    char append[DESCRIPTION_COMMAND_LINE];
    int32_t bios, kernel, initrd; /* index into files, -1: none */
    struct description_module modules[DESCRIPTION_MODULES]; /* instead of an initrd */
    struct description_drive drives[DESCRIPTION_DRIVES]; /* primary master, slave, secondary ... */
    struct description_fw_cfg fw_cfg[DESCRIPTION_FW_CFG];
    uint32_t fw_cfg_count;
    struct description_debug_exit debug_exits[DESCRIPTION_DEBUG_EXITS];
    uint32_t debugcons[2];        /* iobase of each debug console, 0: none */
    uint32_t serials;             /* bit n: serial port n exists (its host side is not the guest's business) */
    bool testdev;                 /* pc-testdev exists */
    struct description_file files[DESCRIPTION_FILES];
    uint32_t file_count;
};

/* The version of the machine that the description names: 1 for "pc-1" ..., 0
 * for a name that is none. What a guest could see of a version never changes. */
unsigned description_version(const struct description *description);

/* Defaults: the newest machine, 128 MiB, 1 vCPU, quantum 50000, 1 ns an instruction, seed 0,
 * RTC at 2024-01-01, serial port 0, no files. */
void description_init(struct description *description);

/* The stored form: lines of "key=value", NUL-terminated, in a buffer of
 * `size` bytes. Returns its length or ERROR_FORMAT when it does not fit. */
int description_encode(const struct description *description, char *text, uint64_t size);

/* Parses untrusted text of `length` bytes. Every number is range-checked.
 * Returns 0 or ERROR_FORMAT with the offending line named. */
int description_decode(struct description *description, const char *text, uint64_t length,
                       struct error *error);

/* The file with this name, or NULL. */
struct description_file *description_find(struct description *description, const char *name);

#endif
