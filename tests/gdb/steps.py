"""Ten steps back and the ten forwards again show the same registers, late in
a run and elsewhere. Arguments: places, as shares of the trace in percent."""


def back_and_forth(name, number):
    if number:
        run("thread %d" % number)
    here = thread()
    places = [(where(), registers())]
    for _ in range(10):
        run("reverse-stepi")
        same(thread(), here, "the thread")
        places.append((where(), registers()))
    for (count, text), (after, _) in zip(places[1:], places):
        check(count < after, name, "backwards from", after, "to", count)
    for count, text in reversed(places[:-1]):
        run("stepi")
        same(thread(), here, "the thread")
        check(where() <= count, name, "forwards past", count)
        same(registers(), text, "%s: registers before %d" % (name, count))


attach()
last = end()
run("thbreak done")
run("continue")
same(value("$pc"), address("done"), "the place of the breakpoint")
same(value("*(int *)%d" % 0x100000), 200, "the counter")
threads = len(gdb.selected_inferior().threads())
for number in range(1, threads + 1):
    back_and_forth("at the breakpoint, thread %d" % number, number)
for share in arguments:
    seek(last * int(share) // 100)
    back_and_forth("at %s %%" % share, 0)
passed()
