/* Comparing a replay with its recording; see player_internal.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "cpu/cpu.h"
#include "replay/player_internal.h"
#include "util/bits.h"

/* RIP of a vCPU, also while it executes an instruction. */
static uint64_t rip_of(const struct machine *machine, int number)
{
    if (!machine->cpus || (unsigned)number >= machine->cpu_count)
        return 0;
    const struct cpu *cpu = machine->cpus[number];
    if (machine->running_cpu == cpu && cpu->current)
        return insn_start(cpu, cpu->current);
    return cpu->s.gpr[RIP];
}

static void copy_history(struct player *player)
{
    struct divergence *divergence = &player->divergence;
    uint64_t have = player->history_next < DIVERGENCE_HISTORY ? player->history_next
                                                               : DIVERGENCE_HISTORY;
    for (uint64_t i = 0; i < have; i++)
        divergence->history[i] =
            player->history[(player->history_next - have + i) % DIVERGENCE_HISTORY];
    divergence->history_count = (uint32_t)have;
}

void player_diverge(struct player *player, const char *component, int cpu, const char *format, ...)
{
    struct divergence *divergence = &player->divergence;
    if (player_broken(player))
        return;
    memset(divergence, 0, sizeof *divergence);
    divergence->found = true;
    divergence->at = position_of_clock(&player->machine->clock);
    divergence->cpu = cpu;
    divergence->rip = rip_of(player->machine, cpu < 0 ? 0 : cpu);
    snprintf(divergence->component, sizeof divergence->component, "%s", component);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(divergence->seen, sizeof divergence->seen, format, arguments);
    va_end(arguments);
    if (player->event) {
        char text[128];
        trace_event_text(player->event, text, sizeof text);
        snprintf(divergence->expected, sizeof divergence->expected, "%s at %" PRIu64 "+%" PRIu64,
                 text, player->event->at.instructions, player->event->at.idle_ns);
    } else {
        snprintf(divergence->expected, sizeof divergence->expected, "nothing more");
    }
    copy_history(player);
    machine_interrupt_slice(player->machine);
}

/* What an event is about: the device's address, or the vCPU. */
static void name_component(const struct trace_event *event, char *name, size_t size)
{
    switch (event->kind) {
    case TRACE_PORT_READ:
        snprintf(name, size, "port %" PRIx64 "h", event->address);
        break;
    case TRACE_MMIO_READ:
        snprintf(name, size, "mmio %" PRIx64 "h", event->address);
        break;
    case TRACE_MSR_READ:
    case TRACE_MSR_FAULT:
        snprintf(name, size, "msr %" PRIx64 "h", event->address);
        break;
    case TRACE_DMA:
    case TRACE_DMA_DATA:
        snprintf(name, size, "dma");
        break;
    case TRACE_IDLE:
        snprintf(name, size, "clock");
        break;
    case TRACE_END:
        snprintf(name, size, "machine");
        break;
    case TRACE_MEMORY_MAP:
        snprintf(name, size, "memory map");
        break;
    default:
        snprintf(name, size, "%s", trace_is_input(event->kind) ? "inputs" : "interrupts");
    }
}

static bool same(const struct trace_event *a, const struct trace_event *b)
{
    if (!position_equal(a->at, b->at) || a->kind != b->kind || a->cpu != b->cpu ||
        a->bytes != b->bytes || a->address != b->address || a->value != b->value)
        return false;
    return !a->payload || !b->payload || memcmp(a->payload, b->payload, a->bytes) == 0;
}

bool player_compare(struct player *player, const struct trace_event *live)
{
    if (player_broken(player))
        return false;
    if (!player->event) /* a cut trace: nothing to compare with */
        return true;
    if (likely(same(player->event, live))) {
        player_consume(player);
        return true;
    }
    char name[24], text[128];
    name_component(live, name, sizeof name);
    trace_event_text(live, text, sizeof text);
    player_diverge(player, name, trace_kinds[live->kind].cpu ? live->cpu : -1,
                   "%s at %" PRIu64 "+%" PRIu64, text, live->at.instructions, live->at.idle_ns);
    return false;
}

bool player_compare_missed(struct player *player)
{
    const struct trace_event *event = player->event;
    char name[24];
    struct position due = event ? event->at : (struct position){0, 0};
    if (event)
        due.instructions = player_feed_count(player, event);
    if (!event || player_time(player, due) >= player_now(player))
        return true;
    /* Idle time that is under way is not over yet. */
    if (event->kind == TRACE_IDLE &&
        player_time(player, event->at) + event->value > player_now(player))
        return true;
    name_component(event, name, sizeof name);
    player_diverge(player, name, trace_kinds[event->kind].cpu ? event->cpu : -1,
                   "it did not happen");
    return false;
}

/* Isolated replay has vCPUs and RAM only. */
static bool compared(const struct player *player, const char *name)
{
    if (!player->options.isolated)
        return true;
    return strncmp(name, "cpu", 3) == 0 || strcmp(name, "ram") == 0 || strcmp(name, "clock") == 0;
}

bool player_compare_digest(struct player *player, const struct trace_event *event)
{
    struct digest *digest = &player->digest;
    struct digest_table *table = &player->place.table;
    char list[128] = "", first[24] = "";
    uint64_t length = 0;
    digest_take(digest, player->place.output);
    if (!digest_decode(table, digest->count, event->payload, event->bytes)) {
        player->status = error_set(&player->error, ERROR_FORMAT,
                                   "a digest of the trace does not fit this machine");
        return false;
    }
    for (uint32_t i = 0; i < digest->count; i++) {
        const char *name = digest_component(digest, i);
        if ((uint32_t)digest->hashes[i] == table->low[i] || !compared(player, name))
            continue;
        if (!first[0])
            snprintf(first, sizeof first, "%s", name);
        if (length < sizeof list)
            length += (uint64_t)snprintf(list + length, sizeof list - length, " %s", name);
    }
    if (!first[0] && digest->total != table->total && !player->options.isolated) {
        snprintf(first, sizeof first, "machine");
        snprintf(list, sizeof list, " total");
    }
    if (first[0]) {
        player_diverge(player, first, -1, "another state; these differ:%s", list);
        return false;
    }
    player->place.digests++;
    player->total = digest->total;
    return true;
}
