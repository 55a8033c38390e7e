/*
 * A PS/2 keyboard.
 *
 * Source: IBM PS/2 technical reference, "101- and 102-key keyboards" (commands,
 * scan code sets); Microsoft keyboard scan code specification, for the codes.
 *
 * Key events arrive in set 1, the code of the host's key files; the keyboard
 * turns them into the set that the guest chose.
 *
 * Not modelled:
 * - Key repeat: the user's side sends repeated make codes if it wants them.
 * - Set 3's per-key modes (F7h..FDh are acknowledged): every key makes and
 *   breaks.
 * - The self-test's duration.
 */
#include "machine/dev/ps2_keyboard.h"

#include <string.h>

#define ACKNOWLEDGE 0xfa
#define RESEND 0xfe
#define TEST_PASSED 0xaa
#define ECHO 0xee
#define BREAK 0xf0
#define EXTENDED 0xe0
#define PAUSE_PREFIX 0xe1
#define SET_1_BREAK 0x80
#define DEFAULT_TYPEMATIC 0x2b /* 10.9 a second after 500 ms */
#define KEY_BYTES_MOST 3       /* one byte of set 1 makes at most this many */

enum command {
    SET_LEDS = 0xed,
    SCAN_SET = 0xf0,
    IDENTIFY = 0xf2,
    SET_TYPEMATIC = 0xf3,
    ENABLE = 0xf4,
    DISABLE = 0xf5,
    DEFAULTS = 0xf6,
    ALL_KEYS_FIRST = 0xf7,
    ALL_KEYS_LAST = 0xfa,
    KEY_MODE_FIRST = 0xfb,
    KEY_MODE_LAST = 0xfd,
    RESET = 0xff,
};

/* Set 2 code of each set 1 make code; 0: no such key. */
static const uint8_t set_2[128] = {
    0x00, 0x76, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
    0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x14, 0x1c, 0x1b,
    0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5d, 0x1a, 0x22, 0x21, 0x2a,
    0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7c, 0x11, 0x29, 0x58, 0x05, 0x06, 0x04, 0x0c, 0x03,
    0x0b, 0x83, 0x0a, 0x01, 0x09, 0x77, 0x7e, 0x6c, 0x75, 0x7d, 0x7b, 0x6b, 0x73, 0x74, 0x79, 0x69,
    0x72, 0x7a, 0x70, 0x71, 0x84, 0x60, 0x61, 0x78, 0x07, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x3f,
    0x47, 0x4f, 0x56, 0x5e, 0x08, 0x10, 0x18, 0x20, 0x28, 0x30, 0x38, 0x40, 0x48, 0x50, 0x57, 0x6f,
    0x13, 0x19, 0x39, 0x51, 0x53, 0x5c, 0x5f, 0x62, 0x63, 0x64, 0x65, 0x67, 0x68, 0x6a, 0x6d, 0x6e,
};

/* Set 3 code where it is not set 2's: pairs of set 2 code, set 3 code. */
static const uint8_t set_3_plain[][2] = {
    { 0x76, 0x08 }, { 0x05, 0x07 }, { 0x06, 0x0f }, { 0x04, 0x17 }, { 0x0c, 0x1f }, { 0x03, 0x27 },
    { 0x0b, 0x2f }, { 0x83, 0x37 }, { 0x0a, 0x3f }, { 0x01, 0x47 }, { 0x09, 0x4f }, { 0x78, 0x56 },
    { 0x07, 0x5e }, { 0x7e, 0x5f }, { 0x77, 0x76 }, { 0x14, 0x11 }, { 0x58, 0x14 }, { 0x11, 0x19 },
    { 0x5d, 0x5c }, { 0x61, 0x13 }, { 0x7b, 0x84 }, { 0x79, 0x7c }, { 0x7c, 0x7e }, { 0x84, 0x57 },
};
static const uint8_t set_3_extended[][2] = {
    { 0x14, 0x58 }, { 0x11, 0x39 }, { 0x70, 0x67 }, { 0x71, 0x64 }, { 0x6b, 0x61 }, { 0x6c, 0x6e },
    { 0x69, 0x65 }, { 0x75, 0x63 }, { 0x72, 0x60 }, { 0x7d, 0x6f }, { 0x7a, 0x6d }, { 0x74, 0x6a },
    { 0x4a, 0x77 }, { 0x5a, 0x79 }, { 0x7c, 0x57 }, { 0x1f, 0x8b }, { 0x27, 0x8c }, { 0x2f, 0x8d },
};

static void put(struct ps2_keyboard_state *k, uint8_t value)
{
    if (k->count < PS2_QUEUE) {
        k->queue[(k->head + k->count) % PS2_QUEUE] = value;
        k->count++;
    }
}

/* Answers a command: ahead of the keys that wait. */
static void answer(struct ps2_keyboard_state *k, uint8_t value)
{
    if (k->count == PS2_QUEUE)
        k->count--; /* the newest key is lost */
    k->head = (k->head + PS2_QUEUE - 1) % PS2_QUEUE;
    for (unsigned i = 0; i < k->replies; i++)
        k->queue[(k->head + i) % PS2_QUEUE] = k->queue[(k->head + i + 1) % PS2_QUEUE];
    k->queue[(k->head + k->replies) % PS2_QUEUE] = value;
    k->replies++;
    k->count++;
}

/* A new command: what is left of the last answer is not sent. */
static void drop_answers(struct ps2_keyboard_state *k)
{
    k->head = (k->head + k->replies) % PS2_QUEUE;
    k->count -= k->replies;
    k->replies = 0;
}

static void clear_queue(struct ps2_keyboard_state *k)
{
    k->head = 0;
    k->count = 0;
    k->replies = 0;
}

static void set_defaults(struct ps2_keyboard_state *k)
{
    k->scan_set = 2;
    k->typematic = DEFAULT_TYPEMATIC;
    k->command = 0;
    k->prefix = 0;
    k->prefix_left = 0;
}

void ps2_keyboard_reset(struct ps2_keyboard_state *k)
{
    memset(k, 0, sizeof *k);
    set_defaults(k);
    k->enabled = 1;
}

static void parameter(struct ps2_keyboard_state *k, uint8_t value)
{
    uint8_t command = k->command;
    if (command < KEY_MODE_FIRST) /* key lists go on until the next command */
        k->command = 0;
    answer(k, ACKNOWLEDGE);
    switch (command) {
    case SET_LEDS: k->leds = value & 7; break;
    case SET_TYPEMATIC: k->typematic = value & 0x7f; break;
    case SCAN_SET:
        if (value == 0)
            answer(k, k->scan_set);
        else if (value <= 3)
            k->scan_set = value;
        break;
    default: break;
    }
}

static void begin_command(struct ps2_keyboard_state *k, uint8_t value)
{
    k->command = 0;
    switch (value) {
    case ECHO:
        answer(k, ECHO);
        return;
    case RESEND:
        answer(k, k->last_sent);
        return;
    case RESET:
        ps2_keyboard_reset(k);
        answer(k, ACKNOWLEDGE);
        answer(k, TEST_PASSED);
        return;
    case SET_LEDS:
    case SCAN_SET:
    case SET_TYPEMATIC:
        k->command = value;
        break;
    case IDENTIFY:
        answer(k, ACKNOWLEDGE);
        answer(k, 0xab);
        answer(k, 0x83);
        return;
    case ENABLE:
        clear_queue(k);
        k->enabled = 1;
        break;
    case DISABLE:
        clear_queue(k);
        set_defaults(k);
        k->enabled = 0;
        break;
    case DEFAULTS:
        clear_queue(k);
        set_defaults(k);
        k->enabled = 1;
        break;
    default:
        if (value >= KEY_MODE_FIRST && value <= KEY_MODE_LAST) {
            k->command = value;
        } else if (value < ALL_KEYS_FIRST || value > ALL_KEYS_LAST) {
            answer(k, RESEND);
            return;
        }
    }
    answer(k, ACKNOWLEDGE);
}

void ps2_keyboard_command(struct ps2_keyboard_state *k, uint8_t value)
{
    drop_answers(k);
    if (k->command && value < SET_LEDS)
        parameter(k, value);
    else
        begin_command(k, value);
}

static uint8_t find(const uint8_t (*pairs)[2], unsigned count, uint8_t code, uint8_t otherwise)
{
    for (unsigned i = 0; i < count; i++)
        if (pairs[i][0] == code)
            return pairs[i][1];
    return otherwise;
}

/* A whole key event: set 1 code, with its prefix if any. */
static void put_key(struct ps2_keyboard_state *k, bool extended, uint8_t code)
{
    uint8_t make = set_2[code & 0x7f];
    bool breaks = code & SET_1_BREAK;
    if (k->scan_set == 1) {
        if (extended)
            put(k, EXTENDED);
        put(k, code);
        return;
    }
    if (!make)
        return;
    if (k->scan_set == 3) {
        if (extended && (make == 0x12 || make == 0x59))
            return; /* the shifts that sets 1 and 2 put around extended keys */
        make = extended ? find(set_3_extended, sizeof set_3_extended / 2, make, make)
                        : find(set_3_plain, sizeof set_3_plain / 2, make, make);
    } else if (extended) {
        put(k, EXTENDED);
    }
    if (breaks)
        put(k, BREAK);
    put(k, make);
}

/* Pause: E1 1D 45 E1 9D C5 in set 1, of which each half comes here apart. */
static void put_pause(struct ps2_keyboard_state *k, uint8_t code)
{
    bool breaks = code & SET_1_BREAK;
    bool last = (code & 0x7f) == 0x45;
    if (k->scan_set == 3) {
        if (!last)
            return;
        if (breaks)
            put(k, BREAK);
        put(k, 0x62);
        return;
    }
    if (!last)
        put(k, PAUSE_PREFIX);
    if (k->scan_set == 1) {
        put(k, code);
        return;
    }
    if (breaks)
        put(k, BREAK);
    put(k, set_2[code & 0x7f]);
}

void ps2_keyboard_key(struct ps2_keyboard_state *k, uint8_t code)
{
    if (!ps2_keyboard_has_room(k))
        return;
    if (!k->prefix_left && (code == EXTENDED || code == PAUSE_PREFIX)) {
        k->prefix = code;
        k->prefix_left = code == EXTENDED ? 1 : 2;
        return;
    }
    uint8_t prefix = k->prefix;
    if (k->prefix_left && --k->prefix_left == 0)
        k->prefix = 0;
    if (!k->enabled)
        return;
    if (prefix == PAUSE_PREFIX)
        put_pause(k, code);
    else
        put_key(k, prefix == EXTENDED, code);
}

bool ps2_keyboard_has_room(const struct ps2_keyboard_state *k)
{
    return k->count + KEY_BYTES_MOST <= PS2_QUEUE;
}

bool ps2_keyboard_send(struct ps2_keyboard_state *k, uint8_t *value)
{
    if (!k->count)
        return false;
    *value = k->queue[k->head];
    k->head = (k->head + 1) % PS2_QUEUE;
    k->count--;
    if (k->replies)
        k->replies--;
    if (*value != RESEND)
        k->last_sent = *value;
    return true;
}
