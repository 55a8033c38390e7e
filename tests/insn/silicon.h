/*
 * The silicon test: the same instruction with the same operands on the host's
 * CPU and in the interpreter, and both outcomes compared.
 *
 * A case runs at CPL 3 in 64-bit code, in 32-bit code (flat, or with segments from
 * the LDT) or in 16-bit code (a segment of 64 KiB). Its last byte is the last of a
 * page, and what follows may not be fetched: the page fault there tells that the
 * instruction completed, and checks its length.
 */
#ifndef INSN_SILICON_H
#define INSN_SILICON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define CODE_PAGE 0x10000000ull   /* where the instruction is, in the first page */
#define CODE_END (CODE_PAGE + 4096)
#define DATA_PAGES 2u
#define DATA_START 0x20000000ull
#define DATA_BYTES (DATA_PAGES * 4096u)
#define DATA_END (DATA_START + DATA_BYTES)
#define GS_BASE64 0x12345678ull /* GS's base in 64-bit code */

#define VECTOR_NONE 0xff

/* FXSAVE's image: ST0..7 by stack position, abridged tags. */
struct fx_image {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved1;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    struct { uint8_t bytes[10], pad[6]; } st[8];
    uint8_t xmm[16][16];
};
_Static_assert(sizeof(struct fx_image) == 416, "FXSAVE");

/* Registers and memory, before and after. */
struct machine_state {
    uint64_t gpr[16];
    uint64_t rip;     /* offset in the code segment */
    uint64_t rflags;
    struct fx_image fx;
    uint8_t ymm_high[16][16];
    uint8_t data[DATA_BYTES];
};

/* Segments that DS, ES, SS and GS get outside of 64-bit code; all but the flat one
 * and null are in the LDT, at this index. */
enum { CHOICE_FLAT, CHOICE_SMALL, CHOICE_EXACT, CHOICE_WIDE, CHOICE_READ_ONLY, CHOICE_DOWN,
       CHOICE_DOWN_WIDE, CHOICE_NULL, SEGMENT_CHOICES };
struct segment_choice {
    uint32_t base, limit;
    bool read_only, down, wide, null;
};
extern const struct segment_choice segment_choices[SEGMENT_CHOICES];

struct test_case {
    uint8_t code_bytes; /* 8, 4, 2 */
    uint8_t length;
    uint8_t bytes[16];  /* all of them when it is undefined or too long */
    uint16_t row;       /* of the opcode table, or ROW_INVALID */
    uint8_t segment[6]; /* CHOICE_* of ES, CS (not used), SS, DS, FS, GS */
    struct machine_state before;
};

struct outcome {
    uint8_t vector;     /* VECTOR_NONE: completed */
    bool ran;
    uint32_t error;
    uint64_t address;   /* #PF */
    struct machine_state after;
};

/* Deterministic random numbers. */
struct random {
    uint64_t state;
};
static inline uint64_t random_next(struct random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15ull);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}
/* 0..below-1 */
static inline unsigned random_below(struct random *random, unsigned below)
{
    return (unsigned)((random_next(random) >> 32) * below >> 32);
}
static inline bool random_percent(struct random *random, unsigned percent)
{
    return random_below(random, 100) < percent;
}

/* Base of the code segment. */
static inline uint64_t code_base(unsigned code_bytes) { return code_bytes == 2 ? CODE_PAGE : 0; }

/* guest.c: the interpreter. */
void guest_open(void);
void guest_run(const struct test_case *test, struct outcome *outcome);
/* Decodes test->bytes with the interpreter's decoder. */
struct insn;
/* From now on cases run translated where they can be; false: not on this host. */
bool guest_translate(void);
uint64_t guest_translations(void);
const struct insn *guest_decode(const struct test_case *test);
/* For silicon_consume.c: the vCPU, the state before a case, its data, and bytes at an
 * offset in the code page. */
struct cpu;
struct cpu *guest_cpu(void);
void guest_set(const struct test_case *test);
const uint8_t *guest_data(void);
void guest_write_code(unsigned offset, const uint8_t *bytes, unsigned length);

/* consume.c: runs the case among others that set and read flags, in random blocks,
 * interpreted and translated. NULL when both agree; else what differs. */
const char *guest_consume(const struct test_case *test, uint64_t seed);
/* The row of an instruction; a nameless one of what is undefined. */
struct opcode_row;
const struct opcode_row *row_of(const struct insn *insn);
/* XSAVE and its kin, and XRSTOR. */
bool row_has_image(const struct opcode_row *row);

/* host.c: the silicon. Runs `count` cases in a child process; outcomes of
 * cases that were not reached have ran == false. Returns how many it ran. */
bool host_open(void);
void *host_shared(size_t bytes); /* memory that the child shares */
unsigned host_run(const struct test_case *tests, struct outcome *outcomes, unsigned count);
bool host_has_feature(unsigned feature);
bool host_is_amd(void);
/* XSAVE's components of AVX-512, which no CPU model has, as far as this host uses them. */
uint64_t host_avx512(void);

/* generate.c: makes a case of `row`; false when this attempt is no good. */
bool generate(struct random *random, unsigned row, struct test_case *test);
/* What an offset in segment register `segment` is added to. */
uint64_t segment_base(const struct test_case *test, unsigned segment);
/* Why a row is never run, or NULL. */
const char *generate_refuses(unsigned row);

/* coverage.c: counts the cases that ran, and tells what never did: the rows that
 * could have, or with `all` every row and form. */
void coverage_open(void);
void coverage_add(const struct test_case *test);
void coverage_report(bool all);

/* compare.c: NULL when they agree; else what differs, in a static buffer. */
const char *compare(const struct test_case *test, const struct outcome *host,
                    const struct outcome *guest);

#endif
