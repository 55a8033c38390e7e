/*
 * Address decoding: which device answers a port or a physical address that is
 * neither RAM nor ROM. A chip does not know its own addresses; it is given
 * offsets from the start of the range that the board mapped it to.
 *
 * Reads that nobody answers give all ones and writes are dropped, as on a PC.
 * A range mapped later hides an earlier one (PCI BARs over fixed decodes are
 * the board's decision). Ranges may be moved and switched off at run time.
 *
 * Ports: accesses of 1, 2 and 4 bytes. An access that a range cannot take
 * whole (it crosses the range's end, or is wider than the range's
 * `widest_access`) is split into bytes, as the ISA bridge does.
 * MMIO: accesses of 1, 2, 4 and 8 bytes, never crossing a 4 KiB page.
 */
#ifndef MACHINE_BUS_H
#define MACHINE_BUS_H

#include <stdbool.h>
#include <stdint.h>

#define BUS_RANGES_MAXIMUM 128

typedef uint64_t bus_read_function(void *device, uint64_t offset, unsigned bytes);
typedef void bus_write_function(void *device, uint64_t offset, uint64_t value, unsigned bytes);

struct bus_range {
    const char *name;
    uint64_t base;
    uint64_t size;
    bool enabled;
    unsigned widest_access; /* bytes; wider accesses are split */
    bus_read_function *read;
    bus_write_function *write;
    void *device;
};

/* One address space: the ports or the MMIO space. */
struct bus {
    struct bus_range ranges[BUS_RANGES_MAXIMUM];
    unsigned count;
    uint64_t limit;     /* addresses are below this: 65536 for ports */
    uint8_t *port_map;  /* ports only: range number + 1 of each port; derived */
};

/* An empty bus; `limit` 65536 makes it the port space. Owned by the caller,
 * freed by bus_free. Returns 0, or -1 when the host has no memory. */
int bus_init(struct bus *bus, uint64_t limit);
void bus_free(struct bus *bus);

/* Adds an enabled range and returns its number. `read` or `write` may be NULL
 * (reads give all ones, writes are dropped). */
unsigned bus_add(struct bus *bus, const char *name, uint64_t base, uint64_t size,
                 unsigned widest_access, bus_read_function *read, bus_write_function *write,
                 void *device);

/* Moves range `number` to `base` with `size`, or switches it off. */
void bus_move(struct bus *bus, unsigned number, uint64_t base, uint64_t size, bool enabled);

/* The range that answers at `address`, or NULL. */
struct bus_range *bus_find(struct bus *bus, uint64_t address);

/* Carries out an access of 1, 2, 4 (or, MMIO only, 8) bytes. */
uint64_t bus_read(struct bus *bus, uint64_t address, unsigned bytes);
void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned bytes);

#endif
