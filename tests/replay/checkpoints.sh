#!/bin/bash
# Checkpoints at random counts of a boot's first part: every digest after going
# back to one is still equal.
. tests/common.sh
need_kernel
boot_options
for cpus in 1 4; do
    expect 124 "$GROUNDHOG" record -o "$WORK/part.ghog" --max-instructions 600000000 \
        -smp $cpus "${boot[@]}" </dev/null
    expect 0 "$BUILD/tests/replay/travel" "$WORK/part.ghog" 25 $cpus
    cat "$WORK/out"
done
