/*
 * Two 8259A in cascade with ELCR.
 *
 * Sources: Intel 8259A data sheet (231468-003); 82371FB/SB (PIIX3) data sheet,
 * "Interrupt controller registers" and ELCR1/2.
 *
 * Not modelled:
 * - ICW1's LTIM and SNGL: the PIIX3 ignores the first (ELCR decides) and is
 *   always cascaded. ICW3 is stored; the cascade is wired to IR2 whatever it says.
 * - MCS-80/85 mode: vectors are those of 8086 mode whatever ICW4 says.
 * - Buffered mode.
 */
#include "machine/dev/pic.h"

#include <string.h>

#define MASTER 0
#define SLAVE 1
#define CASCADE_IR 2
#define CASCADE_BIT (1u << CASCADE_IR)

#define ICW1_IC4 0x01
#define ICW1_SELECT 0x10
#define ICW4_AEOI 0x02
#define ICW4_SFNM 0x10
#define OCW3_SELECT 0x08
#define OCW3_RIS 0x01
#define OCW3_RR 0x02
#define OCW3_POLL 0x04
#define OCW3_SMM 0x20
#define OCW3_ESMM 0x40
#define POLL_INTERRUPT 0x80

/* Inputs that ELCR cannot make level-triggered: IRQ 0, 1, 2, 8, 13. */
static const uint8_t elcr_writable[2] = { 0xf8, 0xde };

/* The IR of highest priority in `set`, -1 when it is empty. */
static int highest(const struct pic_chip_state *chip, uint8_t set)
{
    for (unsigned i = 1; i <= 8; i++) {
        unsigned ir = (chip->lowest + i) & 7;
        if (set >> ir & 1)
            return (int)ir;
    }
    return -1;
}

/* How far `ir` is from the top: 0 is the highest priority. */
static unsigned rank(const struct pic_chip_state *chip, int ir)
{
    return ((unsigned)ir - chip->lowest - 1) & 7;
}

/* The request that INT stands for now, -1 when there is none. */
static int pending(const struct pic_chip_state *chip, bool master)
{
    int request = highest(chip, chip->irr & (uint8_t)~chip->imr);
    if (request < 0)
        return -1;
    uint8_t blocking = chip->isr;
    if (chip->special_mask) /* what is masked while in service blocks nobody */
        blocking &= (uint8_t)~chip->imr;
    if (master && (chip->icw4 & ICW4_SFNM) && request == CASCADE_IR)
        blocking &= (uint8_t)~CASCADE_BIT;
    int in_service = highest(chip, blocking);
    if (in_service >= 0 && rank(chip, in_service) <= rank(chip, request))
        return -1;
    return request;
}

static void set_input(struct pic_chip_state *chip, unsigned ir, bool level)
{
    uint8_t bit = (uint8_t)(1u << ir);
    if (level) {
        if (!(chip->lines & bit) || (chip->elcr & bit))
            chip->irr |= bit;
        chip->lines |= bit;
    } else {
        chip->lines &= (uint8_t)~bit;
        chip->irr &= (uint8_t)~bit;
    }
}

/* Works out both INT outputs and drives what changed. */
static void update(struct pic *pic)
{
    struct pic_chip_state *master = &pic->s.chips[MASTER];
    struct pic_chip_state *slave = &pic->s.chips[SLAVE];

    slave->output = !slave->init_step && pending(slave, false) >= 0;
    set_input(master, CASCADE_IR, slave->output);
    uint8_t intr = !master->init_step && pending(master, true) >= 0;
    if (intr != master->output) {
        master->output = intr;
        line_set(&pic->intr, intr);
    }
}

static void reset_chip(struct pic_chip_state *chip)
{
    uint8_t lines = chip->lines;
    memset(chip, 0, sizeof *chip);
    chip->lines = lines;
    chip->lowest = 7;
}

void pic_init(struct pic *pic, struct line intr)
{
    memset(pic, 0, sizeof *pic);
    pic->intr = intr;
    pic_reset(pic);
}

void pic_reset(struct pic *pic)
{
    reset_chip(&pic->s.chips[MASTER]);
    reset_chip(&pic->s.chips[SLAVE]);
    pic->s.chips[MASTER].output = 0;
    pic->s.chips[MASTER].lines &= (uint8_t)~CASCADE_BIT;
    line_set(&pic->intr, false);
}

static void retire(struct pic_chip_state *chip, int ir, bool rotate)
{
    if (ir < 0)
        return;
    chip->isr &= (uint8_t)~(1u << ir);
    if (rotate)
        chip->lowest = (uint8_t)ir;
}

/* INTA or poll of one chip: the IR taken, -1 when no request is there. */
static int take(struct pic_chip_state *chip, bool master)
{
    int ir = pending(chip, master);
    if (ir < 0)
        return -1;
    uint8_t bit = (uint8_t)(1u << ir);
    if (!(chip->elcr & bit))
        chip->irr &= (uint8_t)~bit;
    chip->isr |= bit;
    if (chip->icw4 & ICW4_AEOI)
        retire(chip, ir, chip->rotate_on_aeoi);
    return ir;
}

static int vector(const struct pic_chip_state *chip, int ir)
{
    return chip->vector_base | (ir < 0 ? 7 : ir);
}

/* The slave's INT goes low in its INTA cycle, so that a further request makes
 * a new edge on the master's IR2. */
static int take_slave(struct pic *pic)
{
    int ir = take(&pic->s.chips[SLAVE], false);
    set_input(&pic->s.chips[MASTER], CASCADE_IR, false);
    return ir;
}

int pic_acknowledge(struct pic *pic)
{
    int ir = take(&pic->s.chips[MASTER], true);
    int result = vector(&pic->s.chips[MASTER], ir);
    if (ir == CASCADE_IR)
        result = vector(&pic->s.chips[SLAVE], take_slave(pic));
    update(pic);
    return result;
}

bool pic_intr(const struct pic *pic)
{
    return pic->s.chips[MASTER].output;
}

void pic_set_irq(void *device, unsigned irq, bool level)
{
    struct pic *pic = device;
    if (irq >= PIC_IRQS || irq == CASCADE_IR)
        return;
    set_input(&pic->s.chips[irq >> 3], irq & 7, level);
    update(pic);
}

static uint64_t poll(struct pic *pic, unsigned number)
{
    struct pic_chip_state *chip = &pic->s.chips[number];
    chip->poll = 0;
    int ir = number == SLAVE ? take_slave(pic) : take(chip, true);
    update(pic);
    return ir < 0 ? 0 : POLL_INTERRUPT | (uint64_t)ir;
}

static uint64_t read_chip(struct pic *pic, unsigned number, uint64_t offset)
{
    const struct pic_chip_state *chip = &pic->s.chips[number];
    if (chip->poll)
        return poll(pic, number);
    if (offset & 1)
        return chip->imr;
    return chip->read_isr ? chip->isr : chip->irr;
}

static void write_icw1(struct pic_chip_state *chip, uint8_t value)
{
    chip->icw1 = value;
    chip->init_step = 2;
    chip->imr = 0;
    chip->isr = 0;
    chip->lowest = 7;
    chip->special_mask = 0;
    chip->read_isr = 0;
    chip->poll = 0;
    /* The edge sense circuit is reset: an input must rise again. */
    chip->irr = chip->lines & chip->elcr;
    if (!(value & ICW1_IC4)) {
        chip->icw4 = 0;
        chip->rotate_on_aeoi = 0;
    }
}

static void write_icw(struct pic_chip_state *chip, uint8_t value)
{
    switch (chip->init_step) {
    case 2:
        chip->vector_base = value & 0xf8;
        chip->init_step = 3;
        break;
    case 3:
        chip->icw3 = value;
        chip->init_step = chip->icw1 & ICW1_IC4 ? 4 : 0;
        break;
    default:
        chip->icw4 = value & 0x1f;
        chip->init_step = 0;
        break;
    }
}

static void write_ocw2(struct pic_chip_state *chip, uint8_t value)
{
    int ir = value & 7;
    uint8_t services = chip->isr;
    if (chip->special_mask)
        services &= (uint8_t)~chip->imr; /* a masked one is not reset by a non-specific EOI */

    switch (value >> 5) {
    case 0: chip->rotate_on_aeoi = 0; break;
    case 1: retire(chip, highest(chip, services), false); break;
    case 2: break; /* no operation */
    case 3: retire(chip, ir, false); break;
    case 4: chip->rotate_on_aeoi = 1; break;
    case 5: retire(chip, highest(chip, services), true); break;
    case 6: chip->lowest = (uint8_t)ir; break;
    case 7: retire(chip, ir, true); break;
    }
}

static void write_ocw3(struct pic_chip_state *chip, uint8_t value)
{
    if (value & OCW3_ESMM)
        chip->special_mask = (value & OCW3_SMM) != 0;
    if (value & OCW3_POLL)
        chip->poll = 1;
    else if (value & OCW3_RR)
        chip->read_isr = value & OCW3_RIS;
}

static void write_chip(struct pic *pic, unsigned number, uint64_t offset, uint8_t value)
{
    struct pic_chip_state *chip = &pic->s.chips[number];
    if (offset & 1) {
        if (chip->init_step)
            write_icw(chip, value);
        else
            chip->imr = value;
    } else if (value & ICW1_SELECT) {
        write_icw1(chip, value);
    } else if (value & OCW3_SELECT) {
        write_ocw3(chip, value);
    } else {
        write_ocw2(chip, value);
    }
    update(pic);
}

uint64_t pic_read_master(void *device, uint64_t offset, unsigned bytes)
{
    (void)bytes;
    return read_chip(device, MASTER, offset);
}

void pic_write_master(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    (void)bytes;
    write_chip(device, MASTER, offset, (uint8_t)value);
}

uint64_t pic_read_slave(void *device, uint64_t offset, unsigned bytes)
{
    (void)bytes;
    return read_chip(device, SLAVE, offset);
}

void pic_write_slave(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    (void)bytes;
    write_chip(device, SLAVE, offset, (uint8_t)value);
}

uint64_t pic_read_elcr(void *device, uint64_t offset, unsigned bytes)
{
    const struct pic *pic = device;
    (void)bytes;
    return pic->s.chips[offset & 1].elcr;
}

void pic_write_elcr(void *device, uint64_t offset, uint64_t value, unsigned bytes)
{
    struct pic *pic = device;
    struct pic_chip_state *chip = &pic->s.chips[offset & 1];
    (void)bytes;
    chip->elcr = (uint8_t)value & elcr_writable[offset & 1];
    /* A level-triggered input requests for as long as it is high. */
    chip->irr |= chip->lines & chip->elcr;
    update(pic);
}

void pic_restored(void *device)
{
    struct pic *pic = device;
    line_set(&pic->intr, pic->s.chips[MASTER].output);
}
