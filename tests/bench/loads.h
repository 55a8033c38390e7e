/* The bench's loads: what a guest does while a machine's speed is measured. See loads.c. */
#ifndef BENCH_LOADS_H
#define BENCH_LOADS_H

#include <stdint.h>

/* A load returns a number that depends on all that it computed. */
uint64_t load_hash(void);
uint64_t load_qsort(void);
uint64_t load_chase(void);
uint64_t load_nbody(void);
uint64_t load_x87(void);
uint64_t load_bytecode(void);
uint64_t load_memcpy(void);
uint64_t load_getppid(void);
uint64_t load_fork(void);
uint64_t load_pipe(void);
uint64_t load_faults(void);
uint64_t load_deflate(void);
uint64_t load_cold(void);

/* What a load does before its time begins; it ends the program when it fails. */
void prepare_qsort(void);
void prepare_chase(void);
void prepare_memcpy(void);
void prepare_pipe(void);
void prepare_deflate(void);
void prepare_cold(void);

/* Ends the program with a message about errno. */
_Noreturn void bench_fail(const char *what);
/* Anonymous memory, touched; protection as for mmap. */
void *bench_memory(uint64_t size, int protection);
/* The next number of a generator with this state (xorshift64*). */
uint64_t bench_random(uint64_t *state);

#endif
