/*
 * The host's clocks and this process's size: for what is shown to the user,
 * never for the machine (but for -rtc base=host, which the trace stores).
 */
#ifndef HOST_PROCESS_H
#define HOST_PROCESS_H

#include <stdint.h>

/* Seconds on a clock that only goes forwards. */
double host_seconds(void);
/* Seconds since 1970-01-01 00:00 UTC. */
int64_t host_date(void);
/* Of this process, as the system counts. */
int host_process_number(void);
/* The most memory that this process has had resident, in bytes. */
uint64_t host_peak_memory(void);

#endif
