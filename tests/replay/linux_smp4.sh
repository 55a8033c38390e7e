#!/bin/bash
# The same with four CPUs, in the smallest form of a trace.
. tests/common.sh
need_kernel
boot_options

record_and_replay smp4 -smp 4 --log inputs "${boot[@]}"
has "$WORK/smp4.out" "BOOT-OK"
has "$WORK/smp4.out" "4 CPU"
size=$(stat -c %s "$WORK/smp4.ghog")
[ "$size" -le $((32 * 1024)) ] || fail "the trace has $size bytes"
