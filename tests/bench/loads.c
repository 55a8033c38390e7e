/*
 * The program that `make bench` runs on the host and in the guests: each load
 * that is asked for, between a line when it starts and a line when it is done.
 *     loads [-p] LOAD...
 * The clock of a guest may be a virtual one, so the lines go to the host, which
 * looks at its own: to standard output, or with -p straight to the second serial
 * port: an emulator's UART passes every byte on at once, and no kernel buffers it.
 *     start NAME
 *     done NAME RESULT MICROSECONDS
 * The microseconds are the load's processor time by this system's own account. Each
 * load has a process to itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loads.h"

#define PORT 0x2f8 /* THR of COM2 */

static const struct load {
    const char *name;
    void (*prepare)(void);
    uint64_t (*run)(void);
} loads[] = {
    {"hash", NULL, load_hash},
    {"qsort", prepare_qsort, load_qsort},
    {"chase", prepare_chase, load_chase},
    {"nbody", NULL, load_nbody},
    {"x87", NULL, load_x87},
    {"bytecode", NULL, load_bytecode},
    {"memcpy", prepare_memcpy, load_memcpy},
    {"getppid", NULL, load_getppid},
    {"fork", NULL, load_fork},
    {"pipe", prepare_pipe, load_pipe},
    {"faults", NULL, load_faults},
    {"deflate", prepare_deflate, load_deflate},
    {"cold", prepare_cold, load_cold},
};

void bench_fail(const char *what)
{
    fprintf(stderr, "loads: %s: %s\n", what, strerror(errno));
    exit(1);
}

void *bench_memory(uint64_t size, int protection)
{
    void *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (memory == MAP_FAILED)
        bench_fail("mmap");
    return memory;
}

uint64_t bench_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1du;
}

static void say(bool port, const char *line)
{
    if (port)
        for (; *line; line++)
            outb((unsigned char)*line, PORT);
    else if (write(STDOUT_FILENO, line, strlen(line)) < 0)
        bench_fail("standard output");
}

static uint64_t microseconds(void)
{
    uint64_t sum = 0;
    for (int who = RUSAGE_CHILDREN; who <= RUSAGE_SELF; who++) {
        struct rusage usage;
        if (getrusage(who, &usage) < 0)
            bench_fail("getrusage");
        sum += (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
               (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    }
    return sum;
}

static void measure(bool port, const struct load *load)
{
    char line[80];
    if (load->prepare)
        load->prepare();
    snprintf(line, sizeof line, "start %s\n", load->name);
    say(port, line);
    uint64_t before = microseconds();
    uint64_t result = load->run();
    snprintf(line, sizeof line, "done %s %016" PRIx64 " %" PRIu64 "\n", load->name, result,
             microseconds() - before);
    say(port, line);
}

static void measure_apart(bool port, const struct load *load)
{
    int status;
    pid_t process = fork();
    if (process < 0)
        bench_fail("fork");
    if (process == 0) {
        measure(port, load);
        exit(0);
    }
    if (waitpid(process, &status, 0) != process || status != 0)
        exit(1);
}

static const struct load *find(const char *name)
{
    for (unsigned i = 0; i < sizeof loads / sizeof *loads; i++)
        if (!strcmp(loads[i].name, name))
            return &loads[i];
    fprintf(stderr, "loads: no load %s\n", name);
    exit(1);
}

int main(int argc, char **argv)
{
    bool port = argc > 1 && !strcmp(argv[1], "-p");
    if (port && iopl(3) < 0)
        bench_fail("iopl");
    say(port, "ready\n");
    for (int i = 1 + port; i < argc; i++)
        measure_apart(port, find(argv[i]));
    return 0;
}
