"""Each vCPU is a thread: what they are, stepping one of four, both ways."""

SUMS = 0x103000


def states():
    """What "info threads" says of the vCPUs."""
    return re.findall(r"vCPU (\d), (\w[\w ]*)\)", run("info threads"))


def step_one(number):
    """The thread's own loop of three instructions; the others are not shown."""
    run("thread %d" % number)
    run("stepi")
    while value("$pc") != address("others"):
        run("stepi")
    sum_before = value("*(long *)%d" % (SUMS + 8 * (number - 1)))
    places = []
    for _ in range(30):
        places.append((value("$pc"), registers()))
        run("stepi")
        same(thread(), number, "the thread")
    same(value("*(long *)%d" % (SUMS + 8 * (number - 1))), sum_before + 10, "its sum")
    same([pc for pc, _ in places[:3]], [address("others"), address("counted"), places[2][0]],
         "its instructions")
    for pc, text in reversed(places):
        run("reverse-stepi")
        same(registers(), text, "registers of thread %d" % number)


attach()
same(states(), [("0", "running"), ("1", "waiting for SIPI"), ("2", "waiting for SIPI"),
                ("3", "waiting for SIPI")], "the threads at the start")
# A vCPU that has never run has nothing to go back to.
run("thread 3")
run("reverse-stepi")
same(where(), 0, "before vCPU 2 has run")
run("hbreak done")
run("continue")
same(thread(), 1, "the thread that is done")
same(states(), [(str(cpu), "running") for cpu in range(4)], "the threads at the end")
for number in range(1, 5):
    run("thread %d" % number)
    same(value("$cs"), 0x18, "64-bit code in thread %d" % number)
    check(number == 1 or value("$rbx") == number - 1, "RBX of thread %d" % number)
run("delete")
for number in 2, 3, 4:
    seek(end() // 2)
    step_one(number)
# The first instruction that a vCPU ever ran: from there it steps to the start.
run("thread 4")
seek(0)
run("stepi")
same((thread(), value("$cs")), (4, 0xf100), "the first instruction of vCPU 3")
count = where()
check(count > 0, "it was started")
run("reverse-stepi")
same(where(), count - 1, "before its first instruction")
run("reverse-stepi")
same(where(), 0, "before that there is nothing")
passed()
