#!/bin/bash
# --stats of run, record and replay: the numbers add up.
. tests/common.sh
grep -qw bmi2 /proc/cpuinfo || { echo "this host runs no translated code"; exit 77; }
make -s guests BUILD="$BUILD" || fail "the guests do not build"

# statistics FILE: the numbers of the report in FILE, each as a shell variable.
statistics() {
    local number='\([0-9]*\)'
    eval "$(tr -d , <"$1" | sed -n \
        -e "s/^translated: $number blocks $number bytes .* to $number of .* ($number.$number for one) .*/\
blocks=\1 guest=\2 host=\3 ratio=\4\5/p" \
        -e "s/^instructions: $number $number (.*) in translated code $number .*/\
all=\1 translated=\2 interpreted=\3/p" \
        -e "s/^calls from translated code: $number .* $number slow .* $number loads; $number .*/\
fallbacks=\1 slow=\2 loads=\3 walks=\4/p" \
        -e "s/^entered $number .* budget $number .* $number fault $number .* $number handler $number/\
entered=\1 left=\$((\2 + \3 + \4 + \5 + \6))/p" \
        -e "s/^jumps: $number linked; .* $number direct and $number .* found $number not there $number/\
linked=\1 looked=\$((\2 + \3)) found=\4 missed=\5/p" \
        -e "s/^in use: $number of $number .* cache $number translations .*/\
used=\1 cache=\2 translations=\3/p" \
        -e "s/^groundhog: .* $number instructions .*/summary=\1/p")"
    rows=$(awk '$2 == "map" { sum += $6; count++ } END { print sum + 0, count + 0 }' "$1")
}

# adds_up FILE: the same numbers told in different ways are equal.
adds_up() {
    local all='' summary='' entered='' left='' looked='' found='' missed='' rows
    statistics "$1"
    [ "$all" = "$summary" ] || fail "$1: $all instructions, $summary in the summary"
    [ "$all" -eq $((translated + interpreted)) ] || fail "$1: shares of the instructions"
    [ "$entered" -eq "$left" ] || fail "$1: entered $entered times, left $left times"
    [ "$looked" -eq $((found + missed)) ] || fail "$1: jumps"
    [ $((host * 100 / guest)) -eq $((10#$ratio)) ] || fail "$1: bytes"
    [ "$loads" -le "$slow" ] && [ "$used" -le "$cache" ] && [ "$walks" -gt 0 ] || fail "$1: parts"
    [ "$translations" -gt "$linked" ] || [ "$linked" -gt 0 ] || fail "$1: no jump is linked"
    [ "${rows#* }" -eq 40 ] || [ "${rows% *}" -eq "$fallbacks" ] || fail "$1: $fallbacks fallbacks, rows: $rows"
    echo "$1: $blocks blocks, $all instructions, $translated translated"
}

for name in strings storm timers; do
    for smp in 1 4; do
        for engine in jit auto; do
            options=(-m 16 -smp $smp -bios "$BUILD/tests/guest/$name.rom" --engine $engine --stats
                -device isa-debug-exit,iobase=0xf4,iosize=4)
            for command in run "record -o $WORK/trace.ghog"; do
                expect 33 "$GROUNDHOG" $command "${options[@]}" </dev/null
                adds_up "$WORK/err"
            done
            expect 33 "$GROUNDHOG" replay "$WORK/trace.ghog" --engine $engine --stats
            adds_up "$WORK/err"
        done
    done
done

# Each part is there where it is to be: hot code is translated, written code is
# stale, cold code is interpreted, a small cache is flushed.
guest() {
    expect 33 "$GROUNDHOG" run -m 16 -bios "$BUILD/tests/guest/$1.rom" --stats "${@:2}" \
        -device isa-debug-exit,iobase=0xf4,iosize=4 </dev/null
    statistics "$WORK/err"
}
guest strings --engine jit
[ $((translated * 100 / all)) -ge 95 ] || fail "$translated of $all instructions translated"
guest faults --engine auto
[ "$interpreted" -gt 1000 ] || fail "cold code is not interpreted"
guest smc --engine jit
has "$WORK/err" "stale pages"
grep -q " 0 stale pages" "$WORK/err" && fail "no page is stale"
guest smc --engine interp
grep -q "translated:" "$WORK/err" && fail "the interpreter translates"
guest strings --engine check
has "$WORK/err" "translated:"
