#!/bin/bash
# Stepping by source lines forwards and backwards, and writing.
. tests/gdb/lib.bash
need_guest
record_guest 1
serve "$trace"
debug tests/gdb/source.py
stop_server 143
