#!/usr/bin/env python3
"""Measures guest loads natively, under Groundhog and under QEMU: make bench

    LOADS='hash fork'   these loads only (boot: to the first line of the loads' program)
    MODES='run record'  these modes only
    REPEAT=3            each mode so often, in turn; the least time of each load counts
    CLOCK=cpu           processor time of the emulator instead of time that passed, for a host
                        that others use too
    ICOUNT=shift=1      QEMU's -icount, also for its record and replay
    QEMU=PROGRAM        this QEMU instead of the qemu-system-x86_64 that is found
    LIMIT=180           seconds without a sign of life after which a guest hangs

All guests boot the same kernel and initramfs with 512 MiB, one CPU and (as far as QEMU
has it) the same CPU model. Times are the host's: the loads' program writes a line when a
load starts and when it is done, and the clock is read when that line arrives. The
results of a load must be equal everywhere. Prints tables; build/bench.json has it all.
"""
import json
import os
import platform
import selectors
import shutil
import subprocess
import sys
import time

BUILD = os.environ.get("BUILD", "build")
WORK = BUILD + "/bench"
GROUNDHOG = BUILD + "/groundhog"
QEMU = shutil.which(os.environ.get("QEMU", "qemu-system-x86_64"))
KERNEL = "build/kernels/linux-image-amd64"
MEMORY_MIB = 512
COLD_MB = 64 * 1.048576

LOADS = ["hash", "qsort", "chase", "nbody", "x87", "bytecode", "memcpy", "getppid", "fork", "pipe",
         "faults", "deflate", "cold"]
# The C library chooses its memcpy by the CPU's features and caches: the same everywhere.
TUNABLES = ("glibc.cpu.hwcaps=-AVX_Fast_Unaligned_Load,-SSSE3,-ERMS:"
            "glibc.cpu.x86_non_temporal_threshold=0x10000000")
# Groundhog's default model, less what QEMU 7.2 does not know or would complain about.
QEMU_CPU = ("qemu64,vendor=GenuineIntel,family=6,model=28,stepping=10,+pclmulqdq,+ssse3,+sse4.1,"
            "+sse4.2,+movbe,+popcnt,+aes,+xsave,+rdrand,+fsgsbase,+smep,+erms,+adx,+smap,"
            "+clflushopt,+umip,+abm,+pdpe1gb,+xsaveopt")
ICOUNT = os.environ.get("ICOUNT", "shift=1")

# Columns; the last three are `run` with an engine, for the load `cold` alone.
ENGINES = ["auto", "jit", "interp"]
MODES = ["native", "run", "record", "replay", "tcg", "icount", "rr-record", "rr-replay"] + ENGINES
NAMES = {"tcg": "QEMU TCG", "icount": "TCG icount", **{e: "run, " + e for e in ENGINES}}


CLOCKS = ("wall", "cpu")
TRACES = {"record": WORK + "/record.ghog", "rr-record": WORK + "/qemu.rr"}


def machine(loads):
    return ["-m", str(MEMORY_MIB), "-no-reboot", "-kernel", KERNEL + "/vmlinuz",
            "-initrd", WORK + "/initrd.cpio",
            "-append", "console=ttyS0 panic=-1 run=/root/bench loads=%s tunables=%s" %
            (",".join(loads), TUNABLES)]


def command(mode, loads):
    """The command of a mode; its standard output is the line of the loads' program."""
    serials = ["-serial", "file:%s/%s.console" % (WORK, mode), "-serial", "stdio"]
    if mode == "native":
        return [WORK + "/loads"] + loads
    if mode == "replay":
        return [GROUNDHOG, "replay", TRACES["record"]] + serials
    if mode == "record":
        return [GROUNDHOG, "record", "-o", TRACES["record"]] + machine(loads) + serials
    if mode == "run" or mode in ENGINES:
        engine = "auto" if mode == "run" else mode
        return [GROUNDHOG, "run", "--engine", engine] + machine(loads) + serials
    icount = {"tcg": [], "icount": ["-icount", ICOUNT]}
    replay = "%s,rr=%s,rrfile=%s" % (ICOUNT, mode[3:], TRACES["rr-record"])
    return [QEMU, "-accel", "tcg", "-cpu", QEMU_CPU, "-nodefaults", "-display", "none",
            *machine(loads), *serials, *icount.get(mode, ["-icount", replay])]


def cpu_seconds(pid):
    """What all threads of a process have used so far."""
    total = 0
    for thread in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/schedstat" % (pid, thread)) as account:
            total += int(account.read().split()[0])
    return total * 1e-9


def size(path):
    return os.path.getsize(path) if os.path.exists(path) else None


class Run:
    """One run of a mode: times and result of each load, peak memory, how it ended.

    A time is a pair of seconds: those that passed, and those of the processor."""

    def __init__(self, mode, loads):
        self.seconds, self.results, self.end = {}, {}, None
        self.mark, self.began = None, time.monotonic()
        self.native = mode == "native"
        environment = dict(os.environ, GLIBC_TUNABLES=TUNABLES, BENCH_DATA=WORK + "/data")
        with open("%s/%s.err" % (WORK, mode), "w") as errors:
            process = subprocess.Popen(
                command(mode, loads), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, env=environment,
                preexec_fn=one_cpu if mode == "native" else None)
        self.process = process
        self.listen(process, "%s/%s.console" % (WORK, mode), float(os.environ.get("LIMIT", 180)))
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        self.seconds["whole"] = (time.monotonic() - self.began, usage.ru_utime + usage.ru_stime)
        self.peak_mib = usage.ru_maxrss / 1024
        if not self.end:
            self.end = "ok" if status == 0 else "failed"

    def listen(self, process, console, limit):
        selector = selectors.DefaultSelector()
        selector.register(process.stdout, selectors.EVENT_READ)
        rest, alive, shown = b"", self.began, -1
        while True:
            ready = selector.select(5)
            now = time.monotonic()
            if not ready:
                alive, shown = (alive, shown) if size(console) == shown else (now, size(console))
                if now - alive > limit:
                    self.end = "hang"
                    process.kill()
                    return
                continue
            data = os.read(process.stdout.fileno(), 4096)
            if not data:
                return
            alive = now
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self.take(line.decode("ascii", "replace").split(), now)

    def take(self, words, now):
        used = 0 if self.native else cpu_seconds(self.process.pid)
        if words[:1] == ["ready"] and not self.native:
            self.seconds["boot"] = (now - self.began, used)
        elif words[:1] == ["start"]:
            self.mark = (now, used)
        elif words[:1] == ["done"]:
            # The guest's own account is by its own clock, the host's is right.
            used = float(words[3]) * 1e-6 if self.native else used - self.mark[1]
            self.seconds[words[1]] = (now - self.mark[0], used)
            self.results[words[1]] = words[2]


def one_cpu():
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def prepare():
    os.makedirs(WORK, exist_ok=True)
    subprocess.check_call(["ci/kernel.sh", "linux-image-amd64", KERNEL])
    busybox = subprocess.check_output(["ci/fetch.sh", "busybox-static"], text=True).strip()
    shutil.copy(busybox + "/bin/busybox", WORK + "/data")
    subprocess.check_call(["ci/initramfs.sh", WORK + "/initrd.cpio", "bin/loads=%s/loads" % WORK,
                           "root/bench=tests/bench/guest.sh"])


def measure(modes, loads, repeat):
    """Runs everything; samples[clock][mode][load] are the times, ends[mode] the last end."""
    samples = [{m: {} for m in modes} for _ in CLOCKS]
    peaks, ends, results = {}, {}, {}
    wrong = set()
    for turn in range(repeat):
        for mode in modes:
            wanted = [l for l in loads if l == "cold"] if mode in ENGINES else loads
            if not wanted and mode in ENGINES or ends.get(mode) == "hang":
                continue
            run = Run(mode, wanted)
            print("  turn %d, %-10s %7.1f s  %s" %
                  (turn + 1, mode, run.seconds["whole"][0], run.end), file=sys.stderr)
            ends[mode] = run.end
            peaks[mode] = max(peaks.get(mode, 0), run.peak_mib)
            if run.end != "ok":
                run.seconds.pop("whole")
            for load, both in run.seconds.items():
                for cells, seconds in zip(samples, both):
                    cells[mode].setdefault(load, []).append(seconds)
            for load, result in run.results.items():
                if results.setdefault(load, result) != result:
                    wrong.add((mode, load))
    return dict(zip(CLOCKS, samples)), peaks, ends, sorted(wrong)


def least(samples):
    return {clock: {mode: {load: min(times) for load, times in cells.items()}
                    for mode, cells in modes.items()} for clock, modes in samples.items()}


def ratio(cells, load, over, under):
    above, below = cells.get(over, {}).get(load), cells.get(under, {}).get(load)
    return above / below if above and below else None


def bars(cells, peaks):
    """What issue 4 wants to see: (what, measured, comparison, wanted); wanted None: for information."""
    rows = [("boot: record / QEMU rr=record", ratio(cells, "boot", "record", "rr-record"), 0.20),
            ("boot: record / QEMU TCG", ratio(cells, "boot", "record", "tcg"), 0.40)]
    for load in ("boot", "whole"):
        rows.append((load + ": replay / record", ratio(cells, load, "replay", "record"), 1.05))
        rows.append((load + ": record / run", ratio(cells, load, "record", "run"), 1.05))
    for load, wanted in (("hash", 1.4), ("nbody", 1.4), ("x87", 2), ("memcpy", 1.5),
                         ("chase", 1.6), ("bytecode", 3), ("qsort", 3)):
        rows.append((load + ": record / native", ratio(cells, load, "record", "native"), wanted))
    for load in ("getppid", "fork", "pipe", "faults"):
        rows.append((load + ": record / QEMU TCG", ratio(cells, load, "record", "tcg"), 0.5))
    cold = cells.get("jit", {}).get("cold")
    rows = [(what, value, "<=", wanted) for what, value, wanted in rows]
    rows.append(("translation, MB of guest code a second", COLD_MB / cold if cold else None,
                 ">=", 30))
    rows.append(("code run once: by the default engine / interpreted",
                 ratio(cells, "cold", "auto", "interp"), "<=", 1))
    rows.append(("code run once: all translated / interpreted", ratio(cells, "cold", "jit", "interp"),
                 "", None))
    rows.append(("peak memory less the guest's, MiB (record)",
                 peaks["record"] - MEMORY_MIB if "record" in peaks else None, "<=", 256))
    return rows


def verdict(value, comparison, wanted):
    if value is None or wanted is None:
        return "-"
    met = value <= wanted if comparison == "<=" else value >= wanted
    return "met" if met else "NOT met"


def chosen():
    """Whether a part of the bench was asked for."""
    return "MODES" in os.environ or "LOADS" in os.environ


def number(value):
    return "-" if value is None else "%.3f" % value if value < 10 else "%.1f" % value


def print_table(head, rows):
    table = [head] + rows
    widths = [max(len(row[i]) for row in table) for i in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                        for i, (cell, w) in enumerate(zip(row, widths))).rstrip())
    print()


RATIOS = [("run", "native"), ("record", "native"), ("tcg", "native"), ("run", "tcg"),
          ("record", "run"), ("replay", "record"), ("record", "rr-record"),
          ("replay", "rr-replay"), ("rr-record", "tcg")]


def report(cells, peaks, ends, wrong, loads, traces):
    shown = [l for l in ["boot"] + loads + ["whole"] if any(l in c for c in cells.values())]

    def cell(mode, load):
        lost = ends.get(mode) in ("hang", "failed") and mode not in ENGINES
        return ends[mode] if lost and load not in cells[mode] else number(cells[mode].get(load))

    print_table(["seconds"] + [NAMES.get(m, m) for m in cells],
                [[l] + [cell(m, l) for m in cells] for l in shown] +
                [["peak MiB"] + ["%.0f" % peaks[m] if m in peaks else "-" for m in cells],
                 ["trace KiB"] + ["%.0f" % (traces[m] / 1024) if m in traces else ""
                                  for m in cells]])
    used = [(a, b) for a, b in RATIOS if a in cells and b in cells]
    if used:
        print_table(["ratio"] + ["%s/%s" % pair for pair in used],
                    [[l] + [number(ratio(cells, l, a, b)) for a, b in used] for l in shown])
    print_table(["what must be seen", "", "", "", ""],
                [[what, number(v), c, "" if w is None else "%g" % w, verdict(v, c, w)]
                 for what, v, c, w in bars(cells, peaks) if v is not None or not chosen()])
    for mode, load in wrong:
        print("WRONG: %s has another result under %s" % (load, mode))
    if not QEMU:
        print("QEMU is not installed (ci/setup.sh bench): its columns are missing.")


def text_of(*words):
    try:
        return subprocess.check_output(words, text=True, stderr=subprocess.DEVNULL).strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def host():
    with open("/proc/cpuinfo") as info:
        model = next((l.split(":")[1].strip() for l in info if l.startswith("model name")), "?")
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}


def main():
    modes = os.environ.get("MODES", "").split() or MODES
    loads = os.environ.get("LOADS", "").split() or LOADS
    loads = [l for l in loads if l != "boot"]
    unknown = set(modes) - set(MODES) | set(loads) - set(LOADS)
    if unknown or os.environ.get("CLOCK", "wall") not in CLOCKS:
        sys.exit("bench: unknown: %s; modes: %s; loads: boot %s" %
                 (" ".join(sorted(unknown)), " ".join(MODES), " ".join(LOADS)))
    if not QEMU:
        modes = [m for m in modes if m in ["native", "run", "record", "replay"] + ENGINES]
    prepare()
    before = os.getloadavg()
    repeat = int(os.environ.get("REPEAT", 2))
    samples, peaks, ends, wrong = measure(modes, loads, repeat)
    clocks = least(samples)
    clock = os.environ.get("CLOCK", "wall")
    cells = clocks[clock]
    about = {"host": host(), "commit": text_of("git", "describe", "--always", "--dirty"),
             "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
             "qemu": (text_of(QEMU, "--version") or "").split("\n")[0] if QEMU else None,
             "icount": ICOUNT, "repeat": repeat, "load_before": before,
             "load_after": os.getloadavg()}
    traces = {m: os.path.getsize(p) for m, p in TRACES.items() if m in ends and os.path.exists(p)}
    report(cells, peaks, ends, wrong, loads, traces)
    print("%(cpu)s, %(cores)d cores; " % about["host"] +
          "%s time, least of %d; load average %.1f before, %.1f after" %
          (clock, repeat, before[0], about["load_after"][0]))
    about.update(
        clock=clock, seconds=clocks, samples=samples, ends=ends, peak_mib=peaks,
        trace_bytes=traces, wrong=wrong,
        ratios={"%s/%s" % pair: {l: ratio(cells, l, *pair) for l in cells[pair[0]]}
                for pair in RATIOS if pair[0] in cells and pair[1] in cells},
        bars=[dict(zip(("what", "measured", "comparison", "wanted"), row))
              for row in bars(cells, peaks)])
    with open(BUILD + "/bench.json", "w") as out:
        json.dump(about, out, indent=1)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
