/*
 * The host's side of the silicon test. A child process runs a batch: each case
 * starts by returning from a signal handler with its registers in the signal
 * frame and ends with the next signal, whose frame has the outcome.
 */
#include "silicon.h"

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "cpu/cpu.h"
#include "cpu/cpuid.h"

#define CS64 0x33
#define CS32 0x23
#define FLAT 0x2b
#define LDT_CODE 0x07
#define CHILD_SECONDS 200
/* The signal frame's XSAVE image. */
#define XSTATE_BV 512
#define XSTATE_YMM 576

static uint8_t *code_alias; /* the code page, writable */
static uint8_t *data = (uint8_t *)DATA_START;
static const struct test_case *tests;
static struct outcome *outcomes;
static unsigned count, position;
static bool host_has_ymm;

void *host_shared(size_t bytes)
{
    void *place = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (place == MAP_FAILED) {
        perror("mmap");
        exit(2);
    }
    return place;
}

static bool set_descriptor(struct user_desc descriptor)
{
    return syscall(SYS_modify_ldt, 1, &descriptor, sizeof descriptor) == 0;
}

/* Index 0 is 16-bit code, the others are as in segment_choices. */
static bool open_ldt(void)
{
    if (!set_descriptor((struct user_desc){ .base_addr = CODE_PAGE, .limit = 0xffff, .contents = 2,
                                            .useable = 1 }))
        return false;
    for (unsigned i = 0; i < SEGMENT_CHOICES; i++) {
        const struct segment_choice *choice = &segment_choices[i];
        if (choice->null || i == CHOICE_FLAT)
            continue;
        if (!set_descriptor((struct user_desc){
                .entry_number = i, .base_addr = choice->base, .limit = choice->limit,
                .seg_32bit = choice->wide, .contents = choice->down,
                .read_exec_only = choice->read_only, .useable = 1 }))
            return false;
    }
    return true;
}

bool host_open(void)
{
    int file = memfd_create("code", 0);
    if (file < 0 || ftruncate(file, 4096))
        return false;
    code_alias = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    void *code = mmap((void *)CODE_PAGE, 4096, PROT_READ | PROT_EXEC,
                      MAP_SHARED | MAP_FIXED_NOREPLACE, file, 0);
    void *place = mmap(data, DATA_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (code_alias == MAP_FAILED || code != (void *)CODE_PAGE || place != data)
        return false;
    memset(code_alias, 0xcc, 4096);
    host_has_ymm = host_has_feature(FEATURE_AVX);
    return open_ldt();
}

static bool ask_cpuid(unsigned leaf, unsigned subleaf, unsigned reg, unsigned bit)
{
    unsigned r[4];
    return __get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) && r[reg] >> bit & 1;
}

bool host_has_feature(unsigned feature)
{
    static bool asked, has[FEATURE_COUNT];
    if (!asked) {
        asked = has[FEATURE_BASE] = true;
#define EAX 0
#define EBX 1
#define ECX 2
#define EDX 3
#define FEATURE(name, leaf, subleaf, reg, bit, text)                                               \
    has[FEATURE_##name] = ask_cpuid(leaf, subleaf, reg, bit);
#include "cpu/features.def"
#undef FEATURE
    }
    return has[feature];
}

uint64_t host_avx512(void)
{
    static bool asked;
    static uint32_t low;
    uint32_t high;
    if (!asked && ask_cpuid(1, 0, 2, 27)) /* OSXSAVE */
        __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    asked = true;
    return low & 0xe0;
}

bool host_is_amd(void)
{
    unsigned r[4];
    return __get_cpuid(0, &r[0], &r[1], &r[2], &r[3]) && r[1] == 0x68747541 /* "Auth" */;
}

/* Order of the general registers in gregset_t. */
static const uint8_t greg_order[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static void take_outcome(const ucontext_t *context)
{
    const greg_t *g = context->uc_mcontext.gregs;
    const struct test_case *test = &tests[position];
    struct outcome *outcome = &outcomes[position];
    struct machine_state *after = &outcome->after;
    for (unsigned i = 0; i < 16; i++)
        after->gpr[i] = (uint64_t)g[greg_order[i]];
    after->rip = (uint64_t)g[REG_RIP];
    after->rflags = (uint64_t)g[REG_EFL];
    memcpy(&after->fx, context->uc_mcontext.fpregs, sizeof after->fx);
    memcpy(after->ymm_high, (const uint8_t *)context->uc_mcontext.fpregs + XSTATE_YMM,
           host_has_ymm ? sizeof after->ymm_high : 0);
    memcpy(after->data, data, DATA_BYTES);
    outcome->vector = (uint8_t)g[REG_TRAPNO];
    outcome->error = (uint32_t)g[REG_ERR];
    outcome->address = outcome->vector == 14 ? (uint64_t)g[REG_CR2] : 0;
    /* The fetch after it was refused: it completed. */
    bool fetch = outcome->error & 0x10;
    if (outcome->vector == 14 && fetch
        && outcome->address == code_base(test->code_bytes) + after->rip) {
        outcome->vector = VECTOR_NONE;
        outcome->error = 0;
        outcome->address = 0;
    }
    outcome->ran = true;
}

static unsigned selector(const struct test_case *test, unsigned segment)
{
    unsigned choice = test->segment[segment];
    if (choice == CHOICE_FLAT)
        return FLAT;
    return segment_choices[choice].null ? 0 : choice << 3 | 7;
}

static void set_data_segments(const struct test_case *test)
{
    __asm__ volatile("mov %0, %%ds\n\tmov %1, %%es\n\tmov %2, %%gs"
                     : : "r"(selector(test, DS)), "r"(selector(test, ES)), "r"(selector(test, GS)));
    if (test->code_bytes == 8)
        syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE64);
}

static void start_case(ucontext_t *context)
{
    greg_t *g = context->uc_mcontext.gregs;
    const struct test_case *test = &tests[position];
    const struct machine_state *before = &test->before;
    uint64_t selectors = test->code_bytes == 8   ? CS64
                         : test->code_bytes == 4 ? CS32
                                                 : LDT_CODE;
    selectors |= (uint64_t)selector(test, SS) << 48;
    for (unsigned i = 0; i < 16; i++)
        g[greg_order[i]] = (greg_t)before->gpr[i];
    g[REG_RIP] = (greg_t)before->rip;
    g[REG_EFL] = (greg_t)before->rflags;
    g[REG_CSGSFS] = (greg_t)(((uint64_t)g[REG_CSGSFS] & 0x0000ffffffff0000ull) | selectors);
    /* XSAVE's header says that x87, SSE and AVX are to be loaded, and AVX-512 is as new. */
    uint8_t *fx = (uint8_t *)context->uc_mcontext.fpregs;
    uint32_t mask = context->uc_mcontext.fpregs->mxcr_mask;
    memcpy(fx, &before->fx, sizeof before->fx);
    context->uc_mcontext.fpregs->mxcr_mask = mask;
    uint64_t *components = (uint64_t *)(void *)(fx + XSTATE_BV);
    *components = (*components & ~host_avx512()) | (host_has_ymm ? 7 : 3);
    if (host_has_ymm)
        memcpy(fx + XSTATE_YMM, before->ymm_high, sizeof before->ymm_high);
    memset(code_alias, 0xcc, 4096);
    memcpy(code_alias + 4096 - test->length, test->bytes, test->length);
    memcpy(data, before->data, DATA_BYTES);
    set_data_segments(test);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)info;
    /* POPF may have set AC, with which this code cannot run. */
    __asm__ volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\tandl $0xfffbffff, (%%rsp)\n\tpopfq\n\t"
                     "lea 128(%%rsp), %%rsp" : : : "cc", "memory");
    if (number != SIGUSR1) {
        take_outcome(context);
        position++;
    }
    if (position == count)
        _exit(0);
    start_case(context);
}

static _Noreturn void child(void)
{
    static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGUSR1 };
    static uint8_t stack[1 << 16];
    stack_t place = { .ss_sp = stack, .ss_size = sizeof stack };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigfillset(&action.sa_mask);
    sigaltstack(&place, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    alarm(CHILD_SECONDS);
    raise(SIGUSR1);
    _exit(3);
}

unsigned host_run(const struct test_case *batch, struct outcome *results, unsigned number)
{
    for (unsigned i = 0; i < number; i++)
        results[i].ran = false;
    tests = batch;
    outcomes = results;
    count = number;
    position = 0;
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child();
    int status;
    waitpid(pid, &status, 0);
    unsigned ran = 0;
    while (ran < number && results[ran].ran)
        ran++;
    return ran;
}
