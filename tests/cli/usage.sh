#!/bin/bash
# Bad use: one line that names the matter, exit status 125, and never a crash.
. tests/common.sh
need_hello

# refused TEXT WORDS...: one line on standard error, which holds TEXT.
refused() {
    local text=$1
    shift
    expect 125 timeout 20 "$GROUNDHOG" "$@"
    [ "$(wc -l <"$WORK/err")" -eq 1 ] || { cat "$WORK/err"; fail "not one line: $*"; }
    has "$WORK/err" "groundhog: "
    has "$WORK/err" "$text"
    [ ! -s "$WORK/out" ] || fail "printed on standard output: $*"
}

refused "run, record, replay, trace"
refused "frobnicate" frobnicate
refused "-nonsense" run -nonsense
refused "-m" run -m lots
refused "-o" record -m 16
refused "missing.bin" run -bios "$WORK/missing.bin"
refused "is a directory" run -bios "$WORK"
mkfifo "$WORK/fifo"
refused "not a regular file" run -bios "$WORK/fifo"
: >"$WORK/empty"
refused "is empty" run -bios "$WORK/empty"
refused "kernel" run -kernel "$WORK/missing"
head -c 100 /dev/zero >"$WORK/short"
refused "kernel" run -bios "$hello" -kernel "$WORK/short"
refused "short" run -bios "$WORK/short"
refused "initrd" run -bios "$hello" -kernel "$hello" -initrd "$WORK"
refused "drive0" run -bios "$hello" -hda "$WORK/missing"
refused "$WORK" record -o "$WORK" "${hello_options[@]}"
refused "no/such" record -o "$WORK/no/such/file" "${hello_options[@]}"
refused "$hello" record -o "$hello" "${hello_options[@]}"
[ "$(stat -c %s "$hello")" -eq 65536 ] || fail "the firmware was overwritten"
refused "/dev/full" record -o /dev/full "${hello_options[@]}"
refused "trace" replay "$WORK/missing"
refused "trace" replay "$WORK"
refused "" replay "$hello"
refused "" trace info "$hello"
refused "" trace verify "$WORK/short"
refused "trace" trace
refused "trace" trace frob x
refused "stdio" run "${hello_options[@]}" -serial tcp:1

for command in help "run --help" "record --help" "replay --help" "trace dump --help" version; do
    # shellcheck disable=SC2086
    expect 0 "$GROUNDHOG" $command
    [ -s "$WORK/out" ] && [ ! -s "$WORK/err" ] || fail "no help for: $command"
done
expect 0 "$GROUNDHOG" record --help
has "$WORK/out" "--digest-every"
