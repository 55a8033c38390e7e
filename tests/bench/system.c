/* Loads that mostly call the kernel: system calls, processes, pipes, page faults, deflate. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "loads.h"

#define GETPPID_CALLS 500000

uint64_t load_getppid(void)
{
    uint64_t same = 0;
    long parent = getppid();
    for (unsigned i = 0; i < GETPPID_CALLS; i++)
        same += syscall(SYS_getppid) == parent;
    return same;
}

#define FORKS 1500

uint64_t load_fork(void)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < FORKS; i++) {
        int status;
        pid_t child = fork();
        if (child < 0)
            bench_fail("fork");
        if (child == 0)
            _exit((int)(i & 127));
        if (waitpid(child, &status, 0) != child)
            bench_fail("waitpid");
        result = result * 3 + (uint64_t)WEXITSTATUS(status);
    }
    return result;
}

/* A child sends back each byte plus one, until there are no more. */

#define ROUND_TRIPS 20000

static int to_child[2], from_child[2];
static pid_t child;

static _Noreturn void answer(void)
{
    unsigned char byte;
    close(to_child[1]);
    while (read(to_child[0], &byte, 1) == 1) {
        byte++;
        if (write(from_child[1], &byte, 1) != 1)
            _exit(1);
    }
    _exit(0);
}

void prepare_pipe(void)
{
    if (pipe(to_child) < 0 || pipe(from_child) < 0)
        bench_fail("pipe");
    child = fork();
    if (child < 0)
        bench_fail("fork");
    if (child == 0)
        answer();
    close(to_child[0]);
    close(from_child[1]);
}

uint64_t load_pipe(void)
{
    uint64_t result = 0;
    unsigned char byte = 0;
    for (unsigned i = 0; i < ROUND_TRIPS; i++) {
        if (write(to_child[1], &byte, 1) != 1 || read(from_child[0], &byte, 1) != 1)
            bench_fail("pipe");
        result = result * 3 + byte;
    }
    close(to_child[1]);
    close(from_child[0]);
    waitpid(child, NULL, 0);
    return result;
}

#define MAPPINGS 256
#define MAPPING_PAGES 100
#define PAGE 4096

uint64_t load_faults(void)
{
    uint64_t result = 0;
    for (unsigned i = 0; i < MAPPINGS; i++) {
        unsigned char *pages = mmap(NULL, MAPPING_PAGES * PAGE, PROT_READ | PROT_WRITE,
                                    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            bench_fail("mmap");
        madvise(pages, MAPPING_PAGES * PAGE, MADV_NOHUGEPAGE);
        for (unsigned page = 0; page < MAPPING_PAGES; page++)
            result += ++pages[page * PAGE];
        munmap(pages, MAPPING_PAGES * PAGE);
    }
    return result;
}

/* What gzip does, over a file of machine code. */

#define DEFLATE_INPUT "/bin/busybox"
#define DEFLATE_LEVEL 6

static unsigned char *plain, *packed;
static uLong plain_size, packed_size;

void prepare_deflate(void)
{
    const char *path = getenv("BENCH_DATA");
    int file = open(path ? path : DEFLATE_INPUT, O_RDONLY | O_CLOEXEC);
    off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
    if (size < 0 || lseek(file, 0, SEEK_SET) < 0)
        bench_fail("the data to compress");
    plain_size = (uLong)size;
    packed_size = compressBound(plain_size);
    plain = bench_memory(plain_size, PROT_READ | PROT_WRITE);
    packed = bench_memory(packed_size, PROT_READ | PROT_WRITE);
    if (read(file, plain, plain_size) != size)
        bench_fail("the data to compress");
    close(file);
}

uint64_t load_deflate(void)
{
    uLongf length = packed_size;
    if (compress2(packed, &length, plain, plain_size, DEFLATE_LEVEL) != Z_OK)
        bench_fail("compress2");
    return (uint64_t)length << 32 | crc32(0, packed, (uInt)length);
}
