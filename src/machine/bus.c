/* Address decoding; see bus.h. */
#include "machine/bus.h"

#include <stdlib.h>
#include <string.h>

#include "util/assert.h"
#include "util/bits.h"

#define PORT_SPACE 65536

int bus_init(struct bus *bus, uint64_t limit)
{
    memset(bus, 0, sizeof *bus);
    bus->limit = limit;
    if (limit == PORT_SPACE) {
        bus->port_map = calloc(1, PORT_SPACE);
        return bus->port_map ? 0 : -1;
    }
    return 0;
}

void bus_free(struct bus *bus)
{
    free(bus->port_map);
    bus->port_map = NULL;
}

static bool covers(const struct bus_range *range, uint64_t address)
{
    return range->enabled && address - range->base < range->size;
}

static struct bus_range *search(struct bus *bus, uint64_t address)
{
    for (unsigned i = bus->count; i-- > 0;)
        if (covers(&bus->ranges[i], address))
            return &bus->ranges[i];
    return NULL;
}

static void rebuild_port_map(struct bus *bus)
{
    if (!bus->port_map)
        return;
    memset(bus->port_map, 0, PORT_SPACE);
    for (unsigned i = 0; i < bus->count; i++) {
        const struct bus_range *range = &bus->ranges[i];
        for (uint64_t k = 0; range->enabled && k < range->size && range->base + k < PORT_SPACE; k++)
            bus->port_map[range->base + k] = (uint8_t)(i + 1);
    }
}

unsigned bus_add(struct bus *bus, const char *name, uint64_t base, uint64_t size,
                 unsigned widest_access, bus_read_function *read, bus_write_function *write,
                 void *device)
{
    ASSERT(bus->count < BUS_RANGES_MAXIMUM);
    bus->ranges[bus->count] = (struct bus_range){
        name, base, size, true, widest_access, read, write, device,
    };
    bus->count++;
    rebuild_port_map(bus);
    return bus->count - 1;
}

void bus_move(struct bus *bus, unsigned number, uint64_t base, uint64_t size, bool enabled)
{
    ASSERT(number < bus->count);
    struct bus_range *range = &bus->ranges[number];
    range->base = base;
    range->size = size;
    range->enabled = enabled;
    rebuild_port_map(bus);
}

struct bus_range *bus_find(struct bus *bus, uint64_t address)
{
    if (!bus->port_map)
        return search(bus, address);
    uint8_t entry = address < PORT_SPACE ? bus->port_map[address] : 0;
    return entry ? &bus->ranges[entry - 1] : NULL;
}

static bool takes_whole(const struct bus_range *range, uint64_t address, unsigned bytes)
{
    return bytes <= range->widest_access && range->size - (address - range->base) >= bytes;
}

uint64_t bus_read(struct bus *bus, uint64_t address, unsigned bytes)
{
    struct bus_range *range = bus_find(bus, address);
    if (range && takes_whole(range, address, bytes))
        return range->read ? range->read(range->device, address - range->base, bytes) & bits_ones(bytes)
                           : bits_ones(bytes);
    if (bytes == 1)
        return 0xff;
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= bus_read(bus, address + i, 1) << (8 * i);
    return value;
}

void bus_write(struct bus *bus, uint64_t address, uint64_t value, unsigned bytes)
{
    struct bus_range *range = bus_find(bus, address);
    if (range && takes_whole(range, address, bytes)) {
        if (range->write)
            range->write(range->device, address - range->base, value & bits_ones(bytes), bytes);
        return;
    }
    for (unsigned i = 0; bytes > 1 && i < bytes; i++)
        bus_write(bus, address + i, value >> (8 * i) & 0xff, 1);
}
