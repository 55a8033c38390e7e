#!/bin/bash
# Debian's kernel from reset to /init and power-off: recorded and replayed,
# within the size that is promised.
. tests/common.sh
need_kernel linux-image-amd64
boot_options

record_and_replay first "${boot[@]}"
has "$WORK/first.out" "BOOT-OK"
size=$(stat -c %s "$WORK/first.ghog")
[ "$size" -le $((360 * 1024)) ] || fail "the trace has $size bytes"
