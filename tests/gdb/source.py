"""Stepping by lines and functions, both ways, with symbols; values of
variables; writes that going back undoes."""


def line():
    """What the current line is."""
    return gdb.decode_line()[1][0].line


def at(text):
    """The line is that one of guest.S."""
    lines = open("tests/gdb/guest.S").read().splitlines()
    same(lines[line() - 1].strip(), text, "the line")


attach()
run("thbreak work")
run("continue")
at("pushq %rbp")
check("round ()" in run("backtrace"), "the caller")
run("next")
at("movq %rsp, %rbp")
run("advance bump")
at("incq counter")
run("step")
at("ret")
run("step")
at("popq %rbp")
run("reverse-next")
at("call bump")
run("reverse-stepi")
at("loop work_loop")
run("reverse-step")
at("imulq $3, %rdx, %rdx")
run("stepi 3")
at("incq counter")
run("finish")
at("popq %rbp")
run("reverse-step")
at("ret")
# Over a function with a break in it, backwards.
run("thbreak looked")
run("continue")
same(value("$rax"), 0x5ec7e7, "what it looked at")
run("up")
run("thbreak rest")
run("continue")
run("next")
run("next")
at("cli")
run("reverse-finish")
at("call rest")
run("next")
at("decl %r13d")
run("reverse-next")
at("call rest")
run("reverse-next")
at("call look")
# Writes are seen, and undone by going back.
place = where()
for target, old in ("*(long *)0x100000", None), ("$rax", None), ("$xmm3.uint128", None):
    old = str(gdb.parse_and_eval(target))
    run("set var %s = 77" % target)
    same(str(gdb.parse_and_eval(target)), "77", target)
    run("reverse-stepi")
    run("stepi")
    same(where(), place, "the place")
    same(str(gdb.parse_and_eval(target)), old, target)
passed()
