/*
 * x87, MMX and SSE as instructions: availability, exceptions, register
 * aliasing, saved images. Instructions are decoded and executed one by one in
 * a vCPU at CPL 0; values are test_fp's and the silicon test's business.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "call_handler.h"
#include "cpu/cpu.h"
#include "cpu/engine.h"
#include "cpu/fp.h"
#include "cpu/memory.h"

enum { PAGE_PML4 = 1, PAGE_PDPT, PAGE_PD };
#define AREA 0x8000u
#define DATA 0x9000u
#define NO_FAULT 0xffu

struct fixture {
    struct physmem memory;
    struct cpu_model model;
    struct engine *engine;
    struct cpu *cpu;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    memset(f->model.features, 0xff, sizeof f->model.features);
    f->model.physical_bits = 40;
    f->model.linear_bits = 48;
    f->model.cpu_count = 1;
    assert_int_equal(physmem_init(&f->memory, 1 << 20, 4096, 0xc0000000), 0);
    f->engine = engine_create(&f->memory, &f->model);
    f->cpu = aligned_alloc(64, (sizeof *f->cpu + 63) / 64 * 64);
    memset(f->cpu, 0, sizeof *f->cpu);
    f->cpu->model = &f->model;
    engine_add_cpu(f->engine, f->cpu);
    cpu_reset(f->cpu);
    for (unsigned i = 0; i < 256; i++)
        physmem_map_low(&f->memory, i, i, i);
    physmem_remapped(&f->memory);
    /* The first 2 MiB, mapped one to one. */
    store64(physmem_host(&f->memory, PAGE_PML4), PAGE_PDPT << 12 | 3);
    store64(physmem_host(&f->memory, PAGE_PDPT), PAGE_PD << 12 | 3);
    store64(physmem_host(&f->memory, PAGE_PD), 0x83);
    struct cpu_state *s = &f->cpu->s;
    s->cr0 = CR0_PE | CR0_PG | CR0_NE | CR0_MP;
    s->cr3 = PAGE_PML4 << 12;
    s->cr4 = CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    s->xcr0 = 7;
    s->efer = EFER_LME | EFER_LMA;
    s->seg[CS] = (struct segment){ 0, 0xffffffff, 8, SEGMENT_P | SEGMENT_S | SEGMENT_CODE
                                   | SEGMENT_READABLE | SEGMENT_ACCESSED | SEGMENT_L | SEGMENT_G };
    s->gpr[RBX] = DATA;
    s->gpr[RDI] = AREA;
    cpu_update_mode(f->cpu);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    engine_destroy(f->engine);
    physmem_free(&f->memory);
    free(f->cpu);
    free(f);
    return 0;
}

/* Executes one instruction at RIP 0x1000; the vector raised, or NO_FAULT. */
static unsigned run(struct fixture *f, const char *bytes, unsigned length)
{
    struct insn insn;
    struct cpu *cpu = f->cpu;
    assert_int_equal(decode(&f->engine->decoder, cpu->code_bytes, (const uint8_t *)bytes, length, 0,
                            &insn), DECODE_OK);
    assert_int_not_equal(insn.row, ROW_INVALID);
    assert_int_equal(insn.length, length);
    cpu->s.gpr[RIP] = 0x1000;
    return call_handler(cpu, &insn) ? cpu->exception.vector : NO_FAULT;
}
#define RUN(bytes) run(f, bytes, sizeof bytes - 1)
#define OK(bytes) assert_int_equal(RUN(bytes), NO_FAULT)
#define FAULTS(bytes, vector) assert_int_equal(RUN(bytes), vector)

static uint8_t *at(struct fixture *f, unsigned address)
{
    return physmem_host(&f->memory, 0) + address;
}

#define FNINIT "\xdb\xe3"
#define FLD1 "\xd9\xe8"
#define FLDZ "\xd9\xee"
#define FDIVP "\xde\xf9"
#define FADD_ST0 "\xd8\xc0"
#define FNSTENV_RDI "\xd9\x37"
#define FXSAVE_RDI "\x0f\xae\x07"
#define FXRSTOR_RDI "\x0f\xae\x0f"
#define XSAVE_RDI "\x0f\xae\x27"
#define XRSTOR_RDI "\x0f\xae\x2f"
#define XSAVEOPT_RDI "\x0f\xae\x37"
#define XSAVEC_RDI "\x0f\xc7\x27"
#define PADDB_MM1_MM2 "\x0f\xfc\xca"
#define ADDPS_XMM0_XMM1 "\x0f\x58\xc1"
#define MOVAPS_XMM0_RBX "\x0f\x28\x03"

static void test_availability(void **state)
{
    struct fixture *f = *state;
    f->cpu->s.cr0 |= CR0_TS;
    FAULTS(FLD1, VECTOR_NM);
    FAULTS(FNINIT, VECTOR_NM);
    FAULTS("\x9b", VECTOR_NM);
    FAULTS(PADDB_MM1_MM2, VECTOR_NM);
    FAULTS(ADDPS_XMM0_XMM1, VECTOR_NM);
    FAULTS(FXSAVE_RDI, VECTOR_NM);
    FAULTS(XSAVE_RDI, VECTOR_NM);
    OK("\x0f\xae\xf0"); /* MFENCE */
    f->cpu->s.cr0 &= ~CR0_MP;
    OK("\x9b");
    f->cpu->s.cr0 = (f->cpu->s.cr0 & ~CR0_TS) | CR0_EM;
    FAULTS(FLD1, VECTOR_NM);
    FAULTS(PADDB_MM1_MM2, VECTOR_UD);
    FAULTS(ADDPS_XMM0_XMM1, VECTOR_UD);
    f->cpu->s.cr0 &= ~CR0_EM;
    f->cpu->s.cr4 = CR4_PAE;
    FAULTS(ADDPS_XMM0_XMM1, VECTOR_UD);
    FAULTS(XSAVE_RDI, VECTOR_UD);
    OK(PADDB_MM1_MM2);
}

static void test_alignment(void **state)
{
    struct fixture *f = *state;
    OK(MOVAPS_XMM0_RBX);
    f->cpu->s.gpr[RBX]++;
    FAULTS(MOVAPS_XMM0_RBX, VECTOR_GP);
    FAULTS("\x0f\x58\x03", VECTOR_GP); /* ADDPS xmm0, [rbx] */
    OK("\x0f\x10\x03");             /* MOVUPS */
    OK("\xf3\x0f\x58\x03");         /* ADDSS */
    f->cpu->s.gpr[RDI] += 8;
    FAULTS(FXSAVE_RDI, VECTOR_GP);
    f->cpu->s.gpr[RDI] += 8;
    OK(FXSAVE_RDI);
    FAULTS(XSAVE_RDI, VECTOR_GP);
}

/* An unmasked exception waits for the next waiting instruction. */
static void test_pending_exception(void **state)
{
    struct fixture *f = *state;
    struct cpu_state *s = &f->cpu->s;
    OK(FNINIT);
    s->fcw &= (uint16_t)~FP_ZE;
    OK(FLD1);
    OK(FLDZ);
    OK(FDIVP);
    assert_int_equal(s->fsw & (FP_ZE | FSW_ES | FSW_B), FP_ZE | FSW_ES | FSW_B);
    assert_int_equal(s->fop, 0x6f9);
    assert_int_equal(s->fip, 0x1000);
    assert_int_equal(s->fsw >> FSW_TOP_SHIFT & 7, 6); /* nothing was popped */
    FAULTS(FLD1, VECTOR_MF);
    FAULTS("\x9b", VECTOR_MF);
    FAULTS(PADDB_MM1_MM2, VECTOR_MF);
    OK(ADDPS_XMM0_XMM1);
    OK("\xdf\xe0"); /* FNSTSW AX does not wait */
    assert_int_equal(s->gpr[RAX] & FSW_ES, FSW_ES);
    OK("\xdb\xe2"); /* FNCLEX */
    assert_int_equal(s->fsw & (FP_EXCEPTIONS | FSW_ES | FSW_B), 0);
    OK(FLD1);
}

/* Where the unmasked exception came from: FDP changes only with an operand in memory. */
static void test_pointers_of_exceptions(void **state)
{
    struct fixture *f = *state;
    struct cpu_state *s = &f->cpu->s;

    for (unsigned modrm = 0; modrm < 256; modrm++) {
        char code[3] = { (char)0xd8, (char)modrm, 0 };
        if (modrm != 0x03 && (modrm < 0xc0 || modrm > 0xc7))
            continue; /* FADD of m32 at rbx, or of a register */
        OK(FNINIT);
        for (unsigned i = 0; i < 8; i++)
            OK(FLDZ);
        for (unsigned i = 0; i < 8; i++)
            s->x87[i] = (struct x87_register){ 1ull << 63 | 1, 0x7fff, { 0 } }; /* SNaNs */
        store32(at(f, DATA), 0x7f800001);
        s->fcw &= (uint16_t)~FP_IE;
        s->fdp = 0x123456789;
        assert_int_equal(run(f, code, 2), NO_FAULT);
        assert_int_equal(s->fsw & (FP_IE | FSW_ES), FP_IE | FSW_ES);
        assert_int_equal(s->fop, modrm);
        assert_int_equal(s->fip, 0x1000);
        assert_true(s->fdp == (modrm < 0xc0 ? DATA : 0x123456789));
    }
}

/* Masked by FLDCW afterwards, or unmasked. */
static void test_summary_follows_masks(void **state)
{
    struct fixture *f = *state;
    OK(FNINIT);
    OK(FLD1);
    OK(FLDZ);
    OK(FDIVP);
    assert_int_equal(f->cpu->s.fsw & FSW_ES, 0);
    store16(at(f, DATA), FCW_DEFAULT & ~FP_ZE);
    OK("\xd9\x2b"); /* FLDCW [rbx] */
    assert_int_equal(f->cpu->s.fsw & FSW_ES, FSW_ES);
    FAULTS(FLD1, VECTOR_MF);
}

static void test_stack_faults(void **state)
{
    struct fixture *f = *state;
    struct cpu_state *s = &f->cpu->s;
    OK(FNINIT);
    OK(FADD_ST0); /* underflow: the default NaN */
    assert_int_equal(s->fsw & 0x7f, FP_IE | FSW_SF);
    assert_int_equal(s->fsw & FSW_C1, 0);
    assert_int_equal(s->x87[0].sign_exponent, 0xffff);
    OK(FNINIT);
    for (unsigned i = 0; i < 8; i++)
        OK(FLD1);
    assert_int_equal(s->fsw, 0);
    OK(FLDZ);
    assert_int_equal(s->fsw & (0x7f | FSW_C1), FP_IE | FSW_SF | FSW_C1);
    assert_int_equal(s->x87[7].significand, 0xc000000000000000);
    OK(FNINIT);
    s->fcw &= (uint16_t)~FP_IE;
    OK("\xdd\x1b"); /* FSTP m64: unmasked, nothing is written */
    assert_int_equal(s->fsw >> FSW_TOP_SHIFT & 7, 0);
    assert_int_equal(load64(at(f, DATA)), 0);
}

static void test_environment(void **state)
{
    struct fixture *f = *state;
    OK(FNINIT);
    OK(FLD1);
    OK(FLDZ);
    f->cpu->s.fcw = FCW_DEFAULT & ~FP_PE;
    OK(FNSTENV_RDI);
    assert_int_equal(load32(at(f, AREA)), 0xffff035f);
    assert_int_equal(load32(at(f, AREA + 4)), 0xffff3000);
    assert_int_equal(load32(at(f, AREA + 8)), 0xffff1fff); /* R7 valid, R6 zero */
    assert_int_equal(load32(at(f, AREA + 12)), 0x1000);
    assert_int_equal(f->cpu->s.fcw, FCW_DEFAULT);
    OK("\xdd\x37"); /* FNSAVE [rdi] */
    assert_int_equal(f->cpu->s.ftw, 0xffff);
    assert_int_equal(load16(at(f, AREA + 28 + 8)), 0);
    assert_int_equal(load16(at(f, AREA + 28 + 10 + 8)), 0x3fff);
    OK("\xdd\x27"); /* FRSTOR [rdi] */
    assert_int_equal(f->cpu->s.fsw, 0x3000);
    assert_int_equal(f->cpu->s.x87[7].sign_exponent, 0x3fff);
    OK("\x66\xd9\x37"); /* 16-bit FNSTENV */
    assert_int_equal(load16(at(f, AREA + 2)), 0x3000);
    assert_int_equal(load16(at(f, AREA + 4)), 0x1fff);
    assert_int_equal(load16(at(f, AREA + 6)), 0x1000);
}

static void test_mmx_aliases_x87(void **state)
{
    struct fixture *f = *state;
    struct cpu_state *s = &f->cpu->s;
    OK(FNINIT);
    OK(FLD1);
    s->x87[1].significand = 0x0102030405060708;
    s->x87[2].significand = 0x0101010101010101;
    OK(PADDB_MM1_MM2);
    assert_int_equal(s->x87[1].significand, 0x0203040506070809);
    assert_int_equal(s->x87[1].sign_exponent, 0xffff);
    assert_int_equal(s->fsw & FSW_TOP, 0);
    assert_int_equal(s->ftw, 0);
    OK("\x0f\x77"); /* EMMS */
    assert_int_equal(s->ftw, 0xffff);
}

/* The upper half of YMM is nothing to SSE. */
static void test_upper_half_stays(void **state)
{
    struct fixture *f = *state;
    memset(f->cpu->s.vector[0] + 16, 0x5a, 16);
    OK(MOVAPS_XMM0_RBX);
    OK(ADDPS_XMM0_XMM1);
    OK("\x66\x0f\xef\xc0"); /* PXOR */
    for (unsigned i = 16; i < 32; i++)
        assert_int_equal(f->cpu->s.vector[0][i], 0x5a);
}

static void test_vector_exceptions(void **state)
{
    struct fixture *f = *state;
    struct cpu_state *s = &f->cpu->s;
    uint8_t before[32];
    store32(s->vector[0], 0x7f7fffff);
    store32(s->vector[1], 0x7f7fffff);
    store32(s->vector[0] + 4, 0x7f800001); /* SNaN */
    memcpy(before, s->vector[0], sizeof before);
    s->mxcsr = MXCSR_DEFAULT & ~(FP_OE << MXCSR_MASK_SHIFT);
    FAULTS(ADDPS_XMM0_XMM1, VECTOR_XM);
    assert_memory_equal(s->vector[0], before, sizeof before);
    assert_int_equal(s->mxcsr & FP_EXCEPTIONS & ~FP_PE, FP_OE | FP_IE);
    s->mxcsr = MXCSR_DEFAULT & ~(FP_IE << MXCSR_MASK_SHIFT);
    FAULTS(ADDPS_XMM0_XMM1, VECTOR_XM);
    assert_int_equal(s->mxcsr & FP_EXCEPTIONS, FP_IE); /* no result was tried */
    s->cr4 &= ~CR4_OSXMMEXCPT;
    FAULTS(ADDPS_XMM0_XMM1, VECTOR_UD);
    s->mxcsr = MXCSR_DEFAULT;
    OK(ADDPS_XMM0_XMM1);
    assert_int_equal(s->mxcsr, MXCSR_DEFAULT | FP_IE | FP_OE | FP_PE);
    assert_int_equal(load32(s->vector[0] + 4), 0x7fc00001);
}

static void test_mxcsr(void **state)
{
    struct fixture *f = *state;
    store32(at(f, DATA), 0x10000);
    FAULTS("\x0f\xae\x13", VECTOR_GP); /* LDMXCSR */
    store32(at(f, DATA), 0xffff);
    OK("\x0f\xae\x13");
    assert_int_equal(f->cpu->s.mxcsr, 0xffff);
    store32(at(f, DATA), 0);
    OK("\x0f\xae\x1b"); /* STMXCSR */
    assert_int_equal(load32(at(f, DATA)), 0xffff);
}

static void fill_state(struct fixture *f)
{
    struct cpu_state *s = &f->cpu->s;
    OK(FNINIT);
    OK(FLD1);
    for (unsigned i = 0; i < 16; i++)
        memset(s->vector[i], (int)(i + 1), 32);
    s->mxcsr = 0x1fa0;
}

static void clear_state(struct fixture *f)
{
    struct cpu_state *s = &f->cpu->s;
    OK(FNINIT);
    memset(s->x87, 0, sizeof s->x87);
    memset(s->vector, 0, sizeof s->vector);
    s->mxcsr = MXCSR_DEFAULT;
}

static void test_fxsave(void **state)
{
    struct fixture *f = *state;
    fill_state(f);
    memset(at(f, AREA), 0xee, 512);
    OK(FXSAVE_RDI);
    assert_int_equal(load16(at(f, AREA)), FCW_DEFAULT);
    assert_int_equal(load16(at(f, AREA + 2)), 7 << FSW_TOP_SHIFT);
    assert_int_equal(*at(f, AREA + 4), 0x80);
    assert_int_equal(load32(at(f, AREA + 24)), 0x1fa0);
    assert_int_equal(load32(at(f, AREA + 28)), 0xffff);
    assert_int_equal(load16(at(f, AREA + 32 + 8)), 0x3fff);
    assert_int_equal(*at(f, AREA + 160 + 15 * 16), 16);
    assert_int_equal(*at(f, AREA + 416), 0xee);
    struct cpu_state saved = f->cpu->s;
    clear_state(f);
    OK(FXRSTOR_RDI);
    assert_memory_equal(saved.x87, f->cpu->s.x87, sizeof saved.x87);
    assert_int_equal(saved.ftw, f->cpu->s.ftw);
    for (unsigned i = 0; i < 16; i++)
        assert_memory_equal(saved.vector[i], f->cpu->s.vector[i], 16);
    store32(at(f, AREA + 24), 0x10000);
    clear_state(f);
    FAULTS(FXRSTOR_RDI, VECTOR_GP);
    assert_int_equal(f->cpu->s.fsw, 0);
}

static void select_components(struct fixture *f, uint32_t mask)
{
    f->cpu->s.gpr[RAX] = mask;
    f->cpu->s.gpr[RDX] = 0;
}

static void test_xsave(void **state)
{
    struct fixture *f = *state;
    memset(at(f, AREA), 0, 1024);
    fill_state(f);
    select_components(f, 7);
    OK(XSAVE_RDI);
    assert_int_equal(load64(at(f, AREA + 512)), 7);
    assert_int_equal(load64(at(f, AREA + 520)), 0);
    assert_int_equal(*at(f, AREA + 576 + 15 * 16), 16);
    struct cpu_state saved = f->cpu->s;
    clear_state(f);
    select_components(f, 6);
    OK(XRSTOR_RDI);
    assert_memory_equal(saved.vector, f->cpu->s.vector, sizeof saved.vector);
    assert_int_equal(f->cpu->s.mxcsr, 0x1fa0);
    assert_int_equal(f->cpu->s.ftw, 0xffff);
    /* XSTATE_BV clear: the component gets its initial value. */
    store64(at(f, AREA + 512), 1);
    select_components(f, 7);
    OK(XRSTOR_RDI);
    assert_int_equal(f->cpu->s.vector[3][0], 0);
    assert_int_equal(f->cpu->s.vector[3][16], 0);
    assert_int_equal(f->cpu->s.x87[7].sign_exponent, 0x3fff);
    /* XSAVE of some components leaves the others' bits. */
    select_components(f, 2);
    OK(XSAVE_RDI);
    assert_int_equal(load64(at(f, AREA + 512)), 1);
}

static void test_xsaveopt_skips_initial(void **state)
{
    struct fixture *f = *state;
    memset(at(f, AREA), 0xee, 512);
    memset(at(f, AREA + 512), 0, 512);
    clear_state(f);
    memset(f->cpu->s.vector[1], 1, 16);
    select_components(f, 7);
    OK(XSAVEOPT_RDI);
    assert_int_equal(load64(at(f, AREA + 512)), 2);
    assert_int_equal(load16(at(f, AREA)), 0xeeee);
    assert_int_equal(load32(at(f, AREA + 24)), MXCSR_DEFAULT);
    assert_int_equal(*at(f, AREA + 160 + 16), 1);
}

static void test_xsavec(void **state)
{
    struct fixture *f = *state;
    memset(at(f, AREA), 0, 1024);
    fill_state(f);
    select_components(f, 3);
    OK(XSAVEC_RDI);
    assert_int_equal(load64(at(f, AREA + 512)), 3);
    assert_int_equal(load64(at(f, AREA + 520)), 1ull << 63 | 3);
    clear_state(f);
    OK(XRSTOR_RDI);
    assert_int_equal(f->cpu->s.mxcsr, 0x1fa0);
    assert_int_equal(f->cpu->s.vector[15][15], 16);
    /* In the compact form a component not saved resets MXCSR as well. */
    store64(at(f, AREA + 512), 1);
    OK(XRSTOR_RDI);
    assert_int_equal(f->cpu->s.mxcsr, MXCSR_DEFAULT);
}

static void test_xrstor_checks_header(void **state)
{
    struct fixture *f = *state;
    memset(at(f, AREA), 0, 1024);
    store32(at(f, AREA + 24), MXCSR_DEFAULT);
    select_components(f, 7);
    OK(XRSTOR_RDI);
    store64(at(f, AREA + 512), 8);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
    store64(at(f, AREA + 512), 0);
    store64(at(f, AREA + 520), 1);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
    store64(at(f, AREA + 520), 1ull << 63 | 1);
    OK(XRSTOR_RDI);
    store64(at(f, AREA + 512), 2);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
    store64(at(f, AREA + 512), 1ull << 63 | 1);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
    store64(at(f, AREA + 512), 1);
    store64(at(f, AREA + 528), 1);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
    store64(at(f, AREA + 512), 0);
    store64(at(f, AREA + 520), 0);
    store64(at(f, AREA + 528), 0);
    store32(at(f, AREA + 24), 0x20000);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
}

/* FBSTP and FBLD are each other's inverse. */
static void test_decimal(void **state)
{
    struct fixture *f = *state;
    static const uint8_t digits[10] = { 0x90, 0x78, 0x56, 0x34, 0x12, 0x99, 0x99, 0x99, 0x99, 0x80 };
    OK(FNINIT);
    memcpy(at(f, DATA), digits, 10);
    OK("\xdf\x23"); /* FBLD [rbx] */
    memset(at(f, DATA), 0, 10);
    OK("\xdf\x33"); /* FBSTP [rbx] */
    assert_memory_equal(at(f, DATA), digits, 10);
    assert_int_equal(f->cpu->s.ftw, 0xffff);
    OK(FLD1);
    f->cpu->s.x87[7].sign_exponent = 0x4040;
    OK("\xdf\x33");
    assert_int_equal(load16(at(f, DATA + 8)), 0xffff);
    assert_int_equal(load64(at(f, DATA)), 0xc000000000000000);
    assert_int_equal(f->cpu->s.fsw & FP_EXCEPTIONS, FP_IE);
}

#define VADDPS_YMM0_YMM0_YMM1 "\xc5\xfc\x58\xc1"
#define VADDPS_YMM0_YMM0_RBX "\xc5\xfc\x58\x03"
#define VMOVAPS_YMM0_RBX "\xc5\xfc\x28\x03"
#define VMOVUPS_XMM0_XMM1 "\xc5\xf8\x10\xc1"
#define VGATHERDPS_YMM0 "\xc4\xe2\x6d\x92\x04\x8b" /* [rbx + ymm1 * 4], ymm2 */
#define VCOMISS_XMM0_XMM1 "\xc5\xf8\x2f\xc1"

/* Vectors with VEX go by XCR0 and CR4.OSXSAVE, not by EM and OSFXSR. */
static void test_avx_availability(void **state)
{
    struct fixture *f = *state;
    struct cpu_state *s = &f->cpu->s;
    s->cr0 |= CR0_EM;
    s->cr4 &= ~CR4_OSFXSR;
    OK(VADDPS_YMM0_YMM0_YMM1);
    OK(VCOMISS_XMM0_XMM1); /* shares the handler of COMISS */
    FAULTS("\x0f\x2f\xc1", VECTOR_UD);
    s->cr0 |= CR0_TS;
    FAULTS(VADDPS_YMM0_YMM0_YMM1, VECTOR_NM);
    s->xcr0 = 3;
    FAULTS(VADDPS_YMM0_YMM0_YMM1, VECTOR_UD);
    OK("\xc4\xe2\x70\xf2\xc2"); /* ANDN eax, ecx, edx */
    s->xcr0 = 7;
    s->cr4 &= ~CR4_OSXSAVE;
    FAULTS(VADDPS_YMM0_YMM0_YMM1, VECTOR_UD);
}

/* Alignment only where the name says so; zeros above the vector length. */
static void test_avx_operands(void **state)
{
    struct fixture *f = *state;
    memset(at(f, DATA), 0, 64);
    OK(VMOVAPS_YMM0_RBX);
    f->cpu->s.gpr[RBX] += 16;
    FAULTS(VMOVAPS_YMM0_RBX, VECTOR_GP);
    OK("\xc5\xf8\x28\x03"); /* VMOVAPS xmm0, [rbx] */
    OK(VADDPS_YMM0_YMM0_RBX);
    memset(f->cpu->s.vector, 0x55, sizeof f->cpu->s.vector);
    OK(VMOVUPS_XMM0_XMM1);
    assert_int_equal(load64(f->cpu->s.vector[0] + 8), 0x5555555555555555);
    assert_int_equal(load64(f->cpu->s.vector[0] + 16) | load64(f->cpu->s.vector[0] + 24), 0);
    OK("\xc5\xf8\x77"); /* VZEROUPPER */
    assert_int_equal(load64(f->cpu->s.vector[15] + 16), 0);
    assert_int_equal(load64(f->cpu->s.vector[15] + 8), 0x5555555555555555);
    OK("\xc5\xfc\x77"); /* VZEROALL */
    assert_int_equal(load64(f->cpu->s.vector[15] + 8), 0);
}

/* A gather that faults says in its mask what is left; it can go on. */
static void test_gather_goes_on(void **state)
{
    struct fixture *f = *state;
    uint8_t (*v)[32] = f->cpu->s.vector;
    for (unsigned i = 0; i < 8; i++) {
        store32(at(f, DATA + 4 * i), 100 + i);
        store32(v[1] + 4 * i, i == 5 ? 0x10000000 : 7 - i);
        store32(v[2] + 4 * i, i == 2 ? 0 : 0x80000000);
        store32(v[0] + 4 * i, 1);
    }
    FAULTS(VGATHERDPS_YMM0, VECTOR_PF);
    assert_int_equal(load32(v[0]), 107);
    assert_int_equal(load32(v[0] + 8), 1);
    assert_int_equal(load32(v[0] + 16), 103);
    assert_int_equal(load32(v[0] + 20), 1);
    assert_int_equal(load32(v[2] + 16), 0);
    assert_int_equal(load32(v[2] + 20), 0x80000000);
    store32(at(f, DATA), 99);
    store32(v[1] + 20, 0);
    OK(VGATHERDPS_YMM0);
    assert_int_equal(load32(v[0]), 107);
    assert_int_equal(load32(v[0] + 20), 99);
    assert_int_equal(load32(v[0] + 28), 99);
    assert_int_equal(load64(v[2]) | load64(v[2] + 8) | load64(v[2] + 16) | load64(v[2] + 24), 0);
    /* Mask, index and destination must differ. */
    FAULTS("\xc4\xe2\x7d\x92\x04\x8b", VECTOR_UD);
    FAULTS("\xc4\xe2\x6d\x92\x0c\x8b", VECTOR_UD);
    FAULTS("\xc4\xe2\x75\x92\x04\x8b", VECTOR_UD);
}

/* Component 2 of the XSAVE area. */
static void test_xsave_avx(void **state)
{
    struct fixture *f = *state;
    memset(f->cpu->s.vector, 0x33, sizeof f->cpu->s.vector);
    f->cpu->s.gpr[RAX] = 4;
    f->cpu->s.gpr[RDX] = 0;
    memset(at(f, AREA), 0, 832);
    OK(XSAVE_RDI);
    assert_int_equal(load64(at(f, AREA + 512)), 4);
    assert_int_equal(load64(at(f, AREA + 160)), 0);
    assert_int_equal(load64(at(f, AREA + 824)), 0x3333333333333333);
    OK("\xc5\xf8\x77"); /* VZEROUPPER */
    OK(XRSTOR_RDI);
    assert_int_equal(load64(f->cpu->s.vector[15] + 24), 0x3333333333333333);
    store64(at(f, AREA + 512), 0);
    OK(XRSTOR_RDI);
    assert_int_equal(load64(f->cpu->s.vector[15] + 24), 0);
    assert_int_equal(load64(f->cpu->s.vector[15] + 8), 0x3333333333333333);
    f->cpu->s.xcr0 = 3;
    store64(at(f, AREA + 512), 4);
    FAULTS(XRSTOR_RDI, VECTOR_GP);
}

/* What no VEX instruction looks like. */
static void test_vex_encodings(void **state)
{
    struct fixture *f = *state;
    static const struct { const char *bytes; unsigned length; bool valid; } codes[] = {
        { "\xc5\xfc\x58\xc1", 4, true },
        { "\x66\xc5\xfc\x58\xc1", 5, false },
        { "\xf2\xc5\xfc\x58\xc1", 5, false },
        { "\xf3\xc5\xfc\x58\xc1", 5, false },
        { "\xf0\xc5\xfc\x58\xc1", 5, false },
        { "\x48\xc5\xfc\x58\xc1", 5, false },
        { "\x67\xc5\xfc\x58\xc1", 5, true },
        { "\x64\xc5\xfc\x58\x03", 5, true },
        { "\xc5\xfc\x10\xc1", 4, true },
        { "\xc5\xf4\x10\xc1", 4, false },         /* VMOVUPS with vvvv */
        { "\xc4\xe0\x7c\x58\xc1", 5, false },     /* map 0 */
        { "\xc4\xe4\x7c\x58\xc1", 5, false },     /* map 4 */
        { "\xc4\xe2\x70\xf2\xc2", 5, true },      /* ANDN */
        { "\xc4\xe2\x74\xf2\xc2", 5, false },     /* with L */
        { "\xc4\xe2\x75\x36\xc2", 5, true },      /* VPERMD */
        { "\xc4\xe2\xf5\x36\xc2", 5, false },     /* with W */
        { "\xc4\xe2\x6d\x92\x03", 5, false },     /* VGATHERDPS without SIB */
    };
    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct insn insn;
        uint8_t bytes[15] = { 0 };
        memcpy(bytes, codes[i].bytes, codes[i].length);
        assert_int_equal(decode(&f->engine->decoder, 8, bytes, sizeof bytes, 0, &insn), DECODE_OK);
        assert_int_equal(insn.row != ROW_INVALID, codes[i].valid);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_availability), TEST(test_alignment), TEST(test_pending_exception),
        TEST(test_pointers_of_exceptions),
        TEST(test_summary_follows_masks), TEST(test_stack_faults), TEST(test_environment),
        TEST(test_mmx_aliases_x87), TEST(test_upper_half_stays), TEST(test_vector_exceptions),
        TEST(test_mxcsr), TEST(test_fxsave), TEST(test_xsave), TEST(test_xsaveopt_skips_initial),
        TEST(test_xsavec), TEST(test_xrstor_checks_header), TEST(test_decimal),
        TEST(test_avx_availability), TEST(test_avx_operands), TEST(test_gather_goes_on),
        TEST(test_xsave_avx), TEST(test_vex_encodings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
