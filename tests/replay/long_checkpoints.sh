#!/bin/bash
# 200 checkpoints at random counts of a whole boot, with 1 and 4 CPUs: every
# digest after going back to one is still equal.
. tests/common.sh
need_kernel
boot_options
for cpus in 1 4; do
    expect 0 "$GROUNDHOG" record -o "$WORK/boot.ghog" -smp $cpus "${boot[@]}" </dev/null
    expect 0 "$BUILD/tests/replay/travel" "$WORK/boot.ghog" 200 $cpus
    cat "$WORK/out"
done
