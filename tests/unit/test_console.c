/* Consoles, input files and output files on the host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/console.h"
#include "host/file.h"
#include "host/output.h"
#include "host/signals.h"

static char directory[] = "/tmp/groundhog-test-XXXXXX";
static struct error error;
static struct console console;

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void specs(void **state)
{
    (void)state;
    struct console_spec spec;
    assert_int_equal(console_parse(&spec, "-serial", "stdio", &error), 0);
    assert_int_equal(spec.kind, CONSOLE_STDIO);
    assert_int_equal(console_parse(&spec, "-serial", "file:/a,b", &error), 0);
    assert_string_equal(spec.path, "/a,b");
    assert_int_equal(console_parse(&spec, "-serial", "unix:/s,server=on,wait=off", &error), 0);
    assert_string_equal(spec.path, "/s");
    assert_int_equal(console_parse(&spec, "-serial", "none", &error), 0);
    assert_int_equal(spec.kind, CONSOLE_NONE);
    assert_int_equal(console_parse(&spec, "-serial", "file:", &error), ERROR_USAGE);
    assert_int_equal(console_parse(&spec, "-serial", "pty", &error), ERROR_USAGE);
}

static void open_at(const char *name, enum console_kind kind)
{
    struct console_spec spec = {.kind = kind};
    strcpy(spec.path, path_of(name));
    assert_int_equal(console_open(&console, &spec, true, &error), 0);
}

static void to_a_file(void **state)
{
    (void)state;
    char text[32] = "";
    open_at("out", CONSOLE_FILE);
    assert_int_equal(console_read(&console, false), -1);
    console_write(&console, (const uint8_t *)"line\nrest", 9);
    FILE *file = fopen(path_of("out"), "r");
    assert_int_equal(fread(text, 1, sizeof text, file), 5); /* out with the newline */
    console_flush(&console);
    clearerr(file);
    assert_int_equal(fread(text, 1, sizeof text, file), 4);
    fclose(file);
    console_close(&console);
    struct console_spec spec = {.kind = CONSOLE_FILE};
    strcpy(spec.path, path_of("no/such/out"));
    assert_int_equal(console_open(&console, &spec, true, &error), ERROR_FILE);
}

static int connect_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, path_of(name));
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static void over_a_socket(void **state)
{
    (void)state;
    char text[8] = "";
    open_at("socket", CONSOLE_UNIX);
    console_write(&console, (const uint8_t *)"lost\n", 5); /* nobody is there */
    int client = connect_to("socket");
    assert_int_equal(write(client, "ab", 2), 2);
    assert_int_equal(console_read(&console, true), 'a');
    assert_int_equal(console_read(&console, false), 'a');
    assert_int_equal(console_read(&console, false), 'b');
    assert_int_equal(console_read(&console, false), -1);
    console_write(&console, (const uint8_t *)"ok", 2);
    console_flush(&console);
    assert_int_equal(read(client, text, sizeof text), 2);
    close(client);
    assert_int_equal(console_read(&console, false), -1);
    console_write(&console, (const uint8_t *)"x\n", 2); /* no SIGPIPE, no error */
    client = connect_to("socket"); /* the next one may come */
    assert_int_equal(write(client, "c", 1), 1);
    assert_int_equal(console_read(&console, false), 'c');
    close(client);
    console_close(&console);
    assert_int_equal(access(path_of("socket"), F_OK), -1);
}

static void escape(void **state)
{
    (void)state;
    open_at("socket", CONSOLE_UNIX);
    console.raw = true;
    int client = connect_to("socket");
    assert_int_equal(write(client, "a\001\001b\001c\001", 7), 7);
    static const char expected[] = "a\001b\001c";
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(console_read(&console, false), expected[i]);
    assert_int_equal(console_read(&console, false), -1);
    assert_int_equal(signals_stop(), 0);
    assert_int_equal(write(client, "xy", 2), 2);
    assert_int_equal(console_read(&console, false), 'y');
    assert_int_not_equal(signals_stop(), 0);
    signals_request_stop(0);
    /* The buffer holds what a held Ctrl-A adds. */
    static char many[4096];
    for (unsigned i = 0; i < sizeof many; i++)
        many[i] = i % 2 ? 'z' : 1;
    assert_int_equal(write(client, "\001", 1), 1);
    assert_int_equal(console_read(&console, false), -1);
    assert_int_equal(write(client, many + 1, sizeof many - 1), sizeof many - 1);
    for (unsigned i = 0; i < sizeof many; i++)
        assert_int_equal(console_read(&console, false), many[i]);
    close(client);
    console_close(&console);
}

static void input_files(void **state)
{
    (void)state;
    struct host_file file;
    assert_int_equal(host_file_open(&file, "kernel", path_of("missing"), &error), ERROR_FILE);
    assert_non_null(strstr(error.text, "kernel"));
    assert_non_null(strstr(error.text, "missing"));
    assert_int_equal(host_file_open(&file, "kernel", directory, &error), ERROR_FILE);
    assert_non_null(strstr(error.text, "directory"));
    write_file("empty", "");
    assert_int_equal(host_file_open(&file, "kernel", path_of("empty"), &error), ERROR_FILE);
    assert_int_equal(mkfifo(path_of("fifo"), 0600), 0);
    assert_int_equal(host_file_open(&file, "kernel", path_of("fifo"), &error), ERROR_FILE);
    write_file("full", "content");
    assert_int_equal(host_file_open(&file, "kernel", path_of("full"), &error), 0);
    assert_int_equal(file.size, 7);
    assert_memory_equal(file.bytes, "content", 7);
    /* XXH3-128 of "content", canonical */
    uint8_t hash[16];
    host_hash("content", 7, hash);
    assert_memory_equal(hash, file.hash, 16);
    assert_false(host_file_changed(&file));
    write_file("full", "another content");
    assert_true(host_file_changed(&file));
    host_file_close(&file);
}

static void output_files(void **state)
{
    (void)state;
    struct host_output output;
    struct host_file inputs[1];
    write_file("input", "precious");
    assert_int_equal(host_file_open(&inputs[0], "kernel", path_of("input"), &error), 0);
    assert_int_equal(host_output_open(&output, path_of("input"), inputs, 1, &error), ERROR_FILE);
    assert_int_equal(inputs[0].size, 8);
    assert_memory_equal(inputs[0].bytes, "precious", 8);
    host_file_close(&inputs[0]);
    assert_int_equal(host_output_open(&output, directory, NULL, 0, &error), ERROR_FILE);
    assert_int_equal(host_output_open(&output, "/dev/full", NULL, 0, &error), 0);
    assert_int_equal(host_output_write(&output, "x", 1, &error), ERROR_SPACE);
    assert_int_equal(host_output_close(&output, &error), 0);
}

static int make_directory(void **state)
{
    (void)state;
    signals_install();
    return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    static const char *const names[] = {"out", "empty", "fifo", "full", "input"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        unlink(path_of(names[i]));
    return rmdir(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(specs), cmocka_unit_test(to_a_file), cmocka_unit_test(over_a_socket),
        cmocka_unit_test(escape), cmocka_unit_test(input_files), cmocka_unit_test(output_files),
    };
    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
