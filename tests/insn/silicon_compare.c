/*
 * Compares the outcomes of a case. What the manual leaves undefined is not
 * compared: the flags that the row names, and the results named here.
 */
#include "silicon.h"

#include <string.h>

#include "cpu/cpu.h"
#include "cpu/opcode.h"

static char text[400];

static const char *differ(const char *what, uint64_t host, uint64_t guest)
{
    snprintf(text, sizeof text, "%s: host %llx, interpreter %llx", what, (unsigned long long)host,
             (unsigned long long)guest);
    return text;
}

/* The count of a shift, or -1 when `insn` is none with a variable count. */
static int shift_count(const struct test_case *test, const struct insn *insn)
{
    const struct opcode_row *row = &opcode_rows[insn->row];
    bool one = row->map == MAP_ONE
               && (row->opcode == 0xc0 || row->opcode == 0xc1 || row->opcode == 0xd2
                   || row->opcode == 0xd3);
    bool two = row->map == MAP_TWO && (row->opcode & 0xf6) == 0xa4;
    if (!one && !two)
        return -1;
    bool by_cl = row->operand[one ? 1 : 2] == OPERAND_CL;
    unsigned count = (unsigned)(by_cl ? test->before.gpr[RCX] : insn->imm);
    return (int)(count & (insn->operand_bytes == 8 ? 63 : 31));
}

static uint64_t compared_flags(const struct test_case *test, const struct insn *insn)
{
    const struct opcode_row *row = &opcode_rows[insn->row];
    uint64_t undefined = row->flags_undefined;
    int count = shift_count(test, insn);
    int bits = insn->operand_bytes * 8;
    if (count == 0)
        undefined = 0;
    else if (count == 1)
        undefined &= ~FLAG_OF;
    else if (count > bits || (count == bits && row->map == MAP_TWO))
        undefined |= FLAGS_ARITHMETIC;
    return (FLAGS_ARITHMETIC | FLAG_DF) & ~undefined;
}

/* Results that are undefined. */
static bool undefined_result(const struct test_case *test, const struct insn *insn)
{
    const struct opcode_row *row = &opcode_rows[insn->row];
    if (!strcmp(row->name, "BSWAP"))
        return insn->operand_bytes == 2;
    if (!strcmp(row->name, "SHLD") || !strcmp(row->name, "SHRD"))
        return insn->operand_bytes == 2 && shift_count(test, insn) > 16;
    return false;
}

static const char *compare_registers(const struct test_case *test, const struct machine_state *host,
                                     const struct machine_state *guest)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    uint64_t mask = test->code_bytes == 8 ? ~0ull : 0xffffffff;
    for (unsigned i = 0; i < (test->code_bytes == 8 ? 16 : 8); i++)
        if ((host->gpr[i] ^ guest->gpr[i]) & mask)
            return differ(names[i], host->gpr[i], guest->gpr[i]);
    return NULL;
}

static const char *compare_fx(const struct test_case *test, const struct fx_image *host,
                              const struct fx_image *guest)
{
    if (host->mxcsr != guest->mxcsr)
        return differ("mxcsr", host->mxcsr, guest->mxcsr);
    for (unsigned i = 0; i < (test->code_bytes == 8 ? 16 : 8); i++) {
        if (!memcmp(host->xmm[i], guest->xmm[i], 16))
            continue;
        uint64_t h[2], g[2];
        memcpy(h, host->xmm[i], 16);
        memcpy(g, guest->xmm[i], 16);
        snprintf(text, sizeof text, "xmm%u: host %016llx_%016llx, interpreter %016llx_%016llx", i,
                 (unsigned long long)h[1], (unsigned long long)h[0], (unsigned long long)g[1],
                 (unsigned long long)g[0]);
        return text;
    }
    if (host->fcw != guest->fcw)
        return differ("fcw", host->fcw, guest->fcw);
    if (host->fsw != guest->fsw)
        return differ("fsw", host->fsw, guest->fsw);
    if (host->ftw != guest->ftw)
        return differ("ftw", host->ftw, guest->ftw);
    for (unsigned i = 0; i < 8; i++) {
        if (!memcmp(host->st[i].bytes, guest->st[i].bytes, 10))
            continue;
        uint64_t h, g;
        uint16_t he, ge;
        memcpy(&h, host->st[i].bytes, 8);
        memcpy(&g, guest->st[i].bytes, 8);
        memcpy(&he, host->st[i].bytes + 8, 2);
        memcpy(&ge, guest->st[i].bytes + 8, 2);
        snprintf(text, sizeof text, "st%u: host %04x_%016llx, interpreter %04x_%016llx", i, he,
                 (unsigned long long)h, ge, (unsigned long long)g);
        return text;
    }
    return NULL;
}

/* Which of two operands of CMPS faults first, and whether ARPL reads before it
 * asks for writing, is the processor's choice; so is which byte of a masked
 * store. */
static const char *compare_page_fault(const struct insn *insn, const struct outcome *host,
                                      const struct outcome *guest)
{
    const char *name = opcode_rows[insn->row].name;
    if (host->address != guest->address && strcmp(name, "CMPS") && strncmp(name, "MASKMOV", 7))
        return differ("page fault at", host->address, guest->address);
    if ((host->error ^ guest->error) & 2 && strcmp(name, "ARPL"))
        return differ("page fault by a write", host->error, guest->error);
    return NULL;
}

const char *compare(const struct test_case *test, const struct outcome *host,
                    const struct outcome *guest)
{
    const struct insn *insn = guest_decode(test);
    const struct machine_state *h = &host->after, *g = &guest->after;
    const char *difference;
    if (host->vector != guest->vector) {
        snprintf(text, sizeof text, "vector (255: none): host %u error %x address %llx rip %llx, "
                 "interpreter %u error %x address %llx rip %llx", host->vector, host->error,
                 (unsigned long long)host->address, (unsigned long long)h->rip, guest->vector,
                 guest->error, (unsigned long long)guest->address, (unsigned long long)g->rip);
        return text;
    }
    if (host->vector == VECTOR_PF && (difference = compare_page_fault(insn, host, guest)) != NULL)
        return difference;
    if (h->rip != g->rip)
        return differ("rip", h->rip, g->rip);
    if (undefined_result(test, insn))
        return NULL;
    if ((difference = compare_registers(test, h, g)) != NULL)
        return difference;
    uint64_t mask = compared_flags(test, insn);
    if ((h->rflags ^ g->rflags) & mask)
        return differ("flags", h->rflags & mask, g->rflags & mask);
    if ((difference = compare_fx(test, &h->fx, &g->fx)) != NULL)
        return difference;
    for (unsigned i = 0; i < DATA_BYTES; i++) {
        if (h->data[i] == g->data[i])
            continue;
        snprintf(text, sizeof text, "memory at %llx: host %02x, interpreter %02x",
                 DATA_START + i, h->data[i], g->data[i]);
        return text;
    }
    return NULL;
}
