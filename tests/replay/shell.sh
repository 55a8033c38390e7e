#!/bin/bash
# A shell in the guest, typed at with random host timing, Ctrl-C too: the
# session replays exactly.
. tests/common.sh
need_kernel
append="$append quiet shell"
boot_options
RANDOM=${SEED:-$$}

# wait_for TEXT: until the recorder has shown it.
wait_for() {
    local i
    for ((i = 0; i < 1200; i++)); do
        grep -qF -- "$1" "$WORK/shell.out" && return
        kill -0 $pid 2>/dev/null || fail "the recorder ended before \"$1\""
        sleep 0.1
    done
    fail "no \"$1\" on the console"
}

# type_at TEXT: byte by byte, with pauses.
type_at() {
    local i
    for ((i = 0; i < ${#1}; i++)); do
        printf '%s' "${1:i:1}" >&3
        sleep 0.0$((RANDOM % 90 + 10))
    done
}

mkfifo "$WORK/keys"
"$GROUNDHOG" record -o "$WORK/shell.ghog" "${boot[@]}" \
    <"$WORK/keys" >"$WORK/shell.out" 2>"$WORK/err" &
pid=$!
exec 3>"$WORK/keys"
wait_for BOOT-OK
sleep 1
type_at $'echo $((6*7))-answer\r'
wait_for 42-answer
type_at $'ls -l /bin | head -n 3; dmesg | wc -l\r'
type_at $'sleep 1000\r'
sleep 1
printf '\003' >&3
sleep 0.5
type_at $'echo after-$?\r'
wait_for after-130
type_at $'exit\r'
exec 3>&-
wait $pid
[ $? -eq 0 ] || { cat "$WORK/err"; fail "the recording did not end with 0"; }
expect 0 "$GROUNDHOG" replay "$WORK/shell.ghog"
cmp "$WORK/out" "$WORK/shell.out" || fail "the replay's console output differs"
