/* Clocks and size of this process; see process.h. */
#include "host/process.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double host_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int64_t host_date(void)
{
    return (int64_t)time(NULL);
}

int host_process_number(void)
{
    return (int)getpid();
}

uint64_t host_peak_memory(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) < 0)
        return 0;
    return (uint64_t)usage.ru_maxrss * 1024;
}
