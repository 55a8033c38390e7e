/* Packets of the gdb remote serial protocol; see packet.h. */
#include "debug/packet.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define INTERRUPT 0x03

void packets_init(struct packets *packets, const struct gdb_stream *stream)
{
    memset(packets, 0, sizeof *packets);
    packets->stream = *stream;
}

/* Bytes in and out */

/* Reads what there is; false when there is nothing (yet, or any more). */
static bool fill(struct packets *packets, int timeout_ms)
{
    int got = packets->closed ? -1
                              : packets->stream.read(packets->stream.context, packets->input,
                                                     sizeof packets->input, timeout_ms);
    if (got < 0)
        packets->closed = true;
    packets->input_used = 0;
    packets->input_length = got > 0 ? (unsigned)got : 0;
    return got > 0;
}

/* -1: the peer has gone. */
static int next_byte(struct packets *packets)
{
    while (packets->input_used == packets->input_length && !packets->closed)
        fill(packets, -1);
    return packets->closed ? -1 : packets->input[packets->input_used++];
}

static void send_bytes(struct packets *packets, const void *bytes, unsigned length)
{
    if (!packets->closed && packets->stream.write(packets->stream.context, bytes, length) < 0)
        packets->closed = true;
}

bool packets_interrupted(struct packets *packets)
{
    if (packets->input_used == packets->input_length && !fill(packets, 0))
        return packets->closed;
    while (packets->input_used < packets->input_length)
        if (packets->input[packets->input_used++] == INTERRUPT)
            return true;
    return false;
}

/* Packets in */

/* The data up to "#", from after "$". A "$" inside starts anew: the end of the
 * packet before it was lost. Returns the sum, -1 when the peer has gone;
 * *fits: the data is all there. */
static int read_data(struct packets *packets, bool *fits)
{
    uint8_t sum = 0;
    packets->length = 0;
    *fits = true;
    for (int c = next_byte(packets); c != '#'; c = next_byte(packets)) {
        if (c < 0)
            return -1;
        sum = (uint8_t)(sum + c);
        *fits &= packets->length < PACKET_BYTES;
        if (*fits)
            packets->data[packets->length++] = (char)c;
        if (c == '$') {
            sum = 0;
            packets->length = 0;
            *fits = true;
        }
    }
    return sum;
}

bool packets_read(struct packets *packets)
{
    for (;;) {
        bool fits;
        int c;
        do
            c = next_byte(packets);
        while (c >= 0 && c != '$');
        int sum = read_data(packets, &fits);
        int high = packets_hex_digit(next_byte(packets)), low = packets_hex_digit(next_byte(packets));
        if (packets->closed)
            return false;
        bool good = high >= 0 && low >= 0 && (high << 4 | low) == sum;
        if (!packets->no_acknowledge)
            send_bytes(packets, good ? "+" : "-", 1);
        if (!fits)
            packets->length = 0;
        packets->data[packets->length] = '\0';
        if (good)
            return true;
    }
}

/* Packets out */

void packets_put(struct packets *packets, const char *format, ...)
{
    unsigned room = PACKET_BYTES - packets->reply_length;
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(packets->reply + packets->reply_length, room + 1, format, arguments);
    va_end(arguments);
    if (wrote > 0)
        packets->reply_length += (unsigned)wrote < room ? (unsigned)wrote : room;
}

void packets_put_hex(struct packets *packets, const void *bytes, unsigned length)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *from = bytes;
    for (unsigned i = 0; i < length && packets->reply_length + 2 <= PACKET_BYTES; i++) {
        packets->reply[packets->reply_length++] = digits[from[i] >> 4];
        packets->reply[packets->reply_length++] = digits[from[i] & 15];
    }
}

void packets_send(struct packets *packets)
{
    char tail[4];
    uint8_t sum = 0;
    for (unsigned i = 0; i < packets->reply_length; i++)
        sum = (uint8_t)(sum + packets->reply[i]);
    snprintf(tail, sizeof tail, "#%02x", sum);
    send_bytes(packets, "$", 1);
    send_bytes(packets, packets->reply, packets->reply_length);
    send_bytes(packets, tail, 3);
    packets->reply_length = 0;
}

/* Digits */

int packets_hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

const char *packets_hex_number(const char *text, uint64_t *value)
{
    *value = 0;
    for (unsigned digits = 0; packets_hex_digit(*text) >= 0 && digits < 16; digits++)
        *value = *value << 4 | (unsigned)packets_hex_digit(*text++);
    return text;
}

bool packets_hex_bytes(const char *text, uint8_t *bytes, unsigned length)
{
    for (unsigned i = 0; i < length; i++) {
        int high = packets_hex_digit(text[2 * i]);
        int low = high < 0 ? -1 : packets_hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
