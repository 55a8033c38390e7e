#!/bin/bash
# CPUs and memory alone, fed from a trace that holds everything.
. tests/common.sh
need_kernel
boot_options
record_and_replay full --log full "${boot[@]}"
expect 0 "$GROUNDHOG" replay --isolated "$WORK/full.ghog"
has "$WORK/err" "digests equal"
