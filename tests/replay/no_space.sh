#!/bin/bash
# No room for the trace: the run stops with one line, what was written replays.
. tests/common.sh
need_kernel
boot_options
(
    trap '' XFSZ
    ulimit -f 200 # KiB
    exec "$GROUNDHOG" record -o "$WORK/cut.ghog" --log full --quiet "${boot[@]}"
) </dev/null >"$WORK/out" 2>"$WORK/err"
[ $? -eq 125 ] || { cat "$WORK/err"; fail "did not stop with 125"; }
has "$WORK/err" "cut.ghog"
[ "$(wc -l <"$WORK/err")" -eq 1 ] || fail "not one line"
expect 0 "$GROUNDHOG" trace verify "$WORK/cut.ghog"
expect 0 "$GROUNDHOG" replay "$WORK/cut.ghog"
