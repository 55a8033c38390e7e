#!/bin/bash
# What is shown of translated code: -d with -D, --perf-map; and --code-cache: a
# small one, which is full again and again, gives the same trace.
. tests/common.sh
grep -qw bmi2 /proc/cpuinfo || { echo "this host runs no translated code"; exit 77; }
make -s guests BUILD="$BUILD" || fail "the guests do not build"
guest=(-m 16 -bios "$BUILD/tests/guest/strings.rom" -device isa-debug-exit,iobase=0xf4,iosize=4 --engine jit)

expect 33 "$GROUNDHOG" run "${guest[@]}" -d in_asm,out_asm -D "$WORK/both" </dev/null
has "$WORK/both" "block f00a8 (64-bit, supervisor): 1 instructions, 5 bytes become"
has "$WORK/both" "  f00a8: call 0xf106b"
has "$WORK/both" "qword [tlb0.write_tag+r10*4]"
has "$WORK/both" "jmp leave"
grep -q "undefined" "$WORK/both" && fail "host code that is no instruction"
expect 33 "$GROUNDHOG" run "${guest[@]}" -d in_asm -D "$WORK/guest" </dev/null
grep -q "tlb0" "$WORK/guest" && fail "in_asm shows host code"
has "$WORK/guest" "  f00a8: call 0xf106b"
expect 125 "$GROUNDHOG" run "${guest[@]}" -d exec
expect 125 "$GROUNDHOG" run "${guest[@]}" -d in_asm -D "$WORK/none/file" </dev/null
expect 125 "$GROUNDHOG" run "${guest[@]}" --code-cache 2000

"$GROUNDHOG" run "${guest[@]}" --perf-map </dev/null >"$WORK/out" 2>"$WORK/err" &
wait $!
map=/tmp/perf-$!.map
has "$map" "guest f00a8 64-bit supervisor"
has "$map" "translator: slow"
rm -f "$map"

expect 33 "$GROUNDHOG" record -o "$WORK/large.ghog" "${guest[@]}" --quiet </dev/null
expect 33 "$GROUNDHOG" record -o "$WORK/small.ghog" "${guest[@]}" --quiet --code-cache 1 </dev/null
cmp "$WORK/large.ghog" "$WORK/small.ghog" || fail "the size of the code cache shows"
need_kernel
boot_options
expect 124 "$GROUNDHOG" run "${boot[@]}" --engine jit --code-cache 1 --max-instructions 140M --stats </dev/null
grep -q "[1-9][0-9]* flushes" "$WORK/err" || fail "a cache of 1 MiB is never full"
