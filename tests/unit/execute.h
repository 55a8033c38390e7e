/* One instruction on the vCPU bench, and the exception that it raises. */
#ifndef TESTS_EXECUTE_H
#define TESTS_EXECUTE_H

#include "cpu_bench.h"

/* Runs the instruction `bytes` at 8000h. Returns 0, or 1000h | vector when it
 * raised an exception: every gate leads to 9000h + 16 * vector. */
static inline unsigned execute(struct cpu_bench *b, const char *bytes, unsigned count)
{
    struct cpu_state *s = &b->cpu->s;
    bool wide = cpu_long_mode(b->cpu);

    for (unsigned i = 0; i < 20; i++) {
        if (wide)
            bench_gate64(b, i, CODE64, 0x9000 + 16 * i, 0, 0x8e);
        else
            bench_gate(b, i, CODE0, 0x9000 + 16 * i, 0x8e);
    }
    bench_code(b, 0x8000, bytes, count);
    s->gpr[RIP] = 0x8000;
    cpu_restored(b->cpu);
    bench_run(b, 1);
    if (s->gpr[RIP] >= 0x9000 && s->gpr[RIP] < 0x9000 + 16 * 20)
        return 0x1000 | (unsigned)(s->gpr[RIP] - 0x9000) / 16;
    return 0;
}

#define EXECUTE(b, text) execute(b, text, sizeof(text) - 1)
#define RAISED(vector) (0x1000 | VECTOR_##vector)

#endif
