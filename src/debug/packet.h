/*
 * Packets of the gdb remote serial protocol over a byte stream: "$data#sum",
 * acknowledged by "+" or "-" until both sides agree not to. (gdb manual,
 * appendix E.1)
 */
#ifndef DEBUG_PACKET_H
#define DEBUG_PACKET_H

#include <stdbool.h>
#include <stdint.h>

#define PACKET_BYTES 16384u /* of data in a packet, either way */

/* The stream. `read` waits up to timeout_ms (-1: for ever) and returns the
 * bytes read, 0 when none came, -1 when the peer has gone. `write` sends all
 * or returns -1. */
struct gdb_stream {
    void *context;
    int (*read)(void *context, uint8_t *bytes, unsigned size, int timeout_ms);
    int (*write)(void *context, const uint8_t *bytes, unsigned length);
};

struct packets {
    struct gdb_stream stream;
    bool no_acknowledge; /* the peer sends and awaits none any more */
    bool closed;         /* the peer has gone */
    uint8_t input[4096];
    unsigned input_used, input_length;
    char data[PACKET_BYTES + 1]; /* of the last packet read, NUL-terminated */
    unsigned length;
    char reply[PACKET_BYTES + 1]; /* being written */
    unsigned reply_length;
};

void packets_init(struct packets *packets, const struct gdb_stream *stream);

/* Awaits the next good packet: into data, length. One with a wrong sum is
 * refused, one that is too long comes as an empty one. False: the peer has gone. */
bool packets_read(struct packets *packets);

/* While no packet is due, without waiting: whether the peer has gone or has
 * sent its interrupt (Ctrl-C). Anything else that it sends is dropped. */
bool packets_interrupted(struct packets *packets);

/* Adds to the reply; what does not fit is cut off. */
void packets_put(struct packets *packets, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void packets_put_hex(struct packets *packets, const void *bytes, unsigned length);

/* Sends the reply, and begins a new one. */
void packets_send(struct packets *packets);

/* Digits: the value of one, -1 when it is none; up to 16 from the start of
 * `text`, returns what follows them; exactly 2 * length of them. */
int packets_hex_digit(int c);
const char *packets_hex_number(const char *text, uint64_t *value);
bool packets_hex_bytes(const char *text, uint8_t *bytes, unsigned length);

#endif
