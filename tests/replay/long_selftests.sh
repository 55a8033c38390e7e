#!/bin/bash
# The Linux kernel's own self tests for x86 in the guest, built from Debian's
# linux-source (ci/selftests.sh) and run by its kernel.
. tests/common.sh
need_kernel linux-image-amd64
ci/selftests.sh >"$WORK/build.log" 2>&1 || { tail -n 20 "$WORK/build.log"; fail "cannot build"; }

# Runs them all: a line each with its exit status and whether it printed
# [FAIL] or [SKIP], then the end of what a failing one said.
cat >"$WORK/selftests" <<'END'
cd /tmp
for test in /selftests/*; do
    timeout -s KILL 120 "$test" >log 2>&1 </dev/null
    line="TEST ${test##*/} exit $?"
    grep -qF '[FAIL]' log && line="$line FAIL"
    grep -qF '[SKIP]' log && line="$line SKIP"
    echo "$line"
    case $line in
    *FAIL* | *" exit "[1-9]*) tail -n 12 log | sed 's/^/    /' ;;
    esac
done
END
files=("selftests.sh=$WORK/selftests")
for file in build/selftests/bin/*; do files+=("selftests/${file##*/}=$file"); done
for file in build/selftests/lib*/*; do files+=("${file#build/selftests/}=$file"); done
ci/initramfs.sh "$WORK/initrd.cpio" "${files[@]}" || fail "cannot make the initramfs"

# expected NAME RUN: how the test is to end. Anything but 0 has its reason here.
expected() {
    case $1:$2 in
    amx_64:*) echo "exit 1 FAIL" ;;               # no model has AMX; the test does not skip
    entry_from_vm86_32:*) echo "exit 0 SKIP" ;;   # a 64-bit kernel has no vm86()
    ldt_gdt_*:smp1*) echo "exit 0 SKIP" ;;        # one case of it needs a second CPU
    test_vsyscall_*:smp1*) echo "exit 0 SKIP" ;;  # the same
    # SYSCALL in 32-bit code is AMD's, SYSENTER in long mode is Intel's.
    syscall_arg_fault_32:* | syscall_arg_fault_64:*-amd) echo "exit 0 SKIP" ;;
    *) echo "exit 0" ;;
    esac
}

# check RUN: compares the lines in $WORK/RUN.out with what is expected.
check() {
    for file in build/selftests/bin/*; do
        echo "TEST ${file##*/} $(expected "${file##*/}" "$1")"
    done >"$WORK/$1.expected"
    tr -d '\r' <"$WORK/$1.out" | grep '^TEST ' >"$WORK/$1.lines"
    diff "$WORK/$1.expected" "$WORK/$1.lines" && return
    grep -A 12 '^TEST .*\(FAIL\|exit [1-9]\)' "$WORK/$1.out"
    fail "$1: other results than expected"
}

boot=(-m 512 -no-reboot -kernel "$kernel" -initrd "$WORK/initrd.cpio"
    -append "$append loglevel=1 vsyscall=emulate run=/selftests.sh")

expect 0 "$GROUNDHOG" record -o "$WORK/one.ghog" "${boot[@]}" </dev/null
mv "$WORK/out" "$WORK/smp1-intel.out"
check smp1-intel
expect 0 "$GROUNDHOG" run "${boot[@]}" -cpu max,vendor=AuthenticAMD </dev/null
mv "$WORK/out" "$WORK/smp1-amd.out"
check smp1-amd
record_and_replay smp2-intel "${boot[@]}" -smp 2 -cpu max
check smp2-intel
