/* The command line: values, the option table, one-line errors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/options.h"
#include "cli/parse.h"

static struct options options;
static struct error error;

/* Parses words that are separated by single spaces. */
static int parse(enum command command, const char *line)
{
    static char copy[8192];
    static char *words[128];
    int count = 0;
    strcpy(copy, line);
    for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
        words[count++] = word;
    return options_parse(&options, command, count, words, &error);
}

static void numbers(void **state)
{
    (void)state;
    uint64_t n;
    static const struct { const char *text; uint64_t value; } good[] = {
        {"0", 0}, {"10", 10}, {"0x10", 16}, {"5k", 5000}, {"5K", 5000}, {"16Mi", 16 << 20},
        {"2G", 2000000000}, {"1Ki", 1024}, {"18446744073709551615", UINT64_MAX},
        {"0xffffffffffffffff", UINT64_MAX}, {"1T", 1000000000000},
    };
    static const char *const bad[] = {
        "", "x", "-1", "+1", " 1", "1 ", "1x", "1kk", "1Mib", "0x", "0xg", "1i",
        "18446744073709551616", "0x10000000000000000", "18446744073709551615k", "1.5k", "99999999T",
    };
    for (unsigned i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(parse_count(good[i].text, &n));
        assert_true(n == good[i].value);
    }
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse_count(bad[i], &n))
            fail_msg("accepted %s", bad[i]);
}

static void memory_and_times(void **state)
{
    (void)state;
    uint64_t n;
    assert_true(parse_memory("512", &n) && n == 512ull << 20);
    assert_true(parse_memory("512M", &n) && n == 512ull << 20);
    assert_true(parse_memory("2G", &n) && n == 2ull << 30);
    assert_true(parse_memory("2GiB", &n) && n == 2ull << 30);
    assert_true(parse_memory("1024k", &n) && n == 1ull << 20);
    assert_false(parse_memory("1X", &n));
    assert_false(parse_memory("99999999999T", &n));
    assert_true(parse_duration("10s", &n) && n == 10000000000);
    assert_true(parse_duration("1.5s", &n) && n == 1500000000);
    assert_true(parse_duration("200ms", &n) && n == 200000000);
    assert_true(parse_duration("3us", &n) && n == 3000);
    assert_true(parse_duration("7ns", &n) && n == 7);
    assert_true(parse_duration("2", &n) && n == 2000000000);
    assert_true(parse_duration("2m", &n) && n == 120000000000);
    assert_false(parse_duration("s", &n));
    assert_false(parse_duration("1.s", &n));
    assert_false(parse_duration("1d", &n));
    assert_false(parse_duration("99999999999h", &n));
}

static void dates(void **state)
{
    (void)state;
    int64_t s;
    assert_true(parse_date("1970-01-01", &s) && s == 0);
    assert_true(parse_date("2024-01-01", &s) && s == 1704067200);
    assert_true(parse_date("2024-02-29T23:59:59", &s) && s == 1709251199);
    assert_true(parse_date("2100-03-01", &s) && s == 4107542400);
    assert_true(parse_date("12345", &s) && s == 12345);
    static const char *const bad[] = {"", "2024", "2023-02-29", "2024-13-01", "2024-00-01",
                                      "2024-01-32", "2024-1-1", "2024-01-01T24:00:00",
                                      "2024-01-01T00:00", "2024-01-01x", "1969-12-31"};
    for (unsigned i = 1; i < sizeof bad / sizeof bad[0]; i++)
        if (i != 1 && parse_date(bad[i], &s))
            fail_msg("accepted %s", bad[i]);
    assert_false(parse_date(bad[0], &s));
}

static void pairs(void **state)
{
    (void)state;
    struct parse_pairs p;
    assert_true(parse_pairs(&p, "isa-debugcon,iobase=0x402,path=a,,b=c,flag"));
    assert_int_equal(p.count, 4);
    assert_string_equal(p.pair[0].key, "isa-debugcon");
    assert_null(p.pair[0].value);
    assert_string_equal(parse_pairs_get(&p, "path"), "a,b=c");
    assert_null(parse_pairs_get(&p, "flag"));
    static char longest[PARSE_TEXT * 2];
    memset(longest, 'a', sizeof longest - 1);
    assert_false(parse_pairs(&p, longest));
    memset(longest, ',', sizeof longest - 1);
    (void)parse_pairs(&p, longest);
    assert_false(parse_pairs(&p, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"));
    assert_true(parse_pairs(&p, "") && p.count == 0);
}

static void a_linux_boot(void **state)
{
    (void)state;
    assert_int_equal(parse(COMMAND_RECORD,
                           "-m 512 -smp 4 -kernel vmlinuz -initrd i.cpio -append console=ttyS0 "
                           "-o t.ghog --log=inputs --digest-every 1Mi --seed 7 -no-reboot "
                           "-nographic -display none -nic none -accel tcg -machine pc,accel=tcg "
                           "--max-time 10s --max-instructions 5G -rtc base=2024-01-02 "
                           "--ns-per-instruction 2 --quantum 1k --engine interp -cpu max"), 0);
    const struct description *d = &options.description;
    assert_int_equal(d->memory_bytes, 512 << 20);
    assert_int_equal(d->cpus, 4);
    assert_int_equal(d->seed, 7);
    assert_int_equal(d->quantum, 1000);
    assert_int_equal(d->ns_per_instruction, 2);
    assert_int_equal(d->rtc_base, 1704067200 + 86400);
    assert_true(d->no_reboot);
    assert_int_equal(d->serials, 1);
    assert_string_equal(d->files[d->kernel].path, "vmlinuz");
    assert_string_equal(d->files[d->initrd].name, "initrd");
    assert_string_equal(d->files[d->bios].path, OPTIONS_BIOS);
    assert_string_equal(d->append, "console=ttyS0");
    assert_string_equal(options.output, "t.ghog");
    assert_int_equal(options.runner.level, TRACE_LEVEL_INPUTS);
    assert_int_equal(options.runner.digest_every, 1 << 20);
    assert_true(options.runner.max_ns == 10000000000);
    assert_true(options.runner.max_instructions == 5000000000);
    assert_int_equal(options.serial[0].kind, CONSOLE_STDIO);
}

static void drives(void **state)
{
    (void)state;
    const struct description *d = &options.description;
    assert_int_equal(parse(COMMAND_RUN, "-hda a.img -cdrom b.iso -boot dc "
                                        "-drive file=c.img,format=raw,if=ide,index=3"), 0);
    assert_int_equal(d->drives[0].interface, DRIVE_DISK);
    assert_int_equal(d->drives[1].interface, DRIVE_NONE);
    assert_int_equal(d->drives[2].interface, DRIVE_CDROM);
    assert_string_equal(d->files[d->drives[2].file].name, "drive2");
    assert_string_equal(d->files[d->drives[3].file].path, "c.img");
    assert_string_equal(d->boot, "dc");
    assert_int_equal(parse(COMMAND_RUN, "-drive file=a,format=raw -drive file=b,media=cdrom"), 0);
    assert_int_equal(d->drives[1].interface, DRIVE_CDROM);
    assert_int_equal(parse(COMMAND_RUN, "-drive media=cdrom -boot order=d,menu=off"), 0);
    assert_int_equal(d->drives[0].file, -1);
    assert_string_equal(d->boot, "d");
}

static void ports(void **state)
{
    (void)state;
    const struct description *d = &options.description;
    assert_int_equal(parse(COMMAND_RUN,
                           "-serial none -serial file:x -serial null -debugcon stdio "
                           "-device isa-debug-exit,iobase=0xf4,iosize=4 "
                           "-chardev file,id=c,path=/p -device isa-debugcon,iobase=0xe9,chardev=c "
                           "-fw_cfg name=opt/a,string=text,,more -fw_cfg name=opt/b,file=f"), 0);
    assert_int_equal(d->serials, 6);
    assert_int_equal(options.serial[1].kind, CONSOLE_FILE);
    assert_int_equal(d->debugcons[0], 0x402);
    assert_int_equal(d->debugcons[1], 0xe9);
    assert_int_equal(options.debugcon[1].kind, CONSOLE_FILE);
    assert_string_equal(options.debugcon[1].path, "/p");
    assert_int_equal(d->debug_exits[0].iobase, 0xf4);
    assert_int_equal(d->debug_exits[0].iosize, 4);
    assert_int_equal(d->fw_cfg_count, 2);
    assert_string_equal(d->fw_cfg[0].text, "text,more");
    assert_string_equal(d->files[d->fw_cfg[1].file].name, "fw_cfg:opt/b");
}

static void replay_options(void **state)
{
    (void)state;
    assert_int_equal(parse(COMMAND_REPLAY, "--gdb t.ghog --file kernel=/k"), 0);
    assert_true(options.gdb);
    assert_string_equal(options.gdb_address, "");
    assert_string_equal(options.trace, "t.ghog");
    assert_string_equal(options.overrides[0].name, "kernel");
    assert_string_equal(options.overrides[0].path, "/k");
    assert_int_equal(parse(COMMAND_REPLAY, "t.ghog --gdb :1234"), 0);
    assert_string_equal(options.gdb_address, ":1234");
    assert_int_equal(parse(COMMAND_REPLAY, "--gdb=unix:/s t.ghog --isolated"), ERROR_USAGE);
    assert_int_equal(parse(COMMAND_TRACE_DUMP, "--json t.ghog"), 0);
    assert_true(options.json);
    assert_int_equal(parse(COMMAND_RUN, "--help -x"), ERROR_USAGE);
    assert_int_equal(parse(COMMAND_RECORD, "--help"), 0);
    assert_true(options.help);
}

/* One line that names the option. */
static void refused(void **state)
{
    (void)state;
    static const struct { enum command command; const char *line, *named; } bad[] = {
        {COMMAND_RUN, "-m 0", "-m"}, {COMMAND_RUN, "-m", "-m"}, {COMMAND_RUN, "-m 1K", "-m"},
        {COMMAND_RUN, "-m 65537", "-m"}, {COMMAND_RUN, "-smp 65", "-smp"},
        {COMMAND_RUN, "-smp 0", "-smp"}, {COMMAND_RUN, "--nonsense", "--nonsense"},
        {COMMAND_RUN, "disk.img", "disk.img"}, {COMMAND_RUN, "-o x", "-o"},
        {COMMAND_RUN, "-initrd i", "-initrd"}, {COMMAND_RUN, "-append x", "-append"},
        {COMMAND_RUN, "-no-reboot=1", "-no-reboot"}, {COMMAND_RUN, "-display gtk", "-display"},
        {COMMAND_RUN, "-accel kvm", "-accel"}, {COMMAND_RUN, "-machine q35", "-machine"},
        {COMMAND_RUN, "-machine pc,accel=kvm", "-machine"},
        {COMMAND_RUN, "-hda a -hda b", "-hda"}, {COMMAND_RUN, "-hda a -drive file=b,index=0", "-drive"},
        {COMMAND_RUN, "-drive file=b,if=virtio", "if=ide"}, {COMMAND_RUN, "-drive index=0", "file="},
        {COMMAND_RUN, "-drive file=b,format=qcow2", "format=raw"},
        {COMMAND_RUN, "-drive file=b,index=4", "-drive"}, {COMMAND_RUN, "-drive file=b,x=y", "x"},
        {COMMAND_RUN, "-boot x", "-boot"}, {COMMAND_RUN, "-serial tcp::1", "-serial"},
        {COMMAND_RUN, "-serial stdio -serial stdio", "-serial"},
        {COMMAND_RUN, "-device e1000", "-device"},
        {COMMAND_RUN, "-device isa-debug-exit,iosize=5", "-device"},
        {COMMAND_RUN, "-device isa-debugcon,iobase=1,chardev=no", "no"},
        {COMMAND_RUN, "-device isa-debugcon,iobase=0xe9", "-device"},
        {COMMAND_RUN, "-fw_cfg opt/a", "-fw_cfg"}, {COMMAND_RUN, "-fw_cfg name=a", "-fw_cfg"},
        {COMMAND_RUN, "-rtc base=yesterday", "-rtc"}, {COMMAND_RUN, "-rtc x", "-rtc"},
        {COMMAND_RUN, "--max-time soon", "--max-time"}, {COMMAND_RUN, "--seed x", "--seed"},
        {COMMAND_RUN, "--ns-per-instruction 0", "--ns-per-instruction"},
        {COMMAND_RUN, "--quantum 0", "--quantum"}, {COMMAND_RUN, "--engine fast", "--engine"},
        {COMMAND_RUN, "--log full", "--log"}, {COMMAND_RECORD, "-o x --log most", "--log"},
        {COMMAND_RECORD, "-m 16", "-o"}, {COMMAND_RECORD, "-o", "-o"},
        {COMMAND_REPLAY, "", "trace"}, {COMMAND_REPLAY, "a b", "b"}, {COMMAND_REPLAY, "a -m 5", "-m"},
        {COMMAND_REPLAY, "a --file k", "--file"}, {COMMAND_REPLAY, "a --isolated --gdb", "--gdb"},
        {COMMAND_TRACE_INFO, "", "trace"}, {COMMAND_TRACE_VERIFY, "--json a", "--json"},
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        error.text[0] = 0;
        if (parse(bad[i].command, bad[i].line) != ERROR_USAGE)
            fail_msg("accepted: %s", bad[i].line);
        if (!strstr(error.text, bad[i].named) || strchr(error.text, '\n'))
            fail_msg("%s: the message is: %s", bad[i].line, error.text);
    }
}

/* As scripts start test kernels. */
static void a_test_kernel(void **state)
{
    (void)state;
    assert_int_equal(parse(COMMAND_RUN,
                           "-nodefaults -device pc-testdev -device isa-debug-exit,iobase=0xf4,"
                           "iosize=0x4 -vga none -display none -serial stdio -machine accel=tcg "
                           "-accel tcg,thread=single -kernel k.flat -smp 3,maxcpus=4 -m 2G "
                           "-cpu max,+x2apic,-umip -append 1,2"), 0);
    const struct description *d = &options.description;
    assert_true(d->testdev);
    assert_int_equal(d->cpus, 3);
    assert_int_equal(d->memory_bytes, 2ull << 30);
    assert_int_equal(d->debug_exits[0].iobase, 0xf4);
    assert_int_equal(d->debug_exits[0].iosize, 4);
    assert_string_equal(d->append, "1,2");
    assert_int_equal(parse(COMMAND_RUN, "-machine pc,accel=kvm:tcg,kernel-irqchip=split "
                                        "-smp cpus=2,cores=2"), 0);
    assert_int_equal(d->cpus, 2);
    assert_false(d->testdev);
    static const char *const bad[] = {
        "-machine accel=xtcg", "-machine pc,x=y", "-machine", "-accel tcgx", "-accel kvm:hvf",
        "-smp cores=2", "-smp 2,x=1", "-smp ,", "-device pc-testdev,x=1", "-initrd a,b",
    };
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (parse(COMMAND_RUN, bad[i]) != ERROR_USAGE)
            fail_msg("accepted: %s", bad[i]);
}

static void modules(void **state)
{
    (void)state;
    static char line[] = "a one two,b", many[] = "a,b,c,d,e,f,g,h,i", alone[] = "c";
    static char initrd[] = "-initrd", kernel[] = "-kernel", file[] = "k";
    char *words[] = {kernel, file, initrd, line, initrd, alone};
    const struct description *d = &options.description;
    assert_int_equal(options_parse(&options, COMMAND_RUN, 4, words, &error), 0);
    assert_int_equal(d->initrd, -1);
    assert_string_equal(d->files[d->modules[0].file].path, "a");
    assert_string_equal(d->files[d->modules[0].file].name, "module0");
    assert_string_equal(d->modules[0].text, "one two");
    assert_string_equal(d->files[d->modules[1].file].path, "b");
    assert_string_equal(d->modules[1].text, "");
    assert_int_equal(d->modules[2].file, -1);
    assert_int_equal(options_parse(&options, COMMAND_RUN, 6, words, &error), 0);
    assert_string_equal(d->files[d->initrd].path, "c");
    assert_int_equal(d->modules[0].file, -1);
    words[3] = many;
    assert_int_equal(options_parse(&options, COMMAND_RUN, 4, words, &error), ERROR_USAGE);
}

static void too_long(void **state)
{
    (void)state;
    static char text[DESCRIPTION_COMMAND_LINE + 1];
    static char name[] = "-append", kernel[] = "-kernel", file[] = "k";
    char *words[] = {kernel, file, name, text};
    memset(text, 'x', sizeof text - 1);
    assert_int_equal(options_parse(&options, COMMAND_RUN, 4, words, &error), ERROR_USAGE);
    text[sizeof text - 2] = 0;
    assert_int_equal(options_parse(&options, COMMAND_RUN, 4, words, &error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers), cmocka_unit_test(memory_and_times), cmocka_unit_test(dates),
        cmocka_unit_test(pairs), cmocka_unit_test(a_linux_boot), cmocka_unit_test(drives),
        cmocka_unit_test(ports), cmocka_unit_test(replay_options), cmocka_unit_test(refused),
        cmocka_unit_test(too_long), cmocka_unit_test(a_test_kernel), cmocka_unit_test(modules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
