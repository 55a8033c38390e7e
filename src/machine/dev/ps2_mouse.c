/*
 * A PS/2 mouse at rest.
 *
 * Source: IBM PS/2 technical reference, "Mouse".
 *
 * Not modelled: movement and buttons (no input of this machine makes them),
 * so stream mode never sends a report; a report asked for says "no change".
 */
#include "machine/dev/ps2_mouse.h"

#include <string.h>

#define ACKNOWLEDGE 0xfa
#define NOT_UNDERSTOOD 0xfe
#define TEST_PASSED 0xaa
#define DEVICE_ID 0x00
#define REPORT_FIRST 0x08 /* no button, no sign; bit 3 is always set */
#define STATUS_REMOTE 0x40
#define STATUS_ENABLED 0x20
#define STATUS_SCALING 0x10

enum command {
    SCALING_1 = 0xe6,
    SCALING_2 = 0xe7,
    SET_RESOLUTION = 0xe8,
    STATUS_REQUEST = 0xe9,
    STREAM = 0xea,
    READ_DATA = 0xeb,
    RESET_WRAP = 0xec,
    WRAP = 0xee,
    REMOTE = 0xf0,
    IDENTIFY = 0xf2,
    SET_SAMPLE_RATE = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    RESEND = 0xfe,
    RESET = 0xff,
};

static void put(struct ps2_mouse_state *m, uint8_t value)
{
    if (m->count < PS2_MOUSE_QUEUE) {
        m->queue[(m->head + m->count) % PS2_MOUSE_QUEUE] = value;
        m->count++;
    }
}

static void set_defaults(struct ps2_mouse_state *m)
{
    m->enabled = 0;
    m->remote = 0;
    m->scaling = 0;
    m->resolution = 2;
    m->sample_rate = 100;
}

void ps2_mouse_reset(struct ps2_mouse_state *m)
{
    memset(m, 0, sizeof *m);
    set_defaults(m);
}

static void parameter(struct ps2_mouse_state *m, uint8_t value)
{
    if (m->command == SET_RESOLUTION)
        m->resolution = value & 3;
    else
        m->sample_rate = value;
    m->command = 0;
    put(m, ACKNOWLEDGE);
}

static void put_status(struct ps2_mouse_state *m)
{
    put(m, (uint8_t)((m->remote ? STATUS_REMOTE : 0) | (m->enabled ? STATUS_ENABLED : 0) |
                     (m->scaling ? STATUS_SCALING : 0)));
    put(m, m->resolution);
    put(m, m->sample_rate);
}

static void put_report(struct ps2_mouse_state *m)
{
    put(m, REPORT_FIRST);
    put(m, 0);
    put(m, 0);
}

static void begin_command(struct ps2_mouse_state *m, uint8_t value)
{
    if (value == RESEND) {
        put(m, m->last_sent);
        return;
    }
    if (value == RESET)
        ps2_mouse_reset(m);
    put(m, ACKNOWLEDGE);
    switch (value) {
    case SCALING_1: m->scaling = 0; break;
    case SCALING_2: m->scaling = 1; break;
    case SET_RESOLUTION:
    case SET_SAMPLE_RATE: m->command = value; break;
    case STATUS_REQUEST: put_status(m); break;
    case STREAM: m->remote = 0; break;
    case READ_DATA: put_report(m); break;
    case RESET_WRAP: break;
    case WRAP: m->wrap = 1; break;
    case REMOTE: m->remote = 1; break;
    case IDENTIFY: put(m, DEVICE_ID); break;
    case ENABLE: m->enabled = 1; break;
    case DISABLE: m->enabled = 0; break;
    case DEFAULTS: set_defaults(m); break;
    case RESET:
        put(m, TEST_PASSED);
        put(m, DEVICE_ID);
        break;
    default:
        m->count = 0;
        put(m, NOT_UNDERSTOOD);
        break;
    }
}

void ps2_mouse_command(struct ps2_mouse_state *m, uint8_t value)
{
    m->head = 0;
    m->count = 0;
    if (m->wrap && value != RESET && value != RESET_WRAP) {
        put(m, value);
    } else if (m->command) {
        parameter(m, value);
    } else {
        if (value == RESET_WRAP)
            m->wrap = 0;
        begin_command(m, value);
    }
}

bool ps2_mouse_send(struct ps2_mouse_state *m, uint8_t *value)
{
    if (!m->count)
        return false;
    *value = m->queue[m->head];
    m->head = (m->head + 1) % PS2_MOUSE_QUEUE;
    m->count--;
    if (*value != NOT_UNDERSTOOD)
        m->last_sent = *value;
    return true;
}
