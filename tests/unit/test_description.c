/* The stored form of a machine description: round trip and hostile text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "machine/description.h"

static char text[1 << 17];

static int decode(struct description *d, const char *lines)
{
    struct error error;
    return description_decode(d, lines, strlen(lines), &error);
}

/* One that uses every field. */
static void fill(struct description *d)
{
    description_init(d);
    strcpy(d->cpu, "max,+x2apic");
    d->memory_bytes = 512ull << 20;
    d->cpus = 4;
    d->quantum = 1000;
    d->ns_per_instruction = 3;
    d->seed = UINT64_MAX;
    d->rtc_base = 1;
    strcpy(d->boot, "d");
    d->no_reboot = true;
    strcpy(d->append, "console=ttyS0 a=\"b\\c\"\n\x7f\xc3\xa4 end");
    static const char *const names[] = {"bios", "kernel", "initrd", "drive0", "fw_cfg:opt/x"};
    for (unsigned i = 0; i < 5; i++) {
        strcpy(d->files[i].name, names[i]);
        strcpy(d->files[i].path, "/a b/c,d=e\n");
        d->files[i].size = 1000 + i;
        memset(d->files[i].hash, 0xa0 + (int)i, 16);
    }
    d->file_count = 5;
    d->bios = 0;
    d->kernel = 1;
    d->initrd = 2;
    d->drives[0] = (struct description_drive){DRIVE_DISK, 3};
    d->drives[2] = (struct description_drive){DRIVE_CDROM, -1};
    strcpy(d->fw_cfg[0].name, "opt/x");
    d->fw_cfg[0].file = 4;
    strcpy(d->fw_cfg[1].name, "opt/y");
    strcpy(d->fw_cfg[1].text, "a,b\\=\n");
    d->fw_cfg_count = 2;
    d->debug_exits[0] = (struct description_debug_exit){0x501, 4};
    d->debugcons[0] = 0x402;
    d->debugcons[1] = 0xe9;
    d->serials = 5;
    d->testdev = true;
    d->modules[0].file = 2;
    d->modules[1] = (struct description_module){3, "a, b"};
}

static void round_trip(void **state)
{
    (void)state;
    static struct description a, b;
    struct error error;
    fill(&a);
    int length = description_encode(&a, text, sizeof text);
    assert_true(length > 0);
    assert_int_equal(strlen(text), length);
    assert_int_equal(description_decode(&b, text, (uint64_t)length, &error), 0);
    assert_memory_equal(&a, &b, sizeof a);
}

static void defaults(void **state)
{
    (void)state;
    static struct description d;
    assert_int_equal(decode(&d, ""), 0);
    assert_int_equal(d.memory_bytes, 128 << 20);
    assert_int_equal(d.cpus, 1);
    assert_string_equal(d.machine, DESCRIPTION_MACHINE);
    assert_int_equal(d.kernel, -1);
}

static void versions(void **state)
{
    (void)state;
    static struct description d;
    static const struct { const char *line; unsigned version; } rows[] = {
        {"machine=pc-1\n", 1}, {"machine=pc-2\n", 2}, {"machine=pc-0\n", 0}, {"machine=pc\n", 0},
        {"machine=\n", 0},
    };
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(decode(&d, rows[i].line), rows[i].version ? 0 : ERROR_FORMAT);
        assert_int_equal(description_version(&d), rows[i].version);
    }
}

static void does_not_fit(void **state)
{
    (void)state;
    static struct description a;
    fill(&a);
    int length = description_encode(&a, text, sizeof text);
    for (int size = 0; size <= length; size++)
        assert_int_equal(description_encode(&a, text, (uint64_t)size), ERROR_FORMAT);
    assert_int_equal(description_encode(&a, text, (uint64_t)length + 1), length);
}

static void refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "cpus=0\n", "cpus=65\n", "cpus=\n", "cpus=1x\n", "cpus=1", "cpus=-1\n", "cpus =1\n",
        "cpus=1\ncpus=1\n", "nothing=1\n", "=\n", "\n", "cpus\n",
        "seed=18446744073709551616\n", "rtc_base=-1\n", "no_reboot=2\n",
        "memory_bytes=1048577\n", "memory_bytes=0\n", "memory_bytes=99999999999999999\n",
        "machine=0123456789abcdef\n", "append=\\x00\n", "append=\\xg0\n", "append=\\y\n",
        "append=\\x4\n", "append=\\\n", "boot=z\n",
        "kernel=0\n", "kernel=-2\n", "kernel=24\n", "drive0=disk,-1\n", "drive0=disk,0\n",
        "drive4=cdrom,-1\n", "drive0=tape,-1\n", "drive0=cdrom\n", "drive0=cdrom,-1,\n",
        "drive0=cdrom,-1\ndrive0=cdrom,-1\n", "drive=cdrom,-1\n",
        "fw_cfg=-1,,x\n", "fw_cfg=3,a,\n", "fw_cfg=-1,a\n",
        "debug_exit0=65535,2\n", "debug_exit0=1281,0\n", "debug_exit0=1281,5\n",
        "debugcon2=1\n", "debugcon0=0\n", "debugcon0=65536\n", "serials=16\n",
        "testdev=2\n", "module0=-1,a\n", "module8=0,a\n", "module0=0\n", "file=1,00,a,b\n", "file=1,000102030405060708090a0b0c0d0e0f,,b\n",
        "file=1,000102030405060708090a0b0c0d0e0f,a\n",
        "file=1,000102030405060708090a0b0c0d0e0f,a,b\nfile=1,000102030405060708090a0b0c0d0e0f,a,b\n",
    };
    static struct description d;
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (decode(&d, bad[i]) != ERROR_FORMAT)
            fail_msg("accepted: %s", bad[i]);
    struct error error;
    assert_int_equal(description_decode(&d, "append=a\0b\n", 11, &error), ERROR_FORMAT);
}

/* Every single-byte change and every prefix: refused or decoded to something
 * that encodes to a text which decodes to the same. Never a crash. */
static void mutations(void **state)
{
    (void)state;
    static struct description a, b;
    static char changed[1 << 17], again[1 << 17];
    fill(&a);
    int length = description_encode(&a, text, sizeof text);
    unsigned accepted = 0;
    for (int i = 0; i < length * 8; i++) {
        memcpy(changed, text, (size_t)length);
        changed[i / 8] ^= (char)(1 << i % 8);
        int cut = i % 3 ? length : i / 8;
        if (description_decode(&a, changed, (uint64_t)cut, NULL) < 0)
            continue;
        accepted++;
        int n = description_encode(&a, again, sizeof again);
        assert_true(n > 0);
        assert_int_equal(description_decode(&b, again, (uint64_t)n, NULL), 0);
        assert_memory_equal(&a, &b, sizeof a);
    }
    assert_true(accepted > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip), cmocka_unit_test(defaults), cmocka_unit_test(versions), cmocka_unit_test(does_not_fit),
        cmocka_unit_test(refused), cmocka_unit_test(mutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
