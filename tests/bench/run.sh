#!/bin/bash
# What things cost: boots Debian's kernel under run, record and replay, three
# times each in turn, and prints the best of each. make bench
. tests/common.sh
need_kernel linux-image-amd64
boot_options
best() { sort -g | head -n 1; }
# The host seconds of Groundhog's summary line.
seconds() { sed -n 's/.* virtual, \([0-9.]*\) s host.*/\1/p' "$1"; }

for i in 1 2 3; do
    expect 0 "$GROUNDHOG" run "${boot[@]}" </dev/null
    seconds "$WORK/err" >>"$WORK/run"
    cp "$WORK/err" "$WORK/summary"
    for level in inputs events; do
        expect 0 "$GROUNDHOG" record -o "$WORK/$level.ghog" --log $level "${boot[@]}" </dev/null
        seconds "$WORK/err" >>"$WORK/$level"
    done
    expect 0 "$GROUNDHOG" replay "$WORK/events.ghog"
    seconds "$WORK/err" >>"$WORK/replay"
done
cat "$WORK/summary"
run=$(best <"$WORK/run")
for what in run inputs events replay; do
    time=$(best <"$WORK/$what")
    size=$(stat -c %s "$WORK/$what.ghog" 2>/dev/null || echo -)
    echo "$what $time $run $size" |
        awk '{ printf "%-8s %8.2f s  %+6.1f %%  %10s bytes\n", $1, $2, ($2 / $3 - 1) * 100, $4 }'
done
rm -rf "$WORK"
