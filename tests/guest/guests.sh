#!/bin/bash
# The bare-metal guests: tests/guest/guests.sh [NAME...]
#
# Each guest NAME.S is built into a ROM (rules.mk) and runs on one and on four
# vCPUs. What it prints and its exit status are in NAME.expected, or, where
# four vCPUs print something else, in NAME.smp4.expected: the first line is
# "status N", the rest is the serial output. The head of NAME.S may hold lines
# "guest: OPTIONS" of the machine, "record: OPTIONS" of the recording, and
# "types: TEXT" that is typed.
#
# Each is run and compared; recorded twice, to equal traces; replayed, with
# devices and isolated; recorded with digests after every few instructions,
# which must end in the same state and replay too (SPACINGS="N ...": after so many).
# ONCE=1: each is only run and compared.
#
# --update writes the expectations from what is seen; read the difference.
. tests/common.sh

update=
[ "${1:-}" = --update ] && { update=yes; shift; }
make -s guests BUILD="$BUILD" || fail "the guests do not build"
failed=0

head_line() {
    head -n 12 "$source" | sed -n "s/^.*$1: *//p"
}

# complain STEP COMMAND...: notes a failure and how to see it again.
complain() {
    local step=$1
    shift
    echo "FAILED: $guest -smp $smp: $step"
    [ $# -eq 0 ] || echo "  again: $*"
    [ -s "$stem.err" ] && sed 's/^/  | /' "$stem.err" | head -n 25
    failed=$((failed + 1))
    [ -z "${FAIL_FAST:-}" ] || exit 1
}

# start OUTPUT WORDS...: runs the emulator with what is typed; its
# standard output behind a line with its status goes to OUTPUT.
start() {
    local output=$1 status
    shift
    printf "$typed" | timeout --kill-after=5 "${GUEST_TIMEOUT:-120}" "$GROUNDHOG" "$@" >"$stem.out" 2>"$stem.err"
    status=$?
    { echo "status $status"; cat "$stem.out"; } >"$output"
}

# same OUTPUT STEP WORDS...: the output is as expected.
same() {
    local output=$1 step=$2
    shift 2
    cmp -s "$output" "$expected" && return
    complain "$step" "printf '$typed' | $GROUNDHOG $*"
    diff -a "$expected" "$output" | head -n 20 | sed 's/^/  /'
    return 1
}

# last_digest TRACE: outcome and total digest of the whole state at the end.
last_digest() {
    "$GROUNDHOG" trace dump "$1" | tail -n 1 | sed 's/length=[0-9]* //; s/\(payload=.\{16\}\).*/\1/'
}

# With devices, and without: then there is no console to print.
replay_both() {
    local trace=$1
    start "$stem.replayed" replay "$trace"
    same "$stem.replayed" "replay $trace" replay "$trace"
    start "$stem.replayed" replay --isolated "$trace"
    [ "$(cat "$stem.replayed")" = "$(head -n 1 "$expected")" ] ||
        complain "replay --isolated $trace" "$GROUNDHOG replay --isolated $trace"
}

check_guest() {
    options=(-m 16 -smp "$smp" -bios "$rom" -serial stdio
        -device isa-debug-exit,iobase=0xf4,iosize=4 $extra)
    recorded=("${options[@]}" $recording)
    expected=tests/guest/$guest.expected
    [ "$smp" -gt 1 ] && [ -e "tests/guest/$guest.smp$smp.expected" ] &&
        expected=tests/guest/$guest.smp$smp.expected
    start "$stem.run" run "${options[@]}"
    [ -n "$update" ] && [ "$smp" -eq 1 ] && cp "$stem.run" "$expected"
    if [ -n "$update" ] && [ "$smp" -gt 1 ]; then
        expected=tests/guest/$guest.smp$smp.expected
        rm -f "$expected"
        if cmp -s "$stem.run" "tests/guest/$guest.expected"; then
            expected=tests/guest/$guest.expected
        else
            cp "$stem.run" "$expected"
        fi
    fi
    same "$stem.run" run run "${options[@]}" || return
    [ -z "${ONCE:-}" ] || return

    # By the interpreter, and all translated: the traces are the same.
    for engine in interp jit; do
        trace=$stem.$engine.ghog
        start "$stem.recorded" record -o "$trace" --engine $engine "${recorded[@]}"
        same "$stem.recorded" "record --engine $engine" \
            record -o "$trace" --engine $engine "${recorded[@]}" || return
    done
    mv "$stem.interp.ghog" "$stem.ghog"
    if [ -z "$typed" ]; then
        cmp "$stem.ghog" "$stem.jit.ghog" || complain "the recordings of the two engines differ"
    fi
    replay_both "$stem.ghog"

    for spacing in ${SPACINGS-1000 997}; do
        trace=$stem.$spacing.ghog
        start "$stem.recorded" record -o "$trace" --digest-every $spacing "${recorded[@]}"
        same "$stem.recorded" "record --digest-every $spacing" \
            record -o "$trace" --digest-every $spacing "${recorded[@]}" || return
        if [ -z "$typed" ] && [ "$(last_digest "$trace")" != "$(last_digest "$stem.ghog")" ]; then
            complain "digests every $spacing instructions end in another state" \
                trace dump "$stem.ghog" "$trace"
        fi
        replay_both "$trace"
    done
}

for source in tests/guest/*.S; do
    guest=$(basename "$source" .S)
    [ $# -eq 0 ] || [[ " $* " = *" $guest "* ]] || continue
    rom=$BUILD/tests/guest/$guest.rom
    extra=$(head_line guest)
    recording=$(head_line record)
    typed=$(head_line types)
    for smp in 1 4; do
        stem=$WORK/$guest.$smp
        check_guest
    done
done
if [ $failed -gt 0 ]; then
    echo "files: $WORK"
    exit 1
fi
