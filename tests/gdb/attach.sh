#!/bin/bash
# Attaching over TCP and a unix socket, detaching, coming again, Ctrl-C, kill;
# addresses that cannot be had; peers that are no gdb.
. tests/gdb/lib.bash
need_guest
record_guest 4
one_line() { [ "$(wc -l <"$WORK/err")" -eq 1 ] || { cat "$WORK/err"; fail "not one line"; }; }

# wait_tcp WORDS: a replay that waits at a port of its own choice: sets `address`.
wait_tcp() {
    "$GROUNDHOG" replay "$trace" --gdb localhost:0 >"$WORK/server.out" 2>"$WORK/server.err" &
    server=$!
    served=$trace
    trap 'kill $server 2>/dev/null' EXIT
    for _ in $(seq 200); do
        address=$(sed -n 's/.*target remote \(localhost:[0-9]*\)$/\1/p' "$WORK/server.err")
        [ -n "$address" ] && return
        sleep 0.05
    done
    fail "the replay does not listen"
}

wait_tcp
expect 125 "$GROUNDHOG" replay "$trace" --gdb "$address"
one_line
has "$WORK/err" "$address: Address already in use"

# Bytes that are no packets, and packets that are none of gdb's.
port=${address#*:}
head -c 300000 /dev/urandom >"/dev/tcp/127.0.0.1/$port" 2>/dev/null
head -c 100000 /dev/zero | tr '\0' '$' >"/dev/tcp/127.0.0.1/$port" 2>/dev/null
printf '+$m0,ffffffffffffffff#12$#00$bc#c5\3\3$vCont;#8d$G#47$D#44' >"/dev/tcp/127.0.0.1/$port"
socket=
debug tests/gdb/attach.py "$address"
has "$WORK/gdb.out" "The replay differs from the recording"
has "$WORK/gdb.out" "SIGINT"
wait "$server" || fail "status $? after kill"
trap - EXIT
[ "$(grep -c 'done' "$WORK/server.out")" -eq 1 ] || fail "the console is shown once"

# The default address.
timeout -s INT 2 "$GROUNDHOG" replay "$trace" --gdb >"$WORK/out" 2>"$WORK/err"
grep -qE "target remote localhost:1234|localhost:1234: Address already in use" "$WORK/err" ||
    fail "the default address: $(cat "$WORK/err")"

# Sockets: one that is served is kept, one that is left over is not, nor a file.
serve "$trace"
expect 125 "$GROUNDHOG" replay "$trace" --gdb "unix:$socket"
one_line
has "$WORK/err" "Address already in use"
kill -KILL "$server"
wait "$server" 2>/dev/null
[ -S "$socket" ] || fail "no socket is left over"
rm "$WORK/server.err"
"$GROUNDHOG" replay "$trace" --gdb "unix:$socket" >"$WORK/server.out" 2>"$WORK/server.err" &
server=$!
trap 'kill $server 2>/dev/null' EXIT
for _ in $(seq 200); do
    grep -qs "waiting for gdb" "$WORK/server.err" && break
    sleep 0.05
done
timeout 60 gdb -nx -batch -ex "target remote $socket" -ex "monitor where" >"$WORK/gdb.out" 2>&1 </dev/null
has "$WORK/gdb.out" "instruction 0 of"
kill "$server"
wait "$server"
[ $? -eq 143 ] || fail "the status after SIGTERM"
trap - EXIT
[ -e "$socket" ] && fail "the socket is still there"
echo text >"$WORK/file"
expect 125 "$GROUNDHOG" replay "$trace" --gdb "unix:$WORK/file"
one_line
[ "$(cat "$WORK/file")" = text ] || fail "a file was replaced"
for bad in 10.0.0.1:1234 localhost:99999 localhost:x unix:/ example.org:1; do
    expect 125 "$GROUNDHOG" replay "$trace" --gdb "$bad"
    one_line
done
