"""One session after the other with the same replay. Argument: the address."""
import subprocess


def interrupt():
    """Ctrl-C while the replay runs, slowed by a watchpoint in a busy page:
    tried until it comes in time."""
    run("watch *(long *)0x103800")
    for pause in "0.3", "0.1", "0.03", "0.01", "0":
        seek(0)
        child = subprocess.Popen(["sh", "-c", "sleep %s; kill -INT %d" % (pause, os.getpid())])
        try:
            run("continue")
            child.wait()
        except KeyboardInterrupt: # too late: it was for Python
            child.wait()
        if 0 < where() < last:
            run("delete")
            return
    check(False, "Ctrl-C did not stop it")


run("target remote " + arguments[0])
last = end()
run("thbreak done")
run("continue")
place, text = where(), registers()
run("detach")
run("target remote " + arguments[0])
same((where(), registers()), (place, text), "the place after detaching")
run("disconnect")
run("target remote " + arguments[0])
same((where(), registers()), (place, text), "the place after disconnecting")
interrupt()
run("stepi")
run("reverse-stepi")

# What was written makes the replay another one; that is told, and undone.
seek(0)
run("thbreak bump")
run("continue")
run("set var $r13 = 2")
run("continue")
check(0 < where() < last, "it diverged")
run("continue")
run("reverse-continue")
same(where(), 0, "the start")
run("continue")
same(where(), last, "the end")

# 16-bit code.
run("monitor bits 32")
run("disconnect")
run("file")
run("set architecture auto")
run("target remote " + arguments[0])
seek(0)
check("ljmp   $0xf000,$0x0" in run("x/i $pc"), "the reset vector")
same(value("$pc"), 0xfffffff0, "its linear address")
run("stepi")
same((value("$eip"), value("$cs_base")), (0xf0000, 0xf0000), "the first instruction")
run("set architecture i386")
run("monitor bits 64")
run("disconnect")
run("set architecture auto")
run("target remote " + arguments[0])
same(value("$r15"), 0, "R15")
run("kill")
passed()
