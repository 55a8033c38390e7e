/* How runs end; see outcome.h. */
#include "replay/outcome.h"

#include <string.h>

struct outcome outcome_of_machine(const struct machine_state *state, bool panic)
{
    struct outcome outcome = {.panic = panic};
    switch ((enum machine_end)state->end) {
    case MACHINE_NOT_ENDED: break;
    case MACHINE_POWER_OFF: outcome.kind = OUTCOME_POWER_OFF; break;
    case MACHINE_RESET: outcome.kind = OUTCOME_RESET; break;
    case MACHINE_TRIPLE_FAULT: outcome.kind = OUTCOME_TRIPLE_FAULT; break;
    case MACHINE_DEBUG_EXIT:
        outcome.kind = OUTCOME_DEBUG_EXIT;
        outcome.detail = state->exit_status;
        break;
    case MACHINE_DEAD: outcome.kind = OUTCOME_DEAD; break;
    }
    return outcome;
}

struct outcome outcome_of_end(const struct trace_event *event)
{
    return (struct outcome){
        .kind = (uint32_t)event->address & ~TRACE_END_PANIC,
        .detail = (uint32_t)event->value,
        .panic = (event->address & TRACE_END_PANIC) != 0,
    };
}

void outcome_to_end(const struct outcome *outcome, struct trace_event *event)
{
    event->kind = TRACE_END;
    event->address = outcome->kind | (outcome->panic ? TRACE_END_PANIC : 0);
    event->value = outcome->detail;
}

int outcome_exit_status(const struct outcome *outcome)
{
    switch ((enum outcome_kind)outcome->kind) {
    case OUTCOME_POWER_OFF:
    case OUTCOME_RESET:
        return outcome->panic ? 1 : 0;
    case OUTCOME_TRIPLE_FAULT:
    case OUTCOME_DEAD:
        return 1;
    case OUTCOME_DEBUG_EXIT:
        return (int)(outcome->detail & 0xFF);
    case OUTCOME_BUDGET:
        return OUTCOME_STATUS_BUDGET;
    case OUTCOME_SIGNAL:
        return 128 + (int)(outcome->detail & 0x7F);
    case OUTCOME_CUT:
        return 0;
    case OUTCOME_DIVERGED:
        return OUTCOME_STATUS_DIVERGED;
    }
    return OUTCOME_STATUS_ERROR;
}

int outcome_replay_status(const struct outcome *outcome)
{
    if (outcome->kind == OUTCOME_BUDGET || outcome->kind == OUTCOME_SIGNAL)
        return 0;
    return outcome_exit_status(outcome);
}

const char *outcome_text(const struct outcome *outcome)
{
    static const char *const texts[] = {
        "no end", "power-off", "reset", "triple fault", "debug exit",
        "all vCPUs halted for good", "budget used up", "stopped by a signal",
        "end of a cut trace", "divergence",
    };
    return outcome->kind < sizeof texts / sizeof texts[0] ? texts[outcome->kind] : "unknown end";
}

void outcome_watch_output(struct outcome_watch *watch, unsigned unit, const uint8_t *bytes,
                          uint64_t length)
{
    static const char phrase[] = "Kernel panic - not syncing";
    if (unit >= OUTCOME_UNITS)
        return;
    uint8_t *matched = &watch->matched[unit];
    for (uint64_t i = 0; i < length; i++) {
        /* 'K' occurs only at the start of the phrase: no other overlap. */
        if (bytes[i] == (uint8_t)phrase[*matched])
            ++*matched;
        else
            *matched = bytes[i] == 'K';
        if (*matched == sizeof phrase - 1) {
            watch->panic = 1;
            *matched = 0;
        }
    }
}
