#!/bin/bash
# A recorder killed with -9 at random moments: each trace is clean to its last
# whole chunk and replays to there. 4 times, 50 in the long run.
. tests/common.sh
need_kernel
boot_options
times=4
[ -z "${GROUNDHOG_LONG:-}" ] || times=50
RANDOM=${SEED:-1}

for ((i = 1; i <= times; i++)); do
    "$GROUNDHOG" record -o "$WORK/k.ghog" --quiet "${boot[@]}" </dev/null >/dev/null 2>&1 &
    pid=$!
    sleep $((RANDOM % 8)).$((RANDOM % 10))
    kill -9 $pid 2>/dev/null
    wait $pid 2>/dev/null
    if [ ! -s "$WORK/k.ghog" ]; then
        echo "$i: killed before the header"
        continue
    fi
    expect 0 "$GROUNDHOG" trace verify "$WORK/k.ghog"
    expect 0 "$GROUNDHOG" replay "$WORK/k.ghog"
    echo "$i: $(stat -c %s "$WORK/k.ghog") bytes, $(grep -c . "$WORK/out") lines of console: ok"
done
