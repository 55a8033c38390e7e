/* Translated blocks as text; see listing.h. */
#include "debug/listing.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/disassemble.h"

#define LABELS_MAXIMUM 256
#define HOST_STACK_POINTER RSP /* translated code keeps the vCPU there */

void listing_init(struct listing *listing, unsigned what)
{
    struct cpu_model model;
    cpu_model_parse(&model, "max", 1, NULL);
    decoder_init(&listing->decoder, &model);
    listing->what = what;
}

/* Names of what the vCPU has */

struct vcpu_field {
    const char *name;
    uint32_t offset, size, stride; /* stride 0: no array */
};
#define FIELD(name, member) { name, offsetof(struct cpu, member), sizeof((struct cpu *)0)->member, 0 }
#define ARRAY(name, member)                                                                        \
    { name, offsetof(struct cpu, member), sizeof((struct cpu *)0)->member, sizeof((struct cpu *)0)->member[0] }

static const struct vcpu_field vcpu_fields[] = {
    FIELD("rax", s.gpr[RAX]), FIELD("rcx", s.gpr[RCX]), FIELD("rdx", s.gpr[RDX]), FIELD("rbx", s.gpr[RBX]),
    FIELD("rsp", s.gpr[RSP]), FIELD("rbp", s.gpr[RBP]), FIELD("rsi", s.gpr[RSI]), FIELD("rdi", s.gpr[RDI]),
    FIELD("r8", s.gpr[R8]), FIELD("r9", s.gpr[R9]), FIELD("r10", s.gpr[R10]), FIELD("r11", s.gpr[R11]),
    FIELD("r12", s.gpr[R12]), FIELD("r13", s.gpr[R13]), FIELD("r14", s.gpr[R14]), FIELD("r15", s.gpr[R15]),
    FIELD("rip", s.gpr[RIP]), FIELD("rflags", s.rflags), FIELD("cr0", s.cr0), FIELD("cr4", s.cr4),
    ARRAY("x87", s.x87), FIELD("fcw", s.fcw), FIELD("fsw", s.fsw), FIELD("ftw", s.ftw), FIELD("fop", s.fop),
    FIELD("fip", s.fip), FIELD("fdp", s.fdp), FIELD("mxcsr", s.mxcsr), ARRAY("vector", s.vector),
    FIELD("remaining", remaining), ARRAY("access", access), FIELD("tlb_version", tlb_version),
    FIELD("t.flags", translated.flags), FIELD("t.flags_fixup", translated.flags_fixup),
    FIELD("t.bad_target", translated.bad_target),
    FIELD("t.operand", translated.operand), FIELD("t.carry", translated.carry),
    FIELD("t.edge", translated.edge), FIELD("t.value", translated.value), ARRAY("t.kept", translated.kept),
    ARRAY("t.addend", translated.addend), FIELD("t.vectors", translated.vectors),
    FIELD("t.x87", translated.x87), FIELD("t.target", translated.target), FIELD("t.kind", translated.kind),
    FIELD("t.kind_version", translated.kind_version), ARRAY("t.jumps", translated.jumps),
};

/* "w5.low", of window 5 */
static void name_window(uint32_t offset, char *to, size_t size)
{
    static const char *const fields[] = { "low", "limit", "host", "addend" };
    if (offset < offsetof(struct translated_windows, patience))
        snprintf(to, size, "w%zu.%s", offset / sizeof(struct translated_window),
                 fields[offset % sizeof(struct translated_window) / 8]);
    else
        snprintf(to, size, "w%zu.patience", (offset - offsetof(struct translated_windows, patience)) / sizeof(int32_t));
}

/* "tlb1.read_tag": the whole table, to be indexed; "tlb1.code_id[5]". */
static void name_tlb(uint32_t offset, char *to, size_t size)
{
    static const char *const entry_fields[] = { "read_tag", "write_tag", "exec_tag", "addend" };
    unsigned number = offset / sizeof(struct tlb);
    uint32_t in_tlb = offset % sizeof(struct tlb);
    if (in_tlb < offsetof(struct tlb, code_linear)) {
        unsigned entry = in_tlb / sizeof(struct tlb_entry);
        const char *field = entry_fields[in_tlb % sizeof(struct tlb_entry) / 8 % 4];
        if (entry)
            snprintf(to, size, "tlb%u[%u].%s", number, entry, field);
        else
            snprintf(to, size, "tlb%u.%s", number, field);
    } else if (in_tlb < offsetof(struct tlb, code_id)) {
        snprintf(to, size, "tlb%u.code_linear+0x%zx", number, in_tlb - offsetof(struct tlb, code_linear));
    } else if (in_tlb >= offsetof(struct tlb, host)) {
        snprintf(to, size, "tlb%u.host", number);
    } else {
        snprintf(to, size, "tlb%u.code_id[%zu]", number, (in_tlb - offsetof(struct tlb, code_id)) / 4);
    }
}

static bool name_field(const void *context, unsigned base, int64_t disp, char *to, size_t size)
{
    (void)context;
    if (base != HOST_STACK_POINTER || disp < 0 || disp >= (int64_t)sizeof(struct cpu))
        return false;
    uint32_t offset = (uint32_t)disp;
    if (offset >= offsetof(struct cpu, tlbs)) {
        name_tlb(offset - offsetof(struct cpu, tlbs), to, size);
        return true;
    }
    if (offset >= offsetof(struct cpu, windows)) {
        name_window(offset - offsetof(struct cpu, windows), to, size);
        return true;
    }
    for (unsigned i = 0; i < sizeof vcpu_fields / sizeof *vcpu_fields; i++) {
        const struct vcpu_field *field = &vcpu_fields[i];
        uint32_t in_field = offset - field->offset;
        if (in_field >= field->size)
            continue;
        uint32_t element = field->stride ? in_field / field->stride : 0;
        uint32_t rest = field->stride ? in_field % field->stride : in_field;
        int count = snprintf(to, size, field->stride ? "%s%u" : "%s", field->name, element);
        if (rest && count > 0 && (size_t)count < size)
            snprintf(to + count, size - (size_t)count, "+%u", rest);
        return true;
    }
    snprintf(to, size, "vcpu+0x%x", offset);
    return true;
}

/* Host code */

struct host_listing {
    const struct translated_block *block;
    uint64_t labels[LABELS_MAXIMUM];
    unsigned label_count;
};

static unsigned label_of(const struct host_listing *host, uint64_t address)
{
    for (unsigned i = 0; i < host->label_count; i++)
        if (host->labels[i] == address)
            return i + 1;
    return 0;
}

static bool name_address(const void *context, uint64_t address, char *to, size_t size)
{
    const struct host_listing *host = context;
    const struct translated_block *block = host->block;
    if (address - (uintptr_t)block->cache >= (uint64_t)(block->cache_end - block->cache))
        return false;
    for (unsigned i = 0; i < block->name_count; i++)
        if (address == (uintptr_t)block->names[i].host)
            return snprintf(to, size, "%s", block->names[i].name) > 0;
    unsigned label = label_of(host, address);
    if (label)
        snprintf(to, size, "L%u", label);
    else
        snprintf(to, size, "cache+0x%" PRIx64, address - (uintptr_t)block->cache);
    return true;
}

static struct disassembly_names host_names(const struct host_listing *host)
{
    return (struct disassembly_names){ host, name_address, name_field };
}

/* The instruction at `offset`; returns its length. */
static unsigned decode_host(const struct listing *listing, const struct translated_block *block,
                            uint32_t offset, struct insn *insn)
{
    uint8_t bytes[INSN_BYTES_MAXIMUM] = { 0 };
    uint32_t left = block->bytes - offset;
    memcpy(bytes, block->host + offset, left < sizeof bytes ? left : sizeof bytes);
    decode(&listing->decoder, 8, bytes, sizeof bytes, 0, insn);
    return insn->length ? insn->length : 1;
}

/* Gives labels to what is jumped to, and to where flags are to be made; in order
 * of address. */
static void find_labels(const struct listing *listing, struct host_listing *host)
{
    const struct translated_block *block = host->block;
    uint64_t base = (uintptr_t)block->host;
    uint8_t wanted[1 << 16] = { 0 };
    struct insn insn;
    for (uint32_t at = 0; at < block->bytes; at += insn.length ? insn.length : 1) {
        decode_host(listing, block, at, &insn);
        uint64_t next = base + at + insn.length;
        uint64_t target = insn.attributes & SETS_RIP ? next + insn.imm : insn.imm & 0xffffffff;
        if (target - base < block->bytes && target - base < sizeof wanted)
            wanted[target - base] = 1;
    }
    for (uint32_t at = 0; at < block->bytes && at < sizeof wanted; at++)
        if (wanted[at] && host->label_count < LABELS_MAXIMUM)
            host->labels[host->label_count++] = base + at;
}

static void write_guest_insn(FILE *to, const struct translated_block *block, unsigned number)
{
    char text[DISASSEMBLY_BYTES];
    const struct translated_insn *it = &block->insns[number];
    fprintf(to, "  %" PRIx64 ": %s\n", it->block + it->insn->end - it->insn->length,
            disassemble(it->insn, it->block, NULL, text));
}

static void write_mark(FILE *to, const struct translated_block *block, const struct translated_mark *mark,
                       unsigned what)
{
    static const char *const titles[PART_KINDS] = {
        [PART_CHECKS] = "checks of an indirect jump", [PART_ENTRY] = "entry", [PART_BUDGET] = "end of the slice",
    };
    const struct translated_insn *it = &block->insns[mark->number];
    switch ((enum translated_part)mark->part) {
    case PART_INSN:
        if (what & LISTING_GUEST)
            write_guest_insn(to, block, mark->number);
        break;
    case PART_SLOW:
        fprintf(to, "  out of line: %" PRIx64 "\n", it->block + it->insn->end - it->insn->length);
        break;
    case PART_EXIT: fprintf(to, "  branch out, %u\n", mark->number); break;
    case PART_EDGE: fprintf(to, "  jump not linked, %u\n", mark->number); break;
    default: fprintf(to, "  %s\n", titles[mark->part]); break;
    }
}

static bool empty_mark(const struct translated_block *block, unsigned mark)
{
    uint32_t next = mark + 1u < block->mark_count ? block->marks[mark + 1].offset : block->bytes;
    return block->marks[mark].part != PART_INSN && next == block->marks[mark].offset;
}

static void write_host(const struct listing *listing, FILE *to, const struct translated_block *block)
{
    struct host_listing host = { .block = block };
    const struct disassembly_names names = host_names(&host);
    unsigned mark = 0;
    find_labels(listing, &host);
    for (uint32_t at = 0; at < block->bytes;) {
        struct insn insn;
        char text[DISASSEMBLY_BYTES];
        for (; mark < block->mark_count && block->marks[mark].offset <= at; mark++)
            if (!empty_mark(block, mark))
                write_mark(to, block, &block->marks[mark], listing->what);
        unsigned label = label_of(&host, (uintptr_t)block->host + at);
        if (label)
            fprintf(to, "    L%u:\n", label);
        unsigned length = decode_host(listing, block, at, &insn);
        if (listing->what & LISTING_ADDRESSES)
            fprintf(to, "      %" PRIxPTR ":", (uintptr_t)block->host + at);
        fprintf(to, "      %s\n", disassemble(&insn, (uintptr_t)block->host + at, &names, text));
        at += length;
    }
}

void listing_write(const struct listing *listing, FILE *to, const struct translated_block *block)
{
    static const char *const indices[MMU_INDEX_COUNT] = {
        [MMU_SUPERVISOR] = "supervisor", [MMU_SUPERVISOR_AC] = "supervisor, AC", [MMU_USER] = "user",
        [MMU_USER_ALIGNED] = "user, aligned",
    };
    fprintf(to, "block %" PRIx64 " (%u-bit, %s): %u instructions, %u bytes", block->linear, 8 * block->code_bytes,
            indices[block->index], block->insn_count, block->guest_bytes);
    if (listing->what & LISTING_HOST)
        fprintf(to, " become %u", block->bytes);
    fputc('\n', to);
    if (listing->what & LISTING_HOST)
        write_host(listing, to, block);
    else
        for (unsigned i = 0; i < block->insn_count; i++)
            write_guest_insn(to, block, i);
    fputc('\n', to);
}
