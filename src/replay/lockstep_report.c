/* What differs between the two engines, as text; see lockstep.h. */
#include <inttypes.h>
#include <string.h>

#include "cpu/decode.h"
#include "cpu/disassemble.h"
#include "cpu/engine.h"
#include "cpu/memory.h"
#include "replay/lockstep_internal.h"

#define BYTES_SHOWN 16

/* Fields of struct cpu_state: `count` of `bytes` each, `stride` apart. */
struct field {
    const char *name;
    uint32_t offset, bytes, count, stride;
};
#define AT(member) (uint32_t)offsetof(struct cpu_state, member)
#define SIZE(member) (uint32_t)sizeof((struct cpu_state *)0)->member
#define ONE(member) { #member, AT(member), SIZE(member), 1, 0 }
#define LIST(name, member, n) { name, AT(member[0]), SIZE(member[0]), n, SIZE(member[0]) }
#define SEGMENT_FIELDS(name, member)                                                               \
    { name ".base", AT(member.base), 8, 1, 0 }, { name ".limit", AT(member.limit), 4, 1, 0 },      \
    { name ".selector", AT(member.selector), 2, 1, 0 }, { name ".attributes", AT(member.attributes), 2, 1, 0 }

static const struct field fields[] = {
    { "rax", AT(gpr[RAX]), 8, 1, 0 }, { "rcx", AT(gpr[RCX]), 8, 1, 0 }, { "rdx", AT(gpr[RDX]), 8, 1, 0 },
    { "rbx", AT(gpr[RBX]), 8, 1, 0 }, { "rsp", AT(gpr[RSP]), 8, 1, 0 }, { "rbp", AT(gpr[RBP]), 8, 1, 0 },
    { "rsi", AT(gpr[RSI]), 8, 1, 0 }, { "rdi", AT(gpr[RDI]), 8, 1, 0 }, { "r8", AT(gpr[R8]), 8, 1, 0 },
    { "r9", AT(gpr[R9]), 8, 1, 0 }, { "r10", AT(gpr[R10]), 8, 1, 0 }, { "r11", AT(gpr[R11]), 8, 1, 0 },
    { "r12", AT(gpr[R12]), 8, 1, 0 }, { "r13", AT(gpr[R13]), 8, 1, 0 }, { "r14", AT(gpr[R14]), 8, 1, 0 },
    { "r15", AT(gpr[R15]), 8, 1, 0 }, { "rip", AT(gpr[RIP]), 8, 1, 0 }, ONE(rflags),
    SEGMENT_FIELDS("es", seg[ES]), SEGMENT_FIELDS("cs", seg[CS]), SEGMENT_FIELDS("ss", seg[SS]),
    SEGMENT_FIELDS("ds", seg[DS]), SEGMENT_FIELDS("fs", seg[FS]), SEGMENT_FIELDS("gs", seg[GS]),
    SEGMENT_FIELDS("ldtr", ldtr), SEGMENT_FIELDS("tr", tr),
    { "gdtr.base", AT(gdtr.base), 8, 1, 0 }, { "gdtr.limit", AT(gdtr.limit), 4, 1, 0 },
    { "idtr.base", AT(idtr.base), 8, 1, 0 }, { "idtr.limit", AT(idtr.limit), 4, 1, 0 },
    ONE(cr0), ONE(cr2), ONE(cr3), ONE(cr4), ONE(xcr0), LIST("dr", dr, 8), LIST("pdpte", pdpte, 4),
    ONE(efer), ONE(star), ONE(lstar), ONE(cstar), ONE(sfmask), ONE(kernel_gs_base),
    ONE(sysenter_cs), ONE(sysenter_esp), ONE(sysenter_eip), ONE(pat), ONE(tsc_offset), ONE(tsc_adjust),
    ONE(tsc_aux), ONE(fcw), ONE(fsw), ONE(ftw), ONE(fop), ONE(fip), ONE(fdp), ONE(mxcsr),
    LIST("x87 r", x87, 8), { "ymm", AT(vector[0]), 32, 16, 32 },
    ONE(cpl), ONE(activity), ONE(shadow_sti), ONE(shadow_mov_ss), ONE(nmi_blocked), ONE(nmi_pending),
    ONE(smi_pending), ONE(init_pending), ONE(smm), ONE(yield), ONE(monitor_armed), ONE(monitor_address),
    ONE(pending_debug),
};

/* As one number, the most significant byte first. */
static void put_value(FILE *to, const uint8_t *bytes, uint32_t count)
{
    uint32_t top = count;
    while (top > 1 && !bytes[top - 1])
        top--;
    fprintf(to, "%x", bytes[top - 1]);
    while (--top > 0)
        fprintf(to, "%02x", bytes[top - 1]);
}

static void tell_field(FILE *to, const struct field *field, uint32_t number, const uint8_t *a, const uint8_t *b)
{
    uint32_t at = field->offset + number * field->stride;
    char name[32];
    if (memcmp(a + at, b + at, field->bytes) == 0)
        return;
    snprintf(name, sizeof name, field->count > 1 ? "%s%u" : "%s", field->name, number);
    fprintf(to, "  %-16s interpreted ", name);
    put_value(to, a + at, field->bytes);
    fprintf(to, ", translated ");
    put_value(to, b + at, field->bytes);
    fputc('\n', to);
}

static void tell_registers(FILE *to, const struct cpu_state *interpreted, const struct cpu_state *translated)
{
    const uint8_t *a = (const uint8_t *)interpreted, *b = (const uint8_t *)translated;
    uint8_t rest_a[sizeof *interpreted], rest_b[sizeof *translated];
    memcpy(rest_a, a, sizeof rest_a);
    memcpy(rest_b, b, sizeof rest_b);
    for (unsigned i = 0; i < sizeof fields / sizeof *fields; i++) {
        for (uint32_t k = 0; k < fields[i].count; k++) {
            uint32_t at = fields[i].offset + k * fields[i].stride;
            tell_field(to, &fields[i], k, a, b);
            memset(rest_a + at, 0, fields[i].bytes);
            memset(rest_b + at, 0, fields[i].bytes);
        }
    }
    for (uint32_t i = 0; i < sizeof rest_a; i += 8)
        tell_field(to, &(struct field){ "state byte ", 0, 8, UINT32_MAX, 1 }, i, rest_a, rest_b);
}

static void tell_event(FILE *to, const char *who, const struct lockstep_event *event)
{
    static const char *const names[] = { "reads port", "reads MMIO", "takes an interrupt", "reads MSR",
                                         "reads TPR", "is refused MSR" };
    if (event->kind >= sizeof names / sizeof *names) {
        fprintf(to, "  %s: nothing more\n", who);
        return;
    }
    fprintf(to, "  %s: at %" PRIu64 " vCPU %u %s %" PRIx64 " (%u bytes): %" PRIx64 "\n", who,
            event->at.instructions, event->cpu, names[event->kind], event->address, event->bytes, event->value);
}

static void tell_bytes(FILE *to, const char *what, const uint8_t *a, const uint8_t *b, uint32_t size)
{
    uint32_t first = 0, last = size;
    while (first < size && a[first] == b[first])
        first++;
    while (last > first && a[last - 1] == b[last - 1])
        last--;
    fprintf(to, "  %s differs from byte %xh to %xh\n", what, first, last);
    if (last > first + BYTES_SHOWN)
        last = first + BYTES_SHOWN;
    for (unsigned side = 0; side < SIDES; side++) {
        fprintf(to, side == LEADER ? "    interpreted" : "    translated ");
        for (uint32_t i = first; i < last; i++)
            fprintf(to, " %02x", (side == LEADER ? a : b)[i]);
        fputc('\n', to);
    }
}

static void tell_memory(FILE *to, const struct lockstep *l, uint32_t page)
{
    const struct physmem *memory = &l->sides[LEADER].machine->memory;
    uint64_t address = (uint64_t)page << PAGE_SHIFT;
    char name[64];
    if (address >= memory->low_bytes)
        address += (1ull << 32) - memory->low_bytes;
    snprintf(name, sizeof name, "the page at physical %" PRIx64 "h", address);
    tell_bytes(to, name, physmem_host(memory, page),
               physmem_host(&l->sides[FOLLOWER].machine->memory, page), PAGE_BYTES);
}

void lockstep_tell(FILE *to, const struct lockstep *l)
{
    const struct machine *a = l->sides[LEADER].machine, *b = l->sides[FOLLOWER].machine;
    const struct lockstep_difference *difference = &l->difference;
    uint32_t number = difference->number;
    const struct component *component = &a->components.list[number];
    switch (difference->what) {
    case REGISTERS:
        fprintf(to, "  vCPU %u:\n", number);
        tell_registers(to, &a->cpus[number]->s, &b->cpus[number]->s);
        break;
    case EVENTS:
        tell_event(to, "interpreted", &difference->expected);
        tell_event(to, "translated", &difference->seen);
        break;
    case MEMORY: tell_memory(to, l, number); break;
    case DEVICE:
        tell_bytes(to, component->name, component->state, b->components.list[number].state, component->size);
        break;
    case CLOCK:
        fprintf(to, "  interpreted: instruction %" PRIu64 ", idle %" PRIu64 " ns, end %u\n",
                a->clock.s.instructions, a->clock.s.idle_ns, a->s.end);
        fprintf(to, "  translated: instruction %" PRIu64 ", idle %" PRIu64 " ns, end %u; or inputs, output "
                    "and turns differ\n", b->clock.s.instructions, b->clock.s.idle_ns, b->s.end);
        break;
    case EQUAL: fprintf(to, "  no difference\n"); break;
    }
}

void lockstep_tell_state(FILE *to, const struct cpu_state *state)
{
    static const char *const names[] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8 ",
                                         "r9 ", "r10", "r11", "r12", "r13", "r14", "r15", "rip" };
    for (unsigned i = 0; i <= RIP; i++)
        fprintf(to, "  %s %016" PRIx64 "%s", names[i], state->gpr[i], i % 4 == 3 ? "\n" : "");
    fprintf(to, "  rflags %" PRIx64 "  cpl %u  cr0 %" PRIx64 "  cr3 %" PRIx64 "  cr4 %" PRIx64 "  mxcsr %x\n",
            state->rflags, state->cpl, state->cr0, state->cr3, state->cr4, state->mxcsr);
}

void lockstep_tell_code(FILE *to, struct cpu *cpu, uint64_t rip, unsigned code_bytes, unsigned count,
                        unsigned marked)
{
    for (unsigned i = 1; i <= count; i++) {
        uint8_t bytes[INSN_BYTES_MAXIMUM];
        char text[DISASSEMBLY_BYTES];
        struct insn insn;
        uint64_t base = code_bytes == 8 ? 0 : cpu->access[CS].base;
        unsigned available = memory_debug_read(cpu, base + rip, bytes, sizeof bytes);
        if (!available || decode(&cpu->engine->decoder, code_bytes, bytes, available, 0, &insn) != DECODE_OK) {
            fprintf(to, "    %" PRIx64 ": (not readable)\n", rip);
            return;
        }
        fprintf(to, "%s %" PRIx64 ": %s\n", i == marked ? "  =>" : "    ", rip,
                disassemble(&insn, rip, NULL, text));
        rip += insn.length;
        if (insn.attributes & (SETS_RIP | ENDS_BLOCK))
            return;
    }
}
