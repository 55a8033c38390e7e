#!/bin/bash
# The golden traces: traces/*.ghog, recorded from test guests, must replay.
#
#   tests/guest/golden.sh            replays each, with devices and isolated
#   tests/guest/golden.sh --update   records them anew (after a change of the trace
#                                    format, of a guest, or of the machine's version)
#
# Each names its guest's ROM by content hash: the ROM that is built from the
# source must be the same to the byte. Then a device is changed by one line, and the
# replay must stop at the first read that differs and say where.
. tests/common.sh

make -s guests BUILD="$BUILD" || fail "the guests do not build"
roms=$BUILD/tests/guest

# record_golden NAME OPTIONS...: from the directory of the ROMs, so that no
# path of this host is in the trace.
record_golden() {
    local name=$1 rom=$1
    shift
    (cd "$roms" && "$GROUNDHOG" record --quiet -o "$WORK/$name.ghog" -m 16 -bios "$rom.rom" \
        -device isa-debug-exit,iobase=0xf4,iosize=4 -serial stdio --digest-every 256Ki "$@") \
        </dev/null >"$WORK/out"
    [ $? -eq 33 ] || fail "cannot record $name"
    cp "$WORK/$name.ghog" "traces/$name.ghog"
    ls -l "traces/$name.ghog"
}

if [ "${1:-}" = --update ]; then
    record_golden timers
    record_golden faults
    record_golden smp -smp 4 --quantum 97
fi

# replay_golden NAME EXPECTED: status and console are those of the guest.
replay_golden() {
    local trace=traces/$1.ghog rom=$roms/$1.rom
    [ "$(stat -c %s "$trace")" -le 8192 ] || fail "$trace is larger than 8 KiB"
    expect 0 "$GROUNDHOG" trace verify "$trace"
    expect 33 "$GROUNDHOG" replay "$trace" --file "bios=$rom"
    has "$WORK/err" "digests equal"
    (echo "status 33"; cat "$WORK/out") | cmp - "$2" || fail "the console of $trace differs"
    expect 33 "$GROUNDHOG" replay --isolated "$trace" --file "bios=$rom"
}
replay_golden timers tests/guest/timers.expected
replay_golden faults tests/guest/faults.expected
replay_golden smp tests/guest/smp.smp4.expected

# changed CHIP FROM TO: $WORK/changed is the program with that change in src/machine/dev/CHIP.c.
changed() {
    local chip=$1 source=$WORK/$1.c
    sed "s|$2|$3|" "src/machine/dev/$chip.c" >"$source"
    [ "$(diff "src/machine/dev/$chip.c" "$source" | grep -c '^>')" -eq 1 ] ||
        fail "the change to $chip.c is not one line"
    # shellcheck disable=SC2046
    $(cat "$BUILD/flags") -o "$WORK/changed" "$source" "$BUILD/src/main.o" \
        "$BUILD/libgroundhog.a" -lzstd -lxxhash -lm || fail "the changed $chip.c does not compile"
}

changed pit 'latched_count = read_count(c, tick);' 'latched_count = read_count(c, tick + 1);'
expect 3 "$WORK/changed" replay traces/timers.ghog --file "bios=$roms/timers.rom"
cat "$WORK/err"
grep -qE '^divergence at instruction [0-9]+ .* in port 40h, vCPU 0, RIP 0xf[0-9a-f]{4}$' "$WORK/err" ||
    fail "the place of the divergence"
grep -qE '^  recorded: port-read cpu=0 port=0x40 bytes=1 value=0x[0-9a-f]+ at [0-9]+' "$WORK/err" ||
    fail "what was recorded"
grep -qE '^  replayed: port-read cpu=0 port=0x40 bytes=1 value=0x[0-9a-f]+ at [0-9]+' "$WORK/err" ||
    fail "what was seen"
# At the first read that differs: the counter is latched in "pit count".
count=$(sed -n 's/^divergence at instruction \([0-9]*\) .*/\1/p' "$WORK/err")
first=$("$GROUNDHOG" trace dump traces/timers.ghog | sed -n 's/^\([0-9]*\)+.*port=0x40 .*/\1/p' | head -n 1)
[ "$count" = "$first" ] || fail "found at $count, the first changed read is at $first"

changed pit 'return clock_ns_to_ticks(clock_now(pit->clock), PIT_HZ);' \
    'return clock_ns_to_ticks(clock_now(pit->clock), PIT_HZ) + 3;'
expect 3 "$WORK/changed" replay traces/timers.ghog --file "bios=$roms/timers.rom"
cat "$WORK/err"
grep -qE '^divergence at instruction [0-9]+' "$WORK/err" || fail "a moved interrupt is not noticed"

