/*
 * The keyboard controller.
 *
 * Sources: IBM PC/AT technical reference, "Keyboard controller"; IBM PS/2
 * hardware interface technical reference, "Keyboard and auxiliary device
 * controller" (the commands A7h..A9h, D2h..D4h).
 *
 * A device's byte is under way for I8042_BYTE_NS whenever the output buffer is
 * free and the device's interface is enabled. An answer of the controller goes
 * into the buffer at once, or as soon as what is there has been read.
 *
 * Not modelled:
 * - IBF: the controller takes each byte at once.
 * - Time-out and parity errors of the device lines.
 * - The password (A4h says that there is none), diagnostic dumps, the pulse of
 *   other output lines than reset.
 */
#include "machine/dev/i8042.h"

#include <string.h>

#define STATUS_OBF 0x01
#define STATUS_SYS 0x04
#define STATUS_COMMAND 0x08
#define STATUS_UNLOCKED 0x10
#define STATUS_AUX 0x20

#define BYTE_KEYBOARD_INT 0x01
#define BYTE_AUX_INT 0x02
#define BYTE_SYS 0x04
#define BYTE_KEYBOARD_OFF 0x10
#define BYTE_AUX_OFF 0x20
#define BYTE_TRANSLATE 0x40

#define PORT_NO_RESET 0x01
#define PORT_A20 0x02
#define PORT_KEYBOARD_FULL 0x10
#define PORT_AUX_FULL 0x20
#define PORT_LINES 0xc0 /* clock and data of the keyboard, idle */

#define INPUT_PORT 0xa0 /* not locked, colour display, no manufacturing jumper */
#define BREAK 0xf0
#define KEYBOARD_FIRST_PASS_THROUGH 0x80

enum command {
    READ_RAM = 0x20,  /* to 3Fh */
    WRITE_RAM = 0x60, /* to 7Fh */
    PASSWORD_INSTALLED = 0xa4,
    AUX_DISABLE = 0xa7,
    AUX_ENABLE = 0xa8,
    AUX_TEST = 0xa9,
    SELF_TEST = 0xaa,
    KEYBOARD_TEST = 0xab,
    KEYBOARD_DISABLE = 0xad,
    KEYBOARD_ENABLE = 0xae,
    READ_INPUT_PORT = 0xc0,
    READ_OUTPUT_PORT = 0xd0,
    WRITE_OUTPUT_PORT = 0xd1,
    WRITE_KEYBOARD_BUFFER = 0xd2,
    WRITE_AUX_BUFFER = 0xd3,
    WRITE_AUX = 0xd4,
    A20_OFF = 0xdd,
    A20_ON = 0xdf,
    READ_TEST_INPUTS = 0xe0,
    PULSE = 0xf0, /* to FFh */
};

enum source { FROM_KEYBOARD, FROM_AUX };

/* Set 2 to set 1, as the controller translates. */
static const uint8_t set_1[KEYBOARD_FIRST_PASS_THROUGH] = {
    0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
    0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
    0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
    0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
    0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
    0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
    0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
    0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
};

static uint8_t to_set_1(uint8_t code)
{
    if (code < KEYBOARD_FIRST_PASS_THROUGH)
        return set_1[code];
    return code == 0x83 ? 0x41 : code == 0x84 ? 0x54 : code;
}

static void drive(struct i8042 *i8042)
{
    const struct i8042_state *s = &i8042->s;
    bool full = s->status & STATUS_OBF;
    bool aux = s->status & STATUS_AUX;
    line_set(&i8042->irq_keyboard, full && !aux && (s->ram[0] & BYTE_KEYBOARD_INT));
    line_set(&i8042->irq_mouse, full && aux && (s->ram[0] & BYTE_AUX_INT));
}

static void fill(struct i8042 *i8042, uint8_t value, enum source source)
{
    struct i8042_state *s = &i8042->s;
    s->output = value;
    s->status = (uint8_t)((s->status & ~STATUS_AUX) | STATUS_OBF |
                          (source == FROM_AUX ? STATUS_AUX : 0));
    drive(i8042);
}

static bool keyboard_waits(const struct i8042_state *s)
{
    return s->keyboard.count && !(s->ram[0] & BYTE_KEYBOARD_OFF);
}

static bool mouse_waits(const struct i8042_state *s)
{
    return s->mouse.count && !(s->ram[0] & BYTE_AUX_OFF);
}

/* Lets a device begin to send when it may and has something. */
static void start_transfer(struct i8042 *i8042)
{
    struct i8042_state *s = &i8042->s;
    if (s->transfer_ns != EVENTS_NEVER || (s->status & STATUS_OBF))
        return;
    if (!keyboard_waits(s) && !mouse_waits(s))
        return;
    uint64_t now = clock_now(i8042->clock);
    s->transfer_ns = now < EVENTS_NEVER - 1 - I8042_BYTE_NS ? now + I8042_BYTE_NS
                                                             : EVENTS_NEVER - 1;
    events_schedule(i8042->events, i8042->timer, s->transfer_ns);
}

/* False when translation swallows the byte. */
static bool translate(struct i8042_state *s, uint8_t *value)
{
    if (!(s->ram[0] & BYTE_TRANSLATE)) {
        s->translating = 0;
        return true;
    }
    if (*value == BREAK) {
        s->translating = 1;
        return false;
    }
    *value = to_set_1(*value) | (s->translating ? 0x80 : 0);
    s->translating = 0;
    return true;
}

void i8042_event(void *device, uint64_t now)
{
    struct i8042 *i8042 = device;
    struct i8042_state *s = &i8042->s;
    uint8_t value;
    if (s->transfer_ns > now)
        return;
    s->transfer_ns = EVENTS_NEVER;
    if (s->status & STATUS_OBF)
        return; /* the controller answered meanwhile */
    if (keyboard_waits(s)) {
        ps2_keyboard_send(&s->keyboard, &value);
        if (translate(s, &value))
            fill(i8042, value, FROM_KEYBOARD);
    } else if (mouse_waits(s)) {
        ps2_mouse_send(&s->mouse, &value);
        fill(i8042, value, FROM_AUX);
    }
    start_transfer(i8042);
}

void i8042_restored(void *device)
{
    struct i8042 *i8042 = device;
    events_schedule(i8042->events, i8042->timer, i8042->s.transfer_ns);
}

void i8042_init(struct i8042 *i8042, const struct clock *clock, struct events *events,
                struct line irq_keyboard, struct line irq_mouse, struct line a20,
                struct line reset)
{
    memset(i8042, 0, sizeof *i8042);
    i8042->clock = clock;
    i8042->events = events;
    i8042->irq_keyboard = irq_keyboard;
    i8042->irq_mouse = irq_mouse;
    i8042->a20 = a20;
    i8042->reset = reset;
    i8042->timer = events_add(events, "i8042", i8042_event, i8042);
    i8042_reset(i8042);
}

void i8042_reset(struct i8042 *i8042)
{
    struct i8042_state *s = &i8042->s;
    memset(s, 0, sizeof *s);
    ps2_keyboard_reset(&s->keyboard);
    ps2_mouse_reset(&s->mouse);
    s->transfer_ns = EVENTS_NEVER;
    s->ram[0] = BYTE_KEYBOARD_INT | BYTE_AUX_INT;
    s->status = STATUS_UNLOCKED | STATUS_COMMAND;
    s->output_port = PORT_NO_RESET | PORT_A20;
    events_schedule(i8042->events, i8042->timer, EVENTS_NEVER);
    drive(i8042);
    line_set(&i8042->a20, true);
}

/* An answer of the controller itself. */
static void reply(struct i8042 *i8042, uint8_t value, enum source source)
{
    struct i8042_state *s = &i8042->s;
    if (s->status & STATUS_OBF) {
        s->reply = value;
        s->reply_pending = source == FROM_AUX ? 2 : 1;
    } else {
        fill(i8042, value, source);
    }
}

static void write_output_port(struct i8042 *i8042, uint8_t value)
{
    i8042->s.output_port = value & (PORT_NO_RESET | PORT_A20);
    line_set(&i8042->a20, value & PORT_A20);
    if (!(value & PORT_NO_RESET)) {
        i8042->s.output_port |= PORT_NO_RESET;
        line_pulse(&i8042->reset);
    }
}

static uint8_t read_output_port(const struct i8042_state *s)
{
    uint8_t value = s->output_port | PORT_LINES;
    if (s->status & STATUS_OBF)
        value |= s->status & STATUS_AUX ? PORT_AUX_FULL : PORT_KEYBOARD_FULL;
    return value;
}

static void write_ram(struct i8042 *i8042, unsigned index, uint8_t value)
{
    struct i8042_state *s = &i8042->s;
    s->ram[index] = value;
    if (index != 0)
        return;
    s->status = (uint8_t)((s->status & ~STATUS_SYS) | (value & BYTE_SYS ? STATUS_SYS : 0));
    drive(i8042);
}

static void set_interface(struct i8042 *i8042, uint8_t bit, bool enabled)
{
    uint8_t *byte = &i8042->s.ram[0];
    *byte = (uint8_t)(enabled ? *byte & ~bit : *byte | bit);
}

static void execute(struct i8042 *i8042, uint8_t command)
{
    struct i8042_state *s = &i8042->s;
    s->command = 0;
    switch (command) {
    case PASSWORD_INSTALLED: reply(i8042, 0xf1, FROM_KEYBOARD); break;
    case AUX_DISABLE: set_interface(i8042, BYTE_AUX_OFF, false); break;
    case AUX_ENABLE: set_interface(i8042, BYTE_AUX_OFF, true); break;
    case AUX_TEST: reply(i8042, 0x00, FROM_KEYBOARD); break;
    case SELF_TEST:
        s->status |= STATUS_SYS;
        s->ram[0] |= BYTE_SYS;
        reply(i8042, 0x55, FROM_KEYBOARD);
        break;
    case KEYBOARD_TEST: reply(i8042, 0x00, FROM_KEYBOARD); break;
    case KEYBOARD_DISABLE: set_interface(i8042, BYTE_KEYBOARD_OFF, false); break;
    case KEYBOARD_ENABLE: set_interface(i8042, BYTE_KEYBOARD_OFF, true); break;
    case READ_INPUT_PORT: reply(i8042, INPUT_PORT, FROM_KEYBOARD); break;
    case READ_OUTPUT_PORT: reply(i8042, read_output_port(s), FROM_KEYBOARD); break;
    case WRITE_OUTPUT_PORT:
    case WRITE_KEYBOARD_BUFFER:
    case WRITE_AUX_BUFFER:
    case WRITE_AUX: s->command = command; break;
    case A20_OFF: write_output_port(i8042, s->output_port & (uint8_t)~PORT_A20); break;
    case A20_ON: write_output_port(i8042, s->output_port | PORT_A20); break;
    case READ_TEST_INPUTS: reply(i8042, 0x03, FROM_KEYBOARD); break; /* both clocks idle */
    default:
        if (command >= PULSE && !(command & PORT_NO_RESET))
            line_pulse(&i8042->reset);
        else if ((command & 0xe0) == READ_RAM)
            reply(i8042, s->ram[command & 31], FROM_KEYBOARD);
        else if ((command & 0xe0) == WRITE_RAM)
            s->command = command;
    }
}

void i8042_write_command(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct i8042 *i8042 = device;
    (void)offset;
    (void)bytes;
    i8042->s.status |= STATUS_COMMAND;
    execute(i8042, (uint8_t)value);
    start_transfer(i8042);
}

void i8042_write_data(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct i8042 *i8042 = device;
    struct i8042_state *s = &i8042->s;
    uint8_t command = s->command;
    uint8_t data = (uint8_t)value;
    (void)offset;
    (void)bytes;
    s->status &= (uint8_t)~STATUS_COMMAND;
    s->command = 0;
    switch (command) {
    case 0: /* for the keyboard, whose interface that enables */
        set_interface(i8042, BYTE_KEYBOARD_OFF, true);
        ps2_keyboard_command(&s->keyboard, data);
        break;
    case WRITE_OUTPUT_PORT: write_output_port(i8042, data); break;
    case WRITE_KEYBOARD_BUFFER: reply(i8042, data, FROM_KEYBOARD); break;
    case WRITE_AUX_BUFFER: reply(i8042, data, FROM_AUX); break;
    case WRITE_AUX:
        set_interface(i8042, BYTE_AUX_OFF, true);
        ps2_mouse_command(&s->mouse, data);
        break;
    default: write_ram(i8042, command & 31, data); break;
    }
    start_transfer(i8042);
}

uint64_t i8042_read_data(void *device, uint64_t offset, unsigned bytes)
{
    struct i8042 *i8042 = device;
    struct i8042_state *s = &i8042->s;
    uint8_t value = s->output;
    (void)offset;
    (void)bytes;
    if (!(s->status & STATUS_OBF))
        return value;
    s->status &= (uint8_t)~(STATUS_OBF | STATUS_AUX);
    drive(i8042);
    if (s->reply_pending) {
        enum source source = s->reply_pending == 2 ? FROM_AUX : FROM_KEYBOARD;
        s->reply_pending = 0;
        fill(i8042, s->reply, source);
    }
    start_transfer(i8042);
    return value;
}

uint64_t i8042_read_status(void *device, uint64_t offset, unsigned bytes)
{
    const struct i8042 *i8042 = device;
    (void)offset;
    (void)bytes;
    return i8042->s.status;
}

void i8042_key(struct i8042 *i8042, uint8_t code)
{
    ps2_keyboard_key(&i8042->s.keyboard, code);
    start_transfer(i8042);
}

bool i8042_can_key(const struct i8042 *i8042)
{
    return ps2_keyboard_has_room(&i8042->s.keyboard);
}

bool i8042_a20(const struct i8042 *i8042)
{
    return i8042->s.output_port & PORT_A20;
}

void i8042_show_a20(struct i8042 *i8042, bool level)
{
    uint8_t *port = &i8042->s.output_port;
    *port = (uint8_t)((*port & ~PORT_A20) | (level ? PORT_A20 : 0));
}
