/*
 * Finds the first place of a difference between the engines: from the last
 * checkpoint on, the same stretches again, then fewer blocks, then fewer
 * instructions; see lockstep.h.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cpu/engine.h"
#include "replay/lockstep_internal.h"

#define COARSE (64u << 10)  /* instructions between comparisons of memory at first */
#define BLOCKS_SHOWN 6

struct narrow {
    struct lockstep *l;
    uint64_t until;      /* where the difference was seen */
    uint64_t fine;       /* from this count on memory, too, is compared after each stretch */
    uint64_t stretch;    /* number of the stretch that differs, from 0 at the checkpoint */
    uint32_t blocks;     /* of it */
};

static uint64_t count_of(const struct lockstep *l)
{
    return l->sides[LEADER].machine->clock.s.instructions;
}

/* The stretches before number `stretch`, without a look. */
static void skip(struct lockstep *l, uint64_t stretch)
{
    lockstep_restore(l);
    for (uint64_t i = 0; i < stretch; i++)
        lockstep_stretch(l, lockstep_draw(l));
}

/* Again from the checkpoint: memory may have differed long before it showed.
 * True when the difference came, at n->stretch. *equal: the last count at which
 * memory was equal. */
static bool again(struct narrow *n, uint64_t every, uint64_t *equal)
{
    struct lockstep *l = n->l;
    lockstep_restore(l);
    *equal = count_of(l);
    uint64_t next = n->fine;
    for (n->stretch = 0; count_of(l) <= n->until; n->stretch++) {
        enum machine_stop stop = lockstep_stretch(l, n->blocks = lockstep_draw(l));
        bool over = stop != MACHINE_AT_TARGET;
        if (lockstep_compare(l))
            return true;
        if (count_of(l) >= next || over) {
            if (lockstep_compare_memory(l))
                return true;
            *equal = count_of(l);
            next = *equal + every;
        }
        if (over)
            break;
    }
    return false;
}

static bool find_stretch(struct narrow *n)
{
    uint64_t equal;
    if (!again(n, COARSE, &equal))
        return false;
    n->fine = equal;
    return again(n, 0, &equal);
}

/* Whether the engines differ after `blocks` blocks of the stretch. */
static bool differs_after(const struct narrow *n, uint32_t blocks)
{
    skip(n->l, n->stretch);
    lockstep_compare_memory(n->l);
    lockstep_stretch(n->l, blocks);
    return lockstep_compare(n->l) || lockstep_compare_memory(n->l);
}

static void find_blocks(struct narrow *n)
{
    uint32_t equal = 0, differs = n->blocks;
    while (equal + 1 < differs) {
        uint32_t middle = equal + (differs - equal) / 2;
        if (differs_after(n, middle))
            differs = middle;
        else
            equal = middle;
    }
    n->blocks = differs;
}

/* To the start of the stretch's last block. */
static void approach(const struct narrow *n)
{
    skip(n->l, n->stretch);
    if (n->blocks > 1)
        lockstep_stretch(n->l, n->blocks - 1);
    lockstep_compare_memory(n->l);
}

/* With blocks that end behind their first `count` instructions. */
static bool differs_within(const struct narrow *n, unsigned count)
{
    struct lockstep *l = n->l;
    approach(n);
    struct engine *engine = l->sides[FOLLOWER].machine->engine;
    uint32_t chain_limit = engine->chain_limit;
    engine->block_limit = count;
    engine->chain_limit = 1;
    engine_flush_blocks(engine);
    lockstep_run_to(l, count_of(l) + count);
    engine->block_limit = BLOCK_INSNS_MAXIMUM;
    engine->chain_limit = chain_limit;
    return lockstep_compare(l) || lockstep_compare_memory(l);
}

/* How many instructions of the last block show the difference, when it is run
 * alone; 0: not known. */
static unsigned find_instruction(const struct narrow *n)
{
    struct lockstep *l = n->l;
    approach(n);
    uint64_t start = count_of(l);
    lockstep_stretch(l, 1);
    uint64_t length = count_of(l) - start;
    for (unsigned count = 1; count <= length && count <= BLOCK_INSNS_MAXIMUM; count++)
        if (differs_within(n, count))
            return count;
    return 0;
}

/* The leader block by block, with the code of the last ones. */
static void lead(FILE *to, struct lockstep *l, uint32_t blocks, unsigned marked)
{
    struct machine *leader = l->sides[LEADER].machine;
    for (uint32_t i = 0; i < blocks; i++) {
        struct cpu *cpu = leader->cpus[leader->s.current_cpu];
        uint64_t from = count_of(l), rip = cpu->s.gpr[RIP];
        unsigned code_bytes = cpu->code_bytes;
        lockstep_lead(l, 1);
        uint64_t ran = count_of(l) - from;
        if (blocks - i > BLOCKS_SHOWN)
            continue;
        fprintf(to, "  %" PRIu64 ": %" PRIu64 " instructions%s\n", from, ran,
                cpu->s.index ? " of another vCPU" : "");
        lockstep_tell_code(to, cpu, rip, code_bytes, ran < BLOCK_INSNS_MAXIMUM ? (unsigned)ran : BLOCK_INSNS_MAXIMUM,
                           i + 1 == blocks ? marked : 0);
    }
}

static void tell_stretch(FILE *to, const struct narrow *n)
{
    struct lockstep *l = n->l;
    struct machine *leader = l->sides[LEADER].machine;
    unsigned marked = find_instruction(n);
    skip(l, n->stretch);
    lockstep_compare_memory(l);
    unsigned cpu = leader->s.current_cpu;
    struct cpu_state before = leader->cpus[cpu]->s;
    fprintf(to, "equal at instruction %" PRIu64 ", where vCPU %u has\n", count_of(l), cpu);
    lockstep_tell_state(to, &before);
    fprintf(to, "then these blocks run:\n");
    lockstep_begin(l);
    lead(to, l, n->blocks, marked);
    lockstep_follow(l);
    if (!lockstep_compare(l))
        lockstep_compare_memory(l);
    fprintf(to, "at instruction %" PRIu64 ":\n", count_of(l));
    lockstep_tell(to, l);
}

char *lockstep_narrow(struct lockstep *l)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (!to)
        return NULL;
    struct narrow n = { .l = l, .until = count_of(l) };
    fprintf(to, "seen at instruction %" PRIu64 ":\n", n.until);
    lockstep_tell(to, l);
    l->again = true;
    if (find_stretch(&n)) {
        find_blocks(&n);
        tell_stretch(to, &n);
    } else {
        fprintf(to, "it does not show again from the checkpoint before it: it rests on what was "
                    "translated by then\n");
    }
    if (fclose(to) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
