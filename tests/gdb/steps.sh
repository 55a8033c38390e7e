#!/bin/bash
# Late in a run: ten reverse-stepi and ten stepi show the same registers.
. tests/gdb/lib.bash
need_guest
for cpus in 1 4; do
    record_guest $cpus
    serve "$trace"
    debug tests/gdb/steps.py 1 25 50 99 3
    stop_server 143
done
