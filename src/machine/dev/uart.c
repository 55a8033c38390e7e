/*
 * The PC16550D serial port.
 *
 * Source: National Semiconductor PC16550D data sheet (June 1995), sections 8.0
 * (registers) and 8.6.4 (FIFO interrupt mode).
 *
 * The transmitter takes no time: THR is empty again as soon as it was written,
 * and the interrupt that says so is pending again. Reception has the pace of
 * whoever calls uart_receive; the character timeout of the FIFO takes four
 * characters at the programmed rate.
 *
 * Not modelled:
 * - Line errors: parity, framing and break never happen.
 * - The XMIT FIFO and the DMA pins (FCR3 is stored).
 * - Modem inputs from outside: CTS, DSR and DCD are on, RI is off.
 * - OUT2 does not gate the interrupt: that is the adapter card's doing, and
 *   guests that never set it are written for machines without the gate.
 */
#include "machine/dev/uart.h"

#include <string.h>

enum { RBR_THR, IER, IIR_FCR, LCR, MCR, LSR, MSR, SCR };

#define IER_ERBFI 0x01
#define IER_ETBEI 0x02
#define IER_ELSI 0x04
#define IER_EDSSI 0x08
#define IIR_NONE 0x01
#define IIR_MODEM 0x00
#define IIR_THRE 0x02
#define IIR_DATA 0x04
#define IIR_LINE 0x06
#define IIR_TIMEOUT 0x0c
#define IIR_FIFOS 0xc0
#define FCR_ENABLE 0x01
#define FCR_CLEAR_RECEIVER 0x02
#define FCR_STORED 0xc9
#define LCR_DLAB 0x80
#define MCR_DTR 0x01
#define MCR_RTS 0x02
#define MCR_OUT1 0x04
#define MCR_OUT2 0x08
#define MCR_LOOP 0x10
#define LSR_DR 0x01
#define LSR_OE 0x02
#define LSR_ERRORS 0x1e
#define LSR_THRE 0x20
#define LSR_TEMT 0x40
#define MSR_DELTAS 0x0f
#define MSR_TERI 0x04
#define MSR_CTS 0x10
#define MSR_DSR 0x20
#define MSR_RI 0x40
#define MSR_DCD 0x80

#define BAUD_CLOCK_HZ 1843200u
#define CLOCKS_PER_BIT 16u

static bool has_fifos(const struct uart_state *s)
{
    return s->fcr & FCR_ENABLE;
}

static unsigned trigger_level(const struct uart_state *s)
{
    static const uint8_t levels[4] = { 1, 4, 8, 14 };
    return has_fifos(s) ? levels[s->fcr >> 6] : 1;
}

/* Source of the interrupt of highest priority that is enabled (table IV). */
static uint8_t interrupt_source(const struct uart_state *s)
{
    if ((s->ier & IER_ELSI) && (s->lsr & LSR_ERRORS))
        return IIR_LINE;
    if ((s->ier & IER_ERBFI) && s->count >= trigger_level(s))
        return IIR_DATA;
    if ((s->ier & IER_ERBFI) && s->timed_out)
        return IIR_TIMEOUT;
    if ((s->ier & IER_ETBEI) && s->thre_pending)
        return IIR_THRE;
    if ((s->ier & IER_EDSSI) && (s->msr & MSR_DELTAS))
        return IIR_MODEM;
    return IIR_NONE;
}

static void drive(struct uart *uart)
{
    bool level = interrupt_source(&uart->s) != IIR_NONE;
    if (level != uart->s.irq_level) {
        uart->s.irq_level = level;
        line_set(&uart->irq, level);
    }
}

/* Virtual time of four characters at the programmed rate. */
static uint64_t timeout_length(const struct uart_state *s)
{
    uint64_t divisor = (uint64_t)s->dlm << 8 | s->dll;
    if (!divisor)
        divisor = 65536;
    unsigned bits = 1 + 5 + (s->lcr & 3) + (s->lcr >> 3 & 1) + 1 + (s->lcr >> 2 & 1);
    return 4 * bits * divisor * CLOCKS_PER_BIT * NS_PER_SECOND / BAUD_CLOCK_HZ;
}

/* The timeout starts anew with every byte that enters or leaves the FIFO, and
 * runs only while something is in it. */
static void restart_timeout(struct uart *uart)
{
    struct uart_state *s = &uart->s;
    s->timed_out = 0;
    s->timeout_ns = EVENTS_NEVER;
    if (has_fifos(s) && s->count) {
        uint64_t now = clock_now(uart->clock);
        uint64_t length = timeout_length(s);
        if (length < EVENTS_NEVER - now)
            s->timeout_ns = now + length;
    }
    events_schedule(uart->events, uart->timer, s->timeout_ns);
}

void uart_event(void *device, uint64_t now)
{
    struct uart *uart = device;
    if (uart->s.timeout_ns > now)
        return;
    uart->s.timeout_ns = EVENTS_NEVER;
    uart->s.timed_out = 1;
    drive(uart);
}

void uart_restored(void *device)
{
    struct uart *uart = device;
    events_schedule(uart->events, uart->timer, uart->s.timeout_ns);
}

void uart_init(struct uart *uart, unsigned unit, const struct clock *clock, struct events *events,
               struct line irq, uart_output_function *output, void *output_context)
{
    memset(uart, 0, sizeof *uart);
    uart->unit = unit;
    uart->clock = clock;
    uart->events = events;
    uart->irq = irq;
    uart->output = output;
    uart->output_context = output_context;
    uart->timer = events_add(events, "uart", uart_event, uart);
    uart_reset(uart);
}

void uart_reset(struct uart *uart)
{
    struct uart_state *s = &uart->s;
    memset(s, 0, sizeof *s);
    s->dll = 12; /* undefined in the chip: 9600 baud */
    s->msr = MSR_CTS | MSR_DSR | MSR_DCD;
    restart_timeout(uart);
    line_set(&uart->irq, false);
}

static void clear_receiver(struct uart *uart)
{
    uart->s.head = 0;
    uart->s.count = 0;
    restart_timeout(uart);
}

/* A byte arrives in the receiver, from the line or looped back. */
static void enter(struct uart *uart, uint8_t value)
{
    struct uart_state *s = &uart->s;
    unsigned room = has_fifos(s) ? UART_FIFO : 1;
    if (s->count >= room) {
        s->lsr |= LSR_OE;
        if (!has_fifos(s)) /* the character in RBR is destroyed; a FIFO keeps what it has */
            s->fifo[s->head] = value;
    } else {
        s->fifo[(s->head + s->count) % UART_FIFO] = value;
        s->count++;
    }
    restart_timeout(uart);
}

void uart_receive(struct uart *uart, uint8_t value)
{
    if (uart->s.mcr & MCR_LOOP)
        return;
    enter(uart, value);
    drive(uart);
}

bool uart_can_receive(const struct uart *uart)
{
    const struct uart_state *s = &uart->s;
    return !(s->mcr & MCR_LOOP) && s->count < (has_fifos(s) ? UART_FIFO : 1);
}

static uint8_t read_rbr(struct uart *uart)
{
    struct uart_state *s = &uart->s;
    uint8_t value = s->fifo[s->head]; /* an empty receiver gives the last byte again */
    if (s->count) {
        s->count--;
        if (s->count)
            s->head = (s->head + 1) % UART_FIFO;
        restart_timeout(uart);
    }
    return value;
}

static uint8_t read_iir(struct uart_state *s)
{
    uint8_t source = interrupt_source(s);
    if (source == IIR_THRE)
        s->thre_pending = 0;
    return source | (has_fifos(s) ? IIR_FIFOS : 0);
}

static uint8_t read_lsr(struct uart_state *s)
{
    uint8_t value = s->lsr | LSR_THRE | LSR_TEMT | (s->count ? LSR_DR : 0);
    s->lsr = 0;
    return value;
}

static uint8_t read_msr(struct uart_state *s)
{
    uint8_t value = s->msr;
    s->msr &= (uint8_t)~MSR_DELTAS;
    return value;
}

static uint8_t read_register(struct uart *uart, unsigned offset)
{
    struct uart_state *s = &uart->s;
    bool divisor = s->lcr & LCR_DLAB;
    switch (offset) {
    case RBR_THR: return divisor ? s->dll : read_rbr(uart);
    case IER: return divisor ? s->dlm : s->ier;
    case IIR_FCR: return read_iir(s);
    case LCR: return s->lcr;
    case MCR: return s->mcr;
    case LSR: return read_lsr(s);
    case MSR: return read_msr(s);
    default: return s->scr;
    }
}

uint64_t uart_read(void *device, uint64_t offset, unsigned bytes)
{
    struct uart *uart = device;
    (void)bytes;
    uint8_t value = read_register(uart, offset & 7);
    drive(uart);
    return value;
}

/* The byte leaves at once. The THRE interrupt goes away with the write and
 * comes back as the register empties: an edge between the two. */
static void transmit(struct uart *uart, uint8_t value)
{
    struct uart_state *s = &uart->s;
    s->thre_pending = 0;
    drive(uart);
    if (s->mcr & MCR_LOOP)
        enter(uart, value);
    else if (uart->output)
        uart->output(uart->output_context, uart->unit, &value, 1);
    s->thre_pending = 1;
}

static void write_fcr(struct uart *uart, uint8_t value)
{
    struct uart_state *s = &uart->s;
    bool toggles = (value ^ s->fcr) & FCR_ENABLE;
    if (!(value & FCR_ENABLE))
        value = 0; /* the other bits are not programmed without it */
    s->fcr = value & FCR_STORED;
    if (toggles || (value & FCR_CLEAR_RECEIVER))
        clear_receiver(uart);
}

/* Modem inputs: fixed, or the outputs of MCR in loopback. */
static void update_modem(struct uart_state *s)
{
    uint8_t level = MSR_CTS | MSR_DSR | MSR_DCD;
    if (s->mcr & MCR_LOOP)
        level = (uint8_t)((s->mcr & MCR_RTS ? MSR_CTS : 0) | (s->mcr & MCR_DTR ? MSR_DSR : 0) |
                          (s->mcr & MCR_OUT1 ? MSR_RI : 0) | (s->mcr & MCR_OUT2 ? MSR_DCD : 0));
    uint8_t changed = (uint8_t)((s->msr ^ level) & ~MSR_DELTAS);
    uint8_t deltas = changed >> 4;
    if (!(s->msr & MSR_RI)) /* RI counts only as it goes off */
        deltas &= (uint8_t)~MSR_TERI;
    s->msr = (uint8_t)(level | (s->msr & MSR_DELTAS) | deltas);
}

static void write_register(struct uart *uart, unsigned offset, uint8_t value)
{
    struct uart_state *s = &uart->s;
    bool divisor = s->lcr & LCR_DLAB;
    switch (offset) {
    case RBR_THR:
        if (divisor)
            s->dll = value;
        else
            transmit(uart, value);
        break;
    case IER:
        if (divisor) {
            s->dlm = value;
            break;
        }
        if ((value & IER_ETBEI) && !(s->ier & IER_ETBEI))
            s->thre_pending = 1; /* enabling it while THR is empty raises it */
        s->ier = value & 0x0f;
        break;
    case IIR_FCR: write_fcr(uart, value); break;
    case LCR: s->lcr = value; break;
    case MCR:
        s->mcr = value & 0x1f;
        update_modem(s);
        break;
    case SCR: s->scr = value; break;
    default: break; /* LSR and MSR are for reading */
    }
}

void uart_write(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct uart *uart = device;
    (void)bytes;
    write_register(uart, offset & 7, (uint8_t)value);
    drive(uart);
}
