/* gdb's protocol over a stream of memory: answers, and hostile bytes. */
#include "player_bench.h"

#include "debug/gdb.h"

#define INPUT_BYTES (1u << 20)
#define OUTPUT_BYTES (8u << 20)
#define ANSWERS 4096

/* The other end: what it sends is written beforehand. */
struct peer {
    char *input, *output;
    unsigned input_length, input_used, output_length;
    uint32_t seed;
    char *answers[ANSWERS]; /* data of the packets received */
    unsigned answer_count, refused;
};

static struct bench_recording recording;
static struct bench_replay replay;
static struct peer peer;

static int peer_read(void *context, uint8_t *bytes, unsigned size, int timeout_ms)
{
    struct peer *from = context;
    unsigned left = from->input_length - from->input_used;
    if (timeout_ms == 0)
        return 0;
    if (!left)
        return -1;
    unsigned length = 1 + number(&from->seed, size < 700 ? size : 700);
    if (length > left)
        length = left;
    memcpy(bytes, from->input + from->input_used, length);
    from->input_used += length;
    return (int)length;
}

static int peer_write(void *context, const uint8_t *bytes, unsigned length)
{
    struct peer *to = context;
    if (length > OUTPUT_BYTES - to->output_length)
        return -1;
    memcpy(to->output + to->output_length, bytes, length);
    to->output_length += length;
    return 0;
}

static void begin(void)
{
    peer.input_length = peer.input_used = peer.output_length = 0;
    peer.answer_count = peer.refused = 0;
}

static void send_raw(const void *bytes, unsigned length)
{
    assert_true(length <= INPUT_BYTES - peer.input_length);
    memcpy(peer.input + peer.input_length, bytes, length);
    peer.input_length += length;
}

static void send_packet(const void *data, unsigned length)
{
    const uint8_t *bytes = data;
    uint8_t sum = 0;
    char tail[4];
    for (unsigned i = 0; i < length; i++)
        sum = (uint8_t)(sum + bytes[i]);
    snprintf(tail, sizeof tail, "#%02x", sum);
    send_raw("$", 1);
    send_raw(data, length);
    send_raw(tail, 3);
}

static void ask(const char *text)
{
    send_packet(text, (unsigned)strlen(text));
}

/* Cuts the output into packets; each must be well formed. */
static void parse_answers(void)
{
    unsigned at = 0;
    while (at < peer.output_length) {
        char c = peer.output[at++];
        peer.refused += c == '-';
        if (c == '+' || c == '-')
            continue;
        assert_int_equal(c, '$');
        char *data = peer.output + at, *end = memchr(data, '#', peer.output_length - at);
        assert_non_null(end);
        uint8_t sum = 0;
        for (char *p = data; p < end; p++)
            sum = (uint8_t)(sum + *p);
        assert_int_equal(strtoul((char[3]){end[1], end[2], 0}, NULL, 16), sum);
        assert_true(end - data <= (long)PACKET_BYTES);
        *end = 0;
        assert_true(peer.answer_count < ANSWERS);
        peer.answers[peer.answer_count++] = data;
        at = (unsigned)(end - peer.output) + 3;
    }
}

static enum gdb_end serve(void)
{
    struct error error = {""};
    const struct gdb_stream stream = {&peer, peer_read, peer_write};
    enum registers_set set = REGISTERS_64;
    enum gdb_end end = gdb_serve(replay.player, &stream, &set, &error);
    assert_string_equal(error.text, "");
    parse_answers();
    return end;
}

/* One question, one answer. */
static const char *answer_to(const char *text)
{
    begin();
    ask(text);
    serve();
    assert_int_equal(peer.answer_count, 1);
    return peer.answers[0];
}

static void expect(const char *text, const char *answer)
{
    assert_string_equal(answer_to(text), answer);
}

static bool holds(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static uint64_t place(void)
{
    return player_position(replay.player).instructions;
}

static void open_replay(void)
{
    const struct player_options options = {.checkpoints = true};
    bench_record(&recording, TRACE_LEVEL_EVENTS, 3);
    bench_open(&replay, &recording.description, recording.sink.bytes, recording.sink.length,
               &options);
}

static void close_replay(void)
{
    bench_close(&replay);
    free(recording.sink.bytes);
}

/* Whatever was written, from the start it is the recording again. */
static void assert_unharmed(void)
{
    begin();
    ask("bc");
    ask("c");
    assert_int_equal(serve(), GDB_DETACHED);
    assert_int_equal(peer.answer_count, 2);
    assert_true(holds(peer.answers[0], "T05thread:1;replaylog:begin;"));
    assert_true(holds(peer.answers[1], "T05thread:1;replaylog:end;"));
    struct player_result result;
    player_result(replay.player, &result);
    assert_int_equal(result.final_digest, recording.result.final_digest);
}

/* ---- answers ---- */

static void introduces_itself(void **state)
{
    (void)state;
    open_replay();
    assert_true(holds(answer_to("qSupported:multiprocess+;swbreak+"), "ReverseContinue+"));
    assert_true(holds(answer_to("qXfer:features:read:target.xml:0,fff"), "m<?xml"));
    assert_true(holds(answer_to("qXfer:features:read:target.xml:0,ffffffff"), "</target>"));
    expect("qXfer:features:read:target.xml:ffffffffffffffff,1", "l");
    expect("qXfer:features:read:other.xml:0,10", "E00");
    expect("?", "T05thread:1;");
    expect("qfThreadInfo", "m1");
    expect("qsThreadInfo", "l");
    expect("qC", "QC1");
    expect("qAttached", "1");
    expect("vCont?", "vCont;c;C;s;S;r");
    expect("vMustReplyEmpty", "");
    expect("Hg0", "OK");
    expect("Hc-1", "OK");
    expect("Hg2", "E01");
    expect("T1", "OK");
    expect("T2", "E01");
    expect("T-1", "E01");
    expect("", "");
    begin();
    ask("k");
    ask("?");
    assert_int_equal(serve(), GDB_KILLED);
    assert_int_equal(peer.answer_count, 0);
    begin();
    ask("vKill;1");
    assert_int_equal(serve(), GDB_KILLED);
    begin();
    ask("D");
    ask("?");
    assert_int_equal(serve(), GDB_DETACHED);
    assert_int_equal(peer.answer_count, 1);
    close_replay();
}

static void travels(void **state)
{
    (void)state;
    open_replay();
    expect("bs", "T05thread:1;replaylog:begin;");
    expect("vCont;s:1", "T05thread:1;");
    assert_int_equal(place(), 1);
    expect("s", "T05thread:1;");
    expect("bs", "T05thread:1;");
    assert_int_equal(place(), 1);
    begin();
    ask("Z1,f0003,1"); /* the third instruction */
    ask("c");
    ask("z1,f0003,1");
    ask("z1,f0003,1");
    serve();
    assert_string_equal(peer.answers[1], "T05thread:1;hwbreak:;");
    assert_string_equal(peer.answers[3], "E01");
    assert_int_equal(place(), 3);
    begin();
    ask("Z2,500,4"); /* the ticks */
    ask("c");
    ask("m500,4");
    ask("c");
    ask("m500,4");
    ask("bc");
    ask("bc");
    ask("bc");
    serve();
    assert_string_equal(peer.answers[1], "T05thread:1;watch:500;");
    assert_string_equal(peer.answers[2], "01000000");
    assert_string_equal(peer.answers[4], "02000000");
    assert_string_equal(peer.answers[5], "T05thread:1;watch:500;");
    assert_string_equal(peer.answers[6], "T05thread:1;watch:500;");
    assert_string_equal(peer.answers[7], "T05thread:1;replaylog:begin;");
    expect("vCont;c", "T05thread:1;replaylog:end;");
    /* A point that two users share. */
    begin();
    ask("Z0,f0003,1");
    ask("Z1,f0003,1");
    ask("z0,f0003,1");
    ask("bc");
    serve();
    assert_string_equal(peer.answers[3], "T05thread:1;hwbreak:;");
    assert_unharmed();
    close_replay();
}

static void monitors(void **state)
{
    static const char *const places[][2] = {
        {"seek 1000", "instruction 1000 of"}, {"seek +234", "instruction 1234 of"},
        {"seek -34", "instruction 1200 of"},  {"seek -99999", "instruction 0 of"},
        {"seek 0x20", "instruction 32 of"},   {"where", "instruction 32 of"},
        {"seek 12x", "use a count"},          {"seek ", "use a count"},
        {"seek --1", "use a count"},          {"bits 16", "use 32 or 64"},
        {"help", "monitor where"},            {"", "monitor where"},
    };
    (void)state;
    open_replay();
    for (unsigned i = 0; i < sizeof places / sizeof places[0]; i++) {
        char packet[64] = "qRcmd,", text[4096] = "";
        for (const char *p = places[i][0]; *p; p++)
            snprintf(packet + strlen(packet), 3, "%02x", (uint8_t)*p);
        const char *answer = answer_to(packet);
        assert_true(packets_hex_bytes(answer, (uint8_t *)text, (unsigned)strlen(answer) / 2));
        if (!holds(text, places[i][1]))
            fail_msg("%s: %s", places[i][0], text);
    }
    close_replay();
}

static void reads_and_writes(void **state)
{
    (void)state;
    open_replay();
    /* The start of the guest: F0000h in the ROM, read-only. */
    expect("mf0000,4", "fa31c08e");
    expect("Mf0000,1:00", "E14");
    expect("m1000,4", "00000000");
    expect("M1000,3:112233", "OK");
    expect("m1000,4", "11223300");
    begin();
    send_packet("X1000,3:}\x03}]\x7f", 13);
    ask("m1000,3");
    serve();
    assert_string_equal(peer.answers[0], "OK");
    assert_string_equal(peer.answers[1], "237d7f");
    expect("X1000,0:", "OK");
    expect("X1000,4:ab", "E01");
    expect("M1000,4:11", "E01");
    expect("M1000", "E01");
    expect("m1000", "E01");
    expect("m,", "");
    expect("m1000,0", "");
    expect("Mffffffff0,1:00", "E14");
    /* RAX is 0, XMM1 16. */
    expect("P0=8877665544332211", "OK");
    expect("p0", "8877665544332211");
    expect("P0=88", "E01");
    expect("Pffff=00", "E01");
    expect("pffffffffffffffff", "E01");
    const char *all = answer_to("g");
    assert_int_equal(strncmp(all, "8877665544332211", 16), 0);
    char *copy = malloc(strlen(all) + 2);
    sprintf(copy, "G%s", all);
    copy[1] = '9';
    begin();
    ask(copy);
    ask("p0");
    serve();
    free(copy);
    assert_string_equal(peer.answers[0], "OK");
    assert_string_equal(peer.answers[1], "9877665544332211");
    expect("G00", "E01");
    assert_unharmed();
    expect("m1000,4", "00000000");
    close_replay();
}

static void refuses_points(void **state)
{
    static const char *const bad[] = {"Z1", "Z1,", "Z2,100", "Z2,100,0", "Z2,100,1001", "Z3,,",
                                      "z4,1,1", "z0,5,1"};
    (void)state;
    open_replay();
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_true(strcmp(answer_to(bad[i]), "") == 0 || strcmp(peer.answers[0], "E01") == 0);
    begin();
    for (unsigned i = 0; i <= DEBUG_POINTS_MAXIMUM; i++) {
        char packet[32];
        snprintf(packet, sizeof packet, "Z1,%x,1", 0x2000 + i);
        ask(packet);
    }
    serve();
    for (unsigned i = 0; i <= DEBUG_POINTS_MAXIMUM; i++)
        assert_string_equal(peer.answers[i], i < DEBUG_POINTS_MAXIMUM ? "OK" : "E01");
    close_replay();
}

static void frames(void **state)
{
    static char big[2 * PACKET_BYTES];
    (void)state;
    open_replay();
    memset(big, 'm', sizeof big);
    begin();
    send_raw("+++\x03-junk", 9);
    ask("?");
    send_raw("$?#00$?#3f", 10);    /* a wrong sum, the right one again */
    send_raw("$lost$?#3f", 10);    /* the end of a packet was lost */
    send_raw("$?#zz", 5);
    send_packet(big, sizeof big);
    send_packet(big, PACKET_BYTES);
    ask("QStartNoAckMode");
    ask("?");
    assert_int_equal(serve(), GDB_DETACHED);
    assert_int_equal(peer.refused, 2);
    static const char *const wanted[] = {"T05thread:1;", "T05thread:1;", "T05thread:1;", "",
                                         "E01", "OK", "T05thread:1;"};
    assert_int_equal(peer.answer_count, 7);
    for (unsigned i = 0; i < 7; i++)
        assert_string_equal(peer.answers[i], wanted[i]);
    /* The peer goes in the middle of things. */
    for (unsigned cut = 1; cut < 12; cut++) {
        begin();
        send_raw("$vCont;s:1#22", cut);
        assert_int_equal(serve(), GDB_DETACHED);
        assert_int_equal(peer.answer_count, 0);
    }
    close_replay();
}

static void divergence_is_told(void **state)
{
    (void)state;
    open_replay();
    begin();
    ask("qRcmd,7365656b203130303030"); /* seek 10000 */
    ask("M500,4:99999999");            /* the ticks */
    ask("c");
    ask("c");
    ask("bc");
    assert_int_equal(serve(), GDB_DETACHED);
    char text[4096] = "";
    const char *answer = peer.answers[2];
    assert_int_equal(answer[0], 'O');
    packets_hex_bytes(answer + 1, (uint8_t *)text, (unsigned)strlen(answer + 1) / 2);
    assert_true(holds(text, "differs from the recording"));
    assert_int_equal(peer.answers[3][0], 'O');
    assert_string_equal(peer.answers[4], "T06thread:1;");
    assert_true(holds(peer.answers[peer.answer_count - 1], "replaylog:begin"));
    assert_unharmed();
    close_replay();
}

/* ---- hostile bytes ---- */

static uint32_t seed;

static unsigned put_number(char *text)
{
    static const uint64_t numbers[] = {0, 1, 2, 0x10, 0x500, 0x1000, 0xf0003, 0xfffff, 0x100000,
                                       UINT32_MAX, UINT64_MAX, 1ull << 63};
    uint64_t value = numbers[number(&seed, 12)] + number(&seed, 3) - 1;
    return (unsigned)sprintf(text, "%llx", (unsigned long long)value);
}

/* A packet that is nearly one of gdb's. */
static unsigned nearly(char *text)
{
    static const char *const heads[] = {
        "?", "g", "G", "p", "P", "m", "M", "X", "Z0,", "Z1,", "Z2,", "Z3,", "Z4,", "z0,", "z1,",
        "z2,", "s", "c", "bs", "bc", "bs", "bc", "vCont;s:", "vCont;c", "vCont;r", "vCont", "Hg",
        "Hc", "T", "qRcmd,", "qXfer:features:read:target.xml:", "qThreadExtraInfo,", "vCont;s:1",
        "qRcmd,7365656b20", "!", "R", "QStartNoAckMode", "qSupported:", "S05;", "C05",
    };
    static const char joints[] = ",:;=#}-.$";
    unsigned length = (unsigned)sprintf(text, "%s", heads[number(&seed, 40)]);
    for (uint32_t parts = number(&seed, 5); parts; parts--) {
        length += put_number(text + length);
        if (number(&seed, 4) == 0)
            text[length++] = (char)number(&seed, 256);
        else
            text[length++] = joints[number(&seed, 5)];
    }
    return length;
}

static void fuzz_once(void)
{
    static char text[2 * PACKET_BYTES];
    uint32_t items = 1 + number(&seed, 40);
    begin();
    for (uint32_t i = 0; i < items; i++) {
        uint32_t what = number(&seed, 16);
        unsigned length = 0;
        if (what == 0) { /* noise */
            for (length = 0; length < 1 + number(&seed, 300); length++)
                text[length] = (char)number(&seed, 256);
            send_raw(text, length);
        } else if (what == 1) { /* long */
            length = number(&seed, sizeof text);
            memset(text, "mXG$0"[number(&seed, 5)], length);
            send_packet(text, length);
        } else if (what == 2) { /* a wrong sum */
            length = nearly(text);
            send_raw("$", 1);
            send_raw(text, length);
            send_raw("#00", 3);
        } else {
            length = nearly(text);
            send_packet(text, length);
        }
    }
    serve();
}

static void survives_hostile_bytes(void **state)
{
    (void)state;
    open_replay();
    seed = 4711;
    for (unsigned round = 0; round < 600; round++) {
        fuzz_once();
        if (round % 20 == 19)
            assert_unharmed();
    }
    close_replay();
}

int main(void)
{
    peer.input = malloc(INPUT_BYTES);
    peer.output = malloc(OUTPUT_BYTES);
    peer.seed = 99;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(introduces_itself),
        cmocka_unit_test(travels),
        cmocka_unit_test(monitors),
        cmocka_unit_test(reads_and_writes),
        cmocka_unit_test(refuses_points),
        cmocka_unit_test(frames),
        cmocka_unit_test(divergence_is_told),
        cmocka_unit_test(survives_hostile_bytes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(peer.input);
    free(peer.output);
    return failed;
}
