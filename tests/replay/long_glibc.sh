#!/bin/bash
# Those of glibc's own tests that exercise the CPU (ci/glibc.sh) in the guest, as
# two CPU models, for which the library chooses other code. What passes on the host
# has to pass there. The recording of one of them is replayed. NAMES=REGEX takes some.
. tests/common.sh
need_kernel
ci/glibc.sh >"$WORK/build.log" 2>&1 || { tail -n 20 "$WORK/build.log"; fail "cannot build"; }

# A line each with its exit status (77: cannot run here), then what a failing one said.
cat >"$WORK/tests" <<'END'
cd "$tmp"
export LC_ALL=C TIMEOUTFACTOR=20
for test in "$programs"/*; do
    timeout -s KILL 600 "$test" >log 2>&1 </dev/null
    status=$?
    echo "TEST ${test##*/} exit $status"
    case $status in
    0 | 77) ;;
    *) tail -n 10 log | sed 's/^/    /' ;;
    esac
done
echo GLIBC-END
END

# On the host first: some want locales or input that they do not get, a few more
# than three seconds or a gigabyte.
mkdir -p "$WORK/bin" "$WORK/tmp"
for file in build/glibc/bin/*; do
    [[ ! ${file##*/} =~ ${NAMES:-.} ]] || ln -s "$PWD/$file" "$WORK/bin/"
done
(
    ulimit -c 0 -t 3 -v 1048576
    programs=$WORK/bin tmp=$WORK/tmp bash "$WORK/tests"
) >"$WORK/host" 2>&1
sed -n 's/^TEST \(.*\) exit 0$/\1/p' "$WORK/host" >"$WORK/passed"
count=$(wc -l <"$WORK/passed")
[ -n "${NAMES:-}" ] || [ "$count" -ge 1150 ] || {
    grep -A 4 '^TEST .* exit [1-9]' "$WORK/host"
    fail "only $count pass on the host"
}

echo "export programs=/glibc tmp=/tmp; mkdir -p /dev/shm /dev/pts
    mount -t devpts devpts /dev/pts; . /tests" >"$WORK/run"
files=("run=$WORK/run" "tests=$WORK/tests")
while read -r name; do files+=("glibc/$name=build/glibc/bin/$name"); done <"$WORK/passed"
add_libraries build/glibc/lib
ci/initramfs.sh "$WORK/initrd.cpio" "${files[@]}" || fail "cannot make the initramfs"

# What RCPPS gives is ours, which takes libmvec's asinh to 2 ulp where the test, made
# elsewhere, wants 1; the library's own bound is 4.
known='^TEST math.test-double-vlen[24].*-asinh exit 1$'

# check FILE: all ran, and what did not pass cannot run on that model.
check() {
    tr -d '\r' <"$1" | grep '^TEST ' | grep -v "$known" >"$WORK/lines"
    has "$1" GLIBC-END
    echo "${1##*/}: $(grep -c 'exit 0$' "$WORK/lines") of $count passed," \
        "$(grep -c 'exit 77$' "$WORK/lines") cannot run"
    ! grep -v 'exit \(0\|77\)$' "$WORK/lines" && return
    grep -A 10 '^TEST .* exit [1-9]' "$1"
    fail "glibc's tests in $1"
}

boot=(-m 2048 -no-reboot -kernel "$kernel" -initrd "$WORK/initrd.cpio"
    -append "$append quiet run=/run")
record_and_replay max "${boot[@]}" -cpu max
check "$WORK/max.out"
grep "record:" "$WORK/max.err"
expect 0 "$GROUNDHOG" run "${boot[@]}" -cpu x86-64-v2,vendor=AuthenticAMD </dev/null
check "$WORK/out"
