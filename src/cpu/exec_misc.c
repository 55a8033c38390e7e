/*
 * What is no instruction; UD0, UD1, UD2, BOUND, RDRAND, RDSEED, CLFLUSH, CLFLUSHOPT, CLWB, MOVDIR64B
 * (SDM vol. 2).
 * Not modelled: caches; flushing a line only checks that it could be read.
 * Random numbers come from the machine's seeded generator and never run out.
 */
#include <stdio.h>

#include "cpu/decode.h"
#include "cpu/exec.h"

HANDLER(undefined)
{
    return cpu_raise(cpu, VECTOR_UD);
}

/* Memory holds the lower and the upper bound, signed. */
#define BOUND(bits)                                                                                \
    HANDLER(bound_m##bits)                                                                         \
    {                                                                                              \
        uint64_t offset = insn_address(cpu, insn), mask = ~0ull >> insn->address_shift;            \
        uint##bits##_t lower, upper;                                                               \
        if (memory_read##bits(cpu, insn->seg, offset, &lower)                                      \
            || memory_read##bits(cpu, insn->seg, (offset + bits / 8) & mask, &upper))              \
            return CPU_FAULT;                                                                      \
        int##bits##_t index = (int##bits##_t)register_read##bits(cpu, insn->reg);                  \
        if (index < (int##bits##_t)lower || index > (int##bits##_t)upper)                          \
            return cpu_raise(cpu, VECTOR_BR);                                                      \
        return 0;                                                                                  \
    }
BOUND(16)
BOUND(32)
#undef BOUND

#define RANDOM(bits)                                                                               \
    HANDLER(rdrand_##bits)                                                                         \
    {                                                                                              \
        uint64_t value = cpu->bus.random(cpu->bus.context, cpu);                                   \
        register_write##bits(cpu, insn->rm, (uint##bits##_t)value);                                \
        flags_put(cpu, FLAG_CF);                                                                   \
        return 0;                                                                                  \
    }
EACH_SIZE(RANDOM)
#undef RANDOM

/* For AMD's CPUs there is no such form. */
HANDLER(prefetchw_r)
{
    return cpu_model_is_amd(cpu->model) ? cpu_raise(cpu, VECTOR_UD) : 0;
}

HANDLER(clflush)
{
    return memory_probe_read(cpu, insn->seg, insn_address(cpu, insn), 1);
}

/* 64 bytes from memory to ES:reg, which must be aligned and is written as one. */
HANDLER(movdir64b)
{
    uint8_t line[64];
    unsigned seg = memory_segment(cpu, ES);
    uint64_t offset = cpu->s.gpr[insn->reg] & (~0ull >> insn->address_shift);
    if ((cpu->access[seg].base + offset) & 63)
        return cpu_raise_gp0(cpu);
    if (memory_read_block(cpu, insn->seg, insn_address(cpu, insn), line, sizeof line))
        return CPU_FAULT;
    return memory_write_block(cpu, seg, offset, line, sizeof line);
}

/* What the decoder makes of bytes that are no instruction (decode.h) */

/* Tells the user which bytes were not understood. */
static void notice_invalid(struct cpu *cpu, const uint8_t *bytes, unsigned count)
{
    char text[128];
    int length = snprintf(text, sizeof text, "undefined instruction raises #UD:");
    for (unsigned i = 0; i < count; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, " %02x", bytes[i]);
    snprintf(text + length, sizeof text - (size_t)length, " (%u-bit code)", 8u * cpu->code_bytes);
    cpu->bus.notice(cpu->bus.context, cpu, text);
}

/* The guest gets its #UD; the user hears of it, unless it is the same again. */
int exec_invalid(struct cpu *cpu, const struct insn *insn)
{
    uint64_t bytes = 0;
    uint64_t linear = cpu->access[CS].base + insn_start(cpu, insn);
    unsigned count = memory_debug_read(cpu, linear & cpu->rip_mask, &bytes, sizeof bytes);
    if (cpu->bus.notice && bytes != cpu->noticed_bytes) {
        cpu->noticed_bytes = bytes;
        notice_invalid(cpu, (const uint8_t *)&bytes, count);
    }
    return cpu_raise(cpu, VECTOR_UD);
}

int exec_too_long(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    return cpu_raise_error(cpu, VECTOR_GP, 0);
}
