#!/bin/bash
# GMP's own tests (ci/gmp.sh) in the guest, as two CPU models, for which the library
# chooses other assembly. The recording of one of them is replayed.
. tests/common.sh
need_kernel
ci/gmp.sh >"$WORK/build.log" 2>&1 || { tail -n 20 "$WORK/build.log"; fail "cannot build"; }

cat >"$WORK/run" <<'END'
cd /tmp
for test in /gmp/*; do
    "$test" >log 2>&1 </dev/null
    status=$?
    echo "TEST ${test##*/} exit $status"
    [ $status = 0 ] || tail -n 8 log | sed 's/^/    /'
done
echo GMP-END
END
files=("run=$WORK/run")
for file in build/gmp/bin/*; do files+=("gmp/${file##*/}=$file"); done
add_libraries build/gmp/lib
ci/initramfs.sh "$WORK/initrd.cpio" "${files[@]}" || fail "cannot make the initramfs"

for file in build/gmp/bin/*; do echo "TEST ${file##*/} exit 0"; done >"$WORK/expected"

check() {
    tr -d '\r' <"$1" | grep '^TEST ' >"$WORK/lines"
    diff "$WORK/expected" "$WORK/lines" && has "$1" GMP-END && return
    grep -A 9 '^TEST .* exit [1-9]' "$1"
    fail "GMP's tests in $1"
}

boot=(-m 1024 -no-reboot -kernel "$kernel" -initrd "$WORK/initrd.cpio"
    -append "$append quiet run=/run")
record_and_replay max "${boot[@]}" -cpu max
check "$WORK/max.out"
tail -n 1 "$WORK/max.err"
expect 0 "$GROUNDHOG" run "${boot[@]}" -cpu x86-64-v2,vendor=AuthenticAMD </dev/null
check "$WORK/out"
