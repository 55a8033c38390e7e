"""Backwards, break- and watchpoints are hit at the places where they are hit
forwards, and in the opposite order. Argument: how many vCPUs there are."""

COUNTER, SECRET, SUMS, BUFFER = 0x100000, 0x100100, 0x103000, 0x102000
def hits(command, most=1000):
    """The hits up to an end of the trace: (count, thread, pc, counter)."""
    found = []
    while len(found) < most:
        run(command)
        count = where()
        if count in (0, last):
            break
        found.append((count, thread(), value("$pc"), value("*(long *)%d" % COUNTER)))
    return found


def breakpoint_hits():
    run("hbreak bump")
    forwards = hits("continue")
    same(len(forwards), 200, "hits of bump")
    same(where(), last, "the end")
    for number, (_, thread, pc, counter) in enumerate(forwards):
        same((thread, pc, counter), (1, address("bump"), number), "bump")
    same(hits("reverse-continue"), forwards[::-1], "hits of bump backwards")
    same(where(), 0, "the start")
    run("delete")


def watch_hits():
    """Forwards the stop is after the access, backwards before it."""
    run("watch *(long *)%d" % COUNTER)
    forwards = hits("continue")
    same([hit[3] for hit in forwards], list(range(1, 201)), "values of the counter")
    for _, thread, pc, _ in forwards:
        same((thread, pc), (1, address("bumped")), "where the counter changes")
    backwards = hits("reverse-continue")
    same([(hit[0], hit[3]) for hit in backwards], [(hit[0] - 1, hit[3] - 1) for hit in forwards[::-1]],
         "changes of the counter backwards")
    for _, _, pc, _ in backwards:
        same(pc, address("bump"), "where the counter changes, backwards")
    run("delete")


def other_watches():
    for command, count in ("rwatch", 5), ("awatch", 6):
        run("%s *(long *)%d" % (command, SECRET))
        forwards = hits("continue")
        same(len(forwards), count, command)
        for hit in forwards[-5:]:
            same(hit[2], address("looked"), command)
        same([hit[0] for hit in hits("reverse-continue")],
             [hit[0] - 1 for hit in forwards[::-1]], command)
        run("delete")


def watch_in_string():
    """One word in the page that one REP STOS fills."""
    run("watch *(long *)%d" % (BUFFER + 8 * 100))
    run("continue")
    same((value("$rcx"), value("$pc")), (411, address("filling")), "RCX after the word")
    check(value("*(long *)%d" % (BUFFER + 8 * 100)) == 0x1122334455667788, "the word")
    after = where()
    seek("end")
    run("reverse-continue")
    same((where(), value("$rcx")), (after - 1, 412), "RCX before the word")
    same(value("*(long *)%d" % (BUFFER + 8 * 100)), 0, "the word before")
    run("delete")
    # A breakpoint at it is hit at its first iteration. (Forwards from there gdb
    # steps, and stops at each.)
    run("hbreak filling")
    seek(0)
    run("continue")
    same(value("$rcx"), 512, "RCX at the string instruction")
    seek("end")
    run("reverse-continue")
    same(value("$rcx"), 512, "RCX at the string instruction, backwards")
    run("reverse-continue")
    same(where(), 0, "the start")
    run("delete")


def turn():
    return int(run("monitor where").split()[-1])


def end_of_turn(place):
    """The first count of the next turn of another vCPU after a place."""
    seek(place)
    now, low, high = turn(), place, place
    while turn() == now:
        low, high = high, high + 10000
        seek(high)
    while high - low > 1:
        middle = (low + high) // 2
        seek(middle)
        if turn() == now:
            low = middle
        else:
            high = middle
    return high


def watch_others():
    """What all the other vCPUs count, across turns."""
    run("watch *(char (*)[24])%d" % (SUMS + 8))
    threads = set()
    for turns in range(4): # of 50000 instructions each
        seek(end_of_turn(last // 2 + turns * 50000) - 60)
        forwards = hits("continue", 40)
        for _, thread, pc, _ in forwards:
            threads.add(thread)
            same(pc, address("counted"), "where a sum changes")
        backwards = hits("reverse-continue", len(forwards))
        same([hit[:2] for hit in backwards], [(hit[0] - 1, hit[1]) for hit in forwards[::-1]],
             "sums backwards")
    same(threads, {2, 3, 4}, "vCPUs that count")
    run("delete")


attach()
last = end()
breakpoint_hits()
watch_hits()
other_watches()
watch_in_string()
if int(arguments[0]) > 1:
    watch_others()
passed()
