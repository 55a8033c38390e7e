/*
 * A serial port: National Semiconductor PC16550D, eight ports (offsets 0..7).
 *
 * A byte is sent the moment it is written; it goes to the `output` callback.
 * Received bytes come from uart_receive. The other end is always there: CTS,
 * DSR and DCD are on.
 */
#ifndef MACHINE_DEV_UART_H
#define MACHINE_DEV_UART_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/clock.h"
#include "machine/events.h"
#include "machine/line.h"

#define UART_FIFO 16

struct uart_state {
    uint64_t timeout_ns;  /* when the character timeout comes, EVENTS_NEVER: not */
    uint8_t fifo[UART_FIFO];
    uint8_t head;
    uint8_t count;        /* bytes received and not yet read; at most 1 without FIFO */
    uint8_t ier;
    uint8_t fcr;          /* bits 7, 6, 3, 0 */
    uint8_t lcr;
    uint8_t mcr;
    uint8_t lsr;          /* OE, PE, FE, BI; the rest is worked out */
    uint8_t msr;
    uint8_t scr;
    uint8_t dll;
    uint8_t dlm;
    uint8_t thre_pending; /* transmitter-empty interrupt not yet taken */
    uint8_t timed_out;    /* character timeout pending */
    uint8_t irq_level;
    uint8_t pad[2];
};
_Static_assert(sizeof(struct uart_state) == 40, "no hidden padding");

typedef void uart_output_function(void *context, unsigned unit, const uint8_t *bytes,
                                  uint64_t length);

struct uart {
    struct uart_state s;
    const struct clock *clock;
    struct events *events;
    struct line irq; /* INTRPT; not gated by OUT2 */
    uart_output_function *output;
    void *output_context;
    unsigned unit; /* passed to output */
    unsigned timer;
};

/* `output` may be NULL. Registers one timer in `events`. */
void uart_init(struct uart *uart, unsigned unit, const struct clock *clock, struct events *events,
               struct line irq, uart_output_function *output, void *output_context);
void uart_reset(struct uart *uart);

uint64_t uart_read(void *device, uint64_t offset, unsigned bytes);
void uart_write(void *device, uint64_t offset, uint64_t value, unsigned bytes);

/* A byte from the line. The caller asks uart_can_receive first; without room
 * it is an overrun, in loopback mode it is lost. */
void uart_receive(struct uart *uart, uint8_t value);

/* Whether there is FIFO room (without FIFO: the buffer is empty), no loopback. */
bool uart_can_receive(const struct uart *uart);

void uart_event(void *device, uint64_t now);
void uart_restored(void *device);

#endif
