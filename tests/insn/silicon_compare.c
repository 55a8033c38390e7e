/*
 * Compares the outcomes of a case. What the manual leaves undefined, or where
 * AMD and Intel differ, is not compared: the flags that the row names, and
 * what the table of allowances names.
 */
#include "silicon.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "cpu/decode.h"
#include "cpu/fp.h"
#include "cpu/opcode.h"

static char text[400];

/* What need not agree. */
#define FREE_PLACE 0x01     /* where inside its operands a page fault strikes */
#define FREE_WRITE 0x02     /* whether the page fault is by a write */
#define FREE_FAULT 0x04     /* registers, memory and x87 state after a fault */
#define FREE_CONDITION 0x08 /* x87 condition codes C0..C3 */
#define FREE_C1 0x10        /* only C1 */
#define FREE_LAST_BITS 0x20 /* the last bits of an x87 result, and PE, C1 */
#define FREE_APPROXIMATE 0x40 /* single precision, 11 bits */
#define FREE_ENVIRONMENT 0x80 /* stores pointers of the last x87 instruction */
#define FREE_MISALIGNED 0x100 /* #GP for MXCSR's bit 17, misaligned SSE mode: only AMD has it */
#define FREE_VECTOR 0x200    /* whether memory that is not needed is accessed */
#define FREE_TRANSITION 0x400 /* whether the MMX state is entered */
#define FREE_RANDOM 0x800    /* the value of ModRM.rm's register */
#define FREE_STEPS 0x1000    /* flags of the other steps when one raises #XM */
#define FREE_COMPONENTS 0x2000 /* components of AVX-512 in RAX */

static const struct { const char *prefix; unsigned free; } allowances[] = {
    { "CMPS", FREE_PLACE },
    { "ARPL", FREE_WRITE | FREE_VECTOR },
    { "MASKMOV", FREE_PLACE | FREE_FAULT | FREE_VECTOR },
    { "VMASKMOV", FREE_PLACE | FREE_FAULT | FREE_VECTOR },
    { "POPA", FREE_FAULT },
    { "VRCP", FREE_APPROXIMATE },
    { "VRSQRT", FREE_APPROXIMATE },
    { "RCP", FREE_APPROXIMATE },
    { "RSQRT", FREE_APPROXIMATE },
    { "CVTPI2PS", FREE_TRANSITION },
    { "CVTPS2PI", FREE_FAULT },
    { "CVTPD2PI", FREE_FAULT },
    { "CVTTPS2PI", FREE_FAULT },
    { "CVTTPD2PI", FREE_FAULT },
    { "FXSAVE", FREE_PLACE | FREE_FAULT | FREE_VECTOR | FREE_ENVIRONMENT },
    { "FXRSTOR", FREE_PLACE | FREE_FAULT | FREE_MISALIGNED },
    { "XSAVE", FREE_PLACE | FREE_FAULT | FREE_VECTOR | FREE_ENVIRONMENT },
    { "XRSTOR", FREE_PLACE | FREE_FAULT | FREE_MISALIGNED },
    { "XGETBV", FREE_COMPONENTS },
    { "LDMXCSR", FREE_MISALIGNED },
    { "VLDMXCSR", FREE_MISALIGNED },
    { "FBLD", FREE_PLACE },
    { "FNSAVE", FREE_PLACE | FREE_FAULT | FREE_ENVIRONMENT | FREE_CONDITION },
    { "FRSTOR", FREE_PLACE | FREE_FAULT },
    { "FNSTENV", FREE_PLACE | FREE_FAULT | FREE_ENVIRONMENT | FREE_CONDITION },
    { "FLDENV", FREE_PLACE | FREE_FAULT },
    { "VDPP", FREE_STEPS },
    { "RDRAND", FREE_RANDOM },
    { "RDSEED", FREE_RANDOM },
    { "FCMOV", FREE_CONDITION },
    { "FCOMI", FREE_CONDITION },
    { "FUCOMI", FREE_CONDITION },
    { "FFREE", FREE_CONDITION },
    { "F2XM1", FREE_LAST_BITS },
    { "FYL2X", FREE_LAST_BITS },
    { "FPTAN", FREE_LAST_BITS },
    { "FPATAN", FREE_LAST_BITS },
    { "FSIN", FREE_LAST_BITS },
    { "FCOS", FREE_LAST_BITS },
};

static unsigned allowed(const struct insn *insn)
{
    const char *name = row_of(insn)->name;
    unsigned found = 0;
    for (unsigned i = 0; i < sizeof allowances / sizeof allowances[0]; i++)
        if (!strncmp(name, allowances[i].prefix, strlen(allowances[i].prefix)))
            found |= allowances[i].free;
    /* 80 bits are accessed in pieces. */
    for (unsigned i = 0; i < 4; i++)
        if (row_of(insn)->operand[i] == OPERAND_Mt)
            found |= FREE_PLACE;
    return found;
}

static const char *differ(const char *what, uint64_t host, uint64_t guest)
{
    snprintf(text, sizeof text, "%s: host %llx, interpreter %llx", what, (unsigned long long)host,
             (unsigned long long)guest);
    return text;
}

/* The count of a shift, or -1 when `insn` is none with a variable count. */
static int shift_count(const struct test_case *test, const struct insn *insn)
{
    const struct opcode_row *row = row_of(insn);
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

static uint64_t compared_flags(const struct test_case *test, const struct insn *insn, unsigned fsw)
{
    const struct opcode_row *row = row_of(insn);
    uint64_t undefined = row->flags_undefined;
    int count = shift_count(test, insn);
    int bits = insn->operand_bytes * 8;
    if (count == 0)
        undefined = 0;
    else if (row->map == MAP_ONE && row->opcode >= 0xd8 && row->opcode < 0xe0 && fsw & FSW_ES)
        undefined |= FLAGS_ARITHMETIC; /* FCOMI with an unmasked exception: so do AMD's */
    else if (count == 1)
        undefined &= ~FLAG_OF;
    else if (count > bits || (count == bits && row->map == MAP_TWO))
        undefined |= FLAGS_ARITHMETIC;
    return (FLAGS_ARITHMETIC | FLAG_DF) & ~undefined;
}

/* Results that are undefined. */
static bool undefined_result(const struct test_case *test, const struct insn *insn,
                             const struct machine_state *host)
{
    const struct opcode_row *row = row_of(insn);
    uint16_t st0;
    memcpy(&st0, test->before.fx.st[0].bytes + 8, 2);
    if (!strcmp(row->name, "FYL2XP1"))
        return (st0 & 0x7fff) >= 0x3ffd;
    if (!strcmp(row->name, "F2XM1"))
        return (st0 & 0x7fff) >= 0x3fff;
    /* Of a denormal with DE unmasked: AMD's CPUs push it. */
    if (!strcmp(row->name, "FLD") && host->fx.fsw & FSW_ES && host->fx.fsw & ~host->fx.fcw & FP_DE)
        return true;
    /* The undocumented alias of FSTP and its kind. */
    if (!strcmp(row->name, "FSTP") && row->opcode == 0xd9 && insn->modrm >= 0xc0)
        return true;
    if (!strcmp(row->name, "BSWAP"))
        return insn->operand_bytes == 2;
    if (!strcmp(row->name, "SHLD") || !strcmp(row->name, "SHRD"))
        return insn->operand_bytes == 2 && shift_count(test, insn) > 16;
    return false;
}

static const char *compare_registers(const struct test_case *test, const struct insn *insn,
                                     const struct machine_state *host, const struct machine_state *guest,
                                     unsigned free)
{
    static const char *const names[16] = { "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                           "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15" };
    uint64_t mask = test->code_bytes == 8 ? ~0ull : 0xffffffff;
    for (unsigned i = 0; i < (test->code_bytes == 8 ? 16 : 8); i++) {
        uint64_t ignored = free & FREE_COMPONENTS && i == RAX ? host_avx512() : 0;
        if (free & FREE_RANDOM && i == insn->rm)
            continue;
        if ((host->gpr[i] ^ guest->gpr[i]) & mask & ~ignored)
            return differ(names[i], host->gpr[i], guest->gpr[i]);
    }
    return NULL;
}

/* Equal but for the low half of the significand, or both tiny. */
static bool near_single(uint32_t a, uint32_t b)
{
    if ((a & 0x7fffffff) < 0x01000000 && (b & 0x7fffffff) < 0x01000000)
        return true;
    int64_t distance = (int64_t)a - (int64_t)b;
    return a == b || ((a ^ b) >> 31 == 0 && llabs(distance) < 1 << 13);
}

static const char *compare_xmm(const struct test_case *test, const struct fx_image *host,
                               const struct fx_image *guest, unsigned free)
{
    for (unsigned i = 0; i < (test->code_bytes == 8 ? 16 : 8); i++) {
        uint64_t h[2], g[2];
        memcpy(h, host->xmm[i], 16);
        memcpy(g, guest->xmm[i], 16);
        bool same = h[0] == g[0] && h[1] == g[1];
        if (!same && free & FREE_APPROXIMATE)
            same = near_single((uint32_t)h[0], (uint32_t)g[0])
                   && near_single((uint32_t)(h[0] >> 32), (uint32_t)(g[0] >> 32))
                   && near_single((uint32_t)h[1], (uint32_t)g[1])
                   && near_single((uint32_t)(h[1] >> 32), (uint32_t)(g[1] >> 32));
        if (same)
            continue;
        snprintf(text, sizeof text, "xmm%u: host %016llx_%016llx, interpreter %016llx_%016llx", i,
                 (unsigned long long)h[1], (unsigned long long)h[0], (unsigned long long)g[1],
                 (unsigned long long)g[0]);
        return text;
    }
    return NULL;
}

static const char *compare_ymm(const struct test_case *test, const struct machine_state *host,
                               const struct machine_state *guest, unsigned free)
{
    struct fx_image h, g;
    if (!host_has_feature(FEATURE_AVX))
        return NULL;
    memcpy(h.xmm, host->ymm_high, sizeof h.xmm);
    memcpy(g.xmm, guest->ymm_high, sizeof g.xmm);
    const char *difference = compare_xmm(test, &h, &g, free);
    if (difference)
        memcpy(text, "ymm", 3);
    return difference;
}

static const char *compare_st(const struct fx_image *host, const struct fx_image *guest, unsigned free)
{
    for (unsigned i = 0; i < 8; i++) {
        uint64_t h, g;
        uint16_t he, ge;
        memcpy(&h, host->st[i].bytes, 8);
        memcpy(&g, guest->st[i].bytes, 8);
        memcpy(&he, host->st[i].bytes + 8, 2);
        memcpy(&ge, guest->st[i].bytes + 8, 2);
        if (h == g && he == ge)
            continue;
        /* As one number: the largest of a power of two is next to the next one's least. */
        int64_t apart = (int64_t)(((uint64_t)he << 63 | h << 1 >> 1) - ((uint64_t)ge << 63 | g << 1 >> 1));
        if (free & FREE_LAST_BITS && abs(he - ge) <= 1 && llabs(apart) < 16)
            continue;
        snprintf(text, sizeof text, "st%u: host %04x_%016llx, interpreter %04x_%016llx", i, he,
                 (unsigned long long)h, ge, (unsigned long long)g);
        return text;
    }
    return NULL;
}

/* `free_pe`: OE, UE and PE, which are open when another exception was unmasked. */
static const char *compare_fx(const struct test_case *test, const struct fx_image *host,
                              const struct fx_image *guest, unsigned free, bool free_pe)
{
    unsigned status = 0xffff;
    const char *difference;
    if (free & FREE_CONDITION)
        status &= ~0x4700u;
    if (free & FREE_TRANSITION)
        status &= ~0x3800u;
    /* An invalid operand leaves them undefined; when the exception is unmasked, AMD's
     * CPUs write the condition codes nevertheless. */
    if (host->fsw & (FP_IE | FSW_ES))
        status &= ~0x4700u;
    if (free & (FREE_C1 | FREE_LAST_BITS))
        status &= ~0x0200u;
    /* AMD's CPUs call exact results inexact too. */
    if (free & FREE_LAST_BITS)
        status &= host->fcw & FP_PE ? ~0x0020u : ~0x80a0u;
    /* x / 0 where x is denormal: ZE comes before DE. */
    if (host->fsw & 4)
        status &= ~0x0002u;
    uint32_t control = free_pe ? free & FREE_STEPS ? ~0x3fu : ~0x38u : ~0u;
    if ((host->mxcsr ^ guest->mxcsr) & control)
        return differ("mxcsr", host->mxcsr, guest->mxcsr);
    if ((difference = compare_xmm(test, host, guest, free)) != NULL)
        return difference;
    if (host->fcw != guest->fcw)
        return differ("fcw", host->fcw, guest->fcw);
    if ((host->fsw ^ guest->fsw) & status)
        return differ("fsw", host->fsw, guest->fsw);
    if (host->ftw != guest->ftw && !(free & FREE_TRANSITION))
        return differ("ftw", host->ftw, guest->ftw);
    return free & FREE_TRANSITION ? NULL : compare_st(host, guest, free);
}

/* FLDCW, FLDENV, FRSTOR: what they load may call for an exception. */
static bool is_control(const struct insn *insn)
{
    const char *name = row_of(insn)->name;
    return !strcmp(name, "FLDCW") || !strcmp(name, "FLDENV") || !strcmp(name, "FRSTOR")
           || !strcmp(name, "FNSTENV") || !strcmp(name, "FNSAVE");
}

/* The x87's pointers and opcode of an instruction that raised an unmasked exception;
 * without one AMD's CPUs do not tell them. Where the exception itself may differ,
 * so may they. */
static const char *compare_pointers(const struct test_case *test, const struct insn *insn,
                                    const struct fx_image *host, const struct fx_image *guest)
{
    uint64_t mask = test->code_bytes == 8 ? ~0ull : 0xffffffff;
    if (!(host->fsw & guest->fsw & ~test->before.fx.fsw & FSW_ES) || row_of(insn)->feature == FEATURE_FXSR
        || row_of(insn)->feature == FEATURE_XSAVE)
        return NULL;
    if (row_of(insn)->opcode < 0xd8 || is_control(insn))
        return NULL;
    if (host->fop != guest->fop)
        return differ("fop", host->fop, guest->fop);
    if ((host->fip ^ guest->fip) & mask)
        return differ("fip", host->fip, guest->fip);
    if (insn->modrm < 0xc0 && (host->fdp ^ guest->fdp) & mask)
        return differ("fdp", host->fdp, guest->fdp);
    return NULL;
}

/* Offset in the data pages of the memory operand. */
static uint64_t operand_offset(const struct test_case *test, const struct insn *insn)
{
    const uint64_t *gpr = test->before.gpr;
    uint64_t sum = (uint64_t)insn->disp;
    if (insn->base < RIP)
        sum += gpr[insn->base];
    else if (insn->base == RIP)
        sum += test->before.rip;
    if (insn->index < RIP)
        sum += gpr[insn->index] << insn->scale;
    return (sum & (~0ull >> insn->address_shift)) + segment_base(test, insn->segment) - DATA_START;
}

/* Whether byte `i` of the image that FNSTENV, FNSAVE or FXSAVE stored is free:
 * opcode and pointers of the last x87 instruction, and what is reserved. */
static bool environment_byte(const struct insn *insn, uint64_t i)
{
    if (strstr(row_of(insn)->name, "XSAVE"))
        return (i >= 6 && i < 24) || (i >= 28 && i < 32) || (i >= 416 && i < 512);
    return insn->operand_bytes == 2 ? i >= 6 && i < 14 : (i >= 12 && i < 28) || i == 2 || i == 3
                                                             || i == 6 || i == 7 || i == 10 || i == 11;
}

static const char *compare_memory(const struct test_case *test, const struct insn *insn,
                                  const uint8_t *host, const uint8_t *guest, unsigned free)
{
    uint64_t operand = operand_offset(test, insn);
    if (!memcmp(host, guest, DATA_BYTES))
        return NULL;
    for (unsigned i = 0; i < DATA_BYTES; i++) {
        if (host[i] == guest[i])
            continue;
        if (free & FREE_ENVIRONMENT && environment_byte(insn, i - operand))
            continue;
        snprintf(text, sizeof text, "memory at %llx (operand + %llx): host %02x, interpreter %02x",
                 DATA_START + i, (unsigned long long)(i - operand), host[i], guest[i]);
        return text;
    }
    return NULL;
}

static bool is_address_fault(const struct outcome *outcome)
{
    return outcome->vector == VECTOR_PF || outcome->vector == VECTOR_SS || outcome->vector == VECTOR_GP;
}

/* Two faults of which the processor chooses one. */
static bool either_vector(const struct test_case *test, const struct insn *insn, const struct outcome *host,
                          const struct outcome *guest, unsigned free)
{
    const struct opcode_row *row = row_of(insn);
    if (row->map == MAP_TWO && row->opcode >= 0x20 && row->opcode <= 0x23)
        return host->vector == VECTOR_UD && guest->vector == VECTOR_GP;
    /* Too long, or undefined: how long would it be then? */
    if (insn->row == ROW_INVALID)
        return (host->vector == VECTOR_GP || host->vector == VECTOR_UD) && test->bytes[3] != 0x0f;
    /* The push or the target first. */
    if (!strcmp(row->name, "CALL"))
        return (host->vector == VECTOR_PF || host->vector == VECTOR_SS) && guest->vector == VECTOR_GP;
    /* Operands in pieces, or read before written: part of it forbidden or
     * misaligned, part not mapped or not canonical. */
    if (free & (FREE_PLACE | FREE_WRITE))
        return is_address_fault(host) && is_address_fault(guest);
    /* Beyond 4 GiB, and not mapped. */
    return insn->code_bytes != 8 && host->vector == VECTOR_PF && guest->vector == VECTOR_GP
           && host->address >= 0xffffff00;
}

static const char *compare_fault(const struct test_case *test, const struct insn *insn, const struct outcome *host,
                                 const struct outcome *guest, unsigned free)
{
    if (host->vector != guest->vector) {
        if (either_vector(test, insn, host, guest, free))
            return NULL;
        if (free & FREE_VECTOR && (host->vector == VECTOR_NONE || guest->vector == VECTOR_NONE))
            return NULL;
        snprintf(text, sizeof text, "vector (255: none): host %u error %x address %llx rip %llx, "
                 "interpreter %u error %x address %llx rip %llx", host->vector, host->error,
                 (unsigned long long)host->address, (unsigned long long)host->after.rip,
                 guest->vector, guest->error, (unsigned long long)guest->address,
                 (unsigned long long)guest->after.rip);
        return text;
    }
    if (host->vector != VECTOR_PF)
        return NULL;
    if (host->address != guest->address && !(free & FREE_PLACE))
        return differ("page fault at", host->address, guest->address);
    if ((host->error ^ guest->error) & 2 && !(free & FREE_WRITE))
        return differ("page fault by a write", host->error, guest->error);
    return NULL;
}

const char *compare(const struct test_case *test, const struct outcome *host,
                    const struct outcome *guest)
{
    const struct insn *insn = guest_decode(test);
    const struct machine_state *h = &host->after, *g = &guest->after;
    unsigned free = allowed(insn);
    const char *difference;
    if (row_has_image(row_of(insn)) && test->before.gpr[RAX] & host_avx512())
        return NULL; /* the host saves or loads what the guest has not */
    if (free & FREE_MISALIGNED && h->fx.mxcsr & 0x20000 && guest->vector == VECTOR_GP)
        return NULL;
    if ((difference = compare_fault(test, insn, host, guest, free)) != NULL)
        return difference;
    if (host->vector != guest->vector)
        return NULL;
    if (h->rip != g->rip)
        return differ("rip", h->rip, g->rip);
    if (undefined_result(test, insn, h) || (host->vector != VECTOR_NONE && free & FREE_FAULT))
        return NULL;
    if ((difference = compare_registers(test, insn, h, g, free)) != NULL)
        return difference;
    uint64_t mask = compared_flags(test, insn, h->fx.fsw);
    if ((h->rflags ^ g->rflags) & mask)
        return differ("flags", h->rflags & mask, g->rflags & mask);
    if ((difference = compare_fx(test, &h->fx, &g->fx, free, host->vector == VECTOR_XM)) != NULL)
        return difference;
    if ((difference = compare_pointers(test, insn, &h->fx, &g->fx)) != NULL)
        return difference;
    if ((difference = compare_ymm(test, h, g, free)) != NULL)
        return difference;
    return compare_memory(test, insn, h->data, g->data, free);
}
