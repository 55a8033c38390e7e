#!/bin/bash
# The console of a run: standard input and output, files, sockets, statuses;
# the same shown by the replay.
. tests/common.sh
need_hello

expect 33 "$GROUNDHOG" run "${hello_options[@]}" <<<"abcq"
printf 'hello from the firmware\r\nabc' >"$WORK/wanted"
cmp "$WORK/wanted" "$WORK/out" || fail "console output differs"
has "$WORK/err" "groundhog: run: debug exit with status"
expect 33 "$GROUNDHOG" run --quiet "${hello_options[@]}" <<<"abcq"
[ ! -s "$WORK/err" ] || fail "--quiet is not"

expect 33 "$GROUNDHOG" record -o "$WORK/a.ghog" "${hello_options[@]}" <<<"abcq"
cmp "$WORK/wanted" "$WORK/out" || fail "console output of record differs"
expect 33 "$GROUNDHOG" replay "$WORK/a.ghog"
cmp "$WORK/wanted" "$WORK/out" || fail "console output of replay differs"
has "$WORK/err" "digests equal"
expect 0 "$GROUNDHOG" trace info "$WORK/a.ghog"
has "$WORK/out" "bios"
expect 0 "$GROUNDHOG" trace verify "$WORK/a.ghog"
expect 0 "$GROUNDHOG" trace dump "$WORK/a.ghog"
has "$WORK/out" serial
expect 0 "$GROUNDHOG" trace dump --json "$WORK/a.ghog"
expect 0 "$GROUNDHOG" trace info --json "$WORK/a.ghog"

# The end of stdin ends nothing; a limit does.
expect 124 "$GROUNDHOG" run --max-instructions 100k "${hello_options[@]}" </dev/null
has "$WORK/out" "hello"
expect 124 "$GROUNDHOG" run --max-time 1ms "${hello_options[@]}" </dev/null

# A signal: what was recorded replays, and replaying it succeeds.
"$GROUNDHOG" record -o "$WORK/s.ghog" "${hello_options[@]}" </dev/null >"$WORK/out" 2>"$WORK/err" &
pid=$!
sleep 1
kill -TERM $pid
wait $pid
[ $? -eq 143 ] || fail "SIGTERM did not end it with 143"
expect 0 "$GROUNDHOG" replay "$WORK/s.ghog"
has "$WORK/out" "hello"
expect 143 timeout --preserve-status -k 9 1 "$GROUNDHOG" run "${hello_options[@]}" <<<"h"

# Files and sockets.
expect 124 "$GROUNDHOG" run --max-instructions 100k -serial "file:$WORK/serial" "${hello_options[@]}"
has "$WORK/serial" hello

# A changed file is refused, by name; another path is taken.
mv "$hello" "$WORK/moved.bin"
expect 125 "$GROUNDHOG" replay "$WORK/a.ghog"
has "$WORK/err" "--file bios="
expect 33 "$GROUNDHOG" replay "$WORK/a.ghog" --file "bios=$WORK/moved.bin"
(cat "$WORK/moved.bin"; printf x) >"$hello"
expect 125 "$GROUNDHOG" replay "$WORK/a.ghog"
has "$WORK/err" "has changed"
expect 125 "$GROUNDHOG" replay "$WORK/a.ghog" --file "nonsense=$WORK/moved.bin"
