/*
 * A standard PS/2 mouse (device ID 00h): it answers commands; nothing moves it.
 */
#ifndef MACHINE_DEV_PS2_MOUSE_H
#define MACHINE_DEV_PS2_MOUSE_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_MOUSE_QUEUE 16

struct ps2_mouse_state {
    uint8_t queue[PS2_MOUSE_QUEUE];
    uint8_t head;
    uint8_t count;
    uint8_t enabled;     /* data reporting */
    uint8_t remote;
    uint8_t wrap;
    uint8_t scaling;     /* 1: 2:1 */
    uint8_t resolution;  /* 0..3 */
    uint8_t sample_rate; /* reports a second */
    uint8_t command;     /* waiting for its parameter, 0: none */
    uint8_t last_sent;
    uint8_t pad[6];
};
_Static_assert(sizeof(struct ps2_mouse_state) == 32, "no hidden padding");

void ps2_mouse_reset(struct ps2_mouse_state *mouse);
void ps2_mouse_command(struct ps2_mouse_state *mouse, uint8_t value);
bool ps2_mouse_send(struct ps2_mouse_state *mouse, uint8_t *value);

#endif
