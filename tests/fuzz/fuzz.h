/*
 * What the fuzz tests share: a seeded generator, and cases that run in a
 * child process each, under a time limit. A case that fails keeps its files in
 * $WORK (or the current directory), and the command that repeats it is printed.
 *
 * A test's main calls fuzz_main. Arguments: none: the usual seeds; FIRST
 * [COUNT]: these. GROUNDHOG_LONG=1 runs more.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct fuzz {
    uint64_t state;
};

/* splitmix64 */
static inline uint64_t fuzz_next(struct fuzz *fuzz)
{
    uint64_t mixed = fuzz->state += 0x9e3779b97f4a7c15ull;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9ull;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebull;
    return mixed ^ mixed >> 31;
}

/* 0 to `below` - 1. */
static inline uint32_t fuzz_below(struct fuzz *fuzz, uint32_t below)
{
    return (uint32_t)((fuzz_next(fuzz) >> 32) * below >> 32);
}

static inline bool fuzz_one_in(struct fuzz *fuzz, uint32_t n)
{
    return fuzz_below(fuzz, n) == 0;
}

#define FUZZ_PICK(fuzz, list) ((list)[fuzz_below((fuzz), sizeof(list) / sizeof *(list))])

/* A value whose size and neighbourhood of powers of two vary. */
static inline uint64_t fuzz_value(struct fuzz *fuzz)
{
    uint64_t value = fuzz_next(fuzz);
    switch (fuzz_below(fuzz, 4)) {
    case 0: return value >> fuzz_below(fuzz, 64);
    case 1: return (1ull << (value & 63)) - 1 + fuzz_below(fuzz, 3);
    case 2: return ~(value >> fuzz_below(fuzz, 64));
    default: return value & 0xff;
    }
}

static inline void fuzz_fill(struct fuzz *fuzz, void *bytes, uint64_t length)
{
    for (uint8_t *at = bytes; length; length--)
        *at++ = (uint8_t)fuzz_next(fuzz);
}

static inline const char *fuzz_directory(void)
{
    const char *directory = getenv("WORK");
    return directory ? directory : ".";
}

/* Writes a file of the failing case and says where it is. */
static inline void fuzz_keep(const char *name, uint64_t seed, const void *bytes, uint64_t length)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s-%" PRIu64, fuzz_directory(), name, seed);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, length, file) != length)
        printf("cannot write %s: %s\n", path, strerror(errno));
    else
        printf("kept: %s (%" PRIu64 " bytes)\n", path, length);
    if (file)
        fclose(file);
}

__attribute__((format(printf, 1, 2))) static inline _Noreturn void fuzz_fail(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED: ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
    _exit(1);
}

static inline double fuzz_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

#define FUZZ_MEMORY_KIB (1 << 20)

/* Runs one case in a child; false when it failed. CPU time bounds it, so that a
 * loaded host fails none. Address space is bounded too, but not under a
 * sanitizer, which takes more than there is. */
static inline bool fuzz_child(void (*run)(uint64_t seed), uint64_t seed, unsigned seconds)
{
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) {
        perror("fork");
        exit(2);
    }
    if (child == 0) {
        setrlimit(RLIMIT_CPU, &(struct rlimit){seconds, seconds + 1});
#ifndef __SANITIZE_ADDRESS__
        setrlimit(RLIMIT_AS, &(struct rlimit){4ull << 30, 4ull << 30});
#endif
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        run(seed);
        fflush(stdout);
        exit(0); /* and look for leaks */
    }
    int status;
    struct rusage usage;
    while (wait4(child, &status, 0, &usage) < 0 && errno == EINTR)
        ;
    if (usage.ru_maxrss > FUZZ_MEMORY_KIB) {
        printf("FAILED: it used %ld MiB\n", usage.ru_maxrss >> 10);
        return false;
    }
    if (WIFSIGNALED(status))
        printf("FAILED: killed by signal %d%s\n", WTERMSIG(status),
               WTERMSIG(status) == SIGXCPU ? " (too slow, or it hangs)" : "");
    else if (WEXITSTATUS(status) != 0)
        printf("FAILED: exit status %d\n", WEXITSTATUS(status));
    return status == 0;
}

static inline int fuzz_main(int argc, char **argv, void (*run)(uint64_t seed), uint64_t usual,
                            uint64_t when_long, unsigned seconds)
{
    bool is_long = getenv("GROUNDHOG_LONG") != NULL;
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : is_long ? when_long : usual;
    uint64_t failed = 0;
    double started = fuzz_seconds();
    for (uint64_t seed = first; seed < first + count; seed++) {
        if (fuzz_child(run, seed, seconds))
            continue;
        failed++;
        printf("again: WORK=%s %s %" PRIu64 "\n", fuzz_directory(), argv[0], seed);
    }
    printf("%" PRIu64 " seeds from %" PRIu64 " in %.1f s\n", count, first, fuzz_seconds() - started);
    if (count > failed)
        printf("[  PASSED  ] %" PRIu64 " test(s).\n", count - failed);
    if (failed)
        printf("[  FAILED  ] %" PRIu64 " test(s).\n", failed);
    return failed != 0;
}

#endif
