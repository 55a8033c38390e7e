/* The table of record kinds and what maps to them; see trace.h. */
#include "replay/trace.h"

#include <string.h>
#include <xxhash.h>

const struct trace_kind_info trace_kinds[TRACE_KINDS] = {
#define EVENT(kind, name, level, cpu, address, bytes, value, payload) \
    [TRACE_##kind] = {name, TRACE_LEVEL_##level, cpu, address, bytes, value, payload},
#include "replay/events.def"
#undef EVENT
};

static const char *const level_names[] = {"inputs", "events", "full"};

const char *trace_level_text(enum trace_level level)
{
    return (unsigned)level < 3 ? level_names[level] : "?";
}

int trace_level_parse(const char *text)
{
    for (int level = 0; level < 3; level++) {
        if (strcmp(text, level_names[level]) == 0)
            return level;
    }
    return -1;
}

enum trace_kind trace_kind_of_input(enum input_kind kind)
{
    switch (kind) {
    case INPUT_SERIAL: return TRACE_SERIAL;
    case INPUT_KEY: return TRACE_KEY;
    case INPUT_POWER_BUTTON: return TRACE_POWER_BUTTON;
    case INPUT_RESET: return TRACE_RESET;
    case INPUT_NMI: return TRACE_NMI;
    }
    return TRACE_KINDS;
}

enum input_kind trace_input_of_kind(enum trace_kind kind)
{
    switch (kind) {
    case TRACE_KEY: return INPUT_KEY;
    case TRACE_POWER_BUTTON: return INPUT_POWER_BUTTON;
    case TRACE_RESET: return INPUT_RESET;
    case TRACE_NMI: return INPUT_NMI;
    default: return INPUT_SERIAL;
    }
}

enum trace_kind trace_kind_of_observation(enum observation kind)
{
    switch (kind) {
    case OBSERVE_PORT_READ: return TRACE_PORT_READ;
    case OBSERVE_MMIO_READ: return TRACE_MMIO_READ;
    case OBSERVE_INTERRUPT: return TRACE_INTERRUPT;
    case OBSERVE_MSR_READ: return TRACE_MSR_READ;
    case OBSERVE_TPR_READ: return TRACE_TPR_READ;
    case OBSERVE_MSR_FAULT: return TRACE_MSR_FAULT;
    }
    return TRACE_KINDS;
}

enum trace_kind trace_kind_of_signal(enum cpu_signal signal)
{
    switch (signal) {
    case SIGNAL_NMI: return TRACE_CPU_NMI;
    case SIGNAL_INIT: return TRACE_CPU_INIT;
    case SIGNAL_STARTUP: return TRACE_CPU_STARTUP;
    case SIGNAL_SMI: return TRACE_CPU_SMI;
    case SIGNAL_RESET: return TRACE_MACHINE_RESET;
    }
    return TRACE_KINDS;
}

void trace_event_dma(struct trace_event *event, enum trace_level level, const uint8_t *bytes,
                     uint64_t length)
{
    event->bytes = (uint32_t)(length < TRACE_PAYLOAD_BYTES ? length : TRACE_PAYLOAD_BYTES);
    if (level >= TRACE_LEVEL_FULL) {
        event->kind = TRACE_DMA_DATA;
        event->payload = bytes;
    } else {
        event->kind = TRACE_DMA;
        event->value = (uint32_t)XXH3_64bits(bytes, event->bytes);
    }
}
