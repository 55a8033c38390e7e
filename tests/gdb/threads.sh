#!/bin/bash
# Four vCPUs are four threads.
. tests/gdb/lib.bash
need_guest
record_guest 4
serve "$trace"
debug tests/gdb/threads.py
stop_server 143
