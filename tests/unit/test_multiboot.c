/* The Multiboot loader: where the parts of a kernel go, and hostile files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "machine/multiboot.h"
#include "util/bits.h"

#define HEADER 0x100u
#define FILE_BYTES 0x1000u
#define KERNEL 0x11
#define INFO 0x12
#define ZEROS 0x801f
#define MODULE 0x8010

static uint8_t image[FILE_BYTES];
static struct multiboot out;
static const struct multiboot_module modules[2] = {{100, "a b"}, {5000, "c"}};

static void put_header(uint32_t flags)
{
    store32(image + HEADER, 0x1badb002);
    store32(image + HEADER + 4, flags);
    store32(image + HEADER + 8, 0u - 0x1badb002u - flags);
}

/* ELF32 with two segments: 200h bytes at 1 MiB, 80h and 80h zeros at 1000h. */
static void make_elf(void)
{
    memset(image, 0, sizeof image);
    memcpy(image, "\177ELF\1\1\1", 7);
    store16(image + 18, 3);
    store32(image + 24, 0xc0100010); /* entry, virtual */
    store32(image + 28, 52);
    store16(image + 42, 32);
    store16(image + 44, 2);
    const uint32_t headers[2][8] = {
        {1, 0, 0xc0100000, 0x100000, 0x200, 0x200, 5, 4096},
        {1, 0x400, 0x1000, 0x1000, 0x80, 0x100, 6, 4096},
    };
    for (unsigned i = 0; i < 16; i++)
        store32(image + 52 + 4 * i, headers[i / 8][i % 8]);
    put_header(3);
}

static int prepare(uint64_t size, unsigned module_count)
{
    const struct multiboot_request request = {
        .image = image, .image_size = size, .kernel_path = "kernel", .append = "x y",
        .modules = modules, .module_count = module_count, .low_bytes = 16 << 20,
        .keys = {KERNEL, INFO, ZEROS, MODULE},
    };
    return multiboot_prepare(&out, &request, NULL);
}

static void expect_request(unsigned n, uint32_t control, uint32_t length, uint64_t address)
{
    assert_true((n + 1) * 16 <= out.script_size);
    assert_int_equal(__builtin_bswap32(load32(out.script + 16 * n)), control);
    assert_int_equal(__builtin_bswap32(load32(out.script + 16 * n + 4)), length);
    assert_int_equal(__builtin_bswap64(load64(out.script + 16 * n + 8)), address);
}

/* The text that the information names at `place`. */
static const char *text_at(unsigned place, uint32_t base)
{
    uint32_t at = load32(out.info + place) - base + 128;
    assert_in_range(at, 128, out.info_size - 1);
    return (const char *)out.info + at;
}

static void elf(void **state)
{
    (void)state;
    make_elf();
    assert_int_equal(prepare(FILE_BYTES, 2), 0);
    assert_int_equal(out.entry, 0x100010);
    expect_request(0, KERNEL << 16 | 0xc, 0, 0);
    expect_request(1, 2, 0x200, 0x100000);
    expect_request(2, KERNEL << 16 | 0xc, 0x400, 0);
    expect_request(3, 2, 0x80, 0x1000);
    expect_request(4, (uint32_t)ZEROS << 16 | 0xa, 0x80, 0x1080);
    expect_request(5, (uint32_t)MODULE << 16 | 0xa, 100, 0x101000);
    expect_request(6, (uint32_t)(MODULE + 1) << 16 | 0xa, 5000, 0x102000);
    expect_request(7, INFO << 16 | 0xa, 128, 0x90000);
    expect_request(8, 2, out.info_size - 128, 0x104000);
    assert_int_equal(out.script_size, 9 * 16);
    assert_int_equal(load32(out.info), 0x24f);
    assert_string_equal(text_at(16, 0x104000), "kernel x y");
    assert_string_equal(text_at(64, 0x104000), "groundhog");
    assert_int_equal(load32(out.info + 20), 2);
    assert_int_equal(load32(out.info + 24), 0x104000);
    assert_int_equal(load32(out.info + 128), 0x101000);
    assert_int_equal(load32(out.info + 132), 0x101064);
    assert_string_equal(text_at(128 + 8, 0x104000), "a b");
    assert_string_equal(text_at(144 + 8, 0x104000), "c");
}

static void addresses(void **state)
{
    (void)state;
    memset(image, 0, sizeof image);
    put_header(0x10003);
    const uint32_t fields[5] = {0x200080, 0x200000, 0x200400, 0x200600, 0x200040};
    for (unsigned i = 0; i < 5; i++)
        store32(image + HEADER + 12 + 4 * i, fields[i]);
    assert_int_equal(prepare(FILE_BYTES, 0), 0);
    assert_int_equal(out.entry, 0x200040);
    expect_request(0, KERNEL << 16 | 0xc, 0x80, 0);
    expect_request(1, 2, 0x400, 0x200000);
    expect_request(2, (uint32_t)ZEROS << 16 | 0xa, 0x200, 0x200400);

    store32(image + HEADER + 20, 0); /* to the file's end, no bss */
    store32(image + HEADER + 24, 0);
    assert_int_equal(prepare(FILE_BYTES, 0), 0);
    expect_request(1, 2, FILE_BYTES - 0x80, 0x200000);
    expect_request(2, INFO << 16 | 0xa, 128, 0x90000);
}

static void refused(void **state)
{
    (void)state;
    static const struct {
        unsigned place;
        uint32_t value;
    } bad[] = {
        {HEADER + 8, 1},          /* checksum: not found */
        {28, FILE_BYTES},         /* program headers */
        {52 + 4, FILE_BYTES},     /* offset */
        {52 + 12, 0x8ff00},       /* into the loader's own memory */
        {52 + 12, 0xffffff00},    /* round the end */
        {52 + 12, 15u << 20 | 0xfff00}, /* over the end */
        {52 + 16, 0x300},         /* file size above memory size */
        {52 + 20, 0xffffffff},
        {18, 8},                  /* another machine */
        {0, 0},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        make_elf();
        store32(image + bad[i].place, bad[i].value);
        if (prepare(FILE_BYTES, 2) != ERROR_FORMAT)
            fail_msg("case %u was accepted", i);
    }
    make_elf();
    put_header(8);
    assert_int_equal(prepare(FILE_BYTES, 0), ERROR_FORMAT);
}

/* Every change of a byte and every length: refused, or requests inside RAM. */
static void mutations(void **state)
{
    (void)state;
    for (unsigned i = 0; i < (HEADER + 32) * 24; i++) {
        make_elf();
        unsigned how = i % 24;
        image[i / 24] = (uint8_t)(how < 8 ? image[i / 24] ^ 1 << how : 0xff >> how % 8);
        if (prepare(i % 24 == 23 ? i / 24 : FILE_BYTES, 2) < 0)
            continue;
        for (unsigned n = 0; n < out.script_size / 16; n++) {
            uint64_t length = __builtin_bswap32(load32(out.script + 16 * n + 4));
            uint64_t address = __builtin_bswap64(load64(out.script + 16 * n + 8));
            assert_true(address + length <= 16 << 20);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(elf), cmocka_unit_test(addresses), cmocka_unit_test(refused),
        cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
