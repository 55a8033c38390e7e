#!/bin/bash
# Break- and watchpoints: backwards they are hit where they are hit forwards.
. tests/gdb/lib.bash
need_guest
for cpus in 1 4; do
    record_guest $cpus
    serve "$trace"
    debug tests/gdb/hits.py $cpus
    stop_server 143
done
