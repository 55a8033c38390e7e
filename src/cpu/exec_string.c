/*
 * String instructions: MOVS CMPS STOS LODS SCAS INS OUTS, with REP (SDM
 * vol. 2, vol. 1, 7.3.9).
 *
 * Each iteration counts as one instruction. One call runs as many as the
 * budget has, and leaves RIP at the instruction when more are to come. An
 * element that cannot be had on memory's fast path (MMIO, tracked pages, a
 * TLB miss, two pages) is the only one of its call, so that whatever it sets
 * off is seen before the next, and at its exact count.
 *
 * A repeated instruction whose counter is 0 changes no register. Between two
 * iterations RF is set: an event there saves it, so that the breakpoint at the
 * instruction is not met again.
 */
#include "cpu/exec.h"

/* The bits of rSI, rDI and rCX that are in use. */
static inline uint64_t string_mask(const struct insn *insn)
{
    return ~0ull >> insn->address_shift;
}

static inline void string_set(struct cpu *cpu, unsigned reg, uint64_t value, uint64_t mask)
{
    if (unlikely(mask == 0xffff))
        register_write16(cpu, reg, (uint16_t)value);
    else
        cpu->s.gpr[reg] = value & mask;
}

/* Moves an index register over `count` elements. */
static inline void string_advance(struct cpu *cpu, unsigned reg, uint64_t mask, unsigned bytes,
                                  uint64_t count)
{
    uint64_t distance = bytes * count;
    if (cpu->s.rflags & FLAG_DF)
        distance = -distance;
    string_set(cpu, reg, cpu->s.gpr[reg] + distance, mask);
}

/*
 * Iterations that this call may run, at least 1. Only 1 when the run loop has
 * to look after each instruction.
 */
static inline uint64_t string_limit(const struct cpu *cpu)
{
    if (cpu->attention || cpu->s.shadow_sti || cpu->s.shadow_mov_ss || (cpu->s.rflags & FLAG_TF)
        || cpu->remaining <= 0)
        return 1;
    return 1 + (uint64_t)cpu->remaining;
}

/* What a repeated instruction has before it: false when the counter is 0. */
static inline bool string_begin(struct cpu *cpu, const struct insn *insn, uint64_t *wanted)
{
    uint64_t count = cpu->s.gpr[RCX] & string_mask(insn), limit = string_limit(cpu);
    if (count == 0) {
        cpu->s.gpr[RIP] = insn_next(cpu, insn);
        return false;
    }
    *wanted = count < limit ? count : limit;
    return true;
}

/* ... and after it: `done` (>= 1) iterations; `over`: the condition ended it. */
static inline void string_end(struct cpu *cpu, const struct insn *insn, uint64_t done, bool over)
{
    uint64_t mask = string_mask(insn), count = (cpu->s.gpr[RCX] & mask) - done;
    string_set(cpu, RCX, count, mask);
    cpu->remaining -= (int64_t)(done - 1);
    if (over || count == 0) {
        cpu->s.rflags &= ~FLAG_RF;
        cpu->s.gpr[RIP] = insn_next(cpu, insn);
    } else {
        cpu->s.rflags |= FLAG_RF;
        cpu->s.gpr[RIP] = insn_start(cpu, insn);
    }
}

static inline bool string_repeated(const struct insn *insn)
{
    return insn->prefixes & (PREFIX_REP | PREFIX_REPNE);
}

/* How many elements from seg:offset upwards lie whole in the page, in the
 * segment (up to `end`) and below the wrap of the address size. The first
 * byte is known to lie in all of them. */
static uint64_t string_run(const struct cpu *cpu, unsigned seg, uint64_t offset, uint64_t end,
                           uint64_t mask, unsigned bytes, uint64_t wanted)
{
    uint64_t room = PAGE_BYTES - ((cpu->access[seg].base + offset) & PAGE_MASK);
    if (end - offset < room)
        room = end - offset;
    if (mask - offset < room - 1)
        room = mask - offset + 1;
    room /= bytes;
    return room < wanted ? room : wanted;
}

/* Copies element by element, upwards: when the destination overlaps the
 * source from above, what was written is read again. */
static void string_copy(uint8_t *to, const uint8_t *from, unsigned bytes, uint64_t count)
{
    uintptr_t ahead = (uintptr_t)to - (uintptr_t)from;
    uint64_t length = bytes * count;
    if (likely(ahead >= length)) {
        memmove(to, from, length);
        return;
    }
    for (uint64_t i = 0; i < length; i += bytes) {
        uint64_t element;
        memcpy(&element, from + i, bytes);
        memcpy(to + i, &element, bytes);
    }
}

/* Some elements of REP MOVS with DF = 0 at once; 0: none can be had so. */
static uint64_t movs_up(struct cpu *cpu, const struct insn *insn, unsigned bytes, uint64_t wanted)
{
    uint64_t mask = string_mask(insn);
    uint64_t source = cpu->s.gpr[RSI] & mask, target = cpu->s.gpr[RDI] & mask;
    unsigned es = memory_segment(cpu, ES);
    const uint8_t *from = memory_fast_read(cpu, insn->seg, source, bytes);
    uint8_t *to = memory_fast_write(cpu, es, target, bytes);
    if (!from || !to)
        return 0;
    uint64_t count = string_run(cpu, insn->seg, source, cpu->access[insn->seg].read_end, mask,
                                bytes, wanted);
    count = string_run(cpu, es, target, cpu->access[es].write_end, mask, bytes, count);
    string_copy(to, from, bytes, count);
    string_advance(cpu, RSI, mask, bytes, count);
    string_advance(cpu, RDI, mask, bytes, count);
    return count;
}

static void string_fill(uint8_t *to, uint64_t value, unsigned bytes, uint64_t count)
{
    if (bytes == 1) {
        memset(to, (uint8_t)value, count);
        return;
    }
    /* Repeats the pattern to 64 bits. */
    if (bytes == 2)
        value = (value & 0xffff) * 0x0001000100010001ull;
    else if (bytes == 4)
        value = (value & 0xffffffff) * 0x0000000100000001ull;
    uint64_t length = bytes * count, i = 0;
    for (; i + 8 <= length; i += 8)
        store64(to + i, value);
    memcpy(to + i, &value, length - i);
}

static uint64_t stos_up(struct cpu *cpu, const struct insn *insn, unsigned bytes, uint64_t wanted)
{
    uint64_t mask = string_mask(insn), target = cpu->s.gpr[RDI] & mask;
    unsigned es = memory_segment(cpu, ES);
    uint8_t *to = memory_fast_write(cpu, es, target, bytes);
    if (!to)
        return 0;
    uint64_t count = string_run(cpu, es, target, cpu->access[es].write_end, mask, bytes, wanted);
    string_fill(to, cpu->s.gpr[RAX], bytes, count);
    string_advance(cpu, RDI, mask, bytes, count);
    return count;
}

/* One element on the fast path: false when it cannot be had so. */
static ALWAYS_INLINE bool movs_fast(struct cpu *cpu, const struct insn *insn, unsigned bytes)
{
    uint64_t mask = string_mask(insn), element;
    const uint8_t *from = memory_fast_read(cpu, insn->seg, cpu->s.gpr[RSI] & mask, bytes);
    uint8_t *to = memory_fast_write(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & mask, bytes);
    if (!from || !to)
        return false;
    memcpy(&element, from, bytes);
    memcpy(to, &element, bytes);
    string_advance(cpu, RSI, mask, bytes, 1);
    string_advance(cpu, RDI, mask, bytes, 1);
    return true;
}

static ALWAYS_INLINE bool stos_fast(struct cpu *cpu, const struct insn *insn, unsigned bytes)
{
    uint64_t mask = string_mask(insn);
    uint8_t *to = memory_fast_write(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & mask, bytes);
    if (!to)
        return false;
    memcpy(to, &cpu->s.gpr[RAX], bytes);
    string_advance(cpu, RDI, mask, bytes, 1);
    return true;
}

#define MOVES(bits)                                                                                \
    /* One element, however it can be had. */                                                      \
    static inline int movs_one##bits(struct cpu *cpu, const struct insn *insn)                     \
    {                                                                                              \
        uint64_t mask = string_mask(insn);                                                         \
        uint##bits##_t value;                                                                      \
        if (memory_read##bits(cpu, insn->seg, cpu->s.gpr[RSI] & mask, &value)                      \
            || memory_write##bits(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & mask, value))    \
            return CPU_FAULT;                                                                      \
        string_advance(cpu, RSI, mask, bits / 8, 1);                                               \
        string_advance(cpu, RDI, mask, bits / 8, 1);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    static inline int stos_one##bits(struct cpu *cpu, const struct insn *insn)                     \
    {                                                                                              \
        uint64_t mask = string_mask(insn);                                                         \
        if (memory_write##bits(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & mask,               \
                               register_read##bits(cpu, RAX)))                                     \
            return CPU_FAULT;                                                                      \
        string_advance(cpu, RDI, mask, bits / 8, 1);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    REPEATED_MOVE(movs, bits)                                                                      \
    REPEATED_MOVE(stos, bits)

#define REPEATED_MOVE(name, bits)                                                                  \
    static __attribute__((noinline)) int rep_##name##bits(struct cpu *cpu, const struct insn *insn) \
    {                                                                                              \
        uint64_t wanted, done = 0, some;                                                           \
        if (!string_begin(cpu, insn, &wanted))                                                     \
            return 0;                                                                              \
        if (cpu->s.rflags & FLAG_DF) {                                                             \
            while (done < wanted && name##_fast(cpu, insn, bits / 8))                              \
                done++;                                                                            \
        } else {                                                                                   \
            while (done < wanted && (some = name##_up(cpu, insn, bits / 8, wanted - done)) != 0)   \
                done += some;                                                                      \
        }                                                                                          \
        if (done == 0) {                                                                           \
            if (name##_one##bits(cpu, insn))                                                       \
                return CPU_FAULT;                                                                  \
            done = 1;                                                                              \
        }                                                                                          \
        string_end(cpu, insn, done, false);                                                        \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_##bits)                                                                         \
    {                                                                                              \
        return string_repeated(insn) ? rep_##name##bits(cpu, insn) : name##_one##bits(cpu, insn);  \
    }
EACH_WIDTH(MOVES)
#undef MOVES
#undef REPEATED_MOVE

/*
 * LODS, SCAS and CMPS. Each has an operation on the element(s), which gives
 * whether REPE (REPNE: its opposite) goes on. `element_fast` is false when
 * the fast path cannot serve it.
 */
#define SCANS(bits)                                                                                \
    static inline int lods_one##bits(struct cpu *cpu, const struct insn *insn)                     \
    {                                                                                              \
        uint##bits##_t value;                                                                      \
        if (memory_read##bits(cpu, insn->seg, cpu->s.gpr[RSI] & string_mask(insn), &value))        \
            return CPU_FAULT;                                                                      \
        register_write##bits(cpu, RAX, value);                                                     \
        string_advance(cpu, RSI, string_mask(insn), bits / 8, 1);                                  \
        return 0;                                                                                  \
    }                                                                                              \
    static inline int scas_one##bits(struct cpu *cpu, const struct insn *insn)                     \
    {                                                                                              \
        uint##bits##_t a = register_read##bits(cpu, RAX), b;                                       \
        if (memory_read##bits(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & string_mask(insn), &b)) \
            return CPU_FAULT;                                                                      \
        flags_set_sub(cpu, a, b, (uint64_t)a - b, bits);                                           \
        string_advance(cpu, RDI, string_mask(insn), bits / 8, 1);                                  \
        return 0;                                                                                  \
    }                                                                                              \
    static inline int cmps_one##bits(struct cpu *cpu, const struct insn *insn)                     \
    {                                                                                              \
        uint64_t mask = string_mask(insn);                                                         \
        uint##bits##_t a, b;                                                                       \
        if (memory_read##bits(cpu, insn->seg, cpu->s.gpr[RSI] & mask, &a)                          \
            || memory_read##bits(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & mask, &b))        \
            return CPU_FAULT;                                                                      \
        flags_set_sub(cpu, a, b, (uint64_t)a - b, bits);                                           \
        string_advance(cpu, RSI, mask, bits / 8, 1);                                               \
        string_advance(cpu, RDI, mask, bits / 8, 1);                                               \
        return 0;                                                                                  \
    }                                                                                              \
    /* Whether the fast path serves the next element of each. */                                   \
    static inline bool lods_ready##bits(const struct cpu *cpu, const struct insn *insn)            \
    {                                                                                              \
        uint64_t mask = string_mask(insn);                                                         \
        return memory_fast_read(cpu, insn->seg, cpu->s.gpr[RSI] & mask, bits / 8) != NULL;         \
    }                                                                                              \
    static inline bool scas_ready##bits(const struct cpu *cpu, const struct insn *insn)            \
    {                                                                                              \
        uint64_t mask = string_mask(insn);                                                         \
        return memory_fast_read(cpu, memory_segment(cpu, ES), cpu->s.gpr[RDI] & mask, bits / 8)    \
               != NULL;                                                                            \
    }                                                                                              \
    static inline bool cmps_ready##bits(const struct cpu *cpu, const struct insn *insn)            \
    {                                                                                              \
        return lods_ready##bits(cpu, insn) && scas_ready##bits(cpu, insn);                         \
    }                                                                                              \
    REPEATED_SCAN(lods, bits, false)                                                               \
    REPEATED_SCAN(scas, bits, flags_zf(cpu) != wants_equal)                                        \
    REPEATED_SCAN(cmps, bits, flags_zf(cpu) != wants_equal)

#define REPEATED_SCAN(name, bits, ends)                                                            \
    static __attribute__((noinline)) int rep_##name##bits(struct cpu *cpu, const struct insn *insn) \
    {                                                                                              \
        bool wants_equal __attribute__((unused)) = !(insn->prefixes & PREFIX_REPNE);               \
        bool over = false;                                                                         \
        uint64_t wanted, done = 0;                                                                 \
        if (!string_begin(cpu, insn, &wanted))                                                     \
            return 0;                                                                              \
        while (done < wanted && !over) {                                                           \
            bool fast = name##_ready##bits(cpu, insn);                                             \
            if (!fast && done != 0)                                                                \
                break;                                                                             \
            if (name##_one##bits(cpu, insn))                                                       \
                return CPU_FAULT;                                                                  \
            done++;                                                                                \
            over = ends;                                                                           \
            if (!fast)                                                                             \
                break;                                                                             \
        }                                                                                          \
        string_end(cpu, insn, done, over);                                                         \
        return 0;                                                                                  \
    }                                                                                              \
    HANDLER(name##_##bits)                                                                         \
    {                                                                                              \
        return string_repeated(insn) ? rep_##name##bits(cpu, insn) : name##_one##bits(cpu, insn);  \
    }
EACH_WIDTH(SCANS)
#undef SCANS
#undef REPEATED_SCAN

/* Port I/O: one element a call. REX.W changes nothing. */
static unsigned string_io_bytes(const struct insn *insn)
{
    return insn->operand_bytes == 8 ? 4 : insn->operand_bytes;
}

static int ins_one(struct cpu *cpu, const struct insn *insn)
{
    unsigned bytes = string_io_bytes(insn), es = memory_segment(cpu, ES);
    uint16_t port = register_read16(cpu, RDX);
    uint64_t mask = string_mask(insn), target = cpu->s.gpr[RDI] & mask;
    /* The device is read only when the store cannot fault. */
    if (memory_probe_write(cpu, es, target, bytes))
        return CPU_FAULT;
    uint64_t value = cpu->bus.port_read(cpu->bus.context, cpu, port, bytes);
    cpu_note_io(cpu, port, bytes);
    if (memory_write_block(cpu, es, target, &value, bytes))
        return CPU_FAULT;
    string_advance(cpu, RDI, mask, bytes, 1);
    return 0;
}

static int outs_one(struct cpu *cpu, const struct insn *insn)
{
    unsigned bytes = string_io_bytes(insn);
    uint16_t port = register_read16(cpu, RDX);
    uint64_t mask = string_mask(insn), value = 0;
    if (memory_read_block(cpu, insn->seg, cpu->s.gpr[RSI] & mask, &value, bytes))
        return CPU_FAULT;
    cpu->bus.port_write(cpu->bus.context, cpu, port, value, bytes);
    cpu_note_io(cpu, port, bytes);
    string_advance(cpu, RSI, mask, bytes, 1);
    return 0;
}

/* The port must be allowed even when the counter is 0. */
#define STRING_IO(name)                                                                            \
    HANDLER(name)                                                                                  \
    {                                                                                              \
        uint64_t wanted;                                                                           \
        if (cpu_check_io(cpu, register_read16(cpu, RDX), string_io_bytes(insn)))                   \
            return CPU_FAULT;                                                                      \
        if (!string_repeated(insn))                                                                \
            return name##_one(cpu, insn);                                                          \
        if (!string_begin(cpu, insn, &wanted))                                                     \
            return 0;                                                                              \
        if (name##_one(cpu, insn))                                                                 \
            return CPU_FAULT;                                                                      \
        string_end(cpu, insn, 1, false);                                                           \
        return 0;                                                                                  \
    }
STRING_IO(ins)
STRING_IO(outs)
#undef STRING_IO
