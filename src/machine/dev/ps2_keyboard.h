/*
 * A PS/2 keyboard: commands, acknowledgements, scan code sets 1, 2 and 3, and
 * the queue of bytes to send. It knows nothing of the controller's translation.
 */
#ifndef MACHINE_DEV_PS2_KEYBOARD_H
#define MACHINE_DEV_PS2_KEYBOARD_H

#include <stdbool.h>
#include <stdint.h>

#define PS2_QUEUE 32

struct ps2_keyboard_state {
    uint8_t queue[PS2_QUEUE];
    uint8_t head;      /* first byte */
    uint8_t count;
    uint8_t enabled;   /* scanning */
    uint8_t scan_set;  /* 1..3 */
    uint8_t leds;
    uint8_t typematic;
    uint8_t command;   /* waiting for its parameter, 0: none */
    uint8_t last_sent; /* for FEh, resend */
    uint8_t prefix;    /* host side: E0h or E1h seen, else 0 */
    uint8_t prefix_left; /* bytes that follow the prefix */
    uint8_t replies;   /* how many bytes at the queue's head answer a command */
    uint8_t pad[5];
};
_Static_assert(sizeof(struct ps2_keyboard_state) == 48, "no hidden padding");

/* Power-on: set 2, scanning on; the self-test's result (AAh) is queued only by
 * the reset command. */
void ps2_keyboard_reset(struct ps2_keyboard_state *keyboard);

/* A byte from the system. */
void ps2_keyboard_command(struct ps2_keyboard_state *keyboard, uint8_t value);

/* A key event of the user, one byte of its scan code in set 1 (make, or break
 * with bit 7; E0h and E1h are prefixes). Dropped while scanning is off. */
void ps2_keyboard_key(struct ps2_keyboard_state *keyboard, uint8_t code);

/* Whether there is room for whatever one such byte makes. */
bool ps2_keyboard_has_room(const struct ps2_keyboard_state *keyboard);

/* Takes the next byte to send; false when there is none. */
bool ps2_keyboard_send(struct ps2_keyboard_state *keyboard, uint8_t *value);

#endif
