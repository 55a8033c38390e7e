"""For the debugger's tests, in gdb's Python: commands with their output, and
what a place looks like."""
import os
import re
import gdb


def run(command):
    """Runs a gdb command; its output."""
    output = gdb.execute(command, to_string=True)
    print("(gdb) %s\n%s" % (command, output), end="", flush=True)
    return output


def check(condition, *what):
    if not condition:
        print("FAILED:", *what, flush=True)
        gdb.execute("quit 1")


def same(seen, expected, what):
    check(seen == expected, "%s: %s, not %s" % (what, seen, expected))


def attach():
    run("target remote " + socket)


def where():
    """The instruction count."""
    return int(re.match(r"instruction (\d+) of", run("monitor where")).group(1))


def end():
    return int(re.search(r" of (\d+),", run("monitor where")).group(1))


def seek(place):
    run("monitor seek %s" % place)
    run("maintenance flush register-cache")
    run("maintenance flush dcache")


def value(expression):
    return int(gdb.parse_and_eval(expression))


def address(symbol):
    return value("(long)&" + symbol)


def registers():
    """All registers of the current thread, as text."""
    return gdb.execute("info all-registers", to_string=True)


def thread():
    return gdb.selected_thread().num


def passed():
    print("PASSED", flush=True)
