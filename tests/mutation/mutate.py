#!/usr/bin/env python3
"""Plants one-line faults in src/cpu and counts how many the tests catch.

    tests/mutation/mutate.py [--seed S] [--count N] [--jobs J] [--quick] [--trust] [--only FILE]

Lines of code are drawn by the seed, each as likely as any other; on the line one
fault: an operator, a constant, a condition, the width of a cast, a name, or the
whole statement. It counts when it compiles and changes the object code. Padding,
asserts, messages, the sizes of caches, what gives memory back (`make sanitize` knows
of leaks), advice to the host, and the disassembler, which only prints, are left alone:
no guest sees them. The tests run in a copy of the tree in build/mutate, quickest first,
up to the first failure; what survives them gets the rest of `make check` (--quick: it
does not).

The report: a line for each fault, the survivors with their difference, and the
count. The exit status is 0 unless the tests fail without any fault.
"""
import argparse
import glob
import hashlib
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

TREE = "build/mutate"
JOBS = 2
# No debug information: object files then show whether code has changed.
MAKE_FLAGS = "CFLAGS=-O2 CC='%s'" % os.environ.get("CC", "gcc")
SLOW_UNITS = ("spaces", "paging")
FLAGS = ["CF", "PF", "AF", "ZF", "SF", "TF", "IF", "DF", "OF", "NT", "RF", "VM", "AC"]
VECTORS = ["DE", "DB", "UD", "NM", "TS", "NP", "SS", "GP", "PF", "MF", "AC", "XM"]
DECLARATION = re.compile(
    r"\s*(static|const|struct|enum|union|typedef|extern|bool|char|int|unsigned|void|return|break|"
    r"continue|goto|case|default|if|else|for|while|do|switch|u?int\d+_t|double|float)\b")
# What no guest can see.
UNSEEN_FILES = ("disassemble.c", "disassemble.h")  # text for people; no test reads all of it
UNSEEN = re.compile(r"\bpad(_\w+)?\b|assert|snprintf|notice|ASSERT|madvise|free\(|munmap|\b(BUCKETS|ARENA_BYTES|GUARD_BYTES|HUGE_BYTES)\b")


def masked(text):
    """Comments and literals as blanks, so that positions stay."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\\n])*"|\'(\\.|[^\'\\\n])+\'', blank, text,
                  flags=re.S)


def other(choices, but, rng):
    return rng.choice([c for c in choices if c != but])


def wrong_constant(match, rng):
    text, value = match.group(1), int(match.group(1), 0)
    if text.lower().startswith("0x"):
        return hex(rng.choice([value + 1, value ^ 1 << rng.randrange(max(value.bit_length(), 1))]))
    return str(value + rng.choice([1, -1] if value else [1]))


def wrong_width(match, rng):
    narrower = [width for width in ("8", "16", "32") if int(width) < int(match.group(2))]
    return "(" + match.group(1) + rng.choice(narrower) + "_t)"


def swap(pairs):
    return lambda match, rng: rng.choice(pairs[match.group()].split())


OPERATORS = [
    ("comparison", re.compile(r"(?<= )(==|!=|<=|>=|<|>)(?= )"),
     swap({"==": "!=", "!=": "==", "<": "<= >=", "<=": "< >", ">": ">= <=", ">=": "> <"})),
    ("arithmetic", re.compile(r"(?<=[\w)\]] )[-+*/](?= )"),
     swap({"+": "-", "-": "+", "*": "+", "/": "*"})),
    ("logic", re.compile(r"(?<= )(&&|\|\|)(?= |$)"), swap({"&&": "||", "||": "&&"})),
    ("negation", re.compile(r"(?<=[( ])[!~](?=[\w(])"), lambda match, rng: ""),
    ("bits", re.compile(r"(?<= )[&|^](?= )"), swap({"&": "^", "|": "&", "^": "&"})),
    ("assignment", re.compile(r"(?<= )([-+|&^]=)(?= )"),
     swap({"+=": "-=", "-=": "+=", "|=": "&=", "&=": "^=", "^=": "&="})),
    ("shift", re.compile(r"(?<= )(<<|>>)(?= )"), swap({"<<": ">>", ">>": "<<"})),
    ("constant", re.compile(r"(?<![\w.])(0[xX][0-9a-fA-F]+|\d+)(?=[uUlL]*\b)(?!\.)"),
     wrong_constant),
    ("width", re.compile(r"\((u?int)(16|32|64)_t\)(?=[\w(~-])"), wrong_width),
    ("truth", re.compile(r"\b(true|false)\b"), swap({"true": "false", "false": "true"})),
    ("flag", re.compile(r"\bFLAG_(%s)\b" % "|".join(FLAGS)),
     lambda match, rng: "FLAG_" + other(FLAGS, match.group(1), rng)),
    ("vector", re.compile(r"\bVECTOR_(%s)\b" % "|".join(VECTORS)),
     lambda match, rng: "VECTOR_" + other(VECTORS, match.group(1), rng)),
]


def condition(code):
    """The span of what stands in the brackets of an `if` that ends on this line."""
    start = re.search(r"\b(if|while) \(((un)?likely\()?", code)
    if not start:
        return None
    depth, at = 1, start.end()
    while at < len(code) and depth:
        depth += {"(": 1, ")": -1}.get(code[at], 0)
        at += 1
    return None if depth else (start.end(), at - 1)


def is_statement(code, before):
    return (code.rstrip().endswith(";") and not DECLARATION.match(code)
            and re.search(r"[=(]|\+\+|--", code) and code.count("(") == code.count(")")
            and re.search(r"[;{}):]$|\belse$|^$", before))


def faults(line, code, before, rng):
    """All that can be done to the line: {kind: [new line]}."""
    found = {}
    for kind, pattern, change in OPERATORS:
        for match in pattern.finditer(code):
            new = line[:match.start()] + change(match, rng) + line[match.end():]
            found.setdefault(kind, []).append(new)
    span = condition(code)
    if span:
        found["condition"] = [line[:span[0]] + "!(" + line[span[0]:span[1]] + ")" + line[span[1]:]]
    if is_statement(code, before):
        found["dropped"] = [re.match(r"\s*", line).group() + "{}"]
    return found


def draw(sources, rng):
    """(file, line number, kind, new line)"""
    while True:
        name, number = rng.choice(sources["places"])
        lines, codes = sources[name]
        before = next((c.rstrip() for c in reversed(codes[:number]) if c.strip()), "")
        found = faults(lines[number], codes[number], before, rng)
        if found:
            kind = rng.choice(sorted(found))
            return name, number, kind, rng.choice(found[kind])


def read_sources(only):
    sources = {"places": []}
    folder = os.path.join(TREE, "src/cpu")
    for file in sorted(os.listdir(folder)):
        if (not file.endswith((".c", ".h")) or file in UNSEEN_FILES
                or (only and file != only)):
            continue
        with open(os.path.join(folder, file)) as stream:
            text = stream.read()
        name = "src/cpu/" + file
        sources[name] = (text.split("\n"), masked(text).split("\n"))
        sources["places"] += [(name, i) for i, code in enumerate(sources[name][1])
                              if re.search(r"\w", code) and not code.startswith("#inc")
                              and not UNSEEN.search(code)]
    return sources


def write(name, lines):
    with open(os.path.join(TREE, name), "w") as stream:
        stream.write("\n".join(lines))


# ---- building and testing ----

def command(words, seconds):
    """(ended well, output)"""
    environment = dict(os.environ, BUILD="build", GUEST_TIMEOUT="20", FAIL_FAST="1",
                       TIMEOUT="150", JOBS=str(JOBS))
    process = subprocess.Popen(words, shell=True, cwd=TREE, env=environment, text=True,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, errors="replace", start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return False, process.communicate()[0] + "\n(it hangs)"
    return process.returncode == 0, output


def make(jobs, targets):
    return command(f"make -s -j{jobs} {MAKE_FLAGS} {targets}", 1800)


def objects():
    found = {}
    for folder, _, files in os.walk(os.path.join(TREE, "build/src")):
        for file in files:
            if file.endswith(".o"):
                with open(os.path.join(folder, file), "rb") as stream:
                    found[folder + file] = hashlib.sha256(stream.read()).digest()
    return found


def unit_tests():
    """(those of the CPU that are quick, all others)"""
    of_cpu, rest = [], []
    for path in sorted(glob.glob(f"{TREE}/tests/unit/test_*.c")):
        name = os.path.basename(path)[5:-2]
        with open(path) as stream:
            about_cpu = re.search(r'#include "(cpu/|cpu_bench|execute|frames)', stream.read())
        (of_cpu if about_cpu and name not in SLOW_UNITS else rest).append(name)
    return of_cpu, rest


def programs(names):
    return " ".join(f"build/tests/unit/test_{name}" for name in names)


def scripts():
    """The rest of `make check`."""
    done = ("silicon.sh", "decoder.sh", "golden.sh")
    found = [file for file in sorted(glob.glob("tests/*/*.sh", root_dir=TREE))
             if not re.match("tests/bench|.*/long_", file) and not file.endswith(done)]
    fuzzers = glob.glob("tests/fuzz/test_*.c", root_dir=TREE)
    return " ".join(["build/" + file[:-2] for file in sorted(fuzzers)] + found)


def steps(quick):
    """(name, targets to make, command, seconds): the quickest and likeliest first."""
    of_cpu, rest = unit_tests()
    units, others = programs(of_cpu), programs(rest)
    yield "units", units, "tests/run.sh " + units, 600
    yield "silicon", "build/tests/insn/silicon", "tests/insn/silicon.sh", 600
    yield "guests", "all", "ONCE=1 tests/guest/guests.sh", 600
    yield "golden", "all", "tests/guest/golden.sh", 300
    yield "other units", others, "tests/run.sh " + others, 1200
    fuzzers = ("translator", "modes", "guest")
    yield ("fuzz", " ".join(f"build/tests/fuzz/test_fuzz_{name}" for name in fuzzers),
           " && ".join(f"build/tests/fuzz/test_fuzz_{name} 1 15" for name in fuzzers), 600)
    if os.path.exists("/usr/include/Zydis/Zydis.h"):
        yield "decoder", "build/tests/insn/decoder", "tests/insn/decoder.sh", 300
    if not quick:
        yield ("check", "all tests", "env -u GUEST_TIMEOUT -u FAIL_FAST -u TIMEOUT make -s check "
               f"{MAKE_FLAGS} TESTS='{scripts()}'", 7200)


def test(options):
    """The name of the first step that fails and the end of what it says, or None."""
    made = ""
    for name, targets, words, seconds in steps(options.quick):
        built, output = (True, "") if targets == made else make(options.jobs, targets)
        made = targets
        if built:
            built, output = command(words, seconds)
        if not built:
            return name, output[-300:]
    return None


def plant(options, name, number, new, sources, baseline):
    """Tests the fault: None when it is none, else "" or the step that caught it."""
    lines = list(sources[name][0])
    lines[number] = new
    write(name, lines)
    try:
        if not make(options.jobs, "build/libgroundhog.a")[0] or objects() == baseline:
            return None
        caught = test(options)
        return caught[0] if caught else ""
    finally:
        write(name, sources[name][0])


def copy_tree():
    """What is in the repository, also what is not committed."""
    os.makedirs(TREE, exist_ok=True)
    files = subprocess.run("git ls-files -co --exclude-standard", shell=True, check=True,
                           stdout=subprocess.PIPE, text=True).stdout.splitlines()
    for file in files:
        to = os.path.join(TREE, file)
        if not os.path.exists(file):
            continue
        with open(file, "rb") as stream:
            content = stream.read()
        if os.path.exists(to):
            with open(to, "rb") as stream:
                if stream.read() == content:
                    continue
        os.makedirs(os.path.dirname(to) or ".", exist_ok=True)
        shutil.copy(file, to)
    for folder, _, names in os.walk(TREE):
        for name in names:
            file = os.path.relpath(os.path.join(folder, name), TREE)
            if file not in files and not file.startswith("build"):
                os.remove(os.path.join(TREE, file))
    os.makedirs(os.path.join(TREE, "build"), exist_ok=True)
    for folder in ("packages", "kernels"):
        link = os.path.join(TREE, "build", folder)
        if os.path.exists(f"build/{folder}") and not os.path.lexists(link):
            os.symlink(os.path.abspath(f"build/{folder}"), link)


def main():
    global TREE, JOBS
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--trust", action="store_true", help="the tests pass without a fault")
    parser.add_argument("--only", metavar="FILE")
    parser.add_argument("--tree", default=TREE)
    options = parser.parse_args()
    TREE, JOBS = options.tree, options.jobs
    copy_tree()
    built, output = make(options.jobs, "all tests")
    if not built:
        sys.exit("the tree does not build:\n" + output[-2000:])
    failed = None if options.trust else test(argparse.Namespace(jobs=options.jobs, quick=True))
    if failed:
        sys.exit(f"{failed[0]} fails without a fault:\n{failed[1]}")
    sources, baseline = read_sources(options.only), objects()
    rng = random.Random(options.seed)
    planted, survivors, drawn = 0, [], set()
    while planted < options.count:
        name, number, kind, new = draw(sources, rng)
        if (name, number, new) in drawn:
            continue
        drawn.add((name, number, new))
        started = time.monotonic()
        caught = plant(options, name, number, new, sources, baseline)
        if caught is None:
            continue
        planted += 1
        print(f"{planted:3} {name}:{number + 1} ({kind}): {caught or 'SURVIVED'}, "
              f"{time.monotonic() - started:.0f} s", flush=True)
        if not caught:
            old = sources[name][0][number]
            survivors.append(f"{name}:{number + 1} ({kind})\n  -{old}\n  +{new}")
            print(survivors[-1], flush=True)
    print(f"seed {options.seed}: {planted - len(survivors)} of {planted} faults caught; survivors:")
    print("\n".join(survivors) or "none")


main()
