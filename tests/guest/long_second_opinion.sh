#!/bin/bash
# A second opinion on our test guests: QEMU's interpretation of the same ROMs.
#
# Each guest of docs/second-opinion.md runs under Debian's QEMU (TCG, one virtual
# nanosecond an instruction), and what it prints is compared with NAME.expected.
# The table there holds the known differences as commands of sed, which are applied
# to both sides; what still differs is printed. QEMU is no authority, so that a
# difference fails nothing: the manual decides, and the table says how.
. tests/common.sh

qemu=qemu-system-x86_64
command -v $qemu >/dev/null || { echo "no $qemu"; exit 77; }
make -s guests BUILD="$BUILD" || fail "the guests do not build"
table=docs/second-opinion.md
options=(-accel tcg -icount "shift=0,sleep=off" -rtc base=2024-01-01T00:00:00 -no-reboot
    -nodefaults -no-user-config -display none -m 16 -serial stdio
    -device "isa-debug-exit,iobase=0xf4,iosize=4")

# rules GUEST: its commands of sed, and those of every guest.
rules() {
    sed -n "s/^| \([^|]*\b$1\b[^|]*\|all\) | \`\(.*\)\` | .* | .* |\$/\2/p" $table
}
head_line() {
    head -n 12 "tests/guest/$guest.S" | sed -n "s/^.*$1: *//p"
}

compared=0 new=0
for guest in $(sed -n 's/^Guests: //p' $table); do
    extra=$(head_line guest | sed 's/--[a-z-]* [0-9]*//g') # without options of ours
    [[ $extra = *-cpu* ]] || extra+=" -cpu max"
    rules "$guest" >"$WORK/$guest.sed"
    printf "$(head_line types)" | timeout 20 $qemu "${options[@]}" $extra \
        -bios "$BUILD/tests/guest/$guest.rom" >"$WORK/out" 2>"$WORK/$guest.err"
    { echo "status $?"; cat "$WORK/out"; echo; } >"$WORK/$guest.qemu"
    for side in expected qemu; do
        file=$WORK/$guest.qemu
        [ $side = qemu ] || file=tests/guest/$guest.expected
        sed -f "$WORK/$guest.sed" "$file" | sed '/^$/d' >"$WORK/$guest.$side.compared"
    done
    compared=$((compared + $(wc -l <"$WORK/$guest.expected.compared")))
    diff -a "$WORK/$guest.expected.compared" "$WORK/$guest.qemu.compared" \
        >"$WORK/$guest.diff" && continue
    new=$((new + $(grep -c '^[<>]' "$WORK/$guest.diff")))
    echo "new differences of $guest (< expected, > $qemu):"
    cat "$WORK/$guest.diff"
done
echo "$compared lines compared with $($qemu --version | head -n 1), $new lines differ that $table does not know"
