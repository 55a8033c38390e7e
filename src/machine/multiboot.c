/*
 * Preparing a Multiboot kernel for its boot option ROM; see multiboot.h.
 * Multiboot Specification 0.6.96, sections 3.1 to 3.3; System V ABI, ELF.
 *
 * Not modelled: the video mode that a kernel may ask for (there is no display;
 * the information says nothing of one), symbol tables, drives, the BIOS
 * configuration table and the APM table of the information.
 */
#include "machine/multiboot.h"

#include <string.h>

#include "util/bits.h"

/* The header, somewhere in the first 8 KiB. */
#define SEARCHED 8192u
#define HEADER_MAGIC 0x1badb002u
#define HEADER_FLAGS 4
#define HEADER_CHECKSUM 8
#define HEADER_ADDR 12
#define HEADER_LOAD 16
#define HEADER_LOAD_END 20
#define HEADER_BSS_END 24
#define HEADER_ENTRY 28
#define FLAGS_KNOWN 0x7u /* pages, memory, video; of the bits that must be known */
#define FLAGS_MUST 0xffffu
#define FLAG_ADDRESSES 0x10000u

/* The information structure. */
#define INFO_FLAGS 0
#define INFO_BOOT_DEVICE 12
#define INFO_CMDLINE 16
#define INFO_MODS_COUNT 20
#define INFO_MODS_ADDR 24
#define INFO_LOADER_NAME 64
#define INFO_STRUCTURE 128u /* with room: 116 are defined */
#define INFO_PRESENT 0x24fu /* memory, boot device, command line, modules, map, loader name */
#define BOOT_DEVICE_FIRST_DISK 0x8000ffffu
#define MODULE_ENTRY 16u

/* Segment SCRATCH of bios/multiboot.S; what is above it is the firmware's. */
#define SCRATCH_ADDRESS 0x90000u
#define HIGH_MEMORY 0x100000u
#define FIRMWARE_RESERVE 0x40000u /* what firmware keeps at the top of memory */
#define PAGE 4096u

#define SEGMENTS_MAXIMUM 128u

#define DMA_READ 0x02u
#define DMA_SKIP 0x04u
#define DMA_SELECT 0x08u
#define REQUEST_BYTES 16u

#define PT_LOAD 1u
#define EM_386 3u
#define EM_X86_64 62u

/* One piece of the kernel: file bytes, then zeros. */
struct piece {
    uint64_t offset, file_size;
    uint64_t address, memory_size;
};

struct loader {
    struct multiboot *out;
    const struct multiboot_request *request;
    uint64_t end;   /* of what lies in memory so far */
    uint64_t total; /* bytes of all pieces, so that there is a bound */
};

static bool find_header(const uint8_t *image, uint64_t size, uint64_t *offset)
{
    uint64_t searched = size < SEARCHED ? size : SEARCHED;
    for (uint64_t at = 0; at + 12 <= searched; at += 4) {
        if (load32(image + at) != HEADER_MAGIC ||
            HEADER_MAGIC + load32(image + at + HEADER_FLAGS) +
                load32(image + at + HEADER_CHECKSUM) != 0)
            continue;
        *offset = at;
        return true;
    }
    return false;
}

bool multiboot_found(const uint8_t *image, uint64_t size)
{
    uint64_t offset;
    return find_header(image, size, &offset);
}

/* ---- the list of requests ---- */

static void request_dma(struct multiboot *out, uint32_t control, uint64_t length, uint64_t address)
{
    uint8_t *entry = out->script + out->script_size;
    store32(entry, __builtin_bswap32(control));
    store32(entry + 4, __builtin_bswap32((uint32_t)length));
    store64(entry + 8, __builtin_bswap64(address));
    out->script_size += REQUEST_BYTES;
}

/* ---- the kernel ---- */

static int add_piece(struct loader *loader, const struct piece *piece, struct error *error)
{
    const struct multiboot_request *request = loader->request;
    struct multiboot *out = loader->out;
    uint64_t end = piece->address + piece->memory_size;
    if (!piece->memory_size)
        return 0;
    if (piece->file_size > piece->memory_size || piece->offset > request->image_size ||
        piece->file_size > request->image_size - piece->offset)
        return error_set(error, ERROR_FORMAT, "kernel: a part of it lies outside the file");
    bool low = end <= SCRATCH_ADDRESS;
    bool high = piece->address >= HIGH_MEMORY && end <= request->low_bytes;
    if (end < piece->address || (!low && !high))
        return error_set(error, ERROR_FORMAT,
                         "kernel: a part at %#llx, %llu bytes long, is not in free memory; the "
                         "machine has %llu MiB below 4 GiB", (unsigned long long)piece->address,
                         (unsigned long long)piece->memory_size,
                         (unsigned long long)request->low_bytes >> 20);
    loader->total += piece->memory_size;
    if (loader->total > request->low_bytes)
        return error_set(error, ERROR_FORMAT, "kernel: its parts are larger than the memory");
    if (end > loader->end)
        loader->end = end;
    if (piece->file_size) {
        request_dma(out, (uint32_t)request->keys.kernel << 16 | DMA_SELECT | DMA_SKIP,
                    piece->offset, 0);
        request_dma(out, DMA_READ, piece->file_size, piece->address);
    }
    if (piece->memory_size > piece->file_size)
        request_dma(out, (uint32_t)request->keys.zeros << 16 | DMA_SELECT | DMA_READ,
                    piece->memory_size - piece->file_size, piece->address + piece->file_size);
    return 0;
}

/* The header itself says what to load where. */
static int load_by_addresses(struct loader *loader, uint64_t header, struct error *error)
{
    const uint8_t *image = loader->request->image;
    uint64_t size = loader->request->image_size;
    if (header + HEADER_ENTRY + 4 > size)
        return error_set(error, ERROR_FORMAT, "kernel: the file ends within its header");
    const uint8_t *h = image + header;
    uint32_t load = load32(h + HEADER_LOAD), load_end = load32(h + HEADER_LOAD_END);
    uint32_t bss_end = load32(h + HEADER_BSS_END), address = load32(h + HEADER_ADDR);
    if (load > address || address - load > header)
        return error_set(error, ERROR_FORMAT, "kernel: it would begin before the file");
    uint64_t offset = header - (address - load);
    uint64_t here = size - offset;
    if (load_end) {
        if (load_end < load || load_end - load > here)
            return error_set(error, ERROR_FORMAT, "kernel: it would end behind the file");
        here = load_end - load;
    }
    uint64_t whole = bss_end && bss_end >= load && bss_end - load > here ? bss_end - load : here;
    loader->out->entry = load32(h + HEADER_ENTRY);
    return add_piece(loader, &(struct piece){offset, here, load, whole}, error);
}

/* Fields of an ELF program header. */
struct program_header {
    uint32_t type;
    uint64_t offset, virtual, physical, file_size, memory_size;
};

static struct program_header program_header_at(const uint8_t *p, bool wide)
{
    if (wide)
        return (struct program_header){load32(p),      load64(p + 8),  load64(p + 16),
                                       load64(p + 24), load64(p + 32), load64(p + 40)};
    return (struct program_header){load32(p),      load32(p + 4),  load32(p + 8),
                                   load32(p + 12), load32(p + 16), load32(p + 20)};
}

static int load_segments(struct loader *loader, const uint8_t *headers, unsigned count,
                         unsigned stride, bool wide, uint64_t entry, struct error *error)
{
    uint64_t start = entry;
    unsigned loaded = 0;
    for (unsigned i = 0; i < count; i++) {
        struct program_header h = program_header_at(headers + (uint64_t)i * stride, wide);
        if (h.type != PT_LOAD)
            continue;
        if (loaded++ == SEGMENTS_MAXIMUM)
            return error_set(error, ERROR_FORMAT, "kernel: more than %u segments",
                             SEGMENTS_MAXIMUM);
        TRY(add_piece(loader,
                      &(struct piece){h.offset, h.file_size, h.physical, h.memory_size}, error));
        /* The entry is a virtual address. */
        if (entry >= h.virtual && entry - h.virtual < h.memory_size)
            start = h.physical + (entry - h.virtual);
    }
    if (!loaded)
        return error_set(error, ERROR_FORMAT, "kernel: it has no segment to load");
    if (start > UINT32_MAX)
        return error_set(error, ERROR_FORMAT, "kernel: its entry is above 4 GiB");
    loader->out->entry = (uint32_t)start;
    return 0;
}

static int load_elf(struct loader *loader, struct error *error)
{
    const uint8_t *image = loader->request->image;
    uint64_t size = loader->request->image_size;
    bool wide = size > 4 && image[4] == 2;
    unsigned header_size = wide ? 64 : 52, entry_size = wide ? 56 : 32;
    if (size < header_size || memcmp(image, "\177ELF", 4) != 0)
        return error_set(error, ERROR_FORMAT,
                         "kernel: a Multiboot header without addresses, in a file that is not "
                         "ELF");
    uint16_t machine = load16(image + 18);
    if ((image[4] != 1 && !wide) || image[5] != 1 || (machine != EM_386 && machine != EM_X86_64))
        return error_set(error, ERROR_FORMAT, "kernel: its ELF header is not one for x86");
    uint64_t entry = wide ? load64(image + 24) : load32(image + 24);
    uint64_t table = wide ? load64(image + 32) : load32(image + 28);
    unsigned stride = load16(image + (wide ? 54 : 42)), count = load16(image + (wide ? 56 : 44));
    if (stride < entry_size || table > size || (uint64_t)stride * count > size - table)
        return error_set(error, ERROR_FORMAT, "kernel: its program headers lie outside the file");
    return load_segments(loader, image + table, count, stride, wide, entry, error);
}

static int load_kernel(struct loader *loader, struct error *error)
{
    const struct multiboot_request *request = loader->request;
    uint64_t header;
    if (!find_header(request->image, request->image_size, &header))
        return error_set(error, ERROR_FORMAT, "kernel: no Multiboot header");
    if (request->image_size > UINT32_MAX)
        return error_set(error, ERROR_FORMAT, "kernel: larger than 4 GiB");
    uint32_t flags = load32(request->image + header + HEADER_FLAGS);
    if (flags & FLAGS_MUST & ~FLAGS_KNOWN)
        return error_set(error, ERROR_FORMAT,
                         "kernel: its Multiboot header needs features %#x that do not exist here",
                         flags & FLAGS_MUST & ~FLAGS_KNOWN);
    if (flags & FLAG_ADDRESSES)
        return load_by_addresses(loader, header, error);
    return load_elf(loader, error);
}

/* ---- modules and information ---- */

/* The modules, each on a page of its own, above the kernel and 1 MiB. */
static int place_modules(struct loader *loader, uint32_t *starts, struct error *error)
{
    const struct multiboot_request *request = loader->request;
    uint64_t top = request->low_bytes > FIRMWARE_RESERVE ? request->low_bytes - FIRMWARE_RESERVE
                                                         : 0;
    uint64_t at = loader->end > HIGH_MEMORY ? loader->end : HIGH_MEMORY;
    for (unsigned i = 0; i < request->module_count; i++) {
        uint64_t size = request->modules[i].size;
        at = (at + PAGE - 1) & ~(uint64_t)(PAGE - 1);
        if (at > top || size > top - at)
            return error_set(error, ERROR_FORMAT,
                             "initrd: %llu bytes do not fit into memory beside the kernel",
                             (unsigned long long)size);
        starts[i] = (uint32_t)at;
        if (size)
            request_dma(loader->out,
                        (uint32_t)(request->keys.module + i) << 16 | DMA_SELECT | DMA_READ, size,
                        at);
        at += size;
    }
    at = (at + PAGE - 1) & ~(uint64_t)(PAGE - 1);
    if (at > top || MULTIBOOT_INFO_BYTES > top - at)
        return error_set(error, ERROR_FORMAT, "kernel: no memory is left for its information");
    loader->end = at;
    return 0;
}

static bool put_text(struct multiboot *out, const char *text)
{
    uint64_t length = strlen(text);
    if (length > MULTIBOOT_INFO_BYTES - out->info_size)
        return false;
    memcpy(out->info + out->info_size, text, length);
    out->info_size += (uint32_t)length;
    return true;
}

/* Starts a text in the information: its guest address goes to `place`. What lies
 * behind the structure is loaded at `base`. */
static void start_text(struct multiboot *out, unsigned place, uint32_t base)
{
    store32(out->info + place, base + out->info_size - INFO_STRUCTURE);
}

static bool end_text(struct multiboot *out)
{
    if (out->info_size == MULTIBOOT_INFO_BYTES)
        return false;
    out->info[out->info_size++] = 0;
    return true;
}

static bool write_info(struct loader *loader, const uint32_t *starts)
{
    const struct multiboot_request *request = loader->request;
    struct multiboot *out = loader->out;
    uint32_t base = (uint32_t)loader->end;
    store32(out->info + INFO_FLAGS, INFO_PRESENT);
    store32(out->info + INFO_BOOT_DEVICE, BOOT_DEVICE_FIRST_DISK);
    store32(out->info + INFO_MODS_COUNT, request->module_count);
    store32(out->info + INFO_MODS_ADDR, base);
    out->info_size = INFO_STRUCTURE + request->module_count * MODULE_ENTRY;

    start_text(out, INFO_LOADER_NAME, base);
    if (!put_text(out, "groundhog") || !end_text(out))
        return false;
    start_text(out, INFO_CMDLINE, base);
    if (!put_text(out, request->kernel_path) ||
        (request->append[0] && (!put_text(out, " ") || !put_text(out, request->append))) ||
        !end_text(out))
        return false;
    for (unsigned i = 0; i < request->module_count; i++) {
        unsigned entry = INFO_STRUCTURE + i * MODULE_ENTRY;
        store32(out->info + entry, starts[i]);
        store32(out->info + entry + 4, starts[i] + (uint32_t)request->modules[i].size);
        start_text(out, entry + 8, base);
        if (!put_text(out, request->modules[i].command_line) || !end_text(out))
            return false;
    }
    return true;
}

int multiboot_prepare(struct multiboot *multiboot, const struct multiboot_request *request,
                      struct error *error)
{
    struct loader loader = {multiboot, request, 0, 0};
    uint32_t starts[MULTIBOOT_MODULES];
    memset(multiboot, 0, sizeof *multiboot);
    if (request->module_count > MULTIBOOT_MODULES)
        return error_set(error, ERROR_FORMAT, "initrd: at most %d modules", MULTIBOOT_MODULES);
    TRY(load_kernel(&loader, error));
    TRY(place_modules(&loader, starts, error));
    if (!write_info(&loader, starts))
        return error_set(error, ERROR_FORMAT, "kernel: the command lines are too long");
    request_dma(multiboot, (uint32_t)request->keys.info << 16 | DMA_SELECT | DMA_READ,
                INFO_STRUCTURE, SCRATCH_ADDRESS);
    request_dma(multiboot, DMA_READ, multiboot->info_size - INFO_STRUCTURE, loader.end);
    return 0;
}

_Static_assert((SEGMENTS_MAXIMUM * 3 + MULTIBOOT_MODULES + 2) * REQUEST_BYTES <=
                   MULTIBOOT_SCRIPT_BYTES, "a full list of requests fits");
